// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever a text of an archive says, it is refused, or written again it is the same. Checksums are
 * made right, else nothing would pass them. Input: the text without its last line.
 */
#include "archive_text.h"

#include "fuzz.h"
#include "id.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINEAGE 7
#define EPOCH 9

static const struct segment_pos place = {EPOCH, 10};
static const uint8_t token[ARCHIVE_TOKEN_LEN] = {1, 2};

/* A text of exactly its length; the caller frees it. */
static char *sealed(const uint8_t *data, size_t len, uint64_t seed)
{
    char *text = calloc(1, len + TEXT_SUM_LINE), line[TEXT_SUM_LINE + 1];

    MUST(text);
    if (len)
        memcpy(text, data, len);
    snprintf(line, sizeof line, "sum=%016" PRIx64 "\n", id_checksum(text, len, seed));
    memcpy(text + len, line, TEXT_SUM_LINE);
    return text;
}

/* Texts whose checksum has the seed 0. */
static void check_without_seed(const char *text, size_t len)
{
    char again[ARCHIVE_TEXT_MAX];
    struct archive_format f;
    struct archive_pin p;

    if (archive_format_decode(text, len, &f) == 0)
        MUST(archive_format_encode(&f, again) == len && memcmp(again, text, len) == 0);
    if (archive_pin_decode(text, len, token, &p) == 0) {
        MUST(p.lineage > 0 && memcmp(p.token, token, sizeof token) == 0);
        MUST(archive_pin_encode(&p, again) == len && memcmp(again, text, len) == 0);
    }
}

static void check_lineage(const char *text, size_t len)
{
    char again[ARCHIVE_TEXT_MAX];
    struct archive_lineage l;

    if (archive_lineage_decode(text, len, LINEAGE, &l) < 0)
        return;
    MUST(l.number == LINEAGE && l.parent < LINEAGE && l.why < ARCHIVE_WHY_END && !l.key.fold);
    MUST((l.parent_at.epoch == 0) == (l.parent_at.serial == 0));
    MUST(archive_lineage_encode(&l, again) == len && memcmp(again, text, len) == 0);
}

static void check_epoch(const char *text, size_t len)
{
    char again[ARCHIVE_TEXT_MAX];
    struct archive_claim c;
    struct archive_terminator t;

    if (archive_claim_decode(text, len, LINEAGE, EPOCH, &c) == 0) {
        MUST(c.lineage == LINEAGE && c.epoch == EPOCH);
        MUST(archive_claim_encode(&c, again) == len && memcmp(again, text, len) == 0);
    }
    if (archive_terminator_decode(text, len, LINEAGE, place, &t) == 0) {
        MUST(t.next == EPOCH + 1);
        MUST(archive_terminator_encode(&t, again) == len && memcmp(again, text, len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = sealed(data, len, 0);

    check_without_seed(text, len + TEXT_SUM_LINE);
    free(text);
    text = sealed(data, len, LINEAGE);
    check_lineage(text, len + TEXT_SUM_LINE);
    check_epoch(text, len + TEXT_SUM_LINE);
    free(text);
    return 0;
}
