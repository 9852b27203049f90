// SPDX-License-Identifier: Apache-2.0
/* export: see the header. A read makes the records that it needs, in the thread of the reader: so
 * nothing is made ahead, and a session that nobody reads takes only memory and the frozen trees. */
#include "export.h"
#include "command.h"
#include "command_error.h"
#include "digest.h"
#include "job.h"
#include "noted.h"
#include "ns_branch.h"
#include "ns_draft.h"
#include "ns_find.h"
#include "save.h"
#include "state.h"
#include "vfs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_MAX_BYTES (128 * 1024) /* of the first write */

/* A tree that is sent, or the base. */
struct exported {
    struct ns *ns; /* as it was named; NULL: none */
    struct ns *frozen; /* a draft of it; NULL: the store takes no changes */
    uint8_t digest[SHA256_LEN];
};

enum export_stage { EXPORT_LINE, EXPORT_HEAD, EXPORT_RECORDS, EXPORT_ENDED, EXPORT_FAILED };

struct export_session {
    struct state *p;
    _Atomic bool busy; /* a call uses the session */
    enum export_stage stage;
    const char *verb; /* of the line; static */
    char *spec;       /* what people call what is sent */
    struct exported base, tree;
    struct save *save;
    struct job *job;
    const _Atomic bool *interrupted; /* of the present read */
    uint64_t bytes;                  /* that were read */
    struct strbuf reply;             /* after an error */
    size_t read;                     /* bytes of it */
    int late; /* an error that the next read returns, since the last one gave bytes; 0: none */
};

int export_open(struct state *p, struct export_session **ret_s)
{
    struct export_session *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->p = p;
    s->verb = "send";
    s->reply = (struct strbuf)STRBUF_INIT;
    *ret_s = s;
    return 0;
}

static void exported_release(struct state *p, struct exported *x)
{
    if (x->frozen)
        ns_draft_drop(p, x->frozen);
    ns_put(p, x->ns);
    *x = (struct exported){.ns = NULL};
}

/* Gives up what the session has, and ends its job. */
static void give_up(struct export_session *s, int err)
{
    save_close(s->save);
    s->save = NULL;
    exported_release(s->p, &s->base);
    exported_release(s->p, &s->tree);
    if (s->job)
        job_end(s->p, s->job, err);
    s->job = NULL;
}

void export_close(struct export_session *s)
{
    if (!s)
        return;
    give_up(s, -ECANCELED);
    strbuf_release(&s->reply);
    free(s->spec);
    free(s);
}

/* ---- errors ---- */

/* Makes the sentence, which is `why`, or save_why, and ends the session. Returns the
 * error. */
static int fail(struct export_session *s, int err, const char *why)
{
    if (!*why && s->save)
        why = save_why(s->save);
    if (!*why && err == -EIO)
        why = "bytes of it are damaged or cannot be read";
    command_add_error(&s->reply, err, s->verb, why);
    s->stage = EXPORT_FAILED;
    give_up(s, err);
    return err;
}

/* ---- the line ---- */

