// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of vfs_subblocks.c: what is written in small into a large sealed file, and what becomes of
 * it. What the file must have is kept beside it (`want`), and every claim ends with comparing all
 * of it, with what the next daemon makes of the log, and with a check of the store.
 */
#include "blob.h"
#include "check_fixture.h"
#include "vfs_file_impl.h"

#include <linux/falloc.h>

#define BLOCK ((uint64_t)EXTENT_BLOCK)
#define PAGE ((uint64_t)FILE_PAGE)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define LARGE (4 * BLOCK)
#define MOST (2 * LARGE)

static struct fixture x;
static struct vfs_file *f; /* main/f */
static uint8_t want[MOST], other[MOST], got[MOST + 1];
static uint64_t size;
static unsigned written;

static void opened(void)
{
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f"), VFS_WRITE, &f), 0);
}

static void write_at(uint64_t off, uint64_t len)
{
    uint64_t state = ++written;

    for (uint64_t i = 0; i < len; i++)
        want[off + i] = (uint8_t)(fault_random(&state) >> 32 | 1);
    size = off + len > size ? off + len : size;
    cr_assert_eq(vfs_write(f, want + off, len, off), (ssize_t)len);
}

/* All is sealed, and the file open as before: no close that could make it whole. */
static void sealed(void)
{
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
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
    write_at(0, LARGE);
    vfs_release(f);
    sealed();
    opened();
}

static void reads(const char *path, const uint8_t *bytes, uint64_t len)
{
    struct vfs_file *r;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_NOATIME, &r), 0);
    cr_assert_eq(vfs_read(r, got, MOST, 0), (ssize_t)len, "%s", path);
    for (uint64_t i = 0; i < len; i++)
        cr_assert_eq(got[i], bytes[i], "%s: byte %llu", path, (unsigned long long)i);
    for (uint64_t at = 0; at + 1000 <= len; at += 3777) {
        cr_assert_eq(vfs_read(r, got, 1000, at), 1000);
        cr_assert_eq(memcmp(got, bytes + at, 1000), 0, "%s: at %llu", path, (unsigned long long)at);
    }
    vfs_release(r);
}

static void same(void)
{
    reads("main/f", want, size);
}

static void dies(void)
{
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
}

static void ends(void)
{
    struct findings found;

    same();
    vfs_release(f);
    same();
    dies();
    same();
    down_clean(&x);
    is_clean(&x, &found);
    fixture_open(&x);
    same();
    fixture_teardown(&x);
}

TestSuite(subblocks, .init = up, .fini = ends);

/* Its subblock extents, by first page and number of pages: "3+1 40+2"; an extent is "[0]", by its
 * block. */
static const char *pieces_of(const char *path)
{
    static char text[1000];
    uint64_t node = node_of(&x, path);
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct key k = key_make(vfs_node_ino(node), ITEM_EXTENT, 0);
    struct extent e;
    struct ns *ns;
    size_t at = 0, len;

    text[0] = 0;
    cr_assert_eq(ns_get(x.p, vfs_node_ns(node), &ns), 0);
    for (int err = tree_seek(&ns->tree, k, &c);
         err == 0 && key_ino(tree_cursor_key(&c)) == key_ino(k); err = tree_next(&c)) {
        struct key key = tree_cursor_key(&c);
        const void *val = tree_cursor_value(&c, &len);
        if (key_type(key) == ITEM_EXTENT)
            at += (size_t)sprintf(text + at, "%s[%llu]", at ? " " : "",
                                  (unsigned long long)(key.lo / BLOCK));
        if (key_type(key) != ITEM_SUBBLOCK)
            continue;
        cr_assert_eq(subblock_decode(key, val, len, &e), 0);
        at += (size_t)sprintf(text + at, "%s%llu+%u%s", at ? " " : "",
                              (unsigned long long)(key.lo / PAGE), e.valid / FILE_PAGE,
                              e.valid % FILE_PAGE ? "." : "");
    }
    tree_cursor_end(&c);
    ns_put(x.p, ns);
    return text;
}
static void are(const char *pieces)
{
    cr_assert_str_eq(pieces_of("main/f"), pieces);
}

