// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of passthrough_table.c: which opens the kernel may serve by itself, and who is refused
 * meanwhile. The store is a directory of the machine; whether somebody maps a file is what `mapped`
 * says, but for the claims of the real lease.
 */
#include "durability.h"
#include "dir_disk.h"
#include "fixture.h"
#include "nowait.h"
#include "report.h"
#include "vfs_impl.h"
#include <fcntl.h>
#include <ftw.h>

#define LARGE ((size_t)200000)
#define READ VFS_MAY_PASSTHROUGH

static struct fixture x;
static char dir[64];
#define LARGER ((size_t)1 << 20)
static uint8_t bytes[LARGER];
static bool mapped;

static int fake_probe(int fd)
{
    cr_assert_geq(fd, 0);
    return mapped ? -EAGAIN : 0;
}

static void up_on(struct disk *disk)
{
    x = (struct fixture){.disk = disk};
    clock_manual_init(&x.clock, 1000 * NSEC_PER_SEC);
    cr_assert_eq(kv_mem_create(&x.fault, &x.mem), 0);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_CREATE, &x.kv), 0);
    cr_assert_eq(store_format(x.disk, x.kv, &x.clock.base, "org/test", 1000, 1000, NULL), 0);
    kv_close(x.kv);
    fixture_open(&x);
    x.p->passthroughs.probe = fake_probe;
}

static void up(void)
{
    struct disk *disk;

    /* In memory if it can be: nothing here is of what survives. */
    snprintf(dir, sizeof dir, "%s/tally-passthrough-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert(mkdtemp(dir));
    cr_assert_eq(dir_disk_open(dir, 0, &disk), 0);
    up_on(disk);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void down(void)
{
    fixture_teardown(&x);
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(passthrough, .init = up, .fini = down);

/* A sealed file of `len` bytes, each of them `fill`. */
static uint64_t sealed(const char *name, uint32_t mode, size_t len, int fill)
{
    struct vfs_file *f;
    struct vfs_attr a;

    memset(bytes, fill, len);
    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), name, mode, &fixture_cred, VFS_WRITE, &a, &f),
                 0);
    cr_assert_eq(vfs_write(f, bytes, len, 0), (ssize_t)len);
    vfs_release(f);
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    return a.nodeid;
}

static struct vfs_file *opened(uint64_t node, unsigned flags)
{
    struct vfs_file *f = NULL;

    cr_assert_eq(vfs_open(x.p, node, flags, &f), 0);
    return f;
}

static bool is_passthrough(uint64_t node, unsigned flags)
{
    struct vfs_file *f = opened(node, flags);
    bool passthrough = vfs_is_passthrough(f);

    vfs_release(f);
    return passthrough;
}

/* What opening says; 0 is closed again. */
static int opening(uint64_t node, unsigned flags)
{
    struct vfs_file *f;
    int err = vfs_open(x.p, node, flags, &f);

    if (err == 0)
        vfs_release(f);
    return err;
}

/* The same in a thread that must not wait. */
static int hurried(uint64_t node, unsigned flags)
{
    struct vfs_file *f;
    bool before = thread_set_may_wait(false);
    int err = vfs_open(x.p, node, flags, &f);

    (void)thread_set_may_wait(before);
    if (err == 0)
        vfs_release(f);
    return err;
}

static int cutting(uint64_t node)
{
    struct vfs_attr zero = {0}, a;

    return vfs_setattr(x.p, node, VFS_SET_SIZE, &zero, &a);
}

static void chmod_to(uint64_t node, uint32_t mode)
{
    struct vfs_attr in = {.mode = mode}, a;

    cr_assert_eq(vfs_setattr(x.p, node, VFS_SET_MODE, &in, &a), 0);
}

static size_t known(void)
{
    return atomic_load(&x.p->passthroughs.count);
}

/* ---- which files ---- */

Test(passthrough, a_large_sealed_file_that_nobody_may_write_is_native)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct vfs_file *f = opened(node, READ);
    uint8_t got[LARGE];

    cr_assert(vfs_is_passthrough(f));
    cr_assert_eq(pread(vfs_passthrough_fd(f), got, LARGE, 0), (ssize_t)LARGE);
    cr_assert_eq(memcmp(got, bytes, LARGE), 0);
    vfs_release(f);
}

Test(passthrough, what_may_be_written_is_so_only_where_the_mount_says_all)
{
    uint64_t node = sealed("a", 0644, LARGE, 'a');

    cr_assert_not(is_passthrough(node, READ));
    cr_assert(is_passthrough(node, READ | VFS_PASSTHROUGH_ALL));
}

