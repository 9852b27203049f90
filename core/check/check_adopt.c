// SPDX-License-Identifier: Apache-2.0
/*
 * check_adopt: looks for the bytes of object numbers that are named, but have no entry in the table
 * (or one that does not decode, or one without bytes). It looks in this order, and takes only bytes
 * that are sound:
 *
 *   the dying record   of that number says where they are
 *   a slot             its name is the number
 *   an object file     its name ends in the number, and begins with the id; or the index leads from
 *                      that id to the number
 *   a pack record      the index leads from its id to the number
 *   on another shard   likewise, if the index of ghosts says that the object was there
 *
 * Bytes are not adopted if the index gives their id to another object: of two objects with one id
 * it is unknown which is meant. A repair also leaves out a place that the record of another number
 * among the dying names; in a store that is open restore.c knows what is being deleted.
 */
#include "array.h"
#include "check_impl.h"
#include "check_search.h"
#include "io.h"
#include "shards.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A missing number to which the index leads from an id. */
struct wanted {
    struct id id;
    uint64_t number;
};

/* One search. */
struct adopting {
    struct check *c;
    struct kv *kv; /* of a mounted store; NULL: c->snap is open during the whole search */
    check_found_fn *fn;
    void *ctx;
    struct map64 done;     /* numbers that have been found */
    struct wanted *wanted; /* ascending by id */
    size_t count, room;
    uint16_t shard;        /* the shard that is searched now; 0: home */
    struct disk *disk;     /* the disk of that shard, or of home */
    struct pool_dead dead; /* what the pool has removed from the pack that is searched now */
    int err;               /* the error that ends the search; 0: none */
};

/* Opens c->snap for a few reads, and closes it. If it were open while bytes are read, which may
 * take hours, the commits of a mounted store could not use freed pages of the tables again. False:
 * an error ends the search. */
static bool tables_begin(struct adopting *a)
{
    if (a->kv && a->err == 0)
        a->err = kv_snap_begin(a->kv, &a->c->snap);
    return a->err == 0;
}
static void tables_end(struct adopting *a)
{
    if (!a->kv)
        return;
    kv_snap_end(a->c->snap);
    a->c->snap = NULL;
}

/* Is the number missing, and not found yet? *ret_refs: the references that exist. */
static bool is_wanted(const struct adopting *a, uint64_t number, uint64_t *ret_refs)
{
    uint64_t none;

    return map64_get(&a->c->missing, number, ret_refs) && *ret_refs <= UINT32_MAX &&
           !map64_get(&a->done, number, &none);
}

/* Does the index give the id to another object? True if its row, or that object, cannot be read. A
 * row of the wrong length gives the id to nothing. */
static bool id_is_taken(struct check *c, uint64_t number, const struct id *id)
{
    struct entry other;
    const void *val;
    size_t len;
    uint64_t leads_to;
    int err = kv_snap_get(c->snap, TABLE_IDS, id->b, ID_LEN, &val, &len);

    if (err < 0 || len != 8)
        return err < 0 && err != -ENOENT; /* an index that cannot be read may lead elsewhere */
    leads_to = get_be64(val);
    if (!leads_to || leads_to == number)
        return false;
    err = refs_entry_in(c->snap, TABLE_OBJECTS, leads_to, &other);
    return err == -ENOENT ? false : err < 0 || id_equal(&other.id, id);
}

/* As id_is_taken, for a found place. */
static bool is_taken(struct adopting *a, uint64_t number, const struct entry *e)
{
    bool taken = !tables_begin(a) || id_is_taken(a->c, number, &e->id);

    tables_end(a);
    return taken;
}

/* Hand a found place to the caller of the search, unless its id is taken. */
static void adopt(struct adopting *a, uint64_t number, const struct entry *e, const char *from)
{
    if (entry_is_sealed(e) && is_taken(a, number, e))
        return;
    a->err = map64_put(&a->done, number, 1);
    if (a->err == 0)
        a->err = a->fn(number, e, from, a->ctx);
    if (a->err > 0) { /* the caller refused this place: look on for another one */
        (void)map64_del(&a->done, number);
        a->err = 0;
    }
}

/* Did a read succeed? An error of damage only means that nothing is found there. A shortage ends
 * the search, since what could not be opened may be the missing bytes. */
