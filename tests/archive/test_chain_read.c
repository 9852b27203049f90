// SPDX-License-Identifier: Apache-2.0
/* Claims of chain.h: reading, damage, and how often the archive is asked. */
#include "chain_find.h"
#include "chain_fixture.h"
#include "text.h"

TestSuite(chain_read, .init = setup, .fini = teardown);

/* ---- reading ---- */

Test(chain_read, the_history_is_read_over_the_ends_of_epochs)
{
    struct chain a = claimed(1, 0, 0);
    struct segment_pos pos = {0};

    cr_assert_eq(next(&pos), -ENOENT);
    EXPECT_POS(pos, 0, 0);
    cr_assert_eq(put(&a, "a1"), 0);
    cr_assert_eq(put(&a, "a2"), 0);
    (void)claimed(2, 1, 2);
    struct chain c = claimed(3, 1, 2);

    cr_assert_eq(put(&c, "c1"), 0);
    expect_next(&pos, 1, 1, "a1");
    expect_next(&pos, 1, 2, "a2");
    expect_next(&pos, 3, 1, "c1");
    cr_assert_eq(next(&pos), -ENOENT);
    EXPECT_POS(pos, 3, 1);
    cr_assert_eq(put(&c, "c2"), 0);
    expect_next(&pos, 3, 2, "c2");
}

Test(chain_read, whoever_waits_for_the_next_segment_asks_once_each_time)
{
    struct chain a = claimed(1, 0, 0);
    struct segment_pos pos = {0};

    cr_assert_eq(put(&a, "a1"), 0);
    struct chain b = claimed(2, 1, 1);

    expect_next(&pos, 1, 1, "a1");
    cr_assert_eq(next(&pos), -ENOENT);
    EXPECT_POS(pos, 2, 0);
    uint64_t before = asked();

    cr_assert_eq(next(&pos), -ENOENT);
    cr_assert_eq(asked(), before + 1);
    cr_assert_eq(put(&b, "b1"), 0);
    expect_next(&pos, 2, 1, "b1");
}

Test(chain_read, one_segment_can_be_read_and_a_terminator_is_none)
{
    struct chain a = claimed(1, 0, 0);
    void *bytes = NULL;

    cr_assert_eq(put(&a, "a1"), 0);
    (void)claimed(2, 1, 1);
    cr_assert_eq(chain_get(shard, LINEAGE, (struct segment_pos){1, 1}, &bytes), 2);
    cr_assert_eq(memcmp(bytes, "a1", 2), 0);
    free(bytes);
    cr_assert_eq(chain_get(shard, LINEAGE, (struct segment_pos){1, 2}, &bytes), -ENODATA);
    cr_assert_eq(chain_get(shard, LINEAGE, (struct segment_pos){2, 1}, &bytes), -ENOENT);
}

Test(chain_read, the_last_segment_is_found_in_every_state)
{
    struct segment_pos none = {0};

    expect_last(none, 0, 0);
    struct chain a = claimed(1, 0, 0);

    expect_last(none, 0, 0);
    for (unsigned i = 1; i <= 20; i++) {
        put_many(&a, 1);
        expect_last(none, 1, i);
        expect_last((struct segment_pos){1, i / 2}, 1, i);
    }
    struct chain b = claimed(2, 1, 20), c = claimed(3, 1, 20);

    (void)b;
    expect_last(none, 1, 20);
    put_many(&c, 1);
    expect_last(none, 3, 1);
    expect_last((struct segment_pos){1, 20}, 3, 1);
    expect_last((struct segment_pos){3, 1}, 3, 1);
    expect_last((struct segment_pos){50, 50}, 3, 1);
    expect_last((struct segment_pos){3, 50}, 3, 1);
}

Test(chain_read, a_history_without_a_right_to_write_can_be_read)
{
    struct chain a = claimed(1, 0, 0);
    struct segment_pos pos;

    put_many(&a, 3);
    shard_mem_set(place, SHARD_MEM_READONLY, true);
    cr_assert_eq(chain_last(shard, LINEAGE, (struct segment_pos){0}, &pos), 0);
    EXPECT_POS(pos, 1, 3);
    cr_assert_eq(put(&a, "segment"), -EROFS);
}

/* ---- damage ---- */

static void expect_damaged(int err)
{
    struct chain c = made(99, 0);
    struct segment_pos end, pos = {0};

    cr_assert_eq(chain_claim(&c, &end, why), err);
    cr_assert_eq(chain_last(shard, LINEAGE, pos, &end), err);
    ssize_t n = next(&pos);

    while (n > 0)
        n = next(&pos);
    cr_assert_eq(n, err);
}

