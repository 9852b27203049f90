// SPDX-License-Identifier: Apache-2.0
/* Claims of a store that follows an archive in which the writer deletes what nobody needs. */
#include "archive_check.h"
#include "archive_pins.h"
#include "follow_fixture.h"
#include "prune.h"
#include "shard_thin.h"
#include "shards.h"

#define MINUTE (60 * NSEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define SMALL 2000u

static struct pair b;

static struct fixture *writer(void)
{
    return &b.v.w.x;
}

static void pass(int64_t duration)
{
    clock_manual_advance(&writer()->clock, duration);
    clock_manual_advance(&b.f.clock, duration);
    shard_mem_set_clock(b.v.mem, now(writer()->p));
}

static void up(void)
{
    pair_up(&b);
    pass(HOUR);
}
static void down_all(void)
{
    pair_down(&b);
}

TestSuite(follow_prune, .init = up, .fini = down_all);

/* Of what is older than an hour only the last state is kept. */
static void prune(void)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const struct prune_ask ask = {.progress = NULL};
    struct settings *s = &writer()->p->settings;
    struct prune_result r;

    settings_put(s, SET_ARCHIVE_KEEP, HOUR);
    settings_put(s, SET_ARCHIVE_KEEP_HOURLY, 0);
    settings_put(s, SET_ARCHIVE_KEEP_DAILY, 0);
    settings_put(s, SET_ARCHIVE_GRACE, 10 * MINUTE);
    cr_assert_eq(prune_run(writer()->p, b.v.archive, &ask, &r, &why), 0, "%s", why.s ? why.s : "");
}

/* Time passes, and what the writer has is all that is kept: so much was sent that no way back needs
 * the segments until now, and the writer is mounted again. */
static void forget_the_past(void)
{
    char name[40];

    for (unsigned i = 0; i < 140; i++) {
        snprintf(name, sizeof name, "main/young%u", i % 2);
        if (i > 1)
            remove_file(writer(), name);
        put_bytes(&b.v.w, name, SMALL, 100 + i);
        ship(&b.v);
    }
    fixture_reopen(writer());
    remove_file(writer(), "main/young0");
    ship(&b.v);
    remove_file(writer(), "main/young1");
    pass(2 * HOUR);
    ship(&b.v);
    pass(2 * HOUR);
    prune();
    pass(11 * MINUTE);
    prune();
}

/* The follower becomes what there is. Hours have passed, so its first look goes beyond a gap. */
static void catch_up(void)
{
    cr_assert_eq(follow_step(b.f.p), 0, "%s", follow_stats_of(&b).why);
    pair_equal(&b);
}

static struct entry entry_in(struct fixture *x, const char *path)
{
    char hex[ID_HEX + 1] = "";
    uint64_t number;
    struct entry e;
    struct id id;
    bool pending;

    cr_assert_eq(vfs_getxattr(x->p, node_of(x, path), "user.tally.object", hex, sizeof hex), ID_HEX,
                 "%s", path);
    cr_assert_eq(id_from_hex(hex, &id), 0);
    cr_assert_eq(refs_find(x->p->refs, &id, &number, &e, &pending), 0, "%s", path);
    refs_unhold(x->p->refs, number);
    return e;
}

static bool is_there(const struct entry *e)
{
    char name[DISK_NAME_MAX + 1], why[SHARD_WHY];
    struct shard *s;
    uint64_t size;
    int err;

    objects_file_name(e, e->where, name);
    cr_assert_eq(shard_open("mem:vault", 0, &s, why), 0, "%s", why);
    err = shard_stat(s, name, &size);
    shard_close(s);
    return err == 0;
}

/* The pins of the archive. The caller frees ret.v. */
static struct archive_pins pins_there(void)
{
    struct archive_pins pins;
    char why[SHARD_WHY];
    struct shard *s;

    cr_assert_eq(shard_open("mem:vault", 0, &s, why), 0, "%s", why);
    cr_assert_eq(archive_pins_read(s, &pins), 0);
    shard_close(s);
    return pins;
}

/* Where is the only pin? */
static struct segment_pos pinned(void)
{
    struct archive_pins pins = pins_there();
    struct segment_pos at;

    cr_assert_eq(pins.count, 1);
    at = pins.v[0].at;
    free(pins.v);
    return at;
}

static void end_all_pins(void)
{
    struct archive_pins pins = pins_there();
    char why[SHARD_WHY];
    struct shard *s;

    cr_assert_eq(shard_open("mem:vault", 0, &s, why), 0, "%s", why);
    for (size_t i = 0; i < pins.count; i++)
        cr_assert_eq(archive_pin_end(s, pins.v[i].token), 0);
    shard_close(s);
    free(pins.v);
}

