// SPDX-License-Identifier: Apache-2.0
/*
 * Sweeps of a store whose objects are on shards in memory, which lose things, deny, lie, are away,
 * slow, read-only or exchanged. Each verdict of CONTRACTS section 2 and what is remembered of it.
 */
#include "repair_fixture.h"

#include "archive_store.h"
#include "move.h"
#include "rate.h"
#include "report.h"
#include "shard_mem.h"
#include "shards.h"
#include "sweep.h"
#include "view.h"

static struct fixture x;
static struct shard_mem *cold, *other;
static char said[1 << 20]; /* alarms */
static unsigned alarms;

static void on_report(enum report_level level, const char *text, void *ctx)
{
    size_t n = strlen(said);

    (void)ctx;
    if (level != REPORT_ALARM)
        return;
    alarms++;
    snprintf(said + n, sizeof said - n, "%s\n", text);
}

static void up(void)
{
    shard_mem_register();
    cr_assert_eq(shard_mem_create("cold", NULL, &cold), 0);
    cr_assert_eq(shard_mem_create("other", NULL, &other), 0);
    fixture_setup(&x);
    agreed(&x, "shard add 1 mem:cold", "ok");
    agreed(&x, "shard add 2 mem:other", "ok");
    agreed(&x, "set grace_period 0s", "ok");
    agreed(&x, "set sweep_rate 1000000/s", "ok"); /* nobody turns the clock */
    said[0] = 0;
    alarms = 0;
    report_set_sink(on_report, NULL);
}
static void down_all(void)
{
    report_set_sink(NULL, NULL);
    fixture_teardown(&x);
    shard_mem_destroy(cold);
    shard_mem_destroy(other);
}
TestSuite(sweep, .init = up, .fini = down_all);

/* ---- what is on shards ---- */

static void drain(void)
{
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

static void move_to(const char *path, unsigned shard)
{
    char command[300];

    snprintf(command, sizeof command, "move %s %u wait", path, shard);
    agreed(&x, command, "ok");
}

/* A ghost in a pack, and one that is a file of its own. */
static void two_ghosts(void)
{
    put_file(&x, "main/small", "a few bytes");
    put_big(&x, "main/big", 300000);
    move_to("main/small", 1);
    move_to("main/big", 1);
    drain();
}

/* So many in one pack, or a few. */
static void many_ghosts(unsigned count)
{
    char path[64];

    agreed(&x, "branch main many", "ok");
    for (unsigned i = 0; i < count; i++) {
        snprintf(path, sizeof path, "many/f%u", i);
        put_file(&x, path, path);
    }
    move_to("many/", 1);
    drain();
    cr_assert_eq(refs_ghosts(x.p->refs), count);
}

static uint64_t number_at(const char *path, struct entry *ret)
{
    uint64_t node = node_of(&x, path), number;
    struct inode in;
    struct ns *ns;

    cr_assert(node, "%s", path);
    cr_assert_eq(ns_get(x.p, vfs_node_ns(node), &ns), 0);
    {
        READ_GUARD(&ns->lock);
        cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node), &in), 0);
    }
    ns_put(x.p, ns);
    cr_assert_eq(refs_entry(x.p->refs, in.object, true, &number, ret), 0);
    return number;
}

static int lose_one(const char *name, uint64_t size, void *ctx)
{
    char (*names)[DISK_NAME_MAX + 1] = ctx;

    (void)size;
    while (**names)
        names++;
    strcpy(*names, name);
    return 0;
}

/* All bytes of objects there are gone; the shard is the one it was. */
static void lose_all(struct shard_mem *m, const char *url)
{
    static char names[64][DISK_NAME_MAX + 1];
    char why[SHARD_WHY];
    struct shard *s;

    memset(names, 0, sizeof names);
    cr_assert_eq(shard_open(url, 0, &s, why), 0);
    cr_assert_eq(shard_list(s, "packs", lose_one, names), 0);
    cr_assert_eq(shard_list(s, "objects", lose_one, names), 0);
    shard_close(s);
    cr_assert(*names[0]);
    for (size_t i = 0; *names[i]; i++)
        cr_assert_eq(shard_mem_lose(m, names[i]), 0);
}

/* ---- what is said ---- */

static void sweep_says(const char *what)
{
    agreed(&x, "sweep wait", what);
}

static bool has_line(const char *part)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    cr_assert_eq(view_render(x.p, VIEW_STATUS, NULL, &text), 0);
    return strstr(text.s, part);
}

