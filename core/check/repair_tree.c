// SPDX-License-Identifier: Apache-2.0
/*
 * repair_tree: changes names and attributes through the ordinary trees. For this it opens pages,
 * counts and the queue of dropped pages over the tables, but neither packs nor slots nor objects:
 * opening these would delete files that no table names.
 *
 * Namespaces that share a root share one afterwards, too: the tree is changed for the first of
 * them, and the others branch from the result. One call makes one commit.
 */
#include "repair_impl.h"
#include "vfs_dir.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CACHE_BYTES (64u << 20) /* of the page cache */
#define LEFT_ALONE 1     /* a result beside 0 and -errno: nothing was changed */
#define NAMES_TRIED 1000 /* numbers tried for a free name: "lost+found.1", "#17.1", … */

/* One call of repair_trees. */
struct mender {
    struct kv *kv;
    struct state *p; /* has only those members set that the changes need */
    struct store_record state;
    struct ns **ns; /* the namespaces that change */
    size_t count;
    const struct fixes *fixes;
    bool *done;
    struct map64
        first; /* root -> its first fix, an index from 1; all fixes of a tree follow each other */
    struct map64 raise; /* namespaces whose next inode number is raised -> to what */
};

/* ---- which fixes ---- */

/* Does the fix change the tree of that root? */
static bool is_of(const struct fix *f, uint64_t root)
{
    return fix_is_of_tree(f) && f->kind != FIX_NEXT_INO && f->root == root;
}

/* Fill m->first and m->raise. Raising a next inode number is part of storing the namespace's
 * record, so these fixes count as done. */
static int sort_out(struct mender *m)
{
    uint64_t none;
    int err = 0;

    for (size_t i = 0; i < m->fixes->count && err == 0; i++) {
        const struct fix *f = &m->fixes->v[i];
        if (f->kind == FIX_NEXT_INO)
            err = map64_put(&m->raise, f->ns, f->value);
        else if (fix_is_of_tree(f) && !map64_get(&m->first, f->root, &none))
            err = map64_put(&m->first, f->root, i + 1);
        if (err == 0 && f->kind == FIX_NEXT_INO)
            m->done[i] = true;
    }
    return err;
}

/* ---- namespaces ---- */

static void ns_free(struct ns *ns)
{
    free(ns->name);
    free(ns->target);
    free(ns->tail);
    free(ns);
}

/* Make a namespace from its record, and take over what the record has allocated. It is kept until
 * the end of the call. */
static int ns_add(struct mender *m, uint32_t number, struct ns_fields *f)
{
    struct ns **v = realloc(m->ns, (m->count + 1) * sizeof(struct ns *));
    uint64_t next;
    struct ns *ns = calloc(1, sizeof *ns);

    if (v)
        m->ns = v;
    if (ns)
        ns->name = strdup(f->name);
    if (!v || !ns || !ns->name) {
        free(ns);
        return -ENOMEM;
    }
    ns->tree = (struct tree){.pages = m->p->pages, .refs = m->p->refs};
    ns_set_fields(ns, number, f);
    if (map64_get(&m->raise, number, &next))
        ns_saw_ino(m->p, ns, next - 1);
    ns->seq = m->state.seq;
    m->ns[m->count++] = ns;
    return 0;
}

/* Called for each namespace record: load the namespaces that change. The next run of inode numbers
 * is raised above those of all others. */
static int ns_consider(void *ctx, uint64_t number, const void *val, size_t len)
{
    struct mender *m = ctx;
    struct ns_fields f;
    uint64_t none;
    int err = ns_read(number, val, len, &f);

    if (err < 0)
        return err == -EUCLEAN ? 0 : err;
    if (f.ino_end > atomic_load(&m->p->next_ino))
        atomic_store(&m->p->next_ino, f.ino_end);
    if (f.root && !f.target &&
        (map64_get(&m->first, f.root, &none) || map64_get(&m->raise, number, &none)))
        err = ns_add(m, (uint32_t)number, &f);
    ns_fields_release(&f);
    return err;
}

static int ns_load_all(struct mender *m)
{
    struct kv_snap *snap;
    int err = kv_snap_begin(m->kv, &snap);

    if (err < 0)
        return err;
    err = kv_each_number(snap, TABLE_NAMESPACES, ns_consider, m);
    kv_snap_end(snap);
    return err;
}

/* ---- names ---- */

