// SPDX-License-Identifier: Apache-2.0
/* Claims about the digest of a tree: what it is of, and that making it changes nothing. */
#include "bytes.h"
#include "digest.h"
#include "fixture.h"
#include "ns_find.h"
#include "sha256.h"
#include "tree_walk.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(digest, .init = up, .fini = down);

static struct digest digest_of(const char *spec, const char *path)
{
    struct digest d;
    struct ns *ns;

    cr_assert_eq(ns_find(x.p, spec, &ns), 0, "%s", spec);
    cr_assert_eq(digest_tree(x.p, ns, path, NULL, NULL, &d), 0, "%s/%s", spec, path);
    ns_put(x.p, ns);
    return d;
}

static bool same(struct digest a, struct digest b)
{
    return memcmp(a.sum, b.sum, SHA256_LEN) == 0;
}

static size_t namespaces(void)
{
    struct ns *ns;
    uint32_t at = 0;
    size_t n = 0;

    while (ns_next_number(x.p, at, &ns) == 0) {
        at = ns->number;
        n++;
        ns_put(x.p, ns);
    }
    return n;
}

static void make_directory(const char *path)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    cr_assert_eq(vfs_mknod(x.p, dir, name, S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

Test(digest, sha256_is_that_of_the_standard)
{
    static const char want[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    uint8_t sum[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    struct sha256 *h;

    cr_assert_eq(sha256_new(&h), 0);
    for (unsigned round = 0; round < 2; round++) {
        sha256_add(h, "a", 1);
        sha256_add(h, "bc", 2);
        cr_assert_eq(sha256_end(h, sum), 0);
        for (size_t i = 0; i < sizeof sum; i++)
            snprintf(hex + 2 * i, 3, "%02x", sum[i]);
        cr_assert_str_eq(hex, want);
    }
    sha256_free(h);
}

/* The bytes that the header says, put together by hand. */
Test(digest, the_sum_of_a_file_is_that_of_the_bytes_that_the_header_says)
{
    uint8_t head[4 + 4 + 4 + 4 + 8 + 4 + 1 + 8], sum[SHA256_LEN];
    struct vfs_attr a;
    struct sha256 *h;

    put_file(&x, "main/f", "hello");
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "main/f"), &a), 0);
    cr_assert_eq(sha256_new(&h), 0);
    sha256_add(h, "hello", 5);
    cr_assert_eq(sha256_end(h, sum), 0);
    put_le32(head, 0);
    put_le32(head + 4, S_IFREG | 0644);
    put_le32(head + 8, 1000);
    put_le32(head + 12, 1000);
    put_le64(head + 16, (uint64_t)a.mtime);
    put_le32(head + 24, 0);
    head[28] = 'F';
    put_le64(head + 29, 5);
    sha256_add(h, "tallyfs digest 1\n", 17);
    sha256_add(h, head, sizeof head);
    sha256_add(h, sum, sizeof sum);
    cr_assert_eq(sha256_end(h, sum), 0);
    sha256_free(h);
    cr_assert_arr_eq(digest_of("main", "f").sum, sum, sizeof sum);
    cr_assert_eq(digest_of("main", "f").inodes, 1);
    cr_assert_eq(digest_of("main", "./f/").bytes, 5);
}

Test(digest, a_branch_a_snapshot_and_another_place_have_the_same_sum)
{
    put_file(&x, "main/f", "hello");
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "snapshot main s", "ok");
    cr_assert(same(digest_of("main", ""), digest_of("dev", "")));
    cr_assert(same(digest_of("main", ""), digest_of("main@s", "")));
    put_file(&x, "dev/f", "hallo");
    cr_assert_not(same(digest_of("main", ""), digest_of("dev", "")));
}

Test(digest, what_is_in_the_trash_has_its_sum)
{
    char reply[4096], label[300];
    struct digest before;

    settings_put(&x.p->settings, SET_TRASH_KEEP, 3600 * NSEC_PER_SEC);
    put_file(&x, "main/f", "hello");
    before = digest_of("main", "");
    cr_assert_gt(say(&x, "drop main", reply), 0);
    cr_assert_eq(sscanf(reply, "ok kept=%299s", label), 1, "%s", reply);
    cr_assert(same(digest_of(label, ""), before));
}

Test(digest, making_it_leaves_no_namespace_behind_and_does_not_change_the_one_that_is_read)
{
    struct ns *ns;
    uint64_t seq;

    put_file(&x, "main/f", "hello");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    seq = ns->seq;
    clock_manual_advance(&x.clock, 3 * 86400 * NSEC_PER_SEC);
    digest_of("main", "");
    cr_assert_eq(ns->seq, seq);
    cr_assert_eq(namespaces(), 1);
    ns_put(x.p, ns);
}

