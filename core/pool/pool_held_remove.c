// SPDX-License-Identifier: Apache-2.0
/* pool_held_remove: see pool_held.h, which has the order of a removal. */
#include "pool_held_impl.h"

#include "array.h"
#include "blob.h"
#include "bytes.h"
#include "packs.h"
#include "pool_file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HOLE_MIN (64 * 1024) /* bytes: a shorter hole is not worth making */
#define HOLE_ALIGN 4096      /* bytes: a hole begins and ends at a multiple of this */

/* One call of pool_held_remove: its arguments, and what it has done so far. */
struct removal {
    struct disk *disk;
    unsigned node;
    const struct id *keys; /* ascending */
    size_t count;
    uint8_t *done; /* done[i] becomes 1 when keys[i] was removed; may be NULL */
    struct pool_removed *ret;
    int err; /* the first error; 0: there was none */
};

/* Keep the first error. The removal goes on with what does not depend on the step that failed. */
static void note_error(struct removal *r, int err)
{
    if (r->err == 0 && err < 0)
        r->err = err;
}

static int by_key(const void *a, const void *b)
{
    return id_compare(a, b);
}

/* The index of `key` among the keys to be removed; -1: the key is not among them. */
static int64_t find_removal(const struct removal *r, const struct id *key)
{
    const struct id *k = r->count ? bsearch(key, r->keys, r->count, sizeof *r->keys, by_key) : NULL;

    return k ? k - r->keys : -1;
}

static void set_done(struct removal *r, int64_t i)
{
    if (r->done)
        r->done[i] = 1;
}

/* The status of that file; all zeros when the file cannot be opened or asked. */
static struct disk_stat stat_of(struct disk *disk, const char *name)
{
    struct disk_stat st = {0};

    (void)disk_stat(disk, name, &st);
    return st;
}

/* The bytes that the file takes on the disk, without its holes. They are only counted in the
 * report, so an error counts as 0. */
static uint64_t bytes_of(struct disk *disk, const char *name)
{
    return stat_of(disk, name).blocks;
}

/* ---- files ---- */

/* An object file whose key is to be removed. */
struct found {
    struct id id;
    uint64_t number;
    int64_t at; /* index of its key in removal.keys */
};

struct found_list {
    const struct removal *r;
    struct found *v;
    size_t count, room;
};

/* Called for each name of a directory of objects/: note the file if its key is to be removed. The
 * caller removes the files after the listing, because a directory that changes while it is listed
 * may be listed wrongly. */
static int find_file(const char *name, void *ctx)
{
    struct found_list *l = ctx;
    struct entry e = {.kind = ENTRY_FILE};

    if (blob_parse_object(name, &e.id, &e.where) < 0)
        return 0;
    struct id key = pool_key(&e);
    int64_t at = find_removal(l->r, &key);

    if (at < 0)
        return 0;
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->v[l->count++] = (struct found){e.id, e.where, at};
    return 0;
}

/* Remove one object file with its sums, and count it. */
static void remove_file(struct removal *r, const struct found *f)
{
    char name[DISK_NAME_MAX + 1];

    blob_object_name(&f->id, f->number, name);
    uint64_t bytes = bytes_of(r->disk, name);
    int err = blob_unlink_object(r->disk, &f->id, f->number);

    note_error(r, err);
    if (err < 0)
        return;
    set_done(r, f->at);
    r->ret->files++;
    r->ret->bytes += bytes;
}

/* Remove the object files of all keys. A key begins with the first byte of the object's id, and the
 * directory of the object is named after the same byte: only directories of such bytes are listed.
 * */
static int find_file_below(const char *name, void *ctx)
{
    name = held_file_below(name);
    return name ? find_file(name, ctx) : 0;
}

/* The same on a shard, where one list has the files of all directories. */
static void remove_files_below(struct removal *r)
{
    struct found_list l = {.r = r};

    note_error(r, disk_list_below(r->disk, "objects", find_file_below, &l));
    for (size_t n = 0; n < l.count; n++)
        remove_file(r, &l.v[n]);
    free(l.v);
}

static void remove_files(struct removal *r)
{
    if (disk_is_whole(r->disk)) {
        if (r->count)
            remove_files_below(r);
        return;
    }
    for (size_t i = 0; i < r->count;) {
        struct found_list l = {.r = r};
        uint8_t first = r->keys[i].b[0];
        char dir[sizeof "objects/00"];

        snprintf(dir, sizeof dir, "objects/%02x", first);
        note_error(r, disk_list(r->disk, dir, find_file, &l));
        for (size_t n = 0; n < l.count; n++)
            remove_file(r, &l.v[n]);
        free(l.v);
        while (i < r->count && r->keys[i].b[0] == first)
            i++;
    }
}

