// SPDX-License-Identifier: Apache-2.0
/*
 * handle: see the header. The list is needed once: when the mount ends while clients still hold
 * files no RELEASE comes, and core must get back what it has lent.
 */
#include "handle.h"

#include "control.h"
#include "defer.h"
#include "export.h"
#include "import.h"
#include "nowait.h"
#include "passthrough.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct handle *handle_new(struct fs *fs, enum handle_kind kind)
{
    struct handle *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->kind = kind;
    MUTEX_GUARD(&fs->handles_lock);
    LIST_INSERT_HEAD(&fs->handles, h, list);
    return h;
}

/* Closes what the handle holds. -EWOULDWAIT: nothing is closed but its part of passthrough, which
 * may be closed twice. */
static int handle_close(struct fs *fs, struct handle *h)
{
    switch (h->kind) {
    case HANDLE_FILE:
        passthrough_close(fs, h);
        return vfs_release(h->file);
    case HANDLE_CONTROL:
        control_close(h->control);
        break;
    case HANDLE_IMPORT: /* what was not finished is dropped, which waits */
        if (!thread_may_wait())
            return -EWOULDWAIT;
        import_close(h->import);
        break;
    case HANDLE_EXPORT: /* what it has frozen is dropped */
        if (!thread_may_wait())
            return -EWOULDWAIT;
        export_close(h->export);
        break;
    case HANDLE_TEXT:
        free(h->text.s);
        break;
    case HANDLE_SPOOL:
        close(h->fd);
        break;
    }
    return 0;
}

int handle_release(struct fs *fs, struct handle *h)
{
    int err = handle_close(fs, h);
    if (err == 0)
        handle_drop(fs, h);
    return err;
}

/* Releases the handle in a thread that may wait for this once. */
static void wait_and_release(struct fs *fs, struct handle *h)
{
    const bool before = thread_set_may_wait(true);
    (void)handle_release(fs, h);
    (void)thread_set_may_wait(before);
}

static void release_later(struct call *c)
{
    struct handle *h;
    memcpy(&h, c->data, sizeof(h));
    wait_and_release(c->fs, h);
}

void handle_free(struct fs *fs, struct handle *h)
{
    if (handle_release(fs, h) != 0 && !call_later(fs, release_later, &h, sizeof(h)))
        wait_and_release(fs, h);
}

void handle_drop(struct fs *fs, struct handle *h)
{
    {
        MUTEX_GUARD(&fs->handles_lock);
        LIST_REMOVE(h, list);
    }
    free(h);
}

/* The list is read without the lock: no thread serves requests any more. */
void handle_free_all(struct fs *fs)
{
    while (!LIST_EMPTY(&fs->handles))
        handle_free(fs, LIST_FIRST(&fs->handles));
}
