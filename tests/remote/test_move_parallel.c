// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of what is under way to shards at once (`shard_parallel`): moves, recalls, sweeps and
 * releases have so many requests in flight, one that is slow keeps no other from going on, and
 * whatever is cut off then, nothing is named that is not there.
 */
#include "gate.h"
#include "move_fixture.h"
#include <unistd.h>

#define SMALL 40
#define FILES 30
#define FILE_SIZE 140000u /* more than pack_limit: a file of its own */

static struct world w;

static struct gate gate;

static void small_path(int i, char path[32])
{
    snprintf(path, 32, "main/s/f%d", i);
}

static void large_path(int i, char path[32])
{
    snprintf(path, 32, "main/d/f%d", i);
}

static void make_files(void)
{
    char path[32];

    make_dir(&w, "main/s");
    make_dir(&w, "main/d");
    for (int i = 0; i < SMALL; i++) {
        small_path(i, path);
        put_bytes(&w, path, 2000 + (size_t)i, (uint64_t)i);
    }
    for (int i = 0; i < FILES; i++) {
        large_path(i, path);
        put_bytes(&w, path, FILE_SIZE + (size_t)i, 1000 + (uint64_t)i);
    }
    settle(&w);
}

static void files_are(void)
{
    char path[32];

    for (int i = 0; i < SMALL; i++) {
        small_path(i, path);
        has_bytes(&w, path, 2000 + (size_t)i, (uint64_t)i);
    }
    for (int i = 0; i < FILES; i++) {
        large_path(i, path);
        has_bytes(&w, path, FILE_SIZE + (size_t)i, 1000 + (uint64_t)i);
    }
}

static void up(void)
{
    gate_init(&gate);
    world_up(&w);
    make_files();
    agreed(&w.x, "set shard_parallel 8", "ok");
    agreed(&w.x, "set shard_patience 1h", "ok"); /* on a busy machine any call may take a while */
    shard_mem_set_latency(w.cold, 1, gate_pass, &gate);
}

static void down_all(void)
{
    world_down(&w);
}

TestSuite(move_parallel, .init = up, .fini = down_all, .timeout = 120);

/* ---- a command that runs meanwhile ---- */

struct meanwhile {
    const char *text, *part;
    pthread_t thread;
};

static void *command(void *ctx)
{
    const struct meanwhile *c = ctx;

    agreed(&w.x, c->text, c->part);
    return NULL;
}

static struct meanwhile *begin(const char *text, const char *part)
{
    static struct meanwhile c;

    c = (struct meanwhile){text, part, 0};
    cr_assert_eq(pthread_create(&c.thread, NULL, command, &c), 0);
    return &c;
}

static void ends(struct meanwhile *c)
{
    pthread_join(c->thread, NULL);
}

/* A move of all files to the shard. The gate is shut when it has begun, so that only what carries
 * objects passes it. */
struct mover {
    unsigned pass, hold;
    struct move_result r;
    pthread_t thread;
};

static void *move_all(void *ctx)
{
    struct mover *c = ctx;
    struct entry e;
    struct move *m;
    char path[32];

    cr_assert_eq(move_begin(w.x.p, NULL, 1, &m), 0);
    gate_shut(&gate, c->pass, c->hold);
    for (int i = 0; i < SMALL; i++) {
        small_path(i, path);
        cr_assert_eq(move_one(m, place_of(&w, path, &e), NULL), 0);
    }
    for (int i = 0; i < FILES; i++) {
        large_path(i, path);
        cr_assert_eq(move_one(m, place_of(&w, path, &e), NULL), 0);
    }
    cr_assert_eq(move_end(m, &c->r), 0);
    return NULL;
}

static struct mover *move_begins(unsigned pass, unsigned hold)
{
    static struct mover c;

    c = (struct mover){.pass = pass, .hold = hold};
    gate_shut(&gate, UINT_MAX, 0);
    cr_assert_eq(pthread_create(&c.thread, NULL, move_all, &c), 0);
    return &c;
}

static void moved_all(struct mover *c)
{
    pthread_join(c->thread, NULL);
    cr_assert_eq(c->r.objects, SMALL + FILES);
    cr_assert_eq(c->r.failed, 0);
    cr_assert_eq(ghosts_on(&w, 1), SMALL + FILES);
}

/* By a commit alone all is as before, counts are right, and nothing is left on the shard that
 * nothing needs. */
static void is_sound(void)
{
    struct findings f;
    char reply[4096];

    settle(&w);
    world_dies(&w);
    files_are();
    agreed(&w.x, "rebuild wait", "changed=0");
    agreed(&w.x, "recall main/ wait", "failed=0");
    settle(&w);
    (void)say(&w.x, "gc grace=0s wait", reply); /* what was put and never named */
    (void)say(&w.x, "gc grace=0s wait", reply);
    files_are();
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
    down(&w.x);
    is_clean(&w.x, &f);
    fixture_open(&w.x);
}

/* ---- how many at once ---- */

