// SPDX-License-Identifier: Apache-2.0
/* Claims of log.h: what is read of a log after its end, whatever that was. */
#include "clock_manual.h"
#include "dir_disk.h"
#include "log_fixture.h"

#include "frame.h"
#include "history_entry.h"

/* ---- whole logs ---- */

Test(log_read, frames_come_back_as_they_were)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct iovec iov[3] = {
        {(void *)(uintptr_t) "two", 3}, {NULL, 0}, {(void *)(uintptr_t) "parts", 5}};
    uint64_t seq;

    append_text(l, "one");
    cr_assert_eq(log_room(l, 8), 0);
    cr_assert_eq(log_append(l, 7, iov, 3, &seq), 0);
    log_room_done(l, 8);
    append_text(l, "");
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(seen, "1=one 2=twoparts 3=");
    cr_assert(report_of.same_boot && !report_of.torn && report_of.frames == 3);
    cr_assert(report_of.last_seq == 3 && report_of.segments == 1 && report_of.next_segment == 2);
    disk_close(d);
}

static uint32_t ns_seen;
static int64_t time_seen;
static int note_head(const struct log_frame *f, void *ctx)
{
    (void)ctx;
    ns_seen = f->ns;
    time_seen = f->time;
    return -ECANCELED;
}

Test(log_read, a_frame_has_its_namespace_and_its_time_and_a_visitor_can_stop)
{
    struct disk *d = make_disk(0);
    struct log_config c = config_of(d);
    struct log_scan scan = {.epoch = EPOCH, .pos = {1, SEGMENT_HEAD}};
    struct clock_manual clock;
    struct log *l;
    uint64_t seq;

    clock_manual_init(&clock, 12345);
    c.clock = &clock.base;
    cr_assert_eq(log_open(&c, &l), 0);
    cr_assert_eq(log_room(l, 0), 0);
    cr_assert_eq(log_append(l, 77, NULL, 0, &seq), 0);
    log_room_done(l, 0);
    append_text(l, "more");
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(log_read(d, &scan, note_head, NULL, &report_of), -ECANCELED);
    cr_assert(ns_seen == 77 && time_seen == 12345);
    disk_close(d);
}

Test(log_read, there_may_be_no_log)
{
    struct disk *d = make_disk(0);

    cr_assert_eq(read_from(d, 9, (struct log_pos){4, SEGMENT_HEAD}), 0);
    cr_assert_str_eq(seen, "");
    cr_assert(report_of.last_seq == 9 && report_of.next_segment == 5 && !report_of.torn);
    disk_close(d);
}

Test(log_read, frames_go_on_from_segment_to_segment)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    char expected[4096] = "", block[7000];

    for (int i = 1; i <= 50; i++) {
        memset(block, 'a' + i % 26, sizeof block);
        append(l, block, sizeof block);
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%d",
                 i > 1 ? " " : "", i);
    }
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_eq(report_of.frames, 50);
    cr_assert_geq(report_of.segments, 6);
    disk_close(d);
}

Test(log_read, what_a_commit_has_is_not_visited)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    append_text(l, "one");
    struct log_pos pos = here(l);

    append_text(l, "two");
    append_text(l, "three");
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(read_from(d, 1, pos), 0);
    cr_assert_str_eq(seen, "2=two 3=three");
    cr_assert_eq(read_from(d, 2, pos), 0);
    cr_assert_str_eq(seen, "3=three");
    cr_assert_eq(read_from(d, 3, pos), 0);
    cr_assert_str_eq(seen, "");
    cr_assert_eq(report_of.last_seq, 3);
    disk_close(d);
}

