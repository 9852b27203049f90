// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of GC cycles over other shards: what a move that was cut off left there goes, by the rules
 * of all leaks; what a ghost names, or a move has on its way, never; and of a shard that cannot be
 * asked nothing is judged.
 */
#include "away.h"

#include "archive_store.h"
#include "gc.h"
#include "leaks.h"

#define FILES 12
#define GRACE (10 * NSEC_PER_SEC)

static struct away a;
#define x (a.store)

static void up(void)
{
    away_up(&a);
    make_files(&x, FILES);
    put_big(&x, "main/big0", 300000);
    drained(&x);
    cr_assert_eq(send(&x, "f", 0, FILES / 2, 1), FILES / 2);
    cr_assert_eq(send(&x, "big", 0, 1, 1), 1);
    cr_assert_eq(send(&x, "f", FILES / 2, FILES, 2), FILES - FILES / 2);
    drained(&x);
}
static void gone(void)
{
    away_down(&a);
}
TestSuite(gc_shards, .init = up, .fini = gone);

/* ---- leaks ---- */

static const struct id stray = {{0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static char planted[DISK_NAME_MAX + 8];

static void plant_file(void)
{
    char sums[DISK_NAME_MAX + 16];

    blob_object_name(&stray, burnt_on(&x, 1), planted);
    snprintf(sums, sizeof sums, "%s.sums", planted);
    plant_name("mem:cold", planted, "an object that no ghost names");
    plant_name("mem:cold", sums, "and its sums");
}

static void plant_sums(void)
{
    char name[DISK_NAME_MAX + 1];

    blob_object_name(&stray, burnt_on(&x, 1), name);
    snprintf(planted, sizeof planted, "%s.sums", name);
    plant_name("mem:cold", planted, "sums alone");
}

static void plant_pack(void)
{
    pack_name(burnt_on(&x, 1), planted);
    plant_name("mem:cold", planted, "a pack that no ghost names");
}

static uint64_t pack_of(int i)
{
    char path[64];

    snprintf(path, sizeof path, "main/f%d", i);
    return place_of(&x, path).where;
}

static void plant_records(void)
{
    struct pack_entry e;

    cr_assert_eq(packs_get(x.p->packs, 1, pack_of(0), &e), 0);
    cr_assert_eq(packs_count_in(x.p->packs, 1, pack_of(0), 2, 50, e.file_bytes), 0);
    cr_assert_eq(flush_now(x.p), 0);
}

static const struct {
    const char *what;
    void (*plant)(void);
    enum leak_kind kind;
} plants[] = {
    {"file", plant_file, LEAK_SHARD_FILE},
    {"sums", plant_sums, LEAK_SHARD_FILE},
    {"pack", plant_pack, LEAK_SHARD_PACK},
    {"records", plant_records, LEAK_SHARD_RECORDS},
};
#define PLANTS (sizeof plants / sizeof *plants)

/* ---- cycles ---- */

static struct gc_result result;

static int run(bool dry_run, int64_t grace)
{
    gc_result_release(&result);
    return gc_store_run(x.p, NULL, dry_run, grace, &result);
}

static void cycle(int64_t grace)
{
    int err = run(false, grace);

    cr_assert_eq(err, 0, "%s", strerror(-err));
}

static enum gc_state state_of(enum leak_kind kind)
{
    struct gc_object_info info;
    struct id from = {{(uint8_t)kind}}, id;

    if (gc_next(x.p->gc->gc, &from, &id, &info) < 0 || leak_kind(&id) != kind)
        return GC_NONE;
    return info.state;
}

static void files_are(void)
{
    char buf[4096];

    for (int i = 0; i < FILES; i++)
        file_is(&x, i);
    cr_assert_eq(read_path(&x, "main/big0", buf, sizeof buf), (ssize_t)sizeof buf);
}

static void said_clean(void)
{
    struct findings f;

    gc_result_release(&result);
    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
    files_are();
}

/* ---- claims ---- */

Test(gc_shards, ghosts_are_no_leaks)
{
    cycle(0);
    cr_assert_eq(result.marked, 0);
    cycle(0);
    cr_assert_eq(result.collected, 0);
    files_are();
    said_clean();
}

/* Asking again afterwards is the second rope. */
Test(gc_shards, a_ghost_is_needed_by_the_search_alone)
{
    struct leaks l;

    cr_assert_eq(leaks_find(x.p, NULL, NULL, &l), 0);
    cr_assert_eq(l.count, 0);
    leaks_release(&l);
}

Test(gc_shards, each_kind_of_leak_is_marked_by_one_cycle_and_goes_in_the_next)
{
    for (size_t i = 0; i < PLANTS; i++) {
        *planted = 0;
        plants[i].plant();
        cycle(0);
        cr_assert_eq(result.marked, 1, "%s: %llu", plants[i].what,
                     (unsigned long long)result.marked);
        cr_assert_eq(state_of(plants[i].kind), GC_MARKED, "%s", plants[i].what);
        cr_assert(!*planted || is_on("mem:cold", planted), "%s", plants[i].what);
        cycle(0);
        cr_assert_eq(result.collected, 1, "%s", plants[i].what);
        cr_assert(!*planted || !is_on("mem:cold", planted), "%s", plants[i].what);
        cycle(0);
        cr_assert_eq(result.held, result.active, "%s: nothing is left", plants[i].what);
    }
    said_clean();
}

Test(gc_shards, nothing_goes_before_its_grace)
{
    plant_file();
    cycle(GRACE);
    cycle(GRACE);
    cr_assert_eq(state_of(LEAK_SHARD_FILE), GC_UNREFERENCED);
    clock_manual_advance(&x.clock, GRACE);
    cycle(GRACE);
    cr_assert_eq(result.marked, 1);
    cr_assert(is_on("mem:cold", planted));
    cycle(GRACE);
    cr_assert(!is_on("mem:cold", planted));
}

Test(gc_shards, what_was_found_is_remembered_over_a_restart)
{
    plant_pack();
    cycle(0);
    fixture_reopen(&x);
    cycle(0);
    cr_assert_eq(result.collected, 1, "numbers of an earlier life are never on their way");
    cr_assert(!is_on("mem:cold", planted));
}

Test(gc_shards, a_row_without_live_records_goes_with_its_pack)
{
    const struct pack_entry none = {0};
    struct pack_entry e;
    uint64_t number = burnt_on(&x, 1);

    pack_name(number, planted);
    plant_name("mem:cold", planted, "a pack whose records died");
    cr_assert_eq(packs_count_in(x.p->packs, 1, number, 1, 10, 100), 0);
    cr_assert_eq(packs_count_out(x.p->packs, 1, number, 1, 10, &e), 0);
    cr_assert_eq(e.live_records, none.live_records);
    cr_assert_eq(flush_now(x.p), 0);
    cycle(0);
    cycle(0);
    cr_assert_eq(result.collected, 1);
    cr_assert(!is_on("mem:cold", planted));
    cr_assert_eq(packs_get(x.p->packs, 1, number, &e), -ENOENT);
    said_clean();
}

Test(gc_shards, a_dry_run_deletes_nothing)
{
    plant_file();
    cycle(0);
    cr_assert_eq(run(true, 0), 0);
    cr_assert_eq(result.collected, 1, "would be");
    cr_assert(is_on("mem:cold", planted));
}

Test(gc_shards, names_of_others_are_left_alone_and_counted)
{
    static const char *const names[] = {"packs/letter.txt", "objects/ab/readme",
                                        "packs/00000000000000ff.old"};
    for (size_t i = 0; i < 3; i++)
        plant_name("mem:cold", names[i], "not ours");
    cycle(0);
    cycle(0);
    cr_assert_eq(result.marked + result.collected, 0);
    cr_assert_eq(atomic_load(&x.p->gc->foreign), 3);
    for (size_t i = 0; i < 3; i++)
        cr_assert(is_on("mem:cold", names[i]), "%s", names[i]);
}

/* ---- shards that cannot be asked ---- */

static void judged_by_the_others_only(enum shard_mem_switch which)
{
    char there[sizeof planted];

    plant_file();
    memcpy(there, planted, sizeof there);
    cycle(0);
    cr_assert_eq(state_of(LEAK_SHARD_FILE), GC_MARKED);
    shard_mem_set(a.cold, which, true);
    pack_name(burnt_on(&x, 2), planted);
    plant_name("mem:cool", planted, "on the other shard");
    cycle(0);
    cr_assert_eq(result.marked, 1, "%d: the other shard's", which);
    cycle(0);
    cr_assert_eq(result.collected, 1, "%d: the other shard's", which);
    cr_assert(!is_on("mem:cool", planted));
    cr_assert_eq(result.kept[GC_KEEP_UNASKED], 1);
    cr_assert_eq(state_of(LEAK_SHARD_FILE), GC_MARKED, "%d: as it was", which);
    cr_assert_eq(atomic_load(&x.p->gc->shards_unreachable), 1);
    shard_mem_set(a.cold, which, false);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    (void)shards_look(x.p->shards);
    cr_assert(is_on("mem:cold", there));
    cycle(0);
    cr_assert_eq(result.collected, 1, "%d: now it is asked", which);
    cr_assert(!is_on("mem:cold", there));
    said_clean();
}

Test(gc_shards, of_a_shard_that_is_away_nothing_is_judged)
{
    judged_by_the_others_only(SHARD_MEM_UNREACHABLE);
}

Test(gc_shards, a_partial_listing_is_never_taken_for_a_whole_one)
{
    judged_by_the_others_only(SHARD_MEM_SHORT_LISTS);
}

Test(gc_shards, an_empty_mount_point_holds_nothing_and_says_nothing)
{
    judged_by_the_others_only(SHARD_MEM_DENIES);
}

/* What is unreferenced there stays so, and is not marked while nobody can be asked. */
Test(gc_shards, a_grace_goes_on_while_nobody_is_asked_but_nothing_is_marked)
{
    plant_file();
    cycle(GRACE);
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, true);
    clock_manual_advance(&x.clock, 2 * GRACE);
    cycle(GRACE);
    cr_assert_eq(state_of(LEAK_SHARD_FILE), GC_UNREFERENCED);
    cr_assert_eq(result.marked, 0);
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    (void)shards_look(x.p->shards);
    cycle(GRACE);
    cr_assert_eq(result.marked, 1);
}

Test(gc_shards, a_shard_that_was_removed_is_forgotten)
{
    char why[SHARD_WHY];
    struct move_result r;
    struct move *m;

    plant_file();
    cycle(0);
    cr_assert_eq(move_begin(x.p, NULL, 0, &m), 0);
    for (int i = 0; i < FILES / 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "main/f%d", i);
        cr_assert_eq(move_one(m, object_of(&x, path), NULL), 0);
    }
    cr_assert_eq(move_one(m, object_of(&x, "main/big0"), NULL), 0);
    cr_assert_eq(move_end(m, &r), 0);
    drained(&x);
    cr_assert_eq(shards_remove(x.p->shards, 1, why), 0, "%s", why);
    cycle(0);
    cr_assert_eq(state_of(LEAK_SHARD_FILE), GC_NONE);
    cr_assert(is_on("mem:cold", planted), "it is nobody's business now");
}

