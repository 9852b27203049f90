// SPDX-License-Identifier: Apache-2.0
/* Claims about what a commit says of a namespace. */
#include "blob.h"
#include "fixture.h"
#include "ns_drop.h"

#include "report.h"
#include "store_impl.h"

#define SLOT_SIZE (200u * 1024) /* bytes; above pack_limit */

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(namespaces, .init = up, .fini = down);

static ssize_t write_at(const char *path, uint64_t off, size_t len)
{
    struct vfs_file *f;
    char *buf = calloc(1, len);
    ssize_t n;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    n = vfs_write(f, buf, len, off);
    vfs_release(f);
    free(buf);
    return n;
}

static uint64_t root_of(const char *name)
{
    struct ns *ns;
    uint64_t root;

    cr_assert_eq(ns_get_by_name(x.p, name, &ns), 0);
    root = ns->tree.root;
    ns_put(x.p, ns);
    return root;
}

Test(namespaces, a_write_that_fails_after_it_copied_the_root_does_not_lose_that_root)
{
    struct inode in;
    struct ns *ns;
    uint64_t before, after;
    char slot[DISK_NAME_MAX + 1];

    put_file(&x, "main/f", "");
    cr_assert_eq(write_at("main/f", 0, SLOT_SIZE), SLOT_SIZE);
    cr_assert_eq(flush_now(x.p), 0);
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(flush_now(x.p), 0);
    before = root_of("main");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node_of(&x, "main/f")), &in), 0);
    ns_put(x.p, ns);
    blob_slot_name(in.object, slot);
    cr_assert_eq(disk_mem_flip(x.disk, slot, 100, 1), 0);
    cr_assert_lt(write_at("main/f", 0, 10), 0); /* copies the root, then cannot read old bytes */
    cr_assert_eq(disk_mem_flip(x.disk, slot, 100, 1), 0);
    after = root_of("main");
    cr_assert_neq(before, after);
    fixture_reopen(&x);
    cr_assert_eq(root_of("main"), after);
}

/* The kernel has a page of that file that it has not written yet. */
static struct vfs_file *mapped;

static void write_page(void *ctx, uint64_t nodeid)
{
    (void)ctx;
    (void)nodeid;
    cr_assert_eq(vfs_write(mapped, "PAGE", 4, 0), 4);
}

Test(namespaces, a_branch_and_a_frozen_one_have_what_was_written_through_mappings)
{
    const struct state_events events = {.write_back = write_page};
    const char *paths[] = {"b/f", "main/f"};
    const char *commands[] = {"branch main b", "set ns:main.frozen yes"};

    put_file(&x, "main/f", "....");
    for (int i = 0; i < 2; i++) {
        struct vfs_file *f;
        char buf[8] = "";
        cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &mapped), 0);
        cr_assert_eq(vfs_write(mapped, "....", 4, 0), 4);
        state_set_events(x.p, &events);
        agreed(&x, commands[i], "");
        state_set_events(x.p, NULL);
        vfs_release(mapped);
        cr_assert_eq(vfs_open(x.p, node_of(&x, paths[i]), 0, &f), 0);
        cr_assert_eq(vfs_read(f, buf, 4, 0), 4);
        cr_assert_str_eq(buf, "PAGE", "%s", paths[i]);
        vfs_release(f);
    }
}

/* An event that has begun, and what ends the mount meanwhile. */
#define LOOKS 100 /* of a millisecond: so long an event gives the end time to overtake it */

static _Atomic bool in_event, events_over;

static void write_slowly(void *ctx, uint64_t nodeid)
{
    (void)nodeid;
    atomic_store(&in_event, true);
    for (int i = 0; i < LOOKS && !atomic_load(&events_over); i++)
        usleep(1000);
    *(bool *)ctx = atomic_load(&events_over);
}

static void *end_events(void *arg)
{
    (void)arg;
    while (!atomic_load(&in_event))
        usleep(100);
    state_set_events(x.p, NULL);
    atomic_store(&events_over, true);
    return NULL;
}

