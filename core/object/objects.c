// SPDX-License-Identifier: Apache-2.0
/*
 * objects: see the header. Here: reading, verifying and deleting; objects_seal.c: sealing;
 * objects_remote.c: what is on other shards.
 *
 * Files that were read lately stay open in a small cache.
 */
#include "objects_impl.h"
#include "clock.h"
#include "io.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- object files kept open ---- */

/* Finds the link to a pinned file of the home shard. It points to NULL if there is none, and a new
 * one goes there. */
static struct pinned_blob **find_pinned(struct objects *o, uint64_t number)
{
    struct pinned_blob **at = &o->pinned[number % PINNED_BUCKETS];

    mutex_held(&o->lock);
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

/* The blob of that file if it is pinned or kept open, else NULL. Borrowed, under the lock. */
static struct blob *find_open(struct objects *o, uint16_t shard, uint64_t number)
{
    struct pinned_blob *pinned = shard == 0 ? *find_pinned(o, number) : NULL;

    if (pinned)
        return pinned->blob;
    for (size_t i = 0; i < OPEN_MAX; i++)
        if (o->open[i].number == number && o->open[i].shard == shard) {
            o->open[i].used = ++o->tick;
            return o->open[i].blob;
        }
    return NULL;
}

/* The blob of a file that is kept open, or NULL. The caller gives it back with blob_unref. */
static struct blob *cache_get(struct objects *o, uint16_t shard, uint64_t number)
{
    MUTEX_GUARD(&o->lock);
    struct blob *b = find_open(o, shard, number);

    return b ? blob_ref(b) : NULL;
}

static void cache_put(struct objects *o, uint16_t shard, uint64_t number, struct blob *b)
{
    struct open_blob *oldest = &o->open[0];
    MUTEX_GUARD(&o->lock);

    if (shard == 0 && *find_pinned(o, number))
        return;
    for (size_t i = 0; i < OPEN_MAX; i++) {
        if (o->open[i].number == number && o->open[i].shard == shard)
            return;
        if (o->open[i].used < oldest->used)
            oldest = &o->open[i];
    }
    blob_unref(oldest->blob);
    *oldest = (struct open_blob){number, shard, blob_ref(b), ++o->tick};
}

void object_forget_file(struct objects *o, uint16_t shard, uint64_t number)
{
    MUTEX_GUARD(&o->lock);

    for (size_t i = 0; i < OPEN_MAX; i++)
        if (o->open[i].number == number && o->open[i].shard == shard) {
            blob_unref(o->open[i].blob);
            o->open[i] = (struct open_blob){0};
        }
}

/* Empties the cache of open files. A file that a reader still uses stays open until it is done. */
static void close_kept(struct objects *o)
{
    MUTEX_GUARD(&o->lock);

    for (size_t i = 0; i < OPEN_MAX; i++) {
        blob_unref(o->open[i].blob);
        o->open[i] = (struct open_blob){0};
    }
}

/* Opens the file of an object on the disk of its place. If file handles or memory are short, the
 * cache is emptied and it tries once more. */
static int open_somehow(struct objects *o, struct disk *disk, const struct entry *e,
                        struct blob **ret_blob)
{
    int err = blob_open_object(disk, &e->id, e->where, e->size, ret_blob);

