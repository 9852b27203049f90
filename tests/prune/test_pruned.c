// SPDX-License-Identifier: Apache-2.0
/* Claims of archives of which something was given up: what a restore makes, what it says, and what
 * the check finds. */
#include "prune_fixture.h"

static struct shipped_state s[MANY];
static uint64_t main_seq[MANY]; /* the last change of main; that of the store is one of `other` */

static void up_with_other(void)
{
    up();
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_HOURLY, 20 * HOUR);
    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP_DAILY, 40 * HOUR);
    agreed(&v.w.x, "branch main other", "ok");
}

TestSuite(pruned, .init = up_with_other, .fini = down_all);

/* A file of its own for each state; old ones go. */
static void ship_both(unsigned i)
{
    char name[40];

    if (i >= 3) {
        snprintf(name, sizeof name, "main/f%u", i - 3);
        remove_file(&v.w.x, name);
    }
    snprintf(name, sizeof name, "main/f%u", i);
    put_bytes(&v.w, name, 2000 + i, i);
    main_seq[i] = atomic_load(&v.w.x.p->seq);
    put_bytes(&v.w, "other/f", 100, i);
    s[i].seq = atomic_load(&v.w.x.p->seq);
    ship(&v);
    s[i] = (struct shipped_state){.seq = s[i].seq,
                                  .time = ship_stats_of(&v).time,
                                  .at = ship_stats_of(&v).at,
                                  .was = digest_of(&v, "main")};
}

static void ship_and_prune(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        ship_both(i);
        pass(EVERY);
    }
    (void)prune_twice();
}

static struct catalogue catalogue_of(uint32_t lineage)
{
    struct shard *shard = vault();
    struct catalogue c;

    cr_assert_eq(archive_last_catalogue(shard, lineage, 0, &c), 0);
    cr_assert(c.number > 0 && c.state_count > 2);
    shard_close(shard);
    return c;
}

/* Which of those that were shipped it is. */
static unsigned index_of(struct segment_pos at)
{
    unsigned i = 0;

    while (segment_pos_compare(s[i].at, at) != 0)
        cr_assert_lt(++i, MANY);
    return i;
}

static struct restore_plan plan_of(uint64_t seq)
{
    const struct restore_ask ask = {.name = "main", .when = RESTORE_SEQ, .seq = seq};
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct restore_plan plan;

    cr_assert_eq(restore_plan(v.w.x.p, v.archive, &ask, &plan, &why), 0, "%llu: %s", U(seq), why.s);
    return plan;
}

/* ---- moments ---- */

Test(pruned, a_namespace_as_a_kept_state_has_it_is_found_by_its_own_last_change)
{
    struct catalogue c;

    ship_and_prune();
    c = catalogue_of(1);
    for (uint32_t i = 0; i < c.state_count; i++) {
        const unsigned is = index_of(c.states[i].at);
        struct restore_plan plan = plan_of(main_seq[is]);

        cr_assert_eq(plan.seq, main_seq[is]);
        restore_plan_release(&plan);
        if (i % 3 == 0)
            restores(&v, "main", main_seq[is], &s[is].was);
    }
    catalogue_release(&c);
}

Test(pruned, between_kept_states_it_is_the_earlier_one_and_not_the_last_that_the_archive_has)
{
    struct restore_plan plan;
    struct catalogue c;
    unsigned i;

    ship_and_prune();
    c = catalogue_of(1);
    i = index_of(c.states[1].at);
    plan = plan_of(main_seq[i + 1]);
    cr_assert_eq(plan.seq, main_seq[i]);
    cr_assert_eq(plan.last_seq, 0);
    restore_plan_release(&plan);
    plan = plan_of(s[MANY - 1].seq + 1000);
    cr_assert_eq(plan.last_seq, s[MANY - 1].seq);
    restore_plan_release(&plan);
    catalogue_release(&c);
}

Test(pruned, before_the_oldest_kept_state_that_one_is_named)
{
    struct catalogue c;
    char line[100], part[100];

    ship_and_prune();
    c = catalogue_of(1);
    snprintf(part, sizeof part,
             "the oldest state of lineage 1 that it keeps is that of change %llu, of 2",
             U(c.states[0].seq));
    snprintf(line, sizeof line, "restore main@%llu dry-run", U(main_seq[1]));
    refused(&v.w.x, line, -ENOENT, part);
    refused(&v.w.x, "restore main@2001-01-01T00:00:00Z dry-run", -ENOENT, part);
    catalogue_release(&c);
}

