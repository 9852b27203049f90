// SPDX-License-Identifier: Apache-2.0
/*
 * passthrough: see the header. The table has each inode that core has opened by passthrough, with
 * its backing id and the number of its opens. The first open gets the id from the kernel, and the
 * last one gives it back. If the kernel gave no id, the table has 0 until then: those opens are
 * answered without passthrough, and core is informed (vfs_not_passthrough).
 *
 * libfuse 3.14 does not know passthrough, so the answer is built here.
 *
 * Locks: "passthrough", a leaf. It is held during the system call that gets or gives back an id,
 * and across no reply.
 */
#include "passthrough.h"

#include "disk.h"
#include "handle.h"
#include "init.h"
#include "map64.h"
#include "passthrough_table.h"
#include "reply.h"
#include "report.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

/* From linux/fuse.h: the parts that are used here. */
struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)
#define FOPEN_PASSTHROUGH (1u << 7)
struct open_out {
    uint64_t fh;
    uint32_t open_flags;
    int32_t backing_id;
};

#define TRIAL_NAME "slots/trial" /* where objects are: not among the other files in a pool */
#define ID_SHIFT 32              /* a value of the table: the id, and below it the opens */

struct passthrough {
    enum fs_passthrough option;
    struct disk *disk;
    struct disk_file *trial; /* an unlinked file; NULL from passthrough_begin on */
    uint32_t depth;          /* for passthrough_wanted */
    _Atomic bool on;
    _Atomic(const char *) why; /* the last of `text`: why it is off */
    char text[3][128];         /* never overwritten, since another thread may read `why` */
    unsigned texts;            /* how many of `text` are used; refuse is called 3 times at most */
    struct mutex lock;
    struct map64 files; /* guarded by: lock; nodeid -> id and opens */
};

/* Notes why there is no passthrough. `err`: a positive errno, or 0. */
static void refuse(struct passthrough *pt, const char *why, int err)
{
    char *text = pt->text[pt->texts++];
    snprintf(text, sizeof(pt->text[0]), "no: %s%s%s", why, err == 0 ? "" : ": ",
             err == 0 ? "" : strerror(err));
    atomic_store(&pt->why, text);
}

/* ---- is passthrough possible? ---- */

/* Makes an unlinked file on the disk of the objects, to try leases and passthrough with. */
static int make_trial(struct passthrough *pt)
{
    int err = disk_open(pt->disk, TRIAL_NAME, DISK_CREATE, &pt->trial);
    if (err == -EEXIST) { /* a daemon was killed before it unlinked the file */
        (void)disk_unlink(pt->disk, TRIAL_NAME);
        err = disk_open(pt->disk, TRIAL_NAME, DISK_CREATE, &pt->trial);
    }
    if (err == 0)
        err = disk_unlink(pt->disk, TRIAL_NAME);
    return err;
}

/* Looks whether the store's disk allows passthrough: a lease must tell who maps a file
 * (vfs_passthrough_probe). On overlayfs one more level of stacked filesystems is needed. */
static void look_at_disk(struct passthrough *pt)
{
    struct statfs st;
    int err = make_trial(pt);
    if (err < 0) {
        refuse(pt, "no file can be made to try it", -err);
        return;
    }
    const int fd = disk_fd(pt->trial);
    err = fd < 0 ? -EBADF : vfs_passthrough_probe(fd);
    if (err == 0)
        err = fstatfs(fd, &st) < 0 ? -errno : 0;
    if (err < 0)
        refuse(pt, "the store's disk takes no leases", -err);
    else
        pt->depth = st.f_type == OVERLAYFS_SUPER_MAGIC ? 2 : 1;
}

int passthrough_prepare(struct fs *fs)
{
    struct passthrough *pt = calloc(1, sizeof(*pt));
    if (!pt)
        return -ENOMEM;
    mutex_init(&pt->lock, "passthrough");
    pt->option = fs->o->passthrough;
    pt->disk = fs->o->state.disk;
    refuse(pt, "the kernel does not offer it", 0);
    if (pt->option == FS_PASSTHROUGH_OFF)
        refuse(pt, "passthrough=off", 0);
    else
        look_at_disk(pt);
    fs->passthrough = pt;
    return 0;
}

uint32_t passthrough_wanted(struct fs *fs)
{
    const bool offered = (atomic_load(&fs->init_offered2) & INIT2_PASSTHROUGH) != 0;
    return offered && fs->passthrough ? fs->passthrough->depth : 0;
}

static int backing_open(struct fs *fs, int fd)
{
    struct backing_map m = {.fd = fd};
    const int id = ioctl(fuse_session_fd(fs->se), BACKING_OPEN, &m);
    return id < 0 ? -errno : id;
}

