// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of GC cycles of a store alone: leaks are planted as failures and crashes would leave them,
 * and everything that is in use, or on its way, is there beside them.
 */
#include "append_plain.h"
#include "repair_fixture.h"

#include "disk_impl.h"
#include "gc_record.h"
#include "leaks.h"
#include "ns_drop.h"
#include "packs_impl.h"
#include "report.h"

/* How many records of cycles can be read. */
static uint64_t history_count(struct gc *gc)
{
    struct gc_record h;
    uint64_t n = 0;

    for (; gc_history_get(gc, n, &h) == 0; n++)
        free(h.ids);
    return n;
}

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
    populate(&x);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}
static void down_all(void)
{
    fixture_teardown(&x);
}
TestSuite(gc_store, .init = up, .fini = down_all);

/* ---- leaks ---- */

static void write_file(const char *name, const char *text)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(x.disk, name, DISK_WRITE | DISK_CREATE, &f), 0, "%s", name);
    cr_assert_eq(disk_pwrite(f, text, strlen(text), 0), 0);
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
}

static bool is_there(const char *name)
{
    struct disk_file *f;
    int err = disk_open(x.disk, name, DISK_READ, &f);

    if (err == 0)
        disk_file_close(f);
    return err == 0;
}

/* A number that was given and is nobody's. */
static uint64_t burnt(void)
{
    uint64_t number;

    cr_assert_eq(refs_new(x.p->refs, &number), 0);
    refs_cancel(x.p->refs, number);
    return number;
}

