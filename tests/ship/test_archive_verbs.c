// SPDX-License-Identifier: Apache-2.0
/* Claims of the verbs about archives: what they say, and what they refuse. */
#include "archive_read.h"
#include "job.h"
#include "ns_draft.h"
#include "shards.h"
#include "ship_fixture.h"
#include <stdatomic.h>

static struct vault v;

static void up(void)
{
    vault_up(&v);
}
static void down_all(void)
{
    vault_down(&v);
}

TestSuite(archive_verbs, .init = up, .fini = down_all);

/* The command must succeed, with "KEY=NUMBER" in its reply. */
static uint64_t number_in(const char *line, const char *key)
{
    char reply[4096];
    const char *at;

    cr_assert_gt(say(&v.w.x, line, reply), 0, "%s", reply);
    at = strstr(reply, key);
    cr_assert(at, "'%s' said '%s'", line, reply);
    return strtoull(at + strlen(key), NULL, 10);
}

/* What the reply must have: `text`, the number, and `rest`. */
static void agreed_about(const char *line, const char *text, uint64_t number, const char *rest)
{
    char part[200];

    snprintf(part, sizeof part, "%s%llu%s", text, (unsigned long long)number, rest);
    agreed(&v.w.x, line, part);
}

/* ---- durable, drain archive ---- */

Test(archive_verbs, durable_says_what_each_archive_has_of_a_namespace)
{
    uint64_t shipped, last;

    agreed(&v.w.x, "durable main", "url=mem:vault seq=0 behind=1");
    put_file(&v.w.x, "main/a", "one");
    ship(&v);
    shipped = number_in("durable main", "seq=");
    agreed_about("durable main", "url=mem:vault seq=", shipped, " behind=0");
    put_file(&v.w.x, "main/b", "two");
    last = number_in("durable main", "seq=");
    cr_assert_gt(last, shipped);
    agreed_about("durable main", "url=mem:vault seq=", shipped, " behind=1");
    ship(&v);
    agreed_about("durable main", "url=mem:vault seq=", last, " behind=0");
    agreed_about("durable", "url=mem:vault seq=", last, " behind=0");
}

Test(archive_verbs, durable_asks_the_archive_itself)
{
    uint64_t shipped;

    agreed(&v.w.x, "durable archive", "seq=0 why=\"nothing was ever shipped there\"");
    put_file(&v.w.x, "main/a", "one");
    ship(&v);
    shipped = number_in("durable main", "seq=");
    put_file(&v.w.x, "main/b", "two");
    agreed_about("durable main archive", "lineage=1 seq=", shipped, " segment=1-1 time=");
    agreed(&v.w.x, "branch main new", "ok");
    agreed(&v.w.x, "durable new archive", "seq=0 why=\"the archive has no namespace new");
}

Test(archive_verbs, a_namespace_that_is_not_shipped_is_not_behind)
{
    agreed(&v.w.x, "set ns:main.archive off", "ok");
    ship(&v);
    agreed(&v.w.x, "durable main", "seq=0 behind=0 off=1");
}

Test(archive_verbs, a_namespace_may_go_to_one_archive_alone)
{
    struct shard_mem *second;

    cr_assert_eq(shard_mem_create("second", NULL, &second), 0);
    agreed(&v.w.x, "archive add mem:second", "ok");
    refused(&v.w.x, "set ns:main.archive mem:third", -ENOENT, "the store has no archive mem:third");
    refused(&v.w.x, "set ns:main.archive maybe", -EINVAL, "or the URL of an archive, not maybe");
    put_file(&v.w.x, "main/a", "one");
    agreed(&v.w.x, "branch main both", "ok");
    agreed(&v.w.x, "set ns:main.archive mem:second", "ok");
    agreed(&v.w.x, "get ns:main.archive", "ns:main.archive=mem:second default=async");
    ship(&v);
    refused(&v.w.x, "restore main back archive=mem:vault wait", -ENOENT, "no namespace main");
    agreed(&v.w.x, "restore both back archive=mem:vault wait", "ok");
    agreed(&v.w.x, "restore main again archive=mem:second wait", "ok");
    agreed(&v.w.x, "durable main", " off=1\n");
    agreed(&v.w.x, "durable main", " behind=0\n");
    refused(&v.w.x, "archive remove mem:second", -EBUSY, "main goes there alone");
    agreed(&v.w.x, "set ns:main.archive mem:vault", "ok"); /* it changes over, whole */
    ship(&v);
    agreed(&v.w.x, "restore main third archive=mem:vault wait", "ok");
    refused(&v.w.x, "restore main late archive=mem:second wait", -ENOENT, "no namespace main");
    agreed(&v.w.x, "archive remove mem:second", "ok");
    shard_mem_destroy(second);
}

