// SPDX-License-Identifier: Apache-2.0
/* merge_plan: see the header. Names come first, since they say which inodes ours has afterwards. */
#include "merge_plan.h"
#include "array.h"
#include "file_image.h"
#include "vfs_dir.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MEMORY ((size_t)256 * 1024 * 1024) /* bytes of both deltas */
#define DEPTH_MAX 8192                     /* directories above one at most */

const char *merge_why_name(enum merge_why why)
{
    static const char *const names[MERGE_WHYS] = {
        [MERGE_NAME] = "name",       [MERGE_CONTENT] = "content",     [MERGE_ATTRS] = "attributes",
        [MERGE_REMOVED] = "removed", [MERGE_PARENTS] = "parents",     [MERGE_CYCLE] = "cycle",
        [MERGE_FILLED] = "filled",   [MERGE_NO_PARENT] = "no-parent", [MERGE_OPEN] = "open",
    };

    return names[why];
}

/* What is made while a plan is. */
struct making {
    struct state *p;
    const struct merge_sides *s;
    struct merge_plan *m;
};

/* ---- conflicts ---- */

static int add_conflict(struct making *k, const struct merge_conflict *c)
{
    struct merge_plan *m = k->m;

    if (ARRAY_RESERVE(m->conflicts, m->conflicts_room, m->conflict_count + 1) < 0) {
        free(c->name);
        return -ENOMEM;
    }
    m->conflicts[m->conflict_count++] = *c;
    return 0;
}

static int conflict_of_inode(struct making *k, enum merge_why why, uint64_t ino)
{
    return add_conflict(k, &(struct merge_conflict){.why = why, .ino = ino});
}

/* The name as a text of its own, which the caller frees. NULL: no memory. */
static char *copy_name(const struct delta *d, const struct delta_name *n)
{
    return strndup(delta_text(d, n), n->len);
}

static int conflict_of_name(struct making *k, enum merge_why why, const struct delta_name *n)
{
    char *name = copy_name(&k->m->theirs, n);

    if (!name)
        return -ENOMEM;
    return add_conflict(k, &(struct merge_conflict){.why = why, .parent = n->parent, .name = name});
}

/* ---- what ours has ---- */

static int compare_to_name(const struct delta *d, const struct delta_name *n, uint64_t parent,
                           const char *text, size_t len)
{
    int order = memcmp(text, delta_text(d, n), len < n->len ? len : n->len);

    if (parent != n->parent)
        return parent < n->parent ? -1 : 1;
    return order ? order : (len > n->len) - (len < n->len);
}

/* How the name differs in ours; NULL: it is as in the base. */
static const struct delta_name *in_ours(const struct merge_plan *m, const struct delta_name *n)
{
    size_t from = 0, to = m->ours.name_count;
    const char *text = delta_text(&m->theirs, n);

    while (from < to) {
        size_t at = from + (to - from) / 2;
        const struct delta_name *o = &m->ours.names[at];
        int order = compare_to_name(&m->ours, o, n->parent, text, n->len);

        if (order == 0)
            return o;
        if (order < 0)
            to = at;
        else
            from = at + 1;
    }
    return NULL;
}

/* Is the inode of the base not in ours any more? */
static bool ours_removed(const struct merge_plan *m, uint64_t ino)
{
    const struct delta_inode *o = delta_find(&m->ours, ino);

    return o && o->in[DELTA_A] && !o->in[DELTA_B];
}

static bool theirs_made(const struct merge_plan *m, uint64_t ino)
{
    const struct delta_inode *t = delta_find(&m->theirs, ino);

    return t && !t->in[DELTA_A] && t->in[DELTA_B];
}

/* Loads the inode from ours, or if that does not have it from theirs. */
static int load(const struct making *k, uint64_t ino, struct inode *ret)
{
    int err = inode_load(&k->s->ours->tree, ino, ret);

    return err == -ESTALE ? inode_load(&k->s->theirs->tree, ino, ret) : err;
}

/* ---- names ---- */

static int links_of(struct making *k, uint64_t ino, struct merge_links **ret)
{
    struct merge_plan *m = k->m;
    struct inode in;
    uint64_t at;
    int err;

    if (map64_get(&m->link_of, ino, &at)) {
        *ret = &m->links[at - 1];
        return 0;
    }
    err = load(k, ino, &in);
    if (err == 0 && ARRAY_RESERVE(m->links, m->links_room, m->link_count + 1) < 0)
        err = -ENOMEM;
    if (err == 0)
        err = map64_put(&m->link_of, ino, m->link_count + 1);
    if (err < 0)
        return err;
    *ret = &m->links[m->link_count++];
    **ret = (struct merge_links){.ino = ino, .dir = S_ISDIR(in.mode)};
    return 0;
}