    if (!io_is_short(err))
        return err;
    close_kept(o);
    return blob_open_object(disk, &e->id, e->where, e->size, ret_blob);
}

int object_open_file(struct objects *o, const struct entry *e, bool fresh, struct blob **ret_blob)
{
    struct blob *b = fresh ? NULL : cache_get(o, e->shard, e->where);
    struct disk *disk;
    int err;

    if (!b) {
        err = object_use(o, e->shard, fresh ? SHARDS_READ : SHARDS_NEAR, NULL, &disk);
        if (err == 0)
            err = object_put_back(o, e->shard, open_somehow(o, disk, e, &b));
        if (err < 0)
            return err;
        if (!fresh)
            cache_put(o, e->shard, e->where, b);
    }
    *ret_blob = b;
    return 0;
}

/* Pins the file of that number: as `b`, or as the blob that is already open for it. */
static int pin(struct objects *o, uint64_t number, struct blob *b, struct blob **ret_blob)
{
    MUTEX_GUARD(&o->lock);
    struct pinned_blob **at = find_pinned(o, number), *p = *at;

    if (!p) {
        struct blob *other = find_open(o, 0, number);
        p = calloc(1, sizeof *p);
        if (!p)
            return -ENOMEM;
        p->number = number;
        p->blob = blob_ref(other ? other : b);
        *at = p;
    }
    p->pins++;
    *ret_blob = p->blob;
    return 0;
}

bool objects_is_remote(const struct objects *o, const struct entry *e)
{
    return entry_is_ghost(e) || (entry_is_sealed(e) && disk_is_whole(o->c.disk));
}

int objects_pin(struct objects *o, const struct entry *e, struct blob **ret_blob)
{
    struct blob *b;
    int err;

    if (e->kind != ENTRY_FILE || entry_is_ghost(e))
        return -EINVAL;
    err = object_open_file(o, e, false, &b);
    if (err < 0)
        return err;
    err = pin(o, e->where, b, ret_blob);
    blob_unref(b);
    return err;
}

void objects_unpin(struct objects *o, uint64_t where)
{
    struct pinned_blob *gone = NULL;

    {
        MUTEX_GUARD(&o->lock);
        struct pinned_blob **at = find_pinned(o, where);
        if (--(*at)->pins == 0) {
            gone = *at;
            *at = gone->next;
        }
    }
    if (gone)
        blob_unref(gone->blob); /* may be the last of a file without a name, which takes a while */
    free(gone);
}

int object_close_file(struct objects *o, const struct entry *e, struct blob *b, int err)
{
    blob_unref(b);
    return object_said(o, e->shard, err);
}

/* ---- reading ---- */

int object_unreadable(const struct entry *e, int err)
{
    char hex[ID_HEX + 1];

    if (err != -EUCLEAN && err != -EPROTO)
        return err;
    id_to_hex(&e->id, hex);
    if (err == -EPROTO)
        report(REPORT_ALARM, "object %s cannot be read: it is " OBJECTS_COMPRESSED, hex);
    else if (entry_is_ghost(e))
        report(REPORT_ALARM, "object %s on shard %u is damaged or lost", hex, e->shard);
    else
        report(REPORT_ALARM, "object %s is damaged", hex);
    return err;
}

/* Reads all of a record, from a pack at home or on another shard. */
static int load_record(struct objects *o, const struct entry *e, enum shards_use how, void *buf)
{
    const struct pack_place at = pack_place_of(e);
    uint32_t len = (uint32_t)e->size;
    struct disk *disk;
    int err = object_use(o, e->shard, how, NULL, &disk);

    if (err < 0)
        return err;
    err = entry_is_ghost(e) ? packs_read_from(disk, &at, &e->id, buf, len)
                            : packs_read(o->c.packs, &at, &e->id, buf, len);
    return object_put_back(o, e->shard, err);
}

/* Reads a part of a record. The whole record is read, since its checksum covers all of it. -EUCLEAN
 * also for an entry that says more bytes than a record can have: none are allocated for it. */
static ssize_t read_record(struct objects *o, const struct entry *e, enum shards_use how, void *buf,
                           size_t len, uint64_t off)
{
    bool whole = off == 0 && len >= e->size;
    uint8_t *record;
    int err;

    if (e->size > PACK_RECORD_MAX)
        return -EUCLEAN;
    record = whole ? buf : malloc(e->size);
    if (!record)
        return -ENOMEM;
    err = load_record(o, e, how, record);
    if (len > e->size - off)
        len = e->size - off;
    if (err == 0 && !whole)
        memcpy(buf, record + off, len);
    if (!whole)
        free(record);
    return err < 0 ? err : (ssize_t)len;
}

/* Reads from the place that the entry names, without a look at where the bytes may have been
 * moved. */
static ssize_t read_at(struct objects *o, const struct entry *e, enum shards_use how, void *buf,
                       size_t len, uint64_t off)
{
    struct blob *b;
    ssize_t n;
    int err;

    if (e->kind == ENTRY_PACK)
        return read_record(o, e, how, buf, len, off);
    err = object_open_file(o, e, entry_is_ghost(e) && how != SHARDS_NEAR, &b);
    if (err < 0)
        return err;
    n = blob_read(b, buf, len, off);
    err = object_close_file(o, e, b, n < 0 ? (int)n : 0);
    return err < 0 ? err : n;
}

bool object_has_moved(struct objects *o, struct entry *e)
{
    struct entry now;
    uint64_t number;
    bool pending;

    if (refs_find(o->c.refs, &e->id, &number, &now, &pending) < 0)
        return false;
    refs_unhold(o->c.refs, number);
    if (!entry_is_sealed(&now) || now.size != e->size || entry_same_place(&now, e))
        return false;
    *e = now;
    return true;
}

/* May the error come from a move of the bytes (by compaction, repair or a user) after the entry was
 * read? */
static bool may_have_moved(int err)
{
    return err == -EUCLEAN || err == -EHOSTUNREACH;
}

/* Forgets what a cache has of the object's files on its shard. True: there was something. */
static bool forget_near(struct objects *o, const struct entry *e)
{
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 1];
    bool any;

