// SPDX-License-Identifier: Apache-2.0
/* cmd_clone: makes a store of what an archive has, on any machine. */
#include "clone.h"
#include "command.h"
#include "ctl.h"
#include "form.h"
#include "move.h"
#include "new_store.h"
#include "owner_wait.h"
#include "say.h"
#include "store.h"
#include "store_dir.h"
#include "verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct cloning {
    const char *url, *store;
    char made[PATH_MAX]; /* where the store is made: it gets its name when it is whole */
    const char *at;      /* SEQ or TIME; NULL: as it is last */
    uint64_t lineage;
    bool full; /* all bytes are brought home */
    const char *const *names;
    size_t count;
};

/* ---- the command line ---- */

static int take_options(int argc, char **argv, struct cloning *ret)
{
    static const struct option options[] = {{"at", required_argument, NULL, 'a'},
                                            {"lineage", required_argument, NULL, 'l'},
                                            {"full", no_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    const char *lineage = NULL;
    int o;
    while ((o = form_getopt(argc, argv, "", options)) >= 0) {
        if (o == 'a') {
            ret->at = optarg;
        } else if (o == 'f') {
            ret->full = true;
        } else if (o == 'l') {
            lineage = optarg;
        } else {
            return -EINVAL;
        }
    }
    if (lineage && (command_number(lineage, &ret->lineage) < 0 || ret->lineage == 0 ||
                    ret->lineage > UINT32_MAX)) {
        tally_warn("'%s' is not the number of a history of an archive", lineage);
        return -EINVAL;
    }
    if (argc - optind < 2) {
        tally_warn("an argument is missing");
        return -EINVAL;
    }
    ret->url = argv[optind];
    ret->store = argv[optind + 1];
    ret->count = (size_t)(argc - optind - 2);
    ret->names = ret->count ? (const char *const *)(argv + optind + 2) : NULL;
    return 0;
}

static int parse_moment(const char *at, struct restore_ask *ret)
{
    *ret = (struct restore_ask){.when = RESTORE_LAST};
    if (at && restore_moment(at, clock_now(clock_real()), ret) < 0) {
        tally_warn("'%s' is not " RESTORE_MOMENTS, at);
        return -EINVAL;
    }
    return 0;
}

/* ---- making it ---- */

static int show_progress(uint64_t items, uint64_t of, void *ctx)
{
    (void)ctx;
    if (tally_progress_is_due()) {
        tally_progress("%llu of %llu items", (unsigned long long)items, (unsigned long long)of);
    }
    return 0;
}

/* Brings home all that is in the archive, which is the only other place that a new store has. */
static int bring_home(struct state *p, struct strbuf *why)
{
    const struct move_selection all = {.idle = -1, .on = -1};
    struct move_result r;
    char sentence[256];
    int err = move_home(p, NULL, &all, &r, sentence);
    if (err < 0) {
        strbuf_addf(why, "not all bytes could be brought home: %s",
                    *sentence ? sentence : strerror(-err));
    }
    return err;
}

/* Fills an open store. */
static int fill(struct state *p, const struct cloning *c, const struct clone_source *source,
                const struct clone_ask *ask, struct clone_result *ret, struct strbuf *why)
{
    int err = clone_fill(p, c->url, source, ask, show_progress, NULL, ret, why);
    if (err == 0 && c->full) {
        tally_progress("%s", "bringing all bytes home");
        err = bring_home(p, why);
    }
    tally_progress("%s", "");
    return err;
}

/* Opens the new store, fills it, and closes it. */
static int fill_store(const struct cloning *c, const struct clone_source *source,
                      const struct clone_ask *ask, struct clone_result *ret, struct strbuf *why)
{
    struct state_config config = {.clock = clock_real(), .background = true};
    char reason[STORE_WHY] = "";
    struct store_dir dir;
    struct state *p;
    int err = owner_open(c->made, 0, "clone", c->store, &dir, reason);
    if (err < 0) {
        strbuf_adds(why, reason);
        return err;
    }
    config.disk = dir.disk;
    config.kv = dir.kv;
    config.compression = store_get_compression(&dir);
    err = store_open(&config, &p);
    if (err == 0) {
        err = fill(p, c, source, ask, ret, why);
        int end = store_close_told(p, why);
        err = err < 0 ? err : end;
    }
    store_dir_close(&dir);
    return err;
}

static void say_result(const struct cloning *c, const struct clone_source *source,
                       const struct clone_result *r)
{
    struct reply reply = REPLY_INIT;
    const struct people_call call = form_call("clone", NULL, 0);
    struct strbuf *text = &reply.head;
    strbuf_adds(text, "store=");
    command_add_word(text, c->store);
    strbuf_addf(
        text, " lineage=%u namespaces=%llu inodes=%llu ghosts=%llu lost=%llu from_seq=%llu time=",
        source->lineage.number, (unsigned long long)r->namespaces, (unsigned long long)r->inodes,
        (unsigned long long)r->ghosts, (unsigned long long)r->lost, (unsigned long long)r->seq);
    strbuf_add_time(text, r->time);
    ctl_show(&call, &reply);
    reply_release(&reply);
}

int cmd_clone_run(int argc, char **argv)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT, url = STRBUF_INIT;
    struct cloning c = {.at = NULL};
    struct clone_source source = {.lineage = {.number = 0}};
    struct clone_ask ask = {.names = NULL};
    struct clone_result result;
    char reason[STORE_WHY] = "";
    if (take_options(argc, argv, &c) < 0 || parse_moment(c.at, &ask.moment) < 0) {
        return verbs_misuse();
    }
    c.url = ctl_absolute_url(c.url, &url);
    ask.names = c.names;
    ask.count = c.count;
    int err = clone_look(c.url, (uint32_t)c.lineage, &source, &why);
    if (err == 0) {
        err = clone_look_for(c.url, &source, &ask, &why);
    }
    if (err < 0) {
        return tally_fail("%s: %s", c.url, why.len ? why.s : strerror(-err));
    }
    if (new_store_place(c.store, c.made, reason) < 0 ||
        new_store_make(c.store, c.made, &source.lineage, reason) < 0) {
        return tally_fail("%s", reason);
    }
    err = fill_store(&c, &source, &ask, &result, &why);
    if (err < 0) {
        return tally_fail("%s: %s; the incomplete store is in %s, you can remove it", c.url,
                          why.len ? why.s : strerror(-err), c.made);
    }
    if (new_store_done(c.store, c.made, reason) < 0) {
        return tally_fail("%s", reason);
    }
    say_result(&c, &source, &result);
    return 0;
}
