// SPDX-License-Identifier: Apache-2.0
/* Claims of only_here: how many paths of a namespace are in no other one. */
#include "diff_fixture.h"
#include "ns_drop.h"
#include "only_here.h"

static void begin(void)
{
    up();
    settings_put(&x.p->settings, SET_ORIGIN_KEEP, 86400 * NSEC_PER_SEC);
}

TestSuite(only_here, .init = begin, .fini = down);

static struct only_here count(const char *name)
{
    struct ns *ns = space(name);
    struct only_here found;

    cr_assert_eq(only_here_count(x.p, ns, NULL, &found), 0);
    ns_put(x.p, ns);
    return found;
}

/* So many paths are in it alone, before and after all is sealed. */
static void has(const char *name, uint64_t want)
{
    for (int sealed = 0; sealed < 2; sealed++) {
        struct only_here found = count(name);
        cr_assert_eq(found.paths, want, "%s: %llu %s", name, (unsigned long long)found.paths,
                     sealed ? "sealed" : "unsealed");
        cr_assert_not(found.at_least);
        drain();
    }
}

static void put_large(const char *path)
{
    static char bytes[400000];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * i >> 8);
    put_file(&x, path, "");
    write_at(path, bytes, sizeof bytes, 0);
}

static void drop(const char *name)
{
    uint32_t open;

    cr_assert_eq(ns_drop(x.p, name, true, false, false, &open), 0);
}

Test(only_here, a_new_branch_has_nothing_of_its_own)
{
    put_file(&x, "main/a", "1");
    branch();
    has("dev", 0);
    has("main", 0);
}

Test(only_here, what_was_made_or_changed_counts_and_directories_do_by_themselves)
{
    const struct vfs_attr mode = {.mode = 0600};

    put_file(&x, "main/a", "1");
    put_file(&x, "main/b", "1");
    put_file(&x, "main/gone", "1");
    put_large("main/large");
    put_large("main/again");
    drain();
    write_at("main/again", "?", 1, 300000);
    branch();
    put_file(&x, "dev/a", "2");
    set_attr("dev/b", VFS_SET_MODE, &mode);
    write_at("dev/large", "?", 1, 300000);
    write_at("dev/again", "!", 1, 300000);
    make_dir("dev/d");
    make_link("dev/d/link", "to");
    remove_file(&x, "dev/gone");
    has("dev", 6);
}

Test(only_here, another_name_or_time_is_nothing_to_lose)
{
    const struct vfs_attr t = {.mtime = 5 * NSEC_PER_SEC};

    put_file(&x, "main/a", "1");
    put_file(&x, "main/b", "1");
    make_dir("main/d");
    branch();
    move("dev/a", "dev/d/c");
    set_attr("dev/b", VFS_SET_MTIME, &t);
    has("dev", 0);
}

Test(only_here, each_name_of_a_file_is_a_path)
{
    put_file(&x, "main/a", "1");
    branch();
    put_file(&x, "dev/new", "1");
    link_file("dev/new", "dev/again");
    has("dev", 2);
}

Test(only_here, what_the_origin_changed_since_is_no_loss_here)
{
    put_file(&x, "main/a", "1");
    branch();
    put_file(&x, "main/a", "2");
    remove_file(&x, "main/a");
    has("dev", 0);
}

Test(only_here, what_was_committed_is_not_lost)
{
    put_file(&x, "main/a", "1");
    branch();
    put_file(&x, "dev/a", "2");
    put_file(&x, "dev/new", "3");
    put_file(&x, "main/other", "3");
    has("dev", 2);
    agreed(&x, "commit dev\n", "ok");
    has("dev", 0);
    put_file(&x, "dev/new", "4");
    has("dev", 1);
}

Test(only_here, what_a_branch_of_it_has_is_not_lost)
{
    put_file(&x, "main/a", "1");
    branch();
    put_file(&x, "dev/a", "2");
    put_file(&x, "dev/b", "2");
    agreed(&x, "branch dev sub\n", "ok");
    has("dev", 0);
    put_file(&x, "sub/a", "3");
    has("dev", 1);
    has("sub", 1);
    drop("sub");
    has("dev", 2);
}

Test(only_here, a_snapshot_is_no_reason_to_count_less)
{
    branch();
    put_file(&x, "dev/a", "2");
    agreed(&x, "snapshot dev one\n", "ok");
    has("dev", 1);
}

Test(only_here, without_a_base_it_is_compared_with_its_origin_and_without_that_all_of_it_counts)
{
    put_file(&x, "main/a", "1");
    put_file(&x, "main/b", "1");
    branch();
    put_file(&x, "dev/a", "2");
    agreed(&x, "detach dev\n", "ok");
    has("dev", 1);
    put_file(&x, "main/b", "3");
    has("dev", 2);
    drop("main");
    has("dev", 2);
    put_file(&x, "dev/c", "3");
    has("dev", 3);
}

Test(only_here, more_than_can_be_looked_at_is_said_to_be_more)
{
    char path[32];
    struct only_here found;

    for (unsigned i = 0; i < ONLY_HERE_LOOKS / 4 + 10; i++) { /* an inode and a name each */
        snprintf(path, sizeof path, "main/%u", i);
        put_file(&x, path, "");
    }
    found = count("main");
    cr_assert_eq(found.paths, ONLY_HERE_LOOKS / 4 + 10);
    cr_assert(found.at_least);
    branch();
    put_file(&x, "main/0", "changed");
    found = count("main"); /* beside its branch all that differs is one file */
    cr_assert_eq(found.paths, 1);
    cr_assert_not(found.at_least);
}
