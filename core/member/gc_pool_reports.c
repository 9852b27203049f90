// SPDX-License-Identifier: Apache-2.0
/* gc_pool_reports: reads the reports of the nodes of a pool for one cycle. */
#include "gc_pool_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Syncs the directory of a node. Its writer may have been stopped before it did so, and a loss of
 * power must not take back a report for which bytes are removed. */
static int make_durable(struct gc_pool_run *c, unsigned node)
{
    char dir[DISK_NAME_MAX + 1];

    if (c->heads_only || node == c->p->shared->node)
        return 0;
    pool_node_path(node, "", dir);
    return disk_sync_dir(disk_of(c), dir);
}

/* Reads the head of a node's report. Unless heads are enough, it opens the whole report for
 * gc_pool_names. */
static int read_head(struct gc_pool_run *c, unsigned node, struct pool_head *ret)
{
    struct member *m = &c->members[node - 1];
    int err;

    if (c->heads_only)
        return pool_head_read(disk_of(c), node, ret);
    err = pool_report_open(disk_of(c), node, NULL, &m->report);
    if (err == 0)
        *ret = *pool_report_head(m->report);
    return err;
}

/* Reads one report. Whatever it names is kept. Its acknowledgement counts only if it is of the
 * incarnation that is running. That is read after the report, because another opening of the store
 * may have begun meanwhile. */
static int read_report(struct gc_pool_run *c, unsigned node, struct gc_report *r)
{
    struct pool_head head;
    struct pool_who who;
    int err = read_head(c, node, &head);

    if (err == 0)
        err = pool_node_read(disk_of(c), node, &who);
    if (err < 0)
        return err == -ENOENT ? 0 : err; /* the node is silent, or nobody has that number */
    c->members[node - 1].ack = head.ack;
    r->serial = head.serial;
    r->ack = head.incarnation == who.incarnation ? head.ack : 0;
    r->timestamp = head.time;
    return 0;
}

/* Reads whether a node is retired, and if not, its report. Any error ends the cycle: what an
 * unreadable report names is unknown. */
static int read_node(struct gc_pool_run *c, unsigned node, struct gc_report *r)
{
    int err = pool_node_is_retired(disk_of(c), node);

    *r = (struct gc_report){.node = node, .own = node == c->p->shared->node, .gone = err > 0};
    if (err == 0)
        err = read_report(c, node, r);
    if (err >= 0)
        err = make_durable(c, node);
    if (err < 0)
        return gc_pool_say(c, err,
                           "the report of node %u cannot be read (%s): nothing is collected", node,
                           strerror(-err));
    return 0;
}

void gc_pool_forget(struct gc_pool_run *c)
{
    for (unsigned i = 0; i < c->nodes; i++) {
        pool_report_close(c->members[i].report);
        pool_report_close(c->members[i].newer);
    }
    free(c->members);
    free(c->reports);
    c->members = NULL;
    c->reports = NULL;
    c->nodes = 0;
}

int gc_pool_read(struct gc_pool_run *c)
{
    unsigned count;
    int err = pool_dir_nodes(disk_of(c), &count);

    if (err < 0)
        return gc_pool_say(c, err,
                           "the nodes of the pool cannot be read (%s): nothing is collected",
                           strerror(-err));
    c->members = calloc(count + 1, sizeof *c->members);
    c->reports = calloc(count + 1, sizeof *c->reports);
    if (!c->members || !c->reports)
        return -ENOMEM;
    c->nodes = count;
    for (unsigned i = 0; i < count && err == 0; i++)
        err = read_node(c, i + 1, &c->reports[i]);
    return err;
}

int gc_pool_names(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                  uint8_t *ret)
{
    const struct gc_pool_run *c = ctx;
    const struct pool_report *report = c->members[r->node - 1].report;

    return report ? pool_report_names(report, ids, count, ret) : -EUCLEAN;
}

/* Opens the reports whose serial has risen, and those of nodes that had none at gc_pool_read. Nodes
 * that joined since are not asked: they have seen the list in force, and name nothing of it. */
int gc_pool_read_newer(struct gc_pool_run *c)
{
    for (unsigned i = 0; i < c->nodes; i++) {
        struct member *m = &c->members[i];
        const struct pool_report *last = m->newer ? m->newer : m->report;
        struct pool_report *newer;
        struct pool_head head;
        int err = c->reports[i].gone ? -ENOENT : pool_head_read(disk_of(c), i + 1, &head);

        if (err == -ENOENT || (err == 0 && last && pool_report_head(last)->serial == head.serial))
            continue;
        if (err == 0)
            err = pool_report_open(disk_of(c), i + 1, last, &newer);
        if (err == -ENOENT) /* the node was retired at this very moment */
            continue;
        if (err < 0)
            return err;
        pool_report_close(m->newer);
        m->newer = newer;
    }
    return 0;
}

uint64_t gc_pool_least_ack(const struct gc_pool_run *c)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < c->nodes; i++)
        if (!c->reports[i].gone && c->members[i].ack < least)
            least = c->members[i].ack;
    return least == UINT64_MAX ? 0 : least;
}
