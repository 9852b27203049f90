// SPDX-License-Identifier: Apache-2.0
/* Claims of log.h: of what writes it. What is read of it: test_log_read.c. */
#include "log_fixture.h"

#include "log_impl.h"
#include <sched.h>

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

/* ---- room ---- */

Test(log, a_frame_may_be_larger_than_a_segment_and_has_a_limit)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    size_t len = 300 << 10;
    char *big = calloc(1, len);

    append_text(l, "small");
    memset(big, 'b', len);
    append(l, big, len);
    append_text(l, "small");
    cr_assert_eq(log_room(l, (size_t)LOG_FRAME_MAX + 1), -EFBIG);
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_eq(report_of.frames, 3);
    free(big);
    disk_close(d);
}

Test(log, a_frame_without_room_is_refused_and_nothing_is_written)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    static char block[SIZE];
    struct iovec iov = {block, sizeof block};
    uint64_t seq = 99;

    cr_assert_eq(log_append(l, 1, &iov, 1, &seq), -ENOSPC);
    append_text(l, "one");
    cr_assert_eq(log_append(l, 1, &iov, 1, &seq), -ENOSPC);
    cr_assert(seq == 99 && log_seq(l) == 1);
    append_text(l, "two");
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(seen, "1=one 2=two");
    disk_close(d);
}

Test(log, room_that_was_asked_for_is_there_whatever_others_do)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    static char block[60000];
    struct iovec iov = {block, 0};
    uint64_t seq, state = 1;

    for (int round = 0; round < 300; round++) { /* up to eight callers, in any order */
        size_t asked[8], n = 1 + fault_random(&state) % 8;

        for (size_t i = 0; i < n; i++) {
            asked[i] = fault_random(&state) % sizeof block;
            cr_assert_eq(log_room(l, asked[i]), 0);
        }
        for (size_t i = n; i-- > 0;) {
            iov.iov_len = fault_random(&state) % (asked[i] + 1);
            if (fault_random(&state) % 4)
                cr_assert_eq(log_append(l, 1, &iov, 1, &seq), 0);
            if (fault_random(&state) % 4 == 0)
                sync_all(l);
            log_room_done(l, asked[i]);
        }
    }
    log_close(l);
    disk_close(d);
}

Test(log, sync_frames_have_room_of_their_own)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_stats stats;

    for (int i = 0; i < 3000; i++) { /* several segments of nothing but the smallest */
        append(l, NULL, 0);
        sync_all(l);
    }
    log_get_stats(l, &stats);
    cr_assert_eq(stats.syncs, 3000);
    crash(d, l, FAULT_LOSE_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_eq(report_of.frames, 3000);
    disk_close(d);
}

/* Everything that fits; what log_room said then. */
static int fill(struct log *l, size_t len)
{
    static char block[4000];
    struct iovec iov = {block, len};
    uint64_t seq;
    int r;

    while ((r = log_room(l, len)) == 0) {
        cr_assert_eq(log_append(l, 1, &iov, 1, &seq), 0);
        log_room_done(l, len);
    }
    return r;
}

Test(log, on_a_full_disk_there_is_no_room_until_a_commit_has_trimmed)
{
    for (uint64_t capacity = 20 << 10; capacity < 300 << 10; capacity += 12 << 10) {
        struct disk *d = make_disk(capacity);
        struct log *l = open_log(d);

        for (int i = 0; i < 10; i++) {
            cr_assert_eq(fill(l, 3000), -ENOSPC);
            fill(l, 0);
            struct log_pos pos = here(l);
            uint64_t seq = log_seq(l);

            log_trim(l, &pos);
            cr_assert_eq(log_seq(l), seq);
            cr_assert_eq(append_text(l, "goes on"), seq + 1, "capacity %d", (int)capacity);
            sync_all(l);
            cr_assert_eq(read_from(d, seq, pos), 0);
            cr_assert_eq(report_of.last_seq, seq + 1);
        }
        log_close(l);
        disk_close(d);
    }
}

Test(log, a_segment_that_was_given_up_is_no_hole_where_it_is_not_used_again)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    static char block[SIZE * 2];

    append(l, block, SIZE / 2);
    append_text(l, "committed");
    struct log_pos pos = here(l);

    log_trim(l, &pos);
    append(l, block, sizeof block); /* too much for what it was given up for */
    sync_all(l);
    crash(d, l, FAULT_LOSE_ALL);
    cr_assert_eq(read_from(d, 2, pos), 0);
    cr_assert_eq(report_of.last_seq, 3);
    disk_close(d);
}

