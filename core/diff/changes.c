// SPDX-License-Identifier: Apache-2.0
/* changes: see the header. The steps are in changes_same.c and changes_other.c. */
#include "changes_impl.h"
#include <stdlib.h>

int changes_gather(struct changes *c, uint64_t own, const _Atomic bool *interrupted)
{
    struct gather g = {.c = c};
    int err;

    c->delta = (struct delta)DELTA_INIT(c->room);
    err = delta_gather(c->tree[DELTA_A], c->tree[DELTA_B], own, interrupted, &c->delta);
    if (err == 0)
        err = gather_events(&g);
    if (err == 0)
        err = gather_renames(&g);
    if (err == 0)
        err = gather_kept(&g);
    if (err == 0)
        err = gather_replaced(&g);
    if (err == 0)
        err = gather_left(&g);
    gather_end(&g);
    return err == 0 && g.missing ? -EAGAIN : err;
}

/* Where a change stands in the list. */
static int rank(const struct change *x)
{
    return x->status == 'D' ? 0 : x->status == 'a' ? 2 : 1;
}

static int compare_changes(const void *x, const void *y)
{
    const struct change *a = x, *b = y;
    int order = rank(a) - rank(b);

    return order ? order : strcmp(a->path, b->path);
}

/* Takes over what the verdict says. False: it is no change. */
static bool apply(struct changes *c, struct change *x)
{
    const struct verdict *v = x->verdict ? &c->verdicts[x->verdict - 1] : NULL;

    if (v) {
        x->modified = v->modified;
        x->attrs = v->attrs;
        x->unread = v->unread;
        c->unread += v->unread;
    }
    if (x->status == 'M' && !x->modified)
        x->status = 'a';
    return x->status != 'a' || x->attrs;
}

int changes_compare(struct state *p, struct changes *c, const _Atomic bool *interrupted)
{
    size_t kept = 0;
    int err = 0;

    for (size_t i = 0; i < c->verdict_count && err == 0; i++)
        err = verdict_end(p, &c->verdicts[i], interrupted);
    if (err < 0)
        return err;
    for (size_t i = 0; i < c->count; i++) {
        struct change x = c->v[i];
        if (apply(c, &x)) {
            c->v[kept++] = x;
        } else {
            free(x.path);
            free(x.from);
        }
    }
    c->count = kept;
    if (kept)
        qsort(c->v, kept, sizeof *c->v, compare_changes);
    return 0;
}

void changes_end(struct changes *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->v[i].path);
        free(c->v[i].from);
    }
    for (size_t i = 0; i < c->verdict_count; i++)
        verdict_release(c->tree[DELTA_A]->refs, &c->verdicts[i]);
    free(c->v);
    free(c->verdicts);
    delta_release(&c->delta);
    c->v = NULL;
    c->verdicts = NULL;
    c->count = c->v_room = c->verdict_count = c->verdicts_room = 0;
}
