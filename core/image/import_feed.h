// SPDX-License-Identifier: Apache-2.0
/*
 * import_feed: the bytes of a session wait here for a thread of their own, which works them off in
 * their order. So the next bytes are fetched from the kernel meanwhile.
 *
 *     import_feed_open(work, ctx, &f);
 *     err = import_feed_put(f, buf, len, false);     copied; worked off later
 *     err = import_feed_put(f, buf, len, true);      all has been worked off
 *     import_feed_close(f);
 *
 * At most IMPORT_FEED_PIECES wait; then a put waits for one of them. After an error of `work` what
 * waits is forgotten, and every later put and wait returns the error.
 *
 * Threads: one calls at a time; it holds no lock that `work` takes. The lock inside, "import feed",
 * is a leaf.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMPORT_FEED_PIECES 3 /* of any length; of a mount 1 MiB at most */

struct import_feed;

/* Works off some bytes. Called by the thread of the feed, which may wait. 0 or -errno. */
typedef int import_feed_fn(void *ctx, const uint8_t *buf, size_t len);

/* Starts the thread. -ENOMEM, -EAGAIN: there are too many threads. */
int import_feed_open(import_feed_fn *work, void *ctx, struct import_feed **ret_f);
/* Gives it a copy of the bytes, and with `wait` waits until all is worked off. -EWOULDWAIT: this
 * thread must not wait (nowait.h), and would have to; nothing was given. -ENOMEM */
int import_feed_put(struct import_feed *f, const uint8_t *buf, size_t len, bool wait);
/* Is there something that is not worked off? */
bool import_feed_is_busy(struct import_feed *f);
/* Waits until all is worked off. */
int import_feed_wait(struct import_feed *f);
/* Ends the thread; what it has not begun is forgotten. NULL is fine. */
void import_feed_close(struct import_feed *f);
