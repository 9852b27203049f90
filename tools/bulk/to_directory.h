// SPDX-License-Identifier: Apache-2.0
/*
 * to_directory: copies a directory with all that is below it. Bytes are shared where the two are in
 * one filesystem that can do that, and else copied; they are never the same file.
 */
#pragma once

#include "export.h"

/* Copies the tree of `e` into the empty directory `fd`, which only this process may write to. 0 or
 * -errno, with a sentence in e->why. */
int to_directory(struct export *e, int fd);
