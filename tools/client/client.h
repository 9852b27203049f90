// SPDX-License-Identifier: Apache-2.0
/*
 * client: a session on a mount's control file, which sends commands and reads their replies.
 *
 *     fd = client_open(mnt); client_run(fd, "drain 1s", &reply); reply_release(&reply); close(fd);
 */
#pragma once

#include "strbuf.h"

#include <jansson.h>
#include <stdbool.h>

struct reply {
    struct strbuf head; /* "key=value …"; after a failure the sentence */
    struct strbuf body; /* the other lines, without their "| " */
};
#define REPLY_INIT                                                                                 \
    {                                                                                              \
        .head = STRBUF_INIT, .body = STRBUF_INIT                                                   \
    }

/* Opens a file of `.tally` below a mount point, or with O_DIRECTORY a directory to be listed. The
 * mount may be that of another user, and root uses it, too. So the path is opened without symlinks,
 * a FIFO is never waited for, and what is opened must be on that mount. Returns a descriptor that
 * the caller closes, or -errno. -EUCLEAN: something of another kind has that name, or it is on
 * another mount, or it is a file of a namespace that has `.tally` as a name of its own. */
int client_open_file(const char *mnt, const char *name, int flags);
/* The same for a file or directory of a namespace, or of what is kept of one: NS/PATH, or
 * NS@NAME/PATH. */
int client_open_user_file(const char *mnt, const char *name, int flags);
/* Opens MNT/.tally/control. As client_open_file. */
int client_open(const char *mnt);
/* Adds why client_open failed with that error. If the daemon is gone it says what to do. */
void client_explain(const char *mnt, int err, struct strbuf *out);
/* Is it an error of a mount whose daemon is gone? */
bool client_is_gone(int err);
/* Reads MNT/.tally/stats.json; the caller frees the result. NULL: it cannot be read, or is no
 * JSON. */
json_t *client_load_stats(const char *mnt);
/* Reads MNT/.tally/status into an initialised strbuf. 0 or -errno. */
int client_read_status(const char *mnt, struct strbuf *ret);
/* Copies MNT/.tally/status to standard output. 0 or -errno of reading it. The program itself checks
 * at its end whether standard output could be written (tally.c). */
int client_copy_status(const char *mnt);
/* Sends one command and waits for its reply. 0, or -errno of the command; then ret->head has its
 * sentence (there always is one). The caller releases *ret. */
int client_run(int fd, const char *command, struct reply *ret);
/* The same for a command that only waits, without a deadline, as `drain` and `wait N`: it is sent
 * again if a signal has interrupted it that did not end this program, as a stop and a continue
 * do. */
int client_wait(int fd, const char *command, struct reply *ret);
void reply_release(struct reply *r);
