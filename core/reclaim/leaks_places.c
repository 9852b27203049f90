// SPDX-License-Identifier: Apache-2.0
/*
 * leaks_places: searches each place. It finds what rows of packs count and no entry names, and
 * names that nothing needs. The limits of numbers that may be on their way are set at the same
 * instant as the snapshot. On a shard everything below the limit was put by a move that has ended,
 * or by one of an earlier incarnation. Only an entry, a dying record or a row of a pack can still
 * know of it. Each of these is in the snapshot, or was asked at that instant.
 *
 * An error of a listing at home is an error of the search. The listing of a shard counts only if it
 * came to its end and the shard is still the right one afterwards. Otherwise nothing is concluded
 * about what the shard has.
 */
#include "array.h"
#include "leaks_impl.h"
#include "move.h"
#include "shards.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The incarnation in the upper half of a number on a shard. */
#define INCARNATION_OF(number) ((number) >> 32)

/* ---- which ---- */

/* Gets a shard that can be read and written. -EROFS: it may only be read. */
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

/* Adds a place. An error of a shard is kept in it, and is not returned. */
static int open_one(struct finding *f, uint16_t number, bool archive)
{
    struct place_search *s;

    if (ARRAY_RESERVE(f->places, f->place_room, f->place_count + 1) < 0)
        return -ENOMEM;
    s = &f->places[f->place_count++];
    *s = (struct place_search){.number = number, .archive = archive};
    s->err = number && !archive ? ask(f->p, number, &s->shard) : 0;
    return s->err == -ENOMEM ? -ENOMEM : 0;
}

int leaks_places_open(struct finding *f)
{
    struct shards_info info = {.number = 0};
    int err = open_one(f, 0, false);

    shards_look_now(f->p, SHARDS_LOOK_MOST);
    while (err == 0 && f->p->shards && (err = shards_next(f->p->shards, info.number, &info)) == 0)
        err = open_one(f, info.number, info.archive);
    return err == -ENOENT ? 0 : err;
}

/* Sets the limits of a shard: below them is neither what a move in progress puts, nor what is put
 * later. */
static void begin_shard(struct state *p, struct place_search *s)
{
    uint64_t next = UINT64_MAX, moving = move_in_flight(p, s->number);

    s->files_end = s->packs_end = UINT64_MAX;
    if (s->archive)
        return;
    s->unclaimed = shards_first_number(p->shards, s->number) == 0;
    if (!s->unclaimed) /* this number is given to nothing */
        s->err = s->err < 0 ? s->err : shards_new_number(p->shards, s->number, &next);
    s->files_end = s->packs_end = moving < next ? moving : next;
}

void leaks_places_begin(struct finding *f)
{
    f->places[0].files_end = refs_next(f->p->refs);
    f->places[0].packs_end = packs_next(f->p->packs);
    for (size_t i = 1; i < f->place_count; i++)
        begin_shard(f->p, &f->places[i]);
}

/* If no number of this incarnation had been given when the search began, sets the limit as soon as
 * one is given: what was put since has a number of this incarnation. */
static void settle_limit(struct finding *f, struct place_search *s)
{
    uint64_t first = s->unclaimed ? shards_first_number(f->p->shards, s->number) : 0;

    if (first && INCARNATION_OF(first) << 32 < s->files_end)
        s->files_end = s->packs_end = INCARNATION_OF(first) << 32;
}

void leaks_places_close(struct finding *f)
{
    for (size_t i = 0; i < f->place_count; i++) {
        struct place_search *s = &f->places[i];
        if (s->shard)
            shards_put_back(f->p->shards, s->number);
        map64_release(&s->files);
        map64_release(&s->packs);
        map64_release(&s->records);
        map64_release(&s->payload);
    }
    free(f->places);
}

static bool is_searched(const struct place_search *s)
{
    return s->number == 0 || s->archive || s->shard;
}

struct place_search *leaks_place(struct finding *f, uint16_t number)
{
    for (size_t i = 0; i < f->place_count; i++)
        if (f->places[i].number == number)
            return is_searched(&f->places[i]) ? &f->places[i] : NULL;
    return NULL;
}

