// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of GC cycles of a pool: two or three stores that share one, each with its own tables. What
 * one of them needs stays whatever the others do, and what nobody needs goes.
 */
#include "flush_impl.h"
#include "nodes_fixture.h"
#include "pool_node_impl.h"

static void two(void)
{
    pool_of_nodes(2);
}
TestSuite(gc_pool, .init = two, .fini = pool_is_gone);

/* ---- sharing ---- */

Test(gc_pool, what_another_node_has_is_not_put_again)
{
    put_large(A, "main/a", 'x');
    cr_assert_eq(object_files(), 1);
    put_large(B, "main/b", 'x');
    cr_assert_eq(object_files(), 1);
    has_large(B, "main/b", 'x');
    put_large(B, "main/other", 'y');
    cr_assert_eq(object_files(), 2);
}

Test(gc_pool, what_another_node_has_just_reported_is_not_put_again)
{
    put_file(B, "main/first", "a look at the others");
    drained(B);
    put_large(A, "main/a", 'x');
    reports(A);
    put_large(B, "main/b", 'x');
    cr_assert_eq(object_files(), 1, "although its last look was not long ago");
}

Test(gc_pool, what_only_another_node_names_is_never_collected)
{
    put_large(A, "main/a", 'x');
    put_large(B, "main/b", 'x');
    drop_file(A, "main/a");
    cr_assert_eq(collect(A), 0);
    cr_assert_eq(collect(B), 0);
    has_large(B, "main/b", 'x');
    put_file(A, "main/small", "in a pack");
    drained(A);
    put_file(B, "main/small", "in a pack");
    drained(B);
    node_close(&nodes[0]); /* so that its pack is closed */
    node_open(&nodes[0]);
    drop_file(A, "main/small");
    cr_assert_eq(collect(A), 0);
    cr_assert_eq(collect(B), 0);
    has_large(B, "main/b", 'x');
}

/* ---- collecting ---- */

Test(gc_pool, garbage_goes_after_grace_marks_and_acknowledgements_of_all)
{
    struct gc_result r;

    put_large(A, "main/a", 'x');
    drop_file(A, "main/a");
    cr_assert_eq(object_files(), 1, "a node deletes nothing of the pool itself");
    knows_all(A);
    r = cycle(A, -1);
    cr_assert_eq(r.kept[GC_KEEP_GRACE], 1);
    wait_seconds(299);
    all_report();
    cr_assert_eq(cycle(A, -1).kept[GC_KEEP_GRACE], 1);
    wait_seconds(1);
    all_report();
    cr_assert_eq(cycle(A, -1).marked, 1);
    cr_assert_eq(cycle(A, -1).kept[GC_KEEP_UNACKNOWLEDGED], 1, "B has not seen it");
    reports(B);
    r = cycle(A, -1);
    cr_assert_eq(r.collected, 1);
    cr_assert_eq(object_files(), 0);
}

Test(gc_pool, records_of_closed_packs_go_too)
{
    put_file(A, "main/one", "one small content");
    put_file(A, "main/two", "another small content");
    drained(A);
    node_close(&nodes[0]);
    node_open(&nodes[0]);
    drop_file(A, "main/one");
    cr_assert_eq(collect(A), 1);
    drop_file(A, "main/two");
    cr_assert_eq(collect(A), 1);
}

/* Only A runs cycles; what is in packs of others goes all the same. */
Test(gc_pool, records_of_a_node_that_never_runs_a_cycle_go_too)
{
    put_file(B, "main/one", "one small content");
    drained(B);
    node_close(&nodes[1]); /* so that its pack is closed */
    node_open(&nodes[1]);
    drop_file(B, "main/one");
    cr_assert_eq(collect(A), 1);
}

/* It is not known when the node is unmounted: each report writes the indexes that are missing. */
Test(gc_pool, records_of_packs_that_were_closed_since_the_last_report_go_too)
{
    static const char *const others[] = {"main/2", "main/3", "main/4"};

    for (int i = 0; i < 3; i++) {
        put_file(B, "main/one", &"one small content"[i]);
        drained(B);
        {
            READ_GUARD(&B->p->freeze_lock);
            cr_assert_eq(packs_retire_current(B->p->packs), 0);
        }
        put_file(B, others[i], &"another small content"[i]);
        drained(B);
        reports(B);
        drop_file(B, "main/one");
        cr_assert_eq(collect(A), 1, "round %d", i);
    }
}

Test(gc_pool, a_node_that_acknowledged_a_mark_puts_the_bytes_anew)
{
    put_large(A, "main/a", 'x');
    reports(B); /* it has a view in which A has them */
    drop_file(A, "main/a");
    knows_all(A);
    cr_assert_eq(cycle(A, 0).marked, 1);
    reports(B);
    put_large(B, "main/b", 'x');
    cr_assert_eq(object_files(), 2);
    cr_assert_eq(cycle(A, 0).collected, 1);
    cr_assert_eq(object_files(), 1);
    has_large(B, "main/b", 'x');
    cr_assert_eq(collect(A), 0);
    has_large(B, "main/b", 'x');
}

/* Its last look at the others took so long that it has none again before its next report. */
static void keeps_its_view(struct fixture *n)
{
    atomic_store(&n->p->node->rest, INT64_MAX);
}

