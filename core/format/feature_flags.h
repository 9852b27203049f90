// SPDX-License-Identifier: Apache-2.0
/*
 * feature_flags: features that a program must know before it reads the rest of a store or a pool,
 * and the text `tally-store` that lists them (FORMAT.md, "Features"). A feature is a number 0 … 63
 * of one of three kinds. The kind says what a program may do that does not know the feature. Pure.
 */
#pragma once

#include "text.h"

enum feature_kind {
    FEATURE_COMPATIBLE,   /* it may read and write, and keeps the flag */
    FEATURE_READ_ONLY,    /* it may read, and must not write */
    FEATURE_INCOMPATIBLE, /* it must not read or write */
    FEATURE_KINDS,
};

/* Incompatible ones. */
#define FEATURE_COMPRESSED_RECORDS (UINT64_C(1) << 0) /* compressed records of packs (packs.h) */
#define FEATURE_COMPRESSED_RECORDS_NAME "compressed-records"
#define FEATURE_ABSENT_OBJECTS (UINT64_C(1) << 1) /* entries of kind ABSENT (entry.h) */
#define FEATURE_ABSENT_OBJECTS_NAME "absent-objects"
#define FEATURE_HELD_ROOTS (UINT64_C(1) << 2) /* namespaces that are hidden (ns_record.h) */
#define FEATURE_HELD_ROOTS_NAME "held-roots"
#define FEATURE_ARCHIVE (UINT64_C(1) << 7) /* records of archives (shard_format.h) */
#define FEATURE_ARCHIVE_NAME "archive"
/* Of the kind FEATURE_READ_ONLY: namespaces may have limits (state/ns_settings.h). */
#define FEATURE_QUOTAS (UINT64_C(1) << 1)
#define FEATURE_QUOTAS_NAME "quotas"
/* of a store and of its pool: the pool is on a shard (disk_put.h) */
#define FEATURE_POOL_ON_SHARD (UINT64_C(1) << 6)
#define FEATURE_POOL_ON_SHARD_NAME "pool-on-shard"

#define FEATURES_NAMES 128 /* bytes, with the NUL */
#define FEATURES_WHY 200   /* bytes, with the NUL */

struct features {
    uint64_t mask[FEATURE_KINDS];
    /* The names of the features of that kind, from the lowest on, as many as fit: words with one
     * space before each. "-": that feature has no name. */
    char names[FEATURE_KINDS][FEATURES_NAMES];
};

/* Adds a feature with its name, a word; nothing if it is there. A name that finds no room becomes
 * the end of the list. */
void features_use(struct features *f, enum feature_kind kind, uint64_t feature, const char *name);
/* Writes, and reads, three lines of a text (text.h). Names that find no room before the text's last
 * line are left out, those of the compatible features first; the rest must have room. */
void features_add(struct text_writer *w, const struct features *f);
void features_read(const char **at, struct features *ret);
/* May this program read a store with these features, and write it (if `writes`)? 0; or -EPROTO,
 * with the features that it does not know in `why`, as the end of a sentence "it uses …". */
int features_check(const struct features *f, bool writes, char why[FEATURES_WHY]);

/* ---- the text tally-store ---- */

#define STORE_TEXT_START "tallyfs store "
#define STORE_VERSION 6
#define STORE_VERSION_OLDEST 2
#define STORE_TEXT_MAX 256       /* bytes: older programs take a longer text for no store */
#define STORE_TEXT_READ_MAX 4096 /* bytes: a newer version may have a longer text */

struct store_text {
    unsigned version; /* STORE_VERSION_OLDEST … STORE_VERSION */
    bool pooled;
    struct features features; /* none in a store older than version 6 */
};

/* Encodes the text as of STORE_VERSION, whatever `version` is. Returns the length; `out` has a NUL
 * behind it. */
size_t store_text_encode(const struct store_text *t, char out[STORE_TEXT_MAX + 1]);
/* -ENOENT: it is no such text. -EPROTO: it is of another version. -EUCLEAN: it is damaged. */
int store_text_decode(const char *text, size_t len, struct store_text *ret);
