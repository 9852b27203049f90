// SPDX-License-Identifier: Apache-2.0
/* import: see the header. */
#include "import.h"
#include "command.h"
#include "durability.h"
#include "import_feed.h"
#include "import_into.h"
#include "import_line.h"
#include "import_reply.h"
#include "import_stream.h"
#include "job.h"
#include "load.h"
#include "noted.h"
#include "nowait.h"
#include "ns_draft.h"
#include "parked.h"
#include "receive.h"
#include "report.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct import {
    struct state *p;
    struct vfs_cred cred;
    bool trusted;
    _Atomic bool busy;        /* a write or a read uses the session */
    struct import_feed *feed; /* from the line on; what follows is its thread's while it works */
    int err;                  /* the first error; all later writes return it */
    bool done;
    struct import_line line;    /* all zeros: none came yet */
    char *label;                /* what a sender calls the stream */
    uint8_t digest[SHA256_LEN]; /* what was sent has */
    struct ns *draft;
    bool shown; /* the draft is a namespace now */
    struct import_into into;
    struct load *load;
    struct job *job;
    struct import_stream stream;
    uint64_t bytes; /* of the stream so far */
    struct strbuf reply;
    size_t read; /* bytes of the reply */
};

static bool receives(const struct import *s)
{
    return s->line.verb == IMPORT_RECEIVE;
}

static const char *verb_of(const struct import *s)
{
    return receives(s) ? "receive" : "import";
}

int import_open(struct state *p, const struct vfs_cred *cred, bool trusted, struct import **ret_s)
{
    struct import *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->p = p;
    s->cred = *cred;
    s->trusted = trusted;
    s->reply = (struct strbuf)STRBUF_INIT;
    *ret_s = s;
    return 0;
}

/* Gives up what the session has made, and ends its job. */
static void give_up(struct import *s, int err)
{
    load_close(s->load);
    s->load = NULL;
    if (s->draft && s->shown)
        ns_put(s->p, s->draft);
    else if (s->draft)
        ns_draft_drop(s->p, s->draft);
    s->draft = NULL;
    import_into_end(s->p, &s->into);
    if (s->job)
        job_end(s->p, s->job, err);
    s->job = NULL;
    import_stream_release(&s->stream);
}

/* Ends the thread of the session. */
static void end_feed(struct import *s)
{
    import_feed_close(s->feed);
    s->feed = NULL;
}

void import_drop(struct import *s)
{
    end_feed(s);
    give_up(s, -ECANCELED);
    strbuf_release(&s->reply);
    import_line_release(&s->line);
    free(s->label);
    free(s);
}

/* Keeps what arrived, once it is worked off, without a job and what is not a whole record. False:
 * it is not worth it, or cannot be. */
static bool park(struct import *s)
{
    struct parked_at at;

    if (s->feed && receives(s))
        (void)import_feed_wait(s->feed);
    end_feed(s);
    if (!receives(s) || !s->load || s->err < 0 || s->done || atomic_load(&s->p->closing))
        return false;
    at = (struct parked_at){s->stream.whole, s->stream.stream.sum};
    job_end(s->p, s->job, -EINTR);
    s->job = NULL;
    import_stream_cut(&s->stream);
    return parked_put(s->p, s->line.name, s->label, &at, s);
}

void import_close(struct import *s)
{
    if (s && !park(s))
        import_drop(s);
}

/* ---- replies ---- */

/* Notes the first error, and drops the draft. Returns it. */
static int fail(struct import *s, int err, const struct strbuf *why)
{
    s->err = err;
    import_reply_error(&s->reply, verb_of(s), err, why);
    give_up(s, err);
    return err;
}

/* Says what came of a stream that was taken. */
static int say_done(struct import *s, uint64_t seq)
{
    struct load_result r;

    load_get_result(s->load, &r);
    import_reply_done(&s->reply, s->line.name, &r, seq, receives(s) ? s->digest : NULL);
    return strbuf_error(&s->reply);
}

/* Says what a sender need not send. */
static int say_have(struct import *s)
{
    if (!s->trusted)
        return -EPERM;
    digest_list_noted(s->p, &s->reply);
    parked_list(s->p, &s->reply);
    strbuf_adds(&s->reply, "ok\n");
    s->done = true;
    return strbuf_error(&s->reply);
}

/* ---- the line ---- */

static bool is_there(struct import *s)
{
    struct ns *ns;

    if (ns_get_by_name(s->p, s->line.name, &ns) < 0)
        return false;
    ns_put(s->p, ns);
    return true;
}

