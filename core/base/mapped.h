// SPDX-License-Identifier: Apache-2.0
/*
 * mapped: handles errors of the disk under mapped files.
 *
 * If a page of a mapping cannot be read from the disk, or a hole cannot be filled because the disk
 * is full, no system call returns an error. The kernel sends SIGBUS to the thread that touched the
 * page.
 *
 *     mapped_catch_faults(fn)          once, before any of these maps is used; without it a fault
 *                                      ends the process as usual
 *     mapped_add(base, len, "file")    ... mapped_remove(base) before it is unmapped
 *     mapped_guard(fn, arg)            returns -EIO instead of the fault
 *
 * Within mapped_guard the thread jumps back to its beginning. Anywhere else there is no way back:
 * the function of mapped_catch_faults gets the file and the offset, and the process ends. Only 64
 * maps are known at a time. A fault in any further map ends the process without a message. Threads:
 * any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Called with the file and the offset of the fault. It returns the exit code of the process. */
typedef int mapped_fault_fn(const char *file, uint64_t offset);

/* Installs the handlers. The first call counts; later calls do nothing. -errno: a handler could not
 * be set. */
int mapped_catch_faults(mapped_fault_fn *fn);
/* Makes a map known. `file` is not copied, and must stay valid until mapped_remove. */
void mapped_add(const void *base, size_t len, const char *file);
void mapped_remove(const void *base);
/* Returns fn(arg); or -EIO if fn touched a page of a map that cannot be read, or if damaged
 * contents led it to an address without memory. In these cases fn was left in the middle. So fn
 * takes no lock, allocates nothing, and changes nothing that would have to be undone. */
int mapped_guard(int (*fn)(void *arg), void *arg);
/* Within mapped_guard: makes it return -EIO, as for such a page. Elsewhere it does nothing. */
void mapped_give_up(void);
