// SPDX-License-Identifier: Apache-2.0
/*
 * rados_long: files that are too long for one object. To put one:
 *
 *     1. note in NAMESPACE.writes that pieces with this token are being written
 *     2. put the pieces, several at once
 *     3. put the head, which has the token: from now on the file is there, whole
 *     4. remove the note
 *
 * To remove one: the note, the head, the pieces, the note; in a full pool the pieces and then the
 * head. So pieces without a head always have a note, and the pieces of dead processes are found by
 * listing the notes, of which there are few. The first long put after a shard was opened removes
 * those whose note is a day old. A long file is never replaced (shard.h), so no head that is
 * overwritten loses its pieces.
 */
#include "io.h"
#include "rados_impl.h"
#include "shard_traffic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define OLD (24 * 3600) /* seconds after which a note belongs to no process that lives */

struct write {
    struct rados *r;
    const char *name;
    uint64_t token;
};

static void piece_name(const char *name, uint64_t token, uint64_t index, char out[RADOS_NAME_MAX])
{
    snprintf(out, RADOS_NAME_MAX, "%.*s/%016" PRIx64 "/%" PRIx64, DISK_NAME_MAX, name, token,
             index);
}

static uint64_t count_pieces(const struct rados_pieces *p)
{
    return (p->size + p->piece - 1) / p->piece;
}

/* ---- removing ---- */

/* Removes `count` pieces. What is missing is fine. */
static int remove_each(struct rados *r, const char *name, uint64_t token, uint64_t count)
{
    char piece[RADOS_NAME_MAX];
    int err = 0;

    shard_count(&r->base, SHARD_DELETE, count);
    for (uint64_t i = 0; i < count && (err == 0 || err == -ENOENT); i++) {
        piece_name(name, token, i, piece);
        err = rados_object_remove(r, r->pieces, piece);
        if (shard_goes_on() < 0)
            return -ECANCELED;
    }
    return err == -ENOENT ? 0 : err;
}

/* Removes the pieces, and then their note, which stays after an error. */
static int remove_pieces(struct rados *r, const char *name, uint64_t token, uint64_t count)
{
    char noted[RADOS_NAME_MAX];
    int err = remove_each(r, name, token, count);

    if (err < 0)
        return err;
    shard_count(&r->base, SHARD_DELETE, 1);
    piece_name(name, token, count, noted);
    err = rados_object_remove(r, r->writes, noted);
    return err == -ENOENT ? 0 : err;
}

static int note(const struct rados *r, const char *name, uint64_t token, uint64_t count)
{
    char written[RADOS_NAME_MAX];

    piece_name(name, token, count, written);
    return rados_object_put(r, r->writes, written, "", 0, NULL, true);
}

/* Where a full pool takes no note, the pieces go before the head. If that is cut off, the head says
 * which pieces are left, and the file is removed again. */
static int remove_unnoted(struct rados *r, const char *name, const struct rados_pieces *p)
{
    int err = remove_each(r, name, p->token, count_pieces(p));

    return err < 0 ? err : rados_object_remove(r, r->files, name);
}

int rados_long_remove(struct rados *r, const char *name, const struct rados_pieces *p)
{
    uint64_t count = count_pieces(p);
    int err = note(r, name, p->token, count);

    if (io_is_full(err))
        return remove_unnoted(r, name, p);
    if (err == 0)
        err = rados_object_remove(r, r->files, name);
    if (err == 0 || err == -ENOENT)
        (void)remove_pieces(r, name, p->token, count); /* if it fails, the note stays */
    return err;
}

/* ---- what dead processes left ---- */

/* Splits the name of a note. False: it is none. */
static bool parse_note(const char *text, char name[RADOS_NAME_MAX], uint64_t *ret_token,
                       uint64_t *ret_count)
{
    const char *last = strrchr(text, '/'), *middle = last ? last - 17 : NULL;

    if (!middle || middle <= text || *middle != '/' ||
        sscanf(middle, "/%16" SCNx64 "/%" SCNx64, ret_token, ret_count) != 2)
        return false;
    snprintf(name, RADOS_NAME_MAX, "%.*s", (int)(middle - text), text);
    return true;
}

/* Removes the pieces of a writer that has put no head and is taken for dead. An empty file takes
 * the name meanwhile: if the writer lives after all, it cannot put a head whose pieces are gone. */
static void remove_unfinished(struct rados *r, const char *name, uint64_t token, uint64_t count)
{
    if (rados_object_put(r, r->files, name, "", 0, NULL, false) < 0)
        return;
    if (remove_pieces(r, name, token, count) == 0)
        (void)rados_object_remove(r, r->files, name);
}

