// SPDX-License-Identifier: Apache-2.0
/* vfs_file_impl: what reading and writing of open files share. */
#pragma once

#include "vfs_block.h"
#include "vfs_impl.h"

/* Read bytes of a file; returns how many, which is less than `len` only at the end of the file.
 * The caller holds v->io (either side), for which changes wait; therefore no shard is asked.
 * -EAGAIN: bytes are on another shard, and `remote` does not have them (NULL: it has none). */
ssize_t file_read(struct state *p, struct vnode *v, void *buf, size_t len, uint64_t off,
                  struct remote_bytes *remote);
/* Gather the bytes of the range that are on other shards in r->remote, where file_read finds them.
 * `ahead` is the window of who reads the file in order, perhaps; NULL: nothing is read ahead. The
 * caller holds no lock. Errors are those of content_read; -EHOSTUNREACH: r->unreachable. */
int file_fetch(struct state *p, struct vnode *v, uint64_t off, uint64_t len, struct ahead *ahead,
               struct reader *r);
/* Are the bytes of the range that are on other shards in `remote`? Looks at the first MiB of the
 * range only. */
bool file_is_fetched(struct state *p, struct vnode *v, uint64_t off, size_t len,
                     const struct remote_bytes *remote);
/* Does a write at `off` copy all bytes of the file, because it is small? A write that changes the
 * file in place does not, even if this is true. */
bool file_is_copied(struct state *p, struct vnode *v, uint64_t off);
/* Writes a part of zeros that are no data: the pages that the range covers become a hole. *ret_len
 * is its bytes, at least one. Needs the freeze lock (read) and v->io (write), not the namespace's
 * lock. -EAGAIN: old bytes that it keeps are on another shard, and t->remote does not have them; no
 * byte is written. */
int file_write_hole(struct txn *t, struct vnode *v, const uint8_t *zeros, size_t len, uint64_t off,
                    size_t *ret_len);
/* May the file be changed through `f` now? Waits until there is memory for the change. 0, -EBADF,
 * -EROFS, or the error of the wait. */
int file_writable(struct vfs_file *f);
/* A file of which most bytes were changed, or that has too many pieces, becomes one content again
 * (DESIGN 4.5), and the part of its base that extents hide is released. Called after a change that
 * no other change is expected to follow soon. If it fails the file stays as it is. 0, or
 * -EWOULDWAIT: there is something to do, and the thread must not wait (nowait.h). The caller holds
 * no lock (vfs_whole.c). */
int file_consolidate(struct state *p, struct vnode *v);
/* Asked before a truncation to `size`: 0, or -EWOULDWAIT: file_consolidate would say that behind
 * it. Where the truncation cuts off all holes of a file 0 may be wrong, and the file keeps its
 * shape until its next close. The caller holds no lock. */
int file_may_cut(struct state *p, struct vnode *v, uint64_t size);
/* If the file's content belongs to this file alone, is unsealed and not yet part of a commit, cut
 * it at `valid` now, so that no bytes are sealed without need. If it cannot be cut nothing is lost:
 * the item's `valid` decides which bytes are the file's. */
int file_cut_content(struct items *it, const struct inode *in);

/* Bytes that a write logs besides its own: the old bytes of the blocks at its two ends. */
#define WRITE_ROOM (2 * (size_t)EXTENT_BLOCK)
#define PUNCH_AT_ONCE 512 /* blocks in one step of making holes */
#define PUNCH_STEPS 4     /* in one turn; two edges and the blocks between them need three */
/* Bytes that one block between the edges logs at most: its inode, subblock extents and map. */
#define PUNCH_ITEM 640
/* The most that a turn logs, in bytes: at each edge the old bytes and the zeros of its block, and
 * PUNCH_ITEM for each block between. */
#define PUNCH_ROOM ((size_t)4 * EXTENT_BLOCK + (size_t)PUNCH_STEPS * PUNCH_AT_ONCE * PUNCH_ITEM)
#define FILE_SIZE_MAX ((uint64_t)INT64_MAX)

