// SPDX-License-Identifier: Apache-2.0
/*
 * usage_settle: what the inodes of each namespace of a store in use take (struct usage) is made
 * what a count of its committed tree gives. A namespace from a version that did not count is
 * counted so for the first time; changes since the commit are in the difference that it was loaded
 * with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct job;
struct kv_snap;
struct state;

/* `all`: also of namespaces that are counted. One that is damaged, or was made after the snapshot,
 * stays as it is. *changed rises by how many were not right. -ECANCELED, -ENOMEM, -EIO, -EROFS. `j`
 * may be NULL. Takes the freeze lock (write) in short turns: call without locks; one call at a
 * time. */
int usage_settle(struct state *p, struct job *j, struct kv_snap *snap, bool all,
                 uint64_t *changed);
