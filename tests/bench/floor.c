// SPDX-License-Identifier: Apache-2.0
/*
 * floor: a filesystem in memory that does as little as can be done for a request, over tallyfs's
 * own transport, with its INIT and its timeouts. What it costs is what FUSE costs on this machine;
 * what tallyfs costs beyond it is tallyfs's.
 *
 *     bench-floor [-o OPTION,…] MOUNTPOINT     in the foreground, until it is unmounted
 *
 *     transport=auto|uring|threads             as tally mount has it
 *     noxattr                                  questions for extended attributes end with the first
 *
 * When it ends it prints the number of requests of each kind, a line "OPCODE NUMBER" each.
 *
 * It answers as tallyfs does, so that the kernel asks the same: everything is kept for ever but
 * names at the root, missing names are remembered, data is kept over an open unless a read is to
 * move the access time, flush is unknown. Extended attributes it has none; fsync has nothing to do.
 * It is for measurements: a failed answer leaves a reference too many, and an exchange by rename is
 * refused.
 */
#include "floor_mem.h"
#include "below.h"
#include "fs.h"
#include "init.h"
#include "loop.h"
#include "mount.h"
#include "reply.h"
#include "ring.h"
#include "session.h"
#include "translate.h"
#include "uncached.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DAY (24 * 60 * 60)

static bool no_xattr;

static void lock_read(struct node *n)
{
    pthread_rwlock_rdlock(&n->lock);
}

static void lock(struct node *n)
{
    pthread_rwlock_wrlock(&n->lock);
}

static void unlock(struct node *n)
{
    pthread_rwlock_unlock(&n->lock);
}

/* ---- names ---- */

static struct fuse_entry_param entry_of(fuse_ino_t parent, const struct node *n)
{
    return (struct fuse_entry_param){
        .ino = mem_id(n),
        .attr_timeout = FS_FOREVER,
        .entry_timeout = parent == FUSE_ROOT_ID ? FS_ROOT_NAMES : FS_FOREVER,
    };
}

static void floor_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct node *dir = mem_node(parent);
    struct fuse_entry_param e = {.entry_timeout = FS_FOREVER};
    lock_read(dir);
    const struct name *found = mem_find(dir, name);
    if (found != NULL) {
        e = entry_of(parent, found->node);
        mem_take(found->node, &e.attr);
    }
    unlock(dir);
    if (found == NULL && parent == FUSE_ROOT_ID)
        fuse_reply_err(req, ENOENT);
    else
        fuse_reply_entry(req, &e);
}

static void floor_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    mem_drop(mem_node(ino), count, false);
    fuse_reply_none(req);
}

static void floor_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        mem_drop(mem_node(forgets[i].ino), forgets[i].nlookup, false);
    fuse_reply_none(req);
}

/* As the directory's set-gid bit and the umask have it. `target`: of a symlink, else NULL. */
static struct node *make(fuse_req_t req, struct node *dir, mode_t mode, dev_t rdev,
                         const char *target)
{
    const struct fuse_ctx *c = fuse_req_ctx(req);
    const bool inherits = (dir->st.st_mode & S_ISGID) != 0;
    mode &= target != NULL ? ~(mode_t)0 : ~c->umask;
    if (inherits && S_ISDIR(mode))
        mode |= S_ISGID;
    struct node *n = mem_new(mode, c->uid, inherits ? dir->st.st_gid : c->gid);
    if (n == NULL)
        return NULL;
    n->st.st_rdev = rdev;
    if (S_ISDIR(mode))
        n->parent = dir;
    if (target != NULL) {
        n->st.st_size = (off_t)strlen(target);
        n->target = strdup(target);
        if (n->target == NULL) {
            mem_drop(n, 0, true);
            return NULL;
        }
    }
    return n;
}

/* A node and its name; 0, or the errno. `e` for the answer. */
static int add_new(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev,
                   const char *target, struct fuse_entry_param *e)
{
    struct node *dir = mem_node(parent);
    int r = EEXIST;
    lock(dir);
    if (mem_find(dir, name) == NULL) {
        struct node *n = make(req, dir, mode, rdev, target);
        r = n == NULL || mem_add(dir, name, n) < 0 ? ENOMEM : 0;
        if (r == 0) {
            *e = entry_of(parent, n);
            mem_take(n, &e->attr);
        } else if (n != NULL) {
            mem_drop(n, 0, true);
        }
    }
    unlock(dir);
    return r;
}

