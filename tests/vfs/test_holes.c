// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of vfs_holes.c: holes are exact to a page of 4 KiB, in what lseek says and in the blocks
 * that are counted. Each claim ends with a comparison of all bytes, with what the next daemon makes
 * of the log, and with a check of the store, which counts what is stored by itself.
 */
#include "check_fixture.h"
#include "disk_impl.h"
#include "vfs_file_impl.h"

#include <linux/falloc.h>

#define BLOCK ((uint64_t)EXTENT_BLOCK)
#define PAGE ((uint64_t)FILE_PAGE)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define MOST (8 * BLOCK)

static struct fixture x;
static struct vfs_file *f; /* main/f */
static uint8_t want[MOST], got[MOST + 1];
static uint64_t size;

static void opened(void)
{
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
}

static void up(void)
{
    struct vfs_attr a;

    fixture_setup(&x);
    memset(want, 0, sizeof want);
    size = 0;
    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "f", 0644, &fixture_cred, VFS_WRITE, &a, &f),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
}

static void write_at(uint64_t off, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++)
        want[off + i] = (uint8_t)((off / PAGE + i) | 1);
    size = off + len > size ? off + len : size;
    cr_assert_eq(vfs_write(f, want + off, len, off), (ssize_t)len);
}

static void punch(uint64_t off, uint64_t len)
{
    uint64_t end = off + len < size ? off + len : size;

    cr_assert_eq(vfs_fallocate(f, PUNCH, off, len), 0);
    memset(want + off, 0, off < end ? end - off : 0);
}

static void set_size(uint64_t to)
{
    struct vfs_attr in = {.size = to}, out;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_SIZE, &in, &out), 0);
    if (to < size)
        memset(want + to, 0, size - to);
    size = to;
}

static void sealed(void)
{
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

/* What is data, in pages: "0+2 252+4", a part of a page as "3+1.". Blocks say the same. */
static const char *map_of(const char *path)
{
    static char text[1000];
    uint64_t stored = 0, node = node_of(&x, path);
    struct vfs_file *r;
    struct vfs_attr a;
    int64_t data, hole = 0;
    size_t at = 0;

    text[0] = 0;
    cr_assert_eq(vfs_open(x.p, node, VFS_NOATIME, &r), 0);
    while ((data = vfs_seek(r, (uint64_t)hole, true)) >= 0) {
        hole = vfs_seek(r, (uint64_t)data, false);
        cr_assert_gt(hole, data);
        stored += (uint64_t)(hole - data);
        at += (size_t)sprintf(text + at, "%s%llu%s+%llu%s", at ? " " : "",
                              (unsigned long long)data / PAGE, (uint64_t)data % PAGE ? "." : "",
                              ((unsigned long long)(hole - data) + PAGE - 1) / PAGE,
                              (uint64_t)hole % PAGE ? "." : "");
        if ((uint64_t)hole >= size)
            break;
    }
    vfs_release(r);
    cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
    cr_assert_eq(a.blocks, (stored + 511) / 512, "%s has %s", path, text);
    return text;
}
static void is(const char *map)
{
    cr_assert_str_eq(map_of("main/f"), map);
}

static void reads(const char *path)
{
    struct vfs_file *r;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_NOATIME, &r), 0);
    cr_assert_eq(vfs_read(r, got, MOST, 0), (ssize_t)size, "%s", path);
    for (uint64_t i = 0; i < size; i++)
        cr_assert_eq(got[i], want[i], "%s: byte %llu", path, (unsigned long long)i);
    vfs_release(r);
}

/* The same after a death, a start, a commit, and by a check. */
static void ends(void)
{
    struct findings found;
    char map[1000];

    vfs_release(f);
    strcpy(map, map_of("main/f"));
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    reads("main/f");
    is(map);
    down_clean(&x);
    is_clean(&x, &found);
    fixture_open(&x);
    reads("main/f");
    is(map);
    fixture_teardown(&x);
}

TestSuite(holes, .init = up, .fini = ends);

/* ---- what a write leaves out ---- */

Test(holes, what_a_write_skips_is_a_hole_in_a_buffer)
{
    write_at(0, 100);
    write_at(3 * PAGE, PAGE);
    write_at(9 * PAGE + 5, 10);
    is("0+1 3+1 9+1."); /* a page with some data is data */
}

Test(holes, across_two_blocks)
{
    write_at(0, 30 * PAGE);
    write_at(40 * PAGE, PAGE);
    is("0+30 40+1");
}

Test(holes, far_out_and_in_the_middle_of_a_block)
{
    write_at(0, 2 * PAGE);
    write_at(4 * BLOCK - 4 * PAGE, 4 * PAGE);
    is("0+2 124+4");
    write_at(3 * BLOCK + 5 * PAGE, PAGE);
    is("0+2 101+1 124+4");
}

