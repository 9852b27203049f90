// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of scrubs: bits are flipped on the disk and in the tables of a store that is open; each is
 * found and named with its paths, and none is ever read as data.
 */
#include "check_fixture.h"
#include "compressed.h"

#include "damage.h"
#include "report.h"
#include "scrub.h"

static struct fixture x;
static char said[16384]; /* alarms */

static void on_report(enum report_level level, const char *text, void *ctx)
{
    size_t n = strlen(said);

    (void)ctx;
    if (level == REPORT_ALARM)
        snprintf(said + n, sizeof said - n, "%s\n", text);
}

static void up(void)
{
    fixture_setup(&x);
    populate(&x);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    said[0] = 0;
    report_set_sink(on_report, NULL);
}
static void down_all(void)
{
    report_set_sink(NULL, NULL);
    fixture_teardown(&x);
}
TestSuite(scrub, .init = up, .fini = down_all);

/* ---- places ---- */

static struct entry entry_at(const char *path, uint64_t *ret_number)
{
    struct inode in;
    struct ns *ns;
    uint64_t node = node_of(&x, path);
    struct entry e;

    cr_assert(node, "%s", path);
    cr_assert_eq(ns_get(x.p, vfs_node_ns(node), &ns), 0);
    {
        READ_GUARD(&ns->lock);
        cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node), &in), 0);
    }
    ns_put(x.p, ns);
    cr_assert_eq(refs_entry(x.p->refs, in.object, true, ret_number, &e), 0);
    return e;
}

static void place_of(const char *path, char name[DISK_NAME_MAX + 1], uint64_t *ret_byte)
{
    uint64_t number;
    struct entry e = entry_at(path, &number);

    *ret_byte = 1000;
    if (e.kind == ENTRY_FILE) {
        blob_object_name(&e.id, e.where, name);
    } else if (e.kind == ENTRY_SLOT) {
        blob_slot_name(number, name);
    } else {
        cr_assert_eq(e.kind, ENTRY_PACK);
        pack_name(e.where, name);
        *ret_byte = e.offset + 40 + e.size / 2;
    }
}

static void spoil(const char *path)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t byte;

    place_of(path, name, &byte);
    cr_assert_eq(disk_mem_flip(x.disk, name, byte, 3), 0, "%s", name);
}

/* A slot that is synced, and so has sums: it is large, changed, and not sealed yet. */
static struct vfs_file *make_slot(const char *path)
{
    static char buf[300000];
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    memset(buf, 'x', sizeof buf);
    cr_assert_eq(vfs_create(x.p, dir, name, 0644, &fixture_cred, VFS_WRITE, &a, &f), 0);
    cr_assert_eq(vfs_write(f, buf, sizeof buf, 0), (ssize_t)sizeof buf);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(entry_at(path, &(uint64_t){0}).kind, ENTRY_SLOT);
    return f;
}

static bool any_leaf(const struct found *f)
{
    return page_level(f->val) == 0;
}

/* A page of main's tree alone, of this level, as the disk has it. */
static void spoil_page(want_fn *want, uint64_t *ret_no)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    struct found f;
    struct kv_snap *s;
    bool ok = false;

    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    while (!ok) {
        cr_assert_eq(kv_snap_seek(s, TABLE_PAGES, key, klen, klen > 0, &key, &klen, &val, &len), 0);
        memcpy(f.key, key, klen);
        memcpy(f.val, val, len);
        f.klen = klen;
        f.len = len;
        ok = want(&f);
    }
    kv_snap_end(s);
    *ret_no = get_be64(f.key);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_PAGES, f.key, f.klen, 5000, 1), 0);
}

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

/* ---- claims ---- */

Test(scrub, a_sound_store_has_no_damage_and_all_is_counted)
{
    agreed(&x, "scrub wait", "ok objects=152 pages=");
    agreed(&x, "scrub wait", " damaged=0 job=");
    cr_assert_eq(said[0], 0, "%s", said);
    agreed(&x, "status", "scrub       last=1970-01-01T00:16:40Z objects=152");
}

