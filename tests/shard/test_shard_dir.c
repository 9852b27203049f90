// SPDX-License-Identifier: Apache-2.0
/* Claims of the driver "dir:" alone: what only a directory of a machine can do to a shard. */
#include "shards_both.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DIR_CLAIM(claim)                                                                           \
    static void claim(struct place *p, struct shard *s);                                           \
    Test(shard_dir, claim)                                                                         \
    {                                                                                              \
        struct place p;                                                                            \
        place_make(&p, PLACE_DIR);                                                                      \
        struct shard *s = opened(p.url, 0);                                                        \
        claim(&p, s);                                                                              \
        shard_close(s);                                                                            \
        place_unmake(&p);                                                                          \
    }                                                                                              \
    static void claim(struct place *p, struct shard *s)

static void path_of(const struct place *p, const char *name, char out[256])
{
    snprintf(out, 256, "%s/%s", p->path, name);
}

static void write_file(const struct place *p, const char *name, const char *text)
{
    char path[256];

    path_of(p, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static bool is_there(const struct place *p, const char *name)
{
    char path[256];
    struct stat st;

    path_of(p, name, path);
    return lstat(path, &st) == 0;
}

static int count_files(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    int count = 0;

    cr_assert_not_null(dir);
    while ((e = readdir(dir)))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* ---- it went away ---- */

DIR_CLAIM(a_directory_that_is_gone_cannot_be_asked)
{
    char away[256], buf[8];
    uint64_t size;

    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), 4);
    snprintf(away, sizeof away, "%s-away", p->path);
    cr_assert_eq(rename(p->path, away), 0);
    cr_assert_eq(PUT_TEXT(s, "packs/2", "text"), -EHOSTUNREACH);
    cr_assert_eq(shard_get(s, "packs/1", buf, 8), -EHOSTUNREACH);
    cr_assert_eq(shard_stat(s, "packs/2", &size), -EHOSTUNREACH);
    cr_assert_eq(shard_delete(s, "packs/1"), -EHOSTUNREACH);
    cr_assert_eq(shard_list(s, "", NULL, NULL), -EHOSTUNREACH);
    cr_assert_eq(shard_space(s, &(struct shard_space){0}), -EHOSTUNREACH);
    cr_assert_eq(rename(away, p->path), 0);
    cr_assert_eq(shard_stat(s, "packs/1", &size), 0);
    cr_assert_eq(shard_stat(s, "packs/2", &size), -ENOENT, "nothing was put meanwhile");
}

DIR_CLAIM(another_directory_in_its_place_is_not_written_to)
{
    char away[256];

    snprintf(away, sizeof away, "%s-away", p->path);
    cr_assert_eq(rename(p->path, away), 0);
    cr_assert_eq(mkdir(p->path, 0700), 0);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), -EHOSTUNREACH);
    cr_assert_eq(shard_put_if_absent(s, "packs/1", "text", 4), -EHOSTUNREACH);
    cr_assert_eq(shard_list(s, "", NULL, NULL), -EHOSTUNREACH);
    cr_assert_eq(count_files(p->path), 0);
    cr_assert_eq(rmdir(p->path), 0);
    cr_assert_eq(rename(away, p->path), 0);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
}

DIR_CLAIM(reads_find_out_within_a_second_or_two)
{
    char away[256], buf[8];
    ssize_t n;
    int tries = 0;

    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    snprintf(away, sizeof away, "%s-away", p->path);
    cr_assert_eq(rename(p->path, away), 0);
    while ((n = shard_range(s, "packs/1", buf, 4, 0)) == 4 && tries++ < 3000)
        usleep(10000);
    cr_assert_eq(n, -EHOSTUNREACH);
    cr_assert_eq(rename(away, p->path), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), 4);
}

/* ---- what others put there ---- */

DIR_CLAIM(no_symlink_is_followed)
{
    char path[256];
    struct place other;

    place_make(&other, PLACE_DIR);
    write_file(&other, "secret", "secret");
    path_of(p, "packs", path);
    cr_assert_eq(symlink(other.path, path), 0);
    path_of(p, "owner", path);
    cr_assert_eq(symlink("/etc/passwd", path), 0);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), -EIO);
    cr_assert_eq(shard_get(s, "packs/secret", path, 6), -EIO);
    cr_assert_eq(shard_range(s, "packs/secret", path, 6, 0), -EIO);
    cr_assert_eq(shard_stat(s, "packs/secret", &(uint64_t){0}), -EIO);
    cr_assert_eq(shard_delete(s, "packs/secret"), -EIO);
    cr_assert_eq(shard_get(s, "owner", path, 256), -EIO);
    cr_assert_eq(shard_put_if_absent(s, "owner", "x", 1), -EEXIST);
    cr_assert_eq(PUT_TEXT(s, "owner", "mine"), 0);
    expect(s, "owner", "mine");
    cr_assert(is_there(&other, "secret"));
    cr_assert_eq(count_files(other.path), 1);
    place_unmake(&other);
}

