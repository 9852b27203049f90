// SPDX-License-Identifier: Apache-2.0
/*
 * Members of a pool whose tables have lost an entry that their files need: however well the others
 * go on collecting, the bytes stay, and a rebuild finds them again.
 */
#include "durability.h"
#include "flush_impl.h"
#include "nodes_fixture.h"

#include "bytes.h"

static void two(void)
{
    pool_of_nodes(2);
}
TestSuite(gc_pool_lost, .init = two, .fini = pool_is_gone);

static uint64_t number_at(struct fixture *x, const char *path)
{
    uint64_t node = node_of(x, path);
    struct inode in;
    struct ns *ns;

    cr_assert(node, "%s", path);
    cr_assert_eq(ns_get(x->p, vfs_node_ns(node), &ns), 0);
    {
        READ_GUARD(&ns->lock);
        cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node), &in), 0);
    }
    ns_put(x->p, ns);
    return in.object;
}

static void lose_entry(struct fixture *x, const char *path)
{
    struct kv_txn *t;
    uint8_t key[8];

    put_be64(key, number_at(x, path));
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    cr_assert_eq(kv_del(t, TABLE_OBJECTS, key, sizeof key), 0);
    cr_assert_eq(kv_commit(t), 0);
}

/* Both have it; B loses its entry; A needs it no more. */
static void only_b_needs_it_and_lost_its_entry(void)
{
    put_large(A, "main/x", 'x');
    put_large(B, "main/x", 'x');
    cr_assert_eq(object_files(), 1);
    lose_entry(B, "main/x");
    drop_file(A, "main/x");
}

/* As much as A can collect, while B goes on and changes things, too. Errors of B are its own. */
static uint64_t all_that_a_collects(void)
{
    uint64_t collected = 0;
    char path[32];

    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "main/new%d", i);
        put_file(B, path, path);
        cr_assert_eq(flush_now(B->p), 0);
        (void)pool_node_report(B->p);
        reports(A);
        cr_assert_eq(gc_pool_observe(A->p), 0);
        collected += cycle(A, 0).collected;
    }
    return collected;
}

Test(gc_pool_lost, what_a_member_lost_the_entry_of_is_not_collected)
{
    only_b_needs_it_and_lost_its_entry();
    cr_assert_eq(all_that_a_collects(), 0);
    cr_assert_eq(object_files(), 1);
    agreed(B, "rebuild wait", "ok changed=");
    has_large(B, "main/x", 'x');
    (void)all_that_a_collects();
    has_large(B, "main/x", 'x');
}

Test(gc_pool_lost, a_member_that_is_opened_again_does_not_let_it_go_either)
{
    only_b_needs_it_and_lost_its_entry();
    (void)all_that_a_collects();
    node_close(&nodes[1]);
    node_open(&nodes[1]);
    cr_assert_eq(all_that_a_collects(), 0);
    node_die(&nodes[1]);
    node_open(&nodes[1]);
    cr_assert_eq(all_that_a_collects(), 0);
    agreed(B, "rebuild wait", "ok changed=");
    has_large(B, "main/x", 'x');
}

Test(gc_pool_lost, it_runs_no_cycle_itself_and_says_why)
{
    struct gc_result r;

    only_b_needs_it_and_lost_its_entry();
    (void)all_that_a_collects();
    cr_assert_eq(pool_node_report(B->p), -EUCLEAN);
    cr_assert_eq(try_cycle(B, 0, &r), -EUCLEAN);
    agreed(B, "status", "ok state=degraded ");
    agreed(B, "status", "tells the pool nothing that would let bytes go; `rebuild`");
    agreed(B, "rebuild wait", "ok changed=");
    reports(B);
    agreed(B, "status", "ok state=ok ");
}

Test(gc_pool_lost, it_is_not_taken_for_stale_meanwhile)
{
    uint64_t serial;
    struct pool_head head;

    only_b_needs_it_and_lost_its_entry();
    (void)all_that_a_collects();
    cr_assert_eq(pool_head_read(shared, 2, &head), 0);
    serial = head.serial;
    cr_assert_eq(pool_node_report(B->p), -EUCLEAN);
    cr_assert_eq(pool_head_read(shared, 2, &head), 0);
    cr_assert_gt(head.serial, serial);
}

/* Where nothing is damaged all goes on as before, whatever the members have. */
Test(gc_pool_lost, after_a_rebuild_garbage_goes_again)
{
    only_b_needs_it_and_lost_its_entry();
    (void)all_that_a_collects();
    agreed(B, "rebuild wait", "ok changed=");
    drop_file(B, "main/x");
    cr_assert_geq(all_that_a_collects(), 1);
    cr_assert_eq(object_files(), 0);
}

