// SPDX-License-Identifier: Apache-2.0
/*
 * store_dir: see the header. The lock is taken before anything is read or made, and given up last.
 * The identity file is written last, when all the rest is durable: a directory without it is no
 * store, whatever an interrupted `init` left in it.
 */
#include "feature_flags.h"
#include "identity.h"
#include "pool_dir.h"
#include "record.h"
#include "store.h"
#include "store_pool.h"
#include "beneath.h"
#include "bytes.h"
#include "disk_route.h"
#include "io.h"
#include "shard.h"
#include "store_own.h"
#include "strbuf.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDENTITY_FILE "tally-store"
#define LOCK_FILE "lock"
#define LOCK_TEXT_MAX 4500 /* bytes: a path and a few words */
#define REMOVE_DEPTH 3     /* levels of directories: store / objects / ab */

__attribute__((format(printf, 3, 4))) static int fail(int err, char why[STORE_WHY], const char *fmt,
                                                      ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, STORE_WHY, fmt, args);
    va_end(args);
    return err;
}

static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* ---- what tells a store from any directory ---- */

/* Reads the identity file. 0: a store; -EPROTO: a store of another version; -ENOENT: no store;
 * -EUCLEAN: the file is damaged. `ret` may be NULL. */
static int check_identity(int dirfd, struct store_text *ret)
{
    CLEANUP_FREE char *text = NULL;
    struct store_text t;
    size_t len;
    int err = io_read_file(dirfd, IDENTITY_FILE, STORE_TEXT_READ_MAX, &text, &len);

    if (err == 0)
        err = store_text_decode(text, len, &t);
    if (err == 0 && ret)
        *ret = t;
    return err == -EFBIG ? -ENOENT : err;
}

/* Says whether the version is older or newer: only version 1 is refused as older. */
static int other_version(int dirfd, const char *path, char why[STORE_WHY])
{
    static const char old[] = STORE_TEXT_START "1"; /* version 1: its tables have no checksums */
    CLEANUP_FREE char *text = NULL;
    size_t len, n = strlen(old);
    bool is_old = io_read_file(dirfd, IDENTITY_FILE, STORE_TEXT_READ_MAX, &text, &len) == 0 &&
                  strncmp(text, old, n) == 0 && (text[n] == '\n' || text[n] == ' ');

    if (is_old)
        return fail(-EPROTO, why,
                    "the store %s was made by an older version of tally, which has to read it: "
                    "this one cannot",
                    path);
    return fail(-EPROTO, why, "the store %s was written by a newer version of tally", path);
}

/* Checks the features of the store. This comes before anything else of it is read, and so before
 * anything is written. */
static int check_features(const struct store_text *t, const char *path, bool writes,
                          char why[STORE_WHY])
{
    char uses[FEATURES_WHY];

    if (features_check(&t->features, false, uses) < 0)
        return fail(-EPROTO, why,
                    "the store %s was written by a newer version of tally: it uses %s, which this "
                    "one does not know",
                    path, uses);
    if (features_check(&t->features, writes, uses) < 0)
        return fail(-EPROTO, why,
                    "the store %s was written by a newer version of tally: it uses %s, so this one "
                    "can read it (tally check) and may not write it",
                    path, uses);
    return 0;
}

/* The features of each store that this version has opened for writing. */
static const struct {
    enum feature_kind kind;
    uint64_t feature;
    const char *name;
} always[] = {{FEATURE_READ_ONLY, FEATURE_QUOTAS, FEATURE_QUOTAS_NAME},
              {FEATURE_INCOMPATIBLE, FEATURE_ABSENT_OBJECTS, FEATURE_ABSENT_OBJECTS_NAME},
              {FEATURE_INCOMPATIBLE, FEATURE_HELD_ROOTS, FEATURE_HELD_ROOTS_NAME},
              {FEATURE_INCOMPATIBLE, FEATURE_ARCHIVE, FEATURE_ARCHIVE_NAME}};

static bool has_all(const struct features *f)
{
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (!(f->mask[always[i].kind] & always[i].feature))
            return false;
    return true;
}

static int write_identity(int dirfd, const struct store_text *t)
{
    struct store_text mine = *t;
    char text[STORE_TEXT_MAX + 1];

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        features_use(&mine.features, always[i].kind, always[i].feature, always[i].name);
    return io_write_file(dirfd, IDENTITY_FILE, text, store_text_encode(&mine, text), 0644);
}

