// SPDX-License-Identifier: Apache-2.0
/*
 * Workers under threads that submit (of every class, and long work with keys), try, cancel, look at
 * their statistics, change their number and end them. Long work waits for short work, and rests
 * meanwhile. What must hold
 * in the end: every job that was taken ran or was dropped, once; nothing was taken after the end
 * began; work of one key ran one at a time.
 *
 *     race_workers [SEED [ROUNDS]]
 */
#include "workers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SUBMITTERS 4
#define JOBS 400 /* tried by each */
#define KEYS 3
#define RESTING 5 /* of one class at most */

struct job {
    struct round *round;
    _Atomic int ends; /* ran or dropped */
    enum workers_class class;
    unsigned key;
};

struct round {
    struct workers *workers;
    struct workers_group group;
    struct job jobs[SUBMITTERS][JOBS];
    _Atomic unsigned taken, ended;
    _Atomic bool over;
    _Atomic int busy[KEYS + 1];
    unsigned seed;
};

static void must(bool yes, const char *what, unsigned seed)
{
    if (yes)
        return;
    printf("race_workers: %s; again: race_workers %u 1\n", what, seed);
    exit(1);
}

static int run_piece(void *arg)
{
    (void)arg;
    return 0;
}

static void need_a_piece(struct round *r)
{
    struct workers_group g;
    const struct workers_work w = {.fn = run_piece, .group = &g, .class = WORKERS_URGENT};

    workers_group_init(&g);
    (void)workers_submit_work(r->workers, &w, NULL);
    (void)workers_group_wait(&g);
}

static int run_job(void *arg)
{
    struct job *j = arg;
    struct round *r = j->round;

    must(!j->key || atomic_fetch_add(&r->busy[j->key], 1) == 0, "two of one key", r->seed);
    must(atomic_fetch_add(&j->ends, 1) == 0, "a job ran twice", r->seed);
    workers_rest_begin(r->workers); /* does nothing in short work */
    if (j->class >= WORKERS_LONG)
        need_a_piece(r);
    workers_rest_end(r->workers, (uintptr_t)j / sizeof *j % 4 == 0, NULL);
    if (j->key)
        atomic_fetch_sub(&r->busy[j->key], 1);
    atomic_fetch_add(&r->ended, 1);
    return 0;
}

static void drop_job(void *arg, int err)
{
    struct job *j = arg;

    must(err == -ECANCELED || err == -ESHUTDOWN, "a strange error", j->round->seed);
    must(atomic_fetch_add(&j->ends, 1) == 0, "a job ended twice", j->round->seed);
    atomic_fetch_add(&j->round->ended, 1);
}

struct submitter {
    struct round *round;
    unsigned number; /* from 1 */
    pthread_t thread;
};

static void *submit_jobs(void *arg)
{
    const struct submitter *s = arg;
    struct round *r = s->round;
    unsigned state = r->seed * 31 + s->number;

    for (unsigned i = 0; i < JOBS; i++) {
        struct job *j = &r->jobs[s->number - 1][i];
        uint64_t id = 0;
        unsigned dice = (unsigned)rand_r(&state);
        *j = (struct job){.round = r, .class = (enum workers_class)(dice / 2 % WORKERS_CLASSES)};
        j->key = j->class >= WORKERS_LONG ? dice / 4096 % (KEYS + 1) : 0;
        const struct workers_work w = {.fn = run_job,
                                       .dropped = drop_job,
                                       .arg = j,
                                       .group = &r->group,
                                       .class = j->class,
                                       .key = j->key};
        int err = dice & 64 ? workers_try_submit(r->workers, &w, &id)
                            : workers_submit_work(r->workers, &w, &id);
        must(err == 0 || err == -ESHUTDOWN || (err == -EAGAIN && dice & 64), "refused", r->seed);
        if (err == 0)
            atomic_fetch_add(&r->taken, 1);
        if (err == 0 && (dice & 0x700) == 0)
            (void)workers_cancel(r->workers, id);
    }
    return NULL;
}

static void *look(void *arg)
{
    struct round *r = arg;
    struct workers_stats s;
    unsigned turn = r->seed;

    while (!atomic_load(&r->over)) {
        workers_get_stats(r->workers, &s);
        for (unsigned c = 0; c < WORKERS_CLASSES; c++)
            must(s.of[c].queued <= 8 + RESTING && s.of[c].running <= 5 + RESTING, "above its limit",
                 r->seed);
        (void)workers_set_threads(r->workers, 1 + turn % 5, 1 + turn / 5 % 5);
        turn++;
    }
    return NULL;
}

static void end_it(struct round *r)
{
    unsigned state = r->seed;

    (void)usleep((useconds_t)(rand_r(&state) % 3000));
    workers_shutdown(r->workers);
}

static void run_round(struct round *r, unsigned seed)
{
    const struct workers_config config = {
        .threads = 1 + seed % 4, .long_threads = 1 + seed % 4, .queue = 8};
    struct submitter s[SUBMITTERS];
    pthread_t looker;

    r->seed = seed;
    atomic_store(&r->taken, 0);
    atomic_store(&r->ended, 0);
    atomic_store(&r->over, false);
    workers_group_init(&r->group);
    must(workers_open(&config, &r->workers) == 0, "no workers", seed);
    must(pthread_create(&looker, NULL, look, r) == 0, "no thread", seed);
    for (unsigned i = 0; i < SUBMITTERS; i++) {
        s[i] = (struct submitter){.round = r, .number = i + 1};
        must(pthread_create(&s[i].thread, NULL, submit_jobs, &s[i]) == 0, "no thread", seed);
    }
    if (seed % 2)
        end_it(r);
    for (unsigned i = 0; i < SUBMITTERS; i++)
        (void)pthread_join(s[i].thread, NULL);
    end_it(r);
    must(atomic_load(&r->taken) == atomic_load(&r->ended), "a job was lost", seed);
    (void)workers_group_wait(&r->group);
    atomic_store(&r->over, true);
    (void)pthread_join(looker, NULL);
    workers_destroy(r->workers);
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20;
    struct round *r = calloc(1, sizeof *r);

    must(r != NULL, "no memory", seed);
    for (unsigned i = 0; i < rounds; i++)
        run_round(r, seed + i);
    free(r);
    printf("race_workers: seeds %u to %u\n", seed, seed + rounds - 1);
    return 0;
}
