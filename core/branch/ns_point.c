// SPDX-License-Identifier: Apache-2.0
/* ns_point: see the header. The note is a tagged field of the record (FORMAT.md, "Namespaces"). */
#include "ns_point.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum note_flags { IS_FROZEN = 1 << 0, IS_MADE_UP = 1 << 1, ALL_FLAGS = IS_FROZEN | IS_MADE_UP };

#define NOTE_LEN_1 (2 + 1 + 8 + 8 + POINT_STATE_LEN + 8) /* without items, steps and all */
#define NOTE_LEN (NOTE_LEN_1 + 8 + 8 + 8)

static void encode(const struct ns_point *n, uint8_t out[NOTE_LEN])
{
    put_le16(out, n->archive);
    out[2] = (uint8_t)((n->frozen ? IS_FROZEN : 0) | (n->made_up ? IS_MADE_UP : 0));
    put_le64(out + 3, n->epoch);
    put_le64(out + 11, n->serial);
    memcpy(out + 19, n->state, POINT_STATE_LEN);
    put_le64(out + 19 + POINT_STATE_LEN, n->lost);
    put_le64(out + NOTE_LEN_1, n->items);
    put_le64(out + NOTE_LEN_1 + 8, n->steps);
    put_le64(out + NOTE_LEN_1 + 16, n->all);
}

static bool decode(const uint8_t *in, size_t len, struct ns_point *ret)
{
    if ((len != NOTE_LEN && len != NOTE_LEN_1) || in[2] > ALL_FLAGS)
        return false;
    *ret = (struct ns_point){.archive = get_le16(in),
                             .frozen = in[2] & IS_FROZEN,
                             .made_up = in[2] & IS_MADE_UP,
                             .epoch = get_le64(in + 3),
                             .serial = get_le64(in + 11),
                             .lost = get_le64(in + 19 + POINT_STATE_LEN)};
    memcpy(ret->state, in + 19, POINT_STATE_LEN);
    if (len == NOTE_LEN) {
        ret->items = get_le64(in + NOTE_LEN_1);
        ret->steps = get_le64(in + NOTE_LEN_1 + 8);
        ret->all = get_le64(in + NOTE_LEN_1 + 16);
    }
    return true;
}

/* Puts the note into the record of a namespace. */
static int put_note(struct ns *ns, const struct ns_point *note)
{
    uint8_t bytes[NOTE_LEN];
    struct ns_tail *tail;
    int err;

    encode(note, bytes);
    err = ns_tail_put(ns->tail, NS_TAG_POINT, bytes, sizeof bytes, &tail);
    if (err < 0)
        return err;
    free(ns->tail);
    ns->tail = tail;
    ns->dirty = true;
    return 0;
}

int ns_point_make(struct txn *t, struct ns *of, uint16_t archive, struct ns **ret)
{
    const struct ns_point note = {.archive = archive, .frozen = of->frozen};
    struct ns *ns;
    int err = ns_alloc(t->p, of->name, &ns);

    if (err < 0)
        return err;
    err = put_note(ns, &note);
    if (err == 0)
        err = ns_keep_now(t, of, NS_POINT, ns);
    if (err < 0)
        ns_discard(ns);
    else
        *ret = ns;
    return err;
}

int ns_point_note(struct txn *t, struct ns *point, const struct ns_point *note)
{
    int err;
    NS_GUARD(t, point);

    err = point->live ? put_note(point, note) : -ENOENT;
    if (err < 0)
        return err;
    capture_ns_put(t, point);
    return state_changed(t, NULL);
}

int ns_point_drop(struct txn *t, struct ns *point)
{
    int err;
    NS_GUARD(t, point);

    err = point->live ? drop_under_locks(t, point) : 0;
    return err < 0 ? err : state_changed(t, NULL);
}

bool ns_point_get(struct state *p, struct ns *ns, struct ns_point *ret)
{
    const uint8_t *field;
    size_t len;
    READ_GUARD(&ns->lock); /* the note is in the tail of its record */
    READ_GUARD(&p->names.lock);

    if (!ns->live || ns->hidden.kind != NS_POINT)
        return false;
    field = ns_tail_find(ns->tail, NS_TAG_POINT, &len);
    if (!field || !decode(field, len, ret))
        *ret = (struct ns_point){.archive = 0};
    return true;
}

int ns_point_next(struct state *p, uint32_t after, struct ns **ret, struct ns_point *ret_note)
{
    int err;

    while ((err = ns_next_number(p, after, ret)) == 0) {
        if (ns_point_get(p, *ret, ret_note))
            return 0;
        after = (*ret)->number;
        ns_put(p, *ret);
    }
    return err;
}
