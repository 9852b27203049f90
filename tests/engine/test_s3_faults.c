// SPDX-License-Identifier: Apache-2.0
/*
 * The driver "s3:" before a server that fails (s3_server.py): what was put is not put twice, half
 * an answer is none, and everything ends in time. The environment has the path of the server as
 * S3_SERVER.
 */
#include "clock.h"
#include "engines.h"
#include "shard.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t server;
static int port;

/* Starts the server, which ends with this process. `certificate`, `key`: files, or NULL. */
static void begin_with(const char *certificate, const char *key)
{
    int pipes[2];
    char text[16] = "";

    cr_assert_eq(pipe(pipes), 0);
    server = fork();
    if (server == 0) {
        dup2(pipes[1], 1);
        execlp("python3", "python3", getenv("S3_SERVER"), certificate, key, (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    cr_assert_gt(read(pipes[0], text, sizeof text - 1), 0, "the server does not start");
    close(pipes[0]);
    port = atoi(text);
    setenv("AWS_ACCESS_KEY_ID", "ID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "SECRET", 1);
    engines_register();
}

static void begin(void)
{
    begin_with(NULL, NULL);
}

static void end(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

static int open_bucket(const char *bucket, struct shard **ret, char why[SHARD_WHY])
{
    char url[128];

    snprintf(url, sizeof url, "s3://%s/p?endpoint=http://127.0.0.1:%d", bucket, port);
    return shard_open(url, 0, ret, why);
}

static struct shard *opened(const char *bucket)
{
    struct shard *s = NULL;
    char why[SHARD_WHY] = "";
    int err = open_bucket(bucket, &s, why);

    cr_assert_eq(err, 0, "%s", why);
    return s;
}

#define CLAIM(name) Test(s3_faults, name, .init = begin, .fini = end)

static void has(struct shard *s, const char *name, const char *text)
{
    char buf[64];

    cr_assert_eq(shard_get(s, name, buf, sizeof buf), (ssize_t)strlen(text), "%s", name);
    cr_assert_eq(memcmp(buf, text, strlen(text)), 0);
}

static int fill(void *ctx, void *buf, size_t len, uint64_t off)
{
    (void)ctx;
    memset(buf, (int)(off >> 20) + 1, len);
    return 0;
}

static int note(const char *name, uint64_t size, void *ctx)
{
    (void)name, (void)size;
    ++*(int *)ctx;
    return 0;
}

CLAIM(a_put_whose_answer_was_lost_has_succeeded)
{
    struct shard *s = opened("lost-put");

    cr_assert_eq(shard_put_if_absent(s, "owner", "mine", 4), 0);
    has(s, "owner", "mine");
    cr_assert_eq(shard_put_if_absent(s, "owner", "yours", 5), -EEXIST);
    has(s, "owner", "mine");
    shard_close(s);
}

CLAIM(a_delete_whose_answer_was_lost_has_succeeded)
{
    struct shard *s = opened("lost-delete");

    cr_assert_eq(shard_put(s, "a", "x", 1), 0);
    cr_assert_eq(shard_delete(s, "a"), 0);
    cr_assert_eq(shard_delete(s, "a"), -ENOENT);
    shard_close(s);
}

CLAIM(a_server_that_is_busy_is_asked_again)
{
    struct shard *s = opened("busy");

    cr_assert_eq(shard_put(s, "a", "x", 1), 0);
    has(s, "a", "x");
    shard_close(s);
}

CLAIM(a_conflict_of_two_writers_is_no_answer)
{
    struct shard *s = opened("conflict");

    cr_assert_eq(shard_put_if_absent(s, "owner", "mine", 4), 0);
    cr_assert_eq(shard_put_if_absent(s, "owner", "yours", 5), -EEXIST);
    has(s, "owner", "mine");
    shard_close(s);
}

CLAIM(an_answer_that_is_cut_is_asked_for_again)
{
    struct shard *s = opened("cut");
    char buf[8];

    cr_assert_eq(shard_put(s, "a", "01234567", 8), 0);
    cr_assert_eq(shard_range(s, "a", buf, 8, 0), 8);
    cr_assert_eq(memcmp(buf, "01234567", 8), 0);
    cr_assert_eq(shard_put(s, "b", "01234567", 8), 0);
    has(s, "b", "01234567");
    shard_close(s);
}

CLAIM(a_server_without_ranges_gives_no_wrong_bytes)
{
    struct shard *s = opened("no-range");
    char buf[8];

    cr_assert_eq(shard_put(s, "a", "01234567", 8), 0);
    cr_assert_eq(shard_range(s, "a", buf, 2, 4), -EIO);
    cr_assert_eq(shard_range(s, "a", buf, 8, 4), -EIO);
    shard_close(s);
}

CLAIM(a_list_that_is_not_whole_is_an_error)
{
    static const char *const bad[] = {"short-page", "same-page"};
    int count = 0;

    for (size_t i = 0; i < 2; i++) {
        struct shard *s = NULL;
        char why[SHARD_WHY];

        if (open_bucket(bad[i], &s, why) < 0)
            continue;
        cr_assert_eq(shard_put(s, "a", "x", 1), 0);
        cr_assert_eq(shard_list(s, "", note, &count), -EIO, "%s", bad[i]);
        shard_close(s);
    }
}

CLAIM(a_server_that_never_answers_is_unreachable_in_time)
{
    struct shard *s = opened("stalls");
    int64_t from = clock_ticks(clock_real());

    cr_assert_eq(shard_put(s, "a", "x", 1), 0);
    shard_set_patience(3 * NSEC_PER_SEC);
    cr_assert_eq(shard_get(s, "a", (char[1]){0}, 1), -EHOSTUNREACH);
    cr_assert_lt(clock_ticks(clock_real()) - from, 20 * NSEC_PER_SEC);
    cr_assert_not(shard_is_silent(NULL, NULL), "the driver itself has ended the call");
    shard_close(s);
}

CLAIM(a_full_server_says_so)
{
    struct shard *s = opened("full");

    cr_assert_eq(shard_put(s, "a", "x", 1), -ENOSPC);
    shard_close(s);
}

CLAIM(a_clock_that_is_wrong_is_named_with_the_difference)
{
    struct shard *s;
    char why[SHARD_WHY] = "";

    cr_assert_eq(open_bucket("ahead", &s, why), -EACCES);
    cr_assert_not_null(strstr(why, "the clock here is 1000 seconds behind")
                           ?: strstr(why, "the clock here is 999 seconds behind"),
                       "%s", why);
}

CLAIM(an_age_is_by_the_clock_of_the_server)
{
    struct shard *later = opened("later"), *ageless = opened("ageless");
    int64_t age = -1;

    cr_assert_eq(shard_put(later, "a", "x", 1), 0);
    cr_assert_eq(shard_put(ageless, "a", "x", 1), 0);
    cr_assert_eq(shard_age(later, "a", &age), 0);
    cr_assert(age >= 3600 * NSEC_PER_SEC && age < 3700 * NSEC_PER_SEC, "%lld", (long long)age);
    cr_assert_eq(shard_age(later, "b", &age), -ENOENT);
    cr_assert_eq(shard_age(ageless, "a", &age), 0);
    cr_assert_eq(age, 0, "a server that does not say so: it is as new");
    shard_close(later);
    shard_close(ageless);
}

CLAIM(a_bucket_that_is_missing_is_no_missing_file)
{
    struct shard *s;
    char why[SHARD_WHY] = "";

    cr_assert_eq(open_bucket("gone", &s, why), -EHOSTUNREACH);
    cr_assert_not_null(strstr(why, "NoSuchBucket"));
}

CLAIM(a_missing_file_is_believed_only_in_words)
{
    struct shard *s = opened("wordless");

    shard_set_patience(3 * NSEC_PER_SEC);
    cr_assert_eq(shard_stat(s, "a", &(uint64_t){0}), -EHOSTUNREACH);
    cr_assert_eq(shard_delete(s, "a"), -EHOSTUNREACH);
    cr_assert_eq(shard_get(s, "a", (char[1]){0}, 1), -EHOSTUNREACH);
    shard_close(s);
}

static int open_tls(const char *options, struct shard **ret, char why[SHARD_WHY])
{
    char url[640];

    snprintf(url, sizeof url, "s3://plain/p?endpoint=https://127.0.0.1:%d%s", port, options);
    return shard_open(url, 0, ret, why);
}

Test(s3_faults, a_certificate_that_nobody_trusts_is_refused, .fini = end)
{
    char dir[] = "/tmp/tally-tls-XXXXXX", text[512], certificate[64], key[64];
    struct shard *s;
    char why[SHARD_WHY] = "";

    cr_assert_not_null(mkdtemp(dir));
    snprintf(certificate, sizeof certificate, "%s/certificate", dir);
    snprintf(key, sizeof key, "%s/key", dir);
    snprintf(text, sizeof text,
             "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tallyfs -addext "
             "subjectAltName=IP:127.0.0.1 -keyout %s -out %s 2>/dev/null",
             key, certificate);
    cr_assert_eq(system(text), 0);
    begin_with(certificate, key);
    cr_assert_eq(open_tls("", &s, why), -EHOSTUNREACH);
    cr_assert_not_null(strstr(why, "certificate"), "%s", why);
    snprintf(text, sizeof text, "&ca=%s", certificate);
    cr_assert_eq(open_tls(text, &s, why), 0, "%s", why);
    cr_assert_eq(shard_put(s, "a", "x", 1), 0);
    has(s, "a", "x");
    shard_close(s);
    snprintf(text, sizeof text, "rm -r %s", dir);
    cr_assert_eq(system(text), 0);
}

/* ---- uploads ---- */

CLAIM(an_upload_that_fails_is_ended_and_leaves_nothing)
{
    static const char *const bad[] = {"bad-part", "no-complete"};
    const struct shard_source source = {.read = fill, .size = 40 << 20};

    for (size_t i = 0; i < 2; i++) {
        struct shard *s = opened(bad[i]);

        cr_assert_eq(shard_put_stream(s, "a", &source), -EIO);
        cr_assert_eq(shard_stat(s, "a", &(uint64_t){0}), -ENOENT);
        has(s, "open", "");
        shard_close(s);
    }
}

CLAIM(old_uploads_of_this_shard_are_ended_and_no_others)
{
    struct shard *s = opened("plain");
    const struct shard_source source = {.read = fill, .size = 20 << 20};

    cr_assert_eq(shard_put_stream(s, "a", &source), 0);
    has(s, "ended", "old");
    shard_close(s);
}

CLAIM(a_long_put_that_decides_between_writers_is_one_request)
{
    struct shard *s = opened("plain");
    const struct shard_source source = {.read = fill, .size = 20 << 20};
    char *list = calloc(1, 20 << 20);

    cr_assert_eq(shard_put_if_absent(s, "marks/1", list, 20 << 20), 0);
    list[0] = 1;
    cr_assert_eq(shard_put_if_absent(s, "marks/1", list, 20 << 20), -EEXIST);
    has(s, "begun", "0");
    cr_assert_eq(shard_put_stream(s, "a", &source), 0);
    has(s, "begun", "1");
    free(list);
    shard_close(s);
}

/* ---- keys ---- */

CLAIM(keys_that_are_out_of_date_are_read_again)
{
    struct shard *s;

    setenv("AWS_ACCESS_KEY_ID", "IDOLD", 1);
    s = opened("expires");
    cr_assert_eq(shard_put(s, "a", "x", 1), 0);
    cr_assert_eq(shard_put(s, "b", "x", 1), -EACCES);
    setenv("AWS_ACCESS_KEY_ID", "IDNEW", 1);
    cr_assert_eq(shard_put(s, "b", "x", 1), 0);
    has(s, "b", "x");
    shard_close(s);
}

CLAIM(keys_are_not_read_again_while_the_server_takes_them)
{
    struct shard *s = opened("plain");

    setenv("AWS_ACCESS_KEY_ID", "other", 1);
    cr_assert_eq(shard_put(s, "a", "x", 1), 0, "it goes on with those that it has");
    shard_close(s);
    cr_assert_eq(open_bucket("plain", &s, (char[SHARD_WHY]){0}), -EACCES);
}
