// SPDX-License-Identifier: Apache-2.0
/* ops_sync: fsync, by one thread and by several. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- fsync ---- */

static void fsync_new(char **a)
{
    unsigned long n = number(a[1]);
    size_t len = small(a[2]);
    char path[4096];

    fill(a[3]);
    for (unsigned long i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/s%lu", a[0], i);
        stamp(i * PIECE, len);
        int64_t start = now();
        int fd = open_or_die(path, O_CREAT | O_EXCL | O_WRONLY);
        write_all(fd, len, path);
        if (fsync(fd) < 0)
            die(path);
        close_or_die(fd, path);
        print_time(now() - start);
    }
}

static void fsync_append(char **a)
{
    unsigned long n = number(a[1]);
    size_t len = small(a[2]);
    int fd = open_or_die(a[0], O_CREAT | O_WRONLY | O_APPEND);

    fill(a[3]);
    for (unsigned long i = 0; i < n; i++) {
        stamp(i * PIECE, len);
        int64_t start = now();
        write_all(fd, len, a[0]);
        if (fsync(fd) < 0)
            die(a[0]);
        print_time(now() - start);
    }
    close_or_die(fd, a[0]);
}

/* ---- by several threads ---- */

struct worker {
    pthread_t thread;
    const char *path;
    unsigned long number, n;
    size_t len;
    bool append, apart;
    unsigned char *bytes;
    int64_t *times;
};

static void one_synced(struct worker *w, unsigned long i, int *fd)
{
    char path[4096];

    if (!w->append) {
        snprintf(path, sizeof path, w->apart ? "%s/t%lu/%lu" : "%s/t%lu.%lu", w->path, w->number,
                 i);
        *fd = open_or_die(path, O_CREAT | O_EXCL | O_WRONLY);
    }
    for (size_t done = 0; done < w->len;) {
        ssize_t n = write(*fd, w->bytes + done, w->len - done);
        if (n < 0)
            die(w->path);
        done += (size_t)n;
    }
    if (fsync(*fd) < 0)
        die(w->path);
    if (!w->append)
        close_or_die(*fd, path);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    char path[4096];
    int fd = -1;

    snprintf(path, sizeof path, "%s.%lu", w->path, w->number);
    if (w->append)
        fd = open_or_die(path, O_CREAT | O_WRONLY | O_APPEND);
    for (unsigned long i = 0; i < w->n; i++) {
        uint64_t words[2] = {seed, w->number << 32 | i};
        memcpy(w->bytes, words, w->len < sizeof words ? w->len : sizeof words);
        int64_t start = now();
        one_synced(w, i, &fd);
        w->times[i] = now() - start;
    }
    if (w->append)
        close_or_die(fd, path);
    return NULL;
}

static void make_directory(const struct worker *w)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/t%lu", w->path, w->number);
    if (mkdir(path, 0755) < 0)
        die(path);
}

static void by_threads(char **a, bool append, bool apart)
{
    unsigned long n = number(a[1]), threads = number(a[4]);
    size_t len = small(a[2]);
    struct worker *w = calloc(threads, sizeof *w);

    fill(a[3]);
    if (!w)
        die("threads");
    for (unsigned long i = 0; i < threads; i++) {
        w[i] = (struct worker){.path = a[0], .number = i, .n = n, .len = len};
        w[i].append = append;
        w[i].apart = apart;
        w[i].bytes = malloc(len);
        w[i].times = calloc(n, sizeof(int64_t));
        if (!w[i].bytes || !w[i].times)
            die("threads");
        memcpy(w[i].bytes, piece, len);
        if (apart)
            make_directory(&w[i]);
    }
    int64_t start = now();
    for (unsigned long i = 0; i < threads; i++) {
        errno = pthread_create(&w[i].thread, NULL, work, &w[i]);
        if (errno)
            die("threads");
    }
    for (unsigned long i = 0; i < threads; i++)
        (void)pthread_join(w[i].thread, NULL);
    print_time(now() - start);
    for (unsigned long i = 0; i < threads; i++)
        for (unsigned long k = 0; k < n; k++)
            print_time(w[i].times[k]);
}

static void fsync_new_by(char **a)
{
    by_threads(a, false, false);
}

static void fsync_new_apart(char **a)
{
    by_threads(a, false, true);
}

static void fsync_append_by(char **a)
{
    by_threads(a, true, false);
}

const struct verb sync_verbs[] = {
    {"fsync-new", 4, fsync_new},
    {"fsync-append", 4, fsync_append},
    {"fsync-new-by", 5, fsync_new_by},
    {"fsync-new-apart", 5, fsync_new_apart},
    {"fsync-append-by", 5, fsync_append_by},
    {0},
};
