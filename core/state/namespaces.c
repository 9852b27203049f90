// SPDX-License-Identifier: Apache-2.0
/*
 * namespaces: which trees exist, by name and by number, and how they are made. A namespace is a
 * root page and a counter of inode numbers.
 *
 * A dropped namespace leaves the names at once. Its struct stays while the kernel or an open file
 * knows its number, and the number is used again only after that.
 */
#include "ns_label.h"
#include "report.h"
#include "state.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static unsigned hash_name(const char *name)
{
    return (unsigned)(id_checksum(name, strlen(name), 0) & (NS_BUCKETS - 1));
}

/* ---- the table ---- */

static struct ns *find_number(struct ns_table *t, uint32_t number)
{
    struct ns *ns = t->by_number[number % NS_BUCKETS];

    while (ns && ns->number != number)
        ns = ns->by_number_next;
    return ns;
}

static struct ns *find_name(struct ns_table *t, const char *name)
{
    struct ns *ns = t->by_name[hash_name(name)];

    while (ns && strcmp(ns->name, name))
        ns = ns->by_name_next;
    return ns;
}

static struct ns *ns_ref(struct ns *ns)
{
    atomic_fetch_add(&ns->refs, 1);
    return ns;
}

void ns_discard(struct ns *ns)
{
    rwlock_destroy(&ns->lock);
    free(ns->name);
    free(ns->target);
    free(ns->tail);
    map64_release(&ns->node_of);
    map64_release(&ns->ino_of);
    free(ns);
}

/* Takes the struct out of the table and frees it, if it is dropped and nothing knows it any more.
 * It may be freed already: another thread may have found it by number meanwhile, and given back the
 * last reference. */
static void ns_reap(struct state *p, struct ns *ns, uint32_t number)
{
    WRITE_GUARD(&p->names.lock);
    struct ns **at = &p->names.by_number[number % NS_BUCKETS];

    while (*at && *at != ns)
        at = &(*at)->by_number_next;
    if (!*at || ns->live || atomic_load(&ns->refs) > 0 || atomic_load(&ns->nlookup) > 0)
        return;
    *at = ns->by_number_next;
    ns_discard(ns);
}

void ns_put(struct state *p, struct ns *ns)
{
    uint32_t number;
    bool last;

    if (!ns)
        return;
    {
        /* the names lock keeps the struct from being freed between the two lines */
        READ_GUARD(&p->names.lock);
        number = ns->number;
        last = atomic_fetch_sub(&ns->refs, 1) == 1 && !ns->live && atomic_load(&ns->nlookup) == 0;
    }
    if (last)
        ns_reap(p, ns, number);
}

int ns_get(struct state *p, uint32_t number, struct ns **ret_ns)
{
    READ_GUARD(&p->names.lock);
    struct ns *ns = find_number(&p->names, number);

    if (!ns || !ns->live)
        return -ESTALE;
    *ret_ns = ns_ref(ns);
    return 0;
}

struct ns *ns_get_any(struct state *p, uint32_t number)
{
    READ_GUARD(&p->names.lock);
    struct ns *ns = find_number(&p->names, number);

    return ns ? ns_ref(ns) : NULL;
}

int ns_get_by_name(struct state *p, const char *name, struct ns **ret_ns)
{
    READ_GUARD(&p->names.lock);
    struct ns *ns = find_name(&p->names, name);

    if (!ns)
        return -ENOENT;
    *ret_ns = ns_ref(ns);
    return 0;
}

struct ns *ns_table_get(struct ns_table *t, uint32_t number)
{
    struct ns *ns = find_number(t, number);

    return ns && ns->live ? ns : NULL;
}

bool ns_table_has_name(struct ns_table *t, const char *name)
{
    return find_name(t, name);
}

bool ns_is_hidden(struct state *p, const struct ns *ns)
{
    READ_GUARD(&p->names.lock);

    return ns->hidden.kind;
}

void ns_rdlock_two(struct ns *a, struct ns *b)
{
    rwlock_rdlock(&(a->number < b->number ? a : b)->lock);
    rwlock_rdlock(&(a->number < b->number ? b : a)->lock);
}

void ns_rdunlock_two(struct ns *a, struct ns *b)
{
    rwlock_rdunlock(&a->lock);
    rwlock_rdunlock(&b->lock);
}

