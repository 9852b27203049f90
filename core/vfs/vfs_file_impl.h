// SPDX-License-Identifier: Apache-2.0
/* vfs_file_impl: what reading and writing of open files share. */
#pragma once

#include "vfs_grain.h"
#include "vfs_impl.h"

/* Bytes of a file; needs v->io (either side). Short only at its end. */
ssize_t file_read(struct state *p, struct vnode *v, void *buf, size_t len, uint64_t off,
                  struct reader *r);
/* Is a part of these bytes on another shard? Looks at the first MiB of the range only. The caller
 * holds no lock. */
bool file_is_unreachable(struct state *p, struct vnode *v, uint64_t off, size_t len);
/* Write part of a step: *ret_len bytes, at least one. Needs the freeze lock (read) and v->io
 * (write), not the namespace's lock. */
int file_write_step(struct txn *t, struct vnode *v, const uint8_t *buf, size_t len, uint64_t off,
                    size_t *ret_len);
/* The same with zeros that are no data: the pages that it covers are a hole. */
int file_write_hole(struct txn *t, struct vnode *v, const uint8_t *zeros, size_t len, uint64_t off,
                    size_t *ret_len);
/* May the file be changed through `f` now? Waits until there is memory for the change. 0, -EBADF,
 * -EROFS, or why the wait failed. */
int file_writable(struct vfs_file *f);
/* A file of which most bytes were changed, or that has too many pieces, becomes one content again
 * (DESIGN 4.5), and the part of its base that extents hide is released. Called after a change that
 * no other change is expected to follow soon. If it fails the file stays as it is; the same if the
 * thread must not wait. The caller holds no lock (vfs_whole.c). */
void file_consolidate(struct state *p, struct vnode *v);
/* Must the thread leave file_consolidate to another thread? Yes if it must not wait (nowait.h) and
 * bytes may have to be moved: the file has extents, or is a large sealed object. Asked before the
 * change. */
bool file_is_work(struct state *p, struct vnode *v);
/* Cut the bytes of `c` past `valid`, which is where the item that names `c` says that the file's
 * bytes end. Done before a change that would make them visible. */
int content_cut_stale(struct txn *t, struct content *c, uint64_t valid);
/* If the file's content belongs to this file alone, is unsealed and not yet part of a commit, cut
 * it at `valid` now, so that no bytes are sealed without need. If it cannot be cut nothing is lost:
 * the item's `valid` decides which bytes are the file's. */
int file_cut_content(struct items *it, const struct inode *in);

/* Bytes that a write logs besides its own: the old bytes of the grains at its two ends. */
#define WRITE_ROOM (2 * (size_t)EXTENT_GRAIN)
#define PUNCH_AT_ONCE 512 /* grains in one step of making holes */
#define PUNCH_STEPS 4     /* in one turn; two edges and what is between need three */
#define PUNCH_ITEM 640    /* bytes that a grain between them logs at most: its inode, patches, map */
/* What a turn logs at most: each edge has old bytes and zeros of its grain. */
#define PUNCH_ROOM ((size_t)4 * EXTENT_GRAIN + (size_t)PUNCH_STEPS * PUNCH_AT_ONCE * PUNCH_ITEM)
#define FILE_SIZE_MAX ((uint64_t)INT64_MAX)

/* ---- grains and extents (vfs_extents.c); all need the namespace's lock, as the tree does ----
 *
 * A grain is EXTENT_GRAIN bytes of a file. How many of them, from its start, are stored is what its
 * extent says, or, without one, how many the base has there; behind them it is a hole. The inode's
 * `stored` is the sum over all grains: whatever changes an extent or `valid` keeps it so. */

struct grain {
    uint64_t at;     /* offset in the file */
    bool own;        /* it has the extent `e` */
    struct extent e; /* object 0: a hole */
    uint64_t bytes;  /* stored */
};

/* From now on the inode may have extents. */
static inline void inode_use_extents(struct inode *in)
{
    in->stored = inode_stored(in);
    in->flags |= INODE_EXTENTS;
}

/* The grain that holds `off`. */
int grain_load(const struct items *it, const struct inode *in, uint64_t off, struct grain *ret);
/* The grain becomes what `e` says; NULL: the base shows through. Stores `in`, with its `stored`
 * made right, instead of `was`, which is what the tree has: both or none. */
int grain_set(const struct items *it, const struct inode *was, struct inode *in,
              const struct grain *g, const struct extent *e);
/* The first extent in or behind the grain that holds `off`. -ENOENT. */
int extent_next(const struct items *it, const struct inode *in, uint64_t off, struct grain *ret);
/* The offset of the next data, or of the next hole, at or behind `off`. The hole behind all data
 * has no end. -ENXIO: no data follows. -EAGAIN: not found yet, the caller continues at *ret (so
 * that no lock is held for long). */
int extents_seek(const struct items *it, const struct inode *in, uint64_t off, bool data,
                 uint64_t *ret);
/* Bytes of the base that no extent hides. */
int base_seen(const struct items *it, const struct inode *in, uint64_t *ret);
/* The first grain in or behind the one that holds `off` where the base is seen. -ENOENT. */
int base_next(const struct items *it, const struct inode *in, uint64_t off, struct grain *ret);
/* Shorten the base by the grains at its end that extents hide, at most `most` of them. Changes `in`
 * only: the caller stores it. After that a hole extent behind `valid` is of no use. */
