// SPDX-License-Identifier: Apache-2.0
/*
 * restore_pin: keeps what a restore needs (ns_restore.h has the part that others call).
 *
 * Threads: any. Errors: 0 or -errno, those of the shard, and -ESTALE: something was given up since
 * the catalogue was read.
 */
#pragma once

#include "archive_text.h"
#include "ns_restore.h"
#include "shard.h"

/* Fills what a pin of this store has in common; it has no places. */
void restore_pin_init(struct state *p, uint32_t lineage, struct archive_pin *ret);
/* Puts it, for a reader that has read that catalogue. 1: it is there, and the catalogue is the last
 * one. 0: there is no right to write, which was reported. */
int restore_pin_put(struct shard *s, struct archive_pin *pin, uint32_t catalogue);
/* Ends it. */
int restore_pin_end(struct state *p, uint16_t archive, const uint8_t token[ARCHIVE_TOKEN_LEN]);

/* A restore runs from now on, until restore_end. Without a pin it must have been planned by the
 * last catalogue: whatever that one gives up, or a later one, is not deleted meanwhile by this
 * store. */
int restore_begin(struct state *p, const struct restore_plan *plan, struct strbuf *why);
void restore_end(struct state *p, const struct restore_plan *plan);
