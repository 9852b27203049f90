// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of compaction: little is dead afterwards, nothing is lost at any cut, readers with an old
 * place find the new one, and what is damaged is not copied.
 */
#include "check_fixture.h"
#include "compressed.h"
#include "disk_impl.h"
#include "ns_drop.h"

#include "packs_impl.h"
#include "report.h"

#define FILES 160

static struct fixture x;

/* A content of its own for each, of about 3 KiB. */
static void content(int i, char text[4096])
{
    size_t n = 2900 + (size_t)(i % 7) * 41;
    uint64_t random = (uint64_t)i * 2654435761u + 99;

    for (size_t k = 0; k < n; k++)
        text[k] = (char)('a' + fault_random(&random) % 26);
    text[n] = 0;
}

static void name(int i, char path[32])
{
    snprintf(path, 32, "main/f%d", i);
}

static void make_files(void)
{
    char path[32], text[4096];

    for (int i = 0; i < FILES; i++) {
        name(i, path);
        content(i, text);
        put_file(&x, path, text);
    }
}

static void file_is(int i)
{
    char path[32], text[4096], got[4096] = "";
    struct vfs_file *f;

    name(i, path);
    content(i, text);
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0, "%s", path);
    cr_assert_eq(vfs_read(f, got, sizeof got - 1, 0), (ssize_t)strlen(text), "%s", path);
    cr_assert_str_eq(got, text, "%s", path);
    vfs_release(f);
}

static bool stays(int i)
{
    return i % 2 == 0;
}

static void files_are(void)
{
    for (int i = 0; i < FILES; i++)
        if (stays(i))
            file_is(i);
}

