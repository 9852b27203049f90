// SPDX-License-Identifier: Apache-2.0
/*
 * project_impl: what the files of core/project share. Nobody else includes this. Locks and their
 * order: project.h.
 */
#pragma once

#include "blame.h"
#include "capture.h"
#include "content.h"
#include "coordinator.h"
#include "drop.h"
#include "durable.h"
#include "gc.h"
#include "identity.h"
#include "flush_names.h"
#include "job.h"
#include "lock.h"
#include "log.h"
#include "map64.h"
#include "met.h"
#include "native.h"
#include "objects.h"
#include "pool.h"
#include "project.h"
#include "scrub_record.h"
#include "settings.h"
#include "stuck.h"
#include "sweep_record.h"
#include "tree.h"
#include "vfs.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

enum {
    TABLE_META,
    TABLE_PAGES,
    TABLE_PAGE_COUNTS,
    TABLE_OBJECTS,
    TABLE_IDS,
    TABLE_DYING,
    TABLE_PACKS,
    TABLE_NAMESPACES,
    TABLE_PINS,
    TABLE_DROPS,
    TABLE_SETTINGS,
    TABLE_GC,
    TABLE_GHOSTS,
    TABLE_SHARDS,
    TABLE_SHARD_PACKS,
    TABLE_COUNT,
};

/* ---- meta records (project.c, identity.h); check reads them, too ---- */

/* By which its shards know the store: says nothing of the secret, and tells members of one pool
 * (`node`; 0: in none) apart. */
void project_store_id(const uint8_t secret[ID_SECRET_LEN], int64_t created, unsigned node,
                      uint8_t ret[16]);

struct state {
    uint64_t seq, next_page, next_number, next_pack, next_ns, orphan_root, orphan_next;
    uint64_t epoch, log_segment, log_offset; /* where the log goes on behind this commit */
};
#define STATE_LEN 88
void state_encode(const struct state *s, uint8_t out[STATE_LEN]);
int state_decode(const void *val, size_t len, struct state *ret); /* -EUCLEAN */

/* ---- namespaces (namespaces.c, ns_drop.c) ---- */

struct ns {
    uint32_t number, generation; /* fixed */
    _Atomic uint32_t refs;       /* the tables hold one while it is live or the kernel knows it */
    _Atomic uint64_t nlookup;    /* kernel references on its nodeids */
    _Atomic uint32_t nopen;      /* open files in it, */
    _Atomic uint32_t nwriters;   /* of these for writing */
    bool live;                   /* names, write; false: dropped, everything is -ESTALE */
    char *name;                  /* names; its name at the root */
    char *target;                /* a symlink at the root: its target; NULL for a namespace */
    uint32_t uid, gid;           /* of such a symlink */
    int64_t time;                /* its creation, ns */
    struct rwlock lock;          /* "namespace": guards the rest */
    struct tree tree;
    struct capture_tap tap; /* of the tree, since the log is open */
    uint64_t recorded_root; /* gate; what the last freeze recorded */
    uint64_t next_ino;
    uint64_t seq; /* of its last change */
    bool frozen;  /* setting ns:NAME.frozen: no changes */
    bool verify;  /* setting ns:NAME.verify open: what the kernel will read is verified first */
    bool dirty;   /* record differs from the committed one */
    bool branched; /* fixed; it was another one's branch */
    _Atomic uint64_t flushes; /* that had changes of it, ever, */
    _Atomic int64_t flushed;  /* and when the last of them froze it, ns since the epoch; 0: none */
    _Atomic uint64_t pieces;  /* in how many its files were when they were last counted (du.h), */
    _Atomic bool pieces_told; /* and that this is many was said */
    struct ns *by_number_next, *by_name_next;
};

#define NS_BUCKETS 1024
#define NS_ROOT_INO VFS_TOP_INO

struct ns_table {
    struct rwlock lock; /* "names" */
    struct ns *by_number[NS_BUCKETS];
    struct ns *by_name[NS_BUCKETS];
    uint32_t next; /* number to try next */
    size_t live;
    struct map64 removed; /* numbers whose records the next commit deletes */
    int64_t mtime;        /* of the mount root */
};