Test(scrub, of_a_pack_that_was_deleted_it_is_said_that_it_is_gone)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t byte;

    place_of("main/file10", name, &byte);
    cr_assert_eq(disk_unlink(x.disk, name), 0);
    fixture_reopen(&x);
    agreed(&x, "scrub wait", "ok objects=");
    cr_assert(strstr(said, " is damaged: its file is gone (packs/"), "%s", said);
    cr_assert_eq(try_read(&x, "main/file10"), -EUCLEAN);
}

Test(scrub, a_damaged_record_is_named_with_all_paths_and_is_never_read)
{
    spoil("main/file10");
    agreed(&x, "scrub wait", " damaged=1 ");
    cr_assert(strstr(said, " is damaged: its bytes are not those that were written (packs/"), "%s",
              said);
    for (int i = 0; i < 6; i++) {
        static const char *const paths[] = {"main/file10", "main/file11",  "same/file10",
                                            "same/file11", "other/file10", "other/file11"};
        char line[64];
        snprintf(line, sizeof line, " is used by %s\n", paths[i]);
        cr_assert(strstr(said, line), "no %s in %s", paths[i], said);
        cr_assert_eq(try_read(&x, paths[i]), -EUCLEAN);
    }
    cr_assert_eq(count_of(said, " is used by "), 6, "%s", said);
    cr_assert_eq(count_of(said, "scrub:"), 7, "%s", said);
    cr_assert_gt(try_read(&x, "main/file12"), 0);
    agreed(&x, "status", "damaged=1");
    agreed(&x, "status", "the last scrub found 1 damaged");
}

Test(scrub, while_damage_is_known_the_state_is_degraded)
{
    agreed(&x, "scrub wait", " damaged=0 job=");
    agreed(&x, "status", "ok state=ok ");
    spoil("main/file10");
    agreed(&x, "scrub wait", " damaged=1 job=");
    agreed(&x, "status", "ok state=degraded ");
    agreed(&x, "status", "| state       degraded: the last scrub found damage\n");
    spoil("main/file10"); /* back again */
    agreed(&x, "scrub wait", " damaged=0 job=");
    agreed(&x, "status", "ok state=ok ");
}

Test(scrub, of_many_users_some_are_named_and_the_rest_counted)
{
    char path[64];

    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "main/equal%d", i);
        put_file(&x, path, "the same bytes");
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    spoil("main/equal7");
    agreed(&x, "scrub wait", "is used by main/equal0\n");
    cr_assert_eq(count_of(said, " is used by main/equal"), DAMAGE_PATHS, "%s", said);
    cr_assert(strstr(said, " is used by 12 more inodes\n"), "%s", said);
}

Test(scrub, a_compressed_record_is_said_not_to_be_checked_and_is_no_damage)
{
    struct entry e = entry_at("main/file10", &(uint64_t){0});

    const struct pack_place at = pack_place_of(&e);
    compress_record(x.disk, &at, &e.id, (uint32_t)e.size);
    agreed(&x, "scrub wait", " damaged=0 unasked=1 ");
    cr_assert_eq(count_of(said, " was not checked: it is compressed by a newer version of tally"),
                 1, "%s", said);
    cr_assert_eq(try_read(&x, "main/file10"), -EPROTO);
    cr_assert_eq(count_of(said, " cannot be read: it is compressed by a newer version of tally"), 1,
                 "%s", said);
    cr_assert(!strstr(said, "damaged"), "%s", said);
    put_file(&x, "main/again", "content 5"); /* the same bytes: they have a place beside it */
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(try_read(&x, "main/again"), 9);
    cr_assert_eq(try_read(&x, "main/file10"), -EPROTO);
}

Test(scrub, a_damaged_object_file_is_found_and_its_sums_too)
{
    struct entry e = entry_at("main/big", &(uint64_t){0});
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 16];

    cr_assert_eq(e.kind, ENTRY_FILE);
    spoil("main/big");
    agreed(&x, "scrub wait", "is used by main/big\n");
    cr_assert(strstr(said, "(objects/"), "%s", said);
    cr_assert_eq(try_read(&x, "main/big"), -EUCLEAN);
    cr_assert_eq(try_read(&x, "other/big"), -EUCLEAN);
    spoil("main/big"); /* back again */
    agreed(&x, "scrub wait", " damaged=0 ");
    blob_object_name(&e.id, e.where, name);
    snprintf(sums, sizeof sums, "%s.sums", name);
    cr_assert_eq(disk_mem_flip(x.disk, sums, 30, 1), 0);
    agreed(&x, "scrub wait", " damaged=1 ");
}

