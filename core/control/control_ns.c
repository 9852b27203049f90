// SPDX-License-Identifier: Apache-2.0
/* control_ns: the verbs branch and drop. */
#include "control_impl.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_label.h"
#include "job.h"
#include "kept.h"
#include "ttl.h"
#include <errno.h>
#include <time.h>

#define U(x) ((unsigned long long)(x))
/* Says why that is no name of a namespace. */
static int not_a_name(struct call *call, const char *name, int err)
{
    if (err == -ENAMETOOLONG)
        return control_fail(call, err, "the name of a namespace has at most 255 bytes");
    return err < 0 ? control_fail_word(call, err, "%s cannot be the name of a namespace", name) : 0;
}

/* Can there be a namespace of that name? -ENAMETOOLONG, -EINVAL, with a sentence. */
static int check_namespace(struct call *call, const char *name)
{
    return not_a_name(call, name, command_namespace(name));
}

/* Can something be called so (ns_find.h)? -ENAMETOOLONG, -EINVAL, with a sentence. */
static int check_spec(struct call *call, const char *spec)
{
    return strchr(spec, '@') && strlen(spec) <= 2 * VFS_NAME_MAX + 1 && !strchr(spec, '/')
               ? 0
               : check_namespace(call, spec);
}

/* Says why there is no branch. */
static int not_branched(struct call *call, const char *from, const char *to, int err)
{
    if (err == -ENOENT)
        return control_fail_word(call, err,
                                 strchr(from, '@') ? "there is no snapshot %s"
                                                   : "there is no namespace %s",
                                 from);
    if (err == -EEXIST)
        return control_fail_word(call, err, "%s exists already", to);
    if (err == -EINVAL)
        return control_fail_word(call, err, "%s is a symbolic link, not a namespace", from);
    if (err == -EMFILE)
        return control_fail(call, err, "there are as many namespaces as there can be");
    return err;
}

/* Notes when the new branch ends. One that somebody has dropped already has no end to note. */
static int end_branch(struct call *call, uint32_t number, const char *to, int64_t ttl)
{
    struct ns *ns;
    int64_t until = now(call->p) + ttl;
    int err = ns_get(call->p, number, &ns);

    if (err < 0)
        return 0;
    err = ttl_set(call->p, ns, until);
    ns_put(call->p, ns);
    if (err < 0)
        return control_fail_word(call, err, "%s was made, but not that it ends by itself", to);
    strbuf_adds(&call->head, " until=");
    strbuf_add_time(&call->head, until);
    return 0;
}

/* branch NS NS2 [ttl=DUR]: a new namespace that is as NS is at this moment. */
int control_branch(struct call *call)
{
    const char *from = control_arg(call, 0), *to = control_arg(call, 1);
    const char *given = command_option(call->c, "ttl");
    int64_t ttl = 0;
    uint32_t number;
    uint64_t seq;
    int err = check_spec(call, from);

    if (err == 0)
        err = not_a_name(call, to, ns_check_new_name(to));
    if (err == 0 && given)
        err = control_duration(call, given, &ttl);
    if (err == 0)
        err = control_may_change(call);
    if (err < 0)
        return err;
    err = ns_branch(call->p, from, to, &seq, &number);
    if (err < 0)
        return not_branched(call, from, to, err);
    strbuf_adds(&call->head, " ns=");
    command_add_word(&call->head, to);
    strbuf_addf(&call->head, " seq=%llu", U(seq));
    return ttl > 0 ? end_branch(call, number, to, ttl) : 0;
}

/* The kernel reports the close of a file after close(2) has returned. So right after the last close
 * a file may still seem to be open. A drop without `force` waits for that a short time. *ret_open:
 * files that are open still. */
static int wait_for_closes(struct call *call, struct ns *ns, uint32_t *ret_open)
{
    for (unsigned i = 0; (*ret_open = ns_open_files(ns)); i++) {
        if (i == RELEASE_LOOKS)
            return -EBUSY;
        if (call->interrupted && atomic_load(call->interrupted))
            return control_fail(call, -EINTR, "interrupted; nothing was dropped");
        (void)nanosleep(&(struct timespec){.tv_nsec = RELEASE_LOOK_NS}, NULL);
    }
    return 0;
}