/* Find by number; counts a reference. -ESTALE not live (or unknown). */
int ns_get(struct project *p, uint32_t number, struct ns **ret_ns);
/* The same, also a dropped one that the kernel or an open file still knows. */
struct ns *ns_get_any(struct project *p, uint32_t number);
int ns_get_by_name(struct project *p, const char *name, struct ns **ret_ns); /* -ENOENT */
struct ns *ns_ref(struct ns *ns);
void ns_put(struct project *p, struct ns *ns); /* NULL is fine */
/* May a namespace have that name? -ENAMETOOLONG, -EINVAL. */
int ns_check_name(const char *name);
/* Make an empty namespace with a root directory. Within a CHANGE_GUARD. */
int ns_create(struct project *p, const char *name, uint32_t mode, const struct vfs_cred *cred);
int ns_create_symlink(struct project *p, const char *name, const char *target,
                      const struct vfs_cred *cred);
/* Take gate (write) themselves. */
int ns_branch(struct project *p, const char *from, const char *to, uint64_t *ret_seq,
              uint32_t *ret_number);
/* -EBUSY with *ret_open files open unless `force`, or `only_empty`: then -ENOTEMPTY if it is
 * not. */
int ns_drop(struct project *p, const char *name, bool force, bool only_empty, bool only_symlink,
            uint32_t *ret_open);
int ns_rename(struct project *p, const char *name, const char *newname, unsigned flags);
/* Its files are in so many pieces (du.h): a branch in many is warned of, once. */
void ns_count_pieces(struct project *p, struct ns *ns, const char *name, uint64_t pieces);
/* A branch that was flushed very often, or was in very many pieces when they were last counted. */
bool ns_is_scattered(struct project *p, struct ns *ns);
/* How many files are open in it just now; none where there is no such namespace. */
uint32_t ns_open_files(struct project *p, const char *name);
/* The next namespace in name order after `after` (NULL: the first), referenced. -ENOENT. */
int ns_next(struct project *p, const char *after, struct ns **ret_ns);
/* By number, for readdir: live, number > after. */
int ns_next_number(struct project *p, uint32_t after, struct ns **ret_ns);
int ns_set_frozen(struct project *p, const char *name, bool frozen);
int ns_set_verify(struct project *p, const char *name, bool on_open);

/* Needs names (write). The name of a live namespace becomes `name`, which is its own then; returns
 * the old one. Nobody is asked whether the new one is taken. */
char *ns_table_rename(struct ns_table *t, struct ns *ns, char *name);
/* It is dropped, and its tree is to be worked off. The caller may be its last reference. -ENOMEM:
 * nothing happened. Needs names (write). */
int ns_table_remove(struct project *p, struct ns *ns);
/* Needs names (write); the struct is the table's afterwards. */
void ns_table_insert(struct ns_table *t, struct ns *ns);
/* A struct with a name and nothing else, the caller's. */
int ns_alloc(struct project *p, const char *name, struct ns **ret_ns);
void ns_discard(struct ns *ns); /* one that is in no table */
/* Changes of every namespace, and of the tree of orphans, are captured from now on. */
void ns_table_tap(struct project *p);
int ns_table_load(struct project *p);
void ns_table_release(struct project *p);

struct ns_record {
    uint32_t number;
    size_t len; /* 0: delete */
    uint8_t *bytes;
};
struct ns_records {
    struct ns_record *v;
    size_t count;
};
/* Encode what changed since the last freeze (gate held for writing). Kept until released. It counts
 * as changed until ns_table_frozen, with the gate held all the while: what fails between the two is
 * no loss. */
int ns_table_freeze(struct project *p, struct ns_records *ret);
void ns_table_frozen(struct project *p);
int ns_records_write(const struct ns_records *r, struct kv_txn *t);
void ns_records_release(struct ns_records *r);

