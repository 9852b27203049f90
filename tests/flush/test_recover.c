// SPDX-License-Identifier: Apache-2.0
/*
 * test_recover: what fails while a store is put together again is no reason to refuse it: it can be
 * read, it says what is wrong, nothing is lost, and the next start has all.
 */
#include "log_impl.h"
#include "log_promise.h"
#include "picky.h"
#include "store_impl.h"
#include "report.h"

#define LARGE (300 * 1024) /* above pack_limit */
#define SMALL 20

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void gone(void)
{
    fixture_teardown(&x);
}
TestSuite(recover, .init = up, .fini = gone);

static void put_large(const char *path, int fill, size_t len)
{
    char *buf = malloc(len);
    struct vfs_file *f;

    memset(buf, fill, len);
    if (!node_of(&x, path))
        put_file(&x, path, "");
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, buf, len, 0), (ssize_t)len);
    vfs_release(f);
    free(buf);
}

/* Its first byte, or the error of reading it; 0: it is empty. */
static int reads(const char *path)
{
    struct vfs_file *f;
    char c;
    uint64_t node = node_of(&x, path);
    int err = node ? vfs_open(x.p, node, 0, &f) : -ENOENT;

    if (err < 0)
        return err;
    ssize_t n = vfs_read(f, &c, 1, 0);
    vfs_release(f);
    return n == 1 ? c : (int)n;
}

static void small_name(unsigned i, char out[32])
{
    snprintf(out, 32, "main/small%u", i);
}

/* Something of everything: committed and not, in packs, files and slots, removed and open. */
static void fill(void)
{
    char name[32], text[2] = {0};

    for (unsigned i = 0; i < SMALL; i++) {
        small_name(i, name);
        text[0] = (char)('a' + i);
        put_file(&x, name, text);
    }
    put_large("main/object", 'o', LARGE);
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    put_large("main/slot", 's', LARGE);
    cr_assert_eq(flush_now(x.p), 0); /* too young to be sealed */
    cr_assert_eq(flush_sync(x.p), 0);
    put_large("main/slot", 'S', 4096); /* in the log, and in the slot */
    put_large("main/new", 'n', LARGE);
    put_large("main/removed", 'r', LARGE);
    remove_file(&x, "main/removed");
    put_file(&x, "main/late", "late");
    small_name(0, name);
    remove_file(&x, name);
}

/* How many of its files cannot be read; those that can have their bytes. */
static unsigned unreadable(void)
{
    static const char *const large[] = {"main/object", "main/slot", "main/new", "main/late"};
    unsigned n = 0;
    char name[32];

    for (unsigned i = 0; i < SMALL; i++) {
        small_name(i, name);
        cr_assert_eq(reads(name), i ? (int)('a' + i) : -ENOENT, "%s: %d", name, reads(name));
    }
    for (unsigned i = 0; i < 4; i++) {
        int c = reads(large[i]);
        cr_assert(c == "oSnl"[i] || c == -EIO || c == -EUCLEAN, "%s: %d", large[i], c);
        n += c < 0;
    }
    return n;
}

static void die(void)
{
    store_abandon(x.p);
    x.p = NULL;
    kv_close(x.kv);
}

