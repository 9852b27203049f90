// SPDX-License-Identifier: Apache-2.0
/* shards_thread: what the close of a store needs of the thread for shards (shards_thread.c). */
#pragma once

struct state;

/* The store will be closed soon. From now on a shard that does not answer delays nobody for more
 * than 2 s. Threads: any. */
void shards_hurry(struct state *p);