struct ns_fields {
    char name[VFS_NAME_MAX + 1];
    char *target; /* malloc'd or NULL */
    uint32_t generation, uid, gid;
    uint64_t root, next_ino, seq;
    int64_t time, flushed;
    uint64_t flushes;
    bool frozen, verify, branched;
};
/* Returns the length. */
#define NS_RECORD_MAX (72 + VFS_NAME_MAX + 4096)
size_t ns_record_encode(const struct ns *ns, uint64_t root, uint8_t *out);
/* 0 or -EUCLEAN: is the record whole, and that of this number? check uses both, too. */
int ns_record_check(uint32_t number, const void *val, size_t len);
int ns_decode(const void *val, size_t len, struct ns_fields *ret);
/* What the record says; takes the target over. */
void ns_set_fields(struct ns *ns, uint32_t number, struct ns_fields *f);

/* ---- open inodes (vnodes.c) ---- */

struct vnode {
    uint64_t nodeid;
    struct ns *ns;    /* referenced */
    unsigned refs;    /* inodes */
    unsigned opens;   /* inodes; open files */
    unsigned writers; /* inodes; of these for writing */
    unsigned cuts;    /* inodes; changes of its size that need no open file, in flight */
    struct rwlock io; /* "inode": bytes and size */
    _Atomic unsigned uncached; /* open files that are written past the caller's cache */
    _Atomic bool read_beside;  /* written under io; and somebody has read it since */
    struct vfs_stale *stale;   /* io; what their caches may have as it was */
    uint64_t orphan;  /* ns->lock; inode number in the orphan tree, 0: has names */
    bool linkable;    /* ns->lock; an orphan that never had a name, and may get one */
    uint64_t version; /* io; changes of its bytes since this struct was made */
    struct vnode *next;
};

#define VNODE_BUCKETS 4096
struct vnode_table {
    struct mutex lock; /* "inodes" */
    struct vnode *bucket[VNODE_BUCKETS];
    size_t count;
};

struct orphans {
    struct rwlock lock; /* "orphans" */
    struct tree tree;
    struct capture_tap tap;
    uint64_t next_ino;
};

/* The open inode of a nodeid, made if there is none. The namespace may be dead (-ESTALE then,
 * unless it is open already). */
int vnode_get(struct project *p, uint64_t nodeid, struct vnode **ret_v);
void vnode_put(struct project *p, struct vnode *v);
void vnode_open(struct project *p, struct vnode *v, bool write);
void vnode_count_open(struct project *p, struct vnode *v, bool write); /* "inodes" is held */
/* *ret_last: nobody has it open any more. */
void vnode_close(struct project *p, struct vnode *v, bool write, bool *ret_last);
/* Have the kernel write back what is dirty in mappings of files open for writing in `ns`. Holding
 * nothing. -ENOMEM. */
int vnodes_write_back(struct project *p, const struct ns *ns);
bool vnode_is_open(struct project *p, uint64_t nodeid, bool for_writing);
/* Where an inode's items are. Needs v->ns->lock; for an orphan also takes orphans.lock. */
struct items {
    struct tree *tree;
    uint64_t ino;
    struct ns *ns; /* whose lock is held */
    bool orphan, write;
};
int items_lock(struct project *p, struct vnode *v, bool write, struct items *ret);
void items_unlock(struct project *p, struct items *it);
/* The same in the middle of a change, which has touched nothing yet that others see: what was
 * captured waits for the frame. */
void items_leave(struct project *p, struct items *it);
/* The last name of an inode went while it is open: move its items to the orphan tree. Needs
 * ns->lock (write). *ret_moved false: nobody has it open. */
int orphan_adopt(struct project *p, struct ns *ns, uint64_t ino, bool *ret_moved);
/* Make an inode that has no name: its items begin in the orphan tree. Needs ns->lock (write). */
int orphan_create(struct project *p, struct vnode *v, const struct inode *in, bool linkable);
/* It gets its first name: its items move to its namespace. Needs ns->lock (write). */
int orphan_return(struct project *p, struct vnode *v);
/* All open inodes of a namespace become orphans (forced drop), each with so many bytes of
 * operations at most. Needs ns->lock (write). */