static void reply_new(fuse_req_t req, int r, const struct fuse_entry_param *e)
{
    if (r != 0)
        fuse_reply_err(req, r);
    else
        fuse_reply_entry(req, e);
}

static void floor_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                        dev_t rdev)
{
    struct fuse_entry_param e;
    reply_new(req, add_new(req, parent, name, mode, rdev, NULL, &e), &e);
}

static void floor_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct fuse_entry_param e;
    mode = (mode & ~(mode_t)S_IFMT) | S_IFDIR;
    reply_new(req, add_new(req, parent, name, mode, 0, NULL, &e), &e);
}

static void floor_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param e;
    reply_new(req, add_new(req, parent, name, S_IFLNK | 0777, 0, target, &e), &e);
}

static void floor_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
    struct node *dir = mem_node(newparent), *n = mem_node(ino);
    struct fuse_entry_param e = entry_of(newparent, n);
    lock(dir);
    int r = mem_find(dir, newname) != NULL ? EEXIST : -mem_add(dir, newname, n);
    if (r == 0) {
        lock(n);
        n->st.st_nlink++;
        n->st.st_ctim = mem_now();
        unlock(n);
        mem_take(n, &e.attr);
    }
    unlock(dir);
    reply_new(req, r, &e);
}

/* 0, or why that one cannot go: the errno. */
static int check_remove(const struct name *name, bool want_dir)
{
    if (name == NULL)
        return ENOENT;
    const bool is_dir = S_ISDIR(name->node->st.st_mode);
    if (is_dir != want_dir)
        return is_dir ? EISDIR : ENOTDIR;
    return is_dir && name->node->names > 0 ? ENOTEMPTY : 0;
}

static int remove_name(struct node *dir, struct name *name)
{
    struct node *n = name->node;
    mem_remove(dir, name);
    mem_drop(n, 0, true);
    return 0;
}

static void floor_remove(fuse_req_t req, fuse_ino_t parent, const char *text, bool is_dir)
{
    struct node *dir = mem_node(parent);
    lock(dir);
    struct name *name = mem_find(dir, text);
    int r = check_remove(name, is_dir);
    if (r == 0)
        r = remove_name(dir, name);
    unlock(dir);
    fuse_reply_err(req, r);
}

static void floor_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    floor_remove(req, parent, name, false);
}

static void floor_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    floor_remove(req, parent, name, true);
}

/* Both are locked. */
static int move(struct node *from, const char *text, struct node *to, const char *totext,
                unsigned flags)
{
    struct name *name = mem_find(from, text), *there = mem_find(to, totext);
    if (name == NULL)
        return ENOENT;
    if ((flags & RENAME_NOREPLACE) != 0 && there != NULL)
        return EEXIST;
    if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0)
        return EINVAL;
    struct node *n = name->node;
    if (there != NULL && there->node == n)
        return 0;
    int r = there == NULL ? 0 : check_remove(there, S_ISDIR(n->st.st_mode));
    if (r == 0 && there != NULL)
        r = remove_name(to, there);
    if (r == 0)
        r = -mem_add(to, totext, n);
    if (r != 0)
        return r;
    mem_remove(from, name);
    lock(n);
    n->st.st_ctim = mem_now();
    if (S_ISDIR(n->st.st_mode))
        n->parent = to;
    unlock(n);
    return 0;
}

static void floor_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                         const char *newname, unsigned flags)
{
    struct node *from = mem_node(parent), *to = mem_node(newparent);
    lock(from < to ? from : to);
    if (from != to)
        lock(from < to ? to : from);
    int r = move(from, name, to, newname, flags);
    unlock(from);
    if (from != to)
        unlock(to);
    fuse_reply_err(req, r);
}

static void floor_readlink(fuse_req_t req, fuse_ino_t ino)
{
    fuse_reply_readlink(req, mem_node(ino)->target); /* never changes */
}

/* ---- attributes ---- */

static void floor_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *n = mem_node(ino);
    (void)fi;
    lock_read(n);
    const struct stat st = n->st;
    unlock(n);
    fuse_reply_attr(req, &st, FS_FOREVER);
}

static void drop_set_ids(struct node *n)
{
    if (S_ISREG(n->st.st_mode))
        n->st.st_mode &=
            ~(mode_t)(S_ISUID | ((n->st.st_mode & S_IXGRP) != 0 ? (mode_t)S_ISGID : 0));
}

