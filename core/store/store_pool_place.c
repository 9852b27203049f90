// SPDX-License-Identifier: Apache-2.0
/* store_pool_place: see the header. */
#include "store_pool_place.h"

#include "disk_put.h"
#include "io.h"
#include "pool_dir.h"
#include "shard.h"
#include "store_own.h"
#include "strbuf.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(POOL_PATH_MAX >= SHARD_URL_MAX, "a pool_home has room for any URL");

__attribute__((format(printf, 3, 4))) static int fail(int err, char why[STORE_WHY], const char *fmt,
                                                      ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, STORE_WHY, fmt, args);
    va_end(args);
    return err;
}

/* ---- a directory ---- */

/* Syncs the parent directory, which has the name of the pool; also that of an existing pool, since
 * the process that made it may have been interrupted. If we may not read it, its owner has to sync
 * it. */
static int sync_parent(const char *path, char why[STORE_WHY])
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 ? -errno : io_sync_dir(fd, "..");

    return err == 0 || err == -EACCES
               ? 0
               : fail(err, why, "cannot make the pool %s: %s", path, strerror(-err));
}

/* Finds the directory that `url` means, and makes it if there is none. ret_path is absolute and
 * without symlinks. */
static int find_directory(const char *url, char why[STORE_WHY], char ret_path[POOL_PATH_MAX + 1])
{
    const char *name = url + strlen(STORE_POOL_DIRECTORY);
    char *path;
    int err;

    if (!*name)
        return fail(-EINVAL, why, "a pool is dir:PATH, not '%.200s'", url);
    if (mkdir(name, 0700) < 0 && errno != EEXIST)
        return fail(-errno, why, "cannot make the pool %s: %s", name, strerror(errno));
    path = realpath(name, NULL);
    if (!path)
        return fail(-errno, why, "cannot find the pool %s: %s", name, strerror(errno));
    err = strlen(path) > POOL_PATH_MAX || !text_is_printable(path) ? -EINVAL : 0;
    if (err == 0)
        snprintf(ret_path, POOL_PATH_MAX + 1, "%s", path);
    free(path);
    return err ? fail(err, why,
                      "the path of a pool has at most %d bytes and no control characters; %.200s",
                      POOL_PATH_MAX, name)
               : sync_parent(ret_path, why);
}

/* Is `path` the directory `in` or below it? Both are absolute, without symlinks. */
static bool is_within(const char *path, const char *in)
{
    size_t n = strcmp(in, "/") == 0 ? 0 : strlen(in);

    return strncmp(path, in, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Refuses a pool inside of the store and a store inside of the pool. Whoever removes the store
 * would remove what others keep in that pool; and what is in a pool belongs to the pool. A pool
 * that was made just now is removed again. */
static int refuse_inside(int dirfd, const char *pool, char why[STORE_WHY])
{
    char self[64], store[POOL_PATH_MAX + 1] = "";
    ssize_t n;
    bool within;

    snprintf(self, sizeof self, "/proc/self/fd/%d", dirfd);
    n = readlink(self, store, sizeof store - 1);
    if (n <= 0 || (size_t)n >= sizeof store - 1)
        return 0;
    within = is_within(pool, store);
    if (!within && !is_within(store, pool))
        return 0;
    if (strcmp(store, pool) == 0)
        return fail(-EINVAL, why,
                    "the store %s cannot be the pool itself; give a directory of its own", store);
    if (!within)
        return fail(-EINVAL, why,
                    "the store %s would be inside of the pool; give another directory", store);
    (void)rmdir(pool);
    return fail(-EINVAL, why,
                "the pool %s would be inside of the store; give a directory of its own", pool);
}

/* Opens the directory of the pool, and checks who owns it. The caller closes *ret_fd, also after an
 * error. */
static int open_directory(const char *path, unsigned flags, int *ret_fd, struct disk **ret_disk,
                          char why[STORE_WHY])
{
    static const char *const names[] = {POOL_IDENTITY_FILE, "packs", "marks", "lease", "nodes",
                                        "objects",          NULL};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

    *ret_fd = fd;
    if (fd < 0)
        return -errno;
    err = store_own_check(fd, "pool", path, names, flags, why);
    if (err == 0)
        err = store_own_check_objects(fd, "pool", path, flags, why);
    return err < 0 ? err : disk_open_fd(fd, store_disk_flags(flags), ret_disk);
}

/* ---- a shard ---- */

/* Brings the URL into the form that is recorded. A driver refuses a URL with a secret in it. */
static int find_shard(const char *url, char why[STORE_WHY], char ret_url[POOL_PATH_MAX + 1])
{
    char normal[SHARD_URL_MAX + 1], reason[SHARD_WHY] = "";
    int err = shard_normal_url(url, normal, reason);

    if (err == -EINVAL && !strchr(url, ':'))
        return fail(err, why, "a pool is dir:PATH, or the URL of a shard, not '%.200s'", url);
    if (err < 0)
        return fail(err, why, "cannot use %.200s as a pool: %s", url, reason);
    snprintf(ret_url, POOL_PATH_MAX + 1, "%s", normal);
    return 0;
}

/* Tries whether the place decides between several writers (shard_probe). */
static int probe(struct shard *s, const char *url, char why[STORE_WHY])
{
    char reason[SHARD_WHY] = "";
    int err = shard_probe(s, reason);

    return err < 0 ? fail(err, why, "cannot use %s as a pool: %s", url,
                          *reason ? reason : strerror(-err))
                   : 0;
}

/* Opens the shard, and makes a disk of it. */
static int open_shard(const char *url, struct disk *own, unsigned flags, bool joins,
                      struct disk **ret_disk, char why[STORE_WHY])
{
    unsigned how =
        (flags & STORE_READONLY ? SHARD_READONLY : 0) | (flags & STORE_FOREIGN ? SHARD_FOREIGN : 0);
    char reason[SHARD_WHY] = "";
    struct shard *s;
    int err = shard_open(url, how, &s, reason);

    if (err == -EHOSTUNREACH)
        return fail(err, why, "the pool %s cannot be asked now: %s; try again when it can", url,
                    reason);
    if (err < 0)
        return fail(err, why, "cannot open the pool %s: %s", url, reason);
    err = joins ? probe(s, url, why) : 0;
    if (err == 0)
        err = disk_put_open(s, own, store_disk_flags(flags), ret_disk);
    if (err < 0)
        shard_close(s);
    return err;
}

/* ---- either ---- */

int pool_place_find(int dirfd, const char *url, struct pool_home *home, char why[STORE_WHY])
{
    int err;

    home->is_shard = store_pool_is_shard(url);
    if (home->is_shard)
        return find_shard(url, why, home->path);
    err = find_directory(url, why, home->path);
    return err < 0 ? err : refuse_inside(dirfd, home->path, why);
}

int pool_place_open(const struct pool_home *home, struct disk *own, unsigned flags, bool joins,
                    int *ret_fd, struct disk **ret_disk, char why[STORE_WHY])
{
    *ret_fd = -1;
    return home->is_shard ? open_shard(home->path, own, flags, joins, ret_disk, why)
                          : open_directory(home->path, flags, ret_fd, ret_disk, why);
}
