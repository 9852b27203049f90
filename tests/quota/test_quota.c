// SPDX-License-Identifier: Apache-2.0
/* Claims about the limits of a namespace. property_quota compares what is counted with a recount. */
#include "quota.h"
#include "fixture.h"
#include "ns_branch.h"
#include "vfs_impl.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>

#define MIB ((uint64_t)1 << 20)

static struct fixture x;
static struct ns *space; /* main, with a reference */

static void find_main(void)
{
    cr_assert_eq(ns_get_by_name(x.p, "main", &space), 0);
}
static void up(void)
{
    fixture_setup(&x);
    find_main();
}
static void down(void)
{
    ns_put(x.p, space);
    fixture_teardown(&x);
}

TestSuite(quota, .init = up, .fini = down);

static void limit_bytes(uint64_t limit)
{
    cr_assert_eq(quota_set(x.p, space, NS_LIMIT_BYTES, limit), 0);
}
static void limit_files(uint64_t limit)
{
    cr_assert_eq(quota_set(x.p, space, NS_LIMIT_INODES, limit), 0);
}
static uint64_t used(void)
{
    READ_GUARD(&space->lock);
    return quota_used(space).bytes;
}
static uint64_t files(void)
{
    READ_GUARD(&space->lock);
    return quota_used(space).inodes;
}

static size_t snapshots(void)
{
    READ_GUARD(&x.p->names.lock);
    size_t n = 0;

    for (const struct ns *ns = NULL; (ns = ns_next_kept(x.p, space, ns));)
        n += ns->hidden.kind == NS_SNAPSHOT;
    return n;
}

static struct vfs_file *create(const char *path)
{
    const char *name;
    uint64_t dir = parent_of(&x, path, &name);
    struct vfs_attr a;
    struct vfs_file *f;

    cr_assert_eq(vfs_create(x.p, dir, name, 0644, &fixture_cred, VFS_WRITE, &a, &f), 0);
    vfs_forget(x.p, a.nodeid, 1);
    return f;
}

static ssize_t write_at(struct vfs_file *f, uint64_t off, size_t len)
{
    char *bytes = malloc(len);
    ssize_t n;

    memset(bytes, 'b', len);
    n = vfs_write(f, bytes, len, off);
    free(bytes);
    return n;
}

static void put(const char *path, uint64_t off, size_t len)
{
    struct vfs_file *f = create(path);

    cr_assert_eq(write_at(f, off, len), (ssize_t)len);
    vfs_release(f);
}

Test(quota, a_write_up_to_the_limit_succeeds_and_one_byte_more_is_edquot)
{
    struct vfs_file *f = create("main/a");

    limit_bytes(MIB);
    cr_assert_eq(write_at(f, 0, MIB), MIB);
    cr_assert_eq(used(), MIB);
    cr_assert_eq(write_at(f, MIB, 1), -EDQUOT);
    cr_assert_eq(used(), MIB);
    cr_assert_eq(write_at(f, 1000, 5000), 5000, "what is there may be written over");
    vfs_release(f);
}

Test(quota, of_a_write_that_does_not_fit_is_written_what_fits)
{
    struct vfs_file *f = create("main/a");
    char has[8] = "";

    cr_assert_eq(vfs_write(f, "before", 6, 0), 6);
    limit_bytes(8192);
    cr_assert_eq(write_at(f, 4096, 100000), 4096);
    cr_assert_eq(write_at(f, 8192, 1), -EDQUOT);
    cr_assert_eq(used(), 8192);
    cr_assert_eq(vfs_read(f, has, 6, 0), 6);
    cr_assert_str_eq(has, "before");
    vfs_release(f);
}

Test(quota, a_hole_that_is_filled_is_growth)
{
    struct vfs_file *f = create("main/a");

    cr_assert_eq(write_at(f, 0, 65536), 65536);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 8192), 0);
    limit_bytes(65536 - 4096);
    cr_assert_eq(used(), 65536 - 8192);
    cr_assert_eq(write_at(f, 8192, 1), 1, "a page");
    cr_assert_eq(write_at(f, 12288, 1), -EDQUOT, "another one");
    vfs_release(f);
}