/* Can it be the name of a namespace, and of a new one where it must be? Says what is wrong. */
static int check_name(struct import *s, struct strbuf *why)
{
    int err = command_namespace(s->line.name);

    if (err == 0 && receives(s) && is_there(s))
        err = -EEXIST;
    if (err == 0 && !is_there(s))
        err = ns_check_new_name(s->line.name);
    if (err < 0) {
        command_add_word(why, s->line.name);
        strbuf_adds(why, err == -EEXIST ? " exists already" : " cannot be the name of a namespace");
    }
    return err;
}

/* Begins a namespace that is new. What was kept of another stream for its name is given up. What
 * another store sent says itself what the draft begins with. */
static int begin_new(struct import *s)
{
    struct import *old = parked_take(s->p, s->line.name, NULL);
    int err;

    if (old)
        import_drop(old);
    if (receives(s))
        return 0;
    err = ns_draft(s->p, s->line.name, &s->draft);
    return err == 0 ? load_open(s->p, s->draft, &s->cred, &s->load) : err;
}

static int begin_into(struct import *s, struct strbuf *why)
{
    int err = import_into_begin(s->p, s->line.name, &s->into, &s->draft, why);

    return err == 0 ? load_open_at(s->p, s->draft, &s->cred, s->line.path, &s->load, why) : err;
}

/* Begins the job and the draft. */
static int begin(struct import *s, struct strbuf *why)
{
    int err = check_name(s, why);

    if (err == 0)
        err = state_root_writable(s->p);
    if (err == 0)
        err = import_stream_init(&s->stream);
    if (err == 0)
        err = job_start(s->p, verb_of(s), s->line.target, &s->job);
    if (err < 0)
        return err;
    if (!receives(s) && (s->line.path[0] || is_there(s)))
        return begin_into(s, why);
    return begin_new(s);
}

/* Goes on with a stream that was interrupted. */
static int resume(struct import *s, struct strbuf *why)
{
    struct import *old = s->trusted ? parked_take(s->p, s->line.name, &s->line.at) : NULL;

    if (!old) {
        strbuf_adds(why, "what had arrived of it is not kept any more: send it from the beginning");
        return -ENOENT;
    }
    s->label = old->label;
    s->draft = old->draft;
    s->load = old->load;
    s->stream = old->stream;
    s->bytes = old->stream.whole;
    memcpy(s->digest, old->digest, sizeof s->digest);
    old->label = NULL;
    old->draft = NULL;
    old->load = NULL;
    old->stream = (struct import_stream){0};
    import_drop(old);
    return job_start(s->p, verb_of(s), s->line.name, &s->job);
}

static int take_line(struct import *s, const char *buf, size_t len, struct strbuf *why)
{
    int err = import_line_parse(buf, len, &s->line, why);

    if (err < 0)
        return err;
    if (s->line.verb == IMPORT_HAVE)
        return say_have(s);
    return s->line.resumes ? resume(s, why) : begin(s, why);
}

/* ---- the stream; in the thread of the feed ---- */

/* Is the work to end? 0, or why. */
static int look(const struct import *s)
{
    if (atomic_load(&s->p->closing))
        return -ESHUTDOWN;
    return atomic_load(&s->job->cancel) ? -ECANCELED : 0;
}

static int on_digest(const struct digest *so_far, void *ctx)
{
    const struct import *s = ctx;

    (void)so_far;
    return import_feed_is_interrupted(s->feed) ? -EINTR : look(s);
}

/* Keeps what was received as a base. If that fails the namespace is there, all the same. */
static void keep(struct import *s, uint64_t seq)
{
    int err = receive_keep(s->p, s->draft, seq, s->digest);

    if (err < 0)
        report(REPORT_WARN, "%s was received, and has no snapshot of that (%s)", s->line.name,
               strerror(-err));
}

/* Makes the draft a namespace. */
static int publish(struct import *s, uint64_t *ret_seq, struct strbuf *why)
{
    const uint64_t seq = s->draft->seq;
    int err = receives(s) ? receive_check(s->p, s->draft, s->digest, on_digest, s, why) : 0;

    if (err == 0)
        err = ns_draft_publish(s->p, s->draft, s->line.name, ret_seq);
    if (err == -EEXIST) {
        command_add_word(why, s->line.name);
        strbuf_adds(why, " exists by now");
    }
    s->shown = err == 0;
    if (s->shown && receives(s))
        keep(s, seq);
    return err;
}