Test(log, where_a_segment_has_no_room_a_smaller_one_is_made)
{
    struct disk *d = make_disk(100 << 10);
    struct log_config c = config_of(d);
    struct log_stats stats;
    struct log *l;

    c.segment_size = 512 << 10;
    cr_assert_eq(log_open(&c, &l), 0);
    append_text(l, "one");
    log_get_stats(l, &stats);
    cr_assert(stats.segments == 1 && stats.bytes < 64 << 10);
    log_close(l);
    disk_close(d);
}

Test(log, a_segment_is_a_small_part_of_a_small_disk)
{
    struct disk *d = make_disk(64 << 20);
    struct log_config c = config_of(d);
    struct log_stats stats;
    struct log *l;

    c.segment_size = 64 << 20;
    cr_assert_eq(log_open(&c, &l), 0);
    append_text(l, "one");
    log_get_stats(l, &stats);
    cr_assert_eq(stats.bytes, 4 << 20);
    log_close(l);
    disk_close(d);
}

/* ---- trimming ---- */

Test(log, a_trimmed_segment_is_used_again_and_its_old_frames_are_never_read)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_pos pos = {1, SEGMENT_HEAD};
    uint64_t committed = 0, bytes, names;
    struct log_stats stats;
    char text[500];

    for (int i = 1; i < 2000; i++) {
        snprintf(text, sizeof text, "%0*d", i % 400, i);
        append_text(l, text);
        if (i % 300 == 0) {
            pos = here(l);
            committed = log_seq(l);
            log_trim(l, &pos);
        }
    }
    log_get_stats(l, &stats);
    disk_mem_usage(d, &bytes, &names);
    cr_assert_eq(names, stats.segments);
    cr_assert_eq(bytes, stats.bytes);
    cr_assert_leq(names, 4);
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(read_from(d, committed, pos), 0);
    cr_assert_eq(report_of.last_seq, 1999);
    cr_assert_not(report_of.torn);
    disk_close(d);
}

Test(log, what_is_behind_a_position_stays)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_pos pos = {1, SEGMENT_HEAD};
    static char block[9000];
    uint64_t committed = 0;

    for (int i = 0; i < 100; i++) {
        append(l, block, sizeof block);
        if (i % 10 == 3) {
            log_trim(l, &pos); /* of a commit some segments ago */
            cr_assert_eq(read_from(d, committed, pos), 0);
            cr_assert_eq(report_of.last_seq, (uint64_t)i + 1);
        }
        if (i % 10 == 5) {
            pos = here(l);
            committed = log_seq(l);
        }
    }
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(read_from(d, committed, pos), 0);
    cr_assert_eq(report_of.last_seq, 100);
    disk_close(d);
}

/* ---- syncing ---- */

Test(log, a_sync_of_what_is_synced_does_nothing)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_stats stats;

    cr_assert_eq(log_sync(l, 100, NULL, NULL), 0);
    append_text(l, "one");
    sync_all(l);
    uint64_t writes = fault.writes;

    cr_assert_eq(log_sync(l, 1, NULL, NULL), 0);
    cr_assert_eq(log_sync(l, UINT64_MAX, NULL, NULL), 0);
    cr_assert_eq(fault.writes, writes);
    log_get_stats(l, &stats);
    cr_assert(stats.syncs == 1 && stats.sync_callers == 1);
    log_close(l);
    disk_close(d);
}

static int fail_before(void *ctx)
{
    (void)ctx;
    return -ENOSPC;
}

Test(log, what_must_be_synced_before_fails_the_sync_alone)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    append_text(l, "one");
    cr_assert_eq(log_sync(l, 1, fail_before, NULL), -ENOSPC);
    cr_assert_eq(log_synced_seq(l), 0);
    sync_all(l);
    cr_assert_eq(log_synced_seq(l), 1);
    log_close(l);
    disk_close(d);
}

static uint64_t told;
static void tell_synced(void *ctx, uint64_t seq)
{
    (void)ctx;
    told = seq;
}

Test(log, who_asked_is_told_what_is_synced)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    log_on_synced(l, tell_synced, NULL);
    append_text(l, "one");
    append_text(l, "two");
    sync_all(l);
    cr_assert_eq(told, 2);
    log_close(l);
    disk_close(d);
}

static unsigned fatals;
static void count_fatal(void *ctx, const char *what, int err)
{
    (void)ctx;
    cr_assert(*what && err == -EIO);
    fatals++;
}

