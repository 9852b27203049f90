// SPDX-License-Identifier: Apache-2.0
/*
 * control_merge: the verbs merge, commit, undo and redo.
 *
 *     merge NS into NS2 [conflicts=RULE] [set=PATTERN=RULE]... [base=WHICH]
 *         [paths=all] [if_seq=SEQ]
 *     commit NS [into NS2] …
 *     undo [SEQ|NS] [ns=NS] [conflicts=RULE]
 *     redo [SEQ|NS] [ns=NS] [conflicts=RULE]
 *
 * A line for each conflict, also if the verb fails because of them: the reason, and "path=". The
 * line has the grammar of a command, so that no name is misread. With paths=all there is a first
 * line "seq seq=": the last change of the target; and a conflict about a content has "theirs=",
 * "base=" and "ours=", as NAMESPACE/path. With if_seq= nothing is done if the target has another
 * last change.
 */
#include "control_impl.h"
#include "merge.h"
#include "merge_pattern.h"
#include "merge_undo.h"
#include "ns_label.h"
#include "quota.h"
#include "undo.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define U(x) ((unsigned long long)(x))

/* Reads the name of a rule. -EINVAL, with a sentence. */
static int read_rule_name(struct call *call, const char *word, enum merge_rule *ret)
{
    static const char *const names[] = {"fail", "ours", "theirs", "both"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(word, names[i])) {
            *ret = (enum merge_rule)i;
            return 0;
        }
    return control_fail_word(call, -EINVAL, "conflicts are fail, ours, theirs or both, not %s",
                             word);
}

/* Reads the option conflicts=RULE. -EINVAL, with a sentence. */
static int read_rule(struct call *call, enum merge_rule *ret)
{
    const char *word = command_option(call->c, "conflicts");

    *ret = MERGE_FAIL;
    return word ? read_rule_name(call, word, ret) : 0;
}

/* The rules of paths, and their texts. */
struct sets {
    struct merge_set *v;
    size_t count;
    char **texts; /* owned, as many */
};

static void release_sets(struct sets *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->texts[i]);
    free(s->texts);
    free(s->v);
}

/* Reads PATTERN=RULE: the last '=' divides them. */
static int read_set(struct call *call, const char *word, struct sets *s)
{
    char *text = strdup(word), *eq = text ? strrchr(text, '=') : NULL;
    int err;

    if (!text)
        return -ENOMEM;
    s->texts[s->count] = text;
    s->v[s->count].pattern = text;
    if (!eq) {
        err = control_fail_word(call, -EINVAL, "set= takes PATTERN=RULE, not %s", word);
    } else {
        *eq = '\0';
        err = read_rule_name(call, eq + 1, &s->v[s->count].rule);
    }
    if (err == 0 && merge_pattern_check(text) < 0)
        err = control_fail_word(call, -EINVAL, "no path can match the pattern %s", text);
    s->count++;
    return err;
}

/* Reads all set=PATTERN=RULE, in order. -EINVAL, with a sentence; -ENOMEM. The caller releases *ret
 * also after an error. */
static int read_sets(struct call *call, struct sets *ret)
{
    const struct command *c = call->c;
    int err = 0;

    *ret = (struct sets){.v = calloc(c->noptions + 1, sizeof *ret->v),
                         .texts = calloc(c->noptions + 1, sizeof *ret->texts)};
    if (!ret->v || !ret->texts)
        return -ENOMEM;
    for (size_t i = 0; i < c->noptions && err == 0; i++)
        if (!strcmp(c->options[i].key, "set"))
            err = read_set(call, c->options[i].value, ret);
    return err;
}

/* Reads paths=all and if_seq=SEQ. -EINVAL, with a sentence. */
static int read_conditions(struct call *call, struct merge_call *c)
{
    const char *paths = command_option(call->c, "paths"), *seq = command_option(call->c, "if_seq");

    c->all_paths = paths != NULL;
    if (paths && strcmp(paths, "all") != 0)
        return control_fail_word(call, -EINVAL, "paths= takes all, not %s", paths);
    if (seq && command_number(seq, &c->if_seq) < 0)
        return control_fail_word(call, -EINVAL, "%s is not the number of a change", seq);
    return 0;
}

static void add_place(struct call *call, const char *key, const char *place)
{
    if (!place)
        return;
    strbuf_addf(&call->lines, " %s=", key);
    command_add_word(&call->lines, place);
}

