// SPDX-License-Identifier: Apache-2.0
/*
 * chain: one history in an archive, which never has two writers.
 *
 * A history (a lineage) is a sequence of epochs 1, 2, 3 …, and each epoch is a sequence of segments
 * 1, 2, 3 … of one writer. An ended epoch has a terminator behind its last segment. This module
 * does not know what is in a segment.
 *
 *     chain_init(&c, shard, lineage, &who, 0)
 *     chain_claim(&c, &end, why)          a new epoch; the history before it ends at `end`
 *     chain_put(&c, bytes, len) ...       its segments, in order
 *
 *     struct segment_pos pos = {0};         whoever reads needs no right to write
 *     while ((n = chain_next(shard, lineage, &pos, &bytes)) > 0) ...
 *
 * Why there is one writer. All names are put if they are absent, and nothing is replaced or deleted
 * here. A claimant takes the next number of an epoch, and then ends every earlier epoch: it puts
 * the terminator at the next serial. An older writer that wakes, however late, finds that its next
 * name is taken: by the terminator. It is fenced. So when a claim has succeeded, nothing can be put
 * into any earlier epoch any more, and no other writer puts a segment into the new one. No clock
 * takes part.
 *
 * Two orders of the claimant matter. It ends epochs after its claim, since only then no other
 * epoch can come in between. And it ends them in ascending order: whoever finds a terminator then
 * knows that all earlier epochs have theirs. The functions here do not rely on that: they look on
 * until they find an epoch that was begun. Its writer had ended all before, in whatever order. But
 * it makes what is ended a beginning of the history at every moment, so a reader that follows
 * never sees an epoch end before an earlier one. (tests/archive/chain_model.c tries both orders, in
 * all interleavings. Descending is safe for claims as they are here. For claims that stop at the
 * first terminator it is not: a claimant ends epoch 2 and stops; the next one finds that, and
 * begins epoch 4 while the writer of epoch 1 goes on.)
 *
 * Who deletes segments that are not needed any more (a prune) leaves the claims, the terminators,
 * the first segment of every epoch, and all segments of the last epoch that has any. Else an epoch
 * looks as if it had ended earlier, or had not begun, and its writer would not be fenced. A
 * claimant that sleeps for longer than such a deletion may put a terminator where a segment was
 * deleted. It does no harm: whoever slept so long finds its own epoch ended.
 *
 * Errors: 0 or -errno, those of the shard, and
 *   -EUCLEAN       what stands there is damaged, cut, or of another place. It is never taken for
 *                  absent
 *   -EPROTO        a newer program has put the terminator
 *   -EKEYREVOKED   fenced: another claimant has ended this epoch
 *
 * Threads: a struct chain has one user at a time, and no lock. The functions that take a shard
 * may be called by any thread.
 */
#pragma once

#include "archive_text.h"
#include "shard.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A place in a history is a struct segment_pos. Serial 0 is the place before the first segment of
 * that epoch, and {0, 0} that before the whole history. */

/* The fields are private, but for these: `epoch`, 0 until a number is known, and `serial` of the
 * last segment that was put, 0 if there is none. */
struct chain {
    struct shard *shard; /* borrowed */
    uint32_t lineage;
    struct archive_claim who; /* its lineage and epoch are not used */
    uint64_t hint;
    uint64_t epoch, serial;
    bool claimed; /* `epoch` is ours */
    bool ready;   /* and every earlier one is ended */
    bool fenced;
    bool unknown; /* a put of the next segment failed: it may be there */
    size_t unknown_len;
    uint64_t unknown_sum;
};

/* `who` claims: its token is random, and no other claim was ever made with it; the texts are for
 * people. `hint`: an epoch that there was, or 0. It saves requests. */
void chain_init(struct chain *c, struct shard *s, uint32_t lineage, const struct archive_claim *who,
                uint64_t hint);

/* Claims a new epoch, and ends all earlier ones. *ret_end is the last segment of the history before
 * ours, {0, 0} if there is none. After an error `why` has a sentence, and the caller may call it
 * again: it goes on with the number that it has tried, and so finds a claim whose answer was lost.
 * The number of requests grows with the logarithm of the number of epochs and of segments, and with
 * the number of epochs without a segment at the end of the history. It waits for a writer that puts
 * segments all the time only as long as that one is quicker again and again. */
int chain_claim(struct chain *c, struct segment_pos *ret_end, char why[SHARD_WHY]);

/* Puts the next segment. 0: it is a part of the history for ever. -EKEYREVOKED: this writer is
 * fenced; so is every later call, without a request. -EINVAL: the bytes are none, or begin like a
 * terminator; -EFBIG: they are more than SHARD_PACK_MAX. After any other error the segment may or
 * may not be there, now or later: the caller calls it again with the very same bytes, until it
 * knows. Other bytes are a mistake of the program, which ends it. */
int chain_put(struct chain *c, const void *bytes, size_t len);

/* Reads a segment. Returns its length, at least 1; the caller frees *ret_bytes. -ENOENT: there is
 * none, or none yet. -ENODATA: the terminator stands there. */
ssize_t chain_get(struct shard *s, uint32_t lineage, struct segment_pos pos, void **ret_bytes);
/* Reads the segment that follows *pos in the history, and moves *pos there. It goes on in the next
 * epoch where one ends. -ENOENT: there is none yet, or it was pruned (chain_last then finds a later
 * one). After any error *pos may have moved over the ends of epochs, so that the next call asks
 * once. */
ssize_t chain_next(struct shard *s, uint32_t lineage, struct segment_pos *pos, void **ret_bytes);
/* Finds the last segment that the history had at some moment during the call; {0, 0}: none. `hint`:
 * one that there was, or {0, 0}. */
int chain_last(struct shard *s, uint32_t lineage, struct segment_pos hint,
               struct segment_pos *ret_pos);
