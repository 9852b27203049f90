// SPDX-License-Identifier: Apache-2.0
/*
 * state: an open store in memory: its namespaces, contents, settings and open inodes, over its
 * tables, its objects and its log. Each operation of a store is a change of it; core/store makes
 * and closes one (store.h).
 *
 * THE LOCK TABLE. Outermost first; never take an earlier one while holding a later one. The name in
 * quotes is what a broken rule prints.
 *
 *   "follow"       follow/follow.c mutex  one step of what is followed at a time, or a take-over
 *   "ship change"  ship/ship_add.c mutex  one change of the archives of the store at a time
 *   "ship list"    ship/ship.c    rwlock  which archives the store ships to
 *   "ship"         ship/ship.c    mutex   one round of shipping to an archive at a time
 *   "release"      release.c      mutex   one pass at a time deletes dead bytes on other shards
 *   "pool report"  pool_node.c    mutex   one report of the node at a time, with its flush
 *   "pool nodes"   gc_pool_nodes.c  mutex  one look at the nodes of the pool at a time
 *   "flush run"    flush.c        mutex   without threads: one flush at a time
 *   "rotation"     coordinator.c  mutex   one rotation at a time
 *   "reclaim dead" flush.c        mutex   one thread at a time deletes dead bytes
 *   "seal"         flush.c        mutex   one sealing pass or freeze at a time
 *   "content sync" seal.c, slots.c  mutex  one thread at a time hashes, syncs or seals one slot
 *   "gc"           gc.c           mutex   what a GC cycle knows
 *   "freeze"       txn.c          rwlock  read: every change, from its first look to its last
 *                                         write; for writing: the instants: branch, drop, rotate
 *   "drop step"    tree/drop.c    mutex   one step of the dropper at a time
 *   "inode"        vnodes.c       rwlock  read: reading bytes; for writing: changing bytes or size
 *                                         of one inode; two inodes: lower nodeid first; not held
 *                                         while a shard is asked
 *   "namespace"    namespaces.c   rwlock  one namespace's tree; two: lower namespace number first
 *   "orphans"      vnodes.c       rwlock  the tree of unlinked inodes that are still open
 *   "names"        namespaces.c   rwlock  which namespaces exist, by name and number
 *   "inodes"       vnodes.c       mutex   the tables of open inodes and of passthrough files
 *   "content"      contents.c     mutex   the bytes of one unsealed content
 *   "contents"     contents.c     mutex   the table of unsealed contents
 *   "kv_writer"    kv/kv_lmdb.c   mutex   the one transaction, from its beginning to its end
 *   "settings"     settings_kv.c  mutex   settings that were changed; held while the functions
 *                                         that watch one are called
 *   "compression"  flush/compression.c mutex  one thread at a time gives the store the feature; a
 *                                         leaf
 *   "move"         move.c         mutex   which moves are in progress
 *   "drops"        tree/drop.c    mutex   the queue of dropped pages
 *   "pages"        tree/pages.c   mutex   page counts, dirty pages
 *   "page cache"   tree/pages.c   mutex   one shard of the page cache
 *   "refs"         object/refs.c  mutex   refcount table, ids, dying, pins, holds
 *   "shards"       object/shards.c mutex  which shards there are, and their states; not held while
 *                                         a shard is asked
 *   "packs sync"   object/packs_open.c mutex  one sync of packs at a time
 *   "packs"        object/packs.c mutex   which packs there are, their counts and handles
 *   "object files", "blob"        mutex, rwlock  object files kept open; the sums of one file
 *   "ship stats"   ship/ship.c    mutex   what is known of an archive; a leaf
 *   "follow stats" follow/follow.c mutex  what is known of what is followed; a leaf
 *   "archived"     archive/archived.c mutex  where archives have objects; a leaf
 *   "profile"      latency/profile.c mutex  what is recorded of requests; a leaf
 *   "history"      history_table.c mutex  the operations on namespaces; a leaf
 *   "growth"       growth_table.c mutex  samples of how the store has grown; a leaf
 *   "forgotten attrs"  forgotten_attrs.c mutex  attributes of inodes without a name; a leaf
 *   "events"       change.c       mutex   waiting for calls of state_events to end; a leaf, not
 *                                         held while one is called
 *   "log sync"     log_sync.c     mutex   which thread leads the log's sync, and which wait for it
 *   "log make"     log_make.c     mutex   one segment of the log made or trimmed at a time
 *   "log"          log.c          mutex   the frames of the log, and the room for them; a leaf
 *   "pool index"   pool_index.c   mutex   which view of the pool is in use; a leaf
 *   "pool node"    pool_node.c    mutex   what the status shows of reports and cycles; a leaf
 *   "shards thread", "lastuse", "blame"    mutexes, leaves
 *   "jobs"         jobs/jobs.c    mutex   which jobs there are; before "drops" and "workers"
 *   "scrub", "sweep", "met", "last reply", "control session", "parked",
 *   "workers", "workers_group", "crew", "import feed"    mutexes, leaves
 *   "ahead"        vfs/vfs_ahead.c mutex  what is read ahead of readers; a leaf
 *   "shard dir", "shard files"    shard/shard_dir*.c mutexes  what a driver keeps open; leaves
 *   "s3", "rados", "engine pieces" (in engine)   mutexes  keys, connections, what is in memory of
 *                  long puts; leaves
 *   "cache" (in cache)            mutex   what is kept of shards nearby; a leaf; not held while a
 *                  shard or the disk is asked
 *   "place"        shard/shard_ask.c mutex  what is asked of a place; a leaf; not held while
 *                  a driver or its caller runs
 *   "shard probe"  shard/shard_probe.c mutex  the writers of a probe begin at once; a leaf
 *   "disk put", "put file"        shard/disk_put.c, shard/disk_put_draft.c mutexes  files in the
 *                  making on the disk of a pool, and the bytes of one; leaves; not held while a
 *                  shard is asked
 *   "coordinator", "ticket"       mutexes the flushes in flight; leaves, never held while flushing
 *   "flush"        flusher.c      mutex   threads that wait for a flush or memory; a leaf likewise
 *   "durable"      durable.c      mutex   up to which change all is known to be durable; a leaf
 *
 * The mount has locks of its own, in fs/. "ending" comes before all of these. The others ("defer",
 * "sync", "ring waiting", "ring done", "write back", "mode", "listed", "handles",
 * "passthrough", "waiting", "watchdog") are leaves.
 *
 * A thread that waits for a flush (fsync, drain, throttled writers) holds none of them.
 *
 * The lock that guards a field is named at the field: as GUARDED_BY(a), as "guarded by: a", or in
 * front of what the field is, as "a; text". The field is read only with lock a held, and changed
 * only with a held, for writing if it is a rwlock. (a, b) means: changed with both held, and read
 * with either. "freeze" alone means: changes hold it for reading; "freeze for writing": only the
 * instants use the field. A field about which nothing is said is set before others can see its
 * struct, or belongs to one thread. An _Atomic field needs no lock. "lock" in front of a text is
 * the lock of the same struct. The lock of a struct is a field named `lock`, except for these:
 *
 *   "freeze" state.freeze_lock, "compression" state.compression_lock
 *   "settings" state.settings_lock, "events" state.events_lock
 *   "inode" vnode.io, "inodes" vnode_table.lock, "namespace" ns.lock, "names" ns_table.lock
 *   "content" content.io, "content sync" slot.sync, "contents" content_table.lock
 *   "flush run", "reclaim dead", "seal" flusher.run, .reclaim_dead, .seal
 *   "rotation" coordinator.rotation
 *   "drop step" drops.work, "packs sync" packs.sync_lock, "kv_writer" kv.writer
 *   "log sync", "log make" log.sync, log.make
 *   "pool report", "pool nodes" pool_node.report, .looking
 *   "last reply" control_of_store.last_reply_lock
 *   "parked" imports_of_store.lock
 *
 * So `io` is "inode" at a field of struct vnode, and "content" at one of struct content.
 */
