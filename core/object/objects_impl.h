// SPDX-License-Identifier: Apache-2.0
/* objects_impl: what objects.c and objects_seal.c share. Nobody else includes this. */
#pragma once

#include "lock.h"
#include "objects.h"

#define OPEN_MAX 64    /* object files kept open */
#define CHAIN_MAX 1000 /* ids derived before giving up: a fault, not chance */

struct open_blob {
    uint64_t number; /* in the file's name; 0: free */
    struct blob *blob;
    uint64_t used;
};

struct objects {
    struct objects_config c;
    struct objects_pool pool; /* *c.pool, if there is one */
    struct mutex lock;        /* "object files": guards the rest */
    struct open_blob open[OPEN_MAX];
    uint64_t tick;
    uint64_t healed, collisions;
    uint64_t files; /* in a pool: numbers given to files */
};

/* An object's file, from those kept open, or opened; the caller's to unref. -EUCLEAN it is not there.
 */
int object_open_file(struct objects *o, const struct entry *e, struct blob **ret_blob);
/* The file of that number is kept open no longer. */
void object_forget_file(struct objects *o, uint64_t number);
/* objects_read of at least one byte of a sealed entry, without an alarm. */
ssize_t object_read_quietly(struct objects *o, const struct entry *e, void *buf, size_t len,
                            uint64_t off);
/* The alarm, if `err` is -EUCLEAN; returns it. */
int object_damaged(const struct entry *e, int err);