Test(holes, of_a_slot)
{
    write_at(0, 3 * BLOCK);
    write_at(3 * BLOCK + 7 * PAGE, BLOCK);
    is("0+96 103+32");
}

Test(holes, behind_a_sealed_small_file)
{
    write_at(0, 3 * PAGE);
    sealed();
    write_at(5 * PAGE, PAGE);
    is("0+3 5+1");
}

Test(holes, are_filled_by_writing)
{
    struct inode in;
    struct vfs_attr a;

    write_at(0, PAGE);
    write_at(6 * PAGE, PAGE);
    write_at(2 * PAGE + 1, PAGE); /* touches two pages */
    is("0+1 2+2 6+1");
    write_at(PAGE, 5 * PAGE);
    is("0+7");
    cr_assert_eq(inode_get(x.p, node_of(&x, "main/f"), &in, &a), 0);
    cr_assert_eq(in.flags, 0); /* and then it is a file as any other */
}

/* ---- what is punched ---- */

static void punches(void)
{
    punch(3 * PAGE, PAGE);
    is("0+3 4+124");
    punch(10 * PAGE - 1, 2 * PAGE); /* one whole page of three that it touches */
    is("0+3 4+6 11+117");
    punch(40 * PAGE, 2 * PAGE);
    punch(42 * PAGE, PAGE);
    is("0+3 4+6 11+29 43+85");
    write_at(41 * PAGE + 7, 10);
    is("0+3 4+6 11+29 41+1 43+85");
}

Test(holes, of_one_page_in_a_slot)
{
    write_at(0, 4 * BLOCK);
    punches();
}

Test(holes, of_one_page_in_a_sealed_object)
{
    write_at(0, 4 * BLOCK);
    vfs_release(f);
    sealed();
    opened();
    punches();
    sealed();
    is("0+3 4+6 11+29 41+1 43+85");
    punch(4 * PAGE, 6 * PAGE);
    is("0+3 11+29 41+1 43+85");
}

Test(holes, of_one_page_in_extents_and_subblocks)
{
    write_at(0, 4 * BLOCK);
    vfs_release(f);
    sealed();
    opened();
    write_at(0, BLOCK);
    write_at(BLOCK + 8 * PAGE, PAGE);
    sealed();
    punches();
}

Test(holes, of_one_page_in_a_small_file)
{
    write_at(0, 5 * PAGE + 100);
    punch(PAGE, PAGE);
    is("0+1 2+4.");
    sealed();
    punch(3 * PAGE, PAGE);
    is("0+1 2+1 4+2.");
    punch(4 * PAGE, 9 * PAGE); /* its end goes with the holes before it */
    is("0+1 2+1");
    punch(0, PAGE);
    punch(2 * PAGE, PAGE);
    is("");
}

Test(holes, punched_twice_cost_no_more)
{
    struct vfs_attr a;
    struct inode in, after;

    write_at(0, 4 * BLOCK);
    vfs_release(f);
    sealed();
    opened();
    punch(8 * PAGE, 4 * PAGE);
    sealed();
    cr_assert_eq(inode_get(x.p, node_of(&x, "main/f"), &in, &a), 0);
    punch(9 * PAGE, 2 * PAGE);
    cr_assert_eq(atomic_load(&x.p->contents.buffered), 0);
    cr_assert_eq(inode_get(x.p, node_of(&x, "main/f"), &after, &a), 0);
    cr_assert_eq(after.stored, in.stored);
    is("0+8 12+116");
}

Test(holes, of_single_pages_become_a_block_that_is_none)
{
    uint64_t bytes, less, names;

    write_at(0, 4 * BLOCK);
    vfs_release(f);
    sealed();
    opened();
    write_at(BLOCK, BLOCK); /* an extent */
    sealed();
    disk_use(&x, &bytes, &names);
    for (unsigned i = 0; i < 32; i++)
        punch(BLOCK + (i * 7 % 32) * PAGE, PAGE);
    sealed();
    is("0+32 64+64");
    disk_use(&x, &less, &names);
    cr_assert_leq(less, bytes);
}

/* ---- what is cut ---- */

Test(holes, are_cut_with_the_file)
{
    write_at(0, 2 * PAGE);
    for (unsigned i = 1; i < 6; i++)
        write_at(i * BLOCK + 8 * PAGE, PAGE);
    set_size(3 * BLOCK + 8 * PAGE + 5);
    is("0+2 40+1 72+1 104+1.");
    set_size(3 * BLOCK + 4 * PAGE + 5); /* in the midst of a hole */
    is("0+2 40+1 72+1");
    set_size(5 * BLOCK);
    is("0+2 40+1 72+1");
    set_size(PAGE + 1);
    set_size(BLOCK);
    is("0+2.");
    set_size(0);
    write_at(0, 3 * PAGE);
    is("0+3");
}