/* Makes the store one of this version. From here on it may have bytes that an earlier version would
 * read wrongly, so that version must refuse it. */
static int renew_identity(int dirfd, const struct store_text *t, const char *path,
                          char why[STORE_WHY])
{
    bool is_mine = t->version == STORE_VERSION && has_all(&t->features);
    int err = is_mine ? 0 : write_identity(dirfd, t);

    return err < 0 ? fail(err, why, "cannot write %s/" IDENTITY_FILE ": %s", path, strerror(-err))
                   : 0;
}

/* Is the directory a store, of whatever version and state? `err` is what check_identity returned.
 * If the name is that of a directory, it is no store: people give stores that name. */
static bool is_store(int dirfd, int err)
{
    struct stat st;

    return err == 0 || err == -EPROTO ||
           (err == -EUCLEAN && fstatat(dirfd, IDENTITY_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode));
}

bool store_exists(const char *path)
{
    CLEANUP_CLOSE int fd = open_directory(path);

    return fd >= 0 && is_store(fd, check_identity(fd, NULL));
}

/* ---- the lock ---- */

/* Makes a sentence of the owner's line "pid=… what=… at=…". -EBUSY. */
static int explain_busy(int lockfd, const char *path, char why[STORE_WHY])
{
    char text[LOCK_TEXT_MAX + 1], what[32];
    ssize_t n = io_pread(lockfd, text, LOCK_TEXT_MAX, 0);
    int pid;

    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    if (sscanf(text, "pid=%d what=%31s", &pid, what) != 2)
        return fail(-EBUSY, why, "the store %s is in use by another process", path);
    const char *at = strstr(text, " at=");
    at = at ? at + 4 : "";
    if (strcmp(what, "mount") == 0)
        return fail(-EBUSY, why,
                    "the store %s is in use: mounted at %s by process %d; unmount it first (tally "
                    "umount %s), or, if it is unmounted already, wait until it has ended",
                    path, at, pid, at);
    if (strcmp(what, "ending") == 0)
        return fail(-EBUSY, why,
                    "the store %s is in use: process %d, which had it mounted at %s, is ending; "
                    "try again when that is gone",
                    path, pid, at);
    return fail(-EBUSY, why,
                "the store %s is in use: process %d runs `tally %s` on it; wait until it has ended",
                path, pid, what);
}

/* Opens the lock file. A caller that cannot write here can still exclude others, because flock
 * needs no write access. */
static int open_lock_file(int dirfd, unsigned flags)
{
    int fd = beneath_open(dirfd, LOCK_FILE, O_RDWR | O_CREAT, 0600);

    if (flags & STORE_READONLY && (fd == -EACCES || fd == -EROFS || fd == -EPERM))
        fd = beneath_open(dirfd, LOCK_FILE, O_RDONLY, 0);
    return fd;
}

/* Writes the line of the owner. Others read it only for their messages, so a failure is ignored.
 * Control characters are replaced: the path is foreign text. */
static void sign_lock(int lockfd, const char *what, const char *at)
{
    char text[LOCK_TEXT_MAX];
    int n = snprintf(text, sizeof text, "pid=%d what=%s at=%s", (int)getpid(), what, at);

    n = n < 0 ? 0 : n < (int)sizeof text - 1 ? n : (int)sizeof text - 2;
    for (int i = 0; i < n; i++)
        text[i] = (unsigned char)text[i] < ' ' ? '?' : text[i];
    text[n++] = '\n';
    if (ftruncate(lockfd, 0) == 0)
        (void)io_pwrite(lockfd, text, (size_t)n, 0);
}

void store_tell_end(const struct store_dir *s, const char *at)
{
    sign_lock(s->lockfd, "ending", at);
}

/* Takes the lock without waiting. Returns the descriptor, or -errno. The directory has a shared
 * lock besides, as long as `dirfd` is open. */
