// SPDX-License-Identifier: Apache-2.0
/*
 * move: see the header. Small objects are gathered in a batch (objects_batch). The move holds them
 * until the batch was put and their entries name it. A large object is moved at once. Bytes are
 * copied without a lock, and the freeze lock is taken only to change entries, so nobody waits for a
 * shard with a lock held.
 *
 * All records of a pack are counted, and their entries changed, under one hold of the freeze lock.
 * Otherwise the first record could die, and its pack be deleted, before the last record is counted.
 *
 * The moves in progress form a list, with one for each target. A second move to the same target
 * waits. GC cycles read the list, too: they must not take what is just being moved for an orphan.
 */
#include "move.h"
#include "array.h"
#include "durability.h"
#include "flush.h"
#include "job.h"
#include "remote_impl.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>

#define BATCH_RECORDS 2048u             /* changed under one hold of the freeze lock */
#define COMMIT_EVERY (5 * NSEC_PER_SEC) /* ns; a slow move commits so often */
/* ns; a move that waits for another one looks so often whether it was cancelled */
#define LOOK_EVERY (50 * NSEC_PER_MSEC)
#define STALE_TRIES 8 /* of one object whose bytes go elsewhere each time they are read */

struct move {
    struct state *p;
    struct job *job; /* may be NULL */
    uint16_t shard;
    struct move_result r;
    int error; /* the error that ended the move, or 0 */
    struct objects_batch *batch;
    uint64_t *held; /* the numbers in the batch, each with a hold of refs */
    size_t held_count, held_room;
    uint64_t held_bytes;  /* bytes of the objects in the batch */
    uint64_t uncommitted; /* bytes at new places that no commit has yet */
    bool changed;         /* a commit is needed */
    int64_t committed;    /* time of the last commit, monotonic ns */
    uint64_t seen;        /* objects that are done, for the progress */
    uint64_t bytes;       /* bytes that are done, for the progress */
    uint64_t part, size;  /* `part` of the `size` bytes of the file in work */
    void *buf;            /* PACK_RECORD_MAX, to copy records home */
    uint64_t floor;       /* guarded by: move; see move_in_flight */
    struct move *next;    /* guarded by: move */
};

/* ---- which are at work ---- */

static bool is_cancelled(struct state *p, struct job *j)
{
    return atomic_load(&p->closing) || (j && atomic_load(&j->cancel));
}

/* The lowest number that was not given yet. */
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

/* Is the shard being drained? It is asked again once the move is in the list: whoever removes a
 * shard either sees the move there, or has set `draining` before. */
static int is_draining(struct state *p, uint16_t shard)
{
    struct shards_info info;
    int err = shard ? shards_info_get(p->shards, shard, &info) : 0;

    return err == 0 && shard && info.draining ? -EBUSY : err;
}

/* Waits until no other move has this target, and joins the list. Its floor is set before its first
 * number is given. */
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

/* Leaves the list, and wakes the moves that wait for this target. */
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

/* All that was put is committed, so GC cycles may judge it. */
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

/* Shows progress while a file is copied. Its bytes are read twice, from the source and back from
 * the target, so each read counts half. */
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

/* Does this error end the whole move, or only this object? An error may come from the shard where
 * the object is, so the state of the target decides. */
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

/* Counts `objects` as failed and returns 0, or returns an error that ends the move. */
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

/* Commits the new places. When it returns, the old bytes at home are deleted; release.c deletes
 * those on shards. */
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

/* Called before each object: waits while memory is short, and commits when it is time. */
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

/* Lets a place join the dying, so that its bytes are deleted after the next commit. */
static int retire_place(struct move *m, const struct entry *place)
{
    m->changed = true;
    return refs_reclaim_place(m->p->refs, place);
}

/* Gives the object its new place, if it still is where it was read. If it is not, the new place is
 * retired. -ESTALE: it was healed or moved meanwhile. */
static int name(struct move *m, uint64_t number, const struct entry *from, const struct entry *to)
{
    int err = refs_relocate(m->p->refs, number, from, to);

    if (err < 0) {
        (void)retire_place(m, to);
        return err == -ENOENT ? skip(m) : err; /* it was deleted meanwhile */
    }
    m->r.objects++;
    m->r.bytes += from->size;
    m->uncommitted += from->size;
    return retire_place(m, from); /* after an error the old place stays counted until a GC cycle */
}

/* Counts in the pack of the batch, with all its records. */
static int count_in(struct move *m)
{
    uint64_t number, bytes = 0;
    struct entry from, to = {0};
    uint32_t n = 0;

    while (objects_batch_get(m->batch, n, &number, &from, &to) == 0) {
        bytes += to.size;
        n++;
    }
    return n ? packs_count_in(m->p->packs, m->shard, to.where, n, bytes,
                              objects_batch_file_bytes(m->batch))
             : 0;
}

