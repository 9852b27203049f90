// SPDX-License-Identifier: Apache-2.0
/*
 * move: see the header. What is small is gathered in a batch (objects_batch), whose objects are
 * held until it was put and their entries name it; what is large goes at once. Nobody waits for a
 * shard with a lock: bytes are copied holding nothing, and only to change entries the freeze lock
 * is taken.
 *
 * All records of a pack are counted in, and their entries changed, under one hold of the freeze
 * lock: else the first of them could die, and take the pack along, before the last is counted.
 *
 * Which moves are at work is a list: one for each target, and who wants another waits. It tells GC
 * cycles what is on its way, too.
 */
#include "move.h"
#include "array.h"
#include "durability.h"
#include "flush.h"
#include "job.h"
#include "remote_impl.h"
#include "shard_packs.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>

#define BATCH_RECORDS 2048u /* under one hold of the freeze lock */
#define COMMIT_EVERY (5 * NSEC_PER_SEC)
#define LOOK_EVERY (50 * NSEC_PER_MSEC)

struct move {
    struct state *p;
    struct job *job; /* may be NULL */
    uint16_t shard;
    struct move_result r;
    int error; /* that ended it */
    struct objects_batch *batch;
    uint64_t *held; /* numbers in it, */
    size_t held_count, held_room;
    uint64_t held_bytes;  /* and their bytes */
    uint64_t uncommitted; /* bytes named and not committed */
    bool changed;         /* is there anything to commit? */
    int64_t committed;    /* monotonic ns */
    uint64_t seen;        /* objects, */
    uint64_t bytes;       /* and bytes, for the progress; */
    uint64_t part, size;  /* of the file that is being copied */
    void *buf;            /* PACK_RECORD_MAX, to copy records home */
    uint64_t floor;       /* move_in_flight; guarded by p->moving->lock */
    struct move *next;    /* likewise */
};

/* ---- which are at work ---- */

static bool is_cancelled(struct state *p, struct job *j)
{
    return atomic_load(&p->closing) || (j && atomic_load(&j->cancel));
}

/* Numbers below it were given before. */
static uint64_t next_number(struct move *m)
{
    return m->shard ? shards_first_number(m->p->shards, m->shard) : refs_next(m->p->refs);
}

static struct move *find_move(struct state *p, uint16_t shard)
{
    mutex_held(&p->moving->lock);
    for (struct move *m = p->moving->first; m; m = m->next)
        if (m->shard == shard)
            return m;
    return NULL;
}

/* Asked once more of who is in the list, where who removes a shard sees him, or did before. */
static int is_draining(struct state *p, uint16_t shard)
{
    struct shards_info info;
    int err = shard ? shards_info_get(p->shards, shard, &info) : 0;

    return err == 0 && shard && info.draining ? -EBUSY : err;
}

static int enlist(struct move *m)
{
    struct moving *all = m->p->moving;
    MUTEX_GUARD(&all->lock);

    while (find_move(m->p, m->shard)) {
        if (is_cancelled(m->p, m->job))
            return -ECANCELED;
        (void)cond_wait_for(&all->changed, &all->lock, LOOK_EVERY);
    }
    m->floor = next_number(m);
    m->next = all->first;
    all->first = m;
    return 0;
}

static void delist(struct move *m)
{
    struct moving *all = m->p->moving;
    MUTEX_GUARD(&all->lock);

    for (struct move **at = &all->first; *at; at = &(*at)->next)
        if (*at == m) {
            *at = m->next;
            break;
        }
    cond_broadcast(&all->changed);
}

/* All that was put is committed. */
static void raise_floor(struct move *m)
{
    MUTEX_GUARD(&m->p->moving->lock);
    m->floor = next_number(m);
}

uint64_t move_in_flight(struct state *p, uint16_t shard)
{
    MUTEX_GUARD(&p->moving->lock);
    const struct move *m = find_move(p, shard);

    return m ? m->floor : UINT64_MAX;
}

/* ---- progress, and errors ---- */