/* It took the bytes up, so it names what is marked in a list that it acknowledges. */
Test(gc_pool_lost, what_it_lost_after_it_acknowledged_a_list_stays_too)
{
    put_large(A, "main/x", 'x');
    knows_all(A);
    atomic_store(&B->p->node->rest, INT64_MAX);
    drop_file(A, "main/x");
    cr_assert_eq(cycle(A, 0).marked, 1);
    put_large(B, "main/x", 'x');
    cr_assert_eq(object_files(), 1);
    cr_assert_eq(B->p->node->head.ack, 1);
    lose_entry(B, "main/x");
    cr_assert_eq(all_that_a_collects(), 0);
    agreed(B, "rebuild wait", "ok changed=");
    has_large(B, "main/x", 'x');
}

Test(gc_pool_lost, records_of_packs_stay_and_are_found_again)
{
    put_small(A, 0, 40);
    put_small(B, 0, 40);
    for (int i = 0; i < 40; i++) {
        char path[32];
        snprintf(path, sizeof path, "main/f%d", i);
        if (i % 7 == 3)
            lose_entry(B, path);
        remove_file(A, path);
    }
    drained(A);
    cr_assert_eq(all_that_a_collects(), 0);
    agreed(B, "rebuild wait", "ok changed=");
    (void)all_that_a_collects();
    for (int i = 0; i < 40; i++)
        has_small(B, i);
}

/* ---- two places with the same bytes, one of which the pool removes ---- */

/* B acknowledged a list that marks the place of A, and put the same bytes at a place of its own. */
static void b_has_a_place_beside_a_marked_one(void)
{
    put_large(A, "main/x", 'x');
    put_large(A, "main/y", 'y');
    knows_all(A);
    drop_file(A, "main/x");
    cr_assert_eq(cycle(A, 0).marked, 1);
    reports(B);
    put_large(B, "main/x", 'x');
    cr_assert_eq(object_files(), 3);
    drop_file(A, "main/y"); /* so that A's next cycle publishes a list */
}

/* What B does when that cycle is about to remove the place of A. */
static void (*b_meanwhile)(void);

static int remove_slowly(struct disk *d, const char *name)
{
    if (strncmp(name, "objects/", 8) == 0 && b_meanwhile) {
        void (*fn)(void) = b_meanwhile;

        b_meanwhile = NULL;
        fn();
    }
    return unwrapped->unlink(d, name);
}

static void a_removes_it_while(void (*fn)(void))
{
    b_meanwhile = fn;
    wrap_disk(true);
    wrapped.unlink = remove_slowly;
    cr_assert_eq(cycle(A, 0).collected, 1);
    wrap_disk(false);
    cr_assert(!b_meanwhile);
    has_large(B, "main/x", 'x');
    (void)all_that_a_collects();
    has_large(B, "main/x", 'x');
}

static void b_learns_of_the_newer_list_and_rebuilds(void)
{
    cr_assert_eq(pool_node_report(B->p), -EUCLEAN);
    cr_assert_gt(pool_marks_goes_on(shared, B->p->node->head.ack), 0);
    agreed(B, "rebuild wait", "ok changed=");
}

Test(gc_pool_lost, a_rebuild_takes_no_place_that_was_given_up_although_a_newer_list_is_known)
{
    b_has_a_place_beside_a_marked_one();
    lose_entry(B, "main/x");
    a_removes_it_while(b_learns_of_the_newer_list_and_rebuilds);
}

static void b_is_opened_again_and_rebuilds(void)
{
    lose_entry(B, "main/x");
    node_die(&nodes[1]);
    node_open(&nodes[1]);
    cr_assert_eq(B->p->node->head.serial, 0, "it has not reported since");
    agreed(B, "rebuild wait", "ok changed=");
}

Test(gc_pool_lost, a_rebuild_takes_no_place_that_was_given_up_before_the_store_was_opened_again)
{
    b_has_a_place_beside_a_marked_one();
    a_removes_it_while(b_is_opened_again_and_rebuilds);
}

/* The mark is newer than all that B acknowledged, so the place stays until B reports. */
Test(gc_pool_lost, a_rebuild_takes_a_place_whose_mark_was_not_acknowledged)
{
    b_has_a_place_beside_a_marked_one();
    write_large(B, "main/z", 'z');
    cr_assert_eq(flush_run(B->p, SEAL_CLOSED), 0);
    lose_entry(B, "main/z");
    cr_assert_geq(cycle(A, 0).marked, 2, "y and z");
    cr_assert_eq(pool_node_report(B->p), -EUCLEAN);
    agreed(B, "rebuild wait", "ok changed=");
    has_large(B, "main/z", 'z');
    (void)all_that_a_collects();
    has_large(B, "main/z", 'z');
}
