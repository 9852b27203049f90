// SPDX-License-Identifier: Apache-2.0
/*
 * crash_store: every write of a workload cut, and what must hold afterwards.
 *
 *     crash_store [--workload W] [--from K] [--to K | --last-commit] [--every N]
 *                   [--loss all|keep|some] [--seed S | --seeds A..B] [--fault cut|eio|enospc|lost]
 *                   [--chances N] [--pattern P] [--real DIR] [--pool] [--compression rest|write]
 *                   [--jobs N] [--tried FILE]
 *
 * A workload runs once without faults, to count its writes (of disk and kv, in one sequence), and
 * then again and again. `cut`: the power goes at write k and what was not synced is lost: all of
 * it, nothing (the process died alone), or as chance has it, --chances times. Then the store is
 * opened, and the power cut once more on the way. What must hold:
 *
 *   1. it opens, and check finds no damage
 *   2. it is in the state of the last acknowledged flush or sync, or that of a change after it
 *   3. every byte of every file is right
 *   4. after a drain nothing leaks; when all is dropped, nothing is left
 *
 * `eio`, `enospc`: write k fails once. What failed can be repeated, or the store turned read-only
 * with an alarm and is the last good commit when opened again.
 *
 * `lost`, of workloads with other shards: write k is done if it is one on such a shard, and its
 * answer is lost (EHOSTUNREACH). The same must hold as after `eio`.
 *
 * --last-commit: only the writes of the last commit of kv are cut. A call that cuts no write, and
 * fails none, fails.
 *
 * For hours of it: --seeds, other operations for the workload `chance`, which are the seed's;
 * --jobs, so many processes; --real, the shard is a directory of the machine, made below DIR
 * (power.c; `format` and faults are not done there); --pool, the store is in a pool in memory,
 * where another one has done the same before it (without `format`); --compression, small objects
 * are compressed, and a compaction compresses what is not; --tried, what was tried is read
 * from the file, not tried again, and added to it. At the end it says how many different triples of
 * workload, write and loss pattern there were.
 *
 * The same options do the same cuts. A red run prints those that repeat it.
 */
#include "crash.h"
#include "report.h"
#include "tried.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 64
#define KNOWN_MAX 6 /* patterns in a row that were tried before: then no more of this write */

enum mode { MODE_CUT, MODE_EIO, MODE_ENOSPC, MODE_LOST, MODES };
static const char *const mode_names[MODES] = {"cut", "eio", "enospc", "lost"};
static const int mode_errors[MODES] = {0, EIO, ENOSPC, EHOSTUNREACH};
static const char *const loss_names[] = {"all", "keep", "some"};

struct cut now_at;
static enum mode mode;
static const char *real_option = ""; /* its argument */
static char real_dir[4096];          /* of this process; empty: in memory */
static bool pooled;                  /* option --pool */
static bool last_commit;             /* option --last-commit */

static const char *dir(void)
{
    return *real_dir ? real_dir : NULL;
}

struct count {
    uint64_t writes, runs, second_cuts, readonly, retried, cut;
};
static struct count count, *total; /* of the workload; of the process, where its parent sees it */

_Noreturn void fail(const char *file, int line, const char *what)
{
    char text[REPORT_KEEP][REPORT_TEXT];
    size_t n = report_recent(REPORT_NOTE, text, REPORT_KEEP);

    fprintf(stderr, "%s:%d: %s (%s)\n", file, line, what, now_at.phase);
    for (size_t i = 0; i < n && i < 8; i++)
        fprintf(stderr, "  reported: %s\n", text[i]);
    fprintf(stderr,
            "repeat: crash_store --workload %s --from %llu --to %llu --fault %s --pattern %llu "
            "--seed %llu%s%s%s%s%s\n",
            now_at.workload->name, (unsigned long long)now_at.k, (unsigned long long)now_at.k,
            mode_names[mode], (unsigned long long)now_at.pattern, (unsigned long long)now_at.seed,
            now_at.compression ? " --compression " : "",
            now_at.compression ? setting_infos[SET_COMPRESSION].words[now_at.compression] : "",
            pooled ? " --pool" : "", *real_dir ? " --real " : "", real_option);
    abort();
}

