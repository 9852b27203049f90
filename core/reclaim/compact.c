// SPDX-License-Identifier: Apache-2.0
/*
 * compact: rewrites packs of which little is alive, one after the other:
 *
 *     scan      for each sound record of the pack: does the entry of its id name this very place?
 *     move      append it to the open pack, name the new place, let the old one join the dying
 *     commit    the new places; their bytes are synced before, as for all that is sealed
 *     reclaim   count the old places out of the pack, and delete it with the last of them
 *
 * A move works like healing: interrupted anywhere, either commit names bytes that exist. A record
 * is read once and checked, and the checked bytes are what is written. A damaged record stays where
 * it is, and so does its pack. Readers that have an old place find the new one (objects_read).
 * Nothing is written to the log: until the commit everything is where the last commit has it.
 *
 * In a pool the packs of other nodes are looked at as well (compact_pool.c), and then those on
 * other shards (compact_shards.c).
 *
 * Limits: one record in memory and one pack in progress. It waits for memory and room as any writer
 * does. It runs as a job, with idle I/O priority.
 */
#include "array.h"
#include "compact_impl.h"
#include "compression.h"
#include "durability.h"
#include "flush.h"
#include "io.h"
#include "job.h"
#include "shards.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))
#define DEAD_PART 20        /* a 20th of all bytes may be dead */
#define THROTTLE_EVERY 256u /* records between two waits for memory and room */
#define VAIN_MAX 10         /* runs in vain, each of which doubles the time to the next run */

/* ---- one record ---- */

/* Moves one record of `number`, whose bytes are `data`, from `from` to another place. */
static int compact_move(struct compaction *c, uint64_t number, const struct entry *from,
                        const void *data)
{
    struct state *p = c->p;
    struct entry place;
    READ_GUARD(&p->freeze_lock);
    int err = compact_adopt(c, from, data, &place);

    if (err == -ENOENT) {
        err = objects_append(p->objects, from, data, compression_to_copy(p, from), &place);
        c->r->bytes += err == 0 ? entry_payload(&place) : 0;
    }
    if (err < 0)
        return err;
    err = refs_relocate(p->refs, number, from, &place);
    if (err < 0) {
        (void)refs_reclaim_place(p->refs, &place);
        return err == -ESTALE || err == -ENOENT ? 0 : err; /* healed or collected meanwhile */
    }
    c->r->records++;
    /* after an error the old place stays counted until a GC cycle */
    return refs_reclaim_place(p->refs, from);
}

bool compact_is_cancelled(const struct compaction *c)
{
    return atomic_load(&c->p->closing) || (c->job && atomic_load(&c->job->cancel));
}

/* Called for each record. Every THROTTLE_EVERY records it shows progress and waits for memory and
 * room. */
static int throttle(struct compaction *c)
{
    if (compact_is_cancelled(c))
        return -ECANCELED;
    if (++c->records % THROTTLE_EVERY)
        return 0;
    if (c->job) {
        job_progress(c->p, c->job, c->done, c->total);
        job_progress_bytes(c->p, c->job, c->done, c->total);
    }
    int err = flush_throttle(c->p);
    return err < 0 ? err : flush_room(c->p);
}

int compact_find(struct state *p, struct entry *at, uint64_t *ret_number)
{
    struct entry e;
    bool pending;
    int err = refs_find(p->refs, &at->id, ret_number, &e, &pending);

    if (err < 0) /* no entry has this id, or one further down its chain has */
        return err == -ENOENT || err == -EAGAIN ? 0 : err;
    if (entry_same_place(&e, at)) {
        at->stored = e.stored;
        return 1;
    }
    refs_unhold(p->refs, *ret_number);
    return 0;
}

/* Calls c->move for a scanned record if an entry names exactly its place, on the shard that it was
 * read from. */
static int visit_record(const struct id *id, const struct pack_place *at, const void *data,
                        uint32_t len, void *ctx)
{
    struct compaction *c = ctx;
    struct entry e = {.kind = ENTRY_PACK,
                      .id = *id,
                      .size = len,
                      .shard = c->shard,
                      .where = at->pack,
                      .offset = at->offset,
                      .stored = at->stored};
    uint64_t number;
    int err = throttle(c);

    c->done = c->at + at->offset;
    if (err == 0)
        err = compact_find(c->p, &e, &number);
    if (err <= 0)
        return err;
    err = c->move(c, number, &e, data);
    refs_unhold(c->p->refs, number);
    return err;
}

/* ---- one pack ---- */

