// SPDX-License-Identifier: Apache-2.0
/* ship: see the header. This file has the streams, their rounds and their threads. */
#include "ship_impl.h"

#include "archive_text.h"
#include "report.h"
#include "shards.h"
#include "thread.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A round that failed is tried again after the interval, then later and later up to this. */
#define RETRY_MAX (60 * NSEC_PER_SEC)
#define EPOCH_MAX_AGE (24 * 3600 * NSEC_PER_SEC)
#define LOOK (50 * NSEC_PER_MSEC) /* how often who waits looks whether it is interrupted */

/* ---- what becomes of a round ---- */

/* Notes the sentence. True: it is another one than before. */
static bool note_why(struct stream *s, enum ship_state state, const char *why)
{
    MUTEX_GUARD(&s->stats_lock);
    bool fresh = s->stats.state != state || strcmp(s->stats.why, why) != 0;

    s->stats.state = state;
    snprintf(s->stats.why, sizeof s->stats.why, "%s", why);
    cond_broadcast(&s->advanced);
    return fresh;
}

int ship_fail(struct stream *s, int err, const char *fmt, ...)
{
    char what[SHARD_WHY], why[SHARD_WHY];
    va_list ap;

    if (err == -EKEYREVOKED || err == -ESHUTDOWN || s->failed)
        return err;
    s->failed = true;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    snprintf(why, sizeof why, "%.180s (%.70s)", what,
             err == -EHOSTUNREACH ? "it is not there, or does not answer" : strerror(-err));
    if (note_why(s, SHIP_FAILING, why))
        report(REPORT_WARN, "archive %s: %s: that is tried again", s->stats.url, why);
    return err;
}

int ship_refuse(struct stream *s, const char *fmt, ...)
{
    char why[SHARD_WHY];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    s->refused = true;
    shards_disallow(s->p->shards, s->archive);
    if (note_why(s, SHIP_REFUSED, why))
        report(
            REPORT_ALARM,
            "archive %s: %s: nothing more is shipped there, see `tally archive fork` and `remove`",
            s->stats.url, why);
    return -EKEYREVOKED;
}

bool ship_is_ending(struct stream *s)
{
    MUTEX_GUARD(&s->stats_lock);

    return s->stop && !s->last;
}

int ship_begin_asking(struct stream *s, struct shard **ret)
{
    return shards_get(s->p->shards, s->archive, SHARDS_READ, ret, NULL);
}

int ship_end_asking(struct stream *s, int err)
{
    err = err == -EKEYREVOKED ? err : shards_said(s->p->shards, s->archive, err);
    shards_put_back(s->p->shards, s->archive);
    return err;
}

/* ---- a round ---- */

/* The archive has everything up to the change `seq`. */
static void note_advance(struct stream *s, uint64_t seq)
{
    MUTEX_GUARD(&s->stats_lock);

    s->stats.seq = seq;
    s->stats.time = now(s->p);
    s->stats.behind = false;
    s->stats.state = SHIP_OK;
    s->stats.why[0] = '\0';
    s->failures = 0;
    cond_broadcast(&s->advanced);
}

static void note_behind(struct stream *s)
{
    MUTEX_GUARD(&s->stats_lock);

    s->stats.behind = true;
}

/* Makes and puts what was cut, and notes that. */
static int ship_cut_points(struct stream *s)
{
    int err = s->made ? 0 : ship_contents(s);

    if (err == 0 && !s->made)
        err = ship_make(s);
    if (err == 0)
        err = ship_put(s);
    return err == 0 ? ship_note(s) : err;
}

/* Of the last epoch that has segments all are kept (chain.h). So that a long mount does not keep
 * all that it ships, it begins a new epoch now and then, as a new mount would; only when something
 * has changed, since nothing is asked while nothing changes. */
static bool is_epoch_old(struct stream *s)
{
    return s->joined && !s->made && !s->unnoted && !ship_has_cut(s) && s->chain.serial > 0 &&
           now(s->p) - s->chain.who.time >= EPOCH_MAX_AGE && atomic_load(&s->p->seq) != s->looked;
}