Test(archive_verbs, a_drain_of_the_archives_ends_when_each_has_all)
{
    uint64_t last;

    put_file(&v.w.x, "main/a", "one");
    refused(&v.w.x, "drain archive 0s", -ETIMEDOUT, "mem:vault does not have all changes");
    ship(&v);
    ship(&v); /* what the first round noted is a change, too */
    last = number_in("durable", "seq=");
    agreed_about("drain archive 0s", "archives=1 seq=", last, "");
    agreed(&v.w.x, "archive remove", "ok");
    refused(&v.w.x, "drain archive", -ENOENT, "the store ships to no archive");
}

/* ---- drills ---- */

static int take_name(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    snprintf(ctx, 200, "%s", name);
    return 0;
}

/* Changes a byte in the middle of the last pack or object file of the archive. */
static void damage(const char *dir)
{
    char why[SHARD_WHY], name[200] = "";
    struct shard *s;
    uint64_t size;

    cr_assert_eq(shard_open("mem:vault", SHARD_READONLY, &s, why), 0, "%s", why);
    cr_assert_eq(shard_list(s, dir, take_name, name), 0);
    cr_assert_eq(shard_stat(s, name, &size), 0, "%s", name);
    shard_close(s);
    cr_assert_eq(shard_mem_flip(v.mem, name, size / 2, 1), 0);
}

static int64_t drilled(void)
{
    struct shards_info info;

    cr_assert_eq(shards_info_get(v.w.x.p->shards, v.archive, &info), 0);
    return info.drilled;
}

Test(archive_verbs, a_drill_restores_all_and_leaves_only_the_note_that_it_succeeded)
{
    put_file(&v.w.x, "main/a", "one");
    agreed(&v.w.x, "branch main other", "ok");
    ship(&v);
    agreed(&v.w.x, "archive status", "drill=never");
    agreed(&v.w.x, "archive drill wait", "namespaces=2");
    cr_assert_eq(ns_count_drafts(v.w.x.p), 0);
    cr_assert_gt(drilled(), 0);
    down_clean(&v.w.x);
    fixture_open(&v.w.x);
    cr_assert_gt(drilled(), 0);
    agreed(&v.w.x, "archive drill main wait", "namespaces=1");
}

Test(archive_verbs, a_drill_that_fails_is_an_alarm_and_not_noted)
{
    put_file(&v.w.x, "main/a", "one");
    ship(&v);
    refused(&v.w.x, "archive drill main other wait", -ENOENT, "other cannot be restored");
    cr_assert_eq(drilled(), 0);
    cr_assert_eq(ns_count_drafts(v.w.x.p), 0);
}

/* When the job asks the archive first one namespace is dropped there, and the other is changed. */
static atomic_bool is_dropped;

static bool drills(void)
{
    struct job j;
    bool found = false;

    for (uint64_t n = 0; !found && job_next(v.w.x.p, n, &n) == 0;)
        found = job_get(v.w.x.p, n, &j) == 0 && j.state == JOB_RUNNING && !strcmp(j.verb, "drill");
    return found;
}

static void drop_other(void *ctx, int64_t duration_ns)
{
    (void)ctx, (void)duration_ns;
    if (!drills() || atomic_exchange(&is_dropped, true))
        return;
    agreed(&v.w.x, "drop other", "ok");
    put_file(&v.w.x, "main/b", "two");
    ship(&v);
}

Test(archive_verbs, a_drill_tries_what_the_archive_had_when_it_began)
{
    static const char *const lines[] = {"archive drill wait", "archive drill other main wait"};

    put_file(&v.w.x, "main/a", "one");
    for (int i = 0; i < 2; i++) {
        agreed(&v.w.x, "branch main other", "ok");
        ship(&v);
        atomic_store(&is_dropped, false);
        shard_mem_set_latency(v.mem, 1, drop_other, NULL);
        agreed(&v.w.x, lines[i], "namespaces=2");
        cr_assert(atomic_load(&is_dropped));
        shard_mem_set_latency(v.mem, 0, NULL, NULL);
        cr_assert_gt(drilled(), 0);
    }
    refused(&v.w.x, "archive drill other wait", -ENOENT, "it had it last at change");
    agreed(&v.w.x, "archive drill wait", "namespaces=1");
}

