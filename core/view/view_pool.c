// SPDX-License-Identifier: Apache-2.0
/* view_pool: see the header. */
#include "view_pool.h"
#include "command.h"
#include "pool_node.h"
#include "state.h"
#include "strbuf.h"
#include "view.h"
#include "view_sweep.h"

#define U(x) ((unsigned long long)(x))

/* ---- status ---- */

static const char *error_of(const struct pool_node_status *s)
{
    return s->error ? command_errno_name(-s->error) : "ok";
}

static void add_reports(const struct pool_node_status *s, struct strbuf *out)
{
    strbuf_addf(out, "            report=%llu ack=%llu keys=%llu reported=", U(s->serial),
                U(s->ack), U(s->named));
    strbuf_add_time(out, s->reported);
    strbuf_addf(out, " age_seconds=%llu result=%s failing_seconds=%llu\n", U(s->age / NSEC_PER_SEC),
                error_of(s), U(s->failing / NSEC_PER_SEC));
    strbuf_addf(out, "            other_reports=%llu other_keys=%llu marks=%llu absent=%llu\n",
                U(s->index.reports), U(s->index.keys), U(s->index.serial), U(s->index.absent));
}

/* Appends what the cycles that ran here did, and what the last one left, by reason. */
static void add_garbage(const struct pool_node_status *s, struct strbuf *out)
{
    strbuf_addf(out,
                "            cycles=%llu collected=%llu collected_bytes=%llu unindexed_packs=%llu",
                U(s->cycles), U(s->collected), U(s->collected_bytes), U(s->unindexed));
    for (unsigned i = 0; i < GC_KEEP_REASONS; i++)
        strbuf_addf(out, " kept_%s=%llu", gc_keep_names[i], U(s->kept[i]));
    strbuf_adds(out, "\n");
    if (s->cycle_error)
        strbuf_addf(out, "            the last cycle ended with %s%s%s\n",
                    command_errno_name(-s->cycle_error), *s->why ? ": " : "", s->why);
}

/* What the pool costs, if it is on a shard. */
static void add_traffic(struct state *p, struct strbuf *out)
{
    struct shard_traffic t;

    if (!p->shared->meter)
        return;
    shard_meter_read(p->shared->meter, &t);
    strbuf_adds(out, "            requests:");
    view_traffic(&t, out);
    strbuf_adds(out, "\n");
}

void view_pool_status(struct state *p, struct strbuf *out)
{
    struct pool_node_status s;

    if (!p->node)
        return;
    pool_node_get_status(p, &s);
    strbuf_addf(out, "pool        node=%u life=%u\n", p->shared->node, p->shared->incarnation);
    add_reports(&s, out);
    add_garbage(&s, out);
    add_traffic(p, out);
    if (settings_get(&p->settings, SET_STALE_POLICY) == STALE_DROP)
        strbuf_adds(out,
                    "            stale_policy=drop: a GC cycle retires nodes that are stale\n");
}

/* ---- stats.json and metrics ---- */

/* Zeros for a pool that is a directory. */
static void add_traffic_numbers(struct state *p, struct view_numbers *pool)
{
    struct view_count requests[SHARD_REQUESTS];
    struct shard_traffic t;

    shard_meter_read(p->shared->meter, &t);
    for (int i = 0; i < SHARD_REQUESTS; i++)
        requests[i] = (struct view_count){shard_request_name((enum shard_request)i), t.requests[i]};
    view_add_labelled(pool,
                      (struct view_number){"requests", VIEW_COUNTER, 0,
                                           "Requests to the place of the pool, by kind."},
                      "kind", requests, SHARD_REQUESTS);
    view_add_numbers(pool,
                     (struct view_number[]){{"sent_bytes", VIEW_COUNTER, t.sent,
                                             "Bytes that were sent to the place of the pool."},
                                            {"received_bytes", VIEW_COUNTER, t.received,
                                             "Bytes that came from the place of the pool."}},
                     2);
}

void view_pool_numbers(struct state *p, struct view_numbers *n)
{
    struct view_numbers pool;
    struct view_count kept[GC_KEEP_REASONS];
    struct pool_node_status s;

    if (!p->node)
        return;
    pool_node_get_status(p, &s);
    const struct view_number numbers[] = {
        {"node", VIEW_GAUGE, p->shared->node, "Number of this store among the nodes of the pool."},
        {"report_serial", VIEW_GAUGE, s.serial, "Number of the last report of this node."},
        {"report_ack", VIEW_GAUGE, s.ack, "Number of the last report that a GC cycle has read."},
        {"report_keys", VIEW_GAUGE, s.named, "Files of the pool that the report names."},
        {"report_age_seconds", VIEW_GAUGE, (uint64_t)(s.age / NSEC_PER_SEC),
         "Age of the last report."},
        {"last_report_seconds", VIEW_TIME, (uint64_t)(s.reported / NSEC_PER_SEC),
         "When the last report was written, since the epoch."},
        {"reports", VIEW_COUNTER, s.reports, "Reports that were written."},
        {"failed_reports", VIEW_COUNTER, s.failed, "Reports that could not be written."},
        {"failing_seconds", VIEW_GAUGE, (uint64_t)(s.failing / NSEC_PER_SEC),
         "For how long no report could be written."},
        {"other_reports", VIEW_GAUGE, s.index.reports,
         "Reports of other nodes that are known here."},
        {"other_keys", VIEW_GAUGE, s.index.keys, "Files that reports of other nodes name."},
        {"marks_serial", VIEW_GAUGE, s.index.serial, "Number of the marks that are known here."},
        {"absent_keys", VIEW_GAUGE, s.index.absent, "Files that were reported and are not there."},
        {"cycles", VIEW_COUNTER, s.cycles, "GC cycles of the pool that this node ran."},
        {"collected", VIEW_COUNTER, s.collected,
         "Files of the pool that GC cycles of this node have deleted."},
        {"collected_bytes", VIEW_COUNTER, s.collected_bytes,
         "Bytes of the files that GC cycles of this node have deleted."},
        {"unindexed_packs", VIEW_GAUGE, s.unindexed,
         "Packs of the pool whose contents are not known here."},
        {"life", VIEW_GAUGE, p->shared->incarnation, "How often this node has opened the pool."},
    };

    pool = view_add_group(n, "pool", "pool_");
    view_add_numbers(&pool, numbers, sizeof numbers / sizeof *numbers);
    for (unsigned i = 0; i < GC_KEEP_REASONS; i++)
        kept[i] = (struct view_count){gc_keep_names[i], s.kept[i]};
    view_add_labelled(
        &pool,
        (struct view_number){
            "kept", VIEW_GAUGE, 0,
            "Files that the last GC cycle kept though nothing names them, by reason."},
        "reason", kept, GC_KEEP_REASONS);
    add_traffic_numbers(p, &pool);
}