static int take_lock(int dirfd, const char *path, unsigned flags, const char *what, const char *at,
                     char why[STORE_WHY])
{
    int fd = open_lock_file(dirfd, flags);

    if (fd < 0)
        return fail(fd, why, "cannot open %s/" LOCK_FILE ": %s", path, strerror(-fd));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int err = errno == EWOULDBLOCK
                      ? explain_busy(fd, path, why)
                      : fail(-errno, why, "cannot lock %s: %s", path, strerror(errno));
        close(fd);
        return err;
    }
    /* systemd-tmpfiles leaves a directory that is locked, and all in it, in /tmp and /var/tmp */
    (void)flock(dirfd, LOCK_SH | LOCK_NB);
    sign_lock(fd, what, at);
    return fd;
}

/* Gives the lock up. A thread that waits in a shard for ever may keep this process alive; then the
 * file says that it is no owner any more. The close frees the flock, because no other descriptor
 * has this open file. */
static void drop_lock(int lockfd)
{
    char url[SHARD_URL_MAX + 1];

    if (lockfd < 0)
        return;
    if (shard_is_silent(NULL, url))
        sign_lock(lockfd, STORE_CLOSED, url);
    else
        (void)!ftruncate(lockfd, 0); /* after an error the next owner overwrites the line */
    close(lockfd);
}

/* ---- opening ---- */

/* The names that a store consists of (store_own.h). A missing one is fine. */
static const char *const names[] = {IDENTITY_FILE, LOCK_FILE,     STORE_POOL_FILE, "kv",
                                    "kv/data.mdb", "kv/lock.mdb", "log",           "packs",
                                    "slots",       "objects",     "cache",         NULL};

/* Is the store the caller's own, and is each of its names a file or a directory? */
static int check_own(int dirfd, const char *path, unsigned flags, char why[STORE_WHY])
{
    int err = store_own_check(dirfd, "store", path, names, flags, why);

    return err < 0 ? err : store_own_check_objects(dirfd, "store", path, flags, why);
}

static unsigned kv_flags(unsigned flags)
{
    return (flags & STORE_READONLY ? KV_READONLY : 0) | (flags & STORE_FOREIGN ? KV_FOREIGN : 0);
}

unsigned store_disk_flags(unsigned flags)
{
    return (flags & STORE_READONLY ? DISK_ONLY_READ : 0) |
           (flags & STORE_FOREIGN ? DISK_FOREIGN : 0);
}

/* Saves what can be read of damaged tables in their place. That is enough for a repair. */
static int salvage_tables(struct store_dir *s, const char *path, const char *wrong,
                          char why[STORE_WHY])
{
    int err = kv_salvage_lmdb(s->dirfd, "kv", &s->salvaged);

    if (err == 0) {
        (void)snprintf(s->salvaged.why, sizeof s->salvaged.why, "%s", wrong);
        s->unmended = true;
        return 0;
    }
    s->salvaged.rows = 0;
    return fail(err, why,
                "the metadata of the store %s is damaged: kv/data.mdb, %s; what can be read "
                "of it could not be saved: %s",
                path, wrong, strerror(-err));
}

/* Refuses saved tables that were not repaired. Rows with counts may be missing there. The counts
 * would be too low, and shared pages would be overwritten. */
static int refuse_unmended(struct store_dir *s, const char *path, unsigned flags,
                           char why[STORE_WHY])
{
    s->unmended = kv_salvage_is_unmended(s->dirfd, "kv") > 0;
    s->rows_lost = s->unmended && (s->salvaged.rows == 0 || s->salvaged.lost > 0);
    if (!s->unmended || flags & STORE_SALVAGE)
        return 0;
    return fail(-EUCLEAN, why,
                "the metadata of the store %s was damaged, and the repair that saved what can be "
                "read of it did not come to its end: run `tally check --repair` once more",
                path);
}

int store_is_mended(struct store_dir *s)
{
    int err = s->unmended ? kv_salvage_is_mended(s->dirfd, "kv") : 0;

    s->unmended = s->unmended && err < 0;
    return err;
}

/* The tables are opened by /proc/self/fd, so without /proc they seem not to be there. */
static int no_tables(const char *path, char why[STORE_WHY])
{
    if (access("/proc/self/fd", X_OK) < 0)
        return fail(-ENOENT, why, "the store %s cannot be opened here: /proc is not mounted", path);
    return fail(
        -ENOENT, why,
        "%s is not a whole store: it has no metadata (kv/data.mdb), without which nothing of "
        "it can be read; was it copied in part? Take the whole directory from a backup",
        path);
}