Test(passthrough, in_a_frozen_namespace_nobody_may_write)
{
    uint64_t node = sealed("a", 0644, LARGE, 'a');

    agreed(&x, "set ns:main.frozen yes", "ok");
    cr_assert(is_passthrough(node, READ));
    agreed(&x, "set ns:main.frozen no", "ok");
    cr_assert_not(is_passthrough(node, READ));
}

Test(passthrough, small_unsealed_and_edited_files_and_other_opens_are_not)
{
    uint64_t small = sealed("small", 0444, 5000, 's'), large = sealed("large", 0444, LARGE, 'l');
    uint64_t edited = sealed("edited", 0444, LARGER, 'p'), open;
    struct vfs_attr a;
    struct inode in;
    struct vfs_file *f = opened(edited, VFS_WRITE);

    cr_assert_eq(vfs_write(f, "x", 1, 5), 1);
    vfs_release(f);
    cr_assert_eq(inode_get(x.p, edited, &in, &a), 0);
    cr_assert(in.flags & INODE_EXTENTS);
    cr_assert_eq(
        vfs_create(x.p, node_of(&x, "main"), "open", 0444, &fixture_cred, VFS_WRITE, &a, &f), 0);
    open = a.nodeid;
    cr_assert_eq(vfs_write(f, bytes, LARGE, 0), (ssize_t)LARGE);
    vfs_release(f);
    cr_assert_not(is_passthrough(small, READ));
    cr_assert_not(is_passthrough(edited, READ));
    cr_assert_not(is_passthrough(open, READ));
    cr_assert_not(is_passthrough(large, 0));
    cr_assert_eq(known(), 0);
    cr_assert(is_passthrough(large, READ));
}

Test(passthrough, on_a_disk_without_descriptors_nothing_is)
{
    struct disk *disk;

    fixture_teardown(&x);
    cr_assert_eq(disk_mem_create(&x.fault, 0, &disk), 0);
    up_on(disk);
    cr_assert_not(is_passthrough(sealed("a", 0444, LARGE, 'a'), READ));
}

/* ---- mixtures ---- */

Test(passthrough, beside_an_open_that_is_not_native_none_is)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct vfs_file *reader = opened(node, 0);

    cr_assert_not(is_passthrough(node, READ));
    vfs_release(reader);
    struct vfs_file *writer = opened(node, VFS_WRITE);
    cr_assert_not(is_passthrough(node, READ));
    vfs_release(writer);
    cr_assert(is_passthrough(node, READ));
}

Test(passthrough, beside_a_native_one_every_reader_is_and_no_writer_comes)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct vfs_file *f = opened(node, READ), *g;

    chmod_to(node, 0644);
    g = opened(node, READ);
    cr_assert(vfs_is_passthrough(g));
    cr_assert_eq(vfs_passthrough_fd(f), vfs_passthrough_fd(g));
    vfs_release(f);
    for (unsigned last = 0; last < 2; last++) {
        cr_assert_eq(opening(node, VFS_WRITE), -ETXTBSY);
        cr_assert_eq(opening(node, VFS_TRUNC), -ETXTBSY);
        cr_assert_eq(cutting(node), -ETXTBSY);
        cr_assert_eq(opening(node, 0), -ESTALE); /* the kernel asks again, by an open */
        f = last ? NULL : opened(node, READ);
        if (!last)
            vfs_release(f);
    }
    vfs_release(g);
    cr_assert_eq(opening(node, VFS_WRITE), 0);
    cr_assert_eq(cutting(node), 0);
}

Test(passthrough, while_a_file_is_cut_by_its_name_no_native_open_begins)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct vnode *v;

    cr_assert_eq(vnode_get(x.p, node, &v), 0);
    cr_assert_eq(passthrough_file_cut_begin(x.p, v), 0);
    cr_assert_not(is_passthrough(node, READ));
    passthrough_file_cut_end(x.p, v);
    cr_assert(is_passthrough(node, READ));
    vnode_put(x.p, v);
}

Test(passthrough, an_open_that_becomes_an_ordinary_one_stops_no_writer)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct vfs_file *f = opened(node, READ);
    uint8_t c;

    vfs_not_passthrough(f);
    cr_assert_not(vfs_is_passthrough(f));
    cr_assert_not(is_passthrough(node, READ)); /* beside it */
    cr_assert_eq(opening(node, VFS_WRITE), 0);
    cr_assert_eq(vfs_read(f, &c, 1, 7), 1);
    cr_assert_eq(c, 'a');
    vfs_release(f);
}

Test(passthrough, an_unlinked_file_stays_native_and_goes_with_its_last_close)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct vfs_file *f = opened(node, READ), *g;

    remove_file(&x, "main/a");
    g = opened(node, READ);
    cr_assert(vfs_is_passthrough(g));
    cr_assert_eq(opening(node, VFS_WRITE), -ETXTBSY);
    vfs_release(f);
    mapped = true;
    vfs_release(g);
    cr_assert_eq(known(), 0); /* also if somebody maps it: nobody can open it any more */
    cr_assert_eq(opening(node, READ), -ESTALE);
}

