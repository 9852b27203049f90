// SPDX-License-Identifier: Apache-2.0
/*
 * objects_batch: see the header. The pack is made in memory: each object is read to the place that
 * its record will have, and the heads follow once the pack has a number.
 *
 * Objects in packs on shards are read in the order of their places. Neighbours form a run, which is
 * one request: a request costs about as much as RUN_GAP bytes that nobody needs. A run is a hint.
 * What it does not give, or gives wrongly, is read as any object is, which tells what is damaged
 * from what was moved.
 */
#include "objects_batch.h"

#include "array.h"
#include "objects_impl.h"
#include "packs_impl.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUN_GAP (256 * 1024) /* bytes between two records of a run, at most */

struct objects_batch {
    struct objects *o;
    struct objects_record *v;
    size_t count, room;
    uint8_t *pack; /* `size` bytes, from objects_batch_load on */
    uint32_t size; /* of the pack, if all objects can be read */
    uint32_t end;  /* offset of the end of the last record that was loaded */
    bool loaded;
};

/* Records that are read by one request: those of `order` from `first` on. */
struct run {
    size_t first, count;
    uint64_t off; /* in the pack where they are */
    uint8_t *data;
    size_t len;
};

int objects_batch_begin(struct objects *o, struct objects_batch **ret_batch)
{
    struct objects_batch *b = calloc(1, sizeof *b);

    if (!b)
        return -ENOMEM;
    b->o = o;
    b->size = b->end = FILE_HEAD;
    *ret_batch = b;
    return 0;
}

void objects_batch_end(struct objects_batch *b)
{
    if (!b)
        return;
    free(b->pack);
    free(b->v);
    free(b);
}

int objects_batch_add(struct objects_batch *b, uint64_t number, const struct entry *from)
{
    uint64_t size = pack_record_size((uint32_t)from->size);

    if (!entry_is_sealed(from) || from->size > PACK_RECORD_MAX)
        return -EINVAL;
    if (b->size + size > SHARD_PACK_MAX)
        return -EFBIG;
    if (ARRAY_RESERVE(b->v, b->room, b->count + 1) < 0)
        return -ENOMEM;
    b->v[b->count++] = (struct objects_record){.number = number, .from = *from};
    b->size += (uint32_t)size;
    return 0;
}

const struct objects_record *objects_batch_get(const struct objects_batch *b, size_t nth)
{
    return nth < b->count ? &b->v[nth] : NULL;
}

uint64_t objects_batch_file_bytes(const struct objects_batch *b)
{
    return b->loaded ? b->end : b->size;
}

/* ---- reading one object ---- */

/* Are these the bytes of the object? */
static bool is_it(struct objects *o, const struct entry *from, const void *bytes)
{
    struct id hash;

    id_of(o->c.key, bytes, from->size, &hash);
    return id_fits(o->c.key, &from->id, &hash);
}

/* Reads all the bytes of `from`, wherever they are, and checks them against its id. */
static int read_object(struct objects *o, const struct entry *from, void *buf)
{
    ssize_t n = object_read_quietly(o, from, buf, from->size, 0);

    if (n >= 0)
        n = (uint64_t)n == from->size && is_it(o, from, buf) ? 0 : -EUCLEAN;
    return n < 0 ? object_source_said(o, from, (int)n) : 0;
}

/* Copies the object from a run that was read. False: the run does not have it, or not soundly. */
static bool take_from_run(struct objects *o, const struct run *run, const struct entry *from,
                          void *buf)
{
    const struct pack_place at = pack_place_of(from);
    uint64_t off = from->offset - run->off;

    if (!run->data || run->len < off ||
        pack_record_take(run->data + off, run->len - off, &at, &from->id, buf,
                         (uint32_t)from->size) < 0)
        return false;
    return is_it(o, from, buf);
}

/* What the entry of a plain copy says: what is compressed elsewhere is to be compressed again. */
static uint32_t note_of_copy(const struct entry *from)
{
    if (from->kind != ENTRY_PACK)
        return 0;
    return entry_is_compressed(from) ? ENTRY_AT_REST : (uint32_t)from->stored;
}

