// SPDX-License-Identifier: Apache-2.0
/*
 * gone: inodes that are in no tree any more while the kernel still has them: the working
 * directory of a process that was removed, a fifo that is open (the kernel does not tell us), what
 * an O_PATH descriptor names. On other filesystems they can be looked at and changed as before,
 * with a link count of 0; so their last attributes are kept, in memory only, until the kernel
 * forgets them. What has bytes to keep is an orphan instead (vnodes.c).
 *
 * Bounded: beyond FORGOTTEN_MAX an inode is not kept, and answers -ESTALE.
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

/* Where `nodeid` hangs, or would: a pointer to NULL. */
static struct forgotten **find(struct state *p, uint64_t nodeid)
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
    struct forgotten **g = find(p, nodeid);

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
    struct forgotten *g = *find(p, nodeid);

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
    struct forgotten **at = find(p, nodeid), *g = *at;

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
