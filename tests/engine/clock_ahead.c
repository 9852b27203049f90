// SPDX-License-Identifier: Apache-2.0
/*
 * clock_ahead: to be loaded before a program (LD_PRELOAD) whose clock of the day is to be 1,000
 * seconds ahead. Its clocks that only measure are not changed.
 */
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define AHEAD 1000 /* seconds */

int clock_gettime(clockid_t clock, struct timespec *t)
{
    long err = syscall(SYS_clock_gettime, clock, t);

    if (err == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        t->tv_sec += AHEAD;
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