Test(log_read, frames_of_another_epoch_are_not_read)
{
    struct disk *d = make_disk(0);
    struct log_config c = config_of(d);
    struct log *l = open_log(d);

    append_text(l, "one");
    crash(d, l, FAULT_KEEP_ALL);
    c.epoch = EPOCH + 1;
    c.seq = 1;
    c.next_segment = 2;
    cr_assert_eq(log_open(&c, &l), 0);
    append_text(l, "other");
    crash(d, l, FAULT_KEEP_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(seen, "1=one");
    cr_assert_eq(report_of.next_segment, 3);
    cr_assert_eq(log_reap(d, EPOCH + 1), 0);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(seen, "");
    struct log_scan scan = {.epoch = EPOCH + 1, .seq = 1, .pos = {2, SEGMENT_HEAD}};

    cr_assert_eq(log_read(d, &scan, note, NULL, &report_of), 0);
    cr_assert_str_eq(seen, "2=other");
    disk_close(d);
}

/* ---- loss of power ---- */

Test(log_read, after_a_loss_of_power_only_what_was_synced_counts)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    append_text(l, "one");
    sync_all(l);
    append_text(l, "two");
    crash(d, l, FAULT_LOSE_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(seen, "1=one");
    cr_assert_not(report_of.same_boot);
    disk_close(d);
}

/* Older versions wrote the number of the mount, and know no other. */
Test(log_read, what_an_older_version_has_left_counts_while_its_mount_lives)
{
    char top[] = "/tmp/tally-log-XXXXXX", path[64];
    uint8_t older[32];
    struct disk *d;
    struct log *l;

    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(dir_disk_open(top, 0, &d), 0);
    cr_assert_eq(disk_incarnation_of_mount(d, older), 0);
    for (uint8_t other = 0; other < 2; other++) {
        struct log_config c = config_of(d);

        older[24] = (uint8_t)(older[24] ^ other); /* of another mount */
        c.incarnation = older;
        cr_assert_eq(log_open(&c, &l), 0);
        append_text(l, "one");
        log_close(l);
        cr_assert_eq(read_log(d), 0);
        cr_assert_eq(report_of.same_boot, !other);
        cr_assert_str_eq(seen, other ? "" : "1=one");
        cr_assert_eq(log_remove(d), 0);
    }
    disk_close(d);
    snprintf(path, sizeof path, "%s/log", top);
    (void)rmdir(path);
    (void)rmdir(top);
}

Test(log_read, frames_that_arrived_without_their_sync_frame_do_not_count)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    append_text(l, "one");
    sync_all(l);
    append_text(l, "two");
    overwrite(d, 1, 64000, "", 1); /* syncs the file, and with it what nobody was told of */
    crash(d, l, FAULT_LOSE_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(seen, "1=one");
    cr_assert(report_of.torn);
    disk_close(d);
}

static int append_one(void *ctx)
{
    append_text(ctx, "late");
    return 0;
}

Test(log_read, a_sync_vouches_for_what_was_there_before_it_began)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    append_text(l, "one");
    cr_assert_eq(log_sync(l, 1, append_one, l), 0);
    cr_assert_eq(log_synced_seq(l), 1);
    crash(d, l, FAULT_LOSE_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(seen, "1=one");
    disk_close(d);
}

/* The log "1=one 2=two [2] 3=three 4=four [4] 5=five", all of it on the disk. */
struct story {
    struct disk *d;
    struct log_pos frame[6], sync[2], end; /* frames by number */
};

static struct story tell(void)
{
    static const char *const words[] = {"", "one", "two", "three", "four", "five"};
    struct story s = {.d = make_disk(0)};
    struct log *l = open_log(s.d);

    for (int i = 1; i <= 5; i++) {
        s.frame[i] = i > 1 ? here(l) : (struct log_pos){1, SEGMENT_HEAD};
        append_text(l, words[i]);
        if (i % 2 == 0) {
            s.sync[i / 2 - 1] = here(l);
            sync_all(l);
        }
    }
    s.end = here(l);
    overwrite(s.d, 1, SIZE - 8, "", 1);
    log_close(l);
    return s;
}

static void lose_power(struct story *s)
{
    fault.loss = FAULT_LOSE_ALL;
    disk_mem_power_cycle(s->d);
}

Test(log_read, the_story_ends_where_it_should)
{
    struct story s = tell();

    cr_assert_eq(read_log(s.d), 0);
    cr_assert_str_eq(seen, "1=one 2=two 3=three 4=four 5=five");
    cr_assert(report_of.end.segment == 1 && report_of.end.offset == s.end.offset);
    lose_power(&s);
    cr_assert_eq(read_log(s.d), 0);
    cr_assert_str_eq(seen, "1=one 2=two 3=three 4=four");
    cr_assert(report_of.torn && report_of.end.offset == s.sync[1].offset);
    disk_close(s.d);
}

Test(log_read, a_hole_behind_the_last_sync_frame_is_the_end_but_not_where_the_cache_lived)
{
    struct story s = tell();

    spoil(s.d, s.frame[5]);
    cr_assert_eq(read_log(s.d), -EUCLEAN);
    cr_assert(report_of.damaged && report_of.same_boot && report_of.whole == 4);
    cr_assert_eq(report_of.end.offset, s.frame[5].offset);
    cr_assert_str_eq(seen, "");
    lose_power(&s);
    cr_assert_eq(read_log(s.d), 0);
    cr_assert_str_eq(seen, "1=one 2=two 3=three 4=four");
    cr_assert(report_of.torn && !report_of.same_boot && !report_of.damaged);
    disk_close(s.d);
}

Test(log_read, what_a_killed_daemon_was_about_to_write_is_no_damage)
{
    static const uint8_t zeros[8];
    struct story s = tell();

    overwrite(s.d, 1, s.frame[5].offset, zeros, sizeof zeros); /* its checksum comes last */
    cr_assert_eq(read_log(s.d), 0);
    cr_assert_str_eq(seen, "1=one 2=two 3=three 4=four");
    cr_assert(report_of.torn && report_of.same_boot);
    disk_close(s.d);
}

Test(log_read, where_the_cache_lived_no_byte_of_a_frame_may_be_another)
{
    struct story s = tell();

    for (uint64_t at = SEGMENT_HEAD; at < s.end.offset; at++) {
        uint8_t was, is;
        struct disk_file *f;

        cr_assert_eq(disk_open(s.d, "log/0000000000000001", DISK_READ, &f), 0);
        cr_assert_eq(disk_pread(f, &was, 1, at), 1);
        disk_file_close(f);
        is = was ^ 0x10;
        overwrite(s.d, 1, at, &is, 1);
        int e = read_log(s.d);
        cr_assert(e == -EUCLEAN || (e == 0 && was == 0 && report_of.last_seq == 5), "byte %d: %d",
                  (int)at, e);
        overwrite(s.d, 1, at, &was, 1);
    }
    cr_assert_eq(read_log(s.d), 0);
    disk_close(s.d);
}

Test(log_read, what_a_lost_page_hides_is_counted)
{
    static const uint8_t zeros[4096];
    struct story s = tell();

    overwrite(s.d, 1, s.frame[2].offset, zeros, (size_t)(s.frame[4].offset - s.frame[2].offset));
    cr_assert_eq(read_log(s.d), -EUCLEAN);
    cr_assert(report_of.damaged && report_of.end.offset == s.frame[2].offset);
    cr_assert(report_of.whole == 1 && report_of.behind == 2 && report_of.behind_last == 5);
    disk_close(s.d);
}

Test(log_read, damage_can_be_accepted_with_what_is_before_it)
{
    for (int boot = 0; boot < 2; boot++) {
        struct story s = tell();
        struct log_scan scan = {.epoch = EPOCH, .pos = s.frame[1], .accept = true};

        spoil(s.d, s.frame[2]);
        if (boot)
            lose_power(&s);
        *seen = '\0';
        cr_assert_eq(log_read(s.d, &scan, note, NULL, &report_of), 0);
        cr_assert_str_eq(seen, "1=one");
        cr_assert(report_of.damaged && report_of.last_seq == 1 && report_of.behind == 3);
        disk_close(s.d);
    }
}

Test(log_read,
     a_hole_below_the_last_sync_frame_alone_is_its_torn_tail_but_not_where_the_cache_lived)
{
    struct story s = tell();

    spoil(s.d, s.frame[4]);
    cr_assert_eq(read_log(s.d), -EUCLEAN);
    cr_assert_str_eq(seen, "");
    cr_assert_eq(report_of.end.offset, s.frame[4].offset);
    lose_power(&s);
    cr_assert_eq(read_log(s.d), 0);
    cr_assert_str_eq(seen, "1=one 2=two");
    cr_assert(report_of.torn);
    disk_close(s.d);
}

Test(log_read, a_hole_that_a_sync_frame_vouches_for_and_another_follows_is_damage)
{
    for (int frame = 1; frame <= 2; frame++) {
        struct story s = tell();

        spoil(s.d, s.frame[frame]);
        for (int boot = 0; boot < 2; boot++) {
            cr_assert_eq(read_log(s.d), -EUCLEAN);
            cr_assert_str_eq(seen, "");
            cr_assert_eq(report_of.end.segment, 1);
            cr_assert_eq(report_of.end.offset, s.frame[frame].offset);
            lose_power(&s);
        }
        disk_close(s.d);
    }
}

Test(log_read, a_sync_frame_that_the_next_one_has_seen_synced_is_no_torn_tail)
{
    struct story s = tell();

    spoil(s.d, s.sync[0]);
    lose_power(&s);
    cr_assert_eq(read_log(s.d), -EUCLEAN);
    cr_assert(report_of.end.offset == s.sync[0].offset && report_of.behind == 3);
    disk_close(s.d);
}

Test(log_read, without_any_sync_frame_nothing_counts)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);

    append_text(l, "one");
    overwrite(d, 1, SIZE - 8, "", 1);
    crash(d, l, FAULT_LOSE_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_str_eq(seen, "");
    cr_assert_eq(report_of.last_seq, 0);
    disk_close(d);
}

