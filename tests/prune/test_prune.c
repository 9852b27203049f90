// SPDX-License-Identifier: Apache-2.0
/* Claims of prune: what is kept is kept, what somebody needs stays, and the rest goes. */
#include "prune_fixture.h"

TestSuite(prune, .init = up, .fini = down_all);

Test(prune, what_is_young_is_kept_and_nothing_is_marked)
{
    struct shipped_state s[4];
    struct prune_result r;

    ship_some(s, 4, MINUTE);
    r = prune();
    cr_assert_eq(r.catalogue, 0);
    cr_assert_eq(all_come_back(s, 4), 4);
}

Test(prune, what_is_not_kept_is_marked_and_deleted_after_the_grace)
{
    static struct shipped_state s[MANY];
    struct prune_result r;
    unsigned kept;
    uint64_t used;

    ship_some(s, MANY, EVERY);
    used = shard_mem_used(v.mem);
    r = prune();
    cr_assert(r.catalogue == 1 && r.marked > 0 && r.deleted == 0 && r.wait > 0);
    kept = all_come_back(s, MANY);
    cr_assert_lt(kept, MANY);
    r = prune();
    cr_assert(r.catalogue == 1 && r.deleted == 0 && r.wait > 0, "the grace is not over");
    pass(11 * MINUTE);
    r = prune();
    cr_assert_gt(r.deleted, 20);
    cr_assert_gt(r.deleted_bytes, 0);
    cr_assert_leq(all_come_back(s, MANY), kept);
    cr_assert_lt(shard_mem_used(v.mem), used);
    is_sound();
}

Test(prune, the_last_state_of_each_hour_and_of_each_day_is_kept)
{
    static struct shipped_state s[MANY];
    struct catalogue c;

    ship_some(s, MANY, EVERY);
    (void)prune_twice();
    c = last_catalogue();
    for (unsigned i = 0; i + 1 < MANY; i++) {
        int64_t age = now(v.w.x.p) - s[i].time;
        bool day = s[i].time / (24 * HOUR) != s[i + 1].time / (24 * HOUR);
        bool hour = s[i].time / HOUR != s[i + 1].time / HOUR;

        if (age < HOUR || (age < 5 * HOUR && hour) || (age < 70 * HOUR && day))
            cr_assert(is_kept(&c, &s[i]), "%u, which is %lld minutes old", i,
                      (long long)(age / MINUTE));
    }
    catalogue_release(&c);
}

Test(prune, a_moment_that_is_not_kept_is_the_last_kept_state_before_it)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    static struct shipped_state s[MANY];
    struct catalogue c;
    unsigned rounded = 0;

    ship_some(s, MANY, EVERY);
    (void)prune_twice();
    c = last_catalogue();
    for (unsigned i = 0; i < MANY; i += 7) {
        struct restore_ask ask = {.name = "main", .when = RESTORE_SEQ, .seq = s[i].seq};
        struct restore_plan plan;
        int err = restore_plan(v.w.x.p, v.archive, &ask, &plan, &why);

        if (err == 0 && is_kept(&c, &s[i]))
            restore_plan_release(&plan);
        strbuf_clear(&why);
        if (is_kept(&c, &s[i]) || err == -ENOENT)
            continue;
        cr_assert_eq(err, 0, "%s", why.s);
        cr_assert(plan.seq < s[i].seq && plan.time < s[i].time);
        rounded++;
        restore_plan_release(&plan);
    }
    cr_assert_gt(rounded, 0);
    catalogue_release(&c);
}

Test(prune, claims_ends_and_the_first_segment_of_each_epoch_stay)
{
    static struct shipped_state s[MANY];
    struct segment_pos end;
    char name[ARCHIVE_NAME_MAX + 1];

    ship_some(s, MANY, EVERY);
    (void)prune_twice();
    cr_assert_gt(s[MANY - 1].at.epoch, 2, "a long mount begins new epochs");
    for (unsigned i = 0; i + 1 < MANY; i++) {
        if (s[i].at.serial == 1)
            cr_assert(segment_is_there(s[i].at));
        if (s[i].at.epoch == s[i + 1].at.epoch)
            continue;
        end = (struct segment_pos){s[i].at.epoch, s[i].at.serial + 1};
        cr_assert(segment_is_there(end), "the end of epoch %llu", U(end.epoch));
        archive_epoch_name(1, end.epoch, name);
        cr_assert(is_there(name));
    }
}

/* ---- who needs something ---- */

Test(prune, a_pin_keeps_its_state_also_if_it_came_after_the_mark)
{
    static struct shipped_state s[MANY];
    struct archive_pin pin;
    unsigned i;

    ship_some(s, MANY, EVERY);
    (void)prune();
    i = unkept(s, MANY);
    put_pin(s[i].at, &pin); /* its reader has read the catalogue before the mark */
    pass(11 * MINUTE);
    (void)prune();
    restores(&v, "main", s[i].seq, &s[i].was);
    (void)prune_twice();
    restores(&v, "main", s[i].seq, &s[i].was);
    is_sound();
    end_pin(&pin);
    (void)prune_twice();
    (void)prune_twice();
    cr_assert_not(segment_is_there(s[i].at));
    is_sound();
}

Test(prune, what_this_store_has_only_there_stays)
{
    static struct shipped_state s[MANY];
    char line[100], reply[4096];
    struct digest is;
    unsigned i;

    ship_some(s, MANY, EVERY);
    i = MANY / 3;
    snprintf(line, sizeof line, "restore main@%llu old wait", U(s[i].seq));
    cr_assert_eq(flush_drain(v.w.x.p, true, -1, NULL), 0); /* what was removed is no more here */
    cr_assert_eq(say(&v.w.x, line, reply), (ssize_t)strlen(line), "%s", reply);
    cr_assert_gt(refs_ghosts(v.w.x.p->refs), 0);
    agreed(&v.w.x, "set ns:old.archive off", "");
    ship(&v);
    (void)prune_twice();
    (void)prune_twice();
    is = digest_of(&v, "old");
    cr_assert(is_equal(&is, &s[i].was));
}

