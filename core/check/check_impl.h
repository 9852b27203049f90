// SPDX-License-Identifier: Apache-2.0
/* check_impl: what the check_*.c files and repair share. Nobody else includes this. */
#pragma once

#include "check.h"
#include "state.h"
#include "pool_held.h"
#include "recount.h"
#include "repair.h"
#include "walk.h"
#include <stdarg.h>

/* ---- what repair could do about a finding ---- */

enum fix_kind {
    FIX_PUT,  /* table, k, val: the record that should stand there */
    FIX_DEL,  /* table, k */
    FIX_FILE, /* a file `text` of the disk goes */
    /* The kinds below change every namespace with this root. Those up to FIX_TYPE change names. The
     * others change attributes; they come later, when the names are right and the attributes have
     * been compared again. */
    FIX_ROOT,     /* ino gets a root directory */
    FIX_ADOPT,    /* ino gets a name in lost+found */
    FIX_LOST,     /* the entry at `key` moves to lost+found */
    FIX_REHOME,   /* the entry at `key` moves to where its name belongs */
    FIX_UNLINK,   /* the entry at `key` goes */
    FIX_ITEMS,    /* all items of ino go */
    FIX_TYPE,     /* the entry at `key` says the type `value` */
    FIX_LINKS,    /* ino has the link count `value`, */
    FIX_ENTRIES,  /* `value` entries, or bytes of a target, */
    FIX_PARENT,   /* the parent `value` */
    FIX_STORED,   /* `value` bytes stored, */
    FIX_FLAGS,    /* the flags `value` besides its own */
    FIX_COUNTER,  /* the counter at `key` says `value`; 0: it goes */
    FIX_NEXT_INO, /* namespace `ns`: `value` is the next inode number */
};

#define FIX_KEY_MAX KV_KEY_MAX /* bytes */

struct fix {
    enum fix_kind kind;
    unsigned table;
    uint8_t k[FIX_KEY_MAX];
    size_t klen, len;
    uint8_t *val; /* owned */
    uint64_t root, ino, value;
    uint32_t ns;
    struct key key;
    char *text; /* owned: what, where and sentence, each with a NUL behind */
};

struct fixes {
    struct fix *v;
    size_t count, room;
    int err; /* -ENOMEM: not all are here */
};
void fixes_release(struct fixes *f);

/* ---- one check ---- */

/* What a scan of one tree found. */
struct check_numbers {
    uint64_t max;       /* the highest inode number in it */
    uint64_t named;     /* the highest that an entry leads to without an inode there; 0: none */
    struct usage usage; /* of all inodes */
    bool hidden;        /* a part of it cannot be read */
};

/* A shard: home (number 0), or one that is in the table of shards or that an entry names. */
struct check_shard {
    uint16_t number;
    bool known;                  /* the table of shards has it */
    bool archive;                /* its files are not listed: others put things there, too */
    uint64_t ghosts;             /* entries that are there */
    uint64_t unasked;            /* whose bytes were not looked at */
    int listing;                 /* the error that prevented listing its files; 0: none */
    struct map64 files;          /* numbers in the names of files there that something names */
    struct map64 records, bytes; /* by pack, from the entries and the dying */
};

struct check {
    struct disk *disk;
    struct kv *kv;
    struct kv_snap *snap;
    const struct check_options *o;
    struct check_result r;
    struct recount count;
    struct store_record state;
    struct id_key key;
    struct name_key names;
    bool has_state, has_key;
    uint8_t store[16];     /* its id, as shards know it */
    struct shards *shards; /* NULL: no shard is known, or the identity is damaged */
    struct check_shard home, *shard;
    size_t shard_count, shard_room;
    uint64_t done, total;   /* bytes, for progress */
    struct map64 slots;     /* numbers of slots that something names */
    struct map64 logged;    /* numbers of slots that frames of the log name */
    uint64_t undecided;     /* files that no table names, while changes wait in the log */
    struct map64 reindexed; /* first bytes of ids whose place in the index is damaged, but known */
    struct map64 missing; /* numbers that are named and have no entry that decodes -> references */
    uint64_t unknown;     /* entries of objects that do not decode */
    uint64_t stored;      /* bytes of the sealed objects with a reference, modulo 2^64 */
    uint64_t saved;       /* by how many bytes these are shorter where they are, likewise */
    bool unreadable;      /* a table cannot be read to its end */
    bool drop_fixed;      /* a chunk of the queue of drops is removed; only one per look */
    int scan_err; /* the error of a scan that could not read a page that may be sound: this look
                   * proves nothing */
    struct store_record raised; /* `state`, with next numbers above all in use */
    struct map64 roots;         /* of namespaces -> what was seen below, an index of `seen` */
    struct check_numbers *seen;
    size_t seen_count, seen_room;
    struct map64 bad;    /* object numbers whose bytes are damaged or gone, and their aliases -> the
                            object */
    struct fixes *fixes; /* NULL: nobody wants to repair */
    unsigned flags;      /* enum repair_flags */
    const struct map64 *only; /* bytes are read of these numbers only; NULL: of all */
    /* check_bytes.c */
    struct disk *from; /* the disk that bytes are read from now: home's or a shard's */
    uint16_t from_shard;
    struct disk_file *pack;
    uint64_t pack_number;  /* number of `pack`, or of a pack that could not be opened */
    uint16_t pack_shard;   /* shard of the pack `pack_number` */
    struct pool_dead dead; /* what a pool on a shard has removed from the pack `dead_number` */
    uint64_t dead_number;  /* 0: none */
    uint8_t *buf;          /* PACK_RECORD_MAX bytes */
};

