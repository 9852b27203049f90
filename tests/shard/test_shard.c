// SPDX-License-Identifier: Apache-2.0
/* What shard.h says, of each driver. */
#include "clock.h"
#include "shards_both.h"

#include <errno.h>
#include <pthread.h>

BOTH(what_is_put_is_there_also_when_opened_again)
{
    struct shard *again;

    cr_assert_eq(PUT_TEXT(s, "packs/0123", "some bytes"), 0);
    cr_assert_eq(PUT_TEXT(s, "a/b/c/d", ""), 0);
    expect(s, "packs/0123", "some bytes");
    again = opened(p->url, 0);
    expect(again, "packs/0123", "some bytes");
    expect(again, "a/b/c/d", "");
    shard_close(again);
}

BOTH(a_put_replaces_and_put_if_absent_does_not)
{
    char byte;

    cr_assert_eq(PUT_TEXT(s, "owner", "one"), 0);
    cr_assert_eq(shard_range(s, "owner", &byte, 1, 2), 1);
    cr_assert_eq(byte, 'e');
    cr_assert_eq(PUT_TEXT(s, "owner", "two"), 0);
    expect(s, "owner", "two");
    cr_assert_eq(shard_range(s, "owner", &byte, 1, 2), 1);
    cr_assert_eq(byte, 'o');
    cr_assert_eq(shard_put_if_absent(s, "owner", "three", 5), -EEXIST);
    expect(s, "owner", "two");
    cr_assert_eq(shard_put_if_absent(s, "other", "three", 5), 0);
    expect(s, "other", "three");
}

BOTH(get_sees_what_others_have_put_meanwhile)
{
    struct shard *other = opened(p->url, 0);
    char buf[8];

    cr_assert_eq(PUT_TEXT(s, "owner", "mine"), 0);
    cr_assert_eq(shard_range(s, "owner", buf, 4, 0), 4);
    cr_assert_eq(PUT_TEXT(other, "owner", "yours"), 0);
    expect(s, "owner", "yours");
    shard_close(other);
}

BOTH(a_range_is_short_only_at_the_end)
{
    char buf[8];

    cr_assert_eq(PUT_TEXT(s, "packs/1", "0123456789"), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 3), 4);
    cr_assert_eq(memcmp(buf, "3456", 4), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 8), 2);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 10), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 1000), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 0, 0), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, UINT64_MAX - 1), -EFBIG);
}

BOTH(get_refuses_what_is_larger_than_its_buffer)
{
    char buf[4];

    cr_assert_eq(PUT_TEXT(s, "owner", "01234"), 0);
    cr_assert_eq(shard_get(s, "owner", buf, 4), -EFBIG);
    cr_assert_eq(PUT_TEXT(s, "owner", "0123"), 0);
    cr_assert_eq(shard_get(s, "owner", buf, 4), 4);
}

BOTH(what_is_not_there_is_told)
{
    uint64_t size = 7;
    char buf[4];

    cr_assert_eq(shard_get(s, "owner", buf, 4), -ENOENT);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), -ENOENT);
    cr_assert_eq(shard_stat(s, "packs/1", &size), -ENOENT);
    cr_assert_eq(shard_delete(s, "packs/1"), -ENOENT);
    cr_assert_eq(size, 7);
}

BOTH(a_file_has_an_age)
{
    int64_t age = -1;

    cr_assert_eq(shard_age(s, "packs/1", &age), -ENOENT);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "0123"), 0);
    cr_assert_eq(shard_age(s, "packs/1", &age), 0);
    cr_assert(age >= 0 && age < 60 * NSEC_PER_SEC, "%lld", (long long)age);
}

BOTH(a_deleted_one_is_gone_also_if_it_was_just_read)
{
    uint64_t size;
    char buf[4];

    cr_assert_eq(PUT_TEXT(s, "packs/1", "0123"), 0);
    cr_assert_eq(PUT_TEXT(s, "packs/2", "4567"), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), 4);
    cr_assert_eq(shard_stat(s, "packs/1", &size), 0);
    cr_assert_eq(size, 4);
    cr_assert_eq(shard_delete(s, "packs/1"), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), -ENOENT);
    cr_assert_eq(shard_delete(s, "packs/1"), -ENOENT);
    expect(s, "packs/2", "4567");
}

/* ---- names ---- */

