// SPDX-License-Identifier: Apache-2.0
/*
 * sync: answers fsync requests. One thread syncs for all requests that wait; a request that arrives
 * during a sync is answered by the next one.
 *
 * If the last sync served several requests, the thread first waits until as many have arrived
 * again, because one sync for all of them costs less than two syncs. It waits for at most a
 * quarter of the duration of a sync for each request that the last sync served, of which it counts
 * at most 8, and for 50 ms in all.
 */
#pragma once

#include "mount.h"

struct sync;

/* Starts the thread. With `ships` it answers those in namespaces of which an fsync waits for
 * archives, too (ship_is_sync): so a slow archive holds up no other. It inherits the caller's
 * scheduling class, so this is called before below_all. `fs` need have no store yet. 0, -ENOMEM, or
 * -errno of making the thread. */
int sync_start(struct fs *fs, bool ships, struct sync **ret_s);
/* Answers `req` when everything that was acknowledged before this call is durable. */
void sync_request(struct sync *s, fuse_req_t req);
/* Called when no new requests come: answers those that wait and ends the thread. NULL is fine. */
void sync_stop(struct sync *s);
/* Called when no thread serves requests any more. NULL is fine. */
void sync_free(struct sync *s);