#pragma once

#include "archived.h"
#include "blame.h"
#include "clock.h"
#include "content.h"
#include "disk.h"
#include "drop.h"
#include "gc.h"
#include "forgotten_attrs.h"
#include "held.h"
#include "growth_table.h"
#include "history_table.h"
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

struct latency;
struct member_hooks;
struct profile;
struct txn_memory;

/* What this start took from the log. */
struct replayed {
    uint64_t changes, first, last; /* `first` and `last` are numbers of changes */
    uint64_t bytes;                /* bytes of operations */
};

struct state {
    struct state_config config;
    const struct state_hooks *hooks;         /* fixed */
    const struct member_hooks *member_hooks; /* fixed */
    _Atomic unsigned atime;                  /* config.atime, or the value it was changed to */
    const struct clock *clock;
    struct id_key id_key;
    struct name_key name_key;
    struct sip_key cookie_key;
    char label[STORE_LABEL_MAX + 1];
    int64_t created;
    int64_t opened;             /* monotonic ns */
    struct state_events events; /* set while has_events is true */
    _Atomic bool has_events;
    _Atomic bool events_end;    /* a thread waits until no call of an event runs */
    _Atomic unsigned in_events; /* calls of events that run */
    struct mutex events_lock;   /* "events" */
    struct cond events_left;

