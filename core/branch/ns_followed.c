// SPDX-License-Identifier: Apache-2.0
/* ns_followed: see the header. The note is a tagged field of the record (FORMAT.md). */
#include "ns_followed.h"
#include "ns_branch.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_LEN (2 + 4 + 4 + 8 + 8 + 8 + 8 + POINT_STATE_LEN)

static void encode(const struct ns_followed *f, uint8_t out[NOTE_LEN])
{
    put_le16(out, f->archive);
    put_le32(out + 2, f->ns);
    put_le32(out + 6, f->generation);
    put_le64(out + 10, f->seq);
    put_le64(out + 18, (uint64_t)f->since);
    put_le64(out + 26, f->epoch);
    put_le64(out + 34, f->serial);
    memcpy(out + 42, f->state, POINT_STATE_LEN);
}

static bool decode(const uint8_t *in, size_t len, struct ns_followed *ret)
{
    if (len != NOTE_LEN)
        return false;
    *ret = (struct ns_followed){.archive = get_le16(in),
                                .ns = get_le32(in + 2),
                                .generation = get_le32(in + 6),
                                .seq = get_le64(in + 10),
                                .since = (int64_t)get_le64(in + 18),
                                .epoch = get_le64(in + 26),
                                .serial = get_le64(in + 34)};
    memcpy(ret->state, in + 42, POINT_STATE_LEN);
    return true;
}

/* Puts the note into the record. */
static int put_note(struct ns *ns, const struct ns_followed *f)
{
    uint8_t bytes[NOTE_LEN];
    struct ns_tail *tail;
    int err;

    encode(f, bytes);
    err = ns_tail_put(ns->tail, NS_TAG_FOLLOWED, bytes, sizeof bytes, &tail);
    if (err < 0)
        return err;
    free(ns->tail);
    ns->tail = tail;
    ns->dirty = true;
    return 0;
}

int ns_followed_note(struct txn *t, struct ns *ns, const struct ns_followed *f, bool frozen)
{
    int err = ns->live ? put_note(ns, f) : -ENOENT;

    if (err < 0)
        return err;
    ns->frozen = frozen;
    capture_ns_put(t, ns);
    return 0;
}

/* The draft is one that can be seen: it is no branch, and its changes are logged from now on. */
static void settle(struct state *p, struct ns *draft, bool frozen)
{
    draft->frozen = frozen;
    draft->origin = draft->base = (struct ns_instant){0};
    draft->own_ino = 0;
    draft->dirty = true;
    if (p->log)
        draft->tree.observer = &draft->observer.observer;
    atomic_store(&draft->followed, true);
}

int ns_followed_show(struct txn *t, struct ns *draft, const struct ns_followed *f, bool frozen,
                     char **name)
{
    struct state *p = t->p;
    int err;

    ns_lock(t, draft);
    err = draft->live && draft->hidden.kind == NS_DRAFT ? put_note(draft, f) : -ENOENT;
    if (err == 0) {
        WRITE_GUARD(&p->names.lock);

        settle(p, draft, frozen);
        *name = ns_table_rename(&p->names, draft, *name);
        ns_table_hide(&p->names, draft, &(struct ns_hidden){.kind = NS_VISIBLE});
        p->names.mtime = now(p);
    }
    if (err == 0)
        capture_ns_put(t, draft);
    ns_unlock(draft);
    return err;
}

void ns_followed_rename(struct txn *t, struct ns *ns, char **name)
{
    {
        WRITE_GUARD(&t->p->names.lock);

        *name = ns_table_rename(&t->p->names, ns, *name);
        t->p->names.mtime = now(t->p);
    }
    capture_ns_put(t, ns);
}

int ns_followed_hide(struct txn *t, struct ns *ns)
{
    struct state *p = t->p;
    struct ns_hidden hidden = {.kind = NS_TRASH, .of = ns_now(ns), .since = now(p)};

    if (!ns->live || ns->hidden.kind)
        return -ENOENT;
    hidden.thawed = !ns->frozen;
    ns_lock(t, ns);
    ns->frozen = true;
    atomic_store(&ns->followed, false);
    {
        WRITE_GUARD(&p->names.lock);

        ns_table_hide(&p->names, ns, &hidden);
        p->names.mtime = now(p);
    }
    capture_ns_put(t, ns);
    ns_unlock(ns);
    return 0;
}

bool ns_followed_get(struct state *p, struct ns *ns, struct ns_followed *ret)
{
    const uint8_t *field;
    size_t len;
    READ_GUARD(&ns->lock); /* the note is in the tail of its record */
    READ_GUARD(&p->names.lock);

    if (!ns->live || ns->hidden.kind)
        return false;
    field = ns_tail_find(ns->tail, NS_TAG_FOLLOWED, &len);
    return field && decode(field, len, ret);
}

int ns_followed_next(struct state *p, uint32_t after, struct ns **ret, struct ns_followed *ret_f)
{
    int err;

    while ((err = ns_next_number(p, after, ret)) == 0) {
        if (ns_followed_get(p, *ret, ret_f))
            return 0;
        after = (*ret)->number;
        ns_put(p, *ret);
    }
    return err;
}
