// SPDX-License-Identifier: Apache-2.0
/*
 * shard_mem: the driver "mem:NAME", for tests: places in memory that can fail in every way a shard
 * can.
 *
 *     shard_mem_register();
 *     shard_mem_create("cold", &fault, &m);
 *     shard_open("mem:cold", 0, &s, why) ... shard_close(s)      as often as wanted
 *     shard_mem_set(m, SHARD_MEM_UNREACHABLE, true);
 *     shard_mem_destroy(m)
 *
 * Puts and deletes are numbered in one sequence with the writes of a kv and a disk that share the
 * `struct fault`. What was put is durable at once. One that the fault hits fails, and is done
 * wholly or not at all: FAULT_KEEP_ALL done, FAULT_LOSE_ALL not, else by seed. While the power is
 * off whatever is called says -EIO.
 *
 * What is opened stays that medium: after shard_mem_swap it says -EHOSTUNREACH, as a directory does
 * whose path leads elsewhere. Threads: any, but for register, create and destroy.
 */
#pragma once

#include "fault.h"
#include "shard.h"

struct shard_mem;

enum shard_mem_switch {
    SHARD_MEM_UNREACHABLE, /* -EHOSTUNREACH, whatever is called */
    SHARD_MEM_READONLY,    /* -EROFS */
    SHARD_MEM_FULL,        /* -ENOSPC for all that is put */
    SHARD_MEM_FLIPS,       /* in all that is read by ranges one bit is wrong */
    SHARD_MEM_BOASTS,      /* stat says that lost things are there, with the size they had */
    SHARD_MEM_DENIES,      /* whatever is asked for by name: -ENOENT; lists are empty */
    SHARD_MEM_SHORT_LISTS, /* half of the names, then -EIO */
    SHARD_MEM_BLOCKED,     /* no call returns while it is on */
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
    SHARD_MEM_CALLS
};

/* Make the scheme known. Again: nothing. */
void shard_mem_register(void);
/* An empty one. `f` may be NULL, and is borrowed. -EEXIST: a place has that name. */
int shard_mem_create(const char *name, struct fault *f, struct shard_mem **ret_mem);
void shard_mem_destroy(struct shard_mem *m); /* NULL is fine; nobody has it open */

void shard_mem_set(struct shard_mem *m, enum shard_mem_switch which, bool on);
/* Each call first waits: `wait` is told how long. NULL: not at all. */
void shard_mem_set_latency(struct shard_mem *m, int64_t duration_ns,
                           void (*wait)(void *ctx, int64_t duration_ns), void *ctx);
void shard_mem_set_capacity(struct shard_mem *m, uint64_t bytes); /* 0: no end */
/* The media of two places change places. */
void shard_mem_swap(struct shard_mem *a, struct shard_mem *b);
/* `to` gets a copy of what `from` has, on another medium. */
void shard_mem_copy(struct shard_mem *to, struct shard_mem *from);
/* The bytes of a name are gone, and nobody was told. -ENOENT */
int shard_mem_lose(struct shard_mem *m, const char *name);
/* -ENOENT: there is no such byte. */
int shard_mem_flip(struct shard_mem *m, const char *name, uint64_t byte, unsigned bit);

uint64_t shard_mem_calls(struct shard_mem *m, enum shard_mem_call what); /* so far */
unsigned shard_mem_waiting(struct shard_mem *m); /* calls that SHARD_MEM_BLOCKED holds up */
unsigned shard_mem_opened(struct shard_mem *m);  /* shards that are open */
uint64_t shard_mem_count(struct shard_mem *m);   /* names */
uint64_t shard_mem_used(struct shard_mem *m);    /* bytes */
