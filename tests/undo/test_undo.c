// SPDX-License-Identifier: Apache-2.0
/* Claims about taking back operations on namespaces, and doing them again. */
#include "fixture.h"
#include "history_by.h"
#include "kept.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "schedule.h"
#include "undo.h"
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
    put_file(&x, "main/a", "one");
}

static void down(void)
{
    (void)history_by_set(NULL);
    fixture_teardown(&x);
}

TestSuite(undo, .init = up, .fini = down);

static void write_file(const char *path, const char *text)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE | VFS_TRUNC, &f), 0, "%s", path);
    cr_assert_eq(vfs_write(f, text, strlen(text), 0), (ssize_t)strlen(text));
    vfs_release(f);
}

static void is_text(const char *path, const char *text)
{
    char buf[100] = "";
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0, "%s", path);
    cr_assert_geq(vfs_read(f, buf, sizeof buf - 1, 0), 0);
    vfs_release(f);
    cr_assert_str_eq(buf, text, "%s", path);
}

static bool is_there(const char *path)
{
    return node_of(&x, path);
}

/* The number of the newest operation. */
static uint64_t last(void)
{
    struct history_op op;

    cr_assert_eq(history_before(&x.p->history, UINT64_MAX, &op), 0);
    return op.entry.seq;
}

static struct history_op op_of(uint64_t seq)
{
    struct history_op op;

    cr_assert_eq(history_get(&x.p->history, seq, &op), 0);
    return op;
}

static int run(uint64_t seq, bool redo)
{
    const struct undo_call c = {.seq = seq, .redo = redo};
    struct undo_result r;
    int err = undo_run(x.p, &c, &r);

    cr_assert_eq(!r.seq, err < 0);
    merge_result_release(&r.merge);
    return err;
}

static int undo(uint64_t seq)
{
    return run(seq, false);
}

static int redo(uint64_t seq)
{
    return run(seq, true);
}

static void die_and_start(void)
{
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    keep();
}

static uint64_t branch(const char *from, const char *to)
{
    uint64_t seq;
    uint32_t number;

    cr_assert_eq(ns_branch(x.p, from, to, &seq, &number), 0);
    return seq;
}

Test(undo, a_branch_goes_into_the_trash_with_what_was_written_and_comes_back)
{
    uint64_t seq = branch("main", "dev");

    put_file(&x, "dev/b", "two");
    cr_assert_eq(undo(0), 0);
    cr_assert_not(is_there("dev"));
    cr_assert(op_of(seq).undone);
    die_and_start();
    cr_assert(op_of(seq).undone);
    cr_assert_eq(redo(0), 0);
    is_text("dev/b", "two");
    cr_assert_not(op_of(seq).undone);
    cr_assert_eq(undo(seq), 0);
    cr_assert_not(is_there("dev"));
}

Test(undo, a_namespace_that_was_made_and_is_empty_goes_into_the_trash_too)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, "new", S_IFDIR | 0700, 0, &fixture_cred, &a), 0);
    cr_assert_eq(undo(0), 0);
    cr_assert_not(is_there("new"));
    cr_assert_eq(redo(0), 0);
    cr_assert(is_there("new"));
    vfs_forget(x.p, a.nodeid, 1);
}

Test(undo, a_drop_comes_back_under_the_name_that_it_had)
{
    branch("main", "dev");
    agreed(&x, "drop dev", "ok");
    cr_assert_eq(undo(last()), 0);
    is_text("dev/a", "one");
    cr_assert_eq(redo(0), 0);
    cr_assert_not(is_there("dev"));
}

