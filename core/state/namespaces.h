// SPDX-License-Identifier: Apache-2.0
/* namespaces: the namespaces of an open store, by name and by number (namespaces.c, ns_table.c).
 * A hidden one is not in the root: it has a number and a tree as any other, and is found by what it
 * is kept of. The room branch makes, hides and drops them. */
#pragma once

#include "capture.h"
#include "lock.h"
#include "map64.h"
#include "ns_record.h"
#include "ns_settings.h"
#include "tree.h"
#include "vfs_types.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct state;

struct ns {
    uint32_t number, generation; /* fixed */
    _Atomic uint32_t refs;       /* the tables have one while it is live or the kernel knows it */
    _Atomic uint64_t nlookup;    /* kernel references on its nodeids */
    _Atomic uint32_t nopen;      /* open files in it */
    _Atomic uint32_t nwriters;   /* open files that are open for writing */
    bool live;                   /* names; false: it was dropped, and every call returns -ESTALE */
    char *name;                  /* names; its name at the root; of a snapshot that of the snapshot;
                                  * of others that are hidden the name that its tree had there */
    struct ns_hidden hidden;     /* names; kind NS_VISIBLE: it is in the root */
    char *target;                /* fixed; the target of a symlink at the root; NULL: a namespace */
    uint32_t uid, gid;           /* fixed; owner of such a symlink */
    int64_t time;                /* fixed; its creation, ns since the epoch */
    struct rwlock lock;          /* "namespace": guards the fields below that say nothing else */
    struct tree tree;
    struct capture_observer observer; /* observer of the tree, once the log is open */
    struct usage unlinked;            /* of its inodes in the orphan tree */
    /* Limits of what its inodes take, also of those (settings quota and quota_files; 0: none).
     * Changed with the freeze lock held for writing. */
    _Atomic uint64_t limit_bytes, limit_inodes;
    /* bytes by which writes that are under way will make it larger: each holds the freeze lock */
    _Atomic uint64_t promised;
    uint64_t recorded_root; /* freeze; the root that the last freeze recorded */
    struct usage recorded;  /* freeze; and the usage */
    /* the inode numbers from next_ino to ino_end - 1 are its own (ns_need_ino) */
    uint64_t next_ino, ino_end;
    struct map64 node_of, ino_of; /* inodes that have other nodes than their own (vnodes.h) */
    bool run_unlogged;            /* no number of that run is given yet, and no frame has the run */
    uint64_t seq;                 /* number of its last change */
    bool frozen;                  /* setting ns:NAME.frozen: nothing may be changed */
    _Atomic bool followed; /* it is as an archive has it, and only the room follow changes it */
    bool verify;   /* setting ns:NAME.verify is open: what the kernel will read is verified first */
    bool dirty;    /* its record differs from the committed one */
    bool branched; /* fixed; it was made as a branch */
    /* true: the tree's usage is that of all its inodes; false: only of what changed since it was
     * read from a record without usage (usage.h) */
    bool counted;
    struct ns_instant origin; /* fixed; as in its record (ns_record.h) */
    struct ns_instant base;   /* (freeze for writing, names); likewise */
    uint64_t own_ino;
    struct ns_tail *tail;     /* owned; NULL: none */
    _Atomic uint64_t flushes; /* flushes that ever had changes of it */
    _Atomic int64_t flushed;  /* when the last of them froze it, ns since the epoch; 0: none */
    _Atomic uint64_t pieces;  /* pieces of its files when they were last counted (du.h) */
    /* bytes that a drop of it would have given back when du.h last looked; and when that was, ns
     * since the epoch, 0: not since the start */
    _Atomic uint64_t frees;
    _Atomic int64_t frees_looked;
    _Atomic bool pieces_told;  /* it was reported that these are many */
    _Atomic bool flushes_told; /* likewise, of `flushes` */
    _Atomic bool shown; /* others could read its snapshots since the store was opened (snapdir) */
    /* Of one in the trash (kept.h): bytes that it alone holds, and when that was found out, in ns
     * since the epoch and as the number of the store's last change; 0: never. names */
    struct {
        uint64_t bytes, seq;
        int64_t time;
    } alone;
    struct ns *by_number_next, *by_name_next;
};

/* Is nobody to change it? The caller keeps `frozen` as it is. */
static inline bool ns_is_fixed(const struct ns *ns)
{
    return ns->frozen || atomic_load(&ns->followed);
}

#define NS_BUCKETS 1024
#define NS_ROOT_INO VFS_TOP_INO

