// SPDX-License-Identifier: Apache-2.0
/* Claims of packs of which little is needed: that stays, where it was, and the rest goes. */
#include "archive_check.h"
#include "prune_fixture.h"
#include "shard_thin.h"

#define SIZE 50000u
#define COUNT 60u
#define LIVING "main/dir/b7"
#define SEED 1007u

static struct shipped_state s[MANY];

static void keep_the_last(void)
{
    set_keeps();
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_HOURLY, 0);
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_DAILY, 0);
}

static void set_up(void)
{
    up();
    keep_the_last();
    make_dir(&v.w, "main/dir");
}

TestSuite(thin, .init = set_up, .fini = down_all);

static void remove_some(unsigned from, unsigned to)
{
    char name[40];

    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof name, "main/dir/b%u", i);
        remove_file(&v.w.x, name);
    }
}

static void put_some(const char *dir, unsigned from, unsigned to)
{
    char name[40];

    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof name, "%s/b%u", dir, i);
        put_bytes(&v.w, name, SIZE, 1000 + i);
    }
}

/* A pack of the files of a namespace that is gone soon. Some of them, `living`, are in main, too. */
static void have_pack(unsigned living)
{
    ship(&v);
    agreed(&v.w.x, "branch main tmp", "ok");
    put_some("tmp/dir", 0, COUNT);
    ship(&v);
    put_some("main/dir", 7, 7 + living);
    ship(&v);
    agreed(&v.w.x, "drop tmp now", "ok");
    ship(&v);
}

/* Two days later. */
static void have_sparse_pack(unsigned living)
{
    have_pack(living);
    ship_some(s, MANY, EVERY);
}

static struct archived_place place_there(void)
{
    struct archived_place at;
    struct entry e;

    cr_assert_eq(archived_get(v.w.x.p->archived, v.archive, place_of(&v.w, LIVING, &e), &at), 0);
    return at;
}

static uint64_t size_of(const char *name)
{
    struct shard *vault_shard = vault();
    uint64_t size = 0;

    (void)shard_stat(vault_shard, name, &size);
    shard_close(vault_shard);
    return size;
}

struct pack {
    char name[DISK_NAME_MAX + 1], thin[DISK_NAME_MAX + 1];
};

static struct pack pack_of(const struct archived_place *at)
{
    const struct entry e = {.kind = ENTRY_PACK, .where = at->where};
    struct pack p;

    objects_file_name(&e, at->where, p.name);
    cr_assert(shard_thin_name(p.name, p.thin));
    return p;
}

static int list_it(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    return strcmp(name, ctx) == 0;
}

/* Is a file of that very name there? */
static bool has_file(const char *name)
{
    struct shard *vault_shard = vault();
    char is[DISK_NAME_MAX + 1];
    int found;

    snprintf(is, sizeof is, "%s", name);
    found = shard_list(vault_shard, "", list_it, is);
    shard_close(vault_shard);
    return found == 1;
}

/* The store has nothing of main any more, and restores it. */
static void restore_anew(void)
{
    const uint64_t seq = ship_stats_of(&v).seq;
    char line[60];

    agreed(&v.w.x, "drop main now", "ok");
    ship(&v);
    settle(&v.w);
    snprintf(line, sizeof line, "restore main@%llu main wait", U(seq));
    agreed(&v.w.x, line, "ok");
}

Test(thin, what_is_needed_of_a_pack_stays_where_it_was)
{
    struct archived_place at;
    uint64_t size, used;
    struct pack p;

    have_sparse_pack(3);
    at = place_there();
    p = pack_of(&at);
    size = size_of(p.name);
    used = shard_mem_used(v.mem);
    cr_assert_eq(prune_twice().thinned, 1);
    cr_assert(!has_file(p.name) && has_file(p.thin));
    cr_assert_eq(size_of(p.name), size);
    cr_assert_lt(shard_mem_used(v.mem) + (COUNT - 5) * SIZE, used);
    is_sound();
    restore_anew();
    has_bytes(&v.w, LIVING, SIZE, SEED);
}

Test(thin, the_rows_of_what_is_left_stay)
{
    struct archived_place at, after;

    have_sparse_pack(3);
    at = place_there();
    (void)prune();
    after = place_there();
    cr_assert_eq(after.where, at.where);
    fixture_reopen(&v.w.x);
    keep_the_last();
    ship(&v);
    pass(11 * MINUTE);
    cr_assert_eq(prune().thinned, 1);
    fixture_reopen(&v.w.x);
    put_file(&v.w.x, "main/later", "later");
    ship(&v);
    after = place_there();
    cr_assert_eq(after.where, at.where);
    cr_assert_eq(after.offset, at.offset);
}