#define ADOPT_ROOM ((size_t)2048)
int orphan_adopt_all(struct project *p, struct ns *ns);
int inode_load(const struct tree *t, uint64_t ino, struct inode *ret);
int inode_store(struct tree *t, uint64_t ino, const struct inode *in);

/* ---- any number of items of one inode (items.c); the tree's lock is held for writing ----
 *
 * One operation for the log. `p` replays if the trees have no taps. */

struct key_range {
    struct key from, to; /* from ≤ k < to; of the same inode */
};
static inline struct key_range range_of_inode(uint64_t ino)
{
    return (struct key_range){{ino << 6, 0}, {ino << 6 | 63, UINT64_MAX}};
}
/* Its items of one type from `rest` on. */
static inline struct key_range range_of_items(uint64_t ino, enum item_type type, uint64_t rest)
{
    return (struct key_range){key_make(ino, type, rest), key_make(ino, type, UINT64_MAX)};
}
/* Delete them. What the first thousand name loses its references at once, the rest once the drop
 * queue is worked off. After a failure those that are left are the last ones. */
int items_cut(struct project *p, struct tree *t, struct key_range r);
/* Copy them to inode `ino`, which has none of the kind, of the same tree or another: what they name
 * gets one reference more. All or none. */
int items_copy(struct project *p, const struct tree *from, struct key_range r, struct tree *to,
               uint64_t ino);
bool items_any(const struct tree *t, struct key_range r);
/* Delete the few items of an inode that is not complete. */
int items_delete(struct tree *t, uint64_t ino);

/* ---- inodes without a name that the kernel still has (vfs_gone.c) ---- */

#define GONE_BUCKETS 1024
#define GONE_MAX 65536
struct gone_table {
    struct mutex lock; /* "gone" */
    struct gone *bucket[GONE_BUCKETS];
    _Atomic size_t count;
};

/* The items of that inode are deleted: keep its attributes (or keep others) until it is forgotten.
 * Without memory, or with GONE_MAX of them, nothing is kept. */
void gone_keep(struct project *p, uint64_t nodeid, const struct inode *in);
int gone_load(struct project *p, uint64_t nodeid, struct inode *ret); /* -ESTALE: not kept */
void gone_forget(struct project *p, uint64_t nodeid);
void gone_release(struct project *p);

/* ---- flush (flush.c: the steps; flusher.c: when, and who waits) ---- */

/* A frozen state, from its rotation to its commit; whoever the coordinator lets work on it. */
struct batch {
    uint64_t seq;           /* of the last change in it */
    struct log_pos log_pos; /* where the log goes on behind it */
    char *name;             /* that the flush was given, and when; or NULL */
    int64_t time;
    struct ns_records ns_records;
    struct slot_list slots;
    struct map64 sealed_slots; /* numbers whose slot name goes after its commit */
    uint8_t state[STATE_LEN];  /* the meta record */
};

#define FLUSH_RATE_OF 16

/* What a flush of the coordinator is begun with. */
struct flush_ask {
    enum seal_what what;
    const char *name; /* or NULL */
};