static void set_times(struct stat *st, const struct stat *in, int to_set)
{
    const struct timespec now = mem_now();
    if ((to_set & FUSE_SET_ATTR_ATIME) != 0)
        st->st_atim = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0 ? now : in->st_atim;
    if ((to_set & FUSE_SET_ATTR_MTIME) != 0)
        st->st_mtim = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0 ? now : in->st_mtim;
    st->st_ctim = (to_set & FUSE_SET_ATTR_CTIME) != 0 ? in->st_ctim : now;
}

static void floor_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *in, int to_set,
                          struct fuse_file_info *fi)
{
    struct node *n = mem_node(ino);
    (void)fi;
    lock(n);
    if (to_set == 0 || (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_KILL_SUID)))
        drop_set_ids(n);
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0)
        mem_cut(n, (uint64_t)in->st_size);
    if ((to_set & FUSE_SET_ATTR_MODE) != 0)
        n->st.st_mode = (n->st.st_mode & S_IFMT) | (in->st_mode & ~(mode_t)S_IFMT);
    if ((to_set & FUSE_SET_ATTR_UID) != 0)
        n->st.st_uid = in->st_uid;
    if ((to_set & FUSE_SET_ATTR_GID) != 0)
        n->st.st_gid = in->st_gid;
    if (to_set != 0)
        set_times(&n->st, in, to_set);
    const struct stat st = n->st;
    unlock(n);
    fuse_reply_attr(req, &st, FS_FOREVER);
}

static void floor_statfs(fuse_req_t req, fuse_ino_t ino)
{
    const struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_blocks = 1 << 28,
                               .f_bfree = 1 << 27, .f_bavail = 1 << 27, .f_files = 1 << 28,
                               .f_ffree = 1 << 27, .f_favail = 1 << 27, .f_namemax = 255};
    (void)ino;
    fuse_reply_statfs(req, &st);
}

static void floor_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    (void)ino;
    (void)name;
    (void)size;
    fuse_reply_err(req, no_xattr ? ENOSYS : ENODATA);
}

static void floor_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    (void)ino;
    if (no_xattr)
        fuse_reply_err(req, ENOSYS);
    else if (size == 0)
        fuse_reply_xattr(req, 0);
    else
        fuse_reply_buf(req, NULL, 0);
}

static void floor_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                           size_t size, int flags)
{
    (void)ino;
    (void)name;
    (void)value;
    (void)size;
    (void)flags;
    fuse_reply_err(req, EOPNOTSUPP);
}

/* ---- files ---- */

static bool is_after(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* relatime */
static bool atime_due(const struct stat *st)
{
    const struct timespec now = mem_now();
    return is_after(&now, &st->st_atim) &&
           (!is_after(&st->st_atim, &st->st_mtim) || !is_after(&st->st_atim, &st->st_ctim) ||
            now.tv_sec - st->st_atim.tv_sec >= DAY);
}

static void opened(const struct node *n, struct fuse_file_info *fi)
{
    fi->fh = 0;
    fi->keep_cache = (fi->flags & O_ACCMODE) == O_WRONLY || (fi->flags & O_NOATIME) != 0 ||
                     !atime_due(&n->st);
}

static void floor_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *n = mem_node(ino);
    const bool cut = (fi->flags & O_TRUNC) != 0;
    if (cut)
        lock(n);
    else
        lock_read(n);
    if (cut && translate_asks_kill())
        drop_set_ids(n);
    if (cut)
        mem_cut(n, 0);
    opened(n, fi);
    fi->direct_io = cut && uncached_wanted(fs_of(req), fi->flags);
    unlock(n);
    fuse_reply_open(req, fi);
}

/* With O_TMPFILE: a file that has no name. */
static int add_unnamed(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_entry_param *e)
{
    struct node *n = make(req, mem_node(parent), mode, 0, NULL);
    if (n == NULL)
        return ENOMEM;
    n->st.st_nlink = 0;
    *e = entry_of(parent, n);
    mem_take(n, &e->attr);
    return 0;
}

