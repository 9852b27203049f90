// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of jobs: how they run, end, are waited for, cancelled and forgotten.
 */
#include "thread.h"
#include "fixture.h"

#include "control_impl.h"
#include "store_impl.h"
#include <time.h>

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(jobs, .init = up, .fini = down);

static uint64_t started(const char *verb, struct job **ret)
{
    cr_assert_eq(job_start(x.p, verb, "", ret), 0);
    return (*ret)->number;
}

static void not_run(struct state *p, void *arg, int err)
{
    (void)p;
    (void)arg;
    (void)err;
}

static int given(struct job *j, job_fn *fn, void *arg)
{
    return job_run(x.p, j, &(struct job_work){.fn = fn, .dropped = not_run, .arg = arg}, -1, NULL);
}

static int until_cancelled(struct state *p, struct job *j, void *arg)
{
    (void)p;
    (void)arg;
    while (!atomic_load(&j->cancel))
        usleep(1000);
    return -ECANCELED;
}

static void await_begun(const struct job *j)
{
    enum job_state state = JOB_QUEUED;

    while (state == JOB_QUEUED) {
        MUTEX_GUARD(&x.p->jobs->lock);
        state = j->state;
    }
}

static int with_result(struct state *p, struct job *j, void *arg)
{
    job_progress(p, j, 3, 4);
    job_result(p, j, "changed=7 more=1");
    return *(int *)arg;
}

static int waited(uint64_t job, int64_t timeout, char result[256])
{
    int error = 1, err = job_wait(x.p, job, timeout, NULL, &error, result);

    return err < 0 ? err : error;
}

Test(jobs, one_that_ends_well_leaves_its_result)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char result[256];
    struct job *j;
    uint64_t n = started("rebuild", &j);
    int zero = 0;

    cr_assert_eq(given(j, with_result, &zero), 0);
    cr_assert_eq(waited(n, -1, result), 0);
    cr_assert_str_eq(result, "changed=7 more=1");
    cr_assert_eq(view_job(x.p, n, &text), 0);
    cr_assert(strstr(text.s, "verb=rebuild\n"), "%s", text.s);
    cr_assert(strstr(text.s, "state=done\npercent=100.0\ndone=4\ntotal=4\n"), "%s", text.s);
    cr_assert(strstr(text.s, "error=0\nchanged=7\nmore=1\n"), "%s", text.s);
}

Test(jobs, one_that_fails_gives_its_error_to_who_waits)
{
    char result[256];
    struct job *j;
    uint64_t n = started("rebuild", &j);
    int error = -EUCLEAN;

    cr_assert_eq(given(j, with_result, &error), 0);
    cr_assert_eq(waited(n, -1, result), -EUCLEAN);
    agreed(&x, "get view_wait", "ok");
    refused(&x, "wait 1", -EUCLEAN, "job 1 failed");
}

Test(jobs, one_that_is_cancelled_says_so)
{
    char result[256];
    struct job *j;
    uint64_t n = started("rebuild", &j);

    cr_assert_eq(given(j, until_cancelled, NULL), 0);
    cr_assert_eq(waited(n, 0, result), -ETIMEDOUT);
    await_begun(j);
    cr_assert_eq(jobs_in(x.p, JOB_RUNNING), 1);
    agreed(&x, "cancel 1", "ok\n");
    cr_assert_eq(waited(n, -1, result), -ECANCELED);
    refused(&x, "wait 1", -ECANCELED, "was cancelled");
    cr_assert_eq(jobs_in(x.p, JOB_RUNNING), 0);
}

Test(jobs, a_wait_that_is_interrupted_ends_and_the_job_goes_on)
{
    const _Atomic bool yes = true;
    char result[256];
    struct job *j;
    uint64_t n = started("rebuild", &j);
    int error;

    cr_assert_eq(job_wait(x.p, n, -1, &yes, &error, result), -EINTR);
    job_result(x.p, j, "changed=1");
    job_end(x.p, j, 0);
    cr_assert_eq(waited(n, -1, result), 0);
    cr_assert_str_eq(result, "changed=1");
}

Test(jobs, only_the_last_ended_ones_are_kept_and_all_running_ones)
{
    char result[256];
    struct job *j, *running;
    uint64_t n, first = started("rebuild", &running);

    for (int i = 0; i < JOB_KEEP + 10; i++) {
        n = started("rebuild", &j);
        job_end(x.p, j, 0);
    }
    cr_assert_eq(waited(first + 1, 0, result), -ENOENT, "the oldest is forgotten");
    cr_assert_eq(waited(n, 0, result), 0);
    cr_assert_eq(waited(n - JOB_KEEP + 1, 0, result), 0);
    cr_assert_eq(waited(first, 0, result), -ETIMEDOUT);
}

