// SPDX-License-Identifier: Apache-2.0
#include "below.h"

#include "yield_cpu.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INITIAL_CGROUPS "cgroup:[4026531835]" /* the kernel's PROC_CGROUP_INIT_INO */
#define CGROUPS "/sys/fs/cgroup"

/* From linux/ioprio.h, which not every system has. */
#define IOPRIO_WHO_THREAD 1
#define IOPRIO_CLASS 13 /* the class is above so many bits */
#define IOPRIO_BEST_EFFORT (2 << IOPRIO_CLASS)
#define IOPRIO_USUAL 4 /* IOPRIO_NORM: the level of a process without one of its own */

/* Does the kernel make a scheduling group of each session? */
static bool autogroups(void)
{
    char c = '0';
    int fd = open("/proc/sys/kernel/sched_autogroup_enabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (read(fd, &c, 1) != 1)
        c = '0';
    close(fd);
    return c == '1';
}

/* Is this the initial cgroup namespace? In another one the path "/" need not be the root of all
 * cgroups. */
static bool sees_all_cgroups(void)
{
    char s[64];
    const ssize_t n = readlink("/proc/self/ns/cgroup", s, sizeof(s) - 1);
    if (n < 0)
        return false;
    s[n] = '\0';
    return strcmp(s, INITIAL_CGROUPS) == 0;
}

/* Does a cgroup of version 2, or one above it, divide CPUs? It has a file cpu.weight if it does;
 * the root has none. `path` is changed. */
static bool divides(char *path)
{
    char file[sizeof(CGROUPS) + 4096 + sizeof("/cpu.weight")];
    while (path[0] == '/' && path[1] != '\0') {
        snprintf(file, sizeof(file), CGROUPS "%.4095s/cpu.weight", path);
        if (access(file, F_OK) == 0)
            return true;
        *strrchr(path, '/') = '\0';
    }
    return false;
}

/* Is the line of /proc/self/cgroup, "number:controllers:path", a group of the scheduler? `line` is
 * changed. When in doubt: true. */
static bool is_cpu_group(char *line)
{
    char *controllers = strchr(line, ':');
    char *path = !controllers ? NULL : strchr(controllers + 1, ':');
    if (!path)
        return true; /* an unknown form */
    *controllers++ = *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (*controllers == '\0' && access(CGROUPS "/cgroup.controllers", F_OK) == 0)
        return divides(path);
    if (*controllers == '\0')
        return strcmp(path, "/") != 0; /* not mounted here, so its files cannot be looked at */
    for (char *rest = controllers, *name; (name = strsep(&rest, ","));)
        if (strcmp(name, "cpu") == 0)
            return strcmp(path, "/") != 0;
    return false;
}

/* Is the process in a cgroup that divides CPUs? Such a group takes the place of the autogroup. When
 * in doubt: true. */
static bool in_cpu_group(void)
{
    char line[4096 + 256];
    bool in = false;
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return true;
    while (!in && fgets(line, sizeof(line), f))
        in = is_cpu_group(line);
    fclose(f);
    return in;
}

/* Is the process a group of its own for the scheduler? False, too, if that cannot be found out. */
static bool is_group(void)
{
    return getsid(0) == getpid() && autogroups() && sees_all_cgroups() && !in_cpu_group();
}

/* Sets the I/O priority that the thread has now. A thread without one of its own (class 0) would
 * get that of its scheduling class, the lowest for SCHED_IDLE. */
static void keep_io_priority(void)
{
    const int is = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_THREAD, 0);
    const int class = is < 0 ? -1 : is >> IOPRIO_CLASS;
    if (class == 0 || class == IOPRIO_BEST_EFFORT >> IOPRIO_CLASS)
        (void)syscall(SYS_ioprio_set, IOPRIO_WHO_THREAD, 0,
                      class == 0 ? IOPRIO_BEST_EFFORT | IOPRIO_USUAL : is);
}

void below_all(void)
{
    const struct sched_param none = {.sched_priority = 0};
    if (!is_group())
        return;
    keep_io_priority();
    if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) == 0) /* else slower */
        yield_cpu_is_needed();
}
