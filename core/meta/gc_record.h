// SPDX-License-Identifier: Apache-2.0
/*
 * gc_record: what GC cycles know of a store, in its table `gc` (FORMAT.md, "GC cycles"). That is
 * the highest serial, the objects that are unreferenced or marked, each with the time since when,
 * and the last cycles that found something eligible. A commit of a flush does not write this table.
 * Each call below that writes has a transaction of its own, which is durable when the call returns.
 *
 * Every value has a checksum, and the head has the number of saved objects. Damage is -EUCLEAN, and
 * a damaged table is never read as a shorter list. Threads: any.
 */
#pragma once

#include "gc.h"
#include "kv.h"

/* room for the sentence of gc_record_load that says what is damaged */
#define GC_RECORD_WHY 160

struct gc_memory {
    uint64_t serial, cycles;
    /* a cycle deleted pages, and their references are not given back until a recount */
    bool recount_due;
    struct gc_saved *saved; /* ascending by id */
    size_t saved_count, saved_room;
    struct gc_record *history; /* the oldest first */
    size_t history_count, history_room;
};

/* Reads the whole table. -EUCLEAN: it is damaged, and `why` says how; -ENOMEM, -EIO. An empty table
 * reads as zeros. The caller releases *ret, also after an error. */
int gc_record_load(struct kv_snap *snap, struct gc_memory *ret, char why[GC_RECORD_WHY]);
void gc_memory_release(struct gc_memory *m);
/* Has this value of the table the right checksum? It covers the key, too. */
bool gc_record_is_sound(const void *key, size_t klen, const void *val, size_t len);
/* Writes the serial of the next list of marks into the head. A cycle calls it before it publishes
 * that list, so that a crash never lets a serial be used twice. */
int gc_record_serial(struct kv *kv, uint64_t serial);
/* Notes whether a recount is due: true before the first page is deleted, false after the
 * recount. */
int gc_record_due(struct kv *kv, bool due);
/* Replaces the saved objects by the `count` of `v`, which is all that is unreferenced or marked
 * after a cycle, ascending. Appends the cycle itself if `record` is not NULL, and removes the
 * oldest beyond GC_HISTORY_MAX. One transaction has all of it. It writes nothing if the table would
 * not change: nothing is or was saved, there is no record, and the serial is the same. */
int gc_record_save(struct kv *kv, uint64_t serial, uint64_t cycles, const struct gc_saved *v,
                   size_t count, const struct gc_record *record);
