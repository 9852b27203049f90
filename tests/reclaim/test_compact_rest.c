// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of compression: what is compressed as it is written, and at rest; that nothing is tried
 * twice; and that checks, counts and readers see what they did before.
 */
#include "check_fixture.h"
#include "compression.h"
#include "flush_impl.h"
#include "ns_drop.h"
#include "packs_impl.h"
#include "report.h"

#define FILES 40
#define LEN 3000

static struct fixture x;

/* Text that becomes shorter, or (odd) bytes that do not. None is 0. */
static void content(int i, char text[LEN + 1])
{
    uint64_t random = (uint64_t)i * 2654435761u + 99;

    for (size_t k = 0; k < LEN; k++)
        text[k] = i % 2 ? (char)(1 + (fault_random(&random) >> 40) % 255)
                        : (char)('a' + fault_random(&random) % 16);
    text[LEN] = 0;
}

static void name(int i, char path[32])
{
    snprintf(path, 32, "main/f%d", i);
}

static void put_one(int i)
{
    char path[32], text[LEN + 1];

    name(i, path);
    content(i, text);
    put_file(&x, path, text);
}

static void put_all(void)
{
    for (int i = 0; i < FILES; i++)
        put_one(i);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

static void files_of(int from, int to)
{
    char path[32], text[LEN + 1], got[LEN + 1];
    struct vfs_file *f;

    for (int i = from; i < to; i++) {
        name(i, path);
        content(i, text);
        memset(got, 0, sizeof got);
        cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0, "%s", path);
        cr_assert_eq(vfs_read(f, got, LEN, 0), LEN, "%s", path);
        cr_assert_str_eq(got, text, "%s", path);
        vfs_release(f);
    }
}

static void files_are(void)
{
    files_of(0, FILES);
}

static void up(void)
{
    fixture_setup(&x);
}
static void gone(void)
{
    fixture_teardown(&x);
}
TestSuite(compact_rest, .init = up, .fini = gone);

static struct entry entry_of_file(int i)
{
    char path[32], hex[ID_HEX + 1] = "";
    struct entry e;
    struct id id;
    uint64_t number;
    bool pending;

    name(i, path);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, path), "user.tally.object", hex, sizeof hex),
                 ID_HEX);
    cr_assert_eq(id_from_hex(hex, &id), 0);
    cr_assert_eq(refs_find(x.p->refs, &id, &number, &e, &pending), 0);
    refs_unhold(x.p->refs, number);
    return e;
}

static bool is_compressed(int i)
{
    struct entry e = entry_of_file(i);

    return entry_is_compressed(&e);
}

static void text_is_compressed_and_noise_is_not(void)
{
    for (int i = 0; i < FILES; i++) {
        struct entry e = entry_of_file(i);

        cr_assert_eq(entry_is_compressed(&e), i % 2 == 0, "%d", i);
        cr_assert_eq(e.size, LEN);
        cr_assert(i % 2 == 0 || e.stored == LEN, "that it does not become shorter is noted");
    }
}

static void nothing_is_compressed(void)
{
    for (int i = 0; i < FILES; i++)
        cr_assert_eq(entry_of_file(i).stored, 0, "%d", i);
}

static struct packs_stats stats(void)
{
    struct packs_stats s;

    packs_get_stats(x.p->packs, &s);
    return s;
}

static void said_clean(void)
{
    struct findings f;

    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
}

static struct compact_result result;

static void compact(void)
{
    int err = compact_store(x.p, NULL, 50, true, &result);

    cr_assert_eq(err, 0, "%s", strerror(-err));
}

Test(compact_rest, off_compresses_nothing)
{
    put_all();
    compact();
    nothing_is_compressed();
    cr_assert_eq(stats().live_bytes, FILES * LEN);
}

Test(compact_rest, write_compresses_as_it_seals_and_counts_what_it_takes)
{
    agreed(&x, "set compression write", "ok compression=write");
    put_all();
    text_is_compressed_and_noise_is_not();
    cr_assert_lt(stats().live_bytes, FILES * LEN * 8 / 10);
    files_are();
    said_clean();
    files_are();
}

Test(compact_rest, nothing_is_compressed_while_an_instant_holds_up_everybody)
{
    struct entry e;

    agreed(&x, "set compression write", "ok");
    put_one(0);
    mutex_lock(&x.p->flush->seal);
    rwlock_wrlock(&x.p->freeze_lock);
    cr_assert_eq(seal_rest(x.p), 0);
    rwlock_wrunlock(&x.p->freeze_lock);
    mutex_unlock(&x.p->flush->seal);
    e = entry_of_file(0);
    cr_assert_eq(e.stored, ENTRY_AT_REST);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    cr_assert_eq(result.compressed, 1);
}

