// SPDX-License-Identifier: Apache-2.0
/* inlet: see the header. A record may begin in one buffer and end in the next. Before the bytes of
 * each buffer there is room for the longest record, so only its beginning is copied there. */
#include "inlet.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFERS 4
#define PIECE (1u << 20) /* bytes of one read */

struct inlet {
    int fd;
    struct image_stream stream;
    bool opened;          /* the head of the stream was read */
    const uint8_t *p;     /* bytes of the present buffer that were not used */
    const uint8_t *end;
    uint64_t taken;       /* buffers that inlet_next has begun to use */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows, but for the bytes of buffers */
    pthread_cond_t moved;
    uint64_t filled, released; /* buffers so far */
    int err;                   /* why there are no more; -ENOENT: the end */
    bool closing;
    size_t len[BUFFERS];
    uint8_t *buffer[BUFFERS]; /* buffer n is at n % BUFFERS */
};

/* Waits until a buffer is free. False: none is needed any more. */
static bool wait_free(struct inlet *in)
{
    pthread_mutex_lock(&in->lock);
    while (in->filled - in->released >= BUFFERS && !in->closing) {
        pthread_cond_wait(&in->moved, &in->lock);
    }
    bool more = !in->closing;
    pthread_mutex_unlock(&in->lock);
    return more;
}

static void *read_buffers(void *arg)
{
    struct inlet *in = arg;
    int err = 0;
    while (err == 0 && wait_free(in)) {
        size_t at = in->filled % BUFFERS;
        ssize_t n = read(in->fd, in->buffer[at] + IMAGE_RECORD_MAX, PIECE);
        err = n < 0 ? -errno : n == 0 ? -ENOENT : 0;
        pthread_mutex_lock(&in->lock);
        in->len[at] = n < 0 ? 0 : (size_t)n;
        in->filled += n > 0;
        in->err = err;
        pthread_cond_broadcast(&in->moved);
        pthread_mutex_unlock(&in->lock);
    }
    return NULL;
}

/* Waits for the next buffer. 0, or why there is none. */
static int wait_filled(struct inlet *in)
{
    pthread_mutex_lock(&in->lock);
    while (in->filled == in->taken && in->err == 0) {
        pthread_cond_wait(&in->moved, &in->lock);
    }
    int err = in->filled > in->taken ? 0 : in->err;
    pthread_mutex_unlock(&in->lock);
    return err;
}

/* The buffers before the present one can be filled again. */
static void release_last(struct inlet *in)
{
    pthread_mutex_lock(&in->lock);
    in->released = in->taken;
    pthread_cond_broadcast(&in->moved);
    pthread_mutex_unlock(&in->lock);
}

/* Adds the next buffer to what was not used. */
static int next_buffer(struct inlet *in)
{
    size_t left = (size_t)(in->end - in->p);
    int err = left >= IMAGE_RECORD_MAX ? -EBADMSG : wait_filled(in);
    if (err < 0) {
        return err == -ENOENT ? -EBADMSG : err; /* the stream has an end of its own */
    }
    size_t at = in->taken % BUFFERS;
    uint8_t *bytes = in->buffer[at] + IMAGE_RECORD_MAX;
    if (left) {
        memcpy(bytes - left, in->p, left);
    }
    in->p = bytes - left;
    in->end = bytes + in->len[at];
    release_last(in);
    in->taken++;
    return 0;
}

/* Errors of the codec are those of the bytes. */
static int codec_error(int err)
{
    return err == -EUCLEAN || err == -EPROTO ? -EBADMSG : err;
}

static int open_stream(struct inlet *in)
{
    int err;
    while ((err = image_open(&in->stream, in->p, (size_t)(in->end - in->p))) == -EAGAIN) {
        err = next_buffer(in);
        if (err < 0) {
            return err;
        }
    }
    if (err == 0) {
        in->p += IMAGE_HEAD;
        in->opened = true;
    }
    return codec_error(err);
}

int inlet_next(struct inlet *in, struct image_record *ret)
{
    size_t used = 0;
    int err = in->opened ? 0 : open_stream(in);
    while (err == 0) {
        err = image_next(&in->stream, in->p, (size_t)(in->end - in->p), &used, ret);
        if (err != -EAGAIN) {
            err = codec_error(err);
            break;
        }
        err = next_buffer(in);
    }
    if (err == 0) {
        in->p += used;
    }
    return err;
}

static void release(struct inlet *in)
{
    for (size_t i = 0; i < BUFFERS; i++) {
        free(in->buffer[i]);
    }
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->moved);
    free(in);
}

int inlet_open(int fd, struct inlet **ret_in)
{
    struct inlet *in = calloc(1, sizeof(*in));
    if (!in) {
        return -ENOMEM;
    }
    in->fd = fd;
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->moved, NULL);
    int err = 0;
    for (size_t i = 0; i < BUFFERS; i++) {
        in->buffer[i] = malloc(IMAGE_RECORD_MAX + PIECE);
        err = in->buffer[i] ? err : -ENOMEM;
    }
    if (err == 0) {
        in->p = in->end = in->buffer[0] + IMAGE_RECORD_MAX;
        err = -pthread_create(&in->thread, NULL, read_buffers, in);
    }
    if (err < 0) {
        release(in);
        return err;
    }
    *ret_in = in;
    return 0;
}

void inlet_close(struct inlet *in)
{
    if (!in) {
        return;
    }
    pthread_mutex_lock(&in->lock);
    in->closing = true;
    pthread_cond_broadcast(&in->moved);
    pthread_mutex_unlock(&in->lock);
    pthread_join(in->thread, NULL);
    release(in);
}