int compact_scan(struct compaction *c, uint64_t pack)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;
    int err;

    pack_name(pack, name);
    err = disk_open(c->disk, name, DISK_READ, &f);
    if (err < 0)
        return err == -ENOENT ? 0 : err; /* its last records died, and it was deleted */
    err = packs_scan(f, pack, c->buf, visit_record, c);
    disk_file_close(f);
    /* a shard reads by name: the pack may be deleted between two reads */
    return err == -ENOENT ? 0 : err;
}

int compact_commit(struct compaction *c)
{
    int err = flush_now(c->p);

    (void)flush_reclaim_dead(c->p, SIZE_MAX);
    return err;
}

int compact_rewrite(struct compaction *c, const struct pack_info *k)
{
    /* room for both copies, until the old one is deleted */
    int end, err = flush_room_for(c->p, k->bytes - k->dead);

    if (err < 0)
        return err;
    c->move = compact_move;
    err = compact_scan(c, k->number);
    end = compact_commit(c); /* also after an error: without a commit both copies would stay */
    return err < 0 ? err : end;
}

void compact_count(struct compaction *c, const struct pack_info *k, uint64_t written)
{
    if (packs_is_known(c->p->packs, k->number) != 0)
        return;
    c->r->packs++;
    c->r->freed += k->bytes > written ? k->bytes - written : 0;
}

/* Rewrites one pack at home, and counts it if it was deleted. */
static int rewrite(struct compaction *c, const struct pack_info *k)
{
    uint64_t bytes = c->r->bytes;
    int err = compact_rewrite(c, k);

    if (err == 0)
        compact_count(c, k, c->r->bytes - bytes);
    return err;
}

/* ---- which ---- */

/* The pack with the largest dead part comes first. */
static int by_dead_part(const void *a, const void *b)
{
    const struct pack_info *x = a, *y = b;
    double p = (double)x->dead / (double)x->bytes;
    double q = (double)y->dead / (double)y->bytes;

    return p > q ? -1 : p < q;
}

bool compact_is_below(const struct pack_info *k, unsigned below)
{
    return k->dead && (k->bytes - k->dead) * 100 < k->bytes * below;
}

int compact_consider(struct compact_choice *l, const struct pack_info *k)
{
    l->file_bytes += k->bytes;
    l->dead += k->dead;
    if (k->dead == 0)
        return 0;
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->v[l->count++] = *k;
    return 0;
}

/* The next closed pack at home, or on a shard, that has something alive. One on a shard of which
 * nothing is alive waits for its deletion. */
static int next_pack(struct state *p, uint16_t shard, struct pack_info *k)
{
    int err;

    do
        err = packs_next_closed(p->packs, shard, k->number, k);
    while (err == 0 && k->entry.live_records == 0);
    return err;
}

int compact_gather(struct state *p, uint16_t shard, struct compact_choice *l)
{
    struct pack_info k = {.number = 0};
    int err;

    while ((err = next_pack(p, shard, &k)) == 0) {
        err = compact_consider(l, &k);
        if (err < 0)
            return err;
    }
    return err == -ENOENT ? 0 : err;
}

void compact_choose(struct compact_choice *c, unsigned below, bool thorough)
{
    uint64_t dead = c->dead, file_bytes = c->file_bytes;
    size_t n = 0;

    if (c->count)
        qsort(c->v, c->count, sizeof *c->v, by_dead_part);
    for (; n < c->count; n++) {
        if (!compact_is_below(&c->v[n], below) && !(thorough && dead * DEAD_PART > file_bytes))
            break;
        dead -= c->v[n].dead;
        file_bytes -= c->v[n].dead;
    }
    c->count = n;
}

/* ---- all ---- */

/* Does the error concern one pack alone? */
static bool is_of_one(int err)
{
    return err == -EIO || err == -EUCLEAN;
}

int compact_all(struct compaction *c, const struct compact_choice *l, compact_pack_fn *fn)
{
    int err = 0;

    for (size_t i = 0; i < l->count && (err == 0 || is_of_one(err)); i++) {
        int pack_err;
        c->at = c->done;
        pack_err = compact_is_cancelled(c) ? -ECANCELED : fn(c, &l->v[i]);
        c->done = c->at + l->v[i].entry.file_bytes;
        err = pack_err < 0 && (err == 0 || !is_of_one(pack_err)) ? pack_err : err;
    }
    return err;
}

static unsigned below_of(struct state *p)
{
    return (unsigned)settings_get(&p->settings, SET_COMPACT_BELOW);
}

/* Reclaims what is dead first, because until then it counts as alive. A thorough run also closes
 * the open pack, so that its dead bytes count. */
static int prepare(struct compaction *c, bool thorough)
{
    int err = state_writable(c->p);

    if (err == 0 && !flush_is_idle(c->p))
        err = compact_commit(c);
    if (err < 0 || !thorough)
        return err;
    READ_GUARD(&c->p->freeze_lock); /* the open pack, too */
    return packs_retire_current(c->p->packs);
}

