// SPDX-License-Identifier: Apache-2.0
/*
 * The ghost table of CONTRACTS section 2, line by line; then against a model.
 *
 * Another seed by hand: GHOSTS_SEED=N test-ghosts. A failure names seed and step.
 */
#include "fault.h"
#include "ghosts.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ghosts *g;

static void up(void)
{
    cr_assert_eq(ghosts_create(&g), 0);
}
static void down(void)
{
    ghosts_destroy(g);
}
TestSuite(ghosts, .init = up, .fini = down);

static struct id id_of_number(unsigned n)
{
    struct id id = {{0}};

    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static void insert(unsigned n, uint16_t shard, uint32_t count)
{
    const struct ghost stub = {id_of_number(n), shard, count, 1000 + n};

    cr_assert_eq(ghosts_insert(g, &stub), 0);
}

static bool decr(unsigned n)
{
    const struct id id = id_of_number(n);

    return ghosts_decr(g, &id);
}

static void incr(unsigned n)
{
    const struct id id = id_of_number(n);

    ghosts_incr(g, &id);
}

static int resolve(unsigned n)
{
    const struct id id = id_of_number(n);

    return ghosts_resolve(g, &id);
}

static const struct ghost *get(unsigned n)
{
    const struct id id = id_of_number(n);

    return ghosts_get(g, &id);
}

static unsigned number_of(const struct ghost *stub)
{
    return (unsigned)stub->id.b[14] << 8 | stub->id.b[15];
}

/* ---- stubs ---- */

Test(ghosts, a_stub_is_an_id_a_shard_a_count_and_the_time_it_was_made)
{
    insert(1, 65535, 3);
    cr_assert(id_equal(&get(1)->id, &(struct id){{[15] = 1}}));
    cr_assert_eq(get(1)->shard, 65535);
    cr_assert_eq(get(1)->count, 3);
    cr_assert_eq(get(1)->created, 1001);
    cr_assert_null(get(2));
}

Test(ghosts, insert_replaces)
{
    insert(1, 7, 3);
    cr_assert_eq(ghosts_insert(g, &(struct ghost){id_of_number(1), 8, 1, 5}), 0);
    cr_assert_eq(ghosts_length(g), 1);
    cr_assert_eq(get(1)->shard, 8);
    cr_assert_eq(get(1)->count, 1);
    cr_assert_eq(get(1)->created, 5);
}

Test(ghosts, a_count_saturates_at_the_maximum)
{
    insert(1, 7, UINT32_MAX - 1);
    incr(1);
    cr_assert_eq(get(1)->count, UINT32_MAX);
    incr(1);
    cr_assert_eq(get(1)->count, UINT32_MAX);
}

Test(ghosts, a_count_stuck_at_the_maximum_never_falls)
{
    insert(1, 7, UINT32_MAX - 1);
    incr(1);
    for (int i = 0; i < 3; i++)
        cr_assert_not(decr(1));
    cr_assert_eq(get(1)->count, UINT32_MAX);
    cr_assert_eq(ghosts_purged(g), 0);
}

Test(ghosts, a_count_saturates_at_zero_where_the_stub_goes)
{
    insert(1, 7, 0);
    cr_assert(decr(1));
    cr_assert_null(get(1));
    cr_assert_not(decr(1), "it was taken below zero");
    cr_assert_eq(ghosts_purged(g), 1);
}

Test(ghosts, incr_of_an_absent_id_does_nothing)
{
    incr(1);
    cr_assert_eq(ghosts_length(g), 0);
    cr_assert_null(get(1));
}

Test(ghosts, decr_of_an_absent_id_returns_false)
{
    insert(2, 7, 1);
    cr_assert_not(decr(1));
    cr_assert_eq(ghosts_length(g), 1);
    cr_assert_eq(ghosts_purged(g), 0);
}

Test(ghosts, a_decr_that_reaches_zero_removes_the_stub_returns_true_and_raises_the_purge_total)
{
    insert(1, 7, 2);
    insert(2, 7, 1);
    cr_assert_not(decr(1));
    cr_assert_eq(ghosts_purged(g), 0);
    cr_assert(decr(1));
    cr_assert_null(get(1));
    cr_assert_eq(ghosts_length(g), 1);
    cr_assert_eq(ghosts_purged(g), 1);
    cr_assert(decr(2));
    cr_assert_eq(ghosts_purged(g), 2);
}

Test(ghosts, three_decrements_of_a_stub_with_count_3_purge_it_on_the_third)
{
    insert(1, 7, 3);
    cr_assert_not(decr(1));
    cr_assert_not(decr(1));
    cr_assert(decr(1));
    cr_assert_eq(resolve(1), -1);
}

Test(ghosts, an_increment_then_needs_one_more)
{
    insert(1, 7, 3);
    incr(1);
    for (int i = 0; i < 3; i++)
        cr_assert_not(decr(1));
    cr_assert_eq(resolve(1), 7);
    cr_assert(decr(1));
}

/* ---- questions ---- */

Test(ghosts, resolve_gives_the_shard_after_migration_and_none_for_a_stranger)
{
    insert(1, 7, 1);
    cr_assert_eq(resolve(1), 7);
    insert(1, 9, 1);
    cr_assert_eq(resolve(1), 9);
    cr_assert_eq(resolve(2), -1);
}

struct listed {
    unsigned numbers[8], count, stop_at;
};

static int note(const struct ghost *stub, void *ctx)
{
    struct listed *l = ctx;

    l->numbers[l->count++] = number_of(stub);
    return l->count == l->stop_at ? 42 : 0;
}

Test(ghosts, stubs_are_listed_in_the_order_of_their_shards_and_ids)
{
    static const unsigned want[] = {4, 9, 1, 5};
    struct listed l = {0};

    insert(5, 2, 1);
    insert(1, 2, 1);
    insert(9, 1, 1);
    insert(4, 1, 0);
    cr_assert_eq(ghosts_list(g, note, &l), 0);
    cr_assert_eq(l.count, 4);
    cr_assert_arr_eq(l.numbers, want, sizeof want);
}

Test(ghosts, a_listing_that_is_told_to_stop_stops)
{
    struct listed l = {.stop_at = 2};

    for (unsigned i = 1; i <= 4; i++)
        insert(i, 1, 1);
    cr_assert_eq(ghosts_list(g, note, &l), 42);
    cr_assert_eq(l.count, 2);
}

Test(ghosts, length_purge_total_and_time_of_the_last_sweep_can_be_read)
{
    struct ghost_report r;

    cr_assert_eq(ghosts_length(g), 0);
    cr_assert_eq(ghosts_purged(g), 0);
    cr_assert_eq(ghosts_last_sweep(g), 0);
    insert(1, 7, 0);
    insert(2, 7, 1);
    cr_assert_eq(ghosts_length(g), 2);
    cr_assert(decr(2));
    cr_assert_eq(ghosts_sweep(g, NULL, NULL, 12345, &r), 0);
    cr_assert_eq(ghosts_length(g), 0);
    cr_assert_eq(ghosts_purged(g), 2);
    cr_assert_eq(ghosts_last_sweep(g), 12345);
}

/* ---- sweeps ---- */

struct verdicts {
    int of[8]; /* by number */
    unsigned asked[8];
};

static int verdict(const struct ghost *stub, void *ctx)
{
    struct verdicts *v = ctx;

    v->asked[number_of(stub)]++;
    return v->of[number_of(stub)];
}

static bool is_report(const struct ghost_report *r, uint64_t checked, uint64_t purged,
                      uint64_t kept, uint64_t inconclusive, uint64_t lost)
{
    return r->checked == checked && r->purged == purged && r->kept == kept &&
           r->inconclusive == inconclusive && r->lost == lost;
}

Test(ghosts, a_sweep_purges_a_zero_count_stub_without_asking)
{
    struct verdicts v = {.of = {[1] = GHOST_KEEP}};
    struct ghost_report r;

    insert(1, 7, 0);
    cr_assert_eq(ghosts_sweep(g, verdict, &v, 1, &r), 0);
    cr_assert_eq(v.asked[1], 0);
    cr_assert(is_report(&r, 1, 1, 0, 0, 0));
    cr_assert_eq(ghosts_length(g), 0);
    cr_assert_eq(ghosts_purged(g), 1);
}

Test(ghosts, of_stale_alive_and_unreachable_a_sweep_purges_1_keeps_1_leaves_1_and_2_remain)
{
    struct verdicts v = {.of = {[1] = GHOST_PURGE, [2] = GHOST_KEEP, [3] = GHOST_INCONCLUSIVE}};
    struct ghost_report r;

    for (unsigned i = 1; i <= 3; i++)
        insert(i, 7, i);
    cr_assert_eq(ghosts_sweep(g, verdict, &v, 1, &r), 0);
    cr_assert(is_report(&r, 3, 1, 1, 1, 0));
    cr_assert_eq(ghosts_length(g), 2);
    cr_assert_eq(resolve(1), -1);
    cr_assert_eq(get(2)->count, 2);
    cr_assert_eq(get(3)->count, 3);
}

Test(ghosts, what_was_inconclusive_is_asked_for_again_by_the_next_sweep)
{
    struct verdicts v = {.of = {[1] = GHOST_INCONCLUSIVE}};
    struct ghost_report r;

    insert(1, 7, 1);
    cr_assert_eq(ghosts_sweep(g, verdict, &v, 1, &r), 0);
    v.of[1] = GHOST_KEEP;
    cr_assert_eq(ghosts_sweep(g, verdict, &v, 2, &r), 0);
    cr_assert_eq(v.asked[1], 2);
    cr_assert(is_report(&r, 1, 0, 1, 0, 0));
}

Test(ghosts, what_is_lost_is_kept_and_said)
{
    struct verdicts v = {.of = {[1] = GHOST_LOST}};
    struct ghost_report r;

    insert(1, 7, 1);
    cr_assert_eq(ghosts_sweep(g, verdict, &v, 1, &r), 0);
    cr_assert(is_report(&r, 1, 0, 1, 0, 1));
    cr_assert_eq(resolve(1), 7);
}

Test(ghosts, a_sweep_obeys_any_verdict)
{
    struct verdicts v = {.of = {[1] = GHOST_PURGE}};
    struct ghost_report r;

    insert(1, 7, UINT32_MAX);
    cr_assert_eq(ghosts_sweep(g, verdict, &v, 1, &r), 0);
    cr_assert_eq(ghosts_length(g), 0);
}

Test(ghosts, a_sweep_of_nothing_is_a_sweep)
{
    struct ghost_report r = {9, 9, 9, 9, 9};

    cr_assert_eq(ghosts_sweep(g, verdict, NULL, 77, &r), 0);
    cr_assert(is_report(&r, 0, 0, 0, 0, 0));
    cr_assert_eq(ghosts_last_sweep(g), 77);
}

Test(ghosts, an_error_ends_a_sweep_with_a_report_of_what_was_done)
{
    struct verdicts v = {.of = {[1] = GHOST_PURGE, [2] = -EIO, [3] = GHOST_PURGE}};
    struct ghost_report r;

    for (unsigned i = 1; i <= 3; i++)
        insert(i, 7, 1);
    cr_assert_eq(ghosts_sweep(g, verdict, &v, 5, &r), -EIO);
    cr_assert(is_report(&r, 1, 1, 0, 0, 0));
    cr_assert_eq(v.asked[3], 0);
    cr_assert_eq(ghosts_length(g), 2);
    cr_assert_eq(ghosts_last_sweep(g), 0, "a sweep that did not end is no last sweep");
}

/* ---- against a model ---- */

#define STEPS 60000
#define NUMBERS 700 /* so many ids, of which the table has more and fewer */

static struct model {
    struct ghost stub[NUMBERS];
    bool there[NUMBERS];
    int verdict[NUMBERS];
    uint64_t purged;
    size_t count;
    int64_t swept;
} m;
static uint64_t seed;
static unsigned step;

static unsigned chance(unsigned n)
{
    return (unsigned)(fault_random(&seed) >> 20) % n;
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what))                                                                               \
            cr_assert_fail("\nstep %u: %s", step, #what);                                          \
    } while (0)

