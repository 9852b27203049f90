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
 * Memory: MET_MAX numbers; of more nothing is remembered. Threads: any.
 */
#pragma once

#include "lock.h"
#include "map64.h"
#include <stdbool.h>
#include <stdint.h>

struct state;

#define MET_MAX 256

enum met_kind {
    MET_BYTES, /* its bytes are damaged; an alarm was raised already */
    MET_ROW,   /* the table of objects does not have the number */
};

struct met_of_store {
    struct mutex lock;                   /* "met", a leaf */
    struct map64 known GUARDED_BY(met);  /* number -> serial * 2 + met_kind, when it was met */
    struct map64 place GUARDED_BY(met);  /* number -> the place of its bytes then */
    struct map64 untold GUARDED_BY(met); /* numbers whose files were not reported yet */
    uint64_t serial GUARDED_BY(met);     /* serial of the last number that was met */
    _Atomic bool any;                    /* some number is known */
    bool telling GUARDED_BY(met);        /* the job that reports them runs */
    bool asked;                          /* lost_start.h; of the start alone */
    bool keep;                           /* lost_start.h; of the start alone */
};

/* Notes damage, and begins the job that reports its files. A number that is known already is not
 * reported again. The caller may hold any lock that is not a leaf. */
void met_damage(struct state *p, uint64_t number, enum met_kind kind, uint64_t place);
/* The number was read without an error. If its bytes are at another place now, they were healed,
 * and the damage is forgotten. */
void met_read(struct state *p, uint64_t number, uint64_t place);
/* Notes a number that an item names and the table does not have; returns -EUCLEAN. The item may
 * have been removed between the two looks, so the caller reads it again first. */
int met_lost(struct state *p, uint64_t number);
/* Notes these lost numbers, and raises alarms that name the files of each. It walks trees; the
 * caller holds no lock. */
int met_lost_all(struct state *p, const struct map64 *numbers);
/* A sentence for the status about what is wrong; NULL: nothing. Static text. */
const char *met_trouble(struct state *p);
/* Is a lost row known? */
bool met_has_rows(struct state *p);
/* Everything was looked at since `mark` was taken: forgets what was met before. `rows`: only lost
 * rows are forgotten. */
uint64_t met_mark(struct state *p);
void met_forget(struct state *p, uint64_t mark, bool rows);
/* Done by the job: raises alarms that name the files of what was not reported yet. */
int met_tell(struct state *p);
void met_release(struct state *p);
