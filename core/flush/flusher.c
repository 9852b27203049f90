// SPDX-License-Identifier: Apache-2.0
/*
 * flusher: when a flush happens, and who waits for it: fsync, writers that are throttled,
 * and the two background threads, one that flushes and one that works off what was dropped.
 *
 * Who asks for a flush waits for one that starts after it asked; many share one. Writers are slowed
 * before any lock is taken: a flush needs the freeze lock for writing, which they would hold.
 */
#include "coordinator.h"
#include "durability.h"
#include "flush_impl.h"
#include "nowait.h"
#include "state.h"
#include "ticket.h"
#include <errno.h>
#include <sys/resource.h>

#define DROP_STEPS 16 /* at least for each commit that is waited for */
#define ROOM_RESERVE (UINT64_C(16) << 20) /* bytes */
/* With so much more there is room for longer than it takes to fill: the disk need not be asked by
 * every write. */
#define ROOM_PLENTY (UINT64_C(256) << 20) /* bytes */
#define ROOM_KNOWN (20 * NSEC_PER_MSEC)
#define CHANGES_KICK 100000u /* uncommitted table changes that start a flush */
#define CHANGES_WAIT 400000u /* at which writers wait for it */
#define SLOTS_KICK 4         /* a part of SLOTS_WAIT that makes a flush seal all it can */
#define LOG_KICK (UINT64_C(64) << 20) /* bytes of the log that only a commit gives back */
/* At so many slots, each an open file, or at this part of the files that may be open, each change
 * waits for a flush; those that are being written stay. */
#define SLOTS_WAIT 512u
#define SLOTS_PART 4

/* ---- asking for one ---- */

