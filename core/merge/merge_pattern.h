// SPDX-License-Identifier: Apache-2.0
/*
 * merge_pattern: does a pattern match a path? Patterns are those of gitattributes(5). A pattern
 * without a slash, but for one at its end that is refused, is compared with the last component of
 * the path. Any other one is compared with the whole path, and a slash in front of it is left out.
 * In a component *, ? and […] are those of fnmatch(3), and \ takes the next character as it is. A
 * component ** stands for any number of components; as the last one for one at least.
 *
 * Pure functions; any thread.
 */
#pragma once

#include <stdbool.h>

#define MERGE_PATTERN_MAX 4096 /* bytes of a pattern */

/* Can it be a pattern? -EINVAL: it is empty, too long, or ends with a slash. */
int merge_pattern_check(const char *pattern);
/* `pattern` passed the check. `path` has no slash at its beginning, nor at its end; of a path that
 * is too long to be matched the answer is no. */
bool merge_pattern_matches(const char *pattern, const char *path);
