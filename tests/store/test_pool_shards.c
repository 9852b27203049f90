// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of a member of a pool that has a shard of its own beside it: what it moves there it lets go
 * of in the pool, and its reports do not name; and of du, which says what would come back
 * elsewhere.
 */
#include "nodes_fixture.h"

#include "du.h"
#include "move.h"
#include "shard_mem.h"
#include "shards.h"

static struct shard_mem *cold;

static void up(void)
{
    char why[SHARD_WHY];

    pool_of_nodes(2);
    shard_mem_register();
    cr_assert_eq(shard_mem_create("cold", NULL, &cold), 0);
    cr_assert_eq(shards_add(A->p->shards, 1, "mem:cold", why), 0, "%s", why);
}
static void gone(void)
{
    pool_is_gone();
    shard_mem_destroy(cold);
}
TestSuite(pool_shards, .init = up, .fini = gone);

static uint64_t number_of(struct fixture *x, const char *path)
{
    uint64_t node = node_of(x, path);
    struct inode in;
    struct ns *ns;

    cr_assert(node, "no %s", path);
    cr_assert_eq(ns_get(x->p, vfs_node_ns(node), &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node), &in), 0);
    ns_put(x->p, ns);
    return refs_resolve(x->p->refs, in.object);
}

static void move_away(const char *path, uint16_t shard)
{
    struct move_result r;
    struct move *m;

    cr_assert_eq(move_begin(A->p, NULL, shard, &m), 0);
    cr_assert_eq(move_one(m, number_of(A, path), NULL), 0);
    cr_assert_eq(move_end(m, &r), 0);
    cr_assert_eq(r.objects, 1);
    drained(A);
}

Test(pool_shards, what_is_moved_away_is_let_go_of_in_the_pool)
{
    put_large(A, "main/large", 'x');
    cr_assert_eq(object_files(), 1);
    move_away("main/large", 1);
    cr_assert_eq(object_files(), 1, "members never delete");
    (void)collect(A);
    cr_assert_eq(object_files(), 0, "nobody names it");
    has_large(A, "main/large", 'x');
    move_away("main/large", 0);
    cr_assert_eq(object_files(), 1, "home is the pool");
    has_large(A, "main/large", 'x');
}

Test(pool_shards, another_member_that_has_it_keeps_it)
{
    put_large(A, "main/large", 'x');
    wait_seconds(2);
    put_large(B, "main/large", 'x');
    cr_assert_eq(object_files(), 1, "shared");
    move_away("main/large", 1);
    (void)collect(A);
    cr_assert_eq(object_files(), 1);
    has_large(B, "main/large", 'x');
    has_large(A, "main/large", 'x');
}

Test(pool_shards, a_report_does_not_name_what_is_elsewhere)
{
    put_large(A, "main/large", 'x');
    move_away("main/large", 1);
    reports(A);
    wait_seconds(2);
    put_large(B, "main/large", 'x');
    has_large(B, "main/large", 'x');
    drop_file(A, "main/large");
    cr_assert_eq(shard_mem_used(cold) < LARGE, true, "its bytes there are gone");
    has_large(B, "main/large", 'x');
}

Test(pool_shards, du_says_what_would_come_back_elsewhere)
{
    struct ns *ns;
    struct du du;

    put_large(A, "main/large", 'x');
    put_large(A, "main/other", 'y');
    move_away("main/large", 1);
    cr_assert_eq(ns_get_by_name(A->p, "main", &ns), 0);
    cr_assert_eq(du_namespace(A->p, ns, NULL, &du), 0);
    ns_put(A->p, ns);
    cr_assert_eq(du.frees, 2 * LARGE);
    cr_assert_eq(du.elsewhere, LARGE);
    cr_assert_eq(du.shared, 0);
}