Test(compact_rest, equal_bytes_are_one_object_however_they_are_stored)
{
    char text[LEN + 1];
    uint64_t records;

    put_all();
    records = stats().live_records;
    agreed(&x, "set compression write", "ok");
    content(2, text);
    put_file(&x, "main/equal", text);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(stats().live_records, records);
    put_one(FILES);
    content(FILES, text);
    agreed(&x, "set compression off", "ok");
    put_file(&x, "main/equal2", text);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(stats().live_records, records + 1);
}

Test(compact_rest, compact_compresses_what_is_at_rest_and_tries_nothing_twice)
{
    uint64_t writes, bytes;

    put_all();
    bytes = stats().live_bytes;
    agreed(&x, "set compression rest", "ok compression=rest");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    cr_assert_eq(result.compressed, FILES / 2);
    cr_assert_eq(result.records, FILES / 2, "those that were left in the pack");
    cr_assert_eq(result.packs, 1);
    cr_assert_eq(stats().live_bytes, bytes - result.saved);
    text_is_compressed_and_noise_is_not();
    files_are();
    compact();
    cr_assert_eq(result.compressed + result.records, 0);
    writes = x.fault.writes;
    compact();
    cr_assert_eq(x.fault.writes, writes, "nothing was written");
    said_clean();
    compact();
    cr_assert_eq(result.compressed + result.records, 0, "nor after the next start");
    files_are();
}

/* After a compaction at most a twentieth is dead. */
static void little_is_dead(uint64_t file_bytes)
{
    struct packs_stats s = stats();

    cr_assert_leq(s.dead_bytes * 20, s.file_bytes, "%llu of %llu", (unsigned long long)s.dead_bytes,
                  (unsigned long long)s.file_bytes);
    cr_assert_lt(s.file_bytes, file_bytes);
}

static bool looks(void);

Test(compact_rest, what_is_stored_plain_elsewhere_does_not_stay_as_dead_bytes)
{
    uint64_t bytes;

    put_all();
    bytes = stats().file_bytes;
    agreed(&x, "set compression rest", "ok");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    little_is_dead(bytes);
}

Test(compact_rest, nor_when_it_is_compressed_by_itself)
{
    uint64_t bytes;

    put_all();
    bytes = stats().file_bytes;
    agreed(&x, "set compression rest", "ok");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert(looks() || looks());
    text_is_compressed_and_noise_is_not();
    little_is_dead(bytes);
}

/* Puts one file after the other into an idle store. */
static void put_now_and_then(int first, int step)
{
    for (int i = first; i < first + 8 * step; i += step) {
        put_one(i);
        cr_assert_eq(flush_now(x.p), 0);
        (void)looks();
        (void)looks();
    }
}

Test(compact_rest, a_store_that_is_written_to_now_and_then_keeps_its_pack)
{
    agreed(&x, "set compression write", "ok");
    (void)(looks() || looks());
    put_now_and_then(0, 1);
    cr_assert_eq(stats().packs, 1);
    cr_assert_eq(x.p->jobs->next, 2, "one pass, for the setting; no other had anything to do");
    agreed(&x, "set compression rest", "ok");
    put_now_and_then(100, 1);
    cr_assert_eq(stats().packs, 1);
    cr_assert(is_compressed(106));
    cr_assert_eq(entry_of_file(107).stored, LEN);
    files_of(100, 108);
    said_clean();
}

Test(compact_rest, a_run_that_compresses_is_not_in_vain)
{
    for (int i = 0; i < FILES; i += 2)
        put_one(i);
    agreed(&x, "set compression rest", "ok");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    cr_assert_eq(result.compressed, FILES / 2);
    cr_assert_eq(result.packs, 1, "all of it was compressed");
    cr_assert_gt(result.freed, 0);
    put_one(1);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    cr_assert_eq(result.compressed + result.packs, 0, "it only noted something");
    cr_assert_eq(entry_of_file(1).stored, LEN);
    cr_assert_eq(atomic_load(&x.p->compacting->vain), 0);
}

/* Damages the bytes of a file where they are. */
static void damage(int i)
{
    struct entry e = entry_of_file(i);
    char file[DISK_NAME_MAX + 1];

    pack_name(e.where, file);
    cr_assert_eq(disk_mem_flip(x.disk, file, e.offset + PACK_RECORD_HEAD + 20, 3), 0);
}