static void floor_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                         struct fuse_file_info *fi)
{
    struct fuse_entry_param e;
    int r = strcmp(name, INIT_TMPFILE_NAME) == 0
                ? add_unnamed(req, parent, mode, &e)
                : add_new(req, parent, name, mode, 0, NULL, &e);
    if (r != 0) {
        fuse_reply_err(req, r);
        return;
    }
    opened(mem_node(e.ino), fi);
    fi->direct_io = uncached_wanted(fs_of(req), fi->flags);
    fuse_reply_create(req, &e, fi);
}

static void touch_atime(struct node *n)
{
    lock(n);
    n->st.st_atim = mem_now();
    unlock(n);
}

static void floor_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    struct node *n = mem_node(ino);
    lock_read(n);
    const bool due = (fi->flags & O_NOATIME) == 0 && atime_due(&n->st);
    if (off >= n->st.st_size)
        size = 0;
    else if ((off_t)size > n->st.st_size - off)
        size = (size_t)(n->st.st_size - off);
    const char *at = mem_bytes(n, size, (uint64_t)off);
    char *buf = at != NULL || size == 0 ? NULL : fs_buffer(size);
    if (buf != NULL)
        mem_read(n, buf, size, (uint64_t)off);
    if (size > 0 && at == NULL && buf == NULL)
        fuse_reply_err(req, ENOMEM);
    else
        fuse_reply_buf(req, at != NULL ? at : buf, size); /* one copy, by the transport */
    unlock(n);
    if (due)
        touch_atime(n);
}

static void floor_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                        struct fuse_file_info *fi)
{
    struct node *n = mem_node(ino);
    (void)fi;
    lock(n);
    if (translate_asks_kill())
        drop_set_ids(n);
    int r = mem_write(n, buf, size, (uint64_t)off);
    unlock(n);
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_write(req, size);
}

static void floor_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, 0);
}

static void floor_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    floor_done(req, ino, fi);
}

/* ---- directories ---- */

static void floor_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (fs_of(req)->dirs_unopened) {
        fuse_reply_err(req, ENOSYS);
        return;
    }
    (void)ino;
    fi->fh = 0;
    fi->keep_cache = 1;
    fi->cache_readdir = 1;
    fuse_reply_open(req, fi);
}

struct listing {
    fuse_req_t req;
    char *buf;
    size_t used, room;
    bool plus;
};

/* False: full. */
static bool add(struct listing *l, const char *text, const struct fuse_entry_param *e, off_t next)
{
    char *at = l->buf + l->used;
    const size_t left = l->room - l->used;
    const size_t need = l->plus ? fuse_add_direntry_plus(l->req, at, left, text, e, next)
                                : fuse_add_direntry(l->req, at, left, text, &e->attr, next);
    if (need > left)
        return false;
    l->used += need;
    return true;
}

static bool add_dots(struct listing *l, const char *text, const struct node *n, off_t next)
{
    const struct fuse_entry_param e = {.attr = {.st_ino = mem_id(n), .st_mode = S_IFDIR}};
    return add(l, text, &e, next);
}

static bool add_name(struct listing *l, fuse_ino_t parent, const struct name *name, off_t next)
{
    struct fuse_entry_param e = entry_of(parent, name->node);
    if (l->plus)
        mem_take(name->node, &e.attr);
    else
        e.attr = (struct stat){.st_ino = mem_id(name->node), .st_mode = name->node->st.st_mode};
    const bool fits = add(l, name->text, &e, next);
    if (l->plus && !fits)
        mem_drop(name->node, 1, false);
    return fits;
}

/* The cookie of an entry counts it and all before it, "." and ".." first. The directory is
 * locked. */
static void list(struct listing *l, fuse_ino_t ino, const struct node *dir, off_t off)
{
    if (off < 1 && !add_dots(l, ".", dir, 1))
        return;
    if (off < 2 && !add_dots(l, "..", dir->parent, 2))
        return;
    for (size_t i = off < 2 ? 0 : (size_t)off - 2; i < dir->slot_count; i++)
        if (dir->slots[i] != NULL && !add_name(l, ino, dir->slots[i], (off_t)i + 3))
            return;
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
    struct node *dir = mem_node(ino);
    struct listing l = {.req = req, .buf = fs_buffer(size), .room = size, .plus = plus};
    if (l.buf == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    lock_read(dir);
    list(&l, ino, dir, off);
    const bool due = atime_due(&dir->st);
    unlock(dir);
    if (due)
        touch_atime(dir);
    fuse_reply_buf(req, l.buf, l.used);
}

static void floor_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                          struct fuse_file_info *fi)
{
    (void)fi;
    read_dir(req, ino, size, off, false);
}