/* B knows where A had the bytes, and nothing newer; they are marked. */
static void marked_behind_the_back_of_b(void)
{
    put_large(A, "main/a", 'x');
    knows_all(A);
    keeps_its_view(B);
    drop_file(A, "main/a");
    cr_assert_eq(cycle(A, 0).marked, 1);
}

Test(gc_pool, what_is_taken_up_between_the_mark_and_the_removal_lives)
{
    marked_behind_the_back_of_b();
    write_large(B, "main/b", 'x');
    cr_assert_eq(flush_run(B->p, SEAL_CLOSED), 0);
    cr_assert_eq(object_files(), 1, "it was taken up where it is");
    cr_assert_eq(cycle(A, 0).kept[GC_KEEP_UNACKNOWLEDGED], 1);
    reports(B);
    cr_assert_eq(cycle(A, 0).active, 1);
    cr_assert_eq(collect(A), 0);
    has_large(B, "main/b", 'x');
}

Test(gc_pool, a_seal_that_looked_before_the_mark_was_read_is_in_the_report_that_acknowledges_it)
{
    marked_behind_the_back_of_b();
    write_large(B, "main/b", 'x');
    wait_seconds(2);
    reports(B); /* puts its view in place, and then flushes */
    cr_assert_eq(object_files(), 2, "the view came first");
    cr_assert_eq(cycle(A, 0).collected, 1);
    has_large(B, "main/b", 'x');
}

Test(gc_pool, what_was_taken_up_and_is_not_committed_is_committed_by_the_report)
{

    marked_behind_the_back_of_b();
    write_large(B, "main/b", 'x');
    cr_assert_eq(seal_pass(B->p, SEAL_CLOSED, -1), 0);
    cr_assert_eq(object_files(), 1, "taken up where it is");
    reports(B);
    cr_assert_eq(cycle(A, 0).active, 1);
    cr_assert_eq(collect(A), 0);
    has_large(B, "main/b", 'x');
}

/* Between a commit and its being told to all who wait, its tables look clean already. */
Test(gc_pool, a_report_beside_a_commit_that_is_not_told_yet_has_what_that_took_up)
{
    put_large(A, "main/a", 'x');
    write_large(B, "main/b", 'x');
    cr_assert_eq(flush_run(B->p, SEAL_BUFFERS), 0);
    reports(B);
    keeps_its_view(B);
    cr_assert_eq(object_files(), 1);
    knows_all(A);
    drop_file(A, "main/a");
    cr_assert_eq(cycle(A, 0).marked, 1);
    cr_assert_eq(flush_run(B->p, SEAL_CLOSED), 0);
    cr_assert_eq(object_files(), 1, "taken up where it is");
    B->p->flush->commits--;
    reports(B);
    B->p->flush->commits++;
    cr_assert_eq(cycle(A, 0).collected, 0);
    has_large(B, "main/b", 'x');
}

/* C took it up before it had read the mark, and B reads of that after it has: then C lets it go. */
Test(gc_pool, a_store_takes_no_place_that_is_marked_although_a_report_names_it)
{
    node_join(&nodes[2], "org/c");
    node_count = 3;
    keeps_its_view(C);
    marked_behind_the_back_of_b();
    put_large(C, "main/c", 'x');
    cr_assert_eq(object_files(), 1);
    reports(B);
    put_large(B, "main/b", 'x');
    cr_assert_eq(object_files(), 2);
    drop_file(C, "main/c");
    cr_assert_eq(cycle(A, 0).collected, 1);
    has_large(B, "main/b", 'x');
}

/* ---- nodes that say nothing ---- */

Test(gc_pool, a_silent_node_keeps_everything_until_it_is_retired)
{
    put_large(A, "main/a", 'x');
    knows_all(A);
    node_die(&nodes[1]);
    drop_file(A, "main/a");
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(cycle(A, 0).collected, 0);
        wait_seconds(300);
    }
    cr_assert_eq(object_files(), 1);
    cr_assert_eq(gc_pool_retire(A->p, 2, NULL), 0);
    cr_assert_eq(cycle(A, 0).collected, 1);
    cr_assert_eq(object_files(), 0);
}

Test(gc_pool, a_node_that_lives_is_not_retired)
{
    knows_all(A);
    cr_assert_eq(gc_pool_retire(A->p, 2, NULL), -EBUSY);
    cr_assert_eq(gc_pool_retire(A->p, 1, NULL), -EBUSY, "nor is oneself");
    cr_assert_eq(gc_pool_retire(A->p, 3, NULL), -ENOENT);
}

Test(gc_pool, what_a_retired_node_alone_needed_goes)
{
    size_t retired;

    put_large(B, "main/b", 'x');
    put_file(B, "main/small", "in a pack of B");
    drained(B);
    knows_all(A);
    node_die(&nodes[1]);
    wait_seconds(601);
    cr_assert_eq(gc_pool_prune(A->p, NULL, &retired), 0);
    cr_assert_eq(retired, 1);
    cr_assert_eq(collect(A), 2);
    cr_assert_eq(object_files(), 0);
}

Test(gc_pool, packs_that_a_retired_node_left_without_an_index_get_one)
{
    uint64_t collected = 0;

    put_file(B, "main/small", "in a pack of B");
    drained(B);
    knows_all(A);
    node_die(&nodes[1]);
    cr_assert_eq(pool_node_retire(shared, 2), 0);
    for (unsigned i = 0; i < 4; i++)
        collected += cycle(A, 0).collected;
    cr_assert_eq(collected, 1);
}

