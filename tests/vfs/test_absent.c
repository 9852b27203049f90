// SPDX-License-Identifier: Apache-2.0
/*
 * Claims about objects whose bytes were never in the store (entry.h: ABSENT): reading them is
 * EREMOTE, and all else is as of any object. They are planted; test_lost.c has those of a restore.
 */
#include "absent.h"
#include "ns_drop.h"
#include "plant.h"
#include "repair_fixture.h"
#include "report.h"

#define LARGE 700000

static const uint8_t sha256[SHA256_LEN] = {[0] = 0xab, [31] = 0xcd};
static struct fixture x;
static uint64_t small, large; /* numbers */

static void up_again(void)
{
    report_reset();
    fixture_open(&x);
}

static void plant(uint64_t number)
{
    struct kv *kv;

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &kv), 0);
    cr_assert_eq(absent_plant(kv, x.disk, number, sha256), 0);
    kv_close(kv);
}

/* main/small, main/large and other/large are absent; main/dir/other and so on are there. */
static void up(void)
{
    plant_setup(&x);
    put_file(&x, "main/small", "elsewhere");
    put_big(&x, "main/large", LARGE);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    branch(&x, "main", "other");
    small = inode_of(&x, "main/small").object;
    large = inode_of(&x, "main/large").object;
    down_clean(&x);
    plant(small);
    plant(large);
    up_again();
}
static void gone(void)
{
    if (!x.p)
        fixture_open(&x);
    fixture_teardown(&x);
}
TestSuite(absent, .init = up, .fini = gone);

/* ---- helpers ---- */

static bool exists(uint64_t number, uint32_t *ret_count)
{
    struct entry e;
    int err = refs_entry(x.p->refs, number, false, NULL, &e);

    cr_assert(err == -ENOENT || (err == 0 && e.kind == ENTRY_ABSENT));
    *ret_count = err == 0 ? e.count : 0;
    return err == 0;
}

static uint32_t count_of(uint64_t number)
{
    uint32_t count;

    (void)exists(number, &count);
    return count;
}

static void drain(void)
{
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

static void still_clean(void)
{
    struct findings f;

    down_clean(&x);
    is_clean(&x, &f);
    up_again();
}

static ssize_t write_at(const char *path, uint64_t off, const void *bytes, size_t len, unsigned how)
{
    struct vfs_file *f;
    ssize_t n;
    int err = vfs_open(x.p, node_of(&x, path), VFS_WRITE | how, &f);

    if (err < 0)
        return err;
    n = vfs_write(f, bytes, len, off);
    vfs_release(f);
    return n;
}

static uint64_t rows(unsigned table)
{
    struct kv_snap *s;
    uint64_t n;

    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    cr_assert_eq(kv_snap_count(s, table, &n), 0);
    kv_snap_end(s);
    return n;
}

static void quiet(void)
{
    cr_assert_eq(report_count(REPORT_WARN), 0);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

/* ---- claims ---- */

Test(absent, reading_is_an_error_that_says_so_and_everything_else_can_be_asked)
{
    struct vfs_attr a;
    char name[100] = "";

    cr_assert_eq(try_read(&x, "main/small"), -EREMOTE);
    cr_assert_eq(try_read(&x, "main/large"), -EREMOTE);
    cr_assert_eq(try_read(&x, "other/large"), -EREMOTE);
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "main/large"), &a), 0);
    cr_assert_eq(a.size, LARGE);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/small"), "user.tally.object", name, 10),
                 -ERANGE);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/small"), "user.tally.object", name, 99), 71);
    cr_assert_eq(strncmp(name, "sha256:ab000000", 15), 0);
    cr_assert_str_eq(name + 67, "00cd");
    read_file(&x, "main/file", "some content");
    quiet();
    still_clean();
}

