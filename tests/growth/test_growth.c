// SPDX-License-Identifier: Apache-2.0
/* Claims about growth: samples come with commits, get fewer as they get old, and outlive a death. */
#include "bytes.h"
#include "check.h"
#include "fixture.h"
#include "flush.h"
#include "growth_table.h"
#include "report.h"
#include "stored_record.h"

#define SECOND NSEC_PER_SEC
#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}

static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(growth, .init = up, .fini = down);

static void advance(int64_t seconds)
{
    clock_manual_advance(&x.clock, seconds * SECOND);
}

/* Changes something, and commits it. */
static void change(void)
{
    static int n;
    char path[32], text[32];

    snprintf(path, sizeof path, "main/f%d", n % 3);
    snprintf(text, sizeof text, "content %d", n++);
    put_file(&x, path, text);
    cr_assert_eq(flush_now(x.p), 0);
}

static struct growth_sample newest(void)
{
    struct growth_sample s = {0}, next;
    int64_t at = 0;

    while (growth_from(&x.p->growth, at, &next) == 0) {
        s = next;
        at = s.time + 1;
    }
    return s;
}

static size_t rows(void)
{
    struct kv_each e = {.table = TABLE_GROWTH};
    size_t n = 0;

    cr_assert_eq(kv_snap_begin(x.kv, &e.snap), 0);
    while (kv_next(&e))
        n++;
    kv_snap_end(e.snap);
    return n;
}

/* Puts a row into the table as another program would. */
static void put_row(uint64_t number, const void *val, size_t len)
{
    uint8_t key[8];
    struct kv_txn *t;

    put_be64(key, number);
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_GROWTH, key, 8, val, len), 0);
    cr_assert_eq(kv_end(t, 0), 0);
}

static int add_size(const struct refs_item *item, void *ctx)
{
    *(uint64_t *)ctx += item->size;
    return 0;
}

/* The bytes of all objects with a reference, one by one. */
static uint64_t listed(void)
{
    uint64_t bytes = 0;

    cr_assert_eq(refs_list(x.p->refs, -1, NULL, add_size, &bytes), 0);
    return bytes;
}

static uint64_t stored(void)
{
    struct refs_stats s;

    refs_get_stats(x.p->refs, &s);
    return s.stored;
}

/* The record of the last commit, but with another sum. */
static void tell_stored(uint64_t bytes)
{
    uint8_t state[STORE_RECORD_LEN];
    struct stored_record s = {.bytes = bytes};
    struct kv_txn *t;
    size_t len;

    cr_assert_eq(kv_get(x.kv, TABLE_META, "state", 5, state, sizeof state, &len), 0);
    s.state = stored_record_tie(state);
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_end(t, stored_record_put(&s, t)), 0);
}

static void die_and_start(void)
{
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
}

/* ---- samples ---- */

Test(growth, a_sample_comes_with_a_commit_and_not_before_a_quarter_of_an_hour)
{
    change();
    size_t before = rows();

    cr_assert_geq(before, 1);
    change();
    advance(GROWTH_EVERY - 1);
    change();
    cr_assert_eq(rows(), before);
    advance(1);
    change();
    cr_assert_eq(rows(), before + 1);
}

Test(growth, a_sample_is_never_a_commit_of_its_own)
{
    uint64_t commits = flush_commits(x.p);
    size_t before = rows();

    for (int i = 0; i < 20; i++) {
        advance(i % 3 ? DAY : 60);
        if (i % 2)
            change();
        else
            cr_assert_eq(flush_now(x.p), 0);
        cr_assert_leq(rows() - before, flush_commits(x.p) - commits);
    }
}

Test(growth, a_sample_says_what_the_store_is)
{
    put_file(&x, "main/a", "twelve bytes");
    agreed(&x, "branch main dev", "ok");
    put_file(&x, "dev/b", "more");
    cr_assert_eq(flush_now(x.p), 0);
    advance(GROWTH_EVERY);
    change();
    struct growth_sample s = newest();

    cr_assert_eq(s.namespaces, 2);
    cr_assert_eq(s.objects, 3);
    cr_assert_eq(s.stored, listed());
    cr_assert_eq(s.logical, 4 * 512);
    cr_assert_gt(s.inodes, 3);
}

Test(growth, the_verb_lists_them_and_those_of_the_last_time)
{
    change();
    advance(DAY);
    change();
    agreed(&x, "growth since=1h", "ok samples=1");
    agreed(&x, "growth since=0", "ok samples=1");
    advance(60);
    change();
    agreed(&x, "growth since=1h", "ok samples=2"); /* that one, and how it is now */
    refused(&x, "growth since=yesterday", -EINVAL, "since is a time");
}