/* Checks the structure of the LMDB file before LMDB maps it: with a damaged structure LMDB could
 * read and write anywhere in memory. */
static int verify_tables(struct store_dir *s, const char *path, unsigned flags, char why[STORE_WHY])
{
    char wrong[KV_WHY];
    int err = kv_verify_lmdb(s->dirfd, "kv", flags & STORE_VERIFY, wrong);

    if (err == -EUCLEAN && flags & STORE_SALVAGE)
        return salvage_tables(s, path, wrong, why);
    if (err == -EUCLEAN)
        return fail(
            err, why,
            "the metadata of the store %s is damaged: kv/data.mdb, %s; `tally check --repair` "
            "saves what can be read of it",
            path, wrong);
    if (err == -ENOENT)
        return no_tables(path, why);
    return err < 0 ? fail(err, why, "cannot read %s/kv: %s", path, wrong) : 0;
}

/* Reports the row at which `e` ended, among the counts of pages. Returns -EUCLEAN. */
static int tell_count(const struct kv_each *e, const char *path, char why[STORE_WHY])
{
    char row[64] = "a part that cannot be read";

    if (e->klen == 8)
        (void)snprintf(row, sizeof row, "the row with the key %" PRIu64, get_be64(e->key));
    else if (e->klen)
        (void)snprintf(row, sizeof row, "a row with a key of %zu bytes", e->klen);
    return fail(-EUCLEAN, why,
                "the metadata of the store %s is damaged: the table %s has %s, which is not as it "
                "was written, and without which a page that branches share could be overwritten; "
                "`tally check --repair` counts again",
                path, store_tables[TABLE_PAGE_COUNTS].name, row);
}

/* Reads all counts of pages. A page without a row has the count 1, so a row whose key is damaged
 * would let a page that branches share be changed in place. The checksum of a row covers its key:
 * a row that is not as it was written is of nobody knows which page. A repair makes the counts anew
 * before it writes anything else; a check, which writes nothing, reports the row itself. */
static int verify_counts(struct store_dir *s, const char *path, unsigned flags, char why[STORE_WHY])
{
    struct kv_each e = {.table = TABLE_PAGE_COUNTS, .strict = true};

    if (flags & STORE_READONLY)
        return 0;
    int err = kv_snap_begin(s->kv, &e.snap);
    while (err == 0 && kv_next(&e))
        e.err = e.klen == 8 ? 0 : -EUCLEAN;
    err = err < 0 ? err : e.err;
    if (err == -EUCLEAN && flags & STORE_SALVAGE) {
        s->unmended = true;
        err = 0;
    }
    if (err < 0)
        err = err == -EUCLEAN ? tell_count(&e, path, why)
                              : fail(err, why, "cannot read %s/kv: %s", path, strerror(-err));
    kv_snap_end(e.snap);
    return err;
}

/* Opens the tables, the disk and, in a pool, the node. The lock is held. */
static int open_parts(struct store_dir *s, const char *path, unsigned flags, bool pooled,
                      char why[STORE_WHY])
{
    int err = verify_tables(s, path, flags, why);

    if (err == 0)
        err = refuse_unmended(s, path, flags, why);
    if (err < 0)
        return err;
    err = kv_open_lmdb(s->dirfd, "kv", store_tables, store_table_count, kv_flags(flags), &s->kv);
    if (err == -ENOENT)
        return no_tables(path, why);
    if (err < 0)
        return fail(err, why, "cannot open %s/kv: %s", path, strerror(-err));
    err = verify_counts(s, path, flags, why);
    if (err < 0)
        return err;
    /* the directory that was locked, even if its path leads elsewhere by now */
    err = disk_open_fd(s->dirfd, store_disk_flags(flags), &s->own);
    if (err < 0)
        return fail(err, why, "cannot open %s: %s", path, strerror(-err));
    if (pooled)
        return store_pool_open(s, path, flags, why);
    s->disk = s->own;
    return 0;
}

static int foreign_name(const char *name, void *ctx)
{
    (void)ctx;
    return strcmp(name, LOCK_FILE) != 0 && strcmp(name, "lost+found") != 0;
}