Test(move_parallel, a_move_of_many_large_files_has_so_many_on_their_way)
{
    struct mover *c = move_begins(0, UINT_MAX);

    gate_until_held(&gate, 8);
    gate_open(&gate);
    moved_all(c);
    cr_assert_eq(gate_most(&gate), 8);
    is_sound();
}

Test(move_parallel, and_a_recall_of_them)
{
    agreed(&w.x, "move main/d 1 wait", "objects=30 ");
    gate_shut(&gate, 0, UINT_MAX);
    struct meanwhile *c = begin("recall main/d wait", "objects=30 ");
    gate_until_held(&gate, 8);
    gate_open(&gate);
    ends(c);
    cr_assert_eq(gate_most(&gate), 8);
    is_sound();
}

Test(move_parallel, with_a_limit_of_one_each_waits_for_the_one_before)
{
    agreed(&w.x, "set shard_parallel 1", "ok");
    struct mover *c = move_begins(20, UINT_MAX); /* in the middle of the fourth file or so */

    gate_until_held(&gate, 1);
    gate_open(&gate);
    moved_all(c);
    cr_assert_eq(gate_most(&gate), 1);
    is_sound();
}

Test(move_parallel, with_one_being_held_up_the_others_go_on)
{
    struct mover *c = move_begins(5, 1);

    gate_until_held(&gate, 1);
    while (ghosts_on(&w, 1) < SMALL + FILES - 1)
        usleep(1000);
    cr_assert_eq(ghosts_on(&w, 1), SMALL + FILES - 1);
    gate_open(&gate);
    moved_all(c);
    is_sound();
}

Test(move_parallel, a_sweep_asks_for_so_many_files_at_once)
{
    agreed(&w.x, "set sweep_rate 1000000/s", "ok");
    agreed(&w.x, "move main/d 1 wait", "objects=30 ");
    gate_shut(&gate, 0, UINT_MAX);
    struct meanwhile *c = begin("sweep wait", "checked=30 purged=0 kept=30 inconclusive=0 lost=0");
    gate_until_held(&gate, 8);
    gate_open(&gate);
    ends(c);
    cr_assert_eq(gate_most(&gate), 8);
}

Test(move_parallel, a_sweep_asks_for_no_more_once_the_shard_cannot_be_asked)
{
    agreed(&w.x, "set sweep_rate 1000000/s", "ok");
    agreed(&w.x, "move main/d 1 wait", "objects=30 ");
    uint64_t asked = shard_mem_calls(w.cold, SHARD_MEM_STAT);
    gate_shut(&gate, 0, UINT_MAX);
    struct meanwhile *c = begin("sweep wait", "checked=30 purged=0 kept=0 inconclusive=30 lost=0");
    gate_until_held(&gate, 8);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    gate_open(&gate);
    ends(c);
    cr_assert_leq(shard_mem_calls(w.cold, SHARD_MEM_STAT) - asked, 16);
}

Test(move_parallel, dead_bytes_are_deleted_so_many_files_at_once)
{
    char path[32];
    uint64_t left;

    agreed(&w.x, "move main/d 1 wait", "objects=30 ");
    for (int i = 0; i < FILES; i++) {
        large_path(i, path);
        remove_file(&w.x, path);
    }
    cr_assert_eq(flush_now(w.x.p), 0);
    gate_shut(&gate, 0, UINT_MAX);
    struct meanwhile *c = begin("drain", "ok");
    gate_until_held(&gate, 8);
    gate_open(&gate);
    ends(c);
    cr_assert_eq(release_pass(w.x.p, 1, &left), 0);
    cr_assert_eq(gate_most(&gate), 8);
    cr_assert_eq(left, 0);
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
}

/* ---- few requests ---- */

Test(move_parallel, a_pack_is_read_back_by_one_request)
{
    uint64_t ranges = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    uint64_t stats = shard_mem_calls(w.cold, SHARD_MEM_STAT);

    agreed(&w.x, "move main/s 1 wait", "objects=40 ");
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_RANGE), ranges + 1);
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_STAT), stats);
}

Test(move_parallel, what_comes_home_from_a_pack_is_read_by_one_request)
{
    agreed(&w.x, "move main/s 1 wait", "objects=40 ");
    uint64_t ranges = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    agreed(&w.x, "recall main/s wait", "objects=40 ");
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_RANGE), ranges + 1);
    is_sound();
}

Test(move_parallel, and_so_is_what_goes_from_one_shard_to_another)
{
    agreed(&w.x, "move main/s 1 wait", "objects=40 ");
    uint64_t ranges = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    agreed(&w.x, "move main/s 2 wait", "objects=40 ");
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_RANGE), ranges + 1);
    is_sound();
}

