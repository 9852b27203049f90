// SPDX-License-Identifier: Apache-2.0
/*
 * restore_pin: what a restore needs is not given up before it is done, nor afterwards, since its
 * files are ghosts. Where the store is the writer, its own prune sees the ghosts, and waits for
 * restores that run. Elsewhere, also where another one has become the writer, a pin says so:
 * archive_catalogue.h says why that is enough.
 */
#include "restore_pin.h"

#include "archive_catalogue.h"
#include "archive_pins.h"
#include "archived.h"
#include "flush.h"
#include "refs.h"
#include "report.h"
#include "shards.h"
#include "ship.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNPIN_WAIT (60 * NSEC_PER_SEC)

void restore_pin_init(struct state *p, uint32_t lineage, struct archive_pin *ret)
{
    *ret = (struct archive_pin){.lineage = lineage, .time = now(p)};
    store_id_of(p->id_key.secret, p->created, p->shared ? p->shared->node : 0, ret->store);
    (void)gethostname(ret->who, sizeof ret->who - 1);
    if (!text_is_printable(ret->who))
        ret->who[0] = '\0';
}

/* The pin may be there, and nobody needs it. */
static int take_back(struct shard *s, const struct archive_pin *pin, int err)
{
    char token[2 * ARCHIVE_TOKEN_LEN + 1];
    int ended = archive_pin_end(s, pin->token);

    archive_token_format(pin->token, token);
    if (ended < 0)
        report(REPORT_WARN,
               "the pin %s could not be ended (%s): if `archive pins` lists it, `archive unpin` it",
               token, strerror(-ended));
    return err;
}

int restore_pin_put(struct shard *s, struct archive_pin *pin, uint32_t catalogue)
{
    int err = archive_pin_put(s, pin), is_last;

    if (err == -EROFS || err == -EACCES || err == -EPERM) {
        report(REPORT_WARN,
               "no pin could be put into the archive (%s): whoever deletes from it must know that "
               "this store needs it",
               strerror(-err));
        return 0;
    }
    if (err < 0)
        return take_back(s, pin, err);
    is_last = archive_catalogue_is_last(s, pin->lineage, catalogue);
    return is_last == 1 ? 1 : take_back(s, pin, is_last < 0 ? is_last : -ESTALE);
}

static int stale(struct strbuf *why)
{
    strbuf_adds(why, "the archive has given up a part of what was planned: try again");
    return -ESTALE;
}

int restore_pin(struct state *p, struct restore_plan *plan, struct strbuf *why)
{
    struct shards_info info;
    struct archive_pin pin;
    struct shard *s;
    int err = shards_info_get(p->shards, plan->archive, &info), pinned;

    if (err == 0)
        err = shards_get(p->shards, plan->archive, SHARDS_READ, &s, NULL);
    if (err < 0)
        return err;
    plan->next_object = refs_next(p->refs);
    restore_pin_init(p, plan->lineage, &pin);
    pin.at = plan->state;
    pinned = info.lineage == plan->lineage ? ship_is_writer(p, plan->archive, s) : 0;
    plan->by_writer = pinned == 1;
    if (pinned == 0)
        pinned = restore_pin_put(s, &pin, plan->catalogue);
    if (pinned != -ESTALE && pinned < 0)
        pinned = shards_said(p->shards, plan->archive, pinned);
    shards_put_back(p->shards, plan->archive);
    plan->pinned = pinned == 1 && !plan->by_writer;
    memcpy(plan->pin, pin.token, sizeof plan->pin);
    return pinned == -ESTALE ? stale(why) : pinned < 0 ? pinned : 0;
}

int restore_pin_end(struct state *p, uint16_t archive, const uint8_t token[ARCHIVE_TOKEN_LEN])
{
    struct shard *s;
    int err = shards_get(p->shards, archive, SHARDS_READ, &s, NULL);

    if (err < 0)
        return err;
    err = shards_said(p->shards, archive, archive_pin_end(s, token));
    shards_put_back(p->shards, archive);
    return err;
}

