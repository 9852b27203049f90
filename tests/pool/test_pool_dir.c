// SPDX-License-Identifier: Apache-2.0
/* Claims of pool_dir.h. */
#include "pool_fixture.h"

static void put_head(unsigned node, const struct pool_head *h)
{
    uint8_t b[POOL_HEAD_LEN];
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    pool_head_encode(h, b);
    pool_node_path(node, "head", name);
    cr_assert_eq(disk_open(disk, name, DISK_WRITE | DISK_CREATE, &f), 0);
    cr_assert_eq(disk_pwrite(f, b, sizeof b, 0), 0);
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
}

/* ---- the pool ---- */

static int create_pool(uint8_t n)
{
    struct pool_identity i = identity_of(n);

    return pool_dir_create(disk, &i, why);
}

Test(pool_dir, a_pool_that_was_made_is_known_again_by_its_identity)
{
    struct pool_identity r;

    a_pool();
    cr_assert_eq(pool_dir_identity(disk, &r, why), 0);
    struct pool_identity made = identity_of(1);

    cr_assert_eq(memcmp(&r, &made, sizeof r), 0);
    cr_assert_eq(create_pool(2), -EEXIST);
    cr_assert_str_eq(why, "it is a pool already");
    cr_assert_eq(pool_dir_identity(disk, &r, why), 0);
    cr_assert_eq(r.id[0], 1, "the first one stays");
    cr_assert(!has_temporaries(""));
    pool_disk_destroy(disk);
}

Test(pool_dir, identities_are_made_at_random)
{
    struct pool_identity a, b;

    cr_assert_eq(pool_identity_make(&a), 0);
    cr_assert_eq(pool_identity_make(&b), 0);
    cr_assert_neq(memcmp(a.id, b.id, sizeof a.id), 0);
    cr_assert_neq(memcmp(a.key.secret, b.key.secret, sizeof a.key.secret), 0);
}

Test(pool_dir, a_directory_with_other_things_becomes_no_pool)
{
    empty_disk();
    write_text("notes", "mine");
    cr_assert_eq(create_pool(1), -ENOTEMPTY);
    cr_assert_eq(names_in(""), 1);
    pool_disk_destroy(disk);
}

Test(pool_dir, a_pool_that_lost_its_identity_is_not_made_anew)
{
    static const char *const left[] = {"packs/0010000100000001", "marks/0000000000000001",
                                       "objects/ab/x", "nodes/0001/node"};

    for (int i = 0; i < 4; i++) {
        a_pool();
        if (i == 3)
            a_node();
        else
            write_text(left[i], "of somebody");
        cr_assert_eq(disk_unlink(disk, "tally-pool"), 0);
        cr_assert_eq(create_pool(2), -ENOTEMPTY, "%s", left[i]);
        cr_assert(is_there(left[i]) && !is_there("tally-pool"));
        pool_disk_destroy(disk);
    }
}

Test(pool_dir, what_is_no_pool_is_named)
{
    struct pool_identity r = {.id = {42}};

    empty_disk();
    cr_assert_eq(pool_dir_identity(disk, &r, why), -ENOENT);
    cr_assert_str_eq(why, "it is no pool: it has no file tally-pool");
    pool_disk_destroy(disk);
    a_pool();
    for (unsigned bit = 0; bit < 8 * 470; bit += 37) {
        if (pool_disk_flip(disk, "tally-pool", bit / 8, bit % 8))
            break;
        cr_assert_eq(pool_dir_identity(disk, &r, why), -EUCLEAN, "bit %u", bit);
        cr_assert_str_eq(why, "its file tally-pool is damaged");
        cr_assert_eq(create_pool(2), -EUCLEAN, "nor is it made anew");
        cr_assert_eq(pool_disk_flip(disk, "tally-pool", bit / 8, bit % 8), 0);
    }
    cr_assert_eq(r.id[0], 42);
    pool_disk_destroy(disk);
}

Test(pool_dir, making_a_pool_can_be_cut_anywhere_and_done_again)
{
    int r = 0;

    AT_EACH_WRITE(empty_disk(), r = create_pool(1))
    {
        struct pool_identity i;
        int known = pool_dir_identity(disk, &i, why);

        cr_assert(known == 0 || known == -ENOENT, "%d: half an identity", known);
        cr_assert(r < 0 || (known == 0 && i.id[0] == 1), "what was said to be made is lost");
        if (known < 0)
            cr_assert_eq(create_pool(2), 0, "%s", why);
        cr_assert_eq(a_node(), 1);
        if (each.write == 9) /* what follows are 256 directories */
            each.write = 258;
    }
}

/* ---- joining ---- */

static int join(unsigned *ret_node)
{
    struct pool_who who = {.incarnation = 1, .label = "org/two", .token = {9}, .when = 5};
    int err = pool_dir_join(disk, &who, why);

    *ret_node = who.node;
    return err;
}

