// SPDX-License-Identifier: Apache-2.0
/*
 * pool_fixture: a pool on a disk in memory, and faults at each of its writes.
 */
#pragma once

#include "disk_mem.h"
#include "pool_dir.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct fault fault;
static struct disk *disk;
static char why[POOL_WHY];

static inline void empty_disk(void)
{
    fault = (struct fault){0};
    cr_assert_eq(disk_mem_create(&fault, 0, &disk), 0);
}

static inline struct pool_identity identity_of(uint8_t n)
{
    struct pool_identity i = {.id = {n}};

    memset(i.key.secret, n, sizeof i.key.secret);
    return i;
}

static inline void a_pool(void)
{
    struct pool_identity i = identity_of(1);

    empty_disk();
    cr_assert_eq(pool_dir_create(disk, &i, why), 0, "%s", why);
}

static inline unsigned a_node(void)
{
    struct pool_who who = {.life = 1, .label = "org/one"};

    cr_assert_eq(pool_dir_join(disk, &who, why), 0, "%s", why);
    return who.node;
}

static inline void write_text(const char *name, const char *text)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(disk, name, DISK_WRITE | DISK_CREATE, &f), 0, "%s", name);
    cr_assert_eq(disk_pwrite(f, text, strlen(text), 0), 0);
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
}

static inline bool is_there(const char *name)
{
    struct disk_file *f;
    int err = disk_open(disk, name, DISK_READ, &f);

    if (err == 0)
        disk_file_close(f);
    cr_assert(err == 0 || err == -ENOENT, "%s: %d", name, err);
    return err == 0;
}

static int count_one(const char *name, void *ctx)
{
    (void)name;
    ++*(unsigned *)ctx;
    return 0;
}

static inline unsigned names_in(const char *dir)
{
    unsigned n = 0;

    cr_assert_eq(disk_list(disk, dir, count_one, &n), 0, "%s", dir);
    return n;
}

static int find_temporary(const char *name, void *ctx)
{
    (void)ctx;
    return strncmp(name, "tmp.", 4) == 0;
}

static inline bool has_temporaries(const char *dir)
{
    return disk_list(disk, dir, find_temporary, NULL) != 0;
}

/*
 * AT_EACH_WRITE(prepare(), r = act()) { claims of r, and of what is on disk }
 *
 * prepare, then act with its first write failing; again with its second one failing; and so on
 * until it has fewer. Then all of that with the power cut there instead, each way of losing things:
 * claims are looked at with the power on again.
 */
enum { FAIL_ALONE = -1, CUTS = 5 };
#define SEEDS 3 /* of each kind of loss that has chance in it */

struct each {
    int loss; /* FAIL_ALONE, or an enum fault_loss */
    uint64_t write, seed;
    bool ran, hit; /* act was run; and it had as many writes */
};

static inline void each_arm(struct each *e)
{
    fault_reset(&fault);
    fault.fail_at = e->write;
    fault.cut = e->loss != FAIL_ALONE;
    fault.loss = fault.cut ? (enum fault_loss)e->loss : FAULT_KEEP_ALL;
    fault.seed = e->seed;
}

static inline bool each_disarm(struct each *e)
{
    e->hit = fault.writes >= e->write;
    if (fault.cut) {
        enum fault_loss loss = fault.loss;

        fault_reset(&fault);
        fault.loss = loss;
        disk_mem_power_cycle(disk);
    }
    fault_reset(&fault);
    e->ran = true;
    return true;
}

/* The next one to try; false: all were. */
static inline bool each_next(struct each *e)
{
    if (e->ran) {
        disk_close(disk);
        disk = NULL;
        if (e->loss > FAULT_KEEP_ALL && ++e->seed <= SEEDS) {
            e->write--; /* again, with another seed */
        } else {
            e->seed = 1;
            e->loss += !e->hit;
            e->write = e->hit ? e->write : 0;
        }
    }
    e->write++;
    e->ran = e->hit = false;
    return e->loss < CUTS;
}

#define AT_EACH_WRITE(prepare, act)                                                                \
    for (struct each each = {.loss = FAIL_ALONE, .seed = 1}; each_next(&each);)                    \
        for (bool once = (prepare, each_arm(&each), act, each_disarm(&each)); once; once = false)