/* The list by which it is found: that of its name in the root, or that of what it is kept of. */
static struct ns **list_of(struct ns_table *t, const struct ns *ns)
{
    return ns->hidden.kind ? &t->hidden[ns->hidden.of.ns % NS_BUCKETS]
                           : &t->by_name[hash_name(ns->name)];
}

static void unlink_name(struct ns_table *t, struct ns *ns)
{
    struct ns **b = list_of(t, ns);

    while (*b != ns)
        b = &(*b)->by_name_next;
    *b = ns->by_name_next;
}

static void link_name(struct ns_table *t, struct ns *ns)
{
    struct ns **b = list_of(t, ns);

    ns->by_name_next = *b;
    *b = ns;
}

/* Also links it by name, and makes it live. */
void ns_table_insert(struct ns_table *t, struct ns *ns)
{
    struct ns **n = &t->by_number[ns->number % NS_BUCKETS];

    ns->by_number_next = *n;
    *n = ns;
    link_name(t, ns);
    ns->live = true;
    t->live += !ns->hidden.kind;
}

char *ns_table_rename(struct ns_table *t, struct ns *ns, char *name)
{
    char *old = ns->name;

    unlink_name(t, ns);
    ns->name = name;
    link_name(t, ns);
    ns->dirty = true;
    return old;
}

void ns_table_hide(struct ns_table *t, struct ns *ns, const struct ns_hidden *hidden)
{
    unlink_name(t, ns);
    t->live -= !ns->hidden.kind;
    ns->hidden = *hidden;
    t->live += !ns->hidden.kind;
    link_name(t, ns);
    ns->dirty = true;
}

struct ns *ns_next_hidden(struct state *p, const struct ns *after)
{
    struct ns *ns = after ? after->by_name_next : NULL;
    size_t i = after ? after->hidden.of.ns % NS_BUCKETS + 1 : 0;

    while (!ns && i < NS_BUCKETS)
        ns = p->names.hidden[i++];
    return ns;
}

struct ns *ns_next_kept(struct state *p, const struct ns *of, const struct ns *after)
{
    struct ns *ns = after ? after->by_name_next : p->names.hidden[of->number % NS_BUCKETS];

    while (ns && !ns_is_of(&ns->hidden.of, of))
        ns = ns->by_name_next;
    return ns;
}

static bool is_kept_of(const struct ns *ns, enum ns_kind kind, const struct ns_instant *of,
                       const char *name)
{
    return ns->hidden.kind == kind && ns->hidden.of.ns == of->ns &&
           ns->hidden.of.generation == of->generation &&
           (name ? !strcmp(ns->name, name) : ns->hidden.of.seq == of->seq);
}

int ns_get_hidden(struct state *p, enum ns_kind kind, const struct ns_instant *of, const char *name,
                  struct ns **ret_ns)
{
    READ_GUARD(&p->names.lock);

    for (struct ns *ns = p->names.hidden[of->ns % NS_BUCKETS]; ns; ns = ns->by_name_next)
        if (is_kept_of(ns, kind, of, name)) {
            *ret_ns = ns_ref(ns);
            return 0;
        }
    return -ENOENT;
}

/* Finds a number that no struct has. Numbers rise and wrap around. */
static int free_number(struct ns_table *t, uint32_t *ret_number)
{
    for (uint32_t tries = 0; tries <= VFS_NS_MAX; tries++) {
        if (t->next == 0 || t->next > VFS_NS_MAX)
            t->next = 1;
        if (!find_number(t, t->next)) {
            *ret_number = t->next++;
            return 0;
        }
        t->next++;
    }
    return -EMFILE;
}

int ns_alloc(struct state *p, const char *name, struct ns **ret_ns)
{
    struct ns *ns = calloc(1, sizeof *ns);

    if (!ns)
        return -ENOMEM;
    ns->name = strdup(name);
    if (!ns->name) {
        free(ns);
        return -ENOMEM;
    }
    rwlock_init(&ns->lock, "namespace");
    ns->tree = (struct tree){.pages = p->pages, .refs = p->refs};
    ns->next_ino = ns->ino_end = NS_ROOT_INO + 1;
    ns->counted = true;
    ns->time = now(p);
    ns->dirty = true;
    *ret_ns = ns;
    return 0;
}

