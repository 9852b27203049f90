// SPDX-License-Identifier: Apache-2.0
/* merge_size: see the header. It follows the steps of merge_apply.c and merge_aside.c. */
#include "merge_size.h"

#include "merge_twins.h"
#include "quota.h"
#include <errno.h>
#include <stdlib.h>

struct sizing {
    struct state *p;
    const struct tree *ours, *theirs;
    const struct ns *open_in; /* the namespace of which files may be open */
    const struct merge_plan *m;
    struct usage *sum;
};

static int usage_of(const struct tree *t, uint64_t ino, struct usage *ret)
{
    struct inode in;
    int err = inode_load(t, ino, &in);

    if (err == 0)
        *ret = inode_usage(&in);
    return err;
}

static int add_inode(const struct sizing *z, const struct merge_inode *i)
{
    struct usage ours = {0}, theirs = {0};
    int err = 0;

    if (i->is_new || i->content)
        err = usage_of(z->theirs, merge_twins_in_theirs(z->m, i->ino), &theirs);
    if (err == 0 && !i->is_new && i->content)
        err = usage_of(z->ours, i->ino, &ours);
    usage_add(z->sum, theirs);
    usage_take(z->sum, ours);
    return err;
}

/* An inode that loses its last name goes, but for one that is open: it is only moved. */
static int take_removed(const struct sizing *z, const struct merge_links *l)
{
    const struct merge_inode *i = merge_plan_inode(z->m, l->ino);
    struct inode in;
    struct usage u;
    int err = l->minus ? inode_load(z->ours, l->ino, &in) : -ESTALE;

    if (err < 0)
        return err == -ESTALE ? 0 : err;
    if (l->dir ? l->minus <= l->plus : in.nlink + l->plus != l->minus)
        return 0;
    if (vnode_is_open(z->p, ns_node_of(z->open_in, l->ino), false))
        return 0;
    u = inode_usage(&in);
    if (i && i->content)
        err = usage_of(z->theirs, merge_twins_in_theirs(z->m, l->ino), &u);
    usage_take(z->sum, u);
    return err;
}

/* Adds the difference that the plan makes. */
static int add_plan(const struct sizing *z)
{
    int err = 0;

    for (size_t i = 0; i < z->m->inode_count && err == 0; i++)
        err = add_inode(z, &z->m->inodes[i]);
    for (size_t i = 0; i < z->m->link_count && err == 0; i++)
        err = take_removed(z, &z->m->links[i]);
    return err;
}

/* Adds the copies of what is left to those who read it (merge_leave). */
static int add_left(struct state *p, const struct ns *ours, const struct merge_plan *m,
                    struct usage *sum)
{
    int err = 0;

    for (size_t i = 0; i < m->inode_count && err == 0; i++) {
        const struct merge_inode *in = &m->inodes[i];
        struct usage u = {0};

        if (in->left && !in->is_new && vnode_is_open(p, in->left, false))
            err = usage_of(&ours->tree, in->ino, &u);
        usage_add(sum, u);
    }
    return err;
}

int merge_size(struct state *p, const struct merge_sides *s, const struct merge_plan *m,
               struct usage *ret)
{
    const struct sizing z = {p, &s->ours->tree, &s->theirs->tree, s->ours, m, ret};
    int err;

    *ret = quota_used(s->ours);
    err = add_left(p, s->ours, m, ret);
    return err < 0 ? err : add_plan(&z);
}

/* Adds what is open in ours, is not in the result, and does not come with the rest. */
static int add_kept(struct state *p, const struct merge_aside *a, struct usage *sum)
{
    const struct ns *ours = a->put.ours;
    struct vnode_known *known;
    struct usage u;
    size_t count;
    int err = vnodes_known(p, ours, &known, &count);

    for (size_t i = 0; i < count && err == 0; i++) {
        const struct merge_inode *of_rest =
            a->now ? merge_plan_inode(&a->rest, known[i].ino) : NULL;

        if (known[i].orphan || (of_rest && of_rest->is_new))
            continue;
        err = usage_of(&a->made->tree, known[i].ino, &u);
        if (err == -ESTALE) {
            err = usage_of(&ours->tree, known[i].ino, &u);
            usage_add(sum, err == 0 ? u : (struct usage){0});
        }
    }
    free(known);
    return err;
}

int merge_size_aside(struct state *p, const struct merge_aside *a, const struct merge_plan *m,
                     struct usage *ret)
{
    const struct ns *ours = a->put.ours;
    int err;

    *ret = a->made->tree.usage;
    usage_add(ret, ours->unlinked);
    err = add_left(p, ours, m, ret);
    if (err == 0)
        err = add_kept(p, a, ret);
    if (err == 0 && a->now) {
        const struct sizing rest = {p, &a->made->tree, &a->now->tree, ours, &a->rest, ret};

        err = add_plan(&rest);
    }
    return err;
}
