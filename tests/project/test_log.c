// SPDX-License-Identifier: Apache-2.0
/* Claims of log.h. */
#include "log_fixture.h"

Test(log, frames_have_consecutive_numbers)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    for (uint64_t i = 1; i < 1000; i++)
        cr_assert_eq(append(l, "0123456789", i % 10), i);
    cr_assert_eq(log_seq(l), 999);
    cr_assert_eq(log_synced_seq(l), 0);
    cr_assert_eq(log_sync(l, 999, NULL, NULL), 0);
    cr_assert_eq(log_synced_seq(l), 999);
    log_close(l);
    disk_close(d);
}

Test(log, no_file_is_made_before_the_first_frame_is_to_come)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    uint64_t bytes, names;
    struct log_pos pos;

    log_position(l, &pos);
    cr_assert(pos.segment == 1 && pos.offset == SEGMENT_HEAD);
    log_close(l);
    disk_mem_usage(d, &bytes, &names);
    cr_assert(bytes == 0 && names == 0);
    disk_close(d);
}

Test(log, segments_before_a_position_go_with_a_trim)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_stats stats;
    struct log_pos pos;
    uint64_t bytes, names;
    char block[5000] = "";

    for (int i = 0; i < 100; i++)
        append(l, block, sizeof block);
    log_get_stats(l, &stats);
    cr_assert_gt(stats.segments, 5);
    log_position(l, &pos);
    log_trim(l, &pos);
    log_get_stats(l, &stats);
    cr_assert_leq(stats.segments, 2); /* the current one, and a spare */
    cr_assert_eq(log_sync(l, log_seq(l), NULL, NULL), 0);
    log_close(l);
    disk_mem_usage(d, &bytes, &names);
    cr_assert_eq(names, stats.segments);
    cr_assert_eq(log_remove(d), 0);
    disk_mem_usage(d, &bytes, &names);
    cr_assert_eq(names, 0);
    disk_close(d);
}
