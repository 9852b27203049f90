// SPDX-License-Identifier: Apache-2.0
/* test_check_tree: every way in which a namespace can fail to be a tree of directories is found and
 * said in words. */
#include "plant.h"

/* The store with this damage; the state is closed. */
static void damaged(struct fixture *x, void (*plant)(struct fixture *))
{
    plant_setup(x);
    plant(x);
    down_clean(x);
}

/* Exactly this is found: "what|where|sentence". */
static void tells(void (*plant)(struct fixture *), const char *line)
{
    struct fixture x;
    struct findings f;
    char whole[512];

    damaged(&x, plant);
    examine(&x, &f);
    snprintf(whole, sizeof whole, "%s\n", line);
    cr_assert_eq(f.r.problems, 1, "%s", f.text);
    cr_assert_str_eq(f.text, whole);
    fixture_teardown(&x);
}

Test(check_tree, a_sound_tree_is_clean_and_its_inodes_are_counted)
{
    struct fixture x;
    struct findings f;

    plant_setup(&x);
    branch(&x, "main", "twin");
    down_clean(&x);
    is_clean(&x, &f);
    cr_assert_eq(f.r.inodes, 7); /* the twin shares them */
    fixture_teardown(&x);
}

Test(check_tree, a_wrong_link_count_of_a_file)
{
    tells(plant_file_links, "link count|main/file|it is 7, but 2 names exist");
}
Test(check_tree, a_wrong_link_count_of_a_directory)
{
    tells(plant_dir_links,
          "link count|main/dir|it is 6, but should be 3: 2 and one for each directory in it");
}
Test(check_tree, a_wrong_number_of_entries)
{
    tells(plant_dir_size, "directory|main/dir|it is said to have 1 entries, but has 3");
}
Test(check_tree, a_wrong_parent)
{
    tells(plant_parent,
          "directory|main/dir/sub|its parent is said to be inode 1, but it is in inode 3");
}
Test(check_tree, an_entry_that_leads_nowhere)
{
    tells(plant_dangling, "entry|main/dir/nowhere|it leads to inode 4711, which does not exist");
}
Test(check_tree, a_file_without_a_name)
{
    tells(plant_nameless_file, "nameless|main inode 6|it is a regular file that no entry leads to");
}
Test(check_tree, a_directory_without_a_name_but_not_what_is_in_it)
{
    tells(plant_nameless_dir, "nameless|main inode 4|it is a directory that no entry leads to");
}
Test(check_tree, directories_in_a_circle)
{
    tells(plant_circle,
          "directory|main inode 3|it is below itself, and no directory above leads to it");
}
Test(check_tree, an_entry_of_another_type_than_its_inode)
{
    tells(plant_type,
          "entry|main/dir/other|it says that inode 6 is a fifo, but it is a regular file");
}
Test(check_tree, a_directory_with_two_names)
{
    struct fixture x;
    struct findings f;

    damaged(&x, plant_second_dir_name);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 1, "%s", f.text);
    /* Which of the two comes second is the hash's, and so the secret's, affair. */
    cr_assert(strstr(f.text, "inode 4 is a directory that has another name already"), "%s", f.text);
    fixture_teardown(&x);
}
Test(check_tree, an_entry_under_the_wrong_hash)
{
    tells(plant_hash, "entry|main/dir/other|it stands where a lookup does not find it");
}
Test(check_tree, a_name_that_is_there_twice)
{
    tells(plant_twice, "entry|main/dir/other|the directory has the same name twice");
}
Test(check_tree, an_entry_called_dot_dot)
{
    tells(plant_dots, "entry|main/dir/..|no entry may have this name");
}
Test(check_tree, a_next_inode_number_that_is_taken)
{
    tells(plant_next_ino, "namespace|main|inode 7 is in use, but the next number to be given is 3");
}
Test(check_tree, a_namespace_that_does_not_have_what_it_is_said_to)
{
    tells(plant_usage, "namespace|main|it is said to have 12 inodes with 1536 bytes, but has 7 with "
                       "1536");
}
Test(check_tree, items_of_an_inode_that_does_not_exist)
{
    tells(plant_no_inode, "inode|main inode 99|1 items of it exist, but it does not");
}
Test(check_tree, a_namespace_without_a_root_directory)
{
    tells(plant_no_root, "directory|main|it has no root directory");
}
Test(check_tree, attributes_of_an_inode_that_says_it_has_none)
{
    tells(plant_xattr_unmarked,
          "inode|main/file|it has extended attributes, but is not marked as an "
          "inode that has");
}
Test(check_tree, an_attribute_under_the_wrong_hash)
{
    tells(plant_xattr_hash, "inode|main/dir|it has an extended attribute where getting it by name "
                            "does not find it");
}
Test(check_tree, extents_of_a_file_that_has_none)
{
    tells(plant_extents, "inode|main/file|it has extents, but is not marked as a file that has");
}
Test(check_tree, a_wrong_number_of_stored_bytes)
{
    tells(plant_stored, "inode|main/dir/other|it is said to store 4 bytes, but stores 15");
}
Test(check_tree, subblocks_that_are_not_marked)
{
    tells(plant_subblock_unmarked,
          "inode|main/subblocks|it has subblock extents, but is not marked as a file that has");
    tells(plant_subblock_of_no_overlay,
          "inode|main/subblocks|it has subblock extents, but is not a file that may have");
}
Test(check_tree, subblocks_where_none_may_be)
{
    tells(plant_subblocks_overlap, "inode|main/subblocks|its subblock extents overlap");
    tells(plant_subblock_beyond,
          "inode|main/subblocks|it has a subblock extent upon what is not stored");
    tells(plant_subblock_upon_a_hole,
          "inode|main/subblocks|it has a subblock extent upon what is not stored");
    tells(plant_many_subblocks,
          "inode|main/subblocks|it has more subblock extents in a block than there may be");
}
Test(check_tree, maps_of_holes)
{
    tells(plant_map_unmarked,
          "inode|main/subblocks|it has maps of holes, but is not marked as a file that has");
    tells(plant_map_beyond, "inode|main/subblocks|it has a hole within what is not stored");
    tells(plant_map_of_more,
          "inode|main/subblocks|it is said to store 226976 bytes, but stores 222880");
}
Test(check_tree, a_symlink_that_is_shorter_than_it_says)
{
    tells(plant_symlink, "inode|main/symlink|its target is not as long as its size says");
}
Test(check_tree, an_entry_below_what_is_no_directory)
{
    tells(plant_entry_in_file, "inode|main/symlink|it is no directory, but has entries");
}