DIR_CLAIM(what_is_no_file_is_not_read)
{
    char path[256], byte;

    path_of(p, "owner", path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(shard_get(s, "owner", &byte, 1), -EIO);
    cr_assert_eq(shard_range(s, "owner", &byte, 1, 0), -EIO);
    cr_assert_eq(shard_stat(s, "owner", &(uint64_t){0}), -EIO);
    path_of(p, "packs", path);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(shard_get(s, "packs", &byte, 1), -EIO);
    cr_assert_eq(shard_stat(s, "packs", &(uint64_t){0}), -EIO);
}

static int note(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    snprintf((char *)ctx + strlen(ctx), 512 - strlen(ctx), " %s ", name);
    return 0;
}

DIR_CLAIM(things_of_others_are_listed_but_for_lost_and_found)
{
    char all[512] = "", path[256];

    path_of(p, "lost+found", path);
    cr_assert_eq(mkdir(path, 0700), 0);
    path_of(p, "empty", path);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(shard_list(s, "", note, all), 0);
    cr_assert_str_empty(all);
    write_file(p, ".hidden file", "x");
    path_of(p, "link", path);
    cr_assert_eq(symlink("nowhere", path), 0);
    cr_assert_eq(shard_list(s, "", note, all), 0);
    cr_assert_not_null(strstr(all, " .hidden file "));
    cr_assert_not_null(strstr(all, " link "));
}

/* ---- files kept open ---- */

DIR_CLAIM(many_more_files_than_are_kept_open_can_be_read)
{
    char name[32], buf[8];

    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "packs/%03d", i);
        cr_assert_eq(shard_put_if_absent(s, name, name + 6, 3), 0);
    }
    int before = count_files("/proc/self/fd");

    for (int i = 0; i < 1200; i++) {
        snprintf(name, sizeof name, "packs/%03d", i * 7 % 400);
        cr_assert_eq(shard_range(s, name, buf, 8, 0), 3);
        cr_assert_eq(memcmp(buf, name + 6, 3), 0);
    }
    cr_assert_leq(count_files("/proc/self/fd"), before + 256);
    cr_assert(is_there(p, "packs/399"));
}

/* ---- what is half written ---- */

DIR_CLAIM(nothing_half_written_stays_behind_a_put)
{
    char tmp[256];

    cr_assert_eq(PUT_TEXT(s, "owner", "a"), 0);
    cr_assert_eq(PUT_TEXT(s, "owner", "b"), 0);
    cr_assert_eq(shard_put_if_absent(s, "owner", "c", 1), -EEXIST);
    cr_assert_eq(shard_put_if_absent(s, "packs/1", "c", 1), 0);
    path_of(p, "tmp", tmp);
    cr_assert_eq(count_files(tmp), 0);
}

DIR_CLAIM(what_the_dead_left_half_written_goes_and_what_the_living_write_stays)
{
    char path[256];

    path_of(p, "tmp", path);
    cr_assert_eq(mkdir(path, 0700), 0);
    write_file(p, "tmp/put.0123456789abcdef", "left");
    write_file(p, "tmp/put.00000000000000ff", "locked");
    write_file(p, "tmp/holiday.jpg", "mine");
    path_of(p, "tmp/put.00000000000000ff", path);
    int fd = open(path, O_RDWR);

    cr_assert_eq(flock(fd, LOCK_EX), 0);
    cr_assert_eq(shard_list(s, "", note, (char[512]){0}), 0);
    cr_assert(is_there(p, "tmp/put.0123456789abcdef"), "reading cleans nothing");
    cr_assert_eq(PUT_TEXT(s, "owner", "a"), 0);
    cr_assert_not(is_there(p, "tmp/put.0123456789abcdef"));
    cr_assert(is_there(p, "tmp/put.00000000000000ff"));
    cr_assert(is_there(p, "tmp/holiday.jpg"));
    close(fd);
}

static _Atomic bool stop_cleaning;

