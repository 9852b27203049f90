// SPDX-License-Identifier: Apache-2.0
/*
 * workloads_shard: objects move to other shards, from one to another, home again, and die there,
 * while files that name them go on changing.
 */
#include "crash.h"

#define KIB ((size_t)1024)

static const char *name_of(char what, unsigned i)
{
    static char name[8];

    snprintf(name, sizeof name, "%c%u", what, i % 100);
    return name;
}

static void make_files(unsigned small)
{
    for (unsigned i = 0; i < small; i++)
        op_write(0, name_of('s', i), 0, 3000 + 1000 * i, i);
    op_write(0, "big", 0, 200 * KIB, 20);
    op_write(0, "big2", 0, 150 * KIB, 21);
    op_drain(false);
}

/* Whoever names a ghost: equal bytes, branches, links, changes, removals. */
void workload_moved(void)
{
    make_files(6);
    op_shard_add(1);
    op_move(0, "s0", 1);
    op_move_all(0, 1);
    op_write(0, "t1", 0, 4000, 1);          /* equals s1, */
    op_write(0, "bigger", 0, 200 * KIB, 20); /* and big */
    op_flush();
    op_unlink(0, "s2");
    op_branch(0, 1);
    op_link(0, "s3", 1, "linked");
    op_write(0, "s4", 100, 50, 30);
    op_write(0, "big2", 140 * KIB, KIB, 31);
    op_drain(false);
    op_unlink(0, "s5");
    op_unlink(1, "s5");
    op_unlink(1, "big2");
    op_flush();
    op_write(0, "s6", 0, 8000, 5); /* equals what is dying there */
    op_begin_flush();
    op_release();
    op_shard_add(2);
    op_move(0, "big", 2);
    op_move(0, "s1", 2);
    op_write(1, "s1", 3, 3, 32);
    op_drain(false);
    op_move_all(0, 1);
    op_drop(1);
    op_drain(true);
}

/* Home again, also while equal bytes come into being there. */
void workload_recalled(void)
{
    make_files(5);
    op_shard_add(1);
    op_move_all(0, 1);
    op_branch(0, 1);
    op_move(0, "s1", 0);
    op_move(0, "big", 0);
    op_write(0, "s2", 10, 10, 30);
    op_write(0, "t3", 0, 6000, 3); /* equals s3 */
    op_begin_flush();
    op_move(0, "s3", 0);
    op_unlink(0, "s4");
    op_unlink(1, "s4");
    op_move(0, "s0", 0);
    op_drain(false);
    op_move(0, "s1", 1); /* and out once more */
    op_unlink(0, "big");
    op_unlink(1, "big");
    op_flush();
    op_shard_remove(1);
    op_drain(true);
}

/* Sweeps and cycles between all of that. */
void workload_swept(void)
{
    make_files(4);
    op_shard_add(1);
    op_sweep();
    op_move_all(0, 1);
    op_sweep();
    op_unlink(0, "s1");
    op_unlink(0, "big");
    op_flush();
    op_sweep();
    op_gc();
    op_write(0, "s2", 0, 100, 30);
    op_move_all(0, 1);
    op_gc();
    op_move(0, "s3", 0);
    op_sweep();
    op_gc();
    op_unlink(0, "s0");
    op_drain(true);
    op_sweep();
}