static struct sweep_status status(void)
{
    struct sweep_status s;

    sweep_get(x.p, &s);
    return s;
}

static bool alarmed(const char *part)
{
    return strstr(said, part);
}

/* ---- verdicts ---- */

Test(sweep, what_the_shard_has_is_kept)
{
    two_ghosts();
    sweep_says(" checked=2 purged=0 kept=2 inconclusive=0 lost=0");
    cr_assert_eq(alarms, 0);
    cr_assert_eq(refs_ghosts(x.p->refs), 2);
    cr_assert(has_line("sweep       last=1970-01-01T00:16:40Z checked=2 purged=0 kept=2"));
}

Test(sweep, without_ghosts_it_has_nothing_to_do)
{
    put_file(&x, "main/f", "at home");
    drain();
    sweep_says(" checked=0 purged=0 kept=0 inconclusive=0 lost=0");
}

Test(sweep, a_count_of_0_is_purged_without_asking_the_shard)
{
    uint64_t asked;

    two_ghosts();
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    remove_file(&x, "main/small");
    asked = shard_mem_calls(cold, SHARD_MEM_STAT);
    remove_file(&x, "main/big");
    sweep_says(" checked=2 purged=2 kept=0 inconclusive=0 lost=0");
    cr_assert_eq(shard_mem_calls(cold, SHARD_MEM_STAT), asked);
    cr_assert_eq(refs_ghosts(x.p->refs), 0);
    cr_assert_eq(status().purged, 2);
    cr_assert_eq(refs_dead_ghosts_on(x.p->refs, 1), 2);
    cr_assert(has_line("to_be_deleted=2"));
}

Test(sweep, the_bytes_of_what_was_purged_go_once_the_shard_is_back)
{
    uint64_t names;

    put_big(&x, "main/first", 200000);
    move_to("main/first", 1);
    remove_file(&x, "main/first");
    drain();
    names = shard_mem_count(cold);
    two_ghosts();
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    remove_file(&x, "main/small");
    remove_file(&x, "main/big");
    sweep_says(" purged=2 ");
    shards_step(x.p);
    cr_assert_eq(refs_dead_ghosts_on(x.p->refs, 1), 2);
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    shards_step(x.p);
    cr_assert_eq(refs_dead_ghosts_on(x.p->refs, 1), 0);
    cr_assert_eq(shard_mem_count(cold), names);
}

Test(sweep, a_shard_that_cannot_be_asked_gives_no_verdict)
{
    two_ghosts();
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    sweep_says(" checked=2 purged=0 kept=0 inconclusive=2 lost=0");
    cr_assert_eq(status().lost, 0);
    cr_assert_not(alarmed("lost"));
}

Test(sweep, the_next_sweep_asks_again)
{
    two_ghosts();
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    sweep_says(" inconclusive=2 ");
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    sweep_says(" checked=2 purged=0 kept=2 inconclusive=0 lost=0");
}

Test(sweep, once_a_shard_is_away_it_is_not_asked_for_each)
{
    many_ghosts(300);
    put_big(&x, "main/big", 300000);
    move_to("main/big", 1);
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    uint64_t asked = shard_mem_calls(cold, SHARD_MEM_STAT) + shard_mem_calls(cold, SHARD_MEM_GET);
    sweep_says(" inconclusive=301 ");
    cr_assert_lt(shard_mem_calls(cold, SHARD_MEM_STAT) + shard_mem_calls(cold, SHARD_MEM_GET),
                 asked + 5);
}

Test(sweep, a_shard_that_denies_everything_even_itself_is_not_believed)
{
    two_ghosts();
    shard_mem_set(cold, SHARD_MEM_DENIES, true);
    sweep_says(" checked=2 purged=0 kept=0 inconclusive=2 lost=0");
}

Test(sweep, another_disk_in_its_place_is_not_believed)
{
    two_ghosts();
    shard_mem_swap(cold, other);
    sweep_says(" checked=2 purged=0 kept=0 inconclusive=2 lost=0");
    cr_assert_eq(status().lost, 0);
    shard_mem_swap(cold, other);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    sweep_says(" kept=2 ");
}

Test(sweep, a_read_only_shard_is_asked_as_any)
{
    two_ghosts();
    shard_mem_set(cold, SHARD_MEM_READONLY, true);
    sweep_says(" kept=2 ");
}

Test(sweep, a_shard_that_says_yes_is_believed_for_its_bytes_are_a_scrubs)
{
    two_ghosts();
    shard_mem_set(cold, SHARD_MEM_BOASTS, true);
    lose_all(cold, "mem:cold");
    sweep_says(" kept=2 inconclusive=0 lost=0");
}

