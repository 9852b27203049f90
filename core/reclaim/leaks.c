// SPDX-License-Identifier: Apache-2.0
/*
 * leaks: the search. One snapshot of the last commit says what pages, packs and files are named;
 * then the directories are listed. What is found so is sorted, and asked about again by those who
 * use the list.
 */
#include "leaks_impl.h"
#include "array.h"
#include "lost.h"
#include "report.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_EVERY 1024

/* ---- keys ---- */

struct id leak_make_key(enum leak_kind kind, const void *detail, uint64_t number)
{
    struct id key = {{0}};

    key.b[0] = (uint8_t)kind;
    if (detail)
        memcpy(key.b + 1, detail, 7);
    put_be64(key.b + 8, number);
    return key;
}

void leak_first_file(const struct id *id, struct id *ret_key)
{
    *ret_key = leak_make_key(LEAK_FILE, id->b, 0);
}

bool leak_is_file_of(const struct id *key, const struct id *id)
{
    return leak_kind(key) == LEAK_FILE && memcmp(key->b + 1, id->b, 7) == 0;
}

enum leak_kind leak_kind(const struct id *key)
{
    return key->b[0] < LEAK_KINDS ? (enum leak_kind)key->b[0] : LEAK_KINDS;
}

uint64_t leak_number(const struct id *key)
{
    return get_be64(key->b + 8);
}

uint16_t leak_shard(const struct id *key)
{
    if (key->b[0] < LEAK_SHARD_FILE || key->b[0] >= LEAK_KINDS)
        return 0;
    return (uint16_t)(key->b[1] << 8 | key->b[2]);
}

/* The key has the first `digits` of it, from `hex` on. */
static void describe_file(const char *hex, int digits, const struct id *whole, uint64_t number,
                          struct strbuf *out)
{
    char id[ID_HEX + 1];

    if (whole && !id_is_zero(whole)) {
        id_to_hex(whole, id);
        strbuf_addf(out, "objects/%.2s/%s.%016" PRIx64, id, id, number);
    } else {
        strbuf_addf(out, "objects/%.2s/%.*s….%016" PRIx64, hex, digits, hex, number);
    }
}

void leak_describe(const struct id *key, const struct id *whole, struct strbuf *out)
{
    unsigned long long n = leak_number(key);
    char hex[ID_HEX + 1];

    id_to_hex(key, hex);
    switch (leak_kind(key)) {
    case LEAK_FILE:
        describe_file(hex + 2, 14, whole, n, out);
        break;
    case LEAK_SLOT:
        strbuf_addf(out, "slots/%016llx", n);
        break;
    case LEAK_PACK:
        strbuf_addf(out, "packs/%016llx", n);
        break;
    case LEAK_RECORDS:
        strbuf_addf(out, "records of pack %llu", n);
        break;
    case LEAK_PAGE:
        strbuf_addf(out, "page %llu", n);
        break;
    case LEAK_ENTRY:
        strbuf_addf(out, "object number %llu", n);
        break;
    case LEAK_SHARD_FILE:
        strbuf_addf(out, "shard %u: ", leak_shard(key));
        describe_file(hex + 6, 10, whole, n, out);
        break;
    case LEAK_SHARD_PACK:
        strbuf_addf(out, "shard %u: packs/%016llx", leak_shard(key), n);
        break;
    case LEAK_SHARD_RECORDS:
        strbuf_addf(out, "records of pack %llu of shard %u", n, leak_shard(key));
        break;
    default:
        strbuf_adds(out, hex);
    }
}

static int compare(const void *a, const void *b)
{
    return id_compare(&((const struct leak *)a)->key, &((const struct leak *)b)->key);
}

const struct leak *leaks_get(const struct leaks *l, const struct id *key)
{
    return l->count ? bsearch(&(struct leak){.key = *key}, l->v, l->count, sizeof *l->v, compare)
                    : NULL;
}

void leaks_release(struct leaks *l)
{
    free(l->v);
    free(l->away);
    *l = (struct leaks){0};
}