/* As if the power had gone right after the marker. */
Test(gc_pool, what_a_retiring_that_was_cut_off_left_of_a_node_goes_in_the_next_cycle)
{
    struct pool_head head;

    put_large(B, "main/b", 'x');
    knows_all(A);
    node_die(&nodes[1]);
    cr_assert_eq(pool_node_retire(shared, 2), 0);
    cr_assert_eq(pool_head_read(shared, 2, &head), 0);
    (void)cycle(A, 0);
    cr_assert_eq(pool_head_read(shared, 2, &head), -ENOENT);
}

Test(gc_pool, a_node_that_was_retired_by_another_holds_nothing_back_here)
{
    put_large(A, "main/a", 'x');
    knows_all(A);
    node_die(&nodes[1]);
    drop_file(A, "main/a");
    cr_assert_eq(cycle(A, 0).marked, 1);
    cr_assert_eq(pool_node_retire(shared, 2), 0);
    cr_assert_eq(cycle(A, 0).collected, 1);
}

static unsigned packs_opened;

static int open_no_pack(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    if (!strncmp(name, "packs/", 6) && !strstr(name, ".index")) {
        packs_opened++;
        return -EIO;
    }
    return unwrapped->open(d, name, flags, ret);
}

/* As if the node had died before it made the index: on a shard each drain makes it. */
static int lose_index(const char *name, void *ctx)
{
    char path[DISK_NAME_MAX + 1];

    (void)ctx;
    snprintf(path, sizeof path, "packs/%.100s", name);
    return strstr(name, ".index") ? disk_unlink(shared, path) : 0;
}

static void b_left_a_pack(void)
{
    put_file(B, "main/small", "in a pack of B");
    drained(B);
    cr_assert_eq(disk_list(shared, "packs", lose_index, NULL), 0);
    knows_all(A);
    node_die(&nodes[1]);
    wait_seconds(601);
    wrap_disk(true);
    wrapped.open = open_no_pack;
}

static void cycles_collect_it(void)
{
    uint64_t collected = 0;

    for (unsigned i = 0; i < 4; i++)
        collected += cycle(A, 0).collected;
    cr_assert_eq(collected, 1);
}

Test(gc_pool, a_node_is_retired_even_if_its_packs_cannot_be_indexed_now)
{
    b_left_a_pack();
    cr_assert_eq(gc_pool_retire(A->p, 2, NULL), 0);
    wrap_disk(false);
    cr_assert_eq(packs_opened, 1);
    cr_assert_eq(pool_node_is_retired(shared, 2), 1);
    cycles_collect_it();
}

static _Atomic bool interrupted;

static int interrupt(struct disk *d, const char *from, const char *to)
{
    if (strcmp(to, "nodes/0002/retired") == 0)
        atomic_store(&interrupted, true);
    return unwrapped->link(d, from, to);
}

Test(gc_pool, who_retires_nodes_can_be_interrupted_between_any_two_packs_and_nodes)
{
    size_t retired;

    node_join(&nodes[2], "org/c");
    node_count = 3;
    b_left_a_pack();
    wrapped.link = interrupt;
    cr_assert_eq(gc_pool_prune(A->p, &interrupted, &retired), -EINTR);
    wrap_disk(false);
    cr_assert_eq(retired, 1);
    cr_assert_eq(packs_opened, 0);
    cr_assert_eq(pool_node_is_retired(shared, 2), 1);
    cr_assert_eq(pool_node_is_retired(shared, 3), 0);
}

/* B and C are stale; while B is retired, which takes its time, C reports again. */
static int retire_slowly(struct disk *d, const char *from, const char *to)
{
    if (strcmp(to, "nodes/0002/retired") == 0) {
        wrap_disk(false);
        reports(C);
        wrap_disk(true);
        wrapped.link = retire_slowly;
    }
    return unwrapped->link(d, from, to);
}

Test(gc_pool, a_node_that_comes_back_while_others_are_retired_is_spared)
{
    size_t retired;

    node_join(&nodes[2], "org/c");
    node_count = 3;
    knows_all(A);
    wait_seconds(601);
    wrap_disk(true);
    wrapped.link = retire_slowly;
    cr_assert_eq(gc_pool_prune(A->p, NULL, &retired), 0);
    wrap_disk(false);
    cr_assert_eq(retired, 1);
    cr_assert_eq(pool_node_is_retired(shared, 3), 0);
}

Test(gc_pool, with_the_policy_drop_a_stale_node_is_retired_by_the_next_cycle)
{
    put_large(B, "main/b", 'x');
    knows_all(A);
    node_die(&nodes[1]);
    agreed(A, "set stale_policy drop", "ok");
    cr_assert_eq(cycle(A, 0).collected, 0);
    cr_assert_eq(pool_node_is_retired(shared, 2), 0);
    wait_seconds(601);
    (void)cycle(A, 0);
    cr_assert_eq(pool_node_is_retired(shared, 2), 1);
    cr_assert_eq(cycle(A, 0).collected, 1);
}

Test(gc_pool, a_store_that_was_retired_while_it_was_mounted_turns_read_only)
{
    report_reset();
    cr_assert_eq(pool_node_retire(shared, 2), 0);
    cr_assert_eq(pool_node_report(B->p), -ESTALE);
    cr_assert_eq(state_writable(B->p), -EROFS);
    cr_assert_eq(pool_node_report(B->p), -EROFS);
    cr_assert_geq(report_count(REPORT_ALARM), 1);
    agreed(B, "status", "read-only: not the pool's node any more: it was retired\n");
}

