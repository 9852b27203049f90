// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever a ladder's text says, it is refused and nothing is changed, or it has rungs within the
 * limits, and what these need of some snapshots is within the counts. Input: the text; its bytes
 * are also the times.
 */
#include "ladder.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_marks(const struct ladder *l, const uint8_t *data, size_t len)
{
    int64_t times[LADDER_TEXT_MAX] = {0}, at = 0;
    bool needed[LADDER_TEXT_MAX];
    size_t most = 1, count = 0;

    for (size_t i = 0; i < len; i++)
        times[i] = at += (int64_t)data[i] * LADDER_INTERVAL_MIN / 7;
    for (size_t i = 0; i < l->count; i++)
        most += l->v[i].count;
    ladder_mark(l, times, len, needed);
    for (size_t i = 0; i < len; i++)
        count += needed[i];
    MUST(count >= 1 && count <= most && needed[len - 1]);
    MUST(!ladder_is_due(l, times, len, times[len - 1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ladder l = {.count = 77};
    char *text = malloc(len + 1); /* of just that length, so that reading beyond shows */

    if (!text)
        return 0;
    memcpy(text, data, len);
    text[len] = '\0';
    if (ladder_parse(text, &l) < 0) {
        MUST(l.count == 77);
    } else {
        MUST(l.count >= 1 && l.count <= LADDER_RUNGS_MAX);
        for (size_t i = 0; i < l.count; i++)
            MUST(l.v[i].interval >= LADDER_INTERVAL_MIN && l.v[i].count >= 1 &&
                 l.v[i].count <= LADDER_COUNT_MAX);
        check_marks(&l, data, strlen(text));
    }
    free(text);
    return 0;
}
