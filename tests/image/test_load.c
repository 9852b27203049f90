// SPDX-License-Identifier: Apache-2.0
/* Claims of load.h. */
#include "draft.h"

#include "acl.h"

#define LARGE (700 * 1024)

static struct draft d;
static uint8_t bytes[5 << 20];

static void draft_up(void)
{
    uint64_t state = 5;

    fixture_setup(&d.store);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)fault_random(&state);
    draft_begin(&d);
}
static void draft_down(void)
{
    if (d.load)
        draft_end(&d);
    if (d.store.p)
        fixture_teardown(&d.store);
}

TestSuite(load, .init = draft_up, .fini = draft_down);

static void end(void)
{
    cr_assert_eq(try_end(&d), 0, "%s", d.why.s);
    draft_end(&d);
}

/* ---- what a stream says is what is there ---- */

Test(load, files_directories_links_and_devices_are_as_the_records_say)
{
    char target[4096];
    struct vfs_attr a;
    uint64_t root = add_inode(&d, S_IFDIR | 01777), dir = add_directory(&d, root, "dir");
    uint64_t file = add_text(&d, dir, "file", "some bytes");
    struct image_record link = inode_record(&d, S_IFLNK | 0777);
    struct image_record device = inode_record(&d, S_IFBLK | 0600);

    add_entry(&d, root, "hard", file);
    link.data = "dir/file";
    link.len = link.size = 8;
    draft_take(&d, &link);
    add_entry(&d, root, "soft", link.number);
    device.rdev = 0x801;
    draft_take(&d, &device);
    add_entry(&d, dir, "device", device.number);
    add_entry(&d, dir, "pipe", add_inode(&d, S_IFIFO | 0622));
    add_file(&d, root, "empty", NULL, 0);
    end();
    draft_is_sound(&d);

    has_text_at(&d, "draft/dir/file", "some bytes");
    a = attr_of(&d, "draft/dir/file");
    cr_assert_eq(a.mode, S_IFREG | 0640);
    cr_assert(a.nlink == 2 && a.uid == 7 && a.gid == 8 && a.size == 10);
    cr_assert_eq(a.mtime, (int64_t)file * 1000003);
    cr_assert_eq(attr_of(&d, "draft/hard").nodeid, a.nodeid);
    a = attr_of(&d, "draft/dir/device");
    cr_assert(a.mode == (S_IFBLK | 0600) && a.rdev == 0x801);
    cr_assert_eq(attr_of(&d, "draft/dir/pipe").mode, S_IFIFO | 0622);
    a = attr_of(&d, "draft/dir");
    cr_assert(a.mode == (S_IFDIR | 0750) && a.nlink == 2);
    cr_assert_eq(a.mtime, (int64_t)dir * 1000003);
    a = attr_of(&d, "draft");
    cr_assert(a.mode == (S_IFDIR | 01777) && a.nlink == 3 && a.uid == 7);
    cr_assert_eq(vfs_readlink(d.store.p, node_of(&d.store, "draft/soft"), target, sizeof target),
                 0);
    cr_assert_str_eq(target, "dir/file");
    has_text_at(&d, "draft/empty", "");
}

Test(load, contents_of_any_length_have_their_bytes)
{
    static const size_t lengths[] = {1,          4095,          4096,      131071,
                                     131072,     131073,        1 << 20,   (1 << 20) + 1,
                                     LARGE,      (3 << 20) + 5, 128 * 1024 * 7};
    char path[64];
    uint64_t root = add_inode(&d, S_IFDIR | 0755);

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        snprintf(path, sizeof path, "f%zu", i);
        add_file(&d, root, path, bytes + i, lengths[i]);
    }
    end();
    draft_is_sound(&d);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        snprintf(path, sizeof path, "draft/f%zu", i);
        has_bytes_at(&d, path, bytes + i, lengths[i]);
        cr_assert_eq(attr_of(&d, path).blocks, (lengths[i] + 511) / 512, "%s", path);
    }
}

