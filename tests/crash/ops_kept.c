// SPDX-License-Identifier: Apache-2.0
/*
 * ops_kept: operations on what namespaces leave behind: merges, snapshots and the trash, on the
 * model and on the store alike; see ops.c.
 */
#include "model.h"
#include "kept.h"
#include "merge.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"
#include <string.h>

/* What the spaces had when one of them went into the trash, or got a snapshot. */
static struct model trashed, frozen;

static void keep_model(struct model *m)
{
    model_drop(m);
    model_copy(m, &w.live);
}

/* Gives a space the files that another one had. */
static void show_kept(const struct model *m, size_t from, size_t to)
{
    w.live.space[to] = true;
    for (size_t i = 0; i < m->files; i++)
        if (m->file[i].space == from)
            model_set(to, m->file[i].name, bytes_ref(m->file[i].bytes));
}

static void note_merged(size_t from, size_t to);

/* A large merge, and what is done beside it. */
static struct {
    unsigned at_once; /* 0: it is small; 2: what is done beside it is large, too */
    bool done;
    size_t from, to;
} beside;

/* Writes a file beside the merge, once. */
static void write_beside(void *ctx)
{
    (void)ctx;
    if (!beside.at_once || beside.done)
        return;
    beside.done = true;
    op_write(beside.to, "own-beside", 0, 700, 40);
    if (is_off())
        return;
    note_attempt(); /* it is there without the merge */
    note_merged(beside.from, beside.to);
}

static int merge_spaces(size_t from, size_t to)
{
    struct merge_call c = {.label = space_names[from], .beside = write_beside};
    struct merge_result r;
    int err;

    CHECK(ns_get_by_name(w.p, space_names[from], &c.theirs) == 0);
    CHECK(ns_get_by_name(w.p, space_names[to], &c.ours) == 0);
    w.p->config.merge_at_once = beside.at_once;
    err = merge_run(w.p, &c, &r);
    merge_result_release(&r);
    ns_put(w.p, c.theirs);
    ns_put(w.p, c.ours);
    return err;
}

static void merge_models(size_t from, size_t to)
{
    for (size_t i = w.live.files; i-- > 0;) {
        const struct mfile f = w.live.file[i];
        if (f.space == to && strncmp(f.name, "own", 3) && !model_find(&w.live, from, f.name))
            model_set(to, f.name, NULL);
    }
    for (size_t i = 0, n = w.live.files; i < n; i++)
        if (w.live.file[i].space == from)
            model_set(to, w.live.file[i].name, bytes_ref(w.live.file[i].bytes));
}

/* The snapshots before and after the merge have frames of their own: it may be there without the
 * latter, and then the caller was told of an error. */
static void note_merged(size_t from, size_t to)
{
    struct model was;

    model_copy(&was, &w.live);
    merge_models(from, to);
    note_attempt();
    model_drop(&w.live);
    w.live = was;
}

void op_merge(size_t from, size_t to)
{
    if (!is_off())
        note_merged(from, to);
    DO(merge_spaces(from, to));
    merge_models(from, to);
}

void op_merge_large(size_t from, size_t to, bool rest)
{
    beside.at_once = 1 + rest;
    beside.done = false;
    beside.from = from;
    beside.to = to;
    op_merge(from, to);
    beside.at_once = 0;
}

static int snapshot(size_t s)
{
    struct ns *ns;
    uint64_t seq;
    int err;

    CHECK(ns_get_by_name(w.p, space_names[s], &ns) == 0);
    err = ns_snapshot(w.p, ns, "kept", &seq);
    ns_put(w.p, ns);
    return err;
}

void op_snapshot(size_t s)
{
    DO(snapshot(s));
    keep_model(&frozen);
}

void op_branch_snapshot(size_t s, size_t to)
{
    char spec[40];
    uint64_t seq;
    uint32_t number;

    snprintf(spec, sizeof spec, "%s@kept", space_names[s]);
    DO(ns_branch(w.p, spec, space_names[to], &seq, &number));
    show_kept(&frozen, s, to);
}

static int trash(size_t s)
{
    struct ns *ns;
    uint32_t open;
    int err;

    CHECK(ns_get_by_name(w.p, space_names[s], &ns) == 0);
    err = ns_trash(w.p, ns, true, &open);
    ns_put(w.p, ns);
    return err;
}

void op_trash(size_t s)
{
    DO(trash(s));
    keep_model(&trashed);
    w.live.space[s] = false;
    for (size_t i = w.live.files; i-- > 0;)
        if (w.live.file[i].space == s)
            model_set(s, w.live.file[i].name, NULL);
}

static int undrop(size_t s)
{
    struct ns *ns;
    int err;

    CHECK(ns_find_dropped(w.p, space_names[s], &ns) == 0);
    err = ns_undrop(w.p, ns, space_names[s]);
    ns_put(w.p, ns);
    return err;
}

void op_undrop(size_t s)
{
    DO(undrop(s));
    show_kept(&trashed, s, s);
}

void op_empty_trash(void)
{
    for (size_t s = 0; s < SPACES; s++) {
        struct ns *ns;
        uint32_t open;
        while (ns_find_dropped(w.p, space_names[s], &ns) == 0) {
            int err = ns_remove(w.p, ns, ns->hidden.kind, true, &open);
            ns_put(w.p, ns);
            CHECK(err == 0);
        }
    }
    kept_expire(w.p); /* drafts, which a job lets go after a flush */
}
