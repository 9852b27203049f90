// SPDX-License-Identifier: Apache-2.0
/* du: see the header. */
#include "du.h"
#include "item.h"
#include "page.h"
#include "pool_node.h"
#include <errno.h>
#include <sys/stat.h>

/* A reference of the piece that was read. */
struct reference {
    uint64_t object;
    bool goes; /* it is in a page that a drop would free */
};

struct du_walk {
    struct state *p;
    struct du *du;
    struct map64 named; /* object number -> how many of its references a drop would free */
    struct reference piece[DU_AT_ONCE];
    size_t count; /* references in `piece` */
};

/* Would a drop free the page `depth` steps down? */
static bool goes(const struct tree_cursor *c, unsigned depth)
{
    for (unsigned i = 0; i <= depth; i++)
        if (atomic_load(&c->step[i].page->count) != 1)
            return false;
    return true;
}

/* Counts the pages that the walk reaches with this item: those in which it is the first item. */
static void count_pages(struct du_walk *w, const struct tree_cursor *c)
{
    for (unsigned d = c->depth; d-- > 0 && c->step[d].slot == 0;)
        if (goes(c, d))
            w->du->tree += PAGE_SIZE_BYTES;
}

static void count_bytes(struct du_walk *w, const void *val, size_t len)
{
    struct inode in;

    if (inode_decode(val, len, &in) == 0 && S_ISREG(in.mode))
        w->du->logical += inode_stored(&in);
}

/* Counts one item, and notes its reference. Aliases are resolved later, without the lock of the
 * namespace. */
static void visit_item(struct du_walk *w, const struct tree_cursor *c)
{
    struct key k = tree_cursor_key(c);
    size_t len;
    const void *val = tree_cursor_value(c, &len);
    uint64_t object = item_object(k, val, len);

    count_pages(w, c);
    if (key_type(k) == ITEM_INODE)
        count_bytes(w, val, len);
    if (object && (key_type(k) == ITEM_EXTENT || key_type(k) == ITEM_PATCH))
        w->du->pieces++;
    if (object)
        w->piece[w->count++] = (struct reference){object, goes(c, c->depth - 1)};
}

/* Reads up to DU_AT_ONCE items from *k on, and moves *k behind them. -ENOENT: that was the end. */
static int read_piece(struct du_walk *w, struct ns *ns, struct key *k)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    READ_GUARD(&ns->lock);
    int err = tree_seek(&ns->tree, *k, &c);

    w->count = 0;
    for (unsigned n = 0; err == 0 && n < DU_AT_ONCE; n++) {
        struct key at = tree_cursor_key(&c);
        visit_item(w, &c);
        *k = (struct key){at.hi + (at.lo == UINT64_MAX), at.lo + 1};
        err = tree_next(&c);
    }
    tree_cursor_end(&c);
    return err;
}

static int note_piece(struct du_walk *w)
{
    int err = 0;

    for (size_t i = 0; i < w->count && err == 0; i++)
        err = map64_add(&w->named, refs_resolve(w->p->refs, w->piece[i].object), w->piece[i].goes,
                        NULL);
    return err;
}

/* The bytes of an object that are here or on another shard; for unsealed bytes their present
 * length. */
static uint64_t size_of(struct du_walk *w, uint64_t number, const struct entry *e)
{
    struct content *c = entry_is_sealed(e) ? NULL : content_find(w->p, number);
    uint64_t size = c ? content_length(c) : entry_has_place(e) ? e->size : 0;

    if (c)
        content_unref(c);
    return size;
}

/* Compares the references that a drop would free with the count of each object. */
static int weigh(struct du_walk *w)
{
    uint64_t number, going;
    size_t at = 0;

    while (map64_next(&w->named, &at, &number, &going)) {
        struct entry e;
        int err = refs_entry(w->p->refs, number, true, &number, &e);
        if (err == -ENOENT) /* deleted meanwhile */
            continue;
        if (err < 0)
            return err;
        uint64_t size = size_of(w, number, &e);
        if (going >= e.count && !pool_node_is_shared(w->p, &e)) {
            w->du->frees += size;
            w->du->elsewhere += entry_is_ghost(&e) ? size : 0;
        } else {
            w->du->shared += size;
        }
    }
    return 0;
}

int du_namespace(struct state *p, struct ns *ns, const _Atomic bool *interrupted, struct du *ret)
{
    struct du du = {0};
    struct du_walk w = {.p = p, .du = &du};
    struct key k = {0, 0};
    int err, more = 0;

    pool_node_refresh(p);
    do {
        more = interrupted && atomic_load(interrupted) ? -EINTR : read_piece(&w, ns, &k);
        err = more == -ENOENT || more == 0 ? note_piece(&w) : more;
    } while (err == 0 && more == 0);
    if (err == 0)
        err = weigh(&w);
    map64_release(&w.named);
    if (err == 0)
        *ret = du;
    return err;
}
