// SPDX-License-Identifier: Apache-2.0
/*
 * damage: see the header. A first walk over a tree keeps uses: of an object by one inode, and of a
 * page by all inodes that have items below it. A second walk finds the names of these inodes. Only
 * then are paths made, because each path takes walks of its own.
 */
#include "damage.h"
#include "array.h"
#include "command.h"
#include "path.h"
#include "report.h"
#include "walk_live.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))
#define PATH_DEPTH 256
#define PATH_ROOM 4097

/* One use of a damaged thing in the tree that is walked. */
struct use {
    size_t thing;
    uint64_t first, last; /* the first and the last inode; equal for an object */
    uint64_t off;
    unsigned type; /* type of the item; 0 for a page */
    unsigned names;
};

/* A name of an inode that has a use. */
struct name {
    size_t use;
    uint64_t dir;
    char *text;
};

struct users {
    struct state *p;
    struct damage *d;
    void (*say)(const char *line, void *ctx);
    int (*pause)(void *ctx);
    void *ctx;
    char ns[VFS_NAME_MAX + 1];
    struct walk tree; /* that is walked */
    char path[PATH_ROOM];
    struct use *use;
    size_t use_count, use_room;
    struct name *name;
    size_t name_count, name_room;
};

/* ---- the set ---- */

int damage_add(struct damage *d, enum damage_kind kind, uint64_t number, const char *name)
{
    struct map64 *map = kind == DAMAGE_OBJECT ? &d->objects : &d->pages;
    uint64_t none;
    int err;

    if (map64_get(map, number, &none))
        return 0;
    if (d->count == DAMAGE_AT_ONCE)
        return -ENOSPC;
    err = map64_put(map, number, d->count);
    if (err < 0)
        return err;
    d->v[d->count] = (struct damaged_thing){.kind = kind, .number = number};
    snprintf(d->v[d->count].name, sizeof d->v[d->count].name, "%s", name);
    d->count++;
    return 0;
}

void damage_release(struct damage *d)
{
    map64_release(&d->objects);
    map64_release(&d->pages);
    d->count = 0;
}

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
    strbuf_adds(&text, u->ns);
    strbuf_adds(&text, !known || p.cut ? "/.../" : "/");
    strbuf_adds(&text, p.text + p.start);
    if (strbuf_error(&text) == 0)
        command_add_word(out, text.s);
    return strbuf_error(&text);
}

/* ---- reporting ---- */

/* Appends which part of the file it is. */
static void add_part(const struct use *use, struct strbuf *out)
{
    if (use->type == ITEM_EXTENT)
        strbuf_addf(out, ", %u bytes from %llu on", EXTENT_BLOCK, U(use->off));
    else if (use->type == ITEM_SUBBLOCK)
        strbuf_addf(out, ", a subblock extent of bytes from %llu on", U(use->off));
    else if (use->type == ITEM_XATTR)
        strbuf_adds(out, ", an extended attribute");
}

/* Reports one use with one path. */
static int say_path(struct users *u, const struct name *n)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    const struct use *use = &u->use[n->use];
    int err;

    strbuf_addf(&out, "%s is used by ", u->d->v[use->thing].name);
    err = add_path(u, n->dir, n->text, &out);
    add_part(use, &out);
    if (err == 0)
        err = strbuf_error(&out);
    if (err == 0)
        u->say(out.s, u->ctx);
    return err;
}

/* Reports a use that no name leads to: that of an unlinked file that is open, or the directory is
 * damaged, too. */
static int say_nameless(struct users *u, const struct use *use)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    strbuf_addf(&out, "%s is used by ", u->d->v[use->thing].name);
    command_add_word(&out, u->ns);
    if (use->first == 0 && use->last == KEY_INO_MAX)
        strbuf_adds(&out, ": all of it");
    else if (use->first == use->last)
        strbuf_addf(&out, ": inode %llu", U(use->first));
    else
        strbuf_addf(&out, ": inodes %llu to %llu", U(use->first), U(use->last));
    add_part(use, &out);
    if (strbuf_error(&out) == 0)
        u->say(out.s, u->ctx);
    return strbuf_error(&out);
}

/* Reports for each thing how many more use it, or that no file does. */
static int say_rest(struct users *u)
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
    return 0;
}

/* ---- who uses it ---- */

/* Adds a use. An inode that uses a thing several times counts once. */
static int add_use(struct users *u, const struct use *use)
{
    struct damaged_thing *t = &u->d->v[use->thing];

    if (t->met && use->first <= t->last) /* another part of the same file, or of the same page */
        return 0;
    t->met = true;
    t->last = use->last;
    t->users++;
    if (t->told >= DAMAGE_PATHS)
        return 0;
    if (ARRAY_RESERVE(u->use, u->use_room, u->use_count + 1) < 0)
        return -ENOMEM;
    u->use[u->use_count++] = *use;
    t->told++;
    return 0;
}

