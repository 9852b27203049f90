// SPDX-License-Identifier: Apache-2.0
/*
 * state: an open store in memory: its namespaces, contents, settings and open inodes, over its
 * tables, its objects and its log. Each operation of a store is a change of it; core/store makes
 * and closes one (store.h).
 *
 * THE LOCK TABLE. Outermost first; never take an earlier one while holding a later one. The name in
 * quotes is what a broken rule prints.
 *
 *   "release"      release.c      mutex   one who deletes dead bytes of other shards at a time
 *   "pool report"  pool_node.c    mutex   one report of a pool's node at a time, with its flush
 *   "flush run"    flush.c        mutex   without threads: one flush at a time
 *   "rotation"     coordinator.c  mutex   one rotation at a time
 *   "reclaim dead" flush.c        mutex   one who deletes dead bytes at a time
 *   "seal"         flush.c        mutex   one sealing pass or freeze at a time
 *   "content sync" seal.c, slots.c  mutex  who hashes, syncs or seals the slot of one content
 *   "gc"           gc.c           mutex   what a GC cycle knows
 *   "freeze"       txn.c          rwlock  read: every change, from its first look to its last
 *                                         write; write: branch, drop, rotate - the instants
 *   "drop step"    tree/drop.c    mutex   one step of the dropper at a time
 *   "inode"        vnodes.c       rwlock  read: reading bytes; write: changing bytes or size of one
 *                                         inode; two inodes: lower nodeid first
 *   "namespace"    namespaces.c   rwlock  one namespace's tree; two: lower namespace number first
 *   "orphans"      vnodes.c       rwlock  the tree of unlinked inodes that are still open
 *   "names"        namespaces.c   rwlock  which namespaces exist, by name and number
 *   "inodes"       vnodes.c       mutex   the table of open inodes, and of those read by passthrough
 *   "content"      contents.c     mutex   the bytes of one unsealed content
 *   "contents"     contents.c     mutex   the table of unsealed contents
 *   "kv_writer"    kv/kv_lmdb.c   mutex   the one transaction, from its beginning to its end
 *   "settings"     settings_kv.c  mutex   settings that were changed; held while those who watch one
 *                                         are told
 *   "move"         move.c         mutex   which moves are at work
 *   "drops"        tree/drop.c    mutex   the queue of dropped pages
 *   "pages"        tree/pages.c   mutex   page counts, dirty pages
 *   "page cache"   tree/pages.c   mutex   one shard of the page cache
 *   "refs"         object/refs.c  mutex   refcount table, ids, dying, pins, holds
 *   "shard packs"  object/shard_packs.c mutex  what is alive in packs on other shards; a leaf but
 *                                         for kv reads
 *   "shards"       object/shards.c mutex  which shards there are, and their states; not held while
 *                                         one is asked
 *   "packs sync"   object/packs_open.c mutex  one sync of packs at a time
 *   "packs"        object/packs.c mutex   which packs there are, their counts and handles
 *   "object files", "blob"        mutex, rwlock  object files kept open; the sums of one file
 *   "forgotten attrs"  forgotten_attrs.c mutex  attributes of inodes without a name; a leaf
 *   "events"       change.c       mutex   who waits for calls of state_events to end; a leaf, not
 *                                         held while one is called
 *   "log sync"     log_sync.c     mutex   who leads the log's sync, and who waits for it
 *   "log make"     log_make.c     mutex   one segment of the log made or trimmed at a time
 *   "log"          log.c          mutex   the frames of the log, and the room for them; a leaf
 *   "pool index"   pool_index.c   mutex   which view of the pool is asked; a leaf
 *   "pool node"    pool_node.c    mutex   what status says of reports and cycles; a leaf
 *   "shards thread", "lastuse", "blame"    mutexes, leaves
 *   "jobs"         jobs/jobs.c    mutex   which jobs there are; a leaf but for "workers"
 *   "scrub", "sweep", "met", "stuck", "last reply", "control session",
 *   "workers", "workers_group"    mutexes, leaves
 *   "shard dir", "shard files"    shard/shard_dir*.c mutexes  what a driver keeps open; leaves
 *   "place"        shard/shard_ask.c mutex  what is asked of a place; a leaf; not held while a driver
 *                  or who asks runs
 *   "coordinator", "ticket"       mutexes the flushes in flight; leaves, never held while flushing
 *   "flush"        flusher.c      mutex   who waits for a flush or for memory; a leaf likewise
 *   "durable"      durable.c      mutex   who is to be told that a change is durable; a leaf
 *
 * The mount has its own, in fs/: "ending" comes before all of these, the others ("defer", "sync",
 * "ring waiting", "ring done", "write back", "mode", "listed", "handles", "nodes", "passthrough",
 * "waiting") are leaves.
 *
 * Who waits for a flush (fsync, drain, throttled writers) holds none of them.
 *
 * Which lock guards a field stands at the field, as GUARDED_BY(a), or in front of what the field
 * is, as "a; text": it is read and changed only with lock a held, changed with a held for writing.
 * (a, b): it is changed with both held, and read with either. "freeze" alone is held for reading by
 * changes; "freeze for writing" is the instants. A field of which nothing is said is set
 * before others can see its struct, or belongs to one thread; _Atomic ones need no lock. In front
 * of a text "lock" is the lock of the same struct. The lock of a struct is a field named `lock`,
 * but for these:
 *
 *   "freeze" state.freeze_lock, "settings" state.settings_lock, "events" state.events_lock
 *   "inode" vnode.io, "inodes" vnode_table.lock, "namespace" ns.lock, "names" ns_table.lock
 *   "content" content.io, "content sync" slot.sync, "contents" content_table.lock
 *   "flush run", "reclaim dead", "seal" flusher.run, .reclaim_dead, .seal
 *   "rotation" coordinator.rotation
 *   "drop step" drops.work, "packs sync" packs.sync_lock, "kv_writer" kv.writer
 *   "log sync", "log make" log.sync, log.make; "pool report" pool_node.report
 *   "last reply" control_of_store.last_reply_lock
 *
 * So `io` is "inode" at a field of struct vnode, and "content" at one of struct content.
 */
