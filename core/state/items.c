// SPDX-License-Identifier: Apache-2.0
/*
 * items: deletes or copies any number of items of one inode. It is one operation in a frame,
 * however many they are. So a frame stays small, and replaying it does the same again: at that
 * point the tree has the same items.
 *
 * The first few items are an operation each: most inodes have no more, and the log then says what
 * happened. An operation that fails half-way has done a part from the front, and exactly that part
 * is noted for the log.
 */
#include "state.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define TOLD_MAX 8                /* items that are an operation each */
#define DELETE_MAX 1024           /* items whose objects lose their references at once */
#define TOLD_BYTES ((size_t)1024) /* bytes of copied items that are an operation each */
#define COPY_ITEMS 256            /* items read at once */
#define COPY_BYTES (8 * (size_t)PAGE_VALUE_MAX)

/* ---- noting for the log ---- */

static const struct capture_observer *observed_by(const struct tree_observer *observer)
{
    return (const struct capture_observer *)observer;
}

/* Takes the observer away while many items change, because one operation will describe them all.
 * The caller puts it back. */
static const struct tree_observer *unobserve(struct tree *t)
{
    const struct tree_observer *observer = t->observer;

    t->observer = NULL;
    return observer;
}

/* Notes one operation for a deleted range. Nothing is noted for an empty range, or at a replay. */
static void tell_delete(const struct tree_observer *observer, struct key from, struct key to)
{
    if (observer && key_compare(from, to) < 0)
        capture_op(observed_by(observer)->txn, &(struct op){.kind = OP_RANGE_DEL,
                                                            .ns = observed_by(observer)->ns,
                                                            .key = from,
                                                            .end = to});
}

/* Notes one operation for a copied range. Nothing is noted for an empty range, or at a replay. */
static void tell_copy(const struct tree_observer *from, const struct tree_observer *to,
                      struct key_range r, uint64_t ino)
{
    if (to && key_compare(r.from, r.to) < 0)
        capture_op(observed_by(to)->txn, &(struct op){.kind = OP_RANGE_COPY,
                                                      .ns = observed_by(from)->ns,
                                                      .key = r.from,
                                                      .end = r.to,
                                                      .a = observed_by(to)->ns,
                                                      .b = ino});
}

/* ---- deleting ---- */

/* The first key in the range. -ENOENT: there is none. */
static int first_key(const struct tree *t, struct key_range r, struct key *ret)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    int err = tree_seek(t, r.from, &c);

    if (err < 0)
        return err;
    *ret = tree_cursor_key(&c);
    tree_cursor_end(&c);
    return key_compare(*ret, r.to) < 0 ? 0 : -ENOENT;
}

/* Deletes at most `most` items, one by one, and moves r->from behind them. -ENOENT: none is
 * left. */
static int delete_some(struct tree *t, struct key_range *r, unsigned most)
{
    int err = 0;

    while (err == 0 && most-- > 0) {
        err = first_key(t, *r, &r->from);
        if (err == 0)
            err = tree_del(t, r->from);
    }
    return err;
}

int items_cut(struct state *p, struct tree *t, struct key_range r)
{
    const struct tree_observer *observer;
    struct key first;
    int err = delete_some(t, &r, TOLD_MAX);

    if (err == 0)
        err = first_key(t, r, &r.from);
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    first = r.from;
    observer = unobserve(t);
    err = delete_some(t, &r, DELETE_MAX);
    if (err == 0) {
        err = tree_cut(t, r.from, r.to, p->drops, &r.from);
        p->hooks->kick_drops(p);
    }
    t->observer = observer;
    tell_delete(observer, first, err == -ENOENT ? r.to : r.from);
    return err == -ENOENT ? 0 : err;
}

int items_delete(struct tree *t, uint64_t ino)
{
    struct key_range r = range_of_inode(ino);
    int err = delete_some(t, &r, UINT_MAX);

    return err == -ENOENT ? 0 : err;
}

bool items_any(const struct tree *t, struct key_range r)
{
    return first_key(t, r, &r.from) == 0;
}

/* ---- copying ---- */

/* Some neighbouring items, copied out of their tree, which may be the one that they are put
 * into. */
struct some_items {
    unsigned count;
    struct {
        struct key key;
        size_t len, at;
    } item[COPY_ITEMS];
    size_t used;
    uint8_t bytes[COPY_BYTES];
};

/* Reads as many items from the front of the range as fit: at most `most`, with `bytes` bytes. count
 * 0: there are none. */
static int read_some(const struct tree *t, struct key_range r, unsigned most, size_t bytes,
                     struct some_items *s)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    int err = tree_seek(t, r.from, &c);

    s->count = 0;
    s->used = 0;
    for (; err == 0 && s->count < most && s->count < COPY_ITEMS; err = tree_next(&c)) {
        struct key k = tree_cursor_key(&c);
        size_t len;
        const void *val = tree_cursor_value(&c, &len);

        if (key_compare(k, r.to) >= 0 || s->used + len > bytes)
            break;
        s->item[s->count].key = k;
        s->item[s->count].len = len;
        s->item[s->count++].at = s->used;
        memcpy(s->bytes + s->used, val, len);
        s->used += len;
    }
    tree_cursor_end(&c);
    return err == -ENOENT ? 0 : err;
}

/* Puts the items into the tree under inode `ino`. Afterwards, also after a failure, r->from is
 * behind what was put. */
static int put_some(struct tree *t, uint64_t ino, const struct some_items *s, struct key_range *r)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct key k = s->item[i].key;
        int err = tree_put_again(t, key_make(ino, (enum item_type)key_type(k), k.lo),
                           s->bytes + s->item[i].at, s->item[i].len);

        if (err < 0)
            return err;
        r->from = k;
        if (++r->from.lo == 0)
            r->from.hi++;
    }
    return 0;
}

/* Copies the items, the first few as operations of their own, the rest as one. */
static int copy(const struct tree *from, struct key_range r, struct tree *to,
                uint64_t ino, struct some_items *s)
{
    const struct tree_observer *from_observer = from->observer, *to_observer;
    struct key_range told;
    int err = read_some(from, r, TOLD_MAX, TOLD_BYTES, s);

    if (err == 0)
        err = put_some(to, ino, s, &r);
    told = r;
    to_observer = unobserve(to);
    s->count = 1;
    while (err == 0 && s->count > 0) {
        err = read_some(from, r, COPY_ITEMS, COPY_BYTES, s);
        if (err == 0)
            err = put_some(to, ino, s, &r);
    }
    to->observer = to_observer;
    if (key_compare(told.from, r.from) < 0) {
        told.to = err < 0 ? r.from : told.to;
        tell_copy(from_observer, to_observer, told, ino);
    }
    return err;
}

int items_copy(struct state *p, const struct tree *from, struct key_range r, struct tree *to,
               uint64_t ino)
{
    struct some_items *s = malloc(sizeof *s);
    struct key_range copied = {{ino << 6 | (r.from.hi & 63), r.from.lo},
                               {ino << 6 | (r.to.hi & 63), r.to.lo}};
    int err = s ? copy(from, r, to, ino, s) : -ENOMEM;

    free(s);
    if (err < 0)
        (void)items_cut(p, to, copied);
    return err;
}
