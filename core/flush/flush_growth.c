// SPDX-License-Identifier: Apache-2.0
/* flush_growth: the sample of how the store has grown that a commit takes with it
 * (growth_table.h). */
#include "flush_impl.h"
#include "state.h"

/* Bytes that the disk has left. UINT64_MAX: not known */
static uint64_t disk_free(struct state *p)
{
    struct disk_space s;

    return disk_space(p->config.disk, &s) < 0 || s.blocks == 0 ? UINT64_MAX
                                                               : s.blocks_avail * s.block_size;
}

void flush_growth_begin(struct state *p, struct batch *b)
{
    int64_t time = now(p) / NSEC_PER_SEC;

    if (growth_is_due(&p->growth, time))
        b->sample = (struct growth_sample){.time = time, .disk_free = disk_free(p)};
}

/* Sums up the namespaces of the root. One that was never counted, since an old version made it,
 * adds nothing to inodes and bytes. */
static void count_namespaces(struct state *p, struct growth_sample *s)
{
    READ_GUARD(&p->names.lock);

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (const struct ns *ns = p->names.by_name[i]; ns; ns = ns->by_name_next) {
            s->namespaces += !ns->target;
            s->inodes += ns->counted ? ns->tree.usage.inodes : 0;
            s->logical += ns->counted ? ns->tree.usage.bytes : 0;
        }
}

int flush_growth_freeze(struct state *p, struct batch *b)
{
    uint64_t objects;

    rwlock_held_write(&p->freeze_lock);
    b->stored_known = refs_get_sums(p->refs, &objects, &b->stored.bytes);
    if (b->sample.time) {
        b->sample.seq = atomic_load(&p->seq);
        b->sample.objects = objects;
        b->sample.stored = b->stored.bytes;
        count_namespaces(p, &b->sample);
    }
    return growth_freeze(&p->growth, b->sample.time ? &b->sample : NULL, &b->growth);
}
