// SPDX-License-Identifier: Apache-2.0
/*
 * identity: the record "identity" of the table meta: who a store is, and its keys. Written when the
 * store is made. One that was made before version 4 has fewer keys: whoever opens it for changes
 * gives it the missing ones; what its secret made before, the secret goes on to make (FORMAT.md,
 * "Meta").
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
    /* Of a record of version 1 both are zeros but for `names.old` and `names.seed`. */
    struct name_key names;
    struct sip_key cookies; /* of readdir */
    bool complete;          /* read from a record that has all keys */
};
#define IDENTITY_LEN 464

/* A new one; `key` is copied, NULL: one of its own. -ENAMETOOLONG the label, -EIO. */
int identity_make(const char *label, int64_t created, const struct id_key *key,
                  struct identity *ret);
/* Always of version 2. */
void identity_encode(const struct identity *id, uint8_t out[IDENTITY_LEN]);
int identity_decode(const void *val, size_t len, struct identity *ret); /* -EUCLEAN, -EPROTO */
/* Read it, and give it the keys it lacks: in a commit of its own. -ENOENT there is none. */
int identity_load(struct kv *kv, struct identity *ret);
