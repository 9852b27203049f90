// SPDX-License-Identifier: Apache-2.0
/*
 * objects: see the header. Sealing is one loop over the chain of ids a content may have:
 *
 *     id free?            -> store the bytes there                       (seal_new)
 *     taken, bytes equal? -> be an alias of it                           (seal_alias)
 *     taken, it is bad?   -> store ours in its place, alarm, be an alias (heal)
 *     taken, both sound?  -> derive the id, go on
 *
 * Files that were read lately stay open in a small cache.
 */
#include "objects.h"
#include "lock.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_MAX 64    /* object files kept open */
#define VERIFY_PIECE (1024 * 1024) /* bytes read at once; whole blocks of sums */
#define CHAIN_MAX 1000 /* ids derived before giving up: a fault, not chance */

struct open_blob {
    uint64_t number; /* in the file's name; 0: free */
    struct blob *blob;
    uint64_t used;
};

struct objects {
    struct objects_config c;
    struct mutex lock; /* "object files": guards the rest */
    struct open_blob open[OPEN_MAX];
    uint64_t tick;
    uint64_t healed, collisions;
};

/* A content about to be sealed: bytes in memory or a blob. */
struct source {
    const void *data;
    uint32_t len;
    struct blob *blob;
};

/* ---- object files kept open ---- */

static struct blob *cache_get(struct objects *o, uint64_t number)
{
    MUTEX_GUARD(&o->lock);

    for (size_t i = 0; i < OPEN_MAX; i++)
        if (o->open[i].number == number) {
            o->open[i].used = ++o->tick;
            return blob_ref(o->open[i].blob);
        }
    return NULL;
}

static void cache_put(struct objects *o, uint64_t number, struct blob *b)
{
    struct open_blob *oldest = &o->open[0];
    MUTEX_GUARD(&o->lock);

    for (size_t i = 0; i < OPEN_MAX; i++) {
        if (o->open[i].number == number)
            return;
        if (o->open[i].used < oldest->used)
            oldest = &o->open[i];
    }
    blob_unref(oldest->blob);
    *oldest = (struct open_blob){number, blob_ref(b), ++o->tick};
}

static void cache_drop(struct objects *o, uint64_t number)
{
    MUTEX_GUARD(&o->lock);

    for (size_t i = 0; i < OPEN_MAX; i++)
        if (o->open[i].number == number) {
            blob_unref(o->open[i].blob);
            o->open[i] = (struct open_blob){0};
        }
}

static int open_file(struct objects *o, const struct entry *e, struct blob **ret_blob)
{
    struct blob *b = cache_get(o, e->where);
    int err;

    if (!b) {
        err = blob_open_object(o->c.disk, &e->id, e->where, e->size, &b);
        if (err < 0)
            return err == -ENOENT ? -EUCLEAN : err;
        cache_put(o, e->where, b);
    }
    *ret_blob = b;
    return 0;
}

/* ---- reading ---- */

static int damaged(const struct entry *e, int err)
{
    char hex[ID_HEX + 1];

    if (err != -EUCLEAN)
        return err;
    id_to_hex(&e->id, hex);
    report(REPORT_ALARM, "object %s is damaged", hex);
    return err;
}

static ssize_t read_record(struct objects *o, const struct entry *e, void *buf, size_t len,
                           uint64_t off)
{
    struct pack_place at = {e->where, e->offset};
    bool whole = off == 0 && len >= e->size;
    uint8_t *record = whole ? buf : malloc(e->size);
    int err;

    if (!record)
        return -ENOMEM;
    err = packs_read(o->c.packs, &at, &e->id, record, (uint32_t)e->size);
    if (err == -ENOENT) /* the pack is gone */
        err = -EUCLEAN;
    if (len > e->size - off)
        len = e->size - off;
    if (err == 0 && !whole)
        memcpy(buf, record + off, len);
    if (!whole)
        free(record);
    return err < 0 ? err : (ssize_t)len;
}

