// SPDX-License-Identifier: Apache-2.0
/* Claims of chain.h: claims and puts. All interleavings of their requests: chain_model.c. */
#include "chain_find.h"
#include "chain_fixture.h"

#include <signal.h>

TestSuite(chain, .init = setup, .fini = teardown);

/* Makes the next put or delete fail: it is done, or it is not. */
static void fail_next(enum fault_loss loss)
{
    fault_reset(&fault);
    fault.fail_at = 1;
    fault.loss = loss;
}

/* Called before the driver does the call with that number from now on. */
static struct {
    unsigned left;
    void (*act)(void);
} soon;

static void arrive(void *ctx, int64_t duration_ns)
{
    (void)ctx, (void)duration_ns;
    if (soon.left > 0 && --soon.left == 0)
        soon.act();
}

static void before_call(unsigned number, void (*act)(void))
{
    soon.left = number;
    soon.act = act;
    shard_mem_set_latency(place, 0, arrive, NULL);
}

static struct chain rival;

static void rival_claims(void)
{
    struct segment_pos end;
    char sentence[SHARD_WHY];

    cr_assert_eq(chain_claim(&rival, &end, sentence), 0);
}

static void rival_puts(void)
{
    cr_assert_eq(put(&rival, "of the rival"), 0);
}

/* ---- claims ---- */

Test(chain, epochs_are_numbered_from_1_and_each_ends_those_before_it)
{
    struct chain a = claimed(1, 0, 0);

    put_many(&a, 3);
    struct chain b = claimed(2, 1, 3);

    put_many(&b, 2);
    (void)claimed(3, 2, 2);
    cr_assert_eq(shard_mem_count(place), 3 + 5 + 2); /* claims, segments, terminators */
}

Test(chain, empty_epochs_are_ended_too_and_the_end_is_looked_for_below_them)
{
    struct chain a = claimed(1, 0, 0), b = claimed(2, 0, 0);

    put_many(&b, 2);
    struct chain c = claimed(3, 2, 2), d = claimed(4, 2, 2);

    cr_assert_eq(put(&a, "late"), -EKEYREVOKED);
    cr_assert_eq(put(&b, "late"), -EKEYREVOKED);
    cr_assert_eq(put(&c, "late"), -EKEYREVOKED);
    put_many(&d, 1);
    expect_last((struct segment_pos){0}, 4, 1);
}

Test(chain, a_claim_whose_answer_was_lost_is_found_again)
{
    struct chain c = made(1, 0);
    struct segment_pos end;

    fail_next(FAULT_KEEP_ALL);
    cr_assert_eq(chain_claim(&c, &end, why), -EIO);
    cr_assert(fault_fired(&fault));
    cr_assert_str_eq(why, "the history cannot be claimed: l/00000007/epoch/00000001: "
                          "Input/output error");
    cr_assert_eq(chain_claim(&c, &end, why), 0);
    cr_assert_eq(c.epoch, 1);
    cr_assert_eq(shard_mem_count(place), 1);
}

Test(chain, a_claim_that_was_not_put_is_put_again)
{
    struct chain c = made(1, 0);
    struct segment_pos end;

    fail_next(FAULT_LOSE_ALL);
    cr_assert_eq(chain_claim(&c, &end, why), -EIO);
    cr_assert(fault_fired(&fault));
    cr_assert_eq(shard_mem_count(place), 0);
    cr_assert_eq(chain_claim(&c, &end, why), 0);
    cr_assert_eq(c.epoch, 1);
    cr_assert_eq(shard_mem_count(place), 1);
}

Test(chain, a_driver_that_repeats_a_put_by_itself_does_no_harm)
{
    shard_mem_set(place, SHARD_MEM_REPEATS, true);
    struct chain a = claimed(1, 0, 0);

    put_many(&a, 2);
    struct chain b = claimed(2, 1, 2);

    put_many(&b, 1);
    cr_assert_eq(put(&a, "late"), -EKEYREVOKED);
    expect_last((struct segment_pos){0}, 2, 1);
}

Test(chain, of_two_that_want_one_number_the_second_takes_the_next_one_and_ends_the_first)
{
    struct chain c = made(2, 0);
    struct segment_pos end;

    rival = made(1, 0);
    before_call(2, rival_claims); /* after the look for a free number, before the put */
    cr_assert_eq(chain_claim(&c, &end, why), 0);
    cr_assert_eq(rival.epoch, 1);
    cr_assert_eq(c.epoch, 2);
    cr_assert_eq(put(&rival, "late"), -EKEYREVOKED);
    cr_assert_eq(put(&c, "segment"), 0);
}

