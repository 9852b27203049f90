// SPDX-License-Identifier: Apache-2.0
/*
 * archive_follower: a second store in memory, which follows the archive of another one. A failure
 * ends the program. Threads: one.
 */
#pragma once

#include "clock.h"

struct state;

void follower_begin(const char *url, const struct clock *clock); /* an archive is there */
/* Applies all that there is. */
void follower_go(void);
/* The daemon dies, and is started again. */
void follower_die(void);
struct state *follower_state(void);
/* Segments that were applied, and how often one was not enough, since the begin. */
void follower_counts(unsigned long long *ret_segments, unsigned long long *ret_afresh);
/* It is closed, and checked offline. */
void follower_end(void);