/* Needs the lock. Once is enough: under pressure each change says so, and whoever flushes may not
 * be allowed to begin yet, of which a commit tells him. */
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
    /* One that has started may have frozen without us: the next one has us. */
    uint64_t want = f->started + 1;

    while (f->finished < want) {
        if (f->stop)
            return -ESHUTDOWN;
        kick(f, false);
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

/* Those that a flush makes fewer, as far as anybody knows. */
static size_t sealable_slots(struct state *p)
{
    size_t slots = atomic_load(&p->contents.slots), stuck = atomic_load(&p->contents.stuck);

    return slots > stuck ? slots - stuck : 0;
}

static bool has_many_slots(struct state *p)
{
    return sealable_slots(p) > p->flush->slots_wait / SLOTS_KICK;
}

static bool has_too_many_slots(struct state *p)
{
    return sealable_slots(p) > p->flush->slots_wait;
}

/* What a flush makes less: bytes of buffers, but of those that it can only keep. */
static size_t sealable_bytes(struct state *p)
{
    size_t all = atomic_load(&p->contents.buffered), held = atomic_load(&p->contents.held_room);

    return all > held ? all - held : 0;
}

/* How full is it: 0 fine, 1 start a flush, 2 wait for one. */
static int pressure(struct state *p)
{
    size_t buffers = (size_t)settings_get(&p->settings, SET_BUFFERS);
    size_t cache = (size_t)settings_get(&p->settings, SET_PAGE_CACHE);
    size_t buffered = sealable_bytes(p), dirty = pages_dirty_bytes(p->pages);
    size_t changes = refs_changes(p->refs);

    if (buffered > buffers || dirty > cache || changes > CHANGES_WAIT)
        return 2;
    return buffered > buffers / 2 || dirty > cache / 2 || changes > CHANGES_KICK ||
           has_many_slots(p) ||
           atomic_load(&p->logged) > LOG_KICK;
}

/* What may end a wait. It is noted before the look at what is waited for: what changes behind that
 * look ends the wait at once. */
struct seen {
    uint64_t commits, failures, limits;
};

static struct seen note_seen(struct flusher *f)
{
    MUTEX_GUARD(&f->lock);
    return (struct seen){f->commits, f->failed, f->limits};
}

/* Until a commit has come, a limit is another one, or an attempt has failed: then its error. */
static int wait_for_commit(struct flusher *f, const struct seen *s, bool urgent)
{
    MUTEX_GUARD(&f->lock);

    while (f->commits == s->commits && f->failed == s->failures && f->limits == s->limits) {
        if (f->stop)
            return -ESHUTDOWN;
        kick(f, urgent);
        cond_wait(&f->done, &f->lock);
    }
    return f->failed != s->failures ? f->error : 0;
}

static void waiting(struct state *p, bool begins, int64_t duration_ns)
{
    MUTEX_GUARD(&p->flush->lock);
    p->flush->waiting += begins ? 1 : (size_t)-1;
    p->flush->waited_ns += duration_ns;
}

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

int flush_throttle(struct state *p)
{
    struct flusher *f = p->flush;
    int full = pressure(p);

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

/* Bytes of the disk that new data may not take: removing, too, needs a commit, and so does what is
 * in memory already. An eighth of a small disk. */
uint64_t flush_reserve(const struct disk_space *s)
{
    uint64_t eighth = s->blocks / 8 * s->block_size;

    return eighth < ROOM_RESERVE ? eighth : ROOM_RESERVE;
}

/* 0, or the error that a disk without room gives. */
static int has_room(struct state *p, bool with_memory, uint64_t more)
{
    struct disk_space s;
    uint64_t avail, needed;
    uint64_t unsaved =
        with_memory ? atomic_load(&p->contents.buffered) + 2 * (uint64_t)pages_dirty_bytes(p->pages)
                    : 0;

    if (disk_space(p->config.disk, &s) < 0)
        return 0; /* the write itself will tell */
    avail = s.blocks_avail * s.block_size;
    needed = flush_reserve(&s) + unsaved + more;
    if (avail > needed && avail - needed > ROOM_PLENTY)
        atomic_store(&p->flush->plenty_until, ticks(p) + ROOM_KNOWN);
    return avail >= needed ? 0 : s.full;
}

static bool knows_of_room(struct state *p)
{
    return ticks(p) < atomic_load(&p->flush->plenty_until);
}

int flush_room(struct state *p)
{
    int err;

    if (knows_of_room(p) || has_room(p, true, 0) == 0)
        return 0;
    if (!thread_may_wait())
        return -EWOULDWAIT;
    err = flush_now(p); /* then memory holds nothing more that needs room */
    return err < 0 ? err : has_room(p, false, 0);
}

int flush_room_for(struct state *p, uint64_t bytes)
{
    int err;

    if (has_room(p, true, bytes) == 0)
        return 0;
    err = flush_now(p);
    return err < 0 ? err : has_room(p, false, bytes);
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

static void interval_set(void *ctx, int64_t value)
{
    struct state *p = ctx;
    MUTEX_GUARD(&p->flush->lock);

    (void)value;
    cond_broadcast(&p->flush->wake);
}

/* Who waits for memory may not need to. */
static void limit_set(void *ctx, int64_t value)
{
    struct state *p = ctx;
    MUTEX_GUARD(&p->flush->lock);

    (void)value;
    p->flush->limits++;
    cond_broadcast(&p->flush->done);
}

/* What was not ready may be now. */
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

/* Where nothing presses, one flush is in flight and one on its way there: the more ask for the next
 * meanwhile, the more share it. After a failure whoever asks is to be told, soon. */
static bool may_begin(const struct flusher *f)
{
    return f->in_flight < 2 || f->urgent || f->error < 0;
}

/* ns; by what the setting says now. */
static int64_t interval_left(struct state *p, int64_t begin)
{
    return begin + settings_get(&p->settings, SET_FLUSH_INTERVAL) - ticks(p);
}

/* Until a flush is asked for and may begin, or it is time for one. False: the end. */
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

static void begin_one(struct state *p)
{
    struct flusher *f = p->flush;
    bool many = has_many_slots(p);
    struct ticket *t = NULL;
    int err = flush_begin(p, many ? SEAL_CLOSED : SEAL_READY, &t); /* status has its error */
    MUTEX_GUARD(&f->lock);

    f->result = err;
    if (err < 0)
        return;
    ticket_unref(f->ticket);
    f->ticket = t;
}

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

static bool drops_wait(struct flusher *f)
{
    MUTEX_GUARD(&f->lock);

    while (!f->kick_drops && !f->stop)
        cond_wait(&f->wake, &f->lock);
    f->kick_drops = false;
    return !f->stop;
}

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

static void *drop_main(void *arg)
{
    struct state *p = arg;
    unsigned done, steps = 0;

    while (drops_wait(p->flush)) {
        do {
            if (steps++ % DROP_STEPS == 0)
                give_way(p);
            int err = flush_throttle(p);
            if (err == 0) {
                READ_GUARD(&p->freeze_lock);
                err = drops_step(p->drops, DROP_AT_ONCE, &done);
            }
            if (err < 0)
                break;
        } while (done && !stopping(p->flush));
        if (drops_left(p->drops) == 0)
            p->flush->hooks->drops_done(p);
    }
    return NULL;
}

int flush_start_threads(struct state *p)
{
    struct flusher *f = p->flush;
    int err = pthread_create(&f->flush_thread, NULL, flush_main, p);

    if (err)
        return -err;
    f->threads_running = true;
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
    coordinator_stop(f->coordinator);
    f->threads_running = false;
}

/* ---- looking on ---- */

/* Needs the lock. */
static double rate(struct state *p)
{
    struct flusher *f = p->flush;
    uint64_t n = f->commits < FLUSH_RATE_OF ? f->commits : FLUSH_RATE_OF;

    mutex_held(&f->lock);
    if (n == 0)
        return 0;
    double ns = (double)(ticks(p) - f->commit_at[(f->commits - n) % FLUSH_RATE_OF]);
    return ns > 0 ? (double)n * (double)NSEC_PER_SEC / ns : 0;
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