static int count_job(uint64_t job, void *ctx)
{
    uint64_t *last = ctx;

    cr_assert_gt(job, *last);
    *last = job;
    return 0;
}

Test(jobs, are_listed_in_order_after_a_number)
{
    uint64_t last = 1;
    struct job *j;

    for (int i = 0; i < 5; i++)
        (void)started("rebuild", &j);
    cr_assert_eq(view_jobs(x.p, 1, count_job, &last), 0);
    cr_assert_eq(last, 5);
}

Test(jobs, a_drop_that_is_not_queued_yet_is_not_ended_by_an_empty_queue)
{
    char result[256];
    struct job *early, *late;
    uint64_t a = started("drop", &early), b = started("drop", &late);

    job_drop_queued(x.p, early);
    jobs_drops_done(x.p);
    cr_assert_eq(waited(a, 0, result), 0);
    cr_assert_eq(waited(b, 0, result), -ETIMEDOUT);
    job_drop_queued(x.p, late);
    jobs_drops_done(x.p);
    cr_assert_eq(waited(b, 0, result), 0);
}

Test(jobs, a_drop_ends_though_others_dropped_more_meanwhile)
{
    char result[256];
    struct job *early, *late;
    uint64_t a, b;
    unsigned done;

    put_file(&x, "main/a", "some");
    agreed(&x, "branch main one", "ok");
    agreed(&x, "branch main two", "ok");
    agreed(&x, "drop one", "ok");
    a = started("drop", &early);
    job_drop_queued(x.p, early);
    agreed(&x, "drop two", "ok");
    b = started("drop", &late);
    job_drop_queued(x.p, late);
    jobs_drops_done(x.p);
    cr_assert_eq(waited(a, 0, result), -ETIMEDOUT);
    cr_assert_eq(drops_step(x.p->drops, 1, &done), 0);
    jobs_drops_done(x.p);
    cr_assert_eq(waited(a, 0, result), 0);
    cr_assert_eq(waited(b, 0, result), -ETIMEDOUT);
}

Test(jobs, more_than_may_run_at_once_wait_for_a_place)
{
    char result[256];
    int zero = 0;

    for (int i = 0; i < 200; i++) {
        struct job *j;
        (void)started("rebuild", &j);
        cr_assert_eq(given(j, with_result, &zero), 0);
    }
    cr_assert_eq(waited(200, -1, result), 0);
}

Test(jobs, closing_the_store_cancels_and_waits_for_them)
{
    struct job *j;

    (void)started("rebuild", &j);
    cr_assert_eq(given(j, until_cancelled, NULL), 0);
    fixture_reopen(&x);
    cr_assert_eq(jobs_in(x.p, JOB_RUNNING), 0);
}

Test(jobs, what_was_refused_was_never_a_job)
{
    uint64_t number;

    refused(&x, "drop nobody", -ENOENT, "nobody");
    cr_assert_eq(job_next(x.p, 0, &number), -ENOENT);
    agreed(&x, "branch main b\ndrop b", "ok");
    cr_assert_eq(job_next(x.p, 0, &number), 0);
    cr_assert_eq(job_next(x.p, number, &number), -ENOENT);
}

/* ---- progress ---- */

static struct job seen(uint64_t n)
{
    struct job j;

    cr_assert_eq(job_get(x.p, n, &j), 0);
    return j;
}

Test(jobs, progress_only_grows_and_is_all_at_the_end_only)
{
    struct job *j;
    uint64_t n = started("rebuild", &j);

    job_progress(x.p, j, 50, 100);
    job_progress_bytes(x.p, j, 5000, 9000);
    cr_assert_eq(seen(n).permille, 555, "by bytes");
    job_progress(x.p, j, 40, 90);
    cr_assert_eq(seen(n).done, 50);
    cr_assert_eq(seen(n).total, 100);
    job_progress(x.p, j, 60, 400);
    job_progress_bytes(x.p, j, 5000, 90000);
    cr_assert_eq(seen(n).permille, 555, "more work was found: not less is done");
    job_progress(x.p, j, 500, 400);
    job_progress_bytes(x.p, j, 90001, 90000);
    cr_assert_eq(seen(n).permille, 999, "it has not ended");
    cr_assert_eq(seen(n).total, 500);
    job_end(x.p, j, 0);
    cr_assert_eq(seen(n).permille, 1000);
    cr_assert_eq(seen(n).bytes_done, 90001);
}

Test(jobs, one_that_fails_does_not_end_at_all_of_it)
{
    struct job *j;
    uint64_t n = started("rebuild", &j);

    job_progress(x.p, j, 1, 4);
    job_end(x.p, j, -EIO);
    cr_assert_eq(seen(n).permille, 250);
    cr_assert_eq(seen(n).done, 1);
}

