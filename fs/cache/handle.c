// SPDX-License-Identifier: Apache-2.0
/*
 * handle: see the header. The list is needed once: when the mount ends while clients still hold
 * files no RELEASE comes, and core must get back what it has lent.
 */
#include "handle.h"

#include "control.h"
#include "defer.h"
#include "nowait.h"
#include "passthrough.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The list needs no order: it is only walked at the end of the mount. */
static void list_add(struct fs *fs, struct handle *h)
{
    MUTEX_GUARD(&fs->handles_lock);
    h->next = fs->handles;
    if (h->next)
        h->next->prev = h;
    fs->handles = h;
}

static void list_del(struct fs *fs, struct handle *h)
{
    MUTEX_GUARD(&fs->handles_lock);
    if (h->next)
        h->next->prev = h->prev;
    if (h->prev)
        h->prev->next = h->next;
    else
        fs->handles = h->next;
}

struct handle *handle_new(struct fs *fs, enum handle_kind kind)
{
    struct handle *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->kind = kind;
    list_add(fs, h);
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

struct later {
    struct fs *fs;
    struct handle *h;
};

/* Releases the handle in a thread that may wait for this once. */
static void wait_and_release(struct fs *fs, struct handle *h)
{
    const bool before = thread_set_may_wait(true);
    (void)handle_release(fs, h);
    (void)thread_set_may_wait(before);
}

static void release_later(struct call *c)
{
    struct later l;
    memcpy(&l, c->data, sizeof(l));
    wait_and_release(l.fs, l.h);
}

void handle_free(struct fs *fs, struct handle *h)
{
    if (handle_release(fs, h) == 0)
        return;
    struct call *c = call_new(NULL, release_later, sizeof(struct later));
    if (!c) {
        wait_and_release(fs, h);
        return;
    }
    memcpy(c->data, &(struct later){fs, h}, sizeof(struct later));
    call_run_in(fs->defer, c);
}

void handle_drop(struct fs *fs, struct handle *h)
{
    list_del(fs, h);
    free(h);
}

/* The list is read without the lock: no thread serves requests any more. */
void handle_free_all(struct fs *fs)
{
    while (fs->handles)
        handle_free(fs, fs->handles);
}
