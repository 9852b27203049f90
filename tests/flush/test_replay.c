// SPDX-License-Identifier: Apache-2.0
/*
 * test_replay: whatever kind of change it was, the death of the daemon leaves it: all that can be
 * seen of a store is written down, the process dies, and what the next one makes of commit and log
 * must say the same; once more when that one dies before it changed anything. Frames that do not
 * fit what they are to change are refused.
 */
#include "check_fixture.h"
#include "ns_drop.h"
#include "repair.h"
#include "replay.h"
#include "report.h"
#include "store_repair.h"
#include "strbuf.h"
#include "vfs_impl.h"
#include <linux/falloc.h>
#include <linux/fs.h>

#define KIB ((size_t)1024)
#define LARGE (1000 * KIB)

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void gone(void)
{
    fixture_teardown(&x);
}
TestSuite(replay, .init = up, .fini = gone);

/* ---- all that can be seen ---- */

struct listed {
    struct vfs_attr attr[64];
    char name[64][64];
    size_t count;
};

static bool list_one(const struct vfs_dirent *d, void *ctx)
{
    struct listed *l = ctx;

    if (!strcmp(d->name, ".") || !strcmp(d->name, ".."))
        return true;
    cr_assert_lt(l->count, 64);
    l->attr[l->count] = d->attr;
    snprintf(l->name[l->count++], 64, "%s", d->name);
    vfs_forget(x.p, d->attr.nodeid, 1);
    return true;
}

static void see_bytes(struct strbuf *out, const struct vfs_attr *a)
{
    struct vfs_file *f;
    uint8_t *buf = malloc(a->size + 1);
    int64_t hole;

    cr_assert_eq(vfs_open(x.p, a->nodeid, VFS_NOATIME, &f), 0);
    cr_assert_eq(vfs_read(f, buf, a->size + 1, 0), (ssize_t)a->size);
    hole = vfs_seek(f, 0, false);
    strbuf_addf(out, " bytes %llx hole %lld", (unsigned long long)id_checksum(buf, a->size, 0),
                (long long)hole);
    vfs_release(f);
    free(buf);
}

static void see_attrs(struct strbuf *out, uint64_t node)
{
    static char names[70000];
    static uint8_t value[70000];
    ssize_t n = vfs_listxattr(x.p, node, names, sizeof names, true);

    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t len = vfs_getxattr(x.p, node, names + at, value, sizeof value);
        cr_assert_geq(len, 0);
        strbuf_addf(out, " %s=%zd:%llx", names + at, len,
                    (unsigned long long)id_checksum(value, (size_t)len, 0));
    }
}

static void see(struct strbuf *out, const char *path, uint64_t node, bool root)
{
    struct listed *l = calloc(1, sizeof *l);

    cr_assert_eq(vfs_readdir(x.p, node, 0, true, list_one, l), 0);
    for (size_t i = 0; i < l->count; i++) {
        struct vfs_attr *a = &l->attr[i];
        char sub[512], target[4096] = "";
        snprintf(sub, sizeof sub, "%s/%s", path, l->name[i]);
        strbuf_addf(out, "%s: %llx.%u %o %u %u:%u %u %llu %llu %lld %lld %lld %lld", sub,
                    (unsigned long long)a->nodeid, a->generation, a->mode, a->nlink, a->uid, a->gid,
                    a->rdev, (unsigned long long)a->size, (unsigned long long)a->blocks,
                    (long long)a->atime, (long long)a->mtime, (long long)a->ctime,
                    (long long)a->btime);
        if (S_ISLNK(a->mode))
            cr_assert_eq(vfs_readlink(x.p, a->nodeid, target, sizeof target), 0);
        strbuf_addf(out, " %s", target);
        if (S_ISREG(a->mode))
            see_bytes(out, a);
        if (!root)
            see_attrs(out, a->nodeid);
        strbuf_adds(out, "\n");
        if (S_ISDIR(a->mode))
            see(out, sub, a->nodeid, false);
    }
    free(l);
}

static void see_all(struct strbuf *out)
{
    struct refs_stats stats;

    strbuf_clear(out);
    state_set_atime(x.p, STATE_NOATIME); /* looking changes nothing */
    see(out, "", VFS_ROOT, true);
    refs_get_stats(x.p->refs, &stats);
    strbuf_addf(out, "pins %llu\n", (unsigned long long)stats.pinned);
    for (int i = 0; i < SETTING_COUNT; i++)
        strbuf_addf(out, "%s %lld\n", setting_infos[i].key,
                    (long long)settings_get(&x.p->settings, (enum setting)i));
}

static void dies(void)
{
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
}