Test(load, what_is_behind_the_last_piece_is_zeros_that_are_not_stored)
{
    uint64_t root = add_inode(&d, S_IFDIR | 0755);
    struct image_record r = {
        .type = IMAGE_CONTENT, .number = ++d.contents, .length = 5 << 20, .data = bytes, .len = 10};

    draft_take(&d, &r);
    add_entry(&d, root, "tail", add_regular(&d, 1, 5 << 20));
    add_entry(&d, root, "hole", add_regular(&d, 0, 7 << 20));
    end();
    draft_is_sound(&d);
    cr_assert_eq(attr_of(&d, "draft/tail").size, 5 << 20);
    cr_assert_eq(attr_of(&d, "draft/tail").blocks, 1);
    cr_assert_eq(attr_of(&d, "draft/hole").size, 7 << 20);
    cr_assert_eq(attr_of(&d, "draft/hole").blocks, 0);
    memset(bytes + 10, 0, sizeof bytes - 10);
    has_bytes_at(&d, "draft/tail", bytes, 5 << 20);
}

/* A sparse content with pieces of these places, which ends at `length`. */
static uint64_t add_sparse(uint64_t length, const uint64_t (*pieces)[2], size_t count)
{
    struct image_record r = {
        .type = IMAGE_CONTENT, .number = ++d.contents, .length = length, .sparse = true};

    for (size_t i = 0; i < count; i++) {
        r.offset = pieces[i][0];
        r.len = (size_t)pieces[i][1];
        r.data = bytes + pieces[i][0];
        draft_take(&d, &r);
    }
    return r.number;
}

Test(load, a_sparse_content_has_its_bytes_its_holes_and_its_size)
{
    static const uint64_t pieces[][2] = {{8192, 4096},     {12288, 100},        {200000, 60000},
                                         {393216, 131072}, {1 << 20, 1 << 20},  {3000000, 1}};
    static uint8_t want[sizeof bytes];
    static const uint64_t length = 3500000;
    uint64_t root = add_inode(&d, S_IFDIR | 0755), content = add_sparse(length, pieces, 6);
    struct vfs_attr a;
    char reply[4096];

    add_entry(&d, root, "one", add_regular(&d, content, length));
    add_entry(&d, root, "two", add_regular(&d, content, length));
    add_sparse(length, pieces, 3); /* nothing names it */
    end();
    draft_is_sound(&d);
    for (size_t i = 0; i < 6; i++)
        memcpy(want + pieces[i][0], bytes + pieces[i][0], pieces[i][1]);
    has_bytes_at(&d, "draft/one", want, length);
    has_bytes_at(&d, "draft/two", want, length);
    a = attr_of(&d, "draft/one");
    /* pages with data: 2 to 3 (8192 … 12388), 48 to 63, … */
    cr_assert_lt(a.blocks * 512, 4096 + 100 + 15 * 4096 + 131072 + (1 << 20) + 8 * 4096);
    cr_assert_gt(a.blocks * 512, 4096 + 100 + 60000 + 131072 + (1 << 20));
    cr_assert_eq(attr_of(&d, "draft/two").blocks, a.blocks);
    cr_assert_gt(say(&d.store, "drop draft\n", reply), 0, "%s", reply);
    draft_is_sound(&d);
}