static ssize_t read_at(struct objects *o, const struct entry *e, void *buf, size_t len,
                       uint64_t off)
{
    struct blob *b;
    ssize_t n;

    if (e->kind == ENTRY_PACK)
        return read_record(o, e, buf, len, off);
    n = open_file(o, e, &b);
    if (n == 0) {
        n = blob_read(b, buf, len, off);
        blob_unref(b);
    }
    return n;
}

/* Have the bytes been moved since the entry was read? Its old place may be gone, or hold others. */
static bool has_moved(struct objects *o, struct entry *e)
{
    struct entry now;
    uint64_t number;
    bool pending;

    if (refs_find(o->c.refs, &e->id, &number, &now, &pending) < 0)
        return false;
    refs_unhold(o->c.refs, number);
    if (!entry_is_sealed(&now) || now.size != e->size ||
        (now.kind == e->kind && now.where == e->where && now.offset == e->offset))
        return false;
    *e = now;
    return true;
}

ssize_t objects_read(struct objects *o, const struct entry *entry, void *buf, size_t len,
                     uint64_t off)
{
    struct entry e = *entry;
    ssize_t n;

    if (!entry_is_sealed(&e))
        return -EINVAL;
    if (off >= e.size || len == 0)
        return 0;
    do
        n = read_at(o, &e, buf, len, off);
    while (n == -EUCLEAN && has_moved(o, &e)); /* it moves once a compaction, or a repair */
    return n == -EUCLEAN ? damaged(&e, -EUCLEAN) : n;
}

/* Is `id` the hash of the content or further down its chain? */
static bool names(const struct objects *o, const struct id *id, struct id hash)
{
    for (unsigned i = 0; i < CHAIN_MAX; i++) {
        struct id next;
        if (id_equal(&hash, id))
            return true;
        id_derive(o->c.key, &hash, &next);
        hash = next;
    }
    return false;
}

struct verifying {
    int (*pace)(uint64_t bytes, void *ctx); /* or NULL */
    void *ctx;
};

static int paced(const struct verifying *v, uint64_t bytes)
{
    return v->pace ? v->pace(bytes, v->ctx) : 0;
}

static int hash_pieces(struct blob *b, struct id_stream *s, const struct verifying *v)
{
    uint8_t *buf = malloc(VERIFY_PIECE);
    int err = buf ? 0 : -ENOMEM;

    for (uint64_t off = 0; err == 0 && off < blob_length(b); off += VERIFY_PIECE) {
        ssize_t n = blob_read(b, buf, VERIFY_PIECE, off);
        err = n < 0 ? (int)n : id_stream_add(s, buf, (size_t)n);
        if (err == 0)
            err = paced(v, (uint64_t)n);
    }
    free(buf);
    return err;
}

static int hash_file(struct objects *o, const struct entry *e, const struct verifying *v,
                     struct id *ret_hash)
{
    struct id_stream *s;
    struct blob *b;
    int err = blob_open_object(o->c.disk, &e->id, e->where, e->size, &b);

    if (err < 0)
        return err == -ENOENT ? -EUCLEAN : err;
    err = id_stream_create(o->c.key, &s);
    if (err == 0) {
        err = hash_pieces(b, s, v);
        if (err == 0)
            id_stream_end(s, ret_hash);
        id_stream_destroy(s);
    }
    blob_unref(b);
    return err;
}

static int hash_record(struct objects *o, const struct entry *e, const struct verifying *v,
                       struct id *ret_hash)
{
    uint8_t *buf = malloc(e->size ? e->size : 1);
    int err;

    if (!buf)
        return -ENOMEM;
    err = packs_read(o->c.packs, &(struct pack_place){e->where, e->offset}, &e->id, buf,
                     (uint32_t)e->size);
    if (err == -ENOENT) /* the pack is gone */
        err = -EUCLEAN;
    if (err == 0)
        id_of(o->c.key, buf, e->size, ret_hash);
    free(buf);
    return err < 0 ? err : paced(v, e->size);
}

