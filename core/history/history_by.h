// SPDX-License-Identifier: Apache-2.0
/*
 * history_by: who asks for the operations that a thread begins, so that the history can say it. The
 * edge says it before it calls a verb; where nobody has, the program does it by itself.
 *
 * Threads: any; each has its own.
 */
#pragma once

#include "history_entry.h"

struct history_by {
    bool known; /* somebody asks; else the next two fields say nothing */
    uint32_t uid;
    char comm[HISTORY_COMM_MAX + 1];
    uint64_t of; /* what the operations take back, or do `again`; 0: nothing */
    bool again;
};

/* From now on this thread works for *by; NULL: for nobody, which is so at first. Returns for whom
 * it worked before. */
struct history_by history_by_set(const struct history_by *by);
struct history_by history_by_get(void);
/* Sets the fields of an entry that say who asks, and what the entry takes back unless it says that
 * itself. */
void history_by_sign(struct history_entry *e);
