// SPDX-License-Identifier: Apache-2.0
/* ns_branch: see the header. */
#include "ns_branch.h"
#include "ns_find.h"
#include "ns_note.h"
#include "kept.h"
#include "strbuf.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ns_instant ns_now(const struct ns *ns)
{
    return ns->hidden.kind ? ns->hidden.of
                           : (struct ns_instant){ns->number, ns->generation, ns->seq};
}

/* Makes a new struct a branch of `from`. It has the inode numbers of its origin up to here, and
 * takes a run of its own when it needs one. */
static void be_branch(struct ns *ns, const struct ns *from)
{
    ns->next_ino = ns->ino_end = ns->own_ino = from->next_ino;
    ns->origin = ns->base = ns_now(from);
    ns->branched = true;
    ns->counted = from->counted;
}

/* Makes a new struct one that is kept of `from` at this instant. */
static void be_kept(struct state *p, struct ns *ns, const struct ns *from, enum ns_kind kind)
{
    ns->next_ino = ns->ino_end = from->next_ino;
    ns->own_ino = from->own_ino;
    ns->origin = from->origin;
    ns->base = from->base;
    ns->counted = from->counted;
    ns->frozen = true;
    ns->hidden = (struct ns_hidden){.kind = kind, .of = ns_now(from), .since = now(p)};
}

/* Gives the new struct the tree of `from`, and publishes it. The table owns it afterwards, or the
 * caller after an error. */
static int publish(struct txn *t, struct ns *ns, const struct ns *from)
{
    int err = from->live ? tree_branch(&from->tree, &ns->tree) : -ENOENT;

    if (err < 0)
        return err;
    err = ns_publish(t, ns, from);
    if (err < 0)
        (void)drops_push(t->p->drops, ns->tree.root);
    return err;
}

int ns_hold_base(struct txn *t, const struct ns *from)
{
    struct state *p = t->p;
    const struct ns_instant at = ns_now(from);
    struct ns *ns;
    int err;

    if (settings_get(&p->settings, SET_ORIGIN_KEEP) == 0)
        return 0;
    if (ns_get_hidden(p, NS_ORIGIN, &at, NULL, &ns) == 0) {
        err = kept_renew(t, ns);
        ns_put(p, ns);
        return err;
    }
    err = ns_alloc(p, from->name, &ns);
    if (err < 0)
        return err;
    be_kept(p, ns, from, NS_ORIGIN);
    err = publish(t, ns, from);
    if (err < 0)
        ns_discard(ns);
    return err;
}

/* A name with the number of the change that the snapshot is of, which the caller frees. NULL: no
 * memory. */
static char *number_name(const char *name, uint64_t seq)
{
    char *ret;

    return asprintf(&ret, "%.200s.%llu", name, (unsigned long long)seq) < 0 ? NULL : ret;
}

/* Gives the snapshot, which is passing, another name. */
static int move_aside(struct txn *t, struct ns *ns)
{
    char *other = number_name(ns->name, ns->hidden.of.seq);

    if (!other)
        return -ENOMEM;
    {
        WRITE_GUARD(&t->p->names.lock);
        free(ns_table_rename(&t->p->names, ns, other));
    }
    capture_ns_put(t, ns);
    return state_changed(t, NULL);
}

/* Makes the struct of a new passing snapshot with a name that no other one has. */
static int alloc_passing(struct txn *t, const struct ns *from, const char *name, struct ns **ret)
{
    const struct ns_instant at = ns_now(from);
    struct ns *old;
    char *other = NULL;
    int err = ns_get_hidden(t->p, NS_SNAPSHOT, &at, name, &old);

    if (err < 0)
        return err == -ENOENT ? ns_alloc(t->p, name, ret) : err;
    if (old->hidden.passing) {
        err = move_aside(t, old);
    } else {
        other = number_name(name, at.seq);
        err = other ? 0 : -ENOMEM;
    }
    ns_put(t->p, old);
    if (err == 0)
        err = ns_alloc(t->p, other ? other : name, ret);
    free(other);
    return err;
}

int ns_keep_passing(struct txn *t, const struct ns *of, const struct ns_passing *how)
{
    struct ns *ns;
    int err = alloc_passing(t, of, how->name, &ns);

    if (err < 0)
        return err;
    be_kept(t->p, ns, of, NS_SNAPSHOT);
    ns->hidden.passing = true;
    ns->hidden.since = how->since;
    ns->base = how->from;
    ns->origin = how->branch;
    err = publish(t, ns, of);
    if (err < 0)
        ns_discard(ns);
    return err;
}

/* Makes `*ns` a branch (NS_VISIBLE) or a snapshot. On success the table owns it, and *ns
 * is NULL. */
static int make(struct txn *t, struct ns *from, enum ns_kind kind, struct ns **ns,
                uint64_t *ret_seq, uint32_t *ret_number)
{
    int err = 0;

    if (kind == NS_SNAPSHOT && from->hidden.kind)
        return -EINVAL;
    if (kind == NS_VISIBLE) {
        be_branch(*ns, from);
        err = ns_hold_base(t, from);
    } else {
        be_kept(t->p, *ns, from, kind);
    }
    if (kind == NS_SNAPSHOT)
        err = find_snapshot_is_free(t->p, from, (*ns)->name);
    if (err == 0)
        err = publish(t, *ns, from);
    if (err < 0)
        return err;
    *ret_seq = (*ns)->seq;
    *ret_number = (*ns)->number;
    *ns = NULL;
    return 0;
}

