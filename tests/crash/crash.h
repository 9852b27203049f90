// SPDX-License-Identifier: Apache-2.0
/*
 * crash: what the crash tests share: a store whose writes are counted, a simple model of its files,
 * and operations that change both in the same way.
 *
 *     workloads*.c  lists of operations
 *     model.c       the model;  ops*.c  the operations;  compare.c  the comparison
 *     world*.c      the store, in memory or, with power*.c, in a directory of the machine
 *     verify.c      what must hold after a cut
 *     tried.c       which (workload, write, loss pattern) triples there were
 *     crash.c       cuts and faults; options
 *
 * The model keeps the states that a crash may leave: that of the last acknowledged flush or sync,
 * and those after each change since then. A change of several frames may be half done. If an
 * operation fails because of the injected fault and the power is off, the workload ends; if it was
 * a single failed write, the operation is tried once more.
 */
#pragma once

#include "clock_manual.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "store_impl.h"
#include "shard.h"
#include <stdio.h>

#define SPACES 4
#define FILES_MAX 48
#define PINS_MAX 4
#define HANDLES 3
#define ATTEMPTS_MAX 1024
#define LOG_SEGMENT (128 * 1024)
#define HISTORY_MAX 2048
#define FAMILIES_MAX 256

/* The bytes of a file: immutable, with a reference count. */
struct bytes {
    unsigned refs;
    size_t len;
    uint8_t data[];
};

/* A file, or, where the name ends with "@", the value of the attribute user.v of the file. */
struct mfile {
    size_t space;
    char name[24];
    struct bytes *bytes;
};

struct mpin {
    struct id id;
    struct bytes *bytes;
};

struct model {
    bool space[SPACES];
    struct mfile file[FILES_MAX];
    size_t files;
    struct mpin pin[PINS_MAX];
    size_t pins;
    size_t operations; /* in the history */
};

/* Files that may share one slot, for example under the names before and after a rename, are one
 * family. */
struct family {
    size_t space;
    char name[24];
    size_t number;
};

struct version {
    size_t family; /* number of the family */
    struct bytes *bytes;
};

struct world {
    struct fault fault;
    struct kv_mem *mem; /* NULL: kv is LMDB's */
    struct kv *kv;
    struct disk *disk;
    struct disk *own;          /* in a pool: the store's own disk, which `disk` routes to besides
                                 * the pool */
    struct pool_member shared; /* in a pool; incarnation 0: the store is alone */
    bool sharded;              /* it has, or had, other shards */
    const char *dir;           /* the directory of a real disk; NULL: the disk is in memory */
    int dirfd;
    struct clock_manual clock;
    struct state *p;
    struct vfs_file *handle[HANDLES];
    uint64_t rng, secrets;

    struct model live;                  /* what the operations made */
    struct model acked;                 /* at the last flush or sync that succeeded */
    struct model attempt[ATTEMPTS_MAX]; /* after each change since then, and within it */
    size_t attempts;
    struct version history[HISTORY_MAX]; /* if `loose`: the contents of each file since then */
    size_t versions;
    struct family family[FAMILIES_MAX];
    size_t families;
    bool loose; /* slots are overwritten: after a cut each byte is that of one of the versions */
    bool aside; /* it imports: what a cut leaves of what was stored for a draft goes with a cycle */
    bool lenient;         /* the comparison is after a cut: a byte may be that of any version in
                           * `history` */
    struct bytes *rotten; /* files of these bytes may be unreadable: the disk damaged them */

    bool full, was_full; /* the next commit will find the disk full; a commit has found it full,
                          * and no caller got the error */
    uint64_t commit_from, commit_to; /* the writes of the last commit of kv that had any */
    bool stopped; /* no more operations: the power is off, or the store read-only */
    unsigned retried, flush_failures;
};

extern struct world w;

/* Print what was cut and how, and abort. */
_Noreturn void fail(const char *file, int line, const char *what);
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail(__FILE__, __LINE__, #cond);                                                       \
    } while (0)

/* ---- the store (world.c) ---- */

/* An empty disk and kv; `dir`: in that directory of the machine, NULL: in memory. */
void world_create_empty(uint64_t seed, const char *dir);
void world_create(uint64_t seed, const char *dir); /* with a store */
/* As world_create, in memory, with a store in a pool. Another store of the pool has done the same
 * work and reported it. So some sealed contents are adopted from the pool, and others are stored
 * beside it. */