/* ---- runs ---- */

static void create(void)
{
    if (pooled)
        world_create_pooled(now_at.seed);
    else
        world_create(now_at.seed, dir());
}

/* The power goes, or the process dies, at write k. */
static void die(void)
{
    model_note();
    process_dies();
    if (now_at.dies) {
        page_cache_lives();
        now_at.lost = 0;
    } else {
        power_cycle(now_at.loss, now_at.loss_seed);
        now_at.lost = world_lost();
    }
}

/* Not when it was tried before, unless it is one of the first patterns. */
static bool run_cut(void)
{
    bool news;

    create();
    now_at.phase = "workload";
    arm(now_at.k, true, 0);
    now_at.workload->run();
    /* `merged` fills the disk itself: a run of it may end before write k. */
    CHECK(fault_fired(&w.fault) || now_at.workload->run == workload_merged);
    die();
    news = now_at.dies || tried_cut(now_at.lost);
    if (now_at.dies)
        verify_cut_recovery();
    else if (news || now_at.pattern < 3)
        verify_recovery();
    world_destroy();
    count.runs++;
    return news;
}

/* The store said that it cannot be trusted: reads work, nothing else does. */
static void verify_readonly(void)
{
    now_at.phase = "read-only";
    count.readonly++;
    CHECK(report_count(REPORT_ALARM) > 0);
    must_match(&w.live);
    CHECK(flush_now(w.p) == -EROFS);
    die();
    verify_recovery();
}

static void run_fault(void)
{
    create();
    now_at.phase = "workload";
    arm(now_at.k, false, mode_errors[mode]);
    w.fault.loss = mode == MODE_LOST ? FAULT_KEEP_ALL : FAULT_LOSE_ALL;
    now_at.workload->run();
    CHECK(fault_fired(&w.fault));
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
        die();
        verify_recovery();
    }
    world_destroy();
    count.runs++;
}

/* ---- making a store, cut at every write ---- */

static int try_format(void)
{
    int err = world_open_kv(KV_CREATE);

    if (err < 0)
        return err;
    err = store_format(w.disk, w.kv, &w.clock.base, "org/crash", 0, 0, NULL);
    kv_close(w.kv);
    return err;
}

/* Cut while it is made it is either no store yet, or one; then it can be made or used. */
static bool run_format(void)
{
    struct vfs_attr attr;
    bool news;
    int err;

    world_create_empty(now_at.seed, dir());
    now_at.phase = "making the store";
    arm(now_at.k, mode == MODE_CUT, mode == MODE_ENOSPC ? ENOSPC : EIO);
    err = try_format();
    CHECK(err == 0 || now_at.k);
    count.writes = atomic_load(&w.fault.writes);
    power_cycle(now_at.loss, now_at.loss_seed);
    news = now_at.k && mode == MODE_CUT && tried_cut(world_lost());
    now_at.phase = "making it again";
    err = try_format();
    CHECK(err == 0 || err == -EEXIST);
    check_store(false);
    world_reopen();
    w.live.space[0] = vfs_lookup(w.p, VFS_ROOT, "main", &attr) == 0;
    if (w.live.space[0])
        vfs_forget(w.p, attr.nodeid, 1);
    w.live.operations = w.live.space[0];
    CHECK(w.live.space[0] || err == -EEXIST);
    must_match(&w.live);
    drop_everything();
    world_destroy();
    count.runs++;
    return news;
}

/* How many writes it makes; also that it is right without a fault. With --last-commit, `*from` and
 * `*to` become the writes of that commit. */
