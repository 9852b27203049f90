// SPDX-License-Identifier: Apache-2.0
/* Claims of nowait.h: a call that would wait says so to a thread that must not, and has changed
 * nothing. */
#include "durability.h"
#include "fixture.h"
#include <pthread.h>
#include <semaphore.h>
#include "nowait.h"
#include "vfs_impl.h"
#include <linux/falloc.h>

static struct fixture x;
static uint8_t bytes[1 << 20];
static struct vfs_file *filler, *gone, *open_file, *to_share;
static uint64_t top, attributes; /* nodeids */

static struct vfs_file *create(const char *name)
{
    struct vfs_file *f;
    struct vfs_attr a;

    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), name, 0644, &fixture_cred, VFS_WRITE, &a, &f),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
    return f;
}

static void up(void)
{
    fixture_setup(&x);
    put_file(&x, "main/warm", "the log has a segment");
    put_file(&x, "main/a", "to be opened, renamed over, linked");
    put_file(&x, "main/b", "to be removed");
    put_file(&x, "main/c", "to be renamed");
    top = node_of(&x, "main");
    attributes = node_of(&x, "main/a");
    cr_assert_eq(vfs_setxattr(x.p, attributes, "user.x", "1", 1, 0), 0);
    agreed(&x, "branch main other", "ok");
    agreed(&x, "branch main old", "ok");
    filler = create("filler");
    open_file = create("open");
    to_share = create("share");
    gone = create("gone");
    remove_file(&x, "main/gone");
}
static void down(void)
{
    (void)thread_set_may_wait(true);
    fixture_teardown(&x);
}

TestSuite(nowait, .init = up, .fini = down);

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

    agreed(&x, "set buffers 1G", "ok");
    for (unsigned i = 0; buffered() <= 1 << 20; i++) {
        snprintf(name, sizeof name, "f%u", i);
        f = create(name);
        write_to(f, 100000, 0);
        vfs_release(f);
    }
    agreed(&x, "set buffers 1M", "ok");
}

static int touch(void)
{
    struct vfs_attr a = {0};

    return vfs_setattr(x.p, attributes, VFS_SET_MTIME_NOW, &a, &a);
}

/* Not even the least change finds room in it at once. */
static void fill_log(void)
{
    ssize_t n;

    (void)thread_set_may_wait(false);
    do
        n = vfs_write(filler, bytes, 100000, 0);
    while (n > 0);
    cr_assert_eq(n, -EWOULDWAIT);
    do
        n = touch();
    while (n == 0);
    cr_assert_eq(n, -EWOULDWAIT);
}

/* ---- the calls ---- */

static struct vfs_attr attr;

