// SPDX-License-Identifier: Apache-2.0
/*
 * flusher: when a flush begins, and the threads that wait for one: fsync, writers that are
 * throttled, and the two background threads: one flushes, and one works off dropped pages.
 *
 * A thread that asks for a flush waits for one that begins after it asked; many threads share one
 * flush. Writers wait before they take any lock: a flush needs the freeze lock for writing, which
 * they would hold for reading.
 */
#include "cache.h"
#include "coordinator.h"
#include "durability.h"
#include "flush_impl.h"
#include "nowait.h"
#include "state.h"
#include "ticket.h"
#include "waits.h"
#include <assert.h>
#include <errno.h>
#include <sys/resource.h>

#define DROP_STEPS 16           /* steps of a drop between two looks at jobs, and at give_way */
#define DROP_RETRY NSEC_PER_SEC /* a drop that an error stopped is tried again after this time */
#define ROOM_RESERVE (UINT64_C(16) << 20) /* bytes of the disk that new data may not take */
/* If the disk has so many bytes more than needed, it cannot fill up within ROOM_KNOWN. For that
 * long writes do not ask the disk again. */
#define ROOM_PLENTY (UINT64_C(256) << 20)
#define ROOM_KNOWN (20 * NSEC_PER_MSEC)
#define CHANGES_KICK 100000u /* uncommitted table changes that start a flush */
#define CHANGES_WAIT 400000u /* uncommitted table changes at which writers wait for a flush */
#define SLOTS_KICK 4 /* at this part of SLOTS_WAIT (1/4) a flush seals all slots that it can */
#define LOG_KICK (UINT64_C(64) << 20) /* bytes of the log that only a commit gives back */
/* At so many slots, or at this part (1/4) of the limit of open files if that is less, each change
 * waits for a flush: a slot is an open file. Slots that are being written cannot be sealed. */
#define SLOTS_WAIT 512u
#define SLOTS_PART 4

/* ---- asking for one ---- */

/* Ask the flush thread for a flush. Under pressure each change calls this, so a second call does
 * nothing. If the thread may not begin yet, the next commit wakes it. Needs the lock. */
static void kick(struct flusher *f, bool urgent)
{
    if (f->kicked && (f->urgent || !urgent))
        return;
    f->kicked = true;
    f->urgent |= urgent;
    cond_broadcast(&f->wake);
}

void flush_kick(struct state *p)
{
    MUTEX_GUARD(&p->flush->lock);
    kick(p->flush, false);
}

void flush_kick_drops(struct state *p)
{
    MUTEX_GUARD(&p->flush->lock);
    p->flush->kick_drops = true;
    cond_broadcast(&p->flush->wake);
}

/* The ticket of a flush that began after the call. */
static int shared_flush(struct state *p, struct ticket **ret_ticket)
{
    struct flusher *f = p->flush;
    MUTEX_GUARD(&f->lock);
    /* A flush that has started may have frozen before our changes; the next one has them. */
    uint64_t want = f->started + 1;

    while (f->finished < want) {
        if (f->stop)
            return -ESHUTDOWN;
        if (f->started < want) /* else it runs, and one more would be for nobody */
            kick(f, false);
        WAITS_GUARD(WAITS_ROOM, "a flush", 0, NULL); /* tried again as long as it fails */
        cond_wait(&f->done, &f->lock);
    }
    if (f->result < 0)
        return f->result;
    *ret_ticket = ticket_ref(f->ticket);
    return 0;
}

int flush_now(struct state *p)
{
    struct ticket *t;
    int err;

    if (!p->flush->threads_running)
        return flush_run(p, SEAL_READY);
    coordinator_retry(p->flush->coordinator);
    err = shared_flush(p, &t);
    if (err < 0)
        return err;
    err = ticket_wait(t, false, -1, NULL, NULL);
    ticket_unref(t);
    return err;
}

/* The number of slots that a flush can turn into objects, as far as is known. */
static size_t sealable_slots(struct state *p)
{
    size_t slots = atomic_load(&p->contents.slots), stuck = atomic_load(&p->contents.stuck);

    return slots > stuck ? slots - stuck : 0;
}

/* Are there so many slots that a flush should seal all it can? */
static bool has_many_slots(struct state *p)
{
    return sealable_slots(p) > p->flush->slots_wait / SLOTS_KICK;
}

/* Are there so many slots that each change has to wait for a flush? */
static bool has_too_many_slots(struct state *p)
{
    return sealable_slots(p) > p->flush->slots_wait;
}

