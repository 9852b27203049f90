// SPDX-License-Identifier: Apache-2.0
/*
 * clock_ahead: to be loaded before a program (LD_PRELOAD) whose clock of the day is to be so many
 * seconds ahead as SECONDS_AHEAD of its environment says. Its clocks that only measure are not
 * changed.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *t)
{
    const char *ahead = getenv("SECONDS_AHEAD");
    long err = syscall(SYS_clock_gettime, clock, t);

    if (err == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        t->tv_sec += ahead ? atol(ahead) : 0;
    return (int)err;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
