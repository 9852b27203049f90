// SPDX-License-Identifier: Apache-2.0
/*
 * test_pool_away: two stores whose pool is on a shard, which is away, full, slow to list, or loses
 * answers. What is written is there once, nothing acknowledged is lost, and what a cycle removes
 * nobody names. The program is compiled for a pool on a shard alone.
 */
#include "append_plain.h"
#include "flush_impl.h"
#include "nodes_fixture.h"

#include "check.h"

#define FILES 30

static void two(void)
{
    pool_of_nodes(2);
    shared_fault.loss = FAULT_KEEP_ALL;
}
TestSuite(pool_away, .init = two, .fini = pool_is_gone);

/* ---- words ---- */

static int drain(struct fixture *x)
{
    return flush_drain(x->p, true, -1, NULL);
}

static void has_all(struct fixture *x)
{
    for (int i = 0; i < FILES; i++)
        has_small(x, i);
    has_large(x, "main/large", 'x');
}

static void put_all(struct fixture *x)
{
    put_small(x, 0, FILES);
    put_large(x, "main/large", 'x');
}

static void finding(const char *what, const char *where, const char *sentence, void *ctx)
{
    ++*(unsigned *)ctx;
    fprintf(stderr, "%s %s: %s\n", what, where, sentence);
}

/* What check finds in a store, which it closes and opens again. */
static unsigned found_in(struct node *n)
{
    unsigned findings = 0;
    struct check_options o = {
        .found = finding, .ctx = &findings, .pool = &n->pool, .all_bytes = true};
    struct check_result r;

    node_close(n);
    cr_assert_eq(kv_open_mem(n->x.mem, store_tables, store_table_count, 0, &n->x.kv), 0);
    cr_assert_eq(disk_route_open(n->own, n->pool.disk, n->who.node, &n->x.disk), 0);
    cr_assert_eq(store_check(n->x.disk, n->x.kv, &o, &r), 0);
    kv_close(n->x.kv);
    disk_close(n->x.disk);
    node_open(n);
    return findings;
}

/* The nth put or delete from now on fails, and was done, or was not. */
static void lose_answer(uint64_t n, bool done)
{
    fault_reset(&shared_fault);
    shared_fault.fail_at = n;
    shared_fault.loss = done ? FAULT_KEEP_ALL : FAULT_LOSE_ALL;
    shared_fault.error = EHOSTUNREACH;
}

/* ---- sharing ---- */

Test(pool_away, a_tree_that_both_have_is_stored_once)
{
    uint64_t used;

    put_all(A);
    used = shard_mem_used(pool_place);
    wait_seconds(2);
    put_all(B);
    cr_assert_eq(object_files(), 1);
    cr_assert_leq(shard_mem_used(pool_place) - used, (uint64_t)32 * 1024, "its report alone");
    has_all(A);
    has_all(B);
    cr_assert_eq(found_in(&nodes[0]), 0);
    cr_assert_eq(found_in(&nodes[1]), 0);
}

Test(pool_away, what_one_has_put_the_other_reads_after_the_first_is_gone)
{
    put_all(A);
    wait_seconds(2);
    put_all(B);
    node_die(&nodes[0]);
    node_close(&nodes[1]);
    node_open(&nodes[1]);
    has_all(B);
}

Test(pool_away, a_pack_is_put_by_one_request_of_bounded_size)
{
    static char text[1 << 20];
    char path[32];

    packs_set_size(A->p->packs, UINT64_C(1) << 30);
    for (int i = 0; i < 24; i++) { /* 24 contents of 0.9 MiB: as many as three packs have */
        struct pack_place at;
        struct id id = {{(uint8_t)i}};

        memset(text, 'a' + i, sizeof text);
        cr_assert_eq(append_plain(A->p->packs, &id, text, 900 * 1024, &at), 0);
    }
    cr_assert_eq(packs_sync(A->p->packs), 0);
    for (unsigned n = 1; n <= 4; n++) {
        struct disk_stat st;

        snprintf(path, sizeof path, "packs/%016llx",
                 (unsigned long long)pool_number(1, nodes[0].who.incarnation, n));
        int err = disk_stat(shared, path, &st);

        cr_assert(n > 3 || err == 0, "%s", path);
        cr_assert(err < 0 || st.size <= SHARD_PACK_MAX);
    }
}

