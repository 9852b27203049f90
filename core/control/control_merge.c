// SPDX-License-Identifier: Apache-2.0
/*
 * control_merge: the verbs merge, commit, undo and redo.
 *
 *     merge NS into NS2 [conflicts=RULE] [base=WHICH]
 *     commit NS [into NS2] [conflicts=RULE] [base=WHICH]
 *
 * A line for each conflict, also if the verb fails because of them: the reason, and "path=". The
 * line has the grammar of a command, so that no name is misread.
 */
#include "control_impl.h"
#include "merge.h"
#include "ns_label.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define U(x) ((unsigned long long)(x))

/* Reads the option conflicts=RULE. -EINVAL, with a sentence. */
static int read_rule(struct call *call, enum merge_rule *ret)
{
    static const char *const names[] = {"fail", "ours", "theirs", "both"};
    const char *word = command_option(call->c, "conflicts");

    *ret = MERGE_FAIL;
    if (!word)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(word, names[i])) {
            *ret = (enum merge_rule)i;
            return 0;
        }
    return control_fail_word(call, -EINVAL, "conflicts are fail, ours, theirs or both, not %s",
                             word);
}

static int add_conflicts(struct call *call, const struct merge_result *r)
{
    for (size_t i = 0; i < r->conflict_count; i++) {
        strbuf_addf(&call->lines, "| %s path=", merge_why_name(r->conflicts[i].why));
        command_add_word(&call->lines, r->conflicts[i].path);
        strbuf_adds(&call->lines, "\n");
    }
    return strbuf_error(&call->lines);
}

/* Says what was done, or why nothing was. */
static int say_result(struct call *call, const struct ns *ours, const struct merge_result *r,
                      int err)
{
    char label[NS_LABEL_MAX];

    ns_label(call->p, ours, label);
    switch (err) {
    case 0:
        strbuf_adds(&call->head, " into=");
        command_add_word(&call->head, label);
        if (r->seq)
            strbuf_addf(&call->head, " seq=%llu", U(r->seq));
        strbuf_addf(&call->head, " names=%llu inodes=%llu decided=%llu", U(r->names), U(r->inodes),
                    U(r->decided));
        return 0;
    case -EEXIST:
        err = add_conflicts(call, r);
        return err < 0 ? err
                       : control_fail(call, -EEXIST, "%zu conflict%s; nothing was changed",
                                      r->conflict_count, r->conflict_count == 1 ? "" : "s");
    case -ENODATA:
        return control_fail(call, err,
                            "what both were made of is not held any more, or not known: name it, "
                            "as base=NS@NAME");
    case -EROFS:
        return control_fail_word(call, err, "%s cannot be changed", label);
    case -EFBIG:
        return control_fail_word(call, err,
                                 "what is changed in %s meanwhile is too much for one instant; try "
                                 "again when less is written there",
                                 label);
    case -E2BIG:
        return control_fail(call, err,
                            "too much differs to be merged at once: more than some 700,000 files");
    case -EBUSY:
        return control_fail(call, err, "both change too fast to be merged just now; try again");
    default:
        return err;
    }
}

/* Is a file that is open among the conflicts? */
static bool has_open(const struct merge_result *r)
{
    for (size_t i = 0; i < r->conflict_count; i++)
        if (r->conflicts[i].why == MERGE_OPEN)
            return true;
    return false;
}

/* How long a merge has been tried already. */
struct tries {
    int64_t begun; /* monotonic ns */
    unsigned count;
};

/* The kernel reports the close of a file after close(2) has returned. So a file that was read just
 * before may still seem to be open: then the merge is tried again, for a short time. */
static bool waits_for_closes(struct call *call, int err, struct merge_result *r, struct tries *t)
{
    if (err != -EEXIST || !has_open(r) || ++t->count > RELEASE_LOOKS ||
        ticks(call->p) - t->begun >= RELEASE_LOOKS * RELEASE_LOOK_NS ||
        (call->interrupted && atomic_load(call->interrupted)))
        return false;
    merge_result_release(r);
    (void)nanosleep(&(struct timespec){.tv_nsec = RELEASE_LOOK_NS}, NULL);
    return true;
}

