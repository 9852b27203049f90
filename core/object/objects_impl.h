// SPDX-License-Identifier: Apache-2.0
/* objects_impl: what objects.c, objects_seal.c and objects_remote.c share. Nobody else includes
 * this. */
#pragma once

#include "lock.h"
#include "objects.h"

#define OPEN_MAX 64    /* object files kept open */

struct open_blob {
    uint64_t number;   /* in the file's name; 0: free */
    uint16_t shard;    /* where the file is */
    struct blob *blob; /* of one on another shard only what is kept (blob_keep) */
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
};

/* An object's file, wherever it is, from those kept open unless `fresh`; to be closed with what
 * reading it said, which object_close_file then returns, or what it really means. Between the two
 * the file's shard is in use. -EUCLEAN it is not there. */
int object_open_file(struct objects *o, const struct entry *e, bool fresh, struct blob **ret_blob);
int object_close_file(struct objects *o, const struct entry *e, struct blob *b, int err);
/* Kept open; the caller's to unref, or NULL. */
struct blob *object_cache_get(struct objects *o, uint16_t shard, uint64_t number);
void object_cache_put(struct objects *o, uint16_t shard, uint64_t number, struct blob *b);
/* The file of that number is kept open no longer. */
void object_forget_file(struct objects *o, uint16_t shard, uint64_t number);
/* objects_read of at least one byte of a sealed entry, without an alarm. */
ssize_t object_read_quietly(struct objects *o, const struct entry *e, void *buf, size_t len,
                            uint64_t off);
/* Have the bytes been moved since the entry was read? Its old place may be gone, or hold others.
 * Then *e is what it is now. */
bool object_has_moved(struct objects *o, struct entry *e);
/* The alarm, if `err` is -EUCLEAN; returns it. */
int object_damaged(const struct entry *e, int err);
/* The id of all that a file has, piece by piece; `pace` may be NULL. What that says sets
 * *ret_paced. */
int object_hash_file(struct objects *o, struct blob *b, const struct objects_pace *pace,
                     bool *ret_paced, struct id *ret_hash);
/* The number for the name of a new file, of the content or slot `number`. */
int object_file_number(struct objects *o, uint64_t number, uint64_t *ret_where);
/* Days since 1970. */
uint16_t object_today(const struct objects *o);

/* ---- objects_remote.c ---- */

/* One record of a pack on another shard, all of it, verified. */
int object_read_remote(struct objects *o, const struct entry *e, void *buf);
int object_open_remote(struct objects *o, const struct entry *e, bool fresh,
                       struct blob **ret_blob);
/* `err` is what the shard, which is in use, said; what it means. It is given back. */
int object_put_back(struct objects *o, uint16_t shard, int err);
