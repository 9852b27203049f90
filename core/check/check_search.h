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
    struct disk *disk;
    struct kv_snap *snap;
    const struct id_key *key;
    const struct map64 *missing;    /* numbers -> references */
    struct shards *shards;          /* NULL: nothing is looked for there */
    const struct pool_member *pool; /* NULL: in none */
};
/* `fn` is given each that was found once: 0; 1: what is there is not wanted, and the search goes
 * on; an error ends it. So does a shortage (io_is_short): what could not be opened may have what is
 * missing. Everything in *s is borrowed. Threads: any; takes no lock of the store itself. */
typedef int check_found_fn(uint64_t number, const struct entry *e, const char *from, void *ctx);
int check_find_lost(const struct check_search *s, check_found_fn *fn, void *ctx);