static void let_time_pass(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    clock_manual_advance(&x.clock, duration_ns);
}

Test(sweep, a_slow_shard_makes_it_slow_and_no_more)
{
    two_ghosts();
    shard_mem_set_latency(cold, 20 * NSEC_PER_SEC, let_time_pass, NULL);
    sweep_says(" kept=2 inconclusive=0 lost=0");
}

/* ---- denials ---- */

Test(sweep, what_a_shard_denies_and_somebody_refers_to_is_lost_and_kept)
{
    two_ghosts();
    branch(&x, "main", "dev");
    lose_all(cold, "mem:cold");
    sweep_says(" checked=2 purged=0 kept=2 inconclusive=0 lost=2");
    cr_assert_eq(refs_ghosts(x.p->refs), 2);
    cr_assert_eq(status().lost, 2);
}

Test(sweep, an_alarm_names_the_object_its_shard_and_the_paths_concerned)
{
    struct entry e;
    char hex[ID_HEX + 1], line[200];

    two_ghosts();
    branch(&x, "main", "dev");
    (void)number_at("main/big", &e);
    id_to_hex(&e.id, hex);
    lose_all(cold, "mem:cold");
    sweep_says(" lost=2");
    snprintf(line, sizeof line, "object %s is lost: shard 1 does not have its bytes any more", hex);
    cr_assert(alarmed(line), "%s", said);
    cr_assert(alarmed("main/big"), "%s", said);
    cr_assert(alarmed("dev/big"), "%s", said);
    cr_assert(alarmed("main/small"), "%s", said);
}

Test(sweep, a_loss_is_shown_until_it_is_over_and_the_state_is_degraded)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    two_ghosts();
    lose_all(cold, "mem:cold");
    sweep_says(" lost=2");
    cr_assert(has_line("LOST 2: "));
    cr_assert(has_line("state       degraded: a shard has lost objects that are needed"));
    cr_assert_eq(view_render(x.p, VIEW_METRICS, NULL, &text), 0);
    cr_assert(strstr(text.s, "\ntallyfs_ghosts_lost 2\n"));
    agreed(&x, "object main/big", " shard=1 stored=file lost=1");
    agreed(&x, "why main/big", "lost: shard 1 does not have its bytes any more");
    fixture_reopen(&x);
    cr_assert(has_line("LOST 2: "), "a restart forgets it");
    remove_file(&x, "main/big");
    cr_assert(has_line("LOST 1: "));
    remove_file(&x, "main/small");
    cr_assert_not(has_line("LOST"));
    cr_assert(has_line("state       ok"));
}

Test(sweep, a_loss_is_told_once)
{
    unsigned told;

    two_ghosts();
    lose_all(cold, "mem:cold");
    sweep_says(" lost=2");
    told = alarms;
    cr_assert_gt(told, 0);
    sweep_says(" lost=2");
    fixture_reopen(&x);
    sweep_says(" lost=2");
    cr_assert_eq(alarms, told, "%s", said);
}

Test(sweep, the_same_bytes_written_again_heal_a_loss)
{
    two_ghosts();
    lose_all(cold, "mem:cold");
    sweep_says(" lost=2");
    cr_assert_lt(try_read(&x, "main/big"), 0);
    put_file(&x, "main/again", "a few bytes");
    put_big(&x, "main/big again", 300000);
    drain();
    cr_assert_eq(status().lost, 0, "it is still said to be lost");
    cr_assert_eq(try_read(&x, "main/big"), 300000);
    cr_assert_eq(try_read(&x, "main/small"), 11);
    sweep_says(" lost=0");
    cr_assert(has_line("state       ok"));
}

Test(sweep, bytes_that_are_put_back_are_found_again)
{
    struct shard_mem *backup;

    cr_assert_eq(shard_mem_create("backup", NULL, &backup), 0);
    two_ghosts();
    shard_mem_copy(backup, cold);
    lose_all(cold, "mem:cold");
    sweep_says(" lost=2");
    shard_mem_copy(cold, backup);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    cr_assert_eq(status().lost, 2, "nobody has looked");
    sweep_says(" inconclusive=2 "); /* what was open is not there any more */
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    sweep_says(" kept=2 inconclusive=0 lost=0");
    cr_assert_eq(status().lost, 0);
    cr_assert_eq(try_read(&x, "main/big"), 300000);
    shard_mem_destroy(backup);
}

