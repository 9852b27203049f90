// SPDX-License-Identifier: Apache-2.0
/* Claims about large merges, which are made beside those who write. */
#include "merge_fixture.h"
#include "ns_branch.h"

TestSuite(merge_aside, .init = up, .fini = down);

/* What is done while a large merge is made. */
struct beside {
    void (*fn)(void);
};
static unsigned beside_calls;

/* Runs once, at the first call. */
static void on_beside(void *ctx)
{
    const struct beside *b = ctx;

    if (beside_calls++ == 0)
        b->fn();
}

/* Merges dev into main as a large merge, and calls `fn` while it is made. */
static int merge_beside_as(struct merge_call c, void (*fn)(void), struct merge_result *ret)
{
    const struct beside b = {fn};
    int err;

    c.label = "dev";
    c.beside = on_beside;
    c.ctx = (void *)(uintptr_t)&b;

    beside_calls = 0;
    x.p->config.merge_at_once = x.p->config.merge_at_once ? x.p->config.merge_at_once : 1;
    cr_assert_eq(ns_get_by_name(x.p, "dev", &c.theirs), 0);
    cr_assert_eq(ns_get_by_name(x.p, "main", &c.ours), 0);
    err = merge_run(x.p, &c, ret);
    ns_put(x.p, c.theirs);
    ns_put(x.p, c.ours);
    cr_assert_gt(beside_calls, 1);
    return err;
}

static int merge_beside(void (*fn)(void), struct merge_result *ret)
{
    return merge_beside_as((struct merge_call){.rule = MERGE_FAIL}, fn, ret);
}

static size_t drafts(void)
{
    uint32_t at = 0;
    size_t n = 0;
    struct ns *ns;

    while (ns_next_number(x.p, at, &ns) == 0) {
        at = ns->number;
        n += ns->hidden.kind == NS_DRAFT;
        ns_put(x.p, ns);
    }
    return n;
}

static void change_main(void)
{
    put_file(&x, "main/later", "later");
    write_file("main/d/f", "main's");
    move_to("main/l", "main/d/l");
}

Test(merge_aside, others_write_while_a_large_merge_is_made_and_it_has_what_they_wrote)
{
    struct merge_result r;

    write_file("dev/a", "changed");
    put_file(&x, "dev/new", "new");
    cr_assert_eq(merge_beside(change_main, &r), 0);
    cr_assert_gt(r.seq, 0);
    is_text("main/a", "changed");
    is_text("main/new", "new");
    is_text("main/later", "later");
    is_text("main/d/f", "main's");
    cr_assert_neq(node_of(&x, "main/d/l"), 0);
    cr_assert_eq(node_of(&x, "main/l"), 0);
    cr_assert_eq(drafts(), 0);
    agreed(&x, "undo main", "ok");
    is_text("main/a", "hello");
    is_text("main/later", "later");
    cr_assert_eq(node_of(&x, "main/new"), 0);
    cr_assert_eq(drafts(), 0);
}

Test(merge_aside, a_start_from_the_log_has_a_large_merge_and_what_was_written_beside_it)
{
    struct merge_result r;

    write_file("dev/a", "changed");
    put_file(&x, "dev/new", "new");
    remove_file(&x, "dev/l");
    cr_assert_eq(merge_beside(change_main, &r), 0); /* planned anew: it was renamed, and stays */
    put_file(&x, "main/behind", "behind");
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    keep();
    is_text("main/a", "changed");
    is_text("main/new", "new");
    is_text("main/d/f", "main's");
    is_text("main/behind", "behind");
    cr_assert_neq(node_of(&x, "main/d/l"), 0);
    cr_assert_eq(drafts(), 0);
    write_file("dev/a", "again");
    agreed(&x, "commit dev", "inodes=1");
}

static void write_a(void)
{
    write_file("main/a", "main's");
}

