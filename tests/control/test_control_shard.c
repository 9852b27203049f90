// SPDX-License-Identifier: Apache-2.0
/* Claims of the verbs shard, move and recall: what they say, and what they refuse. */
#include "cache.h"
#include "move_fixture.h"

#include "archive_store.h"
#include "refs_impl.h"
#include "shards_impl.h"
#include "view.h"
#include <pthread.h>
#include <sched.h>

static struct world w;

static void up(void)
{
    world_up(&w);
}
static void down_all(void)
{
    world_down(&w);
}

TestSuite(control_shard, .init = up, .fini = down_all);

static void moved(void)
{
    put_bytes(&w, "main/a", 1000, 1);
    put_bytes(&w, "main/large", LARGE, 3);
    settle(&w);
    agreed(&w.x, "move main/ 1 wait", "ok objects=2 bytes=301000 skipped=0 failed=0 job=");
}

Test(control_shard, list_says_what_there_is)
{
    moved();
    agreed(&w.x, "shard list", "ok shards=2\n");
    agreed(&w.x, "shard list", "| shard=1 state=ok url=mem:cold objects=2 bytes=301000");
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(try_bytes(&w, "main/a", 1000, 1), -EIO);
    agreed(&w.x, "shard list", "| shard=1 state=unreachable url=mem:cold objects=2");
}

/* Has the store a cache on its own disk from now on, for shards that are far from now on? */
static void with_cache(void)
{
    shard_mem_set_far(true);
    w.x.cache = w.x.disk;
    fixture_reopen(&w.x);
}

static void text_has(enum view_text view, const char *text)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    cr_assert_eq(view_render(w.x.p, view, NULL, &out), 0);
    cr_assert(strstr(out.s, text), "%s is not in %s", text, out.s);
}

Test(control_shard, files_that_were_read_are_there_while_their_shard_is_away)
{
    moved();
    with_cache();
    has_bytes(&w, "main/a", 1000, 1);
    has_bytes(&w, "main/large", LARGE, 3);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    has_bytes(&w, "main/a", 1000, 1);
    has_bytes(&w, "main/large", LARGE, 3);
    fixture_reopen(&w.x);
    cr_assert_eq(try_bytes(&w, "main/a", 1000, 1), -EIO, "the cache begins empty");
}

Test(control_shard, the_cache_is_shown_and_its_setting_counts_at_once)
{
    moved();
    with_cache();
    text_has(VIEW_STATS_JSON, "\"limit_bytes\": 1073741824");
    has_bytes(&w, "main/a", 1000, 1);
    has_bytes(&w, "main/a", 1000, 1);
    text_has(VIEW_STATUS, "cache: kept_bytes=65536 limit_bytes=1073741824 hits=");
    text_has(VIEW_METRICS, "tallyfs_shard_cache_misses_total 1\n");
    agreed(&w.x, "set shard_cache 0", "ok shard_cache=0");
    text_has(VIEW_METRICS, "tallyfs_shard_cache_bytes 0\n");
    refused(&w.x, "set shard_cache 2T", -EINVAL, "between 0 and 1T");
}

Test(control_shard, a_store_whose_disk_is_short_of_room_takes_that_of_the_cache)
{
    struct cache_stats s;

    moved();
    with_cache();
    has_bytes(&w, "main/large", LARGE, 3);
    cache_get_stats(w.x.p->cache, &s);
    cr_assert_gt(s.bytes, LARGE);
    cr_assert_neq(flush_room_for(w.x.p, INT64_MAX), 0);
    cache_get_stats(w.x.p->cache, &s);
    cr_assert_eq(s.bytes, 0);
}

/* A sentence about a path may be cut off within a character, too. */
Test(control_shard, one_whose_url_is_no_utf8_is_shown_in_the_stats)
{
    CLEANUP_STRBUF struct strbuf json = STRBUF_INIT;
    struct shard_mem *odd;

    cr_assert_eq(shard_mem_create("odd\xff", &w.x.fault, &odd), 0);
    agreed(&w.x, "shard add 3 mem:odd\xff", "ok shard=3");
    cr_assert_eq(view_render(w.x.p, VIEW_STATS_JSON, NULL, &json), 0);
    cr_assert(strstr(json.s, "\"url\": \"mem:odd?\""), "%s", json.s);
    agreed(&w.x, "shard remove 3", "ok shard=3");
    shard_mem_destroy(odd);
}