/* Finishes what an old note is about: its pieces go, unless a head names them. */
static int finish(const char *noted, uint64_t size, void *ctx)
{
    struct rados *r = ctx;
    char name[RADOS_NAME_MAX];
    struct rados_pieces p;
    uint64_t token, count, bytes;
    int64_t age;
    int err = rados_object_stat(r, r->writes, noted, &bytes, &age, &p);

    (void)size;
    if (shard_goes_on() < 0)
        return -ECANCELED;
    if (err < 0 || age < OLD || !parse_note(noted, name, &token, &count))
        return 0;
    err = rados_object_stat(r, r->files, name, &bytes, NULL, &p);
    if (err == 0 && p.piece && p.token == token)
        (void)rados_object_remove(r, r->writes, noted);
    else if (err == 0)
        (void)remove_pieces(r, name, token, count);
    else if (err == -ENOENT)
        remove_unfinished(r, name, token, count);
    return 0;
}

static void clean(struct rados *r)
{
    {
        MUTEX_GUARD(&r->lock);
        if (r->cleaned)
            return;
        r->cleaned = true;
    }
    (void)rados_each(r, r->writes, finish, r); /* an error is none of the put */
}

/* ---- putting ---- */

static int put_piece(void *ctx, uint64_t index, const void *data, size_t len)
{
    const struct write *w = ctx;
    char name[RADOS_NAME_MAX];

    piece_name(w->name, w->token, index, name);
    return rados_object_put(w->r, w->r->pieces, name, data, len, NULL, true);
}

/* Is the head that exists the one of this put, which was sent twice? */
static bool is_own_head(struct rados *r, const char *name, uint64_t token)
{
    struct rados_pieces p = {.piece = 0};
    uint64_t bytes;

    return rados_object_stat(r, r->files, name, &bytes, NULL, &p) == 0 && p.piece &&
           p.token == token;
}

int rados_long_put(struct rados *r, const char *name, const struct shard_source *source)
{
    struct rados_pieces p = {.size = source->size, .piece = RADOS_PIECE}, old;
    struct write w = {.r = r, .name = name};
    char noted[RADOS_NAME_MAX];
    uint64_t bytes;
    int err = rados_object_stat(r, r->files, name, &bytes, NULL, &old);

    if (err != -ENOENT)
        return err == 0 ? -EEXIST : err;
    if (getrandom(&p.token, sizeof p.token, 0) != sizeof p.token)
        return -EIO;
    w.token = p.token;
    shard_count(&r->base, SHARD_STAT, 1);
    shard_count(&r->base, SHARD_PUT, count_pieces(&p) + 1);
    clean(r);
    err = note(r, name, p.token, count_pieces(&p));
    if (err == 0)
        err = pieces_put(&r->room, source, RADOS_PIECE, put_piece, &w);
    if (err == 0)
        err = rados_object_put(r, r->files, name, "", 0, &p, false);
    if (err == -EEXIST && is_own_head(r, name, p.token))
        err = 0;
    if (err == 0 || err == -EHOSTUNREACH) { /* the head may be there: then the pieces stay */
        piece_name(name, p.token, count_pieces(&p), noted);
        if (err == 0)
            (void)rados_object_remove(r, r->writes, noted);
        shard_count(&r->base, SHARD_DELETE, err == 0);
        return err;
    }
    (void)remove_pieces(r, name, p.token, count_pieces(&p));
    return err;
}

/* ---- reading ---- */

ssize_t rados_long_read(struct rados *r, const char *name, const struct rados_pieces *p, void *buf,
                        size_t len, uint64_t off)
{
    char piece[RADOS_NAME_MAX];
    size_t done = 0;

    if (off >= p->size)
        return 0;
    if (len > p->size - off)
        len = (size_t)(p->size - off);
    if (len)
        shard_count(&r->base, SHARD_GET, (off + len - 1) / p->piece - off / p->piece);
    while (done < len) {
        uint64_t at = off + done, from = at % p->piece;
        size_t n = len - done < p->piece - from ? len - done : (size_t)(p->piece - from);
        struct rados_pieces none;

        piece_name(name, p->token, at / p->piece, piece);
        ssize_t got = rados_object_read(r, r->pieces, piece, (char *)buf + done, n, from, &none);

        if (got < 0)
            return got;
        if ((size_t)got != n)
            return -EIO;
        done += n;
    }
    return (ssize_t)len;
}

int rados_long_verify(struct rados *r, const char *name, const struct rados_pieces *p)
{
    char piece[RADOS_NAME_MAX];
    struct rados_pieces of_piece;
    int err = 0;

    shard_count(&r->base, SHARD_STAT, count_pieces(p));
    for (uint64_t i = 0; i < count_pieces(p) && err == 0; i++) {
        piece_name(name, p->token, i, piece);
        err = rados_object_verify(r, r->pieces, piece, &of_piece);
        if (err == 0)
            err = shard_goes_on();
    }
    return err == -ENOENT ? -EUCLEAN : err;
}
