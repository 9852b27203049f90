// SPDX-License-Identifier: Apache-2.0
/*
 * race_order: does ThreadSanitizer see our locks at all? Two of them taken in both orders, by one
 * thread after the other, which is no deadlock but might be one: it has to be told. A run without
 * arguments runs itself with one and looks whether it was.
 */
#include "lock.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOLD 66 /* the sanitizer's exit code */

static struct mutex a, b;
static struct rwlock r;

static void *down(void *arg)
{
    MUTEX_GUARD(&a);
    if (arg) {
        MUTEX_GUARD(&b);
    } else {
        WRITE_GUARD(&r);
    }
    return NULL;
}

static void *up(void *arg)
{
    if (arg) {
        MUTEX_GUARD(&b);
        MUTEX_GUARD(&a);
    } else {
        READ_GUARD(&r);
        MUTEX_GUARD(&a);
    }
    return NULL;
}

static int run(void *(*fn)(void *), void *arg)
{
    pthread_t t;
    return pthread_create(&t, NULL, fn, arg) || pthread_join(t, NULL);
}

static int both_orders(void *arg)
{
    mutex_init(&a, "a");
    mutex_init(&b, "b");
    rwlock_init(&r, "r");
    return run(down, arg) || run(up, arg);
}

static int is_told(const char *self, const char *which)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)dup2(STDOUT_FILENO, STDERR_FILENO);
        execl(self, self, which, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == TOLD)
        return 1;
    printf("race_order: nobody told of %s taken in both orders (status %d)\n", which, status);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return both_orders(strcmp(argv[1], "mutexes") == 0 ? &a : NULL);
    return is_told("/proc/self/exe", "mutexes") && is_told("/proc/self/exe", "rwlocks") ? 0 : 1;
}
