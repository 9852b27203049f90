// SPDX-License-Identifier: Apache-2.0
/*
 * check_bytes: the bytes that the tables name: pack records, object files, slots. All files are
 * read through the disk. The parts of a store that usually open them are not used, because opening
 * these would correct and delete things.
 */
#include "check_impl.h"
#include "io.h"
#include "pool_held.h"
#include "shards.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool check_id_fits(const struct check *c, const struct id *id, struct id hash)
{
    return !c->has_key || id_fits(&c->key, id, &hash);
}

/* ---- packs ---- */

/* The pack that was read last stays open. Objects lie in packs in the order of their numbers, so
 * the next one is mostly in the same pack. A pack that does not exist is remembered, too. */
int check_open_pack(struct check *c, uint64_t number)
{
    char name[DISK_NAME_MAX + 1];
    int err;

    if (c->pack_number == number && c->pack_shard == c->from_shard)
        return c->pack ? 0 : -ENOENT;
    disk_file_close(c->pack);
    c->pack = NULL;
    c->pack_number = number;
    c->pack_shard = c->from_shard;
    pack_name(number, name);
    err = disk_open(c->from, name, DISK_READ, &c->pack);
    if (err < 0)
        c->pack = NULL;
    if (err < 0 && err != -ENOENT) /* the pack may exist all the same */
        c->pack_number = 0;
    return err;
}

int check_read_dead(const struct pool_member *pool, uint16_t shard, uint64_t number,
                    struct pool_dead *ret)
{
    *ret = (struct pool_dead){0};
    return pool && shard == 0 && disk_is_whole(pool->disk) ? pool_dead_read(pool->disk, number, ret)
                                                           : 0;
}

/* Has the pool removed the record? It reads which ones it has removed once for each pack. */
static int is_removed(struct check *c, const struct entry *e)
{
    int err = 0;

    if (c->dead_number != e->where || e->shard) {
        pool_dead_release(&c->dead);
        c->dead_number = 0;
        err = check_read_dead(c->o->pool, e->shard, e->where, &c->dead);
    }
    if (err == 0 && e->shard == 0)
        c->dead_number = e->where;
    return err < 0 ? err : pool_dead_has(&c->dead, e->offset);
}

/* The text "shard N " for an object on another shard, otherwise "". */
static const char *shard_prefix(const struct entry *e, char out[16])
{
    *out = 0;
    if (e->shard)
        (void)snprintf(out, 16, "shard %u ", (unsigned)e->shard);
    return out;
}

/* Verify a record of a pack: its head, its checksum, and its id. Findings are reported and give
 * 0. */
static int check_record(struct check *c, const struct entry *e)
{
    struct pack_place place = pack_place_of(e);
    char hex[ID_HEX + 1], where[CHECK_WHERE], prefix[16];
    struct id hash;
    int err = e->size <= PACK_RECORD_MAX ? check_open_pack(c, e->where) : -EUCLEAN;
    int removed = err == 0 ? is_removed(c, e) : 0;

    if (removed < 0)
        err = removed;
    if (err == 0)
        err = packs_check_record(c->pack, &place, &e->id, c->buf, (uint32_t)e->size);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN && err != -EIO && err != -EPROTO)
        return err;
    id_to_hex(&e->id, hex);
    (void)snprintf(where, sizeof where, "%s%s pack %" PRIu64 " offset %" PRIu32,
                   shard_prefix(e, prefix), hex, e->where, e->offset);
    if (err == 0) {
        id_of(&c->key, c->buf, e->size, &hash);
        c->r.bytes += e->size;
    }
    if (err == -EPROTO) {
        c->r.unasked++;
        check_found(c, false, "pack record", where,
                    "it is " OBJECTS_COMPRESSED ", so it was not checked");
    } else if (err < 0)
        check_found(c, true, "pack record", where, "%s",
                    err == -ENOENT ? "its pack does not exist"
                    : err == -EIO  ? "it cannot be read"
                                   : "the record is damaged");
    else if (!check_id_fits(c, &e->id, hash))
        check_found(c, true, "pack record", where, "its bytes are not those of its id");
    else if (removed == 1)
        check_found(c, true, "pack record", where,
                    "the pool has removed it, and its bytes go with its pack");
    return 0;
}