Test(sweep, what_was_lost_stays_so_while_its_shard_is_away)
{
    two_ghosts();
    lose_all(cold, "mem:cold");
    sweep_says(" lost=2");
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    sweep_says(" inconclusive=2 lost=0");
    cr_assert_eq(status().lost, 2);
}

Test(sweep, something_young_is_never_taken_for_lost_or_stale)
{
    agreed(&x, "set grace_period 300s", "ok");
    two_ghosts();
    lose_all(cold, "mem:cold");
    sweep_says(" checked=2 purged=0 kept=0 inconclusive=2 lost=0");
    clock_manual_advance(&x.clock, 299 * NSEC_PER_SEC);
    sweep_says(" inconclusive=2 lost=0");
    cr_assert_not(alarmed("lost"));
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    sweep_says(" inconclusive=0 lost=2");
}

/* Nobody refers to it, and yet its count is 1. */
static void leak_of(const char *path)
{
    struct entry e;
    uint64_t number = number_at(path, &e);

    {
        WRITE_GUARD(&x.p->freeze_lock);
        cr_assert_eq(refs_correct(x.p->refs, number, 1), 0);
    }
    remove_file(&x, path);
    drain();
    cr_assert_eq(refs_entry(x.p->refs, number, false, NULL, &e), 0);
    cr_assert_eq(e.count, 1);
}

Test(sweep, what_a_shard_denies_and_a_recount_finds_nobody_to_refer_to_is_purged)
{
    two_ghosts();
    leak_of("main/big");
    sweep_says(" checked=2 purged=0 kept=2 inconclusive=0 lost=0");
    lose_all(cold, "mem:cold");
    sweep_says(" checked=2 purged=1 kept=1 inconclusive=0 lost=1");
    cr_assert_eq(refs_ghosts(x.p->refs), 1);
    cr_assert_not(alarmed("main/big"));
    cr_assert_eq(status().lost, 1);
    drain();
    cr_assert_eq(refs_dead_ghosts_on(x.p->refs, 1), 0);
}

Test(sweep, a_pin_refers_to_it)
{
    char hex[ID_HEX + 1], command[64];
    struct entry e;

    two_ghosts();
    (void)number_at("main/big", &e);
    id_to_hex(&e.id, hex);
    snprintf(command, sizeof command, "pin %s", hex);
    agreed(&x, command, "ok");
    remove_file(&x, "main/big");
    drain();
    lose_all(cold, "mem:cold");
    sweep_says(" purged=0 kept=2 inconclusive=0 lost=2");
}

Test(sweep, of_stale_alive_and_unreachable_it_purges_1_keeps_1_leaves_1_and_2_remain)
{
    put_file(&x, "main/stale", "stale");
    move_to("main/stale", 1);
    drain();
    leak_of("main/stale");
    lose_all(cold, "mem:cold");
    put_file(&x, "main/alive", "alive");
    move_to("main/alive", 1);
    put_file(&x, "main/away", "away");
    move_to("main/away", 2);
    drain();
    shard_mem_set(other, SHARD_MEM_UNREACHABLE, true);
    sweep_says(" checked=3 purged=1 kept=1 inconclusive=1 lost=0");
    cr_assert_eq(refs_ghosts(x.p->refs), 2);
}

Test(sweep, of_a_pack_that_became_shorter_the_rest_is_kept)
{
    static uint8_t bytes[1 << 20];
    static char names[64][DISK_NAME_MAX + 1];
    char why[SHARD_WHY];
    struct entry e;
    struct shard *s;

    many_ghosts(100);
    (void)number_at("many/f40", &e);
    cr_assert_eq(shard_open("mem:cold", 0, &s, why), 0);
    cr_assert_eq(shard_list(s, "packs", lose_one, names), 0);
    cr_assert_geq(shard_get(s, names[0], bytes, sizeof bytes), e.offset);
    cr_assert_eq(shard_put(s, names[0], bytes, e.offset), 0);
    shard_close(s);
    struct ghost_report r;
    uint64_t asked = shard_mem_calls(cold, SHARD_MEM_STAT);
    cr_assert_eq(sweep_store(x.p, NULL, false, NULL, &r), 0);
    cr_assert_leq(shard_mem_calls(cold, SHARD_MEM_STAT), asked + 3);
    cr_assert_eq(r.checked, 100);
    cr_assert_eq(r.kept, 100);
    cr_assert(r.lost > 0 && r.lost < 100, "%llu", (unsigned long long)r.lost);
    cr_assert(sweep_is_lost(x.p, number_at("many/f40", &e)));
}

