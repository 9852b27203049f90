// SPDX-License-Identifier: Apache-2.0
/*
 * only_here: how many paths of a namespace are in no other one, and so would be lost with it.
 *
 * A path counts if no other namespace of the root, and not the base of this one, has its file in
 * the same *version*: the same inode, with the same type, mode, owner, size and contents (or device
 * or target) and the same extended attributes. Names, times and what is in a directory are no part
 * of it: who renames a file loses nothing. Contents are compared by the objects that they are
 * stored as, so a file that was copied elsewhere counts. A file with several names counts as often.
 * The top directory does not count.
 *
 * Only what differs from the base is looked at: or if no base is held, from the origin if it is in
 * the root, or else from a namespace in the root that was made of this one. Without any of these
 * all files are looked at. What is looked at is then looked up in every other namespace of the
 * root.
 *
 * Bounds: ONLY_HERE_LOOKS items are compared at most, and ONLY_HERE_MEMORY is used for what
 * differs. Where that is not enough the figure is what was found so far, and `at_least` is set.
 * The figure is of no instant: of what changes meanwhile, some is seen. A namespace in the trash
 * does not change.
 *
 * Threads: any; the caller has a reference on the namespace, and holds no lock. Errors: 0 or
 * -errno: -ENOMEM, -EINTR `interrupted` was set, -EIO, -EUCLEAN: a page is damaged, -ESTALE: it
 * was dropped.
 */
#pragma once

#include "state.h"

#define ONLY_HERE_LOOKS 65536
#define ONLY_HERE_MEMORY ((size_t)16 * 1024 * 1024)

struct only_here {
    uint64_t paths;
    bool at_least; /* there may be more */
};

/* `ns` is no symlink. `interrupted` may be NULL. */
int only_here_count(struct state *p, struct ns *ns, const _Atomic bool *interrupted,
                    struct only_here *ret);