/* ---- files with block checksums ---- */

/* A file that is verified block by block: an object file or a slot. */
struct blocks {
    struct check *c;
    const char *what;
    const char *where; /* names the whole file in a finding */
    struct disk_file *file;
    struct sums sums;
    struct id_stream *stream; /* hashes the bytes; NULL: the file has no id */
    uint64_t bad;             /* blocks */
};

/* Report a damaged block, and count it. */
static void bad_block(struct blocks *b, size_t index, const char *why)
{
    char where[CHECK_WHERE + 32];

    (void)snprintf(where, sizeof where, "%s block %zu", b->where, index);
    check_found(b->c, true, b->what, where, "%s", why);
    b->bad++;
}

/* Read one block and compare it with its checksum. */
static int check_block(struct blocks *b, size_t index)
{
    struct check *c = b->c;
    uint64_t off = (uint64_t)index * SUMS_BLOCK, left = b->sums.length - off;
    size_t len = left < SUMS_BLOCK ? (size_t)left : SUMS_BLOCK;
    ssize_t n = disk_pread(b->file, c->buf, len, off);

    if (n < 0 && n != -EIO)
        return (int)n;
    if (n < 0)
        bad_block(b, index, "it cannot be read");
    else if ((size_t)n < len)
        bad_block(b, index, "the file ends before it");
    else if (sums_verify(&b->sums, index, c->buf, len) < 0)
        bad_block(b, index, "its bytes do not match their checksum");
    check_advance(c, len);
    return b->stream && !b->bad ? id_stream_add(b->stream, c->buf, len) : 0;
}

static int check_blocks(struct blocks *b)
{
    int err = 0;

    for (size_t i = 0; i < b->sums.count && err == 0; i++)
        err = check_block(b, i);
    return err;
}

/* ---- object files ---- */

/* Check all blocks. If they are sound, their hash must be that of the id. */
static int check_file_id(struct blocks *b, const struct entry *e)
{
    struct id hash;
    int err = id_stream_create(&b->c->key, &b->stream);

    if (err == 0)
        err = check_blocks(b);
    if (err == 0 && !b->bad) {
        id_stream_end(b->stream, &hash);
        b->c->r.bytes += e->size;
        if (!check_id_fits(b->c, &e->id, hash))
            check_found(b->c, true, b->what, b->where, "its bytes are not those of its id");
    }
    id_stream_destroy(b->stream);
    return err;
}

/* Check size, checksums and blocks of an open object file. Findings are reported and give 0. */
static int check_open_file(struct blocks *b, const struct entry *e, const char *name)
{
    struct disk_stat st;
    int err = disk_fstat(b->file, &st);

    if (err < 0)
        return err;
    if (st.size != e->size) {
        check_found(b->c, true, b->what, b->where,
                    "its file has %" PRIu64 " bytes instead of %" PRIu64, st.size, e->size);
        return 0;
    }
    err = sums_load(b->c->from, name, &b->sums);
    if (err == 0 && b->sums.length != e->size)
        err = -EUCLEAN;
    if (err == -ENOENT || err == -EUCLEAN || err == -EIO) {
        check_found(b->c, true, b->what, b->where, "its checksums are %s",
                    err == -ENOENT ? "missing" : "damaged");
        return 0;
    }
    return err < 0 ? err : check_file_id(b, e);
}

