// SPDX-License-Identifier: Apache-2.0
/*
 * walk: opening with O_PATH and O_NOFOLLOW sends a request only for the lookup in the directory,
 * and none to the file itself. So the directory is checked before each step, and a symlink before
 * it is read.
 */
#include "walk.h"

#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as in the kernel */

struct path_walk {
    int at;              /* how far it is: a descriptor (O_PATH) */
    char rest[PATH_MAX]; /* the rest of the path, behind `at` */
    int links;           /* how many symlinks were followed */
};

/* Goes on at `fd`, which it takes over; below 0: returns -errno. */
static int step_to(struct path_walk *w, int fd)
{
    if (fd < 0) {
        return -errno;
    }
    if (w->at >= 0) {
        close(w->at);
    }
    w->at = fd;
    return 0;
}

static int begin_at(struct path_walk *w, bool root)
{
    return step_to(w, open(root ? "/" : ".", O_PATH | O_CLOEXEC));
}

/* Takes the next name of the path. False: there is none. */
static bool take_name(struct path_walk *w, char name[PATH_MAX])
{
    const char *from = w->rest + strspn(w->rest, "/");
    const size_t len = strcspn(from, "/");
    memcpy(name, from, len);
    name[len] = '\0';
    memmove(w->rest, from + len, strlen(from + len) + 1);
    return len > 0;
}

/* Is it in /proc? The target of a link there, such as /proc/PID/root, is shown as text, but only
 * the kernel can follow it. */
static bool is_of_proc(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* Puts the target of a symlink in front of the rest of the path. */
static int follow_link(struct path_walk *w, int link)
{
    char target[PATH_MAX], rest[PATH_MAX];
    const ssize_t n = readlinkat(link, "", target, sizeof(target) - 1);
    if (n < 0) {
        return -errno;
    }
    target[n] = '\0';
    if (++w->links > LINKS_MAX) {
        return -ELOOP;
    }
    const int len = snprintf(rest, sizeof(rest), "%s/%s", target, w->rest);
    if (len < 0 || (size_t)len >= sizeof(rest)) {
        return -ENAMETOOLONG;
    }
    memcpy(w->rest, rest, (size_t)len + 1);
    return *target == '/' ? begin_at(w, true) : 0;
}

/* Goes to a name in the current directory. A symlink is followed by its text, except one of
 * /proc. */
static int step(struct path_walk *w, const char *name, bool follow)
{
    struct stat st;
    if (!mountinfo_may_ask(w->at)) {
        return -EACCES;
    }
    int next = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) {
        return -errno;
    }
    if (!follow || !mountinfo_may_ask(next) || fstat(next, &st) < 0 || !S_ISLNK(st.st_mode)) {
        return step_to(w, next);
    }
    const int err = is_of_proc(next) ? step_to(w, openat(w->at, name, O_PATH | O_CLOEXEC))
                                     : follow_link(w, next);
    close(next);
    return err;
}

int walk_to(const char *path, bool follow)
{
    char name[PATH_MAX];
    struct path_walk w = {.at = -1};
    if (!*path || strlen(path) >= sizeof(w.rest)) {
        return *path ? -ENAMETOOLONG : -ENOENT;
    }
    memcpy(w.rest, path, strlen(path) + 1);
    int err = begin_at(&w, *path == '/');
    while (err == 0 && take_name(&w, name)) {
        err = step(&w, name, follow);
    }
    if (err < 0 && w.at >= 0) {
        close(w.at);
    }
    return err < 0 ? err : w.at;
}