Test(chain, two_claims_that_differ_in_the_token_alone_are_two)
{
    struct chain a = made(1, 0), b = made(2, 0);
    struct segment_pos end;

    cr_assert_eq(chain_claim(&a, &end, why), 0);
    b.epoch = 1; /* as if it had found that number free */
    cr_assert_eq(chain_claim(&b, &end, why), 0);
    cr_assert_eq(b.epoch, 2);
}

Test(chain, a_writer_that_is_quicker_than_the_terminator_is_ended_behind_its_segment)
{
    rival = claimed(1, 0, 0);
    put_many(&rival, 1);
    struct chain c = made(2, 0);
    struct segment_pos end;

    /* epochs 1, 3, 2; claim; 1-1, 1-2, 1-1; terminator */
    before_call(8, rival_puts);
    cr_assert_eq(chain_claim(&c, &end, why), 0);
    EXPECT_POS(end, 1, 2);
    cr_assert_eq(put(&rival, "late"), -EKEYREVOKED);
}

Test(chain, an_epoch_that_begins_just_before_its_end_is_put_belongs_to_the_history)
{
    rival = claimed(1, 0, 0);
    struct chain c = made(2, 0);
    struct segment_pos end;

    before_call(6, rival_puts); /* epochs 1, 3, 2; claim; 1-1; terminator */
    cr_assert_eq(chain_claim(&c, &end, why), 0);
    EXPECT_POS(end, 1, 1);
    cr_assert_eq(put(&rival, "late"), -EKEYREVOKED);
}

Test(chain, a_terminator_whose_answer_was_lost_ends_its_epoch_once)
{
    struct chain a = claimed(1, 0, 0), b = made(2, 0);
    struct segment_pos end;

    put_many(&a, 1);
    fail_next(FAULT_KEEP_ALL);
    fault.fail_at = 2; /* the first is the claim */
    cr_assert_eq(chain_claim(&b, &end, why), -EIO);
    cr_assert(fault_fired(&fault));
    cr_assert_eq(shard_mem_count(place), 4);
    cr_assert_eq(chain_claim(&b, &end, why), 0);
    EXPECT_POS(end, 1, 1);
    cr_assert_eq(shard_mem_count(place), 4);
    cr_assert_eq(put(&a, "late"), -EKEYREVOKED);
}

Test(chain, whoever_died_after_the_claim_leaves_nothing_that_stays_open)
{
    struct chain a = claimed(1, 0, 0), b = made(2, 0);
    struct segment_pos end;

    put_many(&a, 1);
    fail_next(FAULT_LOSE_ALL);
    fault.fail_at = 2;
    cr_assert_eq(chain_claim(&b, &end, why), -EIO); /* and it never comes again */
    fault_reset(&fault);
    put_many(&a, 1);
    (void)claimed(3, 1, 2);
    cr_assert_eq(put(&a, "late"), -EKEYREVOKED);
    cr_assert_eq(chain_claim(&b, &end, why), 0);
    cr_assert_eq(put(&b, "late"), -EKEYREVOKED);
}

