// SPDX-License-Identifier: Apache-2.0
/*
 * lookups DIR1 DIR2 [N] [ROUNDS]: how many look-ups a second one process makes in DIR1, and two
 * make at once in DIR1 and DIR2. Every name is new and missing, so that each is a request to the
 * daemon. Rounds alternate; prints each and the medians.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 100

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void look_up(const char *dir, int n, int salt)
{
    char path[4096];
    struct stat st;

    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/missing.%d.%d.%d", dir, (int)getppid(), salt, i);
        (void)stat(path, &st);
    }
}

/* Look-ups a second of `count` processes together. */
static double rate(char *const *dirs, int count, int n, int salt)
{
    double start = seconds();

    for (int i = 0; i < count; i++)
        if (fork() == 0) {
            look_up(dirs[i], n, salt * 2 + i);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    return (double)n * count / (seconds() - start);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int n = argc > 3 ? atoi(argv[3]) : 40000, rounds = argc > 4 ? atoi(argv[4]) : 9;
    double one[ROUNDS_MAX], two[ROUNDS_MAX];

    if (argc < 3 || n < 1 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: lookups DIR1 DIR2 [N] [ROUNDS]\n");
        return 2;
    }
    for (int r = 0; r < rounds; r++) {
        one[r] = rate(argv + 1, 1, n, r * 2);
        two[r] = rate(argv + 1, 2, n, r * 2 + 1);
        printf("one %.0f/s  two %.0f/s  ratio %.2f\n", one[r], two[r], two[r] / one[r]);
    }
    qsort(one, (size_t)rounds, sizeof *one, compare);
    qsort(two, (size_t)rounds, sizeof *two, compare);
    printf("median: one %.0f/s, two %.0f/s, ratio %.2f (best one %.0f/s, best two %.0f/s)\n",
           one[rounds / 2], two[rounds / 2], two[rounds / 2] / one[rounds / 2], one[rounds - 1],
           two[rounds - 1]);
    return 0;
}