/* ---- records ---- */

/* Value of k->dead[i] for a record that this call removes; 1: an earlier call removed it. */
#define JUST_NOW 2

/* Mark in memory the records of one pack whose keys are to be removed. Returns their number. */
static size_t remove_dead_records(struct removal *r, struct held_pack *k)
{
    size_t n = 0;

    for (size_t i = 0; i < k->count; i++) {
        if (k->dead[i])
            continue;
        struct id key = held_pack_key(k, i);

        if (find_removal(r, &key) >= 0) {
            k->dead[i] = JUST_NOW;
            n++;
        }
    }
    k->live -= n;
    return n;
}

/* Report the records that this call removed. It is called after the pack was changed on the disk.
 * */
static void set_removed_done(struct removal *r, const struct held_pack *k)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->dead[i] == JUST_NOW) {
            struct id key = held_pack_key(k, i);

            set_done(r, find_removal(r, &key));
            r->ret->records++;
        }
}

/* Replace the dead list of a pack by one that has all dead records, old and new. */
static int write_dead(struct removal *r, const struct held_pack *k)
{
    struct pool_body body = {.kind = POOL_BODY_DEAD, .owner = k->number};
    char name[DISK_NAME_MAX + 1];
    uint8_t bytes[POOL_DEAD_LEN];
    struct pool_writer *w;
    int err = pool_writer_open(r->disk, r->node, &body, &w);

    if (err < 0)
        return err;
    for (size_t i = 0; i < k->count; i++) {
        put_le32(bytes, k->v[i].offset);
        if (k->dead[i])
            pool_writer_add(w, bytes);
    }
    held_pack_name(k->number, ".dead", name);
    return pool_writer_end(w, name, POOL_REPLACE, NULL);
}

/* ---- holes ---- */

/* Neighbouring dead records of a pack. */
struct run {
    uint64_t start, end; /* bytes in the file; end 0: the run is empty */
    bool fresh;          /* this call removes at least one of the records */
};

/* Make a hole of a run if the hole is large enough. A run without a record that this call removes
 * was tried by an earlier call. */
static void punch(struct removal *r, struct disk_file *f, const struct run *run)
{
    uint64_t from = (run->start + HOLE_ALIGN - 1) / HOLE_ALIGN * HOLE_ALIGN;
    uint64_t to = run->end / HOLE_ALIGN * HOLE_ALIGN;

    if (!run->fresh || to < from + HOLE_MIN)
        return;
    int err = disk_punch(f, from, to - from);

    if (err != -EOPNOTSUPP) /* without holes, the space comes back when the file is removed */
        note_error(r, err);
}

/* Does record i continue the run? A gap before it may be part of the hole only if the pack is
 * whole: in any other pack the gap may have bytes that are needed. */
static bool continues(const struct held_pack *k, const struct run *run, size_t i)
{
    return run->end != 0 && k->dead[i] && (k->whole || run->end == k->v[i].offset);
}

/* Make holes of the runs of dead records of a pack. */
static void punch_runs(struct removal *r, struct disk_file *f, const struct held_pack *k)
{
    struct run run = {0};

    for (size_t i = 0; i < k->count; i++) {
        if (!continues(k, &run, i)) {
            punch(r, f, &run);
            run = (struct run){.start = k->v[i].offset};
        }
        if (k->dead[i]) {
            run.end = k->v[i].offset + pack_record_size(k->v[i].len);
            run.fresh = run.fresh || k->dead[i] == JUST_NOW;
        }
    }
    punch(r, f, &run);
}

/* Overwrite with zeros the head of each record that this call removes. */
static int clear_heads(struct disk_file *f, const struct held_pack *k)
{
    static const uint8_t zeros[PACK_RECORD_HEAD];
    int err = 0;

    for (size_t i = 0; i < k->count && err == 0; i++)
        if (k->dead[i] == JUST_NOW)
            err = disk_pwrite(f, zeros, sizeof zeros, k->v[i].offset);
    return err;
}

/* Overwrite the heads, make the holes and sync the file. Afterwards nobody can take a removed
 * record for a record, even if the dead list is lost. */
static int destroy(struct removal *r, const struct held_pack *k)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    held_pack_name(k->number, "", name);
    uint64_t before = bytes_of(r->disk, name);
    int err = disk_open(r->disk, name, DISK_WRITE, &f);

    if (err < 0)
        return err;
    err = clear_heads(f, k);
    if (err == 0)
        punch_runs(r, f, k);
    if (err == 0)
        err = disk_sync(f);
    disk_file_close(f);
    uint64_t after = bytes_of(r->disk, name);

    r->ret->bytes += before > after ? before - after : 0;
    return err;
}