/* ---- what is not told ---- */

Test(check_tree, namespaces_that_share_a_root_are_told_of_once)
{
    struct fixture x;
    struct findings f;

    plant_setup(&x);
    plant_file_links(&x);
    branch(&x, "main", "twin");
    down_clean(&x);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 1, "%s", f.text);
    fixture_teardown(&x);
}

Test(check_tree, what_a_damaged_page_may_hold_is_not_missed)
{
    struct fixture x;
    struct findings f;
    struct found at;
    char where[32];

    setup(&x);
    pick(&x, TABLE_PAGES, with_objects, &at);
    snprintf(where, sizeof where, "page %llu", (unsigned long long)get_be64(at.key));
    flip(&x, TABLE_PAGES, &at, 4000, 3);
    examine(&x, &f);
    is_only(&f, "page", where);
    cr_assert(strstr(f.text, "note|main|a part of it cannot be read"), "%s", f.text);
    fixture_teardown(&x);
}

/* ---- who uses what is damaged ---- */

Test(check_tree, the_paths_that_use_a_damaged_object_are_told)
{
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    char name[DISK_NAME_MAX + 1];

    plant_setup(&x);
    put_big(&x, "main/dir/sub/big", 300000);
    branch(&x, "main", "twin");
    branch(&x, "main", "same");
    put_file(&x, "twin/own", "so that the twin has a root of its own");
    down_clean(&x);
    pick(&x, TABLE_OBJECTS, in_file, &at);
    e = entry_of(&at);
    blob_object_name(&e.id, e.where, name);
    cr_assert_eq(disk_mem_flip(x.disk, name, 1000, 3), 0);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 1, "%s", f.text);
    cr_assert(strstr(f.text, "file|main/dir/sub/big|its content is damaged: "), "%s", f.text);
    cr_assert(strstr(f.text, "file|twin/dir/sub/big|its content is damaged: "), "%s", f.text);
    cr_assert(strstr(f.text, "file|same/dir/sub/big|its content is damaged: "), "%s", f.text);
    fixture_teardown(&x);
}

#define ATTRIBUTE 20000

static bool an_attribute(const struct found *f)
{
    return in_pack(f) && entry_of(f).size == ATTRIBUTE;
}

Test(check_tree, of_the_files_with_a_damaged_attribute_eight_are_told)
{
    static uint8_t value[ATTRIBUTE];
    const char told[] = "|an extended attribute of it is damaged: ";
    struct fixture x;
    struct findings f;
    struct found at;
    char path[64], name[DISK_NAME_MAX + 1];
    size_t count = 0;

    plant_setup(&x);
    for (int i = 0; i < 12; i++) {
        snprintf(path, sizeof path, "main/dir/f%d", i);
        put_file(&x, path, "x");
        cr_assert_eq(vfs_setxattr(x.p, node_of(&x, path), "user.large", value, sizeof value, 0), 0);
    }
    down_clean(&x);
    pick(&x, TABLE_OBJECTS, an_attribute, &at);
    pack_name(entry_of(&at).where, name);
    cr_assert_eq(disk_mem_flip(x.disk, name, entry_of(&at).offset + 1000, 3), 0);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 1, "%s", f.text);
    cr_assert(strstr(f.text, "file|main/dir/f0|an extended attribute"), "%s", f.text);
    for (const char *s = f.text; (s = strstr(s, told)); s++)
        count++;
    cr_assert_eq(count, 8, "%s", f.text);
    fixture_teardown(&x);
}

Test(check_tree, names_that_are_no_text_are_told_in_octal)
{
    struct fixture x;
    struct findings f;

    plant_setup(&x);
    put_file(&x, "main/dir/a\nb\\\xff\xc3\xa4", "x");
    struct inode in = inode_of(&x, "main/dir/a\nb\\\xff\xc3\xa4");
    in.nlink = 2;
    put_inode(&x, ino_of(&x, "main/dir/a\nb\\\xff\xc3\xa4"), &in);
    down_clean(&x);
    examine(&x, &f);
    cr_assert(strstr(f.text, "link count|main/dir/a\\012b\\134\\377\xc3\xa4|"), "%s", f.text);
    fixture_teardown(&x);
}
