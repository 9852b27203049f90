// SPDX-License-Identifier: Apache-2.0
/* Claims about the history: which operations it has, for how long, and over a death. */
#include "bytes.h"
#include "check.h"
#include "fixture.h"
#include "flush.h"
#include "history_by.h"
#include "kept.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "report.h"
#include "schedule.h"
#include "ttl.h"
#include <linux/fs.h>

#define DAY (86400 * NSEC_PER_SEC)

static struct fixture x;
static const struct history_by me = {.known = true, .uid = 1000, .comm = "a program"};

static void keep(void)
{
    settings_put(&x.p->settings, SET_ORIGIN_KEEP, 7 * DAY);
    settings_put(&x.p->settings, SET_TRASH_KEEP, DAY);
}

static void up(void)
{
    fixture_setup(&x);
    keep();
    (void)history_by_set(&me);
}

static void down(void)
{
    (void)history_by_set(NULL);
    fixture_teardown(&x);
}

TestSuite(history, .init = up, .fini = down);

static void make_dir(const char *name)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, name, S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

/* The words of all operations but the first, which has made main; the oldest first. */
static const char *words(void)
{
    static char text[4096];
    struct history_op op;
    uint64_t at = UINT64_MAX;
    char rest[4096];

    text[0] = '\0';
    while (history_before(&x.p->history, at, &op) == 0) {
        at = op.entry.seq;
        snprintf(rest, sizeof rest, "%s", text);
        snprintf(text, sizeof text, "%s%s%.4000s", history_entry_word(&op.entry), *rest ? " " : "",
                 rest);
    }
    return strncmp(text, "create", 6) ? text : text[6] ? text + 7 : text + 6;
}

static struct history_op newest(void)
{
    struct history_op op;

    cr_assert_eq(history_before(&x.p->history, UINT64_MAX, &op), 0);
    return op;
}

static void die_and_start(void)
{
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    keep();
}

static size_t rows(void)
{
    struct kv_each e = {.table = TABLE_HISTORY};
    size_t n = 0;

    cr_assert_eq(kv_snap_begin(x.kv, &e.snap), 0);
    while (kv_next(&e))
        n++;
    kv_snap_end(e.snap);
    return n;
}

static void do_some_of_each(void)
{
    make_dir("a");
    agreed(&x, "branch main dev", "ok");
    put_file(&x, "dev/f", "text");
    agreed(&x, "snapshot main s", "ok");
    agreed(&x, "commit dev", "ok");
    agreed(&x, "merge dev into a base=main@s", "ok");
    agreed(&x, "detach dev", "ok");
    cr_assert_eq(ns_rename(x.p, "a", "b", 0), 0);
    cr_assert_eq(ns_rename(x.p, "b", "dev", RENAME_EXCHANGE), 0);
    make_dir("empty");
    cr_assert_eq(ns_rename(x.p, "b", "empty", 0), 0);
    agreed(&x, "drop empty", "ok");
    agreed(&x, "undrop empty", "ok");
    agreed(&x, "drop main@s", "ok");
    agreed(&x, "drop empty now", "ok");
}

static const char all_words[] = "create branch snapshot commit merge detach rename exchange create "
                                "replace drop undrop unsnapshot remove";

Test(history, each_operation_on_namespaces_is_there_once)
{
    do_some_of_each();
    cr_assert_str_eq(words(), all_words);
}

Test(history, it_is_the_same_after_a_death_and_after_an_unmount)
{
    do_some_of_each();
    die_and_start();
    cr_assert_str_eq(words(), all_words);
    fixture_reopen(&x);
    cr_assert_str_eq(words(), all_words);
    cr_assert_eq(rows(), 15);
}

Test(history, an_entry_says_who_when_and_what)
{
    struct history_op op;

    clock_manual_advance(&x.clock, 77 * NSEC_PER_SEC);
    agreed(&x, "branch main dev", "ok");
    for (int i = 0; i < 2; i++) {
        op = newest();
        cr_assert_eq(op.entry.uid, 1000);
        cr_assert_str_eq(op.entry.comm, "a program");
        cr_assert_eq(op.entry.time, 1077 * NSEC_PER_SEC);
        cr_assert_str_eq(op.entry.name, "dev");
        cr_assert_str_eq(op.entry.second, "main");
        cr_assert_not(op.entry.itself);
        die_and_start();
    }
}

