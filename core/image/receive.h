// SPDX-License-Identifier: Apache-2.0
/*
 * receive: the beginning and the end of a stream that another store sent: what it is a difference
 * to, and whether what came of it is what was sent.
 *
 * A namespace that was received has a snapshot RECEIVE_SNAPSHOT, whose digest is noted: so the next
 * difference finds its base, whatever is done with the namespace.
 *
 * Errors: 0 or -errno, with a sentence in `why` where the errno does not say it. Threads: any; the
 * caller holds no lock, and may wait.
 */
#pragma once

#include "digest.h"
#include "image.h"
#include "strbuf.h"

#define RECEIVE_SNAPSHOT "received"

/* Makes the draft `name` that the stream with this BASE begins with: an empty one, or one with the
 * tree of the base. That is `spec` (ns_find.h), or if that is NULL a snapshot of which the digest
 * was noted. -ENOENT: there is none with that digest; what ns_draft and digest_known return.
 * `progress`: of the digest of `spec`, which may have to be made. */
int receive_begin(struct state *p, const struct image_record *base, const char *spec,
                  const char *name, digest_progress_fn *progress, void *ctx, struct ns **ret_draft,
                  struct strbuf *why);
/* Has the draft that digest? -EBADMSG: it has another one. */
int receive_check(struct state *p, struct ns *draft, const uint8_t digest[SHA256_LEN],
                  digest_progress_fn *progress, void *ctx, struct strbuf *why);
/* Makes the snapshot of a namespace that was received, and notes the digest, unless the namespace
 * was changed since the change `seq`. */
int receive_keep(struct state *p, struct ns *ns, uint64_t seq, const uint8_t digest[SHA256_LEN]);
/* Adds the digest in hexadecimal digits. */
void receive_add_digest(struct strbuf *b, const uint8_t digest[SHA256_LEN]);
