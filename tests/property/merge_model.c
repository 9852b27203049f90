// SPDX-License-Identifier: Apache-2.0
/* merge_model: see the header. */
#include "merge_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FAR 200 /* directories above one at most */

/* ---- trees ---- */

void plain_clear(struct plain *t)
{
    t->files = t->names = 0;
}

void plain_add_file(struct plain *t, const struct file *f)
{
    if (t->files == FILES)
        abort();
    t->v[t->files++] = *f;
}

void plain_add_name(struct plain *t, uint64_t parent, const char *name, uint64_t ino)
{
    struct entry_name *n = &t->n[t->names];

    if (t->names++ == FILES || strlen(name) >= NAME_ROOM)
        abort();
    *n = (struct entry_name){.parent = parent, .ino = ino};
    snprintf(n->name, sizeof n->name, "%s", name);
}

struct file *plain_file(const struct plain *t, uint64_t ino)
{
    for (size_t i = 0; i < t->files; i++)
        if (t->v[i].ino == ino)
            return (struct file *)&t->v[i];
    return NULL;
}

uint64_t plain_ino(const struct plain *t, uint64_t parent, const char *name)
{
    for (size_t i = 0; i < t->names; i++)
        if (t->n[i].parent == parent && !strcmp(t->n[i].name, name))
            return t->n[i].ino;
    return 0;
}

size_t plain_links(const struct plain *t, uint64_t ino)
{
    size_t n = 0;

    for (size_t i = 0; i < t->names; i++)
        n += t->n[i].ino == ino;
    return n;
}

size_t plain_entries(const struct plain *t, uint64_t dir)
{
    size_t n = 0;

    for (size_t i = 0; i < t->names; i++)
        n += t->n[i].parent == dir;
    return n;
}

/* ---- what changed ---- */

enum answer { NO, UNSURE, YES };

static bool has_items(const struct file *f)
{
    return f->in.flags & (INODE_EXTENTS | INODE_SUBBLOCKS | INODE_HOLES);
}

/* Does the store see that both have the same object? */
static bool one_object(const struct three *t, const struct file *x, const struct file *y)
{
    return !has_items(x) && !has_items(y) && x->in.valid == y->in.valid &&
           t->same_object(x->in.object, y->in.object);
}

/* Do the contents differ? A directory has none. */
static enum answer contents_differ(const struct three *t, const struct file *x,
                                   const struct file *y)
{
    if (S_ISDIR(x->in.mode))
        return NO;
    if (x->hash != y->hash || x->in.size != y->in.size)
        return YES;
    return !S_ISREG(x->in.mode) || one_object(t, x, y) ? NO : UNSURE;
}

static bool attrs_differ(const struct file *x, const struct file *y)
{
    return x->in.mode != y->in.mode || x->in.uid != y->in.uid || x->in.gid != y->in.gid ||
           memcmp(x->xattr, y->xattr, sizeof x->xattr) != 0;
}

static enum answer differ(const struct three *t, const struct file *x, const struct file *y)
{
    return attrs_differ(x, y) ? YES : contents_differ(t, x, y);
}

/* Are both regular files that are equal for certain, with all attributes? */
static bool are_equal(const struct three *t, const struct file *x, const struct file *y)
{
    return S_ISREG(x->in.mode) && !attrs_differ(x, y) && x->hash == y->hash && one_object(t, x, y);
}

/* Two files that became one, as far as anybody can see. */
static bool are_twins(const struct three *t, uint64_t ours, uint64_t theirs)
{
    return !t->apart && ours && theirs &&
           are_equal(t, plain_file(t->ours, ours), plain_file(t->theirs, theirs));
}

/* ---- conflicts ---- */

static void add_problem(struct outcome *o, struct problem p)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->v[i].why == p.why && o->v[i].ino == p.ino && o->v[i].parent == p.parent &&
            !strcmp(o->v[i].name, p.name))
            return;
    o->v[o->count++] = p;
    o->sure += !p.maybe;
    o->unsure |= p.maybe;
}

static void about_inode(struct outcome *o, enum merge_why why, uint64_t ino, enum answer sure)
{
    if (sure != NO)
        add_problem(o, (struct problem){.why = why, .ino = ino, .maybe = sure == UNSURE});
}

static void about_name(struct outcome *o, enum merge_why why, uint64_t parent, const char *name)
{
    struct problem p = {.why = why, .parent = parent};

    snprintf(p.name, sizeof p.name, "%s", name);
    add_problem(o, p);
}

/* ---- names ---- */