static int add_leak(struct finding *f, const struct place_search *s, enum leak_kind what,
                    const void *detail, uint64_t number, struct leak *l)
{
    l->key = leak_make_key(s->number, what, detail, number);
    return leaks_add(f, l);
}

/* ---- rows of packs ---- */

static int damaged(uint16_t shard, uint64_t pack, const char *why)
{
    char what[sizeof "shard 65535 pack"] = "pack";

    if (shard)
        snprintf(what, sizeof what, "shard %u pack", (unsigned)shard);
    return leaks_damaged(what, pack, why);
}

/* Compares a row of a pack with what the entries name in it. What the row has too much is a leak. A
 * row that has less than the entries is damage, and ends the search. A row of an archive without
 * live records is no leak: a release removes it. */
static int note_row(struct finding *f, struct place_search *s, uint64_t number,
                    const struct pack_entry *e)
{
    uint64_t records = 0, payload = 0, lost[2];
    uint8_t detail[8];
    int err = map64_put(&s->packs, number, 1);

    (void)map64_get(&s->records, number, &records);
    (void)map64_get(&s->payload, number, &payload);
    if (err < 0)
        return err;
    if (records > e->live_records || payload > e->live_bytes)
        return damaged(s->number, number, "its table entry says less than the objects do");
    if (number >= s->packs_end)
        return 0;
    if (s->archive && e->live_records == 0)
        return 0;
    if (s->number && e->live_records == 0)
        return add_leak(f, s, LEAK_PACK, NULL, number, &(struct leak){.bytes = e->file_bytes});
    lost[0] = e->live_records - records;
    lost[1] = e->live_bytes - payload;
    if (!lost[0] && !lost[1])
        return 0;
    put_le64(detail, id_checksum(lost, sizeof lost, number));
    return add_leak(f, s, LEAK_RECORDS, detail, number,
                    &(struct leak){.bytes = lost[1], .records = (uint32_t)lost[0]});
}

int leaks_search_rows(struct finding *f, unsigned table)
{
    struct kv_each row = {.snap = f->snap, .table = table};
    size_t skip = table == TABLE_PACKS ? 0 : 2; /* length of the number of a shard in front */

    while (kv_next(&row)) {
        const uint8_t *k = row.key;
        struct place_search *s;
        struct pack_entry e;
        uint64_t number;
        uint16_t shard = 0;
        if (row.klen != skip + 8)
            return leaks_damaged("table", table, "a key has another length");
        if (skip)
            shard = (uint16_t)(k[0] << 8 | k[1]);
        number = get_be64(k + skip);
        if (number == 0 || pack_entry_decode(row.val, row.len, &e) < 0)
            return damaged(shard, number, "its table entry does not decode");
        s = leaks_place(f, shard);
        row.err = s ? note_row(f, s, number, &e) : 0;
    }
    return row.err;
}

/* ---- names ---- */

struct place_listing {
    struct finding *f;
    struct place_search *s;
    int err; /* an error of this process, and not of the shard */
};

/* The space that a file takes, 0 if it cannot be read. It is shown only to people. */
static uint64_t bytes_of(struct state *p, const char *name)
{
    struct disk_stat st = {0};

    (void)disk_stat(p->config.disk, name, &st);
    return st.blocks;
}

/* Does the last commit, or a change, name it, or is its number above the limit? */
static bool is_named(const struct finding *f, const struct place_search *s, enum leak_kind what,
                     uint64_t number)
{
    uint64_t none;

    if (number >= (what == LEAK_PACK ? s->packs_end : s->files_end))
        return true;
    if (what == LEAK_PACK)
        return map64_get(&s->packs, number, &none) || map64_get(&s->records, number, &none);
    return map64_get(what == LEAK_SLOT ? &f->slots : &s->files, number, &none);
}

/* Judges one name of a listing. A name that is none of ours is counted on shards, and else
 * ignored. */
