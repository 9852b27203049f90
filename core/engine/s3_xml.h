// SPDX-License-Identifier: Apache-2.0
/*
 * s3_xml: reads the answers of an S3 server that are XML: errors, lists, uploads.
 *
 *     s3_page_read(text, len, fn, ctx, &page)     fn("packs/0123", 4711, ctx) ...
 *
 * Bytes of a server are not trusted: a document with a DOCTYPE, with deeper nesting than 8, or
 * with a text of more than 4096 bytes in one element is refused. Threads: any.
 */
#pragma once

#include "shard.h"
#include <stddef.h>

/* What an error says. Both are "" where the text is no error of S3. */
struct s3_said {
    char code[64];
    char message[160];
};
void s3_said_read(const char *text, size_t len, struct s3_said *ret);

/* One page of a list of objects. */
struct s3_page {
    bool more; /* there is another page, which begins at `token` */
    char token[2048];
    uint64_t count; /* of the names on this page */
};
/* Calls `fn` with each name, which is decoded, and its size. -EBADMSG: it is no such page, or it
 * says itself that something is missing. Any other result is one of `fn`. */
int s3_page_read(const char *text, size_t len, shard_list_fn *fn, void *ctx, struct s3_page *ret);

/* Unfinished uploads, as a page of them lists them. `initiated` is a time of the server, as
 * "2026-01-02T03:04:05.678Z". */
typedef int s3_upload_fn(const char *key, const char *id, const char *initiated, void *ctx);
int s3_uploads_read(const char *text, size_t len, s3_upload_fn *fn, void *ctx);
/* The id of an upload that was begun. -EBADMSG. */
int s3_upload_id_read(const char *text, size_t len, char out[1024]);
/* Does the answer say that an upload is complete? A server may send an error with the status 200,
 * since it sends the status before it knows. */
bool s3_is_complete(const char *text, size_t len);
