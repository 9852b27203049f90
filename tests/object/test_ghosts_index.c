// SPDX-License-Identifier: Apache-2.0
/* Claims of refs.h on ghosts: what is on other shards is found, counted, and let go of. */
#include "table.h"

#include <stdio.h>

#define GHOSTS 5 /* the table's number; see table.h */

static struct table t;

static void setup(void)
{
    table_create(&t);
}
static void teardown(void)
{
    table_destroy(&t);
}

TestSuite(ghosts_index, .init = setup, .fini = teardown);

static struct entry entry_of(uint64_t number)
{
    struct entry e;
    cr_assert_eq(refs_entry(t.refs, number, false, NULL, &e), 0);
    return e;
}

/* It is on that shard from now on; 0: at home. */
static void send(uint64_t number, uint16_t shard)
{
    static uint32_t places;
    struct entry from = entry_of(number), to = from;
    to.shard = shard;
    to.where = 1000 + ++places;
    to.created = shard ? places : 0;
    cr_assert_eq(refs_relocate(t.refs, number, &from, &to), 0);
    refs_settle(t.refs, refs_pending_mark(t.refs));
}

static uint64_t ghost(const char *content, uint16_t shard)
{
    uint64_t number = object(&t, content, 1);
    send(number, shard);
    return number;
}

/* The first ghost behind a number, by a walk of its own. */
static int next_ghost(uint16_t shard, uint64_t after, uint64_t *ret_number, struct entry *ret)
{
    struct refs_ghosts_walk w = {.refs = t.refs, .shard = shard, .number = after};
    int err = refs_next_ghost(&w, ret);

    if (err == 0)
        *ret_number = w.number;
    return err;
}

static int reclaim_dead(uint64_t number)
{
    struct refs_dead d;
    cr_assert_eq(refs_next_dead_ghost(t.refs, 0, number - 1, &d), 0);
    cr_assert_eq(d.number, number);
    return refs_reclaimed(t.refs, &d, 1);
}

static uint64_t on(uint16_t shard, uint64_t *ret_bytes)
{
    uint64_t count;
    cr_assert_eq(refs_ghosts_on(t.refs, shard, &count, ret_bytes), 0);
    return count;
}

Test(ghosts_index, one_that_is_moved_is_found_by_its_shard_and_at_home_it_is_none)
{
    uint64_t a = ghost("a", 1), b = ghost("b", 2), bytes, number;
    struct entry e;

    cr_assert_eq(next_ghost(0, 0, &number, &e), 0);
    cr_assert(number == a && e.shard == 1 && e.count == 1);
    cr_assert_eq(next_ghost(0, a, &number, &e), 0);
    cr_assert(number == b && e.shard == 2);
    cr_assert_eq(next_ghost(2, 0, &number, &e), 0);
    cr_assert_eq(number, b);
    cr_assert_eq(next_ghost(1, a, &number, &e), -ENOENT);
    cr_assert(on(1, &bytes) == 1 && bytes == 10);
    send(a, 0);
    cr_assert_eq(next_ghost(1, 0, &number, &e), -ENOENT);
    cr_assert(on(1, &bytes) == 0 && bytes == 0 && refs_ghosts(t.refs) == 1);
    cr_assert_eq(entry_of(a).created, 0);
    commit(&t);
    cr_assert_eq(rows(&t, GHOSTS), 1);
}

Test(ghosts_index, from_shard_to_shard_it_is_one_all_the_time)
{
    uint64_t a = ghost("a", 1), bytes, number;
    struct entry e;
    commit(&t);
    send(a, 9);
    cr_assert(on(1, &bytes) == 0 && on(9, &bytes) == 1 && refs_ghosts(t.refs) == 1);
    cr_assert_eq(next_ghost(9, 0, &number, &e), 0);
    cr_assert_eq(next_ghost(1, 0, &number, &e), -ENOENT);
}

Test(ghosts_index,
     a_relocation_of_what_is_elsewhere_by_now_is_stale_though_all_numbers_are_the_same)
{
    uint64_t a = object(&t, "a", 1);
    struct entry home = entry_of(a), there = home, back = home;
    there.shard = 1;
    cr_assert_eq(refs_relocate(t.refs, a, &home, &there), 0);
    back.where = 77;
    cr_assert_eq(refs_relocate(t.refs, a, &home, &back), -ESTALE);
    cr_assert_eq(refs_relocate(t.refs, a, &there, &back), 0);
    cr_assert_eq(refs_ghosts(t.refs), 0);
}

Test(ghosts_index, healing_brings_it_home)
{
    uint64_t a = ghost("a", 1), number;
    struct entry place = entry_of(a), old, e;
    place.shard = 0;
    place.where = 5;
    cr_assert_eq(refs_move(t.refs, a, &place, &old), 0);
    cr_assert_eq(old.shard, 1);
    cr_assert_eq(next_ghost(0, 0, &number, &e), -ENOENT);
    cr_assert_eq(refs_reclaim_place(t.refs, &old), 0);
    cr_assert(refs_dead_ghosts(t.refs) == 1 && refs_dying(t.refs) == 0);
}

