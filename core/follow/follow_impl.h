// SPDX-License-Identifier: Apache-2.0
/* follow_impl: what the follow*.c files share. */
#pragma once

#include "archive_pins.h"
#include "archive_read.h"
#include "catalogue.h"
#include "chain.h"
#include "follow.h"
#include "lock.h"
#include "merge_take.h"
#include "ns_followed.h"
#include "state.h"
#include <pthread.h>

/* A namespace, as the archive has it. */
struct followed {
    struct ns *ns; /* referenced */
    struct ns_followed note;
};

struct follow_of_store {
    struct mutex lock; /* "follow": the rest, but for what is below */
    bool on;           /* the store follows an archive */
    uint16_t archive;
    uint32_t lineage;
    bool known;             /* `v`, `at` and `pos` are read from the records */
    struct segment_pos at;  /* the last segment that was applied; none: none */
    struct segment_pos pos; /* behind it, and perhaps behind ends of epochs */
    uint64_t seq;           /* of that segment, and its time */
    int64_t time;
    struct followed *v;
    size_t count, room;
    uint64_t looks;     /* that found nothing, since something was applied */
    struct chain chain; /* of a take-over that was begun */
    bool failed;        /* why the step failed has been noted */

    struct catalogue kept; /* the last one that was read; number 0: none */
    /* Behind `pos` nothing stood then, or `kept` was the last catalogue then; 0: nobody knows. */
    int64_t sure;
    struct archive_pins pins; /* that this store has put for the lineage, valid if `pins_known` */
    bool pins_known;
    bool unpinned;      /* it has no right to put one */
    int64_t pin_failed; /* when none could be put; 0: the last one was */

    struct mutex stats_lock; /* "follow stats", a leaf: the rest */
    struct cond wake;
    struct follow_stats stats;
    unsigned failures; /* in a row */
    bool stop;
    pthread_t thread;
    bool has_thread;
};

/* What becomes of one namespace. */
struct follow_change {
    struct segment_section section; /* of it, or of its end */
    struct segment_pos at;          /* the segment that has that */
    struct ns *ns;                  /* borrowed; NULL: it is new */
    struct ns *draft; /* what it becomes, referenced; NULL: it goes, or only its record changes */
    struct ns *aside; /* borrowed: the draft takes the place of this one, which goes; or NULL */
    bool takes;
    struct merge_take take; /* valid if `takes` */
    char *name;             /* the new one, owned; NULL: it stays */
};
/* All that becomes of the namespaces of the store with one segment. */
struct follow_changes {
    struct follow_change *v;
    size_t count, room;
    struct segment_pos at;
    uint64_t seq;
    int64_t time;
    uint64_t items;
};

/* ---- follow.c ---- */

/* Notes why the step failed, as a sentence, and returns `err`. Of one step the first one stays. */
int follow_fail(struct state *p, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Applies what there is. Needs "follow". */
int follow_all(struct state *p);
/* The namespace of that number in the writer; NULL: there is none. */
struct followed *follow_find(struct follow_of_store *f, uint32_t number);
int follow_put(struct state *p, struct ns *ns, const struct ns_followed *note);
void follow_remove(struct state *p, uint32_t number);
void follow_forget(struct state *p); /* it is read from the records again */
/* It is no follower any more. */
void follow_end(struct state *p);

/* ---- follow_next.c ---- */

/* Applies the segment behind f->pos. -ENOENT: there is none; -ESTALE: it does not follow on what is
 * here. */
int follow_next(struct state *p, struct shard *shard);
/* Restores what differs from what the last segment has. 1, or 0: there is nothing new. */
int follow_afresh(struct state *p, struct shard *shard);
/* The same after follow_next found nothing. A segment that has come since is applied as any. */
int follow_look(struct state *p, struct shard *shard);

/* ---- follow_keep.c ---- */

/* Was `sure` less than `duration` ns ago? */
bool follow_is_sure(struct state *p, int64_t duration);
/* Are the contents of a segment that is there still there? 1; 0: they may be given up. */
int follow_is_kept(struct state *p, struct shard *shard, struct segment_pos at);
/* Has the archive keep the state `at`, which the store is about to become. An error does not
 * matter. */
void follow_pin_ahead(struct state *p, struct shard *shard, struct segment_pos at);
/* Has the archive keep what the store is, if that is due or the store stops to follow. Ends earlier
 * pins. */
void follow_pin(struct state *p, struct shard *shard, bool stops);
/* The store has taken over: it needs no pin any more. */
void follow_unpin(struct state *p);
void follow_keep_release(struct follow_of_store *f);

/* ---- follow_draft.c ---- */

/* Makes the draft of a change from its section of the segment. `from`: the namespace whose instant
 * the section is the difference to; NULL: an empty tree. */
int follow_draft(struct state *p, struct shard *shard, const struct archive_segment *g,
                 const struct followed *from, struct follow_change *c);
/* Makes it by a restore. */
int follow_draft_afresh(struct state *p, struct follow_change *c);

/* ---- follow_apply.c ---- */

struct follow_change *follow_change_add(struct follow_changes *c); /* NULL: no memory */
int follow_apply(struct state *p, struct follow_changes *c);
void follow_changes_release(struct state *p, struct follow_changes *c);