#pragma once

#include "blame.h"
#include "clock.h"
#include "content.h"
#include "disk.h"
#include "drop.h"
#include "gc.h"
#include "forgotten_attrs.h"
#include "held.h"
#include "id.h"
#include "identity.h"
#include "items.h"
#include "kv.h"
#include "lock.h"
#include "log.h"
#include "map64.h"
#include "met.h"
#include "namespaces.h"
#include "passthrough_table.h"
#include "ns_record.h"
#include "objects.h"
#include "record.h"
#include "settings.h"
#include "state_config.h"
#include "state_hooks.h"
#include "stuck.h"
#include "lastuse.h"
#include "tree.h"
#include "txn.h"
#include "vfs_types.h"
#include "vnodes.h"
#include "workers.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

struct member_hooks;
struct strbuf;

/* What this start took from the log. */
struct replayed {
    uint64_t changes, first, last; /* numbers of the first and the last of them */
    uint64_t bytes;                /* of operations */
};

struct state {
    struct state_config config;
    const struct state_hooks *hooks;         /* fixed */
    const struct member_hooks *member_hooks; /* fixed */
    _Atomic unsigned atime;                  /* config.atime, or what it was changed to */
    const struct clock *clock;
    struct id_key id_key;
    struct name_key name_key;
    struct sip_key cookie_key;
    char label[STORE_LABEL_MAX + 1];
    int64_t created;
    int64_t opened; /* monotonic ns */
    struct state_events events; /* set while has_events is true */
    _Atomic bool has_events;
    _Atomic bool events_end;    /* a thread waits until no call of an event runs */
    _Atomic unsigned in_events; /* calls of events that run */
    struct mutex events_lock;   /* "events" */
    struct cond events_left;

    struct rwlock freeze_lock; /* "freeze" */
    _Atomic uint64_t seq;  /* of the last change */
    _Atomic uint64_t next_ino; /* from here on no namespace has a number of an inode */
    _Atomic bool readonly; /* a commit or a part of a start failed, and nobody knows how far */
    _Atomic bool promised; /* the tables say that a log of this epoch must be there */
    _Atomic(const char *) readonly_what; /* which part, or NULL; static text */
    _Atomic int readonly_err;            /* the error of that part */
    _Atomic bool closing;
    _Atomic bool told_no_inodes;

