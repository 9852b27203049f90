// SPDX-License-Identifier: Apache-2.0
/*
 * replay_slots: the writes to slots whose bytes are in their frames (contents.c). They cannot be
 * done again in their turn: a later write may have gone to the slot alone, and its bytes, which are
 * there already, must not be covered by older ones. So replay notes them first, and when the end of
 * the log is known does those that no later OP_CONTENT_SLOT follows. That one says that the slot
 * was, or will have been, synced with all that it had.
 *
 *     replay_slots_write, replay_slots_synced       as their operations come; `op` counts all
 *     replay_slots_apply                            reads the log again, and writes
 *
 * Memory: 32 bytes a slot that the log names. Errors: -EUCLEAN, -ENOMEM, those of the disk.
 * Threads: one.
 */
#pragma once

#include "frame.h"
#include "log.h"
#include "map64.h"

struct state;

struct replay_slots {
    uint64_t op;           /* operations so far */
    struct map64 synced;   /* number -> of its last OP_CONTENT_SLOT */
    struct map64 written;  /* number -> of the last write that its frame has the bytes of */
};

/* It is as long as this write makes it. -EUCLEAN: there is no such slot, or none so long. */
int replay_slots_write(struct replay_slots *s, struct state *p, const struct op *op);
int replay_slots_synced(struct replay_slots *s, uint64_t number);
/* After the last frame, before slots are opened. `scan`: what was replayed. Where they cannot be
 * written none of them is to be opened (contents.unwritten), and the store is read-only. After a
 * shortage (io_is_short), whose error is returned, it can be called again: the same is written. */
int replay_slots_apply(struct replay_slots *s, struct state *p, const struct log_scan *scan);
void replay_slots_release(struct replay_slots *s);