Test(growth, they_are_there_after_a_mount_and_after_a_death)
{
    change();
    advance(HOUR);
    change();
    size_t before = x.p->growth.count;
    struct growth_sample s = newest();

    cr_assert_eq(before, rows());
    fixture_reopen(&x);
    cr_assert_eq(x.p->growth.count, before);
    put_file(&x, "main/later", "x");
    die_and_start();
    cr_assert_geq(x.p->growth.count, before);
    cr_assert_geq(newest().time, s.time);
}

/* ---- what is stored ---- */

Test(growth, what_is_stored_is_the_sum_of_all_objects_whatever_happens)
{
    for (int i = 0; i < 200; i++) {
        char path[32], text[64];

        snprintf(path, sizeof path, "main/f%d", i % 7);
        snprintf(text, sizeof text, "%0*d", 1 + i % 50, i % 5);
        if (node_of(&x, path) && i % 3 == 0)
            remove_file(&x, path);
        else
            put_file(&x, path, text);
        if (i % 11 == 0)
            cr_assert_eq(flush_now(x.p), 0);
        if (i % 23 == 0)
            fixture_reopen(&x);
        if (i % 31 == 0)
            die_and_start();
        cr_assert_eq(flush_now(x.p), 0);
        cr_assert_eq(stored(), listed(), "after %d", i);
    }
}

Test(growth, a_start_counts_what_is_stored_if_nobody_says_it)
{
    change();
    fixture_reopen(&x);
    struct stored_record wrong = {.state = 1, .bytes = 12345};
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_end(t, stored_record_put(&wrong, t)), 0);
    die_and_start();
    cr_assert_eq(stored(), listed());
    cr_assert_gt(stored(), 0);
}

Test(growth, what_is_stored_is_said_by_the_commit_and_believed)
{
    struct stored_record said;

    change();
    fixture_reopen(&x);
    cr_assert_eq(stored_record_load(x.kv, &said), 0);
    cr_assert_eq(said.bytes, listed());
    tell_stored(said.bytes + 1);
    die_and_start();
    cr_assert_eq(stored(), listed() + 1);
}

/* ---- thinning ---- */

/* Commits of so many days, at times that a seed says. */
static void live(uint64_t seed, int64_t days)
{
    static struct growth g;
    int64_t now = 1000000000, end = now + days * DAY, last[4] = {0};

    growth_init(&g);
    while (now < end) {
        struct growth_sample s = {.time = 0};
        struct growth_batch b;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        now += (int64_t)(seed >> 33) % (seed >> 60 == 0 ? 20 * HOUR : 2000);
        if (!growth_is_due(&g, now))
            continue;
        s.time = now;
        s.logical = (uint64_t)now;
        cr_assert_eq(growth_freeze(&g, &s, &b), 0);
        growth_frozen(&g, &b);
        growth_batch_release(&b);
        cr_assert_leq(g.count, (size_t)(GROWTH_FINE / GROWTH_EVERY + GROWTH_HOURLY / HOUR +
                                        GROWTH_DAILY / DAY + GROWTH_AHEAD / GROWTH_EVERY + 3));
    }
    for (size_t i = 0; i < g.count; i++) {
        int64_t age = now - g.v[i].time;
        int64_t late = age - 2 * DAY; /* a clock is believed a day later, and then some commit */
        int64_t every = late <= GROWTH_FINE ? GROWTH_EVERY : late <= GROWTH_HOURLY ? HOUR : DAY;

        cr_assert(i == 0 || g.v[i].time > g.v[i - 1].time);
        cr_assert(i == 0 || g.v[i].time / every != g.v[i - 1].time / every);
        cr_assert_eq(g.v[i].logical, (uint64_t)g.v[i].time);
        last[age <= GROWTH_FINE ? 0 : age <= GROWTH_HOURLY ? 1 : 2]++;
    }
    cr_assert_gt(last[0], 20);
    cr_assert_gt(last[1], 100);
    cr_assert_gt(last[2], (days - 80) / 3);
    growth_release(&g);
}

Test(growth, old_samples_are_one_an_hour_and_then_one_a_day)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        live(seed, 400);
}

Test(growth, of_what_is_kept_nothing_goes_before_it_leaves_its_age)
{
    /* the first of an hour is kept with all later ones, at whatever time one looks */
    for (int64_t age = 0; age <= GROWTH_HOURLY; age += 1777)
        cr_assert(growth_is_kept(7200, 7200 - GROWTH_EVERY, 7200 + age));
    cr_assert(growth_is_kept(7200 + 900, 7200, 7200 + 900 + GROWTH_FINE));
    cr_assert_not(growth_is_kept(7200 + 900, 7200, 7200 + 901 + GROWTH_FINE));
    cr_assert_not(growth_is_kept(1, 0, 2 + GROWTH_DAILY));
    cr_assert(growth_is_kept(7200 + 900, 7200, 1));
}

