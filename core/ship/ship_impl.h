// SPDX-License-Identifier: Apache-2.0
/*
 * ship_impl: what the ship*.c files share.
 *
 * A *stream* is what goes to one archive. All but its `stats` belongs to the thread that holds
 * stream.lock for a round.
 */
#pragma once

#include "archived.h"
#include "catalogue.h"
#include "chain.h"
#include "items_file.h"
#include "lock.h"
#include "ns_point.h"
#include "map64.h"
#include "ship.h"
#include "state.h"
#include "tree_item.h"
#include <pthread.h>

#define SHIP_JUMPS 2

/* Items whose contents the archive does not have. */
struct lost_item {
    struct key key;
    uint64_t object; /* no alias */
    bool made_up;    /* it has no id (tree_item.h) */
};
struct lost_items {
    struct lost_item *v; /* owned */
    size_t count, room;
};

/* What becomes a section that leads further back (ship_jump.c). */
struct ship_jump {
    struct strbuf items;         /* of the sections that it spans */
    uint64_t count;              /* of these items */
    unsigned sections;           /* that it spans */
    uint64_t steps_from;         /* `steps` of the entry where it leads to */
    bool full;                   /* there were too many items: none are kept, up to its end */
    struct segment_instant from; /* where it leads to; set with its first section */
    struct segment_pos from_at;
};

/* A namespace in a stream. */
struct shipped {
    uint32_t number, generation;
    struct ns *was;       /* the point that the archive has; NULL: none. Referenced */
    struct ns_point note; /* of `was` */
    struct ns *is;        /* the point that is just being shipped; NULL: none. Referenced */
    bool gone;            /* it has left the root, which is just being shipped */
    /* of `is`, or of what is gone; else the last one that was shipped, or its instant and name */
    struct segment_section section;
    struct lost_items lost;   /* of `was`; unless `unlooked` */
    struct lost_items losing; /* of `is`, once its items are gathered */
    /* After a mount: the archive lacks contents of `was`, and it is not known which. */
    bool unlooked;
    /* It has some of them by now, or rows were dropped (ship_join.c): the namespace is shipped also
     * if it did not change. */
    bool again;
    /* The next section begins with an empty tree: the items that the archive lacks are not known,
     * or have other ids by now; or rows were dropped. */
    bool whole;
    bool made_up;               /* `losing` has objects without an id */
    uint64_t items, steps, all; /* of `is`, as in its note */
    uint64_t held; /* bytes that its points alone held at the last look (ship_backlog.c) */
    struct ship_jump jump[SHIP_JUMPS];
};

struct stream {
    struct state *p;
    uint16_t archive;  /* fixed */
    struct mutex lock; /* "ship": one round at a time */
    uint32_t lineage;
    bool joined, refused;
    bool gap;        /* an instant that the archive has is not held here (shards_note_gap) */
    bool gap_due;    /* that is so, and could not be noted yet */
    uint32_t unseen; /* a catalogue that is noted as seen once all is shipped as a whole; 0: none */
    uint32_t begun;  /* the last catalogue whose deletion this mount has begun, or gone on with */
    struct chain chain;
    struct shipped *v; /* by number of the namespace */
    size_t count, room;
    size_t jump_bytes;     /* that are kept for jumps */
    bool names_changed;    /* the next segment has the names */
    uint64_t since_names;  /* segments since the last one that had them */
    struct segment_pos at; /* the last segment */
    uint8_t at_sum[32];    /* its SHA-256 */
    int64_t at_time;
    bool deferred;    /* something was left to the next cut of this round */
    uint64_t cut_seq; /* number of the last change, and time, of the last cut */
    int64_t cut_time;
    uint64_t looked; /* number of the store's last change when nothing was left to be shipped */
    struct ship_segment *made; /* the segment that is to be put; NULL: none. Owned */
    bool unnoted;              /* it was put, and the points are not noted yet */
    bool failed;               /* why the round failed has been noted */
    int64_t weighed;           /* when its points were weighed; 0: not since it was behind */
    struct map64 lost;         /* objects that could not be read, or sealed, for what is cut */
    struct map64 told;         /* objects that people were told of */
    uint64_t untold;           /* more of them in this segment */
    bool away;                 /* bytes on a shard that cannot be asked are waited for, */
    int64_t away_since;        /* since then (ticks) */
    bool has_put; /* contents were put since it was looked whether some were lost before */
    int64_t retry_at, retry; /* when the lost ones are read again (ticks), and how long after that;
                              * 0: there are none */

