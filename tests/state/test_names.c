// SPDX-License-Identifier: Apache-2.0
/* What vfs_impl.h promises of items under names: any number of names of one hash, told apart by
 * their bytes. Hashes are forced here to be equal on the lower levels. */
#include "fault.h"
#include "fixture.h"
#include "ns_branch.h"
#include "vfs_impl.h"
#include <linux/fs.h>

#define MANY 1000

static struct fixture x;

/* One hash for all on level 0. */
static uint64_t one_hash(uint64_t hash, unsigned level)
{
    return level == 0 ? UINT64_C(77) << 40 : hash;
}

/* Two on each of the levels 0 … 3, one of them the same on all of these. */
static uint64_t few_hashes(uint64_t hash, unsigned level)
{
    return level > 3 ? hash : hash >> 63 ? UINT64_C(5) << 50 : (uint64_t)(level + 1) << 40;
}

/* Three in all. */
static uint64_t three_hashes(uint64_t hash, unsigned level)
{
    (void)hash;
    return (uint64_t)(level % 3) << 40;
}

static void begin(uint64_t (*fold)(uint64_t hash, unsigned level))
{
    fixture_setup(&x);
    x.p->name_key.fold = fold;
}

static void finish(void)
{
    fixture_teardown(&x);
}

static uint64_t top(void)
{
    return node_of(&x, "main");
}

static const char *name_of(unsigned i)
{
    static char name[4][32];
    static unsigned turn;
    char *at = name[turn++ % 4];

    snprintf(at, sizeof *name, "name %u", i);
    return at;
}

static int make(unsigned i)
{
    struct vfs_attr a;
    int err = vfs_mknod(x.p, top(), name_of(i), S_IFREG | 0644, 0, &fixture_cred, &a);

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

/* The inode of a name, 0 if there is none. */
static uint64_t find(unsigned i)
{
    struct vfs_attr a;
    int err = vfs_lookup(x.p, top(), name_of(i), &a);

    cr_assert(err == 0 || err == -ENOENT, "%d", err);
    if (err < 0)
        return 0;
    vfs_forget(x.p, a.nodeid, 1);
    return vfs_node_ino(a.nodeid);
}

static int rename_to(unsigned from, unsigned to, unsigned flags)
{
    return vfs_rename(x.p, top(), name_of(from), top(), name_of(to), flags, &fixture_cred);
}

struct seen {
    unsigned count;
    bool name[MANY];
};

static bool see(const struct vfs_dirent *d, void *ctx)
{
    struct seen *s = ctx;
    unsigned i;

    if (d->name[0] == '.')
        return true;
    cr_assert_eq(sscanf(d->name, "name %u", &i), 1);
    cr_assert_not(s->name[i], "%s twice", d->name);
    s->name[i] = true;
    s->count++;
    return true;
}

static struct seen list(void)
{
    struct seen s = {.count = 0};

    cr_assert_eq(vfs_readdir(x.p, top(), 0, false, see, &s), 0);
    return s;
}

/* Items of the type `type` that main has, also those that no listing shows. */
static unsigned items_of(uint64_t ino, enum item_type type)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct key first = key_make(ino, type, 0);
    unsigned n = 0;
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    for (int err = tree_seek(&ns->tree, first, &c); err == 0; err = tree_next(&c)) {
        if (tree_cursor_key(&c).hi != first.hi)
            break;
        n++;
    }
    tree_cursor_end(&c);
    ns_put(x.p, ns);
    return n;
}

static struct inode inode_at(uint64_t ino)
{
    struct inode in;
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, ino, &in), 0);
    ns_put(x.p, ns);
    return in;
}

static uint64_t entries(void)
{
    return inode_at(NS_ROOT_INO).size;
}

static void make_many(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        cr_assert_eq(make(i), 0, "name %u", i);
}

Test(names, any_number_of_one_hash_are_made_found_and_listed)
{
    begin(one_hash);
    make_many(MANY);
    for (unsigned i = 0; i < MANY; i++) {
        cr_assert(find(i));
        cr_assert_eq(make(i), -EEXIST);
    }
    cr_assert_not(find(MANY));
    cr_assert_eq(list().count, MANY);
    cr_assert_eq(entries(), MANY);
    cr_assert_eq(items_of(NS_ROOT_INO, ITEM_DIRENT), MANY + 1, "and one counter");
    finish();
}

