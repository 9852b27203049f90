// SPDX-License-Identifier: Apache-2.0
/*
 * import: see the header. The stream is read from the bytes of a write where it has a record as a
 * whole; a record that goes over the end of a write is gathered in `rest`.
 */
#include "import.h"
#include "command.h"
#include "durability.h"
#include "import_feed.h"
#include "import_into.h"
#include "job.h"
#include "load.h"
#include "nowait.h"
#include "ns_draft.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))
#define LINE_MAX_BYTES 4096 /* of the first write */

struct import {
    struct state *p;
    struct vfs_cred cred;
    _Atomic bool busy;        /* a write or a read uses the session */
    struct import_feed *feed; /* from the line on; what follows is its thread's while it works */
    int err;                  /* the first error; all later writes return it */
    bool ended; /* the END has come */
    bool done;
    char *name; /* of the namespace; NULL: no line came yet */
    struct ns *draft;
    bool shown; /* the draft is a namespace now */
    struct import_into into;
    struct load *load;
    struct job *job;
    struct image_stream stream;
    bool opened; /* `stream` has its head */
    uint8_t *rest; /* IMAGE_RECORD_MAX bytes */
    size_t rest_len;
    uint64_t bytes; /* of the stream so far */
    struct strbuf reply;
    size_t read; /* bytes of the reply */
};

int import_open(struct state *p, const struct vfs_cred *cred, struct import **ret_s)
{
    struct import *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->p = p;
    s->cred = *cred;
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
    free(s->rest);
    s->rest = NULL;
}

void import_close(struct import *s)
{
    if (!s)
        return;
    import_feed_close(s->feed);
    give_up(s, -ECANCELED);
    strbuf_release(&s->reply);
    free(s->name);
    free(s);
}

/* ---- replies ---- */

/* The sentence for an error that has none of its own. */
static const char *usual_sentence(int err)
{
    switch (err) {
    case -EUCLEAN:
        return "the stream is damaged";
    case -EPROTO:
        return "the stream was written by a newer version";
    case -EROFS:
        return "the store is read-only; `tally status` says why";
    case -ESHUTDOWN:
        return "the store is being unmounted";
    case -ENOSPC:
        return "no space left on the store's disk";
    case -EDQUOT:
        return "the owner of the store has no disk quota left";
    case -ECANCELED:
        return "the job was cancelled";
    case -EBUSY:
        return "as many imports run as there can be";
    default:
        return strerrordesc_np(-err) ? strerrordesc_np(-err) : "failed";
    }
}

/* Notes the first error, and drops the draft. Returns it. */
static int fail(struct import *s, int err, const struct strbuf *why)
{
    s->err = err;
    strbuf_addf(&s->reply, "error %s import: ", command_errno_name(-err));
    for (const char *c = why->len ? why->s : usual_sentence(err); *c; c++)
        strbuf_add(&s->reply, *c == '\n' ? "?" : c, 1);
    strbuf_adds(&s->reply, "\n");
    give_up(s, err);
    return err;
}

/* ---- the line ---- */

/* Can it be the name of a namespace? Says what is wrong with it. */
static int check_name(const char *name, struct strbuf *why)
{
    int err = command_namespace(name);

    if (err < 0) {
        command_add_word(why, name);
        strbuf_adds(why, " cannot be the name of a namespace");
    }
    return err;
}

static bool is_there(struct import *s)
{
    struct ns *ns;

    if (ns_get_by_name(s->p, s->name, &ns) < 0)
        return false;
    ns_put(s->p, ns);
    return true;
}

static int begin_new(struct import *s)
{
    int err = ns_draft(s->p, s->name, &s->draft);

    return err == 0 ? load_open(s->p, s->draft, &s->cred, &s->load) : err;
}

static int begin_into(struct import *s, const char *path, struct strbuf *why)
{
    int err = import_into_begin(s->p, s->name, &s->into, &s->draft, why);

    return err == 0 ? load_open_at(s->p, s->draft, &s->cred, path, &s->load, why) : err;
}