Test(history, the_number_of_an_entry_is_that_of_the_change)
{
    uint64_t seq;
    uint32_t number;

    cr_assert_eq(ns_branch(x.p, "main", "dev", &seq, &number), 0);
    cr_assert_eq(newest().entry.seq, seq);
    cr_assert_eq(newest().entry.ns.number, number);
}

Test(history, what_nobody_asked_for_is_by_the_program_itself)
{
    struct ns *ns;

    agreed(&x, "branch main dev ttl=1h", "ok");
    put_file(&x, "dev/f", "text");
    (void)history_by_set(NULL);
    clock_manual_advance(&x.clock, 2 * 3600 * NSEC_PER_SEC);
    schedule_run(x.p);
    cr_assert_str_eq(words(), "branch expire");
    cr_assert(newest().entry.itself);
    (void)history_by_set(&me); /* who asks for something else does not ask for that */
    clock_manual_advance(&x.clock, 2 * DAY);
    kept_expire(x.p);
    cr_assert_str_eq(words(), "branch expire purge");
    cr_assert(newest().entry.itself);
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(ttl_set(x.p, ns, now(x.p)), 0);
    ns_put(x.p, ns);
    cr_assert_str_eq(words(), "branch expire purge");
}

Test(history, what_fails_is_not_there)
{
    agreed(&x, "branch main dev", "ok");
    refused(&x, "branch main dev", -EEXIST, "dev");
    refused(&x, "drop none", -ENOENT, "none");
    refused(&x, "undrop none", -ENOENT, "none");
    cr_assert_eq(ns_rename(x.p, "dev", "main", RENAME_NOREPLACE), -EEXIST);
    put_file(&x, "main/f", "text");
    cr_assert_eq(ns_rename(x.p, "dev", "main", 0), -ENOTEMPTY);
    put_file(&x, "dev/f", "other");
    refused(&x, "commit dev", -EEXIST, "conflict");
    cr_assert_str_eq(words(), "branch");
    die_and_start();
    cr_assert_str_eq(words(), "branch");
}

Test(history, a_snapshot_that_goes_with_its_namespace_is_no_operation_of_its_own)
{
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "snapshot dev s", "ok");
    agreed(&x, "drop dev now", "ok");
    cr_assert_str_eq(words(), "branch snapshot remove");
}

Test(history, what_is_older_than_history_keep_goes_with_a_commit)
{
    make_dir("old");
    clock_manual_advance(&x.clock, 29 * DAY);
    make_dir("new");
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(rows(), 3);
    clock_manual_advance(&x.clock, 2 * DAY);
    make_dir("newest");
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_str_eq(words() + strlen(words()) - 6, "create");
    cr_assert_eq(rows(), 2);
    cr_assert_str_eq(newest().entry.name, "newest");
    agreed(&x, "set history_keep 0s", "ok");
    clock_manual_advance(&x.clock, 1);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(rows(), 0);
    fixture_reopen(&x);
    cr_assert_str_eq(words(), "");
}

Test(history, so_many_entries_are_kept_at_most)
{
    struct history_entry e = {.kind = HISTORY_CREATE, .ns = {1, 0}, .name = "x"};
    struct history_row *row;
    struct history_op op;

    e.time = now(x.p);
    for (uint64_t i = 1; i <= HISTORY_ENTRIES_MAX + 5; i++) {
        cr_assert_eq(history_prepare(&x.p->history, &e, &row), 0);
        history_add(&x.p->history, row, 1000 + i);
    }
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(rows(), HISTORY_ENTRIES_MAX);
    cr_assert_eq(history_get(&x.p->history, 1005, &op), -ENOENT); /* and the one of main */
    cr_assert_eq(history_get(&x.p->history, 1006, &op), 0);
}

