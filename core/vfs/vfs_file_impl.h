// SPDX-License-Identifier: Apache-2.0
/* vfs_file_impl: what reading and writing of open files share. */
#pragma once

#include "vfs_grain.h"
#include "vfs_impl.h"

/* Bytes of a file; needs v->io (either side). Short only at its end. */
ssize_t file_read(struct state *p, struct vnode *v, void *buf, size_t len, uint64_t off,
                  struct reader *r);
/* Are some of these bytes (of the first MiB of them) on another shard? Holding nothing. */
bool file_is_unreachable(struct state *p, struct vnode *v, uint64_t off, size_t len);
/* Write part of a step: *ret_len bytes, at least one. Needs the freeze lock (read) and v->io
 * (write), not the namespace's lock. */
int file_write_step(struct txn *t, struct vnode *v, const uint8_t *buf, size_t len, uint64_t off,
                    size_t *ret_len);
/* The same with zeros that are no data: the pages that it covers are a hole. */
int file_write_hole(struct txn *t, struct vnode *v, const uint8_t *zeros, size_t len, uint64_t off,
                    size_t *ret_len);
/* Is there a change to be made through `f` just now? The errno of it, after waiting for room. */
int file_writable(struct vfs_file *f);
/* A file mostly changed, or in too many pieces, becomes one content again (DESIGN 4.5), and what
 * its base cannot show any more is let go. After a change that no other is to follow soon; a
 * failure leaves it as it is, and so does a thread that must not wait. Holding nothing
 * (vfs_whole.c). */
void file_consolidate(struct state *p, struct vnode *v);
/* Must this thread leave it to another, since it must not wait (nowait.h), and there may be bytes
 * to be moved: has it extents, or is it a large sealed object? Before the change. */
bool file_is_work(struct state *p, struct vnode *v);
/* Bytes past what the item calls valid are not the file's: cut before they would show. */
int content_cut_stale(struct txn *t, struct content *c, uint64_t valid);
/* If the bytes are this file's own, unsealed and not yet part of a commit, they are cut at once, so
 * that nothing longer is sealed without need: the item's `valid` is what counts. */
int file_cut_content(struct items *it, const struct inode *in);

/* Bytes that a write logs beside its own: what the grains at its ends had. */
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
/* Where data, or a hole, is next, at or behind `off`; the hole behind all data has no end. -ENXIO:
 * no data. -EAGAIN: not known yet, go on at *ret (so that no lock is held for long). */
int extents_seek(const struct items *it, const struct inode *in, uint64_t off, bool data,
                 uint64_t *ret);
/* Bytes of the base that no extent hides. */
int base_seen(const struct items *it, const struct inode *in, uint64_t *ret);
/* The first grain in or behind the one that holds `off` where the base is seen. -ENOENT. */
int base_next(const struct items *it, const struct inode *in, uint64_t off, struct grain *ret);
/* What of the base extents hide up to its end, at most so many grains, is its no more. In `in`
 * only: the caller stores it, and then a hole behind `valid` is of no use. */
int base_trim(const struct items *it, struct inode *in, unsigned most);

/* Making [from, end) a hole, in turns. */
struct punch {
    uint64_t from, end;
    bool all;                /* it has no end; before it holes_cut, and patches_cut after it */
    uint64_t pos;            /* `from` at first; done up to here */
    uint64_t zero, zero_len; /* before the next turn zeros are to be written there: the edge of a
                                grain that stays */
};
/* One turn: at most `budget` grains. -EAGAIN: there is more. `in` is changed, and stored where the
 * file has extents; where it has none the caller must. An `end` behind all data needs no zeros. */
int extents_punch(const struct items *it, struct inode *in, struct punch *u, unsigned budget);
/* After extents or patches have gone: none left, no need to look for any. Does not store `in`. */
int extents_settle(const struct items *it, struct inode *in);
/* By how much more (or, wrapping around, less) is stored in the grains at `from` up to `end`
 * because of their extents. */
int bytes_of_extents(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                     uint64_t *ret);
/* Where the extent is that has `count` others between it and `off`; UINT64_MAX: nowhere. */
int extent_after(const struct items *it, const struct inode *in, uint64_t off, unsigned count,
                 uint64_t *ret);
/* All extents of the grain at `from` and behind go, however many there are; the base has nothing
 * there. Stores `in`. */
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
/* The same of all behind `from`, however many there are. */
int patches_cut(struct state *p, const struct items *it, const struct inode *in, uint64_t from);

/* ---- maps of holes (vfs_holes.c); as above ----
 *
 * Which pages of a grain are holes, of those that are stored whole: their bytes are zeros, and
 * count neither as data nor as stored. Whoever changes such bytes, or makes a grain end before
 * them, takes the map away before that. */

/* Of the grain at `at`; 0: there is none. */
int holes_load(const struct items *it, const struct inode *in, uint64_t at, uint32_t *ret);
/* These pages are data, or are going to be neither. Stores `in` where it changes. */
int holes_fill(const struct items *it, struct inode *in, struct pages_of u);
/* The whole pages in [from, end) are holes: there are zeros, and they are stored. Stores `in`. */
int holes_dig(const struct items *it, struct inode *in, uint64_t from, uint64_t end);
/* No map is left? Then there is no need to look for any. Does not store `in`. */
int holes_settle(const struct items *it, struct inode *in);
/* All of them in the pages behind `from`, however many there are. Stores `in`. */
int holes_cut(struct state *p, const struct items *it, struct inode *in, uint64_t from);
/* [*from, *end) and the holes that touch it, within the grain at `at` that has this map. */
void holes_widen(uint64_t at, uint32_t map, uint64_t *from, uint64_t *end);
/* Has the map all of these pages of its grain? */
bool holes_cover(uint64_t at, uint32_t map, struct pages_of u);
/* The first page that a map has, at or behind `off`. -ENOENT. */
int holes_next(const struct items *it, const struct inode *in, uint64_t off, uint64_t *ret);
/* Is *off in a hole? -EAGAIN: yes, and *off is behind it, or behind the part of it in its grain. */
int holes_pass(const struct items *it, const struct inode *in, uint64_t *off);
/* Bytes of the holes of the grains from `from` up to `end`. */
int holes_bytes(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                uint64_t *ret);