Test(pool_dir, nodes_are_numbered_from_one_without_gaps)
{
    unsigned n = 77;

    a_pool();
    cr_assert_eq(pool_dir_nodes(disk, &n), 0);
    cr_assert_eq(n, 0);
    for (unsigned i = 1; i <= 20; i++)
        cr_assert_eq(a_node(), i);
    cr_assert_eq(pool_dir_nodes(disk, &n), 0);
    cr_assert_eq(n, 20);
    cr_assert(!has_temporaries("nodes/0001"));
    pool_disk_destroy(disk);
}

Test(pool_dir, a_node_reads_as_it_was_written)
{
    struct pool_who r, who = {.node = 1, .incarnation = 2, .token = {3}, .when = 4, .label = "a/b"};

    a_pool();
    cr_assert_eq(pool_node_read(disk, 1, &r), -ENOENT);
    a_node();
    cr_assert_eq(pool_node_read(disk, 1, &r), 0);
    cr_assert_str_eq(r.label, "org/one");
    cr_assert_eq(pool_node_write(disk, &who), 0);
    cr_assert_eq(pool_node_read(disk, 1, &r), 0);
    cr_assert(r.incarnation == 2 && r.when == 4 && r.token[0] == 3 && strcmp(r.label, "a/b") == 0);
    cr_assert_eq(pool_disk_flip(disk, "nodes/0001/node", 30, 1), 0);
    cr_assert_eq(pool_node_read(disk, 1, &r), -EUCLEAN);
    unsigned n;

    cr_assert_eq(pool_dir_nodes(disk, &n), 0);
    cr_assert_eq(n, 1, "a damaged one is a node all the same");
    pool_disk_destroy(disk);
}

Test(pool_dir, a_number_that_is_lost_below_others_is_damage)
{
    unsigned n = 77;

    a_pool();
    a_node();
    a_node();
    a_node();
    cr_assert_eq(disk_unlink(disk, "nodes/0002/node"), 0);
    cr_assert_eq(pool_dir_nodes(disk, &n), -EUCLEAN);
    cr_assert_eq(join(&n), -EUCLEAN);
    cr_assert_str_eq(why, "its directory nodes is damaged");
    pool_disk_destroy(disk);
}

Test(pool_dir, a_number_is_nobodys_until_its_node_is_there)
{
    unsigned n;

    a_pool();
    cr_assert_eq(disk_mkdir(disk, "nodes/0001"), 0);
    cr_assert_eq(disk_mkdir(disk, "nodes/0003"), 0);
    cr_assert_eq(pool_dir_nodes(disk, &n), 0);
    cr_assert_eq(n, 0);
    cr_assert_eq(a_node(), 1);
    pool_disk_destroy(disk);
}

static void a_pool_with_one(void)
{
    a_pool();
    a_node();
}

Test(pool_dir, joining_can_be_cut_anywhere_and_no_number_below_is_lost)
{
    unsigned mine = 0, n = 0;
    int r = 0;

    AT_EACH_WRITE(a_pool_with_one(), r = join(&mine))
    {
        struct pool_who who;

        cr_assert_eq(pool_dir_nodes(disk, &n), 0);
        cr_assert(n == 1 || n == 2);
        cr_assert(r < 0 || (n == 2 && mine == 2), "what was said to be taken is lost");
        cr_assert_eq(pool_node_read(disk, n, &who), 0, "half a node");
        cr_assert_eq(a_node(), n + 1);
    }
}

/* Somebody who sees number 1 before it is durable, takes number 2, and the power goes. */
static void join_upon_the_unsynced(void)
{
    struct pool_who who = {.node = 1, .incarnation = 1};
    char text[POOL_TEXT_MAX];
    unsigned n;

    cr_assert_eq(disk_mkdir(disk, "nodes/0001"), 0);
    pool_who_encode(&who, text);
    write_text("nodes/0001/node", text);
    cr_assert_eq(join(&n), 0);
    cr_assert_eq(n, 2);
}

Test(pool_dir, a_number_is_taken_only_above_what_is_durable)
{
    for (uint64_t seed = 1; seed < 40; seed++) {
        unsigned n;

        a_pool();
        join_upon_the_unsynced();
        fault.loss = seed == 1 ? FAULT_LOSE_ALL : FAULT_LOSE_SOME;
        fault.seed = seed;
        pool_disk_power_cycle(&disk);
        cr_assert_eq(pool_dir_nodes(disk, &n), 0, "seed %u", (unsigned)seed);
        cr_assert_eq(n, 2);
        pool_disk_destroy(disk);
    }
}

static int begin_incarnation(void)
{
    struct pool_who who = {.node = 1, .incarnation = 2, .token = {2}, .label = "org/one"};

    return pool_node_write(disk, &who);
}

