// SPDX-License-Identifier: Apache-2.0
/* objects_impl: what objects.c, objects_seal.c, objects_remote.c and objects_batch.c share. Nobody
 * else includes this. */
#pragma once

#include "lock.h"
#include "objects.h"
#include "shards.h"

#define OPEN_MAX 64    /* object files kept open */

struct open_blob {
    uint64_t number;   /* in the file's name; 0: free */
    uint16_t shard;    /* where the file is */
    struct blob *blob;
    uint64_t used;
};

/* A file that is kept open because somebody asked for it (objects_pin). */
struct pinned_blob {
    uint64_t number;
    struct blob *blob;
    unsigned pins;
    struct pinned_blob *next;
};
#define PINNED_BUCKETS 256

struct objects {
    struct objects_config c;
    struct objects_pool pool; /* *c.pool, if there is one */
    struct mutex lock;        /* "object files": guards the rest */
    struct open_blob open[OPEN_MAX];
    struct pinned_blob *pinned[PINNED_BUCKETS];
    uint64_t tick;
    uint64_t healed, collisions;
    uint64_t apart; /* stored under an id with a salt */
    uint64_t files; /* in a pool: numbers given to files */
    /* Records appended plain, of which nothing is said, and that are to be compressed. */
    _Atomic uint64_t untold, at_rest;
};

/* Opens an object's file, at home or on another shard; from those kept open unless `fresh`, and
 * then without a cache of the shard. The
 * caller closes it with object_close_file, and passes the result of its reads as `err`; that call
 * returns what `err` means (object_said). -EUCLEAN: the file is not there. */
int object_open_file(struct objects *o, const struct entry *e, bool fresh, struct blob **ret_blob);
int object_close_file(struct objects *o, const struct entry *e, struct blob *b, int err);
/* Closes the file of that number, if it is kept open. */
void object_forget_file(struct objects *o, uint16_t shard, uint64_t number);
/* objects_read of at least one byte of a sealed entry, without an alarm. The bytes are read where
 * they are, and not from a cache. */
ssize_t object_read_quietly(struct objects *o, const struct entry *e, void *buf, size_t len,
                            uint64_t off);
/* True if the bytes were moved since the entry was read (the old place may be gone, or hold other
 * bytes). *e is the present entry then. */
bool object_has_moved(struct objects *o, struct entry *e);
/* The alarm, if `err` is -EUCLEAN or -EPROTO; returns it. */
int object_unreadable(const struct entry *e, int err);
/* The number for the name of a new file, of the content or slot `number`. */
int object_file_number(struct objects *o, uint64_t number, uint64_t *ret_where);
/* Days since 1970. */
uint16_t object_today(const struct objects *o);

/* ---- objects_remote.c ---- */

/* Takes a place into use: home, with number 0, or a shard. A shard that the store does not have
 * counts as one that cannot be asked. At home *ret_shard is not set. */
int object_use(struct objects *o, uint16_t shard, enum shards_use how, struct shard **ret_shard,
               struct disk **ret_disk);
/* What an error of reading at a place means. -EUCLEAN: it is the right place, and the bytes are
 * damaged or not there. */
int object_said(struct objects *o, uint16_t shard, int err);
/* The same, and gives back the place, which was in use. */
int object_put_back(struct objects *o, uint16_t shard, int err);
/* The entry of a copy of `from` on `shard`, at a place that is still to be filled in. */
struct entry object_copy_of(struct objects *o, uint16_t shard, const struct entry *from);
/* What an error of reading the source of a copy means. -ESTALE: the source was moved meanwhile. */
int object_source_said(struct objects *o, const struct entry *from, int err);
/* Reports that a shard does not return what was just put there, so it cannot be trusted. Always
 * -EIO. */
int object_is_lying(uint16_t shard, const char *name);
/* Has the file of that name just these bytes? 1, 0 or -errno. One byte more is asked for than there
 * should be, which tells whether the file ends there. */
int object_reads_as(struct shard *s, const char *name, const void *data, uint32_t len);