static void show(struct move *m)
{
    if (!m->job)
        return;
    job_progress(m->p, m->job, m->seen, 0);
    job_progress_bytes(m->p, m->job, m->bytes + m->part, 0);
}

static void done_with(struct move *m, uint64_t objects, uint64_t bytes)
{
    m->seen += objects;
    m->bytes += bytes;
    m->part = 0;
    show(m);
}

/* The bytes of a file are read, and read back: half of each counts. */
static int pace(uint64_t bytes, void *ctx)
{
    struct move *m = ctx;

    m->part = m->part + bytes / 2 < m->size ? m->part + bytes / 2 : m->size;
    show(m);
    return is_cancelled(m->p, m->job) ? -ECANCELED : 0;
}

static bool target_is_well(struct move *m)
{
    struct shards_info info;

    return m->shard == 0 ||
           (shards_info_get(m->p->shards, m->shard, &info) == 0 && info.state == SHARDS_OK);
}

/* Is it of the whole, or of the one object that it was said about? The shard that an object comes
 * from may be away, too. */
static bool ends_all(struct move *m, int err)
{
    switch (err) {
    case -ECANCELED:
    case -ESHUTDOWN:
    case -ENOMEM:
    case -ENOSPC:
    case -EDQUOT:
        return true;
    default:
        return !target_is_well(m) || atomic_load(&m->p->readonly);
    }
}

/* These stay where they are, or all ends. */
static int fail(struct move *m, uint64_t objects, int err)
{
    if (ends_all(m, err))
        return err;
    m->r.failed += objects;
    if (m->r.error == 0)
        m->r.error = err;
    return 0;
}

static int skip(struct move *m)
{
    m->r.skipped++;
    return 0;
}

/* ---- commits ---- */

/* The old bytes at home are gone when this returns; those on shards are for release.c. */
static int commit(struct move *m)
{
    int err;

    if (!m->changed)
        return 0;
    err = flush_now(m->p);
    if (err < 0)
        return err;
    m->changed = false;
    m->uncommitted = 0;
    m->committed = ticks(m->p);
    (void)flush_reclaim_dead(m->p, SIZE_MAX);
    if (!m->batch)
        raise_floor(m);
    return 0;
}

static int throttle(struct move *m)
{
    int err = is_cancelled(m->p, m->job) ? -ECANCELED : state_writable(m->p);

    if (err == 0)
        err = flush_throttle(m->p);
    if (err < 0)
        return err;
    if (m->uncommitted >= MOVE_COMMIT || ticks(m->p) - m->committed >= COMMIT_EVERY)
        return commit(m);
    return 0;
}

/* ---- changing entries: the freeze lock is held ---- */

static int retire_place(struct move *m, const struct entry *place)
{
    m->changed = true;
    return refs_reclaim_place(m->p->refs, place);
}

/* If it still is where it was read it is at its new place from now on. */
static int name(struct move *m, uint64_t number, const struct entry *from, const struct entry *to)
{
    int err = refs_relocate(m->p->refs, number, from, to);

    if (err < 0) {
        (void)retire_place(m, to);
        return err == -ESTALE || err == -ENOENT ? skip(m) : err; /* healed, moved or dead by now */
    }
    m->r.objects++;
    m->r.bytes += from->size;
    m->uncommitted += from->size;
    return retire_place(m, from); /* else it stays counted until a GC cycle */
}

static int count_in(struct move *m)
{
    uint64_t number, bytes = 0;
    struct entry from, to = {0};
    uint32_t n = 0;

    while (objects_batch_get(m->batch, n, &number, &from, &to) == 0) {
        bytes += to.size;
        n++;
    }
    return n ? shard_packs_add(m->p->shard_packs, m->shard, to.where, n, bytes,
                               objects_batch_file_bytes(m->batch))
             : 0;
}