Test(gc_pool, a_store_whose_copy_was_opened_turns_read_only)
{
    struct pool_who copy = nodes[1].who;

    copy.incarnation++;
    copy.token[0]++;
    cr_assert_eq(pool_node_write(shared, &copy), 0);
    cr_assert_eq(pool_node_report(B->p), -ESTALE);
    cr_assert_eq(state_writable(B->p), -EROFS);
    agreed(B, "status", "not the pool's node any more: a copy of this store is\n");
}

Test(gc_pool, a_copy_is_told_by_its_token_alone)
{
    struct pool_who copy = nodes[1].who;

    copy.token[0]++;
    cr_assert_eq(pool_node_write(shared, &copy), 0);
    cr_assert_eq(pool_node_report(B->p), -ESTALE);
    cr_assert_eq(state_writable(B->p), -EROFS);
}

Test(gc_pool, the_report_of_an_earlier_life_vouches_for_nothing)
{
    put_large(A, "main/a", 'x');
    drop_file(A, "main/a");
    knows_all(A);
    cr_assert_eq(cycle(A, 0).marked, 1);
    reports(B);
    nodes[1].who.incarnation++;
    cr_assert_eq(pool_node_write(shared, &nodes[1].who), 0);
    cr_assert_eq(cycle(A, 0).collected, 0);
}

/* ---- listings and reports that cannot be trusted ---- */

static char hidden[DISK_NAME_MAX + 1];

static int unless_hidden(const char *name, void *ctx)
{
    disk_list_fn *fn = ((void **)ctx)[0];

    return strncmp(name, hidden, strlen(hidden)) == 0 ? 0 : fn(name, ((void **)ctx)[1]);
}

/* Leaves out what `hidden` names. */
static int short_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    return unwrapped->list(d, name, unless_hidden, (void *[]){(void *)fn, ctx});
}

static int find_object(const char *name, void *ctx)
{
    struct id id;
    uint64_t number;

    (void)ctx;
    if (blob_parse_object(name, &id, &number) == 0)
        snprintf(hidden, sizeof hidden, "%s", name);
    return 0;
}

static void hide_the_object(void)
{
    char dir[16];

    for (unsigned i = 0; i < 256; i++) {
        snprintf(dir, sizeof dir, "objects/%02x", i);
        (void)disk_list(shared, dir, find_object, NULL);
    }
    wrap_disk(true);
    wrapped.list = short_list;
}

Test(gc_pool, a_short_listing_deletes_nothing)
{
    put_large(A, "main/a", 'x');
    knows_all(A);
    hide_the_object();
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(cycle(A, 0).collected, 0);
        all_report();
    }
    wrap_disk(false);
    has_large(A, "main/a", 'x');
    drop_file(A, "main/a");
    cr_assert_eq(collect(A), 1, "and what was not seen is found when it is");
}

/* K is marked and acknowledged; a collector that does not see it takes it out of the list; another
 * one had seen enough to remove it, and does so now. */
Test(gc_pool, what_a_short_listing_took_out_of_the_list_is_taken_up_by_nobody)
{
    struct gc_result r;

    marked_behind_the_back_of_b();
    reports(B);
    hide_the_object();
    r = cycle(A, 0);
    cr_assert_eq(r.collected, 0);
    cr_assert_eq(r.serial, 2, "a list without it");
    wrap_disk(false);
    reports(B);
    put_large(B, "main/b", 'x');
    cr_assert_eq(object_files(), 2, "no report that B looks into names it");
}

static int failing_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    return strcmp(name, "objects/80") == 0 ? -EIO : unwrapped->list(d, name, fn, ctx);
}

Test(gc_pool, a_listing_that_fails_ends_the_cycle_with_nothing_removed)
{
    struct gc_result r;

    marked_behind_the_back_of_b();
    reports(B);
    wrap_disk(true);
    wrapped.list = failing_list;
    cr_assert_eq(try_cycle(A, 0, &r), -EIO);
    wrap_disk(false);
    cr_assert_eq(object_files(), 1);
    cr_assert_eq(cycle(A, 0).collected, 1);
}

static int failing_unlink(struct disk *d, const char *name)
{
    return strncmp(name, "objects/", 8) == 0 ? -EIO : unwrapped->unlink(d, name);
}

Test(gc_pool, why_something_could_not_be_removed_is_said)
{
    struct gc_result r;

    marked_behind_the_back_of_b();
    reports(B);
    wrap_disk(true);
    wrapped.unlink = failing_unlink;
    cr_assert_eq(try_cycle(A, 0, &r), -EIO);
    wrap_disk(false);
    cr_assert(strstr(A->p->node->status.why, "removing failed"), "%s", A->p->node->status.why);
    cr_assert_eq(cycle(A, 0).collected, 1, "and it is tried again");
}

static void damage_the_head_of(unsigned node)
{
    char path[DISK_NAME_MAX + 1];

    pool_node_path(node, "head", path);
    cr_assert_eq(pool_disk_flip(shared, path, 40, 1), 0);
}

Test(gc_pool, a_damaged_report_ends_the_cycle_with_nothing_removed)
{
    struct gc_result r;

    marked_behind_the_back_of_b();
    reports(B);
    damage_the_head_of(2);
    cr_assert_eq(try_cycle(A, 0, &r), -EUCLEAN);
    cr_assert_eq(object_files(), 1);
    reports(B); /* makes it good */
    cr_assert_eq(cycle(A, 0).collected, 1);
}

