// SPDX-License-Identifier: Apache-2.0
/*
 * project: one store, opened: its namespaces, contents, refcounts and flush, over a disk and a kv.
 *
 *     project_format(disk, kv, ...)            once
 *     project_open(&config, &p)
 *     vfs_*(p, ...), control_*(p, ...)          any thread
 *     project_close(p)                          flushes; afterwards everything is on disk
 *
 * store.h opens a directory of the machine; tests pass the in-memory disk and kv instead.
 *
 * THE LOCK TABLE. Outermost first; never take an earlier one while holding a later one. The name in
 * quotes is what a broken rule prints.
 *
 *   "release"      release.c      mutex   one who deletes dead bytes of other shards at a time
 *   "pool report"  pool_node.c    mutex   one report of a pool's node at a time, with its flush
 *   "flush run"    flush.c        mutex   without threads: one flush at a time
 *   "rotation"     coordinator.c  mutex   one rotation at a time
 *   "bury"         flush.c        mutex   one who deletes dead bytes at a time
 *   "seal"         flush.c        mutex   one sealing pass or freeze at a time
 *   "content sync" seal.c, slots.c  mutex  who hashes, syncs or seals the slot of one content
 *   "gc"           gc.c           mutex   what a GC cycle knows; held over a removal, too
 *   "gate"         project.c      rwlock  read: every change, from its first look to its last
 *                                         write; write: branch, drop, rotate - the instants
 *   "drop step"    tree/drop.c    mutex   one step of the dropper at a time
 *   "inode"        vnodes.c       rwlock  read: reading bytes; write: changing bytes or size of one
 *                                         inode; two inodes: lower nodeid first
 *   "namespace"    namespaces.c   rwlock  one namespace's tree; two: lower namespace number first
 *   "orphans"      vnodes.c       rwlock  the tree of unlinked inodes that are still open
 *   "names"        namespaces.c   rwlock  which namespaces exist, by name and number
 *   "inodes"       vnodes.c       mutex   the table of open inodes, and of those read natively
 *   "content"      contents.c     mutex   the bytes of one unsealed content
 *   "contents"     contents.c     mutex   the table of unsealed contents
 *   "kv_writer"    kv/kv_lmdb.c   mutex   the one transaction, from its beginning to its end
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
 *   "gone"         vfs_gone.c     mutex   attributes of inodes without a name; a leaf
 *   "log sync"     log_sync.c     mutex   who leads the log's sync, and who waits for it
 *   "log make"     log_make.c     mutex   one segment of the log made or trimmed at a time
 *   "settings"     project.c      mutex   settings that were changed
 *   "log"          log.c          mutex   the frames of the log, and the room for them; a leaf
 *   "pool index"   pool_index.c   mutex   which view of the pool is asked; a leaf
 *   "pool node"    pool_node.c    mutex   what status says of reports and cycles; a leaf
 *   "shards thread", "touches"    mutexes, leaves
 *   "jobs", "scrub", "sweep", "met", "stuck", "last reply", "control session", "pool",
 *   "pool_group"                  mutexes, leaves
 *   "shard dir", "shard files"    shard/shard_dir*.c mutexes  what a driver keeps open; leaves
 *   "coordinator", "ticket"       mutexes the flushes in flight; leaves, never held while flushing
 *   "flush"        flusher.c      mutex   who waits for a flush or for memory; a leaf likewise
 *   "durable"      durable.c      mutex   who is to be told that a change is durable; a leaf
 *
 * The mount has its own, in fs/: "ending" comes before all of these, the others ("defer", "sync",
 * "ring waiting", "ring done", "write back", "mode", "handles", "nodes", "passthrough", "waiting")
 * are leaves.
 *
 * Who waits for a flush (fsync, drain, throttled writers) holds none of them.
 */
#pragma once

#include "clock.h"
#include "disk.h"
#include "id.h"
#include "kv.h"
#include <stdbool.h>

struct project;
struct strbuf;

/* What the mount must tell the kernel. Called with no lock held, before the call that caused it
 * returns. */
struct view_edge;
struct project_events {
    /* Attributes that are kept of that nodeid are no longer true: it is a directory that has other
     * names now, or it is gone and answers -ESTALE. Names of the root are not kept for long, so
     * there is no message for names. */
    void (*stale)(void *ctx, uint64_t nodeid);
    /* Set-id bits of that nodeid are gone, or its ACL is another one, and the call that did it
     * gives no attributes back, or gives them to one who asked for something else: what is kept of
     * its mode, owner and ACL is no longer true. May be NULL. */
    void (*rights)(void *ctx, uint64_t nodeid);
    /* A branch, or a namespace that is frozen, is to have what was written to that nodeid through
     * shared mappings: have the kernel write it, and return then. */
    void (*write_back)(void *ctx, uint64_t nodeid);
    /* What is on disk can no longer be trusted, and the setting on_fatal says exit: end the mount,
     * without waiting here. Locks may be held. May be NULL. */
    void (*stop)(void *ctx);
    /* What a status says of the edge: all but the counts of requests (view.h). May be NULL. */
    void (*describe)(void *ctx, struct view_edge *ret);
    void *ctx;
};