/* Did ours change a file that theirs has removed? */
static enum answer is_missed(const struct three *t, uint64_t ino)
{
    const struct file *b = plain_file(t->base, ino), *y = plain_file(t->ours, ino);

    return b && y && !plain_file(t->theirs, ino) ? differ(t, b, y) : NO;
}

static bool ours_removed(const struct three *t, uint64_t ino)
{
    return plain_file(t->base, ino) && !plain_file(t->ours, ino);
}

static void put(struct outcome *o, uint64_t parent, const char *name, uint64_t ino)
{
    if (ino)
        plain_add_name(&o->tree, parent, name, ino);
}

/* No rule decides which content a file has, and there is no other place for one of them. */
static bool leaves_content(const struct three *t)
{
    return t->rule == MERGE_FAIL || t->rule == MERGE_BOTH;
}

/* A name of which both sides want something else. */
static void clash(const struct three *t, struct outcome *o, uint64_t parent, const char *name)
{
    uint64_t x = plain_ino(t->theirs, parent, name), y = plain_ino(t->ours, parent, name);
    char variant[NAME_ROOM];

    if (are_twins(t, y, x)) {
        put(o, parent, name, y);
        return;
    }
    if (t->rule == MERGE_FAIL)
        about_name(o, MERGE_NAME, parent, name);
    else
        o->decided = true;
    put(o, parent, name, t->rule == MERGE_THEIRS ? x : y);
    snprintf(variant, sizeof variant, "%.30s.variant-%08llx", name, (unsigned long long)x);
    if (t->rule != MERGE_BOTH || !x)
        return;
    if (!plain_ino(t->ours, parent, variant) && !plain_ino(t->theirs, parent, variant))
        put(o, parent, variant, x);
    else if (plain_ino(t->ours, parent, variant) != x)
        about_name(o, MERGE_NAME, parent, name);
}

static void merge_name(const struct three *t, struct outcome *o, uint64_t parent, const char *name)
{
    uint64_t b = plain_ino(t->base, parent, name), x = plain_ino(t->theirs, parent, name),
             y = plain_ino(t->ours, parent, name);
    bool leave = t->rule == MERGE_OURS || t->rule == MERGE_BOTH;

    if (x == b || x == y) {
        put(o, parent, name, y);
    } else if (ours_removed(t, parent)) {
        if (x)
            about_name(o, MERGE_NO_PARENT, parent, name);
    } else if (x && ours_removed(t, x) && t->rule == MERGE_OURS) {
        o->decided = true;
        put(o, parent, name, y);
    } else if (y != b || (leave && is_missed(t, y) != NO)) {
        o->unsure |= y == b && is_missed(t, y) == UNSURE;
        clash(t, o, parent, name);
    } else {
        put(o, parent, name, x);
    }
}

/* Names in new directories that a rule has left out go as well. */
static void prune(const struct three *t, struct outcome *o)
{
    struct plain *r = &o->tree;
    bool again = true;

    while (again) {
        again = false;
        for (size_t i = r->names; i-- > 0;) {
            uint64_t dir = r->n[i].parent;
            if (plain_file(t->theirs, dir) && !plain_file(t->base, dir) &&
                !plain_file(t->ours, dir) && !plain_links(r, dir)) {
                r->n[i] = r->n[--r->names];
                again = true;
            }
        }
    }
}

static void merge_names(const struct three *t, struct outcome *o)
{
    const struct plain *const all[] = {t->base, t->theirs, t->ours};

    for (size_t s = 0; s < 3; s++)
        for (size_t i = 0; i < all[s]->names; i++) {
            const struct entry_name *n = &all[s]->n[i];
            bool seen = false;
            for (size_t before = 0; before < s; before++)
                seen |= plain_ino(all[before], n->parent, n->name) != 0;
            if (!seen)
                merge_name(t, o, n->parent, n->name);
        }
    prune(t, o);
}

/* ---- inodes ---- */

static void number(uint32_t b, uint32_t x, uint32_t *y, bool take, bool *clash)
{
    bool both = x != b && *y != b && x != *y;

    *clash |= both;
    if (x != b && (*y == b || (both && take)))
        *y = x;
}

/* One extended attribute. */
static void merge_xattr(uint64_t b, uint64_t x, uint64_t *y, bool take, bool *clash)
{
    bool both = x != b && *y != b && x != *y;

    *clash |= both;
    if (x != b && (*y == b || (both && take)))
        *y = x;
}

