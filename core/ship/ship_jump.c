// SPDX-License-Identifier: Apache-2.0
/*
 * ship_jump: sections that lead further back. A restore goes from a namespace's last section to the
 * one before, and so on: one request each. So now and then a segment has, beside the section that
 * is the difference to the one before, another one that is the difference to the one SPAN sections
 * before, and a longer one every SPAN * SPAN: a restore takes the longest.
 *
 * The items of such a section are those of the sections that it spans; of what was put or removed
 * several times the last one, so that it names no contents that only a state in between had. They
 * are kept in memory meanwhile, so nothing is read back from the archive, and no tree is held for
 * it. When they are half of JUMP_BYTES the section comes earlier, with what it spans by then: so
 * there are such sections also of a namespace in which much changes all the time. Where that is too
 * little to be of use, as after one large section, nothing is made, and they begin anew.
 */
#include "ship_impl.h"

#include "items_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPAN 64u
#define JUMP_BYTES ((size_t)2 << 20) /* of one of them; eight times that of a longer one */
#define JUMPS_ALL ((size_t)64 << 20) /* of all of a stream */

static size_t most_bytes(unsigned jump)
{
    return JUMP_BYTES << 3 * jump;
}

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

void ship_jumps_begin(struct stream *s, struct shipped *e, uint64_t steps)
{
    for (unsigned i = 0; i < SHIP_JUMPS; i++) {
        struct ship_jump *j = &e->jump[i];

        if (e->section.from.ns == 0)
            forget(s, j); /* a section that begins with an empty tree is the end of the way */
        if (j->sections == 0) {
            j->from = e->section.from;
            j->from_at = e->section.from_at;
            j->steps_from = steps;
        }
    }
}

void ship_jumps_add(struct stream *s, struct shipped *e, const void *item, size_t len)
{
    for (unsigned i = 0; i < SHIP_JUMPS; i++) {
        struct ship_jump *j = &e->jump[i];

        if (j->full || e->section.from.ns == 0)
            continue;
        if (j->items.len + len > most_bytes(i) || s->jump_bytes + len > JUMPS_ALL) {
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

/* ---- the last item of each key ---- */

struct spanned {
    struct segment_item item;
    size_t at, len; /* its bytes */
};

static int by_place(const void *a, const void *b)
{
    const struct spanned *x = a, *y = b;

    return (x->at > y->at) - (x->at < y->at);
}

/* Of one key, or of one name of an inode? 0: yes. */
static int compare_keys(const struct segment_item *x, const struct segment_item *y)
{
    if (x->ino != y->ino)
        return x->ino < y->ino ? -1 : 1;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    if (x->rest != y->rest)
        return x->rest < y->rest ? -1 : 1;
    if (x->name_len != y->name_len)
        return x->name_len < y->name_len ? -1 : 1;
    return x->name_len ? memcmp(x->name, y->name, x->name_len) : 0;
}

static int by_key(const void *a, const void *b)
{
    int order =
        compare_keys(&((const struct spanned *)a)->item, &((const struct spanned *)b)->item);

    return order ? order : by_place(a, b);
}

/* Leaves the last one of each key, in the order in which they were. Returns how many these are. */
static size_t keep_last(struct spanned *v, size_t count)
{
    size_t n = 0;

    qsort(v, count, sizeof *v, by_key);
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || compare_keys(&v[i].item, &v[i + 1].item) != 0)
            v[n++] = v[i];
    qsort(v, n, sizeof *v, by_place);
    return n;
}

static int add_last(const struct ship_jump *j, struct spanned *v, struct items_file *out,
                    struct segment_section *ret)
{
    size_t at = 0, count = 0, n;
    int err = 0;

    while (err == 0 && at < j->items.len) {
        v[count].at = at;
        err = segment_item_next((const uint8_t *)j->items.s, j->items.len, &at, &v[count].item);
        v[count].len = at - v[count].at;
        count++;
    }
    n = err == 0 && count ? keep_last(v, count) : 0;
    for (size_t i = 0; err == 0 && i < n; i++) {
        err = items_file_add(out, j->items.s + v[i].at, v[i].len);
        ret->len += v[i].len;
    }
    ret->items = n;
    return err;
}

/* Has it to be made, or to begin anew? */
static bool is_due(const struct ship_jump *j, unsigned i, unsigned span)
{
    return j->sections >= span || j->full || j->items.len > most_bytes(i) / 2;
}

/* Does it lead further back than one that spans SPAN times less? */
static bool is_of_use(const struct ship_jump *j, unsigned span)
{
    return !j->full && j->sections > span / SPAN;
}

static int make(struct shipped *e, struct ship_jump *j, struct items_file *out,
                struct segment_section *ret)
{
    int err = strbuf_error(&j->items);
    struct spanned *v;

    if (err < 0)
        return err;
    *ret = e->section;
    ret->from = j->from;
    ret->from_at = j->from_at;
    ret->offset = items_file_len(out);
    ret->len = 0;
    v = calloc(j->count + 1, sizeof *v);
    err = v ? add_last(j, v, out, ret) : -ENOMEM;
    free(v);
    return err;
}

int ship_jumps_take(struct stream *s, struct shipped *e, struct items_file *out,
                    struct segment_section ret[SHIP_JUMPS], unsigned *ret_count)
{
    unsigned span = SPAN;
    int err = 0;

    *ret_count = 0;
    if (e->section.from.ns == 0)
        return 0;
    for (unsigned i = 0; i < SHIP_JUMPS && err == 0; i++, span *= SPAN) {
        struct ship_jump *j = &e->jump[i];

        j->sections++;
        if (!is_due(j, i, span))
            continue;
        if (is_of_use(j, span)) {
            err = make(e, j, out, &ret[(*ret_count)++]);
            e->steps = j->steps_from + 1;
        }
        if (err == 0)
            forget(s, j);
    }
    return err;
}
