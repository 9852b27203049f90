// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of draining: what counts as done, and that who gave it a time is answered then, whatever a
 * disk that does not answer makes others hold.
 */
#include "picky.h"

#include "disk_impl.h"
#include "drain.h"
#include "report.h"
#include "store_impl.h"
#include "refs_impl.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(drain, .init = up, .fini = down);

/* Somebody who waits for the disk while he counts references. */
static struct {
    pthread_t thread;
    _Atomic bool has, let_go;
} counting;

static void *hold_refs(void *arg)
{
    MUTEX_GUARD(&x.p->refs->lock);
    (void)arg;
    atomic_store(&counting.has, true);
    while (!atomic_load(&counting.let_go))
        sched_yield();
    return NULL;
}

static void count_slowly(void)
{
    atomic_store(&counting.has, false);
    atomic_store(&counting.let_go, false);
    cr_assert_eq(pthread_create(&counting.thread, NULL, hold_refs, NULL), 0);
    while (!atomic_load(&counting.has))
        sched_yield();
}

static void count_on(void)
{
    atomic_store(&counting.let_go, true);
    pthread_join(counting.thread, NULL);
}

Test(drain, where_nothing_is_pending_any_time_is_enough)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok seq=");
    for (int i = 0; i < 20; i++) {
        agreed(&x, "drain 0ms", "ok seq=");
        agreed(&x, "drain 1ms", "ok seq=");
        agreed(&x, "drain 0", "ok seq=");
        agreed(&x, "drain idle 0ms", "ok seq=");
        cr_assert_eq(flush_drain(x.p, false, 0, NULL), 0);
        cr_assert_eq(flush_drain(x.p, true, 0, NULL), 0);
    }
}

Test(drain, what_is_pending_when_the_time_is_over_is_named)
{
    put_file(&x, "main/a", "hello");
    WRITE_GUARD(&x.p->freeze_lock); /* no flush begins */
    refused(&x, "drain 0ms", -ETIMEDOUT, "not all is durable: seq=");
    refused(&x, "drain 0ms", -ETIMEDOUT,
            "unsealed=1, dropped pages to work off 0, objects to delete 0");
}

Test(drain, who_gave_it_a_time_does_not_wait_for_a_lock_that_a_slow_disk_holds)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok seq=");
    {
        WRITE_GUARD(&x.p->freeze_lock);
        agreed(&x, "drain 0ms", "ok seq=");
        count_slowly();
        refused(&x, "drain 0ms", -ETIMEDOUT, "objects to delete not known");
        count_on();
        agreed(&x, "drain 0ms", "ok seq=");
    }
    agreed(&x, "drain", "ok seq=");
}

Test(drain, drains_that_are_stuck_do_not_make_the_next_one_late)
{
    agreed(&x, "drain", "ok seq=");
    WRITE_GUARD(&x.p->freeze_lock);
    for (int i = 0; i < 70; i++)
        agreed(&x, "drain 0ms", "ok seq=");
}

Test(drain, a_round_that_ends_late_is_a_success_if_all_is_done)
{
    struct drain_left left;
    put_file(&x, "main/a", "hello");
    put_file(&x, "main/b", "world");
    remove_file(&x, "main/a");
    cr_assert_not(drain_done(x.p, false, state_seq(x.p)));
    while (flush_drain(x.p, true, 0, NULL) == -ETIMEDOUT) /* each gets something done */
        ;
    cr_assert(drain_done(x.p, true, state_seq(x.p)));
    drain_look(x.p, &left);
    cr_assert_eq(left.seq, left.durable);
    cr_assert_eq(left.unsealed + left.dying + left.flushes + left.dropped_pages, 0);
}

/* Called twice in each round: somebody writes a file and removes it, and drops a namespace. */
static unsigned written;
static uint64_t write_and_remove(struct state *p)
{
    put_file(&x, "main/busy", "to be removed");
    cr_assert_eq(vfs_unlink(p, node_of(&x, "main"), "busy"), 0);
    agreed(&x, "branch main busy", "ok");
    put_file(&x, "busy/a", "in the branch");
    agreed(&x, "drop busy", "ok");
    written++;
    return 0;
}

