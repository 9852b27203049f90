// SPDX-License-Identifier: Apache-2.0
/* test_store_pool_url: stores whose pool is on a shard: joining, opening, and who is which node. */
#include "disk.h"
#include "feature_flags.h"
#include "io.h"
#include "pool_dir.h"
#include "pool_file.h"
#include "shard_mem.h"
#include "store.h"
#include "store_dir.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char top[64], why[STORE_WHY];
static struct fault fault;
static struct shard_mem *place;

static const char *at(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", top, name);
    return path;
}

static void run(const char *command)
{
    char line[1200];

    snprintf(line, sizeof line, "cd '%s' && %s", top, command);
    cr_assert_eq(system(line), 0, "%s", line);
}

static int init(const char *name)
{
    why[0] = '\0';
    return store_init(at(name), "org/project", "mem:pool", NULL, 0, why);
}

static int open_store(const char *name, unsigned flags, struct store_dir *s)
{
    why[0] = '\0';
    return store_dir_open(at(name), flags, "mount", "/mnt", s, why);
}

static int try(const char *name, unsigned flags)
{
    struct store_dir s;
    int err = open_store(name, flags, &s);

    if (err == 0)
        store_dir_close(&s);
    return err;
}

static void says(const char *part)
{
    cr_assert(strstr(why, part), "'%s' is not in '%s'", part, why);
}

