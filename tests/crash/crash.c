// SPDX-License-Identifier: Apache-2.0
/*
 * crash_project: every write of a workload cut once, and what must hold afterwards.
 *
 *     crash_project [--workload W] [--from K] [--to K] [--every N] [--loss all|keep|some]
 *                   [--seed S] [--fault cut|eio|enospc]
 *
 * A workload runs once without faults, to count its writes (of disk and kv, in one sequence), and
 * then again and again. `cut`: the power goes at write k and what was not synced is lost as --loss
 * says. Then the store is opened, and the power cut once more on the way. What must hold:
 *
 *   1. it opens, and check finds no damage
 *   2. it is in the state of the last acknowledged flush or sync, or that of a change after it
 *   3. every byte of every file is right
 *   4. after a drain nothing leaks; when all is dropped, nothing is left
 *
 * `eio`, `enospc`: write k fails once. What failed can be repeated, or the store turned read-only
 * with an alarm and is the last good commit when opened again.
 *
 * A red run prints the options that repeat it.
 */
#include "check.h"
#include "crash.h"
#include "report.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum mode { MODE_CUT, MODE_EIO, MODE_ENOSPC };
static const char *const mode_names[] = {"cut", "eio", "enospc"};
static const char *const loss_names[] = {"all", "keep", "some"};

struct world w;

static struct {
    const struct workload *workload;
    uint64_t k, seed;
    enum mode mode;
    enum fault_loss loss;
    const char *phase;
} now_at;

static struct {
    uint64_t writes, runs, second_cuts, readonly, retried;
} count;

_Noreturn void fail(const char *file, int line, const char *what)
{
    char text[REPORT_KEEP][REPORT_TEXT];
    size_t n = report_recent(REPORT_NOTE, text, REPORT_KEEP);

    fprintf(stderr, "%s:%d: %s (%s)\n", file, line, what, now_at.phase);
    for (size_t i = 0; i < n && i < 8; i++)
        fprintf(stderr, "  reported: %s\n", text[i]);
    fprintf(stderr,
            "repeat: crash_project --workload %s --from %llu --to %llu --fault %s --loss %s "
            "--seed %llu\n",
            now_at.workload->name, (unsigned long long)now_at.k, (unsigned long long)now_at.k,
            mode_names[now_at.mode], loss_names[now_at.loss], (unsigned long long)now_at.seed);
    abort();
}

/* ---- a world ---- */

static void world_create_empty(uint64_t seed)
{
    w = (struct world){.rng = seed * 2 + 1};
    report_reset();
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(kv_mem_create(&w.fault, &w.mem) == 0);
    CHECK(disk_mem_create(&w.fault, 0, &w.disk) == 0);
}

