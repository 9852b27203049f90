// SPDX-License-Identifier: Apache-2.0
/*
 * leaks: what the disk and the tables of a store hold and nothing needs. They are found while the
 * store is in use. The cycles of a store alone list them (gc_store.c); what is needed they only
 * count.
 *
 *     leaks_find(p, step, ctx, &l)      the caller does not hold the freeze lock
 *     leak_is_needed(p, &l.v[i])        the caller holds it, for reading or writing
 *     leak_look(p, &l.v[i])             the same; takes the lock for writing, against all changes
 *     leak_remove(p, &l.v[i])           looks once more, and then removes
 *
 *   kind      what                                             nothing needs it because
 *   FILE      objects/ab/ID.N, or its .sums alone              no entry and no dying record has it
 *   SLOT      slots/N, or its .sums alone                      N has no entry, and no batch in
 *                                                              progress still has to free the name
 *   PACK      packs/N                                          the packs table does not have it
 *   RECORDS   live records of pack N that no entry names       counted in, and never counted out
 *   PAGE      page N                                           no root leads to it
 *   ENTRY     object number N with count 0                     it is not among the dying either
 *   SHARD_FILE, SHARD_PACK, SHARD_RECORDS: the same on another shard; SHARD_PACK also: none of its
 *   records is alive, and it still exists
 *
 * A start removes the first three by itself. The others stay until a cycle (or a repair) removes
 * them.
 *
 * Only shards that answer and that this store may write to are searched. Of the others nothing is
 * known now: what earlier cycles found there is kept in the list as it was (leaks_remember). The
 * same is done where a listing ends with an error, or another shard turns out to be mounted in
 * place of the right one. In an archive nothing is listed or deleted: there the search finds
 * SHARD_RECORDS alone.
 *
 * Why nothing can revive a leak that is being deleted: numbers of objects, packs and pages are
 * given once. To name a leak again, a change would have to learn of it from something that names it
 * already. Neither the last commit nor a change since then names it (leak_is_needed). Numbers that
 * were given after the search began are not looked at. Some things are between two names for a
 * while (a seal, a heal, a deletion). Those hold the freeze lock for reading meanwhile, or stand in
 * the table of contents, among the dying or in a batch. So the look before a removal holds the
 * freeze lock for writing. What a move has put on a shard and not committed has a number from
 * move_in_flight on, which is asked when the search begins and at the last look.
 *
 * Keys of the coordinator are ids of 16 bytes. Here they consist of the kind, 1 byte; 7 bytes that
 * tell things of one number apart; and the number, 8 bytes, big-endian. The 7 bytes are for FILE
 * the first ones of the id, and for RECORDS those of a checksum of how many there are, so that
 * another number of them is another leak. On a shard the first 2 of the 7 bytes are its number,
 * big-endian, and 5 are left for that.
 *
 * Errors: 0 or -errno. Any error while searching, and any damage that could hide a need, is an
 * error of the search. -EUCLEAN is reported with the damaged place. Errors of shards are no errors
 * of the search, see above. Memory: 56 bytes for each leak, and 24 to 48 for each page, object file
 * and pack, wherever they are. Threads: one search at a time; it keeps one snapshot of the kv while
 * it reads the tables.
 */
#pragma once

#include "id.h"
#include "strbuf.h"
#include <stddef.h>

struct gc;
struct state;

enum leak_kind {
    LEAK_FILE = 1,
    LEAK_SLOT,
    LEAK_PACK,
    LEAK_RECORDS,
    LEAK_PAGE,
    LEAK_ENTRY,
    LEAK_SHARD_FILE,
    LEAK_SHARD_PACK,
    LEAK_SHARD_RECORDS,
    LEAK_KINDS
};

struct leak {
    struct id key;
    struct id id;     /* FILE: the id in its name; else zeros */
    uint64_t bytes;   /* space that it takes, 0 if not known; RECORDS: payload */
    uint32_t records; /* RECORDS: how many */
    /* found by an earlier cycle, on a shard that cannot be asked now: only `key` is set */
    bool unknown;
};
struct leaks {
    struct leak *v; /* ascending by key */
    size_t count, room;
    uint64_t bytes; /* sum of all */
    struct leaks_unreachable {
        uint16_t shard;
        int err;       /* -errno: it was not searched to the end; 0: it was */
        uint64_t from; /* numbers from this on were not looked at */
    } * unreachable;
    size_t unreachable_count;
    uint64_t foreign; /* names on shards that do not belong to the store; they are left alone */
};

/* Called now and then with how much of how much was looked at. True ends the search with
 * -ECANCELED. */
typedef bool leaks_step_fn(void *ctx, uint64_t done, uint64_t total);

/* Searches the store. The caller releases *ret, also after an error. Changes before the call should
 * be committed: otherwise what they concern looks like a leak, until leak_is_needed is asked. */
int leaks_find(struct state *p, leaks_step_fn *step, void *ctx, struct leaks *ret);
void leaks_release(struct leaks *l);
/* Adds the leaks of earlier cycles that this search could not judge: those on shards that are
 * unreachable now, and those with numbers that were not looked at. */
int leaks_remember(struct leaks *l, struct gc *gc);
const struct leak *leaks_get(const struct leaks *l, const struct id *key); /* NULL: not there */

/* Does a change or the last commit need it? 1, 0, or -errno: it cannot be decided. What another
 * thread is deleting counts as needed, too. The caller holds the freeze lock. */
int leak_is_needed(struct state *p, const struct leak *l);
/* The same, and 1 also if it does not exist any more: it was just being deleted when it was listed.
 * The caller holds no lock. */
int leak_look(struct state *p, const struct leak *l);
/* Removes a leak. -EBUSY: it is needed; -ENOENT: it does not exist any more. The caller holds no
 * lock. */
int leak_remove(struct state *p, const struct leak *l);

/* leak_first_file: the lowest key of files at home with that id. leak_is_file_of: is `key` one of
 * those? */
void leak_first_file(const struct id *id, struct id *ret_key);
bool leak_is_file_of(const struct id *key, const struct id *id);
enum leak_kind leak_kind(const struct id *key);
/* the kind without the shard: SHARD_FILE is FILE, and so on */
enum leak_kind leak_what(const struct id *key);
uint64_t leak_number(const struct id *key);
uint16_t leak_shard(const struct id *key); /* 0: it is at home */
/* Appends a description for people: "objects/ab/ab0123….000000000000002a", "page 7". `whole` is the
 * id in a file's name; NULL, or zeros: only the bytes that the key has of it are shown. */
void leak_describe(const struct id *key, const struct id *whole, struct strbuf *out);
