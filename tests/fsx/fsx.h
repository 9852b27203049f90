// SPDX-License-Identifier: Apache-2.0
/*
 * fsx: random operations on a mounted filesystem, against a model in memory. main.c says how it is
 * called. What is drawn depends on the seed and the model only, never on what the filesystem
 * answers, so that the same seed does the same again.
 *
 *   bytes.c    what a file holds
 *   model.c    the tree that should be there, and how a mismatch is told
 *   ops_io.c   operations on bytes      ops_map.c  mappings, copies, holes
 *   ops_name.c operations on names      ops_attr.c attributes, listings
 *   spaces.c   branches and drops: what all processes do together
 *   verify.c   everything compared; manifests
 *
 * Each process has the directory p<N> in every namespace to itself, and a model of it.
 */
#pragma once

#include "bytes.h"

#include <limits.h>
#include <sys/types.h>

#define SPACES 5       /* namespaces at a time, the first of them DIR */
#define NAMES 16       /* names a directory may have */
#define DIRS_MAX 8     /* directories of one process in one namespace */
#define ORPHANS_MAX 4  /* unlinked files that are still open, ditto */
#define HANDLES 3      /* open descriptors of one file */
#define LOG 50         /* operations of one file that are remembered */
#define IO_MAX 262144u /* bytes read or written at once */
#define ENTRIES_MAX (DIRS_MAX * NAMES)

/* What --no takes out, and --ext4. */
enum feature {
    F_MMAP = 1 << 0,
    F_DIRECT = 1 << 1,
    F_COPY = 1 << 2,
    F_FALLOCATE = 1 << 3,
    F_NAMES = 1 << 4, /* directories, links, renames */
    F_FSYNC = 1 << 5,
    F_BRANCH = 1 << 6,
    F_RACE = 1 << 7, /* branches while others write */
    F_DROP_CACHES = 1 << 8,
    F_TIMES = 1 << 9,
};

struct log_line {
    uint64_t op;
    char text[104];
};

struct handle {
    int fd;
    int flags; /* of open */
};

enum kind { KIND_FILE, KIND_DIR, KIND_LINK };

/* An inode. It lives while it has names or handles. */
struct node {
    enum kind kind;
    unsigned names; /* of a directory: 1 */
    uint32_t mode;
    uint64_t ino; /* within its namespace; 0: not seen yet */
    /* mtime is what was seen or set; else it must be `mtime` or later */
    int64_t mtime; /* ns */
    bool mtime_known;
    bool mapped; /* pages may be dirty that the daemon has not got */
    struct map {
        uint8_t *at;  /* NULL: none */
        uint64_t off; /* of whole pages */
        size_t len;   /* bytes; the file may have become shorter */
    } held;           /* a shared mapping that stays */
    struct bytes bytes;
    char *target;
    struct node *parent, *child[NAMES];
    struct handle handle[HANDLES];
    unsigned handles;
    struct log_line *log; /* LOG of them */
    unsigned logged;
    struct node *copy; /* while a space is cloned */
};

struct space {
    bool live;
    char name[64];
    struct node *root;
    struct node *orphan[ORPHANS_MAX];
    unsigned orphans;
};

struct entry {
    struct node *dir;
    unsigned name;
    struct node *node; /* NULL: nothing has that name */
};

struct options {
    uint64_t seed, ops, size;
    unsigned files, procs;
    unsigned features;
    bool ext4;
    char top[PATH_MAX / 4]; /* the directory that has the spaces */
    char replay[PATH_MAX];  /* the command that does this again */
};

struct shared; /* between the processes: spaces.c */

struct run {
    struct options opt;
    struct shared *shared;
    unsigned proc;
    uint64_t op, rng;
    struct space space[SPACES];
    struct space *in;    /* where the current operation is */
    int64_t started;     /* when it began, ns since the epoch */
    uint8_t *buf, *buf2; /* IO_MAX + a page each, page aligned */
};

extern struct run run;

/* ---- chance ---- */

uint64_t chance(uint64_t *state);
/* 0 … n-1 */
uint64_t pick(uint64_t n);
/* Content of its own, or one of a few that files have in common. */
void fill(void *buf, size_t len);

/* ---- model.c ---- */

struct node *node_new(enum kind kind, uint32_t mode);
/* Frees it when neither name nor handle is left. */
void node_settle(struct node *n);
void node_attach(struct node *dir, unsigned name, struct node *n);
/* The name goes. A file that is still open becomes an orphan of `s`. */
void node_detach(struct space *s, const struct entry *e);
bool dir_is_empty(const struct node *dir);
unsigned dir_subdirs(const struct node *dir);
/* Is `n` the directory `top`, or below it? */
bool is_below(const struct node *n, const struct node *top);

