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
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

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

/* *ret_len is the length of the frame, which has at most `room` bytes; 0: it does not fit. Every
 * other error says nothing of the bytes, and is one of memory. */
static int frame(struct context *t, const void *data, size_t len, void *out, size_t room, int level,
                 uint32_t *ret_len)
{
    size_t n = ZSTD_compressCCtx(t->c, out, room, data, len, level);

    *ret_len = ZSTD_isError(n) ? 0 : (uint32_t)n;
    return ZSTD_isError(n) && ZSTD_getErrorCode(n) != ZSTD_error_dstSize_tooSmall ? -ENOMEM : 0;
}

/* Is it worth trying? The sample becomes shorter by a sixteenth. */
static int try_sample(struct context *t, const uint8_t *data, size_t len, void *out,
                      uint32_t *ret_len)
{
    return frame(t, data + (len - SAMPLE) / 2, SAMPLE, out, SAMPLE - SAMPLE / (2 * SAVES),
                 LEVEL_SAMPLE, ret_len);
}

int compress_bytes(const void *data, uint32_t len, enum compress_how how, const void **ret_bytes,
                   uint32_t *ret_len)
{
    const int level = how == COMPRESS_REST ? LEVEL_REST : LEVEL_WRITE;
    const size_t room = len - len / SAVES;
    struct context *t = mine();
    uint8_t *out;
    int err = 0;

    *ret_len = 0;
    if (len < SHORTEST)
        return 0;
    out = t ? compress_scratch(room) : NULL;
    if (out && !t->c)
        t->c = ZSTD_createCCtx();
    if (!out || !t->c)
        return -ENOMEM;
    *ret_bytes = out;
    if (len >= SAMPLED)
        err = try_sample(t, data, len, out, ret_len);
    return err < 0 || (len >= SAMPLED && *ret_len == 0)
               ? err
               : frame(t, data, len, out, room, level, ret_len);
}

/* Is it one frame of zstd itself, not of an older format, that says how long its content is? */
static bool is_frame_of(const void *bytes, size_t len, uint32_t size)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};

    return len >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0 &&
           ZSTD_getFrameContentSize(bytes, len) == size &&
           ZSTD_findFrameCompressedSize(bytes, len) == len;
}

int compress_expand(const void *bytes, uint32_t len, void *buf, uint32_t size)
{
    struct context *t = mine();

    if (!is_frame_of(bytes, len, size))
        return -EUCLEAN;
    if (t && !t->d)
        t->d = ZSTD_createDCtx();
    if (!t || !t->d)
        return -ENOMEM;
    return ZSTD_decompressDCtx(t->d, buf, size, bytes, len) == size ? 0 : -EUCLEAN;
}
