// SPDX-License-Identifier: Apache-2.0
/* merge_twins: see the header. Twins are looked for among what differs: a name that is the same in
 * all trees leads to one file. A directory below twins can be a twin itself, so it is looked until
 * no more are found. */
#include "merge_twins.h"
#include "merge_plan_impl.h"
#include "merge_xattrs.h"
#include "vfs_dir.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- who has what ---- */

static const struct delta_inode *theirs_of(const struct making *k, uint64_t ino)
{
    return delta_find(&k->m->theirs, ino);
}

static const struct delta_inode *ours_of(const struct making *k, uint64_t ino)
{
    return delta_find(&k->m->ours, ino);
}

/* Is the inode, which one of the trees has, in that of theirs? What does not differ is as in the
 * base, and what only ours has is only in its difference. */
static bool theirs_has(const struct making *k, uint64_t ino)
{
    const struct delta_inode *t = theirs_of(k, ino), *o = ours_of(k, ino);

    return t ? t->in[DELTA_B] : !o || o->in[DELTA_A];
}

static bool ours_has(const struct making *k, uint64_t ino)
{
    const struct delta_inode *t = theirs_of(k, ino), *o = ours_of(k, ino);

    return o ? o->in[DELTA_B] : !t || t->in[DELTA_A];
}

static bool base_has(const struct making *k, uint64_t ino)
{
    const struct delta_inode *t = theirs_of(k, ino), *o = ours_of(k, ino);

    return t ? t->in[DELTA_A] : !o || o->in[DELTA_A];
}

uint64_t merge_twins_in_theirs(const struct merge_plan *m, uint64_t ino)
{
    uint64_t theirs = ino;

    (void)map64_get(&m->twins.theirs_of, ino, &theirs);
    return theirs;
}

uint64_t merge_twins_in_base(const struct merge_plan *m, uint64_t ino)
{
    uint64_t base = ino;

    (void)map64_get(&m->twins.base_of, ino, &base);
    return base;
}

static uint64_t in_ours(const struct making *k, uint64_t ino)
{
    uint64_t ours = ino;

    (void)map64_get(&k->m->twins.ours_of, ino, &ours);
    return ours;
}

/* ---- finding ---- */

int merge_twins_are_equal(struct making *k, const struct merge_file *a, const struct merge_file *b)
{
    const struct inode *x = &a->in, *y = &b->in;

    if (!S_ISREG(x->mode) || x->mode != y->mode || x->uid != y->uid || x->gid != y->gid ||
        (x->flags | y->flags) & (INODE_EXTENTS | INODE_HOLES) || !plan_same_bytes(k, x, y))
        return 0;
    return merge_xattrs_are_same(k, a, b);
}

/* Can a file of theirs and one of ours be twins? 1, 0, -errno. */
static int can_be_twins(struct making *k, uint64_t theirs, uint64_t ours)
{
    struct merge_file x = {&k->s->theirs->tree, theirs, {0}}, y = {&k->s->ours->tree, ours, {0}};
    struct merge_file b = {&k->s->base->tree, theirs, {0}};
    int err = inode_load(x.tree, theirs, &x.in);

    if (err == 0)
        err = inode_load(y.tree, ours, &y.in);
    if (err < 0 || (S_ISDIR(x.in.mode) && S_ISDIR(y.in.mode)))
        return err < 0 ? err : 1;
    if (!S_ISREG(x.in.mode) || x.in.nlink != 1 || y.in.nlink != 1 || base_has(k, ours))
        return 0;
    if (!base_has(k, theirs))
        return merge_twins_are_equal(k, &x, &y);
    err = inode_load(b.tree, theirs, &b.in);
    return err < 0 ? err : merge_twins_are_equal(k, &b, &y);
}

/* Notes twins, if the two are. 1: they are; 0; -errno. */
static int consider(struct making *k, uint64_t theirs, uint64_t ours)
{
    struct merge_twins *w = &k->m->twins;
    uint64_t known;
    int err;

    if (!theirs || !ours || theirs == ours || map64_get(&w->ours_of, theirs, &known) ||
        map64_get(&w->theirs_of, ours, &known) || ours_has(k, theirs) || theirs_has(k, ours) ||
        (base_has(k, theirs) && base_has(k, ours)))
        return 0;
    err = can_be_twins(k, theirs, ours);
    if (err <= 0)
        return err;
    err = map64_put(&w->ours_of, theirs, ours);
    if (err == 0)
        err = map64_put(&w->theirs_of, ours, theirs);
    if (err == 0 && base_has(k, theirs))
        err = map64_put(&w->base_of, ours, theirs);
    return err < 0 ? err : 1;
}

/* What a name leads to in a tree; 0: there is none. */
static int look_up(const struct making *k, const struct tree *t, uint64_t dir, const char *name,
                   size_t len, uint64_t *ret)
{
    char text[ITEM_NAME_MAX + 1];
    struct key key;
    unsigned type;
    int err;

    memcpy(text, name, len);
    text[len] = '\0';
    *ret = 0;
    err = dirent_find(k->p, t, dir, text, &key, ret, &type);
    return err == -ENOENT ? 0 : err;
}

