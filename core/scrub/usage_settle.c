// SPDX-License-Identifier: Apache-2.0
/* usage_settle: see the header. */
#include "usage_settle.h"
#include "job.h"
#include "ns_record.h"
#include "state.h"
#include "usage.h"
#include <errno.h>
#include <stdlib.h>

/* One call of usage_settle. */
struct settling {
    struct state *p;
    struct job *job;
    struct usage_count count;
    bool all;
    uint64_t changed;
};

/* Called for each page that is counted; true ends the count. */
static bool is_over(uint64_t pages, void *ctx)
{
    const struct settling *s = ctx;

    (void)pages;
    return atomic_load(s->job ? &s->job->cancel : &s->p->closing);
}

/* Correct the live usage: it is wrong by as much as the committed record is, since all later
 * changes were added to it. A namespace that was dropped or replaced meanwhile is left alone. */
static int correct(struct settling *s, struct ns *ns, const struct ns_fields *f,
                   struct usage counted)
{
    INSTANT_TXN(t, s->p);
    int err = state_writable(s->p);

    if (err < 0)
        return err;
    NS_GUARD(&t, ns);
    if (!ns->live || ns->generation != f->generation || ns->counted != f->counted)
        return 0;
    usage_add(&ns->tree.usage, counted);
    usage_take(&ns->tree.usage, f->usage);
    ns->counted = true;
    ns->dirty = true;
    s->changed++;
    return 0;
}

/* Count one namespace of the snapshot, and correct it if its record is wrong. */
static int settle_one(struct settling *s, uint32_t number, const struct ns_fields *f)
{
    struct usage counted;
    struct ns *ns;
    int err;

    if (!f->root || (f->counted && !s->all))
        return 0;
    err = usage_count(&s->count, f->root, &counted);
    if (err == -EUCLEAN || (err == 0 && f->counted && usage_is(f->usage, counted)))
        return 0;
    if (err < 0 || ns_get(s->p, number, &ns) < 0) /* the namespace was dropped meanwhile */
        return err;
    err = correct(s, ns, f, counted);
    ns_put(s->p, ns);
    return err;
}

int usage_settle(struct state *p, struct job *j, struct kv_snap *snap, bool all, uint64_t *changed)
{
    struct settling s = {.p = p, .job = j, .all = all};
    struct kv_each e = {.snap = snap, .table = TABLE_NAMESPACES};

    s.count = (struct usage_count){.snap = snap, .step = is_over, .ctx = &s};
    while (kv_next(&e)) {
        struct ns_fields f;

        if (e.klen != 8 || e.len == KV_DAMAGED || ns_read(e.number, e.val, e.len, &f) < 0)
            continue; /* a scrub or a check reports it */
        ns_fields_release(&f);
        e.err = settle_one(&s, (uint32_t)e.number, &f);
    }
    usage_count_release(&s.count);
    *changed += s.changed;
    return e.cut ? 0 : e.err;
}
