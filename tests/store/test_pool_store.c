// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of what a store in a pool does as any store does: its leaks, check and repair, compaction,
 * a start after a crash. It looks after what is its own, and what is the pool's it neither misses
 * nor touches.
 */
#include "compact.h"
#include "durability.h"
#include "nodes_fixture.h"

#include "check.h"
#include "leaks.h"
#include "repair.h"
#include "store_repair.h"

#define FILES 80

static void two(void)
{
    pool_of_nodes(2);
}
TestSuite(pool_store, .init = two, .fini = pool_is_gone);

/* ---- words ---- */

/* All but every fourth. */
static void drop_most(struct fixture *x)
{
    char path[32];

    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "main/f%d", i);
        if (i % 4)
            remove_file(x, path);
    }
    drained(x);
}

static void finding(const char *what, const char *where, const char *sentence, void *ctx)
{
    ++*(unsigned *)ctx;
    fprintf(stderr, "%s %s: %s\n", what, where, sentence);
}

/* What check finds in a store that is closed. */
static unsigned found_in(struct node *n, bool pooled)
{
    unsigned findings = 0;
    struct check_options o = {.found = finding, .ctx = &findings, .pool = pooled ? &n->pool : NULL};
    struct check_result r;

    cr_assert_eq(kv_open_mem(n->x.mem, store_tables, store_table_count, 0, &n->x.kv), 0);
    cr_assert_eq(disk_route_open(n->own, shared, n->who.node, &n->x.disk), 0);
    cr_assert_eq(store_check(n->x.disk, n->x.kv, &o, &r), 0);
    kv_close(n->x.kv);
    disk_close(n->x.disk);
    return findings;
}

static void sound_and_clean(struct node *n)
{
    node_close(n);
    cr_assert_eq(found_in(n, true), 0);
    node_open(n);
}

static size_t leaks_of(struct fixture *x)
{
    struct leaks l;
    size_t n;

    cr_assert_eq(leaks_find(x->p, NULL, NULL, &l), 0);
    n = l.count;
    leaks_release(&l);
    return n;
}

static struct compact_result compacted(struct fixture *x)
{
    struct compact_result r;

    cr_assert_eq(compact_store(x->p, NULL, 50, true, &r), 0);
    return r;
}

/* ---- what is there and what is counted ---- */

Test(pool_store, what_was_adopted_is_sound_and_no_leak_and_needs_no_entry_of_a_pack)
{
    put_small(A, 0, FILES);
    put_large(A, "main/large", 'x');
    wait_seconds(2);
    put_small(B, 0, FILES);
    put_large(B, "main/large", 'x');
    cr_assert_eq(leaks_of(A), 0);
    cr_assert_eq(leaks_of(B), 0);
    sound_and_clean(&nodes[0]);
    sound_and_clean(&nodes[1]);
    node_close(&nodes[1]);
    cr_assert_gt(found_in(&nodes[1], false), 0); /* its packs are another one's */
}

Test(pool_store, what_others_have_there_is_no_leak_of_a_store)
{
    put_small(A, 0, FILES);
    put_large(A, "main/large", 'x');
    put_large(B, "main/own", 'y');
    drop_file(B, "main/own");
    cr_assert_eq(object_files(), 2); /* let go of, not deleted */
    cr_assert_eq(leaks_of(B), 0);
    sound_and_clean(&nodes[1]);
    cr_assert_eq(object_files(), 2);
}

Test(pool_store, a_place_of_its_own_that_it_takes_back_is_counted_as_long_as_its_pack_is)
{
    put_small(A, 0, FILES);
    wait_seconds(2);
    put_small(B, 0, FILES);
    drop_most(A);
    wait_seconds(2);
    put_small(A, 0, FILES);
    sound_and_clean(&nodes[0]);
    drop_most(A);
    sound_and_clean(&nodes[0]);
    cr_assert_eq(leaks_of(A), 0);
    for (int i = 0; i < FILES; i++)
        has_small(B, i);
}

Test(pool_store, a_slot_that_nobody_names_is_its_leak_wherever_it_is)
{
    struct disk_file *f;

    put_small(A, 0, 4); /* numbers were given */
    cr_assert_eq(disk_open(A->disk, "slots/0000000000000001", DISK_WRITE | DISK_CREATE, &f), 0);
    disk_file_close(f);
    cr_assert_eq(leaks_of(A), 1);
    cr_assert_eq(leaks_of(B), 0);
}

/* ---- after a crash ---- */

Test(pool_store, what_a_crash_left_in_the_pool_stays_until_a_cycle_and_harms_nobody)
{
    put_large(A, "main/a", 'x');
    write_large(A, "main/b", 'y');
    cr_assert_eq(flush_now(A->p), 0);
    write_large(A, "main/c", 'z');
    shared_fault.loss = FAULT_LOSE_ALL;
    node_die(&nodes[0]);
    disk_mem_power_cycle(nodes[0].own);
    fault_reset(&shared_fault);
    node_open(&nodes[0]);
    has_large(A, "main/a", 'x');
    has_large(A, "main/b", 'y');
    drained(A);
    sound_and_clean(&nodes[0]);
    wait_seconds(2);
    put_large(B, "main/b", 'y');
    has_large(B, "main/b", 'y');
}

