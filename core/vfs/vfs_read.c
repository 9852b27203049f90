// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_read: reading open files.
 *
 * A file's bytes are the first `valid` bytes of its object (the base). Extents override whole
 * blocks of it, and subblock extents override parts of blocks. All other bytes are zeros. A read
 * first maps the range to pieces, with the namespace's lock held, and then reads the pieces without
 * it. If an object does not exist any more by then (the inode has got the real number in place of
 * an alias), the range is mapped once more.
 *
 * No byte is read from another shard while v->io is held, since a change that waits for v->io holds
 * the freeze lock. Such bytes are gathered first, without a lock, and then the file is read as it
 * is by then (vfs_remote.h).
 */
#include "vfs.h"
#include "vfs_file_impl.h"
#include "vfs_remote.h"
#include <errno.h>
#include <stdlib.h>

#define READ_STEP (1024 * 1024) /* bytes mapped at once */
#define BLOCKS_MAX (READ_STEP / EXTENT_BLOCK + 2) /* blocks that such a range can touch */
#define PIECES_MAX (2 * BLOCKS_MAX) /* of each block: its stored bytes, and zeros behind them */

struct piece {
    size_t len;
    uint64_t object; /* 0: zeros */
    uint64_t at;     /* offset in the object */
};

/* What a range of a file consists of. The pieces lie one behind the other, without gaps. Each
 * subblock extent replaces bytes of them, from the offset `to` on. */
struct map {
    struct piece piece[PIECES_MAX];
    size_t count;
    struct piece subblock[BLOCKS_MAX * SUBBLOCKS_MAX];
    size_t to[BLOCKS_MAX * SUBBLOCKS_MAX];
    size_t subblocks;
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

/* Append the part of a subblock extent that lies in [off, end). */
static int map_subblock(struct map *m, const struct subblock *u, uint64_t off, uint64_t end)
{
    uint64_t from = u->at > off ? u->at : off, to = u->at + u->e.valid;

    to = to < end ? to : end;
    if (from >= to)
        return 0;
    if (m->subblocks == sizeof m->to / sizeof *m->to)
        return -EUCLEAN;
    m->subblock[m->subblocks] = (struct piece){to - from, u->e.object, from - u->at};
    m->to[m->subblocks++] = from - off;
    return 0;
}

/* Append all subblock extents in [off, end). */
static int map_subblocks(const struct items *it, const struct inode *in, uint64_t off, uint64_t end,
                         struct map *m)
{
    uint64_t pos = off;
    struct subblock u;
    int err;

    while ((err = subblock_next(it, in, pos, end, &u)) == 0) {
        err = map_subblock(m, &u, off, end);
        if (err < 0)
            return err;
        pos = pages_around(u.at, u.e.valid).end;
    }
    return err == -ENOENT ? 0 : err;
}

/* Map a range of the file to pieces and subblock extents. Needs the namespace's lock. */
static int map_range(const struct items *it, const struct inode *in, uint64_t off, uint64_t len,
                     struct map *m)
{
    uint64_t pos = off, end = off + len;
    int err;

