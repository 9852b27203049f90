// SPDX-License-Identifier: Apache-2.0
/* stuck: see the header. */
#include "stuck.h"
#include "damage_live.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool stuck_note(struct state *p, struct content *c, int err)
{
    MUTEX_GUARD(&p->contents.lock);
    bool before = c->seal_error != 0;

    c->seal_error = err;
    c->tried = ticks(p);
    if (content_is_listed(c) && c->slot && !before)
        atomic_fetch_add(&p->contents.stuck, 1);
    return before;
}

size_t stuck_slots(struct state *p)
{
    return atomic_load(&p->contents.stuck);
}

/* ---- which ---- */

static bool is_stuck(struct state *p, struct content *c, void *ctx)
{
    (void)p;
    if (c->seal_error)
        ++*(size_t *)ctx;
    return c->seal_error != 0;
}

/* Counts a stuck content, and picks none. */
static bool counts(struct state *p, struct content *c, void *ctx)
{
    (void)is_stuck(p, c, ctx);
    return false;
}

size_t stuck_count(struct state *p)
{
    size_t n = 0;

    (void)contents_pick(p, counts, &n, NULL, 1);
    return n;
}

/* The first stuck contents. */
struct few {
    struct {
        uint64_t number;
        int error;
    } v[STUCK_TOLD];
    size_t count;
};

/* Copies the number and the error of the first stuck contents. */
static void pick(struct state *p, struct few *ret)
{
    struct content *c[STUCK_TOLD];
    size_t none = 0;

    *ret = (struct few){.count = contents_pick(p, is_stuck, &none, c, STUCK_TOLD)};
    for (size_t i = 0; i < ret->count; i++) {
        MUTEX_GUARD(&p->contents.lock);
        ret->v[i].number = c[i]->number;
        ret->v[i].error = c[i]->seal_error;
    }
    for (size_t i = 0; i < ret->count; i++)
        content_unref(c[i]);
}

/* ---- whose ---- */

static void add_line(const char *line, void *ctx)
{
    struct strbuf *out = ctx;

    strbuf_adds(out, line);
    strbuf_adds(out, "\n");
}

/* Finds the files of these contents, by walks through all trees. */
static int look_up(struct state *p, const struct few *few, struct strbuf *out)
{
    struct damage d = {.count = 0};
    char what[96];
    int err = 0;

    for (size_t i = 0; i < few->count && err == 0; i++) {
        snprintf(what, sizeof what, "what cannot be sealed (%s)", strerror(-few->v[i].error));
        err = damage_add(&d, DAMAGE_OBJECT, few->v[i].number, what);
    }
    if (err == 0)
        err = damage_tell(p, &d, add_line, NULL, out);
    damage_release(&d);
    return err < 0 ? err : strbuf_error(out);
}

int stuck_describe(struct state *p, const char *before, const char *after, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf lines = STRBUF_INIT;
    struct few few;
    int err;

    pick(p, &few);
    if (few.count == 0)
        return 0;
    err = look_up(p, &few, &lines);
    for (const char *at = lines.s, *end; err == 0 && at && (end = strchr(at, '\n')); at = end + 1) {
        strbuf_adds(out, before);
        strbuf_add(out, at, (size_t)(end - at));
        strbuf_adds(out, after);
    }
    return err;
}