/* Some ids begin alike, some end alike, and some look for their place from the same one on. */
static struct id model_id(unsigned n)
{
    struct id id = {{0}};

    id.b[n % 3 * 5] = (uint8_t)n;
    id.b[n % 3 * 5 + 1] = (uint8_t)(n >> 8);
    return id;
}

static void model_purge(unsigned n)
{
    m.there[n] = false;
    m.purged++;
    m.count--;
}

static void an_insert(unsigned n)
{
    const uint32_t counts[] = {0, 1, 2, 3, UINT32_MAX - 1, UINT32_MAX};
    const struct ghost stub = {.id = model_id(n),
                               .shard = (uint16_t)chance(4),
                               .count = counts[chance(6)],
                               .created = (int64_t)chance(1000)};

    CHECK(ghosts_insert(g, &stub) == 0);
    m.count += !m.there[n];
    m.there[n] = true;
    m.stub[n] = stub;
}

static void an_increment(unsigned n)
{
    const struct id id = model_id(n);

    ghosts_incr(g, &id);
    if (m.there[n] && m.stub[n].count < UINT32_MAX)
        m.stub[n].count++;
}

static void a_decrement(unsigned n)
{
    const struct id id = model_id(n);
    bool falls = m.there[n] && m.stub[n].count < UINT32_MAX;
    bool gone = falls && m.stub[n].count <= 1;

    CHECK(ghosts_decr(g, &id) == gone);
    if (gone)
        model_purge(n);
    else if (falls)
        m.stub[n].count--;
}