static void remove_half(void)
{
    char path[32];

    for (int i = 0; i < FILES; i++) {
        name(i, path);
        if (!stays(i))
            remove_file(&x, path);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

static void up(void)
{
    fixture_setup(&x);
    packs_set_size(x.p->packs, 64 * 1024); /* several packs */
    make_files();
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}
static void gone(void)
{
    fixture_teardown(&x);
}
TestSuite(compact, .init = up, .fini = gone);

static struct packs_stats stats(void)
{
    struct packs_stats s;

    packs_get_stats(x.p->packs, &s);
    return s;
}

static int add_size(const char *file, void *ctx)
{
    char path[DISK_NAME_MAX + 1];
    struct disk_file *f;
    struct disk_stat st;

    snprintf(path, sizeof path, "packs/%.100s", file);
    cr_assert_eq(disk_open(x.disk, path, DISK_READ, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    disk_file_close(f);
    *(uint64_t *)ctx += st.size;
    return 0;
}

/* Bytes of the files of all packs. */
static uint64_t on_disk(void)
{
    uint64_t sum = 0;

    cr_assert_eq(disk_list(x.disk, "packs", add_size, &sum), 0);
    return sum;
}

static struct compact_result result;

static void compact(void)
{
    int err = compact_store(x.p, NULL, 50, true, &result);

    cr_assert_eq(err, 0, "%s", strerror(-err));
}

static void said_clean(void)
{
    struct findings f;

    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
}

Test(compact, half_of_the_files_go_and_little_is_dead_afterwards)
{
    uint64_t before = on_disk(), live;

    remove_half();
    live = stats().live_bytes + stats().live_records * 44;
    cr_assert_gt(on_disk(), before * 9 / 10, "the packs stay");
    compact();
    cr_assert_gt(result.packs, 3);
    cr_assert_eq(result.records, FILES / 2);
    cr_assert_lt(on_disk(), live * 105 / 100, "%llu of %llu", (unsigned long long)on_disk(),
                 (unsigned long long)live);
    cr_assert_lt(stats().dead_bytes * 20, stats().file_bytes);
    files_are();
    said_clean();
    files_are();
}

Test(compact, a_pack_that_is_alive_is_left_alone)
{
    uint64_t writes;

    compact(); /* closes the open one */
    writes = x.fault.writes;
    compact();
    cr_assert_eq(result.packs + result.records, 0);
    cr_assert_eq(x.fault.writes, writes);
}

/* Without `thorough` only what is below goes. */
Test(compact, the_setting_says_which_are_rewritten_by_themselves)
{
    remove_half();
    cr_assert_eq(compact_store(x.p, NULL, 40, false, &result), 0);
    cr_assert_eq(result.packs, 0);
    cr_assert_eq(compact_store(x.p, NULL, 60, false, &result), 0);
    cr_assert_gt(result.packs, 3);
    files_are();
    agreed(&x, "get compact_below", "compact_below=50% default=50% min=0% max=95%");
    agreed(&x, "set compact_below 20", "compact_below=20%");
    agreed(&x, "set compact_below 0%", "compact_below=0%");
    refused(&x, "set compact_below 96%", -EINVAL, "between 0% and 95%");
    refused(&x, "set compact_below half", -EINVAL, "percent");
}

Test(compact, branches_pins_and_equal_contents_stay_what_they_are)
{
    char text[4096];
    uint32_t open;

    branch(&x, "main", "other");
    remove_half();
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    cr_assert_eq(result.records, 0, "the branch has them");
    cr_assert_eq(ns_drop(x.p, "other", true, false, false, &open), 0);
    content(4, text);
    put_file(&x, "main/equal", text);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact();
    cr_assert_eq(result.records, FILES / 2);
    files_are();
    put_file(&x, "main/again", text);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(stats().live_records, FILES / 2, "a dedup hit at the new place");
    said_clean();
}

/* The entry as somebody read it before the move. */
Test(compact, a_reader_with_an_old_place_finds_the_new_one)
{
    struct entry old[FILES];
    char path[32], text[4096], got[4096];
    uint64_t alarms;

    for (int i = 0; i < FILES; i++) {
        ssize_t n;
        char hex[ID_HEX + 1] = "";
        struct id id;
        uint64_t number;
        bool pending;
        name(i, path);
        n = vfs_getxattr(x.p, node_of(&x, path), "user.tally.object", hex, sizeof hex);
        cr_assert_eq(n, ID_HEX);
        cr_assert_eq(id_from_hex(hex, &id), 0);
        cr_assert_eq(refs_find(x.p->refs, &id, &number, &old[i], &pending), 0);
        refs_unhold(x.p->refs, number);
    }
    remove_half();
    compact();
    cr_assert_gt(result.packs, 3);
    alarms = report_count(REPORT_ALARM);
    for (int i = 0; i < FILES; i++) {
        if (!stays(i))
            continue;
        content(i, text);
        memset(got, 0, sizeof got);
        cr_assert_eq(objects_read(x.p->objects, &old[i], got, sizeof got, 0),
                     (ssize_t)strlen(text));
        cr_assert_str_eq(got, text);
        cr_assert_eq(objects_verify(x.p->objects, &old[i]), 0);
    }
    cr_assert_eq(report_count(REPORT_ALARM), alarms);
    cr_assert_eq(objects_read(x.p->objects, &old[1], got, sizeof got, 0), -EUCLEAN, "deleted");
}

static struct entry entry_of_path(const char *path)
{
    char hex[ID_HEX + 1] = "";
    struct entry e;
    struct id id;
    uint64_t number;
    bool pending;

    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, path), "user.tally.object", hex, sizeof hex),
                 ID_HEX);
    cr_assert_eq(id_from_hex(hex, &id), 0);
    cr_assert_eq(refs_find(x.p->refs, &id, &number, &e, &pending), 0);
    refs_unhold(x.p->refs, number);
    return e;
}

/* One bit of the record that the file is, in its pack. */
static void flip_record_of(const char *path)
{
    const struct entry e = entry_of_path(path);
    char pack[DISK_NAME_MAX + 1];

    pack_name(e.where, pack);
    cr_assert_eq(disk_mem_flip(x.disk, pack, e.offset + RECORD_HEAD + 100, 2), 0);
}

Test(compact, a_damaged_record_is_not_copied_and_stays_damaged)
{
    char path[32], got[16];
    struct vfs_file *f;

    remove_half();
    name(8, path);
    flip_record_of(path);
    compact();
    cr_assert_eq(result.records, FILES / 2 - 1);
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, got, sizeof got, 0), -EUCLEAN);
    vfs_release(f);
    flip_record_of(path); /* it is whole again */
    files_are();
    compact();
    cr_assert_eq(result.records, 1);
    said_clean();
}