/* Brings the bytes of an object to the end of the pack. */
static void load_one(struct objects_batch *b, struct objects_record *r, const struct run *run)
{
    uint8_t *data = b->pack + b->end + RECORD_HEAD;
    uint32_t size = (uint32_t)r->from.size, whole = (uint32_t)pack_record_size(size);

    if (!take_from_run(b->o, run, &r->from, data))
        r->err = read_object(b->o, &r->from, data);
    if (r->err < 0)
        return;
    memset(data + size, 0, whole - RECORD_HEAD - size);
    r->data = data;
    r->to.offset = b->end;
    r->to.stored = note_of_copy(&r->from);
    b->end += whole;
}

/* ---- runs ---- */

static bool is_in_remote_pack(const struct entry *e)
{
    return e->kind == ENTRY_PACK && entry_is_ghost(e);
}

/* By the places where the objects are: those in one pack are neighbours. */
static int by_place(const void *a, const void *b)
{
    const struct entry *x = &(*(struct objects_record *const *)a)->from;
    const struct entry *y = &(*(struct objects_record *const *)b)->from;

    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->where != y->where)
        return x->where < y->where ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static uint64_t end_of(const struct entry *e)
{
    return e->offset + pack_record_size((uint32_t)entry_payload(e));
}

/* Does the run that begins with `first` and ends at `end` go on with the object `next`? */
static bool goes_on(const struct entry *first, uint64_t end, const struct entry *next)
{
    return is_in_remote_pack(first) && is_in_remote_pack(next) && next->shard == first->shard &&
           next->where == first->where && next->offset <= end + RUN_GAP &&
           end_of(next) - first->offset <= SHARD_PACK_MAX;
}

/* The longest run that begins with the object `first` of `order`. */
static struct run run_from(struct objects_record **order, size_t count, size_t first)
{
    const struct entry *e = &order[first]->from;
    uint64_t end = end_of(e);
    size_t n = 1;

    while (first + n < count && goes_on(e, end, &order[first + n]->from)) {
        if (end_of(&order[first + n]->from) > end)
            end = end_of(&order[first + n]->from);
        n++;
    }
    return (struct run){.first = first, .count = n, .off = e->offset, .len = end - e->offset};
}

/* Reads a run by one request. After an error it has no bytes. */
static void read_run(struct objects *o, const struct entry *e, struct run *run)
{
    char name[DISK_NAME_MAX + 1];
    void *data = NULL;
    struct shard *s;
    ssize_t n;
    size_t want = run->len;

    run->len = 0;
    if (!is_in_remote_pack(e) || object_use(o, e->shard, SHARDS_READ, &s, NULL) < 0)
        return;
    pack_name(e->where, name);
    n = shard_range_alloc(s, name, want, run->off, &data);
    if (object_put_back(o, e->shard, n < 0 ? (int)n : 0) < 0)
        return;
    run->data = data;
    run->len = (size_t)n;
}

/* Reads a run, and takes its objects from it. */
static int load_run(struct objects_batch *b, struct objects_record **order, struct run *run,
                    const struct blob_pace *pace)
{
    uint64_t bytes = 0;

    read_run(b->o, &order[run->first]->from, run);
    for (size_t i = run->first; i < run->first + run->count; i++) {
        load_one(b, order[i], run);
        bytes += order[i]->from.size;
    }
    free(run->data);
    return pace ? pace->fn(bytes, pace->ctx) : 0;
}

int objects_batch_load(struct objects_batch *b, const struct blob_pace *pace)
{
    struct objects_record **order = malloc(b->count * sizeof *order + 1);
    struct run run = {.count = 0};
    int err = 0;

    b->pack = malloc(b->size);
    if (!order || !b->pack) {
        free(order);
        return -ENOMEM;
    }
    b->loaded = true;
    for (size_t i = 0; i < b->count; i++)
        order[i] = &b->v[i];
    if (b->count)
        qsort(order, b->count, sizeof *order, by_place);
    for (size_t i = 0; i < b->count && err == 0; i += run.count) {
        run = run_from(order, b->count, i);
        err = load_run(b, order, &run, pace);
    }
    free(order);
    return err;
}

/* ---- compressing ---- */

/* Compresses the payload of a record to `out`, if it should be and becomes shorter. Returns its
 * length; 0: it is as before. Without memory it may be compressed later. */
