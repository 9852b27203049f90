// SPDX-License-Identifier: Apache-2.0
/* view_facts: see the header. */
#include "view_facts.h"
#include "durability.h"
#include "job.h"
#include "kept.h"
#include "scrub.h"
#include "state.h"
#include "vfs.h"

static void count_namespaces(struct state *p, struct view_facts *f)
{
    READ_GUARD(&p->names.lock);

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (const struct ns *ns = p->names.by_name[i]; ns; ns = ns->by_name_next) {
            f->namespaces += !ns->target;
            f->verifying += ns->verify;
        }
    for (const struct ns *ns = NULL; (ns = ns_next_hidden(p, ns));)
        f->kept[ns->hidden.kind]++;
}

/* The numbers that df(1) shows for the mount. */
static void measure_disk(struct state *p, struct view_facts *f)
{
    struct disk_space s;

    if (vfs_statfs(p, &s) < 0)
        return;
    f->disk_bytes = s.blocks * s.block_size;
    f->disk_free = s.blocks_avail * s.block_size;
}

void view_gather(struct state *p, struct view_facts *f)
{
    *f = (struct view_facts){.unsealed = seal_settle(p),
                             .dirty = pages_dirty_bytes(p->pages),
                             .buffered = atomic_load(&p->contents.buffered),
                             .drops = drops_left(p->drops),
                             .jobs = jobs_in(p, JOB_RUNNING),
                             .jobs_queued = jobs_in(p, JOB_QUEUED),
                             .refs_changes = refs_changes(p->refs),
                             .seq = atomic_load(&p->seq),
                             .kv_bytes = kv_disk_bytes(p->config.kv),
                             .readonly = atomic_load(&p->readonly)};
    count_namespaces(p, f);
    f->trash_frees = kept_alone(p).bytes;
    measure_disk(p, f);
    gc_store_get_stats(p, &f->gc);
    compact_get_stats(p, &f->compaction);
    refs_get_stats(p->refs, &f->refs);
    packs_get_stats(p->packs, &f->packs);
    workers_get_stats(p->workers, &f->workers);
    objects_get_counts(p->objects, &f->healed, &f->collisions);
    scrub_get(p, &f->scrub, &f->scrub_running);
    vfs_get_passthroughs(p, &f->passthroughs);
    f->durable = flush_durable(p);
    flush_get_stats(p, &f->flush);
}