Test(scrub, a_damaged_slot_is_found)
{
    struct vfs_file *f = make_slot("main/slot");

    agreed(&x, "scrub wait", " damaged=0 ");
    spoil("main/slot");
    agreed(&x, "scrub wait", "is used by main/slot\n");
    cr_assert(strstr(said, "unsealed content "), "%s", said);
    cr_assert(strstr(said, "(slots/"), "%s", said);
    cr_assert_eq(try_read(&x, "main/slot"), -EUCLEAN);
    vfs_release(f);
}

Test(scrub, a_file_without_a_name_is_said_to_use_it)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, "other/file1"), 0, &f), 0);
    spoil("other/file1");
    remove_file(&x, "other/file1");
    cr_assert_eq(flush_now(x.p), 0);
    agreed(&x, "scrub wait", "is used by \"unlinked but open files\": inode ");
    vfs_release(f);
}

Test(scrub, a_damaged_page_is_found_and_who_is_below_it)
{
    uint64_t no;
    char line[64];

    fixture_reopen(&x); /* nothing of it is in memory */
    spoil_page(any_leaf, &no);
    agreed(&x, "scrub wait", " damaged=1 ");
    snprintf(line, sizeof line, "scrub: page %llu is damaged: ", (unsigned long long)no);
    cr_assert(strstr(said, line), "%s", said);
    snprintf(line, sizeof line, "scrub: page %llu is used by ", (unsigned long long)no);
    cr_assert(strstr(said, line), "%s", said);
}

Test(scrub, a_damaged_entry_is_found_and_who_needs_it)
{
    uint8_t key[8];
    uint64_t number;
    char line[64];

    (void)entry_at("main/file10", &number);
    fixture_reopen(&x);
    put_be64(key, number);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_OBJECTS, key, sizeof key, 0, 7), 0);
    snprintf(line, sizeof line, "entry of object number %llu is used by main/file10\n",
             (unsigned long long)number);
    agreed(&x, "scrub wait", line);
}

/* A value of each table, which nothing reads as long as the store is open. */
Test(scrub, what_is_damaged_in_the_other_tables_is_found)
{
    static const struct {
        unsigned table;
        const char *key, *name;
        size_t klen;
    } v[] = {{TABLE_PAGE_COUNTS, "\0\0\0\0\0\0\1\1", "entry 257 of the table page_counts", 8},
             {TABLE_IDS, "0123456789abcdef",
              "entry 30313233343536373839616263646566 of the table ids", 16},
             {TABLE_DYING, "\0\0\0\0\0\0\0\7", "entry 7 of the table dying", 8},
             {TABLE_PACKS, "\0\0\0\0\0\0\1\0", "entry 256 of the table packs", 8},
             {TABLE_NAMESPACES, "\0\0\0\0\0\0\2\0", "entry 512 of the table namespaces", 8},
             {TABLE_PINS, "\0\0\0\0\0\0\0\5", "entry 5 of the table pins", 8},
             {TABLE_DROPS, "\0\0\0\0\0\0\0\0", "entry 0 of the table drops", 8},
             {TABLE_SETTINGS, "view_wait", "entry view_wait of the table settings", 9},
             {TABLE_GC, "\0", "entry 00 of the table gc", 1},
             {TABLE_META, "sweep", "entry sweep of the table meta", 5},
             {TABLE_META, "flushes", "entry flushes of the table meta", 7},
             {TABLE_META, "stored", "entry stored of the table meta", 6}};
    const size_t count = sizeof v / sizeof *v;
    uint8_t val[SCRUB_RECORD_LEN] = {0};
    struct kv_txn *t;
    char line[128];

    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(kv_put(t, v[i].table, v[i].key, v[i].klen, val, 40), 0);
    cr_assert_eq(kv_commit(t), 0);
    for (size_t i = 0; i < count; i++)
        if (!store_tables[v[i].table].checks_itself)
            cr_assert_eq(kv_mem_flip(x.mem, v[i].table, v[i].key, v[i].klen, 3, 1), 0);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "state", 5, 20, 1), 0);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "identity", 8, 20, 1), 0);
    agreed(&x, "scrub wait", " damaged=14 ");
    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof line, "scrub: %s is damaged: it is not what was written\n",
                 v[i].name);
        cr_assert(strstr(said, line), "no %sin %s", line, said);
    }
    cr_assert(strstr(said, "scrub: entry identity of the table meta is damaged"), "%s", said);
    cr_assert(strstr(said, "scrub: entry state of the table meta is damaged"), "%s", said);
}

