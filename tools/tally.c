// SPDX-License-Identifier: Apache-2.0
/*
 * tally: find the verb and run it. Called as mount.fuse.tally or umount.fuse.tally (by mount(8) and
 * umount(8)) the name is the verb.
 */
#include "tally.h"

#include "io.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *tally_verb;
const char *tally_mount;

static const struct verb *const store_verbs[] = {&verb_init, &verb_mount, &verb_umount,
                                                 &verb_check, &verb_log};
#define STORE_VERBS (sizeof(store_verbs) / sizeof(*store_verbs))

/* Much of it may be somebody else's, as names and what a lock file says: a terminal gets no
 * commands by it. */
__attribute__((format(printf, 1, 0))) static void say(const char *fmt, va_list ap)
{
    int err = errno; /* for %m: isatty() and writing may set another */
    tally_progress("%s", "");
    fprintf(stderr, tally_verb ? "tally %s: " : "tally: ", tally_verb);
    errno = err;
    CLEANUP_FREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) {
        text = NULL;
        return;
    }
    for (char *c = text; *c; c++) {
        *c = iscntrl((unsigned char)*c) && *c != '\n' ? '?' : *c;
    }
    fprintf(stderr, "%s\n", text);
}

int tally_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    return 1;
}

void tally_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void tally_progress(const char *fmt, ...)
{
    static bool shown;
    char line[256];
    va_list ap;
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (*line || shown) {
        fprintf(stderr, "\r%.78s\033[K", line);
        fflush(stderr);
    }
    shown = *line;
}

static bool is_control_verb(const struct verb *v)
{
    const struct verb *at = cmd_control_verbs;
    while (at->name && at != v) {
        at++;
    }
    return at->name;
}

static void print_synopsis(FILE *out, const struct verb *v)
{
    fprintf(out, "usage: tally %s%s%s%s\n", v->name, is_control_verb(v) ? " [-C MNT] [--json]" : "",
            *v->synopsis ? " " : "", v->synopsis);
}

int tally_misuse(const struct verb *v)
{
    print_synopsis(stderr, v);
    return 1;
}

int tally_help(const struct verb *v)
{
    print_synopsis(stdout, v);
    printf("\n%s\n", v->summary);
    if (v->details) {
        printf("\n%s", v->details);
    }
    return 0;
}

int tally_getopt(int argc, char **argv, const char *letters, const struct option *options)
{
    char name[40], *word = argv[0];
    snprintf(name, sizeof(name), "tally %s", tally_verb);
    argv[0] = name;
    int o = getopt_long(argc, argv, letters, options, NULL);
    argv[0] = word;
    return o;
}

static void print_verb(FILE *out, const struct verb *v)
{
    char call[160];
    int len = snprintf(call, sizeof(call), "%s %s", v->name, v->synopsis);
    bool long_call = len > 45;
    fprintf(out, "  %-45s%s%*s%s\n", call, long_call ? "\n" : " ", long_call ? 48 : 0, "",
            v->summary);
}

void tally_usage(FILE *out)
{
    fputs("usage: tally [-C MNT] VERB …\n\nStores:\n", out);
    for (size_t i = 0; i < STORE_VERBS; i++) {
        print_verb(out, store_verbs[i]);
    }
    fputs("\nIn a mount (of the current directory, or -C MNT); all take --json:\n", out);
    for (const struct verb *v = cmd_control_verbs; v->name; v++) {
        print_verb(out, v);
    }
    fputs("\n`tally VERB --help` and the man page tally-VERB(1) say more.\n", out);
}

const struct verb *tally_find_verb(const char *name)
{
    for (size_t i = 0; i < STORE_VERBS; i++) {
        if (strcmp(store_verbs[i]->name, name) == 0) {
            return store_verbs[i];
        }
    }
    for (const struct verb *v = cmd_control_verbs; v->name; v++) {
        if (strcmp(v->name, name) == 0) {
            return v;
        }
    }
    return NULL;
}

/* --help anywhere before "--" asks what the verb does. */
static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return true;
        }
    }
    return false;
}

static int run(const struct verb *v, int argc, char **argv)
{
    tally_verb = v->name;
    if (wants_help(argc, argv)) {
        return tally_help(v);
    }
    int rc = v->run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return tally_fail("cannot write the result: %m");
    }
    return rc;
}

static int run_word(int argc, char **argv)
{
    const struct verb *v = tally_find_verb(argv[0]);
    if (!v) {
        return tally_fail("there is no verb '%s'; `tally --help` lists them", argv[0]);
    }
    return run(v, argc, argv);
}

int main(int argc, char **argv)
{
    const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
    name = name ? name + 1 : argc > 0 ? argv[0] : "tally";
    if (strcmp(name, "mount.fuse.tally") == 0 || strcmp(name, "umount.fuse.tally") == 0) {
        return run(*name == 'm' ? &verb_mount : &verb_umount, argc, argv);
    }
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            tally_usage(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
            printf("tally %s\n", TALLY_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--json") == 0) {
            return tally_fail("--json goes behind the verb: tally VERB --json");
        }
        if (strncmp(argv[i], "-C", 2) != 0) {
            return tally_fail("there is no option %s; `tally --help` lists them", argv[i]);
        }
        if (argv[i][2]) {
            tally_mount = argv[i] + 2;
        } else if (++i < argc) {
            tally_mount = argv[i];
        } else {
            return tally_fail("-C needs a directory");
        }
    }
    if (i >= argc) {
        tally_usage(stderr);
        return 1;
    }
    return run_word(argc - i, argv + i);
}
