// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of `set`: a new value counts from now on, also for whoever waits by the old one. The clock
 * stands still, so that nobody goes on because his time is over; each test has a limit.
 */
#include "fixture.h"

#include "content.h"
#include "move.h"
#include "shard_mem.h"
#include "store_impl.h"

static struct fixture x;
static struct shard_mem *cold; /* NULL: no test of shards */

/* With threads of its own. */
static void up(void)
{
    struct state_config config;

    fixture_setup(&x);
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_CREATE, &x.kv), 0);
    config = (struct state_config){.disk = x.disk,
                                     .kv = x.kv,
                                     .clock = &x.clock.base,
                                     .background = true,
                                     .log_segment = 1 << 20};
    cr_assert_eq(store_open(&config, &x.p), 0);
}
static void down(void)
{
    fixture_teardown(&x);
    if (cold)
        shard_mem_destroy(cold);
}

TestSuite(set, .init = up, .fini = down, .timeout = 60);

static uint64_t committed(void)
{
    MUTEX_GUARD(&x.p->flush->lock);
    return x.p->flush->durable_seq;
}

static bool flusher_rests(void)
{
    MUTEX_GUARD(&x.p->flush->lock);
    return !x.p->flush->kicked && x.p->flush->finished == x.p->flush->started;
}

/* It begins none any more but by the settings. When it has looked at the clock for the next is not
 * known. */
static void until_the_flusher_rests(void)
{
    agreed(&x, "drain", "ok");
    while (!flusher_rests())
        sched_yield();
}

Test(set, flush_interval)
{
    agreed(&x, "set flush_interval 1h", "ok");
    until_the_flusher_rests();
    put_file(&x, "main/a", "hello");
    agreed(&x, "set flush_interval 100ms", "ok");
    while (committed() < state_seq(x.p)) { /* within ten minutes: the limit is 60,000 times 1 ms */
        clock_manual_advance(&x.clock, 10 * NSEC_PER_MSEC);
        usleep(1000);
    }
}

#define MUCH ((size_t)2 << 20)

static void *write_much(void *arg)
{
    char piece[65536];

    memset(piece, 'x', sizeof piece);
    for (uint64_t i = 0; i < 64; i++)
        if (vfs_write(arg, piece, sizeof piece, i * sizeof piece) != sizeof piece)
            return NULL;
    return arg;
}

static size_t writers_waiting(void)
{
    MUTEX_GUARD(&x.p->flush->lock);
    return x.p->flush->waiting;
}

Test(set, buffers)
{
    struct vfs_file *f;
    struct vfs_attr a;
    pthread_t thread;
    void *done;

    agreed(&x, "set buffers 1M", "ok");
    agreed(&x, "drain", "ok");
    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "a", 0644, &fixture_cred, VFS_WRITE, &a, &f),
                 0);
    mutex_lock(&x.p->flush->seal); /* no flush gets any further, */
    atomic_fetch_add(&x.p->contents.buffered, MUCH); /* and there is that much elsewhere */
    cr_assert_eq(pthread_create(&thread, NULL, write_much, f), 0);
    while (writers_waiting() == 0)
        sched_yield();
    agreed(&x, "set buffers 1G", "ok");
    pthread_join(thread, &done);
    cr_assert_eq(done, f);
    atomic_fetch_sub(&x.p->contents.buffered, MUCH);
    mutex_unlock(&x.p->flush->seal);
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
}

/* Dirty pages that there seem to be beside those that there are. */
static _Atomic size_t dirty_elsewhere;

size_t __real_pages_dirty_bytes(struct pages *ps);
size_t __wrap_pages_dirty_bytes(struct pages *ps);
size_t __wrap_pages_dirty_bytes(struct pages *ps)
{
    return __real_pages_dirty_bytes(ps) + atomic_load(&dirty_elsewhere);
}

Test(set, page_cache)
{
    struct vfs_file *f;
    struct vfs_attr a;
    pthread_t thread;
    void *done;

    agreed(&x, "set page_cache 4M", "ok");
    agreed(&x, "drain", "ok");
    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "a", 0644, &fixture_cred, VFS_WRITE, &a, &f),
                 0);
    mutex_lock(&x.p->flush->seal); /* no flush gets any further */
    atomic_store(&dirty_elsewhere, 8 << 20);
    cr_assert_eq(pthread_create(&thread, NULL, write_much, f), 0);
    while (writers_waiting() == 0)
        sched_yield();
    agreed(&x, "set page_cache 1G", "ok");
    pthread_join(thread, &done);
    cr_assert_eq(done, f);
    atomic_store(&dirty_elsewhere, 0);
    mutex_unlock(&x.p->flush->seal);
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
}