struct flusher {
    struct mutex lock; /* "flush": a leaf */
    struct cond wake, done;
    struct mutex run;  /* "flush run": without threads, one flush at a time */
    struct mutex bury; /* "bury": one who deletes dead bytes at a time */
    struct mutex seal; /* "seal": one sealing pass or freeze at a time */
    struct coordinator *coordinator;
    /* By number modulo; changed under lock, looked into by who works on it, or under lock. */
    struct batch *batch[COORDINATOR_MAX];
    struct flush_label {
        uint64_t number;
        char *name;
    } label[TICKETS_KEPT];            /* lock; by number modulo */
    struct flush_names names;         /* lock; committed */
    uint64_t started, finished;       /* runs of the flush thread; lock */
    int result;                       /* of the last one: of its rotation; lock */
    struct ticket *ticket;            /* of the last one that rotated; lock */
    bool kicked, urgent, stop;        /* lock */
    bool kick_drops;                  /* lock */
    unsigned in_flight;               /* lock; batches */
    size_t waiting;                   /* lock; writers that wait for memory, */
    int64_t waited_ns;                /* lock; and all that was ever waited so */
    _Atomic uint64_t buried;          /* dead ones deleted */
    _Atomic uint64_t logged;          /* bytes of frames since the last freeze */
    int slot_error;                   /* seal; of the last pass: a slot could not be sealed */
    uint64_t durable_seq;             /* lock */
    uint64_t commits, failed;         /* lock */
    uint64_t limits;                  /* lock; how often one of memory was set */
    _Atomic uint64_t committed;       /* commits, told before anything of them looks clean */
    int error;                        /* lock; of the last failure; 0: a commit came after it */
    struct blame blame[BLAME_KINDS];  /* lock */
    int64_t commit_at[FLUSH_RATE_OF]; /* lock; monotonic ns; of the last commits, a ring */
    int64_t last_commit;              /* lock; realtime ns */
    _Atomic int64_t plenty_until;     /* monotonic ns; the disk need not be asked for room before */
    pthread_t flush_thread, drop_thread;
    bool threads_running;
    size_t slots_wait; /* so many open slots make writers wait; set at start */
};

/* How many files may be open; once, before anything is changed. */
void flush_know_limits(struct project *p);
/* A change failed with the shortage `err`: a flush closes slots and frees memory. 0: worth a second
 * try. Holding nothing. */
int flush_short(struct project *p, int err);

/* Wait (holding nothing) while too much is unflushed. The last flush's error if it cannot go down.
 */
int flush_throttle(struct project *p);
/* Would neither flush_throttle nor flush_room wait? */
bool flush_lets_go_on(struct project *p);
/* For what can be left undone instead of waiting: is there memory for a change? */
bool flush_takes_more(struct project *p);
/* Is there room for new data? -ENOSPC keeps a reserve free, so that what was acknowledged can be
 * committed and removing can give space back. Holding nothing. */
int flush_room(struct project *p);
/* And for so many bytes beside. */
int flush_room_for(struct project *p, uint64_t bytes);
/* Bytes of that reserve. */
uint64_t flush_reserve(const struct disk_space *s);
/* One flush, now, and its end; the error of an attempt that fails meanwhile. */
int flush_run(struct project *p, enum seal_what what);
/* Its end is waited for so long (ns, -1: whatever it takes): -ETIMEDOUT, -EINTR, and it goes on. To
 * begin it can take longer. */
int flush_run_for(struct project *p, enum seal_what what, int64_t timeout,
                  const _Atomic bool *interrupted);
/* The same without waiting for its end (where there are no threads it is done). */
int flush_begin(struct project *p, enum seal_what what, struct ticket **ret_ticket);
/* Under a name (NULL: none) of 1 to FLUSH_LABEL_MAX bytes, which is committed with it. */
int flush_begin_named(struct project *p, enum seal_what what, const char *name,
                      struct ticket **ret_ticket);
/* The name of flush `number`; kept as long as its ticket. */
int flush_set_label(struct project *p, uint64_t number, const char *name, struct batch *b);
/* Append the names of those batches. False: they have none. */
bool flush_add_names(struct project *p, uint64_t first, uint64_t last, struct flush_names *to);
int flush_write_names(struct project *p, uint64_t first, uint64_t last, struct kv_txn *t);
bool flush_get_label(struct project *p, uint64_t number, char out[FLUSH_LABEL_MAX + 1]);
/* Does the slot of `number` have a name only until a commit that has its bytes elsewhere? The gate
 * is held. */
