// SPDX-License-Identifier: Apache-2.0
/*
 * chain_find: what stands at a place of a chain, and which epoch or segment is the last one. It
 * asks for names alone and lists nothing: numbers have no gaps.
 *
 * Each function writes the name that it has asked for last to `name`, for a sentence.
 */
#pragma once

#include "chain.h"

/* Who asks. */
struct chain_find {
    struct shard *shard; /* borrowed */
    uint32_t lineage;
    char name[ARCHIVE_NAME_MAX + 1];
};

/* The texts of a claim and of a terminator there. Both return the length. */
size_t chain_claim_encode(uint32_t lineage, uint64_t epoch, const struct archive_claim *who,
                          char out[ARCHIVE_TEXT_MAX]);
size_t chain_end_encode(uint32_t lineage, struct segment_pos pos, char out[ARCHIVE_TEXT_MAX]);

enum chain_kind {
    CHAIN_SEGMENT,
    CHAIN_END, /* a terminator */
};

/* What these bytes of a place are, of which there are `len`, or more if len > ARCHIVE_TEXT_MAX.
 * -EUCLEAN, -EPROTO. */
int chain_kind_of(const void *bytes, size_t len, uint32_t lineage, struct segment_pos pos,
                  enum chain_kind *ret_kind);
/* What stands there? -ENOENT. One request. */
int chain_look(struct chain_find *f, struct segment_pos pos, enum chain_kind *ret_kind);
/* The last epoch that is claimed; 0: none. `hint` as in chain_init. */
int chain_last_epoch(struct chain_find *f, uint64_t hint, uint64_t *ret_epoch);
/* The last serial of an epoch that has serial 1: of a segment, or of the terminator. `hint`: a
 * serial that there was, or 0. */
int chain_last_serial(struct chain_find *f, uint64_t epoch, uint64_t hint, uint64_t *ret_serial);
/* Walks down from `from`, until an epoch has a first segment: *ret_begun, 0 if none has. *ret_open
 * is the lowest epoch above it where nothing stood yet, or from + 1 if all were ended. */
int chain_last_begun(struct chain_find *f, uint64_t from, uint64_t *ret_begun, uint64_t *ret_open);