/* Check the file of a sealed object. Findings are reported and give 0. */
static int check_file(struct check *c, const struct entry *e)
{
    char hex[ID_HEX + 1], name[DISK_NAME_MAX + 1], where[CHECK_WHERE], prefix[16];
    struct blocks b = {.c = c, .what = "object block", .where = where, .sums = SUMS_INIT};
    int err;

    id_to_hex(&e->id, hex);
    (void)snprintf(where, sizeof where, "%s%s", shard_prefix(e, prefix), hex);
    blob_object_name(&e->id, e->where, name);
    err = disk_open(c->from, name, DISK_READ, &b.file);
    if (err == -ENOENT || err == -EIO) {
        check_found(c, true, b.what, where, "its file %s",
                    err == -ENOENT ? "does not exist" : "cannot be opened");
        return 0;
    }
    if (err < 0)
        return err;
    err = check_open_file(&b, e, name);
    sums_release(&b.sums);
    disk_file_close(b.file);
    return err;
}

/* ---- slots ---- */

/* Check an open slot. Its checksums are valid only if they are of the slot's length: otherwise the
 * slot was written after its last sync, and cannot be verified. A power loss during a sync that no
 * commit relies on may leave damaged checksums, so these are only a note. */
static int check_open_slot(struct blocks *b, const char *name, uint64_t size)
{
    struct disk_stat st;
    int err = disk_fstat(b->file, &st);

    if (err < 0)
        return err;
    if (st.size < size) {
        check_found(b->c, true, b->what, b->where,
                    "its file has %" PRIu64 " bytes instead of %" PRIu64, st.size, size);
        return 0;
    }
    err = sums_load(b->c->disk, name, &b->sums);
    if (err == -EUCLEAN) {
        check_found(b->c, false, "note", b->where,
                    "its checksums are damaged, so its bytes could not be verified");
        return 0;
    }
    if (err < 0 || b->sums.length != size)
        return err == -ENOENT ? 0 : err;
    return check_blocks(b);
}

/* Check the slot of an unsealed object. Findings are reported and give 0. */
static int check_slot(struct check *c, uint64_t number, uint64_t size)
{
    char where[CHECK_WHERE], name[DISK_NAME_MAX + 1];
    struct blocks b = {.c = c, .what = "slot", .where = where, .sums = SUMS_INIT};
    int err;

    (void)snprintf(where, sizeof where, "slot %" PRIu64, number);
    blob_slot_name(number, name);
    err = disk_open(c->disk, name, DISK_READ, &b.file);
    if (err == -ENOENT) {
        check_found(c, true, b.what, where, "its file does not exist");
        return 0;
    }
    if (err < 0)
        return err;
    err = check_open_slot(&b, name, size);
    sums_release(&b.sums);
    disk_file_close(b.file);
    return err;
}

/* The bytes of a sealed entry, wherever they are. */
static int check_sealed_bytes(struct check *c, struct disk *from, const struct entry *e)
{
    int err;

    c->from = from;
    c->from_shard = e->shard;
    err = e->kind == ENTRY_FILE ? check_file(c, e) : check_record(c, e);
    if (e->kind == ENTRY_PACK)
        check_advance(c, e->size);
    c->from = c->disk;
    c->from_shard = 0;
    return err;
}

/* Check an object whose bytes could not be sealed: a row of a table has them. */
static int check_held(struct check *c, uint64_t number, uint64_t size)
{
    char where[CHECK_WHERE];
    const void *val;
    size_t len;
    int err;

    check_where_number("object number", number, where);
    err = kv_snap_get_number(c->snap, TABLE_UNSEALED, number, &val, &len);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    if (err < 0)
        check_found(c, true, "held", where, "its bytes in the metadata are %s",
                    err == -ENOENT ? "missing" : "damaged");
    else if (len != size)
        check_found(c, true, "held", where, "the metadata has %zu bytes of it instead of %" PRIu64,
                    len, size);
    return 0;
}

/* Is the ghost's file on its shard, and long enough? 1: it is not, and that was reported. */
static int ask(struct check *c, struct shard *shard, const struct entry *e)
{
    char name[DISK_NAME_MAX + 1], where[CHECK_WHERE];
    uint64_t size;
    int err;

    objects_file_name(e, 0, name);
    err = shard_stat(shard, name, &size);
    if (err == 0 && (e->kind == ENTRY_FILE ? size == e->size : objects_pack_has(size, e)))
        return 0;
    if (err < 0)
        err = shards_said(c->shards, e->shard, err);
    if (err < 0 && err != -ENOENT)
        return err;
    check_where(e, 0, where);
    check_found(c, true, "object", where,
                err == -ENOENT ? "shard %u does not have %s" : "on shard %u, %s is too short",
                (unsigned)e->shard, name);
    return 1;
}