/* Begins the job and the draft, for NS or NS/PATH. */
static int begin(struct import *s, const char *target, struct strbuf *why)
{
    size_t len = strcspn(target, "/");
    int err;

    s->name = strndup(target, len);
    s->rest = malloc(IMAGE_RECORD_MAX);
    if (!s->name || !s->rest)
        return -ENOMEM;
    err = check_name(s->name, why);
    if (err == 0)
        err = state_writable(s->p);
    if (err == 0)
        err = job_start(s->p, "import", target, &s->job);
    if (err < 0)
        return err;
    return target[len] || is_there(s) ? begin_into(s, target + len, why) : begin_new(s);
}

/* Is it the line `import NS[/PATH]`? */
static bool is_line(const struct command_list *list)
{
    const struct command *c = list->items;

    return list->count == 1 && strcmp(c->verb, "import") == 0 && c->nargs == 1 &&
           c->noptions == 0 && !c->wait;
}

/* Takes the line `import NS[/PATH]`. */
static int take_line(struct import *s, const char *buf, size_t len, struct strbuf *why)
{
    struct command_list list;
    int err;

    if (len > LINE_MAX_BYTES || memchr(buf, 0, len) || buf[len - 1] != '\n') {
        strbuf_adds(why, "the first write is a line: import NS[/PATH]");
        return -EINVAL;
    }
    err = command_parse(buf, len, &list, why);
    if (err < 0)
        return err;
    if (!is_line(&list)) {
        strbuf_adds(why, "the first write is a line: import NS[/PATH]");
        err = -EINVAL;
    }
    if (err == 0)
        err = begin(s, list.items[0].args[0].text, why);
    command_list_release(&list);
    return err;
}

/* ---- the stream ---- */

/* Makes the draft a namespace. */
static int publish(struct import *s, uint64_t *ret_seq, struct strbuf *why)
{
    int err = ns_draft_publish(s->p, s->draft, s->name);

    if (err == -EEXIST) {
        command_add_word(why, s->name);
        strbuf_adds(why, " exists by now");
    }
    s->shown = err == 0;
    *ret_seq = s->draft->seq;
    return err;
}

/* All has come: it is made durable, and seen. */
static int finish(struct import *s, struct strbuf *why)
{
    struct load_result r;
    uint64_t seq = 0;
    int err = s->into.ours ? import_into_merge(s->p, &s->into, s->draft, &s->job->cancel, &seq, why)
                           : publish(s, &seq, why);

    if (err < 0)
        return err;
    load_get_result(s->load, &r);
    s->done = true;
    err = flush_sync(s->p);
    if (err < 0) {
        command_add_word(why, s->name);
        strbuf_adds(why, " has it, and it could not be made durable");
        return err;
    }
    strbuf_adds(&s->reply, "ok ns=");
    command_add_word(&s->reply, s->name);
    strbuf_addf(&s->reply, " inodes=%llu files=%llu bytes=%llu stored=%llu seq=%llu\n", U(r.inodes),
                U(r.files), U(r.bytes), U(r.stored), U(seq));
    give_up(s, 0);
    return strbuf_error(&s->reply);
}

/* Is the work to end? 0, or why. */
static int look(const struct import *s)
{
    if (atomic_load(&s->p->closing))
        return -ESHUTDOWN;
    return atomic_load(&s->job->cancel) ? -ECANCELED : 0;
}

/* Takes the head or a record at the front of the bytes. *ret_used: how many it has; 0: it is not
 * all there. */
static int take_one(struct import *s, const uint8_t *buf, size_t len, size_t *ret_used,
                    struct strbuf *why)
{
    struct image_record r;
    int err;

    *ret_used = 0;
    if (!s->opened) {
        err = image_open(&s->stream, buf, len);
        s->opened = err == 0;
        *ret_used = err == 0 ? IMAGE_HEAD : 0;
        return err == -EAGAIN ? 0 : err;
    }
    err = image_next(&s->stream, buf, len, ret_used, &r);
    if (err < 0)
        return err == -EAGAIN ? 0 : err;
    err = load_take(s->load, &r, why);
    s->ended = r.type == IMAGE_END;
    return err;
}

