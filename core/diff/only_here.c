// SPDX-License-Identifier: Apache-2.0
/*
 * only_here: see the header. First the files that could be in no other namespace are collected:
 * what differs from a near one, or all. Then each of them is looked up in the others, of which the
 * near one is the first, until one has it.
 */
#include "only_here.h"
#include "array.h"
#include "delta.h"
#include "walk_live.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct file {
    uint64_t ino;
    uint32_t names;
};

struct search {
    struct state *p;
    struct ns *ns;
    const _Atomic bool *interrupted;
    struct ns **others; /* with references; the near one, if there is one, is the first */
    size_t count, room;
    bool has_near;
    struct file *files;
    size_t file_count, file_room;
    bool cut;     /* there are files that were not collected */
    size_t looks; /* items that may still be compared */
};

/* ---- the others ---- */

static int add_other(struct search *s, struct ns *ns)
{
    if (ARRAY_RESERVE(s->others, s->room, s->count + 1) < 0)
        return -ENOMEM;
    atomic_fetch_add(&ns->refs, 1);
    s->others[s->count++] = ns;
    return 0;
}

/* Makes the last one the near one, unless there is one. */
static void be_near(struct search *s)
{
    struct ns *last = s->others[s->count - 1];

    if (s->has_near)
        return;
    s->others[s->count - 1] = s->others[0];
    s->others[0] = last;
    s->has_near = true;
}

static int add_base(struct search *s)
{
    struct ns_instant base;
    struct ns *ns;
    int err;
    {
        READ_GUARD(&s->p->names.lock);
        base = s->ns->base;
    }
    if (!base.ns || ns_get_hidden(s->p, NS_ORIGIN, &base, NULL, &ns) < 0)
        return 0;
    err = add_other(s, ns);
    ns_put(s->p, ns);
    if (err == 0)
        be_near(s);
    return err;
}

/* Collects the namespaces of the root. The origin may be the near one. */
static int add_root(struct search *s)
{
    READ_GUARD(&s->p->names.lock);

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (struct ns *ns = s->p->names.by_name[i]; ns; ns = ns->by_name_next) {
            int err = ns == s->ns || ns->target ? 0 : add_other(s, ns);

            if (err < 0)
                return err;
            if (ns != s->ns && !ns->target && ns_is_of(&s->ns->origin, ns))
                be_near(s);
        }
    return 0;
}

/* Otherwise one that was made of this one is. */
static void find_branch(struct search *s)
{
    for (size_t i = 0; i < s->count && !s->has_near; i++)
        if (ns_is_of(&s->others[i]->origin, s->ns)) {
            struct ns *first = s->others[0];

            s->others[0] = s->others[i];
            s->others[i] = first;
            s->has_near = true;
        }
}

static int collect_others(struct search *s)
{
    int err = add_base(s);

    if (err == 0)
        err = add_root(s);
    find_branch(s);
    return err;
}

/* ---- the files ---- */

static int add_file(struct search *s, uint64_t ino, const struct inode *in)
{
    if (ino == NS_ROOT_INO)
        return 0;
    if (ARRAY_RESERVE(s->files, s->file_room, s->file_count + 1) < 0)
        return -ENOMEM;
    s->files[s->file_count++] = (struct file){ino, S_ISDIR(in->mode) ? 1 : in->nlink};
    return 0;
}

/* Collects what differs from the near one. -E2BIG: too much does. */
static int collect_changed(struct search *s)
{
    struct diff_room room = {.left = ONLY_HERE_MEMORY};
    struct delta d = DELTA_INIT(&room);
    struct ns *near = s->others[0];
    int err;

    ns_rdlock_two(near, s->ns);
    err = delta_gather(&near->tree, &s->ns->tree, 0, s->interrupted, &d);
    ns_rdunlock_two(near, s->ns);
    for (size_t i = 0; i < d.count && err == 0; i++)
        if (d.inodes[i].in[DELTA_B])
            err = add_file(s, d.inodes[i].ino, &d.inodes[i].at[DELTA_B]);
    delta_release(&d);
    return err;
}

