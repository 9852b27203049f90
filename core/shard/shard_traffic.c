// SPDX-License-Identifier: Apache-2.0
/* shard_traffic: see the header. The counts belong to the place (shard_ask.h), and a meter is a
 * reference to it. */
#include "shard_traffic.h"

#include "shard_ask.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct shard_meter {
    struct place *place;
};

int shard_meter_open(const char *url, struct shard_meter **ret_meter)
{
    struct shard_meter *m = malloc(sizeof *m);

    if (!m)
        return -ENOMEM;
    m->place = place_get(url);
    if (!m->place) {
        free(m);
        return -ENOMEM;
    }
    *ret_meter = m;
    return 0;
}

void shard_meter_close(struct shard_meter *m)
{
    if (!m)
        return;
    place_put(m->place);
    free(m);
}

void shard_meter_read(const struct shard_meter *m, struct shard_traffic *ret)
{
    struct place_traffic *t = m ? place_traffic(m->place) : NULL;

    memset(ret, 0, sizeof *ret);
    if (!t)
        return;
    for (int i = 0; i < SHARD_REQUESTS; i++)
        ret->requests[i] = atomic_load(&t->requests[i]);
    ret->sent = atomic_load(&t->sent);
    ret->received = atomic_load(&t->received);
}

const char *shard_request_name(enum shard_request kind)
{
    static const char *const names[SHARD_REQUESTS] = {"put", "get", "stat", "delete", "list"};

    return (size_t)kind < SHARD_REQUESTS ? names[kind] : "?";
}

void shard_count(struct shard *s, enum shard_request kind, uint64_t more)
{
    atomic_fetch_add(&place_traffic(s->place)->requests[kind], more);
}
