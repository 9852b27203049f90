// SPDX-License-Identifier: Apache-2.0
/*
 * check_shards: what is on other shards: the index of ghosts, the table of their packs, their
 * bytes, and what nobody names there. Shards are only read, without a claim. What cannot be asked
 * is told once for each shard, and is no damage: nothing is concluded from it.
 */
#include "array.h"
#include "check_impl.h"
#include "shard_format.h"
#include "shards.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- which ---- */

static int get_shard(struct check *c, uint16_t number, struct check_shard **ret)
{
    for (size_t i = 0; i < c->shard_count; i++)
        if (c->shard[i].number == number) {
            *ret = &c->shard[i];
            return 0;
        }
    if (ARRAY_RESERVE(c->shard, c->shard_room, c->shard_count + 1) < 0)
        return -ENOMEM;
    *ret = &c->shard[c->shard_count++];
    **ret = (struct check_shard){.number = number};
    return 0;
}

static void where_shard(uint16_t number, char out[CHECK_WHERE])
{
    (void)snprintf(out, CHECK_WHERE, "shard %u", (unsigned)number);
}

static void where_pack(uint16_t shard, uint64_t pack, char out[CHECK_WHERE])
{
    (void)snprintf(out, CHECK_WHERE, "shard %u pack %" PRIu64, (unsigned)shard, pack);
}

/* A record that does not decode cannot be made anew: nobody else knows the URL. */
static int check_records(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_SHARDS};
    char where[CHECK_WHERE];

    while (kv_next(&e)) {
        struct shard_record r;
        struct check_shard *s;
        const uint8_t *k = e.key;
        uint16_t number;
        uint32_t life;
        if (e.klen != 2) {
            check_found(c, true, "shard", "a key", "it is %zu bytes long, not 2", e.klen);
            continue;
        }
        number = (uint16_t)(k[0] << 8 | k[1]);
        if (number == 0) { /* what is remembered of those that were removed */
            if (shard_floor_decode(e.val, e.len, &life) < 0)
                check_found(c, true, "shard", "lives", "their record is damaged");
            continue;
        }
        e.err = get_shard(c, number, &s);
        if (e.err < 0)
            break;
        s->known = true;
        where_shard(s->number, where);
        if (shard_record_decode(e.val, e.len, s->number, &r) < 0)
            check_found(c, true, "shard", where,
                        "its record is damaged; what is on it is not looked at");
    }
    return e.err;
}

int check_shards_open(struct check *c, struct kv *kv)
{
    struct shards_config config = {
        .kv = kv, .table = TABLE_SHARDS, .clock = clock_real(), .readonly = true,
        .foreign = disk_is_foreign(c->disk)};
    int err = check_records(c);

    if (err < 0 || !c->shard_count || !c->has_key)
        return err;
    memcpy(config.store, c->store, sizeof config.store);
    err = shards_open(&config, &c->shards);
    return err == -EUCLEAN ? 0 : err; /* told */
}

void check_shards_close(struct check *c)
{
    disk_file_close(c->pack); /* of one of them, perhaps */
    c->pack = NULL;
    c->pack_number = 0;
    shards_close(c->shards);
    c->shards = NULL;
    for (size_t i = 0; i < c->shard_count; i++) {
        map64_release(&c->shard[i].files);
        map64_release(&c->shard[i].records);
        map64_release(&c->shard[i].bytes);
    }
    free(c->shard);
    c->shard = NULL;
    c->shard_count = c->shard_room = 0;
}

/* ---- what is named there ---- */

int check_note_ghost(struct check *c, const struct entry *e)
{
    struct check_shard *s;
    int err = get_shard(c, e->shard, &s);

    if (err < 0 || e->where == 0)
        return err;
    if (e->kind == ENTRY_FILE)
        return map64_put(&s->files, e->where, 1);
    err = map64_add(&s->records, e->where, 1, NULL);
    return err < 0 ? err : map64_add(&s->bytes, e->where, (int64_t)e->size, NULL);
}

static struct fix fix_index(struct check *c, uint64_t number, const struct entry *e)
{
    uint8_t key[8], val[GHOST_ROW_LEN];

    put_be64(key, number);
    if (!e)
        return fix_del(TABLE_GHOSTS, key, sizeof key);
    ghost_row_encode(&(struct ghost_row){.shard = e->shard, .size = e->size}, val);
    return fix_put(c, TABLE_GHOSTS, key, sizeof key, val, sizeof val);
}

static bool row_fits(const void *val, size_t len, const struct entry *e)
{
    struct ghost_row row;

    return ghost_row_decode(val, len, &row) == 0 && row.shard == e->shard && row.size == e->size;
}