Test(pool_dir, a_life_begins_wholly_or_not)
{
    int r = 0;

    AT_EACH_WRITE(a_pool_with_one(), r = begin_incarnation())
    {
        struct pool_who who;

        cr_assert_eq(pool_node_read(disk, 1, &who), 0);
        cr_assert(who.incarnation == 2 || (r < 0 && who.incarnation == 1));
        cr_assert_eq(who.token[0], who.incarnation == 2 ? 2 : 0);
        cr_assert_eq(pool_node_tidy(disk, 1), 0);
        cr_assert(!has_temporaries("nodes/0001"));
    }
}

/* Its daemon died before it had synced the directory; then the power goes. */
Test(pool_dir, a_life_that_is_built_upon_is_settled_first)
{
    struct pool_who who = {.node = 1, .incarnation = 2, .token = {2}, .label = "org/one"};
    char text[POOL_TEXT_MAX];

    a_pool_with_one();
    pool_who_encode(&who, text);
    write_text("nodes/0001/tmp.0", text);
    cr_assert_eq(disk_rename(disk, "nodes/0001/tmp.0", "nodes/0001/node"), 0);
    cr_assert_eq(pool_node_settle(disk, 1), 0);
    fault.loss = FAULT_LOSE_ALL;
    pool_disk_power_cycle(&disk);
    cr_assert_eq(pool_node_read(disk, 1, &who), 0);
    cr_assert_eq(who.incarnation, 2);
    pool_disk_destroy(disk);
}

/* ---- heads ---- */

Test(pool_dir, a_head_is_there_once_it_is_written_and_damage_is_told)
{
    struct pool_head h = {.node = 1, .incarnation = 1, .serial = 5}, r = {.serial = 42};

    a_pool_with_one();
    cr_assert_eq(pool_head_read(disk, 1, &r), -ENOENT);
    put_head(1, &h);
    cr_assert_eq(pool_head_read(disk, 1, &r), 0);
    cr_assert_eq(r.serial, 5);
    cr_assert_eq(pool_disk_flip(disk, "nodes/0001/head", 100, 0), 0);
    cr_assert_eq(pool_head_read(disk, 1, &r), -EUCLEAN);
    pool_disk_destroy(disk);
}

/* ---- the end of a node ---- */

static void a_pool_with_three(void)
{
    a_pool_with_one();
    a_node();
    a_node();
    put_head(2, &(struct pool_head){.node = 2, .serial = 5, .incarnation = 1});
    write_text("nodes/0002/base.0000000000000005", "x");
    write_text("nodes/0002/delta.0000000000000006", "x");
    write_text("nodes/0002/slots/0000000000000001", "x");
    write_text("nodes/0002/slots/0000000000000001.sums", "x");
    cr_assert_eq(disk_sync_dir(disk, "nodes/0002"), 0);
    cr_assert_eq(disk_sync_dir(disk, "nodes/0002/slots"), 0);
}

static int is_retired(unsigned node)
{
    return pool_node_is_retired(disk, node);
}

Test(pool_dir, a_retired_node_keeps_its_number_and_nothing_else)
{
    struct pool_head h;
    unsigned n;

    a_pool_with_three();
    cr_assert(is_retired(1) == 0 && is_retired(2) == 0);
    cr_assert_eq(pool_node_retire(disk, 2), 0);
    cr_assert(is_retired(1) == 0 && is_retired(2) == 1);
    cr_assert_eq(pool_node_clear(disk, 2), 0);
    cr_assert_eq(pool_head_read(disk, 2, &h), -ENOENT);
    cr_assert_eq(names_in("nodes/0002"), 2 + POOL_SLOTS, "node, retired, slots");
    cr_assert_eq(names_in("nodes/0002/slots"), 0);
    cr_assert_eq(pool_node_retire(disk, 2), 0, "once more");
    cr_assert_eq(disk_unlink(disk, "nodes/0002/node"), 0);
    cr_assert_eq(pool_dir_nodes(disk, &n), 0);
    cr_assert_eq(n, 3);
    cr_assert_eq(a_node(), 4);
    pool_disk_destroy(disk);
}

Test(pool_dir, a_node_is_retired_before_anything_of_it_goes)
{
    int r = 0;

    AT_EACH_WRITE(a_pool_with_three(),
                  r = pool_node_retire(disk, 2) < 0 ? -EIO : pool_node_clear(disk, 2))
    {
        bool whole = is_there("nodes/0002/head") &&
                     is_there("nodes/0002/base.0000000000000005") &&
                     is_there("nodes/0002/delta.0000000000000006") &&
                     names_in("nodes/0002/slots") == 2;

        cr_assert(r < 0 || is_retired(2) == 1);
        cr_assert(whole || is_retired(2) == 1, "it lost things and is a node all the same");
        cr_assert_eq(pool_node_retire(disk, 2), 0);
        cr_assert_eq(pool_node_clear(disk, 2), 0);
        cr_assert_eq(names_in("nodes/0002"), 2 + POOL_SLOTS);
    }
}
