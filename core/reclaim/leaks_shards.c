// SPDX-License-Identifier: Apache-2.0
/*
 * leaks_shards: the search on other shards. Which numbers may be on their way is settled at the
 * same instant as the snapshot: all that is below was put by a move that has come to its end, or by
 * one of an earlier life. Nobody but an entry, a record of the dying or a row of shard_packs can
 * know of it any more, and each of these is in the snapshot or was asked at that instant.
 *
 * A shard is believed when its listings came to their ends and it is still the right one
 * afterwards.
 */
#include "array.h"
#include "leaks_impl.h"
#include "move.h"
#include "report.h"
#include "shard_packs.h"
#include "shards.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIFE(number) ((number) >> 32)

/* ---- which ---- */

static int ask(struct state *p, uint16_t number, struct shard **ret_shard)
{
    struct shards_info info;
    int err = shards_get(p->shards, number, SHARDS_READ, ret_shard, NULL);

    if (err < 0)
        return err;
    err = shards_info_get(p->shards, number, &info);
    if (err == 0 && info.state != SHARDS_OK)
        err = -EROFS;
    if (err < 0) {
        shards_put_back(p->shards, number);
        *ret_shard = NULL;
    }
    return err;
}

static int open_one(struct finding *f, uint16_t number)
{
    struct shard_search *s;

    if (ARRAY_RESERVE(f->shards, f->shard_room, f->shard_count + 1) < 0)
        return -ENOMEM;
    s = &f->shards[f->shard_count++];
    *s = (struct shard_search){.number = number};
    s->err = ask(f->p, number, &s->shard);
    return s->err == -ENOMEM ? -ENOMEM : 0;
}

int leaks_shards_open(struct finding *f)
{
    struct shards_info info = {.number = 0};
    int err = f->p->shards ? 0 : -ENOENT;

    shards_look_now(f->p, SHARDS_LOOK_MOST);
    while (err == 0 && (err = shards_next(f->p->shards, info.number, &info)) == 0)
        err = open_one(f, info.number);
    return err == -ENOENT ? 0 : err;
}

void leaks_shards_begin(struct finding *f)
{
    for (size_t i = 0; i < f->shard_count; i++) {
        struct shard_search *s = &f->shards[i];
        uint64_t next = UINT64_MAX, moving = move_in_flight(f->p, s->number);

        s->unclaimed = shards_first_number(f->p->shards, s->number) == 0;
        if (!s->unclaimed) /* that one is given to nobody */
            s->err = s->err < 0 ? s->err : shards_new_number(f->p->shards, s->number, &next);
        s->limit = moving < next ? moving : next;
    }
}

/* What was put since then has a number of a life that had not begun. */
static void settle_limit(struct finding *f, struct shard_search *s)
{
    uint64_t first = s->unclaimed ? shards_first_number(f->p->shards, s->number) : 0;

    if (first && LIFE(first) << 32 < s->limit)
        s->limit = LIFE(first) << 32;
}

void leaks_shards_close(struct finding *f)
{
    for (size_t i = 0; i < f->shard_count; i++) {
        struct shard_search *s = &f->shards[i];
        if (s->shard)
            shards_put_back(f->p->shards, s->number);
        map64_release(&s->files);
        map64_release(&s->packs);
        map64_release(&s->records);
        map64_release(&s->payload);
    }
    free(f->shards);
    f->shards = NULL;
    f->shard_count = f->shard_room = 0;
}

static struct shard_search *find(struct finding *f, uint16_t number)
{
    for (size_t i = 0; i < f->shard_count; i++)
        if (f->shards[i].number == number)
            return f->shards[i].shard ? &f->shards[i] : NULL;
    return NULL;
}

/* ---- what is needed ---- */

int leaks_shards_note_file(struct finding *f, const struct entry *e)
{
    struct shard_search *s = find(f, e->shard);

    return s && e->kind == ENTRY_FILE ? map64_put(&s->files, e->where, 1) : 0;
}

int leaks_shards_note(struct finding *f, const struct entry *e)
{
    struct shard_search *s = find(f, e->shard);
    int err;

    if (!s || e->kind == ENTRY_FILE)
        return leaks_shards_note_file(f, e);
    err = map64_add(&s->records, e->where, 1, NULL);
    return err < 0 ? err : map64_add(&s->payload, e->where, (int64_t)e->size, NULL);
}

