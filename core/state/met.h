// SPDX-License-Identifier: Apache-2.0
/*
 * met: damage that was met in normal work. Either a read found bytes that are not those that were
 * written, or an item names an object number that the table of objects does not have (a lost row).
 * The store is degraded until a scrub has looked at everything, or a rebuild has put the rows back.
 * A job reports the files that use the damaged object.
 *
 *     met_damage(p, number, MET_BYTES, place);
 *     return met_lost(p, number);
 *
 * Memory: MET_MAX numbers; if there are more, only that is remembered. Threads: any.
 */
#pragma once

#include "lock.h"
#include "map64.h"
#include <stdbool.h>
#include <stdint.h>

struct state;

#define MET_MAX 256

enum met_kind {
    MET_BYTES, /* its bytes; an alarm was raised already */
    MET_ROW,   /* the table of objects does not have it */
};

struct met_of_store {
    struct mutex lock;                   /* "met", a leaf */
    struct map64 known GUARDED_BY(met);  /* number -> when it was met, times 2, plus met_kind */
    struct map64 place GUARDED_BY(met);  /* number -> where its bytes were then */
    struct map64 untold GUARDED_BY(met); /* those of them whose files were not reported yet */
    uint64_t serial GUARDED_BY(met);     /* of the last one met */
    _Atomic bool any;                    /* one is known */
    bool telling GUARDED_BY(met);        /* the job that reports them runs */
    bool more GUARDED_BY(met);           /* there were more than MET_MAX */
    bool asked;                          /* lost_start.h; of the start alone */
    bool keep;                           /* lost_start.h; of the start alone */
};

/* The caller may hold any lock but leaves. A number that is known is not reported again. */
void met_damage(struct state *p, uint64_t number, enum met_kind kind, uint64_t place);
/* It was read without an error: if its bytes are elsewhere now, they were healed, and it is
 * forgotten. */
void met_read(struct state *p, uint64_t number, uint64_t place);
/* A number that an item names, now that the table does not have it: notes it, returns -EUCLEAN.
 * What was named before the table was asked may be gone since; so the item is looked at again
 * first. */
int met_lost(struct state *p, uint64_t number);
/* All of these are lost: noted, and alarms name the files of each. Walks trees: call without locks. */
int met_lost_all(struct state *p, const struct map64 *numbers);
/* What is wrong, for a status; NULL: nothing. Of static storage. */
const char *met_trouble(struct state *p);
/* Is a lost row known? */
bool met_has_rows(struct state *p);
/* How many are known. */
uint64_t met_count(struct state *p);
/* Everything was looked at since `mark` was taken: what was met before it is forgotten. `rows`: of
 * rows only. */
uint64_t met_mark(struct state *p);
void met_forget(struct state *p, uint64_t mark, bool rows);
/* What the job does: it raises alarms that name the files of what was not reported yet. */
int met_tell(struct state *p);
void met_release(struct state *p);
