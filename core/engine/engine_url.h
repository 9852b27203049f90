// SPDX-License-Identifier: Apache-2.0
/*
 * engine_url: the text of an engine's URL behind the scheme: a place, and options.
 *
 *     PLACE[?KEY=VALUE[&KEY=VALUE]...]
 *
 * Nothing in it is decoded: a value has neither '&' nor '?' nor a character that is not printable
 * ASCII, and no space. A URL is stored and shown, so secrets do not belong in it.
 */
#pragma once

#include "shard.h"

#define ENGINE_OPTIONS_MAX 8

struct engine_url {
    char text[SHARD_URL_MAX + 1];          /* the other fields point into it */
    const char *place;                     /* may be "" */
    const char *value[ENGINE_OPTIONS_MAX]; /* of the key with that index; NULL: not given */
};

/* Splits `rest`. `keys` has the options that exist, ENGINE_OPTIONS_MAX at most, and ends with a
 * NULL. -EINVAL with a sentence in `why`: an option is unknown, empty or given twice, or a
 * character is not allowed. */
int engine_url_parse(const char *rest, const char *const *keys, struct engine_url *ret,
                     char why[SHARD_WHY]);
/* Writes `place` and the options that are given, in the order of `keys`: so two URLs of the same
 * place and options become the same text. -EINVAL: it has more than `cap` bytes with its NUL. */
int engine_url_print(const char *place, const struct engine_url *u, const char *const *keys,
                     char *out, size_t cap, char why[SHARD_WHY]);
/* Copies the value of an option that is an absolute path; "" if it is not given. -EINVAL with a
 * sentence that names `key`. */
int engine_url_take_path(const char *key, const char *value, char out[SHARD_URL_MAX + 1],
                         char why[SHARD_WHY]);
