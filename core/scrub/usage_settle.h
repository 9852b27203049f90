// SPDX-License-Identifier: Apache-2.0
/*
 * usage_settle: corrects what the inodes of each namespace take (struct usage) in a store in use,
 * by a count of the namespace's committed tree. A namespace from a version that did not count gets
 * its first count in this way. Changes since the commit are kept: the namespace remembers the
 * difference to what it was loaded with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct job;
struct kv_snap;
struct state;

/* Count the committed trees and correct the namespaces. `all`: also namespaces that have a count. A
 * namespace that is damaged, or was made after the snapshot, stays as it is. *changed rises by the
 * number of namespaces that were wrong. -ECANCELED, -ENOMEM, -EIO, -EROFS. `j` may be NULL. Takes
 * the freeze lock (write) for short times: the caller holds no lock, and only one call runs at a
 * time. */
int usage_settle(struct state *p, struct job *j, struct kv_snap *snap, bool all,
                 uint64_t *changed);