/* Joins, if that is not done, and finishes what an earlier round has begun. */
static int catch_up(struct stream *s)
{
    int err;

    if (is_epoch_old(s))
        ship_next_epoch(s);
    err = s->refused ? -EKEYREVOKED : s->joined ? 0 : ship_join(s);

    if (err == 0 && s->unnoted)
        err = ship_note(s);
    if (err == 0) /* while a segment is not noted its points are those that the archive has */
        ship_drop_dead(s);
    if (err == 0 && ship_has_cut(s)) {
        note_behind(s);
        err = ship_cut_points(s);
    }
    return err;
}

/* One round. After it the archive has what the store was at its begin, unless it had to end. */
static int ship_round(struct stream *s)
{
    uint64_t seq;
    int err;

    mutex_held(&s->lock);
    if (s->refused)
        return -EKEYREVOKED;
    s->failed = false;
    err = catch_up(s);
    if (err == 0)
        err = ship_retry_lost(s);
    seq = atomic_load(&s->p->seq);
    do {
        if (err == 0)
            err = ship_cut(s);
        if (err == 0 && ship_has_cut(s)) {
            note_behind(s);
            err = ship_cut_points(s);
        }
    } while (err == 0 && s->deferred && !ship_is_ending(s));
    if (err == 0 && !s->deferred) /* of the changes up to `looked` nothing is to be shipped */
        note_advance(s, s->looked > seq ? s->looked : seq);
    return err;
}

int ship_round_held(struct stream *s)
{
    int err = ship_round(s);

    if (err == 0) {
        ship_end_backlog(s);
        return 0;
    }
    ship_bound_backlog(s);
    MUTEX_GUARD(&s->stats_lock);
    s->failures++;
    return err;
}

static int round_of(struct stream *s)
{
    MUTEX_GUARD(&s->lock);

    return ship_round_held(s);
}

/* ---- threads ---- */

/* How long the thread rests before its next round. */
static int64_t rest(struct stream *s)
{
    int64_t ns = settings_get(&s->p->settings, SET_ARCHIVE_INTERVAL);

    for (unsigned i = 0; i < s->failures && ns < RETRY_MAX; i++)
        ns *= 2;
    return s->failures && ns > RETRY_MAX ? RETRY_MAX : ns;
}

/* Waits for the next round. False: the thread is to end. The setting is read again each second: who
 * changes it holds locks that come after those of this room, and wakes nobody. */
static bool await_round(struct stream *s)
{
    MUTEX_GUARD(&s->stats_lock);
    int64_t begin = ticks(s->p), left;

    while (!s->stop && !s->kicked && (left = begin + rest(s) - ticks(s->p)) > 0)
        (void)cond_wait_for(&s->wake, &s->stats_lock, left < NSEC_PER_SEC ? left : NSEC_PER_SEC);
    s->kicked = false;
    return !s->stop;
}

static bool has_reason(struct stream *s)
{
    return !s->refused && (!s->joined || s->made || s->unnoted ||
                           atomic_load(&s->p->seq) != s->looked || ship_retry_is_due(s));
}

static void *stream_main(void *arg)
{
    struct stream *s = arg;

    do
        if (has_reason(s))
            (void)round_of(s);
    while (await_round(s));
    return NULL;
}

static int start_one(struct stream *s)
{
    int err = thread_start(&s->thread, stream_main, s);

    s->has_thread = err == 0;
    return err;
}

int ship_start(struct state *p)
{
    struct ship_of_store *ship = p->ship;
    int err = 0;
    WRITE_GUARD(&ship->lock);

    ship->running = true;
    for (size_t i = 0; i < ship->count && err == 0; i++)
        err = start_one(ship->v[i]);
    return err;
}

/* Ends the thread of one stream. What it has not shipped by then stays for the next mount. */
static void stop_one(struct stream *s, bool last)
{
    {
        MUTEX_GUARD(&s->stats_lock);
        s->stop = true;
        s->last = last;
        cond_broadcast(&s->wake);
        cond_broadcast(&s->advanced);
    }
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    s->has_thread = false;
}