/* ---- numbers of inodes ---- */

/* inode numbers that a namespace takes at once */
#define INO_RUN 1024

static void raise_next(struct state *p, uint64_t next)
{
    uint64_t was = atomic_load(&p->next_ino);

    while (was < next && !atomic_compare_exchange_weak(&p->next_ino, &was, next))
        ;
}

static int no_inodes(struct state *p)
{
    if (!atomic_exchange(&p->told_no_inodes, true))
        report(REPORT_ALARM, "the store has given all numbers of inodes that there are, 2^42: no "
                             "file can be made in it any more; copy its files to a new store");
    return -ENOSPC;
}

int ns_need_ino(struct state *p, struct ns *ns)
{
    uint64_t first = atomic_load(&p->next_ino), end;

    if (ns->next_ino < ns->ino_end)
        return 0;
    do {
        if (first > KEY_INO_MAX)
            return no_inodes(p);
        end = first + INO_RUN > KEY_INO_MAX ? KEY_INO_MAX + 1 : first + INO_RUN;
    } while (!atomic_compare_exchange_weak(&p->next_ino, &first, end));
    ns->next_ino = first;
    ns->ino_end = end;
    ns->run_unlogged = true;
    return 0;
}

uint64_t ns_give_ino(struct ns *ns)
{
    if (ns->run_unlogged && ns->observer.txn)
        capture_op(ns->observer.txn,
                   &(struct op){
                       .kind = OP_INO_RUN, .ns = ns->number, .a = ns->next_ino, .b = ns->ino_end});
    ns->run_unlogged = false;
    ns->dirty = true;
    return ns->next_ino++;
}

void ns_leave_runs(struct state *p)
{
    WRITE_GUARD(&p->names.lock);

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (struct ns *ns = p->names.by_number[i]; ns; ns = ns->by_number_next) {
            ns->dirty |= ns->next_ino < ns->ino_end;
            ns->next_ino = ns->ino_end;
        }
}

void ns_saw_ino(struct state *p, struct ns *ns, uint64_t ino)
{
    if (ns->next_ino <= ino)
        ns->next_ino = ino + 1;
    if (ns->ino_end < ns->next_ino)
        ns->ino_end = ns->next_ino;
    raise_next(p, ns->ino_end);
}

/* Notes the root directory, which was made before the namespace had a number. */
static int capture_root(struct txn *t, const struct ns *ns)
{
    uint8_t buf[INODE_ITEM_MAX];
    struct key k = key_make(NS_ROOT_INO, ITEM_INODE, 0);
    size_t len;
    int err = tree_get(&ns->tree, k, buf, sizeof buf, &len);

    if (err == 0)
        capture_op(
            t, &(struct op){.kind = OP_PUT, .ns = ns->number, .key = k, .data = buf, .len = len});
    return err;
}

/* Notes what the log needs to make the namespace again. */
static int capture_birth(struct txn *t, const struct ns *ns, const struct ns *from)
{
    if (from) {
        capture_ns_branch(t, ns, from);
        return 0;
    }
    capture_ns_put(t, ns);
    return ns->target ? 0 : capture_root(t, ns);
}

/* The operation that makes the namespace, if it is one that people see. `label` is that of what it
 * is made of. */
static int note_birth(struct txn *t, const struct ns *ns, const struct ns *from, const char *label)
{
    bool snapshot = ns->hidden.kind == NS_SNAPSHOT && !ns->hidden.passing;
    struct history_entry e = {.kind = snapshot ? HISTORY_SNAPSHOT
                                      : from   ? HISTORY_BRANCH
                                               : HISTORY_CREATE,
                              .ns = {ns->number, ns->generation}};

    if (ns->target || (ns->hidden.kind && !snapshot))
        return 0;
    snprintf(e.name, sizeof e.name, "%s", ns->name);
    snprintf(e.second, sizeof e.second, "%s", label);
    if (from)
        e.other = (struct history_ns){from->number, from->generation};
    return capture_history(t, &e);
}

