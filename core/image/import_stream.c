// SPDX-License-Identifier: Apache-2.0
/* import_stream: see the header. */
#include "import_stream.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Who takes the records. */
struct taker {
    import_record_fn *take;
    void *ctx;
    struct strbuf *why;
};

int import_stream_init(struct import_stream *s)
{
    *s = (struct import_stream){.gather = malloc(IMAGE_RECORD_MAX)};
    return s->gather ? 0 : -ENOMEM;
}

void import_stream_cut(struct import_stream *s)
{
    s->gathered = 0;
}

void import_stream_release(struct import_stream *s)
{
    free(s->gather);
    *s = (struct import_stream){0};
}

/* Takes the head or a record at the front of the bytes. *ret_used: how many it has; 0: it is not
 * all there. */
static int take_one(struct import_stream *s, const uint8_t *buf, size_t len,
                    const struct taker *to, size_t *ret_used)
{
    struct image_record r;
    int err;

    *ret_used = 0;
    if (!s->opened) {
        err = image_open(&s->stream, buf, len);
        s->opened = err == 0;
        *ret_used = s->whole = err == 0 ? IMAGE_HEAD : 0;
        return err == -EAGAIN ? 0 : err;
    }
    err = image_next(&s->stream, buf, len, ret_used, &r);
    if (err < 0)
        return err == -EAGAIN ? 0 : err;
    s->whole += *ret_used;
    return to->take(to->ctx, &r, to->why);
}

/* Takes what is whole of the bytes. *ret_used: how many. */
static int take_whole(struct import_stream *s, const uint8_t *buf, size_t len,
                      const struct taker *to, size_t *ret_used)
{
    size_t used = 1;
    int err = 0;

    *ret_used = 0;
    while (err == 0 && !s->stream.ended && used > 0) {
        err = take_one(s, buf + *ret_used, len - *ret_used, to, &used);
        *ret_used += used;
    }
    return err;
}

/* How many bytes are to be gathered: of a record once its size is known. */
static size_t wanted(const struct import_stream *s)
{
    if (!s->opened)
        return IMAGE_HEAD;
    return s->gathered < IMAGE_PEEK ? IMAGE_PEEK : image_size(s->gather);
}

/* Gathers up to `size` bytes in all. */
static void gather(struct import_stream *s, size_t size, const uint8_t **buf, size_t *len)
{
    size_t n = size - s->gathered < *len ? size - s->gathered : *len;

    memcpy(s->gather + s->gathered, *buf, n);
    s->gathered += n;
    *buf += n;
    *len -= n;
}

/* Completes the record that is gathered from the front of the bytes, if they have enough of it. */
static int complete(struct import_stream *s, const uint8_t **buf, size_t *len,
                    const struct taker *to)
{
    size_t used;
    int err;

    if (s->gathered == 0)
        return 0;
    while (*len > 0 && s->gathered < wanted(s)) /* the second time its size is known */
        gather(s, wanted(s), buf, len);
    err = take_one(s, s->gather, s->gathered, to, &used);
    if (err == 0 && used > 0)
        s->gathered = 0;
    return err;
}

int import_stream_take(struct import_stream *s, const uint8_t *buf, size_t len,
                       import_record_fn *take, void *ctx, struct strbuf *why)
{
    const struct taker to = {take, ctx, why};
    size_t used;
    int err = complete(s, &buf, &len, &to);

    if (err < 0 || s->gathered > 0)
        return err;
    err = take_whole(s, buf, len, &to, &used);
    if (err < 0)
        return err;
    if (s->stream.ended && used < len) {
        strbuf_adds(why, "bytes follow the end of the stream");
        return -EINVAL;
    }
    memcpy(s->gather, buf + used, len - used);
    s->gathered = len - used;
    return 0;
}
