// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_whole: gives a file a better shape after changes, on close, or after a truncation that no
 * close follows:
 *
 *   mostly extents, no holes              one content with all the bytes        (made whole)
 *   little is seen of a large object      extents for that little, and the
 *                                         object is released                    (left)
 *   the end of the base is all hidden     the base ends earlier                 (trimmed)
 *
 * Nothing that stat shows changes, and every step leaves the file with the same bytes: a failure in
 * the middle does no harm. No lock is held while the whole file is copied. A write that comes in
 * between changes v->version, and the work on the file ends. In a frozen namespace files stay as
 * they are.
 */
#include "flush.h"
#include "nowait.h"
#include "vfs_file_impl.h"
#include "vfs_remote.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define COPY_STEP (1024 * 1024) /* bytes moved at once when a file is made whole */
#define TRIM_AT_ONCE 256 /* blocks of the base that are cut off under one hold of the locks */
/* a base is copied and released if less than this part (1/4) of the object is seen */
#define BASE_HIDDEN 4
/* Extents and subblock extents of a file up to which a thread that must not wait looks at them. */
#define LOOK_MAX 256

/* ---- when, and what ---- */

enum shape { SHAPE_FINE, SHAPE_WHOLE, SHAPE_LEFT, SHAPE_TRIMMED };

/* Walk the items of this type, and take each from *budget. False: more of them are left. */
static bool is_within(const struct items *it, enum item_type type, unsigned *budget)
{
    struct each e = EACH(it->tree, key_make(it->ino, type, 0), true);
    bool more;

    while ((more = each_next(&e)) && *budget)
        --*budget;
    (void)each_end(&e);
    return !more;
}

/* Does the file have so few items that any thread may look at them? An error is met again by that
 * look. */
static bool is_soon_seen(const struct items *it, const struct inode *in)
{
    unsigned budget = LOOK_MAX;

    return !(in->flags & INODE_EXTENTS) ||
           (is_within(it, ITEM_EXTENT, &budget) && is_within(it, ITEM_SUBBLOCK, &budget));
}

/* Is at least half of the file changed? An extent counts as a whole block, even beyond the base. A
 * subblock extent counts as its pages and one page more, since many small subblock extents make
 * reads slow. */
static int count_changed(const struct items *it, const struct inode *in, bool *ret_mostly)
{
    struct each e = EACH(it->tree, key_make(it->ino, ITEM_EXTENT, 0), true);
    uint64_t changed = 0, pos = 0;
    struct subblock u;
    int err;

    while (each_next(&e) && e.key.lo < in->size)
        changed += EXTENT_BLOCK;
    err = each_end(&e);
    if (err < 0)
        return err;
    while ((err = subblock_next(it, in, pos, in->size, &u)) == 0) {
        pos = pages_around(u.at, u.e.valid).end;
        changed += pos - u.at + FILE_PAGE;
    }
    *ret_mostly = changed >= in->size / 2;
    return err == -ENOENT ? 0 : err;
}

/* Is so little seen of a large sealed object that copying it out frees space? Only if no other item
 * names the object. In doubt it is not. */
static bool is_mostly_hidden(struct state *p, const struct items *it, const struct inode *in)
{
    struct entry e;
    uint64_t seen;

    return in->object && refs_entry(p->refs, in->object, true, NULL, &e) == 0 &&
           e.kind == ENTRY_FILE && e.count == 1 && base_seen(it, in, &seen) == 0 &&
           seen < e.size / BASE_HIDDEN;
}

/* Does an extent hide the end of the base? */
static bool is_end_hidden(const struct items *it, const struct inode *in)
{
    struct inode trimmed = *in;

    return in->object && base_trim(it, &trimmed, 1) == 0 && trimmed.valid < in->valid;
}

/* What to do with the file *in. It is not made whole if it has holes: they would be stored. */
static int choose_shape(struct state *p, const struct items *it, const struct inode *in,
                        enum shape *ret)
{
    bool mostly = false;
    int err = 0;

