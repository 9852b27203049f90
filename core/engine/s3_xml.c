// SPDX-License-Identifier: Apache-2.0
/* s3_xml: see the header. */
#include "s3_xml.h"

#include "strbuf.h"
#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8
#define TEXT_MAX 4096 /* bytes of the text of one element */
#define PATH_ROOM 512

/* ---- documents ---- */

/* Called at the end of each element, with the names of the elements around it and its own, joined
 * by '/' and without their namespaces, and with its own text. A result other than 0 ends the
 * reading and is returned. */
typedef int s3_xml_fn(const char *path, const char *text, void *ctx);

struct reader {
    XML_Parser parser;
    s3_xml_fn *fn;
    void *ctx;
    char path[PATH_ROOM];
    size_t depth;
    struct strbuf text; /* of the innermost element so far */
    int err;
};

static void stop(struct reader *r, int err)
{
    if (r->err == 0)
        r->err = err;
    (void)XML_StopParser(r->parser, XML_FALSE);
}

/* The name without its namespace, which expat puts before a '|'. */
static const char *plain(const char *name)
{
    const char *bar = strrchr(name, '|');

    return bar ? bar + 1 : name;
}

static void XMLCALL on_start(void *ctx, const char *name, const char **attributes)
{
    struct reader *r = ctx;
    size_t len = strlen(r->path);
    int n = snprintf(r->path + len, PATH_ROOM - len, "%s%s", len ? "/" : "", plain(name));

    (void)attributes;
    strbuf_clear(&r->text);
    if (++r->depth > DEPTH_MAX || n < 0 || (size_t)n >= PATH_ROOM - len)
        stop(r, -EBADMSG);
}

static void XMLCALL on_end(void *ctx, const char *name)
{
    struct reader *r = ctx;
    char *slash = strrchr(r->path, '/');
    int err = strbuf_error(&r->text);

    (void)name;
    if (err == 0)
        err = r->fn(r->path, r->text.s, r->ctx);
    if (err)
        stop(r, err == -E2BIG ? -EBADMSG : err);
    strbuf_clear(&r->text);
    r->depth--;
    *(slash ? slash : r->path) = '\0';
}

static void XMLCALL on_text(void *ctx, const char *text, int len)
{
    strbuf_add(&((struct reader *)ctx)->text, text, (size_t)len);
}

static void XMLCALL on_doctype(void *ctx, const char *name, const char *system, const char *public,
                               int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    stop(ctx, -EBADMSG);
}

/* -EBADMSG: it is not such a document, or not a whole one; -ENOMEM. */
static int read_xml(const char *text, size_t len, s3_xml_fn *fn, void *ctx)
{
    struct reader r = {
        .parser = XML_ParserCreateNS(NULL, '|'), .fn = fn, .ctx = ctx, .text = STRBUF_INIT};

    if (!r.parser)
        return -ENOMEM;
    r.text.most = TEXT_MAX;
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    if (len > INT_MAX || XML_Parse(r.parser, text, (int)len, XML_TRUE) != XML_STATUS_OK)
        stop(&r, XML_GetErrorCode(r.parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG);
    XML_ParserFree(r.parser);
    strbuf_release(&r.text);
    return r.err;
}

/* ---- errors ---- */

static int take_said(const char *path, const char *text, void *ctx)
{
    struct s3_said *said = ctx;

    if (strcmp(path, "Error/Code") == 0)
        snprintf(said->code, sizeof said->code, "%s", text);
    if (strcmp(path, "Error/Message") == 0)
        snprintf(said->message, sizeof said->message, "%s", text);
    return 0;
}

void s3_said_read(const char *text, size_t len, struct s3_said *ret)
{
    *ret = (struct s3_said){.code = ""};
    if (read_xml(text, len, take_said, ret) < 0)
        *ret = (struct s3_said){.code = ""};
    if (!text_is_printable(ret->code) || !text_is_printable(ret->message))
        *ret = (struct s3_said){.code = ""};
}

/* ---- lists ---- */

#define LIST "ListBucketResult"

struct page {
    struct s3_page *ret;
    shard_list_fn *fn;
    void *ctx;
    char name[TEXT_MAX + 1];
    bool has_name, has_size, is_page, says_more, encoded;
    uint64_t size, claimed; /* `claimed`: how many names the page says that it has */
};

/* Decodes "%2F" and the like in place. False: it is not valid. */
static bool decode(char *text)
{
    char *out = text;

    for (const char *c = text; *c; c++) {
        unsigned v;

        if (*c != '%') {
            *out++ = *c;
            continue;
        }
        if (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2]) ||
            sscanf(c + 1, "%2x", &v) != 1 || v == 0)
            return false;
        *out++ = (char)v;
        c += 2;
    }
    *out = '\0';
    return true;
}