int leaks_add(struct finding *f, const struct leak *l)
{
    struct leaks *out = f->out;

    if (ARRAY_RESERVE(out->v, out->room, out->count + 1) < 0)
        return -ENOMEM;
    out->v[out->count++] = *l;
    return 0;
}

/* A file and its sums are one leak; the file has more bytes. */
static void sort(struct leaks *l)
{
    size_t kept = 0;

    if (l->count)
        qsort(l->v, l->count, sizeof *l->v, compare);
    for (size_t i = 0; i < l->count; i++) {
        if (kept && id_equal(&l->v[kept - 1].key, &l->v[i].key)) {
            l->v[kept - 1].bytes += l->v[i].bytes;
            continue;
        }
        l->v[kept++] = l->v[i];
    }
    l->count = kept;
    for (size_t i = 0; i < kept; i++)
        l->bytes += l->v[i].bytes;
}

int leaks_advance(struct finding *f, uint64_t items)
{
    f->done += items;
    if (!f->step || f->done < f->next_step)
        return 0;
    f->next_step = f->done + STEP_EVERY;
    return f->step(f->ctx, f->done, f->total) ? -ECANCELED : 0;
}

static int damaged(const char *what, uint64_t number, const char *why)
{
    report(REPORT_ALARM, "gc: %s %" PRIu64 ": %s: nothing is collected", what, number, why);
    return -EUCLEAN;
}

/* ---- pages ---- */

static void page_damage(const char *what, uint64_t number, const char *why, void *ctx)
{
    (void)ctx;
    (void)damaged(what, number, why);
}

static bool page_step(uint64_t pages, void *ctx)
{
    struct finding *f = ctx;

    (void)pages;
    return leaks_advance(f, 1) < 0;
}

static int note_page(struct finding *f, uint64_t no, const void *val, size_t len)
{
    uint64_t refs;

    (void)val;
    (void)len;
    if (no == 0 || no >= f->next_page || map64_get(&f->count.pages, no, &refs))
        return 0;
    return leaks_add(f, &(struct leak){.key = leak_make_key(LEAK_PAGE, NULL, no),
                                       .bytes = PAGE_SIZE_BYTES});
}

/* ---- tables ---- */

static int need_pack(struct finding *f, const struct entry *e)
{
    int err = map64_add(&f->records, e->where, 1, NULL);

    return err < 0 ? err : map64_add(&f->payload, e->where, (int64_t)e->size, NULL);
}

static int in_snapshot(struct finding *f, unsigned table, uint64_t number)
{
    const void *val;
    size_t len;
    int err = kv_snap_get_number(f->snap, table, number, &val, &len);
    return err == -ENOENT ? 0 : err < 0 && err != -EUCLEAN ? err : 1;
}

static int note_place(struct finding *f, uint64_t number, const struct entry *e)
{
    if (entry_is_ghost(e)) /* nothing of it is here */
        return leaks_shards_note(f, e);
    switch (e->kind) {
    case ENTRY_FILE:
        return map64_put(&f->files, e->where, 1);
    case ENTRY_PACK:
        return need_pack(f, e);
    case ENTRY_SLOT:
        return map64_put(&f->slots, number, 1);
    default:
        return 0;
    }
}

static int note_entry(struct finding *f, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    int err = entry_decode(val, len, &e);

    if (err < 0 || number == 0 || (entry_is_sealed(&e) && e.where == 0))
        return damaged("object", number, "its entry does not decode");
    err = note_place(f, number, &e);
    if (err == 0 && e.count == 0 && number < f->next_number) {
        err = in_snapshot(f, TABLE_DYING, number);
        if (err == 0)
            return leaks_add(f, &(struct leak){.key = leak_make_key(LEAK_ENTRY, NULL, number)});
    }
    return err < 0 ? err : leaks_advance(f, 1);
}

/* Of a number that has an entry, the entry says it. */
static int note_dying(struct finding *f, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    int err = entry_decode(val, len, &e);

    if (err < 0 || number == 0 || (entry_is_sealed(&e) && e.where == 0))
        return damaged("dying object", number, "its record does not decode");
    err = in_snapshot(f, TABLE_OBJECTS, number);
    return err < 0 ? err : err ? 0 : note_place(f, number, &e);
}

