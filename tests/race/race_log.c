// SPDX-License-Identifier: Apache-2.0
/*
 * race_log: threads that append to one log and wait for their frames to be durable, while another
 * commits and trims, and one lists; under ThreadSanitizer. A plain program, because Criterion does
 * not start there.
 *
 *     race_log [SEED [FRAMES]]       so many frames each
 *
 * No append may want for room, no sync may fail, and what is read at the end is whole.
 */
#include "disk_mem.h"
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4
#define EPOCH 3
#define LEN_MAX 20000

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            printf("race_log: does not hold: %s (line %d)\n", #claim, __LINE__);                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct disk *disk;
static struct log *log_;
static uint64_t seed = 1, frames = 200;
static _Atomic unsigned writers;
static _Atomic uint64_t told;

static void on_synced(void *ctx, uint64_t seq)
{
    (void)ctx;
    told = seq;
}

static int nothing_before(void *ctx)
{
    (void)ctx;
    return 0;
}

static void *writer(void *arg)
{
    static uint8_t block[LEN_MAX];
    uint64_t state = seed * 1000 + (uint64_t)(uintptr_t)arg, seq;

    for (uint64_t i = 0; i < frames; i++) {
        size_t most = fault_random(&state) % LEN_MAX, len = fault_random(&state) % (most + 1);
        struct iovec iov = {block, len};

        MUST(log_room(log_, most) == 0);
        MUST(log_append(log_, (uint32_t)len, &iov, 1, &seq) == 0);
        log_room_done(log_, most);
        if (fault_random(&state) % 4 == 0) {
            MUST(log_sync(log_, seq, nothing_before, NULL) == 0);
            MUST(log_synced_seq(log_) >= seq && told >= seq);
        }
    }
    writers--;
    return NULL;
}

static int look(const struct log_frame *f, void *ctx)
{
    uint64_t *last = ctx;

    MUST(f->sync || (f->len == f->ns && (*last == 0 || f->seq == *last + 1)));
    *last = f->sync ? *last : f->seq;
    return 0;
}

static void *committer(void *arg)
{
    uint64_t state = seed + 77, last = 0;

    (void)arg;
    while (writers) {
        struct log_report report;
        struct log_stats stats;
        struct log_scan scan;
        struct log_pos pos;

        log_position(log_, &pos);
        if (log_scan_now(log_, &scan) == 0)
            MUST(log_read(disk, &scan, look, &last, &report) == 0);
        last = 0;
        log_get_stats(log_, &stats);
        if (fault_random(&state) % 4 == 0)
            log_trim(log_, &pos);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct log_config c = {.clock = clock_real(),
                           .epoch = EPOCH,
                           .next_segment = 1,
                           .segment_size = 65536,
                           .background = true};
    pthread_t thread[THREADS + 1];
    struct log_report report;
    struct log_scan scan;
    uint64_t last = 0;

    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : seed;
    frames = argc > 2 ? strtoull(argv[2], NULL, 0) : frames;
    printf("race_log %llu %llu\n", (unsigned long long)seed, (unsigned long long)frames);
    fflush(stdout);
    MUST(disk_mem_create(NULL, 0, &disk) == 0);
    c.disk = disk;
    MUST(log_open(&c, &log_) == 0);
    log_on_synced(log_, on_synced, NULL);
    writers = THREADS;
    for (uintptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&thread[i], NULL, writer, (void *)i) == 0);
    MUST(pthread_create(&thread[THREADS], NULL, committer, NULL) == 0);
    for (unsigned i = 0; i <= THREADS; i++)
        pthread_join(thread[i], NULL);
    MUST(log_seq(log_) == THREADS * frames);
    MUST(log_scan_now(log_, &scan) == 0);
    log_close(log_);
    MUST(log_read(disk, &scan, look, &last, &report) == 0);
    MUST(report.last_seq == THREADS * frames);
    disk_close(disk);
    return 0;
}
