// SPDX-License-Identifier: Apache-2.0
/*
 * shard_mem_impl: the media of places in memory, and what is drawn for their calls. Private to
 * core/shard/mem.
 *
 * A test that runs out of memory is aborted.
 */
#pragma once

#include "shard_mem.h"

void *mem_must(void *p); /* aborts if `p` is NULL */

/* ---- what is in a place: the lock of the place is held ---- */

#define MEDIUM_BUCKETS 4096

struct thing {
    struct thing *next;
    char name[DISK_NAME_MAX + 1];
    uint8_t *data;
    uint64_t size;
    int64_t put;  /* when, by the clock of the medium */
    bool flipped; /* shard_mem_flip has changed it */
    bool lost;    /* it stays here for SHARD_MEM_BOASTS, and counts no more */
};

struct medium {
    uint64_t number; /* never used again */
    uint64_t count, used;
    int64_t now; /* its clock, ns */
    struct thing *bucket[MEDIUM_BUCKETS];
};

struct medium *medium_create(void);
void medium_destroy(struct medium *m);
/* The link to the file of that name, lost or not. It points to NULL if there is none, and a new one
 * goes there. */
struct thing **medium_link(struct medium *m, const char *name);
/* NULL: there is none, or it is lost. */
struct thing *medium_find(struct medium *m, const char *name);
void medium_lose(struct medium *m, struct thing *t);
void medium_erase(struct medium *m, struct thing **at); /* frees it */
/* Puts a file on the medium, which owns `data` from then on. */
void medium_set(struct medium *m, const char *name, uint8_t *data, uint64_t size);
uint8_t *medium_bytes(const void *data, uint64_t size); /* a copy, for medium_set */

/* ---- what is drawn ---- */

struct odds {
    struct shard_mem_odds set;
    uint64_t random; /* 0: nothing is drawn */
    uint64_t hits[SHARD_MEM_FAULTS];
};

void odds_set(struct odds *o, const struct shard_mem_odds *set);
/* Does that fault hit this call? If so it is counted. */
bool odds_hit(struct odds *o, enum shard_mem_fault which);
uint64_t odds_pick(struct odds *o, uint64_t below); /* 0 if nothing is drawn */
