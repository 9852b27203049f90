// SPDX-License-Identifier: Apache-2.0
/*
 * ops: the timed file operations of the benchmark, so that an interpreter is in none of them.
 *
 *     ops write FILE BYTES SEED          two times: until the last write returned, then until fsync
 *     ops read FILE                      one time
 *     ops create DIR DIRS FILES BYTES SEED     FILES files in DIRS directories d<i>: one time
 *     ops stat|read-all|delete DIR DIRS FILES  the same files in the same order: one time
 *     ops fsync-new DIR N BYTES SEED     create, write, fsync, close: a time for each
 *     ops fsync-append FILE N BYTES SEED append, fsync: a time for each
 *     ops fsync-new-by|fsync-append-by PATH N BYTES SEED THREADS  the same by several threads, N
 *                                        each, in PATH.<thread>: first the time of all, then each
 *     ops fsync-new-apart DIR N BYTES SEED THREADS  likewise, each thread in a directory of its own
 *     ops fill FILE BYTES SEED           write, without fsync: one time
 *     ops create-on DIR BYTES SEED       create, write, close, until standard input ends: a time
 *                                        for each, of which the first means that it has begun
 *     ops look-on DIR DIRS FILES SEED    lstat of those files all over the place, likewise, at most
 *                                        once each
 *     ops both-on DIR DIRS FILES BYTES SEED  likewise, and after each a create-on in DIR: two times
 *     ops overwrite DIR DIRS FILES BYTES SEED N  open, write the first BYTES, close, of N of those
 *                                        files: a time for each
 *     ops poke FILE OFFSET BYTES SEED    open, write there, close: one time
 *
 * Times are nanoseconds, a line each, without the start of this program. BYTES of `write` is a
 * multiple of 1 MiB, every other at most that. Contents are random and differ between any two files
 * of one SEED and between SEEDs, so that nothing is ever stored twice. The first error ends it with
 * a sentence and exit code 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)1024 * 1024) /* bytes of one write or read of a large file */
#define PAGE 4096
#define STEP 997 /* overwrites go over the files in steps of this prime */

static unsigned char piece[PIECE];
static uint64_t seed;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "ops: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void print_time(int64_t ns)
{
    printf("%lld\n", (long long)ns);
}

static unsigned long number(const char *s)
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

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void fill(const char *seed_word)
{
    uint64_t state = seed = number(seed_word);

    for (size_t i = 0; i < sizeof piece; i += 8) {
        uint64_t v = next(&state);
        memcpy(piece + i, &v, 8);
    }
}

/* Make every page of the first `len` bytes unlike any before; costs nothing beside writing them. */
static void stamp(uint64_t n, size_t len)
{
    for (size_t i = 0; i < len; i += PAGE) {
        uint64_t words[2] = {seed, n + i};
        size_t room = len - i < sizeof words ? len - i : sizeof words;
        memcpy(piece + i, words, room);
    }
}

static void write_all(int fd, size_t len, const char *path)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, piece + done, len - done);
        if (n < 0)
            die(path);
        done += (size_t)n;
    }
}

static int open_or_die(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);

    if (fd < 0)
        die(path);
    return fd;
}

static void close_or_die(int fd, const char *path)
{
    if (close(fd) < 0)
        die(path);
}

static size_t small(const char *word)
{
    size_t len = number(word);

    if (len > PIECE) {
        errno = EFBIG;
        die(word);
    }
    return len;
}

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

static const char *file_path(const char *dir, unsigned long dirs, unsigned long i)
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

static void stat_one(const char *path)
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

static bool input_ended(void)
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

static const char *far_path(char **a, unsigned long i)
{
    unsigned long files = number(a[2]);

    return file_path(a[0], number(a[1]), (seed + i) % files * FAR_STEP % files);
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
        print_time(timed_stat(far_path(a, i)));
}

static void both_on(char **a)
{
    size_t len = small(a[3]);

    fill(a[4]);
    for (unsigned long i = 0; goes_on(a, i); i++) {
        print_time(timed_stat(far_path(a, i)));
        print_time(timed_create(a[0], i, len));
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        void (*run)(char **args);
    } verbs[] = {
        {"write", 3, write_file},
        {"read", 1, read_file},
        {"poke", 4, poke},
        {"create", 5, create_files},
        {"stat", 3, stat_files},
        {"read-all", 3, read_files},
        {"delete", 3, delete_files},
        {"overwrite", 6, overwrite_files},
        {"fsync-new", 4, fsync_new},
        {"fsync-append", 4, fsync_append},
        {"fsync-new-by", 5, fsync_new_by},
        {"fsync-new-apart", 5, fsync_new_apart},
        {"fsync-append-by", 5, fsync_append_by},
        {"fill", 3, fill_file},
        {"create-on", 3, create_on},
        {"look-on", 4, look_on},
        {"both-on", 5, both_on},
    };

    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0 && argc - 2 == verbs[i].args) {
            verbs[i].run(argv + 2);
            return fflush(stdout) == 0 ? 0 : 1;
        }
    fprintf(stderr, "usage: ops VERB ARGUMENT…: see the head of ops.c\n");
    return 2;
}
