// SPDX-License-Identifier: Apache-2.0
/*
 * chain_model_claim: claimants that do it in another way than the product, to see what its order is
 * for. After an error they go on with the number that they have tried, as the product does.
 */
#include "chain_find.h"
#include "chain_model.h"

#include <errno.h>
#include <string.h>

/* Looks along an epoch for its last segment. *ret_ended: a terminator stands behind it. */
static int look_along(struct chain_find *f, uint64_t epoch, struct segment_pos *ret_last,
                      bool *ret_ended)
{
    struct segment_pos pos = {epoch, 1};
    enum chain_kind kind = CHAIN_SEGMENT;
    int err;

    while ((err = chain_look(f, pos, &kind)) == 0 && kind == CHAIN_SEGMENT)
        pos.serial++;
    if (err < 0 && err != -ENOENT)
        return err;
    *ret_ended = err == 0;
    *ret_last = (struct segment_pos){epoch, pos.serial - 1};
    return 0;
}

/* Ends an epoch. *ret_had: somebody else had. */
static int end(struct chain_find *f, uint64_t epoch, struct segment_pos *ret_last, bool *ret_had)
{
    char text[ARCHIVE_TEXT_MAX];
    int err;

    do {
        err = look_along(f, epoch, ret_last, ret_had);
        if (err < 0 || *ret_had)
            return err;
        struct segment_pos pos = {epoch, ret_last->serial + 1};

        archive_segment_name(f->lineage, pos, f->name);
        err = shard_put_if_absent(NULL, f->name, text, chain_end_encode(f->lineage, pos, text));
    } while (err == -EEXIST);
    return err;
}

/* Notes the last segment of an epoch, if no later one is known. */
static void note(struct segment_pos last, struct segment_pos *end)
{
    if (last.serial > 0 && last.epoch > end->epoch)
        *end = last;
}

/* Ends downwards from `from`, until an epoch was begun, or, if it trusts, had its terminator. */
static int end_down(struct chain_find *f, uint64_t from, bool trusts, struct segment_pos *ret_end)
{
    struct segment_pos last;
    bool had, stop = false;

    for (uint64_t epoch = from; epoch > 0; epoch--) {
        int err = stop ? look_along(f, epoch, &last, &had) : end(f, epoch, &last, &had);

        if (err < 0)
            return err;
        note(last, ret_end);
        if (last.serial > 0)
            return 0;
        stop = trusts && had; /* only the end of the history is looked for below */
    }
    return 0;
}

/* Looks for the highest terminator below `from`, and ends what is above it, upwards. */
static int end_up(struct chain_find *f, uint64_t from, struct segment_pos *ret_end)
{
    struct segment_pos last;
    uint64_t epoch = from;
    bool ended = false, had;
    int err = 0;

    for (; err == 0 && epoch > 0 && !ended; epoch -= !ended)
        err = look_along(f, epoch, &last, &ended);
    for (uint64_t e = epoch; err == 0 && e > 0; e--) {
        err = look_along(f, e, &last, &had);
        note(last, ret_end);
    }
    for (uint64_t e = epoch + 1; err == 0 && e <= from; e++) {
        err = end(f, e, &last, &had);
        if (err == 0 && last.serial > 0)
            *ret_end = last;
    }
    return err;
}

/* Claims the next number that is free, or the one that was tried. */
static int take_number(struct chain *c)
{
    char name[ARCHIVE_NAME_MAX + 1], claim[ARCHIVE_TEXT_MAX], there[ARCHIVE_TEXT_MAX];
    int err = -EEXIST;

    for (c->epoch += c->epoch == 0; !c->claimed && err == -EEXIST; c->epoch += err == -EEXIST) {
        size_t len = chain_claim_encode(LINEAGE, c->epoch, &c->who, claim);

        archive_epoch_name(LINEAGE, c->epoch, name);
        err = shard_put_if_absent(NULL, name, claim, len);
        if (err == -EEXIST) {
            ssize_t n = shard_get(NULL, name, there, sizeof there);

            err = n < 0 ? (int)n : (size_t)n == len && memcmp(there, claim, len) == 0 ? 0 : err;
        }
        c->claimed = err == 0;
    }
    return c->claimed ? 0 : err;
}

int model_claim(struct chain *c, enum claim_way way, struct segment_pos *ret_end, char why[SHARD_WHY])
{
    struct chain_find f = {.lineage = LINEAGE};
    struct segment_pos found = {0};
    uint64_t last;
    int err = 0;

    if (way == CLAIM_REAL)
        return chain_claim(c, ret_end, why);
    if (way == CLAIM_AFTER_ENDS) {
        err = chain_last_epoch(&f, 0, &last);
        if (err == 0)
            err = end_down(&f, last, false, &found);
    }
    if (err == 0)
        err = take_number(c);
    if (err == 0 && (way == CLAIM_DESCENDING || way == CLAIM_TRUSTING_DESCENDING))
        err = end_down(&f, c->epoch - 1, way == CLAIM_TRUSTING_DESCENDING, &found);
    if (err == 0 && way == CLAIM_TRUSTING)
        err = end_up(&f, c->epoch - 1, &found);
    c->ready = err == 0;
    if (err == 0)
        *ret_end = found;
    return err;
}
