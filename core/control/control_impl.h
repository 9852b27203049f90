// SPDX-License-Identifier: Apache-2.0
/*
 * control_impl: private to the files of the control verbs.
 *
 * A verb reads its command and writes " key=value" words into `head` and whole lines into `lines`.
 * If it fails it writes a sentence into `why` (empty: a general one for the errno is used), and
 * `head` is thrown away. It is called without a lock, by several threads at once.
 */
#pragma once

#include "command.h"
#include "job.h"
#include "state.h"

struct history_entry;
struct verb;

/* One command while it runs. */
struct call {
    struct state *p;
    const struct verb *verb;
    const struct command *c;
    const _Atomic bool *interrupted; /* may be NULL; true: return -EINTR soon */
    struct strbuf head, lines, why;
};

/* JOB: the job has idle I/O priority, but while somebody waits for it. JOB_PROMPT: it has normal
 * I/O priority, as whoever gave the command needs what it does. */
enum verb_job { NO_JOB, JOB, JOB_PROMPT };

struct verb {
    /* an option that it takes stands in its usage: "[until=SEQ]" */
    const char *name, *usage, *help;
    enum verb_job job;         /* other than NO_JOB: it begins a job, and takes the word "wait" */
    bool waits;                /* it may wait for a flush, a job, a seal or other verbs, or reads
                                * much */
    size_t min_args, max_args; /* words behind the verb, without options and "wait" */
    int (*run)(struct call *call); /* 0 or -errno */
};

extern const struct verb control_verbs[]; /* ends with a NULL name */

/* The verb of that name; NULL: there is none. */
const struct verb *control_verb(const char *name);
/* Checks a command as control_check, and runs its verb. */
int control_run(struct call *call);
/* Checks what can be checked without running the command: the verb, the number of words, the
 * options. */
int control_check(struct call *call);