/* One that no commit has: of packs the snapshot is true to itself. */
static int note_new_dying(uint64_t number, const struct entry *e, void *ctx)
{
    struct finding *f = ctx;

    if (e->shard)
        return leaks_shards_note_file(f, e);
    return e->kind == ENTRY_PACK || (e->kind == ENTRY_FILE && e->where == 0)
               ? 0
               : note_place(f, number, e);
}

static int note_pack(struct finding *f, uint64_t number, const void *val, size_t len)
{
    uint64_t records = 0, payload = 0, lost[2];
    struct pack_entry e;
    uint8_t detail[8];

    if (pack_entry_decode(val, len, &e) < 0)
        return damaged("pack", number, "its table entry does not decode");
    if (number == 0 || map64_put(&f->packs, number, 1) < 0)
        return number == 0 ? damaged("pack", number, "there is none of that number") : -ENOMEM;
    (void)map64_get(&f->records, number, &records);
    (void)map64_get(&f->payload, number, &payload);
    if (records > e.live_records || payload > e.live_bytes)
        return damaged("pack", number, "its table entry says less than the objects do");
    if (records == e.live_records && payload == e.live_bytes)
        return 0;
    lost[0] = e.live_records - records;
    lost[1] = e.live_bytes - payload;
    put_le64(detail, id_checksum(lost, sizeof lost, number));
    return leaks_add(f, &(struct leak){.key = leak_make_key(LEAK_RECORDS, detail, number),
                                       .bytes = lost[1],
                                       .records = (uint32_t)lost[0]});
}

typedef int note_fn(struct finding *f, uint64_t number, const void *val, size_t len);

static int each(struct finding *f, unsigned table, note_fn *fn)
{
    struct kv_each e = {.snap = f->snap, .table = table};

    while (kv_next(&e))
        e.err = e.klen == 8 ? fn(f, e.number, e.val, e.len)
                            : damaged("table", table, "a key is not 8 bytes");
    return e.err;
}

static int search_tables(struct finding *f)
{
    struct recount_options o = {
        .damage = page_damage, .step = page_step, .pages_only = true, .ctx = f};
    int err = recount_run(f->snap, &o, &f->count);

    if (err == 0 && f->count.damaged)
        err = -EUCLEAN;
    if (err == 0)
        err = each(f, TABLE_PAGES, note_page);
    if (err == 0)
        err = each(f, TABLE_OBJECTS, note_entry);
    if (err == 0)
        err = each(f, TABLE_DYING, note_dying);
    return err < 0 ? err : each(f, TABLE_PACKS, note_pack);
}

/* ---- directories ---- */

/* For people only; what cannot be asked has none. */
static uint64_t bytes_of(struct finding *f, const char *name)
{
    char path[DISK_NAME_MAX + 1];
    struct disk_file *file;
    struct disk_stat st = {0};

    snprintf(path, sizeof path, "%s/%.100s", f->dir, name);
    if (disk_open(f->p->config.disk, path, DISK_READ, &file) < 0)
        return 0;
    (void)disk_fstat(file, &st);
    disk_file_close(file);
    return st.blocks;
}

static int list_object(const char *name, void *ctx)
{
    struct finding *f = ctx;
    char file[DISK_NAME_MAX + 1];
    struct leak l = {.bytes = 0};
    uint64_t number, none;
    int err = leaks_advance(f, 1);

    (void)blob_strip_sums(name, file);
    if (err < 0 || blob_parse_object(file, &l.id, &number) < 0 || number == 0 ||
        number >= f->next_number || map64_get(&f->files, number, &none))
        return err;
    l.key = leak_make_key(LEAK_FILE, l.id.b, number);
    l.bytes = bytes_of(f, name);
    return leaks_add(f, &l);
}

