// SPDX-License-Identifier: Apache-2.0
/*
 * crew: threads for pieces of one work that mostly wait, as for the answers of a shard.
 *
 *     crew_open(work, &c)
 *     for (each piece) {
 *         while (crew_under_way(c) >= most)
 *             take(crew_take(c, true))
 *         crew_give(c, piece, most)
 *     }
 *     while ((piece = crew_take(c, true)))
 *         take(piece)
 *     crew_close(c)
 *
 * One thread, the owner, gives out pieces and takes them back when they are done, in the order in
 * which they became so. Between crew_give and crew_take a piece belongs to the crew. What the
 * pieces share, and all that has an order, stays with the owner: it does it after it has taken a
 * piece. The owner bounds how many pieces are under way, and with them their memory.
 *
 * Beside `workers` a crew is for work of which many pieces wait at once: a worker that waits would
 * keep its place from others, and there are about as many workers as CPUs.
 *
 * With `most` 1 a piece is done in the owner's thread, and no thread is started; also where none
 * can be started. So a crew needs no memory for a piece, and giving cannot fail.
 *
 * Threads: only the owner calls these functions. A piece may wait for anything that does not wait
 * for the owner. The lock inside, "crew", is a leaf.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#define CREW_MAX 64 /* threads of one crew, at most */

struct crew;

/* What the owner embeds in its struct of a piece. The fields are private to crew.c. */
struct crew_piece {
    STAILQ_ENTRY(crew_piece) next;
    bool io_idle;
};

/* Does one piece. Its result is in the struct around the piece. */
typedef void crew_work_fn(struct crew_piece *piece);

/* Makes a crew without threads. -ENOMEM. */
int crew_open(crew_work_fn *work, struct crew **ret_crew);
/* Gives out a piece, which is done with the I/O priority of the owner. At most `most` threads (1 …
 * CREW_MAX) are started; a piece for which there is none waits until another piece is done. */
void crew_give(struct crew *c, struct crew_piece *piece, unsigned most);
/* Takes back a piece that is done, and with `wait` waits until there is one. NULL: there is none,
 * and with `wait` none is under way, either. */
struct crew_piece *crew_take(struct crew *c, bool wait);
/* How many pieces were given out and not taken back. */
unsigned crew_under_way(const struct crew *c);
/* Ends the threads. All pieces were taken back. NULL is fine. */
void crew_close(struct crew *c);
