// SPDX-License-Identifier: Apache-2.0
/*
 * check_users: which files use the objects that were found damaged. Each namespace is scanned
 * twice: first for items that name such an object, then for names of the inodes of these items. At
 * most PATHS_MAX uses of each object are reported; when all objects have them, no further namespace
 * is scanned.
 */
#include "array.h"
#include "check_impl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define PATHS_MAX 8 /* uses of one object that are reported */

/* An item that names a damaged object. */
struct use {
    uint64_t ino, object, off; /* off: offset in the file, if not `whole` */
    bool whole, told;          /* it is the base of the file; it is reported */
};

struct users {
    struct check *c;
    struct check_tree t;
    struct map64 paths; /* object -> number of uses found */
    struct map64 idle;  /* roots of trees that were scanned and have no use to report */
    struct use *use;    /* in the order of inodes */
    size_t count, room;
    int err;
};

static int use_push(struct users *u, const struct use *use)
{
    if (ARRAY_RESERVE(u->use, u->room, u->count + 1) < 0)
        return -ENOMEM;
    u->use[u->count++] = *use;
    return 0;
}

/* First scan: note an item that names a damaged object of which not enough uses are known. */
static int take_use(struct key k, const uint8_t *val, size_t len, void *ctx)
{
    struct users *u = ctx;
    uint64_t number = item_object(k, val, len), object, told = 0;

    if (!number || !map64_get(&u->c->bad, number, &object))
        return 0;
    (void)map64_get(&u->paths, object, &told);
    if (told >= PATHS_MAX)
        return 0;
    u->err = map64_add(&u->paths, object, 1, NULL);
    if (u->err == 0)
        u->err = use_push(u, &(struct use){.ino = key_ino(k),
                                           .object = object,
                                           .off = k.lo,
                                           .whole = key_type(k) == ITEM_INODE});
    return u->err < 0;
}

/* Report one use under the name `where`. */
static void report_user(struct users *u, struct use *use, const char *where)
{
    struct entry e;
    char object[CHECK_WHERE];
    bool known = refs_entry_in(u->c->snap, TABLE_OBJECTS, use->object, &e) == 0;

    check_where(known ? &e : NULL, use->object, object);
    if (use->whole)
        check_found(u->c, false, "file", where, "its content is damaged: %s", object);
    else
        check_found(u->c, false, "file", where, "its bytes from %" PRIu64 " on are damaged: %s",
                    use->off, object);
    use->told = true;
}

/* The index of the inode's first use, or where it would be. */
static size_t find_use(const struct users *u, uint64_t ino)
{
    size_t low = 0, high = u->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (u->use[mid].ino < ino)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Second scan: an entry that leads to the inode of a use gives it a path. */
static int take_name(struct key k, const uint8_t *val, size_t len, void *ctx)
{
    struct users *u = ctx;
    struct dirent_item d;
    char where[CHECK_PATH];

    if (key_type(k) != ITEM_DIRENT || dirent_decode(val, len, &d) < 0)
        return 0;
    for (size_t i = find_use(u, d.ino); i < u->count && u->use[i].ino == d.ino; i++) {
        if (u->use[i].told)
            continue;
        check_where_entry(u->c, &u->t, k, &d, true, where);
        report_user(u, &u->use[i], where);
    }
    return 0;
}

/* Report the uses of inodes for which no name was found. */
static void tell_nameless(struct users *u)
{
    char where[CHECK_PATH];

    for (size_t i = 0; i < u->count; i++)
        if (!u->use[i].told) {
            check_where_inode(u->c, &u->t, u->use[i].ino, false, where);
            report_user(u, &u->use[i], where);
        }
}

/* Both scans of one namespace. Damage that hides a part of it is reported elsewhere. */
static int look_through(struct users *u)
{
    u->count = 0;
    (void)check_scan(u->c, u->t.root, (struct key){0, 0}, take_use, u, NULL);
    if (u->err < 0 || u->count == 0)
        return u->err;
    (void)check_scan(u->c, u->t.root, (struct key){0, 0}, take_name, u, NULL);
    tell_nameless(u);
    return 0;
}

/* Are enough uses of each damaged object known? */
static bool is_enough(const struct users *u)
{
    uint64_t number, object, told;
    size_t at = 0;

    while (map64_next(&u->c->bad, &at, &number, &object))
        if (!map64_get(&u->paths, object, &told) || told < PATHS_MAX)
            return false;
    return true;
}

static int take_namespace(struct users *u, uint64_t number, const void *val, size_t len)
{
    struct ns_fields f;
    uint64_t none;
    int err = ns_read(number, val, len, &f);

    if (err < 0)
        return err == -EUCLEAN ? 0 : err;
    if (f.root && !map64_get(&u->idle, f.root, &none)) { /* branches may have one root together */
        u->t = (struct check_tree){f.root, f.name};
        err = look_through(u);
        if (err == 0 && u->count == 0)
            err = map64_put(&u->idle, f.root, 1);
    }
    ns_fields_release(&f);
    return err;
}

static int each_namespace(struct users *u)
{
    struct kv_each e = {.snap = u->c->snap, .table = TABLE_NAMESPACES, .strict = true};

    while (!is_enough(u) && kv_next(&e))
        if (e.klen == 8)
            e.err = take_namespace(u, e.number, e.val, e.len);
    return e.err == -EUCLEAN ? 0 : e.err;
}

/* A number that is an alias of a damaged object is damaged, too. */
static int add_alias(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    uint64_t object;

    if (entry_decode(val, len, &e) < 0 || e.kind != ENTRY_ALIAS ||
        !map64_get(&c->bad, e.where, &object))
        return 0;
    return map64_put(&c->bad, number, object);
}

int check_users(struct check *c)
{
    struct users u = {.c = c};
    int err = c->bad.count ? check_each(c, TABLE_OBJECTS, "object", add_alias) : 0;

    if (err == 0 && c->bad.count)
        err = each_namespace(&u);
    map64_release(&u.paths);
    map64_release(&u.idle);
    free(u.use);
    return err;
}
