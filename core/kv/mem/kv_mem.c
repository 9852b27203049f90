// SPDX-License-Identifier: Apache-2.0
/*
 * kv_mem: the store in memory, as a persistent treap per table (Seidel and Aragon 1996).
 *
 *     committed --> [root]      a node has one reference from each parent, root, snapshot
 *     snapshot  ----^  |
 *     transaction -> [root'] -- copies only the path it changes
 *
 * A writer may change a node in place only if nobody else can see it: every node on the way down
 * from its own root has one reference. Otherwise `make_own` copies the node first. So a snapshot is
 * one more reference on each root, a commit swaps roots, and an abort drops them. Every function
 * that may run out of memory does so before it changes what the tree holds.
 */
#include "kv_mem.h"

#include "kv_impl.h"
#include "lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    _Atomic unsigned refs;
    size_t klen;
    size_t vlen;
    uint8_t data[]; /* key, then value with its checksum */
};

/* Ordered by key; no child has a higher priority than its parent. */
struct node {
    _Atomic unsigned refs;
    uint64_t prio; /* a hash of the key, so the shape does not depend on the order of inserts */
    struct entry *entry;
    struct node *left;
    struct node *right;
};

struct tree {
    struct node *root;
    uint64_t count;
    uint64_t bytes; /* of keys and values */
};

/* Lock order: writer, lock. */
struct kv_mem {
    struct fault *fault; /* or NULL */
    struct mutex writer; /* held from txn_begin to its end */
    struct mutex lock;
    bool created;                /* this and the rest: guarded by lock */
    char *names[KV_TABLES_MAX];  /* NULL beyond `tables` */
    unsigned tables;             /* how many exist */
    int last_map[KV_TABLES_MAX]; /* the table numbers of the last open, for kv_mem_flip */
    _Atomic bool broken[KV_TABLES_MAX];
    struct tree trees[KV_TABLES_MAX];
};

struct mem_handle {
    struct kv base;
    struct kv_mem *mem;
    int map[KV_TABLES_MAX]; /* number -> index in mem->trees, -1: not there */
};

struct mem_snap {
    struct kv_snap base;
    struct tree trees[KV_TABLES_MAX];
};

struct mem_txn {
    struct kv_txn base;
    int error; /* first failure of a put or del; the commit returns it */
    struct tree trees[KV_TABLES_MAX];
};

/* ---- entries ---- */

static struct entry *entry_new(const void *key, size_t klen, const void *val, size_t vlen,
                               const void *sum, size_t slen)
{
    struct entry *e = malloc(sizeof *e + klen + vlen + slen);
    if (!e)
        return NULL;
    atomic_init(&e->refs, 1);
    e->klen = klen;
    e->vlen = vlen + slen;
    memcpy(e->data, key, klen);
    if (vlen > 0)
        memcpy(e->data + klen, val, vlen);
    if (slen > 0)
        memcpy(e->data + klen + vlen, sum, slen);
    return e;
}

static void entry_unref(struct entry *e)
{
    if (e && atomic_fetch_sub(&e->refs, 1) == 1)
        free(e);
}

static int compare_entry(const struct entry *e, const void *key, size_t klen)
{
    int c = memcmp(e->data, key, e->klen < klen ? e->klen : klen);
    return c != 0 ? c : (e->klen > klen) - (e->klen < klen);
}

/* FNV-1a, finished as in splitmix64. */
static uint64_t priority(const void *key, size_t klen)
{
    const uint8_t *p = key;
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < klen; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001B3);
    h = (h ^ h >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    return h ^ h >> 27;
}

/* ---- nodes ---- */

static struct node *node_ref(struct node *n)
{
    if (n)
        atomic_fetch_add(&n->refs, 1);
    return n;
}

/* Recursive, as deep as the treap is high: about 2 log n. */
static void node_unref(struct node *n)
{
    if (!n || atomic_fetch_sub(&n->refs, 1) != 1)
        return;
    node_unref(n->left);
    node_unref(n->right);
    entry_unref(n->entry);
    free(n);
}

