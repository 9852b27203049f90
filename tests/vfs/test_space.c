// SPDX-License-Identifier: Apache-2.0
/* Claims of vfs_space.c and vfs_extents.c: what of a file is stored, and what is a hole. */
#include "durability.h"
#include "fixture.h"
#include "item.h"
#include "vfs_impl.h"

#include <linux/falloc.h>

#define BLOCK ((uint64_t)EXTENT_BLOCK)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static struct fixture x;
static struct vfs_file *f; /* main/f */
static uint8_t bytes[8 * EXTENT_BLOCK];

static void up(void)
{
    struct vfs_attr a;

    fixture_setup(&x);
    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "f", 0644, &fixture_cred, VFS_WRITE, &a, &f),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
}
static void down(void)
{
    vfs_release(f);
    fixture_teardown(&x);
}

TestSuite(space, .init = up, .fini = down);

static void fill(uint64_t off, uint64_t len)
{
    memset(bytes, 'x', len);
    cr_assert_eq(vfs_write(f, bytes, len, off), (ssize_t)len);
}

/* The file is sealed, and open again. */
static void seal(void)
{
    vfs_release(f);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
}

static struct vfs_attr attr(void)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "main/f"), &a), 0);
    return a;
}

static void set_size(uint64_t size)
{
    struct vfs_attr in = {.size = size}, out;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_SIZE, &in, &out), 0);
}

/* The file's map, in blocks: "2d1h" is two of data and one of hole; "+" for a part of one. */
static const char *map(void)
{
    static char text[200];
    uint64_t size = attr().size, pos = 0;
    size_t at = 0;

    text[0] = 0;
    for (bool data = vfs_seek(f, 0, true) == 0; pos < size; data = !data) {
        int64_t next = vfs_seek(f, pos, !data);
        if (next == -ENXIO)
            next = (int64_t)size;
        cr_assert_gt(next, (int64_t)pos);
        at += (size_t)snprintf(text + at, sizeof text - at, "%llu%s%c",
                               (unsigned long long)(((uint64_t)next - pos) / BLOCK),
                               ((uint64_t)next - pos) % BLOCK ? "+" : "", data ? 'd' : 'h');
        pos = (uint64_t)next;
    }
    return text;
}

static void is_zero(uint64_t off, uint64_t len)
{
    cr_assert_eq(vfs_read(f, bytes, len, off), (ssize_t)len);
    for (uint64_t i = 0; i < len; i++)
        cr_assert_eq(bytes[i], 0, "byte %llu", (unsigned long long)(off + i));
}
static void is_filled(uint64_t off, uint64_t len)
{
    cr_assert_eq(vfs_read(f, bytes, len, off), (ssize_t)len);
    for (uint64_t i = 0; i < len; i++)
        cr_assert_eq(bytes[i], 'x', "byte %llu", (unsigned long long)(off + i));
}

Test(space, blocks_count_what_is_stored)
{
    cr_assert_eq(attr().blocks, 0);
    fill(0, 1000);
    cr_assert_eq(attr().blocks, 2);
    set_size(UINT64_C(1) << 40);
    cr_assert_eq(attr().blocks, 2);
    fill(UINT64_C(1) << 39, 512);
    cr_assert_eq(attr().blocks, 3);
    seal();
    cr_assert_eq(attr().blocks, 3);
    cr_assert_str_eq(map(), "0+d4194303+h0+d4194303+h");
}

Test(space, the_rest_of_a_page_with_data_is_data_what_is_behind_it_is_not)
{
    fill(0, 10);
    fill(4096, 10);
    cr_assert_str_eq(map(), "0+d");
    fill(3 * 4096, 10);
    cr_assert_str_eq(map(), "0+d0+h0+d");
    fill(4 * BLOCK, 10);
    cr_assert_str_eq(map(), "0+d0+h0+d3+h0+d");
    cr_assert_eq(attr().blocks, (2 * 4096 + 10 + 10 + 511) / 512);
}