/* The changes of one tree. */
struct tree_work {
    struct mender *m;
    struct ns *ns;
    uint64_t lost; /* inode of lost+found; 0: not looked for yet */
};

/* Add `entries` to a directory's number of entries, and, if they are directories, to its link
 * count. */
static int dir_shift(struct tree_work *w, uint64_t ino, int entries, bool subdir)
{
    struct inode in;
    int err = inode_load(&w->ns->tree, ino, &in);

    return err < 0 ? err
                   : dir_touch(w->m->p, &w->ns->tree, ino, &in, entries, subdir ? entries : 0);
}

/* Find a free name in `dir`: `stem`, else "stem.1", and so on. */
static int free_name(struct tree_work *w, uint64_t dir, const char *stem, char out[64],
                     struct key *ret_key)
{
    uint64_t ino;
    unsigned type;

    for (unsigned i = 0; i < NAMES_TRIED; i++) {
        int err;
        if (i == 0)
            (void)snprintf(out, 64, "%s", stem);
        else
            (void)snprintf(out, 64, "%s.%u", stem, i);
        err = dirent_find(w->m->p, &w->ns->tree, dir, out, ret_key, &ino, &type);
        if (err < 0)
            return err == -ENOENT ? 0 : err;
    }
    return -EEXIST;
}

/* Make a new lost+found, under another name if that one is taken. */
static int make_lost_found(struct tree_work *w)
{
    struct inode in = {.mode = S_IFDIR | 0700, .nlink = 2, .parent = NS_ROOT_INO};
    struct tree *t = &w->ns->tree;
    char name[64];
    struct key k;
    int err = free_name(w, NS_ROOT_INO, "lost+found", name, &k);

    if (err == 0)
        err = ns_need_ino(w->m->p, w->ns);
    if (err < 0)
        return err;
    in.atime = in.mtime = in.ctime = in.btime = now(w->m->p);
    w->lost = ns_give_ino(w->ns);
    err = inode_store(t, w->lost, &in);
    if (err == 0)
        err = dirent_put(w->m->p, t, k, w->lost, in.mode, name);
    return err < 0 ? err : dir_shift(w, NS_ROOT_INO, 1, true);
}

/* Find lost+found, or make it if there is none or if that name is no directory. */
static int find_lost_found(struct tree_work *w)
{
    struct inode in;
    struct key k;
    uint64_t ino;
    unsigned type;
    int err = w->lost
                  ? 0
                  : dirent_find(w->m->p, &w->ns->tree, NS_ROOT_INO, "lost+found", &k, &ino, &type);

    if (w->lost)
        return 0;
    if (err == 0 && inode_load(&w->ns->tree, ino, &in) == 0 && S_ISDIR(in.mode)) {
        w->lost = ino;
        return 0;
    }
    return err < 0 && err != -ENOENT ? err : make_lost_found(w);
}

/* Give `ino` a name in lost+found. `nameless`: it has no other name, so its link count becomes
 * 1. */
static int put_in_lost_found(struct tree_work *w, uint64_t ino, bool nameless)
{
    struct tree *t = &w->ns->tree;
    struct inode in;
    char stem[32], name[64];
    struct key k;
    int err = find_lost_found(w);

    if (err == 0 && ino == w->lost) /* lost+found itself is in a circle of directories */
        err = make_lost_found(w);
    if (err == 0)
        err = inode_load(t, ino, &in);
    (void)snprintf(stem, sizeof stem, "#%" PRIu64, ino);
    if (err == 0)
        err = free_name(w, w->lost, stem, name, &k);
    if (err == 0)
        err = dirent_put(w->m->p, t, k, ino, in.mode, name);
    if (err == 0)
        err = dir_shift(w, w->lost, 1, S_ISDIR(in.mode));
    if (err < 0)
        return err;
    if (S_ISDIR(in.mode))
        in.parent = w->lost;
    else if (nameless)
        in.nlink = 1;
    return inode_store(t, ino, &in);
}

/* A copy of an entry that stays valid while the tree changes. */
struct entry_read {
    struct dirent_item d;
    uint8_t buf[PAGE_VALUE_MAX];
    size_t len;
    char name[ITEM_NAME_MAX + 1];
};

static int read_entry(struct tree_work *w, struct key k, struct entry_read *ret)
{
    int err = tree_get(&w->ns->tree, k, ret->buf, sizeof ret->buf, &ret->len);

    if (err == 0)
        err = dirent_decode(ret->buf, ret->len, &ret->d);
    if (err < 0)
        return err;
    memcpy(ret->name, ret->d.name, ret->d.name_len);
    ret->name[ret->d.name_len] = 0;
    return 0;
}

