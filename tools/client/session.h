// SPDX-License-Identifier: Apache-2.0
/*
 * session: a session on `.tally/import` or `.tally/export`: a line, the bytes of an image, and what
 * the mount says in the end.
 */
#pragma once

#include "client.h"

/* Opens the file below the mount point and writes the line. 0 or -errno; *ret_fd is the session,
 * which has a sentence for an error of the line, or -1 after a failure to open it. */
int session_begin(const char *mnt, const char *name, const char *line, int *ret_fd);
/* Reads what the mount says. `err` is the error of the last call of the session, or 0. Returns 0 or
 * -errno, with words or a sentence in ret->head; lines before the last one are in ret->body. */
int session_reply(int fd, int err, struct reply *ret);
