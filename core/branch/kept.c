// SPDX-License-Identifier: Apache-2.0
/* kept: see the header. */
#include "kept.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "flush.h"
#include "history_by.h"
#include "ns_point.h"
#include "report.h"
#include "shards.h"
#include "weigh.h"
#include <errno.h>
#include <string.h>

int kept_note(struct txn *t, struct ns *ns, const struct ns_hidden *hidden)
{
    {
        WRITE_GUARD(&t->p->names.lock);
        if (!ns->hidden.kind != !hidden->kind)
            t->p->names.mtime = now(t->p);
        ns_table_hide(&t->p->names, ns, hidden);
    }
    capture_ns_put(t, ns);
    return state_changed(t, NULL);
}

int kept_renew(struct txn *t, struct ns *ns)
{
    struct ns_hidden hidden = ns->hidden;

    hidden.since = now(t->p);
    return kept_note(t, ns, &hidden);
}

/* Has it snapshots, or (`held`) any that is held? Needs "names". */
static bool has_snapshots(struct state *p, const struct ns *ns, bool held)
{
    for (const struct ns *s = NULL; (s = ns_next_kept(p, ns, s));)
        if (s->hidden.kind == NS_SNAPSHOT && (s->hidden.held || !held))
            return true;
    return false;
}

bool kept_has_snapshots(struct state *p, const struct ns *ns, bool held)
{
    READ_GUARD(&p->names.lock);

    return has_snapshots(p, ns, held);
}

static int64_t keep_of(struct state *p, const struct ns_hidden *hidden)
{
    if (hidden->kind == NS_ORIGIN)
        return settings_get(&p->settings, SET_ORIGIN_KEEP);
    if (hidden->kind == NS_TRASH || hidden->passing)
        return settings_get(&p->settings, SET_TRASH_KEEP);
    return INT64_MAX;
}

int64_t kept_until(struct state *p, const struct ns_hidden *hidden)
{
    int64_t keep = keep_of(p, hidden);

    return keep > INT64_MAX - hidden->since ? INT64_MAX : hidden->since + keep;
}

/* ---- what nothing needs ---- */

/* The moments that are bases of namespaces, and the namespaces that there are; each as a hash, so
 * two that are equal keep one thing too long. */
struct needed {
    struct map64 bases, namespaces;
};

static uint64_t hash_instant(const struct ns_instant *i)
{
    const uint64_t v[] = {i->ns, i->generation, i->seq};

    return id_checksum(v, sizeof v, 0);
}

static uint64_t hash_number(uint32_t number, uint32_t generation)
{
    return (uint64_t)generation << 32 | number;
}

/* Notes what one namespace needs. A base and a point need nothing, and a snapshot only the base
 * that an undo gives back (ns_passing). */
static int note_needs(struct needed *n, const struct ns *ns)
{
    int err = 0;

    if (!ns->live || ns->hidden.kind == NS_ORIGIN || ns->hidden.kind == NS_POINT ||
        (ns->hidden.kind == NS_SNAPSHOT && !ns->hidden.passing))
        return 0;
    if (ns->base.ns)
        err = map64_put(&n->bases, hash_instant(&ns->base), 1);
    return err < 0 ? err : map64_put(&n->namespaces, hash_number(ns->number, ns->generation), 1);
}

/* Collects what is needed. -ENOMEM */
static int look(struct state *p, struct needed *ret)
{
    READ_GUARD(&p->names.lock);

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (const struct ns *ns = p->names.by_number[i]; ns; ns = ns->by_number_next) {
            int err = note_needs(ret, ns);

            if (err < 0)
                return err;
        }
    return 0;
}

/* May it go, by what is needed, or (`timed`) by the time? The caller has a reference, and
 * "names". */
static bool may_go(struct state *p, const struct needed *n, const struct ns *ns, bool timed)
{
    uint64_t none;

    if (!ns->live || atomic_load(&ns->nopen))
        return false;
    switch (ns->hidden.kind) {
    case NS_ORIGIN:
        return !map64_get(&n->bases, hash_instant(&ns->hidden.of), &none) ||
               (timed && kept_until(p, &ns->hidden) <= now(p));
    case NS_SNAPSHOT:
        return !ns->hidden.held &&
               ((timed && kept_until(p, &ns->hidden) <= now(p)) ||
                !map64_get(&n->namespaces, hash_number(ns->hidden.of.ns, ns->hidden.of.generation),
                           &none));
    case NS_TRASH:
        return timed && kept_until(p, &ns->hidden) <= now(p) && !has_snapshots(p, ns, true);
    case NS_DRAFT:
        return timed && atomic_load(&ns->refs) == 1; /* who asks has the only reference */
    default:
        return false;
    }
}

/* May it go, as things are now? The caller has the freeze lock for writing. */
static bool may_go_now(struct state *p, const struct ns *ns, bool timed)
{
    struct needed n = {0};
    bool may = look(p, &n) == 0;
    {
        READ_GUARD(&p->names.lock);
        may = may && may_go(p, &n, ns, timed);
    }
    map64_release(&n.bases);
    map64_release(&n.namespaces);
    return may;
}