Test(archive_verbs, a_drill_with_read_finds_what_is_damaged_there)
{
    put_bytes(&v.w, "main/a", 30000, 1);
    ship(&v);
    agreed(&v.w.x, "archive drill read=100 wait", "compared=1 read=1");
    damage("packs");
    agreed(&v.w.x, "archive drill wait", "compared=1 read=0");
    refused(&v.w.x, "archive drill read=100 wait", -EUCLEAN,
            "main cannot be restored: the bytes of an object in the archive are damaged");
}

/* ---- moments ---- */

Test(archive_verbs, a_time_before_a_fork_is_found_in_the_lineage_before)
{
    struct digest was, is;

    put_file(&v.w.x, "main/a", "one");
    ship(&v);
    was = digest_of(&v, "main");
    clock_manual_advance(&v.w.x.clock, 10 * DAYS);
    put_file(&v.w.x, "main/b", "two");
    agreed(&v.w.x, "archive fork", "lineage=2");
    ship(&v);
    agreed(&v.w.x, "restore main@2024-10-05T00:00:00Z dry-run", "lineage=1 segment=1-1");
    agreed(&v.w.x, "restore main@2024-10-05T00:00:00Z back wait", "ok ns=back");
    is = digest_of(&v, "back");
    cr_assert(is_equal(&is, &was));
    agreed(&v.w.x, "restore main dry-run lineage=1", "lineage=1");
    refused(&v.w.x, "restore main dry-run lineage=3", -ENOENT, "the archive has no lineage 3");
    refused(&v.w.x, "restore main@2020-01-01T00:00:00Z dry-run", -ENOENT,
            "the archive has nothing of that moment");
    refused(&v.w.x, "restore main@2024-10-05T00:00:00Z dry-run lineage=2", -ENOENT,
            "the archive has nothing of that moment");
}

Test(archive_verbs, a_number_that_the_archive_does_not_have_yet_is_said)
{
    put_file(&v.w.x, "main/a", "one");
    ship(&v);
    agreed(&v.w.x, "restore main@999 dry-run", " last_seq=");
    agreed(&v.w.x, "restore main@999 back wait", " last_seq=");
}

Test(archive_verbs, a_name_that_is_gone_is_said_with_its_last_moment)
{
    char reply[4096], line[300];
    const char *named;

    agreed(&v.w.x, "branch main short", "ok");
    ship(&v);
    agreed(&v.w.x, "drop short now", "ok");
    ship(&v);
    cr_assert_eq(say(&v.w.x, "restore short back", reply), -ENOENT);
    named = strstr(reply, "short@");
    cr_assert(named, "%s", reply);
    snprintf(line, sizeof line, "restore %.*s back wait", (int)strcspn(named, "\n"), named);
    agreed(&v.w.x, line, "ok ns=back");
}

Test(archive_verbs, a_full_restore_leaves_no_ghost)
{
    uint64_t objects, bytes, seq;
    char line[100];

    put_bytes(&v.w, "main/large", LARGE, 7);
    ship(&v);
    seq = number_in("durable main", "seq=");
    agreed(&v.w.x, "drop main now", "ok");
    ship(&v); /* its point goes, too */
    ship(&v);
    agreed(&v.w.x, "drain", "ok");
    snprintf(line, sizeof line, "restore main@%llu back full wait", (unsigned long long)seq);
    agreed(&v.w.x, line, " recalled=1");
    cr_assert_eq(refs_ghosts_on(v.w.x.p->refs, v.archive, &objects, &bytes), 0);
    cr_assert_eq(objects, 0);
}

Test(archive_verbs, an_archive_that_is_only_read_is_in_the_status)
{
    struct archive_format format;
    char why[SHARD_WHY];
    struct shard *s;

    ship(&v);
    agreed(&v.w.x, "archive remove", "ok");
    cr_assert_eq(shard_open("mem:vault", SHARD_READONLY, &s, why), 0);
    cr_assert_eq(archive_read_format(s, &format), 0);
    shard_close(s);
    cr_assert_eq(shards_add_archive(v.w.x.p->shards, 9, "mem:vault", format.id, 1, false, why), 0,
                 "%s", why);
    agreed(&v.w.x, "archive status", "archive=9 state=read-only url=mem:vault lineage=1");
}
