// SPDX-License-Identifier: Apache-2.0
/* merge_xattrs: see the header. */
#include "merge_xattrs.h"
#include "acl.h"
#include "array.h"
#include "file_image.h"
#include "xattr_list.h"
#include <stdlib.h>
#include <string.h>

#define CAPABILITY "security.capability"

/* The attributes of the three trees. */
struct lists {
    struct xattr_list base, theirs, ours;
};

static int load_lists(const struct delta_inode *t, const struct delta_inode *o,
                      const struct making *k, struct lists *ret)
{
    int err = xattr_list_load(&k->s->base->tree, merge_twins_in_base(k->m, t->ino), &t->at[DELTA_A],
                              &ret->base);

    if (err == 0)
        err = xattr_list_load(&k->s->theirs->tree, merge_twins_in_theirs(k->m, t->ino),
                              &t->at[DELTA_B], &ret->theirs);
    if (err == 0)
        err = xattr_list_load(&k->s->ours->tree, t->ino, &o->at[DELTA_B], &ret->ours);
    return err;
}

/* The attribute of that name; NULL: there is none. The names are asked for in order. */
static const struct xattr_copy *next_of(const struct xattr_list *l, size_t *at, const char *name)
{
    while (*at < l->count && strcmp(l->v[*at].name, name) < 0)
        ++*at;
    return *at < l->count && !strcmp(l->v[*at].name, name) ? &l->v[*at] : NULL;
}

static bool are_same(const struct making *k, const struct xattr_copy *a, const struct xattr_copy *b)
{
    if (!a || !b)
        return a == b;
    if (!xattr_copies_may_be_same(a, b))
        return false;
    if (object_is_same(k->p->refs, a->x.object, b->x.object))
        return true;
    k->m->unsealed |= plan_is_unsealed(k, a->x.object) || plan_is_unsealed(k, b->x.object);
    return false;
}

/* Who changed the attribute? */
static enum changed who_changed(const struct making *k, const struct xattr_copy *base,
                                const struct xattr_copy *theirs, const struct xattr_copy *ours,
                                const char *name, const struct merge_content *content)
{
    if (are_same(k, theirs, ours))
        return 0;
    if (!strcmp(name, CAPABILITY) && content->taken)
        return CHANGED_THEIRS;
    if (!strcmp(name, CAPABILITY) && content->stays)
        return 0;
    return (are_same(k, base, theirs) ? 0 : CHANGED_THEIRS) |
           (are_same(k, base, ours) ? 0 : CHANGED_OURS);
}

/* Bytes of the item, at most. */
static size_t bytes_of(const struct xattr_copy *x)
{
    return x ? 32 + strlen(x->name) + (x->x.object ? 0 : x->x.len) : 0;
}

static int add_change(struct xattr_changes *c, const char *name, enum changed who, size_t bytes)
{
    struct xattr_change *x;

    if (!strcmp(name, ACL_ACCESS)) {
        c->acl = who;
        c->acl_bytes = bytes;
        return 0;
    }
    if (!who)
        return 0;
    if (ARRAY_RESERVE(c->v, c->room, c->count + 1) < 0)
        return -ENOMEM;
    x = &c->v[c->count++];
    *x = (struct xattr_change){.who = who, .bytes = bytes};
    memcpy(x->name, name, strlen(name) + 1);
    return 0;
}

static const char *smaller(const char *name, const struct xattr_list *l, size_t at)
{
    return at < l->count && (!name || strcmp(l->v[at].name, name) < 0) ? l->v[at].name : name;
}

int merge_xattrs_compare(const struct making *k, const struct delta_inode *t,
                         const struct delta_inode *o, const struct merge_content *content,
                         struct xattr_changes *ret)
{
    struct lists l = {0};
    size_t b = 0, x = 0, y = 0;
    const char *name;
    int err = load_lists(t, o, k, &l);

    *ret = (struct xattr_changes){0};
    while (err == 0 && (name = smaller(smaller(smaller(NULL, &l.base, b), &l.theirs, x), &l.ours,
                                       y))) {
        const struct xattr_copy *base = next_of(&l.base, &b, name);
        const struct xattr_copy *theirs = next_of(&l.theirs, &x, name);
        const struct xattr_copy *ours = next_of(&l.ours, &y, name);

        err = add_change(ret, name, who_changed(k, base, theirs, ours, name, content),
                         bytes_of(theirs));
        b += base != NULL;
        x += theirs != NULL;
        y += ours != NULL;
    }
    xattr_list_release(&l.base);
    xattr_list_release(&l.theirs);
    xattr_list_release(&l.ours);
    return err;
}

static int add_key(struct merge_plan *m, const char *name, size_t bytes, struct merge_inode *i)
{
    struct merge_xattr x = {.name = strdup(name), .bytes = bytes};

    if (!x.name || ARRAY_RESERVE(m->xattrs, m->xattrs_room, m->xattr_count + 1) < 0) {
        free(x.name);
        return -ENOMEM;
    }
    m->xattrs[m->xattr_count++] = x;
    i->xattr_count++;
    return 0;
}

int merge_xattrs_add(struct making *k, const struct xattr_changes *c, bool take, bool acl,
                     struct merge_inode *i)
{
    int err = 0;

    i->first_xattr = k->m->xattr_count;
    for (size_t n = 0; n < c->count && err == 0; n++)
        if (c->v[n].who == CHANGED_THEIRS || (take && c->v[n].who == CHANGED_BOTH))
            err = add_key(k->m, c->v[n].name, c->v[n].bytes, i);
    return err == 0 && acl ? add_key(k->m, ACL_ACCESS, c->acl_bytes, i) : err;
}

void merge_xattrs_release(struct xattr_changes *c)
{
    free(c->v);
    *c = (struct xattr_changes){0};
}

int merge_xattrs_are_same(const struct making *k, const struct merge_file *a,
                          const struct merge_file *b)
{
    struct xattr_list x = {0}, y = {0};
    int err = xattr_list_load(a->tree, a->ino, &a->in, &x);
    bool same;

    if (err == 0)
        err = xattr_list_load(b->tree, b->ino, &b->in, &y);
    same = x.count == y.count;
    for (size_t i = 0; err == 0 && same && i < x.count; i++)
        same = !strcmp(x.v[i].name, y.v[i].name) && are_same(k, &x.v[i], &y.v[i]);
    xattr_list_release(&x);
    xattr_list_release(&y);
    return err < 0 ? err : same;
}
