// SPDX-License-Identifier: Apache-2.0
/* Claims of packs of which little lives: what lives of them is put elsewhere, and they go. */
#include "prune_fixture.h"

#define SIZE 50000u
#define COUNT 60u
#define LIVING "main/dir/b0"

static struct shipped_state s[MANY];

static void set_up(void)
{
    up();
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_HOURLY, 0);
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_DAILY, 0);
    make_dir(&v.w, "main/dir");
}

TestSuite(repack, .init = set_up, .fini = down_all);

/* A pack of many files, of which `living` are there two days later. */
static void have_sparse_pack(unsigned living)
{
    char name[40];

    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "main/dir/b%u", i);
        put_bytes(&v.w, name, SIZE, 1000 + i);
    }
    ship(&v);
    for (unsigned i = living; i < COUNT; i++) {
        snprintf(name, sizeof name, "main/dir/b%u", i);
        remove_file(&v.w.x, name);
    }
    ship_some(s, MANY, EVERY);
    settle(&v.w); /* what is not there any more has died */
}

/* What was chosen is sent, and after some days all goes that nobody needs: also the way to the list
 * of names, which is in one of so many segments. */
#define LATER 140u
static void send_and_forget(void)
{
    ship(&v);
    for (unsigned i = 0; i < LATER; i++) {
        (void)ship_one(MANY + i);
        pass(HOUR);
    }
    (void)prune_twice();
    (void)prune_twice();
}

static struct archived_place place_there(void)
{
    struct archived_place at;
    struct entry e;

    cr_assert_eq(archived_get(v.w.x.p->archived, v.archive, place_of(&v.w, LIVING, &e), &at), 0);
    return at;
}

static bool pack_is_there(uint64_t where)
{
    const struct entry e = {.kind = ENTRY_PACK, .where = where};
    char name[DISK_NAME_MAX + 1];

    objects_file_name(&e, where, name);
    return is_there(name);
}

/* The store has nothing of main any more, and restores it. */
static void restore_anew(void)
{
    const uint64_t seq = ship_stats_of(&v).seq;
    char line[60];

    agreed(&v.w.x, "drop main now", "ok");
    ship(&v);
    settle(&v.w);
    snprintf(line, sizeof line, "restore main@%llu main wait", U(seq));
    agreed(&v.w.x, line, "ok");
}

Test(repack, a_pack_of_which_little_lives_is_emptied_and_goes)
{
    struct archived_place before, after;
    struct prune_result r;

    have_sparse_pack(1);
    before = place_there();
    r = prune();
    cr_assert_eq(r.repacked, 1);
    cr_assert_gt(r.repacked_bytes, (COUNT - 2) * SIZE);
    send_and_forget();
    after = place_there();
    cr_assert_neq(after.where, before.where);
    cr_assert(!pack_is_there(before.where) && pack_is_there(after.where));
    is_sound();
    restore_anew();
    has_bytes(&v.w, LIVING, SIZE, 1000);
}

Test(repack, a_pack_of_which_a_quarter_lives_stays)
{
    struct archived_place before;

    have_sparse_pack(COUNT / 4 + 1);
    before = place_there();
    cr_assert_eq(prune().repacked, 0);
    send_and_forget();
    cr_assert_eq(place_there().where, before.where);
    cr_assert(pack_is_there(before.where));
    is_sound();
}

Test(repack, what_was_chosen_once_is_not_chosen_again)
{
    have_sparse_pack(1);
    cr_assert_eq(prune().repacked, 1);
    ship(&v);
    pass(11 * MINUTE);
    cr_assert_eq(prune().repacked, 0);
}

/* All namespaces would be sent whole. */
Test(repack, it_is_not_done_where_it_costs_more_than_it_frees)
{
    char line[40];

    for (unsigned i = 0; i < 20; i++) {
        snprintf(line, sizeof line, "branch main b%u", i);
        agreed(&v.w.x, line, "ok");
    }
    have_sparse_pack(1);
    cr_assert_eq(prune().repacked, 0);
}

Test(repack, what_cannot_be_read_here_stays_where_the_archive_has_it)
{
    struct archived_place before;
    char name[DISK_NAME_MAX + 1];
    struct entry e;
    uint64_t number;

    have_sparse_pack(1);
    before = place_there();
    number = place_of(&v.w, LIVING, &e);
    objects_file_name(&e, number, name);
    cr_assert_eq(disk_mem_flip(v.w.x.disk, name, e.offset + 200, 1), 0, "%s", name);
    cr_assert_eq(prune().repacked, 1);
    ship(&v);
    cr_assert_eq(ship_stats_of(&v).lost, 0);
    cr_assert_eq(place_there().where, before.where);
    is_sound();
}

Test(repack, an_archive_that_fails_meanwhile_gets_it_later)
{
    struct archived_place before;

    have_sparse_pack(1);
    before = place_there();
    cr_assert_eq(prune().repacked, 1);
    shard_mem_set(v.mem, SHARD_MEM_FULL, true);
    cr_assert_lt(ship_step(v.w.x.p), 0);
    shard_mem_set(v.mem, SHARD_MEM_FULL, false);
    send_and_forget();
    cr_assert(!pack_is_there(before.where));
    is_sound();
}

/* A restored file has its bytes nowhere else. */
Test(repack, a_pack_that_a_ghost_of_this_store_needs_is_not_emptied)
{
    struct archived_place before;

    have_sparse_pack(1);
    before = place_there();
    ship(&v);
    restore_anew();
    ship(&v);
    cr_assert_eq(prune().repacked, 0);
    send_and_forget();
    cr_assert(pack_is_there(before.where));
    is_sound();
}
