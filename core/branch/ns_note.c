// SPDX-License-Identifier: Apache-2.0
/* ns_note: see the header. */
#include "ns_note.h"

#include "ns_label.h"
#include <stdio.h>

/* An entry about a namespace, with the name that it has. */
static struct history_entry entry_of(struct state *p, enum history_kind kind, const struct ns *ns)
{
    struct history_entry e = {.kind = kind, .ns = {ns->number, ns->generation}};
    READ_GUARD(&p->names.lock);

    snprintf(e.name, sizeof e.name, "%s", ns->name);
    return e;
}

static int note(struct txn *t, enum history_kind kind, const struct ns *ns)
{
    const struct history_entry e = entry_of(t->p, kind, ns);

    return capture_history(t, &e);
}

static int note_named(struct txn *t, enum history_kind kind, const struct ns *ns, const char *name)
{
    struct history_entry e = entry_of(t->p, kind, ns);

    snprintf(e.name, sizeof e.name, "%s", name);
    return capture_history(t, &e);
}

int note_trash(struct txn *t, const struct ns *ns)
{
    return note(t, HISTORY_DROP, ns);
}

int note_undrop(struct txn *t, const struct ns *ns, const char *as)
{
    return note_named(t, HISTORY_UNDROP, ns, as);
}

int note_import(struct txn *t, const struct ns *ns, const char *name)
{
    return note_named(t, HISTORY_IMPORT, ns, name);
}

int note_detach(struct txn *t, const struct ns *ns)
{
    return note(t, HISTORY_DETACH, ns);
}

/* The name of the namespace that a snapshot is of. False: it is gone, and its snapshots go with
 * it. */
static bool name_parent(struct state *p, const struct ns *ns, char out[NS_LABEL_MAX])
{
    struct ns *of;
    bool is;

    if (ns_get(p, ns->hidden.of.ns, &of) < 0)
        return false;
    is = of->generation == ns->hidden.of.generation;
    if (is)
        ns_label(p, of, out);
    ns_put(p, of);
    return is;
}

int note_remove(struct txn *t, const struct ns *ns)
{
    const struct ns_hidden *hidden = &ns->hidden;
    struct history_entry e = entry_of(t->p, HISTORY_REMOVE, ns);

    _Static_assert(sizeof e.second >= NS_LABEL_MAX, "a label fits");
    if (ns->target || hidden->kind == NS_ORIGIN || hidden->kind == NS_DRAFT || hidden->passing)
        return 0;
    if (hidden->kind == NS_TRASH)
        ns_label(t->p, ns, e.second);
    if (hidden->kind == NS_SNAPSHOT) {
        e.kind = HISTORY_UNSNAPSHOT;
        e.other = (struct history_ns){hidden->of.ns, hidden->of.generation};
        if (!name_parent(t->p, ns, e.second))
            return 0;
    }
    return capture_history(t, &e);
}

int note_rename(struct txn *t, const struct ns *ns, const char *newname, const struct ns *other,
                bool exchange)
{
    struct history_entry e = entry_of(t->p, HISTORY_RENAME, ns);

    if (ns->target) /* people see it as a name that leads elsewhere, not as a namespace */
        return 0;
    if (other) {
        e.kind = exchange ? HISTORY_EXCHANGE : HISTORY_REPLACE;
        e.other = (struct history_ns){other->number, other->generation};
    }
    snprintf(e.second, sizeof e.second, "%s", newname);
    return capture_history(t, &e);
}
