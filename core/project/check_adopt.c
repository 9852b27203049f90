// SPDX-License-Identifier: Apache-2.0
/*
 * check_adopt: bytes of object numbers that are named, but have no entry in the table (or one that
 * does not decode). In this order, and each only if the bytes are sound:
 *
 *   the dying record   of that number says where they are
 *   a slot             its name is the number
 *   an object file     its name ends in the number, and begins with the id
 *   a pack record      the index leads from its id to the number
 *
 * None is adopted whose id the index gives to another object: of two with one id nobody could tell
 * which is meant.
 */
#include "array.h"
#include "check_impl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct wanted {
    struct id id;
    uint64_t number;
};

struct adopting {
    struct check *c;
    struct map64 done;     /* numbers that have been found */
    struct wanted *wanted; /* by id */
    size_t count, room;
    char dir[sizeof "objects/ab"];
    uint64_t pack;
    int err;
};

static bool is_wanted(const struct adopting *a, uint64_t number, uint64_t *ret_refs)
{
    uint64_t none;

    return map64_get(&a->c->missing, number, ret_refs) && *ret_refs <= UINT32_MAX &&
           !map64_get(&a->done, number, &none);
}

static bool id_is_taken(struct check *c, uint64_t number, const struct id *id)
{
    struct entry other;
    const void *val;
    size_t len;
    uint64_t leads_to;
    int err = kv_snap_get(c->snap, TABLE_IDS, id->b, ID_LEN, &val, &len);

    if (err < 0 || len != 8)
        return err < 0 && err != -ENOENT; /* when in doubt it is */
    leads_to = get_be64(val);
    if (!leads_to || leads_to == number)
        return false;
    err = check_get_entry(c, TABLE_OBJECTS, leads_to, &other);
    return err == -ENOENT ? false : err < 0 || id_equal(&other.id, id);
}

/* The entry and, of a sealed one, its place in the index. */
static void adopt(struct adopting *a, uint64_t number, const struct entry *e, const char *from)
{
    uint8_t key[8], val[ENTRY_MAX];
    char where[CHECK_WHERE];
    struct fix f;

    if (entry_is_sealed(e) && id_is_taken(a->c, number, &e->id))
        return;
    a->err = map64_put(&a->done, number, 1);
    put_be64(key, number);
    check_where_number("object number", number, where);
    f = fix_put(a->c, TABLE_OBJECTS, key, sizeof key, val, entry_encode(e, val));
    check_fix(a->c, &f, "object", where, "it is in the table again, its bytes are %s", from);
    f = fix_del(TABLE_DYING, key, sizeof key);
    check_fix_also(a->c, &f);
    if (!entry_is_sealed(e))
        return;
    put_be64(val, number);
    f = fix_put(a->c, TABLE_IDS, e->id.b, ID_LEN, val, 8);
    check_fix_also(a->c, &f);
}

static void adopt_dying(struct adopting *a, uint64_t number, uint64_t refs)
{
    struct entry e;

    if (check_get_entry(a->c, TABLE_DYING, number, &e) < 0 || e.kind == ENTRY_NONE ||
        e.kind == ENTRY_NEW || e.kind == ENTRY_ALIAS)
        return;
    e.count = (uint32_t)refs;
    if (check_quietly(a->c, number, &e))
        adopt(a, number, &e, "where its record among the dying says");
}

static void adopt_slot(struct adopting *a, uint64_t number, uint64_t refs)
{
    struct entry e = {.kind = ENTRY_SLOT, .count = (uint32_t)refs};
    struct sums sums = SUMS_INIT;
    struct disk_file *file;
    struct disk_stat st;
    char name[DISK_NAME_MAX + 1];

    blob_slot_name(number, name);
    if (disk_open(a->c->disk, name, DISK_READ, &file) < 0)
        return;
    if (disk_fstat(file, &st) == 0 && st.size > 0) {
        bool summed = sums_load(a->c->disk, name, &sums) == 0 && sums.length <= st.size;
        e.size = summed ? sums.length : st.size;
        if (check_quietly(a->c, number, &e))
            adopt(a, number, &e, "in the slot of that number");
    }
    sums_release(&sums);
    disk_file_close(file);
}

