// SPDX-License-Identifier: Apache-2.0
#include "owner.h"

#include "io.h"
#include "mountinfo.h"
#include "store_dir.h"
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a file on the way that owner_of_mount describes. A descriptor, or -1. */
static int open_carefully(const char *path)
{
    char same[32];
    int way = *path == '/' ? walk_to(path, false) : -1;
    if (way < 0) {
        return -1;
    }
    if (!mountinfo_may_ask(way)) {
        close(way);
        return -1;
    }
    snprintf(same, sizeof(same), "/proc/self/fd/%d", way);
    int fd = open(same, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    close(way);
    return fd;
}

/* Opens the lock file. The store may be that of another user, so no symlink is followed and opening
 * never blocks. */
static FILE *open_lock(const char *store, bool carefully, uid_t *ret_uid)
{
    char path[PATH_MAX + 8];
    struct stat st;
    snprintf(path, sizeof(path), "%s/lock", store);
    int fd = carefully ? open_carefully(path)
                       : open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FILE *f = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    if (!f) {
        io_cleanup_close(&fd);
        return NULL;
    }
    *ret_uid = st.st_uid;
    return f;
}

static bool read_lock(const char *store, bool carefully, struct owner *ret)
{
    FILE *f = open_lock(store, carefully, &ret->uid);
    ret->at[0] = '\0';
    ret->pid = 0;
    bool told =
        f && fscanf(f, "pid=%d what=%31s at=%4095[^\n]", &ret->pid, ret->what, ret->at) >= 2;
    if (f) {
        fclose(f);
    }
    return told && ret->pid > 0 && (kill(ret->pid, 0) == 0 || errno == EPERM);
}

bool owner_read(const char *store, struct owner *ret)
{
    return read_lock(store, false, ret);
}

bool owner_of_mount(const struct tally_mountinfo *m, struct owner *ret)
{
    return read_lock(m->source, mountinfo_is_of_another(m), ret);
}

bool owner_has_closed(const struct tally_mountinfo *m, int pid, struct owner *ret)
{
    ret->what[0] = '\0';
    (void)owner_of_mount(m, ret); /* false, too, if the process is gone by now */
    return pid > 0 && ret->pid == pid && strcmp(ret->what, STORE_CLOSED) == 0;
}

/* Is descriptor `fd` of that process its connection with the mount of that device, or (NULL) with
 * any? Nothing is asked of the file itself, which may be one that never answers. */
static bool is_connection(int pid, const char *fd, const char *dev)
{
    char path[64 + NAME_MAX], line[256], to[16] = "";
    snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, fd);
    if (readlink(path, to, sizeof(to) - 1) < 0) {
        return false;
    }
    bool is = strcmp(to, "/dev/fuse") == 0;
    if (!dev) {
        return is;
    }
    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, fd);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        unsigned connection;
        if (sscanf(line, "fuse_connection: %u", &connection) == 1) {
            is = connection == strtoul(dev + strcspn(dev, ":") + 1, NULL, 10);
        }
    }
    if (f) {
        fclose(f);
    }
    return is;
}

/* Has the process such a connection? */
static bool has_connection(int pid, const char *dev)
{
    char path[32];
    struct dirent *e;
    bool serves = false;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *fds = opendir(path);
    while (fds && !serves && (e = readdir(fds))) {
        serves = is_connection(pid, e->d_name, dev);
    }
    if (fds) {
        closedir(fds);
    }
    return serves;
}

bool owner_serves(int pid, const struct tally_mountinfo *m)
{
    return has_connection(pid, m->dev);
}

bool owner_has_served(int pid)
{
    return has_connection(pid, NULL);
}

bool owner_left_log(const struct tally_mountinfo *m, int pid)
{
    char path[PATH_MAX + 8];
    struct owner o;
    struct dirent *e;
    bool left = false;
    snprintf(path, sizeof(path), "%s/log", m->source);
    DIR *dir = mountinfo_is_of_another(m) ? NULL : opendir(path);
    while (dir && (e = readdir(dir))) {
        left |= e->d_name[0] != '.' && !strchr(e->d_name, '.'); /* not what a repair has kept */
    }
    if (dir) {
        closedir(dir);
    }
    return left && (!owner_read(m->source, &o) || o.pid == pid);
}