/* Takes what is whole of the bytes. *ret_used: how many. */
static int take_whole(struct import *s, const uint8_t *buf, size_t len, size_t *ret_used,
                      struct strbuf *why)
{
    size_t used = 1;
    int err = 0;

    *ret_used = 0;
    while (err == 0 && !s->ended && used > 0) {
        err = look(s);
        if (err == 0)
            err = take_one(s, buf + *ret_used, len - *ret_used, &used, why);
        *ret_used += used;
    }
    return err;
}

/* How many bytes `rest` is to have: of a record once its size is known. */
static size_t rest_size(const struct import *s)
{
    if (!s->opened)
        return IMAGE_HEAD;
    return s->rest_len < IMAGE_PEEK ? IMAGE_PEEK : image_size(s->rest);
}

/* Appends to `rest` up to `size` bytes in all. */
static void fill_rest(struct import *s, size_t size, const uint8_t **buf, size_t *len)
{
    size_t n = size - s->rest_len < *len ? size - s->rest_len : *len;

    memcpy(s->rest + s->rest_len, *buf, n);
    s->rest_len += n;
    *buf += n;
    *len -= n;
}

/* Completes the record in `rest` from the front of the bytes, if they have enough of it. */
static int take_rest(struct import *s, const uint8_t **buf, size_t *len, struct strbuf *why)
{
    size_t used;
    int err;

    if (s->rest_len == 0)
        return 0;
    while (*len > 0 && s->rest_len < rest_size(s)) /* the second time its size is known */
        fill_rest(s, rest_size(s), buf, len);
    err = take_one(s, s->rest, s->rest_len, &used, why);
    if (err == 0 && used > 0)
        s->rest_len = 0;
    return err;
}

static int take_stream(struct import *s, const uint8_t *buf, size_t len, struct strbuf *why)
{
    size_t used;
    int err;

    s->bytes += len;
    err = take_rest(s, &buf, &len, why);
    if (err < 0 || s->rest_len > 0)
        return err;
    err = take_whole(s, buf, len, &used, why);
    if (err < 0)
        return err;
    if (s->ended && used < len) {
        strbuf_adds(why, "bytes follow the end of the stream");
        return -EINVAL;
    }
    if (s->ended)
        return finish(s, why);
    memcpy(s->rest, buf + used, len - used);
    s->rest_len = len - used;
    job_progress_bytes(s->p, s->job, s->bytes, 0);
    return 0;
}

/* ---- calls ---- */

/* Works off bytes of the stream, in the thread of the feed. */
static int take(void *ctx, const uint8_t *buf, size_t len)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct import *s = ctx;
    int err;

    if (s->done)
        return -EINVAL; /* there is nothing behind the end */
    err = take_stream(s, buf, len, &why);
    return err < 0 && (!s->done || s->draft) ? fail(s, err, &why) : err;
}

/* Takes the first write. */
static int take_first(struct import *s, const char *buf, size_t len)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    int err;

    if (s->err < 0)
        return s->err;
    if (!thread_may_wait())
        return -EWOULDWAIT;
    err = take_line(s, buf, len, &why);
    if (err == 0)
        err = import_feed_open(take, s, &s->feed);
    return err < 0 ? fail(s, err, &why) : 0;
}

/* Takes a write of the stream. With the last one it waits for all that the session does. */
static int take_more(struct import *s, const char *buf, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)buf;

    return import_feed_put(s->feed, bytes, len, image_may_end(bytes, len));
}

ssize_t import_write(struct import *s, const char *buf, size_t len)
{
    int err;

    if (atomic_exchange(&s->busy, true))
        return -EBUSY;
    err = len == 0 ? 0 : s->feed ? take_more(s, buf, len) : take_first(s, buf, len);
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
