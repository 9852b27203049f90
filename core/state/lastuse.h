// SPDX-License-Identifier: Apache-2.0
/* lastuse: the day on which an object or a file was last opened. */
#pragma once

#include "item.h"
#include "lock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

/* What was opened today and is to be written to the entries (lastuse.c). */
#define LASTUSE_SEEN 8192
struct lastuse {
    struct mutex lock;                /* "lastuse": a leaf */
    uint16_t day GUARDED_BY(lastuse); /* the day of `seen` */
    uint64_t seen[LASTUSE_SEEN] GUARDED_BY(lastuse);
    struct lastuse_note {
        uint64_t key; /* an object's number, or the nodeid of a file in pieces */
        bool inode;
    } * v GUARDED_BY(lastuse);
    size_t count GUARDED_BY(lastuse);
    size_t room GUARDED_BY(lastuse);
};

/* Notes that a file with this inode was opened. It never waits and reads nothing. */
void lastuse_note_open(struct state *p, uint64_t nodeid, const struct inode *in);
void lastuse_note_object(struct state *p, uint64_t number);
/* Writes the noted days into the entries. Called before a flush; the caller holds no lock. */
void lastuse_apply(struct state *p);
void lastuse_release(struct state *p);
