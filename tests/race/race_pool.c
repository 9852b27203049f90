// SPDX-License-Identifier: Apache-2.0
/*
 * A pool under threads that submit (of every class), try, cancel, look at its statistics and end
 * it, gracefully or by force. What must hold in the end: every job that was taken ran or was
 * dropped, once; nothing was taken after the end began.
 *
 *     race_pool [SEED [ROUNDS]]
 */
#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SUBMITTERS 4
#define JOBS 400 /* tried by each */

struct job {
    struct round *round;
    _Atomic int ends; /* ran or dropped */
};

struct round {
    struct pool *pool;
    struct pool_group group;
    struct job jobs[SUBMITTERS][JOBS];
    _Atomic unsigned taken, ended;
    _Atomic bool over;
    bool force;
    unsigned seed;
};

static void must(bool yes, const char *what, unsigned seed)
{
    if (yes)
        return;
    printf("race_pool: %s; again: race_pool %u 1\n", what, seed);
    exit(1);
}

static int run_job(void *arg)
{
    struct job *j = arg;
    struct round *r = j->round;

    must(atomic_fetch_add(&j->ends, 1) == 0, "a job ran twice", r->seed);
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
        *j = (struct job){.round = r};
        const struct pool_work w = {.fn = run_job,
                                    .dropped = drop_job,
                                    .arg = j,
                                    .group = &r->group,
                                    .class = (enum pool_class)(dice / 2 % POOL_CLASSES)};
        int err =
            dice & 64 ? pool_try_submit(r->pool, &w, &id) : pool_submit_work(r->pool, &w, &id);
        must(err == 0 || err == -ESHUTDOWN || (err == -EAGAIN && dice & 64), "refused", r->seed);
        if (err == 0)
            atomic_fetch_add(&r->taken, 1);
        if (err == 0 && (dice & 0x700) == 0)
            (void)pool_cancel(r->pool, id);
    }
    return NULL;
}

static void *look(void *arg)
{
    struct round *r = arg;
    struct pool_stats s;

    while (!atomic_load(&r->over)) {
        pool_get_stats(r->pool, &s);
        for (unsigned c = 0; c < POOL_CLASSES; c++)
            must(s.of[c].queued <= 8 && s.of[c].running <= s.threads, "above its limit", r->seed);
    }
    return NULL;
}

static void end_it(struct round *r)
{
    unsigned state = r->seed;

    (void)usleep((useconds_t)(rand_r(&state) % 3000));
    if (r->force)
        (void)pool_abort(r->pool);
    pool_shutdown(r->pool, NULL, NULL);
}

static void run_round(struct round *r, unsigned seed)
{
    struct submitter s[SUBMITTERS];
    pthread_t looker;

    r->seed = seed;
    r->force = seed % 3 == 0;
    atomic_store(&r->taken, 0);
    atomic_store(&r->ended, 0);
    atomic_store(&r->over, false);
    pool_group_init(&r->group);
    must(pool_create(1 + seed % 4, 8, &r->pool) == 0, "no pool", seed);
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
    (void)pool_group_wait(&r->group);
    atomic_store(&r->over, true);
    (void)pthread_join(looker, NULL);
    pool_destroy(r->pool);
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
    printf("race_pool: seeds %u to %u\n", seed, seed + rounds - 1);
    return 0;
}