int check_ghost_entry(struct check *c, uint64_t number, const struct entry *e)
{
    char where[CHECK_WHERE];
    struct check_shard *s;
    const void *val;
    struct fix f;
    size_t len;
    int err = kv_snap_get_number(c->snap, TABLE_GHOSTS, number, &val, &len);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    check_where(e, number, where);
    if (err < 0 || !row_fits(val, len, e)) {
        check_found(c, true, "ghost", where, "%s",
                    err == -ENOENT ? "the index of ghosts does not know it"
                                   : "the index of ghosts says something else");
        f = fix_index(c, number, e);
        check_fix(c, &f, "ghost", where, "the index says shard %u and its size",
                  (unsigned)e->shard);
    }
    err = get_shard(c, e->shard, &s);
    if (err < 0)
        return err;
    s->ghosts++;
    if (!s->known)
        check_found(c, true, "object", where, "it is on shard %u, which the store does not know",
                    (unsigned)e->shard);
    return check_note_ghost(c, e);
}

static int check_index(struct check *c, uint64_t number, const void *val, size_t len)
{
    char where[CHECK_WHERE];
    struct entry e;
    struct fix f;
    int err = refs_entry_in(c->snap, TABLE_OBJECTS, number, &e);

    (void)val;
    (void)len;
    if (err == -EUCLEAN || (err == 0 && entry_is_ghost(&e)))
        return 0; /* told, or compared */
    if (err < 0 && err != -ENOENT)
        return err;
    check_where_number("object number", number, where);
    check_found(c, true, "ghost", where, "the index of ghosts knows it, but it is none");
    f = fix_index(c, number, NULL);
    check_fix(c, &f, "ghost", where, "the index does not know it");
    return 0;
}

/* ---- the table of packs ---- */

static void fix_row(struct check *c, const uint8_t key[10], const struct pack_entry *was,
                    const struct pack_entry *now, const char *where)
{
    uint8_t val[PACK_ENTRY_LEN];
    struct fix f;

    if ((c->unknown || c->missing.count) &&
        (was->live_records > now->live_records || was->live_bytes > now->live_bytes))
        return;
    pack_entry_encode(now, val);
    f = fix_put(c, TABLE_SHARD_PACKS, key, 10, val, sizeof val);
    check_fix(c, &f, "pack", where,
              "its table entry says %" PRIu32 " live records of %" PRIu64 " bytes",
              now->live_records, now->live_bytes);
}

/* How long the file is nobody has to be asked for: at least this. */
static uint64_t least_bytes(uint64_t records, uint64_t bytes)
{
    return PACK_FILE_HEAD + records * PACK_RECORD_HEAD + bytes;
}

static void check_row(struct check *c, const struct check_shard *s, const uint8_t key[10],
                      const void *val, size_t len)
{
    uint64_t number = get_be64(key + 2), records = 0, bytes = 0;
    struct pack_entry was = {0}, now;
    char where[CHECK_WHERE];
    bool decodes = pack_entry_decode(val, len, &was) == 0;

    (void)map64_get(&s->records, number, &records);
    (void)map64_get(&s->bytes, number, &bytes);
    where_pack(s->number, number, where);
    if (decodes && records == was.live_records && bytes == was.live_bytes)
        return;
    if (!decodes)
        check_found(c, true, "pack", where, "its table entry does not decode");
    else
        check_found(c, true, "pack", where,
                    "its table entry says %" PRIu32 " live records of %" PRIu64
                    " bytes, the objects say %" PRIu64 " of %" PRIu64,
                    was.live_records, was.live_bytes, records, bytes);
    now = (struct pack_entry){(uint32_t)records, bytes, was.file_bytes};
    if (now.file_bytes < least_bytes(records, bytes))
        now.file_bytes = least_bytes(records, bytes);
    fix_row(c, key, &was, &now, where);
}

static int check_rows(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_SHARD_PACKS};

    while (kv_next(&e)) {
        const uint8_t *k = e.key;
        struct check_shard *s;
        if (e.klen != 10) {
            check_found(c, true, "pack", "a key", "it is %zu bytes long, not 10", e.klen);
            continue;
        }
        e.err = get_shard(c, (uint16_t)(k[0] << 8 | k[1]), &s);
        if (e.err == 0)
            check_row(c, s, k, e.val, e.len);
    }
    return e.err;
}

static int check_named_rows(struct check *c, const struct check_shard *s)
{
    uint64_t number, records, bytes;
    size_t at = 0, len;
    const void *val;
    uint8_t key[10] = {(uint8_t)(s->number >> 8), (uint8_t)s->number};
    char where[CHECK_WHERE];

    while (map64_next(&s->records, &at, &number, &records)) {
        put_be64(key + 2, number);
        int err = kv_snap_get(c->snap, TABLE_SHARD_PACKS, key, sizeof key, &val, &len);
        if (err == 0 || err == -EUCLEAN) /* check_row told of it */
            continue;
        if (err != -ENOENT)
            return err;
        bytes = 0;
        (void)map64_get(&s->bytes, number, &bytes);
        where_pack(s->number, number, where);
        check_found(c, true, "pack", where,
                    "%" PRIu64 " records in it are named, but it is not in the table", records);
        fix_row(c, key, &(struct pack_entry){0},
                &(struct pack_entry){(uint32_t)records, bytes, least_bytes(records, bytes)}, where);
    }
    return 0;
}