static size_t unsealed(void)
{
    return atomic_load(&x.p->contents.buffered);
}

static void set_size(uint64_t to)
{
    struct vfs_attr in = {.size = to}, out;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_SIZE, &in, &out), 0);
    if (to < size)
        memset(want + to, 0, size - to);
    size = to;
}

static void punch(uint64_t off, uint64_t len)
{
    uint64_t end = off + len < size ? off + len : size;

    cr_assert_eq(vfs_fallocate(f, PUNCH, off, len), 0);
    memset(want + off, 0, off < end ? end - off : 0);
}

/* ---- what a write makes ---- */

Test(subblocks, a_page_is_kept_alone)
{
    write_at(5 * PAGE, PAGE);
    are("5+1");
    cr_assert_eq(unsealed(), PAGE);
}

Test(subblocks, a_whole_page_asks_nothing_of_the_base)
{
    char name[DISK_NAME_MAX + 1];
    struct vfs_attr a;
    struct inode in;
    struct entry e;

    cr_assert_eq(inode_get(x.p, node_of(&x, "main/f"), &in, &a), 0);
    cr_assert_eq(refs_entry(x.p->refs, in.object, true, NULL, &e), 0);
    blob_object_name(&e.id, e.where, name);
    vfs_release(f);
    fixture_reopen(&x); /* it has forgotten what it saw to be sound */
    opened();
    cr_assert_eq(disk_mem_flip(x.disk, name, 100, 1), 0);
    cr_assert_eq(vfs_read(f, got, PAGE, 0), -EUCLEAN);
    write_at(0, PAGE);
    cr_assert_eq(vfs_read(f, got, PAGE, 0), (ssize_t)PAGE);
    cr_assert_eq(memcmp(got, want, PAGE), 0);
    cr_assert_eq(vfs_read(f, got, PAGE, PAGE), -EUCLEAN);
    cr_assert_eq(disk_mem_flip(x.disk, name, 100, 1), 0);
}

Test(subblocks, a_part_of_a_page_keeps_the_rest_of_it)
{
    write_at(5 * PAGE + 100, 10);
    write_at(9 * PAGE - 1, 2);
    are("5+1 8+2");
}

Test(subblocks, within_one_it_is_written_in_place_until_it_is_sealed)
{
    write_at(5 * PAGE, 2 * PAGE);
    write_at(5 * PAGE + 77, 100);
    write_at(6 * PAGE, PAGE);
    are("5+2");
    cr_assert_eq(unsealed(), 2 * PAGE);
    sealed();
    cr_assert_eq(unsealed(), 0);
    write_at(6 * PAGE + 1, 5);
    are("5+2");
    cr_assert_eq(unsealed(), 2 * PAGE);
}

Test(subblocks, across_the_edge_of_one_the_block_is_an_extent)
{
    write_at(5 * PAGE, PAGE);
    write_at(20 * PAGE, PAGE);
    write_at(40 * PAGE, PAGE);
    write_at(6 * PAGE - 1, 2);
    are("[0] 40+1");
}

Test(subblocks, after_the_eighth_the_block_is_an_extent)
{
    for (unsigned i = 0; i < SUBBLOCKS_MAX; i++)
        write_at((2 * i + 1) * PAGE, PAGE);
    write_at(33 * PAGE, PAGE);
    are("1+1 3+1 5+1 7+1 9+1 11+1 13+1 15+1 33+1");
    write_at(3 * PAGE, 8);
    are("1+1 3+1 5+1 7+1 9+1 11+1 13+1 15+1 33+1");
    write_at(17 * PAGE, PAGE);
    are("[0] 33+1");
    sealed();
    write_at(3 * PAGE, 8);
    are("[0] 3+1 33+1");
}