static void *look(void *arg)
{
    *(size_t *)arg = seal_settle(x.p);
    return NULL;
}

Test(set, view_wait)
{
    pthread_t thread;
    size_t left = 0;

    agreed(&x, "set flush_interval 1h", "ok");
    agreed(&x, "set view_wait 60s", "ok");
    until_the_flusher_rests();
    put_file(&x, "main/a", "hello");
    mutex_lock(&x.p->flush->seal);
    cr_assert_eq(pthread_create(&thread, NULL, look, &left), 0);
    agreed(&x, "set view_wait 0ms", "ok");
    pthread_join(thread, NULL);
    cr_assert_eq(left, 1);
    mutex_unlock(&x.p->flush->seal);
}

struct paying {
    struct rate rate;
    enum setting which;
};

static int pay(struct state *p, struct job *j, void *arg)
{
    struct paying *paying = arg;

    return job_pay(p, j, &paying->rate, 0, paying->which);
}

static void not_paid(struct state *p, void *arg, int err)
{
    (void)p;
    (void)arg;
    cr_assert_eq(err, 0, "it was dropped");
}

static uint64_t rate_of(const struct paying *paying)
{
    MUTEX_GUARD(&x.p->jobs->lock);
    return paying->rate.per_second;
}

/* What is owed takes a day at the slow rate, and less than two seconds at the other one. */
static void rate_counts_at_once(enum setting which, const char *slow, const char *fast)
{
    struct paying paying = {.which = which};
    char result[256];
    struct job *j;
    uint64_t n;
    int error;

    agreed(&x, slow, "ok");
    rate_init(&paying.rate, &x.clock.base);
    (void)rate_spend(&paying.rate, UINT64_C(1) << 40,
                     (uint64_t)settings_get(&x.p->settings, which));
    cr_assert_eq(job_start(x.p, "test", "", &j), 0);
    n = j->number;
    cr_assert_eq(job_run(x.p, j, &(struct job_work){.fn = pay, .dropped = not_paid, .arg = &paying},
                         -1, NULL),
                 0);
    cr_assert_eq(job_wait(x.p, n, 0, NULL, &error, result), -ETIMEDOUT);
    agreed(&x, fast, "ok");
    while (rate_of(&paying) != (uint64_t)settings_get(&x.p->settings, which))
        sched_yield();
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    cr_assert_eq(job_wait(x.p, n, -1, NULL, &error, result), 0);
    cr_assert_eq(error, 0);
}

Test(set, scrub_rate)
{
    rate_counts_at_once(SET_SCRUB_RATE, "set scrub_rate 1M", "set scrub_rate 64G");
}

Test(set, sweep_rate)
{
    rate_counts_at_once(SET_SWEEP_RATE, "set sweep_rate 1", "set sweep_rate 1000000");
}

Test(set, sweep_interval)
{
    {
        MUTEX_GUARD(&x.p->shards_thread->lock);
        x.p->shards_thread->kicked = false;
    }
    shards_thread_stop(x.p); /* then it is seen that it was woken */
    agreed(&x, "set sweep_interval 1m", "ok");
    cr_assert(x.p->shards_thread->kicked);
}

Test(set, seal_delay_and_compact_below)
{
    uint64_t started, now;

    agreed(&x, "set flush_interval 1h", "ok");
    until_the_flusher_rests();
    for (int i = 0; i < 2; i++) {
        {
            MUTEX_GUARD(&x.p->flush->lock);
            started = x.p->flush->started;
        }
        agreed(&x, i ? "set compact_below 60%" : "set seal_delay 0ms", "ok");
        do {
            MUTEX_GUARD(&x.p->flush->lock);
            now = x.p->flush->started;
        } while (now == started);
    }
}

Test(set, max_pending_flushes_and_flush_retry_reach_the_coordinator)
{
    struct coordinator_stats s;

    agreed(&x, "set max_pending_flushes 7", "ok");
    agreed(&x, "set flush_retry 3", "ok");
    coordinator_get_stats(x.p->flush->coordinator, &s);
    cr_assert_eq(s.permits, 7);
}

