// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_write: changing the bytes of a file. What a write does depends on what the file is:
 *
 *   nothing yet, or small and sealed or shared   a new content with the old bytes    (fresh)
 *   an unsealed content that only it names       in place                            (in place)
 *   large and sealed or shared                   per 128 KiB block, an extent that
 *                                                names a content of its own          (overlay)
 *                                                or, of a little in a block, a subblock extent
 *
 * "Only it names" is decided by the reference count. First tree_own makes the item's page this
 * namespace's own; if the page was shared with a branch, this counts the branch's reference as
 * well. A count of 1 then means that only this file names the content. The freeze lock (read) keeps
 * branches from being made between this look and the write, and v->io keeps `ln`, sharing and
 * other writers out.
 *
 * Three steps: plan with the namespace's lock, move bytes without it, record with it again.
 */
#include "flush.h"
#include "quota.h"
#include "vfs.h"
#include "vfs_file_impl.h"
#include "vfs_remote.h"
#include "io.h"
#include "nowait.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* A write that skips at least so many bytes behind the data leaves a hole there, with extents;
 * fewer skipped bytes are stored as zeros. */
#define SPARSE_HOLE EXTENT_BLOCK
/* Bytes that one change writes at most: with one reservation of room in the log, and one hold of
 * v->io. */
#define WRITE_AT_ONCE ((size_t)8 << 20)

/* A range that was written past a cache while the cache may hold its pages as they were before. If
 * a mapping changes some bytes of such a page, the cache writes back the whole page, and with it
 * the old bytes. This record keeps vfs_write_back from doing so. */
struct vfs_stale {
    struct state *p;
    struct vnode *v; /* referenced */
    uint64_t off, end;
    struct vfs_stale *next;
};

/* How a write reached the vfs, and what it leaves for the caller. */
struct write_mode {
    bool back;               /* the write is of whole pages from a cache (vfs_write_back) */
    struct vfs_stale *stale; /* for a write past a cache: memory for a record; the list of the vnode
                              * keeps it if `left`, else the caller frees it */
    bool left;
};

/* What one step of a write changes. */
struct plan {
    struct txn *t;
    struct inode in;    /* as it was */
    struct content *c;  /* referenced, begun */
    bool fresh;         /* c is new: no item names it yet */
    bool overlay;       /* c is the content of an extent */
    bool subblock;      /* c is the content of a subblock extent */
    struct block b;     /* the block that is written to, if the file has extents */
    uint64_t start;     /* offset of c's first byte in the file */
    uint64_t off;       /* offset in the file of the first byte that this step writes */
    bool hole;          /* the bytes are zeros that become a hole, not data */
    uint64_t old_valid; /* if fresh: number of bytes at `start` that c must have before the write */
    size_t len;         /* bytes this step writes */
    uint64_t promised;  /* bytes by which the namespace will be larger (quota.h) */
};

/* A sealed content of up to so many bytes is copied as a whole when it is changed. */
static uint64_t pack_limit(struct state *p)
{
    return (uint64_t)settings_get(&p->settings, SET_PACK_LIMIT);
}

/* The content of `number`, referenced and begun, if item `k` is the only one that names it and it
 * may change in place; otherwise NULL, and *ret_err, which the caller has set to 0, may be an
 * error. Bytes past `valid` would have to be cut off: content_begin refuses if the last commit
 * still shows them. */
static struct content *own_content(struct state *p, struct items *it, struct key k, uint64_t number,
                                   uint64_t valid, int *ret_err)
{
    struct content *c;
    struct entry e;

    c = content_find(p, number);
    if (!c)
        return NULL;
    *ret_err = tree_own(it->tree, k);
    if (*ret_err == 0)
        *ret_err = refs_entry(p->refs, number, false, NULL, &e);
    if (*ret_err == 0 && e.count == 1 && e.kind != ENTRY_ALIAS && content_begin(p, c, valid))
        return c;
    content_unref(c);
    return NULL;
}

