// SPDX-License-Identifier: Apache-2.0
/* Claims of prune where something is wrong, and of those beside it: it ends before it deletes what
 * somebody needs, and nobody else is stopped. */
#include "prune_fixture.h"

TestSuite(prune_errors, .init = up, .fini = down_all);

static void lose(struct segment_pos at)
{
    char name[ARCHIVE_NAME_MAX + 1];

    archive_segment_name(1, at, name);
    cr_assert_eq(shard_mem_lose(v.mem, name), 0);
}

/* The last state before the begin; there are older ones. */
static struct segment_pos kept_state(void)
{
    struct catalogue c = last_catalogue();
    struct segment_pos at;

    cr_assert_gt(c.state_count, 1);
    at = c.states[c.state_count - 1].at;
    catalogue_release(&c);
    return at;
}

Test(prune_errors, a_state_that_is_missing_ends_a_run_before_it_gives_up_older_ones)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    static struct shipped_state s[MANY];
    struct prune_result r;
    uint32_t before;

    ship_some(s, MANY, EVERY);
    (void)prune_twice();
    before = prune().catalogue;
    lose(kept_state());
    pass(11 * MINUTE);
    cr_assert_eq(try_prune(&r, &why), -EUCLEAN);
    cr_assert(r.deleted == 0 && r.catalogue == before);
}

Test(prune_errors, a_store_that_may_not_delete_ships_on)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    static struct shipped_state s[MANY];
    struct prune_result r;

    ship_some(s, MANY, EVERY);
    (void)prune();
    pass(11 * MINUTE);
    shard_mem_set(v.mem, SHARD_MEM_GUARDED, true);
    cr_assert_eq(try_prune(&r, &why), -EACCES);
    (void)ship_one(MANY);
    cr_assert_eq(ship_stats_of(&v).state, SHIP_OK);
}

Test(prune_errors, what_a_pin_needs_is_taken_back_while_the_grace_lasts)
{
    static struct shipped_state s[MANY];
    struct archive_pin pin;
    struct catalogue c;
    unsigned i;

    ship_some(s, MANY, EVERY);
    (void)prune();
    i = unkept(s, MANY);
    put_pin(s[i].at, &pin);
    cr_assert_eq(prune().catalogue, 2);
    c = last_catalogue();
    cr_assert(is_kept(&c, &s[i]));
    catalogue_release(&c);
    restores(&v, "main", s[i].seq, &s[i].was);
}

Test(prune_errors, a_pin_of_everything_takes_everything_back)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    static struct shipped_state s[MANY];
    const struct segment_pos none = {0};
    struct archive_pin pin;
    struct prune_result r;

    ship_some(s, MANY, EVERY);
    (void)prune();
    put_pin(none, &pin);
    cr_assert_eq(try_prune(&r, &why), -EBUSY);
    cr_assert(strstr(why.s, "a pin keeps all"), "%s", why.s);
    cr_assert_eq(all_come_back(s, MANY), MANY);
}

/* All that a base keeps leads somewhere. */
Test(prune_errors, a_pin_of_everything_keeps_the_ways_of_old_states)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    static struct shipped_state s[MANY + 160];
    const struct segment_pos none = {0};
    struct archive_pin pin;
    struct prune_result r;

    ship_some(s, MANY, EVERY);
    (void)prune_twice();
    for (unsigned i = MANY; i < MANY + 160; i++) {
        s[i] = ship_one(i);
        pass(EVERY);
        if (i == MANY + 20)
            (void)prune_twice();
    }
    cr_assert_gt(prune().marked, 0);
    put_pin(none, &pin);
    cr_assert_eq(try_prune(&r, &why), -EBUSY);
    (void)all_come_back(s, MANY + 160);
    is_sound();
}

Test(prune_errors, a_clock_that_jumped_marks_nothing)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    static struct shipped_state s[MANY];
    struct prune_result r;

    ship_some(s, MANY, EVERY);
    clock_manual_advance(&v.w.x.clock, 8760 * HOUR); /* that of the archive goes on as before */
    cr_assert_eq(try_prune(&r, &why), -EAGAIN);
    cr_assert(strstr(why.s, "clock"), "%s", why.s);
    cr_assert_eq(r.catalogue, 0);
}

Test(prune_errors, another_run_that_has_begun_to_delete_is_noticed)
{
    const uint8_t other[ARCHIVE_TOKEN_LEN] = {1}, own[ARCHIVE_TOKEN_LEN] = {2};
    struct shard *s = vault();

    cr_assert_eq(archive_begin_deleting(s, 1, 1, own), 0);
    cr_assert_eq(archive_begin_deleting(s, 1, 1, own), 0, "its answer was lost");
    cr_assert_eq(archive_begin_deleting(s, 1, 1, other), -EEXIST);
    shard_close(s);
}

