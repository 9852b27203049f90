// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

#include "command.h"
#include "jobs.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Runs a command that is no job, and on a terminal shows how long it takes. */
static int run_long(int (*run)(int, const char *, struct reply *), int fd, const char *line,
                    struct reply *ret)
{
    struct bar *clock = bar_start_clock();
    int err = run(fd, line, ret);
    bar_stop(clock);
    return err;
}

int ctl_run_command(int fd, const char *line, struct reply *ret)
{
    return run_long(client_run, fd, line, ret);
}

static bool is_wait(const struct ctl_call *c)
{
    return strcmp(c->verb->name, "wait") == 0;
}

/* The function that sends the line. A wait with a deadline is not begun again: it would have all of
 * its time again. */
static int (*sender_of(const struct ctl_call *c))(int, const char *, struct reply *)
{
    int64_t duration;
    const bool limited = !c->options[CTL_WAIT].given && c->nargs > is_wait(c) &&
                         command_duration(c->args[c->nargs - 1], &duration) == 0;
    return limited ? client_run : client_wait;
}

bool ctl_waits(const struct ctl_call *c)
{
    return c->options[CTL_WAIT].given || is_wait(c) || strcmp(c->verb->name, "drain") == 0;
}

/* Finds the number of the job in a reply, "… job=7". It is the last word: one before may be a name
 * that looks like it. */
static bool job_of(const char *head, uint64_t *ret)
{
    const char *blank = strrchr(head, ' '), *word = blank ? blank + 1 : head;
    return strncmp(word, "job=", 4) == 0 && command_number(word + 4, ret) == 0;
}

/* Sends a command that waits for a job, and on a terminal shows the bar meanwhile. */
static int wait_job(const struct ctl_call *c, int fd, const char *mnt, const char *line,
                    uint64_t number, struct reply *ret)
{
    struct bar *bar = c->json ? NULL : bar_start(mnt, number);
    int err = sender_of(c)(fd, line, ret);
    bar_stop(bar);
    return err;
}

/* Does the answer of a wait say that there is no such job? This program was stopped while more jobs
 * ended than are kept, then. (ENOENT may be the error of the job, too.) */
static bool is_forgotten(const struct reply *r)
{
    return r->head.len > 0 && strstr(r->head.s, "there is no job ");
}

/* Starts the job and then waits for it, in two commands: the bar needs the number of the job, and a
 * wait that a signal has interrupted is begun again. With `wait` in one command the mount would do
 * both, once. */
int ctl_run_waiting(const struct ctl_call *c, const char *mnt, const char *line, int fd,
                    struct reply *ret)
{
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    struct reply started = REPLY_INIT;
    struct ctl_call start = *c;
    uint64_t number;
    if (!c->options[CTL_WAIT].given) {
        return is_wait(c) && command_number(c->args[0], &number) == 0
                   ? wait_job(c, fd, mnt, line, number, ret)
                   : run_long(sender_of(c), fd, line, ret);
    }
    start.options[CTL_WAIT].given = false;
    ctl_build(&start, mnt, &words);
    int err = strbuf_error(&words) ? -ENOMEM : ctl_run_command(fd, words.s, &started);
    if (err < 0 || !job_of(started.head.s, &number)) {
        *ret = started;
        return err;
    }
    strbuf_clear(&words);
    strbuf_addf(&words, "wait %llu", (unsigned long long)number);
    err = wait_job(c, fd, mnt, words.s, number, ret);
    if (err == -ENOENT && is_forgotten(ret)) {
        reply_release(ret);
        *ret = (struct reply)REPLY_INIT;
        strbuf_addf(&ret->head, "job %llu has ended, and it is not known any more how",
                    (unsigned long long)number);
    }
    if (err == 0) {
        strbuf_addf(&ret->head, "%s%s", ret->head.len ? " " : "", started.head.s);
    }
    reply_release(&started);
    return err;
}