int ns_publish(struct txn *t, struct ns *ns, const struct ns *from)
{
    struct state *p = t->p;
    char label[NS_LABEL_MAX] = "";
    int err;

    if (from)
        ns_label(p, from, label);
    WRITE_GUARD(&p->names.lock);

    if (!ns->hidden.kind && find_name(&p->names, ns->name))
        return -EEXIST;
    err = free_number(&p->names, &ns->number);
    if (err < 0)
        return err;
    /* A number that was used before gets another generation, made from the sequence number, which
     * always rises. */
    ns->generation = (uint32_t)atomic_load(&p->seq);
    ns_settings_drop(&p->names.settings, ns->number);
    err = note_birth(t, ns, from, label);
    if (err == 0)
        err = capture_birth(t, ns, from);
    if (err == 0 && from && !ns->hidden.kind)
        err = ns_settings_inherit(t, ns, from);
    if (err == 0)
        err = state_changed(t, ns);
    if (err < 0) {
        ns_settings_drop(&p->names.settings, ns->number);
        return err;
    }
    map64_del(&p->names.removed, ns->number);
    capture_observer_init(&ns->observer, ns->number);
    ns->tree.observer = p->log ? &ns->observer.observer : NULL;
    ns_table_insert(&p->names, ns);
    if (!ns->hidden.kind)
        p->names.mtime = now(p);
    return 0;
}

