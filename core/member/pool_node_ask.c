// SPDX-License-Identifier: Apache-2.0
/* pool_node_ask: what the rest of a store asks its node: where the pool has bytes, which other
 * nodes need them, and which places the store gave up. */
#include "pool_node_impl.h"
#include "pool_report.h"
#include <errno.h>

int pool_node_find(void *ctx, const struct id *id, uint64_t size, unsigned nth, struct entry *ret)
{
    struct state *p = ctx;

    return p->node ? pool_index_find(p->node->index, id, size, nth, ret) : -ENOENT;
}

bool pool_node_is_shared(struct state *p, const struct entry *e)
{
    return p->node && entry_is_sealed(e) && !e->shard && pool_index_names(p->node->index, e);
}

size_t pool_node_who(struct state *p, const struct entry *e, unsigned *nodes, size_t max)
{
    if (!p->node || !entry_is_sealed(e))
        return 0;
    return pool_index_who(p->node->index, &e->id, e->size, nodes, max);
}

/* ---- between reports ---- */

void pool_node_pause(struct state *p)
{
    if (p->node)
        mutex_lock(&p->node->report);
}

void pool_node_resume(struct state *p)
{
    if (p->node)
        mutex_unlock(&p->node->report);
}

/* Does the last report on disk acknowledge the list `mark`, without the entry? Collectors go by
 * that report, whatever incarnation wrote it. True also when it cannot be read: then the caller
 * does not rely on the bytes of the entry. */
static bool report_gave_up(struct state *p, const struct entry *e, uint64_t mark)
{
    const struct id key = pool_key(e);
    struct pool_report *report;
    struct pool_record r;
    bool gave_up;
    int err = pool_report_open(p->shared->disk, p->shared->node, NULL, &report);

    if (err < 0)
        return err != -ENOENT; /* -ENOENT: the store has acknowledged nothing yet */
    gave_up = mark <= pool_report_head(report)->ack && pool_report_get(report, &key, &r) < 0;
    pool_report_close(report);
    return gave_up;
}

bool pool_node_gave_up(struct state *p, const struct entry *e)
{
    struct pool_node *n = p->node;
    uint64_t mark;

    if (!n || !entry_is_sealed(e) || e->shard)
        return false;
    mutex_held(&n->report);
    mark = pool_index_mark(n->index, e);
    return mark && report_gave_up(p, e, mark);
}
