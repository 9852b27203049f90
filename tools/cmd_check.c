// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_check: verify a store that nobody has mounted, reading only. Exit 0: sound; 1: damage found;
 * 2: could not look.
 */
#include "tally.h"

#include "check.h"
#include "clock.h"
#include "store.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

struct checking {
    json_t *problems; /* with --json, else NULL */
    int64_t started;
    uint64_t leaks; /* findings that are no damage: they only take space */
};

static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct checking *c = ctx;
    c->leaks += strcmp(what, "leak") == 0;
    if (!c->problems) {
        tally_progress("%s", "");
        printf("%s %s: %s\n", what, where, sentence);
        return;
    }
    json_array_append_new(c->problems, json_pack("{s:s, s:s, s:s}", "what", what, "where", where,
                                                 "sentence", sentence));
}

static void on_progress(uint64_t done, uint64_t total, void *ctx)
{
    const struct checking *c = ctx;
    if (clock_ticks(clock_real()) - c->started < NSEC_PER_SEC) {
        return;
    }
    if (total > 0 && done <= total) {
        tally_progress("checking: %3.0f %%", 100.0 * (double)done / (double)total);
    } else {
        tally_progress("checking: %llu", (unsigned long long)done);
    }
}

#define PLURAL(n) (unsigned long long)(n), (n) == 1 ? "" : "s"

static void print_text(const struct checking *c, const struct check_result *r)
{
    if (c->leaks > 0) {
        printf("%llu leak%s: space taken for nothing, but no damage\n",
               (unsigned long long)c->leaks, c->leaks == 1 ? "" : "s");
    }
    printf("%llu problem%s in %llu namespace%s, %llu inode%s, %llu page%s, %llu object%s, "
           "%llu bytes\n",
           PLURAL(r->problems), PLURAL(r->namespaces), PLURAL(r->inodes), PLURAL(r->pages),
           PLURAL(r->objects), (unsigned long long)r->bytes);
}

static void print_json(const struct checking *c, const struct check_result *r)
{
    json_t *root =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "clean", r->problems == 0, "problems",
                  (json_int_t)r->problems, "namespaces", (json_int_t)r->namespaces, "inodes",
                  (json_int_t)r->inodes, "pages", (json_int_t)r->pages, "objects",
                  (json_int_t)r->objects, "bytes", (json_int_t)r->bytes, "found", c->problems);
    json_dumpf(root, stdout, JSON_PRESERVE_ORDER | JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static int check_store(const char *path, struct checking *c)
{
    struct store store;
    struct check_result result = {0};
    char why[STORE_WHY] = "";
    struct check_options o = {.found = on_found, .progress = on_progress, .ctx = c};
    if (store_open(path, STORE_READONLY, "check", path, &store, why) < 0) {
        tally_warn("%s", why);
        return 2;
    }
    c->started = clock_ticks(clock_real());
    int err = project_check(store.disk, store.kv, &o, &result);
    store_close(&store);
    tally_progress("%s", "");
    if (err < 0) {
        tally_warn("%s: the check could not be finished: %s", path, strerror(-err));
        return 2;
    }
    if (c->problems) {
        print_json(c, &result);
    } else {
        print_text(c, &result);
    }
    return result.problems > 0;
}

static int run_check(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    struct checking c = {0};
    bool json = false;
    int o;
    while ((o = tally_getopt(argc, argv, "", options)) >= 0) {
        if (o != 'j') {
            tally_misuse(&verb_check);
            return 2;
        }
        json = true;
    }
    if (argc - optind != 1) {
        tally_misuse(&verb_check);
        return 2;
    }
    c.problems = json ? json_array() : NULL;
    int rc = check_store(argv[optind], &c);
    json_decref(c.problems);
    return rc;
}

const struct verb verb_check = {
    "check", run_check, "[--json] STORE", "verify every byte of a store that is not mounted",
    "One line for each thing that is damaged: what, where, and how. It repairs nothing.\n"
    "  --json  one object with the findings and the counts\n"
    "Exit code 0: sound, 1: damage found, 2: could not check.\n"};
