// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of restore_verify: which trees are sound, and that each rule is looked at. A follower looks
 * at what differs from a tree that was sound (follow_verify.h), and has to say the same.
 */
#include "flush.h"
#include "follow_verify.h"
#include "ns_branch.h"
#include "plant.h"
#include "restore_verify.h"

static struct fixture x;
static struct ns *sound; /* what the tree was before */

static void up(void)
{
    plant_setup(&x);
    seal_for_view(x.p);
    cr_assert_eq(ns_draft_of(x.p, planted(&x), &sound), 0);
}
static void down_all(void)
{
    ns_put(x.p, sound);
    fixture_teardown(&x);
}

TestSuite(restore_verify, .init = up, .fini = down_all);

/* What a follower says of what differs. */
static int follower_says(struct strbuf *why)
{
    uint8_t sum[SEGMENT_STATE_LEN] = {0};
    uint64_t last;
    int err;

    seal_for_view(x.p);
    ns_rdlock_two(sound, planted(&x));
    err = follow_verify(x.p, &sound->tree, &planted(&x)->tree, sum, &last, why);
    ns_rdunlock_two(sound, planted(&x));
    return err;
}

static void is_sound(void)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT, said = STRBUF_INIT;
    struct ns *ns = planted(&x);
    uint64_t last = 0;

    cr_assert_eq(restore_verify(x.p, ns, &last, &why), 0, "%s", why.s);
    cr_assert_eq(last, ns->next_ino - 1);
    cr_assert_eq(why.len, 0);
    cr_assert_eq(follower_says(&said), 0, "%s", said.s);
}

/* The tree is refused with a sentence that begins with the inode. */
static void is_refused(uint64_t ino, const char *text)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT, said = STRBUF_INIT;
    uint64_t last = 4711;
    char want[200];

    snprintf(want, sizeof want, "inode %llu %s", (unsigned long long)ino, text);
    cr_assert_eq(restore_verify(x.p, planted(&x), &last, &why), -EUCLEAN, "it is not: %s", want);
    cr_assert_str_eq(why.s, want);
    cr_assert_eq(last, 4711);
    cr_assert_eq(follower_says(&said), -EUCLEAN, "a follower has not seen it: %s", want);
}

static void put_item(uint64_t ino, enum item_type type, uint64_t rest, const void *val, size_t len)
{
    cr_assert_eq(tree_put(&planted(&x)->tree, key_make(ino, type, rest), val, len), 0);
}

static void put_node(const char *path, uint32_t mode)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    cr_assert_eq(vfs_mknod(x.p, dir, name, mode, 5, &fixture_cred, &a), 0, "%s", path);
    vfs_forget(x.p, a.nodeid, 1);
}

static void put_symlink(const char *name, const char *target)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_symlink(x.p, node_of(&x, "main"), name, target, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

/* ---- sound trees ---- */

Test(restore_verify, a_tree_with_hard_links_and_a_symlink_is_sound)
{
    is_sound();
}

Test(restore_verify, every_type_of_file_is_sound)
{
    put_node("main/fifo", S_IFIFO | 0600);
    put_node("main/socket", S_IFSOCK | 0600);
    put_node("main/character", S_IFCHR | 0600);
    put_node("main/dir/block", S_IFBLK | 0600);
    is_sound();
}

Test(restore_verify, deep_directories_are_sound)
{
    char path[400] = "main";

    for (int i = 0; i < 150; i++) {
        strcat(path, "/d");
        make_dir(&x, path);
    }
    is_sound();
}

Test(restore_verify, a_symlink_of_several_pieces_is_sound)
{
    char target[4096] = "";

    memset(target, 't', 2 * ITEM_SYMLINK_PIECE);
    put_symlink("two", target);
    memset(target, 't', sizeof target - 1);
    put_symlink("longest", target);
    is_sound();
}

Test(restore_verify, extended_attributes_are_sound)
{
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/file"), "user.a", "1", 1, 0), 0);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/dir"), "user.b", "2", 1, 0), 0);
    is_sound();
}

Test(restore_verify, subblock_extents_are_sound)
{
    plant_subblocks(&x);
    plant_subblock(&x, 4 * FILE_PAGE, FILE_PAGE);
    plant_subblock(&x, EXTENT_BLOCK, FILE_PAGE);
    is_sound();
}

Test(restore_verify, maps_of_holes_are_sound)
{
    plant_map(&x, 0, 1u << 31 | 5, INODE_HOLES);
    is_sound();
}

/* ---- the root and the types ---- */