static void setup(void)
{
    fault = (struct fault){.loss = FAULT_KEEP_ALL};
    shard_mem_register();
    cr_assert_eq(shard_mem_create("pool", &fault, &place), 0);
    strcpy(top, "/tmp/tally-pool-XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(init("one"), 0, "%s", why);
}
static void teardown(void)
{
    char line[128];

    snprintf(line, sizeof line, "rm -rf '%s'", top);
    cr_assert_eq(system(line), 0);
    cr_assert_eq(shard_mem_opened(place), 0);
    shard_mem_destroy(place);
}

TestSuite(store_pool_url, .init = setup, .fini = teardown);

/* ---- joining ---- */

Test(store_pool_url, stores_share_a_pool_by_its_url)
{
    struct store_dir one, two;

    cr_assert_eq(init("two"), 0, "%s", why);
    cr_assert_eq(open_store("one", 0, &one), 0, "%s", why);
    cr_assert_eq(open_store("two", 0, &two), 0, "%s", why);
    cr_assert_eq(store_get_pool(&one)->node, 1);
    cr_assert_eq(store_get_pool(&two)->node, 2);
    cr_assert(id_key_equal(&store_get_pool(&one)->key, &store_get_pool(&two)->key));
    cr_assert(disk_is_whole(store_get_pool(&one)->disk));
    store_dir_close(&one);
    store_dir_close(&two);
}

Test(store_pool_url, what_is_recorded_is_the_url_and_programs_that_do_not_know_it_refuse_the_store)
{
    run("grep -qx 'url=mem:pool' one/pool");
    run("grep -qx 'tallyfs pool home 2' one/pool");
    run("grep -qx 'incompatible=00000000000000c6 absent-objects held-roots pool-on-shard archive' "
        "one/tally-store");
    run("test ! -e one/packs && test -d one/slots");
}

Test(store_pool_url, a_url_that_nobody_knows_is_refused_and_no_store_is_made)
{
    cr_assert_eq(store_init(at("two"), "org/project", "ftp:pool", NULL, 0, why), -EINVAL);
    says("cannot use ftp:pool as a pool");
    cr_assert_eq(store_init(at("two"), "org/project", "/pool", NULL, 0, why), -EINVAL);
    says("a pool is dir:PATH, or the URL of a shard, not '/pool'");
    cr_assert_eq(store_init(at("two"), "org/project", "mem:nowhere", NULL, 0, why), -EHOSTUNREACH);
    says("the pool mem:nowhere cannot be asked now");
    run("test ! -e two");
}

Test(store_pool_url, a_shard_with_other_things_on_it_is_no_pool)
{
    struct shard_mem *other;
    struct shard *s;
    char reason[SHARD_WHY];

    cr_assert_eq(shard_mem_create("other", NULL, &other), 0);
    cr_assert_eq(shard_open("mem:other", 0, &s, reason), 0);
    cr_assert_eq(shard_put(s, "packs/1", "x", 1), 0);
    shard_close(s);
    cr_assert_eq(store_init(at("two"), "org/project", "mem:other", NULL, 0, why), -ENOTEMPTY);
    says("it is not empty and no pool");
    cr_assert_eq(shard_mem_count(other), 1);
    shard_mem_destroy(other);
}

Test(store_pool_url, a_place_that_does_not_decide_between_writers_is_no_pool)
{
    struct shard_mem *other;

    cr_assert_eq(shard_mem_create("other", NULL, &other), 0);
    shard_mem_set(other, SHARD_MEM_CLOBBERS, true);
    cr_assert_eq(store_init(at("two"), "org/project", "mem:other", NULL, 0, why), -EOPNOTSUPP);
    says("could both own it");
    cr_assert_eq(shard_mem_count(other), 0);
    shard_mem_destroy(other);
}

Test(store_pool_url, what_an_interrupted_trial_left_does_not_make_a_place_used)
{
    struct shard_mem *other;
    struct shard *s;
    char reason[SHARD_WHY];

    cr_assert_eq(shard_mem_create("other", NULL, &other), 0);
    cr_assert_eq(shard_open("mem:other", 0, &s, reason), 0);
    cr_assert_eq(shard_put(s, SHARD_PROBE_DIR "/probe-1", "x", 1), 0);
    shard_close(s);
    cr_assert_eq(store_init(at("two"), "org/project", "mem:other", NULL, 0, why), 0, "%s", why);
    shard_mem_destroy(other);
}

/* As of a bucket that is mounted: there its files would be changed in place. */
Test(store_pool_url, the_files_of_such_a_pool_are_not_used_as_a_directory)
{
    char text[POOL_TEXT_MAX];
    struct shard *s;
    int fd;

    cr_assert_eq(shard_open("mem:pool", 0, &s, why), 0);
    ssize_t n = shard_get(s, POOL_IDENTITY_FILE, text, sizeof text);

    shard_close(s);
    cr_assert_gt(n, 0);
    run("mkdir mounted");
    fd = open(at("mounted"), O_RDONLY | O_DIRECTORY);
    cr_assert_eq(io_write_file(fd, POOL_IDENTITY_FILE, text, (size_t)n, 0600), 0);
    close(fd);
    snprintf(text, sizeof text, "dir:%s", at("mounted"));
    cr_assert_eq(store_init(at("two"), "org/project", text, NULL, 0, why), -EPROTO);
    says("is on a shard, and cannot be used as a directory");
}

/* ---- opening ---- */

Test(store_pool_url, each_opening_for_writing_is_an_incarnation_of_its_own)
{
    struct store_dir s;
    uint32_t first;

    cr_assert_eq(open_store("one", 0, &s), 0, "%s", why);
    first = store_get_pool(&s)->incarnation;
    store_dir_close(&s);
    cr_assert_eq(try("one", STORE_READONLY), 0, "%s", why);
    cr_assert_eq(open_store("one", 0, &s), 0, "%s", why);
    cr_assert_eq(store_get_pool(&s)->incarnation, first + 1);
    store_dir_close(&s);
}

Test(store_pool_url, a_reader_puts_nothing)
{
    uint64_t puts = shard_mem_calls(place, SHARD_MEM_PUT);

    cr_assert_eq(try("one", STORE_READONLY), 0, "%s", why);
    cr_assert_eq(shard_mem_calls(place, SHARD_MEM_PUT), puts);
    shard_mem_set(place, SHARD_MEM_READONLY, true);
    cr_assert_eq(try("one", STORE_READONLY), 0, "%s", why);
}

Test(store_pool_url, a_pool_that_is_away_is_told_and_is_not_taken_for_an_empty_one)
{
    cr_assert_eq(init("two"), 0);
    shard_mem_set(place, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(try("one", 0), -EHOSTUNREACH);
    says("the pool mem:pool cannot be asked now");
    says("try again when it can");
    cr_assert_eq(init("three"), -EHOSTUNREACH);
    shard_mem_set(place, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(try("one", 0), 0, "%s", why);
    shard_mem_set(place, SHARD_MEM_DENIES, true);
    cr_assert_eq(try("one", 0), -ENOENT);
    says("it is no pool: it has no file tally-pool");
    shard_mem_set(place, SHARD_MEM_DENIES, false);
    cr_assert_eq(try("one", 0), 0, "%s", why);
}

Test(store_pool_url, of_two_copies_of_a_store_one_gets_through)
{
    struct store_dir s;

    run("cp -r one copy");
    cr_assert_eq(open_store("copy", 0, &s), 0, "%s", why);
    cr_assert_eq(try("one", 0), -ESTALE, "there is no lock, and the token tells");
    says("is a copy, or was restored from a backup");
    store_dir_close(&s);
    cr_assert_eq(try("one", 0), -ESTALE);
    cr_assert_eq(try("copy", 0), 0, "%s", why);
}

Test(store_pool_url, a_retired_store_is_refused)
{
    struct store_dir s;

    cr_assert_eq(init("two"), 0);
    cr_assert_eq(open_store("two", 0, &s), 0);
    cr_assert_eq(pool_node_retire(s.pool.disk, 1), 0);
    store_dir_close(&s);
    cr_assert_eq(try("one", 0), -ESTALE);
    says("was retired as node 1 of the pool mem:pool");
}

/* ---- answers that are lost ---- */

/* The nth put or delete fails, and was done, or was not. */
static void arm(uint64_t n, bool done)
{
    fault_reset(&fault);
    fault.fail_at = n;
    fault.loss = done ? FAULT_KEEP_ALL : FAULT_LOSE_ALL;
    fault.error = EHOSTUNREACH;
}

Test(store_pool_url, an_opening_that_lost_any_answer_is_made_good_by_the_next)
{
    for (int done = 0; done < 2; done++)
        for (uint64_t n = 1;; n++) {
            arm(n, done);
            int err = try("one", 0);
            bool hit = fault_fired(&fault);

            fault_reset(&fault);
            cr_assert(hit || err == 0, "%s", why);
            cr_assert(err == 0 || err == -EHOSTUNREACH, "%d: %s", err, why);
            cr_assert_eq(try("one", 0), 0, "put %u, done %d: %s", (unsigned)n, done, why);
            if (!hit)
                break;
        }
}

Test(store_pool_url, a_joining_that_lost_any_answer_leaves_the_pool_usable)
{
    char name[16];
    unsigned k = 0;

    for (int done = 0; done < 2; done++)
        for (uint64_t n = 1;; n++) {
            snprintf(name, sizeof name, "s%u", k++);
            arm(n, done);
            int err = init(name);
            bool hit = fault_fired(&fault);

            fault_reset(&fault);
            cr_assert(hit || err == 0, "%s", why);
            if (err < 0)
                cr_assert_eq(init(name), 0, "put %u, done %d: %s", (unsigned)n, done, why);
            cr_assert_eq(try(name, 0), 0, "%s", why);
            if (!hit)
                break;
        }
    cr_assert_gt(k, 3);
}

Test(store_pool_url, what_this_very_store_put_is_not_taken_for_that_of_another)
{
    struct store_dir s;
    unsigned nodes;

    shard_mem_set(place, SHARD_MEM_REPEATS, true);
    cr_assert_eq(init("two"), 0, "%s", why);
    cr_assert_eq(open_store("two", 0, &s), 0, "%s", why);
    cr_assert_eq(store_get_pool(&s)->node, 2);
    cr_assert_eq(pool_dir_nodes(s.pool.disk, &nodes), 0);
    cr_assert_eq(nodes, 2, "no number was used up");
    store_dir_close(&s);
    cr_assert_eq(try("one", 0), 0, "%s", why);
    shard_mem_set(place, SHARD_MEM_REPEATS, false);
}
