// SPDX-License-Identifier: Apache-2.0
/*
 * handle: see the header. The list exists for one moment only: when the
 * mount ends while clients still hold files, no RELEASE comes, and core must get back what it lent.
 */
#include "handle.h"

#include "control.h"
#include "passthrough.h"

#include <stdlib.h>
#include <unistd.h>

static void list_add(struct fs *fs, struct handle *h)
{
    MUTEX_GUARD(&fs->handles_lock);
    h->next = fs->handles;
    if (h->next != NULL)
        h->next->prev = h;
    fs->handles = h;
}

static void list_del(struct fs *fs, struct handle *h)
{
    MUTEX_GUARD(&fs->handles_lock);
    if (h->next != NULL)
        h->next->prev = h->prev;
    if (h->prev != NULL)
        h->prev->next = h->next;
    else
        fs->handles = h->next;
}

struct handle *handle_new(struct fs *fs, enum handle_kind kind)
{
    struct handle *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return NULL;
    h->kind = kind;
    list_add(fs, h);
    return h;
}

static void handle_close(struct fs *fs, struct handle *h)
{
    switch (h->kind) {
    case HANDLE_FILE:
        passthrough_close(fs, h);
        vfs_release(h->file);
        break;
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
}

void handle_free(struct fs *fs, struct handle *h)
{
    list_del(fs, h);
    handle_close(fs, h);
    free(h);
}

void handle_drop(struct fs *fs, struct handle *h)
{
    list_del(fs, h);
    free(h);
}

void handle_free_all(struct fs *fs)
{
    while (fs->handles != NULL)
        handle_free(fs, fs->handles);
}
