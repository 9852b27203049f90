// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever an archive has in place of a catalogue, it is refused, or it is sound, and written again
 * it is the same bytes. What stands at the begin and the checksum are made right, else nothing
 * would pass them. Input: what is behind the number of the catalogue, without the checksum.
 */
#include "catalogue.h"

#include "bytes.h"
#include "fuzz.h"
#include "id.h"

#include <stdlib.h>
#include <string.h>

#define LINEAGE 3
#define NUMBER 5
#define BEGIN "TLYSKEPT\1\0\0\0\3\0\0\0\5\0\0\0"
#define BEGIN_LEN 20
#define SUM 8

static bool has_run(const struct kept_run *v, size_t count, struct segment_pos at)
{
    for (size_t i = 0; i < count; i++)
        if (v[i].epoch == at.epoch && v[i].first <= at.serial && at.serial <= v[i].last)
            return true;
    return false;
}

static void check_states(const struct catalogue *c)
{
    for (uint32_t i = 0; i < c->state_count; i++) {
        MUST(catalogue_keeps(c, c->states[i].at));
        MUST(has_run(c->kept, c->kept_count, c->states[i].at));
        MUST(c->states[i].time <= c->begin.time && c->states[i].seq <= c->begin.seq);
    }
    MUST(catalogue_oldest(c) <= c->begin.time);
}

/* What is given up is not kept. */
static void check_gone(const struct catalogue *c)
{
    for (uint32_t i = 0; i < c->gone_count; i++) {
        const struct kept_run *r = &c->gone[i];
        const struct segment_pos first = {r->epoch, r->first}, last = {r->epoch, r->last};

        MUST(!catalogue_keeps(c, first) && !catalogue_keeps(c, last));
        MUST(segment_pos_compare(last, c->begin.at) < 0);
    }
    for (uint32_t i = 0; i < c->pack_count; i++)
        MUST(catalogue_gives_up(c, true, c->packs[i].first) &&
             catalogue_gives_up(c, true, c->packs[i].last) && !catalogue_gives_up(c, true, 0));
    for (uint32_t i = 0; i < c->file_count; i++)
        MUST(catalogue_gives_up(c, false, c->files[i].where));
}

static void check(const uint8_t *bytes, size_t len)
{
    struct strbuf again = STRBUF_INIT;
    struct catalogue c;

    if (catalogue_decode(bytes, len, LINEAGE, NUMBER, &c) < 0)
        return;
    MUST(c.lineage == LINEAGE && c.number == NUMBER && catalogue_keeps(&c, c.begin.at));
    check_states(&c);
    check_gone(&c);
    MUST(catalogue_encode(&c, &again) == 0);
    MUST(again.len == len && memcmp(again.s, bytes, len) == 0);
    strbuf_release(&again);
    catalogue_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *bytes = malloc(BEGIN_LEN + len + SUM);

    MUST(bytes);
    memcpy(bytes, BEGIN, BEGIN_LEN);
    if (len)
        memcpy(bytes + BEGIN_LEN, data, len);
    put_le64(bytes + BEGIN_LEN + len, id_checksum(bytes, BEGIN_LEN + len, LINEAGE));
    check(bytes, BEGIN_LEN + len + SUM);
    free(bytes);
    return 0;
}
