// SPDX-License-Identifier: Apache-2.0
/*
 * past: plays the history of a store again, to learn which namespace was made of which. The history
 * has names, and names change: a rename, an exchange or a drop is followed.
 *
 *     struct past p;
 *     past_begin(&p, &graph);
 *     past_apply(&p, operation);           each line of `history`, the oldest first
 *     past_take(&p, GRAPH_TRASH, item);    each line of `du`, `snapshot list` and `trash list`
 *     past_end(&p);                        what was not taken is gone
 *
 * The history may be cut at its beginning. What it does not know is a node without a parent.
 *
 * Errors: 0 or -ENOMEM. The caller calls past_end also after an error.
 */
#pragma once

#include "command.h"
#include "graph_data.h"

#include <jansson.h>

struct past {
    struct graph *g;
    json_t *live; /* name of a namespace or snapshot -> its node */
    bool *taken;  /* by node: a listing has it */
    size_t room;
};

int past_begin(struct past *p, struct graph *g);
/* Takes one operation. The words of a line that it does not know are passed over. */
int past_apply(struct past *p, const struct command *operation);
/* Takes one that is there: its node gets the kind, the name and the sizes that the line says. *ret
 * is the node. */
int past_take(struct past *p, enum graph_kind kind, const struct command *line, size_t *ret);
void past_end(struct past *p);