    struct pages *pages;
    struct refs *refs;
    struct packs *packs;
    struct objects *objects;
    struct shards *shards;
    struct shard_packs *shard_packs;
    struct drops *drops;
    struct workers *workers;
    const struct pool_member *shared; /* &shared_pool: the pool of bytes; NULL: a store alone */
    struct pool_member shared_pool;
    struct pool_node *node; /* the store as a node of that pool (core/member); NULL: alone */
    struct log *log;        /* NULL until the log that was found is replayed */
    uint64_t epoch;         /* of `log` */
    bool recovered;         /* the store had not been closed: there was a log to replay */
    /* What this start took from the log is not committed yet. No change is made before it is, since
     * frames of this epoch are read only behind a commit. */
    _Atomic bool unsettled;
    _Atomic int lacks;           /* a shortage (-errno) puts off a part of the start, or 0 */
    _Atomic bool unsettled_told; /* it was reported that this could not be committed at once */
    /* Gaps: changes in memory that are in no frame. After a gap no frame comes until a commit has
     * that change. So many gaps there were. */
    _Atomic uint64_t gaps;
    _Atomic uint64_t gaps_committed; /* commits have as many of them */
    _Atomic bool sync_failed;  /* the last sync failed (blame_sync) */
    struct replayed replayed;  /* fixed once the store is open */

    struct ns_table names;
    struct vnode_table vnodes;
    struct passthrough_table passthroughs;
    struct orphans orphans;
    struct forgotten_attrs forgotten;
    struct content_table contents;
    struct settings settings;
    struct mutex settings_lock; /* "settings" */
    struct map64 settings_changed GUARDED_BY(settings); /* setting + 1 -> value, to be committed */
    _Atomic bool has_ghosts;       /* there are ghosts, or there were some since the start */
    _Atomic uint64_t logged;       /* bytes of frames since the last freeze */
    struct blames blames;
    struct lastuse lastuse;
    struct met_of_store met;
    struct stuck stuck;

    /* What rooms above keep of this store: no room below them knows what is in it. */
    struct flusher *flush;
    struct durable_watches *durable;
    struct slots_left *slots_left;
    struct jobs *jobs;
    struct scrub_of_store *scrub;
    struct gc_of_store *gc;
    struct compacting *compacting;
    struct moving *moving;
    struct releasing *releasing;
    struct shards_thread *shards_thread;
    struct sweep_of_store *sweep;
    struct control_of_store *control;
};

/* A change happened to `ns` (its lock held for writing; NULL: to the root): all that was captured
 * becomes one frame of the log. On failure memory has a change that the log has not, and the store
 * is read-only, or, for want of memory, waits for a commit (capture_has_gap): the caller's answer
 * is the error. */
int state_changed(struct txn *t, struct ns *ns);
/* The same after a change that ended with `err`: also a failed one may have done something. */
static inline int change_done(struct txn *t, struct ns *ns, int err)
{
    int r = state_changed(t, ns);

    return err < 0 ? err : r;
}
/* May anything be changed? 0, -EROFS, -ESHUTDOWN; -EMFILE, -ENFILE, -ENOMEM as state_lacks. */
int state_writable(struct state *p);
/* What is on disk can no longer be known: no change is taken from now on. `what`: static text. */
void state_turn_readonly(struct state *p, const char *what, int err);
/* The settings of a GC cycle. */
void state_gc_config(struct state *p, struct gc_config *ret);
int settings_load(struct state *p);
int settings_set(struct state *p, enum setting which, int64_t value);
int settings_write(struct state *p, struct kv_txn *t);
int settings_restore(struct state *p, const char *key, size_t len, int64_t value); /* -EUCLEAN */
int state_pin(struct state *p, uint64_t number, bool pin); /* or unpin; refs.h */
/* The shortage (-errno) that puts off a part of the start, or 0. */
int state_lacks(struct state *p);
/* Why a store that is not settled takes no change. Where it is a shortage a flush is begun, which
 * may end it. */
int state_refuses(struct state *p);
/* Encode the meta record "state". */
void store_record_freeze(struct state *p, const struct log_pos *pos, uint8_t out[STORE_RECORD_LEN]);

void event_stale(struct state *p, uint64_t nodeid);
void event_rights(struct state *p, uint64_t nodeid);
void event_write_back(struct state *p, uint64_t nodeid);
void event_stop(struct state *p);
bool event_describe(struct state *p, struct view_edge *ret); /* false: there is no edge */

static inline int64_t now(struct state *p)
{
    return clock_now(p->clock);
}
static inline int64_t ticks(struct state *p)
{
    return clock_ticks(p->clock);
}
