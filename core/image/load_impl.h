// SPDX-License-Identifier: Apache-2.0
/*
 * load_impl: what the load*.c files share.
 *
 * Inodes are written late: the attributes of one that a record names are in a cache, where entries
 * count names and links, and go into the tree when their place in the cache is needed, or at the
 * end. An inode in the cache holds its object until the tree counts it.
 *
 * Whoever changes the tree of the draft holds the freeze lock for reading and the lock of the
 * namespace for writing (LOAD_GUARD), and no lock between two records.
 */
#pragma once

#include "blob.h"
#include "load.h"
#include "map64.h"
#include "state.h"

#define LOAD_SETS 128 /* of two inodes */

/* An inode of the stream. */
struct load_inode {
    uint64_t number; /* in the stream; 0: the place is free */
    uint64_t ino;
    struct inode in;
    uint64_t held; /* object that `in` names and that is held; 0: none */
    bool dirty;    /* the tree has it otherwise, or not at all */
};

/* Inodes of the stream whose numbers in the namespace follow each other, too. */
struct load_run {
    uint64_t number, ino; /* of the first one; the run ends before the next run */
};

/* A content that has come. */
struct load_content {
    uint64_t number; /* in the stream; 0: none */
    uint64_t length;
    uint64_t valid;  /* bytes of the object; behind them the file has zeros */
    uint64_t object; /* with a hold; 0: none, or the content is sparse */
    uint64_t ino;    /* of a sparse one: its extents and maps are items of this inode */
    uint64_t stored; /* of a sparse one */
    bool sparse, holes; /* `holes`: there are maps */
    uint64_t given;     /* of a sparse one: the inode of the stream that is `ino`; 0: none */
    struct load_large *large; /* of a large one, until it is stored; else NULL */
};

#define LOAD_FLIGHTS 8 /* large contents that workers store */

/* The content whose pieces come. */
struct load_piece {
    struct load_content is; /* number 0: none */
    uint8_t *buf;           /* EXTENT_BLOCK bytes: of a small content, or of a block */
    size_t used;            /* bytes of buf, up to the end of the last piece */
    uint64_t block;         /* of a sparse one: the offset of buf */
    uint32_t touched;       /* of a sparse one: bit n: page n of buf has data */
    struct load_large *large; /* NULL: it is not large */
};

/* A block of a file of the base, to which pieces are applied. */
struct load_patch {
    uint64_t number; /* of the inode; 0: none */
    uint64_t at;     /* offset of the block */
    size_t len;      /* bytes of the file in it */
    uint8_t *buf;    /* EXTENT_BLOCK bytes, once there was a patch */
};

struct load {
    struct state *p;
    struct ns *ns;
    struct vfs_cred cred; /* who gives the stream */
    /* at the number modulo LOAD_SETS; `recent` is the one of the two that was used last */
    struct load_inode cached[LOAD_SETS][2];
    uint8_t recent[LOAD_SETS];
    struct load_run *runs;
    size_t run_count, run_room;
    uint64_t root;      /* the directory that the stream is put at */
    uint64_t inodes;    /* of the stream so far */
    uint64_t unnamed;   /* of these, how many have no name */
    struct map64 found; /* inodes of the base that have numbers: those with 2 … found.count + 1 */
    struct load_patch patch;
    /* Of a stream that is put into what is there (load_open_at): */
    uint64_t first;         /* inodes with lower numbers were there before; 0: it is none */
    struct map64 implied;   /* directories of the stream that are implied -> 1 */
    struct map64 met;       /* directories of the stream -> the inode that was there */
    struct map64 described; /* directories that were there and were met -> is one not implied? */
    struct load_content kept[LOAD_KEPT]; /* at the number modulo LOAD_KEPT */
    struct load_piece piece;
    uint64_t flown[LOAD_FLIGHTS]; /* the last large contents, the nth at n % LOAD_FLIGHTS */
    uint64_t flights;             /* so many of these were there */
    struct load_result result;
    struct strbuf *why; /* of load_take */
};

/* For the rest of the enclosing block: the draft may be changed. */
static inline struct load *load_enter(struct load *l)
{
    rwlock_rdlock(&l->p->freeze_lock);
    rwlock_wrlock(&l->ns->lock);
    return l;
}
static inline void load_leave(struct load **l)
{
    rwlock_wrunlock(&(*l)->ns->lock);
    rwlock_rdunlock(&(*l)->p->freeze_lock);
}
#define LOAD_GUARD(l)                                                                              \
    struct load *LOCK_CAT(guard_, __LINE__) __attribute__((cleanup(load_leave), unused)) =         \
        load_enter(l)

