// SPDX-License-Identifier: Apache-2.0
/* import_feed: see the header. */
#include "import_feed.h"
#include "lock.h"
#include "nowait.h"
#include "thread.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Piece n is at n % IMPORT_FEED_PIECES. Its memory stays for the pieces that come after it. */
struct piece {
    uint8_t *buf;
    size_t len, room;
};

struct import_feed {
    import_feed_fn *work;
    void *ctx;
    pthread_t thread;
    struct mutex lock; /* "import feed": guards what follows, but for the bytes of pieces */
    struct cond moved;
    uint64_t given, done; /* pieces so far */
    int err;
    bool ended;
    struct piece piece[IMPORT_FEED_PIECES];
};

/* Waits for the next piece. NULL: there will be none. The caller holds the lock. */
static const struct piece *next(struct import_feed *f)
{
    mutex_held(&f->lock);
    while (f->done == f->given && !f->ended)
        cond_wait(&f->moved, &f->lock);
    return f->ended ? NULL : &f->piece[f->done % IMPORT_FEED_PIECES];
}

static void *work_off(void *arg)
{
    struct import_feed *f = arg;
    const struct piece *p;
    MUTEX_GUARD(&f->lock);

    while ((p = next(f))) {
        int err = f->err;

        mutex_unlock(&f->lock);
        if (err == 0)
            err = f->work(f->ctx, p->buf, p->len);
        mutex_lock(&f->lock);
        f->err = err;
        f->done++;
        cond_broadcast(&f->moved);
    }
    return NULL;
}

int import_feed_open(import_feed_fn *work, void *ctx, struct import_feed **ret_f)
{
    struct import_feed *f = calloc(1, sizeof *f);
    int err;

    if (!f)
        return -ENOMEM;
    f->work = work;
    f->ctx = ctx;
    mutex_init(&f->lock, "import feed");
    cond_init(&f->moved);
    err = thread_start(&f->thread, work_off, f);
    if (err == 0) {
        *ret_f = f;
        return 0;
    }
    cond_destroy(&f->moved);
    mutex_destroy(&f->lock);
    free(f);
    return err;
}

/* Copies the bytes into the next piece, which is free. */
static int fill(struct import_feed *f, const uint8_t *buf, size_t len)
{
    struct piece *p = &f->piece[f->given % IMPORT_FEED_PIECES];

    if (p->room < len) {
        free(p->buf);
        p->buf = malloc(len);
        p->room = p->buf ? len : 0;
        if (!p->buf)
            return -ENOMEM;
    }
    memcpy(p->buf, buf, len);
    p->len = len;
    return 0;
}

/* Waits until at most so many pieces are not worked off. */
static int wait_for(struct import_feed *f, uint64_t left)
{
    MUTEX_GUARD(&f->lock);

    while (f->given - f->done > left && (f->err == 0 || left == 0))
        cond_wait(&f->moved, &f->lock);
    return f->err;
}

static bool must_wait(struct import_feed *f, bool wait)
{
    MUTEX_GUARD(&f->lock);

    return wait || f->given - f->done == IMPORT_FEED_PIECES;
}

int import_feed_put(struct import_feed *f, const uint8_t *buf, size_t len, bool wait)
{
    int err;

    if (!thread_may_wait() && must_wait(f, wait))
        return -EWOULDWAIT;
    err = wait_for(f, IMPORT_FEED_PIECES - 1);
    if (err == 0)
        err = fill(f, buf, len);
    if (err < 0)
        return err;
    {
        MUTEX_GUARD(&f->lock);

        f->given++;
        cond_broadcast(&f->moved);
    }
    return wait ? import_feed_wait(f) : 0;
}

bool import_feed_is_busy(struct import_feed *f)
{
    MUTEX_GUARD(&f->lock);

    return f->given != f->done;
}

int import_feed_wait(struct import_feed *f)
{
    return wait_for(f, 0);
}

void import_feed_close(struct import_feed *f)
{
    if (!f)
        return;
    {
        MUTEX_GUARD(&f->lock);

        f->ended = true;
        cond_broadcast(&f->moved);
    }
    (void)pthread_join(f->thread, NULL);
    for (size_t i = 0; i < IMPORT_FEED_PIECES; i++)
        free(f->piece[i].buf);
    cond_destroy(&f->moved);
    mutex_destroy(&f->lock);
    free(f);
}
