// SPDX-License-Identifier: Apache-2.0
/* check_files: the row of each pack, and file names that nothing needs, in each place: at home and
 * on other shards. */
#include "check_impl.h"
#include "shards.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- packs ---- */

/* The row of one pack: its key, and the counts that the objects' entries give. */
struct pack_row {
    const struct check_shard *s;
    unsigned table;
    uint64_t number, records, bytes;
    uint8_t key[10];
    size_t klen;
    char where[CHECK_WHERE];
};

/* The row of a pack on that shard, filled with the counts that check_note_place has added up. */
static struct pack_row row_of(const struct check_shard *s, uint64_t number)
{
    struct pack_row r = {.s = s, .table = TABLE_PACKS, .number = number};
    int len = 0;

    if (s->number) {
        r.table = TABLE_SHARD_PACKS;
        r.key[r.klen++] = (uint8_t)(s->number >> 8);
        r.key[r.klen++] = (uint8_t)s->number;
        len = snprintf(r.where, sizeof r.where, "shard %u ", (unsigned)s->number);
    }
    put_be64(r.key + r.klen, number);
    r.klen += 8;
    (void)snprintf(r.where + len, sizeof r.where - (size_t)len, "pack %" PRIu64, number);
    (void)map64_get(&s->records, number, &r.records);
    (void)map64_get(&s->bytes, number, &r.bytes);
    return r;
}

/* Length of the pack's file if the table does not say; 0: there is no file. For a shard the bytes
 * of the known records are used, so that the shard need not be asked. */
static uint64_t file_bytes(struct check *c, const struct pack_row *r, uint64_t told)
{
    uint64_t least = PACK_FILE_HEAD + r->records * PACK_RECORD_HEAD + r->bytes;
    struct disk_stat st;

    if (r->s->number)
        return told < least ? least : told;
    if (told)
        return told;
    return check_open_pack(c, r->number) == 0 && disk_fstat(c->pack, &st) == 0 ? st.size : 0;
}

/* Offer the row that the objects' entries give. If some entries are unknown the row's counts are
 * not lowered: the pack may have more records, and a pack with a row of none would be deleted. */
static void fix_row(struct check *c, const struct pack_row *r, const struct pack_entry *was)
{
    const struct pack_entry now = {(uint32_t)r->records, r->bytes,
                                   file_bytes(c, r, was->file_bytes)};
    uint8_t val[PACK_ENTRY_LEN];
    struct fix f;

    if ((c->unknown || c->missing.count) &&
        (was->live_records > now.live_records || was->live_bytes > now.live_bytes))
        return;
    if (now.live_bytes > now.file_bytes)
        return; /* such a row would not decode, so none is offered */
    pack_entry_encode(&now, val);
    f = fix_put(c, r->table, r->key, r->klen, val, sizeof val);
    check_fix(c, &f, "pack", r->where,
              "its table entry says %" PRIu32 " live records of %" PRIu64 " bytes",
              now.live_records, now.live_bytes);
}

/* Compare the stored row with the counts of the objects' entries. */
static void check_row(struct check *c, const struct pack_row *r, const void *val, size_t len)
{
    struct pack_entry was = {0};
    bool decodes = pack_entry_decode(val, len, &was) == 0;

    if (decodes && r->records == was.live_records && r->bytes == was.live_bytes)
        return;
    if (!decodes)
        check_found(c, true, "pack", r->where, "its table entry does not decode");
    else
        check_found(c, true, "pack", r->where,
                    "its table entry says %" PRIu32 " live records of %" PRIu64
                    " bytes, the objects say %" PRIu64 " of %" PRIu64,
                    was.live_records, was.live_bytes, r->records, r->bytes);
    fix_row(c, r, &was);
}

/* Check the head of a pack's file. A missing file is no finding here: its last records died, or
 * each of its records was reported already. */
static int check_head(struct check *c, const struct pack_row *r)
{
    int err = check_open_pack(c, r->number);

    if (err == 0)
        err = packs_check_head(c->pack, r->number);
    if (err == -EUCLEAN || err == -EIO)
        check_found(c, true, "pack", r->where, "the head of its file is damaged");
    return err == -ENOENT || err == -EUCLEAN || err == -EIO ? 0 : err;
}

/* Check the row and the head of a pack at home. */
static int check_pack(struct check *c, uint64_t number, const void *val, size_t len)
{
    const struct pack_row r = row_of(&c->home, number);

    check_used(c, "pack", number, c->state.next_pack, &c->raised.next_pack);
    check_row(c, &r, val, len);
    return check_head(c, &r);
}

/* Check the rows of packs on other shards. Their keys are shard (2 bytes) and pack (8 bytes). */
static int check_shard_rows(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_SHARD_PACKS};

    while (kv_next(&e)) {
        const uint8_t *k = e.key;
        struct pack_row r;
        struct check_shard *s;
        if (e.klen != 10) {
            check_found(c, true, "pack", "a key", "it is %zu bytes long, not 10", e.klen);
            continue;
        }
        e.err = check_get_shard(c, (uint16_t)(k[0] << 8 | k[1]), &s);
        if (e.err < 0)
            break;
        r = row_of(s, get_be64(k + 2));
        check_row(c, &r, e.val, e.len);
    }
    return e.err;
}

/* Find packs that objects name and that have no row. */
static int check_named_packs(struct check *c, const struct check_shard *s)
{
    uint64_t number, records;
    size_t at = 0, len;
    const void *val;

    while (map64_next(&s->records, &at, &number, &records)) {
        struct pack_row r = row_of(s, number);
        int err = kv_snap_get(c->snap, r.table, r.key, r.klen, &val, &len);
        if (err == 0 || err == -EUCLEAN) /* a damaged row is reported already */
            continue;
        if (err != -ENOENT)
            return err;
        check_found(c, true, "pack", r.where,
                    "%" PRIu64 " records in it are named, but it is not in the table", records);
        fix_row(c, &r, &(struct pack_entry){0});
    }
    return 0;
}