/* Twice, and then it is a sound store. */
static void survives(void)
{
    struct strbuf was = STRBUF_INIT, is = STRBUF_INIT;
    struct findings f;

    see_all(&was);
    for (unsigned i = 0; i < 2; i++) {
        dies();
        see_all(&is);
        cr_assert_str_eq(is.s, was.s);
    }
    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
    see_all(&is);
    cr_assert_str_eq(is.s, was.s);
    strbuf_release(&was);
    strbuf_release(&is);
}

/* ---- words ---- */

static struct vfs_file *opened(const char *path)
{
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    cr_assert_eq(vfs_create(x.p, dir, name, 0644, &fixture_cred, VFS_WRITE, &a, &f), 0);
    vfs_forget(x.p, a.nodeid, 1);
    x.clock.now += NSEC_PER_SEC;
    return f;
}

static void fill(const char *path, size_t off, size_t len, unsigned value)
{
    struct vfs_file *f = opened(path);
    uint8_t *buf = malloc(len);

    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(i * 7 + i / 251 + value);
    cr_assert_eq(vfs_write(f, buf, len, off), (ssize_t)len);
    vfs_release(f);
    free(buf);
}

static void make(const char *path, uint32_t mode)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    cr_assert_eq(vfs_mknod(x.p, dir, name, mode, 5, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

static void link_as(const char *path, const char *to)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, to, &name);

    cr_assert_eq(vfs_link(x.p, node_of(&x, path), dir, name, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

static void move(const char *from, const char *to, unsigned flags)
{
    const char *name, *newname;
    uint64_t dir = parent_of(&x, from, &name), newdir = parent_of(&x, to, &newname);

    cr_assert_eq(vfs_rename(x.p, dir, name, newdir, newname, flags, &fixture_cred), 0);
}

static void set(const char *path, unsigned what, struct vfs_attr in)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, path), what, &in, &a), 0);
}

static void seal(void)
{
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
}

static void share(const char *from, const char *to)
{
    struct vfs_file *in, *out = opened(to);

    cr_assert_eq(vfs_open(x.p, node_of(&x, from), 0, &in), 0);
    cr_assert_gt(vfs_share_range(in, 0, out, 0, SIZE_MAX), 0);
    vfs_release(in);
    vfs_release(out);
}

/* ---- each kind of change ---- */

Test(replay, names)
{
    struct vfs_attr a;

    make("main/d", S_IFDIR | 0750);
    make("main/d/sub", S_IFDIR | 02755);
    make("main/fifo", S_IFIFO | 0600);
    make("main/dev", S_IFCHR | 0600);
    put_file(&x, "main/d/f", "text");
    put_file(&x, "main/d/g", "other");
    cr_assert_eq(vfs_symlink(x.p, node_of(&x, "main/d"), "l", "to/nowhere", &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    survives();
    link_as("main/d/f", "main/hard");
    move("main/d/g", "main/d/sub/h", 0);
    move("main/d/f", "main/d/sub/h", 0); /* over the other */
    survives();
    put_file(&x, "main/d/f", "again");
    move("main/d/sub", "main/fifo", RENAME_EXCHANGE);
    move("main/d/f", "main/white", RENAME_WHITEOUT);
    survives();
    remove_file(&x, "main/hard");
    remove_file(&x, "main/d/l");
    make("main/e", S_IFDIR | 0700);
    cr_assert_eq(vfs_rmdir(x.p, node_of(&x, "main"), "e"), 0);
    survives();
}

Test(replay, bytes_of_small_files)
{
    fill("main/a", 0, 5000, 1);
    survives();
    fill("main/a", 4000, 5000, 2);
    set("main/a", VFS_SET_SIZE, (struct vfs_attr){.size = 6000});
    set("main/a", VFS_SET_SIZE, (struct vfs_attr){.size = 9000});
    survives();
    seal();
    fill("main/a", 100, 10, 3); /* a new content with the old bytes */
    fill("main/b", 300 * KIB, 10, 4);
    survives();
    put_file(&x, "main/a", "");
    fill("main/c", 127 * KIB, 5 * KIB, 5); /* out of the buffer */
    fill("main/c", 0, 10, 6);
    survives();
}

Test(replay, bytes_of_large_files)
{
    struct vfs_file *f;

    fill("main/a", 0, LARGE, 1);
    survives();
    fill("main/a", LARGE, 20 * KIB, 2);
    fill("main/a", 5 * KIB, 20 * KIB, 3);
    set("main/a", VFS_SET_SIZE, (struct vfs_attr){.size = LARGE - 300});
    fill("main/a", LARGE - 100, 300, 4);
    survives();
    seal();
    fill("main/a", 200 * KIB, 5000, 5); /* extents from here on */
    fill("main/a", 300 * KIB, 150 * KIB, 6);
    survives();
    f = opened("main/a");
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 400 * KIB), 0);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_ZERO_RANGE, 900 * KIB, 300 * KIB), 0);
    vfs_release(f);
    survives();
    set("main/a", VFS_SET_SIZE, (struct vfs_attr){.size = 130 * KIB});
    survives();
    fill("main/b", 0, LARGE, 7);
    seal();
    fill("main/b", 0, 900 * KIB, 8); /* made whole on close */
    survives();
}