Test(quota, whatever_makes_an_inode_counts)
{
    struct vfs_attr a;
    struct vfs_file *f;
    uint64_t top = node_of(&x, "main");

    put_file(&x, "main/a", "");
    limit_files(2);
    cr_assert_eq(files(), 2, "with the top directory");
    cr_assert_eq(vfs_mknod(x.p, top, "d", S_IFDIR | 0755, 0, &fixture_cred, &a), -EDQUOT);
    cr_assert_eq(vfs_mknod(x.p, top, "p", S_IFIFO | 0755, 0, &fixture_cred, &a), -EDQUOT);
    cr_assert_eq(vfs_symlink(x.p, top, "l", "to", &fixture_cred, &a), -EDQUOT);
    cr_assert_eq(vfs_create(x.p, top, "f", 0644, &fixture_cred, 0, &a, &f), -EDQUOT);
    cr_assert_eq(vfs_tmpfile(x.p, top, 0644, &fixture_cred, 0, &a, &f), -EDQUOT);
    cr_assert_eq(vfs_rename(x.p, top, "a", top, "b", RENAME_WHITEOUT, &fixture_cred), -EDQUOT);
    cr_assert_eq(vfs_mknod(x.p, top, "a", S_IFREG, 0, &fixture_cred, &a), -EEXIST);
    cr_assert_eq(vfs_rename(x.p, top, "a", top, "b", 0, &fixture_cred), 0);
    cr_assert_eq(vfs_link(x.p, node_of(&x, "main/b"), top, "c", &a), 0, "no new inode");
    cr_assert_eq(files(), 2);
}

Test(quota, a_link_from_another_namespace_counts_all_of_the_file)
{
    struct vfs_attr a;

    agreed(&x, "branch main dev", "ok");
    put("dev/big", 0, MIB);
    limit_bytes(MIB - 1);
    cr_assert_eq(vfs_link(x.p, node_of(&x, "dev/big"), node_of(&x, "main"), "big", &a), -EDQUOT);
    cr_assert_eq(used(), 0);
    cr_assert_eq(node_of(&x, "main/big"), 0);
    limit_bytes(MIB);
    cr_assert_eq(vfs_link(x.p, node_of(&x, "dev/big"), node_of(&x, "main"), "big", &a), 0);
}

static void change_a_block(const char *path)
{
    struct vfs_file *f;

    agreed(&x, "drain", "ok");
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(write_at(f, 131072, 131072), 131072);
    vfs_release(f);
}

/* "user::rwx,group::r-x,other::r-x", as the kernel gives it */
static const uint8_t acl[] = {2,    0,    0, 0, 1,    0,    7,    0,    0xff, 0xff,
                              0xff, 0xff, 4, 0, 5,    0,    0xff, 0xff, 0xff, 0xff,
                              32,   0,    5, 0, 0xff, 0xff, 0xff, 0xff};

Test(quota, what_is_refused_is_no_change)
{
    struct vfs_attr a;
    uint64_t top = node_of(&x, "main"), seq;

    agreed(&x, "branch main dev", "ok");
    put("dev/big", 0, MIB);
    change_a_block("dev/big");
    cr_assert_eq(vfs_setxattr(x.p, top, "system.posix_acl_default", acl, sizeof acl, 0), 0);
    limit_files(files());
    seq = space->seq;
    cr_assert_eq(vfs_link(x.p, node_of(&x, "dev/big"), top, "big", &a), -EDQUOT);
    cr_assert_eq(vfs_mknod(x.p, top, "d", S_IFDIR | 0755, 0, &fixture_cred, &a), -EDQUOT);
    cr_assert_eq(space->seq, seq);
}

Test(quota, a_range_that_is_shared_counts)
{
    struct vfs_file *from, *to;

    agreed(&x, "branch main dev", "ok");
    put("dev/big", 0, MIB);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "dev/big"), 0, &from), 0);
    to = create("main/big");
    limit_bytes(MIB - 1);
    cr_assert_eq(vfs_share_range(from, 0, to, 0, MIB), -EDQUOT);
    cr_assert_eq(used(), 0);
    limit_bytes(MIB);
    cr_assert_eq(vfs_share_range(from, 0, to, 0, MIB), MIB);
    vfs_release(from);
    vfs_release(to);
}

Test(quota, an_object_that_gets_a_name_counts)
{
    struct vfs_attr a;
    struct id id;
    struct entry e;

    agreed(&x, "branch main dev", "ok");
    put("dev/big", 0, MIB);
    agreed(&x, "drain", "ok");
    cr_assert_eq(sealed_object(x.p, node_of(&x, "dev/big"), &e), 0);
    id = e.id;
    limit_bytes(MIB - 1);
    cr_assert_eq(vfs_link_object(x.p, &id, node_of(&x, "main"), "o", &fixture_cred, &a), -EDQUOT);
    limit_bytes(MIB);
    cr_assert_eq(vfs_link_object(x.p, &id, node_of(&x, "main"), "o", &fixture_cred, &a), 0);
}

