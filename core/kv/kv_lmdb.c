// SPDX-License-Identifier: Apache-2.0
/*
 * kv_lmdb: the store on LMDB, the only includer of lmdb.h and the only place that knows its codes.
 *
 * A read transaction costs a malloc and a slot in the reader table, so ended ones are reset and
 * parked in a few atomic cells; the next read renews one. A thread starts at a cell of its own, so
 * in the usual case two threads never touch the same cache line. A parked one holds no pages back.
 *
 * LMDB forbids two environments on one file in a process (closing one drops the fcntl locks of the
 * other); `open_head` lists the stores open for writing, so that a second open gets -EBUSY.
 */
#include "io.h"
#include "kv_files.h"
#include "kv_impl.h"
#include "mapped.h"
#include "lock.h"
#include "report.h"
#include "waits.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PARKED_MAX 64
#define READERS_MAX 512
#define MAP_MOST ((size_t)1 << 40)
#define MAP_LEAST ((size_t)1 << 34)
#define PROBE_ROOM ((off_t)256 * 1024) /* bytes */

struct kv_lmdb {
    struct kv base;
    MDB_env *env;
    struct mutex writer; /* held from txn_begin to its end */
    bool has[KV_TABLES_MAX];
    MDB_dbi dbi[KV_TABLES_MAX];
    struct kv_lmdb *next_open;             /* in the list open_head; guarded by open_lock */
    dev_t dev;                             /* of the directory; guarded by open_lock */
    ino_t ino;                             /* of the directory; guarded by open_lock */
    _Atomic(MDB_txn *) parked[PARKED_MAX]; /* reset read transactions, or NULL */
    const void *map;                       /* where LMDB mapped the file; NULL: not known */
    int at;                                /* descriptor of the directory; -1: read-only */
    _Atomic bool doubtful;                 /* a failed commit may or may not be on disk */
};

struct lmdb_snap {
    struct kv_snap base;
    MDB_txn *txn;
    MDB_cursor *cursor; /* of the table last searched, or NULL */
    unsigned cursor_table;
    unsigned got; /* 1 + the table of the last get */
};

struct lmdb_txn {
    struct kv_txn base;
    MDB_txn *txn;
    int error; /* first failure of a put or del; the commit returns it */
};

static struct mutex open_lock = {.m = PTHREAD_MUTEX_INITIALIZER, .name = "kv_lmdb_open"};
static struct kv_lmdb *open_head;

int lmdb_errno(int rc)
{
    switch (rc) {
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
        return -ENOSPC;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return -EUCLEAN;
    default:
        return rc >= 0 ? -rc : -EIO;
    }
}

static struct kv_lmdb *of(struct kv *kv)
{
    return (struct kv_lmdb *)kv;
}

static MDB_val val_of(const void *data, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)data};
}

/* ---- read transactions ---- */

/* The cell where this thread starts to look for a parked transaction: each thread has its own, as
 * long as there are at most PARKED_MAX threads. */
static unsigned first_cell(void)
{
    static _Atomic unsigned next;
    static _Thread_local unsigned mine; /* 0: not given yet */
    if (mine == 0)
        mine = atomic_fetch_add(&next, 1) % PARKED_MAX + 1;
    return mine - 1;
}

/* Takes a parked read transaction out of its cell; NULL: none is parked. */
static MDB_txn *unpark(struct kv_lmdb *k)
{
    unsigned first = first_cell();
    for (unsigned i = 0; i < PARKED_MAX; i++) {
        _Atomic(MDB_txn *) *cell = &k->parked[(first + i) % PARKED_MAX];
        if (!atomic_load_explicit(cell, memory_order_relaxed))
            continue;
        MDB_txn *txn = atomic_exchange(cell, NULL);
        if (txn)
            return txn;
    }
    return NULL;
}

/* Begins a read: renews a parked transaction, or makes one. */
static int read_begin(struct kv_lmdb *k, MDB_txn **ret_txn)
{
    MDB_txn *txn = unpark(k);
    if (!txn)
        return lmdb_errno(mdb_txn_begin(k->env, NULL, MDB_RDONLY, ret_txn));
    int rc = mdb_txn_renew(txn);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return lmdb_errno(rc);
    }
    *ret_txn = txn;
    return 0;
}