Test(subblocks, much_at_once_is_an_extent)
{
    write_at(BLOCK, SUBBLOCK_MAX);
    are("32+8");
    write_at(2 * BLOCK, SUBBLOCK_MAX + 1);
    are("[2] 32+8");
}

Test(subblocks, across_a_block_there_are_two)
{
    write_at(BLOCK - 10, 20);
    are("31+1 32+1");
}

Test(subblocks, behind_what_is_stored_there_is_none)
{
    write_at(LARGE, 1000);
    are("[4]");
    sealed();
    write_at(LARGE + 500, 1000); /* past its end */
    are("[4]");
    sealed();
    write_at(LARGE, 10); /* its page is not all stored */
    are("[4]");
}

Test(subblocks, an_extent_grows_beside_them)
{
    write_at(LARGE, 16 * PAGE);
    sealed();
    write_at(LARGE + PAGE, PAGE);
    are("[4] 129+1");
    write_at(LARGE + 16 * PAGE, 100);
    are("[4]");
    write_at(LARGE + 16 * PAGE + 100, 5 * PAGE);
    are("[4]");
}

Test(subblocks, a_block_that_may_change_in_place_has_none)
{
    write_at(BLOCK, BLOCK);
    write_at(BLOCK + 3 * PAGE, 10);
    are("[1]");
}

/* ---- what cuts them ---- */

Test(subblocks, what_is_cut_off_of_one_does_not_come_back)
{
    write_at(5 * PAGE, 3 * PAGE);
    write_at(40 * PAGE, PAGE);
    set_size(6 * PAGE + 10);
    are("5+1.");
    set_size(LARGE);
    same();
    vfs_release(f);
    dies();
    opened();
    same();
    write_at(6 * PAGE + 5, 10); /* across where it was cut */
    same();
    write_at(7 * PAGE, 10);
}

Test(subblocks, unsealed_bytes_of_one_behind_a_cut_are_no_more)
{
    write_at(5 * PAGE, 2 * PAGE);
    set_size(6 * PAGE + 10);
    write_at(6 * PAGE + 1, 3);
    are("5+1.");
    set_size(7 * PAGE);
    same();
    write_at(7 * PAGE, 100);
    same();
}

Test(subblocks, a_cut_at_the_edge_of_one_leaves_it)
{
    write_at(5 * PAGE, PAGE);
    write_at(7 * PAGE, PAGE);
    set_size(7 * PAGE);
    are("5+1");
    set_size(6 * PAGE);
    are("5+1");
    set_size(5 * PAGE);
    are("");
    set_size(LARGE);
}

Test(subblocks, upon_an_extent_they_are_cut_as_well)
{
    write_at(2 * BLOCK, BLOCK);
    sealed();
    write_at(2 * BLOCK + PAGE, PAGE);
    write_at(2 * BLOCK + 9 * PAGE, PAGE);
    are("[2] 65+1 73+1");
    set_size(2 * BLOCK + PAGE + 100);
    are("[2] 65+0.");
    set_size(LARGE);
    same();
    write_at(2 * BLOCK + PAGE + 50, 100);
    set_size(2 * BLOCK);
    are("");
    set_size(LARGE);
}

Test(subblocks, a_hole_takes_them_with_it)
{
    write_at(BLOCK + PAGE, PAGE);
    write_at(2 * BLOCK + PAGE, PAGE);
    write_at(2 * BLOCK + 9 * PAGE, PAGE);
    punch(BLOCK, BLOCK);
    are("[1] 65+1 73+1");
    punch(2 * BLOCK + PAGE + 10, 100); /* within one: zeros */
    are("[1] 65+1 73+1");
    same();
    write_at(3 * BLOCK, BLOCK);
    sealed();
    write_at(3 * BLOCK + 2 * PAGE, PAGE);
    punch(3 * BLOCK + 2 * PAGE + 7, 2 * BLOCK); /* the end of an extent */
    are("[1] [3] 65+1 73+1 98+0.");
    same();
    punch(2 * BLOCK + 9 * PAGE + 5, 9 * BLOCK); /* the end of all */
    are("[1] 65+1 73+0.");
    same();
    write_at(2 * BLOCK, 10);
}