void world_create_pooled(uint64_t seed);
void world_destroy(void);
int world_open_kv(unsigned flags);
int world_try_open(void); /* over the kv that is open */
void world_reopen(void);  /* kv and store; must succeed */
/* The death of the process: handles, state and kv are gone. */
void process_dies(void);
/* The `k`th write from now on fails with `error`; 0: none. `cut`: the power goes off at that
 * write. */
void arm(uint64_t k, bool cut, int error);
/* Called when the process is dead: unsynced bytes are lost as `loss` says. FAULT_KEEP_ALL: all
 * become durable. */
void power_cycle(enum fault_loss loss, uint64_t seed);
/* Called when only the process is dead: unsynced bytes are still there, and may be lost later. */
void page_cache_lives(void);
/* What the last power cycle lost, as a number (disk_mem_lost). */
uint64_t world_lost(void);
/* Flip a bit of a file of the disk. */
void world_flip(const char *name, uint64_t byte, unsigned bit);
/* Bytes and number of files that are on the disk. */
void world_usage(uint64_t *ret_bytes, uint64_t *ret_names);

/* ---- other shards (world_shard.c): in memory, or directories in that of the store; their
 * writes are numbered with all others ---- */

#define SHARDS 2 /* their numbers are 1 and 2 */
void world_shards_create(void);
void world_shards_destroy(void);
uint64_t world_shards_sum(void); /* a checksum of all their files */
void world_shard_url(uint16_t shard, char out[SHARD_URL_MAX + 1]);
/* Check that the shards have only files that a ghost needs. */
void world_shards_are_tight(void);
/* Check that the shards have no files besides those of their identity. */
void world_shards_are_empty(void);

/* ---- the power of a directory of the machine (power.c) ---- */

/* From now on `f` counts what this process writes below `dir`, and power_disk_cycle can lose it.
 * The directory is empty. */
void power_begin(struct fault *f, const char *dir);
void power_end(void);
/* Called with all files closed, LMDB's too. Loses what `f` says, and brings the directory to the
 * state that is left. */
void power_disk_cycle(void);
/* As power_disk_cycle, but only stores to mappings while the power was off are lost. */
void power_disk_keep(void);
/* Abort unless every write to the directory has passed the counter. */
void power_compare(void);
struct disk *power_shadow(void); /* the disk in memory that knows what is durable */
void power_flip(const char *name, uint64_t byte, unsigned bit); /* only in the directory, not in
                                                                 * the shadow */
/* Usage of the directory, without LMDB's files and those of other shards. */
void power_usage(uint64_t *ret_bytes, uint64_t *ret_names);

/* ---- what must hold (verify.c) ---- */

void check_store(bool leaks_too); /* the store is closed */
/* Find which of the states that a crash may leave the store has, and continue with that one. */
void match_some_state(void);
void must_match(const struct model *s);
void drop_everything(void);
/* Drain, and check that every file, page and entry is needed, and that the contents are
 * unchanged. */
void settle(void);
/* Check the store after a cut; it is closed or dead. */
void verify_recovery(void);
/* As verify_recovery, with losses of power while the store recovers. The store is dead, and its
 * files are complete. */
void verify_cut_recovery(void);

/* ---- which cut it is (crash.c) ---- */

struct cut {
    const struct workload *workload;
    uint64_t k, seed; /* of the workload */
    uint64_t pattern; /* 0: all unsynced bytes are lost, 1: none; higher: random parts */
    bool dies;        /* the process dies, and the power goes while the store recovers */
    enum fault_loss loss;
    uint64_t loss_seed;
    const char *phase; /* what the test is doing */
    uint64_t lost;     /* world_lost() of the first cut */
    uint64_t second_cuts;
    enum compression
        compression; /* option --compression; then half of all contents can become shorter */
};
extern struct cut now_at;

/* ---- operations (ops.c, ops_store.c, ops_kept.c): to the store and to the model ---- */