/* Makes *slot, if there is a node, one that only the caller's tree sees. */
static int make_own(struct node **slot)
{
    struct node *old = *slot;
    if (!old || atomic_load(&old->refs) == 1)
        return 0;
    struct node *n = malloc(sizeof *n);
    if (!n)
        return -ENOMEM;
    atomic_init(&n->refs, 1);
    n->prio = old->prio;
    n->entry = old->entry;
    atomic_fetch_add(&n->entry->refs, 1);
    n->left = node_ref(old->left);
    n->right = node_ref(old->right);
    *slot = n;
    node_unref(old);
    return 0;
}

/* Owns all nodes that `split` by that key will relink. */
static int own_split(struct node **slot, const void *key, size_t klen)
{
    int err;
    while ((err = make_own(slot)) == 0 && *slot)
        slot = compare_entry((*slot)->entry, key, klen) < 0 ? &(*slot)->right : &(*slot)->left;
    return err;
}

static void split(struct node *t, const void *key, size_t klen, struct node **left,
                  struct node **right)
{
    while (t) {
        if (compare_entry(t->entry, key, klen) < 0) {
            *left = t;
            left = &t->right;
            t = t->right;
        } else {
            *right = t;
            right = &t->left;
            t = t->left;
        }
    }
    *left = NULL;
    *right = NULL;
}

/* Owns all nodes that `merge` of the children of `n` will relink. */
static int own_merge(struct node *n)
{
    struct node **slot = &n->left;
    int err;
    while ((err = make_own(slot)) == 0 && *slot)
        slot = &(*slot)->right;
    slot = &n->right;
    while (err == 0 && (err = make_own(slot)) == 0 && *slot)
        slot = &(*slot)->left;
    return err;
}

static void merge(struct node **slot, struct node *a, struct node *b)
{
    while (a && b) {
        if (a->prio >= b->prio) {
            *slot = a;
            slot = &a->right;
            a = a->right;
        } else {
            *slot = b;
            slot = &b->left;
            b = b->left;
        }
    }
    *slot = a ? a : b;
}

/* ---- trees ---- */

static const struct entry *tree_find(const struct tree *t, const void *key, size_t klen)
{
    const struct node *n = t->root;
    while (n) {
        int c = compare_entry(n->entry, key, klen);
        if (c == 0)
            return n->entry;
        n = c < 0 ? n->right : n->left;
    }
    return NULL;
}

