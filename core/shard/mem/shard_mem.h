// SPDX-License-Identifier: Apache-2.0
/*
 * shard_mem: the driver "mem:NAME", for tests: places in memory that can fail in every way in which
 * a shard can.
 *
 *     shard_mem_register();
 *     shard_mem_create("cold", &fault, &m);
 *     shard_open("mem:cold", 0, &s, why) ... shard_close(s)      any number of times
 *     shard_mem_set(m, SHARD_MEM_UNREACHABLE, true);
 *     shard_mem_destroy(m)
 *
 * Puts and deletes are numbered in one sequence with the writes of a kv and a disk that share the
 * `struct fault`. A put is durable at once. A put or delete that the fault hits fails, and is done
 * wholly or not at all: with FAULT_KEEP_ALL it is done, with FAULT_LOSE_ALL it is not, otherwise
 * the seed decides. While the power is off every call returns -EIO.
 *
 * An open shard stays with the medium that the place had when it was opened. After shard_mem_swap
 * it returns -EHOSTUNREACH, as a directory does whose path leads elsewhere. Threads: any, except
 * for register, create and destroy.
 */
#pragma once

#include "fault.h"
#include "shard.h"

struct shard_mem;

enum shard_mem_switch {
    SHARD_MEM_UNREACHABLE, /* every call returns -EHOSTUNREACH */
    SHARD_MEM_READONLY,    /* every change returns -EROFS */
    SHARD_MEM_FULL,        /* every put returns -ENOSPC */
    SHARD_MEM_FLIPS,       /* in every range that is read one bit is wrong */
    SHARD_MEM_BOASTS,      /* stat finds lost files, with the size that they had */
    SHARD_MEM_DENIES,      /* every name is -ENOENT, and lists are empty */
    SHARD_MEM_SHORT_LISTS, /* lists have half of the names, and end with -EIO */
    SHARD_MEM_BLOCKED,     /* no call returns while this is on */
    SHARD_MEM_CLOBBERS,    /* a put replaces what is there, also if it should not */
    SHARD_MEM_RACES,       /* a put looks whether the name is there, then waits for the latency, and
                            * then puts, whatever is there by then */
    SHARD_MEM_FORGETS,     /* lists have no names */
    SHARD_MEM_KEEPS,       /* a delete returns 0 and deletes nothing */
    SHARD_MEM_GUARDED,     /* a delete returns -EACCES, but by the URL mem:NAME?delete */
    SHARD_MEM_REPEATS,     /* each put that replaces nothing is done, and returns -EEXIST: as of a
                              driver that loses the answer and repeats the request by itself */
    SHARD_MEM_VERIFIES,    /* shard_verify knows of flips; it is -EOPNOTSUPP while this is off */
    SHARD_MEM_SWITCHES
};

enum shard_mem_call {
    SHARD_MEM_PUT,
    SHARD_MEM_DELETE,
    SHARD_MEM_RANGE,
    SHARD_MEM_GET,
    SHARD_MEM_STAT,
    SHARD_MEM_LIST,
    SHARD_MEM_SPACE,
    SHARD_MEM_VERIFY,
    SHARD_MEM_CALLS
};

/* Faults that are drawn for each call: those of a store of objects behind a network. */
enum shard_mem_fault {
    SHARD_MEM_LOST_REPLY,  /* a put or delete is done, and returns -EHOSTUNREACH */
    SHARD_MEM_REPEATED,    /* a put or delete is done, its reply is lost, and the driver sends it
                            * again: a put-if-absent returns -EEXIST, a delete -ENOENT */
    SHARD_MEM_LATE_EXISTS, /* -EEXIST is returned after another call has come, or 5 ms later */
    SHARD_MEM_CUT_LIST,    /* a list has some of the names, and ends with -EIO */
    SHARD_MEM_STALL,       /* a call is done after its caller has left it: at shard_mem_release */
    SHARD_MEM_FAULTS
};

struct shard_mem_odds {
    uint64_t seed; /* the same seed and the same calls in the same order have the same faults */
    unsigned per_mille[SHARD_MEM_FAULTS];
    int64_t patience; /* ns; shard_set_patience after a stall: during one it is 1 ns, for all */
};

/* Makes the scheme known. A second call does nothing. */
void shard_mem_register(void);
/* Are all places far (shard_driver)? At first they are not. Shards that were added or opened before
 * stay as they are. */
void shard_mem_set_far(bool far);
/* Makes an empty place. `f` may be NULL; it is borrowed. -EEXIST: a place has that name. */
int shard_mem_create(const char *name, struct fault *f, struct shard_mem **ret_mem);
void shard_mem_destroy(struct shard_mem *m); /* NULL is fine; no shard is open there */

void shard_mem_set(struct shard_mem *m, enum shard_mem_switch which, bool on);
/* Draws faults from now on, and gives lists in any order. NULL: no more. Calls that stall are not
 * released by it. */
void shard_mem_set_odds(struct shard_mem *m, const struct shard_mem_odds *odds);
/* Has the calls that stall done, and waits until the place is not silent any more. */
void shard_mem_release(struct shard_mem *m);
uint64_t shard_mem_hits(struct shard_mem *m, enum shard_mem_fault which); /* so far */
/* Each call first calls `wait` with that duration. NULL: it does not wait. */
void shard_mem_set_latency(struct shard_mem *m, int64_t duration_ns,
                           void (*wait)(void *ctx, int64_t duration_ns), void *ctx);
/* Sets the clock of the place, ns: files that are put from now on are put then. At first it is 0.
 * */
void shard_mem_set_clock(struct shard_mem *m, int64_t now_ns);
void shard_mem_set_capacity(struct shard_mem *m, uint64_t bytes); /* 0: no limit */
/* Exchanges the media of two places. */
void shard_mem_swap(struct shard_mem *a, struct shard_mem *b);
/* Gives `to` a new medium with a copy of all files of `from`. */
void shard_mem_copy(struct shard_mem *to, struct shard_mem *from);
/* Loses a file, without a word to the store. -ENOENT. */
int shard_mem_lose(struct shard_mem *m, const char *name);
/* Flips one bit of a file. -ENOENT: there is no such byte. */
int shard_mem_flip(struct shard_mem *m, const char *name, uint64_t byte, unsigned bit);

uint64_t shard_mem_calls(struct shard_mem *m, enum shard_mem_call what); /* so far */
unsigned shard_mem_waiting(struct shard_mem *m); /* calls that SHARD_MEM_BLOCKED holds up */
unsigned shard_mem_opened(struct shard_mem *m);  /* shards that are open */
uint64_t shard_mem_count(struct shard_mem *m);   /* names */
uint64_t shard_mem_used(struct shard_mem *m);    /* bytes */
