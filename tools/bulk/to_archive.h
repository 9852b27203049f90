// SPDX-License-Identifier: Apache-2.0
/*
 * to_archive: writes a directory with all that is below it as a tar archive, in the pax format,
 * which can say all that a file has: names as bytes, times with ns, holes, hard links, extended
 * attributes, ACLs.
 */
#pragma once

#include "export.h"

/* Is the name that of an archive, by its end? */
bool archive_is_name(const char *name);
/* Is it the name of an archive that is not written, or of a compressed file? */
bool archive_is_other_name(const char *name);
/* Writes the tree of `e` to `fd`, compressed as the end of `name` says. 0 or -errno, with a
 * sentence in e->why. */
int to_archive(struct export *e, int fd, const char *name);
