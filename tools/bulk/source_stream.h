// SPDX-License-Identifier: Apache-2.0
/*
 * source_stream: what source_walk is for a directory, for a session on `.tally/export` to which the
 * line `export NS[/PATH]` was written: its files are those of one instant, and no requests are made
 * for each of them.
 */
#pragma once

#include "source_walk.h"

/* Reads the stream of `session`, and gives its files to t->visit. Of a source_file it sets `st`
 * (mode, owner, device number, mtime, size; the number in the stream as st_ino; 2 as st_nlink if
 * there may be other names; st_blocks so that source_has_holes is right), `target`, `xattrs` and
 * next_piece; it has no directory and no name. What the visitor leaves of the bytes is passed over.
 * A file with several names has its bytes and attributes at the first one only. Returns 0 or
 * -errno. With t->stream_failed the error is of the mount, also if the visitor returned it, and a
 * read of the session gives its sentence. */
int source_stream(struct source_walk *t, int session);