Test(replay, what_is_shared)
{
    agreed(&x, "branch main b\n", "");
    fill("main/a", 0, 5000, 1);
    fill("main/big", 0, LARGE, 2);
    share("main/a", "main/a2");
    share("main/big", "b/big");
    link_as("main/a", "b/a");
    survives();
    fill("b/big", 10, 20, 3);
    fill("main/a2", 10, 20, 4);
    survives();
    seal();
    link_as("b/big", "main/third");
    fill("main/equal", 0, 5000, 1); /* an alias once it is sealed */
    cr_assert_eq(flush_now(x.p), 0);
    share("main/equal", "main/more");
    remove_file(&x, "main/a");
    remove_file(&x, "b/a");
    survives();
}

Test(replay, attributes)
{
    static uint8_t large[60000];
    uint64_t node;

    put_file(&x, "main/f", "text");
    node = node_of(&x, "main/f");
    x.clock.now += NSEC_PER_SEC;
    set("main/f", VFS_SET_MODE | VFS_SET_UID | VFS_SET_GID | VFS_SET_MTIME,
        (struct vfs_attr){.mode = 04711, .uid = 7, .gid = 8, .mtime = 12345});
    memset(large, 'v', sizeof large);
    cr_assert_eq(vfs_setxattr(x.p, node, "user.small", "value", 5, 0), 0);
    cr_assert_eq(vfs_setxattr(x.p, node, "user.large", large, sizeof large, 0), 0);
    survives();
    link_as("main/f", "main/g");
    cr_assert_eq(vfs_setxattr(x.p, node, "user.large", large, 50000, 0), 0);
    cr_assert_eq(vfs_removexattr(x.p, node, "user.small"), 0);
    survives();
    seal();
    agreed(&x, "branch main b\n", "");
    link_as("main/f", "b/across");
    cr_assert_eq(vfs_removexattr(x.p, node, "user.large"), 0);
    survives();
}

Test(replay, namespaces)
{
    uint32_t open;
    struct vfs_attr a;

    put_file(&x, "main/f", "text");
    make("two", S_IFDIR | 0755);
    put_file(&x, "two/g", "more");
    agreed(&x, "branch main three\n", "");
    cr_assert_eq(vfs_symlink(x.p, VFS_ROOT, "sym", "main", &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    survives();
    put_file(&x, "three/f", "changed");
    move("two", "2", 0);
    move("2", "three", RENAME_EXCHANGE);
    agreed(&x, "set ns:main.frozen yes\n", "");
    survives();
    make("empty", S_IFDIR | 0755);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "three"), "g"), 0);
    move("empty", "three", 0); /* onto an empty one */
    survives();
    cr_assert_eq(ns_drop(x.p, "2", false, false, false, &open), 0);
    cr_assert_eq(vfs_unlink(x.p, VFS_ROOT, "sym"), 0);
    agreed(&x, "set ns:main.frozen no\n", "");
    agreed(&x, "branch main 2\n", "");
    survives();
}

Test(replay, files_without_a_name)
{
    struct vfs_file *f, *g;
    struct vfs_attr a;

    f = opened("main/f");
    cr_assert_eq(vfs_write(f, "text", 4, 0), 4);
    remove_file(&x, "main/f");
    cr_assert_eq(vfs_write(f, "more", 4, 4), 4);
    cr_assert_eq(vfs_tmpfile(x.p, node_of(&x, "main"), 0600, &fixture_cred, VFS_WRITE, &a, &g), 0);
    cr_assert_eq(vfs_write(g, "named later", 11, 0), 11);
    cr_assert_eq(vfs_link(x.p, a.nodeid, node_of(&x, "main"), "g", &a), 0);
    vfs_forget(x.p, a.nodeid, 2);
    vfs_release(g);
    vfs_release(f); /* the disk has them both before the process dies, with nobody left to close */
    survives();
}

Test(replay, settings_and_pins)
{
    char hex[ID_HEX + 1] = {0}, text[64];

    put_file(&x, "main/f", "some bytes to be pinned");
    seal();
    cr_assert_gt(vfs_getxattr(x.p, node_of(&x, "main/f"), "user.tally.object", hex, sizeof hex), 0);
    snprintf(text, sizeof text, "pin %s\n", hex);
    agreed(&x, text, "refs=2");
    agreed(&x, "set seal_delay 5s\n", "");
    remove_file(&x, "main/f");
    survives();
    snprintf(text, sizeof text, "unpin %s\n", hex);
    agreed(&x, text, "");
    agreed(&x, "set seal_delay 2s\n", "");
    survives();
}