static int try_change(void)
{
    struct vfs_attr a;

    int err = vfs_mknod(x.p, node_of(&x, "main"), "made", S_IFIFO | 0644, 0, &fixture_cred, &a);

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

static void has_all(void)
{
    cr_assert_eq(unreadable(), 0);
    cr_assert_eq(try_change(), 0);
    remove_file(&x, "main/made");
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    cr_assert_eq(unreadable(), 0);
}

/* ---- whatever fails ---- */

static void any_write_fails(int error)
{
    uint64_t n = 1;
    unsigned held = 0, ends = 0;

    for (bool failed = true; failed; n++) {
        fill();
        die();
        fault_reset(&x.fault);
        x.fault.fail_at = n;
        x.fault.error = error;
        cr_assert_eq(open_on(&x, x.disk), 0, "change %d of the disk fails", (int)n);
        failed = atomic_load(&x.fault.writes) >= n;
        x.fault.fail_at = 0;
        (void)unreadable();
        int err = try_change();
        cr_assert(err == 0 || err == -EROFS);
        if (err == 0)
            remove_file(&x, "main/made");
        held += err != 0;
        if (err && !atomic_load(&x.p->readonly)) { /* it is tried again */
            cr_assert_neq(report_count(REPORT_ALARM), 0);
            err = flush_now(x.p);
            cr_assert(err == 0 || atomic_load(&x.p->readonly), "change %d: %d", (int)n, err);
            cr_assert_eq(try_change(), err ? -EROFS : 0);
            if (err == 0)
                remove_file(&x, "main/made");
            ends += err == 0;
        }
        die(); /* again, before it may all be put right by an end */
        fixture_open(&x);
        has_all();
        fixture_teardown(&x);
        fixture_setup(&x);
    }
    cr_assert_gt(n, 20);
    cr_assert_gt(held, 0);
    cr_assert(ends > 0 || error != ENOSPC);
}

Test(recover, whatever_the_disk_refuses_once_the_store_is_opened_and_nothing_is_lost)
{
    any_write_fails(EIO);
}

Test(recover, a_disk_that_is_full_for_once_keeps_nobody_from_their_files)
{
    any_write_fails(ENOSPC);
}

/* ---- names that fail ---- */

/* Opened where that fails; *ret_writable: changes go on. How many files cannot be read. */
static unsigned opened_where(const char *name, int err, bool *ret_writable)
{
    unsigned n;

    fill();
    die();
    report_reset();
    picky_refuse(name, err);
    cr_assert_eq(picky_open(&x), 0, "%s", name);
    n = unreadable();
    err = try_change();
    cr_assert(err == 0 || err == -EROFS);
    *ret_writable = err == 0;
    if (err == 0)
        remove_file(&x, "main/made");
    cr_assert_gt(report_count(REPORT_WARN) + report_count(REPORT_ALARM), 0, "%s", name);
    die();
    fixture_open(&x);
    has_all();
    return n;
}

Test(recover, a_slot_that_the_disk_cannot_open_is_one_files_error)
{
    bool writable;

    cr_assert_leq(opened_where("slots/", -EIO, &writable), 2);
}

/* What opening it, and each try after that, says: the shortage lasts until `err` is 0. */
static void waits_for_its_slots(const char *name, int err)
{
    fill();
    die();
    report_reset();
    picky_refuse(name, err);
    cr_assert_eq(picky_open(&x), 0);
    cr_assert_not(atomic_load(&x.p->readonly), "a shortage is no doubt about the disk");
    cr_assert_eq(report_count(REPORT_ALARM), 1);
    cr_assert_eq(try_read(&x, "main/slot"), err);
    cr_assert_eq(reads("main/object"), 'o');
    cr_assert_eq(try_change(), err, "else a commit would let go of what the log has for them");
    cr_assert_eq(flush_now(x.p), err);
    cr_assert_eq(report_count(REPORT_ALARM), 1, "once");
    cr_assert_not(atomic_load(&x.p->readonly));
    picky_refuse("", 0);
    cr_assert_eq(flush_now(x.p), 0);
    has_all();
    die();
    fixture_open(&x);
    has_all();
}

Test(recover, too_few_descriptors_for_its_slots_are_waited_for)
{
    waits_for_its_slots("slots/", -EMFILE);
}

Test(recover, so_is_memory_for_the_list_of_them)
{
    waits_for_its_slots("slots", -ENOMEM);
}

Test(recover, a_shortage_that_lasts_loses_nothing)
{
    fill();
    die();
    picky_refuse("slots/", -ENFILE);
    cr_assert_eq(picky_open(&x), 0);
    cr_assert_eq(flush_now(x.p), -ENFILE);
    die();
    fixture_open(&x);
    has_all();
}

/* A store that was closed has nothing to recover, but may have slots: there, too. */
Test(recover, a_closed_store_waits_for_its_slots_likewise)
{
    struct vfs_file *f;

    put_large("main/slot", 's', LARGE);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/slot"), VFS_WRITE, &f), 0);
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0); /* open for writing: it stays a slot */
    cr_assert_eq(flush_sync(x.p), 0);
    vfs_release(f);
    cr_assert_eq(log_promise_clear(x.kv), 0);
    cr_assert_eq(log_remove(x.disk), 0);
    die();
    picky_refuse("slots/", -EMFILE);
    cr_assert_eq(picky_open(&x), 0);
    cr_assert_not(x.p->recovered);
    cr_assert_eq(try_change(), -EMFILE);
    cr_assert_not(flush_is_idle(x.p), "else nobody would try again");
    picky_refuse("", 0);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(reads("main/slot"), 's');
    cr_assert_eq(try_change(), 0);
}

