// SPDX-License-Identifier: Apache-2.0
/*
 * gc_pool_nodes: which nodes a pool has, and which of them are gone for good. The ages of their
 * reports are known to this coordinator alone: it has looked at their heads from time to time since
 * the mount.
 */
#include "gc_pool_impl.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* gc_sources.reports, with heads alone (`heads_only`). */
static int get_heads(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    struct gc_pool_run *c = ctx;
    int err = gc_pool_read(c);

    *ret_v = c->reports;
    *ret_count = c->nodes;
    return err;
}

int gc_pool_look(struct gc_pool_run *c)
{
    const struct gc_sources sources = {.reports = get_heads, .ctx = c};
    struct gc_config config;
    int err;

    state_gc_config(c->p, &config);
    c->heads_only = true;
    err = gc_observe(c->p->node->gc, &config, &sources);
    gc_pool_forget(c);
    c->heads_only = false;
    return err;
}

/* ---- retiring ---- */

/* 0. -ESHUTDOWN, -EINTR: the thread is to come to its end, since the store closes or a verb is
 * interrupted. */
static int may_go_on(const struct gc_pool_run *c)
{
    if (atomic_load(&c->p->closing))
        return -ESHUTDOWN;
    return c->interrupted && atomic_load(c->interrupted) ? -EINTR : 0;
}

/* A retired node writes nothing more, so all of its packs are closed. But those that are not
 * indexed when the thread must stop are left to a later cycle. */
static bool is_left(void *ctx, uint64_t pack)
{
    (void)pack;
    return may_go_on(ctx) < 0;
}

static int index_packs(struct gc_pool_run *c, unsigned node)
{
    return pool_index_packs(disk_of(c), c->p->shared->node, node, is_left, c, NULL);
}

/* Its files may be another user's, who can remove what this process cannot: that fails no cycle. */
int gc_pool_finish_retired(struct gc_pool_run *c)
{
    int ret = 0;

    for (unsigned i = 0; i < c->nodes; i++) {
        if (!c->reports[i].gone)
            continue;
        (void)pool_node_clear(disk_of(c), i + 1);
        int err = c->held.unindexed ? index_packs(c, i + 1) : 0;
        ret = ret < 0 ? ret : err;
    }
    return ret;
}

/* Checks that a node has not reported since it was found stale: retiring others takes a while, and
 * this process may have been stopped meanwhile. -EBUSY: it has reported. */
static int still_silent(struct gc_pool_run *c, const struct gc_node_info *info)
{
    struct pool_head head;
    int err = pool_head_read(disk_of(c), (unsigned)info->node, &head);

    if (err == -ENOENT)
        return 0;
    return err < 0 ? err : head.serial > info->serial ? -EBUSY : 0;
}

/* Retires one node. Its packs are indexed after the marker is written: if the node wakes up just
 * now, the packs then have all that it can still name to others. The marker decides: if a part of
 * what follows it fails, the next cycle does that part. */
static int retire(struct gc_pool_run *c, const struct gc_node_info *info)
{
    unsigned node = (unsigned)info->node;
    int err = may_go_on(c);

    if (err == 0)
        err = still_silent(c, info);
    if (err == 0)
        err = pool_node_retire(disk_of(c), node);
    if (err < 0)
        return err;
    int cleared = pool_node_clear(disk_of(c), node);
    err = index_packs(c, node);
    err = err < 0 ? err : cleared;
    if (err < 0)
        report(REPORT_WARN,
               "node %u of the pool is retired, but not all of its files could be removed or "
               "indexed (%s): the next cycle tries it again",
               node, strerror(-err));
    return 0;
}

int gc_pool_retire_stale(struct gc_pool_run *c, const char *by, size_t *ret_retired)
{
    struct gc_node_info *v;
    struct gc_config config;
    size_t count;
    int err;

    *ret_retired = 0;
    state_gc_config(c->p, &config);
    err = gc_node_list(c->p->node->gc, &config, &v, &count);
    if (err < 0)
        return err;
    for (size_t i = 0; i < count && err == 0; i++) {
        if (!v[i].stale || v[i].node == c->p->shared->node)
            continue;
        err = retire(c, &v[i]);
        *ret_retired += err == 0;
        if (err == 0)
            report(REPORT_WARN, "%s: node %u of the pool, stale for %llu seconds, is retired", by,
                   (unsigned)v[i].node, (unsigned long long)(v[i].age / NSEC_PER_SEC));
        err = err == -EBUSY ? 0 : err;
    }
    free(v);
    return err;
}

/* ---- for the verbs ---- */

typedef int with_nodes_fn(struct gc_pool_run *c, void *arg);

