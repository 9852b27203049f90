// SPDX-License-Identifier: Apache-2.0
/*
 * restore_pin: what a restore needs is not given up before it is done, nor afterwards, since its
 * files are ghosts. Where the store is the writer, its own prune sees the ghosts, and waits for
 * restores that run. Elsewhere, also where another one has become the writer, a pin says so: archive_catalogue.h says why that is enough.
 */
#include "restore_pin.h"

#include "archive_catalogue.h"
#include "archive_pins.h"
#include "report.h"
#include "shards.h"
#include "ship.h"
#include "state.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

void restore_pin_init(struct state *p, uint32_t lineage, struct archive_pin *ret)
{
    *ret = (struct archive_pin){.lineage = lineage, .time = now(p)};
    store_id_of(p->id_key.secret, p->created, p->shared ? p->shared->node : 0, ret->store);
    (void)gethostname(ret->who, sizeof ret->who - 1);
    if (!text_is_printable(ret->who))
        ret->who[0] = '\0';
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
        return err;
    is_last = archive_catalogue_is_last(s, pin->lineage, catalogue);
    if (is_last == 1)
        return 1;
    err = archive_pin_end(s, pin->token);
    return is_last < 0 ? is_last : err < 0 ? err : -ESTALE;
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

    if (err < 0 || (ship_is_writer(p, plan->archive) && info.lineage == plan->lineage))
        return err;
    err = shards_get(p->shards, plan->archive, SHARDS_READ, &s, NULL);
    if (err < 0)
        return err;
    restore_pin_init(p, plan->lineage, &pin);
    pin.at = plan->at;
    pinned = restore_pin_put(s, &pin, plan->catalogue);
    if (pinned != -ESTALE && pinned < 0)
        pinned = shards_said(p->shards, plan->archive, pinned);
    shards_put_back(p->shards, plan->archive);
    plan->pinned = pinned == 1;
    return pinned == -ESTALE ? stale(why) : pinned < 0 ? pinned : 0;
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