    *ret = SHAPE_FINE;
    if (!thread_may_wait() && !is_soon_seen(it, in))
        return -EWOULDWAIT;
    if (in->flags & INODE_EXTENTS && in->stored == in->size && in->size > CONTENT_BUFFER_MAX)
        err = count_changed(it, in, &mostly);
    if (err == 0)
        *ret = mostly                        ? SHAPE_WHOLE
               : is_mostly_hidden(p, it, in) ? SHAPE_LEFT
               : is_end_hidden(it, in)       ? SHAPE_TRIMMED
                                             : SHAPE_FINE;
    return err < 0 || *ret == SHAPE_FINE || thread_may_wait() ? err : -EWOULDWAIT;
}

/* The file as a truncation to `size` would leave it. Holes that it cuts off are not looked for. */
static void cut_at(struct inode *in, uint64_t size)
{
    if (size >= in->size)
        return;
    in->stored = in->stored == in->size ? size : UINT64_MAX;
    in->size = size;
    in->valid = in->valid < size ? in->valid : size;
    if (in->valid == 0)
        in->object = 0;
}

/* What is to be done with the file, if it is cut at `size` before? Only items are read. A file
 * without a name disappears with its last close, so no work is done on it. */
static int look(struct state *p, struct vnode *v, uint64_t size, uint64_t *ret_size,
                enum shape *ret)
{
    struct items it;
    struct inode in;
    int err = items_lock(p, v, NULL, &it);

    *ret = SHAPE_FINE;
    if (err < 0)
        return err;
    err = it.orphan ? -ENODATA : inode_load(it.tree, it.ino, &in);
    if (err == 0) {
        cut_at(&in, size);
        *ret_size = in.size;
        err = choose_shape(p, &it, &in, ret);
    }
    items_unlock(p, &it);
    return err;
}

int file_may_cut(struct state *p, struct vnode *v, uint64_t size)
{
    enum shape shape;
    uint64_t none;

    if (thread_may_wait() || vnode_is_open(p, v->nodeid, true))
        return 0;
    return look(p, v, size, &none, &shape) == -EWOULDWAIT ? -EWOULDWAIT : 0;
}

/* One turn of trimming: the base ends before the blocks at its end that extents hide, at most
 * TRIM_AT_ONCE. -ENOENT: the end of the base is not hidden. */
static int trim_some(struct items *it)
{
    struct inode in;
    struct punch u;
    int err = inode_load(it->tree, it->ino, &in);

    u = (struct punch){.from = in.valid, .end = in.valid};
    if (err == 0)
        err = base_trim(it, &in, TRIM_AT_ONCE);
    u.pos = in.valid;
    if (err < 0 || u.pos >= u.end)
        return err < 0 ? err : -ENOENT;
    err = inode_store(it->tree, it->ino, &in);
    while (err == 0 && (err = extents_punch(it, &in, &u, TRIM_AT_ONCE)) == -EAGAIN)
        err = 0; /* removes hole extents that hid the cut part */
    return change_done(it->txn, it->ns, err);
}

/* One turn in a change of its own, with the locks that it needs. */
static int trim_turn(struct state *p, struct vnode *v)
{
    struct items it;
    TXN(t);
    int err = txn_begin(p, 0, &t);

    if (err < 0)
        return err;
    WRITE_GUARD(&v->io);
    err = vnode_changeable(v);
    if (err == 0)
        err = items_lock(p, v, &t, &it);
    if (err < 0)
        return err;
    err = trim_some(&it);
    items_unlock(p, &it);
    return err;
}

/* Trim the base in turns, until its end is visible or a turn fails. */
static void trim_base(struct state *p, struct vnode *v)
{
    int err;

    do {
        err = flush_throttle(p);
        if (err == 0)
            err = trim_turn(p, v);
    } while (err == 0);
}

/* Find the next block from *pos on where the base is seen, and move *pos behind it. */
static int find_base(struct state *p, struct vnode *v, uint64_t *pos, struct block *ret)
{
    struct items it;
    struct inode in;
    int err = items_lock(p, v, NULL, &it);

    if (err < 0)
        return err;
    err = inode_load(it.tree, it.ino, &in);
    if (err == 0)
        err = base_next(&it, &in, *pos, ret);
    items_unlock(p, &it);
    *pos = err == 0 ? ret->at + EXTENT_BLOCK : *pos;
    return err;
}

