// SPDX-License-Identifier: Apache-2.0
/* engine_url: see the header. */
#include "engine_url.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static int refuse(char why[SHARD_WHY], const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, SHARD_WHY, fmt, args);
    va_end(args);
    return -EINVAL;
}

/* Takes one option, "KEY=VALUE". */
static int take_option(char *option, const char *const *keys, struct engine_url *u,
                       char why[SHARD_WHY])
{
    char *equals = strchr(option, '=');
    size_t i = 0;

    if (!equals)
        return refuse(why, "the URL has '%.80s' behind its '?', where KEY=VALUE belongs", option);
    *equals = '\0';
    while (keys[i] && strcmp(keys[i], option) != 0)
        i++;
    if (!keys[i])
        return refuse(why, "the URL has an unknown option '%.80s'", option);
    if (u->value[i])
        return refuse(why, "the URL has the option '%s' twice", option);
    if (!equals[1])
        return refuse(why, "the option '%s' of the URL has no value", option);
    u->value[i] = equals + 1;
    return 0;
}

int engine_url_parse(const char *rest, const char *const *keys, struct engine_url *ret,
                     char why[SHARD_WHY])
{
    char *at, *next;
    int err = 0;

    *ret = (struct engine_url){.place = ret->text};
    if (snprintf(ret->text, sizeof ret->text, "%s", rest) > SHARD_URL_MAX)
        return refuse(why, "the URL is too long");
    for (const char *c = ret->text; *c; c++)
        if (*c <= ' ' || *c > '~')
            return refuse(why, "the URL has a space, or a character that is not ASCII");
    at = strchr(ret->text, '?');
    if (!at)
        return 0;
    *at++ = '\0';
    if (strchr(at, '?'))
        return refuse(why, "the URL has two '?'");
    for (; err == 0 && at && *at; at = next) {
        next = strchr(at, '&');
        if (next)
            *next++ = '\0';
        err = take_option(at, keys, ret, why);
    }
    return err;
}

int engine_url_print(const char *place, const struct engine_url *u, const char *const *keys,
                     char *out, size_t cap, char why[SHARD_WHY])
{
    size_t len = (size_t)snprintf(out, cap, "%s", place);
    char sep = '?';

    for (size_t i = 0; keys[i] && len < cap; i++)
        if (u->value[i]) {
            len += (size_t)snprintf(out + len, cap - len, "%c%s=%s", sep, keys[i], u->value[i]);
            sep = '&';
        }
    return len < cap ? 0 : refuse(why, "the URL is too long");
}

int engine_url_take_path(const char *key, const char *value, char out[SHARD_URL_MAX + 1],
                         char why[SHARD_WHY])
{
    if (value && *value != '/')
        return refuse(why, "%s= in a URL wants an absolute path, and not '%.100s'", key, value);
    snprintf(out, SHARD_URL_MAX + 1, "%s", value ? value : "");
    return 0;
}
