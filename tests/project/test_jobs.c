// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of jobs: how they run, end, are waited for, cancelled and forgotten.
 */
#include "fixture.h"

#include "project_impl.h"

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

static int until_cancelled(struct project *p, struct job *j, void *arg)
{
    (void)p;
    (void)arg;
    while (!atomic_load(&j->cancel))
        usleep(1000);
    return -ECANCELED;
}

static int with_result(struct project *p, struct job *j, void *arg)
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

    cr_assert_eq(job_run(x.p, j, with_result, &zero), 0);
    cr_assert_eq(waited(n, -1, result), 0);
    cr_assert_str_eq(result, "changed=7 more=1");
    cr_assert_eq(view_job(x.p, n, &text), 0);
    cr_assert(strstr(text.s, "verb=rebuild\n"), "%s", text.s);
    cr_assert(strstr(text.s, "state=done\ndone=3\ntotal=4\n"), "%s", text.s);
    cr_assert(strstr(text.s, "error=0\nchanged=7\nmore=1\n"), "%s", text.s);
}

Test(jobs, one_that_fails_gives_its_error_to_who_waits)
{
    char result[256];
    struct job *j;
    uint64_t n = started("rebuild", &j);
    int error = -EUCLEAN;

    cr_assert_eq(job_run(x.p, j, with_result, &error), 0);
    cr_assert_eq(waited(n, -1, result), -EUCLEAN);
    agreed(&x, "get view_wait", "ok");
    refused(&x, "wait 1", -EUCLEAN, "job 1 failed");
}

Test(jobs, one_that_is_cancelled_says_so)
{
    char result[256];
    struct job *j;
    uint64_t n = started("rebuild", &j);

    cr_assert_eq(job_run(x.p, j, until_cancelled, NULL), 0);
    cr_assert_eq(waited(n, 0, result), -ETIMEDOUT);
    cr_assert_eq(jobs_running(x.p), 1);
    agreed(&x, "cancel 1", "ok\n");
    cr_assert_eq(waited(n, -1, result), -ECANCELED);
    refused(&x, "wait 1", -ECANCELED, "was cancelled");
    cr_assert_eq(jobs_running(x.p), 0);
}

Test(jobs, a_wait_that_is_interrupted_ends_and_the_job_goes_on)
{
    const _Atomic bool yes = true;
    char result[256];
    struct job *j;
    uint64_t n = started("rebuild", &j);
    int error;

    cr_assert_eq(job_wait(x.p, n, -1, &yes, &error, result), -EINTR);
    job_end(x.p, j, 0, "changed=1");
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
        job_end(x.p, j, 0, NULL);
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

Test(jobs, more_than_may_run_at_once_wait_for_a_place)
{
    char result[256];
    int zero = 0;

    for (int i = 0; i < 200; i++) {
        struct job *j;
        (void)started("rebuild", &j);
        cr_assert_eq(job_run(x.p, j, with_result, &zero), 0);
    }
    cr_assert_eq(waited(200, -1, result), 0);
}

Test(jobs, closing_the_project_cancels_and_waits_for_them)
{
    struct job *j;

    (void)started("rebuild", &j);
    cr_assert_eq(job_run(x.p, j, until_cancelled, NULL), 0);
    fixture_reopen(&x);
    cr_assert_eq(jobs_running(x.p), 0);
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