/* As of a copy of the store, or after a death in the deletion. */
Test(thin, a_store_that_has_not_seen_the_catalogue_ships_all_anew)
{
    struct archived_place at, after;
    struct shards_info info;

    have_sparse_pack(3);
    at = place_there();
    (void)prune();
    cr_assert_eq(shards_note_seen(v.w.x.p->shards, v.archive, 0), 0);
    fixture_reopen(&v.w.x);
    cr_assert_eq(shards_info_get(v.w.x.p->shards, v.archive, &info), 0);
    cr_assert_eq(info.seen, 0, "it dies here, and begins anew");
    ship(&v);
    after = place_there();
    cr_assert_neq(after.where, at.where, "nobody knows whether that is left");
    cr_assert_eq(shards_info_get(v.w.x.p->shards, v.archive, &info), 0);
    cr_assert_eq(info.seen, 1);
    cr_assert_not(info.gap);
    is_sound();
    restore_anew();
    has_bytes(&v.w, LIVING, SIZE, SEED);
}

Test(thin, it_is_done_once)
{
    have_sparse_pack(3);
    cr_assert_eq(prune_twice().thinned, 1);
    for (unsigned i = 0; i < 3; i++) {
        pass(11 * MINUTE);
        cr_assert_eq(prune().thinned, 0);
    }
}

Test(thin, a_pack_that_is_small_stays)
{
    struct archived_place at;
    struct pack p;

    ship(&v);
    agreed(&v.w.x, "branch main tmp", "ok");
    put_bytes(&v.w, "tmp/dir/large", SIZE, 1);
    put_bytes(&v.w, "tmp/dir/b7", 1000, SEED);
    ship(&v);
    put_bytes(&v.w, LIVING, 1000, SEED);
    ship(&v);
    agreed(&v.w.x, "drop tmp now", "ok");
    ship(&v);
    at = place_there();
    p = pack_of(&at);
    ship_some(s, MANY, EVERY);
    cr_assert_eq(prune_twice().thinned, 0, "less than 64 KiB would be gained");
    cr_assert(has_file(p.name) && !has_file(p.thin));
}

Test(thin, a_pack_of_which_a_quarter_is_needed_stays)
{
    struct archived_place at;
    struct pack p;

    have_sparse_pack(COUNT / 4 + 1);
    at = place_there();
    p = pack_of(&at);
    cr_assert_eq(prune_twice().thinned, 0);
    cr_assert(has_file(p.name) && !has_file(p.thin));
}

Test(thin, what_is_left_goes_when_nobody_needs_it)
{
    struct archived_place at;
    struct pack p;

    have_sparse_pack(3);
    at = place_there();
    p = pack_of(&at);
    (void)prune_twice();
    remove_some(7, 10);
    for (unsigned i = 0; i < 140; i++) {
        (void)ship_one(MANY + i);
        pass(HOUR);
    }
    (void)prune_twice();
    (void)prune_twice();
    cr_assert(!has_file(p.name) && !has_file(p.thin));
    is_sound();
}

Test(thin, a_pin_keeps_what_its_state_needs_of_it)
{
    struct archive_pin pin;
    struct digest was;
    struct segment_pos at;
    uint64_t seq;

    have_pack(3);
    at = ship_stats_of(&v).at;
    seq = ship_stats_of(&v).seq;
    was = digest_of(&v, "main");
    remove_some(8, 10);
    ship_some(s, MANY, EVERY);
    (void)prune();
    put_pin(at, &pin); /* its reader has read the catalogue before the mark */
    pass(11 * MINUTE);
    (void)prune();
    restores(&v, "main", seq, &was);
    is_sound();
}

/* Until the next catalogue is put a reader may come for a state that the last one keeps. */
Test(thin, what_the_last_catalogue_keeps_stays_although_the_settings_keep_less)
{
    struct archived_place at, kept;
    uint8_t head[PACK_RECORD_HEAD];
    struct pack_record r;
    struct shard *vault_shard;
    struct entry e;
    struct pack p;

    have_sparse_pack(3);
    at = place_there();
    p = pack_of(&at);
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_DAILY, 48 * HOUR);
    cr_assert_eq(
        archived_get(v.w.x.p->archived, v.archive, place_of(&v.w, "main/dir/b8", &e), &kept), 0);
    cr_assert_eq(kept.where, at.where);
    for (unsigned i = 0; i < 60; i++) { /* b8 is there on one of the days that are kept */
        (void)ship_one(MANY + i);
        pass(HOUR);
    }
    remove_file(&v.w.x, "main/dir/b8");
    for (unsigned i = 60; i < 90; i++) {
        (void)ship_one(MANY + i);
        pass(HOUR);
    }
    (void)prune();
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_DAILY, 0);
    pass(11 * MINUTE);
    cr_assert_eq(prune().thinned, 1);
    vault_shard = vault();
    cr_assert_eq(shard_range(vault_shard, p.name, head, sizeof head, kept.offset), sizeof head);
    shard_close(vault_shard);
    cr_assert_eq(pack_record_decode(head, &r), 0, "its record is not there any more");
    is_sound();
}

