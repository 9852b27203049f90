// SPDX-License-Identifier: Apache-2.0
/* vfs_file: open files: opening, making and opening at once, closing. */
#include "flush.h"
#include "vfs.h"
#include "vfs_file_impl.h"
#include "nowait.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

/* ---- letting go of a file ---- */

/* Report that an unlinked file stays in the orphans. The next mount deletes it. */
static void tell_kept(int err)
{
    report(REPORT_WARN, "an unlinked file could not be deleted (%s): kept until the next mount",
           strerror(-err));
}

/* The last close of an unlinked inode: delete its items, which releases the objects that they
 * name. */
static void delete_orphan(struct txn *t, struct vnode *v)
{
    struct state *p = t->p;
    struct items it;
    int err = items_lock(p, v, t, &it);

    if (err < 0)
        return;
    if (it.orphan && !vnode_is_open(p, v->nodeid, false)) {
        err = change_done(t, NULL, items_cut(p, it.tree, range_of_inode(it.ino)));
        if (err < 0)
            tell_kept(err);
    }
    items_unlock(p, &it);
}

/* Has the file no name: has it lost its last one, or did it never have one? */
static bool is_unlinked(const struct vnode *v)
{
    READ_GUARD(&v->ns->lock);
    return v->orphan != 0;
}

/* Close `f`. True if it was the last open of the file. */
static bool let_go(struct vfs_file *f)
{
    bool last;

    if (f->uncached)
        atomic_fetch_sub(&f->v->uncached, 1);
    vfs_not_passthrough(f);
    vnode_close(f->p, f->v, f->write, &last);
    return last;
}

/* Close a file that has a name. The namespace's lock keeps anybody from unlinking it meanwhile.
 * False: it has no name, and nothing was done. */
static bool close_named(struct vfs_file *f)
{
    READ_GUARD(&f->v->ns->lock);

    if (f->v->orphan)
        return false;
    (void)let_go(f);
    return true;
}

/* Close an unlinked file, and delete it if this was the last open. The change that deletes it
 * begins before the close, so that -EWOULDWAIT leaves the file open. */
static int close_unlinked(struct vfs_file *f)
{
    TXN(t);
    int err = txn_begin(f->p, 0, &t);

    if (err == -EWOULDWAIT)
        return err;
    if (!let_go(f) || !is_unlinked(f->v))
        return 0;
    passthrough_file_forget(f->p, f->v->nodeid);
    if (err < 0)
        tell_kept(err);
    else
        delete_orphan(&t, f->v);
    return 0;
}

/* Close and free `f`. The only error is -EWOULDWAIT: then `f` is still open. */
static int close_file(struct vfs_file *f)
{
    int err = close_named(f) ? 0 : close_unlinked(f);

    if (err == 0) {
        ahead_drop(f->p, &f->ahead);
        vnode_put(f->p, f->v);
        free(f);
    }
    return err;
}

/* ---- opening ---- */

/* May the inode be opened? *ret is the inode; it is all zeros for an orphan. */
static int check_open(struct vnode *v, unsigned flags, struct inode *ret)
{
    struct inode in;
    int err = v->ns->live ? inode_load(&v->ns->tree, ns_ino_of(v->ns, v->nodeid), &in) : -ESTALE;

    *ret = (struct inode){0};
    if (v->orphan) /* through /proc/self/fd it is open already; by a name it was to be written */
        return flags & (VFS_WRITE | VFS_TRUNC) && vnode_is_left(v) ? -ESTALE : 0;
    if (err < 0)
        return err;
    if (S_ISDIR(in.mode))
        return -EISDIR;
    if (!S_ISREG(in.mode))
        return -ENXIO;
    *ret = in;
    return flags & (VFS_WRITE | VFS_TRUNC) && ns_is_fixed(v->ns) ? -EROFS : 0;
}

/* Count one open of the file, if it is allowed. -EAGAIN: passthrough_file_prepare has to run
 * first. */
static int count_open(struct state *p, struct vnode *v, unsigned flags,
                      struct passthrough_candidate *c, struct inode *in,
                      struct passthrough_file **ret_passthrough)
{
    READ_GUARD(&v->ns->lock); /* so that no unlink slips in between */
    int err = v->ns->target ? -ELOOP : check_open(v, flags, in);

    c->verify = v->ns->verify;
    return err < 0 ? err : passthrough_file_count_open(p, v, in, flags, c, ret_passthrough);
}

/* Count an open. Prepares passthrough reading without locks and tries again; while a passthrough
 * reader prevents writing it retries for PASSTHROUGH_TRIES pauses. */
static int open_vnode(struct state *p, struct vnode *v, unsigned flags, struct inode *in,
                      struct passthrough_file **ret_passthrough)
{
    struct passthrough_candidate c = {.tried = false};
    int err = count_open(p, v, flags, &c, in, ret_passthrough);

    if (err == -EAGAIN) {
        err = passthrough_file_prepare(p, in, &c);
        if (err == 0)
            err = count_open(p, v, flags, &c, in, ret_passthrough);
    }
    for (unsigned i = 0; err == -ETXTBSY && i < PASSTHROUGH_TRIES; i++) {
        err = passthrough_pause();
        if (err == 0)
            err = count_open(p, v, flags, &c, in, ret_passthrough);
    }
    passthrough_candidate_release(p, &c);
    return err;
}

/* The struct of an open that is counted. */
static void fill_file(struct vfs_file *f, struct state *p, struct vnode *v, unsigned flags)
{
    *f = (struct vfs_file){
        .p = p, .v = v, .write = flags & VFS_WRITE, .noatime = flags & VFS_NOATIME};
}

