// SPDX-License-Identifier: Apache-2.0
/*
 * chain_claim: claims an epoch, and ends all earlier ones; see chain.h.
 *
 * Which epochs need an end. Walking down from ours, the first one that was begun (it has a first
 * segment) is where to stop: its writer had ended all epochs before it. Those above it had nothing
 * or a terminator at serial 1 when they were looked at. From the lowest that had nothing on, each
 * is ended now, upwards, and at another serial than 1 if its writer was quicker.
 */
#include "chain_find.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- the claim ---- */

/* Is what stands at f->name our claim? 0: no; 1: yes. */
static int is_ours(struct chain_find *f, const char *claim, size_t len)
{
    char there[ARCHIVE_TEXT_MAX];
    ssize_t n = shard_get(f->shard, f->name, there, sizeof there);

    if (n == -EFBIG)
        return 0;
    if (n < 0)
        return n == -ENOENT ? -EIO : (int)n;
    return (size_t)n == len && memcmp(there, claim, len) == 0;
}

/* Puts our claim for c->epoch. -EEXIST: somebody else has that epoch. */
static int put_claim(struct chain *c, struct chain_find *f)
{
    char claim[ARCHIVE_TEXT_MAX];
    size_t len = chain_claim_encode(c->lineage, c->epoch, &c->who, claim);
    int err, ours;

    archive_epoch_name(c->lineage, c->epoch, f->name);
    err = shard_put_if_absent(c->shard, f->name, claim, len);
    if (err != -EEXIST)
        return err;
    ours = is_ours(f, claim, len);
    if (ours < 0)
        return ours;
    return ours ? 0 : -EEXIST;
}

/* Claims the next number that is free. A number that was tried, and whose answer is not known, is
 * tried again first. */
static int claim_number(struct chain *c, struct chain_find *f)
{
    uint64_t last;
    int err = 0;

    if (c->claimed)
        return 0;
    if (c->epoch == 0) {
        err = chain_last_epoch(f, c->hint, &last);
        if (err < 0)
            return err;
        c->epoch = last + 1;
    }
    while ((err = put_claim(c, f)) == -EEXIST)
        c->epoch++;
    c->claimed = err == 0;
    return err;
}

/* ---- ending what was before ---- */

/* Ends an epoch whose first `last` serials are segments. *ret_last is then its last segment. */
static int end_epoch(struct chain_find *f, uint64_t epoch, uint64_t last, uint64_t *ret_last)
{
    char text[ARCHIVE_TEXT_MAX];

    for (struct segment_pos pos = {epoch, last + 1};; pos.serial++) {
        size_t len = chain_end_encode(f->lineage, pos, text);
        enum chain_kind kind = CHAIN_END;
        int err;

        archive_segment_name(f->lineage, pos, f->name);
        err = shard_put_if_absent(f->shard, f->name, text, len);
        if (err == -EEXIST)
            err = chain_look(f, pos, &kind);
        if (err < 0)
            return err == -ENOENT ? -EIO : err;
        if (kind == CHAIN_END) {
            *ret_last = pos.serial - 1;
            return 0;
        }
    }
}

/* Ends an epoch that has a first segment, unless it is ended. */
static int end_begun(struct chain_find *f, uint64_t epoch, uint64_t *ret_last)
{
    enum chain_kind kind;
    uint64_t last;
    int err = chain_last_serial(f, epoch, 0, &last);

    if (err < 0)
        return err;
    err = chain_look(f, (struct segment_pos){epoch, last}, &kind);
    if (err < 0)
        return err == -ENOENT ? -EIO : err;
    if (kind == CHAIN_SEGMENT)
        return end_epoch(f, epoch, last, ret_last);
    *ret_last = last - 1;
    return 0;
}

/* Ends every epoch before ours, in ascending order. */
static int end_earlier(struct chain *c, struct chain_find *f, struct segment_pos *ret_end)
{
    struct segment_pos end = {0};
    uint64_t open, last;
    int err = chain_last_begun(f, c->epoch - 1, &end.epoch, &open);

    if (err == 0 && end.epoch > 0)
        err = end_begun(f, end.epoch, &end.serial);
    for (uint64_t epoch = open; err == 0 && epoch < c->epoch; epoch++) {
        err = end_epoch(f, epoch, 0, &last);
        if (err == 0 && last > 0)
            end = (struct segment_pos){epoch, last};
    }
    if (err == 0)
        *ret_end = end;
    return err;
}

static void say(const struct chain_find *f, int err, char why[SHARD_WHY])
{
    const char *what = err == -EUCLEAN        ? "it is damaged"
                       : err == -EPROTO       ? "a newer program has put it"
                       : err == -EHOSTUNREACH ? SHARD_SILENT
                                              : strerror(-err);

    snprintf(why, SHARD_WHY, "the history cannot be claimed: %s: %s", f->name, what);
}

int chain_claim(struct chain *c, struct segment_pos *ret_end, char why[SHARD_WHY])
{
    struct chain_find f = {.shard = c->shard, .lineage = c->lineage};
    int err = claim_number(c, &f);

    if (err == 0)
        err = end_earlier(c, &f, ret_end);
    c->ready = err == 0;
    if (err < 0)
        say(&f, err, why);
    return err;
}