BOTH(names_that_lead_elsewhere_are_refused)
{
    static const char *const bad[] = {"",     "/etc/passwd", "../x", "a/../x", "a//b",  "a/",  ".x",
                                      "a/.x", "a b",         "a\nb", "\xc3",   "tmp/x", "tmp/"};
    char long_name[DISK_NAME_MAX + 2];

    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(PUT_TEXT(s, bad[i], "x"), -EINVAL, "%s", bad[i]);
        cr_assert_eq(shard_delete(s, bad[i]), -EINVAL);
        cr_assert_eq(shard_stat(s, bad[i], &(uint64_t){0}), -EINVAL);
        cr_assert_eq(shard_range(s, bad[i], (char[1]){0}, 1, 0), -EINVAL);
        cr_assert_eq(shard_get(s, bad[i], (char[1]){0}, 1), -EINVAL);
    }
    cr_assert_eq(PUT_TEXT(s, long_name, "x"), -ENAMETOOLONG);
    long_name[DISK_NAME_MAX] = '\0';
    cr_assert_eq(PUT_TEXT(s, long_name, "x"), 0);
    cr_assert_eq(PUT_TEXT(s, "tmpfile", "x"), 0);
    expect(s, long_name, "x");
}

static int note(const char *name, uint64_t size, void *ctx)
{
    char *all = ctx;

    cr_assert_lt(strlen(all) + strlen(name) + 30, 1024);
    sprintf(all + strlen(all), " %s=%d ", name, (int)size);
    return 0;
}

BOTH(a_list_has_every_name_below_and_no_other)
{
    char all[1024] = "";

    cr_assert_eq(shard_list(s, "objects", note, all), 0);
    cr_assert_eq(shard_list(s, "", note, all), 0);
    cr_assert_str_empty(all);
    cr_assert_eq(PUT_TEXT(s, "objects/ab/1", "1"), 0);
    cr_assert_eq(PUT_TEXT(s, "objects/cd/2", "22"), 0);
    cr_assert_eq(PUT_TEXT(s, "objects2/3", "333"), 0);
    cr_assert_eq(PUT_TEXT(s, "owner", "4444"), 0);
    cr_assert_eq(shard_list(s, "objects", note, all), 0);
    cr_assert_not_null(strstr(all, " objects/ab/1=1 "));
    cr_assert_not_null(strstr(all, " objects/cd/2=2 "));
    cr_assert_eq(strlen(all), 2 * strlen(" objects/ab/1=1 "), "%s", all);
    all[0] = '\0';
    cr_assert_eq(shard_list(s, "", note, all), 0);
    cr_assert_not_null(strstr(all, " objects/ab/1=1 "));
    cr_assert_not_null(strstr(all, " objects2/3=3 "));
    cr_assert_not_null(strstr(all, " owner=4 "));
    cr_assert_null(strstr(all, "tmp"));
    cr_assert_eq(shard_list(s, "../", note, all), -EINVAL);
}

static int stop(const char *name, uint64_t size, void *ctx)
{
    (void)name, (void)size;
    return ++*(int *)ctx == 2 ? 42 : 0;
}

BOTH(a_list_can_be_stopped)
{
    int told = 0;

    for (int i = 0; i < 5; i++)
        cr_assert_eq(shard_put(s, ((char[]){'p', '/', (char)('a' + i), 0}), "x", 1), 0);
    cr_assert_eq(shard_list(s, "p", stop, &told), 42);
    cr_assert_eq(told, 2);
}

static int delete_it(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    cr_assert_eq(shard_delete(ctx, name), 0);
    return 0;
}

BOTH(what_is_listed_may_be_deleted_meanwhile)
{
    char all[1024] = "";

    for (int i = 0; i < 20; i++)
        cr_assert_eq(shard_put(s, ((char[]){'p', '/', (char)('a' + i), 0}), "x", 1), 0);
    cr_assert_eq(shard_list(s, "p", delete_it, s), 0);
    cr_assert_eq(shard_list(s, "p", note, all), 0);
    cr_assert_str_empty(all);
}

static int count(const char *name, uint64_t size, void *ctx)
{
    int n;

    cr_assert_eq(sscanf(name, "many/%d", &n), 1);
    cr_assert_eq(size, 1);
    ((int *)ctx)[n]++;
    return 0;
}

struct writer {
    struct shard *s;
    unsigned n;
    pthread_t thread;
    int err;
};

#define MANY 1100 /* more than one answer of an engine has */