static void read_elsewhere(const struct pack_place *at, const struct id *id, uint32_t len)
{
    static uint8_t buf[PACK_RECORD_MAX];

    cr_assert_eq(packs_read_from(shared, at, id, buf, len), 0, "pack %llx, offset %u",
                 (unsigned long long)at->pack, at->offset);
}

Test(pool_away, a_synced_pack_is_closed_and_the_next_record_begins_another)
{
    struct pack_place first, second, third;
    struct id id = {{1}};

    cr_assert_eq(append_plain(A->p->packs, &id, "one", 3, &first), 0);
    cr_assert_eq(append_plain(A->p->packs, &id, "two", 3, &second), 0);
    cr_assert_eq(packs_sync(A->p->packs), 0);
    cr_assert_eq(append_plain(A->p->packs, &id, "three", 5, &third), 0);
    cr_assert_eq(second.pack, first.pack);
    cr_assert_neq(third.pack, first.pack);
    cr_assert_eq(packs_sync(A->p->packs), 0);
    read_elsewhere(&first, &id, 3);
    read_elsewhere(&second, &id, 3);
    read_elsewhere(&third, &id, 5);
}

#define THREADS 4
#define APPENDS 150

struct appender {
    struct pack_place at[APPENDS];
    int err;
};

#define APPENDED 60000 /* bytes: writing them takes long enough for a sync to come in between */
static const struct id appended = {{7}};
static char appended_bytes[APPENDED];

/* Appends records, and syncs after every other one. */
static void *append_some(void *arg)
{
    struct appender *t = arg;

    for (int i = 0; i < APPENDS && t->err == 0; i++) {
        t->err = append_plain(A->p->packs, &appended, appended_bytes, APPENDED, &t->at[i]);
        if (t->err == 0 && i % 2)
            t->err = packs_sync(A->p->packs);
    }
    return NULL;
}

Test(pool_away, records_that_are_appended_while_others_sync_are_all_put)
{
    static struct appender appenders[THREADS];
    pthread_t threads[THREADS];

    memset(appended_bytes, 'x', sizeof appended_bytes);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, append_some, &appenders[i]), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(packs_sync(A->p->packs), 0);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(appenders[i].err, 0);
        for (int k = 0; k < APPENDS; k++)
            read_elsewhere(&appenders[i].at[k], &appended, APPENDED);
    }
}

/* ---- the pool is away ---- */