Test(merge_aside, what_both_changed_while_a_large_merge_was_made_is_a_conflict)
{
    struct merge_result r;

    write_file("dev/a", "dev's");
    put_file(&x, "dev/new", "new");
    cr_assert_eq(merge_beside(write_a, &r), -EEXIST);
    cr_assert_eq(r.conflict_count, 1);
    cr_assert_eq(r.conflicts[0].why, MERGE_CONTENT);
    cr_assert_str_eq(r.conflicts[0].path, "a");
    merge_result_release(&r);
    is_text("main/a", "main's");
    cr_assert_eq(node_of(&x, "main/new"), 0);
    cr_assert_eq(drafts(), 0);
}

static struct vfs_file *opened;

static void open_a(void)
{
    opened = open_file("main/a", 0);
}

static void write_to_a(void)
{
    opened = open_file("main/a", VFS_WRITE);
}

Test(merge_aside, a_file_that_is_opened_for_writing_while_a_large_merge_is_made_does_not_change)
{
    struct merge_result r;

    write_file("dev/a", "changed");
    cr_assert_eq(merge_beside(write_to_a, &r), -EEXIST);
    cr_assert_eq(r.conflicts[0].why, MERGE_OPEN);
    merge_result_release(&r);
    is_text("main/a", "hello");
    vfs_release(opened);
    agreed(&x, "commit dev", "ok");
    is_text("main/a", "changed");
}

Test(merge_aside, a_file_that_is_open_for_writing_before_a_large_merge_does_not_change)
{
    struct vfs_file *f = open_file("main/a", VFS_WRITE);

    write_file("dev/a", "changed");
    x.p->config.merge_at_once = 1;
    refused(&x, "commit dev", -EEXIST, "1 conflict");
    is_text("main/a", "hello");
    vfs_release(f);
}

/* The node stays what it was for those who have it open, and the name has another one. */
static void is_left(struct vfs_file *f, uint64_t node)
{
    struct vfs_attr a;

    reads(f, "hello");
    is_text("main/a", "changed");
    cr_assert_neq(node_of(&x, "main/a"), node);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert(a.nlink == 0 && a.size == 5);
    vfs_release(f);
    cr_assert_eq(vfs_getattr(x.p, node, &a), -ESTALE);
    is_sound();
    is_text("main/a", "changed");
}

Test(merge_aside, a_file_that_is_open_for_reading_before_a_large_merge_stays_what_it_was)
{
    uint64_t node = node_of(&x, "main/a");
    struct vfs_file *f = open_file("main/a", 0);

    write_file("dev/a", "changed");
    x.p->config.merge_at_once = 1;
    agreed(&x, "commit dev", "names=0 inodes=1");
    is_left(f, node);
}

Test(merge_aside, a_file_that_is_opened_for_reading_while_a_large_merge_is_made_stays_what_it_was)
{
    uint64_t node = node_of(&x, "main/a");
    struct merge_result r;

    write_file("dev/a", "changed");
    cr_assert_eq(merge_beside(open_a, &r), 0);
    is_left(opened, node);
}

static void close_a(void)
{
    vfs_release(opened);
}

/* The kernel is to forget the bytes of a node. */
static void on_bytes(void *ctx, uint64_t nodeid)
{
    bool *told = ctx;

    *told |= nodeid == node_of(&x, "main/a");
}

Test(merge_aside, of_a_file_that_is_closed_when_a_large_merge_ends_the_kernel_forgets_the_bytes)
{
    uint64_t node = node_of(&x, "main/a");
    bool told = false;
    const struct state_events events = {.bytes = on_bytes, .ctx = &told};
    struct merge_result r;

    write_file("dev/a", "changed");
    open_a();
    state_set_events(x.p, &events);
    cr_assert_eq(merge_beside(close_a, &r), 0);
    state_set_events(x.p, NULL);
    cr_assert(told);
    is_text("main/a", "changed");
    cr_assert_eq(node_of(&x, "main/a"), node);
}

Test(merge_aside, a_file_that_was_left_to_its_reader_twice_is_the_merged_one_after_a_crash)
{
    struct vfs_file *f = open_file("main/a", 0), *g;

    x.p->config.merge_at_once = 1;
    write_file("dev/a", "one");
    agreed(&x, "commit dev", "ok");
    g = open_file("main/a", 0);
    write_file("dev/a", "two");
    agreed(&x, "commit dev", "names=0 inodes=1");
    reads(f, "hello");
    reads(g, "one");
    remove_file(&x, "dev/a");
    vfs_release(f);
    f = open_file("main/a", 0);
    agreed(&x, "commit dev", "names=1");
    reads(f, "two");
    reads(g, "one");
    vfs_release(f);
    vfs_release(g);
    agreed(&x, "undo main", "ok");
    crash();
    is_text("main/a", "two");
}

