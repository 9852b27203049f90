// SPDX-License-Identifier: Apache-2.0
/*
 * shard: the list of drivers, and the checks that are the same for all of them. Every call of a
 * driver is a question (struct ask) to an asker thread of its place: shard_ask.h. The functions
 * run_..., ..._late, read_back and collect run in an asker, and the others in the caller's thread.
 */
#include "shard.h"

#include "clock.h"
#include "shard_ask.h"
#include "shard_impl.h"
#include "strbuf.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRIVERS_MAX 8
#define OFFSET_MAX ((uint64_t)INT64_MAX) /* the largest off_t */
#define SCHEME_MAX 16                    /* bytes */

#define LIST_BATCH 256 /* names */
#define MIB_SHIFT 20

/* Ends with a NULL. Written at start by one thread, then only read. */
static const struct shard_driver *drivers[DRIVERS_MAX + 1] = {&shard_dir_driver};

/* ---- asking ---- */

/* Asks `driver` about `name`, with `longer` ns more than the usual patience. As shard_ask. */
static int send(struct ask *a, const struct shard_driver *driver, const char *name, int64_t longer)
{
    a->driver = driver;
    snprintf(a->name, sizeof a->name, "%s", name);
    return shard_ask(a, longer);
}

/* So many ns more than others may a call take that transfers so many bytes. */
static int64_t longer_for(uint64_t bytes)
{
    return (int64_t)(bytes >> MIB_SHIFT) * NSEC_PER_SEC;
}

/* Writes the sentence for a question that was not answered. */
static void say_silent(int err, char why[SHARD_WHY])
{
    snprintf(why, SHARD_WHY, "%s", err == -EHOSTUNREACH ? SHARD_SILENT : strerror(-err));
}

/* Asks `run` about `name` and waits for the answer. The caller frees the ask. NULL: there was no
 * answer, and *ret_err says why. */
static struct ask *ask_about(struct shard *s, const char *name, ask_fn *run, size_t room,
                             int *ret_err)
{
    struct ask *a = ask_make(s->place, run, room);

    *ret_err = -ENOMEM;
    if (!a)
        return NULL;
    a->shard = s;
    *ret_err = send(a, s->driver, name, 0);
    return *ret_err == 0 ? a : NULL;
}

/* Returns the answer of an ask, and frees the ask. */
static ssize_t end(struct ask *a)
{
    ssize_t result = a->result;

    ask_free(a);
    return result;
}

/* ---- drivers and URLs ---- */

int shard_register(const struct shard_driver *driver)
{
    size_t count = 0;

    for (; drivers[count]; count++)
        if (strcmp(drivers[count]->scheme, driver->scheme) == 0)
            return -EEXIST;
    if (count == DRIVERS_MAX || strlen(driver->scheme) > SCHEME_MAX || !driver->form)
        return -EINVAL;
    drivers[count] = driver;
    return 0;
}

void shard_drivers(shard_driver_fn *fn, void *ctx)
{
    for (size_t i = 0; drivers[i]; i++)
        fn(drivers[i]->scheme, drivers[i]->form, ctx);
}

/* Writes the sentence for a URL of no driver: it has the forms of all that there are. */
static void say_unknown(const char *url, char why[SHARD_WHY])
{
    size_t at = (size_t)snprintf(why, SHARD_WHY, "'%.100s' is no URL of a shard: give ", url);

    for (size_t i = 0; drivers[i] && at < SHARD_WHY; i++) {
        const char *before = i == 0 ? "" : drivers[i + 1] ? ", " : " or ";

        at += (size_t)snprintf(why + at, SHARD_WHY - at, "%s%s", before, drivers[i]->form);
    }
}

/* Splits a URL into its driver and the text behind the colon. -EINVAL with a sentence in `why`. */
static int split(const char *url, const struct shard_driver **ret_driver, const char **ret_rest,
                 char why[SHARD_WHY])
{
    const char *colon = strchr(url, ':');

    if (strlen(url) > SHARD_URL_MAX || !text_is_printable(url)) {
        snprintf(why, SHARD_WHY, "the URL is longer than %d bytes, or has control characters in it",
                 SHARD_URL_MAX);
        return -EINVAL;
    }
    for (size_t i = 0; colon && drivers[i]; i++)
        if (strlen(drivers[i]->scheme) == (size_t)(colon - url) &&
            strncmp(drivers[i]->scheme, url, (size_t)(colon - url)) == 0) {
            *ret_driver = drivers[i];
            *ret_rest = colon + 1;
            return 0;
        }
    say_unknown(url, why);
    return -EINVAL;
}

bool shard_is_far(const char *url)
{
    const struct shard_driver *driver;
    const char *rest;
    char why[SHARD_WHY];

    return split(url, &driver, &rest, why) == 0 && driver->far;
}

