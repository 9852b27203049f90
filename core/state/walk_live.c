// SPDX-License-Identifier: Apache-2.0
/* walk_live: see the header. */
#include "walk_live.h"

static int get(const struct walk *w, uint64_t no, struct walk_page *ret)
{
    struct tree_page *p;
    int err = pages_get(w->pages, no, &p);

    if (err == 0)
        *ret = (struct walk_page){.data = p->data, .shared = atomic_load(&p->count) != 1, .pin = p};
    return err;
}

static void put_page(const struct walk *w, const struct walk_page *page)
{
    pages_put(w->pages, page->pin);
}

const struct walk_source walk_live = {.get = get, .put = put_page};

int walk_live_trees(struct state *p, int (*fn)(const struct live_tree *t, void *ctx), void *ctx)
{
    struct live_tree t;
    struct ns *ns;
    uint32_t at = 0;
    int err = 0;

    while (err == 0 && ns_next_number(p, at, &ns) == 0) {
        at = ns->number;
        t = (struct live_tree){.lock = &ns->lock, .tree = &ns->tree, .ns = at};
        ns_label(p, ns, t.name);
        err = ns->target ? 0 : fn(&t, ctx);
        ns_put(p, ns);
    }
    t = (struct live_tree){
        .lock = &p->orphans.lock, .tree = &p->orphans.tree, .name = "unlinked but open files"};
    return err ? err : fn(&t, ctx);
}
