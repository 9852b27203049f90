// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_file: open files: opening, reading, sharing ranges, closing.
 *
 * A file's bytes are the first `valid` bytes of its object (the base). Extents override whole
 * grains of it, and patches override parts of grains. All other bytes are zeros. A read first maps
 * the range to pieces, with the namespace's lock held, and then reads the pieces without it. If an
 * object does not exist any more by then (the inode has got the real number in place of an alias),
 * the range is mapped once more.
 */
#include "flush.h"
#include "vfs.h"
#include "vfs_file_impl.h"
#include "vfs_remote.h"
#include "nowait.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

#define READ_STEP (1024 * 1024) /* bytes mapped at once */
#define GRAINS_MAX (READ_STEP / EXTENT_GRAIN + 2) /* grains that such a range can touch */
#define PIECES_MAX (2 * GRAINS_MAX) /* of each grain: its stored bytes, and zeros behind them */

struct piece {
    size_t len;
    uint64_t object; /* 0: zeros */
    uint64_t at;     /* offset in the object */
};

/* What a range of a file consists of. The pieces lie one behind the other, without gaps. Each patch
 * replaces bytes of them, from the offset `to` on. */
struct map {
    struct piece piece[PIECES_MAX];
    size_t count;
    struct piece patch[GRAINS_MAX * PATCHES_MAX];
    size_t to[GRAINS_MAX * PATCHES_MAX];
    size_t patches;
};

/* Append a piece, or extend the last one if it continues there. */
static void map_add(struct map *m, uint64_t object, uint64_t at, uint64_t len)
{
    struct piece *last = m->count ? &m->piece[m->count - 1] : NULL;

    if (len == 0)
        return;
    if (last && last->object == object && (!object || last->at + last->len == at))
        last->len += len;
    else
        m->piece[m->count++] = (struct piece){len, object, at};
}

/* Append `len` bytes of the file from `pos` on. The object begins at `start` in the file and has
 * `valid` bytes; behind them are zeros. */
static void map_part(struct map *m, uint64_t object, uint64_t start, uint64_t valid, uint64_t pos,
                     uint64_t len)
{
    uint64_t end = start + valid, have = object && end > pos ? end - pos : 0;

    if (have > len)
        have = len;
    map_add(m, object, pos - start, have);
    map_add(m, 0, 0, len - have);
}

/* Append the part of a patch that lies in [off, end). */
static int map_patch(struct map *m, const struct patch *u, uint64_t off, uint64_t end)
{
    uint64_t from = u->at > off ? u->at : off, to = u->at + u->e.valid;

    to = to < end ? to : end;
    if (from >= to)
        return 0;
    if (m->patches == sizeof m->to / sizeof *m->to)
        return -EUCLEAN;
    m->patch[m->patches] = (struct piece){to - from, u->e.object, from - u->at};
    m->to[m->patches++] = from - off;
    return 0;
}

/* Append all patches in [off, end). */
static int map_patches(const struct items *it, const struct inode *in, uint64_t off, uint64_t end,
                       struct map *m)
{
    uint64_t pos = off;
    struct patch u;
    int err;

    while ((err = patch_next(it, in, pos, end, &u)) == 0) {
        err = map_patch(m, &u, off, end);
        if (err < 0)
            return err;
        pos = pages_around(u.at, u.e.valid).end;
    }
    return err == -ENOENT ? 0 : err;
}

/* Map a range of the file to pieces and patches. Needs the namespace's lock. */
static int map_range(const struct items *it, const struct inode *in, uint64_t off, uint64_t len,
                     struct map *m)
{
    uint64_t pos = off, end = off + len;
    int err;

    m->count = m->patches = 0;
    if (!(in->flags & INODE_EXTENTS)) {
        map_part(m, in->object, 0, in->valid, off, len);
        return 0;
    }
    err = map_patches(it, in, off, end, m);
    if (err < 0 || (m->patches == 1 && m->patch[0].len == len)) /* one patch covers all of the
                                                                 * range */
        return err;
    while (pos < end) {
        struct grain g;
        err = grain_load(it, in, pos, &g);
        if (err < 0)
            return err;
        uint64_t next = g.at + EXTENT_GRAIN, n = (next < end ? next : end) - pos;
        if (g.own)
            map_part(m, g.e.object, g.at, g.e.valid, pos, n);
        else
            map_part(m, in->object, 0, in->valid, pos, n);
        pos += n;
    }
    return 0;
}