Test(control_shard, numbers_and_words_that_are_none)
{
    refused(&w.x, "shard add 0 mem:x", -EINVAL, "0 is the store itself");
    refused(&w.x, "shard add 65536 mem:x", -EINVAL, "too high");
    refused(&w.x, "shard add x mem:x", -EINVAL, "x is not the number of a shard");
    refused(&w.x, "shard add 1 mem:other", -EEXIST, "1");
    refused(&w.x, "shard drain 7", -ENOENT, "there is no shard 7");
    refused(&w.x, "shard remove 7", -ENOENT, "there is no shard 7");
    refused(&w.x, "shard list wait", -EINVAL, "only `tally shard drain` is a job");
    refused(&w.x, "shard", -EINVAL, "usage");
    refused(&w.x, "shard frob 1", -EINVAL, "usage");
    refused(&w.x, "move main/ 7", -ENOENT, "there is no shard 7");
    refused(&w.x, "move main/ 0", -EINVAL, "`tally recall` brings objects home");
    refused(&w.x, "move 1", -EINVAL, "what is to be moved");
    refused(&w.x, "move main/a", -EINVAL, "main/a is not the number of a shard");
    refused(&w.x, "move idle=soon 1", -EINVAL, "soon is not a duration");
    refused(&w.x, "move larger=big 1", -EINVAL, "big is not a size");
    refused(&w.x, "recall idle=5d main/", -EINVAL, "unknown option idle=");
    refused(&w.x, "recall", -EINVAL, "usage");
}

Test(control_shard, a_place_that_is_another_shard_is_refused)
{
    char reply[4096];

    cr_assert_lt(say(&w.x, "shard add 3 mem:cold", reply), 0, "%s", reply);
    cr_assert_lt(say(&w.x, "shard add 3 mem:nowhere", reply), 0, "%s", reply);
    cr_assert_lt(say(&w.x, "shard add 3 nonsense", reply), 0, "%s", reply);
    agreed(&w.x, "shard list", "ok shards=2\n");
}

Test(control_shard, remove_is_refused_while_something_lives_there)
{
    moved();
    refused(&w.x, "shard remove 1", -EBUSY,
            "2 objects with 301000 bytes live there; `tally shard drain 1`");
    agreed(&w.x, "move main/ 2 wait", "objects=2"); /* the refusal left it as it was */
    agreed(&w.x, "move main/ 1 wait", "objects=2");
    agreed(&w.x, "shard remove 2", "ok shard=2");
    agreed(&w.x, "shard list", "ok shards=1\n");
    fixture_reopen(&w.x);
    agreed(&w.x, "shard list", "ok shards=1\n");
    agreed(&w.x, "shard add 2 mem:other", "ok shard=2");
}

Test(control_shard, remove_is_refused_while_dead_bytes_wait)
{
    moved();
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    remove_file(&w.x, "main/a");
    remove_file(&w.x, "main/large");
    refused(&w.x, "shard remove 1", -EBUSY, "2 files that nothing needs any more wait");
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC);
    shards_step(w.x.p);
    agreed(&w.x, "shard remove 1", "ok shard=1");
}

Test(control_shard, drain_brings_all_home_and_then_it_can_be_removed)
{
    moved();
    agreed(&w.x, "shard drain 1 wait", "objects=2 bytes=301000 skipped=0 failed=0 left=0 job=");
    refused(&w.x, "move main/ 1 wait", -EBUSY, "shard 1 is being drained");
    agreed(&w.x, "shard list", "draining=1");
    has_bytes(&w, "main/a", 1000, 1);
    has_bytes(&w, "main/large", LARGE, 3);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
    agreed(&w.x, "shard drain 1 wait", "objects=0");
    agreed(&w.x, "shard remove 1", "ok shard=1");
    cr_assert_eq(shard_mem_count(w.cold), 0);
}