Test(recover, what_cannot_be_deleted_keeps_nobody_from_writing)
{
    bool writable;

    cr_assert_eq(opened_where("objects/", -EIO, &writable), 1); /* the one that is there */
    cr_assert(writable);
}

Test(recover, no_pack_and_no_object_can_be_deleted_and_all_goes_on)
{
    fill();
    cr_assert_eq(packs_retire_current(x.p->packs), 0);
    (void)seal_settle(x.p); /* a pack and files that no commit knows */
    remove_file(&x, "main/object");
    put_large("main/object", 'o', LARGE);
    die();
    picky_refuse("packs/", -EIO);
    picky.also = "objects/";
    picky.removals = true;
    int err = picky_open(&x);
    cr_assert_eq(err, 0, "%d", err);
    cr_assert_eq(unreadable(), 0);
    cr_assert_eq(try_change(), 0);
    remove_file(&x, "main/made");
    die();
    picky_refuse("", 0);
    fixture_open(&x);
    has_all();
}

Test(recover, to_begin_a_log_takes_nothing_that_reading_it_did_not)
{
    fill();
    die();
    picky_refuse("incarnation", -EMFILE); /* but for the first time */
    cr_assert_eq(picky_open(&x), 0);
    cr_assert_not(atomic_load(&x.p->readonly));
    has_all();
}

Test(recover, a_log_that_cannot_be_read_is_refused)
{
    fill();
    die();
    picky_refuse("log", -EIO);
    cr_assert_eq(picky_open(&x), -EIO);
    kv_close(x.kv);
    fixture_open(&x);
    has_all();
}

/* ---- a log that is gone ---- */

static void remove_segments(void)
{
    struct log_file *v;
    size_t count;

    cr_assert_eq(log_files(x.disk, &v, &count), 0);
    cr_assert_gt(count, 0);
    free(v);
    cr_assert_eq(log_remove(x.disk), 0);
}

static int open_again(bool accept)
{
    struct replay_limit limit = {0};
    struct state_config config = {.disk = x.disk,
                                    .kv = x.kv,
                                    .clock = &x.clock.base,
                                    .threads = 1,
                                    .log_segment = 1 << 20,
                                    .accept_log_loss = accept,
                                    .limit = &limit};
    int err = store_open(&config, &x.p);

    cr_assert_eq(limit.refused, err < 0);
    return err;
}

static void lost_with_its_only_segment(void)
{
    cr_assert_eq(flush_sync(x.p), 0);
    store_abandon(x.p);
    x.p = NULL;
    remove_segments();
    cr_assert_eq(open_again(false), -EUCLEAN);
    cr_assert_eq(open_again(false), -EUCLEAN, "nothing was changed");
    cr_assert_eq(open_again(true), 0);
    fixture_reopen(&x);
}