static int adopt_file(const char *name, void *ctx)
{
    struct adopting *a = ctx;
    struct entry e = {.kind = ENTRY_FILE};
    struct sums sums = SUMS_INIT;
    char path[DISK_NAME_MAX + 1];
    uint64_t refs;

    if (blob_parse_object(name, &e.id, &e.where) < 0 || !is_wanted(a, e.where, &refs))
        return 0;
    snprintf(path, sizeof path, "%s/%.100s", a->dir, name);
    if (sums_load(a->c->disk, path, &sums) == 0) {
        e.count = (uint32_t)refs;
        e.size = sums.length;
        if (check_quietly(a->c, e.where, &e))
            adopt(a, e.where, &e, "in the object file of that number");
    }
    sums_release(&sums);
    return a->err;
}

/* ---- pack records: by id ---- */

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

/* The index is in the order of ids. */
static int want_ids(struct adopting *a)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    int err;

    while ((err = kv_snap_walk(a->c->snap, TABLE_IDS, key, klen, klen > 0, &key, &klen, &val,
                               &len)) == 0) {
        err = klen == ID_LEN && len == 8 ? want_id(a, key, get_be64(val)) : 0;
        if (err < 0)
            return err;
    }
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

static int compare_wanted(const void *id, const void *w)
{
    return id_compare(id, &((const struct wanted *)w)->id);
}

static int take_record(const struct id *id, const struct pack_place *place, const void *data,
                       uint32_t len, void *ctx)
{
    struct adopting *a = ctx;
    struct wanted *w = bsearch(id, a->wanted, a->count, sizeof *a->wanted, compare_wanted);
    struct id hash;
    uint64_t refs;

    if (!w || !is_wanted(a, w->number, &refs))
        return 0;
    id_of(&a->c->key, data, len, &hash);
    if (!check_id_fits(a->c, id, hash))
        return 0;
    adopt(a, w->number,
          &(struct entry){.kind = ENTRY_PACK,
                          .count = (uint32_t)refs,
                          .size = len,
                          .id = *id,
                          .where = place->pack,
                          .offset = place->offset},
          "in a pack");
    return a->err;
}

static int adopt_pack(const char *name, void *ctx)
{
    struct adopting *a = ctx;
    uint64_t number = strtoull(name, NULL, 16);

    if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16 || number == 0 ||
        check_open_pack(a->c, number) < 0)
        return 0;
    return packs_scan(a->c->pack, number, a->c->buf, take_record, a);
}

/* ---- all of it ---- */

static int adopt_by_number(struct adopting *a)
{
    uint64_t number, refs;
    size_t at = 0;

    while (a->err == 0 && map64_next(&a->c->missing, &at, &number, &refs)) {
        if (is_wanted(a, number, &refs))
            adopt_dying(a, number, refs);
        if (is_wanted(a, number, &refs))
            adopt_slot(a, number, refs);
    }
    return a->err;
}

static int adopt_files(struct adopting *a)
{
    int err = 0;

    for (unsigned i = 0; i < 256 && err == 0; i++) {
        (void)snprintf(a->dir, sizeof a->dir, "objects/%02x", i);
        err = disk_list(a->c->disk, a->dir, adopt_file, a);
        err = err == -ENOENT ? 0 : err;
    }
    return err;
}

static int adopt_records(struct adopting *a)
{
    int err = want_ids(a);

    if (err < 0 || a->count == 0)
        return err;
    err = disk_list(a->c->disk, "packs", adopt_pack, a);
    return err == -ENOENT ? 0 : err;
}

int check_adopt(struct check *c)
{
    struct adopting a = {.c = c};
    int err = 0;

    if (!c->fixes || !c->missing.count || !c->has_key)
        return 0;
    if (!c->buf)
        c->buf = malloc(PACK_RECORD_MAX);
    err = c->buf ? adopt_by_number(&a) : -ENOMEM;
    if (err == 0)
        err = adopt_files(&a);
    if (err == 0)
        err = adopt_records(&a);
    map64_release(&a.done);
    free(a.wanted);
    return err;
}