/* ---- compaction ---- */

Test(pool_store, compaction_moves_what_it_needs_and_leaves_to_others_what_they_need)
{
    unsigned packs;

    put_small(A, 0, FILES);
    wait_seconds(2);
    put_small(B, 0, FILES);
    packs = pack_files();
    drop_most(A);
    cr_assert_gt(compacted(A).records, 0);
    cr_assert_geq(pack_files(), packs); /* nothing went */
    for (int i = 0; i < FILES; i++) {
        has_small(B, i);
        if (i % 4 == 0)
            has_small(A, i);
    }
    cr_assert_eq(leaks_of(A), 0);
    sound_and_clean(&nodes[0]);
    sound_and_clean(&nodes[1]);
}

Test(pool_store, what_compaction_left_behind_goes_when_nobody_needs_it)
{
    put_small(A, 0, FILES);
    drop_most(A);
    cr_assert_gt(compacted(A).records, 0);
    node_close(&nodes[0]); /* so that its pack is closed */
    node_open(&nodes[0]);
    cr_assert_gt(collect(A), 0);
    for (int i = 0; i < FILES; i += 4)
        has_small(A, i);
    for (int i = 0; i < FILES; i += 4) {
        char path[32];
        snprintf(path, sizeof path, "main/f%d", i);
        remove_file(A, path);
    }
    drained(A);
    cr_assert_gt(collect(A), 0);
    cr_assert_eq(pack_files(), 0);
}

/* ---- repair, rebuild ---- */

static int set_count(struct node *n, uint64_t number, uint32_t count)
{
    uint8_t key[8], val[ENTRY_MAX];
    struct kv_txn *t;
    struct entry e;
    size_t len;

    put_be64(key, number);
    cr_assert_eq(kv_open_mem(n->x.mem, store_tables, store_table_count, 0, &n->x.kv), 0);
    cr_assert_eq(kv_get(n->x.kv, TABLE_OBJECTS, key, 8, val, sizeof val, &len), 0);
    cr_assert_eq(entry_decode(val, len, &e), 0);
    e.count = count;
    cr_assert_eq(kv_txn_begin(n->x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_OBJECTS, key, 8, val, entry_encode(&e, val)), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(n->x.kv);
    return 0;
}

static uint64_t number_of(struct fixture *x, const char *path)
{
    struct vfs_attr a;
    struct inode in;
    struct ns *ns;

    cr_assert_eq(vfs_getattr(x->p, node_of(x, path), &a), 0);
    cr_assert_eq(ns_get(x->p, vfs_node_ns(a.nodeid), &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(a.nodeid), &in), 0);
    ns_put(x->p, ns);
    return refs_resolve(x->p->refs, in.object);
}

Test(pool_store, repair_mends_its_tables_and_takes_nothing_from_the_pool)
{
    struct node *n = &nodes[1];
    unsigned findings = 0;
    struct repair_options o = {.clock = clock_real(),
                               .check = {.found = finding, .ctx = &findings, .pool = &n->pool},
                               .repaired = finding,
                               .left = finding};
    struct repair_result r;
    unsigned files, packs;
    uint64_t number;

    put_small(A, 0, FILES);
    put_large(A, "main/large", 'x');
    wait_seconds(2);
    put_small(B, 0, FILES);
    put_large(B, "main/large", 'x');
    files = object_files();
    packs = pack_files();
    number = number_of(B, "main/large");
    node_close(n);
    set_count(n, number, 7);
    cr_assert_eq(kv_open_mem(n->x.mem, store_tables, store_table_count, 0, &n->x.kv), 0);
    cr_assert_eq(disk_route_open(n->own, shared, n->who.node, &n->x.disk), 0);
    cr_assert_eq(store_repair(n->x.disk, n->x.kv, &o, &r), 0);
    kv_close(n->x.kv);
    disk_close(n->x.disk);
    cr_assert_eq(r.repaired, 1);
    cr_assert_eq(r.left, 0);
    cr_assert_eq(object_files(), files);
    cr_assert_eq(pack_files(), packs);
    node_open(n);
    has_large(B, "main/large", 'x');
    has_small(B, 7);
}

/* Else two stores could give one place to different bytes, or one to what a cycle is removing. */
Test(pool_store, what_repair_puts_there_from_the_log_has_places_of_its_life)
{
    struct node *n = &nodes[0];
    unsigned findings = 0;
    struct repair_options o = {.clock = clock_real(),
                               .check = {.found = finding, .ctx = &findings, .pool = &n->pool},
                               .repaired = finding,
                               .left = finding};
    struct repair_result r;
    struct entry e;

    write_large(A, "main/large", 'x');
    node_die(n);
    node_begin_incarnation(n);
    cr_assert_eq(store_repair(n->x.disk, n->x.kv, &o, &r), 0);
    node_gone(n);
    cr_assert_eq(r.repaired, 1);
    cr_assert_eq(r.left, 0);
    node_open(n);
    has_large(A, "main/large", 'x');
    cr_assert_eq(refs_entry(A->p->refs, number_of(A, "main/large"), true, NULL, &e), 0);
    cr_assert_eq(e.kind, ENTRY_FILE);
    cr_assert_eq(e.where, pool_number(n->who.node, n->who.incarnation - 1, 1));
}