Test(ghosts_index, a_dead_one_is_told_only_after_its_commit_and_never_with_those_at_home)
{
    uint64_t a = ghost("a", 1), b = object(&t, "b", 1), number;
    struct refs_dead d, home[4];
    struct entry e;

    cr_assert_eq(refs_unref(t.refs, a), 0);
    cr_assert_eq(refs_unref(t.refs, b), 0);
    commit(&t); /* they are among the dying, and have entries */
    cr_assert_eq(next_ghost(1, 0, &number, &e), 0, "count 0 is a ghost still");
    cr_assert_eq(refs_dying(t.refs), 2);
    cr_assert_eq(collect(&t), 2);
    cr_assert_eq(next_ghost(1, 0, &number, &e), -ENOENT);
    cr_assert(refs_dead_ghosts(t.refs) == 1 && refs_dying(t.refs) == 1);
    cr_assert_eq(refs_next_dead_ghost(t.refs, 0, 0, &d), -ENOENT, "not committed");
    freeze(&t);
    cr_assert_eq(refs_next_dead_ghost(t.refs, 0, 0, &d), -ENOENT, "nor now");
    cr_assert_eq(write_out(&t), 0);
    refs_retire(t.refs, 1);
    cr_assert_eq(refs_collected(t.refs, home, 4), 1);
    cr_assert_eq(home[0].number, b);
    cr_assert_eq(refs_next_dead_ghost(t.refs, 2, 0, &d), -ENOENT);
    cr_assert_eq(refs_next_dead_ghost(t.refs, 1, 0, &d), 0);
    cr_assert(d.number == a && d.entry.shard == 1);
    cr_assert_eq(refs_reclaimed(t.refs, &d, 1), 0);
    cr_assert_eq(refs_reclaimed(t.refs, &home[0], 1), 0);
    cr_assert(refs_dead_ghosts(t.refs) == 0 && refs_dying(t.refs) == 0);
    commit(&t);
    cr_assert_eq(rows(&t, 2), 0);
}

Test(ghosts_index, what_is_reclaimed_is_not_told_again_though_no_commit_says_so)
{
    uint64_t n[2] = {ghost("a", 1), ghost("b", 1)};
    struct refs_dead d;

    for (int i = 0; i < 2; i++)
        cr_assert_eq(refs_unref(t.refs, n[i]), 0);
    cr_assert_eq(collect(&t), 2);
    commit(&t);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(refs_next_dead_ghost(t.refs, 0, 0, &d), 0);
        cr_assert_eq(d.number, n[i]);
        cr_assert_eq(refs_reclaimed(t.refs, &d, 1), 0);
    }
    cr_assert_eq(refs_next_dead_ghost(t.refs, 0, 0, &d), -ENOENT);
}