Test(history, entries_that_come_in_any_order_are_in_that_of_their_changes)
{
    static const uint64_t order[] = {50, 20, 40, 30};
    struct history_entry e = {.kind = HISTORY_CREATE, .ns = {1, 0}, .name = "x"};
    struct history_row *row[4];
    struct history h;
    struct history_op op;

    history_init(&h);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(history_prepare(&h, &e, &row[i]), 0);
    for (size_t i = 0; i < 4; i++)
        history_add(&h, row[i], order[i]);
    op.entry.seq = UINT64_MAX;
    for (uint64_t seq = 50; seq >= 20; seq -= 10) {
        cr_assert_eq(history_before(&h, op.entry.seq, &op), 0);
        cr_assert_eq(op.entry.seq, seq);
    }
    cr_assert_eq(history_before(&h, 20, &op), -ENOENT);
    history_release(&h);
}

Test(history, an_operation_knows_the_last_one_that_took_it_back)
{
    struct history_entry e = {.kind = HISTORY_CREATE, .ns = {1, 0}, .name = "x"};
    struct history_row *row;
    struct history h;
    struct history_op op;

    history_init(&h);
    for (uint64_t seq = 10; seq <= 40; seq += 10) {
        e.of = seq == 10 ? 0 : 10;
        e.again = seq == 30;
        cr_assert_eq(history_prepare(&h, &e, &row), 0);
        history_add(&h, row, seq);
        cr_assert_eq(history_get(&h, 10, &op), 0);
        cr_assert_eq(op.tip, seq == 10 ? 0 : seq);
        cr_assert_eq(op.undone, seq == 20 || seq == 40);
        cr_assert_eq(history_root(&h, seq), 10);
    }
    cr_assert_eq(history_root(&h, 55), 55);
    history_release(&h);
}

static void put_row(uint64_t seq, const void *val, size_t len)
{
    struct kv_txn *t;
    uint8_t key[8];

    put_be64(key, seq);
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_HISTORY, key, 8, val, len), 0);
    cr_assert_eq(kv_commit(t), 0);
}

Test(history, a_damaged_row_is_reported_and_costs_nothing_else)
{
    uint64_t warned;

    make_dir("a");
    fixture_reopen(&x);
    put_row(100, "nonsense", 8);
    warned = report_count(REPORT_WARN);
    die_and_start();
    cr_assert_eq(report_count(REPORT_WARN), warned + 1);
    cr_assert_str_eq(words(), "create");
}

static uint64_t found;
static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)where;
    (void)sentence;
    (void)ctx;
    cr_assert_str_eq(what, "operation");
    found++;
}

static uint64_t check(void)
{
    struct check_options o = {.found = on_found};
    struct check_result r = {0};
    struct kv *kv;

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(store_check(x.disk, kv, &o, &r), 0);
    kv_close(kv);
    return r.problems;
}

Test(history, the_offline_check_finds_a_row_that_is_damaged_or_of_no_change)
{
    uint8_t bytes[HISTORY_ENTRY_MAX];
    struct history_entry e = {.kind = HISTORY_CREATE, .ns = {1, 0}, .name = "x"};
    size_t len = history_entry_encode(&e, bytes);

    make_dir("a");
    fixture_reopen(&x);
    cr_assert_eq(check(), 0);
    put_row(2, "nonsense", 8);
    cr_assert_eq(check(), 1);
    put_row(1000000, bytes, len);
    cr_assert_eq(check(), 2);
    cr_assert_eq(found, 3);
}

Test(history, a_row_that_is_discarded_leaves_nothing)
{
    struct history_entry e = {.kind = HISTORY_CREATE, .ns = {1, 0}, .name = "x"};
    struct history_row *row;

    cr_assert_eq(history_prepare(&x.p->history, &e, &row), 0);
    history_discard(&x.p->history, row);
    history_discard(&x.p->history, NULL);
    cr_assert_eq(x.p->history.prepared, 0);
    cr_assert_str_eq(words(), "");
}

Test(history, what_a_change_left_that_failed_is_no_operation)
{
    const struct history_entry e = {.kind = HISTORY_CREATE, .ns = {1, 0}, .name = "x"};
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    {
        TXN(t);

        cr_assert_eq(txn_begin_alone(x.p, 0, &t), 0);
        NS_GUARD(&t, ns);
        cr_assert_eq(capture_history(&t, &e), 0);
        capture_op(&t, &(struct op){.kind = OP_REQUEST, .a = 7});
    }
    ns_put(x.p, ns);
    cr_assert_str_eq(words(), "");
    die_and_start();
    cr_assert_str_eq(words(), "");
}
