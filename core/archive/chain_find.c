// SPDX-License-Identifier: Apache-2.0
/*
 * chain_find: see chain_find.h.
 *
 * Names only come, and each after the one before it. So "is n there" is true up to the last number
 * and false behind it, and what was true stays true: doubling the step and then bisecting finds a
 * number that was the last one at a moment of the search.
 */
#include "chain_find.h"

#include <errno.h>
#include <string.h>

#define NUMBER_MAX (UINT64_C(1) << 40) /* no history has so many epochs or segments */
#define BEGINS_LEN (sizeof ARCHIVE_TERMINATOR_BEGINS - 1)

size_t chain_claim_encode(uint32_t lineage, uint64_t epoch, const struct archive_claim *who,
                          char out[ARCHIVE_TEXT_MAX])
{
    struct archive_claim claim = *who;

    claim.lineage = lineage;
    claim.epoch = epoch;
    return archive_claim_encode(&claim, out);
}

size_t chain_end_encode(uint32_t lineage, struct segment_pos pos, char out[ARCHIVE_TEXT_MAX])
{
    const struct archive_terminator t = {.lineage = lineage, .at = pos, .next = pos.epoch + 1};

    return archive_terminator_encode(&t, out);
}

/* ---- what stands at a place ---- */

int chain_kind_of(const void *bytes, size_t len, uint32_t lineage, struct segment_pos pos,
                  enum chain_kind *ret_kind)
{
    size_t n = len < BEGINS_LEN ? len : BEGINS_LEN;
    struct archive_terminator t;
    int err;

    if (memcmp(bytes, ARCHIVE_TERMINATOR_BEGINS, n) != 0) {
        *ret_kind = CHAIN_SEGMENT;
        return 0;
    }
    /* also of too few bytes to tell, or none */
    err = archive_terminator_decode(bytes, len, lineage, pos, &t);
    if (err == 0)
        *ret_kind = CHAIN_END;
    return err;
}

int chain_look(struct chain_find *f, struct segment_pos pos, enum chain_kind *ret_kind)
{
    char head[ARCHIVE_TEXT_MAX + 1];

    archive_segment_name(f->lineage, pos, f->name);
    ssize_t n = shard_range(f->shard, f->name, head, sizeof head, 0);

    return n < 0 ? (int)n : chain_kind_of(head, (size_t)n, f->lineage, pos, ret_kind);
}

/* ---- the last number ---- */

/* Is the name in f->name there? */
static int ask(struct chain_find *f, bool *ret_there)
{
    uint64_t size;
    int err = shard_stat(f->shard, f->name, &size);

    if (err < 0 && err != -ENOENT)
        return err;
    *ret_there = err == 0;
    return 0;
}

typedef int there_fn(struct chain_find *f, uint64_t epoch, uint64_t number, bool *ret_there);

static int is_epoch_there(struct chain_find *f, uint64_t epoch, uint64_t number, bool *ret_there)
{
    (void)epoch;
    archive_epoch_name(f->lineage, number, f->name);
    return ask(f, ret_there);
}

static int is_serial_there(struct chain_find *f, uint64_t epoch, uint64_t number, bool *ret_there)
{
    archive_segment_name(f->lineage, (struct segment_pos){epoch, number}, f->name);
    return ask(f, ret_there);
}

/* Finds a number above `low` that is absent; *low gets one that is there. */
static int gallop(struct chain_find *f, there_fn *fn, uint64_t epoch, uint64_t *low,
                  uint64_t *ret_high)
{
    bool there;

    for (uint64_t step = 1; step < NUMBER_MAX; step *= 2) {
        int err = fn(f, epoch, *low + step, &there);

        if (err < 0)
            return err;
        if (!there) {
            *ret_high = *low + step;
            return 0;
        }
        *low += step;
    }
    return -EUCLEAN;
}

/* Finds the last number that is there, at least `low`, which is known to be there. */
static int find_last(struct chain_find *f, there_fn *fn, uint64_t epoch, uint64_t low,
                     uint64_t hint, uint64_t *ret_last)
{
    uint64_t high = hint;
    bool there = true;
    int err = 0;

    if (hint > low)
        err = fn(f, epoch, hint, &there);
    if (err == 0 && there) {
        low = hint > low ? hint : low;
        err = gallop(f, fn, epoch, &low, &high);
    }
    while (err == 0 && high - low > 1) {
        uint64_t middle = low + (high - low) / 2;

        err = fn(f, epoch, middle, &there);
        if (there)
            low = middle;
        else
            high = middle;
    }
    if (err == 0)
        *ret_last = low;
    return err;
}

int chain_last_epoch(struct chain_find *f, uint64_t hint, uint64_t *ret_epoch)
{
    return find_last(f, is_epoch_there, 0, 0, hint, ret_epoch);
}

int chain_last_serial(struct chain_find *f, uint64_t epoch, uint64_t hint, uint64_t *ret_serial)
{
    return find_last(f, is_serial_there, epoch, 1, hint, ret_serial);
}

int chain_last_begun(struct chain_find *f, uint64_t from, uint64_t *ret_begun, uint64_t *ret_open)
{
    uint64_t open = from + 1, epoch;
    enum chain_kind kind = CHAIN_END;

    for (epoch = from; epoch > 0; epoch--) {
        int err = chain_look(f, (struct segment_pos){epoch, 1}, &kind);

        if (err < 0 && err != -ENOENT)
            return err;
        if (err == 0 && kind == CHAIN_SEGMENT)
            break;
        if (err == -ENOENT)
            open = epoch;
    }
    *ret_begun = epoch;
    *ret_open = open;
    return 0;
}