Test(thin, an_archive_that_is_full_keeps_the_pack)
{
    struct archived_place at;
    struct pack p;

    have_sparse_pack(3);
    at = place_there();
    p = pack_of(&at);
    (void)prune();
    pass(11 * MINUTE);
    {
        CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
        struct prune_result r;

        shard_mem_set(v.mem, SHARD_MEM_FULL, true);
        cr_assert_eq(try_prune(&r, &why), -ENOSPC, "a catalogue needs room, too");
        cr_assert_eq(r.thinned, 0);
        shard_mem_set(v.mem, SHARD_MEM_FULL, false);
    }
    cr_assert(has_file(p.name));
    cr_assert_eq(prune().thinned, 1);
    is_sound();
}

Test(thin, what_a_run_that_died_has_put_is_used)
{
    struct thin_part all = {.offset = 0};
    struct archived_place at;
    struct shard *vault_shard;
    struct pack p;
    void *bytes;
    ssize_t n;

    have_sparse_pack(3);
    at = place_there();
    p = pack_of(&at);
    (void)prune();
    vault_shard = vault();
    n = shard_range_alloc(vault_shard, p.name, SHARD_PACK_MAX, 0, &bytes);
    cr_assert_gt(n, 1000000);
    all.len = (uint32_t)n;
    cr_assert_eq(shard_thin_put(vault_shard, p.name, bytes, (uint64_t)n, &all, 1, NULL), 0);
    free(bytes);
    shard_close(vault_shard);
    pass(11 * MINUTE);
    cr_assert_eq(prune().thinned, 1);
    cr_assert_not(has_file(p.name));
    is_sound();
    restore_anew();
    has_bytes(&v.w, LIVING, SIZE, SEED);
}

Test(thin, what_does_not_have_what_is_needed_keeps_the_pack)
{
    struct archived_place at;
    struct shard *vault_shard;
    struct pack p;

    have_sparse_pack(3);
    at = place_there();
    p = pack_of(&at);
    vault_shard = vault();
    cr_assert_eq(shard_put(vault_shard, p.thin, "litter", 6), 0);
    shard_close(vault_shard);
    cr_assert_eq(prune_twice().thinned, 0);
    cr_assert(has_file(p.name));
    is_sound();
}

static char heard[200];

static void hear_it(const char *what, const char *sentence, void *ctx)
{
    (void)what;
    (void)ctx;
    snprintf(heard, sizeof heard, "%s", sentence);
}

/* thin/X of the pack, but for the record that is there. The pack goes. */
static void lose_record(const struct pack *p, uint64_t offset)
{
    struct shard *vault_shard = vault();
    struct thin_part parts[2] = {{0, (uint32_t)offset}};
    void *bytes;
    ssize_t n = shard_range_alloc(vault_shard, p->name, SHARD_PACK_MAX, 0, &bytes);

    cr_assert_gt(n, (ssize_t)offset);
    parts[1].offset = (uint32_t)(offset + pack_record_size(SIZE));
    parts[1].len = (uint32_t)n - parts[1].offset;
    cr_assert_eq(shard_thin_put(vault_shard, p->name, bytes, (uint64_t)n, parts, 2, NULL), 0);
    free(bytes);
    is_sound(); /* while the pack is there */
    cr_assert_eq(shard_delete(vault_shard, p->name), 0);
    shard_close(vault_shard);
}

Test(thin, the_check_names_a_pack_of_which_too_little_is_left)
{
    const struct archive_check_ask ask = {.found = hear_it};
    struct archive_check_result r;
    struct archived_place at;
    struct pack p;

    put_some("main/dir", 7, 9);
    put_some("main/dir", 20, 30);
    ship(&v);
    at = place_there();
    p = pack_of(&at);
    lose_record(&p, at.offset);
    cr_assert_eq(archive_check(v.w.x.p, v.archive, &ask, &r), 0);
    cr_assert_eq(r.found, 1);
    cr_assert_str_eq(heard, "1 of its contents that segments name are missing");
}

Test(thin, a_pack_of_which_something_needed_is_damaged_stays)
{
    struct archived_place at;
    struct pack p;

    have_sparse_pack(3);
    at = place_there();
    p = pack_of(&at);
    cr_assert_eq(shard_mem_flip(v.mem, p.name, at.offset + 1000, 1), 0);
    cr_assert_eq(prune_twice().thinned, 0);
    cr_assert(has_file(p.name));
}

/* The deletion keeps it for readers; the catalogue after it does not. */
Test(thin, what_only_the_last_catalogue_keeps_is_marked_by_the_next_one)
{
    struct archived_place at;
    struct pack p;

    have_pack(3);
    at = place_there();
    p = pack_of(&at);
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_DAILY, 300 * HOUR);
    for (unsigned i = 0; i < 130; i++) { /* two days with them, and three without */
        if (i == 60)
            remove_some(7, 10);
        (void)ship_one(i);
        pass(HOUR);
    }
    (void)prune();
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_DAILY, 0);
    pass(11 * MINUTE);
    cr_assert_eq(prune().thinned, 1);
    cr_assert(!has_file(p.name) && has_file(p.thin));
    pass(11 * MINUTE);
    (void)prune();
    cr_assert(!has_file(p.thin));
    is_sound();
}
