// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of space in the packs of a pool: what is dead in a pack that was open goes with the next
 * cycles, and of packs that are mostly dead to all, each member takes what it still needs
 * elsewhere, so that they go.
 */
#include "compact_impl.h"
#include "fault.h"
#include "nodes_fixture.h"

#define FILES 80

static void two(void)
{
    pool_of_nodes(2);
}
TestSuite(compact_pool, .init = two, .fini = pool_is_gone);

/* ---- words ---- */

static void drop_but_every(struct fixture *x, int step)
{
    char path[32];

    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "main/f%d", i);
        if (i % step && node_of(x, path))
            remove_file(x, path);
    }
    drained(x);
}

static void has_every(struct fixture *x, int step)
{
    for (int i = 0; i < FILES; i += step)
        has_small(x, i);
}

static struct compact_result compacted(struct fixture *x)
{
    struct compact_result r;
    int err = compact_store(x->p, NULL, 50, true, &r);

    cr_assert_eq(err, 0, "%s", strerror(-err));
    return r;
}

/* Bytes that lie in packs, less the holes that cycles have made. */
static int add_bytes(const char *file, void *ctx)
{
    char path[DISK_NAME_MAX + 1];
    struct disk_file *f;
    struct disk_stat st;
    uint64_t number;

    if (pack_parse_name(file, &number) < 0)
        return 0;
    snprintf(path, sizeof path, "packs/%.100s", file);
    cr_assert_eq(disk_open(shared, path, DISK_READ, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    disk_file_close(f);
    *(uint64_t *)ctx += st.size;
    return 0;
}

static uint64_t bytes_of_packs(void)
{
    uint64_t sum = 0;

    cr_assert_eq(disk_list(shared, "packs", add_bytes, &sum), 0);
    return sum;
}

static int find_index(const char *file, void *ctx)
{
    *(unsigned *)ctx += strstr(file, ".index") != NULL;
    return 0;
}

static unsigned indexes(void)
{
    unsigned n = 0;

    cr_assert_eq(disk_list(shared, "packs", find_index, &n), 0);
    return n;
}

/* `one` has put what `other` took up; most of it is not needed by either, and gone. */
static void mostly_dead_of(struct fixture *one, struct fixture *other)
{
    put_small(one, 0, FILES);
    wait_seconds(2);
    put_small(other, 0, FILES);
    drop_but_every(other, 8);
    drop_but_every(one, 20);
    (void)compacted(one);
    cr_assert_eq(collect(one), FILES - FILES / 8);
}

static void mostly_dead(void)
{
    mostly_dead_of(A, B);
}

/* Little more is in packs than `records` of those files take. */
static void packs_have(unsigned records)
{
    uint64_t live = records * pack_record_size(3000);

    cr_assert_leq(bytes_of_packs() * 95, (live + 4 * PACK_FILE_HEAD) * 100, "%llu of %llu",
                  (unsigned long long)bytes_of_packs(), (unsigned long long)live);
}

/* ---- packs that are open ---- */

Test(compact_pool, a_cycle_collects_what_is_dead_in_the_pack_that_is_open)
{
    put_small(A, 0, 16);
    drop_but_every(A, 8);
    cr_assert_eq(collect(A), 14);
    has_small(A, 0);
    has_small(A, 8);
}

#ifndef POOL_ON_SHARD /* where no pack that others see is open */
Test(compact_pool, a_cycle_leaves_a_pack_open_in_which_nothing_is_dead)
{
    put_small(A, 0, 4);
    (void)collect(A);
    put_small(A, 4, 8);
    (void)collect(A);
    cr_assert_eq(pack_files(), 1);
}
#endif

Test(compact_pool, the_pack_that_was_open_at_a_clean_close_has_its_index)
{
    put_small(A, 0, 4);
    cr_assert_eq(indexes(), POOL_SLOTS ? 0 : 1, "on a shard it is closed already");
    node_close(&nodes[0]);
    cr_assert_eq(indexes(), 1);
    node_open(&nodes[0]);
    has_small(A, 3);
}

/* ---- packs of others ---- */

Test(compact_pool, a_pack_goes_when_each_member_has_taken_what_it_needs_elsewhere)
{
    struct compact_result r;

    mostly_dead();
    cr_assert_gt(bytes_of_packs(), FILES / 2 * 3000, "B keeps the packs");
    r = compacted(B);
    cr_assert_eq(r.records, FILES / 8);
    cr_assert_geq(r.packs, 3);
    cr_assert_eq(collect(A), FILES / 8);
    has_every(A, 20);
    has_every(B, 8);
    packs_have(FILES / 8 + FILES / 40);
}

Test(compact_pool, packs_of_a_member_that_joined_later_go_too)
{
    mostly_dead_of(B, A);
    cr_assert_eq(compacted(A).records, FILES / 8);
    cr_assert_eq(collect(B), FILES / 8);
    has_every(A, 8);
    has_every(B, 20);
    packs_have(FILES / 8 + FILES / 40);
}

/* Of what both need A has made a copy already. */
Test(compact_pool, what_is_elsewhere_in_the_pool_is_not_copied_again)
{
    struct compact_result r;

    mostly_dead();
    reports(B);
    r = compacted(B);
    cr_assert_eq(r.bytes, (FILES / 8 - FILES / 40) * 3000);
    (void)collect(B);
    has_every(A, 20);
    has_every(B, 8);
    packs_have(FILES / 8 + FILES / 40);
    drop_but_every(A, FILES + 1);
    (void)compacted(A);
    (void)collect(A);
    has_every(B, 8);
}

static struct entry place_of(struct fixture *x, int i)
{
    char text[4096];
    struct entry e;
    struct id id;
    uint64_t number;
    bool pending;

    small_content(i, text);
    id_of(&x->p->id_key, text, strlen(text), &id);
    cr_assert_eq(refs_find(x->p->refs, &id, &number, &e, &pending), 0);
    refs_unhold(x->p->refs, number);
    return e;
}

static void flip_at(const struct entry *e)
{
    char pack[DISK_NAME_MAX + 1];

    pack_name(e->where, pack);
    cr_assert_eq(pool_disk_flip(shared, pack, e->offset + PACK_RECORD_HEAD + 100, 2), 0);
}

Test(compact_pool, a_damaged_copy_elsewhere_is_not_taken)
{
    struct entry e;

    mostly_dead();
    reports(B);
    e = place_of(A, 0);
    flip_at(&e);
    cr_assert_eq(compacted(B).bytes, (FILES / 8 - FILES / 40 + 1) * 3000);
    has_every(B, 8);
}

Test(compact_pool, a_damaged_record_of_another_stays_where_it_is)
{
    struct entry e;

    mostly_dead();
    e = place_of(B, 8);
    flip_at(&e);
    cr_assert_eq(compacted(B).records, FILES / 8 - 1);
    cr_assert_eq(place_of(B, 8).where, e.where);
    (void)collect(A);
    flip_at(&e); /* it is whole again */
    has_every(B, 8);
    cr_assert_eq(compacted(B).records, 1);
    (void)collect(A);
    has_every(B, 8);
    packs_have(FILES / 8 + FILES / 40);
}

Test(compact_pool, what_all_of_is_needed_by_another_is_left_alone)
{
    put_small(A, 0, FILES);
    wait_seconds(2);
    put_small(B, 0, FILES);
    (void)collect(B);
    cr_assert_eq(compacted(B).records, 0);
    drop_but_every(B, 8);
    (void)collect(B);
    cr_assert_eq(compacted(B).records, 0, "A needs them, so nothing would go");
}

Test(compact_pool, it_begins_by_itself_when_cycles_have_removed_enough)
{
    struct pool_node_status s;

    mostly_dead();
    agreed(B, "set pack_size 1M", "ok");
    pool_node_get_status(B->p, &s);
    compact_look_at_pool(B->p, s.ack);
    cr_assert_gt(atomic_load(&B->p->compacting->elsewhere), FILES / 2 * 3000);
    (void)compacted(B);
    cr_assert_eq(atomic_load(&B->p->compacting->elsewhere), 0);
    compact_look_at_pool(B->p, s.ack + 1);
    cr_assert_eq(atomic_load(&B->p->compacting->elsewhere), 0, "B has left them");
}

/* ---- cuts ---- */

#define CUT_OFF 2 /* records at most that were written and not committed, behind others that were */

/* The power goes at B's write `at`, to its own disk or to the pool; there both lose it. */
static bool cut(bool pool, uint64_t at)
{
    struct fault *f = pool ? &shared_fault : &B->fault;
    struct compact_result r;
    int err;

    pool_of_nodes(2);
    mostly_dead();
    f->seed = at * 2654435761u + 1;
    f->cut = true;
    f->fail_at = f->writes + at;
    err = compact_store(B->p, NULL, 50, true, &r);
    bool fired = fault_fired(f);
    cr_assert(fired || err == 0, "%d", err);
    node_die(&nodes[1]);
    if (pool)
        node_die(&nodes[0]);
    fault_reset(f);
    f->loss = FAULT_LOSE_SOME;
    if (pool)
        pool_disk_power_cycle(&shared);
    else
        disk_mem_power_cycle(nodes[1].own);
    if (pool)
        node_open(&nodes[0]);
    node_open(&nodes[1]);
    has_every(A, 20);
    has_every(B, 8);
    drained(B);
    (void)collect(A);
    has_every(B, 8);
    (void)compacted(B);
    (void)collect(A);
    has_every(A, 20);
    has_every(B, 8);
    packs_have(FILES / 8 + FILES / 40 + CUT_OFF);
    pool_is_gone();
    return fired;
}

Test(compact_pool_cut, nothing_is_lost_and_the_packs_go_wherever_the_power_was_cut)
{
    uint64_t at;

    for (at = 1; cut(true, at); at += 3)
        ;
    cr_assert_gt(at, 6, "in the pool: %d", (int)at);
    for (at = 1; cut(false, at); at += 2)
        ;
    cr_assert_gt(at, 4, "at home: %d", (int)at);
}