/* Bytes of buffers that a flush can seal; it can only keep the others. */
static size_t sealable_bytes(struct state *p)
{
    size_t all = atomic_load(&p->contents.buffered), held = atomic_load(&p->contents.held_room);

    return all > held ? all - held : 0;
}

/* How full is memory? 0: fine; 1: a flush should begin; 2: changes have to wait for one. */
static int pressure(struct state *p)
{
    size_t buffers = (size_t)settings_get(&p->settings, SET_BUFFERS);
    size_t cache = (size_t)settings_get(&p->settings, SET_PAGE_CACHE);
    size_t buffered = sealable_bytes(p), dirty = pages_dirty_bytes(p->pages);
    size_t changes = refs_changes(p->refs);

    if (buffered > buffers || dirty > cache || changes > CHANGES_WAIT)
        return 2;
    return buffered > buffers / 2 || dirty > cache / 2 || changes > CHANGES_KICK ||
           has_many_slots(p) || atomic_load(&p->logged) > LOG_KICK;
}

/* What may end a wait. A thread notes it before it looks at what it waits for: a change after that
 * look ends the wait at once, and is not missed. */
struct seen {
    uint64_t commits, failures, limits;
};

/* The present values of what may end a wait. */
static struct seen note_seen(struct flusher *f)
{
    MUTEX_GUARD(&f->lock);
    return (struct seen){f->commits, f->failed, f->limits};
}

/* Wait until a commit has come, a limit has changed, or an attempt has failed; then its error is
 * returned. */
static int wait_for_commit(struct flusher *f, const struct seen *s, bool urgent)
{
    MUTEX_GUARD(&f->lock);

    while (f->commits == s->commits && f->failed == s->failures && f->limits == s->limits) {
        if (f->stop)
            return -ESHUTDOWN;
        kick(f, urgent);
        WAITS_GUARD(WAITS_ROOM, "a commit, which makes room in memory", 0, NULL);
        cond_wait(&f->done, &f->lock);
    }
    return f->failed != s->failures ? f->error : 0;
}

/* Count a thread that begins or ends to wait for memory. */
static void waiting(struct state *p, bool begins, int64_t duration_ns)
{
    MUTEX_GUARD(&p->flush->lock);
    p->flush->waiting += begins ? 1 : (size_t)-1;
    p->flush->waited_ns += duration_ns;
}

/* Wait until memory is not full any more. */
static int wait_for_memory(struct state *p)
{
    int64_t start = ticks(p);
    struct seen seen = note_seen(p->flush);
    int err = 0;

    waiting(p, true, 0);
    while (err == 0 && pressure(p) == 2) {
        coordinator_retry(p->flush->coordinator);
        err = wait_for_commit(p->flush, &seen, true);
        seen = note_seen(p->flush);
    }
    waiting(p, false, ticks(p) - start);
    return err;
}

void flush_hold_writers(struct state *p, bool hold)
{
    MUTEX_GUARD(&p->flush->lock);

    if (hold == atomic_load(&p->flush->writers_held))
        return;
    atomic_store(&p->flush->writers_held, hold);
    cond_broadcast(&p->flush->done);
}

/* Wait as long as writers are held. */
static void wait_while_held(struct flusher *f)
{
    MUTEX_GUARD(&f->lock);

    WAITS_GUARD(WAITS_ROOM, "writers to be let go on", 0, NULL);
    while (atomic_load(&f->writers_held))
        cond_wait(&f->done, &f->lock);
}

int flush_throttle(struct state *p)
{
    struct flusher *f = p->flush;
    int full;

    if (atomic_load(&f->writers_held)) {
        if (!thread_may_wait())
            return -EWOULDWAIT;
        wait_while_held(f);
    }
    full = pressure(p);
    if (full == 0)
        return 0;
    if (!thread_may_wait() && (full == 2 || !f->threads_running || has_too_many_slots(p)))
        return -EWOULDWAIT;
    if (!f->threads_running)
        return flush_run(p, SEAL_BUFFERS);
    if (full == 2)
        return wait_for_memory(p);
    if (has_too_many_slots(p))
        return flush_now(p);
    flush_kick(p);
    return 0;
}

bool flush_takes_more(struct state *p)
{
    int full = pressure(p);

    if (full)
        flush_kick(p);
    return full < 2;
}

/* Bytes of the disk that new data may not take, but an eighth of a small disk at most. Removals
 * and the changes in memory need a commit, and a commit needs this room. */
uint64_t flush_reserve(const struct disk_space *s)
{
    uint64_t eighth = s->blocks / 8 * s->block_size;

    return eighth < ROOM_RESERVE ? eighth : ROOM_RESERVE;
}

