// SPDX-License-Identifier: Apache-2.0
/*
 * ns_restore: a namespace as an archive has it, at any change or time that is kept, becomes a
 * namespace of this store.
 *
 *     restore_plan(p, archive, &ask, &plan, why)     which segments are needed, and what they say
 *     restore_pin(p, &plan, why)                     unless the store ships there
 *     restore_run(p, &plan, "name", ..., why)        a draft is filled, and then seen whole
 *     restore_unpin(p, &plan, &result)               only if that failed, or is not called
 *     restore_plan_release(&plan)
 *
 * What is restored are the items: files are ghosts, whose bytes stay in the archive until somebody
 * reads them, and are brought home by `recall`. An object that this store has already, as the
 * archive has it, is used and not made again. A content that the archive has lost (ship.h) becomes
 * an object whose bytes were never here (entry_absent.h), unless this store has one of that id and
 * size. So what is restored beside the original shares all with it that is still the same.
 *
 * A restored tree has the state sum that was shipped with it, or it is not shown (promise 1).
 *
 * Threads: any; the caller holds no lock and may wait. Errors: 0 or -errno, with a sentence in
 * `why`: -ESTALE what was planned is not kept any more; -ENXIO there is no such archive;
 * -EINVAL the lineage is of a store with other keys; -ENOENT the archive does not have that;
 * -EUCLEAN what it has is damaged; -EEXIST there is a namespace of that name; those of the shard
 * and of the store.
 */
#pragma once

#include "catalogue.h"
#include "segment.h"
#include "strbuf.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ns;
struct shard;
struct state;

enum restore_when { RESTORE_LAST, RESTORE_SEQ, RESTORE_TIME };

struct restore_ask {
    const char *name; /* of the namespace, at that moment */
    enum restore_when when;
    uint64_t seq;
    int64_t time;     /* ns since the epoch */
    uint32_t lineage; /* of the archive; 0: the one that the store ships to, or reads, and for a
                       * time before its begin those that it goes on from */
    const _Atomic bool *interrupted; /* may be NULL; true: the plan ends with -EINTR */
    /* The catalogue of the lineage that is used, while a pin keeps what it says; NULL: the last
     * one, which the plan reads. */
    const struct catalogue *kept;
};

/* One section that is needed, the first one first. */
struct restore_step {
    struct segment_pos at;
    uint8_t sum[SHA256_LEN]; /* of the bytes of the segment */
    struct segment_section section;
};

struct restore_plan {
    uint16_t archive;
    uint32_t lineage;
    struct segment_pos at; /* the last segment that is needed */
    /* the segment of the state in which it was found, at `at` or behind: a pin names that one,
     * since only of a state all is kept that it says */
    struct segment_pos state;
    uint64_t seq; /* the state is that after this change */
    int64_t time; /* when the archive's writer took it */
    struct restore_step *steps;
    size_t count, room;
    uint64_t items, bytes; /* of items, in all steps */
    uint64_t requests;     /* that were made for the plan */
    uint64_t lost;         /* items of the namespace whose content the archive does not have */
    /* if the change that was asked for is behind the last one that the archive has: that one */
    uint64_t last_seq;
    bool frozen;        /* the namespace was frozen then */
    uint32_t catalogue; /* number of the one that it was made by; 0: there was none */
    bool by_writer; /* no pin is needed: this mount is the writer, and its prune sees its ghosts */
    bool pinned;    /* a pin keeps what it needs */
    /* of that pin, if restore_pin has put it: its token, and the number of the next object then */
    uint8_t pin[SEGMENT_TOKEN_LEN];
    uint64_t next_object;
};

/* Sets the moment from "SEQ", "TIME", or an age as "10m", before `now` (ns since the epoch). A time
 * without a fraction is the end of that second, so that what was seen in a status names what it was
 * seen with. -EINVAL: it is none of these. */
int restore_moment(const char *text, int64_t now, struct restore_ask *ret);
#define RESTORE_MOMENTS "a change, a time as 2026-01-31T23:59:59Z, or an age as 10m"
int restore_plan(struct state *p, uint16_t archive, const struct restore_ask *ask,
                 struct restore_plan *ret, struct strbuf *why);
/* The same for an instant of which a segment of the lineage has a section: `of` is the namespace,
 * by its number and generation. */
int restore_plan_at(struct state *p, uint16_t archive, struct segment_pos at,
                    const struct segment_instant *of, struct restore_plan *ret, struct strbuf *why);
void restore_plan_release(struct restore_plan *plan);
/* Only which segment has the moment: the plan has one step, that one. It needs no store. */
int restore_find(struct shard *s, uint32_t lineage, const struct restore_ask *ask,
                 struct restore_plan *ret, struct strbuf *why);
/* Puts a pin for what the plan needs, where the store only reads; where it ships its own prune
 * knows what it needs. Without the right to write there it is only reported. -ESTALE: some of it
 * was given up since the plan was made: another plan may succeed. */
int restore_pin(struct state *p, struct restore_plan *plan, struct strbuf *why);

struct restore_result {
    uint64_t inodes, items;
    uint64_t ghosts; /* objects that are only in the archive, made by this restore */
    uint64_t shared; /* references to objects that were here already */
    uint64_t moved;  /* ghosts that were here, and have another place there now */
    uint64_t lost;   /* items of the namespace whose content nobody has */
    uint64_t seq;    /* number of the change that shows the namespace */
    uint64_t read;   /* of a try: objects whose bytes were read in the archive */
    bool compared;   /* of a try: what was restored is what is held here of that instant */
};

/* Called now and then with the number of items that are done. -ECANCELED ends the restore. */
typedef int restore_progress_fn(uint64_t items, uint64_t of, void *ctx);

/* Makes the namespace `name`. */
int restore_run(struct state *p, const struct restore_plan *plan, const char *name,
                restore_progress_fn *progress, void *ctx, struct restore_result *ret,
                struct strbuf *why);
/* The restore failed, with that result, or (NULL) does not begin: ends the pin, if restore_pin has
 * put one. It waits, for a minute at most, until nothing of the restore is here. If something
 * stays, as what a file that was written meanwhile shares with it, or the archive does not answer,
 * the pin stays, which is reported. */
void restore_unpin(struct state *p, struct restore_plan *plan, const struct restore_result *r);
/* Has this store put the pin, and contents in that archive that it keeps? Either they are only
 * there, or what is shipped may name them. 1, 0, or -errno. A pin that cannot be read counts as
 * another store's. */
int restore_needs_pin(struct state *p, uint16_t archive, struct shard *s,
                      const uint8_t token[SEGMENT_TOKEN_LEN]);
/* Does all of a restore but showing it: the draft is dropped, also by the next start after a death.
 * `read` percent of its objects are read in the archive, each compared with its sums and its id. If
 * the instant is held here (ns_point.h) both trees are compared. */
int restore_try(struct state *p, const struct restore_plan *plan, unsigned read,
                restore_progress_fn *progress, void *ctx, struct restore_result *ret,
                struct strbuf *why);

/* What restore_run does before it shows the namespace: fills the empty draft, and proves that it is
 * what was shipped. After an error the draft is of no use. `read` as of restore_try. */
int restore_load(struct state *p, const struct restore_plan *plan, struct ns *draft, unsigned read,
                 restore_progress_fn *progress, void *ctx, struct restore_result *ret,
                 struct strbuf *why);
/* The numbers of inodes that the draft has, up to `last_ino`, are not given again. -EUCLEAN: they
 * cannot be those of a store. */
int restore_note_inodes(struct state *p, struct ns *draft, uint64_t last_ino);