/* Give the block an extent that names `c`, a copy of its bytes and its subblock extents. */
static int name_block(struct txn *t, struct vnode *v, const struct block *b,
                      const struct content *c)
{
    struct extent e = {c->number, (uint32_t)b->bytes};
    struct inode was, in;
    struct items it;
    int err = items_lock(t->p, v, t, &it);

    if (err < 0)
        return err;
    err = inode_load(it.tree, it.ino, &was);
    in = was;
    if (err == 0)
        err = block_set(&it, &was, &in, b, &e);
    if (err == 0) /* the extent contains the bytes of the subblock extents */
        err = subblocks_punch(&it, &in, b->at, b->at + EXTENT_BLOCK, false);
    err = change_done(t, it.ns, err);
    items_unlock(t->p, &it);
    return err;
}

/* Copy the next visible block of the base to an extent. `remote` has its bytes if they are on
 * another shard. -ENOENT: there is none. -EAGAIN: somebody wrote to the file, or its bytes moved to
 * another shard meanwhile; a later close copies it. */
static int copy_block(struct state *p, struct vnode *v, uint64_t version, uint64_t *pos,
                      uint8_t *buf, struct remote_bytes *remote)
{
    struct content *c;
    struct block b;
    ssize_t n;
    TXN(t);
    int err = txn_begin(p, EXTENT_BLOCK, &t);

    if (err < 0)
        return err;
    WRITE_GUARD(&v->io);
    err = vnode_changeable(v);
    if (err == 0)
        err = v->version == version ? find_base(p, v, pos, &b) : -EAGAIN;
    if (err < 0)
        return err;
    n = file_read(p, v, buf, b.bytes, b.at, remote);
    if (n != (ssize_t)b.bytes)
        return n < 0 ? (int)n : -EUCLEAN;
    err = content_new(&t, v->nodeid, b.at, &c);
    if (err < 0)
        return err;
    err = content_write(&t, c, buf, b.bytes, 0);
    if (err == 0)
        err = name_block(&t, v, &b, c);
    if (err < 0) {
        content_cancel(&t, c);
        return err;
    }
    content_end(&t, c);
    content_unref(c);
    return 0;
}

/* copy_block, whose bytes are fetched first if they are on another shard. */
static int fetch_and_copy_block(struct state *p, struct vnode *v, uint64_t version, uint64_t *pos,
                                uint8_t *buf)
{
    struct remote_bytes remote;
    struct block b;
    uint64_t next = *pos;
    int err = find_base(p, v, &next, &b);

    if (err < 0)
        return err;
    remote_bytes_init(&remote);
    err = remote_bytes_begin(p, v, b.at, b.bytes, false, &remote);
    if (err == 0)
        err = copy_block(p, v, version, pos, buf, &remote);
    remote_bytes_end(&remote);
    return err;
}

/* Copy what is seen of the base to extents. After that trim_base can release the base. */
static void leave_base(struct state *p, struct vnode *v, uint64_t version)
{
    uint8_t *buf = malloc(EXTENT_BLOCK);
    uint64_t pos = 0;
    int err = buf ? 0 : -ENOMEM;

    while (err == 0) {
        err = flush_throttle(p);
        if (err == 0)
            err = flush_room(p);
        if (err == 0)
            err = fetch_and_copy_block(p, v, version, &pos, buf);
    }
    free(buf);
}

/* Write one piece of the copy, as a change of its own. */
static int write_piece(struct state *p, struct content *c, const void *buf, size_t len, uint64_t at)
{
    TXN(t);
    int err = txn_begin(p, len, &t);

    if (err < 0)
        return err;
    return change_done(&t, NULL, content_write(&t, c, buf, len, at));
}

/* Read one piece of the file, without a lock while another shard is asked. */
static ssize_t read_some(struct state *p, struct vnode *v, uint8_t *buf, uint64_t at)
{
    struct remote_bytes remote;
    unsigned turns = 0;
    ssize_t n;

    remote_bytes_init(&remote);
    do {
        READ_GUARD(&v->io);
        n = file_read(p, v, buf, COPY_STEP, at, &remote);
    } while (remote_bytes_for_read(p, v, COPY_STEP, at, NULL, &remote, &turns, &n));
    remote_bytes_end(&remote);
    return n;
}