static int model_number(const struct id *id)
{
    for (unsigned n = 0; n < NUMBERS; n++)
        if (m.there[n] && id_equal(&m.stub[n].id, id))
            return (int)n;
    return -1;
}

static int model_verdict(const struct ghost *stub, void *ctx)
{
    int n = model_number(&stub->id);

    (void)ctx;
    CHECK(n >= 0 && m.stub[n].count > 0);
    return m.verdict[n];
}

static void a_sweep(void)
{
    struct ghost_report want = {0}, r;
    bool goes[NUMBERS] = {0};

    for (unsigned n = 0; n < NUMBERS; n++) {
        m.verdict[n] = (int)chance(4);
        if (!m.there[n])
            continue;
        want.checked++;
        goes[n] = m.stub[n].count == 0 || m.verdict[n] == GHOST_PURGE;
        want.purged += goes[n];
        want.inconclusive += !goes[n] && m.verdict[n] == GHOST_INCONCLUSIVE;
        want.lost += !goes[n] && m.verdict[n] == GHOST_LOST;
    }
    want.kept = want.checked - want.purged - want.inconclusive;
    m.swept = (int64_t)step + 1;
    CHECK(ghosts_sweep(g, model_verdict, NULL, m.swept, &r) == 0);
    CHECK(memcmp(&r, &want, sizeof r) == 0);
    for (unsigned n = 0; n < NUMBERS; n++)
        if (goes[n])
            model_purge(n);
}

