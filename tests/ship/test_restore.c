// SPDX-License-Identifier: Apache-2.0
/* Claims of restores: another machine, another moment, and what is damaged. */
#include "archive_pins.h"
#include "archive_read.h"
#include "archive_text.h"
#include "items_file.h"
#include "shards.h"
#include "ship_fixture.h"

static struct vault v;

static void up(void)
{
    vault_up(&v);
}
static void down_all(void)
{
    vault_down(&v);
}

TestSuite(restore, .init = up, .fini = down_all);

Test(restore, a_name_that_was_not_there_is_said)
{
    ship(&v);
    refused(&v.w.x, "restore other new", -ENOENT, "the archive has no namespace other now");
}

Test(restore, a_time_without_a_fraction_is_the_end_of_its_second)
{
    struct restore_ask ask = {.name = "main"};

    cr_assert_eq(restore_moment("1970-01-01T00:00:02Z", 0, &ask), 0);
    cr_assert(ask.when == RESTORE_TIME && ask.time == 3 * NSEC_PER_SEC - 1);
    cr_assert_eq(restore_moment("1970-01-01T00:00:02.5Z", 0, &ask), 0);
    cr_assert_eq(ask.time, 5 * NSEC_PER_SEC / 2);
    cr_assert_eq(restore_moment("17", 0, &ask), 0);
    cr_assert(ask.when == RESTORE_SEQ && ask.seq == 17);
    cr_assert_eq(restore_moment("noon", 0, &ask), -EINVAL);
}

Test(restore, an_age_is_before_now)
{
    struct restore_ask ask = {.name = "main"};

    cr_assert_eq(restore_moment("10m", 3600 * NSEC_PER_SEC, &ask), 0);
    cr_assert(ask.when == RESTORE_TIME && ask.time == 3000 * NSEC_PER_SEC);
    cr_assert_eq(restore_moment("-10m", 3600 * NSEC_PER_SEC, &ask), -EINVAL);
    ship(&v);
    agreed(&v.w.x, "restore main@0s ago wait", "ok ns=ago");
    refused(&v.w.x, "restore main@36500d older dry-run", -ENOENT, "nothing of that moment");
}

/* ---- more items than stand beside a front ---- */

#define FILES 20000u
#define NAME_BYTES 200

/* So many files with names so long that their items get a body of their own. */
static void put_many_files(void)
{
    uint64_t dir = node_of(&v.w.x, "main");
    char name[NAME_BYTES + 20];
    struct vfs_attr a;

    memset(name, 'n', NAME_BYTES);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(name + NAME_BYTES, 20, "%u", i);
        cr_assert_eq(vfs_mknod(v.w.x.p, dir, name, S_IFREG | 0644, 0, &fixture_cred, &a), 0);
        vfs_forget(v.w.x.p, a.nodeid, 1);
    }
}

/* The name of the body of the last segment, and how long it is; 0: there is none. */
static uint64_t last_body(char name[ARCHIVE_NAME_MAX + 1])
{
    struct ship_stats s = ship_stats_of(&v);
    char why[SHARD_WHY];
    struct shard *shard;
    uint64_t size = 0;

    archive_body_name(s.lineage, s.at, name);
    cr_assert_eq(shard_open("mem:vault", SHARD_READONLY, &shard, why), 0, "%s", why);
    (void)shard_stat(shard, name, &size);
    shard_close(shard);
    return size;
}

Test(restore, a_namespace_whose_items_have_a_body_comes_back)
{
    char name[ARCHIVE_NAME_MAX + 1];
    struct digest was;

    put_many_files();
    ship(&v);
    cr_assert_gt(last_body(name), ITEMS_INLINE, "%s has %llu bytes", name,
                 (unsigned long long)last_body(name));
    was = digest_of(&v, "main");
    restores(&v, "main", atomic_load(&v.w.x.p->seq), &was);
    cr_assert_eq(shard_mem_flip(v.mem, name, ITEMS_INLINE / 2, 1), 0);
    refused(&v.w.x, "restore main back wait", -EUCLEAN, "does not make the tree that was shipped");
    cr_assert_eq(node_of(&v.w.x, "back"), 0);
}

/* ---- pins ---- */

static size_t count_pins(void)
{
    struct archive_pins pins;
    char why[SHARD_WHY];
    struct shard *shard;

    cr_assert_eq(shard_open("mem:vault", SHARD_READONLY, &shard, why), 0, "%s", why);
    cr_assert_eq(archive_pins_read(shard, &pins), 0);
    free(pins.v);
    shard_close(shard);
    return pins.count;
}