static void backing_close(struct fs *fs, uint32_t id)
{
    (void)ioctl(fuse_session_fd(fs->se), BACKING_CLOSE, &id); /* it fails after the unmount */
}

void passthrough_begin(struct fs *fs)
{
    struct passthrough *pt = fs->passthrough;
    if (!pt) /* a session without a store (tests/bench/floor.c) */
        return;
    if (passthrough_wanted(fs) != 0) {
        const int id = backing_open(fs, disk_fd(pt->trial));
        if (id > 0) {
            backing_close(fs, (uint32_t)id);
            atomic_store(&pt->on, true);
        } else if (id == -EPERM) {
            refuse(pt, "needs root", 0);
        } else {
            refuse(pt, "the kernel will not do it", -id);
        }
    }
    disk_file_close(pt->trial);
    pt->trial = NULL;
    if (!atomic_load(&pt->on) && pt->option != FS_PASSTHROUGH_OFF)
        report(REPORT_NOTE, "large files are not read by the kernel itself (passthrough %s)",
               passthrough_state(fs));
}

void passthrough_free(struct passthrough *pt)
{
    if (!pt)
        return;
    disk_file_close(pt->trial);
    map64_release(&pt->files);
    mutex_destroy(&pt->lock);
    free(pt);
}

unsigned passthrough_flags(const struct fs *fs)
{
    const struct passthrough *pt = fs->passthrough;
    if (!atomic_load_explicit(&pt->on, memory_order_relaxed))
        return 0;
    return VFS_MAY_PASSTHROUGH | (pt->option == FS_PASSTHROUGH_ALL ? VFS_PASSTHROUGH_ALL : 0);
}

const char *passthrough_state(const struct fs *fs)
{
    const struct passthrough *pt = fs->passthrough;
    return atomic_load(&pt->on) ? "yes" : atomic_load(&pt->why);
}

/* ---- files ---- */

/* Counts one more open of the inode. Returns its backing id; 0: the kernel gave none. -ENOMEM. */
static int64_t take_id(struct fs *fs, uint64_t nodeid, const struct vfs_file *f)
{
    struct passthrough *pt = fs->passthrough;
    uint64_t v = 0;
    MUTEX_GUARD(&pt->lock);
    const bool first = !map64_get(&pt->files, nodeid, &v);
    int err = map64_put(&pt->files, nodeid, v + 1);
    if (err < 0)
        return err;
    if (first) {
        const int id = backing_open(fs, vfs_passthrough_fd(f));
        v = (uint64_t)(id > 0 ? id : 0) << ID_SHIFT;
        (void)map64_put(&pt->files, nodeid, v + 1); /* cannot fail: the key exists */
    }
    return (int64_t)(v >> ID_SHIFT);
}

/* Counts one open less, and gives the id back with the last one. */
static void drop_id(struct fs *fs, uint64_t nodeid)
{
    struct passthrough *pt = fs->passthrough;
    uint64_t v = 0;
    MUTEX_GUARD(&pt->lock);
    if (!map64_get(&pt->files, nodeid, &v))
        return;
    if ((uint32_t)v > 1) {
        (void)map64_put(&pt->files, nodeid, v - 1);
        return;
    }
    (void)map64_del(&pt->files, nodeid);
    if (v >> ID_SHIFT != 0)
        backing_close(fs, (uint32_t)(v >> ID_SHIFT));
}

void passthrough_close(struct fs *fs, struct handle *h)
{
    if (h->backed != 0)
        drop_id(fs, h->backed);
    h->backed = 0;
}

/* The answer to OPEN with a backing id. The flags of `fi` must not be sent: KEEP_CACHE and
 * passthrough exclude each other. */
static int reply_passthrough(fuse_req_t req, const struct handle *h, int64_t id)
{
    const struct open_out out = {
        .fh = (uintptr_t)h, .open_flags = FOPEN_PASSTHROUGH, .backing_id = (int32_t)id};
    return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

void passthrough_reply_open(fuse_req_t req, uint64_t nodeid, struct handle *h,
                            const struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    int64_t id = 0;
    if (vfs_is_passthrough(h->file)) {
        id = take_id(fs, nodeid, h->file);
        if (id < 0) {
            handle_free(fs, h);
            fs_reply_err(req, id);
            return;
        }
        h->backed = nodeid;
        if (id == 0)
            vfs_not_passthrough(h->file);
    }
    if ((id > 0 ? reply_passthrough(req, h, id) : fuse_reply_open(req, fi)) != 0)
        handle_free(fs, h); /* the kernel did not take it, so no RELEASE will come */
}
