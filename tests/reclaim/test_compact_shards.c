// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of compaction on other shards: packs there of which little is alive are left and go, within
 * the shard; what cannot be asked is left out; a cut leaves every file readable.
 */
#include "away.h"

#include "archive_store.h"

#include <inttypes.h>

#define FILES 120

static struct away a;
#define x (a.store)

static bool stays(int i)
{
    return i % 4 == 0;
}

static void remove_most(void)
{
    char path[64];

    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "main/f%d", i);
        if (!stays(i))
            remove_file(&x, path);
    }
    drained(&x);
}

static void up(void)
{
    away_up(&a);
    make_files(&x, FILES);
    drained(&x);
    cr_assert_eq(send(&x, "f", 0, FILES, 1), FILES);
    remove_most();
}
static void gone(void)
{
    away_down(&a);
}
TestSuite(compact_shards, .init = up, .fini = gone);

static struct compact_result result;

static int compact(void)
{
    return compact_store(x.p, NULL, 50, true, &result);
}

static void files_are(void)
{
    for (int i = 0; i < FILES; i++)
        if (stays(i))
            file_is(&x, i);
}

/* Of the packs on shard 1: bytes that are alive, and bytes of files. */
static void weigh(uint64_t *ret_live, uint64_t *ret_bytes)
{
    struct pack_info k = {.number = 0};

    *ret_live = *ret_bytes = 0;
    while (packs_next_closed(x.p->packs, 1, k.number, &k) == 0) {
        *ret_live += k.entry.live_bytes;
        *ret_bytes += k.entry.file_bytes;
    }
}

static void said_clean(void)
{
    struct findings f;

    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
    files_are();
}

Test(compact_shards, little_is_dead_afterwards_and_all_can_be_read)
{
    uint64_t live, bytes, used = shard_mem_used(a.cold);

    weigh(&live, &bytes);
    cr_assert_lt(live * 2, bytes, "little is alive: %" PRIu64 " of %" PRIu64, live, bytes);
    cr_assert_eq(compact(), 0);
    cr_assert_gt(result.packs, 0);
    cr_assert_eq(result.records, FILES / 4);
    cr_assert_gt(result.freed, 0);
    weigh(&live, &bytes);
    cr_assert_lt(bytes - live, bytes / 20 + 8192, "%" PRIu64 " of %" PRIu64, live, bytes);
    cr_assert_lt(shard_mem_used(a.cold), used / 2);
    cr_assert_eq(place_of(&x, "main/f0").shard, 1, "within its shard");
    files_are();
    cr_assert_eq(compact(), 0);
    cr_assert_eq(result.packs, 0, "nothing is left to do");
    said_clean();
}

Test(compact_shards, what_is_due_at_home_is_compressed_in_the_same_run)
{
    char path[64], text[4096];
    uint64_t live, bytes;

    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "main/home%d", i);
        away_text(1000 + i, text);
        put_file(&x, path, text);
    }
    drained(&x);
    agreed(&x, "set compression rest", "ok");
    drained(&x);
    cr_assert_eq(compact(), 0);
    cr_assert_eq(result.compressed, 20);
    cr_assert_eq(place_of(&x, "main/home0").shard, 0);
    weigh(&live, &bytes);
    cr_assert_lt(live, FILES / 4 * 2900 * 9 / 10, "there, too");
    cr_assert_eq(result.bytes, live, "as they are stored");
    said_clean();
}

Test(compact_shards, a_full_pack_is_left_alone)
{
    put_file(&x, "main/g0", "a file of its own, in a pack where all is alive");
    drained(&x);
    cr_assert_eq(compact(), 0);
    cr_assert_eq(send(&x, "g", 0, 1, 1), 1);
    drained(&x);
    uint64_t puts = shard_mem_calls(a.cold, SHARD_MEM_PUT);
    cr_assert_eq(compact(), 0);
    cr_assert_eq(result.records, 0);
    cr_assert_eq(shard_mem_calls(a.cold, SHARD_MEM_PUT), puts);
}

static void is_left_out(enum shard_mem_switch which)
{
    uint64_t live, bytes, now;

    weigh(&live, &bytes);
    shard_mem_set(a.cold, which, true);
    cr_assert_eq(compact(), 0, "the others went on");
    cr_assert_eq(result.packs, 0);
    weigh(&live, &now);
    cr_assert_eq(now, bytes);
    shard_mem_set(a.cold, which, false);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    (void)shards_look(x.p->shards);
    files_are();
    cr_assert_eq(compact(), 0);
    cr_assert_gt(result.packs, 0);
    said_clean();
}