/* Ships what is left, at the end of a mount. */
static void ship_rest(struct stream *s)
{
    int err = s->refused ? 0 : round_of(s);

    if (err < 0)
        report(REPORT_WARN,
               "archive %s lacks the last changes (%s). The next mount tries to ship them.",
               s->stats.url, strerror(-err));
}

void ship_stop(struct state *p, bool last)
{
    struct ship_of_store *ship = p->ship;
    WRITE_GUARD(&ship->lock);

    for (size_t i = 0; i < ship->count; i++) {
        stop_one(ship->v[i], last);
        if (last)
            ship_rest(ship->v[i]);
    }
    ship->running = false;
}

/* ---- the streams ---- */

static void destroy(struct stream *s)
{
    ship_discard(s);
    ship_forget(s);
    free(s->v);
    map64_release(&s->lost);
    map64_release(&s->told);
    cond_destroy(&s->wake);
    cond_destroy(&s->advanced);
    mutex_destroy(&s->lock);
    mutex_destroy(&s->stats_lock);
    free(s);
}

int ship_make_stream(struct state *p, const struct shards_info *info, struct stream **ret)
{
    struct ship_of_store *ship = p->ship;
    struct stream *s = ship->count < SHIP_MAX ? calloc(1, sizeof *s) : NULL;

    if (!s)
        return ship->count < SHIP_MAX ? -ENOMEM : -EMFILE;
    s->p = p;
    s->archive = info->number;
    s->lineage = info->lineage;
    s->gap = info->gap;
    s->stats = (struct ship_stats){.archive = info->number, .lineage = info->lineage};
    snprintf(s->stats.url, sizeof s->stats.url, "%s", info->url);
    mutex_init(&s->lock, "ship");
    mutex_init(&s->stats_lock, "ship stats");
    cond_init(&s->wake);
    cond_init(&s->advanced);
    ship->v[ship->count++] = s;
    atomic_store(&ship->any, true);
    *ret = s;
    return 0;
}

int ship_open(struct state *p)
{
    struct ship_of_store *ship = p->ship;
    struct shards_info info;
    struct stream *s;
    int err = 0;
    WRITE_GUARD(&ship->lock);

    for (unsigned at = 0; err == 0 && shards_next(p->shards, at, &info) == 0; at = info.number)
        if (info.ships)
            err = ship_make_stream(p, &info, &s);
    return err;
}

struct stream *ship_take_stream(struct state *p, uint16_t number)
{
    struct ship_of_store *ship = p->ship;

    for (size_t i = 0; i < ship->count; i++) {
        struct stream *s = ship->v[i];

        if (s->archive != number)
            continue;
        ship->count--;
        atomic_store(&ship->any, ship->count > 0);
        memmove(&ship->v[i], &ship->v[i + 1], (ship->count - i) * sizeof *ship->v);
        return s;
    }
    return NULL;
}

static void await_holders(struct stream *s)
{
    MUTEX_GUARD(&s->stats_lock);

    while (s->holders > 0)
        cond_wait(&s->advanced, &s->stats_lock);
}

void ship_end_stream(struct stream *s, bool last)
{
    stop_one(s, last);
    await_holders(s);
    destroy(s);
}

int ship_run_stream(struct state *p, struct stream *s)
{
    return p->ship->running ? start_one(s) : 0;
}

void ship_close(struct state *p)
{
    struct ship_of_store *ship = p->ship;
    WRITE_GUARD(&ship->lock);

    while (ship->count > 0)
        ship_end_stream(ship_take_stream(p, ship->v[0]->archive), false);
}

int ship_step(struct state *p)
{
    struct ship_of_store *ship = p->ship;
    int first = 0;
    READ_GUARD(&ship->lock);

    for (size_t i = 0; i < ship->count; i++) {
        int err = round_of(ship->v[i]);

        if (first == 0)
            first = err;
    }
    return first;
}

/* ---- looking on ---- */

struct stream *ship_stream(struct state *p, uint16_t number)
{
    struct ship_of_store *ship = p->ship;

    for (size_t i = 0; i < ship->count; i++)
        if (ship->v[i]->archive == number)
            return ship->v[i];
    return NULL;
}