Test(control_shard, a_drain_that_was_cut_off_goes_on_when_it_is_asked_for_again)
{
    char reply[4096];

    moved();
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_lt(say(&w.x, "shard drain 1 wait", reply), 0, "%s", reply);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    fixture_reopen(&w.x);
    agreed(&w.x, "shard drain 1 wait", "objects=2");
    agreed(&w.x, "shard remove 1", "ok");
}

Test(control_shard, a_target_that_cannot_take_anything_is_refused_with_a_sentence)
{
    put_bytes(&w, "main/a", 1000, 1);
    fixture_reopen(&w.x);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    refused(&w.x, "move main/a 1 wait", -EIO, "shard 1 is unreachable");
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    fixture_reopen(&w.x);
    shard_mem_swap(w.cold, w.other);
    refused(&w.x, "move main/a 1 wait", -EIO, "shard 1 is wrong");
    shard_mem_swap(w.cold, w.other);
    fixture_reopen(&w.x);
    shard_mem_set(w.cold, SHARD_MEM_READONLY, true);
    refused(&w.x, "move main/a 1 wait", -EROFS, "shard 1 is readonly");
}

Test(control_shard, settings_have_their_ranges)
{
    agreed(&w.x, "get sweep_rate", "sweep_rate=1000/s default=1000/s min=1/s max=1000000/s");
    agreed(&w.x, "set sweep_rate 50/s", "ok sweep_rate=50/s");
    agreed(&w.x, "set sweep_rate 60", "ok sweep_rate=60/s");
    refused(&w.x, "set sweep_rate 0", -EINVAL, "between");
    refused(&w.x, "set sweep_rate 1K", -EINVAL, "a rate: a decimal number");
    agreed(&w.x, "get sweep_interval", "sweep_interval=1h");
    agreed(&w.x, "get shard_wait", "shard_wait=0");
}

Test(control_shard, the_job_says_how_far_it_is)
{
    moved();
    agreed(&w.x, "recall main/", "ok job=2\n");
    agreed(&w.x, "wait 2", "ok objects=2 bytes=301000");
    struct job j;
    cr_assert_eq(job_get(w.x.p, 2, &j), 0);
    cr_assert_eq(j.done, 2);
    cr_assert_eq(j.total, 2);
    cr_assert_eq(j.bytes_done, 301000);
    cr_assert_eq(j.bytes_total, 301000);
}

static bool shows(enum view_text which, const char *words)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    cr_assert_eq(view_render(w.x.p, which, NULL, &text), 0);
    return strstr(text.s, words) != NULL;
}

/* No time passes: nobody has to wait for what asks again from time to time. */
Test(control_shard, one_that_is_back_is_seen_as_back_by_whoever_asks)
{
    moved();
    for (int i = 0; i < 8; i++) {
        shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
        cr_assert_eq(try_bytes(&w, "main/a", 1000, 1), -EIO);
        agreed(&w.x, "status", "shard=1 state=unreachable");
        agreed(&w.x, "sweep wait", " inconclusive=2");
        cr_assert(
            shows(VIEW_STATUS, "state       degraded: a shard that has objects cannot be read"));
        shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
        if (i == 0)
            agreed(&w.x, "shard list", "| shard=1 state=ok url=mem:cold objects=2");
        if (i == 1)
            agreed(&w.x, "status", "shard=1 state=ok");
        if (i == 2)
            agreed(&w.x, "sweep wait", " kept=2 inconclusive=0");
        if (i == 3)
            agreed(&w.x, "move main/a 1 wait", "ok objects=0");
        if (i == 4)
            cr_assert(shows(VIEW_STATUS, "state       ok\n"));
        if (i == 5)
            cr_assert(shows(VIEW_STATS_JSON, "\"state\": \"ok\""));
        if (i == 6)
            cr_assert(shows(VIEW_METRICS, "tallyfs_shard_ok{shard=\"1\"} 1\n"));
        if (i == 7)
            agreed(&w.x, "recall main/ wait", "ok objects=2");
    }
}