/* Plan a new content for the bytes at `start`, which begins with the `old_valid` old bytes. */
static int plan_fresh(struct vnode *v, uint64_t start, uint64_t old_valid, struct plan *plan)
{
    uint64_t owner_off = plan->subblock           ? start | CONTENT_SUBBLOCK
                         : start || plan->overlay ? start
                                                  : CONTENT_WHOLE;
    int err = content_new(plan->t, v->nodeid, owner_off, &plan->c);

    if (err < 0)
        return err;
    plan->fresh = true;
    plan->start = start;
    plan->old_valid = old_valid;
    return 0;
}

/* Cut the bytes of `c` past `valid`, which is where the item that names `c` says that the file's
 * bytes end. Done before a change that would make them visible. */
static int cut_stale(struct txn *t, struct content *c, uint64_t valid)
{
    return content_length(c) > valid ? content_truncate(t, c, valid) : 0;
}

/* The content that `k` names, if it may change in place: begun, and no longer than `valid`. */
static int plan_in_place(struct items *it, struct key k, uint64_t object, uint64_t valid,
                         struct plan *plan)
{
    int err = 0;

    plan->c = own_content(plan->t->p, it, k, object, valid, &err);
    return plan->c ? cut_stale(plan->t, plan->c, valid) : err;
}

/* Use the content of the block, or the base if the block has no extent, if it may change in place.
 * The write may append to the base. */
static int plan_block_in_place(struct items *it, uint64_t off, struct plan *plan)
{
    const struct inode *in = &plan->in;
    const struct block *b = &plan->b;

    if (!b->own && in->object && off <= in->valid)
        return plan_in_place(it, key_make(it->ino, ITEM_INODE, 0), in->object, in->valid, plan);
    if (!b->own || !b->e.object)
        return 0;
    plan->overlay = true;
    plan->start = b->at;
    return plan_in_place(it, key_make(it->ino, ITEM_EXTENT, b->at), b->e.object, b->e.valid, plan);
}

/* The write lies within the subblock extent `u`: change the subblock extent in place, or replace it
 * by a new one. */
static int plan_old_subblock(struct vnode *v, struct items *it, const struct subblock *u,
                             struct plan *plan)
{
    int err;

    plan->subblock = true;
    plan->start = u->at;
    err = plan_in_place(it, key_make(it->ino, ITEM_SUBBLOCK, u->at), u->e.object, u->e.valid, plan);
    return plan->c || err < 0 ? err : plan_fresh(v, u->at, u->e.valid, plan);
}

/* Plan a new subblock extent besides the `count` subblock extents that the block has, if
 * subblock_fits allows it; then plan->c is set. */
static int plan_new_subblock(struct vnode *v, uint64_t off, unsigned count, struct plan *plan)
{
    struct pages_of pages = pages_around(off, plan->len);

    if (!subblock_fits(&plan->b, pages, count))
        return 0;
    plan->subblock = true;
    return plan_fresh(v, pages.from, pages.end - pages.from, plan);
}

/* Plan a write within one block (plan->len is clipped to it). In this order: into the subblock
 * extent that is there, in place, a new subblock extent, a new extent of the whole block. */
static int plan_overlay(struct vnode *v, struct items *it, uint64_t off, struct plan *plan)
{
    struct block *b = &plan->b;
    struct subblock u;
    unsigned count;
    int err = block_load(it, &plan->in, off, b), met;

    if (err < 0)
        return err;
    if (plan->len > b->at + EXTENT_BLOCK - off)
        plan->len = (size_t)(b->at + EXTENT_BLOCK - off);
    met = subblock_meet(it, &plan->in, b, off, off + plan->len, &u, &count);
    if (met < 0 && met != -ENOENT)
        return met;
    if (met == 0 && off >= u.at && off + plan->len <= u.at + u.e.valid)
        return plan_old_subblock(v, it, &u, plan);
    if (met == -ENOENT) {
        err = plan_block_in_place(it, off, plan);
        if (plan->c || err < 0)
            return err;
        err = plan_new_subblock(v, off, count, plan);
        if (plan->c || err < 0)
            return err;
    }
    plan->overlay = true;
    return plan_fresh(v, b->at, b->bytes, plan);
}

/* Does a write at `off` leave a hole behind the data, with extents? */
static bool is_sparse(const struct inode *in, uint64_t off)
{
    return off > in->valid && off - in->valid >= SPARSE_HOLE;
}