static int list_slot(const char *name, void *ctx)
{
    struct finding *f = ctx;
    char file[DISK_NAME_MAX + 1];
    uint64_t number, none;

    (void)blob_strip_sums(name, file);
    if (blob_parse_slot(file, &number) < 0 || number == 0 || number >= f->next_number ||
        map64_get(&f->slots, number, &none))
        return 0;
    return leaks_add(f, &(struct leak){.key = leak_make_key(LEAK_SLOT, NULL, number),
                                       .bytes = bytes_of(f, name)});
}

static int list_pack(const char *name, void *ctx)
{
    struct finding *f = ctx;
    uint64_t number, none;

    if (pack_parse_name(name, &number) < 0 || number >= f->next_pack ||
        map64_get(&f->records, number, &none) || map64_get(&f->packs, number, &none))
        return 0;
    return leaks_add(f, &(struct leak){.key = leak_make_key(LEAK_PACK, NULL, number),
                                       .bytes = bytes_of(f, name)});
}

/* A directory that is not there is an error, too: what it had could be on a disk that is gone. */
static int list(struct finding *f, disk_list_fn *fn)
{
    return disk_list(f->p->config.disk, f->dir, fn, f);
}

static int search_directories(struct finding *f)
{
    int err;

    snprintf(f->dir, sizeof f->dir, "packs");
    err = list(f, list_pack);
    snprintf(f->dir, sizeof f->dir, "slots");
    if (err == 0)
        err = list(f, list_slot);
    for (unsigned i = 0; i < 256 && err == 0; i++) {
        snprintf(f->dir, sizeof f->dir, "objects/%02x", i);
        err = list(f, list_object);
        if (err == 0)
            err = leaks_advance(f, 1);
    }
    return err;
}

/* ---- together ---- */

/* At one instant: what changed since the last commit, and that commit. */
static int begin(struct finding *f)
{
    struct state *p = f->p;
    WRITE_GUARD(&p->gate);
    int err = refs_new_dying(p->refs, note_new_dying, f);

    f->next_number = refs_next(p->refs);
    f->next_pack = packs_next(p->packs);
    f->next_page = pages_next(p->pages);
    leaks_shards_begin(f);
    return err < 0 ? err : kv_snap_begin(p->config.kv, &f->snap);
}

static void guess_total(struct finding *f)
{
    uint64_t pages = 0, objects = 0;

    (void)kv_snap_count(f->snap, TABLE_PAGES, &pages);
    (void)kv_snap_count(f->snap, TABLE_OBJECTS, &objects);
    f->total = pages / 64 + objects + 256;
}

static bool guard_step(uint64_t pages, void *ctx)
{
    struct finding *f = ctx;

    return f->step && pages % STEP_EVERY == 0 && f->step(f->ctx, f->done, f->total);
}

/* What no entry names may be what a lost entry named. */
static int guard(struct finding *f)
{
    bool bytes = false;

    for (size_t i = 0; i < f->out->count && !bytes; i++)
        bytes = leak_kind(&f->out->v[i].key) != LEAK_PAGE &&
                leak_kind(&f->out->v[i].key) != LEAK_ENTRY;
    return bytes ? lost_guard(f->p->config.kv, guard_step, f) : 0;
}

int leaks_find(struct state *p, leaks_step_fn *step, void *ctx, struct leaks *ret)
{
    struct finding f = {.p = p, .out = ret, .step = step, .ctx = ctx};
    int err;

    *ret = (struct leaks){0};
    err = leaks_shards_open(&f);
    if (err == 0)
        err = begin(&f);
    if (err == 0) {
        guess_total(&f);
        err = search_tables(&f);
    }
    if (err == 0)
        err = leaks_shards_search_table(&f);
    kv_snap_end(f.snap);
    if (err == 0)
        err = search_directories(&f);
    if (err == 0)
        err = leaks_shards_search(&f);
    if (err == 0)
        err = guard(&f);
    leaks_shards_close(&f);
    recount_release(&f.count);
    map64_release(&f.files);
    map64_release(&f.slots);
    map64_release(&f.packs);
    map64_release(&f.records);
    map64_release(&f.payload);
    sort(ret);
    return err;
}
