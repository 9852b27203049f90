// SPDX-License-Identifier: Apache-2.0
/*
 * ops: what the timed operations of the benchmark share. ops.c lists the verbs; each ops_*.c has a
 * table of its own, which ends with a verb without a name.
 *
 * One program, run once for each measurement: an error ends it with a sentence and exit code 1, so
 * nothing here returns one. Only ops_sync.c has threads, and they share nothing but `seed`.
 */
#ifndef BENCH_OPS_H
#define BENCH_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PIECE ((size_t)1024 * 1024) /* bytes of one write or read of a large file */
#define PAGE 4096

struct verb {
    const char *name;
    int args; /* how many it takes; below zero: at least that many */
    void (*run)(char **args); /* ends with a NULL */
};

extern const struct verb file_verbs[], sync_verbs[], beside_verbs[], read_verbs[], name_verbs[],
    cpu_verbs[];

/* A verb with its arguments; what main returns. `words` ends with a NULL. */
int run_verb(int count, char **words);

/* ---- time and numbers ---- */

__attribute__((noreturn)) void die(const char *what); /* with errno's words */
int64_t now(void); /* nanoseconds */
int64_t time_of(clockid_t clock);
void print_time(int64_t duration_ns);
unsigned long number(const char *word);
size_t small(const char *word); /* a number of at most PIECE */
uint64_t next(uint64_t *state); /* pseudo-random */

/* ---- contents ---- */

extern unsigned char piece[PIECE]; /* what is written */
extern uint64_t seed; /* set by fill */

void fill(const char *seed_word); /* the piece, and the seed */
/* Makes every page of the first `len` bytes unlike any before; costs nothing beside writing them.
 * */
void stamp(uint64_t n, size_t len);
void write_all(int fd, size_t len, const char *path); /* the beginning of the piece */
int open_or_die(const char *path, int flags);
void close_or_die(int fd, const char *path);

/* ---- many small files ---- */

/* Number i of those that `create` makes; in one buffer. */
const char *file_path(const char *dir, unsigned long dirs, unsigned long i);
/* Number i of them all over the place, none twice in `files` calls; begins somewhere by the seed.
 * */
const char *far_path(const char *dir, unsigned long dirs, unsigned long files, unsigned long i);
void stat_one(const char *path); /* lstat */
bool input_ended(void); /* of standard input: time to end */

#endif