Test(sweep, a_pack_is_asked_for_once_a_batch)
{
    uint64_t asked;

    many_ghosts(500);
    asked = shard_mem_calls(cold, SHARD_MEM_STAT);
    sweep_says(" kept=500 ");
    cr_assert_leq(shard_mem_calls(cold, SHARD_MEM_STAT), asked + 3);
}

Test(sweep, more_losses_than_are_remembered_are_counted)
{
    many_ghosts(SWEEP_LOST_MAX + 6);
    lose_all(cold, "mem:cold");
    sweep_says(" lost=1030");
    cr_assert_eq(status().lost, 1030);
    cr_assert(alarmed("6 more objects are lost"), "%s", said);
    cr_assert(has_line("LOST 1030: "));
}

/* ---- in the middle of changes ---- */

static bool hooked;

static void recall_meanwhile(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    (void)duration_ns;
    if (hooked)
        return;
    hooked = true;
    agreed(&x, "recall main/big wait", "ok");
    drain();
}
static void move_meanwhile(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    (void)duration_ns;
    if (hooked)
        return;
    hooked = true;
    agreed(&x, "move main/big 2 wait", "ok");
    drain();
}
static void remove_meanwhile(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    (void)duration_ns;
    if (hooked)
        return;
    hooked = true;
    remove_file(&x, "main/big");
    drain();
}

static void one_ghost(void (*hook)(void *ctx, int64_t duration_ns))
{
    put_big(&x, "main/big", 300000);
    move_to("main/big", 1);
    drain();
    hooked = false;
    /* a sweep and what the hook begins at once */
    cr_assert_eq(workers_set_threads(x.p->workers, 2, 3), 0);
    shard_mem_set_latency(cold, 1, hook, NULL);
}

Test(sweep, what_comes_home_while_its_shard_is_asked_is_not_lost)
{
    one_ghost(recall_meanwhile);
    sweep_says(" checked=1 purged=0 kept=0 inconclusive=1 lost=0");
    cr_assert(hooked);
    cr_assert_eq(try_read(&x, "main/big"), 300000);
}

Test(sweep, what_moves_on_while_its_shard_is_asked_is_asked_for_where_it_is)
{
    one_ghost(move_meanwhile);
    sweep_says(" checked=1 purged=0 kept=1 inconclusive=0 lost=0");
    cr_assert(hooked);
    agreed(&x, "resolve main/big", " shard=2");
}

Test(sweep, what_is_removed_while_its_shard_is_asked_is_not_lost)
{
    one_ghost(remove_meanwhile);
    sweep_says(" checked=1 purged=0 kept=0 inconclusive=1 lost=0");
    cr_assert(hooked);
    cr_assert_eq(alarms, 0);
}

/* ---- dry runs and lists ---- */

Test(sweep, a_dry_run_changes_nothing)
{
    two_ghosts();
    leak_of("main/big");
    lose_all(cold, "mem:cold");
    agreed(&x, "sweep dry-run wait", " checked=2 purged=1 kept=1 inconclusive=0 lost=1");
    cr_assert_eq(alarms, 0);
    cr_assert_eq(refs_ghosts(x.p->refs), 2);
    cr_assert_eq(status().lost, 0);
    cr_assert_eq(status().ended, 0);
    cr_assert_eq(status().sweeps, 0);
    agreed(&x, "sweep dry-run wait", " purged=1 ");
}

Test(sweep, a_list_has_a_line_for_each_that_is_not_simply_kept)
{
    char reply[4096], hex[ID_HEX + 1], line[200];
    struct entry e;

    two_ghosts();
    put_file(&x, "main/alive", "alive");
    (void)number_at("main/big", &e);
    id_to_hex(&e.id, hex);
    lose_all(cold, "mem:cold");
    move_to("main/alive", 1);
    cr_assert_gt(say(&x, "sweep dry-run list wait", reply), 0);
    snprintf(line, sizeof line,
             "| verdict=lost object=%s shard=1 refs=1 size=300000 reason=denied\n", hex);
    cr_assert(strstr(reply, line), "%s", reply);
    cr_assert_not(strstr(reply, "verdict=keep"), "%s", reply);
    agreed(&x, "sweep list wait", line);
}

