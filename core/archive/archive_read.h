// SPDX-License-Identifier: Apache-2.0
/*
 * archive_read: segments of a lineage as they are read back: checked, and with what they say of the
 * namespaces that there were.
 *
 *     archive_read_format(shard, &format)           which archive it is
 *     archive_read(shard, lineage, at, &s)          one segment
 *     archive_names(shard, lineage, at, &names)     which namespaces were in the root then
 *     archive_items(shard, &s, section, fn, ctx)    the items of one section, in order
 *
 * Nothing that is read is trusted: a segment says itself which one it is, and its bytes and those
 * of its items have sums.
 *
 * Threads: any. Errors: 0 or -errno: -ENOENT; -EUCLEAN: what is there is damaged, or of another
 * place; -EPROTO: of a newer version; those of the shard.
 */
#pragma once

#include "archive_text.h"
#include "segment.h"
#include "shard.h"

/* Which archive is there. -ENOENT: none is. */
int archive_read_format(struct shard *s, struct archive_format *ret);

/* What a lineage is. -ENOENT: there is no such one. */
int archive_read_lineage(struct shard *s, uint32_t number, struct archive_lineage *ret);

/* The first lineage with a number below `below` of a store that has taken over from `lineage`,
 * other than the store `but` (NULL: any). 0: there is none. One that cannot be read is none. */
int archive_successor(struct shard *s, uint32_t lineage, const uint8_t *but, uint32_t below,
                      uint32_t *ret);

struct archive_segment {
    struct segment_front front;
    uint8_t *bytes; /* all of it; owned */
    size_t len;
    size_t items_at;         /* where the items begin, unless there is a body */
    uint8_t sum[SHA256_LEN]; /* of all bytes */
};

int archive_read(struct shard *s, uint32_t lineage, struct segment_pos at,
                 struct archive_segment *ret);
/* Reads the segment behind *pos, and moves *pos there (chain_next). */
int archive_read_next(struct shard *s, uint32_t lineage, struct segment_pos *pos,
                      struct archive_segment *ret);
void archive_segment_release(struct archive_segment *g); /* a second call is fine */

struct archive_names {
    struct segment_name *v; /* by number */
    size_t count, room;
};
#define ARCHIVE_NAMES_INIT                                                                         \
    {                                                                                              \
        0                                                                                          \
    }

/* Which namespaces were in the root when the segment `at` was made. It reads segments backwards, to
 * the last one that has the list. The caller releases *ret, also after an error. */
int archive_names(struct shard *s, uint32_t lineage, struct segment_pos at,
                  struct archive_names *ret);
/* The namespace that had that name; NULL: there was none. */
const struct segment_name *archive_name_find(const struct archive_names *n, const char *name);
void archive_names_release(struct archive_names *n);

typedef int archive_item_fn(const struct segment_item *item, void *ctx);
/* Calls `fn` for each item of a section of the segment. A result other than 0 ends it and is
 * returned. If the items are in a body all of it is read, and -EUCLEAN may come after items of it
 * were given. */
int archive_items(struct shard *s, const struct archive_segment *g,
                  const struct segment_section *section, archive_item_fn *fn, void *ctx);
/* Those of all its sections, which reads a body once. */
int archive_all_items(struct shard *s, const struct archive_segment *g, archive_item_fn *fn,
                      void *ctx);
