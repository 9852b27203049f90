// SPDX-License-Identifier: Apache-2.0
/* engine_pieces: see the header. A piece counts in `used` as long as its memory is allocated. */
#include "engine_pieces.h"

#include "thread.h"
#include <errno.h>
#include <stdlib.h>

struct stream {
    struct pieces_room *room;
    pieces_fn *fn;
    void *ctx;
    unsigned under_way; /* guarded by: room->lock */
    int err;            /* the first error. Guarded by: room->lock */
};

struct piece {
    struct stream *stream;
    uint64_t index;
    size_t len;
    uint8_t data[];
};

void pieces_room_init(struct pieces_room *r)
{
    mutex_init(&r->lock, "engine pieces");
    cond_init(&r->freed);
    r->used = 0;
}

void pieces_room_release(struct pieces_room *r)
{
    cond_destroy(&r->freed);
    mutex_destroy(&r->lock);
}

/* Waits until one more piece may be in memory. Returns the error that ended the stream. */
static int take_room(struct stream *s)
{
    MUTEX_GUARD(&s->room->lock);

    while (s->err == 0 && (s->under_way >= PIECES_AT_ONCE || s->room->used >= PIECES_ROOM))
        cond_wait(&s->room->freed, &s->room->lock);
    if (s->err)
        return s->err;
    s->room->used++;
    s->under_way++;
    return 0;
}

/* Frees a piece, of which `err` says what became of it. Afterwards the stream may be gone. */
static void give_room(struct stream *s, struct piece *p, int err)
{
    struct pieces_room *room = s->room;

    free(p);
    MUTEX_GUARD(&room->lock);
    if (s->err == 0)
        s->err = err;
    room->used--;
    s->under_way--;
    cond_broadcast(&room->freed);
}

static void *put_one(void *arg)
{
    struct piece *p = arg;

    give_room(p->stream, p, p->stream->fn(p->stream->ctx, p->index, p->data, p->len));
    return NULL;
}

/* Reads one piece, and has a thread put it. Its room was taken. */
static void begin(struct stream *s, const struct shard_source *source, uint64_t index, size_t len,
                  uint64_t off)
{
    struct piece *p = malloc(sizeof *p + len);
    int err = p ? source->read(source->ctx, p->data, len, off) : -ENOMEM;

    if (err == 0) {
        p->stream = s;
        p->index = index;
        p->len = len;
        err = thread_start(NULL, put_one, p);
    }
    if (err < 0)
        give_room(s, p, err);
}

static int wait_for_all(struct stream *s)
{
    MUTEX_GUARD(&s->room->lock);

    while (s->under_way > 0)
        cond_wait(&s->room->freed, &s->room->lock);
    return s->err;
}

int pieces_put(struct pieces_room *r, const struct shard_source *source, size_t size, pieces_fn *fn,
               void *ctx)
{
    struct stream s = {.room = r, .fn = fn, .ctx = ctx};
    uint64_t off = 0;

    for (uint64_t index = 0; off < source->size && take_room(&s) == 0; index++) {
        size_t len = source->size - off < size ? (size_t)(source->size - off) : size;

        begin(&s, source, index, len, off);
        off += len;
    }
    return wait_for_all(&s);
}