/* ---- blocks and extents (vfs_extents.c) ----
 *
 * The caller holds the lock of the inode's tree (items_lock), for writing where something changes.
 *
 * A block is an aligned piece of EXTENT_BLOCK bytes of a file. Its first bytes are stored, and the
 * rest of it is a hole. The extent of the block says how many are stored; without an extent it is
 * as many as the base has there. The inode's `stored` is the sum over all blocks. A function that
 * changes an extent or `valid` also corrects `stored`. */

struct block {
    uint64_t at;     /* offset in the file */
    bool own;        /* it has the extent `e` */
    struct extent e; /* object 0: a hole */
    uint64_t bytes;  /* stored */
};

/* Set the inode's flag of extents. Until then `stored` is not kept in the inode, so it is set,
 * too. */
static inline void inode_use_extents(struct inode *in)
{
    in->stored = inode_stored(in);
    in->flags |= INODE_EXTENTS;
}

/* Load the block that holds `off`. */
int block_load(const struct items *it, const struct inode *in, uint64_t off, struct block *ret);
/* Give the block the extent `e`; NULL: it loses its extent, and the base shows through. Also
 * stores `in`, after correcting its `stored`. `was` is the inode as the tree has it: if the call
 * fails, `was` is stored again, and the tree is unchanged. */
int block_set(const struct items *it, const struct inode *was, struct inode *in,
              const struct block *b, const struct extent *e);
/* The offset of the next data, or of the next hole, at or behind `off`. The hole behind all data
 * has no end. -ENXIO: no data follows. -EAGAIN: not found yet, the caller continues at *ret (so
 * that no lock is held for long). */
int extents_seek(const struct items *it, const struct inode *in, uint64_t off, bool data,
                 uint64_t *ret);
/* The number of bytes of the base that no extent hides. */
int base_seen(const struct items *it, const struct inode *in, uint64_t *ret);
/* The first block in or behind the one that holds `off` where the base is seen. -ENOENT. */
int base_next(const struct items *it, const struct inode *in, uint64_t off, struct block *ret);
/* Shorten the base by the blocks at its end that extents hide, at most `most` of them. Changes `in`
 * only: the caller stores it. After that a hole extent behind `valid` is of no use. */
int base_trim(const struct items *it, struct inode *in, unsigned most);

/* The state of making [from, end) a hole, which takes several turns if the range is long. */
struct punch {
    uint64_t from, end;
    bool all;                /* the range has no end; the caller calls holes_cut before and
                              * subblocks_cut after */
    uint64_t pos;            /* the range is done up to here; begins as `from` */
    uint64_t zero, zero_len; /* the caller writes zeros there before the next turn: the edge of a
                              * block that stays */
};
/* Do one turn: at most `budget` blocks. -EAGAIN: there is more to do. `in` is changed. It is also
 * stored if the file has extents; if it has none, the caller stores it. If `end` is behind all
 * data, no zeros have to be written at the end. */
int extents_punch(const struct items *it, struct inode *in, struct punch *u, unsigned budget);
/* After extents or subblock extents were removed: clear the inode's flags of extents and subblock
 * extents if it has none left, so that nobody looks for any. Does not store `in`. */
int extents_settle(const struct items *it, struct inode *in);
/* How many more bytes (modulo 2^64: it may be fewer) are stored in the blocks from `from` up to
 * `end` because of their extents. */
int bytes_of_extents(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                     uint64_t *ret);
/* The offset of the extent behind `off` that has `count` extents between it and `off`. UINT64_MAX:
 * there is none. */
int extent_after(const struct items *it, const struct inode *in, uint64_t off, unsigned count,
                 uint64_t *ret);
/* Remove all extents of the block at `from` and behind, however many there are. The base must have
 * no bytes there. Stores `in`. */
int extents_cut(struct state *p, const struct items *it, struct inode *in, uint64_t from);

/* ---- subblock extents (vfs_subblocks.c); locks as above ----
 *
 * A block that is sealed or shared may not change in place. A few bytes that are written to such a
 * block become a subblock extent: a content of its own that overrides them. A subblock extent
 * begins at a page, ends within its block, overlaps no other subblock extent, and lies only over
 * stored bytes of the block. So subblock extents change neither how many bytes are stored nor where
 * holes are. A function that makes a block end earlier, or gives it other bytes, must remove the
 * subblock extents there afterwards, before the lock is released. */

