// SPDX-License-Identifier: Apache-2.0
/*
 * test_held: claims of held.h: what finds a place neither in packs nor in slots is kept by the
 * commit, which has all else; it survives the loss of power, and goes from there once it is sealed.
 */
#include "picky.h"
#include "check_fixture.h"
#include "repair_fixture.h"
#include "report.h"

#define SOME ((size_t)100 * 1024) /* bytes of a file below pack_limit */

static struct fixture x;

/* Neither in packs nor in slots. */
static void no_place(int err)
{
    picky_refuse("packs/", err);
    picky.also = "slots/";
}

static void places(void)
{
    picky_refuse("", 0);
}

static void up(void)
{
    fixture_setup(&x);
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(picky_open(&x), 0);
    places();
}

static void gone(void)
{
    places();
    if (!x.p) /* a check had it */
        fixture_open(&x);
    fixture_teardown(&x);
}
TestSuite(held, .init = up, .fini = gone);

static void dies(enum fault_loss loss)
{
    down(&x);
    x.fault.loss = loss;
    x.fault.seed = 7;
    if (loss != FAULT_KEEP_ALL)
        disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
}

static void up_again(void)
{
    cr_assert_eq(picky_open(&x), 0);
}

static uint64_t rows(void)
{
    struct kv_snap *s;
    uint64_t n;

    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    cr_assert_eq(kv_snap_count(s, TABLE_UNSEALED, &n), 0);
    kv_snap_end(s);
    return n;
}

static bool all_committed(void)
{
    MUTEX_GUARD(&x.p->flush->lock);
    return x.p->flush->durable_seq == atomic_load(&x.p->seq);
}

static uint64_t commits(void)
{
    MUTEX_GUARD(&x.p->flush->lock);
    return x.p->flush->commits;
}

static void commit(void)
{
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert(all_committed());
}

static void write_at(const char *path, uint64_t off, const char *text)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, text, strlen(text), off), (ssize_t)strlen(text));
    vfs_release(f);
}

static void cut_to(const char *path, uint64_t size)
{
    struct vfs_attr in = {.size = size}, a;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, path), VFS_SET_SIZE, &in, &a), 0);
}

static void put_some(const char *path, char fill, size_t len)
{
    char *buf = malloc(len + 1);

    memset(buf, fill, len);
    buf[len] = '\0';
    put_file(&x, path, buf);
    free(buf);
}

static uint64_t object_of(const char *path)
{
    struct inode in;
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, ino_of(&x, path), &in), 0);
    ns_put(x.p, ns);
    return in.object;
}

/* ---- others go on ---- */

Test(held, what_finds_no_place_at_all_holds_no_commit_and_survives_the_loss_of_power)
{
    put_file(&x, "main/poor", "one");
    make_dir(&x, "main/dir");
    no_place(-EIO);
    commit();
    cr_assert_eq(rows(), 1);
    read_file(&x, "main/poor", "one");
    agreed(&x, "status", "what cannot be sealed (Input/output error) is used by main/poor");
    cr_assert_eq(vfs_rename(x.p, node_of(&x, "main"), "poor", node_of(&x, "main/dir"), "rich", 0,
                            &fixture_cred),
                 0);
    agreed(&x, "status", "what cannot be sealed (Input/output error) is used by main/dir/rich");
    cr_assert_eq(vfs_rename(x.p, node_of(&x, "main/dir"), "rich", node_of(&x, "main"), "poor", 0,
                            &fixture_cred),
                 0);
    agreed(&x, "status", "state=degraded");
    agreed(&x, "drain", "seq=");
    refused(&x, "drain idle", -EIO, "is used by main/poor");
    dies(FAULT_LOSE_ALL);
    up_again();
    read_file(&x, "main/poor", "one");
    cr_assert(node_of(&x, "main/dir"));
}

Test(held, so_does_what_finds_no_descriptors)
{
    put_file(&x, "main/poor", "one");
    no_place(-EMFILE);
    commit();
    cr_assert_eq(rows(), 1);
    places();
    commit();
    cr_assert_eq(rows(), 0);
    read_file(&x, "main/poor", "one");
}

Test(held, it_goes_with_the_commit_that_has_it_sealed)
{
    put_file(&x, "main/poor", "one");
    no_place(-EIO);
    commit();
    places();
    commit();
    cr_assert_eq(rows(), 0);
    cr_assert_eq(stuck_count(x.p), 0);
    agreed(&x, "status", "state=ok");
    dies(FAULT_LOSE_ALL);
    up_again();
    read_file(&x, "main/poor", "one");
}

Test(held, after_a_clean_end_it_is_tried_again_too)
{
    put_file(&x, "main/poor", "one");
    no_place(-EIO);
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    up_again();
    cr_assert_eq(rows(), 1);
    read_file(&x, "main/poor", "one");
    commit();
    cr_assert_eq(rows(), 1, "still");
    places();
    commit();
    cr_assert_eq(rows(), 0);
    read_file(&x, "main/poor", "one");
}

