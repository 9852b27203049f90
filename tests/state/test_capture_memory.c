// SPDX-License-Identifier: Apache-2.0
/*
 * test_capture_memory: a change for which there is no memory fails, before it begins or where it
 * can be given up: that is no reason for a store to become read-only. Linked with
 * --wrap=malloc,calloc,realloc.
 */
#include "disk_impl.h"
#include "fixture.h"
#include "store_impl.h"
#include <linux/falloc.h>
#include <stdlib.h>

#define CALLS_MOST 3000
#define LARGE (200u << 10) /* bytes */

static struct fixture x;
static _Thread_local bool counts;
static unsigned calls, fails_at;
static uint8_t bytes[LARGE];

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool fails(void)
{
    return counts && ++calls == fails_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

/* The disk in memory has all it needs: it plays one that has it on a disk. */
static const struct disk_ops *real;
static struct disk_ops quiet;

static int open_quiet(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    bool was = counts;

    counts = false;
    int err = real->open(d, name, flags, ret);
    if (err == 0)
        (*ret)->ops = &quiet;
    counts = was;
    return err;
}

/* QUIET(name, parameters, arguments) */
#define QUIET(name, params, args)                                                                  \
    static int name##_quiet params                                                                 \
    {                                                                                              \
        bool was = counts;                                                                         \
                                                                                                   \
        counts = false;                                                                            \
        int err = real->name args;                                                                 \
        counts = was;                                                                              \
        return err;                                                                                \
    }
QUIET(mkdir, (struct disk * d, const char *name), (d, name))
QUIET(link, (struct disk * d, const char *from, const char *to), (d, from, to))
QUIET(unlink, (struct disk * d, const char *name), (d, name))
QUIET(rename, (struct disk * d, const char *from, const char *to), (d, from, to))
QUIET(sync_dir, (struct disk * d, const char *name), (d, name))
QUIET(pwritev, (struct disk_file * f, const struct iovec *iov, int count, uint64_t off),
      (f, iov, count, off))
QUIET(truncate, (struct disk_file * f, uint64_t size), (f, size))
QUIET(sync, (struct disk_file * f), (f))
QUIET(allocate, (struct disk_file * f, uint64_t size), (f, size))
QUIET(map, (struct disk_file * f, uint64_t off, size_t len, void **ret), (f, off, len, ret))

static void map_wrote_quiet(struct disk_file *f, void *map, size_t at, size_t len)
{
    bool was = counts;

    counts = false;
    real->map_wrote(f, map, at, len);
    counts = was;
}

static void up(void)
{
    fixture_setup(&x);
    real = x.disk->ops;
    quiet = *real;
    quiet.open = open_quiet;
    quiet.mkdir = mkdir_quiet;
    quiet.link = link_quiet;
    quiet.unlink = unlink_quiet;
    quiet.rename = rename_quiet;
    quiet.sync_dir = sync_dir_quiet;
    quiet.pwritev = pwritev_quiet;
    quiet.truncate = truncate_quiet;
    quiet.sync = sync_quiet;
    quiet.allocate = allocate_quiet;
    quiet.map = map_quiet;
    quiet.map_wrote = map_wrote_quiet;
    x.disk->ops = &quiet;
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (uint8_t)(i * 131 >> 4);
}

static void gone(void)
{
    fixture_teardown(&x);
}

TestSuite(capture_memory, .init = up, .fini = gone, .timeout = 250);

/* The next change has to get the memory in which it is noted. */
static void give_up_spare(void)
{
    free(atomic_exchange(&x.p->spare, NULL));
}

/* From here on the allocation so many from now fails, once. */
static void arm(unsigned at)
{
    give_up_spare();
    calls = 0;
    fails_at = at;
    counts = true;
}

static void disarm(void)
{
    counts = false;
}

static bool may_fail(int err)
{
    bool passed = counts;

    counts = false;
    cr_assert(err == 0 || err == -ENOMEM, "%d at call %u", err, fails_at);
    cr_assert_not(atomic_load(&x.p->readonly), "read-only at call %u", fails_at);
    give_up_spare();
    counts = passed;
    return err == 0;
}

/* ---- every call ---- */

static uint64_t x_main(void)
{
    bool was = counts;

    counts = false;
    uint64_t node = node_of(&x, "main");
    counts = was;
    return node;
}

static int put(const char *name)
{
    struct vfs_file *f;
    struct vfs_attr a;
    int err = vfs_create(x.p, x_main(), name, 0644, &fixture_cred, VFS_WRITE, &a, &f);

    if (err < 0)
        return err;
    /* Overlapping pieces: the later ones copy, and own what was there. */
    for (uint64_t off = 0; off < LARGE && err == 0; off += 30000) {
        size_t len = off + 40000 < LARGE ? 40000 : (size_t)(LARGE - off);
        ssize_t n = vfs_write(f, bytes + off, len, off);
        err = n < 0 ? (int)n : 0;
    }
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
    return err;
}

static int set_value(const char *path)
{
    bool was = counts;

    counts = false;
    uint64_t node = node_of(&x, path);
    counts = was;
    return vfs_setxattr(x.p, node, "user.much", bytes, 3000, 0);
}

static size_t get(const char *path, uint8_t *ret)
{
    struct vfs_file *f;
    ssize_t n;

    if (!node_of(&x, path))
        return 0;
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0, "%s", path);
    n = vfs_read(f, ret, LARGE, 0);
    cr_assert_geq(n, 0, "%s", path);
    vfs_release(f);
    return (size_t)n;
}

