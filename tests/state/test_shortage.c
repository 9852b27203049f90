// SPDX-License-Identifier: Apache-2.0
/*
 * test_shortage: where descriptors or memory run out, nothing is said of the disk: what was asked
 * for fails, is tried again, and the store goes on.
 */
#include "disk_impl.h"
#include "fixture.h"
#include "store_impl.h"
#include "report.h"

#define LARGE (300u << 10) /* bytes: a slot */
#define CALLS_MOST 400

static struct fixture x;
static uint8_t bytes[LARGE];

/* The disk as it is, but for one call of it that fails. What is stored into a mapping is none. */
static const struct disk_ops *real;
static struct disk_ops counting;
static unsigned calls, fails_at;
static int error;

static int fails(void)
{
    return ++calls == fails_at ? error : 0;
}

static int open_counted(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    int err = fails();

    if (err == 0)
        err = real->open(d, name, flags, ret);
    if (err == 0)
        (*ret)->ops = &counting;
    return err;
}

/* COUNTED(name, parameters, arguments) */
#define COUNTED(name, params, args)                                                                \
    static int name##_counted params                                                               \
    {                                                                                              \
        int err = fails();                                                                         \
                                                                                                   \
        return err ? err : real->name args;                                                        \
    }
COUNTED(mkdir, (struct disk * d, const char *name), (d, name))
COUNTED(link, (struct disk * d, const char *from, const char *to), (d, from, to))
COUNTED(unlink, (struct disk * d, const char *name), (d, name))
COUNTED(rename, (struct disk * d, const char *from, const char *to), (d, from, to))
COUNTED(sync_dir, (struct disk * d, const char *name), (d, name))
COUNTED(list, (struct disk * d, const char *name, disk_list_fn *fn, void *ctx), (d, name, fn, ctx))
COUNTED(pwritev, (struct disk_file * f, const struct iovec *iov, int count, uint64_t off),
        (f, iov, count, off))
COUNTED(truncate, (struct disk_file * f, uint64_t size), (f, size))
COUNTED(sync, (struct disk_file * f), (f))
COUNTED(allocate, (struct disk_file * f, uint64_t size), (f, size))
COUNTED(map, (struct disk_file * f, uint64_t off, size_t len, void **ret), (f, off, len, ret))

static void up(void)
{
    fixture_setup(&x);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    real = x.disk->ops;
    counting = *real;
    counting.open = open_counted;
    counting.mkdir = mkdir_counted;
    counting.link = link_counted;
    counting.unlink = unlink_counted;
    counting.rename = rename_counted;
    counting.sync_dir = sync_dir_counted;
    counting.list = list_counted;
    counting.pwritev = pwritev_counted;
    counting.truncate = truncate_counted;
    counting.sync = sync_counted;
    counting.allocate = allocate_counted;
    counting.map = map_counted;
}

/* With the next calls counted, all begun anew so that no file is open by other rules. */
static void count_calls(int err, unsigned at)
{
    calls = 0;
    error = err;
    fails_at = at;
    x.disk->ops = &counting;
}

static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(shortage, .init = up, .fini = down, .timeout = 120);

static bool is_read_only(void)
{
    return atomic_load(&x.p->readonly);
}

/* One that cannot be made now is not there. */
static int put(const char *name, const void *data, size_t len)
{
    struct vfs_file *f;
    struct vfs_attr a;
    int err = vfs_create(x.p, node_of(&x, "main"), name, 0644, &fixture_cred, VFS_WRITE, &a, &f);

    if (err < 0)
        return err;
    ssize_t n = vfs_write(f, data, len, 0);

    err = n < 0 ? (int)n : flush_sync(x.p);
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
    return err;
}

static void is(const char *path, size_t len)
{
    static uint8_t got[LARGE];
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0, "%s", path);
    cr_assert_eq(vfs_read(f, got, LARGE, 0), (ssize_t)len, "%s", path);
    cr_assert_eq(memcmp(got, bytes, len), 0, "%s", path);
    vfs_release(f);
}

static void may_fail(int err, const char *what)
{
    cr_assert(err == 0 || err == error, "%s: %d at call %u", what, err, fails_at);
}