/* Counts the pack and names all its records under one hold of the freeze lock. After an error in
 * between, the places of the remaining records are retired: what was counted in must be counted
 * out. */
static int name_batch(struct move *m)
{
    uint64_t number;
    struct entry from, to;
    READ_GUARD(&m->p->freeze_lock);
    int err = count_in(m);

    if (err < 0)
        return err; /* the pack is an orphan */
    for (size_t i = 0; objects_batch_get(m->batch, i, &number, &from, &to) == 0; i++) {
        if (err == 0)
            err = name(m, number, &from, &to);
        else
            (void)retire_place(m, &to);
        if (err == -ESTALE)
            err = skip(m);
    }
    return err;
}

/* ---- small ones: records of a pack that is put ---- */

/* Ends the batch and gives the holds back. */
static void drop_batch(struct move *m)
{
    for (size_t i = 0; i < m->held_count; i++)
        refs_unhold(m->p->refs, m->held[i]);
    m->held_count = 0;
    m->held_bytes = 0;
    objects_batch_end(m->batch);
    m->batch = NULL;
}

/* Puts the batch as a pack, and lets the entries name it. If it cannot be put, all its objects
 * count as failed. */
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

/* Adds an object to the batch, and puts the batch when it is full. *ret_taken: the batch has the
 * hold of the number now, and the caller must not release it. */
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

/* Takes a number that is never used again, for the name of a file at home. */
static int fresh_number(struct state *p, uint64_t *ret)
{
    READ_GUARD(&p->freeze_lock);
    int err = refs_new(p->refs, ret);

    if (err == 0)
        refs_cancel(p->refs, *ret);
    return err;
}

/* Moves one large object to the shard, or home under a file name of its own. */
static int copy_file(struct move *m, uint64_t number, const struct entry *from)
{
    const struct blob_pace slowly = {pace, m};
    struct entry to;
    uint64_t fresh = 0;
    int err = m->shard ? 0 : fresh_number(m->p, &fresh);

    m->size = from->size;
    if (err == 0)
        err = objects_copy_file(m->p->objects, m->shard, fresh, from, &slowly, &to);
    if (err < 0)
        return err;
    READ_GUARD(&m->p->freeze_lock);
    return name(m, number, from, &to);
}

/* Reads a whole packed object into m->buf; objects_read verifies it. */
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

/* Moves a packed object home, into the open pack. The shard is read before the freeze lock is
 * taken. */
static int copy_record_home(struct move *m, uint64_t number, const struct entry *from)
{
    struct entry to;
    int err = read_record(m, from);

    if (err < 0)
        return err;
    READ_GUARD(&m->p->freeze_lock);
    err = objects_append(m->p->objects, from, m->buf, &to);
    return err < 0 ? err : name(m, number, from, &to);
}

/* Moves one object that is held, by the way that fits its kind and target. Home must have room for
 * it. */
static int move_entry(struct move *m, uint64_t number, const struct entry *e, bool *ret_taken)
{
    bool packed = e->kind == ENTRY_PACK;
    int err = m->shard ? 0 : flush_room_for(m->p, e->size);

    if (err == 0 && m->shard && packed)
        return gather_one(m, number, e, ret_taken);
    if (err == 0)
        err = packed ? copy_record_home(m, number, e) : copy_file(m, number, e);
    if (err == 0)
        done_with(m, 1, e->size);
    return err;
}

/* Is the object still one to move? Only sealed objects with references are moved. */
static bool is_wanted(const struct move *m, const struct entry *e, const struct entry *from)
{
    if (!entry_is_sealed(e) || e->count == 0)
        return false;
    return from ? entry_same_place(e, from) : e->shard != m->shard;
}

/* Reads the entry again now that the number is held, and moves the object or skips it. */
static int move_as_it_is(struct move *m, uint64_t number, const struct entry *from, bool *ret_taken)
{
    struct entry e;
    int err = refs_entry(m->p->refs, number, false, NULL, &e);

    if (err == -ENOENT || (err == 0 && !is_wanted(m, &e, from))) {
        done_with(m, 1, 0);
        return skip(m);
    }
    return err < 0 ? err : move_entry(m, number, &e, ret_taken);
}

/* Moves or skips an object that is held. Another move, or a compaction, may take the bytes away
 * while they are read (-ESTALE); then the entry names their new place, and they are read there. */
static int move_held(struct move *m, uint64_t number, const struct entry *from, bool *ret_taken)
{
    int err = -ESTALE;

    for (int tries = 0; err == -ESTALE && tries < STALE_TRIES; tries++)
        err = move_as_it_is(m, number, from, ret_taken);
    return err;
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

/* Can the target be written, and may anything be moved there? */
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
    end = commit(m); /* also after an error: without a commit both copies would stay */
    *ret = m->r;
    delist(m);
    free(m->held);
    free(m->buf);
    free(m);
    return err < 0 ? err : end;
}
