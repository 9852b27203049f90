// SPDX-License-Identifier: Apache-2.0
/* control_digest: the verb digest, which makes one sum of a tree, in a job. */
#include "control_impl.h"
#include "digest.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* What a job reads. */
struct asked {
    struct ns *ns; /* referenced */
    char *path;    /* owned; below its top */
};

static void asked_free(struct state *p, struct asked *a)
{
    ns_put(p, a->ns);
    free(a->path);
    free(a);
}

static void not_begun(struct state *p, void *arg, int err)
{
    (void)err;
    asked_free(p, arg);
}

/* How many inodes there are to be read; 0: that is not known. */
static uint64_t total_of(struct asked *a)
{
    READ_GUARD(&a->ns->lock);

    return a->ns->counted && !*a->path ? a->ns->tree.usage.inodes : 0;
}

struct progress {
    struct state *p;
    struct job *j;
    uint64_t total;
};

static int on_progress(const struct digest *so_far, void *ctx)
{
    const struct progress *at = ctx;

    job_progress(at->p, at->j, so_far->inodes, at->total);
    return job_pause(at->p, at->j, 0);
}

static int say(struct state *p, struct job *j, const struct digest *d)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int err;

    strbuf_adds(&text, "digest=");
    for (size_t i = 0; i < sizeof d->sum; i++)
        strbuf_addf(&text, "%02x", d->sum[i]);
    strbuf_addf(&text, " inodes=%llu bytes=%llu", U(d->inodes), U(d->bytes));
    err = strbuf_error(&text);
    if (err == 0)
        job_result(p, j, text.s);
    return err;
}

/* On a worker. */
static int digest_job(struct state *p, struct job *j, void *arg)
{
    struct asked *a = arg;
    struct progress at = {p, j, total_of(a)};
    struct digest d;
    int err = digest_tree(p, a->ns, a->path, on_progress, &at, &d);

    asked_free(p, a);
    if (err == -ESTALE || err == -ENOENT)
        job_result(p, j, "digest=none why=\"it was dropped or removed meanwhile\"");
    return err < 0 ? err : say(p, j, &d);
}

/* Splits NS[/PATH], and finds both. The caller owns *ret. */
static int ask(struct call *call, const char *spec, struct asked **ret)
{
    struct asked *a = calloc(1, sizeof *a);
    size_t ns_len = strlen(spec);
    const char *path = "";
    uint64_t node;
    char *name;
    int err = a ? 0 : -ENOMEM;

    if (err == 0 && strchr(spec, '/') && command_path(spec, &ns_len, &path) < 0)
        err = control_fail_word(call, -EINVAL, "%s is not of the form NS/PATH", spec);
    name = err == 0 ? strndup(spec, ns_len) : NULL;
    if (err == 0)
        err = name ? control_find_ns(call, name, &a->ns) : -ENOMEM;
    free(name);
    if (err == 0) {
        err = digest_find(call->p, a->ns, path, &node);
        if (err == -ENOENT)
            err = control_fail_word(call, err, "there is no %s", spec);
    }
    if (err == 0) {
        a->path = strdup(path);
        err = a->path ? 0 : -ENOMEM;
    }
    if (err < 0 && a)
        asked_free(call->p, a);
    else if (err == 0)
        *ret = a;
    return err;
}

/* digest NS[/PATH] [wait] */
int control_digest(struct call *call)
{
    struct job_work w = {.fn = digest_job, .dropped = not_begun, .prompt = true};
    struct asked *a = NULL;
    struct job *j;
    uint64_t number;
    int err = ask(call, control_arg(call, 0), &a);

    if (err < 0)
        return err;
    err = job_start(call->p, "digest", control_arg(call, 0), &j);
    if (err < 0) {
        asked_free(call->p, a);
        return err;
    }
    w.arg = a;
    number = j->number;
    err = job_run(call->p, j, &w, -1, call->interrupted);
    return err < 0 ? err : control_started(call, number);
}