/* Names of B's directory that were changed are not made durable: it was stopped before. */
static int sync_all_but_b(struct disk *d, const char *name)
{
    return strcmp(name, "nodes/0002") == 0 ? 0 : unwrapped->sync_dir(d, name);
}

Test(gc_pool, an_acknowledgement_that_something_was_removed_on_outlives_a_loss_of_power)
{
    struct pool_head head;

    marked_behind_the_back_of_b();
    wrap_disk(true);
    wrapped.sync_dir = sync_all_but_b;
    reports(B);
    wrap_disk(false);
    cr_assert_eq(cycle(A, 0).collected, 1);
    node_die(&nodes[0]);
    node_die(&nodes[1]);
    shared_fault.loss = FAULT_LOSE_ALL;
    pool_disk_power_cycle(&shared);
    cr_assert_eq(pool_head_read(shared, 2, &head), 0);
    cr_assert_eq(head.ack, 1);
}

/* ---- two coordinators ---- */

Test(gc_pool, while_one_node_has_the_lease_no_other_runs_a_cycle)
{
    struct lease l = LEASE_INIT;
    struct gc_result r;

    cr_assert_eq(lease_take(shared, &A->clock.base, 1, nodes[0].who.incarnation, &l), 0);
    cr_assert_eq(try_cycle(B, 0, &r), -EBUSY);
    wait_seconds(LEASE_PATIENCE / NSEC_PER_SEC + 1);
    cr_assert_eq(try_cycle(B, 0, &r), 0, "its beat did not advance");
    cr_assert_eq(lease_beat(shared, &l), -ESTALE);
}

/* What another node does while one of A's cycles lists what there is. */
static void (*meanwhile)(void);

static int list_slowly(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    void (*event)(void) = strncmp(name, "objects", 7) == 0 ? meanwhile : NULL;

    if (event) {
        meanwhile = NULL;
        wrap_disk(false);
        event();
        wrap_disk(true);
        wrapped.list = list_slowly;
    }
    return unwrapped->list(d, name, fn, ctx);
}

static int slow_cycle(void (*event)(void), struct gc_result *ret)
{
    int err;

    meanwhile = event;
    wrap_disk(true);
    wrapped.list = list_slowly;
    err = try_cycle(A, 0, ret);
    wrap_disk(false);
    cr_assert_null(meanwhile);
    return err;
}

/* A seems dead to B. */
static void b_takes_over(void)
{
    struct gc_result r;

    cr_assert_eq(try_cycle(B, 0, &r), -EBUSY);
    clock_manual_advance(&B->clock, LEASE_PATIENCE);
    cr_assert_eq(try_cycle(B, 0, &r), 0);
    cr_assert_eq(r.marked, 1);
}

Test(gc_pool, a_cycle_whose_list_comes_second_removes_nothing)
{
    struct gc_result r;

    put_large(A, "main/other", 'y');
    marked_behind_the_back_of_b();
    reports(B);
    drop_file(A, "main/other"); /* so that there is a list to be published */
    cr_assert_eq(slow_cycle(b_takes_over, &r), -EEXIST);
    cr_assert_eq(object_files(), 2);
    cr_assert_eq(collect(A), 2, "it goes on from the other's list");
    cr_assert_eq(object_files(), 0);
}

/* A was silent for so long that its beat comes too late. */
static void b_takes_the_lease(void)
{
    b_takes_over();
    clock_manual_advance(&A->clock, LEASE_PATIENCE);
}

Test(gc_pool, a_cycle_that_lost_the_lease_ends_and_says_why)
{
    struct gc_result r;

    put_large(A, "main/other", 'y');
    marked_behind_the_back_of_b();
    reports(B);
    drop_file(A, "main/other");
    cr_assert_eq(slow_cycle(b_takes_the_lease, &r), -EBUSY);
    cr_assert_eq(object_files(), 2);
    agreed(A, "status", "the last cycle ended with EBUSY: another node took the lease of the pool");
}

static void a_list_without_it(void)
{
    struct pool_marks empty = {.serial = 2};

    cr_assert_eq(pool_marks_publish(shared, 2, &empty), 0);
}

Test(gc_pool, a_cycle_that_publishes_nothing_removes_nothing_when_another_list_came)
{
    struct gc_result r;

    marked_behind_the_back_of_b();
    reports(B);
    cr_assert_eq(slow_cycle(a_list_without_it, &r), 0);
    cr_assert_eq(r.collected, 0);
    cr_assert_eq(r.kept[GC_KEEP_FAILED], 1);
    cr_assert_eq(object_files(), 1);
}

static void b_takes_it_up_and_reports(void)
{
    put_large(B, "main/b", 'x');
}

Test(gc_pool, a_report_that_comes_while_a_cycle_runs_is_looked_at_before_the_removal)
{
    struct gc_result r;

    marked_behind_the_back_of_b();
    cr_assert_eq(slow_cycle(b_takes_it_up_and_reports, &r), 0);
    cr_assert_eq(r.collected, 0);
    has_large(B, "main/b", 'x');
}

