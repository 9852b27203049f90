// SPDX-License-Identifier: Apache-2.0
/* Claims of pool_names.h. */
#include "pool_names.h"

#include "bytes.h"
#include "kv_mem.h"
#include "store_impl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct kv_mem *mem;
static struct kv *kv;
static struct kv_txn *txn;
static struct pool_names names;

static void up(void)
{
    cr_assert_eq(kv_mem_create(NULL, &mem), 0);
    cr_assert_eq(kv_open_mem(mem, store_tables, store_table_count, KV_CREATE, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &txn), 0);
}
static void down(void)
{
    pool_names_release(&names);
    kv_close(kv);
    kv_mem_destroy(mem);
}
TestSuite(pool_names, .init = up, .fini = down);

static struct entry file(unsigned i)
{
    struct entry e = {
        .kind = ENTRY_FILE, .count = 1, .size = 100 + i, .where = pool_number(1, 1, i + 1)};

    put_le64(e.id.b, (i + 1) * UINT64_C(0x9e3779b97f4a7c15));
    return e;
}

static void put(unsigned table, uint64_t number, const struct entry *e)
{
    uint8_t key[8], val[ENTRY_MAX];

    put_be64(key, number);
    cr_assert_eq(kv_put(txn, table, key, 8, val, e ? entry_encode(e, val) : 0), 0);
}

static void put_file_at(unsigned table, uint64_t number, unsigned i)
{
    struct entry e = file(i);

    put(table, number, &e);
}

static int read_names(void)
{
    cr_assert_eq(kv_commit(txn), 0);
    return pool_names_read(kv, &names);
}

static const struct pool_record *record_of(unsigned i)
{
    struct entry e = file(i);
    struct id key = pool_key(&e);

    for (size_t n = 0; n < names.count; n++)
        if (id_equal(&names.v[n].key, &key))
            return &names.v[n];
    return NULL;
}

Test(pool_names, what_stands_in_objects_and_among_the_dying_is_named_in_the_order_of_its_keys)
{
    for (unsigned i = 0; i < 50; i++)
        put_file_at(i % 2 ? TABLE_DYING : TABLE_OBJECTS, i + 1, i);
    cr_assert_eq(read_names(), 0);
    cr_assert_eq(names.count, 50);
    for (size_t n = 1; n < names.count; n++)
        cr_assert_lt(id_compare(&names.v[n - 1].key, &names.v[n].key), 0);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(record_of(i)->size, 100 + i);
}

Test(pool_names, a_place_that_stands_in_both_is_named_once)
{
    put_file_at(TABLE_OBJECTS, 1, 7);
    put_file_at(TABLE_DYING, 1, 7);
    put_file_at(TABLE_DYING, 9, 7);
    cr_assert_eq(read_names(), 0);
    cr_assert_eq(names.count, 1);
}

Test(pool_names, what_has_no_place_in_the_pool_is_not_named)
{
    put(TABLE_OBJECTS, 1, &(struct entry){.kind = ENTRY_NEW});
    put(TABLE_OBJECTS, 2, &(struct entry){.kind = ENTRY_SLOT, .size = 9});
    put(TABLE_OBJECTS, 3, &(struct entry){.kind = ENTRY_ALIAS, .where = 1});
    put(TABLE_OBJECTS, 4, &(struct entry){.kind = ENTRY_NONE, .id = {{1}}});
    put(TABLE_OBJECTS, 5, &(struct entry){.kind = ENTRY_ABSENT, .count = 1, .size = 9});
    put(TABLE_DYING, 6, &(struct entry){.kind = ENTRY_ABSENT, .size = 9});
    cr_assert_eq(read_names(), 0);
    cr_assert_eq(names.count, 0);
}

Test(pool_names, what_is_pinned_itself_or_by_an_alias_is_said_to_be)
{
    for (unsigned i = 0; i < 3; i++)
        put_file_at(TABLE_OBJECTS, i + 1, i);
    put(TABLE_OBJECTS, 4, &(struct entry){.kind = ENTRY_ALIAS, .where = 2});
    put(TABLE_PINS, 1, NULL);
    put(TABLE_PINS, 4, NULL);
    put(TABLE_PINS, 77, NULL);
    cr_assert_eq(read_names(), 0);
    cr_assert(record_of(0)->flags & POOL_PINNED);
    cr_assert(record_of(1)->flags & POOL_PINNED);
    cr_assert(!(record_of(2)->flags & POOL_PINNED));
}

Test(pool_names, a_walk_in_several_transactions_leaves_nothing_out)
{
    const unsigned many = 2 * POOL_NAMES_STEP + 5;

    for (unsigned i = 0; i < many; i++)
        put_file_at(TABLE_OBJECTS, i + 1, i);
    cr_assert_eq(read_names(), 0);
    cr_assert_eq(names.count, many);
}

Test(pool_names, a_damaged_entry_is_an_error_and_no_shorter_report)
{
    uint8_t key[8];

    for (unsigned i = 0; i < 5; i++)
        put_file_at(TABLE_OBJECTS, i + 1, i);
    put_be64(key, 3);
    cr_assert_eq(kv_put(txn, TABLE_OBJECTS, key, 8, "damage", 6), 0);
    cr_assert_eq(read_names(), -EUCLEAN);
}
