// SPDX-License-Identifier: Apache-2.0
/*
 * ahead: work whose results are taken in the order in which it was given, and that threads do
 * meanwhile.
 *
 *     ahead_open(fn, ctx, &a);
 *     while (something is left or ahead_count(a) > 0)
 *         if (something is left and ahead_has_room(a))
 *             ahead_give(a, work);
 *         else
 *             work = ahead_take(a);
 *
 * One thread gives and takes. Without threads the work is done when it is taken.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct ahead_queue;
typedef void ahead_fn(void *work, void *ctx);

int ahead_open(ahead_fn *fn, void *ctx, struct ahead_queue **ret_a); /* -ENOMEM */
/* The queue is empty, or the work that is left needs no end. NULL is fine. */
void ahead_close(struct ahead_queue *a);
bool ahead_has_room(const struct ahead_queue *a);
size_t ahead_count(const struct ahead_queue *a);
void ahead_give(struct ahead_queue *a, void *work);
/* The oldest work, which is done. */
void *ahead_take(struct ahead_queue *a);