/* Shortens a choice, and adds the bytes for the progress. */
static void choose(struct compaction *c, struct compact_choice *l, unsigned below, bool thorough)
{
    compact_choose(l, below, thorough);
    for (size_t i = 0; i < l->count; i++)
        c->total += l->v[i].entry.file_bytes;
    c->chosen = c->chosen || l->count;
}

/* A pack with damaged records stays, however often it is rewritten: without being asked it is not
 * read for each pass that compresses something. */
static void leave_out_damaged(const struct compaction *c, struct compact_choice *l)
{
    uint64_t is;
    size_t n = 0;

    for (size_t i = 0; i < l->count; i++)
        if (!map64_get(&c->p->compacting->damaged, l->v[i].number, &is))
            l->v[n++] = l->v[i];
    l->count = n;
}

/* Rewrites packs at home. */
static int run_own(struct compaction *c, unsigned below, bool thorough)
{
    int err = compact_gather(c->p, 0, &c->own);

    if (err < 0)
        return err;
    if (c->quiet)
        leave_out_damaged(c, &c->own);
    choose(c, &c->own, below, thorough);
    return compact_all(c, &c->own, rewrite);
}

/* Leaves packs of other nodes. */
static int run_others(struct compaction *c, unsigned below, bool thorough)
{
    int err = compact_pool_gather(c);

    if (err < 0)
        return err;
    choose(c, &c->others, below, thorough);
    return compact_all(c, &c->others, compact_pool_leave);
}

/* Compresses first, since the plain places are dead then. Then home, the packs of other nodes, and
 * shards. An error of one pack is kept and returned at the end. */
static int run_compaction(struct compaction *c, unsigned below, bool thorough)
{
    int end, err = prepare(c, thorough);

    if (err == 0 && thorough)
        err = compact_rest(c);
    if (err < 0 && !is_of_one(err) && !io_is_full(err)) /* rewriting makes room */
        return err;
    end = run_own(c, below, thorough);
    if (end < 0 && !is_of_one(end))
        return end;
    err = err < 0 ? err : end;
    end = run_others(c, below, thorough);
    if (end < 0 && !is_of_one(end))
        return end;
    err = err < 0 ? err : end;
    end = compact_shards(c, below, thorough);
    return end < 0 ? end : err;
}

/* Closes the open pack if a 20th of all bytes is dead in it alone, so that it can be rewritten. */
static int close_dead(struct state *p)
{
    struct packs_stats s;
    READ_GUARD(&p->freeze_lock);

    packs_get_stats(p->packs, &s);
    return packs_retire_dead(p->packs, s.file_bytes / DEAD_PART);
}

/* Compresses, and rewrites packs at home if much is dead by that. What is appended after this
 * moment may be due again. */
static int run_rest(struct compaction *c)
{
    struct compacting *k = c->p->compacting;
    /* Told before, so that a change of the setting that comes now is not lost. */
    bool anew = atomic_exchange(&k->rested, compression_mark(c->p)) == 0;
    int end, err = prepare(c, false);

    c->quiet = true;
    if (anew) /* by another setting other records are due */
        map64_release(&k->damaged);
    if (err == 0)
        err = compact_rest(c);
    if (err == -ECANCELED) /* another error is met again with the next change, not each minute */
        atomic_store(&k->rested, 0);
    if (!c->r->compressed || (err < 0 && !is_of_one(err)))
        return err;
    end = close_dead(c->p);
    if (end == 0)
        end = run_own(c, below_of(c->p), true);
    return err < 0 ? err : end;
}

int compact_store(struct state *p, struct job *j, unsigned below, bool thorough,
                  struct compact_result *ret)
{
    struct compaction c = {.p = p, .job = j, .r = ret, .disk = p->config.disk};
    int err = job_take_turn(p, j, &p->compacting->running);

    *ret = (struct compact_result){0};
    if (err < 0)
        return err;
    c.buf = malloc(PACK_RECORD_MAX);
    err = !c.buf                       ? -ENOMEM
          : below == COMPACT_ONLY_REST ? run_rest(&c)
                                       : run_compaction(&c, below, thorough);
    free(c.buf);
    free(c.own.v);
    free(c.others.v);
    if (err == 0)
        atomic_store(&p->compacting->elsewhere, 0); /* until the pool has a newer list of marks */
    atomic_fetch_add(&p->compacting->packs, ret->packs);
    atomic_fetch_add(&p->compacting->bytes, ret->bytes);
    if (ret->packs)
        atomic_store(&p->compacting->vain, 0);
    else if (c.chosen && below != COMPACT_ONLY_REST && err != -ECANCELED &&
             atomic_load(&p->compacting->vain) < VAIN_MAX)
        atomic_fetch_add(&p->compacting->vain, 1);
    atomic_store(&p->compacting->running, false);
    return err;
}

