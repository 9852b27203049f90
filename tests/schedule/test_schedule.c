// SPDX-License-Identifier: Apache-2.0
/* Claims about what namespaces do by the clock: snapshots that make themselves, and an end. */
#include "fixture.h"
#include "kept.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "ns_label.h"
#include "schedule.h"
#include "ttl.h"

#define MINUTE (60 * NSEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
    settings_put(&x.p->settings, SET_TRASH_KEEP, 30 * DAY);
    clock_manual_advance(&x.clock, 100 * DAY - 1000 * NSEC_PER_SEC);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(schedule, .init = up, .fini = down);

/* Whatever is due is done, and afterwards nothing is due. */
static void pass(int64_t duration)
{
    clock_manual_advance(&x.clock, duration);
    if (schedule_is_due(x.p))
        schedule_run(x.p);
    cr_assert_not(schedule_is_due(x.p));
}

static void change(void)
{
    static unsigned n;
    char path[32];

    snprintf(path, sizeof path, "main/%u", n++);
    put_file(&x, path, "text");
}

/* How many hidden ones of a kind there are whose label begins with `label`. */
static size_t count(enum ns_kind kind, const char *label)
{
    struct ns *ns;
    uint32_t at = 0;
    size_t n = 0;

    while (ns_next_number(x.p, at, &ns) == 0) {
        char is[NS_LABEL_MAX];

        at = ns->number;
        ns_label(x.p, ns, is);
        n += ns->hidden.kind == kind && !strncmp(is, label, strlen(label));
        ns_put(x.p, ns);
    }
    return n;
}

static size_t snapshots(void)
{
    return count(NS_SNAPSHOT, "main@");
}

static bool there(const char *spec)
{
    struct ns *ns;

    if (ns_find(x.p, spec, &ns) < 0)
        return false;
    ns_put(x.p, ns);
    return true;
}

/* ---- snapshots ---- */

Test(schedule, a_ladder_makes_a_snapshot_that_is_called_by_the_time)
{
    change();
    agreed(&x, "set ns:main.snapshots \"15m*8 1h*24\"", "ok seq=");
    cr_assert(schedule_is_due(x.p));
    pass(0);
    cr_assert_eq(snapshots(), 1);
    cr_assert(there("main@auto-1970-04-11T00:00:00Z"));
}

Test(schedule, without_the_setting_nothing_is_due)
{
    change();
    pass(DAY);
    cr_assert_eq(snapshots(), 0);
    agreed(&x, "set ns:main.snapshots 1h*2", "ok");
    agreed(&x, "set ns:main.snapshots off", "ok");
    pass(DAY);
    cr_assert_eq(snapshots(), 0);
}

Test(schedule, a_namespace_that_did_not_change_makes_no_new_one_and_keeps_what_it_has)
{
    change();
    agreed(&x, "set ns:main.snapshots 15m*2", "ok");
    pass(0);
    pass(15 * MINUTE);
    pass(40 * DAY);
    cr_assert_eq(snapshots(), 1);
    change();
    pass(0);
    cr_assert_eq(snapshots(), 2);
}

Test(schedule, it_makes_one_in_a_period_however_much_changes)
{
    agreed(&x, "set ns:main.snapshots 15m*8", "ok");
    for (unsigned i = 0; i < 30; i++) {
        change();
        pass(MINUTE);
    }
    cr_assert_eq(snapshots(), 3);
}

Test(schedule, what_the_ladder_does_not_need_is_removed)
{
    agreed(&x, "set ns:main.snapshots \"15m*4 1h*3\"", "ok");
    for (unsigned i = 0; i < 40; i++) {
        change();
        pass(15 * MINUTE);
    }
    cr_assert(snapshots() >= 6 && snapshots() <= 7, "%zu", snapshots());
    cr_assert(there("main@auto-1970-04-11T10:00:00Z"));
    cr_assert(there("main@auto-1970-04-11T08:00:00Z"));
    cr_assert_not(there("main@auto-1970-04-11T07:00:00Z"));
}

