// SPDX-License-Identifier: Apache-2.0
/* damage_live: see the header. */
#include "damage_live.h"
#include "command.h"
#include "path.h"
#include "report.h"
#include "walk_live.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))
#define PATH_DEPTH 256
#define PATH_ROOM 4097

struct users {
    struct state *p;
    struct damage *d;
    void (*say)(const char *line, void *ctx);
    int (*pause)(void *ctx);
    void *ctx;
    const struct live_tree *at; /* the tree that is looked through, */
    struct walk tree;           /* and how it is walked */
    char path[PATH_ROOM];
};

/* ---- paths ---- */

/* Appends the path "main/dir/name", quoted if needed. A part that is not known, or too long, is
 * shown as "...". */
static int add_path(struct users *u, uint64_t dir, const char *name, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct path p = {
        .text = u->path, .room = sizeof u->path, .top = NS_ROOT_INO, .depth = PATH_DEPTH};
    int known;

    path_begin(&p);
    path_prepend(&p, name, strlen(name));
    known = path_climb(&u->tree, dir, &p);
    if (known < 0)
        return known;
    strbuf_adds(&text, u->at->name);
    strbuf_adds(&text, !known || p.cut ? "/.../" : "/");
    strbuf_adds(&text, p.text + p.start);
    if (strbuf_error(&text) == 0)
        command_add_word(out, text.s);
    return strbuf_error(&text);
}

/* ---- reporting ---- */

/* Appends which part of the file it is. */
static void add_part(const struct damage_use *use, struct strbuf *out)
{
    if (use->type == ITEM_EXTENT)
        strbuf_addf(out, ", %u bytes from %llu on", EXTENT_BLOCK, U(use->off));
    else if (use->type == ITEM_SUBBLOCK)
        strbuf_addf(out, ", a subblock extent from %llu on", U(use->off));
    else if (use->type == ITEM_XATTR)
        strbuf_adds(out, ", an extended attribute");
}

/* Appends of which inodes it is that no name leads to: of an unlinked file that is open, or their
 * directory is damaged, too. */
static void add_inodes(const struct users *u, const struct damage_use *use, struct strbuf *out)
{
    command_add_word(out, u->at->name);
    if (use->first == 0 && use->last == KEY_INO_MAX)
        strbuf_adds(out, ": all of it");
    else if (use->first == use->last)
        strbuf_addf(out, ": inode %llu", U(use->first));
    else
        strbuf_addf(out, ": inodes %llu to %llu", U(use->first), U(use->last));
}

/* Reports one use, with a path if its inode has a name. */
static int say_use(const struct damage_use *use, uint64_t dir, const char *name, void *ctx)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct users *u = ctx;
    int err = 0;

    strbuf_addf(&out, "%s is used by ", use->thing->name);
    if (name)
        err = add_path(u, dir, name, &out);
    else
        add_inodes(u, use, &out);
    add_part(use, &out);
    if (err == 0)
        err = strbuf_error(&out);
    if (err == 0)
        u->say(out.s, u->ctx);
    return err;
}

/* Reports for each thing how many more use it, or that no file does. */
static void say_rest(struct users *u)
{
    char line[128];

    for (size_t i = 0; i < u->d->count; i++) {
        const struct damaged_thing *t = &u->d->v[i];
        if (t->users == 0)
            snprintf(line, sizeof line, "%s is used by no file", t->name);
        else if (t->users > t->told)
            snprintf(line, sizeof line, "%s is used by %llu more %s", t->name,
                     U(t->users - t->told), t->kind == DAMAGE_PAGE ? "namespaces" : "inodes");
        else
            continue;
        u->say(line, u->ctx);
    }
}

/* ---- who uses it ---- */

/* The target of an alias. */
static uint64_t resolve(uint64_t number, void *ctx)
{
    return refs_resolve(((const struct users *)ctx)->p->refs, number);
}

/* Looks through one tree. The orphans have no names. */
static int look_through(const struct live_tree *t, void *ctx)
{
    struct users *u = ctx;

    u->at = t;
    u->tree = (struct walk){WALK_LIVE(t->lock, t->tree), .pause = u->pause, .pause_ctx = u->ctx};
    return damage_look(
        u->d,
        &(struct damage_look){
            .tree = u->tree, .nameless = t->ns == 0, .resolve = resolve, .say = say_use, .ctx = u});
}

/* Finds out which of the damaged pages can be read now. */
static void look_at_pages(struct users *u)
{
    for (size_t i = 0; i < u->d->count; i++) {
        struct damaged_thing *t = &u->d->v[i];
        struct tree_page *page;
        t->told = 0;
        t->users = 0;
        if (t->kind != DAMAGE_PAGE)
            continue;
        t->hidden = pages_get(u->p->pages, t->number, &page) < 0;
        if (!t->hidden)
            pages_put(u->p->pages, page);
    }
}

int damage_tell(struct state *p, struct damage *d, void (*say)(const char *line, void *ctx),
                int (*pause)(void *ctx), void *ctx)
{
    struct users u = {.p = p, .d = d, .say = say, .pause = pause, .ctx = ctx};
    int err;

    if (d->count == 0)
        return 0;
    look_at_pages(&u);
    err = walk_live_trees(p, look_through, &u);
    if (err)
        return err;
    say_rest(&u);
    damage_release(d);
    return 0;
}

/* Raises the alarm. If the line is too long for the journal its middle is left out. */
void damage_alarm(const char *who, const char *line)
{
    const size_t room = REPORT_TEXT - 16, head = 80;
    size_t n = strlen(line);

    if (n < room)
        report(REPORT_ALARM, "%s: %s", who, line);
    else
        report(REPORT_ALARM, "%s: %.*s...%s", who, (int)head, line, line + n - (room - head - 3));
}