/* Does the disk have room for `more` bytes beside the reserve, and with_memory beside what is in
 * memory? 0, or the error that this disk gives when it is full. */
static int has_room(struct state *p, bool with_memory, uint64_t more)
{
    struct disk_space s;
    uint64_t avail, needed;
    uint64_t unsaved =
        with_memory ? atomic_load(&p->contents.buffered) + 2 * (uint64_t)pages_dirty_bytes(p->pages)
                    : 0;

    if (disk_space(p->config.disk, &s) < 0)
        return 0; /* the write itself will fail if there is none */
    avail = s.blocks_avail * s.block_size;
    needed = flush_reserve(&s) + unsaved + more;
    if (avail > needed && avail - needed > ROOM_PLENTY)
        atomic_store(&p->flush->plenty_until, ticks(p) + ROOM_KNOWN);
    return avail >= needed ? 0 : s.full;
}

/* Has the cache of shards, which may be on the same disk, give back its room. Is that enough? As
 * has_room. */
static int room_of_cache(struct state *p, uint64_t more)
{
    if (p->cache)
        (void)cache_let_go(p->cache);
    return has_room(p, true, more);
}

/* Has a look at the disk a moment ago found plenty of room? */
static bool knows_of_room(struct state *p)
{
    return ticks(p) < atomic_load(&p->flush->plenty_until);
}

/* ns that a writer on a full disk waits for what is given up to be deleted */
#define ROOM_WAIT (30 * NSEC_PER_SEC)

/* A thread that waits for what another one gives up looks again so often. */
#define ROOM_LOOK (100 * NSEC_PER_MSEC)

/* Gives up the oldest of what is kept, and waits until it is deleted. If another thread does that,
 * the caller waits instead, so that no more is given up than is needed. False: nothing is left to
 * give up. */
static bool give_up_one(struct state *p, uint64_t more, int64_t left)
{
    struct flusher *f = p->flush;
    bool gave;

    if (atomic_exchange(&f->giving, true)) {
        MUTEX_GUARD(&f->lock);
        WAITS_GUARD(WAITS_ROOM, "room on the disk", 0, NULL);

        (void)cond_wait_for(&f->done, &f->lock, left < ROOM_LOOK ? left : ROOM_LOOK);
        return true;
    }
    gave = has_room(p, false, more) == 0 ||
           (f->hooks->give_back(p) && flush_drain(p, false, left, NULL) == 0);
    atomic_store(&f->giving, false);
    return gave;
}

/* Has what is kept in case somebody wants it back given up, the oldest first, until there is room
 * for `more` bytes. 0 or the error of has_room. */
static int room_of_kept(struct state *p, uint64_t more)
{
    int64_t until = ticks(p) + ROOM_WAIT, left;
    int err;

    while ((err = has_room(p, false, more)) < 0 && (left = until - ticks(p)) > 0)
        if (!give_up_one(p, more, left))
            break;
    return err < 0 ? has_room(p, false, more) : 0;
}

int flush_room(struct state *p)
{
    int err;

    if (knows_of_room(p) || has_room(p, true, 0) == 0)
        return 0;
    if (!thread_may_wait())
        return -EWOULDWAIT;
    if (room_of_cache(p, 0) == 0)
        return 0;
    err = flush_now(p); /* after that nothing in memory needs room */
    return err < 0 ? err : room_of_kept(p, 0);
}

int flush_room_for(struct state *p, uint64_t bytes)
{
    int err;

    assert(thread_may_wait());
    if (has_room(p, true, bytes) == 0 || room_of_cache(p, bytes) == 0)
        return 0;
    err = flush_now(p);
    return err < 0 ? err : room_of_kept(p, bytes);
}

void flush_know_limits(struct state *p)
{
    struct rlimit limit;

    p->flush->slots_wait = SLOTS_WAIT;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / SLOTS_PART < SLOTS_WAIT)
        p->flush->slots_wait = (size_t)limit.rlim_cur / SLOTS_PART;
}

int flush_short(struct state *p)
{
    return thread_may_wait() ? flush_now(p) : -EWOULDWAIT;
}

/* ---- settings ---- */

/* The flush thread computes its next wait from the new interval. */
static void interval_set(void *ctx, int64_t value)
{
    struct state *p = ctx;
    MUTEX_GUARD(&p->flush->lock);

    (void)value;
    cond_broadcast(&p->flush->wake);
}

/* Threads that wait for memory look again: the new limit may let them go on. */
static void limit_set(void *ctx, int64_t value)
{
    struct state *p = ctx;
    MUTEX_GUARD(&p->flush->lock);

    (void)value;
    p->flush->limits++;
    cond_broadcast(&p->flush->done);
}

