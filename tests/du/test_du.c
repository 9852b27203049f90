// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of du, and its one promise under random trees: what it says would come back is what drop
 * and drain give back. Another seed by hand: DU_SEED=N test-du.
 */
#include "durability.h"
#include "fault.h"
#include "fixture.h"
#include "du.h"
#include "ns_drop.h"
#include "ns_branch.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}
TestSuite(du, .init = up, .fini = down);

static void drain(void)
{
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

static struct du du_of(const char *name)
{
    struct ns *ns;
    struct du du;

    drain();
    cr_assert_eq(ns_get_by_name(x.p, name, &ns), 0);
    cr_assert_eq(du_namespace(x.p, ns, NULL, &du), 0);
    ns_put(x.p, ns);
    return du;
}

static void is(const char *name, uint64_t logical, uint64_t shared, uint64_t frees, uint64_t pages)
{
    struct du du = du_of(name);

    cr_assert_eq(du.logical, logical, "%s: logical=%llu", name, (unsigned long long)du.logical);
    cr_assert_eq(du.shared, shared, "%s: shared=%llu", name, (unsigned long long)du.shared);
    cr_assert_eq(du.frees, frees, "%s: frees=%llu", name, (unsigned long long)du.frees);
    cr_assert_eq(du.tree, pages * PAGE_SIZE_BYTES, "%s: tree=%llu", name,
                 (unsigned long long)du.tree);
}

static void make_namespace(const char *name)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, name, S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

static int link_file(const char *from, const char *to)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, to, &name);
    int err = vfs_link(x.p, node_of(&x, from), dir, name, &a);

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

static void write_at(const char *path, const void *bytes, size_t len, uint64_t off)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, bytes, len, off), (ssize_t)len);
    vfs_release(f);
}

Test(du, what_only_one_names_comes_back)
{
    is("main", 0, 0, 0, 1);
    put_file(&x, "main/a", "12345");
    put_file(&x, "main/b", "1234567");
    is("main", 12, 0, 12, 1);
}

Test(du, right_after_a_branch_all_is_shared_and_nothing_comes_back)
{
    put_file(&x, "main/a", "12345");
    agreed(&x, "branch main dev\n", "ok");
    is("main", 5, 5, 0, 0);
    is("dev", 5, 5, 0, 0);
}

Test(du, what_parted_comes_back_and_what_did_not_stays)
{
    put_file(&x, "main/a", "12345");
    agreed(&x, "branch main dev\n", "ok");
    put_file(&x, "dev/b", "123");
    is("main", 5, 5, 0, 1);
    is("dev", 8, 5, 3, 1);
    remove_file(&x, "main/a");
    is("main", 0, 0, 0, 1);
    is("dev", 8, 0, 8, 1);
}

Test(du, equal_contents_are_one_object_that_comes_back_once)
{
    put_file(&x, "main/a", "12345");
    put_file(&x, "main/b", "12345");
    is("main", 10, 0, 5, 1);
    make_namespace("dev");
    put_file(&x, "dev/c", "12345");
    is("main", 10, 5, 0, 1);
    is("dev", 5, 5, 0, 1);
    remove_file(&x, "dev/c");
    is("main", 10, 0, 5, 1);
}

Test(du, a_file_with_several_names_counts_once)
{
    put_file(&x, "main/a", "12345");
    cr_assert_eq(link_file("main/a", "main/b"), 0);
    is("main", 5, 0, 5, 1);
    make_namespace("dev");
    cr_assert_eq(link_file("main/a", "dev/b"), 0);
    is("main", 5, 5, 0, 1);
}

Test(du, what_is_pinned_stays)
{
    put_file(&x, "main/a", "12345");
    drain();
    agreed(&x, "pin main/a\n", "ok");
    is("main", 5, 5, 0, 1);
    agreed(&x, "unpin main/a\n", "ok");
    is("main", 5, 0, 5, 1);
}

Test(du, what_is_open_without_a_name_stays_until_it_is_closed)
{
    struct vfs_file *f;
    put_file(&x, "main/a", "12345");
    put_file(&x, "main/b", "12345");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), 0, &f), 0);
    remove_file(&x, "main/a");
    is("main", 5, 5, 0, 1);
    vfs_release(f);
    is("main", 5, 0, 5, 1);
}

Test(du, holes_and_directories_are_no_bytes)
{
    put_file(&x, "main/a", "");
    write_at("main/a", "x", 1, 1 << 20);
    cr_assert_lt(du_of("main").logical, 200 * 1024);
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(du_of("main").frees, 0);
}

Test(du, bytes_that_are_not_sealed_count_as_what_they_are)
{
    struct vfs_file *f;
    struct ns *ns;
    struct du du;
    put_file(&x, "main/a", "12345");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "123456789", 9, 0), 9);
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(du_namespace(x.p, ns, NULL, &du), 0);
    cr_assert_eq(du.frees, 9);
    ns_put(x.p, ns);
    vfs_release(f);
}