static const struct id stray = {{0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static char planted_name[DISK_NAME_MAX + 8];

static void plant_file(void)
{
    char sums[DISK_NAME_MAX + 16];

    blob_object_name(&stray, burnt(), planted_name);
    snprintf(sums, sizeof sums, "%s.sums", planted_name);
    write_file(planted_name, "an object that no entry names");
    write_file(sums, "and its sums");
}

static void plant_sums(void)
{
    char name[DISK_NAME_MAX + 1];

    blob_object_name(&stray, burnt(), name);
    snprintf(planted_name, sizeof planted_name, "%s.sums", name);
    write_file(planted_name, "sums alone");
}

static void plant_slot(void)
{
    blob_slot_name(burnt(), planted_name);
    write_file(planted_name, "a slot that nothing names");
}

static void plant_pack(void)
{
    pack_name(x.p->packs->next++, planted_name);
    write_file(planted_name, "a pack of which no commit knows");
}

static void plant_records(void)
{
    struct pack_place at;

    for (int i = 0; i < 3; i++)
        cr_assert_eq(append_plain(x.p->packs, &stray, "a record without entry", 22, &at), 0);
    cr_assert_eq(flush_now(x.p), 0);
}

/* A leaf whose items count, and which no root leads to. */
static void plant_page(void)
{
    struct tree t = {.pages = x.p->pages, .refs = x.p->refs};
    struct inode in = inode_of(&x, "main/file1");
    uint8_t buf[EXTENT_ITEM_LEN];

    extent_encode(&(struct extent){in.object, 5}, buf);
    cr_assert_eq(tree_put(&t, key_make(7, ITEM_EXTENT, 0), buf, sizeof buf), 0);
}

static void plant_entry(void)
{
    uint64_t number;

    cr_assert_eq(refs_new(x.p->refs, &number), 0);
}

static const struct {
    const char *what;
    void (*plant)(void);
    enum leak_kind kind;
} plants[] = {
    {"file", plant_file, LEAK_FILE},          {"sums", plant_sums, LEAK_FILE},
    {"slot", plant_slot, LEAK_SLOT},          {"pack", plant_pack, LEAK_PACK},
    {"records", plant_records, LEAK_RECORDS}, {"page", plant_page, LEAK_PAGE},
    {"entry", plant_entry, LEAK_ENTRY},
};
#define PLANTS (sizeof plants / sizeof *plants)

static void plant_all(void)
{
    for (size_t i = 0; i < PLANTS; i++)
        plants[i].plant();
}

/* ---- cycles ---- */

static struct gc_result result;

static int run(bool dry_run, int64_t grace)
{
    int err;

    gc_result_release(&result);
    err = gc_store_run(x.p, NULL, dry_run, grace, &result);
    return err;
}

static void cycle(int64_t grace)
{
    int err = run(false, grace);

    cr_assert_eq(err, 0, "%s", strerror(-err));
}

static uint64_t objects_counted(void)
{
    struct refs_stats s;

    refs_get_stats(x.p->refs, &s);
    return s.objects;
}

static struct gc_object_info info_of(enum leak_kind kind)
{
    struct gc_object_info info;
    struct id from = {{(uint8_t)kind}}, id;

    if (gc_next(x.p->gc->gc, &from, &id, &info) < 0 || leak_kind(&id) != kind)
        info = (struct gc_object_info){.state = GC_NONE};
    return info;
}

static void said_clean(void)
{
    struct findings f;

    gc_result_release(&result);
    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
}

/* ---- claims ---- */

Test(gc_store, a_sound_store_has_no_leak_and_counts_its_objects)
{
    uint64_t commits = x.fault.writes;

    cycle(0);
    cr_assert_eq(result.cycle, 1);
    cr_assert_eq(result.marked, 0);
    cr_assert_eq(result.active, objects_counted());
    cr_assert_eq(result.held, result.active);
    cycle(0);
    cr_assert_eq(result.cycle, 2);
    cr_assert_eq(result.eligible_count, 0);
    cr_assert_eq(x.fault.writes, commits, "cycles that find nothing write nothing");
    cr_assert_eq(history_count(x.p->gc->gc), 0);
    said_clean();
}

Test(gc_store, pinned_objects_are_counted_as_pinned)
{
    cr_assert_eq(state_pin(x.p, inode_of(&x, "main/file1").object, true), 0);
    cycle(0);
    cr_assert_eq(result.pinned, 1);
    cr_assert_eq(result.active, objects_counted() - 1);
}

Test(gc_store, each_kind_of_leak_is_marked_by_one_cycle_and_goes_in_the_next)
{
    for (size_t i = 0; i < PLANTS; i++) {
        *planted_name = 0;
        plants[i].plant();
        cycle(0);
        cr_assert_eq(result.marked, 1, "%s: %llu", plants[i].what,
                     (unsigned long long)result.marked);
        cr_assert_eq(result.collected, 0, "%s", plants[i].what);
        cr_assert_eq(leak_kind(&result.eligible[0]), plants[i].kind);
        cr_assert(!*planted_name || is_there(planted_name), "%s: nothing goes at once",
                  plants[i].what);
        cycle(0);
        cr_assert_eq(result.collected, 1, "%s", plants[i].what);
        cr_assert(!*planted_name || !is_there(planted_name), "%s", plants[i].what);
        cycle(0);
        cr_assert_eq(result.eligible_count, 0, "%s", plants[i].what);
    }
    said_clean();
}

Test(gc_store, all_at_once_and_the_grace_period_is_kept)
{
    plant_all();
    cycle(-1);
    cr_assert_eq(result.kept[GC_KEEP_GRACE], PLANTS);
    clock_manual_advance(&x.clock, 299 * NSEC_PER_SEC);
    cycle(-1);
    cr_assert_eq(result.marked, 0);
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    cycle(-1);
    cr_assert_eq(result.marked, PLANTS);
    cr_assert_eq(result.kept[GC_KEEP_NEW_MARK], PLANTS);
    cycle(-1);
    cr_assert_eq(result.collected, PLANTS);
    cr_assert_eq(atomic_load(&x.p->gc->leaks), 0);
    cr_assert_eq(atomic_load(&x.p->gc->leaked_bytes), 0);
    cr_assert_eq(history_count(x.p->gc->gc), 2);
    said_clean();
}

Test(gc_store, a_dry_run_changes_nothing_and_is_forgotten)
{
    uint64_t writes;

    plant_all();
    cr_assert_eq(flush_now(x.p), 0);
    writes = x.fault.writes;
    cr_assert_eq(run(true, 0), 0);
    cr_assert_eq(result.marked, PLANTS);
    cr_assert_eq(result.collected, 0);
    cr_assert_eq(x.fault.writes, writes);
    cr_assert_eq(info_of(LEAK_PAGE).state, GC_NONE);
    cycle(0);
    cr_assert_eq(run(true, 0), 0);
    cr_assert_eq(result.collected, PLANTS, "what would go");
    cycle(0);
    cr_assert_eq(result.collected, PLANTS);
    said_clean();
}

/* ---- what is in use ---- */

Test(gc_store, what_is_in_use_or_on_its_way_is_never_marked)
{
    struct vfs_file *slot, *unlinked;
    struct vfs_attr a, b;
    char *buf = calloc(1, 400000);

    memset(buf, 'x', 400000);
    cr_assert_eq(
        vfs_create(x.p, node_of(&x, "main"), "open", 0644, &fixture_cred, VFS_WRITE, &a, &slot), 0);
    cr_assert_eq(vfs_write(slot, buf, 400000, 0), 400000);
    cr_assert_eq(
        vfs_create(x.p, node_of(&x, "main"), "gone", 0644, &fixture_cred, VFS_WRITE, &b, &unlinked),
        0);
    memset(buf, 'y', 400000);
    cr_assert_eq(vfs_write(unlinked, buf, 400000, 0), 400000);
    remove_file(&x, "main/gone");
    put_big(&x, "main/new", 500000); /* a slot that is closed */
    remove_file(&x, "main/big");     /* shared by a branch */
    cr_assert_eq(flush_now(x.p), 0);
    put_big(&x, "other/later", 600000);
    for (int i = 0; i < 20; i++) {
        uint32_t open;
        char path[32];
        snprintf(path, sizeof path, "main/file%d", 100 + i);
        remove_file(&x, path); /* dying, and no commit has it */
        if (i == 10)
            cr_assert_eq(ns_drop(x.p, "same", true, false, false, &open), 0);
        cycle(0);
        cr_assert_eq(result.eligible_count, 0, "in round %d", i);
        clock_manual_advance(&x.clock, NSEC_PER_SEC);
    }
    memset(buf, 0, 400000);
    cr_assert_eq(vfs_read(unlinked, buf, 400000, 0), 400000);
    cr_assert_eq(buf[399999], 'y');
    cr_assert_eq(vfs_read(slot, buf, 400000, 0), 400000);
    cr_assert_eq(buf[399999], 'x');
    vfs_release(slot);
    vfs_release(unlinked);
    vfs_forget(x.p, a.nodeid, 1);
    vfs_forget(x.p, b.nodeid, 1);
    free(buf);
    said_clean();
}

/* A slot whose name outlives its seal until the commit: frames of the log speak of it. */
Test(gc_store, a_slot_stays_until_the_commit_that_has_its_object)
{
    uint64_t number;
    char name[DISK_NAME_MAX + 1];
    struct leak l = {.bytes = 0};
    struct entry e;

    put_big(&x, "main/sealed", 700000);
    number = inode_of(&x, "main/sealed").object;
    cr_assert_eq(seal_pass(x.p, SEAL_CLOSED, -1), 0);
    blob_slot_name(number, name);
    cr_assert(is_there(name));
    cr_assert_eq(refs_entry(x.p->refs, number, false, NULL, &e), 0);
    cr_assert_eq(e.kind, ENTRY_FILE);
    l.id = e.id;
    l.key.b[0] = LEAK_SLOT;
    put_be64(l.key.b + 8, number);
    cr_assert_eq(leak_is_needed(x.p, &l), 1);
    cr_assert_eq(leak_remove(x.p, &l), -EBUSY);
    l.key.b[0] = LEAK_FILE;
    cr_assert_eq(leak_is_needed(x.p, &l), 1);
    remove_file(&x, "main/sealed");
    cr_assert_eq(leak_is_needed(x.p, &l), 1, "dying");
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert(!is_there(name));
}

/* Bytes that the last commit names stay, whatever is in memory. */
Test(gc_store, what_the_last_commit_names_is_needed)
{
    struct inode in = inode_of(&x, "main/big");
    struct leak l = {.bytes = 0};
    struct entry e;

    cr_assert_eq(refs_entry(x.p->refs, in.object, false, NULL, &e), 0);
    cr_assert_eq(e.kind, ENTRY_FILE);
    l.key.b[0] = LEAK_FILE;
    put_be64(l.key.b + 8, e.where);
    refs_cancel(x.p->refs, in.object); /* as if memory had forgotten it without a trace */
    l.id = stray;
    cr_assert_eq(leak_is_needed(x.p, &l), 1, "by its number");
    put_be64(l.key.b + 8, e.where + 1);
    cr_assert_eq(leak_is_needed(x.p, &l), 0);
    l.id = e.id;
    put_be64(l.key.b + 8, e.where);
    cr_assert_eq(leak_is_needed(x.p, &l), 1, "by its id");
}

/* ---- what a cycle finds needed after all ---- */

Test(gc_store, one_that_is_needed_again_is_active_and_begins_anew)
{
    uint64_t number;

    cr_assert_eq(refs_new(x.p->refs, &number), 0);
    cycle(0);
    cr_assert_eq(info_of(LEAK_ENTRY).state, GC_MARKED);
    cr_assert_eq(refs_hold(x.p->refs, number), 0);
    cycle(0);
    cr_assert_eq(result.collected, 0);
    cr_assert_eq(info_of(LEAK_ENTRY).state, GC_ACTIVE);
    refs_unhold(x.p->refs, number);
    cycle(-1);
    cr_assert_eq(result.kept[GC_KEEP_GRACE], 1, "its grace begins anew");
    cycle(0);
    cycle(0);
    cr_assert_eq(result.collected, 1);
    said_clean();
}

/* ---- restarts ---- */

Test(gc_store, times_and_marks_outlive_a_restart)
{
    int64_t since;

    plant_page();
    plant_records();
    plant_entry();
    cycle(-1);
    since = info_of(LEAK_PAGE).since;
    clock_manual_advance(&x.clock, 200 * NSEC_PER_SEC);
    fixture_reopen(&x);
    cr_assert_eq(info_of(LEAK_PAGE).state, GC_UNREFERENCED);
    cr_assert_eq(info_of(LEAK_PAGE).since, since);
    clock_manual_advance(&x.clock, 100 * NSEC_PER_SEC);
    cycle(-1);
    cr_assert_eq(result.marked, 3, "the time before counts");
    uint64_t serial = gc_serial(x.p->gc->gc), cycles = gc_cycles(x.p->gc->gc);
    fixture_reopen(&x);
    cr_assert_eq(info_of(LEAK_PAGE).state, GC_MARKED);
    cr_assert_eq(info_of(LEAK_PAGE).since, since);
    cr_assert_eq(gc_serial(x.p->gc->gc), serial);
    cr_assert_eq(gc_cycles(x.p->gc->gc), cycles);
    cr_assert_eq(history_count(x.p->gc->gc), 1);
    cycle(-1);
    cr_assert_eq(result.collected, 3);
    cr_assert_eq(result.cycle, cycles + 1);
    fixture_reopen(&x);
    cycle(-1);
    cr_assert_eq(result.eligible_count, 0);
    cr_assert_eq(history_count(x.p->gc->gc), 2);
    said_clean();
}

Test(gc_store, a_clock_that_went_back_gives_no_time_to_come)
{
    struct gc_object_info info;

    plant_page();
    cycle(-1);
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    atomic_fetch_sub(&x.clock.now, 500 * NSEC_PER_SEC);
    fixture_open(&x);
    info = info_of(LEAK_PAGE);
    cr_assert_eq(info.state, GC_UNREFERENCED);
    cr_assert_leq(info.since, clock_now(&x.clock.base));
}

Test(gc_store, the_history_keeps_its_last_cycles)
{
    struct gc_record r;

    for (unsigned i = 0; i < GC_HISTORY_MAX + 6; i++) {
        plant_entry();
        cycle(0);
    }
    fixture_reopen(&x);
    cr_assert_eq(history_count(x.p->gc->gc), GC_HISTORY_MAX);
    cr_assert_eq(gc_history_get(x.p->gc->gc, 0, &r), 0);
    cr_assert_eq(r.cycle, GC_HISTORY_MAX + 6);
    cr_assert_eq(r.preserved, objects_counted());
    free(r.ids);
    cr_assert_eq(gc_history_get(x.p->gc->gc, GC_HISTORY_MAX - 1, &r), 0);
    cr_assert_eq(r.cycle, 7);
    free(r.ids);
}

/* ---- damage ---- */

static void flip_record(size_t klen, size_t byte)
{
    const void *key = NULL, *val;
    size_t len, got = 0;
    struct kv *kv;
    struct kv_snap *s;
    uint8_t at[64];

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(kv_snap_begin(kv, &s), 0);
    while (got != klen) {
        cr_assert_eq(kv_snap_seek(s, TABLE_GC, key, got, got > 0, &key, &got, &val, &len), 0);
        memcpy(at, key, got);
    }
    kv_snap_end(s);
    kv_close(kv);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_GC, at, klen, byte, 3), 0);
}