Test(space, punching_makes_holes_of_whole_pages_sealed_or_not)
{
    for (int sealed = 0; sealed < 2; sealed++) {
        fill(0, 8 * BLOCK);
        if (sealed)
            seal();
        cr_assert_eq(vfs_fallocate(f, PUNCH, BLOCK + 7, 3 * BLOCK), 0);
        cr_assert_str_eq(map(), "1+d2+h4d");
        is_filled(0, BLOCK + 7);
        is_zero(BLOCK + 7, 3 * BLOCK);
        is_filled(4 * BLOCK + 7, 4 * BLOCK - 7);
        cr_assert_eq(attr().blocks, (5 * BLOCK + 4096) / 512);
        cr_assert_eq(attr().size, 8 * BLOCK);
        seal();
        cr_assert_str_eq(map(), "1+d2+h4d");
        is_zero(BLOCK + 7, 3 * BLOCK);
    }
}

Test(space, what_is_written_into_a_hole_is_data_the_rest_stays_a_hole)
{
    fill(0, 8 * BLOCK);
    seal();
    cr_assert_eq(vfs_fallocate(f, PUNCH, 2 * BLOCK, 4 * BLOCK), 0);
    fill(4 * BLOCK, 100);
    cr_assert_str_eq(map(), "2d2h0+d1+h2d");
    is_zero(4 * BLOCK + 100, 2 * BLOCK - 100);
}

Test(space, a_changed_block_that_is_punched_is_a_hole_and_not_the_old_bytes)
{
    fill(0, 8 * BLOCK);
    seal();
    fill(2 * BLOCK, 2 * BLOCK); /* extents over the base */
    cr_assert_eq(vfs_fallocate(f, PUNCH, 2 * BLOCK, 2 * BLOCK), 0);
    is_zero(2 * BLOCK, 2 * BLOCK);
    cr_assert_str_eq(map(), "2d2h4d");
}

Test(space, a_file_punched_all_over_stores_nothing)
{
    uint64_t disk_bytes, names;

    fill(0, 4 * BLOCK);
    seal();
    cr_assert_eq(vfs_fallocate(f, PUNCH, 0, 2 * BLOCK), 0);
    cr_assert_eq(vfs_fallocate(f, PUNCH, 2 * BLOCK, UINT64_C(1) << 60), 0);
    cr_assert_eq(attr().blocks, 0);
    cr_assert_eq(attr().size, 4 * BLOCK);
    seal();
    disk_use(&x, &disk_bytes, &names);
    cr_assert_eq(names, 0, "its object is gone");
    is_zero(0, 4 * BLOCK);
}

Test(space, the_base_goes_once_nothing_of_it_can_be_seen)
{
    uint64_t disk_bytes, names;

    fill(0, 4 * BLOCK);
    seal();
    cr_assert_eq(vfs_fallocate(f, PUNCH, 0, 3 * BLOCK), 0);
    fill(3 * BLOCK, 1);
    fill(3 * BLOCK + 1, BLOCK - 1);
    seal();
    cr_assert_str_eq(map(), "3h1d");
    is_filled(3 * BLOCK, BLOCK);
    disk_use(&x, &disk_bytes, &names);
    cr_assert_lt(disk_bytes, 3 * BLOCK);
}

Test(space, a_base_of_which_little_is_seen_is_left_on_close)
{
    uint64_t disk_bytes, names;

    fill(0, 8 * BLOCK);
    seal();
    cr_assert_eq(vfs_fallocate(f, PUNCH, 0, 7 * BLOCK), 0);
    fill(7 * BLOCK + 5, 10); /* a subblock extent, which goes with it */
    struct vfs_attr before = attr();
    seal();
    cr_assert(attr().mtime == before.mtime && attr().ctime == before.ctime);
    cr_assert_eq(attr().blocks, before.blocks);
    cr_assert_str_eq(map(), "7h1d");
    is_filled(7 * BLOCK, BLOCK);
    disk_use(&x, &disk_bytes, &names);
    cr_assert_lt(disk_bytes, 3 * BLOCK, "%llu bytes", (unsigned long long)disk_bytes);
}

static uint64_t number_of_file(void)
{
    struct inode in;
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node_of(&x, "main/f")), &in), 0);
    ns_put(x.p, ns);
    return refs_resolve(x.p->refs, in.object);
}