static uint64_t run_whole(uint64_t *from, uint64_t *to)
{
    uint64_t writes;

    if (!now_at.workload->run) {
        (void)run_format();
        return count.writes;
    }
    create();
    now_at.phase = "without a fault";
    now_at.workload->run();
    CHECK(!w.stopped);
    writes = atomic_load(&w.fault.writes);
    *from = last_commit ? w.commit_from : *from;
    *to = last_commit ? w.commit_to : *to;
    must_match(&w.live);
    if (dir())
        power_compare();
    settle();
    drop_everything();
    world_destroy();
    return writes;
}

/* ---- all of them ---- */

struct options {
    const char *workload, *real, *tried;
    uint64_t from, to, every, seed, last_seed, chances;
    int loss; /* -1: all of them */
    int mode;
    int64_t pattern; /* -1: all of them */
    unsigned jobs, job;
};

/* What pattern p loses. The first three and --loss name each other. */
static void choose_loss(uint64_t p)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_SOME, FAULT_LOSE_ONE, FAULT_KEEP_ONE};

    now_at.pattern = p;
    now_at.loss_seed = now_at.seed + now_at.k * 1000003 + (p < 3 ? 0 : p * 7777777);
    now_at.dies = mode == MODE_CUT && ((p == 1 && now_at.k % 2 == 0) || (p > 2 && p % 4 == 2));
    if (p == 0)
        now_at.loss = FAULT_LOSE_ALL;
    else if (p == 1 && !now_at.dies)
        now_at.loss = FAULT_KEEP_ALL;
    else if (p < 3)
        now_at.loss = FAULT_LOSE_SOME;
    else if (now_at.dies)
        now_at.loss = p / 4 % 2 ? FAULT_LOSE_ALL : losses[p / 8 % 3];
    else
        now_at.loss = losses[p % 4 == 3 ? 0 : p % 4 + 1];
}

static void run_patterns(const struct options *o)
{
    bool (*cut)(void) = now_at.workload->run ? run_cut : run_format;
    unsigned known = 0;

    for (uint64_t p = 0; p < 2 + o->chances && known < KNOWN_MAX; p++) {
        if ((o->loss >= 0 && (uint64_t)o->loss != p) ||
            (o->pattern >= 0 && (uint64_t)o->pattern != p))
            continue;
        choose_loss(p);
        bool news = cut();
        if (!now_at.dies)
            known = news || p < 3 ? 0 : known + 1;
    }
}

static void run_write(const struct options *o)
{
    if (mode == MODE_CUT) {
        run_patterns(o);
        count.cut++;
        return;
    }
    now_at.pattern = 0;
    now_at.dies = false;
    now_at.loss = FAULT_LOSE_ALL;
    if (now_at.workload->run)
        run_fault();
    else
        (void)run_format();
}

static void run_workload(const struct options *o, const struct workload *workload, uint64_t seed)
{
    uint64_t writes, from = o->from, to = o->to;

    now_at = (struct cut){.workload = workload, .seed = seed, .compression = now_at.compression};
    mode = MODE_CUT;
    choose_loss(0);
    writes = run_whole(&from, &to);
    to = to && to < writes ? to : writes;
    bool sharded = workload->run == workload_moved || workload->run == workload_recalled ||
                   workload->run == workload_swept;

    memset(&count, 0, sizeof count);
    for (int m = 0; m < (o->real ? 1 : MODES); m++)
        for (now_at.k = from; now_at.k <= to; now_at.k += o->every)
            if ((o->mode < 0 ? m != MODE_LOST || sharded : o->mode == m) &&
                now_at.k % o->jobs == o->job) {
                mode = (enum mode)m;
                run_write(o);
            }
    total->writes += writes;
    total->cut += count.cut;
    total->runs += count.runs;
    total->second_cuts += now_at.second_cuts;
    if (o->jobs > 1)
        return;
    printf("%-12s %4llu writes: %llu runs, %llu second cuts, %llu operations repeated, "
           "%llu times read-only\n",
           workload->name, (unsigned long long)writes, (unsigned long long)count.runs,
           (unsigned long long)now_at.second_cuts, (unsigned long long)count.retried,
           (unsigned long long)count.readonly);
    fflush(stdout);
}