bool flush_has_slot(struct project *p, uint64_t number);
/* Delete up to `max` dead whose removal is durable; how many. */
size_t flush_bury(struct project *p, size_t max);
int flush_open(struct project *p);
/* What is frozen and not committed is dropped. */
void flush_release(struct project *p);
/* Commits a second, over the last ones. Needs flush.lock. */
double flush_rate(struct project *p);
/* Needs flush.lock: something failed, or a commit came. */
void flush_note(struct project *p, int err);
void flush_kick(struct project *p);
void flush_kick_drops(struct project *p);
/* Settings that the flusher, or who waits for it, waits by. At the start. */
void flusher_watch(struct project *p);
int flush_start_threads(struct project *p);
void flush_stop_threads(struct project *p);
/* Is nothing at all pending? (drain.c) */
bool flush_is_idle(struct project *p);
/* Pages of one step of a drop: whoever wants the gate for writing waits for it, and everybody else
 * for that one. */
#define DROP_AT_ONCE 4

/* ---- GC cycles (gc_store.c) ---- */

struct gc_of_store {
    struct gc *gc;
    _Atomic bool running;    /* a cycle, to the end of what follows it */
    uint64_t node;           /* this store's number among nodes */
    bool unsettled;          /* likewise; what one took out of tables is not committed */
    bool recount_due;        /* by the one cycle that runs; pages went, what they held did not */
    _Atomic uint64_t report; /* serial of its last report, of this process */
    /* What earlier cycles found cannot be read: no cycle may delete by it. 0: all is well. */
    int damage;
    _Atomic uint64_t leaks, leaked_bytes; /* as the last cycle left them */
    _Atomic uint64_t collected;           /* by all cycles since the start */
    /* The last cycle: shards that it could not look through, names there that are not the
     * store's. */
    _Atomic uint64_t shards_away, foreign;
};

/* What earlier cycles knew is read. Damage there is reported, and only keeps cycles from
 * running. */
int project_gc_open(struct project *p);
void project_gc_config(struct project *p, struct gc_config *ret);
/* One cycle, in a pool one of the store's own leaks and then one of the pool's; `j` may be NULL.
 * `grace` < 0: as the setting says. *ret is the caller's to release: in a pool the sums of both,
 * with the number, the nodes and the eligible ones of the pool's, unless that failed before it
 * began. Holding nothing. -EUCLEAN what earlier ones knew is damaged, or a table of the store is;
 * -EBUSY another one runs; -EROFS; -ECANCELED. The lines of the job say what a dry run would
 * collect. */
int project_gc(struct project *p, struct job *j, bool dry_run, int64_t grace,
               struct gc_result *ret);
/* The nodes, this store's own among them, also before the first cycle; free *ret_v. */
int project_gc_nodes(struct project *p, struct gc_node_info **ret_v, size_t *ret_count);

/* ---- compaction (compact.c) ---- */

struct compacting {
    _Atomic bool running;
    _Atomic int64_t looked;       /* monotonic ns: when it was last asked whether one is due */
    _Atomic unsigned vain;        /* runs on end that got rid of no pack: the next is asked later */
    _Atomic uint64_t packs, bytes; /* rewritten, and copied, since the start */
    /* Of a pool: dead in packs of others that this store should leave, as of that list of marks. */
    _Atomic uint64_t elsewhere;
    uint64_t serial; /* the node's thread alone */
};

struct compact_result {
    uint64_t packs;   /* that are gone, or, of others in a pool, not needed any more */
    uint64_t records; /* moved, */
    uint64_t bytes;   /* of payload that was copied for it */
    uint64_t freed;   /* bytes of files that went, less what was written for them */
};
/* Rewrite the packs of which less than `below` percent is alive, and with `thorough` as many more
 * as it takes until less than 5 % of all is dead. One after the other: its records are copied, the
 * new places are committed, then it goes. In a pool also packs of others whose records were mostly
 * removed: what this store needs of them it takes elsewhere. Holding nothing; `j` may be NULL.
 * -EBUSY another one runs; -ENOSPC, -EIO: what was done stays; -ECANCELED, -EROFS. */
int project_compact(struct project *p, struct job *j, unsigned below, bool thorough,
                    struct compact_result *ret);
/* Begin one as a job, if there is a pack below `compact_below`, and enough is dead at all. Asked
 * again and again; looks at most every COMPACT_EVERY. */
