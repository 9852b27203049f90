// SPDX-License-Identifier: Apache-2.0
/*
 * ops_kept: operations on what namespaces leave behind: merges, snapshots and the trash, and what is
 * sent of them, on the model and on the store alike; see ops.c.
 */
#include "model.h"
#include "export.h"
#include "import.h"
#include "kept.h"
#include "merge.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "undo.h"
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

/* The last two merges, the older one first, and what the spaces had before and after each. */
static struct merged {
    uint64_t seq;
    size_t to;
    struct model before, after;
} merges[2];

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
    model_drop(&merges[1].before);
    model_copy(&merges[1].before, &w.live);
    if (is_off())
        return;
    note_attempt(); /* it is there without the merge */
    note_merged(beside.from, beside.to);
}

/* Somebody has the file "a" of a space open while it is merged into. NULL: it cannot be opened. */
static struct vfs_file *open_a(size_t s)
{
    struct vfs_attr attr;
    struct vfs_file *f;

    return find(s, "a", &attr) == 0 && vfs_open(w.p, attr.nodeid, VFS_NOATIME, &f) == 0 ? f : NULL;
}

static int merge_spaces(size_t from, size_t to)
{
    struct merge_call c = {.label = space_names[from], .beside = write_beside};
    struct vfs_file *reader = open_a(to);
    struct merge_result r;
    int err;

    CHECK(ns_get_by_name(w.p, space_names[from], &c.theirs) == 0);
    CHECK(ns_get_by_name(w.p, space_names[to], &c.ours) == 0);
    w.p->config.merge_at_once = beside.at_once;
    err = merge_run(w.p, &c, &r);
    merges[1].seq = r.seq;
    merge_result_release(&r);
    if (reader)
        vfs_release(reader);
    ns_put(w.p, c.theirs);
    ns_put(w.p, c.ours);
    return err;
}

static void merge_models(size_t from, size_t to)
{
    w.live.operations++;
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
    model_drop(&merges[0].before);
    model_drop(&merges[0].after);
    merges[0] = merges[1];
    merges[1] = (struct merged){.to = to};
    model_copy(&merges[1].before, &w.live);
    if (!is_off())
        note_merged(from, to);
    DO(merge_spaces(from, to));
    merge_models(from, to);
    model_copy(&merges[1].after, &w.live);
}

/* Takes back what a merge has changed. */
static void unmerge_models(struct merged *m)
{
    w.live.operations++;
    for (size_t i = 0; i < m->after.files; i++) {
        const struct mfile *f = &m->after.file[i];
        const struct mfile *was = model_find(&m->before, f->space, f->name);
        if (f->space == m->to && !was)
            model_set(f->space, f->name, NULL);
        else if (f->space == m->to && was->bytes != f->bytes)
            model_set(f->space, f->name, bytes_ref(was->bytes));
    }
    for (size_t i = 0; i < m->before.files; i++) {
        const struct mfile *was = &m->before.file[i];
        if (was->space == m->to && !model_find(&m->after, was->space, was->name))
            model_set(was->space, was->name, bytes_ref(was->bytes));
    }
}

static int undo_seq(uint64_t seq)
{
    const struct undo_call c = {.seq = seq};
    struct undo_result r;
    int err = undo_run(w.p, &c, &r);

    merge_result_release(&r.merge);
    return err;
}

void op_undo_merge(void)
{
    struct model was;

    if (!is_off()) {
        model_copy(&was, &w.live);
        unmerge_models(&merges[0]);
        note_attempt();
        model_drop(&w.live);
        w.live = was;
    }
    DO(undo_seq(merges[0].seq));
    unmerge_models(&merges[0]);
}

/* Takes back the last operation. */
static int undo_last(void)
{
    struct history_op op;

    CHECK(history_before(&w.p->history, UINT64_MAX, &op) == 0);
    return undo_seq(op.entry.seq);
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
    w.live.operations++;
    keep_model(&frozen);
}

void op_branch_snapshot(size_t s, size_t to)
{
    char spec[40];
    uint64_t seq;
    uint32_t number;

    snprintf(spec, sizeof spec, "%s@kept", space_names[s]);
    DO(ns_branch(w.p, spec, space_names[to], &seq, &number));
    w.live.operations++;
    show_kept(&frozen, s, to);
}

