// SPDX-License-Identifier: Apache-2.0
/* Claims about a repair of tables of which rows are lost, because their file was damaged. */
#include "repair_fixture.h"

static struct fixture x;

static void lose_page_counts(void)
{
    uint8_t key[8];
    struct kv_txn *t;
    struct kv *kv;

    cr_assert_eq(kv_open_mem(x.mem, project_tables, project_table_count, 0, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    for (uint64_t page = 1; page < 100; page++) {
        put_be64(key, page);
        cr_assert_eq(kv_del(t, TABLE_PAGE_COUNTS, key, sizeof key), 0);
    }
    cr_assert_eq(kv_commit(t), 0);
    kv_close(kv);
}

Test(repair_saved, what_waits_in_the_log_is_not_written_over_pages_that_branches_share)
{
    struct said s;

    fixture_setup(&x);
    put_file(&x, "main/before", "of both");
    agreed(&x, "branch main dev\n", "ok");
    cr_assert_eq(project_flush(x.p), 0);
    put_file(&x, "main/after", "of one");
    cr_assert_eq(project_sync(x.p), 0);
    project_abandon(x.p); /* killed */
    kv_close(x.kv);
    lose_page_counts();
    repair(&x, REPAIR_SALVAGED, &s);
    fixture_open(&x);
    read_file(&x, "main/before", "of both");
    read_file(&x, "main/after", "of one");
    read_file(&x, "dev/before", "of both");
    cr_assert_eq(node_of(&x, "dev/after"), 0, "the branch has what was written after it");
    fixture_teardown(&x);
}