Test(load, attributes_are_there_with_long_values_and_acls)
{
    /* owner rwx, user 5 r, group r-x, mask r-x, others --- */
    static const uint8_t acl[] = {2,    0,    0,    0,    1,    0,    7,    0,    0xff, 0xff, 0xff,
                                  0xff, 2,    0,    4,    0,    5,    0,    0,    0,    4,    0,
                                  5,    0,    0xff, 0xff, 0xff, 0xff, 0x10, 0,    5,    0,    0xff,
                                  0xff, 0xff, 0xff, 0x20, 0,    0,    0,    0xff, 0xff, 0xff, 0xff};
    static const uint8_t plain[] = {2,    0,    0,    0,    1,    0,    6,    0,    0xff, 0xff,
                                    0xff, 0xff, 4,    0,    4,    0,    0xff, 0xff, 0xff, 0xff,
                                    0x20, 0,    0,    0,    0xff, 0xff, 0xff, 0xff};
    static uint8_t got[XATTR_VALUE_MAX];
    uint64_t root = add_inode(&d, S_IFDIR | 0755), dir = add_directory(&d, root, "dir");
    uint64_t file = add_text(&d, dir, "file", "x");
    uint64_t node;

    cr_assert_eq(try_xattr(&d, file, "user.empty", NULL, 0), 0);
    cr_assert_eq(try_xattr(&d, file, "user.long", bytes, XATTR_VALUE_MAX), 0);
    cr_assert_eq(try_xattr(&d, file, "user.again", "1", 1), 0);
    cr_assert_eq(try_xattr(&d, file, "user.again", "2", 1), 0);
    cr_assert_eq(try_xattr(&d, file, "security.any", "s", 1), 0);
    cr_assert_eq(try_xattr(&d, dir, ACL_ACCESS, acl, sizeof acl), 0);
    cr_assert_eq(try_xattr(&d, dir, ACL_DEFAULT, acl, sizeof acl), 0);
    cr_assert_eq(try_xattr(&d, file, ACL_ACCESS, plain, sizeof plain), 0);
    end();
    draft_is_sound(&d);
    node = node_of(&d.store, "draft/dir/file");
    cr_assert_eq(vfs_getxattr(d.store.p, node, "user.empty", got, sizeof got), 0);
    cr_assert_eq(vfs_getxattr(d.store.p, node, "user.again", got, sizeof got), 1);
    cr_assert_eq(got[0], '2');
    cr_assert_eq(vfs_getxattr(d.store.p, node, "security.any", got, sizeof got), 1);
    cr_assert_eq(vfs_getxattr(d.store.p, node, "user.long", got, sizeof got), XATTR_VALUE_MAX);
    cr_assert_arr_eq(got, bytes, XATTR_VALUE_MAX);
    cr_assert_eq(vfs_getxattr(d.store.p, node, ACL_ACCESS, got, sizeof got), -ENODATA);
    cr_assert_eq(attr_of(&d, "draft/dir/file").mode, S_IFREG | 0640);
    node = node_of(&d.store, "draft/dir");
    cr_assert_eq(vfs_getxattr(d.store.p, node, ACL_ACCESS, got, sizeof got), sizeof acl);
    cr_assert_eq(vfs_getxattr(d.store.p, node, ACL_DEFAULT, got, sizeof got), sizeof acl);
    cr_assert_eq(attr_of(&d, "draft/dir").mode, S_IFDIR | 0750);
}

Test(load, many_inodes_and_names_are_all_there)
{
    enum { DIRS = 300, FILES = 20000 };
    static uint64_t dirs[DIRS];
    char name[64];
    uint64_t root = add_inode(&d, S_IFDIR | 0755);

    for (size_t i = 0; i < DIRS; i++) {
        snprintf(name, sizeof name, "d%zu", i);
        dirs[i] = add_directory(&d, i % 3 && i ? dirs[i - 1] : root, name);
    }
    for (size_t i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%zu", i);
        if (i % 5)
            add_text(&d, dirs[i * 7 % DIRS], name, name);
        else /* a hard link to an inode that the cache has lost */
            add_entry(&d, dirs[i % DIRS], name, i ? DIRS + 1 + i / 5 : add_inode(&d, S_IFREG));
    }
    end();
    draft_is_sound(&d);
    cr_assert_eq(attr_of(&d, "draft").nlink, 2 + DIRS / 3);
    has_text_at(&d, "draft/d294/f42", "f42");
    has_text_at(&d, "draft/d0/f300", "f73");
}