Test(gc_store, a_damaged_memory_is_named_and_nothing_is_deleted_until_it_is_repaired)
{
    static const size_t keys[] = {1, ID_LEN, 9};
    struct findings f;
    struct said s;

    plant_entry();
    cycle(0);
    gc_result_release(&result);
    down_clean(&x);
    for (size_t i = 0; i < 3; i++) {
        flip_record(keys[i], 17);
        fixture_open(&x);
        cr_assert_eq(run(false, 0), -EUCLEAN);
        refused(&x, "gc wait", -EUCLEAN, "damaged");
        agreed(&x, "status", "damaged=1");
        agreed(&x, "node list", "nodes=1");
        down(&x);
        examine(&x, &f);
        is_only(&f, "gc", "the table");
        flip_record(keys[i], 17);
    }
    flip_record(1, 9);
    cr_assert_eq(try_repair(&x, 0, &s), 0);
    cr_assert(strstr(s.repaired, "gc|the table|"), "%s", s.repaired);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    fixture_open(&x);
    cycle(0);
    cr_assert_eq(result.marked, 1);
    cycle(0);
    cr_assert_eq(result.collected, 1);
    said_clean();
}

Test(gc_store, damage_that_could_hide_who_needs_something_ends_the_cycle)
{
    struct found at;

    plant_all();
    cycle(0);
    gc_result_release(&result);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    pick(&x, TABLE_PAGES, an_inner, &at);
    flip(&x, TABLE_PAGES, &at, 4000, 1);
    cr_assert_eq(run(false, 0), -EUCLEAN);
    flip(&x, TABLE_PAGES, &at, 4000, 1);
    pick(&x, TABLE_OBJECTS, in_file, &at);
    flip(&x, TABLE_OBJECTS, &at, 0, 6);
    cr_assert_eq(run(false, 0), -EUCLEAN);
    flip(&x, TABLE_OBJECTS, &at, 0, 6);
    cr_assert_eq(info_of(LEAK_PAGE).state, GC_MARKED, "nothing was changed");
    cycle(0);
    cr_assert_eq(result.collected, PLANTS);
}