/* Ends a read: parks its transaction, or, if all cells are full, frees it. */
static void read_end(struct kv_lmdb *k, MDB_txn *txn)
{
    unsigned first = first_cell();
    mdb_txn_reset(txn);
    for (unsigned i = 0; i < PARKED_MAX; i++) {
        MDB_txn *none = NULL;
        if (atomic_compare_exchange_strong(&k->parked[(first + i) % PARKED_MAX], &none, txn))
            return;
    }
    mdb_txn_abort(txn);
}

/* Checks a stored value against its checksum, and takes the checksum off its length. */
static int checked(struct kv_lmdb *k, unsigned table, const MDB_val *key, MDB_val *val)
{
    return kv_sum_check(&k->base, table, key->mv_data, key->mv_size, val->mv_data, &val->mv_size);
}

static int copy_out(const MDB_val *val, void *buf, size_t cap, size_t *ret_len)
{
    *ret_len = val->mv_size;
    if (val->mv_size > cap)
        return -ERANGE;
    if (val->mv_size > 0)
        memcpy(buf, val->mv_data, val->mv_size);
    return 0;
}

/* The arguments of a get: mapped_guard passes one pointer. */
struct get {
    struct kv_lmdb *k;
    MDB_txn *txn;
    unsigned table;
    MDB_val key;
    void *buf;
    size_t cap, *ret_len;
};

static int get_guarded(void *arg)
{
    struct get *g = arg;
    MDB_val val;
    int err = lmdb_errno(mdb_get(g->txn, g->k->dbi[g->table], &g->key, &val));
    if (err == 0)
        err = checked(g->k, g->table, &g->key, &val);
    return err < 0 ? err : copy_out(&val, g->buf, g->cap, g->ret_len);
}

static int lmdb_get(struct kv *kv, unsigned table, const void *key, size_t klen, void *buf,
                    size_t cap, size_t *ret_len)
{
    struct kv_lmdb *k = of(kv);
    struct get g = {.k = k,
                    .table = table,
                    .key = val_of(key, klen),
                    .buf = buf,
                    .cap = cap,
                    .ret_len = ret_len};
    if (!k->has[table])
        return -ENOENT;
    int err = read_begin(k, &g.txn);
    if (err < 0)
        return err;
    err = mapped_guard(get_guarded, &g);
    read_end(k, g.txn);
    return err;
}

static uint64_t lmdb_disk_bytes(struct kv *kv)
{
    MDB_envinfo info;
    MDB_stat st;
    if (mdb_env_info(of(kv)->env, &info) != 0 || mdb_env_stat(of(kv)->env, &st) != 0)
        return 0;
    return ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
}

/* ---- snapshots ---- */

static int lmdb_snap_begin(struct kv *kv, struct kv_snap **ret_snap)
{
    struct lmdb_snap *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->base.kv = kv;
    int err = read_begin(of(kv), &s->txn);
    if (err < 0) {
        free(s);
        return err;
    }
    *ret_snap = &s->base;
    return 0;
}

static void drop_cursor(struct lmdb_snap *s)
{
    if (s->cursor)
        mdb_cursor_close(s->cursor);
    s->cursor = NULL;
}

static void lmdb_snap_end(struct kv_snap *snap)
{
    struct lmdb_snap *s = (struct lmdb_snap *)snap;
    drop_cursor(s);
    read_end(of(snap->kv), s->txn);
    free(s);
}

/* Reads a byte of each page of a value before it is handed out: a page that the disk cannot read is
 * -EIO here, inside mapped_guard, while outside of it the fault would end the process. */
static void touch(const MDB_val *val)
{
    const volatile char *at = val->mv_data;
    for (size_t i = 0; i < val->mv_size; i += 4096)
        (void)at[i];
    if (val->mv_size > 0)
        (void)at[val->mv_size - 1];
}

/* The arguments and results of a look-up in a snapshot: mapped_guard passes one pointer. */
struct look {
    struct lmdb_snap *s;
    unsigned table;
    const void *from;
    size_t from_len;
    bool after;
    bool found;       /* a key was found; its value may still be damaged */
    MDB_val key, val; /* what was found */
};

static struct kv_lmdb *kv_of(const struct look *l)
{
    return of(l->s->base.kv);
}

/* Checks the value that a look-up found, and reads all its pages while a fault is caught. */
static int take_value(struct look *l)
{
    l->found = true;
    int err = checked(kv_of(l), l->table, &l->key, &l->val);
    if (err == 0)
        touch(&l->val);
    return err;
}

