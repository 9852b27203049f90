// SPDX-License-Identifier: Apache-2.0
/* test_rebuild: rebuild mends counts and nothing else, and lowers none where it cannot see all. */
#include "disk_impl.h"
#include "job.h"
#include "kv_impl.h"
#include "plant.h"
#include "rebuild.h"
#include "view.h"

static void rebuild(struct fixture *x, uint64_t expected)
{
    uint64_t changed = 0;

    fixture_open(x);
    cr_assert_eq(rebuild_store(x->p, NULL, &changed), 0);
    cr_assert_eq(changed, expected, "%llu changed", (unsigned long long)changed);
    down_clean(x);
}

Test(rebuild, a_sound_store_is_left_alone)
{
    struct fixture x;
    struct findings f;

    setup(&x);
    rebuild(&x, 0);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

static void is_known(struct fixture *x, bool known)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    cr_assert_eq(view_namespace(x->p, vfs_node_ns(node_of(x, "main")), VIEW_NS_USAGE, &text), 0);
    cr_assert_eq(strstr(text.s, "unknown") == NULL, known, "%s", text.s);
}

static void count_first(struct fixture *x, bool by_scrub)
{
    uint64_t changed = 0;

    cr_assert_eq(by_scrub ? rebuild_first_usage(x->p, NULL) : rebuild_store(x->p, NULL, &changed),
                 0);
    cr_assert(by_scrub || changed == 2); /* the branch, too */
}

/* What is changed before the count is committed, and what after, are in it. */
static void is_counted_for_the_first_time(bool by_scrub)
{
    struct fixture x;
    struct findings f;

    plant_setup(&x);
    plant_uncounted(&x);
    fixture_reopen(&x);
    branch(&x, "main", "dev");
    put_file(&x, "main/new", "new");
    cr_assert_eq(flush_now(x.p), 0);
    put_file(&x, "main/newer", "newer");
    is_known(&x, false);
    count_first(&x, by_scrub);
    is_known(&x, true);
    put_file(&x, "main/newest", "newest");
    down_clean(&x);
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    fixture_teardown(&x);
}

Test(rebuild, what_no_version_has_counted_is_counted)
{
    is_counted_for_the_first_time(false);
}

Test(rebuild, a_scrub_counts_what_no_version_has_counted)
{
    is_counted_for_the_first_time(true);
}

Test(rebuild, what_the_inodes_of_a_namespace_take_is_mended)
{
    struct fixture x;
    struct findings f;

    plant_setup(&x);
    plant_usage(&x);
    down_clean(&x);
    rebuild(&x, 1);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, object_counts_too_high_and_too_low_are_mended)
{
    struct fixture x;
    struct findings f;
    struct found high, low;

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &high);
    alter(&x, TABLE_OBJECTS, &high, 2, 0);
    pick(&x, TABLE_OBJECTS, in_file, &low);
    cr_assert_geq(entry_of(&low).count, 1);
    alter(&x, TABLE_OBJECTS, &low, 1, entry_of(&low).count & 1 ? 0 : 1);
    rebuild(&x, 2);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, page_counts_are_mended)
{
    struct fixture x;
    struct findings f;
    struct found at;

    setup(&x);
    pick(&x, TABLE_PAGE_COUNTS, NULL, &at);
    alter(&x, TABLE_PAGE_COUNTS, &at, 3, 7); /* by more than an int holds */
    rebuild(&x, 1);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, a_page_nobody_names_is_freed)
{
    struct fixture x;
    struct findings f;
    uint8_t key[8], page[PAGE_SIZE_BYTES];

    setup(&x);
    put_be64(key, UINT64_C(1) << 40);
    page_init(page, UINT64_C(1) << 40, 0);
    page_seal(page);
    put(&x, TABLE_PAGES, key, page, sizeof page);
    examine(&x, &f);
    cr_assert(strstr(f.text, "leak|page 1099511627776|"), "%s", f.text);
    rebuild(&x, 1);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, damage_raises_counts_and_lowers_none)
{
    struct fixture x;
    struct findings f;
    struct found leaf;
    uint64_t changed = 0;
    char where[32];

    setup(&x);
    pick(&x, TABLE_PAGES, with_objects, &leaf);
    flip(&x, TABLE_PAGES, &leaf, 4000, 3);
    fixture_open(&x);
    cr_assert_eq(rebuild_store(x.p, NULL, &changed), -EUCLEAN);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    down(&x);
    examine(&x, &f); /* nothing but the page, whose objects are all still counted and there */
    snprintf(where, sizeof where, "page %llu", (unsigned long long)get_be64(leaf.key));
    is_only(&f, "page", where);
    flip(&x, TABLE_PAGES, &leaf, 4000, 3);
    is_clean(&x, &f);
    fixture_teardown(&x);
}

