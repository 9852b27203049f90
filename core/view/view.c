// SPDX-License-Identifier: Apache-2.0
/*
 * view: texts of `.tally`, which are made when they are read.
 *
 * Nothing is kept between two calls. Each call gathers facts under the locks that guard them, one
 * after the other, and formats them with no lock held.
 */
#include "view.h"
#include "move.h"
#include "view_facts.h"
#include "view_stats.h"
#include "view_status.h"

int view_render(struct state *p, enum view_text which, const struct view_edge *edge,
                struct strbuf *out)
{
    struct view_facts f;

    shards_look_now(p, SHARDS_LOOK_BRIEFLY); /* once, so that all parts show the same states */
    view_gather(p, &f);
    switch (which) {
    case VIEW_STATS_JSON:
        return view_stats_json(p, &f, edge, out);
    case VIEW_METRICS:
        return view_metrics(p, &f, edge, out);
    case VIEW_STATUS:
        break;
    }
    view_status(p, &f, edge, out);
    return strbuf_error(out);
}