Test(jobs, rate_and_time_left_follow_the_clock)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct job *j;
    uint64_t n = started("rebuild", &j);

    clock_manual_advance(&x.clock, 10 * NSEC_PER_SEC);
    job_progress(x.p, j, 50, 200);
    job_progress_bytes(x.p, j, 1000, 4000);
    cr_assert_eq(view_job(x.p, n, &text), 0);
    cr_assert(strstr(text.s, "percent=25.0\ndone=50\ntotal=200\nbytes_done=1000\nbytes_total=4000\n"
                             "seconds=10.0\nper_second=5.0\nbytes_per_second=100\n"
                             "left_seconds=30\n"),
              "%s", text.s);
    job_end(x.p, j, 0);
    clock_manual_advance(&x.clock, 1000 * NSEC_PER_SEC);
    strbuf_clear(&text);
    cr_assert_eq(view_job(x.p, n, &text), 0);
    cr_assert(strstr(text.s, "seconds=10.0\nper_second=20.0\n"), "%s", text.s);
    cr_assert_null(strstr(text.s, "left_seconds"));
}

static void fill_namespace(const char *ns, int files)
{
    char path[64];

    for (int i = 0; i < files; i++) {
        snprintf(path, sizeof path, "%s/a-name-that-takes-some-room-in-its-page-%d", ns, i);
        put_file(&x, path, path);
    }
}

Test(jobs, a_drop_tells_how_far_it_is)
{
    unsigned done;
    struct job before, after;

    agreed(&x, "branch main b", "ok");
    fill_namespace("b", 400);
    cr_assert_eq(flush_now(x.p), 0);
    agreed(&x, "drop b", "job=1");
    before = seen(1);
    cr_assert_eq(before.state, JOB_RUNNING);
    cr_assert_eq(before.done, 0);
    cr_assert_gt(before.total, 0);
    cr_assert_eq(drops_step(x.p->drops, 2, &done), 0);
    after = seen(1);
    cr_assert_eq(after.done, 2);
    cr_assert_eq(after.bytes_done, 2 * PAGE_SIZE_BYTES);
    cr_assert_geq(after.total, before.total);
    cr_assert_geq(after.permille, before.permille);
    agreed(&x, "drain", "ok");
    cr_assert_eq(seen(1).state, JOB_DONE);
    cr_assert_eq(seen(1).permille, 1000);
    cr_assert_eq(seen(1).done, seen(1).total);
    cr_assert_gt(seen(1).done, 2);
}

Test(jobs, a_drop_that_was_cut_off_goes_on_as_a_job_of_the_next_mount)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    agreed(&x, "branch main b", "ok");
    fill_namespace("b", 400);
    cr_assert_eq(flush_now(x.p), 0);
    agreed(&x, "drop b", "job=1");
    cr_assert_eq(flush_now(x.p), 0);
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(view_job(x.p, 1, &text), 0);
    cr_assert(strstr(text.s, "verb=drop\ndetail=resumed\nstate=running\n"), "%s", text.s);
    refused(&x, "cancel 1", -EPERM, "is a drop");
    agreed(&x, "drain", "ok");
    cr_assert_eq(seen(1).state, JOB_DONE);
    fixture_reopen(&x);
    cr_assert_eq(job_next(x.p, 0, &(uint64_t){0}), -ENOENT, "nothing was left");
}

static void *drain_idle(void *arg)
{
    refused(&x, "drain idle", -ECANCELED, "the drain was cancelled (job 1)");
    return arg;
}

#define WINDOW (200 * NSEC_PER_MSEC)

static int64_t clock_of(clockid_t id)
{
    struct timespec t;

    cr_assert_eq(clock_gettime(id, &t), 0);
    return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

/* Is less than half of so much time spent on a CPU? It may be longer where others are at work, too.
 * */
static bool rests_for(int64_t duration_ns)
{
    int64_t cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID), begun = clock_of(CLOCK_MONOTONIC), took;

    do {
        usleep(1000);
        took = clock_of(CLOCK_MONOTONIC) - begun;
    } while (took < duration_ns);
    return clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu < took / 2;
}

Test(jobs, a_drain_is_one_and_can_be_cancelled)
{
    const char *name = "held";
    struct vfs_file *f;
    struct vfs_attr a;
    pthread_t t;
    char *bytes = calloc(1, 1 << 20);

    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), name, 0644, &fixture_cred,
                            VFS_WRITE | VFS_TRUNC, &a, &f),
                 0);
    cr_assert_eq(vfs_write(f, bytes, 1 << 20, 0), 1 << 20);
    cr_assert_eq(pthread_create(&t, NULL, drain_idle, NULL), 0);
    while (job_next(x.p, 0, &(uint64_t){0}) < 0)
        usleep(1000);
    while (seen(1).state == JOB_QUEUED)
        usleep(1000);
    cr_assert_eq(seen(1).state, JOB_RUNNING, "such a file keeps `drain idle` waiting");
    cr_assert_str_eq(seen(1).detail, "idle");
    cr_assert(rests_for(WINDOW), "and it does nothing meanwhile");
    agreed(&x, "cancel 1", "ok");
    cr_assert_eq(pthread_join(t, NULL), 0);
    cr_assert_eq(seen(1).state, JOB_CANCELLED);
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
    free(bytes);
}