/* ---- names that nobody needs ---- */

/* The place whose files are listed. */
struct file_listing {
    struct check *c;
    const struct check_shard *s;
};

/* Report a file that nothing names. `ours`: it is certainly a file of the store, so a repair may
 * delete it; not on a shard, which a check only reads. While changes wait in the log they may name
 * the file, so it is only counted. */
static void leak(const struct file_listing *l, const char *name, const char *why, bool ours)
{
    struct check *c = l->c;
    char where[CHECK_WHERE];

    if (l->s->number) {
        (void)snprintf(where, sizeof where, "shard %u %.120s", (unsigned)l->s->number, name);
        check_found(c, false, "leak", where, "%s", why);
        return;
    }
    if (ours && c->r.waiting) { /* the next mount knows whether it is needed */
        c->undecided++;
        return;
    }
    check_found(c, false, "leak", name, "%s", why);
    if (ours && check_may_free(c))
        check_fix(c, &(struct fix){.kind = FIX_FILE}, "leak", name, "the file is deleted");
}

/* The state record is lost: note the number in a file's name as one in use. */
static void note_number(struct check *c, enum objects_name what, uint64_t number)
{
    if (c->has_state)
        return;
    if (what == OBJECTS_PACK)
        check_used(c, "pack", number, 0, &c->raised.next_pack);
    else
        check_used(c, "object number", number, 0, &c->raised.next_number);
}

/* Does anything name the file? 1, 0 or -errno. At home a pack is named by its row. */
static int is_named(const struct file_listing *l, enum objects_name what, uint64_t number)
{
    struct check *c = l->c;
    const void *val;
    uint64_t none;
    size_t len;
    int err;

    if (what == OBJECTS_SLOT)
        return map64_get(&c->slots, number, &none) || map64_get(&c->logged, number, &none);
    if (what == OBJECTS_FILE || l->s->number)
        return map64_get(what == OBJECTS_PACK ? &l->s->records : &l->s->files, number, &none);
    err = kv_snap_get_number(c->snap, TABLE_PACKS, number, &val, &len);
    return err == -ENOENT ? 0 : err < 0 && err != -EUCLEAN ? err : 1;
}

/* Called for each file of a place: is it named by a table? */
static int list_name(const char *name, uint64_t size, void *ctx)
{
    const struct file_listing *l = ctx;
    bool home = l->s->number == 0;
    uint64_t number, none;
    struct id id;
    enum objects_name what = objects_parse_name(name, &id, &number);
    int named;

    (void)size;
    if (what == OBJECTS_NO_NAME || (what == OBJECTS_SLOT && !home)) {
        leak(l, name, "it is no file of the store", false);
        return 0;
    }
    if (home)
        note_number(l->c, what, number);
    if (home && what != OBJECTS_PACK && map64_get(&l->c->missing, number, &none)) {
        leak(l, name, "it may be what an object that is not in the table needs", false);
        return 0;
    }
    named = is_named(l, what, number);
    if (named == 0)
        leak(l, name,
             home && what != OBJECTS_FILE ? "nothing names it; the next mount removes it"
                                          : "nothing names it; GC cycles remove it",
             true);
    return named < 0 ? named : 0;
}

/* A missing directory of home is only a note, since a mount makes it again. */
static int note_missing(const char *dir, void *ctx)
{
    const struct file_listing *l = ctx;

    check_found(l->c, false, "note", dir, "the directory does not exist");
    return 0;
}

/* List the files of home. */
static int list_home(struct check *c)
{
    struct file_listing l = {.c = c, .s = &c->home};
    int err = objects_list(c->disk, NULL, list_name, note_missing, &l);

    if (err == 0 && c->undecided)
        check_found(c, false, "note", "files",
                    "%" PRIu64 " files are not in the last commit: the next mount makes the log's "
                    "changes, and removes what then nothing needs",
                    c->undecided);
    return err;
}

/* List a shard's files. If it cannot be asked that is reported, and is no damage. What an archive
 * has is no business of one store: only its ghosts that were not checked are reported. */
static int list_shard(struct check *c, struct check_shard *s)
{
    struct file_listing l = {.c = c, .s = s};
    struct shard *shard;

    if (s->archive) {
        check_say_unasked(c, s);
        return 0;
    }
    int err = s->known && c->shards ? shards_get(c->shards, s->number, SHARDS_READ, &shard, NULL)
                                    : -EHOSTUNREACH;

    if (err == 0) {
        err = objects_list(NULL, shard, list_name, NULL, &l);
        if (err < 0)
            err = shards_said(c->shards, s->number, err);
        shards_put_back(c->shards, s->number);
    }
    s->listing = err;
    check_say_unasked(c, s);
    return err == -ENOMEM ? err : 0;
}

/* ---- all of it ---- */

/* Check packs and files at home. The packs of a pool need no row in this store's table. */
static int check_home(struct check *c)
{
    int err = check_each(c, TABLE_PACKS, "pack", check_pack);

    if (err == 0 && !c->o->pool)
        err = check_named_packs(c, &c->home);
    return err < 0 ? err : list_home(c);
}

int check_files(struct check *c)
{
    int err = check_home(c);

    if (err == 0)
        err = check_ghosts(c);
    if (err == 0)
        err = check_shard_rows(c);
    for (size_t i = 0; i < c->shard_count && err == 0; i++)
        err = check_named_packs(c, &c->shard[i]);
    for (size_t i = 0; i < c->shard_count && err == 0; i++)
        err = list_shard(c, &c->shard[i]);
    return err;
}