    m->count = m->subblocks = 0;
    if (!(in->flags & INODE_EXTENTS)) {
        map_part(m, in->object, 0, in->valid, off, len);
        return 0;
    }
    err = map_subblocks(it, in, off, end, m);
    if (err < 0 || (m->subblocks == 1 && m->subblock[0].len == len)) /* one subblock extent covers
                                                                      * all of the range */
        return err;
    while (pos < end) {
        struct block b;
        err = block_load(it, in, pos, &b);
        if (err < 0)
            return err;
        uint64_t next = b.at + EXTENT_BLOCK, n = (next < end ? next : end) - pos;
        if (b.own)
            map_part(m, b.e.object, b.at, b.e.valid, pos, n);
        else
            map_part(m, in->object, 0, in->valid, pos, n);
        pos += n;
    }
    return 0;
}

/* The pieces of one step that are on other shards. */
struct ghost_pieces {
    struct piece v[PIECES_MAX + BLOCKS_MAX * SUBBLOCKS_MAX];
    size_t count;
};

/* Add the piece if its object is on a shard, and if `remote` does not have it. The object
 * gets a hold, so that it is there without a lock, too. */
static int ghost_pieces_add(struct state *p, struct ghost_pieces *pieces, const struct piece *piece,
                            const struct remote_bytes *remote)
{
    uint64_t number;
    struct entry e;
    int err;

    if (!piece->object || refs_entry(p->refs, piece->object, true, &number, &e) < 0 ||
        !objects_is_remote(p->objects, &e) ||
        remote_bytes_has(remote, number, piece->len, piece->at))
        return 0;
    err = refs_hold(p->refs, piece->object);
    if (err == 0)
        pieces->v[pieces->count++] = *piece;
    return err;
}

static void ghost_pieces_end(struct state *p, struct ghost_pieces *pieces)
{
    while (pieces->count)
        refs_unhold(p->refs, pieces->v[--pieces->count].object);
}

/* Find the pieces of a step that `remote` lacks. The caller calls ghost_pieces_end after success.
 */
static int ghost_pieces_find(struct state *p, struct vnode *v, uint64_t off, size_t len,
                             const struct remote_bytes *remote, struct ghost_pieces *ret)
{
    struct items it;
    struct inode in;
    struct map m;
    int err = items_lock(p, v, NULL, &it);

    ret->count = 0;
    if (err < 0)
        return err;
    err = inode_load(it.tree, it.ino, &in);
    if (err == 0)
        err = map_range(&it, &in, off, len, &m);
    for (size_t i = 0; err == 0 && i < m.count; i++)
        err = ghost_pieces_add(p, ret, &m.piece[i], remote);
    for (size_t i = 0; err == 0 && i < m.subblocks; i++)
        err = ghost_pieces_add(p, ret, &m.subblock[i], remote);
    items_unlock(p, &it);
    if (err < 0)
        ghost_pieces_end(p, ret);
    return err;
}

bool file_is_fetched(struct state *p, struct vnode *v, uint64_t off, size_t len,
                     const struct remote_bytes *remote)
{
    struct ghost_pieces pieces;
    bool fetched;

    if (!atomic_load_explicit(&p->has_ghosts, memory_order_relaxed) ||
        ghost_pieces_find(p, v, off, len < READ_STEP ? len : READ_STEP, remote, &pieces) < 0)
        return true;
    fetched = pieces.count == 0;
    ghost_pieces_end(p, &pieces);
    return fetched;
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

static void note_damage(struct state *p, int err)
{
    if (err == -EUCLEAN)
        atomic_store(&p->passthroughs.damage, true);
}

/* Gather a piece that was read ahead. -ENOENT: it was not. */
static int take_ahead(struct state *p, const struct piece *piece, uint8_t *buf, struct ahead *ahead,
                      struct reader *r)
{
    ssize_t n = -ENOENT;

    if (ahead)
        n = ahead_read(p, ahead, piece->object, buf, piece->len, piece->at);
    if (n < 0)
        return (int)n;
    return remote_bytes_keep(r->remote, piece->object, buf, piece->len, (size_t)n, piece->at);
}

/* Read a held piece from its shard; and once more if it was not there, since it may have moved. */
static int ask_for_piece(struct state *p, const struct piece *piece, uint8_t *buf,
                         struct ahead *ahead, struct reader *r)
{
    int64_t begun = clock_ticks(clock_real());
    int err = read_piece(p, piece, buf, r);

    if (ahead)
        ahead_took(p, ahead, clock_ticks(clock_real()) - begun);
    if (err == -ENOENT)
        err = read_piece(p, piece, buf, r);
    note_damage(p, err);
    return err == -ENOENT ? met_lost(p, r->absent) : err;
}

/* Gather a held piece. */
static int fetch_piece(struct state *p, const struct piece *piece, uint8_t *buf,
                       struct ahead *ahead, struct reader *r)
{
    int err = take_ahead(p, piece, buf, ahead, r);

    return err == 0 ? 0 : ask_for_piece(p, piece, buf, ahead, r);
}

static int fetch_step(struct state *p, struct vnode *v, uint64_t off, size_t len, uint8_t *buf,
                      struct ahead *ahead, struct reader *r)
{
    struct ghost_pieces pieces;
    int err = ghost_pieces_find(p, v, off, len, r->remote, &pieces);

    if (err < 0)
        return err;
    for (size_t i = 0; i < pieces.count && err == 0; i++)
        err = fetch_piece(p, &pieces.v[i], buf, ahead, r);
    ghost_pieces_end(p, &pieces);
    return err;
}

int file_fetch(struct state *p, struct vnode *v, uint64_t off, uint64_t len, struct ahead *ahead,
               struct reader *r)
{
    const uint64_t end = off + len;
    uint8_t *buf;
    int err = 0;

    if (!atomic_load_explicit(&p->has_ghosts, memory_order_relaxed))
        return 0;
    buf = malloc(len < READ_STEP ? len + 1 : READ_STEP);
    if (!buf)
        return -ENOMEM;
    for (size_t n; off < end && err == 0; off += n) {
        n = end - off < READ_STEP ? (size_t)(end - off) : READ_STEP;
        err = fetch_step(p, v, off, n, buf, ahead, r);
    }
    free(buf);
    return err;
}

/* Read all pieces into `buf`, and then the subblock extents over them. */
static int read_map(struct state *p, const struct map *m, uint8_t *buf, struct reader *r)
{
    uint8_t *at = buf;
    int err = 0;

    for (size_t i = 0; i < m->count && err == 0; at += m->piece[i++].len)
        err = read_piece(p, &m->piece[i], at, r);
    for (size_t i = 0; i < m->subblocks && err == 0; i++)
        err = read_piece(p, &m->subblock[i], buf + m->to[i], r);
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
                  struct remote_bytes *remote)
{
    struct reader r = {.remote = remote, .near = true};
    size_t done = 0, n;

    while (done < len) {
        size_t want = len - done < READ_STEP ? len - done : READ_STEP;
        int err = read_step(p, v, (uint8_t *)buf + done, want, off + done, &n, &r);
        if (err == -ENOENT)
            err = read_again(p, v, (uint8_t *)buf + done, want, off + done, &n, &r);
        note_damage(p, err);
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
                         struct remote_bytes *remote)
{
    READ_GUARD(&f->v->io);
    if (cached && atomic_load_explicit(&f->v->uncached, memory_order_relaxed) > 0)
        atomic_store_explicit(&f->v->read_beside, true, memory_order_relaxed);
    return file_read(f->p, f->v, buf, len, off, remote);
}

/* Read a file as it is at one moment. */
static ssize_t read_file(struct vfs_file *f, void *buf, size_t len, uint64_t off, bool cached)
{
    struct remote_bytes remote;
    unsigned turns = 0;
    ssize_t n;

    remote_bytes_init(&remote);
    do
        n = read_once(f, buf, len, off, cached, &remote);
    while (remote_bytes_for_read(f->p, f->v, len, off, &f->ahead, &remote, &turns, &n));
    remote_bytes_end(&remote);
    if (n >= 0 && !f->noatime)
        atime_touch(f->p, f->v);
    return n;
}

/* Read an object. It is held, so it cannot be deleted. */
static ssize_t read_held(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
    struct reader r = {.remote = NULL};
    ssize_t n = content_read(f->p, f->object, buf, len, off, &r);

    if (n == -EHOSTUNREACH && remote_bytes_wait(f->p, r.unreachable))
        n = content_read(f->p, f->object, buf, len, off, &r);
    return n == -ENOENT ? met_lost(f->p, f->object) : n;
}

static ssize_t read_all(struct vfs_file *f, void *buf, size_t len, uint64_t off, bool cached)
{
    ssize_t n = f->v ? read_file(f, buf, len, off, cached) : read_held(f, buf, len, off);

    return n == -EHOSTUNREACH ? -EIO : n;
}

ssize_t vfs_read(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
    return read_all(f, buf, len, off, true);
}

ssize_t vfs_read_uncached(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
    return read_all(f, buf, len, off, false);
}