/* ---- what no frame says by itself ---- */

Test(replay, what_a_change_left_without_saying_so_is_a_frame)
{
    struct inode in;
    struct ns *ns;
    uint64_t ino;

    put_file(&x, "main/f", "text");
    ino = vfs_node_ino(node_of(&x, "main/f"));
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    {
        TXN(t);
        cr_assert_eq(txn_begin(x.p, 0, &t), 0);
        NS_GUARD(&t, ns);
        cr_assert_eq(inode_load(&ns->tree, ino, &in), 0);
        in.mode = S_IFREG | 0111;
        cr_assert_eq(inode_store(&ns->tree, ino, &in), 0);
    }
    ns_put(x.p, ns);
    survives();
}

static uint64_t frames(void)
{
    struct log_stats s;

    log_get_stats(x.p->log, &s);
    return s.frames;
}

Test(replay, a_change_is_one_frame_and_what_failed_before_it_changed_anything_none)
{
    uint64_t before = frames();
    struct vfs_attr a;

    make("main/d", S_IFDIR | 0755);
    cr_assert_eq(frames(), before + 1);
    cr_assert_eq(vfs_mknod(x.p, node_of(&x, "main"), "d", S_IFDIR, 0, &fixture_cred, &a), -EEXIST);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "none"), -ENOENT);
    cr_assert_eq(frames(), before + 1);
    put_file(&x, "main/a", "1");
    put_file(&x, "main/b", "2");
    before = frames();
    move("main/a", "main/b", 0);
    cr_assert_eq(frames(), before + 1, "the old name, the new one and what was there");
    fill("main/c", 0, 100, 1);
    before = frames();
    fill("main/c", 0, 100 * KIB, 2);
    cr_assert_eq(frames(), before + 1, "bytes, size and times");
    make("main/e", S_IFREG | 0644);
    before = frames();
    fill("main/e", 0, 100, 1);
    cr_assert_eq(frames(), before + 1, "also the first ones");
}

static struct ns *namespace(const char *name)
{
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, name, &ns), 0);
    ns_put(x.p, ns); /* the table has it */
    return ns;
}

/* A setting of "dev"; NULL: none. */
static void has_setting(const char *name, const char *want)
{
    char buf[NS_SETTING_VALUE_MAX];
    size_t len;
    int err = ns_setting_get(x.p, namespace("dev"), name, buf, sizeof buf, &len);

    cr_assert_eq(err, want ? 0 : -ENOENT, "%s: %d", name, err);
    cr_assert(!want || (len == strlen(want) && memcmp(buf, want, len) == 0));
}

static int set_one(const char *name, const char *value)
{
    struct ns_setting s = {.value = value, .len = value ? strlen(value) : 0};

    snprintf(s.name, sizeof s.name, "%s", name);
    return ns_setting_set(x.p, namespace("dev"), &s);
}

static unsigned settings_on_disk(void)
{
    struct kv_each e = {.table = TABLE_NS_SETTINGS};
    unsigned n = 0;

    cr_assert_eq(kv_snap_begin(x.kv, &e.snap), 0);
    while (kv_next(&e))
        n++;
    kv_snap_end(e.snap);
    cr_assert_eq(e.err, 0);
    return n;
}

Test(replay, a_setting_of_a_namespace_is_that_of_its_last_change)
{
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(set_one("quota", "1"), 0);
    cr_assert_eq(set_one("quota", "20G"), 0);
    cr_assert_eq(set_one("empty", ""), 0);
    cr_assert_eq(set_one("gone", "soon"), 0);
    cr_assert_eq(set_one("gone", NULL), 0);
    cr_assert_eq(set_one("No", "name"), -EINVAL);
    for (int round = 0; round < 3; round++) {
        has_setting("quota", "20G");
        has_setting("empty", "");
        has_setting("gone", NULL);
        if (round < 2)
            dies();
        else
            survives();
    }
    cr_assert_eq(settings_on_disk(), 2);
    cr_assert_eq(set_one("quota", NULL), 0);
    dies();
    has_setting("quota", NULL);
    has_setting("empty", "");
    cr_assert_eq(settings_on_disk(), 1);
}

Test(replay, a_setting_stays_with_the_number_of_its_namespace_and_goes_with_it)
{
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(set_one("quota", "20G"), 0);
    cr_assert_eq(ns_rename(x.p, "dev", "other", 0), 0);
    cr_assert_eq(ns_rename(x.p, "other", "dev", 0), 0);
    has_setting("quota", "20G");
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(ns_rename(x.p, "dev", "first", 0), 0);
    agreed(&x, "branch first dev\n", "ok");
    has_setting("quota", NULL);
    agreed(&x, "drop dev\n", "ok");
    cr_assert_eq(ns_rename(x.p, "first", "dev", 0), 0);
    survives();
    has_setting("quota", "20G");
    agreed(&x, "drop dev\n", "ok");
    dies();
    cr_assert_eq(settings_on_disk(), 0);
    x.p->names.next = 2; /* the number is used again */
    agreed(&x, "branch main dev\n", "ok");
    has_setting("quota", NULL);
    cr_assert_eq(set_one("quota", "1"), 0);
    agreed(&x, "drop dev\n", "ok");
    x.p->names.next = 2;
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(set_one("quota", "2"), 0);
    survives();
    has_setting("quota", "2");
    cr_assert_eq(settings_on_disk(), 1);
}

