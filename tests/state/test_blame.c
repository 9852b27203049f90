// SPDX-License-Identifier: Apache-2.0
/*
 * test_blame: where not all can be made durable, a drain and an unmount say what it is, whose file
 * that is, and why.
 */
#include "fixture.h"

#include "disk_impl.h"
#include "durability.h"
#include "kv_impl.h"
#include "store_impl.h"
#include "report.h"

static struct fixture x;
static const struct disk_ops *whole;
static struct disk_ops changed;
static int broken; /* what a sync says */

static void up(void)
{
    fixture_setup(&x);
    whole = x.disk->ops;
    changed = *whole;
}
static void down(void)
{
    fixture_teardown(&x);
}
TestSuite(blame, .init = up, .fini = down);

static int open_no_new(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    bool is_new =
        flags & DISK_CREATE && (strncmp(name, "packs/", 6) == 0 || strncmp(name, "slots/", 6) == 0);

    return is_new ? -EIO : whole->open(d, name, flags, ret);
}

static int link_nothing(struct disk *d, const char *from, const char *to)
{
    (void)d;
    (void)from;
    (void)to;
    return -EIO;
}

static int sync_badly(struct disk_file *f)
{
    (void)f;
    return broken;
}

static int open_unsyncable(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    int err = whole->open(d, name, flags, ret);

    if (err == 0 && strncmp(name, "packs/", 6) == 0)
        (*ret)->ops = &changed;
    return err;
}

static int open_unsyncable_slot(struct disk *d, const char *name, unsigned flags,
                                struct disk_file **ret)
{
    int err = whole->open(d, name, flags, ret);

    if (err == 0 && strncmp(name, "slots/", 6) == 0)
        (*ret)->ops = &changed;
    return err;
}

Test(blame, content_that_finds_no_place_is_named_with_its_file)
{
    changed.open = open_no_new;
    x.disk->ops = &changed;
    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok seq=");
    refused(&x, "drain idle", -EIO, "content ");
    refused(&x, "drain idle", -EIO, " cannot be sealed (Input/output error); it is used by main/a;");
    x.disk->ops = whole;
    agreed(&x, "drain idle", "ok seq=");
}

Test(blame, a_slot_that_stays_one_is_named_with_its_file)
{
    static char buf[300000];
    struct vfs_file *f;
    struct vfs_attr a;

    changed.link = link_nothing;
    x.disk->ops = &changed;
    cr_assert_eq(
        vfs_create(x.p, node_of(&x, "main"), "big", 0644, &fixture_cred, VFS_WRITE, &a, &f), 0);
    cr_assert_eq(vfs_write(f, buf, sizeof buf, 0), (ssize_t)sizeof buf);
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
    refused(&x, "drain idle", -EIO,
            " cannot be sealed (Input/output error); it is used by main/big;");
    x.disk->ops = whole;
    agreed(&x, "drain idle", "ok seq=");
}

Test(blame, a_pack_that_cannot_be_synced_is_named_and_an_unmount_says_so_too)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;

    changed.open = open_unsyncable;
    changed.sync = sync_badly;
    broken = -EIO;
    x.disk->ops = &changed;
    put_file(&x, "main/a", "hello");
    refused(&x, "drain", -EIO, "not all could be made durable: syncing pack 1 failed");
    refused(&x, "drain", -EROFS,
            "syncing pack 1 failed (Input/output error); the store is read-only");
    refused(&x, "wait durable main", -EROFS,
            ": the store is read-only; not all could be made durable: syncing pack 1 failed");
    x.disk->ops = whole;
    cr_assert_eq(store_close_told(x.p, &why), -EROFS);
    cr_assert(strstr(why.s, "the last flush failed, so its changes are in the log at most: syncing "
                            "pack 1 failed (Input/output error)"),
              "%s", why.s);
    kv_close(x.kv);
    fixture_open(&x);
}

Test(blame, tables_that_cannot_be_written_are_named)
{
    unsigned failed = 0;
    char path[32];

    agreed(&x, "drain", "ok seq=");
    put_file(&x, "main/a", "hello");
    x.fault.error = ENOSPC;
    for (uint64_t i = 1; i < 20; i++) {
        char reply[4096];
        x.fault.fail_at = atomic_load(&x.fault.writes) + i;
        if (say(&x, "drain", reply) < 0) {
            failed++;
            cr_assert(strstr(reply, "not all could be made durable: "), "%s", reply);
            cr_assert(strstr(reply, "failed (No space left on device)") ||
                          strstr(reply, "sealed (No space left on device)"),
                      "%s", reply);
        }
        x.fault.fail_at = 0;
        snprintf(path, sizeof path, "main/b%u", (unsigned)i);
        put_file(&x, path, "hello again");
    }
    cr_assert_gt(failed, 0, "no drain failed");
    agreed(&x, "drain", "ok seq=");
}

/* ---- whoever else waits for it ---- */

