// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_check: verifies a store that is not mounted, and only reads; with --repair it repairs what
 * can be repaired. Exit code 0: the store is sound, or everything was repaired; 1: damage is left;
 * 2: it could not look.
 */
#include "clock.h"
#include "json_text.h"
#include "kv.h"
#include "mapped.h"
#include "mountinfo.h"
#include "owner_wait.h"
#include "repair.h"
#include "run.h"
#include "say.h"
#include "store_dir.h"
#include "store_repair.h"
#include "verbs.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

struct checking {
    bool json, repair, all_bytes, foreign;
    unsigned flags;                  /* of enum repair_flags */
    json_t *found, *repaired, *left; /* with --json, else NULL */
    int64_t started;
    uint64_t leaks; /* findings that are no damage, but only take space */
};

/* Prints one finding as a line, or with --json adds it to `list`. */
static void note_finding(json_t *list, const char *word, const char *what, const char *where,
                         const char *sentence)
{
    if (list) {
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "what", what, "where",
                                              json_text(where), "sentence", json_text(sentence)));
        return;
    }
    tally_progress("%s", "");
    printf("%s%s %s: %s\n", word, what, where, sentence);
}

static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct checking *c = ctx;
    c->leaks += strcmp(what, "leak") == 0;
    note_finding(c->found, "", what, where, sentence);
}

static void on_repaired(const char *what, const char *where, const char *sentence, void *ctx)
{
    const struct checking *c = ctx;
    note_finding(c->repaired, c->flags & REPAIR_DRY_RUN ? "would repair " : "repaired ", what,
                 where, sentence);
}

static void on_left(const char *what, const char *where, const char *sentence, void *ctx)
{
    const struct checking *c = ctx;
    note_finding(c->left, "left ", what, where, sentence);
}

/* Shows the progress, but not in the first second. */
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

/* Prints the counts in words. */
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
    if (r->unasked > 0) {
        printf("%llu object%s could not be checked\n", PLURAL(r->unasked));
    }
    if (r->waiting > 0) {
        printf("this is what commit number %llu has; %llu change%s in the log wait%s for the next "
               "mount\n",
               (unsigned long long)r->seq, PLURAL(r->waiting), r->waiting == 1 ? "s" : "");
    }
}

static void print_repair(const struct checking *c, const struct repair_result *r)
{
    printf("%llu %s, %llu problem%s left\n", (unsigned long long)r->repaired,
           c->flags & REPAIR_DRY_RUN ? "would be repaired" : "repaired", PLURAL(r->left));
}

/* Prints one object with the counts and the findings. */
static void print_json(const struct checking *c, const struct repair_result *result)
{
    const struct check_result *r = &result->found;
    json_t *root =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "clean", result->left == 0,
                  "problems", (json_int_t)r->problems, "namespaces", (json_int_t)r->namespaces,
                  "inodes", (json_int_t)r->inodes, "pages", (json_int_t)r->pages, "objects",
                  (json_int_t)r->objects, "bytes", (json_int_t)r->bytes, "waiting",
                  (json_int_t)r->waiting, "unasked", (json_int_t)r->unasked, "found", c->found);
    if (c->repair) {
        /* If nothing was changed, everything that was found is left. */
        bool changed = result->repaired > 0 && !(c->flags & REPAIR_DRY_RUN);
        json_object_set_new(root, "dry_run", json_boolean(c->flags & REPAIR_DRY_RUN));
        json_object_set(root, "repaired", c->repaired);
        json_object_set(root, "left", changed ? c->left : c->found);
    }
    tally_print_json(root, JSON_INDENT(2));
    json_decref(root);
}

/* Checks the store, or repairs it. A repair checks it first. */
static int look_at_store(const struct store_dir *store, struct checking *c,
                         struct repair_result *ret)
{
    const struct check_options check = {.found = on_found,
                                        .progress = on_progress,
                                        .ctx = c,
                                        .pool = store_get_pool(store),
                                        .all_bytes = c->all_bytes};
    const struct repair_options o = {.flags = c->flags | (store->unmended ? REPAIR_SALVAGED : 0) |
                                              (store->rows_lost ? REPAIR_ROWS_LOST : 0),
                                     .clock = clock_real(),
                                     .check = check,
                                     .repaired = on_repaired,
                                     .left = on_left};
    if (c->repair) {
        return store_repair(store->disk, store->kv, &o, ret);
    }
    int err = store_check(store->disk, store->kv, &check, &ret->found);
    ret->left = ret->found.problems;
    return err;
}

static int explain(const char *path, const struct checking *c, const struct repair_result *r,
                   int err)
{
    if (c->repair && err == -EUCLEAN && r->repaired == 0) {
        tally_warn("%s: its identity or one of its tables cannot be read, so nothing was changed",
                   path);
    } else {
        tally_warn("%s: the %s could not be finished: %s", path, c->repair ? "repair" : "check",
                   strerror(-err));
    }
    return 2;
}