Test(scrub, what_is_damaged_is_never_taken_for_equal_and_equal_bytes_heal_it)
{
    spoil("main/file10");
    agreed(&x, "scrub wait", " damaged=1 ");
    put_file(&x, "main/again", "content 5");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(try_read(&x, "main/again"), 9);
    cr_assert_eq(try_read(&x, "main/file10"), 9, "the good bytes took its place");
    agreed(&x, "scrub wait", " damaged=0 ");
}

Test(scrub, what_was_deleted_meanwhile_is_no_damage)
{
    spoil("other/file1");
    spoil("main/big");
    remove_file(&x, "other/file1");
    remove_file(&x, "main/big");
    agreed(&x, "drop same", "ok");
    remove_file(&x, "other/big");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    agreed(&x, "scrub wait", " damaged=0 ");
}

/* ---- time ---- */

static uint64_t start(void)
{
    uint64_t job;

    cr_assert_eq(scrub_start(x.p, NULL, &job), 0);
    return job;
}

/* Until it has ended, turning the clock; how much. */
static int64_t turn_until_the_end(uint64_t number)
{
    int64_t began = clock_ticks(&x.clock.base);
    char result[256];
    int error = 0;

    while (job_wait(x.p, number, 0, NULL, &error, result) == -ETIMEDOUT) {
        clock_manual_advance(&x.clock, NSEC_PER_MSEC);
        usleep(100);
    }
    cr_assert_eq(error, 0);
    return clock_ticks(&x.clock.base) - began;
}

/* So that it stands still at once: its first megabytes are spent, and the clock stands. */
static void slow_down(void)
{
    char path[64];

    agreed(&x, "set scrub_rate 1M/s", "scrub_rate=1M/s");
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "main/more%d", i);
        put_big(&x, path, 500000 + (size_t)i);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

static struct scrub_record record(void)
{
    struct scrub_record r;

    scrub_get(x.p, &r, NULL);
    return r;
}

/* Its rate has made it wait; it does not move before the clock does. */
static uint64_t start_and_stand_still(void)
{
    uint64_t number = start();
    struct job j;

    do {
        usleep(1000);
        cr_assert_eq(job_get(x.p, number, &j), 0);
        cr_assert(!job_is_over(&j));
    } while (j.bytes_done < 100000);
    return number;
}

Test(scrub, it_reads_no_more_than_the_rate_allows)
{
    char joined[64];
    int64_t took;
    uint64_t number;
    struct job j;

    slow_down();
    number = start_and_stand_still();
    snprintf(joined, sizeof joined, "ok job=%llu\n", (unsigned long long)number);
    agreed(&x, "scrub", joined);
    took = turn_until_the_end(number);
    cr_assert_eq(job_get(x.p, number, &j), 0);
    cr_assert_geq(took, (int64_t)(j.bytes_done - 1048576 / 10) * NSEC_PER_SEC / 1048576 -
                            (int64_t)NSEC_PER_MSEC);
    cr_assert_eq(record().last.damaged, 0);
    cr_assert_eq(j.bytes_done, j.bytes_total);
}

static void *scrub_wait(void *reply)
{
    cr_assert_gt(say(&x, "scrub wait", reply), 0, "%s", (char *)reply);
    return NULL;
}

Test(scrub, one_that_runs_is_joined_also_by_who_waits, .timeout = 60)
{
    char reply[4096], joined[64];
    uint64_t number;
    pthread_t thread;
    struct job j;

    slow_down();
    number = start_and_stand_still();
    cr_assert_eq(pthread_create(&thread, NULL, scrub_wait, reply), 0);
    do {
        sched_yield();
        cr_assert_eq(job_get(x.p, number, &j), 0);
    } while (j.waiters == 0);
    (void)turn_until_the_end(number);
    pthread_join(thread, NULL);
    snprintf(joined, sizeof joined, " job=%llu\n", (unsigned long long)number);
    cr_assert(strstr(reply, " damaged=0 ") && strstr(reply, joined), "%s", reply);
    cr_assert_eq(job_next(x.p, number, &number), -ENOENT, "there was no other");
}

