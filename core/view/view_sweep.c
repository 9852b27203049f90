// SPDX-License-Identifier: Apache-2.0
/* view_sweep: see the header. */
#include "view_sweep.h"
#include "command.h"
#include "json_text.h"
#include "state.h"
#include "cache.h"
#include "shards.h"
#include "strbuf.h"
#include "sweep.h"
#include "view.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* ---- one shard ---- */

struct shard_facts {
    struct shards_info info;
    bool unknown; /* `ghosts` and `bytes` are: what counts them is damaged */
    uint64_t ghosts, bytes, dead;
};

/* The facts of the first shard above number `after`. False: there is none. */
static bool next_shard(struct state *p, unsigned after, struct shard_facts *ret)
{
    *ret = (struct shard_facts){0};
    if (shards_next(p->shards, after, &ret->info) < 0)
        return false;
    ret->unknown = refs_ghosts_on(p->refs, ret->info.number, &ret->ghosts, &ret->bytes) < 0;
    ret->dead = refs_dead_ghosts_on(p->refs, ret->info.number);
    return true;
}

/* ---- status ---- */

/* Appends the line of one shard, with the reason if it cannot be used. */
static void add_shard(const struct shard_facts *f, const char *head, struct strbuf *out)
{
    const struct shards_info *s = &f->info;

    strbuf_addf(out, "%sshard=%u state=%s since=", head, s->number, shards_state_name(s->state));
    strbuf_add_time(out, s->since);
    if (f->unknown)
        strbuf_adds(out, " ghosts=unknown bytes=unknown");
    else
        strbuf_addf(out, " ghosts=%llu bytes=%llu", U(f->ghosts), U(f->bytes));
    strbuf_addf(out, " to_be_deleted=%llu", U(f->dead));
    if (s->space.size)
        strbuf_addf(out, " disk=%llu avail=%llu", U(s->space.size), U(s->space.avail));
    if (s->archive)
        strbuf_addf(out, " archive=yes lineage=%u", s->lineage);
    strbuf_adds(out, s->draining ? " draining=1 url=" : " url=");
    command_add_word(out, s->url);
    strbuf_adds(out, "\n");
    if (*s->why)
        strbuf_addf(out, "            %s\n", s->why);
    if (f->dead && s->state != SHARDS_OK && !s->archive) /* in an archive nothing is deleted */
        strbuf_addf(out, "            %llu deletions wait for shard %u\n", U(f->dead), s->number);
}

static void add_report(const struct ghost_report *r, struct strbuf *out)
{
    strbuf_addf(out, " checked=%llu purged=%llu kept=%llu inconclusive=%llu lost=%llu\n",
                U(r->checked), U(r->purged), U(r->kept), U(r->inconclusive), U(r->lost));
}

/* Appends how many objects are lost, and the first of them. */
static void add_lost(const struct sweep_status *s, struct strbuf *out)
{
    char hex[ID_HEX + 1];

    strbuf_addf(out,
                "            LOST %llu: their shards do not have their bytes any more; `tally why "
                "ID` tells who uses one\n",
                U(s->lost));
    for (size_t i = 0; i < s->shown; i++) {
        id_to_hex(&s->some[i].id, hex);
        strbuf_addf(out, "            object=%s shard=%u since=", hex, s->some[i].shard);
        strbuf_add_time(out, s->some[i].since);
        strbuf_adds(out, "\n");
    }
    if (s->lost > s->shown)
        strbuf_addf(out, "            and %llu more\n", U(s->lost - s->shown));
}

/* Appends the ghosts, the last sweep, the one that runs, and the totals. */
static void add_sweeps(struct state *p, const struct sweep_status *s, struct strbuf *out)
{
    strbuf_addf(out, "ghosts      %llu purged=%llu\n", U(refs_ghosts(p->refs)), U(s->purged));
    strbuf_adds(out, "sweep       last=");
    strbuf_add_time(out, s->ended);
    add_report(&s->last, out);
    if (s->running) {
        strbuf_adds(out, "            running:");
        add_report(&s->now, out);
    }
    strbuf_addf(out, "            all: sweeps=%llu", U(s->sweeps));
    add_report(&s->total, out);
    if (s->damage)
        strbuf_adds(out, "            what sweeps remembered is damaged: no sweep runs; "
                         "`tally check --repair` begins it anew\n");
    if (s->lost)
        add_lost(s, out);
}

