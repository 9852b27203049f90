// SPDX-License-Identifier: Apache-2.0
/*
 * flush_names: the flushes that were named, each with the number of the last change that it has.
 * The list is written in the commit of the flush itself, so each name in the committed list stands
 * for a durable state (FORMAT.md, "Meta").
 *
 * The last FLUSH_NAMES_MAX names are kept. Threads: the owner of the list guards it.
 */
#pragma once

#include "kv.h"
#include "strbuf.h"

#define FLUSH_LABEL_MAX 255
#define FLUSH_NAMES_MAX 64
#define FLUSH_NAMES_SEED 4 /* of the checksum: each record of the table has its own */

struct flush_name {
    uint64_t seq; /* number of the last change that the flush has */
    int64_t time; /* ns since the epoch */
    char name[FLUSH_LABEL_MAX + 1];
};
struct flush_names {
    struct flush_name v[FLUSH_NAMES_MAX]; /* the oldest first */
    size_t count;
};

/* Appends a copy of *n. A full list loses its oldest name. */
void flush_names_add(struct flush_names *l, const struct flush_name *n);
/* Reads the list from the tables. A missing record reads as an empty list. -EUCLEAN: the record is
 * damaged; -ENOMEM, -EIO. After an error the list is empty. */
int flush_names_load(struct kv *kv, struct flush_names *ret);
/* Puts the whole list into the transaction of the caller, who commits it. */
int flush_names_write(const struct flush_names *l, struct kv_txn *t);
/* Appends one line per name: "seq=… time=… name=…". */
void flush_names_list(const struct flush_names *l, struct strbuf *out);