/* Each read of the scrub finds more to read. */
Test(scrub, it_ends_while_a_file_grows_as_fast_as_it_is_read)
{
    static const char more[1 << 16];
    uint64_t number, most, len = 300000;
    struct vfs_file *f;
    struct job j;

    slow_down();
    f = make_slot("main/log");
    number = start_and_stand_still();
    cr_assert_eq(job_get(x.p, number, &j), 0);
    for (most = j.bytes_total + (8 << 20); !job_is_over(&j);) {
        cr_assert_lt(j.bytes_done, most, "it goes on for ever");
        for (; len < j.bytes_done + (1 << 20); len += sizeof more)
            cr_assert_eq(vfs_write(f, more, sizeof more, len), (ssize_t)sizeof more);
        clock_manual_advance(&x.clock, NSEC_PER_MSEC);
        usleep(100);
        cr_assert_eq(job_get(x.p, number, &j), 0);
    }
    cr_assert_eq(record().last.damaged, 0);
    vfs_release(f);
}

Test(scrub, one_that_is_cancelled_ends_at_once_and_the_next_goes_on)
{
    char command[64], result[256];
    uint64_t number, next;
    int error;

    slow_down();
    number = start_and_stand_still();
    snprintf(command, sizeof command, "cancel %llu", (unsigned long long)number);
    agreed(&x, command, "ok");
    cr_assert_eq(job_wait(x.p, number, -1, NULL, &error, result), 0);
    cr_assert_eq(error, -ECANCELED);
    cr_assert_eq(record().ended, 0);
    next = record().now.pages;
    cr_assert_gt(next, 0);
    fixture_reopen(&x);
    cr_assert_eq(jobs_unfinished(x.p), 0, "who cancelled it does not want it");
    cr_assert_eq(record().now.pages, next);
    agreed(&x, "set scrub_rate 1G/s", "ok");
    agreed(&x, "scrub wait", " damaged=0 resumed=1 ");
    cr_assert_gt(record().last.objects, 150);
    agreed(&x, "scrub wait", " damaged=0 job=");
}

Test(scrub, one_that_a_restart_interrupts_goes_on_by_itself)
{
    uint64_t pages;
    struct scrub_record r;

    slow_down();
    (void)start_and_stand_still();
    fixture_reopen(&x);
    r = record();
    pages = r.now.pages;
    cr_assert_gt(pages, 0);
    cr_assert_eq(jobs_unfinished(x.p), 1);
    turn_until_the_end(1);
    r = record();
    cr_assert_eq(r.phase, SCRUB_NONE);
    cr_assert_gt(r.last.pages, 0);
    cr_assert_gt(r.last.objects, 150);
    cr_assert_eq(r.last.damaged, 0);
    fixture_reopen(&x);
    cr_assert_eq(jobs_unfinished(x.p), 0);
    cr_assert_eq(record().ended, r.ended, "it is remembered");
}

Test(scrub, damage_that_was_not_told_yet_is_found_again_after_a_restart)
{
    slow_down();
    spoil("main/file10");
    uint64_t number = start();
    while (!strstr(said, "is damaged")) {
        clock_manual_advance(&x.clock, NSEC_PER_MSEC);
        usleep(100);
    }
    cr_assert_null(strstr(said, "is used by"));
    (void)number;
    fixture_reopen(&x);
    turn_until_the_end(1);
    cr_assert(strstr(said, "is used by main/file10\n"), "%s", said);
    cr_assert_eq(record().last.damaged, 1);
}

Test(scrub, a_damaged_record_of_it_begins_anew)
{
    slow_down();
    (void)start_and_stand_still();
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "scrub", 5, 20, 1), 0);
    fixture_open(&x);
    cr_assert_eq(jobs_unfinished(x.p), 0);
    agreed(&x, "set scrub_rate 1G/s", "ok");
    agreed(&x, "scrub wait", " damaged=0 job=");
}