/* Has this store put the pin? 1, 0 or -errno. */
static int is_own_pin(struct state *p, struct shard *s, const uint8_t token[SEGMENT_TOKEN_LEN])
{
    struct archive_pins pins;
    struct archive_pin own;
    bool is_own = false;
    int err = archive_pins_read(s, &pins);

    if (err < 0)
        return err == -EUCLEAN || err == -EPROTO ? 0 : err;
    restore_pin_init(p, 0, &own);
    for (size_t i = 0; i < pins.count; i++)
        is_own = is_own || (memcmp(pins.v[i].token, token, sizeof own.token) == 0 &&
                            memcmp(pins.v[i].store, own.store, sizeof own.store) == 0);
    free(pins.v);
    return is_own;
}

/* Of the lineage that the store ships its own prune knows what is needed. */
static bool is_of_other_lineage(const struct archived_place *place, void *ctx)
{
    const struct shards_info *info = ctx;

    return !info->ships || place->where >> 48 != info->lineage;
}

int restore_needs_pin(struct state *p, uint16_t archive, struct shard *s,
                      const uint8_t token[SEGMENT_TOKEN_LEN])
{
    uint64_t objects = 0, bytes;
    struct shards_info info;
    int err = is_own_pin(p, s, token);

    if (err != 1)
        return err;
    err = shards_info_get(p->shards, archive, &info);
    if (err == 0)
        err = refs_ghosts_on(p->refs, archive, &objects, &bytes);
    if (err < 0 || objects)
        return err < 0 ? err : 1;
    return archived_any(p->archived, archive, is_of_other_lineage, &info);
}

/* Is an object that was made since the pin in the archive? A file that was written meanwhile may
 * share one with the restore, and it may even be home by now. 1, 0 or -errno. */
static int something_stays(struct state *p, const struct restore_plan *plan)
{
    const uint64_t end = refs_next(p->refs);
    struct archived_place at;
    struct entry e;
    int err;

    for (uint64_t n = plan->next_object; n < end; n++) {
        err = refs_entry(p->refs, n, false, NULL, &e);
        if (err == 0 && entry_is_ghost(&e) && e.shard == plan->archive)
            return 1;
        if (err < 0 && err != -ENOENT)
            return err;
        err = archived_get(p->archived, plan->archive, n, &at);
        if (err != -ENOENT)
            return err < 0 ? err : 1;
    }
    return 0;
}

/* Waits until the draft is worked off, whose objects no file shares. */
static int wait_for_draft(struct state *p, const struct restore_plan *plan)
{
    int err = flush_drain(p, false, UNPIN_WAIT, NULL);

    if (err == 0)
        err = something_stays(p, plan);
    return err == 1 ? -EBUSY : err;
}

void restore_unpin(struct state *p, struct restore_plan *plan, const struct restore_result *r)
{
    char token[2 * ARCHIVE_TOKEN_LEN + 1];
    int err;

    if (!plan->pinned)
        return;
    plan->pinned = false;
    err = !r ? 0 : r->moved ? -EBUSY : wait_for_draft(p, plan);
    if (err == 0)
        err = restore_pin_end(p, plan->archive, plan->pin);
    if (err == 0)
        return;
    archive_token_format(plan->pin, token);
    report(REPORT_WARN,
           "the pin %s of a restore that failed stays in the archive (%s): `tally archive unpin` "
           "ends it",
           token, err == -EBUSY ? "files of this store share objects with it" : strerror(-err));
}

int restore_begin(struct state *p, const struct restore_plan *plan, struct strbuf *why)
{
    struct shard *s;
    int err, is_last = 1;

    ship_reading(p, plan->archive, 1);
    err = shards_get(p->shards, plan->archive, SHARDS_READ, &s, NULL);
    if (err == 0) {
        if (!plan->pinned)
            is_last = archive_catalogue_is_last(s, plan->lineage, plan->catalogue);
        err = is_last < 0 ? shards_said(p->shards, plan->archive, is_last) : 0;
        shards_put_back(p->shards, plan->archive);
    }
    if (err == 0 && is_last == 0)
        err = stale(why);
    if (err < 0)
        restore_end(p, plan);
    return err;
}

void restore_end(struct state *p, const struct restore_plan *plan)
{
    ship_reading(p, plan->archive, -1);
}