static void say(struct state *p, struct job *j, const struct compact_result *r)
{
    char text[256];
    int n = snprintf(text, sizeof text, "packs=%llu moved=%llu moved_bytes=%llu freed_bytes=%llu",
                     U(r->packs), U(r->records), U(r->bytes), U(r->freed));

    if (r->compressed)
        snprintf(text + n, sizeof text - (size_t)n, " compressed=%llu saved_bytes=%llu",
                 U(r->compressed), U(r->saved));
    job_result(p, j, text);
}

/* One run as a job, with its result. */
static int work(struct state *p, struct job *j, unsigned below, bool thorough)
{
    struct compact_result r;
    int err = compact_store(p, j, below, thorough, &r);

    say(p, j, &r);
    return err;
}

int compact_job(struct state *p, struct job *j, void *arg)
{
    (void)arg;
    return work(p, j, below_of(p), true);
}

static int due(struct state *p, struct job *j, void *arg)
{
    (void)arg;
    return work(p, j, below_of(p), false);
}

static int rest(struct state *p, struct job *j, void *arg)
{
    (void)arg;
    return work(p, j, COMPACT_ONLY_REST, false);
}

/* ---- by itself ---- */

/* Sums up the dead bytes in packs of one place that are below, until it has `enough`. */
static uint64_t dead_in(struct state *p, uint16_t shard, unsigned below, uint64_t enough)
{
    struct pack_info k = {.number = 0};
    uint64_t dead = 0;

    while (dead < enough && next_pack(p, shard, &k) == 0)
        dead += compact_is_below(&k, below) ? k.dead : 0;
    return dead;
}

/* Is enough dead in packs below `compact_below` to be worth a run? At home the total of dead bytes
 * is a first, cheap answer. */
static bool is_due(struct state *p)
{
    unsigned below = below_of(p);
    uint64_t worth = (uint64_t)settings_get(&p->settings, SET_PACK_SIZE) / COMPACT_DUE_PART;
    uint64_t dead = atomic_load(&p->compacting->elsewhere);
    struct shards_info s = {.number = 0};
    struct packs_stats home;

    packs_get_stats(p->packs, &home);
    if (below == 0)
        return false;
    if (home.dead_bytes + dead >= worth)
        dead += dead_in(p, 0, below, worth);
    while (dead < worth && p->shards && shards_next(p->shards, s.number, &s) == 0)
        if (s.state == SHARDS_OK && !s.draining && !s.archive)
            dead += dead_in(p, s.number, below, worth);
    return dead >= worth;
}

/* A setting was changed: the next look comes at once, and may find something to compress. */
static void looks_now(void *ctx, int64_t value)
{
    struct state *p = ctx;

    (void)value;
    atomic_store(&p->compacting->rested, 0);
    atomic_store(&p->compacting->vain, 0);
    atomic_store(&p->compacting->weighed, INT64_MIN / 2); /* a long time ago */
    atomic_store(&p->compacting->looked, INT64_MIN / 2);
    flush_kick(p); /* its thread calls compact_if_due */
}

void compact_watch(struct state *p)
{
    settings_watch(&p->settings, SET_COMPACT_BELOW, looks_now, p);
    settings_watch(&p->settings, SET_COMPRESSION, looks_now, p);
}

/* Is it `every` ns since *when? Then *when is now. */
static bool is_time(struct state *p, _Atomic int64_t *when, int64_t every)
{
    int64_t at = ticks(p), last = atomic_load(when);

    if (at - (last ? last : p->opened) < every)
        return false;
    atomic_store(when, at);
    return true;
}

void compact_if_due(struct state *p)
{
    struct compacting *k = p->compacting;

    if (atomic_load(&p->closing) || atomic_load(&p->readonly) || atomic_load(&k->running) ||
        !is_time(p, &k->looked, COMPACT_EVERY))
        return;
    /* A job of its own name, so that no `compact` that is commanded meanwhile is refused because of
     * it. The job reports its errors. */
    if (is_time(p, &k->weighed, (int64_t)COMPACT_EVERY << atomic_load(&k->vain)) && is_due(p))
        (void)job_try(p, "compaction", "", &(struct job_work){.fn = due, .alone = true});
    else if (compact_rest_due(p))
        (void)job_try(p, "compaction", "", &(struct job_work){.fn = rest, .alone = true});
}

void compact_get_stats(struct state *p, struct compact_stats *ret)
{
    struct compacting *c = p->compacting;

    *ret = (struct compact_stats){.packs = atomic_load(&c->packs),
                                  .bytes = atomic_load(&c->bytes),
                                  .running = atomic_load(&c->running)};
}