/* Makes s->cursor a cursor of this table. A snapshot has one cursor at a time. */
static int open_cursor(struct lmdb_snap *s, unsigned table)
{
    MDB_stat st;
    MDB_dbi dbi = of(s->base.kv)->dbi[table];
    if (s->cursor && s->cursor_table == table)
        return 0;
    drop_cursor(s);
    s->cursor_table = table;
    /* mdb_stat reads the pages that mdb_cursor_open would read. If the disk cannot read them, the
     * fault comes here, and does not leave a half-made cursor. */
    int err = lmdb_errno(mdb_stat(s->txn, dbi, &st));
    return err < 0 ? err : lmdb_errno(mdb_cursor_open(s->txn, dbi, &s->cursor));
}

/* The first get of a table uses mdb_get. Further gets in a row of the same table use a cursor: it
 * searches the page where it stands before it descends from the root. */
static int snap_get_guarded(void *arg)
{
    struct look *l = arg;
    bool again = l->s->got == l->table + 1;
    int err = again ? open_cursor(l->s, l->table) : 0;
    l->s->got = l->table + 1;
    if (err == 0)
        err = lmdb_errno(again ? mdb_cursor_get(l->s->cursor, &l->key, &l->val, MDB_SET)
                               : mdb_get(l->s->txn, kv_of(l)->dbi[l->table], &l->key, &l->val));
    return err < 0 ? err : take_value(l);
}

static int lmdb_snap_get(struct kv_snap *snap, unsigned table, const void *key, size_t klen,
                         const void **ret_val, size_t *ret_len)
{
    struct kv_lmdb *k = of(snap->kv);
    struct look l = {.s = (struct lmdb_snap *)snap, .table = table, .key = val_of(key, klen)};
    if (!k->has[table])
        return -ENOENT;
    int err = mapped_guard(snap_get_guarded, &l);
    if (err == -EIO)
        drop_cursor(l.s); /* the fault left it at an unknown place */
    if (err < 0)
        return err;
    *ret_val = l.val.mv_data;
    *ret_len = l.val.mv_size;
    return 0;
}

/* Whether the found key lies behind `key` (or, without `after`, is not before it). A damaged tree
 * may return any key; with this check a loop from key to key still ends. */
static bool is_behind(const MDB_val *found, const void *key, size_t klen, bool after)
{
    size_t len = found->mv_size < klen ? found->mv_size : klen;
    int c = memcmp(found->mv_data, key, len);
    if (c == 0)
        c = found->mv_size < klen ? -1 : found->mv_size > klen;
    return after ? c > 0 : c >= 0;
}

/* Sets the cursor to the first key at or (with `after`) behind `key`; klen 0: to the first key. */
static int seek(MDB_cursor *c, const void *key, size_t klen, bool after, MDB_val *found,
                MDB_val *val)
{
    if (klen == 0)
        return lmdb_errno(mdb_cursor_get(c, found, val, MDB_FIRST));
    *found = val_of(key, klen);
    int rc = mdb_cursor_get(c, found, val, MDB_SET_RANGE);
    if (rc == 0 && after && found->mv_size == klen && memcmp(found->mv_data, key, klen) == 0)
        rc = mdb_cursor_get(c, found, val, MDB_NEXT);
    return rc != 0 || is_behind(found, key, klen, after) ? lmdb_errno(rc) : -EUCLEAN;
}

static int seek_guarded(void *arg)
{
    struct look *l = arg;
    int err = open_cursor(l->s, l->table);
    if (err == 0)
        err = seek(l->s->cursor, l->from, l->from_len, l->after, &l->key, &l->val);
    return err < 0 ? err : take_value(l);
}

static int lmdb_snap_seek(struct kv_snap *snap, unsigned table, const void *key, size_t klen,
                          bool after, const void **ret_key, size_t *ret_klen, const void **ret_val,
                          size_t *ret_len)
{
    struct look l = {.s = (struct lmdb_snap *)snap,
                     .table = table,
                     .from = key,
                     .from_len = klen,
                     .after = after};
    if (!of(snap->kv)->has[table])
        return -ENOENT;
    int err = mapped_guard(seek_guarded, &l);
    if (err == -EIO)
        drop_cursor(l.s); /* the fault left it at an unknown place */
    if (err < 0 && err != -EUCLEAN)
        return err;
    *ret_key = l.found ? l.key.mv_data : NULL;
    *ret_klen = l.found ? l.key.mv_size : 0;
    if (err < 0)
        return err;
    *ret_val = l.val.mv_data;
    *ret_len = l.val.mv_size;
    return 0;
}

struct count {
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_stat st;
};