Test(chain_read, a_terminator_that_is_damaged_or_cut_is_no_absence)
{
    struct chain a = claimed(1, 0, 0);
    char text[ARCHIVE_TEXT_MAX];

    put_many(&a, 1);
    (void)claimed(2, 1, 1);
    size_t len = chain_end_encode(LINEAGE, (struct segment_pos){1, 2}, text);

    for (size_t cut = 0; cut < len; cut += 7) {
        spoil(1, 2, text, cut);
        expect_damaged(-EUCLEAN);
    }
    text[len - 3] ^= 1;
    spoil(1, 2, text, len);
    expect_damaged(-EUCLEAN);
    cr_assert_str_eq(why, "the history cannot be claimed: l/00000007/log/00000001-00000002: "
                          "it is damaged");
    text[len - 3] ^= 1;
    text[len] = 'x';
    spoil(1, 2, text, len + 1);
    expect_damaged(-EUCLEAN);
    cr_assert_eq(put(&a, "late"), -EKEYREVOKED);
}

Test(chain_read, a_terminator_of_another_place_is_damage)
{
    struct chain a = claimed(1, 0, 0);
    char text[ARCHIVE_TEXT_MAX];

    put_many(&a, 1);
    spoil(1, 2, text, chain_end_encode(LINEAGE, (struct segment_pos){1, 3}, text));
    expect_damaged(-EUCLEAN);
    spoil(1, 2, text, chain_end_encode(LINEAGE, (struct segment_pos){2, 2}, text));
    expect_damaged(-EUCLEAN);
    spoil(1, 2, text, chain_end_encode(LINEAGE + 1, (struct segment_pos){1, 2}, text));
    expect_damaged(-EUCLEAN);
}

Test(chain_read, an_empty_object_is_damage_at_the_beginning_of_an_epoch_too)
{
    (void)claimed(1, 0, 0);
    spoil(1, 1, "", 0);
    expect_damaged(-EUCLEAN);
}

Test(chain_read, an_object_that_is_too_long_for_a_segment_is_damage)
{
    struct segment_pos pos = {0};
    char name[ARCHIVE_NAME_MAX + 1];

    archive_segment_name(LINEAGE, (struct segment_pos){1, 1}, name);
    char *bytes = calloc(1, (size_t)SHARD_PACK_MAX + 1);

    cr_assert_eq(shard_put_if_absent(shard, name, bytes, (size_t)SHARD_PACK_MAX + 1), 0);
    free(bytes);
    cr_assert_eq(next(&pos), -EUCLEAN);
}

Test(chain_read, a_terminator_of_a_newer_program_is_told_from_damage)
{
    char text[ARCHIVE_TEXT_MAX];
    struct text_writer w = {text, sizeof text, 0};

    (void)claimed(1, 0, 0);
    text_add(&w, ARCHIVE_TERMINATOR_BEGINS "2\nnew=1\n");
    spoil(1, 1, text, text_end(&w, LINEAGE));
    expect_damaged(-EPROTO);
}

/* ---- how often it asks ---- */

Test(chain_read, a_thousand_segments_need_some_twenty_requests_and_no_list)
{
    struct chain a = claimed(1, 0, 0);
    uint64_t before;

    before = asked();
    put_many(&a, 1000);
    cr_assert_eq(asked(), before + 1000);
    before = asked();
    expect_last((struct segment_pos){0}, 1, 1000);
    cr_assert_leq(asked() - before, 24);
    before = asked();
    expect_last((struct segment_pos){1, 1000}, 1, 1000);
    cr_assert_leq(asked() - before, 6);
    before = asked();
    expect_last((struct segment_pos){1, 995}, 1, 1000);
    cr_assert_leq(asked() - before, 10);
    before = asked();
    (void)claimed(2, 1, 1000);
    cr_assert_leq(asked() - before, 26);
    cr_assert_eq(shard_mem_calls(place, SHARD_MEM_LIST), 0);
    cr_assert_eq(shard_mem_calls(place, SHARD_MEM_DELETE), 0);
}

Test(chain_read, many_epochs_are_not_all_looked_at)
{
    struct chain c;
    struct segment_pos end;
    uint64_t before;

    for (uint64_t epoch = 1; epoch <= 200; epoch++) {
        c = claimed(epoch, epoch - 1, epoch > 1);
        put_many(&c, 1);
    }
    before = asked();
    c = claimed(201, 200, 1);
    cr_assert_leq(asked() - before, 22);
    c = made(202, 200);
    before = asked();
    cr_assert_eq(chain_claim(&c, &end, why), 0);
    EXPECT_POS(end, 200, 1);
    cr_assert_leq(asked() - before, 12);
}

Test(chain_read, what_may_be_pruned_is_not_needed)
{
    struct chain a = claimed(1, 0, 0), b;
    char name[ARCHIVE_NAME_MAX + 1];

    put_many(&a, 9);
    b = claimed(2, 1, 9);
    put_many(&b, 2);
    for (uint64_t serial = 2; serial <= 9; serial++) {
        archive_segment_name(LINEAGE, (struct segment_pos){1, serial}, name);
        cr_assert_eq(shard_delete(shard, name), 0);
    }
    cr_assert_eq(put(&a, "late"), -EKEYREVOKED);
    expect_last((struct segment_pos){0}, 2, 2);
    expect_last((struct segment_pos){1, 5}, 2, 2);
    (void)claimed(3, 2, 2);
    (void)claimed(4, 2, 2);
}
