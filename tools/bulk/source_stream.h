// SPDX-License-Identifier: Apache-2.0
/*
 * source_stream: what source_walk is for a directory, for a session on `.tally/export` to which the
 * line `export NS[/PATH]` was written: its files are those of one instant, and no requests are made
 * for each of them.
 */
#pragma once

#include "source_walk.h"

/* Reads the stream of `session`, and gives its files to t->visit. The bytes of a file are read by
 * its next_piece; what the visitor leaves is passed over. Returns 0 or -errno. After an error with
 * an empty t->why that is not of the visitor, a read of the session gives its sentence. */
int source_stream(struct source_walk *t, int session);