int base_trim(const struct items *it, struct inode *in, unsigned most);

/* Making [from, end) a hole, in turns. */
struct punch {
    uint64_t from, end;
    bool all;                /* the range has no end; the caller calls holes_cut before and
                              * patches_cut after */
    uint64_t pos;            /* the range is done up to here; begins as `from` */
    uint64_t zero, zero_len; /* the caller writes zeros there before the next turn: the edge of a
                              * grain that stays */
};
/* One turn: at most `budget` grains. -EAGAIN: there is more. `in` is changed, and stored where the
 * file has extents; where it has none the caller must. An `end` behind all data needs no zeros. */
int extents_punch(const struct items *it, struct inode *in, struct punch *u, unsigned budget);
/* After extents or patches were removed: clear the inode's flags of extents and patches if it has
 * none left, so that nobody looks for any. Does not store `in`. */
int extents_settle(const struct items *it, struct inode *in);
/* How many more bytes (modulo 2^64: it may be fewer) are stored in the grains from `from` up to
 * `end` because of their extents. */
int bytes_of_extents(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                     uint64_t *ret);
/* The offset of the extent behind `off` that has `count` extents between it and `off`. UINT64_MAX:
 * there is none. */
int extent_after(const struct items *it, const struct inode *in, uint64_t off, unsigned count,
                 uint64_t *ret);
/* Remove all extents of the grain at `from` and behind, however many there are. The base must have
 * no bytes there. Stores `in`. */
int extents_cut(struct state *p, const struct items *it, struct inode *in, uint64_t from);

/* ---- patches (vfs_patches.c); as above ----
 *
 * A few bytes written into a grain that may not change in place, because it is sealed or shared,
 * become a patch: a content of its own that overrides them. Patches lie only upon what is stored of
 * a grain, begin at a page, do not overlap, and end within their grain. So what is stored and where
 * holes are they do not change; but whoever makes a grain end earlier, or gives it other bytes,
 * must take away (after that, under the same hold of the lock) what lay upon it. */

struct patch {
    uint64_t at;     /* offset in the file */
    struct extent e; /* its object, never 0, and how many bytes of it */
};

/* The first patch with bytes in the pages of [off, end). -ENOENT: there is none. */
int patch_next(const struct items *it, const struct inode *in, uint64_t off, uint64_t end,
               struct patch *ret);
/* The same within the grain, and how many there are in all of it. */
int patch_meet(const struct items *it, const struct inode *in, const struct grain *g, uint64_t off,
               uint64_t end, struct patch *ret, unsigned *ret_count);
/* May these pages become one more patch of the grain, where none of its `count` touches them? */
bool patch_fits(const struct grain *g, struct pages_of u, unsigned count);
/* A new patch, or one with another content. Stores `in` instead of `was`: both or none. */
int patch_set(const struct items *it, const struct inode *was, struct inode *in, uint64_t at,
              const struct extent *e);
/* The patches of [from, end) go, and of one that lies across `from` what is behind it; none lies
 * across `end`. They are few: those of a grain, or of PUNCH_AT_ONCE. `base`: only those upon the
 * base. */
int patches_punch(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                  bool base);
/* As patches_punch, for all bytes behind `from`, however many patches there are. */
int patches_cut(struct state *p, const struct items *it, const struct inode *in, uint64_t from);

/* ---- maps of holes (vfs_holes.c); as above ----
 *
 * A map says which pages of a grain are holes, among the pages that are stored as a whole. The
 * bytes of such a page are zeros, and count neither as data nor as stored. Code that changes
 * these bytes, or makes a grain end before them, removes them from the map first. */

/* The map of the grain at `at`; 0 if it has none. */
int holes_load(const struct items *it, const struct inode *in, uint64_t at, uint32_t *ret);
/* Take these pages out of the maps: they become data, or are about to be removed. Stores `in` if a
 * map changes. */
int holes_fill(const struct items *it, struct inode *in, struct pages_of u);
/* Put the whole pages in [from, end) into the maps. Zeros are stored there. Stores `in`. */
int holes_dig(const struct items *it, struct inode *in, uint64_t from, uint64_t end);
/* Clear the inode's flag of holes if no map is left. Does not store `in`. */
int holes_settle(const struct items *it, struct inode *in);
/* Remove all holes in the pages behind `from` from the maps, however many there are. Stores
 * `in`. */
int holes_cut(struct state *p, const struct items *it, struct inode *in, uint64_t from);
/* Widen [*from, *end) by the holes that touch it, within the grain at `at`, whose map is `map`. */
void holes_widen(uint64_t at, uint32_t map, uint64_t *from, uint64_t *end);
/* Are all of these pages of the grain in its map? */
bool holes_cover(uint64_t at, uint32_t map, struct pages_of u);
/* The first page at or behind `off` that is in a map. -ENOENT. */
int holes_next(const struct items *it, const struct inode *in, uint64_t off, uint64_t *ret);
/* -EAGAIN if *off is in a hole of a map; then *off moves behind the hole, or behind the part of it
 * that is in the same grain. 0 if it is in none. */
int holes_pass(const struct items *it, const struct inode *in, uint64_t *off);
/* Bytes of the holes of the grains from `from` up to `end`. */
int holes_bytes(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                uint64_t *ret);
