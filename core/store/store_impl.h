// SPDX-License-Identifier: Apache-2.0
/*
 * store_impl: an open store as a whole: the state, and what each room above keeps of it. Private to
 * store.c, and to tests that look inside.
 */
#pragma once

#include "compact_impl.h"
#include "control_of_store.h"
#include "flush_impl.h"
#include "follow_impl.h"
#include "gc_store_impl.h"
#include "job_impl.h"
#include "parked.h"
#include "remote_impl.h"
#include "scrub_impl.h"
#include "ship_impl.h"
#include "state.h"
#include "store.h"
#include "vfs.h"
#include "vfs_ahead.h"

struct store {
    struct state state;
    struct flusher flush;
    struct durable durable;
    struct slots_left slots_left;
    struct jobs jobs;
    struct scrub_of_store scrub;
    struct gc_of_store gc;
    struct compacting compacting;
    struct moving moving;
    struct releasing releasing;
    struct shards_thread shards_thread;
    struct sweep_of_store sweep;
    struct aheads aheads;
    struct imports_of_store imports;
    struct control_of_store control;
    struct ship_of_store ship;
    struct follow_of_store follow;
};
