// SPDX-License-Identifier: Apache-2.0
/*
 * disk_mem: a disk in memory. Beside the state that programs see it keeps the state that would
 * survive a loss of power. `disk_mem_power_cycle()` throws away the changes that were not durable,
 * as `loss` of the fault says:
 *
 *   file bytes    since the last disk_sync: each pwrite, truncate and punch is lost or kept
 *   mapped bytes  likewise each disk_map_wrote, of which FAULT_LOSE_SOME keeps any of the 512-byte
 *                 sectors
 *   names         since the last disk_sync_dir: each create, link, unlink and rename is lost or
 *                 kept
 *   FAULT_LOSE_SOME also tears a write at a 512-byte boundary; so does FAULT_LOSE_ONE the one
 *   that is lost, and FAULT_KEEP_ONE the one that is kept
 *
 * A file whose last name is lost is gone. A durable name whose file was never synced exists, with
 * the bytes that survived.
 */
#pragma once

#include "disk.h"
#include "fault.h"

/* Makes an empty disk. `f` may be NULL, and must outlive the disk. `capacity`: bytes, beyond which
 * writes are -ENOSPC; 0: no limit. */
int disk_mem_create(struct fault *f, uint64_t capacity, struct disk **ret_disk);
/* Loses the power, and turns it on again; the caller calls fault_reset itself. All files must be
 * closed. */
void disk_mem_power_cycle(struct disk *d);
/* A number for what the last power cycle lost. For two disks on which the same was done it is the
 * same if and only if both lost the same of the same changes. Changes of files that no name leads
 * to any more do not count. */
uint64_t disk_mem_lost(struct disk *d);
/* The number of a file or directory: two names have the same number if and only if they are names
 * of the same file. -ENOENT. */
int disk_mem_number(struct disk *d, const char *name, uint64_t *ret_number);
/* Flips one bit of a file. -ENOENT: there is no such name or byte. */
int disk_mem_flip(struct disk *d, const char *name, uint64_t byte, unsigned bit);
/* How many bytes all files hold, and how many names there are. */
void disk_mem_usage(struct disk *d, uint64_t *ret_bytes, uint64_t *ret_names);