int ns_check_name(const char *name)
{
    if (strlen(name) > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    return !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ||
                   !strcmp(name, ".tally")
               ? -EINVAL
               : 0;
}

int ns_check_new_name(const char *name)
{
    int err = ns_check_name(name);

    return err == 0 && strchr(name, '@') ? -EINVAL : err;
}

/* ---- making ---- */

/* Makes the inode of the root directory. */
static int plant_root(struct state *p, struct ns *ns, uint32_t mode, const struct vfs_cred *cred)
{
    struct inode in = {.mode = S_IFDIR | (mode & 07777),
                       .nlink = 2,
                       .uid = cred->uid,
                       .gid = cred->gid,
                       .parent = NS_ROOT_INO};

    in.atime = in.mtime = in.ctime = in.btime = now(p);
    return inode_store(&ns->tree, NS_ROOT_INO, &in);
}

/* Makes an empty namespace, in the root or hidden. *ret_ns has a reference for the caller, also
 * before anybody else can find it. */
static int create(struct txn *t, const char *name, uint32_t mode, const struct vfs_cred *cred,
                  const struct ns_hidden *hidden, struct ns **ret_ns)
{
    struct state *p = t->p;
    struct ns *ns;
    int err = ns_check_new_name(name);

    if (err == 0)
        err = ns_alloc(p, name, &ns);
    if (err < 0)
        return err;
    ns->hidden = *hidden;
    *ret_ns = ns_ref(ns);
    err = plant_root(p, ns, mode, cred);
    if (err == 0)
        err = ns_publish(t, ns, NULL);
    if (err < 0) {
        (void)drops_push(p->drops, ns->tree.root);
        ns_discard(ns);
        return err;
    }
    return 0;
}

int ns_create(struct txn *t, const char *name, uint32_t mode, const struct vfs_cred *cred)
{
    struct ns *ns;
    int err = create(t, name, mode, cred, &(struct ns_hidden){.kind = NS_VISIBLE}, &ns);

    if (err == 0)
        ns_put(t->p, ns);
    return err;
}

int ns_create_draft(struct txn *t, const char *name, struct ns **ret_ns)
{
    const struct ns_hidden hidden = {.kind = NS_DRAFT, .since = now(t->p)};

    return create(t, name, 0700, &(struct vfs_cred){.uid = 0}, &hidden, ret_ns);
}

int ns_create_symlink(struct txn *t, const char *name, const char *target,
                      const struct vfs_cred *cred)
{
    struct state *p = t->p;
    struct ns *ns;
    int err = ns_check_new_name(name);

    if (err == 0)
        err = ns_alloc(p, name, &ns);
    if (err < 0)
        return err;
    ns->target = strdup(target);
    ns->uid = cred->uid;
    ns->gid = cred->gid;
    err = ns->target ? ns_publish(t, ns, NULL) : -ENOMEM;
    if (err < 0) {
        ns_discard(ns);
        return err;
    }
    return 0;
}

int ns_table_remove(struct state *p, struct ns *ns)
{
    int err;

    rwlock_held_write(&p->names.lock);
    /* First the steps that can fail: a record that stayed would name pages that are freed. */
    err = map64_put(&p->names.removed, ns->number, 1);
    if (err == 0)
        err = drops_push(p->drops, ns->tree.root);
    if (err < 0) {
        map64_del(&p->names.removed, ns->number);
        return err;
    }
    ns->tree.root = 0;
    ns_settings_drop(&p->names.settings, ns->number);
    unlink_name(&p->names, ns);
    ns->live = false;
    p->names.live -= !ns->hidden.kind;
    if (!ns->hidden.kind)
        p->names.mtime = now(p);
    return 0;
}

int ns_is_empty(struct ns *ns)
{
    struct inode in;
    int err = inode_load(&ns->tree, NS_ROOT_INO, &in);

    return err < 0 ? err : in.size ? -ENOTEMPTY : 0;
}

/* ---- its settings ---- */

int ns_set_switch(struct state *p, const char *name, enum ns_switch which, bool on)
{
    TXN(t);
    struct ns *ns;
    int err = state_root_writable(p);

    if (err == 0)
        err = ns_get_by_name(p, name, &ns);
    if (err < 0)
        return err;
    if (which == NS_FROZEN && on) /* what is in mappings could not be written any more afterwards */
        err = vnodes_write_back(p, ns);
    if (err == 0)
        err = txn_begin_alone(p, 0, &t);
    if (err == 0 && (!ns->live || ns->hidden.kind)) /* it was dropped meanwhile */
        err = -ENOENT;
    if (err == 0) {
        NS_GUARD(&t, ns);
        *(which == NS_FROZEN ? &ns->frozen : &ns->verify) = on;
        ns->dirty = true;
        capture_ns_put(&t, ns);
        err = state_changed(&t, NULL);
    }
    txn_end(&t);
    ns_put(p, ns);
    return err;
}

/* ---- listings ---- */

int ns_next(struct state *p, const char *after, struct ns **ret_ns)
{
    READ_GUARD(&p->names.lock);
    struct ns *best = NULL;

    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (struct ns *ns = p->names.by_name[i]; ns; ns = ns->by_name_next)
            if ((!after || strcmp(ns->name, after) > 0) &&
                (!best || strcmp(ns->name, best->name) < 0))
                best = ns;
    if (!best)
        return -ENOENT;
    *ret_ns = ns_ref(best);
    return 0;
}

/* The live one with the lowest number above `after`, or NULL. Needs the lock. */
static struct ns *next_number(struct ns_table *t, uint32_t after)
{
    struct ns *best = NULL;

    if (after > VFS_NS_MAX)
        return NULL;
    /* Most numbers are in use, so the next one is near: a listing does not look at all for each. */
    for (uint32_t number = after + 1; number <= after + NS_BUCKETS; number++) {
        struct ns *ns = find_number(t, number);
        if (ns && ns->live)
            return ns;
    }
    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (struct ns *ns = t->by_number[i]; ns; ns = ns->by_number_next)
            if (ns->live && ns->number > after && (!best || ns->number < best->number))
                best = ns;
    return best;
}

int ns_next_number(struct state *p, uint32_t after, struct ns **ret_ns)
{
    READ_GUARD(&p->names.lock);
    struct ns *ns = next_number(&p->names, after);

    if (!ns)
        return -ENOENT;
    *ret_ns = ns_ref(ns);
    return 0;
}

void ns_table_release(struct state *p)
{
    for (size_t i = 0; i < NS_BUCKETS; i++)
        while (p->names.by_number[i]) {
            struct ns *ns = p->names.by_number[i];
            p->names.by_number[i] = ns->by_number_next;
            ns_discard(ns);
        }
    map64_release(&p->names.removed);
    ns_settings_release(p);
}

void ns_table_observe(struct state *p)
{
    WRITE_GUARD(&p->names.lock);

    capture_observer_init(&p->orphans.observer, OP_NS_ORPHANS);
    p->orphans.tree.observer = &p->orphans.observer.observer;
    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (struct ns *ns = p->names.by_number[i]; ns; ns = ns->by_number_next) {
            capture_observer_init(&ns->observer, ns->number);
            ns->tree.observer = &ns->observer.observer;
        }
}
