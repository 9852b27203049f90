// SPDX-License-Identifier: Apache-2.0
/*
 * stored_record: how many bytes all objects have together as of a commit: the record "stored" of
 * the table meta (FORMAT.md, "Meta"), which saves a start the time to count them.
 *
 * It is tied to the state record of its commit. A program that does not know it leaves it as it is,
 * and commits another state record: then it says nothing any more.
 *
 * Threads: any. Errors: 0 or -errno.
 */
#pragma once

#include "record.h"

struct stored_record {
    uint64_t state; /* stored_record_tie of the state record of that commit */
    uint64_t bytes; /* of the objects that are sealed and have a reference */
    uint64_t saved; /* by how many bytes these are shorter where they are (entry_payload) */
};
#define STORED_RECORD_LEN 24 /* of one that saves nothing */
#define STORED_RECORD_MAX 32
/* seed of the checksum; each record of the table has its own, so none is taken for another */
#define STORED_RECORD_SEED 6
/* Returns the length. */
size_t stored_record_encode(const struct stored_record *s, uint8_t out[STORED_RECORD_MAX]);
int stored_record_decode(const void *val, size_t len, struct stored_record *ret); /* -EUCLEAN */
/* A checksum of a state record, which no other commit has, whichever program makes it. */
uint64_t stored_record_tie(const uint8_t state[STORE_RECORD_LEN]);

/* Writes the record with a commit. NULL: there is to be none, so the next start counts. -ENOMEM,
 * -EIO */
int stored_record_put(const struct stored_record *s, struct kv_txn *t);
/* The record as of the state of the snapshot. -ENOENT: nobody says it of that state: there is no
 * record, it is of another commit, or the state record is damaged. -EUCLEAN: it is damaged; -EIO */
int stored_record_load_snap(struct kv_snap *snap, struct stored_record *ret);
/* The same of the last commit, but a damaged record is as good as none. -ENOENT, -EIO,
 * -ENOMEM */
int stored_record_load(struct kv *kv, struct stored_record *ret);