Test(quota, a_deleted_file_counts_until_its_last_close)
{
    struct vfs_file *f = create("main/a"), *g = create("main/b");

    limit_bytes(MIB);
    cr_assert_eq(write_at(f, 0, MIB), MIB);
    remove_file(&x, "main/a");
    cr_assert_eq(used(), MIB);
    cr_assert_eq(write_at(g, 0, 1), -EDQUOT);
    cr_assert_eq(write_at(f, MIB, 1), -EDQUOT, "it is limited itself");
    vfs_release(f);
    cr_assert_eq(used(), 0);
    cr_assert_eq(write_at(g, 0, MIB), MIB);
    vfs_release(g);
}

Test(quota, a_file_that_a_dead_daemon_had_open_is_not_counted_any_more)
{
    struct vfs_file *f = create("main/a");

    cr_assert_eq(write_at(f, 0, MIB), MIB);
    remove_file(&x, "main/a");
    limit_bytes(2 * MIB);
    vfs_release(f);
    ns_put(x.p, space);
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    find_main();
    cr_assert_eq(used(), 0);
    cr_assert_eq(quota_limits(space).bytes, 2 * MIB, "the log has the limit");
}

Test(quota, a_limit_below_what_is_used_refuses_growth_alone)
{
    struct vfs_attr a, in = {.size = MIB};
    struct vfs_file *f = create("main/a");

    cr_assert_eq(write_at(f, 0, 2 * MIB), 2 * MIB);
    limit_bytes(1000);
    cr_assert_eq(write_at(f, 0, 100), 100);
    cr_assert_eq(write_at(f, 2 * MIB, 1), -EDQUOT);
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/a"), VFS_SET_SIZE, &in, &a), 0);
    cr_assert_eq(used(), MIB);
    limit_bytes(0);
    cr_assert_eq(write_at(f, MIB, MIB), MIB);
    vfs_release(f);
}

Test(quota, a_limit_of_nothing_is_refused)
{
    refused(&x, "set ns:main.quota 0", -EINVAL, "quota is off, for no limit, or a size above 0");
    refused(&x, "set ns:main.quota_files 0", -EINVAL, "quota_files is off, for no limit, or how");
}

Test(quota, fallocate_asks_for_room_below_the_limit)
{
    struct vfs_file *f = create("main/a");

    limit_bytes(MIB);
    cr_assert_eq(vfs_fallocate(f, 0, 0, MIB + 1), -EDQUOT);
    cr_assert_eq(vfs_fallocate(f, 0, 0, MIB), 0);
    vfs_release(f);
}

Test(quota, a_branch_begins_with_what_its_origin_takes_and_with_its_limits)
{
    struct ns *dev;

    put("main/a", 0, MIB);
    limit_bytes(2 * MIB);
    limit_files(9);
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "snapshot main s", "ok");
    ns_put(x.p, space);
    store_abandon(x.p); /* the frame of the branch has its limits */
    kv_close(x.kv);
    fixture_open(&x);
    find_main();
    cr_assert_eq(ns_get_by_name(x.p, "dev", &dev), 0);
    cr_assert_eq(quota_used(dev).bytes, MIB);
    cr_assert_eq(quota_limits(dev).bytes, 2 * MIB);
    cr_assert_eq(quota_limits(dev).inodes, 9);
    ns_put(x.p, dev);
    limit_bytes(MIB);
    agreed(&x, "branch main@s old", "ok");
    cr_assert_eq(ns_get_by_name(x.p, "old", &dev), 0);
    cr_assert_eq(quota_limits(dev).bytes, MIB, "what the namespace has now");
    ns_put(x.p, dev);
}

Test(quota, a_commit_above_the_limit_says_so_and_changes_nothing)
{
    uint64_t seq;

    settings_put(&x.p->settings, SET_ORIGIN_KEEP, 86400 * NSEC_PER_SEC);
    agreed(&x, "branch main dev", "ok");
    put("dev/big", 0, 3 * MIB);
    limit_bytes(2 * MIB);
    seq = space->seq;
    refused(&x, "commit dev", -EDQUOT, "main would have 3145728 bytes, and its quota is 2M");
    cr_assert_eq(space->seq, seq);
    cr_assert_eq(used(), 0);
    cr_assert_eq(snapshots(), 0);
    limit_bytes(3 * MIB);
    agreed(&x, "commit dev", "ok");
    cr_assert_eq(used(), 3 * MIB);
}