/* Is the object on another shard? */
static bool is_unreachable(struct state *p, uint64_t object)
{
    struct entry e;

    return object && refs_entry(p->refs, object, true, NULL, &e) == 0 && entry_is_ghost(&e);
}

bool file_is_unreachable(struct state *p, struct vnode *v, uint64_t off, size_t len)
{
    struct items it;
    struct inode in;
    struct map m;
    bool unreachable = false;

    if (!atomic_load_explicit(&p->has_ghosts, memory_order_relaxed) ||
        items_lock(p, v, NULL, &it) < 0)
        return false;
    m.count = m.patches = 0;
    if (inode_load(it.tree, it.ino, &in) == 0)
        (void)map_range(&it, &in, off, len < READ_STEP ? len : READ_STEP, &m);
    items_unlock(p, &it);
    for (size_t i = 0; i < m.count && !unreachable; i++)
        unreachable = is_unreachable(p, m.piece[i].object);
    for (size_t i = 0; i < m.patches && !unreachable; i++)
        unreachable = is_unreachable(p, m.patch[i].object);
    return unreachable;
}

/* Read one piece. Bytes that the object does not have read as zeros. */
static int read_piece(struct state *p, const struct piece *piece, uint8_t *buf, struct reader *r)
{
    size_t done = 0;

    while (piece->object && done < piece->len) {
        ssize_t n =
            content_read(p, piece->object, buf + done, piece->len - done, piece->at + done, r);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    memset(buf + done, 0, piece->len - done);
    return 0;
}

/* Read all pieces into `buf`, and then the patches over them. */
static int read_map(struct state *p, const struct map *m, uint8_t *buf, struct reader *r)
{
    uint8_t *at = buf;
    int err = 0;

    for (size_t i = 0; i < m->count && err == 0; at += m->piece[i++].len)
        err = read_piece(p, &m->piece[i], at, r);
    for (size_t i = 0; i < m->patches && err == 0; i++)
        err = read_piece(p, &m->patch[i], buf + m->to[i], r);
    return err;
}

/* One attempt to read: 0 and *ret_len bytes, clipped at the end of the file. */
static int read_step(struct state *p, struct vnode *v, uint8_t *buf, size_t len, uint64_t off,
                     size_t *ret_len, struct reader *r)
{
    struct items it;
    struct inode in;
    struct map m;
    int err = items_lock(p, v, NULL, &it);

    if (err < 0)
        return err;
    *ret_len = 0;
    err = inode_load(it.tree, it.ino, &in);
    if (err == 0 && off < in.size) {
        *ret_len = in.size - off < len ? (size_t)(in.size - off) : len;
        err = map_range(&it, &in, off, *ret_len, &m);
    }
    items_unlock(p, &it);
    return err < 0 || *ret_len == 0 ? err : read_map(p, &m, buf, r);
}

/* Read a step, and try again if an object was not found: sealing may have given the bytes another
 * number, which a second mapping finds. */
static int read_again(struct state *p, struct vnode *v, uint8_t *buf, size_t len, uint64_t off,
                      size_t *ret_len, struct reader *r)
{
    int err;

    r->absent = 0;
    err = read_step(p, v, buf, len, off, ret_len, r);
    return err == -ENOENT && r->absent ? met_lost(p, r->absent) : err;
}

ssize_t file_read(struct state *p, struct vnode *v, void *buf, size_t len, uint64_t off,
                  struct reader *r)
{
    size_t done = 0, n;

    while (done < len) {
        size_t want = len - done < READ_STEP ? len - done : READ_STEP;
        int err = read_step(p, v, (uint8_t *)buf + done, want, off + done, &n, r);
        if (err == -ENOENT)
            err = read_again(p, v, (uint8_t *)buf + done, want, off + done, &n, r);
        if (err == -EUCLEAN)
            atomic_store(&p->passthroughs.damage, true);
        if (err < 0)
            return err;
        done += n;
        if (n < want)
            break;
    }
    return (ssize_t)done;
}

/* Read once. `cached`: the caller's cache keeps the bytes, which a later vfs_write_uncached has to
 * know (read_beside). */
static ssize_t read_once(struct vfs_file *f, void *buf, size_t len, uint64_t off, bool cached,
                         struct reader *r)
{
    if (!f->v) { /* the object is held, so it cannot be deleted */
        ssize_t n = content_read(f->p, f->object, buf, len, off, r);
        return n == -ENOENT ? met_lost(f->p, f->object) : n;
    }
    READ_GUARD(&f->v->io);
    if (cached && atomic_load_explicit(&f->v->uncached, memory_order_relaxed) > 0)
        atomic_store_explicit(&f->v->read_beside, true, memory_order_relaxed);
    return file_read(f->p, f->v, buf, len, off, r);
}

/* Read, and read again if an unreachable shard answers after a wait. */
static ssize_t read_all(struct vfs_file *f, void *buf, size_t len, uint64_t off, bool cached)
{
    struct reader r = {.remote = NULL};
    ssize_t n = read_once(f, buf, len, off, cached, &r);

    if (n == -EHOSTUNREACH && remote_bytes_wait(f->p, r.unreachable))
        n = read_once(f, buf, len, off, cached, &r);
    if (n == -EHOSTUNREACH)
        n = -EIO;
    if (!f->v)
        return n;
    if (n >= 0 && !f->noatime)
        atime_touch(f->p, f->v);
    return n;
}

ssize_t vfs_read(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
    return read_all(f, buf, len, off, true);
}

ssize_t vfs_read_uncached(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
    return read_all(f, buf, len, off, false);
}

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
    int err = v->ns->live ? inode_load(&v->ns->tree, vfs_node_ino(v->nodeid), &in) : -ESTALE;

    *ret = (struct inode){0};
    if (v->orphan)
        return 0; /* through /proc/self/fd: it is open already */
    if (err < 0)
        return err;
    if (S_ISDIR(in.mode))
        return -EISDIR;
    if (!S_ISREG(in.mode))
        return -ENXIO;
    *ret = in;
    return flags & (VFS_WRITE | VFS_TRUNC) && v->ns->frozen ? -EROFS : 0;
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

/* What is made is opened in the same change: an error behind it, or -EWOULDWAIT, would leave a file
 * that the next try finds. */
int vfs_create(struct state *p, uint64_t parent, const char *name, uint32_t mode,
               const struct vfs_cred *cred, unsigned flags, struct vfs_attr *ret,
               struct vfs_file **ret_file)
{
    struct vfs_file *f = calloc(1, sizeof *f);
    struct vnode *v;
    int err = f ? make_file(p, parent, name, mode, cred, flags, ret, &v) : -ENOMEM;

    if (err == 0) {
        fill_file(f, p, v, flags);
        vnode_put(p, v);
        *ret_file = f;
        return 0;
    }
    free(f);
    return err == -EEXIST && !(flags & VFS_EXCL) ? open_named(p, parent, name, flags, ret, ret_file)
                                                 : err;
}

int vfs_tmpfile(struct state *p, uint64_t parent, uint32_t mode, const struct vfs_cred *cred,
                unsigned flags, struct vfs_attr *ret, struct vfs_file **ret_file)
{
    struct vfs_file *f = node_is_root(parent) ? NULL : calloc(1, sizeof *f);
    struct vnode *v;
    int err = f                      ? make_nameless(p, parent, mode, cred, flags, ret, &v)
              : node_is_root(parent) ? -EPERM
                                     : -ENOMEM;

    if (err < 0) {
        free(f);
        return err;
    }
    fill_file(f, p, v, flags);
    vnode_put(p, v);
    *ret_file = f;
    return 0;
}

int vfs_open_object(struct state *p, const struct id *id, struct vfs_file **ret_file)
{
    struct vfs_file *f;
    struct entry e;
    uint64_t number;
    bool pending;
    int err = refs_find(p->refs, id, &number, &e, &pending);

    if (err < 0)
        return err == -EAGAIN ? -ENOENT : err;
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
    if (f->write && file_is_work(f->p, f->v))
        return -EWOULDWAIT;
    if (f->write)
        file_consolidate(f->p, f->v);
    return close_file(f);
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

/* ---- sharing ---- */

#define SHARE_AT_ONCE 16384 /* extents, under one hold of the locks */

/* Can `d` get the bytes from `off` on of `s` by naming the same object? Both files have neither
 * extents nor holes. */
static bool can_share(struct state *p, const struct inode *s, const struct inode *d, uint64_t off)
{
    if (!s->object || d->flags & (INODE_EXTENTS | INODE_HOLES))
        return false;
    if (!d->object)
        return off == 0;
    /* Where the source shows zeros the destination shows the object: below `off` that must stay. */
    return d->valid == off && d->size == off && s->valid >= off &&
           refs_resolve(p->refs, d->object) == refs_resolve(p->refs, s->object);
}

/* As can_share, for a source with extents or holes: from its start, or from where an earlier call
 * ended. */
static bool can_share_extents(struct state *p, const struct inode *s, const struct inode *d,
                              uint64_t off)
{
    if (off == 0)
        return !d->object && !(d->flags & (INODE_EXTENTS | INODE_HOLES));
    if (off % EXTENT_GRAIN || d->size != off || d->valid != (s->valid < off ? s->valid : off))
        return false;
    return d->valid == 0 || refs_resolve(p->refs, d->object) == refs_resolve(p->refs, s->object);
}

/* Reduce *end to where one call that begins at `off` ends: after SHARE_AT_ONCE extents, and at the
 * start of a grain unless the file ends there. */
static int share_end(const struct items *src, const struct inode *s, uint64_t off, uint64_t *end)
{
    uint64_t stop;
    int err = extent_after(src, s, off, SHARE_AT_ONCE, &stop);

    if (err == 0 && stop < *end)
        *end = stop;
    if (*end < s->size)
        *end = grain_start(*end);
    return err;
}

/* Copy the items of one type between the offsets `off` and `end`. */
static int copy_items(struct state *p, struct items *src, struct items *dst, enum item_type type,
                      uint64_t off, uint64_t end)
{
    struct key_range r = {key_make(src->ino, type, off), key_make(src->ino, type, end)};

    return items_copy(p, src->tree, r, dst->tree, dst->ino);
}

/* Remove the items behind `off` after a failed share: they would show as soon as the file has the
 * flag, or grows. */
static void cut_shared(struct state *p, const struct items *dst, uint64_t off)
{
    (void)items_cut(p, dst->tree, range_of_items(dst->ino, ITEM_EXTENT, off));
    (void)items_cut(p, dst->tree, range_of_items(dst->ino, ITEM_PATCH, off));
    (void)items_cut(p, dst->tree, range_of_items(dst->ino, ITEM_HOLES, off));
}

/* Give `d` the base, extents, patches and holes of `s` from `off` up to `end`, so that both show
 * the same bytes there. */
static int share_extents(struct state *p, struct items *src, const struct inode *s,
                         struct items *dst, struct inode *d, uint64_t off, uint64_t end)
{
    struct inode was = *d;
    uint64_t own = 0, holes;
    int err = holes_bytes(src, s, off, end, &holes);

    if (err == 0 && s->flags & INODE_EXTENTS)
        err = bytes_of_extents(src, s, off, end, &own);
    if (err == 0 && s->flags & INODE_EXTENTS)
        err = copy_items(p, src, dst, ITEM_EXTENT, off, end);
    if (err == 0 && s->flags & INODE_PATCHES)
        err = copy_items(p, src, dst, ITEM_PATCH, off, end);
    if (err == 0 && s->flags & INODE_HOLES)
        err = copy_items(p, src, dst, ITEM_HOLES, off, end);
    if (err < 0) {
        cut_shared(p, dst, off);
        return err;
    }
    d->stored = inode_stored(d);
    d->flags |= s->flags & (INODE_EXTENTS | INODE_PATCHES | INODE_HOLES);
    d->object = s->object;
    d->valid = s->valid < end ? s->valid : end;
    d->stored += own + d->valid - was.valid - holes;
    return 0;
}

/* Share a range of two files whose trees are locked. Returns the number of bytes; -EOPNOTSUPP. */
static ssize_t share(struct state *p, struct items *src, struct items *dst, uint64_t off,
                     size_t len)
{
    struct inode s, d;
    uint64_t end;
    bool extents;
    int err = inode_load(src->tree, src->ino, &s);

    if (err == 0)
        err = inode_load(dst->tree, dst->ino, &d);
    if (err < 0)
        return err;
    if (off >= s.size)
        return 0;
    end = s.size - off < len ? s.size : off + len;
    extents = s.flags & (INODE_EXTENTS | INODE_HOLES);
    if (!(extents ? can_share_extents(p, &s, &d, off) : can_share(p, &s, &d, off)))
        return -EOPNOTSUPP;
    err = extents ? share_end(src, &s, off, &end) : 0;
    if (err == 0 && end <= off)
        err = -EOPNOTSUPP;
    if (err == 0 && extents)
        err = share_extents(p, src, &s, dst, &d, off, end);
    if (err < 0)
        return err;
    if (!extents) {
        d.object = s.object;
        d.valid = s.valid < end ? s.valid : end;
    }
    d.size = end > d.size ? end : d.size;
    d.mtime = d.ctime = now(p);
    err = inode_store(dst->tree, dst->ino, &d);
    if (err < 0 && extents)
        cut_shared(p, dst, off);
    if (err == 0)
        err = state_changed(dst->txn, dst->ns);
    return err < 0 ? err : (ssize_t)(end - off);
}

/* Lock both files' namespaces for writing, the lower number first, each once, and share. Orphans
 * cannot be shared: the caller copies. */
static ssize_t share_locked(struct txn *t, struct vnode *in, struct vnode *out, uint64_t off,
                            size_t len)
{
    struct ns *a = in->ns, *b = out->ns;
    struct items src = {&a->tree, vfs_node_ino(in->nodeid), a, t, false};
    struct items dst = {&b->tree, vfs_node_ino(out->nodeid), b, t, false};
    ssize_t n;

    ns_lock(t, a->number <= b->number ? a : b);
    if (a != b)
        ns_lock(t, a->number <= b->number ? b : a);
    n = in->orphan || out->orphan || !a->live || !b->live ? -EOPNOTSUPP
                                                          : share(t->p, &src, &dst, off, len);
    capture_rest(t, b);
    if (a != b)
        ns_unlock(a);
    ns_unlock(b);
    return n;
}

ssize_t vfs_share_range(struct vfs_file *in, uint64_t off_in, struct vfs_file *out,
                        uint64_t off_out, size_t len)
{
    TXN(t);
    struct state *p = in->p;
    bool in_first;
    ssize_t n;
    int err = state_writable(p);

    if (!in->v || !out->v || in->v == out->v || off_in != off_out)
        return -EOPNOTSUPP;
    if (!out->write)
        return -EBADF;
    if (err == 0)
        err = flush_throttle(p);
    if (err == 0)
        err = txn_begin(p, 0, &t);
    if (err < 0)
        return err;
    in_first = in->v->nodeid < out->v->nodeid;
    if (in_first)
        rwlock_rdlock(&in->v->io);
    rwlock_wrlock(&out->v->io);
    if (!in_first)
        rwlock_rdlock(&in->v->io);
    n = vnode_changeable(out->v);
    out->v->version++; /* file_consolidate, which copies the file in pieces, notices the change */
    if (n == 0)
        n = share_locked(&t, in->v, out->v, off_in, len);
    rwlock_wrunlock(&out->v->io);
    rwlock_rdunlock(&in->v->io);
    return n;
}