Test(gc_pool, cycles_of_two_nodes_in_turn_remove_all_once_and_nothing_alive)
{
    uint64_t collected = 0;

    put_large(A, "main/kept", 'k');
    put_large(B, "main/also", 'k');
    for (char c = 'a'; c < 'e'; c++) {
        put_large(A, "main/a", c);
        wait_seconds(2);
        put_large(B, "main/b", c);
        drop_file(A, "main/a");
        drop_file(B, "main/b");
    }
    knows_all(A);
    knows_all(B);
    for (unsigned i = 0; i < 6; i++) {
        collected += cycle(i % 2 ? A : B, 0).collected;
        all_report();
    }
    cr_assert_eq(collected, 4);
    cr_assert_eq(object_files(), 1);
    has_large(A, "main/kept", 'k');
    has_large(B, "main/also", 'k');
}

/* ---- starting again ---- */

Test(gc_pool, a_coordinator_that_starts_again_keeps_marks_and_since)
{
    put_large(A, "main/a", 'x');
    drop_file(A, "main/a");
    knows_all(A);
    cr_assert_eq(cycle(A, -1).kept[GC_KEEP_GRACE], 1);
    wait_seconds(200);
    node_close(&nodes[0]);
    node_open(&nodes[0]);
    wait_seconds(100);
    knows_all(A);
    cr_assert_eq(cycle(A, -1).marked, 1, "since 300 s");
    node_die(&nodes[0]);
    node_open(&nodes[0]);
    knows_all(A);
    cr_assert_eq(cycle(A, -1).collected, 1, "the mark counts from the list that had it first");
}

Test(gc_pool, another_node_goes_on_where_a_coordinator_stopped)
{
    put_large(A, "main/a", 'x');
    drop_file(A, "main/a");
    knows_all(A);
    (void)cycle(A, -1);
    wait_seconds(300);
    knows_all(B);
    cr_assert_eq(cycle(B, -1).marked, 1);
    reports(A);
    cr_assert_eq(cycle(B, -1).collected, 1);
}

Test(gc_pool, a_store_that_is_mounted_again_still_takes_nothing_that_is_marked)
{
    marked_behind_the_back_of_b();
    reports(B);
    node_close(&nodes[1]);
    node_open(&nodes[1]);
    put_large(B, "main/b", 'x');
    cr_assert_eq(object_files(), 2);
    cr_assert_eq(collect(A), 1);
    has_large(B, "main/b", 'x');
}

/* ---- a pool that cannot be reached ---- */

static int not_reached(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    return strncmp(name, "nodes", 5) == 0 || strncmp(name, "marks", 5) == 0
               ? -EIO
               : unwrapped->open(d, name, flags, ret);
}

Test(gc_pool, while_the_pool_cannot_be_read_a_store_goes_on_and_says_so)
{
    struct pool_node_status s;
    struct gc_result r;

    report_reset();
    put_large(A, "main/a", 'x');
    wrap_disk(true);
    wrapped.open = not_reached;
    cr_assert_eq(pool_node_report(A->p), -EIO);
    cr_assert_eq(pool_node_report(A->p), -EIO);
    cr_assert_eq(try_cycle(A, 0, &r), -EIO);
    wait_seconds(7);
    put_file(A, "main/small", "content");
    drained(A);
    has_large(A, "main/a", 'x');
    pool_node_get_status(A->p, &s);
    cr_assert_eq(s.error, -EIO);
    cr_assert_eq(s.failing, 7 * NSEC_PER_SEC);
    cr_assert_eq(report_count(REPORT_WARN), 2, "of reports it is said once; and of the cycle");
    wrap_disk(false);
    reports(A);
    pool_node_get_status(A->p, &s);
    cr_assert_eq(s.error, 0);
    cr_assert_eq(s.failing, 0);
}

/* ---- verbs and views ---- */

/* Nobody but A knows what is in its open pack. */
Test(gc_pool, what_is_named_in_packs_that_are_open_is_counted_once)
{
    char name[32], text[32];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "main/f%d", i);
        snprintf(text, sizeof text, "content %d", i);
        put_file(A, name, text);
    }
    drained(A);
    reports(A);
    reports(B);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "main/f%d", i);
        snprintf(text, sizeof text, "content %d", i);
        put_file(B, name, text);
    }
    drained(B);
    reports(B);
    agreed(A, "gc dry-run wait", " active=100 pinned=0 ");
    agreed(B, "gc wait", " active=100 pinned=0 ");
    agreed(A, "gc wait", " active=100 pinned=0 ");
}

Test(gc_pool, the_verb_counts_what_is_the_pools_and_what_is_the_stores)
{
    put_large(A, "main/a", 'x');
    put_large(A, "main/b", 'y');
    drop_file(A, "main/b");
    knows_all(A);
    agreed(A, "gc dry-run grace=0s wait", "ok cycle=1 marked=1 collected=0 active=1 pinned=0 ");
    agreed(A, "gc grace=0s wait", "ok cycle=1 marked=1 collected=0 active=1 pinned=0 ");
    agreed(A, "status", " kept_new_mark=1 ");
    reports(B);
    agreed(A, "gc wait", "ok cycle=2 marked=0 collected=1 active=1 ");
    agreed(A, "status", "pool        node=1 life=1\n");
}