static int dir_of(struct making *k, uint64_t ino, struct merge_dir **ret)
{
    struct merge_plan *m = k->m;
    uint64_t at;
    int err;

    if (map64_get(&m->dir_of, ino, &at)) {
        *ret = &m->dirs[at - 1];
        return 0;
    }
    if (ARRAY_RESERVE(m->dirs, m->dirs_room, m->dir_count + 1) < 0)
        return -ENOMEM;
    err = map64_put(&m->dir_of, ino, m->dir_count + 1);
    if (err < 0)
        return err;
    *ret = &m->dirs[m->dir_count++];
    **ret = (struct merge_dir){.ino = ino};
    return 0;
}

/* Counts what a name does to the inodes it leads to, and to its directory. */
static int count_name(struct making *k, const struct merge_name *n)
{
    struct merge_links *l;
    struct merge_dir *d;
    int err = dir_of(k, n->parent, &d);

    if (err == 0 && n->was) {
        err = links_of(k, n->was, &l);
        if (err == 0) {
            l->minus++;
            d->entries--;
            d->subdirs -= l->dir;
        }
    }
    if (err == 0 && n->becomes) {
        err = links_of(k, n->becomes, &l);
        if (err == 0) {
            l->plus++;
            l->parent = n->parent;
            d->entries++;
            d->subdirs += l->dir;
        }
    }
    return err;
}

/* Notes what becomes of a name. It takes `name` over. */
static int add_name(struct making *k, uint64_t parent, uint64_t was, uint64_t becomes, char *name)
{
    struct merge_plan *m = k->m;

    if (!name || ARRAY_RESERVE(m->names, m->names_room, m->name_count + 1) < 0) {
        free(name);
        return -ENOMEM;
    }
    m->names[m->name_count++] = (struct merge_name){parent, was, becomes, name};
    return count_name(k, &m->names[m->name_count - 1]);
}

/* The name beside another one: the same, whoever merges. */
static char *variant_of(const struct delta *d, const struct delta_name *n, uint64_t ino)
{
    char suffix[32], *name;
    int len = snprintf(suffix, sizeof suffix, ".variant-%08llx", (unsigned long long)ino);
    size_t keep = n->len + (size_t)len > ITEM_NAME_MAX ? ITEM_NAME_MAX - (size_t)len : n->len;

    if (asprintf(&name, "%.*s%s", (int)keep, delta_text(d, n), suffix) < 0)
        return NULL;
    return name;
}

static bool same_bytes(const struct making *k, const struct inode *x, const struct inode *y)
{
    return x->size == y->size && x->valid == y->valid && x->rdev == y->rdev &&
           object_is_same(k->p->refs, x->object, y->object);
}

/* Are these two files, one of ours and one of theirs, equal for certain? 1, 0, -errno. */
static int are_equal(const struct making *k, uint64_t ours, uint64_t theirs)
{
    struct inode x, y;
    int err = ours && theirs ? inode_load(&k->s->ours->tree, ours, &x) : -ESTALE;

    if (err == 0)
        err = inode_load(&k->s->theirs->tree, theirs, &y);
    if (err < 0)
        return err == -ESTALE ? 0 : err;
    return S_ISREG(x.mode) && x.mode == y.mode && x.uid == y.uid && x.gid == y.gid &&
           !((x.flags | y.flags) & (INODE_EXTENTS | INODE_HOLES | INODE_XATTRS)) &&
           same_bytes(k, &x, &y);
}

/* Both sides changed the name, and differently. */
static int decide_name(struct making *k, const struct delta_name *n, uint64_t now)
{
    struct merge_plan *m = k->m;
    uint64_t theirs = n->ino[DELTA_B];
    int equal = are_equal(k, now, theirs);

    if (equal)
        return equal < 0 ? equal : 0;
    if (m->rule == MERGE_FAIL)
        return conflict_of_name(k, MERGE_NAME, n);
    m->decided++;
    if (m->rule == MERGE_THEIRS)
        return add_name(k, n->parent, now, theirs, copy_name(&m->theirs, n));
    if (m->rule == MERGE_BOTH && theirs)
        return add_name(k, n->parent, 0, theirs, variant_of(&m->theirs, n, theirs));
    return 0;
}