/* `len` bytes that follow from `value`, at `off`. Creates the file. */
void op_write(size_t space, const char *name, size_t off, size_t len, unsigned value);
void op_truncate(size_t space, const char *name, size_t size);
void op_punch(size_t space, const char *name, size_t off, size_t len);
void op_xattr(size_t space, const char *name, size_t len, unsigned value);
void op_unxattr(size_t space, const char *name);
void op_unlink(size_t space, const char *name);
void op_rename(size_t space, const char *name, const char *newname);
void op_link(size_t space, const char *name, size_t space2, const char *name2); /* across */
void op_link_object(size_t space, const char *name, size_t space2, const char *name2);
void op_share(size_t space, const char *name, size_t space2, const char *name2); /* whole file */
void op_pin(size_t space, const char *name);
void op_unpin(size_t which);
void op_create_space(size_t space);
void op_branch(size_t from, size_t to);
void op_drop(size_t space); /* also with open files */
void op_rename_space(size_t space, size_t to, bool exchange);
/* Merges `from`, a branch of `to`, which has changed only files whose names begin with "own". */
void op_merge(size_t from, size_t to);
/* Receives as a new space what was sent of a snapshot, and what a space has beside it. */
void op_receive_kept(size_t from, size_t to);
void op_receive_rest(size_t from, size_t to);
/* As a large merge is made; `to` gets a file meanwhile, which (`rest`) is merged as a large one. */
void op_merge_large(size_t from, size_t to, bool rest);
void op_import(size_t space, unsigned value); /* the files import-a and import-b */
void op_snapshot(size_t space);               /* one in a workload at most, for that space */
void op_branch_snapshot(size_t space, size_t to);
void op_trash(size_t space);
void op_undrop(size_t space);      /* the one that went into the trash last */
void op_undo_trash(size_t space);  /* likewise; that was the last operation */
void op_undo_branch(size_t space); /* to make it was the last operation */
void op_undo_merge(void);          /* the last merge but one */
void op_empty_trash(void);         /* no write fails meanwhile */
void op_open(size_t h, size_t space, const char *name);
void op_write_open(size_t h, size_t off, size_t len, unsigned value); /* of an unlinked file */
void op_close(size_t h);
void op_flush(void);
void op_begin_flush(void); /* freeze a batch, which the next flush or drain commits */
void op_sync(void);        /* fsync */
void op_drain(bool idle);
void op_advance(int64_t ms);
void op_short_of_memory(void);
void op_flush_retry(unsigned n); /* set how often a failed flush is tried again before it is
                                  * merged */
void op_commit_full(void);       /* the next commit fails with -ENOSPC */
void op_given_up(uint64_t n);    /* check that just so many flushes were given up, unless a fault
                                  * was met */
void op_compact(uint64_t packs); /* at least so many packs must be rewritten */
void op_drop_steps(unsigned budget); /* a part of the background drops */
/* Flip a bit of the stored bytes of a sealed file. */
void op_damage(size_t space, const char *name);

/* ---- and on what lives elsewhere (ops_shard.c); `shard` 0 is home ---- */

void op_shard_add(uint16_t shard);
void op_move(size_t space, const char *name, uint16_t shard); /* move the file's object, if it is
                                                               * sealed */
void op_move_all(int from, uint16_t shard);
void op_release(void);                /* dead bytes on the shards are deleted */
void op_shard_remove(uint16_t shard); /* all its objects are recalled before */
void op_sweep(void);
void op_gc(void);   /* one cycle without grace */
void op_look(void); /* let time pass, and look for unreachable shards */

/* ---- the model (model.c, compare.c) ---- */

/* Does the store have exactly the files of `s`? If not, `why` says where it differs. */
bool model_matches(const struct model *s, char why[256]);
void model_copy(struct model *to, const struct model *from); /* `to` is empty */
void model_drop(struct model *s);
void model_release(void);
/* If `loose`: set the model's files to the bytes that the store has, which must be allowed ones. */
void model_adopt(struct model *s);
void model_note(void); /* the present state is one that a crash may leave */

/* ---- workloads.c, workloads_log.c ---- */

void workload_synced(void);
void workload_rolled(void);
void workload_spilled(void);
void workload_revived(void);
void workload_logged(void);
void workload_chance(void);
void workload_packed(void);
void workload_merged(void);
void workload_appends(void);
void workload_slots(void);
void workload_compacted(void); /* workloads_space.c */
void workload_dropped(void);
void workload_subblocks(void);
void workload_kept(void);
void workload_received(void);
void workload_aside(void);
void workload_imported(void);
void workload_moved(void); /* workloads_shard.c */
void workload_recalled(void);
void workload_swept(void);

struct workload {
    const char *name;
    void (*run)(void); /* NULL: the workload is making the store */
    bool random;       /* the seed decides what it does */
};
extern const struct workload workloads[];
extern const size_t workload_count;
