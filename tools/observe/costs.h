// SPDX-License-Identifier: Apache-2.0
/*
 * costs: what the requests of a mount have cost while the command `profile` recorded them
 * (CONTROL.md), for the screens of `tally profile` and `tally top`.
 *
 *     struct costs s = COSTS_INIT;
 *     costs_take(mnt, 1000, &s, &why);               // records for a second
 *     costs_take(mnt, 1000, &s, &why);               // and for another one
 *     costs_group(&s, COSTS_BY_PROGRAM, &groups);   // the dearest first
 */
#pragma once

#include "histogram.h"
#include "strbuf.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct costs_row {
    char *program, *ns, *op;
    int pid; /* 0: several processes of that program */
    uint64_t max_us;
    struct histogram took;
};

struct costs {
    struct costs_row *rows;
    size_t count, room;
    uint64_t ms; /* for how long it was recorded */
};
#define COSTS_INIT                                                                                 \
    {                                                                                              \
        0                                                                                          \
    }

/* Records for `ms` at the mount at `mnt`, and adds that to *s. 0, or -errno with a sentence in
 * *why, and *s is as it was. */
int costs_take(const char *mnt, unsigned ms, struct costs *s, struct strbuf *why);
/* Adds a reply of `profile`: its first line without "ok", and the others. -ENOMEM, or -EPROTO: it
 * is of another form. */
int costs_add_reply(struct costs *s, const char *head, const char *body);
void costs_release(struct costs *s);

enum costs_by { COSTS_BY_OP, COSTS_BY_NS, COSTS_BY_PROGRAM };

/* All rows that have one of the three texts in common. */
struct costs_group {
    const char *name; /* borrowed from the costs */
    int pid;          /* as in a row */
    uint64_t max_us;
    struct histogram took;
};

/* The groups, the dearest first. The caller frees *ret. Returns how many, or -ENOMEM. */
ssize_t costs_group(const struct costs *s, enum costs_by by, struct costs_group **ret);
/* histogram_quantile(), but never longer than the longest one. */
uint64_t costs_quantile(const struct histogram *took, uint64_t max_us, double share);
uint64_t costs_requests(const struct costs *s);