/* Considers all names that one side changed. Returns how many twins were found, or -errno. */
static int consider_names(struct making *k, bool of_ours)
{
    const struct delta *d = of_ours ? &k->m->ours : &k->m->theirs;
    const struct tree *other = of_ours ? &k->s->theirs->tree : &k->s->ours->tree;
    int found = 0;

    for (size_t i = 0; i < d->name_count; i++) {
        const struct delta_name *n = &d->names[i];
        uint64_t mine = n->ino[DELTA_B], dir, at;
        int err;

        if (k->m->interrupted && atomic_load(k->m->interrupted))
            return -EINTR;
        if (!mine || (of_ours ? theirs_has(k, mine) : ours_has(k, mine)))
            continue;
        dir = of_ours ? merge_twins_in_theirs(k->m, n->parent) : in_ours(k, n->parent);
        err = look_up(k, other, dir, delta_text(d, n), n->len, &at);
        if (err == 0)
            err = of_ours ? consider(k, at, mine) : consider(k, mine, at);
        if (err < 0)
            return err;
        found += err;
    }
    return found;
}

/* ---- the numbers of ours ---- */

static int compare_inodes(const void *a, const void *b)
{
    const struct delta_inode *x = a, *y = b;

    return (x->ino > y->ino) - (x->ino < y->ino);
}

/* Makes one of two records of an inode: one is of the base alone, and the other of a side alone. */
static void join_inodes(struct delta_inode *x, const struct delta_inode *y)
{
    for (int s = 0; s < DELTA_SIDES; s++)
        if (y->in[s]) {
            x->in[s] = true;
            x->at[s] = y->at[s];
        }
    x->same = x->in[DELTA_A] && x->in[DELTA_B];
    x->items |= y->items;
    if ((x->at[DELTA_A].flags | x->at[DELTA_B].flags) & INODE_XATTRS)
        x->items |= DELTA_XATTRS;
    if (S_ISREG(x->at[DELTA_B].mode))
        x->items &= ~(unsigned)DELTA_DATA; /* neither has any, or they would be no twins */
}

static void renumber_inodes(const struct making *k, struct delta *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->count; i++)
        d->inodes[i].ino = in_ours(k, d->inodes[i].ino);
    if (d->count)
        qsort(d->inodes, d->count, sizeof *d->inodes, compare_inodes);
    for (size_t i = 0; i < d->count; i++) {
        if (kept && d->inodes[kept - 1].ino == d->inodes[i].ino)
            join_inodes(&d->inodes[kept - 1], &d->inodes[i]);
        else
            d->inodes[kept++] = d->inodes[i];
    }
    d->count = kept;
}

static int compare_names(const void *a, const void *b, void *text)
{
    const struct delta_name *x = a, *y = b;
    int order = memcmp((char *)text + x->text, (char *)text + y->text,
                       x->len < y->len ? x->len : y->len);

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Adds what another record says of the same name. */
static void join_names(struct delta_name *x, const struct delta_name *y)
{
    for (int s = 0; s < DELTA_SIDES; s++)
        if (y->ino[s]) {
            x->ino[s] = y->ino[s];
            x->at[s] = y->at[s];
        }
}

static void renumber_names(const struct making *k, struct delta *d)
{
    size_t kept = 0, changed = 0;

    for (size_t i = 0; i < d->name_count; i++) {
        struct delta_name *n = &d->names[i];

        n->parent = in_ours(k, n->parent);
        for (int s = 0; s < DELTA_SIDES; s++)
            n->ino[s] = n->ino[s] ? in_ours(k, n->ino[s]) : 0;
    }
    if (d->name_count)
        qsort_r(d->names, d->name_count, sizeof *d->names, compare_names, d->text);
    for (size_t i = 0; i < d->name_count; i++) {
        if (kept && compare_names(&d->names[kept - 1], &d->names[i], d->text) == 0)
            join_names(&d->names[kept - 1], &d->names[i]);
        else
            d->names[kept++] = d->names[i];
    }
    for (size_t i = 0; i < kept; i++) /* a name that leads to what it led to is no difference */
        if (d->names[i].ino[DELTA_A] != d->names[i].ino[DELTA_B])
            d->names[changed++] = d->names[i];
    d->name_count = changed;
}

int merge_twins_find(struct making *k)
{
    int found = 1;

    while (found > 0) {
        int more;

        found = consider_names(k, false);
        more = found < 0 ? 0 : consider_names(k, true);
        found = more < 0 ? more : found + more;
    }
    if (found < 0 || !k->m->twins.ours_of.count)
        return found;
    renumber_inodes(k, &k->m->theirs);
    renumber_inodes(k, &k->m->ours);
    renumber_names(k, &k->m->theirs);
    renumber_names(k, &k->m->ours);
    return 0;
}

void merge_twins_release(struct merge_twins *t)
{
    map64_release(&t->ours_of);
    map64_release(&t->theirs_of);
    map64_release(&t->base_of);
}