Test(pool_away, what_was_written_while_it_was_away_is_put_when_it_is_back)
{
    uint64_t put;

    put_small(A, 0, 5);
    shard_mem_set(pool_place, SHARD_MEM_UNREACHABLE, true);
    for (int i = 5; i < FILES; i++) {
        char path[32], text[4096];

        snprintf(path, sizeof path, "main/f%d", i);
        small_content(i, text);
        put_file(A, path, text);
    }
    write_large(A, "main/large", 'x');
    put = shard_mem_count(pool_place);
    cr_assert_lt(drain(A), 0);
    cr_assert_lt(drain(A), 0, "again and again");
    cr_assert(!atomic_load(&A->p->readonly), "nothing is lost, so nothing turns read-only");
    cr_assert_eq(shard_mem_count(pool_place), put);
    for (int i = 5; i < FILES; i++)
        has_small(A, i);
    shard_mem_set(pool_place, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(drain(A), 0);
    has_all(A);
    cr_assert_eq(found_in(&nodes[0]), 0);
    has_all(A);
}

Test(pool_away, what_fsync_acknowledged_survives_a_death_while_it_is_away)
{
    shard_mem_set(pool_place, SHARD_MEM_UNREACHABLE, true);
    put_file(A, "main/small", "some bytes");
    write_large(A, "main/large", 'x');
    cr_assert_lt(flush_now(A->p), 0);
    cr_assert_eq(flush_sync(A->p), 0);
    node_die(&nodes[0]);
    nodes[0].x.fault.loss = FAULT_LOSE_ALL;
    disk_mem_power_cycle(nodes[0].own);
    fault_reset(&nodes[0].x.fault);
    shard_mem_set(pool_place, SHARD_MEM_UNREACHABLE, false);
    node_open(&nodes[0]);
    cr_assert_eq(drain(A), 0);
    has_large(A, "main/large", 'x');
    cr_assert_eq(found_in(&nodes[0]), 0);
}

Test(pool_away, a_pool_that_is_full_fails_a_flush_and_loses_nothing)
{
    shard_mem_set(pool_place, SHARD_MEM_FULL, true);
    put_file(A, "main/small", "some bytes");
    write_large(A, "main/large", 'x');
    cr_assert_lt(drain(A), 0);
    cr_assert(!atomic_load(&A->p->readonly));
    shard_mem_set(pool_place, SHARD_MEM_FULL, false);
    cr_assert_eq(drain(A), 0);
    has_large(A, "main/large", 'x');
    cr_assert_eq(found_in(&nodes[0]), 0);
}

Test(pool_away, reading_is_an_error_while_it_is_away_and_right_when_it_is_back)
{
    char buf[64];
    struct vfs_file *f;

    put_large(A, "main/large", 'x');
    node_close(&nodes[0]);
    node_open(&nodes[0]);
    shard_mem_set(pool_place, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(vfs_open(A->p, node_of(A, "main/large"), 0, &f), 0);
    cr_assert_eq(vfs_read(f, buf, sizeof buf, 0), -EIO);
    shard_mem_set(pool_place, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(vfs_read(f, buf, sizeof buf, 0), (ssize_t)sizeof buf);
    cr_assert_eq(buf[63], 'x');
    vfs_release(f);
}

/* ---- answers that are lost ---- */

/* Each put of a drain, and of the report in it, loses its answer once: it was done, or not. */
Test(pool_away, whatever_answer_a_drain_loses_the_next_one_ends_it)
{
    for (int done = 0; done < 2; done++)
        for (uint64_t n = 1, round = 0;; n++, round++) {
            char name[64], text[64];
            bool hit;

            snprintf(name, sizeof name, "main/small%d.%d", done, (int)n);
            snprintf(text, sizeof text, "content %d %d", done, (int)n);
            put_file(A, name, text);
            write_large(A, round ? "main/more" : "main/large", round ? (char)('A' + round) : 'x');
            lose_answer(n, done);
            (void)drain(A);
            hit = fault_fired(&shared_fault);
            fault_reset(&shared_fault);
            cr_assert(!atomic_load(&A->p->readonly), "done %d, put %d", done, (int)n);
            cr_assert_eq(drain(A), 0, "done %d, put %d", done, (int)n);
            cr_assert_eq(pool_node_report(A->p), 0);
            if (round)
                remove_file(A, "main/more");
            else
                has_large(A, "main/large", 'x');
            if (round == 0)
                remove_file(A, "main/large");
            if (!hit)
                break;
            cr_assert_lt(n, 50);
        }
    cr_assert_eq(drain(A), 0);
    cr_assert_eq(found_in(&nodes[0]), 0);
}

/* ---- cycles ---- */

/* B needs half of what A had put; A needs nothing any more. */
static void half_is_garbage(void)
{
    put_all(A);
    wait_seconds(2);
    put_small(B, 0, FILES / 2);
    for (int i = 0; i < FILES; i++) {
        char path[32];

        snprintf(path, sizeof path, "main/f%d", i);
        remove_file(A, path);
    }
    drop_file(A, "main/large");
}

static void b_has_its_half(void)
{
    for (int i = 0; i < FILES / 2; i++)
        has_small(B, i);
}

Test(pool_away, a_cycle_removes_what_nobody_names_and_nothing_else)
{
    half_is_garbage();
    cr_assert_geq(collect(A), FILES / 2 + 1);
    cr_assert_eq(object_files(), 0);
    b_has_its_half();
    cr_assert_eq(found_in(&nodes[1]), 0);
    cr_assert_eq(collect(B), 0);
}

static uint64_t requests(void)
{
    uint64_t n = 0;

    for (int i = 0; i < SHARD_MEM_CALLS; i++)
        n += shard_mem_calls(pool_place, (enum shard_mem_call)i);
    return n;
}

Test(pool_away, a_cycle_asks_a_few_times_for_each_pack_and_not_for_each_directory)
{
    unsigned packs = 20;
    uint64_t before;

    for (unsigned i = 0; i < packs; i++)
        put_small(A, (int)i, (int)i + 1);
    cr_assert_geq(pack_files(), 2 * packs, "packs and indexes");
    knows_all(A);
    (void)cycle(A, 0);
    all_report();
    before = requests();
    (void)cycle(A, 0);
    cr_assert_leq(requests() - before, 60 + 3 * packs);
}

static void fails_and_takes_nothing(enum shard_mem_switch how)
{
    struct gc_result r;
    uint64_t files;

    half_is_garbage();
    knows_all(A);
    cr_assert_gt(cycle(A, 0).marked, 0);
    all_report();
    files = shard_mem_count(pool_place);
    shard_mem_set(pool_place, how, true);
    cr_assert_lt(try_cycle(A, 0, &r), 0);
    shard_mem_set(pool_place, how, false);
    cr_assert_eq(shard_mem_count(pool_place), files);
    b_has_its_half();
    cr_assert_geq(collect(A), FILES / 2 + 1);
    cr_assert_eq(object_files(), 0);
    b_has_its_half();
}

Test(pool_away, a_cycle_that_cannot_ask_removes_nothing)
{
    fails_and_takes_nothing(SHARD_MEM_UNREACHABLE);
}

Test(pool_away, a_cycle_whose_lists_end_early_removes_nothing)
{
    fails_and_takes_nothing(SHARD_MEM_SHORT_LISTS);
}

/* As of a bucket that was emptied, or is another one. */
Test(pool_away, a_cycle_that_finds_nothing_at_all_removes_nothing)
{
    fails_and_takes_nothing(SHARD_MEM_DENIES);
}

/* A removal that is cut at any of its requests takes nothing that is named, and the next cycles end
 * it. */
Test(pool_away, a_cycle_that_loses_any_answer_takes_nothing_that_is_named)
{
    for (int done = 0; done < 2; done++)
        for (uint64_t n = 1;; n++) {
            struct gc_result r;
            bool hit;

            half_is_garbage();
            knows_all(A);
            (void)cycle(A, 0);
            all_report();
            lose_answer(n, done);
            (void)try_cycle(A, 0, &r);
            hit = fault_fired(&shared_fault);
            fault_reset(&shared_fault);
            b_has_its_half();
            (void)collect(A);
            cr_assert_eq(object_files(), 0, "done %d, put %d", done, (int)n);
            b_has_its_half();
            cr_assert_eq(pool_node_report(B->p), 0);
            if (!hit)
                break;
            cr_assert_lt(n, 60);
        }
    cr_assert_eq(found_in(&nodes[1]), 0);
}

/* Clocks that differ by 1,000 s decide nothing. */
Test(pool_away, clocks_that_differ_remove_nothing_that_is_named)
{
    clock_manual_advance(&nodes[0].x.clock, 1000 * NSEC_PER_SEC);
    half_is_garbage();
    cr_assert_geq(collect(A), FILES / 2 + 1);
    b_has_its_half();
    (void)collect(B);
    b_has_its_half();
    cr_assert_eq(found_in(&nodes[1]), 0);
}

/* ---- what was removed is no object, though its bytes are there ---- */

static struct id first_key;

static int note_key(const struct entry *at, void *ctx)
{
    *(struct id *)ctx = pool_key(at);
    return 1;
}

static int take_first(const char *name, void *ctx)
{
    uint64_t pack;

    return pack_parse_name(name, &pack) == 0 && pool_held_records(shared, pack, note_key, ctx) == 1;
}

Test(pool_away, a_check_tells_of_what_the_pool_has_removed_and_a_store_still_names)
{
    struct pool_removed removed;

    put_small(A, 0, 5);
    cr_assert_eq(found_in(&nodes[0]), 0);
    cr_assert_eq(disk_list(shared, "packs", take_first, &first_key), 1);
    cr_assert_eq(pool_held_remove(shared, 2, &first_key, 1, NULL, &removed), 0);
    cr_assert_eq(removed.records, 1);
    has_small(A, 0);
    cr_assert_geq(found_in(&nodes[0]), 1);
}

/* ---- what takes long is done without the freeze lock ---- */

static unsigned copies_put, held_meanwhile;

static int put_copy_freely(struct disk *d, const char *to, struct disk_file *from)
{
    copies_put++;
    held_meanwhile += atomic_load(&A->p->freeze_lock.readers) > 0;
    return unwrapped->put_copy(d, to, from);
}

Test(pool_away, a_large_content_is_put_while_others_may_write_and_branch)
{
    wrap_disk(true);
    wrapped.put_copy = put_copy_freely;
    put_large(A, "main/large", 'x');
    wrap_disk(false);
    cr_assert_eq(copies_put, 1);
    cr_assert_eq(held_meanwhile, 0);
    has_large(A, "main/large", 'x');
}
