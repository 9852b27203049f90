// SPDX-License-Identifier: Apache-2.0
/*
 * check_users: which files use the objects that were found damaged (damage.h). At most DAMAGE_PATHS
 * uses of each object are reported; when all objects have them, no further namespace is looked
 * through.
 */
#include "check_impl.h"
#include "damage.h"
#include <errno.h>
#include <inttypes.h>

struct users {
    struct check *c;
    struct damage d;
    struct check_tree t;
    bool used;         /* something in it has a use to report */
    struct map64 idle; /* roots of trees that were looked through and have none */
};

/* The damaged object that a number stands for. */
static uint64_t resolve(uint64_t number, void *ctx)
{
    const struct users *u = ctx;
    uint64_t object;

    return map64_get(&u->c->bad, number, &object) ? object : number;
}

/* Report one use, with a path if the inode has a name. */
static int say_use(const struct damage_use *use, uint64_t dir, const char *name, void *ctx)
{
    struct users *u = ctx;
    struct entry e;
    char where[CHECK_PATH], object[CHECK_WHERE];
    bool known = refs_entry_in(u->c->snap, TABLE_OBJECTS, use->thing->number, &e) == 0;

    u->used = true;
    check_where(known ? &e : NULL, use->thing->number, object);
    if (name)
        check_where_entry(u->c, &u->t, key_make(dir, ITEM_DIRENT, 0),
                          &(struct dirent_item){.name = name, .name_len = strlen(name)}, true,
                          where);
    else
        check_where_inode(u->c, &u->t, use->first, false, where);
    if (use->type == ITEM_INODE)
        check_found(u->c, false, "file", where, "its content is damaged: %s", object);
    else if (use->type == ITEM_XATTR)
        check_found(u->c, false, "file", where, "an extended attribute of it is damaged: %s",
                    object);
    else
        check_found(u->c, false, "file", where, "its bytes from %" PRIu64 " on are damaged: %s",
                    use->off, object);
    return 0;
}

/* Look through one namespace. Damage that hides a part of it is reported elsewhere. */
static int look_through(struct users *u)
{
    const struct damage_look o = {
        .tree = {CHECK_TREE(u->c, &u->t.root)}, .resolve = resolve, .say = say_use, .ctx = u};

    u->used = false;
    return damage_look(&u->d, &o);
}

/* Are enough uses of each damaged object known? */
static bool is_enough(const struct users *u)
{
    for (size_t i = 0; i < u->d.count; i++)
        if (u->d.v[i].told < DAMAGE_PATHS)
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
        if (err == 0 && !u->used)
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
    uint64_t number, object;
    size_t at = 0;
    int err = c->bad.count ? check_each(c, TABLE_OBJECTS, "object", add_alias) : 0;

    while (err == 0 && map64_next(&c->bad, &at, &number, &object))
        err = damage_add(&u.d, DAMAGE_OBJECT, object, NULL);
    if (err == 0)
        err = each_namespace(&u);
    damage_release(&u.d);
    map64_release(&u.idle);
    return err;
}