/* A row of the table that no change made. */
static void plant_setting(uint32_t ns, const char *name)
{
    uint8_t key[NS_SETTING_KEY_MAX];
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_NS_SETTINGS, key, ns_setting_key(ns, name, key), "20G", 3), 0);
    cr_assert_eq(kv_commit(t), 0);
}

Test(replay, a_setting_of_no_namespace_is_not_that_of_the_next_one_with_its_number)
{
    struct ns left = {.number = 3};

    plant_setting(1, "kept");
    plant_setting(2, "quota");
    plant_setting(2, "other");
    dies();
    x.p->names.next = 2;
    agreed(&x, "branch main dev\n", "ok");
    has_setting("quota", NULL);
    cr_assert_eq(set_one("other", "1"), 0);
    dies(); /* the rows are there still, and replay makes the namespace */
    has_setting("quota", NULL);
    has_setting("other", "1");
    survives();
    has_setting("quota", NULL);
    cr_assert_eq(settings_on_disk(), 2);
    agreed(&x, "drop dev\n", "ok");
    cr_assert_eq(ns_setting_restore(x.p, &left, &(struct ns_setting){"quota", "1", 1}), 0);
    x.p->names.next = 3;
    agreed(&x, "branch main dev\n", "ok");
    has_setting("quota", NULL);
    survives();
    cr_assert_eq(settings_on_disk(), 1);
}

Test(replay, a_table_of_settings_that_cannot_be_read_to_its_end_is_reported)
{
    uint64_t warned;

    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(set_one("quota", "20G"), 0);
    cr_assert_eq(flush_now(x.p), 0);
    warned = report_count(REPORT_WARN);
    cr_assert_eq(kv_mem_break(x.mem, TABLE_NS_SETTINGS, true), 0);
    dies();
    cr_assert_gt(report_count(REPORT_WARN), warned);
    has_setting("quota", NULL);
    cr_assert_eq(kv_mem_break(x.mem, TABLE_NS_SETTINGS, false), 0);
    warned = report_count(REPORT_WARN);
    dies();
    cr_assert_eq(report_count(REPORT_WARN), warned);
    has_setting("quota", "20G");
}

Test(replay, a_namespace_has_at_most_so_many_settings)
{
    char name[16];
    struct ns_setting odd = {.name = "quota", .len = 1};

    agreed(&x, "branch main dev\n", "ok");
    for (int i = NS_SETTINGS_MAX; i-- > 0;) {
        snprintf(name, sizeof name, "s%d", i);
        cr_assert_eq(set_one(name, name), 0);
    }
    cr_assert_eq(set_one("quota", "1"), -ENOSPC);
    cr_assert_eq(set_one("s7", "again"), 0);
    cr_assert_eq(set_one("s8", NULL), 0);
    cr_assert_eq(set_one("quota", "1"), 0);
    cr_assert_eq(set_one("s8", "1"), -ENOSPC);
    cr_assert_eq(ns_setting_set(x.p, namespace("dev"), &odd), -EINVAL);
    survives();
    has_setting("quota", "1");
    has_setting("s7", "again");
    has_setting("s8", NULL);
    has_setting("s31", "s31");
    cr_assert_eq(settings_on_disk(), NS_SETTINGS_MAX);
}

static int last_is_durable(void)
{
    return durable_wait(x.p, state_seq(x.p), 0, NULL);
}

Test(replay, what_is_durable_in_the_log_and_by_commits_is_not_waited_for)
{
    put_file(&x, "main/f", "text");
    cr_assert_lt(flush_durable(x.p), state_seq(x.p));
    cr_assert_eq(last_is_durable(), -ETIMEDOUT);
    cr_assert_eq(flush_sync(x.p), 0);
    cr_assert_eq(last_is_durable(), 0);
    cr_assert_eq(flush_durable(x.p), state_seq(x.p));
    put_file(&x, "main/g", "text");
    cr_assert_eq(last_is_durable(), -ETIMEDOUT);
    cr_assert_eq(durable_wait(x.p, flush_durable(x.p), 0, NULL), 0, "what was stays so");
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(last_is_durable(), 0);
    cr_assert_eq(flush_durable(x.p), state_seq(x.p));
    dies();
    cr_assert_eq(last_is_durable(), 0, "what a start finds durable is so at once");
}