/* Remove an entry, and count it out of its directory. */
static int take_out(struct tree_work *w, struct key k)
{
    struct entry_read e;
    struct inode in = {.mode = 0};
    int err = read_entry(w, k, &e);

    if (err < 0)
        return err;
    if (inode_load(&w->ns->tree, e.d.ino, &in) < 0)
        in.mode = 0; /* it leads nowhere */
    err = name_del(w->m->p, &w->ns->tree, k, e.name);
    return err < 0 ? err : dir_shift(w, key_ino(k), -1, S_ISDIR(in.mode));
}

/* Move an entry to lost+found. An entry that leads nowhere is left alone: it would lead nowhere
 * from there, too. */
static int move_to_lost_found(struct tree_work *w, struct key k)
{
    struct entry_read e;
    struct inode in;
    int err = read_entry(w, k, &e);

    if (err < 0)
        return err;
    if (inode_load(&w->ns->tree, e.d.ino, &in) < 0)
        return LEFT_ALONE;
    err = take_out(w, k);
    return err < 0 ? err : put_in_lost_found(w, e.d.ino, false);
}

/* Move an extended attribute to where a lookup of its name finds it. If that name is taken the
 * attribute is left alone. */
static int rehome_xattr(struct tree_work *w, struct key k)
{
    struct tree *t = &w->ns->tree;
    uint8_t buf[PAGE_VALUE_MAX];
    char name[XATTR_NAME_MAX + 1];
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct xattr_item x;
    struct key right;
    size_t len;
    int err = tree_get(t, k, buf, sizeof buf, &len);

    if (err == 0)
        err = xattr_decode(buf, len, &x);
    if (err < 0)
        return err;
    memcpy(name, x.name, x.name_len);
    name[x.name_len] = 0;
    err = name_find(w->m->p, t, key_ino(k), ITEM_XATTR, name, &right, &c);
    tree_cursor_end(&c);
    if (err != -ENOENT)
        return err < 0 ? err : LEFT_ALONE;
    err = name_put(w->m->p, t, right, name, buf, len);
    return err < 0 ? err : tree_del(t, k); /* nobody counted it there */
}

/* Move an entry to where a lookup of its name finds it. If the name is taken, the entry moves to
 * lost+found. */
static int rehome(struct tree_work *w, struct key k)
{
    struct tree *t = &w->ns->tree;
    struct entry_read e;
    struct key right;
    uint64_t ino;
    unsigned type;
    int err = read_entry(w, k, &e);

    if (err < 0)
        return err;
    err = dirent_find(w->m->p, t, key_ino(k), e.name, &right, &ino, &type);
    if (err == 0) /* if both entries lead to the same directory, one is too many: the next round
                   * reports it */
        return ino == e.d.ino && type == DT_DIR ? LEFT_ALONE : move_to_lost_found(w, k);
    if (err != -ENOENT)
        return err;
    err = name_put(w->m->p, t, right, e.name, e.buf, e.len);
    return err < 0 ? err : tree_del(t, k); /* nobody counted it there */
}

/* Correct the type in an entry. */
static int retype(struct tree_work *w, struct key k, unsigned type)
{
    struct entry_read e;
    uint8_t buf[DIRENT_ITEM_MAX];
    int err = read_entry(w, k, &e);

    return err < 0 ? err
                   : tree_put(&w->ns->tree, k, buf,
                              dirent_encode(e.d.ino, type, e.d.name, e.d.name_len, buf));
}

/* Make an empty root directory. Inodes that have no name then are found in the next round. */
static int make_root(struct tree_work *w)
{
    struct inode in = {.mode = S_IFDIR | 0755, .nlink = 2, .parent = NS_ROOT_INO};

    in.atime = in.mtime = in.ctime = in.btime = now(w->m->p);
    return inode_store(&w->ns->tree, NS_ROOT_INO, &in);
}

/* Set a counter of names; 0: remove it. */
static int set_counter(struct tree_work *w, struct key k, uint64_t count)
{
    uint8_t buf[COUNTER_ITEM_LEN];

    counter_encode(count, buf);
    return count ? tree_put(&w->ns->tree, k, buf, sizeof buf) : tree_del(&w->ns->tree, k);
}

/* ---- attributes: times stay as they are ---- */

