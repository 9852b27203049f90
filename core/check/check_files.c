// SPDX-License-Identifier: Apache-2.0
/* check_files: what the packs table says of each pack, and the files that nobody names. */
#include "check_impl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- packs ---- */

/* What the objects say. Where some of them are not known, a pack may have more than that, and one
 * that is said to have none would be deleted. */
static void fix_pack(struct check *c, uint64_t number, const struct pack_entry *was,
                     const struct pack_entry *now, const char *where)
{
    uint8_t key[8], val[PACK_ENTRY_LEN];
    struct fix f;

    if ((c->unknown || c->missing.count) &&
        (was->live_records > now->live_records || was->live_bytes > now->live_bytes))
        return;
    if (now->live_bytes > now->file_bytes)
        return; /* such an entry does not decode: nothing right can be said */
    put_be64(key, number);
    pack_entry_encode(now, val);
    f = fix_put(c, TABLE_PACKS, key, sizeof key, val, sizeof val);
    check_fix(c, &f, "pack", where,
              "its table entry says %" PRIu32 " live records of %" PRIu64 " bytes",
              now->live_records, now->live_bytes);
}

/* Bytes of its file; 0: there is none. */
static uint64_t file_bytes(struct check *c, uint64_t number)
{
    struct disk_stat st;

    return check_open_pack(c, number) == 0 && disk_fstat(c->pack, &st) == 0 ? st.size : 0;
}

static int check_pack(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct pack_entry e = {0}, now;
    uint64_t records = 0, bytes = 0;
    char where[CHECK_WHERE];
    bool decodes = pack_entry_decode(val, len, &e) == 0;
    int err;

    (void)snprintf(where, sizeof where, "pack %" PRIu64, number);
    check_used(c, "pack", number, c->state.next_pack, &c->raised.next_pack);
    (void)map64_get(&c->pack_records, number, &records);
    (void)map64_get(&c->pack_bytes, number, &bytes);
    now = (struct pack_entry){(uint32_t)records, bytes,
                              decodes ? e.file_bytes : file_bytes(c, number)};
    if (!decodes)
        check_found(c, true, "pack", where, "its table entry does not decode");
    else if (records != e.live_records || bytes != e.live_bytes)
        check_found(c, true, "pack", where,
                    "its table entry says %" PRIu32 " live records of %" PRIu64
                    " bytes, the objects say %" PRIu64 " of %" PRIu64,
                    e.live_records, e.live_bytes, records, bytes);
    if (!decodes || records != e.live_records || bytes != e.live_bytes)
        fix_pack(c, number, &e, &now, where);
    err = check_open_pack(c, number);
    if (err == 0)
        err = packs_check_head(c->pack, number);
    if (err == -EUCLEAN || err == -EIO)
        check_found(c, true, "pack", where, "the head of its file is damaged");
    /* One without a file: its last records died, or each record was reported already. */
    return err == -ENOENT || err == -EUCLEAN || err == -EIO ? 0 : err;
}

/* Packs that objects name and the table does not. */
static int check_named_packs(struct check *c)
{
    uint64_t number, records, bytes = 0;
    size_t at = 0, len;
    const void *val;
    char where[CHECK_WHERE];

    while (map64_next(&c->pack_records, &at, &number, &records)) {
        int err = kv_snap_get_number(c->snap, TABLE_PACKS, number, &val, &len);
        if (err == 0 || err == -EUCLEAN) /* that is told already */
            continue;
        if (err != -ENOENT)
            return err;
        (void)snprintf(where, sizeof where, "pack %" PRIu64, number);
        check_found(c, true, "pack", where,
                    "%" PRIu64 " records in it are named, but it is not in the table", records);
        (void)map64_get(&c->pack_bytes, number, &bytes);
        fix_pack(c, number, &(struct pack_entry){0},
                 &(struct pack_entry){(uint32_t)records, bytes, file_bytes(c, number)}, where);
    }
    return 0;
}

/* ---- files that nobody names ---- */

struct listing {
    struct check *c;
    const char *dir;
};