/* All has come: it is seen, and made durable. */
static int finish(struct import *s, struct strbuf *why)
{
    uint64_t seq = 0;
    int err = s->into.ours ? import_into_merge(s->p, &s->into, s->draft, &s->job->cancel, &seq, why)
                           : publish(s, &seq, why);

    if (err < 0)
        return err;
    s->done = true;
    err = flush_sync(s->p);
    if (err < 0) {
        command_add_word(why, s->line.name);
        strbuf_adds(why, " has it, and it could not be made durable");
        return err;
    }
    err = say_done(s, seq);
    give_up(s, 0);
    return err;
}

/* The first record says whether another store sent the stream, and what it begins with. */
static int begin_stream(struct import *s, const struct image_record *r, struct strbuf *why)
{
    static const uint8_t zero[SHA256_LEN];
    int err;

    if (receives(s) != (r->type == IMAGE_BASE)) {
        strbuf_adds(why, receives(s) ? "that is no stream of tally send"
                                     : "that is a stream of tally send: tally receive takes it");
        return -EINVAL;
    }
    if (!receives(s))
        return 0;
    if (!s->trusted && memcmp(r->digest, zero, SHA256_LEN) != 0) {
        strbuf_adds(why, "only root and the owner of the mount may receive a difference");
        return -EPERM;
    }
    s->label = strndup(r->len ? r->data : "", r->len);
    if (!s->label)
        return -ENOMEM;
    err = receive_begin(s->p, r, s->line.base, s->line.name, on_digest, s, &s->draft, why);
    return err == 0 ? load_open(s->p, s->draft, &s->cred, &s->load) : err;
}

static int take_record(void *ctx, const struct image_record *r, struct strbuf *why)
{
    struct import *s = ctx;
    int err = look(s);

    if (err == 0 && s->stream.stream.records == 1)
        err = begin_stream(s, r, why);
    if (err == 0)
        err = load_take(s->load, r, why);
    if (err == 0 && r->type == IMAGE_DIGEST)
        memcpy(s->digest, r->digest, SHA256_LEN);
    return err;
}

/* Works off bytes of the stream. */
static int take(void *ctx, const uint8_t *buf, size_t len)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct import *s = ctx;
    int err;

    if (s->done)
        return -EINVAL; /* there is nothing behind the end */
    s->bytes += len;
    err = import_stream_take(&s->stream, buf, len, take_record, s, &why);
    if (err == 0 && s->stream.stream.ended)
        err = finish(s, &why);
    else if (err == 0)
        job_progress_bytes(s->p, s->job, s->bytes, 0);
    return err < 0 && (!s->done || s->draft) ? fail(s, err, &why) : err;
}

/* ---- calls ---- */

/* Takes the first write. */
static int take_first(struct import *s, const char *buf, size_t len)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    int err;

    if (s->err < 0)
        return s->err;
    if (s->done)
        return -EINVAL; /* no stream follows */
    if (!thread_may_wait())
        return -EWOULDWAIT;
    err = take_line(s, buf, len, &why);
    if (err == 0 && !s->done)
        err = import_feed_open(take, s, &s->feed);
    return err < 0 ? fail(s, err, &why) : 0;
}

/* Takes a write of the stream. With the last one it waits for all that the session does. */
static int take_more(struct import *s, const char *buf, size_t len, const _Atomic bool *interrupted)
{
    const uint8_t *bytes = (const uint8_t *)buf;

    return import_feed_put(s->feed, bytes, len, image_may_end(bytes, len), interrupted);
}

ssize_t import_write(struct import *s, const char *buf, size_t len, const _Atomic bool *interrupted)
{
    int err = 0;

    if (atomic_exchange(&s->busy, true))
        return -EBUSY;
    if (len > 0)
        err = s->feed ? take_more(s, buf, len, interrupted) : take_first(s, buf, len);
    atomic_store(&s->busy, false);
    return err < 0 ? err : (ssize_t)len;
}

ssize_t import_read(struct import *s, char *buf, size_t len)
{
    size_t n;

    if (atomic_exchange(&s->busy, true))
        return -EBUSY;
    if (s->feed && !thread_may_wait() && import_feed_is_busy(s->feed)) {
        atomic_store(&s->busy, false);
        return -EWOULDWAIT;
    }
    if (s->feed)
        (void)import_feed_wait(s->feed); /* the error is in the reply */
    n = s->reply.len - s->read < len ? s->reply.len - s->read : len;
    if (n)
        memcpy(buf, s->reply.s + s->read, n);
    s->read += n;
    atomic_store(&s->busy, false);
    return (ssize_t)n;
}