static int set_attribute(struct tree_work *w, const struct fix *f)
{
    struct inode in;
    int err = inode_load(&w->ns->tree, f->ino, &in);

    if (err < 0)
        return err;
    if (f->kind == FIX_LINKS)
        in.nlink = (uint32_t)f->value;
    else if (f->kind == FIX_ENTRIES)
        in.size = f->value;
    else if (f->kind == FIX_STORED)
        in.stored = f->value;
    else if (f->kind == FIX_FLAGS)
        in.flags |= (uint32_t)f->value;
    else
        in.parent = f->value;
    return inode_store(&w->ns->tree, f->ino, &in);
}

/* Make the change of one fix. 0, LEFT_ALONE, or -errno. */
static int mend(struct tree_work *w, const struct fix *f)
{
    switch (f->kind) {
    case FIX_ROOT:
        return make_root(w);
    case FIX_ADOPT:
        return put_in_lost_found(w, f->ino, true);
    case FIX_LOST:
        return move_to_lost_found(w, f->key);
    case FIX_REHOME:
        return key_type(f->key) == ITEM_XATTR ? rehome_xattr(w, f->key) : rehome(w, f->key);
    case FIX_UNLINK:
        return take_out(w, f->key);
    case FIX_ITEMS:
        return items_delete(&w->ns->tree, f->ino);
    case FIX_COUNTER:
        return set_counter(w, f->key, f->value);
    case FIX_TYPE:
        return retype(w, f->key, (unsigned)f->value);
    default:
        return set_attribute(w, f);
    }
}

/* ---- one root ---- */

/* Has an earlier fix moved or removed the item? Then this fix is skipped; the next round reports
 * what is still wrong with the item. */
static bool is_gone(struct tree_work *w, const struct fix *f)
{
    if (f->kind == FIX_COUNTER && f->value)
        return false; /* a missing counter is what this fix corrects */

    uint8_t buf[PAGE_VALUE_MAX];
    size_t len;

    return (f->key.hi || f->key.lo) &&
           tree_get(&w->ns->tree, f->key, buf, sizeof buf, &len) == -ENOENT;
}

/* Make the fixes of one tree. If there are fixes of names, only these are made: attributes depend
 * on names, and the next round compares them again. */
static int mend_tree(struct tree_work *w, uint64_t root)
{
    const struct fixes *l = w->m->fixes;
    uint64_t first;
    bool names = false;
    int err = 0;

    if (!map64_get(&w->m->first, root, &first))
        return 0;
    for (size_t i = first - 1; i < l->count && is_of(&l->v[i], root); i++)
        names |= fix_is_of_names(&l->v[i]);
    for (size_t i = first - 1; i < l->count && is_of(&l->v[i], root) && err == 0; i++) {
        if ((names && !fix_is_of_names(&l->v[i])) || is_gone(w, &l->v[i]))
            continue;
        err = mend(w, &l->v[i]);
        w->m->done[i] = err == 0;
        err = err == LEFT_ALONE ? 0 : err;
    }
    return err;
}

/* Let the other namespaces with the same old root branch from the changed tree, and drop the old
 * root once for each. */
static int follow(struct mender *m, uint64_t root, struct ns *first, size_t from)
{
    int err = 0;

    for (size_t i = from; i < m->count && err == 0; i++) {
        struct ns *ns = m->ns[i];
        if (ns->tree.root != root)
            continue;
        ns_saw_ino(m->p, ns, first->next_ino - 1);
        if (first->tree.root == root)
            continue;
        err = tree_branch(&first->tree, &ns->tree);
        if (err == 0)
            err = drops_push(m->p->drops, root);
    }
    return err;
}

/* Change each tree once, however many namespaces share it. */
static int mend_trees(struct mender *m)
{
    struct map64 seen = MAP64_INIT;
    uint64_t none;
    int err = 0;

    for (size_t i = 0; i < m->count && err == 0; i++) {
        struct tree_work w = {.m = m, .ns = m->ns[i]};
        uint64_t root = w.ns->tree.root;
        if (map64_get(&seen, root, &none))
            continue;
        err = map64_put(&seen, root, 1);
        if (err == 0)
            err = mend_tree(&w, root);
        if (err == 0)
            err = follow(m, root, w.ns, i + 1);
        if (err == 0)
            err = map64_put(&seen, w.ns->tree.root, 1);
    }
    map64_release(&seen);
    return err;
}

/* ---- opening, committing ---- */

