// SPDX-License-Identifier: Apache-2.0
/*
 * control_drill: `archive drill`, which restores namespaces to see whether that works. Nothing of
 * it is shown, and what it made is dropped. It tries one state, the last one that the archive has
 * when the drill begins: a namespace that goes later, or is shipped again, is tried as it was then.
 */
#include "archive_last.h"
#include "control_impl.h"
#include "job.h"
#include "ns_restore.h"
#include "report.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

struct drilling {
    uint16_t archive;
    unsigned read; /* percent */
    char url[SHARD_URL_MAX + 1];
    struct restore_ask *asks; /* their names are owned */
    size_t count;
    struct state *p;
    struct job *j;
    uint64_t done; /* items of the namespaces before */
    uint64_t inodes, read_objects;
    size_t compared;
    uint64_t seq;
    int64_t time;
};

static void drilling_free(struct drilling *d)
{
    for (size_t i = 0; i < d->count; i++)
        free((char *)(uintptr_t)d->asks[i].name);
    free(d->asks);
    free(d);
}

static void not_begun(struct state *p, void *arg, int err)
{
    (void)p;
    (void)err;
    drilling_free(arg);
}

/* ---- the job ---- */

static int on_progress(uint64_t items, uint64_t of, void *ctx)
{
    struct drilling *d = ctx;

    job_progress(d->p, d->j, d->done + items, d->count == 1 ? of : 0);
    return job_pause(d->p, d->j, 0);
}

static void take_result(struct drilling *d, const struct restore_plan *plan,
                        const struct restore_result *r)
{
    d->done += r->items;
    d->inodes += r->inodes;
    d->read_objects += r->read;
    d->compared += r->compared;
    if (plan->seq >= d->seq) {
        d->seq = plan->seq;
        d->time = plan->time;
    }
}

static int drill_one(struct drilling *d, struct restore_ask *ask, struct strbuf *why)
{
    struct restore_plan plan;
    struct restore_result r;
    int err;

    ask->interrupted = &d->j->cancel;
    err = restore_plan(d->p, d->archive, ask, &plan, why);
    if (err < 0)
        return err == -EINTR ? -ECANCELED : err;
    err = restore_try(d->p, &plan, d->read, on_progress, d, &r, why);
    if (err == 0)
        take_result(d, &plan, &r);
    restore_plan_release(&plan);
    return err;
}

static void say_good(struct drilling *d)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    strbuf_addf(&text, "namespaces=%zu from_seq=%llu time=", d->count, U(d->seq));
    strbuf_add_time(&text, d->time);
    strbuf_addf(&text, " inodes=%llu entries=%llu compared=%zu read=%llu", U(d->inodes), U(d->done),
                d->compared, U(d->read_objects));
    if (strbuf_error(&text) == 0)
        job_result(d->p, d->j, text.s);
}

/* A drill that was cut off says nothing about the archive. */
static void say_bad(struct drilling *d, const char *name, int err, const struct strbuf *why)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, sentence = STRBUF_INIT;

    if (err == -ECANCELED || err == -ESHUTDOWN)
        return;
    strbuf_addf(&sentence, "%s cannot be restored: %s", name, why->len ? why->s : strerror(-err));
    report(err == -EUCLEAN || err == -EEXIST ? REPORT_ALARM : REPORT_WARN,
           "archive %s: a drill has failed: %s", d->url, sentence.s);
    strbuf_adds(&text, "why=");
    command_add_word(&text, sentence.s);
    if (strbuf_error(&text) == 0)
        job_result(d->p, d->j, text.s);
}

static int drill_job(struct state *p, struct job *j, void *arg)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct drilling *d = arg;
    int err = 0;

    d->p = p;
    d->j = j;
    for (size_t i = 0; i < d->count && err == 0; i++) {
        err = drill_one(d, &d->asks[i], &why);
        if (err < 0)
            say_bad(d, d->asks[i].name, err, &why);
    }
    if (err == 0) {
        say_good(d);
        err = shards_note_drill(p->shards, d->archive, now(p));
    }
    drilling_free(d);
    return control_archive_errno(err);
}

/* ---- the command ---- */

/* All namespaces that the archive has last. */
static int take_all(struct call *call, struct drilling *d, const struct archive_names *names)
{
    if (names->count == 0)
        return control_fail(call, -ENOENT, "the archive has no namespaces");
    d->asks = calloc(names->count, sizeof *d->asks);
    if (!d->asks)
        return -ENOMEM;
    while (d->count < names->count) {
        struct restore_ask *ask = &d->asks[d->count];

        *ask = (struct restore_ask){.name = strdup(names->v[d->count].name), .when = RESTORE_LAST};
        d->count++;
        if (!ask->name)
            return -ENOMEM;
    }
    return 0;
}

static int take_named(struct call *call, struct drilling *d)
{
    char *name = NULL;
    int err = 0;

    d->asks = calloc(call->c->nargs - 1, sizeof *d->asks);
    if (!d->asks)
        return -ENOMEM;
    for (size_t i = 1; i < call->c->nargs && err == 0; i++) {
        err = control_parse_moment(call, control_arg(call, i), &d->asks[d->count], &name);
        if (err == 0)
            d->count++;
    }
    return err;
}

/* Takes the namespaces, those without a moment as of the last state that there is now. A name that
 * this one lacks is asked for as it is, so that the drill says when the archive had it. */
static int take_namespaces(struct call *call, struct drilling *d)
{
    struct archive_names names;
    uint64_t seq;
    int err = archive_last_names(call->p, d->archive, &names, &seq);

    err = err == -ENOENT ? 0 : control_archive_errno(err);
    if (err == 0)
        err = call->c->nargs > 1 ? take_named(call, d) : take_all(call, d, &names);
    for (size_t i = 0; i < d->count && err == 0; i++)
        if (d->asks[i].when == RESTORE_LAST && archive_name_find(&names, d->asks[i].name)) {
            d->asks[i].when = RESTORE_SEQ;
            d->asks[i].seq = seq;
        }
    archive_names_release(&names);
    return err;
}

static int take_words(struct call *call, struct drilling *d)
{
    const char *read = command_option(call->c, "read");
    uint64_t percent = 0;
    struct shards_info info;
    int err = control_find_archive(call, command_option(call->c, "archive"), false, &d->archive);

    if (err == 0 && read && (command_number(read, &percent) < 0 || percent > 100))
        err = control_fail_word(call, -EINVAL, "%s is not a number of percent", read);
    if (err == 0)
        err = shards_info_get(call->p->shards, d->archive, &info);
    if (err < 0)
        return err;
    d->read = (unsigned)percent;
    memcpy(d->url, info.url, sizeof d->url);
    return take_namespaces(call, d);
}

/* archive drill [NS[@SEQ|@TIME]...] [archive=URL] [read=PERCENT] [wait] */
int control_archive_drill(struct call *call)
{
    struct job_work w = {.fn = drill_job, .dropped = not_begun, .prompt = true};
    struct drilling *d = calloc(1, sizeof *d);
    struct job *j;
    uint64_t number;
    int err = d ? control_may_change(call) : -ENOMEM;

    if (err == 0)
        err = take_words(call, d);
    if (err == 0)
        err = job_start(call->p, "drill", d->url, &j);
    if (err < 0) {
        if (d)
            drilling_free(d);
        return err;
    }
    number = j->number;
    w.arg = d;
    err = job_run(call->p, j, &w, -1, call->interrupted);
    return err < 0 ? err : control_started(call, number);
}