Test(sweep, the_job_of_a_list_shows_its_ghosts)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char reply[4096];

    two_ghosts();
    lose_all(cold, "mem:cold");
    cr_assert_gt(say(&x, "sweep dry-run list wait", reply), 0);
    for (uint64_t job = 1; view_job(x.p, job, &text) == 0; job++)
        ;
    cr_assert(strstr(text.s, "\nghost=\"verdict=lost object="), "%s", text.s);
    cr_assert_not(strstr(text.s, "would_collect="), "%s", text.s);
}

Test(sweep, other_words_are_refused)
{
    refused(&x, "sweep now", -EINVAL, "after sweep come dry-run and list, each once, not now");
    refused(&x, "sweep list list", -EINVAL, "not list");
    refused(&x, "sweep \"list\"", -EINVAL, "not list");
}

/* ---- where things are ---- */

Test(sweep, resolve_tells_the_shard_and_nothing_of_strangers)
{
    two_ghosts();
    put_file(&x, "main/home", "at home");
    drain();
    agreed(&x, "resolve main/big", "ok shard=1\n");
    agreed(&x, "resolve main/home", "ok shard=0\n");
    refused(&x, "resolve 00000000000000000000000000000000", -ENOENT, "there is no object 0000");
    refused(&x, "resolve main/nothing", -ENOENT, "there is no main/nothing");
    agreed(&x, "why main/big", "its bytes are on shard 1 (mem:cold), which is ok");
}

Test(sweep, ghosts_are_listed_one_a_line)
{
    char text[4096] = "", hex[ID_HEX + 1], line[200];
    FILE *out = tmpfile();
    struct entry e;

    two_ghosts();
    (void)number_at("main/big", &e);
    id_to_hex(&e.id, hex);
    cr_assert_eq(view_ghosts(x.p, out), 0);
    cr_assert_gt(pread(fileno(out), text, sizeof text - 1, 0), 0);
    snprintf(line, sizeof line,
             "object=%s shard=1 refs=1 size=300000 created=1970-01-01T00:16:40Z\n", hex);
    cr_assert(strstr(text, line), "%s", text);
    cr_assert(strstr(text, " size=11 "));
    remove_file(&x, "main/big");
    remove_file(&x, "main/small"); /* what nobody needs is on its way out, and not listed */
    cr_assert_gt(refs_ghosts(x.p->refs), 0);
    cr_assert_eq(ftruncate(fileno(out), 0), 0);
    rewind(out);
    cr_assert_eq(view_ghosts(x.p, out), 0);
    cr_assert_eq(pread(fileno(out), text, sizeof text - 1, 0), 0, "%s", text);
    fclose(out);
}

Test(sweep, a_store_whose_files_are_on_a_shard_that_is_away_is_degraded)
{
    agreed(&x, "status", "state=ok");
    two_ghosts();
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, true);
    shard_mem_set(other, SHARD_MEM_UNREACHABLE, true);
    (void)shards_said(x.p->shards, 2, -EHOSTUNREACH);
    agreed(&x, "status", "state=ok"); /* nothing is there */
    (void)shards_said(x.p->shards, 1, -EHOSTUNREACH);
    agreed(&x, "status", "state=degraded");
    agreed(&x, "status", "degraded: a shard that has objects cannot be read");
    shard_mem_set(cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&x.clock, 60 * NSEC_PER_SEC);
    (void)shards_look(x.p->shards);
    agreed(&x, "status", "state=ok");
}

Test(sweep, one_that_deleted_something_says_so_in_the_journal)
{
    char recent[8][REPORT_TEXT];
    size_t n;

    two_ghosts();
    report_reset();
    agreed(&x, "sweep wait", "purged=0");
    cr_assert_eq(report_recent(REPORT_NOTE, recent, 8), 0);
    remove_file(&x, "main/big");
    agreed(&x, "sweep dry-run wait", "purged=1");
    cr_assert_eq(report_recent(REPORT_NOTE, recent, 8), 0);
    agreed(&x, "sweep wait", "purged=1");
    n = report_recent(REPORT_NOTE, recent, 8);
    cr_assert_geq(n, 1);
    cr_assert_str_eq(recent[0], "sweep: 1 of 2 ghosts that nothing needs were deleted");
}

/* ---- time ---- */

static int64_t turn_until_the_end(uint64_t number, int64_t step)
{
    int64_t began = clock_ticks(&x.clock.base);
    char result[256];
    int error = 0;

    while (job_wait(x.p, number, 0, NULL, &error, result) == -ETIMEDOUT) {
        clock_manual_advance(&x.clock, step);
        usleep(100);
    }
    cr_assert_eq(error, 0);
    return clock_ticks(&x.clock.base) - began;
}