static int add_conflicts(struct call *call, const struct merge_result *r)
{
    if (command_option(call->c, "paths"))
        strbuf_addf(&call->lines, "| seq seq=%llu\n", U(r->ours_seq));
    for (size_t i = 0; i < r->conflict_count; i++) {
        const struct merge_found *f = &r->conflicts[i];

        strbuf_addf(&call->lines, "| %s path=", merge_why_name(f->why));
        command_add_word(&call->lines, f->path);
        add_place(call, "theirs", f->theirs);
        add_place(call, "base", f->base);
        add_place(call, "ours", f->ours);
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
                       : control_fail(call, -EEXIST,
                                      "%zu conflict%s; nothing was changed (conflicts=RULE or "
                                      "set=PATTERN=RULE decides)",
                                      r->conflict_count, r->conflict_count == 1 ? "" : "s");
    case -ENODATA:
        return control_fail(call, err,
                            "what both were made of is not held any more, or not known: name it, "
                            "as base=NS@NAME");
    case -EROFS:
        return control_fail_word(call, err, "%s cannot be changed", label);
    case -ECANCELED:
        return control_fail_word(call, err, "%s has changed; nothing was done", label);
    case -EDQUOT:
        strbuf_clear(&call->why);
        quota_explain(ours, label, r->becomes, &call->why);
        return err;
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
static int merge_into(struct call *call, struct ns *theirs, struct ns *ours, bool commit)
{
    const char *base = command_option(call->c, "base");
    struct merge_call c = {.theirs = theirs,
                           .ours = ours,
                           .kind = commit ? HISTORY_COMMIT : HISTORY_MERGE,
                           .interrupted = call->interrupted};
    struct merge_result r = {0};
    char label[NS_LABEL_MAX];
    struct tries tries = {.begun = ticks(call->p)};
    struct sets sets;
    int err = read_sets(call, &sets);

    c.sets = sets.v;
    c.set_count = sets.count;
    if (err == 0)
        err = read_rule(call, &c.rule);
    if (err == 0)
        err = read_conditions(call, &c);
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
    release_sets(&sets);
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
    return merge_into(call, theirs, ours, false);
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
                                       ns->origin.ns
                                           ? "what %s was branched from is not there any more; "
                                             "name another one, as commit NS into NS2"
                                           : "%s is no branch; name where it goes, as commit NS "
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
    return merge_into(call, theirs, ours, true);
}

/* ---- undo and redo ---- */

/* Finds the last merge into a namespace that was not taken back, or for a redo the one that was
 * taken back last. -ENOENT, with a sentence. */
static int find_merge(struct call *call, const char *name, bool redo, uint64_t *ret_seq)
{
    uint64_t at = UINT64_MAX, tip = 0;
    struct history_op op;
    struct ns *ours;
    int err = control_find_ns(call, name, &ours);

    if (err < 0)
        return err;
    for (*ret_seq = 0; history_before(&call->p->history, at, &op) == 0; at = op.entry.seq) {
        const struct history_entry *e = &op.entry;

        if (e->of || op.undone != redo || !history_entry_is_merge(e) ||
            e->ns.number != ours->number || e->ns.generation != ours->generation || op.tip < tip)
            continue;
        *ret_seq = e->seq;
        tip = op.tip;
        if (!redo)
            break;
    }
    ns_put(call->p, ours);
    return *ret_seq ? 0
                    : control_fail_word(call, -ENOENT,
                                        redo ? "nothing was undone in %s that can be done again"
                                             : "nothing was merged into %s that can be undone",
                                        name);
}

/* Says that what the operation needs is gone, and since when. */
static int say_gone(struct call *call, const struct undo_result *r, const char *what,
                    const char *older)
{
    CLEANUP_STRBUF struct strbuf when = STRBUF_INIT;

    if (!r->gone)
        return control_fail(call, -ENODATA,
                            "change %llu cannot be %s any more: things are not as it left them%s",
                            U(r->op.entry.seq), what, older);
    strbuf_add_time(&when, r->gone);
    return control_fail(
        call, -ENODATA, "change %llu cannot be %s any more: what that needs went at %s%s",
        U(r->op.entry.seq), what, strbuf_error(&when) == 0 ? when.s : "a time", older);
}

/* Says that operations of that kind are not undone, or snapshots not without a number. */
static int say_final(struct call *call, const struct undo_result *r, const char *what,
                     const char *older)
{
    const uint64_t seq = r->op.entry.seq;

    if (*older && r->op.entry.kind == HISTORY_SNAPSHOT)
        return control_fail(call, -EOPNOTSUPP,
                            "change %llu made a snapshot, which would be deleted for good: "
                            "`tally undo %llu` does that",
                            U(seq), U(seq));
    return control_fail(call, -EOPNOTSUPP, "change %llu (%s) cannot be %s%s", U(seq),
                        history_entry_word(&r->op.entry), what, older);
}

/* Says why an operation was not taken back; not of a merge. */
static int not_undone(struct call *call, const struct undo_call *c, const struct undo_result *r,
                      int err)
{
    const char *what = r->op.undone ? "done again" : "undone";
    const char *older =
        c->seq || c->redo ? "" : "; `tally undo SEQ` takes back an older one of `tally history`";

    switch (err) {
    case -ENOENT:
        return c->seq ? control_fail(call, err, "there is no change %llu in the history", U(c->seq))
                      : control_fail(call, err, "there is nothing that can be %s",
                                     c->redo ? "done again" : "undone");
    case -EALREADY:
        return control_fail(call, err, "change %llu is %s", U(r->op.entry.seq),
                            r->op.undone ? "undone already" : "not undone");
    case -EOPNOTSUPP:
        return say_final(call, r, what, older);
    case -ENODATA:
        return say_gone(call, r, what, older);
    case -EPERM:
        return control_fail_word(call, err,
                                 "trash_keep is 0, so %s would be deleted for good: `tally drop` "
                                 "does that",
                                 r->op.entry.name);
    case -EEXIST:
        return control_fail(call, err,
                            "change %llu cannot be %s: the name that this would give is taken",
                            U(r->op.entry.seq), what);
    case -EBUSY:
        return r->open ? control_fail(call, err, "%u file%s open in it", r->open,
                                      r->open == 1 ? " is" : "s are")
                       : control_fail(call, err,
                                      "it is a snapshot that is held, or has one: "
                                      "`tally unhold` first");
    default:
        return err;
    }
}

/* Waits a short time if files seem to be open: the kernel reports a close after it. */
static bool waits_for_open(struct call *call, int err, const struct undo_result *r, struct tries *t)
{
    if (err != -EBUSY || !r->open || ++t->count > RELEASE_LOOKS ||
        (call->interrupted && atomic_load(call->interrupted)))
        return false;
    (void)nanosleep(&(struct timespec){.tv_nsec = RELEASE_LOOK_NS}, NULL);
    return true;
}

/* Adds what the namespace is called in the trash, if it is there. */
static void add_trash(struct call *call, const struct history_ns *of)
{
    char label[NS_LABEL_MAX];
    struct ns *ns;
    bool is;

    if (ns_get(call->p, of->number, &ns) < 0)
        return;
    {
        READ_GUARD(&call->p->names.lock);
        is = ns->generation == of->generation && ns->hidden.kind == NS_TRASH;
    }
    if (is) {
        ns_label(call->p, ns, label);
        strbuf_adds(&call->head, " kept=");
        command_add_word(&call->head, label);
    }
    ns_put(call->p, ns);
}

/* Adds the words of a merge, or of another operation. */
static int say_undone(struct call *call, const struct undo_call *c, struct undo_result *r, int err)
{
    const struct history_entry *e = &r->op.entry;
    bool merge = history_entry_is_merge(e);
    struct ns *ours;

    if (merge &&
        (err == 0 || r->merge.conflict_count || err == -EFBIG || err == -EROFS || err == -EBUSY ||
         err == -EDQUOT) &&
        ns_get(call->p, e->ns.number, &ours) == 0) {
        err = say_result(call, ours, &r->merge, err);
        ns_put(call->p, ours);
    } else if (err < 0) {
        return not_undone(call, c, r, err);
    } else {
        strbuf_addf(&call->head, " seq=%llu", U(r->seq));
        add_trash(call, &e->ns);
    }
    if (err == 0)
        strbuf_addf(&call->head, " of=%llu", U(e->seq));
    if (err == 0)
        control_add_operation(&call->head, e);
    return err;
}

static int take_back_seq(struct call *call, uint64_t seq, enum merge_rule rule, bool redo)
{
    const struct undo_call c = {
        .seq = seq, .redo = redo, .rule = rule, .interrupted = call->interrupted};
    struct tries tries = {.begun = ticks(call->p)};
    struct undo_result r;
    int err;

    do
        err = undo_run(call->p, &c, &r);
    while (waits_for_closes(call, err, &r.merge, &tries) || waits_for_open(call, err, &r, &tries));
    err = say_undone(call, &c, &r, err);
    merge_result_release(&r.merge);
    return err;
}

/* A decimal number is that of a change, unless it is quoted or given as ns=. */
static int take_back(struct call *call, bool redo)
{
    const char *ns = command_option(call->c, "ns");
    enum merge_rule rule;
    uint64_t seq = 0;
    int err = read_rule(call, &rule);

    if (err == 0 && ns && call->c->nargs > 0)
        err = control_misuse(call, call->verb->usage);
    if (err == 0)
        err = control_may_change(call);
    if (err < 0)
        return err;
    if (!ns && call->c->nargs > 0) {
        ns = control_arg(call, 0);
        if (!call->c->args[0].quoted && command_number(ns, &seq) == 0)
            ns = NULL;
        if (!ns && !seq)
            return control_fail(call, -ENOENT, "there is no change 0 in the history");
    }
    err = ns ? find_merge(call, ns, redo, &seq) : 0;
    return err < 0 ? err : take_back_seq(call, seq, rule, redo);
}

/* undo [SEQ|NS] */
int control_undo(struct call *call)
{
    return take_back(call, false);
}

/* redo [SEQ|NS] */
int control_redo(struct call *call)
{
    return take_back(call, true);
}
