// SPDX-License-Identifier: Apache-2.0
/* s3_url: see the header. */
#include "s3_url.h"

#include "engine_url.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ENDPOINT, REGION, CREDENTIALS, PROFILE, CA };
static const char *const keys[] = {"endpoint", "region", "credentials", "profile", "ca", NULL};

#define REGION_DEFAULT "us-east-1"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static int refuse(char why[SHARD_WHY], const char *text)
{
    snprintf(why, SHARD_WHY, "%s", text);
    return -EINVAL;
}

/* The characters that Amazon allows, and those that older servers do. */
static bool is_bucket(const char *name, size_t len)
{
    return len >= 3 && len < sizeof((struct s3_url *)0)->bucket && isalnum((unsigned char)*name) &&
           strspn(name, NAME_CHARS) >= len;
}

/* Takes "//BUCKET[/PREFIX]". Empty parts of the prefix are left out. */
static int take_place(const char *place, struct s3_url *u, char why[SHARD_WHY])
{
    size_t len, n = 0;

    if (strncmp(place, "//", 2) != 0)
        return refuse(why, "a URL of S3 is s3://BUCKET[/PREFIX]");
    place += 2;
    len = strcspn(place, "/");
    if (!is_bucket(place, len))
        return refuse(why, "the URL has no valid name of a bucket: a URL of S3 is "
                           "s3://BUCKET[/PREFIX]");
    memcpy(u->bucket, place, len);
    u->bucket[len] = '\0';
    for (place += len; *place; place += len) {
        place += strspn(place, "/");
        len = strcspn(place, "/");
        if (len && (*place == '.' || strspn(place, NAME_CHARS) < len))
            return refuse(why, "a part of the prefix begins with a dot, or has other characters "
                               "than letters, digits, '.', '_' and '-'");
        if (len)
            n += (size_t)snprintf(u->prefix + n, sizeof u->prefix - n, "%.*s/", (int)len, place);
    }
    return 0;
}

/* Takes the endpoint without a slash at its end. */
static int take_endpoint(const char *text, struct s3_url *u, char why[SHARD_WHY])
{
    const char *host = strncmp(text, "https://", 8) == 0  ? text + 8
                       : strncmp(text, "http://", 7) == 0 ? text + 7
                                                          : NULL;
    size_t len = strlen(text);

    if (!host || !*host || strchr("/:", *host))
        return refuse(why, "endpoint= of a URL of S3 is http://HOST[:PORT] or https://HOST[:PORT]");
    if (strchr(host, '@'))
        return refuse(why, "credentials do not belong in a URL, which is stored and shown: give "
                           "them in the environment or in a file");
    if (text[len - 1] == '/')
        len--;
    if (memchr(host, '/', (size_t)(text + len - host)) || strchr(host, '#'))
        return refuse(why, "endpoint= of a URL of S3 has a host and a port, and no path");
    snprintf(u->endpoint, sizeof u->endpoint, "%.*s", (int)len, text);
    return 0;
}

/* Copies an option that has only the characters of a name. */
static int take_name(const char *value, const char *key, char *out, size_t cap, char why[SHARD_WHY])
{
    if (value && (strlen(value) >= cap || strspn(value, NAME_CHARS) < strlen(value))) {
        snprintf(why, SHARD_WHY, "%s= of the URL is no valid name", key);
        return -EINVAL;
    }
    snprintf(out, cap, "%s", value ? value : "");
    return 0;
}

/* Takes the options. `p` has them as they are written. */
static int take_options(const struct engine_url *p, struct s3_url *u, char why[SHARD_WHY])
{
    int err = take_name(p->value[REGION], keys[REGION], u->region, sizeof u->region, why);

    if (err == 0 && !*u->region)
        snprintf(u->region, sizeof u->region, "%s", REGION_DEFAULT);
    if (err == 0)
        err = take_name(p->value[PROFILE], keys[PROFILE], u->profile, sizeof u->profile, why);
    if (err == 0)
        err = engine_url_take_path(keys[CREDENTIALS], p->value[CREDENTIALS], u->credentials, why);
    if (err == 0)
        err = engine_url_take_path(keys[CA], p->value[CA], u->ca, why);
    if (err == 0 && p->value[ENDPOINT])
        return take_endpoint(p->value[ENDPOINT], u, why);
    snprintf(u->endpoint, sizeof u->endpoint, "https://s3.%s.amazonaws.com", u->region);
    return err;
}

static int parse(const char *rest, struct engine_url *p, struct s3_url *u, char why[SHARD_WHY])
{
    int err = engine_url_parse(rest, keys, p, why);

    *u = (struct s3_url){.bucket = ""};
    if (err == 0)
        err = take_place(p->place, u, why);
    return err < 0 ? err : take_options(p, u, why);
}

int s3_url_parse(const char *rest, struct s3_url *ret, char why[SHARD_WHY])
{
    struct engine_url p;

    return parse(rest, &p, ret, why);
}

int s3_url_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY])
{
    struct engine_url p;
    struct s3_url u;
    char place[sizeof u.bucket + sizeof u.prefix + 4];
    int err = parse(rest, &p, &u, why);

    if (err < 0)
        return err;
    snprintf(place, sizeof place, "//%s/%s", u.bucket, u.prefix);
    place[strlen(place) - 1] = '\0'; /* the slash at the end */
    if (p.value[ENDPOINT])
        p.value[ENDPOINT] = u.endpoint;
    return engine_url_print(place, &p, keys, out, cap, why);
}