/* ---- nothing is stored twice ---- */

Test(load, equal_contents_are_one_object_within_the_stream_and_with_the_store)
{
    struct load_result r;
    uint64_t root = add_inode(&d, S_IFDIR | 0755);

    put_file(&d.store, "main/here", "these bytes are here already");
    cr_assert_eq(flush_now(d.store.p), 0);
    add_text(&d, root, "a", "these bytes are here already");
    add_file(&d, root, "b", bytes, LARGE);
    add_file(&d, root, "c", bytes, LARGE);
    add_file(&d, root, "d", bytes, 1000);
    add_file(&d, root, "e", bytes, 1000);
    cr_assert_eq(try_end(&d), 0);
    load_get_result(d.load, &r);
    cr_assert_eq(r.inodes, 5);
    cr_assert_eq(r.files, 5);
    cr_assert_eq(r.bytes, 28 + 2 * (LARGE + 1000));
    cr_assert_eq(r.stored, LARGE + 1000);
    draft_end(&d);
    draft_is_sound(&d);
    has_bytes_at(&d, "draft/c", bytes, LARGE);
}

Test(load, what_others_write_meanwhile_is_stored_and_shared_after_the_commit)
{
    struct refs_stats s;
    uint64_t root = add_inode(&d, S_IFDIR | 0755);

    add_text(&d, root, "a", "bytes of a draft");
    put_file(&d.store, "main/same", "bytes of a draft");
    (void)seal_settle(d.store.p);
    cr_assert_eq(seal_waiting(d.store.p), 1, "it waits, since a frame would name what no log has");
    end();
    cr_assert_eq(flush_now(d.store.p), 0);
    cr_assert_eq(flush_now(d.store.p), 0);
    cr_assert_eq(seal_waiting(d.store.p), 0);
    refs_get_stats(d.store.p->refs, &s);
    cr_assert_eq(s.objects, 1);
    has_text_at(&d, "main/same", "bytes of a draft");
    draft_is_sound(&d);
}

/* ---- names that come twice, and that go ---- */

Test(load, of_two_entries_with_one_name_the_last_one_stays)
{
    uint64_t root = add_inode(&d, S_IFDIR | 0755), first = add_text(&d, root, "name", "first");

    add_entry(&d, root, "other", first);
    add_text(&d, root, "name", "second");
    add_text(&d, root, "name", "third");
    add_entry(&d, root, "name", d.inodes); /* once more the same */
    end();
    draft_is_sound(&d);
    has_text_at(&d, "draft/name", "third");
    has_text_at(&d, "draft/other", "first");
    cr_assert_eq(attr_of(&d, "draft/name").nlink, 1);
    cr_assert_eq(attr_of(&d, "draft/other").nlink, 1);
}

Test(load, a_removed_name_goes_with_all_that_is_below_it)
{
    char name[16];
    uint64_t root = add_inode(&d, S_IFDIR | 0755), dir = add_directory(&d, root, "dir"), at = dir;
    uint64_t kept = add_text(&d, root, "kept", "kept");

    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 7; k++) {
            snprintf(name, sizeof name, "f%d", k);
            add_text(&d, at, name, name);
        }
        add_entry(&d, at, "link", kept);
        at = add_directory(&d, at, "deeper");
    }
    add_remove(&d, root, "dir");
    add_remove(&d, root, "nothing has this name");
    add_text(&d, root, "dir", "a file now");
    end();
    draft_is_sound(&d);
    has_text_at(&d, "draft/dir", "a file now");
    cr_assert_eq(attr_of(&d, "draft/kept").nlink, 1);
    cr_assert_eq(attr_of(&d, "draft").nlink, 2);
}

/* ---- streams that do not fit together ---- */