/* How many workloads there were. */
static unsigned run_all(const struct options *o)
{
    unsigned ran = 0;

    for (size_t i = 0; i < workload_count; i++) {
        if ((o->workload && strcmp(o->workload, workloads[i].name)) ||
            ((o->real || pooled) && !workloads[i].run))
            continue;
        for (uint64_t s = o->seed; s <= (workloads[i].random ? o->last_seed : o->seed); s++)
            run_workload(o, &workloads[i], s);
        ran++;
    }
    return ran;
}

/* ---- several processes ---- */

static void use_real_dir(const struct options *o)
{
    if (!o->real)
        return;
    real_option = o->real;
    snprintf(real_dir, sizeof real_dir, "%.3000s/crash-%u", o->real, o->job);
    (void)mkdir(o->real, 0700);
    if (mkdir(real_dir, 0700) < 0 && errno != EEXIST) {
        fprintf(stderr, "crash_store: cannot make %s: %s\n", real_dir, strerror(errno));
        exit(2);
    }
}

static _Noreturn void be_job(struct options *o, unsigned job, FILE *news)
{
    o->job = job;
    total += job;
    tried_tell(news);
    use_real_dir(o);
    (void)run_all(o);
    _exit(fflush(news) == 0 ? 0 : 1);
}

/* How many of them failed. What they tried is tried, then. */
static unsigned run_jobs(struct options *o)
{
    FILE *news[JOBS_MAX];
    pid_t pid[JOBS_MAX];
    unsigned failed = 0;

    fflush(stdout);
    for (unsigned j = 0; j < o->jobs; j++) {
        news[j] = o->tried ? fopen(o->tried, "ab") : tmpfile();
        pid[j] = news[j] ? fork() : -1;
        if (pid[j] == 0)
            be_job(o, j, news[j]);
    }
    for (unsigned j = 0; j < o->jobs; j++) {
        int status;
        failed += pid[j] < 0 || waitpid(pid[j], &status, 0) < 0 || status != 0;
    }
    for (unsigned j = 0; j < o->jobs; j++) {
        FILE *f = o->tried ? fopen(o->tried, "rb") : news[j];
        if (!f || !news[j])
            continue;
        rewind(f);
        tried_read(f);
        fclose(news[j]);
        if (o->tried)
            fclose(f);
    }
    return failed;
}

/* Returns how many runs there were. */
static uint64_t print_summary(const struct options *o, unsigned failed)
{
    struct tried_counts t = tried_counts();
    struct count sum = {0};

    for (unsigned j = 0; j < o->jobs; j++) {
        sum.runs += total[j].runs;
        sum.cut += total[j].cut;
        sum.second_cuts += total[j].second_cuts;
    }
    printf("%llu distinct triples (workload, write, loss pattern), %.1f %% of them in a real "
           "directory; beside them %llu distinct cuts of a recovery; here %llu runs, %llu of %llu "
           "writes cut, seeds %llu..%llu, %u of %u jobs failed\n",
           (unsigned long long)t.cuts, t.cuts ? 100.0 * (double)t.real / (double)t.cuts : 0,
           (unsigned long long)t.recoveries, (unsigned long long)sum.runs,
           (unsigned long long)sum.cut, (unsigned long long)total[0].writes,
           (unsigned long long)o->seed, (unsigned long long)o->last_seed, failed, o->jobs);
    return sum.runs;
}

