// SPDX-License-Identifier: Apache-2.0
/* Claims of shard_probe: what may be a shard, and what is refused. */
#include "clock.h"
#include "shards_both.h"

#include <errno.h>
#include <pthread.h>

#define WRITERS 16

static int probe(struct shard *s, const char *sentence)
{
    char why[SHARD_WHY] = "?";
    int err = shard_probe(s, why);

    cr_assert_not_null(strstr(why, sentence), "%s", why);
    cr_assert_eq(err == -EOPNOTSUPP, *why != '\0', "%d: %s", err, why);
    return err;
}

static int count(const char *name, uint64_t size, void *ctx)
{
    (void)name;
    (void)size;
    ++*(int *)ctx;
    return 0;
}

static int names(struct shard *s)
{
    int n = 0;

    cr_assert_eq(shard_list(s, "", count, &n), 0);
    return n;
}

BOTH(a_place_where_one_of_sixteen_wins_passes_and_is_as_it_was)
{
    cr_assert_eq(PUT_TEXT(s, "claims/1", "mine"), 0);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(probe(s, ""), 0);
    cr_assert_eq(names(s), 1);
    expect(s, "claims/1", "mine");
}

BOTH(a_place_that_may_only_be_read_says_so)
{
    struct shard *reader = opened(p->url, SHARD_READONLY);

    cr_assert_eq(probe(reader, ""), -EROFS);
    shard_close(reader);
    cr_assert_eq(names(s), 0);
}

/* ---- places that only pretend ---- */

struct pretender {
    struct place p;
    struct shard *s;
};

#define PRETENDER(claim)                                                                           \
    static void claim(struct pretender *x);                                                        \
    Test(shard_probe, claim)                                                                       \
    {                                                                                              \
        struct pretender x;                                                                        \
        place_make(&x.p, false);                                                                   \
        x.s = opened(x.p.url, 0);                                                                  \
        claim(&x);                                                                                 \
        shard_close(x.s);                                                                          \
        place_unmake(&x.p);                                                                        \
    }                                                                                              \
    static void claim(struct pretender *x)

PRETENDER(one_that_ignores_the_condition_is_refused_in_words)
{
    shard_mem_set(x->p.mem, SHARD_MEM_CLOBBERS, true);
    cr_assert_eq(probe(x->s, "it let 16 of 16 writers put one name, so two stores could both own it: "
                             "it cannot be used as a shard"),
                 -EOPNOTSUPP);
    cr_assert_eq(shard_mem_count(x->p.mem), 0);
}

/* The latency of the first 16 calls ends when all 16 are there. */
static pthread_barrier_t all_there;
static _Atomic int calls;

static void meet(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    (void)duration_ns;
    if (++calls <= WRITERS)
        pthread_barrier_wait(&all_there);
}

PRETENDER(one_that_looks_first_and_writes_later_is_refused_though_one_writer_after_the_other_is_told)
{
    cr_assert_eq(pthread_barrier_init(&all_there, NULL, WRITERS), 0);
    shard_mem_set(x->p.mem, SHARD_MEM_RACES, true);
    cr_assert_eq(shard_put_if_absent(x->s, "owner", "1", 1), 0);
    cr_assert_eq(shard_put_if_absent(x->s, "owner", "2", 1), -EEXIST);
    cr_assert_eq(shard_delete(x->s, "owner"), 0);
    shard_mem_set_latency(x->p.mem, 1, meet, NULL);
    cr_assert_eq(probe(x->s, "it let 16 of 16 writers"), -EOPNOTSUPP);
    cr_assert_eq(shard_mem_count(x->p.mem), 0);
    pthread_barrier_destroy(&all_there);
}

PRETENDER(lists_without_what_was_just_put_are_refused)
{
    shard_mem_set(x->p.mem, SHARD_MEM_FORGETS, true);
    cr_assert_eq(probe(x->s, "its lists lack a name that was just put"), -EOPNOTSUPP);
    cr_assert_eq(shard_mem_count(x->p.mem), 0);
}

PRETENDER(one_that_does_not_find_what_was_just_put_is_refused)
{
    shard_mem_set(x->p.mem, SHARD_MEM_DENIES, true);
    cr_assert_eq(probe(x->s, "it does not find a name that was just put"), -EOPNOTSUPP);
}

PRETENDER(one_that_still_has_what_was_deleted_is_refused)
{
    shard_mem_set(x->p.mem, SHARD_MEM_KEEPS, true);
    cr_assert_eq(probe(x->s, "it still returns a name that was deleted"), -EOPNOTSUPP);
}

PRETENDER(errors_of_the_place_are_returned_as_they_are)
{
    shard_mem_set(x->p.mem, SHARD_MEM_FULL, true);
    cr_assert_eq(probe(x->s, ""), -ENOSPC);
    shard_mem_set(x->p.mem, SHARD_MEM_FULL, false);
    shard_mem_set(x->p.mem, SHARD_MEM_SHORT_LISTS, true);
    cr_assert_eq(probe(x->s, ""), -EIO);
    cr_assert_eq(shard_mem_count(x->p.mem), 0);
    shard_mem_set(x->p.mem, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(probe(x->s, ""), -EHOSTUNREACH);
}

PRETENDER(one_that_does_not_answer_holds_up_nobody)
{
    shard_mem_set(x->p.mem, SHARD_MEM_BLOCKED, true);
    shard_set_patience(50 * NSEC_PER_MSEC);
    cr_assert_eq(probe(x->s, ""), -EHOSTUNREACH);
    shard_set_patience(30 * NSEC_PER_SEC);
    shard_mem_set(x->p.mem, SHARD_MEM_BLOCKED, false);
    while (shard_is_silent("mem:place", NULL))
        usleep(1000);
}
