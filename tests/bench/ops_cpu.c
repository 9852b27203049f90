// SPDX-License-Identifier: Apache-2.0
/* ops_cpu: busy neighbours, and several processes at once. */
#include "ops.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MILLION 1000000ul
#define PROCESSES_MAX 64
#define WORDS_MAX 16

static void pin(const char *cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(number(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        die(cpu);
}

static void compute(unsigned long steps)
{
    static volatile uint64_t sum;
    uint64_t state = 1;

    for (unsigned long i = 0; i < steps; i++)
        sum ^= next(&state);
    (void)sum;
}

static void spin(char **a)
{
    pin(a[0]);
    while (!input_ended())
        compute(MILLION);
}

static void sums(char **a)
{
    unsigned long millions = number(a[1]);

    pin(a[0]);
    int64_t start = now(), running = time_of(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned long i = 0; i < millions; i++)
        compute(MILLION);
    print_time(now() - start);
    print_time(time_of(CLOCK_PROCESS_CPUTIME_ID) - running);
}

/* ---- several processes ---- */

/* A copy of the word with `n` for each {}. */
static char *numbered(const char *word, unsigned long n)
{
    size_t size = strlen(word) + 64;
    char *out = malloc(size), *end = out;

    if (!out)
        die("memory");
    for (const char *p = word; *p; p++) {
        if (p[0] != '{' || p[1] != '}' || size - (size_t)(end - out) < 32) {
            *end++ = *p;
            continue;
        }
        end += snprintf(end, 32, "%lu", n);
        p++;
    }
    *end = '\0';
    return out;
}

/* In the child: waits until all were made, which the end of `gate` says. */
__attribute__((noreturn)) static void be_one(char **words, unsigned long n, int gate, FILE *out)
{
    char *own[WORDS_MAX + 1];
    int count = 0;
    char c;

    while (words[count] && count < WORDS_MAX) {
        own[count] = numbered(words[count], n);
        count++;
    }
    own[count] = NULL;
    if (read(gate, &c, 1) != 0 || dup2(fileno(out), STDOUT_FILENO) < 0)
        die("the gate");
    exit(run_verb(count, own));
}

static void copy_out(FILE *from)
{
    char line[64];

    rewind(from);
    while (fgets(line, sizeof line, from))
        fputs(line, stdout);
    (void)fclose(from);
}

static void by_processes(char **a)
{
    unsigned long n = number(a[0]);
    FILE *out[PROCESSES_MAX];
    int gate[2], status;
    bool failed = false;

    if (n > PROCESSES_MAX)
        errno = E2BIG;
    if (n > PROCESSES_MAX || pipe(gate) < 0)
        die(a[0]);
    for (unsigned long i = 0; i < n; i++) {
        out[i] = tmpfile();
        pid_t pid = out[i] ? fork() : -1;
        if (pid < 0)
            die("a process");
        if (pid == 0) {
            close_or_die(gate[1], "the gate");
            be_one(a + 1, i, gate[0], out[i]);
        }
    }
    close_or_die(gate[1], "the gate");
    while (wait(&status) > 0)
        failed |= status != 0;
    if (failed) {
        fprintf(stderr, "ops: a process failed\n");
        exit(1);
    }
    for (unsigned long i = 0; i < n; i++)
        copy_out(out[i]);
}

const struct verb cpu_verbs[] = {
    {"spin", 1, spin},
    {"sums", 2, sums},
    {"by", -2, by_processes},
    {0},
};