/* From now on the store only reads there, and has nothing of main any more. */
static void only_read(void)
{
    struct archive_format format;
    char why[SHARD_WHY];
    struct shard *shard;

    agreed(&v.w.x, "archive remove", "ok");
    agreed(&v.w.x, "drop main now", "ok");
    agreed(&v.w.x, "drain", "ok");
    cr_assert_eq(shard_open("mem:vault", SHARD_READONLY, &shard, why), 0, "%s", why);
    cr_assert_eq(archive_read_format(shard, &format), 0);
    shard_close(shard);
    cr_assert_eq(shards_add_archive(v.w.x.p->shards, 9, "mem:vault", format.id, 1, false, why), 0,
                 "%s", why);
}

static void plan_and_pin(struct restore_plan *ret)
{
    const struct restore_ask ask = {.name = "main", .when = RESTORE_LAST};
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;

    cr_assert_eq(restore_plan(v.w.x.p, 9, &ask, ret, &why), 0, "%s", why.s);
    cr_assert_eq(restore_pin(v.w.x.p, ret, &why), 0, "%s", why.s);
    cr_assert_eq(count_pins(), 1);
}

Test(restore, a_restore_that_failed_leaves_no_pin)
{
    char name[ARCHIVE_NAME_MAX + 1];

    put_bytes(&v.w, "main/first", 100000, 1);
    put_many_files();
    ship(&v);
    cr_assert_gt(last_body(name), ITEMS_INLINE);
    only_read();
    cr_assert_eq(shard_mem_flip(v.mem, name, ITEMS_INLINE / 2, 1), 0);
    refused(&v.w.x, "restore main back wait", -EUCLEAN, "does not make the tree that was shipped");
    cr_assert_eq(count_pins(), 0);
    cr_assert_eq(shard_mem_flip(v.mem, name, ITEMS_INLINE / 2, 1), 0);
    agreed(&v.w.x, "restore main back wait", "ok ns=back");
    cr_assert_eq(count_pins(), 1);
}

Test(restore, a_restore_that_does_not_begin_leaves_no_pin)
{
    struct restore_plan plan;

    put_bytes(&v.w, "main/a", 30000, 1);
    ship(&v);
    only_read();
    plan_and_pin(&plan);
    restore_unpin(v.w.x.p, &plan, NULL);
    restore_plan_release(&plan);
    cr_assert_eq(count_pins(), 0);
}

Test(restore, a_pin_stays_while_something_of_the_restore_is_here)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct restore_result r;
    struct restore_plan plan;

    put_bytes(&v.w, "main/a", 30000, 1);
    ship(&v);
    only_read();
    plan_and_pin(&plan);
    cr_assert_eq(restore_run(v.w.x.p, &plan, "back", NULL, NULL, &r, &why), 0, "%s", why.s);
    cr_assert_eq(r.ghosts, 1);
    restore_unpin(v.w.x.p, &plan, &r);
    restore_plan_release(&plan);
    cr_assert_eq(count_pins(), 1);
}

Test(restore, a_pin_stays_if_something_older_has_its_bytes_there_now)
{
    const struct restore_result r = {.moved = 1};
    struct restore_plan plan;

    put_bytes(&v.w, "main/a", 30000, 1);
    ship(&v);
    only_read();
    plan_and_pin(&plan);
    restore_unpin(v.w.x.p, &plan, &r);
    restore_plan_release(&plan);
    cr_assert_eq(count_pins(), 1);
}

/* ---- ids ---- */

static void all_alike(struct id *id)
{
    memset(id, 7, sizeof *id);
}

/* Its bytes died here, while other bytes of the same hash have the next id of the chain. */
Test(restore, a_content_whose_id_is_a_chain_marker_here_comes_back)
{
    struct digest was;
    uint64_t seq;

    v.w.x.p->id_key.fold = all_alike;
    put_bytes(&v.w, "main/a", 3000, 1);
    put_bytes(&v.w, "main/b", 3000, 2);
    ship(&v);
    was = digest_of(&v, "main");
    seq = atomic_load(&v.w.x.p->seq);
    remove_file(&v.w.x, "main/a");
    ship(&v);
    cr_assert_eq(flush_drain(v.w.x.p, true, -1, NULL), 0);
    restores(&v, "main", seq, &was);
}