Test(absent, references_are_counted_and_the_row_goes_with_the_last_one)
{
    uint64_t objects = rows(TABLE_OBJECTS), bytes, names, bytes_then, names_then;
    struct vfs_attr a;
    uint32_t open;

    disk_use(&x, &bytes, &names);
    cr_assert_eq(count_of(large), 1, "the page is shared");
    cr_assert_eq(vfs_link(x.p, node_of(&x, "main/large"), node_of(&x, "other"), "again", &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(count_of(large), 3);
    still_clean();
    remove_file(&x, "other/again");
    remove_file(&x, "main/large");
    cr_assert_eq(count_of(large), 1);
    cr_assert_eq(ns_drop(x.p, "other", true, false, false, &open), 0);
    drain();
    cr_assert(!exists(large, &open));
    cr_assert_eq(rows(TABLE_OBJECTS), objects - 1);
    cr_assert_eq(rows(TABLE_DYING), 0);
    disk_use(&x, &bytes_then, &names_then);
    cr_assert_eq(names_then, names, "nothing else was deleted");
    cr_assert_eq(count_of(small), 1);
    read_file(&x, "main/dir/other", "another content");
    quiet();
    still_clean();
}

Test(absent, one_that_dies_is_gone_after_a_crash_too)
{
    struct vfs_attr a;
    uint32_t none;

    cr_assert_eq(vfs_link(x.p, node_of(&x, "main/small"), node_of(&x, "other"), "again", &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    down(&x); /* the log has it */
    up_again();
    cr_assert_eq(count_of(small), 3);
    cr_assert_eq(try_read(&x, "other/again"), -EREMOTE);
    remove_file(&x, "other/again");
    remove_file(&x, "other/small");
    remove_file(&x, "main/small");
    cr_assert_eq(flush_now(x.p), 0); /* its count is 0 there */
    down(&x);
    up_again();
    drain();
    cr_assert(!exists(small, &none));
    quiet();
    still_clean();
}

Test(absent, a_write_that_keeps_a_part_of_it_is_the_same_error_and_changes_nothing)
{
    struct vfs_file *f;
    static char page[4096];

    cr_assert_eq(write_at("main/small", 2, "x", 1, 0), -EREMOTE);
    cr_assert_eq(write_at("main/small", 100, "x", 1, 0), -EREMOTE);
    cr_assert_eq(write_at("main/large", 5000, "x", 1, 0), -EREMOTE);
    cr_assert_eq(write_at("main/large", LARGE - 100, page, sizeof page, 0), -EREMOTE);
    cr_assert_eq(count_of(large), 1);
    cr_assert_eq(count_of(small), 1);
    cr_assert_eq(try_read(&x, "main/small"), -EREMOTE);
    cr_assert_eq(write_at("main/large", 8192, page, sizeof page, 0), 4096, "it keeps none of it");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/large"), 0, &f), 0);
    cr_assert_eq(vfs_read(f, page, sizeof page, 8192), 4096);
    cr_assert_eq(vfs_read(f, page, 1, 4096), -EREMOTE);
    vfs_release(f);
    quiet();
    still_clean();
}

Test(absent, it_can_be_emptied_overwritten_renamed_and_replaced)
{
    uint64_t main = node_of(&x, "main");

    cr_assert_eq(write_at("main/small", 0, "anew", 4, VFS_TRUNC), 4);
    cr_assert_eq(try_read(&x, "main/small"), 4);
    cr_assert_eq(vfs_rename(x.p, main, "large", main, "moved", 0, &fixture_cred), 0);
    cr_assert_eq(try_read(&x, "main/moved"), -EREMOTE);
    put_file(&x, "main/tmp", "over it");
    cr_assert_eq(vfs_rename(x.p, main, "tmp", main, "moved", 0, &fixture_cred), 0);
    read_file(&x, "main/moved", "over it");
    cr_assert_eq(count_of(small), 1);
    cr_assert_eq(count_of(large), 1);
    quiet();
    still_clean();
    read_file(&x, "main/small", "anew");
}

Test(absent, equal_bytes_that_are_written_are_an_object_of_their_own)
{
    put_file(&x, "main/here", "elsewhere");
    drain();
    read_file(&x, "main/here", "elsewhere");
    cr_assert_eq(try_read(&x, "main/small"), -EREMOTE);
    cr_assert_eq(count_of(small), 2, "main and other have parted");
    still_clean();
}

Test(absent, what_is_commanded_of_it_says_why_it_cannot_be_done)
{
    static const char *const verbs[] = {"why", "object", "refs", "pin", "unpin", "resolve"};
    char line[64];

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        snprintf(line, sizeof line, "%s main/small", verbs[i]);
        refused(&x, line, -EREMOTE,
                "the bytes of main/small were never in this store, so they have no id here: they "
                "are sha256:ab00");
    }
    agreed(&x, "recall main/small wait", "ok ");
}

Test(absent, looking_after_the_store_leaves_it_as_it_is)
{
    static const char *const verbs[] = {"scrub wait", "rebuild wait",     "compact wait",
                                        "gc wait",    "gc grace=0s wait", "sweep wait",
                                        "drain"};
    uint64_t objects = rows(TABLE_OBJECTS);
    char reply[4096];

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        cr_assert_eq(say(&x, verbs[i], reply), (ssize_t)strlen(verbs[i]), "%s", reply);
    agreed(&x, "scrub wait", " damaged=0 ");
    agreed(&x, "rebuild wait", "changed=0");
    agreed(&x, "status", "ok state=ok ");
    cr_assert_eq(rows(TABLE_OBJECTS), objects);
    cr_assert_eq(count_of(small), 1);
    cr_assert_eq(count_of(large), 1);
    quiet();
    still_clean();
}

/* A drop of main would give back what is here, but not these. */
Test(absent, no_bytes_are_counted_for_it)
{
    struct refs_stats s;
    struct vfs_file *f;
    uint32_t open;
    char reply[4096];

    cr_assert_eq(ns_drop(x.p, "other", true, false, false, &open), 0);
    drain();
    cr_assert_eq(say(&x, "du main", reply), 7);
    cr_assert(strstr(reply, " frees=40 "), "%s", reply);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/large"), 0, &f), 0);
    remove_file(&x, "main/large");
    vfs_release(f);
    refs_get_stats(x.p->refs, &s);
    cr_assert_eq(s.retained, 1);
    cr_assert_eq(s.retained_bytes, 0);
}

/* Its count is wrong, or the record that it dies is missing. */
Test(absent, a_wrong_count_is_put_right)
{
    uint8_t key[8], val[ENTRY_MAX];
    struct entry e = {.kind = ENTRY_ABSENT, .count = 7, .size = LARGE};
    struct findings f;
    struct said s;

    memcpy(e.sha256, sha256, sizeof sha256);
    down_clean(&x);
    put_be64(key, large);
    put(&x, TABLE_OBJECTS, key, val, entry_encode(&e, val));
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 1, "%s", f.text);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_clean(&x, &f);
    up_again();
    cr_assert_eq(count_of(large), 1);
    cr_assert_eq(refs_correct(x.p->refs, large, 3), 0);
    agreed(&x, "rebuild wait", "changed=1");
    cr_assert_eq(count_of(large), 1);
}

/* What is left of its entry are the files that name it: they are said, and nothing else is lost. */
Test(absent, one_whose_row_is_lost_is_said_to_be)
{
    struct findings f;
    uint8_t key[8];
    char where[64];
    struct said s;
    struct kv *kv;
    struct kv_txn *t;

    down_clean(&x);
    put_be64(key, small);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(kv_del(t, TABLE_OBJECTS, key, sizeof key), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(kv);
    examine(&x, &f);
    snprintf(where, sizeof where, "object number %llu", (unsigned long long)small);
    is_only(&f, "count", where);
    repair(&x, 0, &s);
    up_again();
    cr_assert_eq(try_read(&x, "main/small"), -EUCLEAN);
    cr_assert_eq(try_read(&x, "main/large"), -EREMOTE);
    read_file(&x, "main/file", "some content");
}