static uint32_t compress_one(struct objects_record *r, bool all, uint8_t *out)
{
    const uint32_t size = (uint32_t)r->from.size, note = note_of_copy(&r->from);
    const void *bytes;

    if (note == size || (note != ENTRY_AT_REST && !all))
        return 0;
    if (compress_bytes(r->data, size, COMPRESS_REST, &bytes, &r->payload) < 0) {
        r->to.stored = ENTRY_AT_REST;
        return 0;
    }
    memcpy(out, bytes, r->payload);
    r->to.stored = r->payload ? r->payload : size;
    return r->payload;
}

int objects_batch_compress(struct objects_batch *b, bool all)
{
    uint8_t *pack = malloc(b->end);
    uint32_t end = FILE_HEAD;

    if (!pack)
        return -ENOMEM;
    for (size_t i = 0; i < b->count; i++) {
        struct objects_record *r = &b->v[i];
        uint8_t *out = pack + end + RECORD_HEAD;
        uint32_t len;

        if (r->err < 0 || !r->data)
            continue;
        len = compress_one(r, all, out);
        if (len == 0) {
            len = (uint32_t)r->from.size;
            memcpy(out, r->data, len);
        }
        memset(out + len, 0, pack_record_size(len) - RECORD_HEAD - len);
        r->data = out;
        r->to.offset = end;
        end += (uint32_t)pack_record_size(len);
    }
    free(b->pack);
    b->pack = pack;
    b->end = end;
    return 0;
}

/* ---- putting ---- */

/* Has the shard these bytes? If it was put just now the engine is asked to compare it, if it can do
 * that; else it is read back. 1, 0 or -errno. */
static int is_there(struct shard *s, const char *name, const void *data, uint32_t len, bool existed)
{
    if (!existed && shard_verify(s, name) == 0)
        return 1;
    return object_reads_as(s, name, data, len);
}

/* Puts the pack on the shard and checks it. A pack that has other bytes is deleted, unless it was
 * there before, or is in an archive. */
static int put_and_compare(struct objects_batch *b, uint16_t shard, struct shard *s,
                           const char *name)
{
    struct shards *shards = b->o->c.shards;
    int same, err = shard_put_if_absent(s, name, b->pack, b->end);
    bool existed = err == -EEXIST;

    err = existed ? 0 : shards_said(shards, shard, err);
    if (err < 0)
        return err;
    same = shards_said(shards, shard, is_there(s, name, b->pack, b->end, existed));
    if (same == 0 && existed)
        return -EEXIST;
    if (same == 0 || same == -ENOENT) {
        err = object_is_lying(shard, name);
        if (!shards_is_archive(shards, shard))
            (void)shard_delete(s, name);
    }
    return same < 0 && same != -ENOENT ? same : err;
}

/* Gives the pack its number: writes the heads, and the new place of each object. */
static void number_records(struct objects_batch *b, uint16_t shard, uint64_t where)
{
    pack_file_head(b->pack, where);
    for (size_t i = 0; i < b->count; i++) {
        struct objects_record *r = &b->v[i];
        const struct pack_place at = {where, r->to.offset, r->payload};
        const uint32_t note = r->to.stored;
        struct pack_record is = {.id = r->from.id, .size = (uint32_t)r->from.size};

        if (r->err < 0 || !r->data)
            continue;
        is.stored = pack_payload(&at, is.size);
        is.method = r->payload ? PACK_ZSTD : PACK_PLAIN;
        pack_record_encode(&is, r->data, &at, b->pack + at.offset);
        r->to = object_copy_of(b->o, shard, &r->from);
        r->to.stored = note;
        r->to.kind = ENTRY_PACK;
        r->to.where = where;
        r->to.offset = at.offset;
    }
}

int objects_batch_put(struct objects_batch *b, uint16_t shard)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t where;
    struct shard *s;
    int err;

    if (b->end == FILE_HEAD)
        return 0;
    err = object_use(b->o, shard, SHARDS_WRITE, &s, NULL);
    if (err < 0)
        return err;
    err = shards_new_number(b->o->c.shards, shard, &where);
    if (err == 0) {
        number_records(b, shard, where);
        pack_name(where, name);
        err = put_and_compare(b, shard, s, name);
    }
    shards_put_back(b->o->c.shards, shard);
    return err;
}