Test(log_read, for_listing_the_tail_is_shown_as_what_it_is)
{
    struct story s = tell();
    struct log_scan scan = {.epoch = EPOCH, .pos = s.frame[2], .all = true};

    lose_power(&s);
    *seen = '\0';
    cr_assert_eq(log_read(s.d, &scan, note, NULL, &report_of), 0);
    cr_assert_str_eq(seen, "2=two [2] 3=three 4=four [4] ?5=five");
    scan.pos = s.frame[1];
    spoil(s.d, s.frame[2]);
    *seen = '\0';
    cr_assert_eq(log_read(s.d, &scan, note, NULL, &report_of), -EUCLEAN);
    cr_assert_str_eq(seen, "?1=one");
    scan.pos = s.frame[3];
    scan.end = s.frame[4];
    *seen = '\0';
    cr_assert_eq(log_read(s.d, &scan, note, NULL, &report_of), 0);
    cr_assert_str_eq(seen, "?3=three");
    disk_close(s.d);
}

/* Zeros from `cut` on: which frames are whole, and which of them does a sync frame vouch for? */
static void expect(const struct story *s, uint64_t cut, uint64_t *ret_whole, uint64_t *ret_trusted)
{
    static const uint64_t len[] = {0, 3, 3, 5, 4, 4};

    *ret_whole = *ret_trusted = 0;
    for (uint64_t i = 1; i <= 5; i++)
        if (cut >= s->frame[i].offset + FRAME_HEAD + len[i])
            *ret_whole = i;
    if (cut >= s->sync[0].offset + 32) /* the rest of it is zeros */
        *ret_trusted = 2;
    if (cut >= s->sync[1].offset + FRAME_HEAD + 1)
        *ret_trusted = 4;
}

