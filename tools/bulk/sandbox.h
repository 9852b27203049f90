// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox: a process that parses what others wrote gives up all rights but those to read and write
 * what is open, to take memory and to end. A program error in the parser then leads to nothing that
 * its input could not have asked for anyway.
 */
#pragma once

#include <stddef.h>

/* From now on no thread of the process can open, make or change a file by its name, begin a process
 * or a connection, signal others, or get a right. What is open and not among `keep` is closed.
 * 0 or -errno; the process must end then. */
int sandbox_enter(const int *keep, size_t count);