static int count_guarded(void *arg)
{
    struct count *c = arg;
    return lmdb_errno(mdb_stat(c->txn, c->dbi, &c->st));
}

static int lmdb_snap_count(struct kv_snap *snap, unsigned table, uint64_t *ret_count)
{
    struct kv_lmdb *k = of(snap->kv);
    struct count c = {.txn = ((struct lmdb_snap *)snap)->txn};
    int err = 0;
    if (k->has[table]) {
        c.dbi = k->dbi[table];
        err = mapped_guard(count_guarded, &c);
    }
    if (err == 0)
        *ret_count = c.st.ms_entries;
    return err;
}

/* ---- writing ---- */

static int lmdb_txn_begin(struct kv *kv, struct kv_txn **ret_txn)
{
    struct kv_lmdb *k = of(kv);
    struct lmdb_txn *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->base.kv = kv;
    mutex_lock(&k->writer);
    int err = lmdb_errno(mdb_txn_begin(k->env, NULL, 0, &t->txn));
    if (err < 0) {
        mutex_unlock(&k->writer);
        free(t);
        return err;
    }
    *ret_txn = &t->base;
    return 0;
}

/* Keeps the first error of a transaction for the commit to return: a failed put leaves LMDB's
 * transaction unusable, so later errors only follow from the first. */
static int noted(struct lmdb_txn *t, int err)
{
    if (t->error == 0)
        t->error = err;
    return err;
}

static int lmdb_put(struct kv_txn *txn, unsigned table, const void *key, size_t klen,
                    const void *val, size_t vlen, const void *sum, size_t slen)
{
    struct lmdb_txn *t = (struct lmdb_txn *)txn;
    struct kv_lmdb *k = of(txn->kv);
    MDB_val mkey = val_of(key, klen), room = {.mv_size = vlen + slen};
    mutex_held(&k->writer);
    int err = lmdb_errno(mdb_put(t->txn, k->dbi[table], &mkey, &room, MDB_RESERVE));
    if (err < 0)
        return noted(t, err);
    if (vlen > 0)
        memcpy(room.mv_data, val, vlen);
    if (slen > 0)
        memcpy((char *)room.mv_data + vlen, sum, slen);
    return 0;
}

static int lmdb_del(struct kv_txn *txn, unsigned table, const void *key, size_t klen)
{
    struct lmdb_txn *t = (struct lmdb_txn *)txn;
    struct kv_lmdb *k = of(txn->kv);
    MDB_val mkey = val_of(key, klen);
    mutex_held(&k->writer);
    int rc = mdb_del(t->txn, k->dbi[table], &mkey, NULL);
    return rc == MDB_NOTFOUND ? 0 : noted(t, lmdb_errno(rc));
}

/* Ends a write transaction of which LMDB's part has ended. */
static void end(struct lmdb_txn *t)
{
    mutex_unlock(&of(t->base.kv)->writer);
    free(t);
}

static void lmdb_abort(struct kv_txn *txn)
{
    struct lmdb_txn *t = (struct lmdb_txn *)txn;
    mdb_txn_abort(t->txn);
    end(t);
}

/* LMDB returns EIO for a short write. Finds out whether the disk is full, by asking it for room
 * behind the end of the file. Returns 0 (not full, or not known), -ENOSPC or -EDQUOT. */
static int is_full(struct kv_lmdb *k)
{
    struct statvfs s;
    struct stat st;
    int fd;
    if (mdb_env_get_fd(k->env, &fd) != 0 || fstat(fd, &st) < 0)
        return 0;
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, st.st_size, PROBE_ROOM) == 0)
        return 0; /* that room stays allocated; the file grows into it */
    if (errno == ENOSPC || errno == EDQUOT)
        return -errno;
    return fstatvfs(fd, &s) == 0 && s.f_bavail == 0 ? -ENOSPC : 0;
}

/* The error that a failed commit returns. If LMDB could not write the meta page, it refuses all
 * further work (MDB_PANIC): the old or the new state may be on disk, so this is -EIO (kv.h).
 * Otherwise the meta page was not written, and the old state is whole. */
static int commit_error(struct kv_lmdb *k, int err)
{
    MDB_txn *probe;
    int rc = mdb_txn_begin(k->env, NULL, MDB_RDONLY, &probe);
    if (rc == MDB_PANIC) {
        k->doubtful = true;
        return -EIO;
    }
    if (rc == 0) /* other errors (no reader slot, no memory) mean nothing here */
        mdb_txn_abort(probe);
    int full = err == -EIO ? is_full(k) : 0;
    return full < 0 ? full : err;
}

