// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_read: reads the metrics of a mount, and waits for at most METRICS_PATIENCE_MS. So a mount
 * whose daemon or disk hangs does not keep those of others from being read.
 */
#pragma once

#include "strbuf.h"

#define METRICS_PATIENCE_MS 3000
#define METRICS_MOST ((size_t)16 << 20) /* bytes of one mount */

/* Adds the text of .tally/metrics of the mount at `mnt`. -ETIMEDOUT: it does not answer; then a
 * child process goes on waiting for it, and until that one has ended the next calls for this mount
 * fail at once. Other errors: -EIO: it cannot be read, -EFBIG, -ENOMEM, -EAGAIN: no process.
 * Threads: any. */
int metrics_read(const char *mnt, struct strbuf *out);