Test(namespaces, who_ends_the_events_waits_for_one_that_has_begun)
{
    bool overtaken = false;
    const struct state_events events = {.write_back = write_slowly, .ctx = &overtaken};
    pthread_t thread;

    put_file(&x, "main/f", "....");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &mapped), 0);
    cr_assert_eq(vfs_write(mapped, "....", 4, 0), 4);
    state_set_events(x.p, &events);
    cr_assert_eq(pthread_create(&thread, NULL, end_events, NULL), 0);
    agreed(&x, "branch main b", "");
    cr_assert(atomic_load(&in_event));
    pthread_join(thread, NULL);
    cr_assert_not(overtaken, "its ctx may be gone");
    vfs_release(mapped);
    agreed(&x, "branch main c", "");
}

/* ---- empty ones ---- */

/* A file of namespace "dev", which has nothing else, is removed while it is open. */
static struct vfs_file *removed_and_open(void)
{
    struct vfs_file *f;

    agreed(&x, "branch main dev\n", "ok");
    put_file(&x, "dev/f", "still here");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "dev/f"), 0, &f), 0);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "dev"), "f"), 0);
    return f;
}

static void still_there(struct vfs_file *f)
{
    struct refs_stats s;
    char buf[32] = "";

    cr_assert_eq(vfs_read(f, buf, sizeof buf, 0), 10);
    cr_assert_str_eq(buf, "still here");
    vfs_release(f);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    refs_get_stats(x.p->refs, &s);
    cr_assert_eq(s.objects, 0);
}

Test(namespaces, an_empty_one_goes_though_a_removed_file_is_open)
{
    struct vfs_file *f = removed_and_open();

    cr_assert_eq(vfs_rmdir(x.p, VFS_ROOT, "dev"), 0);
    cr_assert_eq(open_files(&x, "dev"), 0);
    still_there(f);
}

Test(namespaces, an_empty_one_is_replaced_though_a_removed_file_is_open)
{
    struct vfs_file *f = removed_and_open();

    cr_assert_eq(ns_rename(x.p, "main", "dev", 0), 0);
    still_there(f);
}

Test(namespaces, the_end_of_one_and_the_new_name_of_another_are_one_frame)
{
    struct vfs_attr attr;
    uint64_t seq;

    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, "dev", S_IFDIR | 0755, 0, &fixture_cred, &attr), 0);
    vfs_forget(x.p, attr.nodeid, 1);
    seq = log_seq(x.p->log);
    cr_assert_eq(ns_rename(x.p, "main", "dev", 0), 0);
    cr_assert_eq(log_seq(x.p->log), seq + 1);
}

Test(namespaces, one_with_a_file_in_it_is_neither_removed_nor_replaced)
{
    struct vfs_file *f = removed_and_open();

    put_file(&x, "dev/g", "");
    cr_assert_eq(vfs_rmdir(x.p, VFS_ROOT, "dev"), -ENOTEMPTY);
    cr_assert_eq(ns_rename(x.p, "main", "dev", 0), -ENOTEMPTY);
    cr_assert_eq(open_files(&x, "dev"), 1);
    still_there(f);
}

static void file_is(const char *ns, enum view_ns_file file, const char *want)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    cr_assert_eq(view_namespace(x.p, vfs_node_ns(node_of(&x, ns)), file, &text), 0);
    cr_assert_str_eq(text.s, want, "%s of %s", view_ns_files[file], ns);
}

Test(namespaces, flushes_are_counted_for_each_also_after_a_remount)
{
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "flush", "ok");
    file_is("dev", VIEW_NS_FLUSHES, "1\n");
    clock_manual_advance(&x.clock, 60 * NSEC_PER_SEC);
    put_file(&x, "dev/a", "hello");
    agreed(&x, "flush", "ok");
    agreed(&x, "flush", "ok");
    file_is("dev", VIEW_NS_FLUSHES, "2\n");
    file_is("dev", VIEW_NS_FLUSHED, "1970-01-01T00:17:40Z\n");
    file_is("main", VIEW_NS_FLUSHED, "1970-01-01T00:16:40Z\n");
    fixture_reopen(&x);
    file_is("dev", VIEW_NS_FLUSHES, "2\n");
    file_is("dev", VIEW_NS_FLUSHED, "1970-01-01T00:17:40Z\n");
    agreed(&x, "status", "name=dev seq=");
    agreed(&x, "status", " flushes=2 last_flush=1970-01-01T00:17:40Z");
}

