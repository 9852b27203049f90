// SPDX-License-Identifier: Apache-2.0
/* Claims of move_select and of the days of opens: which objects are meant, each once. */
#include "move_fixture.h"

static struct world w;

static void up(void)
{
    world_up(&w);
}
static void down_all(void)
{
    world_down(&w);
}

TestSuite(move_select, .init = up, .fini = down_all);

/* "move WORDS dry": how many objects it would be; the sum of their bytes. */
static uint64_t bytes;

static int count(uint64_t number, void *ctx)
{
    struct entry e;

    cr_assert_eq(refs_entry(w.x.p->refs, number, false, NULL, &e), 0);
    cr_assert_neq(e.kind, ENTRY_ALIAS);
    bytes += e.size;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned selected(struct move_selection s)
{
    char why[256];
    unsigned n = 0;

    bytes = 0;
    cr_assert_eq(move_select(w.x.p, &s, count, &n, why), 0, "%s", why);
    return n;
}

static unsigned of_word(const char *word)
{
    return selected((struct move_selection){.words = &word, .count = 1, .idle = -1, .on = -1});
}

static void write_at(const char *path, uint64_t off)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "changed", 7, off), 7);
    vfs_release(f);
}

Test(move_select, a_file_a_directory_a_namespace_an_id)
{
    struct entry e;
    char hex[ID_HEX + 1];

    make_dir(&w, "main/a");
    make_dir(&w, "main/a/b");
    put_bytes(&w, "main/a/one", 1000, 1);
    put_bytes(&w, "main/a/b/two", 2000, 2);
    put_bytes(&w, "main/three", LARGE, 3);
    settle(&w);
    cr_assert_eq(of_word("main/a/one"), 1);
    cr_assert_eq(bytes, 1000);
    cr_assert_eq(of_word("main/a"), 2);
    cr_assert_eq(bytes, 3000);
    cr_assert_eq(of_word("main/a/b/"), 1);
    cr_assert_eq(of_word("main/"), 3);
    (void)place_of(&w, "main/three", &e);
    id_to_hex(&e.id, hex);
    cr_assert_eq(of_word(hex), 1);
    cr_assert_eq(bytes, LARGE);
}

Test(move_select, each_once_whatever_names_it)
{
    const char *words[] = {"main/", "main/a", "dev/", "main/same"};

    put_bytes(&w, "main/a", 1000, 1);
    put_bytes(&w, "main/same", 1000, 1);
    settle(&w);
    agreed(&w.x, "branch main dev", "ok");
    cr_assert_eq(
        selected((struct move_selection){.words = words, .count = 4, .idle = -1, .on = -1}), 1);
}

Test(move_select, a_file_in_pieces_and_a_long_attribute_are_all_of_it)
{
    static uint8_t value[XATTR_VALUE_MAX];

    put_bytes(&w, "main/a", 1000000, 1);
    settle(&w);
    write_at("main/a", 200000);
    write_at("main/a", 600000);
    memset(value, 'x', sizeof value);
    cr_assert_eq(vfs_setxattr(w.x.p, node_of(&w.x, "main/a"), "user.long", value, sizeof value, 0),
                 0);
    settle(&w);
    cr_assert_eq(of_word("main/a"), 4);
    agreed(&w.x, "move main/a 1 wait", "objects=4 ");
    cr_assert_eq(vfs_getxattr(w.x.p, node_of(&w.x, "main/a"), "user.long", value, sizeof value),
                 (ssize_t)sizeof value);
}

Test(move_select, what_was_just_written_is_sealed_first)
{
    put_bytes(&w, "main/a", 1000, 1);
    cr_assert_eq(of_word("main/a"), 1);
    put_bytes(&w, "main/b", LARGE, 2);
    cr_assert_eq(selected((struct move_selection){.idle = -1, .larger = 100000, .on = -1}), 1);
}

Test(move_select, a_symlink_is_not_followed)
{
    struct vfs_attr a;

    put_bytes(&w, "main/a", 1000, 1);
    cr_assert_eq(vfs_symlink(w.x.p, node_of(&w.x, "main"), "link", "a", &fixture_cred, &a), 0);
    vfs_forget(w.x.p, a.nodeid, 1);
    cr_assert_eq(of_word("main/link"), 0);
}