/* Changes the tree at the first report, and ends the work at the second if `end`. */
struct meddler {
    unsigned calls;
    bool end;
};

static int meddle(const struct digest *so_far, void *ctx)
{
    struct meddler *m = ctx;

    (void)so_far;
    if (m->calls++ == 0)
        put_file(&x, "main/z", "later");
    return m->end && m->calls == 2 ? -ECANCELED : 0;
}

Test(digest, it_is_of_one_instant_whatever_changes_meanwhile)
{
    struct meddler m = {.calls = 0};
    struct digest before, d;
    struct ns *ns;

    put_file(&x, "main/a", "1");
    put_file(&x, "main/z", "2");
    before = digest_of("main", "");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(digest_tree(x.p, ns, "", meddle, &m, &d), 0);
    ns_put(x.p, ns);
    cr_assert(same(d, before));
    cr_assert_not(same(digest_of("main", ""), before));
}

Test(digest, who_ends_it_gets_their_error_and_nothing_is_left)
{
    struct meddler m = {.end = true};
    struct digest d = {.inodes = 77};
    struct ns *ns;

    put_file(&x, "main/a", "1");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(digest_tree(x.p, ns, "", meddle, &m, &d), -ECANCELED);
    cr_assert_eq(digest_tree(x.p, ns, "nothing", NULL, NULL, &d), -ENOENT);
    cr_assert_eq(digest_tree(x.p, ns, "a/x", NULL, NULL, &d), -ENOENT);
    ns_put(x.p, ns);
    cr_assert_eq(d.inodes, 77);
    cr_assert_eq(namespaces(), 1);
}

Test(digest, a_store_that_takes_no_changes_has_the_same_sum)
{
    struct digest before, d;

    put_file(&x, "main/a", "1");
    before = digest_of("main", "");
    atomic_store(&x.p->readonly, true);
    d = digest_of("main", "");
    atomic_store(&x.p->readonly, false);
    cr_assert(same(d, before));
}

/* ---- the order ---- */

static int note_path(const char *path, const struct vfs_attr *a, void *ctx)
{
    char *all = ctx;

    (void)a;
    strncat(all, path, 4000 - strlen(all));
    strncat(all, " ", 4000 - strlen(all));
    return 0;
}

Test(digest, a_directory_comes_before_its_entries_and_these_in_the_order_of_their_bytes)
{
    char all[4096] = "";

    make_directory("main/a");
    put_file(&x, "main/a/b", "");
    put_file(&x, "main/a-b", "");
    put_file(&x, "main/B", "");
    put_file(&x, "main/\xc3\xa4", "");
    make_directory("main/a/C");
    put_file(&x, "main/a/C/x", "");
    cr_assert_eq(tree_walk_from(x.p, node_of(&x, "main"), note_path, all), 0);
    cr_assert_str_eq(all, " B a a/C a/C/x a/b a-b \xc3\xa4 ");
}

Test(digest, a_tree_may_be_very_deep)
{
    char all[4096] = "";
    uint64_t dir = node_of(&x, "main");
    struct vfs_attr a;

    for (unsigned i = 0; i < 3000; i++) {
        cr_assert_eq(vfs_mknod(x.p, dir, "d", S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
        vfs_forget(x.p, a.nodeid, 1);
        dir = a.nodeid;
    }
    cr_assert_eq(digest_of("main", "").inodes, 3001);
    cr_assert_eq(tree_walk_from(x.p, dir, note_path, all), 0);
    cr_assert_str_eq(all, " ");
}

/* ---- the verb ---- */

Test(digest, the_verb_says_the_sum_and_what_was_read)
{
    char want[200] = "ok digest=", *end = want + strlen(want);
    struct digest d;

    put_file(&x, "main/f", "hello");
    d = digest_of("main", "");
    for (size_t i = 0; i < sizeof d.sum; i++)
        end += snprintf(end, 3, "%02x", d.sum[i]);
    snprintf(end, 60, " inodes=2 bytes=5 job=");
    agreed(&x, "digest main wait", want);
    agreed(&x, "digest main/ wait", want);
    agreed(&x, "digest main/f wait", "inodes=1 bytes=5");
    refused(&x, "digest nothing", -ENOENT, "there is no namespace nothing");
    refused(&x, "digest main/nothing", -ENOENT, "there is no main/nothing");
    refused(&x, "digest main/f/x", -ENOENT, "there is no main/f/x");
    refused(&x, "digest main/../x", -EINVAL, "NS/PATH");
}