#define COMPACT_EVERY (60 * NSEC_PER_SEC)
#define COMPACT_DUE_PART 4 /* a 4th of `pack_size` is dead at least, for one that nobody asks for */
void compact_if_due(struct project *p);
/* `compact_below` counts from now on. At the start. */
void compact_watch(struct project *p);
/* In a pool: after a list of marks was read, look whether packs of others make one due. */
void compact_look_at_pool(struct project *p, uint64_t serial);

/* ---- scrubs (scrub.h) ---- */

struct scrub_of_store {
    struct mutex lock; /* "scrub": a leaf; guards the rest */
    uint64_t job;      /* that runs one; 0: none does */
    struct scrub_record record;
    struct strbuf lines; /* what the last one said of damage, as much as SCRUB_LINES */
};

/* ---- other shards (move.h) ---- */

struct moving {
    struct mutex lock; /* "move" */
    struct cond changed;
    struct move *first; /* at work: one for each target; lock */
    _Atomic bool any;   /* there are ghosts, or may be since the start */
};

struct releasing {
    struct mutex lock;         /* "release": one pass at a time */
    uint16_t told;             /* lock; the last shard of which a failure was reported */
    _Atomic uint64_t released; /* since the start */
    _Atomic bool stop;
};

struct shards_thread {
    struct mutex lock; /* "shards thread": a leaf; guards the rest */
    struct cond wake;
    bool kicked, stop, started;
    pthread_t thread;
    /* Another one looks for those that are away when somebody asks for them: it may take long. */
    struct cond look, looked;
    uint64_t wanted, begun, done; /* looks */
    bool looker_started;
    pthread_t looker;
};

/* What was opened today and is to be remembered (touch.c). */
#define TOUCH_SEEN 8192
struct touches {
    struct mutex lock; /* "touches": a leaf; guards the rest */
    uint16_t day;      /* of `seen` */
    uint64_t seen[TOUCH_SEEN];
    struct touched {
        uint64_t key; /* an object's number, or the nodeid of a file in pieces */
        bool inode;
    } *v;
    size_t count, room;
};

/* A file with this inode was opened. Never waits, and nothing is read for it. */
void touch_opened(struct project *p, uint64_t nodeid, const struct inode *in);
void touch_object(struct project *p, uint64_t number);
/* The day goes into the entries: before a flush, holding nothing. */
void touches_apply(struct project *p);
void touches_release(struct project *p);
/* Days since 1970 by the store's clock; at least 1: 0 is unknown. */
uint16_t touch_today(struct project *p);

/* ---- sweeps (sweep.h) ---- */

struct sweep_of_store {
    struct mutex lock;          /* "sweep": a leaf; guards what is not atomic or fixed */
    bool running;
    uint64_t job;               /* that runs it; 0: none */
    int64_t begun;              /* the last one, realtime ns, in this process */
    struct ghost_report now;    /* of the one that runs */
    struct sweep_record record;
    int damage;                 /* of what was remembered, fixed: no sweep runs. 0: all is well */
    _Atomic uint64_t purged;    /* ghosts that went, and are not in the record yet */
};

/* ---- the project ---- */

/* What this start took from the log. */
struct replayed {
    uint64_t changes, first, last; /* numbers of the first and the last of them */
    uint64_t bytes;                /* of operations */
};

struct project {
    struct project_config config;
    _Atomic unsigned atime; /* config.atime, or what it was changed to */
    const struct clock *clock;
    struct id_key id_key;
    struct name_key name_key;
    struct sip_key cookie_key;
    char label[PROJECT_LABEL_MAX + 1];
    int64_t created;
    int64_t opened; /* monotonic ns */
    struct project_events events;
    _Atomic bool has_events;

    struct rwlock gate;    /* "gate" */
    _Atomic uint64_t seq;  /* of the last change */
    _Atomic bool readonly; /* a commit or a part of a start failed, and nobody knows how far */
    _Atomic bool promised; /* the tables say that a log of this epoch must be there */
    _Atomic(const char *) readonly_what; /* which, or NULL; static text, */
    _Atomic int readonly_err;            /* and its error */
    _Atomic bool closing;