/* After an error the rest is reclaimed: what was counted in must be counted out. */
static int name_batch(struct move *m)
{
    uint64_t number;
    struct entry from, to;
    READ_GUARD(&m->p->freeze_lock);
    int err = count_in(m);

    if (err < 0)
        return err; /* an orphan */
    for (size_t i = 0; objects_batch_get(m->batch, i, &number, &from, &to) == 0; i++) {
        if (err == 0)
            err = name(m, number, &from, &to);
        else
            (void)retire_place(m, &to);
    }
    return err;
}

/* ---- small ones: records of a pack that is put ---- */

static void drop_batch(struct move *m)
{
    for (size_t i = 0; i < m->held_count; i++)
        refs_unhold(m->p->refs, m->held[i]);
    m->held_count = 0;
    m->held_bytes = 0;
    objects_batch_end(m->batch);
    m->batch = NULL;
}

static int put_batch(struct move *m)
{
    uint64_t objects = m->held_count, bytes = m->held_bytes;
    int err;

    if (!m->batch)
        return 0;
    err = objects ? objects_batch_put(m->batch) : 0;
    if (err < 0)
        err = fail(m, objects, err);
    else if (objects)
        err = name_batch(m);
    drop_batch(m);
    if (err == 0)
        done_with(m, objects, bytes);
    return err;
}

static int add_to_batch(struct move *m, uint64_t number, const struct entry *from)
{
    int err = m->batch ? 0 : objects_batch_begin(m->p->objects, m->shard, &m->batch);

    if (err == 0)
        err = objects_batch_add(m->batch, number, from);
    return err;
}

/* Takes over the hold of the number unless it fails, or does not come along. */
static int gather_one(struct move *m, uint64_t number, const struct entry *from, bool *ret_taken)
{
    int err = ARRAY_RESERVE(m->held, m->held_room, m->held_count + 1);

    if (err == 0)
        err = add_to_batch(m, number, from);
    if (err == -EFBIG && m->held_count) {
        err = put_batch(m);
        if (err == 0)
            err = add_to_batch(m, number, from);
    }
    if (err < 0)
        return err;
    m->held[m->held_count++] = number;
    m->held_bytes += from->size;
    *ret_taken = true;
    return m->held_count >= BATCH_RECORDS ? put_batch(m) : 0;
}

/* ---- one at once ---- */

static int copy_file_out(struct move *m, uint64_t number, const struct entry *from)
{
    const struct objects_pace slowly = {pace, m};
    struct entry to;
    int err;

    m->size = from->size;
    err = objects_copy_out(m->p->objects, m->shard, from, &slowly, &to);
    if (err < 0)
        return err;
    READ_GUARD(&m->p->freeze_lock);
    return name(m, number, from, &to);
}

/* A number that nothing else ever has, for the name of a file. */
static int fresh_number(struct state *p, uint64_t *ret)
{
    READ_GUARD(&p->freeze_lock);
    int err = refs_new(p->refs, ret);

    if (err == 0)
        refs_cancel(p->refs, *ret);
    return err;
}

static int copy_file_home(struct move *m, uint64_t number, const struct entry *from)
{
    const struct objects_pace slowly = {pace, m};
    struct entry to;
    uint64_t fresh;
    int err = fresh_number(m->p, &fresh);

    m->size = from->size;
    if (err == 0)
        err = objects_copy_home(m->p->objects, fresh, from, &slowly, &to);
    if (err < 0)
        return err;
    READ_GUARD(&m->p->freeze_lock);
    return name(m, number, from, &to);
}

static int read_record(struct move *m, const struct entry *from)
{
    ssize_t n;

    if (!m->buf && !(m->buf = malloc(PACK_RECORD_MAX)))
        return -ENOMEM;
    n = objects_read(m->p->objects, from, m->buf, from->size, 0);
    if (n < 0)
        return (int)n;
    return (uint64_t)n == from->size ? 0 : -EUCLEAN;
}

