// SPDX-License-Identifier: Apache-2.0
/* tree_impl: what the files of the tree share. */
#pragma once

#include "tree.h"

/* Unpin the pages of a path. */
void tree_path_release(const struct tree *t, struct tree_step *step, unsigned depth);