Test(subblocks, a_hole_at_the_end_takes_those_upon_the_base_and_upon_extents)
{
    write_at(BLOCK, BLOCK);
    sealed();
    write_at(PAGE, PAGE);
    write_at(BLOCK + PAGE, PAGE);
    write_at(3 * BLOCK + PAGE, PAGE);
    punch(PAGE + 100, LARGE);
    are("1+0.");
    same();
    set_size(MOST);
    same();
    punch(0, MOST);
    are("");
}

/* More blocks than one step of making holes takes. */
Test(subblocks, a_huge_hole_takes_those_at_both_its_ends)
{
    const uint64_t count = PUNCH_AT_ONCE + 90;
    struct vfs_file *big;
    struct vfs_attr a;

    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "big", 0644, &fixture_cred, VFS_WRITE, &a,
                            &big),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
    for (uint64_t i = 0; i < count; i++)
        cr_assert_eq(vfs_write(big, want, BLOCK, i * BLOCK), (ssize_t)BLOCK);
    vfs_release(big);
    sealed();
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/big"), VFS_WRITE, &big), 0);
    memset(other, 'p', PAGE);
    for (uint64_t i = 0; i < count; i += 50)
        cr_assert_eq(vfs_write(big, other, PAGE, i * BLOCK + 3 * PAGE), (ssize_t)PAGE);
    cr_assert_eq(vfs_fallocate(big, PUNCH, 3 * PAGE + 100, count * BLOCK), 0);
    cr_assert_str_eq(pieces_of("main/big"), "3+0.");
    cr_assert_eq(vfs_seek(big, 0, false), (int64_t)(3 * PAGE + 100));
    cr_assert_eq(vfs_seek(big, 3 * PAGE + 100, true), -ENXIO);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t keeps = i ? 0 : 3 * PAGE;
        cr_assert_eq(vfs_read(big, got, BLOCK, i * BLOCK), (ssize_t)BLOCK);
        cr_assert_eq(memcmp(got, want, keeps), 0);
        for (uint64_t at = keeps; at < BLOCK; at++)
            cr_assert_eq(got[at], i == 0 && at < keeps + 100 ? 'p' : 0);
    }
    vfs_release(big);
}

Test(subblocks, zeroing_the_whole_file_leaves_nothing)
{
    write_at(PAGE, PAGE);
    write_at(3 * BLOCK, PAGE);
    set_size(0);
    are("");
    set_size(LARGE);
    write_at(0, 100);
}

/* ---- who else has them ---- */

Test(subblocks, a_branch_keeps_what_it_had)
{
    write_at(PAGE, PAGE);
    write_at(40 * PAGE, PAGE);
    sealed();
    write_at(70 * PAGE, PAGE);
    agreed(&x, "branch main dev", "");
    memcpy(other, want, sizeof want);
    write_at(PAGE + 5, 10);
    write_at(70 * PAGE, 10);
    write_at(33 * PAGE, PAGE);
    set_size(40 * PAGE + 1);
    same();
    reads("dev/f", other, LARGE);
    cr_assert_str_eq(pieces_of("dev/f"), "1+1 40+1 70+1");
    sealed();
    same();
    reads("dev/f", other, LARGE);
    agreed(&x, "drop dev force", "");
    sealed();
}

