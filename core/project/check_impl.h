// SPDX-License-Identifier: Apache-2.0
/* check_impl: what check.c and check_bytes.c share. Nobody else includes this. */
#pragma once

#include "check.h"
#include "project_impl.h"
#include "recount.h"

struct check {
    struct disk *disk;
    struct kv_snap *snap;
    const struct check_options *o;
    struct check_result r;
    struct recount count;
    struct state state;
    struct id_key key;
    bool has_state, has_key;
    uint64_t done, total; /* bytes, for progress */
    struct map64 files;   /* numbers in the names of object files that something names */
    struct map64 slots;   /* numbers of slots that something names */
    struct map64 pack_records, pack_bytes; /* by pack, from the table of objects and the dying */
    /* check_bytes.c */
    struct disk_file *pack;
    uint64_t pack_number; /* of `pack`, or of the one that could not be opened */
    uint8_t *buf;         /* PACK_RECORD_MAX bytes */
};

#define CHECK_WHERE 160 /* bytes of the longest "where" */

/* A finding. Problem: it is damage. */
void check_found(struct check *c, bool problem, const char *what, const char *where,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void check_advance(struct check *c, uint64_t bytes);
/* Every entry of a table whose keys are 8 bytes, big-endian. Keys of other lengths are reported. */
typedef int check_entry_fn(struct check *c, uint64_t number, const void *val, size_t len);
int check_each(struct check *c, unsigned table, const char *what, check_entry_fn *fn);
/* The id of a sealed entry, else "object number N". */
void check_where(const struct entry *e, uint64_t number, char out[CHECK_WHERE]);
/* -ENOENT, -EUCLEAN. */
int check_get_entry(struct check *c, unsigned table, uint64_t number, struct entry *ret);

/* The bytes of all objects and slots, the packs table, and files that nobody names. */
int check_bytes(struct check *c);
