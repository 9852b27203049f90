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
    char **v;
    size_t count;
};

static void names_release(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->v[i]);
    free(n->v);
}

/* Copies the names under their lock. After an error the caller still releases *ret. */
static int names_collect(struct state *p, struct names *ret)
{
    READ_GUARD(&p->names.lock);

    ret->v = calloc(p->names.live + 1, sizeof(char *));
    if (!ret->v)
        return -ENOMEM;
    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (const struct ns *ns = p->names.by_name[i]; ns; ns = ns->by_name_next) {
            if (ns->target)
                continue;
            ret->v[ret->count] = strdup(ns->name);
            if (!ret->v[ret->count])
                return -ENOMEM;
            ret->count++;
        }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int view_namespaces(struct state *p, view_name_fn *fn, void *ctx)
{
    struct names n = {0};
    int err = names_collect(p, &n);

    if (err == 0 && n.count)
        qsort(n.v, n.count, sizeof(char *), compare_names);
    for (size_t i = 0; err == 0 && i < n.count; i++)
        if (fn(n.v[i], ctx))
            break;
    names_release(&n);
    return err;
}

/* ---- one of them ---- */

enum { NS_ROOT, NS_SEQ, NS_DURABLE, NS_OPTIONS, NS_FLUSHES, NS_FLUSHED, NS_USAGE };
const char *const view_ns_files[] = {
    [NS_ROOT] = "root",       [NS_SEQ] = "seq",         [NS_DURABLE] = "durable",
    [NS_OPTIONS] = "options", [NS_FLUSHES] = "flushes", [NS_FLUSHED] = "flushed",
    [NS_USAGE] = "usage"};
const unsigned view_ns_file_count = sizeof view_ns_files / sizeof *view_ns_files;

static int ns_file(const char *file)
{
    for (unsigned i = 0; i < view_ns_file_count; i++)
        if (!strcmp(view_ns_files[i], file))
            return (int)i;
    return -ENOENT;
}

struct ns_facts {
    uint64_t root, seq, durable, flushes;
    int64_t flushed;
    struct usage usage;
    bool frozen, verify, scattered, counted;
};

/* Reads the facts of one namespace. -ENOENT also for a symlink. */
static int ns_look(struct state *p, const char *name, struct ns_facts *ret)
{
    uint64_t durable;
    bool gone;
    struct ns *ns;
    int err = ns_get_by_name(p, name, &ns);

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
    return gone ? -ENOENT : 0;
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

int view_namespace(struct state *p, const char *name, const char *file, struct strbuf *out)
{
    int which = ns_file(file), err;
    struct ns_facts f;

    if (which < 0)
        return which;
    (void)seal_settle(p);
    err = ns_look(p, name, &f);
    if (err < 0)
        return err;
    if (which == NS_OPTIONS)
        strbuf_addf(out, "frozen=%s\nverify=%s\n", f.frozen ? "yes" : "no",
                    f.verify ? "open" : "never");
    else if (which == NS_FLUSHED)
        add_time_line(f.flushed, out);
    else if (which == NS_USAGE)
        add_usage(&f, out);
    else
        strbuf_addf(out, "%llu\n",
                    U(which == NS_ROOT      ? f.root
                      : which == NS_SEQ     ? f.seq
                      : which == NS_DURABLE ? f.durable
                                            : f.flushes));
    return strbuf_error(out);
}

/* ---- in status ---- */

struct ns_listing {
    struct state *p;
    struct strbuf *out;
    size_t shown, more;
};

/* Appends a line of status for one namespace, or counts it among those that are not shown. */
static int add_one(const char *name, void *ctx)
{
    struct ns_listing *l = ctx;
    struct ns_facts f;

    if (l->shown == SHOWN) {
        l->more++;
        return 0;
    }
    if (ns_look(l->p, name, &f) < 0)
        return 0;
    l->shown++;
    strbuf_adds(l->out, "            name=");
    command_add_word(l->out, name);
    strbuf_addf(l->out, " seq=%llu durable=%llu flushes=%llu last_flush=", U(f.seq), U(f.durable),
                U(f.flushes));
    strbuf_add_time(l->out, f.flushed);
    if (f.scattered)
        strbuf_adds(l->out, " scattered=1");
    strbuf_adds(l->out, "\n");
    return 0;
}

void view_ns_flushes(struct state *p, struct strbuf *out)
{
    struct ns_listing l = {.p = p, .out = out};

    (void)view_namespaces(p, add_one, &l);
    if (l.more)
        strbuf_addf(out, "            and %zu more: .tally/namespaces\n", l.more);
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
