// SPDX-License-Identifier: Apache-2.0
/*
 * control: sessions on the control file. control.h has the rules of a session, control_verbs.c the
 * verbs.
 *
 * While the commands of a writer run, it has the turn of the session and no lock. Each reply is
 * appended to `out` when its command ends, so a reader never waits for a command. A writer that
 * waits for its turn can be interrupted like any other waiter.
 */
#include "control.h"
#include "control_impl.h"
#include "command_error.h"
#include "control_of_store.h"
#include "nowait.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ns between two looks at `interrupted` */
#define LOOK_EVERY (50 * NSEC_PER_MSEC)
/* Bytes of unread replies; above this, those of earlier writes are dropped. */
#define UNREAD_MAX (1024 * 1024)
/* Bytes of the reply of a write that was interrupted before it began, at most. */
#define REFUSAL 128
/* Bytes of the replies of one write; from this on no further command of it begins. */
#define REPLIES_MAX (1024 * 1024)
/* Bytes of the lines of one reply. */
#define LINES_MAX (16 * 1024 * 1024)
/* Bytes of the replies that all sessions keep; from this on no further command begins. Lines of a
 * reply are kept up to the first limit only, so that long replies do not keep others from commands
 * with short ones, as a drain before an unmount. */
#define ALL_LINES_MAX ((size_t)48 * 1024 * 1024)
#define ALL_MAX ((size_t)64 * 1024 * 1024)

struct control_session {
    struct state *p;
    struct mutex lock; /* "control session": guards the fields below */
    struct cond free;
    bool busy;         /* a writer has the turn */
    bool wrote;        /* this session wrote, so it reads its own replies */
    bool opened_reply; /* `out` is a copy of the last reply of the mount */
    struct strbuf out;
    size_t counted; /* bytes of `out` that are in control_of_store.replies */
    size_t read;    /* bytes of `out` already read */
    int64_t base;   /* if `placed`: the offset of the file at which `out` begins */
    bool placed;
};

int control_open(struct state *p, struct control_session **ret_s)
{
    struct control_session *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->p = p;
    s->out = (struct strbuf)STRBUF_INIT;
    mutex_init(&s->lock, "control session");
    cond_init(&s->free);
    *ret_s = s;
    return 0;
}

/* Counts what the session keeps now in the sum of all sessions. The caller holds s->lock, or no
 * call uses the session. */
static void count(struct control_session *s)
{
    atomic_fetch_add(&s->p->control->replies, s->out.len - s->counted); /* modulo 2^64 */
    s->counted = s->out.len;
}

/* Do all sessions keep less than ALL_MAX bytes, with `more` added? */
static bool has_room(struct state *p, size_t more)
{
    size_t all = atomic_load(&p->control->replies);

    return all < ALL_MAX && more <= ALL_MAX - all;
}

/* Adds the lines of a reply to what all sessions keep, until the reply is delivered and counted
 * itself. False: they would keep more than ALL_LINES_MAX bytes, and nothing is added. */
static bool reserve_lines(struct state *p, size_t len)
{
    if (atomic_fetch_add(&p->control->replies, len) + len <= ALL_LINES_MAX)
        return true;
    atomic_fetch_sub(&p->control->replies, len);
    return false;
}

void control_close(struct control_session *s)
{
    if (!s)
        return;
    strbuf_release(&s->out);
    count(s);
    mutex_destroy(&s->lock);
    cond_destroy(&s->free);
    free(s);
}

/* ---- offsets ---- */

/* Takes notice of the offset of a read or write. An offset within the replies is where the reader
 * went back to, like a shell that reads more than a line. Any other offset is ignored, and the
 * reader goes on where it was. The caller holds s->lock. */
static void place(struct control_session *s, int64_t off)
{
    int64_t in;

    if (s->placed && !__builtin_sub_overflow(off, s->base, &in) && in >= 0 &&
        (uint64_t)in <= s->out.len)
        s->read = (size_t)in;
    s->base = off - (int64_t)s->read;
    s->placed = true;
}

/* ---- turns ---- */

/* A write begins: replies of earlier ones are dropped if they are all read, too many, or
 * incomplete, or if they were only a copy of the last reply. No write has the turn. The caller
 * holds s->lock. */
static void begin_replies(struct control_session *s)
{
    if (!s->wrote || s->out.len - s->read > UNREAD_MAX || s->out.failed || s->read == s->out.len) {
        strbuf_release(&s->out);
        count(s);
        s->read = 0;
    }
    s->wrote = true;
}

/* Replies to a write that was interrupted before it had the turn. Without a reply of its own the
 * session would read the last one of the mount. The caller holds s->lock. */
