// SPDX-License-Identifier: Apache-2.0
/*
 * shard_ask: calls of drivers for which no caller waits for ever. Private to core/shard.
 *
 *     place_get("dir:/mnt/cold") ... place_put(p)
 *     a = ask_make(p, run)        fill in what `run` needs
 *     shard_ask(a, 0)             0: `run` has returned a->result; ask_free(a)
 *
 * A mount whose server is gone keeps each thread that uses it in the kernel, and no signal ends
 * that. So drivers are called by askers: threads of a place that own nothing of a store. The caller
 * waits for the time of shard_set_patience. A call that has not come back by then is left to its
 * asker, together with all memory that it uses. Until it comes back the place is silent: every
 * further ask returns -EHOSTUNREACH at once. So no more threads hang than asks were under way at
 * that time, and a call that was left is never executed after a later one.
 *
 * Nor is the place probed meanwhile. A put or a delete that was left may still be done, and would
 * undo what was done after it under the same name; and a shard cannot be closed while a call that
 * was left uses it.
 *
 * Threads: any. Locks: "place", a leaf, is not held while a driver or a caller's function runs.
 */
#pragma once

#include "lock.h"
#include "shard.h"
#include <sys/queue.h>

struct place; /* what a URL leads to; one for all shards that are open there */

/* What went to a place since it was made (shard_traffic.h). */
struct place_traffic {
    _Atomic uint64_t requests[SHARD_REQUESTS];
    _Atomic uint64_t sent, received; /* bytes */
};
struct ask;

/* Runs in an asker. It uses the ask alone; it reaches memory of the caller only by ask_back. */
typedef ssize_t ask_fn(struct ask *a);
/* Runs in the caller's thread, which holds no lock of this module. */
typedef int ask_back_fn(struct ask *a, void *arg);

struct ask {
    ask_fn *run;
    ask_fn *late; /* called by the asker after a `run` that was left; NULL: nothing is called */
    struct shard *shard;
    ssize_t result;
    /* The question and its answer, as `run` needs them: */
    const struct shard_driver *driver;
    char name[SHARD_URL_MAX + 1];
    char why[SHARD_WHY];
    unsigned flags;
    bool replace;
    bool closes; /* `run` closes `shard` (see shard_ask) */
    void *data;  /* allocated by ask_make, freed with the ask */
    size_t len;
    uint64_t off;
    struct shard_space space;
    const struct shard_source *source; /* the caller's: use it in ask_back only */
    shard_list_fn *fn;                 /* the caller's: use it in ask_back only */
    void *ctx;                         /* the caller's: use it in ask_back only */
    /* Private to shard_ask.c. All but `place` and `io_idle` are guarded by: place.lock */
    struct place *place;
    enum { ASK_WAITS, ASK_RUNS, ASK_CALLS_BACK, ASK_DONE, ASK_LEFT } state;
    struct cond changed;
    ask_back_fn *back;
    void *back_arg;
    int back_result;
    bool io_idle; /* the asker works with idle I/O priority, as the caller does */
    STAILQ_ENTRY(ask) next;
};

/* Finds or makes the place of that URL, with a reference that place_put gives back. NULL: no
 * memory. */
struct place *place_get(const char *url);
void place_put(struct place *p);
struct place_traffic *place_traffic(struct place *p); /* as long as the place is there */
/* Makes an ask. `room`: bytes at a->data, which are zeros at first. NULL: no memory. */
struct ask *ask_make(struct place *p, ask_fn *run, size_t room);
void ask_free(struct ask *a); /* NULL is fine */
/* Runs the ask in an asker, and waits for it. 0: it was answered. -EHOSTUNREACH, -ENOMEM: it was
 * not, and `a` does not belong to the caller any more. The answer may take `longer` ns more than
 * others; each ask_back begins the time anew. An ask that closes a shard is not dropped by
 * -EHOSTUNREACH: the place then has the shard and its reference, and closes the shard when it
 * answers again. */
int shard_ask(struct ask *a, int64_t longer);
/* Called by `run`: has the caller's thread call `fn`, and returns what it returned. -ECANCELED: the
 * caller has left the ask. */
int ask_back(struct ask *a, ask_back_fn *fn, void *arg);
/* If the place is silent, keeps the shard, and closes it when the place answers again. False: the
 * place is not silent, and the shard is still the caller's. */
bool place_close_later(struct place *p, struct shard *s);
