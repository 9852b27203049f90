// SPDX-License-Identifier: Apache-2.0
/*
 * prune_reach: which segments of a lineage are needed for states of it, and which contents these
 * segments name. Private to core/prune.
 *
 *     reach_init(&r, shard, lineage, &live)
 *     reach_follow(&r, after, last)   all segments from the begin on
 *     reach_state(&r, at) ...         a state before it: all namespaces that it names
 *     reach_has(&r, at)
 *
 * What is needed of a state is what a restore of any of its namespaces reads: the segments on the
 * way to the list of names, and of each namespace the section that it names, then where its longest
 * section leads, and so on (restore/restore_plan.c). A segment that is needed is kept as a whole:
 * so all contents that it names are, also those of its other sections.
 *
 * Threads: one. Errors: 0 or -errno: -ENOENT, -EUCLEAN: something that is needed is not there, or
 * damaged: then nothing may be deleted; those of the shard; what `progress` returned.
 */
#pragma once

#include "map64.h"
#include "segment.h"
#include "shard.h"

/* A content in a pack. */
struct live_content {
    uint64_t where;
    uint32_t offset, size;
};
/* The packs and files of one lineage that are needed: their numbers; and which contents of packs of
 * epochs before `old_epoch`. */
struct live {
    uint32_t lineage;
    uint64_t old_epoch;
    struct map64 packs, files;
    struct live_content *contents; /* in the order of places, unless `unsorted` */
    size_t count, room;
    bool unsorted;
};

/* Of a namespace, where its longest section in a segment leads to. */
struct hop {
    uint32_t ns, generation, from_ns, from_generation;
    struct segment_pos from_at;
};

struct spot {
    struct segment_pos at, before;
    uint64_t seq;
    int64_t time;
    bool has_names;
    struct hop *hops;
    size_t hop_count;
    struct hop *names; /* from_ns, from_generation and from_at: the last section of a name */
    size_t name_count;
};

struct reach {
    struct shard *shard; /* borrowed */
    uint32_t lineage;
    struct segment_pos begin; /* from here on all is kept, and not noted */
    struct live *live;
    struct map64 index; /* place -> index + 1 in `spots` */
    struct spot *spots; /* the segments before the begin that are needed */
    size_t count, room;
    struct map64 done; /* (spot, namespace) */
    struct hop *todo;  /* from_ns, from_generation and from_at */
    size_t todo_count, todo_room;
    uint64_t segments; /* that were read */
    int (*progress)(uint64_t segments, void *ctx);
    void *ctx;
};

/* A number for a place. Epochs have 24 bits, and no epoch has 2^40 segments (catalogue.h). */
uint64_t reach_key(struct segment_pos at);
void reach_init(struct reach *r, struct shard *shard, uint32_t lineage, struct live *live);
void reach_release(struct reach *r);
void live_release(struct live *l);
/* After an error nothing is to be released. -ENOMEM. */
int live_copy(const struct live *l, struct live *ret);
int live_note(struct live *l, bool in_pack, uint64_t where, uint32_t offset, uint64_t size);
bool live_has(const struct live *l, bool in_pack, uint64_t where);
/* Is that content needed? Of a pack of a later epoch it is not known which: then all are. */
bool live_has_content(struct live *l, bool in_pack, uint64_t where, uint32_t offset);
/* Is that pack of an old epoch? Only then live_contents is of use. */
bool live_is_old(const struct live *l, uint64_t where);
/* The needed contents of the pack, *ret_count of them, by their places. Valid until the next
 * live_note. */
const struct live_content *live_contents(struct live *l, uint64_t where, size_t *ret_count);

/* Reads the segments behind `after` up to `last`, of which none is missing. */
int reach_follow(struct reach *r, struct segment_pos after, struct segment_pos last);
/* A state. What is from the begin on needs nothing of its own. */
int reach_state(struct reach *r, struct segment_pos at);
/* One segment, and what it names; not what it leads to. *ret may be NULL; it is valid until the
 * next call. */
int reach_segment(struct reach *r, struct segment_pos at, const struct spot **ret);
bool reach_has(const struct reach *r, struct segment_pos at);
/* Sorts the spots by their places. */
void reach_sort(struct reach *r);
