// SPDX-License-Identifier: Apache-2.0
/* merge_plan: see the header. Names come first, since they say which inodes ours has afterwards. */
#include "merge_plan_impl.h"
#include "array.h"
#include "file_image.h"
#include "merge_xattrs.h"
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

char *plan_copy_name(const struct delta *d, const struct delta_name *n)
{
    return strndup(delta_text(d, n), n->len);
}

int plan_conflict_of_name(struct making *k, enum merge_why why, const struct delta_name *n)
{
    char *name = plan_copy_name(&k->m->theirs, n);

    if (!name)
        return -ENOMEM;
    return add_conflict(k, &(struct merge_conflict){.why = why, .parent = n->parent, .name = name});
}

/* ---- what ours has ---- */

bool plan_ours_removed(const struct merge_plan *m, uint64_t ino)
{
    const struct delta_inode *o = delta_find(&m->ours, ino);

    return o && o->in[DELTA_A] && !o->in[DELTA_B];
}

bool plan_theirs_made(const struct merge_plan *m, uint64_t ino)
{
    const struct delta_inode *t = delta_find(&m->theirs, ino);

    return t && !t->in[DELTA_A] && t->in[DELTA_B];
}

int plan_load(const struct making *k, uint64_t ino, struct inode *ret)
{
    int err = inode_load(&k->s->ours->tree, ino, ret);

    return err == -ESTALE ? inode_load(&k->s->theirs->tree, ino, ret) : err;
}

/* By which node is an inode of ours known, and is it open? nodeid 0: it is not. */
static struct vnode_known who_has(const struct making *k, uint64_t ino)
{
    const struct merge_sides *s = k->s;
    struct vnode_known who = {.ino = ino};
    const struct vnode_known *at;

    if (s->known) {
        at = vnodes_find(s->known, s->known_count, ino);
        return at ? *at : who;
    }
    who.nodeid = ns_node_of(s->ours, ino);
    who.open = vnode_is_open(k->p, who.nodeid, false);
    who.writes = vnode_is_open(k->p, who.nodeid, true);
    who.orphan = vnode_is_nameless(k->p, who.nodeid);
    return who;
}

/* ---- inodes ---- */

bool plan_is_unsealed(const struct making *k, uint64_t object)
{
    struct entry e;

    return object && refs_entry(k->p->refs, object, true, NULL, &e) == 0 && entry_is_unsealed(&e);
}

bool plan_same_bytes(const struct making *k, const struct inode *x, const struct inode *y)
{
    if (x->size != y->size || x->rdev != y->rdev)
        return false;
    if (x->valid == y->valid && object_is_same(k->p->refs, x->object, y->object))
        return true;
    k->m->unsealed |= plan_is_unsealed(k, x->object) || plan_is_unsealed(k, y->object);
    return false;
}

/* Did the side change the content? Of a directory that is its names. */
static bool content_changed(const struct making *k, const struct delta_inode *d)
{
    const struct inode *a = &d->at[DELTA_A], *b = &d->at[DELTA_B];

    if (S_ISDIR(a->mode) && S_ISDIR(b->mode))
        return false;
    return d->items & (DELTA_DATA | DELTA_TARGET) || !plan_same_bytes(k, a, b) ||
           (a->mode ^ b->mode) & S_IFMT;
}

static bool attrs_changed(const struct delta_inode *d)
{
    const struct inode *a = &d->at[DELTA_A], *b = &d->at[DELTA_B];

    return d->items & DELTA_XATTRS || a->mode != b->mode || a->uid != b->uid || a->gid != b->gid;
}

bool plan_is_missed(const struct making *k, uint64_t ino)
{
    const struct delta_inode *t = delta_find(&k->m->theirs, ino), *o = delta_find(&k->m->ours, ino);

    return t && t->in[DELTA_A] && !t->in[DELTA_B] && o && o->in[DELTA_B] &&
           (content_changed(k, o) || attrs_changed(o));
}

