// SPDX-License-Identifier: Apache-2.0
/* Claims of crew.h. Pieces wait at a gate that the test opens, so nothing sleeps. */
#include "crew.h"
#include "lock.h"
#include "thread.h"

#include <criterion/criterion.h>
#include <pthread.h>

#define PIECES 40

struct job {
    struct crew_piece piece; /* first */
    int number;
    bool blocks; /* it waits until the gate is open */
    bool io_idle;
    pthread_t by;
};

static struct job jobs[PIECES];
static struct crew *crew;
static struct mutex lock;
static struct cond changed;
static unsigned inside, most_inside; /* guarded by: lock; pieces that run */
static bool is_open;                 /* guarded by: lock; the gate */

static void work(struct crew_piece *piece)
{
    struct job *j = (struct job *)piece;
    MUTEX_GUARD(&lock);

    j->by = pthread_self();
    j->io_idle = thread_io_is_idle();
    if (++inside > most_inside)
        most_inside = inside;
    cond_broadcast(&changed);
    while (j->blocks && !is_open)
        cond_wait(&changed, &lock);
    inside--;
}

static void up(void)
{
    mutex_init(&lock, "gate");
    cond_init(&changed);
    for (int i = 0; i < PIECES; i++)
        jobs[i] = (struct job){.number = i};
    cr_assert_eq(crew_open(work, &crew), 0);
}

static void down(void)
{
    crew_close(crew);
}

TestSuite(crew, .init = up, .fini = down, .timeout = 60);

static void give(int i, unsigned most)
{
    crew_give(crew, &jobs[i].piece, most);
}

static struct job *take(void)
{
    return (struct job *)crew_take(crew, true);
}

static void inside_are(unsigned n)
{
    MUTEX_GUARD(&lock);
    while (inside != n)
        cond_wait(&changed, &lock);
}

static void open_gate(void)
{
    MUTEX_GUARD(&lock);
    is_open = true;
    cond_broadcast(&changed);
}

Test(crew, each_piece_is_done_and_taken_back_once)
{
    bool seen[PIECES] = {false};
    struct job *j;

    for (int i = 0; i < PIECES; i++)
        give(i, 4);
    cr_assert_eq(crew_under_way(crew), PIECES);
    while ((j = take())) {
        cr_assert_not(seen[j->number]);
        seen[j->number] = true;
    }
    for (int i = 0; i < PIECES; i++)
        cr_assert(seen[i], "piece %d", i);
    cr_assert_eq(crew_under_way(crew), 0);
    cr_assert_leq(most_inside, 4);
}

Test(crew, so_many_pieces_wait_at_once_as_there_may_be_threads)
{
    for (int i = 0; i < PIECES; i++) {
        jobs[i].blocks = true;
        give(i, 8);
    }
    inside_are(8);
    cr_assert_null(crew_take(crew, false));
    open_gate();
    while (take())
        ;
    cr_assert_eq(most_inside, 8);
}

Test(crew, with_one_being_blocked_the_others_go_on)
{
    jobs[0].blocks = true;
    give(0, 2);
    for (int i = 1; i < PIECES; i++)
        give(i, 2);
    for (int i = 1; i < PIECES; i++)
        cr_assert_eq(take()->number, i);
    cr_assert_null(crew_take(crew, false));
    open_gate();
    cr_assert_eq(take()->number, 0);
}

Test(crew, a_limit_of_one_does_the_piece_in_the_thread_of_the_owner_before_giving_returns)
{
    give(0, 1);
    cr_assert(pthread_equal(jobs[0].by, pthread_self()));
    cr_assert_eq(((struct job *)crew_take(crew, false))->number, 0);
}

Test(crew, a_piece_has_the_io_priority_that_its_owner_had_when_it_gave_it)
{
    thread_io_idle(true);
    give(0, 2);
    cr_assert_eq(take()->number, 0);
    thread_io_idle(false);
    give(1, 2);
    cr_assert_eq(take()->number, 1);
    cr_assert(jobs[0].io_idle && !jobs[1].io_idle);
    cr_assert_not(pthread_equal(jobs[0].by, pthread_self()));
}

Test(crew, taking_from_a_crew_that_has_nothing_does_not_wait)
{
    cr_assert_null(crew_take(crew, true));
}