int ship_next(struct state *p, unsigned after, struct ship_stats *ret)
{
    struct ship_of_store *ship = p->ship;
    struct stream *best = NULL;
    READ_GUARD(&ship->lock);

    for (size_t i = 0; i < ship->count; i++) {
        struct stream *s = ship->v[i];

        if (s->archive > after && (!best || s->archive < best->archive))
            best = s;
    }
    if (!best)
        return -ENOENT;
    MUTEX_GUARD(&best->stats_lock);
    *ret = best->stats;
    return 0;
}

int ship_find(struct state *p, const char *url, bool ships, uint16_t *ret_number)
{
    char normal[SHARD_URL_MAX + 1], why[SHARD_WHY];
    struct shards_info info;
    unsigned found = 0;

    if (*url && shard_normal_url(url, normal, why) < 0)
        return -ENOENT;
    for (unsigned at = 0; shards_next(p->shards, at, &info) == 0; at = info.number)
        if (info.archive && (info.ships || !ships) && (!*url || strcmp(info.url, normal) == 0)) {
            *ret_number = info.number;
            found++;
        }
    return found == 0 ? -ENOENT : found > 1 ? -EINVAL : 0;
}

int ship_is_writer(struct state *p, uint16_t number, struct shard *shard)
{
    char name[ARCHIVE_NAME_MAX + 1];
    struct ship_stats s;
    uint64_t size;
    int err;

    if (ship_next(p, number - 1u, &s) < 0 || s.archive != number || s.epoch == 0 ||
        s.state == SHIP_REFUSED)
        return 0;
    archive_epoch_name(s.lineage, s.epoch + 1, name);
    err = shard_stat(shard, name, &size);
    return err == -ENOENT ? 1 : err < 0 ? err : 0;
}

void ship_reading(struct state *p, uint16_t number, int change)
{
    atomic_fetch_add(&p->ship->readers[number], (uint16_t)change);
}

void ship_kick(struct state *p)
{
    struct ship_of_store *ship = p->ship;
    READ_GUARD(&ship->lock);

    for (size_t i = 0; i < ship->count; i++) {
        MUTEX_GUARD(&ship->v[i]->stats_lock);
        ship->v[i]->kicked = true;
        cond_broadcast(&ship->v[i]->wake);
    }
}

/* Looks once. -EAGAIN: not yet; it waited for a moment. */
static int wait_a_little(struct state *p, uint16_t number, uint64_t seq)
{
    struct ship_of_store *ship = p->ship;
    READ_GUARD(&ship->lock);
    struct stream *s = ship_stream(p, number);

    if (!s)
        return -ENXIO;
    MUTEX_GUARD(&s->stats_lock);
    if (s->stats.seq >= seq)
        return 0;
    if (s->stats.state == SHIP_REFUSED)
        return -EKEYREVOKED;
    (void)cond_wait_for(&s->advanced, &s->stats_lock, LOOK);
    return s->stats.seq >= seq ? 0 : -EAGAIN;
}

int ship_wait(struct state *p, uint16_t number, uint64_t seq, int64_t timeout,
              const _Atomic bool *interrupted)
{
    int64_t begin = ticks(p);
    int err;

    while ((err = wait_a_little(p, number, seq)) == -EAGAIN) {
        if (atomic_load(&p->closing))
            return -ESHUTDOWN;
        if (interrupted && atomic_load(interrupted))
            return -EINTR;
        if (timeout >= 0 && ticks(p) - begin >= timeout)
            return -ETIMEDOUT;
    }
    return err;
}

bool ship_has_any(struct state *p)
{
    return atomic_load(&p->ship->any);
}

int ship_wait_all(struct state *p, uint64_t seq, int64_t timeout, const _Atomic bool *interrupted)
{
    struct ship_stats s;
    int err = 0;

    for (unsigned at = 0; err == 0 && ship_next(p, at, &s) == 0; at = s.archive) {
        err = ship_wait(p, s.archive, seq, timeout, interrupted);
        err = err == -ENXIO ? 0 : err; /* it was removed meanwhile */
    }
    return err == -EKEYREVOKED || err == -ESHUTDOWN ? -EIO : err;
}