Test(pruned, a_name_that_is_gone_is_said_with_a_state_that_is_kept)
{
    char reply[4096], line[300];
    const char *named;

    agreed(&v.w.x, "branch main short", "ok");
    ship_both(0);
    agreed(&v.w.x, "drop short now", "ok");
    agreed(&v.w.x, "branch main late", "ok");
    for (unsigned i = 1; i < MANY; i++) {
        ship_both(i);
        if (i == MANY - 12)
            agreed(&v.w.x, "drop late now", "ok");
        pass(EVERY);
    }
    (void)prune();
    refused(&v.w.x, "restore short back", -ENOENT, "the archive has no namespace short now");
    cr_assert_eq(say(&v.w.x, "restore late back", reply), -ENOENT);
    named = strstr(reply, "late@");
    cr_assert(named, "%s", reply);
    snprintf(line, sizeof line, "restore %.*s back wait", (int)strcspn(named, "\n"), named);
    agreed(&v.w.x, line, "ok ns=back lineage=1");
}

/* What a namespace needs that has not changed for long begins at a segment that is no state, of
 * which not all is kept. */
Test(pruned, a_plan_names_the_state_that_a_pin_can_keep)
{
    struct restore_ask ask = {.name = "still", .when = RESTORE_SEQ};
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct archive_pin pin;
    struct restore_plan plan;
    struct catalogue c;

    for (unsigned i = 0; i < 61; i++)
        ship_both(i);
    make_dir(&v.w, "still");
    ship_and_prune();
    c = catalogue_of(1);
    ask.seq = c.states[c.state_count - 1].seq;
    cr_assert_eq(restore_plan(v.w.x.p, v.archive, &ask, &plan, &why), 0, "%s", why.s);
    cr_assert(segment_pos_compare(plan.at, plan.state) < 0);
    cr_assert(segment_pos_compare(plan.state, c.states[c.state_count - 1].at) == 0);
    put_pin(plan.state, &pin);
    (void)prune();
    restore_plan_release(&plan);
    catalogue_release(&c);
}

/* ---- lineages ---- */

/* The parent of the lineage has the time, too: its writer may have shipped then. */
Test(pruned, what_a_lineage_has_given_up_is_not_taken_from_its_parent)
{
    struct catalogue c;
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    int64_t before;

    ship_both(0);
    before = now(v.w.x.p);
    pass(40 * HOUR);
    agreed(&v.w.x, "archive fork", "lineage=2");
    ship_and_prune();
    c = catalogue_of(2);
    cr_assert_gt(c.states[0].time, s[1].time);
    strbuf_adds(&line, "restore main@");
    strbuf_add_time(&line, s[1].time);
    strbuf_adds(&line, " dry-run");
    refused(&v.w.x, line.s, -ENOENT,
            "the oldest state of lineage 2 that it keeps is that of change ");
    strbuf_clear(&line);
    strbuf_adds(&line, "restore main@");
    strbuf_add_time(&line, before + HOUR);
    strbuf_adds(&line, " back wait");
    agreed(&v.w.x, line.s, "ok ns=back lineage=1 from_seq=");
    catalogue_release(&c);
}

/* ---- the check ---- */

static uint64_t found_without(struct segment_pos at)
{
    const struct archive_check_ask ask = {.found = on_wrong};
    struct archive_check_result r;
    char name[ARCHIVE_NAME_MAX + 1];
    struct shard *shard = vault();

    archive_segment_name(1, at, name);
    cr_assert_eq(shard_delete(shard, name), 0);
    shard_close(shard);
    cr_assert_eq(archive_check(v.w.x.p, v.archive, &ask, &r), 0);
    return r.found;
}

Test(pruned, a_check_finds_that_the_begin_is_missing)
{
    struct catalogue c;

    settings_put(&v.w.x.p->settings, SET_ARCHIVE_KEEP, 16 * HOUR);
    ship_and_prune();
    c = catalogue_of(1);
    cr_assert_gt(s[MANY - 1].at.epoch, c.begin.at.epoch);
    cr_assert_gt(found_without(c.begin.at), 0);
    catalogue_release(&c);
}

Test(pruned, a_check_finds_that_the_begin_of_the_last_epoch_is_missing)
{
    struct catalogue c;

    ship_and_prune();
    c = catalogue_of(1);
    cr_assert_eq(s[MANY - 1].at.epoch, c.begin.at.epoch);
    cr_assert_gt(found_without(c.begin.at), 0);
    catalogue_release(&c);
}
