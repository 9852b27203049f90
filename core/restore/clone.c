// SPDX-License-Identifier: Apache-2.0
/* clone: see the header. */
#include "clone.h"

#include "archive_find.h"
#include "archive_read.h"
#include "chain.h"
#include "ns_drop.h"
#include "report.h"
#include "shards.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define U(x) ((unsigned long long)(x))

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
        return fail(why, -EINVAL, "it has several histories; say which by its number:%s", list.s);
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
    return err < 0 ? fail(why, err, "its lineage %u cannot be read: %s", lineage, strerror(-err))
                   : 0;
}

int clone_look(const char *url, uint32_t lineage, struct clone_source *ret, struct strbuf *why)
{
    char reason[SHARD_WHY] = "";
    struct shard *s;
    int err = shard_open(url, SHARD_READONLY, &s, reason);

    if (err < 0)
        return fail(why, err, "%s",
                    *reason                ? reason
                    : err == -EHOSTUNREACH ? "it is not there, or does not answer"
                                           : strerror(-err));
    err = look(s, lineage, ret, why);
    shard_close(s);
    return err;
}

/* ---- the pin ---- */

/* What the clone needs is not removed from the archive while the pin is there. Who has only the
 * right to read puts none, which is said. */
static int put_pin(struct state *p, struct shard *s, const struct clone_source *source)
{
    struct archive_pin pin = {.lineage = source->lineage.number, .time = now(p)};
    char name[ARCHIVE_NAME_MAX + 1], text[ARCHIVE_TEXT_MAX];

    if (getrandom(pin.token, sizeof pin.token, 0) != (ssize_t)sizeof pin.token)
        return -EIO;
    (void)gethostname(pin.who, sizeof pin.who - 1);
    archive_pin_name(pin.token, name);
    return shard_put_if_absent(s, name, text, archive_pin_encode(&pin, text));
}

static void pin_or_tell(struct state *p, const char *url, const struct clone_source *source)
{
    char why[SHARD_WHY] = "";
    struct shard *s;
    int err = shard_open(url, 0, &s, why);

    if (err == 0) {
        err = put_pin(p, s, source);
        shard_close(s);
    }
    if (err < 0)
        report(REPORT_WARN,
               "no pin could be put into the archive (%s): whoever deletes from it must know that "
               "this store needs it",
               strerror(-err));
}

/* ---- filling ---- */

struct filling {
    struct state *p;
    uint16_t archive;
    struct restore_ask moment; /* without a name */
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
static int fill_planned(struct filling *f, const char *name, const struct restore_plan *plan)
{
    struct restore_result r;
    int err = make_way(f, name);

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
        return archive_find_seq(s, lineage, m->seq, ret);
    case RESTORE_TIME:
        return archive_find_time(s, lineage, m->time, ret);
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
    int err = find_segment(f, s, lineage, &at);

    if (err == 0 && at.epoch == 0)
        err = -ENOENT;
    if (err == 0)
        err = archive_read(s, lineage, at, &g);
    if (err < 0)
        return err;
    seq = g.front.head.seq;
    before = g.front.head.before;
    archive_segment_release(&g);
    if (f->moment.when != RESTORE_SEQ) {
        f->moment.when = RESTORE_SEQ;
        f->moment.seq = seq;
    }
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

static int fill_all(struct filling *f, uint32_t lineage)
{
    struct names names = {ARCHIVE_NAMES_INIT, ARCHIVE_NAMES_INIT};
    int err = find_names(f, lineage, &names);

    for (size_t i = 0; i < names.then.count && err == 0; i++)
        err = fill_one(f, names.then.v[i].name);
    for (size_t i = 0; i < names.behind.count && err == 0; i++)
        if (!archive_name_find(&names.then, names.behind.v[i].name))
            err = fill_if_there(f, names.behind.v[i].name);
    archive_names_release(&names.then);
    archive_names_release(&names.behind);
    return err;
}

int clone_fill(struct state *p, const char *url, const struct clone_source *source,
               const struct clone_ask *ask, restore_progress_fn *progress, void *ctx,
               struct clone_result *ret, struct strbuf *why)
{
    struct filling f = {.p = p,
                        .archive = shards_free_number(p->shards),
                        .moment = ask->moment,
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
    pin_or_tell(p, url, source);
    if (!ask->names)
        return fill_all(&f, source->lineage.number);
    for (size_t i = 0; i < ask->count && err == 0; i++)
        err = fill_one(&f, ask->names[i]);
    return err;
}