    if (!entry_is_ghost(e) || !o->c.shards)
        return false;
    if (e->kind == ENTRY_PACK) {
        pack_name(e->where, name);
        return shards_forget(o->c.shards, e->shard, name);
    }
    object_forget_file(o, e->shard, e->where); /* it has sums in memory */
    objects_file_name(e, 0, name);
    any = shards_forget(o->c.shards, e->shard, name);
    return (sums_name(name, sums) == 0 && shards_forget(o->c.shards, e->shard, sums)) || any;
}

/* read_at. Bytes of a cache that are damaged may be what a shard or a network spoiled once, so the
 * shard is asked again before they count as damaged. */
static ssize_t read_or_ask(struct objects *o, const struct entry *e, enum shards_use how, void *buf,
                           size_t len, uint64_t off)
{
    ssize_t n = read_at(o, e, how, buf, len, off);

    if (n == -EUCLEAN && how == SHARDS_NEAR && forget_near(o, e))
        n = read_at(o, e, how, buf, len, off);
    return n;
}

/* Reads, and reads again at the new place if the bytes were moved meanwhile. */
static ssize_t read_wherever(struct objects *o, const struct entry *entry, enum shards_use how,
                             void *buf, size_t len, uint64_t off)
{
    struct entry e = *entry;
    ssize_t n;

    do
        n = read_or_ask(o, &e, how, buf, len, off);
    while (may_have_moved((int)(n < 0 ? n : 0)) && object_has_moved(o, &e));
    return n;
}

ssize_t object_read_quietly(struct objects *o, const struct entry *e, void *buf, size_t len,
                            uint64_t off)
{
    return read_wherever(o, e, SHARDS_READ, buf, len, off);
}

ssize_t objects_read_there(struct objects *o, const struct entry *e, void *buf, size_t len,
                           uint64_t off)
{
    if (!entry_is_sealed(e))
        return -EINVAL;
    return off >= e->size || len == 0 ? 0 : read_at(o, e, SHARDS_READ, buf, len, off);
}

int objects_are_at(struct objects *o, const struct entry *place, const void *data, uint32_t len)
{
    uint8_t *stored;
    ssize_t n;

    if (!entry_is_sealed(place) || place->size != len)
        return 0;
    stored = malloc(len ? len : 1);
    if (!stored)
        return -ENOMEM;
    n = read_at(o, place, SHARDS_READ, stored, len, 0);
    if (n >= 0)
        n = (size_t)n == len && memcmp(stored, data, len) == 0;
    free(stored);
    return (int)n;
}

ssize_t objects_read(struct objects *o, const struct entry *e, void *buf, size_t len, uint64_t off)
{
    ssize_t n;

    if (!entry_is_sealed(e))
        return -EINVAL;
    if (off >= e->size || len == 0)
        return 0;
    n = read_wherever(o, e, SHARDS_NEAR, buf, len, off);
    return n < 0 ? object_unreadable(e, (int)n) : n;
}

/* Computes the id of an object's file, which is opened anew. */
static int hash_file(struct objects *o, const struct entry *e, const struct blob_pace *pace,
                     struct id *ret_hash)
{
    struct blob *b;
    int err = object_open_file(o, e, true, &b);

    return err < 0 ? err : object_close_file(o, e, b, blob_hash(b, o->c.key, pace, ret_hash));
}

/* Computes the id of the bytes of a record. */
static int hash_record(struct objects *o, const struct entry *e, const struct blob_pace *pace,
                       struct id *ret_hash)
{
    uint8_t *buf = malloc(e->size ? e->size : 1);
    int err;

