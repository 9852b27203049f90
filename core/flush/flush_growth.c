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

/* Fills in all but the time and the room of the disk. */
static void count(struct state *p, struct growth_sample *s)
{
    struct refs_sums sums;

    (void)refs_get_sums(p->refs, &sums);
    s->objects = sums.objects;
    s->stored = sums.stored;
    s->seq = atomic_load(&p->seq);
    count_namespaces(p, s);
}

void flush_growth_now(struct state *p, struct growth_sample *ret)
{
    *ret = (struct growth_sample){.time = now(p) / NSEC_PER_SEC, .disk_free = disk_free(p)};
    WRITE_GUARD(&p->freeze_lock); /* no change is half done, and no namespace's lock is needed */
    count(p, ret);
}

int flush_growth_freeze(struct state *p, struct batch *b)
{
    struct refs_sums sums;

    rwlock_held_write(&p->freeze_lock);
    b->stored_known = refs_get_sums(p->refs, &sums);
    b->stored.bytes = sums.stored;
    b->stored.saved = sums.saved;
    if (b->sample.time)
        count(p, &b->sample);
    return growth_freeze(&p->growth, b->sample.time ? &b->sample : NULL, &b->growth);
}