static void begin_to_write(void)
{
    static struct flush_hooks hooks;

    hooks = *x.p->flush->hooks;
    hooks.ghosts_released = write_and_remove;
    x.p->flush->hooks = &hooks;
}

/* The number of the only object. */
static uint64_t only_number(void)
{
    uint64_t number = 1;
    struct entry e;

    while (refs_entry(x.p->refs, number, false, NULL, &e) < 0)
        number++;
    return number;
}

/* What the last commit says of the number. */
static int committed(unsigned table, uint64_t number)
{
    const void *val;
    struct kv_snap *s;
    size_t len;
    int err;

    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    err = kv_snap_get_number(s, table, number, &val, &len);
    kv_snap_end(s);
    return err;
}

Test(drain, beside_writers_who_never_rest_it_ends_and_what_was_dead_before_it_is_gone, .timeout = 60)
{
    uint64_t number;

    put_file(&x, "main/a", "dead before the drain");
    number = only_number();
    agreed(&x, "drain", "ok seq=");
    cr_assert_eq(committed(TABLE_OBJECTS, number), 0);
    cr_assert_eq(vfs_unlink(x.p, node_of(&x, "main"), "a"), 0);
    begin_to_write();
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    cr_assert_gt(written, 0);
    cr_assert_eq(committed(TABLE_OBJECTS, number), -ENOENT);
    cr_assert_eq(committed(TABLE_DYING, number), -ENOENT, "its bytes are gone");
}

Test(drain, beside_writers_who_never_rest_one_that_waits_for_idle_goes_on, .timeout = 60)
{
    struct drain d = drain_begin(x.p, true, -1, NULL);

    put_file(&x, "main/a", "hello");
    begin_to_write();
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(drain_step(&d), 1);
}

static void drop_branch(void)
{
    agreed(&x, "branch main gone", "ok");
    put_file(&x, "gone/a", "in the branch");
    agreed(&x, "drop gone", "ok");
}

static unsigned droppers; /* branches that others drop before each step */
static unsigned steps;
static size_t more_changes; /* that each step makes beside its own */

int __real_drops_step(struct drops *d, unsigned budget, unsigned *ret_done);
int __wrap_drops_step(struct drops *d, unsigned budget, unsigned *ret_done);
int __wrap_drops_step(struct drops *d, unsigned budget, unsigned *ret_done)
{
    steps++;
    return __real_drops_step(d, budget, ret_done);
}

size_t __real_refs_changes(struct refs *r);
size_t __wrap_refs_changes(struct refs *r);
size_t __wrap_refs_changes(struct refs *r)
{
    unsigned others = droppers;

    droppers = 0; /* they ask, too */
    for (unsigned i = 0; i < others; i++)
        drop_branch();
    droppers = others;
    return __real_refs_changes(r) + steps * more_changes;
}

Test(drain, beside_others_who_drop_more_than_it_works_off_it_ends, .timeout = 60)
{
    drop_branch();
    droppers = 5;
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    cr_assert_gt(drops_left(x.p->drops), 0);
}

Test(drain, a_commit_comes_between_the_changes_of_a_large_drop)
{
    struct drain d = drain_begin(x.p, false, -1, NULL);
    char name[32];

    agreed(&x, "branch main large", "ok");
    for (unsigned i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "large/a name of a file %u", i);
        put_file(&x, name, name);
    }
    agreed(&x, "drop large", "ok");
    more_changes = 60000;
    cr_assert_eq(drain_step(&d), 1);
    cr_assert_eq(steps, 2);
    cr_assert(d.drops_left);
    steps = 0;
    more_changes = 200000;
    cr_assert_eq(drain_step(&d), 1);
    cr_assert_eq(steps, 1, "each round does something");
}

Test(drain, a_round_works_off_what_the_one_before_it_left_and_no_later_drops)
{
    struct drain d = drain_begin(x.p, false, 0, NULL);

    drop_branch();
    cr_assert_eq(drain_step(&d), -ETIMEDOUT);
    cr_assert(d.drops_left);
    cr_assert_eq(d.dropped, drops_pushed(x.p->drops));
    drop_branch();
    d.until = -1;
    cr_assert_eq(drain_step(&d), 1);
    cr_assert_lt(d.dropped, drops_pushed(x.p->drops));
    cr_assert_eq(drain_step(&d), 1);
    cr_assert_eq(d.dropped, drops_pushed(x.p->drops), "the next one takes these");
}