/* All that needs descriptors or writes; each step may fail, and is done again until it does not. */
static void work(void)
{
    for (int i = 0; i < 3; i++) {
        char name[16];
        int err;

        snprintf(name, sizeof name, "large%d", i);
        err = put(name, bytes, LARGE);
        may_fail(err, name);
        if (err < 0) {
            (void)vfs_unlink(x.p, node_of(&x, "main"), name);
            may_fail(put(name, bytes, LARGE), name);
        }
        snprintf(name, sizeof name, "small%d", i);
        err = put(name, bytes + i, 5000);
        may_fail(err, name);
        may_fail(flush_sync(x.p), "sync");
        may_fail(flush_now(x.p), "flush");
    }
}

static void whole(void)
{
    for (int i = 0; i < 3; i++) {
        char path[32];

        snprintf(path, sizeof path, "main/large%d", i);
        is(path, LARGE);
    }
}

/* With the shortage over everything is there, durable, and so after a loss of power. */
static void goes_on(unsigned n)
{
    cr_assert_not(is_read_only(), "read-only after call %u", n);
    cr_assert_eq(put("after", bytes, LARGE), 0, "after call %u", n);
    cr_assert_eq(flush_sync(x.p), 0, "after call %u", n);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0, "after call %u", n);
    whole();
    fixture_reopen(&x);
    whole();
    is("main/after", LARGE);
}

static void again(void)
{
    down();
    up();
}

/* Every call of the disk, one after the other. */
static void every_call(int err)
{
    unsigned n;
    bool reached = true;

    for (n = 1; reached && n < CALLS_MOST; n++) {
        count_calls(err, n);
        work();
        fails_at = 0;
        reached = calls >= n;
        goes_on(n);
        again();
    }
    cr_assert_gt(n, 25);
    cr_assert_lt(n, CALLS_MOST);
}

Test(shortage, no_descriptors_are_no_fault_of_the_disk)
{
    every_call(-EMFILE);
}

Test(shortage, nor_are_those_of_the_whole_system)
{
    every_call(-ENFILE);
}

Test(shortage, nor_is_memory)
{
    every_call(-ENOMEM);
}

/* ---- one that lasts ---- */

#define SYNCS_REFUSED 12

static unsigned log_syncs;

static int log_sync_refused(struct disk_file *f)
{
    return ++log_syncs <= SYNCS_REFUSED ? -ENOMEM : real->sync(f);
}

static int open_log_refused(struct disk *d, const char *name, unsigned flags,
                            struct disk_file **ret)
{
    int err = real->open(d, name, flags, ret);

    if (err == 0 && strncmp(name, "log/", 4) == 0)
        (*ret)->ops = &counting;
    return err;
}

Test(shortage, a_sync_of_the_log_waits_as_long_as_one_lasts)
{
    cr_assert_eq(put("before", bytes, 100), 0); /* its segment is made */
    fixture_reopen(&x);
    real = x.disk->ops;
    counting = *real;
    counting.open = open_log_refused;
    x.disk->ops = &counting;
    log_syncs = SYNCS_REFUSED; /* not yet: the head of a new segment */
    cr_assert_eq(put("large0", bytes, LARGE), 0);
    counting.sync = log_sync_refused;
    log_syncs = 0;
    report_reset();
    cr_assert_eq(put("small", bytes, 100), 0);
    cr_assert_gt(log_syncs, SYNCS_REFUSED);
    cr_assert_not(is_read_only());
    cr_assert_eq(report_count(REPORT_WARN), 1, "once");
    x.disk->ops = real;
    fixture_reopen(&x);
    is("main/small", 100);
}

/* ---- the same of the tables ---- */

Test(shortage, a_commit_without_memory_is_tried_again)
{
    bool failed = true;
    unsigned n, refused = 0;

    for (n = 1; failed; n++) { /* until a flush has fewer writes */
        cr_assert_lt(n, 200);
        fault_reset(&x.fault);
        cr_assert_eq(put("large0", bytes, LARGE), 0);
        x.fault.error = ENOMEM;
        x.fault.fail_at = n;
        error = -ENOMEM;
        x.disk->ops = real;
        int err = flush_now(x.p);
        may_fail(err, "flush");
        failed = atomic_load(&x.fault.writes) >= n;
        refused += err != 0;
        fault_reset(&x.fault);
        cr_assert_eq(flush_now(x.p), 0, "%u", n);
        is("main/large0", LARGE);
        again();
    }
    cr_assert_gt(refused, 0, "no flush failed in %u writes", n - 1);
}
