// SPDX-License-Identifier: Apache-2.0
/* ns_draft: see the header. */
#include "ns_draft.h"
#include "flush.h"
#include "kept.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_note.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t ns_count_drafts(struct state *p)
{
    size_t n = 0;
    READ_GUARD(&p->names.lock);

    for (const struct ns *ns = NULL; (ns = ns_next_hidden(p, ns));)
        n += ns->hidden.kind == NS_DRAFT;
    return n;
}

int ns_draft(struct state *p, const char *name, struct ns **ret_ns)
{
    return ns_count_drafts(p) < NS_DRAFTS_MAX ? ns_draft_empty(p, name, ret_ns) : -EBUSY;
}

int ns_draft_empty(struct state *p, const char *name, struct ns **ret_ns)
{
    TXN(t);
    int err = txn_begin(p, 0, &t);

    if (err == 0)
        err = ns_create_draft(&t, name, ret_ns);
    if (err < 0)
        return err;
    NS_GUARD(&t, *ret_ns);
    (*ret_ns)->tree.observer = NULL; /* from here on its changes are in no frame */
    return 0;
}

int ns_draft_from(struct state *p, struct ns *of, struct ns **ret_ns)
{
    int err = ns_draft_of(p, of, ret_ns);

    if (err < 0)
        return err;
    WRITE_GUARD(&(*ret_ns)->lock);
    (*ret_ns)->tree.observer = NULL;
    return 0;
}

int ns_draft_detach(struct state *p, struct ns *draft)
{
    TXN(t);
    int err = txn_begin_alone(p, 0, &t);

    if (err < 0)
        return err;
    NS_GUARD(&t, draft);
    WRITE_GUARD(&p->names.lock);
    draft->frozen = false;
    draft->origin = draft->base = (struct ns_instant){0};
    draft->own_ino = 0;
    draft->dirty = true;
    return 0;
}

int ns_draft_take(struct txn *t, struct ns *ns, const struct ns *draft)
{
    int err = ns_tree_take(t->p, ns, draft);

    if (err == 0)
        capture_op(t, &(struct op){.kind = OP_NS_TAKE, .ns = ns->number, .number = draft->number});
    return err;
}

/* Gives the draft the name `*name`, and puts its old name there, for the caller to free. The change
 * is alone. */
static int show(struct txn *t, struct ns *ns, char **name)
{
    struct state *p = t->p;
    int err;
    NS_GUARD(t, ns);

    err = note_import(t, ns, *name);
    if (err < 0)
        return err;
    {
        WRITE_GUARD(&p->names.lock);

        if (!ns->live || ns->hidden.kind != NS_DRAFT)
            return -ENOENT;
        if (ns_table_has_name(&p->names, *name))
            return -EEXIST;
        *name = ns_table_rename(&p->names, ns, *name);
    }
    if (p->log)
        ns->tree.observer = &ns->observer.observer;
    return kept_note(t, ns, &(struct ns_hidden){.kind = NS_VISIBLE});
}

static bool is_taken(struct state *p, const char *name)
{
    READ_GUARD(&p->names.lock);

    return ns_table_has_name(&p->names, name);
}

int ns_draft_publish(struct state *p, struct ns *draft, const char *name, uint64_t *ret_seq)
{
    char *copy;
    int err = ns_check_new_name(name);

    if (err == 0)
        err = state_root_writable(p);
    if (err == 0)
        err = is_taken(p, name) ? -EEXIST : flush_now(p);
    if (err < 0)
        return err;
    copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    {
        TXN(t);

        err = txn_begin_alone(p, 0, &t);
        if (err == 0)
            err = show(&t, draft, &copy);
        *ret_seq = atomic_load(&p->seq);
    }
    free(copy);
    if (err == 0)
        event_stale(p, VFS_ROOT);
    return err;
}

void ns_draft_drop(struct state *p, struct ns *draft)
{
    uint32_t open;
    int err = ns_remove(p, draft, NS_DRAFT, false, &open);

    if (err < 0 && err != -ESHUTDOWN)
        report(REPORT_WARN, "a draft of %s cannot be dropped (%s): the next mount does it",
               draft->name, strerror(-err));
    ns_put(p, draft);
}
