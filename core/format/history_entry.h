// SPDX-License-Identifier: Apache-2.0
/*
 * history_entry: one operation on namespaces, as the history has it: the data of an OP_HISTORY, and
 * the value of a row of the table `history` (FORMAT.md, "Namespaces"). Pure codec.
 *
 * What the fields say depends on the kind:
 *
 *     kind                  ns, name                     other, second
 *     CREATE, IMPORT        the new namespace            -
 *     BRANCH                the new namespace            what it was made of, and its label
 *     DROP, UNDROP          the namespace, that name     -
 *     REMOVE                what is deleted              its label, if it was in the trash
 *     RENAME                the namespace, its old name  second: its new name
 *     REPLACE               the same                     what had the new name, and was empty
 *     EXCHANGE              the same                     the one that got the old name
 *     SNAPSHOT, UNSNAPSHOT  the snapshot, its name       what it is a snapshot of
 *     MERGE, COMMIT         what was changed             what was brought in, and its label
 *     DETACH                the branch                   -
 *     IMPORT_INTO           what was changed             -
 */
#pragma once

#include "node.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_kind { /* the numbers are on disk */
                    HISTORY_CREATE = 1,
                    HISTORY_BRANCH,
                    HISTORY_DROP, /* into the trash */
                    HISTORY_REMOVE,
                    HISTORY_UNDROP,
                    HISTORY_RENAME,
                    HISTORY_EXCHANGE,
                    HISTORY_REPLACE,
                    HISTORY_SNAPSHOT,
                    HISTORY_UNSNAPSHOT,
                    HISTORY_MERGE,
                    HISTORY_COMMIT,
                    HISTORY_IMPORT,
                    HISTORY_DETACH,
                    HISTORY_IMPORT_INTO, /* into a namespace that was there: it is a merge */
                    HISTORY_KIND_END,
};

#define HISTORY_COMM_MAX 15                      /* bytes of the name of a process */
#define HISTORY_NAME_MAX (2 * VFS_NAME_MAX + 39) /* bytes of a name or label */

struct history_ns {
    uint32_t number, generation; /* number 0: none */
};
struct history_entry {
    uint64_t seq; /* of the change; in the key of the row, and that of the frame: not encoded */
    int64_t time; /* ns since the epoch */
    enum history_kind kind;
    bool itself; /* the program did it by itself: `uid` and `comm` say nothing */
    uint64_t of; /* the operation that it takes back, or with `again` does again; 0: neither */
    bool again;
    uint32_t uid;                    /* who asked for it */
    char comm[HISTORY_COMM_MAX + 1]; /* with which program; "": not known */
    struct history_ns ns, other;
    char name[HISTORY_NAME_MAX + 1], second[HISTORY_NAME_MAX + 1]; /* "": none */
};

#define HISTORY_ENTRY_HEAD 40 /* bytes before the texts */
#define HISTORY_ENTRY_MAX (HISTORY_ENTRY_HEAD + HISTORY_COMM_MAX + 2 + 2 * HISTORY_NAME_MAX)

/* Returns the length. */
size_t history_entry_encode(const struct history_entry *e, uint8_t out[HISTORY_ENTRY_MAX]);
/* `seq` becomes 0. -EUCLEAN: the bytes are not such an entry; *ret is left untouched. */
int history_entry_decode(const void *data, size_t len, struct history_entry *ret);
static inline bool history_entry_is_merge(const struct history_entry *e)
{
    return e->kind == HISTORY_MERGE || e->kind == HISTORY_COMMIT || e->kind == HISTORY_IMPORT_INTO;
}
/* One word. What the program does by itself has words of its own: `expire`, `purge`. */
const char *history_entry_word(const struct history_entry *e);
