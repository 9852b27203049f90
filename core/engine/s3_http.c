// SPDX-License-Identifier: Apache-2.0
/*
 * s3_http: see the header.
 *
 * The signer of libcurl 7.88 signs the path and the query as they are, so both are encoded here,
 * and the parameters are sorted by those who write them. It does not hash a body that is given by
 * a callback, so the header x-amz-content-sha256 is made here.
 */
#include "s3_http.h"

#include "clock.h"
#include "report.h"
#include "shard_traffic.h"
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECT_MOST (5 * NSEC_PER_SEC)   /* of one connection */
#define PAUSE_FIRST (100 * NSEC_PER_MSEC) /* before the second try; it doubles */
#define PAUSE_MOST (3 * NSEC_PER_SEC)
#define REPORT_EVERY (60 * NSEC_PER_SEC)
#define TEXT_MOST (8u << 20) /* bytes of an answer in XML */
#define ERROR_MOST (64u << 10)
#define MIB_SHIFT 20
#define SHA256_LEN 32

/* ---- texts ---- */

void s3_encode(struct strbuf *b, const char *text, bool path)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if ((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
            strchr("-._~", *c) || (path && *c == '/'))
            strbuf_add(b, c, 1);
        else
            strbuf_addf(b, "%%%02X", *c);
}

static void add_url(struct strbuf *b, const struct s3 *s, const struct s3_request *r)
{
    strbuf_addf(b, "%s/%s", s->url.endpoint, s->url.bucket);
    if (r->name) {
        strbuf_adds(b, "/");
        s3_encode(b, s->url.prefix, true);
        s3_encode(b, r->name, true);
    }
    if (r->query && *r->query)
        strbuf_addf(b, "?%s", r->query);
}

static void add_hash(struct strbuf *b, const struct s3 *s, const struct s3_request *r)
{
    unsigned char md[SHA256_LEN];
    unsigned n = sizeof md;

    strbuf_adds(b, "x-amz-content-sha256: ");
    if (s->lib->digest(r->body_len ? r->body : "", r->body_len, md, &n, s->lib->sha256(), NULL) !=
        1)
        b->failed = true;
    for (size_t i = 0; i < sizeof md; i++)
        strbuf_addf(b, "%02x", md[i]);
}

/* Adds a header to the list. False: there is no memory. */
static bool add_header(const struct s3 *s, struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = s->lib->slist_append(*list, text);

    if (longer)
        *list = longer;
    return longer;
}

/* The headers of a request, the same for all of its tries but for the token. NULL: no memory. */
static struct curl_slist *make_headers(const struct s3 *s, const struct s3_request *r,
                                       const char *token)
{
    CLEANUP_STRBUF struct strbuf hash = STRBUF_INIT, range = STRBUF_INIT, session = STRBUF_INIT;
    struct curl_slist *list = NULL;

    add_hash(&hash, s, r);
    strbuf_addf(&range, "Range: bytes=%" PRIu64 "-%" PRIu64, r->off, r->off + r->cap - 1);
    strbuf_addf(&session, "x-amz-security-token: %s", token);
    if (strbuf_error(&hash) == 0 && strbuf_error(&range) == 0 && strbuf_error(&session) == 0 &&
        add_header(s, &list, hash.s) &&
        add_header(s, &list, "Content-Type: application/octet-stream") &&
        (!r->if_absent || add_header(s, &list, "If-None-Match: *")) &&
        (!r->range || add_header(s, &list, range.s)) &&
        (!*token || add_header(s, &list, session.s)))
        return list;
    s->lib->slist_free_all(list);
    return NULL;
}

/* ---- the answer ---- */

/* One try of a request. */
struct attempt {
    struct s3 *s;
    struct s3_request *r;
    CURL *curl;
    curl_socket_t fd; /* of its connection, for hints alone */
    bool is_s3;       /* the answer has the header of an S3 server */
    bool too_big;     /* it has more bytes than were asked for */
};