Test(restore_verify, a_tree_without_a_root_is_refused)
{
    plant_no_root(&x);
    is_refused(1, "is not there, and should be the root directory");
}

Test(restore_verify, an_empty_tree_is_refused)
{
    planted(&x)->tree.root = 0;
    is_refused(1, "is not there, and should be the root directory");
}

Test(restore_verify, a_root_that_is_a_file_is_refused)
{
    struct inode in = inode_of(&x, "main");

    in.mode = S_IFREG | 0644;
    put_inode(&x, NS_ROOT_INO, &in);
    is_refused(1, "should be the root directory, and is none");
}

Test(restore_verify, a_root_with_another_parent_is_refused)
{
    struct inode in = inode_of(&x, "main");

    in.parent = ino_of(&x, "main/dir");
    put_inode(&x, NS_ROOT_INO, &in);
    is_refused(1, "is the root directory, and has another parent");
}

Test(restore_verify, an_unknown_type_is_refused)
{
    struct inode in = inode_of(&x, "main/file");

    in.mode = 0160000 | 0644; /* a whiteout of other systems */
    put_inode(&x, ino_of(&x, "main/file"), &in);
    is_refused(ino_of(&x, "main/file"), "has a type that no file has");
}

Test(restore_verify, contents_of_a_directory_are_refused)
{
    struct inode in = inode_of(&x, "main/dir");

    in.object = inode_of(&x, "main/file").object;
    put_inode(&x, ino_of(&x, "main/dir"), &in);
    is_refused(ino_of(&x, "main/dir"), "is no regular file, and has contents");
}

Test(restore_verify, a_size_beyond_what_an_offset_can_say_is_refused)
{
    struct inode in = inode_of(&x, "main/file");

    in.size = (uint64_t)INT64_MAX + 1;
    put_inode(&x, ino_of(&x, "main/file"), &in);
    is_refused(ino_of(&x, "main/file"), "is longer than a file may be");
}

Test(restore_verify, items_without_an_inode_are_refused)
{
    plant_no_inode(&x);
    is_refused(99, "has items, and is not there");
}

Test(restore_verify, an_item_that_does_not_decode_is_refused)
{
    put_item(ino_of(&x, "main/file"), ITEM_HOLES, 0, "abc", 3);
    is_refused(ino_of(&x, "main/file"), "has a damaged item");
}

/* ---- entries ---- */

Test(restore_verify, an_entry_that_leads_nowhere_is_refused)
{
    plant_dangling(&x);
    is_refused(ino_of(&x, "main/dir"), "has an entry that leads to inode 4711, which is not there");
}

Test(restore_verify, an_entry_that_leads_to_the_root_is_refused)
{
    put_entry(&x, "main/dir/root", NS_ROOT_INO, DT_DIR);
    adjust_dir(&x, "main/dir", 1, 1);
    is_refused(ino_of(&x, "main/dir"), "has an entry that leads to the root directory");
}

Test(restore_verify, an_entry_of_another_type_is_refused)
{
    char text[100];

    plant_type(&x);
    snprintf(text, sizeof text, "has an entry with another type than its inode, %llu",
             (unsigned long long)ino_of(&x, "main/dir/other"));
    is_refused(ino_of(&x, "main/dir"), text);
}

Test(restore_verify, entries_of_what_is_no_directory_are_refused)
{
    plant_entry_in_file(&x);
    is_refused(ino_of(&x, "main/symlink"), "is no directory, and has entries");
}

Test(restore_verify, an_entry_with_the_name_of_two_dots_is_refused)
{
    plant_dots(&x);
    is_refused(ino_of(&x, "main/dir"), "has an entry with a name that no entry may have");
}

Test(restore_verify, an_entry_with_the_name_of_one_dot_is_refused)
{
    put_entry(&x, "main/dir/.", ino_of(&x, "main/file"), DT_REG);
    is_refused(ino_of(&x, "main/dir"), "has an entry with a name that no entry may have");
}

Test(restore_verify, a_second_entry_of_a_directory_is_refused)
{
    struct key k = entry_key(&x, "main/dir/again");

    put_entry_at(&x, k, "again", ino_of(&x, "main/dir/sub"), DT_DIR);
    adjust_dir(&x, "main/dir", 1, 1);
    is_refused(ino_of(&x, "main/dir/sub"), "is a directory that has two entries");
}

Test(restore_verify, a_directory_that_is_not_where_it_says_is_refused)
{
    char text[100];

    plant_parent(&x);
    snprintf(text, sizeof text, "is a directory with the parent 1, and has its entry in %llu",
             (unsigned long long)ino_of(&x, "main/dir"));
    is_refused(ino_of(&x, "main/dir/sub"), text);
}