/* Slots may be ready to be sealed by the new delay. */
static void delay_set(void *ctx, int64_t value)
{
    (void)value;
    flush_kick(ctx);
}

void flusher_watch(struct state *p)
{
    settings_watch(&p->settings, SET_FLUSH_INTERVAL, interval_set, p);
    settings_watch(&p->settings, SET_BUFFERS, limit_set, p);
    settings_watch(&p->settings, SET_PAGE_CACHE, limit_set, p);
    settings_watch(&p->settings, SET_SEAL_DELAY, delay_set, p);
}

/* ---- the threads ---- */

/* May a flush begin? If nothing is urgent, one flush is in flight and one is being prepared:
 * requests that come meanwhile share the next one. After a failure a new flush begins soon, so
 * that the threads that wait get its result. */
static bool may_begin(const struct flusher *f)
{
    return f->in_flight < 2 || f->urgent || f->error < 0;
}

/* ns until the next flush is due by the setting, which may change meanwhile. */
static int64_t interval_left(struct state *p, int64_t begin)
{
    return begin + settings_get(&p->settings, SET_FLUSH_INTERVAL) - ticks(p);
}

/* Wait until a flush was asked for and may begin, or is due. False: the thread has to end. */
static bool wait_to_begin(struct state *p, bool *ret_asked)
{
    struct flusher *f = p->flush;
    int64_t begin = ticks(p), left;
    MUTEX_GUARD(&f->lock);

    while (!f->stop && !(f->kicked && may_begin(f)) && (left = interval_left(p, begin)) > 0)
        (void)cond_wait_for(&f->wake, &f->lock, left);
    *ret_asked = f->kicked;
    f->kicked = f->urgent = false;
    f->started++;
    return !f->stop;
}

/* Begin a flush, and keep its ticket for the threads that asked. */
static void begin_one(struct state *p)
{
    struct flusher *f = p->flush;
    bool many = has_many_slots(p);
    struct ticket *t = NULL;
    int err = flush_begin(p, many ? SEAL_CLOSED : SEAL_READY, &t); /* the status shows its error */
    MUTEX_GUARD(&f->lock);

    f->result = err;
    if (err < 0)
        return;
    ticket_unref(f->ticket);
    f->ticket = t;
}

/* The thread that flushes. A flush that nobody asked for is skipped if nothing has changed. */
static void *flush_main(void *arg)
{
    struct state *p = arg;
    struct flusher *f = p->flush;
    bool asked;

    while (wait_to_begin(p, &asked)) {
        lastuse_apply(p);
        if (asked || !flush_is_idle(p))
            begin_one(p);
        {
            MUTEX_GUARD(&f->lock);
            f->finished = f->started;
            cond_broadcast(&f->done);
        }
        f->hooks->flushed(p);
        passthrough_table_sweep(p);
    }
    return NULL;
}

/* Has one of the two come for which a drop is tried again that an error stopped: a commit, or the
 * time `due`? Needs the lock. */
static bool retry_is_due(struct state *p, const struct seen *s, int64_t due)
{
    mutex_held(&p->flush->lock);
    return p->flush->commits != s->commits || ticks(p) >= due;
}

/* Wait until there are drops to work off. `failed`: an error stopped those that there are, after
 * `s` was noted. False: the thread has to end. */
static bool drops_wait(struct state *p, bool failed, const struct seen *s)
{
    struct flusher *f = p->flush;
    int64_t due = ticks(p) + DROP_RETRY;
    MUTEX_GUARD(&f->lock);

    while (!f->kick_drops && !f->stop && !(failed && retry_is_due(p, s, due))) {
        if (failed)
            (void)cond_wait_for(&f->wake, &f->lock, due - ticks(p));
        else
            cond_wait(&f->wake, &f->lock);
    }
    f->kick_drops = false;
    return !f->stop;
}

/* Do the threads have to end? */
static bool stopping(struct flusher *f)
{
    MUTEX_GUARD(&f->lock);
    return f->stop;
}

/* The changes that a drop makes count towards the same limits as those of writers, until a commit
 * has them. The drop may use only half of these limits; the rest is left to the writers. Above that
 * the drop thread waits for one commit here, whether it succeeds or fails: the drop has to go on
 * even if writers never pause. */
static void give_way(struct state *p)
{
    const struct seen seen = note_seen(p->flush);

    if (pages_dirty_bytes(p->pages) > (size_t)settings_get(&p->settings, SET_PAGE_CACHE) / 2 ||
        refs_changes(p->refs) > CHANGES_KICK)
        (void)wait_for_commit(p->flush, &seen, false);
}

