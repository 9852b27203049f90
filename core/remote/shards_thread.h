// SPDX-License-Identifier: Apache-2.0
/* shards_thread: the end of a store does not wait for other shards (shards_thread.c). */
#pragma once

struct state;

/* It will be closed soon: from now on a shard that gives no answer holds nobody up for more than
 * 2 s. Any thread. */
void shards_hurry(struct state *p);
