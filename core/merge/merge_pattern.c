// SPDX-License-Identifier: Apache-2.0
/*
 * merge_pattern: see the header. The components of the pattern are taken one by one, and it is
 * noted at which components of the path what was taken so far can end. So the work is the product
 * of both numbers at most, whatever the pattern is.
 */
#include "merge_pattern.h"
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

#define PARTS_MAX (PATH_MAX / 2) /* components of a path */

struct parts {
    char text[PATH_MAX]; /* each component ends with a NUL */
    const char *v[PARTS_MAX];
    size_t count;
};

/* False: the path is too long. */
static bool split(const char *path, struct parts *ret)
{
    size_t len = strlen(path);

    if (len >= sizeof ret->text)
        return false;
    memcpy(ret->text, path, len + 1);
    ret->count = 0;
    for (char *at = ret->text, *slash; at && ret->count < PARTS_MAX; at = slash) {
        slash = strchr(at, '/');
        if (slash)
            *slash++ = '\0';
        if (*at)
            ret->v[ret->count++] = at;
    }
    return true;
}

int merge_pattern_check(const char *pattern)
{
    size_t len = strlen(pattern);

    return len == 0 || len >= MERGE_PATTERN_MAX || pattern[len - 1] == '/' ? -EINVAL : 0;
}

/* Takes one component of the pattern: ends[i] says whether what was taken before can end before
 * component i of the path, and afterwards the same of all with `part`. */
static void take(const struct parts *path, const char *part, bool last, bool ends[PARTS_MAX + 1])
{
    if (!strcmp(part, "**")) {
        bool any = false;

        for (size_t i = 0; i <= path->count; i++) {
            bool here = ends[i];

            ends[i] = any || (here && !last);
            any |= here;
        }
        return;
    }
    for (size_t i = path->count; i > 0; i--)
        ends[i] = ends[i - 1] && fnmatch(part, path->v[i - 1], 0) == 0;
    ends[0] = false;
}

bool merge_pattern_matches(const char *pattern, const char *path)
{
    bool ends[PARTS_MAX + 1] = {true};
    struct parts all, parts;
    const char *slash = strrchr(path, '/');

    if (!strchr(pattern, '/') && strcmp(pattern, "**") != 0)
        return fnmatch(pattern, slash ? slash + 1 : path, 0) == 0;
    if (!split(path, &all) || !split(pattern, &parts))
        return false;
    for (size_t i = 0; i < parts.count; i++)
        take(&all, parts.v[i], i + 1 == parts.count, ends);
    return ends[all.count];
}