/* Appends the line of what is kept nearby, once something was read through the cache. */
static void add_cache(struct state *p, struct strbuf *out)
{
    struct cache_stats s;

    if (!p->cache)
        return;
    cache_get_stats(p->cache, &s);
    if (s.hits || s.misses)
        strbuf_addf(out,
                    "            cache: kept_bytes=%llu limit_bytes=%llu hits=%llu misses=%llu "
                    "damaged_blocks=%llu not_kept=%llu\n",
                    U(s.bytes), U(s.limit), U(s.hits), U(s.misses), U(s.damaged), U(s.failed));
}

void view_sweep_status(struct state *p, struct strbuf *out)
{
    struct sweep_status s;
    struct shard_facts f;
    bool any = false;

    sweep_get(p, &s);
    for (unsigned at = 0; next_shard(p, at, &f); at = f.info.number) {
        add_shard(&f, any ? "            " : "shards      ", out);
        any = true;
    }
    if (any)
        add_cache(p, out);
    if (any || s.sweeps || s.damage || s.lost || refs_ghosts(p->refs))
        add_sweeps(p, &s, out);
}

/* Is there a shard with objects that cannot be read now? */
static bool needed_shard_is_unreachable(struct state *p)
{
    struct shard_facts f;

    for (unsigned at = 0; next_shard(p, at, &f); at = f.info.number)
        if ((f.info.state == SHARDS_UNREACHABLE || f.info.state == SHARDS_WRONG) && f.ghosts > 0)
            return true;
    return false;
}

const char *view_sweep_trouble(struct state *p)
{
    struct sweep_status s;

    sweep_get(p, &s);
    if (s.lost)
        return "a shard has lost objects that are needed";
    if (needed_shard_is_unreachable(p))
        return "a shard that has objects cannot be read: files on it give errors";
    return s.damage ? "what sweeps remembered is damaged" : NULL;
}

void view_traffic(const struct shard_traffic *t, struct strbuf *out)
{
    for (int i = 0; i < SHARD_REQUESTS; i++)
        strbuf_addf(out, " %ss=%llu", shard_request_name((enum shard_request)i), U(t->requests[i]));
    strbuf_addf(out, " sent=%llu received=%llu", U(t->sent), U(t->received));
}

/* ---- stats.json and metrics ---- */

/* A count of a shard, or null if it is unknown. */
static json_t *count_json(const struct shard_facts *f, uint64_t count)
{
    return f->unknown ? json_null() : json_integer((json_int_t)count);
}

/* The requests of one shard by their kinds; NULL: no memory. */
static json_t *requests_json(const struct shards_info *s)
{
    json_t *requests = json_object();

    for (int i = 0; requests && i < SHARD_REQUESTS; i++)
        if (json_object_set_new(requests, shard_request_name((enum shard_request)i),
                                json_integer((json_int_t)s->traffic.requests[i])) < 0) {
            json_decref(requests);
            return NULL;
        }
    return requests;
}

/* The object of one shard; NULL: no memory. */
static json_t *shard_json(const struct shard_facts *f)
{
    const struct shards_info *s = &f->info;

    return json_pack(
        "{s:I, s:o, s:s, s:I, s:o, s:b, s:b, s:o, s:o, s:I, s:I, s:I, s:o, s:I, s:I}", "shard",
        (json_int_t)s->number, "url", json_text(s->url), "state", shards_state_name(s->state),
        "since_seconds", (json_int_t)(s->since / NSEC_PER_SEC), "why", json_text(s->why),
        "draining", s->draining, "archive", s->archive, "ghosts", count_json(f, f->ghosts), "bytes",
        count_json(f, f->bytes), "to_be_deleted", (json_int_t)f->dead, "disk_bytes",
        (json_int_t)s->space.size, "avail_bytes", (json_int_t)s->space.avail, "requests",
        requests_json(s), "sent_bytes", (json_int_t)s->traffic.sent, "received_bytes",
        (json_int_t)s->traffic.received);
}

/* In JSON an array with an object for each shard. */
static void add_shards(struct state *p, struct view_numbers *n)
{
    json_t *shards = json_array();
    struct shard_facts f;

    for (unsigned at = 0; next_shard(p, at, &f); at = f.info.number)
        *n->failed |= json_array_append_new(shards, shard_json(&f)) < 0;
    view_add_json(n, "shards", shards);
}