/* Passes a stream from one session to the other. 0, or the error of either. What was written is
 * worked off before the next read, so that the order of what the disk gets does not depend on
 * threads. */
static int carry(struct export_session *from, struct import *to)
{
    static const _Atomic bool never = false;
    static char buf[64 * 1024];
    ssize_t n = 1, taken = 0;

    while (n > 0 && taken >= 0) {
        n = export_read(from, buf, sizeof buf, &never);
        taken = n > 0 ? import_write(to, buf, (size_t)n, &never) : 0;
        CHECK(import_read(to, buf, 0) == 0);
    }
    return n < 0 ? (int)n : taken < 0 ? (int)taken : 0;
}

static bool is_there(size_t space)
{
    struct ns *ns;
    int err = ns_get_by_name(w.p, space_names[space], &ns);

    if (err == 0)
        ns_put(w.p, ns);
    return err == 0;
}

/* Sends what `line` says, and receives it. If only the sync at the end fails it is there, and is not
 * durable: as after any other operation. */
static int receive(const char *line, size_t to)
{
    static const struct vfs_cred root = {0};
    static const _Atomic bool never = false;
    struct export_session *from;
    struct import *s;
    char name[40];
    ssize_t n;
    int err;

    snprintf(name, sizeof name, "receive %s\n", space_names[to]);
    CHECK(export_open(w.p, &from) == 0);
    CHECK(import_open(w.p, &root, true, &s) == 0);
    n = export_write(from, line, strlen(line));
    if (n > 0)
        n = import_write(s, name, strlen(name), &never);
    err = n < 0 ? (int)n : carry(from, s);
    export_close(from);
    import_drop(s);
    return is_there(to) ? 0 : err;
}

/* It is an operation to receive, and another one to keep what was received. */
static size_t operations_of(size_t space)
{
    char spec[60];
    struct ns *ns;

    snprintf(spec, sizeof spec, "%s@received", space_names[space]);
    if (ns_find(w.p, spec, &ns) < 0)
        return 1;
    ns_put(w.p, ns);
    return 2;
}

/* The namespace is there before its snapshot, which has a frame of its own. */
static void note_received(const struct model *m, size_t from, size_t to)
{
    struct model was;

    model_copy(&was, &w.live);
    show_kept(m, from, to);
    w.live.operations++;
    note_attempt();
    model_drop(&w.live);
    w.live = was;
}

void op_receive_kept(size_t from, size_t to)
{
    char line[60];

    snprintf(line, sizeof line, "send %s@kept\n", space_names[from]);
    if (!is_off())
        note_received(&frozen, from, to);
    DO(receive(line, to));
    show_kept(&frozen, from, to);
    w.live.operations += operations_of(to);
}

void op_receive_rest(size_t from, size_t to)
{
    struct model now;
    char line[60];

    snprintf(line, sizeof line, "send %s@kept..\n", space_names[from]);
    model_copy(&now, &w.live);
    if (!is_off())
        note_received(&now, from, to);
    model_drop(&now);
    DO(receive(line, to));
    model_copy(&now, &w.live);
    show_kept(&now, from, to);
    w.live.operations += operations_of(to);
    model_drop(&now);
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

static void trash_model(size_t s)
{
    w.live.operations++;
    keep_model(&trashed);
    w.live.space[s] = false;
    for (size_t i = w.live.files; i-- > 0;)
        if (w.live.file[i].space == s)
            model_set(s, w.live.file[i].name, NULL);
}

void op_trash(size_t s)
{
    DO(trash(s));
    trash_model(s);
}

void op_undo_branch(size_t s)
{
    DO(undo_last());
    trash_model(s);
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
    w.live.operations++;
    show_kept(&trashed, s, s);
}

void op_undo_trash(size_t s)
{
    DO(undo_last());
    w.live.operations++;
    show_kept(&trashed, s, s);
}

void op_empty_trash(void)
{
    kept_expire(w.p); /* drafts that a death has left; the store does it after its next flush */
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
