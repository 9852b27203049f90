// SPDX-License-Identifier: Apache-2.0
/* Claims of ino_names: names of inodes, where they are looked for, and hints that are outdated. */
#include "diff_fixture.h"
#include "ino_names.h"

TestSuite(ino_names, .init = up, .fini = down);

static struct diff_room room = {SIZE_MAX};

static int count(struct key at, const struct dirent_item *e, void *ctx)
{
    (void)at, (void)e;
    ++*(unsigned *)ctx;
    return 0;
}

/* How many names of the inode are known; those that are missing are wanted. */
static unsigned known(struct ino_names *n, struct ns *ns, uint64_t ino, uint32_t nlink)
{
    unsigned names = 0;
    READ_GUARD(&ns->lock);
    int err = ino_names_each(n, ino, nlink, count, &names);

    cr_assert(err == 0 || err == -EAGAIN);
    return err == 0 ? names : 0;
}

/* The path of a directory; "?": names are missing. */
static const char *path_of(struct ino_names *n, struct ns *ns, uint64_t dir)
{
    static char text[1000];
    struct path p = {.text = text, .room = sizeof text, .top = VFS_TOP_INO};
    READ_GUARD(&ns->lock);

    path_begin(&p);
    return ino_names_climb(n, dir, &p) == 0 ? text + p.start : "?";
}

static uint64_t ino_of(const char *path)
{
    return vfs_node_ino(node_of(&x, path));
}

Test(ino_names, names_are_found_far_from_the_number_of_their_directory)
{
    struct ns *ns = space("main");
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);
    char path[32];

    make_dir("main/d");
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "main/d/%d", i);
        put_file(&x, path, "1");
    }
    ns->next_ino += 1000000;
    ns->ino_end += 2000000;
    put_file(&x, "main/d/far", "1");
    cr_assert_eq(known(&n, ns, ino_of("main/d/far"), 1), 0);
    cr_assert_eq(known(&n, ns, ino_of("main/d/299"), 1), 0);
    cr_assert_eq(n.wanted.count, 2);
    cr_assert_eq(ino_names_search(&n, &ns->lock, NULL), 0);
    cr_assert_eq(n.wanted.count, 0);
    cr_assert_eq(known(&n, ns, ino_of("main/d/far"), 1), 1);
    cr_assert_eq(known(&n, ns, ino_of("main/d/299"), 1), 1);
    ino_names_release(&n);
    ns_put(x.p, ns);
}

Test(ino_names, all_names_of_a_hard_link_are_found)
{
    struct ns *ns = space("main");
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);

    make_dir("main/d");
    put_file(&x, "main/a", "1");
    link_file("main/a", "main/d/b");
    link_file("main/a", "main/c");
    cr_assert_eq(known(&n, ns, ino_of("main/a"), 3), 0);
    cr_assert_eq(ino_names_search(&n, &ns->lock, NULL), 0);
    cr_assert_eq(known(&n, ns, ino_of("main/a"), 3), 3);
    ino_names_release(&n);
    ns_put(x.p, ns);
}

Test(ino_names, all_names_of_a_hard_link_are_found_beside_other_searches_in_their_directories)
{
    struct ns *ns = space("main");
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);

    make_dir("main/d");
    make_dir("main/d/e");
    make_dir("main/f");
    put_file(&x, "main/d/a", "1");
    put_file(&x, "main/d/b", "1");
    link_file("main/d/a", "main/f/c");
    cr_assert_eq(known(&n, ns, ino_of("main/d/a"), 2), 0);
    cr_assert_eq(known(&n, ns, ino_of("main/d/b"), 1), 0);
    cr_assert_str_eq(path_of(&n, ns, ino_of("main/d/e")), "?");
    cr_assert_eq(ino_names_search(&n, &ns->lock, NULL), 0);
    cr_assert_eq(known(&n, ns, ino_of("main/d/a"), 2), 2);
    cr_assert_eq(known(&n, ns, ino_of("main/d/b"), 1), 1);
    ino_names_release(&n);
    ns_put(x.p, ns);
}

Test(ino_names, a_path_is_made_of_directories_that_are_found_from_below)
{
    struct ns *ns = space("main");
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);

    make_dir("main/d");
    make_dir("main/d/e");
    make_dir("main/d/e/f");
    cr_assert_str_eq(path_of(&n, ns, ino_of("main/d/e/f")), "?");
    cr_assert_eq(ino_names_search(&n, &ns->lock, NULL), 0);
    cr_assert_str_eq(path_of(&n, ns, ino_of("main/d/e/f")), "d/e/f");
    ino_names_release(&n);
    ns_put(x.p, ns);
}

Test(ino_names, a_hint_that_is_outdated_is_not_believed)
{
    struct ns *ns = space("main");
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);
    uint64_t dir;

    make_dir("main/d");
    dir = ino_of("main/d");
    cr_assert_str_eq(path_of(&n, ns, dir), "?");
    cr_assert_eq(ino_names_search(&n, &ns->lock, NULL), 0);
    move("main/d", "main/e");
    make_dir("main/d");
    cr_assert_str_eq(path_of(&n, ns, dir), "?");
    cr_assert_eq(ino_names_search(&n, &ns->lock, NULL), 0);
    cr_assert_str_eq(path_of(&n, ns, dir), "e");
    ino_names_release(&n);
    ns_put(x.p, ns);
}

Test(ino_names, what_has_no_name_is_given_up_by_a_search_that_excludes_changes)
{
    struct ns *ns = space("main");
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);

    put_file(&x, "main/a", "1");
    cr_assert_eq(known(&n, ns, ino_of("main/a"), 2), 0);
    {
        READ_GUARD(&ns->lock);
        cr_assert_eq(ino_names_search(&n, NULL, NULL), 0);
    }
    cr_assert(n.all);
    cr_assert_eq(known(&n, ns, ino_of("main/a"), 2), 1);
    ino_names_release(&n);
    ns_put(x.p, ns);
}

Test(ino_names, a_search_ends_when_it_is_interrupted)
{
    static const _Atomic bool interrupted = true;
    struct ns *ns = space("main");
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);

    put_file(&x, "main/a", "1");
    cr_assert_eq(known(&n, ns, ino_of("main/a"), 1), 0);
    cr_assert_eq(ino_names_search(&n, &ns->lock, &interrupted), -EINTR);
    ino_names_release(&n);
    ns_put(x.p, ns);
}
