// SPDX-License-Identifier: Apache-2.0
/*
 * verbs: the table of all verbs, and what `tally help`, `tally VERB --help` and a wrong call print
 * of it. Bash completion asks the program, the man pages' synopses are compared with the table
 * (tests/tools/synopses.py), and a command for the control file takes the options that its synopsis
 * has (ctl.h): a verb is called as its row says.
 */
#pragma once

#include <stdio.h>

enum verb_group {
    OF_STORES, /* a store or a mount point is an argument */
    IN_MOUNT,  /* about the mount of `tally -C MNT`: takes -C and --json, too */
};

struct verb {
    const char *name;
    enum verb_group group;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; the exit code: 0, 1, or 2 where check
                                          could not look */
    /* Of a command for the control file: how many arguments it needs, and what they are, a letter
     * each; a '*' behind the first letter: any number of these. NULL: it is no command. */
    int min;
    const char *args;
    const char *synopsis; /* what follows "tally VERB", the ways to call it with " | " between */
    const char *summary;  /* one line */
    const char *details;  /* options and a word more, or NULL */
};

enum {
    ARG_TEXT = 't',
    ARG_KEYWORD = 'k',
    ARG_NAMESPACE = 'n', /* perhaps with the slash that a shell's completion adds */
    ARG_PATH = 'p',      /* a path in the mount, or an id */
    ARG_ID = 'i',        /* an id, or a path to the file whose object is meant */
    ARG_URL = 'u',
};

const struct verb *verbs_find(const char *name); /* or NULL */
void verbs_print_all(FILE *out);                 /* what `tally --help` says */
int verbs_help(const struct verb *v);            /* on standard output; returns 0 */
/* The verb that runs (tally_verb) was called wrongly: how to call it, on standard error; returns
 * 1. */
int verbs_misuse(void);

/* One file each, cmd_VERB.c; cmd_control.c: all that are no more than a command. */
int cmd_check_run(int argc, char **argv);
int cmd_control_run(int argc, char **argv);
int cmd_help_run(int argc, char **argv);
int cmd_init_run(int argc, char **argv);
int cmd_jobs_run(int argc, char **argv);
int cmd_log_run(int argc, char **argv);
int cmd_mount_run(int argc, char **argv);
int cmd_umount_run(int argc, char **argv);
