// SPDX-License-Identifier: Apache-2.0
/*
 * forgetful: a filesystem over tallyfs's own transport that makes the kernel send a FORGET as a
 * request that somebody waits for, which it else does where it has no memory for an entry of a
 * listing: its root lists entries of no type, which the kernel cannot take.
 *
 *     forgetful TRANSPORT MOUNTPOINT     in the foreground, until it is unmounted
 *
 * When it ends it prints how many it was told to forget. A request for extended attributes it
 * leaves unanswered.
 */
#include "fs.h"
#include "init.h"
#include "loop.h"
#include "mount.h"
#include "reply.h"
#include "ring.h"
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ENTRIES 3
#define FIRST 100 /* node of the first entry */

static _Atomic unsigned forgotten;

static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    (void)count;
    if (ino >= FIRST)
        forgotten++;
    fuse_reply_none(req);
}

static void get_attr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const struct stat st = {.st_ino = ino, .st_mode = S_IFDIR | 0755, .st_nlink = 2};
    (void)fi;
    fuse_reply_attr(req, &st, FS_FOREVER);
}

static void look_up(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent;
    (void)name;
    fuse_reply_err(req, ENOENT);
}

static void open_dir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, ENOSYS);
}

static void read_dir_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                          struct fuse_file_info *fi)
{
    char buf[1024];
    size_t used = 0;
    (void)ino;
    (void)fi;
    for (off_t i = off; i < ENTRIES; i++) {
        const struct fuse_entry_param e = {.ino = FIRST + (fuse_ino_t)i, .attr = {.st_ino = 1}};
        used += fuse_add_direntry_plus(req, buf + used, sizeof(buf) - used, "untyped", &e, i + 1);
    }
    fuse_reply_buf(req, buf, used < size ? used : 0);
}

/* What a fault in an operation would do. */
static void get_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    (void)ino;
    (void)name;
    (void)size;
    fuse_reply_none(req);
}

static const struct fuse_lowlevel_ops ops = {
    .init = init_op,
    .lookup = look_up,
    .forget = forget,
    .getattr = get_attr,
    .opendir = open_dir,
    .readdirplus = read_dir_plus,
    .getxattr = get_xattr,
};

static int serve(struct fs *fs, char *why, size_t why_len)
{
    int r = loop_prepare(fs, why, why_len);
    if (r == 0)
        r = init_hook(fs);
    if (r == 0)
        r = loop_run(fs);
    loop_hold(fs);
    loop_end(fs);
    return r;
}

int main(int argc, char **argv)
{
    static struct requests none;
    struct fs_options o = {.store = "forgetful", .allow_other = true};
    struct fs fs = {.o = &o, .hooks = &fs_hooks, .requests = none};
    char why[256] = "";
    if (argc != 3)
        return 2;
    o.transport = strcmp(argv[1], "uring") == 0 ? FS_TRANSPORT_URING : FS_TRANSPORT_THREADS;
    o.mountpoint = argv[2];
    mutex_init(&fs.handles_lock, "handles");
    int r = session_new(&fs, &ops);
    if (r < 0 || fuse_set_signal_handlers(fs.se) < 0 ||
        fuse_session_mount(fs.se, o.mountpoint) < 0)
        return 1;
    r = serve(&fs, why, sizeof(why));
    fuse_session_unmount(fs.se);
    ring_free(fs.ring);
    fuse_remove_signal_handlers(fs.se);
    fuse_session_destroy(fs.se);
    if (r < 0)
        fprintf(stderr, "forgetful: %s\n", why[0] != '\0' ? why : strerror(-r));
    printf("forgotten %u\n", forgotten);
    return r < 0 ? 1 : 0;
}
