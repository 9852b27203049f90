// SPDX-License-Identifier: Apache-2.0
/* merge_rules: see the header. */
#include "merge_rules.h"
#include "array.h"
#include "merge_pattern.h"
#include <stdlib.h>
#include <string.h>

/* What is looked for: an inode, or a name (`ino` is 0). */
struct sought {
    uint64_t ino, parent;
    const char *name;
    size_t len;
};

/* A number other than 0 under which it is found; others may have it, too. */
static uint64_t number_of(const struct sought *s)
{
    uint64_t hash = s->ino ? s->ino : s->parent * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < s->len; i++)
        hash = (hash ^ (uint8_t)s->name[i]) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

static bool is_it(const struct merge_ruled *r, const struct sought *s)
{
    if (r->ino != s->ino || s->ino)
        return r->ino == s->ino;
    return r->parent == s->parent && strlen(r->name) == s->len && !memcmp(r->name, s->name, s->len);
}

static const struct merge_ruled *find(const struct merge_rules *r, const struct sought *s)
{
    uint64_t at = 0;

    (void)map64_get(&r->at, number_of(s), &at);
    while (at && !is_it(&r->v[at - 1], s))
        at = r->v[at - 1].next;
    return at ? &r->v[at - 1] : NULL;
}

static enum merge_rule rule_of_path(const struct merge_rules *r, const char *path)
{
    for (size_t i = r->count; i-- > 0;)
        if (merge_pattern_matches(r->sets[i].pattern, path))
            return r->sets[i].rule;
    return r->rest;
}

int merge_rules_add(struct merge_rules *r, const struct merge_conflict *c, const char *path)
{
    struct sought s = {c->ino, c->ino ? 0 : c->parent, c->ino ? NULL : c->name, 0};
    struct merge_ruled new = {.ino = s.ino, .parent = s.parent, .rule = rule_of_path(r, path)};
    uint64_t at = 0;

    s.len = s.name ? strlen(s.name) : 0;
    if (find(r, &s))
        return 0;
    if (ARRAY_RESERVE(r->v, r->room, r->used + 1) < 0)
        return -ENOMEM;
    new.name = s.name ? strdup(s.name) : NULL;
    if (s.name && !new.name)
        return -ENOMEM;
    (void)map64_get(&r->at, number_of(&s), &at);
    new.next = at;
    if (map64_put(&r->at, number_of(&s), r->used + 1) < 0) {
        free(new.name);
        return -ENOMEM;
    }
    r->v[r->used++] = new;
    return 1;
}

enum merge_rule merge_rules_of_inode(const struct merge_rules *r, uint64_t ino)
{
    const struct merge_ruled *at = find(r, &(struct sought){.ino = ino});

    return at ? at->rule : MERGE_FAIL;
}

enum merge_rule merge_rules_of_name(const struct merge_rules *r, uint64_t parent, const char *name,
                                    size_t len)
{
    const struct merge_ruled *at = find(r, &(struct sought){0, parent, name, len});

    return at ? at->rule : MERGE_FAIL;
}

void merge_rules_release(struct merge_rules *r)
{
    for (size_t i = 0; i < r->used; i++)
        free(r->v[i].name);
    free(r->v);
    map64_release(&r->at);
    *r = (struct merge_rules){.sets = r->sets, .count = r->count, .rest = r->rest};
}