Test(passthrough, a_dropped_namespace_leaves_them_open)
{
    agreed(&x, "branch main dev", "ok");
    struct vfs_attr a;
    struct vfs_file *f, *g;
    uint8_t c;

    (void)sealed("a", 0444, LARGE, 'a');
    agreed(&x, "branch main side", "ok");
    cr_assert_eq(vfs_lookup(x.p, node_of(&x, "side"), "a", &a), 0);
    f = opened(a.nodeid, READ);
    cr_assert(vfs_is_passthrough(f));
    agreed(&x, "drop side force", "ok");
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    g = opened(a.nodeid, READ);
    cr_assert(vfs_is_passthrough(g));
    cr_assert_eq(pread(vfs_passthrough_fd(g), &c, 1, 9), 1);
    cr_assert_eq(c, 'a');
    vfs_release(f);
    vfs_release(g);
    vfs_forget(x.p, a.nodeid, 1);
}

/* ---- mappings outlive the close ---- */

Test(passthrough, who_changes_a_file_that_was_native_must_know_that_nobody_maps_it)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');

    cr_assert(is_passthrough(node, READ));
    mapped = true;
    cr_assert_eq(opening(node, VFS_WRITE), -ETXTBSY);
    cr_assert_eq(opening(node, VFS_TRUNC), -ETXTBSY);
    cr_assert_eq(cutting(node), -ETXTBSY);
    cr_assert_eq(opening(node, 0), 0); /* to read it through us is fine: the bytes are the same */
    cr_assert(is_passthrough(node, READ));
    mapped = false;
    cr_assert_eq(opening(node, VFS_WRITE), 0);
    cr_assert_eq(known(), 0);
}

static unsigned asked;
static int probe_twice(int fd)
{
    (void)fd;
    return ++asked < 3 ? -EAGAIN : 0;
}

Test(passthrough, who_may_wait_waits_for_the_kernel_to_let_go)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');

    cr_assert(is_passthrough(node, READ));
    x.p->passthroughs.probe = probe_twice;
    cr_assert_eq(hurried(node, VFS_WRITE), -EWOULDWAIT);
    cr_assert_eq(asked, 1);
    cr_assert_eq(opening(node, VFS_WRITE), 0);
    cr_assert_eq(asked, 3);
}

Test(passthrough, an_object_stored_anew_is_read_from_its_new_file_once_nobody_maps_the_old_one)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct passthrough_file *n;

    cr_assert(is_passthrough(node, READ));
    n = TAILQ_FIRST(&x.p->passthroughs.idle);
    uint64_t where = n->where;
    n->where = where + 1000; /* as if it had been there when it was opened */
    mapped = true;
    cr_assert_not(is_passthrough(node, READ));
    n->where = where;
    cr_assert(is_passthrough(node, READ));
    cr_assert_eq(known(), 1);
}

Test(passthrough, a_sweep_lets_go_of_what_nobody_maps)
{
    uint64_t a = sealed("a", 0444, LARGE, 'a'), b = sealed("b", 0444, LARGE, 'b');
    struct vfs_file *f = opened(b, READ);

    cr_assert(is_passthrough(a, READ));
    mapped = true;
    passthrough_table_sweep(x.p);
    cr_assert_eq(known(), 2);
    mapped = false;
    passthrough_table_sweep(x.p);
    cr_assert_eq(known(), 1);
    vfs_release(f);
    passthrough_table_sweep(x.p);
    cr_assert_eq(known(), 0);
}

Test(passthrough, a_full_table_makes_no_file_native)
{
    uint64_t a = sealed("a", 0444, LARGE, 'a'), b = sealed("b", 0444, LARGE, 'b');

    x.p->passthroughs.max = 1;
    cr_assert(is_passthrough(a, READ));
    mapped = true;
    cr_assert_not(is_passthrough(b, READ));
    mapped = false;
    cr_assert(is_passthrough(b, READ)); /* the first one is let go of */
    cr_assert_eq(known(), 1);
}

Test(passthrough, a_deleted_file_that_was_native_gives_its_room_back)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');

    cr_assert(is_passthrough(node, READ));
    remove_file(&x, "main/a");
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    cr_assert_eq(known(), 0);
}

/* ---- the real lease ---- */