/* The base is the file's own and in place again, but a subblock extent lies upon it. */
Test(subblocks, in_place_below_one_is_not_above_it)
{
    struct vfs_attr a;

    vfs_release(f);
    cr_assert_eq(vfs_create(x.p, node_of(&x, "main"), "g", 0644, &fixture_cred, VFS_WRITE, &a, &f),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
    size = 0;
    write_at(0, LARGE);
    agreed(&x, "branch main dev", "");
    write_at(PAGE, PAGE); /* shared and not sealed */
    cr_assert_str_eq(pieces_of("main/g"), "1+1");
    agreed(&x, "drop dev force", "");
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0); /* the base stays as it is: it is open */
    write_at(PAGE + 10, 10);
    write_at(3 * PAGE, 10);
    cr_assert_str_eq(pieces_of("main/g"), "1+1", "in place, beside it");
    write_at(2 * PAGE - 5, 10);
    reads("main/g", want, LARGE);
    vfs_release(f);
    reads("main/g", want, LARGE);
    sealed();
    reads("main/g", want, LARGE);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "f"), 0);
    cr_assert_eq(vfs_rename(x.p, node_of(&x, "main"), "g", node_of(&x, "main"), "f", 0,
                            &fixture_cred),
                 0);
    opened();
}

Test(subblocks, a_copy_and_a_link_in_another_namespace_have_them)
{
    struct vfs_file *copy;
    struct vfs_attr a;

    agreed(&x, "branch main dev", "");
    write_at(2 * BLOCK, BLOCK);
    sealed();
    write_at(PAGE, PAGE);
    write_at(2 * BLOCK + PAGE, PAGE);
    cr_assert_eq(vfs_create(x.p, node_of(&x, "dev"), "copy", 0644, &fixture_cred, VFS_WRITE, &a,
                            &copy),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(vfs_share_range(f, 0, copy, 0, LARGE), (ssize_t)LARGE);
    vfs_release(copy);
    cr_assert_eq(vfs_link(x.p, node_of(&x, "main/f"), node_of(&x, "dev"), "link", &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    memcpy(other, want, sizeof want);
    write_at(PAGE, 10);
    write_at(5 * PAGE, 10);
    reads("dev/copy", other, LARGE);
    reads("dev/link", other, LARGE);
    vfs_release(f);
    dies();
    opened();
    reads("dev/copy", other, LARGE);
    reads("dev/link", other, LARGE);
    cr_assert_str_eq(pieces_of("dev/copy"), "[2] 1+1 65+1");
    cr_assert_str_eq(pieces_of("dev/link"), "[2] 1+1 65+1");
}

Test(subblocks, an_unlinked_file_has_them_until_it_is_closed)
{
    write_at(PAGE, PAGE);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "f"), 0);
    write_at(PAGE + 1, 10);
    write_at(50 * PAGE, 10);
    cr_assert_eq(vfs_read(f, got, LARGE, 0), (ssize_t)LARGE);
    cr_assert_eq(memcmp(got, want, LARGE), 0);
    vfs_release(f);
    put_file(&x, "main/f", "abc");
    memcpy(want, "abc", 3);
    size = 3;
    opened();
}

Test(subblocks, a_closed_file_of_which_little_changed_keeps_them)
{
    write_at(PAGE, PAGE);
    write_at(50 * PAGE, PAGE);
    vfs_release(f);
    are("1+1 50+1");
    sealed();
    are("1+1 50+1");
    opened();
}

Test(subblocks, a_closed_file_in_too_many_pieces_is_made_whole)
{
    for (unsigned i = 0; i < 4 * SUBBLOCKS_MAX; i++)
        write_at(i % SUBBLOCKS_MAX * 3 * PAGE + i / SUBBLOCKS_MAX * BLOCK, PAGE);
    vfs_release(f);
    are("");
    opened();
}

Test(subblocks, what_is_written_over_all_of_a_block_takes_them_away)
{
    write_at(BLOCK + PAGE, PAGE);
    write_at(BLOCK, BLOCK);
    are("[1]");
}