static bool looked(struct adopting *a, int err)
{
    if (io_is_short(err))
        a->err = err;
    return err >= 0;
}

/* The record among the dying is a copy of the lost entry. It is used only if it names bytes that
 * are there and sound. */
static void adopt_dying(struct adopting *a, uint64_t number, uint64_t refs)
{
    struct entry e;

    if (!looked(a, refs_entry_in(a->c->snap, TABLE_DYING, number, &e)) || e.kind == ENTRY_NONE ||
        e.kind == ENTRY_NEW || e.kind == ENTRY_ALIAS)
        return;
    e.count = (uint32_t)refs;
    if (looked(a, check_quietly(a->c, number, &e)))
        adopt(a, number, &e, "where its record among the dying says");
}

/* The slot of that number: its length is that of its checksums. Without valid checksums the whole
 * file is taken, and cannot be verified. */
static void adopt_slot(struct adopting *a, uint64_t number, uint64_t refs)
{
    struct entry e = {.kind = ENTRY_SLOT, .count = (uint32_t)refs};
    struct sums sums = SUMS_INIT;
    struct disk_file *file;
    struct disk_stat st;
    char name[DISK_NAME_MAX + 1];

    blob_slot_name(number, name);
    if (!looked(a, disk_open(a->c->disk, name, DISK_READ, &file)))
        return; /* the number had no slot */
    if (looked(a, disk_fstat(file, &st)) && st.size > 0) {
        bool summed = looked(a, sums_load(a->c->disk, name, &sums)) && sums.length <= st.size;
        e.size = summed ? sums.length : st.size;
        if (a->err == 0 && looked(a, check_quietly(a->c, number, &e)))
            adopt(a, number, &e, "in the slot of that number");
    }
    sums_release(&sums);
    disk_file_close(file);
}

/* A row of the table of unsealed bytes has the number as its key. */
static void adopt_held(struct adopting *a, uint64_t number, uint64_t refs)
{
    struct entry e = {.kind = ENTRY_HELD, .count = (uint32_t)refs};
    const void *val;
    size_t len;
    bool held = tables_begin(a) &&
                looked(a, kv_snap_get_number(a->c->snap, TABLE_UNSEALED, number, &val, &len));

    tables_end(a);
    if (!held)
        return;
    e.size = len;
    adopt(a, number, &e, "in the table of what could not be sealed");
}

/* ---- by id ---- */

/* Note that the index leads from this id to a missing number. */
static int want_id(struct adopting *a, const void *key, uint64_t number)
{
    uint64_t refs;

    if (!is_wanted(a, number, &refs))
        return 0;
    if (ARRAY_RESERVE(a->wanted, a->room, a->count + 1) < 0)
        return -ENOMEM;
    memcpy(a->wanted[a->count].id.b, key, ID_LEN);
    a->wanted[a->count++].number = number;
    return 0;
}

/* Collect the ids of all wanted numbers, sorted, since the index is in the order of ids. */
static int want_ids(struct adopting *a)
{
    struct kv_each e = {.table = TABLE_IDS};

    if (!tables_begin(a))
        return a->err;
    e.snap = a->c->snap;
    while (kv_next(&e))
        if (e.klen == ID_LEN && e.len == 8)
            e.err = want_id(a, e.key, get_be64(e.val));
    tables_end(a);
    return e.cut ? 0 : e.err;
}

static int compare_wanted(const void *id, const void *w)
{
    return id_compare(id, &((const struct wanted *)w)->id);
}

/* The wanted number that the index leads to from `id`. */
static bool find_wanted(const struct adopting *a, const struct id *id, uint64_t *ret_number,
                        uint64_t *ret_refs)
{
    const struct wanted *w =
        a->count ? bsearch(id, a->wanted, a->count, sizeof *a->wanted, compare_wanted) : NULL;

    if (w)
        *ret_number = w->number;
    return w && is_wanted(a, w->number, ret_refs);
}

/* ---- object files ---- */

/* The disk whose names are listed. A member of a pool does not see other members' files in its own
 * view, so it lists the pool's. */
static struct disk *lists(const struct adopting *a)
{
    return a->c->o->pool ? a->c->o->pool->disk : a->disk;
}

/* Are the bytes of the entry sound, in the place that is searched? */
static bool is_sound(struct adopting *a, uint64_t number, const struct entry *e)
{
    return looked(a, check_quietly_on(a->c, a->disk, number, e));
}

