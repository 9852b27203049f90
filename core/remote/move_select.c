// SPDX-License-Identifier: Apache-2.0
/*
 * move_select: which objects a command means (move.h).
 *
 * By words: an object by its id; or all objects that the items of a file name, of all files below a
 * directory, or of a namespace. Their numbers are gathered (8 bytes each), so that each is selected
 * once. By age and size: every entry of the table is looked at, a few at a time. In both ways the
 * objects come in the order of their numbers. Up to SORTED of them at a time are brought into the
 * order of their places, because neighbours in a pack are read by one request (objects_batch.h).
 *
 * Before the selection, unsealed contents are sealed, as far as that is done within view_wait.
 */
#include "array.h"
#include "command.h"
#include "durability.h"
#include "move.h"
#include "vfs.h"
#include "walk_live.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define KEYS_AT_ONCE 256 /* entries read from one snapshot */
#define SORTED 16384     /* objects; 24 bytes of memory each */
#define DAY (24 * 3600 * NSEC_PER_SEC)

struct numbers {
    uint64_t *v;
    size_t count, room;
};

/* An object that was selected, and where it is. */
struct selected {
    uint64_t number, where;
    uint32_t offset;
    uint16_t shard;
    bool is_file;
};

struct selecting {
    struct state *p;
    const struct move_selection *s;
    move_select_fn *fn;
    void *ctx;
    char *why;
    struct selected *sorted; /* SORTED objects, of which there are `sorted_count` */
    size_t sorted_count;
    struct numbers objects;
    struct numbers dirs, files; /* inode numbers that are still to be walked */
    bool hidden;                /* damage hid a part of the selection */
};

static int add_number(struct numbers *l, uint64_t number)
{
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->v[l->count++] = number;
    return 0;
}

/* Formats a sentence about a word into `why`, and returns err. `fmt` has one %s. */
static int say(struct selecting *g, int err, const char *fmt, const char *word)
{
    CLEANUP_STRBUF struct strbuf quoted = STRBUF_INIT;
    const char *at = strstr(fmt, "%s");

    command_add_word(&quoted, word);
    snprintf(g->why, 256, "%.*s%.160s%s", (int)(at - fmt), fmt, quoted.s, at + 2);
    return err;
}

/* ---- one object ---- */

/* Was the object not opened for long enough? An unknown day is 0, so it is older than every known
 * day. The whole day of the last open counts as in use. */
static bool is_idle(struct selecting *g, const struct entry *e)
{
    if (g->s->idle <= 0)
        return true;
    return ((int64_t)e->day + 1) * DAY <= now(g->p) - g->s->idle;
}

static bool matches(struct selecting *g, const struct entry *e)
{
    return entry_is_sealed(e) && e->count && (g->s->on < 0 || e->shard == g->s->on) &&
           (g->s->larger == 0 || e->size > g->s->larger) && is_idle(g, e);
}