Test(space, a_file_cut_short_keeps_no_more_than_it_shows)
{
    static const uint64_t size[] = {50 * 1024, BLOCK + 5};
    uint64_t disk_bytes, names;

    for (size_t i = 0; i < 2; i++) {
        fill(0, 8 * BLOCK);
        seal();
        vfs_release(f);
        set_size(size[i]); /* by its path: no close comes after it */
        cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
        disk_use(&x, &disk_bytes, &names);
        cr_assert_lt(disk_bytes, 3 * BLOCK, "%llu bytes", (unsigned long long)disk_bytes);
        cr_assert_eq(attr().blocks, (size[i] + 511) / 512);
        cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
        is_filled(0, size[i]);
    }
}

Test(space, what_a_branch_shows_too_is_not_copied_when_it_is_cut_short)
{
    fill(0, 8 * BLOCK);
    seal();
    uint64_t number = number_of_file();
    agreed(&x, "branch main b", "ok");
    vfs_release(f);
    set_size(BLOCK + 5);
    cr_assert_eq(number_of_file(), number);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
}

Test(space, zeroing_may_extend_punching_never_does)
{
    fill(0, 100);
    cr_assert_eq(vfs_fallocate(f, PUNCH, 50, 1000), 0);
    cr_assert_eq(attr().size, 100);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 20, 1000), 0);
    cr_assert_eq(attr().size, 100);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_ZERO_RANGE, 10, 1000), 0);
    cr_assert_eq(attr().size, 1010);
    is_filled(0, 10);
    is_zero(10, 1000);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 5000), 0);
    cr_assert_eq(attr().size, 1010);
    cr_assert_eq(vfs_fallocate(f, 0, 0, 5000), 0);
    cr_assert_eq(attr().size, 5000);
    is_filled(0, 10);
    is_zero(10, 4990);
}

Test(space, wrong_calls_get_their_errors)
{
    struct vfs_file *r;
    const uint64_t max = INT64_MAX;

    cr_assert_eq(vfs_fallocate(f, 0, 0, 0), -EINVAL);
    cr_assert_eq(vfs_fallocate(f, 0, max, 1), -EFBIG);
    cr_assert_eq(vfs_fallocate(f, PUNCH, max - 1, 1), 0);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE, 0, 1), -EOPNOTSUPP);
    cr_assert_eq(vfs_fallocate(f, PUNCH | FALLOC_FL_ZERO_RANGE, 0, 1), -EOPNOTSUPP);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK), -EOPNOTSUPP);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), 0, &r), 0);
    cr_assert_eq(vfs_fallocate(r, 0, 0, 1), -EBADF);
    vfs_release(r);
    agreed(&x, "set ns:main.frozen yes", "");
    cr_assert_eq(vfs_fallocate(f, 0, 0, 1), -EROFS);
    cr_assert_eq(attr().size, 0);
}

Test(space, nothing_is_reserved_but_a_disk_that_is_too_small_says_so)
{
    fill(0, 1000);
    cr_assert_eq(vfs_fallocate(f, 0, 0, UINT64_C(1) << 60), -ENOSPC);
    cr_assert_eq(attr().size, 1000);
    cr_assert_eq(vfs_fallocate(f, PUNCH, 0, UINT64_C(1) << 60), 0);
}

Test(space, the_largest_file_is_quick)
{
    const uint64_t max = INT64_MAX, far = UINT64_C(1) << 62;

    set_size(max);
    fill(far, 10);
    fill(max - 10, 10);
    cr_assert_eq(vfs_seek(f, 0, true), (int64_t)far);
    cr_assert_eq(vfs_seek(f, far, false), (int64_t)far + 10);
    cr_assert_eq(vfs_seek(f, far + 10, true), (int64_t)(max / 4096 * 4096));
    cr_assert_eq(vfs_seek(f, max - 1, false), (int64_t)max);
    cr_assert_eq(vfs_seek(f, max, true), -ENXIO);
    cr_assert_eq(vfs_fallocate(f, PUNCH, 1, max - 1), 0);
    cr_assert_eq(attr().blocks, 0);
    cr_assert_eq(vfs_seek(f, 0, true), -ENXIO);
    cr_assert_eq(vfs_seek(f, 0, false), 0);
    set_size(1);
    cr_assert_eq(vfs_write(f, "x", 1, max), -EFBIG);
}

