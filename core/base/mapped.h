// SPDX-License-Identifier: Apache-2.0
/*
 * mapped: mapped files whose disk fails.
 *
 * What is read or written through a mapping gets no error of a system call but a SIGBUS, sent to
 * the thread that touched it: a disk that cannot be read, a hole where a full disk has no room.
 *
 *     mapped_catch_faults(fn)          once, before any of these maps is used; without it a fault
 *                                      ends the process as usual
 *     mapped_add(base, len, "file")    ... mapped_remove(base) before it is unmapped
 *     mapped_guard(fn, arg)            -EIO instead of the fault
 *
 * Within mapped_guard the thread is taken back to where it began. Anywhere else there is no way
 * back: the program is told where, and ends. Beyond 64 maps the rest are not known, and a fault in
 * one of those ends the process without a word. Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Told which file, and where in it; what it returns is the process's exit code. */
typedef int mapped_fault_fn(const char *file, uint64_t offset);

/* -errno: the handler could not be set. */
int mapped_catch_faults(mapped_fault_fn *fn);
/* `file` is kept, not copied. */
void mapped_add(const void *base, size_t len, const char *file);
void mapped_remove(const void *base);
/* fn(arg), or -EIO if a page of a map that it touched cannot be had, or what it read there led to
 * where there is no memory: then fn was left in the middle.
 * It takes no lock, owns nothing, and changes nothing that would have to be undone. */
int mapped_guard(int (*fn)(void *arg), void *arg);
/* Within mapped_guard: back to where it began, as with such a page. Elsewhere it returns. */
void mapped_give_up(void);