    if (!buf)
        return -ENOMEM;
    err = load_record(o, e, SHARDS_READ, buf);
    if (err == 0)
        id_of(o->c.key, buf, e->size, ret_hash);
    free(buf);
    if (err < 0)
        return err;
    return pace ? pace->fn(e->size, pace->ctx) : 0;
}

static int hash_entry(struct objects *o, const struct entry *e, const struct blob_pace *pace,
                      struct id *ret_hash)
{
    return e->kind == ENTRY_FILE ? hash_file(o, e, pace, ret_hash)
                                 : hash_record(o, e, pace, ret_hash);
}

int objects_verify_there(struct objects *o, const struct entry *e)
{
    struct id hash;
    int err = entry_is_sealed(e) ? hash_entry(o, e, NULL, &hash) : -EINVAL;

    return err < 0 ? err : id_fits(o->c.key, &e->id, &hash) ? 0 : -EUCLEAN;
}

int objects_verify_slowly(struct objects *o, const struct entry *entry,
                          const struct blob_pace *pace)
{
    struct entry e = *entry;
    struct id hash;
    int err;

    if (!entry_is_sealed(&e))
        return -EINVAL;
    do {
        err = hash_entry(o, &e, pace, &hash);
    } while (may_have_moved(err) && object_has_moved(o, &e));
    return err < 0 ? err : id_fits(o->c.key, &e.id, &hash) ? 0 : -EUCLEAN;
}

int objects_verify(struct objects *o, const struct entry *e)
{
    return objects_verify_slowly(o, e, NULL);
}

uint16_t object_today(const struct objects *o)
{
    int64_t day = o->c.clock ? clock_now(o->c.clock) / (24 * 60 * 60 * NSEC_PER_SEC) : 0;

    return day < 0 ? 0 : day > UINT16_MAX ? UINT16_MAX : (uint16_t)day;
}

/* ---- durable, and dead ---- */

int objects_sync(struct objects *o)
{
    uint64_t mark =
        refs_pending_mark(o->c.refs); /* objects that are sealed while the sync runs are not in
                                       * it */
    int err = packs_sync(o->c.packs);

    if (err == 0)
        refs_settle(o->c.refs, mark);
    return err;
}

bool objects_sync_is_lost(const struct objects *o, int err)
{
    return err < 0 && !io_is_passing(err) && !disk_is_whole(o->c.disk);
}

int objects_delete(struct objects *o, const struct refs_dead *d)
{
    const struct entry *e = &d->entry;
    const struct pack_place at = pack_place_of(e);
    int err;

    if (entry_is_ghost(e))
        return -EINVAL; /* ghosts are deleted by objects_delete_remote */
    switch (e->kind) {
    case ENTRY_PACK:
        err = packs_release(o->c.packs, &at, (uint32_t)e->size);
        return err == -ENOENT ? 0 : err; /* the whole pack was deleted already */
    case ENTRY_FILE:
        object_forget_file(o, 0, e->where);
        return blob_unlink_object(o->c.disk, &e->id, e->where);
    case ENTRY_SLOT:
        return blob_unlink_slot(o->c.disk, d->number);
    default:
        return 0;
    }
}

/* ---- after a crash ---- */

enum objects_name objects_parse_name(const char *name, struct id *ret_id, uint64_t *ret_number)
{
    char file[DISK_NAME_MAX + 1], want[DISK_NAME_MAX + 1];
    const char *base = strrchr(name, '/');

    if (!base || strlen(name) > DISK_NAME_MAX)
        return OBJECTS_NO_NAME;
    if (strncmp(name, "packs/", 6) == 0)
        return pack_parse_name(name + 6, ret_number) == 0 ? OBJECTS_PACK : OBJECTS_NO_NAME;
    (void)blob_strip_sums(name, file);
    if (strncmp(name, "slots/", 6) == 0)
        return blob_parse_slot(file + 6, ret_number) == 0 ? OBJECTS_SLOT : OBJECTS_NO_NAME;
    if (blob_parse_object(file + (base + 1 - name), ret_id, ret_number) < 0)
        return OBJECTS_NO_NAME;
    blob_object_name(ret_id, *ret_number, want);
    return strcmp(want, file) == 0 ? OBJECTS_FILE : OBJECTS_NO_NAME;
}