/* ---- errors ---- */

static struct disk_ops failing;
static const struct disk_ops *whole;
static unsigned lists, fail_list, fail_entry, entries;

static int entry_or_error(const char *name, void *ctx)
{
    disk_list_fn *fn = ((void **)ctx)[0];

    if (lists == fail_list && ++entries > fail_entry)
        return -EIO;
    return fn(name, ((void **)ctx)[1]);
}

/* The `fail_list`-th listing fails, after `fail_entry` names. */
static int list_or_error(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    int err;

    lists++;
    entries = 0;
    err = whole->list(d, name, entry_or_error, (void *[]){(void *)fn, ctx});
    return lists == fail_list ? -EIO : err;
}

Test(gc_store, an_error_in_any_listing_ends_the_cycle_without_deleting)
{
    plant_all();
    cycle(0);
    whole = x.disk->ops;
    failing = *whole;
    failing.list = list_or_error;
    x.disk->ops = &failing;
    for (unsigned i = 1; i <= 258; i++) {
        lists = 0;
        fail_list = i;
        fail_entry = i % 2;
        cr_assert_eq(run(false, 0), -EIO, "listing %u", i);
        cr_assert_eq(result.collected, 0);
        cr_assert(is_there(planted_name));
        cr_assert_eq(info_of(LEAK_PAGE).state, GC_MARKED);
        cr_assert_eq(info_of(LEAK_FILE).state, GC_MARKED, "a partial listing is no whole one");
    }
    lists = 0;
    fail_list = 259;
    cycle(0);
    cr_assert_eq(lists, 258, "there are no more");
    cr_assert_eq(result.collected, PLANTS);
    x.disk->ops = whole;
    said_clean();
}