/* Is there a frame that begins before `cut` and ends behind it? */
static bool cuts_a_frame(const struct story *s, uint64_t cut)
{
    for (int i = 1; i <= 5; i++)
        if (cut == s->frame[i].offset || (i <= 2 && cut == s->sync[i - 1].offset))
            return false;
    return true;
}

Test(log_read, cut_at_any_byte_the_log_ends_before_it)
{
    for (int boot = 0; boot < 2; boot++) {
        struct story s = tell();
        static uint8_t zeros[SIZE];

        if (boot == 1)
            lose_power(&s);
        for (uint64_t cut = s.end.offset - 1; cut >= SEGMENT_HEAD; cut--) {
            uint64_t whole, trusted;

            expect(&s, cut, &whole, &trusted);
            overwrite(s.d, 1, cut, zeros, (size_t)(s.end.offset - cut));
            int e = read_log(s.d);
            if (!boot && e == -EUCLEAN && cuts_a_frame(&s, cut))
                continue; /* its checksum would not be there: no death of a daemon leaves that */
            cr_assert_eq(e, 0, "cut at %d", (int)cut);
            cr_assert_eq(report_of.last_seq, boot ? trusted : whole, "cut at %d: %s", (int)cut,
                         seen);
        }
        disk_close(s.d);
    }
}

/* ---- segments ---- */