static long status_of(const struct attempt *a)
{
    long status = 0;

    (void)a->s->lib->easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* If the header has that name, returns its value in `out`. */
static bool value_of(const char *line, size_t len, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name);

    if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    for (n++; n < len && line[n] == ' ';)
        n++;
    while (len > n && strchr("\r\n ", line[len - 1]))
        len--;
    snprintf(out, cap, "%.*s", (int)(len - n), line + n);
    return true;
}

/* Called by libcurl for a new connection. */
static int on_connect(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    struct attempt *a = ctx;

    (void)purpose;
    a->fd = fd;
    return CURL_SOCKOPT_OK;
}

/* Acknowledges the head of the answer now. A server that sends a short body in a packet of its own,
 * and lets the kernel put packets together (Nagle), as radosgw does, waits for that: 40 ms. */
static void acknowledge(const struct attempt *a)
{
    const int on = 1;

    if (a->fd != CURL_SOCKET_BAD)
        (void)setsockopt(a->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static size_t on_header(char *line, size_t one, size_t len, void *ctx)
{
    struct attempt *a = ctx;
    char value[128];

    (void)one;
    if (len <= 2)
        acknowledge(a);
    else if (value_of(line, len, "x-amz-request-id", value, sizeof value))
        a->is_s3 = true;
    else if (value_of(line, len, "ETag", value, sizeof value))
        snprintf(a->r->etag, sizeof a->r->etag, "%s", value);
    else if (value_of(line, len, "Date", value, sizeof value))
        a->r->date = (int64_t)a->s->lib->getdate(value, NULL);
    else if (value_of(line, len, "Last-Modified", value, sizeof value))
        a->r->put = (int64_t)a->s->lib->getdate(value, NULL);
    else if (value_of(line, len, "Content-Range", value, sizeof value))
        (void)sscanf(value, "bytes %" SCNu64 "-%*[^/]/%" SCNu64, &a->r->from, &a->r->total);
    return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
    struct attempt *a = ctx;
    struct s3_request *r = a->r;
    long status = status_of(a);
    bool good = status >= 200 && status < 300;

    (void)one;
    if (good && r->into) {
        if (len > r->cap - r->got) {
            a->too_big = true;
            return 0;
        }
        memcpy((char *)r->into + r->got, data, len);
        r->got += len;
        return len;
    }
    r->text.most = good ? TEXT_MOST : ERROR_MOST;
    strbuf_add(&r->text, data, len);
    return strbuf_error(&r->text) == 0 || !good ? len : 0;
}

/* ---- one try ---- */

static struct s3_handle take_handle(struct s3 *s)
{
    {
        MUTEX_GUARD(&s->lock);
        if (s->idle_count)
            return s->idle[--s->idle_count];
    }
    return (struct s3_handle){s->lib->easy_init(), CURL_SOCKET_BAD};
}

/* Keeps the handle for a later request. After an error its connection is not used again. */
static void put_handle(struct s3 *s, const struct s3_handle *h, bool good)
{
    if (good) {
        s->lib->easy_reset(h->curl);
        MUTEX_GUARD(&s->lock);
        if (s->idle_count < S3_HANDLES) {
            s->idle[s->idle_count++] = *h;
            return;
        }
    }
    s->lib->easy_cleanup(h->curl);
}

static void set_body(const struct attempt *a)
{
    const struct s3_lib *l = a->s->lib;
    const struct s3_request *r = a->r;

    if (strcmp(r->method, "HEAD") == 0) {
        (void)l->easy_setopt(a->curl, CURLOPT_NOBODY, 1L);
        return;
    }
    if (strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0) {
        (void)l->easy_setopt(a->curl, CURLOPT_POSTFIELDS, r->body_len ? r->body : "");
        (void)l->easy_setopt(a->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
    }
    (void)l->easy_setopt(a->curl, CURLOPT_CUSTOMREQUEST, r->method);
}

/* `left`: ns that the try may take. Options fail only where memory is missing, and then the request
 * fails, too, since it is not signed or has no URL. */
static void set_options(struct attempt *a, const char *url, int64_t left)
{
    const struct s3_lib *l = a->s->lib;
    const int64_t connect = left < CONNECT_MOST ? left : CONNECT_MOST;

    (void)l->easy_setopt(a->curl, CURLOPT_URL, url);
    (void)l->easy_setopt(a->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)l->easy_setopt(a->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)l->easy_setopt(a->curl, CURLOPT_NOSIGNAL, 1L);
    (void)l->easy_setopt(a->curl, CURLOPT_PATH_AS_IS, 1L);
    (void)l->easy_setopt(a->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    /* A header "Expect:" would be signed, but not sent. So a long body is not held back for an
     * answer to the one that libcurl adds. */
    (void)l->easy_setopt(a->curl, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
    (void)l->easy_setopt(a->curl, CURLOPT_BUFFERSIZE, 512L << 10);
    (void)l->easy_setopt(a->curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    (void)l->easy_setopt(a->curl, CURLOPT_TIMEOUT_MS, (long)(left / NSEC_PER_MSEC) + 1);
    (void)l->easy_setopt(a->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect / NSEC_PER_MSEC) + 1);
    (void)l->easy_setopt(a->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* those of a proxy */
    (void)l->easy_setopt(a->curl, CURLOPT_SOCKOPTFUNCTION, on_connect);
    (void)l->easy_setopt(a->curl, CURLOPT_SOCKOPTDATA, a);
    (void)l->easy_setopt(a->curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)l->easy_setopt(a->curl, CURLOPT_HEADERDATA, a);
    (void)l->easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)l->easy_setopt(a->curl, CURLOPT_WRITEDATA, a);
    if (*a->s->url.ca)
        (void)l->easy_setopt(a->curl, CURLOPT_CAINFO, a->s->url.ca);
    set_body(a);
}

/* Signs the request. libcurl copies what it is given. */
static int sign(struct attempt *a, struct curl_slist **ret_headers)
{
    const struct s3_lib *l = a->s->lib;
    char how[96];
    struct s3_keys keys;

    {
        MUTEX_GUARD(&a->s->lock);
        keys = a->s->keys;
        a->r->keys = a->s->keys_read;
    }
    snprintf(how, sizeof how, "aws:amz:%s:s3", a->s->url.region);
    *ret_headers = make_headers(a->s, a->r, keys.token);
    bool ok = *ret_headers && l->easy_setopt(a->curl, CURLOPT_AWS_SIGV4, how) == CURLE_OK &&
              l->easy_setopt(a->curl, CURLOPT_USERNAME, keys.id) == CURLE_OK &&
              l->easy_setopt(a->curl, CURLOPT_PASSWORD, keys.secret) == CURLE_OK &&
              l->easy_setopt(a->curl, CURLOPT_HTTPHEADER, *ret_headers) == CURLE_OK;

    s3_keys_forget(&keys);
    return ok ? 0 : -ENOMEM;
}

static void forget_answer(struct s3_request *r)
{
    r->status = 0;
    r->got = 0;
    r->total = r->from = UINT64_MAX;
    r->date = r->put = 0;
    *r->etag = '\0';
    strbuf_clear(&r->text);
    r->said = (struct s3_said){.code = ""};
}

/* What the request has got when libcurl is done with it. */
static void take_answer(struct attempt *a)
{
    struct s3_request *r = a->r;
    curl_off_t length = -1;

    r->status = status_of(a);
    (void)a->s->lib->easy_getinfo(a->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length >= 0 && r->total == UINT64_MAX && r->status != 206)
        r->total = (uint64_t)length;
    if (r->status >= 300)
        s3_said_read(r->text.s, r->text.len, &r->said);
}

/* What libcurl says of a request that got no whole answer. */
static int broke(struct attempt *a, CURLcode code)
{
    if (a->too_big)
        return -EFBIG;
    snprintf(a->r->why, SHARD_WHY, "%.200s", a->s->lib->easy_strerror(code));
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_PEER_FAILED_VERIFICATION: /* what answers cannot be trusted: no further try */
    case CURLE_SSL_CACERT_BADFILE:
        return -EHOSTUNREACH;
    default:
        return -EAGAIN;
    }
}

/* Sends the request once. -EAGAIN: it failed for a reason that may pass. */
static int send_once(struct s3 *s, struct s3_request *r, const char *url, int64_t left)
{
    struct s3_handle h = take_handle(s);
    struct attempt a = {.s = s, .r = r, .curl = h.curl, .fd = h.fd};
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long connections = 0;

    if (!a.curl)
        return -ENOMEM;
    forget_answer(r);
    set_options(&a, url, left);
    if (sign(&a, &headers) == 0)
        code = s->lib->easy_perform(a.curl);
    (void)s->lib->easy_getinfo(a.curl, CURLINFO_NUM_CONNECTS, &connections);
    take_answer(&a);
    h.fd = a.fd;
    put_handle(s, &h, code == CURLE_OK);
    s->lib->slist_free_all(headers);
    /* libcurl itself repeats a request once whose old connection was closed: it may be done. */
    r->again = r->again || connections > 0;
    if (code != CURLE_OK)
        return broke(&a, code);
    if (a.is_s3)
        return 0;
    snprintf(r->why, SHARD_WHY, "what answers there with the status %ld is no S3 server",
             r->status);
    return -EAGAIN;
}

/* ---- what an answer means ---- */

/* Is the code of the answer one of these? */
static bool is_code(const struct s3_request *r, const char *const *codes)
{
    for (; *codes; codes++)
        if (strcmp(*codes, r->said.code) == 0)
            return true;
    return false;
}

/* 400 is for what is wrong with a request, but also for keys that are out of date. An answer to
 * HEAD has no text that says which. */
static int error_of_400(const struct s3_request *r)
{
    static const char *const keys[] = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "",
                                       NULL};
    static const char *const slow[] = {"RequestTimeout", NULL};

    return is_code(r, keys) ? -EACCES : is_code(r, slow) ? -EAGAIN : -EIO;
}

/* 404 is believed of a name only where the server says so, or to HEAD, where it cannot. */
static int error_of_404(const struct s3_request *r)
{
    static const char *const missing[] = {"NoSuchKey", "NoSuchUpload", NULL};

    return is_code(r, missing) || strcmp(r->method, "HEAD") == 0 ? -ENOENT : -EHOSTUNREACH;
}

static int error_of(const struct s3_request *r)
{
    const char *code = r->said.code;

    switch (r->status) {
    case 400:
        return error_of_400(r);
    case 404:
        return error_of_404(r);
    case 412:
        return -EEXIST;
    case 409:
        return strcmp(code, "ConditionalRequestConflict") == 0 ||
                       strcmp(code, "OperationAborted") == 0
                   ? -EAGAIN
                   : -EIO;
    case 401:
    case 403:
        return strcmp(code, "QuotaExceeded") == 0 ? -EDQUOT : -EACCES;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return -EAGAIN;
    case 507:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

/* What to say of a signature that the server refuses because of its time. */
static void say_clocks(const struct s3_request *r, char out[64])
{
    int64_t ahead = clock_now(clock_real()) / NSEC_PER_SEC - r->date;

    *out = '\0';
    if (r->date > 0 && strcmp(r->said.code, "RequestTimeTooSkewed") == 0)
        snprintf(out, 64, " (the clock here is %" PRId64 " seconds %s)", ahead < 0 ? -ahead : ahead,
                 ahead < 0 ? "behind" : "ahead");
}

/* Writes the sentence, and reports it if it is one that only a person can do something about. */
static void say(struct s3 *s, struct s3_request *r, int err)
{
    const int64_t now = clock_ticks(clock_real());
    const struct s3_said *said = &r->said;
    char clocks[64];

    say_clocks(r, clocks);
    snprintf(r->why, SHARD_WHY, "the server answers %ld%s%.40s%s%s%.120s", r->status,
             *said->code ? " " : "", said->code, clocks, *said->message ? ": " : "", said->message);
    if (err == -ENOENT || err == -EEXIST)
        return;
    {
        MUTEX_GUARD(&s->lock);
        if (s->reported && now - s->reported < REPORT_EVERY)
            return;
        s->reported = now;
    }
    report(REPORT_WARN, "s3://%s: %.30s of %.60s: %.140s", s->url.bucket, r->method,
           r->name ? r->name : "the bucket", r->why);
}

/* 0, the error that the answer means, or -EAGAIN: the request is sent again. */
static int judge(struct s3 *s, struct s3_request *r)
{
    int err;

    if ((r->status >= 200 && r->status < 300) || (r->range && r->status == 416))
        return 0;
    err = error_of(r);
    say(s, r, err);
    return err;
}

/* ---- all tries ---- */

/* Counts a request, or another try of it (shard_traffic.h). An open is not counted. */
static void count(struct s3 *s, const struct s3_request *r)
{
    static const struct {
        const char *method;
        enum shard_request kind;
    } kinds[] = {{"PUT", SHARD_PUT},
                 {"POST", SHARD_PUT},
                 {"GET", SHARD_GET},
                 {"HEAD", SHARD_STAT},
                 {"DELETE", SHARD_DELETE}};

    for (size_t i = 0; s->base.place && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].method, r->method) == 0)
            shard_count(&s->base,
                        r->name || kinds[i].kind != SHARD_GET ? kinds[i].kind : SHARD_LIST, 1);
}

static void pause_for(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* The keys may have been replaced since they were read: reads them again. True: they are others
 * than those that signed the request. */
static bool keys_changed(struct s3 *s, const struct s3_request *r)
{
    struct s3_keys keys;
    char why[SHARD_WHY];
    bool changed = false;

    if (s3_keys_load(s->url.credentials, s->url.profile, &keys, why) < 0)
        return false;
    {
        MUTEX_GUARD(&s->lock);
        if (memcmp(&keys, &s->keys, sizeof keys) != 0) {
            s->keys = keys;
            s->keys_read++;
        }
        changed = s->keys_read != r->keys;
    }
    s3_keys_forget(&keys);
    return changed;
}

static int64_t time_limit(const struct s3_request *r)
{
    uint64_t bytes = r->body_len + (r->into ? r->cap : 0) + r->longer;

    return shard_patience() / 3 * 2 + (int64_t)(bytes >> MIB_SHIFT) * NSEC_PER_SEC;
}

static int perform(struct s3 *s, struct s3_request *r, const char *url)
{
    const int64_t end = clock_ticks(clock_real()) + time_limit(r);
    int64_t left, next = PAUSE_FIRST;
    bool refused = false, counts = r->further;
    int err;

    for (;; next = next * 2 < PAUSE_MOST ? next * 2 : PAUSE_MOST) {
        if (counts)
            count(s, r);
        counts = true;
        left = end - clock_ticks(clock_real());
        err = send_once(s, r, url, left > NSEC_PER_MSEC ? left : NSEC_PER_MSEC);
        if (err == 0)
            err = judge(s, r);
        if (err == -EACCES && !refused && keys_changed(s, r)) {
            refused = true;
            continue;
        }
        if (err != -EAGAIN)
            return err;
        r->again = true;
        if (clock_ticks(clock_real()) + next >= end)
            return -EHOSTUNREACH;
        pause_for(next);
    }
}

int s3_perform(struct s3 *s, struct s3_request *r)
{
    CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;

    if (r->further)
        (void)shard_goes_on(); /* an upload is ended also if nobody waits for that */
    if (!r->text.s)
        r->text = (struct strbuf)STRBUF_INIT;
    r->again = false;
    add_url(&url, s, r);
    return strbuf_error(&url) < 0 ? -ENOMEM : perform(s, r, url.s);
}

void s3_request_end(struct s3_request *r)
{
    if (r->text.s)
        strbuf_release(&r->text);
}

void s3_http_release(struct s3 *s)
{
    while (s->idle_count)
        s->lib->easy_cleanup(s->idle[--s->idle_count].curl);
    s3_keys_forget(&s->keys);
}