/* One item of a walk over all. 1: that is enough. */
static int take_item(struct key k, const void *val, size_t len, void *ctx)
{
    struct search *s = ctx;
    struct inode in;

    if (s->looks == 0)
        return 1;
    s->looks--;
    if (key_type(k) != ITEM_INODE || inode_decode(val, len, &in) < 0)
        return 0;
    return add_file(s, key_ino(k), &in);
}

static bool is_interrupted(void *ctx)
{
    const struct search *s = ctx;

    return s->interrupted && atomic_load(s->interrupted);
}

static int pause_walk(void *ctx)
{
    return is_interrupted(ctx) ? -EINTR : 0;
}

/* Collects all files, as far as half of the looks go: the other half is for looking them up. */
static int collect_all(struct search *s)
{
    struct walk w = {WALK_LIVE(&s->ns->lock, &s->ns->tree), WALK_ALL, .fn = take_item,
                     .pause = pause_walk, .pause_ctx = s, .ctx = s};
    int err;

    s->looks = ONLY_HERE_LOOKS / 2;
    err = walk_items(&w);
    s->looks += ONLY_HERE_LOOKS / 2;
    s->cut = err == 1 || w.hidden;
    return err == 1 ? 0 : err;
}

/* ---- comparing ---- */

static bool same_object(struct search *s, uint64_t x, uint64_t y)
{
    return x == y || (x && y && refs_resolve(s->p->refs, x) == refs_resolve(s->p->refs, y));
}

static bool same_inode(struct search *s, const struct inode *x, const struct inode *y)
{
    return x->mode == y->mode && x->uid == y->uid && x->gid == y->gid && x->rdev == y->rdev &&
           x->btime == y->btime && (S_ISDIR(x->mode) || x->size == y->size) &&
           x->valid == y->valid && same_object(s, x->object, y->object);
}

/* Are the values equal, but for one object being an alias of the other? */
static bool same_value(struct search *s, struct key k, const void *x, size_t xlen, const void *y,
                       size_t ylen)
{
    uint8_t copy[PAGE_VALUE_MAX];
    uint64_t object;

    if (xlen != ylen || xlen > sizeof copy)
        return false;
    object = item_object(k, y, ylen);
    if (!object || !same_object(s, item_object(k, x, xlen), object))
        return !memcmp(x, y, xlen);
    memcpy(copy, x, xlen);
    item_set_object(k, copy, xlen, object);
    return !memcmp(copy, y, ylen);
}

/* Is the cursor at an item of the inode, after a step that returned `err`? */
static bool is_at(const struct tree_cursor *c, uint64_t ino, int err)
{
    return err == 0 && key_ino(tree_cursor_key(c)) == ino;
}

/* Compares the items where two cursors are. */
static bool same_item(struct search *s, const struct tree_cursor *x, const struct tree_cursor *y)
{
    struct key k = tree_cursor_key(x);
    size_t xlen, ylen;
    const void *xv = tree_cursor_value(x, &xlen), *yv = tree_cursor_value(y, &ylen);

    return key_compare(k, tree_cursor_key(y)) == 0 && same_value(s, k, xv, xlen, yv, ylen);
}

/* Are the items of the inode from `from` on equal in both trees? 1: yes, 0 or -errno. -E2BIG: there
 * are no looks left. */
static int same_items(struct search *s, const struct tree *a, const struct tree *b,
                      struct key from)
{
    struct tree_cursor x = TREE_CURSOR_INIT, y = TREE_CURSOR_INIT;
    uint64_t ino = key_ino(from);
    int xerr = tree_seek(a, from, &x), yerr = tree_seek(b, from, &y), same = 1;