/* ---- in the middle of a cycle ---- */

static void go_away(struct away *w)
{
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
}
static void go_empty(struct away *w)
{
    shard_mem_set(w->cold, SHARD_MEM_DENIES, true);
}
static void go_short(struct away *w)
{
    shard_mem_set(w->cold, SHARD_MEM_SHORT_LISTS, true);
}
static void swap(struct away *w)
{
    shard_mem_swap(w->cold, w->cool);
}

static void heal(struct away *w, void (*what)(struct away *w), bool happened)
{
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    shard_mem_set(w->cold, SHARD_MEM_DENIES, false);
    shard_mem_set(w->cold, SHARD_MEM_SHORT_LISTS, false);
    if (what == swap && happened)
        shard_mem_swap(w->cold, w->cool);
    clock_manual_advance(&w->store.clock, 2 * NSEC_PER_SEC);
    (void)shards_look(w->store.p->shards);
}

/* At each call of the cycle that deletes: nothing but the leak may ever go, and that goes in the
 * end. */
static void at_each_call(void (*what)(struct away *w))
{
    bool happened = true;
    uint64_t n = 0;

    while (happened) {
        cr_assert_lt(++n, 200);
        plant_file();
        cycle(0);
        nth(&a, n, what);
        cycle(0);
        happened = a.until == 0;
        a.until = 0;
        heal(&a, what, happened);
        cr_assert(state_of(LEAK_SHARD_FILE) == GC_MARKED || !is_on("mem:cold", planted),
                  "%llu: it was not forgotten", (unsigned long long)n);
        files_are();
        for (int more = 0; more < 3; more++)
            cycle(0);
        cr_assert(!is_on("mem:cold", planted), "%llu", (unsigned long long)n);
    }
    cr_assert_gt(n, 5, "it happened %llu times", (unsigned long long)n - 1);
    said_clean();
}

