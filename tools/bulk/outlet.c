// SPDX-License-Identifier: Apache-2.0
#include "outlet.h"

#include "io.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS 4
#define BUFFER_SIZE (1u << 20)

struct outlet {
    int fd;
    struct image_stream stream;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows, but for the bytes of the buffer that is filled */
    pthread_cond_t moved;
    uint64_t filled, written; /* buffers so far */
    int err;
    bool begun, ended; /* `begun`: the thread runs */
    size_t used[BUFFERS];
    uint8_t *buffer[BUFFERS]; /* buffer n is at n % BUFFERS */
};

/* Waits for the next full buffer. False: there will be none. */
static bool wait_full(struct outlet *o)
{
    pthread_mutex_lock(&o->lock);
    while (o->written == o->filled && !o->ended) {
        pthread_cond_wait(&o->moved, &o->lock);
    }
    bool more = o->written < o->filled;
    pthread_mutex_unlock(&o->lock);
    return more;
}

/* Writes full buffers until the end. After an error they are passed over. */
static void *write_buffers(void *arg)
{
    struct outlet *o = arg;
    int err = 0;
    pthread_mutex_lock(&o->lock);
    o->begun = true;
    pthread_cond_broadcast(&o->moved);
    pthread_mutex_unlock(&o->lock);
    while (wait_full(o)) {
        size_t at = o->written % BUFFERS;
        if (err == 0) {
            err = io_write(o->fd, o->buffer[at], o->used[at]);
        }
        pthread_mutex_lock(&o->lock);
        o->err = err;
        o->used[at] = 0;
        o->written++;
        pthread_cond_broadcast(&o->moved);
        pthread_mutex_unlock(&o->lock);
    }
    return NULL;
}

/* Waits until the thread runs: who gives up rights afterwards may not have those that a thread
 * needs to begin. */
static void wait_begun(struct outlet *o)
{
    pthread_mutex_lock(&o->lock);
    while (!o->begun) {
        pthread_cond_wait(&o->moved, &o->lock);
    }
    pthread_mutex_unlock(&o->lock);
}

/* Gives the buffer that was filled to the thread, and waits until the next one is free. */
static int next_buffer(struct outlet *o)
{
    pthread_mutex_lock(&o->lock);
    o->filled++;
    pthread_cond_broadcast(&o->moved);
    while (o->filled - o->written >= BUFFERS) {
        pthread_cond_wait(&o->moved, &o->lock);
    }
    int err = o->err;
    pthread_mutex_unlock(&o->lock);
    return err;
}

static int put_bytes(struct outlet *o, const uint8_t *data, size_t len)
{
    int err = 0;
    while (len > 0 && err == 0) {
        size_t at = o->filled % BUFFERS;
        size_t n = BUFFER_SIZE - o->used[at] < len ? BUFFER_SIZE - o->used[at] : len;
        memcpy(o->buffer[at] + o->used[at], data, n);
        o->used[at] += n;
        data += n;
        len -= n;
        if (o->used[at] == BUFFER_SIZE) {
            err = next_buffer(o);
        }
    }
    return err;
}

static void release(struct outlet *o)
{
    for (size_t i = 0; i < BUFFERS; i++) {
        free(o->buffer[i]);
    }
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->moved);
    free(o);
}

int outlet_open(int fd, struct outlet **ret_o)
{
    uint8_t head[IMAGE_HEAD];
    struct outlet *o = calloc(1, sizeof(*o));
    if (!o) {
        return -ENOMEM;
    }
    o->fd = fd;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->moved, NULL);
    int err = 0;
    for (size_t i = 0; i < BUFFERS; i++) {
        o->buffer[i] = malloc(BUFFER_SIZE);
        err = o->buffer[i] ? err : -ENOMEM;
    }
    if (err == 0) {
        err = -pthread_create(&o->thread, NULL, write_buffers, o);
    }
    if (err < 0) {
        release(o);
        return err;
    }
    wait_begun(o);
    image_begin(&o->stream, head);
    *ret_o = o;
    return put_bytes(o, head, sizeof(head));
}

int outlet_put(struct outlet *o, const struct image_record *r)
{
    uint8_t fixed[IMAGE_FIXED_MAX];
    size_t len = image_put(&o->stream, r, fixed);
    int err = put_bytes(o, fixed, len);
    return err == 0 && r->len ? put_bytes(o, r->data, r->len) : err;
}

uint64_t outlet_records(const struct outlet *o)
{
    return o->stream.records;
}

int outlet_close(struct outlet *o)
{
    if (!o) {
        return 0;
    }
    pthread_mutex_lock(&o->lock);
    o->filled += o->used[o->filled % BUFFERS] > 0;
    o->ended = true;
    pthread_cond_broadcast(&o->moved);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    int err = o->err;
    release(o);
    return err;
}
