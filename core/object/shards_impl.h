// SPDX-License-Identifier: Apache-2.0
/*
 * shards_impl: what shards.c (the slots and their users), shards_table.c (which there are),
 * shards_fence.c (what a shard is asked) and shards_archive.c (what is so of archives alone) share.
 * Private to core/object.
 */
#pragma once

#include "lock.h"
#include "shard_format.h"
#include "shards.h"

/* An open shard. Users do not say which handle they give back: a handle that was replaced is closed
 * when the shard has no user at all. */
struct shards_handle {
    struct shards_handle *next; /* among the replaced ones */
    struct shard *shard;
};

struct shards_slot {
    uint16_t number;
    struct shard_record record; /* as it is in the table */
    bool damaged;               /* the record cannot be read: only the number is known */
    bool busy;                  /* one thread asks the shard, or changes its record; no other may */
    bool leaving;               /* it is being removed */
    enum shards_state state;
    int64_t since;   /* realtime ns */
    int64_t asked;   /* monotonic ns: when it was last looked for */
    int64_t took;    /* ns that looking for it took then */
    int64_t checked; /* monotonic ns: when `owner` was last read */
    char why[SHARD_WHY];
    struct shard_space space;
    struct disk *disk;            /* its files, whatever the handle */
    struct disk *near;            /* the same, through the cache; NULL: without one */
    struct shard_near cache;      /* of `near` */
    struct shard_meter *meter;    /* never changes; NULL: the record is damaged */
    struct shards_handle *handle; /* NULL: not open */
    bool stale;                   /* the handle is of no use any more: the shard is unreachable */
    struct shards_handle *replaced;
    unsigned users;
    bool has_fence; /* this store took the fence since the opening */
    /* another copy of the store owns it, as `owner` said last; if that was wrong the fence is taken
     * anew */
    bool foreign;
    bool no_write;    /* a write was refused */
    uint32_t sequence; /* numbers given out in this incarnation, or with this prefix */
    /* of an archive: its writer may write, and has this prefix. The prefix stays when it may not
     * write any more. */
    bool allowed;
    uint64_t prefix;
};

struct shards {
    struct kv *kv;
    struct cache *cache; /* NULL: none */
    unsigned table;
    const struct clock *clock;
    uint8_t store[16];
    bool readonly;
    unsigned open_flags; /* of shard_open, but for SHARD_READONLY */
    struct mutex lock; /* "shards": all below; not held while a shard or the kv is asked */
    struct cond changed;
    struct shards_slot *slot[SHARDS_MAX]; /* sorted by number */
    size_t count;
    uint32_t floor; /* the highest incarnation of a shard that was removed */
    bool floor_damaged;
};

static inline bool shards_is_readable(enum shards_state state)
{
    return state == SHARDS_OK || state == SHARDS_READONLY || state == SHARDS_FOREIGN;
}

/* ---- shards.c ---- */

/* The slot of a number, or NULL. These three need the lock; shards_insert also needs room. */
struct shards_slot *shards_find(struct shards *s, unsigned number);
void shards_insert(struct shards *s, struct shards_slot *slot);
void shards_take_out(struct shards *s, const struct shards_slot *slot);
struct shards_slot *shards_make_slot(struct shards *s, uint16_t number); /* NULL: no memory */
/* Gives the slot a disk with a cache, if the place at that URL is far. The slot is not in the set.
 * -ENOMEM. */
int shards_make_near(struct shards *s, struct shards_slot *slot, const char *url);
void shards_destroy_slot(struct shards_slot *slot); /* it is not in the set; NULL is fine */
/* Makes a slot busy: the caller is alone with it until shards_end_busy. NULL: there is no shard of
 * that number. */
struct shards_slot *shards_begin_busy(struct shards *s, unsigned number);
void shards_end_busy(struct shards *s, struct shards_slot *slot);
enum shards_state shards_state_of(struct shards *s, const struct shards_slot *slot);
/* Calls shards_ask, and notes the time. The slot is busy. */
void shards_ask_busy(struct shards *s, struct shards_slot *slot);

/* Sets the state, and reports a change that people should know of. Needs the lock. */
void shards_set_state(struct shards *s, struct shards_slot *slot, enum shards_state state,
                      const char *why);

/* ---- shards_table.c ---- */

/* Writes the record durably, then to the slot. The slot is busy, and the lock is not held. */
int shards_write_record(struct shards *s, struct shards_slot *slot, const struct shard_record *r);

/* ---- shards_fence.c: the slot is busy, the lock not held, if not told otherwise ---- */

/* Opens the shard, recognises it, and sets its state. */
void shards_ask(struct shards *s, struct shards_slot *slot);
/* Opens the place in the record, and checks whether the right shard is there. Needs no busy
 * slot. */
enum shards_state shards_recognise(struct shards *s, const struct shard_record *r, uint16_t number,
                                   struct shard **ret_shard, char why[SHARD_WHY]);
/* Take the fence: steps a to g; the state tells the outcome, too. 0, -EROFS, -EHOSTUNREACH or what
 * a write said. */
int shards_take_fence(struct shards *s, struct shards_slot *slot);
/* Is `owner` still what this store put there? 0, or as shards_take_fence. */
int shards_check_owner(struct shards *s, struct shards_slot *slot);
/* Make the place at r->url this store's shard `number`: identity and owner. `r` gets id and
 * token. */
int shards_take(struct shards *s, struct shard *shard, uint16_t number, struct shard_record *r,
                char why[SHARD_WHY]);

/* ---- shards_archive.c ---- */

/* Is the place that archive? 0; -ENOENT: it is no archive; -EBUSY: it is another one; -EUCLEAN,
 * -EPROTO, and what reading it said. After an error `why` has a sentence. It needs no busy slot. */
int shards_check_archive(struct shard *shard, const uint8_t id[SHARD_ID_LEN], char why[SHARD_WHY]);
/* shards_new_number of an archive. Needs the lock. */
int shards_archive_number(struct shards_slot *slot, uint64_t *ret_where);
