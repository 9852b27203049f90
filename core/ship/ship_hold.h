// SPDX-License-Identifier: Apache-2.0
/*
 * ship_hold: stops the rounds of one archive, while a prune looks at the store for the last time
 * and drops its rows. It is let go before anything is deleted.
 *
 *     ship_hold(p, archive, shard, &pause, &h, why)   all that was to be shipped is there
 *     ship_held_forget(&h, gone, ctx)                 later segments do not name what is gone
 *     ship_let_go(&h)
 *
 * A later segment names what the table `archived` says, what ghosts of this store say, and the
 * items that are kept for jumps (ship_jump.c). The first and the last are forgotten by
 * ship_held_forget; the caller looks at the ghosts.
 *
 * Threads: any; whoever holds an archive has the lock "ship" of its stream, and calls nothing else
 * of this room.
 */
#pragma once

#include "archive_text.h"
#include "archived.h"
#include "catalogue.h"
#include "ship.h"

struct stream;
struct shard;

/* Called now and then while a round of the stream is waited for. A result other than 0 ends that,
 * and is returned. */
struct ship_pause {
    int (*fn)(void *ctx);
    void *ctx;
};

struct ship_held {
    struct state *p;
    uint16_t archive;
    uint32_t lineage;
    uint64_t epoch;                   /* of this mount, */
    uint8_t token[ARCHIVE_TOKEN_LEN]; /* and of its claim */
    struct segment_pos at;            /* the last segment of the lineage; none: there is none */
    struct stream *s;                 /* private */
};

/* 0, or with a sentence in `why`: -ENXIO there is no such archive; -EKEYREVOKED it is refused, or
 * another writer has claimed it; -EBUSY a restore from it runs; -EAGAIN not all was shipped; those
 * of the round; -ESHUTDOWN. `shard` is the archive. */
int ship_hold(struct state *p, uint16_t archive, struct shard *shard,
              const struct ship_pause *pause, struct ship_held *ret, char why[SHARD_WHY]);
/* When it returns 0 no row names such a place, also after a crash. */
int ship_held_forget(struct ship_held *h, archived_gone_fn *gone, void *ctx);
/* The deletion of that catalogue has begun, as the archive says by now. -EKEYREVOKED: another
 * writer has claimed before, and may not have seen that: nothing must be deleted. */
int ship_held_begun(struct ship_held *h, struct shard *shard, uint32_t catalogue);
/* Notes the time of the oldest state that can be restored, for the status. */
void ship_held_note_oldest(struct ship_held *h, int64_t time);
void ship_let_go(struct ship_held *h);
