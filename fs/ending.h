// SPDX-License-Identifier: Apache-2.0
/*
 * ending: how a mount ends: by a signal, by umount, or because the store asked for it.
 *
 *     ending_start(fs, &e)       mounted; the signals of ending_signals() are blocked everywhere
 *     … libfuse's loop …
 *     ending_left_loop(e)        whatever made it end
 *     … unmount …
 *     ending_unmounted(e)
 *     flush_drain
 *     ending_let_go(e)
 *     store_close
 *     ending_stop(e)
 *
 * SIGTERM, SIGINT and SIGHUP belong to one thread. The first one interrupts the calls that wait,
 * and ends the loop once they have answered, at the latest after ENDING_CALLS seconds: what they
 * wait for may be requests that the loop serves (apart.h). From then on, or from umount on, it
 * tells about once a second how much work is left, if that has changed. The second one forces the
 * end: everything is dropped in place and the process gone at once, as if killed, but takes its
 * mount along; the next mount replays the log, so that nothing is lost which a call had returned
 * for. Work that has not moved for ENDING_PATIENCE seconds forces it, too: nothing keeps the daemon
 * for ever.
 */
#pragma once

#include "mount.h"

#include <signal.h>

#define ENDING_PATIENCE 600
#define ENDING_CALLS 10

struct ending;

/* The signals to be blocked in all threads before the first of them starts. */
void ending_signals(sigset_t *ret);
int ending_start(struct fs *fs, struct ending **ret_e);
void ending_left_loop(struct ending *e);
void ending_unmounted(struct ending *e);
/* From now on neither the state nor the session is touched. */
void ending_let_go(struct ending *e);
/* Ends the thread and frees. NULL is fine. */
void ending_stop(struct ending *e);

/* End the mount as a signal would. Any thread, whatever it holds. */
void ending_ask(struct ending *e);
