// SPDX-License-Identifier: Apache-2.0
/*
 * kv_salvage: a new environment with the rows that can be read of a damaged one.
 *
 *     DIR.new      made; rows go there as they are, with the checksums they have; until it has all
 *                  of them there is DIR.new/unfinished
 *     DIR          changes places with it; then the damaged one is DIR.damaged, or DIR.damaged.2 …
 *     DIR/salvaged comes with it, until whoever salvages has mended what the rows say
 *
 * A row does not say which commit wrote it. So only rows that can be reached from the root of the
 * newest commit are copied.
 */
#include "beneath.h"
#include "io.h"
#include "kv_impl.h"
#include "lmdb_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH 20000 /* rows of a transaction */
#define MAP ((size_t)1 << 40)
#define MAP_LEAST ((size_t)1 << 32)
#define KEPT_MAX 100 /* damaged ones beside it */
#define MARK "salvaged"
#define UNFINISHED "unfinished"

struct salvage {
    MDB_env *env;
    MDB_txn *txn; /* NULL: none is open */
    unsigned rows;
    MDB_dbi dbi; /* of the table `name` */
    char name[KV_KEY_MAX + 1];
};

/* Commits the open transaction, if there is one. */
static int end_batch(struct salvage *s)
{
    int err = s->txn ? lmdb_errno(mdb_txn_commit(s->txn)) : 0;

    s->txn = NULL;
    s->rows = 0;
    return err;
}

/* Makes s->dbi the table of that name in the new environment; it is created if it is new. */
static int open_table(struct salvage *s, const void *table, size_t len)
{
    char name[KV_KEY_MAX + 1];

    if (len > KV_KEY_MAX)
        return -EUCLEAN;
    (void)snprintf(name, sizeof name, "%.*s", (int)len, (const char *)table);
    if (strcmp(name, s->name) == 0)
        return 0;
    int err = lmdb_errno(mdb_dbi_open(s->txn, name, MDB_CREATE, &s->dbi));
    (void)snprintf(s->name, sizeof s->name, "%s", err == 0 ? name : "");
    return err;
}

/* Called by lmdb_walk_rows for each row: writes it, and commits after each BATCH rows. */
static int add_row(void *ctx, const void *table, size_t tlen, const void *key, size_t klen,
                   const void *val, size_t vlen)
{
    struct salvage *s = ctx;
    MDB_val k = {klen, (void *)(uintptr_t)key}, v = {vlen, (void *)(uintptr_t)val};
    int err = s->rows >= BATCH ? end_batch(s) : 0;

    if (klen > KV_KEY_MAX)
        return -EUCLEAN;
    if (err == 0 && !s->txn)
        err = lmdb_errno(mdb_txn_begin(s->env, NULL, 0, &s->txn));
    if (err == 0)
        err = open_table(s, table, tlen);
    if (err == 0)
        err = lmdb_errno(mdb_put(s->txn, s->dbi, &k, &v, 0));
    s->rows++;
    return err;
}

static int open_env(struct salvage *s, int at)
{
    char path[64];
    int err = -ENOMEM;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", at);
    for (size_t map = MAP; map >= MAP_LEAST && err == -ENOMEM; map /= 2) {
        if (s->env)
            mdb_env_close(s->env);
        s->env = NULL;
        err = lmdb_errno(mdb_env_create(&s->env));
        if (err == 0)
            err = lmdb_errno(mdb_env_set_maxdbs(s->env, KV_TABLES_MAX));
        if (err == 0)
            err = lmdb_errno(mdb_env_set_mapsize(s->env, map));
        if (err == 0)
            err = lmdb_errno(mdb_env_open(s->env, path, MDB_NOTLS | MDB_NOSYNC, 0600));
    }
    return err;
}

/* Copies all rows that can be read into a new environment in `at`, and syncs it. */
static int copy_rows(int from, int at, struct kv_salvaged *ret)
{
    struct salvage s = {0};
    struct lmdb_rows rows = {.row = add_row, .ctx = &s, .value_max = KV_VALUE_MAX + KV_SUM_LEN};
    int err = open_env(&s, at);

    if (err == 0)
        err = lmdb_walk_rows(from, &rows, ret->why, sizeof ret->why);
    if (err == 0)
        err = end_batch(&s);
    if (s.txn)
        mdb_txn_abort(s.txn);
    if (err == 0)
        err = lmdb_errno(mdb_env_sync(s.env, 1));
    if (s.env)
        mdb_env_close(s.env);
    ret->rows = rows.rows;
    ret->lost = rows.lost;
    return err == 0 && rows.rows == 0 ? -EUCLEAN : err;
}