Test(names, all_of_one_hash_can_be_removed_in_any_order_and_leave_nothing)
{
    for (unsigned step = 1; step < 1000; step += 498) { /* forwards, about, backwards */
        begin(one_hash);
        make_many(MANY);
        for (unsigned i = 0, at = step; i < MANY;
             i++, at = (at + (step == 997 ? 7 : step)) % MANY) {
            cr_assert_eq(vfs_unlink(x.p, top(), name_of(at)), 0, "name %u", at);
            cr_assert_not(find(at));
        }
        cr_assert_eq(list().count, 0);
        cr_assert_eq(entries(), 0);
        cr_assert_eq(items_of(NS_ROOT_INO, ITEM_DIRENT), 0);
        finish();
    }
}

/* One that cannot be read: the name has gone by then. */
Test(names, a_counter_does_not_keep_a_name_from_being_removed)
{
    static const uint8_t wrong[COUNTER_ITEM_LEN];
    struct ns *ns;

    begin(one_hash);
    make_many(NAMES_OF_HASH + 3);
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    {
        const struct tree_observer *observer = ns->tree.observer;
        uint64_t place = name_hash(&x.p->name_key, "any", 3, 0) + NAME_COUNTER;
        WRITE_GUARD(&ns->lock);
        ns->tree.observer = NULL;
        cr_assert_eq(tree_put(&ns->tree, key_make(NS_ROOT_INO, ITEM_DIRENT, place), wrong,
                              sizeof wrong),
                     0);
        ns->tree.observer = observer;
    }
    ns_put(x.p, ns);
    cr_assert_eq(vfs_unlink(x.p, top(), name_of(NAMES_OF_HASH + 1)), 0);
    cr_assert_eq(entries(), NAMES_OF_HASH + 2);
    finish();
}

Test(names, a_name_on_a_higher_level_is_found_when_all_below_have_gone)
{
    begin(one_hash);
    make_many(200);
    for (unsigned i = 0; i < NAMES_OF_HASH; i++)
        cr_assert_eq(vfs_unlink(x.p, top(), name_of(i)), 0);
    for (unsigned i = 0; i < 200; i++)
        cr_assert_eq(find(i) != 0, i >= NAMES_OF_HASH);
    cr_assert_eq(make(150), -EEXIST);
    cr_assert_eq(make(0), 0); /* below, where there is place */
    for (unsigned i = NAMES_OF_HASH; i < 200; i++)
        cr_assert_eq(vfs_unlink(x.p, top(), name_of(i)), 0);
    cr_assert(find(0));
    cr_assert_eq(items_of(NS_ROOT_INO, ITEM_DIRENT), 1);
    finish();
}

Test(names, stay_through_a_mount_a_crash_and_in_a_branch)
{
    uint64_t seq;
    uint32_t number;

    begin(one_hash);
    make_many(300);
    cr_assert_eq(ns_branch(x.p, "main", "twin", &seq, &number), 0);
    for (unsigned i = 0; i < 300; i += 2)
        cr_assert_eq(vfs_unlink(x.p, top(), name_of(i)), 0);
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    fixture_open(&x);
    x.p->name_key.fold = one_hash;
    for (unsigned i = 0; i < 300; i++) {
        struct vfs_attr a;
        cr_assert_eq(find(i) != 0, i % 2 == 1);
        cr_assert_eq(vfs_lookup(x.p, node_of(&x, "twin"), name_of(i), &a), 0);
        vfs_forget(x.p, a.nodeid, 1);
    }
    finish();
}

Test(names, attributes_of_one_hash_are_as_many_as_one_likes)
{
    static char names[XATTR_VALUE_MAX];
    char name[64], value[64], big[4000];

    begin(one_hash);
    put_file(&x, "main/file", "text");
    memset(big, 'b', sizeof big);
    for (unsigned i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "user.%u", i);
        cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/file"), name, i % 50 ? name : big,
                                  i % 50 ? strlen(name) : sizeof big, 0),
                     0);
    }
    ssize_t len = vfs_listxattr(x.p, node_of(&x, "main/file"), names, sizeof names, true);
    unsigned n = 0;
    for (ssize_t i = 0; i < len; i++)
        n += !names[i];
    cr_assert_eq(n, 400);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/file"), "user.399", "x", 1, VFS_XATTR_CREATE),
                 -EEXIST);
    for (unsigned i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "user.%u", i);
        ssize_t got = vfs_getxattr(x.p, node_of(&x, "main/file"), name, NULL, 0);
        cr_assert_eq(got, i % 50 ? (ssize_t)strlen(name) : (ssize_t)sizeof big);
        if (i % 50)
            cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/file"), name, value, sizeof value),
                         got);
        cr_assert_eq(vfs_removexattr(x.p, node_of(&x, "main/file"), name), 0);
        cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/file"), name, NULL, 0), -ENODATA);
    }
    uint64_t ino = vfs_node_ino(node_of(&x, "main/file"));
    cr_assert_eq(items_of(ino, ITEM_XATTR), 0);
    cr_assert_eq(inode_at(ino).flags & INODE_XATTRS, 0);
    finish();
}

