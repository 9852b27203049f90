// SPDX-License-Identifier: Apache-2.0
/* store_repair: see the header. */
#include "store_repair.h"
#include "state_config.h"
#include "store.h"

/* Replays the log by opening and closing the store, as a start does. A damaged log is replayed up
 * to the damage. `limit` says up to which change, and gets the change that cannot be made. */
static int replay(struct disk *disk, struct kv *kv, const struct repair_options *o,
                  struct replay_limit *limit)
{
    struct state_config config = {.disk = disk,
                                  .kv = kv,
                                  .clock = o->clock,
                                  .threads = 1,
                                  .pool = o->check.pool,
                                  .accept_log_loss = true,
                                  .limit = limit};
    struct state *p;
    int err = store_open(&config, &p);

    return err < 0 ? err : store_close(p);
}

int store_repair(struct disk *disk, struct kv *kv, const struct repair_options *o,
                 struct repair_result *ret)
{
    return repair_with(disk, kv, o, replay, ret);
}