/* The text on one line, what is no printable character as \ooo, cut off to fit. Backslashes stay:
 * in paths they stand for that already. */
void check_text(const char *text, char *out, size_t room);

#define CHECK_WHERE 160 /* bytes of the longest "where" but for paths */
#define CHECK_PATH 1200 /* of a path, its front cut off where it is longer */
#define CHECK_TEXT 1500 /* bytes of a "where" or a sentence as it is reported */

/* Report a finding. `problem`: it is damage. */
void check_found(struct check *c, bool problem, const char *what, const char *where,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Offer a change to repair. `fmt` describes the state after it. Takes ownership of `val` of *f. */
void check_fix(struct check *c, const struct fix *f, const char *what, const char *where,
               const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void check_vfix(struct check *c, const struct fix *f, const char *what, const char *where,
                const char *fmt, va_list args) __attribute__((format(printf, 5, 0)));
/* One more part of the fix before. */
void check_fix_also(struct check *c, const struct fix *f);
/* Nothing is copied if nobody wants to repair. */
struct fix fix_put(struct check *c, unsigned table, const void *key, size_t klen, const void *val,
                   size_t len);
struct fix fix_del(unsigned table, const void *key, size_t klen);
/* May things that nothing names be freed? Only if the caller asked for that, and no damage hides
 * something that may name them. */
bool check_may_free(const struct check *c);

/* One look at a store (check.c). The struct begins as zeros with disk, o and what else is wanted
 * set. */
int check_run(struct check *c, struct kv *kv);

/* ---- what all checks call (check_found.c) ---- */

/* Frees what *c has, and not `c` itself. */
void check_release(struct check *c);
void check_advance(struct check *c, uint64_t bytes);
/* A number in use: `stored` is the next one that the store would give, *next rises above it. */
void check_used(struct check *c, const char *kind, uint64_t number, uint64_t stored,
                uint64_t *next);
/* False: the stored count is wrong, and that was reported. */
bool check_count(struct check *c, const char *where, uint64_t stored, uint64_t refs);
void check_where_number(const char *kind, uint64_t number, char out[CHECK_WHERE]);
/* Every entry of a table whose keys are 8 bytes, big-endian. Keys of other lengths are reported. */
typedef int check_entry_fn(struct check *c, uint64_t number, const void *val, size_t len);
int check_each(struct check *c, unsigned table, const char *what, check_entry_fn *fn);
/* The end of what can be read of the log, as the text of a finding. */
void check_where_log(const struct log_report *r, char out[CHECK_WHERE]);
/* The id of a sealed entry, else "object number N". */
void check_where(const struct entry *e, uint64_t number, char out[CHECK_WHERE]);

/* The refcount table, ids, the dying, pins. */
int check_objects(struct check *c);
/* Look for the bytes of what is missing, for repair to give them an entry again (check_adopt.c). */
int check_adopt(struct check *c);
/* The bytes of all objects and slots. */
int check_bytes(struct check *c);
/* Verify the bytes of an entry without reporting anything; c->buf must be allocated. 0: they are
 * sound. -EUCLEAN: they are not. A shortage (io_is_short): unknown. */
int check_quietly(struct check *c, uint64_t number, const struct entry *e);
/* As check_quietly, for an entry on the shard whose disk is `from`; for home c->disk. */
int check_quietly_on(struct check *c, struct disk *from, uint64_t number, const struct entry *e);
/* Reads which records of a pack the pool has removed, if these still have their bytes there: none
 * at home, and none of a pool whose packs are changed. The caller releases *ret. */
int check_read_dead(const struct pool_member *pool, uint16_t shard, uint64_t number,
                    struct pool_dead *ret);
/* Open the pack as c->pack, unless it is open already. -ENOENT, -EIO. */
int check_open_pack(struct check *c, uint64_t number);
/* Is `id` the `hash` of a content, or derived from it? Always true if the secret is lost, since
 * then it cannot be verified. */
bool check_id_fits(const struct check *c, const struct id *id, struct id hash);
/* A scan that begins where the commit ends. */
static inline struct log_scan scan_behind(const struct store_record *s)
{
    return (struct log_scan){
        .epoch = s->epoch, .seq = s->seq, .pos = {s->log_segment, s->log_offset}};
}
/* The log behind the commit (check_log.c). */
int check_log(struct check *c);
/* Check the index of ghosts, and in each place the table of packs and the files that nothing
 * names. */
int check_files(struct check *c);

/* Other shards (check_shards.c). */
int check_shards_open(struct check *c, struct kv *kv);
void check_shards_close(struct check *c);
int check_get_shard(struct check *c, uint16_t number, struct check_shard **ret); /* -ENOMEM */
/* Note that a sealed entry, or a record of the dying, names its place (at home or on a shard). */
int check_note_place(struct check *c, const struct entry *e);
int check_ghost_entry(struct check *c, uint64_t number, const struct entry *e);
int check_ghosts(struct check *c); /* their index */
/* Report why a part of the shard's objects or files was not checked, if so. */
void check_say_unasked(struct check *c, const struct check_shard *s);
/* What GC cycles remembered (check_gc.c). */
int check_gc(struct check *c);
/* What sweeps remembered. (check_sweep.c) */
int check_sweep(struct check *c);
/* How many bytes are stored, as the last commit says (check_stored.c): each row of the table of
 * objects is added, and then the sum is compared. */
void check_add_stored(struct check *c, const struct entry *e);
int check_stored(struct check *c);

/* ---- trees (check_namespaces.c, check_scan.c, check_tree.c, check_users.c) ---- */

/* Every namespace as a tree of directories. */
int check_trees(struct check *c);
/* Which files use the objects in `bad`: some paths of each. */
int check_users(struct check *c);
const char *check_type_name(unsigned type); /* of a DT_…: "a directory" */

struct check_tree {
    uint64_t root;
    const char *name; /* of the namespace */
};
/* The tree of the snapshot with the root page *r, for a walk (walk.h). */
extern const struct walk_source check_pages;
#define CHECK_TREE(c, r) .source = &check_pages, .pages = (c), .root = (r)
/* One tree. `orphans`: it is that of unlinked inodes, in which nothing has a name. */
int check_tree(struct check *c, const struct check_tree *tree, bool orphans,
               struct check_numbers *ret);
/* Each sound item from `from` on; non-zero stops and is returned. *ret_hidden (may be NULL): a part
 * cannot be read. */
typedef int scan_fn(struct key k, const uint8_t *val, size_t len, void *ctx);
int check_scan(struct check *c, uint64_t root, struct key from, scan_fn *fn, void *ctx,
               bool *ret_hidden);
bool check_inode(struct check *c, uint64_t root, uint64_t ino, struct inode *ret);

/* Where a name stands (check_names.c). */
struct check_place {
    int level;     /* on which its hash is that of its place; -1: on none */
    bool found;    /* a lookup finds it there; also true if that cannot be known */
    bool repeated; /* an entry before it has the same name, and a lookup finds that one */
};
struct check_place check_place_of(struct check *c, uint64_t root, struct key k, const char *name,
                                  size_t len);
/* The counters of one inode: the stored values, and the names that they should count. Begins as
 * zeros. */
struct check_counter {
    struct key key;
    uint64_t said, names;
};
struct check_names {
    struct check_counter *v;
    size_t count, room;
    int err;
};
void check_names_add(struct check *c, struct check_names *n, struct key k, const char *name,
                     size_t len, int level);
void check_names_counter(struct check_names *n, struct key k, const uint8_t *val, size_t len);
/* Call `fn` for each counter that is wrong, and reset *n. -ENOMEM. */
typedef void check_counter_fn(const struct check_counter *counter, void *ctx);
int check_names_end(struct check_names *n, check_counter_fn *fn, void *ctx);

/* The subblock extents of one inode, in the order of their keys; begins as zeros
 * (check_subblocks.c). */
struct check_subblocks {
    uint64_t count;
    uint64_t at, stored; /* the block of the last, and what is stored of it */
    unsigned in_block;
    uint64_t end;    /* of the last one's pages */
    const char *why; /* what is wrong with one of them */
};
void check_subblock(struct check *c, uint64_t root, const struct inode *in, struct key k,
                    const void *val, size_t len, struct check_subblocks *s);

/* Its maps of holes; begins as zeros, too. */
struct check_holes {
    uint64_t count, bytes;
    const char *why;
};
void check_holes(struct check *c, uint64_t root, const struct inode *in, struct key k,
                 const void *val, size_t len, struct check_holes *s);

/* The entry of directory `dir` that names `ino`. */
bool check_entry_key(struct check *c, uint64_t root, uint64_t dir, uint64_t ino,
                     struct key *ret_key);
/* The text "NS/dir/file"; "NS inode N" if no path leads to the inode, or `search` is false. */
void check_where_inode(struct check *c, const struct check_tree *t, uint64_t ino, bool search,
                       char out[CHECK_PATH]);
/* The same for the entry `d` at `k`; without a path "NS inode N/file", where N is the directory. */
void check_where_entry(struct check *c, const struct check_tree *t, struct key k,
                       const struct dirent_item *d, bool search, char out[CHECK_PATH]);