Test(rebuild, pins_are_kept)
{
    struct fixture x;
    struct findings f;
    struct found at;
    uint8_t none;
    size_t len;

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &at);
    fixture_open(&x);
    cr_assert_eq(refs_pin(x.p->refs, get_be64(at.key)), 0);
    down_clean(&x);
    is_clean(&x, &f);
    rebuild(&x, 0);
    is_clean(&x, &f);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    cr_assert_eq(kv_get(x.kv, TABLE_PINS, at.key, 8, &none, 1, &len), 0);
    fixture_teardown(&x);
}

/* A row of a store that is not open is lost. */
static void lose_row(struct fixture *x, unsigned table, const struct found *at)
{
    struct kv_txn *t;

    cr_assert_eq(kv_open_mem(x->mem, store_tables, store_table_count, 0, &x->kv), 0);
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    cr_assert_eq(kv_del(t, table, at->key, 8), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(x->kv);
}

/* An object in a pack, pinned, whose row among the pins is lost. Its count is in `at`. */
static void lose_pin(struct fixture *x, struct found *at, uint32_t *ret_count)
{
    struct entry e;

    setup(x);
    pick(x, TABLE_OBJECTS, in_pack, at);
    fixture_open(x);
    cr_assert_eq(refs_pin(x->p->refs, get_be64(at->key)), 0);
    cr_assert_eq(refs_entry(x->p->refs, get_be64(at->key), false, NULL, &e), 0);
    *ret_count = e.count;
    down_clean(x);
    lose_row(x, TABLE_PINS, at);
}

static void is_pinned(struct fixture *x, const struct found *at, uint32_t count)
{
    struct entry e;
    uint8_t none;
    size_t len;

    fixture_open(x);
    cr_assert_eq(kv_get(x->kv, TABLE_PINS, at->key, 8, &none, 1, &len), 0);
    cr_assert_eq(refs_entry(x->p->refs, get_be64(at->key), false, NULL, &e), 0);
    cr_assert_eq(e.count, count);
    cr_assert(e.pinned);
    down_clean(x);
}

Test(rebuild, a_lost_pin_still_counts_and_is_put_back)
{
    struct fixture x;
    struct findings f;
    struct found at;
    uint32_t count;
    char where[64];

    lose_pin(&x, &at, &count);
    examine(&x, &f);
    snprintf(where, sizeof where, "object number %llu", (unsigned long long)get_be64(at.key));
    is_only(&f, "pin", where);
    rebuild(&x, 1);
    is_clean(&x, &f);
    is_pinned(&x, &at, count);
    rebuild(&x, 0);
    fixture_teardown(&x);
}

/* A row that cannot be read hides nothing that the entry does not say. */
Test(rebuild, a_damaged_pin_is_put_back)
{
    struct fixture x;
    struct findings f;
    struct found at;
    uint64_t changed;
    uint32_t count;

    lose_pin(&x, &at, &count);
    put(&x, TABLE_PINS, at.key, "", 0);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_PINS, at.key, 8, 0, 0), 0);
    fixture_open(&x);
    cr_assert_eq(rebuild_store(x.p, NULL, &changed), -EUCLEAN, "it was damaged");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    down(&x);
    is_clean(&x, &f);
    is_pinned(&x, &at, count);
    fixture_teardown(&x);
}

/* Entries of older versions do not say that they are pinned. */
Test(rebuild, an_entry_learns_of_a_pin_that_it_does_not_know)
{
    uint8_t buf[ENTRY_MAX];
    struct fixture x;
    struct findings f;
    struct found at;
    struct entry e;
    uint32_t count;

    lose_pin(&x, &at, &count);
    cr_assert_eq(entry_decode(at.val, at.len, &e), 0);
    cr_assert(!e.pinned);
    e.count = count;
    put(&x, TABLE_OBJECTS, at.key, buf, entry_encode(&e, buf));
    put(&x, TABLE_PINS, at.key, "", 0);
    is_clean(&x, &f);
    rebuild(&x, 1);
    is_clean(&x, &f);
    is_pinned(&x, &at, count);
    fixture_teardown(&x);
}

/* ---- beside another that recounts: a sweep, a GC cycle, a scrub ---- */

