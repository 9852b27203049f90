// SPDX-License-Identifier: Apache-2.0
/*
 * s3: the driver "s3:" (s3_url.h), for every server that speaks the protocol of Amazon S3 and knows
 * `If-None-Match: *`. A name of the shard is the name of an object, behind the prefix.
 */
#include "clock.h"
#include "engines_impl.h"
#include "s3_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE_MOST (16u << 20) /* bytes; a longer put goes in parts, if it decides nothing */

static struct s3 *s3_of(struct shard *s)
{
    return (struct s3 *)s;
}

/* An answer that is not as S3 has it is an error of the engine. */
static int told(int err)
{
    return err == -EBADMSG ? -EIO : err;
}

/* Performs a request of which only the result matters. */
static int perform(struct s3 *s, struct s3_request *r)
{
    int err = s3_perform(s, r);

    s3_request_end(r);
    return told(err);
}

/* ---- reading ---- */

static ssize_t s3_range(struct shard *shard, const char *name, void *buf, size_t len, uint64_t off)
{
    struct s3_request r = {
        .method = "GET", .name = name, .range = true, .off = off, .into = buf, .cap = len};
    int err = len ? perform(s3_of(shard), &r) : 0;

    if (err < 0)
        return err == -EFBIG ? -EIO : err; /* the server does not know ranges */
    if (len == 0 || r.status == 416)
        return 0;
    /* It must be that range, and end where the object does unless it is as long as it was asked. */
    if (r.from != off || (r.got < len && off + r.got != r.total))
        return -EIO;
    return (ssize_t)r.got;
}

/* `further`: see struct s3_request. */
static ssize_t get(struct s3 *s, const char *name, void *buf, size_t cap, bool further)
{
    struct s3_request r = {
        .method = "GET", .name = name, .into = buf, .cap = cap, .further = further};
    int err = perform(s, &r);

    return err < 0 ? err : (ssize_t)r.got;
}

static ssize_t s3_get(struct shard *shard, const char *name, void *buf, size_t cap)
{
    return get(s3_of(shard), name, buf, cap, false);
}

/* Says whether a name is missing, or its whole bucket: an answer to HEAD has no text that does. */
static int confirm_missing(struct s3 *s, const char *name)
{
    char byte;
    struct s3_request r = {
        .method = "GET", .name = name, .range = true, .into = &byte, .cap = 1, .further = true};

    return perform(s, &r);
}

/* Asks of an object what its answer without bytes says. -ENOENT is believed only from a server that
 * says it in words. */
static int ask_head(struct s3 *s, struct s3_request *r)
{
    int err = perform(s, r);

    if (err == -ENOENT) {
        err = confirm_missing(s, r->name);
        return err == 0 ? -EIO : err; /* it came meanwhile */
    }
    return err;
}

static int get_size(struct s3 *s, const char *name, uint64_t *ret_size, bool further)
{
    struct s3_request r = {.method = "HEAD", .name = name, .further = further};
    int err = ask_head(s, &r);

    if (err == 0 && r.total == UINT64_MAX)
        err = -EIO;
    if (err == 0)
        *ret_size = r.total;
    return err;
}

static int s3_stat(struct shard *shard, const char *name, uint64_t *ret_size)
{
    return get_size(s3_of(shard), name, ret_size, false);
}

/* Both times are of the server. One that does not say when it has put the object: it has no age. */
static int s3_age(struct shard *shard, const char *name, int64_t *ret_ns)
{
    struct s3_request r = {.method = "HEAD", .name = name};
    int err = ask_head(s3_of(shard), &r);

    *ret_ns = r.date > 0 && r.put > 0 ? (r.date - r.put) * NSEC_PER_SEC : 0;
    return err;
}

/* ---- putting ---- */

/* Has the object just these bytes? */
static bool has_bytes(struct s3 *s, const char *name, const void *data, size_t len)
{
    void *there = malloc(len + 1);
    bool same = there && get(s, name, there, len + 1, true) == (ssize_t)len &&
                memcmp(there, data, len) == 0;

    free(there);
    return same;
}

/* Puts all bytes by one request. If a try may have put them and its answer was lost, the next one
 * is told that the name exists: then the bytes that are there decide. */
static int put_bytes(struct s3 *s, const char *name, const void *data, size_t len, bool replace)
{
    struct s3_request r = {
        .method = "PUT", .name = name, .body = data, .body_len = len, .if_absent = !replace};
    int err = perform(s, &r);

    if (err == -EEXIST && r.again && has_bytes(s, name, data, len))
        err = 0;
    return err == -ENOENT ? -EIO : err;
}

static int s3_put(struct shard *shard, const char *name, const struct shard_source *source,
                  bool replace)
{
    void *data;
    int err;

    if (source->size > WHOLE_MOST && !source->decides && !replace)
        return told(s3_put_parts(s3_of(shard), name, source));
    data = malloc(source->size + 1);
    err = data ? 0 : -ENOMEM;
    if (err == 0 && source->size)
        err = source->read(source->ctx, data, source->size, 0);
    if (err == 0)
        err = put_bytes(s3_of(shard), name, data, source->size, replace);
    free(data);
    return err;
}

