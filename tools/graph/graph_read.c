// SPDX-License-Identifier: Apache-2.0
/* graph_read: see the header. */
#include "graph_read.h"

#include "command.h"
#include "jobs.h"
#include "past.h"
#include "say.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A large store takes a while: on a terminal it is shown how long. */
static int run(int fd, const char *command, struct reply *ret)
{
    struct bar *clock = bar_start_clock();
    int err = client_run(fd, command, ret);
    bar_stop(clock);
    return err;
}

int graph_ask(const char *mnt, const char *command, struct reply *ret)
{
    int fd = client_open(mnt);
    if (fd < 0) {
        CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
        client_explain(mnt, fd, &why);
        return tally_fail("%s", why.s);
    }
    int err = run(fd, command, ret);
    close(fd);
    return err < 0 ? tally_fail("%s", ret->head.s) : 0;
}

/* ---- lines ---- */

static int take_line(const char *text, size_t len,
                     int (*take)(void *ctx, const struct command *line), void *ctx)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT, why = STRBUF_INIT;
    struct command_list list;
    strbuf_adds(&line, "line ");
    strbuf_add(&line, text, len);
    int err = strbuf_error(&line);
    err = err < 0 ? err : command_parse(line.s, line.len, &list, &why);
    if (err == -EINVAL) {
        return 0; /* a line of a version that says more */
    }
    if (err < 0) {
        return err;
    }
    err = list.count > 0 ? take(ctx, &list.items[0]) : 0;
    command_list_release(&list);
    return err;
}

int graph_each_line(const struct strbuf *body, bool backwards,
                    int (*take)(void *ctx, const struct command *line), void *ctx)
{
    size_t at = backwards ? body->len : 0;
    int err = 0;
    while (err == 0 && (backwards ? at > 0 : at < body->len)) {
        size_t from = at, end;
        if (backwards) {
            end = at - (body->s[at - 1] == '\n');
            for (from = end; from > 0 && body->s[from - 1] != '\n'; from--) {
            }
            at = from;
        } else {
            end = from + strcspn(body->s + from, "\n");
            at = end + 1;
        }
        err = take_line(body->s + from, end - from, take, ctx);
    }
    return err;
}

/* ---- listings ---- */

static int take_operation(void *ctx, const struct command *line)
{
    return past_apply(ctx, line);
}

static int take_namespace(void *ctx, const struct command *line)
{
    size_t node;
    return past_take(ctx, GRAPH_NAMESPACE, line, &node);
}

static uint64_t frees(const struct command *line)
{
    const char *word = command_option(line, "frees");
    uint64_t n;
    return word && command_number(word, &n) == 0 ? n : 0;
}

static int take_snapshot(void *ctx, const struct command *line)
{
    struct past *p = ctx;
    size_t node;
    p->g->snapshots += frees(line);
    return past_take(p, GRAPH_SNAPSHOT, line, &node);
}

/* The list of the trash also has what branches were made of, which nobody sees. */
static int take_trash(void *ctx, const struct command *line)
{
    struct past *p = ctx;
    const char *at = line->nargs > 0 ? strrchr(line->args[0].text, '@') : NULL;
    size_t node;
    if (!at || strncmp(at, "@dropped-", 9) != 0) {
        p->g->bases += frees(line);
        return 0;
    }
    p->g->trash += frees(line);
    return past_take(p, GRAPH_TRASH, line, &node);
}

/* Gives each line of the reply to `take`. 0; 1 after a sentence. */
static int read_list(const char *mnt, const char *command, bool backwards,
                     int (*take)(void *ctx, const struct command *line), void *ctx)
{
    struct reply r = REPLY_INIT;
    int rc = graph_ask(mnt, command, &r);
    if (rc == 0 && graph_each_line(&r.body, backwards, take, ctx) < 0) {
        rc = tally_fail("%s", strerror(ENOMEM));
    }
    reply_release(&r);
    return rc;
}

/* ---- sizes of what is kept ---- */

static int take_size(void *ctx, const struct command *line)
{
    struct graph *g = ctx;
    const char *ns = command_option(line, "ns"), *logical = command_option(line, "logical"),
               *shared = command_option(line, "shared");
    if (!ns || !logical || !shared) {
        return 0;
    }
    size_t at = graph_find(g, GRAPH_SNAPSHOT, ns);
    at = at == GRAPH_NONE ? graph_find(g, GRAPH_TRASH, ns) : at;
    if (at == GRAPH_NONE) {
        return 0;
    }
    struct graph_node *n = &g->nodes[at];
    if (command_number(logical, &n->logical) < 0 || command_number(shared, &n->shared) < 0) {
        n->logical = n->shared = GRAPH_UNKNOWN;
    }
    return 0;
}

/* Asks for what the snapshots and the trash share. One that goes meanwhile is an error of the whole
 * command, and then the figure stays unknown. */
static int read_kept_sizes(const char *mnt, struct graph *g)
{
    int err = 0;
    for (size_t i = 0; i < g->count && err >= 0;) {
        CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
        struct reply r = REPLY_INIT;
        size_t words = 0;
        strbuf_adds(&line, "du");
        for (; i < g->count && words < 100; i++) {
            const struct graph_node *n = &g->nodes[i];
            if (n->kind == GRAPH_SNAPSHOT || n->kind == GRAPH_TRASH) {
                strbuf_adds(&line, " ");
                command_add_word(&line, n->name);
                words++;
            }
        }
        err = strbuf_error(&line);
        int fd = words > 0 && err == 0 ? client_open(mnt) : -1;
        if (fd >= 0) {
            if (run(fd, line.s, &r) == 0) {
                err = graph_each_line(&r.body, false, take_size, g);
            }
            close(fd);
        }
        reply_release(&r);
    }
    return err < 0 ? tally_fail("%s", strerror(-err)) : 0;
}

/* ---- the store ---- */

static uint64_t stat_of(const json_t *stats, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(stats, key));
    return n > 0 ? (uint64_t)n : 0;
}

static int read_store(const char *mnt, struct graph *g)
{
    json_t *stats = client_load_stats(mnt);
    if (!stats) {
        return tally_fail("%s/.tally/stats.json cannot be read", mnt);
    }
    g->packs = stat_of(stats, "pack_live_bytes");
    g->packs_dead = stat_of(stats, "pack_dead_bytes");
    g->metadata = stat_of(stats, "kv_bytes");
    g->disk = stat_of(stats, "disk_bytes");
    g->disk_free = stat_of(stats, "disk_free_bytes");
    json_decref(stats);
    return 0;
}

int graph_read(const char *mnt, struct graph *ret)
{
    struct past p;
    *ret = (struct graph)GRAPH_INIT;
    int rc = past_begin(&p, ret) < 0 ? tally_fail("%s", strerror(ENOMEM)) : 0;
    rc = rc ? rc : read_list(mnt, "history", true, take_operation, &p);
    rc = rc ? rc : read_list(mnt, "du", false, take_namespace, &p);
    rc = rc ? rc : read_list(mnt, "snapshot list", false, take_snapshot, &p);
    rc = rc ? rc : read_list(mnt, "trash list", false, take_trash, &p);
    past_end(&p);
    rc = rc ? rc : read_kept_sizes(mnt, ret);
    return rc ? rc : read_store(mnt, ret);
}