static int64_t entry(int64_t r)
{
    if (r == 0)
        vfs_forget(x.p, attr.nodeid, 1);
    return r;
}
static int64_t file(int64_t r, struct vfs_file **f)
{
    if (r == 0)
        vfs_release(*f);
    return entry(r);
}
static int64_t call_mknod(void)
{
    return entry(vfs_mknod(x.p, top, "n1", S_IFREG | 0644, 0, &fixture_cred, &attr));
}
static int64_t call_mkdir(void)
{
    return entry(vfs_mknod(x.p, top, "n2", S_IFDIR | 0755, 0, &fixture_cred, &attr));
}
static int64_t call_symlink(void)
{
    return entry(vfs_symlink(x.p, top, "n3", "to", &fixture_cred, &attr));
}
static int64_t call_create(void)
{
    struct vfs_file *f;
    return file(vfs_create(x.p, top, "n4", 0644, &fixture_cred, VFS_WRITE | VFS_TRUNC, &attr, &f),
                &f);
}
static int64_t call_create_over(void)
{
    struct vfs_file *f;
    return file(vfs_create(x.p, top, "a", 0644, &fixture_cred, VFS_WRITE | VFS_TRUNC, &attr, &f),
                &f);
}
static int64_t call_tmpfile(void)
{
    struct vfs_file *f;
    return file(vfs_tmpfile(x.p, top, 0644, &fixture_cred, VFS_WRITE, &attr, &f), &f);
}
static int64_t call_open_cutting(void)
{
    struct vfs_file *f;
    int err = vfs_open(x.p, node_of(&x, "main/a"), VFS_WRITE | VFS_TRUNC, &f);
    if (err == 0)
        vfs_release(f);
    return err;
}
static int64_t call_write(void)
{
    return vfs_write(open_file, "text", 4, 0);
}
static int64_t call_write_back(void)
{
    return vfs_write_back(open_file, "more", 4, 4);
}
static int64_t call_write_uncached(void)
{
    struct vfs_stale *stale;
    ssize_t n = vfs_write_uncached(open_file, "text", 4, 8, &stale);
    if (stale)
        vfs_stale_gone(stale);
    return n;
}
static int64_t call_chmod(void)
{
    attr.mode = 0600;
    return vfs_setattr(x.p, attributes, VFS_SET_MODE, &attr, &attr);
}
static int64_t call_truncate(void)
{
    attr.size = 2;
    return vfs_setattr(x.p, attributes, VFS_SET_SIZE, &attr, &attr);
}
static int64_t call_setxattr(void)
{
    return vfs_setxattr(x.p, attributes, "user.y", "2", 1, 0);
}
static int64_t call_removexattr(void)
{
    return vfs_removexattr(x.p, attributes, "user.x");
}
static int64_t call_link(void)
{
    return entry(vfs_link(x.p, attributes, top, "n5", &attr));
}
static int64_t call_rename(void)
{
    return vfs_rename(x.p, top, "c", top, "n6", 0, NULL);
}
static int64_t call_unlink(void)
{
    return vfs_unlink(x.p, top, "b");
}
static int64_t call_rmdir(void)
{
    return vfs_rmdir(x.p, top, "n2");
}
static int64_t call_share(void)
{
    return vfs_share_range(filler, 0, to_share, 0, 100000);
}
static int64_t call_release(void)
{
    return vfs_release(gone);
}
static int64_t call_make_namespace(void)
{
    return entry(vfs_mknod(x.p, VFS_ROOT, "n7", S_IFDIR | 0755, 0, &fixture_cred, &attr));
}
static int64_t call_make_link(void)
{
    return entry(vfs_symlink(x.p, VFS_ROOT, "n8", "main", &fixture_cred, &attr));
}
static int64_t call_rename_namespace(void)
{
    return vfs_rename(x.p, VFS_ROOT, "other", VFS_ROOT, "n9", 0, NULL);
}
static int64_t call_remove_link(void)
{
    return vfs_unlink(x.p, VFS_ROOT, "n8");
}
static int64_t call_remove_namespace(void)
{
    return vfs_rmdir(x.p, VFS_ROOT, "n7");
}
static int64_t call_command(const char *text)
{
    char reply[4096];
    struct control_session *s;
    ssize_t n, r;

    cr_assert_eq(control_open(x.p, &s), 0);
    r = control_write_at(s, text, strlen(text), -1, &never_interrupted);
    n = control_read_at(s, reply, sizeof reply, -1);
    cr_assert((n == 0) == (r == -EWOULDWAIT), "%s: %zd, and %zd bytes of reply", text, r, n);
    control_close(s);
    return r;
}
static int64_t call_branch(void)
{
    return call_command("branch old n10");
}
static int64_t call_set(void)
{
    return call_command("set flush_interval 7s");
}
static int64_t call_freeze(void)
{
    return call_command("set ns:old.frozen yes");
}

static const struct call {
    const char *name;
    int64_t (*fn)(void);
    bool goes_on; /* where memory is full */
} calls[] = {
    {"mknod", call_mknod, false},
    {"mkdir", call_mkdir, false},
    {"symlink", call_symlink, false},
    {"create", call_create, false},
    {"create over", call_create_over, false},
    {"tmpfile", call_tmpfile, false},
    {"open cutting", call_open_cutting, false},
    {"write", call_write, false},
    {"write back", call_write_back, false},
    {"write uncached", call_write_uncached, false},
    {"chmod", call_chmod, false},
    {"truncate", call_truncate, false},
    {"setxattr", call_setxattr, false},
    {"removexattr", call_removexattr, false},
    {"link", call_link, false},
    {"rename", call_rename, false},
    {"unlink", call_unlink, false},
    {"rmdir", call_rmdir, false},
    {"share", call_share, false},
    {"release", call_release, true},
    {"make a namespace", call_make_namespace, false},
    {"make a link to one", call_make_link, true},
    {"rename one", call_rename_namespace, true},
    {"remove a link to one", call_remove_link, true},
    {"remove one", call_remove_namespace, true},
    {"branch", call_branch, false},
    {"set", call_set, true},
    {"freeze", call_freeze, true},
};
#define CALLS (sizeof calls / sizeof *calls)