/* The addition alone puts 19 times: 16 times for the probe, identity, owner and spare file. */
Test(control_shard, requests_and_bytes_of_a_shard_are_shown_and_go_on_after_it_was_away)
{
    struct shards_info before, after;

    moved();
    cr_assert_eq(shards_info_get(w.x.p->shards, 1, &before), 0);
    cr_assert_gt(before.traffic.requests[SHARD_PUT], 19);
    cr_assert_gt(before.traffic.sent, 301000);
    cr_assert_gt(before.traffic.received, 301000);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    clock_manual_advance(&w.x.clock, SHARDS_BELIEVED);
    agreed(&w.x, "shard list", "| shard=1 state=unreachable");
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&w.x.clock, SHARDS_BELIEVED);
    agreed(&w.x, "shard list", "| shard=1 state=ok");
    cr_assert_eq(shards_info_get(w.x.p->shards, 1, &after), 0);
    cr_assert_geq(after.traffic.requests[SHARD_PUT], before.traffic.requests[SHARD_PUT]);
    cr_assert_gt(after.traffic.requests[SHARD_GET], before.traffic.requests[SHARD_GET]);

    char text[200];
    const struct shard_traffic *t = &after.traffic;

    snprintf(text, sizeof text,
             " puts=%d gets=%d stats=%d deletes=%d lists=%d sent=%d received=%d\n",
             (int)t->requests[SHARD_PUT], (int)t->requests[SHARD_GET], (int)t->requests[SHARD_STAT],
             (int)t->requests[SHARD_DELETE], (int)t->requests[SHARD_LIST], (int)t->sent,
             (int)t->received);
    agreed(&w.x, "shard list", text);
    snprintf(text, sizeof text, "tallyfs_shard_requests_total{shard=\"1\",kind=\"put\"} %d\n",
             (int)t->requests[SHARD_PUT]);
    cr_assert(shows(VIEW_METRICS, text));
    snprintf(text, sizeof text,
             "tallyfs_shard_transferred_bytes_total{shard=\"1\",kind=\"sent\"} %d\n", (int)t->sent);
    cr_assert(shows(VIEW_METRICS, text));
    cr_assert(shows(VIEW_METRICS, "# TYPE tallyfs_shard_requests_total counter\n"));
    snprintf(text, sizeof text, "\"sent_bytes\": %d", (int)t->sent);
    cr_assert(shows(VIEW_STATS_JSON, text));
    snprintf(text, sizeof text, "\"put\": %d", (int)t->requests[SHARD_PUT]);
    cr_assert(shows(VIEW_STATS_JSON, text));
}

/* Nobody reads what is there, and no sweep runs. */
Test(control_shard, one_that_went_away_unseen_is_seen_as_away_by_whoever_asks_a_little_later)
{
    moved();
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    clock_manual_advance(&w.x.clock, SHARDS_BELIEVED);
    cr_assert(shows(VIEW_STATUS, "state       degraded: a shard that has objects cannot be read"));
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    cr_assert(shows(VIEW_STATUS, "state       ok\n"));
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    clock_manual_advance(&w.x.clock, SHARDS_BELIEVED);
    cr_assert(shows(VIEW_STATS_JSON, "\"state\": \"degraded\""));
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
}

static uint64_t asked_by_status(void)
{
    uint64_t before = shard_mem_calls(w.cold, SHARD_MEM_SPACE);

    agreed(&w.x, "status", "ok");
    return shard_mem_calls(w.cold, SHARD_MEM_SPACE) - before;
}

Test(control_shard, one_that_was_asked_a_moment_ago_is_not_asked_again)
{
    moved();
    clock_manual_advance(&w.x.clock, SHARDS_BELIEVED);
    cr_assert_eq(asked_by_status(), 1);
    clock_manual_advance(&w.x.clock, SHARDS_BELIEVED - 1);
    cr_assert_eq(asked_by_status(), 0);
}

Test(control_shard, what_is_on_one_that_only_another_copy_may_write_can_be_read)
{
    struct shards *s = w.x.p->shards;

    moved();
    {
        MUTEX_GUARD(&s->lock);
        shards_set_state(s, shards_find(s, 1), SHARDS_FOREIGN, "another copy writes to it");
    }
    cr_assert(shows(VIEW_STATUS, "shard=1 state=foreign"));
    cr_assert(shows(VIEW_STATUS, "state       ok\n"));
}

