// SPDX-License-Identifier: Apache-2.0
/* control_ns: the verbs branch and drop. */
#include "control_impl.h"
#include "job.h"
#include <errno.h>
#include <time.h>

#define U(x) ((unsigned long long)(x))
/* how often a drop looks whether the last file is closed */
#define RELEASE_LOOKS 60
/* ns between two such looks */
#define RELEASE_LOOK_NS (5 * NSEC_PER_MSEC)

/* Can this be the name of a namespace? -ENAMETOOLONG, -EINVAL, with a sentence. */
static int check_namespace(struct call *call, const char *name)
{
    int err = command_namespace(name);

    if (err == -ENAMETOOLONG)
        return control_fail(call, err, "the name of a namespace has at most 255 bytes");
    return err < 0 ? control_fail_word(call, err, "%s cannot be the name of a namespace", name) : 0;
}

/* branch NS NS2: a new namespace that is as NS is at this moment. */
int control_branch(struct call *call)
{
    const char *from = control_arg(call, 0), *to = control_arg(call, 1);
    uint32_t number;
    uint64_t seq;
    int err = check_namespace(call, from);

    if (err == 0)
        err = check_namespace(call, to);
    if (err == 0)
        err = control_may_change(call);
    if (err < 0)
        return err;
    err = ns_branch(call->p, from, to, &seq, &number);
    if (err == -ENOENT)
        return control_fail_word(call, err, "there is no namespace %s", from);
    if (err == -EEXIST)
        return control_fail_word(call, err, "%s exists already", to);
    if (err == -EINVAL)
        return control_fail_word(call, err, "%s is a symbolic link, not a namespace", from);
    if (err == -EMFILE)
        return control_fail(call, err, "there are as many namespaces as there can be");
    if (err == 0) {
        strbuf_adds(&call->head, " ns=");
        command_add_word(&call->head, to);
        strbuf_addf(&call->head, " seq=%llu", U(seq));
    }
    return err;
}

/* Is there such a namespace, and can it be dropped? The kernel reports the close of a file after
 * close(2) has returned. So right after the last close a file may still seem to be open. A drop
 * without `force` waits for that a short time. *ret_open: files that are open still. */
static int look_first(struct call *call, const char *name, bool force, uint32_t *ret_open)
{
    struct ns *ns;
    int err = ns_get_by_name(call->p, name, &ns);

    if (err < 0)
        return err;
    err = ns->target ? -ENOTDIR : 0;
    ns_put(call->p, ns);
    for (unsigned i = 0; err == 0 && !force && (*ret_open = ns_open_files(call->p, name)); i++) {
        if (i == RELEASE_LOOKS)
            return -EBUSY;
        if (call->interrupted && atomic_load(call->interrupted))
            return control_fail(call, -EINTR, "interrupted; nothing was dropped");
        (void)nanosleep(&(struct timespec){.tv_nsec = RELEASE_LOOK_NS}, NULL);
    }
    return err;
}

/* Says why the namespace is not dropped. */
static int not_dropped(struct call *call, const char *name, uint32_t open, int err)
{
    if (err == -ENOENT)
        return control_fail_word(call, err, "there is no namespace %s", name);
    if (err == -ENOTDIR)
        return control_fail_word(call, -EINVAL, "%s is a symbolic link, not a namespace: use rm",
                                 name);
    if (err == -EBUSY)
        return control_fail(call, err,
                            "%u file%s open in it; `tally drop --force` drops it "
                            "nevertheless (in .tally/control: drop NS force)",
                            open, open == 1 ? " is" : "s are");
    return err;
}

/* drop NS [force]: the job exists before the drop, so that it can be shown from the first moment.
 * What is refused takes no number of a job, unless a file is opened just then. */
int control_drop(struct call *call)
{
    const char *name = control_arg(call, 0);
    bool force = control_is_keyword(call, 1, "force");
    uint32_t open = 0;
    uint64_t number;
    struct job *j;
    int err = check_namespace(call, name);

    if (err == 0 && call->c->nargs == 2 && !force)
        err = control_fail_word(call, -EINVAL, "after the namespace comes force, not %s",
                                control_arg(call, 1));
    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = look_first(call, name, force, &open);
    if (err < 0)
        return not_dropped(call, name, open, err);
    err = job_start(call->p, "drop", name, &j);
    if (err < 0)
        return err;
    number = j->number;
    err = ns_drop(call->p, name, force, false, false, &open);
    if (err < 0) {
        job_withdraw(call->p, j, err);
        return not_dropped(call, name, open, err);
    }
    job_drop_queued(call->p, j);
    strbuf_addf(&call->head, " queued_bytes=%zu job=%llu",
                drops_left(call->p->drops) * PAGE_SIZE_BYTES, U(number));
    /* the dropper may be done already, and then nothing else would end the job */
    jobs_drops_done(call->p);
    return 0;
}
