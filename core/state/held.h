// SPDX-License-Identifier: Apache-2.0
/*
 * held: bytes that a commit keeps in the table `unsealed`, of contents that found no other place
 * (ENTRY_HELD).
 *
 *     held_load                          at a start, before the log is replayed
 *     held_record ... held_frozen        in a freeze: what the batch has to write
 *     held_write                         in the transaction of its commit
 *
 * Invariant: in what is committed, a row is there exactly for each entry of that kind, and has as
 * many bytes as the entry says. Part of state.h.
 *
 * Errors: 0 or -errno; -ENOMEM leaves all as it was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content;
struct kv_txn;
struct state;

#define HELD_MAX (16u << 20) /* bytes of all of them */

struct held_row {
    uint64_t number;
    struct content *c; /* the content of these bytes, with a reference; NULL: the row is removed */
    uint8_t *data;     /* the bytes, owned; NULL: the row is removed */
    size_t len;
};

/* What one batch changes in the table. */
struct held_list {
    struct held_row *v;
    size_t count, room;
};

/* The rows become contents in buffers. A row that is damaged is reported, and to read its file is
 * -EUCLEAN. -EUCLEAN: the table cannot be read to its end, which is reported. The store must not be
 * opened then: a replay would drop what the log has for the rows that were not read. */
int held_load(struct state *p);
/* The freeze lock is held for writing. Each content that is still in a buffer gets an entry HELD.
 * If these have more than HELD_MAX bytes in all, that is reported, and the result is the error with
 * which one of them could not be sealed. *ret is empty before; the caller releases it, after an
 * error, too. */
int held_record(struct state *p, struct held_list *ret);
/* The batch of *l is frozen, and will be committed. The freeze lock is held for writing. Cannot
 * fail. */
void held_frozen(struct state *p, const struct held_list *l);
/* Puts the rows of *l into the transaction, and deletes those that are to be removed. It needs no
 * lock: *l belongs to its batch, and has copies of the bytes. */
int held_write(const struct held_list *l, struct kv_txn *t);
void held_list_release(struct held_list *l);
/* Has `number` an entry HELD and no content, because its row is damaged or lost? It takes
 * "contents" and "refs", so the caller holds neither. */
bool held_is_damaged(struct state *p, uint64_t number);
/* Makes the row of `number`, of `size` bytes, whose entry was lost, a content again. Nothing
 * happens if there is a content of that number. -EBUSY: there is no such row. The caller holds the
 * freeze lock for writing. content_disown undoes it. */
int held_adopt(struct state *p, uint64_t number, uint64_t size);
