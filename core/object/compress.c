// SPDX-License-Identifier: Apache-2.0
/*
 * compress: see the header. The levels are measured (DESIGN 4.1).
 *
 * What cannot become shorter is found in two cheap ways: the bytes of a long content are sampled
 * first, and zstd gives up as soon as its output has no room left.
 */
#include "compress.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>

#define LEVEL_WRITE 1
#define LEVEL_REST 6
#define SAVES 8       /* a content is worth it if it becomes shorter by an eighth */
#define SHORTEST 96   /* bytes; shorter contents do not become shorter */
#define SAMPLE 4096   /* bytes from the middle of a content that are tried first */
#define SAMPLED 32768 /* bytes from which on contents are sampled */
#define LEVEL_SAMPLE 1

struct context {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
    void *scratch;
    size_t room;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void destroy(void *ctx)
{
    struct context *t = ctx;

    ZSTD_freeCCtx(t->c);
    ZSTD_freeDCtx(t->d);
    free(t->scratch);
    free(t);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, destroy) == 0;
}

/* The context of this thread, or NULL. */
static struct context *mine(void)
{
    struct context *t;

    (void)pthread_once(&once, make_key);
    if (!has_key)
        return NULL;
    t = pthread_getspecific(key);
    if (t)
        return t;
    t = calloc(1, sizeof *t);
    if (t && pthread_setspecific(key, t) != 0) {
        free(t);
        t = NULL;
    }
    return t;
}

void *compress_scratch(size_t len)
{
    struct context *t = mine();

    if (!t || len <= t->room)
        return t ? t->scratch : NULL;
    free(t->scratch);
    t->scratch = malloc(len);
    t->room = t->scratch ? len : 0;
    return t->scratch;
}

/* The length of the frame, which has at most `room` bytes; 0: it does not fit. */
static size_t frame(struct context *t, const void *data, size_t len, void *out, size_t room,
                    int level)
{
    size_t n = ZSTD_compressCCtx(t->c, out, room, data, len, level);

    return ZSTD_isError(n) ? 0 : n;
}

int compress_bytes(const void *data, uint32_t len, enum compress_how how, const void **ret_bytes,
                   uint32_t *ret_len)
{
    const int level = how == COMPRESS_REST ? LEVEL_REST : LEVEL_WRITE;
    const size_t room = len - len / SAVES;
    struct context *t = mine();
    uint8_t *out;

    *ret_len = 0;
    if (len < SHORTEST)
        return 0;
    out = t ? compress_scratch(room) : NULL;
    if (out && !t->c)
        t->c = ZSTD_createCCtx();
    if (!out || !t->c)
        return -ENOMEM;
    if (len >= SAMPLED && !frame(t, (const uint8_t *)data + (len - SAMPLE) / 2, SAMPLE, out,
                                 SAMPLE - SAMPLE / (2 * SAVES), LEVEL_SAMPLE))
        return 0;
    *ret_len = (uint32_t)frame(t, data, len, out, room, level);
    *ret_bytes = out;
    return 0;
}

int compress_expand(const void *bytes, uint32_t len, void *buf, uint32_t size)
{
    struct context *t = mine();

    if (t && !t->d)
        t->d = ZSTD_createDCtx();
    if (!t || !t->d)
        return -ENOMEM;
    return ZSTD_decompressDCtx(t->d, buf, size, bytes, len) == size ? 0 : -EUCLEAN;
}
