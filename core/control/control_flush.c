// SPDX-License-Identifier: Apache-2.0
/* control_flush: the verbs that begin a flush, wait for a flush by its ticket, and wait until the
 * changes of a namespace are durable. */
#include "control_impl.h"
#include "durability.h"
#include "durable.h"
#include "flush.h"
#include "flush_names.h"
#include "ticket.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

int control_flush(struct call *call)
{
    const char *name = call->c->nargs ? control_arg(call, 0) : NULL;
    struct ticket *t;
    int err;

    if (name && (!*name || strlen(name) > FLUSH_LABEL_MAX))
        return control_fail(call, -EINVAL, "the name of a flush has 1 to %d bytes",
                            FLUSH_LABEL_MAX);
    err = state_writable(call->p);
    if (err < 0)
        return err;
    err = flush_begin_named(call->p, SEAL_READY, name, -1, call->interrupted, &t);
    if (err < 0)
        return err == -ESHUTDOWN || err == -EINTR ? err : control_not_durable(call, err);
    strbuf_addf(&call->head, " ticket=%llu seq=%llu", U(ticket_number(t)), U(ticket_snapshot(t)));
    ticket_unref(t);
    return 0;
}

/* Waits for the flush of a ticket, and says what it has. */
static int wait_for(struct call *call, struct ticket *t, int64_t timeout)
{
    char label[FLUSH_LABEL_MAX + 1];
    int err = ticket_wait(t, true, timeout, call->interrupted, &call->why);
    bool still_tried = err == -ETIMEDOUT || err == -EINTR;

    if (err < 0)
        return still_tried && !blame_is_noted(call->p) ? err : control_not_durable(call, err);
    strbuf_addf(&call->head, " snapshot=%llu", U(ticket_snapshot(t)));
    if (flush_get_label(call->p, ticket_number(t), label)) {
        strbuf_adds(&call->head, " name=");
        command_add_word(&call->head, label);
    }
    return 0;
}

/* Answers for a ticket that is not kept any more: its flush ended more than TICKETS_KEPT flushes
 * ago, or there was none with that number. */
static int wait_for_old(struct call *call, uint64_t number)
{
    uint64_t done, next, durable = flush_durable(call->p);

    flush_numbers(call->p, &done, &next);
    if (number < done) { /* flushes end in order, so that one has ended */
        strbuf_addf(&call->head, " durable=%llu", U(durable));
        return 0;
    }
    if (next == 0)
        return control_fail(
            call, -ENOENT,
            "this mount has given out no ticket yet: `tally flush` begins a "
            "flush and says its ticket; those of earlier mounts ended with them: everything "
            "up to %llu is durable",
            U(durable));
    return control_fail(call, -ENOENT,
                        "this mount has not given out a ticket %llu, its next is %llu; "
                        "`tally flush` begins a flush and says its ticket; those of earlier "
                        "mounts ended with them: everything up to %llu is durable",
                        U(number), U(next), U(durable));
}

int control_wait_ticket(struct call *call)
{
    int64_t timeout = -1;
    uint64_t number;
    struct ticket *t;
    int err;

    if (call->c->nargs < 2)
        return control_fail(call, -EINVAL, "a word is missing; usage: wait ticket T [DUR]");
    if (call->c->nargs > 3)
        return control_fail(call, -EINVAL, "that is a word too many; usage: wait ticket T [DUR]");
    if (command_number(control_arg(call, 1), &number) < 0)
        return control_fail_word(call, -EINVAL, "%s is not the number of a ticket",
                                 control_arg(call, 1));
    if (call->c->nargs > 2 && control_duration(call, control_arg(call, 2), &timeout) < 0)
        return -EINVAL;
    err = flush_ticket(call->p, number, &t);
    if (err < 0)
        return wait_for_old(call, number);
    err = wait_for(call, t, timeout);
    ticket_unref(t);
    return err;
}

/* ---- a namespace ---- */

static uint64_t last_change(struct ns *ns)
{
    READ_GUARD(&ns->lock);
    return ns->seq;
}

/* Begins the sentence: "NS is durable up to change N". */
static void say_durable(struct call *call, uint64_t durable)
{
    command_add_word(&call->why, control_arg(call, 1));
    strbuf_addf(&call->why, " is durable up to change %llu", U(durable));
}

/* Waits until the changes of a namespace up to number `seq` are durable; UINT64_MAX: all changes
 * before the call. Numbers above its last change belong to other namespaces, and are not waited
 * for. */
static int wait_for_ns(struct call *call, struct ns *ns, uint64_t seq, int64_t timeout)
{
    uint64_t last = last_change(ns), until = seq < last ? seq : last, durable;
    int err = durable_wait(call->p, until, timeout, call->interrupted);

    last = last_change(ns);
    durable = flush_durable(call->p);
    durable = durable < last ? durable : last;
    if (err == -ETIMEDOUT) {
        say_durable(call, durable);
        strbuf_addf(&call->why, ", and not yet up to %llu", U(until));
        return err;
    }
    if (err == 0)
        strbuf_addf(&call->head, " seq=%llu durable=%llu", U(until), U(durable));
    if (err == 0 || err == -EINTR || err == -ESHUTDOWN)
        return err;
    say_durable(call, durable);
    strbuf_addf(&call->why, ", and %s up to %llu",
                err == -EROFS ? "cannot become so" : "is not yet so", U(until));
    if (err == -EROFS)
        strbuf_adds(&call->why, ": the store is read-only");
    return control_not_durable(call, err);
}

#define DURABLE_USAGE "usage: wait durable NS [SEQ] [DUR]"

/* Parses the words behind NS. The number of a change has no unit, and a duration has one, so they
 * cannot be confused. */
static int durable_words(struct call *call, uint64_t *ret_seq, int64_t *ret_timeout)
{
    size_t at = 2, n = call->c->nargs;
    bool given;

    *ret_seq = UINT64_MAX;
    *ret_timeout = -1;
    if (n < 2)
        return control_fail(call, -EINVAL, "a word is missing; " DURABLE_USAGE);
    given = n > at && command_number(control_arg(call, at), ret_seq) == 0;
    at += given;
    if (at < n && command_duration(control_arg(call, at), ret_timeout) < 0)
        return control_fail_word(
            call, -EINVAL, "%s is neither the number of a change nor a duration; " DURABLE_USAGE,
            control_arg(call, at));
    at += at < n;
    if (at < n)
        return control_fail_word(call, -EINVAL, "%s is too much; " DURABLE_USAGE,
                                 control_arg(call, at));
    if (given && *ret_seq > state_seq(call->p))
        return control_fail(call, -EINVAL, "there is no change %llu yet, the last one is %llu",
                            U(*ret_seq), U(state_seq(call->p)));
    return 0;
}

int control_wait_durable(struct call *call)
{
    int64_t timeout;
    uint64_t seq;
    struct ns *ns;
    int err = durable_words(call, &seq, &timeout);

    if (err == 0)
        err = control_find_ns(call, control_arg(call, 1), &ns);
    if (err < 0)
        return err;
    err = wait_for_ns(call, ns, seq, timeout);
    ns_put(call->p, ns);
    return err;
}