static void world_create(uint64_t seed)
{
    world_create_empty(seed);
    CHECK(kv_open_mem(w.mem, project_tables, project_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(project_format(w.disk, w.kv, &w.clock.base, "org/crash", 0, 0) == 0);
    kv_close(w.kv);
    project_reopen();
    w.live.space[0] = true;
    model_copy(&w.acked, &w.live);
    fault_reset(&w.fault);
}

static void world_destroy(void)
{
    model_release();
    disk_close(w.disk);
    kv_mem_destroy(w.mem);
}

static void arm(uint64_t k, bool cut, int error)
{
    fault_reset(&w.fault);
    w.fault.fail_at = k;
    w.fault.cut = cut;
    w.fault.error = error;
}

static void power_cycle(void)
{
    model_note();
    process_dies();
    w.fault.loss = now_at.loss;
    w.fault.seed = now_at.seed + now_at.k * 1000003;
    disk_mem_power_cycle(w.disk);
    fault_reset(&w.fault);
}

/* ---- what must hold ---- */

struct findings {
    bool leaks_too;
    uint64_t bad;
};

/* What the test itself damaged may be found. */
static bool is_our_damage(const char *what)
{
    return w.rotten &&
           (!strcmp(what, "pack record") || !strcmp(what, "object block") || !strcmp(what, "file"));
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct findings *f = ctx;
    bool counts = strcmp(what, "note") && (f->leaks_too || strcmp(what, "leak"));

    if (!counts || is_our_damage(what))
        return;
    f->bad++;
    fprintf(stderr, "check: %s %s: %s\n", what, where, sentence);
}

static void check_store(bool leaks_too)
{
    struct findings f = {.leaks_too = leaks_too};
    struct check_options o = {.found = found, .ctx = &f};
    struct check_result result;

    CHECK(kv_open_mem(w.mem, project_tables, project_table_count, 0, &w.kv) == 0);
    CHECK(project_check(w.disk, w.kv, &o, &result) == 0);
    kv_close(w.kv);
    CHECK(f.bad == 0);
}

/* Which of the states a crash may leave is it? Everything after goes by that one. */
static void match_some_state(void)
{
    char why[256];
    struct model found_state;

    for (size_t i = w.attempts; i-- > 0;)
        if (model_matches(&w.attempt[i], why)) {
            model_copy(&found_state, &w.attempt[i]);
            goto found;
        }
    if (!model_matches(&w.acked, why)) {
        fprintf(stderr, "not the state of the last flush: %s\n", why);
        for (size_t i = 0; i < w.attempts; i++)
            if (!model_matches(&w.attempt[i], why))
                fprintf(stderr, "nor that of one tried since: %s\n", why);
        const bool is_a_state_a_flush_left = false;
        CHECK(is_a_state_a_flush_left);
    }
    model_copy(&found_state, &w.acked);
found:
    model_drop(&w.acked);
    while (w.attempts)
        model_drop(&w.attempt[--w.attempts]);
    w.acked = found_state;
    model_drop(&w.live);
    model_copy(&w.live, &w.acked);
}

static void must_match(const struct model *s)
{
    char why[256];

    if (!model_matches(s, why)) {
        fprintf(stderr, "%s\n", why);
        const bool are_what_they_must_be = false;
        CHECK(are_what_they_must_be);
    }
}

static uint64_t table_entries(struct kv_snap *s, unsigned table)
{
    uint64_t n;

    CHECK(kv_snap_count(s, table, &n) == 0);
    return n;
}

static void nothing_is_left(void)
{
    static const unsigned tables[] = {TABLE_PAGES,      TABLE_PAGE_COUNTS, TABLE_OBJECTS,
                                      TABLE_IDS,        TABLE_DYING,       TABLE_PACKS,
                                      TABLE_NAMESPACES, TABLE_PINS,        TABLE_DROPS};
    struct kv_snap *s;
    uint64_t bytes, names;

    disk_mem_usage(w.disk, &bytes, &names);
    if (bytes || names)
        fprintf(stderr, "left on the disk: %llu bytes, %llu names\n", (unsigned long long)bytes,
                (unsigned long long)names);
    CHECK(bytes == 0 && names == 0);
    CHECK(kv_snap_begin(w.kv, &s) == 0);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (table_entries(s, tables[i]))
            fprintf(stderr, "left in table %s\n", project_tables[tables[i]]);
        CHECK(table_entries(s, tables[i]) == 0);
    }
    kv_snap_end(s);
}

static void drop_everything(void)
{
    now_at.phase = "dropping everything";
    for (size_t s = 0; s < SPACES; s++)
        if (w.live.space[s])
            op_drop(s);
    while (w.live.pins)
        op_unpin(0);
    op_drain(true);
    CHECK(!w.stopped);
    CHECK(project_close(w.p) == 0);
    nothing_is_left();
    kv_close(w.kv);
}

/* After a drain no file, page or entry is without a purpose; and all is as it was. */
static void settle(void)
{
    now_at.phase = "after recovery and a drain";
    op_drain(true);
    CHECK(!w.stopped);
    must_match(&w.live);
    CHECK(project_close(w.p) == 0);
    kv_close(w.kv);
    check_store(true);
    project_reopen();
    must_match(&w.live);
}

/* The power goes again while the store recovers, drains or drops. */
static void cut_again(void)
{
    uint64_t state = now_at.seed * 7919 + now_at.k * 31 + 1;
    uint64_t n = fault_random(&state) % 14 + 1;
    struct project_config c = {
        .disk = w.disk, .clock = &w.clock.base, .threads = 1, .log_segment = LOG_SEGMENT};

    now_at.phase = "during recovery, cut again";
    process_dies();
    arm(n, true, 0);
    if (kv_open_mem(w.mem, project_tables, project_table_count, 0, &w.kv) == 0) {
        c.kv = w.kv;
        if (project_open(&c, &w.p) == 0) {
            w.stopped = false;
            op_drain(false);
        }
    }
    power_cycle();
    count.second_cuts++;
    now_at.phase = "after the second cut";
    check_store(false);
    project_reopen();
    w.stopped = false;
    match_some_state();
}

/* The store is closed or dead; the power was cut. */
static void verify_recovery(void)
{
    w.stopped = false;
    now_at.phase = "after the power came back";
    check_store(false);
    project_reopen();
    match_some_state();
    cut_again();
    settle();
    drop_everything();
}

/* ---- runs ---- */

static void run_cut(void)
{
    world_create(now_at.seed);
    now_at.phase = "workload";
    arm(now_at.k, true, 0);
    now_at.workload->run();
    power_cycle();
    verify_recovery();
    world_destroy();
}

/* The store said that it cannot be trusted: reads work, nothing else does. */
static void verify_readonly(void)
{
    now_at.phase = "read-only";
    count.readonly++;
    CHECK(report_count(REPORT_ALARM) > 0);
    must_match(&w.live);
    CHECK(project_flush(w.p) == -EROFS);
    power_cycle();
    verify_recovery();
}

static void run_fault(void)
{
    world_create(now_at.seed);
    now_at.phase = "workload";
    arm(now_at.k, false, now_at.mode == MODE_EIO ? EIO : ENOSPC);
    now_at.workload->run();
    now_at.phase = "after the fault went away";
    do
        op_flush();
    while (!w.stopped && w.attempts);
    count.retried += w.retried + w.flush_failures;
    now_at.loss = FAULT_LOSE_ALL;
    if (atomic_load(&w.p->readonly)) {
        verify_readonly();
    } else {
        must_match(&w.live);
        power_cycle();
        verify_recovery();
    }
    world_destroy();
}

/* ---- making a store, cut at every write ---- */

static int try_format(void)
{
    int err = kv_open_mem(w.mem, project_tables, project_table_count, KV_CREATE, &w.kv);

    if (err < 0)
        return err;
    err = project_format(w.disk, w.kv, &w.clock.base, "org/crash", 0, 0);
    kv_close(w.kv);
    return err;
}

/* Cut while it is made it is either no store yet, or one; then it can be made or used. */
static void run_format(void)
{
    struct vfs_attr attr;
    int err;

    world_create_empty(now_at.seed);
    now_at.phase = "making the store";
    arm(now_at.k, now_at.mode == MODE_CUT, now_at.mode == MODE_ENOSPC ? ENOSPC : EIO);
    err = try_format();
    CHECK(err == 0 || now_at.k);
    count.writes = atomic_load(&w.fault.writes);
    w.fault.loss = now_at.loss;
    w.fault.seed = now_at.seed + now_at.k * 1000003;
    disk_mem_power_cycle(w.disk);
    fault_reset(&w.fault);
    now_at.phase = "making it again";
    err = try_format();
    CHECK(err == 0 || err == -EEXIST);
    check_store(false);
    project_reopen();
    w.live.space[0] = vfs_lookup(w.p, VFS_ROOT, "main", &attr) == 0;
    if (w.live.space[0])
        vfs_forget(w.p, attr.nodeid, 1);
    CHECK(w.live.space[0] || err == -EEXIST);
    must_match(&w.live);
    drop_everything();
    world_destroy();
}

/* How many writes it makes; also that it is right without a fault. */
static uint64_t run_whole(void)
{
    uint64_t writes;

    if (!now_at.workload->run) {
        run_format();
        return count.writes;
    }
    world_create(now_at.seed);
    now_at.phase = "without a fault";
    now_at.workload->run();
    CHECK(!w.stopped);
    writes = atomic_load(&w.fault.writes);
    must_match(&w.live);
    settle();
    drop_everything();
    world_destroy();
    return writes;
}

struct options {
    const char *workload;
    uint64_t from, to, every, seed;
    int loss; /* -1: all of them */
    int mode;
};

static void run_losses(const struct options *o)
{
    void (*cut)(void) = now_at.workload->run ? run_cut : run_format;

    if (now_at.mode != MODE_CUT) {
        now_at.workload->run ? run_fault() : run_format();
        count.runs++;
        return;
    }
    for (int loss = 0; loss < 3; loss++) {
        if (o->loss >= 0 && o->loss != loss)
            continue;
        now_at.loss = (enum fault_loss)loss;
        cut();
        count.runs++;
    }
}

static void run_workload(const struct options *o, const struct workload *workload)
{
    uint64_t writes, to;

    now_at.workload = workload;
    now_at.seed = o->seed;
    now_at.mode = MODE_CUT;
    now_at.k = 0;
    writes = run_whole();
    to = o->to && o->to < writes ? o->to : writes;
    memset(&count, 0, sizeof count);
    for (int mode = 0; mode < 3; mode++)
        for (now_at.k = o->from; now_at.k <= to; now_at.k += o->every)
            if (o->mode < 0 || o->mode == mode) {
                now_at.mode = (enum mode)mode;
                run_losses(o);
            }
    printf("%-12s %4llu writes: %llu runs, %llu second cuts, %llu operations repeated, "
           "%llu times read-only\n",
           workload->name, (unsigned long long)writes, (unsigned long long)count.runs,
           (unsigned long long)count.second_cuts, (unsigned long long)count.retried,
           (unsigned long long)count.readonly);
    fflush(stdout);
}

/* ---- options ---- */

static int name_index(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(name, names[i]))
            return (int)i;
    fprintf(stderr, "crash_project: %s is not one of the choices\n", name);
    exit(2);
}