static bool is_over(struct state *p, const struct ns *ns)
{
    return may_go_now(p, ns, true);
}

static bool is_unneeded(struct state *p, const struct ns *ns)
{
    return may_go_now(p, ns, false);
}

/* Finds the next that may go, behind number *at, with a reference; NULL: none. */
static struct ns *next_to_go(struct state *p, const struct needed *n, bool timed, uint32_t *at)
{
    struct ns *ns;

    while (ns_next_number(p, *at, &ns) == 0) {
        bool go;

        *at = ns->number;
        {
            READ_GUARD(&p->names.lock);
            go = may_go(p, n, ns, timed);
        }
        if (go)
            return ns;
        ns_put(p, ns);
    }
    return NULL;
}

static bool has_hidden(struct state *p)
{
    READ_GUARD(&p->names.lock);

    return ns_next_hidden(p, NULL);
}

static void report_stays(struct state *p, const struct ns *ns, int err)
{
    char label[NS_LABEL_MAX];

    ns_label(p, ns, label);
    report(REPORT_WARN, "%s is not needed any more and cannot be dropped (%s): that is tried again",
           label, strerror(-err));
}

/* Drops what may go, once around. Returns how many were dropped. */
static size_t let_go_once(struct state *p, bool timed)
{
    struct needed n = {0};
    uint32_t at = 0;
    size_t gone = 0;
    struct ns *ns;
    int err = look(p, &n);

    while (err == 0 && (ns = next_to_go(p, &n, timed, &at))) {
        int drop_err = drop_kept(p, ns, timed ? is_over : is_unneeded);

        if (drop_err == 0) {
            gone++;
            drop_tell(p, ns);
        } else if (drop_err != -EBUSY && drop_err != -ENOENT && drop_err != -ESHUTDOWN)
            report_stays(p, ns, drop_err);
        ns_put(p, ns);
    }
    map64_release(&n.bases);
    map64_release(&n.namespaces);
    return gone;
}

/* What goes may be the last that needed something else, so it looks again until nothing goes. */
static void let_go(struct state *p, bool timed)
{
    const struct history_by by = history_by_set(NULL); /* nobody asked for it */
    size_t gone = 0, n;

    while (has_hidden(p) && state_writable(p) == 0 && (n = let_go_once(p, timed)) > 0)
        gone += n;
    (void)history_by_set(&by);
    if (gone)
        flush_kick_drops(p);
}

void kept_expire(struct state *p)
{
    let_go(p, true);
}

void kept_release(struct state *p)
{
    let_go(p, false);
}

static bool is_snapshot(struct state *p, const struct ns *ns)
{
    (void)p;
    return ns->hidden.kind == NS_SNAPSHOT && !ns->hidden.held && !atomic_load(&ns->nopen);
}

void kept_forget(struct state *p, struct ns *const snapshots[], size_t count)
{
    uint32_t open;

    for (size_t i = 0; i < count; i++) {
        int err = drop_kept(p, snapshots[i], is_snapshot);

        if (err == 0)
            drop_tell(p, snapshots[i]);
        else if (err == -ENOENT) /* a file is open in it, or it is gone */
            (void)ns_remove(p, snapshots[i], NS_SNAPSHOT, true, &open);
    }
    kept_release(p);
    flush_kick_drops(p);
}

/* How many may go now, up to `most`. */
static size_t count_due(struct state *p, size_t most)
{
    struct needed n = {0};
    uint32_t at = 0;
    size_t count = 0;
    struct ns *ns;

    if (has_hidden(p) && look(p, &n) == 0)
        for (; count < most && (ns = next_to_go(p, &n, true, &at)); count++)
            ns_put(p, ns);
    map64_release(&n.bases);
    map64_release(&n.namespaces);
    return count;
}

bool kept_is_due(struct state *p)
{
    return count_due(p, 1);
}

size_t kept_count_due(struct state *p)
{
    return count_due(p, SIZE_MAX);
}

#define WAYS 4 /* in which things give way on a full disk */
#define WAY_TRASH 4

/* What gives way first on a full disk: the trash and what merges have left, then snapshots that
 * were made by themselves, then bases, then points: of these the archive gets the whole namespace
 * again. 0: it does not give way. Needs "names". */
static unsigned gives_way(struct state *p, const struct ns *ns)
{
    if (!ns->live || atomic_load(&ns->nopen) || ns->hidden.held || has_snapshots(p, ns, true))
        return 0;
    if (ns->hidden.kind == NS_TRASH || (ns->hidden.kind == NS_SNAPSHOT && ns->hidden.passing))
        return WAY_TRASH;
    if (ns_is_automatic(ns))
        return 3;
    return ns->hidden.kind == NS_ORIGIN ? 2 : ns->hidden.kind == NS_POINT;
}

static bool may_give_way(struct state *p, const struct ns *ns)
{
    READ_GUARD(&p->names.lock);

    return gives_way(p, ns) > 0;
}

/* Does letting it go give bytes back? */
static bool is_worth_it(struct state *p, struct ns *ns)
{
    struct weight weight;
    size_t left = WEIGH_ITEMS;

    return weigh(p, ns, true, &left, &weight) == 0 && weight.frees;
}

