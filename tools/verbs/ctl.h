// SPDX-License-Identifier: Apache-2.0
/*
 * ctl: the steps of a verb that is one line to the control file. The command line is read, the
 * mount that it means is found, the line for this mount is made and sent, and the reply is printed.
 *
 * Options become words of the line ("--idle 30d" and "--idle=30d" → idle=30d, "--force" → force).
 * Arguments are quoted, so that no name is taken for a keyword. A path becomes the name that the
 * file has in the mount. A verb takes the options that are in its synopsis: "[--grace DUR]" with a
 * value, "[--wait]" without.
 */
#pragma once

#include "client.h"
#include "mountinfo.h"
#include "people.h"
#include "verbs.h"

/* In the order in which they are in the line. */
enum ctl_option {
    CTL_FORCE,
    CTL_NOW,
    CTL_AS,
    CTL_DRY_RUN,
    CTL_LIST,
    CTL_IDLE,
    CTL_LARGER,
    CTL_GRACE,
    CTL_UNTIL,
    CTL_CONFLICTS,
    CTL_SET,
    CTL_BASE,
    CTL_TTL,
    CTL_ARCHIVE,
    CTL_READ,
    CTL_FULL,
    CTL_LINEAGE,
    CTL_NS,
    CTL_LAST, /* also -n */
    CTL_SINCE,
    CTL_WITH, /* these three are of the program, not of the line */
    CTL_ALL,
    CTL_BYTES,
    CTL_WAIT,
    CTL_OPTIONS,
};

#define CTL_SETS_MAX 256

struct ctl_call {
    const struct verb *verb;
    bool json;
    struct {
        bool given;
        const char *value; /* NULL: it has none */
    } options[CTL_OPTIONS];
    const char *sets[CTL_SETS_MAX]; /* all values of --set, which may be given several times */
    size_t set_count;
    char **args; /* borrowed from argv */
    int nargs;
    char *own_ns; /* what `args` is once the mount is known, if none was given (own_ns.h) */
};

/* In ctl_line.c. Reads argv, whose first word is the verb; -C sets tally_mount. -EINVAL after a
 * sentence. */
int ctl_parse(int argc, char **argv, struct ctl_call *ret);
/* Finds the mount: that of -C, that of the current directory, or that of a path argument. Errors as
 * of mountinfo_of(). */
int ctl_find_mount(const struct ctl_call *c, struct tally_mountinfo *ret);
/* Has the verb be about the namespace of exec if it was called without one, and that is one of this
 * mount. -EINVAL after a sentence: an argument is missing. *c must stay where it is. */
int ctl_take_own(struct ctl_call *c, const struct tally_mountinfo *m);
/* The mount itself knows only ids and NAMESPACE/path. Are all path arguments such, or files in the
 * mount at `mnt`? 0: yes; 1 after a sentence: no. */
int ctl_check_paths(const struct ctl_call *c, const char *mnt);
/* Makes the line for the mount at `mnt`. The caller checks strbuf_error(). */
void ctl_build(const struct ctl_call *c, const char *mnt, struct strbuf *line);

/* The URL with a relative path of `dir:` made absolute: the current directory of the daemon is
 * another one. `buf` is empty, and may get the result. */
const char *ctl_absolute_url(const char *url, struct strbuf *buf);

/* In ctl_reply.c. `err` is the result of client_run(). ctl_show prints the reply as a sentence or a
 * table where that is wanted (form.h) and known, else as it is. */
void ctl_show(const struct people_call *call, struct reply *r);
/* What a reply of this call is shown by. */
struct people_call ctl_people(const struct ctl_call *c);
void ctl_print_json(const char *verb, int err, const struct reply *r);
/* The same for a command that failed. What is printed are the lines, such as conflicts; the
 * sentence is ctl_warn's, which names options as this program has them. */
void ctl_show_failed(const struct ctl_call *c, int err, struct reply *r);
void ctl_warn(const struct ctl_call *c, const char *sentence);

/* In ctl_watch.c. Does the command wait for a job, or for what is not durable? Then ctl_run_waiting
 * takes the place of client_run(): a bar shows the progress of the job on a terminal, and a signal
 * that does not end this program does not end the wait. */
bool ctl_waits(const struct ctl_call *c);
/* client_run(), which on a terminal shows how long it takes. */
int ctl_run_command(int fd, const char *line, struct reply *ret);
int ctl_run_waiting(const struct ctl_call *c, const char *mnt, const char *line, int fd,
                    struct reply *ret);

/* In cmd_control.c. Does all steps for the mount at `mnt`. Returns the exit code. */
int ctl_run(const struct ctl_call *c, const char *mnt);