/* Copy the file's bytes, without any lock over the whole of it. */
static int copy_whole(struct state *p, struct vnode *v, struct content *c, uint64_t size)
{
    uint8_t *buf = malloc(COPY_STEP);
    int err = buf ? 0 : -ENOMEM;

    for (uint64_t at = 0; at < size && err == 0; at += COPY_STEP) {
        ssize_t n = read_some(p, v, buf, at);
        err = n < 0 ? (int)n : n ? write_piece(p, c, buf, (size_t)n, at) : 0;
    }
    free(buf);
    return err;
}

/* Let the inode name the copy, if nobody wrote meanwhile (-EAGAIN). Needs v->io (write). */
static int name_whole(struct txn *t, struct vnode *v, struct content *c, uint64_t version)
{
    struct state *p = t->p;
    struct items it;
    struct inode in;
    int err = vnode_changeable(v);

    if (err == 0)
        err = v->version == version ? items_lock(p, v, t, &it) : -EAGAIN;
    if (err < 0)
        return err;
    err = inode_load(it.tree, it.ino, &in);
    if (err == 0) {
        in.object = c->number;
        in.valid = content_length(c); /* `stored` was this, too */
        err = inode_store(it.tree, it.ino, &in);
    }
    /* All extents hold the same bytes: whichever step fails, the file reads right. */
    if (err == 0)
        err = items_cut(p, it.tree, range_of_items(it.ino, ITEM_EXTENT, 0));
    if (err == 0)
        err = items_cut(p, it.tree, range_of_items(it.ino, ITEM_SUBBLOCK, 0));
    if (err == 0) {
        in.flags &= ~(uint32_t)(INODE_EXTENTS | INODE_SUBBLOCKS);
        err = inode_store(it.tree, it.ino, &in);
    }
    err = change_done(t, it.ns, err);
    items_unlock(p, &it);
    return err;
}

/* Name the copy, or discard it after a failure; discarding needs no frame in the log. */
static void end_whole(struct state *p, struct vnode *v, struct content *c, uint64_t version,
                      int err)
{
    TXN(t);
    int full = txn_begin(p, 0, &t);

    if (full < 0)
        txn_open(p, false, &t);
    WRITE_GUARD(&v->io);
    err = err < 0 ? err : full;
    if (err == 0)
        err = name_whole(&t, v, c, version);
    if (err < 0) {
        content_cancel(&t, c);
        return;
    }
    content_end(&t, c);
    content_unref(c);
}

/* A new content for the copy. Its length is set now, so that it gets a slot at once, because a
 * flush may come while it is filled. */
static int new_whole(struct state *p, struct vnode *v, uint64_t size, struct content **ret_c)
{
    TXN(t);
    int err = txn_begin(p, 0, &t);

    if (err == 0)
        err = vnode_changeable(v); /* name_whole asks again: what is frozen meanwhile stays so */
    if (err < 0)
        return err;
    err = content_new(&t, v->nodeid, CONTENT_WHOLE, ret_c);
    if (err < 0)
        return err;
    err = content_truncate(&t, *ret_c, size);
    if (err < 0) {
        content_cancel(&t, *ret_c);
        return err;
    }
    err = state_changed(&t, NULL);
    if (err < 0)
        content_cancel(&t, *ret_c);
    return err;
}

/* Make the file, which has `size` bytes, whole. */
static void make_whole(struct state *p, struct vnode *v, uint64_t version, uint64_t size)
{
    struct content *c;
    int err;

    if (flush_throttle(p) < 0 || flush_room(p) < 0) /* the space that is reserved for commits must
                                                     * not be used for this */
        return;
    if (new_whole(p, v, size, &c) < 0)
        return;
    err = copy_whole(p, v, c, size);
    end_whole(p, v, c, version, err);
}

int file_consolidate(struct state *p, struct vnode *v)
{
    enum shape shape = SHAPE_FINE;
    uint64_t version, size = 0;
    int err = 0;

    {
        READ_GUARD(&v->io);
        version = v->version;
        if (version)
            err = look(p, v, UINT64_MAX, &size, &shape);
    }
    if (err < 0)
        return err == -EWOULDWAIT ? err : 0;
    if (shape == SHAPE_WHOLE)
        make_whole(p, v, version, size);
    if (shape == SHAPE_LEFT)
        leave_base(p, v, version);
    if (shape == SHAPE_LEFT || shape == SHAPE_TRIMMED)
        trim_base(p, v);
    return 0;
}
