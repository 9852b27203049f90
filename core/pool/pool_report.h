// SPDX-License-Identifier: Apache-2.0
/*
 * pool_report: the report of one node: every key that its committed tables name. Others read it to
 * find bytes that are there already (the pool's index), collectors to learn what must stay.
 *
 *     pool_report_write(disk, &head, records, count)      by the node itself, after a commit
 *     pool_report_open(disk, node, like, &r) -> find, names, get ... -> pool_report_close
 *
 * On disk: a head that names a base and, while it is small, a delta against it (FORMAT.md). Order
 * of durability: a body is written, synced, and its name synced; then the head that names it
 * replaces the old one, and is synced with its name; only then the bodies that no head names any
 * more go.
 *
 * An opened report is what the node said at that time, for as long as it is open, whatever the node
 * writes meanwhile: files stay open. All blocks are read and checked once when it is opened, and
 * each again whenever it is read: damage is -EUCLEAN, never data. Memory: 2 bytes a record, and 16
 * for each 85 of them; reads come from the page cache, and an id that is not there costs none.
 * -ESTALE and -EIO of a disk that lost the file mean: open it anew.
 *
 * Threads: an opened report may be asked by any number of threads at once; pool_report_write is one
 * thread's at a time.
 */
#pragma once

#include "disk.h"
#include "gc.h"
#include "pool_format.h"

struct pool_report;

/* The node's newest report. `like` (may be NULL): one that was opened before; what has not changed
 * since is shared with it, not read again; either may be closed first. -ENOENT the node has not
 * reported, or is retired, whatever of it is there; -EUCLEAN damaged; -EAGAIN it was replaced each
 * of three times. */
int pool_report_open(struct disk *disk, unsigned node, const struct pool_report *like,
                     struct pool_report **ret_report);
void pool_report_close(struct pool_report *r); /* NULL is fine */
const struct pool_head *pool_report_head(const struct pool_report *r);

#define POOL_ANY_SIZE UINT64_MAX
/* The nth place (from 0) where the node says that an object with that id and size is, as a sealed
 * entry with count 0. -ENOENT there are not as many. */
int pool_report_find(const struct pool_report *r, const struct id *id, uint64_t size, unsigned nth,
                     struct entry *ret);
/* What it says of one key. -ENOENT it does not name it. */
int pool_report_get(const struct pool_report *r, const struct id *key, struct pool_record *ret);
/* ret[i] is an enum gc_named of keys[i]; keys ascend. One pass over what lies between the first and
 * the last of them, and over nothing else, so ask for many at once. */
int pool_report_names(const struct pool_report *r, const struct id *keys, size_t count,
                      uint8_t *ret);

/* Every key it names, ascending. Non-zero from `fn` stops and is returned. */
typedef int pool_report_key_fn(const struct id *key, enum gc_named named, void *ctx);
int pool_report_each(const struct pool_report *r, pool_report_key_fn *fn, void *ctx);

/* Write a report of `count` records, ascending by key, without two of one key (-EUCLEAN: two places
 * that share a key; -EINVAL not ascending, or a flag POOL_GONE). Of *head the caller sets node,
 * life, ack, time, and serial to that of the report before in this incarnation, 0 at first; all
 * else is set here, also the new serial, which is above all before it. What is on disk of the node
 * is compared: nothing changed, only a head is written; little did, a delta; else, or where the old
 * one is damaged, a base. With 0 it is durable. -ESTALE the node is retired, or in another
 * incarnation: a copy of the store, or whoever retired it, has taken its place. On error *head is
 * as it was but for its serial, which is not used again; the old report is still whole, and in
 * force unless its head was being replaced, when either may be. Bytes of memory: 12 for each record
 * of the base at most. */
int pool_report_write(struct disk *disk, struct pool_head *head, const struct pool_record *records,
                      size_t count);
/* The same, where what is named has not changed since this very *head was written: only a head,
 * with the new ack and time. -ESTALE it is not in force any more: write all. What has become of the
 * records on disk meanwhile is not looked at. */
int pool_report_again(struct disk *disk, struct pool_head *head);
