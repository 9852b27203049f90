// SPDX-License-Identifier: Apache-2.0
/*
 * pool_marks: the lists of marks of a pool, a chain marks/1, marks/2, ... of which the newest is in
 * force. A list is whole. It has every key that is marked, with the serial of the list that first
 * had it. It may also have keys that are only unreferenced (mark 0), so that the pool, and not one
 * collector, knows since when they are.
 *
 * A list that was seen is durable. Both pool_marks_newest and pool_marks_publish sync the
 * directory, and the content is synced before it is linked. So a list that any node has acted on
 * (acknowledged, for example) exists after a loss of power, with all lists before it that were not
 * pruned. No other list can ever have its serial.
 *
 * Errors and threads: as pool_dir.h. -EUCLEAN: damaged; a damaged list is never read as a shorter
 * one.
 */
#pragma once

#include "disk.h"
#include "gc.h"

struct pool_marks {
    uint64_t serial;
    struct gc_saved *v; /* ascending by id; each mark is 0 ... serial */
    size_t count;
};

/* The serial of the newest list; 0: there has never been one. `from` is a serial that is known to
 * have been published, such as the own acknowledgement; 0: none is known. -EUCLEAN: there is no
 * list at or above `from`: the lists are lost, and it is not known what is in force. */
int pool_marks_newest(struct disk *disk, uint64_t from, uint64_t *ret_serial);
/* Is there a list after `serial`, the newest that the caller knows of? 1, 0 or -errno. It looks
 * once, and what it sees may not be durable yet: the caller goes on with pool_marks_newest. 0 may
 * be wrong if `serial` was pruned. */
int pool_marks_goes_on(struct disk *disk, uint64_t serial);
/* Reads a list. -ENOENT. The caller releases *ret. */
int pool_marks_read(struct disk *disk, uint64_t serial, struct pool_marks *ret);
void pool_marks_release(struct pool_marks *m);
/* Publishes a list as list->serial. `node` is the node of this process. It is durable when this
 * returns 0. -EEXIST: there is a list of that serial already, since another node's cycle was
 * faster. -ESTALE: the list before it does not exist: this collector slept while others went on.
 * -EINVAL: the list is not ascending, or has a mark above its serial, or the serial is 0 or above
 * UINT32_MAX. After any other error the list may or may not be in force: ask pool_marks_newest
 * before anything is concluded. */
int pool_marks_publish(struct disk *disk, unsigned node, const struct pool_marks *list);
/* Removes lists with a serial below `below` (the least acknowledgement of all nodes that count),
 * never the newest. Before that it raises marks/floor, durably. Without it a node with a short
 * listing that knows of no list would begin to count from 1 again. What cannot be removed now is
 * removed another time. */
int pool_marks_prune(struct disk *disk, unsigned node, uint64_t below);
