// SPDX-License-Identifier: Apache-2.0
/*
 * ctl: the steps of a verb that is one line to the control file: the call is read, becomes a line
 * for the mount that is meant, is sent there, and its reply is printed.
 *
 * Options become words of the line ("--idle 30d" and "--idle=30d" → idle=30d, "--force" → force),
 * arguments are quoted so that no name is taken for a keyword, and paths become what they are
 * called in the mount. A verb takes the options that stand in its synopsis: "[--grace DUR]" with a
 * value, "[--wait]" without.
 */
#pragma once

#include "client.h"
#include "mountinfo.h"
#include "verbs.h"

/* In the order in which the line has them. */
enum ctl_option {
    CTL_FORCE,
    CTL_DRY_RUN,
    CTL_LIST,
    CTL_IDLE,
    CTL_LARGER,
    CTL_GRACE,
    CTL_UNTIL,
    CTL_WAIT,
    CTL_OPTIONS,
};

struct ctl_call {
    const struct verb *verb;
    bool json;
    struct {
        bool given;
        const char *value; /* NULL: it takes none */
    } options[CTL_OPTIONS];
    char **args; /* those of argv */
    int nargs;
};

/* ctl_line.c. Of argv, whose first word is the verb; -C changes tally_mount. -EINVAL after a
 * sentence. */
int ctl_parse(int argc, char **argv, struct ctl_call *ret);
/* The mount meant: -C, the current directory's, or the one that a path argument lies in. As
 * mountinfo_of() gives it. */
int ctl_find_mount(const struct ctl_call *c, struct tally_mountinfo *ret);
/* The mount itself knows only ids and NAMESPACE/path: are all paths such, or files in the mount at
 * `mnt`? 1 after a sentence: no. */
int ctl_check_paths(const struct ctl_call *c, const char *mnt);
/* The line for the mount at `mnt`; look at strbuf_error(). */
void ctl_build(const struct ctl_call *c, const char *mnt, struct strbuf *line);

/* ctl_reply.c. `err`: what client_run() gave. */
void ctl_print(const struct reply *r);
/* Bytes that are no UTF-8 become '?': JSON has no place for them. */
json_t *ctl_json_text(const char *text, size_t len);
void ctl_print_json(const char *verb, int err, const struct reply *r);

/* ctl_watch.c. Does the call wait for a job, and does somebody look at a terminal? Then this is
 * its client_run(), while a bar shows how far the job is. */
bool ctl_is_watched(const struct ctl_call *c);
int ctl_run_watched(const struct ctl_call *c, const char *mnt, const char *line,
                    struct client *client, struct reply *ret);

/* cmd_control.c. All of it in the mount at `mnt`; the exit code. */
int ctl_run(const struct ctl_call *c, const char *mnt);
