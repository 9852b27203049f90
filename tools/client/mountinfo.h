// SPDX-License-Identifier: Apache-2.0
/*
 * mountinfo: which tally mounts this process sees, from /proc/self/mountinfo.
 *
 * Nothing here asks a mount for more than a lookup. So a mount whose daemon has died is still found
 * by its mount point. Errors: 0 or -errno.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tally_mountinfo {
    char point[PATH_MAX];  /* absolute, without symlinks */
    char source[PATH_MAX]; /* the path of the store that the daemon has given */
    char root[PATH_MAX];   /* the part that is mounted: "/", or "/NS/dir" by `mount --bind` */
    uid_t user;            /* the user who mounted it */
    char dev[32];          /* "major:minor"; the same for all mounts of one daemon */
};

/* Finds the mount that `path` is in, which may itself be a symlink there. *ret is about a mount
 * with `.tally` in it: the whole; or if only parts of it are mounted here, one of a namespace with
 * its door (`.tally` in its top directory), rather that of `path` than another; or else `point`
 * leads to the whole through its daemon. -ENOENT: it is in no mount, or in none of tally. -EREMOTE:
 * there is no such mount, and *ret is about the part. Other errors are those of looking at
 * `path`. */
int mountinfo_of(const char *path, struct tally_mountinfo *ret);
/* The same for the file of `fd` (O_PATH). */
int mountinfo_of_fd(int fd, struct tally_mountinfo *ret);
/* Is `source` mounted at `point`, an absolute path? True, too, if that cannot be found out. */
bool mountinfo_is_mounted(const char *source, const char *point);
/* Finds a mount of the store `source` that this process sees and that the owner of the store, a
 * living daemon, serves; rather one of the whole than one of a part. -ENOENT. */
int mountinfo_served(const char *source, struct tally_mountinfo *ret);
/* Finds a mount of the namespace `ns` alone, of that device: the one that the path `from` is in, or
 * with `from` NULL any. -ENOENT, or an error of looking at `from`. */
int mountinfo_of_ns(const char *dev, const char *ns, const char *from, struct tally_mountinfo *ret);
/* Is the top directory of a namespace mounted there, and nothing else? */
bool mountinfo_is_ns(const struct tally_mountinfo *m);
/* The name that `path` has in its tally mount: "NS/dir/file", or "" for the root of the mount. */
int mountinfo_inside(const char *path, char out[PATH_MAX]);
/* Finds the mount, of a whole or of a part, whose mount point is `path`; of several the one that
 * was mounted last. -ENOENT. */
int mountinfo_at(const char *path, struct tally_mountinfo *ret);
/* How many mounts of that device this process sees, or with `whole` how many of the whole. A daemon
 * lives as long as its last mount. -errno. */
int mountinfo_count(const char *dev, bool whole);
/* Is this process root, and the mount that of another user? The daemon of that user may let root
 * wait for ever, so root sends it no request. */
bool mountinfo_is_of_another(const struct tally_mountinfo *m);
/* May this process send requests to the mount that the file of `fd` (O_PATH) is in? False only for
 * a FUSE mount of any kind as in mountinfo_is_of_another, and if that cannot be found out. */
bool mountinfo_may_ask(int fd);
/* Has that process, in its mount namespace, a mount of `source`, possibly named by a symlink? 1, 0,
 * or -errno: that cannot be seen. */
int mountinfo_process_has(int pid, const char *source);
/* Finds a process, other than this one and `but`, that has a mount of that device in its mount
 * namespace, as a container may. Looks for a second at most, asks no filesystem but /proc, and
 * writes the process's name to `name`. Returns its number; 0: none was found. */
int mountinfo_find_process(const char *dev, int but, char name[32]);
/* All mounts of whole stores that this process sees and may ask, one of each daemon, the oldest
 * first. The caller frees *ret. Returns how many, or -errno. */
ssize_t mountinfo_list(struct tally_mountinfo **ret);
/* Writes the type of the filesystem that `path` (absolute, without symlinks) is in: that of the
 * longest mount point that is the path or above it. The path is not looked at. "": not known. */
void mountinfo_type_of(const char *path, char type[64]);
/* The device number of the mount at `point`, without a request to its daemon. -errno. */
int mountinfo_dev(const char *point, char dev[32]);
/* Unmounts all mounts of `source` that this process sees: the mount was moved, or parts of it are
 * mounted elsewhere, and no daemon serves them any more. Processes that use them keep them open.
 * Root only. */
void mountinfo_detach_all(const char *source, const char *dev);
/* Unmounts the mount `m`, with the flags of umount2(2). Other users may change the path meanwhile,
 * so no symlink is followed, and nothing else is unmounted. -ENOENT: there is another mount by
 * now, or none. */
int mountinfo_unmount(const struct tally_mountinfo *m, int flags);
/* `path` as an absolute path without symlinks, except in its last component, which is not looked
 * at. -errno. */
int mountinfo_absolute(const char *path, char out[PATH_MAX]);
