// SPDX-License-Identifier: Apache-2.0
/*
 * store_copy: a copy of a closed store in memory, as somebody makes one by copying its files.
 *
 *     store_copy_disk(disk, &copy)
 *     store_copy_kv(mem, &mem_copy)
 *
 * Threads: one. A failure ends the program.
 */
#pragma once

#include "disk.h"
#include "kv_mem.h"

/* Makes a disk in memory with all files of `from`. The caller closes it. */
void store_copy_disk(struct disk *from, struct disk **ret);
/* Makes a kv in memory with all rows of `from`. The caller destroys it. */
void store_copy_kv(struct kv_mem *from, struct kv_mem **ret);