bool file_is_copied(struct state *p, struct vnode *v, uint64_t off)
{
    struct items it;
    struct inode in;
    bool copied = false;

    if (items_lock(p, v, NULL, &it) < 0)
        return false;
    if (inode_load(it.tree, it.ino, &in) == 0)
        copied = in.object && !(in.flags & INODE_EXTENTS) && in.valid <= pack_limit(p) &&
                 !is_sparse(&in, off);
    items_unlock(p, &it);
    return copied;
}

/* Decide where this step writes: the table at the head of this file. */
static int plan_write(struct vnode *v, struct items *it, uint64_t off, struct plan *plan)
{
    struct inode *in = &plan->in;
    int err = inode_load(it->tree, it->ino, in);

    if (err < 0)
        return err;
    if (in->flags & INODE_EXTENTS || is_sparse(in, off))
        return plan_overlay(v, it, off, plan);
    if (!in->object)
        return plan_fresh(v, 0, 0, plan);
    err = plan_in_place(it, key_make(it->ino, ITEM_INODE, 0), in->object, in->valid, plan);
    if (plan->c || err < 0)
        return err;
    if (in->valid <= pack_limit(plan->t->p))
        return plan_fresh(v, 0, in->valid, plan);
    return plan_overlay(v, it, off, plan);
}

/* Copy the old bytes into a fresh content, unless the write covers them all. */
static int fill_fresh(struct vnode *v, const struct plan *plan, uint64_t off)
{
    uint8_t *old;
    ssize_t n;
    int err = 0;

    if (!plan->fresh || plan->old_valid == 0 ||
        (off == plan->start && plan->len >= plan->old_valid))
        return 0;
    old = malloc(plan->old_valid);
    if (!old)
        return -ENOMEM;
    n = file_read(plan->t->p, v, old, plan->old_valid, plan->start, plan->t->remote);
    if (n > 0)
        err = content_write(plan->t, plan->c, old, (size_t)n, 0);
    free(old);
    return n < 0 ? (int)n : err;
}

/* Record a write to an extent. A new extent contains the bytes of all subblock extents of its
 * block, so those subblock extents are removed. */
static int record_extent(struct items *it, const struct plan *plan, const struct inode *was,
                         struct inode *in)
{
    struct extent e = {plan->c->number, (uint32_t)content_length(plan->c)};
    int err;

    if (!plan->fresh && e.valid == plan->b.e.valid)
        return inode_store(it->tree, it->ino, in);
    err = block_set(it, was, in, &plan->b, &e);
    if (err < 0 || !plan->fresh)
        return err;
    return subblocks_punch(it, in, plan->b.at, plan->b.at + EXTENT_BLOCK, false);
}

/* Record a write to a subblock extent: a new content gets an item, and one that was changed in
 * place has it already. */
static int record_subblock(struct items *it, const struct plan *plan, const struct inode *was,
                           struct inode *in)
{
    struct extent e = {plan->c->number, (uint32_t)content_length(plan->c)};

    return plan->fresh ? subblock_set(it, was, in, plan->start, &e)
                       : inode_store(it->tree, it->ino, in);
}

/* The offset at which the stored bytes of the changed part (base or block) ended before the write.
 * Bytes between it and the write were skipped. A subblock extent never extends its block:
 * UINT64_MAX. */
static uint64_t end_before(const struct plan *plan, const struct inode *was)
{
    return plan->subblock ? UINT64_MAX : plan->overlay ? plan->b.at + plan->b.bytes : was->valid;
}

/* Pages that the write skipped, so that zeros were stored for them, become holes. So do the pages
 * of a file_write_hole. */
static int record_holes(struct items *it, const struct plan *plan, uint64_t from, struct inode *in)
{
    int err = from < plan->off ? holes_dig(it, in, from, plan->off) : 0;

    if (err == 0 && plan->hole)
        err = holes_dig(it, in, plan->off, plan->off + plan->len);
    return err;
}

/* Record a write to the base. */
static int record_base(struct items *it, const struct plan *plan, struct inode *in)
{
    uint64_t valid = content_length(plan->c);

    in->stored = inode_stored(in) + valid - in->valid;
    in->valid = valid;
    if (plan->fresh)
        in->object = plan->c->number;
    return inode_store(it->tree, it->ino, in);
}

