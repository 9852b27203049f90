// SPDX-License-Identifier: Apache-2.0
/*
 * flush_names: the flushes that were named, and up to which change each goes. They are committed
 * with the flush itself, so a name that is listed is of something durable (FORMAT.md, "Meta").
 *
 * The last FLUSH_NAMES_MAX are kept. Threads: the owner guards it.
 */
#pragma once

#include "kv.h"
#include "strbuf.h"

#define FLUSH_LABEL_MAX 255
#define FLUSH_NAMES_MAX 64

struct flush_name {
    uint64_t seq; /* of the last change it has */
    int64_t time; /* ns since the epoch */
    char name[FLUSH_LABEL_MAX + 1];
};
struct flush_names {
    struct flush_name v[FLUSH_NAMES_MAX]; /* the oldest first */
    size_t count;
};

/* The oldest goes where there is no room. */
void flush_names_add(struct flush_names *l, const struct flush_name *n);
/* Nothing there is an empty list; -EUCLEAN: damaged, and empty. */
int flush_names_load(struct kv *kv, struct flush_names *ret);
int flush_names_write(const struct flush_names *l, struct kv_txn *t);
/* "seq=… time=… name=…" a line. */
void flush_names_list(const struct flush_names *l, struct strbuf *out);
