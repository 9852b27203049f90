// SPDX-License-Identifier: Apache-2.0
/* old_identity: the identity of a store of version 3, as that version wrote it; FORMAT.md,
 * "Meta". */
#pragma once

#include "bytes.h"
#include "project_impl.h"
#include <string.h>

#define OLD_IDENTITY_LEN 416

static inline void old_identity(const struct identity *id, uint8_t out[OLD_IDENTITY_LEN])
{
    memset(out, 0, OLD_IDENTITY_LEN);
    put_le32(out + 8, 1);
    put_le64(out + 16, (uint64_t)id->created);
    memcpy(out + 24, id->key.secret, ID_SECRET_LEN);
    memcpy(out + 24 + ID_SECRET_LEN, id->label, strlen(id->label));
    put_le64(out, id_checksum(out + 8, OLD_IDENTITY_LEN - 8, 0));
}
