// SPDX-License-Identifier: Apache-2.0
/*
 * s3_http: one request to an S3 server, with its signature, its retries and its time limit.
 *
 *     struct s3_request r = {.method = "GET", .name = "packs/0123", .into = buf, .cap = len};
 *     err = s3_perform(s3, &r);        r.got bytes are in buf
 *     s3_request_end(&r);
 *
 * Requests are signed by libcurl (AWS Signature Version 4), with the hash of their body: a server
 * refuses bytes that were changed on the way. Connections are kept and used again. A request that
 * failed for a reason that passes (408, 429, 500, 502, 503, 504, a conflict of two writers, a
 * broken connection, no answer in time, an answer of somebody else) is repeated, with growing
 * pauses, until two thirds of shard_patience() are over, and a second more for each MiB of its
 * body, of the bytes that are asked for, and of `longer`.
 *
 * An answer counts only if it has the header x-amz-request-id, which every S3 server sends and a
 * proxy that answers for the server does not.
 *
 * Errors: -ENOENT no such name; -EEXIST if_absent, and something has the name; -EACCES the server
 * refuses; -ENOSPC, -EDQUOT; -EFBIG the answer has more than `cap` bytes; -EHOSTUNREACH no server
 * answers, or there is no such bucket; -EBADMSG the answer is not as S3 has it; -EIO any other
 * answer; -ENOMEM. What the
 * server says about a refusal is reported, at most once a minute. Threads: any.
 */
#pragma once

#include "engine_pieces.h"
#include "lock.h"
#include "s3_keys.h"
#include "s3_lib.h"
#include "s3_url.h"
#include "s3_xml.h"
#include "strbuf.h"
#include <stdbool.h>

#define S3_HANDLES 32 /* connections that are kept */

struct s3 {
    struct shard base;
    const struct s3_lib *lib;
    struct s3_url url;
    struct pieces_room pieces;
    struct mutex lock; /* "s3", a leaf; guards all fields below */
    struct s3_keys keys;
    unsigned keys_read; /* how often they were replaced */
    struct s3_handle {
        CURL *curl;
        curl_socket_t fd; /* of its connection, as far as libcurl has told */
    } idle[S3_HANDLES];
    unsigned idle_count;
    int64_t reported; /* monotonic ns: when a refusal was last reported */
    bool cleaned;     /* a stream has removed the uploads of dead processes */
};

struct s3_request {
    const char *method;
    const char *name;  /* of the shard; NULL: the bucket itself */
    const char *query; /* "" or parameters that are sorted, encoded, and all have a '=' */
    const void *body;
    size_t body_len;
    uint64_t longer; /* bytes that the server works on: a second more for each MiB */
    bool further;    /* shard.c has not counted it: it is not the first one of a call */
    bool if_absent;  /* a put that must not replace */
    bool range;      /* asks for `cap` bytes from `off` on */
    uint64_t off;
    void *into; /* gets the body of the answer; NULL: `text` gets it */
    size_t cap;
    /* The answer: */
    long status;
    size_t got;     /* bytes in `into` */
    uint64_t total; /* size of the object, of HEAD and of a range */
    uint64_t from;  /* where the range begins that was answered; UINT64_MAX: it is no range */
    char etag[128];
    int64_t date;  /* seconds since the epoch, by the server's clock; 0: unknown */
    int64_t put;   /* likewise: when the object was put */
    unsigned keys; /* s3.keys_read when it was signed */
    /* The request may have been done already, by an earlier try. libcurl itself repeats a request
     * on a new connection if the kept one was closed, so a new one counts as a second try. */
    bool again;
    struct strbuf text;
    struct s3_said said;
    char why[SHARD_WHY]; /* a sentence, after an error */
};

int s3_perform(struct s3 *s, struct s3_request *r);
void s3_request_end(struct s3_request *r);
/* Closes the connections, and forgets the keys. */
void s3_http_release(struct s3 *s);
/* Adds `text` in the encoding of a URL, with '/' as it is if `path`. */
void s3_encode(struct strbuf *b, const char *text, bool path);
