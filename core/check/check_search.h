// SPDX-License-Identifier: Apache-2.0
/* check_search: looking for the bytes of object numbers that have no entry (check_adopt.c). */
#pragma once

#include "entry.h"
#include "id.h"
#include "kv.h"
#include "map64.h"

struct disk;
struct pool_member;
struct shards;

struct check_search {
    struct disk *disk; /* the home disk */
    struct kv *kv;     /* read in short snapshots: none is open while places are listed and read */
    const struct id_key *key;
    const struct map64 *missing;    /* numbers -> references */
    struct shards *shards;          /* NULL: nothing is looked for there */
    const struct pool_member *pool; /* NULL: in none */
};
/* `fn` is called for each number whose bytes were found: `e` is an entry for them, `from` says in
 * words where they are. It returns 0: they are taken; 1: they are not wanted, and the search goes
 * on for that number; -errno: the search ends with it. The search also ends with a shortage
 * (io_is_short), since a file that could not be opened may have the missing bytes. Everything in *s
 * is borrowed. Threads: any; no lock of the store is taken. */
typedef int check_found_fn(uint64_t number, const struct entry *e, const char *from, void *ctx);
int check_find_lost(const struct check_search *s, check_found_fn *fn, void *ctx);