static void refuse_turn(struct control_session *s, int64_t off)
{
    if (!s->busy) {
        if (off >= 0)
            place(s, off);
        begin_replies(s);
        s->placed = off >= 0;
        s->base = off - (int64_t)s->read;
    }
    if (s->out.len - s->read <= UNREAD_MAX && has_room(s->p, REFUSAL))
        command_add_error(&s->out, -EINTR, "control",
                          "interrupted before it began; nothing was done");
    count(s);
}

/* Waits for the turn of the session. */
static int take_turn(struct control_session *s, int64_t off, const _Atomic bool *interrupted)
{
    MUTEX_GUARD(&s->lock);

    if (s->busy && !thread_may_wait())
        return -EWOULDWAIT;
    for (;;) {
        if (interrupted && atomic_load(interrupted)) {
            refuse_turn(s, off);
            return -EINTR;
        }
        if (!s->busy)
            break;
        (void)cond_wait_for(&s->free, &s->lock, LOOK_EVERY);
    }
    s->busy = true;
    if (off >= 0)
        place(s, off);
    begin_replies(s);
    return 0;
}

/* Gives the turn back. `after` is the offset behind the write, where its replies are read; -1: not
 * known. */
static void end_turn(struct control_session *s, int64_t after)
{
    MUTEX_GUARD(&s->lock);
    s->busy = false;
    s->placed = after >= 0;
    s->base = after - (int64_t)s->read;
    cond_signal(&s->free);
}

/* ---- replies ---- */

/* Appends a reply to those of this write, and to those that the session reads. */
static void deliver(struct control_session *s, struct strbuf *all, const struct strbuf *reply)
{
    strbuf_add(all, reply->s, reply->len);
    MUTEX_GUARD(&s->lock);
    strbuf_add(&s->out, reply->s, reply->len);
    count(s);
}

static const char no_room[] =
    "the sessions of the control file keep too many bytes of replies; read those, and close the "
    "sessions";

/* Runs one command. Its reply can be read when this returns. With `only_check` nothing runs, and
 * there is a reply only if the command is wrong. */
static int do_one(struct control_session *s, const struct command *c, bool only_check,
                  struct strbuf *all, const _Atomic bool *interrupted)
{
    struct call call = {.p = s->p,
                        .c = c,
                        .interrupted = interrupted,
                        .head = STRBUF_INIT,
                        .lines = STRBUF_INIT,
                        .why = STRBUF_INIT};
    CLEANUP_STRBUF struct strbuf reply = STRBUF_INIT;
    call.lines.most = LINES_MAX;
    int err = only_check ? control_check(&call) : control_run(&call);
    size_t reserved;

    if (call.lines.full) {
        strbuf_release(&call.lines);
        strbuf_adds(&call.why, "the reply would have more than 16 MiB; ask for less at once");
        err = -E2BIG;
    } else if (call.lines.len && !reserve_lines(s->p, call.lines.len)) {
        strbuf_release(&call.lines);
        strbuf_adds(&call.why, no_room);
        err = err == 0 ? -ENOMEM : err;
    }
    reserved = call.lines.len;
    if (err == 0)
        err = strbuf_error(&call.head) < 0 ? -ENOMEM : strbuf_error(&call.lines);
    if (err < 0)
        command_add_error(&reply, err, c->verb, call.why.len ? call.why.s : "");
    else if (!only_check)
        strbuf_addf(&reply, "ok%s\n", call.head.s);
    strbuf_add(&reply, call.lines.s, call.lines.len);
    strbuf_release(&call.lines);
    if (err != -EWOULDWAIT) /* after -EWOULDWAIT the same write is made again, on another thread */
        deliver(s, all, &reply);
    atomic_fetch_sub(&s->p->control->replies, reserved);
    strbuf_release(&call.head);
    strbuf_release(&call.why);
    return err;
}

/* Keeps the replies of the last completed write for sessions that only read. It takes over the text
 * of `all`. */
static void remember(struct state *p, struct strbuf *all)
{
    char *text = strbuf_detach(all, NULL), *old;

    if (!text)
        return;
    {
        MUTEX_GUARD(&p->control->last_reply_lock);
        old = p->control->last_reply;
        p->control->last_reply = text;
    }
    free(old);
}

/* ---- writing ---- */

/* Replies with an error to the write as a whole. */
static int refuse(struct control_session *s, struct strbuf *all, int err, const char *sentence)
{
    CLEANUP_STRBUF struct strbuf reply = STRBUF_INIT, why = STRBUF_INIT;

    strbuf_adds(&why, sentence);
    command_add_error(&reply, err, "control", why.len ? why.s : "");
    deliver(s, all, &reply);
    return err;
}

