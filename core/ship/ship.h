// SPDX-License-Identifier: Apache-2.0
/*
 * ship: what changes in a store goes to its archives, one segment after the other.
 *
 *     ship_open(p)                       which archives there are; nothing is asked yet
 *     ship_start(p)                      a thread for each, which ships every archive_interval
 *     ship_step(p)                       without threads (tests): one round of each archive
 *     ship_wait(p, number, seq, ...)     until an archive has all changes up to `seq`
 *
 * An archive is a shard whose record says so (object/shards.h); its number is the shard's. One
 * round of shipping is:
 *
 *     join    once a mount: claim an epoch, and compare what the archive has with the points here
 *     cut     of each namespace that changed, a point: a hidden, frozen branch (branch/ns_point.h)
 *     put     contents that the archive lacks, in packs and files of this epoch
 *     gather  the items in which the new point differs from the one before, as a section
 *     put     the segment, which all of that is then in
 *     note    the new points have the segment; those before go
 *
 * So a segment is the difference of two instants that existed, also of files that were being
 * written. Between the cut and the note both points are held, and nothing of either is deleted:
 * whatever is cut off is done again, by this mount or the next one.
 *
 * A content whose bytes cannot be read here is *lost* in the archive: the rest is shipped, and its
 * items say that (segment.h). When it can be read again, they are shipped again with its place
 * (ship_lost.c). Bytes on another shard that cannot be asked are waited for, for SHIP_AWAY.
 *
 * What of an archive fails is tried again, later and later up to a minute. An archive whose history
 * is not that of this store is *refused*, and so is one of which another store has become the
 * writer (fenced): it gets nothing more, until somebody decides (ship_fork, ship_remove).
 *
 * Threads: any, but for open, start, stop and close. Errors: 0 or -errno. Locks: "ship
 * change", "ship list", "ship" and "ship stats"; a caller holds no lock.
 */
#pragma once

#include "segment.h"
#include "shard.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ns;
struct state;

#define SHIP_MAX 8                     /* archives of a store */
#define SHIP_AWAY (600 * NSEC_PER_SEC) /* how long bytes of a shard that is away are waited for */
#define SHIP_SETTING "archive"         /* of a namespace (ns_setting.h), a text */
#define SHIP_OFF "off"                 /* its value: the namespace goes to no archive */
#define SHIP_SYNC "sync" /* an fsync in it waits until the archives have what was changed */

enum ship_mode { SHIP_MODE_ASYNC, SHIP_MODE_SYNC, SHIP_MODE_OFF };

enum ship_state {
    SHIP_NEW, /* not joined yet */
    SHIP_OK,
    SHIP_FAILING, /* the last round failed; it is tried again */
    SHIP_REFUSED, /* its history is another one, or another store writes it */
};

struct ship_stats {
    uint16_t archive;
    uint32_t lineage;
    uint64_t epoch; /* 0: none claimed yet */
    enum ship_state state;
    char why[SHARD_WHY];   /* a sentence, if it is failing or refused */
    struct segment_pos at; /* the last segment; none: none yet */
    uint64_t seq;          /* the archive has all changes of the store up to this one */
    int64_t time;          /* when that was so, ns since the epoch; 0: never */
    int64_t oldest;        /* the oldest state that can be restored is of that time; 0: not known */
    bool behind;           /* there are changes that the archive does not have */
    uint64_t segments, sections, items; /* shipped since the start */
    uint64_t contents, content_bytes;   /* likewise, objects */
    /* Bytes of whole files, at least, that the store has only because the archive is behind. It is
     * looked at once a minute while rounds fail. */
    uint64_t held;
    /* Of the namespaces, as the archive has them now: items whose contents are lost there. */
    uint64_t lost;
    char url[SHARD_URL_MAX + 1];
};

int ship_open(struct state *p);
int ship_start(struct state *p);
/* Ends the threads. With `last` each archive that can be asked gets first what is left; what it
 * does not get then is reported. */
void ship_stop(struct state *p, bool last);
void ship_close(struct state *p);
/* One round of each archive. The first error, after all were tried. */
int ship_step(struct state *p);

/* Makes an archive at that place, or uses the one that is there, with a lineage of its own, and
 * ships to it from now on. *ret_number gets its number. -EINVAL, -EBUSY, -ENOTEMPTY, -EOPNOTSUPP
 * and what the shard says, with a sentence in `why`. */
