// SPDX-License-Identifier: Apache-2.0
/*
 * verbs: the table of all verbs. `tally help`, `tally VERB --help` and the message about a wrong
 * call are made of it. Bash completion asks the program, and tests/tools/usage.py compares the
 * synopses of the man pages with the table. A command for the control file takes the options that
 * are in its synopsis (ctl.h). So a verb is called exactly as its row says.
 */
#pragma once

#include <stdio.h>

enum verb_group {
    OF_STORES, /* takes a store or a mount point as an argument */
    IN_MOUNT,  /* is about the mount of `tally -C MNT`, and takes -C and --json, too */
};

struct verb {
    const char *name;
    enum verb_group group;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit code: 0, 1, or 2 if
                                          check could not look */
    /* Of a command for the control file: `min` is how many arguments it needs; `args` has a letter
     * for the kind of each. A '*' behind the first letter: any number of these. `args` NULL: the
     * verb is no command. */
    int min;
    const char *args;
    const char *synopsis; /* what follows "tally VERB"; " | " divides several ways to call it */
    const char *summary;  /* one line */
    const char *details;  /* the options and more, or NULL */
};

enum {
    ARG_TEXT = 't',
    ARG_KEYWORD = 'k',
    ARG_NAMESPACE = 'n', /* may end with a slash, which the completion of a shell adds */
    ARG_PATH = 'p',      /* a path in the mount, or an id */
    ARG_ID = 'i',        /* an id, or the path of a file, which means its object */
    ARG_URL = 'u',
};

const struct verb *verbs_find(const char *name); /* NULL: there is no such verb */
void verbs_print_all(FILE *out);                 /* prints the text of `tally --help` */
int verbs_help(const struct verb *v);            /* prints its help; returns 0 */
/* Called when the verb that runs (tally_verb) was called wrongly: prints its synopsis on standard
 * error. Returns 1. */
int verbs_misuse(void);

/* Each is in cmd_VERB.c, or in cmd_observe.c. cmd_control_run is for all verbs that are only a
 * command. */
int cmd_check_run(int argc, char **argv);
int cmd_clone_run(int argc, char **argv);
int cmd_control_run(int argc, char **argv);
int cmd_diff_run(int argc, char **argv);
int cmd_doctor_run(int argc, char **argv);
int cmd_exec_run(int argc, char **argv);
int cmd_export_run(int argc, char **argv);
int cmd_graph_run(int argc, char **argv);
int cmd_help_run(int argc, char **argv);
int cmd_import_run(int argc, char **argv);
int cmd_init_run(int argc, char **argv);
int cmd_jobs_run(int argc, char **argv);
int cmd_log_run(int argc, char **argv);
int cmd_merge_run(int argc, char **argv);
int cmd_metrics_run(int argc, char **argv);
int cmd_mount_run(int argc, char **argv);
int cmd_profile_run(int argc, char **argv);
int cmd_receive_run(int argc, char **argv);
int cmd_send_run(int argc, char **argv);
int cmd_top_run(int argc, char **argv);
int cmd_umount_run(int argc, char **argv);