struct ns_table {
    struct rwlock lock; /* "names": guards the table */
    struct ns *by_number[NS_BUCKETS];
    struct ns *by_name[NS_BUCKETS];
    struct ns *hidden[NS_BUCKETS]; /* by the number of what they are kept of */
    uint32_t next;                 /* the number to try next */
    size_t live;                   /* those in the root */
    struct map64 removed;          /* numbers whose records the next commit deletes */
    struct ns_settings settings;
    int64_t mtime; /* modification time of the mount root, ns since the epoch */
};

/* Finds a namespace by number, with a reference. -ESTALE: it is not live, or not known. */
int ns_get(struct state *p, uint32_t number, struct ns **ret_ns);
/* The same, also for a dropped namespace that the kernel or an open file still knows. NULL: there
 * is none. */
struct ns *ns_get_any(struct state *p, uint32_t number);
/* with a reference; -ENOENT */
int ns_get_by_name(struct state *p, const char *name, struct ns **ret_ns);
void ns_put(struct state *p, struct ns *ns); /* gives a reference back; NULL is fine */
/* Can that be the name of a namespace? -ENAMETOOLONG, -EINVAL: it is no name of a file, or
 * `.tally`. */
int ns_check_name(const char *name);
/* May one get that name? -EINVAL also if it has an '@', by which people name what is kept of one
 * (ns_find.h). Older versions did not refuse that, so there may be such names. */
int ns_check_new_name(const char *name);
/* Makes an empty namespace with a root directory. -EEXIST, -EMFILE: there are VFS_NS_MAX;
 * -ENAMETOOLONG, -EINVAL. */
int ns_create(struct txn *t, const char *name, uint32_t mode, const struct vfs_cred *cred);
/* The same, hidden as a draft (branch/ns_draft.h). *ret_ns has a reference for the caller. */
int ns_create_draft(struct txn *t, const char *name, struct ns **ret_ns);
int ns_create_symlink(struct txn *t, const char *name, const char *target,
                      const struct vfs_cred *cred);
/* Gives a new namespace a number and a place in the table, and notes the frame that makes it.
 * Nobody finds it before the log has it. `from` is what it is a branch of, or NULL. On success the
 * table owns it. -EEXIST: another one in the root has the name; -EMFILE, -ENOENT. The change is
 * alone if there is a `from`. */
int ns_publish(struct txn *t, struct ns *ns, const struct ns *from);
/* Is its root directory empty? 0, -ENOTEMPTY, or an error. The caller holds ns->lock. */
int ns_is_empty(struct ns *ns);
/* Notes in how many pieces its files are (du.h). A branch in many pieces is warned of once. */
void ns_count_pieces(struct state *p, struct ns *ns, const char *name, uint64_t pieces);
/* Is it a branch that was flushed very often, or was in very many pieces when they were last
 * counted? */
bool ns_is_scattered(struct state *p, struct ns *ns);
/* Finds a hidden one by its kind, by number and generation of what it is kept of, and by its name;
 * or if `name` is NULL by the sequence number of `of`. With a reference. -ENOENT */
int ns_get_hidden(struct state *p, enum ns_kind kind, const struct ns_instant *of, const char *name,
                  struct ns **ret_ns);
/* Is that an instant of the namespace? */
static inline bool ns_is_of(const struct ns_instant *i, const struct ns *ns)
{
    return i->ns == ns->number && i->generation == ns->generation;
}
/* All hidden ones, and those that are kept of one namespace, each once and in no order: the one
 * after `after` (NULL: the first). NULL: there are no more. The caller holds "names". */
struct ns *ns_next_hidden(struct state *p, const struct ns *after);
struct ns *ns_next_kept(struct state *p, const struct ns *of, const struct ns *after);
/* The next namespace in the order of names, after `after` (NULL: the first), with a reference.
 * -ENOENT. */
int ns_next(struct state *p, const char *after, struct ns **ret_ns);
/* The same by number: the next live one above `after`, also a hidden one. */
int ns_next_number(struct state *p, uint32_t after, struct ns **ret_ns);
/* Inode numbers are those of the store. A namespace takes them in runs, and no other namespace
 * gives a number of its run. So two files never get one number, in whatever namespaces; and what
 * both sides of a branch have under one number is one file. A frame of the log has each run. Not
 * every number is in a frame: a file without a name has one, too. So what is left of the runs is
 * given up after the death of the daemon.
 *
 * After ns_need_ino, ns->next_ino is a free number. It is no change: a run of which no number is
 * given is forgotten. -ENOSPC: the store has given all numbers. The caller holds ns->lock for
 * writing. */