Test(merge_aside, a_file_comes_back_by_a_large_merge_beside_what_was_it_and_is_open)
{
    struct vfs_file *f = open_file("main/a", VFS_WRITE);

    x.p->config.merge_at_once = 1;
    remove_file(&x, "dev/a");
    agreed(&x, "commit dev", "ok");
    agreed(&x, "undo main", "ok");
    cr_assert_eq(vfs_write(f, "HE", 2, 0), 2);
    is_text("main/a", "hello");
    reads(f, "HEllo");
    vfs_release(f);
    is_text("main/a", "hello");
}

Test(merge_aside, a_file_that_is_opened_while_a_large_merge_takes_it_away_can_be_read_on)
{
    struct merge_result r;
    char buf[10];

    remove_file(&x, "dev/a");
    cr_assert_eq(merge_beside(open_a, &r), 0);
    cr_assert_eq(node_of(&x, "main/a"), 0);
    cr_assert_eq(vfs_read(opened, buf, sizeof buf, 0), 5);
    agreed(&x, "drain", "ok");
    cr_assert_eq(vfs_read(opened, buf, sizeof buf, 0), 5);
    vfs_release(opened);
}

static void open_and_remove_a(void)
{
    open_a();
    remove_file(&x, "main/a");
}

Test(merge_aside, a_file_that_both_take_away_is_one_file_without_a_name)
{
    struct merge_result r;
    char buf[10];

    remove_file(&x, "dev/a");
    cr_assert_eq(merge_beside(open_and_remove_a, &r), 0);
    cr_assert_eq(vfs_read(opened, buf, sizeof buf, 0), 5);
    vfs_release(opened);
    agreed(&x, "drain", "ok");
}

static void open_and_remove_f(void)
{
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/d/f"), 0, &opened), 0);
    remove_file(&x, "main/d/f");
}

Test(merge_aside, a_file_that_is_removed_while_a_large_merge_is_made_stays_one_file_without_a_name)
{
    struct merge_result r;
    uint64_t next = x.p->orphans.next_ino;
    char buf[10];

    write_file("dev/a", "changed");
    cr_assert_eq(merge_beside(open_and_remove_f, &r), 0);
    cr_assert_eq(x.p->orphans.next_ino, next + 1);
    cr_assert_eq(node_of(&x, "main/d/f"), 0);
    cr_assert_eq(vfs_read(opened, buf, sizeof buf, 0), 4);
    vfs_release(opened);
}

Test(merge_aside, numbers_of_files_that_came_with_a_large_merge_are_taken)
{
    struct ns *main_ns;

    put_file(&x, "dev/new", "new");
    x.p->config.merge_at_once = 1;
    agreed(&x, "commit dev", "ok");
    cr_assert_eq(ns_get_by_name(x.p, "main", &main_ns), 0);
    cr_assert_gt(main_ns->next_ino, vfs_node_ino(node_of(&x, "main/new")));
    ns_put(x.p, main_ns);
}

static void read_f(void)
{
    struct vfs_attr in = {.atime = 77 * NSEC_PER_SEC}, a;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/d/f"), VFS_SET_ATIME, &in, &a), 0);
}

Test(merge_aside, a_time_of_access_that_changes_while_a_large_merge_is_made_stays)
{
    struct merge_result r;

    write_file("dev/a", "changed");
    cr_assert_eq(merge_beside(read_f, &r), 0);
    is_text("main/a", "changed");
    cr_assert_eq(attr_of("main/d/f").atime, 77 * NSEC_PER_SEC);
}

static void make_many(void)
{
    char path[32];

    for (unsigned i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "main/d/many%u", i);
        put_file(&x, path, "m");
    }
}