Test(gc_shards, it_may_go_away_at_each_call)
{
    at_each_call(go_away);
}
Test(gc_shards, it_may_be_unmounted_at_each_call)
{
    at_each_call(go_empty);
}
Test(gc_shards, its_listing_may_be_short_at_each_call)
{
    at_each_call(go_short);
}
Test(gc_shards, it_may_be_swapped_at_each_call)
{
    at_each_call(swap);
}

/* ---- the second rope ---- */

/* A leak of the object file ID.N on that shard. */
static struct leak file_on(uint16_t shard, const struct id *id, uint64_t number)
{
    struct leak l = {.key = {{LEAK_SHARD_FILE, (uint8_t)(shard >> 8), (uint8_t)shard}}, .id = *id};

    memcpy(l.key.b + 3, id->b, 5);
    put_be64(l.key.b + 8, number);
    return l;
}

Test(gc_shards, of_what_an_earlier_cycle_found_nobody_says_that_it_is_not_needed)
{
    struct leaks l;

    plant_file();
    cr_assert_eq(leaks_find(x.p, NULL, NULL, &l), 0);
    cr_assert_eq(l.count, 1);
    cr_assert_eq(leak_look(x.p, &l.v[0]), 0);
    l.v[0].unknown = true;
    cr_assert_eq(leak_look(x.p, &l.v[0]), 1);
    cr_assert_eq(leak_remove(x.p, &l.v[0]), -EBUSY);
    leaks_release(&l);
}

