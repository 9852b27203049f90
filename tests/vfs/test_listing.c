// SPDX-License-Identifier: Apache-2.0
/* What vfs.h promises of readdir's cookies. */
#include "old_store.h"
#include "vfs_impl.h"

#define NAMES 3000

struct seen {
    unsigned count, limit; /* entries; taken at most */
    uint64_t *cookie;
    char (*name)[VFS_NAME_MAX + 1];
};

static struct fixture x;
static struct seen all;

static bool see(const struct vfs_dirent *d, void *ctx)
{
    struct seen *s = ctx;

    if (s->count == s->limit)
        return false;
    snprintf(s->name[s->count], sizeof *s->name, "%s", d->name);
    s->cookie[s->count++] = d->cookie;
    return true;
}

static struct seen seen_new(void)
{
    return (struct seen){.cookie = calloc(NAMES + 3, sizeof(uint64_t)),
                         .name = calloc(NAMES + 3, VFS_NAME_MAX + 1)};
}

static void seen_free(struct seen *s)
{
    free(s->cookie);
    free(s->name);
}

static void list_behind(uint64_t cookie, unsigned limit, struct seen *s)
{
    s->count = 0;
    s->limit = limit;
    cr_assert_eq(vfs_readdir(x.p, node_of(&x, "main/dir"), cookie, false, see, s), 0);
}

static void make_names(void)
{
    struct vfs_attr a;
    char path[64];

    cr_assert_eq(vfs_mknod(x.p, node_of(&x, "main"), "dir", S_IFDIR | 0755, 0, &fixture_cred, &a),
                 0);
    vfs_forget(x.p, a.nodeid, 1);
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "main/dir/name %u", i);
        put_file(&x, path, "");
    }
    all = seen_new();
    list_behind(0, NAMES + 3, &all);
    cr_assert_eq(all.count, NAMES + 2);
}

static void setup(void)
{
    fixture_setup(&x);
    make_names();
}

static void setup_old(void)
{
    old_setup(&x);
    make_names();
}

static void teardown(void)
{
    seen_free(&all);
    fixture_teardown(&x);
}

TestSuite(listing, .init = setup, .fini = teardown);
TestSuite(listing_old, .init = setup_old, .fini = teardown);

static int by_value(const void *a, const void *b)
{
    uint64_t v = *(const uint64_t *)a, w = *(const uint64_t *)b;

    return v < w ? -1 : v > w;
}

Test(listing, cookies_are_positive_and_no_two_are_equal)
{
    cr_assert(all.cookie[0] == 1 && all.cookie[1] == 2);
    qsort(all.cookie, all.count, sizeof *all.cookie, by_value);
    cr_assert(all.cookie[0] > 0 && all.cookie[all.count - 1] <= INT64_MAX);
    for (unsigned i = 1; i < all.count; i++)
        cr_assert_neq(all.cookie[i - 1], all.cookie[i]);
}

Test(listing, goes_on_behind_each_cookie_also_when_its_entry_is_gone)
{
    struct seen part = seen_new();
    char path[300];

    for (unsigned i = 2; i + 1 < all.count; i += 7) {
        list_behind(all.cookie[i], 1, &part);
        cr_assert_str_eq(part.name[0], all.name[i + 1], "behind %s", all.name[i]);
        snprintf(path, sizeof path, "main/dir/%s", all.name[i]);
        remove_file(&x, path);
        list_behind(all.cookie[i], 1, &part);
        cr_assert_str_eq(part.name[0], all.name[i + 1], "behind %s, which is gone", all.name[i]);
        cr_assert_eq(part.cookie[0], all.cookie[i + 1]);
    }
    list_behind(all.cookie[all.count - 1], 1, &part);
    cr_assert_eq(part.count, 0);
    seen_free(&part);
}

Test(listing, what_was_never_a_cookie_harms_nobody)
{
    static const uint64_t odd[] = {3,
                                   4,
                                   (UINT64_C(1) << 62) - 1,
                                   UINT64_C(1) << 62,
                                   (UINT64_C(1) << 62) + 2,
                                   (UINT64_C(1) << 62) + 3,
                                   INT64_MAX,
                                   UINT64_MAX};
    struct seen part = seen_new();

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        list_behind(odd[i], NAMES + 3, &part);
        cr_assert(part.count <= NAMES);
    }
    list_behind(INT64_MAX, 1, &part);
    cr_assert_eq(part.count, 0);
    seen_free(&part);
}

Test(listing, cookies_are_the_same_after_a_mount)
{
    struct seen again = seen_new();

    fixture_reopen(&x);
    list_behind(0, NAMES + 3, &again);
    cr_assert_arr_eq(again.cookie, all.cookie, all.count * sizeof *all.cookie);
    seen_free(&again);
}

/* Neither where a name stands nor the order in which they stand: of those that follow one another
 * about half go up. */
static void tells_nothing(void)
{
    struct ns *ns;
    unsigned up = 0;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    for (unsigned i = 2; i < all.count; i++) {
        uint64_t ino, dir = vfs_node_ino(node_of(&x, "main/dir"));
        struct key k;
        unsigned type;
        cr_assert_eq(dirent_find(x.p, &ns->tree, dir, all.name[i], &k, &ino, &type), 0);
        cr_assert_neq(all.cookie[i] - 3, k.lo);
        cr_assert_neq((all.cookie[i] - 3) >> 7, k.lo >> 7);
        up += all.cookie[i] > all.cookie[i - 1];
    }
    cr_assert(up > NAMES * 2 / 5 && up < NAMES * 3 / 5, "%u of %u go up", up, NAMES);
    ns_put(x.p, ns);
}

Test(listing, cookies_tell_nothing_of_the_hash)
{
    tells_nothing();
}

Test(listing_old, cookies_tell_nothing_of_the_hash)
{
    tells_nothing();
}

Test(listing, the_keys_are_those_of_the_identity)
{
    struct identity id;
    size_t len;

    id = identity_read(&x, &len);
    cr_assert_eq(memcmp(x.p->cookie_key.b, id.cookies.b, SIP_KEY_LEN), 0);
    cr_assert_eq(memcmp(x.p->name_key.sip.b, id.names.sip.b, SIP_KEY_LEN), 0);
}

Test(listing, a_namespace_whose_root_is_damaged_hides_no_other)
{
    struct vfs_attr a;
    uint8_t key[8];
    struct ns *ns;

    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, "other", S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
    fixture_reopen(&x);
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    put_be64(key, ns->tree.root);
    ns_put(x.p, ns);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_PAGES, key, sizeof key, 5000, 1), 0);
    cr_assert_eq(vfs_lookup(x.p, VFS_ROOT, "main", &a), -EUCLEAN, "the damage is seen");

    all.count = 0;
    cr_assert_eq(vfs_readdir(x.p, VFS_ROOT, 0, false, see, &all), 0);
    cr_assert_eq(all.count, 4);
    cr_assert_str_eq(all.name[2], "main");
    cr_assert_str_eq(all.name[3], "other");
}
