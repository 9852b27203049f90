// SPDX-License-Identifier: Apache-2.0
/*
 * prune: deletes in an archive what nobody needs any more.
 *
 *     prune_run(p, archive, &ask, &result, why)
 *
 * It runs in the mount of the store that ships there, and deletes of its lineage alone. A run
 * *marks*: it puts a catalogue (catalogue.h) of what is kept and what is given up. A later run, at
 * least `archive_grace` later by the clock of the archive, *deletes* what that catalogue has given
 * up and what is not needed then, and marks again.
 *
 * Why nothing is deleted that somebody needs. A run that deletes looks afresh at everything, and
 * deletes only what the catalogue has given up and none of these needs:
 *   - The states that are kept by the settings now, and all segments from the begin on. Whatever of
 *     them cannot be read ends the run.
 *   - Of a pack of which only little is needed (prune_thin.c) the same holds of its contents: all
 *     that is named by what is named below is put a second time before the pack is deleted. So
 *     everything that looks for needs notes contents, and not only packs. The last catalogue gives
 *     such a pack up although states that it keeps need some of it; so what it keeps is needed,
 *     too, until the next one is put (prune_note_last). Of the table `archived` the rows of such
 *     contents stay, so that an object has one place as before (restore/restore_items.c).
 *   - Pins. A reader puts its pin, and then reads the last catalogue (archive_catalogue.h). Pins
 *     are read before anything else, and once more while nothing is shipped. What a new pin of this
 *     lineage says is needed, too; another new pin ends the run (-EAGAIN). A follower ends its pin
 *     when one of a later state is there, so a run sees one of both. A restore that failed ends its
 *     pin when this store has nothing of it. A pin of a clone ends only when the store is no more,
 *     or has forgotten the archive.
 *   - Segments of other lineages with the same keys of ids: they may name contents of this one. A
 *     store gets such a content only by a clone or a restore with a pin, which are refused where
 *     the keys differ. All segments are needed that such a lineage has not begun to delete. A
 *     lineage that goes on from this one by a fork, or otherwise than by a clone, has a store that
 *     knows contents of this one in its table; so this lineage is then kept as a whole.
 *   - The store itself: its segments, the items that it keeps for jumps, its table `archived`, its
 *     ghosts and its restores. Nothing is shipped between the last look at them and the moment at
 *     which the table has forgotten, durably, all that is deleted then (ship_hold.h). A restore
 *     that begins later is planned by the last catalogue, which was there by then.
 *   - Another writer. It claims, and then drops from its table what the catalogues have given up
 *     (ship_honour), before it ships; and all that it ships then is whole, since the contents get
 *     new places. This run puts the name that says that a deletion has begun, and then looks for a
 *     later claim once more: so either it sees the claim, and ends, or the other one finds the
 *     name. That one reads all catalogues up to the last, and this run deletes what an older one,
 *     or the last one, has given up.
 *   - chain.h: claims, terminators, the first segment of each epoch, and all segments of the last
 *     epoch that has any stay.
 *
 * A run may die anywhere. Before it deletes it puts a name that says so, and who it is
 * (archive_begin_deleting). Until then each run computes as if the catalogue did not exist, so what
 * was marked by mistake is kept again if the settings are put right, also while the grace lasts;
 * the grace of the rest begins anew then. After that the next run deletes the rest, also if
 * somebody has come to need all of the lineage: whoever comes later does without what was given
 * up.
 *
 * A clock that jumped would mark what is young. So the age of the last segment by the clock of this
 * machine is compared with its age by that of the archive, and a run ends if they differ by more
 * than a day. A jump before that segment was sent is not noticed, and none in a directory (`dir:`),
 * which has no clock of its own.
 *
 * It reads all segments from the begin on, those that are kept before it, those of other lineages
 * with the same keys, and the names of packs, files and bodies. Of contents it reads only the packs
 * that it thins, one after the other in the thread of the run, each up to 8 MiB. Up to
 * `shard_parallel` deletions are under way. Memory: about 200 bytes for each segment that is kept
 * before the begin, 32 for each namespace that is named in one, 60 for each pack or file, 16 to 32
 * for each content in packs of epochs before the begin, and three times a pack.
 *
 * Threads: any; the caller holds no lock and may wait. Errors: 0 or -errno, with a sentence in
 * `why`:
 * -ENXIO, -EKEYREVOKED, -EBUSY, -EAGAIN, -ESHUTDOWN as ship_hold; -EBUSY: the lineage is kept as a
 * whole; -EAGAIN: another run, a new pin, or the clocks differ; -EINVAL: another archive is at
 * `with`; -EUCLEAN: something that is needed is damaged or missing; those of the shard; what
 * `progress` returned.
 */
#pragma once

#include "shard.h"
#include "strbuf.h"
#include <stdbool.h>
#include <stdint.h>

struct state;

#define PRUNE_LEAST ((uint64_t)64 << 10) /* thinning a pack costs four requests */

struct prune_ask {
    /* The same archive by a URL with other credentials, which are used to delete; NULL: those of
     * the store. So the store itself needs no right to delete. */
    const char *with;
    uint64_t least; /* packs are thinned that shrink by so many bytes; 0: PRUNE_LEAST; tests: 1 */
    int (*progress)(uint64_t segments, void *ctx); /* now and then; NULL: none */
    void *ctx;
};

struct prune_result {
    uint32_t catalogue; /* the last one; 0: there is none */
    uint64_t states;    /* that are kept before the begin */
    int64_t oldest;     /* time of the oldest state that is kept; 0: nothing is given up */
    uint64_t deleted, deleted_bytes; /* segments, packs and files; bytes of the latter two */
    uint64_t marked, marked_bytes;   /* likewise */
    uint64_t thinned;                /* packs that were deleted but for what is needed of them */
    int64_t wait; /* ns until what is marked may be deleted; 0: it was, or nothing is marked */
};

int prune_run(struct state *p, uint16_t archive, const struct prune_ask *ask,
              struct prune_result *ret, struct strbuf *why);