Test(move_select, by_size)
{
    put_bytes(&w, "main/a", 1000, 1);
    put_bytes(&w, "main/b", 1001, 2);
    put_bytes(&w, "main/c", LARGE, 3);
    settle(&w);
    cr_assert_eq(selected((struct move_selection){.idle = -1, .larger = 1000, .on = -1}), 2);
    cr_assert_eq(selected((struct move_selection){.idle = -1, .larger = LARGE, .on = -1}), 0);
    agreed(&w.x, "move main/c 1 wait", "objects=1 ");
    cr_assert_eq(selected((struct move_selection){.idle = -1, .on = 1}), 1);
    cr_assert_eq(selected((struct move_selection){.idle = -1, .on = 0, .larger = 1}), 2);
    cr_assert_eq(selected((struct move_selection){.idle = -1, .on = 2}), 0);
}

static unsigned idle_for(int64_t days)
{
    return selected((struct move_selection){.idle = days * DAYS, .on = -1});
}

Test(move_select, by_the_day_of_the_last_open)
{
    put_bytes(&w, "main/a", 1000, 1);
    put_bytes(&w, "main/b", 1000, 2);
    put_bytes(&w, "main/c", 1000000, 3);
    settle(&w);
    write_at("main/c", 500000);
    settle(&w);
    cr_assert_eq(idle_for(30), 0);
    clock_manual_advance(&w.x.clock, 20 * DAYS);
    has_bytes(&w, "main/b", 1000, 2);
    cr_assert_eq(flush_now(w.x.p), 0);
    clock_manual_advance(&w.x.clock, 15 * DAYS);
    cr_assert_eq(idle_for(30), 3); /* a; c, of which there are two */
    cr_assert_eq(idle_for(10), 4);
    world_dies(&w); /* the day is the store's */
    cr_assert_eq(idle_for(30), 3);
    struct vfs_file *f;
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/c"), 0, &f), 0);
    vfs_release(f);
    cr_assert_eq(idle_for(30), 1);
    agreed(&w.x, "move idle=30d 1 wait", "objects=1 ");
    cr_assert_eq(shard_of(&w, "main/a"), 1);
    cr_assert_eq(shard_of(&w, "main/b"), 0);
    clock_manual_advance(&w.x.clock, 40 * DAYS);
    has_bytes(&w, "main/a", 1000, 1); /* of ghosts, too */
    agreed(&w.x, "move idle=30d larger=1K 2 wait", "objects=2 ");
}

Test(move_select, an_open_counts_for_all_objects_of_a_file_in_very_many_pieces)
{
    const uint32_t pieces = 2500; /* more than a walk visits at once */
    struct vfs_file *f;

    put_bytes(&w, "main/a", 1000, 1);
    put_bytes(&w, "main/c", 1000, 2);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/c"), VFS_WRITE, &f), 0);
    for (uint32_t i = 1; i <= pieces; i++)
        cr_assert_eq(vfs_write(f, &i, sizeof i, i * (UINT64_C(2) * EXTENT_BLOCK)), sizeof i);
    vfs_release(f);
    settle(&w);
    clock_manual_advance(&w.x.clock, 35 * DAYS);
    cr_assert_eq(idle_for(30), pieces + 2);
    has_bytes(&w, "main/a", 1000, 1);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/c"), 0, &f), 0);
    vfs_release(f);
    cr_assert_eq(flush_now(w.x.p), 0);
    cr_assert_eq(idle_for(30), 0);
}

Test(move_select, words_that_are_none)
{
    refused(&w.x, "move main/none 1", -ENOENT, "there is no main/none");
    refused(&w.x, "move nowhere/ 1", -ENOENT, "there is no nowhere/");
    refused(&w.x, "move xyz 1", -EINVAL, "xyz is neither an id");
    refused(&w.x, "move main/../x 1", -EINVAL, "is not a path");
    refused(&w.x, "recall 00112233445566778899aabbccddeeff", -ENOENT, "there is no object");
}