/* The namespace is as large as it was promised to become, or the step failed. */
static void settle(struct vnode *v, struct plan *plan)
{
    quota_settle(v->ns, plan->promised);
    plan->promised = 0;
}

/* Record the write in the tree: the file's items name what was written. The inode is loaded again,
 * since the namespace's lock was free in between. */
static int record(struct vnode *v, struct plan *plan, uint64_t end)
{
    struct state *p = plan->t->p;
    struct items it;
    struct inode was, in;
    int err = items_lock(p, v, plan->t, &it);

    if (err < 0)
        return err;
    err = inode_load(it.tree, it.ino, &was);
    if (err == 0) {
        in = was;
        in.size = end > in.size ? end : in.size;
        in.mtime = in.ctime = now(p);
        err = plan->subblock  ? record_subblock(&it, plan, &was, &in)
              : plan->overlay ? record_extent(&it, plan, &was, &in)
                              : record_base(&it, plan, &in);
    }
    if (err == 0)
        err = record_holes(&it, plan, end_before(plan, &was), &in);
    settle(v, plan);
    err = change_done(it.txn, it.ns, err);
    items_unlock(p, &it);
    return err;
}

/* Release the step's content. A fresh content that nothing names, because the step failed, is
 * discarded. */
static void plan_end(struct plan *plan, int err)
{
    if (!plan->c)
        return;
    if (err < 0 && plan->fresh) {
        content_cancel(plan->t, plan->c);
        return;
    }
    content_end(plan->t, plan->c);
    content_unref(plan->c);
}

/* The bytes by which the first `len` bytes of this step make the file larger: holes that it fills,
 * and what it stores behind the end of the block or of the base, but for the pages that it skips.
 * Zeros that become holes add nothing. */
static int growth_of(const struct items *it, const struct plan *plan, size_t len, uint64_t *ret)
{
    const uint64_t from = end_before(plan, &plan->in), end = plan->off + len;
    struct inode in = plan->in;
    uint64_t filled = 0;
    int err = plan->hole ? 0 : holes_among(it, &in, pages_around(plan->off, len), &filled);

    inode_use_extents(&in); /* `stored` counts */
    in.stored += filled;
    if (end > from && !plan->hole)
        in.stored += end - from - holes_room(from, plan->off);
    *ret = quota_growth(&plan->in, &in);
    return err;
}

/* Promise the growth of this step. Where the limit is in the way the step is shortened to what
 * fits. -EDQUOT: nothing does. */
static int promise_growth(struct items *it, struct plan *plan)
{
    size_t fits = 0, above = plan->len + 1, len = plan->len;
    uint64_t bytes, growth = 0;

    if (!quota_is_limited(it->ns))
        return 0;
    while (fits + 1 < above) {
        int err = growth_of(it, plan, len, &bytes);

        if (err == 0)
            err = quota_check(it->ns, (struct usage){.bytes = bytes});
        if (err < 0 && err != -EDQUOT)
            return err;
        *(err == 0 ? &fits : &above) = len;
        if (err == 0)
            growth = bytes;
        len = fits + (above - fits) / 2;
    }
    if (fits == 0)
        return -EDQUOT;
    int err = quota_promise(it->ns, growth);

    if (err < 0)
        return err;
    plan->len = fits;
    plan->promised = growth;
    return 0;
}

/* Turn the pages of the write from holes into data. This is done before a byte is written, because
 * a write that fails halfway may leave some bytes, and a mapped hole must have zeros only. The
 * change gets a frame of its own, because others may change the inode before this step records its
 * bytes. */
static int fill_holes(struct items *it, struct plan *plan)
{
    struct inode in = plan->in;
    int err = plan->hole ? 0 : holes_fill(it, &in, pages_around(plan->off, plan->len));
    uint64_t filled = quota_growth(&plan->in, &in);

    filled = filled < plan->promised ? filled : plan->promised;
    quota_settle(it->ns, filled);
    plan->promised -= filled;
    if (err == 0 && in.flags != plan->in.flags)
        err = inode_store(it->tree, it->ino, &in);
    return err < 0 || in.stored != plan->in.stored ? change_done(it->txn, it->ns, err) : err;
}

