// SPDX-License-Identifier: Apache-2.0
/*
 * mountinfo: which tally mounts this process sees, from /proc/self/mountinfo.
 *
 * Nothing here asks the mount itself more than a lookup, so that a mount whose daemon has died is
 * still found by its mount point. Errors: 0 or -errno.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tally_mountinfo {
    char point[PATH_MAX];  /* absolute, without symlinks */
    char source[PATH_MAX]; /* the store, as the daemon named it */
    char root[PATH_MAX];   /* what of it is mounted there: "/", or "/NS/dir" by `mount --bind` */
    uid_t user;            /* who mounted it */
    char dev[32];          /* "major:minor": the same for all mounts that one daemon serves */
};

/* As the kernel and mount(8) write names in their lists, three octal digits for what is odd; in
 * place. */
void mountinfo_unescape(char *s);
/* The mount that `path` lies in, also one that is a symlink, the whole of it: where only a part is mounted here, its `point`
 * leads through its daemon. -ENOENT: none, or not ours; -EREMOTE: its daemon cannot be found, *ret
 * is about the part; also errors of looking at `path`. */
int mountinfo_of(const char *path, struct tally_mountinfo *ret);
/* The same of what `fd` names (O_PATH). */
int mountinfo_of_fd(int fd, struct tally_mountinfo *ret);
/* Is `source` mounted at `point`, which is absolute? Also if that cannot be told. */
bool mountinfo_is_mounted(const char *source, const char *point);
/* What `path`, which is in a mount of ours, is called there: "NS/dir/file", or "" for its root. */
int mountinfo_inside(const char *path, char out[PATH_MAX]);
/* The mount whose mount point is `path`, of the whole or of a part, the last mounted if there are
 * several. -ENOENT. */
int mountinfo_at(const char *path, struct tally_mountinfo *ret);
/* How often is it mounted here, or the whole of it? A daemon lives as long as its last mount.
 * -errno */
int mountinfo_count(const char *dev, bool whole);
/* Does root look at a mount that a user made? Who answers there may let root wait for good, so it is
 * asked nothing. */
bool mountinfo_is_of_another(const struct tally_mountinfo *m);
/* May what `fd` names (O_PATH) be asked, as is_of_another has it, whatever kind of FUSE mount it lies
 * in? */
bool mountinfo_may_ask(int fd);
/* Does that process, in its mount namespace, have a mount of `source`, also by way of a symlink? 1,
 * 0 or -errno: not to be seen. */
int mountinfo_process_has(int pid, const char *source);
/* The device number of what is mounted at `point`, without asking its daemon. -errno. */
int mountinfo_dev(const char *point, char dev[32]);
/* Unmount all of `source` that this process sees: it was moved, or parts of it are mounted
 * elsewhere, and nobody serves it any more. Who uses it keeps it until then. Root only. */
void mountinfo_detach_all(const char *source, const char *dev);
/* `path` without symlinks except in its last component, which need not answer. -errno. */
int mountinfo_absolute(const char *path, char out[PATH_MAX]);