void space_init(struct space *s, const char *name);
void space_clone(const struct space *from, const char *name, struct space *ret);
void space_release(struct space *s); /* closes what is open in it */

/* All names below the space's root; `want`: 1 << kind, ored. Returns how many. */
size_t space_entries(const struct space *s, unsigned want, struct entry out[ENTRIES_MAX]);
bool pick_entry(const struct space *s, unsigned want, struct entry *ret);
/* Any name in any directory, there or not. */
struct entry pick_name(const struct space *s);
/* A file, open without a name too. */
struct node *pick_file(const struct space *s);

const char *name_text(unsigned name);
void dir_path(const struct space *s, const struct node *dir, char out[PATH_MAX]);
void entry_path(const struct space *s, const struct entry *e, char out[PATH_MAX]);
/* One of its names; false: it has none. */
bool node_path(const struct space *s, const struct node *n, char out[PATH_MAX]);

/* The file's data changes now, or may change. */
void node_touch(struct node *n);
void node_touch_perhaps(struct node *n);
/* What was mapped goes to the daemon. */
void node_write_back(struct node *n);

/* ---- model.c: telling ---- */

__attribute__((format(printf, 2, 3))) void note(struct node *n, const char *format, ...);
/* Prints what is wrong with seed, operation, the file's last operations, the command to replay. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(const struct node *n, const char *format,
                                                          ...);
/* A call's result (errno or 0) must be what the model says. */
void expect(const struct node *n, int got, int want, const char *what);
/* Bytes read must be the model's; past the end zeros. */
void compare(const struct node *n, const void *got, size_t len, uint64_t off, const char *how);

/* ---- operations ---- */

/* A descriptor for `n` that can do what O_RDONLY, O_WRONLY or O_RDWR (and O_APPEND, O_DIRECT) say.
 */
int handle_get(struct node *n, int flags);
void handle_close(struct node *n, unsigned i);
void handle_close_all(struct node *n);

void op_open(struct node *n);
void op_close(struct node *n);
void op_read(struct node *n);
void op_read_cold(struct node *n);
void op_write(struct node *n);
void op_append(struct node *n);
void op_truncate(struct node *n);
void op_truncate_open(struct node *n);
void op_fsync(struct node *n);
void op_fstat(struct node *n);
void op_rewrite(struct node *n);

void op_map_read(struct node *n);
void op_map_write(struct node *n);
void op_map_private(struct node *n);
void op_map_hold(struct node *n);
void map_release(struct node *n);
void op_copy_range(struct node *n);
void op_copy_whole(struct node *n);
void op_allocate(struct node *n);
void op_seek(struct node *n);
/* EOPNOTSUPP: 0 */
bool allocate_probe(const char *dir);

void op_create(void);
void op_mkdir(void);
void op_symlink(void);
void op_link(void);
void op_link_across(void);
void op_rename(void);
void op_replace(void);
void op_unlink(void);
void op_rmdir(void);

void op_list(void);
void op_chmod(void);
void op_utimens(void);
void op_stat(void);

/* fstat or lstat's answer is compared. */
struct stat;
void stat_check(struct node *n, const struct stat *st);
int64_t now_coarse(void); /* as the kernel stamps files */
/* The listing of `path` must have the model's names. */
void list_check(struct node *dir, const char *path);

/* main.c: one operation, drawn at random, in run.in; its name. */
const char *operation(void);

/* ---- spaces.c ---- */

struct shared *shared_new(unsigned procs);
/* The spaces at the start; process 0 makes the directories. */
void spaces_start(void);
/* All processes come here at the same operation; what happens is drawn alike in all of them. */
void spaces_meet(void);
/* The operation at which they meet next. */
uint64_t spaces_next(void);
void spaces_end(void);
/* May the current operation only be one that a branch sees whole or not at all? */
bool spaces_racing(void);

/* ---- verify.c ---- */

void verify_space(const struct space *s, bool cold);
/* All bytes, read through `fd`. */
void bytes_check(struct node *n, int fd, bool cold);
/* One line each, sorted: kind, mode, size, digest, mtime (if known), path below the top. Both are
 * freed by the caller. `times`: with mtimes. */
char *manifest_of_model(const struct space *s, bool times);
char *manifest_of_files(const char *top, const char *dir, bool times);
/* Compare the files below `top` with the manifest in `file`; the exit code. */
int manifest_verify(const char *file, const char *top);
