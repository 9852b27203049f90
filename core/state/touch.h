// SPDX-License-Identifier: Apache-2.0
/* touch: the day on which an object or a file was last opened. */
#pragma once

#include "item.h"
#include "lock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

/* What was opened today and is to be remembered (touch.c). */
#define TOUCH_SEEN 8192
struct touches {
    struct mutex lock;                /* "touches": a leaf */
    uint16_t day GUARDED_BY(touches); /* of `seen` */
    uint64_t seen[TOUCH_SEEN] GUARDED_BY(touches);
    struct touched {
        uint64_t key; /* an object's number, or the nodeid of a file in pieces */
        bool inode;
    } * v GUARDED_BY(touches);
    size_t count GUARDED_BY(touches);
    size_t room GUARDED_BY(touches);
};

/* A file with this inode was opened. Never waits, and nothing is read for it. */
void touch_opened(struct state *p, uint64_t nodeid, const struct inode *in);
void touch_object(struct state *p, uint64_t number);
/* The day goes into the entries: before a flush, holding nothing. */
void touches_apply(struct state *p);
void touches_release(struct state *p);
/* Days since 1970 by the store's clock; at least 1: 0 is unknown. */
uint16_t touch_today(struct state *p);
