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

bool ctl_waits(const struct ctl_call *c)
{
    return c->options[CTL_WAIT].given || is_wait(c) || strcmp(c->verb->name, "drain") == 0;
}

/* Finds the number of the job in a reply, "… job=7". */
static bool job_of(const char *head, uint64_t *ret)
{
    const char *at = strstr(head, "job=");
    char text[32];
    if (!at) {
        return false;
    }
    snprintf(text, sizeof(text), "%.*s", (int)strspn(at + 4, "0123456789"), at + 4);
    return command_number(text, ret) == 0;
}

/* Sends a command that waits for a job, and on a terminal shows the bar meanwhile. */
static int wait_job(const struct ctl_call *c, int fd, const char *mnt, const char *line,
                    uint64_t number, struct reply *ret)
{
    struct bar *bar = c->json ? NULL : bar_start(mnt, number);
    int err = client_wait(fd, line, ret);
    bar_stop(bar);
    return err;
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
                   : run_long(client_wait, fd, line, ret);
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
    if (err == 0) {
        strbuf_addf(&ret->head, "%s%s", ret->head.len ? " " : "", started.head.s);
    }
    reply_release(&started);
    return err;
}
