// SPDX-License-Identifier: Apache-2.0
/* follow: see the header. This file has what the store knows of what it follows, and the thread. */
#include "follow_impl.h"

#include "array.h"
#include "clone.h"
#include "ns_drop.h"
#include "report.h"
#include "shards.h"
#include "thread.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* A step that failed is tried again after the interval, then later and later up to this. */
#define RETRY_MAX (60 * NSEC_PER_SEC)
/* Of so many looks that found nothing one asks for more: is the archive there? Has it a segment
 * behind one that is missing? Who has ended the history? One in which nobody looked for LOOK_AGAIN
 * asks as well, since the next segment may have been deleted meanwhile: the shortest
 * `archive_grace`. */
#define LOOKS 16
#define LOOK_AGAIN (60 * NSEC_PER_SEC)

/* ---- what becomes of a step ---- */

static bool note_state(struct follow_of_store *f, enum follow_state state, const char *why)
{
    MUTEX_GUARD(&f->stats_lock);
    const bool fresh = f->stats.state != state || strcmp(f->stats.why, why) != 0;

    f->stats.state = state;
    snprintf(f->stats.why, sizeof f->stats.why, "%s", why);
    return fresh;
}

int follow_fail(struct state *p, int err, const char *fmt, ...)
{
    struct follow_of_store *f = p->follow;
    char what[SHARD_WHY], why[SHARD_WHY];
    va_list ap;

    if (err == -ESHUTDOWN || f->failed)
        return err;
    f->failed = true;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    snprintf(why, sizeof why, "%.180s (%.70s)", what, strerror(-err));
    if (note_state(f, FOLLOW_FAILING, why))
        report(REPORT_WARN, "the archive that is followed: %s: that is tried again", why);
    return err;
}

/* A step has ended. */
static int note_end(struct state *p, int err)
{
    struct follow_of_store *f = p->follow;

    if (err < 0)
        (void)follow_fail(p, err, "it cannot be followed");
    MUTEX_GUARD(&f->stats_lock);
    if (err == 0) {
        f->stats.state = FOLLOW_OK;
        f->stats.why[0] = '\0';
        f->stats.asked = now(p);
        f->stats.failing_since = 0;
        f->failures = 0;
        return 0;
    }
    f->failures++;
    if (!f->stats.failing_since)
        f->stats.failing_since = now(p);
    return err;
}

/* ---- the namespaces ---- */

struct followed *follow_find(struct follow_of_store *f, uint32_t number)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->v[i].note.ns == number)
            return &f->v[i];
    return NULL;
}

int follow_put(struct state *p, struct ns *ns, const struct ns_followed *note)
{
    struct follow_of_store *f = p->follow;
    struct followed *e = follow_find(f, note->ns);

    if (!e) {
        if (ARRAY_RESERVE(f->v, f->room, f->count + 1) < 0)
            return -ENOMEM;
        e = &f->v[f->count++];
        *e = (struct followed){.ns = NULL};
    }
    if (e->ns != ns) {
        ns_put(p, e->ns);
        atomic_fetch_add(&ns->refs, 1);
        e->ns = ns;
    }
    e->note = *note;
    return 0;
}

void follow_remove(struct state *p, uint32_t number)
{
    struct follow_of_store *f = p->follow;
    struct followed *e = follow_find(f, number);

    if (!e)
        return;
    ns_put(p, e->ns);
    *e = f->v[--f->count];
}

void follow_forget(struct state *p)
{
    struct follow_of_store *f = p->follow;

    while (f->count > 0)
        ns_put(p, f->v[--f->count].ns);
    f->known = false;
}

/* Reads from the records what the namespaces are. The last segment that was applied is that of the
 * latest instant. */
static int know(struct state *p)
{
    struct follow_of_store *f = p->follow;
    struct ns_followed note;
    struct ns *ns;
    uint32_t at = 0;
    int err = 0;

    if (f->known)
        return 0;
    follow_forget(p);
    f->at = (struct segment_pos){0};
    while (err == 0 && ns_followed_next(p, at, &ns, &note) == 0) {
        const struct segment_pos pos = {note.epoch, note.serial};

        at = ns->number;
        err = note.archive == f->archive ? follow_put(p, ns, &note) : 0;
        if (note.archive == f->archive && segment_pos_compare(pos, f->at) > 0)
            f->at = pos;
        ns_put(p, ns);
    }
    f->pos = f->at;
    f->known = err == 0;
    return err;
}

/* Marks the namespaces as those of a follower, or as none. */
static void mark(struct state *p, bool followed)
{
    struct ns *ns;
    uint32_t at = 0;

    atomic_store(&p->follows, followed);
    while (ns_next_number(p, at, &ns) == 0) {
        at = ns->number;
        atomic_store(&ns->followed, followed && !ns_is_hidden(p, ns));
        ns_put(p, ns);
    }
}

