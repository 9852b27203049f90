// SPDX-License-Identifier: Apache-2.0
/* control_jobs: the verbs wait, cancel and rebuild, and what a verb that begins a job calls. */
#include "control_impl.h"
#include "rebuild.h"
#include "ticket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

static const char *why_failed(int error)
{
    if (error == -EBUSY)
        return "another job was at the same work";
    if (error == -ETIMEDOUT)
        return "the time for it ran out";
    return ticket_describe(error);
}

/* Makes the sentence of a failed job: that of its result (why=), or a general one. */
static int job_failed(struct call *call, uint64_t number, int error, char result[256])
{
    const bool only = strncmp(result, "why=\"", strlen("why=\"")) == 0;
    char *why = only ? result : strstr(result, " why=\"");
    size_t n;

    if (!why)
        return control_fail(call, error, "job %llu failed: %s", U(number), why_failed(error));
    *why = 0;
    why += strlen(only ? "why=\"" : " why=\"");
    n = strlen(why);
    if (n && why[n - 1] == '"')
        why[n - 1] = 0;
    if (only)
        return control_fail(call, error, "job %llu: %s", U(number), why);
    return control_fail(call, error, "job %llu: %s (%s)", U(number), why, result);
}

/* Waits for a job, and returns its error. Its result becomes words of the reply, and its lines
 * follow them. */
static int wait_number(struct call *call, uint64_t number, int64_t timeout)
{
    CLEANUP_STRBUF struct strbuf lines = STRBUF_INIT;
    char result[256];
    int error, err = job_wait(call->p, number, timeout, call->interrupted, &error, result);

    if (err == -ENOENT)
        return control_fail(call, err, "there is no job %llu", U(number));
    if (err == -ETIMEDOUT)
        return control_fail(call, err, "job %llu goes on", U(number));
    if (err == -EINTR)
        return control_fail(call, err, "interrupted; job %llu goes on", U(number));
    if (err < 0)
        return err;
    if (error == -ECANCELED)
        return control_fail(call, error, "job %llu was cancelled", U(number));
    if (error == -EINTR) /* not as EINTR, which says that this wait was interrupted */
        return control_fail(call, -ECANCELED, "job %llu was interrupted", U(number));
    if (error < 0)
        return job_failed(call, number, error, result);
    if (*result)
        strbuf_addf(&call->head, " %s", result);
    if (job_get_lines(call->p, number, &lines) < 0)
        return 0; /* it has none, or those of a later job took their place */
    control_text(call, lines.s);
    return strbuf_error(&lines);
}

int control_started(struct call *call, uint64_t number)
{
    int err = call->c->wait ? wait_number(call, number, -1) : 0;

    if (err == 0)
        strbuf_addf(&call->head, " job=%llu", U(number));
    return err;
}

/* Says which job is at other work of this verb. -EBUSY */
static int busy_with(struct call *call, uint64_t number)
{
    struct job other;

    if (job_get(call->p, number, &other) < 0 || !*other.detail)
        return control_fail(call, -EBUSY, "one is running already: job %llu", U(number));
    return control_fail(call, -EBUSY, "one is %s already: job %llu (%s)",
                        job_state_name(other.state), U(number), other.detail);
}

int control_run_one(struct call *call, const char *detail, job_fn *fn, void *arg)
{
    const struct job_work w = {.fn = fn, .arg = arg, .prompt = call->verb->job == JOB_PROMPT};
    struct job *j;
    uint64_t number;
    int err = job_start_one(call->p, call->verb->name, detail, &j, &number);

    if (err == 0)
        err = job_run(call->p, j, &w, -1, call->interrupted);
    else
        free(arg);
    if (err == -EBUSY)
        return busy_with(call, number);
    return err < 0 ? err : control_started(call, number);
}

static int job_number(struct call *call, uint64_t *ret)
{
    if (command_number(control_arg(call, 0), ret) < 0)
        return control_fail_word(call, -EINVAL, "%s is not the number of a job",
                                 control_arg(call, 0));
    return 0;
}

/* wait N [DUR], or one of the two other forms, which control_flush.c has. */
int control_wait(struct call *call)
{
    int64_t timeout = -1;
    uint64_t number;
    int err;

    if (control_is_keyword(call, 0, "ticket"))
        return control_wait_ticket(call);
    if (control_is_keyword(call, 0, "durable"))
        return control_wait_durable(call);
    if (call->c->nargs > 2)
        return control_fail(call, -EINVAL, "that is a word too many; usage: wait N [DUR]");
    err = job_number(call, &number);
    if (err < 0)
        return err;
    if (call->c->nargs > 1 && control_duration(call, control_arg(call, 1), &timeout) < 0)
        return -EINVAL;
    return wait_number(call, number, timeout);
}

/* cancel N. A drop cannot be cancelled: what was dropped cannot come back. */
int control_cancel(struct call *call)
{
    uint64_t number;
    int err = job_number(call, &number);

    if (err == 0)
        err = job_cancel(call->p, number);
    if (err == -ENOENT)
        return control_fail(call, err, "there is no job %llu", U(number));
    if (err == -EPERM)
        return control_fail(call, err, "job %llu is a drop: what is dropped cannot come back",
                            U(number));
    return err;
}

/* The job_fn of a rebuild. */
static int rebuild_job(struct state *p, struct job *j, void *arg)
{
    char text[64];
    uint64_t changed;
    int err = rebuild_store(p, j, &changed);

    (void)arg;
    if (err == 0) {
        snprintf(text, sizeof text, "changed=%llu", U(changed));
        job_result(p, j, text);
    }
    return err;
}

int control_rebuild(struct call *call)
{
    int err = control_may_change(call);

    return err < 0 ? err : control_run_one(call, "", rebuild_job, NULL);
}