static void has(const char *path, size_t len, uint64_t seed)
{
    struct world w = {.x = b.f};

    has_bytes(&w, path, len, seed);
}

/* The file goes, and its bytes are not in the writer any more. */
static void lose_at_writer(const char *path)
{
    remove_file(writer(), path);
    ship(&b.v);
    cr_assert_eq(flush_drain(writer()->p, true, -1, NULL), 0);
    pass(MINUTE);
}

/* ---- contents at two places ---- */

/* A pin keeps what the state names that the store has, and not what a drill reads. */
Test(follow_prune, a_drill_leaves_what_is_here_at_its_place)
{
    struct entry before, after;

    put_bytes(&b.v.w, "main/a", SMALL, 1);
    ship(&b.v);
    catch_up();
    before = entry_in(&b.f, "main/a");
    lose_at_writer("main/a");
    put_bytes(&b.v.w, "main/a", SMALL, 1);
    ship(&b.v);
    agreed(&b.f, "archive drill wait", "namespaces=1");
    after = entry_in(&b.f, "main/a");
    cr_assert(entry_same_place(&before, &after));
    catch_up();
    after = entry_in(&b.f, "main/a");
    cr_assert_not(entry_same_place(&before, &after), "the writer has put it elsewhere");
}

/* The same bytes come, go, and come back at another place. */
static void come_back(size_t len)
{
    lose_at_writer("main/a");
    put_bytes(&b.v.w, "main/b", len, 1);
    ship(&b.v);
}

static void bytes_come_back(size_t len)
{
    struct entry before, after;

    put_bytes(&b.v.w, "main/a", len, 1);
    follow(&b);
    before = entry_in(&b.f, "main/a");
    come_back(len);
    cr_assert_eq(follow_step(b.f.p), 0);
    after = entry_in(&b.f, "main/b");
    cr_assert(before.where != after.where && after.shard == before.shard);
    forget_the_past();
    cr_assert_not(is_there(&before));
    has("main/b", len, 1);
    follow(&b);
    has("main/b", len, 1);
}

Test(follow_prune, small_bytes_that_come_back_are_where_the_last_segment_says)
{
    bytes_come_back(SMALL);
}

Test(follow_prune, large_bytes_that_come_back_are_where_the_last_segment_says)
{
    bytes_come_back(LARGE);
}

static void old_place_is_gone(size_t len)
{
    struct entry before;

    put_bytes(&b.v.w, "main/a", len, 1);
    follow(&b);
    before = entry_in(&b.f, "main/a");
    end_all_pins();
    come_back(len);
    forget_the_past();
    cr_assert_not(is_there(&before));
    catch_up();
    has("main/b", len, 1);
    agreed(&b.f, "promote", "lineage=2");
}

Test(follow_prune, small_bytes_whose_old_place_is_gone_are_taken_from_the_new_one)
{
    old_place_is_gone(SMALL);
}

Test(follow_prune, large_bytes_whose_old_place_is_gone_are_taken_from_the_new_one)
{
    old_place_is_gone(LARGE);
}

static void lose(const struct entry *e)
{
    char name[DISK_NAME_MAX + 1];

    objects_file_name(e, e->where, name);
    cr_assert_eq(shard_mem_lose(b.v.mem, name), 0, "%s", name);
}

/* The place of the object in the archive, as the writer knows it. */
static struct entry place_at_writer(const char *path)
{
    struct archived_place at;
    struct entry e = {.kind = ENTRY_FILE};
    uint64_t number = place_of(&b.v.w, path, &e);

    cr_assert_eq(archived_get(writer()->p->archived, b.v.archive, number, &at), 0);
    e.kind = at.in_pack ? ENTRY_PACK : ENTRY_FILE;
    e.shard = b.v.archive;
    e.where = at.where;
    e.offset = at.offset;
    return e;
}

Test(follow_prune, bytes_that_are_nowhere_block_nothing)
{
    struct entry before, after;

    put_bytes(&b.v.w, "main/a", SMALL, 1);
    follow(&b);
    before = entry_in(&b.f, "main/a");
    come_back(SMALL);
    after = place_at_writer("main/b");
    lose(&before);
    lose(&after);
    cr_assert_eq(follow_step(b.f.p), 0, "%s", follow_stats_of(&b).why);
    put_bytes(&b.v.w, "main/c", SMALL, 2);
    ship(&b.v);
    cr_assert_eq(follow_step(b.f.p), 0, "%s", follow_stats_of(&b).why);
    has("main/c", SMALL, 2);
    agreed(&b.f, "promote", "lineage=2");
}

