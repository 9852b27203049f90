// SPDX-License-Identifier: Apache-2.0
/*
 * control_drain: the verb that waits until everything is durable. A job drains, so that people can
 * see it and cancel it. The write keeps its deadline whatever the job waits for: a disk that does
 * not answer holds up the thread of the job, and not the writer.
 */
#include "control_impl.h"
#include "drain.h"
#include "durability.h"
#include "job.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* The job_fn of a drain. It frees `arg` when the drain has ended. A drain that is not done yet
 * returns JOB_AGAIN, so that other drains go first. */
static int drain_job(struct state *p, struct job *j, void *arg)
{
    struct drain *d = arg;
    struct drain_left left;
    char text[64];
    int64_t start = d->begun;
    int err;

    d->interrupted = &j->cancel;
    err = drain_step(d);
    if (err > 0)
        return JOB_AGAIN;
    free(d);
    if (err < 0)
        return err == -EINTR ? -ECANCELED : err;
    drain_look(p, &left);
    snprintf(text, sizeof text, "seq=%llu waited_ms=%llu", U(left.durable),
             U((ticks(p) - start) / NSEC_PER_MSEC));
    job_result(p, j, text);
    return 0;
}

/* Begins the job. *ret_number is its number. */
static int start_drain(struct call *call, bool idle, int64_t timeout, uint64_t *ret_number)
{
    struct drain *d = malloc(sizeof *d);
    const struct job_work w = {.fn = drain_job, .arg = d, .waits = true};
    struct job *j;
    int err = d ? job_start(call->p, "drain", idle ? "idle" : "", &j) : -ENOMEM;

    if (err < 0) {
        free(d);
        return err;
    }
    *d = drain_begin(call->p, idle, timeout, NULL);
    *ret_number = j->number;
    return job_run(call->p, j, &w, timeout, call->interrupted);
}

/* The deadline of the write has passed: decides by a look of its own whether all is done. The job
 * looks for itself later, and nobody waits for that. `asked`: the write gave it no time. */
static int too_late(struct call *call, bool idle, uint64_t seq, int64_t start, bool asked)
{
    struct drain_left left;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    if (drain_done(call->p, idle, seq)) {
        drain_look(call->p, &left);
        strbuf_addf(&call->head, " seq=%llu waited_ms=%llu", U(left.durable),
                    U((ticks(call->p) - start) / NSEC_PER_MSEC));
        return 0;
    }
    drain_look(call->p, &left);
    drain_describe(&left, &text);
    return control_fail(call, -ETIMEDOUT, "%s %s",
                        asked ? "not all is durable:" : "not all was durable in time; by now",
                        text.s);
}

int control_not_durable(struct call *call, int err)
{
    if (call->why.len)
        strbuf_adds(&call->why, "; ");
    strbuf_adds(&call->why, "not all could be made durable: ");
    blame_describe(call->p, err, &call->why);
    return err;
}

/* Runs a drain, and waits for it as long as the time allows. The time begins with the call, also
 * while the job waits in the queue. */
static int drain_for(struct call *call, bool idle, int64_t timeout)
{
    uint64_t number = 0, seq = state_seq(call->p);
    int64_t start = ticks(call->p), left = -1;
    char result[256];
    int error, err = start_drain(call, idle, timeout, &number);

    if (timeout >= 0)
        left = ticks(call->p) - start < timeout ? timeout - (ticks(call->p) - start) : 0;
    if (err == 0)
        err = job_wait(call->p, number, left, call->interrupted, &error, result);
    if (err == 0)
        err = error;
    if (err == -ETIMEDOUT)
        return too_late(call, idle, seq, start, timeout == 0);
    if (err == -ECANCELED)
        return control_fail(call, err, "the drain was cancelled (job %llu)", U(number));
    if (err < 0 && err != -EINTR && err != -ESHUTDOWN)
        return control_not_durable(call, err);
    if (err == 0)
        strbuf_addf(&call->head, " %s", result);
    return err;
}

int control_drain(struct call *call)
{
    bool idle = control_is_keyword(call, 0, "idle");
    int64_t timeout = -1;
    size_t next = idle;

    if (control_is_keyword(call, 0, "archive"))
        return control_drain_archive(call);
    if (call->c->nargs > next && control_duration(call, control_arg(call, next), &timeout) < 0)
        return -EINVAL;
    if (call->c->nargs > next + 1)
        return control_fail_word(call, -EINVAL, "%s is too much; usage: drain [idle] [DUR]",
                                 control_arg(call, next + 1));
    return drain_for(call, idle, timeout);
}
