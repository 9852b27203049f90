// SPDX-License-Identifier: Apache-2.0
/* old_store: the store of a fixture becomes one of version 3, as long as there is no name in it. */
#pragma once

#include "fixture.h"
#include "old_identity.h"
#include "project_impl.h"

static inline void put_identity_record(struct fixture *x, const uint8_t *record, size_t len)
{
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_META, "identity", 8, record, len), 0);
    cr_assert_eq(kv_commit(t), 0);
}

static inline struct identity identity_read(struct fixture *x, size_t *ret_len)
{
    uint8_t buf[IDENTITY_LEN];
    struct identity id;

    cr_assert_eq(kv_get(x->kv, TABLE_META, "identity", 8, buf, sizeof buf, ret_len), 0);
    cr_assert_eq(identity_decode(buf, *ret_len, &id), 0);
    return id;
}

/* Its secret is always the same. */
static inline void old_setup(struct fixture *x)
{
    uint8_t record[OLD_IDENTITY_LEN];
    struct identity id;
    size_t len;

    fixture_setup(x);
    cr_assert_eq(project_close(x->p), 0);
    id = identity_read(x, &len);
    for (size_t i = 0; i < ID_SECRET_LEN; i++)
        id.key.secret[i] = (uint8_t)(i * 7 + 101);
    old_identity(&id, record);
    put_identity_record(x, record, sizeof record);
    kv_close(x->kv);
    fixture_open(x);
}
