// SPDX-License-Identifier: Apache-2.0
/*
 * gc_record: what GC cycles know of a store, in its table `gc` (FORMAT.md, "GC cycles"): the highest
 * serial, what is unreferenced since when and what is marked, and the last cycles that had something.
 * It does not travel with the flush: each is a transaction of its own, durable when the call returns.
 *
 * Every value has a checksum, and the head says how many there are: damage is -EUCLEAN and a
 * sentence, never taken for a shorter list.
 */
#pragma once

#include "gc.h"
#include "kv.h"

#define GC_RECORD_WHY 160

struct gc_memory {
    uint64_t serial, cycles;
    bool recount_due; /* pages went, and the references that they held are not given back yet */
    struct gc_saved *saved; /* ascending */
    size_t saved_count, saved_room;
    struct gc_record *history; /* the oldest first */
    size_t history_count, history_room;
};

/* *ret is the caller's to release, also after an error. A table with nothing in it reads as zeros. */
int gc_record_load(struct kv_snap *snap, struct gc_memory *ret, char why[GC_RECORD_WHY]);
void gc_memory_release(struct gc_memory *m);
/* Of one of its values: is the checksum right? */
bool gc_record_is_sound(const void *key, size_t klen, const void *val, size_t len);
/* The number of the last list of marks, before that list counts. */
int gc_record_serial(struct kv *kv, uint64_t serial);
/* Before the first page goes; after the recount. */
int gc_record_due(struct kv *kv, bool due);
/* All that is unreferenced or marked after a cycle, and that cycle itself if `record` is not NULL.
 * Writes nothing where nothing was and nothing is. */
int gc_record_save(struct kv *kv, uint64_t serial, uint64_t cycles, const struct gc_saved *v,
                   size_t count, const struct gc_record *record);
