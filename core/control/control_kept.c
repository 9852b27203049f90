// SPDX-License-Identifier: Apache-2.0
/* control_kept: the verbs about what is kept and is not in the root: snapshot, hold, unhold,
 * detach, undrop and trash. */
#include "control_impl.h"
#include "du.h"
#include "flush.h"
#include "kept.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "ttl.h"
#include <errno.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* ---- listings ---- */

/* Appends what one of them is: its name, when it began to be kept, and what a drop would give back
 * at least. */
static int add_kept(struct call *call, struct ns *ns, const struct ns_hidden *hidden)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    char label[NS_LABEL_MAX];
    struct du du;
    int err = du_namespace(call->p, ns, call->interrupted, &du);

    if (err < 0)
        return err;
    ns_label(call->p, ns, label);
    command_add_word(&line, label);
    strbuf_addf(&line, " seq=%llu since=", U(hidden->of.seq));
    strbuf_add_time(&line, hidden->since);
    if (hidden->kind != NS_SNAPSHOT || hidden->passing) {
        strbuf_adds(&line, " until=");
        strbuf_add_time(&line, kept_until(call->p, hidden));
    }
    strbuf_addf(&line, " frees=%llu%s", U(du.frees + du.tree), hidden->held ? " held=1" : "");
    if (hidden->kind == NS_TRASH)
        err = control_add_only_here(call, ns, &line);
    if (err < 0)
        return err;
    if (strbuf_error(&line) == 0)
        strbuf_addf(&call->lines, "| %s\n", line.s);
    return strbuf_error(&line);
}

/* What a list has: one kind, of one namespace or of all. */
struct listing {
    enum ns_kind kind;
    const struct ns *of; /* NULL: of all */
    uint64_t count;
};

static bool is_listed(const struct listing *l, const struct ns_hidden *hidden)
{
    return hidden->kind == l->kind && (!l->of || (hidden->of.ns == l->of->number &&
                                                  hidden->of.generation == l->of->generation));
}

/* A line for each, in the order of their numbers. One that goes meanwhile may be missing. */
static int list_kept(struct call *call, struct listing *l)
{
    struct ns *ns;
    uint32_t at = 0;
    int err = 0;

    while (err == 0 && ns_next_number(call->p, at, &ns) == 0) {
        struct ns_hidden hidden;

        at = ns->number;
        {
            READ_GUARD(&call->p->names.lock);
            hidden = ns->hidden;
        }
        if (is_listed(l, &hidden)) {
            err = add_kept(call, ns, &hidden);
            err = err == -ESTALE ? 0 : err;
            l->count++;
        }
        ns_put(call->p, ns);
    }
    return err;
}

/* ---- snapshots ---- */

static int list_snapshots(struct call *call, const char *name)
{
    struct listing l = {.kind = NS_SNAPSHOT};
    struct ns *of = NULL;
    int err = name ? control_find_ns(call, name, &of) : 0;

    l.of = of;
    if (err == 0)
        err = list_kept(call, &l);
    ns_put(call->p, of);
    if (err == 0)
        strbuf_addf(&call->head, " snapshots=%llu", U(l.count));
    return err;
}

/* Says why there is no snapshot. */
static int not_made(struct call *call, const char *of, const char *name, int err)
{
    switch (err) {
    case -ENOENT:
        return control_fail_word(call, err, "there is no namespace %s", of);
    case -EEXIST:
        return control_fail_word(call, err, "there is a snapshot %s already", name);
    case -EMFILE:
        return control_fail(call, err, "there are as many namespaces as there can be");
    case -ENAMETOOLONG:
        return control_fail(call, err, "the name of a snapshot has at most 255 bytes");
    case -EINVAL:
        if (strchr(of, '@'))
            return control_fail_word(call, err, "%s is a snapshot itself", of);
        return control_fail_word(call, err,
                                 "%s cannot be the name of a snapshot: such a name has no / and no "
                                 "@, is no number, and does not begin with dropped- or auto-",
                                 name);
    default:
        return err;
    }
}

/* snapshot NS [NAME] | snapshot list [NS]: without a name it is called by its time. */
int control_snapshot(struct call *call)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    const char *of = control_arg(call, 0),
               *given = call->c->nargs > 1 ? control_arg(call, 1) : NULL;
    struct ns *ns;
    uint64_t seq;
    int err;

    if (control_is_keyword(call, 0, "list"))
        return list_snapshots(call, given);
    if (given)
        strbuf_adds(&name, given);
    else
        strbuf_add_time(&name, now(call->p));
    err = strbuf_error(&name);
    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = control_find_ns(call, of, &ns);
    if (err < 0)
        return err;
    err = ns_snapshot(call->p, ns, name.s, &seq);
    ns_put(call->p, ns);
    if (err < 0)
        return not_made(call, of, name.s, err);
    strbuf_adds(&call->head, " snapshot=");
    command_add_word(&call->head, name.s);
    strbuf_addf(&call->head, " seq=%llu", U(seq));
    return 0;
}