static int add(struct finding *f, const struct shard_search *s, enum leak_kind kind,
               uint64_t number, uint64_t detail, struct leak *l)
{
    uint8_t at[8] = {(uint8_t)(s->number >> 8), (uint8_t)s->number};

    for (unsigned i = 0; i < 5; i++)
        at[2 + i] = (uint8_t)(detail >> (8 * (4 - i)));
    l->key = leak_make_key(kind, at, number);
    return leaks_add(f, l);
}

static int damaged(uint16_t shard, uint64_t pack, const char *why)
{
    report(REPORT_ALARM, "gc: pack %" PRIu64 " of shard %u: %s: nothing is collected", pack,
           (unsigned)shard, why);
    return -EUCLEAN;
}

static int note_row(struct finding *f, struct shard_search *s, uint64_t number,
                    const struct pack_entry *e)
{
    uint64_t records = 0, payload = 0, lost[2];
    int err = map64_put(&s->packs, number, 1);

    (void)map64_get(&s->records, number, &records);
    (void)map64_get(&s->payload, number, &payload);
    if (err < 0)
        return err;
    if (records > e->live_records || payload > e->live_bytes)
        return damaged(s->number, number, "its table entry says less than the objects do");
    if (number >= s->limit)
        return 0;
    if (e->live_records == 0)
        return add(f, s, LEAK_SHARD_PACK, number, 0, &(struct leak){.bytes = e->file_bytes});
    lost[0] = e->live_records - records;
    lost[1] = e->live_bytes - payload;
    if (!lost[0] && !lost[1])
        return 0;
    return add(f, s, LEAK_SHARD_RECORDS, number, id_checksum(lost, sizeof lost, number),
               &(struct leak){.bytes = lost[1], .records = (uint32_t)lost[0]});
}

int leaks_shards_search_table(struct finding *f)
{
    struct kv_each row = {.snap = f->snap, .table = TABLE_SHARD_PACKS};

    if (!f->shard_count)
        return 0;
    while (kv_next(&row)) {
        const uint8_t *k = row.key;
        struct shard_search *s;
        struct pack_entry e;
        uint16_t shard;
        if (row.klen != 10)
            return damaged(0, 0, "a key of the table is not 10 bytes");
        shard = (uint16_t)(k[0] << 8 | k[1]);
        if (pack_entry_decode(row.val, row.len, &e) < 0)
            return damaged(shard, get_be64(k + 2), "its table entry does not decode");
        s = find(f, shard);
        row.err = s ? note_row(f, s, get_be64(k + 2), &e) : 0;
    }
    return row.err;
}

/* ---- what is there ---- */

struct listing {
    struct finding *f;
    struct shard_search *s;
    int err; /* our own */
};

/* Exactly as the store would call it, sums apart. */
static bool parse_object(const char *name, struct id *ret_id, uint64_t *ret_number)
{
    char file[DISK_NAME_MAX + 1], want[DISK_NAME_MAX + 1];
    const char *base;

    (void)blob_strip_sums(name, file);
    base = strrchr(file, '/');
    if (!base || blob_parse_object(base + 1, ret_id, ret_number) < 0)
        return false;
    blob_object_name(ret_id, *ret_number, want);
    return strcmp(want, file) == 0 && LIFE(*ret_number) > 0;
}

static bool parse_pack(const char *name, uint64_t *ret_number)
{
    char want[DISK_NAME_MAX + 1];
    const char *base = strrchr(name, '/');

    if (!base || pack_parse_name(base + 1, ret_number) < 0)
        return false;
    pack_name(*ret_number, want);
    return strcmp(want, name) == 0 && LIFE(*ret_number) > 0;
}

static int list_object(struct listing *l, const char *name, uint64_t size)
{
    struct leak leak = {.bytes = size};
    uint64_t number, first = 0, none;

    if (!parse_object(name, &leak.id, &number)) {
        l->f->out->foreign++;
        return 0;
    }
    if (number >= l->s->limit || map64_get(&l->s->files, number, &none))
        return 0;
    for (unsigned i = 0; i < 5; i++)
        first = first << 8 | leak.id.b[i];
    return add(l->f, l->s, LEAK_SHARD_FILE, number, first, &leak);
}