Test(recover, a_log_that_is_gone_is_no_log_that_never_was)
{
    put_file(&x, "main/durable", "acknowledged by a sync");
    lost_with_its_only_segment();
    cr_assert_eq(node_of(&x, "main/durable"), 0, "the loss was accepted");
    put_file(&x, "main/after", "goes on");
    fixture_reopen(&x);
    cr_assert_neq(node_of(&x, "main/after"), 0);
}

Test(recover, nor_behind_a_commit)
{
    put_file(&x, "main/committed", "by a flush");
    cr_assert_eq(flush_now(x.p), 0);
    put_file(&x, "main/durable", "acknowledged by a sync");
    lost_with_its_only_segment();
    cr_assert_neq(node_of(&x, "main/committed"), 0);
}

Test(recover, nor_after_a_recovery)
{
    put_file(&x, "main/first", "replayed");
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    put_file(&x, "main/durable", "acknowledged by a sync");
    lost_with_its_only_segment();
    cr_assert_neq(node_of(&x, "main/first"), 0);
}

/* A store that nothing was changed in since it was opened, or that was closed, has none. */
Test(recover, where_there_was_no_log_none_is_missed)
{
    put_file(&x, "main/file", "closed");
    fixture_reopen(&x);
    store_abandon(x.p);
    (void)log_remove(x.disk);
    cr_assert_eq(open_again(false), 0);
    cr_assert_neq(node_of(&x, "main/file"), 0);
}

/* With everything committed the log gives up its only segment, and begins the next in its file. */
Test(recover, a_segment_that_was_given_up_is_not_missed)
{
    unsigned given_up = 0;

    for (unsigned i = 0; i < 40; i++) {
        put_large("main/file", 'a' + (int)(i % 26), 60000);
        cr_assert_eq(flush_now(x.p), 0);
        cr_assert_eq(flush_now(x.p), 0);
        bool gives_up = x.p->log->given_up.segment && !x.p->log->current;

        given_up += gives_up;
        if (!gives_up && i % 10)
            continue;
        store_abandon(x.p);
        cr_assert_eq(open_again(false), 0, "%u", i);
        cr_assert_eq(reads("main/file"), 'a' + (int)(i % 26));
    }
    cr_assert_gt(given_up, 2);
}

/* ---- a commit that is cut off ---- */

#define IN_LOG 40                 /* files */
#define IN_LOG_SIZE (100u * 1024) /* bytes; the buffers of all fill several segments */

static void in_log_name(unsigned i, char out[32])
{
    snprintf(out, 32, "main/f%u", i);
}

/* Several segments of the log are durable and not committed. The power goes at write number `at` of
 * the commit that has them; all that was written by then is on the disk. False: it was not cut. */
static bool commit_is_cut(uint64_t at)
{
    struct log_stats s;
    char name[32];
    bool cut;

    for (unsigned i = 0; i < IN_LOG; i++) {
        in_log_name(i, name);
        put_large(name, 'a' + (int)i % 26, IN_LOG_SIZE);
    }
    cr_assert_eq(flush_sync(x.p), 0);
    log_get_stats(x.p->log, &s);
    cr_assert_geq(s.segments, 4);
    fault_reset(&x.fault);
    x.fault.fail_at = at;
    x.fault.cut = true;
    x.fault.loss = FAULT_KEEP_ALL;
    (void)flush_now(x.p);
    cut = fault_fired(&x.fault);
    die();
    disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
    fixture_open(&x);
    for (unsigned i = 0; i < IN_LOG; i++) {
        in_log_name(i, name);
        cr_assert_eq(reads(name), 'a' + (int)i % 26, "%s, cut at %u", name, (unsigned)at);
    }
    return cut;
}

Test(recover, a_commit_that_is_cut_off_has_taken_nothing_of_the_log)
{
    uint64_t at = 1;

    while (commit_is_cut(at)) {
        gone();
        up();
        at++;
    }
    cr_assert_gt(at, 3);
}
