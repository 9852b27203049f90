// SPDX-License-Identifier: Apache-2.0
/*
 * tally: what the verbs of the program share. One file per verb, `cmd_control.c` for those that are
 * a line to the control file. Results go to standard output, sentences about failures to standard
 * error; exit codes are 0 and 1, and 2 where check could not look.
 */
#pragma once

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

struct verb {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; the exit code */
    const char *synopsis;              /* what follows "tally VERB" */
    const char *summary;               /* one line */
    const char *details;               /* options and a word more, or NULL */
};

extern const struct verb verb_init, verb_mount, verb_umount, verb_check, verb_log;
extern const struct verb cmd_control_verbs[]; /* ends with a NULL name */
int cmd_jobs_run(int argc, char **argv);      /* one of them that is no command */
int cmd_control_run(int argc, char **argv);   /* argv[0] as a line to the control file */

/* The verb that runs, for sentences; and the mount of `tally -C MNT`, or NULL. */
extern const char *tally_verb;
extern const char *tally_mount;

/* "tally VERB: sentence" on standard error; returns 1, the exit code. */
int tally_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tally_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The verb was called wrongly: how to call it, on standard error; returns 1. */
int tally_misuse(const struct verb *v);
int tally_help(const struct verb *v);                 /* on standard output; returns 0 */
const struct verb *tally_find_verb(const char *name); /* or NULL */
/* getopt_long(3) that complains as "tally VERB: …". */
int tally_getopt(int argc, char **argv, const char *letters, const struct option *options);
void tally_usage(FILE *out);

/* A line on a terminal's standard error that replaces itself; nothing elsewhere. "" clears it. */
void tally_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* label.c: is it ORG/PROJECT? And one made from the store's directory name. */
bool tally_label_ok(const char *label);
void tally_default_label(const char *store, char *out, size_t room);

/* no_mount.c: mountinfo_of(), of the current directory or tally_mount, said `err`; `part` is what
 * it gave with -EREMOTE. The sentence; returns 1. */
struct tally_mountinfo;
int tally_no_mount(int err, const struct tally_mountinfo *part);

#define TALLY_UMOUNT_HELPER "/sbin/umount.fuse.tally"

/* run.c: run a program to its end, silently, found along PATH. Its exit code, or -errno. */
int tally_run(char *const argv[]);
/* As many open files as the machine gives: each large file that is not sealed yet is one, and many
 * systems allow 1024 unless one asks for more. */
void tally_raise_file_limit(void);
