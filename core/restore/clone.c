// SPDX-License-Identifier: Apache-2.0
/* clone: see the header. */
#include "clone.h"

#include "archive_catalogue.h"
#include "archive_find.h"
#include "archive_read.h"
#include "chain.h"
#include "ns_drop.h"
#include "refs.h"
#include "restore_pin.h"
#include "shards.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))
#define TRIES 4 /* to find a moment that is kept */

static int fail(struct strbuf *why, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(struct strbuf *why, int err, const char *fmt, ...)
{
    va_list ap;

    if (why->len)
        return err;
    va_start(ap, fmt);
    strbuf_vaddf(why, fmt, ap);
    va_end(ap);
    return err;
}

/* ---- which archive and lineage ---- */

static int read_format(struct shard *s, struct archive_format *ret, struct strbuf *why)
{
    int err = archive_read_format(s, ret);

    if (err == -ENOENT)
        return fail(why, err, "there is no archive");
    return err < 0
               ? fail(why, err, "its file '%s' cannot be read: %s", ARCHIVE_FORMAT, strerror(-err))
               : 0;
}

/* Adds what tells a lineage from others. */
static void describe(struct shard *s, const struct archive_lineage *l, struct strbuf *out)
{
    struct segment_pos last = {0};
    struct archive_segment g;

    strbuf_addf(out, "\n  %u  %s", l->number, *l->label ? l->label : "(no label)");
    if (l->parent)
        strbuf_addf(out, ", goes on from lineage %u", l->parent);
    if (chain_last(s, l->number, last, &last) < 0 || last.epoch == 0 ||
        archive_read(s, l->number, last, &g) < 0)
        return;
    strbuf_addf(out, ", change %llu of ", U(g.front.head.seq));
    strbuf_add_time(out, g.front.head.time);
    archive_segment_release(&g);
}

/* The only lineage. If there are several they are listed. */
static int only_lineage(struct shard *s, struct archive_lineage *ret, struct strbuf *why)
{
    CLEANUP_STRBUF struct strbuf list = STRBUF_INIT;
    struct archive_lineage l;
    uint32_t count = 0;
    int err;

    while ((err = archive_read_lineage(s, count + 1, &l)) == 0) {
        describe(s, &l, &list);
        if (count++ == 0)
            *ret = l;
    }
    if (err != -ENOENT)
        return fail(why, err, "its lineage %u cannot be read: %s", count + 1, strerror(-err));
    if (count > 1)
        return fail(why, -EINVAL, "it has several histories: say which by --lineage NUMBER:%s",
                    list.s);
    return count == 1 ? 0 : fail(why, -ENOENT, "nothing was ever shipped there");
}

static int look(struct shard *s, uint32_t lineage, struct clone_source *ret, struct strbuf *why)
{
    int err = read_format(s, &ret->format, why);

    if (err < 0)
        return err;
    if (!lineage)
        return only_lineage(s, &ret->lineage, why);
    err = archive_read_lineage(s, lineage, &ret->lineage);
    if (err == -ENOENT)
        return fail(why, err, "it has no lineage %u", lineage);
    return err < 0 ? fail(why, err, "its lineage %u cannot be read: %s", lineage, strerror(-err))
                   : 0;
}

static int open_source(const char *url, struct shard **ret, struct strbuf *why)
{
    char reason[SHARD_WHY] = "";
    int err = shard_open(url, SHARD_READONLY, ret, reason);

    return err == 0 ? 0
                    : fail(why, err, "%s",
                           *reason                ? reason
                           : err == -EHOSTUNREACH ? "it is not there, or does not answer"
                                                  : strerror(-err));
}

int clone_look(const char *url, uint32_t lineage, struct clone_source *ret, struct strbuf *why)
{
    struct shard *s;
    int err = open_source(url, &s, why);

    if (err < 0)
        return err;
    err = look(s, lineage, ret, why);
    shard_close(s);
    return err;
}

int clone_look_for(const char *url, const struct clone_source *source, const struct clone_ask *ask,
                   struct strbuf *why)
{
    struct restore_ask one = ask->moment;
    struct restore_plan plan;
    struct shard *s;
    int err = 0;

    if (ask->count == 0 || one.when != RESTORE_LAST)
        return 0;
    err = open_source(url, &s, why);
    if (err < 0)
        return err;
    for (size_t i = 0; err == 0 && i < ask->count; i++) {
        one.name = ask->names[i];
        err = restore_find(s, source->lineage.number, &one, &plan, why);
        if (err == 0)
            restore_plan_release(&plan);
    }
    shard_close(s);
    return err;
}

/* ---- filling ---- */

struct filling {
    struct state *p;
    uint16_t archive;
    struct restore_ask moment; /* without a name */
    struct catalogue kept;     /* by which the moment was found */
    struct archive_pin pin;    /* of what is filled */
    bool pinned;
    restore_progress_fn *progress;
    void *ctx;
    struct clone_result *result;
    struct strbuf *why;
};

/* The namespace that a new store has would be in the way. */
static int make_way(struct filling *f, const char *name)
{
    uint32_t open;
    int err = ns_drop(f->p, name, false, true, false, &open);

    return err == -ENOENT ? 0 : err;
}

/* Fills a namespace as `plan` says. */
static int fill_planned(struct filling *f, const char *name, struct restore_plan *plan)
{
    struct restore_result r;
    int err = make_way(f, name);

    plan->pinned = f->pinned;
    if (err == 0)
        err = restore_run(f->p, plan, name, f->progress, f->ctx, &r, f->why);
    if (err == 0 && plan->frozen)
        err = ns_set_switch(f->p, name, NS_FROZEN, true);
    if (err == 0) {
        f->result->namespaces++;
        f->result->inodes += r.inodes;
        f->result->ghosts += r.ghosts;
        f->result->lost += r.lost;
        if (plan->seq > f->result->seq) {
            f->result->seq = plan->seq;
            f->result->time = plan->time;
        }
    }
    return err < 0 ? fail(f->why, err, "%s cannot be restored: %s", name, strerror(-err)) : 0;
}

static int fill_one(struct filling *f, const char *name)
{
    struct restore_ask ask = f->moment;
    struct restore_plan plan;
    int err;

    ask.name = name;
    ask.kept = &f->kept;
    err = restore_plan(f->p, f->archive, &ask, &plan, f->why);
    if (err < 0)
        return err;
    err = fill_planned(f, name, &plan);
    restore_plan_release(&plan);
    return err;
}

/* Fills one that may have been made after the moment: then it does nothing. */
static int fill_if_there(struct filling *f, const char *name)
{
    struct restore_ask ask = f->moment;
    struct restore_plan plan;
    int err;

    ask.name = name;
    ask.kept = &f->kept;
    err = restore_plan(f->p, f->archive, &ask, &plan, f->why);
    if (err == -ENOENT) {
        strbuf_clear(f->why);
        return 0;
    }
    if (err < 0)
        return err;
    err = fill_planned(f, name, &plan);
    restore_plan_release(&plan);
    return err;
}

/* The names of a moment. */
struct names {
    struct archive_names then;   /* of the segment that has the moment, or is before it */
    struct archive_names behind; /* of the one behind the moment: they may have been made since */
};

/* Finds the segment of the moment. A change is most often between two segments. */
static int find_segment(struct filling *f, struct shard *s, uint32_t lineage,
                        struct segment_pos *ret)
{
    const struct restore_ask *m = &f->moment;

    switch (m->when) {
    case RESTORE_SEQ:
        return archive_find_seq(s, lineage, &f->kept, m->seq, ret);
    case RESTORE_TIME:
        return archive_find_time(s, lineage, &f->kept, m->time, ret);
    default:
        return chain_last(s, lineage, *ret, ret);
    }
}

/* Reads the names. All namespaces are of one moment, also if more is shipped meanwhile: from here
 * on it is a number of a change. */
static int read_names(struct filling *f, struct shard *s, uint32_t lineage, struct names *ret)
{
    struct segment_pos at = {0}, before;
    struct archive_segment g;
    uint64_t seq;
    int err = archive_last_catalogue(s, lineage, 0, &f->kept);

    if (err == 0)
        err = find_segment(f, s, lineage, &at);
    if (err == 0 && at.epoch == 0)
        err = -ENOENT;
    if (err == 0)
        err = archive_read(s, lineage, at, &g);
    if (err < 0)
        return err;
    seq = g.front.head.seq;
    before = g.front.head.before;
    archive_segment_release(&g);
    if (f->moment.when != RESTORE_SEQ || seq < f->moment.seq) {
        f->moment.when = RESTORE_SEQ;
        f->moment.seq = seq;
    }
    f->pin.at = seq <= f->moment.seq ? at : before;
    f->pin.behind = seq <= f->moment.seq ? (struct segment_pos){0} : at;
    if (seq <= f->moment.seq)
        return archive_names(s, lineage, at, &ret->then);
    err = archive_names(s, lineage, before, &ret->then);
    return err < 0 ? err : archive_names(s, lineage, at, &ret->behind);
}

static int find_names(struct filling *f, uint32_t lineage, struct names *ret)
{
    struct shard *s;
    int err = shards_get(f->p->shards, f->archive, SHARDS_READ, &s, NULL);

    if (err < 0)
        return fail(f->why, err, "the archive cannot be asked");
    err = shards_said(f->p->shards, f->archive, read_names(f, s, lineage, ret));
    shards_put_back(f->p->shards, f->archive);
    if (err == 0 && ret->then.count + ret->behind.count == 0)
        err = -ENOENT;
    if (err == -ENOENT)
        return fail(f->why, err, "the archive has no namespaces of that moment");
    return err < 0 ? fail(f->why, err,
                          "which namespaces there were cannot be read (%s): an earlier moment may "
                          "be whole, see --at",
                          strerror(-err))
                   : 0;
}

static void forget_names(struct filling *f, struct names *names)
{
    archive_names_release(&names->then);
    archive_names_release(&names->behind);
    catalogue_release(&f->kept);
}

/* Has the archive keep what the names need. -ESTALE: some of it was given up meanwhile. */
static int pin(struct filling *f)
{
    struct shard *s;
    int err = shards_get(f->p->shards, f->archive, SHARDS_READ, &s, NULL);

    if (err < 0)
        return fail(f->why, err, "the archive cannot be asked");
    err = restore_pin_put(s, &f->pin, f->kept.number);
    shards_put_back(f->p->shards, f->archive);
    f->pinned = err == 1;
    return err == -ESTALE || err >= 0
               ? err
               : fail(f->why, err, "no pin can be put there: %s", strerror(-err));
}

/* The clone failed, and needs nothing. If that cannot be said the pin stays. */
static void unpin(struct filling *f)
{
    if (f->pinned)
        (void)restore_pin_end(f->p, f->archive, f->pin.token);
}

/* Finds the moment, and has the archive keep it. What was given up in between is looked for anew.
 * */
static int find_and_pin(struct filling *f, const struct restore_ask *moment, uint32_t lineage,
                        struct names *names)
{
    int err = -ESTALE;

    for (int i = 0; i < TRIES && err == -ESTALE; i++) {
        forget_names(f, names);
        restore_pin_init(f->p, lineage, &f->pin);
        f->moment = *moment;
        err = find_names(f, lineage, names);
        if (err == 0)
            err = pin(f);
    }
    return err < 0 ? fail(f->why, err, "what the archive keeps changes all the time") : 0;
}

static int fill_all(struct filling *f, const struct names *names)
{
    int err = 0;

    for (size_t i = 0; i < names->then.count && err == 0; i++)
        err = fill_one(f, names->then.v[i].name);
    for (size_t i = 0; i < names->behind.count && err == 0; i++)
        if (!archive_name_find(&names->then, names->behind.v[i].name))
            err = fill_if_there(f, names->behind.v[i].name);
    return err;
}

static int fill(struct filling *f, const struct clone_ask *ask, uint32_t lineage)
{
    struct names names = {ARCHIVE_NAMES_INIT, ARCHIVE_NAMES_INIT};
    int err = find_and_pin(f, &ask->moment, lineage, &names);

    if (err == 0 && !ask->names)
        err = fill_all(f, &names);
    for (size_t i = 0; ask->names && i < ask->count && err == 0; i++)
        err = fill_one(f, ask->names[i]);
    if (err < 0)
        unpin(f);
    forget_names(f, &names);
    return err;
}

/* Counts what is left of the objects that were made: a later segment may have replaced one that is
 * of an earlier segment. */
static void count_ghosts(struct filling *f)
{
    uint64_t count, bytes;

    if (refs_ghosts_on(f->p->refs, f->archive, &count, &bytes) == 0)
        f->result->ghosts = count;
}

int clone_fill(struct state *p, const char *url, const struct clone_source *source,
               const struct clone_ask *ask, restore_progress_fn *progress, void *ctx,
               struct clone_result *ret, struct strbuf *why)
{
    struct filling f = {.p = p,
                        .archive = shards_free_number(p->shards),
                        .progress = progress,
                        .ctx = ctx,
                        .result = ret,
                        .why = why};
    char reason[SHARD_WHY] = "";
    int err = shards_add_archive(p->shards, f.archive, url, source->format.id,
                                 source->lineage.number, false, reason);

    *ret = (struct clone_result){0};
    if (err < 0)
        return fail(why, err, "%s", *reason ? reason : strerror(-err));
    err = fill(&f, ask, source->lineage.number);
    if (err == 0)
        count_ghosts(&f);
    return err;
}
