// SPDX-License-Identifier: Apache-2.0
/*
 * blame: what could not be made durable, and why. The code that makes a flush fail notes it here.
 * The drain, the unmount or whatever else waits for the flush puts the note into its error. The
 * note stays until a commit, or a pass over the slots, succeeds. In a store that turned read-only
 * it stays for ever; where there is none, the reason of the read-only store stands for it.
 *
 *     blame_note(p, BLAME_FLUSH, err, number, "content %llu cannot be sealed", number);
 *     blame_describe(p, err, &out);
 *         "content 17 cannot be sealed (Input/output error); it is used by main/dir/file; nothing
 *         is lost, and it is tried again"
 *
 * Threads: any. Notes are guarded by the leaf lock "blame". blame_describe walks trees to name the
 * files, so its caller holds no lock.
 */
#pragma once

#include "lock.h"
#include <stdbool.h>
#include <stdint.h>

struct state;
struct strbuf;

enum blame_kind {
    BLAME_FLUSH, /* it keeps every commit from being made */
    BLAME_SLOT,  /* a slot could not be sealed, and stays a slot */
    BLAME_KINDS,
};

#define BLAME_TEXT 160

struct blame {
    char text[BLAME_TEXT]; /* empty: there is no note */
    uint64_t number;       /* number of the content, or 0 */
    int err;
};

struct blames {
    struct mutex lock; /* "blame", a leaf: guards `of` */
    struct blame of[BLAME_KINDS] GUARDED_BY(blame);
};

/* Notes a failure. If there is a note of that kind already, it stays: a first failure causes
 * others. */
void blame_note(struct state *p, enum blame_kind kind, int err, uint64_t number, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));
void blame_clear(struct state *p, enum blame_kind kind);
/* Is there a note of any kind, or the reason of a read-only store? */
bool blame_is_noted(struct state *p);
/* Call it after an fsync, or after a sync of the machine, with its result. A failure raises an
 * alarm that says what could not be made durable; further failures raise none until a sync has
 * succeeded. The caller holds no lock. */
void blame_sync(struct state *p, int err);
/* After an error of a flush or a drain: appends a sentence about what could not be made durable,
 * and why. It walks trees; the caller holds no lock. */
void blame_describe(struct state *p, int err, struct strbuf *out);
