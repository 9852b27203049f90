// SPDX-License-Identifier: Apache-2.0
/* flush: what makes changes durable: flush.c has the steps; flusher.c when, and who waits;
 * recover.c what a start finds. Threads: any. */
#pragma once

#include "coordinator.h"
#include "durability.h"
#include "durable.h"
#include "flush_hooks.h"
#include "flush_names.h"
#include "state.h"
#include "ticket.h"

/* Find out how many files may be open. Called once, before anything is changed. */
void flush_know_limits(struct state *p);
/* A change failed for a shortage of memory or descriptors: run a flush, which closes slots and
 * frees memory. 0: the change may be tried again. -EWOULDWAIT (nowait.h). The caller holds no lock.
 * */
int flush_short(struct state *p);

/* Wait while too much is unflushed. The caller holds no lock. If an attempt to flush fails
 * meanwhile, its error. -EWOULDWAIT (nowait.h). */
int flush_throttle(struct state *p);
/* Would flush_throttle wait for memory? True: it would not. For work that can be left undone. */
bool flush_takes_more(struct state *p);
/* Is there room for new data? -ENOSPC keeps a reserve free, so that what was acknowledged can be
 * committed and removing can give space back. -EWOULDWAIT (nowait.h). Holding nothing. */
int flush_room(struct state *p);
/* The same, and is there room for `bytes` bytes more? Only for threads that may wait (asserted). */
int flush_room_for(struct state *p, uint64_t bytes);
/* The bytes of the reserve that flush_room keeps free. */
uint64_t flush_reserve(const struct disk_space *s);
/* Begin a flush and wait for its end. If an attempt fails meanwhile, its error. */
int flush_run(struct state *p, enum seal_what what);
/* Begin a flush, and do not wait for its end. In a store without threads it has ended on return. */
int flush_begin(struct state *p, enum seal_what what, struct ticket **ret_ticket);
/* Under a name (NULL: none) of 1 to FLUSH_LABEL_MAX bytes, which is committed with it. While no
 * permit is free it waits for `timeout` ns at most (-1: no limit). -ETIMEDOUT, -EINTR: no flush has
 * begun. */
int flush_begin_named(struct state *p, enum seal_what what, const char *name, int64_t timeout,
                      const _Atomic bool *interrupted, struct ticket **ret_ticket);
/* The name of flush `number`, while its ticket is kept. False: it has none, or is not kept. */
bool flush_get_label(struct state *p, uint64_t number, char out[FLUSH_LABEL_MAX + 1]);
/* Delete the bytes of up to `max` of the dying whose removal is committed. Returns how many it
 * tried. What fails is tried again after a later commit. Of bytes in a pack it removes the record
 * of the dying first, and counts them out then: that must not happen twice. Takes "reclaim dead",
 * and the freeze lock. */
size_t flush_reclaim_dead(struct state *p, size_t max);
int flush_open(struct state *p);
/* What is frozen and not committed is dropped. */
void flush_release(struct state *p);
void flush_kick(struct state *p);
void flush_kick_drops(struct state *p);
int flush_start_threads(struct state *p);
void flush_stop_threads(struct state *p);
/* Is nothing at all pending? (drain.c) */
bool flush_is_idle(struct state *p);

/* ---- looking on ---- */

struct flush_stats {
    struct coordinator_stats flushes;
    size_t waiting;    /* writers that wait for memory, */
    int64_t waited_ns; /* and all that was ever waited so */
    uint64_t commits, failed;
    double per_second;   /* commits, over the last ones */
    int64_t last_commit; /* realtime ns; 0: none yet */
    uint64_t committed;  /* the number of the last change that a commit has */
    int error;           /* of the last failure; 0: a commit came after it */
};
/* Takes the locks "coordinator" and "flush", one after the other. */
void flush_get_stats(struct state *p, struct flush_stats *ret);
/* How the store is now, as a sample says it (growth_table.h); none is kept. The disk is asked, and
 * the freeze lock is taken for writing, so the caller holds no lock and may wait. */
struct growth_sample;
void flush_growth_now(struct state *p, struct growth_sample *ret);
/* The names of flushes that are committed. Takes "flush". */
void flush_get_names(struct state *p, struct flush_names *ret);
/* As coordinator_numbers and coordinator_ticket. */
void flush_numbers(struct state *p, uint64_t *ret_done, uint64_t *ret_next);
int flush_ticket(struct state *p, uint64_t number, struct ticket **ret_ticket);
/* Since the start, read without a lock. flush_commits: commits; each is counted before anything of
 * it is taken for committed. flush_reclaimed: how many of the dying lost their bytes. */
uint64_t flush_commits(struct state *p);
uint64_t flush_reclaimed(struct state *p);

/* ---- a start ---- */

/* The order in which a start puts together what the last commit, the log and the disk have
 * (recover.c). Afterwards the log is open. */
int recover_state(struct state *p, const struct store_record *s);
/* Commit what recover_state took from the log, if there was anything. Called before anybody may
 * change something. If it fails nothing may be changed until a later flush has committed it. */
void recover_settle(struct state *p);