/* Check a ghost's bytes on its shard: that they exist, and with all_bytes that they are sound. */
static int check_entry(struct check *c, struct check_shard *s, const struct entry *e)
{
    struct shard *shard;
    struct disk *disk;
    int err = c->shards && s->known ? shards_get(c->shards, e->shard, SHARDS_READ, &shard, &disk)
                                    : -EHOSTUNREACH;

    if (err < 0)
        return err;
    err = ask(c, shard, e);
    if (err == 0 && c->o->all_bytes)
        err = check_sealed_bytes(c, disk, e);
    shards_put_back(c->shards, e->shard);
    return err < 0 ? err : 0;
}

/* Check a ghost's bytes. The error may be that its shard cannot be asked (unless_unasked). */
static int check_ghost_bytes(struct check *c, const struct entry *e)
{
    struct check_shard *s;
    int err = check_get_shard(c, e->shard, &s);

    return err < 0 ? err : check_entry(c, s, e);
}

/* Count a ghost whose shard cannot be asked: that is no error of the check. */
static int unless_unasked(struct check *c, const struct entry *e, int err)
{
    struct check_shard *s;

    if (err != -EHOSTUNREACH && err != -EROFS && err != -EACCES && err != -ENXIO)
        return err;
    err = check_get_shard(c, e->shard, &s);
    if (err < 0)
        return err;
    s->unasked++;
    c->r.unasked++;
    return 0;
}

/* Check the bytes of an entry, wherever it says that they are. */
static int check_place(struct check *c, uint64_t number, const struct entry *e)
{
    if (e->kind == ENTRY_SLOT)
        return check_slot(c, number, e->size);
    if (e->kind == ENTRY_HELD)
        return check_held(c, number, e->size);
    if (!entry_is_sealed(e))
        return 0;
    return e->shard ? check_ghost_bytes(c, e) : check_sealed_bytes(c, c->disk, e);
}

/* Drops a finding. */
static void say_nothing(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)what;
    (void)where;
    (void)sentence;
    (void)ctx;
}

int check_quietly_on(struct check *c, struct disk *from, uint64_t number, const struct entry *e)
{
    static const struct check_options silent = {.found = say_nothing, .all_bytes = true};
    const struct check_options *o = c->o;
    struct check_result r = c->r;
    int err;

    c->o = &silent;
    err = from == c->disk ? check_place(c, number, e) : check_sealed_bytes(c, from, e);
    if (err == 0 ? c->r.problems != r.problems || c->r.unasked != r.unasked : !io_is_short(err))
        err = -EUCLEAN;
    c->o = o;
    c->r = r;
    return err;
}

int check_quietly(struct check *c, uint64_t number, const struct entry *e)
{
    return check_quietly_on(c, c->disk, number, e);
}

/* Check the bytes of one row of the table of objects. An object with a finding is noted in `bad`,
 * so that the files that use it are reported. */
static int check_object_bytes(struct check *c, uint64_t number, const void *val, size_t len)
{
    uint64_t before = c->r.problems, none;
    struct entry e;
    int err;

    if (c->only && !map64_get(c->only, number, &none))
        return 0;
    if (entry_decode(val, len, &e) < 0)
        return 0; /* reported */
    err = check_place(c, number, &e);
    if (entry_is_ghost(&e))
        err = unless_unasked(c, &e, err);
    return err < 0 || c->r.problems == before ? err : map64_put(&c->bad, number, number);
}

int check_bytes(struct check *c)
{
    if (!c->buf)
        c->buf = malloc(PACK_RECORD_MAX);
    return c->buf ? check_each(c, TABLE_OBJECTS, "object", check_object_bytes) : -ENOMEM;
}
