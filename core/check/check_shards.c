// SPDX-License-Identifier: Apache-2.0
/*
 * check_shards: other shards: which there are, and the index of ghosts. Shards are only read,
 * without a claim. A shard that cannot be asked is reported once. That is no damage, and nothing is
 * concluded from it.
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

int check_get_shard(struct check *c, uint16_t number, struct check_shard **ret)
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

/* The text "shard N". */
static void where_shard(uint16_t number, char out[CHECK_WHERE])
{
    (void)snprintf(out, CHECK_WHERE, "shard %u", (unsigned)number);
}

/* Collect the shards that the table knows. A damaged record cannot be repaired, since the URL is
 * stored nowhere else. */
static int check_records(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_SHARDS};
    char where[CHECK_WHERE];

    while (kv_next(&e)) {
        struct shard_record r;
        struct check_shard *s;
        const uint8_t *k = e.key;
        uint16_t number;
        uint32_t incarnation;
        if (e.klen != 2) {
            check_found(c, true, "shard", "a key", "it is %zu bytes long, not 2", e.klen);
            continue;
        }
        number = (uint16_t)(k[0] << 8 | k[1]);
        if (number == 0) { /* the row of shard 0: the highest incarnation of shards that were
                            * removed */
            if (shard_floor_decode(e.val, e.len, &incarnation) < 0)
                check_found(c, true, "shard", "lives", "their record is damaged");
            continue;
        }
        e.err = check_get_shard(c, number, &s);
        if (e.err < 0)
            break;
        s->known = true;
        where_shard(s->number, where);
        if (shard_record_decode(e.val, e.len, s->number, &r) < 0)
            check_found(c, true, "shard", where,
                        "its record is damaged; what is on it is not looked at");
        else
            s->archive = r.archive;
    }
    return e.err;
}

int check_shards_open(struct check *c, struct kv *kv)
{
    struct shards_config config = {.kv = kv,
                                   .table = TABLE_SHARDS,
                                   .clock = clock_real(),
                                   .readonly = true,
                                   .foreign = disk_is_foreign(c->disk)};
    int err = check_records(c);

    if (err < 0 || !c->shard_count || !c->has_key)
        return err;
    memcpy(config.store, c->store, sizeof config.store);
    err = shards_open(&config, &c->shards);
    return err == -EUCLEAN ? 0 : err; /* check_records has reported it */
}

/* Free the maps of a shard. */
static void release(struct check_shard *s)
{
    map64_release(&s->files);
    map64_release(&s->records);
    map64_release(&s->bytes);
}

void check_shards_close(struct check *c)
{
    disk_file_close(c->pack); /* it may be a pack of a shard that is closed now */
    c->pack = NULL;
    c->pack_number = 0;
    shards_close(c->shards);
    c->shards = NULL;
    release(&c->home);
    for (size_t i = 0; i < c->shard_count; i++)
        release(&c->shard[i]);
    free(c->shard);
    c->shard = NULL;
    c->shard_count = c->shard_room = 0;
}

/* ---- what is named there ---- */

int check_note_place(struct check *c, const struct entry *e)
{
    struct check_shard *s = &c->home;
    int err = e->shard ? check_get_shard(c, e->shard, &s) : 0;

    if (err < 0 || e->where == 0)
        return err;
    if (e->kind == ENTRY_FILE)
        return map64_put(&s->files, e->where, 1);
    err = map64_add(&s->records, e->where, 1, NULL);
    return err < 0 ? err : map64_add(&s->bytes, e->where, (int64_t)entry_payload(e), NULL);
}

/* The row of a ghost in the index, or (`e` NULL) its removal. */
static struct fix fix_index(struct check *c, uint64_t number, const struct entry *e)
{
    uint8_t key[8], val[GHOST_ROW_LEN];

    put_be64(key, number);
    if (!e)
        return fix_del(TABLE_GHOSTS, key, sizeof key);
    ghost_row_encode(&(struct ghost_row){.shard = e->shard, .size = e->size}, val);
    return fix_put(c, TABLE_GHOSTS, key, sizeof key, val, sizeof val);
}

/* Does the row of the index say the same as the entry? */
static bool row_fits(const void *val, size_t len, const struct entry *e)
{
    struct ghost_row row;

    return ghost_row_decode(val, len, &row) == 0 && row.shard == e->shard && row.size == e->size;
}

/* Check the entry of a ghost against its row in the index of ghosts, note its place, and report a
 * shard that the store does not know. */
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
    err = check_get_shard(c, e->shard, &s);
    if (err < 0)
        return err;
    s->ghosts++;
    if (!s->known)
        check_found(c, true, "object", where, "it is on shard %u, which the store does not know",
                    (unsigned)e->shard);
    return check_note_place(c, e);
}

/* Check a row of the index of ghosts: its object must be a ghost. */
static int check_index(struct check *c, uint64_t number, const void *val, size_t len)
{
    char where[CHECK_WHERE];
    struct entry e;
    struct fix f;
    int err = refs_entry_in(c->snap, TABLE_OBJECTS, number, &e);

    (void)val;
    (void)len;
    if (err == -EUCLEAN || (err == 0 && entry_is_ghost(&e)))
        return 0; /* the damage is reported, or check_ghost_entry has compared them */
    if (err < 0 && err != -ENOENT)
        return err;
    check_where_number("object number", number, where);
    check_found(c, true, "ghost", where, "the index of ghosts knows it, but it is none");
    f = fix_index(c, number, NULL);
    check_fix(c, &f, "ghost", where, "the index does not know it");
    return 0;
}

/* ---- what could not be looked at ---- */

void check_say_unasked(struct check *c, const struct check_shard *s)
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

int check_ghosts(struct check *c)
{
    return check_each(c, TABLE_GHOSTS, "ghost", check_index);
}