/* As a merge will: the record of a branch that is there changes. */
static void set_base(const struct ns_instant *base, const char tail[3])
{
    TXN(t);
    struct ns *ns = namespace("dev");

    cr_assert_eq(txn_begin_alone(x.p, 0, &t), 0);
    NS_GUARD(&t, ns);
    ns->base = *base;
    free(ns->tail);
    ns->tail = malloc(sizeof *ns->tail + 3);
    ns->tail->len = 3;
    memcpy(ns->tail->bytes, tail, 3);
    ns->dirty = true;
    capture_ns_put(&t, ns);
    cr_assert_eq(state_changed(&t, ns), 0);
}

static void has_base(const struct ns_instant *base, const char tail[3])
{
    const struct ns *ns = namespace("dev");

    cr_assert_eq(ns->base.ns, base->ns);
    cr_assert_eq(ns->base.generation, base->generation);
    cr_assert_eq(ns->base.seq, base->seq);
    cr_assert_neq(ns->origin.seq, base->seq);
    cr_assert(ns->tail && ns->tail->len == 3 && memcmp(ns->tail->bytes, tail, 3) == 0);
}

Test(replay, a_branch_has_the_base_and_the_tagged_fields_that_its_last_record_says)
{
    const struct ns_instant first = {1, 7, 1000}, second = {1, 7, 2000};

    agreed(&x, "branch main dev\n", "ok");
    put_file(&x, "dev/f", "text");
    set_base(&first, "\x01\0");
    dies();
    has_base(&first, "\x01\0");
    set_base(&second, "\x05\0");
    survives();
    has_base(&second, "\x05\0");
    agreed(&x, "set ns:dev.frozen yes\n", "ok");
    survives();
    has_base(&second, "\x05\0");
    agreed(&x, "branch dev more\n", "ok");
    cr_assert(!namespace("more")->tail, "what a branch would have is for who knows the tag");
}

Test(replay, a_closed_store_has_no_log_and_a_sync_needs_no_commit)
{
    struct log_file *files;
    size_t count;

    put_file(&x, "main/f", "text");
    cr_assert_eq(flush_sync(x.p), 0);
    cr_assert_eq(log_synced_seq(x.p->log), state_seq(x.p));
    cr_assert_neq(x.p->flush->durable_seq, state_seq(x.p));
    fixture_reopen(&x);
    cr_assert_eq(log_files(x.disk, &files, &count), 0);
    cr_assert_eq(count, 0);
    free(files);
}

/* ---- check and repair of a store that was not closed ---- */

static void repaired(const char *what, const char *where, const char *sentence, void *ctx)
{
    snprintf(ctx, 256, "%s|%s|%s", what, where, sentence);
}

static void unheard(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)what;
    (void)where;
    (void)sentence;
    (void)ctx;
}

static void repair(char told[256])
{
    struct repair_options o = {.clock = &x.clock.base,
                               .flags = REPAIR_FREE_LEAKS,
                               .check = {.found = unheard, .ctx = told},
                               .repaired = repaired,
                               .left = unheard};
    struct findings f = {0};
    struct repair_result r;

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    cr_assert_eq(store_repair(x.disk, x.kv, &o, &r), 0);
    cr_assert_eq(r.left, 0);
    kv_close(x.kv);
    is_clean(&x, &f);
    fixture_open(&x);
}

Test(replay, check_tells_what_waits_in_the_log_and_repair_replays_it_first)
{
    struct strbuf was = STRBUF_INIT, is = STRBUF_INIT;
    struct findings f;
    char told[256];

    seal();
    put_file(&x, "main/f", "text");
    fill("main/slot", 0, LARGE, 1);
    see_all(&was);
    down(&x);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    cr_assert(strstr(f.text, "note|log|") && strstr(f.text, "wait for the next mount"), "%s",
              f.text);
    cr_assert_not(strstr(f.text, "leak|slots"), "%s", f.text);
    repair(told);
    cr_assert(strstr(told, "are replayed"), "%s", told);
    see_all(&is);
    cr_assert_str_eq(is.s, was.s);
    strbuf_release(&was);
    strbuf_release(&is);
}

