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

/* Does the last report on disk name the entry? False also when it cannot be read: then the caller
 * takes the place for given up, and does not rely on its bytes. */
static bool last_report_names(struct state *p, const struct entry *e)
{
    const struct id key = pool_key(e);
    struct pool_report *report;
    struct pool_record r;
    int err = pool_report_open(p->shared->disk, p->shared->node, NULL, &report);

    if (err < 0)
        return false;
    err = pool_report_get(report, &key, &r);
    pool_report_close(report);
    return err == 0;
}

bool pool_node_gave_up(struct state *p, const struct entry *e)
{
    struct pool_node *n = p->node;
    struct pool_index_stats view;

    if (!n || !entry_is_sealed(e) || e->shard)
        return false;
    mutex_held(&n->report);
    pool_index_get_stats(n->index, &view);
    return view.serial <= n->head.ack && pool_index_is_marked(n->index, e) &&
           !last_report_names(p, e);
}
