// SPDX-License-Identifier: Apache-2.0
/*
 * shard_dir_url: which directories of this machine can become a shard. A directory in a mounted
 * tallyfs is refused before any system call looks at it: the daemon that would have to answer may
 * be this process.
 */
#include "mounts.h"
#include "shard_dir_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TYPE "fuse.tally"
#define PARENTS_MAX 64 /* how many directories above a path are looked at */

/* ---- the path ---- */

/* Makes a path absolute, without "//", "/./" and a slash at its end. ".." stays, since only the
 * disk knows where it leads. */
static int clean_path(const char *rest, char *out, size_t cap)
{
    char whole[PATH_MAX];
    char *cwd = *rest == '/' ? NULL : realpath(".", NULL);
    size_t len = 0;

    if (*rest != '/' && !cwd)
        return -errno;
    int n = snprintf(whole, sizeof whole, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", rest);

    free(cwd);
    if (n < 0 || (size_t)n >= sizeof whole)
        return -ENAMETOOLONG;
    for (const char *at = whole; *at;) {
        size_t part = strcspn(at, "/");
        bool skip = part == 0 || (part == 1 && *at == '.');

        if (!skip && len + part + 2 > cap)
            return -ENAMETOOLONG;
        if (!skip) {
            out[len++] = '/';
            memcpy(out + len, at, part);
            len += part;
        }
        at += part + (at[part] == '/');
    }
    if (len == 0)
        out[len++] = '/';
    out[len] = '\0';
    return 0;
}

/* ---- what is mounted ---- */

static bool is_below(const char *path, const char *dir)
{
    size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Is the path in a mounted tallyfs? Without `dev` that is decided by the path alone, with `dev` by
 * the device that the path has led to. */
static bool is_in_tally(const char *path, const dev_t *dev)
{
    FILE *f = fopen(MOUNTS_SELF, "re");
    struct mounts_line m;
    unsigned major, minor;
    size_t longest = 0, room = 0;
    bool found = false;
    char *line = NULL;

    while (f && getline(&line, &room, f) > 0) {
        if (!mounts_parse(line, &m) || sscanf(m.dev, "%u:%u", &major, &minor) != 2)
            continue;
        bool tally = strcmp(m.type, TYPE) == 0;

        if (dev && tally && makedev(major, minor) == *dev)
            found = true;
        if (!dev && is_below(path, m.point) && strlen(m.point) >= longest) {
            longest = strlen(m.point);
            found = tally;
        }
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* ---- what is above it ---- */

/* Has the directory a file of that name? A subdirectory does not count, such as a ~/tally-store
 * that a user made. */
static bool has_mark(int dir, const char *name)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode);
}

/* What the directory is a part of: a store, a pool or another shard; NULL: of none of them. Closes
 * `dir`. */
static const char *part_of(int dir)
{
    static const char *const marks[][2] = {
        {"tally-store", "a store"}, {"tally-pool", "a pool"}, {"tally-shard", "another shard"}};
    const char *found = NULL;
    struct stat here, above;

    for (unsigned depth = 0; depth < PARENTS_MAX && !found; depth++) {
        for (size_t i = 0; i < sizeof marks / sizeof marks[0] && !found; i++)
            if (has_mark(dir, marks[i][0]) && (depth > 0 || i < 2))
                found = marks[i][1]; /* its own tally-shard does not count: it may be the shard */
        int up = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (up < 0)
            break;
        bool is_root = fstat(dir, &here) < 0 || fstat(up, &above) < 0 ||
                       (here.st_ino == above.st_ino && here.st_dev == above.st_dev);

        close(dir);
        dir = up;
        if (is_root)
            break;
    }
    close(dir);
    return found;
}

int shard_dir_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY])
{
    struct stat st;
    int err = *rest ? clean_path(rest, out, cap) : -EINVAL;

    if (err < 0) {
        snprintf(why, SHARD_WHY,
                 err == -ENAMETOOLONG ? "the path is too long" : "dir: needs a path");
        return -EINVAL;
    }
    bool tally = is_in_tally(out, NULL);
    int dir = tally ? -1 : open(out, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (dir >= 0)
        tally = fstat(dir, &st) == 0 && is_in_tally(out, &st.st_dev);
    if (tally) {
        if (dir >= 0)
            close(dir);
        snprintf(why, SHARD_WHY, "%.150s is in a mounted tallyfs", out);
        return -EINVAL;
    }
    const char *whole = dir >= 0 ? part_of(dir) : NULL;

    if (!whole)
        return 0; /* 0, too, if nothing is there: opening it will fail */
    snprintf(why, SHARD_WHY, "%.150s is a part of %s", out, whole);
    return -EINVAL;
}