static ssize_t run_normal(struct ask *a)
{
    return a->driver->normal(a->name, a->data, a->len, a->why);
}

/* Has the driver bring the text behind the colon into its stored form. */
static int ask_normal(const char *url, const struct shard_driver *driver, const char *rest,
                      char out[SHARD_URL_MAX + 1], char why[SHARD_WHY])
{
    struct place *place = place_get(url);
    struct ask *a =
        place ? ask_make(place, run_normal, SHARD_URL_MAX - strlen(driver->scheme)) : NULL;
    int err = a ? send(a, driver, rest, 0) : -ENOMEM;

    if (err == 0) {
        err = (int)a->result;
        memcpy(out, a->data, a->len);
        memcpy(why, a->why, SHARD_WHY);
        ask_free(a);
    } else {
        say_silent(err, why);
    }
    if (place)
        place_put(place);
    return err;
}

int shard_normal_url(const char *url, char out[SHARD_URL_MAX + 1], char why[SHARD_WHY])
{
    const struct shard_driver *driver;
    const char *rest;
    char normal[SHARD_URL_MAX + 1];
    int err = split(url, &driver, &rest, why);

    if (err < 0)
        return err;
    err = ask_normal(url, driver, rest, normal, why);
    if (err < 0)
        return err;
    snprintf(out, SHARD_URL_MAX + 1, "%s:%.*s", driver->scheme,
             (int)(SHARD_URL_MAX - strlen(driver->scheme) - 1), normal);
    return 0;
}

/* ---- opening and closing ---- */

static ssize_t run_open(struct ask *a)
{
    int err = a->driver->open(a->name, a->flags, &a->shard, a->why);

    if (err == 0) {
        a->shard->driver = a->driver;
        a->shard->readonly = a->flags & SHARD_READONLY;
    }
    return err;
}

static ssize_t run_close(struct ask *a)
{
    if (a->shard)
        a->shard->driver->close(a->shard);
    return 0;
}

/* After a close that came late: gives up the reference to the place that the shard had. */
static ssize_t closed_late(struct ask *a)
{
    place_put(a->place); /* not the last one: the ask has one, too */
    return 0;
}

/* Opens the shard in an asker. If the open comes back after its caller has left, run_close closes
 * what it opened. */
static int ask_open(struct place *place, const struct shard_driver *driver, const char *rest,
                    unsigned flags, struct shard **ret_shard, char why[SHARD_WHY])
{
    struct ask *a = ask_make(place, run_open, 0);
    int err;

    if (a) {
        a->flags = flags;
        a->late = run_close;
    }
    err = a ? send(a, driver, rest, 0) : -ENOMEM;
    if (err < 0) {
        say_silent(err, why);
        return err;
    }
    err = (int)a->result;
    if (err < 0)
        memcpy(why, a->why, SHARD_WHY);
    else
        *ret_shard = a->shard;
    ask_free(a);
    return err;
}

int shard_open(const char *url, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY])
{
    const struct shard_driver *driver;
    struct place *place;
    const char *rest;
    int err = split(url, &driver, &rest, why);

    if (err < 0)
        return err;
    place = place_get(url);
    err = place ? ask_open(place, driver, rest, flags, ret_shard, why) : -ENOMEM;
    if (err == 0)
        (*ret_shard)->place = place;
    else if (place)
        place_put(place);
    return err;
}

void shard_close(struct shard *s)
{
    struct place *place = s ? s->place : NULL;
    struct ask *a;
    int err = -ENOMEM;

    if (!s || place_close_later(place, s))
        return;
    a = ask_make(place, run_close, 0);
    if (a) {
        a->shard = s;
        a->closes = true;
        a->late = closed_late;
        err = shard_ask(a, 0);
    }
    if (err == -EHOSTUNREACH) /* the place has it now */
        return;
    if (err == 0)
        ask_free(a);
    else /* no memory or no thread; no late call uses the shard */
        s->driver->close(s);
    place_put(place);
}

/* ---- names ---- */