/* The newest alarm. */
static const char *alarm_text(void)
{
    static char text[1][REPORT_TEXT];

    return report_recent(REPORT_ALARM, text, 1) ? text[0] : "";
}

Test(blame, who_waits_for_a_ticket_is_answered_with_it_too)
{
    struct flush_ask ask = {SEAL_READY, NULL};
    struct ticket *t;
    char line[64];

    put_file(&x, "main/a", "hello");
    changed.open = open_unsyncable;
    changed.sync = sync_badly;
    broken = -EIO;
    x.disk->ops = &changed;
    cr_assert_eq(coordinator_flush(x.p->flush->coordinator, &ask, false, &t), 0);
    (void)coordinator_run(x.p->flush->coordinator);
    snprintf(line, sizeof line, "wait ticket %u", (unsigned)ticket_number(t));
    ticket_unref(t);
    refused(&x, line, -EROFS, "dropped before completion: ");
    refused(&x, line, -EROFS,
            "not all could be made durable: syncing pack 1 failed (Input/output error); the store");
    x.disk->ops = whole;
}

Test(blame, an_fsync_that_fails_names_the_file_in_the_log)
{
    static char buf[300000];
    struct vfs_file *f;
    struct vfs_attr a;

    changed.open = open_unsyncable_slot;
    changed.sync = sync_badly;
    broken = -EIO;
    x.disk->ops = &changed;
    report_reset();
    cr_assert_eq(
        vfs_create(x.p, node_of(&x, "main"), "big", 0644, &fixture_cred, VFS_WRITE, &a, &f), 0);
    cr_assert_eq(vfs_write(f, buf, sizeof buf, 0), (ssize_t)sizeof buf);
    cr_assert_eq(flush_sync(x.p), -EIO);
    cr_assert(strstr(alarm_text(), "fsync failed: syncing slot "), "%s", alarm_text());
    cr_assert(strstr(alarm_text(), "failed (Input/output error); it is used by main/big"), "%s",
              alarm_text());
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
    x.disk->ops = whole;
}

/* ---- a store that is read-only ---- */

static const struct kv_ops *kv_whole;

/* A commit that succeeds, while a sync of a later batch fails. */
static int commit_beside_a_failure(struct kv_txn *t)
{
    blame_note(x.p, BLAME_FLUSH, -EIO, 0, "syncing pack %d failed", 7);
    state_turn_readonly(x.p, "a sync", -EIO);
    return kv_whole->commit(t);
}

Test(blame, a_commit_that_was_on_its_way_hides_nothing_of_why_a_store_is_read_only)
{
    static struct kv_ops ops;

    put_file(&x, "main/a", "hello");
    ops = *(kv_whole = x.kv->ops);
    ops.commit = commit_beside_a_failure;
    x.kv->ops = &ops;
    (void)flush_now(x.p);
    x.kv->ops = kv_whole;
    cr_assert(atomic_load(&x.p->readonly));
    refused(&x, "drain", -EROFS,
            "syncing pack 7 failed (Input/output error); the store is read-only");
}

Test(blame, without_a_note_the_reason_is_that_of_the_read_only_store)
{
    state_turn_readonly(x.p, "a sync", -EIO);
    blame_clear(x.p, BLAME_FLUSH);
    blame_note(x.p, BLAME_SLOT, -ENOSPC, 0, "a slot cannot be sealed");
    refused(&x, "drain", -EROFS, "a sync failed (Input/output error); the store is read-only");
}

/* ---- an end after which the log stays ---- */

static int unlink_no_log(struct disk *d, const char *name)
{
    return strncmp(name, "log/", 4) == 0 ? -EIO : whole->unlink(d, name);
}

/* Only the end of the store closes the log. */
static int commit_while_there_is_a_log(struct kv_txn *t)
{
    if (x.p->log)
        return kv_whole->commit(t);
    kv_whole->abort(t);
    return -EIO;
}

/* Closes the store, which cannot remove its log. All that it had is in the commit. */
static void ends_with_its_log(void)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;

    cr_assert_eq(store_close_told(x.p, &why), -EIO);
    cr_assert_str_eq(why.s, "everything is committed, but the log could not be removed "
                            "(Input/output error): the next mount reads it");
    x.disk->ops = whole;
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(x.p->replayed.changes, 0);
    cr_assert_neq(node_of(&x, "main/a"), 0);
}

Test(blame, a_log_that_cannot_be_removed_is_no_flush_that_failed)
{
    put_file(&x, "main/a", "hello");
    changed.unlink = unlink_no_log;
    x.disk->ops = &changed;
    ends_with_its_log();
}

Test(blame, a_log_whose_promise_cannot_be_taken_back_is_no_flush_that_failed)
{
    static struct kv_ops ops;

    put_file(&x, "main/a", "hello");
    ops = *(kv_whole = x.kv->ops);
    ops.commit = commit_while_there_is_a_log;
    x.kv->ops = &ops;
    ends_with_its_log();
}
