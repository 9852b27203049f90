// SPDX-License-Identifier: Apache-2.0
/*
 * exposition: the metrics of several mounts as one text in the format of Prometheus. Each line gets
 * the label `mount`, and the lines of a metric stand together, behind its help and its type, as the
 * format demands. Pure.
 *
 *     struct exposition e = EXPOSITION_INIT;
 *     exposition_add(&e, "/mnt/a", text);      // of .tally/metrics
 *     exposition_print(&e, &out);
 *     exposition_release(&e);
 */
#pragma once

#include "strbuf.h"

#include <stdbool.h>
#include <stddef.h>

struct exposition {
    struct exposition_metric *metrics;
    size_t count, room;
    bool failed; /* something is missing, because there was no memory */
};
#define EXPOSITION_INIT                                                                            \
    {                                                                                              \
        0                                                                                          \
    }

/* Adds the text of a mount, and the metric tallyfs_up, which is 1. `text` NULL: its daemon does not
 * answer, and tallyfs_up is 0. */
void exposition_add(struct exposition *e, const char *mnt, const char *text);
/* -ENOMEM, also for what came before. */
int exposition_print(const struct exposition *e, struct strbuf *out);
void exposition_release(struct exposition *e);
