// SPDX-License-Identifier: Apache-2.0
/* Claims about a commit for which there is no memory when it is prepared: the next one has all of
 * it. */
#include "fixture.h"
#include "store_impl.h"

static struct fixture x;
static bool drops_fail;

int __real_drops_freeze(struct drops *d);
int __wrap_drops_freeze(struct drops *d);
int __wrap_drops_freeze(struct drops *d)
{
    return drops_fail ? -ENOMEM : __real_drops_freeze(d);
}

static void is_there(const char *path, const char *text)
{
    char buf[64] = "";
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, buf, sizeof buf - 1, 0), (ssize_t)strlen(text));
    cr_assert_str_eq(buf, text);
    vfs_release(f);
}

Test(freeze, a_commit_without_memory_for_what_is_dropped_takes_no_tree_from_the_next)
{
    fixture_setup(&x);
    put_file(&x, "main/before", "it was there before");
    cr_assert_eq(flush_now(x.p), 0);
    agreed(&x, "branch main dev\n", "ok");
    put_file(&x, "main/file", "named by a root that is new");
    drops_fail = true;
    cr_assert_eq(flush_now(x.p), -ENOMEM);
    drops_fail = false;
    cr_assert_eq(flush_now(x.p), 0);
    fixture_reopen(&x);
    put_file(&x, "main/after", "has an inode number of its own");
    is_there("main/before", "it was there before");
    is_there("main/file", "named by a root that is new");
    is_there("dev/before", "it was there before");
    fixture_teardown(&x);
}