Test(merge_aside, a_large_rest_is_brought_into_the_result_before)
{
    struct merge_result r;

    x.p->config.merge_at_once = 2;
    write_file("dev/a", "changed");
    remove_file(&x, "dev/l");
    cr_assert_eq(merge_beside(make_many, &r), 0);
    is_text("main/a", "changed");
    cr_assert_eq(node_of(&x, "main/l"), 0);
    is_text("main/d/many0", "m");
    is_text("main/d/many39", "m");
    is_text("main/d/f", "in d");
}

static void write_later(void)
{
    put_file(&x, "main/later", "later");
}

/* Each part of a plan has 64 steps; the last call is before main gets the result. */
Test(merge_aside, a_small_rest_of_a_merge_of_many_files_is_made_at_the_instant)
{
    struct merge_result r;
    char path[32];
    uint64_t steps;

    make_dir("dev/m");
    for (unsigned i = 0; i < 800; i++) {
        snprintf(path, sizeof path, "dev/m/%u", i);
        put_file(&x, path, "m");
    }
    cr_assert_eq(merge_beside(write_later, &r), 0);
    steps = r.inodes + r.names + 2 /* directories */ + 2 * r.names;
    cr_assert_eq(beside_calls, (steps + 63) / 64 + 1, "%u of %llu", beside_calls, (unsigned long long)steps);
    is_text("main/later", "later");
    is_text("main/m/799", "m");
}

static _Atomic bool stop;
static void interrupt(void)
{
    stop = true;
}

Test(merge_aside, an_interrupted_large_merge_changes_nothing_and_leaves_nothing)
{
    const struct beside b = {interrupt};
    struct merge_call c = {
        .label = "dev", .beside = on_beside, .ctx = (void *)(uintptr_t)&b, .interrupted = &stop};
    struct merge_result r;

    stop = false;
    beside_calls = 0;
    write_file("dev/a", "changed");
    x.p->config.merge_at_once = 1;
    cr_assert_eq(ns_get_by_name(x.p, "dev", &c.theirs), 0);
    cr_assert_eq(ns_get_by_name(x.p, "main", &c.ours), 0);
    cr_assert_eq(merge_run(x.p, &c, &r), -EINTR);
    ns_put(x.p, c.theirs);
    ns_put(x.p, c.ours);
    is_text("main/a", "hello");
    cr_assert_eq(drafts(), 0);
}

/* ---- with what else a merge can be asked for ---- */

static uint64_t seq_of_main(void)
{
    struct ns *ns;
    uint64_t seq;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    seq = ns->seq;
    ns_put(x.p, ns);
    return seq;
}

static void nothing(void)
{
}

Test(merge_aside, a_large_merge_is_done_if_the_namespace_is_still_at_that_change)
{
    struct merge_result r;

    write_file("dev/a", "changed");
    cr_assert_eq(merge_beside_as((struct merge_call){.if_seq = seq_of_main()}, nothing, &r), 0);
    is_text("main/a", "changed");
}

Test(merge_aside, a_large_merge_is_not_done_if_the_namespace_changed_before_or_while_it_is_made)
{
    uint64_t before = seq_of_main();
    struct merge_call c = {.if_seq = before};
    struct merge_result r;

    write_file("dev/a", "changed");
    cr_assert_eq(merge_beside_as(c, write_later, &r), -ECANCELED);
    is_text("main/a", "hello");
    is_text("main/later", "later");
    cr_assert_eq(drafts(), 0);
    cr_assert_eq(ns_get_by_name(x.p, "dev", &c.theirs), 0);
    cr_assert_eq(ns_get_by_name(x.p, "main", &c.ours), 0);
    cr_assert_eq(merge_run(x.p, &c, &r), -ECANCELED);
    ns_put(x.p, c.theirs);
    ns_put(x.p, c.ours);
    is_text("main/a", "hello");
}

Test(merge_aside, the_history_has_a_large_merge_also_after_a_crash)
{
    struct merge_result r;
    struct history_op op;

    write_file("dev/a", "changed");
    cr_assert_eq(merge_beside(write_later, &r), 0);
    cr_assert_eq(history_before(&x.p->history, UINT64_MAX, &op), 0);
    cr_assert_eq(op.entry.kind, HISTORY_MERGE);
    cr_assert_eq(op.entry.seq, r.seq);
    cr_assert_str_eq(op.entry.name, "main");
    cr_assert_str_eq(op.entry.second, "dev");
    crash();
    cr_assert_eq(history_before(&x.p->history, UINT64_MAX, &op), 0);
    cr_assert(op.entry.kind == HISTORY_MERGE && op.entry.seq == r.seq);
    is_text("main/a", "changed");
}