static void floor_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                              struct fuse_file_info *fi)
{
    (void)fi;
    read_dir(req, ino, size, off, true);
}

static const struct fuse_lowlevel_ops floor_ops = {
    .init = init_op,
    .lookup = floor_lookup,
    .forget = floor_forget,
    .forget_multi = floor_forget_multi,
    .getattr = floor_getattr,
    .setattr = floor_setattr,
    .readlink = floor_readlink,
    .mknod = floor_mknod,
    .mkdir = floor_mkdir,
    .symlink = floor_symlink,
    .unlink = floor_unlink,
    .rmdir = floor_rmdir,
    .rename = floor_rename,
    .link = floor_link,
    .statfs = floor_statfs,
    .getxattr = floor_getxattr,
    .listxattr = floor_listxattr,
    .setxattr = floor_setxattr,
    .open = floor_open,
    .create = floor_create,
    .read = floor_read,
    .write = floor_write,
    .release = floor_done,
    .fsync = floor_fsync,
    .fsyncdir = floor_fsync,
    .opendir = floor_opendir,
    .readdir = floor_readdir,
    .readdirplus = floor_readdirplus,
    .releasedir = floor_done,
};

/* ---- the mount ---- */

static void print_requests(const struct requests *r)
{
    struct view_count kinds[REQUESTS_KINDS];
    const size_t n = requests_list(r, kinds);
    for (size_t i = 0; i < n; i++)
        printf("%s %" PRIu64 "\n", kinds[i].name, kinds[i].count);
}

static int serve(struct fs *fs)
{
    int r = init_hook(fs);
    if (r == 0)
        r = loop_run(fs);
    loop_hold(fs);
    loop_end(fs);
    return r;
}

/* 0 or -errno; `why`, where it is known. */
static int mount_and_serve(struct fs *fs, char *why, size_t why_len)
{
    int r = mem_start();
    if (r == 0)
        r = session_new(fs, &floor_ops);
    if (r < 0)
        return r;
    if (fuse_set_signal_handlers(fs->se) < 0 || fuse_session_mount(fs->se, fs->o->mountpoint) < 0) {
        fuse_session_destroy(fs->se);
        return -EIO; /* libfuse said why */
    }
    r = loop_prepare(fs, why, why_len);
    if (r == 0)
        r = serve(fs);
    fuse_session_unmount(fs->se);
    ring_free(fs->ring);
    fuse_remove_signal_handlers(fs->se);
    fuse_session_destroy(fs->se);
    return r;
}

/* False: there is no such option. */
static bool take_option(const char *text, struct fs_options *o)
{
    static const char *const transports[] = {
        [FS_TRANSPORT_AUTO] = "transport=auto",
        [FS_TRANSPORT_URING] = "transport=uring",
        [FS_TRANSPORT_THREADS] = "transport=threads",
    };
    for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
        if (strcmp(text, transports[i]) == 0) {
            o->transport = (enum fs_transport)i;
            return true;
        }
    no_xattr = no_xattr || strcmp(text, "noxattr") == 0;
    return strcmp(text, "noxattr") == 0;
}

static bool take_arguments(int argc, char **argv, struct fs_options *o)
{
    int c;
    while ((c = getopt(argc, argv, "o:")) == 'o')
        for (const char *t = strtok(optarg, ","); t != NULL; t = strtok(NULL, ","))
            if (!take_option(t, o))
                return false;
    return c == -1 && argc - optind == 1;
}

int main(int argc, char **argv)
{
    static struct requests none;
    struct fs_options o = {.store = "floor", .allow_other = true, .extra = "subtype=floor"};
    struct fs fs = {.o = &o, .hooks = &fs_hooks, .requests = none};
    char why[256] = "";
    if (!take_arguments(argc, argv, &o)) {
        fprintf(stderr,
                "usage: bench-floor [-o transport=auto|uring|threads,noxattr] MOUNTPOINT\n");
        return 2;
    }
    o.mountpoint = argv[optind];
    mutex_init(&fs.handles_lock, "handles");
    below_all();
    int r = mount_and_serve(&fs, why, sizeof(why));
    if (r < 0)
        fprintf(stderr, "bench-floor: %s\n", why[0] != '\0' ? why : strerror(-r));
    else
        print_requests(&fs.requests);
    return r < 0 ? 1 : 0;
}