/* Takes away whatever is in tmp/, locked or not: as badly as a cleaner on another machine could. */
static void *clean(void *ctx)
{
    char path[256], name[600];

    path_of(ctx, "tmp", path);
    while (!stop_cleaning) {
        DIR *dir = opendir(path);
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
            snprintf(name, sizeof name, "%s/%s", path, e->d_name);
            (void)unlink(name);
        }
        if (dir)
            closedir(dir);
    }
    return NULL;
}

DIR_CLAIM(a_put_whose_file_was_taken_away_fails_or_is_whole)
{
    pthread_t thread;
    char name[32], buf[8];

    stop_cleaning = false;
    cr_assert_eq(pthread_create(&thread, NULL, clean, p), 0);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "packs/%d", i);
        int err = shard_put_if_absent(s, name, "whole", 5);

        cr_assert(err == 0 || err == -EIO || err == -EEXIST, "%d", err);
        ssize_t n = shard_get(s, name, buf, sizeof buf);

        cr_assert(n == 5 || (n == -ENOENT && err == -EIO), "%zd", n);
    }
    stop_cleaning = true;
    pthread_join(thread, NULL);
}

/* ---- URLs ---- */

static int normal(const char *url, char out[SHARD_URL_MAX + 1])
{
    char why[SHARD_WHY] = "";
    int err = shard_normal_url(url, out, why);

    cr_assert_eq(err < 0, *why != '\0', "%d %s", err, why);
    return err;
}

Test(shard_dir, a_path_is_stored_absolute_and_in_one_form)
{
    char out[SHARD_URL_MAX + 1], want[SHARD_URL_MAX + 1], cwd[512];

    cr_assert_eq(normal("dir:/no/such//place/./x/", out), 0);
    cr_assert_str_eq(out, "dir:/no/such/place/x");
    cr_assert_eq(normal("dir:/", out), 0);
    cr_assert_str_eq(out, "dir:/");
    cr_assert_not_null(getcwd(cwd, sizeof cwd));
    snprintf(want, sizeof want, "dir:%s/no-such", cwd);
    cr_assert_eq(normal("dir:./no-such", out), 0);
    cr_assert_str_eq(out, want);
}

Test(shard_dir, no_part_of_a_store_a_pool_or_a_shard_becomes_one)
{
    static const char *const marks[] = {"tally-store", "tally-pool", "tally-shard"};
    char out[SHARD_URL_MAX + 1], url[300], path[256];

    for (int i = 0; i < 3; i++) {
        struct place p;

        place_make(&p, PLACE_DIR);
        path_of(&p, "below", path);
        cr_assert_eq(mkdir(path, 0700), 0);
        path_of(&p, "below/more", path);
        cr_assert_eq(mkdir(path, 0700), 0);
        snprintf(url, sizeof url, "dir:%s", path);
        cr_assert_eq(normal(url, out), 0);
        write_file(&p, marks[i], "");
        cr_assert_eq(normal(url, out), -EINVAL, "%s", marks[i]);
        cr_assert_eq(normal(p.url, out), i == 2 ? 0 : -EINVAL, "it may be the one to be added");
        place_unmake(&p);
    }
}

/* ~/tally-store is where tools/quickstart makes a store: then ~/cold may be a shard all the
 * same. */
Test(shard_dir, a_directory_that_has_the_name_of_a_mark_is_none)
{
    static const char *const marks[] = {"tally-store", "tally-pool", "tally-shard"};
    char out[SHARD_URL_MAX + 1], url[300], path[256];
    struct place p;

    place_make(&p, PLACE_DIR);
    path_of(&p, "cold", path);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(url, sizeof url, "dir:%s", path);
    for (int i = 0; i < 3; i++) {
        path_of(&p, marks[i], path);
        cr_assert_eq(mkdir(path, 0700), 0);
    }
    cr_assert_eq(normal(url, out), 0);
    place_unmake(&p);
}

Test(shard_dir, what_is_no_directory_cannot_be_opened)
{
    struct place p;
    struct shard *s;
    char url[300], why[SHARD_WHY] = "";

    place_make(&p, PLACE_DIR);
    write_file(&p, "file", "");
    snprintf(url, sizeof url, "dir:%s/file", p.path);
    cr_assert_eq(shard_open(url, 0, &s, why), -EHOSTUNREACH);
    cr_assert_str_not_empty(why);
    cr_assert_eq(shard_open("dir:relative", 0, &s, why), -EINVAL);
    place_unmake(&p);
}