    struct rwlock freeze_lock;          /* "freeze" */
    _Atomic(struct txn_memory *) spare; /* the memory of a change that ended; NULL: none */
    _Atomic uint64_t seq;               /* number of the last change */
    _Atomic uint64_t next_ino;          /* no namespace has an inode number from this on */
    /* a commit or a part of a start failed, and what is on disk is not known */
    _Atomic bool readonly;
    _Atomic bool promised;               /* the tables say that a log of this epoch must be there */
    _Atomic(const char *) readonly_what; /* which part failed, static text; NULL: none */
    _Atomic int readonly_err;            /* the error of that part */
    _Atomic bool closing;
    _Atomic bool ending; /* it will close soon: a follower applies nothing more */
    /* the namespaces are those of an archive, and only the room follow changes any (follow.h) */
    _Atomic bool follows;
    _Atomic bool told_no_inodes;
    struct mutex compression_lock; /* "compression": held while `compresses` is raised */
    _Atomic bool compresses; /* records may be compressed: config.compression.on, or raised since */

    struct pages *pages;
    struct refs *refs;
    struct packs *packs;
    struct objects *objects;
    struct shards *shards;
    struct cache *cache;       /* of bytes of other shards; NULL: none */
    struct archived *archived; /* where archives have the bytes of objects */
    struct drops *drops;
    struct latency *latency; /* how long requests took; never NULL */
    struct profile *profile; /* records what they cost, when somebody asks; never NULL */
    struct workers *workers;
    const struct pool_member *shared; /* &shared_pool: the pool of bytes; NULL: a store alone */
    struct pool_member shared_pool;
    struct pool_node *node; /* the store as a node of that pool (core/member); NULL: alone */
    struct log *log;        /* NULL until the log that was found is replayed */
    uint64_t epoch;         /* epoch of `log` */
    bool recovered;         /* the store had not been closed cleanly: there was a log to replay */
    /* What this start took from the log is not committed yet. No change is made before it is, since
     * frames of this epoch are read only behind a commit. */
    _Atomic bool unsettled;
    _Atomic int lacks;         /* a shortage (-errno) puts off a part of the start, or 0 */
    _Atomic bool settles_late; /* it was reported that the flush of the start failed */
    _Atomic bool sync_failed;  /* the last sync failed (blame_sync) */
    struct replayed replayed;  /* fixed once the store is open */

