// SPDX-License-Identifier: Apache-2.0
/* touch: the day on which an object or a file was last opened. */
#pragma once

#include "item.h"
#include "lock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

/* What was opened today and is to be remembered (lastuse.c). */
#define LASTUSE_SEEN 8192
struct lastuse {
    struct mutex lock;                /* "lastuse": a leaf */
    uint16_t day GUARDED_BY(lastuse); /* of `seen` */
    uint64_t seen[LASTUSE_SEEN] GUARDED_BY(lastuse);
    struct lastuse_note {
        uint64_t key; /* an object's number, or the nodeid of a file in pieces */
        bool inode;
    } * v GUARDED_BY(lastuse);
    size_t count GUARDED_BY(lastuse);
    size_t room GUARDED_BY(lastuse);
};

/* A file with this inode was opened. Never waits, and nothing is read for it. */
void lastuse_note_open(struct state *p, uint64_t nodeid, const struct inode *in);
void lastuse_note_object(struct state *p, uint64_t number);
/* The day goes into the entries: before a flush, holding nothing. */
void lastuse_apply(struct state *p);
void lastuse_release(struct state *p);
/* Days since 1970 by the store's clock; at least 1: 0 is unknown. */
uint16_t lastuse_today(struct state *p);