Test(holes, of_a_base_are_cut_with_it)
{
    write_at(0, 4 * BLOCK);
    vfs_release(f);
    sealed();
    opened();
    for (unsigned i = 0; i < 4; i++)
        punch(i * BLOCK + 8 * PAGE, 4 * PAGE);
    set_size(2 * BLOCK + 10 * PAGE + 7);
    is("0+8 12+28 44+28");
    set_size(4 * BLOCK);
    is("0+8 12+28 44+28");
    write_at(2 * BLOCK + 10 * PAGE, 2 * PAGE);
    is("0+8 12+28 44+28 74+2");
}

Test(holes, of_an_extent_are_cut_with_its_end)
{
    write_at(0, 4 * BLOCK);
    vfs_release(f);
    sealed();
    opened();
    write_at(BLOCK, BLOCK);
    punch(BLOCK + 10 * PAGE, 2 * PAGE);
    punch(BLOCK + 5 * PAGE, BLOCK - 5 * PAGE);
    is("0+37 64+64");
    write_at(BLOCK + 20 * PAGE, PAGE);
    is("0+37 52+1 64+64");
}

Test(holes, of_more_blocks_than_one_look_takes_are_cut)
{
    struct vfs_attr a;

    for (uint64_t i = 0; i < 200; i++)
        cr_assert_eq(vfs_write(f, "x", 1, (2 * i + 1) * BLOCK + 8 * PAGE), 1);
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "main/f"), &a), 0);
    cr_assert_eq(a.blocks, 1); /* 200 bytes */
    set_size(0);
    write_at(3 * BLOCK, PAGE);
    is("96+1");
}

/* ---- what is shared ---- */

Test(holes, go_along_when_a_file_is_shared)
{
    struct vfs_file *to;
    struct vfs_attr a;

    write_at(0, 2 * PAGE);
    write_at(5 * PAGE, PAGE);
    write_at(BLOCK + 9 * PAGE, PAGE);
    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "g", 0644, &fixture_cred, VFS_WRITE, &a, &to),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(vfs_share_range(f, 0, to, 0, BLOCK), (ssize_t)BLOCK);
    cr_assert_eq(vfs_share_range(f, BLOCK, to, BLOCK, MOST), (ssize_t)(size - BLOCK));
    vfs_release(to);
    reads("main/g");
    cr_assert_str_eq(map_of("main/g"), "0+2 5+1 41+1");
    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, "other", S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(vfs_link(x.p, node_of(&x, "main/f"), node_of(&x, "other"), "h", &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_str_eq(map_of("other/h"), "0+2 5+1 41+1");
    write_at(5 * PAGE, 3 * PAGE);
    is("0+2 5+3 41+1");
    cr_assert_str_eq(map_of("other/h"), "0+2 5+1 41+1");
}

Test(holes, are_shared_no_more_of_at_once_than_of_extents)
{
    const uint64_t once = (uint64_t)16384 * BLOCK;
    struct vfs_attr a = {.size = once + 3 * BLOCK}, now_is;
    struct vfs_file *to;

    write_at(0, 2 * PAGE);
    write_at(5 * PAGE, PAGE);
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_SIZE, &a, &now_is), 0);
    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "g", 0644, &fixture_cred, VFS_WRITE, &a, &to),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(vfs_share_range(f, 0, to, 0, INT32_MAX * (size_t)4), (ssize_t)once);
    cr_assert_eq(vfs_share_range(f, once, to, once, MOST), (ssize_t)(3 * BLOCK));
    vfs_release(to);
    cr_assert_str_eq(map_of("main/g"), "0+2 5+1");
    a.size = size;
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_SIZE, &a, &now_is), 0);
}

/* ---- a write that fails in the middle ---- */

static const struct disk_ops *real;
static struct disk_ops torn;
static bool tears;

static int open_torn(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    int err = real->open(d, name, flags, ret);

    if (err == 0)
        (*ret)->ops = &torn;
    return err;
}

static int pwritev_torn(struct disk_file *at, const struct iovec *iov, int count, uint64_t off)
{
    struct iovec half = iov[0];

    half.iov_len /= 2;
    return tears ? (real->pwritev(at, &half, 1, off), -ENOSPC) : real->pwritev(at, iov, count, off);
}

Test(holes, what_a_write_that_failed_has_left_can_be_punched)
{
    real = x.disk->ops;
    torn = *real;
    torn.open = open_torn;
    torn.pwritev = pwritev_torn;
    x.disk->ops = &torn;
    write_at(0, 3 * BLOCK);
    write_at(4 * BLOCK, BLOCK - PAGE);
    punch(BLOCK + 4 * PAGE, 8 * PAGE);
    is("0+36 44+52 128+31");
    tears = true;
    memset(got, 0x77, 4 * PAGE);
    cr_assert_lt(vfs_write(f, got, 4 * PAGE, BLOCK + 6 * PAGE), 0);
    tears = false;
    x.disk->ops = real;
    punch(BLOCK + 6 * PAGE, 4 * PAGE);
    is("0+36 44+52 128+31");
    reads("main/f");
}