static int take_number(const char *text, uint64_t *ret)
{
    char *end;

    if (*text < '0' || *text > '9')
        return -EBADMSG;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno || *end ? -EBADMSG : 0;
}

/* The end of one <Contents>. */
static int end_object(struct page *p)
{
    if (!p->has_name || !p->has_size || (p->encoded && !decode(p->name)))
        return -EBADMSG;
    p->has_name = p->has_size = false;
    p->ret->count++;
    return p->fn(p->name, p->size, p->ctx);
}

static int take_list(const char *path, const char *text, void *ctx)
{
    struct page *p = ctx;

    if (strcmp(path, LIST "/Contents/Key") == 0) {
        snprintf(p->name, sizeof p->name, "%s", text);
        p->has_name = true;
    } else if (strcmp(path, LIST "/Contents/Size") == 0) {
        p->has_size = true;
        return take_number(text, &p->size);
    } else if (strcmp(path, LIST "/Contents") == 0) {
        return end_object(p);
    } else if (strcmp(path, LIST "/IsTruncated") == 0) {
        p->says_more = true;
        p->ret->more = strcmp(text, "true") == 0;
    } else if (strcmp(path, LIST "/NextContinuationToken") == 0) {
        if (strlen(text) >= sizeof p->ret->token)
            return -EBADMSG;
        snprintf(p->ret->token, sizeof p->ret->token, "%s", text);
    } else if (strcmp(path, LIST "/KeyCount") == 0) {
        return take_number(text, &p->claimed);
    } else if (strcmp(path, LIST) == 0) {
        p->is_page = true;
    }
    return 0;
}

/* Does the server encode the names? It may say so behind them, so this is read first. */
static int take_encoding(const char *path, const char *text, void *ctx)
{
    if (strcmp(path, LIST "/EncodingType") == 0)
        *(bool *)ctx = strcmp(text, "url") == 0;
    return 0;
}

int s3_page_read(const char *text, size_t len, shard_list_fn *fn, void *ctx, struct s3_page *ret)
{
    struct page *p = calloc(1, sizeof *p);
    int err = p ? 0 : -ENOMEM;

    *ret = (struct s3_page){.more = false};
    if (err == 0) {
        *p = (struct page){.ret = ret, .fn = fn, .ctx = ctx, .claimed = UINT64_MAX};
        err = read_xml(text, len, take_encoding, &p->encoded);
    }
    if (err == 0)
        err = read_xml(text, len, take_list, p);
    if (err == 0 && (!p->is_page || !p->says_more || (ret->more && !*ret->token) ||
                     (p->claimed != UINT64_MAX && p->claimed != ret->count)))
        err = -EBADMSG;
    free(p);
    return err;
}

/* ---- uploads ---- */

#define UPLOADS "ListMultipartUploadsResult"

struct uploads {
    s3_upload_fn *fn;
    void *ctx;
    char key[TEXT_MAX + 1], id[1024], initiated[64];
    bool is_list;
};

static int take_upload(const char *path, const char *text, void *ctx)
{
    struct uploads *u = ctx;

    if (strcmp(path, UPLOADS "/Upload/Key") == 0)
        snprintf(u->key, sizeof u->key, "%s", text);
    else if (strcmp(path, UPLOADS "/Upload/UploadId") == 0)
        snprintf(u->id, sizeof u->id, "%s", text);
    else if (strcmp(path, UPLOADS "/Upload/Initiated") == 0)
        snprintf(u->initiated, sizeof u->initiated, "%s", text);
    else if (strcmp(path, UPLOADS) == 0)
        u->is_list = true;
    else if (strcmp(path, UPLOADS "/Upload") == 0)
        return u->fn(u->key, u->id, u->initiated, u->ctx);
    return 0;
}

int s3_uploads_read(const char *text, size_t len, s3_upload_fn *fn, void *ctx)
{
    struct uploads *u = calloc(1, sizeof *u);
    int err = u ? 0 : -ENOMEM;

    if (err == 0) {
        u->fn = fn;
        u->ctx = ctx;
        err = read_xml(text, len, take_upload, u);
    }
    if (err == 0 && !u->is_list)
        err = -EBADMSG;
    free(u);
    return err;
}

static int take_id(const char *path, const char *text, void *ctx)
{
    if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0)
        snprintf(ctx, 1024, "%s", text);
    return 0;
}

int s3_upload_id_read(const char *text, size_t len, char out[1024])
{
    *out = '\0';
    int err = read_xml(text, len, take_id, out);

    return err == 0 && !*out ? -EBADMSG : err;
}

static int take_complete(const char *path, const char *text, void *ctx)
{
    (void)text;
    if (strcmp(path, "CompleteMultipartUploadResult") == 0)
        *(bool *)ctx = true;
    return 0;
}

bool s3_is_complete(const char *text, size_t len)
{
    bool complete = false;

    return read_xml(text, len, take_complete, &complete) == 0 && complete;
}