Test(restore_verify, more_entries_than_the_link_count_are_refused)
{
    put_entry(&x, "main/dir/third", ino_of(&x, "main/file"), DT_REG);
    adjust_dir(&x, "main/dir", 1, 0);
    is_refused(ino_of(&x, "main/file"), "has more entries than its link count, 2");
}

Test(restore_verify, fewer_entries_than_the_link_count_are_refused)
{
    plant_file_links(&x);
    is_refused(ino_of(&x, "main/file"), "has fewer entries than its link count, 7");
}

Test(restore_verify, a_file_without_an_entry_is_refused)
{
    uint64_t ino = ino_of(&x, "main/dir/other");

    plant_nameless_file(&x);
    is_refused(ino, "has no entry that leads to it");
}

Test(restore_verify, a_file_without_an_entry_and_without_links_is_refused)
{
    uint64_t ino = ino_of(&x, "main/dir/other");
    struct inode in = inode_of(&x, "main/dir/other");

    plant_nameless_file(&x);
    in.nlink = 0;
    put_inode(&x, ino, &in);
    is_refused(ino, "has no entry that leads to it");
}

Test(restore_verify, a_directory_without_an_entry_is_refused)
{
    uint64_t ino = ino_of(&x, "main/dir/sub");

    plant_nameless_dir(&x);
    is_refused(ino, "has no entry that leads to it");
}

Test(restore_verify, directories_in_a_circle_are_refused)
{
    uint64_t ino = ino_of(&x, "main/dir");

    plant_circle(&x);
    is_refused(ino, "is a directory that is below itself");
}

Test(restore_verify, a_directory_in_itself_is_refused)
{
    uint64_t sub = ino_of(&x, "main/dir/sub");
    struct inode in = inode_of(&x, "main/dir/sub");

    put_entry(&x, "main/dir/sub/self", sub, DT_DIR);
    in.parent = sub;
    in.size++;
    in.nlink++;
    del_entry(&x, "main/dir/sub");
    put_inode(&x, sub, &in);
    adjust_dir(&x, "main/dir", -1, -1);
    is_refused(sub, "is a directory that is below itself");
}

Test(restore_verify, a_wrong_link_count_of_a_directory_is_refused)
{
    plant_dir_links(&x);
    is_refused(ino_of(&x, "main/dir"), "is a directory with the link count 6, which should be 3");
}

Test(restore_verify, a_wrong_number_of_entries_is_refused)
{
    plant_dir_size(&x);
    is_refused(ino_of(&x, "main/dir"), "is a directory of 1 entries, and has 3");
}

Test(restore_verify, a_wrong_number_of_entries_of_the_last_inode_is_refused)
{
    make_dir(&x, "main/last");
    adjust_dir(&x, "main/last", 1, 0);
    is_refused(ino_of(&x, "main/last"), "is a directory of 1 entries, and has 0");
}

/* ---- symlinks ---- */

Test(restore_verify, a_symlink_that_is_shorter_than_its_size_is_refused)
{
    plant_symlink(&x);
    is_refused(ino_of(&x, "main/symlink"),
               "is a symbolic link whose target is not as long as its size says");
}

Test(restore_verify, a_symlink_without_a_target_is_refused)
{
    uint64_t ino = ino_of(&x, "main/symlink");

    cr_assert_eq(tree_del(&planted(&x)->tree, key_make(ino, ITEM_SYMLINK, 0)), 0);
    is_refused(ino, "is a symbolic link whose target is not as long as its size says");
}

Test(restore_verify, a_symlink_without_its_first_piece_is_refused)
{
    uint64_t ino = ino_of(&x, "main/symlink");

    cr_assert_eq(tree_del(&planted(&x)->tree, key_make(ino, ITEM_SYMLINK, 0)), 0);
    put_item(ino, ITEM_SYMLINK, 1, "dir/sub", 7);
    is_refused(ino, "is a symbolic link, and pieces of its target are missing");
}

Test(restore_verify, a_symlink_with_a_short_piece_before_another_is_refused)
{
    uint64_t ino = ino_of(&x, "main/symlink");

    put_item(ino, ITEM_SYMLINK, 0, "dir", 3);
    put_item(ino, ITEM_SYMLINK, 1, "/sub", 4);
    is_refused(ino, "is a symbolic link, and pieces of its target are missing");
}

