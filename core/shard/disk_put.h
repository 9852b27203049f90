// SPDX-License-Identifier: Apache-2.0
/*
 * disk_put: the disk of a pool that a shard keeps, such as an object store: whole files alone. The
 * files of a pool (pool_file.h), packs and objects are written and read there as on any disk, with
 * these differences:
 *
 *     disk_open with DISK_CREATE    makes a file of this process. Nobody else sees it
 *     disk_sync of "DIR/tmp.X"      does nothing: the file stays one of this process
 *     disk_rename("…/tmp.X", name)  puts all bytes of the file under `name`, and replaces
 *     disk_link("…/tmp.X", name)    puts them if nothing has that name: else -EEXIST
 *     disk_sync of another name     puts them under that name, if nothing has it. From then on the
 *                                   file cannot be changed (-EROFS), by nobody
 *     disk_put_copy(d, name, file)  puts the bytes of a file of another disk: for those of any size
 *
 * What was put is whole, seen by all, and durable. So disk_mkdir and disk_sync_dir do nothing, and
 * a directory is there as long as something is in it: disk_list of any other one has no names and
 * is no error. Files that exist cannot be opened for writing (-EROFS); they cannot be mapped,
 * punched, or linked to a second name (-EOPNOTSUPP).
 *
 * Names that are given to disk_sync and disk_put_copy are used once, by one writer. So if the shard
 * says -EEXIST the bytes there are compared with those of the file: if they are the same, an
 * earlier attempt was done although its answer was lost, and the result is 0. For a name that
 * decides something, which disk_link puts, -EEXIST may mean an own attempt, too; the callers read
 * back who was first where that matters. A rename of more than SHARD_PACK_MAX bytes is not atomic:
 * what has the name is deleted first. Files of a pool that may be longer and are replaced have a
 * new serial in their names, so usually there is nothing to replace.
 *
 * After a put that failed all bytes are still here, and it may be done or not. The same call can be
 * repeated, with the same bytes. -EHOSTUNREACH: the place cannot be asked now; it is never -ENOENT.
 *
 * Reading: disk_open asks for the first DISK_PUT_AHEAD bytes, so a small file costs one request,
 * and what was read of it is of one moment. A larger file is only a name that is read by ranges,
 * with one window of bytes read ahead. If it has vanished since it was opened, reading it returns
 * -ESTALE. With DISK_COPIED all of it is read by the open, and kept as files in the making are. A
 * file of this process that was put is read from its own copy until it is closed.
 *
 * disk_space returns what the shard said at the open or after a put, at most DISK_PUT_SPACE ago if
 * anything was put; it asks nobody, and never waits. `blocks` is 0 where the shard does not know.
 *
 * Files in the making have up to DISK_PUT_MEMORY bytes in memory each, and beyond that their bytes
 * are in a file without a name on the disk `scratch`, which is that of the store.
 *
 * Threads: any. Locks: "disk put" and "put file", leaves; neither is held while a shard is asked.
 * The second is held while bytes go to `scratch`.
 */
#pragma once

#include "disk.h"
#include "shard.h"

#define DISK_PUT_AHEAD (64 * 1024)         /* bytes */
#define DISK_PUT_MEMORY (64 * 1024)        /* bytes */
#define DISK_PUT_SPACE (10 * NSEC_PER_SEC) /* ns */

/* Makes a disk of a shard, and takes the shard over: disk_close closes it. `scratch` is borrowed;
 * it may be read-only if the shard was opened so. `flags`: of enum disk_flags. After an error the
 * shard is still the caller's. -ENOMEM. */
int disk_put_open(struct shard *shard, struct disk *scratch, unsigned flags,
                  struct disk **ret_disk);
/* Gives up a file in the making, whatever its name. One that was put stays where it is, and so does
 * one of which an attempt may have been done. Nobody is asked. */
void disk_put_forget(struct disk *d, const char *name);
