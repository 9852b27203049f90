// SPDX-License-Identifier: Apache-2.0
/* A long stream goes in pieces, several at once, with bounded memory. */
#include "engine_pieces.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define PIECE 1000u
#define COUNT 50u

struct seen {
    struct mutex lock;
    struct cond changed;
    bool wait; /* each piece waits until PIECES_AT_ONCE are under way, or the last one is */
    unsigned under_way, most, put[COUNT + 1];
    uint64_t read_to; /* the source was read up to here */
    int fail;         /* index of the piece that fails; -1: none */
    struct pieces_room room;
};

/* The piece that fails waits until the stream has as many pieces under way as it may have. */
#define LAST_BEGUN(s) ((unsigned)(s)->fail + PIECES_AT_ONCE - 1)

static int read_bytes(void *ctx, void *buf, size_t len, uint64_t off)
{
    struct seen *s = ctx;

    MUTEX_GUARD(&s->room.lock);

    cr_assert_eq(off, s->read_to, "it is read front to back");
    s->read_to += len;
    cond_broadcast(&s->room.freed);
    memset(buf, (int)(off / PIECE), len);
    return 0;
}

/* Holds the piece `index` until the failure of s->fail is known to the stream, or is certain not to
 * have ended it: a piece gives its room back in the moment in which its error is noted. */
static void wait_for_failure(struct seen *s, unsigned index)
{
    MUTEX_GUARD(&s->room.lock);

    if (s->fail < 0 || index < (unsigned)s->fail)
        return;
    while (s->read_to <= LAST_BEGUN(s) * PIECE)
        cond_wait(&s->room.freed, &s->room.lock);
    while (index > (unsigned)s->fail && s->room.used >= PIECES_AT_ONCE &&
           s->read_to <= (LAST_BEGUN(s) + 1) * PIECE)
        cond_wait(&s->room.freed, &s->room.lock);
}

static int put(void *ctx, uint64_t index, const void *data, size_t len)
{
    struct seen *s = ctx;

    wait_for_failure(s, (unsigned)index);
    MUTEX_GUARD(&s->lock);
    cr_assert_leq(++s->under_way, PIECES_AT_ONCE);
    s->most = s->most > s->under_way ? s->most : s->under_way;
    cond_broadcast(&s->changed);
    while (s->wait && index < COUNT - 2 && s->most < PIECES_AT_ONCE)
        cond_wait(&s->changed, &s->lock);
    s->put[index]++;
    cr_assert_eq(len, index < COUNT ? PIECE : 1);
    cr_assert_eq(((const uint8_t *)data)[len - 1], index);
    s->under_way--;
    return (int)index == s->fail ? -ENOSPC : 0;
}

static int run(struct seen *s, uint64_t size)
{
    const struct shard_source source = {.read = read_bytes, .ctx = s, .size = size};
    int err;

    mutex_init(&s->lock, "seen");
    cond_init(&s->changed);
    pieces_room_init(&s->room);
    err = pieces_put(&s->room, &source, PIECE, put, s);
    cr_assert_eq(s->room.used, 0);
    cr_assert_eq(s->under_way, 0);
    pieces_room_release(&s->room);
    return err;
}

Test(engine_pieces, every_piece_is_put_once_and_several_at_once)
{
    struct seen s = {.fail = -1, .wait = true};

    cr_assert_eq(run(&s, COUNT * PIECE + 1), 0);
    for (unsigned i = 0; i <= COUNT; i++)
        cr_assert_eq(s.put[i], 1);
    cr_assert_eq(s.most, PIECES_AT_ONCE);
}

Test(engine_pieces, after_an_error_no_further_piece_is_begun)
{
    struct seen s = {.fail = 3};

    cr_assert_eq(run(&s, COUNT * PIECE), -ENOSPC);
    cr_assert_eq(s.read_to, (LAST_BEGUN(&s) + 1) * PIECE);
}

static int fail_to_read(void *ctx, void *buf, size_t len, uint64_t off)
{
    return off >= 2 * PIECE ? -EUCLEAN : read_bytes(ctx, buf, len, off);
}

Test(engine_pieces, an_error_of_the_source_is_returned)
{
    struct seen s = {.fail = -1};
    const struct shard_source source = {.read = fail_to_read, .ctx = &s, .size = COUNT * PIECE};

    mutex_init(&s.lock, "seen");
    cond_init(&s.changed);
    pieces_room_init(&s.room);
    cr_assert_eq(pieces_put(&s.room, &source, PIECE, put, &s), -EUCLEAN);
    cr_assert_eq(s.room.used, 0);
    pieces_room_release(&s.room);
}