Test(follow_prune, bytes_whose_old_place_is_damaged_are_taken_from_the_new_one)
{
    char name[DISK_NAME_MAX + 1];
    struct entry before;

    put_bytes(&b.v.w, "main/a", SMALL, 1);
    follow(&b);
    before = entry_in(&b.f, "main/a");
    objects_file_name(&before, before.where, name);
    cr_assert_eq(shard_mem_flip(b.v.mem, name, before.offset + 100, 1), 0);
    come_back(SMALL);
    cr_assert_eq(follow_step(b.f.p), 0, "%s", follow_stats_of(&b).why);
    has("main/b", SMALL, 1);
}

/* ---- what is given up ---- */

Test(follow_prune, a_segment_whose_contents_are_given_up_is_not_applied)
{
    uint64_t segments;
    struct entry gone;

    put_bytes(&b.v.w, "main/a", SMALL, 1);
    follow(&b);
    segments = follow_stats_of(&b).segments;
    end_all_pins();
    fixture_reopen(writer());
    put_bytes(&b.v.w, "main/c", SMALL, 3);
    ship(&b.v);
    gone = place_at_writer("main/c");
    lose_at_writer("main/c");
    forget_the_past();
    cr_assert_not(is_there(&gone));
    catch_up();
    cr_assert_eq(follow_stats_of(&b).segments, segments);
    cr_assert_eq(follow_stats_of(&b).afresh, 2);
}

#define MANY 40u
#define MIDDLE 50000u

static void put_many(const char *dir, unsigned from, unsigned to)
{
    char name[40];

    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof name, "%s/b%u", dir, i);
        put_bytes(&b.v.w, name, MIDDLE, 1000 + i);
    }
}

static bool is_thinned(const struct entry *e)
{
    char name[DISK_NAME_MAX + 1], thin[DISK_NAME_MAX + 1], why[SHARD_WHY];
    struct shard *s;
    uint64_t size;
    int err;

    objects_file_name(e, e->where, name);
    cr_assert(shard_thin_name(name, thin));
    cr_assert_eq(shard_open("mem:vault", 0, &s, why), 0, "%s", why);
    err = shard_stat(s, thin, &size);
    shard_close(s);
    return err == 0;
}

/* Else the follower would know it by the second place, which goes with the second name. */
Test(follow_prune, what_is_left_of_a_thinned_pack_has_one_place)
{
    struct entry first, second;

    agreed(writer(), "branch main tmp", "ok");
    put_many("tmp", 0, MANY);
    ship(&b.v);
    put_many("main", 7, 10);
    ship(&b.v);
    agreed(writer(), "drop tmp now", "ok");
    follow(&b);
    first = entry_in(&b.f, "main/b7");
    forget_the_past();
    catch_up();
    cr_assert(is_thinned(&first));
    put_bytes(&b.v.w, "main/copy", MIDDLE, 1007);
    follow(&b);
    second = entry_in(&b.f, "main/b7");
    cr_assert_eq(second.where, first.where);
    remove_file(writer(), "main/copy");
    forget_the_past();
    catch_up();
    prune();
    has("main/b7", MIDDLE, 1007);
}

/* A catalogue that the writer has not seen has it drop rows, and ship all as a whole. */
Test(follow_prune, what_went_before_all_is_shipped_as_a_whole_is_gone)
{
    struct shards_info info;

    put_bytes(&b.v.w, "main/a", SMALL, 1);
    agreed(writer(), "branch main side", "ok");
    follow(&b);
    forget_the_past();
    catch_up();
    agreed(writer(), "drop side now", "ok");
    cr_assert_eq(shards_note_seen(writer()->p->shards, b.v.archive, 0), 0);
    settle(&b.v.w);
    world_dies(&b.v.w); /* an unmount would ship that it is gone */
    follow(&b);
    cr_assert_eq(shards_info_get(writer()->p->shards, b.v.archive, &info), 0);
    cr_assert_gt(info.seen, 0);
    has("main/a", SMALL, 1);
}

/* Requests of the follower so far. */
static uint64_t requests(void)
{
    struct shards_info info;
    uint64_t sum = 0;

    cr_assert_eq(shards_info_get(b.f.p->shards, follow_stats_of(&b).archive, &info), 0);
    for (unsigned i = 0; i < SHARD_REQUESTS; i++)
        sum += info.traffic.requests[i];
    return sum;
}