    while (same > 0 && (is_at(&x, ino, xerr) || is_at(&y, ino, yerr))) {
        same = !is_at(&x, ino, xerr) || !is_at(&y, ino, yerr) ? 0
               : s->looks == 0                                ? -E2BIG
                                                              : same_item(s, &x, &y);
        if (same <= 0)
            break;
        s->looks--;
        xerr = tree_next(&x);
        yerr = tree_next(&y);
    }
    tree_cursor_end(&x);
    tree_cursor_end(&y);
    if (xerr < 0 && xerr != -ENOENT)
        return xerr;
    return yerr < 0 && yerr != -ENOENT ? yerr : same;
}

static int load(const struct tree *t, uint64_t ino, struct inode *ret)
{
    uint8_t buf[INODE_ITEM_MAX];
    size_t len;
    int err = tree_get(t, key_make(ino, ITEM_INODE, 0), buf, sizeof buf, &len);

    return err < 0 ? err : inode_decode(buf, len, ret);
}

/* Has the other tree the file in the same version? 1: yes, 0 or -errno. -E2BIG as above. */
static int same_file(struct search *s, const struct tree *mine, const struct tree *other,
                     uint64_t ino)
{
    struct inode x, y;
    int err;

    if (s->looks == 0)
        return -E2BIG;
    s->looks--;
    err = load(other, ino, &y);
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    err = load(mine, ino, &x);
    if (err < 0 || !same_inode(s, &x, &y))
        return err == -ENOENT ? 1 : err; /* a file that went meanwhile would not be lost */
    return same_items(s, mine, other,
                      key_make(ino, S_ISDIR(x.mode) ? ITEM_XATTR : ITEM_SYMLINK, 0));
}

/* Has any other namespace the file? 1: yes, 0 or -errno. */
static int is_elsewhere(struct search *s, uint64_t ino)
{
    int is = 0;

    for (size_t i = 0; i < s->count && is == 0; i++) {
        struct ns *other = s->others[i];

        ns_rdlock_two(other, s->ns);
        is = same_file(s, &s->ns->tree, &other->tree, ino);
        ns_rdunlock_two(other, s->ns);
    }
    return is;
}

/* ---- all of it ---- */

static int collect_files(struct search *s)
{
    int err = s->has_near ? collect_changed(s) : -E2BIG;

    if (err != -E2BIG)
        return err;
    s->file_count = 0;
    return collect_all(s);
}

/* Looks the files up. Those that the looks are not enough for are left out. */
static int look_up(struct search *s, struct only_here *ret)
{
    for (size_t i = 0; i < s->file_count; i++) {
        int is = is_interrupted(s) ? -EINTR : is_elsewhere(s, s->files[i].ino);

        if (is == -E2BIG) {
            ret->at_least = true;
            return 0;
        }
        if (is < 0)
            return is;
        ret->paths += is ? 0 : s->files[i].names;
    }
    return 0;
}

/* If there is no other namespace its own count of inodes says more than a part of them. */
static void count_all(struct search *s, struct only_here *ret)
{
    READ_GUARD(&s->ns->lock);
    uint64_t all = s->ns->counted && s->ns->tree.usage.inodes ? s->ns->tree.usage.inodes - 1 : 0;

    if (s->count == 0 && s->cut && all > ret->paths)
        ret->paths = all;
}

int only_here_count(struct state *p, struct ns *ns, const _Atomic bool *interrupted,
                    struct only_here *ret)
{
    struct search s = {.p = p, .ns = ns, .interrupted = interrupted, .looks = ONLY_HERE_LOOKS};
    int err = collect_others(&s);

    *ret = (struct only_here){0};
    if (err == 0)
        err = collect_files(&s);
    if (err == 0)
        err = look_up(&s, ret);
    if (err == 0)
        count_all(&s, ret);
    ret->at_least |= s.cut;
    for (size_t i = 0; i < s.count; i++)
        ns_put(p, s.others[i]);
    free(s.others);
    free(s.files);
    return err;
}
