// SPDX-License-Identifier: Apache-2.0
/*
 * ending: how a mount ends: by a signal, by umount, or because the store asked for it.
 *
 *     ending_start(fs, &e)       mounted; the signals of ending_signals() are blocked everywhere
 *     … libfuse's loop …
 *     ending_left_loop(e)        for any reason
 *     … unmount …
 *     ending_unmounted(e)
 *     flush_drain
 *     ending_let_go(e)
 *     store_close
 *     ending_stop(e)
 *
 * One thread takes SIGTERM, SIGINT and SIGHUP. The first signal interrupts the calls that wait. It
 * ends the loop once they have answered, at the latest after ENDING_CALLS seconds: some of them
 * wait for requests that the loop serves (apart.h), so the loop cannot end before them. From then
 * on, or from umount on, the thread looks once a second how much work is left, and reports it if it
 * has changed.
 *
 * The second signal forces the end: the process exits at once, as if it were killed, but starts the
 * unmount of its mounts. The next mount replays the log, so nothing is lost for which a system
 * call has returned. The end is also forced if the work that is left has not changed for
 * ENDING_PATIENCE seconds, so that nothing keeps the daemon for ever.
 */
#pragma once

#include "mount.h"

#include <signal.h>

#define ENDING_PATIENCE 600 /* seconds */
#define ENDING_CALLS 10     /* seconds */

struct ending;

/* The signals that are blocked in all threads. The mask is set before the first thread starts. */
void ending_signals(sigset_t *ret);
/* Starts the thread. The caller is the thread that will run the loop. 0 or -errno. */
int ending_start(struct fs *fs, struct ending **ret_e);
/* The loop has ended. If no signal was the reason, the end of the mount begins here. */
void ending_left_loop(struct ending *e);
/* The mount is gone: a forced end need not unmount it any more. */
void ending_unmounted(struct ending *e);
/* After this call the thread uses neither the store nor the session, so that they can be closed. */
void ending_let_go(struct ending *e);
/* Ends the thread and frees `e`. NULL is fine. */
void ending_stop(struct ending *e);

/* Ends the mount as the first signal would. Any thread, with any locks held. */
void ending_ask(struct ending *e);