/* Splits NS@A..B into NS@A, and NS@B or NS. False: it is no such thing. The caller frees both. */
static bool split(const char *spec, char **ret_a, char **ret_b)
{
    const char *at = strrchr(spec, '@'), *dots = at ? strstr(at, "..") : NULL;

    if (!dots || dots == at + 1)
        return false;
    *ret_a = strndup(spec, (size_t)(dots - spec));
    *ret_b = NULL;
    if (dots[2] && asprintf(ret_b, "%.*s@%s", (int)(at - spec), spec, dots + 2) < 0)
        *ret_b = NULL;
    else if (!dots[2])
        *ret_b = strndup(spec, (size_t)(at - spec));
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_digest(const char *text, uint8_t ret[SHA256_LEN])
{
    if (strlen(text) != (size_t)2 * SHA256_LEN)
        return -EINVAL;
    for (size_t i = 0; i < SHA256_LEN; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return -EINVAL;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

/* Finds a namespace. Adds a sentence to `why` if there is none. */
static int find(struct export_session *s, const char *spec, struct exported *x, struct strbuf *why)
{
    int err = spec ? ns_find(s->p, spec, &x->ns) : -ENOMEM;

    if (err == -EINVAL)
        err = -ENOENT; /* it could be no name of one */
    if (err == -ENOENT) {
        strbuf_adds(why, strchr(spec, '@') ? "there is no snapshot " : "there is no namespace ");
        command_add_word(why, spec);
    }
    if (err < 0 || !x->ns->target)
        return err;
    command_add_word(why, spec);
    strbuf_adds(why, " is a symbolic link, not a namespace");
    return -EINVAL;
}

static int find_both(struct export_session *s, const char *spec, struct strbuf *why)
{
    char *a = NULL, *b = NULL;
    struct ns *whole;
    int err;

    if (ns_find(s->p, spec, &whole) == 0) {
        ns_put(s->p, whole);
        return find(s, spec, &s->tree, why);
    }
    if (!split(spec, &a, &b))
        return find(s, spec, &s->tree, why);
    err = find(s, a, &s->base, why);
    if (err == 0)
        err = find(s, b, &s->tree, why);
    free(a);
    free(b);
    return err;
}

/* Each tree is a draft, of which imports need some, too. */
static int check_room(struct export_session *s, struct strbuf *why)
{
    if (ns_count_drafts(s->p) < NS_DRAFTS_MAX / 2)
        return 0;
    strbuf_adds(why, "as many exports and imports run as there can be");
    return -EBUSY;
}

/* From now on the tree does not change. */
static int freeze(struct export_session *s, struct exported *x)
{
    if (!x->ns || atomic_load(&s->p->readonly))
        return 0;
    return ns_draft_of(s->p, x->ns, &x->frozen);
}

static struct ns *tree_of(const struct exported *x)
{
    return x->frozen ? x->frozen : x->ns;
}

/* Reads digests, of which the other side has the trees, and finds the base among them. */
static int find_among(struct export_session *s, const struct command *c, struct strbuf *why)
{
    uint8_t(*sums)[SHA256_LEN] = calloc(c->nargs, sizeof *sums);
    int err = sums ? 0 : -ENOMEM;

    for (size_t i = 1; i < c->nargs && err == 0; i++)
        err = parse_digest(c->args[i].text, sums[i - 1]);
    if (err == -EINVAL)
        strbuf_adds(why, "a digest has 64 hexadecimal digits");
    if (err == 0 && c->nargs > 1 && !s->base.ns)
        err = digest_find_among(s->p, s->tree.ns, sums, c->nargs - 1, &s->base.ns);
    free(sums);
    return err == -ENOENT ? 0 : err;
}

/* Freezes both trees, and begins the job. */
static int begin_saving(struct export_session *s, const char *spec)
{
    int err = (s->spec = strdup(spec)) ? freeze(s, &s->base) : -ENOMEM;

    if (err == 0)
        err = freeze(s, &s->tree);
    if (err == 0)
        err = job_start(s->p, s->verb, spec, &s->job);
    if (err == 0)
        err = save_open(s->p, tree_of(&s->base), tree_of(&s->tree), &s->job->cancel, &s->save);
    return err;
}

static int begin_send(struct export_session *s, const struct command *c, struct strbuf *why)
{
    int err = find_both(s, c->args[0].text, why);

    if (err == 0)
        err = find_among(s, c, why);
    return err == 0 ? begin_saving(s, c->args[0].text) : err;
}

/* Finds the directory of the frozen tree that is exported. */
static int find_top(struct export_session *s, const char *path, uint64_t *ret_node,
                    struct strbuf *why)
{
    struct vfs_attr a;
    int err = digest_find(s->p, tree_of(&s->tree), path, ret_node);

    if (err == 0)
        err = vfs_getattr(s->p, *ret_node, &a);
    if (err == 0 && !S_ISDIR(a.mode))
        err = -ENOTDIR;
    if (err == -ENOENT || err == -ENOTDIR) {
        strbuf_adds(why, err == -ENOENT ? "there is no " : "");
        command_add_word(why, s->spec);
        strbuf_adds(why, err == -ENOENT ? "" : " is not a directory");
    }
    return err;
}

static int begin_export(struct export_session *s, const struct command *c, struct strbuf *why)
{
    const char *spec = c->args[0].text, *path = "";
    size_t ns_len = strlen(spec);
    uint64_t top;
    char *name;
    int err = strchr(spec, '/') ? command_path(spec, &ns_len, &path) : 0;

    if (err < 0) {
        command_add_word(why, spec);
        strbuf_adds(why, " is not of the form NS/PATH");
        return err;
    }
    name = strndup(spec, ns_len);
    err = find(s, name, &s->tree, why);
    free(name);
    if (err == 0)
        err = begin_saving(s, spec);
    if (err == 0)
        err = find_top(s, path, &top, why);
    if (err == 0)
        save_for_program(s->save, top);
    return err;
}

static bool is_for_program(const struct export_session *s)
{
    return strcmp(s->verb, "export") == 0;
}

/* Notes the verb of the line. False: it is none of the lines that there are. */
static bool take_verb(struct export_session *s, const struct command_list *list)
{
    const struct command *c = list->items;
    const bool is_export = list->count == 1 && strcmp(c->verb, "export") == 0;
    const bool is_send = list->count == 1 && strcmp(c->verb, "send") == 0;

    if (is_export)
        s->verb = "export";
    return ((is_export && c->nargs == 1) || (is_send && c->nargs >= 1)) && c->noptions == 0 &&
           !c->wait;
}

static int take_line(struct export_session *s, const char *buf, size_t len, struct strbuf *why)
{
    static const char form[] = "the first write is a line: send NS[@A..B], or export NS[/PATH]";
    struct command_list list;
    int err = -EINVAL;

    if (s->stage != EXPORT_LINE || len == 0 || len > LINE_MAX_BYTES || memchr(buf, 0, len) ||
        buf[len - 1] != '\n') {
        strbuf_adds(why, s->stage == EXPORT_LINE ? form : "there is one line only");
        return err;
    }
    err = command_parse(buf, len, &list, why);
    if (err < 0)
        return err;
    if (take_verb(s, &list)) {
        err = check_room(s, why);
        if (err == 0)
            err = is_for_program(s) ? begin_export(s, list.items, why)
                                    : begin_send(s, list.items, why);
        if (err == 0)
            s->stage = EXPORT_HEAD;
    } else {
        strbuf_adds(why, form);
        err = -EINVAL;
    }
    command_list_release(&list);
    return err;
}

/* ---- the stream ---- */

static int on_digest(const struct digest *so_far, void *ctx)
{
    const struct export_session *s = ctx;

    (void)so_far;
    if (atomic_load(s->interrupted))
        return -EINTR;
    if (atomic_load(&s->p->closing))
        return -ESHUTDOWN;
    return atomic_load(&s->job->cancel) ? -ECANCELED : 0;
}

static int make_digest(struct export_session *s, struct exported *x)
{
    return x->ns ? digest_known(s->p, x->ns, tree_of(x), on_digest, s, x->digest) : 0;
}

/* What the stream is called: no other one has this name, unless it has the same bytes. */
static void make_label(struct export_session *s, char out[IMAGE_LABEL_MAX + 1])
{
    struct ns_instant base = {0}, tree;

    READ_GUARD(&s->p->names.lock);
    if (s->base.ns)
        base = ns_now(tree_of(&s->base));
    tree = ns_now(tree_of(&s->tree));
    snprintf(out, IMAGE_LABEL_MAX + 1, "%.600s %llx %u.%u@%llu..%llu", s->spec,
             (unsigned long long)s->p->created, tree.ns, tree.generation,
             (unsigned long long)base.seq, (unsigned long long)tree.seq);
}

static int make_head(struct export_session *s)
{
    char label[IMAGE_LABEL_MAX + 1];
    int err;

    s->stage = EXPORT_RECORDS;
    if (is_for_program(s))
        return save_begin(s->save, NULL, "");
    err = make_digest(s, &s->base);
    make_label(s, label);
    return err == 0 ? save_begin(s->save, s->base.digest, label) : err;
}

static int make_end(struct export_session *s)
{
    int err = is_for_program(s) ? 0 : make_digest(s, &s->tree);

    if (err == 0)
        err = save_end(s->save, s->tree.digest);
    s->stage = EXPORT_ENDED;
    return err;
}

/* Makes the next records, or the end. */
static int make_some(struct export_session *s)
{
    int err;

    if (s->stage == EXPORT_HEAD)
        return make_head(s);
    err = save_step(s->save);
    return err == -ENOENT ? make_end(s) : err;
}

/* Copies what was made. */
static size_t take_made(struct export_session *s, char *buf, size_t len)
{
    size_t have;
    const uint8_t *bytes = save_bytes(s->save, &have);

    len = have < len ? have : len;
    if (len)
        memcpy(buf, bytes, len);
    save_taken(s->save, len);
    return len;
}

/* Once all was read nothing is kept frozen for the rest of the session. After an error the bytes
 * before it are given, and s->late is set. */
static ssize_t read_stream(struct export_session *s, char *buf, size_t len)
{
    size_t n = take_made(s, buf, len), left;
    int err = 0;

    while (err == 0 && n < len && s->stage != EXPORT_ENDED) {
        err = make_some(s);
        if (err == 0)
            n += take_made(s, buf + n, len - n);
    }
    if (err < 0) {
        s->late = fail(s, err, "");
        return (ssize_t)n;
    }
    s->bytes += n;
    job_progress_bytes(s->p, s->job, s->bytes, 0);
    (void)save_bytes(s->save, &left);
    if (s->stage == EXPORT_ENDED && left == 0)
        give_up(s, 0);
    return (ssize_t)n;
}

static ssize_t read_reply(struct export_session *s, char *buf, size_t len)
{
    size_t n = s->reply.len - s->read < len ? s->reply.len - s->read : len;

    if (n)
        memcpy(buf, s->reply.s + s->read, n);
    s->read += n;
    return (ssize_t)n;
}

static ssize_t read_some(struct export_session *s, char *buf, size_t len)
{
    ssize_t n = 0;
    int err;

    if (s->stage == EXPORT_LINE)
        return -EINVAL;
    if (s->stage == EXPORT_FAILED && !s->late)
        return read_reply(s, buf, len);
    if (s->save)
        n = read_stream(s, buf, len);
    err = n == 0 ? s->late : 0;
    if (err < 0)
        s->late = 0;
    return err < 0 ? err : n;
}

/* ---- calls ---- */

ssize_t export_write(struct export_session *s, const char *buf, size_t len)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    int err;

    if (atomic_exchange(&s->busy, true))
        return -EBUSY;
    err = s->stage == EXPORT_FAILED ? -EINVAL : take_line(s, buf, len, &why);
    if (err < 0 && s->stage != EXPORT_FAILED)
        err = fail(s, err, why.s);
    atomic_store(&s->busy, false);
    return err < 0 ? err : (ssize_t)len;
}

ssize_t export_read(struct export_session *s, char *buf, size_t len,
                    const _Atomic bool *interrupted)
{
    ssize_t n;

    if (atomic_exchange(&s->busy, true))
        return -EBUSY;
    s->interrupted = interrupted;
    n = read_some(s, buf, len);
    atomic_store(&s->busy, false);
    return n;
}
