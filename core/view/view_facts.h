// SPDX-License-Identifier: Apache-2.0
/*
 * view_facts: the numbers that status, stats.json and metrics show, gathered once for a text.
 */
#pragma once

#include "compact.h"
#include "flush.h"
#include "gc_store.h"
#include "ns_record.h"
#include "packs.h"
#include "refs.h"
#include "scrub_record.h"
#include "vfs_types.h"
#include "workers.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

/* All numbers that the texts show, gathered by view_gather. */
struct view_facts {
    size_t unsealed, dirty, buffered, drops, jobs, jobs_queued, refs_changes;
    size_t namespaces, verifying; /* in the root; those that verify what is opened */
    size_t kept[NS_KIND_END];     /* hidden namespaces by kind */
    uint64_t seq, durable, healed, collisions, kv_bytes;
    uint64_t disk_bytes, disk_free; /* of the disk at home; 0: not known */
    uint64_t trash_frees;           /* kept_alone: they are in disk_free */
    bool readonly;
    struct flush_stats flush;
    struct gc_store_stats gc;
    struct compact_stats compaction;
    struct refs_stats refs;
    struct packs_stats packs;
    struct workers_stats workers;
    struct scrub_record scrub;
    bool scrub_running;
    struct vfs_passthroughs passthroughs;
};

/* Gathers all numbers, each under the lock that guards it. So two numbers may be of different
 * moments. Waits for files that are being sealed as the texts do (view.h). The caller holds no
 * lock. */
void view_gather(struct state *p, struct view_facts *f);
