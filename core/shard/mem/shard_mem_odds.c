// SPDX-License-Identifier: Apache-2.0
/* shard_mem_odds: draws faults by a seed. */
#include "shard_mem_impl.h"

void odds_set(struct odds *o, const struct shard_mem_odds *set)
{
    o->set = set ? *set : (struct shard_mem_odds){0};
    o->random = set ? set->seed | 1 : 0;
}

uint64_t odds_pick(struct odds *o, uint64_t below)
{
    return o->random ? (fault_random(&o->random) >> 8) % below : 0;
}

bool odds_hit(struct odds *o, enum shard_mem_fault which)
{
    if (o->set.per_mille[which] == 0 || odds_pick(o, 1000) >= o->set.per_mille[which])
        return false;
    o->hits[which]++;
    return true;
}