/* One step: plan with the namespace's lock, move bytes without it, record with it again. The
 * content borrows `buf` until the change is recorded. */
static int write_step(struct plan *plan, struct vnode *v, const uint8_t *buf)
{
    struct txn *t = plan->t;
    uint64_t off = plan->off;
    struct items it;
    int err = items_lock(t->p, v, t, &it);

    if (err < 0)
        return err;
    err = plan_write(v, &it, off, plan);
    if (err == 0)
        err = promise_growth(&it, plan);
    if (err == 0)
        err = fill_holes(&it, plan);
    items_leave(t->p, &it);
    if (err == 0)
        err = fill_fresh(v, plan, off);
    if (err == 0)
        err = content_write_borrowed(t, plan->c, buf, plan->len, off - plan->start);
    if (err == 0)
        err = record(v, plan, off + plan->len);
    settle(v, plan);
    plan_end(plan, err);
    if (err < 0)
        (void)state_changed(t, NULL); /* this ends the borrowing: the caller may change `buf` after
                                       * we return */
    return err;
}

/* Write part of a step: *ret_len bytes, at least one. Needs the freeze lock (read) and v->io
 * (write), not the namespace's lock. -EAGAIN: old bytes that it keeps are on another shard, and
 * t->remote does not have them; no byte is written. */
static int file_write_step(struct txn *t, struct vnode *v, const uint8_t *buf, size_t len,
                           uint64_t off, size_t *ret_len)
{
    struct plan plan = {.t = t, .len = len, .off = off};
    int err = write_step(&plan, v, buf);

    *ret_len = plan.len;
    return err;
}

int file_write_hole(struct txn *t, struct vnode *v, const uint8_t *zeros, size_t len, uint64_t off,
                    size_t *ret_len)
{
    struct plan plan = {.t = t, .len = len, .off = off, .hole = true};
    int err = write_step(&plan, v, zeros);

    *ret_len = plan.len;
    return err;
}

int file_writable(struct vfs_file *f)
{
    int err = state_writable(f->p);

    if (!f->write)
        return -EBADF;
    if (err < 0)
        return err;
    err = vnode_changeable(f->v);
    return err < 0 ? err : flush_throttle(f->p);
}

/* How many of the `len` bytes from `off` on are alike: all in a stale range (*ret_stale), or
 * none. */
static size_t stale_part(const struct vnode *v, uint64_t off, size_t len, bool *ret_stale)
{
    *ret_stale = false;
    for (const struct vfs_stale *s = v->stale; s; s = s->next) {
        if (s->off <= off && off < s->end) {
            *ret_stale = true;
            return s->end - off < len ? (size_t)(s->end - off) : len;
        }
        if (off < s->off && s->off - off < len)
            len = (size_t)(s->off - off);
    }
    return len;
}

/* Write the first part of a range, or skip it if it is stale and comes from a cache. *ret_len:
 * bytes written or skipped. Needs the freeze lock and v->io. */
static int write_part(struct txn *t, struct vfs_file *f, const struct write_mode *write_mode,
                      const uint8_t *buf, size_t len, uint64_t off, size_t *ret_len)
{
    bool stale = false;

    *ret_len = write_mode->back ? stale_part(f->v, off, len, &stale) : len;
    return stale ? 0 : file_write_step(t, f->v, buf, *ret_len, off, ret_len);
}

/* Put the range on the file's list of stale ranges if somebody has read the file beside the writer.
 * A read that begins after this sees the new bytes. If a turn before this one has put a range
 * there, which began at `off` too, that range is extended. Needs v->io. */
static void leave_stale(struct vnode *v, struct write_mode *write_mode, uint64_t off, size_t len)
{
    struct vfs_stale *s = write_mode->stale;

    if (write_mode->left) {
        s->end = off + len > s->end ? off + len : s->end;
        return;
    }
    if (!s || len == 0 || !atomic_load_explicit(&v->read_beside, memory_order_relaxed))
        return;
    *s = (struct vfs_stale){.v = v, .off = off, .end = off + len, .next = v->stale};
    v->stale = s;
    write_mode->left = true;
}

