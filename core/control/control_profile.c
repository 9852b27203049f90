// SPDX-License-Identifier: Apache-2.0
/* control_profile: the verb that records for a while what requests cost. */
#include "control_impl.h"
#include "latency.h"
#include "ns_label.h"
#include "profile.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define U(x) ((unsigned long long)(x))
#define LOOK_NS (20 * NSEC_PER_MSEC) /* how often it looks whether the time is over */

/* Waits until the time is over. -EINTR, -ESHUTDOWN: the store closes. */
static int wait_for_end(struct call *call, int64_t end)
{
    while (ticks(call->p) < end) {
        if (call->interrupted && atomic_load(call->interrupted))
            return -EINTR;
        if (atomic_load(&call->p->closing))
            return -ESHUTDOWN;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return 0;
}

/* ---- the reply ---- */

/* The rows that cost most in all come first. */
static int compare(const void *a, const void *b)
{
    const struct profile_row *x = *(const struct profile_row *const *)a;
    const struct profile_row *y = *(const struct profile_row *const *)b;

    if (x->took.sum_ns != y->took.sum_ns)
        return x->took.sum_ns < y->took.sum_ns ? 1 : -1;
    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->program, y->program);
}

/* Appends " ns=": what people call the namespace, "/" for the root of the mount, or "" if it is
 * gone. */
static void add_ns(struct state *p, uint32_t number, struct strbuf *out)
{
    char label[NS_LABEL_MAX] = "";
    struct ns *ns = number ? ns_get_any(p, number) : NULL;

    if (ns)
        ns_label(p, ns, label);
    ns_put(p, ns);
    strbuf_adds(out, " ns=");
    command_add_word(out, number ? label : "/");
}

static void add_row(struct call *call, const struct profile_row *row)
{
    struct strbuf *out = &call->lines;
    const char *comma = "";

    strbuf_adds(out, "| program=");
    command_add_word(out, row->program);
    strbuf_addf(out, " pid=%d", row->pid);
    add_ns(call->p, row->ns, out);
    strbuf_addf(out, " op=%s count=%llu total_us=%llu max_us=%llu buckets=",
                latency_name(call->p->latency, row->kind), U(histogram_count(&row->took)),
                U(row->took.sum_ns / NSEC_PER_USEC), U(row->max_ns / NSEC_PER_USEC));
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (row->took.of[i]) {
            strbuf_addf(out, "%s%zu:%llu", comma, i, U(row->took.of[i]));
            comma = ",";
        }
    strbuf_adds(out, "\n");
}

static int add_rows(struct call *call, const struct recording *r, int64_t took)
{
    const struct profile_row **rows = calloc(PROFILE_ROWS + LATENCY_KINDS, sizeof *rows);
    uint64_t requests = 0;
    size_t count = 0, at = 0;

    if (!rows)
        return -ENOMEM;
    while (recording_next(r, &at, &rows[count]))
        requests += histogram_count(&rows[count++]->took);
    qsort(rows, count, sizeof *rows, compare);
    strbuf_addf(&call->head, " ms=%llu requests=%llu rows=%zu", U(took / NSEC_PER_MSEC),
                U(requests), count);
    for (size_t i = 0; i < count; i++)
        add_row(call, rows[i]);
    free(rows);
    return 0;
}

/* profile DUR */
int control_profile(struct call *call)
{
    const int64_t began = ticks(call->p);
    struct recording *r;
    int64_t wanted;
    int err = control_duration(call, control_arg(call, 0), &wanted);

    if (err < 0)
        return err;
    if (wanted > 3600 * NSEC_PER_SEC)
        return control_fail(call, -EINVAL, "a recording takes at most an hour");
    err = profile_begin(call->p->profile, &r);
    if (err == -EBUSY)
        return control_fail(call, err, "%d recordings are under way already", PROFILE_RECORDINGS);
    if (err < 0)
        return err;
    err = wait_for_end(call, began + wanted);
    profile_end(call->p->profile, r);
    if (err == 0)
        err = add_rows(call, r, ticks(call->p) - began);
    recording_free(r);
    return err;
}