/* Every step may fail; what the others did stays. */
static void work(unsigned at)
{
    arm(at);
    (void)may_fail(put("file"));
    (void)may_fail(set_value("main"));
    disarm();
}

/* The daemon dies: the log tells what memory knew. */
static void dies(unsigned at)
{
    static uint8_t before[LARGE], after[LARGE];
    size_t len = get("main/file", before);

    put_file(&x, "main/last", "a change behind it");
    cr_assert_eq(flush_sync(x.p), 0);
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(get("main/file", after), len, "call %u", at);
    cr_assert_eq(memcmp(before, after, len), 0, "call %u", at);
    cr_assert_neq(node_of(&x, "main/last"), 0);
}

Test(capture_memory, no_change_is_begun_that_cannot_be_noted)
{
    unsigned n;
    bool reached = true;

    for (n = 1; reached && n < CALLS_MOST; n++) {
        work(n);
        reached = calls >= n;
        dies(n);
        gone();
        up();
    }
    cr_assert_gt(n, 20, "%u calls", n);
    cr_assert_lt(n, CALLS_MOST);
}

/* ---- a new file ---- */

static int create(struct vfs_file **ret_file)
{
    struct vfs_attr a;
    int err = vfs_create(x.p, x_main(), "new", 0644, &fixture_cred, VFS_WRITE, &a, ret_file);

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

Test(capture_memory, a_file_that_could_not_be_created_is_not_there)
{
    struct vfs_file *f = NULL;
    uint32_t open;
    bool made = false;
    unsigned n;

    put_file(&x, "main/before", "what is needed once is there");
    open = open_files(&x, "main");
    for (n = 1; !made && n < CALLS_MOST; n++) {
        arm(n);
        made = may_fail(create(&f));
        disarm();
        cr_assert_eq(node_of(&x, "main/new") != 0, made, "call %u", n);
        cr_assert_eq(open_files(&x, "main"), open + made, "call %u", n);
    }
    cr_assert_gt(n, 3, "%u calls", n);
    cr_assert(made);
    vfs_release(f);
}

/* ---- many contents in one change ---- */

#define MANY (CAPTURE_HELD + 36)

Test(capture_memory, that_many_contents_wait_for_one_frame_takes_none)
{
    struct content *c[MANY];
    TXN(t);

    cr_assert_eq(txn_begin(x.p, 0, &t), 0);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(content_new(&t, 77, CONTENT_WHOLE, &c[i]), 0);
    arm(1);
    for (size_t i = 0; i < MANY; i++)
        content_end(&t, c[i]);
    (void)may_fail(state_changed(&t, NULL));
    disarm();
    cr_assert_eq(calls, 0);
    txn_end(&t);
    cr_assert_eq(log_seq(x.p->log), atomic_load(&x.p->seq));
    for (size_t i = 0; i < MANY; i++)
        content_unref(c[i]);
}

/* ---- and every kind of change ---- */

static const char *const names[] = {"main/file", "main/link",      "main/symlink",
                                    "main/other", "main/dir",       "main/dir/moved",
                                    "main/part", "space",          "spare"};
#define NAMES (sizeof names / sizeof *names)

struct seen {
    uint64_t nodeid, size;
    uint32_t nlink, mode;
};

static uint64_t node_quietly(const char *path)
{
    bool was = counts;

    counts = false;
    uint64_t node = node_of(&x, path);
    counts = was;
    return node;
}

/* Those before it may have failed, and then it finds other names. */
static void try(int err)
{
    bool found = err == -ENOENT || err == -EEXIST || err == -ENOTEMPTY;

    (void)may_fail(found ? 0 : err);
}

static int write_to(const char *path, size_t len)
{
    struct vfs_file *f;
    uint64_t node = node_quietly(path);
    int err = node ? vfs_open(x.p, node, VFS_WRITE, &f) : -ENOENT;

    if (err < 0)
        return err;
    ssize_t n = vfs_write(f, bytes, len, 1000);
    if (n >= 0)
        err = vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 9000);
    vfs_release(f);
    return n < 0 ? (int)n : err;
}