static int merge_one_name(struct making *k, const struct delta_name *n)
{
    struct merge_plan *m = k->m;
    const struct delta_name *o = in_ours(m, n);
    uint64_t was = n->ino[DELTA_A], theirs = n->ino[DELTA_B];
    uint64_t now = o ? o->ino[DELTA_B] : was;

    if (now == theirs)
        return 0;
    if (ours_removed(m, n->parent) && !theirs_made(m, n->parent))
        return theirs ? conflict_of_name(k, MERGE_NO_PARENT, n) : 0;
    if (now != was)
        return decide_name(k, n, now);
    return add_name(k, n->parent, now, theirs, copy_name(&m->theirs, n));
}

/* Is it a new directory of theirs that ours does not get? */
static bool stays_out(const struct making *k, uint64_t dir)
{
    uint64_t at;

    return theirs_made(k->m, dir) &&
           !(map64_get(&k->m->link_of, dir, &at) && k->m->links[at - 1].plus);
}

/* Takes back the names in directories that ours does not get, because a rule has left them out. */
static void prune_names(struct making *k)
{
    struct merge_plan *m = k->m;
    bool again = true;
    uint64_t at;

    while (again) {
        again = false;
        for (size_t i = 0; i < m->name_count; i++) {
            struct merge_name *n = &m->names[i];

            if (!n->becomes || !stays_out(k, n->parent))
                continue;
            if (map64_get(&m->link_of, n->becomes, &at))
                m->links[at - 1].plus--;
            n->becomes = 0;
            again = true;
        }
    }
}

/* ---- inodes ---- */

/* Did the side change the content? Of a directory that is its names. */
static bool content_changed(const struct making *k, const struct delta_inode *d)
{
    const struct inode *a = &d->at[DELTA_A], *b = &d->at[DELTA_B];

    if (S_ISDIR(a->mode) && S_ISDIR(b->mode))
        return false;
    return d->items & (DELTA_DATA | DELTA_TARGET) || !same_bytes(k, a, b) ||
           (a->mode ^ b->mode) & S_IFMT;
}

static bool attrs_changed(const struct delta_inode *d)
{
    const struct inode *a = &d->at[DELTA_A], *b = &d->at[DELTA_B];

    return d->items & DELTA_XATTRS || a->mode != b->mode || a->uid != b->uid || a->gid != b->gid;
}

/* Is the content of both sides the same for certain? Both have changed it. */
static bool became_same(const struct making *k, const struct delta_inode *t,
                        const struct delta_inode *o)
{
    const struct inode *x = &t->at[DELTA_B], *y = &o->at[DELTA_B];

    return !((t->items | o->items) & (DELTA_DATA | DELTA_TARGET)) && same_bytes(k, x, y) &&
           !((x->flags | y->flags) & (INODE_EXTENTS | INODE_HOLES));
}

static int add_inode(struct making *k, const struct merge_inode *i)
{
    struct merge_plan *m = k->m;

    if (ARRAY_RESERVE(m->inodes, m->inodes_room, m->inode_count + 1) < 0)
        return -ENOMEM;
    m->inodes[m->inode_count++] = *i;
    return 0;
}

/* Decides one part of an inode that both sides changed. *ret: it becomes as theirs has it. */
static int decide(struct making *k, enum merge_why why, uint64_t ino, bool *ret)
{
    if (k->m->rule == MERGE_FAIL)
        return conflict_of_inode(k, why, ino);
    k->m->decided++;
    *ret = k->m->rule == MERGE_THEIRS;
    return 0;
}

/* One number of an inode. *ret: it becomes as theirs has it; `clash`: both changed it. */
static void merge_number(uint32_t base, uint32_t theirs, uint32_t ours, bool *ret, bool *clash)
{
    *ret = theirs != base && ours == base;
    *clash |= theirs != base && ours != base && ours != theirs;
}

/* The attributes of an inode that both sides changed. */
static int merge_attrs(struct making *k, const struct delta_inode *t, const struct delta_inode *o,
                       struct merge_inode *i)
{
    const struct inode *b = &t->at[DELTA_A], *x = &t->at[DELTA_B], *y = &o->at[DELTA_B];
    bool clash = false, take = false;
    int err;