static void usage_is_all(const char *ns, unsigned inodes, unsigned bytes, unsigned unlinked_inodes,
                         unsigned unlinked_bytes)
{
    char want[160];

    snprintf(want, sizeof want,
             "inodes=%u\nbytes=%u\nunlinked_inodes=%u\nunlinked_bytes=%u\nquota_files=off\n"
             "quota=off\n",
             inodes, bytes, unlinked_inodes, unlinked_bytes);
    file_is(ns, VIEW_NS_USAGE, want);
}

static void usage_is_now(const char *ns, unsigned inodes, unsigned bytes)
{
    usage_is_all(ns, inodes, bytes, 0, 0);
}

Test(namespaces, what_its_inodes_take_is_known_after_each_change)
{
    struct vfs_attr attr;
    struct vfs_file *f;

    usage_is_now("main", 1, 0);
    put_file(&x, "main/f", "");
    usage_is_now("main", 2, 0);
    cr_assert_eq(write_at("main/f", 0, 1000), 1000);
    usage_is_now("main", 2, 1024);
    cr_assert_eq(vfs_link(x.p, node_of(&x, "main/f"), node_of(&x, "main"), "g", &attr), 0);
    usage_is_now("main", 2, 1024);
    agreed(&x, "branch main dev", "ok");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
    remove_file(&x, "main/f");
    usage_is_now("main", 2, 1024);
    remove_file(&x, "main/g"); /* while it is open it counts by itself */
    usage_is_all("main", 1, 0, 1, 1024);
    vfs_release(f);
    usage_is_now("main", 1, 0);
    usage_is_now("dev", 2, 1024);
    cr_assert_eq(write_at("dev/f", 1 << 20, 1), 1);
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "dev/f"), &attr), 0);
    usage_is_now("dev", 2, (unsigned)attr.blocks * 512);
}

Test(namespaces, what_its_inodes_take_survives_the_death_of_the_process_and_a_clean_end)
{
    agreed(&x, "branch main dev", "ok");
    put_file(&x, "dev/f", "five!");
    agreed(&x, "flush", "ok");
    put_file(&x, "dev/g", "");
    agreed(&x, "branch dev more", "ok");
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    usage_is_now("main", 1, 0);
    usage_is_now("dev", 3, 512);
    usage_is_now("more", 3, 512);
    fixture_reopen(&x);
    usage_is_now("more", 3, 512);
}

Test(namespaces, a_record_of_version_2_does_not_say_what_its_inodes_take)
{
    struct ns_fields f = {.name = "old", .root = 9, .flushes = 7, .usage = {3, 4}, .counted = true};
    uint8_t record[NS_RECORD_MAX], *v = record;
    size_t len = ns_record_encode(5, &f, record);

    cr_assert_eq(ns_read(5, record, len, &f), 0);
    cr_assert(f.counted && usage_is(f.usage, (struct usage){3, 4}));
    memmove(v + 72, v + 140, len - 140); /* as version 2 has it */
    v[8] = 2;
    v[9] &= 15;
    len -= 68;
    put_le64(v, id_checksum(v + 8, len - 8, 5));
    cr_assert_eq(ns_read(5, record, len, &f), 0);
    cr_assert(!f.counted && usage_is(f.usage, (struct usage){0}));
    cr_assert_eq(f.flushes, 7);
    cr_assert_str_eq(f.name, "old");
}

Test(namespaces, a_branch_that_was_flushed_very_often_is_warned_of_once)
{
    char recent[8][REPORT_TEXT], path[32];

    agreed(&x, "set branch_fragment_warn 3", "ok");
    agreed(&x, "branch main dev", "ok");
    report_reset();
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "dev/f%d", i);
        put_file(&x, path, path);
        snprintf(path, sizeof path, "main/f%d", i);
        put_file(&x, path, path);
        agreed(&x, "flush", "ok");
    }
    cr_assert_eq(report_recent(REPORT_WARN, recent, 8), 1);
    cr_assert(strstr(recent[0], "namespace dev was flushed 3 times"), "%s", recent[0]);
    agreed(&x, "status", "scattered=1");
    fixture_reopen(&x);
    agreed(&x, "status", "scattered=1");
    agreed(&x, "set branch_fragment_warn 0", "ok");
    agreed(&x, "get branch_fragment_warn", "default=10000");
}