/* Stops before the next command once the replies of this write have REPLIES_MAX bytes, which the
 * writer is to read before it writes the rest, or those of all sessions ALL_MAX. */
static int enough_said(struct control_session *s, const struct command *c, struct strbuf *all)
{
    CLEANUP_STRBUF struct strbuf reply = STRBUF_INIT, why = STRBUF_INIT;

    bool full = !has_room(s->p, 0);
    int err = full ? -ENOMEM : -E2BIG;

    if (all->len < REPLIES_MAX && !full)
        return 0;
    strbuf_adds(&why, "not run, nor what follows it: ");
    strbuf_adds(&why, full ? no_room
                           : "the replies of this write have 1 MiB already; read them, then write "
                             "the rest");
    command_add_error(&reply, err, c->verb, why.len ? why.s : "");
    deliver(s, all, &reply);
    return err;
}

/* Runs the commands of a write. All are checked before the first runs, so an error in a line means
 * that nothing ran. */
static ssize_t run_list(struct control_session *s, const struct command_list *l, size_t len,
                        struct strbuf *all, const _Atomic bool *interrupted)
{
    for (size_t i = 0; i < l->count; i++) {
        int err = do_one(s, &l->items[i], true, all, interrupted);
        if (err < 0)
            return err;
    }
    for (size_t i = 0; i < l->count; i++) {
        int err = enough_said(s, &l->items[i], all);

        if (err == 0)
            err = do_one(s, &l->items[i], false, all, interrupted);
        /* A short write of 0 bytes would look like another error, so the error of the first line is
         * returned. */
        if (err < 0)
            return i == 0 ? err : (ssize_t)l->items[i].offset;
    }
    return (ssize_t)len;
}

/* Parses the commands and runs them. Returns what control_write_at returns. */
static ssize_t take_commands(struct control_session *s, const char *buf, size_t len,
                             struct strbuf *all, const _Atomic bool *interrupted)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct command_list list;
    ssize_t n;
    int err;

    if (len > CONTROL_WRITE_MAX)
        return refuse(s, all, -E2BIG, "one write takes at most 64 KiB of commands");
    if (memchr(buf, 0, len))
        return refuse(s, all, -EINVAL, "a command cannot hold a NUL byte");
    err = command_parse(buf, len, &list, &why);
    if (err < 0)
        return refuse(s, all, err, why.len ? why.s : command_usual_sentence(err));
    n = run_list(s, &list, len, all, interrupted);
    command_list_release(&list);
    return n;
}

ssize_t control_write_at(struct control_session *s, const char *buf, size_t len, int64_t off,
                         const _Atomic bool *interrupted)
{
    CLEANUP_STRBUF struct strbuf all = STRBUF_INIT;
    ssize_t n = take_turn(s, off, interrupted);

    if (n < 0)
        return n;
    n = len ? take_commands(s, buf, len, &all, interrupted) : 0;
    if (all.len)
        remember(s->p, &all);
    end_turn(s, off < 0 ? -1 : n < 0 ? off : off + n);
    return n;
}

/* ---- reading ---- */

/* Copies the last reply of the mount into the session. The caller holds s->lock. */
static int copy_last_reply(struct control_session *s)
{
    MUTEX_GUARD(&s->p->control->last_reply_lock);

    const char *last = s->p->control->last_reply;

    if (last && !has_room(s->p, strlen(last)))
        return -ENOMEM;
    s->opened_reply = true;
    if (last)
        strbuf_adds(&s->out, last);
    count(s);
    return strbuf_error(&s->out);
}

ssize_t control_read_at(struct control_session *s, char *buf, size_t len, int64_t off)
{
    size_t n;
    int err;
    MUTEX_GUARD(&s->lock);

    err = !s->wrote && !s->opened_reply ? copy_last_reply(s) : strbuf_error(&s->out);
    if (err < 0)
        return err;
    if (off >= 0)
        place(s, off);
    n = s->out.len - s->read < len ? s->out.len - s->read : len;
    memcpy(buf, s->out.s + s->read, n);
    s->read += n;
    return (ssize_t)n;
}

bool control_may_wait(const char *buf, size_t len)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct command_list list;
    bool waits;

    if (len > CONTROL_WRITE_MAX || memchr(buf, 0, len) || command_parse(buf, len, &list, &why) < 0)
        return false;
    /* a later command cannot return -EWOULDWAIT: the ones before it ran already */
    waits = list.count > 1;
    for (size_t i = 0; i < list.count && !waits; i++) {
        const struct verb *v = control_verb(list.items[i].verb);
        waits = v && (v->waits || v->job != NO_JOB); /* a full queue of jobs makes it wait */
    }
    command_list_release(&list);
    return waits;
}
