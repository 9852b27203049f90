// SPDX-License-Identifier: Apache-2.0
/* ladder_run: see the header. */
#include "ladder_run.h"

#include "array.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the setting ---- */

int ladder_set(struct state *p, struct ns *ns, const char *text)
{
    struct ns_setting s = {.name = LADDER_SETTING, .value = text, .len = text ? strlen(text) : 0};

    return ns_setting_set(p, ns, &s);
}

/* Reads the setting as text and as what it means. -ENOENT */
static int read_setting(struct state *p, const struct ns *ns, char text[LADDER_TEXT_MAX + 1],
                        struct ladder *ret)
{
    size_t len;
    int err = ns_setting_get(p, ns, LADDER_SETTING, text, LADDER_TEXT_MAX, &len);

    if (err < 0)
        return -ENOENT;
    text[len] = '\0';
    return strlen(text) == len && ladder_parse(text, ret) == 0 ? 0 : -ENOENT;
}

int ladder_get(struct state *p, const struct ns *ns, char text[LADDER_TEXT_MAX + 1])
{
    struct ladder l;

    return read_setting(p, ns, text, &l);
}

/* ---- the automatic snapshots of a namespace ---- */

struct made {
    int64_t time; /* when it was made, ns since the epoch */
    uint64_t seq; /* of which change of its namespace */
    uint32_t number;
    bool busy; /* it is held, or a file is open in it */
};
struct all_made {
    struct made *v;
    int64_t *times; /* of each */
    bool *needed;   /* likewise, by the ladder */
    size_t count, room;
};

static void release(struct all_made *a)
{
    free(a->v);
    free(a->times);
    free(a->needed);
}

static int compare_times(const void *a, const void *b)
{
    const struct made *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Collects them, in no order. -ENOMEM */
static int collect(struct state *p, const struct ns *ns, struct all_made *ret)
{
    READ_GUARD(&p->names.lock);

    for (struct ns *s = NULL; (s = ns_next_kept(p, ns, s));) {
        if (!ns_is_automatic(s))
            continue;
        if (ARRAY_RESERVE(ret->v, ret->room, ret->count + 1) < 0)
            return -ENOMEM;
        ret->v[ret->count++] = (struct made){.time = s->hidden.since,
                                             .seq = s->hidden.of.seq,
                                             .number = s->number,
                                             .busy = s->hidden.held || atomic_load(&s->nopen)};
    }
    return 0;
}

/* Lists them, the oldest first, and marks those that are needed. The caller releases *ret, also
 * after an error. -ENOMEM */
static int list(struct state *p, const struct ns *ns, const struct ladder *l, struct all_made *ret)
{
    int err = collect(p, ns, ret);

    if (err < 0 || ret->count == 0)
        return err;
    ret->times = calloc(ret->count, sizeof *ret->times);
    ret->needed = calloc(ret->count, sizeof *ret->needed);
    if (!ret->times || !ret->needed)
        return -ENOMEM;
    qsort(ret->v, ret->count, sizeof *ret->v, compare_times);
    for (size_t i = 0; i < ret->count; i++)
        ret->times[i] = ret->v[i].time;
    ladder_mark(l, ret->times, ret->count, ret->needed);
    return 0;
}

/* Has the namespace changed since the last of them? */
static bool is_changed(struct ns *ns, const struct all_made *a)
{
    uint64_t last = 0;
    READ_GUARD(&ns->lock);

    for (size_t i = 0; i < a->count; i++)
        if (a->v[i].seq > last)
            last = a->v[i].seq;
    return a->count == 0 || ns->seq > last;
}

/* ---- what is to be done ---- */

static bool is_due(struct state *p, struct ns *ns, const struct ladder *l, const struct all_made *a)
{
    return is_changed(ns, a) && ladder_is_due(l, a->times, a->count, now(p));
}

static bool may_go(const struct all_made *a, size_t i)
{
    return !a->needed[i] && !a->v[i].busy;
}

bool ladder_wants(struct state *p, struct ns *ns)
{
    struct all_made a = {0};
    struct ladder l;
    char text[LADDER_TEXT_MAX + 1];
    bool wants = false;

    if (read_setting(p, ns, text, &l) == 0 && list(p, ns, &l, &a) == 0) {
        wants = is_due(p, ns, &l, &a);
        for (size_t i = 0; i < a.count && !wants; i++)
            wants = may_go(&a, i);
    }
    release(&a);
    return wants;
}

static bool is_automatic(struct state *p, const struct ns *ns)
{
    READ_GUARD(&p->names.lock);

    return ns_is_automatic(ns);
}

/* Removes a snapshot, unless it was held or opened meanwhile. */
static int remove_one(struct state *p, uint32_t number)
{
    uint32_t open;
    struct ns *ns;
    int err = ns_get(p, number, &ns);

    if (err == 0) {
        err = is_automatic(p, ns) ? ns_remove(p, ns, NS_SNAPSHOT, false, &open) : 0;
        ns_put(p, ns);
    }
    return err == -EBUSY || err == -ENOENT || err == -ESTALE ? 0 : err;
}

/* Removes those that are not needed. */
static int prune(struct state *p, struct ns *ns, const struct ladder *l)
{
    struct all_made a = {0};
    int err = list(p, ns, l, &a);

    for (size_t i = 0; i < a.count && err == 0; i++)
        if (may_go(&a, i))
            err = atomic_load(&p->closing) ? -EINTR : remove_one(p, a.v[i].number);
    release(&a);
    return err;
}

/* Makes the one that is due, if any. */
static int make_due(struct state *p, struct ns *ns, const struct ladder *l)
{
    struct all_made a = {0};
    uint64_t seq;
    int err = list(p, ns, l, &a);

    if (err == 0 && is_due(p, ns, l, &a))
        err = ns_snapshot_automatic(p, ns, &seq);
    release(&a);
    return err;
}

int ladder_run(struct state *p, struct ns *ns)
{
    char text[LADDER_TEXT_MAX + 1];
    struct ladder l;
    int err;

    if (read_setting(p, ns, text, &l) < 0)
        return 0;
    err = make_due(p, ns, &l);
    return err < 0 ? err : prune(p, ns, &l);
}