static uint64_t started(void)
{
    unsigned long long job;
    char reply[4096];

    cr_assert_eq(say(&x, "sweep", reply), 5, "%s", reply);
    cr_assert_eq(sscanf(reply, "ok job=%llu", &job), 1, "%s", reply);
    return job;
}

Test(sweep, so_many_ghosts_take_the_time_that_the_rate_gives_them)
{
    int64_t took;
    uint64_t job;

    for (unsigned i = 0; i < 30; i++) {
        char path[32];
        snprintf(path, sizeof path, "main/big%u", i);
        put_big(&x, path, 140000 + i);
    }
    move_to("main/", 1);
    drain();
    agreed(&x, "set sweep_rate 10/s", "sweep_rate=10/s");
    job = started();
    took = turn_until_the_end(job, 10 * NSEC_PER_MSEC);
    cr_assert_eq(status().last.kept, 30);
    cr_assert_geq(took, 30 * NSEC_PER_SEC / 10 - 2 * RATE_BURST);
}

Test(sweep, one_that_is_cancelled_ends_at_once)
{
    char command[64], result[256];
    uint64_t job;
    int error;

    many_ghosts(50);
    agreed(&x, "set sweep_rate 1/s", "ok");
    job = started();
    while (!status().running)
        usleep(1000);
    snprintf(command, sizeof command, "ok job=%llu\n", (unsigned long long)job);
    agreed(&x, "sweep", command);
    refused(&x, "sweep dry-run", -EBUSY, "one is running already: job ");
    refused(&x, "sweep list wait", -EBUSY, "one is running already: job ");
    snprintf(command, sizeof command, "cancel %llu", (unsigned long long)job);
    agreed(&x, command, "ok");
    cr_assert_eq(job_wait(x.p, job, -1, NULL, &error, result), 0);
    cr_assert_eq(error, -ECANCELED);
    cr_assert_eq(status().ended, 0);
    cr_assert_not(status().running);
}

static void wait_for_jobs(void)
{
    while (jobs_unfinished(x.p))
        usleep(1000);
}

Test(sweep, one_begins_by_itself_every_interval)
{
    two_ghosts();
    agreed(&x, "set sweep_interval 1h", "ok");
    clock_manual_advance(&x.clock, 3600 * NSEC_PER_SEC);
    sweep_if_due(x.p);
    wait_for_jobs();
    cr_assert_eq(status().sweeps, 1);
    clock_manual_advance(&x.clock, 3599 * NSEC_PER_SEC);
    sweep_if_due(x.p);
    wait_for_jobs();
    cr_assert_eq(status().sweeps, 1);
    fixture_reopen(&x);
    sweep_if_due(x.p);
    wait_for_jobs();
    cr_assert_eq(status().sweeps, 1, "a restart forgets the time of the last one");
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    sweep_if_due(x.p);
    wait_for_jobs();
    cr_assert_eq(status().sweeps, 2);
}

Test(sweep, none_begins_by_itself_where_there_are_no_ghosts)
{
    sweep_if_due(x.p);
    wait_for_jobs();
    cr_assert_eq(status().sweeps, 0);
}

/* ---- what is remembered ---- */

Test(sweep, length_purge_total_and_time_of_the_last_sweep_survive_a_restart)
{
    two_ghosts();
    remove_file(&x, "main/small");
    drain();
    clock_manual_advance(&x.clock, 5 * NSEC_PER_SEC);
    sweep_says(" kept=1 ");
    put_file(&x, "main/third", "third");
    move_to("main/third", 1);
    remove_file(&x, "main/third");
    drain();
    fixture_reopen(&x);
    cr_assert_eq(refs_ghosts(x.p->refs), 1);
    cr_assert_eq(status().purged, 2);
    cr_assert_eq(status().ended, 1005 * NSEC_PER_SEC);
    cr_assert_eq(status().total.checked, 1);
}

static void spoil_record(void)
{
    static uint8_t buf[SWEEP_RECORD_MAX];
    struct kv_txn *t;
    size_t len;

    cr_assert_eq(kv_get(x.kv, TABLE_META, "sweep", 5, buf, sizeof buf, &len), 0);
    buf[20] ^= 1;
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_META, "sweep", 5, buf, len), 0);
    cr_assert_eq(kv_commit(t), 0);
}

