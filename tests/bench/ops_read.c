// SPDX-License-Identifier: Apache-2.0
/* ops_read: one large file, mapped, and by the page all over the place. */
#include "ops.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t size_of(int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        die(path);
    return (size_t)st.st_size;
}

static void map_file(char **a)
{
    volatile unsigned char sum = 0;
    int64_t start = now();
    int fd = open_or_die(a[0], O_RDONLY);
    size_t len = size_of(fd, a[0]);
    unsigned char *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        die(a[0]);
    if (strcmp(a[1], "sequential") == 0 && madvise(p, len, MADV_SEQUENTIAL) < 0)
        die(a[0]);
    for (size_t off = 0; off < len; off += PAGE)
        sum ^= p[off];
    (void)sum;
    if (munmap(p, len) < 0)
        die(a[0]);
    close_or_die(fd, a[0]);
    print_time(now() - start);
}

static off_t place(uint64_t *state, size_t len)
{
    return (off_t)(next(state) % (len / PAGE) * PAGE);
}

static void read_at(char **a)
{
    unsigned long n = number(a[1]);
    uint64_t state = number(a[2]);
    int fd = open_or_die(a[0], O_RDONLY);
    size_t len = size_of(fd, a[0]);
    int64_t start = now();

    for (unsigned long i = 0; i < n; i++)
        if (pread(fd, piece, PAGE, place(&state, len)) != PAGE)
            die(a[0]);
    print_time(now() - start);
    close_or_die(fd, a[0]);
}

static void write_at(char **a)
{
    unsigned long n = number(a[1]);
    uint64_t state = number(a[2]);
    int fd = open_or_die(a[0], O_WRONLY);
    size_t len = size_of(fd, a[0]);

    fill(a[2]);
    int64_t first = now();
    for (unsigned long i = 0; i < n; i++) {
        off_t off = place(&state, len);
        stamp(i * PAGE, PAGE);
        int64_t start = now();
        if (pwrite(fd, piece, PAGE, off) != PAGE)
            die(a[0]);
        print_time(now() - start);
    }
    if (fsync(fd) < 0)
        die(a[0]);
    print_time(now() - first);
    close_or_die(fd, a[0]);
}

const struct verb read_verbs[] = {
    {"map", 2, map_file},
    {"read-at", 3, read_at},
    {"write-at", 3, write_at},
    {0},
};