Test(restore_verify, a_symlink_with_a_nul_is_refused)
{
    put_item(ino_of(&x, "main/symlink"), ITEM_SYMLINK, 0, "dir\0sub", 7);
    is_refused(ino_of(&x, "main/symlink"), "is a symbolic link with a NUL in its target");
}

Test(restore_verify, a_symlink_that_is_too_long_is_refused)
{
    struct inode in = inode_of(&x, "main/symlink");

    in.size = 4096;
    put_inode(&x, ino_of(&x, "main/symlink"), &in);
    is_refused(ino_of(&x, "main/symlink"),
               "is a symbolic link whose target has a length that none may have");
}

Test(restore_verify, an_empty_symlink_is_refused)
{
    struct inode in = inode_of(&x, "main/symlink");

    in.size = 0;
    put_inode(&x, ino_of(&x, "main/symlink"), &in);
    is_refused(ino_of(&x, "main/symlink"),
               "is a symbolic link whose target has a length that none may have");
}

Test(restore_verify, a_target_of_a_file_is_refused)
{
    put_item(ino_of(&x, "main/file"), ITEM_SYMLINK, 0, "dir", 3);
    is_refused(ino_of(&x, "main/file"), "is no symbolic link, and has a target");
}

/* ---- contents ---- */

Test(restore_verify, extents_of_a_file_that_has_none_are_refused)
{
    plant_extents(&x);
    is_refused(ino_of(&x, "main/file"), "has extents, and is not marked as a file that has");
}

Test(restore_verify, extents_of_a_directory_are_refused)
{
    uint8_t buf[EXTENT_ITEM_LEN];

    extent_encode(&(struct extent){0, 0}, buf);
    put_item(ino_of(&x, "main/dir"), ITEM_EXTENT, 0, buf, sizeof buf);
    is_refused(ino_of(&x, "main/dir"), "is no regular file, and has extents");
}

Test(restore_verify, extents_behind_the_end_are_refused)
{
    uint8_t buf[EXTENT_ITEM_LEN];

    plant_subblocks(&x);
    extent_encode(&(struct extent){0, 0}, buf);
    put_item(ino_of(&x, "main/subblocks"), ITEM_EXTENT, 2 * EXTENT_BLOCK, buf, sizeof buf);
    is_refused(ino_of(&x, "main/subblocks"), "has extents behind its end");
}

Test(restore_verify, a_wrong_number_of_stored_bytes_is_refused)
{
    plant_stored(&x);
    is_refused(ino_of(&x, "main/dir/other"), "is said to store 4 bytes, and stores 15");
}

Test(restore_verify, subblock_extents_of_a_file_that_has_none_are_refused)
{
    plant_subblock_unmarked(&x);
    is_refused(ino_of(&x, "main/subblocks"),
               "has subblock extents, and is not marked as a file that has");
}

Test(restore_verify, subblock_extents_that_overlap_are_refused)
{
    plant_subblocks_overlap(&x);
    is_refused(ino_of(&x, "main/subblocks"), "has subblock extents that overlap");
}

Test(restore_verify, a_subblock_extent_behind_the_end_is_refused)
{
    plant_subblock_beyond(&x);
    is_refused(ino_of(&x, "main/subblocks"), "has a subblock extent upon what is not stored");
}

Test(restore_verify, a_subblock_extent_upon_a_hole_is_refused)
{
    plant_subblock_upon_a_hole(&x);
    is_refused(ino_of(&x, "main/subblocks"), "has a subblock extent upon what is not stored");
}

Test(restore_verify, too_many_subblock_extents_in_a_block_are_refused)
{
    plant_many_subblocks(&x);
    is_refused(ino_of(&x, "main/subblocks"),
               "has more subblock extents in a block than there may be");
}

Test(restore_verify, a_map_of_holes_of_a_file_that_has_none_is_refused)
{
    plant_map_unmarked(&x);
    is_refused(ino_of(&x, "main/subblocks"),
               "has maps of holes, and is not marked as a file that has");
}

Test(restore_verify, a_hole_in_what_is_not_stored_is_refused)
{
    plant_map_beyond(&x);
    is_refused(ino_of(&x, "main/subblocks"), "has a hole within what is not stored");
}

Test(restore_verify, a_map_of_more_holes_than_the_size_says_is_refused)
{
    char text[100];

    plant_map_of_more(&x);
    snprintf(text, sizeof text, "is said to store %llu bytes, and stores %llu",
             (unsigned long long)(SUBBLOCKS_SIZE - FILE_PAGE),
             (unsigned long long)(SUBBLOCKS_SIZE - 2 * FILE_PAGE));
    is_refused(ino_of(&x, "main/subblocks"), text);
}