enum { SHARD_OK, SHARD_GHOSTS, SHARD_BYTES, SHARD_DEAD, SHARD_DISK, SHARD_AVAIL, SHARD_NUMBERS };
static const struct view_number shard_numbers[SHARD_NUMBERS] = {
    [SHARD_OK] = {"ok", VIEW_GAUGE, 0, "1: the shard answers, and is the right one."},
    [SHARD_GHOSTS] = {"ghosts", VIEW_GAUGE, 0, "Objects whose bytes are on the shard."},
    [SHARD_BYTES] = {"bytes", VIEW_GAUGE, 0, "Bytes of objects that are on the shard."},
    [SHARD_DEAD] = {"to_be_deleted", VIEW_GAUGE, 0, "Objects that are to be deleted there."},
    [SHARD_DISK] = {"disk_bytes", VIEW_GAUGE, 0, "Size of the disk of the shard; 0: not known."},
    [SHARD_AVAIL] = {"avail_bytes", VIEW_GAUGE, 0, "Free bytes of the disk of the shard."},
};

static uint64_t number_of(const struct shard_facts *f, unsigned which)
{
    const uint64_t v[SHARD_NUMBERS] = {f->info.state == SHARDS_OK || f->info.state == SHARDS_NEW,
                                       f->ghosts,
                                       f->bytes,
                                       f->dead,
                                       f->info.space.size,
                                       f->info.space.avail};

    return v[which];
}

/* Appends a number of each shard. All are unknown at once, so a damaged table leaves no metric. */
static void add_shard_metric(struct state *p, unsigned which, const struct view_numbers *n)
{
    struct shard_facts f;

    if (!next_shard(p, 0, &f) || (f.unknown && (which == SHARD_GHOSTS || which == SHARD_BYTES)))
        return;
    view_metric_head(n, &shard_numbers[which]);
    for (unsigned at = 0; next_shard(p, at, &f); at = f.info.number)
        strbuf_addf(n->metrics, "tallyfs_shard_%s{shard=\"%u\"} %llu\n", shard_numbers[which].key,
                    f.info.number, U(number_of(&f, which)));
}

/* Appends the requests of each shard by their kinds. */
static void add_request_metric(struct state *p, const struct view_numbers *n)
{
    const struct view_number head = {"requests", VIEW_COUNTER, 0,
                                     "Requests to the shard, by kind."};
    struct shard_facts f;

    if (!next_shard(p, 0, &f))
        return;
    view_metric_head(n, &head);
    for (unsigned at = 0; next_shard(p, at, &f); at = f.info.number)
        for (int i = 0; i < SHARD_REQUESTS; i++)
            strbuf_addf(n->metrics, "tallyfs_shard_requests_total{shard=\"%u\",kind=\"%s\"} %llu\n",
                        f.info.number, shard_request_name((enum shard_request)i),
                        U(f.info.traffic.requests[i]));
}

/* Appends the bytes that went to each shard, and those that came from there. */
static void add_traffic_metric(struct state *p, const struct view_numbers *n)
{
    const struct view_number head = {"transferred_bytes", VIEW_COUNTER, 0,
                                     "Bytes that went to the shard, and that came from there."};
    struct shard_facts f;

    if (!next_shard(p, 0, &f))
        return;
    view_metric_head(n, &head);
    for (unsigned at = 0; next_shard(p, at, &f); at = f.info.number)
        strbuf_addf(n->metrics,
                    "tallyfs_shard_transferred_bytes_total{shard=\"%u\",kind=\"sent\"} %llu\n"
                    "tallyfs_shard_transferred_bytes_total{shard=\"%u\",kind=\"received\"} %llu\n",
                    f.info.number, U(f.info.traffic.sent), f.info.number,
                    U(f.info.traffic.received));
}

/* Appends what the metrics have of shards. */
static void add_shard_metrics(struct state *p, const struct view_numbers *n)
{
    const struct view_numbers shard = {.metrics = n->metrics, .prefix = "shard_"};

    for (unsigned i = 0; i < SHARD_NUMBERS; i++)
        add_shard_metric(p, i, &shard);
    add_request_metric(p, &shard);
    add_traffic_metric(p, &shard);
}