Test(names, a_directory_with_many_of_one_hash_goes_as_any_other)
{
    begin(one_hash);
    make_many(300);
    for (unsigned i = 0; i < 300; i++)
        cr_assert_eq(vfs_unlink(x.p, top(), name_of(i)), 0);
    cr_assert_eq(vfs_rmdir(x.p, VFS_ROOT, "main"), 0);
    finish();
}

Test(names, where_the_hashes_of_all_levels_are_taken_there_is_no_place_until_one_goes)
{
    unsigned n = 3 * NAMES_OF_HASH;

    begin(three_hashes);
    make_many(n);
    cr_assert_eq(make(n), -ENOSPC);
    cr_assert_eq(rename_to(0, n, 0), -ENOSPC);
    cr_assert_eq(entries(), n);
    cr_assert_eq(vfs_unlink(x.p, top(), name_of(200)), 0);
    cr_assert_eq(make(n), 0);
    for (unsigned i = 0; i <= n; i++)
        cr_assert_eq(find(i) != 0, i != 200);
    finish();
}

/* ---- against a model: which inode each name leads to ---- */

static uint64_t model[MANY];

static void step(uint64_t *state)
{
    unsigned a = (unsigned)(fault_random(state) % MANY), b = (unsigned)(fault_random(state) % MANY);
    uint64_t was;
    struct vfs_attr attr;

    switch (fault_random(state) % 8) {
    case 0:
    case 1:
    case 2:
        cr_assert_eq(make(a), model[a] ? -EEXIST : 0);
        model[a] = model[a] ? model[a] : find(a);
        break;
    case 3:
        cr_assert_eq(vfs_unlink(x.p, top(), name_of(a)), model[a] ? 0 : -ENOENT);
        model[a] = 0;
        break;
    case 4:
        cr_assert_eq(rename_to(a, b, 0), model[a] ? 0 : -ENOENT);
        if (model[a] && model[a] != model[b]) {
            model[b] = model[a];
            model[a] = 0;
        }
        break;
    case 5:
        cr_assert_eq(rename_to(a, b, RENAME_EXCHANGE), model[a] && model[b] ? 0 : -ENOENT);
        if (model[a] && model[b]) {
            was = model[a];
            model[a] = model[b];
            model[b] = was;
        }
        break;
    case 6:
        if (model[a]) {
            cr_assert_eq(
                vfs_link(x.p, vfs_node(vfs_node_ns(top()), model[a]), top(), name_of(b), &attr),
                model[b] ? -EEXIST : 0);
            if (!model[b])
                vfs_forget(x.p, attr.nodeid, 1);
            model[b] = model[b] ? model[b] : model[a];
        }
        break;
    default:
        if (model[a] && model[a] != model[b]) {
            cr_assert_eq(rename_to(a, b, RENAME_WHITEOUT), 0);
            model[b] = model[a];
            model[a] = find(a);
        }
    }
}

static void walk_about(uint64_t (*fold)(uint64_t hash, unsigned level), uint64_t seed)
{
    unsigned n = 0;

    begin(fold);
    memset(model, 0, sizeof model);
    make_many(MANY * 3 / 5);
    for (unsigned i = 0; i < MANY * 3 / 5; i++)
        model[i] = find(i);
    for (unsigned i = 0; i < 6000; i++)
        step(&seed);
    for (unsigned i = 0; i < MANY; i++) {
        cr_assert_eq(find(i), model[i], "name %u", i);
        n += model[i] != 0;
    }
    struct seen s = list();
    cr_assert_eq(s.count, n);
    cr_assert_eq(entries(), n);
    for (unsigned i = 0; i < MANY; i++)
        if (model[i])
            cr_assert_eq(vfs_unlink(x.p, top(), name_of(i)), 0);
    cr_assert_eq(items_of(NS_ROOT_INO, ITEM_DIRENT), 0);
    finish();
}

Test(names, whatever_is_done_each_leads_where_it_should)
{
    walk_about(one_hash, 1);
    walk_about(few_hashes, 2);
    walk_about(NULL, 3);
}
