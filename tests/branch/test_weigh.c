// SPDX-License-Identifier: Apache-2.0
/* Claims of what the trash gives back: for df, and for a disk that is full. */
#include "fixture.h"
#include "flush.h"
#include "kept.h"
#include "weigh.h"

#define DAY (86400 * NSEC_PER_SEC)
#define LARGE 400000u /* bytes: an object of this size has a file of its own */

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
    settings_put(&x.p->settings, SET_ORIGIN_KEEP, 7 * DAY);
    settings_put(&x.p->settings, SET_TRASH_KEEP, DAY);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(weigh, .init = up, .fini = down);

static void put_large(const char *path, unsigned seed)
{
    static char bytes[LARGE];
    struct vfs_file *f;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(seed + (i * i >> 8));
    put_file(&x, path, "");
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
    vfs_release(f);
}

static void drain(void)
{
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

/* What the trash alone holds, after all is sealed and a pass has looked. */
static uint64_t alone(void)
{
    drain();
    clock_manual_advance(&x.clock, KEPT_WEIGH_AGAIN);
    kept_weigh(x.p);
    return kept_alone(x.p).bytes;
}

Test(weigh, what_only_the_trash_has_counts_from_the_pass_on_until_it_is_taken_back)
{
    agreed(&x, "branch main dev", "ok");
    put_large("dev/a", 1);
    cr_assert_eq(alone(), 0);
    agreed(&x, "drop dev", "ok");
    cr_assert_eq(kept_alone(x.p).bytes, 0);
    cr_assert_eq(alone(), LARGE);
    agreed(&x, "undrop dev", "ok");
    cr_assert_eq(kept_alone(x.p).bytes, 0);
}

Test(weigh, what_others_have_or_a_pin_or_small_or_changed_in_parts_does_not_count)
{
    struct vfs_file *f;

    put_large("main/shared", 1);
    put_large("main/parts", 2);
    agreed(&x, "branch main dev", "ok");
    put_large("dev/equal", 1);
    put_large("dev/pinned", 3);
    put_file(&x, "dev/small", "hello");
    put_large("dev/twice", 4);
    put_large("dev/again", 4);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "dev/parts"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "?", 1, 200000), 1);
    vfs_release(f);
    agreed(&x, "pin dev/pinned", "ok");
    agreed(&x, "drop dev", "ok");
    cr_assert_eq(alone(), 0);
}

Test(weigh, what_a_branch_has_in_common_with_its_origin_does_not_count)
{
    put_large("main/a", 1);
    drain();
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "drop dev", "ok");
    cr_assert_eq(alone(), 0);
}

Test(weigh, what_gets_another_reference_counts_no_more_after_the_next_pass)
{
    agreed(&x, "branch main dev", "ok");
    put_large("dev/a", 1);
    agreed(&x, "drop dev", "ok");
    cr_assert_eq(alone(), LARGE);
    put_large("main/b", 1);
    cr_assert_eq(alone(), 0);
}

Test(weigh, a_figure_is_made_anew_only_after_a_change_and_not_at_once)
{
    agreed(&x, "branch main dev", "ok");
    put_large("dev/a", 1);
    agreed(&x, "drop dev", "ok");
    cr_assert_eq(alone(), LARGE);
    clock_manual_advance(&x.clock, KEPT_WEIGHED_FOR);
    cr_assert_not(kept_weigh_is_due(x.p));
    cr_assert_eq(kept_alone(x.p).bytes, LARGE, "nothing has changed");
    put_file(&x, "main/c", "hello");
    cr_assert(kept_weigh_is_due(x.p));
    cr_assert_eq(kept_alone(x.p).bytes, 0, "it is too old to be believed");
    kept_weigh(x.p);
    cr_assert_eq(kept_alone(x.p).bytes, LARGE);
    put_file(&x, "main/d", "hello");
    cr_assert_not(kept_weigh_is_due(x.p));
}

Test(weigh, df_counts_it_as_free_and_the_words_say_so)
{
    struct disk_space before, after;
    char reply[4096];

    agreed(&x, "branch main dev", "ok");
    put_large("dev/a", 1);
    drain();
    agreed(&x, "drop dev", "ok");
    cr_assert_eq(vfs_statfs(x.p, &before), 0);
    cr_assert_eq(alone(), LARGE);
    cr_assert_eq(vfs_statfs(x.p, &after), 0);
    cr_assert_eq(after.blocks_free - before.blocks_free, LARGE / after.block_size);
    cr_assert_eq(after.blocks_avail - before.blocks_avail, LARGE / after.block_size);
    cr_assert_gt(say(&x, "trash list", reply), 0);
    cr_assert(strstr(reply, "trash_frees=400000 weighed="), "%s", reply);
    agreed(&x, "du", "trash_frees=400000");
    agreed(&x, "status", "trash_frees=400000");
}

Test(weigh, a_full_disk_first_gives_up_what_gives_bytes_back)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main none", "ok");
    agreed(&x, "branch main some", "ok");
    put_file(&x, "some/b", "new");
    agreed(&x, "drop none", "ok");
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    agreed(&x, "drop some", "ok");
    cr_assert(kept_give_back(x.p));
    refused(&x, "undrop some", -ENOENT, "nothing in the trash");
    agreed(&x, "undrop none", "ok");
}

Test(weigh, what_gives_nothing_back_goes_before_what_is_worth_more)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "branch main none", "ok");
    put_file(&x, "main/a", "hello, world");
    agreed(&x, "branch main other", "ok");
    agreed(&x, "drop none", "ok");
    cr_assert(kept_give_back(x.p));
    refused(&x, "undrop none", -ENOENT, "nothing in the trash");
}

Test(weigh, a_pass_reads_no_more_than_it_may)
{
    struct weight weight;
    struct ns *ns;
    size_t left = 4; /* the top directory, two names, one of the files */

    put_large("main/a", 1);
    put_large("main/b", 2);
    drain();
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(weigh(x.p, ns, false, &left, &weight), 0);
    cr_assert_eq(left, 0);
    cr_assert_eq(weight.whole, LARGE);
    ns_put(x.p, ns);
}
