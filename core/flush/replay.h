// SPDX-License-Identifier: Apache-2.0
/*
 * replay: the frames of the log, done again after a start (DESIGN 4.6): onto the trees, counts and
 * contents that the last commit has, in order, until they are what they were.
 *
 * While it runs nothing is collected, sealed or deleted: a frame may name a number that is at zero
 * just now. Buffers come out of the frames; what is in slots is opened by load_slots afterwards,
 * when it is known how long each is. Nothing is logged.
 *
 * Errors: -EUCLEAN a frame, or what it wants to change, is not as it must be: reported with
 * segment, offset and sequence number.
 */
#pragma once

#include "log.h"

struct state;
struct store_record;

/* What the log has behind the commit `s`. */
int replay_log(struct state *p, const struct store_record *s, struct log_report *ret);
/* One frame (tests). */
int replay_frame(struct state *p, const struct log_frame *f);
