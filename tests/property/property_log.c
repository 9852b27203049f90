// SPDX-License-Identifier: Apache-2.0
/*
 * property_log: a log that is cut at any write, against a plain list of its frames.
 *
 *     property_log [--seed S] [--rounds N] [--capacity KIB]      0: the disk never fills up
 *
 * Each round: frames, syncs, commits with a trim, in a random order, until a random write does not
 * happen any more; then the machine has lost power, with all, some or nothing of what was not
 * synced, or only the daemon has died. What is read must be the frames behind the last commit, in
 * order and as they were, with all that a sync had acknowledged, and after a loss of power none
 * that names what was not synced before it. Then the next epoch begins. Prints its seed; the same
 * seed does the same.
 */
#include "disk_mem.h"
#include "log.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES 4096 /* of one round */
#define LEN_MAX 30000

#define CHECK(claim)                                                                               \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "round %" PRIu64 ": does not hold: %s (line %d)\n", w.round, #claim,   \
                    __LINE__);                                                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct {
    uint64_t rng, round, cuts;
    struct fault fault;
    struct disk *disk;
    struct log *log;
    /* What a commit has. */
    uint64_t epoch, committed;
    struct log_pos pos;
    /* Since it began. */
    uint64_t first, last;         /* numbers of this round's frames: behind first, up to last */
    uint64_t acknowledged, ready; /* by a sync; by what is synced before it */
    bool maybe;                   /* the last one met the cut */
    uint32_t len[FRAMES], seed[FRAMES];
    uint64_t visited;
} w;

static uint8_t bytes[LEN_MAX + 256];

static uint64_t below(uint64_t n)
{
    return (fault_random(&w.rng) >> 16) % n;
}

static bool is_off(void)
{
    return fault_is_cut(&w.fault);
}

/* ---- steps ---- */

static void append(void)
{
    uint32_t len = (uint32_t)(below(4) ? below(300) : below(LEN_MAX)), seed = (uint32_t)below(256);
    struct iovec iov[2] = {{bytes + seed, len / 3}, {bytes + seed + len / 3, len - len / 3}};
    uint64_t seq;

    if (w.last - w.first == FRAMES || log_room(w.log, len))
        return;
    CHECK(log_append(w.log, len, iov, 2, &seq) == 0 && seq == ++w.last);
    log_room_done(w.log, len);
    w.len[seq - w.first - 1] = len;
    w.seed[seq - w.first - 1] = seed;
    w.maybe = is_off();
}

/* What the frames up to now name is synced; others come meanwhile. */
static int before(void *ctx)
{
    (void)ctx;
    w.ready = w.last;
    if (below(8) == 0)
        return -EIO;
    for (uint64_t n = below(3); n > 0 && !is_off(); n--)
        append();
    return 0;
}

static void sync_some(void)
{
    uint64_t seq = w.last - below(w.last - w.first < 3 ? 1 : 3);

    if (log_sync(w.log, seq, before, NULL) == 0 && seq > w.acknowledged)
        w.acknowledged = seq;
}

static void commit(void)
{
    struct log_pos pos;

    log_position(w.log, &pos);
    w.pos = pos;
    w.committed = w.last;
    log_trim(w.log, &pos);
}

static void step(void)
{
    uint64_t what = below(20);

    if (what == 0)
        commit();
    else if (what < 5)
        sync_some();
    else
        append();
}

/* ---- rounds ---- */

static void begin(void)
{
    struct log_config c = {.disk = w.disk,
                           .clock = clock_real(),
                           .epoch = w.epoch,
                           .seq = w.committed,
                           .next_segment = w.pos.segment,
                           .segment_size = 65536};

    w.first = w.last = w.acknowledged = w.ready = w.committed;
    w.maybe = false;
    CHECK(log_open(&c, &w.log) == 0);
    fault_reset(&w.fault);
    w.fault.fail_at = 1 + below(below(3) ? 60 : 2000);
    w.fault.cut = true;
}

static int compare(const struct log_frame *f, void *ctx)
{
    uint64_t i = f->seq - w.first - 1;

    (void)ctx;
    CHECK(!f->sync && !f->tail && f->seq == ++w.visited && f->seq <= w.last);
    CHECK(f->len == w.len[i] && f->ns == w.len[i] &&
          memcmp(f->payload, bytes + w.seed[i], f->len) == 0);
    return 0;
}

static void recover(enum fault_loss loss)
{
    struct log_scan scan = {.epoch = w.epoch, .seq = w.committed, .pos = w.pos};
    struct log_report r;

    w.visited = w.committed;
    int e = log_read(w.disk, &scan, compare, NULL, &r);

    if (e)
        fprintf(stderr, "log_read: %d at %" PRIu64 ":%" PRIu64 "\n", e, r.end.segment,
                r.end.offset);
    CHECK(e == 0);
    CHECK(r.last_seq == w.visited && r.frames == w.visited - w.committed);
    CHECK(w.visited >= w.acknowledged);
    if (loss == FAULT_KEEP_ALL)
        CHECK(w.visited + w.maybe >= w.last && !r.torn);
    else
        CHECK(w.visited <= w.ready || w.visited == w.committed);
    w.epoch++;
    w.committed = w.visited;
    w.pos = (struct log_pos){r.next_segment, SEGMENT_HEAD};
    CHECK(below(2) || log_reap(w.disk, w.epoch) == 0);
}

static void one_round(void)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_KEEP_ALL, FAULT_LOSE_SOME,
                                             FAULT_LOSE_SOME};

    begin();
    while (!is_off() && w.last - w.first < FRAMES)
        step();
    log_close(w.log);
    w.cuts += fault_fired(&w.fault);
    w.fault.loss = losses[below(4)];
    w.fault.seed = fault_random(&w.rng);
    disk_mem_power_cycle(w.disk);
    fault_reset(&w.fault);
    recover(w.fault.loss);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", 1, NULL, 's'}, {"rounds", 1, NULL, 'n'}, {"capacity", 1, NULL, 'c'}, {0}};
    uint64_t rounds = 1000, capacity = 0;
    int o;

    w.rng = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            w.rng = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            rounds = strtoull(optarg, NULL, 0);
        else if (o == 'c')
            capacity = strtoull(optarg, NULL, 0);
        else
            return 2;
    }
    w.rng = w.rng ? w.rng : 1;
    printf("property_log --seed %" PRIu64 " --rounds %" PRIu64 " --capacity %" PRIu64 "\n", w.rng,
           rounds, capacity);
    fflush(stdout);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)below(256);
    CHECK(disk_mem_create(&w.fault, capacity << 10, &w.disk) == 0);
    w.epoch = 1;
    w.pos = (struct log_pos){1, SEGMENT_HEAD};
    for (w.round = 0; w.round < rounds; w.round++)
        one_round();
    CHECK(rounds < 100 || w.cuts > rounds / 10);
    CHECK(log_remove(w.disk) == 0);
    disk_close(w.disk);
    return 0;
}