Test(control_shard, how_much_is_on_one_is_unknown_where_the_table_is_damaged)
{
    moved();
    w.x.p->refs->ghost.damaged = true;
    cr_assert(shows(VIEW_STATUS, " ghosts=unknown bytes=unknown to_be_deleted=0"));
    cr_assert(shows(VIEW_STATS_JSON, "\"ghosts\": null,\n      \"bytes\": null"));
    agreed(&w.x, "shard list", " objects=unknown bytes=unknown");
    cr_assert(!shows(VIEW_METRICS, "tallyfs_shard_ghosts"));
}

/* ---- jobs that are queued ---- */

static int until_told(struct state *p, struct job *j, void *arg)
{
    (void)p;
    (void)arg;
    while (!atomic_load(&j->cancel))
        sched_yield();
    return -ECANCELED;
}

/* Job 1 is at work, and the others are behind it. */
static void one_at_work(void)
{
    struct job *j;

    cr_assert_eq(job_start(w.x.p, "test", "", &j), 0);
    cr_assert_eq(job_run(w.x.p, j, &(struct job_work){.fn = until_told}, -1, NULL), 0);
}

Test(control_shard, a_drain_that_is_cancelled_before_it_begins_leaves_the_shard_in_use)
{
    struct shards_info info;

    one_at_work();
    agreed(&w.x, "shard drain 1", "ok job=2\n");
    cr_assert_eq(shards_info_get(w.x.p->shards, 1, &info), 0);
    cr_assert(info.draining);
    agreed(&w.x, "cancel 2", "ok");
    cr_assert_eq(shards_info_get(w.x.p->shards, 1, &info), 0);
    cr_assert_not(info.draining);
    agreed(&w.x, "cancel 1", "ok");
}

static _Atomic bool interrupted;

/* Interrupts the command as soon as its job, of that number, is there. */
static void *interrupt_at(void *number)
{
    struct job j;

    while (job_get(w.x.p, *(uint64_t *)number, &j) < 0)
        sched_yield();
    atomic_store(&interrupted, true);
    return NULL;
}

/* Commands a drain of shard 1, which becomes that job, and is interrupted while the queue of jobs is
 * full. */
static void drain_in_vain(uint64_t number)
{
    struct control_session *s;
    pthread_t t;

    atomic_store(&interrupted, false);
    cr_assert_eq(control_open(w.x.p, &s), 0);
    cr_assert_eq(pthread_create(&t, NULL, interrupt_at, &number), 0);
    cr_assert_eq(control_write_at(s, "shard drain 1", 13, 0, &interrupted), -EINTR);
    cr_assert_eq(pthread_join(t, NULL), 0);
    control_close(s);
}

static bool drains(void)
{
    struct shards_info info;

    cr_assert_eq(shards_info_get(w.x.p->shards, 1, &info), 0);
    return info.draining;
}

Test(control_shard, a_drain_that_no_job_does_leaves_the_shard_as_it_was)
{
    struct job *j;

    one_at_work();
    cr_assert_eq(workers_set_queue(w.x.p->workers, 1), 0);
    cr_assert_eq(job_start(w.x.p, "test", "", &j), 0);
    cr_assert_eq(job_run(w.x.p, j, &(struct job_work){.fn = until_told}, -1, NULL), 0);
    drain_in_vain(3);
    cr_assert_not(drains());
    cr_assert_eq(shards_set_draining(w.x.p->shards, 1, true), 0);
    drain_in_vain(4);
    cr_assert(drains()); /* as an earlier drain has left it */
    agreed(&w.x, "cancel 2", "ok");
    agreed(&w.x, "cancel 1", "ok");
}

Test(control_shard, a_drain_that_is_queued_when_the_store_is_closed_leaves_the_shard_draining)
{
    struct shards_info info;

    one_at_work();
    agreed(&w.x, "shard drain 1", "ok job=2\n");
    fixture_reopen(&w.x);
    cr_assert_eq(shards_info_get(w.x.p->shards, 1, &info), 0);
    cr_assert(info.draining);
}

static uint64_t key_of(uint64_t number)
{
    struct job j;

    cr_assert_eq(job_get(w.x.p, number, &j), 0);
    return j.work.key;
}