Test(compact, a_compressed_record_stays_where_it_is)
{
    char path[32];

    remove_half();
    name(8, path);
    const struct entry e = entry_of_path(path);
    const struct pack_place at = pack_place_of(&e);
    compress_record(x.disk, &at, &e.id, (uint32_t)e.size);
    compact();
    cr_assert_eq(result.records, FILES / 2 - 1);
    agreed(&x, "gc wait", "ok ");
    fixture_reopen(&x);
    const struct entry now = entry_of_path(path);
    cr_assert(entry_same_place(&e, &now));
    cr_assert_eq(try_read(&x, path), -EPROTO);
}

Test(compact, a_full_disk_ends_it_and_nothing_is_lost)
{
    unsigned full = 0;

    remove_half();
    for (uint64_t at = 1; at < 60; at += 7) {
        x.fault.error = ENOSPC;
        x.fault.fail_at = x.fault.writes + at;
        int err = compact_store(x.p, NULL, 50, true, &result);
        x.fault.fail_at = 0;
        cr_assert(err == 0 || err == -ENOSPC, "%d", err);
        full += err != 0;
        files_are();
    }
    cr_assert_gt(full, 0, "the disk was never full");
    compact();
    files_are();
    said_clean();
}

/* ---- cuts ---- */

static bool cut(uint64_t at, enum fault_loss loss)
{
    int err;

    fixture_teardown(&x);
    up();
    remove_half();
    x.fault.seed = at * 2654435761u + 1;
    x.fault.cut = true;
    x.fault.fail_at = x.fault.writes + at;
    err = compact_store(x.p, NULL, 50, true, &result);
    bool fired = fault_fired(&x.fault);
    cr_assert(fired || err == 0, "%d", err);
    store_abandon(x.p);
    kv_close(x.kv);
    x.fault.loss = loss;
    disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
    fixture_open(&x);
    files_are();
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    said_clean();
    compact();
    files_are();
    cr_assert_lt(stats().dead_bytes * 20, stats().file_bytes);
    return fired;
}

/* Each write around the end of the first pack, else now and then: a restart takes its time. */
static void cut_everywhere(enum fault_loss loss)
{
    uint64_t at = 1;

    for (; cut(at, loss); at += at < 8 ? 4 : at < 26 ? 1 : 31)
        ;
    cr_assert_gt(at, 60, "only %llu writes", (unsigned long long)at);
}

Test(compact, cut_where_all_that_was_unsynced_is_lost)
{
    cut_everywhere(FAULT_LOSE_ALL);
}

Test(compact, cut_where_nothing_is_lost)
{
    cut_everywhere(FAULT_KEEP_ALL);
}

Test(compact, cut_where_some_of_it_is_lost)
{
    cut_everywhere(FAULT_LOSE_SOME);
}

/* ---- jobs ---- */

Test(compact, the_verb_is_a_job_and_says_what_it_did)
{
    remove_half();
    agreed(&x, "compact wait", " moved=80 moved_bytes=");
    agreed(&x, "status", "compaction  packs=");
    refused(&x, "compact now", -EINVAL, "a word too many");
    agreed(&x, "compact wait", "ok packs=0 moved=0 moved_bytes=0 freed_bytes=0 job=2\n");
}