static int no_unlink(struct disk *d, const char *name)
{
    (void)d;
    (void)name;
    return -EIO;
}

Test(gc_store, what_cannot_be_deleted_is_tried_again)
{
    plant_file();
    plant_slot();
    plant_pack();
    cycle(0);
    whole = x.disk->ops;
    failing = *whole;
    failing.unlink = no_unlink;
    x.disk->ops = &failing;
    cycle(0);
    cr_assert_eq(result.kept[GC_KEEP_FAILED], 3);
    cr_assert_eq(result.collected, 0);
    x.disk->ops = whole;
    cycle(0);
    cr_assert_eq(result.collected, 3);
    said_clean();
}

Test(gc_store, marks_that_cannot_be_remembered_do_not_count)
{
    plant_entry();
    cr_assert_eq(flush_now(x.p), 0);
    x.fault.fail_at = x.fault.writes + 1;
    x.fault.error = ENOSPC;
    cr_assert_eq(run(false, 0), -ENOSPC);
    x.fault.fail_at = 0;
    cr_assert_eq(info_of(LEAK_ENTRY).state, GC_NONE);
    cycle(0);
    cr_assert_eq(result.marked, 1);
    cr_assert_eq(result.serial, 2, "a serial is never used again");
}

/* ---- power loss ---- */

