// SPDX-License-Identifier: Apache-2.0
/* merge_undo: see the header. What a merge kept is found by its names, and by the moment at which
 * it began to be kept. */
#include "merge_undo.h"
#include "kept.h"
#include <errno.h>
#include <string.h>

/* A pair that a merge or an undo has left. */
struct pair {
    struct ns *before, *after; /* with references */
};

static bool begins(const struct ns *ns, const char *with)
{
    return !strncmp(ns->name, with, strlen(with));
}

static bool is_passing(const struct ns *ns)
{
    return ns->hidden.kind == NS_SNAPSHOT && ns->hidden.passing;
}

/* What was kept after the merge that `before` was kept for; NULL: nothing. Needs "names". */
static struct ns *after_of(struct state *p, const struct ns *ours, const struct ns *before,
                           bool of_undo)
{
    struct ns *best = NULL;

    for (struct ns *ns = NULL; (ns = ns_next_kept(p, ours, ns));)
        if (is_passing(ns) && begins(ns, of_undo ? MERGE_UNDO_AFTER : MERGE_AFTER) &&
            ns->hidden.since == before->hidden.since && ns->hidden.of.seq > before->hidden.of.seq &&
            (!best || ns->hidden.of.seq < best->hidden.of.seq))
            best = ns;
    return best;
}

/* Finds the newest pair that a merge into `ours`, or with `of_undo` an undo, has left, or that of
 * the change `seq`. -ENOENT */
static int find_pair(struct state *p, const struct ns *ours, uint64_t seq, bool of_undo,
                     struct pair *ret)
{
    READ_GUARD(&p->names.lock);

    *ret = (struct pair){0};
    for (struct ns *ns = NULL; (ns = ns_next_kept(p, ours, ns));) {
        struct ns *after;

        if (!is_passing(ns) || !begins(ns, of_undo ? MERGE_UNDO_BEFORE : MERGE_BEFORE) ||
            (ret->before && ns->hidden.of.seq < ret->before->hidden.of.seq))
            continue;
        after = after_of(p, ours, ns, of_undo);
        if (after && (!seq || after->hidden.of.seq == seq))
            *ret = (struct pair){ns, after};
    }
    if (!ret->before)
        return -ENOENT;
    atomic_fetch_add(&ret->before->refs, 1);
    atomic_fetch_add(&ret->after->refs, 1);
    return 0;
}

/* Finds the branch of which the base was moved, with a reference. NULL: there is none, or it is
 * gone. */
static struct ns *find_branch(struct state *p, const struct ns *before)
{
    const struct ns_instant *branch = &before->origin;
    struct ns *ns;

    if (!branch->ns || ns_get(p, branch->ns, &ns) < 0)
        return NULL;
    if (ns->generation == branch->generation && !ns_is_hidden(p, ns))
        return ns;
    ns_put(p, ns);
    return NULL;
}

bool merge_can_undo(struct state *p, const struct ns *ours, uint64_t seq, bool redo)
{
    struct pair pair;

    if (find_pair(p, ours, seq, redo, &pair) < 0)
        return false;
    ns_put(p, pair.before);
    ns_put(p, pair.after);
    return true;
}

int merge_undo(struct state *p, struct ns *ours, uint64_t seq, bool redo, enum merge_rule rule,
               const _Atomic bool *interrupted, struct merge_result *ret)
{
    struct pair pair;
    int err = find_pair(p, ours, seq, redo, &pair);

    *ret = (struct merge_result){0};
    if (err == 0) {
        struct merge_call c = {.theirs = pair.before,
                               .ours = ours,
                               .base = pair.after,
                               .label = redo ? "redo" : NULL,
                               .undo = !redo,
                               .back = pair.before,
                               .branch = find_branch(p, pair.before),
                               .rule = rule,
                               .interrupted = interrupted};

        err = merge_run(p, &c, ret);
        ns_put(p, c.branch);
    }
    if (err == 0) /* without the one the other is no pair, so it is not taken back again */
        kept_forget(p, (struct ns *[]){pair.after, pair.before}, 2);
    ns_put(p, pair.before);
    ns_put(p, pair.after);
    return err;
}
