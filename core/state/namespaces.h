// SPDX-License-Identifier: Apache-2.0
/* namespaces: those of an open store, by name and by number (namespaces.c, ns_drop.c, ns_table.c).
 * */
#pragma once

#include "capture.h"
#include "lock.h"
#include "map64.h"
#include "ns_record.h"
#include "tree.h"
#include "vfs_types.h"
#include <stdbool.h>
#include <stdint.h>

struct state;

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
    struct capture_observer observer; /* of the tree, since the log is open */
    uint64_t recorded_root;           /* freeze_lock; what the last freeze recorded, */
    struct usage recorded;  /* and of the tree's usage */
    uint64_t next_ino, ino_end; /* the numbers between are its own: ns_need_ino */
    uint64_t seq;  /* of its last change */
    bool frozen;   /* setting ns:NAME.frozen: no changes */
    bool verify;   /* setting ns:NAME.verify open: what the kernel will read is verified first */
    bool dirty;    /* record differs from the committed one */
    bool branched; /* fixed; it was another one's branch */
    bool counted;  /* the tree's usage is that of all its inodes; else of what changed since it was
                      read from a record that has none (usage.h) */
    struct ns_instant origin, base; /* as its record has them (ns_record.h) */
    uint64_t own_ino;
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
int ns_get(struct state *p, uint32_t number, struct ns **ret_ns);
/* The same, also a dropped one that the kernel or an open file still knows. */
struct ns *ns_get_any(struct state *p, uint32_t number);
int ns_get_by_name(struct state *p, const char *name, struct ns **ret_ns); /* -ENOENT */
struct ns *ns_ref(struct ns *ns);
void ns_put(struct state *p, struct ns *ns); /* NULL is fine */
/* May a namespace have that name? -ENAMETOOLONG, -EINVAL. */
int ns_check_name(const char *name);
/* Make an empty namespace with a root directory. */
int ns_create(struct txn *t, const char *name, uint32_t mode, const struct vfs_cred *cred);
int ns_create_symlink(struct txn *t, const char *name, const char *target,
                      const struct vfs_cred *cred);
/* Take freeze_lock (write) themselves. */
int ns_branch(struct state *p, const char *from, const char *to, uint64_t *ret_seq,
              uint32_t *ret_number);
/* -EBUSY with *ret_open files open unless `force`, or `only_empty`: then -ENOTEMPTY if it is
 * not. */
int ns_drop(struct state *p, const char *name, bool force, bool only_empty, bool only_symlink,
            uint32_t *ret_open);
int ns_rename(struct state *p, const char *name, const char *newname, unsigned flags);
/* Its files are in so many pieces (du.h): a branch in many is warned of, once. */
void ns_count_pieces(struct state *p, struct ns *ns, const char *name, uint64_t pieces);
/* A branch that was flushed very often, or was in very many pieces when they were last counted. */
bool ns_is_scattered(struct state *p, struct ns *ns);
/* How many files are open in it just now; none where there is no such namespace. */
uint32_t ns_open_files(struct state *p, const char *name);
/* The next namespace in name order after `after` (NULL: the first), referenced. -ENOENT. */
int ns_next(struct state *p, const char *after, struct ns **ret_ns);
/* By number, for readdir: live, number > after. */
int ns_next_number(struct state *p, uint32_t after, struct ns **ret_ns);
/* Numbers of inodes are the store's: a namespace takes them in runs, and nobody else gives what is
 * in its run. So no two files get one number, in whatever namespaces, and what both sides of a
 * branch have under one number is one file. The number of a file with a name is in a frame of the
 * log, and a run that is in none is forgotten: so runs need no frames.
 *
 * After it, ns->next_ino is one. -ENOSPC: the store has given all there are. Needs ns->lock
 * (write). */
int ns_need_ino(struct state *p, struct ns *ns);
/* `ino` is used in it, whoever gave it. Where it was not the namespace's own, the run ends there.
 * */
void ns_saw_ino(struct state *p, struct ns *ns, uint64_t ino);
int ns_set_frozen(struct state *p, const char *name, bool frozen);
int ns_set_verify(struct state *p, const char *name, bool on_open);

/* Needs names (write). The name of a live namespace becomes `name`, which is its own then; returns
 * the old one. Nobody is asked whether the new one is taken. */
char *ns_table_rename(struct ns_table *t, struct ns *ns, char *name);
/* It is dropped, and its tree is to be worked off. The caller may be its last reference. -ENOMEM:
 * nothing happened. Needs names (write). */
int ns_table_remove(struct state *p, struct ns *ns);
/* Needs names (write); the struct is the table's afterwards. */
void ns_table_insert(struct ns_table *t, struct ns *ns);
/* A struct with a name and nothing else, the caller's. */
int ns_alloc(struct state *p, const char *name, struct ns **ret_ns);
void ns_discard(struct ns *ns); /* one that is in no table */
/* Changes of every namespace, and of the tree of orphans, are captured from now on. */
void ns_table_tap(struct state *p);
int ns_table_load(struct state *p);
void ns_table_release(struct state *p);

struct ns_record {
    uint32_t number;
    size_t len; /* 0: delete */
    uint8_t *bytes;
};
struct ns_records {
    struct ns_record *v;
    size_t count;
};
/* Encode what changed since the last freeze (freeze_lock held for writing). Kept until released. It
 * counts as changed until ns_table_frozen, with the freeze lock held all the while: what fails
 * between the two is no loss. */
int ns_table_freeze(struct state *p, struct ns_records *ret);
void ns_table_frozen(struct state *p);
int ns_records_write(const struct ns_records *r, struct kv_txn *t);
void ns_records_release(struct ns_records *r);

/* What its record would say; the target is borrowed. */
void ns_get_fields(const struct ns *ns, struct ns_fields *ret);
/* What the record says; takes the target over. */
void ns_set_fields(struct ns *ns, uint32_t number, struct ns_fields *f);