/* ---- packs ---- */

/* Can the whole pack file be removed? Not if the file has grown since it was indexed: then the pack
 * was not closed, and it has records that its index does not list. */
static bool is_spent(const struct held_pack *k, const struct disk_stat *st)
{
    return k->live == 0 && k->whole && k->size == st->size;
}

/* Remove a spent pack and count it. A pack that another node has removed already is no error. */
static int remove_pack_file(struct removal *r, const char *name, const struct disk_stat *st)
{
    int err = disk_unlink(r->disk, name);

    if (err == 0) {
        r->ret->packs++;
        r->ret->bytes += st->blocks;
    }
    return err == -ENOENT ? 0 : err;
}

/* Remove records of one pack: the whole file if nothing in it is held any more; else first the
 * records themselves, then their dead list (the order is in pool_held.h). On a disk of whole files
 * the dead list alone says that they are removed. */
static int remove_records(struct removal *r, struct held_pack *k, const char *name)
{
    struct disk_stat st = stat_of(r->disk, name);
    size_t removed = remove_dead_records(r, k);
    int err = 0;

    if (is_spent(k, &st)) {
        err = remove_pack_file(r, name, &st);
    } else if (removed > 0) {
        err = disk_is_whole(r->disk) ? 0 : destroy(r, k);
        if (err == 0)
            err = write_dead(r, k);
    }
    if (err == 0)
        set_removed_done(r, k);
    return err;
}

/* Removes the keys from one pack with an index. */
static int visit_pack(struct removal *r, uint64_t number, const struct held_numbers *dead)
{
    char name[DISK_NAME_MAX + 1];
    struct held_pack k;
    int err = held_pack_load(r->disk, number, dead, &k);

    if (err < 0)
        return err == -ENOENT ? 0 : err;
    held_pack_name(number, "", name);
    err = remove_records(r, &k, name);
    held_pack_release(&k);
    return err;
}

/* Remove the dead list and then the index of a pack if the pack itself is gone. The caller has
 * synced the directory, so the pack cannot come back after a loss of power. */
static int remove_beside(struct removal *r, uint64_t number)
{
    char name[DISK_NAME_MAX + 1];

    held_pack_name(number, "", name);
    int err = pool_file_exists(r->disk, name);

    if (err != 0)
        return err < 0 ? err : 0;
    held_pack_name(number, ".dead", name);
    err = pool_file_unlink(r->disk, name);
    held_pack_name(number, ".index", name);
    return err < 0 ? err : pool_file_unlink(r->disk, name);
}

/* Remove what is left of packs that are not listed, if they do not exist indeed. */
static void remove_leftovers(struct removal *r)
{
    struct held_beside b;

    note_error(r, held_beside_list(r->disk, &b));
    for (size_t i = 0; i < b.indexes.count; i++)
        if (!held_numbers_have(&b.packs, b.indexes.v[i]))
            note_error(r, remove_beside(r, b.indexes.v[i]));
    for (size_t i = 0; i < b.dead.count; i++)
        if (!held_numbers_have(&b.packs, b.dead.v[i]) &&
            !held_numbers_have(&b.indexes, b.dead.v[i]))
            note_error(r, remove_beside(r, b.dead.v[i]));
    held_beside_release(&b);
}

/* Remove the keys from all packs that have an index. If packs/ cannot be synced then the leftovers
 * stay: a pack that comes back after a loss of power needs its dead list. */
static void remove_from_packs(struct removal *r)
{
    struct held_beside b;
    int err = held_beside_list(r->disk, &b);

    note_error(r, err);
    for (size_t i = 0; i < b.indexes.count && err == 0; i++)
        if (held_numbers_have(&b.packs, b.indexes.v[i]))
            note_error(r, visit_pack(r, b.indexes.v[i], &b.dead));
    held_beside_release(&b);
    err = disk_sync_dir(r->disk, "packs");
    note_error(r, err);
    if (err == 0)
        remove_leftovers(r);
}

int pool_held_remove(struct disk *disk, unsigned node, const struct id *keys, size_t count,
                     uint8_t *done, struct pool_removed *ret)
{
    struct removal r = {disk, node, keys, count, done, ret, 0};

    *ret = (struct pool_removed){0};
    for (size_t i = 0; i < count && done; i++)
        done[i] = 0;
    remove_files(&r);
    remove_from_packs(&r);
    return r.err;
}