int objects_verify_slowly(struct objects *o, const struct entry *entry,
                          int (*pace)(uint64_t bytes, void *ctx), void *ctx)
{
    const struct verifying v = {pace, ctx};
    struct entry e = *entry;
    struct id hash;
    int err;

    if (!entry_is_sealed(&e))
        return -EINVAL;
    do {
        err = e.kind == ENTRY_FILE ? hash_file(o, &e, &v, &hash) : hash_record(o, &e, &v, &hash);
    } while (err == -EUCLEAN && has_moved(o, &e));
    return err < 0 ? err : names(o, &e.id, hash) ? 0 : -EUCLEAN;
}

int objects_verify(struct objects *o, const struct entry *e)
{
    return objects_verify_slowly(o, e, NULL, NULL);
}

/* ---- comparing ---- */

/* Are the stored bytes of `e` those of `s`? 1, 0, -EUCLEAN the stored ones are damaged, -errno. */
static int compare_small(struct objects *o, const struct entry *e, const struct source *s)
{
    uint8_t *stored = malloc(s->len);
    ssize_t n;

    if (!stored)
        return -ENOMEM;
    n = objects_read(o, e, stored, s->len, 0);
    if (n >= 0)
        n = (size_t)n == s->len && memcmp(stored, s->data, s->len) == 0;
    free(stored);
    /* The disk does not give them: no verdict. Ours get an id of their own, or a bad sector would
     * stop every commit from the moment somebody writes the same bytes again. */
    return n < 0 && n != -EUCLEAN && n != -ENOMEM ? 0 : (int)n;
}

/* A file that once was large and a record that was always small. */
static int compare_with_record(struct objects *o, const struct entry *e, const struct source *s)
{
    uint8_t *ours = malloc(e->size ? e->size : 1);
    ssize_t n;

    if (!ours)
        return -ENOMEM;
    n = blob_read(s->blob, ours, e->size, 0);
    if (n == -EUCLEAN)
        n = -EIO; /* our own bytes: no verdict on the stored ones */
    if (n >= 0)
        n = compare_small(o, e, &(struct source){.data = ours, .len = (uint32_t)n});
    free(ours);
    return (int)n;
}

static int compare_blob(struct objects *o, const struct entry *e, const struct source *s)
{
    struct blob *stored, *bad = NULL;
    int err;

    if (e->kind != ENTRY_FILE)
        return compare_with_record(o, e, s);
    err = open_file(o, e, &stored);
    if (err < 0)
        return err;
    err = blob_compare(stored, s->blob, &bad);
    if (err == -EUCLEAN && bad == s->blob)
        err = -EIO; /* our own bytes: no verdict on the stored ones */
    blob_unref(stored);
    return err;
}

/* Sizes that differ prove nothing about the stored bytes: they are two contents. */
static int compare(struct objects *o, const struct entry *e, const struct source *s)
{
    uint64_t size = s->blob ? blob_length(s->blob) : s->len;

    if (e->size != size)
        return 0;
    return s->blob ? compare_blob(o, e, s) : compare_small(o, e, s);
}

/* ---- sealing ---- */

static int store(struct objects *o, uint64_t number, const struct source *s, const struct id *id,
                 struct entry *ret_place)
{
    struct pack_place at;
    int err;

    *ret_place = (struct entry){.id = *id};
    if (s->blob) {
        ret_place->kind = ENTRY_FILE;
        ret_place->size = blob_length(s->blob);
        ret_place->where = number;
        err = blob_link_object(s->blob, id);
        if (err < 0) /* the next try may well have other bytes, and so another name */
            (void)blob_unlink_object(o->c.disk, id, number);
        return err;
    }
    err = packs_append(o->c.packs, id, s->data, s->len, &at);
    ret_place->kind = ENTRY_PACK;
    ret_place->size = s->len;
    ret_place->where = at.pack;
    ret_place->offset = at.offset;
    return err;
}

