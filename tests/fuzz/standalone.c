// SPDX-License-Identifier: Apache-2.0
/*
 * standalone: run a fuzz target as a test, without libFuzzer.
 *
 *     fuzz-x CORPUS_DIR COUNT [SEED]     every file of the corpus whole, then COUNT inputs made
 *                                        from them (or of nothing) by a seeded generator
 *     fuzz-x FILE                        one input again
 *
 * When the target aborts, the input is kept in a file whose name is printed; the seed repeats the
 * whole run.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX 8192
#define CORPUS_MAX 4096

struct input {
    uint8_t *data;
    size_t len;
};

static struct input corpus[CORPUS_MAX];
static size_t corpus_count;
static struct input current; /* for the handler */
static uint64_t state;

static uint64_t next_random(void) /* splitmix64 */
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n ? (size_t)(next_random() % n) : 0;
}

static void die(const char *what)
{
    fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void on_abort(int sig)
{
    static const char text[] = "fuzz: the input is in fuzz-failed\n";
    int fd = open("fuzz-failed", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) {
        (void)!write(fd, current.data, current.len);
        close(fd);
        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

/* A copy of exactly that length, so that a sanitizer sees a read behind it. */
static void run(const uint8_t *data, size_t len)
{
    current.data = malloc(len ? len : 1);
    current.len = len;
    if (!current.data) {
        die("memory");
    }
    memcpy(current.data, data, len);
    LLVMFuzzerTestOneInput(current.data, len);
    free(current.data);
}

static struct input load(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) < 0) {
        die(path);
    }
    struct input in = {.data = malloc((size_t)st.st_size + 1), .len = (size_t)st.st_size};
    if (!in.data || fread(in.data, 1, in.len, f) != in.len) {
        die(path);
    }
    fclose(f);
    return in;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_corpus(const char *dir)
{
    struct dirent **names;
    int n = scandir(dir, &names, NULL, by_name);
    if (n < 0) {
        die(dir);
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && corpus_count < CORPUS_MAX) {
            corpus[corpus_count++] = load(path);
        }
        free(names[i]);
    }
    free(names);
}

/* One small change; bytes of meaning to text formats come often. */
static size_t mutate(uint8_t *buf, size_t len)
{
    static const char special[] = "\"\\\n =#\t\0wait019KMsmhd/.";
    size_t at = below(len + 1), n = below(16);
    uint8_t byte = below(2) ? (uint8_t)special[below(sizeof(special))] : (uint8_t)below(256);
    switch (below(4)) {
    case 0: /* replace */
        if (at < len) {
            buf[at] = byte;
        }
        return len;
    case 1: /* insert */
        if (len == INPUT_MAX) {
            return len;
        }
        memmove(buf + at + 1, buf + at, len - at);
        buf[at] = byte;
        return len + 1;
    case 2: /* cut out */
        n = n < len - at ? n : len - at;
        memmove(buf + at, buf + at + n, len - at - n);
        return len - n;
    default: /* repeat what is there */
        n = n < len - at ? n : len - at;
        n = n < INPUT_MAX - len ? n : INPUT_MAX - len;
        memmove(buf + at + n, buf + at, len - at);
        return len + n;
    }
}

static void run_made(void)
{
    static uint8_t buf[INPUT_MAX];
    size_t len = 0;
    if (corpus_count > 0 && below(8) != 0) {
        const struct input *in = &corpus[below(corpus_count)];
        len = in->len < INPUT_MAX ? in->len : INPUT_MAX;
        memcpy(buf, in->data, len);
    }
    for (size_t i = 1 + below(len ? 8 : 64); i > 0; i--) {
        len = mutate(buf, len);
    }
    run(buf, len);
}

int main(int argc, char **argv)
{
    signal(SIGABRT, on_abort);
    if (argc == 2) {
        struct input in = load(argv[1]);
        run(in.data, in.len);
        free(in.data);
        return 0;
    }
    if (argc < 3) {
        fprintf(stderr, "usage: %s CORPUS_DIR COUNT [SEED] | FILE\n", argv[0]);
        return 2;
    }
    state = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    unsigned long count = strtoul(argv[2], NULL, 10);
    load_corpus(argv[1]);
    printf("fuzz: %zu files, %lu inputs, seed %llu\n", corpus_count, count,
           (unsigned long long)state);
    for (size_t i = 0; i < corpus_count; i++) {
        run(corpus[i].data, corpus[i].len);
    }
    for (unsigned long i = 0; i < count; i++) {
        run_made();
    }
    for (size_t i = 0; i < corpus_count; i++) {
        free(corpus[i].data);
    }
    return 0;
}