/* One more flush of dev. How often it was warned of since the last call. */
static size_t warned_of_dev(int i)
{
    char recent[8][REPORT_TEXT], path[32];

    report_reset();
    snprintf(path, sizeof path, "dev/f%d", i);
    put_file(&x, path, path);
    agreed(&x, "flush", "ok");
    return report_recent(REPORT_WARN, recent, 8);
}

Test(namespaces, it_is_warned_of_as_well_where_the_setting_is_lowered_below_its_flushes)
{
    agreed(&x, "branch main dev", "ok");
    cr_assert_eq(warned_of_dev(0), 0);
    cr_assert_eq(warned_of_dev(1), 0);
    cr_assert_eq(warned_of_dev(2), 0);
    agreed(&x, "set branch_fragment_warn 2", "ok");
    cr_assert_eq(warned_of_dev(3), 1);
    cr_assert_eq(warned_of_dev(4), 0, "once");
    fixture_reopen(&x);
    cr_assert_eq(warned_of_dev(5), 0, "it was told");
    agreed(&x, "set branch_fragment_warn 100", "ok");
    cr_assert_eq(warned_of_dev(6), 0);
    agreed(&x, "set branch_fragment_warn 3", "ok");
    cr_assert_eq(warned_of_dev(7), 1, "it was not so many meanwhile");
}

Test(namespaces, a_branch_whose_files_are_in_very_many_pieces_is_warned_of_once)
{
    char recent[8][REPORT_TEXT];

    agreed(&x, "set branch_fragment_warn 3", "ok");
    put_file(&x, "main/big", "");
    cr_assert_eq(write_at("main/big", 0, 8 * SLOT_SIZE), 8 * SLOT_SIZE);
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "drain", "ok");
    report_reset();
    for (uint64_t i = 0; i < 3; i++) {
        agreed(&x, "du dev", i == 0 ? " tree=" : i == 1 ? " pieces=1\n" : " pieces=2\n");
        cr_assert_eq(write_at("dev/big", i * 3 * 131072, 10), 10);
        cr_assert_eq(write_at("main/big", i * 3 * 131072, 10), 10);
    }
    cr_assert_eq(report_recent(REPORT_WARN, recent, 8), 0);
    agreed(&x, "du dev", " pieces=3 scattered=1\n");
    agreed(&x, "du main", " pieces=3\n");
    agreed(&x, "du dev main", " pieces=3 scattered=1\n");
    cr_assert_eq(report_recent(REPORT_WARN, recent, 8), 1);
    cr_assert(strstr(recent[0], "files of namespace dev, a branch, are in 3 pieces"), "%s",
              recent[0]);
    agreed(&x, "status", "scattered=1");
    agreed(&x, "set branch_fragment_warn 4", "ok");
    agreed(&x, "du dev", " pieces=3\n");
}

Test(namespaces, the_time_of_the_root_moves_with_what_it_shows)
{
    struct vfs_attr before, after;

    agreed(&x, "branch main dev", "ok");
    settings_put(&x.p->settings, SET_TRASH_KEEP, NSEC_PER_SEC);
    put_file(&x, "dev/a", "a");
    cr_assert_eq(vfs_getattr(x.p, VFS_ROOT, &before), 0);
    clock_manual_advance(&x.clock, 5);
    agreed(&x, "snapshot main s", "ok");
    cr_assert_eq(vfs_getattr(x.p, VFS_ROOT, &after), 0);
    cr_assert_eq(after.mtime, before.mtime, "what is kept is not in the root");
    agreed(&x, "drop dev", "ok kept=");
    cr_assert_eq(vfs_getattr(x.p, VFS_ROOT, &after), 0);
    cr_assert_eq(after.mtime, before.mtime + 5);
}