    struct pages *pages;
    struct refs *refs;
    struct packs *packs;
    struct objects *objects;
    struct shards *shards;
    struct shard_packs *shard_packs;
    struct drops *drops;
    struct pool *pool; /* of workers */
    const struct project_pool *shared; /* the pool of bytes: &shared_pool; NULL: a store alone */
    struct project_pool shared_pool;
    struct pool_node *node; /* its part in that pool (pool_node.h); NULL likewise */
    struct log *log; /* NULL until what it has is replayed */
    uint64_t epoch;  /* of the log */
    struct durable_watches durable;
    bool recovered; /* there was one */
    /* What it said is not committed yet: no change may come after it, since frames of this epoch
     * are read only behind a commit. */
    _Atomic bool unsettled;
    _Atomic bool unsettled_told; /* it could not be committed at once */
    struct replayed replayed; /* by this mount; fixed once it is open */

    struct ns_table names;
    struct vnode_table vnodes;
    struct native_table natives;
    _Atomic uint32_t nwriters; /* files open for writing */
    struct orphans orphans;
    struct gone_table gone;
    struct content_table contents;
    struct settings settings;
    struct map64 settings_changed; /* settings_lock; setting + 1 -> value, to be committed */
    struct mutex settings_lock;    /* "settings" */
    struct flusher flush;
    struct jobs jobs;
    struct gc_of_store gc;
    _Atomic bool recounting; /* a rebuild, from its snapshot until its corrections are made */
    struct compacting compacting;
    struct scrub_of_store scrub;
    struct moving moving;
    struct releasing releasing;
    struct shards_thread shards_thread;
    struct touches touches;
    struct sweep_of_store sweep;
    struct met_of_store met;
    struct stuck stuck;

    struct mutex last_reply_lock; /* "last reply" */
    char *last_reply;             /* of the control file */
};

/* A change happened to `ns` (its lock held for writing; NULL: to the root): all that was captured
 * becomes one frame of the log. On failure memory has a change that the log has not, and the store
 * is read-only: the caller's answer is the error. */
int project_changed(struct project *p, struct ns *ns);
/* The same after a change that ended with `err`: also a failed one may have done something. */
static inline int change_done(struct project *p, struct ns *ns, int err)
{
    int r = project_changed(p, ns);

    return err < 0 ? err : r;
}
/* May anything be changed? 0, -EROFS, -ESHUTDOWN. */
int project_writable(struct project *p);
/* What is on disk can no longer be known: no change is taken from now on. `what`: static text. */
void project_turn_readonly(struct project *p, const char *what, int err);
int settings_load(struct project *p);
int settings_set(struct project *p, enum setting which, int64_t value);
int settings_write(struct project *p, struct kv_txn *t);
int settings_restore(struct project *p, const char *key, size_t len, int64_t value); /* -EUCLEAN */
int project_pin(struct project *p, uint64_t number, bool pin);          /* or unpin; refs.h */
/* The order in which a start puts together what the last commit, the log and the disk have
 * (recover.c). Afterwards the log is open. */
int project_recover(struct project *p, const struct state *s);
/* Commit what that found, if there was anything: before anybody may change something. Where that
 * fails nothing may be changed until a later flush has done it. */
void project_settle(struct project *p);
/* A commit is there. */
void project_settled(struct project *p);

/* Encode the meta record "state". */
void state_freeze(struct project *p, const struct log_pos *pos, uint8_t out[STATE_LEN]);

void event_stale(struct project *p, uint64_t nodeid);
void event_rights(struct project *p, uint64_t nodeid);
void event_write_back(struct project *p, uint64_t nodeid);
void event_stop(struct project *p);
bool event_describe(struct project *p, struct view_edge *ret); /* false: there is no edge */

static inline int64_t now(struct project *p)
{
    return clock_now(p->clock);
}
static inline int64_t ticks(struct project *p)
{
    return clock_ticks(p->clock);
}