Test(jobs, percent_and_time_left_are_by_bytes_where_they_are_known)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, later = STRBUF_INIT;
    struct job *j;
    uint64_t n = started("scrub", &j);

    job_goes_on_from(x.p, j, 100);
    job_progress_bytes(x.p, j, 100, 1000);
    job_progress(x.p, j, 9, 10);
    cr_assert_eq(view_job(x.p, n, &text), 0);
    cr_assert(strstr(text.s, "percent=10.0\n"), "%s", text.s);
    clock_manual_advance(&x.clock, 10 * NSEC_PER_SEC);
    job_progress_bytes(x.p, j, 200, 1000);
    cr_assert_eq(view_job(x.p, n, &later), 0);
    cr_assert(strstr(later.s, "percent=20.0\n"), "%s", later.s);
    cr_assert(strstr(later.s, "left_seconds=80\n"), "%s", later.s);
    job_end(x.p, j, 0);
}

struct asking {
    const char *command;
    char reply[4096];
    ssize_t result;
};

static void *ask(void *arg)
{
    struct asking *a = arg;

    a->result = say(&x, a->command, a->reply);
    return NULL;
}

static unsigned waiters_of(struct job *j)
{
    MUTEX_GUARD(&x.p->jobs->lock);
    return j->waiters;
}

Test(jobs, who_asks_for_what_is_being_done_joins_it)
{
    static const char *const verbs[] = {"gc", "compact", "rebuild", "sweep"};
    struct asking a;
    pthread_t thread;
    char words[64], want[256];
    struct job *j;

    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(job_start(x.p, verbs[i], "", &j), 0);
        uint64_t number = j->number;

        snprintf(want, sizeof want, "ok job=%llu\n", (unsigned long long)number);
        agreed(&x, verbs[i], want);
        cr_assert_eq(job_next(x.p, number, &(uint64_t){0}), -ENOENT, "there is no other");
        snprintf(words, sizeof words, "%s wait", verbs[i]);
        a = (struct asking){.command = words};
        cr_assert_eq(pthread_create(&thread, NULL, ask, &a), 0);
        while (waiters_of(j) == 0)
            sched_yield();
        job_result(x.p, j, "result=7");
        job_end(x.p, j, 0);
        pthread_join(thread, NULL);
        snprintf(want, sizeof want, "ok result=7 job=%llu\n", (unsigned long long)number);
        cr_assert_str_eq(a.reply, want);
        agreed(&x, words, "ok"); /* and another one begins anew */
        cr_assert_eq(job_next(x.p, number, &number), 0);
    }
}

Test(jobs, who_asks_for_something_else_is_told_what_is_at_work)
{
    struct job *j;

    cr_assert_eq(job_start(x.p, "gc", "dry-run", &j), 0);
    agreed(&x, "gc dry-run", "ok job=1\n");
    refused(&x, "gc", -EBUSY, "one is running already: job 1 (dry-run)");
    refused(&x, "gc grace=0 wait", -EBUSY, "one is running already: job 1 (dry-run)");
    refused(&x, "gc dry-run grace=5s", -EBUSY, "job 1");
    cr_assert_eq(job_next(x.p, 1, &(uint64_t){0}), -ENOENT, "no other is left of it");
    job_end(x.p, j, 0);
}

Test(jobs, drains_do_not_push_out_the_results_of_other_jobs)
{
    char result[256];
    struct job *j;
    uint64_t n = started("rebuild", &j);

    job_result(x.p, j, "changed=5");
    job_end(x.p, j, 0);
    for (int i = 0; i < JOB_KEEP + 10; i++)
        agreed(&x, "drain", "ok");
    cr_assert_eq(waited(n, 0, result), 0);
    cr_assert_str_eq(result, "changed=5");
    cr_assert_eq(waited(n + 1, 0, result), -ENOENT);
    cr_assert_eq(waited(n + JOB_KEEP + 10, 0, result), 0);
}

/* ---- queued ---- */

/* The fixture has room for one job beside drains: it is taken, by job *ret. */
static uint64_t one_at_work(struct job **ret)
{
    uint64_t n = started("rebuild", ret);

    cr_assert_eq(given(*ret, until_cancelled, NULL), 0);
    await_begun(*ret);
    return n;
}