/* The pool that several stores share, as one of them is given it (FORMAT.md, "Pool"). Packs and
 * files that it puts there have the numbers pool_number(node, life, 1, 2, ...): never used twice,
 * by nobody.
 */
struct project_pool {
    struct disk *disk; /* borrowed: the whole pool; config.disk is a route over it */
    unsigned node;     /* this store's number among the nodes: 1 ... POOL_NODE_MAX */
    uint32_t life;     /* of the store, a new one at each open: 1 ... POOL_LIFE_MAX */
    uint8_t token[16]; /* POOL_TOKEN_LEN; what nodes/N/node says as long as this life is its own */
    struct id_key key; /* of all members: equal bytes have equal ids */
};

/* What reading does to access times. */
enum project_atime {
    PROJECT_NOATIME = 1 << 0,     /* nothing */
    PROJECT_NODIRATIME = 1 << 1,  /* nothing to those of directories */
    PROJECT_STRICTATIME = 1 << 2, /* each reading moves them */
};

struct project_config {
    struct disk *disk; /* borrowed */
    struct kv *kv;     /* borrowed; opened with project_tables */
    const struct clock *clock;
    void (*fold)(struct id *id); /* tests: see id.h; NULL */
    unsigned atime;              /* bits of enum project_atime, 0: as relatime */
    bool background;             /* run the flusher and dropper threads; tests step by hand */
    unsigned threads;            /* sealing workers, 0: one per CPU */
    uint64_t log_segment;        /* bytes of a segment of the log, 0: as the setting says */
    bool accept_log_loss;        /* repair: of a damaged log what is before the damage is enough */
    bool *log_refused; /* set where the log is why it cannot be opened; may be NULL */
    const struct project_pool *pool; /* copied, but for the disk; NULL: all is the store's own */
};

/* The kv tables every project has, in the order the rest refers to them. */
extern const struct kv_table project_tables[];
extern const unsigned project_table_count;

#define PROJECT_LABEL_MAX 200 /* bytes of "org/project" */

/* Write the first records into an empty disk and kv: identity, keys, namespace "main" owned by
 * uid/gid. -EEXIST there is a project already. */
int project_format(struct disk *disk, struct kv *kv, const struct clock *clock, const char *label,
                   uint32_t uid, uint32_t gid);
/* The same for a node of a pool, whose key of ids it takes; NULL: one of its own. `disk` is the
 * route. */
int project_format_node(struct disk *disk, struct kv *kv, const struct clock *clock,
                        const char *label, uint32_t uid, uint32_t gid, const struct id_key *key);
/* -ENOENT no project here, -EUCLEAN damaged, -EPROTO written by a newer version, -EXDEV the pool is
 * not the one it was made with. Finishes what a crash left half done (dying objects, orphans,
 * slots) before it returns. */
int project_open(const struct project_config *config, struct project **ret_p);
/* Flush everything, stop the threads, free. The error says that the last flush failed (what was
 * not flushed is lost with the process). NULL is fine. */
int project_close(struct project *p);
/* The same; on failure `why` (may be NULL) says what was not flushed. */
int project_close_told(struct project *p, struct strbuf *why);
/* Free without flushing: the death of the process, for tests. */
void project_abandon(struct project *p);

/* NULL: from now on nobody is told. While calls are running it must not change what is set. */
void project_set_events(struct project *p, const struct project_events *events);
const char *project_label(struct project *p);
/* As config.atime, from now on. Any thread. */
void project_set_atime(struct project *p, unsigned how);

/* ---- flush: what makes changes durable (flush.c) ---- */

/* Make everything that was acknowledged before the call durable. Many callers share one flush.
 * -EROFS after a failed commit turned the store read-only; -ENOSPC, -EDQUOT, -EIO: nothing is lost,
 * it stays in memory and is tried again. */
int project_flush(struct project *p);
/* Make everything that was acknowledged before the call durable, in the log: what fsync needs, and
 * cheaper than a flush. Many callers share one sync. -EROFS, -EIO: it cannot be trusted any more;
 * -ENOSPC, -EDQUOT: a slot found no room, and it may be tried again. */
int project_sync(struct project *p);
/* project_flush, and wait until background drops are worked off and dead bytes are deleted.
 * timeout in ns, -1: none. *interrupted may be NULL; looked at every 50 ms. `idle`: until nothing
 * at all is pending, otherwise what was accepted before the call. -ETIMEDOUT: the time is over and
 * not all is done (drain.h says what is left); a disk that does not answer may make it late.
 * -EINTR. */
int project_drain(struct project *p, bool idle, int64_t timeout, const _Atomic bool *interrupted);
/* After an error of a flush or a drain: a sentence about what could not be made durable, and why.
 * Holding nothing. */
void project_describe_failure(struct project *p, int err, struct strbuf *out);
/* The number of the last change that is durable here, in the log or by a commit. */
uint64_t project_durable(struct project *p);
/* The number of the last change. */
uint64_t project_seq(struct project *p);
