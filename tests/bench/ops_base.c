// SPDX-License-Identifier: Apache-2.0
/* ops_base: see ops.h. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Begins where a page does, as the buffers of cp and dd do: a write past the kernel's cache of 256
 * pages is one request, and one that touches 257 is two. */
_Alignas(4096) unsigned char piece[PIECE];
uint64_t seed;

void die(const char *what)
{
    fprintf(stderr, "ops: %s: %s\n", what, strerror(errno));
    exit(1);
}

int64_t time_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now(void)
{
    return time_of(CLOCK_MONOTONIC);
}

void print_time(int64_t duration_ns)
{
    printf("%lld\n", (long long)duration_ns);
}

unsigned long number(const char *s)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(s, &end, 10);
    if (errno || *end || end == s) {
        errno = EINVAL;
        die(s);
    }
    return n;
}

/* ---- contents ---- */

uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void fill(const char *seed_word)
{
    uint64_t state = seed = number(seed_word);

    for (size_t i = 0; i < sizeof piece; i += 8) {
        uint64_t v = next(&state);
        memcpy(piece + i, &v, 8);
    }
}

void stamp(uint64_t n, size_t len)
{
    for (size_t i = 0; i < len; i += PAGE) {
        uint64_t words[2] = {seed, n + i};
        size_t room = len - i < sizeof words ? len - i : sizeof words;
        memcpy(piece + i, words, room);
    }
}

void write_all(int fd, size_t len, const char *path)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, piece + done, len - done);
        if (n < 0)
            die(path);
        done += (size_t)n;
    }
}

int open_or_die(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);

    if (fd < 0)
        die(path);
    return fd;
}

void close_or_die(int fd, const char *path)
{
    if (close(fd) < 0)
        die(path);
}

size_t small(const char *word)
{
    size_t len = number(word);

    if (len > PIECE) {
        errno = EFBIG;
        die(word);
    }
    return len;
}
