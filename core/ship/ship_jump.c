// SPDX-License-Identifier: Apache-2.0
/*
 * ship_jump: sections that lead further back. A restore goes from a namespace's last section to the
 * one before, and so on: one request each. So now and then a segment has, beside the section that
 * is the difference to the one before, another one that is the difference to the one SPAN sections
 * before, and a longer one every SPAN * SPAN: a restore takes the longest.
 *
 * The items of such a section are those of the sections that it spans, one after the other. They
 * are kept in memory meanwhile, so nothing is read back from the archive, and no tree is held for
 * it. What would be more than JUMP_BYTES is not kept, and then there is no such section.
 */
#include "ship_impl.h"

#include "items_file.h"
#include <errno.h>

#define SPAN 64u
#define JUMP_BYTES ((size_t)512 << 10) /* of one of them */
#define JUMPS_ALL ((size_t)64 << 20)   /* of all of a stream */

static void forget(struct stream *s, struct ship_jump *j)
{
    s->jump_bytes -= j->items.len;
    strbuf_release(&j->items);
    *j = (struct ship_jump){.items = STRBUF_INIT};
}

void ship_jumps_forget(struct stream *s, struct shipped *e)
{
    for (unsigned i = 0; i < SHIP_JUMPS; i++)
        forget(s, &e->jump[i]);
}

void ship_jumps_init(struct shipped *e)
{
    for (unsigned i = 0; i < SHIP_JUMPS; i++)
        e->jump[i] = (struct ship_jump){.items = STRBUF_INIT};
}

void ship_jumps_begin(struct stream *s, struct shipped *e)
{
    for (unsigned i = 0; i < SHIP_JUMPS; i++) {
        struct ship_jump *j = &e->jump[i];

        if (e->section.from.ns == 0)
            forget(s, j); /* a section that begins with an empty tree is the end of the way */
        if (j->sections == 0) {
            j->from = e->section.from;
            j->from_at = e->section.from_at;
        }
    }
}

void ship_jumps_add(struct stream *s, struct shipped *e, const void *item, size_t len)
{
    for (unsigned i = 0; i < SHIP_JUMPS; i++) {
        struct ship_jump *j = &e->jump[i];
        size_t most = JUMP_BYTES << 3 * i;

        if (j->full || e->section.from.ns == 0)
            continue;
        if (j->items.len + len > most || s->jump_bytes + len > JUMPS_ALL) {
            s->jump_bytes -= j->items.len;
            strbuf_release(&j->items);
            j->full = true;
            continue;
        }
        strbuf_add(&j->items, item, len);
        s->jump_bytes += len;
        j->count++;
    }
}

/* Makes the section of a jump that spans enough. 1: it was made; 0: there is none. */
static int take(struct shipped *e, struct ship_jump *j, unsigned span, struct items_file *out,
                struct segment_section *ret)
{
    int err;

    if (e->section.from.ns == 0 || ++j->sections < span || j->full)
        return 0;
    err = strbuf_error(&j->items);
    if (err < 0)
        return err;
    *ret = e->section;
    ret->from = j->from;
    ret->from_at = j->from_at;
    ret->items = j->count;
    ret->offset = items_file_len(out);
    ret->len = j->items.len;
    err = items_file_add(out, j->items.s, j->items.len);
    return err < 0 ? err : 1;
}

int ship_jumps_take(struct stream *s, struct shipped *e, struct items_file *out,
                    struct segment_section ret[SHIP_JUMPS], unsigned *ret_count)
{
    unsigned span = SPAN;

    *ret_count = 0;
    for (unsigned i = 0; i < SHIP_JUMPS; i++, span *= SPAN) {
        struct ship_jump *j = &e->jump[i];
        int made = take(e, j, span, out, &ret[*ret_count]);

        if (made < 0)
            return made;
        *ret_count += (unsigned)made;
        if (j->sections >= span)
            forget(s, j);
    }
    return 0;
}