static void *say_it(void *arg)
{
    static char reply[4096];

    return say(&x, arg, reply) < 0 ? reply : NULL;
}

/* Begins a flush whose first attempt finds the disk full; the next one the clock never lets begin.
 * The write that fails may be another one, of the log: then once more. */
static uint64_t failing_flush(void)
{
    struct coordinator_stats s = {.failed = 0};
    uint64_t done = 0, next = 0;

    x.fault.error = ENOSPC;
    do {
        x.fault.fail_at = 0;
        put_file(&x, "main/a", "hello");
        agreed(&x, "drain", "ok"); /* no bytes are left that have to be sealed first */
        cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "a"), 0);
        x.fault.fail_at = x.fault.writes + 1;
        agreed(&x, "flush", "ok ticket=");
        do {
            sched_yield();
            coordinator_get_stats(x.p->flush->coordinator, &s);
            coordinator_numbers(x.p->flush->coordinator, &done, &next);
        } while (s.failed == 0 && done < next);
    } while (s.failed == 0);
    x.fault.fail_at = 0;
    return next - 1;
}

Test(set, flush_retry_ends_the_wait_for_a_flush_that_has_failed)
{
    uint64_t ticket;
    pthread_t thread;
    char line[64];
    void *why;

    agreed(&x, "set flush_interval 1h", "ok");
    until_the_flusher_rests();
    ticket = failing_flush();
    snprintf(line, sizeof line, "wait ticket %llu 0ms", (unsigned long long)ticket);
    refused(&x, line, -ETIMEDOUT, "");
    *strstr(line, " 0ms") = 0;
    cr_assert_eq(pthread_create(&thread, NULL, say_it, line), 0);
    agreed(&x, "set flush_retry 0", "ok");
    pthread_join(thread, &why);
    cr_assert_not_null(why);
    cr_assert(strstr(why, "error ENOSPC wait: "), "%s", (char *)why);
    clock_manual_advance(&x.clock, 3600 * NSEC_PER_SEC);
    agreed(&x, "drain", "ok");
}

Test(set, max_in_flight_jobs_and_max_enqueued_jobs_reach_the_workers)
{
    struct workers_stats s;

    agreed(&x, "set max_in_flight_jobs 9", "ok");
    agreed(&x, "set max_enqueued_jobs 5000", "ok");
    workers_get_stats(x.p->workers, &s);
    cr_assert_eq(s.threads, 10);
    agreed(&x, "set max_in_flight_jobs 1", "ok");
    workers_get_stats(x.p->workers, &s);
    cr_assert_eq(s.threads, 2);
    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok");
}

static int until_told(struct state *p, struct job *j, void *arg)
{
    (void)p;
    (void)arg;
    while (!atomic_load(&j->cancel))
        sched_yield();
    return -ECANCELED;
}

static void await_jobs(size_t running, size_t queued)
{
    while (jobs_in(x.p, JOB_QUEUED) != queued || jobs_in(x.p, JOB_RUNNING) != running)
        sched_yield();
}

Test(set, as_many_jobs_run_as_max_in_flight_jobs_says_now)
{
    const struct job_work w = {.fn = until_told};
    struct job *j;

    agreed(&x, "set max_in_flight_jobs 1", "ok");
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(job_start(x.p, "test", "", &j), 0);
        cr_assert_eq(job_run(x.p, j, &w, -1, NULL), 0);
    }
    await_jobs(1, 9);
    agreed(&x, "set max_in_flight_jobs 6", "ok");
    await_jobs(6, 4);
    agreed(&x, "set max_in_flight_jobs 2", "ok");
    for (uint64_t n = 1; n <= 5; n++) /* in order: these run */
        cr_assert_eq(job_cancel(x.p, n), 0);
    await_jobs(2, 3); /* five ended, one more began */
    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok");
    agreed(&x, "set max_in_flight_jobs 0", "ok");
    while (jobs_in(x.p, JOB_RUNNING) < 4) /* at least so many, on few CPUs, too */
        sched_yield();
}