/* Renames DIR.new, which holds a damaged store, to the first free name of DIR.damaged,
 * DIR.damaged.2 …; the name goes to `kept`. */
static int move_aside(int dirfd, const char *dir, const char *new, char kept[KV_KEPT])
{
    struct stat st;
    int n = 1;

    do
        (void)snprintf(kept, KV_KEPT, n == 1 ? "%s.damaged" : "%s.damaged.%d", dir, n);
    while (fstatat(dirfd, kept, &st, AT_SYMLINK_NOFOLLOW) == 0 && n++ < KEPT_MAX);
    if (renameat2(dirfd, new, dirfd, kept, RENAME_NOREPLACE) < 0)
        return -errno;
    return io_sync_dir(dirfd, ".");
}

/* Whether `new` may hold the damaged store: a salvage that was cut off after the exchange of the
 * names leaves it there. A directory with the file "unfinished" is a copy that was cut off, and may
 * be deleted. Returns 1, 0 or -errno. */
static int may_be_damaged_one(int dirfd, const char *new)
{
    CLEANUP_CLOSE int at = beneath_open_dir(dirfd, new);
    struct stat st;

    if (at < 0)
        return at == -ENOENT ? 0 : at;
    if (fstatat(at, UNFINISHED, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    if (fstatat(at, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

/* Makes the directory `name`, or removes our files from it. Returns its descriptor. */
static int clear(int dirfd, const char *name)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "closed", MARK};
    int err = beneath_mkdir(dirfd, name, 0700);

    if (err < 0 && err != -EEXIST)
        return err;
    int at = beneath_open_dir(dirfd, name);
    for (size_t i = 0; at >= 0 && i < sizeof files / sizeof *files; i++)
        (void)beneath_unlink(at, files[i]);
    return at;
}

/* Makes DIR.new an empty directory. A damaged store that is there is first renamed and kept. */
static int make_empty(int dirfd, const char *dir, const char *new)
{
    char kept[KV_KEPT];
    int err = may_be_damaged_one(dirfd, new);

    if (err > 0)
        err = move_aside(dirfd, dir, new, kept);
    return err < 0 ? err : clear(dirfd, new);
}

/* Marks the copy as whole: adds MARK, and takes away UNFINISHED. */
static int finish(int dirfd, const char *new, int at)
{
    int err = io_write_file(at, MARK, "\n", 1, 0600);

    if (err == 0)
        err = beneath_unlink(at, UNFINISHED);
    return err == 0 ? io_sync_dir(dirfd, new) : err;
}

/* Exchanges the new store with the damaged one in one step, so that DIR exists at any time, and
 * then renames the damaged one. */
static int change_places(int dirfd, const char *dir, const char *new, char kept[KV_KEPT])
{
    if (renameat2(dirfd, dir, dirfd, new, RENAME_EXCHANGE) < 0)
        return -errno;
    int err = io_sync_dir(dirfd, ".");
    return err == 0 ? move_aside(dirfd, dir, new, kept) : err;
}

int kv_salvage_lmdb(int dirfd, const char *dir, struct kv_salvaged *ret)
{
    char new[KV_KEPT];
    *ret = (struct kv_salvaged){0};
    CLEANUP_CLOSE int old = beneath_open_dir(dirfd, dir);
    CLEANUP_CLOSE int from = old < 0 ? old : beneath_open(old, "data.mdb", O_RDONLY, 0);

    if (from < 0)
        return from;
    (void)snprintf(new, sizeof new, "%s.new", dir);
    CLEANUP_CLOSE int at = make_empty(dirfd, dir, new);
    int err = at < 0 ? at : io_write_file(at, UNFINISHED, "\n", 1, 0600);
    if (err == 0)
        err = copy_rows(from, at, ret);
    if (err == 0)
        err = finish(dirfd, new, at);
    return err == 0 ? change_places(dirfd, dir, new, ret->kept) : err;
}

int kv_salvage_is_unmended(int dirfd, const char *dir)
{
    CLEANUP_CLOSE int at = beneath_open_dir(dirfd, dir);
    struct stat st;

    if (at < 0)
        return at;
    if (fstatat(at, MARK, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

int kv_salvage_is_mended(int dirfd, const char *dir)
{
    CLEANUP_CLOSE int at = beneath_open_dir(dirfd, dir);
    int err = at < 0 ? at : beneath_unlink(at, MARK);

    return err == 0 || err == -ENOENT ? io_sync_dir(dirfd, dir) : err;
}
