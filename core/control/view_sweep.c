// SPDX-License-Identifier: Apache-2.0
/* view_sweep: see the header. */
#include "view_sweep.h"
#include "command.h"
#include "io.h"
#include "json_text.h"
#include "state.h"
#include "shards.h"
#include "strbuf.h"
#include "sweep.h"
#include "view.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))
/* bytes of a listing that are written at once */
#define SPOOL_PIECE (256 * 1024)

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
    strbuf_adds(out, s->draining ? " draining=1 url=" : " url=");
    command_add_word(out, s->url);
    strbuf_adds(out, "\n");
    if (*s->why)
        strbuf_addf(out, "            %s\n", s->why);
    if (f->dead && s->state != SHARDS_OK)
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

/* ---- stats.json and metrics ---- */

struct number {
    const char *key;
    bool counter; /* only grows */
    uint64_t value;
};

#define NUMBERS 15
static void list_numbers(struct state *p, struct number ret[static NUMBERS])
{
    struct sweep_status s;

    sweep_get(p, &s);
    const struct number numbers[NUMBERS] = {
        {"last_seconds", false, (uint64_t)(s.ended / NSEC_PER_SEC)},
        {"running", false, s.running},
        {"damaged", false, s.damage != 0},
        {"last_checked", false, s.last.checked},
        {"last_purged", false, s.last.purged},
        {"last_kept", false, s.last.kept},
        {"last_inconclusive", false, s.last.inconclusive},
        {"last_lost", false, s.last.lost},
        {"runs", true, s.sweeps},
        {"checked", true, s.total.checked + (s.running ? s.now.checked : 0)},
        {"purged", true, s.total.purged},
        {"kept", true, s.total.kept},
        {"inconclusive", true, s.total.inconclusive},
        {"lost", true, s.total.lost},
        {"ghosts_purged", true, s.purged},
    };

    memcpy(ret, numbers, sizeof numbers);
}

static int add_number(json_t *o, const char *key, uint64_t value)
{
    return json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* A count of a shard, or null if it is unknown. */
static json_t *count_json(const struct shard_facts *f, uint64_t count)
{
    return f->unknown ? json_null() : json_integer((json_int_t)count);
}

/* The object of one shard; NULL: no memory. */
static json_t *shard_json(const struct shard_facts *f)
{
    json_t *o = json_object();
    int failed = add_number(o, "shard", f->info.number);

    failed |= json_object_set_new(o, "url", json_text(f->info.url));
    failed |= json_object_set_new(o, "state", json_string(shards_state_name(f->info.state)));
    failed |= add_number(o, "since_seconds", (uint64_t)(f->info.since / NSEC_PER_SEC));
    failed |= json_object_set_new(o, "why", json_text(f->info.why));
    failed |= json_object_set_new(o, "draining", json_boolean(f->info.draining));
    failed |= json_object_set_new(o, "ghosts", count_json(f, f->ghosts));
    failed |= json_object_set_new(o, "bytes", count_json(f, f->bytes));
    failed |= add_number(o, "to_be_deleted", f->dead);
    failed |= add_number(o, "disk_bytes", f->info.space.size);
    failed |= add_number(o, "avail_bytes", f->info.space.avail);
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}

int view_sweep_json(struct state *p, json_t *o)
{
    struct number numbers[NUMBERS];
    json_t *shards = json_array(), *sweeps = json_object();
    struct shard_facts f;
    int failed = 0;

    for (unsigned at = 0; next_shard(p, at, &f); at = f.info.number)
        failed |= json_array_append_new(shards, shard_json(&f));
    list_numbers(p, numbers);
    for (size_t i = 0; i < NUMBERS; i++)
        failed |= add_number(sweeps, numbers[i].key, numbers[i].value);
    failed |= add_number(o, "ghosts", refs_ghosts(p->refs));
    failed |= add_number(o, "ghosts_lost", sweep_lost_count(p));
    failed |= json_object_set_new(o, "shards", shards);
    return failed | json_object_set_new(o, "sweep", sweeps);
}

enum { SHARD_OK, SHARD_GHOSTS, SHARD_BYTES, SHARD_DEAD, SHARD_DISK, SHARD_AVAIL, SHARD_NUMBERS };
static const char *const shard_numbers[SHARD_NUMBERS] = {
    "ok", "ghosts", "bytes", "to_be_deleted", "disk_bytes", "avail_bytes"};

static uint64_t number_of(const struct shard_facts *f, unsigned which)
{
    const uint64_t v[SHARD_NUMBERS] = {
        f->info.state == SHARDS_OK || f->info.state == SHARDS_NEW, f->ghosts, f->bytes, f->dead,
        f->info.space.size, f->info.space.avail};

    return v[which];
}

/* Appends a number of each shard. All are unknown at once, so a damaged table leaves no metric. */
static void add_shard_metric(struct state *p, unsigned which, struct strbuf *out)
{
    struct shard_facts f;

    if (!next_shard(p, 0, &f) || (f.unknown && (which == SHARD_GHOSTS || which == SHARD_BYTES)))
        return;
    strbuf_addf(out, "# TYPE tallyfs_shard_%s gauge\n", shard_numbers[which]);
    for (unsigned at = 0; next_shard(p, at, &f); at = f.info.number)
        strbuf_addf(out, "tallyfs_shard_%s{shard=\"%u\"} %llu\n", shard_numbers[which],
                    f.info.number, U(number_of(&f, which)));
}

void view_sweep_metrics(struct state *p, struct strbuf *out)
{
    struct number numbers[NUMBERS];

    strbuf_addf(out, "# TYPE tallyfs_ghosts gauge\ntallyfs_ghosts %llu\n", U(refs_ghosts(p->refs)));
    strbuf_addf(out, "# TYPE tallyfs_ghosts_lost gauge\ntallyfs_ghosts_lost %llu\n",
                U(sweep_lost_count(p)));
    for (unsigned i = 0; i < SHARD_NUMBERS; i++)
        add_shard_metric(p, i, out);
    list_numbers(p, numbers);
    for (size_t i = 0; i < NUMBERS; i++) {
        const char *end = numbers[i].counter ? "_total" : "";
        strbuf_addf(out, "# TYPE tallyfs_sweep_%s%s %s\n", numbers[i].key, end,
                    *end ? "counter" : "gauge");
        strbuf_addf(out, "tallyfs_sweep_%s%s %llu\n", numbers[i].key, end, U(numbers[i].value));
    }
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

static int spool(int fd, struct strbuf *text, uint64_t *off)
{
    int err = strbuf_error(text);

    if (err == 0)
        err = io_pwrite(fd, text->s, text->len, *off);
    *off += text->len;
    strbuf_clear(text);
    return err;
}

int view_ghosts(struct state *p, int fd)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    uint64_t number = 0, off = 0;
    struct entry e;
    int err;

    while ((err = refs_next_ghost(p->refs, 0, number, &number, &e)) == 0) {
        if (e.count > 0) /* a ghost with count 0 is being deleted */
            add_ghost(p, number, &e, &text);
        if (text.len >= SPOOL_PIECE && (err = spool(fd, &text, &off)) < 0)
            return err;
    }
    return err == -ENOENT ? spool(fd, &text, &off) : err;
}