/* Work off drops until none is left or the threads have to end. *ret_seen is noted before a step
 * that fails. */
static int work_off_queue(struct state *p, struct seen *ret_seen)
{
    unsigned done, steps = 0;
    int err;

    do {
        if (steps++ % DROP_STEPS == 0) {
            p->flush->hooks->drops_done(p);
            give_way(p);
        }
        *ret_seen = note_seen(p->flush);
        err = flush_throttle(p);
        if (err == 0) {
            READ_GUARD(&p->freeze_lock);
            err = drops_step(p->drops, DROP_AT_ONCE, &done);
        }
    } while (err == 0 && done && !stopping(p->flush));
    return err;
}

/* The thread that works off dropped pages. It waits for memory as writers do, and goes on after an
 * error that passes, unless the store is read-only. It is no job of the workers: a drop can neither
 * be refused because a queue is full nor wait behind another job, since the room that it gives back
 * is what writers may wait for; and it serves all drops at once, also those of earlier mounts, of
 * which each is a job only for those who look at it or wait for it. */
static void *drop_main(void *arg)
{
    struct state *p = arg;
    struct seen seen = {0};
    int err = 0;

    while (drops_wait(p, err < 0 && err != -EROFS, &seen)) {
        err = work_off_queue(p, &seen);
        p->flush->hooks->drops_done(p);
    }
    return NULL;
}

int flush_start_threads(struct state *p)
{
    struct flusher *f = p->flush;
    int err;

    f->threads_running = true;
    err = pthread_create(&f->flush_thread, NULL, flush_main, p);
    if (err) {
        f->threads_running = false;
        return -err;
    }
    err = pthread_create(&f->drop_thread, NULL, drop_main, p);
    if (err) {
        {
            MUTEX_GUARD(&f->lock);
            f->stop = true;
            cond_broadcast(&f->wake);
        }
        pthread_join(f->flush_thread, NULL);
        f->threads_running = false;
        return -err;
    }
    if (drops_left(p->drops))
        flush_kick_drops(p);
    return 0;
}

void flush_stop_threads(struct state *p)
{
    struct flusher *f = p->flush;

    if (!f->threads_running)
        return;
    {
        MUTEX_GUARD(&f->lock);
        f->stop = true;
        cond_broadcast(&f->wake);
        cond_broadcast(&f->done);
    }
    coordinator_retry(f->coordinator); /* the flush thread may wait for a flush that fails */
    pthread_join(f->flush_thread, NULL);
    pthread_join(f->drop_thread, NULL);
    {
        MUTEX_GUARD(&f->lock);
        while (f->seals_for_views)
            cond_wait(&f->done, &f->lock);
    }
    coordinator_stop(f->coordinator);
    f->threads_running = false;
}

/* ---- looking on ---- */

/* Commits per second, over the last FLUSH_RATE_OF commits. Needs the lock. */
static double rate(struct state *p)
{
    struct flusher *f = p->flush;
    uint64_t n = f->commits < FLUSH_RATE_OF ? f->commits : FLUSH_RATE_OF;

    mutex_held(&f->lock);
    if (n == 0)
        return 0;
    double span_ns = (double)(ticks(p) - f->commit_at[(f->commits - n) % FLUSH_RATE_OF]);
    return span_ns > 0 ? (double)n * (double)NSEC_PER_SEC / span_ns : 0;
}

void flush_get_stats(struct state *p, struct flush_stats *ret)
{
    struct flusher *f = p->flush;

    coordinator_get_stats(f->coordinator, &ret->flushes);
    MUTEX_GUARD(&f->lock);
    ret->waiting = f->waiting;
    ret->waited_ns = f->waited_ns;
    ret->commits = f->commits;
    ret->failed = f->failed;
    ret->per_second = rate(p);
    ret->last_commit = f->last_commit;
    ret->committed = f->durable_seq;
    ret->error = f->error;
}

void flush_numbers(struct state *p, uint64_t *ret_done, uint64_t *ret_next)
{
    coordinator_numbers(p->flush->coordinator, ret_done, ret_next);
}

int flush_ticket(struct state *p, uint64_t number, struct ticket **ret_ticket)
{
    return coordinator_ticket(p->flush->coordinator, number, ret_ticket);
}

uint64_t flush_commits(struct state *p)
{
    return atomic_load(&p->flush->committed);
}

uint64_t flush_reclaimed(struct state *p)
{
    return atomic_load(&p->flush->reclaimed);
}