Test(log, a_failed_sync_is_the_end_of_the_log)
{
    for (unsigned at = 1; at <= 2; at++) { /* the sync frame, the sync */
        struct disk *d = make_disk(0);
        struct log_config c = config_of(d);
        struct log *l;

        c.fatal = count_fatal;
        fatals = 0;
        cr_assert_eq(log_open(&c, &l), 0);
        append_text(l, "one");
        fault.fail_at = fault.writes + at;
        cr_assert_eq(log_sync(l, 1, NULL, NULL), -EIO);
        uint64_t writes = fault.writes;

        cr_assert_eq(log_sync(l, 1, NULL, NULL), -EIO);
        cr_assert_eq(log_room(l, 1), -EIO);
        cr_assert(fatals == 1 && log_synced_seq(l) == 0 && fault.writes == writes);
        log_close(l);
        disk_close(d);
    }
}

/* Threads that wait for the sync that `before` holds up. */
struct party {
    struct log *l;
    uint64_t seq;
    int result;
    pthread_t thread;
};
#define PARTY 8
static _Atomic unsigned waiting_for;

static unsigned count_waiters(struct log *l)
{
    MUTEX_GUARD(&l->sync);
    struct waiter *w;
    unsigned n = 0;

    TAILQ_FOREACH(w, &l->waiters, next)
    n++;
    return n;
}

static int until_all_wait(void *ctx)
{
    while (count_waiters(ctx) < waiting_for)
        sched_yield();
    return 0;
}

static void *party_main(void *arg)
{
    struct party *p = arg;

    p->result = log_sync(p->l, p->seq, NULL, NULL);
    return NULL;
}

static void party_start(struct party *v, struct log *l)
{
    for (int i = 0; i < PARTY; i++) {
        v[i] = (struct party){.l = l, .seq = append_text(l, "frame")};
        cr_assert_eq(pthread_create(&v[i].thread, NULL, party_main, &v[i]), 0);
    }
}

static void party_end(struct party *v, int result)
{
    for (int i = 0; i < PARTY; i++) {
        pthread_join(v[i].thread, NULL);
        cr_assert_eq(v[i].result, result);
    }
}

struct late {
    struct log *l;
    struct party *v;
};
static int start_party(void *ctx)
{
    struct late *late = ctx;

    party_start(late->v, late->l);
    return until_all_wait(late->l);
}

Test(log, those_who_come_during_a_sync_share_the_next)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct party v[PARTY];
    struct late late = {l, v};
    struct log_stats stats;

    waiting_for = PARTY;
    append_text(l, "first");
    cr_assert_eq(log_sync(l, 1, start_party, &late), 0);
    party_end(v, 0);
    cr_assert_eq(log_synced_seq(l), PARTY + 1);
    log_get_stats(l, &stats);
    cr_assert(stats.syncs == 2 && stats.sync_callers == PARTY + 1);
    log_close(l);
    disk_close(d);
}

static struct party early[PARTY];

/* The frames are there; their owners ask while the leader is at work. */
static int start_early(void *ctx)
{
    for (int i = 0; i < PARTY; i++)
        cr_assert_eq(pthread_create(&early[i].thread, NULL, party_main, &early[i]), 0);
    return until_all_wait(ctx);
}

Test(log, one_sync_is_for_all_whose_frames_were_there)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_stats stats;

    waiting_for = PARTY;
    for (int i = 0; i < PARTY; i++)
        early[i] = (struct party){.l = l, .seq = append_text(l, "frame")};
    cr_assert_eq(log_sync(l, 1, start_early, l), 0);
    party_end(early, 0);
    log_get_stats(l, &stats);
    cr_assert(stats.syncs == 1 && stats.sync_callers == PARTY + 1);
    log_close(l);
    disk_close(d);
}

static int start_and_fail(void *ctx)
{
    start_early(ctx);
    fault.fail_at = fault.writes + 2;
    return 0;
}

Test(log, a_failed_sync_fails_for_all_who_wait)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    waiting_for = PARTY;
    for (int i = 0; i < PARTY; i++)
        early[i] = (struct party){.l = l, .seq = append_text(l, "frame")};
    cr_assert_eq(log_sync(l, 1, start_and_fail, l), -EIO);
    party_end(early, -EIO);
    log_close(l);
    disk_close(d);
}

/* ---- waiting for room, and the thread ---- */

static void *ask_for_much(void *arg)
{
    int r = log_room(arg, LOG_FRAME_MAX);

    if (r == 0)
        log_room_done(arg, LOG_FRAME_MAX);
    return r ? arg : NULL;
}

