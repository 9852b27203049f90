// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_serve: HTTP by libmicrohttpd, which is loaded here, since it brings a library of TLS, and
 * linked to it each call of the program would start later. Each connection has a thread, at most
 * CONNECTIONS. A mount that does not answer costs an answer some seconds (metrics_read.h).
 */
#include "metrics.h"

#include "engine_lib.h"
#include "io.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 16u
#define PATIENCE 10u /* seconds that a connection may be idle */
#define TEXT "text/plain; version=0.0.4; charset=utf-8"

static __typeof__(MHD_start_daemon) *start_daemon;
static __typeof__(MHD_stop_daemon) *stop_daemon;
static __typeof__(MHD_create_response_from_buffer) *create_response;
static __typeof__(MHD_add_response_header) *add_header;
static __typeof__(MHD_queue_response) *queue_response;
static __typeof__(MHD_destroy_response) *destroy_response;

static int load(struct strbuf *why)
{
    static const struct engine_symbol symbols[] = {
        {"MHD_start_daemon", &start_daemon},
        {"MHD_stop_daemon", &stop_daemon},
        {"MHD_create_response_from_buffer", &create_response},
        {"MHD_add_response_header", &add_header},
        {"MHD_queue_response", &queue_response},
        {"MHD_destroy_response", &destroy_response},
    };
    char reason[SHARD_WHY];
    int err = engine_load("libmicrohttpd.so.12", "libmicrohttpd12", symbols,
                          sizeof(symbols) / sizeof(*symbols), reason);
    if (err < 0) {
        strbuf_adds(why, reason);
    }
    return err;
}

/* ---- answers ---- */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *text,
                              size_t len)
{
    struct MHD_Response *r = create_response(len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (!r) {
        return MHD_NO; /* the connection is closed */
    }
    (void)add_header(r, "Content-Type", TEXT);
    enum MHD_Result queued = queue_response(c, status, r);
    destroy_response(r);
    return queued;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *text)
{
    return answer(c, status, text, strlen(text));
}

/* Called by the library for each request, and again for what a body has. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **seen)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    (void)version, (void)upload, (void)seen;
    if (*upload_len > 0) {
        *upload_len = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    if (strcmp(path, "/metrics") != 0) {
        return say(c, MHD_HTTP_NOT_FOUND, "only /metrics is here\n");
    }
    if (metrics_collect(ctx, &text) < 0) {
        return say(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "the mounts cannot be listed\n");
    }
    return answer(c, MHD_HTTP_OK, text.s ? text.s : "", text.len);
}

/* ---- the address ---- */

struct address {
    char host[256], port[32];
};

/* Splits PORT, HOST:PORT or [HOST]:PORT. */
static int split(const char *text, struct address *ret, struct strbuf *why)
{
    const char *colon = strrchr(text, ':');
    const char *host = colon ? text : "127.0.0.1", *port = colon ? colon + 1 : text;
    size_t len = colon ? (size_t)(colon - text) : strlen(host);
    if (colon && *host == '[' && len >= 2 && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (!*port || port[strspn(port, "0123456789")] || strlen(port) > 5 ||
        strtoul(port, NULL, 10) > 65535 || len == 0 || len >= sizeof(ret->host)) {
        strbuf_addf(why, "%s is no address: PORT, HOST:PORT or [HOST]:PORT", text);
        return -EINVAL;
    }
    snprintf(ret->host, sizeof(ret->host), "%.*s", (int)len, host);
    snprintf(ret->port, sizeof(ret->port), "%s", port);
    return 0;
}

/* A socket that listens at the address. -errno. */
static int listen_at(const struct addrinfo *a)
{
    const int one = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0) {
        return -errno;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, (int)CONNECTIONS) < 0) {
        const int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static int open_socket(const char *address, struct strbuf *why)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    struct address a;
    int err = split(address, &a, why);
    if (err < 0) {
        return err;
    }
    const int failed = getaddrinfo(a.host, a.port, &hints, &found);
    if (failed) {
        strbuf_addf(why, "%s: %s", a.host, gai_strerror(failed));
        return -EINVAL;
    }
    int fd = -EADDRNOTAVAIL;
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = listen_at(at);
    }
    freeaddrinfo(found);
    if (fd < 0) {
        strbuf_addf(why, "%s: %s", address, strerror(-fd));
    }
    return fd;
}

/* What the socket is bound to, as HOST:PORT: the port may have been 0. */
static void name_socket(int fd, char out[320])
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    char host[256] = "?", port[32] = "?";
    if (getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
        (void)getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port),
                          NI_NUMERICHOST | NI_NUMERICSERV);
    }
    snprintf(out, 320, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* ---- serving ---- */

int metrics_serve(const char *mnt, const char *address, void (*ready)(const char *host_and_port),
                  struct strbuf *why)
{
    sigset_t ends;
    char name[320];
    int signal, err = load(why);
    CLEANUP_CLOSE int fd = err < 0 ? err : open_socket(address, why);
    if (fd < 0) {
        return fd;
    }
    /* before there are threads, which inherit the mask: the signals wait for sigwait */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    name_socket(fd, name);
    struct MHD_Daemon *d = start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, on_request,
        (void *)(uintptr_t)mnt, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, PATIENCE, MHD_OPTION_END);
    if (!d) {
        strbuf_adds(why, "the HTTP library could not start");
        return -EAGAIN;
    }
    fd = -1; /* stop_daemon closes it */
    ready(name);
    (void)sigwait(&ends, &signal);
    stop_daemon(d);
    return 0;
}