Test(follow_prune, a_look_that_finds_nothing_is_one_request)
{
    uint64_t before;

    follow(&b);
    before = requests();
    for (int i = 0; i < 10; i++)
        cr_assert_eq(follow_step(b.f.p), 0);
    cr_assert_eq(requests() - before, 10);
}

/* ---- pins ---- */

Test(follow_prune, a_follower_that_stopped_has_all_that_it_has)
{
    put_bytes(&b.v.w, "main/a", SMALL, 1);
    follow(&b);
    fixture_reopen(&b.f);
    lose_at_writer("main/a");
    forget_the_past();
    pass(20 * HOUR);
    forget_the_past();
    has("main/a", SMALL, 1);
    catch_up();
}

Test(follow_prune, the_pin_is_of_the_last_state_when_the_follower_stops)
{
    struct segment_pos at = follow_stats_of(&b).at;

    cr_assert_eq(segment_pos_compare(pinned(), at), 0);
    put_bytes(&b.v.w, "main/a", SMALL, 1);
    follow(&b);
    cr_assert_eq(segment_pos_compare(pinned(), at), 0, "it is young");
    at = follow_stats_of(&b).at;
    fixture_reopen(&b.f);
    cr_assert_eq(segment_pos_compare(pinned(), at), 0);
    fixture_reopen(&b.f);
    cr_assert_eq(segment_pos_compare(pinned(), at), 0);
}

Test(follow_prune, the_pin_goes_on_with_the_store)
{
    put_bytes(&b.v.w, "main/a", SMALL, 1);
    follow(&b);
    pass(7 * HOUR);
    put_bytes(&b.v.w, "main/b", SMALL, 2);
    follow(&b);
    cr_assert_eq(segment_pos_compare(pinned(), follow_stats_of(&b).at), 0);
    lose_at_writer("main/a");
    forget_the_past();
    catch_up();
}

Test(follow_prune, a_death_leaves_one_pin_that_the_next_mount_goes_on_with)
{
    put_bytes(&b.v.w, "main/a", SMALL, 1);
    follow(&b);
    store_abandon(b.f.p);
    kv_close(b.f.kv);
    fixture_open(&b.f);
    pass(7 * HOUR);
    follow(&b);
    cr_assert_eq(segment_pos_compare(pinned(), follow_stats_of(&b).at), 0);
}

Test(follow_prune, without_the_right_to_write_it_follows_without_a_pin)
{
    struct fixture second;

    shard_mem_set(b.v.mem, SHARD_MEM_READONLY, true);
    follower_up(&second, 1);
    cr_assert_eq(follow_step(second.p), 0);
    cr_assert_eq(follow_step(second.p), 0);
    fixture_reopen(&second);
    shard_mem_set(b.v.mem, SHARD_MEM_READONLY, false);
    (void)pinned();
    fixture_teardown(&second);
}

/* ---- a take-over ---- */

Test(follow_prune, a_take_over_ends_the_pin)
{
    struct archive_pins pins;

    agreed(&b.f, "promote", "lineage=2");
    pins = pins_there();
    cr_assert_eq(pins.count, 0);
    free(pins.v);
}

static void on_wrong(const char *what, const char *sentence, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "%s: %s\n", what, sentence);
}

/* Bytes that were brought home, and that an open file of the follower has. */
Test(follow_prune, after_a_take_over_nothing_names_what_was_given_up)
{
    const uint16_t archive = follow_stats_of(&b).archive;
    const struct archive_check_ask ask = {.read = 100, .found = on_wrong};
    struct archive_check_result r;
    struct vfs_file *file;
    struct entry gone;
    struct world w;

    put_bytes(&b.v.w, "main/a", SMALL, 1);
    follow(&b);
    gone = entry_in(&b.f, "main/a");
    agreed(&b.f, "recall main/a wait", "ok");
    cr_assert_eq(vfs_open(b.f.p, node_of(&b.f, "main/a"), 0, &file), 0);
    lose_at_writer("main/a");
    follow(&b);
    forget_the_past();
    catch_up();
    cr_assert_not(is_there(&gone));
    agreed(&b.f, "promote", "lineage=2");
    w = (struct world){.x = b.f};
    put_bytes(&w, "main/again", SMALL, 1);
    cr_assert_eq(ship_step(b.f.p), 0);
    cr_assert_eq(archive_check(b.f.p, archive, &ask, &r), 0);
    cr_assert_eq(r.found, 0);
    vfs_release(file);
}