Test(held, what_is_written_to_it_later_is_in_the_log_and_then_in_the_next_commit)
{
    put_file(&x, "main/poor", "one");
    no_place(-EIO);
    commit();
    write_at("main/poor", 3, "two");
    cr_assert_eq(flush_sync(x.p), 0);
    dies(FAULT_LOSE_ALL);
    up_again();
    read_file(&x, "main/poor", "onetwo");
    write_at("main/poor", 0, "ONE");
    commit();
    dies(FAULT_LOSE_ALL);
    up_again();
    read_file(&x, "main/poor", "ONEtwo");
    cut_to("main/poor", 4);
    commit();
    dies(FAULT_LOSE_ALL);
    up_again();
    read_file(&x, "main/poor", "ONEt");
    cr_assert_eq(rows(), 1);
}

Test(held, one_that_outgrows_its_buffer_is_a_slot_from_then_on)
{
    put_file(&x, "main/poor", "one");
    no_place(-EIO);
    commit();
    places();
    cut_to("main/poor", 300 * 1024);
    write_at("main/poor", 200 * 1024, "two");
    cr_assert_eq(flush_sync(x.p), 0);
    dies(FAULT_LOSE_ALL);
    up_again();
    cr_assert_eq(try_read(&x, "main/poor"), 300 * 1024);
    commit();
    cr_assert_eq(rows(), 0);
}

Test(held, it_goes_with_its_file)
{
    put_file(&x, "main/poor", "one");
    no_place(-EIO);
    commit();
    remove_file(&x, "main/poor");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(rows(), 0);
    agreed(&x, "status", "state=ok");
}

/* ---- bounds ---- */

#define TOO_MANY (HELD_MAX / SOME + 1)

static void put_too_many(void)
{
    char name[32];

    for (unsigned i = 0; i < TOO_MANY; i++) {
        snprintf(name, sizeof name, "main/poor%u", i);
        put_some(name, (char)(1 + i % 127), SOME);
    }
}

Test(held, beyond_the_limit_no_commit_comes_and_a_file_is_named)
{
    put_too_many();
    no_place(-EIO);
    cr_assert_eq(flush_now(x.p), -EIO);
    cr_assert_eq(rows(), 0);
    refused(&x, "drain", -EIO, "is used by main/poor");
    refused(&x, "flush", -EIO, "not all could be made durable: content ");
    refused(&x, "flush", -EIO, " cannot be sealed (Input/output error); it is used by main/poor");
    remove_file(&x, "main/poor0");
    commit();
    cr_assert_eq(rows(), TOO_MANY - 1);
    places();
    commit();
    cr_assert_eq(rows(), 0);
}

Test(held, those_that_are_kept_slow_nobody)
{
    char name[32];

    agreed(&x, "set buffers 1M", "");
    no_place(-EIO);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "main/poor%u", i);
        put_some(name, 'a', SOME + i);
    }
    commit();
    uint64_t before = commits();
    for (unsigned i = 0; i < 20; i++)
        write_at("main/poor0", 0, "other");
    cr_assert_eq(commits(), before);
}

/* ---- power goes ---- */

static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_KEEP_ALL, FAULT_LOSE_SOME,
                                         FAULT_LOSE_ONE, FAULT_KEEP_ONE};

static void has_all_and_is_sound(void)
{
    struct findings f;

    places();
    up_again();
    read_file(&x, "main/poor", "one");
    read_file(&x, "main/well", "well");
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    cr_assert_eq(rows(), 0);
    down(&x);
    is_clean(&x, &f);
}

/* The power goes at the n-th change of the disk or the tables of `step`. False: there are fewer. */
static bool is_cut_in(void (*step)(void), uint64_t n, enum fault_loss loss)
{
    bool cut;

    x.fault.fail_at = atomic_load(&x.fault.writes) + n;
    x.fault.cut = true;
    step();
    cut = fault_is_cut(&x.fault);
    x.fault.fail_at = 0;
    dies(loss);
    return cut;
}

static void try_flush(void)
{
    (void)flush_now(x.p);
}

static void put_both(void)
{
    no_place(-EIO);
    put_file(&x, "main/poor", "one");
    put_file(&x, "main/well", "well");
    cr_assert_eq(flush_sync(x.p), 0);
}

static void put_and_commit(void)
{
    put_both();
    commit();
    places();
}

