// SPDX-License-Identifier: Apache-2.0
/*
 * listed: a table of sets of LISTED_WAYS nodeids, 0: free. It is static: a process has one mount, and
 * what is never touched takes no memory.
 */
#include "listed.h"

static _Atomic uint64_t table[LISTED_SETS][LISTED_WAYS];

/* Inode numbers are given in order, so their low bits spread the directories of one tree. */
static size_t set_of(uint64_t nodeid)
{
    return (size_t)(vfs_node_ino(nodeid) + vfs_node_ns(nodeid) * UINT64_C(0x9e3779b1)) %
           LISTED_SETS;
}

/* Waits for a page of the listing at most, which is locked for as long as names are copied. */
static void forget_listing(struct fs *fs, uint64_t nodeid)
{
    (void)fuse_lowlevel_notify_inval_inode(fs->se, nodeid, 0, 0); /* -ENOENT: it has none */
}

static bool is_in(_Atomic uint64_t *set, uint64_t nodeid)
{
    for (unsigned i = 0; i < LISTED_WAYS; i++)
        if (atomic_load(&set[i]) == nodeid)
            return true;
    return false;
}

void listed_again(struct fs *fs, uint64_t nodeid)
{
    if (is_in(table[set_of(nodeid)], nodeid))
        forget_listing(fs, nodeid);
}

void listed_add(struct fs *fs, uint64_t nodeid)
{
    static _Atomic unsigned turn;
    _Atomic uint64_t *const set = table[set_of(nodeid)];
    if (is_in(set, nodeid))
        return;
    for (unsigned i = 0; i < LISTED_WAYS; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&set[i], &none, nodeid))
            return;
    }
    forget_listing(fs, atomic_exchange(&set[atomic_fetch_add(&turn, 1) % LISTED_WAYS], nodeid));
}

void listed_drop(struct fs *fs, uint32_t ns)
{
    for (size_t s = 0; s < LISTED_SETS; s++)
        for (unsigned i = 0; i < LISTED_WAYS; i++) {
            uint64_t nodeid = atomic_load(&table[s][i]);
            if (vfs_node_ns(nodeid) != ns || nodeid == 0)
                continue;
            forget_listing(fs, nodeid);
            atomic_compare_exchange_strong(&table[s][i], &nodeid, 0);
        }
}