Test(compact_shards, a_shard_that_is_away_is_left_out)
{
    is_left_out(SHARD_MEM_UNREACHABLE);
}
Test(compact_shards, a_full_shard_is_left_out)
{
    is_left_out(SHARD_MEM_FULL);
}

Test(compact_shards, a_shard_that_is_drained_is_left_out)
{
    cr_assert_eq(shards_set_draining(x.p->shards, 1, true), 0);
    cr_assert_eq(compact(), 0);
    cr_assert_eq(result.packs, 0);
    files_are();
}

Test(compact_shards, what_is_damaged_is_not_copied_and_its_pack_stays)
{
    struct entry e = place_of(&x, "main/f0");
    char name[DISK_NAME_MAX + 1], buf[16];
    struct vfs_file *f;
    uint64_t size;
    struct shard *s = shard_of("mem:cold");

    pack_name(e.where, name);
    cr_assert_eq(shard_mem_flip(a.cold, name, e.offset + PACK_RECORD_HEAD + 5, 3), 0);
    (void)compact();
    cr_assert_eq(shard_stat(s, name, &size), 0, "it stays");
    shard_close(s);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/f0"), 0, &f), 0);
    cr_assert_lt(vfs_read(f, buf, sizeof buf, 0), 0);
    vfs_release(f);
    for (int i = 1; i < FILES; i++)
        if (stays(i))
            file_is(&x, i);
}

static void go_away(struct away *w)
{
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
}

Test(compact_shards, it_may_go_away_at_any_call)
{
    bool happened = true;
    uint64_t n = 1;

    for (; happened; n += 1 + n / 4) {
        cr_assert_lt(n, 20000);
        nth(&a, n, go_away);
        (void)compact();
        happened = a.until == 0;
        a.until = 0;
        shard_mem_set(a.cold, SHARD_MEM_UNREACHABLE, false);
        clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
        (void)shards_look(x.p->shards);
        files_are();
    }
    cr_assert_gt(n, 10, "it went away at the first calls alone");
    drained(&x);
    files_are();
}

/* The commit of the new places is cut off. */
Test(compact_shards, a_cut_at_each_write_leaves_every_file_readable)
{
    bool cut = true;
    uint64_t at = 0;

    while (cut) {
        cr_assert_lt(++at, 60);
        x.fault.fail_at = x.fault.writes + at;
        x.fault.cut = true;
        (void)compact();
        cut = fault_is_cut(&x.fault);
        down(&x);
        x.fault.loss = at % 2 ? FAULT_LOSE_ALL : FAULT_KEEP_ALL;
        disk_mem_power_cycle(x.disk);
        fault_reset(&x.fault);
        fixture_open(&x);
        files_are();
    }
    cr_assert_gt(at, 3);
}

Test(compact_shards, it_is_begun_by_itself_when_enough_is_dead)
{
    char text[256];
    int error;

    cr_assert_eq(settings_set(x.p, SET_PACK_SIZE, 1 << 20), 0);
    clock_manual_advance(&x.clock, COMPACT_EVERY);
    compact_if_due(x.p);
    cr_assert_eq(x.p->jobs->count, 1);
    cr_assert_eq(job_wait(x.p, x.p->jobs->next - 1, -1, NULL, &error, text), 0);
    cr_assert_eq(error, 0);
    cr_assert(strstr(text, "moved=30 "), "%s", text);
    files_are();
}

/* ---- archives ---- */

Test(compact_shards, an_archive_is_left_out)
{
    uint64_t live, bytes, now, names;

    becomes_archive(&x, 1, "mem:cold");
    cr_assert_eq(shards_allow(x.p->shards, 1, UINT64_C(1) << 40), 0);
    names = shard_mem_count(a.cold);
    weigh(&live, &bytes);
    cr_assert_eq(compact(), 0);
    cr_assert_eq(result.packs + result.records, 0);
    weigh(&live, &now);
    cr_assert_eq(now, bytes);
    cr_assert_eq(shard_mem_count(a.cold), names);
    files_are();
}

Test(compact_shards, what_is_dead_in_an_archive_begins_none)
{
    becomes_archive(&x, 1, "mem:cold");
    files_are();
    cr_assert_eq(settings_set(x.p, SET_PACK_SIZE, 1 << 20), 0);
    clock_manual_advance(&x.clock, COMPACT_EVERY);
    compact_if_due(x.p);
    cr_assert_eq(x.p->jobs->count, 0);
}