static void refused_with(int err, int want, const char *part)
{
    cr_assert_eq(err, want, "%d: %s", err, d.why.s);
    cr_assert(strstr(d.why.s, part), "'%s', without '%s'", d.why.s, part);
}

Test(load, a_root_that_is_no_directory_is_refused)
{
    struct image_record r = inode_record(&d, S_IFREG | 0644);

    refused_with(draft_try(&d, &r), -EINVAL, "no directory");
}

Test(load, an_entry_in_a_file_is_refused)
{
    uint64_t root = add_inode(&d, S_IFDIR | 0755), file = add_text(&d, root, "f", "x");

    refused_with(try_entry(&d, file, "g", file), -EINVAL, "no directory");
}

Test(load, a_cycle_of_directories_is_refused)
{
    uint64_t a, b;

    add_inode(&d, S_IFDIR | 0755);
    a = add_inode(&d, S_IFDIR | 0755);
    b = add_inode(&d, S_IFDIR | 0755);
    refused_with(try_entry(&d, a, "b", b), -EINVAL, "no directory with a name");
}

Test(load, a_directory_with_two_names_is_refused)
{
    uint64_t root = add_inode(&d, S_IFDIR | 0755), dir = add_directory(&d, root, "a");

    refused_with(try_entry(&d, root, "b", dir), -EINVAL, "two names");
}

Test(load, a_directory_and_a_file_with_one_name_are_refused)
{
    uint64_t root = add_inode(&d, S_IFDIR | 0755);

    add_directory(&d, root, "a");
    refused_with(try_entry(&d, root, "a", add_inode(&d, S_IFREG)), -EEXIST, "one name");
}

Test(load, an_inode_without_a_name_is_refused_at_the_end)
{
    add_inode(&d, S_IFDIR | 0755);
    add_inode(&d, S_IFREG | 0755);
    refused_with(try_end(&d), -EINVAL, "no name");
}

Test(load, a_content_that_is_not_of_the_size_or_too_long_ago_is_refused)
{
    struct image_record r;
    uint64_t content;

    add_inode(&d, S_IFDIR | 0755);
    content = add_content(&d, "12345", 5);
    r = inode_record(&d, S_IFREG);
    r.content = content;
    r.size = 6;
    refused_with(draft_try(&d, &r), -EINVAL, "not of its size");
    for (int i = 0; i < LOAD_KEPT; i++)
        add_content(&d, "12345", 5);
    strbuf_release(&d.why);
    r = inode_record(&d, S_IFREG);
    r.content = content;
    r.size = 5;
    refused_with(draft_try(&d, &r), -EINVAL, "not among the last");
}

Test(load, an_inode_that_comes_twice_is_a_directory)
{
    struct image_record again = {.type = IMAGE_INODE, .number = 2, .mode = S_IFDIR | 0700};
    uint64_t root = add_inode(&d, S_IFDIR | 0755);

    add_directory(&d, root, "dir");
    draft_take(&d, &again);
    add_text(&d, root, "f", "x");
    again.number = 3;
    refused_with(draft_try(&d, &again), -EINVAL, "comes twice");
}

Test(load, an_inode_that_was_removed_is_not_used_again)
{
    uint64_t root = add_inode(&d, S_IFDIR | 0755), dir = add_directory(&d, root, "dir");
    uint64_t file = add_text(&d, dir, "f", "x");

    add_remove(&d, root, "dir");
    refused_with(try_entry(&d, root, "g", file), -EINVAL, "after it was removed");
    strbuf_release(&d.why);
    refused_with(try_entry(&d, dir, "g", file), -EINVAL, "after it was removed");
}

