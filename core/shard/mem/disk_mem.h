// SPDX-License-Identifier: Apache-2.0
/*
 * disk_mem: a disk in memory that keeps, beside what programs see, what would survive the loss of
 * power. `disk_mem_power_cycle()` throws away what was not durable, as the fault's `loss` says:
 *
 *   file bytes    since the last disk_sync: each pwrite/truncate/punch lost or kept on its own
 *   mapped bytes  likewise, each disk_map_wrote on its own, of which FAULT_LOSE_SOME keeps any of
 *                 the 512-byte sectors
 *   names         since the last disk_sync_dir: each create/link/unlink/rename lost or kept
 *   FAULT_LOSE_SOME also tears a write at a 512-byte boundary; so does FAULT_LOSE_ONE the one
 *   that is lost, and FAULT_KEEP_ONE the one that is kept
 *
 * A file whose last name is lost is gone; a durable name whose file was never synced exists, with
 * whatever bytes survived.
 */
#pragma once

#include "disk.h"
#include "fault.h"

/* `f` may be NULL; it must outlive the disk. `capacity`: bytes, 0 = endless; beyond: -ENOSPC. */
int disk_mem_create(struct fault *f, uint64_t capacity, struct disk **ret_disk);
/* All files must be closed. Power is on again afterwards (call fault_reset yourself). */
void disk_mem_power_cycle(struct disk *d);
/* What the last power cycle lost, as a number: the same for two disks that did the same, if and
 * only if they lost the same of the same changes. Those of files that nobody can see any more do
 * not count. */
uint64_t disk_mem_lost(struct disk *d);
/* Of a file or directory: two names are one file's if and only if their numbers are equal.
 * -ENOENT. */
int disk_mem_number(struct disk *d, const char *name, uint64_t *ret_number);
/* Flip one bit of a file; -ENOENT no such name or byte. */
int disk_mem_flip(struct disk *d, const char *name, uint64_t byte, unsigned bit);
/* Bytes held by all files, and how many names there are (tests: "nothing is left"). */
void disk_mem_usage(struct disk *d, uint64_t *ret_bytes, uint64_t *ret_names);