Test(drain, one_that_is_interrupted_ends)
{
    static const _Atomic bool yes = true;
    put_file(&x, "main/a", "hello");
    cr_assert_eq(flush_drain(x.p, false, -1, &yes), -EINTR);
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
}

/* ---- bytes that cannot be deleted ---- */

static void put_large(const char *path)
{
    uint8_t *bytes = calloc(1, 300000);
    struct vfs_file *f;

    put_file(&x, path, "begins so");
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, bytes, 300000, 0), 300000);
    vfs_release(f);
    free(bytes);
}

static uint64_t undeleted(void)
{
    struct refs_stats s;

    refs_get_stats(x.p->refs, &s);
    cr_assert_eq(s.dying, 0);
    return s.undeleted;
}

static int add_one(const char *name, void *ctx)
{
    (void)name;
    ++*(unsigned *)ctx;
    return 0;
}

/* Files of objects and slots. */
static unsigned files(void)
{
    char dir[16];
    unsigned n = 0;

    cr_assert_eq(disk_list(x.disk, "slots", add_one, &n), 0);
    for (unsigned i = 0; i < 256; i++) {
        snprintf(dir, sizeof dir, "objects/%02x", i);
        int err = disk_list(x.disk, dir, add_one, &n);
        cr_assert(err == 0 || err == -ENOENT);
    }
    return n;
}

/* Removals of such names fail; each commit tries once more, and a drain waits for none. */
static void is_counted_and_tried_again(const char *names, unsigned left)
{
    picky_refuse(names, -EIO);
    picky.removals = true;
    cr_assert_eq(flush_drain(x.p, true, 60 * NSEC_PER_SEC, NULL), 0);
    cr_assert_eq(undeleted(), 1);
    cr_assert(flush_is_idle(x.p));
    agreed(&x, "status", " undeleted=1 ");
    cr_assert_eq(flush_reclaim_dead(x.p, SIZE_MAX), 0, "it is tried once per commit");
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(flush_now(x.p), 0);
        cr_assert_eq(undeleted(), 1);
    }
    cr_assert_gt(files(), left);
    picky_refuse("", 0);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(undeleted(), 0);
    cr_assert_eq(files(), left);
}

static void open_picky(void)
{
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(picky_open(&x), 0);
    put_large("main/large");
}

Test(drain, a_file_that_cannot_be_deleted_is_counted_and_deleted_later)
{
    open_picky();
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    remove_file(&x, "main/large");
    is_counted_and_tried_again("objects/", 0);
}

Test(drain, so_is_a_slot_which_is_needed_by_nobody_then)
{
    unsigned sealed;

    open_picky();
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    sealed = files();
    remove_file(&x, "main/large");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    put_large("main/large");
    cr_assert_eq(seal_pass(x.p, SEAL_CLOSED, -1), 0); /* sealing removes sums, too */
    is_counted_and_tried_again("slots/", sealed);
}

/* ---- what is not removed ---- */

static const struct disk_ops *disk_whole;

static int unlink_no_pack(struct disk *d, const char *name)
{
    return strncmp(name, "packs/", 6) == 0 ? -EIO : disk_whole->unlink(d, name);
}

static bool pack_1_has_a_file(void)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    pack_name(1, name);
    if (disk_open(x.disk, name, DISK_READ, &f) < 0)
        return false;
    disk_file_close(f);
    return true;
}

/* Everything is durable, and the next start removes a pack that no table names. */
Test(drain, a_pack_that_cannot_be_removed_fails_none)
{
    static struct disk_ops ops;
    struct packs_stats packs;

    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok seq=");
    remove_file(&x, "main/a");
    ops = *(disk_whole = x.disk->ops);
    ops.unlink = unlink_no_pack;
    x.disk->ops = &ops;
    report_reset();
    agreed(&x, "drain", "ok seq=");
    packs_get_stats(x.p->packs, &packs);
    cr_assert_eq(packs.packs, 0);
    cr_assert_gt(report_count(REPORT_NOTE), 0, "it is in the journal");
    x.disk->ops = disk_whole;
    cr_assert(pack_1_has_a_file());
    fixture_reopen(&x);
    cr_assert(!pack_1_has_a_file());
}
