// SPDX-License-Identifier: Apache-2.0
/*
 * sync: fsync, by one thread for all who wait. Who comes while it syncs is answered by the next
 * sync. Where several came the last time it waits for as many again, at most a quarter as long as a
 * sync takes for each of them, twice as long for all, and 50 ms: one sync for all costs less than two.
 */
#pragma once

#include "mount.h"

struct sync;

/* Before below_all: the thread keeps the class that the caller has. `fs` need have no store yet. */
int sync_start(struct fs *fs, struct sync **ret_s);
/* Answers `req` when everything that was acknowledged before is durable. */
void sync_request(struct sync *s, fuse_req_t req);
/* No request comes any more: answers those that wait, ends the thread. NULL is fine. */
void sync_stop(struct sync *s);
/* Once no thread serves requests any more. NULL is fine. */
void sync_free(struct sync *s);
