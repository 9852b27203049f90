// SPDX-License-Identifier: Apache-2.0
/* What a URL of an engine says, and which are refused. */
#include "engines.h"
#include "shard.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static void becomes(const char *url, const char *want)
{
    char out[SHARD_URL_MAX + 1], why[SHARD_WHY] = "";

    engines_register();
    cr_assert_eq(shard_normal_url(url, out, why), 0, "%s: %s", url, why);
    cr_assert_str_eq(out, want);
}

static void is_refused(const char *url, const char *because)
{
    char out[SHARD_URL_MAX + 1], why[SHARD_WHY] = "";

    engines_register();
    cr_assert_eq(shard_normal_url(url, out, why), -EINVAL, "%s", url);
    cr_assert_not_null(strstr(why, because), "%s: %s", url, why);
}

Test(engine_url, one_place_has_one_form)
{
    becomes("s3://bucket", "s3://bucket");
    becomes("s3://bucket/", "s3://bucket");
    becomes("s3://bucket//a//b/", "s3://bucket/a/b");
    becomes("s3://bucket/a?region=r&endpoint=http://h:1/",
            "s3://bucket/a?endpoint=http://h:1&region=r");
    becomes("s3://bucket?ca=/x&profile=p&credentials=/y",
            "s3://bucket?credentials=/y&profile=p&ca=/x");
    becomes("rados:pool", "rados:pool");
    becomes("rados:pool/", "rados:pool");
    becomes("rados:pool/space?id=me&conf=/etc/c", "rados:pool/space?conf=/etc/c&id=me");
}

Test(engine_url, a_place_that_cannot_be_is_refused)
{
    is_refused("s3:bucket", "s3://BUCKET");
    is_refused("s3://", "bucket");
    is_refused("s3://ab", "bucket");
    is_refused("s3://buck et", "space");
    is_refused("s3://buck\"et", "bucket");
    is_refused("s3://bucket/../x", "dot");
    is_refused("s3://bucket/a%2fb", "letters");
    is_refused("rados:", "rados:POOL");
    is_refused("rados:/space", "rados:POOL");
    is_refused("rados:pool/a/b", "rados:POOL");
    is_refused("rados:pool?id=a/b", "user");
}

Test(engine_url, an_option_that_means_nothing_is_refused)
{
    is_refused("s3://bucket?endpoint=h:80", "http://HOST");
    is_refused("s3://bucket?endpoint=http://", "http://HOST");
    is_refused("s3://bucket?endpoint=http:///", "http://HOST");
    is_refused("s3://bucket?endpoint=https://:80", "http://HOST");
    is_refused("s3://bucket?endpoint=http://h/path", "no path");
    is_refused("s3://bucket?regoin=x", "'regoin'");
    is_refused("s3://bucket?region", "KEY=VALUE");
    is_refused("s3://bucket?region=", "no value");
    is_refused("s3://bucket?region=a&region=b", "twice");
    is_refused("s3://bucket?region=a?b", "two '?'");
    is_refused("s3://bucket?region=a:b", "region");
    is_refused("s3://bucket?ca=file", "absolute");
    is_refused("rados:pool?keyring=file", "absolute");
}

Test(engine_url, secrets_do_not_belong_in_it)
{
    is_refused("s3://bucket?endpoint=http://id:key@h", "credentials");
    is_refused("s3://bucket?secret=x", "unknown");
}

Test(engine_url, one_that_is_too_long_is_refused)
{
    char url[SHARD_URL_MAX + 1] = "s3://bucket/", out[SHARD_URL_MAX + 1], why[SHARD_WHY] = "";

    memset(url + strlen(url), 'x', SHARD_URL_MAX - strlen(url));
    url[SHARD_URL_MAX] = '\0';
    engines_register();
    cr_assert_eq(shard_normal_url(url, out, why), 0, "%s", why);
    cr_assert_str_eq(out, url);
}
