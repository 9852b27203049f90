// SPDX-License-Identifier: Apache-2.0
/* ops_beside: what goes on until it is told to end, beside others. */
#include "ops.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* ---- beside others ---- */

static void fill_file(char **a)
{
    size_t len = number(a[1]);

    fill(a[2]);
    int64_t start = now();
    int fd = open_or_die(a[0], O_CREAT | O_EXCL | O_WRONLY);
    for (size_t off = 0; off < len; off += PIECE) {
        stamp(off, PIECE);
        write_all(fd, PIECE, a[0]);
    }
    close_or_die(fd, a[0]);
    print_time(now() - start);
}

bool input_ended(void)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&p, 1, 0) != 0;
}

static void create_on(char **a)
{
    size_t len = small(a[1]);
    char path[4096];

    fill(a[2]);
    for (unsigned long i = 0; i == 0 || !input_ended(); i++) {
        snprintf(path, sizeof path, "%s/c%lu", a[0], i);
        stamp(i * PIECE, len);
        int64_t start = now();
        int fd = open_or_die(path, O_CREAT | O_EXCL | O_WRONLY);
        write_all(fd, len, path);
        close_or_die(fd, path);
        print_time(now() - start);
        if (i == 0 && fflush(stdout) != 0)
            die("standard output");
    }
}

/* At the end of the input; or when all were asked for, for then the kernel knows them. */
static bool goes_on(char **a, unsigned long i)
{
    if (i == 1 && fflush(stdout) != 0)
        die("standard output");
    return i == 0 || (i < number(a[2]) && !input_ended());
}

/* Steps of this prime go over all of a number of files below it. */
#define FAR_STEP 15485863

const char *far_path(const char *dir, unsigned long dirs, unsigned long files, unsigned long i)
{
    return file_path(dir, dirs, (seed + i) % files * FAR_STEP % files);
}

static const char *path_of(char **a, unsigned long i)
{
    return far_path(a[0], number(a[1]), number(a[2]), i);
}

static int64_t timed_stat(const char *path)
{
    int64_t start = now();

    stat_one(path);
    return now() - start;
}

static int64_t timed_create(const char *dir, unsigned long i, size_t len)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/b%lu.%lu", dir, seed, i);
    stamp(i * PIECE, len);
    int64_t start = now();
    int fd = open_or_die(path, O_CREAT | O_EXCL | O_WRONLY);
    write_all(fd, len, path);
    close_or_die(fd, path);
    return now() - start;
}

static void look_on(char **a)
{
    seed = number(a[3]);
    for (unsigned long i = 0; goes_on(a, i); i++)
        print_time(timed_stat(path_of(a, i)));
}

static void both_on(char **a)
{
    size_t len = small(a[3]);

    fill(a[4]);
    for (unsigned long i = 0; goes_on(a, i); i++) {
        print_time(timed_stat(path_of(a, i)));
        print_time(timed_create(a[0], i, len));
    }
}

const struct verb beside_verbs[] = {
    {"fill", 3, fill_file},
    {"create-on", 3, create_on},
    {"look-on", 4, look_on},
    {"both-on", 5, both_on},
    {0},
};