/* `taken`: the content is that of theirs; `kept`: ours changed it, and it stayed so. */
static void merge_attrs(const struct three *t, struct outcome *o, const struct file *b,
                        const struct file *x, struct file *y, enum answer taken, enum answer kept)
{
    bool clash = false, maybe = false, take = t->rule == MERGE_THEIRS;
    uint64_t capability = y->xattr[CAPABILITY];

    number(b->in.mode, x->in.mode, &y->in.mode, take, &clash);
    number(b->in.uid, x->in.uid, &y->in.uid, take, &clash);
    number(b->in.gid, x->in.gid, &y->in.gid, take, &clash);
    for (size_t i = 0; i < XATTRS; i++)
        if (i != CAPABILITY)
            merge_xattr(b->xattr[i], x->xattr[i], &y->xattr[i], take, &clash);
    if (taken == YES)
        y->xattr[CAPABILITY] = x->xattr[CAPABILITY];
    else if (taken == NO && kept == NO)
        merge_xattr(b->xattr[CAPABILITY], x->xattr[CAPABILITY], &y->xattr[CAPABILITY], take,
                    &clash);
    else if (taken == UNSURE || kept == UNSURE)
        merge_xattr(b->xattr[CAPABILITY], x->xattr[CAPABILITY], &capability, take, &maybe);
    y->capability_free = taken == UNSURE || kept == UNSURE;
    if (t->rule == MERGE_FAIL)
        about_inode(o, MERGE_ATTRS, b->ino, clash ? YES : maybe ? UNSURE : NO);
    else
        o->decided |= clash;
    o->unsure |= maybe;
}

/* *ret_taken: it became that of theirs; *ret_kept: ours changed it, and it stayed. */
static void merge_content(const struct three *t, struct outcome *o, const struct file *b,
                          const struct file *x, struct file *y, enum answer *ret_taken,
                          enum answer *ret_kept)
{
    enum answer cx = contents_differ(t, b, x), cy = contents_differ(t, b, y),
                same = contents_differ(t, x, y), sure;
    bool take;

    sure = cx == NO || cy == NO || same == NO      ? NO
           : cx == YES && cy == YES && same == YES ? YES
                                                   : UNSURE;
    take = sure == NO || sure == UNSURE ? cx == YES && (cy != YES || same != YES)
                                        : t->rule == MERGE_THEIRS;
    if (sure != NO && leaves_content(t))
        about_inode(o, MERGE_CONTENT, b->ino, sure);
    o->decided |= sure != NO && !leaves_content(t);
    o->unsure |= sure == UNSURE;
    y->mtime_free = S_ISDIR(y->in.mode) || cx == UNSURE || cy == UNSURE || same == UNSURE;
    *ret_taken = cx == UNSURE || cy == UNSURE || same == UNSURE ? UNSURE : NO;
    *ret_kept = *ret_taken == NO && cy == YES && !(cx == YES && same == NO) ? YES : *ret_taken;
    if (take && cx != NO && (cy == NO || sure != NO)) {
        if (*ret_taken == NO) {
            *ret_taken = YES;
            *ret_kept = NO;
        }
        y->hash = x->hash;
        y->in.size = x->in.size;
        y->in.mtime = x->in.mtime;
        if (t->open == b->ino)
            about_inode(o, MERGE_OPEN, b->ino, sure == UNSURE ? UNSURE : YES);
    } else if (x->in.mtime != b->in.mtime &&
               (y->in.mtime == b->in.mtime || x->in.mtime > y->in.mtime)) {
        y->in.mtime = x->in.mtime;
    }
    if (t->open == b->ino && cx == UNSURE)
        about_inode(o, MERGE_OPEN, b->ino, UNSURE);
}

/* A file that is in the base, and on one side only. */
static void merge_half(const struct three *t, struct outcome *o, const struct file *b,
                       const struct file *x, const struct file *y)
{
    size_t links = plain_links(&o->tree, b->ino);

    enum answer lost = y && links == 0 ? differ(t, b, y) : NO;
    enum answer gone = x && links == 0 ? differ(t, b, x) : NO;

    if (t->rule != MERGE_THEIRS)
        about_inode(o, MERGE_REMOVED, b->ino, lost);
    if (x && links)
        about_inode(o, MERGE_REMOVED, b->ino, YES);
    else if (t->rule != MERGE_OURS)
        about_inode(o, MERGE_REMOVED, b->ino, gone);
    o->decided |= (lost != NO && t->rule == MERGE_THEIRS) || (gone != NO && t->rule == MERGE_OURS);
    o->unsure |= lost == UNSURE || gone == UNSURE;
    if (y && links)
        plain_add_file(&o->tree, y);
}