static int list_pack(struct listing *l, const char *name, uint64_t size)
{
    uint64_t number, none;

    if (!parse_pack(name, &number)) {
        l->f->out->foreign++;
        return 0;
    }
    if (number >= l->s->limit || map64_get(&l->s->packs, number, &none) ||
        map64_get(&l->s->records, number, &none))
        return 0;
    return add(l->f, l->s, LEAK_SHARD_PACK, number, 0, &(struct leak){.bytes = size});
}

static int list_name(const char *name, uint64_t size, void *ctx)
{
    struct listing *l = ctx;

    settle_limit(l->f, l->s);
    l->err = leaks_advance(l->f, 1);
    if (l->err < 0)
        return l->err;
    if (strlen(name) > DISK_NAME_MAX)
        l->f->out->foreign++;
    else
        l->err = strncmp(name, "packs/", 6) == 0 ? list_pack(l, name, size)
                                                 : list_object(l, name, size);
    return l->err;
}

/* What it says of itself after all that is asked afresh: there, and the right one. */
static int is_right(struct state *p, uint16_t number)
{
    int err = shards_said(p->shards, number, -ENOENT);

    return err == -ENOENT ? 0 : err;
}

static int list_shard(struct finding *f, struct shard_search *s)
{
    struct listing l = {.f = f, .s = s};
    int err = shard_list(s->shard, "packs", list_name, &l);

    if (err == 0)
        err = shard_list(s->shard, "objects", list_name, &l);
    if (l.err < 0)
        return l.err;
    if (err < 0)
        err = shards_said(f->p->shards, s->number, err);
    s->err = err < 0 ? err : is_right(f->p, s->number);
    return 0;
}

/* Also those of its rows: they are of the same shard. */
static void take_back(struct finding *f, const struct shard_search *s)
{
    struct leaks *out = f->out;
    size_t kept = 0;

    for (size_t i = 0; i < out->count; i++)
        if (leak_shard(&out->v[i].key) != s->number)
            out->v[kept++] = out->v[i];
    out->count = kept;
}

static int note_away(struct finding *f, const struct shard_search *s)
{
    struct leaks *out = f->out;
    struct leaks_away *v = realloc(out->away, (out->away_count + 1) * sizeof *v);

    if (!v)
        return -ENOMEM;
    out->away = v;
    v[out->away_count++] = (struct leaks_away){s->number, s->err, s->err < 0 ? 0 : s->limit};
    return 0;
}

int leaks_shards_search(struct finding *f)
{
    int err = 0;

    for (size_t i = 0; i < f->shard_count && err == 0; i++) {
        struct shard_search *s = &f->shards[i];
        uint64_t foreign = f->out->foreign;
        if (s->err == 0)
            err = list_shard(f, s);
        if (err == 0 && s->err < 0) {
            take_back(f, s);
            f->out->foreign = foreign;
        }
        if (err == 0 && (s->err < 0 || s->limit < UINT64_MAX))
            err = note_away(f, s);
    }
    return err;
}

/* ---- what was found before ---- */

static bool is_away(const struct leaks *l, const struct id *key)
{
    for (size_t i = 0; i < l->away_count; i++)
        if (l->away[i].shard == leak_shard(key) && leak_number(key) >= l->away[i].from)
            return true;
    return false;
}

static int compare(const void *a, const void *b)
{
    return id_compare(&((const struct leak *)a)->key, &((const struct leak *)b)->key);
}

/* The next id, in the order of ids. False: there is none. */
static bool step_on(struct id *id)
{
    for (unsigned i = ID_LEN; i-- > 0;)
        if (++id->b[i])
            return true;
    return false;
}

int leaks_remember(struct leaks *l, struct gc *gc)
{
    struct id from = {{LEAK_SHARD_FILE}}, key;
    struct gc_object_info info;

    if (!l->away_count)
        return 0;
    while (gc_next(gc, &from, &key, &info) == 0 && leak_kind(&key) < LEAK_KINDS) {
        if ((info.state == GC_UNREFERENCED || info.state == GC_MARKED) && is_away(l, &key)) {
            if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
                return -ENOMEM;
            l->v[l->count++] = (struct leak){.key = key, .unknown = true};
        }
        from = key;
        if (!step_on(&from))
            break;
    }
    if (l->count)
        qsort(l->v, l->count, sizeof *l->v, compare);
    return 0;
}
