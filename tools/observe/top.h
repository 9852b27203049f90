// SPDX-License-Identifier: Apache-2.0
/* top: the live view of a mount, by ncurses. */
#pragma once

#include "strbuf.h"

/* Shows the mount at `mnt` until the user presses q, and shows new costs every `seconds` (1 to 60).
 * Returns 0, or -errno with a sentence in *why: the mount takes no such command, or standard output
 * is no terminal that can be drawn on. */
int top_run(const char *mnt, unsigned seconds, struct strbuf *why);