/* The server does not say whether there was anything to delete, so that is asked before. */
static int s3_remove(struct shard *shard, const char *name)
{
    struct s3_request r = {.method = "DELETE", .name = name};
    uint64_t size;
    int err = get_size(s3_of(shard), name, &size, true);

    if (err < 0)
        return err;
    err = perform(s3_of(shard), &r);
    return err == -ENOENT ? 0 : err; /* a try whose answer was lost has deleted it */
}

/* ---- listing ---- */

struct listing {
    struct s3 *s;
    shard_list_fn *fn;
    void *ctx;
};

/* Passes a name on without the prefix. */
static int list_one(const char *key, uint64_t size, void *ctx)
{
    const struct listing *l = ctx;
    size_t prefix = strlen(l->s->url.prefix);

    if (strncmp(key, l->s->url.prefix, prefix) != 0)
        return -EBADMSG; /* the server does not know what was asked */
    return key[prefix] ? l->fn(key + prefix, size, l->ctx) : 0;
}

/* Lists one page, from `token` on; with "" the first one. */
static int list_page(struct listing *l, const char *dir, const char *token, struct s3_page *ret)
{
    CLEANUP_STRBUF struct strbuf query = STRBUF_INIT;
    struct s3_request r = {.method = "GET", .further = *token};
    int err;

    if (*token) {
        strbuf_adds(&query, "continuation-token=");
        s3_encode(&query, token, false);
        strbuf_adds(&query, "&");
    }
    strbuf_adds(&query, "encoding-type=url&list-type=2&max-keys=1000&prefix=");
    s3_encode(&query, l->s->url.prefix, false);
    s3_encode(&query, dir, false);
    if (*dir)
        strbuf_adds(&query, "%2F");
    r.query = query.s;
    err = strbuf_error(&query) < 0 ? -ENOMEM : s3_perform(l->s, &r);
    if (err == 0)
        err = s3_page_read(r.text.s, r.text.len, list_one, l, ret);
    s3_request_end(&r);
    return err == -ENOENT ? -EIO : err;
}

static int s3_list(struct shard *shard, const char *dir, shard_list_fn *fn, void *ctx)
{
    struct listing l = {s3_of(shard), fn, ctx};
    struct s3_page page;
    char token[sizeof page.token] = "";
    int err;

    do {
        err = list_page(&l, dir, token, &page);
        if (err == 0 && page.more && strcmp(token, page.token) == 0)
            err = -EIO; /* the same page again, for ever */
        if (err == 0)
            snprintf(token, sizeof token, "%s", page.token);
        if (err == 0 && page.more && shard_goes_on() < 0)
            err = -ECANCELED; /* nobody waits for it */
    } while (err == 0 && page.more);
    return told(err);
}

/* A server does not say how much room it has. */
static int s3_space(struct shard *shard, struct shard_space *ret)
{
    (void)shard;
    *ret = (struct shard_space){.size = 0};
    return 0;
}

/* ---- opening ---- */

static void s3_close(struct shard *shard)
{
    struct s3 *s = s3_of(shard);

    s3_http_release(s);
    pieces_room_release(&s->pieces);
    mutex_destroy(&s->lock);
    free(s);
}

/* Asks for one name of the bucket: is there a server, has it the bucket, may we use it? */
static int ask_bucket(struct s3 *s, char why[SHARD_WHY])
{
    struct s3_request r = {.method = "GET", .query = "list-type=2&max-keys=1"};
    int err = s3_perform(s, &r);

    if (err < 0)
        snprintf(why, SHARD_WHY, "%s", *r.why ? r.why : strerror(-err));
    s3_request_end(&r);
    return err == -ENOENT ? -EHOSTUNREACH : told(err);
}

static int s3_open(const char *rest, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY])
{
    struct s3 *s = calloc(1, sizeof *s);
    int err = s ? s3_lib_get(&s->lib, why) : -ENOMEM;

    (void)flags; /* the server decides who may do what */
    if (err == 0)
        err = s3_url_parse(rest, &s->url, why);
    if (err == 0)
        err = s3_keys_load(s->url.credentials, s->url.profile, &s->keys, why);
    if (err < 0) {
        if (!s)
            snprintf(why, SHARD_WHY, "%s", strerror(ENOMEM));
        free(s);
        return err;
    }
    mutex_init(&s->lock, "s3");
    pieces_room_init(&s->pieces);
    err = ask_bucket(s, why);
    if (err < 0)
        s3_close(&s->base);
    else
        *ret_shard = &s->base;
    return err;
}

/* A server tells a file's size and age, but reads none of its bytes. */
static int s3_verify(struct shard *shard, const char *name)
{
    (void)shard, (void)name;
    return -EOPNOTSUPP;
}

const struct shard_driver s3_driver = {
    .scheme = "s3",
    .form = "s3://BUCKET[/PREFIX]?endpoint=URL",
    .far = true,
    .normal = s3_url_normal,
    .open = s3_open,
    .close = s3_close,
    .put = s3_put,
    .range = s3_range,
    .get = s3_get,
    .stat = s3_stat,
    .age = s3_age,
    .remove = s3_remove,
    .list = s3_list,
    .space = s3_space,
    .verify = s3_verify,
};
