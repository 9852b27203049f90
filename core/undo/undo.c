// SPDX-License-Identifier: Apache-2.0
/* undo: see the header. */
#include "undo.h"

#include "history_by.h"
#include "merge_undo.h"
#include "ns_drop.h"
#include "ttl.h"
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

/* ---- what an entry is about ---- */

/* The entry that is to be inverted: the tip of the operation, or the operation. -ENOENT: the tip is
 * gone. */
static int tip_of(struct state *p, const struct history_op *op, struct history_entry *ret)
{
    struct history_op tip = *op;
    int err = op->tip ? history_get(&p->history, op->tip, &tip) : 0;

    *ret = tip.entry;
    return err;
}

/* Finds a namespace that is still of that kind, with a reference. -ENODATA: *ret_ns is NULL. */
static int find_ns(struct state *p, const struct history_ns *of, enum ns_kind kind,
                   struct ns **ret_ns)
{
    bool is;

    *ret_ns = NULL;
    if (ns_get(p, of->number, ret_ns) < 0)
        return -ENODATA;
    {
        READ_GUARD(&p->names.lock);
        is = (*ret_ns)->generation == of->generation && (*ret_ns)->hidden.kind == kind;
    }
    if (is)
        return 0;
    ns_put(p, *ret_ns);
    *ret_ns = NULL;
    return -ENODATA;
}

static bool has_name(struct state *p, const struct ns *ns, const char *name)
{
    READ_GUARD(&p->names.lock);

    return !strcmp(ns->name, name);
}

/* The kind that the namespace has to have so that the entry can be inverted. -EOPNOTSUPP */
static int ns_kind_needed(const struct history_entry *e, enum ns_kind *ret)
{
    static const enum ns_kind kinds[HISTORY_KIND_END] = {
        [HISTORY_DROP] = NS_TRASH, [HISTORY_SNAPSHOT] = NS_SNAPSHOT};

    *ret = kinds[e->kind]; /* of the others 0, NS_VISIBLE */
    switch (e->kind) {
    case HISTORY_CREATE:
    case HISTORY_BRANCH:
    case HISTORY_IMPORT:
    case HISTORY_UNDROP:
    case HISTORY_DROP:
    case HISTORY_RENAME:
    case HISTORY_EXCHANGE:
    case HISTORY_SNAPSHOT:
    case HISTORY_MERGE:
    case HISTORY_COMMIT:
    case HISTORY_IMPORT_INTO:
        return 0;
    case HISTORY_REMOVE:
    case HISTORY_UNSNAPSHOT:
    case HISTORY_REPLACE:
    case HISTORY_DETACH:
    case HISTORY_KIND_END:
        break;
    }
    return -EOPNOTSUPP;
}

/* Is it still there as the entry left it? */
static int fits(struct state *p, const struct history_op *op, const struct history_entry *e,
                const struct ns *ns)
{
    struct ns *other;
    int err;

    if (history_entry_is_merge(e))
        return merge_can_undo(p, ns, e->seq, op->undone) ? 0 : -ENODATA;
    if (e->kind != HISTORY_RENAME && e->kind != HISTORY_EXCHANGE)
        return 0;
    if (!has_name(p, ns, e->second))
        return -ENODATA;
    if (e->kind == HISTORY_RENAME)
        return 0;
    err = find_ns(p, &e->other, NS_VISIBLE, &other);
    if (err == 0 && !has_name(p, other, e->name))
        err = -ENODATA;
    ns_put(p, other);
    return err;
}

/* The last operation behind the entry that hid, showed or deleted its namespace. -ENOENT */
static int last_move(struct state *p, const struct history_entry *e, struct history_op *ret)
{
    uint64_t at = UINT64_MAX;

    while (history_before(&p->history, at, ret) == 0 && ret->entry.seq > e->seq) {
        const struct history_entry *o = &ret->entry;

        at = o->seq;
        if (o->ns.number == e->ns.number && o->ns.generation == e->ns.generation &&
            (o->kind == HISTORY_DROP || o->kind == HISTORY_REMOVE || o->kind == HISTORY_UNDROP ||
             o->kind == HISTORY_UNSNAPSHOT))
            return 0;
    }
    return -ENOENT;
}

/* When what the entry needs went: when its namespace was dropped or deleted, or when the time was
 * over for which it is kept; 0: not known. */
static int64_t gone_at(struct state *p, const struct history_entry *e)
{
    const int64_t until = e->time + settings_get(&p->settings, SET_TRASH_KEEP);
    struct history_op op;

    if (last_move(p, e, &op) == 0 && op.entry.kind != HISTORY_UNDROP)
        return op.entry.time;
    return history_entry_is_merge(e) && until <= now(p) ? until : 0;
}

/* Finds the entry to be inverted, and the namespace that it is about, with a reference. */
static int find(struct state *p, const struct history_op *op, bool redo, struct history_entry *ret,
                struct ns **ret_ns)
{
    enum ns_kind kind = NS_VISIBLE;
    int err = op->undone == redo ? tip_of(p, op, ret) : -EALREADY;

