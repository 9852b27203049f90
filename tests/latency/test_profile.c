// SPDX-License-Identifier: Apache-2.0
/* Claims of profile.h: what is recorded, of whom, and within which bounds. */
#include "clock_manual.h"
#include "profile.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct clock_manual now;
static struct profile *p;
static struct recording *r;

static void up(void)
{
    clock_manual_init(&now, NSEC_PER_SEC);
    p = profile_new(&now.base);
    cr_assert_eq(profile_begin(p, &r), 0);
}

static void down(void)
{
    recording_free(r);
    profile_free(p);
}

TestSuite(profile, .init = up, .fini = down, .timeout = 60);

static void note(int32_t tid, uint32_t ns, uint32_t kind, int64_t us)
{
    const struct profile_request q = {
        .kind = kind, .ns = ns, .tid = tid, .took = us * NSEC_PER_USEC};
    profile_note(p, &q);
}

/* The only row of the recording, which this ends. */
static const struct profile_row *only_row(void)
{
    const struct profile_row *row, *more;
    size_t at = 0;

    profile_end(p, r);
    cr_assert(recording_next(r, &at, &row));
    cr_assert(!recording_next(r, &at, &more));
    return row;
}

static size_t rows_of(const struct recording *of)
{
    const struct profile_row *row;
    size_t at = 0, n = 0;

    while (recording_next(of, &at, &row))
        n++;
    return n;
}

Test(profile, equal_requests_of_a_program_are_one_row)
{
    const struct profile_row *row;

    prctl(PR_SET_NAME, "asks");
    note(getpid(), 1, 15, 10);
    note(getpid(), 1, 15, 30);
    row = only_row();
    cr_assert_str_eq(row->program, "asks");
    cr_assert(row->pid == getpid() && row->ns == 1 && row->kind == 15);
    cr_assert_eq(histogram_count(&row->took), 2);
    cr_assert_eq(row->took.sum_ns, 40 * NSEC_PER_USEC);
    cr_assert_eq(row->max_ns, 30 * NSEC_PER_USEC);
}

Test(profile, other_namespaces_and_kinds_are_other_rows)
{
    note(getpid(), 1, 15, 1);
    note(getpid(), 2, 15, 1);
    note(getpid(), 1, 16, 1);
    profile_end(p, r);
    cr_assert_eq(rows_of(r), 3);
}

/* A child of the same name, which waits until the pipe is closed. */
static pid_t child(int pipe_fd[2])
{
    char c;
    pid_t pid = fork();

    if (pid == 0) {
        close(pipe_fd[1]);
        _exit(read(pipe_fd[0], &c, 1) != 0);
    }
    return pid;
}

Test(profile, two_processes_of_one_program_are_one_row_without_a_number)
{
    int fd[2];
    cr_assert_eq(pipe(fd), 0);
    const pid_t pid = child(fd);

    note(getpid(), 1, 15, 1);
    note(pid, 1, 15, 1);
    close(fd[1]);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    close(fd[0]);
    cr_assert_eq(only_row()->pid, 0);
}

Test(profile, a_program_has_its_new_name_soon_after_an_exec)
{
    prctl(PR_SET_NAME, "before");
    note(getpid(), 1, 15, 1);
    prctl(PR_SET_NAME, "after");
    clock_manual_advance(&now, PROFILE_FRESH_NS);
    note(getpid(), 1, 15, 1);
    profile_end(p, r);
    cr_assert_eq(rows_of(r), 2);
}

Test(profile, a_process_that_has_ended_has_its_number_as_name)
{
    note(INT32_MAX, 1, 15, 1);
    cr_assert_str_eq(only_row()->program, "2147483647");
}

Test(profile, the_kernel_itself_is_named)
{
    note(0, 1, 15, 1);
    cr_assert_str_eq(only_row()->program, "(kernel)");
}

Test(profile, rows_are_bounded_and_no_request_is_lost)
{
    const struct profile_row *row;
    uint64_t requests = 0;
    size_t at = 0, others = 0;

    for (uint32_t ns = 1; ns <= PROFILE_ROWS + 100; ns++)
        note(getpid(), ns, 15, 1);
    profile_end(p, r);
    while (recording_next(r, &at, &row)) {
        requests += histogram_count(&row->took);
        others += row->ns == PROFILE_NO_NS;
    }
    cr_assert_eq(requests, PROFILE_ROWS + 100);
    cr_assert_eq(rows_of(r), PROFILE_ROWS + 1);
    cr_assert_eq(others, 1);
}

Test(profile, a_program_called_as_the_others_are_has_bounded_rows_too)
{
    prctl(PR_SET_NAME, PROFILE_OTHERS);
    for (uint32_t ns = 1; ns <= 3 * PROFILE_ROWS; ns++)
        note(getpid(), ns, 15, 1);
    profile_end(p, r);
    cr_assert_eq(rows_of(r), PROFILE_ROWS + 1);
}

Test(profile, nothing_is_recorded_before_and_after)
{
    struct recording *later;

    note(getpid(), 1, 15, 1);
    profile_end(p, r);
    cr_assert(!profile_records(p));
    note(getpid(), 1, 15, 1);
    cr_assert_eq(profile_begin(p, &later), 0);
    cr_assert(profile_records(p));
    profile_end(p, later);
    cr_assert_eq(rows_of(later), 0);
    recording_free(later);
    cr_assert_eq(rows_of(r), 1);
}

Test(profile, only_so_many_record_at_once)
{
    struct recording *more[PROFILE_RECORDINGS];

    for (size_t i = 1; i < PROFILE_RECORDINGS; i++)
        cr_assert_eq(profile_begin(p, &more[i]), 0);
    cr_assert_eq(profile_begin(p, &more[0]), -EBUSY);
    for (size_t i = 1; i < PROFILE_RECORDINGS; i++) {
        profile_end(p, more[i]);
        recording_free(more[i]);
    }
    profile_end(p, r);
}
