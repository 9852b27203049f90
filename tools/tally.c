// SPDX-License-Identifier: Apache-2.0
/*
 * tally: finds the verb and runs it. mount(8) and umount(8) call the program by the names
 * mount.fuse.tally and umount.fuse.tally; then the name is the verb.
 */
#include "engines.h"
#include "run.h"
#include "say.h"
#include "shard.h"
#include "verbs.h"
#include "which_mount.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Is there a --help before "--"? It asks what the verb does. */
static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return true;
        }
    }
    return false;
}

/* Runs a verb. A result that could not be written to standard output is a failure, too. */
static int run_verb(const struct verb *v, int argc, char **argv)
{
    tally_verb = v->name;
    if (wants_help(argc, argv)) {
        return verbs_help(v);
    }
    int rc = v->run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return tally_fail("cannot write the result: %m");
    }
    return rc;
}

static int run_word(int argc, char **argv)
{
    const struct verb *v = verbs_find(argv[0]);
    if (!v) {
        return tally_fail("there is no verb '%s'; `tally --help` lists them", argv[0]);
    }
    return run_verb(v, argc, argv);
}

static void print_driver(const char *scheme, const char *form, void *ctx)
{
    (void)form;
    (void)ctx;
    printf(" %s", scheme);
}

/* Prints the version, and the schemes of URLs that `shard add` takes. */
static void print_version(void)
{
    printf("tally %s\ndrivers:", TALLY_VERSION);
    shard_drivers(print_driver, NULL);
    printf("\n");
}

/* Handles the options before the verb, and finds the verb. Returns the exit code. */
static int run_main(int argc, char **argv)
{
    const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
    name = name ? name + 1 : argc > 0 ? argv[0] : "tally";
    if (strcmp(name, "mount.fuse.tally") == 0 || strcmp(name, "umount.fuse.tally") == 0) {
        return run_verb(verbs_find(*name == 'm' ? "mount" : "umount"), argc, argv);
    }
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            verbs_print_all(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
            print_version();
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
        verbs_print_all(stderr);
        return 1;
    }
    return run_word(argc - i, argv + i);
}

int main(int argc, char **argv)
{
    engines_register();
    tally_end(run_main(argc, argv));
}
