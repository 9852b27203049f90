// SPDX-License-Identifier: Apache-2.0
/* merge_tell: what the kernel is told after a merge. */
#pragma once

#include "merge_plan.h"

/* Makes the kernel forget what it has of all that was changed. Of a file that was left to those who
 * have it open it keeps the bytes, and forgets all names. These are found in the tree; if the file
 * was not made soon after its directory, that takes a walk over the tree (ino_names.h). A name that
 * cannot be found for want of memory is reported: the kernel may go on showing the old file there.
 * The caller holds no lock. */
void merge_tell(struct state *p, struct ns *ours, const struct merge_plan *m);