/* Merges, with the options of the command. It takes the references over. */
static int merge_into(struct call *call, struct ns *theirs, struct ns *ours)
{
    const char *base = command_option(call->c, "base");
    struct merge_call c = {.theirs = theirs, .ours = ours, .interrupted = call->interrupted};
    struct merge_result r = {0};
    char label[NS_LABEL_MAX];
    struct tries tries = {.begun = ticks(call->p)};
    int err = read_rule(call, &c.rule);

    if (err == 0 && theirs == ours)
        err = control_fail(call, -EINVAL, "a namespace is not merged into itself");
    if (err == 0 && base)
        err = control_find_ns(call, base, &c.base);
    if (err == 0)
        err = control_may_change(call);
    if (err == 0) {
        ns_label(call->p, theirs, label);
        c.label = label;
        do
            err = merge_run(call->p, &c, &r);
        while (waits_for_closes(call, err, &r, &tries));
        err = say_result(call, ours, &r, err);
    }
    merge_result_release(&r);
    ns_put(call->p, c.base);
    ns_put(call->p, theirs);
    ns_put(call->p, ours);
    return err;
}

/* merge NS into NS2 */
int control_merge(struct call *call)
{
    struct ns *theirs, *ours;
    int err = control_is_keyword(call, 1, "into")
                  ? control_find_ns(call, control_arg(call, 0), &theirs)
                  : control_misuse(call, "merge NS into NS2");

    if (err < 0)
        return err;
    err = control_find_ns(call, control_arg(call, 2), &ours);
    if (err < 0) {
        ns_put(call->p, theirs);
        return err;
    }
    return merge_into(call, theirs, ours);
}

/* What a branch was made of, as it is now. */
static int find_parent(struct call *call, const struct ns *ns, struct ns **ret)
{
    int err = ns->origin.ns ? ns_get(call->p, ns->origin.ns, ret) : -ENOENT;

    if (err == 0 && ((*ret)->generation != ns->origin.generation || ns_is_hidden(call->p, *ret))) {
        ns_put(call->p, *ret);
        err = -ENOENT;
    }
    return err < 0 ? control_fail_word(call, -ENOENT,
                                       "what %s was branched from does not exist; name it, as "
                                       "into NS2",
                                       control_arg(call, 0))
                   : 0;
}

/* commit NS [into NS2] */
int control_commit(struct call *call)
{
    struct ns *theirs, *ours;
    int err = control_find_ns(call, control_arg(call, 0), &theirs);

    if (err < 0)
        return err;
    if (call->c->nargs == 1)
        err = find_parent(call, theirs, &ours);
    else if (call->c->nargs == 3 && control_is_keyword(call, 1, "into"))
        err = control_find_ns(call, control_arg(call, 2), &ours);
    else
        err = control_misuse(call, "commit NS [into NS2]");
    if (err < 0) {
        ns_put(call->p, theirs);
        return err;
    }
    return merge_into(call, theirs, ours);
}

static int take_back(struct call *call, bool redo)
{
    struct merge_result r = {0};
    enum merge_rule rule;
    struct tries tries = {.begun = ticks(call->p)};
    struct ns *ours;
    int err = read_rule(call, &rule);

    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = control_find_ns(call, control_arg(call, 0), &ours);
    if (err < 0)
        return err;
    do
        err = merge_undo(call->p, ours, redo, rule, call->interrupted, &r);
    while (waits_for_closes(call, err, &r, &tries));
    if (err == -ENOENT)
        err = control_fail_word(call, err,
                                redo ? "nothing was undone in %s that can be done again"
                                     : "nothing was merged into %s that can be undone",
                                control_arg(call, 0));
    else
        err = say_result(call, ours, &r, err);
    merge_result_release(&r);
    ns_put(call->p, ours);
    return err;
}

/* undo NS */
int control_undo(struct call *call)
{
    return take_back(call, false);
}

/* redo NS */
int control_redo(struct call *call)
{
    return take_back(call, true);
}
