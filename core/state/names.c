// SPDX-License-Identifier: Apache-2.0
/*
 * names: the items that are kept under a name: entries of directories (vfs_name.c) and extended
 * attributes (vfs_xattr.c).
 *
 * A name is searched for among the names with its hash. If there is no counter there, that is all;
 * only under attack is there one. A counter says how many names with this hash found no place here
 * and are kept under the hash of a next level, so the search goes on there. The counter is removed
 * with the last of these names. A place that becomes free before that is used first.
 */
#include "item.h"
#include "key.h"
#include "name_hash.h"
#include "names.h"
#include "state.h"
#include "tree.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- finding ---- */

struct wanted {
    enum item_type type;
    const char *name;
    size_t len;
};

/* Searches the names of one hash, from the place `first` on. *ret_key is the key of the name, or
 * the first free one, which is that of the counter if no place is free. *ret_counted: there is a
 * counter. */
static int find_at(const struct tree *t, const struct wanted *w, struct key first,
                   struct key *ret_key, bool *ret_counted, struct tree_cursor *c)
{
    struct key free_at = first;
    size_t vlen, n;
    int err = tree_seek(t, first, c);

    *ret_counted = false;
    for (; err == 0; err = tree_next(c)) {
        struct key k = tree_cursor_key(c);
        const void *val = tree_cursor_value(c, &vlen);
        const char *other;
        if (k.hi != first.hi || k.lo >= first.lo + NAME_PLACES)
            break;
        *ret_counted = item_is_counter(k);
        if (*ret_counted)
            break; /* the counter is the last item of a hash */
        err = item_name(k, val, vlen, &other, &n);
        if (err < 0)
            break;
        if (n == w->len && !memcmp(other, w->name, n)) {
            *ret_key = k;
            return 0;
        }
        if (k.lo == free_at.lo)
            free_at.lo++;
    }
    tree_cursor_end(c);
    *ret_key = free_at;
    return err < 0 ? err : -ENOENT;
}

int name_find(struct state *p, const struct tree *t, uint64_t ino, enum item_type type,
              const char *name, struct key *ret_key, struct tree_cursor *c)
{
    const struct wanted w = {type, name, strlen(name)};
    bool has_place = false, counted;
    struct key k;

    for (unsigned level = 0; level < NAME_LEVELS; level++) {
        uint64_t hash = name_hash(&p->name_key, name, w.len, level);
        int err = find_at(t, &w, key_make(ino, type, hash), &k, &counted, c);
        if (err == 0)
            *ret_key = k;
        if (err != -ENOENT)
            return err;
        if (!has_place)
            *ret_key = k;
        has_place = has_place || !item_is_counter(k);
        if (has_place && !counted)
            break;
    }
    return -ENOENT;
}

/* ---- counting ---- */

/* Changes a counter by one. A counter that would be 0 is removed. */
static int count_one(struct tree *t, struct key counter, int delta)
{
    uint8_t buf[COUNTER_ITEM_LEN];
    uint64_t n = 0;
    size_t len;
    int err = tree_get(t, counter, buf, sizeof buf, &len);

    if (err == 0)
        err = counter_decode(buf, len, &n);
    if (err < 0 && err != -ENOENT)
        return err;
    if (delta < 0 && n < 2)
        return n == 0 ? 0 : tree_del(t, counter);
    counter_encode(n + (uint64_t)(int64_t)delta, buf);
    return tree_put(t, counter, buf, sizeof buf);
}

/* Counts a name that is kept on level `level` on all levels below it. After a failure the counters
 * are as before. */
static int count_name(struct state *p, struct tree *t, struct key k, const char *name, int level,
                      int delta)
{
    size_t len = strlen(name);
    struct key counter = k;
    int err = 0;

    for (int i = 0; i < level; i++) {
        counter.lo = name_hash(&p->name_key, name, len, (unsigned)i) + NAME_COUNTER;
        err = count_one(t, counter, delta);
        if (err < 0 && delta > 0 && i > 0)
            (void)count_name(p, t, k, name, i, -1);
        if (err < 0)
            return err;
    }
    return 0;
}

static int level_of(const struct state *p, struct key k, const char *name)
{
    return name_level(&p->name_key, name, strlen(name), k.lo);
}

static bool is_there(const struct tree *t, struct key k)
{
    size_t len;

    return tree_get(t, k, NULL, 0, &len) != -ENOENT;
}

int name_put(struct state *p, struct tree *t, struct key k, const char *name, const void *val,
             size_t len)
{
    int level = level_of(p, k, name), err;

    if (item_is_counter(k))
        return -ENOSPC;
    if (level <= 0 || is_there(t, k))
        return tree_put(t, k, val, len);
    err = count_name(p, t, k, name, level, 1);
    if (err < 0)
        return err;
    err = tree_put(t, k, val, len);
    if (err < 0)
        (void)count_name(p, t, k, name, level, -1);
    return err;
}

int name_del(struct state *p, struct tree *t, struct key k, const char *name)
{
    int level = level_of(p, k, name);
    int err = tree_del(t, k);

    if (err == 0 && level > 0)
        (void)count_name(p, t, k, name, level, -1); /* after an error the counter is too high */
    return err;
}
