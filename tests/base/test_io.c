// SPDX-License-Identifier: Apache-2.0
/* Claims of io.h, in a directory of its own per test. */
#include "io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/tally-io-XXXXXX";
static int dir;

static void setup(void)
{
    cr_assert_not_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(dir, 0);
}

static void teardown(void)
{
    const char *left[] = {"f", "f.tmp", "sub/f"};
    for (size_t i = 0; i < 3; i++)
        (void)unlinkat(dir, left[i], 0);
    (void)unlinkat(dir, "sub", AT_REMOVEDIR);
    (void)close(dir);
    cr_assert_eq(rmdir(path), 0);
}

static int make(const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    return fd;
}

static void holds(const char *name, const char *text)
{
    CLEANUP_FREE char *buf = NULL;
    size_t len = 0;
    cr_assert_eq(io_read_file(dir, name, 1000, &buf, &len), 0);
    cr_assert_str_eq(buf, text);
    cr_assert_eq(len, strlen(text));
}

static void *write_late(void *arg)
{
    const int *fd = arg;
    for (int i = 0; i < 100; i++)
        cr_assert_eq(io_write(*fd, "0123456789", 10), 0);
    (void)close(*fd);
    return NULL;
}

TestSuite(io, .init = setup, .fini = teardown);

Test(io, what_is_written_at_an_offset_is_read_there)
{
    CLEANUP_CLOSE int fd = make("f");
    char buf[8] = "";
    cr_assert_eq(io_pwrite(fd, "hello", 5, 100), 0);
    cr_assert_eq(io_pread(fd, buf, 5, 100), 5);
    cr_assert_str_eq(buf, "hello");
}

Test(io, a_read_stops_early_only_at_the_end)
{
    CLEANUP_CLOSE int fd = make("f");
    char buf[8];
    cr_assert_eq(io_pwrite(fd, "hello", 5, 0), 0);
    cr_assert_eq(io_pread(fd, buf, sizeof buf, 3), 2);
    cr_assert_eq(io_pread(fd, buf, sizeof buf, 5), 0);
}

Test(io, a_bad_descriptor_is_an_error)
{
    char buf[1];
    cr_assert_eq(io_pread(-1, buf, 1, 0), -EBADF);
    cr_assert_eq(io_pwrite(-1, buf, 1, 0), -EBADF);
    cr_assert_eq(io_write(-1, buf, 1), -EBADF);
}

Test(io, a_vector_of_any_shape_is_written_whole)
{
    CLEANUP_CLOSE int fd = make("f");
    static char text[] = "ab";
    struct iovec iov[3000] = {0};
    for (size_t i = 0; i < 3000; i++)
        iov[i] = (struct iovec){text, i % 3};
    char buf[3001] = "";
    cr_assert_eq(io_pwritev(fd, iov, 3000, 0), 0);
    cr_assert_eq(io_pread(fd, buf, sizeof buf, 0), 3000);
    for (size_t i = 0; i < 3000; i += 3)
        cr_assert_arr_eq(buf + i, "aab", 3);
}

Test(io, nothing_to_write_is_no_error)
{
    struct iovec iov[2] = {0};
    cr_assert_eq(io_pwritev(-1, iov, 2, 0), 0);
    cr_assert_eq(io_pwrite(-1, "", 0, 0), 0);
}

Test(io, a_pipe_is_written_and_read_whole)
{
    int fds[2];
    pthread_t t;
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(pthread_create(&t, NULL, write_late, &fds[1]), 0);
    char name[32];
    CLEANUP_FREE char *buf = NULL;
    size_t len = 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fds[0]);
    cr_assert_eq(io_read_file(dir, name, 1000, &buf, &len), 0);
    cr_assert_eq(pthread_join(t, NULL), 0);
    cr_assert_eq(len, 1000);
    (void)close(fds[0]);
}

Test(io, a_file_above_the_limit_is_refused)
{
    char *buf = NULL;
    size_t len;
    cr_assert_eq(io_write_file(dir, "f", "12345", 5, 0600), 0);
    cr_assert_eq(io_read_file(dir, "f", 4, &buf, &len), -EFBIG);
    cr_assert_null(buf);
    cr_assert_eq(io_read_file(dir, "f", 5, &buf, &len), 0);
    free(buf);
}

Test(io, a_missing_file_is_enoent)
{
    char *buf;
    size_t len;
    cr_assert_eq(io_read_file(dir, "none", 4, &buf, &len), -ENOENT);
}

Test(io, a_replaced_file_is_the_new_one_whole)
{
    cr_assert_eq(io_write_file(dir, "f", "old and long", 12, 0600), 0);
    cr_assert_eq(io_write_file(dir, "f", "new", 3, 0600), 0);
    holds("f", "new");
    cr_assert_lt(faccessat(dir, "f.tmp", F_OK, 0), 0);
}

Test(io, a_temporary_file_from_a_crash_is_no_obstacle)
{
    CLEANUP_CLOSE int fd = make("f.tmp");
    cr_assert_eq(io_write(fd, "longer than new", 15), 0);
    cr_assert_eq(io_write_file(dir, "f", "new", 3, 0600), 0);
    holds("f", "new");
}

Test(io, a_file_in_a_folder_is_written)
{
    cr_assert_eq(mkdirat(dir, "sub", 0700), 0);
    cr_assert_eq(io_write_file(dir, "sub/f", "deep", 4, 0600), 0);
    holds("sub/f", "deep");
    cr_assert_eq(io_write_file(dir, "nosub/f", "deep", 4, 0600), -ENOENT);
}

Test(io, an_empty_file_reads_as_an_empty_text)
{
    cr_assert_eq(io_write_file(dir, "f", NULL, 0, 0600), 0);
    holds("f", "");
}

Test(io, only_a_directory_is_synced_as_one)
{
    (void)close(make("f"));
    cr_assert_eq(io_sync_dir(dir, "."), 0);
    cr_assert_eq(io_sync_dir(dir, "f"), -EUCLEAN);
    cr_assert_eq(io_sync_dir(dir, ".."), 0);
}

Test(io, the_closing_cleanup_keeps_errno)
{
    int fd = make("f");
    errno = EDOM;
    io_cleanup_close(&fd);
    io_cleanup_close(&(int){-1});
    cr_assert_eq(errno, EDOM);
    cr_assert_lt(fcntl(fd, F_GETFD), 0);
}
