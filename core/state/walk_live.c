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
