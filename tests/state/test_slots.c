// SPDX-License-Identifier: Apache-2.0
/*
 * test_slots: what is synced of a slot, and when. Small writes to one that is synced again and
 * again are in the log; whatever is lost with the power, what fsync acknowledged is there.
 */
#include "disk_impl.h"
#include "fixture.h"
#include "io.h"
#include "store_impl.h"

#define KIB ((size_t)1024)
#define LARGE (300 * KIB) /* above pack_limit */
#define SMALL (4 * KIB)

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void gone(void)
{
    fixture_teardown(&x);
}
TestSuite(slots, .init = up, .fini = gone);

static void write_at(const char *path, size_t off, size_t len, int fill)
{
    CLEANUP_FREE char *buf = malloc(len);
    struct vfs_file *f;

    memset(buf, fill, len);
    if (!node_of(&x, path))
        put_file(&x, path, "");
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, buf, len, off), (ssize_t)len);
    vfs_release(f);
}

/* Are bytes `off` to `end` all `fill`? */
static bool has(const char *path, size_t off, size_t end, int fill)
{
    CLEANUP_FREE char *buf = malloc(end - off);
    struct vfs_file *f;
    bool same = true;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0, "%s", path);
    cr_assert_eq(vfs_read(f, buf, end - off, off), (ssize_t)(end - off));
    vfs_release(f);
    for (size_t i = 0; i < end - off; i++)
        same = same && buf[i] == (char)fill;
    return same;
}

static void sync_all(void)
{
    cr_assert_eq(flush_sync(x.p), 0);
}

static void dies(enum fault_loss loss)
{
    store_abandon(x.p);
    kv_close(x.kv);
    x.fault.loss = loss;
    x.fault.seed = 7;
    if (loss != FAULT_KEEP_ALL)
        disk_mem_power_cycle(x.disk);
    fixture_open(&x);
}

/* What a sync costs: changes of the disk. */
static uint64_t cost_of_sync(void)
{
    uint64_t before = atomic_load(&x.fault.writes);

    sync_all();
    return atomic_load(&x.fault.writes) - before;
}

static bool is_clean(void)
{
    return TAILQ_EMPTY(&x.p->contents.dirty);
}

Test(slots, a_small_write_after_a_sync_is_in_the_log)
{
    write_at("main/f", 0, LARGE, 'a');
    cr_assert(!is_clean());
    sync_all();
    write_at("main/f", LARGE, SMALL, 'b');
    cr_assert(is_clean());
    sync_all();
    dies(FAULT_LOSE_ALL);
    cr_assert(has("main/f", 0, LARGE, 'a'));
    cr_assert(has("main/f", LARGE, LARGE + SMALL, 'b'));
}

Test(slots, a_sync_costs_the_same_for_many_of_them)
{
    uint64_t one;

    for (char name[] = "main/a"; name[5] < 'i'; name[5]++)
        write_at(name, 0, LARGE, 'a');
    sync_all();
    write_at("main/a", LARGE, SMALL, 'b');
    one = cost_of_sync();
    for (char name[] = "main/a"; name[5] < 'i'; name[5]++)
        write_at(name, LARGE, SMALL, 'b');
    cr_assert_eq(cost_of_sync(), one);
}

Test(slots, a_slot_that_was_never_synced_is_not_copied_to_the_log)
{
    struct log_stats before, after;

    write_at("main/f", 0, LARGE, 'a');
    log_get_stats(x.p->log, &before);
    write_at("main/f", LARGE, SMALL, 'b');
    log_get_stats(x.p->log, &after);
    cr_assert_lt(after.frame_bytes - before.frame_bytes, SMALL);
}

Test(slots, no_more_than_the_credit_is_in_the_log)
{
    write_at("main/f", 0, LARGE, 'a');
    sync_all();
    for (size_t off = 0; off < SLOT_LOGGED_MAX; off += SMALL) {
        cr_assert(is_clean());
        write_at("main/f", LARGE + off, SMALL, 'b');
    }
    write_at("main/f", 0, SMALL, 'c');
    cr_assert(!is_clean());
    sync_all();
    write_at("main/f", 0, SMALL, 'd');
    cr_assert(is_clean(), "the sync of the slot gave it anew");
}

Test(slots, neither_a_large_write_nor_one_behind_a_gap_is_in_the_log)
{
    write_at("main/f", 0, LARGE, 'a');
    sync_all();
    write_at("main/f", 0, SLOT_LOGGED_WRITE + 1, 'b');
    cr_assert(!is_clean());
    sync_all();
    write_at("main/f", LARGE + 1, SMALL, 'c');
    cr_assert(!is_clean());
    sync_all();
    dies(FAULT_LOSE_ALL);
    cr_assert(has("main/f", LARGE + 1, LARGE + 1 + SMALL, 'c'));
}

Test(slots, an_old_write_of_the_log_does_not_cover_what_the_slot_got_later)
{
    write_at("main/f", 0, LARGE, 'a');
    sync_all();
    write_at("main/f", SMALL, SMALL, 'b');
    write_at("main/f", 0, LARGE / 2, 'c');
    sync_all();
    write_at("main/f", 0, SMALL, 'd');
    sync_all();
    dies(FAULT_LOSE_ALL);
    cr_assert(has("main/f", 0, SMALL, 'd'));
    cr_assert(has("main/f", SMALL, LARGE / 2, 'c'));
    cr_assert(has("main/f", LARGE / 2, LARGE, 'a'));
}