    struct mutex stats_lock; /* "ship stats", a leaf: the rest */
    struct cond wake, advanced;
    struct ship_stats stats;
    bool kicked, stop, last;
    unsigned holders;  /* those who wait for `lock`, or hold it, without the list (ship_hold.h) */
    unsigned failures; /* rounds in a row that failed */
    pthread_t thread;
    bool has_thread;
};

struct ship_of_store {
    struct mutex change; /* "ship change": one change of the archives at a time */
    struct rwlock lock;  /* "ship list": which streams there are */
    struct stream *v[SHIP_MAX];
    size_t count;
    _Atomic bool any;                         /* `count` is not 0 */
    bool running;                             /* streams have threads */
    _Atomic uint16_t readers[UINT16_MAX + 1]; /* restores that run, by number of the archive */
};

/* ---- ship.c ---- */

/* Notes why a round failed, as a sentence, and returns `err`. Of one round the first sentence
 * stays. */
int ship_fail(struct stream *s, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The stream gets nothing more. Returns -EKEYREVOKED. */
int ship_refuse(struct stream *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool ship_is_ending(struct stream *s);
bool ship_has_any(struct state *p); /* has the store an archive that it ships to? */
/* The archive, for requests of this round; given back with its result, which is returned as what it
 * means (shards_said). */
int ship_begin_asking(struct stream *s, struct shard **ret);
int ship_end_asking(struct stream *s, int err);

/* Streams are made, started and taken out by who holds the lock "ship list" for writing. */
struct shards_info;
int ship_make_stream(struct state *p, const struct shards_info *info, struct stream **ret);
int ship_run_stream(struct state *p, struct stream *s);
struct stream *ship_take_stream(struct state *p, uint16_t number); /* NULL: there is none */
/* Ends one that was taken out; without the lock. */
void ship_end_stream(struct stream *s, bool last);
struct stream *ship_stream(struct state *p, uint16_t number); /* NULL: there is none */

/* ---- ship_add.c ---- */

/* Puts a new lineage of the store under the next free number. */
int ship_begin_lineage(struct state *p, struct shard *shard, struct archive_lineage *l);
/* The archive is among the shards, and the store ships there: begins that. With "ship list". */
int ship_begin_stream(struct state *p, uint16_t number);
/* Forgets what the parent of a lineage has given up, after the pin or the text of the lineage is
 * there: a prune of the parent that looks later knows what is needed (prune/prune.h). `info`: of
 * the archive, before it has the new lineage. */
struct shards_info;
int ship_honour_parent(struct state *p, uint16_t number, const struct shards_info *info,
                       char why[SHARD_WHY]);
/* One round, by who holds the lock of the stream. */
int ship_round_held(struct stream *s);

/* ---- ship_hold.c ---- */

/* What a store must do with the catalogues of a lineage. */
struct honour {
    uint32_t lineage;
    uint32_t seen;         /* the last one that the store has noted */
    struct catalogue last; /* the last one that there is; number 0: there is none */
    bool unreadable;       /* it has no more than its number */
    uint32_t from;   /* rows are dropped of what these give up, from this one on; 0: of none */
    bool distrusted; /* all rows are dropped */
};

/* Returns 1: rows are to be dropped, 0: none; or -errno, and then there is nothing to release. */
int ship_honour_look(struct state *p, uint16_t archive, uint32_t lineage, uint32_t seen,
                     struct shard *shard, struct honour *ret);
void ship_honour_release(struct honour *h);
/* Drops the rows, durably. Until the caller notes the last catalogue as seen (shards_note_seen) the
 * next look says that rows are to be dropped. *ret_oldest, which may be NULL, gets the time of the
 * oldest state that can be restored. It releases `h` in any case. */
int ship_honour(struct state *p, uint16_t archive, struct honour *h, struct shard *shard,
                int64_t *ret_oldest);

/* ---- ship_join.c ---- */

/* Who claims, with a new token. */
int ship_fill_who(struct state *p, struct archive_claim *ret);

/* Claims an epoch, and finds the points that the archive has. -EKEYREVOKED: refused. */
int ship_join(struct stream *s);
/* Has another writer claimed an epoch behind ours? 1, 0 or -errno. */
int ship_is_claimed(struct stream *s, struct shard *shard);
/* Goes on in a new epoch. If that cannot be done, or another one was between, the stream is not
 * joined afterwards. */
void ship_next_epoch(struct stream *s);
/* Notes s->unseen, once no namespace is to be shipped as a whole any more. After an error the next
 * mount ships all as a whole again. */
void ship_note_seen(struct stream *s);
/* Lets go all that the stream knows of its namespaces. */
void ship_forget(struct stream *s);

/* ---- ship_cut.c ---- */

/* Makes the points of the next segment. What was cut before is shipped by then. */
int ship_cut(struct stream *s);
/* Forgets points that are not there any more. */
void ship_drop_dead(struct stream *s);
bool ship_has_cut(const struct stream *s); /* is something cut, and not shipped? */
/* The segment is in the archive: the new points have it, and those before go. After an error it is
 * called again. */
int ship_note(struct stream *s);
/* The namespace of that number; NULL: the archive does not have it. */
struct shipped *ship_entry(struct stream *s, uint32_t number);
int ship_add_entry(struct stream *s, uint32_t number, struct shipped **ret);

/* ---- ship_backlog.c ---- */

/* After a round that failed: notes what the points hold, and keeps the bound of that. */
void ship_bound_backlog(struct stream *s);
void ship_end_backlog(struct stream *s); /* after a round that did not fail */

/* ---- ship_gather.c ---- */

/* Puts what the archive lacks of the contents of the new points. */
int ship_contents(struct stream *s);
/* Adds the items of an entry to `out`, and fills its section. */
int ship_gather(struct stream *s, struct shipped *e, struct items_file *out);

/* ---- ship_jump.c ---- */

void ship_jumps_init(struct shipped *e);
void ship_jumps_forget(struct stream *s, struct shipped *e);
/* The items of e->section come now, `steps` sections from one that has all; each of them; and then
 * the sections that are due. After an error the caller forgets them. */
void ship_jumps_begin(struct stream *s, struct shipped *e, uint64_t steps);
void ship_jumps_add(struct stream *s, struct shipped *e, const void *item, size_t len);
int ship_jumps_take(struct stream *s, struct shipped *e, struct items_file *out,
                    struct segment_section ret[SHIP_JUMPS], unsigned *ret_count);

/* ---- ship_contents.c ---- */

/* Puts the bytes of these objects, unless the archive has them. Those that cannot be read are in
 * s->lost afterwards. */
int ship_objects(struct stream *s, const uint64_t *numbers, size_t count);
/* Tries that once more with objects that were lost. Those that still are stay so. */
int ship_objects_again(struct stream *s, const uint64_t *numbers, size_t count);
/* Does the error of reading an object say that its bytes are lost, as far as this store knows? All
 * others are no fault of the object. */
bool ship_is_loss(int err);
/* Has the archive the bytes of an object, which has that entry? 1: their place is in *ret; 0 or
 * -errno. */
int ship_has(struct stream *s, uint64_t number, const struct entry *e, struct segment_content *ret);
/* The place of the bytes of an object in an item that is shipped now; none if they are lost.
 * -ENOENT: they were not put. */
int ship_place(struct stream *s, uint64_t number, const struct entry *e,
               struct segment_content *ret);

/* ---- ship_lost.c ---- */

/* Looks what the archive lacks after a mount, tries to read that again when it is due, and marks
 * the namespaces of which it has something by now (`again`). */
int ship_retry_lost(struct stream *s);
bool ship_retry_is_due(struct stream *s);
/* An item of e->is is shipped without its content. */
int ship_note_lost(struct stream *s, struct shipped *e, struct key k, const struct tree_item *t);
/* The items of e->is are gathered anew. */
void ship_lost_begin(struct shipped *e);
/* e->is is what the archive has. */
void ship_lost_noted(struct shipped *e);
void ship_lost_release(struct shipped *e);
void ship_count_lost(struct stream *s); /* for the stats; and plans to read them again */
/* Tells people of those for which there were no words. */
void ship_tell_rest(struct stream *s);

/* ---- ship_put.c ---- */

/* Makes the segment of what was cut. */
int ship_make(struct stream *s);
/* Puts it. After an error it is put again by the next call, with the same bytes. */
int ship_put(struct stream *s);
void ship_discard(struct stream *s); /* forgets what was made */