/* One that both have and the base has not. */
static void merge_made(const struct three *t, struct outcome *o, const struct file *x,
                       const struct file *y, bool stays)
{
    bool odd = (x->in.flags | y->in.flags) & (INODE_EXTENTS | INODE_HOLES);
    bool dirs = S_ISDIR(x->in.mode) && S_ISDIR(y->in.mode);
    enum answer sure = attrs_differ(x, y) || odd ? YES : contents_differ(t, x, y);
    struct file f = *y;

    if (sure == NO && S_ISREG(x->in.mode) && x->in.valid != y->in.valid)
        sure = UNSURE;
    const bool leaves = dirs ? t->rule == MERGE_FAIL : leaves_content(t);

    if (leaves)
        about_inode(o, dirs ? MERGE_ATTRS : MERGE_CONTENT, x->ino, sure);
    o->decided |= sure != NO && !leaves;
    o->unsure |= sure == UNSURE;
    if (t->rule == MERGE_THEIRS && sure == YES) {
        f = *x;
        if (!S_ISDIR(x->in.mode) && t->open == x->ino)
            about_inode(o, MERGE_OPEN, x->ino, YES);
    }
    f.mtime_free = S_ISDIR(f.in.mode);
    if (stays)
        plain_add_file(&o->tree, &f);
}

static void merge_file(const struct three *t, struct outcome *o, uint64_t ino)
{
    const struct file *b = plain_file(t->base, ino), *x = plain_file(t->theirs, ino),
                      *y = plain_file(t->ours, ino);
    bool stays = ino == NS_ROOT_INO || plain_links(&o->tree, ino);
    enum answer taken, kept;
    struct file f;

    if (b && (!x || !y)) {
        merge_half(t, o, b, x, y);
    } else if (x && y && !b) {
        merge_made(t, o, x, y, stays);
    } else if (b) {
        f = *y;
        merge_content(t, o, b, x, &f, &taken, &kept);
        merge_attrs(t, o, b, x, &f, taken, kept);
        if (stays)
            plain_add_file(&o->tree, &f);
    } else if (stays) {
        f = x ? *x : *y;
        f.mtime_free = S_ISDIR(f.in.mode);
        plain_add_file(&o->tree, &f);
    }
}

static void merge_files(const struct three *t, struct outcome *o)
{
    const struct plain *const all[] = {t->base, t->theirs, t->ours};

    for (size_t s = 0; s < 3; s++)
        for (size_t i = 0; i < all[s]->files; i++) {
            bool seen = false;
            for (size_t before = 0; before < s; before++)
                seen |= plain_file(all[before], all[s]->v[i].ino) != NULL;
            if (!seen)
                merge_file(t, o, all[s]->v[i].ino);
        }
}

/* ---- directories ---- */

/* The directory above one: where a new name leads to it, or else where it is. 0: nowhere. */
static uint64_t above(const struct three *t, const struct outcome *o, uint64_t dir)
{
    const struct plain *r = &o->tree;
    const struct file *f = plain_file(t->ours, dir);
    uint64_t old = 0;

    for (size_t i = 0; i < r->names; i++) {
        if (r->n[i].ino != dir)
            continue;
        if (plain_ino(t->ours, r->n[i].parent, r->n[i].name) != dir)
            return r->n[i].parent;
        old = r->n[i].parent;
    }
    if (old)
        return old;
    f = f ? f : plain_file(t->theirs, dir);
    return f ? f->in.parent : 0;
}

static bool has_new_name(const struct three *t, const struct outcome *o, uint64_t ino)
{
    for (size_t i = 0; i < o->tree.names; i++) {
        const struct entry_name *n = &o->tree.n[i];
        if (n->ino == ino && plain_ino(t->ours, n->parent, n->name) != ino)
            return true;
    }
    return false;
}

static void check_dir(const struct three *t, struct outcome *o, uint64_t dir)
{
    size_t links = plain_links(&o->tree, dir), steps = 0;
    uint64_t at = dir;

    if (links > 1)
        about_inode(o, MERGE_PARENTS, dir, YES);
    if (links == 0 && plain_file(t->ours, dir) && plain_entries(&o->tree, dir))
        about_inode(o, MERGE_FILLED, dir, YES);
    if (links != 1 || !has_new_name(t, o, dir))
        return;
    while (at != NS_ROOT_INO && steps++ < FAR)
        at = above(t, o, at);
    if (at != NS_ROOT_INO)
        about_inode(o, MERGE_CYCLE, dir, YES);
}