Test(compact_rest, a_pack_that_cannot_be_emptied_does_not_keep_it_from_beginning)
{
    char path[32];

    agreed(&x, "set pack_size 1M", "ok");
    for (int i = 1; i < 400; i += 2)
        put_one(i);
    agreed(&x, "set compression rest", "ok");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(packs_retire_current(x.p->packs), 0);
    for (int i = 1; i < 400; i += 2) { /* no run of dead records is long enough for a hole */
        name(i, path);
        if (i % 20 == 1)
            damage(i);
        else
            remove_file(&x, path);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    for (int i = 0; i < 3; i++)
        (void)looks();
    cr_assert_gt(atomic_load(&x.p->compacting->vain), 0, "the test's own claim");
    put_one(0);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    (void)looks();
    (void)looks();
    cr_assert(is_compressed(0));
}

Test(compact_rest, a_pack_that_has_a_damaged_record_is_read_once)
{
    uint64_t where, is;

    put_all();
    cr_assert_eq(packs_retire_current(x.p->packs), 0);
    damage(0);
    where = entry_of_file(0).where;
    agreed(&x, "set compression rest", "ok");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert(looks() || looks());
    cr_assert_eq(entry_of_file(0).stored, 0);
    cr_assert(is_compressed(2));
    cr_assert(map64_get(&x.p->compacting->damaged, where, &is));
    cr_assert_eq(x.p->compacting->damaged.count, 1);
}

Test(compact_rest, it_ends_when_it_is_cancelled_while_it_looks)
{
    struct job j = {.cancel = true};

    agreed(&x, "set compression write", "ok");
    put_all();
    cr_assert_eq(compact_store(x.p, &j, COMPACT_ONLY_REST, false, &result), -ECANCELED);
}

static uint64_t saved(void)
{
    struct refs_stats s;

    refs_get_stats(x.p->refs, &s);
    return s.saved;
}

Test(compact_rest, what_it_saves_is_known_and_a_start_believes_the_commit)
{
    uint64_t want;

    cr_assert_eq(saved(), 0);
    put_all();
    agreed(&x, "set compression rest", "ok");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    want = FILES * LEN - stats().live_bytes;
    cr_assert_gt(want, FILES * LEN / 6);
    cr_assert_eq(saved(), want);
    agreed(&x, "du main", " saved=");
    fixture_reopen(&x);
    cr_assert_eq(saved(), want);
    remove_file(&x, "main/f0");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(saved(), (FILES - 1) * LEN - stats().live_bytes);
    said_clean();
}

Test(compact_rest, what_is_deleted_afterwards_is_counted_out_as_it_is_stored)
{
    char path[32];

    agreed(&x, "set compression write", "ok");
    put_all();
    for (int i = 0; i < FILES; i += 2) {
        name(i, path);
        remove_file(&x, path);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(stats().live_bytes, FILES / 2 * LEN);
    said_clean();
    for (int i = 1; i < FILES; i += 2) {
        name(i, path);
        remove_file(&x, path);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(stats().live_bytes, 0);
    said_clean();
}

Test(compact_rest, a_compaction_keeps_what_is_compressed_also_when_it_is_off)
{
    char path[32];

    agreed(&x, "set compression write", "ok");
    put_all();
    agreed(&x, "set compression off", "ok");
    for (int i = 0; i < FILES; i++)
        if (i % 4 >= 2) {
            name(i, path);
            remove_file(&x, path);
        }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(compact_store(x.p, NULL, 95, true, &result), 0);
    cr_assert_eq(result.records, FILES / 2);
    cr_assert_eq(result.bytes, stats().live_bytes, "as they are stored");
    for (int i = 0; i < FILES; i++)
        if (i % 4 < 2) {
            struct entry e = entry_of_file(i);
            cr_assert_eq(entry_is_compressed(&e), i % 2 == 0);
            cr_assert_gt(e.stored, 0);
            put_one(i);
        } else {
            put_one(i);
        }
    files_are();
    said_clean();
}

/* Looks as the flusher does, each minute. */
static bool looks(void)
{
    size_t jobs = x.p->jobs->count;
    char text[256];
    int error;

    clock_manual_advance(&x.clock, COMPACT_EVERY);
    compact_if_due(x.p);
    if (x.p->jobs->count == jobs)
        return false;
    cr_assert_eq(job_wait(x.p, x.p->jobs->next - 1, -1, NULL, &error, text), 0);
    cr_assert_eq(error, 0);
    return true;
}

Test(compact_rest, it_begins_by_itself_once_nothing_has_changed_for_a_minute)
{
    put_all();
    agreed(&x, "set compression rest", "ok");
    put_one(0);
    cr_assert(!looks(), "something has changed");
    put_one(1);
    cr_assert(!looks());
    nothing_is_compressed();
    cr_assert(looks());
    text_is_compressed_and_noise_is_not();
    cr_assert(!looks(), "all of that is done");
    put_one(FILES);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert(!looks());
    cr_assert(looks());
    cr_assert(is_compressed(FILES));
    files_are();
}

Test(compact_rest, a_change_of_the_setting_counts_for_what_is_there)
{
    put_all();
    cr_assert(!looks() && !looks());
    agreed(&x, "set compression write", "ok");
    cr_assert(!looks() && looks());
    text_is_compressed_and_noise_is_not();
}

Test(compact_rest, a_namespace_says_how_what_is_written_in_it_is_stored)
{
    char text[LEN + 1];

    agreed(&x, "get ns:main.compression", "ns:main.compression=store default=store");
    refused(&x, "set ns:main.compression much", -EINVAL, "off, rest, write, or store");
    agreed(&x, "set ns:main.compression write", "ok");
    put_one(0);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert(is_compressed(0));
    agreed(&x, "set ns:main.compression rest", "ok");
    put_one(2);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(entry_of_file(2).stored, ENTRY_AT_REST);
    agreed(&x, "set ns:main.compression off", "ok");
    put_one(4);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    said_clean();
    agreed(&x, "get ns:main.compression", "ns:main.compression=off");
    agreed(&x, "set compression rest", "ok");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    cr_assert_eq(result.compressed, 1, "the one that is to be");
    cr_assert(is_compressed(2));
    cr_assert_eq(entry_of_file(4).stored, LEN, "off");
    agreed(&x, "set ns:main.compression store", "ok");
    agreed(&x, "get ns:main.compression", "ns:main.compression=store");
    content(6, text);
    put_one(6);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(entry_of_file(6).stored, 0);
}

static int no_room(void *ctx)
{
    ++*(int *)ctx;
    return -EROFS;
}

Test(compact_rest, without_the_feature_nothing_is_compressed_and_the_setting_stays)
{
    int raised = 0;

    atomic_store(&x.p->compresses, false);
    x.p->config.compression = (struct state_compression){.raise = no_room, .ctx = &raised};
    refused(&x, "set compression write", -EROFS, "");
    refused(&x, "set ns:main.compression rest", -EROFS, "");
    cr_assert_eq(raised, 2);
    agreed(&x, "get compression", "compression=off");
    agreed(&x, "get ns:main.compression", "compression=store");
    agreed(&x, "set compression off", "ok");
    x.p->config.compression.raise = NULL;
    refused(&x, "set compression rest", -EOPNOTSUPP, "a store in a pool does not compress");
    settings_put(&x.p->settings, SET_COMPRESSION, COMPRESSION_WRITE); /* as of another version */
    put_all();
    compact();
    nothing_is_compressed();
}

/* ---- two at once ---- */

static _Atomic int raising;
static pthread_t other;

static void *allow_too(void *arg)
{
    cr_assert_eq(compression_allow(arg), 0);
    return NULL;
}

/* The first one lets another one ask meanwhile, and waits for it a little. */
static int slowly(void *ctx)
{
    if (atomic_fetch_add(&raising, 1) > 0)
        return 0;
    cr_assert_eq(pthread_create(&other, NULL, allow_too, ctx), 0);
    for (int i = 0; i < 200 && atomic_load(&raising) == 1; i++)
        usleep(1000);
    return 0;
}

Test(compact_rest, two_that_ask_for_the_feature_at_once_get_it_one_after_the_other)
{
    atomic_store(&x.p->compresses, false);
    x.p->config.compression = (struct state_compression){.raise = slowly, .ctx = x.p};
    cr_assert_eq(compression_allow(x.p), 0);
    cr_assert_eq(pthread_join(other, NULL), 0);
    cr_assert_eq(atomic_load(&raising), 1, "the other one had nothing to do");
}

Test(compact_rest, damage_in_a_compressed_record_is_an_error_and_equal_bytes_heal_it)
{
    char got[LEN], path[32], text[LEN + 1];
    struct vfs_file *f;

    agreed(&x, "set compression write", "ok");
    put_all();
    damage(0);
    name(0, path);
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, got, sizeof got, 0), -EUCLEAN);
    vfs_release(f);
    content(0, text);
    put_file(&x, "main/again", text);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    files_are();
}