/* Has the directory nothing but our lock file and what a fresh filesystem has? 1, 0 or -errno. */
static int is_empty(int dirfd)
{
    int found = beneath_list(dirfd, ".", foreign_name, NULL);

    return found < 0 ? found : found == 0;
}

static bool is_there(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Says what the directory is instead of a store, so that nobody makes a store in a directory that
 * is used for something else. -ENOENT. */
static int no_store(int dirfd, const char *path, char why[STORE_WHY])
{
    if (is_there(dirfd, POOL_IDENTITY_FILE))
        return fail(-ENOENT, why,
                    "%s is not a store: it is a pool, which several stores share; name one of them",
                    path);
    if (is_there(dirfd, "objects") && is_there(dirfd, "packs"))
        return fail(-ENOENT, why,
                    "%s is not a store: it has objects and packs, as a shard does, or a store that "
                    "has lost its file " IDENTITY_FILE,
                    path);
    if (is_empty(dirfd) == 0)
        return fail(-ENOENT, why,
                    "%s is not a store: there is something else in it; name the directory of a "
                    "store, or make one in an empty directory (tally init)",
                    path);
    return fail(-ENOENT, why,
                "%s is not a store: it is an empty directory; `tally init %s` makes "
                "it one",
                path, path);
}

/* Reads the identity, with a sentence for each error. */
static int look_at_store(int dirfd, const char *path, struct store_text *ret, char why[STORE_WHY])
{
    int err = check_identity(dirfd, ret);

    if (err == -ENOENT)
        return no_store(dirfd, path, why);
    if (err == -EPROTO)
        return other_version(dirfd, path, why);
    if (err == -EUCLEAN && is_store(dirfd, err))
        return fail(err, why,
                    "the store %s is damaged: its file " IDENTITY_FILE " is not as it was written; "
                    "put it back from a backup",
                    path);
    if (err == -EUCLEAN)
        return fail(err, why, "%s is not a store: " IDENTITY_FILE " in it is a symlink, or no file",
                    path);
    return err < 0 ? fail(err, why, "cannot read %s/" IDENTITY_FILE ": %s", path, strerror(-err))
                   : 0;
}

int store_explain(const char *path, char why[STORE_WHY])
{
    CLEANUP_CLOSE int fd = open_directory(path);

    if (fd == -ENOENT)
        return fail(fd, why,
                    "%s is not a store: there is no such directory; `tally init %s` makes one",
                    path, path);
    if (fd < 0)
        return fail(fd, why, "cannot open the store %s: %s", path, strerror(-fd));
    return look_at_store(fd, path, NULL, why);
}

/* The identity and the features are read before the lock file is written, so that a directory that
 * is no store is not changed. They are read again under the lock. */
int store_dir_open(const char *path, unsigned flags, const char *purpose, const char *at,
                   struct store_dir *ret, char why[STORE_WHY])
{
    struct store_dir s = {.dirfd = open_directory(path), .lockfd = -1, .nodefd = -1};
    bool writes = !(flags & STORE_READONLY);
    struct store_text text;
    int err;

    if (s.dirfd < 0)
        return fail(s.dirfd, why, "cannot open the store %s: %s", path, strerror(-s.dirfd));
    err = look_at_store(s.dirfd, path, &text, why);
    if (err == 0) /* before the lock file is written */
        err = check_features(&text, path, writes, why);
    if (err == 0)
        err = check_own(s.dirfd, path, flags, why);
    if (err == 0)
        s.lockfd = take_lock(s.dirfd, path, flags, purpose, at, why);
    if (err == 0)
        /* again, under the lock */
        err = s.lockfd < 0 ? s.lockfd : look_at_store(s.dirfd, path, &text, why);
    if (err == 0)
        err = check_features(&text, path, writes, why);
    if (err == 0)
        err = open_parts(&s, path, flags, text.pooled, why);
    if (err == 0 && writes)
        err = renew_identity(s.dirfd, &text, path, why);
    s.compressed = text.features.mask[FEATURE_INCOMPATIBLE] & FEATURE_COMPRESSED_RECORDS;
    if (err < 0) {
        store_dir_close(&s);
        return err;
    }
    *ret = s;
    return 0;
}

/* Who does not know the feature must not open the store from now on. */
static int raise_compressed(void *ctx)
{
    struct store_dir *s = ctx;
    struct store_text text;
    int err = check_identity(s->dirfd, &text);

    if (err < 0)
        return err;
    features_use(&text.features, FEATURE_INCOMPATIBLE, FEATURE_COMPRESSED_RECORDS,
                 FEATURE_COMPRESSED_RECORDS_NAME);
    err = write_identity(s->dirfd, &text);
    s->compressed = s->compressed || err == 0;
    return err;
}

struct state_compression store_get_compression(struct store_dir *s)
{
    return (struct state_compression){.on = s->compressed && !s->pool.disk,
                                      .raise = s->pool.disk ? NULL : raise_compressed,
                                      .ctx = s};
}

const struct pool_member *store_get_pool(const struct store_dir *s)
{
    return s->pool.disk ? &s->pool : NULL;
}

/* `disk` may be a route over `own`, so it is closed first; the lock is given up last. */
void store_dir_close(struct store_dir *s)
{
    if (s->disk != s->own)
        disk_close(s->disk);
    s->disk = NULL;
    store_pool_close(s);
    disk_close(s->own);
    kv_close(s->kv);
    drop_lock(s->lockfd);
    if (s->dirfd >= 0)
        close(s->dirfd);
    *s = (struct store_dir){.dirfd = -1, .lockfd = -1, .nodefd = -1};
}

/* ---- making ---- */

bool store_label_ok(const char *label)
{
    size_t len = strlen(label);
    const char *slash = strchr(label, '/');

    return len <= STORE_LABEL_MAX && slash && slash != label && slash[1] &&
           !strchr(slash + 1, '/') && !strchr(label, ' ') && text_is_printable(label);
}

struct removing {
    int at; /* the directory */
    unsigned depth;
};

/* Removes a file, or a directory of at most `depth` levels with all in it. Errors are ignored. */
static int remove_tree(const char *name, void *ctx)
{
    const struct removing *r = ctx;
    struct removing below = {.depth = r->depth - 1};

    if (unlinkat(r->at, name, 0) == 0 || errno == ENOENT || r->depth == 0)
        return 0;
    below.at = beneath_open_dir(r->at, name);
    if (below.at >= 0)
        (void)beneath_list(below.at, ".", remove_tree, &below);
    io_cleanup_close(&below.at);
    (void)unlinkat(r->at, name, AT_REMOVEDIR);
    return 0;
}

/* Removes what a failed `init` made. */
static void remove_made(int fd)
{
    static const char *const made[] = {"kv", "packs", "slots", "objects", STORE_POOL_FILE};

    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        (void)remove_tree(made[i], &(struct removing){fd, REMOVE_DEPTH});
}

struct making {
    int dirfd;
    unsigned flags;           /* flags of store_init */
    const char *label, *pool; /* as given to store_init */
    const struct id_key *key; /* likewise */
    char *why;
};

/* Makes everything but the identity file: the tables, and the namespace main. */
static int fill(const struct making *m, struct disk *disk, const struct id_key *key)
{
    const struct clock *clock = clock_real();
    struct kv *kv = NULL;
    int err = kv_open_lmdb(m->dirfd, "kv", store_tables, store_table_count,
                           KV_CREATE | kv_flags(m->flags), &kv);

    if (err == 0)
        err = store_format(disk, kv, clock, m->label, getuid(), getgid(), key);
    kv_close(kv);
    return err;
}

/* The same as a new node of the pool. After an error the node is retired. */
static int fill_pooled(const struct making *m, struct disk *own)
{
    struct id_key key;
    struct disk *pool, *route;
    struct pool_home home;
    int err =
        store_pool_join(m->dirfd, own, m->pool, m->label, m->flags, m->why, &pool, &home, &key);

    if (err < 0)
        return err;
    err = disk_route_open(own, pool, home.node, &route);
    if (err == 0) {
        err = fill(m, route, &key);
        disk_close(route);
    }
    if (err < 0)
        store_pool_leave(pool, &home);
    disk_close(pool);
    return err;
}

/* Makes the tables of a store, alone or as a node of a pool. */
static int fill_any(const struct making *m)
{
    struct disk *own;
    int err = disk_open_fd(m->dirfd, store_disk_flags(m->flags), &own);

    if (err < 0)
        return err;
    err = m->pool ? fill_pooled(m, own) : fill(m, own, m->key);
    disk_close(own);
    return err;
}

/* Syncs the parent directory, which has the name of the store. If we may not read it, its owner has
 * to sync it; the store itself is durable. */
static int sync_parent(int dirfd)
{
    int err = io_sync_dir(dirfd, "..");

    return err == -EACCES ? 0 : err;
}

/* Makes a store in a directory that exists and is locked. After an error it removes what it made,
 * if the directory was empty before. */
static int init_locked(const struct making *m, const char *path, char why[STORE_WHY])
{
    struct store_text text = {.pooled = m->pool};
    int dirfd = m->dirfd, empty;
    int err = check_identity(dirfd, NULL);

    if (m->pool && store_pool_is_shard(m->pool))
        store_pool_features(&text.features);
    if (err == 0 || err == -EPROTO || err == -EUCLEAN)
        return fail(-EEXIST, why, "%s is a store already", path);
    empty = is_empty(dirfd);
    if (empty == 0)
        return fail(-ENOTEMPTY, why, "%s is not empty and no store; give an empty directory", path);
    *why = '\0';
    err = empty < 0 ? empty : fill_any(m);
    if (err == 0)
        err = write_identity(dirfd, &text);
    if (err == 0)
        err = sync_parent(dirfd);
    if (err == 0)
        return 0;
    (void)unlinkat(dirfd, IDENTITY_FILE, 0);
    if (empty > 0)
        remove_made(dirfd);
    return *why ? err : fail(err, why, "cannot make the store %s: %s", path, strerror(-err));
}

/* Takes the lock and makes the store. After an error the lock file is removed, unless it was there
 * before. */
static int init_in(const struct making *m, const char *path, char why[STORE_WHY])
{
    struct stat st;
    int dirfd = m->dirfd;
    bool had_lock = fstatat(dirfd, LOCK_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
    int err, lockfd;

    /* checked before a lock file is put into a directory of somebody else */
    err = check_identity(dirfd, NULL);
    if (is_store(dirfd, err))
        return fail(-EEXIST, why, "%s is a store already", path);
    if ((err == -ENOENT || err == -EUCLEAN) && is_empty(dirfd) == 0)
        return fail(-ENOTEMPTY, why, "%s is not empty and no store; give an empty directory", path);
    err = check_own(dirfd, path, m->flags, why);
    if (err < 0)
        return err;
    lockfd = take_lock(dirfd, path, 0, "init", path, why);
    if (lockfd < 0)
        return lockfd;
    err = init_locked(m, path, why);
    if (err < 0 && err != -EEXIST && !had_lock)
        (void)unlinkat(dirfd, LOCK_FILE, 0);
    drop_lock(lockfd);
    return err;
}

/* Is a directory above `path` a store? Then `dir` is that store. `path` must exist. */
static bool lies_in_store(const char *path, char dir[PATH_MAX])
{
    char *slash;

    if (!realpath(path, dir))
        return false;
    while ((slash = strrchr(dir, '/')) && slash != dir) {
        *slash = '\0';
        if (store_exists(dir))
            return true;
    }
    return false;
}

/* Refuses a directory within another store: that store would take its files for its own. */
static int init_at(const char *path, struct making *m)
{
    CLEANUP_CLOSE int dirfd = open_directory(path);
    char outer[PATH_MAX], *why = m->why;

    if (dirfd < 0)
        return fail(dirfd, why, "cannot open %s: %s", path, strerror(-dirfd));
    if (lies_in_store(path, outer))
        return fail(-EINVAL, why, "%s lies in the store %s, which has its own files there", path,
                    outer);
    m->dirfd = dirfd;
    return init_in(m, path, why);
}

int store_init(const char *path, const char *label, const char *pool, const struct id_key *key,
               unsigned flags, char why[STORE_WHY])
{
    struct making m = {.flags = flags, .label = label, .pool = pool, .key = key, .why = why};
    bool made;
    int err;

    if (*label && !store_label_ok(label))
        return fail(-EINVAL, why, "a label is ORG/PROJECT, at most %d bytes; not '%.200s'",
                    STORE_LABEL_MAX, label);
    made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return fail(-errno, why, "cannot make the directory %s: %s", path, strerror(errno));
    err = init_at(path, &m);
    if (err < 0 && made)
        (void)rmdir(path);
    return err;
}