/* A file that both have keeps a name. */
static bool check_kept(const struct three *t, struct outcome *o, uint64_t ino)
{
    if (!plain_file(t->theirs, ino) || plain_links(&o->tree, ino))
        return true;
    about_inode(o, MERGE_REMOVED, ino, YES);
    return false;
}

static void check_tree(const struct three *t, struct outcome *o)
{
    bool names_clash = false;

    for (size_t i = 0; i < o->count; i++)
        names_clash |= o->v[i].ino == 0;
    for (size_t i = 0; i < t->ours->files; i++) {
        const struct file *y = &t->ours->v[i];
        if (y->ino == NS_ROOT_INO)
            continue;
        if ((names_clash || check_kept(t, o, y->ino)) && S_ISDIR(y->in.mode))
            check_dir(t, o, y->ino);
    }
    for (size_t i = 0; i < t->theirs->files; i++) {
        const struct file *x = &t->theirs->v[i];
        if (S_ISDIR(x->in.mode) && !plain_file(t->ours, x->ino))
            check_dir(t, o, x->ino);
    }
}

/* Numbers that follow from the names. */
static void count(struct plain *r)
{
    for (size_t i = 0; i < r->files; i++) {
        struct file *f = &r->v[i];
        size_t subdirs = 0;

        f->in.nlink = (uint32_t)plain_links(r, f->ino);
        if (!S_ISDIR(f->in.mode))
            continue;
        f->in.size = plain_entries(r, f->ino);
        for (size_t j = 0; j < r->names; j++) {
            const struct file *in = plain_file(r, r->n[j].ino);
            subdirs += r->n[j].parent == f->ino && in && S_ISDIR(in->in.mode);
            if (r->n[j].ino == f->ino)
                f->in.parent = r->n[j].parent;
        }
        f->in.nlink = (uint32_t)(2 + subdirs);
    }
}

/* ---- files of one name that are one ---- */

static void renumber(struct plain *t, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < t->files; i++) {
        t->v[i].ino = t->v[i].ino == from ? to : t->v[i].ino;
        t->v[i].in.parent = t->v[i].in.parent == from ? to : t->v[i].in.parent;
    }
    for (size_t i = 0; i < t->names; i++) {
        t->n[i].parent = t->n[i].parent == from ? to : t->n[i].parent;
        t->n[i].ino = t->n[i].ino == from ? to : t->n[i].ino;
    }
}

/* Does the name lead to two files, each of one side, that are to be one? */
static bool are_one(const struct three *t, uint64_t theirs, uint64_t ours)
{
    const struct file *x = plain_file(t->theirs, theirs), *y = plain_file(t->ours, ours),
                      *b = plain_file(t->base, theirs), *c = plain_file(t->base, ours);

    if (!x || !y || plain_file(t->ours, theirs) || plain_file(t->theirs, ours) || (b && c))
        return false;
    if (S_ISDIR(x->in.mode) && S_ISDIR(y->in.mode))
        return true;
    return plain_links(t->theirs, theirs) == 1 && plain_links(t->ours, ours) == 1 &&
           S_ISREG(x->in.mode) && !c && are_equal(t, b ? b : x, y);
}

/* Finds one such name, and gives the file the number of ours in all trees. */
static bool unite_one(const struct three *t, struct plain *base, struct plain *theirs)
{
    for (size_t i = 0; i < theirs->names; i++) {
        const struct entry_name *n = &theirs->n[i];
        uint64_t x = n->ino, y = plain_ino(t->ours, n->parent, n->name);

        if (y && are_one(t, x, y)) {
            renumber(base, x, y);
            renumber(theirs, x, y);
            return true;
        }
    }
    return false;
}

static void copy(struct plain *to, const struct plain *from)
{
    to->files = from->files;
    to->names = from->names;
    memcpy(to->v, from->v, from->files * sizeof *from->v);
    memcpy(to->n, from->n, from->names * sizeof *from->n);
}

void naive_merge(const struct three *given, struct outcome *ret)
{
    static struct plain base, theirs;
    struct three united = *given, *t = &united;

    copy(&base, given->base);
    copy(&theirs, given->theirs);
    t->base = &base;
    t->theirs = &theirs;
    while (!t->apart && unite_one(t, &base, &theirs))
        ;
    plain_clear(&ret->tree);
    ret->count = ret->sure = 0;
    ret->decided = ret->unsure = false;
    merge_names(t, ret);
    merge_files(t, ret);
    check_tree(t, ret);
    if (!ret->sure)
        count(&ret->tree);
}
