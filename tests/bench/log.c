// SPDX-License-Identifier: Apache-2.0
/*
 * log: what a frame and a sync of the log cost, beside plain appending to a file.
 *
 *     bench-log DIRECTORY [MIB [SYNCS]]     a directory that need not exist, on the disk in
 * question
 *
 * Not a test: by hand, with a build of type release.
 */
#include "clock.h"
#include "../fixture/dir_disk.h"
#include "io.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "bench-log: %s (line %d): %s\n", #claim, __LINE__, strerror(errno));   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define BLOCK 4096
#define THREADS_MAX 16
#define IN_TURN 40

static uint8_t block[BLOCK];
static struct log *log_;
static int file;
static uint64_t each;

static int64_t ns(void)
{
    return clock_ticks(clock_real());
}

static uint64_t append(void)
{
    struct iovec iov = {block, BLOCK};
    uint64_t seq;

    MUST(log_room(log_, BLOCK) == 0);
    MUST(log_append(log_, 1, &iov, 1, &seq) == 0);
    log_room_done(log_, BLOCK);
    return seq;
}

static void trim(void)
{
    struct log_pos pos;

    log_position(log_, &pos);
    log_trim(log_, &pos);
}

/* Frames without a sync; a commit now and then, so that segments come round. */
static void bench_append(const char *name, uint64_t mib, uint64_t trim_every)
{
    uint64_t frames = (mib << 20) / BLOCK;
    int64_t worst = 0, all = 0;

    for (uint64_t i = 0; i < frames; i++) {
        int64_t start = ns();

        append();
        int64_t took = ns() - start;

        all += took;
        worst = took > worst ? took : worst;
        if (i % trim_every == trim_every - 1)
            trim();
    }
    printf("%-40s %8.0f ns a frame of 4 KiB, worst %.2f ms\n", name, (double)all / (double)frames,
           (double)worst / 1e6);
}

static void *sync_in_log(void *arg)
{
    for (uint64_t i = 0; i < each; i++)
        MUST(log_sync(log_, append(), NULL, NULL) == 0);
    return arg;
}

static void *sync_in_file(void *arg)
{
    for (uint64_t i = 0; i < each; i++) {
        MUST(write(file, block, BLOCK) == BLOCK);
        MUST(fdatasync(file) == 0);
    }
    return arg;
}

static void bench_sync(const char *name, void *(*fn)(void *), unsigned threads, uint64_t syncs)
{
    pthread_t thread[THREADS_MAX];
    int64_t start = ns();

    each = syncs / threads;
    for (unsigned i = 0; i < threads; i++)
        MUST(pthread_create(&thread[i], NULL, fn, NULL) == 0);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("%-33s x %2u  %8.1f us each\n", name, threads,
           (double)(ns() - start) / 1e3 / (double)(each * threads));
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* A few of the one, a few of the other, so that both see the same disk. */
static void bench_in_turn(uint64_t syncs)
{
    int64_t *took[2] = {calloc(syncs, sizeof **took), calloc(syncs, sizeof **took)};
    void *(*const fn[2])(void *) = {sync_in_log, sync_in_file};
    static const char *const names[2] = {"log", "file"};
    uint64_t done[2] = {0};

    syncs -= syncs % IN_TURN;
    MUST(took[0] && took[1]);
    each = 1;
    for (uint64_t i = 0; i < 2 * syncs; i++) {
        unsigned j = i / IN_TURN % 2;
        int64_t start = ns();

        fn[j](NULL);
        took[j][done[j]++] = ns() - start;
    }
    for (int j = 0; j < 2; j++) {
        qsort(took[j], syncs, sizeof **took, compare);
        printf("in turn, %-28s x  1  p10 %8.1f us, p50 %8.1f us, p90 %8.1f us\n", names[j],
               (double)took[j][syncs / 10] / 1e3, (double)took[j][syncs / 2] / 1e3,
               (double)took[j][syncs * 9 / 10] / 1e3);
        free(took[j]);
    }
}

int main(int argc, char **argv)
{
    struct log_config c = {.clock = clock_real(),
                           .epoch = 1,
                           .next_segment = 1,
                           .segment_size = 64 << 20,
                           .background = true};
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 0) : 256;
    uint64_t syncs = argc > 3 ? strtoull(argv[3], NULL, 0) : 1600;
    struct log_stats stats;
    char name[4096];

    if (argc < 2)
        return 2;
    MUST(mkdir(argv[1], 0700) == 0 || errno == EEXIST);
    MUST(dir_disk_open(argv[1], 0, &c.disk) == 0);
    MUST(log_open(&c, &log_) == 0);
    snprintf(name, sizeof name, "%s/plain", argv[1]);
    file = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
    MUST(file >= 0);
    bench_append("append, segments new", 60, UINT64_MAX);
    bench_sync("append and sync, segment new", sync_in_log, 1, syncs / 4);
    bench_in_turn(syncs / 4);
    bench_append("append, segments new and used again", mib, 4096);
    bench_append("append, segments used again", mib, 4096);
    bench_in_turn(syncs / 4);
    for (unsigned threads = 1; threads <= THREADS_MAX; threads *= 4) {
        struct log_stats before;

        log_get_stats(log_, &before);
        bench_sync("log: append and sync", sync_in_log, threads, syncs);
        log_get_stats(log_, &stats);
        printf("    %.1f callers a sync\n", (double)(stats.sync_callers - before.sync_callers) /
                                                (double)(stats.syncs - before.syncs));
        bench_sync("file: append and fdatasync", sync_in_file, threads, syncs);
    }
    log_close(log_);
    MUST(log_remove(c.disk) == 0);
    disk_close(c.disk);
    unlink(name);
    return 0;
}