/* Nothing names the place. A file's name would be used again by a second try, so it must not wait
 * among the dying; a crash before this leaves an orphan, late, never early. */
static void abandon(struct objects *o, const struct source *s, const struct entry *place)
{
    if (place->kind == ENTRY_FILE) {
        (void)blob_unlink_object(o->c.disk, &place->id, place->where);
        blob_unseal(s->blob);
    } else {
        (void)refs_bury_place(o->c.refs, place);
    }
}

static int place_new(struct objects *o, uint64_t number, const struct source *s,
                     const struct id *id)
{
    struct entry place;
    int err = store(o, number, s, id, &place);

    if (err < 0)
        return err;
    err = refs_seal_new(o->c.refs, number, &place);
    if (err < 0)
        abandon(o, s, &place);
    return err;
}

/* The stored bytes of `target` are bad and ours are good: they take its place. */
static int heal(struct objects *o, uint64_t target, uint64_t number, const struct source *s,
                const struct id *id)
{
    char hex[ID_HEX + 1];
    struct entry place, old;
    int err = store(o, number, s, id, &place);

    if (err < 0)
        return err;
    err = refs_move(o->c.refs, target, &place, &old);
    if (err < 0) {
        abandon(o, s, &place);
        return err;
    }
    id_to_hex(id, hex);
    report(REPORT_ALARM, "object %s was damaged and has been healed with equal-named good bytes",
           hex);
    if (old.kind == ENTRY_FILE)
        cache_drop(o, old.where);
    {
        MUTEX_GUARD(&o->lock);
        o->healed++;
    }
    return refs_bury_place(o->c.refs, &old);
}

/* One id of the chain. 0 done (*ret_number), 1 go on with the next id, or -errno. */
static int try_id(struct objects *o, uint64_t number, const struct source *s, const struct id *id,
                  uint64_t *ret_number)
{
    struct entry e;
    uint64_t target;
    bool pending;
    int same, err = refs_find(o->c.refs, id, &target, &e, &pending);

    if (err == -EAGAIN)
        return 1;
    if (err == -ENOENT) {
        *ret_number = number;
        err = place_new(o, number, s, id);
        return err == -EEXIST ? -EAGAIN : err;
    }
    if (err < 0)
        return err;
    if (pending || !entry_is_sealed(&e)) {
        refs_unhold(o->c.refs, target);
        return pending ? -EAGAIN : 1;
    }
    same = compare(o, &e, s);
    if (same == -EUCLEAN)
        err = heal(o, target, number, s, id);
    else if (same < 0)
        err = same;
    if (err == 0 && same != 0) {
        err = refs_seal_alias(o->c.refs, number, target);
        *ret_number = target;
    }
    refs_unhold(o->c.refs, target);
    return err < 0 ? err : same == 0;
}

static int seal(struct objects *o, uint64_t number, const struct source *s, struct id id,
                uint64_t *ret_number)
{
    for (unsigned i = 0; i < CHAIN_MAX; i++) {
        struct id next;
        int r = try_id(o, number, s, &id, ret_number);
        if (r <= 0)
            return r;
        {
            MUTEX_GUARD(&o->lock);
            o->collisions++;
        }
        id_derive(o->c.key, &id, &next);
        id = next;
    }
    return -EOVERFLOW;
}

int objects_seal_buffer(struct objects *o, uint64_t number, const void *data, uint32_t len,
                        uint64_t *ret_number)
{
    struct id id;

    if (len == 0 || len > PACK_RECORD_MAX)
        return -EINVAL;
    id_of(o->c.key, data, len, &id);
    return seal(o, number, &(struct source){.data = data, .len = len}, id, ret_number);
}

int objects_hash_blob(struct objects *o, struct blob *b, struct id *ret_id)
{
    return blob_hash(b, o->c.key, ret_id);
}