/* Adopt an object file. At home its name has the object's number; a file whose number is not
 * wanted, and each file on a shard, is taken if the index leads from its id to a wanted number. */
static int adopt_file(struct adopting *a, const char *path, struct entry *e)
{
    struct sums sums = SUMS_INIT;
    uint64_t refs, number = e->where;

    if ((a->shard || !is_wanted(a, number, &refs)) && !find_wanted(a, &e->id, &number, &refs))
        return 0;
    if (looked(a, sums_load(a->disk, path, &sums))) {
        e->count = (uint32_t)refs;
        e->size = sums.length;
        if (is_sound(a, number, e))
            adopt(a, number, e,
                  a->shard ? "in an object file on its shard"
                           : "in the object file of that number");
    }
    sums_release(&sums);
    return a->err;
}

/* ---- records of packs ---- */

/* Adopt a record of a pack, unless a pool has removed it, if the index leads from its id to a
 * wanted number. The record's checksum was verified; its id is verified here. */
static int take_record(const struct id *id, const struct pack_place *place, const void *data,
                       uint32_t len, void *ctx)
{
    struct adopting *a = ctx;
    struct id hash;
    uint64_t refs, number;

    if (pool_dead_has(&a->dead, place->offset) || !find_wanted(a, id, &number, &refs))
        return 0;
    id_of(&a->c->key, data, len, &hash);
    if (!check_id_fits(a->c, id, hash))
        return 0;
    adopt(a, number,
          &(struct entry){.kind = ENTRY_PACK,
                          .count = (uint32_t)refs,
                          .size = len,
                          .id = *id,
                          .where = place->pack,
                          .offset = place->offset,
                          .stored = place->stored,
                          .shard = a->shard},
          a->shard ? "in a pack on its shard" : "in a pack");
    return a->err;
}

/* Go through all sound records of a pack. */
static int adopt_pack(struct adopting *a, const char *path, uint64_t number)
{
    struct disk_file *file;
    int err;

    if (!looked(a, check_read_dead(a->c->o->pool, a->shard, number, &a->dead)) ||
        !looked(a, disk_open(a->disk, path, DISK_READ, &file)))
        return a->err;
    err = packs_scan(file, number, a->c->buf, take_record, a);
    disk_file_close(file);
    pool_dead_release(&a->dead);
    return err == -EIO ? a->err : err; /* an I/O error hides the rest of the pack; the search
                                        * continues */
}

/* ---- places ---- */

/* Called for each file of a place, by its name. */
static int adopt_name(const char *name, uint64_t size, void *ctx)
{
    struct adopting *a = ctx;
    struct entry e = {.kind = ENTRY_FILE, .shard = a->shard};

    (void)size;
    switch (objects_parse_name(name, &e.id, &e.where)) {
    case OBJECTS_FILE:
        return adopt_file(a, name, &e);
    case OBJECTS_PACK: /* its records are found by id only */
        return a->count ? adopt_pack(a, name, e.where) : 0;
    default:
        return 0;
    }
}

/* Search one shard. A shard that cannot be asked is skipped. */
static int adopt_on_shard(struct adopting *a, uint16_t number)
{
    struct shard *shard;
    int err = shards_get(a->c->shards, number, SHARDS_READ, &shard, &a->disk);

    if (!looked(a, err))
        return a->err;
    a->shard = number;
    (void)looked(a, shard_list(shard, "objects", adopt_name, a));
    if (a->err == 0)
        (void)looked(a, shard_list(shard, "packs", adopt_name, a));
    shards_put_back(a->c->shards, number);
    a->shard = 0;
    a->disk = a->c->disk;
    return a->err;
}

/* Find the shards that had a missing object, by the index of ghosts. */
static void find_shards(struct adopting *a, struct map64 *ret_on)
{
    uint64_t number, refs;
    size_t at = 0;

    if (!tables_begin(a))
        return;
    while (a->err == 0 && map64_next(&a->c->missing, &at, &number, &refs)) {
        struct ghost_row row;
        const void *val;
        size_t len;
        if (is_wanted(a, number, &refs) &&
            kv_snap_get_number(a->c->snap, TABLE_GHOSTS, number, &val, &len) == 0 &&
            ghost_row_decode(val, len, &row) == 0)
            a->err = map64_put(ret_on, row.shard, 1);
    }
    tables_end(a);
}