struct subblock {
    uint64_t at;     /* offset in the file */
    struct extent e; /* its object, never 0, and how many bytes of it */
};

/* The first subblock extent that has bytes in the pages of [off, end). -ENOENT: there is none. */
int subblock_next(const struct items *it, const struct inode *in, uint64_t off, uint64_t end,
                  struct subblock *ret);
/* As subblock_next, for the pages of [off, end) within the block `b`. *ret_count: how many subblock
 * extents the whole block has. */
int subblock_meet(const struct items *it, const struct inode *in, const struct block *b,
                  uint64_t off, uint64_t end, struct subblock *ret, unsigned *ret_count);
/* May the pages `u` become one more subblock extent of the block, which has `count` subblock
 * extents? None of these touches the pages. */
bool subblock_fits(const struct block *b, struct pages_of u, unsigned count);
/* Store a subblock extent at `at`, or replace the one that begins there. Stores `in` with the flag
 * of subblock extents. `was` is the inode as the tree has it: if the call fails, `was` is stored
 * again. */
int subblock_set(const struct items *it, const struct inode *was, struct inode *in, uint64_t at,
                 const struct extent *e);
/* Remove the subblock extents in [from, end). A subblock extent that lies across `from` keeps its
 * bytes before `from`; no subblock extent may lie across `end`. `base`: remove only subblock
 * extents in blocks that have no extent. The range is short: one block, or PUNCH_AT_ONCE of them.
 */
int subblocks_punch(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                    bool base);
/* As subblocks_punch, for all bytes behind `from`, however many subblock extents there are. */
int subblocks_cut(struct state *p, const struct items *it, const struct inode *in, uint64_t from);

/* ---- maps of holes (vfs_holes.c); locks as above ----
 *
 * A map says which pages of a block are holes, among the pages that are stored as a whole. The
 * bytes of such a page are zeros, and count neither as data nor as stored. Code that changes
 * these bytes, or makes a block end before them, removes them from the map first. */

/* Load the map of the block at `at`; 0 if the block has none. */
int holes_load(const struct items *it, const struct inode *in, uint64_t at, uint32_t *ret);
/* Take these pages out of the maps: they become data, or are about to be removed. Stores `in` if a
 * map changes. */
int holes_fill(const struct items *it, struct inode *in, struct pages_of u);
/* Put the whole pages in [from, end) into the maps. Zeros are stored there. Stores `in`. */
int holes_dig(const struct items *it, struct inode *in, uint64_t from, uint64_t end);
/* The number of bytes of holes among these pages. */
int holes_among(const struct items *it, const struct inode *in, struct pages_of u, uint64_t *ret);
/* How many bytes of whole pages lie in [off, end): what holes_dig makes of them, if none is a hole
 * yet. */
uint64_t holes_room(uint64_t off, uint64_t end);
/* Clear the inode's flag of holes if no map is left. Does not store `in`. */
int holes_settle(const struct items *it, struct inode *in);
/* Remove all holes in the pages behind `from` from the maps, however many there are. Stores
 * `in`. */
int holes_cut(struct state *p, const struct items *it, struct inode *in, uint64_t from);
/* Widen [*from, *end) by the holes that touch it, within the block at `at`, whose map is `map`. */
void holes_widen(uint64_t at, uint32_t map, uint64_t *from, uint64_t *end);
/* Are all of these pages of the block in its map? */
bool holes_cover(uint64_t at, uint32_t map, struct pages_of u);
/* The offset of the first page at or behind `off` that is in a map; `off` itself if its page is.
 * -ENOENT: there is none. */
int holes_next(const struct items *it, const struct inode *in, uint64_t off, uint64_t *ret);
/* -EAGAIN if *off is in a hole of a map; then *off moves behind the hole, or behind the part of it
 * that is in the same block. 0 if it is in none. */
int holes_pass(const struct items *it, const struct inode *in, uint64_t *off);
/* The number of bytes of holes in the maps of the blocks from `from` up to `end`; both are starts
 * of blocks. */
int holes_bytes(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                uint64_t *ret);
