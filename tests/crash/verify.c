// SPDX-License-Identifier: Apache-2.0
/*
 * verify: what must hold after a cut, also when the power goes once more while the store recovers.
 */
#include "kept.h"
#include "check.h"
#include "crash.h"
#include "tried.h"
#include <errno.h>
#include <string.h>

/* ---- what must hold ---- */

struct findings {
    bool leaks_too;
    uint64_t bad;
};

/* What the test itself damaged may be found. */
static bool is_our_damage(const char *what)
{
    return w.rotten &&
           (!strcmp(what, "pack record") || !strcmp(what, "object block") || !strcmp(what, "file"));
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct findings *f = ctx;
    bool counts = strcmp(what, "note") && (f->leaks_too || strcmp(what, "leak"));

    if (!counts || is_our_damage(what))
        return;
    f->bad++;
    fprintf(stderr, "check: %s %s: %s\n", what, where, sentence);
}

void check_store(bool leaks_too)
{
    struct findings f = {.leaks_too = leaks_too};
    struct check_options o = {
        .found = found, .ctx = &f, .pool = w.shared.incarnation > 0 ? &w.shared : NULL};
    struct check_result result;

    CHECK(world_open_kv(0) == 0);
    CHECK(store_check(w.disk, w.kv, &o, &result) == 0);
    kv_close(w.kv);
    CHECK(f.bad == 0);
}

void match_some_state(void)
{
    char why[256];
    struct model found_state;

    w.lenient = w.loose;
    for (size_t i = w.attempts; i-- > 0;)
        if (model_matches(&w.attempt[i], why)) {
            model_copy(&found_state, &w.attempt[i]);
            goto found;
        }
    if (!model_matches(&w.acked, why)) {
        fprintf(stderr, "not the state of the last flush: %s\n", why);
        for (size_t i = 0; i < w.attempts; i++)
            if (!model_matches(&w.attempt[i], why))
                fprintf(stderr, "nor that of one tried since: %s\n", why);
        const bool is_a_state_a_flush_left = false;
        CHECK(is_a_state_a_flush_left);
    }
    model_copy(&found_state, &w.acked);
found:
    w.lenient = false;
    model_adopt(&found_state);
    model_drop(&w.acked);
    while (w.attempts)
        model_drop(&w.attempt[--w.attempts]);
    w.acked = found_state;
    model_drop(&w.live);
    model_copy(&w.live, &w.acked);
}

void must_match(const struct model *s)
{
    char why[256];

    if (!model_matches(s, why)) {
        fprintf(stderr, "%s\n", why);
        const bool are_what_they_must_be = false;
        CHECK(are_what_they_must_be);
    }
}

static uint64_t table_entries(struct kv_snap *s, unsigned table)
{
    uint64_t n;

    CHECK(kv_snap_count(s, table, &n) == 0);
    return n;
}

static void nothing_is_left(void)
{
    static const unsigned tables[] = {
        TABLE_PAGES,       TABLE_PAGE_COUNTS, TABLE_OBJECTS,    TABLE_IDS,   TABLE_DYING,
        TABLE_PACKS,       TABLE_NAMESPACES,  TABLE_PINS,       TABLE_DROPS, TABLE_GHOSTS,
        TABLE_SHARD_PACKS, TABLE_UNSEALED,    TABLE_NS_SETTINGS};
    struct kv_snap *s;
    uint64_t bytes, names;

    world_usage(&bytes, &names);
    if (bytes || names)
        fprintf(stderr, "left on the disk: %llu bytes, %llu names\n", (unsigned long long)bytes,
                (unsigned long long)names);
    CHECK(bytes == 0 && names == 0);
    CHECK(kv_snap_begin(w.kv, &s) == 0);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (table_entries(s, tables[i]))
            fprintf(stderr, "left in table %s\n", store_tables[tables[i]].name);
        CHECK(table_entries(s, tables[i]) == 0);
    }
    kv_snap_end(s);
}

/* What a cut left elsewhere, or of what no frame had, has gone after two cycles: the first marks
 * it. */
static void collect(void)
{
    if (!w.sharded && !w.aside)
        return;
    if (w.sharded) {
        op_look();
        op_release();
    }
    if (w.aside)
        kept_expire(w.p); /* drafts, as a start does */
    op_gc();
    if (w.aside)
        op_advance(8 * 24 * 3600 * INT64_C(1000)); /* beyond the grace period */
    op_gc();
    op_drain(true);
}

void drop_everything(void)
{
    now_at.phase = "dropping everything";
    for (size_t s = 0; s < SPACES; s++)
        if (w.live.space[s])
            op_drop(s);
    op_empty_trash();
    while (w.live.pins)
        op_unpin(0);
    op_drain(true);
    collect();
    CHECK(!w.stopped);
    CHECK(store_close(w.p) == 0);
    w.p = NULL;
    nothing_is_left();
    kv_close(w.kv);
    if (w.sharded)
        world_shards_are_empty();
}

void settle(void)
{
    now_at.phase = "after recovery and a drain";
    op_drain(true);
    collect();
    CHECK(!w.stopped);
    must_match(&w.live);
    if (w.sharded)
        world_shards_are_tight();
    CHECK(store_close(w.p) == 0);
    kv_close(w.kv);
    check_store(true);
    world_reopen();
    must_match(&w.live);
}

/* ---- the power goes again ---- */

/* Recovery and what follows, as far as it comes; of what it made durable nothing is noted. */
static void recover_until_cut(uint64_t n)
{
    arm(n, true, 0);
    if (world_open_kv(0) < 0)
        return;
    if (world_try_open() == 0)
        (void)flush_drain(w.p, false, -1, NULL);
    model_note();
}

/* While the store recovers, drains or drops. */
static void cut_again(enum fault_loss loss)
{
    uint64_t state = now_at.seed * 7919 + now_at.k * 31 + now_at.pattern * 1009 + 1;
    uint64_t n = fault_random(&state) % (w.dir ? 60 : 14) + 1; /* LMDB's commits are many writes */

    now_at.phase = "during recovery, cut again";
    recover_until_cut(n);
    process_dies();
    power_cycle(loss, now_at.loss_seed);
    (void)tried_recovery(now_at.lost, n, world_lost());
    now_at.second_cuts++;
    now_at.phase = "after the second cut";
    check_store(false);
    world_reopen();
    match_some_state();
}

void verify_recovery(void)
{
    now_at.phase = "after the power came back";
    check_store(false);
    world_reopen();
    match_some_state();
    if (now_at.pattern < 3 || now_at.pattern % 3 == 0) {
        process_dies();
        cut_again(now_at.loss);
    }
    settle();
    drop_everything();
}

/* The process is dead, the page cache lives; fsync after the next start vouches for all of it. */
static void recover_and_sync(void)
{
    now_at.phase = "after the process died";
    world_reopen();
    match_some_state();
    op_sync();
    CHECK(!w.stopped && w.attempts == 0);
    process_dies();
    power_cycle(now_at.loss, now_at.loss_seed);
    (void)tried_recovery(now_at.lost, 0, world_lost());
    now_at.second_cuts++;
    now_at.phase = "after the power came back";
    check_store(false);
    world_reopen();
    match_some_state();
}

void verify_cut_recovery(void)
{
    if ((now_at.k / 2 + now_at.pattern) % 2)
        cut_again(now_at.loss);
    else
        recover_and_sync();
    settle();
    drop_everything();
}