Test(gc_pool, why_a_cycle_ended_stands_in_status)
{
    struct lease l = LEASE_INIT;
    struct gc_result r;

    cr_assert_eq(lease_take(shared, &A->clock.base, 1, nodes[0].who.incarnation, &l), 0);
    cr_assert_eq(try_cycle(B, 0, &r), -EBUSY);
    agreed(B, "status", "the last cycle ended with EBUSY: node 1 runs a GC cycle of the pool");
    cr_assert_eq(lease_release(shared, &l), 0);
    (void)cycle(B, 0);
    char reply[4096];
    (void)say(B, "status", reply);
    cr_assert_null(strstr(reply, "the last cycle ended"));
}

Test(gc_pool, what_others_need_a_namespace_does_not_give_back)
{
    put_large(A, "main/a", 'x');
    put_large(A, "main/only", 'y');
    all_report();
    wait_seconds(2);
    put_large(B, "main/b", 'x');
    wait_seconds(2);
    agreed(A, "du main", " shared=307200 frees=307200 ");
    agreed(B, "du main", " shared=307200 frees=0 ");
    drop_file(B, "main/b");
    wait_seconds(2);
    agreed(A, "du main", " shared=0 frees=614400 ");
}

/* ---- repeating ---- */

Test(gc_pool, a_report_with_nothing_new_repeats_the_last_and_acknowledges_what_is_new)
{
    struct pool_head first, then;

    put_large(B, "main/b", 'y');
    marked_behind_the_back_of_b();
    cr_assert_eq(pool_head_read(shared, 2, &first), 0);
    reports(B);
    cr_assert_eq(pool_head_read(shared, 2, &then), 0);
    cr_assert_gt(then.serial, first.serial);
    cr_assert_eq(then.ack, 1);
    cr_assert_eq(then.active, first.active);
    cr_assert_eq(then.base.serial, first.base.serial);
    cr_assert_eq(cycle(A, 0).collected, 1);
    has_large(B, "main/b", 'y');
}

Test(gc_pool, a_report_whose_records_were_damaged_is_written_anew_sooner_or_later)
{
    char path[DISK_NAME_MAX + 1], name[32];
    struct pool_head head;
    struct gc_result r;
    unsigned i = 0;

    put_large(A, "main/a", 'x');
    put_large(B, "main/b", 'y');
    cr_assert_eq(pool_head_read(shared, 2, &head), 0);
    snprintf(name, sizeof name, "base.%016llx", (unsigned long long)head.base.serial);
    pool_node_path(2, name, path);
    cr_assert_eq(pool_disk_flip(shared, path, 4100, 1), 0);
    cr_assert_eq(try_cycle(A, 0, &r), -EUCLEAN);
    for (; try_cycle(A, 0, &r) < 0; i++) {
        cr_assert_lt(i, 12);
        reports(B);
    }
}

/* ---- by itself ---- */

/* Its thread has made the first report. */
static void reporting_by_itself(struct fixture *x)
{
    struct pool_node_status s = {.reports = 0};

    cr_assert_eq(pool_node_start(x->p), 0);
    for (unsigned i = 0; i < 20000 && s.reports == 0; i++) {
        usleep(1000);
        pool_node_get_status(x->p, &s);
    }
    cr_assert_eq(s.error, 0);
    cr_assert_geq(s.reports, 1);
}

Test(gc_pool, a_mounted_store_reports_by_itself)
{
    reporting_by_itself(A);
    node_close(&nodes[0]); /* ends the thread, long before its next report */
    node_open(&nodes[0]);
}

Test(gc_pool, drains_that_follow_each_other_closely_leave_the_report_to_the_thread)
{
    struct pool_head head;

    reporting_by_itself(A);
    {
        MUTEX_GUARD(&A->p->node->lock);
        A->p->node->took = 100 * NSEC_PER_SEC;
    }
    put_large(A, "main/a", 'x');
    cr_assert_eq(pool_head_read(shared, 1, &head), 0);
    cr_assert_eq(head.active, 0);
    node_close(&nodes[0]);
    cr_assert_eq(pool_head_read(shared, 1, &head), 0);
    cr_assert_eq(head.active, 1, "the last report of an incarnation is written in any case");
    node_open(&nodes[0]);
}

/* What it has acknowledged by itself, before its report_interval was over. */
static void acknowledges_by_itself(struct fixture *x, uint64_t serial)
{
    struct pool_node_status s = {.ack = 0};

    for (unsigned i = 0; i < 20000 && s.ack < serial; i++) {
        clock_manual_advance(&x->clock, NSEC_PER_SEC / 10);
        usleep(1000);
        pool_node_get_status(x->p, &s);
    }
    cr_assert_eq(s.ack, serial);
}

Test(gc_pool, a_newer_list_of_marks_is_acknowledged_long_before_the_next_report)
{
    agreed(B, "set report_interval 1h", "ok");
    put_large(A, "main/a", 'x');
    drop_file(A, "main/a");
    knows_all(A);
    reporting_by_itself(B);
    cr_assert_eq(cycle(A, 0).marked, 1);
    acknowledges_by_itself(B, 1);
    cr_assert_eq(cycle(A, 0).collected, 1);
}

Test(gc_pool, a_drain_with_nothing_to_say_acknowledges_a_newer_list)
{
    struct pool_head head;

    put_large(A, "main/a", 'x');
    drop_file(A, "main/a");
    knows_all(A);
    drained(B);
    cr_assert_eq(cycle(A, 0).marked, 1);
    drained(B);
    cr_assert_eq(pool_head_read(shared, 2, &head), 0);
    cr_assert_eq(head.ack, 1);
    cr_assert_eq(cycle(A, 0).collected, 1);
}

