// SPDX-License-Identifier: Apache-2.0
/* Claims about a commit for which there is no memory when it is prepared: the next one has all of
 * it. And about a drop that an error stops: it goes on. */
#include "durability.h"
#include "fixture.h"
#include "store_impl.h"

static struct fixture x;
static bool drops_fail;
static _Atomic bool steps_fail;
static _Atomic unsigned steps_failed;
static _Atomic uint64_t commits_at_step; /* those before the last step that had work to do */

int __real_drops_freeze(struct drops *d);
int __wrap_drops_freeze(struct drops *d);
int __wrap_drops_freeze(struct drops *d)
{
    return drops_fail ? -ENOMEM : __real_drops_freeze(d);
}

int __real_drops_step(struct drops *d, unsigned budget, unsigned *ret_done);
int __wrap_drops_step(struct drops *d, unsigned budget, unsigned *ret_done);
int __wrap_drops_step(struct drops *d, unsigned budget, unsigned *ret_done)
{
    if (!atomic_load(&steps_fail)) {
        if (atomic_load(&steps_failed) > 0 && drops_left(d) > 0)
            atomic_store(&commits_at_step, flush_commits(x.p));
        return __real_drops_step(d, budget, ret_done);
    }
    atomic_fetch_add(&steps_failed, 1);
    return -ENOSPC;
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

/* ---- a drop ---- */

/* A store with its threads, and a drop in it whose steps fail for want of room. */
static void stop_a_drop(void)
{
    fixture_setup(&x);
    store_abandon(x.p);
    kv_close(x.kv);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_CREATE, &x.kv), 0);
    struct state_config config = {.disk = x.disk,
                                  .kv = x.kv,
                                  .clock = &x.clock.base,
                                  .threads = 1,
                                  .background = true,
                                  .log_segment = 1 << 20};
    cr_assert_eq(store_open(&config, &x.p), 0);
    fixture_keep_nothing(x.p);
    put_file(&x, "main/file", "it is in both namespaces");
    agreed(&x, "branch main dev\n", "ok");
    put_file(&x, "dev/file", "and this in one");
    cr_assert_eq(flush_now(x.p), 0);
    atomic_store(&steps_fail, true);
    agreed(&x, "drop dev\n", "ok");
    while (atomic_load(&steps_failed) == 0)
        usleep(1000);
    cr_assert_gt(drops_left(x.p->drops), 0);
}

/* Steps do not fail any more. No flush begins by itself from here on, and the drop waits again
 * after a step that failed. */
static void everything_is_committed(void)
{
    unsigned failed = atomic_load(&steps_failed);

    cr_assert_eq(flush_now(x.p), 0);
    while (drops_left(x.p->drops) > 0 && atomic_load(&steps_failed) == failed)
        usleep(1000);
    atomic_store(&steps_fail, false);
    cr_assert_gt(drops_left(x.p->drops), 0);
}

static bool ends(void)
{
    for (int i = 0; i < 20000 && drops_left(x.p->drops); i++)
        usleep(1000);
    return drops_left(x.p->drops) == 0;
}

/* The clock stands still, so no time passes for the drop. */
Test(freeze, a_drop_that_an_error_stopped_goes_on_when_a_flush_has_succeeded)
{
    stop_a_drop();
    atomic_store(&steps_fail, false);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert(ends());
    fixture_teardown(&x);
}

Test(freeze, a_drop_that_an_error_stopped_goes_on_after_a_second_without_a_flush)
{
    uint64_t commits;

    stop_a_drop();
    everything_is_committed();
    commits = flush_commits(x.p);
    for (int i = 0; i < 20000 && drops_left(x.p->drops); i++) {
        if (i == 100) /* by then the drop waits for it */
            clock_manual_advance(&x.clock, NSEC_PER_SEC + 1);
        usleep(1000);
    }
    cr_assert(ends());
    cr_assert_eq(atomic_load(&commits_at_step), commits); /* when it has ended a flush may begin */
    fixture_teardown(&x);
}
