// SPDX-License-Identifier: Apache-2.0
/*
 * systemd: tells the service manager that the daemon lives: the protocol of sd_watchdog_enabled(3)
 * and sd_notify(3), of which only WATCHDOG=1 is needed.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct systemd;

/* Reads WATCHDOG_USEC, WATCHDOG_PID and NOTIFY_SOCKET. Where they ask this process for nothing the
 * other functions do nothing. -ENOMEM. */
int systemd_open(struct systemd **ret_s);
void systemd_close(struct systemd *s); /* NULL is fine */
/* How often systemd_tell has to be called at least, in ns; 0: never. */
int64_t systemd_interval(const struct systemd *s);
/* Sends WATCHDOG=1, if it is due at `now` (ns). Never waits. False: it was not due, or could not be
 * sent, which the next call does then. */
bool systemd_tell(struct systemd *s, int64_t now);