/* Three segments and a bit, synced at the end of each append; the head of each. */
static struct disk *three_segments(bool sync)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    char block[20000];

    memset(block, 'x', sizeof block);
    for (int i = 0; i < 8; i++) {
        append(l, block, sizeof block);
        if (sync)
            sync_all(l);
    }
    log_close(l);
    return d;
}

static void unlink_segment(struct disk *d, int serial)
{
    char name[64];

    snprintf(name, sizeof name, "log/%016x", serial);
    cr_assert_eq(disk_unlink(d, name), 0);
}

Test(log_read, a_segment_that_is_missing_is_damage)
{
    for (int missing = 2; missing <= 3; missing++) {
        struct disk *d = three_segments(true);

        unlink_segment(d, missing);
        cr_assert_eq(read_log(d), -EUCLEAN);
        cr_assert(report_of.end.segment == (uint64_t)missing && report_of.end.offset == 0);
        cr_assert_str_eq(seen, "");
        disk_close(d);
    }
}

Test(log_read, a_segment_without_a_head_is_damage)
{
    static const uint8_t bad[SEGMENT_HEAD] = {1, 2, 3};

    for (unsigned serial = 1; serial <= 3; serial++) {
        struct disk *d = three_segments(true);

        overwrite(d, serial, 0, bad, sizeof bad);
        cr_assert_eq(read_log(d), -EUCLEAN, "%u", serial);
        cr_assert_eq(report_of.end.segment, serial);
        disk_close(d);
    }
}

Test(log_read, a_hole_is_seen_to_be_vouched_for_from_a_later_segment)
{
    struct disk *d = three_segments(true);

    spoil(d, (struct log_pos){1, SEGMENT_HEAD});
    cr_assert_eq(read_log(d), -EUCLEAN);
    cr_assert(report_of.end.segment == 1 && report_of.end.offset == SEGMENT_HEAD);
    disk_close(d);
}

Test(log_read, the_end_of_a_segment_may_be_missing_if_the_next_one_goes_on)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    struct log_pos end;
    char block[20000] = "";

    append(l, block, sizeof block);
    append(l, block, sizeof block);
    append(l, block, 10000);
    end = here(l);
    append(l, block, sizeof block);
    sync_all(l);
    cr_assert_eq(here(l).segment, 2);
    spoil(d, end);
    crash(d, l, FAULT_LOSE_ALL);
    cr_assert_eq(read_log(d), 0);
    cr_assert_eq(report_of.last_seq, 4);
    cr_assert_eq(read_from(d, 3, end), 0);
    cr_assert_eq(report_of.last_seq, 4);
    disk_close(d);
}

Test(log_read, unsynced_segments_are_torn_where_the_first_hole_is_but_not_where_the_cache_lived)
{
    struct disk *d = three_segments(false);

    spoil(d, (struct log_pos){2, SEGMENT_HEAD});
    cr_assert_eq(read_log(d), -EUCLEAN);
    cr_assert(report_of.whole == 3 && report_of.behind == 4 && report_of.behind_last == 8);
    overwrite(d, 1, 5000, "", 1); /* syncs them */
    overwrite(d, 2, SIZE - 8, "", 1);
    overwrite(d, 3, SIZE - 8, "", 1);
    fault.loss = FAULT_LOSE_ALL;
    disk_mem_power_cycle(d);
    cr_assert_eq(read_log(d), 0);
    cr_assert(report_of.frames == 0 && report_of.torn);
    disk_close(d);
}

Test(log_read, the_first_segment_that_is_missing_is_damage_if_there_are_later_ones)
{
    for (int boot = 0; boot < 2; boot++) {
        struct disk *d = three_segments(true);

        unlink_segment(d, 1);
        unlink_segment(d, 2);
        cr_assert_eq(disk_sync_dir(d, "log"), 0);
        fault.loss = FAULT_LOSE_ALL;
        if (boot)
            disk_mem_power_cycle(d);
        cr_assert_eq(read_log(d), -EUCLEAN);
        cr_assert(report_of.whole == 0 && report_of.behind_last == 8);
        disk_close(d);
    }
}