Test(load, a_sparse_content_of_an_inode_that_was_removed_is_not_used_again)
{
    struct image_record c = {.type = IMAGE_CONTENT,
                             .number = 1,
                             .length = 1000000,
                             .offset = 500000,
                             .sparse = true,
                             .data = "data",
                             .len = 4};
    struct image_record r;

    d.contents = 1;
    add_inode(&d, S_IFDIR | 0755);
    draft_take(&d, &c);
    add_entry(&d, 1, "f", add_regular(&d, 1, 1000000));
    add_remove(&d, 1, "f");
    r = inode_record(&d, S_IFREG | 0644);
    r.content = 1;
    r.size = 1000000;
    cr_assert_eq(draft_try(&d, &r), -EINVAL);
    cr_assert(strstr(d.why.s, "inode 2 of the stream is used after it was removed"), "%s", d.why.s);
}

Test(load, attributes_that_no_store_has_are_refused)
{
    static const char *const bad[] = {
        "user.", "user.tally.object", "system.other", "x", "trusted", "system.posix_acl_accessx"};
    uint64_t root = add_inode(&d, S_IFDIR | 0755), file = add_text(&d, root, "f", "x");

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused_with(try_xattr(&d, file, bad[i], "v", 1), -EINVAL, bad[i]);
    refused_with(try_xattr(&d, file, ACL_ACCESS, "\1\0\0\0", 4), -EINVAL, ACL_ACCESS);
    refused_with(try_xattr(&d, file, ACL_DEFAULT, "\2\0\0\0", 4), -EINVAL, ACL_DEFAULT);
}

Test(load, what_was_loaded_of_a_stream_that_is_given_up_goes_with_its_draft)
{
    static const uint64_t pieces[][2] = {{8192, 4096}, {400000, 10}};
    uint64_t before[2], after[2], root;
    char reply[4096];

    cr_assert_eq(flush_drain(d.store.p, true, -1, NULL), 0);
    disk_use(&d.store, &before[0], &before[1]);
    root = add_inode(&d, S_IFDIR | 0755);
    for (int i = 0; i < 300; i++) {
        char name[16];

        snprintf(name, sizeof name, "f%d", i);
        add_file(&d, root, name, bytes + i, i % 100 ? 5000 : LARGE);
    }
    add_sparse(500000, pieces, 2);
    add_content(&d, bytes, 77777);
    draft_take(&d, &(struct image_record){.type = IMAGE_CONTENT,
                                          .number = ++d.contents,
                                          .length = 3 << 20,
                                          .data = bytes + 500,
                                          .len = 1 << 20});
    cr_assert_eq(flush_now(d.store.p), 0);
    draft_end(&d);
    cr_assert_gt(say(&d.store, "drop draft\n", reply), 0, "%s", reply);
    cr_assert_eq(flush_drain(d.store.p, true, -1, NULL), 0);
    disk_use(&d.store, &after[0], &after[1]);
    cr_assert_leq(after[0], before[0] + 64, "%lu bytes are left", after[0] - before[0]);
    cr_assert_leq(after[1], before[1] + 1);
    draft_is_sound(&d);
}

Test(load, who_is_not_root_gets_neither_other_owners_nor_devices_nor_attributes_of_root)
{
    static const struct vfs_cred user = {.uid = 7, .gid = 8};
    struct image_record r;
    uint64_t root;

    load_close(d.load);
    cr_assert_eq(load_open(d.store.p, d.ns, &user, &d.load), 0);
    root = add_inode(&d, S_IFDIR | 0755);
    add_text(&d, root, "own", "x");
    refused_with(try_xattr(&d, d.inodes, "security.capability", "v", 1), -EPERM, "only root");
    refused_with(try_xattr(&d, d.inodes, "trusted.x", "v", 1), -EPERM, "only root");
    r = inode_record(&d, S_IFREG | 04755);
    r.uid = 0;
    refused_with(draft_try(&d, &r), -EPERM, "somebody else's");
    r = inode_record(&d, S_IFREG | 02755);
    r.gid = 0;
    refused_with(draft_try(&d, &r), -EPERM, "somebody else's");
    r = inode_record(&d, S_IFBLK | 0666);
    refused_with(draft_try(&d, &r), -EPERM, "a device");
}