static void lose_power(enum fault_loss loss)
{
    store_abandon(x.p);
    kv_close(x.kv);
    x.fault.loss = loss;
    disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
    fixture_open(&x);
}

/* Until it ends by itself. */
static unsigned cut_two_cycles(uint64_t at, enum fault_loss loss)
{
    bool cut;

    plant_all();
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    x.fault.seed = at * 2654435761u + 1;
    x.fault.cut = true;
    x.fault.fail_at = x.fault.writes + at;
    for (int i = 0; i < 2; i++) {
        gc_result_release(&result);
        (void)gc_store_run(x.p, NULL, false, 0, &result);
    }
    gc_result_release(&result);
    cut = fault_is_cut(&x.fault);
    lose_power(loss);
    read_file(&x, "main/file1", "content 0");
    read_file(&x, "other/file1", "another content");
    for (int i = 0; i < 3; i++)
        cycle(0);
    cr_assert_eq(result.eligible_count, 0);
    said_clean();
    return cut;
}

Test(gc_store, cycles_cut_at_every_write_lose_nothing_and_find_all_again)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_KEEP_ALL, FAULT_LOSE_SOME};

    for (unsigned i = 0; i < 3; i++) {
        uint64_t at = 1;

        for (; cut_two_cycles(at, losses[i]); at++)
            cr_assert_lt(at, 500);
        cr_assert_gt(at, 5, "only %llu writes", (unsigned long long)at);
    }
}

/* ---- verbs and views ---- */

Test(gc_store, the_verb_says_what_a_cycle_did)
{
    plant_entry();
    agreed(&x, "gc dry-run grace=0s wait", "ok cycle=1 marked=1 collected=0 active=");
    agreed(&x, "gc grace=0s wait",
           " pinned=0 kept_grace=0 kept_stale_node=0 kept_new_mark=1 kept_unacknowledged=0 "
           "kept_in_use=0 kept_failed=0 kept_unasked=0 stale_nodes=0 job=2\n");
    agreed(&x, "status", "gc          cycles=1 leaks=1 ");
    agreed(&x, "gc wait", "cycle=2 marked=0 collected=1 ");
    refused(&x, "gc now", -EINVAL, "dry-run");
    refused(&x, "gc grace=soon", -EINVAL, "duration");
    agreed(&x, "set min_nodes_reporting 2", "ok");
    agreed(&x, "gc wait", "cycle=3 marked=0 collected=0 active=0 pinned=0 ");
}