Test(log_read, frames_without_a_head_before_them_are_damage)
{
    static const uint8_t zeros[SEGMENT_HEAD];
    struct disk *d = three_segments(true);

    overwrite(d, 3, 0, zeros, sizeof zeros);
    cr_assert_eq(read_log(d), -EUCLEAN);
    cr_assert(report_of.end.segment == 3 && report_of.whole == 6);
    overwrite(d, 1, 0, zeros, sizeof zeros);
    cr_assert_eq(read_log(d), -EUCLEAN);
    cr_assert(report_of.end.segment == 1 && report_of.whole == 0);
    disk_close(d);
}

Test(log_read, the_only_frame_of_the_last_segment_is_not_lost_without_a_word)
{
    struct disk *d = make_disk(0);
    struct log *l = open_log(d);
    char block[20000] = "";
    struct log_pos end;

    for (int i = 0; i < 3; i++)
        append(l, block, sizeof block);
    end = here(l);
    append(l, block, sizeof block);
    cr_assert_eq(here(l).segment, 2);
    log_close(l);
    spoil(d, end);
    cr_assert_eq(read_log(d), 0); /* an end may be missing */
    cr_assert_eq(report_of.last_seq, 4);
    spoil(d, (struct log_pos){2, SEGMENT_HEAD + 100});
    cr_assert_eq(read_log(d), -EUCLEAN);
    disk_close(d);
}

Test(log_read, bytes_that_look_like_heads_of_frames_send_nobody_far)
{
    struct disk *d = make_disk(0);
    struct log_config c = config_of(d);
    struct log *l;
    static uint8_t fake[8 << 20];

    for (size_t at = 0; at + 40 <= sizeof fake; at += 40) {
        struct frame_head h = {.kind = FRAME_CHANGE, .len = 0, .seq = 2};
        frame_seal(fake + at, &h, 1, 2);
        put_le32(fake + at + 8, (uint32_t)(sizeof fake - at - 40));
    }
    c.segment_size = 16 << 20;
    cr_assert_eq(log_open(&c, &l), 0);
    append_text(l, "one");
    append(l, fake, sizeof fake);
    log_close(l);
    spoil(d, (struct log_pos){1, SEGMENT_HEAD});
    cr_assert_eq(read_log(d), -EUCLEAN);
    disk_close(d);
}

Test(log_read, lengths_beyond_anything_are_not_believed)
{
    struct story s = tell();
    uint8_t len[4] = {0xff, 0xff, 0xff, 0xff};

    overwrite(s.d, 1, s.frame[5].offset + 8, len, sizeof len);
    cr_assert_eq(read_log(s.d), -EUCLEAN);
    cr_assert_eq(report_of.whole, 4);
    lose_power(&s);
    cr_assert_eq(read_log(s.d), 0);
    cr_assert_eq(report_of.last_seq, 4);
    disk_close(s.d);
}

Test(log_read, a_file_shorter_than_its_head_says_ends_there)
{
    struct story s = tell();
    struct disk_file *f;

    cr_assert_eq(disk_open(s.d, "log/0000000000000001", DISK_WRITE, &f), 0);
    cr_assert_eq(disk_truncate(f, s.frame[5].offset + 10), 0);
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
    cr_assert_eq(read_log(s.d), -EUCLEAN);
    lose_power(&s);
    cr_assert_eq(read_log(s.d), 0);
    cr_assert_eq(report_of.last_seq, 4);
    disk_close(s.d);
}

Test(log_read, an_error_of_the_disk_is_told)
{
    struct story s = tell();

    fault.fail_at = fault.writes + 1;
    fault.cut = true;
    (void)fault_write(&fault);
    cr_assert_eq(read_log(s.d), -EIO);
    fault_reset(&fault);
    disk_close(s.d);
}

/* ---- in words ---- */

static const char *words_of(const struct op *op, uint32_t ns)
{
    static struct strbuf text = STRBUF_INIT;
    static char words[200];

    strbuf_clear(&text);
    log_describe_op(op, ns, &text);
    snprintf(words, sizeof words, "%s", text.s);
    strbuf_release(&text);
    return words;
}