/* Does all of a branch or a snapshot of `from`. */
static int make_of(struct state *p, struct ns *from, const char *name, enum ns_kind kind,
                   uint64_t *ret_seq, uint32_t *ret_number)
{
    TXN(t);
    struct ns *ns = NULL;
    int err = from->target ? -EINVAL : state_root_writable(p);

    if (err == 0)
        err = ns_alloc(p, name, &ns);
    /* A shared mapping keeps its file open, so without files open for writing nothing has to be
     * written back. */
    if (err == 0)
        err = vnodes_write_back(p, from);
    if (err == 0)
        err = txn_begin_alone(p, 0, &t);
    if (err == 0)
        err = make(&t, from, kind, &ns, ret_seq, ret_number);
    txn_end(&t);
    if (ns)
        ns_discard(ns);
    return err;
}

int ns_branch(struct state *p, const char *from, const char *to, uint64_t *ret_seq,
              uint32_t *ret_number)
{
    struct ns *src;
    int err = ns_check_new_name(to);

    if (err == 0)
        err = ns_find(p, from, &src);
    if (err < 0)
        return err;
    err = make_of(p, src, to, NS_VISIBLE, ret_seq, ret_number);
    ns_put(p, src);
    if (err == 0)
        event_stale(p, VFS_ROOT);
    return err;
}

/* May a snapshot have that name? -ENAMETOOLONG, -EINVAL. */
static int check_name(const char *name)
{
    int err = ns_check_new_name(name);

    if (err < 0)
        return err;
    return !name[strspn(name, "0123456789")] ||
                   !strncmp(name, NS_LABEL_DROPPED, strlen(NS_LABEL_DROPPED)) ||
                   !strncmp(name, NS_AUTOMATIC, strlen(NS_AUTOMATIC))
               ? -EINVAL
               : 0;
}

int ns_snapshot(struct state *p, struct ns *of, const char *name, uint64_t *ret_seq)
{
    uint32_t number;
    int err = check_name(name);

    return err < 0 ? err : make_of(p, of, name, NS_SNAPSHOT, ret_seq, &number);
}

int ns_snapshot_automatic(struct state *p, struct ns *of, uint64_t *ret_seq)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    uint32_t number;
    int err;

    strbuf_adds(&name, NS_AUTOMATIC);
    strbuf_add_time(&name, now(p));
    err = strbuf_error(&name);
    return err < 0 ? err : make_of(p, of, name.s, NS_SNAPSHOT, ret_seq, &number);
}

/* An older version lets people give names that begin so: only the whole form is automatic. */
bool ns_is_automatic(const struct ns *ns)
{
    static const char form[] = NS_AUTOMATIC "0000-00-00T00:00:00Z";

    if (ns->hidden.kind != NS_SNAPSHOT || strlen(ns->name) != strlen(form))
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == '0' ? ns->name[i] < '0' || ns->name[i] > '9' : ns->name[i] != form[i])
            return false;
    return true;
}

int ns_keep_now(struct txn *t, struct ns *of, enum ns_kind kind, struct ns *ns)
{
    be_kept(t->p, ns, of, kind);
    atomic_store(&ns->refs, 1); /* from the first moment, so that it is not given up */
    return publish(t, ns, of);
}

int ns_draft_now(struct txn *t, struct ns *of, struct ns **ret_ns)
{
    struct ns *ns;
    int err = ns_alloc(t->p, of->name, &ns);

    if (err < 0)
        return err;
    err = ns_keep_now(t, of, NS_DRAFT, ns);
    if (err < 0)
        ns_discard(ns);
    else
        *ret_ns = ns;
    return err;
}

int ns_draft_of(struct state *p, struct ns *of, struct ns **ret_ns)
{
    TXN(t);
    int err = of->target ? -EINVAL : vnodes_write_back(p, of);

    if (err == 0)
        err = txn_begin_alone(p, 0, &t);
    return err < 0 ? err : ns_draft_now(&t, of, ret_ns);
}

int ns_hold(struct state *p, struct ns *snapshot, bool held)
{
    TXN(t);
    struct ns_hidden hidden;
    int err = txn_begin_alone(p, 0, &t);

    if (err < 0)
        return err;
    if (!snapshot->live)
        return -ENOENT;
    hidden = snapshot->hidden;
    if (hidden.kind != NS_SNAPSHOT)
        return -EINVAL;
    hidden.held = held;
    return kept_note(&t, snapshot, &hidden);
}

int ns_detach(struct state *p, struct ns *ns)
{
    int err = state_root_writable(p);

    if (err < 0)
        return err;
    {
        TXN(t);

        err = txn_begin_alone(p, 0, &t);
        if (err == 0 && !ns->live)
            err = -ENOENT;
        if (err == 0 && !ns->base.ns)
            err = -ENODATA;
        if (err == 0)
            err = note_detach(&t, ns);
        if (err < 0)
            return err;
        {
            WRITE_GUARD(&p->names.lock);
            ns->base = (struct ns_instant){0};
        }
        ns->dirty = true;
        capture_ns_put(&t, ns);
        err = state_changed(&t, NULL);
    }
    if (err == 0)
        kept_release(p);
    return err;
}
