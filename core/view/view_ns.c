// SPDX-License-Identifier: Apache-2.0
/* view_ns: the views of namespaces: .tally/namespaces, and their lines in status. */
#include "command.h"
#include "durability.h"
#include "flush.h"
#include "flush_names.h"
#include "state.h"
#include "strbuf.h"
#include "view.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))
#define SHOWN 16 /* namespaces that the status lists */

struct names {
    struct name {
        uint32_t number;
        char *name;
    } *v;
    size_t count;
};

static void names_release(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->v[i].name);
    free(n->v);
}

/* Copies the names under their lock. After an error the caller still releases *ret. */
static int names_collect(struct state *p, struct names *ret)
{
    READ_GUARD(&p->names.lock);

    ret->v = calloc(p->names.live + 1, sizeof *ret->v);
    if (!ret->v)
        return -ENOMEM;
    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (const struct ns *ns = p->names.by_name[i]; ns; ns = ns->by_name_next) {
            if (ns->target)
                continue;
            ret->v[ret->count] = (struct name){ns->number, strdup(ns->name)};
            if (!ret->v[ret->count].name)
                return -ENOMEM;
            ret->count++;
        }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->name, ((const struct name *)b)->name);
}

/* ---- one of them ---- */

const char *const view_ns_files[VIEW_NS_FILES] = {
    [VIEW_NS_ROOT] = "root",       [VIEW_NS_SEQ] = "seq",
    [VIEW_NS_DURABLE] = "durable", [VIEW_NS_OPTIONS] = "options",
    [VIEW_NS_FLUSHES] = "flushes", [VIEW_NS_FLUSHED] = "flushed",
    [VIEW_NS_USAGE] = "usage"};

struct ns_facts {
    uint64_t root, seq, durable, flushes;
    int64_t flushed;
    struct usage usage;
    bool frozen, verify, scattered, counted;
};

/* Reads the facts of one namespace. -ESTALE also for a symlink. */
static int ns_look(struct state *p, uint32_t number, struct ns_facts *ret)
{
    uint64_t durable;
    bool gone;
    struct ns *ns;
    int err = ns_get(p, number, &ns);

    if (err < 0)
        return err;
    {
        READ_GUARD(&ns->lock);
        gone = ns->target;
        *ret = (struct ns_facts){.root = ns->tree.root,
                                 .seq = ns->seq,
                                 .flushes = atomic_load(&ns->flushes),
                                 .flushed = atomic_load(&ns->flushed),
                                 .usage = ns->tree.usage,
                                 .counted = ns->counted,
                                 .frozen = ns->frozen,
                                 .verify = ns->verify,
                                 .scattered = ns_is_scattered(p, ns)};
    }
    ns_put(p, ns);
    durable = flush_durable(p);
    /* never above its last change: equal numbers mean that all of it is durable */
    ret->durable = ret->seq < durable ? ret->seq : durable;
    return gone ? -ESTALE : 0;
}

static void add_time_line(int64_t time_ns, struct strbuf *out)
{
    strbuf_add_time(out, time_ns);
    strbuf_adds(out, "\n");
}

/* Appends the usage. A namespace that was never counted (an old version made it) has none. */
static void add_usage(const struct ns_facts *f, struct strbuf *out)
{
    if (f->counted)
        strbuf_addf(out, "inodes=%llu\nbytes=%llu\n", U(f->usage.inodes), U(f->usage.bytes));
    else
        strbuf_adds(out, "inodes=unknown\nbytes=unknown\n");
}

int view_namespace(struct state *p, uint32_t number, enum view_ns_file file, struct strbuf *out)
{
    struct ns_facts f;
    int err;

    (void)seal_settle(p);
    err = ns_look(p, number, &f);
    if (err < 0)
        return err;
    if (file == VIEW_NS_OPTIONS)
        strbuf_addf(out, "frozen=%s\nverify=%s\n", f.frozen ? "yes" : "no",
                    f.verify ? "open" : "never");
    else if (file == VIEW_NS_FLUSHED)
        add_time_line(f.flushed, out);
    else if (file == VIEW_NS_USAGE)
        add_usage(&f, out);
    else
        strbuf_addf(out, "%llu\n",
                    U(file == VIEW_NS_ROOT      ? f.root
                      : file == VIEW_NS_SEQ     ? f.seq
                      : file == VIEW_NS_DURABLE ? f.durable
                                                : f.flushes));
    return strbuf_error(out);
}

/* ---- in status ---- */

/* Appends a line of status for one namespace. False: it is gone. */
static bool add_one(struct state *p, const struct name *n, struct strbuf *out)
{
    struct ns_facts f;

    if (ns_look(p, n->number, &f) < 0)
        return false;
    strbuf_adds(out, "            name=");
    command_add_word(out, n->name);
    strbuf_addf(out, " seq=%llu durable=%llu flushes=%llu last_flush=", U(f.seq), U(f.durable),
                U(f.flushes));
    strbuf_add_time(out, f.flushed);
    if (f.scattered)
        strbuf_adds(out, " scattered=1");
    strbuf_adds(out, "\n");
    return true;
}

void view_ns_flushes(struct state *p, struct strbuf *out)
{
    struct names n = {0};
    size_t shown = 0, i = 0;

    if (names_collect(p, &n) == 0 && n.count)
        qsort(n.v, n.count, sizeof *n.v, compare_names);
    for (; i < n.count && shown < SHOWN; i++)
        shown += add_one(p, &n.v[i], out);
    if (i < n.count)
        strbuf_addf(out, "            and %zu more: .tally/namespaces\n", n.count - i);
    names_release(&n);
}

int view_flushes(struct state *p, struct strbuf *out)
{
    struct flush_names *copy = malloc(sizeof *copy);

    if (!copy)
        return -ENOMEM;
    flush_get_names(p, copy);
    flush_names_list(copy, out);
    free(copy);
    return strbuf_error(out);
}