Test(undo, a_drop_does_not_come_back_over_another_namespace_of_that_name)
{
    char line[40];
    uint64_t seq;

    branch("main", "dev");
    agreed(&x, "drop dev", "ok");
    seq = last();
    branch("main", "dev");
    cr_assert_eq(undo(seq), -EEXIST);
    cr_assert_not(op_of(seq).undone);
    snprintf(line, sizeof line, "undo %llu", (unsigned long long)seq);
    refused(&x, line, -EEXIST, "the name that this would give is taken");
    cr_assert_eq(undo(0), 0); /* the new one goes */
    cr_assert_eq(undo(0), 0);
    is_text("dev/a", "one");
}

Test(undo, a_rename_and_an_exchange_are_turned_around)
{
    branch("main", "dev");
    write_file("dev/a", "two");
    cr_assert_eq(ns_rename(x.p, "dev", "other", 0), 0);
    cr_assert_eq(ns_rename(x.p, "other", "main", RENAME_EXCHANGE), 0);
    is_text("main/a", "two");
    cr_assert_eq(undo(0), 0);
    is_text("main/a", "one");
    cr_assert_eq(undo(0), 0);
    is_text("dev/a", "two");
    cr_assert_eq(redo(0), 0);
    is_text("other/a", "two");
    cr_assert_eq(redo(0), 0);
    is_text("main/a", "two");
}

Test(undo, a_rename_of_what_has_another_name_by_now_is_not_turned_around)
{
    uint64_t seq;

    branch("main", "dev");
    cr_assert_eq(ns_rename(x.p, "dev", "second", 0), 0);
    seq = last();
    cr_assert_eq(ns_rename(x.p, "second", "third", 0), 0);
    cr_assert_eq(undo(seq), -ENODATA);
    cr_assert(is_there("third"));
    cr_assert_eq(undo(0), 0);
    cr_assert_eq(undo(seq), 0);
    cr_assert(is_there("dev"));
}

Test(undo, a_snapshot_is_removed_unless_it_is_held_and_cannot_be_made_again)
{
    uint64_t seq;
    struct ns *ns;

    agreed(&x, "snapshot main s", "ok");
    seq = last();
    agreed(&x, "hold main@s", "ok");
    cr_assert_eq(undo(seq), -EBUSY);
    agreed(&x, "unhold main@s", "ok");
    cr_assert_eq(undo(seq), 0);
    cr_assert_eq(ns_find(x.p, "main@s", &ns), -ENOENT);
    cr_assert_eq(redo(seq), -EOPNOTSUPP);
    cr_assert_eq(redo(0), -ENOENT);
}

Test(undo, an_undrop_is_a_drop_again)
{
    branch("main", "dev");
    agreed(&x, "drop dev", "ok");
    agreed(&x, "undrop dev", "ok");
    cr_assert_eq(undo(last()), 0);
    cr_assert_not(is_there("dev"));
}

/* Commits a text to main/NAME by the branch dev. Returns the number of the commit. */
static uint64_t commit(const char *name, const char *text)
{
    char path[32];

    snprintf(path, sizeof path, "dev/%s", name);
    if (is_there(path))
        write_file(path, text);
    else
        put_file(&x, path, text);
    agreed(&x, "commit dev", "ok");
    return last();
}

Test(undo, a_merge_that_is_not_the_newest_is_taken_back_and_later_ones_stay)
{
    uint64_t first, second;

    branch("main", "dev");
    first = commit("a", "two");
    second = commit("b", "new");
    write_file("main/b", "later");
    cr_assert_eq(undo(first), 0);
    is_text("main/a", "one");
    is_text("main/b", "later");
    cr_assert(op_of(first).undone);
    cr_assert_not(op_of(second).undone);
    cr_assert_eq(redo(first), 0);
    is_text("main/a", "two");
    cr_assert_eq(undo(first), 0);
    is_text("main/a", "one");
}

