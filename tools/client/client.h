// SPDX-License-Identifier: Apache-2.0
/*
 * client: a session on a mount's control file, which sends commands and reads their replies.
 *
 *     client_open(mnt, &c); client_run(&c, "drain 1s", &reply); … reply_release(&reply);
 *     client_close(&c);
 */
#pragma once

#include "strbuf.h"

#include <jansson.h>

struct client {
    int fd;
};

struct reply {
    struct strbuf head; /* "key=value …"; after a failure the sentence */
    struct strbuf body; /* the other lines, without their "| " */
};
#define REPLY_INIT                                                                                 \
    {                                                                                              \
        .head = STRBUF_INIT, .body = STRBUF_INIT                                                   \
    }

/* Opens a file below a mount point, or with O_DIRECTORY a directory to be listed. The mount may be
 * that of another user, and root uses it, too. So the path is opened without symlinks, a FIFO is
 * never waited for, and what is opened must be on that mount. Returns a descriptor that the caller
 * closes, or -errno. -EUCLEAN: something of another kind has that name, or it is on another
 * mount. */
int client_open_file(const char *mnt, const char *name, int flags);
/* Opens MNT/.tally/control. 0 or -errno. -EUCLEAN: it is no file of the mount, but a symlink, for
 * example; nothing is written to it. */
int client_open(const char *mnt, struct client *ret);
/* Reads MNT/.tally/stats.json; the caller frees the result. NULL: it cannot be read, or is no
 * JSON. */
json_t *client_load_stats(const char *mnt);
/* Copies MNT/.tally/status to standard output. 0 or -errno of reading it. The program itself checks
 * at its end whether standard output could be written (tally.c). */
int client_copy_status(const char *mnt);
void client_close(struct client *c);
/* Sends one command and waits for its reply. 0, or -errno of the command; then ret->head has its
 * sentence (there always is one). The caller releases *ret. */
int client_run(struct client *c, const char *command, struct reply *ret);
void reply_release(struct reply *r);
