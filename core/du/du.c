// SPDX-License-Identifier: Apache-2.0
/* du: see the header. */
#include "du.h"
#include "item.h"
#include "page.h"
#include "pool_node.h"
#include "walk_live.h"
#include <errno.h>
#include <sys/stat.h>

/* A reference of the piece that was read. */
struct reference {
    uint64_t object;
    bool goes; /* it is in a page that a drop would free */
};

struct du_walk {
    struct state *p;
    const _Atomic bool *interrupted;
    struct walk walk;
    struct du du;
    struct map64 named; /* object number -> how many of its references a drop would free */
    struct reference piece[WALK_AT_ONCE];
    size_t count; /* references in `piece` */
};

static void count_bytes(struct du_walk *w, const void *val, size_t len)
{
    struct inode in;

    if (inode_decode(val, len, &in) == 0 && S_ISREG(in.mode))
        w->du.logical += inode_stored(&in);
}

/* Counts one item, and notes its reference. Aliases are resolved later, without the lock of the
 * namespace. */
static int visit_item(struct key k, const void *val, size_t len, void *ctx)
{
    struct du_walk *w = ctx;
    uint64_t object = item_object(k, val, len);

    if (key_type(k) == ITEM_INODE)
        count_bytes(w, val, len);
    if (object && (key_type(k) == ITEM_EXTENT || key_type(k) == ITEM_SUBBLOCK))
        w->du.pieces++;
    if (object)
        w->piece[w->count++] = (struct reference){object, w->walk.owned};
    return 0;
}

static bool is_interrupted(const struct du_walk *w)
{
    return w->interrupted && atomic_load(w->interrupted);
}

static int end_piece(void *ctx)
{
    struct du_walk *w = ctx;
    int err = is_interrupted(w) ? -EINTR : 0;

    for (size_t i = 0; i < w->count && err == 0; i++)
        err = map64_add(&w->named, refs_resolve(w->p->refs, w->piece[i].object), w->piece[i].goes,
                        NULL);
    w->count = 0;
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
        if (is_interrupted(w))
            return -EINTR;
        int err = refs_entry(w->p->refs, number, true, &number, &e);
        if (err == -ENOENT) /* deleted meanwhile */
            continue;
        if (err < 0)
            return err;
        uint64_t size = size_of(w, number, &e);
        if (going >= e.count && !pool_node_is_shared(w->p, &e)) {
            w->du.frees += size;
            w->du.saved += entry_is_sealed(&e) ? size - entry_payload(&e) : 0;
            w->du.elsewhere += entry_is_ghost(&e) ? size : 0;
        } else {
            w->du.shared += size;
        }
    }
    return 0;
}

int du_namespace(struct state *p, struct ns *ns, const _Atomic bool *interrupted, struct du *ret)
{
    struct du_walk w = {.p = p, .interrupted = interrupted};
    int err = end_piece(&w);

    pool_node_refresh(p);
    w.walk = (struct walk){WALK_LIVE(&ns->lock, &ns->tree),
                           WALK_ALL,
                           .fn = visit_item,
                           .pause = end_piece,
                           .pause_ctx = &w,
                           .ctx = &w};
    if (err == 0)
        err = walk_items(&w.walk);
    if (err == 0)
        err = w.walk.hidden ? -EUCLEAN : end_piece(&w);
    if (err == 0)
        err = weigh(&w);
    map64_release(&w.named);
    w.du.tree = w.walk.owned_pages * PAGE_SIZE_BYTES;
    if (err == 0)
        *ret = w.du;
    return err;
}
