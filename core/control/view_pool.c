// SPDX-License-Identifier: Apache-2.0
/* view_pool: see the header. */
#include "view_pool.h"
#include "command.h"
#include "pool_node.h"
#include "state.h"
#include "strbuf.h"
#include "view.h"

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

void view_pool_status(struct state *p, struct strbuf *out)
{
    struct pool_node_status s;

    if (!p->node)
        return;
    pool_node_get_status(p, &s);
    strbuf_addf(out, "pool        node=%u life=%u\n", p->shared->node, p->shared->incarnation);
    add_reports(&s, out);
    add_garbage(&s, out);
    if (settings_get(&p->settings, SET_STALE_POLICY) == GC_STALE_DROP)
        strbuf_adds(out,
                    "            stale_policy=drop: a GC cycle retires nodes that are stale\n");
}

/* ---- stats.json and metrics ---- */

struct number {
    const char *key;
    bool counter; /* only grows, from 0 at the start of the daemon */
    uint64_t value;
};

#define NUMBERS 18

/* Lists the numbers of stats.json and metrics under their names, which are stable. */
static void list_numbers(struct state *p, struct number ret[static NUMBERS])
{
    struct pool_node_status s;

    pool_node_get_status(p, &s);
    const struct number numbers[NUMBERS] = {
        {"node", false, p->shared->node},
        {"report_serial", false, s.serial},
        {"report_ack", false, s.ack},
        {"report_keys", false, s.named},
        {"report_age_seconds", false, (uint64_t)(s.age / NSEC_PER_SEC)},
        {"last_report_seconds", false, (uint64_t)(s.reported / NSEC_PER_SEC)},
        {"reports", true, s.reports},
        {"failed_reports", true, s.failed},
        {"failing_seconds", false, (uint64_t)(s.failing / NSEC_PER_SEC)},
        {"other_reports", false, s.index.reports},
        {"other_keys", false, s.index.keys},
        {"marks_serial", false, s.index.serial},
        {"absent_keys", false, s.index.absent},
        {"cycles", true, s.cycles},
        {"collected", true, s.collected},
        {"collected_bytes", true, s.collected_bytes},
        {"unindexed_packs", false, s.unindexed},
        {"life", false, p->shared->incarnation},
    };

    memcpy(ret, numbers, sizeof numbers);
}

static int add_number(json_t *o, const char *key, uint64_t value)
{
    return json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* Adds what the last cycle that ran here left, by reason. */
static int add_kept(struct state *p, json_t *o)
{
    json_t *kept = json_object();
    struct pool_node_status s;
    int failed = 0;

    pool_node_get_status(p, &s);
    for (unsigned i = 0; i < GC_KEEP_REASONS; i++)
        failed |= add_number(kept, gc_keep_names[i], s.kept[i]);
    return failed | json_object_set_new(o, "kept", kept);
}

int view_pool_json(struct state *p, json_t *o)
{
    struct number numbers[NUMBERS];
    json_t *pool;
    int failed = 0;

    if (!p->node)
        return 0;
    pool = json_object();
    list_numbers(p, numbers);
    for (size_t i = 0; i < NUMBERS; i++)
        failed |= add_number(pool, numbers[i].key, numbers[i].value);
    failed |= add_kept(p, pool);
    return failed | json_object_set_new(o, "pool", pool);
}

void view_pool_metrics(struct state *p, struct strbuf *out)
{
    struct number numbers[NUMBERS];
    struct pool_node_status s;

    if (!p->node)
        return;
    list_numbers(p, numbers);
    for (size_t i = 0; i < NUMBERS; i++) {
        const char *end = numbers[i].counter ? "_total" : "";
        strbuf_addf(out, "# TYPE tallyfs_pool_%s%s %s\n", numbers[i].key, end,
                    *end ? "counter" : "gauge");
        strbuf_addf(out, "tallyfs_pool_%s%s %llu\n", numbers[i].key, end, U(numbers[i].value));
    }
    pool_node_get_status(p, &s);
    strbuf_adds(out, "# TYPE tallyfs_pool_kept gauge\n");
    for (unsigned i = 0; i < GC_KEEP_REASONS; i++)
        strbuf_addf(out, "tallyfs_pool_kept{reason=\"%s\"} %llu\n", gc_keep_names[i], U(s.kept[i]));
}
