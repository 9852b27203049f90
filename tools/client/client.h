// SPDX-License-Identifier: Apache-2.0
/*
 * client: one session on a mount's control file: a command out, its reply back.
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
    struct strbuf head; /* "key=value …" or, after a failure, the sentence */
    struct strbuf body; /* the further lines, without their "| " */
};
#define REPLY_INIT                                                                                 \
    {                                                                                              \
        .head = STRBUF_INIT, .body = STRBUF_INIT                                                   \
    }

/* -errno of opening MNT/.tally/control; -EUCLEAN: that is no file of the mount, but a symlink, say,
 * and nothing is written to it. */
int client_open(const char *mnt, struct client *ret);
/* What MNT/.tally/stats.json tells, the caller's; NULL: it may not be looked at, or is no such
 * file. */
json_t *client_load_stats(const char *mnt);
/* MNT/.tally/status to standard output; whether that could be written is its owner's to look at. */
int client_copy_status(const char *mnt);
void client_close(struct client *c);
/* Send one command and wait for its reply. 0, or -errno of the command with its sentence in
 * ret->head (a sentence is there always). */
int client_run(struct client *c, const char *command, struct reply *ret);
void reply_release(struct reply *r);