    *ret_ns = NULL;
    if (err == 0)
        err = ns_kind_needed(ret, &kind);
    if (err == 0)
        err = find_ns(p, &ret->ns, kind, ret_ns);
    if (err == 0)
        err = fits(p, op, ret, *ret_ns);
    if (err < 0) {
        ns_put(p, *ret_ns);
        *ret_ns = NULL;
    }
    return err;
}

int undo_look(struct state *p, const struct history_op *op, bool redo)
{
    struct history_entry e;
    struct ns *ns;
    int err = find(p, op, redo, &e, &ns);

    ns_put(p, ns);
    return err;
}

/* ---- which one ---- */

/* Is it one that is chosen without its number? If the newest cannot be undone it is chosen all the
 * same, and refused: an older one is not what the caller means. */
static bool is_chosen(struct state *p, const struct history_op *op, bool redo)
{
    if (op->entry.of)
        return false;
    return redo ? undo_look(p, op, true) == 0 : !op->entry.itself && !op->undone;
}

/* Finds the newest that is not undone; of those that can be done again the one that was undone
 * last. -ENOENT */
static int choose(struct state *p, bool redo, struct history_op *ret)
{
    struct history_op op;
    uint64_t at = UINT64_MAX, best = 0;

    while (history_before(&p->history, at, &op) == 0) {
        at = op.entry.seq;
        if (op.tip < best || !is_chosen(p, &op, redo))
            continue;
        *ret = op;
        if (!redo)
            return 0;
        best = op.tip;
    }
    return best ? 0 : -ENOENT;
}

/* Finds the operation that the number names. That of an entry of its chain means: what this entry
 * did is taken back. */
static int find_op(struct state *p, const struct undo_call *c, bool *redo, struct history_op *ret)
{
    int err = c->seq ? history_get(&p->history, c->seq, ret) : choose(p, c->redo, ret);

    *redo = c->redo;
    if (err < 0 || !ret->entry.of)
        return err;
    if (!c->redo)
        *redo = !ret->entry.again;
    return history_get(&p->history, ret->entry.of, ret);
}

/* ---- doing it ---- */

static int drop(struct state *p, struct ns *ns, struct undo_result *ret)
{
    if (settings_get(&p->settings, SET_TRASH_KEEP) == 0)
        return -EPERM;
    return ns_trash(p, ns, false, &ret->open);
}

static int undrop(struct state *p, struct ns *ns, const char *as)
{
    int err = ns_undrop(p, ns, as);

    return err < 0 ? err : ttl_forgive(p, ns);
}

/* Inverts the entry, as the operations of this thread that take back `op`. */
static int invert(struct state *p, const struct undo_call *c, const struct history_entry *e,
                  struct ns *ns, struct undo_result *ret)
{
    switch (e->kind) {
    case HISTORY_CREATE:
    case HISTORY_BRANCH:
    case HISTORY_IMPORT:
    case HISTORY_UNDROP:
        return drop(p, ns, ret);
    case HISTORY_DROP:
        return undrop(p, ns, e->name);
    case HISTORY_RENAME:
        return ns_rename_it(p, ns, e->name, RENAME_NOREPLACE);
    case HISTORY_EXCHANGE:
        return ns_rename_it(p, ns, e->name, RENAME_EXCHANGE);
    case HISTORY_SNAPSHOT:
        return ns_remove(p, ns, NS_SNAPSHOT, false, &ret->open);
    case HISTORY_MERGE:
    case HISTORY_COMMIT:
    case HISTORY_IMPORT_INTO:
        return merge_undo(p, ns, e->seq, ret->op.undone, c->rule, c->interrupted, &ret->merge);
    case HISTORY_REMOVE:
    case HISTORY_UNSNAPSHOT:
    case HISTORY_REPLACE:
    case HISTORY_DETACH:
    case HISTORY_KIND_END:
        break;
    }
    return -EOPNOTSUPP;
}

int undo_run(struct state *p, const struct undo_call *c, struct undo_result *ret)
{
    struct history_by by = history_by_get(), mine = by;
    struct history_op after;
    struct history_entry e;
    struct ns *ns = NULL;
    bool redo;
    int err;

    *ret = (struct undo_result){.seq = 0};
    err = find_op(p, c, &redo, &ret->op);
    if (err == 0 && !c->seq && !redo && ret->op.entry.kind == HISTORY_SNAPSHOT)
        err = -EOPNOTSUPP; /* it would be deleted, and nothing would bring it back */
    if (err == 0)
        err = find(p, &ret->op, redo, &e, &ns);
    if (err == -ENODATA)
        ret->gone = gone_at(p, &e);
    if (err < 0)
        return err;
    mine.of = ret->op.entry.seq;
    mine.again = redo;
    (void)history_by_set(&mine);
    err = invert(p, c, &e, ns, ret);
    (void)history_by_set(&by);
    ns_put(p, ns);
    if (err == 0 && history_get(&p->history, ret->op.entry.seq, &after) == 0)
        ret->seq = after.tip;
    return err;
}