static const struct entry *tree_seek(const struct tree *t, const void *key, size_t klen, bool after)
{
    const struct entry *best = NULL;
    const struct node *n = t->root;
    while (n) {
        int c = klen == 0 ? 1 : compare_entry(n->entry, key, klen);
        if (c > 0 || (c == 0 && !after)) {
            best = n->entry;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

/* The slot where that key is or belongs, all above it owned. */
static int tree_descend(struct tree *t, const void *key, size_t klen, struct node ***ret_slot)
{
    struct node **slot = &t->root;
    uint64_t prio = priority(key, klen);
    while (*slot && (*slot)->prio >= prio) {
        int err = make_own(slot);
        if (err < 0)
            return err;
        int c = compare_entry((*slot)->entry, key, klen);
        if (c == 0)
            break;
        slot = c < 0 ? &(*slot)->right : &(*slot)->left;
    }
    *ret_slot = slot;
    return 0;
}

static int insert_at(struct node **slot, struct entry *e)
{
    int err = own_split(slot, e->data, e->klen);
    struct node *n = err < 0 ? NULL : malloc(sizeof *n);
    if (!n)
        return -ENOMEM;
    atomic_init(&n->refs, 1);
    n->prio = priority(e->data, e->klen);
    n->entry = e;
    split(*slot, e->data, e->klen, &n->left, &n->right);
    *slot = n;
    return 0;
}

/* Takes over `e` on success. */
static int tree_insert(struct tree *t, struct entry *e)
{
    struct node **slot;
    int err = tree_descend(t, e->data, e->klen, &slot);
    if (err < 0)
        return err;
    struct node *n = *slot;
    if (n && compare_entry(n->entry, e->data, e->klen) == 0) {
        t->bytes = t->bytes - n->entry->vlen + e->vlen;
        entry_unref(n->entry);
        n->entry = e;
        return 0;
    }
    err = insert_at(slot, e);
    if (err < 0)
        return err;
    t->count++;
    t->bytes += e->klen + e->vlen;
    return 0;
}

/* Takes over `e`, whatever comes of it; NULL: there was no memory. */
static int tree_put(struct tree *t, struct entry *e)
{
    int err = !e ? -ENOMEM : tree_insert(t, e);
    if (err < 0)
        entry_unref(e);
    return err;
}

static int tree_del(struct tree *t, const void *key, size_t klen)
{
    struct node **slot;
    if (!tree_find(t, key, klen))
        return 0;
    int err = tree_descend(t, key, klen, &slot);
    if (err == 0)
        err = own_merge(*slot);
    if (err < 0)
        return err;
    struct node *n = *slot;
    merge(slot, n->left, n->right);
    t->count--;
    t->bytes -= n->entry->klen + n->entry->vlen;
    entry_unref(n->entry);
    free(n);
    return 0;
}

/* ---- the kv calls ---- */

static struct mem_handle *of(struct kv *kv)
{
    return (struct mem_handle *)kv;
}

static const struct tree *tree_of(const struct mem_handle *h, const struct tree *trees,
                                  unsigned table)
{
    static const struct tree none;
    return h->map[table] < 0 ? &none : &trees[h->map[table]];
}

static void copy_trees(struct tree *to, const struct tree *from)
{
    for (unsigned i = 0; i < KV_TABLES_MAX; i++) {
        to[i] = from[i];
        (void)node_ref(to[i].root);
    }
}

static void drop_trees(struct tree *trees)
{
    for (unsigned i = 0; i < KV_TABLES_MAX; i++)
        node_unref(trees[i].root);
}

static void mem_close(struct kv *kv)
{
    free(kv);
}

static int value_of(const struct kv *kv, unsigned table, const struct entry *e,
                    const void **ret_val, size_t *ret_len)
{
    size_t len = e->vlen;
    int err = kv_sum_check(kv, table, e->data, e->klen, e->data + e->klen, &len);
    if (err < 0)
        return err;
    *ret_val = e->data + e->klen;
    *ret_len = len;
    return 0;
}

static int mem_get(struct kv *kv, unsigned table, const void *key, size_t klen, void *buf,
                   size_t cap, size_t *ret_len)
{
    struct kv_mem *m = of(kv)->mem;
    if (fault_is_cut(m->fault))
        return -EIO;
    MUTEX_GUARD(&m->lock);
    const struct entry *e = tree_find(tree_of(of(kv), m->trees, table), key, klen);
    if (!e)
        return -ENOENT;
    const void *val;
    int err = value_of(kv, table, e, &val, ret_len);
    if (err < 0)
        return err;
    if (*ret_len > cap)
        return -ERANGE;
    if (*ret_len > 0)
        memcpy(buf, val, *ret_len);
    return 0;
}

static uint64_t mem_disk_bytes(struct kv *kv)
{
    struct kv_mem *m = of(kv)->mem;
    uint64_t sum = 0;
    MUTEX_GUARD(&m->lock);
    for (unsigned i = 0; i < KV_TABLES_MAX; i++)
        sum += m->trees[i].bytes;
    return sum;
}

static int mem_snap_begin(struct kv *kv, struct kv_snap **ret_snap)
{
    struct kv_mem *m = of(kv)->mem;
    if (fault_is_cut(m->fault))
        return -EIO;
    struct mem_snap *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->base.kv = kv;
    MUTEX_GUARD(&m->lock);
    copy_trees(s->trees, m->trees);
    *ret_snap = &s->base;
    return 0;
}

static void mem_snap_end(struct kv_snap *snap)
{
    struct mem_snap *s = (struct mem_snap *)snap;
    drop_trees(s->trees);
    free(s);
}

static const struct tree *snap_tree(struct kv_snap *s, unsigned table)
{
    return tree_of(of(s->kv), ((struct mem_snap *)s)->trees, table);
}

static int mem_snap_get(struct kv_snap *s, unsigned table, const void *key, size_t klen,
                        const void **ret_val, size_t *ret_len)
{
    if (fault_is_cut(of(s->kv)->mem->fault))
        return -EIO;
    const struct entry *e = tree_find(snap_tree(s, table), key, klen);
    return !e ? -ENOENT : value_of(s->kv, table, e, ret_val, ret_len);
}

static int mem_snap_seek(struct kv_snap *s, unsigned table, const void *key, size_t klen,
                         bool after, const void **ret_key, size_t *ret_klen, const void **ret_val,
                         size_t *ret_len)
{
    struct mem_handle *h = of(s->kv);
    if (fault_is_cut(h->mem->fault))
        return -EIO;
    if (h->map[table] >= 0 && h->mem->broken[h->map[table]]) {
        *ret_key = NULL;
        *ret_klen = 0;
        return -EUCLEAN;
    }
    const struct entry *e = tree_seek(snap_tree(s, table), key, klen, after);
    if (!e)
        return -ENOENT;
    *ret_key = e->data;
    *ret_klen = e->klen;
    return value_of(s->kv, table, e, ret_val, ret_len);
}

static int mem_snap_count(struct kv_snap *s, unsigned table, uint64_t *ret_count)
{
    if (fault_is_cut(of(s->kv)->mem->fault))
        return -EIO;
    *ret_count = snap_tree(s, table)->count;
    return 0;
}

static int mem_txn_begin(struct kv *kv, struct kv_txn **ret_txn)
{
    struct kv_mem *m = of(kv)->mem;
    if (fault_is_cut(m->fault))
        return -EIO;
    struct mem_txn *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->base.kv = kv;
    mutex_lock(&m->writer);
    MUTEX_GUARD(&m->lock);
    copy_trees(t->trees, m->trees);
    *ret_txn = &t->base;
    return 0;
}

static int noted(struct mem_txn *t, int err)
{
    if (t->error == 0)
        t->error = err;
    return err;
}

static struct tree *txn_tree(struct kv_txn *t, unsigned table)
{
    mutex_held(&of(t->kv)->mem->writer);
    return &((struct mem_txn *)t)->trees[of(t->kv)->map[table]];
}

static int mem_put(struct kv_txn *t, unsigned table, const void *key, size_t klen, const void *val,
                   size_t vlen, const void *sum, size_t slen)
{
    struct entry *e = entry_new(key, klen, val, vlen, sum, slen);
    return noted((struct mem_txn *)t, tree_put(txn_tree(t, table), e));
}

static int mem_del(struct kv_txn *t, unsigned table, const void *key, size_t klen)
{
    return noted((struct mem_txn *)t, tree_del(txn_tree(t, table), key, klen));
}

static void mem_abort(struct kv_txn *txn)
{
    struct mem_txn *t = (struct mem_txn *)txn;
    drop_trees(t->trees);
    mutex_unlock(&of(txn->kv)->mem->writer);
    free(t);
}

static void publish(struct kv_mem *m, struct tree *trees)
{
    MUTEX_GUARD(&m->lock);
    for (unsigned i = 0; i < KV_TABLES_MAX; i++) {
        struct tree old = m->trees[i];
        m->trees[i] = trees[i];
        trees[i] = old;
    }
}

static int mem_commit(struct kv_txn *txn)
{
    struct kv_mem *m = of(txn->kv)->mem;
    struct mem_txn *t = (struct mem_txn *)txn;
    mutex_held(&m->writer);
    int err = t->error < 0 ? t->error : fault_write(m->fault);
    if (err == 0)
        publish(m, t->trees); /* the transaction now holds the old state, and drops it */
    mem_abort(txn);
    return err;
}

static const struct kv_ops mem_ops = {
    .close = mem_close,
    .get = mem_get,
    .disk_bytes = mem_disk_bytes,
    .snap_begin = mem_snap_begin,
    .snap_end = mem_snap_end,
    .snap_get = mem_snap_get,
    .snap_seek = mem_snap_seek,
    .snap_count = mem_snap_count,
    .txn_begin = mem_txn_begin,
    .put = mem_put,
    .del = mem_del,
    .commit = mem_commit,
    .abort = mem_abort,
};

/* ---- the memory that outlives the handles ---- */

int kv_mem_create(struct fault *f, struct kv_mem **ret_mem)
{
    struct kv_mem *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->fault = f;
    mutex_init(&m->writer, "kv_mem_writer");
    mutex_init(&m->lock, "kv_mem");
    *ret_mem = m;
    return 0;
}

void kv_mem_destroy(struct kv_mem *m)
{
    if (!m)
        return;
    drop_trees(m->trees);
    for (unsigned i = 0; i < m->tables; i++)
        free(m->names[i]);
    mutex_destroy(&m->lock);
    mutex_destroy(&m->writer);
    free(m);
}

static int find_table(const struct kv_mem *m, const char *name)
{
    for (unsigned i = 0; i < m->tables; i++)
        if (strcmp(m->names[i], name) == 0)
            return (int)i;
    return -1;
}

static int add_table(struct kv_mem *m, const char *name)
{
    if (find_table(m, name) >= 0)
        return 0;
    if (m->tables == KV_TABLES_MAX)
        return -ENOSPC;
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    m->names[m->tables++] = copy;
    return 0;
}

/* Making tables is one commit, as in LMDB; opening what is all there writes nothing. */
static int add_tables(struct kv_mem *m, const struct kv_table *tables, unsigned count)
{
    bool all = m->created;
    for (unsigned i = 0; i < count; i++)
        all = all && find_table(m, tables[i].name) >= 0;
    int err = all ? 0 : fault_write(m->fault);
    for (unsigned i = 0; i < count && err == 0; i++)
        err = add_table(m, tables[i].name);
    if (err == 0)
        m->created = true;
    return err;
}

static int open_tables(struct mem_handle *h, const struct kv_table *tables, unsigned flags)
{
    struct kv_mem *m = h->mem;
    MUTEX_GUARD(&m->lock);
    if (!m->created && !(flags & KV_CREATE))
        return -ENOENT;
    int err = h->base.readonly ? 0 : add_tables(m, tables, h->base.tables);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < h->base.tables; i++)
        h->map[i] = find_table(m, tables[i].name);
    memcpy(m->last_map, h->map, sizeof m->last_map);
    return 0;
}

int kv_open_mem(struct kv_mem *m, const struct kv_table *tables, unsigned count, unsigned flags,
                struct kv **ret_kv)
{
    if (count < 1 || count > KV_TABLES_MAX || (flags & KV_CREATE && flags & KV_READONLY))
        return -EINVAL;
    if (fault_is_cut(m->fault))
        return -EIO;
    struct mem_handle *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->base = (struct kv){.ops = &mem_ops, .tables = count, .readonly = (flags & KV_READONLY) != 0};
    kv_sum_init(&h->base, tables);
    h->mem = m;
    memset(h->map, -1, sizeof h->map);
    int err = open_tables(h, tables, flags);
    if (err < 0) {
        free(h);
        return err;
    }
    *ret_kv = &h->base;
    return 0;
}

int kv_mem_flip(struct kv_mem *m, unsigned table, const void *key, size_t klen, size_t byte,
                unsigned bit)
{
    MUTEX_GUARD(&m->writer);
    MUTEX_GUARD(&m->lock);
    if (table >= KV_TABLES_MAX || !m->created || m->last_map[table] < 0)
        return -ENOENT;
    struct tree *t = &m->trees[m->last_map[table]];
    const struct entry *e = tree_find(t, key, klen);
    if (!e || byte >= e->vlen || bit > 7)
        return -ENOENT;
    /* A new entry: snapshots go on seeing the old one. */
    struct entry *bad = entry_new(key, klen, e->data + e->klen, e->vlen, NULL, 0);
    if (bad)
        bad->data[klen + byte] ^= (uint8_t)(1u << bit);
    return tree_put(t, bad);
}

int kv_mem_break(struct kv_mem *m, unsigned table, bool broken)
{
    MUTEX_GUARD(&m->lock);
    if (table >= KV_TABLES_MAX || !m->created || m->last_map[table] < 0)
        return -ENOENT;
    m->broken[m->last_map[table]] = broken;
    return 0;
}