Test(schedule, snapshots_that_people_made_or_hold_stay)
{
    agreed(&x, "set ns:main.snapshots 15m*1", "ok");
    change();
    pass(0);
    agreed(&x, "snapshot main mine", "ok");
    agreed(&x, "hold main@auto-1970-04-11T00:00:00Z", "ok");
    for (unsigned i = 0; i < 9; i++) {
        change();
        pass(15 * MINUTE);
    }
    cr_assert_eq(snapshots(), 3);
    agreed(&x, "unhold main@auto-1970-04-11T00:00:00Z", "ok");
    pass(0);
    cr_assert_eq(snapshots(), 2);
    cr_assert(there("main@mine"));
}

Test(schedule, one_in_which_a_file_is_open_stays_until_it_is_closed)
{
    struct vfs_file *f;
    struct vfs_attr a;
    struct ns *ns;

    put_file(&x, "main/f", "hello");
    agreed(&x, "set ns:main.snapshots 15m*1", "ok");
    pass(0);
    cr_assert_eq(ns_find(x.p, "main@auto-1970-04-11T00:00:00Z", &ns), 0);
    cr_assert_eq(vfs_lookup(x.p, vfs_node(ns->number, NS_ROOT_INO), "f", &a), 0);
    ns_put(x.p, ns);
    cr_assert_eq(vfs_open(x.p, a.nodeid, 0, &f), 0);
    change();
    pass(15 * MINUTE);
    cr_assert_eq(snapshots(), 2);
    cr_assert_eq(vfs_release(f), 0);
    vfs_forget(x.p, a.nodeid, 1);
    pass(0);
    cr_assert_eq(snapshots(), 1);
}

Test(schedule, names_as_those_that_are_given_are_refused_to_people)
{
    refused(&x, "snapshot main auto-mine", -EINVAL, "does not begin with dropped- or auto-");
}

Test(schedule, a_ladder_is_kept_over_a_start_and_a_death)
{
    agreed(&x, "set ns:main.snapshots \"15m*8  1h*24\"", "ok");
    fixture_reopen(&x);
    agreed(&x, "get ns:main.snapshots", "ok ns:main.snapshots=\"15m*8  1h*24\" default=off");
    agreed(&x, "set ns:main.snapshots 15m*8", "ok");
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    agreed(&x, "get ns:main.snapshots", "ok ns:main.snapshots=15m*8 default=off");
    change();
    pass(0);
    cr_assert_eq(snapshots(), 1);
}

Test(schedule, a_ladder_of_another_form_is_refused)
{
    refused(&x, "set ns:main.snapshots 10s*3", -EINVAL, "snapshots is off, or as");
    refused(&x, "set ns:nobody.snapshots 15m*3", -ENOENT, "no namespace nobody");
    agreed(&x, "get ns:main.snapshots", "=off default=off");
    agreed(&x, "snapshot main s", "ok");
    refused(&x, "set ns:main@s.snapshots 15m*3", -EINVAL, "only kept");
}

Test(schedule, in_the_trash_a_namespace_makes_no_snapshots)
{
    change();
    agreed(&x, "set ns:main.snapshots 15m*3", "ok");
    agreed(&x, "drop main", "kept=");
    pass(DAY);
    cr_assert_eq(count(NS_SNAPSHOT, ""), 0);
    agreed(&x, "undrop main", "ok");
    pass(0);
    cr_assert_eq(snapshots(), 1);
}

Test(schedule, the_clock_that_is_set_back_gives_no_more_than_one_in_a_period)
{
    agreed(&x, "set ns:main.snapshots 15m*8", "ok");
    change();
    pass(0);
    clock_manual_advance(&x.clock, -HOUR);
    for (unsigned i = 0; i < 5; i++) {
        change();
        pass(MINUTE);
    }
    cr_assert_eq(snapshots(), 2);
}

/* ---- an end ---- */

