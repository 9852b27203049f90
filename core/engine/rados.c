// SPDX-License-Identifier: Apache-2.0
/*
 * rados: the driver "rados:" (rados_url.h): a namespace of a pool of Ceph. rados_impl.h says which
 * objects there are.
 *
 * librados waits for ever for a cluster that is away, unless it has time limits: these are two
 * thirds of shard_patience() as it is when the shard is opened.
 */
#include "clock.h"
#include "engines_impl.h"
#include "rados_impl.h"
#include "shard_traffic.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rados *rados_of(struct shard *s)
{
    return (struct rados *)s;
}

/* ---- which long files were read lately ---- */

static bool find_known(struct rados *r, const char *name, struct rados_pieces *ret)
{
    MUTEX_GUARD(&r->lock);

    for (unsigned i = 0; i < RADOS_KNOWN; i++)
        if (strcmp(r->known[i].name, name) == 0) {
            *ret = r->known[i].pieces;
            return true;
        }
    return false;
}

static void forget_known(struct rados *r, const char *name)
{
    MUTEX_GUARD(&r->lock);

    for (unsigned i = 0; i < RADOS_KNOWN; i++)
        if (strcmp(r->known[i].name, name) == 0)
            *r->known[i].name = '\0';
}

static void note_known(struct rados *r, const char *name, const struct rados_pieces *p)
{
    MUTEX_GUARD(&r->lock);

    snprintf(r->known[r->next].name, sizeof r->known[0].name, "%s", name);
    r->known[r->next].pieces = *p;
    r->next = (r->next + 1) % RADOS_KNOWN;
}

/* ---- reading ---- */

/* A piece is missing: was the file removed or replaced meanwhile, or is it damaged? */
static int why_missing(const struct rados *r, const char *name, uint64_t token)
{
    struct rados_pieces p = {.piece = 0};
    uint64_t size;
    int err = rados_object_stat(r, r->files, name, &size, NULL, &p);

    if (err < 0)
        return err;
    return p.piece && p.token == token ? -EIO : -EHOSTUNREACH; /* replaced: ask again */
}

/* Reads from whatever has the name now. */
static ssize_t read_now(struct rados *r, const char *name, void *buf, size_t len, uint64_t off)
{
    struct rados_pieces p = {.piece = 0};
    ssize_t n = rados_object_read(r, r->files, name, buf, len, off, &p);

    if (n < 0 || !p.piece)
        return n;
    note_known(r, name, &p);
    shard_count(&r->base, SHARD_GET, 1);
    n = rados_long_read(r, name, &p, buf, len, off);
    return n == -ENOENT ? why_missing(r, name, p.token) : n;
}

static ssize_t rados_range(struct shard *shard, const char *name, void *buf, size_t len,
                           uint64_t off)
{
    struct rados *r = rados_of(shard);
    struct rados_pieces p;
    ssize_t n = -ENOENT;

    if (len == 0) /* librados would read the whole object */
        return 0;
    if (find_known(r, name, &p))
        n = rados_long_read(r, name, &p, buf, len, off);
    if (n != -ENOENT)
        return n;
    forget_known(r, name);
    return read_now(r, name, buf, len, off);
}

/* Reads one byte more than `cap`, to see whether there is more. */
static ssize_t rados_get(struct shard *shard, const char *name, void *buf, size_t cap)
{
    struct rados *r = rados_of(shard);
    struct rados_pieces p = {.piece = 0};
    char *whole = malloc(cap + 1);
    ssize_t n = whole ? rados_object_read(r, r->files, name, whole, cap + 1, 0, &p) : -ENOMEM;

    if (n >= 0 && p.piece)
        n = p.size > cap ? -EFBIG : rados_long_read(r, name, &p, whole, cap, 0);
    if (n > (ssize_t)cap)
        n = -EFBIG;
    if (n > 0)
        memcpy(buf, whole, (size_t)n);
    free(whole);
    return n;
}

static int rados_stat_(struct shard *shard, const char *name, uint64_t *ret_size)
{
    const struct rados *r = rados_of(shard);
    struct rados_pieces p = {.piece = 0};
    int err = rados_object_stat(r, r->files, name, ret_size, NULL, &p);

    if (err == 0 && p.piece)
        *ret_size = p.size;
    return err;
}