/* The descriptor of data.mdb, for the note of who waits for it. */
static int descriptor(struct kv_lmdb *k)
{
    int fd;
    return mdb_env_get_fd(k->env, &fd) == 0 ? fd : -1;
}

static int lmdb_commit(struct kv_txn *txn)
{
    struct lmdb_txn *t = (struct lmdb_txn *)txn;
    struct kv_lmdb *k = of(txn->kv);
    int err = t->error;
    mutex_held(&k->writer);
    if (err < 0) {
        lmdb_abort(txn);
        return commit_error(k, err); /* a large transaction is written in part before its end */
    }
    {
        WAITS_GUARD(WAITS_FILE, "a commit to", descriptor(k), NULL);
        err = lmdb_errno(mdb_txn_commit(t->txn));
    }
    end(t);
    return err < 0 ? commit_error(k, err) : 0;
}

/* ---- opening and closing ---- */

/* Notes that this process has the directory open for writing; -EBUSY if it had it already. */
static int claim(struct kv_lmdb *k, const struct stat *st)
{
    MUTEX_GUARD(&open_lock);
    for (struct kv_lmdb *o = open_head; o; o = o->next_open)
        if (o->dev == st->st_dev && o->ino == st->st_ino)
            return -EBUSY;
    k->dev = st->st_dev;
    k->ino = st->st_ino;
    k->next_open = open_head;
    open_head = k;
    return 0;
}

static void unclaim(struct kv_lmdb *k)
{
    MUTEX_GUARD(&open_lock);
    for (struct kv_lmdb **o = &open_head; *o; o = &(*o)->next_open) {
        if (*o != k)
            continue;
        *o = k->next_open;
        return;
    }
}

static void lmdb_close(struct kv *kv)
{
    struct kv_lmdb *k = of(kv);
    for (unsigned i = 0; i < PARKED_MAX; i++)
        if (k->parked[i])
            mdb_txn_abort(k->parked[i]);
    if (k->map)
        mapped_remove(k->map);
    if (k->env)
        mdb_env_close(k->env);
    if (k->env && k->at >= 0 && !k->doubtful)
        kv_note_closed(k->at);
    if (k->at >= 0)
        close(k->at);
    unclaim(k);
    mutex_destroy(&k->writer);
    free(k);
}

/* LMDB calls this when an assertion of its own fails: the file is damaged. In a guarded read
 * mapped_give_up makes it an error of the read and does not return. Otherwise the process ends. */
static void on_assert(MDB_env *env, const char *text)
{
    (void)env;
    mapped_give_up();
    report(REPORT_ALARM,
           "the metadata of the store is damaged (%s): the process ends; what was durable stays so",
           text);
    _exit(2);
}

static int try_open(struct kv_lmdb *k, const char *path, unsigned flags, size_t map)
{
    int rc = mdb_env_create(&k->env);
    if (rc != 0)
        return lmdb_errno(rc);
    rc = mdb_env_set_maxdbs(k->env, k->base.tables);
    if (rc == 0)
        rc = mdb_env_set_assert(k->env, on_assert);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(k->env, READERS_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize(k->env, map);
    if (rc == 0)
        rc = mdb_env_open(k->env, path, flags, 0600);
    if (rc != 0) {
        mdb_env_close(k->env);
        k->env = NULL;
    }
    return lmdb_errno(rc);
}

/* Opens LMDB with the largest map, from MAP_MOST down to MAP_LEAST, for which the machine has
 * address space. Address space costs nothing, and so the map need never be resized. */
static int open_env(struct kv_lmdb *k, const char *path)
{
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
    if (k->base.readonly)
        flags |= MDB_RDONLY | MDB_NOLOCK;
    int err = -ENOMEM;
    for (size_t map = MAP_MOST; map >= MAP_LEAST && err == -ENOMEM; map /= 2)
        err = try_open(k, path, flags, map);
    return err;
}

/* Opens the tables, or creates them. A read-only store may lack some: they read as empty. */
static int open_tables(struct kv_lmdb *k, const struct kv_table *tables)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(k->env, NULL, k->base.readonly ? MDB_RDONLY : 0, &txn);
    if (rc != 0)
        return lmdb_errno(rc);
    for (unsigned i = 0; i < k->base.tables; i++) {
        rc = mdb_dbi_open(txn, tables[i].name, k->base.readonly ? 0 : MDB_CREATE, &k->dbi[i]);
        k->has[i] = rc == 0;
        if (rc != 0 && !(rc == MDB_NOTFOUND && k->base.readonly)) {
            mdb_txn_abort(txn);
            return lmdb_errno(rc);
        }
    }
    return lmdb_errno(mdb_txn_commit(txn));
}

