// SPDX-License-Identifier: Apache-2.0
/*
 * forgotten_attrs: inodes that are in no tree any more while the kernel still has them. Examples
 * are a removed directory that is the working directory of a process, an open fifo (the kernel does
 * not report its open to us), and what an O_PATH descriptor names. On other filesystems they can be
 * looked at and changed as before, with a link count of 0. So their last attributes are kept, in
 * memory only, until the kernel forgets them. An inode that has bytes to keep is an orphan instead
 * (vnodes.c).
 *
 * Limits: when FORGOTTEN_MAX are kept, a further inode is not kept, and answers -ESTALE.
 */
#include "forgotten_attrs.h"
#include "state.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct forgotten {
    uint64_t nodeid;
    struct inode in;
    struct forgotten *next;
};

/* The pointer to the entry of `nodeid`, or to the NULL where it would be. */
static struct forgotten **find_forgotten(struct state *p, uint64_t nodeid)
{
    struct forgotten **g = &p->forgotten.bucket[nodeid % FORGOTTEN_BUCKETS];

    mutex_held(&p->forgotten.lock);
    while (*g && (*g)->nodeid != nodeid)
        g = &(*g)->next;
    return g;
}

void forgotten_attrs_keep(struct state *p, uint64_t nodeid, const struct inode *in)
{
    MUTEX_GUARD(&p->forgotten.lock);
    struct forgotten **g = find_forgotten(p, nodeid);

    if (!*g && atomic_load(&p->forgotten.count) < FORGOTTEN_MAX) {
        *g = calloc(1, sizeof **g);
        if (*g)
            atomic_fetch_add(&p->forgotten.count, 1);
    }
    if (!*g)
        return;
    (*g)->nodeid = nodeid;
    (*g)->in = *in;
    /* Its content and its extended attributes went with its items. */
    (*g)->in.object = (*g)->in.valid = 0;
    (*g)->in.flags = 0;
}

int forgotten_attrs_load(struct state *p, uint64_t nodeid, struct inode *ret)
{
    if (atomic_load(&p->forgotten.count) == 0)
        return -ESTALE;
    MUTEX_GUARD(&p->forgotten.lock);
    struct forgotten *g = *find_forgotten(p, nodeid);

    if (!g)
        return -ESTALE;
    *ret = g->in;
    return 0;
}

void forgotten_attrs_forget(struct state *p, uint64_t nodeid)
{
    if (atomic_load(&p->forgotten.count) == 0)
        return;
    MUTEX_GUARD(&p->forgotten.lock);
    struct forgotten **at = find_forgotten(p, nodeid), *g = *at;

    if (!g)
        return;
    *at = g->next;
    free(g);
    atomic_fetch_sub(&p->forgotten.count, 1);
}

void forgotten_attrs_release(struct state *p)
{
    for (size_t i = 0; i < FORGOTTEN_BUCKETS; i++) {
        while (p->forgotten.bucket[i]) {
            struct forgotten *g = p->forgotten.bucket[i];
            p->forgotten.bucket[i] = g->next;
            free(g);
        }
    }
}