void follow_end(struct state *p)
{
    struct follow_of_store *f = p->follow;

    mutex_held(&f->lock);
    {
        INSTANT_TXN(t, p);

        mark(p, false);
    }
    follow_forget(p);
    f->on = false;
    MUTEX_GUARD(&f->stats_lock);
    f->stop = true;
    cond_broadcast(&f->wake);
}

/* ---- a step ---- */

/* Reads what the last segment that was applied says of itself. */
static int read_head(struct state *p, struct shard *shard)
{
    struct follow_of_store *f = p->follow;
    struct archive_segment g;
    int err = archive_read(shard, f->lineage, f->at, &g);

    if (err < 0)
        return err;
    f->seq = g.front.head.seq;
    f->time = g.front.head.time;
    archive_segment_release(&g);
    MUTEX_GUARD(&f->stats_lock);
    f->stats.at = f->at;
    f->stats.seq = f->seq;
    f->stats.time = f->time;
    return 0;
}

/* An epoch was ended, and nothing follows yet: another mount of the writer, or a take-over. */
static void note_ended(struct state *p, struct shard *shard)
{
    struct follow_of_store *f = p->follow;
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    char name[ARCHIVE_NAME_MAX + 1], text[ARCHIVE_TEXT_MAX];
    struct archive_claim claim;
    uint32_t successor = 0;
    ssize_t n;

    if (f->pos.epoch <= f->at.epoch)
        return;
    archive_epoch_name(f->lineage, f->pos.epoch, name);
    n = shard_get(shard, name, text, sizeof text);
    if (n < 0 || archive_claim_decode(text, (size_t)n, f->lineage, f->pos.epoch, &claim) < 0)
        return;
    (void)archive_successor(shard, f->lineage, NULL, UINT32_MAX, &successor);
    if (successor)
        strbuf_addf(&said, "a follower has taken over, which ships as lineage %u: ", successor);
    strbuf_addf(&said, "epoch %llu was claimed by %.60s at ", U(f->pos.epoch), claim.host);
    strbuf_add_time(&said, claim.time);
    MUTEX_GUARD(&f->stats_lock);
    snprintf(f->stats.ended, sizeof f->stats.ended, "%s", strbuf_error(&said) ? "" : said.s);
}

/* There was no next segment at that time. 1: there was more after all, and it was applied. */
static int look_around(struct state *p, struct shard *shard, int64_t time)
{
    struct follow_of_store *f = p->follow;
    int err;

    if (f->looks++ % LOOKS != 0 && follow_is_sure(p, LOOK_AGAIN))
        return 0;
    err = shards_said(p->shards, f->archive, -ENOENT); /* an empty mount point has nothing either */
    if (err == -ENOENT)
        f->sure = time;
    err = err == -ENOENT ? follow_look(p, shard) : err;
    if (err == 0 && !f->time && f->at.epoch)
        err = shards_said(p->shards, f->archive, read_head(p, shard));
    if (err == 0)
        note_ended(p, shard);
    if (err < 0) /* the next step sees it, too */
        f->looks = 0;
    return err;
}

/* Applies one segment, or more at once. 0: there is none. */
static int apply_one(struct state *p, struct shard *shard)
{
    struct follow_of_store *f = p->follow;
    const int64_t time = now(p);
    int err, healed;

    if (f->at.epoch == 0)
        return follow_afresh(p, shard);
    err = follow_next(p, shard);
    if (err == 0)
        return 1;
    if (err == -ENOENT)
        return look_around(p, shard, time);
    if (err != -ESTALE && err != -EUCLEAN && err != -EEXIST && err != -ENODATA)
        return err;
    healed = follow_afresh(p, shard);
    return healed == 0 ? err : healed;
}

int follow_all(struct state *p)
{
    struct follow_of_store *f = p->follow;
    struct shard *shard;
    int err = know(p);

    mutex_held(&f->lock);
    f->failed = false;
    if (err == 0)
        err = state_writable(p);
    if (err == 0)
        err = shards_get(p->shards, f->archive, SHARDS_READ, &shard, NULL);
    if (err < 0)
        return note_end(p, err);
    while ((err = apply_one(p, shard)) > 0) {
        (void)note_state(f, FOLLOW_BEHIND, "");
        f->failed = false;
        if (state_is_ending(p))
            err = -ESHUTDOWN;
        if (err < 0)
            break;
    }
    if (err == 0)
        follow_pin(p, shard, false);
    shards_put_back(p->shards, f->archive);
    return note_end(p, err);
}

int follow_step(struct state *p)
{
    MUTEX_GUARD(&p->follow->lock);

    return p->follow->on ? follow_all(p) : -ENOENT;
}

/* ---- the thread ---- */

static int64_t rest(struct state *p)
{
    const struct follow_of_store *f = p->follow;
    int64_t ns = settings_get(&p->settings, SET_FOLLOW_INTERVAL);

    for (unsigned i = 0; i < f->failures && ns < RETRY_MAX; i++)
        ns *= 2;
    return f->failures && ns > RETRY_MAX ? RETRY_MAX : ns;
}

/* Waits for the next step. False: the thread is to end. The setting is read again each second: who
 * changes it wakes nobody. */