/* Is the content of both sides the same for certain? Both have changed it. */
static bool became_same(const struct making *k, const struct delta_inode *t,
                        const struct delta_inode *o)
{
    const struct inode *x = &t->at[DELTA_B], *y = &o->at[DELTA_B];

    return S_ISREG(x->mode) && !((x->flags | y->flags) & (INODE_EXTENTS | INODE_HOLES)) &&
           plan_same_bytes(k, x, y);
}

static int add_inode(struct making *k, const struct merge_inode *i)
{
    struct merge_plan *m = k->m;

    if (ARRAY_RESERVE(m->inodes, m->inodes_room, m->inode_count + 1) < 0)
        return -ENOMEM;
    m->inodes[m->inode_count++] = *i;
    return 0;
}

enum merge_rule plan_rule_of_inode(const struct making *k, uint64_t ino)
{
    return k->m->rules ? merge_rules_of_inode(k->m->rules, ino) : k->m->rule;
}

/* Decides one part of an inode that both sides changed. *ret: it becomes as theirs has it. A file
 * has one content only, so MERGE_BOTH does not decide which. */
static int decide(struct making *k, enum merge_why why, uint64_t ino, bool *ret)
{
    enum merge_rule rule = plan_rule_of_inode(k, ino);

    if (rule == MERGE_FAIL || (rule == MERGE_BOTH && why == MERGE_CONTENT))
        return conflict_of_inode(k, why, ino);
    k->m->decided++;
    *ret = rule == MERGE_THEIRS;
    return 0;
}

static enum changed who_changed(uint32_t base, uint32_t theirs, uint32_t ours)
{
    if (theirs == ours)
        return 0;
    return (theirs != base ? CHANGED_THEIRS : 0) | (ours != base ? CHANGED_OURS : 0);
}

/* The attributes of an inode that both sides changed. A rule decides those alone of which both want
 * something else. The mode and the access ACL say the same, so they are one. */
static int merge_attrs(struct making *k, const struct delta_inode *t, const struct delta_inode *o,
                       const struct merge_content *content, struct merge_inode *i)
{
    const struct inode *b = &t->at[DELTA_A], *x = &t->at[DELTA_B], *y = &o->at[DELTA_B];
    enum changed mode = who_changed(b->mode, x->mode, y->mode);
    enum changed uid = who_changed(b->uid, x->uid, y->uid);
    enum changed gid = who_changed(b->gid, x->gid, y->gid);
    struct xattr_changes xattrs = {0};
    bool take = false, clash;
    int err = (t->items | o->items) & DELTA_XATTRS
                  ? merge_xattrs_compare(k, t, o, content, &xattrs)
                  : 0;

    mode |= xattrs.acl;
    clash = mode == CHANGED_BOTH || uid == CHANGED_BOTH || gid == CHANGED_BOTH;
    for (size_t n = 0; n < xattrs.count; n++)
        clash |= xattrs.v[n].who == CHANGED_BOTH;
    if (err == 0 && clash)
        err = decide(k, MERGE_ATTRS, t->ino, &take);
    i->mode = mode == CHANGED_THEIRS || (take && mode == CHANGED_BOTH);
    i->uid = uid == CHANGED_THEIRS || (take && uid == CHANGED_BOTH);
    i->gid = gid == CHANGED_THEIRS || (take && gid == CHANGED_BOTH);
    if (err == 0)
        err = merge_xattrs_add(k, &xattrs, take, i->mode && xattrs.acl, i);
    merge_xattrs_release(&xattrs);
    return err;
}

/* Does the time of modification become that of theirs, if the content does not? */
static bool takes_mtime(const struct delta_inode *t, const struct delta_inode *o)
{
    int64_t was = t->at[DELTA_A].mtime, theirs = t->at[DELTA_B].mtime;

    return theirs != was && (!o || o->at[DELTA_B].mtime == was || theirs > o->at[DELTA_B].mtime);
}