/* Finds in /proc/self/maps where LMDB has mapped its file (LMDB has no call for that), and
 * registers the mapping with mapped.h. If it is not found, a disk that fails ends the process
 * without a message. */
static void know_map(struct kv_lmdb *k, const struct stat *st)
{
    char line[4096 + 128];
    FILE *f = fopen("/proc/self/maps", "re");
    while (f && !k->map && fgets(line, sizeof line, f)) {
        unsigned long from, to, ino;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &ino) != 3 || ino != st->st_ino ||
            !strstr(line, "data.mdb"))
            continue;
        k->map = (const void *)from;
        mapped_add(k->map, to - from, "kv/data.mdb");
    }
    if (f)
        (void)fclose(f);
}

/* Syncs the directory of the file and the one above: LMDB syncs its file, but not its names. */
static int sync_names(int dirfd, const char *dir)
{
    int err = io_sync_dir(dirfd, dir);
    return err < 0 ? err : io_sync_dir(dirfd, ".");
}

/* Makes durable what was found at opening. A process that died in a commit may have left a root
 * that only the page cache has. If a caller acts on that root, for example deletes a file, and the
 * power fails, the next opening must not find the root before it. */
static int sync_found(struct kv_lmdb *k)
{
    WAITS_GUARD(WAITS_FILE, "a sync of", descriptor(k), NULL);
    return k->base.readonly ? 0 : lmdb_errno(mdb_env_sync(k->env, 1));
}

/* Removes the note that the file was closed well; lmdb_close writes it again. While there is none,
 * kv_verify_lmdb walks the whole file. */
static int doubt(struct kv_lmdb *k, const struct kv_files *f)
{
    if (k->base.readonly)
        return 0;
    k->at = fcntl(f->dir, F_DUPFD_CLOEXEC, 0);
    return k->at < 0 ? -errno : kv_note_opened(k->at);
}

static int open_found(struct kv_lmdb *k, const struct kv_files *f, const struct kv_table *tables)
{
    int err = k->base.readonly ? 0 : claim(k, &f->dir_stat);
    if (err == 0)
        err = doubt(k, f);
    if (err == 0)
        err = open_env(k, f->path);
    if (err == 0)
        know_map(k, &f->data_stat);
    if (err == 0)
        err = sync_found(k);
    return err == 0 ? open_tables(k, tables) : err;
}

static int open_all(struct kv_lmdb *k, int dirfd, const char *dir, const struct kv_table *tables,
                    unsigned flags)
{
    struct kv_files f;
    int err = kv_files_open(&f, dirfd, dir, flags);
    if (err < 0)
        return err;
    err = open_found(k, &f, tables);
    kv_files_close(&f);
    return err == 0 && flags & KV_CREATE ? sync_names(dirfd, dir) : err;
}

static const struct kv_ops lmdb_ops = {
    .close = lmdb_close,
    .get = lmdb_get,
    .disk_bytes = lmdb_disk_bytes,
    .snap_begin = lmdb_snap_begin,
    .snap_end = lmdb_snap_end,
    .snap_get = lmdb_snap_get,
    .snap_seek = lmdb_snap_seek,
    .snap_count = lmdb_snap_count,
    .txn_begin = lmdb_txn_begin,
    .put = lmdb_put,
    .del = lmdb_del,
    .commit = lmdb_commit,
    .abort = lmdb_abort,
};

int kv_open_lmdb(int dirfd, const char *dir, const struct kv_table *tables, unsigned count,
                 unsigned flags, struct kv **ret_kv)
{
    if (count < 1 || count > KV_TABLES_MAX || (flags & KV_CREATE && flags & KV_READONLY))
        return -EINVAL;
    struct kv_lmdb *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    k->base =
        (struct kv){.ops = &lmdb_ops, .tables = count, .readonly = (flags & KV_READONLY) != 0};
    k->at = -1;
    kv_sum_init(&k->base, tables);
    mutex_init(&k->writer, "kv_writer");
    int err = open_all(k, dirfd, dir, tables, flags);
    if (err < 0) {
        lmdb_close(&k->base);
        return err;
    }
    *ret_kv = &k->base;
    return 0;
}