Test(sweep, a_damaged_record_is_a_named_error_and_stops_sweeping)
{
    struct ghost_report r;

    two_ghosts();
    sweep_says(" kept=2 ");
    spoil_record();
    fixture_reopen(&x);
    cr_assert(alarmed("what sweeps remembered is damaged"), "%s", said);
    refused(&x, "sweep wait", -EUCLEAN, "what sweeps remembered is damaged");
    cr_assert_eq(sweep_store(x.p, NULL, false, NULL, &r), -EUCLEAN);
    cr_assert_eq(r.checked, 0);
    clock_manual_advance(&x.clock, 7200 * NSEC_PER_SEC);
    sweep_if_due(x.p);
    wait_for_jobs();
    cr_assert_eq(status().sweeps, 0);
    cr_assert(has_line("state       degraded: what sweeps remembered is damaged"));
    cr_assert_eq(try_read(&x, "main/big"), 300000);
}

Test(sweep, a_repair_begins_a_damaged_record_anew)
{
    static struct said s;

    sweep_says(" checked=0 ");
    spoil_record();
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    repair(&x, 0, &s);
    cr_assert(strstr(s.found, "what sweeps remembered is damaged"), "%s", s.found);
    cr_assert(strstr(s.repaired, "the next sweep tells anew what is lost"), "%s", s.repaired);
    fixture_open(&x);
    cr_assert_eq(status().sweeps, 0);
    sweep_says(" checked=0 ");
    cr_assert_eq(status().sweeps, 1);
}

Test(sweep, a_damaged_table_of_ghosts_is_a_named_error_and_not_an_empty_one)
{
    struct entry e;
    uint8_t key[8];
    struct kv_txn *t;

    two_ghosts();
    put_be64(key, number_at("main/big", &e));
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_OBJECTS, key, 8, "nonsense", 8), 0);
    cr_assert_eq(kv_commit(t), 0);
    fixture_reopen(&x);
    refused(&x, "sweep wait", -EUCLEAN, "");
    cr_assert(alarmed("a sweep cannot go on"), "%s", said);
    cr_assert_eq(status().sweeps, 0);
}

Test(sweep_record, a_record_reads_back_and_each_flipped_bit_is_damage)
{
    static struct sweep_record r, back;
    static uint8_t buf[SWEEP_RECORD_MAX];
    size_t len;

    r = (struct sweep_record){.ended = 1,
                              .last = {2, 3, 4, 5, 6},
                              .total = {7, 8, 9, 10, 11},
                              .sweeps = 12,
                              .purged = 13,
                              .lost_more = 14,
                              .lost_count = 2,
                              .lost = {{15, {{16}}, 17, 18}, {19, {{20}}, 21, 22}}};
    len = sweep_record_encode(&r, buf);
    cr_assert_eq(len, SWEEP_RECORD_HEAD + 2 * SWEEP_LOST_LEN);
    cr_assert_eq(sweep_record_decode(buf, len, &back), 0);
    cr_assert_eq(back.lost[1].number, 19);
    cr_assert_eq(back.lost[1].shard, 21);
    cr_assert_eq(back.lost[1].since, 22);
    cr_assert_eq(back.total.lost, 11);
    cr_assert_eq(back.last.checked, 2);
    cr_assert_eq(back.purged, 13);
    for (size_t i = 0; i < len * 8; i++) {
        buf[i / 8] ^= (uint8_t)(1 << i % 8);
        cr_assert_eq(sweep_record_decode(buf, len, &back), -EUCLEAN, "bit %zu", i);
        buf[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    cr_assert_eq(sweep_record_decode(buf, len - 1, &back), -EUCLEAN);
    cr_assert_eq(sweep_record_decode(buf, 10, &back), -EUCLEAN);
}

/* ---- archives ---- */

Test(sweep, an_archive_is_asked_as_any_shard)
{
    two_ghosts();
    becomes_archive(&x, 1, "mem:cold");
    sweep_says(" checked=2 purged=0 kept=2 inconclusive=0 lost=0");
    cr_assert_eq(alarms, 0);
    shard_mem_set(cold, SHARD_MEM_DENIES, true);
    sweep_says(" checked=2 purged=0 kept=0 inconclusive=2 lost=0");
    shard_mem_set(cold, SHARD_MEM_DENIES, false);
    clock_manual_advance(&x.clock, 2 * NSEC_PER_SEC);
    lose_all(cold, "mem:cold");
    sweep_says(" checked=2 purged=0 kept=2 inconclusive=0 lost=2");
    cr_assert(alarmed("is lost: shard 1 does not have its bytes any more"));
}