Test(move_parallel, a_record_that_is_damaged_among_others_stays_and_they_come_home)
{
    char name[DISK_NAME_MAX + 1], reply[4096];
    struct entry e;

    agreed(&w.x, "move main/s 1 wait", "objects=40 ");
    (void)place_of(&w, "main/s/f7", &e);
    objects_file_name(&e, 0, name);
    cr_assert_eq(shard_mem_flip(w.cold, name, e.offset + 500, 1), 0);
    cr_assert_eq(say(&w.x, "recall main/s wait", reply), -EUCLEAN, "%s", reply);
    cr_assert(strstr(reply, "1 stayed where they are"), "%s", reply);
    cr_assert_eq(ghosts_on(&w, 1), 1);
    cr_assert_eq(shard_of(&w, "main/s/f7"), 1);
    has_bytes(&w, "main/s/f6", 2006, 6);
    has_bytes(&w, "main/s/f8", 2008, 8);
}

/* ---- cut off ---- */

static unsigned job_number(const char *reply)
{
    const char *at = strstr(reply, "job=");

    cr_assert(at, "%s", reply);
    return (unsigned)atoi(at + 4);
}

Test(move_parallel, a_cancelled_move_names_all_that_was_put_and_nothing_else)
{
    char reply[4096], line[64];

    gate_shut(&gate, 20, UINT_MAX);
    cr_assert_gt(say(&w.x, "move main/ 1", reply), 0, "%s", reply);
    unsigned job = job_number(reply);
    gate_until_held(&gate, 8);
    snprintf(line, sizeof line, "cancel %u", job);
    agreed(&w.x, line, "ok");
    gate_open(&gate);
    snprintf(line, sizeof line, "wait %u", job);
    refused(&w.x, line, -ECANCELED, "");
    uint64_t large = names_in("mem:cold", "objects") / 2, packs = names_in("mem:cold", "packs");
    cr_assert_eq(ghosts_on(&w, 1), large + packs * SMALL);
    files_are();
    is_sound();
}

Test(move_parallel, a_cycle_takes_nothing_that_is_on_its_way_home_while_others_are_committed)
{
    struct move_result r;
    struct move *m;
    struct entry e;
    char path[32];

    cr_assert_eq(workers_set_threads(w.x.p->workers, 2, 3), 0);
    agreed(&w.x, "move main/d 1 wait", "objects=30 ");
    world_dies(&w); /* no file is open there any more */
    agreed(&w.x, "set shard_parallel 8", "ok");
    cr_assert_eq(move_begin(w.x.p, NULL, 0, &m), 0);
    gate_shut(&gate, 3, 1); /* in the middle of the first: its copy has a name at home */
    cr_assert_eq(move_one(m, place_of(&w, "main/d/f0", &e), NULL), 0);
    gate_until_held(&gate, 1);
    for (int i = 1; i < FILES; i++) {
        large_path(i, path);
        clock_manual_advance(&w.x.clock, NSEC_PER_SEC); /* each commits what is old */
        cr_assert_eq(move_one(m, place_of(&w, path, &e), NULL), 0);
    }
    for (int i = 0; i < 3; i++)
        agreed(&w.x, "gc grace=0s wait", "collected=0");
    gate_open(&gate);
    cr_assert_eq(move_end(m, &r), 0);
    cr_assert_eq(r.objects, FILES);
    cr_assert_eq(r.failed, 0);
    is_sound();
}

/* The power goes at write number `at` of the command. True: the command had as many writes. */
static bool cut(const char *text, uint64_t at, enum fault_loss loss)
{
    char reply[4096];
    bool fired;

    fault_reset(&w.x.fault);
    w.x.fault.fail_at = at;
    w.x.fault.cut = true;
    w.x.fault.loss = loss;
    w.x.fault.seed = at + 1;
    (void)say(&w.x, text, reply);
    fired = fault_fired(&w.x.fault);
    store_abandon(w.x.p);
    kv_close(w.x.kv);
    if (fired)
        disk_mem_power_cycle(w.x.disk);
    fault_reset(&w.x.fault);
    fixture_open(&w.x);
    return fired;
}

static void cut_each(const char *prepare, const char *text, enum fault_loss loss)
{
    unsigned cuts = 0;

    for (uint64_t at = 1;; at += 13, cuts++) {
        agreed(&w.x, prepare, "failed=0");
        settle(&w);
        bool fired = cut(text, at, loss);
        files_are();
        if (!fired)
            break;
    }
    cr_assert_gt(cuts, 3);
    is_sound();
}

Test(move_parallel, a_move_may_lose_power_at_any_write)
{
    cut_each("recall main/ wait", "move main/ 1 wait", FAULT_LOSE_SOME);
}

Test(move_parallel, or_its_process)
{
    cut_each("recall main/ wait", "move main/ 1 wait", FAULT_KEEP_ALL);
}

Test(move_parallel, a_recall_may_lose_power_at_any_write)
{
    cut_each("move main/ 1 wait", "recall main/ wait", FAULT_LOSE_SOME);
}

Test(move_parallel, or_its_process_as_well)
{
    cut_each("move main/ 1 wait", "recall main/ wait", FAULT_KEEP_ALL);
}
