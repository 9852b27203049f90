// SPDX-License-Identifier: Apache-2.0
/*
 * test_capture_memory: a change for which there is no memory fails, before it begins or where it
 * can be given up: that is no reason for a store to become read-only. Linked with
 * --wrap=malloc,calloc,realloc.
 */
#include "disk_impl.h"
#include "fixture.h"
#include "project_impl.h"
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

/* From here on the allocation so many from now fails, once. */
static void arm(unsigned at)
{
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
    cr_assert_eq(project_sync(x.p), 0);
    project_abandon(x.p);
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
