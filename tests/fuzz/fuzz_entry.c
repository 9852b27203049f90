// SPDX-License-Identifier: Apache-2.0
/* Whatever bytes an entry has, or a row of the ghosts, it is refused, or written again it is the
 * same bytes. */
#include "entry.h"

#include "fuzz.h"

#include <string.h>

static void try_row(const uint8_t *data, size_t len)
{
    uint8_t again[GHOST_ROW_LEN];
    struct ghost_row row;

    if (ghost_row_decode(data, len, &row) < 0)
        return;
    MUST(row.shard > 0);
    ghost_row_encode(&row, again);
    MUST(len == sizeof again && memcmp(again, data, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t again[ENTRY_MAX];
    struct entry e;

    try_row(data, len);
    if (entry_decode(data, len, &e) < 0)
        return 0;
    MUST(e.kind <= ENTRY_ABSENT);
    MUST(e.pinned == ((data[0] & 0x20) != 0));
    MUST(!entry_is_sealed(&e) || e.where > 0);
    MUST(entry_is_sealed(&e) || (e.shard == 0 && e.day == 0));
    MUST(entry_is_ghost(&e) || e.created == 0);
    MUST(e.kind == ENTRY_PACK || e.stored == 0);
    MUST(e.stored <= e.size || e.stored == ENTRY_AT_REST);
    MUST(entry_payload(&e) <= e.size);
    MUST(e.kind == ENTRY_ABSENT || e.archive == 0);
    MUST(entry_encode(&e, again) == len);
    MUST(memcmp(again, data, len) == 0);
    return 0;
}