Test(gc_shards, what_may_be_of_a_move_that_is_on_its_way_is_needed)
{
    struct move_result r = {0};
    struct leak on_its_way;
    struct move *m;

    cr_assert_eq(move_begin(x.p, NULL, 1, &m), 0);
    on_its_way = file_on(1, &stray, burnt_on(&x, 1));
    cr_assert_eq(leak_look(x.p, &on_its_way), 1);
    cr_assert_eq(leak_remove(x.p, &on_its_way), -EBUSY);
    cr_assert_eq(move_end(m, &r), 0);
    cr_assert_eq(leak_look(x.p, &on_its_way), 0);
}

/* Names on two shards may be equal: it is the one that the last commit names. */
Test(gc_shards, the_last_commit_needs_a_file_on_its_own_shard_alone)
{
    const uint64_t number = object_of(&x, "main/big0");
    const struct entry then = place_of(&x, "main/big0");
    const struct leak cold = file_on(1, &then.id, then.where),
                      cool = file_on(2, &then.id, then.where);
    struct entry now = then;

    cr_assert(then.kind == ENTRY_FILE && then.shard == 1);
    cr_assert_eq(leak_look(x.p, &cold), 1);
    cr_assert_eq(leak_look(x.p, &cool), 0);
    now.shard = 2; /* and not committed */
    cr_assert_eq(refs_relocate(x.p->refs, number, &then, &now), 0);
    cr_assert_eq(leak_look(x.p, &cold), 1);
    cr_assert_eq(leak_look(x.p, &cool), 1);
    cr_assert_eq(refs_relocate(x.p->refs, number, &now, &then), 0);
}

/* ---- beside moves ---- */

static void cycles(struct away *w)
{
    (void)w;
    for (int i = 0; i < 3; i++)
        cycle(0);
}

/* Home, and away again with cycles before the nth call: what is put and not committed stays. */
static bool move_beside(uint64_t n)
{
    bool met;

    send(&x, "f", 0, FILES / 2, 0);
    send(&x, "big", 0, 1, 0);
    drained(&x);
    nth(&a, n, cycles);
    cr_assert_eq(send(&x, "f", 0, FILES / 2, 1), FILES / 2);
    cr_assert_eq(send(&x, "big", 0, 1, 1), 1);
    met = a.until == 0;
    a.until = 0;
    drained(&x);
    files_are();
    return met;
}

Test(gc_shards, what_a_move_has_on_its_way_is_never_collected, .timeout = 120)
{
    uint64_t n = 1;

    while (move_beside(n)) {
        n += 1;
        cr_assert_lt(n, 400);
    }
    cr_assert_gt(n, 5, "cycles ran in the middle of moves, %llu times", (unsigned long long)n);
    said_clean();
}