    merge_number(b->mode, x->mode, y->mode, &i->mode, &clash);
    merge_number(b->uid, x->uid, y->uid, &i->uid, &clash);
    merge_number(b->gid, x->gid, y->gid, &i->gid, &clash);
    i->xattrs = t->items & DELTA_XATTRS && !(o->items & DELTA_XATTRS);
    clash |= t->items & o->items & DELTA_XATTRS;
    err = clash ? decide(k, MERGE_ATTRS, t->ino, &take) : 0;
    if (take)
        i->mode = i->uid = i->gid = i->xattrs = true;
    return err;
}

/* An inode that both have, and theirs changed. `o`: what ours changed; NULL: nothing. */
static int merge_changed(struct making *k, const struct delta_inode *t, const struct delta_inode *o)
{
    const struct inode *b = &t->at[DELTA_A], *x = &t->at[DELTA_B];
    struct merge_inode i = {.ino = t->ino, .mtime = x->mtime != b->mtime};
    bool theirs = content_changed(k, t), ours = o && content_changed(k, o);
    int err = 0;

    if (theirs && !ours)
        i.content = true;
    else if (theirs && !became_same(k, t, o))
        err = decide(k, MERGE_CONTENT, t->ino, &i.content);
    if (err == 0 && o)
        err = merge_attrs(k, t, o, &i);
    if (!o) {
        i.mode = x->mode != b->mode;
        i.uid = x->uid != b->uid;
        i.gid = x->gid != b->gid;
        i.xattrs = t->items & DELTA_XATTRS;
    }
    if (err == 0 && i.content && vnode_is_open(k->p, vfs_node(k->s->ours->number, t->ino), false))
        return conflict_of_inode(k, MERGE_OPEN, t->ino);
    return err < 0 ? err : add_inode(k, &i);
}

/* How many names it has in ours afterwards. */
static int final_links(struct making *k, uint64_t ino, int64_t *ret)
{
    struct inode in;
    uint64_t at;
    int err = inode_load(&k->s->ours->tree, ino, &in);
    const struct merge_links *l = map64_get(&k->m->link_of, ino, &at) ? &k->m->links[at - 1] : NULL;

    if (err < 0 && err != -ESTALE)
        return err;
    *ret = err < 0 ? 0 : S_ISDIR(in.mode) ? 1 : in.nlink;
    if (l)
        *ret += (int64_t)l->plus - l->minus;
    return 0;
}

/* Theirs removed it. It goes from ours if it has no other name there, and ours has not changed it.
 * */
static int merge_removed(struct making *k, const struct delta_inode *t, const struct delta_inode *o)
{
    int64_t left;
    bool take = true;
    int err = final_links(k, t->ino, &left);

    if (err < 0 || left > 0 || !o || !o->in[DELTA_B])
        return err;
    if (!content_changed(k, o) && !attrs_changed(o))
        return 0;
    /* Its names are gone in the plan already, so only theirs can be chosen here. */
    if (k->m->rule == MERGE_THEIRS)
        return decide(k, MERGE_REMOVED, t->ino, &take);
    return conflict_of_inode(k, MERGE_REMOVED, t->ino);
}

static int merge_one_inode(struct making *k, const struct delta_inode *t)
{
    const struct delta_inode *o = delta_find(&k->m->ours, t->ino);
    int64_t links;
    int err;

    if (!t->in[DELTA_B])
        return merge_removed(k, t, o);
    if (t->in[DELTA_A] && !t->same)
        return conflict_of_inode(k, MERGE_CONTENT, t->ino);
    if (t->in[DELTA_A] && ours_removed(k->m, t->ino))
        return content_changed(k, t) || attrs_changed(t)
                   ? conflict_of_inode(k, MERGE_REMOVED, t->ino)
                   : 0;
    if (t->in[DELTA_A])
        return merge_changed(k, t, o);
    if (o && o->in[DELTA_B])
        return conflict_of_inode(k, MERGE_CONTENT, t->ino);
    err = final_links(k, t->ino, &links);
    if (err < 0 || links <= 0)
        return err;
    return add_inode(k, &(struct merge_inode){.ino = t->ino, .is_new = true});
}

/* ---- directories ---- */

/* The parent that the directory has afterwards. */
static int parent_of(struct making *k, uint64_t dir, uint64_t *ret)
{
    struct inode in;
    uint64_t at;
    int err;

    if (map64_get(&k->m->link_of, dir, &at) && k->m->links[at - 1].plus) {
        *ret = k->m->links[at - 1].parent;
        return 0;
    }
    err = load(k, dir, &in);
    *ret = in.parent;
    return err;
}

