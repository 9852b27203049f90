// SPDX-License-Identifier: Apache-2.0
/*
 * archive_work: random work in a store of which the history goes to an archive: in trees and in
 * files that stay open, on namespaces, with a shard, and upkeep.
 *
 *     work_begin();  work.p = ..., work.rng = ...
 *     work_one() ...
 *     work_let_all_go()       before the store is closed or dies
 *
 * What does not fit to what there is, is refused by the store and does nothing. A failure ends the
 * program. Threads: one.
 */
#pragma once

#include "clock_manual.h"
#include <stdbool.h>
#include <stdint.h>

struct ns;
struct state;
struct vfs_file;

#define WORK_NAMES 6 /* of namespaces */
#define WORK_OPEN 4  /* files that stay open */
extern const char *const work_names[WORK_NAMES];

extern struct archive_work {
    struct state *p;
    struct clock_manual clock;
    uint64_t rng;
    struct vfs_file *open[WORK_OPEN];
    unsigned snapshots; /* that were made */
} work;

/* Makes the bytes of which files are written. */
void work_begin(void);
/* One piece of work, after some time. */
void work_one(void);
/* Some changes of a tree. */
void work_steps(void);

uint64_t work_pick(uint64_t n);
void work_pass(int64_t duration_ns);
/* Writes a line to the control file. False: it was refused. `reply` has 4096 bytes. */
bool work_say(const char *line, char *reply);
bool work_order(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void work_let_all_go(void);
/* A file that is open for writing keeps a drain from waiting for what is in it. */
void work_drain(void);
/* The namespace, with a reference; NULL: there is none. */
struct ns *work_get(const char *name);
const char *work_some_name(void);
