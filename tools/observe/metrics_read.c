// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_read: a thread reads, and the caller waits for it. The reader belongs to both: the one
 * that leaves last frees it.
 */
#include "metrics_read.h"

#include "client.h"
#include "clock.h"
#include "io.h"
#include "lock.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct reader {
    LIST_ENTRY(reader) next;
    char *mnt;
    struct cond ended;
    struct strbuf text; /* guarded by: lock, once `done` */
    int err;            /* guarded by: lock */
    bool done, left;    /* guarded by: lock; left: the caller waits no more */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct mutex lock;                                     /* "metrics" */
static LIST_HEAD(, reader) readers = LIST_HEAD_INITIALIZER(); /* guarded by: lock; not done yet */

static void init(void)
{
    mutex_init(&lock, "metrics");
}

static void free_reader(struct reader *r)
{
    cond_destroy(&r->ended);
    strbuf_release(&r->text);
    free(r->mnt);
    free(r);
}

static void *read_mount(void *arg)
{
    struct reader *r = arg;
    CLEANUP_CLOSE int fd = client_open_file(r->mnt, ".tally/metrics", O_RDONLY);
    const int err = fd < 0 ? fd : io_read_rest(fd, METRICS_MOST, &r->text);
    bool left;
    {
        MUTEX_GUARD(&lock);
        LIST_REMOVE(r, next);
        r->err = err;
        r->done = true;
        left = r->left;
        cond_signal(&r->ended);
    }
    if (left) {
        free_reader(r);
    }
    return NULL;
}

/* Is there a reader of that mount that nobody waits for any more? Needs the lock. */
static bool hangs(const char *mnt)
{
    const struct reader *r;
    LIST_FOREACH(r, &readers, next)
    {
        if (r->left && strcmp(r->mnt, mnt) == 0) {
            return true;
        }
    }
    return false;
}

/* Makes a reader with its thread. Needs the lock. */
static int start(const char *mnt, struct reader **ret)
{
    pthread_t thread;
    struct reader *r = calloc(1, sizeof(*r));
    if (!r) {
        return -ENOMEM;
    }
    *r = (struct reader){.mnt = strdup(mnt), .text = STRBUF_INIT};
    cond_init(&r->ended);
    LIST_INSERT_HEAD(&readers, r, next);
    const int err = r->mnt ? thread_start(&thread, read_mount, r) : -ENOMEM;
    if (err < 0) {
        LIST_REMOVE(r, next);
        free_reader(r);
        return err;
    }
    pthread_detach(thread);
    *ret = r;
    return 0;
}

/* Waits for the reader. Needs the lock, which is released while it waits. */
static int wait_for(struct reader *r)
{
    const int64_t end = clock_ticks(clock_real()) + METRICS_PATIENCE_NS;
    while (!r->done) {
        const int64_t left = end - clock_ticks(clock_real());
        if (left <= 0) {
            r->left = true;
            return -ETIMEDOUT;
        }
        (void)cond_wait_for(&r->ended, &lock, left);
    }
    return r->err;
}

int metrics_read(const char *mnt, struct strbuf *out)
{
    struct reader *r = NULL;
    pthread_once(&once, init);
    MUTEX_GUARD(&lock);
    int err = hangs(mnt) ? -ETIMEDOUT : start(mnt, &r);
    if (err == 0) {
        err = wait_for(r);
    }
    if (r && r->done) {
        strbuf_add(out, r->text.s, err == 0 ? r->text.len : 0);
        free_reader(r);
    }
    return err;
}