/* Put, and not committed: the commit fails for good, and the daemon dies. */
Test(gc_shards, what_a_crash_between_put_and_commit_left_goes_in_two_cycles)
{
    uint64_t before = shard_mem_count(a.cool);
    struct move_result r;
    struct move *m;

    send(&x, "f", 0, FILES / 2, 0);
    send(&x, "big", 0, 1, 0);
    drained(&x);
    cr_assert_eq(move_begin(x.p, NULL, 2, &m), 0);
    for (int i = 0; i < FILES / 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "main/f%d", i);
        cr_assert_eq(move_one(m, object_of(&x, path), NULL), 0);
    }
    cr_assert_eq(move_one(m, object_of(&x, "main/big0"), NULL), 0);
    x.fault.fail_at = x.fault.writes + 1;
    x.fault.cut = true;
    x.fault.loss = FAULT_KEEP_ALL;
    (void)move_end(m, &r);
    cr_assert(fault_fired(&x.fault), "the commit was not cut off");
    down(&x);
    disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
    fixture_open(&x);
    cr_assert_gt(shard_mem_count(a.cool), before, "orphans");
    cycle(GRACE);
    cycle(GRACE);
    cr_assert_gt(shard_mem_count(a.cool), before, "never before their grace");
    clock_manual_advance(&x.clock, GRACE);
    cycle(GRACE);
    cr_assert_gt(result.marked, 0);
    cycle(GRACE);
    cr_assert_gt(result.collected, 0);
    files_are();
    said_clean();
}

/* ---- archives ---- */

Test(gc_shards, in_an_archive_nothing_is_listed_or_deleted)
{
    uint64_t deletes, lists;

    plant_pack();
    becomes_archive(&x, 1, "mem:cold");
    deletes = shard_mem_calls(a.cold, SHARD_MEM_DELETE);
    lists = shard_mem_calls(a.cold, SHARD_MEM_LIST);
    cr_assert_eq(shards_allow(x.p->shards, 1, UINT64_C(1) << 40), 0);
    for (int i = 0; i < 3; i++) {
        cycle(0);
        cr_assert_eq(result.marked + result.collected, 0);
    }
    cr_assert_eq(atomic_load(&x.p->gc->shards_unreachable), 0);
    cr_assert_eq(shard_mem_calls(a.cold, SHARD_MEM_DELETE), deletes);
    cr_assert_eq(shard_mem_calls(a.cold, SHARD_MEM_LIST), lists);
    cr_assert(is_on("mem:cold", planted));
    files_are();
}

/* What an earlier cycle found on the shard is not deleted in the archive that has its number. */
Test(gc_shards, what_was_found_before_does_not_go_in_an_archive)
{
    struct leaks l;

    plant_pack();
    cycle(0);
    cr_assert_eq(result.marked, 1);
    cr_assert_eq(leaks_find(x.p, NULL, NULL, &l), 0);
    cr_assert_eq(l.count, 1);
    becomes_archive(&x, 1, "mem:cold");
    cr_assert_eq(shards_allow(x.p->shards, 1, UINT64_C(1) << 40), 0);
    cr_assert_eq(leak_remove(x.p, &l.v[0]), -EPERM);
    leaks_release(&l);
    cycle(0);
    cycle(0);
    cr_assert(is_on("mem:cold", planted));
}

Test(gc_shards, records_that_no_ghost_in_an_archive_names_are_counted_out)
{
    plant_records();
    becomes_archive(&x, 1, "mem:cold");
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, true);
    cycle(0);
    cr_assert_eq(state_of(LEAK_SHARD_RECORDS), GC_MARKED);
    cycle(0);
    cr_assert_eq(result.collected, 1);
    shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    said_clean();
}

Test(gc_shards, a_row_of_an_archive_without_live_records_is_no_leak)
{
    becomes_archive(&x, 1, "mem:cold");
    cr_assert_eq(packs_count_in(x.p->packs, 1, 77, 1, 10, 100), 0);
    cr_assert_eq(packs_count_out(x.p->packs, 1, 77, 1, 10, NULL), 0);
    cr_assert_eq(flush_now(x.p), 0);
    cycle(0);
    cr_assert_eq(result.marked, 0);
}