/* The shard is read without the freeze lock. */
static int copy_record_home(struct move *m, uint64_t number, const struct entry *from)
{
    struct entry to = {.kind = ENTRY_PACK, .id = from->id, .size = from->size};
    struct pack_place at;
    int err = read_record(m, from);

    if (err < 0)
        return err;
    READ_GUARD(&m->p->freeze_lock);
    err = packs_append(m->p->packs, &from->id, m->buf, (uint32_t)from->size, &at);
    if (err < 0)
        return err;
    to.where = at.pack;
    to.offset = at.offset;
    return name(m, number, from, &to);
}

static int bring_home(struct move *m, uint64_t number, const struct entry *from)
{
    int err = flush_room_for(m->p, from->size);

    if (err < 0)
        return err;
    return from->kind == ENTRY_PACK ? copy_record_home(m, number, from)
                                    : copy_file_home(m, number, from);
}

static int move_entry(struct move *m, uint64_t number, const struct entry *e, bool *ret_taken)
{
    int err;

    if (m->shard && e->kind == ENTRY_PACK)
        return gather_one(m, number, e, ret_taken);
    err = m->shard ? copy_file_out(m, number, e) : bring_home(m, number, e);
    if (err == 0)
        done_with(m, 1, e->size);
    return err;
}

static bool is_wanted(const struct move *m, const struct entry *e, const struct entry *from)
{
    if (!entry_is_sealed(e) || e->count == 0)
        return false;
    return from ? entry_same_place(e, from) : e->shard != m->shard;
}

static int move_held(struct move *m, uint64_t number, const struct entry *from, bool *ret_taken)
{
    struct entry e;
    int err = refs_entry(m->p->refs, number, false, NULL, &e);

    if (err == -ENOENT || (err == 0 && !is_wanted(m, &e, from))) {
        done_with(m, 1, 0);
        return skip(m);
    }
    return err < 0 ? err : move_entry(m, number, &e, ret_taken);
}

int move_one(struct move *m, uint64_t number, const struct entry *from)
{
    bool taken = false;
    int err = m->error ? m->error : throttle(m);

    if (err == 0)
        err = refs_hold(m->p->refs, number);
    if (err == -ENOENT) {
        done_with(m, 1, 0);
        return skip(m);
    }
    if (err < 0)
        return m->error = err;
    err = move_held(m, number, from, &taken);
    if (!taken)
        refs_unhold(m->p->refs, number);
    if (err < 0 && (err = fail(m, 1, err)) == 0)
        done_with(m, 1, 0);
    return m->error = err;
}

/* ---- the beginning and the end ---- */

/* Can it be written, and may anything be moved there? */
static int check_target(struct state *p, uint16_t shard)
{
    struct shards_info info;
    struct shard *s;
    int err = state_writable(p);

    if (err < 0 || shard == 0)
        return err;
    err = p->shards ? shards_info_get(p->shards, shard, &info) : -ENXIO;
    if (err == 0 && info.draining)
        err = -EBUSY;
    if (err == 0)
        err = shards_get(p->shards, shard, SHARDS_WRITE, &s, NULL);
    if (err == 0)
        shards_put_back(p->shards, shard);
    return err;
}

int move_begin(struct state *p, struct job *j, uint16_t shard, struct move **ret_move)
{
    struct move *m;
    int err = check_target(p, shard);

    if (err < 0)
        return err;
    m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->p = p;
    m->job = j;
    m->shard = shard;
    m->committed = ticks(p);
    if (shard)
        atomic_store(&p->has_ghosts, true);
    err = enlist(m);
    if (err == 0) {
        err = is_draining(p, shard);
        if (err < 0)
            delist(m);
    }
    if (err < 0) {
        free(m);
        return err;
    }
    *ret_move = m;
    return 0;
}

int move_end(struct move *m, struct move_result *ret)
{
    int err = m->error, end;

    if (err == 0)
        err = put_batch(m);
    else
        drop_batch(m);
    end = commit(m); /* also of a part: else both copies would stay */
    *ret = m->r;
    delist(m);
    free(m->held);
    free(m->buf);
    free(m);
    return err < 0 ? err : end;
}
