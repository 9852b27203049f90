// SPDX-License-Identifier: Apache-2.0
/* s3_parts: see the header. */
#include "s3_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OLD (24 * 3600) /* seconds after which an upload belongs to no process that lives */

struct upload {
    struct s3 *s;
    const char *name;
    char id[1024];
    char (*etag)[128]; /* of each part */
};

/* ---- the query of an upload ---- */

/* Adds "uploadId=ID", behind `before`. */
static void add_id(struct strbuf *b, const char *before, const char *id)
{
    strbuf_addf(b, "%suploadId=", before);
    s3_encode(b, id, false);
}

static int begin(struct upload *u)
{
    struct s3_request r = {.method = "POST", .name = u->name, .query = "uploads="};
    int err = s3_perform(u->s, &r);

    if (err == 0)
        err = s3_upload_id_read(r.text.s, r.text.len, u->id);
    s3_request_end(&r);
    return err;
}

/* Ends an upload. The server then forgets its parts. */
static int abandon(struct s3 *s, const char *name, const char *id)
{
    CLEANUP_STRBUF struct strbuf query = STRBUF_INIT;
    struct s3_request r = {.method = "DELETE", .name = name, .further = true};
    int err;

    add_id(&query, "", id);
    r.query = query.s;
    err = strbuf_error(&query) < 0 ? -ENOMEM : s3_perform(s, &r);
    s3_request_end(&r);
    return err;
}

static int put_part(void *ctx, uint64_t index, const void *data, size_t len)
{
    struct upload *u = ctx;
    CLEANUP_STRBUF struct strbuf query = STRBUF_INIT;
    struct s3_request r = {
        .method = "PUT", .name = u->name, .body = data, .body_len = len, .further = true};
    int err;

    strbuf_addf(&query, "partNumber=%" PRIu64, index + 1);
    add_id(&query, "&", u->id);
    r.query = query.s;
    err = strbuf_error(&query) < 0 ? -ENOMEM : s3_perform(u->s, &r);
    if (err == 0 && !*r.etag)
        err = -EBADMSG;
    if (err == 0)
        memcpy(u->etag[index], r.etag, sizeof r.etag);
    s3_request_end(&r);
    return err == -ENOENT ? -EIO : err; /* the upload was ended by somebody else */
}

/* ---- the end of an upload ---- */

static void add_list(struct strbuf *b, const struct upload *u, uint64_t parts)
{
    strbuf_adds(b, "<CompleteMultipartUpload>");
    for (uint64_t i = 0; i < parts; i++)
        strbuf_addf(b, "<Part><PartNumber>%" PRIu64 "</PartNumber><ETag>%s</ETag></Part>", i + 1,
                    u->etag[i]);
    strbuf_adds(b, "</CompleteMultipartUpload>");
}

/* Is there an object of that size, or with UINT64_MAX of any? The name is this writer's own, so one
 * of the right size was completed by a try whose answer was lost. */
static bool is_there(struct upload *u, uint64_t size)
{
    struct s3_request r = {.method = "HEAD", .name = u->name, .further = true};
    bool there = s3_perform(u->s, &r) == 0 && (size == UINT64_MAX || r.total == size);

    s3_request_end(&r);
    return there;
}

static int complete(struct upload *u, uint64_t parts, uint64_t size)
{
    CLEANUP_STRBUF struct strbuf list = STRBUF_INIT, query = STRBUF_INIT;
    struct s3_request r = {
        .method = "POST", .name = u->name, .if_absent = true, .further = true, .longer = size};
    int err;

    add_list(&list, u, parts);
    add_id(&query, "", u->id);
    r.body = list.s;
    r.body_len = list.len;
    r.query = query.s;
    err = strbuf_error(&list) < 0 || strbuf_error(&query) < 0 ? -ENOMEM : s3_perform(u->s, &r);
    if (err == 0 && !s3_is_complete(r.text.s, r.text.len)) {
        s3_said_read(r.text.s, r.text.len, &r.said);
        err = strcmp(r.said.code, "PreconditionFailed") == 0 ? -EEXIST : -EIO;
    }
    if ((err == -ENOENT || err == -EEXIST) && r.again && is_there(u, size))
        err = 0;
    s3_request_end(&r);
    return err == -ENOENT ? -EIO : err;
}

/* ---- uploads of dead processes ---- */

struct leftovers {
    struct s3 *s;
    int64_t now; /* of the server, seconds since the epoch */
};

/* Is it a name that long files of a store or a pool have? Other programs may use the bucket. */
static bool is_ours(const char *name)
{
    static const char *const starts[] = {"objects/", "packs/", "nodes/", "marks/"};

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* Ends an upload below the shard's prefix that is old. */
static int end_if_old(const char *key, const char *id, const char *initiated, void *ctx)
{
    const struct leftovers *l = ctx;
    size_t prefix = strlen(l->s->url.prefix);
    struct tm tm = {.tm_isdst = 0};

    if (shard_goes_on() < 0)
        return -ECANCELED;
    if (strncmp(key, l->s->url.prefix, prefix) != 0 || !is_ours(key + prefix) ||
        !strptime(initiated, "%Y-%m-%dT%H:%M:%S", &tm) || timegm(&tm) > l->now - OLD)
        return 0;
    (void)abandon(l->s, key + prefix, id);
    return 0;
}

/* Ends old uploads, once in the life of this shard. An error is none of the put: the next process
 * tries again. */
static void clean(struct s3 *s)
{
    CLEANUP_STRBUF struct strbuf query = STRBUF_INIT;
    struct s3_request r = {.method = "GET", .further = true};

    {
        MUTEX_GUARD(&s->lock);
        if (s->cleaned)
            return;
        s->cleaned = true;
    }
    strbuf_adds(&query, "prefix=");
    s3_encode(&query, s->url.prefix, false);
    strbuf_adds(&query, "&uploads=");
    r.query = query.s;
    if (strbuf_error(&query) == 0 && s3_perform(s, &r) == 0 && r.date > 0)
        (void)s3_uploads_read(r.text.s, r.text.len, end_if_old,
                              &(struct leftovers){.s = s, .now = r.date});
    s3_request_end(&r);
}

/* ---- the whole ---- */

static size_t part_size(uint64_t size)
{
    uint64_t least = size / S3_PARTS_MOST + 1;

    return least <= S3_PART ? S3_PART : (size_t)((least | ((1u << 20) - 1)) + 1);
}

int s3_put_parts(struct s3 *s, const char *name, const struct shard_source *source)
{
    const size_t size = part_size(source->size);
    const uint64_t parts = (source->size + size - 1) / size;
    struct upload u = {.s = s, .name = name, .etag = calloc(parts, sizeof *u.etag)};
    int err = u.etag ? 0 : -ENOMEM;

    if (err == 0) {
        clean(s);
        if (is_there(&u, UINT64_MAX))
            err = -EEXIST;
    }
    if (err == 0)
        err = begin(&u);
    if (err == 0) {
        err = pieces_put(&s->pieces, source, size, put_part, &u);
        if (err == 0)
            err = complete(&u, parts, source->size);
        if (err < 0)
            (void)abandon(s, name, u.id);
    }
    free(u.etag);
    return err;
}