Test(compact, one_is_due_only_when_enough_is_dead)
{
    char result_text[256], path[32], text[4096];
    int error;

    for (int i = 0; i < 150; i++) {
        snprintf(path, sizeof path, "main/g%d", i);
        content(1000 + i, text);
        put_file(&x, path, text);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    for (int i = 0; i < 150; i++) {
        snprintf(path, sizeof path, "main/g%d", i);
        if (i % 3)
            remove_file(&x, path);
    }

    cr_assert_eq(settings_set(x.p, SET_COMPACT_BELOW, 60), 0);
    remove_half();
    clock_manual_advance(&x.clock, COMPACT_EVERY);
    compact_if_due(x.p);
    cr_assert_eq(x.p->jobs->count, 0, "it is little beside a pack of 64 MiB");
    cr_assert_eq(settings_set(x.p, SET_PACK_SIZE, 1 << 20), 0);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    compact_if_due(x.p);
    cr_assert_eq(x.p->jobs->count, 0, "not so soon after the last look");
    clock_manual_advance(&x.clock, COMPACT_EVERY);
    compact_if_due(x.p);
    cr_assert_eq(x.p->jobs->count, 1);
    cr_assert_eq(job_wait(x.p, 1, -1, NULL, &error, result_text), 0);
    cr_assert_eq(error, 0);
    cr_assert(strstr(result_text, "moved=") && !strstr(result_text, "moved=0 "), "%s", result_text);
    files_are();
    said_clean();
}

static int until_cancelled(struct state *p, struct job *j, void *arg)
{
    (void)p;
    (void)arg;
    while (!atomic_load(&j->cancel))
        usleep(1000);
    return -ECANCELED;
}

/* Job 1 is at work, so job 2, a compaction that is due, has to wait. */
static void one_is_due_and_queued(void)
{
    struct job *j;

    cr_assert_eq(job_start(x.p, "test", "", &j), 0);
    cr_assert_eq(job_run(x.p, j, &(struct job_work){.fn = until_cancelled}, -1, NULL), 0);
    cr_assert_eq(settings_set(x.p, SET_COMPACT_BELOW, 60), 0);
    cr_assert_eq(settings_set(x.p, SET_PACK_SIZE, 128 << 10), 0);
    remove_half();
    clock_manual_advance(&x.clock, COMPACT_EVERY);
    compact_if_due(x.p);
    cr_assert_eq(x.p->jobs->count, 2);
}

Test(compact, one_that_nobody_asked_for_is_in_nobodys_way)
{
    one_is_due_and_queued();
    agreed(&x, "compact", "ok job=3\n");
    agreed(&x, "compact", "ok job=3\n");
    agreed(&x, "cancel 1", "ok");
    agreed(&x, "wait 3", "ok packs=");
    agreed(&x, "compact wait", "ok packs=0 ");
    files_are();
}

/* One compaction is at work, and one that somebody asked for, job 1, waits at the workers. */
static void one_waits(void)
{
    struct workers_stats workers;
    struct job j;

    remove_half();
    atomic_store(&x.p->compacting->running, true);
    agreed(&x, "compact", "ok job=1\n");
    for (int i = 0;; i++) {
        workers_get_stats(x.p->workers, &workers);
        if (workers.of[WORKERS_LONG_IDLE].resting)
            return;
        cr_assert_eq(job_get(x.p, 1, &j), 0);
        cr_assert(!job_is_over(&j), "it ended with %d", j.error);
        cr_assert_lt(i, 60000, "it does not wait");
        usleep(1000);
    }
}

Test(compact, one_that_somebody_asks_for_waits_for_one_that_is_at_work)
{
    one_waits();
    atomic_store(&x.p->compacting->running, false);
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    agreed(&x, "wait 1", "ok packs=8 moved=80 ");
    files_are();
}

Test(compact, one_that_waits_can_be_cancelled)
{
    one_waits();
    agreed(&x, "cancel 1", "ok");
    refused(&x, "wait 1", -ECANCELED, "job 1 was cancelled");
    atomic_store(&x.p->compacting->running, false);
}

/* ---- room, and what cannot go ---- */

static uint64_t available(uint64_t *ret_reserve)
{
    struct disk_space s;

    cr_assert_eq(disk_space(x.disk, &s), 0);
    *ret_reserve = flush_reserve(&s);
    return s.blocks_avail * s.block_size;
}

static void small_disk(void)
{
    x = (struct fixture){0};
    clock_manual_init(&x.clock, 1000 * NSEC_PER_SEC);
    cr_assert_eq(disk_mem_create(&x.fault, 24 << 20, &x.disk), 0);
    cr_assert_eq(kv_mem_create(&x.fault, &x.mem), 0);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_CREATE, &x.kv), 0);
    cr_assert_eq(store_format(x.disk, x.kv, &x.clock.base, "org/test", 1000, 1000, NULL), 0);
    kv_close(x.kv);
    fixture_open(&x);
    packs_set_size(x.p->packs, 16 << 20);
}