/* ---- bytes ---- */

/* Is it there, and as long as it should be? 1: it is not, which was told. */
static int ask(struct check *c, struct shard *shard, const struct entry *e)
{
    char name[DISK_NAME_MAX + 1], where[CHECK_WHERE];
    uint64_t size, want = e->size;
    int err;

    if (e->kind == ENTRY_FILE) {
        blob_object_name(&e->id, e->where, name);
    } else {
        pack_name(e->where, name);
        want = e->offset + pack_record_size((uint32_t)e->size);
    }
    err = shard_stat(shard, name, &size);
    if (err == 0 && (e->kind == ENTRY_FILE ? size == want : size >= want))
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

static int look(struct check *c, struct check_shard *s, const struct entry *e)
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

int check_ghost_bytes(struct check *c, const struct entry *e)
{
    struct check_shard *s;
    int err = get_shard(c, e->shard, &s);

    if (err == 0)
        err = look(c, s, e);
    if (err == -EHOSTUNREACH || err == -EROFS || err == -EACCES || err == -ENXIO) {
        s->unasked++;
        c->unasked++;
        err = 0;
    }
    return err;
}

static void say_unasked(struct check *c, const struct check_shard *s)
{
    struct shards_info info = {.why = ""};
    char where[CHECK_WHERE];

    if (!s->unasked && !s->listing)
        return;
    if (c->shards)
        (void)shards_info_get(c->shards, s->number, &info);
    where_shard(s->number, where);
    if (s->unasked)
        check_found(c, false, "note", where, "%" PRIu64 " objects on it were not checked%s%s",
                    s->unasked, *info.why ? ": " : "", info.why);
    else
        check_found(c, false, "note", where, "it was not looked through for leaks%s%s",
                    *info.why ? ": " : "", info.why);
}

/* ---- what nobody names ---- */

struct listing {
    struct check *c;
    struct check_shard *s;
};

static void leak(const struct listing *l, const char *name, const char *why)
{
    char where[CHECK_WHERE];

    (void)snprintf(where, sizeof where, "shard %u %.120s", (unsigned)l->s->number, name);
    check_found(l->c, false, "leak", where, "%s", why);
}

static int list_name(const char *name, uint64_t size, void *ctx)
{
    const struct listing *l = ctx;
    const struct map64 *named = &l->s->files;
    char file[DISK_NAME_MAX + 1], want[DISK_NAME_MAX + 1];
    uint64_t number = 0, none;
    const char *base;
    struct id id;

    (void)size;
    if (strlen(name) > DISK_NAME_MAX) {
        leak(l, name, "it is no file of the store");
        return 0;
    }
    (void)blob_strip_sums(name, file);
    base = strrchr(file, '/');
    *want = 0;
    if (base && blob_parse_object(base + 1, &id, &number) == 0) {
        blob_object_name(&id, number, want);
    } else if (base && pack_parse_name(base + 1, &number) == 0) {
        named = &l->s->records;
        pack_name(number, want);
    }
    if (strcmp(want, file) != 0)
        leak(l, name, "it is no file of the store");
    else if (!map64_get(named, number, &none))
        leak(l, name, "nothing names it; a GC cycle removes it");
    return 0;
}

static int list_shard(struct check *c, struct check_shard *s)
{
    struct listing l = {c, s};
    struct shard *shard;
    int err = s->known && c->shards ? shards_get(c->shards, s->number, SHARDS_READ, &shard, NULL)
                                    : -EHOSTUNREACH;

    if (err == 0) {
        err = shard_list(shard, "packs", list_name, &l);
        if (err == 0)
            err = shard_list(shard, "objects", list_name, &l);
        if (err < 0)
            err = shards_said(c->shards, s->number, err);
        shards_put_back(c->shards, s->number);
    }
    s->listing = err;
    say_unasked(c, s);
    return err == -ENOMEM ? err : 0;
}

int check_shards(struct check *c)
{
    int err = check_each(c, TABLE_GHOSTS, "ghost", check_index);

    if (err == 0)
        err = check_rows(c);
    for (size_t i = 0; i < c->shard_count && err == 0; i++)
        err = check_named_rows(c, &c->shard[i]);
    for (size_t i = 0; i < c->shard_count && err == 0; i++)
        err = list_shard(c, &c->shard[i]);
    return err;
}
