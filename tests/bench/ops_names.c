// SPDX-License-Identifier: Apache-2.0
/* ops_names: lookups, and the first write to a file of a branch. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void look_for_missing(char **a)
{
    unsigned long n = number(a[1]), seed_of_names = number(a[2]);
    char path[4096];
    struct stat st;

    for (unsigned long i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/none%lu.%lu", a[0], seed_of_names, i);
        int64_t start = now();
        int r = lstat(path, &st);
        int64_t took = now() - start;
        if (r == 0)
            errno = EEXIST;
        if (errno != ENOENT)
            die(path);
        print_time(took);
    }
}

static void look(char **a)
{
    unsigned long dirs = number(a[1]), files = number(a[2]), n = number(a[3]);

    seed = number(a[4]);
    for (unsigned long i = 0; i < dirs; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/d%lu", a[0], i);
        stat_one(path);
    }
    for (unsigned long i = 0; i < n; i++) {
        const char *path = far_path(a[0], dirs, files, i);
        int64_t start = now();
        stat_one(path);
        print_time(now() - start);
    }
}

static void first_write(char **a)
{
    unsigned long dirs = number(a[1]), files = number(a[2]);
    size_t len = small(a[3]);

    fill(a[4]);
    const char *path = far_path(a[0], dirs, files, 0);
    stat_one(path);
    for (unsigned long i = 0; i < 2; i++) {
        stamp(i * PIECE, len);
        int64_t start = now();
        int fd = open_or_die(path, O_WRONLY);
        write_all(fd, len, path);
        close_or_die(fd, path);
        print_time(now() - start);
    }
}

static char *read_list(const char *path, size_t *len)
{
    int fd = open_or_die(path, O_RDONLY);
    struct stat st;

    if (fstat(fd, &st) < 0)
        die(path);
    *len = (size_t)st.st_size;
    char *list = malloc(*len + 1);
    if (!list || read(fd, list, *len) != (ssize_t)*len)
        die(path);
    list[*len] = '\0';
    close_or_die(fd, path);
    return list;
}

static void stat_list(char **a)
{
    size_t len;
    char *list = read_list(a[0], &len);
    int64_t start = now();

    for (const char *p = list; p < list + len; p += strlen(p) + 1)
        stat_one(p);
    print_time(now() - start);
    free(list);
}

static void come_and_go(const char *dir, unsigned long i, size_t len)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/c%lu", dir, i);
    stamp(i * PIECE, len);
    int64_t start = now();
    int fd = open_or_die(path, O_CREAT | O_EXCL | O_WRONLY);
    write_all(fd, len, path);
    close_or_die(fd, path);
    if (unlink(path) < 0)
        die(path);
    print_time(now() - start);
}

static void sleep_until(int64_t when)
{
    struct timespec t = {.tv_sec = when / 1000000000, .tv_nsec = when % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static void churn(char **a)
{
    unsigned long rate = number(a[1]);
    size_t len = small(a[2]);

    fill(a[3]);
    int64_t begun = now();
    for (unsigned long i = 0; i == 0 || !input_ended(); i++) {
        come_and_go(a[0], i, len);
        if (i == 0 && fflush(stdout) != 0)
            die("standard output");
        if (rate > 0)
            sleep_until(begun + (int64_t)((i + 1) * 1000000000 / rate));
    }
}

const struct verb name_verbs[] = {
    {"missing", 3, look_for_missing},
    {"look", 5, look},
    {"first", 5, first_write},
    {"stat-list", 1, stat_list},
    {"churn", 4, churn},
    {0},
};