static int drops_told;

static void tell_dropped(struct state *p, void *arg, int err)
{
    (void)p;
    *(int *)arg = err;
    drops_told++;
}

/* Behind the one at work. */
static uint64_t queue_one(int *told)
{
    const struct job_work w = {.fn = until_cancelled, .dropped = tell_dropped, .arg = told};
    struct job *j;
    uint64_t n = started("move", &j);

    cr_assert_eq(job_run(x.p, j, &w, -1, NULL), 0);
    return n;
}

Test(jobs, one_that_no_worker_has_begun_is_queued_and_ends_at_once_when_cancelled)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char result[256], words[32];
    struct job *j;
    int told = 0;
    uint64_t first = one_at_work(&j), n = queue_one(&told);

    cr_assert_eq(seen(n).state, JOB_QUEUED);
    cr_assert_eq(jobs_in(x.p, JOB_QUEUED), 1);
    cr_assert_eq(view_job(x.p, n, &text), 0);
    cr_assert(strstr(text.s, "state=queued\n"), "%s", text.s);
    cr_assert_null(strstr(text.s, "ended="), "%s", text.s);
    agreed(&x, "status", "jobs        running=1 queued=1\n");
    agreed(&x, "status", "long_idle  queued=1 running=1 waiting=0 resting=0\n");
    cr_assert_eq(waited(n, 0, result), -ETIMEDOUT);
    snprintf(words, sizeof words, "cancel %llu", (unsigned long long)n);
    agreed(&x, words, "ok");
    cr_assert_eq(seen(n).state, JOB_CANCELLED);
    cr_assert_eq(told, -ECANCELED);
    cr_assert_eq(seen(first).state, JOB_RUNNING);
}

Test(jobs, one_that_is_queued_begins_when_another_ends)
{
    char result[256];
    struct job *j, *k;
    int zero = 0;
    uint64_t first = one_at_work(&j), n = started("gc", &k);

    cr_assert_eq(given(k, with_result, &zero), 0);
    cr_assert_eq(seen(n).state, JOB_QUEUED);
    clock_manual_advance(&x.clock, 50 * NSEC_PER_SEC);
    cr_assert_eq(job_cancel(x.p, first), 0);
    cr_assert_eq(waited(n, -1, result), 0);
    cr_assert_lt(seen(n).lasted, NSEC_PER_SEC, "its time begins when it begins");
}

static void *let_the_queue_shrink(void *arg)
{
    while (jobs_in(x.p, JOB_QUEUED) < 2)
        sched_yield();
    cr_assert_eq(job_cancel(x.p, *(uint64_t *)arg), 0);
    return arg;
}

Test(jobs, where_the_queue_is_full_the_next_one_waits_to_be_queued)
{
    const _Atomic bool yes = true;
    char result[256];
    pthread_t thread;
    struct job *j, *k;
    int told = 0, late = 0;
    const struct job_work w = {.fn = until_cancelled, .dropped = tell_dropped, .arg = &late};
    uint64_t n;

    agreed(&x, "set max_enqueued_jobs 1", "ok");
    (void)one_at_work(&j);
    n = queue_one(&told);
    cr_assert_eq(job_try(x.p, "sweep", "", &w), -EAGAIN);
    cr_assert_eq(drops_told, 0, "that one was never there");
    (void)started("move", &k);
    cr_assert_eq(job_run(x.p, k, &w, 0, NULL), -ETIMEDOUT);
    cr_assert_eq(late, -ETIMEDOUT);
    (void)started("move", &k);
    cr_assert_eq(job_run(x.p, k, &w, -1, &yes), -EINTR);
    cr_assert_eq(late, -EINTR);
    cr_assert_eq(pthread_create(&thread, NULL, let_the_queue_shrink, &n), 0);
    uint64_t last = started("move", &k);
    cr_assert_eq(job_run(x.p, k, &w, -1, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(seen(last).state, JOB_QUEUED);
    cr_assert_eq(waited(n, -1, result), -ECANCELED);
}

static void *wait_for_it(void *arg)
{
    char result[256];

    return (void *)(intptr_t)waited(*(uint64_t *)arg, -1, result);
}

Test(jobs, closing_the_store_ends_those_at_work_and_those_that_are_queued)
{
    struct job *j;
    pthread_t thread;
    void *err;
    int told[5] = {0};
    uint64_t last = 0;

    (void)one_at_work(&j);
    for (int i = 0; i < 5; i++)
        last = queue_one(&told[i]);
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_it, &last), 0);
    for (unsigned n = 0; n == 0;) {
        MUTEX_GUARD(&x.p->jobs->lock);
        n = x.p->jobs->v[x.p->jobs->count - 1]->waiters;
    }
    fixture_reopen(&x);
    cr_assert_eq(pthread_join(thread, &err), 0);
    cr_assert((intptr_t)err == -ESHUTDOWN || (intptr_t)err == -ECANCELED);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(told[i], -ESHUTDOWN, "each was told");
    cr_assert_eq(jobs_unfinished(x.p), 0);
}