static bool is_change(const struct merge_inode *i)
{
    return i->content || i->xattrs || i->xattr_count || i->mode || i->uid || i->gid || i->mtime;
}

/* The content of a file of ours becomes another one: who has it open? */
static int leave_to_readers(struct making *k, struct merge_inode *i)
{
    struct vnode_known who = who_has(k, i->ino);

    if (who.writes)
        return conflict_of_inode(k, MERGE_OPEN, i->ino);
    i->left = who.open ? who.nodeid : 0;
    return add_inode(k, i);
}

/* An inode that both have, and theirs changed. `o`: what ours changed; NULL: nothing. */
static int merge_changed(struct making *k, const struct delta_inode *t, const struct delta_inode *o)
{
    const struct inode *b = &t->at[DELTA_A], *x = &t->at[DELTA_B];
    struct merge_inode i = {.ino = t->ino, .mtime = takes_mtime(t, o)};
    bool theirs = content_changed(k, t), ours = o && content_changed(k, o);
    bool same = theirs && ours && became_same(k, t, o);
    int err = 0;

    if (theirs && !ours)
        i.content = true;
    else if (theirs && !same)
        err = decide(k, MERGE_CONTENT, t->ino, &i.content);
    i.own = ours && !same && !i.content;
    if (err == 0 && o)
        err = merge_attrs(k, t, o, &(struct merge_content){i.content, i.own}, &i);
    if (!o) {
        i.mode = x->mode != b->mode;
        i.uid = x->uid != b->uid;
        i.gid = x->gid != b->gid;
        i.xattrs = t->items & DELTA_XATTRS;
    }
    if (err < 0 || !is_change(&i))
        return err;
    return i.content ? leave_to_readers(k, &i) : add_inode(k, &i);
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
 */
static int merge_removed(struct making *k, const struct delta_inode *t)
{
    int64_t left;
    bool take = true;
    int err = final_links(k, t->ino, &left);

    if (err < 0 || left > 0 || !plan_is_missed(k, t->ino))
        return err;
    /* Its names are gone in the plan already; a rule for ours has kept them. */
    if (plan_rule_of_inode(k, t->ino) == MERGE_THEIRS)
        return decide(k, MERGE_REMOVED, t->ino, &take);
    return conflict_of_inode(k, MERGE_REMOVED, t->ino);
}

/* Ours removed it. That theirs changed only names of it is seen at these (check_target). */
static int merge_gone(struct making *k, const struct delta_inode *t)
{
    uint64_t at;
    bool take;

    if (map64_get(&k->m->link_of, t->ino, &at) && k->m->links[at - 1].plus)
        return 0;
    if (!content_changed(k, t) && !attrs_changed(t))
        return 0;
    if (plan_rule_of_inode(k, t->ino) == MERGE_OURS)
        return decide(k, MERGE_REMOVED, t->ino, &take);
    return conflict_of_inode(k, MERGE_REMOVED, t->ino);
}

/* One that theirs has and the base has not. */
static int merge_new(struct making *k, const struct delta_inode *t)
{
    struct merge_inode i = {.ino = t->ino, .is_new = true};
    struct vnode_known who = who_has(k, t->ino);
    int64_t links;
    int err = final_links(k, t->ino, &links);

    if (err < 0 || links <= 0)
        return err;
    i.left = who.orphan ? who.nodeid : 0;
    return add_inode(k, &i);
}

/* Are they equal for certain, with all attributes? 1, 0, -errno. */
static int are_made_equal(struct making *k, const struct merge_file *theirs,
                          const struct merge_file *ours)
{
    const struct inode *x = &theirs->in, *y = &ours->in;
    bool dir = S_ISDIR(x->mode) && S_ISDIR(y->mode);

    if (x->mode != y->mode || x->uid != y->uid || x->gid != y->gid ||
        (x->flags | y->flags) & (INODE_EXTENTS | INODE_HOLES) ||
        (!dir && !plan_same_bytes(k, x, y)))
        return 0;
    return merge_xattrs_are_same(k, theirs, ours);
}

/* One that both have and the base has not: they are twins, or the base is an older moment than the
 * last at which they were one. */
static int merge_both_made(struct making *k, const struct delta_inode *t,
                           const struct delta_inode *o)
{
    struct merge_file x = {&k->s->theirs->tree, merge_twins_in_theirs(k->m, t->ino),
                           t->at[DELTA_B]},
                      y = {&k->s->ours->tree, t->ino, o->at[DELTA_B]};
    struct merge_inode i = {.ino = t->ino, .mtime = true};
    bool take = false, dir = S_ISDIR(x.in.mode) && S_ISDIR(y.in.mode);
    int err = are_made_equal(k, &x, &y);

    if (err)
        return err < 0 ? err : 0;
    err = decide(k, dir ? MERGE_ATTRS : MERGE_CONTENT, t->ino, &take);
    if (err < 0 || !take)
        return err;
    i.content = !dir;
    i.mode = i.uid = i.gid = i.xattrs = true;
    return dir ? add_inode(k, &i) : leave_to_readers(k, &i);
}

static int merge_one_inode(struct making *k, const struct delta_inode *t)
{
    const struct delta_inode *o = delta_find(&k->m->ours, t->ino);

    if (!t->in[DELTA_B])
        return merge_removed(k, t);
    if (t->in[DELTA_A] && !t->same)
        return conflict_of_inode(k, MERGE_CONTENT, t->ino);
    if (t->in[DELTA_A] && plan_ours_removed(k->m, t->ino))
        return merge_gone(k, t);
    if (t->in[DELTA_A])
        return merge_changed(k, t, o);
    if (o && o->in[DELTA_B])
        return merge_both_made(k, t, o);
    return merge_new(k, t);
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
    err = plan_load(k, dir, &in);
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
    return l->plus && plan_ours_removed(k->m, l->ino) ? conflict_of_inode(k, MERGE_REMOVED, l->ino)
                                                      : 0;
}

/* Does ours lose a file that theirs still has? Each side took away names that the other one kept,
 * or a rule has left out a name that theirs gave it. 1, 0, -errno. */
static int is_lost(struct making *k, const struct merge_links *l)
{
    const struct delta_inode *t = delta_find(&k->m->theirs, l->ino),
                             *o = delta_find(&k->m->ours, l->ino);
    bool both = o ? o->in[DELTA_A] && o->in[DELTA_B] : !t || t->in[DELTA_A];
    int64_t left = 1;
    int err = 0;

    if (both && (!t || t->in[DELTA_B]) && l->minus)
        err = final_links(k, l->ino, &left);
    return err < 0 ? err : left <= 0;
}

/* Checks what the names make of one inode. `clear`: no name is a conflict. */
static int check_links(struct making *k, const struct merge_links *l, bool clear)
{
    int err = check_target(k, l), lost;

    if (err < 0)
        return err;
    lost = clear ? is_lost(k, l) : 0;
    if (lost)
        return lost < 0 ? lost : conflict_of_inode(k, MERGE_REMOVED, l->ino);
    return l->dir ? check_dir(k, l) : 0;
}

static int make_plan(struct making *k)
{
    struct merge_plan *m = k->m;
    int err = plan_names(k);
    bool clear = m->conflict_count == 0;

    for (size_t i = 0; i < m->theirs.count && err == 0; i++)
        err = merge_one_inode(k, &m->theirs.inodes[i]);
    for (size_t i = 0; i < m->link_count && err == 0; i++)
        err = check_links(k, &m->links[i], clear);
    return err;
}

int merge_plan_make(struct state *p, const struct merge_sides *s, struct merge_plan *ret)
{
    struct making k = {p, s, ret};
    int err;

    ret->room.left = ret->memory ? ret->memory : MEMORY;
    ret->theirs = (struct delta)DELTA_INIT(&ret->room);
    if (!ret->knows_ours)
        ret->ours = (struct delta)DELTA_INIT(&ret->room);
    err = delta_gather(&s->base->tree, &s->theirs->tree, s->own, ret->interrupted, &ret->theirs);
    if (err == 0 && !ret->knows_ours)
        err = delta_gather(&s->base->tree, &s->ours->tree, s->own, ret->interrupted, &ret->ours);
    if (err == 0 && !ret->knows_ours)
        err = merge_twins_find(&k);
    return err < 0 ? err : make_plan(&k);
}

void merge_plan_release(struct merge_plan *m)
{
    for (size_t i = 0; i < m->name_count; i++)
        free(m->names[i].name);
    for (size_t i = 0; i < m->conflict_count; i++)
        free(m->conflicts[i].name);
    free(m->names);
    for (size_t i = 0; i < m->xattr_count; i++)
        free(m->xattrs[i].name);
    free(m->xattrs);
    free(m->inodes);
    free(m->links);
    free(m->dirs);
    free(m->conflicts);
    map64_release(&m->link_of);
    map64_release(&m->dir_of);
    merge_twins_release(&m->twins);
    delta_release(&m->theirs);
    if (!m->knows_ours)
        delta_release(&m->ours);
    *m = (struct merge_plan){.rule = m->rule,
                             .rules = m->rules,
                             .interrupted = m->interrupted,
                             .memory = m->memory,
                             .knows_ours = m->knows_ours,
                             .ours = m->ours};
}

struct merge_inode *merge_plan_inode(const struct merge_plan *m, uint64_t ino)
{
    size_t from = 0, to = m->inode_count; /* they are in the order of the delta */

    while (from < to) {
        size_t at = from + (to - from) / 2;

        if (m->inodes[at].ino == ino)
            return &m->inodes[at];
        if (m->inodes[at].ino < ino)
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

/* Bytes of one operation that puts an item of the usual length, of one that puts a name, and of all
 * that moves the items of an inode. */
#define PUT_BYTES (OP_HEAD_MAX + INODE_ITEM_MAX + 16)
#define NAME_BYTES (OP_HEAD_MAX + DIRENT_ITEM_MAX + COUNTER_ITEM_LEN + OP_HEAD_MAX)
#define ITEMS_BYTES ((size_t)5 * (9 * OP_HEAD_MAX + 1024 + PUT_BYTES))

/* The most that the change of one inode takes. A new file that is one object is one item. */
static size_t bytes_of_inode(const struct merge_plan *m, const struct merge_inode *i)
{
    const struct delta_inode *t = delta_find(&m->theirs, i->ino);
    const struct inode *in = &t->at[DELTA_B];

    if (i->is_new && !i->left && !in->flags && !S_ISLNK(in->mode))
        return PUT_BYTES;
    return PUT_BYTES + ITEMS_BYTES + (i->left ? RENEW_ROOM + ITEMS_BYTES : 0);
}

size_t merge_plan_bytes(const struct merge_plan *m)
{
    size_t bytes = 6 * (size_t)NS_RECORD_MAX + (size_t)64 * OP_HEAD_MAX;

    for (size_t i = 0; i < m->inode_count; i++)
        bytes += bytes_of_inode(m, &m->inodes[i]);
    for (size_t i = 0; i < m->xattr_count; i++)
        bytes += 4 * OP_HEAD_MAX + 2 * COUNTER_ITEM_LEN + m->xattrs[i].bytes;
    for (size_t i = 0; i < m->link_count; i++) /* one that loses a name may be removed */
        bytes += PUT_BYTES + (m->links[i].minus ? ADOPT_ROOM + ITEMS_BYTES : 0);
    return bytes + 2 * NAME_BYTES * m->name_count + PUT_BYTES * m->dir_count;
}