static unsigned run(struct options *o)
{
    FILE *tried = o->tried ? fopen(o->tried, "a+b") : NULL;
    unsigned failed = 0;

    total = mmap(NULL, JOBS_MAX * sizeof *total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    if ((o->tried && !tried) || total == MAP_FAILED) {
        perror("crash_store");
        exit(2);
    }
    if (tried) {
        rewind(tried);
        tried_read(tried);
    }
    if (o->jobs > 1) {
        failed = run_jobs(o);
    } else {
        tried_tell(tried);
        use_real_dir(o);
        (void)run_all(o);
    }
    if (print_summary(o, failed) == 0) {
        fprintf(stderr, "crash_store: no write was cut, and none failed\n");
        failed++;
    }
    if (tried && fclose(tried) != 0)
        perror(o->tried);
    tried_release();
    munmap(total, JOBS_MAX * sizeof *total);
    return failed;
}

/* ---- options ---- */

static int name_index(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(name, names[i]))
            return (int)i;
    fprintf(stderr, "crash_store: %s is not one of the choices\n", name);
    exit(2);
}

static void set_seeds(struct options *o, const char *text)
{
    const char *dots = strstr(text, "..");

    o->seed = strtoull(text, NULL, 0);
    o->last_seed = dots ? strtoull(dots + 2, NULL, 0) : o->seed;
}

static void set(struct options *o, int which, const char *text)
{
    uint64_t n = text ? strtoull(text, NULL, 0) : 0;

    if (which == 'w')
        o->workload = text;
    else if (which == 'f')
        o->from = n ? n : 1;
    else if (which == 't')
        o->to = n;
    else if (which == 'e')
        o->every = n ? n : 1;
    else if (which == 'l')
        o->loss = name_index(text, loss_names, 3);
    else if (which == 's')
        set_seeds(o, text);
    else if (which == 'm')
        o->mode = name_index(text, mode_names, MODES);
    else if (which == 'c')
        o->chances = n;
    else if (which == 'p')
        o->pattern = (int64_t)n;
    else if (which == 'r')
        o->real = text;
    else if (which == 'P')
        pooled = true;
    else if (which == 'C')
        now_at.compression = *text == 'w' ? COMPRESSION_WRITE : COMPRESSION_REST;
    else if (which == 'L')
        last_commit = true;
    else if (which == 'j')
        o->jobs = n < 1 ? 1 : n < JOBS_MAX ? (unsigned)n : JOBS_MAX;
    else
        o->tried = text;
}

static void parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"workload", 1, NULL, 'w'},
                                            {"from", 1, NULL, 'f'},
                                            {"to", 1, NULL, 't'},
                                            {"every", 1, NULL, 'e'},
                                            {"loss", 1, NULL, 'l'},
                                            {"seed", 1, NULL, 's'},
                                            {"seeds", 1, NULL, 's'},
                                            {"fault", 1, NULL, 'm'},
                                            {"chances", 1, NULL, 'c'},
                                            {"pattern", 1, NULL, 'p'},
                                            {"real", 1, NULL, 'r'},
                                            {"jobs", 1, NULL, 'j'},
                                            {"tried", 1, NULL, 'T'},
                                            {"pool", 0, NULL, 'P'},
                                            {"last-commit", 0, NULL, 'L'},
                                            {"compression", 1, NULL, 'C'},
                                            {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == '?')
            exit(2);
        set(o, c, optarg);
    }
    if (o->pattern >= 0)
        o->chances = (uint64_t)o->pattern;
}

static bool is_workload(const char *name)
{
    for (size_t i = 0; i < workload_count; i++)
        if (!strcmp(name, workloads[i].name))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    struct options o = {.from = 1,
                        .every = 1,
                        .seed = 1,
                        .last_seed = 1,
                        .loss = -1,
                        .mode = -1,
                        .chances = 1,
                        .pattern = -1,
                        .jobs = 1};

    parse(argc, argv, &o);
    for (int i = 0; i < argc; i++)
        printf("%s%s", argv[i], i + 1 < argc ? " " : "\n");
    if (o.workload && !is_workload(o.workload)) {
        fprintf(stderr, "crash_store: no workload is called %s\n", o.workload);
        return 2;
    }
    return run(&o) ? 1 : 0;
}