Test(jobs, a_scrub_that_was_cancelled_before_it_began_can_be_asked_for_again)
{
    char reply[4096];
    struct job *j;
    uint64_t first = one_at_work(&j);

    agreed(&x, "scrub", "ok job=2\n");
    agreed(&x, "scrub", "ok job=2\n");
    agreed(&x, "cancel 2", "ok");
    cr_assert_geq(say(&x, "scrub", reply), 0, "%s", reply);
    cr_assert_str_eq(reply, "ok job=4\n"); /* the second one took a number, and was withdrawn */
    cr_assert_eq(job_cancel(x.p, first), 0);
    agreed(&x, "wait 4", "ok");
}

Test(jobs, a_scrub_that_is_queued_when_the_store_is_closed_begins_after_the_next_start)
{
    struct job *j;
    struct job scrub = {0};

    (void)one_at_work(&j);
    agreed(&x, "scrub", "ok job=2\n");
    fixture_reopen(&x);
    cr_assert_eq(job_get(x.p, 1, &scrub), 0);
    cr_assert_str_eq(scrub.verb, "scrub");
    agreed(&x, "wait 1", "ok");
}

Test(jobs, who_asks_for_what_is_queued_joins_it_or_is_told)
{
    struct job *j;

    (void)one_at_work(&j);
    agreed(&x, "gc dry-run", "ok job=2\n");
    agreed(&x, "gc dry-run", "ok job=2\n");
    refused(&x, "gc", -EBUSY, "one is queued already: job 2 (dry-run)");
}

/* Each kind of job where one may be at work, and a drain beside it. */
Test(jobs, a_drain_goes_by_whatever_is_at_work_and_each_job_can_wait_for_its_flush)
{
    static const char *const verbs[] = {"gc wait",    "compact wait", "rebuild wait",
                                        "sweep wait", "scrub wait",   "move idle=0s 1 wait"};
    char reply[4096], path[32];
    struct job *j;
    uint64_t first;

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        snprintf(path, sizeof path, "main/%zu", i);
        put_file(&x, path, path);
        if (say(&x, verbs[i], reply) < 0)
            cr_assert(strstr(verbs[i], "move") && strstr(reply, "no shard"), "%s", reply);
        snprintf(path, sizeof path, "main/%zu-", i);
        put_file(&x, path, path);
        agreed(&x, "drain idle", "ok");
    }
    first = one_at_work(&j);
    put_file(&x, "main/last", "beside");
    agreed(&x, "drain", "ok");
    agreed(&x, "drain idle 1m", "ok");
    cr_assert_eq(seen(first).state, JOB_RUNNING);
}

static void *drain_plain(void *arg)
{
    agreed(&x, "drain", "ok");
    return arg;
}

static void *drain_until_cancelled(void *arg)
{
    char reply[4096];

    cr_assert_eq(say(&x, "drain idle", reply), -ECANCELED, "%s", reply);
    return arg;
}

/* The fixture has one worker for drains while a job is at work; and of two that wait one rests. */
Test(jobs, a_drain_that_waits_for_others_holds_up_no_drain, .timeout = 60)
{
    struct vfs_file *f;
    struct vfs_attr a;
    struct job *j;
    pthread_t idle[2], other;
    char *bytes = calloc(1, 1 << 20);

    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "held", 0644, &fixture_cred,
                            VFS_WRITE | VFS_TRUNC, &a, &f),
                 0);
    cr_assert_eq(vfs_write(f, bytes, 1 << 20, 0), 1 << 20);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&idle[i], NULL, drain_until_cancelled, NULL), 0);
    while (job_next(x.p, 1, &(uint64_t){0}) < 0 || seen(1).state == JOB_QUEUED ||
           seen(2).state == JOB_QUEUED)
        usleep(1000);
    (void)one_at_work(&j);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(pthread_create(&other, NULL, drain_plain, NULL), 0);
        cr_assert_eq(pthread_join(other, NULL), 0);
    }
    cr_assert_eq(seen(1).state, JOB_RUNNING, "it goes on, and is shown so");
    for (int i = 0; i < 2; i++)
        agreed(&x, i ? "cancel 2" : "cancel 1", "ok");
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(idle[i], NULL), 0);
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
    free(bytes);
}

static struct workers_class_stats class_of(enum workers_class class)
{
    struct workers_stats s;

    workers_get_stats(x.p->workers, &s);
    return s.of[class];
}

