// SPDX-License-Identifier: Apache-2.0
/* weigh: see the header. */
#include "weigh.h"
#include "walk_live.h"
#include <errno.h>
#include <sys/stat.h>

struct weighing {
    struct state *p;
    struct pages *pages;
    bool only_whether;
    size_t *left;
    struct weight weight;
};

#define ENOUGH 1 /* the walk ends */

/* Is what is below the page read? Only if nothing else has the page. */
static bool is_own(uint64_t no, struct key first, const struct key *end, void *ctx)
{
    struct weighing *w = ctx;
    struct tree_page *page;
    bool own;

    (void)first;
    (void)end;
    if (*w->left == 0 || pages_get(w->pages, no, &page) < 0)
        return false;
    own = atomic_load(&page->count) == 1;
    pages_put(w->pages, page);
    return own;
}

/* Is the object the whole content of a file, without holes, and a file of the store's disk? */
static bool is_whole(const struct weighing *w, struct key k, const void *val, size_t len,
                     const struct entry *e)
{
    struct inode in;

    return !w->p->shared && e->kind == ENTRY_FILE && e->shard == 0 && key_type(k) == ITEM_INODE &&
           inode_decode(val, len, &in) == 0 && S_ISREG(in.mode) &&
           !(in.flags & (INODE_EXTENTS | INODE_HOLES)) && in.valid == e->size;
}

static int take_item(struct key k, const void *val, size_t len, void *ctx)
{
    struct weighing *w = ctx;
    uint64_t object = item_object(k, val, len);
    struct entry e;

    if (*w->left == 0)
        return ENOUGH;
    --*w->left;
    if (!object || refs_entry(w->p->refs, object, true, NULL, &e) < 0 || e.count != 1)
        return 0;
    w->weight.frees |= e.kind != ENTRY_ABSENT && !entry_is_ghost(&e);
    if (is_whole(w, k, val, len, &e))
        w->weight.whole += e.size;
    return w->only_whether && w->weight.frees ? ENOUGH : 0;
}

int weigh(struct state *p, struct ns *ns, bool only_whether, size_t *left, struct weight *ret)
{
    struct weighing w = {.p = p, .pages = ns->tree.pages, .only_whether = only_whether,
                         .left = left};
    struct walk walk = {WALK_LIVE(&ns->lock, &ns->tree), WALK_ALL, .fn = take_item, .page = is_own,
                        .ctx = &w};
    int err = walk_items(&walk);

    *ret = w.weight;
    return err == ENOUGH ? 0 : err;
}
