// SPDX-License-Identifier: Apache-2.0
/* ns_mount: the mount calls of Linux 5.2 and 5.12. */
#include "ns_mount.h"

#include "io.h"
#include "mount_flags.h"
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* FUSE's handles, fs/fuse/inode.c of the kernel: FILEID_INO64_GEN, three words: the nodeid, high
 * word first, and the generation, which the root has 0. */
#define HANDLE_TYPE 0x81
#define HANDLE_WORDS 3

#define ATTR_ALL                                                                                   \
    (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |                \
     MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME | UINT64_C(0x00200000) /* NOSYMFOLLOW */)

/* Opens the root of the superblock through a mount of a part. `fd` is on it, and no O_PATH. */
static int open_by_root_handle(int fd)
{
    union {
        struct file_handle h;
        char room[sizeof(struct file_handle) + HANDLE_WORDS * sizeof(uint32_t)];
    } u = {.h = {.handle_bytes = HANDLE_WORDS * sizeof(uint32_t), .handle_type = HANDLE_TYPE}};
    const uint32_t words[HANDLE_WORDS] = {0, (uint32_t)VFS_ROOT, 0};
    memcpy(u.h.f_handle, words, sizeof(words));
    int root = open_by_handle_at(fd, &u.h, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? -errno : root;
}

/* Is the file of `fd` on the mount `m`? */
static bool is_on(int fd, const struct tally_mountinfo *m)
{
    struct statx st;
    char dev[sizeof(m->dev)];
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0) {
        return false;
    }
    snprintf(dev, sizeof(dev), "%u:%u", st.stx_dev_major, st.stx_dev_minor);
    return strcmp(dev, m->dev) == 0;
}

int ns_open_root(const struct tally_mountinfo *m)
{
    const bool whole = strcmp(m->root, "/") == 0;
    CLEANUP_CLOSE int fd =
        open(m->point, (whole ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? -ESTALE : -errno;
    }
    if (!is_on(fd, m)) {
        return -ESTALE;
    }
    if (!whole) {
        return open_by_root_handle(fd);
    }
    int root = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return root < 0 ? -errno : root;
}

/* The kernel keeps names of the root for a moment, in which a name may lead to a namespace that is
 * gone, although another one has it by now. Opening with O_PATH would not notice. So the attributes
 * are asked for first: that fails, and then the kernel looks the name up again. */
static int open_fresh(int root, const char *ns)
{
    struct statx st;
    if (statx(root, ns, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_TYPE, &st) < 0) {
        return -errno;
    }
    int dir = openat(root, ns, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return dir < 0 ? -errno : dir;
}

int ns_open(int root, const char *ns, bool create)
{
    int dir = open_fresh(root, ns);
    if (dir != -ENOENT || !create) {
        return dir;
    }
    return mkdirat(root, ns, 0755) < 0 && errno != EEXIST ? -errno : open_fresh(root, ns);
}

int ns_clone(int dir)
{
    int mount = open_tree(dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (mount < 0 && errno == EINVAL) {
        return -ESTALE; /* the kernel copies no mount that is attached nowhere */
    }
    return mount < 0 ? -errno : mount;
}

int ns_set_flags(int mount, unsigned long flags)
{
    struct mount_attr attr = {.attr_set = mount_flags_attr(flags), .attr_clr = ATTR_ALL};
    return mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int ns_attach(int mount, const char *at)
{
    return move_mount(mount, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}
