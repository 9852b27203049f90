// SPDX-License-Identifier: Apache-2.0
/*
 * pool_marks: the lists of marks of a pool: a chain marks/1, marks/2, ... of which the newest is in
 * force. A list is whole: it has every key that is marked, with the serial of the list that first
 * had it, and may have keys that are merely unreferenced (mark 0), so that their `since` is the
 * pool's and not one collector's.
 *
 * What a list that was seen promises: it is durable. Both pool_marks_newest and pool_marks_publish
 * sync the directory, and content is synced before it is linked; so a list that anybody has acted on
 * (acknowledged, say) is there, with all that came before it and was not pruned, after a loss of
 * power, and no other list can ever have its serial.
 *
 * Errors and threads: as pool_dir.h. -EUCLEAN: damaged; never read as a shorter list.
 */
#pragma once

#include "disk.h"
#include "gc.h"

struct pool_marks {
    uint64_t serial;
    struct gc_saved *v; /* ascending; mark 0 ... serial */
    size_t count;
};

/* The serial of the newest list; 0: there has never been one. `from`: a serial that is known to have
 * been published, such as the own acknowledgement; 0: none is. -EUCLEAN there is nothing at or
 * above `from`: the lists are lost, and what is in force is not known. */
int pool_marks_newest(struct disk *disk, uint64_t from, uint64_t *ret_serial);
/* Is there a list after `serial`, the newest that the caller knows of? 1, 0 or -errno. One look; what
 * is seen is not durable yet: go on with pool_marks_newest. 0 may be wrong for a `serial` that was
 * pruned. */
int pool_marks_goes_on(struct disk *disk, uint64_t serial);
/* -ENOENT. *ret is the caller's to release. */
int pool_marks_read(struct disk *disk, uint64_t serial, struct pool_marks *ret);
void pool_marks_release(struct pool_marks *m);
/* Put it as list->serial, from the directory of `node`, whose process this is; durable with 0.
 * -EEXIST there is one of that serial already: somebody else's cycle was faster. -ESTALE the one
 * before it is not there: this collector slept while others went on. -EINVAL not ascending, a mark
 * above the serial, or a serial that is 0 or above UINT32_MAX. After any other error it may or may
 * not be in force: ask pool_marks_newest before anything is concluded. */
int pool_marks_publish(struct disk *disk, unsigned node, const struct pool_marks *list);
/* Remove lists with a serial below `below` (the least acknowledgement of all that count), never the
 * newest; before that marks/floor says so, durably, so that nobody begins to count from 1 again whose
 * listing is short and who knows of no list. What cannot be removed goes another time. */
int pool_marks_prune(struct disk *disk, unsigned node, uint64_t below);