static void changes_nothing(const struct call *c)
{
    uint64_t seq = state_seq(x.p);

    (void)thread_set_may_wait(false);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(c->fn(), -EWOULDWAIT, "%s", c->name);
    cr_assert_eq(state_seq(x.p), seq, "%s", c->name);
    (void)thread_set_may_wait(true);
}

/* It changes nothing; then another thread makes the call. */
static void is_put_off(const struct call *c)
{
    changes_nothing(c);
    cr_assert_geq(c->fn(), 0, "%s", c->name);
}

/* ---- a thread that holds the freeze lock, as a commit does that begins ---- */

static sem_t held, release;

static void *hold(void *unused)
{
    struct timespec until;

    (void)unused;
    WRITE_GUARD(&x.p->freeze_lock);
    sem_post(&held);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20; /* a call that waits ends then, and has not said -EWOULDWAIT */
    (void)sem_timedwait(&release, &until);
    return NULL;
}

static void is_put_off_by_a_commit(const struct call *c)
{
    pthread_t holder;

    cr_assert_eq(pthread_create(&holder, NULL, hold, NULL), 0);
    sem_wait(&held);
    changes_nothing(c);
    sem_post(&release);
    cr_assert_eq(pthread_join(holder, NULL), 0);
    cr_assert_geq(c->fn(), 0, "%s", c->name);
}

Test(nowait, where_the_log_is_full_each_call_says_so_before_it_changes_anything)
{
    for (size_t i = 0; i < CALLS; i++) {
        fill_log();
        is_put_off(&calls[i]);
    }
}

Test(nowait, where_memory_is_full_likewise)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (calls[i].goes_on)
            continue;
        fill_memory();
        is_put_off(&calls[i]);
    }
}

Test(nowait, where_a_commit_has_everything_frozen_likewise)
{
    sem_init(&held, 0, 0);
    sem_init(&release, 0, 0);
    for (size_t i = 0; i < CALLS; i++)
        is_put_off_by_a_commit(&calls[i]);
}

Test(nowait, where_nothing_is_full_each_call_is_made)
{
    (void)thread_set_may_wait(false);
    for (size_t i = 0; i < CALLS; i++)
        cr_assert_geq(calls[i].fn(), 0, "%s", calls[i].name);
}

Test(nowait, a_new_file_is_one_change)
{
    uint64_t seq = state_seq(x.p);

    cr_assert_eq(call_create(), 0);
    cr_assert_eq(state_seq(x.p), seq + 1);
}

/* A file of `size` bytes that is sealed. */
static uint64_t put_sealed(unsigned size)
{
    struct vfs_file *f = create("f");

    for (unsigned at = 0; at < size; at += 1 << 20)
        write_to(f, 1 << 20, at);
    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_release(f), 0); /* it is not sealed */
    (void)thread_set_may_wait(true);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    return node_of(&x, "main/f");
}

static uint64_t put_large(void)
{
    return put_sealed(1 << 20);
}

Test(nowait, a_close_that_would_copy_a_large_file_is_put_off_before_the_first_change)
{
    uint64_t node = put_large(), seq;
    struct vfs_file *f;

    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE, &f), 0);
    write_to(f, 600000, 0); /* more than half of it */
    seq = state_seq(x.p);
    cr_assert_eq(vfs_release(f), -EWOULDWAIT);
    cr_assert_eq(state_seq(x.p), seq);
    write_to(f, 5000, 300000); /* it is open still */
    (void)thread_set_may_wait(true);
    seq = state_seq(x.p);
    cr_assert_eq(vfs_release(f), 0);
    cr_assert_gt(state_seq(x.p), seq); /* it was made whole */
    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_release(f), 0);
}

Test(nowait, a_close_with_nothing_to_do_is_made_also_of_a_large_file_with_extents)
{
    uint64_t node = put_large(), seq;
    struct vfs_file *f;

    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_open(x.p, node, 0, &f), 0);
    cr_assert_eq(vfs_release(f), 0);
    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE, &f), 0);
    write_to(f, EXTENT_BLOCK, 0);
    write_to(f, 5000, 200000);
    seq = state_seq(x.p);
    cr_assert_eq(vfs_release(f), 0);
    cr_assert_eq(state_seq(x.p), seq);
}

