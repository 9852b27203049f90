// SPDX-License-Identifier: Apache-2.0
/*
 * shard: which drivers there are, and what they would all have to check alike.
 */
#include "shard.h"

#include "shard_impl.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DRIVERS_MAX 8
#define OFFSET_MAX ((uint64_t)INT64_MAX) /* beyond off_t nothing can reach */
#define SCHEME_MAX 16

/* Written at start by one thread, then only read. */
static const struct shard_driver *drivers[DRIVERS_MAX] = {&shard_dir_driver};
static size_t driver_count = 1;

/* ---- drivers and URLs ---- */

int shard_register(const struct shard_driver *driver)
{
    for (size_t i = 0; i < driver_count; i++)
        if (strcmp(drivers[i]->scheme, driver->scheme) == 0)
            return -EEXIST;
    if (driver_count == DRIVERS_MAX || strlen(driver->scheme) > SCHEME_MAX)
        return -EINVAL;
    drivers[driver_count++] = driver;
    return 0;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

/* Who knows it, and what stands behind the colon. */
static int split(const char *url, const struct shard_driver **ret_driver, const char **ret_rest,
                 char why[SHARD_WHY])
{
    const char *colon = strchr(url, ':');

    if (strlen(url) > SHARD_URL_MAX || !is_printable(url)) {
        snprintf(why, SHARD_WHY, "the URL is longer than %d bytes, or has control characters in it",
                 SHARD_URL_MAX);
        return -EINVAL;
    }
    for (size_t i = 0; colon && i < driver_count; i++)
        if (strlen(drivers[i]->scheme) == (size_t)(colon - url) &&
            strncmp(drivers[i]->scheme, url, (size_t)(colon - url)) == 0) {
            *ret_driver = drivers[i];
            *ret_rest = colon + 1;
            return 0;
        }
    snprintf(why, SHARD_WHY, "nothing here knows what to do with '%.100s': say dir:PATH", url);
    return -EINVAL;
}

int shard_normal_url(const char *url, char out[SHARD_URL_MAX + 1], char why[SHARD_WHY])
{
    const struct shard_driver *driver;
    const char *rest;
    char normal[SHARD_URL_MAX + 1];
    int err = split(url, &driver, &rest, why);

    if (err < 0)
        return err;
    err = driver->normal(rest, normal, SHARD_URL_MAX - strlen(driver->scheme), why);
    if (err < 0)
        return err;
    snprintf(out, SHARD_URL_MAX + 1, "%s:%.*s", driver->scheme,
             (int)(SHARD_URL_MAX - strlen(driver->scheme) - 1), normal);
    return 0;
}

int shard_open(const char *url, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY])
{
    const struct shard_driver *driver;
    const char *rest;
    bool readonly = flags & SHARD_READONLY;
    int err = split(url, &driver, &rest, why);

    if (err < 0)
        return err;
    err = driver->open(rest, flags, ret_shard, why);
    if (err < 0)
        return err;
    (*ret_shard)->driver = driver;
    (*ret_shard)->readonly = readonly;
    return 0;
}

void shard_close(struct shard *s)
{
    if (s)
        s->driver->close(s);
}

/* ---- names ---- */

static bool is_part_ok(const char *part, size_t len)
{
    if (len == 0 || part[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (part[i] <= ' ' || part[i] > '~')
            return false;
    return true;
}

static int check_name(const char *name)
{
    size_t len = strlen(name);
    const char *slash;

    if (len > DISK_NAME_MAX)
        return -ENAMETOOLONG;
    if (strncmp(name, SHARD_TMP "/", sizeof SHARD_TMP) == 0)
        return -EINVAL;
    for (const char *part = name;; part = slash + 1) {
        slash = strchr(part, '/');
        if (!is_part_ok(part, slash ? (size_t)(slash - part) : strlen(part)))
            return -EINVAL;
        if (!slash)
            return 0;
    }
}

static int check_change(const struct shard *s, const char *name)
{
    int err = check_name(name);

    if (err < 0)
        return err;
    return s->readonly ? -EROFS : 0;
}

/* ---- putting ---- */

struct bytes {
    const uint8_t *data;
};

static int read_bytes(void *ctx, void *buf, size_t len, uint64_t off)
{
    memcpy(buf, ((struct bytes *)ctx)->data + off, len);
    return 0;
}

static int put_bytes(struct shard *s, const char *name, const void *data, size_t len, bool replace)
{
    struct bytes bytes = {data};
    struct shard_source source = {.read = read_bytes, .ctx = &bytes, .size = len};
    int err = check_change(s, name);

    return err < 0 ? err : s->driver->put(s, name, &source, replace);
}

int shard_put(struct shard *s, const char *name, const void *data, size_t len)
{
    return put_bytes(s, name, data, len, true);
}

int shard_put_if_absent(struct shard *s, const char *name, const void *data, size_t len)
{
    return put_bytes(s, name, data, len, false);
}

int shard_put_stream(struct shard *s, const char *name, const struct shard_source *source)
{
    int err = check_change(s, name);

    if (err == 0 && source->size > OFFSET_MAX)
        err = -EFBIG;
    return err < 0 ? err : s->driver->put(s, name, source, false);
}

/* ---- the rest ---- */

ssize_t shard_get(struct shard *s, const char *name, void *buf, size_t cap)
{
    int err = check_name(name);

    return err < 0 ? err : s->driver->get(s, name, buf, cap);
}

ssize_t shard_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off)
{
    int err = check_name(name);

    if (err == 0 && (off > OFFSET_MAX || len > OFFSET_MAX - off))
        err = -EFBIG;
    return err < 0 ? err : s->driver->range(s, name, buf, len, off);
}

int shard_stat(struct shard *s, const char *name, uint64_t *ret_size)
{
    int err = check_name(name);

    return err < 0 ? err : s->driver->stat(s, name, ret_size);
}

int shard_delete(struct shard *s, const char *name)
{
    int err = check_change(s, name);

    return err < 0 ? err : s->driver->remove(s, name);
}

int shard_list(struct shard *s, const char *dir, shard_list_fn *fn, void *ctx)
{
    int err = *dir ? check_name(dir) : 0;

    return err < 0 ? err : s->driver->list(s, dir, fn, ctx);
}

int shard_space(struct shard *s, struct shard_space *ret)
{
    return s->driver->space(s, ret);
}