Test(space, a_file_without_a_name_is_not_made_whole_to_be_deleted)
{
    fill(0, 8 * BLOCK);
    seal();
    fill(0, 6 * BLOCK);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "f"), 0);
    fault_reset(&x.fault);
    vfs_release(f);
    cr_assert_leq(x.fault.writes, 1, "one frame");
    put_file(&x, "main/f", "");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
}

/* Files that a close would make whole, leave or trim were changed before their namespace was
 * frozen. */
Test(space, a_close_changes_nothing_in_a_frozen_namespace)
{
    for (unsigned changed = 6; changed <= 8; changed++) {
        fill(0, 8 * BLOCK);
        seal();
        if (changed < 8)
            fill(changed == 6 ? 0 : 7 * BLOCK, changed == 6 ? 6 * BLOCK : BLOCK);
        else
            cr_assert_eq(vfs_fallocate(f, PUNCH, 0, 7 * BLOCK), 0);
        cr_assert_eq(ns_set_switch(x.p, "main", NS_FROZEN, true), 0);
        uint64_t seq = state_seq(x.p), number = number_of_file();
        vfs_release(f);
        cr_assert_eq(state_seq(x.p), seq, "case %u", changed);
        cr_assert_eq(number_of_file(), number, "case %u", changed);
        cr_assert_eq(ns_set_switch(x.p, "main", NS_FROZEN, false), 0);
        cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
    }
}

/* As many changed blocks as one look takes, and the file ends with them: made of one. */
Test(space, a_file_changed_all_over_has_its_hole_at_its_end)
{
    const uint64_t count = 16384;
    uint8_t item[EXTENT_ITEM_LEN];
    struct inode in;
    struct ns *ns;
    uint64_t ino;
    size_t len;

    fill(4 * BLOCK, BLOCK);
    set_size(count * BLOCK);
    ino = vfs_node_ino(node_of(&x, "main/f"));
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    const struct tree_observer *observer = ns->tree.observer;
    ns->tree.observer = NULL; /* behind the log's back */
    cr_assert_eq(
        tree_get(&ns->tree, key_make(ino, ITEM_EXTENT, 4 * BLOCK), item, sizeof item, &len), 0);
    for (uint64_t i = 0; i < count; i++)
        if (i != 4)
            cr_assert_eq(
                tree_put(&ns->tree, key_make(ino, ITEM_EXTENT, i * BLOCK), item, sizeof item), 0);
    cr_assert_eq(inode_load(&ns->tree, ino, &in), 0);
    in.stored = count * BLOCK;
    cr_assert_eq(inode_store(&ns->tree, ino, &in), 0);
    ns->tree.observer = observer;
    ns_put(x.p, ns);
    cr_assert_eq(vfs_seek(f, 0, false), (int64_t)(count * BLOCK));
    cr_assert_eq(vfs_seek(f, count * BLOCK, false), -ENXIO);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "f"), 0); /* or its close copies 2 GiB */
}

Test(space, an_object_has_no_holes)
{
    char hex[ID_HEX + 1] = {0};
    struct vfs_file *o;
    struct id id;

    fill(0, 1000);
    seal();
    cr_assert_gt(vfs_getxattr(x.p, node_of(&x, "main/f"), "user.tally.object", hex, sizeof hex), 0);
    cr_assert_eq(id_from_hex(hex, &id), 0);
    cr_assert_eq(vfs_open_object(x.p, &id, &o), 0);
    cr_assert_eq(vfs_seek(o, 5, true), 5);
    cr_assert_eq(vfs_seek(o, 5, false), 1000);
    cr_assert_eq(vfs_seek(o, 1000, false), -ENXIO);
    cr_assert_eq(vfs_fallocate(o, 0, 0, 1), -EBADF);
    vfs_release(o);
}