    struct ns_table names;
    struct history history; /* of the operations on namespaces */
    struct growth growth;   /* samples of how the store has grown */
    struct vnode_table vnodes;
    struct passthrough_table passthroughs;
    struct orphans orphans;
    struct forgotten_attrs forgotten;
    struct content_table contents;
    struct settings settings;
    struct mutex settings_lock;                         /* "settings" */
    struct map64 settings_changed GUARDED_BY(settings); /* setting + 1 -> value, to be committed */
    /* there are ghosts, or there were some since the start; or home itself is on a shard
     * (objects_is_remote) */
    _Atomic bool has_ghosts;
    _Atomic uint64_t logged; /* bytes of frames since the last freeze */
    struct blames blames;
    struct lastuse lastuse;
    struct met_of_store met;

    /* What the rooms above keep of this store. Only these rooms know what is in it. */
    struct flusher *flush;
    struct durable *durable;
    struct slots_left *slots_left;
    struct jobs *jobs;
    struct scrub_of_store *scrub;
    struct gc_of_store *gc;
    struct compacting *compacting;
    struct moving *moving;
    struct releasing *releasing;
    struct shards_thread *shards_thread;
    struct sweep_of_store *sweep;
    struct aheads *aheads;
    struct imports_of_store *imports;
    struct control_of_store *control;
    struct ship_of_store *ship;
    struct follow_of_store *follow;
};

/* Ends a change of `ns` (its lock is held for writing; NULL: of the root): all that was noted
 * becomes one frame of the log. After a failure memory has a change that the log lacks, and the
 * store is read-only. The caller returns the error. */
int state_changed(struct txn *t, struct ns *ns);
/* The same after a change that ended with `err`: a failed change may have done something, too. */
static inline int change_done(struct txn *t, struct ns *ns, int err)
{
    int log_err = state_changed(t, ns);

    return err < 0 ? err : log_err;
}
/* May anything be changed? 0, -EROFS, -ESHUTDOWN; -EMFILE, -ENFILE, -ENOMEM as for state_lacks. */
int state_writable(struct state *p);
/* May the namespaces of the root be changed? Those of a follower may not: -EROFS. */
int state_root_writable(struct state *p);
/* Turns the store read-only, because what is on disk is not known any more. `what` says what
 * failed, static text. */
void state_turn_readonly(struct state *p, const char *what, int err);
/* Fills *ret with the settings of a GC cycle. */
void state_gc_config(struct state *p, struct gc_config *ret);
/* The settings in the tables and in the log (settings_kv.c). load reads them at a start: a damaged
 * one has its default, with a warning. set changes one and notes it for the log. write puts the
 * changed ones into a commit. restore takes one from the log; -EUCLEAN: there is no such setting,
 * or the value is out of its range. */
int settings_load(struct state *p);
int settings_set(struct state *p, enum setting which, int64_t value);
int settings_write(struct state *p, struct kv_txn *t);
int settings_restore(struct state *p, const char *key, size_t len, int64_t value);
int state_pin(struct state *p, uint64_t number, bool pin); /* true: pins, false: unpins (refs.h) */
/* The shortage (-errno) that puts off a part of the start, or 0. */
int state_lacks(struct state *p);
/* The error for a change while the store is unsettled. If the reason is a shortage, a flush is
 * begun, which may end it. */
int state_refuses(struct state *p);
/* Encodes the meta record "state". The caller holds the freeze lock for writing. */
void store_record_freeze(struct state *p, const struct log_pos *pos, uint8_t out[STORE_RECORD_LEN]);

/* Calls of state_events, for the mount. Each does nothing if no events are set. */
void event_stale(struct state *p, uint64_t nodeid);
void event_name(struct state *p, uint64_t nodeid, const char *name);
void event_bytes(struct state *p, uint64_t nodeid);
void event_rights(struct state *p, uint64_t nodeid);
void event_write_back(struct state *p, uint64_t nodeid);
bool event_describe(struct state *p, struct view_edge *ret); /* false: there is no edge */

/* Is work to end that can be done again, since the store closes, or will soon? */
static inline bool state_is_ending(struct state *p)
{
    return atomic_load(&p->closing) || atomic_load(&p->ending);
}

static inline int64_t now(struct state *p)
{
    return clock_now(p->clock);
}
static inline int64_t ticks(struct state *p)
{
    return clock_ticks(p->clock);
}
