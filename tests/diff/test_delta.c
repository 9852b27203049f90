// SPDX-License-Identifier: Apache-2.0
/* Claims of delta: inodes and names that differ, identity, and the budget. */
#include "delta.h"
#include "diff_fixture.h"

TestSuite(delta, .init = up, .fini = down);

static struct diff_room room;
static struct delta d;

/* Gathers the difference from main to dev. */
static int gather(size_t bytes, uint64_t own)
{
    struct ns *a = space("main"), *b = space("dev");
    int err;

    room.left = bytes;
    d = (struct delta)DELTA_INIT(&room);
    {
        READ_GUARD(&a->lock);
        READ_GUARD(&b->lock);
        err = delta_gather(&a->tree, &b->tree, own, NULL, &d);
    }
    ns_put(x.p, a);
    ns_put(x.p, b);
    return err;
}

static uint64_t ino_of(const char *path)
{
    return vfs_node_ino(node_of(&x, path));
}

Test(delta, only_what_differs_is_in_it)
{
    put_file(&x, "main/a", "1");
    put_file(&x, "main/b", "1");
    branch();
    put_file(&x, "dev/a", "22");
    cr_assert_eq(gather(SIZE_MAX, 0), 0);
    cr_assert_eq(d.count, 1);
    cr_assert_eq(d.name_count, 0);
    cr_assert_eq(d.inodes[0].ino, ino_of("main/a"));
    cr_assert(d.inodes[0].same);
    cr_assert_eq(d.inodes[0].at[DELTA_A].size, 1);
    cr_assert_eq(d.inodes[0].at[DELTA_B].size, 2);
    cr_assert_eq(delta_find(&d, ino_of("main/a")), &d.inodes[0]);
    cr_assert_null(delta_find(&d, ino_of("main/b")));
    delta_release(&d);
}

Test(delta, a_name_has_the_inode_of_each_side)
{
    put_file(&x, "main/a", "1");
    branch();
    put_file(&x, "dev/new", "1");
    move("dev/new", "dev/a");
    put_file(&x, "dev/b", "1");
    cr_assert_eq(gather(SIZE_MAX, 0), 0);
    cr_assert_eq(d.name_count, 2);
    cr_assert_eq(d.names[0].parent, VFS_TOP_INO);
    cr_assert_arr_eq(delta_text(&d, &d.names[0]), "a", d.names[0].len);
    cr_assert_eq(d.names[0].ino[DELTA_A], ino_of("main/a"));
    cr_assert_eq(d.names[0].ino[DELTA_B], ino_of("dev/a"));
    cr_assert_arr_eq(delta_text(&d, &d.names[1]), "b", d.names[1].len);
    cr_assert_eq(d.names[1].ino[DELTA_A], 0);
    cr_assert_eq(d.names[1].ino[DELTA_B], ino_of("dev/b"));
    delta_release(&d);
}

/* Names of 8 bits of hash: those that collide move to another place when one of them goes. */
static uint64_t few(uint64_t hash, unsigned level)
{
    return level == 0 ? (hash & ~UINT64_C(127)) % (8 * NAME_PLACES) : hash;
}

Test(delta, a_name_that_has_only_moved_to_another_place_is_no_difference)
{
    char path[32];

    x.p->name_key.fold = few;
    for (int i = 0; i < 60; i++) {
        snprintf(path, sizeof path, "main/%d", i);
        put_file(&x, path, "1");
    }
    branch();
    for (int i = 0; i < 59; i++) { /* the next one takes the place of one that is away */
        char next[32];
        snprintf(path, sizeof path, "dev/%d", i);
        snprintf(next, sizeof next, "dev/%d", i + 1);
        move(path, "dev/away");
        move(next, "dev/aside");
        move("dev/aside", next);
        move("dev/away", path);
    }
    cr_assert_eq(gather(SIZE_MAX, 0), 0);
    cr_assert_eq(d.name_count, 0);
    delta_release(&d);
}

Test(delta, blocks_that_may_differ_are_noted)
{
    static char bytes[5 * EXTENT_BLOCK];

    put_file(&x, "main/a", "");
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i >> 7);
    write_at("main/a", bytes, sizeof bytes, 0);
    drain();
    branch();
    write_at("dev/a", "x", 1, 3 * EXTENT_BLOCK + 7);
    cr_assert_eq(gather(SIZE_MAX, 0), 0);
    cr_assert_eq(d.count, 1);
    cr_assert(d.inodes[0].items & DELTA_DATA);
    cr_assert_eq(d.inodes[0].blocks, 1);
    cr_assert_eq(d.blocks[d.inodes[0].first_block], 3 * EXTENT_BLOCK);
    delta_release(&d);
}

Test(delta, a_number_that_two_files_have_is_one_file_only_below_the_own_ones_of_the_branch)
{
    struct ns *a, *b;

    branch();
    a = space("main");
    b = space("dev");
    a->next_ino = b->next_ino = 5000; /* as in a store from before numbers were the store's */
    a->ino_end = b->ino_end = 6000;
    put_file(&x, "main/a", "1");
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    put_file(&x, "dev/a", "22");
    cr_assert_eq(ino_of("main/a"), ino_of("dev/a"));
    cr_assert_eq(gather(SIZE_MAX, 0), 0);
    cr_assert_not(delta_find(&d, 5000)->same);
    delta_release(&d);
    cr_assert_eq(gather(SIZE_MAX, 5000), 0);
    cr_assert_not(delta_find(&d, 5000)->same);
    delta_release(&d);
    cr_assert_eq(gather(SIZE_MAX, 5001), 0);
    cr_assert(delta_find(&d, 5000)->same);
    delta_release(&d);
    ns_put(x.p, a);
    ns_put(x.p, b);
}

Test(delta, two_files_of_one_number_under_one_name_are_told_as_modified)
{
    struct ns *a, *b;

    branch();
    a = space("main");
    b = space("dev");
    a->next_ino = b->next_ino = 5000;
    a->ino_end = b->ino_end = 6000;
    put_file(&x, "main/a", "1");
    make_dir("main/b");
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    put_file(&x, "dev/a", "22");
    put_file(&x, "dev/b", "1");
    cr_assert_eq(ino_of("main/b"), ino_of("dev/b"));
    a->own_ino = b->own_ino = 0;
    differs("M a\nT b\n");
    ns_put(x.p, a);
    ns_put(x.p, b);
}

Test(delta, the_budget_is_a_limit_and_after_an_error_nothing_is_left)
{
    branch();
    for (int i = 0; i < 10; i++) {
        char path[32];
        snprintf(path, sizeof path, "dev/%d", i);
        put_file(&x, path, "1");
    }
    cr_assert_eq(gather(5 * sizeof(struct delta_inode), 0), -E2BIG);
    cr_assert_null(d.inodes);
    cr_assert_eq(d.count, 0);
    cr_assert_eq(gather(20 * sizeof(struct delta_inode), 0), 0);
    cr_assert_eq(d.count, 11);
    delta_release(&d);
}
