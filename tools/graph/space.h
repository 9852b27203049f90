// SPDX-License-Identifier: Apache-2.0
/*
 * space: draws what takes how much room: a bar for each namespace, of what it holds alone and what
 * it shares, and for what else the store takes: the trash, snapshots, what branches were made of,
 * dead bytes of packs, metadata. One bar above them is the whole disk.
 *
 * Namespaces are sorted by what they hold alone, then by what they share, then by name.
 *
 * Errors: they are in the strbuf (strbuf_error).
 */
#pragma once

#include "graph_data.h"
#include "strbuf.h"

#define SPACE_WIDTH 1000
#define SPACE_ROW 26
#define SPACE_ROWS_MOST 60 /* namespaces with a bar of their own, unless `all` is asked for */

enum space_part { SPACE_ALONE, SPACE_SHARED, SPACE_KEPT, SPACE_DEAD, SPACE_META };

struct space_row {
    const char *name;       /* borrowed from the graph, or a constant */
    size_t several;         /* > 0: it stands for so many, and `name` says for what */
    uint64_t alone, shared; /* bytes */
    enum space_part part;   /* how `alone` looks */
};
struct space_rows {
    struct space_row *v;
    size_t count, room;
    size_t namespaces; /* so many of the first rows are namespaces; the others are the store's */
    uint64_t scale;    /* bytes of the longest bar */
};

/* Makes the rows, which *g must outlive. -ENOMEM. The caller releases *ret. */
int space_rows_of(const struct graph *g, bool all, struct space_rows *ret);
void space_rows_release(struct space_rows *r);

/* `store` is the label of the store, or NULL. */
void space_svg(const struct graph *g, const struct space_rows *r, const char *store,
               struct strbuf *out);
void space_text(const struct graph *g, const struct space_rows *r, struct strbuf *out);
