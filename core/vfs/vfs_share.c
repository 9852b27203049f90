// SPDX-License-Identifier: Apache-2.0
/* vfs_share: one file gets the bytes of a range of another one by naming the same objects. */
#include "flush.h"
#include "quota.h"
#include "vfs.h"
#include "vfs_file_impl.h"
#include <errno.h>

/* Extents under one hold of the locks; bytes, of a file with holes or subblock extents. */
#define SHARE_AT_ONCE 16384
#define SHARE_BYTES ((uint64_t)SHARE_AT_ONCE * EXTENT_BLOCK)

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
    if (off % EXTENT_BLOCK || d->size != off || d->valid != (s->valid < off ? s->valid : off))
        return false;
    return d->valid == 0 || refs_resolve(p->refs, d->object) == refs_resolve(p->refs, s->object);
}

/* Reduce *end to where one call that begins at `off` ends: after SHARE_AT_ONCE extents, or as many
 * blocks of a file with holes or subblock extents, which may be in each of them; and at the start
 * of a block unless the file ends there. */
static int share_end(const struct items *src, const struct inode *s, uint64_t off, uint64_t *end)
{
    uint64_t stop;
    int err = extent_after(src, s, off, SHARE_AT_ONCE, &stop);

    if (err == 0 && stop < *end)
        *end = stop;
    if (s->flags & (INODE_HOLES | INODE_SUBBLOCKS) && *end - off > SHARE_BYTES)
        *end = off + SHARE_BYTES;
    if (*end < s->size)
        *end = block_start(*end);
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
    (void)items_cut(p, dst->tree, range_of_items(dst->ino, ITEM_SUBBLOCK, off));
    (void)items_cut(p, dst->tree, range_of_items(dst->ino, ITEM_HOLES, off));
}

/* Give `d` the base, extents, subblock extents and holes of `s` from `off` up to `end`, so that
 * both show the same bytes there. */
static int share_extents(struct state *p, struct items *src, const struct inode *s,
                         struct items *dst, struct inode *d, uint64_t off, uint64_t end)
{
    struct inode was = *d;
    uint64_t own = 0, holes;
    int err = holes_bytes(src, s, off, end, &holes);

    if (err == 0 && s->flags & INODE_EXTENTS)
        err = bytes_of_extents(src, s, off, end, &own);
    if (err < 0)
        return err;
    d->stored = inode_stored(d);
    d->flags |= s->flags & (INODE_EXTENTS | INODE_SUBBLOCKS | INODE_HOLES);
    d->object = s->object;
    d->valid = s->valid < end ? s->valid : end;
    d->stored += own + d->valid - was.valid - holes;
    err = quota_check(dst->ns, (struct usage){.bytes = quota_growth(&was, d)});
    if (err < 0)
        return err;
    if (s->flags & INODE_EXTENTS)
        err = copy_items(p, src, dst, ITEM_EXTENT, off, end);
    if (err == 0 && s->flags & INODE_SUBBLOCKS)
        err = copy_items(p, src, dst, ITEM_SUBBLOCK, off, end);
    if (err == 0 && s->flags & INODE_HOLES)
        err = copy_items(p, src, dst, ITEM_HOLES, off, end);
    if (err < 0)
        cut_shared(p, dst, off);
    return err;
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
        const struct inode was = d;

        d.object = s.object;
        d.valid = s.valid < end ? s.valid : end;
        err = quota_check(dst->ns, (struct usage){.bytes = quota_growth(&was, &d)});
        if (err < 0)
            return err;
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
    struct items src = {&a->tree, 0, a, t, false};
    struct items dst = {&b->tree, 0, b, t, false};
    ssize_t n;

    ns_lock(t, a->number <= b->number ? a : b);
    if (a != b)
        ns_lock(t, a->number <= b->number ? b : a);
    src.ino = ns_ino_of(a, in->nodeid);
    dst.ino = ns_ino_of(b, out->nodeid);
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