/* Waits until one job of the class rests, for 10 s at most. */
static void await_resting(enum workers_class class)
{
    for (int i = 0; i < 10000 && class_of(class).resting == 0; i++)
        usleep(1000);
    cr_assert_eq(class_of(class).resting, 1);
}

static uint64_t begin_drain_beside(pthread_t *ret_thread, uint64_t after)
{
    uint64_t n = 0;

    cr_assert_eq(pthread_create(ret_thread, NULL, drain_plain, NULL), 0);
    for (int i = 0; i < 10000 && (job_next(x.p, after, &n) < 0 || seen(n).state == JOB_QUEUED); i++)
        usleep(1000);
    cr_assert_eq(seen(n).state, JOB_RUNNING);
    return n;
}

/* Opens the store anew, with its threads. */
static void open_in_background(void)
{
    struct state_config config = {.disk = x.disk,
                                  .clock = &x.clock.base,
                                  .threads = 1,
                                  .log_segment = 1 << 20,
                                  .background = true};

    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_CREATE, &x.kv), 0);
    config.kv = x.kv;
    cr_assert_eq(store_open(&config, &x.p), 0);
}

/* Likewise: the second one begins, while no flush can end. */
Test(jobs, a_drain_that_waits_for_its_flush_holds_up_no_drain)
{
    pthread_t one, other;
    struct job *j;
    struct kv_txn *t;
    uint64_t first, n;

    open_in_background();
    first = one_at_work(&j);
    put_file(&x, "main/f", "some");
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    n = begin_drain_beside(&one, first);
    await_resting(WORKERS_LONG);
    (void)begin_drain_beside(&other, n);
    kv_abort(t);
    cr_assert_eq(pthread_join(one, NULL), 0);
    cr_assert_eq(pthread_join(other, NULL), 0);
}

/* ---- resting ---- */

/* Owes far more than a test lasts. */
static int pay_slowly(struct state *p, struct job *j, void *arg)
{
    struct rate rate;

    rate_init(&rate, p->clock);
    *(int *)arg = job_pay(p, j, &rate, UINT64_C(1) << 40, SET_SWEEP_RATE);
    return *(int *)arg;
}

Test(jobs, one_that_rests_for_its_rate_holds_up_no_other)
{
    struct job *j;
    int paid = 1;
    uint64_t n = started("sweep", &j);

    cr_assert_eq(given(j, pay_slowly, &paid), 0);
    await_resting(WORKERS_LONG_IDLE);
    agreed(&x, "status", "jobs        running=1 queued=0\n");
    agreed(&x, "status", "long_idle  queued=0 running=0 waiting=0 resting=1\n");
    agreed(&x, "gc dry-run wait", "ok");
    agreed(&x, "rebuild wait", "ok");
    cr_assert_eq(seen(n).state, JOB_RUNNING);
}

Test(jobs, one_that_rests_is_cancelled_whatever_runs_in_its_place)
{
    char result[256];
    struct job *j, *k;
    int paid = 1;
    uint64_t n = started("sweep", &j), other;

    cr_assert_eq(given(j, pay_slowly, &paid), 0);
    await_resting(WORKERS_LONG_IDLE);
    other = one_at_work(&k);
    cr_assert_eq(job_cancel(x.p, n), 0);
    cr_assert_eq(waited(n, -1, result), -ECANCELED);
    cr_assert_eq(paid, -ECANCELED);
    cr_assert_eq(seen(other).state, JOB_RUNNING);
}

/* The rest is over, and the only place is taken: it waits for that place. */
Test(jobs, one_that_waits_for_its_place_after_a_rest_is_cancelled)
{
    char result[256];
    struct job *j, *k;
    int paid = 1;
    uint64_t n = started("sweep", &j), other;

    cr_assert_eq(given(j, pay_slowly, &paid), 0);
    await_resting(WORKERS_LONG_IDLE);
    other = one_at_work(&k);
    clock_manual_advance(&x.clock, 48 * 3600 * NSEC_PER_SEC);
    for (int i = 0; i < 60000 && class_of(WORKERS_LONG_IDLE).queued == 0; i++)
        usleep(1000);
    cr_assert_eq(class_of(WORKERS_LONG_IDLE).queued, 1);
    cr_assert_eq(job_cancel(x.p, n), 0);
    cr_assert_eq(waited(n, 60 * NSEC_PER_SEC, result), -ECANCELED);
    cr_assert_eq(paid, -ECANCELED);
    cr_assert_eq(seen(other).state, JOB_RUNNING);
}

static unsigned permits_used(void)
{
    struct flush_stats s;

    flush_get_stats(x.p, &s);
    return s.flushes.used;
}

