// SPDX-License-Identifier: Apache-2.0
/* A store of version 3, whose hash of names an attacker knows: names that collide are told apart;
 * and what check and repair say of their counters. */
#include "collide.h"
#include "old_store.h"
#include "repair_fixture.h"

#define VICTIM "a victim's name."
#define MADE 300

static struct fixture x;
static struct findings f;
static char name[COLLIDING_MAX][COLLIDING_LEN + 1];
static unsigned count;

static uint64_t hash_of(const char *text)
{
    return name_hash(&x.p->name_key, text, strlen(text), 0);
}

static int make(const char *text)
{
    struct vfs_attr a;
    int err = vfs_mknod(x.p, node_of(&x, "main"), text, S_IFREG | 0644, 0, &fixture_cred, &a);

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

static bool is_there(const char *text)
{
    struct vfs_attr a;
    int err = vfs_lookup(x.p, node_of(&x, "main"), text, &a);

    cr_assert(err == 0 || err == -ENOENT);
    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err == 0;
}

static void setup_names(void)
{
    old_setup(&x);
    count = 0;
    for (unsigned low = 0; low < COLLIDING_MAX; low++)
        count += colliding_name(get_le64(x.p->id_key.secret), hash_of(VICTIM), low, name[count]);
    cr_assert_gt(count, MADE);
    for (unsigned i = 0; i < MADE; i++) {
        cr_assert_eq(hash_of(name[i]), hash_of(VICTIM));
        cr_assert_eq(make(name[i]), 0, "name %u", i);
    }
}

static void teardown_names(void)
{
    fixture_teardown(&x);
}

TestSuite(names_old, .init = setup_names, .fini = teardown_names);

static struct key counter(void)
{
    return key_make(NS_ROOT_INO, ITEM_DIRENT, hash_of(VICTIM) + NAME_COUNTER);
}

static void put_counter(uint64_t n)
{
    uint8_t buf[COUNTER_ITEM_LEN];

    counter_encode(n, buf);
    cr_assert_eq(tree_put(&planted(&x)->tree, counter(), buf, sizeof buf), 0);
}

static void reopened(void)
{
    fixture_open(&x);
    for (unsigned i = 0; i < MADE; i++)
        cr_assert(is_there(name[i]));
}

Test(names_old, the_128th_name_of_a_hash_can_be_made)
{
    cr_assert_not(is_there(VICTIM));
    cr_assert_eq(make(VICTIM), 0);
    cr_assert(is_there(VICTIM));
    cr_assert_eq(make(VICTIM), -EEXIST);
    fixture_reopen(&x);
    cr_assert(is_there(VICTIM));
    for (unsigned i = 0; i < MADE; i++)
        cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), name[i]), 0);
    cr_assert(is_there(VICTIM));
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), VICTIM), 0);
    cr_assert_eq(vfs_rmdir(x.p, VFS_ROOT, "main"), 0);
}

Test(names_old, check_takes_them_for_sound_also_in_a_branch)
{
    branch(&x, "main", "twin");
    down_clean(&x);
    is_clean(&x, &f);
    reopened();
}

static void mended_counter(const char *found, const char *repaired)
{
    static struct said s;

    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert_str_eq(s.found, found);
    cr_assert_str_eq(s.repaired, repaired);
    is_clean(&x, &f);
    reopened();
}

Test(names_old, a_counter_that_is_missing_is_put_back)
{
    cr_assert_eq(tree_del(&planted(&x)->tree, counter()), 0);
    mended_counter(
        "directory|main|173 names stand where a lookup does not find them, for their counter "
        "is missing\n",
        "directory|main|the counter says 173\n");
}

Test(names_old, a_counter_that_says_too_much_or_too_little_is_put_right)
{
    put_counter(4711);
    mended_counter(
        "directory|main|a counter says that 4711 names have no place at their hash, but 173 "
        "have none\n",
        "directory|main|the counter says 173\n");
    put_counter(1);
    mended_counter(
        "directory|main|a counter says that 1 names have no place at their hash, but 173 have "
        "none\n",
        "directory|main|the counter says 173\n");
}

Test(names_old, a_counter_of_nothing_goes)
{
    struct key k = counter();
    uint8_t buf[COUNTER_ITEM_LEN];

    k.lo += 3 * NAME_PLACES;
    counter_encode(2, buf);
    cr_assert_eq(tree_put(&planted(&x)->tree, k, buf, sizeof buf), 0);
    mended_counter(
        "directory|main|a counter says that 2 names have no place at their hash, but 0 have "
        "none\n",
        "directory|main|the counter says 0\n");
}

/* One that stands below, too, hides it. */
Test(names_old, the_same_name_on_two_levels_is_found_and_one_goes_to_lost_found)
{
    static struct said s;
    struct key k = counter();
    uint8_t buf[DIRENT_ITEM_MAX];
    uint64_t ino = ino_of(&x, "main") ? NS_ROOT_INO : 0;
    size_t len;

    put_file(&x, "main/other", "text");
    ino = ino_of(&x, "main/other");
    k.lo = name_hash(&x.p->name_key, name[0], COLLIDING_LEN, 1);
    len = dirent_encode(ino, DT_REG, name[0], COLLIDING_LEN, buf);
    cr_assert_eq(tree_put(&planted(&x)->tree, k, buf, len), 0);
    put_counter(174);
    adjust_dir(&x, "main", 1, 0);
    struct inode in = inode_of(&x, "main/other");
    in.nlink = 2;
    put_inode(&x, ino, &in);
    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert(strstr(s.found, "|the directory has the same name twice\n"), "%s", s.found);
    is_clean(&x, &f);
    reopened();
}

/* A name that stands at none of its hashes goes to where it is found, and is counted there. */
Test(names_old, a_name_at_no_hash_of_its_own_is_put_where_a_lookup_finds_it)
{
    static struct said s;
    struct key k = counter();
    uint8_t buf[DIRENT_ITEM_MAX];

    put_file(&x, "main/" VICTIM, "text");
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), name[299]), 0);
    struct key right = entry_key(&x, "main/" VICTIM);
    uint64_t ino = ino_of(&x, "main/" VICTIM);
    cr_assert_neq(name_bucket(right.lo), hash_of(VICTIM), "it is on level 1");
    cr_assert_eq(name_del(x.p, &planted(&x)->tree, right, VICTIM), 0);
    k.lo = hash_of("elsewhere");
    cr_assert_eq(tree_put(&planted(&x)->tree, k, buf,
                          dirent_encode(ino, DT_REG, VICTIM, strlen(VICTIM), buf)),
                 0);
    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert_str_eq(s.found, "entry|main/" VICTIM "|it stands where a lookup does not find it\n");
    is_clean(&x, &f);
    fixture_open(&x);
    read_file(&x, "main/" VICTIM, "text");
}