static int compare_one(const struct ghost *stub, void *ctx)
{
    size_t *seen = ctx;
    int n = model_number(&stub->id);

    ++*seen;
    CHECK(n >= 0 && m.stub[n].shard == stub->shard && m.stub[n].count == stub->count &&
          m.stub[n].created == stub->created);
    return 0;
}

static void compare(void)
{
    size_t seen = 0;

    CHECK(ghosts_list(g, compare_one, &seen) == 0);
    CHECK(seen == m.count);
    for (unsigned n = 0; n < NUMBERS; n++) {
        const struct id id = model_id(n);
        CHECK(ghosts_resolve(g, &id) == (m.there[n] ? m.stub[n].shard : -1));
    }
}

Test(ghosts, the_table_does_what_the_model_does)
{
    const char *text = getenv("GHOSTS_SEED");

    seed = text ? strtoull(text, NULL, 10) : 1;
    fprintf(stderr, "test_ghosts: GHOSTS_SEED=%llu\n", (unsigned long long)seed);
    m = (struct model){0};
    for (step = 0; step < STEPS; step++) {
        unsigned what = chance(100), n = chance(NUMBERS);
        if (what < 30)
            an_insert(n);
        else if (what < 55)
            an_increment(n);
        else
            a_decrement(n);
        if (chance(2000) == 0)
            a_sweep();
        if (chance(500) == 0)
            compare();
        CHECK(ghosts_length(g) == m.count);
        CHECK(ghosts_purged(g) == m.purged);
        CHECK(ghosts_last_sweep(g) == m.swept);
    }
    compare();
    cr_assert_gt(m.purged, STEPS / 20);
}
