// SPDX-License-Identifier: Apache-2.0
/*
 * archive_last: what an archive has last, as it says itself, of a namespace or of the store.
 *
 * Threads: any; the caller holds no lock and may wait. Errors: 0 or -errno, with a sentence in
 * `why` where there is more to say: -ENOENT there is nothing; -EUCLEAN; those of the shard.
 */
#pragma once

#include "archive_read.h"
#include "strbuf.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct state;

struct archive_last {
    struct segment_pos at; /* the segment */
    uint64_t seq;          /* number of the last change in it: of the namespace, or of the store */
    int64_t time;          /* of its instant */
};

/* The namespaces that there were then, and the number of the last change that the archive has. The
 * caller releases *ret, also after an error. */
int archive_last_names(struct state *p, uint16_t archive, struct archive_names *ret,
                       uint64_t *ret_seq);
/* `name` of a namespace; NULL: of the store. */
int archive_last(struct state *p, uint16_t archive, const char *name,
                 const _Atomic bool *interrupted, struct archive_last *ret, struct strbuf *why);
