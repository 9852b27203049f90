// SPDX-License-Identifier: Apache-2.0
/* control_gc: the verbs of GC cycles: gc, node list, node retire, node prune; compact and scrub. */
#include "compact.h"
#include "control_impl.h"
#include "gc_store.h"
#include "job.h"
#include "scrub.h"
#include "view.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* ---- gc ---- */

struct asked {
    bool dry_run;
    int64_t grace; /* ns; -1: the setting holds */
};

/* Makes the words of the result of the job. */
static void say_result(struct state *p, struct job *j, const struct gc_result *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct gc_store_stats s;

    strbuf_addf(&text, "cycle=%llu marked=%llu collected=%llu active=%llu pinned=%llu", U(r->cycle),
                U(r->marked), U(r->collected), U(r->active), U(r->pinned));
    for (unsigned i = 0; i < GC_KEEP_REASONS; i++)
        strbuf_addf(&text, " kept_%s=%llu", gc_keep_names[i], U(r->kept[i]));
    strbuf_addf(&text, " stale_nodes=%zu", r->stale_count);
    gc_store_get_stats(p, &s);
    if (s.shards_unreachable)
        strbuf_addf(&text, " shards_unreachable=%llu", U(s.shards_unreachable));
    if (s.foreign)
        strbuf_addf(&text, " foreign_names=%llu", U(s.foreign));
    if (r->below_minimum)
        strbuf_adds(&text, " below_minimum=1");
    if (strbuf_error(&text) == 0)
        job_result(p, j, text.s);
}

/* The job_fn of a cycle. It frees `arg`. */
static int gc_job(struct state *p, struct job *j, void *arg)
{
    const struct asked a = *(struct asked *)arg;
    struct gc_result r;
    int err;

    free(arg);
    err = gc_store_run(p, j, a.dry_run, a.grace, &r);
    if (err == 0 || r.cycle)
        say_result(p, j, &r);
    gc_result_release(&r);
    return err;
}

/* Parses "[dry-run] [grace=DUR]". */
static int parse(struct call *call, struct asked *ret)
{
    const char *grace = command_option(call->c, "grace");

    *ret = (struct asked){.dry_run = call->c->nargs > 0, .grace = -1};
    if (ret->dry_run && !control_is_keyword(call, 0, "dry-run"))
        return control_fail_word(call, -EINVAL, "after gc comes dry-run, not %s",
                                 control_arg(call, 0));
    return grace ? control_duration(call, grace, &ret->grace) : 0;
}

/* Refuses a cycle that could not run, before a job is begun. */
static int may_collect(struct call *call)
{
    int err = control_may_change(call), damage = gc_store_damage(call->p);

    if (err == 0 && damage)
        err =
            control_fail(call, damage,
                         "what GC cycles remembered is damaged: nothing is collected; `tally check "
                         "--repair` puts it right");
    return err;
}

/* Describes what was asked for in a word or two: the detail of the job. */
static void describe(const struct asked *a, char out[64])
{
    char grace[32] = "";

    if (a->grace >= 0)
        command_format_duration(a->grace, grace);
    snprintf(out, 64, "%s%s%s%s", a->dry_run ? "dry-run" : "", a->dry_run && *grace ? " " : "",
             *grace ? "grace=" : "", grace);
}

int control_gc(struct call *call)
{
    struct asked *a = malloc(sizeof *a);
    char detail[64];
    int err = a ? parse(call, a) : -ENOMEM;

    if (err == 0)
        err = may_collect(call);
    if (err < 0) {
        free(a);
        return err;
    }
    describe(a, detail);
    return control_run_one(call, detail, gc_job, a);
}

/* ---- node ---- */

static int node_list(struct call *call)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    size_t count;
    int err = view_nodes(call->p, &text, &count);

    if (err < 0)
        return err;
    control_text(call, text.s);
    strbuf_addf(&call->head, " nodes=%zu", count);
    return 0;
}

/* Says why a node was not retired. A node that is stale now was refused because a cycle was
 * running, or because it had just reported. */
static int why_not_retired(struct call *call, uint64_t node)
{
    int64_t stale = settings_get(&call->p->settings, SET_STALE_REPORT_THRESHOLD), wait = 0;
    struct gc_node_info *v;
    size_t count;
    bool own = false;
    int err = gc_store_nodes(call->p, &v, &count);

    if (err < 0)
        return err;
    for (size_t i = 0; i < count; i++)
        if (v[i].node == node) {
            own = v[i].own;
            wait = v[i].stale ? 0 : stale - v[i].age;
        }
    free(v);
    if (own)
        return control_fail(call, -EBUSY, "node %llu is this store, which is never stale", U(node));
    if (wait > 0)
        return control_fail(
            call, -EBUSY,
            "node %llu is not stale: it is after %llu seconds more without a report "
            "(stale_report_threshold)",
            U(node), U((wait + NSEC_PER_SEC - 1) / NSEC_PER_SEC));
    return control_fail(call, -EBUSY, "a GC cycle is running; try again when it has ended");
}

/* node retire N */
static int node_retire(struct call *call)
{
    uint64_t node;
    int err;

    if (command_number(control_arg(call, 1), &node) < 0)
        return control_fail_word(call, -EINVAL, "%s is not the number of a node",
                                 control_arg(call, 1));
    err = gc_store_retire(call->p, node, call->interrupted);
    if (err == -ENOENT)
        return control_fail(call, err, "there is no node %llu; `tally node list` lists them",
                            U(node));
    if (err == -EBUSY)
        return why_not_retired(call, node);
    if (err < 0)
        return control_fail(call, err,
                            "node %llu could not be retired: nothing of it is collected; "
                            "try again",
                            U(node));
    return 0;
}

static int node_prune(struct call *call)
{
    size_t retired;
    int err = gc_store_prune(call->p, call->interrupted, &retired);

    if (err == -EBUSY)
        return control_fail(call, err, "a GC cycle is running");
    if (err < 0)
        return control_fail(call, err, "not all were retired: retired=%zu, then: %s", retired,
                            strerror(-err));
    strbuf_addf(&call->head, " retired=%zu", retired);
    return 0;
}

int control_node(struct call *call)
{
    const char *what = call->c->args[0].quoted ? "" : control_arg(call, 0);
    size_t nargs = call->c->nargs;

    if (!strcmp(what, "list") && nargs == 1)
        return node_list(call);
    if (!strcmp(what, "retire") && nargs == 2)
        return node_retire(call);
    if (!strcmp(what, "prune") && nargs == 1)
        return node_prune(call);
    return control_misuse(call, call->verb->usage);
}

int control_compact(struct call *call)
{
    int err = control_may_change(call);

    return err < 0 ? err : control_run_one(call, "", compact_job, NULL);
}

/* ---- scrub ---- */

int control_scrub(struct call *call)
{
    uint64_t job = 0;
    int err = scrub_start(call->p, call->interrupted, &job);

    /* -EBUSY: a scrub runs already, and is joined */
    return err == 0 || err == -EBUSY ? control_started(call, job) : err;
}