Test(passthrough, the_lease_is_refused_while_another_has_the_file_and_one_file_serves_all)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a'), other = sealed("b", 0444, LARGE, 'a');
    struct vfs_file *f = opened(node, READ), *g = opened(other, READ), *h;
    char path[64];
    int fd;

    x.p->passthroughs.probe = vfs_passthrough_probe;
    cr_assert_eq(vfs_passthrough_fd(f), vfs_passthrough_fd(g)); /* one object */
    snprintf(path, sizeof path, "/proc/self/fd/%d", vfs_passthrough_fd(f));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    vfs_release(f);
    vfs_release(g);
    cr_assert_eq(opening(node, VFS_WRITE), -ETXTBSY);
    h = opened(other, 0); /* read through us: no file more */
    cr_assert_eq(vfs_read(h, bytes, LARGE, 0), (ssize_t)LARGE);
    close(fd);
    cr_assert_eq(opening(node, VFS_WRITE), 0);
    vfs_release(h);
    cr_assert_eq(cutting(other), 0);
}

/* ---- verify=open, atime, threads that must not wait ---- */

static int spoil(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type != FTW_F || st->st_size != (off_t)LARGE)
        return 0;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, "!", 1, 150000), 1);
    close(fd);
    return 1;
}

static void note(enum report_level level, const char *text, void *ctx)
{
    (void)level;
    (void)text;
    ++*(unsigned *)ctx;
}

Test(passthrough, with_verify_open_a_damaged_object_is_not_opened)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    unsigned told = 0;

    report_set_sink(note, &told);
    cr_assert(is_passthrough(node, READ));
    passthrough_table_sweep(x.p);
    cr_assert_eq(nftw(dir, spoil, 8, FTW_PHYS), 1);
    agreed(&x, "get ns:main.verify", "ns:main.verify=never");
    cr_assert(is_passthrough(node, READ));
    passthrough_table_sweep(x.p);
    agreed(&x, "set ns:main.verify open", "ok");
    agreed(&x, "get ns:main.verify", "ns:main.verify=open");
    cr_assert_eq(opening(node, READ), -EUCLEAN);
    cr_assert_gt(told, 0);
    cr_assert_eq(hurried(node, READ), -EWOULDWAIT); /* it was to be verified */
    cr_assert_eq(known(), 0);
    cr_assert_eq(flush_now(x.p), 0);
    fixture_reopen(&x);
    x.p->passthroughs.probe = fake_probe;
    agreed(&x, "get ns:main.verify", "ns:main.verify=open");
    cr_assert_eq(opening(node_of(&x, "main/a"), READ), -EUCLEAN);
    refused(&x, "set ns:main.verify often", -EINVAL, "verify is open or never, not often");
    refused(&x, "set ns:main.colour blue", -EINVAL, "there are: frozen, verify");
    report_set_sink(NULL, NULL);
}

Test(passthrough, once_a_scrub_has_found_damage_all_is_verified_first)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    unsigned told = 0;

    report_set_sink(note, &told);
    cr_assert_eq(nftw(dir, spoil, 8, FTW_PHYS), 1);
    agreed(&x, "scrub wait", " damaged=1 ");
    cr_assert_eq(opening(node, READ), -EUCLEAN);
    (void)thread_set_may_wait(false);
    cr_assert_not(is_passthrough(node, READ)); /* no time to verify it: through us */
    (void)thread_set_may_wait(true);
    report_set_sink(NULL, NULL);
}

Test(passthrough, once_a_read_has_found_damage_all_is_verified_first)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct vfs_file *f;
    unsigned told = 0;
    char c;

    report_set_sink(note, &told);
    cr_assert_eq(nftw(dir, spoil, 8, FTW_PHYS), 1);
    cr_assert_eq(vfs_open(x.p, node, 0, &f), 0);
    cr_assert_eq(vfs_read(f, &c, 1, 150000), -EUCLEAN);
    vfs_release(f);
    cr_assert_eq(opening(node, READ), -EUCLEAN);
    report_set_sink(NULL, NULL);
}

Test(passthrough, who_must_not_wait_is_told_instead)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');

    cr_assert_eq(hurried(node, VFS_WRITE), 0);
    cr_assert_eq(hurried(node, READ), 0);
    mapped = true;
    cr_assert_eq(hurried(node, VFS_WRITE), -EWOULDWAIT);
    cr_assert_eq(hurried(node, VFS_TRUNC), -EWOULDWAIT);
    mapped = false;
    agreed(&x, "set ns:main.verify open", "ok");
    cr_assert_eq(hurried(node, READ), -EWOULDWAIT);
    cr_assert_eq(hurried(node, 0), 0);
}

Test(passthrough, the_open_moves_atime)
{
    uint64_t node = sealed("a", 0444, LARGE, 'a');
    struct vfs_attr before, a;

    cr_assert_eq(vfs_getattr(x.p, node, &before), 0);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    cr_assert(is_passthrough(node, READ | VFS_NOATIME));
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.atime, before.atime);
    cr_assert(is_passthrough(node, READ));
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.atime, before.atime + 2 * NSEC_PER_SEC);
}
