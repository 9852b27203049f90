// SPDX-License-Identifier: Apache-2.0
/* ops_files: one large file, many small ones. */
#include "ops.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP 997 /* overwrites go over the files in steps of this prime */

/* ---- one large file ---- */

static void write_file(char **a)
{
    size_t len = number(a[1]);

    fill(a[2]);
    int64_t start = now();
    int fd = open_or_die(a[0], O_CREAT | O_EXCL | O_WRONLY);
    for (size_t off = 0; off < len; off += PIECE) {
        stamp(off, PIECE);
        write_all(fd, PIECE, a[0]);
    }
    print_time(now() - start);
    if (fsync(fd) < 0)
        die(a[0]);
    print_time(now() - start);
    close_or_die(fd, a[0]);
}

static void drain_file(const char *path)
{
    int fd = open_or_die(path, O_RDONLY);
    ssize_t n;

    do
        n = read(fd, piece, sizeof piece);
    while (n > 0);
    if (n < 0)
        die(path);
    close_or_die(fd, path);
}

static void read_file(char **a)
{
    int64_t start = now();

    drain_file(a[0]);
    print_time(now() - start);
}

static void poke(char **a)
{
    off_t off = (off_t)number(a[1]);
    size_t len = small(a[2]);

    fill(a[3]);
    stamp(number(a[1]), len);
    int64_t start = now();
    int fd = open_or_die(a[0], O_WRONLY);
    if (pwrite(fd, piece, len, off) != (ssize_t)len)
        die(a[0]);
    close_or_die(fd, a[0]);
    print_time(now() - start);
}

/* ---- many small files ---- */

const char *file_path(const char *dir, unsigned long dirs, unsigned long i)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/d%lu/f%lu", dir, i % dirs, i / dirs);
    return path;
}

static void make_dirs(const char *dir, unsigned long dirs)
{
    char path[4096];

    for (unsigned long i = 0; i < dirs; i++) {
        snprintf(path, sizeof path, "%s/d%lu", dir, i);
        if (mkdir(path, 0755) < 0)
            die(path);
    }
}

static void create_files(char **a)
{
    unsigned long dirs = number(a[1]), files = number(a[2]);
    size_t len = small(a[3]);

    fill(a[4]);
    int64_t start = now();
    make_dirs(a[0], dirs);
    for (unsigned long i = 0; i < files; i++) {
        const char *path = file_path(a[0], dirs, i);
        int fd = open_or_die(path, O_CREAT | O_EXCL | O_WRONLY);
        stamp(i * PIECE, len);
        write_all(fd, len, path);
        close_or_die(fd, path);
    }
    print_time(now() - start);
}

void stat_one(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        die(path);
}

static void delete_one(const char *path)
{
    if (unlink(path) < 0)
        die(path);
}

static void each(char **a, void (*fn)(const char *path))
{
    unsigned long dirs = number(a[1]), files = number(a[2]);
    int64_t start = now();

    for (unsigned long i = 0; i < files; i++)
        fn(file_path(a[0], dirs, i));
    print_time(now() - start);
}

static void stat_files(char **a)
{
    each(a, stat_one);
}

static void read_files(char **a)
{
    each(a, drain_file);
}

static void delete_files(char **a)
{
    each(a, delete_one);
}

static void overwrite_files(char **a)
{
    unsigned long dirs = number(a[1]), files = number(a[2]), n = number(a[5]);
    size_t len = small(a[3]);

    fill(a[4]);
    for (unsigned long i = 0; i < n; i++) {
        const char *path = file_path(a[0], dirs, i * STEP % files);
        stamp(i * PIECE, len);
        int64_t start = now();
        int fd = open_or_die(path, O_WRONLY);
        write_all(fd, len, path);
        close_or_die(fd, path);
        print_time(now() - start);
    }
}

const struct verb file_verbs[] = {
    {"write", 3, write_file},
    {"read", 1, read_file},
    {"poke", 4, poke},
    {"create", 5, create_files},
    {"stat", 3, stat_files},
    {"read-all", 3, read_files},
    {"delete", 3, delete_files},
    {"overwrite", 6, overwrite_files},
    {0},
};