/* Search these shards. */
static int adopt_ghosts(struct adopting *a)
{
    struct map64 on = MAP64_INIT;
    uint64_t shard, none;
    size_t at = 0;

    if (a->c->shards)
        find_shards(a, &on);
    while (a->err == 0 && map64_next(&on, &at, &shard, &none))
        a->err = adopt_on_shard(a, (uint16_t)shard);
    map64_release(&on);
    return a->err;
}

/* ---- all of it ---- */

/* First look where the number itself leads to, without any search. */
static int adopt_by_number(struct adopting *a)
{
    uint64_t number, refs;
    size_t at = 0;

    while (a->err == 0 && map64_next(&a->c->missing, &at, &number, &refs)) {
        if (a->c->fixes && is_wanted(a, number, &refs)) /* not while the store is mounted: the
                                                         * dying are being deleted then */
            adopt_dying(a, number, refs);
        if (a->err == 0 && is_wanted(a, number, &refs))
            adopt_slot(a, number, refs);
        if (a->err == 0 && is_wanted(a, number, &refs))
            adopt_held(a, number, refs);
    }
    return a->err;
}

/* The search, place by place. Places that need no listing come first. */
static int find_lost(struct check *c, struct kv *kv, check_found_fn *fn, void *ctx)
{
    struct adopting a = {.c = c, .kv = kv, .fn = fn, .ctx = ctx, .disk = c->disk};
    int err = 0;

    if (!c->missing.count || !c->has_key)
        return 0;
    if (!c->buf)
        c->buf = malloc(PACK_RECORD_MAX);
    err = c->buf ? want_ids(&a) : -ENOMEM;
    if (err == 0)
        err = adopt_by_number(&a);
    if (err == 0)
        err = objects_list(lists(&a), NULL, adopt_name, NULL, &a);
    if (err == 0)
        err = adopt_ghosts(&a);
    map64_release(&a.done);
    free(a.wanted);
    return err;
}

int check_find_lost(const struct check_search *s, check_found_fn *fn, void *ctx)
{
    const struct check_options o = {.all_bytes = true, .pool = s->pool};
    struct check c = {.disk = s->disk,
                      .from = s->disk,
                      .o = &o,
                      .shards = s->shards,
                      .key = *s->key,
                      .has_key = true,
                      .missing = *s->missing};
    int err = find_lost(&c, s->kv, fn, ctx);

    c.missing = (struct map64)MAP64_INIT;
    check_release(&c);
    return err;
}

/* Does another number that is dying name the same bytes? The next mount deletes these. 1, 0 or
 * -errno. */
static int is_dying(struct check *c, uint64_t number, const struct entry *e)
{
    struct kv_each row = {.snap = c->snap, .table = TABLE_DYING};
    struct entry dying;

    while (kv_next(&row))
        if (row.klen == 8 && row.number != number && entry_decode(row.val, row.len, &dying) == 0 &&
            entry_same_place(&dying, e))
            return 1;
    return row.cut ? 0 : row.err;
}

/* Offer the found entry to repair, and for a sealed object its place in the index. 1: the search
 * goes on for another place. */
static int offer(uint64_t number, const struct entry *e, const char *from, void *ctx)
{
    struct check *c = ctx;
    uint8_t key[8], val[ENTRY_MAX];
    char where[CHECK_WHERE];
    struct fix f;
    int err = entry_is_sealed(e) ? is_dying(c, number, e) : 0;

    if (err)
        return err;
    put_be64(key, number);
    check_where_number("object number", number, where);
    f = fix_put(c, TABLE_OBJECTS, key, sizeof key, val, entry_encode(e, val));
    check_fix(c, &f, "object", where, "it is in the table again, its bytes are %s", from);
    f = fix_del(TABLE_DYING, key, sizeof key);
    check_fix_also(c, &f);
    if (!entry_is_sealed(e))
        return 0;
    put_be64(val, number);
    f = fix_put(c, TABLE_IDS, e->id.b, ID_LEN, val, 8);
    check_fix_also(c, &f);
    return 0;
}

int check_adopt(struct check *c)
{
    return c->fixes ? find_lost(c, NULL, offer, c) : 0;
}