/* Count an open of the inode, and fill `f` with it. */
static int open_node(struct state *p, uint64_t nodeid, unsigned flags, struct vfs_file *f)
{
    struct passthrough_file *passthrough = NULL;
    struct inode in;
    struct vnode *v;
    int err = nodeid == VFS_ROOT ? -EISDIR : vnode_get(p, nodeid, &v);

    if (err < 0)
        return err;
    err = open_vnode(p, v, flags, &in, &passthrough);
    if (err == 0) {
        fill_file(f, p, v, flags);
        f->passthrough = passthrough;
        lastuse_note_open(p, nodeid, &in);
    }
    vnode_put(p, v);
    return err;
}

/* The truncation of an open. If it fails the file is closed again: nothing was written through it.
 * Where the file was unlinked in that moment, the close may have to wait for room in the log, even
 * in a thread that must not wait. */
static int open_cutting(struct vfs_file *f, unsigned flags, struct vfs_attr *ret)
{
    const struct vfs_attr zero = {0};
    bool before;
    int err =
        vfs_setattr(f->p, f->v->nodeid,
                    VFS_SET_SIZE | (flags & VFS_OPEN_KILL_SUID ? VFS_KILL_SUID : 0), &zero, ret);

    if (err == 0)
        return 0;
    before = thread_set_may_wait(true);
    (void)close_file(f);
    (void)thread_set_may_wait(before);
    return err;
}

/* vfs_open. *ret, the attributes, is filled only if it truncates. */
static int open_file(struct state *p, uint64_t nodeid, unsigned flags, struct vfs_attr *ret,
                     struct vfs_file **ret_file)
{
    struct vfs_file *f = calloc(1, sizeof *f);
    int err = f ? open_node(p, nodeid, flags, f) : -ENOMEM;

    if (err < 0) {
        free(f);
        return err;
    }
    if (f->passthrough && !f->noatime)
        atime_touch(p, f->v);
    if (flags & VFS_TRUNC)
        err = open_cutting(f, flags, ret);
    if (err == 0)
        *ret_file = f;
    return err;
}

int vfs_open(struct state *p, uint64_t nodeid, unsigned flags, struct vfs_file **ret_file)
{
    struct vfs_attr attr;

    return open_file(p, nodeid, flags, &attr, ret_file);
}

/* Open a file by its name. */
static int open_named(struct state *p, uint64_t parent, const char *name, unsigned flags,
                      struct vfs_attr *ret, struct vfs_file **ret_file)
{
    int err = vfs_lookup(p, parent, name, ret);

    if (err < 0)
        return err;
    err = open_file(p, ret->nodeid, flags, ret, ret_file);
    if (err < 0)
        vfs_forget(p, ret->nodeid, 1);
    return err;
}

/* Make a file, without a name if `name` is NULL. What is made is opened in the same change: an
 * error behind it, or -EWOULDWAIT, would leave a file that the next try finds. */
static int make_opened(struct state *p, uint64_t parent, const char *name, uint32_t mode,
                       const struct vfs_cred *cred, unsigned flags, struct vfs_attr *ret,
                       struct vfs_file **ret_file)
{
    struct vfs_file *f = calloc(1, sizeof *f);
    struct vnode *v;
    int err = f ? make_file(p, parent, name, mode, cred, flags, ret, &v) : -ENOMEM;

    if (err < 0) {
        free(f);
        return err;
    }
    fill_file(f, p, v, flags);
    vnode_put(p, v);
    *ret_file = f;
    return 0;
}

int vfs_create(struct state *p, uint64_t parent, const char *name, uint32_t mode,
               const struct vfs_cred *cred, unsigned flags, struct vfs_attr *ret,
               struct vfs_file **ret_file)
{
    int err = make_opened(p, parent, name, mode, cred, flags, ret, ret_file);

    return err == -EEXIST && !(flags & VFS_EXCL) ? open_named(p, parent, name, flags, ret, ret_file)
                                                 : err;
}

int vfs_tmpfile(struct state *p, uint64_t parent, uint32_t mode, const struct vfs_cred *cred,
                unsigned flags, struct vfs_attr *ret, struct vfs_file **ret_file)
{
    return make_opened(p, parent, NULL, mode, cred, flags, ret, ret_file);
}

int vfs_open_object(struct state *p, const struct id *id, struct vfs_file **ret_file)
{
    struct vfs_file *f;
    struct entry e;
    uint64_t number;
    int err = refs_find_logged(p->refs, id, &number, &e);

    if (err < 0)
        return err;
    f = entry_is_sealed(&e) && e.count ? calloc(1, sizeof *f) : NULL;
    if (!f) {
        refs_unhold(p->refs, number);
        return entry_is_sealed(&e) && e.count ? -ENOMEM : -ENOENT;
    }
    lastuse_note_object(p, number);
    *f = (struct vfs_file){.p = p, .object = number};
    *ret_file = f;
    return 0;
}

/* ---- writing past a cache ---- */

void vfs_set_uncached(struct vfs_file *f)
{
    if (!atomic_exchange(&f->uncached, true))
        atomic_fetch_add(&f->v->uncached, 1);
}

/* ---- closing ---- */

int vfs_release(struct vfs_file *f)
{
    if (!f->v) {
        refs_unhold(f->p->refs, f->object);
        free(f);
        return 0;
    }
    int err = f->write ? file_consolidate(f->p, f->v) : 0;

    return err < 0 ? err : close_file(f);
}

/* ---- passthrough reading ---- */

bool vfs_is_passthrough(const struct vfs_file *f)
{
    return f->passthrough;
}

int vfs_passthrough_fd(const struct vfs_file *f)
{
    return blob_fd(f->passthrough->blob);
}

void vfs_not_passthrough(struct vfs_file *f)
{
    if (f->passthrough)
        passthrough_file_close(f->p, f->passthrough);
    f->passthrough = NULL;
}