Test(gc_store, a_trial_run_names_the_first_of_what_it_would_collect)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char reply[4096];

    plant_entry();
    cr_assert_gt(say(&x, "gc dry-run grace=0 wait", reply), 0);
    cr_assert(strstr(reply, "marked=1 ") && strstr(reply, "\n| object number "), "%s", reply);
    cr_assert_not(strstr(reply, " more\n"), "%s", reply);
    for (unsigned i = 0; i < 25; i++)
        plant_slot();
    cr_assert_gt(say(&x, "gc dry-run grace=0 wait", reply), 0);
    cr_assert(strstr(reply, "\n| slots/0000"), "%s", reply);
    cr_assert(strstr(reply, "\n| and 6 more\n"), "%s", reply);
    cr_assert_eq(view_job(x.p, 2, &text), 0);
    cr_assert(strstr(text.s, "\nwould_collect=slots/0000"), "%s", text.s);
    agreed(&x, "gc wait", " kept_grace=26 ");
    cr_assert_gt(say(&x, "gc dry-run wait", reply), 0);
    cr_assert_not(strstr(reply, "\n| "), "nothing is due: %s", reply);
}

Test(gc_store, an_object_left_behind_says_since_when)
{
    char hex[ID_HEX + 1], line[80];

    id_to_hex(&stray, hex);
    snprintf(line, sizeof line, "object %s", hex);
    agreed(&x, line, "state=none since=never nodes=0");
    plant_file();
    cycle(-1);
    agreed(&x, line, "state=unreferenced since=1970-01-01T00:16:40Z nodes=0");
    cycle(0);
    agreed(&x, line, "state=marked since=1970-01-01T00:16:40Z nodes=0");
    cycle(0);
    agreed(&x, line, "state=none since=never");
}

Test(gc_store, nodes_are_listed_and_this_one_is_not_retired)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char line[80];

    agreed(&x, "node list", "state=alone serial=0 ");
    cycle(0);
    agreed(&x, "node list", "state=reporting serial=1 ack=0 age_seconds=0 own=yes reported=1970-");
    cr_assert_eq(view_nodes(x.p, &text, NULL), 0);
    cr_assert_eq(strncmp(text.s, "node=", 5), 0);
    snprintf(line, sizeof line, "node retire %llu", (unsigned long long)x.p->gc->node);
    refused(&x, line, -EBUSY, "is this store, which is never stale");
    refused(&x, "node retire 7", -ENOENT, "no node 7");
    refused(&x, "node retire", -EINVAL, "usage: node list");
    refused(&x, "node retire x", -EINVAL, "number of a node");
    agreed(&x, "node prune", "ok retired=0");
}

Test(gc_store, the_history_names_what_was_eligible)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    plant_all();
    cycle(0);
    cr_assert_eq(view_gc_history(x.p, &text), 0);
    cr_assert_eq(strncmp(text.s, "cycle=1 time=1970-01-01T00:16:40Z eligible=7 collected=0 ", 56),
                 0, "%s", text.s);
    cr_assert(strstr(text.s, "\n  objects/ab/ab010203040506"), "%s", text.s);
    cr_assert(strstr(text.s, "\n  page "), "%s", text.s);
}

static void history_has(const char *part)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    cr_assert_eq(view_gc_history(x.p, &text), 0);
    cr_assert(strstr(text.s, part), "%s", text.s);
}

Test(gc_store, the_history_names_files_by_whole_ids_also_after_a_remount)
{
    plant_file();
    cycle(0);
    history_has(planted_name);
    fixture_reopen(&x); /* the start removes the file */
    history_has(planted_name);
    cr_assert(strstr(planted_name, "ab0102030405060708090a0b0c0d0e0f."), "%s", planted_name);
}

