// SPDX-License-Identifier: Apache-2.0
/*
 * leaks: what the disk and the tables of a store hold and nothing needs, found while the store is
 * in use. It is what cycles of a store alone list (gc_store.c); what is needed they only count.
 *
 *     leaks_find(p, step, ctx, &l)          the freeze lock is not held
 *     leak_is_needed(p, &l.v[i])            the freeze lock is held, for reading or writing
 *     leak_look(p, &l.v[i])                 the same, with all changes shut out: takes that lock
 *     leak_remove(p, &l.v[i])               looks once more, and then acts
 *
 *   kind      what                                             nothing needs it because
 *   FILE      objects/ab/ID.N, or its .sums alone              no entry and no dying record says so
 *   SLOT      slots/N, or its .sums alone                      N has no entry, and no batch on its
 *                                                              way still frees itself of the name
 *   PACK      packs/N                                          the packs table does not know it
 *   RECORDS   live records of pack N that no entry names       counted in, and never out
 *   PAGE      page N                                           no root leads to it
 *   ENTRY     object number N with count 0                     it is not among the dying either
 *   SHARD_FILE, SHARD_PACK, SHARD_RECORDS: the same on another shard, of the table
 *   shard_packs; SHARD_PACK also: none of its records is alive, and it is still there
 *
 * A start removes the first three by itself; the others stay until a cycle (or a repair) comes.
 *
 * Only shards that answer and that this store may write to are looked through. What is on the
 * others (`away`) nobody can say: what earlier cycles found there is taken along as it was
 * (leaks_remember). So it is where a listing ends with an error, or another shard turns out to be
 * in its place.
 *
 * Why deleting one meets nobody who revives it: numbers of objects, packs and pages are given once.
 * Whatever could name such a thing again would have to be told of it by something that names it
 * already, and none does: neither the last commit nor what changed since (leak_is_needed). Numbers
 * that were given after the search began are not looked at. What is on its way between two names
 * (a seal, a heal, a deletion) holds the freeze lock for reading, or stands in the table of
 * contents, among the dying or in a batch; so the look before a removal holds the freeze lock for
 * writing. What a move has put on a shard and not committed has numbers that move_in_flight tells,
 * at the instant when the search begins and at the last look.
 *
 * Keys of the coordinator are ids of 16 bytes. Here they are: the kind 1; 7 bytes that tell things
 * of one number apart (FILE: the first of the id; RECORDS: of a checksum of how many there are, so
 * that another number of them is another leak); the number 8, big-endian. On a shard the first 2 of
 * these 7 are its number, big-endian, and 5 are left for that.
 *
 * Errors: 0 or -errno. Any error while searching, and any damage that could hide who needs
 * something, is the search's: -EUCLEAN is reported with its place; errors of shards are not, see
 * above. Memory: 56 bytes for each leak, 24 to 48 for each page, object file and pack, wherever
 * they are. Threads: one search at a time; it keeps one snapshot of the kv while it runs.
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
    struct id id;     /* FILE: in its name */
    uint64_t bytes;   /* it takes, as far as that is known; RECORDS: payload */
    uint32_t records; /* RECORDS */
    bool unknown;     /* of an earlier cycle, on a shard that cannot be asked: only the key is there */
};
struct leaks {
    struct leak *v; /* ascending by key */
    size_t count, room;
    uint64_t bytes; /* of all */
    struct leaks_unreachable {
        uint16_t shard;
        int err;       /* why it was not looked through to the end; 0: it was, but */
        uint64_t from; /* what has such a number, or a higher one, may be on its way */
    } * unreachable;
    size_t unreachable_count;
    uint64_t foreign; /* names on shards that are none of the store's: left alone */
};

/* Told how much of how much was looked at, now and then; true: end with -ECANCELED. */
typedef bool leaks_step_fn(void *ctx, uint64_t done, uint64_t total);

/* *ret is the caller's to release, also after an error. What was changed before the call should be
 * committed, or it may seem to leak until leak_is_needed is asked. */
int leaks_find(struct state *p, leaks_step_fn *step, void *ctx, struct leaks *ret);
void leaks_release(struct leaks *l);
/* What cycles found on shards that are unreachable now, or what may be on its way now, joins the
 * list. */
int leaks_remember(struct leaks *l, struct gc *gc);
const struct leak *leaks_get(const struct leaks *l, const struct id *key); /* NULL: not there */

/* 1, 0, or why that cannot be said. What others are deleting is needed, too. */
int leak_is_needed(struct state *p, const struct leak *l);
/* The same, and it is there: what was on its way out when it was listed is gone by now. Holding
 * nothing. */
int leak_look(struct state *p, const struct leak *l);
/* -EBUSY it is needed. -ENOENT it is gone already. */
int leak_remove(struct state *p, const struct leak *l);

/* Where keys of files with that id begin, and is this one of them? */
void leak_first_file(const struct id *id, struct id *ret_key);
bool leak_is_file_of(const struct id *key, const struct id *id);
enum leak_kind leak_kind(const struct id *key);
enum leak_kind leak_what(const struct id *key); /* the same; of a shard that which it is at home */
uint64_t leak_number(const struct id *key);
uint16_t leak_shard(const struct id *key); /* 0: it is at home */
/* "objects/ab/ab0123….000000000000002a", "page 7": for people. `whole`: the id in a file's name;
 * NULL, or zeros: only what the key has of it is told. */
void leak_describe(const struct id *key, const struct id *whole, struct strbuf *out);
