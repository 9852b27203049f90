// SPDX-License-Identifier: Apache-2.0
/* Where the credentials for S3 come from, and that no message has them. */
#include "s3_keys.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] =
    "# mine\n[default]\naws_access_key_id = ID1\naws_secret_access_key=SECRET1\n"
    "\n[ other ]\naws_access_key_id = no\n[other]\r\n"
    "  aws_access_key_id=ID2\r\n aws_secret_access_key = SEC/RET=2\r\n"
    "aws_session_token = TOKEN\nregion = x\n[half]\naws_access_key_id = ID3\n";

static int parse(const char *profile, struct s3_keys *ret)
{
    char copy[sizeof text];

    memcpy(copy, text, sizeof text);
    return s3_keys_parse(copy, profile, ret);
}

Test(s3_keys, a_file_has_sections)
{
    struct s3_keys k;

    cr_assert_eq(parse("default", &k), 0);
    cr_assert_str_eq(k.id, "ID1");
    cr_assert_str_eq(k.secret, "SECRET1");
    cr_assert_str_eq(k.token, "");
    cr_assert_eq(parse("other", &k), 0);
    cr_assert_str_eq(k.id, "ID2");
    cr_assert_str_eq(k.secret, "SEC/RET=2");
    cr_assert_str_eq(k.token, "TOKEN");
    cr_assert_eq(parse("half", &k), -ENOENT);
    cr_assert_eq(parse("none", &k), -ENOENT);
}

Test(s3_keys, a_key_that_is_too_long_is_refused)
{
    char line[400] = "[default]\naws_access_key_id = ";
    struct s3_keys k;

    memset(line + strlen(line), 'x', 200);
    cr_assert_eq(s3_keys_parse(line, "default", &k), -E2BIG);
}

/* Writes the file to a new path, and clears the environment. */
static void begin(char path[32])
{
    strcpy(path, "/tmp/tally-keys-XXXXXX");
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(fd);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_PROFILE");
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
}

Test(s3_keys, the_url_comes_before_the_environment_and_that_before_the_usual_file)
{
    char path[32], why[SHARD_WHY];
    struct s3_keys k;

    begin(path);
    cr_assert_eq(s3_keys_load("", "", &k, why), 0);
    cr_assert_str_eq(k.id, "ID1");
    setenv("AWS_PROFILE", "other", 1);
    cr_assert_eq(s3_keys_load("", "", &k, why), 0);
    cr_assert_str_eq(k.id, "ID2");
    setenv("AWS_ACCESS_KEY_ID", "ID0", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "SECRET0", 1);
    cr_assert_eq(s3_keys_load("", "", &k, why), 0);
    cr_assert_str_eq(k.id, "ID0");
    cr_assert_eq(s3_keys_load("", "default", &k, why), 0);
    cr_assert_str_eq(k.id, "ID1");
    cr_assert_eq(s3_keys_load(path, "", &k, why), 0);
    cr_assert_str_eq(k.id, "ID2");
    unlink(path);
}

Test(s3_keys, a_message_says_where_they_are_missing_and_nothing_of_them)
{
    char path[32], why[SHARD_WHY];
    struct s3_keys k;

    begin(path);
    cr_assert_eq(s3_keys_load("", "half", &k, why), -EACCES);
    cr_assert_not_null(strstr(why, path));
    cr_assert_not_null(strstr(why, "[half]"));
    cr_assert_null(strstr(why, "ID3"));
    unlink(path);
    cr_assert_eq(s3_keys_load("", "", &k, why), -EACCES);
    cr_assert_not_null(strstr(why, "no credentials"));
    cr_assert_eq(s3_keys_load(path, "", &k, why), -EACCES);
    cr_assert_not_null(strstr(why, path));
}