int objects_seal_blob(struct objects *o, uint64_t number, struct blob *b, const struct id *id,
                      uint64_t *ret_number)
{
    return seal(o, number, &(struct source){.blob = b}, *id, ret_number);
}

int objects_sync(struct objects *o)
{
    uint64_t mark =
        refs_pending_mark(o->c.refs); /* what is sealed beside the sync may not be in it */
    int err = packs_sync(o->c.packs);

    if (err == 0)
        refs_settle(o->c.refs, mark);
    return err;
}

int objects_delete(struct objects *o, const struct refs_dead *d)
{
    const struct entry *e = &d->entry;
    int err;

    switch (e->kind) {
    case ENTRY_PACK:
        err =
            packs_release(o->c.packs, &(struct pack_place){e->where, e->offset}, (uint32_t)e->size);
        return err == -ENOENT ? 0 : err; /* the whole pack is gone already */
    case ENTRY_FILE:
        cache_drop(o, e->where);
        return blob_unlink_object(o->c.disk, &e->id, e->where);
    case ENTRY_SLOT:
        return blob_unlink_slot(o->c.disk, d->number);
    default:
        return 0;
    }
}

/* ---- after a crash ---- */

static bool is_file_of(const struct entry *e, const struct id *id, uint64_t where)
{
    return e->kind == ENTRY_FILE && e->where == where && id_equal(&e->id, id);
}

/* Does an entry name this file? By its id, or by the number it had as a slot, in case the index is
 * damaged. Yes when that cannot be told. */
bool objects_is_named(struct objects *o, const struct id *id, uint64_t where)
{
    struct entry e;
    uint64_t number;
    bool pending;
    int err = refs_find(o->c.refs, id, &number, &e, &pending);

    if (err == 0) {
        refs_unhold(o->c.refs, number);
        if (is_file_of(&e, id, where) || !id_equal(&e.id, id))
            return true;
    } else if (err != -ENOENT && err != -EAGAIN) {
        return true;
    }
    err = refs_entry(o->c.refs, where, false, NULL, &e);
    return err == 0 ? is_file_of(&e, id, where) : err != -ENOENT;
}

struct reaping {
    struct objects *o;
    char dir[sizeof "objects/ab"];
};

static int reap_file(const char *name, void *ctx)
{
    struct reaping *r = ctx;
    char file[DISK_NAME_MAX + 1], path[DISK_NAME_MAX + 1];
    struct id id;
    uint64_t where;
    int err;

    (void)blob_strip_sums(name, file);
    if (blob_parse_object(file, &id, &where) < 0 || objects_is_named(r->o, &id, where))
        return 0;
    snprintf(path, sizeof path, "%s/%.100s", r->dir, name);
    err = disk_unlink(r->o->c.disk, path);
    return err == -ENOENT || err == -EROFS ? 0 : err;
}

int objects_reap(struct objects *o)
{
    struct reaping r = {.o = o};
    int err = 0;

    for (unsigned i = 0; i < 256 && err == 0; i++) {
        snprintf(r.dir, sizeof r.dir, "objects/%02x", i);
        err = disk_list(o->c.disk, r.dir, reap_file, &r);
        err = err == -ENOENT ? 0 : err;
    }
    return err;
}

/* ---- opening ---- */

int objects_open(const struct objects_config *config, struct objects **ret_objects)
{
    struct objects *o = calloc(1, sizeof *o);

    if (!o)
        return -ENOMEM;
    o->c = *config;
    mutex_init(&o->lock, "object files");
    *ret_objects = o;
    return 0;
}

void objects_close(struct objects *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < OPEN_MAX; i++)
        blob_unref(o->open[i].blob);
    mutex_destroy(&o->lock);
    free(o);
}

void objects_get_counts(struct objects *o, uint64_t *ret_healed, uint64_t *ret_collisions)
{
    MUTEX_GUARD(&o->lock);
    *ret_healed = o->healed;
    *ret_collisions = o->collisions;
}
