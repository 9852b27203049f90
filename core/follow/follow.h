// SPDX-License-Identifier: Apache-2.0
/*
 * follow: a store follows an archive: it is what another store, the writer, ships there, one
 * segment after the other, and anybody may read it meanwhile.
 *
 *     follow_begin(p, url, &source, why)   once, in a new store with the key of the lineage
 *     follow_open(p)                       is it a follower? Nothing is asked yet
 *     follow_start(p)                      a thread that applies segments as they come
 *     follow_step(p)                       without a thread (tests): all that is there by now
 *     follow_promote(p, &result, why)      it takes over from the writer
 *
 * A segment is applied as one change: each namespace has the instant before it or that of it, also
 * after a death. Of what is applied the state sum is that of the writer, and the tree is sound
 * (follow_verify.h); else nothing of the segment is seen. Work is that of what the segment has, and
 * not of what the namespaces have. The kernel hears what is stale; who has a file open that goes or
 * gets other bytes goes on with what it was.
 *
 * Which instant a namespace is stands in its record (branch/ns_followed.h), and from these the
 * store knows how far it is: every segment has an instant of a namespace that is there. Where a
 * segment is missing or damaged, or leads from what is not here, the namespaces are restored as a
 * later segment has them (ns_restore.h); what is equal stays as it is. So a follower always comes
 * to what the archive has last.
 *
 * Beside a prune of the writer (prune/prune.h): before a segment is applied after a pause the last
 * catalogue is asked for, and one that is not kept counts as missing. Of a content that went and
 * came back at another place the place of the later segment is used (restore/restore_items.c). A
 * pin keeps the state that the store had when it stopped to follow; while it follows the pin is
 * some hours old at most, so after a death that much of the last changes is not kept beyond
 * `archive_keep`. Without the right to write there is no pin, which is reported once.
 *
 * The namespaces of a follower are read-only for everybody but this room, also in a mount that does
 * not follow (state.follows, ns.followed), and so is the root. A follower ships nothing.
 *
 * A take-over ends the epoch of the writer, which is fenced with its next segment (chain.h), and
 * applies all that it had put before. Then the store begins a lineage of its own in the same
 * archive, with the other one as its parent, and is a store as any other. Numbers of changes are
 * those of a store, so it cannot go on in the lineage of the writer.
 *
 * Threads: any, but for open, start, stop and close. Errors: 0 or -errno. Locks: "follow", which is
 * held while the archive is asked, and the leaf "follow stats"; a caller holds no lock.
 */
#pragma once

#include "segment.h"
#include "shard.h"
#include "strbuf.h"
#include <stdbool.h>
#include <stdint.h>

struct clone_source;
struct state;

enum follow_state {
    FOLLOW_IDLE,    /* it does not follow in this mount */
    FOLLOW_OK,      /* it has all that there was when it asked last */
    FOLLOW_BEHIND,  /* it applies what there is */
    FOLLOW_FAILING, /* the archive cannot be asked, or is damaged; it is tried again */
};

struct follow_stats {
    uint16_t archive;
    uint32_t lineage;
    enum follow_state state;
    char why[SHARD_WHY];   /* a sentence, if it is failing */
    char ended[SHARD_WHY]; /* a sentence: who has ended the history, as far as is known; or "" */
    struct segment_pos at; /* the last segment that was applied; none: none yet */
    uint64_t seq;          /* the last change of the writer in that segment */
    int64_t time;          /* when the writer took it, ns since the epoch; 0: never */
    int64_t asked;         /* when the archive answered last; 0: never in this mount */
    int64_t failing_since; /* 0: it is not failing */
    uint64_t segments, namespaces, items; /* applied since the start */
    uint64_t afresh;                      /* how often namespaces were restored instead, likewise */
    char url[SHARD_URL_MAX + 1];
};

/* Makes a follower of a new store, whose namespace main goes. Nothing is applied yet. */
int follow_begin(struct state *p, const char *url, const struct clone_source *source,
                 struct strbuf *why);
int follow_open(struct state *p);
int follow_start(struct state *p);
void follow_stop(struct state *p);
void follow_close(struct state *p);
/* Does the store follow an archive, and if `url` is not NULL that one? -ENOENT, -EXDEV, with a
 * sentence in `why`. */
int follow_check(struct state *p, const char *url, char why[SHARD_WHY]);
/* Applies all that the archive has by now. -ENOENT: the store follows nothing. */
int follow_step(struct state *p);
/* -ENOENT: the store follows nothing. */
int follow_get_stats(struct state *p, struct follow_stats *ret);
/* ns that the store is behind the archive, as far as is known: since when it has not answered, or
 * the age of what was applied while there is more. 0: it has all. */
int64_t follow_lag(struct state *p, const struct follow_stats *s);

struct follow_promoted {
    uint16_t archive;
    uint32_t parent, lineage;     /* that it followed, and its own */
    struct segment_pos parent_at; /* the last segment of the parent; none: it has none */
    uint64_t parent_seq;
    int64_t time; /* when the writer took that */
};

/* Takes over. A call that was cut off is called again, also by another mount. -ENOENT: the store
 * follows nothing; what the archive says, as -EROFS without the right to write; with a sentence in
 * `why`. After an error the store is a follower as before, but the writer may be fenced. */
int follow_promote(struct state *p, struct follow_promoted *ret, char why[SHARD_WHY]);