/* Reports tables that were so damaged that they were made anew when the store was opened. */
static void tell_salvaged(struct checking *c, const struct kv_salvaged *s)
{
    char text[512];
    if (s->rows == 0) {
        return;
    }
    snprintf(text, sizeof(text),
             "it was damaged (%s): made anew from the %llu rows that can be read; %llu pages or "
             "values are lost; the damaged one is kept as %s",
             s->why, (unsigned long long)s->rows, (unsigned long long)s->lost, s->kept);
    on_repaired("metadata", "kv/data.mdb", text, c);
}

/* Reports a store that is so damaged that it cannot be opened. Returns the exit code. */
static int unopened(struct checking *c, const char *path, const char *why)
{
    struct repair_result result = {.found.problems = 1, .left = 1};
    on_found("store", path, why, c);
    if (c->json) {
        print_json(c, &result);
    } else {
        print_text(c, &result.found);
    }
    return 1;
}

/* Called for a page of the tables that the disk cannot read, outside of mapped_guard. Returns the
 * exit code of the process. */
static int on_unreadable(const char *file, uint64_t offset)
{
    tally_warn("the disk cannot read %s at byte %llu", file, (unsigned long long)offset);
    return 2;
}

/* Opens the store, checks or repairs it, and prints the result. Without --repair, or with
 * --dry-run, the store is opened read-only. Returns the exit code. */
static int check_store(const char *path, struct checking *c)
{
    struct store_dir store;
    struct repair_result result = {0};
    char why[STORE_WHY] = "";
    bool writes = c->repair && !(c->flags & REPAIR_DRY_RUN);
    (void)mapped_catch_faults(on_unreadable); /* a failure only costs the sentence */
    tally_raise_file_limit();
    unsigned flags =
        STORE_VERIFY | (writes ? STORE_SALVAGE : STORE_READONLY) | (c->foreign ? STORE_FOREIGN : 0);
    int err = owner_open(path, flags, "check", path, &store, why);
    if (err == -EUCLEAN) {
        return unopened(c, path, why);
    }
    if (err < 0) {
        tally_warn("%s", why);
        return 2;
    }
    c->started = clock_ticks(clock_real());
    tell_salvaged(c, &store.salvaged);
    err = look_at_store(&store, c, &result);
    if (err == 0 && writes) {
        err = store_is_mended(&store);
    }
    result.repaired += store.salvaged.rows > 0;
    store_dir_close(&store);
    tally_progress("%s", "");
    if (err < 0) {
        return explain(path, c, &result, err);
    }
    if (c->json) {
        print_json(c, &result);
    } else {
        print_text(c, &result.found);
        if (c->repair) {
            print_repair(c, &result);
        }
    }
    return result.left > 0;
}

/* Applies an option. False: there is none like it. The caller refuses options that need
 * --repair. */
static bool take_option(struct checking *c, int o)
{
    switch (o) {
    case 'j':
        c->json = true;
        return true;
    case 'a':
        c->all_bytes = true;
        return true;
    case 'F':
        c->foreign = true;
        return true;
    case 'r':
        c->repair = true;
        return true;
    case 'n':
        c->flags |= REPAIR_DRY_RUN;
        return true;
    case 'd':
        c->flags |= REPAIR_REMOVE_DANGLING;
        return true;
    case 'l':
        c->flags |= REPAIR_FREE_LEAKS;
        return true;
    default:
        return false;
    }
}

int cmd_check_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},          {"repair", no_argument, NULL, 'r'},
        {"dry-run", no_argument, NULL, 'n'},       {"remove-dangling", no_argument, NULL, 'd'},
        {"free-leaks", no_argument, NULL, 'l'},    {"all-bytes", no_argument, NULL, 'a'},
        {"foreign-store", no_argument, NULL, 'F'}, {NULL, 0, NULL, 0}};
    struct checking c = {0};
    struct tally_mountinfo at;
    int o;
    while ((o = tally_getopt(argc, argv, "", options)) >= 0) {
        if (!take_option(&c, o)) {
            verbs_misuse();
            return 2;
        }
    }
    if (argc - optind != 1) {
        verbs_misuse();
        return 2;
    }
    if (c.flags && !c.repair) {
        tally_warn("--dry-run, --remove-dangling and --free-leaks go with --repair");
        return 2;
    }
    if (mountinfo_at(argv[optind], &at) == 0) {
        tally_warn("%s is a mount, of the store %s; unmount it (tally umount %s), then check the "
                   "store",
                   argv[optind], at.source, argv[optind]);
        return 2;
    }
    if (c.json) {
        c.found = json_array();
        c.repaired = json_array();
        c.left = json_array();
    }
    int rc = check_store(argv[optind], &c);
    json_decref(c.found);
    json_decref(c.repaired);
    json_decref(c.left);
    return rc;
}