/* To see that there is nothing to do takes long, if a file has many small writes. */
Test(nowait, a_close_that_would_look_at_many_items_is_put_off)
{
    uint64_t node = put_sealed(8 << 20), seq;
    struct vfs_file *f;

    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE, &f), 0);
    for (unsigned block = 0; block < 64; block++)
        for (unsigned i = 0; i < 5; i++)
            write_to(f, 4, block * EXTENT_BLOCK + i * 24 * 1024);
    seq = state_seq(x.p);
    cr_assert_eq(vfs_release(f), -EWOULDWAIT);
    (void)thread_set_may_wait(true);
    cr_assert_eq(vfs_release(f), 0);
    cr_assert_eq(state_seq(x.p), seq, "there was nothing to do");
}

Test(nowait, a_close_that_would_trim_the_base_is_put_off)
{
    uint64_t node = put_large();
    struct vfs_file *f;

    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE, &f), 0);
    write_to(f, EXTENT_BLOCK, (1 << 20) - EXTENT_BLOCK);
    cr_assert_eq(vfs_release(f), -EWOULDWAIT);
    (void)thread_set_may_wait(true);
    cr_assert_eq(vfs_release(f), 0);
}

Test(nowait, a_truncation_that_would_copy_the_rest_is_put_off_and_others_are_made)
{
    uint64_t node = put_large(), seq = state_seq(x.p);
    struct vfs_attr a = {.size = 100000}; /* so little is left of it */

    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_setattr(x.p, node, VFS_SET_SIZE, &a, &a), -EWOULDWAIT);
    cr_assert_eq(state_seq(x.p), seq);
    a.size = 900000;
    cr_assert_eq(vfs_setattr(x.p, node, VFS_SET_SIZE, &a, &a), 0);
    a.size = 0;
    cr_assert_eq(vfs_setattr(x.p, node, VFS_SET_SIZE, &a, &a), 0);
}

Test(nowait, an_open_that_would_cut_a_file_and_is_put_off_leaves_it_closed)
{
    uint32_t open = open_files(&x, "main");
    uint64_t seq;

    fill_log();
    seq = state_seq(x.p);
    cr_assert_eq(call_open_cutting(), -EWOULDWAIT);
    cr_assert_eq(call_create_over(), -EWOULDWAIT);
    cr_assert_eq(open_files(&x, "main"), open);
    cr_assert_eq(state_seq(x.p), seq);
}

Test(nowait, a_hole_is_several_changes_and_is_put_off_before_the_first)
{
    const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    uint64_t seq;

    write_to(open_file, 60000, 0);
    {
        TXN(t);
        cr_assert_eq(txn_begin(x.p, 8 << 20, &t), 0); /* the log has room at once for a part */
    }
    seq = state_seq(x.p);
    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_fallocate(open_file, punch, 5000, 40000), -EWOULDWAIT);
    cr_assert_eq(state_seq(x.p), seq);
    (void)thread_set_may_wait(true);
    cr_assert_eq(vfs_fallocate(open_file, punch, 5000, 40000), 0);
}

Test(nowait, an_unlinked_file_is_deleted_once_though_its_close_was_put_off)
{
    struct vfs_file *also;

    cr_assert_eq(vfs_open(x.p, gone->v->nodeid, 0, &also), 0);
    cr_assert_eq(vfs_release(also), 0);
    fill_log();
    cr_assert_eq(vfs_release(gone), -EWOULDWAIT);
    cr_assert_eq(open_files(&x, "main"), 4);
    (void)thread_set_may_wait(true);
    cr_assert_eq(vfs_release(gone), 0);
    cr_assert_eq(open_files(&x, "main"), 3);
}

Test(nowait, a_branch_of_a_namespace_that_is_written_to_is_put_off)
{
    (void)thread_set_may_wait(false);
    cr_assert_eq(call_command("branch main n"), -EWOULDWAIT);
    cr_assert_eq(call_command("set ns:main.frozen yes"), -EWOULDWAIT);
    cr_assert_eq(node_of(&x, "n"), 0);
    (void)thread_set_may_wait(true);
    cr_assert_gt(call_command("branch main n"), 0);
    cr_assert_neq(node_of(&x, "n"), 0);
}

Test(nowait, a_write_of_several_commands_may_wait)
{
    cr_assert_not(control_may_wait("branch main a\n", 14));
    cr_assert(control_may_wait("branch main a\nbranch main b\n", 28));
}