Test(ghosts_index, of_a_count_of_3_the_third_decrement_lets_it_go_and_after_an_increment_a_fourth)
{
    uint64_t a = ghost("a", 1), b = ghost("b", 1);
    cr_assert_eq(refs_correct(t.refs, a, 2), 0);
    cr_assert_eq(refs_correct(t.refs, b, 2), 0);
    cr_assert_eq(refs_ref(t.refs, b), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(collect(&t), 0);
        cr_assert_eq(refs_unref(t.refs, a), 0);
        cr_assert_eq(refs_unref(t.refs, b), 0);
    }
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(refs_ghosts(t.refs), 1);
    cr_assert_eq(entry_of(b).count, 1);
    cr_assert_eq(refs_unref(t.refs, b), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(refs_ghosts(t.refs), 0);
}

Test(ghosts_index, one_that_is_revived_before_it_is_collected_stays)
{
    uint64_t a = ghost("a", 1), bytes;
    cr_assert_eq(refs_unref(t.refs, a), 0);
    cr_assert_eq(refs_ref(t.refs, a), 0);
    cr_assert_eq(collect(&t), 0);
    cr_assert(on(1, &bytes) == 1 && refs_dead_ghosts(t.refs) == 0);
}

Test(ghosts_index, the_dead_and_the_living_are_known_after_a_crash)
{
    uint64_t a = ghost("a", 1), bytes, number;
    struct refs_dead d, none;
    struct entry e;

    ghost("b", 2);
    commit(&t);
    cr_assert_eq(refs_unref(t.refs, a), 0);
    cr_assert_eq(collect(&t), 1);
    crash(&t);
    cr_assert_eq(next_ghost(1, 0, &number, &e), 0, "its end was not committed");
    cr_assert_eq(refs_unref(t.refs, a), 0);
    cr_assert_eq(collect(&t), 1);
    commit(&t);
    crash(&t);
    cr_assert(refs_dead_ghosts(t.refs) == 1 && refs_dying(t.refs) == 0);
    cr_assert_eq(refs_collected(t.refs, &none, 1), 0);
    cr_assert(on(1, &bytes) == 0 && on(2, &bytes) == 1 && bytes == 10);
    cr_assert_eq(refs_next_dead_ghost(t.refs, 0, 0, &d), 0);
    cr_assert_eq(d.number, a);
    cr_assert_eq(reclaim_dead(a), 0);
    commit(&t);
    crash(&t);
    cr_assert_eq(refs_dead_ghosts(t.refs), 0);
}

Test(ghosts_index, a_row_that_does_not_decode_is_told_and_is_never_nothing)
{
    uint64_t a = ghost("a", 1), bytes, number, count;
    struct entry e;
    struct kv_txn *x;
    uint8_t key[8] = {0};

    commit(&t);
    key[7] = (uint8_t)a;
    cr_assert_eq(kv_txn_begin(t.kv, &x), 0);
    cr_assert_eq(kv_put(x, GHOSTS, key, 8, "x", 1), 0);
    cr_assert_eq(kv_commit(x), 0);
    crash(&t);
    cr_assert_eq(report_count(REPORT_ALARM), 1);
    cr_assert_eq(next_ghost(0, 0, &number, &e), -EUCLEAN);
    cr_assert_eq(refs_ghosts_on(t.refs, 1, &count, &bytes), -EUCLEAN);
    ghost("b", 2);
    cr_assert_eq(next_ghost(0, 0, &number, &e), -EUCLEAN);
}

Test(ghosts_index, a_row_without_its_entry_is_told)
{
    uint64_t a = ghost("a", 1), b = object(&t, "b", 1), number;
    struct ghost_row row = {1, 10};
    struct entry e;
    struct kv_txn *x;
    uint8_t key[8] = {0}, val[GHOST_ROW_LEN];

    commit(&t);
    key[7] = (uint8_t)b;
    ghost_row_encode(&row, val);
    cr_assert_eq(kv_txn_begin(t.kv, &x), 0);
    cr_assert_eq(kv_put(x, GHOSTS, key, 8, val, sizeof val), 0);
    cr_assert_eq(kv_commit(x), 0);
    cr_assert_eq(next_ghost(0, a, &number, &e), -EUCLEAN);
}

Test(ghosts_index, the_day_never_falls_and_is_kept_by_moves)
{
    uint64_t a = object(&t, "a", 1), alias = fresh(&t, 1);
    size_t changes;

    cr_assert_eq(refs_seal_alias(t.refs, alias, a), 0);
    cr_assert_eq(refs_set_lastuse(t.refs, alias, 20000), 0);
    cr_assert_eq(entry_of(a).day, 20000);
    commit(&t);
    changes = refs_changes(t.refs);
    cr_assert_eq(refs_set_lastuse(t.refs, a, 19999), 0);
    cr_assert_eq(refs_set_lastuse(t.refs, a, 20000), 0);
    cr_assert_eq(refs_changes(t.refs), changes);
    cr_assert_eq(entry_of(a).day, 20000);
    send(a, 3);
    cr_assert_eq(entry_of(a).day, 20000);
    cr_assert_eq(refs_set_lastuse(t.refs, a, 20001), 0);
    cr_assert(entry_of(a).day == 20001 && entry_of(a).shard == 3);
    send(a, 0);
    cr_assert_eq(entry_of(a).day, 20001);
    cr_assert_eq(refs_set_lastuse(t.refs, 12345, 1), -ENOENT);
    cr_assert_eq(refs_set_lastuse(t.refs, fresh(&t, 1), 1), 0);
}

/* ---- a walk while things change ---- */

Test(ghosts_index, a_walk_sees_what_is_there_however_it_came_there)
{
    enum { N = 1400 };
    static uint64_t numbers[N];
    struct refs_ghosts_walk w = {.refs = t.refs};
    uint64_t found = 0;
    struct entry e;
    char name[16];

    for (unsigned i = 0; i < N; i++) {
        snprintf(name, sizeof name, "o%u", i);
        numbers[i] = object(&t, name, 1);
    }
    for (unsigned i = 0; i < N; i += 2) { /* half of them, not in order */
        send(numbers[(i * 11) % N], (uint16_t)(1 + i % 3));
        if (i == N / 2)
            commit(&t);
    }
    while (refs_next_ghost(&w, &e) == 0) {
        found++;
        if (w.number == numbers[10]) { /* one behind, two that go, one that the walk has not read yet */
            send(numbers[1], 1);
            send(numbers[14], 0);
            send(numbers[N - 2], 0);
            send(numbers[N - 3], 1);
            cr_assert_eq(refs_next_ghost(&w, &e), 0);
            cr_assert_eq(w.number, numbers[12]);
            cr_assert_eq(refs_next_ghost(&w, &e), 0);
            cr_assert_eq(w.number, numbers[16]);
            found += 2;
        }
    }
    cr_assert_eq(w.number, numbers[N - 3]);
    cr_assert_eq(found, N / 2 - 1);
}

/* ---- the model: random steps, crashes included ---- */

enum { OBJECTS = 60, SHARDS = 4 };

struct model {
    struct {
        uint64_t number;
        unsigned count;
        uint16_t shard;
        bool there, dead; /* an entry; a record of the dying without one */
    } o[OBJECTS];
};

static uint64_t rnd_state;
static unsigned rnd(unsigned below)
{
    rnd_state = rnd_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(rnd_state >> 33) % below;
}

static void agrees(const struct model *m, const struct model *committed)
{
    uint64_t number = 0, all = 0, dead = 0, bytes;
    struct entry e;
    struct refs_dead d;

    for (uint16_t s = 0; s <= SHARDS; s++) {
        uint64_t n = 0;
        number = 0;
        for (unsigned i = 0; i < OBJECTS; i++) {
            if (!m->o[i].there || m->o[i].shard == 0 || (s && m->o[i].shard != s))
                continue;
            n++;
            cr_assert_eq(next_ghost(s, number, &number, &e), 0);
            cr_assert(number == m->o[i].number && e.shard == m->o[i].shard);
            cr_assert_eq(e.count, m->o[i].count);
        }
        cr_assert_eq(next_ghost(s, number, &number, &e), -ENOENT);
        if (s == 0)
            all = n;
        else
            cr_assert(on(s, &bytes) == n && bytes == 10 * n);
    }
    cr_assert_eq(refs_ghosts(t.refs), all);
    number = 0;
    for (unsigned i = 0; i < OBJECTS; i++) {
        dead += m->o[i].dead && m->o[i].shard;
        if (!m->o[i].dead || m->o[i].shard == 0 || !committed->o[i].dead)
            continue;
        cr_assert_eq(refs_next_dead_ghost(t.refs, 0, number, &d), 0);
        cr_assert(d.number == m->o[i].number && d.entry.shard == m->o[i].shard);
        number = d.number;
    }
    cr_assert_eq(refs_next_dead_ghost(t.refs, 0, number, &d), -ENOENT);
    cr_assert_eq(refs_dead_ghosts(t.refs), dead);
}

static void one_step(struct model *m, struct model *committed)
{
    unsigned i = rnd(OBJECTS);
    struct refs_dead home[OBJECTS];
    size_t n;

    switch (rnd(10)) {
    case 0 ... 3:
        if (m->o[i].there)
            send(m->o[i].number, m->o[i].shard = (uint16_t)rnd(SHARDS + 1));
        break;
    case 4 ... 5:
        if (m->o[i].there && m->o[i].count) {
            cr_assert_eq(refs_unref(t.refs, m->o[i].number), 0);
            m->o[i].count--;
        }
        break;
    case 6:
        if (m->o[i].there) {
            cr_assert_eq(refs_ref(t.refs, m->o[i].number), 0);
            m->o[i].count++;
        }
        break;
    case 7:
        cr_assert_geq(collect(&t), 0);
        for (i = 0; i < OBJECTS; i++)
            if (m->o[i].there && m->o[i].count == 0) {
                m->o[i].there = false;
                m->o[i].dead = true;
            }
        break;
    case 8:
        commit(&t);
        *committed = *m;
        n = refs_collected(t.refs, home, OBJECTS);
        for (size_t k = 0; k < n; k++)
            cr_assert_eq(refs_reclaimed(t.refs, &home[k], 1), 0);
        break;
    default:
        if (rnd(4) == 0) {
            crash(&t);
            *m = *committed;
        } else if (m->o[i].dead && m->o[i].shard && committed->o[i].dead) {
            cr_assert_eq(reclaim_dead(m->o[i].number), 0);
            m->o[i].dead = false;
        }
    }
}

Test(ghosts_index, random_steps_agree_with_a_model)
{
    static struct model m, committed;

    for (unsigned seed = 1; seed <= 20; seed++) {
        char name[16];
        table_destroy(&t);
        table_create(&t);
        memset(&m, 0, sizeof m);
        rnd_state = seed;
        for (unsigned i = 0; i < OBJECTS; i++) {
            snprintf(name, sizeof name, "o%u", i);
            m.o[i].number = object(&t, name, 1);
            m.o[i].there = true;
            m.o[i].count = 1;
        }
        commit(&t);
        committed = m;
        for (unsigned step = 0; step < 300; step++) {
            one_step(&m, &committed);
            agrees(&m, &committed);
        }
    }
}
