// SPDX-License-Identifier: Apache-2.0
/* feature_flags: see the header. */
#include "feature_flags.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS 64

static const char *const kinds[FEATURE_KINDS] = {"compatible", "read_only", "incompatible"};

/* The features that this version knows. */
static const uint64_t known[FEATURE_KINDS] = {
    [FEATURE_READ_ONLY] = FEATURE_QUOTAS,
    [FEATURE_INCOMPATIBLE] = FEATURE_COMPRESSED_RECORDS | FEATURE_ABSENT_OBJECTS |
                             FEATURE_HELD_ROOTS | FEATURE_POOL_ON_SHARD | FEATURE_ARCHIVE};

/* ---- three lines of a text ---- */

/* How many bytes of the names have place in `room` bytes, without cutting one. */
static size_t names_in(const char *names, size_t room)
{
    size_t len = strlen(names);

    while (len > room)
        do
            len--;
        while (names[len] != ' ');
    return len;
}

void features_add(struct text_writer *w, const struct features *f)
{
    size_t room = w->room - 1 - w->len - TEXT_SUM_LINE, len[FEATURE_KINDS];

    for (unsigned i = 0; i < FEATURE_KINDS; i++)
        room -= strlen(kinds[i]) + sizeof "=0123456789abcdef\n" - 1;
    for (unsigned i = FEATURE_KINDS; i-- > 0;) { /* of those that keep most programs out first */
        len[i] = names_in(f->names[i], room);
        room -= len[i];
    }
    for (unsigned i = 0; i < FEATURE_KINDS; i++)
        text_add(w, "%s=%016" PRIx64 "%.*s\n", kinds[i], f->mask[i], (int)len[i], f->names[i]);
}

/* Copies the names, if they are words with one space before each, and not more than there are
 * features. Otherwise the result is "". */
static void read_names(const char *from, uint64_t mask, char out[FEATURES_NAMES])
{
    size_t len = strcspn(from, "\n");
    int words = 0;

    *out = '\0';
    if (len >= FEATURES_NAMES)
        return;
    for (size_t i = 0; i < len; i++) {
        bool space = from[i] == ' ';

        words += space;
        if (space ? i + 1 == len || from[i + 1] == ' '
                  : i == 0 || (!islower((unsigned char)from[i]) &&
                               !isdigit((unsigned char)from[i]) && from[i] != '-'))
            return;
    }
    if (words <= __builtin_popcountll(mask))
        snprintf(out, FEATURES_NAMES, "%.*s", (int)len, from);
}

void features_read(const char **at, struct features *ret)
{
    for (unsigned i = 0; i < FEATURE_KINDS; i++) {
        const char *value = text_value(at, kinds[i]);
        char *end;

        ret->mask[i] = strtoull(value, &end, 16);
        read_names(end, ret->mask[i], ret->names[i]);
    }
}

void features_use(struct features *f, enum feature_kind kind, uint64_t feature, const char *name)
{
    char *at = f->names[kind], rest[FEATURES_NAMES];

    if (f->mask[kind] & feature)
        return;
    for (uint64_t below = f->mask[kind] & (feature - 1); below && *at; below &= below - 1)
        at += 1 + strcspn(at + 1, " ");
    f->mask[kind] |= feature;
    memcpy(rest, at, strlen(at) + 1);
    (void)snprintf(at, (size_t)(f->names[kind] + FEATURES_NAMES - at), " %s%s", name, rest);
}

/* ---- features that are not known ---- */

/* Finds the name of the feature that has `before` lower ones in its mask. Returns its length; 0: it
 * has none. */
static int name_of(const char *names, unsigned before, const char **ret_name)
{
    while (*names && before-- > 0)
        names += 1 + strcspn(names + 1, " ");
    *ret_name = *names ? names + 1 : "";
    int len = (int)strcspn(*ret_name, " ");

    return len == 1 && **ret_name == '-' ? 0 : len;
}

/* Adds the unknown features of one kind to `why`, as many as fit. */
static void add_unknown(const struct features *f, enum feature_kind kind, char why[FEATURES_WHY])
{
    struct text_writer w = {why, FEATURES_WHY, strlen(why)};
    unsigned before = 0;

    for (unsigned bit = 0; bit < FLAGS; bit++) {
        const char *name;

        if (!(f->mask[kind] >> bit & 1))
            continue;
        int len = name_of(f->names[kind], before++, &name);

        if (known[kind] >> bit & 1 || w.len + FEATURES_NAMES > w.room)
            continue;
        text_add(&w, "%s%s %u", w.len ? ", " : "", kinds[kind], bit);
        if (len > 0)
            text_add(&w, " (%.*s)", len < 60 ? len : 60, name);
    }
}

int features_check(const struct features *f, bool writes, char why[FEATURES_WHY])
{
    *why = '\0';
    if (f->mask[FEATURE_INCOMPATIBLE] & ~known[FEATURE_INCOMPATIBLE])
        add_unknown(f, FEATURE_INCOMPATIBLE, why);
    else if (writes && f->mask[FEATURE_READ_ONLY] & ~known[FEATURE_READ_ONLY])
        add_unknown(f, FEATURE_READ_ONLY, why);
    return *why ? -EPROTO : 0;
}

/* ---- the text tally-store ---- */

#define POOLED " in a pool\n"

size_t store_text_encode(const struct store_text *t, char out[STORE_TEXT_MAX + 1])
{
    struct text_writer w = {out, STORE_TEXT_MAX + 1, 0};

    text_add(&w, STORE_TEXT_START "%d%s", STORE_VERSION, t->pooled ? POOLED : "\n");
    features_add(&w, &t->features);
    return text_end(&w, 0);
}

/* Decodes the text of a version before 6, which is this line alone: the `len` bytes behind its
 * number. */
static int decode_line(const char *rest, size_t len, const struct store_text *t,
                       struct store_text *ret)
{
    const char *want = t->pooled ? POOLED : "\n";

    if (!text_is_same(rest, len, want, strlen(want)))
        return -EPROTO;
    *ret = *t;
    return 0;
}

int store_text_decode(const char *text, size_t len, struct store_text *ret)
{
    char copy[STORE_TEXT_MAX + 1], again[STORE_TEXT_MAX + 1];
    struct store_text t = {0};
    const char *at = text + strlen(STORE_TEXT_START);
    char *rest;

    if (strncmp(text, STORE_TEXT_START, strlen(STORE_TEXT_START)) != 0)
        return -ENOENT;
    t.version = isdigit((unsigned char)*at) ? (unsigned)strtoul(at, &rest, 10) : 0;
    if (t.version < STORE_VERSION_OLDEST || t.version > STORE_VERSION || rest != at + 1)
        return -EPROTO;
    t.pooled = strncmp(rest, POOLED, strlen(POOLED)) == 0;
    if (t.version < 6)
        return decode_line(rest, len - (size_t)(rest - text), &t, ret);
    if (text_begin(text, len, STORE_TEXT_START, 0, copy, sizeof copy, &at) == -EUCLEAN)
        return -EUCLEAN;
    features_read(&at, &t.features);
    if (!text_is_same(again, store_text_encode(&t, again), text, len))
        return -EUCLEAN;
    *ret = t;
    return 0;
}
