// SPDX-License-Identifier: Apache-2.0
/*
 * check: verify every byte of a store that nobody has open, and never write.
 *
 * It checks: identity, state, namespace records; every reachable page, key and item; every page
 * count and object count against a recount from the roots; the id index in both directions; the
 * dying, the pins; settings; the bytes of every sealed object against its checksums and its id;
 * slots; the rows of packs; files on disk that nothing names.
 *
 * Each finding names the thing that is damaged:
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
 *   pack record   "<id> pack N offset O"                   yes, but not of a later version
 *   shard         "shard N": its record                    yes
 *   ghost         object id or number: the index of them   yes
 *   object block  "<id> block B"; "<id>" as a whole        yes
 *   slot          "slot N", "slot N block B"               yes
 *   log           "segment N offset O"                     yes
 *   setting       its name                                 yes
 *   gc            "the table": the memory of GC cycles     yes
 *   sweep         "the record": the memory of sweeps       yes
 *   held          "object number N": its row of bytes      yes
 *   directory     a directory that breaks its tree         yes
 *   entry         a name that leads nowhere, or wrongly    yes
 *   link count    an inode                                 yes
 *   nameless      an inode that no name leads to           yes
 *   inode         one whose items contradict each other    yes
 *   file          uses damaged bytes, which are reported   no
 *                 as damage of their own
 *   leak          a file, a page: lost space, never data   no
 *   note          "shard N": how many objects on it could  no
 *                 not be checked
 *   note          as above: a crash can leave this, and    no
 *                 the next mount corrects it
 *   note          "the tables": rows are lost (lost.h)     no
 *
 * If the store was not closed, its last commit is checked. The check also reports how many changes
 * wait in the log for the next mount. A file that this commit does not name is no leak then.
 *
 * Other shards are only read, without a claim. The check asks whether they have the files that they
 * should, how long these are, and which files nothing names; with `all_bytes` it reads the bytes,
 * too. `where` then begins with "shard N". A shard that cannot be asked is no damage.
 *
 * An inode or a name is shown as "NS/dir/file"; without a known path (or after too many searches
 * for paths) as "NS inode N". Bytes that are no printable text are shown as \ooo. Namespaces that
 * share a root are checked once, under the name of the first. For a damaged object some of the
 * paths that use it are reported.
 *
 * Where damage hides a part of the trees, or rows are lost that may have been namespaces, counts
 * that seem too high are not reported, because what is hidden or lost may have the missing
 * references. The same holds for the count of a sealed object while another object is not in the
 * table, and for names and link counts of a namespace with a hidden part.
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
    /* Called for each finding. The texts are valid during the call. */
    void (*found)(const char *what, const char *where, const char *sentence, void *ctx);
    /* Called as the check proceeds: bytes done, and bytes in all (estimates). NULL: not called. */
    void (*progress)(uint64_t done, uint64_t total, void *ctx);
    void *ctx;
    /* The pool that the store is in; NULL: none. A store in a pool may name packs that have no row
     * in its table, and other files in the pool are not checked. A repair writes what it replays
     * from the log into the pool, under the store's present incarnation. */
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
