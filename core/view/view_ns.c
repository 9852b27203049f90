// SPDX-License-Identifier: Apache-2.0
/* view_ns: the views of namespaces: .tally/namespaces, and their lines in status. */
#include "command.h"
#include "durability.h"
#include "flush.h"
#include "flush_names.h"
#include "quota.h"
#include "state.h"
#include "strbuf.h"
#include "view.h"
#include "view_ns.h"
#include <errno.h>
#include <stdio.h>
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
    [VIEW_NS_ROOT] = "root",       [VIEW_NS_SEQ] = "seq",         [VIEW_NS_DURABLE] = "durable",
    [VIEW_NS_OPTIONS] = "options", [VIEW_NS_FLUSHES] = "flushes", [VIEW_NS_FLUSHED] = "flushed",
    [VIEW_NS_USAGE] = "usage"};

struct ns_facts {
    uint64_t root, seq, durable, flushes;
    int64_t flushed, frees_looked;
    uint64_t frees;
    struct usage usage, unlinked, limit;
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
                                 .unlinked = ns->unlinked,
                                 .limit = quota_limits(ns),
                                 .frees = atomic_load(&ns->frees),
                                 .frees_looked = atomic_load(&ns->frees_looked),
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

static void add_limit(const char *key, uint64_t limit, struct strbuf *out)
{
    if (limit)
        strbuf_addf(out, "%s=%llu\n", key, U(limit));
    else
        strbuf_addf(out, "%s=off\n", key);
}

/* Appends the usage. A namespace that was never counted (an old version made it) has none. What a
 * drop would give back changes when others change: it has the time at which somebody looked. */
static void add_usage(const struct ns_facts *f, struct strbuf *out)
{
    if (f->counted)
        strbuf_addf(out, "inodes=%llu\nbytes=%llu\n", U(f->usage.inodes), U(f->usage.bytes));
    else
        strbuf_adds(out, "inodes=unknown\nbytes=unknown\n");
    strbuf_addf(out, "unlinked_inodes=%llu\nunlinked_bytes=%llu\n", U(f->unlinked.inodes),
                U(f->unlinked.bytes));
    add_limit("quota_files", f->limit.inodes, out);
    add_limit("quota", f->limit.bytes, out);
    if (!f->frees_looked)
        return;
    strbuf_addf(out, "frees=%llu\nfrees_at=", U(f->frees));
    add_time_line(f->frees_looked, out);
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

/* ---- limits ---- */

static struct usage used_of(const struct ns_facts *f)
{
    struct usage u = f->usage;

    usage_add(&u, f->unlinked);
    return u;
}

/* Is less than a twentieth of a limit left? */
static bool is_nearly_full(const struct ns_facts *f)
{
    const struct usage u = used_of(f);

    return (f->limit.bytes && u.bytes >= f->limit.bytes - f->limit.bytes / 20) ||
           (f->limit.inodes && u.inodes >= f->limit.inodes - f->limit.inodes / 20);
}

/* Appends to a line of status what a namespace with limits takes. */
static void add_limits(const struct ns_facts *f, struct strbuf *out)
{
    const struct usage u = used_of(f);

    if (f->limit.bytes)
        strbuf_addf(out, " bytes=%llu quota=%llu", U(u.bytes), U(f->limit.bytes));
    if (f->limit.inodes)
        strbuf_addf(out, " inodes=%llu quota_files=%llu", U(u.inodes), U(f->limit.inodes));
    if (is_nearly_full(f))
        strbuf_adds(out, " nearly_full=1");
}

/* The numbers of namespaces with limits, as counts by name. */
enum limited { USED_BYTES, LIMIT_BYTES, USED_INODES, LIMIT_INODES, LIMITED };
struct limited_counts {
    struct view_count *v[LIMITED];
    size_t count;
};

static const struct view_number limited_numbers[LIMITED] = {
    [USED_BYTES] = {"namespace_used_bytes", VIEW_GAUGE, 0,
                    "Bytes that the files of a namespace with a limit take, deleted ones that are "
                    "open included."},
    [LIMIT_BYTES] = {"namespace_quota_bytes", VIEW_GAUGE, 0,
                     "Bytes that the files of a namespace may take; 0: there is no limit."},
    [USED_INODES] = {"namespace_used_inodes", VIEW_GAUGE, 0,
                     "Files and directories of a namespace with a limit."},
    [LIMIT_INODES] = {"namespace_quota_inodes", VIEW_GAUGE, 0,
                      "Files and directories that a namespace may have; 0: there is no limit."},
};

/* The name as a label; one with other characters than those that can be printed is called by its
 * number. */
static const char *label_of(struct name *n)
{
    char *number;

    for (const char *c = n->name; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\') {
            if (asprintf(&number, "#%u", (unsigned)n->number) < 0)
                return "?";
            free(n->name);
            n->name = number;
            break;
        }
    return n->name;
}

static void collect_limited(struct state *p, struct names *n, struct limited_counts *ret)
{
    for (size_t i = 0; i < n->count; i++) {
        struct ns_facts f;
        const char *name;

        if (ns_look(p, n->v[i].number, &f) < 0 || (!f.limit.bytes && !f.limit.inodes))
            continue;
        name = label_of(&n->v[i]);
        ret->v[USED_BYTES][ret->count] = (struct view_count){name, used_of(&f).bytes};
        ret->v[LIMIT_BYTES][ret->count] = (struct view_count){name, f.limit.bytes};
        ret->v[USED_INODES][ret->count] = (struct view_count){name, used_of(&f).inodes};
        ret->v[LIMIT_INODES][ret->count] = (struct view_count){name, f.limit.inodes};
        ret->count++;
    }
}

void view_ns_numbers(struct state *p, struct view_numbers *n)
{
    struct names names = {0};
    struct limited_counts counts = {0};
    struct view_count *v = NULL;

    if (names_collect(p, &names) == 0)
        v = calloc(names.count * LIMITED + 1, sizeof *v);
    for (size_t i = 0; v && i < LIMITED; i++)
        counts.v[i] = v + i * names.count;
    if (v)
        collect_limited(p, &names, &counts);
    for (size_t i = 0; i < LIMITED && counts.count; i++)
        view_add_labelled(n, limited_numbers[i], "namespace", counts.v[i], counts.count);
    free(v);
    names_release(&names);
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
    add_limits(&f, out);
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
