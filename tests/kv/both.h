// SPDX-License-Identifier: Apache-2.0
/*
 * both: runs each claim on both implementations of kv. `BOTH(suite, claim)` opens a body that gets
 * a `struct fixture *x` with an open store of the tables "a" and "b"; it runs once on LMDB in a new
 * directory and once in memory. `reopen` closes and opens again.
 */
#pragma once

#include "kv.h"
#include "kv_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    bool lmdb;
    struct kv *kv;
    struct kv_mem *mem;
    struct fault fault; /* of `mem` */
    char path[32];
    int dir;
};

#define TRUSTED 2 /* the table that checks itself */
static const struct kv_table both_tables[] = {
    {.name = "a"}, {.name = "b"}, {.name = "later", .checks_itself = true}};

static inline int both_open(struct fixture *x, unsigned tables, unsigned flags)
{
    if (x->lmdb)
        return kv_open_lmdb(x->dir, "kv", both_tables, tables, flags, &x->kv);
    return kv_open_mem(x->mem, both_tables, tables, flags, &x->kv);
}

static inline void reopen(struct fixture *x, unsigned tables, unsigned flags)
{
    kv_close(x->kv);
    cr_assert_eq(both_open(x, tables, flags), 0);
}

static inline void both_setup(struct fixture *x, bool lmdb)
{
    *x = (struct fixture){.lmdb = lmdb, .path = "/tmp/tally-kv-XXXXXX"};
    cr_assert_not_null(mkdtemp(x->path));
    x->dir = open(x->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(x->dir, 0);
    cr_assert_eq(kv_mem_create(&x->fault, &x->mem), 0);
    cr_assert_eq(both_open(x, 2, KV_CREATE), 0);
}

static inline void both_teardown(struct fixture *x)
{
    kv_close(x->kv);
    kv_mem_destroy(x->mem);
    (void)unlinkat(x->dir, "kv/data.mdb", 0);
    (void)unlinkat(x->dir, "kv/lock.mdb", 0);
    (void)unlinkat(x->dir, "kv/closed", 0);
    (void)unlinkat(x->dir, "kv", AT_REMOVEDIR);
    (void)close(x->dir);
    cr_assert_eq(rmdir(x->path), 0);
}

static inline void both_run(void (*claim)(struct fixture *))
{
    for (int lmdb = 0; lmdb < 2; lmdb++) {
        struct fixture x;
        both_setup(&x, lmdb);
        claim(&x);
        both_teardown(&x);
    }
}

#define BOTH(suite, claim)                                                                         \
    static void suite##_##claim(struct fixture *x);                                                \
    Test(suite, claim)                                                                             \
    {                                                                                              \
        both_run(suite##_##claim);                                                                 \
    }                                                                                              \
    static void suite##_##claim(struct fixture *x)
