// SPDX-License-Identifier: Apache-2.0
/*
 * check_names: do names stand where a lookup finds them? A name whose place by its hash is taken is
 * kept under the hash of a higher level. On each level below it a counter counts the name. A
 * lookup goes on to the next level only if there is such a counter.
 */
#include "array.h"
#include "check_impl.h"
#include <errno.h>
#include <stdlib.h>

/* ---- of one name ---- */

/* A search for a name among the keys before `end`. */
struct seeking_name {
    struct key end;
    const char *name;
    size_t len;
    bool found;
};

/* Called for each item: 1 ends the scan, because the name was found, or the range ends. */
static int seek_name(struct key k, const uint8_t *val, size_t len, void *ctx)
{
    struct seeking_name *s = ctx;
    const char *name;
    size_t n;

    if (key_compare(k, s->end) >= 0)
        return 1;
    s->found = item_name(k, val, len, &name, &n) == 0 && n == s->len && !memcmp(name, s->name, n);
    return s->found;
}

/* Does a key in [first, end) have this name? */
static bool stands_in(struct check *c, uint64_t root, struct key first, struct key end,
                      const char *name, size_t len)
{
    struct seeking_name s = {.end = end, .name = name, .len = len};

    (void)check_scan(c, root, first, seek_name, &s, NULL);
    return s.found;
}

struct check_place check_place_of(struct check *c, uint64_t root, struct key k, const char *name,
                                  size_t len)
{
    struct key first = {k.hi, name_bucket(k.lo)};
    struct check_place p = {.found = true};

    if (k.lo != first.lo)
        p.repeated = stands_in(c, root, first, k, name, len);
    if (!c->has_key)
        return p;
    p.level = name_level(&c->names, name, len, k.lo);
    p.found = p.level >= 0;
    for (int i = 0; i < p.level && !p.repeated; i++) {
        first.lo = name_hash(&c->names, name, len, (unsigned)i);
        p.repeated =
            stands_in(c, root, first, (struct key){k.hi, first.lo + NAME_PLACES}, name, len);
    }
    return p;
}

/* ---- of all names of an inode ---- */

/* Add one counter or one name; after a failure n->err is set. */
static void push(struct check_names *n, struct check_counter counter)
{
    if (ARRAY_RESERVE(n->v, n->room, n->count + 1) < 0)
        n->err = -ENOMEM;
    else
        n->v[n->count++] = counter;
}

void check_names_add(struct check *c, struct check_names *n, struct key k, const char *name,
                     size_t len, int level)
{
    for (int i = 0; i < level; i++) {
        uint64_t hash = name_hash(&c->names, name, len, (unsigned)i);
        push(n, (struct check_counter){.key = {k.hi, hash + NAME_COUNTER}, .names = 1});
    }
}

void check_names_counter(struct check_names *n, struct key k, const uint8_t *val, size_t len)
{
    struct check_counter counter = {.key = k};

    if (counter_decode(val, len, &counter.said) == 0)
        push(n, counter);
}

static int by_key(const void *a, const void *b)
{
    return key_compare(((const struct check_counter *)a)->key,
                       ((const struct check_counter *)b)->key);
}

int check_names_end(struct check_names *n, check_counter_fn *fn, void *ctx)
{
    int err = n->err;

    if (n->count)
        qsort(n->v, n->count, sizeof *n->v, by_key);
    for (size_t i = 0, next; i < n->count && err == 0; i = next) {
        struct check_counter sum = n->v[i];
        for (next = i + 1; next < n->count && by_key(&n->v[i], &n->v[next]) == 0; next++) {
            sum.said += n->v[next].said;
            sum.names += n->v[next].names;
        }
        if (sum.said != sum.names)
            fn(&sum, ctx);
    }
    free(n->v);
    *n = (struct check_names){.count = 0};
    return err;
}