/* Does the directory lead to the root? 1, 0, -errno. */
static int leads_to_root(struct making *k, uint64_t dir)
{
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        int err;

        if (dir == NS_ROOT_INO)
            return 1;
        err = parent_of(k, dir, &dir);
        if (err < 0)
            return err;
    }
    return 0;
}

/* Checks one directory of which names changed. */
static int check_dir(struct making *k, const struct merge_links *l)
{
    struct inode in = {0};
    int64_t left, entries;
    uint64_t at;
    int err = final_links(k, l->ino, &left);

    if (err < 0)
        return err;
    if (left > 1)
        return conflict_of_inode(k, MERGE_PARENTS, l->ino);
    if (left == 1) {
        err = l->plus ? leads_to_root(k, l->ino) : 1;
        return err < 0 ? err : err ? 0 : conflict_of_inode(k, MERGE_CYCLE, l->ino);
    }
    err = inode_load(&k->s->ours->tree, l->ino, &in);
    if (err < 0)
        return err == -ESTALE ? 0 : err;
    entries = (int64_t)in.size;
    if (map64_get(&k->m->dir_of, l->ino, &at))
        entries += k->m->dirs[at - 1].entries;
    return entries ? conflict_of_inode(k, MERGE_FILLED, l->ino) : 0;
}

/* ---- all of it ---- */

/* A file of ours that a name leads to must be there: ours may have removed it. */
static int check_target(struct making *k, const struct merge_links *l)
{
    return l->plus && ours_removed(k->m, l->ino) && !theirs_made(k->m, l->ino)
               ? conflict_of_inode(k, MERGE_REMOVED, l->ino)
               : 0;
}

static int make_plan(struct making *k)
{
    struct merge_plan *m = k->m;
    int err = 0;

    for (size_t i = 0; i < m->theirs.name_count && err == 0; i++)
        err = merge_one_name(k, &m->theirs.names[i]);
    if (m->decided)
        prune_names(k);
    for (size_t i = 0; i < m->theirs.count && err == 0; i++)
        err = merge_one_inode(k, &m->theirs.inodes[i]);
    for (size_t i = 0; i < m->link_count && err == 0; i++) {
        err = check_target(k, &m->links[i]);
        if (err == 0 && m->links[i].dir)
            err = check_dir(k, &m->links[i]);
    }
    return err;
}

int merge_plan_make(struct state *p, const struct merge_sides *s, struct merge_plan *ret)
{
    struct making k = {p, s, ret};
    int err;

    ret->room.left = MEMORY;
    ret->theirs = (struct delta)DELTA_INIT(&ret->room);
    ret->ours = (struct delta)DELTA_INIT(&ret->room);
    err = delta_gather(&s->base->tree, &s->theirs->tree, s->own, ret->interrupted, &ret->theirs);
    if (err == 0)
        err = delta_gather(&s->base->tree, &s->ours->tree, s->own, ret->interrupted, &ret->ours);
    return err < 0 ? err : make_plan(&k);
}

void merge_plan_release(struct merge_plan *m)
{
    for (size_t i = 0; i < m->name_count; i++)
        free(m->names[i].name);
    for (size_t i = 0; i < m->conflict_count; i++)
        free(m->conflicts[i].name);
    free(m->names);
    free(m->inodes);
    free(m->links);
    free(m->dirs);
    free(m->conflicts);
    map64_release(&m->link_of);
    map64_release(&m->dir_of);
    delta_release(&m->theirs);
    delta_release(&m->ours);
    *m = (struct merge_plan){.rule = m->rule, .interrupted = m->interrupted};
}

/* Bytes of one operation that puts an item of the usual length, of one that puts a name, and of all
 * that moves the items of an inode. */
#define PUT_BYTES (OP_HEAD_MAX + INODE_ITEM_MAX + 16)
#define NAME_BYTES (OP_HEAD_MAX + DIRENT_ITEM_MAX + COUNTER_ITEM_LEN + OP_HEAD_MAX)
#define ITEMS_BYTES ((size_t)5 * (9 * OP_HEAD_MAX + 1024 + PUT_BYTES))

size_t merge_plan_bytes(const struct merge_plan *m)
{
    return 2 * NAME_BYTES * m->name_count + ITEMS_BYTES * m->inode_count +
           (PUT_BYTES + ADOPT_ROOM + ITEMS_BYTES) * m->link_count + PUT_BYTES * m->dir_count +
           NS_RECORD_MAX + (size_t)4 * OP_HEAD_MAX;
}