Test(replay, a_damaged_log_is_named_refused_and_given_up_when_asked)
{
    struct state_config config = {
        .disk = x.disk, .clock = &x.clock.base, .threads = 1, .log_segment = 1 << 20};
    struct log_file *files;
    struct findings f;
    char told[256], name[DISK_NAME_MAX + 1];
    struct state *p;
    size_t count;

    seal();
    for (int i = 0; i < 3; i++) {
        fill("main/f", 0, 1000, 1);
        cr_assert_eq(flush_sync(x.p), 0);
    }
    cr_assert_eq(log_files(x.disk, &files, &count), 0);
    snprintf(name, sizeof name, "log/%016llx", (unsigned long long)files[count - 1].serial);
    free(files);
    down(&x);
    examine(&x, &f);
    cr_assert_eq(disk_mem_flip(x.disk, name, 4096 + 500, 3), 0);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 1, "%s", f.text);
    cr_assert(strstr(f.text, "log|segment "), "%s", f.text);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    config.kv = x.kv;
    cr_assert_eq(store_open(&config, &p), -EUCLEAN);
    kv_close(x.kv);
    repair(told);
    cr_assert(strstr(told, "changes are replayed, given up are changes "), "%s", told);
    cr_assert(strstr(told, "kept as log/damaged.*"), "%s", told);
}

static int count_kept(const char *name, void *ctx)
{
    *(int *)ctx += strncmp(name, "damaged.", 8) == 0;
    return 0;
}

Test(replay, what_is_before_the_damage_is_replayed_and_the_segments_are_kept)
{
    struct state_config config = {
        .disk = x.disk, .clock = &x.clock.base, .threads = 1, .log_segment = 1 << 20};
    struct log_pos pos;
    char told[256], name[DISK_NAME_MAX + 1];
    struct state *p;
    int kept = 0;

    seal();
    fill("main/before", 0, 1000, 1);
    log_position(x.p->log, &pos);
    for (int i = 0; i < 3; i++) {
        fill("main/f", 0, 1000, 1);
        cr_assert_eq(flush_sync(x.p), 0);
    }
    down(&x);
    snprintf(name, sizeof name, "log/%016llx", (unsigned long long)pos.segment);
    cr_assert_eq(disk_mem_flip(x.disk, name, pos.offset + 50, 3), 0);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    config.kv = x.kv;
    cr_assert_eq(store_open(&config, &p), -EUCLEAN);
    kv_close(x.kv);
    repair(told);
    cr_assert(strstr(told, "kept as log/damaged.*"), "%s", told);
    cr_assert_neq(node_of(&x, "main/before"), 0, "what came before the damage");
    cr_assert_eq(node_of(&x, "main/f"), 0);
    cr_assert_eq(disk_list(x.disk, "log", count_kept, &kept), 0);
    cr_assert_gt(kept, 0);
}

/* ---- a recovery that is cut off ---- */

/* A large file is durable, its removal is not. The daemon dies, the next start is cut off by a loss
 * of power at its write number `at`; what comes then replays less. True: it was not cut off. */
static bool removal_survives_cut(uint64_t at, bool committed)
{
    struct state_config config = {
        .disk = x.disk, .clock = &x.clock.base, .threads = 1, .log_segment = 1 << 20};
    uint64_t node;
    int err;

    put_big(&x, "main/f", LARGE);
    if (committed)
        cr_assert_eq(flush_run(x.p, SEAL_BUFFERS), 0);
    cr_assert_eq(flush_sync(x.p), 0);
    remove_file(&x, "main/f");
    down(&x);
    fault_reset(&x.fault);
    x.fault.fail_at = at;
    x.fault.cut = true;
    x.fault.loss = FAULT_LOSE_SOME;
    x.fault.seed = at;
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &config.kv), 0);
    err = store_open(&config, &x.p);
    bool cut = fault_fired(&x.fault);
    cr_assert(cut || err == 0, "%d", err);
    if (err == 0)
        store_abandon(x.p);
    kv_close(config.kv);
    disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
    fixture_open(&x);
    node = node_of(&x, "main/f");
    if (node) {
        CLEANUP_STRBUF struct strbuf seen = STRBUF_INIT;
        see_bytes(&seen, &(struct vfs_attr){.nodeid = node, .size = LARGE});
    }
    return !cut;
}

Test(replay, a_slot_stays_until_a_commit_has_what_removed_it)
{
    for (int committed = 0; committed < 2; committed++) {
        bool through = false;
        uint64_t at = 0;
        while (!through) {
            gone();
            up();
            through = removal_survives_cut(++at, committed);
        }
        cr_assert_gt(at, 3);
    }
}

/* ---- frames that do not fit ---- */

static int replayed(const struct op *op)
{
    uint8_t buf[4096];
    size_t n = op_encode(op, buf);
    struct log_frame f = {.seq = 1000, .payload = buf};
    struct log *log = x.p->log;
    int err;

    memcpy(buf + n, op->data ? op->data : "", op->len);
    f.len = n + op->len;
    x.p->log = NULL; /* as at a start */
    err = replay_frame(x.p, &f);
    x.p->log = log;
    return err;
}