int ship_add(struct state *p, const char *url, uint16_t *ret_number, char why[SHARD_WHY]);
/* Ships nothing more there, and forgets it. What is there stays. -EBUSY: objects of this store are
 * nowhere else, or a namespace goes to that archive alone. */
int ship_remove(struct state *p, uint16_t number, char why[SHARD_WHY]);
/* Goes on in a new lineage of the archive, with the store as it is. */
int ship_fork(struct state *p, uint16_t number, uint32_t *ret_lineage, char why[SHARD_WHY]);
/* A store that reads an archive takes over from the one that ships there (core/follow). First it
 * claims the next epoch of the lineage that it reads, which ends the others: nothing can be put
 * into that lineage any more. `c` is zeros before the first call, and kept for another. *ret_end is
 * the last segment of the lineage. Then it ships in a lineage of its own there, whose parent is
 * that one up to `at`; a lineage that a call which was cut off has made is used. -EAGAIN:
 * somebody has claimed an epoch since `c`, so that both are called again; -EBUSY: another store has
 * taken over. */
struct chain;
int ship_end_lineage(struct state *p, uint16_t number, struct chain *c, struct segment_pos *ret_end,
                     char why[SHARD_WHY]);
int ship_succeed(struct state *p, uint16_t number, const struct chain *c, struct segment_pos at,
                 uint64_t seq, uint32_t *ret_lineage, char why[SHARD_WHY]);
/* Finds an archive by URL, or by "" if there is just one; with `ships` among those that the store
 * ships to, and else also among those that it only reads. -ENOENT; -EINVAL: there are several. */
int ship_find(struct state *p, const char *url, bool ships, uint16_t *ret_number);

/* Is this mount the writer of a lineage there? It has claimed it, and nobody has done so since. 1,
 * 0 or -errno. `shard` is the archive. */
int ship_is_writer(struct state *p, uint16_t number, struct shard *shard);
/* A restore from that archive begins (+1), or has ended (-1): meanwhile nothing is deleted there by
 * this store. */
void ship_reading(struct state *p, uint16_t number, int change);

/* The archive after number `after`, by rising numbers. -ENOENT: there are no more. */
int ship_next(struct state *p, unsigned after, struct ship_stats *ret);
/* Has a round begin now, of each archive. */
void ship_kick(struct state *p);
/* Waits until the archive has all changes up to `seq`. `timeout` in ns, -1: none. -ETIMEDOUT,
 * -EINTR; -ENXIO: there is no such archive; -EKEYREVOKED: it is refused; -ESHUTDOWN. */
int ship_wait(struct state *p, uint16_t number, uint64_t seq, int64_t timeout,
              const _Atomic bool *interrupted);
/* How far an archive is with one namespace. */
struct ship_mark {
    uint64_t last; /* number of its last change */
    uint64_t seq;  /* the archive has it up to this one; 0: it has nothing, or nothing is known */
    bool off;      /* it is not shipped */
};
struct ship_mark ship_mark(struct state *p, uint16_t archive, struct ns *ns);
/* How the namespace goes to the archives (SHIP_SETTING). `only`: the URL of the one to which it
 * goes; empty: to all of them. */
enum ship_mode ship_mode_of(struct state *p, const struct ns *ns, char only[SHARD_URL_MAX + 1]);
int ship_set_mode(struct state *p, struct ns *ns, enum ship_mode mode);
/* It goes to that archive alone, SHIP_MODE_ASYNC; to none, once the store does not ship there any
 * more. -ENXIO: the store does not ship there. */
int ship_set_only(struct state *p, struct ns *ns, uint16_t archive);
/* Does it go to the archive of that URL? */
bool ship_goes_to(struct state *p, const struct ns *ns, const char *url);
/* Does an fsync of that inode wait for archives? Cheap where the store has none. */
bool ship_is_sync(struct state *p, uint64_t nodeid);
/* What such an fsync does after flush_sync and ship_kick: it waits until every archive has all
 * changes up to `seq`. -ETIMEDOUT, -EINTR; -EIO: one is refused, or the store is closed. 0 also if
 * there is no archive. */
int ship_wait_all(struct state *p, uint64_t seq, int64_t timeout, const _Atomic bool *interrupted);