Test(growth, a_clock_that_goes_back_and_forth_does_no_harm)
{
    int64_t jumps[] = {40 * DAY, -39 * DAY, 5 * DAY, -3 * HOUR, 4000 * DAY, -4030 * DAY, HOUR};
    size_t i;

    change();
    for (i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        advance(jumps[i]);
        change();
        change();
        cr_assert_eq(x.p->growth.count, rows());
    }
    advance(GROWTH_EVERY);
    change();
    cr_assert_eq(x.p->growth.count, rows());
    agreed(&x, "growth", "ok samples=");
}

/* Is there a sample of that time? */
static bool has(int64_t time)
{
    struct growth_sample s;

    return growth_from(&x.p->growth, time, &s) == 0 && s.time == time;
}

Test(growth, what_a_wrong_clock_put_into_the_future_stops_none_and_goes_after_a_day)
{
    int64_t fine, future;
    size_t before;

    change();
    advance(GROWTH_EVERY);
    change();
    fine = newest().time;
    advance(365 * DAY);
    change();
    future = newest().time;
    advance(GROWTH_EVERY - 365 * DAY);
    before = rows();
    change();
    cr_assert_eq(rows(), before + 1);
    cr_assert(has(future));
    fixture_reopen(&x);
    advance(DAY - 1);
    change();
    cr_assert(has(future)); /* who knows which of the two is right */
    advance(GROWTH_EVERY);
    change();
    cr_assert_not(has(future));
    cr_assert(has(fine)); /* by that clock it was a year old, and not the first of its day */
    cr_assert_eq(newest().time, future - 365 * DAY + 2 * GROWTH_EVERY + DAY - 1);
    cr_assert_eq(x.p->growth.count, rows());
    fixture_reopen(&x);
    cr_assert_not(has(future));
}

Test(growth, a_clock_that_is_wrong_for_less_than_a_day_costs_no_sample)
{
    int64_t first, last;
    size_t before;

    advance(1000 * DAY);
    change();
    first = newest().time;
    advance(2 * DAY);
    change();
    advance(GROWTH_EVERY);
    change();
    last = newest().time;
    before = rows();
    advance(-400 * DAY);
    for (int i = 0; i < 20; i++) {
        change();
        advance(HOUR);
    }
    cr_assert_eq(rows(), before + 20);
    advance(400 * DAY);
    change();
    cr_assert(has(first) && has(last - GROWTH_EVERY) && has(last));
    cr_assert_eq(newest().time, last + 20 * HOUR);
}

/* ---- damage ---- */

Test(growth, a_damaged_row_is_reported_and_costs_nothing_else)
{
    change();
    size_t before = rows();
    uint64_t warned = report_count(REPORT_WARN);

    put_row(5, "nonsense", 8);
    put_row(UINT64_MAX, "nonsense", 8);
    die_and_start();
    cr_assert_eq(report_count(REPORT_WARN), warned + 1);
    cr_assert_eq(x.p->growth.count, before);
}

static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)where;
    (void)sentence;
    (void)ctx;
    cr_assert_str_eq(what, "sample");
}

static uint64_t check(void)
{
    struct check_options o = {.found = on_found};
    struct check_result r = {0};
    struct kv *kv;

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(store_check(x.disk, kv, &o, &r), 0);
    kv_close(kv);
    return r.problems;
}

Test(growth, the_offline_check_finds_a_row_that_is_damaged)
{
    change();
    fixture_reopen(&x);
    cr_assert_eq(check(), 0);
    put_row(5, "nonsense", 8);
    cr_assert_eq(check(), 1);
    put_row(0, "nonsense", 8);
    cr_assert_eq(check(), 2); /* no sample has the time 0 */
}

Test(growth, a_longer_value_of_a_later_version_is_read)
{
    struct growth_sample s = {.inodes = 1, .logical = 2, .objects = 3, .disk_free = 6}, r;
    uint8_t val[GROWTH_SAMPLE_LEN + 8] = {0};

    growth_sample_encode(&s, val);
    cr_assert_eq(growth_sample_decode(val, sizeof val, &r), 0);
    cr_assert_eq(r.objects, 3);
    cr_assert_eq(growth_sample_decode(val, GROWTH_SAMPLE_LEN - 1, &r), -EUCLEAN);
}