/* RADOS notes the time that the client gave which has put the object: this one, most often. */
static int rados_age(struct shard *shard, const char *name, int64_t *ret_ns)
{
    const struct rados *r = rados_of(shard);
    struct rados_pieces p = {.piece = 0};
    int64_t seconds = 0;
    uint64_t size;
    int err = rados_object_stat(r, r->files, name, &size, &seconds, &p);

    *ret_ns = seconds * NSEC_PER_SEC;
    return err;
}

static int rados_verify(struct shard *shard, const char *name)
{
    struct rados *r = rados_of(shard);
    struct rados_pieces p = {.piece = 0};
    int err = rados_object_verify(r, r->files, name, &p);

    return err == 0 && p.piece ? rados_long_verify(r, name, &p) : err;
}

/* ---- changing ---- */

static int rados_put(struct shard *shard, const char *name, const struct shard_source *source,
                     bool replace)
{
    struct rados *r = rados_of(shard);
    void *data;
    int err;

    forget_known(r, name);
    if (source->size > RADOS_WHOLE_MOST)
        return rados_long_put(r, name, source);
    data = malloc(source->size + 1);
    err = data ? 0 : -ENOMEM;
    if (err == 0 && source->size)
        err = source->read(source->ctx, data, source->size, 0);
    if (err == 0)
        err = rados_object_put(r, r->files, name, data, source->size, NULL, replace);
    free(data);
    return err;
}

static int rados_remove_(struct shard *shard, const char *name)
{
    struct rados *r = rados_of(shard);
    struct rados_pieces p = {.piece = 0};
    uint64_t size;
    int err = rados_object_stat(r, r->files, name, &size, NULL, &p);

    forget_known(r, name);
    shard_count(shard, SHARD_STAT, 1);
    if (err < 0)
        return err;
    return p.piece ? rados_long_remove(r, name, &p) : rados_object_remove(r, r->files, name);
}

/* ---- room ---- */

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));

    return n > 0 ? (uint64_t)n : 0;
}

/* Finds the pool in the answer to "df". */
static void read_space(const struct rados *r, const json_t *df, struct shard_space *ret)
{
    const json_t *pools = json_object_get(df, "pools");
    size_t i;
    json_t *pool;

    json_array_foreach(pools, i, pool)
    {
        const json_t *stats = json_object_get(pool, "stats");
        const char *name = json_string_value(json_object_get(pool, "name"));
        uint64_t used = number(stats, "stored"), quota = number(stats, "quota_bytes");

        if (!name || strcmp(name, r->url.pool) != 0)
            continue;
        ret->avail = number(stats, "max_avail");
        if (quota && ret->avail > (quota > used ? quota - used : 0))
            ret->avail = quota > used ? quota - used : 0;
        ret->size = used + ret->avail;
    }
}

/* A user who may not ask for the room does not know it, which is no error. */
static int rados_space(struct shard *shard, struct shard_space *ret)
{
    const struct rados *r = rados_of(shard);
    const char *command = "{\"prefix\":\"df\",\"detail\":\"detail\",\"format\":\"json\"}";
    char *text = NULL, *status = NULL;
    size_t len = 0, status_len = 0;
    int err =
        r->lib->mon_command(r->cluster, &command, 1, "", 0, &text, &len, &status, &status_len);

    *ret = (struct shard_space){.size = 0};
    if (err == 0) {
        json_t *df = json_loadb(text, len, 0, NULL);

        read_space(r, df, ret);
        json_decref(df);
    }
    if (text)
        r->lib->buffer_free(text);
    if (status)
        r->lib->buffer_free(status);
    return err == -EACCES || err == -EPERM ? 0 : rados_told(err);
}

/* ---- opening ---- */

static void rados_close(struct shard *shard)
{
    struct rados *r = rados_of(shard);

    if (r->files)
        r->lib->ioctx_destroy(r->files);
    if (r->pieces)
        r->lib->ioctx_destroy(r->pieces);
    if (r->writes)
        r->lib->ioctx_destroy(r->writes);
    if (r->cluster)
        r->lib->shutdown(r->cluster);
    pieces_room_release(&r->room);
    mutex_destroy(&r->lock);
    free(r);
}