static void *put_many(void *arg)
{
    struct writer *w = arg;
    char name[32];

    for (unsigned i = w->n; i < MANY && w->err == 0; i += 16) {
        snprintf(name, sizeof name, "many/%u", i);
        w->err = shard_put(w->s, name, "x", 1);
    }
    return NULL;
}

BOTH(a_long_list_has_every_name_once)
{
    struct writer w[16];
    int seen[MANY] = {0};

    for (unsigned i = 0; i < 16; i++) {
        w[i] = (struct writer){.s = s, .n = i};
        cr_assert_eq(pthread_create(&w[i].thread, NULL, put_many, &w[i]), 0);
    }
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(pthread_join(w[i].thread, NULL), 0);
        cr_assert_eq(w[i].err, 0);
    }
    cr_assert_eq(shard_list(s, "many", count, seen), 0);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(seen[i], 1, "%d", i);
}

/* ---- streams ---- */

struct pattern {
    uint64_t largest; /* piece asked for */
    uint64_t fail_at;
};

static int read_pattern(void *ctx, void *buf, size_t len, uint64_t off)
{
    struct pattern *p = ctx;

    if (len > p->largest)
        p->largest = len;
    if (p->fail_at && off + len > p->fail_at)
        return -EUCLEAN;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)((off + i) * 31 >> 3);
    return 0;
}

BOTH(a_stream_is_put_whole)
{
    struct pattern pattern = {0};
    struct shard_source source = {.read = read_pattern, .ctx = &pattern, .size = 5000001};
    static uint8_t got[99999], want[99999];
    uint64_t size;

    cr_assert_eq(shard_put_stream(s, "objects/ab/1", &source), 0);
    cr_assert_eq(shard_stat(s, "objects/ab/1", &size), 0);
    cr_assert_eq(size, 5000001);
    for (uint64_t off = 0; off < size; off += sizeof got) {
        ssize_t n = shard_range(s, "objects/ab/1", got, sizeof got, off);

        cr_assert_gt(n, 0);
        read_pattern(&pattern, want, (size_t)n, off);
        cr_assert_eq(memcmp(got, want, (size_t)n), 0);
    }
    cr_assert_eq(shard_put_stream(s, "objects/ab/1", &source), -EEXIST);
    if (*p->path)
        cr_assert_leq(pattern.largest, 1 << 20);
}

/* Longer than one request of an engine. */
BOTH(a_long_stream_is_put_whole_or_not_at_all)
{
    struct pattern pattern = {0};
    struct shard_source source = {.read = read_pattern, .ctx = &pattern, .size = (40 << 20) + 1};
    const size_t piece = 3 << 20;
    uint8_t *got = malloc(piece), *want = malloc(piece);
    char all[1024] = "";
    uint64_t size;

    pattern.fail_at = 30 << 20;
    cr_assert_eq(shard_put_stream(s, "objects/ab/1", &source), -EUCLEAN);
    cr_assert_eq(shard_stat(s, "objects/ab/1", &size), -ENOENT);
    cr_assert_eq(shard_list(s, "", note, all), 0);
    cr_assert_str_empty(all);
    pattern.fail_at = 0;
    cr_assert_eq(shard_put_stream(s, "objects/ab/1", &source), 0);
    cr_assert_eq(shard_stat(s, "objects/ab/1", &size), 0);
    cr_assert_eq(size, source.size);
    for (uint64_t off = 0; off < size; off += piece) {
        ssize_t n = shard_range(s, "objects/ab/1", got, piece, off);

        cr_assert_eq(n, (ssize_t)(size - off < piece ? size - off : piece));
        read_pattern(&pattern, want, (size_t)n, off);
        cr_assert_eq(memcmp(got, want, (size_t)n), 0);
    }
    cr_assert_eq(shard_put_stream(s, "objects/ab/1", &source), -EEXIST);
    cr_assert_eq(shard_list(s, "", note, all), 0);
    cr_assert_str_eq(all, " objects/ab/1=41943041 ");
    cr_assert_eq(shard_delete(s, "objects/ab/1"), 0);
    cr_assert_eq(shard_range(s, "objects/ab/1", got, 1, 0), -ENOENT);
    free(got);
    free(want);
}