int ns_need_ino(struct state *p, struct ns *ns);
/* Gives that number to an inode, and returns it. The first number of a run notes the run for the
 * frame of the change. The caller holds ns->lock for writing, by a txn if there is a log. */
uint64_t ns_give_ino(struct ns *ns);
/* The number `ino` is used in the namespace, whoever gave it. If it was not in the namespace's run,
 * the run ends there. */
void ns_saw_ino(struct state *p, struct ns *ns, uint64_t ino);
/* Gives up the runs of all namespaces, at a start after a death. No thread uses them yet. */
void ns_leave_runs(struct state *p);
/* Takes the locks of two different namespaces for reading, the lower number first; and gives them
 * back. */
void ns_rdlock_two(struct ns *a, struct ns *b);
void ns_rdunlock_two(struct ns *a, struct ns *b);
/* What of a namespace is on or off. */
enum ns_switch { NS_FROZEN, NS_VERIFY };
int ns_set_switch(struct state *p, const char *name, enum ns_switch which, bool on);

/* Gives a live namespace the name `name`, which it takes over, and returns the old one, which the
 * caller frees. It does not check whether the name is taken. The caller holds "names" for
 * writing. */
char *ns_table_rename(struct ns_table *t, struct ns *ns, char *name);
/* Hides a live namespace, or shows it again under the name that it has, which is free, or changes
 * what is noted of it. The caller holds "names" for writing. */
void ns_table_hide(struct ns_table *t, struct ns *ns, const struct ns_hidden *hidden);
/* Is it not in the root? The caller does not hold "names". */
bool ns_is_hidden(struct state *p, const struct ns *ns);
/* Is a visible namespace of that name there? The caller holds "names". */
bool ns_table_has_name(struct ns_table *t, const char *name);
/* Removes a dropped namespace from the names, and puts its tree into the drop queue. The caller may
 * have its last reference. -ENOMEM: nothing happened. The caller holds "names" for writing. */
int ns_table_remove(struct state *p, struct ns *ns);
/* The live namespace of that number; NULL: there is none. The caller holds "names". */
struct ns *ns_table_get(struct ns_table *t, uint32_t number);
/* The namespace gets the tree of the draft, which keeps it as well; its own tree goes. It has the
 * inode numbers of both. The change is alone, or nobody else uses the state yet. -ENOMEM, -EIO */
int ns_tree_take(struct state *p, struct ns *ns, const struct ns *draft);
/* Puts a namespace into the table, which owns it afterwards. The caller has seen to it
 * that its number has no settings of an earlier one, and holds "names" for writing. */
void ns_table_insert(struct ns_table *t, struct ns *ns);
/* Makes a struct with a name and nothing else, which the caller owns. -ENOMEM */
int ns_alloc(struct state *p, const char *name, struct ns **ret_ns);
void ns_discard(struct ns *ns); /* frees one that is in no table */
/* From now on the changes of every namespace, and of the tree of orphans, are noted for the log. */
void ns_table_observe(struct state *p);
int ns_table_load(struct state *p);
void ns_table_release(struct state *p);

/* A row of the table of namespaces, or of that of their settings. */
struct ns_record {
    uint32_t number;
    size_t len;
    uint8_t *bytes;                        /* NULL: delete the row */
    char setting[NS_SETTING_NAME_MAX + 1]; /* "": it is the record of the namespace */
};
struct ns_records {
    struct ns_record *v;
    size_t count;
};
/* Encodes the records that changed since the last freeze. They still count as changed until
 * ns_table_frozen, and the caller holds the freeze lock for writing all the while: so a failure
 * between the two loses nothing. The caller releases *ret. */
int ns_table_freeze(struct state *p, struct ns_records *ret);
void ns_table_frozen(struct state *p);
int ns_records_write(const struct ns_records *r, struct kv_txn *t);
/* Appends a copy of a setting. -ENOMEM */
int ns_records_add_setting(struct ns_records *r, const struct ns_setting_row *row);
void ns_records_release(struct ns_records *r);

/* Fills *ret with what its record would say; the target and the tail are borrowed. */
void ns_get_fields(const struct ns *ns, struct ns_fields *ret);
/* Sets the fields from its record, and takes the target and the tail over. */
void ns_set_fields(struct ns *ns, uint32_t number, struct ns_fields *f);