/* Replaces `why` by a sentence, and returns err. */
int control_fail(struct call *call, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends to `why` what could not be made durable, whose file that is, and the reason (blame.h).
 * Returns err. The caller holds no lock. */
int control_not_durable(struct call *call, int err);
/* As control_fail, for a sentence about a word of the user. `fmt` has one %s, which gets the word,
 * quoted if needed. */
int control_fail_word(struct call *call, int err, const char *fmt, const char *word)
    __attribute__((format(printf, 3, 0)));
/* As control_fail, for words that the verb takes, but not in this combination. Returns -EINVAL. */
int control_misuse(struct call *call, const char *usage);
/* Parses a duration, of which *ret is in ns. -EINVAL, with a sentence. */
int control_duration(struct call *call, const char *word, int64_t *ret);
/* Appends "| ", the text and a newline to `lines`. */
void control_line(struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends each line of `text` as control_line does. */
void control_text(struct call *call, const char *text);
static inline const char *control_arg(const struct call *call, size_t i)
{
    return call->c->args[i].text;
}
/* Is argument `i` this word, not quoted? False also if there is no such argument. */
bool control_is_keyword(const struct call *call, size_t i, const char *word);
/* May changes be made now? 0 or -errno. It waits while too much is unflushed. */
int control_may_change(struct call *call);

/* The end of a verb that started job `number`. It waits for the job if the command has "wait", and
 * adds its lines; then it adds the number to `head`. Returns the error of the job that it waited
 * for. */
int control_started(struct call *call, uint64_t number);
/* Does all of a verb whose job runs alone. It begins the job, or joins one that does just the same,
 * and waits if the command has "wait". `detail` says what was asked for, so that equal jobs are
 * recognised. -EBUSY: a job with another detail runs. It takes over `arg` (malloc'd or NULL), for
 * `fn`, or to free it. */
int control_run_one(struct call *call, const char *detail, job_fn *fn, void *arg);

/* How often a verb looks whether the last file is closed, and ns between two such looks: the kernel
 * reports a close after close(2) has returned. */
#define RELEASE_LOOKS 60
#define RELEASE_LOOK_NS (5 * NSEC_PER_MSEC)

/* Finds a namespace, or what is kept of one (ns_find.h). The caller gives its reference back with
 * ns_put. -ENOENT, or -EINVAL: it is a symlink; with a sentence. */
int control_find_ns(struct call *call, const char *name, struct ns **ret_ns);

/* Appends how many paths are only in that namespace (only_here.h), as " only_here=" or, if there
 * may be more, " only_here_at_least="; nothing if it cannot be said. -EINTR. */
int control_add_only_here(struct call *call, struct ns *ns, struct strbuf *out);

/* control_archive.c. Who may have the daemon read and write elsewhere, and make files of any owner:
 * root, and who has mounted the store. -EPERM, with a sentence. */
int control_archive(struct call *call);
int control_promote(struct call *call);
int control_archive_rights(struct call *call);
/* An unreachable place becomes -EIO, because this is the errno of a write. */
int control_archive_errno(int err);
/* In control_shard.c. Is a place that was refused (`err` -EINVAL) in the directory of a shard of
 * this store? Then the sentence says in which. */
void control_name_shard(struct call *call, const char *url, int err, char *why);
/* Finds the archive of that URL, or without one (NULL) the only one; with `ships` one that the
 * store ships to. -ENOENT, -EINVAL, with a sentence. */
int control_find_archive(struct call *call, const char *url, bool ships, uint16_t *ret);
/* Splits NS[@SEQ|@TIME]. *ret_name is owned by the caller. -EINVAL, with a sentence. */
struct restore_ask;
int control_parse_moment(struct call *call, const char *spec, struct restore_ask *ret,
                         char **ret_name);

/* control_profile.c */
int control_profile(struct call *call);

/* control_prune.c: called by control_archive */
int control_prune(struct call *call);
int control_list_pins(struct call *call);
int control_end_pin(struct call *call);

/* control_archive.c, again */
int control_restore(struct call *call);

/* control_diff.c */
int control_diff(struct call *call);

/* control_digest.c */
int control_digest(struct call *call);

/* control_drain.c */
int control_drain(struct call *call);

/* control_drill.c */
int control_archive_drill(struct call *call);

/* control_durable.c */
int control_durable(struct call *call);
int control_drain_archive(struct call *call); /* `drain archive [DUR]` */

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
int control_scrub(struct call *call);

/* control_object.c */
int control_refs(struct call *call);
int control_object(struct call *call);
int control_why(struct call *call);
int control_resolve(struct call *call);
int control_pin(struct call *call);
int control_unpin(struct call *call);

/* control_shard.c */
int control_shard(struct call *call);
int control_move(struct call *call);
int control_recall(struct call *call);

/* control_sweep.c */
int control_sweep(struct call *call);

/* control_jobs.c */
int control_wait(struct call *call);
int control_cancel(struct call *call);
int control_rebuild(struct call *call);

/* control_ns.c */
int control_branch(struct call *call);
int control_drop(struct call *call);

/* control_merge.c */
int control_merge(struct call *call);
int control_commit(struct call *call);
int control_undo(struct call *call);
int control_redo(struct call *call);

/* control_history.c. control_add_operation appends what an operation did, and to what, as
 * " key=value" words. */
int control_history(struct call *call);
int control_growth(struct call *call);
void control_add_operation(struct strbuf *out, const struct history_entry *e);

/* control_kept.c */
int control_snapshot(struct call *call);
int control_hold(struct call *call);
int control_unhold(struct call *call);
int control_detach(struct call *call);
int control_undrop(struct call *call);
int control_trash(struct call *call);

/* control_settings.c */
int control_get(struct call *call);
int control_set(struct call *call);

/* control_ns_settings.c: what get and set do for a setting of a namespace. -ENODATA: the key is
 * that of a setting of the store; -EINVAL, -ENOENT, with a sentence. */
int control_ns_get(struct call *call, const char *key);
int control_ns_set(struct call *call, const char *key, const char *value);
/* compression_allow, with a sentence for -EOPNOTSUPP. */
int control_allow_compression(struct call *call);

/* control_log.c */
int control_log(struct call *call);