Test(prune, a_lineage_from_which_another_one_goes_on_is_kept_whole)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    static struct shipped_state s[MANY];
    struct archive_lineage l = {.number = 2, .why = ARCHIVE_FORK, .parent = 1};
    char name[ARCHIVE_NAME_MAX + 1], text[ARCHIVE_TEXT_MAX];
    struct prune_result r;
    struct shard *shard = vault();

    ship_some(s, MANY, EVERY);
    (void)prune();
    pass(11 * MINUTE);
    archive_lineage_name(2, name);
    cr_assert_eq(shard_put_if_absent(shard, name, text, archive_lineage_encode(&l, text)), 0);
    shard_close(shard);
    cr_assert_eq(try_prune(&r, &why), -EBUSY);
    cr_assert_eq(r.deleted, 0);
    cr_assert_not_null(strstr(why.s, "lineage 2"));
}

/* ---- what goes wrong ---- */

Test(prune, a_list_that_is_cut_deletes_nothing)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    static struct shipped_state s[MANY];
    struct prune_result r;
    uint64_t count;

    ship_some(s, MANY, EVERY);
    (void)prune();
    pass(11 * MINUTE);
    count = shard_mem_count(v.mem);
    shard_mem_set(v.mem, SHARD_MEM_SHORT_LISTS, true);
    cr_assert_lt(try_prune(&r, &why), 0);
    shard_mem_set(v.mem, SHARD_MEM_SHORT_LISTS, false);
    cr_assert_eq(shard_mem_count(v.mem), count);
}

Test(prune, a_mark_is_taken_back_by_the_settings_until_something_is_deleted)
{
    static struct shipped_state s[MANY];

    ship_some(s, MANY, EVERY);
    (void)prune();
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP, 1000 * HOUR);
    pass(11 * MINUTE);
    cr_assert_eq(prune().deleted, 0);
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP, 40 * HOUR);
    (void)prune();
    for (unsigned i = MANY / 2; i < MANY; i += 8)
        restores(&v, "main", s[i].seq, &s[i].was);
    is_sound();
}

static int die_at(uint64_t segments, void *ctx)
{
    unsigned *left = ctx;

    (void)segments;
    return *left && --*left == 0 ? -ECANCELED : 0;
}

Test(prune, a_run_that_ends_anywhere_is_done_by_the_next_one)
{
    static struct shipped_state s[MANY];
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct prune_result r;
    unsigned left;
    const struct prune_ask ask = {.progress = die_at, .ctx = &left};
    int err = -1;

    ship_some(s, MANY, EVERY);
    (void)prune();
    pass(11 * MINUTE);
    for (unsigned i = 40; err < 0; i += 40) {
        left = i;
        err = prune_run(v.w.x.p, v.archive, &ask, &r, &why);
        cr_assert(err == 0 || err == -ECANCELED, "%d: %s", err, why.s);
        strbuf_clear(&why);
        is_sound();
    }
    cr_assert_gt(all_come_back(s, MANY), 10);
}

Test(prune, deletes_go_by_the_way_that_is_given)
{
    static struct shipped_state s[MANY];
    char reply[4096];

    ship_some(s, MANY, EVERY);
    (void)prune();
    pass(11 * MINUTE);
    shard_mem_set(v.mem, SHARD_MEM_GUARDED, true);
    cr_assert_lt(say(&v.w.x, "archive prune wait", reply), 0);
    cr_assert(strstr(reply, "cannot be deleted"), "%s", reply);
    agreed(&v.w.x, "archive prune with=mem:vault?delete wait", "deleted=");
    cr_assert_not(segment_is_there(s[1].at));
    is_sound();
}

Test(prune, another_place_is_no_way_to_the_archive)
{
    struct shard_mem *other;
    char reply[4096];

    cr_assert_eq(shard_mem_create("elsewhere", NULL, &other), 0);
    (void)ship_one(0);
    cr_assert_lt(say(&v.w.x, "archive prune with=mem:elsewhere wait", reply), 0);
    cr_assert(strstr(reply, "mem:elsewhere is not the archive"), "%s", reply);
    shard_mem_destroy(other);
}

Test(prune, the_oldest_state_is_known_after_a_mount_also_if_nothing_was_given_up)
{
    static struct shipped_state s[MANY];
    int64_t first;

    ship_some(s, 6, EVERY);
    first = ship_stats_of(&v).oldest;
    cr_assert_gt(first, 0);
    world_dies(&v.w);
    pass(0);
    (void)ship_one(6);
    cr_assert_eq(ship_stats_of(&v).oldest, first);
}

Test(prune, the_status_says_which_state_is_the_oldest)
{
    static struct shipped_state s[MANY];
    struct prune_result r;

    ship_some(s, MANY, EVERY);
    cr_assert_leq(ship_stats_of(&v).oldest, s[0].time);
    cr_assert_gt(ship_stats_of(&v).oldest, 0);
    r = prune();
    cr_assert_gt(r.oldest, s[0].time);
    cr_assert_eq(ship_stats_of(&v).oldest, r.oldest);
    world_dies(&v.w);
    pass(0);
    (void)ship_one(MANY);
    cr_assert_eq(ship_stats_of(&v).oldest, r.oldest);
}