static int share(const char *from, const char *to)
{
    struct vfs_file *in, *out;
    uint64_t a = node_quietly(from), b = node_quietly(to);
    int err = a && b ? vfs_open(x.p, a, 0, &in) : -ENOENT;

    if (err < 0)
        return err;
    err = vfs_open(x.p, b, VFS_WRITE, &out);
    if (err == 0) {
        ssize_t n = vfs_share_range(in, 0, out, 0, LARGE);
        err = n < 0 ? (int)n : 0;
        vfs_release(out);
    }
    vfs_release(in);
    return err;
}

static int new_node(const char *dir, const char *name, uint32_t mode)
{
    struct vfs_attr a;
    uint64_t node = *dir ? node_quietly(dir) : VFS_ROOT;
    int err = node ? vfs_mknod(x.p, node, name, mode, 0, &fixture_cred, &a) : -ENOENT;

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

static int forget_one(int err, const struct vfs_attr *a)
{
    if (err == 0)
        vfs_forget(x.p, a->nodeid, 1);
    return err;
}

static void change_names(void)
{
    struct vfs_attr a;
    uint64_t top = x_main(), node;

    try(new_node("main", "dir", S_IFDIR | 0755));
    node = node_quietly("main/file");
    try(node ? forget_one(vfs_link(x.p, node, top, "link", &a), &a) : 0);
    try(forget_one(vfs_symlink(x.p, top, "symlink", "nowhere", &fixture_cred, &a), &a));
    try(new_node("main", "other", S_IFREG | 0644));
    node = node_quietly("main/dir");
    try(node ? vfs_rename(x.p, top, "other", node, "moved", 0, &fixture_cred) : 0);
    try(new_node("main", "part", S_IFREG | 0644));
}

static void change_contents(void)
{
    struct vfs_attr a = {.size = 70000};
    uint64_t node;

    try(share("main/file", "main/part"));
    try(write_to("main/part", 60000));
    node = node_quietly("main/link");
    try(node ? vfs_setattr(x.p, node, VFS_SET_SIZE, &a, &a) : 0);
    try(set_value("main/file"));
    node = node_quietly("main/file");
    int err = node ? vfs_removexattr(x.p, node, "user.much") : 0;
    try(err == -ENODATA ? 0 : err);
    try(vfs_rename(x.p, x_main(), "file", x_main(), "part", 0, &fixture_cred));
    try(vfs_unlink(x.p, x_main(), "symlink"));
}

static void change_spaces(void)
{
    try(new_node("", "space", S_IFDIR | 0755));
    try(vfs_rename(x.p, VFS_ROOT, "space", VFS_ROOT, "spare", 0, &fixture_cred));
    try(vfs_rmdir(x.p, VFS_ROOT, "spare"));
}

static void look(struct seen ret[NAMES])
{
    for (size_t i = 0; i < NAMES; i++) {
        struct vfs_attr a = {0};
        uint64_t node = node_of(&x, names[i]);

        if (node)
            cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
        ret[i] = (struct seen){node, a.size, a.nlink, a.mode};
    }
}

Test(capture_memory, nor_one_of_any_other_kind)
{
    struct seen before[NAMES], after[NAMES];
    unsigned n;
    bool reached = true;

    for (n = 1; reached && n < CALLS_MOST; n++) {
        cr_assert_eq(put("file"), 0);
        arm(n);
        change_names();
        change_contents();
        change_spaces();
        disarm();
        reached = calls >= n;
        look(before);
        cr_assert_eq(flush_sync(x.p), 0, "call %u", n);
        store_abandon(x.p);
        kv_close(x.kv);
        fixture_open(&x);
        look(after);
        for (size_t i = 0; i < NAMES; i++)
            cr_assert_eq(memcmp(&before[i], &after[i], sizeof before[i]), 0, "%s, call %u",
                         names[i], n);
        gone();
        up();
    }
    cr_assert_gt(n, 40, "%u calls", n);
    cr_assert_lt(n, CALLS_MOST);
}