/* Is it a part of a name as shard.h describes it? */
static bool is_part_ok(const char *part, size_t len)
{
    if (len == 0 || part[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (part[i] <= ' ' || part[i] > '~')
            return false;
    return true;
}

/* Checks a name as shard.h has it: -ENAMETOOLONG, or -EINVAL. */
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

/* The context of read_bytes: the source of a put from memory. */
struct bytes {
    const uint8_t *data;
};

static int read_bytes(void *ctx, void *buf, size_t len, uint64_t off)
{
    memcpy(buf, ((struct bytes *)ctx)->data + off, len);
    return 0;
}

/* What read_back asks of the caller's thread. */
struct piece {
    void *buf;
    size_t len;
    uint64_t off;
};

static int read_piece(struct ask *a, void *arg)
{
    const struct piece *p = arg;
    int err = a->source->read(a->source->ctx, p->buf, p->len, p->off);

    if (err == 0)
        atomic_fetch_add(&place_traffic(a->place)->sent, p->len);
    return err;
}

/* In the asker: reads bytes of the source, in the caller's thread. */
static int read_back(void *ctx, void *buf, size_t len, uint64_t off)
{
    return ask_back(ctx, read_piece, &(struct piece){buf, len, off});
}

static ssize_t run_put(struct ask *a)
{
    struct shard_source source = {
        .read = read_back, .ctx = a, .size = a->off, .decides = a->source->decides};

    return a->driver->put(a->shard, a->name, &source, a->replace);
}

/* Puts bytes that are read from the source in the caller's thread. */
static int put_from(struct shard *s, const char *name, const struct shard_source *source,
                    bool replace)
{
    struct ask *a = ask_make(s->place, run_put, 0);
    int err;

    if (!a)
        return -ENOMEM;
    a->shard = s;
    a->source = source;
    a->off = source->size;
    a->replace = replace;
    err = send(a, s->driver, name, longer_for(source->size));
    if (err < 0)
        return err;
    shard_count(s, SHARD_PUT, 1);
    return (int)end(a);
}

static int put_bytes(struct shard *s, const char *name, const void *data, size_t len, bool replace)
{
    struct bytes bytes = {data};
    struct shard_source source = {
        .read = read_bytes, .ctx = &bytes, .size = len, .decides = !replace};
    int err = check_change(s, name);

    return err < 0 ? err : put_from(s, name, &source, replace);
}

int shard_put(struct shard *s, const char *name, const void *data, size_t len)
{
    if (len > SHARD_PACK_MAX)
        return -EFBIG;
    return put_bytes(s, name, data, len, true);
}

int shard_put_if_absent(struct shard *s, const char *name, const void *data, size_t len)
{
    return put_bytes(s, name, data, len, false);
}

int shard_put_stream(struct shard *s, const char *name, const struct shard_source *source)
{
    struct shard_source bytes = *source;
    int err = check_change(s, name);

    if (err == 0 && source->size > OFFSET_MAX)
        err = -EFBIG;
    bytes.decides = false;
    return err < 0 ? err : put_from(s, name, &bytes, false);
}

/* ---- reading ---- */

static ssize_t run_get(struct ask *a)
{
    return a->driver->get(a->shard, a->name, a->data, a->len);
}

static ssize_t run_range(struct ask *a)
{
    return a->driver->range(a->shard, a->name, a->data, a->len, a->off);
}

/* Has `run` read into memory of the ask, which *ret_data gets. A call that comes back late must not
 * write to memory that its caller may have freed. */
static ssize_t read_alloc(struct shard *s, const char *name, ask_fn *run, size_t len, uint64_t off,
                          void **ret_data)
{
    struct ask *a = ask_make(s->place, run, len);
    int err;

    if (!a)
        return -ENOMEM;
    a->shard = s;
    a->off = off;
    err = send(a, s->driver, name, longer_for(len));
    if (err < 0)
        return err;
    shard_count(s, SHARD_GET, 1);
    if (a->result >= 0) {
        atomic_fetch_add(&place_traffic(s->place)->received, (uint64_t)a->result);
        *ret_data = a->data;
        a->data = NULL;
    }
    return end(a);
}

/* The same, and copies the bytes to `buf`. */
static ssize_t read_there(struct shard *s, const char *name, ask_fn *run, void *buf, size_t len,
                          uint64_t off)
{
    void *data = NULL;
    ssize_t n = read_alloc(s, name, run, len, off, &data);

    if (n > 0)
        memcpy(buf, data, (size_t)n);
    free(data);
    return n;
}

ssize_t shard_get(struct shard *s, const char *name, void *buf, size_t cap)
{
    int err = check_name(name);

    return err < 0 ? err : read_there(s, name, run_get, buf, cap, 0);
}

/* -EFBIG: no file reaches that far. */
static int check_range(const char *name, size_t len, uint64_t off)
{
    int err = check_name(name);

    return err == 0 && (off > OFFSET_MAX || len > OFFSET_MAX - off) ? -EFBIG : err;
}

ssize_t shard_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off)
{
    int err = check_range(name, len, off);
    ssize_t n = err < 0 ? err : read_there(s, name, run_range, buf, len, off);

    return n == -ENOENT ? thin_range(s, name, buf, len, off) : n;
}

ssize_t shard_range_alloc(struct shard *s, const char *name, size_t len, uint64_t off,
                          void **ret_data)
{
    int err = check_range(name, len, off);
    ssize_t n = err < 0 ? err : read_alloc(s, name, run_range, len, off, ret_data);

    return n == -ENOENT ? thin_range_alloc(s, name, len, off, ret_data) : n;
}

/* ---- the rest ---- */

static ssize_t run_stat(struct ask *a)
{
    return a->driver->stat(a->shard, a->name, &a->off);
}

int shard_stat(struct shard *s, const char *name, uint64_t *ret_size)
{
    int err = check_name(name);
    struct ask *a = err < 0 ? NULL : ask_about(s, name, run_stat, 0, &err);

    if (!a)
        return err;
    shard_count(s, SHARD_STAT, 1);
    if (a->result == 0)
        *ret_size = a->off;
    err = (int)end(a);
    return err == -ENOENT ? thin_stat(s, name, ret_size) : err;
}

static ssize_t run_age(struct ask *a)
{
    int64_t age = 0;
    int err = a->driver->age(a->shard, a->name, &age);

    a->off = age > 0 ? (uint64_t)age : 0;
    return err;
}

int shard_age(struct shard *s, const char *name, int64_t *ret_ns)
{
    int err = check_name(name);
    struct ask *a = err < 0 ? NULL : ask_about(s, name, run_age, 0, &err);

    if (!a)
        return err;
    shard_count(s, SHARD_STAT, 1);
    if (a->result == 0)
        *ret_ns = (int64_t)a->off;
    return (int)end(a);
}

static ssize_t run_verify(struct ask *a)
{
    return a->driver->verify(a->shard, a->name);
}

int shard_verify(struct shard *s, const char *name)
{
    int err = check_name(name);
    struct ask *a = err < 0 ? NULL : ask_about(s, name, run_verify, 0, &err);
    uint64_t size;

    if (!a)
        return err;
    shard_count(s, SHARD_STAT, a->result != -EOPNOTSUPP);
    err = (int)end(a);
    if (err == -ENOENT && thin_stat(s, name, &size) == 0)
        err = -EOPNOTSUPP; /* no checksum says what is left of a pack */
    return err;
}

static ssize_t run_remove(struct ask *a)
{
    return a->driver->remove(a->shard, a->name);
}

int shard_delete(struct shard *s, const char *name)
{
    int err = check_change(s, name);
    struct ask *a = err < 0 ? NULL : ask_about(s, name, run_remove, 0, &err);

    if (!a)
        return err;
    shard_count(s, SHARD_DELETE, 1);
    return (int)end(a);
}

static ssize_t run_space(struct ask *a)
{
    return a->driver->space(a->shard, &a->space);
}

int shard_space(struct shard *s, struct shard_space *ret)
{
    int err;
    struct ask *a = ask_about(s, "", run_space, 0, &err);

    if (!a)
        return err;
    if (a->result == 0)
        *ret = a->space;
    return (int)end(a);
}

/* ---- lists: names go from the asker to the caller in batches ---- */

struct batch {
    size_t count;
    struct {
        char *name;
        uint64_t size;
    } v[LIST_BATCH];
};

/* In the caller's thread: passes the names of the batch to a->fn, and frees them. */
static int hand_over(struct ask *a, void *arg)
{
    struct batch *b = arg;
    int err = 0;

    for (size_t i = 0; i < b->count; i++) {
        if (err == 0)
            err = a->fn(b->v[i].name, b->v[i].size, a->ctx);
        free(b->v[i].name);
    }
    b->count = 0;
    return err;
}

/* In the asker: adds a name that the driver found to the batch, and hands over a full batch. */
static int collect(const char *name, uint64_t size, void *ctx)
{
    struct ask *a = ctx;
    struct batch *b = a->data;

    b->v[b->count].size = size;
    b->v[b->count].name = strdup(name);
    if (!b->v[b->count].name)
        return -ENOMEM;
    return ++b->count == LIST_BATCH ? ask_back(a, hand_over, b) : 0;
}

static ssize_t run_list(struct ask *a)
{
    return a->driver->list(a->shard, a->name, collect, a);
}

/* After a list that came late: frees the names that no caller takes any more. */
static ssize_t listed_late(struct ask *a)
{
    struct batch *b = a->data;

    while (b->count > 0)
        free(b->v[--b->count].name);
    return 0;
}

int shard_list(struct shard *s, const char *dir, shard_list_fn *fn, void *ctx)
{
    int err = *dir ? check_name(dir) : 0, stopped;
    struct ask *a = err < 0 ? NULL : ask_make(s->place, run_list, sizeof(struct batch));

    if (!a)
        return err < 0 ? err : -ENOMEM;
    a->shard = s;
    a->fn = fn;
    a->ctx = ctx;
    a->late = listed_late;
    err = send(a, s->driver, dir, 0);
    if (err < 0)
        return err;
    shard_count(s, SHARD_LIST, 1);
    stopped = hand_over(a, a->data);
    err = (int)end(a);
    return stopped ? stopped : err;
}
