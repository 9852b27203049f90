// SPDX-License-Identifier: Apache-2.0
#include "history.h"
#include <stdlib.h>
#include <string.h>

static void add(struct history *h, struct history_version v)
{
    if (h->count == h->room) {
        h->room = h->room ? h->room * 2 : 8;
        h->version = realloc(h->version, h->room * sizeof *h->version);
        if (!h->version)
            abort();
    }
    h->version[h->count++] = v;
}

void history_restart(struct history *h, struct history_state what)
{
    h->count = 0;
    add(h, (struct history_version){.what = what});
}

void history_note(struct history *h, uint64_t before, uint64_t after, struct history_state what)
{
    add(h, (struct history_version){before, after, what});
}

void history_trim(struct history *h, uint64_t durable)
{
    size_t old = 0;

    while (old + 1 < h->count && h->version[old + 1].after <= durable)
        old++;
    h->count -= old;
    memmove(h->version, h->version + old, h->count * sizeof *h->version);
}

bool history_at(const struct history *h, uint64_t seq, struct history_state *ret)
{
    size_t i = h->count - 1;

    while (i > 0 && h->version[i].after > seq)
        i--;
    *ret = h->version[i].what;
    return i + 1 == h->count || h->version[i + 1].before >= seq;
}

bool history_changed(const struct history *h, uint64_t seq)
{
    return h->version[h->count - 1].after > seq;
}

void history_release(struct history *h)
{
    free(h->version);
    *h = (struct history){0};
}