/* Called for each item: does it name one of the objects, or an alias of one? */
static int take_item(struct key k, const void *val, size_t len, void *ctx)
{
    struct users *u = ctx;
    uint64_t number = item_object(k, val, len), thing;

    if (!number || u->d->objects.count == 0)
        return 0;
    if (!map64_get(&u->d->objects, number, &thing) &&
        !map64_get(&u->d->objects, refs_resolve(u->p->refs, number), &thing))
        return 0;
    return add_use(u, &(struct use){.thing = thing,
                                    .first = key_ino(k),
                                    .last = key_ino(k),
                                    .off = k.lo,
                                    .type = key_type(k)});
}

/* Called for each page on the way. False: it cannot be read, so the walk goes on behind it. Without
 * memory this use is not reported. */
static bool take_page(uint64_t no, struct key first, const struct key *end, void *ctx)
{
    struct users *u = ctx;
    /* `end` is the first item of its inode, which is then not below the page */
    bool before = end && key_type(*end) <= ITEM_INODE && end->lo == 0;
    uint64_t high = end ? key_ino(*end) - before : KEY_INO_MAX, thing;

    if (u->d->pages.count == 0 || !map64_get(&u->d->pages, no, &thing))
        return true;
    (void)add_use(u, &(struct use){.thing = thing, .first = key_ino(first), .last = high});
    return !u->d->v[thing].hidden;
}

/* Called for each item in the second walk: is it the name of an inode with a use? */
static int take_name(struct key k, const void *val, size_t len, void *ctx)
{
    struct users *u = ctx;
    struct dirent_item d;

    if (key_type(k) != ITEM_DIRENT || dirent_decode(val, len, &d) < 0)
        return 0;
    for (size_t i = 0; i < u->use_count; i++) {
        struct use *use = &u->use[i];
        if (d.ino < use->first || d.ino > use->last ||
            use->names >= (use->first == use->last ? 1 : DAMAGE_PATHS))
            continue;
        if (ARRAY_RESERVE(u->name, u->name_room, u->name_count + 1) < 0)
            return -ENOMEM;
        char *text = strndup(d.name, d.name_len);
        if (!text)
            return -ENOMEM;
        u->name[u->name_count++] = (struct name){i, key_ino(k), text};
        use->names++;
    }
    return 0;
}

static int pause_walk(void *ctx)
{
    const struct users *u = ctx;

    return u->pause ? u->pause(u->ctx) : 0;
}

static void forget_tree(struct users *u)
{
    for (size_t i = 0; i < u->name_count; i++)
        free(u->name[i].text);
    u->name_count = u->use_count = 0;
}

/* Reports the uses in one tree. */
static int say_tree(struct users *u)
{
    int err = 0;

    for (size_t i = 0; i < u->use_count && err == 0; i++) {
        bool range = u->use[i].first != u->use[i].last;
        if (range || u->use[i].names == 0)
            err = say_nameless(u, &u->use[i]);
        for (size_t n = 0; n < u->name_count && err == 0; n++)
            if (u->name[n].use == i)
                err = say_path(u, &u->name[n]);
    }
    return err;
}

/* Walks one tree twice, and reports. The orphans have no names. */
static int look_through(struct users *u, struct rwlock *lock, const struct tree *tree)
{
    struct walk w;
    int err;

    u->tree = (struct walk){WALK_LIVE(lock, tree), WALK_ALL, .pause = pause_walk, .ctx = u};
    w = u->tree;
    w.fn = take_item;
    w.page = take_page;
    for (size_t i = 0; i < u->d->count; i++)
        u->d->v[i].met = false;
    err = walk_items(&w);
    w = u->tree;
    w.fn = take_name;
    if (err == 0 && u->use_count && lock != &u->p->orphans.lock)
        err = walk_items(&w);
    if (err == 0)
        err = say_tree(u);
    forget_tree(u);
    return err;
}

/* Walks all namespaces, by number. One that is made meanwhile may be missed. */
static int each_namespace(struct users *u)
{
    struct ns *ns;
    uint32_t at = 0;
    int err = 0;

    while (err == 0 && ns_next_number(u->p, at, &ns) == 0) {
        at = ns->number;
        {
            READ_GUARD(&u->p->names.lock); /* a rename changes the name */
            snprintf(u->ns, sizeof u->ns, "%s", ns->name);
        }
        err = ns->target ? 0 : look_through(u, &ns->lock, &ns->tree);
        ns_put(u->p, ns);
        if (err == 0)
            err = pause_walk(u);
    }
    return err;
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
    err = each_namespace(&u);
    snprintf(u.ns, sizeof u.ns, "unlinked but open files");
    if (err == 0)
        err = look_through(&u, &p->orphans.lock, &p->orphans.tree);
    if (err == 0)
        err = say_rest(&u);
    if (err == 0)
        damage_release(d);
    free(u.use);
    free(u.name);
    return err;
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