Test(schedule, a_branch_with_a_time_goes_into_the_trash_when_it_is_over)
{
    change();
    agreed(&x, "branch main dev ttl=2h", "ok ns=dev seq=");
    agreed(&x, "get ns:dev.ttl", "=1970-04-11T02:00:00Z default=off");
    pass(2 * HOUR - 1);
    cr_assert(there("dev"));
    pass(1);
    cr_assert_not(there("dev"));
    cr_assert_eq(count(NS_TRASH, "dev@dropped-"), 1);
}

Test(schedule, a_branch_without_one_stays)
{
    change();
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "branch main other ttl=1h", "ok");
    agreed(&x, "get ns:dev.ttl", "=off");
    agreed(&x, "set ns:other.ttl off", "ok");
    pass(1000 * DAY);
    cr_assert(there("dev") && there("other"));
}

Test(schedule, while_a_file_is_open_in_it_it_stays)
{
    struct vfs_file *f;

    put_file(&x, "main/f", "hello");
    agreed(&x, "branch main dev ttl=1h", "ok");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "dev/f"), 0, &f), 0);
    pass(2 * HOUR);
    cr_assert(there("dev"));
    cr_assert_eq(vfs_release(f), 0);
    pass(0);
    cr_assert_not(there("dev"));
}

Test(schedule, what_is_empty_or_not_to_be_kept_is_deleted_when_it_ends)
{
    agreed(&x, "branch main dev ttl=1h", "ok");
    pass(HOUR);
    cr_assert_not(there("dev"));
    cr_assert_eq(count(NS_TRASH, ""), 0);
    change();
    settings_put(&x.p->settings, SET_TRASH_KEEP, 0);
    agreed(&x, "branch main dev ttl=1h", "ok");
    pass(HOUR);
    cr_assert_not(there("dev"));
    cr_assert_eq(count(NS_TRASH, ""), 0);
}

Test(schedule, with_a_snapshot_that_is_held_it_is_not_deleted)
{
    change();
    settings_put(&x.p->settings, SET_TRASH_KEEP, 0);
    agreed(&x, "branch main dev ttl=1h", "ok");
    agreed(&x, "snapshot dev s", "ok");
    agreed(&x, "hold dev@s", "ok");
    pass(HOUR);
    cr_assert(there("dev@s"));
    agreed(&x, "unhold dev@s", "ok");
    pass(0);
    cr_assert_not(there("dev"));
}

Test(schedule, what_is_taken_back_stays)
{
    change();
    agreed(&x, "branch main dev ttl=1h", "ok");
    pass(HOUR);
    agreed(&x, "undrop dev", "ok");
    pass(DAY);
    cr_assert(there("dev"));
    agreed(&x, "get ns:dev.ttl", "=off");
}

Test(schedule, what_is_taken_back_before_its_time_ends_then)
{
    change();
    agreed(&x, "branch main dev ttl=2h", "ok");
    agreed(&x, "drop dev", "kept=");
    agreed(&x, "undrop dev", "ok");
    pass(HOUR);
    cr_assert(there("dev"));
    pass(HOUR);
    cr_assert_not(there("dev"));
}

Test(schedule, a_branch_of_a_branch_has_no_end_of_its_own)
{
    change();
    agreed(&x, "branch main dev ttl=1h", "ok");
    agreed(&x, "branch dev dev2", "ok");
    pass(HOUR);
    cr_assert(there("dev2"));
}

Test(schedule, a_time_of_another_form_is_refused_and_makes_nothing)
{
    refused(&x, "branch main dev ttl=soon", -EINVAL, "soon");
    cr_assert_not(there("dev"));
    refused(&x, "set ns:main.ttl soon", -EINVAL, "soon");
}

Test(schedule, nothing_is_done_by_a_store_that_takes_no_changes)
{
    change();
    agreed(&x, "set ns:main.snapshots 15m*3", "ok");
    atomic_store(&x.p->readonly, true);
    schedule_run(x.p);
    atomic_store(&x.p->readonly, false);
    cr_assert_eq(snapshots(), 0);
}
