// SPDX-License-Identifier: Apache-2.0
/*
 * identity: the record "identity" of the table meta. It says who a store is, and has its keys. It
 * is written when the store is made.
 *
 * A store that was made before version 4 has fewer keys. Opening it for writing gives it the
 * missing ones. The ids and the hashes of names that were derived from its secret stay as they are
 * (FORMAT.md, "Meta").
 */
#pragma once

#include "id.h"
#include "kv.h"
#include "name_hash.h"

#define STORE_LABEL_MAX 200 /* bytes of "org/project" */
#define IDENTITY_VERSION 2

struct identity {
    char label[STORE_LABEL_MAX + 1];
    int64_t created; /* ns since the epoch */
    struct id_key key;
    /* Keys of the hash of names. After a record of version 1 only `names.old` and `names.seed` are
     * set. */
    struct name_key names;
    struct sip_key cookies; /* key of the cookies of readdir; zeros after a record of version 1 */
    bool complete;          /* the record had all keys, or they were made since */
};
#define IDENTITY_LEN 464

/* Makes a new identity with random keys. `key` is copied; NULL: a new key is made. -ENAMETOOLONG:
 * the label is longer than STORE_LABEL_MAX; -EIO: there are no random bytes. */
int identity_make(const char *label, int64_t created, const struct id_key *key,
                  struct identity *ret);
/* Encodes the record, always in version 2. */
void identity_encode(const struct identity *id, uint8_t out[IDENTITY_LEN]);
/* -EUCLEAN: damaged; -EPROTO: written by a newer version */
int identity_decode(const void *val, size_t len, struct identity *ret);
/* Reads the record. Where keys are missing it makes them and writes them in a transaction of its
 * own. -ENOENT: there is no record; else as identity_decode. */
int identity_load(struct kv *kv, struct identity *ret);