Test(set, max_pending_flushes_lets_a_flush_go_on_that_waits_for_a_permit)
{
    struct coordinator_stats s = {.waiting = 0};
    pthread_t thread;
    void *why;

    agreed(&x, "set flush_interval 1h", "ok");
    agreed(&x, "set max_pending_flushes 1", "ok");
    until_the_flusher_rests();
    (void)failing_flush();
    cr_assert_eq(pthread_create(&thread, NULL, say_it, "flush"), 0);
    while (s.waiting == 0) {
        sched_yield();
        coordinator_get_stats(x.p->flush->coordinator, &s);
    }
    agreed(&x, "set max_pending_flushes 2", "ok");
    pthread_join(thread, &why);
    cr_assert_null(why, "%s", (char *)why);
    clock_manual_advance(&x.clock, 3600 * NSEC_PER_SEC);
    agreed(&x, "drain", "ok");
}

/* ---- with a shard ---- */

#define MOVED 300000

/* main/large is a file, and there is a shard 1. */
static void up_with_a_shard(void)
{
    char *text = malloc(MOVED + 1);

    shard_mem_register();
    cr_assert_eq(shard_mem_create("cold", &x.fault, &cold), 0);
    agreed(&x, "shard add 1 mem:cold", "ok shard=1");
    memset(text, 'm', MOVED);
    text[MOVED] = 0;
    put_file(&x, "main/large", text);
    agreed(&x, "drain", "ok");
    free(text);
}

/* Of which lock this thread says when it waits with it, by cond_wait_for; NULL: of none. */
static _Thread_local const char *watched;
static _Thread_local bool sleeps_long; /* it wakes then only if it is woken */
static _Atomic bool waits;

int __real_cond_wait_for(struct cond *c, struct mutex *m, int64_t ns);
int __wrap_cond_wait_for(struct cond *c, struct mutex *m, int64_t ns);
int __wrap_cond_wait_for(struct cond *c, struct mutex *m, int64_t ns)
{
    if (!watched || strcmp(m->name, watched) != 0)
        return __real_cond_wait_for(c, m, ns);
    atomic_store(&waits, true); /* with the lock */
    if (!sleeps_long)
        return __real_cond_wait_for(c, m, ns);
    cond_wait(c, m);
    return 0;
}

/* Two jobs that run until they are cancelled: the first one runs, and the second one fills the
 * queue. Returns the number of the second one. */
static uint64_t fill_the_queue(void)
{
    const struct job_work w = {.fn = until_told};
    struct job *j;
    uint64_t number = 0;

    for (size_t queued = 0; queued < 2; queued++) {
        cr_assert_eq(job_start(x.p, "test", "", &j), 0);
        number = j->number;
        cr_assert_eq(job_run(x.p, j, &w, 0, NULL), 0);
        await_jobs(1, queued);
    }
    return number;
}

static void *move_behind_others(void *arg)
{
    watched = "jobs";
    return say_it(arg);
}

Test(set, max_enqueued_jobs_lets_a_move_go_on_that_waits_behind_a_full_queue)
{
    pthread_t thread;
    char line[64];
    uint64_t last;
    void *why;

    up_with_a_shard();
    agreed(&x, "set max_in_flight_jobs 1", "ok");
    agreed(&x, "set max_enqueued_jobs 1", "ok");
    last = fill_the_queue();
    cr_assert_eq(pthread_create(&thread, NULL, move_behind_others, "move main/large 1"), 0);
    while (!atomic_load(&waits))
        sched_yield();
    agreed(&x, "set max_enqueued_jobs 5000", "ok");
    pthread_join(thread, &why);
    cr_assert_null(why, "%s", (char *)why);
    cr_assert_eq(job_cancel(x.p, last - 1), 0);
    cr_assert_eq(job_cancel(x.p, last), 0);
    snprintf(line, sizeof line, "wait %llu", (unsigned long long)last + 1);
    agreed(&x, line, "objects=1");
}

static void *read_moved(void *arg)
{
    struct vfs_file *f;
    char byte;

    watched = "shards";
    sleeps_long = true; /* else it would see the setting by itself, a moment later */
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/large"), 0, &f), 0);
    *(ssize_t *)arg = vfs_read(f, &byte, 1, 0);
    vfs_release(f);
    return NULL;
}

Test(set, shard_wait_ends_the_wait_of_a_reader)
{
    pthread_t thread;
    ssize_t n = 0;

    up_with_a_shard();
    agreed(&x, "move main/large 1 wait", "objects=1");
    agreed(&x, "set shard_wait 10m", "ok");
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(pthread_create(&thread, NULL, read_moved, &n), 0);
    while (!atomic_load(&waits))
        sched_yield();
    agreed(&x, "set shard_wait 0s", "ok");
    pthread_join(thread, NULL);
    cr_assert_eq(n, -EIO);
}