BOTH(a_stream_that_breaks_off_leaves_nothing)
{
    struct pattern pattern = {.fail_at = 4000000};
    struct shard_source source = {.read = read_pattern, .ctx = &pattern, .size = 5000000};
    char all[1024] = "";

    cr_assert_eq(shard_put_stream(s, "objects/ab/1", &source), -EUCLEAN);
    cr_assert_eq(shard_stat(s, "objects/ab/1", &(uint64_t){0}), -ENOENT);
    cr_assert_eq(shard_list(s, "", note, all), 0);
    cr_assert_str_empty(all);
}

/* On an engine that can, also of a file that has parts. */
BOTH(what_an_engine_verifies_is_what_was_put)
{
    struct pattern pattern = {0};
    struct shard_source source = {.read = read_pattern, .ctx = &pattern, .size = 20 << 20};
    int err;

    cr_assert_eq(shard_verify(s, "packs/none"),
                 p->mem || strncmp(p->url, "rados:", 6) == 0 ? -ENOENT : -EOPNOTSUPP);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "0123456789"), 0);
    cr_assert_eq(PUT_TEXT(s, "packs/2", ""), 0);
    cr_assert_eq(shard_put_stream(s, "objects/ab/1", &source), 0);
    err = strncmp(p->url, "rados:", 6) == 0 ? 0 : -EOPNOTSUPP;
    cr_assert_eq(shard_verify(s, "packs/1"), err);
    cr_assert_eq(shard_verify(s, "packs/2"), err);
    cr_assert_eq(shard_verify(s, "objects/ab/1"), err);
}

/* ---- opening ---- */

BOTH(read_only_nothing_can_be_changed)
{
    struct shard *r = opened(p->url, SHARD_READONLY);
    char all[1024] = "";

    cr_assert_eq(PUT_TEXT(s, "owner", "x"), 0);
    expect(r, "owner", "x");
    cr_assert_eq(PUT_TEXT(r, "owner", "y"), -EROFS);
    cr_assert_eq(shard_put_if_absent(r, "other", "y", 1), -EROFS);
    cr_assert_eq(shard_put_stream(r, "other", &(struct shard_source){0}), -EROFS);
    cr_assert_eq(shard_delete(r, "owner"), -EROFS);
    cr_assert_eq(shard_list(r, "", note, all), 0);
    cr_assert_str_eq(all, " owner=1 ");
    shard_close(r);
}

BOTH(space_is_told)
{
    struct shard_space space;

    cr_assert_eq(shard_space(s, &space), 0);
    if (*p->path || p->mem)
        cr_assert_gt(space.size, 0);
    cr_assert_leq(space.avail, space.size);
}

Test(shard, urls_that_mean_nothing_are_refused_in_words)
{
    static const char *const bad[] = {
        "", "dir", "/mnt/x", "s3:bucket", "dir:", ":/mnt", "dir:/a\nb", "mem:", "DIR:/x"};
    char out[SHARD_URL_MAX + 1], why[SHARD_WHY];
    char long_url[SHARD_URL_MAX + 2] = "dir:/";
    struct shard *s;

    shard_mem_register();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        why[0] = '\0';
        cr_assert_eq(shard_normal_url(bad[i], out, why), -EINVAL, "%s", bad[i]);
        cr_assert_str_not_empty(why);
    }
    memset(long_url + 5, 'x', sizeof long_url - 5);
    long_url[SHARD_URL_MAX + 1] = '\0';
    cr_assert_eq(shard_normal_url(long_url, out, why), -EINVAL);
    cr_assert_eq(shard_open(long_url, 0, &s, why), -EINVAL);
    long_url[SHARD_URL_MAX] = '\0';
    cr_assert_eq(shard_normal_url(long_url, out, why), 0, "%s", why);
    cr_assert_str_eq(out, long_url);
}

Test(shard, a_scheme_has_one_driver)
{
    static const struct shard_driver twin = {.scheme = "dir", .form = "dir:PATH"};
    static const struct shard_driver formless = {.scheme = "vague"};

    cr_assert_eq(shard_register(&twin), -EEXIST);
    cr_assert_eq(shard_register(&formless), -EINVAL);
}

static void note_driver(const char *scheme, const char *form, void *ctx)
{
    strcat(strcat(strcat(strcat(ctx, scheme), "="), form), " ");
}