Test(quota, a_commit_that_removes_as_much_as_it_adds_is_allowed)
{
    settings_put(&x.p->settings, SET_ORIGIN_KEEP, 86400 * NSEC_PER_SEC);
    put("main/old", 0, 2 * MIB);
    limit_bytes(2 * MIB);
    agreed(&x, "branch main dev", "ok");
    remove_file(&x, "dev/old");
    put("dev/new", 0, 2 * MIB);
    agreed(&x, "commit dev", "ok");
    cr_assert_eq(used(), 2 * MIB);
}

Test(quota, df_shows_what_is_used_also_where_the_disk_has_less_than_the_limit)
{
    struct disk_space s, disk;

    put("main/a", 0, MIB);
    limit_bytes(UINT64_MAX);
    cr_assert_eq(vfs_statfs(x.p, &disk), 0);
    cr_assert_eq(vfs_statfs_at(x.p, node_of(&x, "main/a"), &s), 0);
    cr_assert_leq((s.blocks - s.blocks_free) * s.block_size, MIB + s.block_size);
    cr_assert_leq(s.blocks_avail, disk.blocks_avail);
}

Test(quota, df_shows_the_limit_as_the_size_and_never_more_free_than_the_disk_has)
{
    struct disk_space s, disk;

    put("main/a", 0, MIB);
    limit_bytes(3 * MIB);
    limit_files(10);
    cr_assert_eq(vfs_statfs(x.p, &disk), 0);
    cr_assert_eq(vfs_statfs_at(x.p, node_of(&x, "main/a"), &s), 0);
    cr_assert_eq(s.blocks * s.block_size, 3 * MIB);
    cr_assert_leq(s.blocks_avail * s.block_size, 2 * MIB);
    cr_assert_eq((s.blocks - s.blocks_free) * s.block_size, MIB);
    cr_assert_eq(s.files, 10);
    cr_assert_leq(s.files_free, 8);
    limit_bytes(UINT64_MAX / 2);
    cr_assert_eq(vfs_statfs_at(x.p, node_of(&x, "main/a"), &s), 0);
    cr_assert_eq(s.blocks_avail, disk.blocks_avail);
    cr_assert_eq(vfs_statfs_at(x.p, VFS_ROOT, &s), 0);
    cr_assert_eq(s.blocks, disk.blocks, "elsewhere it is the disk");
}

Test(quota, settings_are_sizes_and_numbers)
{
    agreed(&x, "set ns:main.quota 20G", "ok");
    agreed(&x, "get ns:main.quota", "ns:main.quota=20G default=off");
    agreed(&x, "set ns:main.quota_files 30", "ok");
    agreed(&x, "get ns:main.quota_files", "ns:main.quota_files=30 default=off");
    agreed(&x, "set ns:main.quota off", "ok");
    agreed(&x, "set ns:main.quota_files off", "ok");
    agreed(&x, "get ns:main.quota", "quota=off");
    agreed(&x, "get ns:main.quota_files", "quota_files=off");
    refused(&x, "set ns:main.quota much", -EINVAL, "quota is off, for no limit, or a size");
    refused(&x, "set ns:main.quota_files 2K", -EINVAL, "quota_files is off, for no limit, or how");
}

Test(quota, what_was_never_counted_has_no_limit)
{
    space->counted = false;
    refused(&x, "set ns:main.quota 1G", -EOPNOTSUPP, "rebuild");
    agreed(&x, "set ns:main.quota off", "ok");
}

Test(quota, what_is_being_written_counts_already)
{
    struct vfs_file *f = create("main/a");

    limit_bytes(MIB);
    {
        WRITE_GUARD(&space->lock);
        cr_assert_eq(quota_promise(space, MIB - 4096), 0);
    }
    cr_assert_eq(write_at(f, 0, 8192), 4096);
    cr_assert_eq(write_at(f, 4096, 1), -EDQUOT);
    quota_settle(space, MIB - 4096);
    cr_assert_eq(write_at(f, 4096, 1), 1);
    vfs_release(f);
}

/* ---- several at once ---- */

static void *grow(void *arg)
{
    struct vfs_file *f = arg;
    uint64_t off = 0;

    while (write_at(f, off, 4096) == 4096)
        off += 4096;
    return NULL;
}

Test(quota, writers_do_not_exceed_it_together)
{
    pthread_t thread[8];
    struct vfs_file *f[8];
    char path[16];

    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "main/f%d", i);
        f[i] = create(path);
    }
    limit_bytes(4 * MIB);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, grow, f[i]), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(thread[i], NULL);
    cr_assert_eq(used(), 4 * MIB, "exactly the limit");
    cr_assert_eq(atomic_load(&space->promised), 0);
    for (int i = 0; i < 8; i++)
        vfs_release(f[i]);
}
