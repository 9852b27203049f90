// SPDX-License-Identifier: Apache-2.0
/*
 * sample: what the requests of a mount have cost while the command `profile` recorded them
 * (CONTROL.md), for the screens of `tally profile` and `tally top`.
 *
 *     struct sample s = SAMPLE_INIT;
 *     sample_take(mnt, 1000, &s, &why);               // records for a second
 *     sample_take(mnt, 1000, &s, &why);               // and for another one
 *     sample_group(&s, SAMPLE_BY_PROGRAM, &groups);   // the dearest first
 */
#pragma once

#include "histogram.h"
#include "strbuf.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sample_row {
    char *program, *ns, *op;
    int pid; /* 0: several processes of that program */
    uint64_t max_us;
    struct histogram took;
};

struct sample {
    struct sample_row *rows;
    size_t count, room;
    uint64_t ms; /* for how long it was recorded */
};
#define SAMPLE_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

/* Records for `ms` at the mount at `mnt`, and adds that to *s. 0, or -errno with a sentence in
 * *why, and *s is as it was. */
int sample_take(const char *mnt, unsigned ms, struct sample *s, struct strbuf *why);
/* Adds a reply of `profile`: its first line without "ok", and the others. -ENOMEM, or -EPROTO: it
 * is of another form. */
int sample_add_reply(struct sample *s, const char *head, const char *body);
void sample_release(struct sample *s);

enum sample_by { SAMPLE_BY_OP, SAMPLE_BY_NS, SAMPLE_BY_PROGRAM };

/* All rows that have one of the three texts in common. */
struct sample_group {
    const char *name; /* borrowed from the sample */
    int pid;          /* as in a row */
    uint64_t max_us;
    struct histogram took;
};

/* The groups, the dearest first. The caller frees *ret. Returns how many, or -ENOMEM. */
ssize_t sample_group(const struct sample *s, enum sample_by by, struct sample_group **ret);
/* histogram_quantile(), but never longer than the longest one. */
uint64_t sample_quantile(const struct histogram *took, uint64_t max_us, double share);
uint64_t sample_requests(const struct sample *s);