/* Somebody recounts, and a rebuild that a user asked for, job 1, waits at the workers. */
static void one_waits(struct fixture *x)
{
    struct workers_stats workers;
    struct job j;

    fixture_setup(x);
    put_file(x, "main/a", "hello");
    atomic_store(&x->p->scrub->recounting, true);
    agreed(x, "rebuild", "ok job=1\n");
    for (int i = 0;; i++) {
        workers_get_stats(x->p->workers, &workers);
        if (workers.of[WORKERS_LONG_IDLE].resting)
            return;
        cr_assert_eq(job_get(x->p, 1, &j), 0);
        cr_assert(!job_is_over(&j), "it ended with %d", j.error);
        cr_assert_lt(i, 60000, "it does not wait");
        usleep(1000);
    }
}

Test(rebuild, one_that_a_user_asks_for_waits_until_nobody_else_recounts)
{
    struct fixture x;

    one_waits(&x);
    agreed(&x, "rebuild", "ok job=1\n");
    atomic_store(&x.p->scrub->recounting, false);
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    agreed(&x, "wait 1", "ok changed=0\n");
    fixture_teardown(&x);
}

Test(rebuild, one_that_waits_can_be_cancelled)
{
    struct fixture x;

    one_waits(&x);
    agreed(&x, "cancel 1", "ok");
    refused(&x, "wait 1", -ECANCELED, "job 1 was cancelled");
    cr_assert(atomic_load(&x.p->scrub->recounting), "the other goes on");
    fixture_teardown(&x);
}

Test(rebuild, the_end_of_the_store_does_not_wait_for_one_that_waits)
{
    struct fixture x;

    one_waits(&x);
    fixture_reopen(&x);
    fixture_teardown(&x);
}

Test(rebuild, one_that_is_a_part_of_other_work_is_not_waited_for)
{
    struct fixture x;
    struct job *j;
    uint64_t changed;

    fixture_setup(&x);
    atomic_store(&x.p->scrub->recounting, true);
    cr_assert_eq(job_start(x.p, "sweep", "", &j), 0);
    cr_assert_eq(rebuild_part(x.p, j, &changed), -EBUSY);
    cr_assert_eq(rebuild_store(x.p, NULL, &changed), -EBUSY);
    job_end(x.p, j, 0);
    atomic_store(&x.p->scrub->recounting, false);
    cr_assert_eq(rebuild_store(x.p, NULL, &changed), 0);
    fixture_teardown(&x);
}

/* ---- while all packs and files are searched ---- */

static const struct kv_ops *kv_below;
static const struct disk_ops *disk_below;
static unsigned snapshots, most, listings;

static int snap_begin(struct kv *kv, struct kv_snap **ret_snap)
{
    int err = kv_below->snap_begin(kv, ret_snap);

    snapshots += err == 0;
    return err;
}

static void snap_end(struct kv_snap *s)
{
    kv_below->snap_end(s);
    snapshots--;
}

static int list_of_places(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    if (strcmp(name, "packs") == 0 || strncmp(name, "objects/", 8) == 0) {
        listings++;
        most = snapshots > most ? snapshots : most;
    }
    return disk_below->list(d, name, fn, ctx);
}

/* A rebuild of the open store that must end well, with the snapshots counted that are open while
 * places are listed. */
static void rebuild_counted(struct fixture *x)
{
    struct kv_ops kv;
    struct disk_ops disk;
    uint64_t changed;

    kv_below = x->kv->ops;
    disk_below = x->disk->ops;
    kv = *kv_below;
    disk = *disk_below;
    kv.snap_begin = snap_begin;
    kv.snap_end = snap_end;
    disk.list = list_of_places;
    x->kv->ops = &kv;
    x->disk->ops = &disk;
    cr_assert_eq(rebuild_store(x->p, NULL, &changed), 0);
    x->kv->ops = kv_below;
    x->disk->ops = disk_below;
}

/* A snapshot keeps commits from using pages of the tables again, so they would grow. */
Test(rebuild, no_snapshot_is_open_while_the_bytes_of_lost_objects_are_searched)
{
    struct fixture x;
    struct findings f;
    struct found pack, file;

    setup(&x);
    pick(&x, TABLE_OBJECTS, in_pack, &pack);
    pick(&x, TABLE_OBJECTS, in_file, &file);
    lose_row(&x, TABLE_OBJECTS, &pack);
    lose_row(&x, TABLE_OBJECTS, &file);
    fixture_open(&x);
    rebuild_counted(&x);
    cr_assert_gt(listings, 0);
    cr_assert_eq(snapshots, 0);
    cr_assert_eq(most, 0, "%u", most);
    down_clean(&x);
    is_clean(&x, &f);
    fixture_teardown(&x);
}