static int look_at(struct place_listing *l, const char *name, uint64_t size)
{
    static const enum leak_kind kinds[] = {[OBJECTS_PACK] = LEAK_PACK,
                                           [OBJECTS_SLOT] = LEAK_SLOT,
                                           [OBJECTS_FILE] = LEAK_FILE};
    struct leak leak = {.bytes = size};
    uint64_t number = 0;
    enum leak_kind what = kinds[objects_parse_name(name, &leak.id, &number)];

    if (!what || (l->s->number ? INCARNATION_OF(number) == 0 : number == 0)) {
        l->f->out->foreign += l->s->number != 0;
        return 0;
    }
    if (is_named(l->f, l->s, what, number))
        return 0;
    if (size == OBJECTS_NO_SIZE)
        leak.bytes = bytes_of(l->f->p, name);
    return add_leak(l->f, l->s, what, what == LEAK_FILE ? leak.id.b : NULL, number, &leak);
}

/* Judges one listed name, unless the search was cancelled. */
static int list_name(const char *name, uint64_t size, void *ctx)
{
    struct place_listing *l = ctx;

    settle_limit(l->f, l->s);
    l->err = leaks_advance(l->f, 1);
    if (l->err == 0)
        l->err = look_at(l, name, size);
    return l->err;
}

/* A missing directory at home is an error: what it had could be on a disk that is not mounted. */
static int is_missing(const char *dir, void *ctx)
{
    (void)dir;
    (void)ctx;
    return -ENOENT;
}

static int list_place(struct place_listing *l)
{
    return objects_list(l->f->p->config.disk, l->s->shard, list_name, is_missing, l);
}

/* Is the shard still the right one, after all that was asked? The driver asks it again. */
static int is_right(struct state *p, uint16_t number)
{
    int err = shards_said(p->shards, number, -ENOENT);

    return err == -ENOENT ? 0 : err;
}

/* Lists a shard. Its errors are kept in the place; only errors of this process are returned. */
static int list_shard(struct place_listing *l)
{
    struct place_search *s = l->s;
    int err = list_place(l);

    if (l->err < 0)
        return l->err;
    if (err < 0)
        err = shards_said(l->f->p->shards, s->number, err);
    s->err = err < 0 ? err : is_right(l->f->p, s->number);
    return 0;
}

/* Removes all leaks of a shard from the list again, also those of rows, because they were found for
 * the same shard. */
static void take_back(struct leaks *out, uint16_t shard)
{
    size_t kept = 0;

    for (size_t i = 0; i < out->count; i++)
        if (leak_shard(&out->v[i].key) != shard)
            out->v[kept++] = out->v[i];
    out->count = kept;
}

/* Notes which numbers of a shard this search could not judge: all if it failed, those above the
 * limit otherwise. */
static int note_unreachable(struct leaks *out, const struct place_search *s)
{
    struct leaks_unreachable *v =
        realloc(out->unreachable, (out->unreachable_count + 1) * sizeof *v);

    if (!v)
        return -ENOMEM;
    out->unreachable = v;
    v[out->unreachable_count++] =
        (struct leaks_unreachable){s->number, s->err, s->err < 0 ? 0 : s->files_end};
    return 0;
}

/* Searches one shard, and notes it among the unreachable ones if it was not searched completely. */
static int search_shard(struct place_listing *l)
{
    struct place_search *s = l->s;
    struct leaks *out = l->f->out;
    uint64_t foreign = out->foreign;
    int err = s->err < 0 ? 0 : list_shard(l);

    if (err < 0)
        return err;
    if (s->err < 0) {
        take_back(out, s->number);
        out->foreign = foreign;
    }
    return s->err < 0 || s->files_end < UINT64_MAX ? note_unreachable(out, s) : 0;
}

int leaks_search_names(struct finding *f)
{
    int err = 0;

    for (size_t i = 0; i < f->place_count && err == 0; i++) {
        struct place_listing l = {.f = f, .s = &f->places[i]};
        if (l.s->archive)
            continue;
        err = l.s->number ? search_shard(&l) : list_place(&l);
    }
    return err;
}