/* By place: shard, then files before records, then pack and offset. */
static int by_place(const void *a, const void *b)
{
    const struct selected *x = a, *y = b;

    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    if (x->is_file != y->is_file)
        return x->is_file ? -1 : 1;
    if (x->where != y->where)
        return x->where < y->where ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Gives the objects that were gathered for it to `fn`, in the order of their places. */
static int tell_sorted(struct selecting *g)
{
    size_t count = g->sorted_count;
    int err = 0;

    g->sorted_count = 0;
    if (count)
        qsort(g->sorted, count, sizeof *g->sorted, by_place);
    for (size_t i = 0; i < count && err == 0; i++)
        err = g->fn(g->sorted[i].number, g->ctx);
    return err;
}

/* Takes an object along if it matches. An object that was deleted meanwhile is passed over. */
static int select_one(struct selecting *g, uint64_t number)
{
    struct entry e = {.shard = 0};
    int err = refs_entry(g->p->refs, number, false, NULL, &e);

    if (err == -ENOENT || (err == 0 && !matches(g, &e)))
        return 0;
    /* A damaged entry is given to `fn` as well: the move reports it. */
    if (err < 0 && err != -EUCLEAN)
        return err;
    if (!g->sorted && !(g->sorted = malloc(SORTED * sizeof *g->sorted)))
        return -ENOMEM;
    g->sorted[g->sorted_count++] =
        (struct selected){number, e.where, e.offset, e.shard, e.kind == ENTRY_FILE};
    return g->sorted_count == SORTED ? tell_sorted(g) : 0;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Selects each gathered number once, in ascending order. */
static int tell_gathered(struct selecting *g)
{
    struct numbers *l = &g->objects;
    int err = 0;

    if (l->count)
        qsort(l->v, l->count, sizeof *l->v, by_number);
    for (size_t i = 0; i < l->count && err == 0; i++)
        if (i == 0 || l->v[i] != l->v[i - 1])
            err = select_one(g, l->v[i]);
    return err;
}

/* ---- trees ---- */

static int stop(void *ctx)
{
    const struct selecting *g = ctx;

    return atomic_load(&g->p->closing) ? -ESHUTDOWN : 0;
}

/* Notes the object that an item names; an alias is resolved. */
static int gather_item(struct key k, const void *val, size_t len, void *ctx)
{
    struct selecting *g = ctx;
    uint64_t number = item_object(k, val, len);

    return number ? add_number(&g->objects, refs_resolve(g->p->refs, number)) : 0;
}

/* Notes what one item of a directory leads to: the objects of the directory itself, and the inodes
 * of its entries. */
static int gather_below(struct key k, const void *val, size_t len, void *ctx)
{
    struct selecting *g = ctx;
    struct dirent_item d;

    if (key_type(k) != ITEM_DIRENT)
        return gather_item(k, val, len, ctx);
    if (item_is_counter(k))
        return 0;
    if (dirent_decode(val, len, &d) < 0) {
        g->hidden = true;
        return 0;
    }
    return add_number(d.type == DT_DIR ? &g->dirs : &g->files, d.ino);
}

/* Walks the items of a range, and notes whether damage hid some. */
static int walk(struct selecting *g, struct ns *ns, struct key_range r,
                int (*fn)(struct key k, const void *val, size_t len, void *ctx))
{
    struct walk w = {WALK_LIVE(&ns->lock, &ns->tree),
                     .from = r.from,
                     .to = r.to,
                     .fn = fn,
                     .pause = stop,
                     .pause_ctx = g,
                     .ctx = g};
    int err = walk_items(&w);

    g->hidden |= w.hidden;
    return err;
}

/* Walks a directory and all directories below it, with a list of its own instead of recursion. */
static int gather_directory(struct selecting *g, struct ns *ns, uint64_t ino)
{
    int err = add_number(&g->dirs, ino);

    while (err == 0 && g->dirs.count) {
        err = walk(g, ns, range_of_inode(g->dirs.v[--g->dirs.count]), gather_below);
        while (err == 0 && g->files.count)
            err = walk(g, ns, range_of_inode(g->files.v[--g->files.count]), gather_item);
    }
    return err;
}

/* Reads the mode of an inode under the lock of its namespace. */
static int load_mode(struct ns *ns, uint64_t node, uint64_t *ret_ino, uint32_t *ret_mode)
{
    struct inode in;
    READ_GUARD(&ns->lock);
    uint64_t ino = ns_ino_of(ns, node);
    int err = inode_load(&ns->tree, ino, &in);

    *ret_ino = ino;
    *ret_mode = in.mode;
    return err;
}

/* Gathers what a path leads to: a namespace as a whole, a directory, or one file. */
static int gather_node(struct selecting *g, uint64_t node, const char *word)
{
    static const struct key_range all = {.to = {UINT64_MAX, UINT64_MAX}};
    uint64_t ino = vfs_node_ino(node);
    uint32_t mode;
    struct ns *ns;
    int err = ns_get(g->p, vfs_node_ns(node), &ns);

    if (err < 0)
        return err;
    if (ns->target)
        err = say(g, -EINVAL, "%s is a symbolic link, not a namespace", word);
    else if (!g->fn)
        err = 0; /* only its existence was asked */
    else if (ino == NS_ROOT_INO)
        err = walk(g, ns, all, gather_item);
    else if ((err = load_mode(ns, node, &ino, &mode)) == 0)
        err = S_ISDIR(mode) ? gather_directory(g, ns, ino)
                            : walk(g, ns, range_of_inode(ino), gather_item);
    ns_put(g->p, ns);
    return err;
}

/* ---- words ---- */

/* Gathers the objects of one PATH. The node is looked up, and forgotten again, as by a call of the
 * kernel. */
static int gather_path(struct selecting *g, const char *word)
{
    const char *rest;
    size_t ns_len;
    uint64_t node;
    int err = command_path(word, &ns_len, &rest);

    if (err < 0)
        return say(g, -EINVAL, "%s is not a path: NAMESPACE/relative, without ..", word);
    err = vfs_lookup_path(g->p, word, ns_len, rest, &node);
    if (err < 0)
        return say(g, err, err == -ENOENT ? "there is no %s" : "%s cannot be reached", word);
    err = gather_node(g, node, word);
    vfs_forget(g->p, node, 1);
    return err == -ENOENT || err == -ESTALE ? say(g, -ENOENT, "there is no %s", word) : err;
}

/* Notes the object of one ID. */
static int gather_id(struct selecting *g, const char *word)
{
    struct id id;
    struct entry e;
    uint64_t number;
    int err = id_from_hex(word, &id);

    if (err < 0)
        return say(g, -EINVAL, "%s is neither an id (32 hex digits) nor a path (NAMESPACE/…)",
                   word);
    err = refs_find_logged(g->p->refs, &id, &number, &e);
    if (err == -ENOENT)
        return say(g, -ENOENT, "there is no object %s", word);
    if (err < 0)
        return err;
    refs_unhold(g->p->refs, number);
    return add_number(&g->objects, number);
}

/* Gathers the objects of all words first, so that an object that two words name is selected
 * once. */
static int select_words(struct selecting *g)
{
    int err = 0;

    for (size_t i = 0; i < g->s->count && err == 0; i++) {
        const char *word = g->s->words[i];
        err = strchr(word, '/') ? gather_path(g, word) : gather_id(g, word);
    }
    return err == 0 && g->fn ? tell_gathered(g) : err;
}

/* ---- the table ---- */

/* Selects among all entries of the committed table. It reads numbers in snapshots of KEYS_AT_ONCE,
 * so no snapshot lasts long. */
static int select_table(struct selecting *g)
{
    uint64_t v[KEYS_AT_ONCE], next = 1;
    size_t count = 0;
    int err;

    do {
        err = kv_get_numbers(g->p->config.kv, TABLE_OBJECTS, next, v, KEYS_AT_ONCE, &count);
        for (size_t i = 0; i < count && err == 0; i++)
            err = select_one(g, v[i]);
        if (err == 0)
            err = stop(g);
        next = count ? v[count - 1] + 1 : next;
    } while (err == 0 && count);
    return err;
}

/* Selects among the ghosts on one shard. refs lists them, so the table need not be walked. */
static int select_ghosts(struct selecting *g)
{
    struct refs_ghosts_walk w = {.refs = g->p->refs, .shard = (uint16_t)g->s->on};
    struct entry e;
    int err;

    while ((err = refs_next_ghost(&w, &e)) == 0) {
        err = select_one(g, w.number);
        if (err == 0)
            err = stop(g);
        if (err)
            return err;
    }
    return err == -ENOENT ? 0 : err;
}

int move_select(struct state *p, const struct move_selection *s, move_select_fn *fn, void *ctx,
                char why[256])
{
    struct selecting g = {.p = p, .s = s, .fn = fn, .ctx = ctx, .why = why};
    int err = 0;

    *why = 0;
    (void)seal_settle(p);
    if (s->words)
        err = select_words(&g);
    else if (fn && s->on > 0)
        err = select_ghosts(&g);
    else if (fn) {
        err = flush_now(p); /* the table has only what is committed */
        if (err == 0)
            err = select_table(&g);
    }
    if (err == 0)
        err = tell_sorted(&g);
    free(g.sorted);
    free(g.objects.v);
    free(g.dirs.v);
    free(g.files.v);
    if (err == 0 && g.hidden) {
        snprintf(why, 256, "a part of it cannot be read; `tally check` names it");
        err = -EUCLEAN;
    }
    return err;
}
