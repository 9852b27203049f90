// SPDX-License-Identifier: Apache-2.0
/* store_repair: a repair (repair.h) that replays the log by opening the store. */
#pragma once

#include "repair.h"

/* As repair_with, with a replay that opens and closes the store. It accepts that a part of the log
 * is lost. */
int store_repair(struct disk *disk, struct kv *kv, const struct repair_options *o,
                 struct repair_result *ret);
