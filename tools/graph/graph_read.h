// SPDX-License-Identifier: Apache-2.0
/*
 * graph_read: fills a graph from a mount, by commands to its control file. The sizes of namespaces
 * are those of `du`, which reads all of their trees.
 *
 * Errors: 0; 1 after a sentence on standard error. The caller releases *ret in both cases.
 */
#pragma once

#include "client.h"
#include "graph_data.h"

/* Reads what there is and how it came to be. `mnt` is the mount point. */
int graph_read(const char *mnt, struct graph *ret);

/* Calls `take` with each line of a reply as a command whose verb is "line"; with `backwards` the
 * last line is the first. 0, -ENOMEM, or what `take` returned, if it is not 0. */
struct command;
int graph_each_line(const struct strbuf *body, bool backwards,
                    int (*take)(void *ctx, const struct command *line), void *ctx);
/* Sends a command. 0; 1 after a sentence. The caller releases *ret in both cases. */
int graph_ask(const char *mnt, const char *command, struct reply *ret);
