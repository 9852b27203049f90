// SPDX-License-Identifier: Apache-2.0
/*
 * feature_flags: what of a store or a pool a program has to know before it reads the rest, and the text
 * `tally-store` that says so (FORMAT.md, "Features"). A feature is a number 0 … 63 of one of three
 * kinds, by what a program may do that does not know it. Pure.
 */
#pragma once

#include "text.h"

enum feature_kind {
    FEATURE_COMPATIBLE,   /* read and write all the same; the flag is kept */
    FEATURE_READ_ONLY,    /* read, and write nothing */
    FEATURE_INCOMPATIBLE, /* nothing */
    FEATURE_KINDS,
};

/* Incompatible ones. Bit 0, compressed-records, is taken and not known to this version. */
#define FEATURE_ABSENT_OBJECTS (UINT64_C(1) << 1) /* entries of kind ABSENT (entry.h) */

#define FEATURES_NAMES 128 /* bytes with a NUL */
#define FEATURES_WHY 200

struct features {
    uint64_t mask[FEATURE_KINDS];
    /* Words with one space before each: of the lowest features of that kind, as many as were
     * written; "-" is no name. */
    char names[FEATURE_KINDS][FEATURES_NAMES];
};

/* Three lines of a text, and reading them (text.h). */
void features_add(struct text_writer *w, const struct features *f);
void features_read(const char **at, struct features *ret);
/* May a program of this version read that, and with `writes` write it? 0, or -EPROTO and the words
 * behind "it uses": which features it does not know. */
int features_check(const struct features *f, bool writes, char why[FEATURES_WHY]);

/* ---- the text tally-store ---- */

#define STORE_TEXT_START "tallyfs store "
#define STORE_VERSION 6
#define STORE_VERSION_OLDEST 2
#define STORE_TEXT_MAX 256       /* bytes: older programs take a longer one for no store at all */
#define STORE_TEXT_READ_MAX 4096 /* bytes: of a newer version it may be longer */

struct store_text {
    unsigned version; /* STORE_VERSION_OLDEST … STORE_VERSION */
    bool pooled;
    struct features features; /* none before version 6 */
};

/* Always of version STORE_VERSION. Returns the length; `out` has a NUL behind it. */
size_t store_text_encode(const struct store_text *t, char out[STORE_TEXT_MAX + 1]);
/* -ENOENT it is no such text; -EPROTO of another version; -EUCLEAN damaged. */
int store_text_decode(const char *text, size_t len, struct store_text *ret);