static void small_disk_down(void)
{
    fixture_teardown(&x);
}

/* Files of 64 KiB until 3 MiB above the reserve are left; how many. */
static int fill(void)
{
    static char text[65536];
    uint64_t random = 7, reserve;
    char path[32];
    int n = 0;

    while (available(&reserve) > reserve + (3 << 20)) {
        for (size_t k = 0; k < sizeof text - 1; k++)
            text[k] = (char)('a' + fault_random(&random) % 26);
        name(n++, path);
        put_file(&x, path, text);
        if (n % 8 == 0)
            cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    }
    return n;
}

static const struct disk_ops *whole;
static struct disk_ops watching;
static uint64_t least; /* that was available before a write */

static int write_watched(struct disk_file *f, const struct iovec *iov, int count, uint64_t off)
{
    uint64_t reserve, now = available(&reserve);

    least = now < least ? now : least;
    return whole->pwritev(f, iov, count, off);
}

static int open_watched(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    int err = whole->open(d, name, flags, ret);

    if (err == 0)
        (*ret)->ops = &watching;
    return err;
}

static void watch_disk(void)
{
    whole = x.disk->ops;
    watching = *whole;
    watching.open = open_watched;
    watching.pwritev = write_watched;
    x.disk->ops = &watching;
}

Test(compact_full, what_is_kept_for_commits_is_not_taken, .init = small_disk,
     .fini = small_disk_down)
{
    struct compact_result r;
    uint64_t reserve;
    char path[32];
    int n = fill();

    least = available(&reserve);
    watch_disk();

    for (int i = 0; i < n; i += 10) {
        name(i, path);
        remove_file(&x, path);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(compact_store(x.p, NULL, 50, true, &r), -ENOSPC);
    cr_assert_geq(least, reserve);
}

Test(compact, a_pack_that_cannot_go_is_tried_ever_less_often)
{
    char path[32], text[256];
    int error;

    remove_half();
    name(8, path);
    flip_record_of(path);
    cr_assert_eq(settings_set(x.p, SET_COMPACT_BELOW, 60), 0);
    compact();
    cr_assert_eq(settings_set(x.p, SET_PACK_SIZE, 128 << 10), 0);
    for (int i = 0; i < 16; i++) {
        clock_manual_advance(&x.clock, COMPACT_EVERY);
        compact_if_due(x.p);
        if (x.p->jobs->count)
            (void)job_wait(x.p, x.p->jobs->next - 1, -1, NULL, &error, text);
    }
    cr_assert_geq(x.p->jobs->count, 2);
    cr_assert_leq(x.p->jobs->count, 5);
}

Test(compact, asking_where_nothing_is_dead_puts_nothing_off)
{
    for (int i = 0; i < 3; i++)
        compact();
    cr_assert_eq(atomic_load(&x.p->compacting->vain), 0);
}