Test(gc_pool, another_report_interval_counts_at_once)
{
    struct pool_node_status s;
    unsigned i = 0;

    agreed(A, "set report_interval 1h", "ok");
    reporting_by_itself(A);
    for (s.reports = 1; s.reports < 2; i++) {
        cr_assert_lt(i, 20000, "not before the interval until then was over");
        clock_manual_advance(&A->clock, NSEC_PER_SEC / 10);
        agreed(A, "set report_interval 1s", "ok");
        usleep(1000);
        pool_node_get_status(A->p, &s);
    }
}

Test(gc_pool, nodes_are_listed_by_their_numbers)
{
    agreed(A, "node list", "node=1 state=silent");
    knows_all(A);
    agreed(A, "node list", "node=2 state=reporting");
    agreed(A, "node list", "nodes=2");
    wait_seconds(100);
    refused(A, "node retire 2", -EBUSY, "node 2 is not stale: it is after 500 seconds more");
    refused(A, "node retire 1", -EBUSY, "node 1 is this store, which is never stale");
    refused(A, "node retire 9", -ENOENT, "no node 9");
    wait_seconds(601);
    agreed(A, "node list", "node=2 state=stale");
    A->p->node->running = true;
    refused(A, "node retire 2", -EBUSY, "a GC cycle is running");
    A->p->node->running = false;
    agreed(A, "node retire 2", "ok");
    agreed(A, "node list", "nodes=1");
    agreed(A, "node prune", "ok retired=0");
}

static void object_line(struct fixture *x, const struct id *id, const char *part)
{
    char hex[ID_HEX + 1], line[80];

    id_to_hex(id, hex);
    snprintf(line, sizeof line, "object %s", hex);
    agreed(x, line, part);
}

Test(gc_pool, an_object_says_how_many_nodes_name_it)
{
    struct id id;
    static char block[LARGE];

    memset(block, 'x', sizeof block);
    id_of(&A->p->id_key, block, sizeof block, &id);
    put_large(A, "main/a", 'x');
    reports(B);
    object_line(A, &id, "state=active since=never nodes=1 ");
    put_large(B, "main/b", 'x');
    reports(A);
    object_line(A, &id, "state=active since=never nodes=2 ");
    agreed(A, "why main/a", "node 2 of the pool says that it needs it, too");
    drop_file(A, "main/a");
    (void)collect(A);
    object_line(A, &id, "state=active since=never nodes=1");
    drop_file(B, "main/b");
    (void)cycle(A, 0);
    object_line(A, &id, "state=marked since=1970-");
}

Test(gc_pool, the_history_names_keys_and_whole_ids)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char hex[ID_HEX + 1], line[80];
    static char block[LARGE];
    struct id id;

    memset(block, 'x', sizeof block);
    put_large(A, "main/a", 'x');
    put_file(A, "main/b", "small");
    drop_file(A, "main/a");
    drop_file(A, "main/b");
    cr_assert_eq(collect(A), 2);
    cr_assert_eq(view_gc_history(A->p, &text), 0);
    cr_assert(strstr(text.s, "cycle=1 "), "%s", text.s);
    cr_assert(strstr(text.s, "\n  key "), "%s", text.s);
    id_of(&A->p->id_key, block, sizeof block, &id);
    id_to_hex(&id, hex);
    snprintf(line, sizeof line, " of object %s\n", hex);
    cr_assert(strstr(text.s, line), "%s", text.s);
    id_of(&A->p->id_key, "small", 5, &id);
    id_to_hex(&id, hex);
    snprintf(line, sizeof line, " of object %s\n", hex);
    cr_assert(strstr(text.s, line), "a record of a pack: %s", text.s);
}

static char notes[4096];

static void keep_note(enum report_level level, const char *text, void *ctx)
{
    size_t n = strlen(notes);

    (void)ctx;
    if (level == REPORT_NOTE)
        snprintf(notes + n, sizeof notes - n, "%s\n", text);
}

Test(gc_pool, a_cycle_that_deleted_something_says_so_in_the_journal)
{
    put_large(A, "main/a", 'x');
    drop_file(A, "main/a");
    knows_all(A);
    report_set_sink(keep_note, NULL);
    cr_assert_eq(cycle(A, 0).collected, 0);
    cr_assert(!strstr(notes, "deleted"), "%s", notes);
    cr_assert_eq(collect(A), 1);
    report_set_sink(NULL, NULL);
    cr_assert_eq(object_files(), 0);
    cr_assert(strstr(notes, " deleted 1 of what nothing needs\n"), "%s", notes);
}

Test(gc_pool, numbers_are_told_to_programs)
{
    CLEANUP_STRBUF struct strbuf json = STRBUF_INIT, metrics = STRBUF_INIT;

    put_large(A, "main/a", 'x');
    cr_assert_eq(view_render(A->p, VIEW_STATS_JSON, NULL, &json), 0);
    cr_assert(strstr(json.s, "\"pool\": {"), "%s", json.s);
    cr_assert(strstr(json.s, "\"report_keys\": 1"), "%s", json.s);
    cr_assert_eq(view_render(A->p, VIEW_METRICS, NULL, &metrics), 0);
    cr_assert(strstr(metrics.s, "tallyfs_pool_report_keys 1\n"), "%s", metrics.s);
    cr_assert(strstr(metrics.s, "tallyfs_pool_kept{reason=\"grace\"} 0\n"), "%s", metrics.s);
}
