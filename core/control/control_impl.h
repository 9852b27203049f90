// SPDX-License-Identifier: Apache-2.0
/*
 * control_impl: what the files of the control verbs share. Nobody else includes this.
 *
 * A verb reads its command and writes " key=value" words into `head`, whole lines into `lines`; on
 * failure a sentence into `why` (empty: a general one for the errno is used) and what it wrote into
 * `head` is thrown away. It holds no lock when it is called, and may be called by many at once.
 */
#pragma once

#include "command.h"
#include "job.h"
#include "state.h"

struct verb;

struct call {
    struct state *p;
    const struct verb *verb;
    const struct command *c;
    const _Atomic bool *interrupted; /* may be NULL */
    struct strbuf head, lines, why;
};

struct verb {
    const char *name, *usage, *help; /* an option it takes stands in its usage: "[until=SEQ]" */
    bool job;        /* takes the word "wait" */
    bool waits;      /* may wait for a flush, a job or a seal */
    size_t min_args, max_args;
    int (*run)(struct call *call);
};

extern const struct verb control_verbs[]; /* ends with a NULL name */

/* NULL: there is none of that name. */
const struct verb *control_verb(const char *name);
/* Check the shape of a command and run its verb. */
int control_run(struct call *call);
/* What can be said of a command without running it: verb, number of words, options. */
int control_check(struct call *call);

/* Put "sentence" into why and return err. */
int control_fail(struct call *call, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What could not be made durable, whose file that is, and why (blame.h), behind what `why` has.
 * Holding no lock. */
int control_not_durable(struct call *call, int err);
/* The same as control_fail, about a word of the user's: `fmt` has one %s, which gets it quoted as needed. */
int control_fail_word(struct call *call, int err, const char *fmt, const char *word)
    __attribute__((format(printf, 3, 0)));
void control_line(struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Each line of `text` as one. */
void control_text(struct call *call, const char *text);
static inline const char *control_arg(const struct call *call, size_t i)
{
    return call->c->args[i].text;
}
/* Is argument `i` that bare word? False also where there is none. */
bool control_is_keyword(const struct call *call, size_t i, const char *word);
/* May changes be made now? Waits while too much is unflushed. */
int control_may_change(struct call *call);

/* The end of a verb that started job `number`: waits if it was told to, and says the number. */
int control_started(struct call *call, uint64_t number);
/* All of a verb whose job runs alone: the job is begun, or who is at just the same is joined, and
 * waited for if the command says so. `detail` says what was asked for. -EBUSY: one is at something
 * else. `arg`, malloc'd or NULL, is the job's, or freed. */
int control_run_one(struct call *call, const char *detail, job_fn *fn, void *arg,
                    uint64_t *ret_number);

/* A namespace, referenced; -ENOENT, -EINVAL it is a symlink, with a sentence. */
int control_find_ns(struct call *call, const char *name, struct ns **ret_ns);

/* control_drain.c */
int control_drain(struct call *call);

/* control_du.c */
int control_du(struct call *call);

/* control_flush.c */
int control_flush(struct call *call);
int control_wait_ticket(struct call *call);  /* `wait ticket T [DUR]` */
int control_wait_durable(struct call *call); /* `wait durable NS [SEQ] [DUR]` */

/* control_gc.c */
int control_gc(struct call *call);
int control_node(struct call *call);
int control_compact(struct call *call);

/* control_object.c */
int control_refs(struct call *call);
int control_object(struct call *call);
int control_why(struct call *call);
int control_resolve(struct call *call);
int control_pin(struct call *call);
int control_unpin(struct call *call);

/* control_scrub.c */
int control_scrub(struct call *call);

/* control_shard.c */
int control_shard(struct call *call);
int control_move(struct call *call);
int control_recall(struct call *call);

/* control_sweep.c */
int control_sweep(struct call *call);

/* control_log.c */
int control_log(struct call *call);