Test(du, it_ends_when_it_is_interrupted)
{
    const _Atomic bool stop = true;
    struct du du = {.tree = 7};
    struct ns *ns;
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(du_namespace(x.p, ns, &stop, &du), -EINTR);
    cr_assert_eq(du.tree, 7, "untouched");
    ns_put(x.p, ns);
}

Test(du, the_verb_tells_of_one_of_several_and_of_all)
{
    struct vfs_attr a;
    put_file(&x, "main/a", "12345");
    make_namespace("two words");
    cr_assert_eq(vfs_symlink(x.p, VFS_ROOT, "link", "main", &fixture_cred, &a), 0);
    drain();
    agreed(&x, "du main\n", "ok ns=main logical=5 shared=0 frees=5 tree=8176\n");
    agreed(&x, "du main \"two words\"\n",
           "ok namespaces=2\n"
           "| ns=main logical=5 shared=0 frees=5 tree=8176\n"
           "| ns=\"two words\" logical=0 shared=0 frees=0 tree=8176\n");
    agreed(&x, "du\n",
           "ok namespaces=2 trash_frees=0\n"
           "| ns=main logical=5 shared=0 frees=5 tree=8176\n"
           "| ns=\"two words\" logical=0 shared=0 frees=0 tree=8176\n");
    refused(&x, "du nothing\n", -ENOENT, "there is no namespace nothing");
    refused(&x, "du main link\n", -EINVAL, "link is a symbolic link");
}

/* ---- packs with holes ---- */

#define PACKED 64
#define PACKED_LEN 50000
#define HOLES_LEFT (4 * 65536) /* bytes beside what lives that no hole could be made for */

static void put_packed(unsigned i)
{
    char path[32], *text = malloc(PACKED_LEN + 1);
    uint64_t random = i + 1;

    for (size_t at = 0; at < PACKED_LEN; at++)
        text[at] = (char)('a' + fault_random(&random) % 26);
    text[PACKED_LEN] = 0;
    snprintf(path, sizeof path, "main/%u", i);
    put_file(&x, path, text);
    free(text);
}

/* The number behind `key` in a text. */
static unsigned long long number_behind(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    cr_assert_not_null(at, "%s", text);
    return strtoull(at + strlen(key), NULL, 10);
}

Test(du, no_verb_counts_a_hole_of_a_pack_as_garbage)
{
    CLEANUP_STRBUF struct strbuf json = STRBUF_INIT;
    char text[4096], path[32];

    agreed(&x, "set compact_below 0%", "ok");
    for (unsigned i = 0; i < PACKED; i++)
        put_packed(i);
    drain();
    for (unsigned i = 1; i < PACKED; i++) {
        snprintf(path, sizeof path, "%u", i);
        cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), path), 0);
    }
    drain();
    cr_assert_gt(say(&x, "status", text), 0);
    cr_assert_leq(number_behind(text, "garbage     dead_records_bytes="), HOLES_LEFT);
    cr_assert_gt(number_behind(text, " file_bytes="), (PACKED - 1) * PACKED_LEN, "with its holes");
    cr_assert_eq(view_render(x.p, VIEW_STATS_JSON, NULL, &json), 0);
    cr_assert_leq(number_behind(json.s, "\"pack_dead_bytes\": "), HOLES_LEFT);
    agreed(&x, "du main", "ok ns=main logical=50000 shared=0 frees=50000 ");
}

/* ---- the promise ---- */

#define SPACES 6
#define FILES 600 /* names in a namespace: leaves enough for an inner page */
#define DROPS 40
#define LARGE (300u * 1024)

static uint64_t seed;
static unsigned round_no;

static unsigned chance(unsigned n)
{
    return (unsigned)(fault_random(&seed) >> 20) % n;
}

static const char *space(unsigned i)
{
    static const char *const names[SPACES + 1] = {"main", "b", "c", "d", "e", "f", "branch"};
    return names[i];
}

static bool is_there(unsigned i)
{
    struct ns *ns;

    if (ns_get_by_name(x.p, space(i), &ns) < 0)
        return false;
    ns_put(x.p, ns);
    return true;
}

static const char *some_path(unsigned ns)
{
    static char path[2][64];
    static unsigned at;
    char *p = path[at++ % 2];

    snprintf(p, sizeof path[0], "%s/%u", space(ns), chance(FILES));
    return p;
}

static uint8_t bytes[LARGE];

/* Few contents, so that many are equal; large ones that are the same but in one block. */
static void fill(size_t len)
{
    uint64_t s = 1 + chance(8);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(s * 31 + i % 251);
}