/* Runs `fn` with a fresh look at all nodes. -EBUSY: a cycle runs. Needs "pool nodes", so no cycle
 * begins meanwhile. */
static int look_and(struct state *p, with_nodes_fn *fn, void *arg, const _Atomic bool *interrupted)
{
    char why[GC_POOL_WHY] = "";
    struct gc_pool_run c = {.p = p, .why = why, .interrupted = interrupted};
    int err;

    mutex_held(&p->node->looking);
    if (atomic_load(&p->node->running))
        return -EBUSY;
    err = gc_pool_follow(&c);
    if (err == 0)
        err = gc_pool_look(&c);
    if (err == 0 && fn)
        err = fn(&c, arg);
    return err;
}

/* The same, which waits while another thread does so. That takes about as long as a look; but as
 * long as reading all packs of a node if the other thread retires it. */
static int with_nodes(struct state *p, with_nodes_fn *fn, void *arg,
                      const _Atomic bool *interrupted)
{
    MUTEX_GUARD(&p->node->looking);

    return look_and(p, fn, arg, interrupted);
}

/* The caller is the thread that reports: it must not wait until another thread has retired nodes,
 * or its own node would look stale. */
int gc_pool_observe(struct state *p)
{
    int err;

    if (!mutex_lock_for(&p->node->looking, 0))
        return -EBUSY;
    err = look_and(p, NULL, NULL, NULL);
    mutex_unlock(&p->node->looking);
    return err;
}

/* -EBUSY is no error here: a cycle runs, and has looked at the nodes itself. */
int gc_pool_nodes(struct state *p, struct gc_node_info **ret_v, size_t *ret_count)
{
    struct gc_config config;
    int err = with_nodes(p, NULL, NULL, NULL);

    if (err < 0 && err != -EBUSY)
        return err;
    state_gc_config(p, &config);
    return gc_node_list(p->node->gc, &config, ret_v, ret_count);
}

/* Retires the node *arg. -ENOENT: it is not known; -EBUSY: it is not stale, or is this store. */
static int retire_one(struct gc_pool_run *c, void *arg)
{
    unsigned node = *(unsigned *)arg;
    struct gc_node_info *v;
    struct gc_config config;
    size_t count, at = 0;
    int err;

    state_gc_config(c->p, &config);
    err = gc_node_list(c->p->node->gc, &config, &v, &count);
    if (err < 0)
        return err;
    while (at < count && v[at].node != node)
        at++;
    err = at == count ? -ENOENT : node == c->p->shared->node || !v[at].stale ? -EBUSY : 0;
    if (err == 0)
        err = retire(c, &v[at]);
    free(v);
    return err;
}

int gc_pool_retire(struct state *p, unsigned node, const _Atomic bool *interrupted)
{
    int err = state_writable(p);

    return err < 0 ? err : with_nodes(p, retire_one, &node, interrupted);
}

static int retire_all(struct gc_pool_run *c, void *arg)
{
    return gc_pool_retire_stale(c, "node prune", arg);
}

int gc_pool_prune(struct state *p, const _Atomic bool *interrupted, size_t *ret_retired)
{
    int err = state_writable(p);

    *ret_retired = 0;
    return err < 0 ? err : with_nodes(p, retire_all, ret_retired, interrupted);
}

/* ---- objects ---- */

/* Ranks the states by how much an object is needed. */
static unsigned need(enum gc_state s)
{
    static const unsigned needs[] = {
        [GC_NONE] = 0, [GC_MARKED] = 1, [GC_UNREFERENCED] = 2, [GC_ACTIVE] = 3, [GC_PINNED] = 4};

    return needs[s];
}

int gc_pool_history(struct state *p, size_t i, struct gc_record *ret)
{
    return gc_history_get(p->node->gc, i, ret);
}

/* Keys begin with the first 8 bytes of the id, so all keys of one id are neighbours. Two ids with
 * the same first half are so unlikely that the mistake is accepted here: the answer is for
 * people. */
void gc_pool_get(struct state *p, const struct id *id, struct gc_object_info *ret)
{
    struct id from = {{0}}, key;
    struct gc_object_info info;

    *ret = (struct gc_object_info){.state = GC_NONE};
    memcpy(from.b, id->b, 8);
    while (gc_next(p->node->gc, &from, &key, &info) == 0 && memcmp(key.b, id->b, 8) == 0) {
        if (need(info.state) > need(ret->state))
            *ret = info;
        from = key;
        for (int i = ID_LEN; i-- > 8 && ++from.b[i] == 0;)
            ;
        /* the increment overflowed: `key` was the last of that half */
        if (id_compare(&from, &key) <= 0)
            break;
    }
}
