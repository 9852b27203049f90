// SPDX-License-Identifier: Apache-2.0
/*
 * check: verify every byte of a store that nobody has open, and never write.
 *
 * What is looked at: identity, state, namespace records; every reachable page, key and item; every
 * page count and object count against a recount from the roots; the id index both ways; the dying,
 * the pins; settings; the bytes of every sealed object against its checksums and its id; slots;
 * what the packs table says; files on disk that nobody names.
 *
 * Each finding names the very thing:
 *
 *   what          where                                    damage?
 *   identity      label                                    yes
 *   state         what it contradicts                      yes
 *   namespace     number                                   yes
 *   page          "page N"                                 yes
 *   count         "page N", object id, "object number N"   yes
 *   object        object id or number: its table entry     yes
 *   id            object id: the index                     yes
 *   dying, pin, drop   number                              yes
 *   pack          "pack N": its head, its table entry      yes
 *   pack record   "<id> pack N offset O"                   yes, but where this version cannot read it
 *   shard         "shard N": its record                    yes
 *   ghost         object id or number: the index of them   yes
 *   object block  "<id> block B"; "<id>" as a whole        yes
 *   slot          "slot N", "slot N block B"               yes
 *   log           "segment N offset O"                     yes
 *   setting       its name                                 yes
 *   gc            "the table": what GC cycles remembered   yes
 *   directory     a directory that is none of a tree       yes
 *   entry         a name that leads nowhere, or wrongly    yes
 *   link count    an inode                                 yes
 *   nameless      an inode that no name leads to           yes
 *   inode         one whose items contradict each other    yes
 *   file          one that uses damaged bytes, told above  no
 *   leak          a file, a page: space, never data        no
 *   note          "shard N": so many objects on it could not be checked                   no
 *   note          as above: a crash leaves such, mounting mends it   no
 *
 * Of a store that was not closed the last commit is looked at, and how many changes the log has
 * behind it for the next mount; files that this commit does not name are no leaks then.
 *
 * Other shards are only read, and nothing is claimed there: whether they have what they should, how
 * long it is, and what nobody names; with `all_bytes` the bytes, too. Where stands "shard N" before
 * the rest then. What is on one that cannot be asked is no damage.
 *
 * Inodes and names stand as "NS/dir/file", where no path is known (or too many are asked for) as
 * "NS inode N"; bytes that are no printable text as \ooo. Namespaces that share a root are looked
 * at once, under the name of the first. Of a damaged object some of the paths that use it are told.
 *
 * Where damage hides a part of the trees, counts that seem too high are not reported: what is
 * hidden may hold the rest. So it is with names and link counts in that namespace.
 *
 * Memory: 24 to 36 bytes for each inode of the largest namespace, what the recount takes
 * (recount.h), and a few words for each pack, large object and slot.
 */
#pragma once

#include "disk.h"
#include "kv.h"
#include <stdbool.h>

struct pool_member;

struct check_options {
    /* One finding; the texts are valid during the call. */
    void (*found)(const char *what, const char *where, const char *sentence, void *ctx);
    /* Progress: bytes done and in all, roughly. NULL: not wanted. */
    void (*progress)(uint64_t done, uint64_t total, void *ctx);
    void *ctx;
    /* The store is in a pool: packs that it names need not be in its table, and what else is there
     * is not its business. A repair puts there what is in the log, in this life. NULL: in none. */
    const struct pool_member *pool;
    bool all_bytes; /* bytes on other shards are read, too */
};

struct check_result {
    uint64_t problems;   /* findings that are damage */
    uint64_t pages;      /* reachable and sound */
    uint64_t objects;    /* sealed, with a count above zero */
    uint64_t bytes;      /* of sealed objects, read and verified */
    uint64_t namespaces; /* sound records, symlinks at the root left out */
    uint64_t inodes;     /* of namespaces; of those that share a root once */
    uint64_t unasked;    /* objects on shards that could not be asked, or compressed by a newer
                          * version */
    uint64_t waiting;    /* changes in the log, behind the commit that was looked at */
    uint64_t seq;        /* number of that commit */
};

/* 0 however much damage was found; -errno if the check could not be finished: -ENOENT there is no
 * store, -EPROTO it was written by a newer version, -EIO, -ENOMEM. */
int store_check(struct disk *disk, struct kv *kv, const struct check_options *o,
                struct check_result *ret);
