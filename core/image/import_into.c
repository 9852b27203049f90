// SPDX-License-Identifier: Apache-2.0
/* import_into: see the header. */
#include "import_into.h"
#include "command.h"
#include "flush.h"
#include "merge.h"
#include "ns_branch.h"
#include "ns_draft.h"
#include "ns_label.h"
#include "quota.h"
#include <errno.h>

#define LABEL "import" /* of the snapshots that are kept */

/* Can the namespace be changed? */
static int check(struct ns *ns, const char *name, struct strbuf *why)
{
    bool frozen;

    command_add_word(why, name);
    if (ns->target) {
        strbuf_adds(why, " is a symlink");
        return -EINVAL;
    }
    {
        READ_GUARD(&ns->lock);
        frozen = ns_is_fixed(ns);
    }
    if (frozen) {
        strbuf_adds(why, " is frozen");
        return -EROFS;
    }
    strbuf_clear(why);
    return 0;
}

int import_into_begin(struct state *p, const char *name, struct import_into *ret,
                      struct ns **ret_draft, struct strbuf *why)
{
    struct ns *base;
    int err = ns_get_by_name(p, name, &ret->ours);

    if (err < 0) {
        ret->ours = NULL;
        command_add_word(why, name);
        strbuf_adds(why, " is no namespace");
        return err;
    }
    err = check(ret->ours, name, why);
    if (err == 0)
        err = ns_count_drafts(p) + 1 < NS_DRAFTS_MAX ? ns_draft_of(p, ret->ours, &base) : -EBUSY;
    if (err < 0)
        return err;
    ret->base = base;
    return ns_draft_from(p, base, ret_draft);
}

/* The sentence for an error of the merge that has none of its own. */
static void explain(struct state *p, int err, const struct ns *ours, const struct merge_result *r,
                    struct strbuf *why)
{
    char label[NS_LABEL_MAX];

    switch (err) {
    case -EDQUOT:
        ns_label(p, ours, label);
        quota_explain(ours, label, r->becomes, why);
        break;
    case -EEXIST:
        if (r->conflict_count)
            strbuf_addf(why, "%s was changed meanwhile (%s)", r->conflicts[0].path,
                        merge_why_name(r->conflicts[0].why));
        if (r->conflict_count > 1)
            strbuf_addf(why, ", and %zu more", r->conflict_count - 1);
        if (r->conflict_count)
            strbuf_adds(why, ": nothing was imported");
        break;
    case -ENOENT:
        strbuf_adds(why, "the namespace is gone by now");
        break;
    case -EROFS:
        strbuf_adds(why, "the namespace cannot be changed any more");
        break;
    case -EBUSY:
    case -EFBIG:
        strbuf_adds(why, "the namespace changes too fast just now; try again");
        break;
    case -E2BIG:
        strbuf_adds(why, "it is too much to be brought into a namespace at one instant; import it "
                         "as a namespace of its own");
        break;
    default:
        break;
    }
}

int import_into_merge(struct state *p, const struct import_into *t, struct ns *draft,
                      const _Atomic bool *cancel, uint64_t *ret_seq, struct strbuf *why)
{
    const struct merge_call c = {.theirs = draft,
                                 .ours = t->ours,
                                 .base = t->base,
                                 .label = LABEL,
                                 .kind = HISTORY_IMPORT_INTO,
                                 .rule = MERGE_THEIRS,
                                 .interrupted = cancel};
    struct merge_result r = {0};
    int err = flush_now(p); /* a frame may name only what a commit has (ns_draft.h) */

    if (err == 0)
        err = merge_run(p, &c, &r);
    if (err == -EINTR)
        err = -ECANCELED;
    if (err < 0) {
        explain(p, err, t->ours, &r, why);
    } else {
        READ_GUARD(&t->ours->lock);
        *ret_seq = r.seq ? r.seq : t->ours->seq;
    }
    merge_result_release(&r);
    return err;
}

void import_into_end(struct state *p, struct import_into *t)
{
    if (t->base)
        ns_draft_drop(p, t->base);
    ns_put(p, t->ours);
    *t = (struct import_into){0};
}