/* hold NS@SNAPSHOT, unhold NS@SNAPSHOT */
static int hold(struct call *call, bool held)
{
    struct ns *ns;
    int err = control_may_change(call);

    if (err == 0)
        err = control_find_ns(call, control_arg(call, 0), &ns);
    if (err < 0)
        return err;
    err = ns_hold(call->p, ns, held);
    ns_put(call->p, ns);
    return err == -EINVAL ? control_fail_word(call, err, "%s is no snapshot", control_arg(call, 0))
                          : err;
}

int control_hold(struct call *call)
{
    return hold(call, true);
}

int control_unhold(struct call *call)
{
    return hold(call, false);
}

/* detach NS */
int control_detach(struct call *call)
{
    struct ns *ns;
    int err = control_may_change(call);

    if (err == 0)
        err = control_find_ns(call, control_arg(call, 0), &ns);
    if (err < 0)
        return err;
    err = ns_detach(call->p, ns);
    ns_put(call->p, ns);
    return err == -ENODATA ? control_fail_word(call, err, "%s has no base", control_arg(call, 0))
                           : err;
}

/* ---- the trash ---- */

/* Says why nothing was taken from the trash. */
static int not_back(struct call *call, const char *name, const char *as, int err)
{
    switch (err) {
    case -ENOENT:
    case -EINVAL:
        return control_fail_word(call, -ENOENT, "nothing in the trash is called %s", name);
    case -EEXIST:
        return control_fail_word(call, err, "%s exists already: undrop it under another name", as);
    case -ENAMETOOLONG:
        return control_fail(call, err, "the name of a namespace has at most 255 bytes");
    default:
        return err;
    }
}

/* undrop NS [as=NEW]: what was dropped last under that name, or what NS@dropped-SEQ says. */
int control_undrop(struct call *call)
{
    const char *name = control_arg(call, 0), *given = command_option(call->c, "as");
    CLEANUP_STRBUF struct strbuf as = STRBUF_INIT;
    struct ns *ns;
    int err = given && ns_check_new_name(given) == -EINVAL
                  ? control_fail_word(call, -EINVAL, "%s cannot be the name of a namespace", given)
                  : control_may_change(call);

    if (err < 0)
        return err;
    err = ns_find_dropped(call->p, name, &ns);
    if (err < 0)
        return not_back(call, name, name, err);
    {
        READ_GUARD(&call->p->names.lock);
        strbuf_adds(&as, given ? given : ns->name);
    }
    err = strbuf_error(&as);
    if (err == 0)
        err = ns_undrop(call->p, ns, as.s);
    if (err == 0)
        err = ttl_forgive(call->p, ns);
    ns_put(call->p, ns);
    if (err < 0)
        return not_back(call, name, as.s, err);
    strbuf_adds(&call->head, " ns=");
    command_add_word(&call->head, as.s);
    return 0;
}

/* Drops all that is in the trash, but for what is in use. */
static int empty_trash(struct call *call)
{
    uint64_t dropped = 0, busy = 0;
    struct ns *ns;
    uint32_t at = 0, open;
    int err = control_may_change(call);

    while (err == 0 && ns_next_number(call->p, at, &ns) == 0) {
        bool is;

        at = ns->number;
        {
            READ_GUARD(&call->p->names.lock);
            is = ns->hidden.kind == NS_TRASH;
        }
        err = is ? ns_remove(call->p, ns, NS_TRASH, false, &open) : 0;
        dropped += is && err == 0;
        busy += err == -EBUSY;
        err = err == -EBUSY || err == -ENOENT ? 0 : err;
        ns_put(call->p, ns);
    }
    strbuf_addf(&call->head, " dropped=%llu busy=%llu", U(dropped), U(busy));
    return err;
}

/* Adds what df counts as free, and when the oldest part of that was found out. */
static void add_alone(struct call *call)
{
    struct kept_alone alone = kept_alone(call->p);

    strbuf_addf(&call->head, " trash_frees=%llu", U(alone.bytes));
    if (alone.since == INT64_MAX)
        return;
    strbuf_adds(&call->head, " weighed=");
    strbuf_add_time(&call->head, alone.since);
}

/* trash list | trash empty */
int control_trash(struct call *call)
{
    struct listing trash = {.kind = NS_TRASH}, bases = {.kind = NS_ORIGIN};
    int err;

    if (control_is_keyword(call, 0, "empty"))
        return empty_trash(call);
    if (!control_is_keyword(call, 0, "list"))
        return control_misuse(call, "trash list | trash empty");
    err = list_kept(call, &trash);
    if (err == 0)
        err = list_kept(call, &bases);
    if (err == 0)
        strbuf_addf(&call->head, " dropped=%llu bases=%llu", U(trash.count), U(bases.count));
    if (err == 0)
        add_alone(call);
    return err;
}