/* What a drain holds while it makes a flush, other long work may wait for. */
Test(jobs, a_drain_does_not_rest_while_it_rotates)
{
    pthread_t one;
    struct job *j;
    uint64_t first;

    open_in_background();
    first = one_at_work(&j);
    put_file(&x, "main/f", "some");
    mutex_lock(&x.p->flush->seal);
    (void)begin_drain_beside(&one, first);
    for (int i = 0; i < 60000 && permits_used() == 0; i++)
        usleep(1000);
    cr_assert_eq(permits_used(), 1);
    cr_assert_eq(class_of(WORKERS_LONG).resting, 0);
    mutex_unlock(&x.p->flush->seal);
    cr_assert_eq(pthread_join(one, NULL), 0);
}

/* ---- I/O priority ---- */

struct looking {
    _Atomic unsigned looks;
    _Atomic bool idle, end;
};

static int look_at_priority(struct state *p, struct job *j, void *arg)
{
    struct looking *l = arg;

    for (uint64_t i = 1; !atomic_load(&l->end) && !atomic_load(&j->cancel); i++) {
        job_progress(p, j, i, 0);
        atomic_store(&l->idle, thread_io_is_idle());
        atomic_fetch_add(&l->looks, 1);
        usleep(1000);
    }
    return 0;
}

/* What the job saw in a look that began after the call. */
static bool is_idle_now(struct looking *l)
{
    unsigned seen_before = atomic_load(&l->looks);

    while (atomic_load(&l->looks) < seen_before + 2)
        usleep(1000);
    return atomic_load(&l->idle);
}

static uint64_t look_on(struct looking *l, bool prompt)
{
    const struct job_work w = {
        .fn = look_at_priority, .dropped = not_run, .arg = l, .prompt = prompt};
    struct job *j;
    uint64_t n = started("gc", &j);

    cr_assert_eq(job_run(x.p, j, &w, -1, NULL), 0);
    return n;
}

struct waiting {
    uint64_t job;
    _Atomic bool enough;
};

static void *wait_for_a_while(void *arg)
{
    struct waiting *w = arg;
    char result[256];
    int error;

    cr_assert_eq(job_wait(x.p, w->job, -1, &w->enough, &error, result), -EINTR);
    return arg;
}

Test(jobs, one_works_with_idle_io_priority_but_while_somebody_waits_for_it)
{
    struct looking l = {0};
    struct waiting w = {.job = look_on(&l, false)};
    pthread_t thread;
    char result[256];

    cr_assert(is_idle_now(&l));
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_a_while, &w), 0);
    for (int i = 0; i < 1000 && is_idle_now(&l); i++)
        usleep(1000);
    cr_assert(!is_idle_now(&l));
    atomic_store(&w.enough, true);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert(is_idle_now(&l));
    atomic_store(&l.end, true);
    cr_assert_eq(waited(w.job, -1, result), 0);
}

Test(jobs, a_prompt_one_has_normal_io_priority)
{
    struct looking l = {0};
    uint64_t n = look_on(&l, true);
    char result[256];

    cr_assert(!is_idle_now(&l));
    atomic_store(&l.end, true);
    cr_assert_eq(waited(n, -1, result), 0);
}

Test(jobs, what_a_person_needs_now_is_prompt)
{
    cr_assert_eq(control_verb("recall")->job, JOB_PROMPT);
    cr_assert_eq(control_verb("rebuild")->job, JOB_PROMPT);
    cr_assert_eq(control_verb("scrub")->job, JOB);
    cr_assert_eq(control_verb("gc")->job, JOB);
}

/* ---- what nobody can handle ---- */

static int fail_badly(void *arg)
{
    (void)arg;
    return -EIO;
}

static void on_stop(void *ctx)
{
    ++*(_Atomic int *)ctx;
}

static void fail_on_a_worker(void)
{
    const struct workers_work w = {.fn = fail_badly, .name = "sweeping", .class = WORKERS_NORMAL};

    cr_assert_eq(workers_submit_work(x.p->workers, &w, NULL), 0);
    while (!atomic_load(&x.p->readonly))
        sched_yield();
    workers_shutdown(x.p->workers);
}

Test(jobs, work_that_fails_with_nobody_to_take_it_makes_the_store_read_only)
{
    static _Atomic int stops;
    const struct state_events events = {.stop = on_stop, .ctx = &stops};

    state_set_events(x.p, &events);
    fail_on_a_worker();
    refused(&x, "branch main b", -EROFS, "read-only");
    cr_assert_eq(stops, 0);
}

Test(jobs, with_on_fatal_exit_the_mount_is_asked_to_end)
{
    static _Atomic int stops;
    const struct state_events events = {.stop = on_stop, .ctx = &stops};

    state_set_events(x.p, &events);
    agreed(&x, "set on_fatal exit", "on_fatal=exit");
    fail_on_a_worker();
    cr_assert_eq(stops, 1);
}