static void cut_everywhere(void (*before)(void), void (*step)(void), uint64_t least)
{
    for (size_t l = 0; l < sizeof losses / sizeof *losses; l++) {
        uint64_t n = 0;
        bool cut = true;
        while (cut) {
            n++;
            before();
            cut = is_cut_in(step, n, losses[l]);
            has_all_and_is_sound();
            fixture_open(&x);
            gone();
            up();
        }
        cr_assert_gt(n, least, "only %d writes were cut", (int)n - 1);
    }
}

Test(held, wherever_the_commit_that_keeps_it_is_cut_nothing_is_lost)
{
    cut_everywhere(put_both, try_flush, 1);
}

Test(held, wherever_the_commit_that_has_it_sealed_is_cut_nothing_is_lost)
{
    cut_everywhere(put_and_commit, try_flush, 3);
}

/* A commit that fails is made again, with what changed meanwhile. */
Test(held, a_commit_that_failed_has_it_the_next_time)
{
    bool failed = true;
    uint64_t n, refused = 0;

    for (n = 1; failed; n++) { /* until a flush has fewer writes */
        cr_assert_lt(n, 60);
        no_place(-EIO);
        put_file(&x, "main/poor", "one");
        x.fault.error = ENOSPC;
        x.fault.fail_at = atomic_load(&x.fault.writes) + n;
        int err = flush_now(x.p);
        failed = atomic_load(&x.fault.writes) >= x.fault.fail_at;
        x.fault.fail_at = 0;
        cr_assert(failed || err == 0, "write %llu: %d", (unsigned long long)n, err);
        refused += err != 0;
        write_at("main/poor", 0, "two");
        commit();
        dies(FAULT_LOSE_ALL);
        up_again();
        read_file(&x, "main/poor", "two");
        gone();
        up();
    }
    cr_assert_gt(refused, 0, "no commit failed");
}

/* ---- damage ---- */

static uint64_t put_and_go_down(void)
{
    uint64_t number;

    put_file(&x, "main/well", "well");
    commit();
    cr_assert_eq(packs_retire_current(x.p->packs), 0);
    put_file(&x, "main/poor", "one");
    no_place(-EIO);
    commit();
    cr_assert_eq(rows(), 1);
    number = object_of("main/poor");
    down(&x);
    return number;
}

static void change(unsigned table, uint64_t number, const void *val, size_t len)
{
    struct kv_txn *t;
    struct kv *kv;
    uint8_t key[8];

    put_be64(key, number);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    if (val)
        cr_assert_eq(kv_put(t, table, key, sizeof key, val, len), 0);
    else
        cr_assert_eq(kv_del(t, table, key, sizeof key), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(kv);
}

static void flip_row(uint64_t number)
{
    uint8_t key[8];

    put_be64(key, number);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_UNSEALED, key, sizeof key, 1, 3), 0);
}

Test(held, a_check_finds_a_sound_one_sound)
{
    struct findings f;

    (void)put_and_go_down();
    is_clean(&x, &f);
}

/* Its file says so; others, and commits, go on. */
static void only_poor_is_damaged(uint64_t number)
{
    struct findings f;
    char where[40];

    snprintf(where, sizeof where, "object number %llu", (unsigned long long)number);
    examine(&x, &f);
    cr_assert(strstr(f.text, "held|"), "%s", f.text);
    cr_assert(strstr(f.text, where), "%s", f.text);
    places();
    up_again();
    cr_assert_eq(try_read(&x, "main/poor"), -EUCLEAN);
    read_file(&x, "main/well", "well");
    put_file(&x, "main/other", "other");
    commit();
    agreed(&x, "scrub wait", "unsealed content 2 is used by main/poor");
    remove_file(&x, "main/poor");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(rows(), 0);
    down(&x);
    is_clean(&x, &f);
}

Test(held, a_damaged_row_is_its_files_matter)
{
    uint64_t number = put_and_go_down();

    flip_row(number);
    only_poor_is_damaged(number);
}

Test(held, so_is_one_of_another_length)
{
    uint64_t number = put_and_go_down();

    change(TABLE_UNSEALED, number, "on", 2);
    only_poor_is_damaged(number);
}

Test(held, so_is_a_missing_one)
{
    uint64_t number = put_and_go_down();

    change(TABLE_UNSEALED, number, NULL, 0);
    only_poor_is_damaged(number);
}

/* Its number. */
static uint64_t poor_in_the_log(void)
{
    uint64_t number;

    put_file(&x, "main/poor", "one");
    no_place(-EIO);
    commit();
    number = object_of("main/poor");
    write_at("main/poor", 0, "two");
    cut_to("main/poor", 2);
    put_file(&x, "main/well", "well");
    cr_assert_eq(flush_sync(x.p), 0);
    dies(FAULT_LOSE_ALL);
    return number;
}

Test(held, what_the_log_has_for_a_damaged_one_keeps_nobody_from_a_mount)
{
    flip_row(poor_in_the_log());
    up_again();
    cr_assert_eq(try_read(&x, "main/poor"), -EUCLEAN);
    read_file(&x, "main/well", "well");
}