Test(undo, a_merge_that_later_writes_depend_on_changes_nothing)
{
    const struct undo_call c = {.seq = 0};
    struct undo_result r;
    uint64_t seq;

    branch("main", "dev");
    seq = commit("a", "two");
    write_file("main/a", "three");
    cr_assert_eq(undo_run(x.p, &c, &r), -EEXIST);
    cr_assert_eq(r.op.entry.seq, seq);
    cr_assert_eq(r.merge.conflict_count, 1);
    merge_result_release(&r.merge);
    is_text("main/a", "three");
    cr_assert_not(op_of(seq).undone);
}

Test(undo, a_merge_is_known_as_undone_also_if_the_namespace_was_named)
{
    uint64_t seq;

    branch("main", "dev");
    seq = commit("a", "two");
    agreed(&x, "undo main", "into=main");
    cr_assert(op_of(seq).undone);
    cr_assert_eq(undo(seq), -EALREADY);
    agreed(&x, "redo main", "into=main");
    cr_assert_not(op_of(seq).undone);
    cr_assert_eq(redo(seq), -EALREADY);
    is_text("main/a", "two");
}

Test(undo, without_a_number_the_newest_goes_first_and_comes_back_last)
{
    uint64_t one = branch("main", "b1"), two = branch("main", "b2");

    cr_assert_eq(undo(0), 0);
    cr_assert(op_of(two).undone);
    cr_assert_eq(undo(0), 0);
    cr_assert(op_of(one).undone);
    cr_assert_eq(undo(0), -ENOENT); /* main was made by nobody */
    cr_assert(is_there("main"));
    cr_assert_eq(redo(0), 0);
    cr_assert_not(op_of(one).undone);
    cr_assert(op_of(two).undone);
    cr_assert_eq(redo(0), 0);
    cr_assert_eq(redo(0), -ENOENT);
    cr_assert(is_there("b1") && is_there("b2"));
}

Test(undo, without_a_number_what_the_program_did_by_itself_is_passed_over)
{
    uint64_t seq, expired;

    agreed(&x, "branch main dev ttl=1h", "ok");
    seq = branch("main", "other");
    (void)history_by_set(NULL);
    clock_manual_advance(&x.clock, 2 * 3600 * NSEC_PER_SEC);
    schedule_run(x.p);
    expired = last();
    cr_assert_neq(expired, seq);
    (void)history_by_set(&me);
    cr_assert_eq(undo(0), 0);
    cr_assert(op_of(seq).undone);
    cr_assert_eq(undo(expired), 0); /* by its number it is taken back, and does not expire again */
    schedule_run(x.p);
    is_text("dev/a", "one");
    cr_assert_eq(redo(0), 0);
    cr_assert_not(is_there("dev"));
}

Test(undo, the_number_of_an_undo_means_what_was_undone)
{
    uint64_t seq = branch("main", "dev"), undone;
    char line[40];

    cr_assert_eq(undo(0), 0);
    undone = last();
    cr_assert_eq(undo(undone), 0); /* it is done again */
    cr_assert(is_there("dev"));
    cr_assert_eq(op_of(last()).entry.of, seq);
    cr_assert(op_of(last()).entry.again);
    cr_assert_eq(undo(undone), -EALREADY);
    snprintf(line, sizeof line, "undo %llu", (unsigned long long)undone);
    refused(&x, line, -EALREADY, "is not undone");
    cr_assert_eq(undo(last()), 0);
    cr_assert_not(is_there("dev"));
}

Test(undo, what_is_gone_is_refused_with_the_time_at_which_it_went)
{
    const struct undo_call c = {.seq = 0};
    uint64_t dropped, merged, branched = branch("main", "dev");
    struct undo_result r;

    merged = commit("a", "two");
    agreed(&x, "drop dev", "ok");
    dropped = last();
    cr_assert_eq(undo(branched), -ENODATA); /* it is dropped already */
    clock_manual_advance(&x.clock, 3600 * NSEC_PER_SEC);
    agreed(&x, "trash empty", "ok");
    cr_assert_eq(undo_run(x.p, &(struct undo_call){.seq = dropped}, &r), -ENODATA);
    cr_assert_eq(r.gone, (1000 + 3600) * NSEC_PER_SEC);
    refused(&x, "undo 99999", -ENOENT, "there is no change 99999");
    clock_manual_advance(&x.clock, 5 * DAY);
    kept_expire(x.p);
    cr_assert_eq(undo_run(x.p, &(struct undo_call){.seq = merged}, &r), -ENODATA);
    cr_assert_eq(r.gone, 1000 * NSEC_PER_SEC + DAY);
    cr_assert_eq(undo_run(x.p, &c, &r), -ENOENT);
}