void objects_file_name(const struct entry *e, uint64_t number, char out[DISK_NAME_MAX + 1])
{
    if (e->kind == ENTRY_PACK)
        pack_name(e->where, out);
    else if (e->kind == ENTRY_SLOT)
        blob_slot_name(number, out);
    else
        blob_object_name(&e->id, e->where, out);
}

static bool is_file_of(const struct entry *e, uint16_t shard, const struct id *id, uint64_t where)
{
    return e->kind == ENTRY_FILE && e->shard == shard && e->where == where && id_equal(&e->id, id);
}

/* Looks for the entry by its id and, at home, also by the number that the file had as a slot, in
 * case the index is damaged. */
bool objects_is_named(struct objects *o, uint16_t shard, const struct id *id, uint64_t where)
{
    struct entry e;
    uint64_t number;
    bool pending;
    int err = refs_find(o->c.refs, id, &number, &e, &pending);

    if (err == 0) {
        refs_unhold(o->c.refs, number);
        if (is_file_of(&e, shard, id, where) || !id_equal(&e.id, id))
            return true;
    } else if (err != -ENOENT && err != -EAGAIN) {
        return true;
    }
    if (shard)
        return false;
    err = refs_entry(o->c.refs, where, false, NULL, &e);
    return err == 0 ? is_file_of(&e, 0, id, where) : err != -ENOENT;
}

/* One directory of home that is being listed. */
struct object_listing {
    char dir[sizeof "objects/ab"];
    shard_list_fn *fn;
    void *ctx;
};

/* Give a name with its directory in front. */
static int list_in_dir(const char *name, void *ctx)
{
    const struct object_listing *l = ctx;
    char path[DISK_NAME_MAX + 1];

    snprintf(path, sizeof path, "%s/%.100s", l->dir, name);
    return l->fn(path, OBJECTS_NO_SIZE, l->ctx);
}

int objects_list(struct disk *home, struct shard *shard, shard_list_fn *fn, objects_gone_fn *gone,
                 void *ctx)
{
    struct object_listing l = {.fn = fn, .ctx = ctx};
    int err = shard ? shard_list(shard, "objects", fn, ctx) : 0;

    if (shard)
        return err ? err : shard_list(shard, "packs", fn, ctx);
    for (unsigned i = 0; i < 258 && err == 0; i++) {
        if (i < 256)
            snprintf(l.dir, sizeof l.dir, "objects/%02x", i & 0xff);
        else
            snprintf(l.dir, sizeof l.dir, "%s", i == 256 ? "slots" : "packs");
        err = disk_list(home, l.dir, list_in_dir, &l);
        if (err == -ENOENT)
            err = gone ? gone(l.dir, ctx) : 0;
    }
    return err;
}

/* One call of objects_reap. */
struct reaping {
    struct objects *o;
    uint64_t next;
    bool (*keep)(void *ctx);
    void *ctx;
};

/* May the entry of this file be lost? In a pool the numbers of files are not object numbers, so
 * r->keep is asked about every file. */
static bool may_be_lost(const struct reaping *r, uint64_t where)
{
    struct entry e;

    return (where < r->next || r->o->c.pool) &&
           refs_entry(r->o->c.refs, where, false, NULL, &e) == -ENOENT && r->keep(r->ctx);
}

/* Deletes a file of an object if no entry names it, and none can be lost. */
static int reap_file(const char *name, uint64_t size, void *ctx)
{
    struct reaping *r = ctx;
    struct id id;
    uint64_t where;
    int err;

    (void)size;
    if (objects_parse_name(name, &id, &where) != OBJECTS_FILE ||
        objects_is_named(r->o, 0, &id, where) || may_be_lost(r, where))
        return 0;
    err = disk_unlink(r->o->c.disk, name);
    return err == -ENOENT || err == -EROFS ? 0 : err;
}

int objects_reap(struct objects *o, uint64_t next, bool (*keep)(void *ctx), void *ctx)
{
    struct reaping r = {.o = o, .next = next, .keep = keep, .ctx = ctx};

    return objects_list(o->c.disk, NULL, reap_file, NULL, &r);
}

/* ---- opening ---- */

int objects_open(const struct objects_config *config, struct objects **ret_objects)
{
    struct objects *o = calloc(1, sizeof *o);

    if (!o)
        return -ENOMEM;
    o->c = *config;
    if (config->pool)
        o->pool = *config->pool;
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