Test(log, who_asks_for_too_much_at_once_waits_for_others)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    pthread_t thread;
    void *failed;
    bool waits = false;

    cr_assert_eq(log_room(l, LOG_FRAME_MAX), 0);
    cr_assert_eq(log_room(l, LOG_FRAME_MAX - 4096), 0);
    cr_assert_eq(pthread_create(&thread, NULL, ask_for_much, l), 0);
    while (!waits) {
        MUTEX_GUARD(&l->lock);
        waits = l->room_waiters == 1;
    }
    log_room_done(l, LOG_FRAME_MAX);
    cr_assert_eq(pthread_join(thread, &failed), 0);
    cr_assert_null(failed);
    log_room_done(l, LOG_FRAME_MAX - 4096);
    log_close(l);
    disk_close(d);
}

Test(log, with_its_thread_the_next_segment_is_ready_before_it_is_needed)
{
    struct disk *d = make_disk(0);
    struct log_config c = config_of(d);
    struct log_pos pos;
    struct log *l;
    bool ready = false;

    c.background = true;
    cr_assert_eq(log_open(&c, &l), 0);
    do {
        append_text(l, "some text");
        pos = here(l);
    } while (pos.offset <= SIZE / 2);
    append_text(l, "half of it is used");
    while (!ready) {
        MUTEX_GUARD(&l->lock);
        ready = !TAILQ_EMPTY(&l->ready);
    }
    pos = here(l);
    cr_assert_eq(pos.segment, 1);
    log_close(l);
    disk_close(d);
}

/* ---- listing while it is open ---- */

static struct log *open_with_thread(struct disk *d)
{
    struct log_config c = config_of(d);
    struct log *l;

    c.background = true;
    cr_assert_eq(log_open(&c, &l), 0);
    return l;
}

static bool thread_rests(struct log *l)
{
    MUTEX_GUARD(&l->lock);
    return !l->want && !l->expect;
}

static bool has_written_one(struct log *l)
{
    MUTEX_GUARD(&l->lock);
    return log_written_ready(l) != NULL;
}

/* To a segment that was made without zeros: nobody had synced yet. */
static void reach_an_unwritten_one(struct log *l)
{
    char block[5000] = "";

    while (here(l).segment < 3)
        append(l, block, sizeof block);
    while (!thread_rests(l))
        sched_yield();
    cr_assert_not(l->current->written);
}

Test(log, who_syncs_often_is_moved_to_a_segment_that_was_written_before)
{
    struct disk *d = make_disk(0);
    struct log *l = open_with_thread(d);
    struct log_pos from;

    reach_an_unwritten_one(l);
    for (int i = 0; i < LOG_SYNCS_WORTH_IT; i++) {
        append_text(l, "x");
        sync_all(l);
    }
    from = here(l);
    cr_assert_lt(from.offset, SIZE / 2, "it would not end by itself");
    while (!has_written_one(l))
        sched_yield();
    append_text(l, "y");
    cr_assert_gt(here(l).segment, from.segment);
    cr_assert(l->current->written);
    sync_all(l);
    crash(d, l, FAULT_LOSE_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(strrchr(seen, '=') + 1, "y");
    disk_close(d);
}

Test(log, a_spare_file_that_is_given_back_is_as_good_as_before)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_pos pos;
    char block[5000] = "";

    for (int i = 0; i < 100; i++)
        append(l, block, sizeof block);
    log_position(l, &pos);
    log_trim(l, &pos);
    cr_assert(l->spare_size == SIZE && l->spare_written);
    fault.fail_at = fault.writes + 2; /* the rename, and then the first frame */
    cr_assert_eq(log_room(l, 45000), -EIO);
    cr_assert(fault_fired(&fault));
    fault_reset(&fault);
    cr_assert(l->spare_size == SIZE && l->spare_written);
    cr_assert_eq(log_room(l, 45000), 0);
    cr_assert_eq(l->spare_size, 0, "it was not taken");
    log_room_done(l, 45000);
    log_close(l);
    disk_close(d);
}

Test(log, an_open_log_can_be_listed)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_scan scan;

    cr_assert_eq(log_scan_now(l, &scan), -ENOENT);
    append_text(l, "one");
    sync_all(l);
    append_text(l, "two");
    cr_assert_eq(log_scan_now(l, &scan), 0);
    append_text(l, "three");
    *seen = '\0';
    cr_assert_eq(log_read(d, &scan, note, NULL, &report_of), 0);
    cr_assert_str_eq(seen, "1=one [1] 2=two");
    log_close(l);
    disk_close(d);
}