/* Adds the numbers of the cache of shards: zeros if the store has none. */
static void add_cache_numbers(struct state *p, struct view_numbers *n)
{
    struct view_numbers cache = view_add_group(n, "shard_cache", "shard_cache_");
    struct cache_stats s = {0};

    if (p->cache)
        cache_get_stats(p->cache, &s);
    const struct view_number numbers[] = {
        {"bytes", VIEW_GAUGE, s.bytes, "Bytes that the cache has."},
        {"limit_bytes", VIEW_GAUGE, s.limit, "Bytes that the cache may have."},
        {"hits", VIEW_COUNTER, s.hits, "Blocks that were read from the cache."},
        {"misses", VIEW_COUNTER, s.misses, "Blocks that had to be read from their shard."},
        {"damaged", VIEW_COUNTER, s.damaged, "Blocks of the cache that were damaged."},
        {"not_kept", VIEW_COUNTER, s.failed, "Blocks that could not be written to the cache."},
    };

    view_add_numbers(&cache, numbers, sizeof numbers / sizeof *numbers);
}

void view_sweep_numbers(struct state *p, struct view_numbers *n)
{
    const struct view_number ghosts[] = {
        {"ghosts", VIEW_GAUGE, refs_ghosts(p->refs), "Objects whose bytes are on another shard."},
        {"ghosts_lost", VIEW_GAUGE, sweep_lost_count(p),
         "Objects that their shard does not have any more."}};
    struct view_numbers sweep;
    struct sweep_status s;

    sweep_get(p, &s);
    const struct view_number numbers[] = {
        {"last_seconds", VIEW_TIME, (uint64_t)(s.ended / NSEC_PER_SEC),
         "When the last sweep ended, since the epoch; 0: never."},
        {"running", VIEW_GAUGE, s.running, "1: a sweep runs."},
        {"damaged", VIEW_GAUGE, s.damage != 0, "1: what sweeps remembered is damaged."},
        {"last_checked", VIEW_GAUGE, s.last.checked, "Objects that the last sweep looked for."},
        {"last_purged", VIEW_GAUGE, s.last.purged,
         "Objects that the last sweep deleted on their shard, since nothing needs them."},
        {"last_kept", VIEW_GAUGE, s.last.kept, "Objects that the last sweep found."},
        {"last_inconclusive", VIEW_GAUGE, s.last.inconclusive,
         "Objects of which the last sweep could not say."},
        {"last_lost", VIEW_GAUGE, s.last.lost,
         "Objects that their shard did not have, as the last sweep found."},
        {"runs", VIEW_COUNTER, s.sweeps, "Sweeps."},
        {"checked", VIEW_COUNTER, s.total.checked + (s.running ? s.now.checked : 0),
         "Objects that sweeps looked for."},
        {"purged", VIEW_COUNTER, s.total.purged, "Objects that sweeps deleted on their shard."},
        {"kept", VIEW_COUNTER, s.total.kept, "Objects that sweeps found."},
        {"inconclusive", VIEW_COUNTER, s.total.inconclusive,
         "Objects of which sweeps could not say."},
        {"lost", VIEW_COUNTER, s.total.lost, "Objects that their shard did not have."},
        {"ghosts_purged", VIEW_COUNTER, s.purged,
         "Objects that were deleted on other shards, also without a sweep."},
    };

    view_add_numbers(n, ghosts, 2);
    if (n->json)
        add_shards(p, n);
    if (!n->json)
        add_shard_metrics(p, n);
    add_cache_numbers(p, n);
    sweep = view_add_group(n, "sweep", "sweep_");
    view_add_numbers(&sweep, numbers, sizeof numbers / sizeof *numbers);
}

/* ---- the ghosts ---- */

static void add_ghost(struct state *p, uint64_t number, const struct entry *e, struct strbuf *out)
{
    char hex[ID_HEX + 1];

    id_to_hex(&e->id, hex);
    strbuf_addf(out, "object=%s shard=%u refs=%u size=%llu created=", hex, e->shard, e->count,
                U(e->size));
    strbuf_add_time(out, (int64_t)e->created * NSEC_PER_MSEC);
    strbuf_adds(out, sweep_is_lost(p, number) ? " lost=1\n" : "\n");
}

int view_ghosts(struct state *p, FILE *out)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    struct refs_ghosts_walk w = {.refs = p->refs};
    struct entry e;
    int err;

    while ((err = refs_next_ghost(&w, &e)) == 0) {
        strbuf_clear(&line);
        if (e.count > 0) /* a ghost with count 0 is being deleted */
            add_ghost(p, w.number, &e, &line);
        if (strbuf_error(&line) < 0 || fputs(line.s, out) < 0)
            return strbuf_error(&line) < 0 ? -ENOMEM : -errno;
    }
    if (err != -ENOENT)
        return err;
    return fflush(out) == 0 ? 0 : -errno;
}