Test(prune_errors, a_pin_that_cannot_be_read_is_named_and_can_be_ended)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    char name[ARCHIVE_NAME_MAX + 1], reply[4096];
    uint8_t token[ARCHIVE_TOKEN_LEN] = {0xab};
    struct shard *s = vault();
    struct prune_result r;

    (void)ship_one(0);
    archive_pin_name(token, name);
    cr_assert_eq(shard_put_if_absent(s, name, "junk", 4), 0);
    shard_close(s);
    cr_assert_eq(try_prune(&r, &why), -EUCLEAN);
    cr_assert(strstr(why.s, "ab000000"), "%s", why.s);
    cr_assert_lt(say(&v.w.x, "archive pins", reply), 0);
    cr_assert(strstr(reply, "ab000000"), "%s", reply);
    agreed(&v.w.x, "archive unpin ab000000000000000000000000000000", "");
    agreed(&v.w.x, "archive pins", "pins=0");
    cr_assert_eq(try_prune(&r, &why), 0);
}

/* ---- those beside it ---- */

/* A catalogue that nobody can read. */
static void put_junk(uint32_t number)
{
    char name[ARCHIVE_NAME_MAX + 1];
    struct shard *s = vault();

    archive_kept_name(1, number, name);
    cr_assert_eq(shard_put_if_absent(s, name, "junk", 4), 0);
    shard_close(s);
}

Test(prune_errors, a_store_ships_on_beside_a_catalogue_that_cannot_be_read)
{
    (void)ship_one(0);
    put_junk(1);
    world_dies(&v.w);
    (void)ship_one(1);
    cr_assert_eq(ship_stats_of(&v).state, SHIP_OK);
}

Test(prune_errors, a_damaged_first_segment_stops_no_writer)
{
    char name[ARCHIVE_NAME_MAX + 1];

    (void)ship_one(0);
    agreed(&v.w.x, "branch main other", ""); /* so the next segment has the names */
    (void)ship_one(1);
    archive_segment_name(1, (struct segment_pos){1, 1}, name);
    cr_assert_eq(shard_mem_flip(v.mem, name, 30, 1), 0);
    world_dies(&v.w);
    (void)ship_one(2);
    cr_assert_eq(ship_stats_of(&v).state, SHIP_OK);
}

/* Another mount claims, and puts nothing yet. */
static void claim(uint64_t epoch)
{
    struct archive_claim who = {.lineage = 1, .token = {9}, .time = now(v.w.x.p)};
    struct segment_pos end;
    char why[SHARD_WHY];
    struct shard *s = vault();
    struct chain c;

    chain_init(&c, s, 1, &who, 0);
    cr_assert_eq(chain_claim(&c, &end, why), 0);
    cr_assert_eq(c.epoch, epoch);
    shard_close(s);
}

Test(prune_errors, a_writer_that_slept_for_a_day_ends_no_later_epoch)
{
    const uint64_t next = ship_one(0).at.epoch + 1;
    char name[ARCHIVE_NAME_MAX + 1];

    claim(next);
    pass(25 * HOUR);
    put_bytes(&v.w, "main/late", 100, 7);
    cr_assert_lt(ship_step(v.w.x.p), 0);
    archive_epoch_name(1, next + 1, name);
    cr_assert_not(is_there(name));
}

static uint64_t steps_of(const struct shipped_state *s)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const struct restore_ask ask = {.name = "main", .when = RESTORE_SEQ, .seq = s->seq};
    struct restore_plan plan;
    uint64_t steps;

    cr_assert_eq(restore_plan(v.w.x.p, v.archive, &ask, &plan, &why), 0, "%s", why.s);
    steps = plan.count;
    restore_plan_release(&plan);
    return steps;
}

/* Else a state would need all that was ever shipped before it. */
Test(prune_errors, few_sections_a_mount_lead_to_a_whole_one_at_last)
{
    static struct shipped_state s[150];

    for (unsigned i = 0; i < 150; i++) {
        s[i] = ship_one(i);
        pass(EVERY);
        if (i % 10 == 9)
            world_dies(&v.w);
    }
    cr_assert_lt(steps_of(&s[149]), 120);
}

Test(prune_errors, a_new_epoch_forgets_no_jump)
{
    static struct shipped_state s[100];

    for (unsigned i = 0; i < 100; i++) {
        s[i] = ship_one(i);
        pass(HOUR);
    }
    cr_assert_gt(s[99].at.epoch, 3);
    cr_assert_lt(steps_of(&s[99]), 50, "%llu", U(steps_of(&s[99])));
}
