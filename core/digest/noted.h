// SPDX-License-Identifier: Apache-2.0
/*
 * noted: digests of trees that are known, and need not be made again. What does not change any more
 * (a snapshot, the base of a branch) has its digest in its record once it was made.
 *
 * A digest that was noted is taken for true: who builds on it compares the digest of what comes of
 * it (image/receive.h).
 *
 * Threads: any; the caller holds no lock, and has references on namespaces that it gives.
 */
#pragma once

#include "digest.h"
#include "strbuf.h"

/* The digest of a whole namespace, as digest_tree; that which was noted, if there is one, and else
 * it is noted where the tree does not change any more. `tree` has the same tree, and is read. */
int digest_known(struct state *p, struct ns *ns, struct ns *tree, digest_progress_fn *progress,
                 void *ctx, uint8_t ret[SHA256_LEN]);
/* Notes the digest of a namespace that does not change any more. -EINVAL: it does. What
 * txn_begin_alone returns; -ENOMEM, -ENOSPC. */
int digest_note(struct state *p, struct ns *ns, const uint8_t sum[SHA256_LEN]);
/* Adds a line for each that was noted: digest HEX NS@NAME. */
void digest_list_noted(struct state *p, struct strbuf *out);
/* Finds, of what is kept of the namespace `of`, what was last and has one of these digests noted.
 * With a reference. -ENOENT */
int digest_find_among(struct state *p, struct ns *of, const uint8_t (*sums)[SHA256_LEN],
                      size_t count, struct ns **ret_ns);
/* Finds a namespace of which that digest was noted, with a reference. -ENOENT */
int digest_find_noted(struct state *p, const uint8_t sum[SHA256_LEN], struct ns **ret_ns);