Test(gc_store, a_history_of_before_whole_ids_is_shown_as_it_is)
{
    struct gc_record r;

    plant_file();
    cycle(0);
    cr_assert_eq(gc_history_get(x.p->gc->gc, 0, &r), 0);
    r.whole = NULL;
    r.cycle = 7;
    cr_assert_eq(gc_record_save(x.kv, gc_serial(x.p->gc->gc), 7, NULL, 0, &r), 0);
    free(r.ids);
    fixture_reopen(&x);
    history_has("cycle=7 ");
    history_has("\n  objects/ab/ab010203040506….");
    history_has(planted_name); /* of the first cycle */
}

Test(gc_store, a_cycle_that_deleted_something_says_so_once)
{
    char recent[8][REPORT_TEXT];

    plant_entry();
    plant_slot();
    report_reset();
    cycle(0);
    cr_assert_eq(report_recent(REPORT_NOTE, recent, 8), 0, "%s", recent[0]);
    cycle(0);
    cr_assert_eq(result.collected, 2);
    cr_assert_eq(report_recent(REPORT_NOTE, recent, 8), 1);
    cr_assert(strstr(recent[0], "gc: cycle 2 deleted 2 of what nothing needs"), "%s", recent[0]);
    cycle(0);
    cr_assert_eq(report_recent(REPORT_NOTE, recent, 8), 1);
}

/* ---- two of them ---- */

/* Three records that no entry names, in a pack with three that files have. The cycle that gives
 * them up finds the disk full at its write number `at`. False: it came to its end. */
static bool give_up_fails_at(uint64_t at)
{
    struct pack_place place;
    bool failed;

    for (int i = 0; i < 3; i++)
        cr_assert_eq(append_plain(x.p->packs, &stray, "0123456789", 10, &place), 0);
    put_file(&x, "main/r1", "abcdefghi1");
    put_file(&x, "main/r2", "abcdefghi2");
    put_file(&x, "main/r3", "abcdefghi3");
    cr_assert_eq(flush_now(x.p), 0);
    cycle(0);
    cr_assert_eq(result.marked, 1);
    x.fault.error = ENOSPC;
    x.fault.fail_at = x.fault.writes + at;
    (void)run(false, 0);
    failed = fault_fired(&x.fault);
    x.fault.fail_at = 0;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(run(false, 0), 0);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    fixture_reopen(&x);
    read_file(&x, "main/r1", "abcdefghi1");
    read_file(&x, "main/r3", "abcdefghi3");
    return failed;
}

Test(gc_store, records_are_given_up_once_however_often_the_disk_is_full)
{
    uint64_t at = 1;

    for (; give_up_fails_at(at); at++) {
        gc_result_release(&result);
        fixture_teardown(&x);
        fixture_setup(&x);
        cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    }
    cr_assert_gt(at, 1, "nothing failed");
}

static unsigned met;

static void *run_beside(void *arg)
{
    struct gc_result r;

    met += gc_store_run(x.p, NULL, false, 0, &r) == -EBUSY;
    gc_result_release(&r);
    return arg;
}

/* Lists, and meanwhile another thread asks for a cycle. */
static int list_beside(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    pthread_t other;

    lists++;
    cr_assert_eq(pthread_create(&other, NULL, run_beside, NULL), 0);
    cr_assert_eq(pthread_join(other, NULL), 0);
    return whole->list(d, name, fn, ctx);
}

Test(gc_store, two_at_once_are_one)
{
    plant_all();
    cycle(0);
    whole = x.disk->ops;
    failing = *whole;
    failing.list = list_beside;
    x.disk->ops = &failing;
    cycle(0);
    x.disk->ops = whole;
    cr_assert_gt(lists, 100, "of the cycle");
    cr_assert_eq(met, lists);
    cr_assert_eq(result.collected, PLANTS);
    read_file(&x, "main/file1", "content 0");
    said_clean();
}

Test(gc_store, a_second_one_is_refused_until_the_first_has_settled)
{
    atomic_store(&x.p->gc->running, true);
    cr_assert_eq(run(false, 0), -EBUSY);
    atomic_store(&x.p->gc->running, false);
    cr_assert_eq(run(false, 0), 0);
}
