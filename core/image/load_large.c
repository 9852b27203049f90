// SPDX-License-Identifier: Apache-2.0
/*
 * load_large: contents that get a file of their own. To store one is to sync it, which takes long,
 * so workers do that while the stream goes on; who names the content waits for them. A worker holds
 * the freeze lock for a part of it: so nobody waits for one with that lock held.
 *
 * If there is room the bytes are gathered in memory. Then a content that the store has already is
 * compared with that, and nothing is written. Otherwise they are gathered in a slot, whose bytes
 * are hashed on the way.
 */
#include "load_impl.h"
#include "workers.h"
#include <errno.h>
#include <stdlib.h>

#define IN_MEMORY_MAX (UINT64_C(16) << 20)  /* bytes of a content that is gathered in memory */
#define GATHERED_MAX (INT64_C(64) << 20)    /* bytes of all of them, in all loads of this process */

static _Atomic int64_t gathered;

struct load_large {
    struct state *p;
    uint8_t *bytes;      /* NULL: they are in `blob` */
    uint64_t room;       /* of `bytes` */
    uint64_t used;       /* bytes of the content, up to the end of the last piece */
    struct blob *blob;   /* a slot; NULL: there is none */
    uint64_t number;     /* of the blob, aside and with a hold */
    uint64_t object;     /* what it is then, with a hold */
    int err;             /* if there was no worker */
    struct workers_group group;
};

/* ---- gathering ---- */

static void free_bytes(struct load_large *f)
{
    free(f->bytes);
    if (f->bytes)
        atomic_fetch_sub(&gathered, (int64_t)f->room);
    f->bytes = NULL;
}

/* Takes memory for the content, if it is not too large, and others have left some. */
static void take_memory(struct load_large *f, uint64_t length)
{
    if (length > IN_MEMORY_MAX)
        return;
    if (atomic_fetch_add(&gathered, (int64_t)length) + (int64_t)length <= GATHERED_MAX)
        f->bytes = malloc(length);
    if (!f->bytes)
        atomic_fetch_sub(&gathered, (int64_t)length);
    f->room = length;
}

static int make_slot(struct load_large *f)
{
    int err = refs_new_aside(f->p->refs, &f->number);

    if (err < 0)
        return err;
    err = blob_create_slot(f->p->config.disk, f->number, &f->blob);
    if (err < 0) {
        refs_drop_aside(f->p->refs, f->number);
        f->blob = NULL;
        return err;
    }
    objects_follow_blob(f->p->objects, f->blob);
    return 0;
}

/* Forgets the slot: no commit has its name. */
static void close_slot(struct load_large *f, bool drop_number)
{
    blob_unref(f->blob);
    (void)blob_unlink_slot(f->p->config.disk, f->number);
    if (drop_number)
        refs_drop_aside(f->p->refs, f->number);
    f->blob = NULL;
}

int load_large_begin(struct load *l, uint64_t length)
{
    struct load_large *f = calloc(1, sizeof *f);
    int err = 0;

    if (!f)
        return -ENOMEM;
    f->p = l->p;
    take_memory(f, length);
    if (!f->bytes)
        err = make_slot(f);
    if (err < 0)
        free(f);
    else
        l->piece.large = f;
    return err;
}

int load_large_take(struct load_large *f, const void *data, size_t len, uint64_t off)
{
    f->used = off + len;
    if (!f->bytes)
        return blob_write(f->blob, data, len, off);
    memcpy(f->bytes + off, data, len);
    return 0;
}

void load_large_free(struct load_large *f)
{
    free_bytes(f);
    if (f->blob)
        close_slot(f, true);
    free(f);
}

/* ---- storing ---- */

static int find_once(struct load_large *f)
{
    struct objects_seen seen;

    objects_look_buffer(f->p->objects, f->bytes, (uint32_t)f->used, &seen);
    READ_GUARD(&f->p->freeze_lock);
    return objects_find_buffer(f->p->objects, f->bytes, (uint32_t)f->used, &seen, &f->object);
}

/* Finds the object that the bytes in memory are. -ENOENT: there is none, and they are in a slot
 * now. */
static int find(struct load_large *f)
{
    int err, err_slot;

    do
        err = find_once(f);
    while (err == -EAGAIN);
    if (err != -ENOENT)
        return err;
    err_slot = make_slot(f);
    if (err_slot == 0)
        err_slot = blob_write(f->blob, f->bytes, f->used, 0);
    return err_slot < 0 ? err_slot : -ENOENT;
}

static int keep_blob_once(struct load_large *f, const struct id *id)
{
    struct objects_seen seen;
    int err;

    objects_look_blob(f->p->objects, f->blob, id, &seen);
    READ_GUARD(&f->p->freeze_lock);
    err = objects_keep_blob(f->p->objects, f->number, f->blob, id, &seen, &f->object);
    if (err < 0 && seen.ahead > 0)
        blob_unseal(f->blob);
    return err;
}

static int keep_blob(struct load_large *f)
{
    struct id id;
    int err = objects_hash_blob(f->p->objects, f->blob, &id);

    if (err == 0)
        err = blob_sync_bytes(f->blob); /* most of the sync, without a lock */
    if (err < 0)
        return err;
    do
        err = keep_blob_once(f, &id);
    while (err == -EAGAIN);
    return err;
}

/* Makes the content an object; runs on a worker. */
static int store(void *arg)
{
    struct load_large *f = arg;
    int err = f->bytes ? find(f) : -ENOENT;

    free_bytes(f);
    return err == -ENOENT ? keep_blob(f) : err;
}

int load_large_end(struct load *l)
{
    struct load_piece *c = &l->piece;
    uint64_t *at = &l->flown[l->flights % LOAD_FLIGHTS];
    int err = l->flights++ < LOAD_FLIGHTS ? 0 : load_content_settle(l, *at);
    struct load_large *f = c->large;

    if (err < 0)
        return err;
    *at = c->is.number;
    c->large = NULL;
    c->is.large = f;
    workers_group_init(&f->group);
    if (workers_submit(l->p->workers, &f->group, store, f) < 0)
        f->err = store(f);
    return 0;
}

int load_large_settle(struct load *l, struct load_content *c)
{
    struct load_large *f = c->large;
    int err;
    bool new;

    if (!f)
        return 0;
    err = workers_group_wait(&f->group);
    err = err < 0 ? err : f->err;
    new = err == 0 && f->blob && f->object == f->number;
    if (f->blob)
        close_slot(f, !new);
    if (err == 0) {
        c->object = f->object;
        load_count_bytes(l, f->used, new);
    }
    c->large = NULL;
    free(f);
    return err;
}