/* The queue of drops is committed with the rest; nobody works it off meanwhile. */
static void leave_drops(struct state *p)
{
    (void)p;
}

static const struct state_hooks mender_hooks = {.kick_drops = leave_drops};

/* Open pages, counts and the queue of drops, as opening a store does. The commit gets a sequence
 * number of its own. */
static int mender_open(struct mender *m, const struct clock *clock, struct id_key *key)
{
    static const struct refs_tables tables = {TABLE_OBJECTS, TABLE_IDS, TABLE_DYING, TABLE_PINS,
                                              TABLE_GHOSTS};
    uint8_t buf[STORE_RECORD_LEN];
    struct identity id;
    size_t len;
    int err = identity_load(m->kv, &id);

    if (err == 0)
        err = kv_get(m->kv, TABLE_META, "state", 5, buf, sizeof buf, &len);
    if (err == 0)
        err = store_record_decode(buf, len, &m->state);
    if (err == 0)
        m->p = calloc(1, sizeof *m->p);
    if (err < 0 || !m->p)
        return err < 0 ? err : -ENOMEM;
    *key = id.key;
    m->p->clock = clock;
    m->p->hooks = &mender_hooks;
    m->p->name_key = id.names;
    atomic_store(&m->p->next_ino,
                 m->state.next_ino > NS_ROOT_INO ? m->state.next_ino : NS_ROOT_INO + 1);
    m->state.seq++;
    err = pages_open(m->kv, TABLE_PAGES, TABLE_PAGE_COUNTS, m->state.next_page, CACHE_BYTES,
                     &m->p->pages);
    if (err == 0)
        err = refs_open(m->kv, &tables, key, m->state.next_number, &m->p->refs);
    return err < 0 ? err : drops_open(m->kv, TABLE_DROPS, m->p->pages, m->p->refs, &m->p->drops);
}

static void mender_close(struct mender *m)
{
    for (size_t i = 0; i < m->count; i++)
        ns_free(m->ns[i]);
    free(m->ns);
    map64_release(&m->first);
    map64_release(&m->raise);
    if (!m->p)
        return;
    drops_close(m->p->drops);
    refs_close(m->p->refs);
    pages_close(m->p->pages);
    free(m->p);
}

/* Freeze the parts in the order in which a flush does. */
static int freeze(struct state *p)
{
    int err = drops_freeze(p->drops);

    if (err == 0)
        err = refs_freeze(p->refs);
    return err < 0 ? err : pages_freeze(p->pages);
}

/* Write the records of the changed namespaces and of the state. */
static int write_records(struct mender *m, struct kv_txn *t)
{
    uint8_t key[8], state[STORE_RECORD_LEN], *record = malloc(NS_RECORD_MAX);
    int err = record ? 0 : -ENOMEM;

    for (size_t i = 0; i < m->count && err == 0; i++) {
        struct ns_fields f;
        put_be64(key, m->ns[i]->number);
        ns_get_fields(m->ns[i], &f);
        err = kv_put(t, TABLE_NAMESPACES, key, sizeof key, record,
                     ns_record_encode(m->ns[i]->number, &f, record));
    }
    free(record);
    m->state.next_page = pages_next(m->p->pages);
    m->state.next_number = refs_next(m->p->refs);
    m->state.next_ino = atomic_load(&m->p->next_ino);
    store_record_encode(&m->state, state);
    return err < 0 ? err : kv_put(t, TABLE_META, "state", 5, state, sizeof state);
}

/* Write everything in one transaction. */
static int commit(struct mender *m)
{
    struct kv_txn *t;
    int err = freeze(m->p);

    if (err == 0)
        err = kv_txn_begin(m->kv, &t);
    if (err < 0)
        return err;
    err = pages_write(m->p->pages, 1, t);
    if (err == 0)
        err = refs_write(m->p->refs, 1, t);
    if (err == 0)
        err = drops_write(m->p->drops, 1, t);
    if (err == 0)
        err = write_records(m, t);
    return kv_end(t, err);
}

int repair_trees(struct kv *kv, const struct clock *clock, const struct fixes *fixes, bool *done)
{
    struct mender m = {.kv = kv, .fixes = fixes, .done = done};
    struct id_key key;
    int err = mender_open(&m, clock, &key);

    if (err == 0)
        err = sort_out(&m);
    if (err == 0)
        err = ns_load_all(&m);
    if (err == 0)
        err = mend_trees(&m);
    if (err == 0)
        err = commit(&m);
    mender_close(&m);
    return err;
}