static void parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"workload", 1, NULL, 'w'}, {"from", 1, NULL, 'f'},
                                            {"to", 1, NULL, 't'},       {"every", 1, NULL, 'e'},
                                            {"loss", 1, NULL, 'l'},     {"seed", 1, NULL, 's'},
                                            {"fault", 1, NULL, 'm'},    {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t n = optarg ? strtoull(optarg, NULL, 0) : 0;
        if (c == 'w')
            o->workload = optarg;
        else if (c == 'f')
            o->from = n ? n : 1;
        else if (c == 't')
            o->to = n;
        else if (c == 'e')
            o->every = n ? n : 1;
        else if (c == 'l')
            o->loss = name_index(optarg, loss_names, 3);
        else if (c == 's')
            o->seed = n;
        else if (c == 'm')
            o->mode = name_index(optarg, mode_names, 3);
        else
            exit(2);
    }
}

int main(int argc, char **argv)
{
    struct options o = {.from = 1, .every = 1, .seed = 1, .loss = -1, .mode = -1};
    unsigned ran = 0;

    parse(argc, argv, &o);
    for (int i = 0; i < argc; i++)
        printf("%s%s", argv[i], i + 1 < argc ? " " : "\n");
    for (size_t i = 0; i < workload_count; i++)
        if (!o.workload || !strcmp(o.workload, workloads[i].name)) {
            run_workload(&o, &workloads[i]);
            ran++;
        }
    if (!ran)
        fprintf(stderr, "crash_project: no workload is called %s\n", o.workload);
    return ran ? 0 : 2;
}
