// SPDX-License-Identifier: Apache-2.0
/*
 * blame: what could not be made durable, and why, for who asks after it failed: a drain, an
 * unmount. Whoever fails a flush notes it; it stands until a commit, or a pass over the slots, went
 * well.
 *
 *     blame_note(p, BLAME_FLUSH, err, number, "content %llu cannot be sealed", number);
 *     project_describe_failure(p, err, &out);
 *         "content 17 cannot be sealed (Input/output error); it is used by main/dir/file; nothing
 *         is lost, and it is tried again"
 *
 * Threads: any; a leaf ("flush"), but project_describe_failure (project.h), which walks trees to
 * name the files: holding nothing.
 */
#pragma once

#include <stdint.h>

struct project;
struct strbuf;

enum blame_kind {
    BLAME_FLUSH, /* no commit without it */
    BLAME_SLOT,  /* a slot that stays one */
    BLAME_KINDS,
};

#define BLAME_TEXT 160

struct blame {
    char text[BLAME_TEXT]; /* empty: nobody */
    uint64_t number;       /* of the content, or 0 */
    int err;
};

/* The first one stays, where one reason has others in its wake. */
void blame_note(struct project *p, enum blame_kind kind, int err, uint64_t number, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));
void blame_clear(struct project *p, enum blame_kind kind);
