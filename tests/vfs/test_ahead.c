// SPDX-License-Identifier: Apache-2.0
/* Claims of vfs_ahead.c: a thread that must not wait is told so before it begins. */
#include "durability.h"
#include "fixture.h"
#include "vfs_impl.h"

static struct fixture x;
static uint8_t bytes[1 << 20];

static void up(void)
{
    fixture_setup(&x);
    put_file(&x, "main/warm", "the log has a segment");
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(ahead, .init = up, .fini = down);

static struct vfs_file *create(const char *name)
{
    struct vfs_file *f;
    struct vfs_attr a;

    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), name, 0644, &fixture_cred, VFS_WRITE, &a, &f),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
    return f;
}

static void write_to(struct vfs_file *f, size_t len, uint64_t off)
{
    memset(bytes, 'x', len);
    cr_assert_eq(vfs_write(f, bytes, len, off), (ssize_t)len);
}

static size_t buffered(void)
{
    return atomic_load(&x.p->contents.buffered);
}

/* With more than `set buffers 1M` allows. */
static void fill_memory(void)
{
    struct vfs_file *f;
    char name[16];

    for (unsigned i = 0; buffered() <= 1 << 20; i++) {
        snprintf(name, sizeof name, "f%u", i);
        f = create(name);
        write_to(f, 100000, 0);
        vfs_release(f);
    }
}

Test(ahead, a_change_that_would_wait_for_memory_is_refused_beforehand)
{
    cr_assert(vfs_ahead(x.p, 0));
    vfs_ahead_end();
    fill_memory();
    agreed(&x, "set buffers 1M", "ok");
    cr_assert_not(vfs_ahead(x.p, 0));
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert(vfs_ahead(x.p, 0));
    vfs_ahead_end();
}

Test(ahead, who_is_ahead_waits_for_no_flush_and_others_do)
{
    struct vfs_file *f = create("f");

    fill_memory();
    size_t before = buffered();
    cr_assert(vfs_ahead(x.p, 5000));
    agreed(&x, "set buffers 1M", "ok"); /* as if it had filled up in between; takes the room, too */
    write_to(f, 5000, 0);
    vfs_ahead_end();
    cr_assert_geq(buffered(), before + 5000);
    write_to(f, 5000, 5000); /* flushes first */
    cr_assert_lt(buffered(), before);
    vfs_release(f);
}

Test(ahead, the_room_is_taken_once_and_given_back)
{
    struct log_stats before, after;
    struct vfs_file *f = create("f");
    unsigned n = 0;

    log_get_stats(x.p->log, &before);
    for (; vfs_ahead(x.p, 100000); n++) { /* whoever is ahead first has it, until the log is full */
        write_to(f, 100000, 0);
        cr_assert(txn_is_ahead());
        vfs_ahead_end();
        cr_assert_not(txn_is_ahead());
    }
    log_get_stats(x.p->log, &after);
    cr_assert_geq(n, 2);
    cr_assert_eq(after.segments, before.segments); /* nothing was made, nobody waited */
    write_to(f, 100000, 0);
    cr_assert(vfs_ahead(x.p, 100000)); /* who may wait has made room */
    vfs_ahead_end();
    vfs_release(f);
}

Test(ahead, closing_a_file_that_may_have_to_be_copied_is_work)
{
    struct vfs_file *f = create("f");
    uint64_t node = node_of(&x, "main/f");

    write_to(f, 1000, 0);
    cr_assert_not(vfs_release_is_work(f));
    write_to(f, 1 << 20, 0);
    cr_assert_not(vfs_release_is_work(f));
    cr_assert_not(vfs_cut_is_work(x.p, node));
    vfs_release(f);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert(vfs_cut_is_work(x.p, node));
    cr_assert_eq(vfs_open(x.p, node, 0, &f), 0);
    cr_assert_not(vfs_release_is_work(f)); /* it was only read */
    vfs_release(f);
    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE, &f), 0);
    write_to(f, 5000, 200000);
    cr_assert(vfs_release_is_work(f));
    vfs_release(f);
}

Test(ahead, a_write_of_several_commands_may_wait)
{
    cr_assert_not(control_may_wait(x.p, "branch main a\n", 14));
    cr_assert(control_may_wait(x.p, "branch main a\nbranch main b\n", 28));
}