/* The next that gives way so, behind number *at, if it is older than `than` (NULL: any), with a
 * reference. */
static struct ns *next_older(struct state *p, unsigned way, const struct ns *than, uint32_t *at)
{
    struct ns *ns;

    while (ns_next_number(p, *at, &ns) == 0) {
        bool is;

        *at = ns->number;
        {
            READ_GUARD(&p->names.lock);
            is = gives_way(p, ns) == way && (!than || ns->hidden.since < than->hidden.since);
        }
        if (is)
            return ns;
        ns_put(p, ns);
    }
    return NULL;
}

/* The oldest that gives way so, with a reference; NULL: there is none. */
static struct ns *oldest_of(struct state *p, unsigned way, bool worth_it)
{
    struct ns *best = NULL, *ns;
    uint32_t at = 0;

    while ((ns = next_older(p, way, best, &at))) {
        if (worth_it && !is_worth_it(p, ns)) {
            ns_put(p, ns);
            continue;
        }
        ns_put(p, best);
        best = ns;
    }
    return best;
}

/* What gives way first: of the first kind that there is the oldest that gives bytes back, or if
 * none does by itself the oldest. With a reference; NULL: there is nothing. */
static struct ns *first_to_go(struct state *p)
{
    struct ns *ns = NULL;

    for (unsigned way = WAYS; way > 0 && !ns; way--) {
        ns = oldest_of(p, way, true);
        if (!ns)
            ns = oldest_of(p, way, false);
    }
    return ns;
}

/* Drops one. -EBUSY, -ENOENT: somebody uses it by now, or has dropped it. */
static int give_back(struct state *p, struct ns *ns)
{
    char label[NS_LABEL_MAX];
    struct ns_point note;
    int err;

    ns_label(p, ns, label);
    /* The next mount must know of it, so it is noted first. If the disk has no room for that the
     * stream notes it later. */
    if (ns_point_get(p, ns, &note))
        (void)shards_note_gap(p->shards, note.archive, true);
    err = drop_kept(p, ns, may_give_way);
    if (err < 0)
        return err;
    drop_tell(p, ns);
    report(REPORT_NOTE, "the disk is full: %s is given up", label);
    return 0;
}

bool kept_give_back(struct state *p)
{
    const struct history_by by = history_by_set(NULL); /* nobody asked for it */
    struct ns *ns;
    int err = -EBUSY;

    while ((err == -EBUSY || err == -ENOENT) && (ns = first_to_go(p))) {
        err = give_back(p, ns);
        ns_put(p, ns);
    }
    (void)history_by_set(&by);
    if (err == 0)
        kept_release(p);
    return err == 0;
}

/* ---- what the trash alone holds ---- */

/* Is the figure that is known of it still of use? Needs "names". */
static bool is_weighed(struct state *p, const struct ns *ns, int64_t for_long)
{
    return ns->alone.time &&
           (ns->alone.seq == atomic_load(&p->seq) || ns->alone.time + for_long > now(p));
}

/* Is it time to weigh it? Needs "names". */
static bool weighing_is_due(struct state *p, const struct ns *ns)
{
    return gives_way(p, ns) == WAY_TRASH && !is_weighed(p, ns, KEPT_WEIGH_AGAIN);
}

/* The one that was weighed longest ago, with a reference; NULL: none is due. */
static struct ns *next_to_weigh(struct state *p)
{
    struct ns *best = NULL;
    READ_GUARD(&p->names.lock);

    for (struct ns *ns = NULL; (ns = ns_next_hidden(p, ns));)
        if (weighing_is_due(p, ns) && (!best || ns->alone.time < best->alone.time))
            best = ns;
    if (best)
        atomic_fetch_add(&best->refs, 1);
    return best;
}

bool kept_weigh_is_due(struct state *p)
{
    struct ns *ns = next_to_weigh(p);

    ns_put(p, ns);
    return ns;
}

void kept_weigh(struct state *p)
{
    size_t left = WEIGH_ITEMS;
    struct ns *ns;
    int err = 0;

    while (err == 0 && left > 0 && (ns = next_to_weigh(p))) {
        uint64_t seq = atomic_load(&p->seq);
        int64_t time = now(p);
        struct weight weight;

        err = weigh(p, ns, false, &left, &weight);
        {
            WRITE_GUARD(&p->names.lock);
            ns->alone.bytes = err < 0 ? 0 : weight.whole;
            ns->alone.seq = seq;
            ns->alone.time = time;
        }
        ns_put(p, ns);
    }
}

struct kept_alone kept_alone(struct state *p)
{
    struct kept_alone ret = {.since = INT64_MAX};
    READ_GUARD(&p->names.lock);

    for (struct ns *ns = NULL; (ns = ns_next_hidden(p, ns));) {
        if (gives_way(p, ns) != WAY_TRASH || !is_weighed(p, ns, KEPT_WEIGHED_FOR))
            continue;
        ret.bytes += ns->alone.bytes;
        ret.since = ns->alone.time < ret.since ? ns->alone.time : ret.since;
    }
    return ret;
}