/* Write, with all bytes of other shards that the write needs already in `remote`. -EAGAIN: some are
 * not, since they moved there just now. Nothing was written then, unless they moved while the write
 * was being made; all of it is written again. What was written has left a stale range in any
 * case. */
static ssize_t write_near(struct vfs_file *f, struct write_mode *write_mode, const void *buf,
                          size_t len, uint64_t off, struct remote_bytes *remote)
{
    TXN(t);
    struct state *p = f->p;
    size_t done = 0, n;
    int err = file_writable(f);

    if (err == 0)
        err = flush_room(p);
    if (err == 0)
        err = txn_begin(p, len + WRITE_ROOM, &t);
    if (err < 0)
        return err;
    t.remote = remote;
    WRITE_GUARD(&f->v->io);
    err = vnode_changeable(f->v);
    if (err == 0)
        err = remote_bytes_check(p, f->v, off, len, true, remote);
    if (err < 0)
        return err;
    f->v->version++;
    while (done < len && err == 0) {
        err =
            write_part(&t, f, write_mode, (const uint8_t *)buf + done, len - done, off + done, &n);
        if (err == 0)
            done += n;
    }
    leave_stale(f->v, write_mode, off, done);
    return done && err != -EAGAIN ? (ssize_t)done : err;
}

/* Read the bytes on another shard that the write keeps. `again`: they were read, and did not do:
 * then stale ranges may cut a write-back, and a limit any write, so that it keeps bytes of any
 * block. */
static int gather_kept(struct vfs_file *f, size_t len, uint64_t off, bool again,
                       struct remote_bytes *remote)
{
    int err = f->write ? remote_bytes_begin(f->p, f->v, off, len, true, remote) : 0;

    return err == 0 && again && f->write ? remote_bytes_begin_all(f->p, f->v, off, len, remote)
                                         : err;
}

/* Gather what the write keeps, then write: nobody waits for a shard with the freeze lock held. */
static ssize_t write_some(struct vfs_file *f, struct write_mode *write_mode, const void *buf,
                          size_t len, uint64_t off)
{
    struct remote_bytes remote;
    unsigned turns = 0;
    ssize_t n = 0;
    int err;

    remote_bytes_init(&remote);
    do {
        err = gather_kept(f, len, off, turns > 0, &remote);
        if (err == 0)
            n = write_near(f, write_mode, buf, len, off, &remote);
        if (err == 0 && n < 0)
            err = (int)n;
    } while (remote_bytes_again(&turns, &err));
    remote_bytes_end(&remote);
    return err == 0 ? n : err == -EHOSTUNREACH ? -EIO : err;
}

/* Write in parts of WRITE_AT_ONCE bytes. If space is short, flush once and try the part again. A
 * write-back goes on behind what was written of a part, until all is written or nothing more is:
 * then the result is that error. */
static ssize_t write_all(struct vfs_file *f, struct write_mode *write_mode, const void *buf,
                         size_t len, uint64_t off)
{
    size_t done = 0;

    if (off > FILE_SIZE_MAX || len > FILE_SIZE_MAX - off)
        return f->write ? -EFBIG : -EBADF;
    do {
        size_t want = len - done < WRITE_AT_ONCE ? len - done : WRITE_AT_ONCE;
        ssize_t n = write_some(f, write_mode, (const uint8_t *)buf + done, want, off + done);

        if (n < 0 && io_is_short((int)n)) {
            int err = flush_short(f->p);
            if (err == 0)
                n = write_some(f, write_mode, (const uint8_t *)buf + done, want, off + done);
            else if (err == -EWOULDWAIT)
                n = err;
        }
        if (n < 0)
            return done && !write_mode->back ? (ssize_t)done : n;
        done += (size_t)n;
        if ((size_t)n < want && !write_mode->back)
            break;
    } while (done < len);
    return (ssize_t)done;
}

ssize_t vfs_write(struct vfs_file *f, const void *buf, size_t len, uint64_t off)
{
    return write_all(f, &(struct write_mode){.back = false}, buf, len, off);
}

ssize_t vfs_write_back(struct vfs_file *f, const void *buf, size_t len, uint64_t off)
{
    return write_all(f, &(struct write_mode){.back = true}, buf, len, off);
}

