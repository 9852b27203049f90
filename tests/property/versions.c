// SPDX-License-Identifier: Apache-2.0
#include "versions.h"
#include <stdlib.h>
#include <string.h>

static void add(struct versions *h, struct version_entry v)
{
    if (h->count == h->room) {
        h->room = h->room ? h->room * 2 : 8;
        h->version = realloc(h->version, h->room * sizeof *h->version);
        if (!h->version)
            abort();
    }
    h->version[h->count++] = v;
}

void versions_restart(struct versions *h, struct version_state what)
{
    h->count = 0;
    add(h, (struct version_entry){.what = what});
}

void versions_note(struct versions *h, uint64_t before, uint64_t after, struct version_state what)
{
    add(h, (struct version_entry){before, after, what});
}

void versions_trim(struct versions *h, uint64_t durable)
{
    size_t old = 0;

    while (old + 1 < h->count && h->version[old + 1].after <= durable)
        old++;
    h->count -= old;
    memmove(h->version, h->version + old, h->count * sizeof *h->version);
}

bool versions_at(const struct versions *h, uint64_t seq, struct version_state *ret)
{
    size_t i = h->count - 1;

    while (i > 0 && h->version[i].after > seq)
        i--;
    *ret = h->version[i].what;
    return i + 1 == h->count || h->version[i + 1].before >= seq;
}

bool versions_changed(const struct versions *h, uint64_t seq)
{
    return h->version[h->count - 1].after > seq;
}

void versions_release(struct versions *h)
{
    free(h->version);
    *h = (struct versions){0};
}