Test(slots, writes_of_the_log_are_done_again_in_their_order)
{
    write_at("main/f", 0, LARGE, 'a');
    sync_all();
    for (int fill = 'b'; fill < 'h'; fill++)
        write_at("main/f", (size_t)(fill - 'b') * 100, SMALL, fill);
    sync_all();
    dies(FAULT_LOSE_ALL);
    for (int fill = 'b'; fill < 'g'; fill++)
        cr_assert(has("main/f", (size_t)(fill - 'b') * 100, (size_t)(fill - 'a') * 100, fill));
    cr_assert(has("main/f", 500, 500 + SMALL, 'g'));
}

Test(slots, a_write_behind_the_commit_is_done_again)
{
    write_at("main/f", 0, LARGE, 'a');
    cr_assert_eq(flush_run(x.p, SEAL_BUFFERS), 0);
    sync_all();
    write_at("main/f", 1, SMALL, 'b');
    sync_all();
    write_at("main/f", LARGE, SMALL, 'c');
    write_at("main/f", 2, SMALL, 'd');
    sync_all();
    dies(FAULT_LOSE_ALL);
    cr_assert(has("main/f", 1, 2, 'b'));
    cr_assert(has("main/f", 2, 2 + SMALL, 'd'));
    cr_assert(has("main/f", LARGE, LARGE + SMALL, 'c'));
}

/* The sums that a commit wrote, which never was, are not those of what the replay makes. */
Test(slots, sums_of_a_commit_that_was_cut_off_are_not_believed)
{
    struct slot_list l = {0};

    write_at("main/f", 0, LARGE, 'a');
    sync_all();
    write_at("main/f", 0, SMALL, 'b');
    sync_all();
    write_at("main/f", 0, SMALL, 'c'); /* in the slot, but its frame is lost */
    rwlock_wrlock(&x.p->freeze_lock);
    cr_assert_eq(slots_record(x.p, &l), 0);
    rwlock_wrunlock(&x.p->freeze_lock);
    cr_assert_eq(slots_sync_recorded(x.p, &l), 0);
    slot_list_release(&l);
    dies(FAULT_LOSE_ALL);
    cr_assert(has("main/f", 0, SMALL, 'b'));
    cr_assert(has("main/f", SMALL, LARGE, 'a'));
}

/* The frames that spoke of it go with the commit that a recovery ends with. */
Test(slots, what_only_the_page_cache_had_is_synced_by_the_recovery)
{
    write_at("main/f", 0, LARGE, 'a');
    dies(FAULT_KEEP_ALL); /* the daemon alone */
    cr_assert(has("main/f", 0, LARGE, 'a'));
    dies(FAULT_LOSE_ALL);
    cr_assert(has("main/f", 0, LARGE, 'a'));
}

Test(slots, a_deleted_slot_is_let_go_by_the_next_commit)
{
    const char *name;
    uint64_t dir = parent_of(&x, "main/f", &name);

    write_at("main/f", 0, LARGE, 'a');
    cr_assert_eq(vfs_unlink(x.p, dir, name), 0);
    cr_assert(!is_clean(), "a frame still speaks of it");
    cr_assert_eq(flush_run(x.p, SEAL_BUFFERS), 0);
    cr_assert(is_clean());
}

/* ---- a disk that does what a test says ---- */

static const struct disk_ops *whole;
static struct disk_ops changed;
static unsigned syncs; /* of slots */

static void change_disk(void)
{
    whole = x.disk->ops;
    changed = *whole;
    x.disk->ops = &changed;
}

static int open_no_pack(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    return strncmp(name, "packs/", 6) == 0 ? -EACCES : whole->open(d, name, flags, ret);
}

/* A replay knows it as a buffer, which cannot have so many bytes. */
Test(slots, what_no_frame_calls_a_slot_is_not_written_in_the_log)
{
    change_disk();
    changed.open = open_no_pack;
    write_at("main/f", 0, 100 * KIB, 'a');
    (void)seal_settle(x.p); /* it cannot be sealed, and becomes a slot */
    x.disk->ops = whole;
    sync_all();
    write_at("main/f", 100 * KIB, 40 * KIB, 'b');
    sync_all();
    dies(FAULT_LOSE_ALL);
    cr_assert(has("main/f", 0, 100 * KIB, 'a'));
    cr_assert(has("main/f", 100 * KIB, 140 * KIB, 'b'));
}

/* Another write comes while the disk syncs the one before. */
static int sync_and_write(struct disk_file *f)
{
    int err;

    f->ops = whole;
    err = whole->sync(f);
    f->ops = &changed;
    if (syncs++ < 20)
        write_at("main/f", 0, 100 * KIB, 'c');
    return err;
}

static int open_busy_slot(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    int err = whole->open(d, name, flags, ret);

    if (err == 0 && strncmp(name, "slots/", 6) == 0)
        (*ret)->ops = &changed;
    return err;
}

Test(slots, a_sync_ends_while_somebody_goes_on_writing)
{
    change_disk();
    changed.open = open_busy_slot;
    changed.sync = sync_and_write;
    write_at("main/f", 0, LARGE, 'a');
    sync_all();
    cr_assert_eq(syncs, 1);
}