Test(undo, an_operation_of_another_kind_says_so)
{
    struct vfs_attr a;

    branch("main", "dev");
    agreed(&x, "detach dev", "ok");
    cr_assert_eq(undo(last()), -EOPNOTSUPP);
    agreed(&x, "drop dev now", "ok");
    cr_assert_eq(undo(last()), -EOPNOTSUPP);
    branch("main", "dev");
    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, "e", S_IFDIR | 0700, 0, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(ns_rename(x.p, "dev", "e", 0), 0);
    cr_assert_eq(undo(last()), -EOPNOTSUPP);
    is_text("e/a", "one");
}

Test(undo, nothing_is_deleted_for_good)
{
    uint64_t seq = branch("main", "dev");

    settings_put(&x.p->settings, SET_TRASH_KEEP, 0);
    cr_assert_eq(undo(seq), -EPERM);
    refused(&x, "undo", -EPERM, "trash_keep is 0");
    is_text("dev/a", "one");
}

Test(undo, a_branch_with_open_files_stays)
{
    uint64_t seq = branch("main", "dev");
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, "dev/a"), 0, &f), 0);
    cr_assert_eq(undo(seq), -EBUSY);
    vfs_release(f);
    cr_assert_eq(undo(seq), 0);
}

/* ---- the verbs ---- */

Test(undo, the_verbs_say_what_they_did)
{
    branch("main", "dev");
    agreed(&x, "undo", "op=branch ns=dev from=main");
    agreed(&x, "redo", "op=branch ns=dev from=main");
    agreed(&x, "history", "operations=4");
    agreed(&x, "history last=1", "op=redo of=");
    agreed(&x, "history last=1", "operations=1");
    agreed(&x, "history dev last=1", "did=undrop ns=dev");
    agreed(&x, "history main", "state=done");
    refused(&x, "history none", -ENOENT, "none");
    refused(&x, "history last=x", -EINVAL, "last");
    refused(&x, "undo 0", -ENOENT, "no change 0");
    refused(&x, "undo main ns=main", -EINVAL, "usage");
    refused(&x, "undo main", -ENOENT, "nothing was merged into main");
}

Test(undo, a_number_is_that_of_a_change_unless_it_is_quoted_or_an_option)
{
    branch("main", "7");
    put_file(&x, "7/b", "x");
    agreed(&x, "branch 7 dev", "ok");
    put_file(&x, "dev/c", "y");
    agreed(&x, "commit dev", "into=7");
    refused(&x, "undo 7777", -ENOENT, "no change 7777");
    agreed(&x, "undo \"7\"", "into=7");
    cr_assert_not(is_there("7/c"));
    agreed(&x, "redo ns=7", "into=7");
    cr_assert(is_there("7/c"));
}

Test(undo, a_line_has_a_state)
{
    uint64_t seq = branch("main", "dev");
    char line[100];

    agreed(&x, "history dev", "ns=dev from=main state=done");
    agreed(&x, "undo", "ok");
    snprintf(line, sizeof line, "op=undo of=%llu did=drop ns=dev\n", (unsigned long long)seq);
    agreed(&x, "history dev", line);
    agreed(&x, "history dev", "ns=dev from=main state=undone");
    agreed(&x, "trash empty", "ok");
    agreed(&x, "history dev", "op=remove ns=dev was=dev@dropped");
}