Test(shard, the_drivers_are_listed_and_an_unknown_scheme_is_told_all_of_them)
{
    char all[256] = "", out[SHARD_URL_MAX + 1], why[SHARD_WHY] = "";

    shard_drivers(note_driver, all);
    cr_assert_str_eq(all, "dir=dir:PATH ");
    cr_assert_eq(shard_normal_url("ftp://x", out, why), -EINVAL);
    cr_assert_str_eq(why, "'ftp://x' is no URL of a shard: give dir:PATH");
    shard_mem_register();
    *all = '\0';
    shard_drivers(note_driver, all);
    cr_assert_str_eq(all, "dir=dir:PATH mem=mem:NAME ");
    cr_assert_eq(shard_normal_url("ftp://x", out, why), -EINVAL);
    cr_assert_str_eq(why, "'ftp://x' is no URL of a shard: give dir:PATH or mem:NAME");
}

/* ---- what went to a place ---- */

static int see(const char *name, uint64_t size, void *ctx)
{
    (void)name;
    (void)size;
    (void)ctx;
    return 0;
}

/* An engine may need more than one request for a call. */
static void counted(const struct place *p, const struct shard_meter *m,
                    const struct shard_traffic *want)
{
    const bool exactly = p->mem || *p->path;
    struct shard_traffic is;

    shard_meter_read(m, &is);
    for (int i = 0; i < SHARD_REQUESTS; i++)
        cr_assert(is.requests[i] == want->requests[i] ||
                      (!exactly && is.requests[i] > want->requests[i]),
                  "%s: %d", shard_request_name((enum shard_request)i), (int)is.requests[i]);
    cr_assert_eq(is.sent, want->sent, "sent: %d", (int)is.sent);
    cr_assert_eq(is.received, want->received, "received: %d", (int)is.received);
}

BOTH(requests_and_bytes_are_counted_whatever_the_answer_and_also_after_another_opening)
{
    struct shard_traffic none = {0}, all = {.requests = {4, 3, 2, 2, 1}, .sent = 26, .received = 9};
    struct shard *again;
    struct shard_meter *m;
    char buf[16];

    cr_assert_eq(shard_meter_open(p->url, &m), 0);
    counted(p, m, &none);
    cr_assert_eq(PUT_TEXT(s, "a/1", "0123456789"), 0);
    cr_assert_eq(shard_put_if_absent(s, "a/1", "other", 5), -EEXIST);
    cr_assert_eq(shard_get(s, "a/1", buf, 4), -EFBIG);
    cr_assert_eq(shard_range(s, "a/1", buf, 4, 3), 4);
    cr_assert_eq(shard_stat(s, "a/1", &(uint64_t){0}), 0);
    cr_assert_eq(shard_stat(s, "a/2", &(uint64_t){0}), -ENOENT);
    cr_assert_eq(shard_list(s, "a", see, NULL), 0);
    cr_assert_eq(PUT_TEXT(s, ".refused", "x"), -EINVAL);
    again = opened(p->url, 0);
    cr_assert_eq(PUT_TEXT(again, "a/3", "01234"), 0);
    cr_assert_eq(PUT_TEXT(again, "a/4", "012345"), 0);
    cr_assert_eq(shard_get(again, "a/3", buf, sizeof buf), 5);
    cr_assert_eq(shard_delete(again, "a/3"), 0);
    cr_assert_eq(shard_delete(again, "a/3"), -ENOENT);
    shard_close(again);
    counted(p, m, &all);
    shard_count(s, SHARD_LIST, 7);
    all.requests[SHARD_LIST] += 7;
    counted(p, m, &all);
    shard_meter_close(m);
}

BOTH(where_there_is_nothing_it_may_be_tried_again)
{
    struct shard *again;
    char why[SHARD_WHY] = "", url[80];

    if (!*p->path && !p->mem)
        return; /* a prefix needs nothing */
    snprintf(url, sizeof url, "%.70s-not", p->url);
    cr_assert_eq(shard_open(url, 0, &again, why), -EHOSTUNREACH);
    cr_assert_str_not_empty(why);
}

/* ---- as a disk ---- */

static int lend(void *ctx, uint16_t number, struct shard **ret_shard)
{
    *ret_shard = *(struct shard **)ctx;
    return *ret_shard && number == 7 ? 0 : -EHOSTUNREACH;
}

static int take_back(void *ctx, uint16_t number, int err)
{
    cr_assert(*(struct shard **)ctx && number == 7);
    return err;
}

static struct disk *disk_of(struct shard **s)
{
    const struct shard_lender lender = {
        .lend = lend, .take_back = take_back, .ctx = s, .number = 7};
    struct disk *d;

    cr_assert_eq(shard_disk_open(&lender, &d), 0);
    return d;
}