static void leak(const struct listing *l, const char *name, const char *why, bool ours)
{
    char where[CHECK_WHERE];

    if (ours && l->c->r.waiting) { /* the next mount decides */
        l->c->undecided++;
        return;
    }
    (void)snprintf(where, sizeof where, "%s/%.100s", l->dir, name);
    check_found(l->c, false, "leak", where, "%s", why);
    if (ours && check_may_free(l->c) && !l->c->missing.count)
        check_fix(l->c, &(struct fix){.kind = FIX_FILE}, "leak", where, "the file is deleted");
}

/* The 16 hex digits a name ends in, ".sums" left out. */
static bool parse_number(const char *name, size_t skip, uint64_t *ret)
{
    size_t len = strlen(name);
    char digits[17];

    if (len > 5 && strcmp(name + len - 5, ".sums") == 0)
        len -= 5;
    if (len != skip + 16)
        return false;
    memcpy(digits, name + skip, 16);
    digits[16] = 0;
    if (strspn(digits, "0123456789abcdef") != 16)
        return false;
    *ret = strtoull(digits, NULL, 16);
    return true;
}

/* The record that said which numbers were given is lost: these are. */
static void note_number(struct check *c, uint64_t number)
{
    if (!c->has_state)
        check_used(c, "object number", number, 0, &c->raised.next_number);
}

static int list_pack(const char *name, void *ctx)
{
    struct listing *l = ctx;
    const void *val;
    uint64_t number;
    size_t len;
    int err;

    if (!parse_number(name, 0, &number)) {
        leak(l, name, "it is no file of the store", false);
        return 0;
    }
    if (!l->c->has_state)
        check_used(l->c, "pack", number, 0, &l->c->raised.next_pack);
    err = kv_snap_get_number(l->c->snap, TABLE_PACKS, number, &val, &len);
    if (err == -ENOENT)
        leak(l, name, "the table does not know this pack; the next mount removes it", true);
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

static int list_slot(const char *name, void *ctx)
{
    struct listing *l = ctx;
    uint64_t number, size;

    if (!parse_number(name, 0, &number)) {
        leak(l, name, "it is no file of the store", false);
        return 0;
    }
    note_number(l->c, number);
    if (map64_get(&l->c->missing, number, &size))
        leak(l, name, "it may be what an object that is not in the table needs", false);
    else if (!map64_get(&l->c->slots, number, &size) && !map64_get(&l->c->logged, number, &size))
        leak(l, name, "nothing names this slot; the next mount removes it", true);
    return 0;
}

static int list_object(const char *name, void *ctx)
{
    struct listing *l = ctx;
    uint64_t number, none;

    if (!parse_number(name, ID_HEX + 1, &number)) {
        leak(l, name, "it is no file of the store", false);
        return 0;
    }
    note_number(l->c, number);
    if (map64_get(&l->c->missing, number, &none))
        leak(l, name, "it may be what an object that is not in the table needs", false);
    else if (!map64_get(&l->c->files, number, &none))
        leak(l, name, "nothing names this object file", true);
    return 0;
}

static int list(struct check *c, const char *dir, disk_list_fn *fn)
{
    struct listing l = {c, dir};
    int err = disk_list(c->disk, dir, fn, &l);

    if (err == -ENOENT) {
        check_found(c, false, "note", dir, "the directory does not exist");
        return 0;
    }
    return err;
}

static int check_leaks(struct check *c)
{
    char dir[16];
    int err = list(c, "packs", list_pack);

    if (err == 0)
        err = list(c, "slots", list_slot);
    for (unsigned i = 0; i < 256 && err == 0; i++) {
        (void)snprintf(dir, sizeof dir, "objects/%02x", i);
        err = list(c, dir, list_object);
    }
    if (err == 0 && c->undecided)
        check_found(c, false, "note", "files",
                    "%" PRIu64 " files are not in the last commit: the next mount makes the log's "
                    "changes, and removes what then nothing needs",
                    c->undecided);
    return err;
}

int check_files(struct check *c)
{
    int err = check_each(c, TABLE_PACKS, "pack", check_pack);

    if (err == 0 && !c->o->pool)
        err = check_named_packs(c);
    return err < 0 ? err : check_leaks(c);
}