/* Sets time limits, and keeps librados from writing to the terminal or to a log of its own. */
static int configure(struct rados *r)
{
    char seconds[32];
    int err = 0;
    const char *const options[][2] = {
        {"rados_mon_op_timeout", seconds}, {"rados_osd_op_timeout", seconds},
        {"client_mount_timeout", seconds}, {"log_to_stderr", "false"},
        {"err_to_stderr", "false"},        {"log_file", ""},
        {"keyring", r->url.keyring},
    };
    int64_t limit = shard_patience() / 3 * 2 / NSEC_PER_SEC;

    snprintf(seconds, sizeof seconds, "%lld", (long long)(limit > 1 ? limit : 1));
    for (size_t i = 0; i < sizeof options / sizeof options[0] && err == 0; i++)
        if (strcmp(options[i][0], "keyring") != 0 || *options[i][1])
            err = r->lib->conf_set(r->cluster, options[i][0], options[i][1]);
    return err;
}

/* Opens the pool three times, each for one namespace. */
static int open_spaces(struct rados *r)
{
    rados_ioctx_t *const io[] = {&r->files, &r->pieces, &r->writes};
    static const char *const end[] = {"", ".pieces", ".writes"};
    char space[sizeof r->url.space + 16];
    int err = 0;

    for (size_t i = 0; i < 3 && err == 0; i++) {
        err = r->lib->ioctx_create(r->cluster, r->url.pool, io[i]);
        snprintf(space, sizeof space, "%s%s", r->url.space, end[i]);
        if (err == 0)
            r->lib->ioctx_set_namespace(*io[i], space);
    }
    return err;
}

/* Says what failed. */
static int fail(int err, char why[SHARD_WHY], const char *what, const char *which)
{
    snprintf(why, SHARD_WHY, "%s%.150s: %s", what, which,
             err == -ETIMEDOUT ? "no answer in time" : strerror(-err));
    return rados_told(err) == -ENOENT ? -EHOSTUNREACH : rados_told(err);
}

static int connect_to(struct rados *r, char why[SHARD_WHY])
{
    char user[80];
    int err;

    snprintf(user, sizeof user, "client.%s", r->url.id);
    err = r->lib->create2(&r->cluster, "ceph", user, 0);
    if (err < 0)
        return fail(err, why, "librados cannot begin", "");
    err = r->lib->conf_read_file(r->cluster, *r->url.conf ? r->url.conf : NULL);
    if (err < 0)
        return fail(err, why, "cannot read the configuration of Ceph ", r->url.conf);
    err = configure(r);
    if (err < 0)
        return fail(err, why, "librados does not know an option", "");
    err = r->lib->connect(r->cluster);
    if (err < 0)
        return fail(err, why, "cannot connect to Ceph as ", user);
    err = open_spaces(r);
    return err < 0 ? fail(err, why, "cannot open the pool ", r->url.pool) : 0;
}

static int rados_open(const char *rest, unsigned flags, struct shard **ret_shard,
                      char why[SHARD_WHY])
{
    struct rados *r = calloc(1, sizeof *r);
    int err = r ? rados_lib_get(&r->lib, why) : -ENOMEM;

    (void)flags; /* the cluster decides who may do what */
    if (err == 0)
        err = rados_url_parse(rest, &r->url, why);
    if (err < 0) {
        if (!r)
            snprintf(why, SHARD_WHY, "%s", strerror(ENOMEM));
        free(r);
        return err;
    }
    mutex_init(&r->lock, "rados");
    pieces_room_init(&r->room);
    err = connect_to(r, why);
    if (err < 0)
        rados_close(&r->base);
    else
        *ret_shard = &r->base;
    return err;
}

const struct shard_driver rados_driver = {
    .scheme = "rados",
    .form = "rados:POOL[/NAMESPACE]",
    .far = true,
    .normal = rados_url_normal,
    .open = rados_open,
    .close = rados_close,
    .put = rados_put,
    .range = rados_range,
    .get = rados_get,
    .stat = rados_stat_,
    .age = rados_age,
    .remove = rados_remove_,
    .list = rados_list,
    .space = rados_space,
    .verify = rados_verify,
};