/* Then the log would lose what goes on with bytes that a repair may find again. */
Test(held, where_their_table_cannot_be_read_the_start_is_refused_and_the_log_kept)
{
    char said[1][REPORT_TEXT] = {""};

    (void)poor_in_the_log();
    places();
    cr_assert_eq(kv_mem_break(x.mem, TABLE_UNSEALED, true), 0);
    cr_assert_eq(picky_open(&x), -EUCLEAN);
    cr_assert_eq(report_recent(REPORT_ALARM, said, 1), 1);
    cr_assert(strstr(said[0], "the table `unsealed` cannot be read"), "%s", said[0]);
    kv_close(x.kv);
    cr_assert_eq(kv_mem_break(x.mem, TABLE_UNSEALED, false), 0);
    up_again();
    read_file(&x, "main/poor", "tw");
    read_file(&x, "main/well", "well");
}

static uint32_t count_of(uint64_t number)
{
    struct entry e;

    cr_assert_eq(refs_entry(x.p->refs, number, false, NULL, &e), 0);
    return e.count;
}

Test(held, what_the_log_has_for_one_whose_entry_is_lost_is_not_lost)
{
    uint64_t number = poor_in_the_log();
    struct findings f;

    change(TABLE_OBJECTS, number, NULL, 0);
    places();
    up_again();
    read_file(&x, "main/poor", "tw");
    read_file(&x, "main/well", "well");
    commit();
    dies(FAULT_LOSE_ALL);
    up_again();
    agreed(&x, "rebuild wait", "");
    commit();
    read_file(&x, "main/poor", "tw");
    cr_assert_eq(count_of(number), 1);
    cr_assert_eq(rows(), 0);
    down_clean(&x);
    is_clean(&x, &f);
}

Test(held, the_number_of_one_whose_entry_is_lost_may_be_no_number)
{
    (void)put_and_go_down();
    change(TABLE_UNSEALED, 4711, "left", 4);
    places();
    up_again();
    read_file(&x, "main/poor", "one");
}

Test(held, a_row_that_nothing_needs_is_found_and_removed)
{
    struct said s;
    struct findings f;

    (void)put_and_go_down();
    change(TABLE_UNSEALED, 4711, "left", 4);
    examine(&x, &f);
    cr_assert(strstr(f.text, "leak|object number 4711|"), "%s", f.text);
    repair(&x, 0, &s);
    is_clean(&x, &f);
    places();
    up_again();
    read_file(&x, "main/poor", "one");
}

Test(held, a_repair_makes_a_lost_entry_from_its_row)
{
    uint64_t number = put_and_go_down();
    struct said s;
    struct findings f;

    change(TABLE_OBJECTS, number, NULL, 0);
    repair(&x, 0, &s);
    is_clean(&x, &f);
    places();
    up_again();
    read_file(&x, "main/poor", "one");
}

Test(held, so_does_a_rebuild)
{
    uint64_t number = put_and_go_down();

    change(TABLE_OBJECTS, number, NULL, 0);
    places();
    up_again();
    agreed(&x, "rebuild wait", "");
    read_file(&x, "main/poor", "one");
    commit();
    cr_assert_eq(rows(), 0);
    read_file(&x, "main/poor", "one");
}

/* ---- slots hold nobody up either ---- */

static uint64_t put_large(const char *path)
{
    put_some(path, 'l', 3 * SOME);
    return object_of(path);
}

Test(held, a_slot_whose_sums_cannot_be_stored_holds_no_commit)
{
    (void)put_large("main/large");
    put_file(&x, "main/other", "other");
    picky_refuse("slots/", -EIO);
    commit();
    cr_assert_not(atomic_load(&x.p->readonly));
    dies(FAULT_LOSE_ALL);
    places();
    up_again();
    cr_assert_eq(try_read(&x, "main/large"), (ssize_t)(3 * SOME));
    read_file(&x, "main/other", "other");
}

static void spoil_entry(uint64_t number)
{
    uint8_t key[8];
    struct kv_txn *t;

    put_be64(key, number);
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_OBJECTS, key, sizeof key, "no entry", 8), 0);
    cr_assert_eq(kv_commit(t), 0);
}

Test(held, a_slot_whose_entry_is_damaged_holds_no_commit)
{
    uint64_t number = put_large("main/large");

    commit();
    spoil_entry(number);
    put_file(&x, "main/other", "other");
    commit();
}

Test(held, nor_does_a_kept_one_whose_entry_is_damaged)
{
    put_file(&x, "main/poor", "one");
    no_place(-EIO);
    commit();
    spoil_entry(object_of("main/poor"));
    make_dir(&x, "main/dir");
    commit();
    cr_assert_eq(rows(), 1, "a repair needs it");
}