Test(control_shard, moves_of_one_namespace_have_its_key)
{
    put_bytes(&w, "main/a", 1000, 1);
    put_bytes(&w, "main/b", 1000, 2);
    agreed(&w.x, "branch main main2", "ok");
    settle(&w);
    one_at_work();
    agreed(&w.x, "move main/a 1", "ok job=2\n");
    agreed(&w.x, "recall main/b main/a", "ok job=3\n");
    agreed(&w.x, "recall main2/", "ok job=4\n");
    agreed(&w.x, "recall main/a main2/a", "ok job=5\n");
    agreed(&w.x, "move idle=0s 1", "ok job=6\n");
    cr_assert_neq(key_of(2), 0);
    cr_assert_eq(key_of(3), key_of(2));
    cr_assert_neq(key_of(4), 0);
    cr_assert_neq(key_of(4), key_of(2));
    cr_assert_eq(key_of(5), 0, "of two");
    cr_assert_eq(key_of(6), 0, "of all");
    agreed(&w.x, "cancel 4", "ok"); /* these have no order with the others */
    agreed(&w.x, "cancel 5", "ok");
    agreed(&w.x, "cancel 6", "ok");
    agreed(&w.x, "cancel 1", "ok");
    agreed(&w.x, "wait 3", "ok");
    agreed(&w.x, "resolve main/a", " shard=0");
}

/* ---- archives ---- */

Test(control_shard, an_archive_is_listed_as_one)
{
    moved();
    becomes_archive(&w.x, 1, "mem:cold");
    agreed(&w.x, "shard list", "| shard=1 state=ok url=mem:cold objects=2 bytes=301000");
    agreed(&w.x, "shard list", " archive=yes lineage=7");
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    cr_assert_eq(view_render(w.x.p, VIEW_STATUS, NULL, &text), 0);
    cr_assert(strstr(text.s, " archive=yes lineage=7 url=mem:cold\n"), "%s", text.s);
    strbuf_clear(&text);
    cr_assert_eq(view_render(w.x.p, VIEW_STATS_JSON, NULL, &text), 0);
    cr_assert(strstr(text.s, "\"archive\": true"), "%s", text.s);
    cr_assert(strstr(text.s, "\"archive\": false"), "%s", text.s);
}

Test(control_shard, an_archive_is_no_shard_to_move_to_or_to_drain_or_remove)
{
    static const char *const refusals[] = {"move main/b 1 wait", "shard drain 1 wait",
                                           "shard remove 1"};

    moved();
    put_bytes(&w, "main/b", 1000, 2);
    becomes_archive(&w.x, 1, "mem:cold");
    cr_assert_eq(shards_allow(w.x.p->shards, 1, UINT64_C(1) << 40), 0);
    for (size_t i = 0; i < 3; i++)
        refused(&w.x, refusals[i], -EINVAL, "1 is an archive");
    refused(&w.x, "shard add 1 mem:cold", -EEXIST, "the number 1 is that of an archive");
    refused(&w.x, "shard add 3 mem:cold", -EBUSY, "that is the archive with number 1");
    agreed(&w.x, "shard list", "shards=2");
    cr_assert_eq(shard_of(&w, "main/b"), 0);
}

Test(control_shard, what_is_in_an_archive_comes_home_and_stays_there)
{
    moved();
    becomes_archive(&w.x, 1, "mem:cold");
    uint64_t names = shard_mem_count(w.cold);

    agreed(&w.x, "recall main/ wait", "objects=2 bytes=301000 skipped=0 failed=0");
    settle(&w);
    cr_assert_eq(shard_of(&w, "main/a"), 0);
    cr_assert_eq(shard_of(&w, "main/large"), 0);
    cr_assert_eq(ghosts_on(&w, 1), 0);
    cr_assert_eq(shard_mem_count(w.cold), names);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    has_bytes(&w, "main/a", 1000, 1);
    has_bytes(&w, "main/large", LARGE, 3);
}

Test(control_shard, what_is_in_an_archive_moves_to_a_shard)
{
    moved();
    becomes_archive(&w.x, 1, "mem:cold");
    uint64_t names = shard_mem_count(w.cold);

    agreed(&w.x, "move main/ 2 wait", "objects=2 ");
    settle(&w);
    cr_assert_eq(shard_of(&w, "main/large"), 2);
    cr_assert_eq(shard_mem_count(w.cold), names);
}
