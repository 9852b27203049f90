// SPDX-License-Identifier: Apache-2.0
/* A disk that does not take what is written to a mapped segment. A file that is cut short is one:
 * the kernel sends the same SIGBUS for a page beyond its end. */
#include "log_fixture.h"
#include "dir_disk.h"
#include "mapped.h"
#include "report.h"

#include <fcntl.h>
#include <unistd.h>

#define FATAL 7

static char top[32];
static struct disk *d;
static struct log *l;
static char said[512];

static int fatal(const char *file, uint64_t offset)
{
    (void)file;
    (void)offset;
    return FATAL;
}

static void listen_to(enum report_level level, const char *text, void *ctx)
{
    (void)level;
    (void)ctx;
    snprintf(said, sizeof said, "%s", text);
}

static void up(void)
{
    strcpy(top, "/tmp/tally-log-XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(dir_disk_open(top, 0, &d), 0);
    report_set_sink(listen_to, NULL);
    cr_assert_eq(mapped_catch_faults(fatal), 0);
    l = open_log(d);
    append_text(l, "before");
    sync_all(l);
}

static void down(void)
{
    log_close(l);
    cr_assert_eq(log_remove(d), 0);
    disk_close(d);
    char path[64];
    snprintf(path, sizeof path, "%s/log", top);
    (void)rmdir(path);
    (void)rmdir(top);
}

TestSuite(log_fault, .init = up, .fini = down);

/* All but its head and the page of the first frames. */
static void lose_pages(void)
{
    char path[64];

    snprintf(path, sizeof path, "%s/log/%016x", top, 1);
    cr_assert_eq(truncate(path, 8192), 0);
}

static int try_append(size_t len)
{
    static char bytes[SIZE];
    struct iovec iov = {bytes, len};
    uint64_t seq = 0;

    cr_assert_eq(log_room(l, len), 0);
    int r = log_append(l, 1, &iov, 1, &seq);
    log_room_done(l, len);
    return r;
}

static int count_frame(const struct log_frame *f, void *ctx)
{
    (void)f;
    ++*(unsigned *)ctx;
    return 0;
}

Test(log_fault, a_frame_that_the_disk_does_not_take_is_an_error_with_the_file)
{
    lose_pages();
    cr_assert_eq(try_append(10000), -EIO);
    cr_assert_not_null(strstr(said, "log/0000000000000001"), "%s", said);
    cr_assert_not_null(strstr(said, "mount the store again"), "%s", said);
    cr_assert_eq(log_seq(l), 1);
}

Test(log_fault, after_it_nothing_is_taken_and_nothing_synced)
{
    uint64_t seq;
    struct iovec iov = {(char[]){"x"}, 1};

    cr_assert_eq(log_room(l, 1), 0);
    lose_pages();
    cr_assert_eq(try_append(10000), -EIO);
    cr_assert_eq(log_append(l, 1, &iov, 1, &seq), -EIO);
    log_room_done(l, 1);
    cr_assert_eq(log_room(l, 1), -EIO);
    cr_assert_not(log_room_now(l, 1));
    cr_assert_eq(log_sync(l, 1, NULL, NULL), -EIO);
}

Test(log_fault, what_was_there_is_read_and_the_rest_is_no_frame)
{
    struct log_scan scan = {.epoch = EPOCH, .pos = {1, SEGMENT_HEAD}};
    struct log_report report;
    unsigned frames = 0;

    lose_pages();
    cr_assert_eq(try_append(10000), -EIO);
    cr_assert_eq(log_read(d, &scan, count_frame, &frames, &report), 0);
    cr_assert_eq(frames, 1);
}
