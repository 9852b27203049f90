// SPDX-License-Identifier: Apache-2.0
/*
 * pool_report: the report of one node: every key that its committed tables name. Other nodes read
 * it to find bytes that exist already (pool_index.h), and collectors to learn what must stay.
 *
 *     pool_report_write(disk, &head, records, count)      by the node itself, after a commit
 *     pool_report_open(disk, node, like, &r) -> find, names, get ... -> pool_report_close
 *
 * On disk it is a head that names a base and, while it is small, a delta against the base
 * (FORMAT.md). The order of durability: a body is written and synced, and its name is synced; then
 * the head that names it replaces the old head, and is synced with its name; only then are bodies
 * removed that no head names any more.
 *
 * An opened report is what the node said at that time, for as long as it is open, whatever the node
 * writes meanwhile: its files stay open, or are copied if they are on a shard. All blocks are read
 * and checked once when it is opened, and each again whenever it is read. Damage is -EUCLEAN, and
 * never data. Memory: 2 bytes for each record, and 16 for each 85 of them. Reads come from the page
 * cache, and an id that is not there costs no read. After -ESTALE or -EIO, of a disk that lost the
 * file, the caller opens the report again.
 *
 * Threads: any number of threads may ask an opened report at once; one thread at a time calls
 * pool_report_write.
 */
#pragma once

#include "disk.h"
#include "gc.h"
#include "pool_format.h"

struct pool_report;

/* Opens the node's newest report. `like` (may be NULL) is one that was opened before: what has not
 * changed since is shared with it and not read again; either may be closed first. -ENOENT: the node
 * has not reported, or is retired; -EUCLEAN: damaged; -EAGAIN: it was replaced during each of three
 * attempts. */
int pool_report_open(struct disk *disk, unsigned node, const struct pool_report *like,
                     struct pool_report **ret_report);
void pool_report_close(struct pool_report *r); /* NULL is fine */
const struct pool_head *pool_report_head(const struct pool_report *r);

#define POOL_ANY_SIZE UINT64_MAX
/* The nth place (from 0) where the node reports an object with that id and size, as a sealed entry
 * with count 0. -ENOENT: there are not as many. */
int pool_report_find(const struct pool_report *r, const struct id *id, uint64_t size, unsigned nth,
                     struct entry *ret);
/* Reads the record of one key. -ENOENT: the report does not name it. */
int pool_report_get(const struct pool_report *r, const struct id *key, struct pool_record *ret);
/* Sets ret[i] to the enum gc_named of keys[i]; keys ascend. It reads once all blocks between the
 * first and the last of the keys, and no others. So the caller asks for many at once. */
int pool_report_names(const struct pool_report *r, const struct id *keys, size_t count,
                      uint8_t *ret);

/* Calls `fn` for every key that the report names, ascending. A result other than 0 ends it and is
 * returned. */
typedef int pool_report_key_fn(const struct id *key, enum gc_named named, void *ctx);
int pool_report_each(const struct pool_report *r, pool_report_key_fn *fn, void *ctx);

/* Writes a report of `count` records, ascending by key, without two of one key. -EUCLEAN: two
 * places share a key; -EINVAL: the records are not ascending, or one has the flag POOL_GONE.
 *
 * The caller sets in *head: node, incarnation, ack, time, and the serial of the report before in
 * this incarnation (0 at first). Everything else is set here, also the new serial, which is above
 * all before it. The records are compared with what the node has on disk. If nothing changed only a
 * head is written; if little changed, a delta; otherwise, or if the old report is damaged, a base.
 * When it returns 0 the report is durable.
 *
 * -ESTALE: the node is retired, or in another incarnation: a copy of the store has taken its place,
 * or somebody retired it. After an error *head is unchanged but for its serial, which is not used
 * again. The old report is still whole. It is in force, unless the head was being replaced: then
 * either may be. Memory: at most 12 bytes for each record of the base. */
int pool_report_write(struct disk *disk, struct pool_head *head, const struct pool_record *records,
                      size_t count);
/* The same, if what is named has not changed since this very *head was written: it writes only a
 * head, with the new ack and time. It does not look at the records on disk. -ESTALE: the head on
 * disk is another one, so a whole report is to be written; or as above. */
int pool_report_again(struct disk *disk, struct pool_head *head);