static bool await_step(struct state *p)
{
    struct follow_of_store *f = p->follow;
    MUTEX_GUARD(&f->stats_lock);
    const int64_t begin = ticks(p);
    int64_t left;

    while (!f->stop && (left = begin + rest(p) - ticks(p)) > 0)
        (void)cond_wait_for(&f->wake, &f->stats_lock, left < NSEC_PER_SEC ? left : NSEC_PER_SEC);
    return !f->stop;
}

static void *follow_main(void *arg)
{
    struct state *p = arg;

    do
        (void)follow_step(p);
    while (await_step(p));
    return NULL;
}

int follow_start(struct state *p)
{
    struct follow_of_store *f = p->follow;
    int err = thread_start(&f->thread, follow_main, p);

    f->has_thread = err == 0;
    return err;
}

/* The store stops to follow, perhaps for long. */
static void pin_last(struct state *p)
{
    struct follow_of_store *f = p->follow;
    struct shard *shard;
    MUTEX_GUARD(&f->lock);

    if (!f->on || !f->known || !f->pins_known)
        return;
    if (shards_get(p->shards, f->archive, SHARDS_READ, &shard, NULL) < 0)
        return;
    follow_pin(p, shard, true);
    shards_put_back(p->shards, f->archive);
}

void follow_stop(struct state *p)
{
    struct follow_of_store *f = p->follow;
    {
        MUTEX_GUARD(&f->stats_lock);
        f->stop = true;
        cond_broadcast(&f->wake);
    }
    atomic_store(&p->ending, f->has_thread);
    if (f->has_thread)
        pthread_join(f->thread, NULL);
    f->has_thread = false;
    if (!atomic_load(&p->closing)) /* else it is abandoned */
        pin_last(p);
}

/* ---- opening ---- */

static void follow_archive(struct state *p, const struct shards_info *info)
{
    struct follow_of_store *f = p->follow;

    f->on = true;
    f->archive = info->number;
    f->lineage = info->lineage;
    f->stats = (struct follow_stats){.archive = info->number, .lineage = info->lineage};
    snprintf(f->stats.url, sizeof f->stats.url, "%s", info->url);
    mark(p, true);
}

int follow_open(struct state *p)
{
    struct shards_info info;

    for (unsigned at = 0; shards_next(p->shards, at, &info) == 0; at = info.number)
        if (info.archive && info.follows) {
            follow_archive(p, &info);
            p->follow->stats.at = know(p) == 0 ? p->follow->at : (struct segment_pos){0};
            return 0;
        }
    return 0;
}

void follow_close(struct state *p)
{
    struct follow_of_store *f = p->follow;

    follow_forget(p);
    follow_keep_release(f);
    free(f->v);
    f->v = NULL;
}

/* The namespace that a new store has would be in the way. */
static int drop_main(struct state *p)
{
    uint32_t open;
    int err = ns_drop(p, "main", false, true, false, &open);

    return err == -ENOENT ? 0 : err;
}

int follow_begin(struct state *p, const char *url, const struct clone_source *source,
                 struct strbuf *why)
{
    const uint16_t number = shards_free_number(p->shards);
    char reason[SHARD_WHY] = "";
    struct shards_info info;
    int err = shards_add_archive(p->shards, number, url, source->format.id, source->lineage.number,
                                 false, reason);

    if (err == 0)
        err = drop_main(p);
    if (err == 0)
        err = shards_set_follows(p->shards, number);
    if (err == 0)
        err = shards_info_get(p->shards, number, &info);
    if (err < 0) {
        strbuf_adds(why, *reason ? reason : strerror(-err));
        return err;
    }
    MUTEX_GUARD(&p->follow->lock);
    follow_archive(p, &info);
    return 0;
}

/* ---- looking on ---- */

int follow_check(struct state *p, const char *url, char why[SHARD_WHY])
{
    char normal[SHARD_URL_MAX + 1];
    struct follow_stats s;

    if (follow_get_stats(p, &s) < 0) {
        snprintf(why, SHARD_WHY,
                 "it follows no archive, or has taken over: mount it without the option follow");
        return -ENOENT;
    }
    if (url && (shard_normal_url(url, normal, why) < 0 || strcmp(normal, s.url) != 0)) {
        snprintf(why, SHARD_WHY, "it follows the archive %.180s", s.url);
        return -EXDEV;
    }
    return 0;
}

int follow_get_stats(struct state *p, struct follow_stats *ret)
{
    struct follow_of_store *f = p->follow;

    if (!atomic_load(&p->follows))
        return -ENOENT;
    MUTEX_GUARD(&f->stats_lock);
    *ret = f->stats;
    return 0;
}

int64_t follow_lag(struct state *p, const struct follow_stats *s)
{
    const int64_t since = s->state == FOLLOW_BEHIND ? s->time
                          : s->state == FOLLOW_OK   ? 0
                          : s->asked                ? s->asked
                                                    : s->time;
    const int64_t lag = since ? now(p) - since : 0;

    return lag > 0 ? lag : 0;
}