static void write_some(unsigned ns)
{
    const char *path = some_path(ns), *name;
    size_t len = chance(12) ? 1000 + chance(4) * 500 : LARGE;
    struct vfs_attr a;
    struct vfs_file *f;
    uint64_t dir = parent_of(&x, path, &name);

    fill(len);
    cr_assert_eq(vfs_create(x.p, dir, name, 0644, &fixture_cred,
                            VFS_WRITE | (chance(3) ? VFS_TRUNC : 0), &a, &f),
                 0);
    cr_assert_eq(vfs_write(f, bytes, len, chance(4) ? 0 : chance(500000)), (ssize_t)len);
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
}

static void change_some(unsigned ns, unsigned other)
{
    const char *path = some_path(ns);
    uint64_t node = node_of(&x, path);
    const char *name;
    uint64_t dir = parent_of(&x, path, &name);
    char line[100];

    if (!node)
        return;
    switch (chance(6)) {
    case 0:
        cr_assert_eq(vfs_unlink(x.p, dir, name), 0);
        break;
    case 1:
        fill(60000);
        cr_assert_eq(vfs_setxattr(x.p, node, "user.large", bytes, 3000 + chance(3) * 20000, 0), 0);
        break;
    case 2:
        snprintf(line, sizeof line, "%s %s\n", chance(2) ? "pin" : "unpin", path);
        cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
        (void)say(&x, line, (char[4096]){0});
        break;
    default:
        if (is_there(other))
            (void)link_file(path, some_path(other)); /* it may be there */
    }
}

/* A tree of many leaves, quickly. */
static void begin_space(unsigned ns)
{
    char path[64], text[32];

    make_namespace(space(ns));
    for (unsigned i = 0; i < FILES; i += 2) {
        snprintf(path, sizeof path, "%s/%u", space(ns), i);
        snprintf(text, sizeof text, "some text %u", chance(300));
        put_file(&x, path, text);
    }
}

static void some_change(void)
{
    unsigned ns = chance(SPACES), other = chance(SPACES);
    uint32_t number;
    uint64_t seq;

    if (!is_there(ns)) {
        if (is_there(other) && chance(8)) /* mostly branches */
            cr_assert_eq(ns_branch(x.p, space(other), space(ns), &seq, &number), 0);
        else
            begin_space(ns);
    } else if (chance(3)) {
        write_some(ns);
    } else {
        change_some(ns, other);
    }
}

static int add_size(const struct refs_item *item, void *ctx)
{
    *(uint64_t *)ctx += item->size;
    return 0;
}

static uint64_t all_bytes(void)
{
    uint64_t sum = 0;

    cr_assert_eq(refs_list(x.p->refs, -1, NULL, add_size, &sum), 0);
    return sum;
}

/* Returns what came back. */
static uint64_t drop_one(unsigned ns)
{
    struct du du = du_of(space(ns));
    uint64_t before = all_bytes(), pages = drops_freed(x.p->drops);
    uint32_t open;

    cr_assert_eq(ns_drop(x.p, space(ns), false, false, false, &open), 0);
    drain();
    uint64_t freed = before - all_bytes();
    pages = drops_freed(x.p->drops) - pages;
    cr_assert_eq(du.frees, freed, "drop %u, of %s: promised %llu, came back %llu", round_no,
                 space(ns), (unsigned long long)du.frees, (unsigned long long)freed);
    cr_assert_eq(du.tree, pages * PAGE_SIZE_BYTES, "drop %u, of %s: promised %llu, %llu pages went",
                 round_no, space(ns), (unsigned long long)du.tree, (unsigned long long)pages);
    cr_assert_leq(du.shared, before - freed);
    return freed;
}

/* A branch that nobody writes to, of a namespace with contents that are not sealed: what becomes an
 * alias stays one in the pages that both have. */
static uint64_t branch_and_drop(unsigned ns)
{
    uint32_t number;
    uint64_t seq;

    cr_assert_eq(ns_branch(x.p, space(ns), space(SPACES), &seq, &number), 0);
    return drop_one(SPACES);
}

Test(du, what_it_promises_is_what_drop_and_drain_give_back)
{
    const char *text = getenv("DU_SEED");
    unsigned changes = 0;
    uint64_t freed = 0;

    seed = text ? strtoull(text, NULL, 10) : 1;
    fprintf(stderr, "test_du: DU_SEED=%llu\n", (unsigned long long)seed);
    for (round_no = 0; round_no < DROPS; changes++) {
        unsigned ns = chance(SPACES);
        some_change();
        if (changes % 30 || !is_there(ns))
            continue;
        freed += branch_and_drop(ns);
        if (chance(2)) {
            freed += drop_one(ns);
            round_no++;
        }
    }
    cr_assert_gt(freed, DROPS * 10000u);
    fprintf(stderr, "%u changes, %u drops gave back %llu bytes\n", changes, DROPS,
            (unsigned long long)freed);
}