BOTH(a_file_of_its_disk_stays_open_while_it_goes_and_comes_and_longer_than_the_disk)
{
    struct disk *d = disk_of(&s);
    struct shard *there = s;
    struct disk_file *f, *none;
    struct disk_stat st;
    char buf[8];

    cr_assert_eq(PUT_TEXT(s, "packs/1", "0123456789"), 0);
    cr_assert_eq(disk_open(d, "packs/1", DISK_READ, &f), 0);
    s = NULL;
    cr_assert_eq(disk_open(d, "packs/1", DISK_READ, &none), -EHOSTUNREACH);
    cr_assert_eq(disk_pread(f, buf, 8, 5), -EHOSTUNREACH);
    cr_assert_eq(disk_fstat(f, &st), -EHOSTUNREACH);
    disk_close(d);
    s = there;
    cr_assert_eq(disk_pread(f, buf, 8, 5), 5);
    cr_assert_eq(shard_delete(s, "packs/1"), 0);
    cr_assert_eq(disk_pread(f, buf, 8, 5), -ENOENT);
    disk_file_close(f);
}

BOTH(as_a_disk_it_can_be_read)
{
    struct disk *d = disk_of(&s);
    struct disk_file *f;
    struct disk_stat st;
    char buf[8];

    cr_assert_eq(PUT_TEXT(s, "packs/1", "0123456789"), 0);
    cr_assert_eq(disk_open(d, "packs/2", DISK_READ, &f), -ENOENT);
    cr_assert_eq(disk_open(d, "packs/1", DISK_READ, &f), 0);
    cr_assert_eq(disk_pread(f, buf, 8, 5), 5);
    cr_assert_eq(memcmp(buf, "56789", 5), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    cr_assert_eq(st.size, 10);
    cr_assert_eq(disk_fd(f), -1);
    cr_assert_eq(disk_pwrite(f, "x", 1, 0), -EBADF);
    disk_file_close(f);
    disk_close(d);
}

BOTH(as_a_disk_it_cannot_be_changed)
{
    struct disk *d = disk_of(&s);
    struct disk_file *f;

    cr_assert_eq(PUT_TEXT(s, "packs/1", "0"), 0);
    cr_assert_eq(disk_open(d, "packs/1", DISK_WRITE, &f), -EROFS);
    cr_assert_eq(disk_open(d, "packs/2", DISK_CREATE, &f), -EROFS);
    cr_assert_eq(disk_unlink(d, "packs/1"), -EROFS);
    cr_assert_eq(disk_rename(d, "packs/1", "packs/2"), -EROFS);
    cr_assert_eq(disk_link(d, "packs/1", "packs/2"), -EROFS);
    cr_assert_eq(disk_mkdir(d, "packs"), -EROFS);
    disk_close(d);
    expect(s, "packs/1", "0");
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS 40

struct runner {
    struct shard *shard;
    int number;
    int won; /* of the names that all want */
};

static void *run(void *ctx)
{
    struct runner *r = ctx;
    char name[32], text[16], buf[16];

    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof name, "common/%d", i);
        snprintf(text, sizeof text, "%d-%d", r->number, i);
        int err = shard_put_if_absent(r->shard, name, text, strlen(text));

        cr_assert(err == 0 || err == -EEXIST);
        r->won += err == 0;
        cr_assert_gt(shard_range(r->shard, name, buf, sizeof buf, 0), 0);
        snprintf(name, sizeof name, "own%d/%d", r->number, i % 8);
        cr_assert_eq(PUT_TEXT(r->shard, name, text), 0);
        cr_assert_eq(shard_range(r->shard, name, buf, sizeof buf, 0), (ssize_t)strlen(text));
        cr_assert_eq(memcmp(buf, text, strlen(text)), 0);
        cr_assert_eq(shard_delete(r->shard, name), 0);
        cr_assert_eq(shard_range(r->shard, name, buf, sizeof buf, 0), -ENOENT);
    }
    return NULL;
}

BOTH(of_those_who_put_at_once_one_wins)
{
    struct runner runner[THREADS] = {0};
    pthread_t thread[THREADS];
    int won = 0;

    for (int i = 0; i < THREADS; i++) {
        runner[i] = (struct runner){s, i, 0};
        cr_assert_eq(pthread_create(&thread[i], NULL, run, &runner[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        won += runner[i].won;
    }
    cr_assert_eq(won, ROUNDS);
}