Test(chain, a_place_that_cannot_be_asked_is_named_and_the_claim_goes_on_later)
{
    struct chain c = made(1, 0);
    struct segment_pos end = {5, 5};

    shard_mem_set(place, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(chain_claim(&c, &end, why), -EHOSTUNREACH);
    cr_assert_str_eq(why, "the history cannot be claimed: l/00000007/epoch/00000001: "
                          "it does not answer");
    EXPECT_POS(end, 5, 5);
    shard_mem_set(place, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(chain_claim(&c, &end, why), 0);
}

Test(chain, a_hint_that_is_too_high_leaves_no_gap)
{
    struct chain c = made(9, 1000);
    struct segment_pos end;

    (void)claimed(1, 0, 0);
    (void)claimed(2, 0, 0);
    cr_assert_eq(chain_claim(&c, &end, why), 0);
    cr_assert_eq(c.epoch, 3);
}

Test(chain, lineages_are_apart)
{
    struct chain a = claimed(1, 0, 0), b;
    struct segment_pos end;

    put_many(&a, 2);
    chain_init(&b, shard, LINEAGE + 1, &a.who, 0);
    cr_assert_eq(chain_claim(&b, &end, why), 0);
    cr_assert_eq(b.epoch, 1);
    EXPECT_POS(end, 0, 0);
    put_many(&a, 1);
}

/* ---- segments ---- */

Test(chain, a_fenced_writer_stays_fenced_and_asks_nothing)
{
    struct chain a = claimed(1, 0, 0);

    (void)claimed(2, 0, 0);
    cr_assert_eq(put(&a, "late"), -EKEYREVOKED);
    uint64_t before = asked();

    cr_assert_eq(put(&a, "late"), -EKEYREVOKED);
    cr_assert_eq(put(&a, "other bytes"), -EKEYREVOKED);
    cr_assert_eq(asked(), before);
}

Test(chain, a_put_whose_answer_was_lost_is_told_0_when_it_is_repeated)
{
    struct chain a = claimed(1, 0, 0);

    fail_next(FAULT_KEEP_ALL);
    cr_assert_eq(put(&a, "one"), -EIO);
    cr_assert(fault_fired(&fault));
    cr_assert_eq(put(&a, "one"), 0);
    cr_assert_eq(put(&a, "two"), 0);
    cr_assert_eq(a.serial, 2);
    struct segment_pos pos = {0};

    expect_next(&pos, 1, 1, "one");
    expect_next(&pos, 1, 2, "two");
}

Test(chain, a_put_that_was_lost_before_a_take_over_is_fenced_and_one_that_was_done_counts)
{
    struct chain a = claimed(1, 0, 0);

    fail_next(FAULT_KEEP_ALL);
    cr_assert_eq(put(&a, "one"), -EIO);
    fault_reset(&fault);
    struct chain b = claimed(2, 1, 1);

    cr_assert_eq(put(&a, "one"), 0);
    cr_assert_eq(put(&a, "two"), -EKEYREVOKED);
    fail_next(FAULT_LOSE_ALL);
    cr_assert_eq(put(&b, "three"), -EIO);
    fault_reset(&fault);
    (void)claimed(3, 1, 1);
    cr_assert_eq(put(&b, "three"), -EKEYREVOKED);
}

Test(chain, whoever_finds_other_bytes_is_fenced_also_if_one_begins_with_the_other)
{
    struct chain a = claimed(1, 0, 0), b = a, c = a, d = a;

    cr_assert_eq(put(&a, "one"), 0);
    cr_assert_eq(put(&b, "two"), -EKEYREVOKED);
    cr_assert_eq(put(&c, "on"), -EKEYREVOKED);
    cr_assert_eq(put(&d, "one and more"), -EKEYREVOKED);
}

static void unreachable(void)
{
    shard_mem_set(place, SHARD_MEM_UNREACHABLE, true);
}

Test(chain, an_error_of_the_comparison_does_not_fence)
{
    struct chain a = claimed(1, 0, 0);

    cr_assert_eq(put(&a, "one"), 0);
    a.serial = 0; /* as if the answer had been lost */
    shard_mem_set(place, SHARD_MEM_DENIES, true);
    cr_assert_eq(put(&a, "one"), -EIO);
    shard_mem_set(place, SHARD_MEM_DENIES, false);
    before_call(2, unreachable); /* after the put, before the comparison */
    cr_assert_eq(put(&a, "one"), -EHOSTUNREACH);
    shard_mem_set(place, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(put(&a, "one"), 0);
}

Test(chain, other_bytes_after_a_put_that_may_have_been_done_are_a_mistake, .signal = SIGABRT)
{
    struct chain a = claimed(1, 0, 0);

    fail_next(FAULT_LOSE_ALL);
    cr_assert_eq(put(&a, "one"), -EIO);
    (void)put(&a, "two");
}

Test(chain, nothing_is_put_before_the_claim_is_whole, .signal = SIGABRT)
{
    struct chain a = made(1, 0);

    (void)put(&a, "one");
}

Test(chain, bytes_that_may_be_taken_for_a_terminator_are_refused)
{
    struct chain a = claimed(1, 0, 0);
    char text[ARCHIVE_TEXT_MAX];
    size_t len = chain_end_encode(LINEAGE, (struct segment_pos){1, 1}, text);
    uint64_t before = asked();

    cr_assert_eq(chain_put(&a, text, len), -EINVAL);
    cr_assert_eq(put(&a, ARCHIVE_TERMINATOR_BEGINS), -EINVAL);
    cr_assert_eq(put(&a, ARCHIVE_TERMINATOR_BEGINS "7\n"), -EINVAL);
    cr_assert_eq(chain_put(&a, text, 5), -EINVAL);
    cr_assert_eq(chain_put(&a, text, 0), -EINVAL);
    cr_assert_eq(asked(), before);
    cr_assert_eq(put(&a, "tallyfs segment"), 0);
}

Test(chain, a_segment_has_at_most_the_bytes_of_one_request)
{
    struct chain a = claimed(1, 0, 0);
    struct segment_pos pos = {0};
    char *bytes = calloc(1, (size_t)SHARD_PACK_MAX + 1);

    cr_assert_eq(chain_put(&a, bytes, (size_t)SHARD_PACK_MAX + 1), -EFBIG);
    cr_assert_eq(chain_put(&a, bytes, SHARD_PACK_MAX), 0);
    cr_assert_eq(next(&pos), SHARD_PACK_MAX);
    free(bytes);
}