/* Sets the sentence for an error of the stream, and returns `err`. */
int load_fail(struct load *l, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same for an inode of the stream that is not there any more. -EINVAL */
int load_fail_removed(struct load *l, uint64_t number);

/* ---- inodes (load.c); all but the first need the locks ---- */

/* Waits until the store can take more. The caller holds no lock. */
int load_wait(struct load *l);
/* The inode of that number in the stream, in the cache, where it stays until two others were asked
 * for. -EINVAL: it was removed meanwhile. */
int load_inode_get(struct load *l, uint64_t number, struct load_inode **ret);
/* Writes all that is in the cache into the tree, and forgets it: from now on the tree has all. */
int load_inodes_forget(struct load *l);
/* The next number of the stream is that inode. */
int load_add_inode(struct load *l, uint64_t ino);
/* The inode of a number that has come. */
uint64_t load_ino_of(const struct load *l, uint64_t number);
/* Is it the number of an inode that was in the draft before the stream? */
static inline bool load_is_of_base(const struct load *l, uint64_t number)
{
    return number <= IMAGE_ROOT + l->found.count;
}
/* Stores the target of a symlink, as items do not take all of a long one. */
int load_put_target(struct load *l, uint64_t ino, const struct image_record *r);
/* Sets mode, owner, device number and mtime from the record; atime becomes mtime, ctime is now. */
void load_set_attributes(struct load *l, const struct image_record *r, struct inode *in);

/* ---- directories that were there (load_met.c); with the locks, but for load_opaque_take ---- */

/* Was the inode there before the stream? */
static inline bool load_is_old(const struct load *l, uint64_t ino)
{
    return ino < l->first;
}
/* Has a directory of the stream become that one? */
bool load_is_met(const struct load *l, uint64_t ino);
/* Makes the stream's inode `number`, a directory without a name, the directory `ino`. */
int load_meet(struct load *l, uint64_t number, uint64_t ino);
/* Takes a record of a directory that was there, of which `i` is in the cache. */
int load_describe(struct load *l, const struct image_record *r, struct load_inode *i);
/* Names in a directory have changed: if it was there, and the stream says nothing of it, that is
 * seen by its times. */
void load_touch(struct load *l, uint64_t ino, struct inode *in);
/* Notes what the first record of a directory says of it. */
int load_note_implied(struct load *l, const struct image_record *r);
int load_opaque_take(struct load *l, const struct image_record *r);

/* ---- contents (load_content.c) ---- */

int load_content_take(struct load *l, const struct image_record *r);
/* All pieces of the last content have come: it becomes an object, or several. */
int load_content_end(struct load *l);
/* Waits until the content of that number is stored. The caller holds no lock. */
int load_content_settle(struct load *l, uint64_t number);
/* The blocks of a sparse content are items of an inode that is new. It becomes the first inode of
 * the stream that names the content, `inode`; returns it, or 0. The caller holds the locks. */
uint64_t load_content_adopt(struct load *l, uint64_t number, uint64_t inode);
/* Gives the inode the content of that number. The caller holds the locks. -EINVAL */
int load_content_give(struct load *l, uint64_t number, struct load_inode *to);
/* Counts bytes that came. */
void load_count_bytes(struct load *l, uint64_t len, bool new);
/* Makes an object of bytes in memory, 1 … PACK_RECORD_MAX. *ret_object has a hold for the caller,
 * who holds no lock. */
int load_keep(struct load *l, const void *data, size_t len, uint64_t *ret_object);
/* Forgets all contents, at the END. */
int load_contents_forget(struct load *l);
void load_contents_release(struct load *l);

/* ---- large contents (load_large.c); the caller holds no lock ---- */

/* Begins l->piece.large. */
int load_large_begin(struct load *l, uint64_t length);
int load_large_take(struct load_large *f, const void *data, size_t len, uint64_t off);
/* All of it has come: a worker stores it. If too many are with workers, it waits for the first of
 * them. */
int load_large_end(struct load *l);
/* Waits until a content is stored, and notes the object, with a hold. One that is not large, or was
 * stored before, is fine. */
int load_large_settle(struct load *l, struct load_content *c);
/* Forgets one that is with no worker. */
void load_large_free(struct load_large *f);

/* ---- names (load_entry.c) ---- */

int load_entry_take(struct load *l, const struct image_record *r);
int load_remove_take(struct load *l, const struct image_record *r);
int load_unlink_take(struct load *l, const struct image_record *r);

/* ---- inodes of the base (load_base.c) ---- */

int load_find_take(struct load *l, const struct image_record *r);
int load_share_take(struct load *l, const struct image_record *r);
int load_clear_take(struct load *l, const struct image_record *r);
int load_patch_take(struct load *l, const struct image_record *r);
/* Other bytes, or another size or target, for an inode of the base. The caller holds the locks. */
int load_change_base(struct load *l, const struct image_record *r, struct load_inode *i);
/* Stores the block that was patched, if there is one. The caller holds no lock. */
int load_patch_end(struct load *l);

/* A name of a directory as a string, and where it leads. */
struct load_name {
    char s[ITEM_NAME_MAX + 1];
    struct key key;
    uint64_t ino;
    unsigned type; /* DT_… */
};
/* The first entry of a directory with a key ≥ `from`. -ENOENT: it has none. The caller holds the
 * locks. */
int load_first_entry(struct load *l, uint64_t dir_ino, struct key from, struct load_name *ret);
/* Removes an entry that the tree has, as all that the cache had; what is below it goes first. The
 * caller holds no lock. */
int load_remove_below(struct load *l, uint64_t dir_ino, const struct load_name *name);

/* ---- where the stream is put (load_target.c) ---- */

/* Finds the directory, or makes it, and notes it in l->root. The caller holds the locks. */
int load_find_target(struct load *l, const char *path);

/* ---- attributes (load_xattr.c) ---- */

int load_xattr_take(struct load *l, const struct image_record *r);