/* Says why the namespace is not dropped. */
static int not_dropped(struct call *call, const char *name, uint32_t open, int err)
{
    if (err == -ENOENT)
        return control_fail_word(call, err, "there is no namespace %s", name);
    if (err == -EBUSY && !open)
        return control_fail_word(
            call, err, "%s is a snapshot that is held, or has one: `tally unhold` first", name);
    if (err == -EBUSY)
        return control_fail(call, err,
                            "%u file%s open in it; `tally drop --force` drops it "
                            "nevertheless (in .tally/control: drop NS force)",
                            open, open == 1 ? " is" : "s are");
    return err;
}

/* What a drop is asked to do. */
struct drop_call {
    const char *name;
    bool force, now;
    uint32_t open;     /* files that are open */
    enum ns_kind kind; /* of the namespace when it was found */
};

static int read_drop(struct call *call, struct drop_call *ret)
{
    *ret = (struct drop_call){.name = control_arg(call, 0)};
    for (size_t i = 1; i < call->c->nargs; i++) {
        bool *word = control_is_keyword(call, i, "force") ? &ret->force
                     : control_is_keyword(call, i, "now") ? &ret->now
                                                          : NULL;
        if (!word || *word)
            return control_fail_word(call, -EINVAL,
                                     "after the namespace come force and now, not %s",
                                     control_arg(call, i));
        *word = true;
    }
    return check_spec(call, ret->name);
}

static int to_trash(struct call *call, struct ns *ns, struct drop_call *d)
{
    char label[NS_LABEL_MAX];
    struct ns_hidden hidden;
    int err = ns_trash(call->p, ns, d->force, &d->open);

    if (err < 0)
        return err;
    {
        READ_GUARD(&call->p->names.lock);
        hidden = ns->hidden;
    }
    ns_label(call->p, ns, label);
    strbuf_adds(&call->head, " kept=");
    command_add_word(&call->head, label);
    strbuf_adds(&call->head, " until=");
    strbuf_add_time(&call->head, kept_until(call->p, &hidden));
    return 0;
}

/* The job exists before the drop, so that it can be shown from the first moment. What is refused
 * takes no number of a job, unless a file is opened just then. */
static int drop_now(struct call *call, struct ns *ns, struct drop_call *d)
{
    struct job *j;
    int err = job_start(call->p, "drop", d->name, &j);
    uint64_t number;

    if (err < 0)
        return err;
    number = j->number;
    err = ns_remove(call->p, ns, d->kind, d->force, &d->open);
    if (err < 0) {
        job_withdraw(call->p, j, err);
        return err;
    }
    job_drop_queued(call->p, j);
    strbuf_addf(&call->head, " queued_bytes=%zu job=%llu",
                drops_left(call->p->drops) * PAGE_SIZE_BYTES, U(number));
    /* the dropper may be done already, and then nothing else would end the job */
    jobs_drops_done(call->p);
    return 0;
}

/* drop NS [force] [now] */
int control_drop(struct call *call)
{
    CLEANUP_STRBUF struct strbuf lost = STRBUF_INIT;
    struct drop_call d;
    struct ns *ns;
    int err = read_drop(call, &d);

    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = control_find_ns(call, d.name, &ns);
    if (err < 0)
        return err;
    {
        READ_GUARD(&call->p->names.lock);
        d.kind = ns->hidden.kind;
    }
    if (!d.force)
        err = wait_for_closes(call, ns, &d.open);
    if (err == 0 && (d.kind == NS_VISIBLE || d.kind == NS_TRASH))
        err = control_add_only_here(call, ns, &lost);
    if (err == 0)
        err = !d.now && d.kind == NS_VISIBLE && ns_goes_to_trash(call->p, ns)
                  ? to_trash(call, ns, &d)
                  : drop_now(call, ns, &d);
    ns_put(call->p, ns);
    if (err == 0)
        strbuf_adds(&call->head, lost.s);
    return err < 0 ? not_dropped(call, d.name, d.open, err) : 0;
}