Test(merge_aside, a_large_merge_is_taken_back_by_its_number_and_done_again_and_what_came_later_stays)
{
    struct merge_result r;
    char line[64];

    write_file("dev/a", "changed");
    cr_assert_eq(merge_beside(write_later, &r), 0);
    write_file("dev/d/f", "dev's");
    agreed(&x, "commit dev", "inodes=1");
    snprintf(line, sizeof line, "undo %llu", (unsigned long long)r.seq);
    agreed(&x, line, "ok");
    is_text("main/a", "hello");
    is_text("main/later", "later");
    is_text("main/d/f", "dev's");
    refused(&x, line, -EALREADY, "");
    snprintf(line, sizeof line, "redo %llu", (unsigned long long)r.seq);
    agreed(&x, line, "ok");
    is_text("main/a", "changed");
    is_text("main/later", "later");
    is_text("main/d/f", "dev's");
    cr_assert_eq(drafts(), 0);
}

Test(merge_aside, patterns_say_which_rule_a_conflict_of_a_large_merge_has)
{
    x.p->config.merge_at_once = 1;
    write_file("dev/a", "dev's");
    write_file("main/a", "main's");
    write_file("dev/d/f", "dev's");
    write_file("main/d/f", "main's");
    agreed(&x, "commit dev set=a=theirs set=d/*=ours", "decided=2");
    is_text("main/a", "dev's");
    is_text("main/d/f", "main's");
    cr_assert_eq(drafts(), 0);
}

Test(merge_aside, a_conflict_of_a_large_merge_says_where_the_file_is_in_each_namespace)
{
    char reply[4096], seq[32];

    x.p->config.merge_at_once = 1;
    write_file("dev/a", "dev's");
    write_file("main/a", "main's");
    snprintf(seq, sizeof seq, "| seq seq=%llu\n", (unsigned long long)seq_of_main());
    cr_assert_eq(say(&x, "commit dev paths=all", reply), -EEXIST);
    cr_assert(strstr(reply, seq), "%s", reply);
    cr_assert(strstr(reply, "theirs=dev/a"), "%s", reply);
    cr_assert(strstr(reply, "ours=main/a"), "%s", reply);
}

Test(merge_aside, a_large_merge_seals_what_may_be_equal_and_is_tried_once_more)
{
    x.p->config.merge_at_once = 1;
    write_file("dev/a", "same");
    write_file("main/a", "same");
    write_file("dev/d/f", "dev's");
    agreed(&x, "commit dev", "names=0 inodes=1");
    is_text("main/d/f", "dev's");
}

static uint64_t made_node;

static void make_n(void)
{
    make_dir("main/n");
    put_file(&x, "main/n/mine", "mine");
    made_node = node_of(&x, "main/n");
}

Test(merge_aside, a_directory_that_is_made_while_a_large_merge_brings_one_of_its_name_keeps_its_number)
{
    struct merge_result r;

    make_dir("dev/n");
    put_file(&x, "dev/n/theirs", "theirs");
    cr_assert_eq(merge_beside(make_n, &r), 0);
    cr_assert_eq(node_of(&x, "main/n"), made_node);
    is_text("main/n/mine", "mine");
    is_text("main/n/theirs", "theirs");
}

static void begin_to_write_n(void)
{
    put_file(&x, "main/n", "");
    opened = open_file("main/n", VFS_WRITE);
}

Test(merge_aside, what_is_written_to_a_file_that_was_made_while_a_large_merge_brought_an_equal_one_stays)
{
    struct merge_result r;

    put_file(&x, "dev/n", "");
    cr_assert_eq(merge_beside(begin_to_write_n, &r), 0);
    cr_assert_eq(vfs_write(opened, "mine", 4, 0), 4);
    vfs_release(opened);
    is_text("main/n", "mine");
}