/* At most WRITE_AT_ONCE bytes per call, so that one stale range is left. The caller drops from its
 * cache what the result says: therefore it says at least what is stale, also if a turn wrote that
 * and a later one failed. */
ssize_t vfs_write_uncached(struct vfs_file *f, const void *buf, size_t len, uint64_t off,
                           struct vfs_stale **ret_stale)
{
    struct write_mode write_mode = {.stale = malloc(sizeof *write_mode.stale)};

    if (!atomic_load(&f->uncached)) { /* reads up to now were not recorded, so assume that there
                                       * were some */
        vfs_set_uncached(f);
        atomic_store(&f->v->read_beside, true);
    }
    ssize_t n = write_mode.stale
                    ? write_all(f, &write_mode, buf, len < WRITE_AT_ONCE ? len : WRITE_AT_ONCE, off)
                    : -ENOMEM;

    *ret_stale = write_mode.left ? write_mode.stale : NULL;
    if (write_mode.left) {
        ssize_t changed = (ssize_t)(write_mode.stale->end - off);
        n = n < changed ? changed : n;
        write_mode.stale->p = f->p;
        vnode_hold(f->p, f->v);
    } else {
        free(write_mode.stale);
    }
    return n;
}

void vfs_stale_gone(struct vfs_stale *stale)
{
    {
        WRITE_GUARD(&stale->v->io);
        struct vfs_stale **at = &stale->v->stale;
        while (*at != stale)
            at = &(*at)->next;
        *at = stale->next;
    }
    vnode_put(stale->p, stale->v);
    free(stale);
}

/* ---- truncating ---- */

#define TRUNCATE_BLOCKS 128 /* hidden blocks of the base that are trimmed with it */

int file_cut_content(struct items *it, const struct inode *in)
{
    struct content *c;
    int err = 0;

    if (!in->object || in->flags & INODE_EXTENTS)
        return 0;
    c = own_content(it->txn->p, it, key_make(it->ino, ITEM_INODE, 0), in->object, in->valid, &err);
    if (!c)
        return err;
    err = in->valid ? cut_stale(it->txn, c, in->valid) : 0;
    content_end(it->txn, c);
    content_unref(c);
    return err;
}

/* Remove the bytes from `size` on before the size changes: they must not show when the file grows
 * again. First the base, the extents that hide its end, and the block at the edge; then all extents
 * behind. */
static int truncate_data(struct state *p, struct items *it, struct inode *in, uint64_t size)
{
    struct punch u = {.from = size, .pos = size, .end = UINT64_MAX, .all = true};
    int err = holes_cut(p, it, in, size);

    if (err == 0)
        err = extents_punch(it, in, &u, TRUNCATE_BLOCKS);
    while (err == -EAGAIN && u.pos < size)
        err = extents_punch(it, in, &u, 1);
    if (err == -EAGAIN)
        err = extents_cut(p, it, in, u.pos);
    if (err == 0)
        err = subblocks_cut(p, it, in, size);
    return err < 0 ? err : extents_settle(it, in);
}

/* Set the size of a regular file, with its items, times and content. The tree is locked. */
static int truncate_items(struct state *p, struct items *it, uint64_t size)
{
    struct inode in;
    int err = inode_load(it->tree, it->ino, &in);

    if (err < 0)
        return err;
    if (!S_ISREG(in.mode))
        return S_ISDIR(in.mode) ? -EISDIR : -EINVAL;
    if (size < in.size)
        err = truncate_data(p, it, &in, size);
    if (err < 0)
        return err;
    in.size = size;
    in.mtime = in.ctime = now(p);
    err = file_cut_content(it, &in);
    if (err == 0)
        err = inode_store(it->tree, it->ino, &in);
    return change_done(it->txn, it->ns, err);
}

int file_truncate(struct txn *t, struct vnode *v, uint64_t size)
{
    struct state *p = t->p;
    struct items it;
    int err;

    if (size > FILE_SIZE_MAX)
        return -EFBIG;
    err = items_lock(p, v, t, &it);
    if (err < 0)
        return err;
    err = truncate_items(p, &it, size);
    v->version++;
    items_unlock(p, &it);
    return err;
}
