// SPDX-License-Identifier: Apache-2.0
/*
 * blame: what could not be made durable, and why. The code that makes a flush fail notes it here; a
 * drain or an unmount that fails puts it into its error. The note stays until a commit, or a pass
 * over the slots, succeeds.
 *
 *     blame_note(p, BLAME_FLUSH, err, number, "content %llu cannot be sealed", number);
 *     project_describe_failure(p, err, &out);
 *         "content 17 cannot be sealed (Input/output error); it is used by main/dir/file; nothing
 *         is lost, and it is tried again"
 *
 * Threads: any. Notes are guarded by the leaf lock "flush". project_describe_failure (project.h)
 * walks trees to name the files, so its caller holds no lock.
 */
#pragma once

#include <stdint.h>

struct project;
struct strbuf;

enum blame_kind {
    BLAME_FLUSH, /* it keeps every commit from being made */
    BLAME_SLOT,  /* a slot could not be sealed, and stays a slot */
    BLAME_KINDS,
};

#define BLAME_TEXT 160

struct blame {
    char text[BLAME_TEXT]; /* empty: nobody */
    uint64_t number;       /* of the content, or 0 */
    int err;
};

/* If there is a note of that kind, it stays: a first failure causes others. */
void blame_note(struct project *p, enum blame_kind kind, int err, uint64_t number, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));
void blame_clear(struct project *p, enum blame_kind kind);