Test(log_read, operations_can_be_said_in_words)
{
    uint8_t name[DIRENT_ITEM_MAX], entry[HISTORY_ENTRY_MAX];
    struct op op = {.kind = OP_PUT, .ns = 3, .key = key_make(12, ITEM_INODE, 0)};

    cr_assert_str_eq(words_of(&op, 3), "put inode 12");
    cr_assert_str_eq(words_of(&op, 4), "put inode 12 of namespace 3");
    op.ns = OP_NS_ORPHANS;
    cr_assert_str_eq(words_of(&op, 4), "put inode 12 among the orphans");
    op = (struct op){.kind = OP_DEL, .ns = 3, .key = key_make(12, ITEM_EXTENT, 131072)};
    cr_assert_str_eq(words_of(&op, 3), "delete extent at 131072 of inode 12");
    op = (struct op){.kind = OP_PUT, .ns = 3, .key = key_make(1, ITEM_DIRENT, 5), .data = name};
    op.len = dirent_encode(12, 8, "a name", 6, name);
    cr_assert_str_eq(words_of(&op, 3), "put entry \"a name\" of inode 1");
    op = (struct op){.kind = OP_CONTENT_WRITE, .number = 77, .a = 10, .len = 4096};
    cr_assert_str_eq(words_of(&op, 3), "write 4096 bytes at 10 of content 77");
    op = (struct op){.kind = OP_SETTING, .a = (uint64_t)-1, .data = "flush_retry", .len = 11};
    cr_assert_str_eq(words_of(&op, 3), "set flush_retry to -1");
    op = (struct op){.kind = OP_REQUEST, .a = UINT64_MAX};
    cr_assert_str_eq(words_of(&op, 3), "request 18446744073709551615");
    op = (struct op){.kind = OP_INO_RUN, .ns = 3, .a = 2, .b = 1026};
    cr_assert_str_eq(words_of(&op, 3), "inode numbers 2 to 1025 are of namespace 3");
    op = (struct op){.kind = OP_NS_SETTING,
                     .ns = 3,
                     .data = "quota\0"
                             "20",
                     .len = 8};
    cr_assert_str_eq(words_of(&op, 3), "set quota of namespace 3 to 2 bytes");
    op.len = 5;
    cr_assert_str_eq(words_of(&op, 3), "remove setting quota of namespace 3");
    op.len = 0;
    cr_assert_str_eq(words_of(&op, 3), "a setting of namespace 3, damaged");
    op = (struct op){.kind = OP_HISTORY, .data = entry};
    op.len = history_entry_encode(
        &(struct history_entry){.kind = HISTORY_RENAME, .ns = {3, 0}, .name = "a name"}, entry);
    cr_assert_str_eq(words_of(&op, 3), "operation rename \"a name\"");
    op.len = 1;
    cr_assert_str_eq(words_of(&op, 3), "an operation of the history, damaged");
    op = (struct op){.kind = OP_NS_TAKE, .ns = 3, .number = 9};
    cr_assert_str_eq(words_of(&op, 3), "give the tree of namespace 9 to namespace 3");
    op = (struct op){.kind = OP_RANGE_DEL, .ns = 3, .key = {12 << 6, 0}, .end = {12 << 6 | 63, 0}};
    cr_assert_str_eq(words_of(&op, 3), "delete items of inode 12");
    op = (struct op){.kind = OP_RANGE_COPY, .ns = 3, .key = key_make(12, ITEM_EXTENT, 131072)};
    op.end = key_make(12, ITEM_EXTENT, UINT64_MAX);
    op.a = 4;
    op.b = 77;
    cr_assert_str_eq(words_of(&op, 3),
                     "copy extents of inode 12 from 131072 on to inode 77 of namespace 4");
}

Test(log_read, a_frame_is_said_up_to_what_is_wrong)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct op op = {.kind = OP_PIN, .number = 5};
    uint8_t payload[3 * OP_HEAD_MAX];
    struct log_frame f = {.payload = payload};

    for (int i = 0; i < 3; i++)
        f.len += op_encode(&op, payload + f.len);
    cr_assert_eq(log_describe(&f, 2, &text), 0);
    cr_assert_str_eq(text.s, "pin object 5, pin object 5 and 1 more");
    strbuf_clear(&text);
    f.len--;
    cr_assert_eq(log_describe(&f, 9, &text), -EUCLEAN);
    cr_assert_str_eq(text.s, "pin object 5, pin object 5");
}