/* The row of a number that was given out is lost. */
Test(replay, what_a_frame_says_of_a_lost_number_does_not_refuse_the_log)
{
    uint64_t n;

    cr_assert_eq(refs_new(x.p->refs, &n), 0);
    refs_cancel(x.p->refs, n);
    const struct op of_it[] = {
        {.kind = OP_CONTENT_WRITE, .number = n, .data = "x", .len = 1},
        {.kind = OP_CONTENT_TRUNCATE, .number = n, .a = 1},
        {.kind = OP_CONTENT_SLOT, .number = n, .a = 1},
        {.kind = OP_CONTENT_CANCEL, .number = n},
        {.kind = OP_UNPIN, .number = n},
        {.kind = OP_PIN, .number = n},
    };

    for (size_t i = 0; i < sizeof of_it / sizeof of_it[0]; i++)
        cr_assert_eq(replayed(&of_it[i]), 0, "%zu", i);
    cr_assert(refs_is_pinned(x.p->refs, n));
}

Test(replay, a_frame_that_does_not_fit_is_damage)
{
    const struct key_range none = range_of_inode(500), top = range_of_inode(1);
    struct ns *ns;
    const struct op bad[] = {
        {.kind = OP_PUT, .ns = 77, .key = key_make(5, ITEM_INODE, 0)},
        {.kind = OP_PUT, .ns = 1, .key = key_make(5, ITEM_INODE, 0), .data = "x", .len = 1},
        {.kind = OP_DEL, .ns = 1, .key = key_make(500, ITEM_INODE, 0)},
        {.kind = OP_CONTENT_NEW, .number = 0},
        {.kind = OP_CONTENT_WRITE, .number = 999, .data = "x", .len = 1},
        {.kind = OP_CONTENT_TRUNCATE, .number = 999, .a = 1},
        {.kind = OP_RANGE_DEL, .ns = 1, .key = none.from, .end = none.to},
        {.kind = OP_RANGE_DEL, .ns = 77, .key = top.from, .end = top.to},
        {.kind = OP_RANGE_COPY, .ns = 1, .key = none.from, .end = none.to, .a = 1, .b = 5},
        {.kind = OP_RANGE_COPY, .ns = 1, .key = top.from, .end = top.to, .a = 77, .b = 5},
        {.kind = OP_RANGE_COPY, .ns = 1, .key = top.from, .end = top.to, .a = 1, .b = 0},
        {.kind = OP_RANGE_COPY, .ns = 1, .key = top.from, .end = top.to, .a = 1, .b = 1},
        {.kind = OP_RANGE_COPY, .ns = 1, .key = top.from, .end = top.to, .a = 1, .b = 1ull << 42},
        {.kind = OP_RANGE_COPY, .ns = 1, .key = top.from, .end = top.to, .a = 1ull << 32, .b = 5},
        {.kind = OP_CONTENT_SLOT, .number = 999, .a = 1},
        {.kind = OP_CONTENT_CANCEL, .number = 999},
        {.kind = OP_NS_PUT, .ns = 5, .data = "x", .len = 1},
        {.kind = OP_NS_BRANCH, .ns = 5, .number = 1, .data = "x", .len = 1},
        {.kind = OP_NS_DROP, .ns = 77},
        {.kind = OP_NS_TAKE, .ns = 1, .number = 77},
        {.kind = OP_NS_TAKE, .ns = 77, .number = 1},
        {.kind = OP_NS_TAKE, .ns = 1, .number = 1}, /* no draft */
        {.kind = OP_NS_TAKE, .ns = 1, .number = 1ull << 32},
        {.kind = OP_PIN, .number = 999},
        {.kind = OP_REQUEST, .a = 0},
        {.kind = OP_SETTING, .a = 1},
        {.kind = OP_SETTING, .a = 1, .data = "seal_delays", .len = 11},
        {.kind = OP_SETTING, .a = 1, .data = "seal_dela", .len = 9},
        {.kind = OP_SETTING, .a = UINT64_MAX, .data = "seal_delay", .len = 10},
        {.kind = OP_INO_RUN, .ns = 1, .a = 5, .b = 5},
        {.kind = OP_INO_RUN, .ns = 1, .a = 1, .b = 5},
        {.kind = OP_INO_RUN, .ns = 1, .a = 5, .b = KEY_INO_MAX + 2},
        {.kind = OP_INO_RUN, .ns = 77, .a = 5, .b = 9},
        {.kind = OP_NS_SETTING, .ns = 77, .data = "quota", .len = 5},
        {.kind = OP_NS_SETTING, .ns = 1},
        {.kind = OP_NS_SETTING, .ns = 1, .data = "Quota", .len = 5},
        {.kind = OP_NS_SETTING,
         .ns = 1,
         .data = "\0"
                 "20",
         .len = 3},
        {.kind = OP_HISTORY},
        {.kind = OP_HISTORY, .data = "x", .len = 1},
    };

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    ns->tree.observer = NULL;
    cr_assert_eq(ns->number, 1);
    ns_put(x.p, ns);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(replayed(&bad[i]), -EUCLEAN, "%zu", i);
}
