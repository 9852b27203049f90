// SPDX-License-Identifier: Apache-2.0
/* vfs_change: how each change of a namespace begins. */
#include "flush.h"
#include "io.h"
#include "vfs.h"
#include "vfs_impl.h"
#include <errno.h>

/* Find the namespace of `nodeid`, and check whether it may be changed. *ret is referenced also
 * after an error, and NULL only if there is no such namespace: txn_end gives it back. */
static int find_ns(struct state *p, uint64_t nodeid, struct ns **ret)
{
    int err = ns_get(p, vfs_node_ns(nodeid), ret);

    if (err < 0) {
        *ret = NULL;
        return err;
    }
    return (*ret)->target ? -ENOTDIR : ns_is_fixed(*ret) ? -EROFS : state_writable(p);
}

/* Begin a change: wait for memory, look for room on the disk (not for a removal, which frees
 * space), reserve room in the log, take the freeze lock. The namespace is looked up last: the
 * freeze lock keeps it from being frozen or dropped after that. */
static int begin_change(struct state *p, uint64_t nodeid, struct txn *ret, bool removal)
{
    int err = state_writable(p);

    if (err == 0)
        err = flush_throttle(p);
    if (err == 0 && !removal)
        err = flush_room(p);
    if (err == 0 || (removal && io_is_full(err)))
        err = txn_begin(p, removal ? 0 : 2 * XATTR_VALUE_MAX, ret); /* room for both ACLs that a
                                                                     * new inode may inherit */
    return err < 0 ? err : find_ns(p, nodeid, &ret->ns);
}

int change_begin(struct state *p, uint64_t nodeid, struct txn *ret)
{
    return begin_change(p, nodeid, ret, false);
}

int change_begin_removal(struct state *p, uint64_t nodeid, struct txn *ret)
{
    return begin_change(p, nodeid, ret, true);
}
