// SPDX-License-Identifier: Apache-2.0
/*
 * disk_mem: a disk in memory that can lose power.
 *
 * Everything exists twice: as programs see it and as it would survive. Between the two stands, per
 * file and per directory, the list of changes since the last sync. A sync carries the list over to
 * the durable side; a power cycle carries over what the fault lets survive and then makes the
 * visible side a copy of the durable one.
 *
 *     file:       visible bytes  <- writes, cuts, holes ... -> durable bytes
 *     directory:  visible names  <- name changes ...       -> durable names
 *
 * Bytes are kept in pages, a missing page being a hole. A test that runs out of memory is aborted.
 */
#include "disk_mem.h"

#include "disk_impl.h"
#include "lock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>

#define PAGE 4096
#define SECTOR 512
#define SIZE_LIMIT (UINT64_C(1) << 36) /* bytes of one file: bounds its page array */

struct bytes {
    uint8_t **page; /* NULL: a hole; `reserved`: zeros that have their room */
    size_t pages;
    uint64_t size; /* bytes beyond it in the last page are zeros */
};

enum change_kind { CHANGE_WRITE, CHANGE_MAPPED, CHANGE_TRUNCATE, CHANGE_PUNCH, CHANGE_ALLOCATE };

struct change {
    STAILQ_ENTRY(change) next;
    enum change_kind kind;
    uint64_t off; /* CHANGE_TRUNCATE, CHANGE_ALLOCATE: the size */
    uint64_t len;
    uint8_t data[]; /* CHANGE_WRITE, CHANGE_MAPPED */
};

static uint8_t reserved[1]; /* the address counts */

/* What became of a change; torn ones have numbers of their own above. */
enum { FATE_LOST = 1, FATE_KEPT, FATE_TORN };

struct inode;

struct entry {
    char name[DISK_NAME_MAX + 1];
    struct inode *inode;
};

struct names {
    struct entry *entry;
    size_t count, room;
};

/* `remove` goes, then `set` names `inode`; either may be empty. A rename within one directory is
 * both, so it is lost or kept as one. */
struct name_change {
    STAILQ_ENTRY(name_change) next;
    char remove[DISK_NAME_MAX + 1], set[DISK_NAME_MAX + 1];
    struct inode *inode;
};

struct inode {
    LIST_ENTRY(inode) all;
    uint64_t number; /* never used again */
    bool is_dir;
    unsigned links, opens; /* visible names; open handles */
    struct bytes visible, durable;
    STAILQ_HEAD(change_list, change) changes;
    struct names visible_names, durable_names;
    STAILQ_HEAD(name_change_list, name_change) name_changes;
    bool write_failed; /* of bytes in a mapping */
    bool reachable;    /* during a power cycle */
    uint64_t lost;     /* what the last one did to the changes */
};

/* What a power cycle does to the changes, one after the other. */
struct fates {
    enum fault_loss loss;
    uint64_t state;  /* of fault_random */
    uint64_t chosen; /* FAULT_LOSE_ONE, FAULT_KEEP_ONE: that one, counted down */
    uint64_t told;   /* of the changes of this inode so far */
};

struct mem_disk {
    struct disk base;
    struct mutex lock; /* all below */
    struct fault *fault;
    uint64_t capacity;
    uint64_t used; /* bytes in pages of visible files */
    uint64_t cycles;
    uint64_t lives; /* of these, how many lost something */
    uint64_t made;  /* inodes */
    uint64_t lost;  /* by the last cycle */
    LIST_HEAD(, inode) inodes;
    struct inode *root;
};

struct mem_file {
    struct disk_file base;
    struct mem_disk *disk;
    struct inode *inode;
};

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static struct mem_disk *disk_of(struct disk *d)
{
    return (struct mem_disk *)d;
}

static struct mem_file *file_of(struct disk_file *f)
{
    return (struct mem_file *)f;
}

static int power(const struct mem_disk *d)
{
    return fault_is_cut(d->fault) ? -EIO : 0;
}

static int may_change(struct mem_disk *d)
{
    int r = power(d);

    if (r)
        return r;
    return d->fault ? fault_write(d->fault) : 0;
}

/* ---- bytes ---- */

static void page_drop(struct bytes *b, size_t i)
{
    if (b->page[i] != reserved)
        free(b->page[i]);
    b->page[i] = NULL;
}

static bool page_has_bytes(const struct bytes *b, size_t i)
{
    return i < b->pages && b->page[i] && b->page[i] != reserved;
}

static uint64_t bytes_held(const struct bytes *b)
{
    uint64_t n = 0;

    for (size_t i = 0; i < b->pages; i++)
        n += b->page[i] ? PAGE : 0;
    return n;
}

static void bytes_reserve(struct bytes *b, uint64_t size)
{
    size_t want = (size_t)((size + PAGE - 1) / PAGE);

    if (want <= b->pages)
        return;
    if (want < b->pages * 2)
        want = b->pages * 2;
    b->page = must(realloc(b->page, want * sizeof *b->page));
    memset(b->page + b->pages, 0, (want - b->pages) * sizeof *b->page);
    b->pages = want;
}

static void bytes_write(struct bytes *b, const uint8_t *data, uint64_t len, uint64_t off)
{
    bytes_reserve(b, off + len);
    if (off + len > b->size)
        b->size = off + len;
    while (len > 0) {
        size_t i = (size_t)(off / PAGE), within = (size_t)(off % PAGE);
        size_t n = len < PAGE - within ? (size_t)len : PAGE - within;

        if (!page_has_bytes(b, i))
            b->page[i] = must(calloc(1, PAGE));
        memcpy(b->page[i] + within, data, n);
        data += n;
        off += n;
        len -= n;
    }
}

static void bytes_punch(struct bytes *b, uint64_t off, uint64_t len)
{
    uint64_t all = (uint64_t)b->pages * PAGE;

    if (off >= all)
        return;
    if (len > all - off)
        len = all - off;
    while (len > 0) {
        size_t i = (size_t)(off / PAGE), within = (size_t)(off % PAGE);
        size_t n = len < PAGE - within ? (size_t)len : PAGE - within;

        if (n == PAGE)
            page_drop(b, i);
        else if (page_has_bytes(b, i))
            memset(b->page[i] + within, 0, n);
        off += n;
        len -= n;
    }
}

static void bytes_truncate(struct bytes *b, uint64_t size)
{
    if (size < b->size) {
        size_t first = (size_t)((size + PAGE - 1) / PAGE);

        bytes_punch(b, size, (uint64_t)b->pages * PAGE); /* the rest of the last page: zeros */
        for (size_t i = first; i < b->pages; i++)
            page_drop(b, i);
    }
    b->size = size;
}

static size_t bytes_read(const struct bytes *b, uint8_t *out, size_t len, uint64_t off)
{
    if (off >= b->size)
        return 0;
    if (len > b->size - off)
        len = (size_t)(b->size - off);
    for (size_t done = 0, n; done < len; done += n) {
        size_t i = (size_t)((off + done) / PAGE), within = (size_t)((off + done) % PAGE);

        n = len - done < PAGE - within ? len - done : PAGE - within;
        if (page_has_bytes(b, i))
            memcpy(out + done, b->page[i] + within, n);
        else
            memset(out + done, 0, n);
    }
    return len;
}

static void bytes_release(struct bytes *b)
{
    for (size_t i = 0; i < b->pages; i++)
        page_drop(b, i);
    free(b->page);
    *b = (struct bytes){0};
}

/* Holes get room. */
static void bytes_allocate(struct bytes *b, uint64_t size)
{
    bytes_reserve(b, size);
    for (size_t i = 0; i * PAGE < size; i++)
        if (!b->page[i])
            b->page[i] = reserved;
    if (size > b->size)
        b->size = size;
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
    bytes_release(to);
    bytes_reserve(to, (uint64_t)from->pages * PAGE);
    for (size_t i = 0; i < from->pages; i++)
        if (page_has_bytes(from, i))
            bytes_write(to, from->page[i], PAGE, (uint64_t)i * PAGE);
        else
            to->page[i] = from->page[i];
    to->size = from->size;
}

/* How many bytes a write of [off, off+len) adds to what is held. */
static uint64_t bytes_growth(const struct bytes *b, uint64_t len, uint64_t off)
{
    uint64_t n = 0;

    for (uint64_t i = off / PAGE; i * PAGE < off + len; i++)
        n += i < b->pages && b->page[i] ? 0 : PAGE;
    return n;
}

/* ---- changes of a file ---- */

static struct change *change_add(struct inode *n, enum change_kind kind, uint64_t off, uint64_t len)
{
    size_t room = kind == CHANGE_WRITE || kind == CHANGE_MAPPED ? (size_t)len : 0;
    struct change *c = must(malloc(sizeof *c + room));

    c->kind = kind;
    c->off = off;
    c->len = len;
    STAILQ_INSERT_TAIL(&n->changes, c, next);
    return c;
}

static void change_apply(const struct change *c, struct bytes *b)
{
    switch (c->kind) {
    case CHANGE_WRITE:
    case CHANGE_MAPPED:
        bytes_write(b, c->data, c->len, c->off);
        break;
    case CHANGE_ALLOCATE:
        bytes_allocate(b, c->off);
        break;
    case CHANGE_TRUNCATE:
        bytes_truncate(b, c->off);
        break;
    case CHANGE_PUNCH:
        bytes_punch(b, c->off, c->len);
        break;
    }
}

/* Only the sectors before or after a random one arrive. What arrived is told. */
static uint64_t change_apply_torn(const struct change *c, struct bytes *b, uint64_t *state)
{
    uint64_t sectors = (c->off % SECTOR + c->len) / SECTOR;
    uint64_t cut = (fault_random(state) % (sectors + 1)) * SECTOR;
    uint64_t before = cut > c->off % SECTOR ? cut - c->off % SECTOR : 0;
    bool first = fault_random(state) & 1;

    before = before < c->len ? before : c->len;
    if (first)
        bytes_write(b, c->data, before, c->off);
    else if (before < c->len)
        bytes_write(b, c->data + before, c->len - before, c->off + before);
    if (before == 0 || before == c->len)
        return first == (before != 0) ? FATE_KEPT : FATE_LOST;
    return FATE_TORN + before * 2 + first;
}

static uint64_t tell(uint64_t told, uint64_t what)
{
    told = (told ^ what) * UINT64_C(0x9e3779b97f4a7c15);
    return told ^ told >> 29;
}

/* The kernel writes a mapping back when it likes, page by page: any sectors arrive. */
static uint64_t change_apply_sectors(const struct change *c, struct bytes *b, uint64_t *state)
{
    uint64_t told = 0, kept = 0, sectors = 0;

    for (uint64_t done = 0, n; done < c->len; done += n, sectors++) {
        bool arrives = fault_random(state) & 1;
        n = SECTOR - (c->off + done) % SECTOR;
        n = n < c->len - done ? n : c->len - done;
        if (arrives)
            bytes_write(b, c->data + done, n, c->off + done);
        kept += arrives;
        told = tell(told, arrives);
    }
    return kept == 0 ? FATE_LOST : kept == sectors ? FATE_KEPT : FATE_TORN + (told >> 1);
}

static uint64_t change_survive_some(const struct change *c, struct bytes *b, uint64_t *state)
{
    uint64_t luck = fault_random(state) % 3;

    if (luck == 1 && c->kind == CHANGE_MAPPED)
        return change_apply_sectors(c, b, state);
    if (luck == 0)
        return FATE_LOST;
    if (luck == 1 && c->kind == CHANGE_WRITE)
        return change_apply_torn(c, b, state);
    change_apply(c, b);
    return FATE_KEPT;
}

/* How the next change fares: FAULT_KEEP_ALL, FAULT_LOSE_ALL, or FAULT_LOSE_SOME by itself. */
static enum fault_loss next_fate(struct fates *f)
{
    bool one = f->loss == FAULT_LOSE_ONE || f->loss == FAULT_KEEP_ONE;
    bool chosen = one && f->chosen-- == 0;

    if (!one)
        return f->loss;
    if (chosen && (fault_random(&f->state) & 1))
        return FAULT_LOSE_SOME;
    return chosen == (f->loss == FAULT_LOSE_ONE) ? FAULT_LOSE_ALL : FAULT_KEEP_ALL;
}

static void change_settle(const struct change *c, struct bytes *b, struct fates *f)
{
    enum fault_loss loss = next_fate(f);
    uint64_t fate = loss == FAULT_LOSE_ALL ? FATE_LOST : FATE_KEPT;

    if (loss == FAULT_LOSE_SOME)
        fate = change_survive_some(c, b, &f->state);
    else if (loss == FAULT_KEEP_ALL)
        change_apply(c, b);
    f->told = tell(f->told, fate);
}

/* Carry the changes over to the durable bytes, as the fates say, and forget them. */
static void changes_settle(struct inode *n, struct fates *f)
{
    struct change *c;

    while ((c = STAILQ_FIRST(&n->changes))) {
        STAILQ_REMOVE_HEAD(&n->changes, next);
        change_settle(c, &n->durable, f);
        free(c);
    }
}

/* ---- names ---- */

static struct entry *names_find(const struct names *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->entry[i].name[0] == *name && strcmp(t->entry[i].name, name) == 0)
            return &t->entry[i];
    return NULL;
}

static void names_set(struct names *t, const char *name, struct inode *n)
{
    struct entry *e = names_find(t, name);

    if (!e) {
        if (t->count == t->room) {
            t->room = t->room ? t->room * 2 : 8;
            t->entry = must(realloc(t->entry, t->room * sizeof *t->entry));
        }
        e = &t->entry[t->count++];
        snprintf(e->name, sizeof e->name, "%s", name);
    }
    e->inode = n;
}

static void names_remove(struct names *t, const char *name)
{
    struct entry *e = names_find(t, name);

    if (e)
        *e = t->entry[--t->count];
}

static void names_copy(struct names *to, const struct names *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->entry[i].name, from->entry[i].inode);
}

static void name_change_apply(const struct name_change *c, struct names *t)
{
    if (*c->remove)
        names_remove(t, c->remove);
    if (*c->set)
        names_set(t, c->set, c->inode);
}

static void name_changes_settle(struct inode *dir, struct fates *f)
{
    struct name_change *c;

    while ((c = STAILQ_FIRST(&dir->name_changes))) {
        STAILQ_REMOVE_HEAD(&dir->name_changes, next);
        enum fault_loss loss = next_fate(f);
        bool kept =
            loss == FAULT_KEEP_ALL || (loss == FAULT_LOSE_SOME && (fault_random(&f->state) & 1));

        if (kept)
            name_change_apply(c, &dir->durable_names);
        f->told = tell(f->told, kept ? FATE_KEPT : FATE_LOST);
        free(c);
    }
}

/* ---- inodes ---- */

static struct inode *inode_create(struct mem_disk *d, bool is_dir)
{
    struct inode *n = must(calloc(1, sizeof *n));

    n->is_dir = is_dir;
    n->number = ++d->made;
    STAILQ_INIT(&n->changes);
    STAILQ_INIT(&n->name_changes);
    LIST_INSERT_HEAD(&d->inodes, n, all);
    return n;
}

static void inode_destroy(struct inode *n)
{
    changes_settle(n, &(struct fates){.loss = FAULT_LOSE_ALL});
    name_changes_settle(n, &(struct fates){.loss = FAULT_LOSE_ALL});
    bytes_release(&n->visible);
    bytes_release(&n->durable);
    free(n->visible_names.entry);
    free(n->durable_names.entry);
    LIST_REMOVE(n, all);
    free(n);
}

/* Nobody can see it: its space is free. It may come back with the power, so the durable side and
 * the inode itself stay until the next power cycle. */
static void inode_hide_if_unused(struct mem_disk *d, struct inode *n)
{
    if (n->links || n->opens || n->is_dir)
        return;
    d->used -= bytes_held(&n->visible);
    bytes_release(&n->visible);
}

/* The directory that holds the last part of `path`, and that part; NULL: no such directory. */
static struct inode *walk(struct mem_disk *d, const char *path, const char **ret_last)
{
    struct inode *dir = d->root;
    const char *slash;

    while ((slash = strchr(path, '/'))) {
        char part[DISK_NAME_MAX + 1];
        size_t len = (size_t)(slash - path);

        memcpy(part, path, len);
        part[len] = '\0';
        struct entry *e = names_find(&dir->visible_names, part);

        if (!e || !e->inode->is_dir)
            return NULL;
        dir = e->inode;
        path = slash + 1;
    }
    *ret_last = path;
    return dir;
}

static struct inode *lookup(struct mem_disk *d, const char *path)
{
    const char *last;
    struct inode *dir = walk(d, path, &last);
    struct entry *e = dir ? names_find(&dir->visible_names, last) : NULL;

    return e ? e->inode : NULL;
}

static struct inode *lookup_dir(struct mem_disk *d, const char *path)
{
    struct inode *n = *path ? lookup(d, path) : d->root;

    return n && n->is_dir ? n : NULL;
}

/* Change the visible names of `dir` and note it. `remove` and `set` may be "". */
static void change_names(struct mem_disk *d, struct inode *dir, const char *remove, const char *set,
                         struct inode *n)
{
    struct name_change *c = must(calloc(1, sizeof *c));
    struct entry *gone = *remove ? names_find(&dir->visible_names, remove) : NULL;
    struct inode *removed = gone ? gone->inode : NULL;
    struct entry *old = *set ? names_find(&dir->visible_names, set) : NULL;
    struct inode *replaced = old ? old->inode : NULL;

    snprintf(c->remove, sizeof c->remove, "%s", remove);
    snprintf(c->set, sizeof c->set, "%s", set);
    c->inode = n;
    STAILQ_INSERT_TAIL(&dir->name_changes, c, next);
    name_change_apply(c, &dir->visible_names);
    if (*set)
        n->links++;
    if (removed && --removed->links == 0)
        inode_hide_if_unused(d, removed);
    if (replaced && --replaced->links == 0)
        inode_hide_if_unused(d, replaced);
}

/* ---- the disk's operations ---- */

static void mem_close(struct disk *base)
{
    struct mem_disk *d = disk_of(base);
    struct inode *n;

    while ((n = LIST_FIRST(&d->inodes)))
        inode_destroy(n);
    mutex_destroy(&d->lock);
    free(d);
}

static int mem_mkdir(struct disk *base, const char *name)
{
    struct mem_disk *d = disk_of(base);
    const char *last;

    MUTEX_GUARD(&d->lock);
    int r = may_change(d);

    if (r)
        return r;
    struct inode *dir = walk(d, name, &last);

    if (!dir)
        return -ENOENT;
    if (names_find(&dir->visible_names, last))
        return 0;
    change_names(d, dir, "", last, inode_create(d, true));
    return 0;
}

static int create(struct mem_disk *d, const char *name, struct inode **ret_inode)
{
    const char *last;
    int r = may_change(d);

    if (r)
        return r;
    struct inode *dir = walk(d, name, &last);

    if (!dir)
        return -ENOENT;
    if (names_find(&dir->visible_names, last))
        return -EEXIST;
    *ret_inode = inode_create(d, false);
    change_names(d, dir, "", last, *ret_inode);
    return 0;
}

static int find(struct mem_disk *d, const char *name, struct inode **ret_inode)
{
    int r = power(d);

    if (r)
        return r;
    struct inode *n = lookup(d, name);

    if (!n)
        return -ENOENT;
    if (n->is_dir)
        return -EISDIR;
    *ret_inode = n;
    return 0;
}

static const struct disk_ops mem_ops;

static int mem_open(struct disk *base, const char *name, unsigned flags,
                    struct disk_file **ret_file)
{
    struct mem_disk *d = disk_of(base);
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    int r = flags & DISK_CREATE ? create(d, name, &n) : find(d, name, &n);

    if (r)
        return r;
    struct mem_file *f = must(calloc(1, sizeof *f));

    f->base.ops = &mem_ops;
    f->disk = d;
    f->inode = n;
    n->opens++;
    *ret_file = &f->base;
    return 0;
}

static int mem_link(struct disk *base, const char *from, const char *to)
{
    struct mem_disk *d = disk_of(base);
    const char *last;
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    int r = may_change(d);

    if (r)
        return r;
    r = find(d, from, &n);
    if (r)
        return r;
    struct inode *dir = walk(d, to, &last);

    if (!dir)
        return -ENOENT;
    if (names_find(&dir->visible_names, last))
        return -EEXIST;
    change_names(d, dir, "", last, n);
    return 0;
}

static int mem_unlink(struct disk *base, const char *name)
{
    struct mem_disk *d = disk_of(base);
    const char *last;
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    int r = may_change(d);

    if (r)
        return r;
    r = find(d, name, &n);
    if (r)
        return r;
    change_names(d, walk(d, name, &last), strrchr(name, '/') ? strrchr(name, '/') + 1 : name, "",
                 NULL);
    return 0;
}

static int mem_rename(struct disk *base, const char *from, const char *to)
{
    struct mem_disk *d = disk_of(base);
    const char *last_from = "", *last_to;
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    int r = may_change(d);

    if (r)
        return r;
    r = find(d, from, &n);
    if (r)
        return r;
    struct inode *dir_from = walk(d, from, &last_from), *dir_to = walk(d, to, &last_to);

    if (!dir_to)
        return -ENOENT;
    struct entry *old = names_find(&dir_to->visible_names, last_to);

    if (old && old->inode->is_dir)
        return -EISDIR;
    if (old && old->inode == n) /* as POSIX has it */
        return 0;
    if (dir_from == dir_to) {
        change_names(d, dir_to, last_from, last_to, n);
    } else {
        change_names(d, dir_to, "", last_to, n);
        change_names(d, dir_from, last_from, "", NULL);
    }
    return 0;
}

static int mem_sync_dir(struct disk *base, const char *name)
{
    struct mem_disk *d = disk_of(base);

    MUTEX_GUARD(&d->lock);
    int r = may_change(d);

    if (r)
        return r;
    struct inode *dir = lookup_dir(d, name);

    if (!dir)
        return -ENOENT;
    name_changes_settle(dir, &(struct fates){.loss = FAULT_KEEP_ALL});
    return 0;
}

/* Lists a copy, so that `fn` may call the disk. */
static int mem_list(struct disk *base, const char *name, disk_list_fn *fn, void *ctx)
{
    struct mem_disk *d = disk_of(base);
    struct names copy = {0};
    int r;

    {
        MUTEX_GUARD(&d->lock);
        r = power(d);
        if (r)
            return r;
        struct inode *dir = lookup_dir(d, name);

        if (!dir)
            return -ENOENT;
        names_copy(&copy, &dir->visible_names);
    }
    for (size_t i = 0; r == 0 && i < copy.count; i++)
        r = fn(copy.entry[i].name, ctx);
    free(copy.entry);
    return r;
}

static int mem_space(struct disk *base, struct disk_space *ret)
{
    struct mem_disk *d = disk_of(base);

    MUTEX_GUARD(&d->lock);
    int r = power(d);

    if (r)
        return r;
    uint64_t blocks = (d->capacity ? d->capacity : SIZE_LIMIT) / PAGE;
    uint64_t used = d->used / PAGE;
    uint64_t left = used < blocks ? blocks - used : 0;

    *ret = (struct disk_space){PAGE, blocks, left, left, UINT32_MAX, UINT32_MAX, -ENOSPC};
    return 0;
}

static int mem_incarnation(struct disk *base, uint8_t out[32])
{
    struct mem_disk *d = disk_of(base);

    MUTEX_GUARD(&d->lock);
    memset(out, 0, 32);
    memcpy(out, &d->lives, sizeof d->lives);
    memcpy(out + 8, &d, sizeof d);
    return power(d);
}

static void mem_file_close(struct disk_file *base)
{
    struct mem_file *f = file_of(base);
    struct mem_disk *d = f->disk;

    {
        MUTEX_GUARD(&d->lock);
        f->inode->opens--;
        inode_hide_if_unused(d, f->inode);
    }
    free(f);
}

static ssize_t mem_pread(struct disk_file *base, void *buf, size_t len, uint64_t off)
{
    struct mem_file *f = file_of(base);

    MUTEX_GUARD(&f->disk->lock);
    int r = power(f->disk);

    return r ? r : (ssize_t)bytes_read(&f->inode->visible, buf, len, off);
}

static struct change *change_gather(struct inode *n, const struct iovec *iov, int count,
                                    uint64_t len, uint64_t off)
{
    struct change *c = change_add(n, CHANGE_WRITE, off, len);
    size_t done = 0;

    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len)
            memcpy(c->data + done, iov[i].iov_base, iov[i].iov_len);
        done += iov[i].iov_len;
    }
    return c;
}

static int mem_pwritev(struct disk_file *base, const struct iovec *iov, int count, uint64_t off)
{
    struct mem_file *f = file_of(base);
    struct mem_disk *d = f->disk;
    uint64_t len = 0;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    if (off + len > SIZE_LIMIT)
        return -EFBIG;
    MUTEX_GUARD(&d->lock);
    int r = may_change(d);

    if (r)
        return r;
    uint64_t growth = bytes_growth(&f->inode->visible, len, off);

    if (d->capacity && (growth > d->capacity || d->used > d->capacity - growth))
        return -ENOSPC;
    d->used += growth;
    change_apply(change_gather(f->inode, iov, count, len, off), &f->inode->visible);
    return 0;
}

/* Apply a change that only gives space back. */
static int shrink(struct mem_file *f, enum change_kind kind, uint64_t off, uint64_t len)
{
    MUTEX_GUARD(&f->disk->lock);
    struct bytes *b = &f->inode->visible;
    int r = may_change(f->disk);

    if (r)
        return r;
    uint64_t before = bytes_held(b);

    change_apply(change_add(f->inode, kind, off, len), b);
    f->disk->used -= before - bytes_held(b);
    return 0;
}

static int mem_truncate(struct disk_file *f, uint64_t size)
{
    return size > SIZE_LIMIT ? -EFBIG : shrink(file_of(f), CHANGE_TRUNCATE, size, 0);
}

static int mem_punch(struct disk_file *f, uint64_t off, uint64_t len)
{
    return shrink(file_of(f), CHANGE_PUNCH, off, len);
}

static int mem_allocate(struct disk_file *base, uint64_t size)
{
    struct mem_file *f = file_of(base);
    struct mem_disk *d = f->disk;

    if (size > SIZE_LIMIT)
        return -EFBIG;
    MUTEX_GUARD(&d->lock);
    int r = may_change(d);

    if (r)
        return r;
    uint64_t growth = bytes_growth(&f->inode->visible, size, 0);

    if (d->capacity && (growth > d->capacity || d->used > d->capacity - growth))
        return -ENOSPC;
    d->used += growth;
    change_apply(change_add(f->inode, CHANGE_ALLOCATE, size, 0), &f->inode->visible);
    return 0;
}

/* A mapping is a copy; map_wrote takes over what changed in it. Where it starts in the file stands
 * in a page in front of it. */
static int mem_map(struct disk_file *base, uint64_t off, size_t len, void **ret_map)
{
    struct mem_file *f = file_of(base);

    MUTEX_GUARD(&f->disk->lock);
    int r = power(f->disk);

    if (r)
        return r;
    uint8_t *map =
        mmap(NULL, PAGE + len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    memcpy(map, &off, sizeof off);
    map += PAGE;
    for (size_t done = 0; done < len; done += PAGE)
        if (page_has_bytes(&f->inode->visible, (size_t)((off + done) / PAGE)))
            bytes_read(&f->inode->visible, map + done, len - done < PAGE ? len - done : PAGE,
                       off + done);
    *ret_map = map;
    return 0;
}

static void mem_unmap(struct disk_file *f, void *map, size_t len)
{
    (void)f;
    munmap((uint8_t *)map - PAGE, PAGE + len);
}

/* No instruction that stores to memory fails: a fault that hits one shows in the next sync. */
static void mem_map_wrote(struct disk_file *base, void *map, size_t at, size_t len)
{
    struct mem_file *f = file_of(base);
    uint64_t off;

    memcpy(&off, (uint8_t *)map - PAGE, sizeof off);
    MUTEX_GUARD(&f->disk->lock);
    if (may_change(f->disk)) {
        f->inode->write_failed = true;
        if (power(f->disk))
            return;
    }
    struct change *c = change_add(f->inode, CHANGE_MAPPED, off + at, len);

    memcpy(c->data, (const uint8_t *)map + at, len);
    f->disk->used += bytes_growth(&f->inode->visible, len, off + at);
    change_apply(c, &f->inode->visible);
}

static int mem_sync(struct disk_file *base)
{
    struct mem_file *f = file_of(base);

    MUTEX_GUARD(&f->disk->lock);
    int r = may_change(f->disk);

    if (r)
        return r;
    if (f->inode->write_failed) { /* told once, as the kernel does it */
        f->inode->write_failed = false;
        return -EIO;
    }
    changes_settle(f->inode, &(struct fates){.loss = FAULT_KEEP_ALL});
    return 0;
}

static int mem_fstat(struct disk_file *base, struct disk_stat *ret)
{
    struct mem_file *f = file_of(base);

    MUTEX_GUARD(&f->disk->lock);
    int r = power(f->disk);

    if (r)
        return r;
    ret->size = f->inode->visible.size;
    ret->blocks = bytes_held(&f->inode->visible);
    return 0;
}

static void mem_flush_hint(struct disk_file *f, uint64_t off, uint64_t len)
{
    (void)f, (void)off, (void)len; /* a hint makes nothing durable */
}

static int mem_fd(struct disk_file *f)
{
    (void)f;
    return -1;
}

static const struct disk_ops mem_ops = {
    .close = mem_close,
    .mkdir = mem_mkdir,
    .open = mem_open,
    .link = mem_link,
    .unlink = mem_unlink,
    .rename = mem_rename,
    .sync_dir = mem_sync_dir,
    .list = mem_list,
    .space = mem_space,
    .incarnation = mem_incarnation,
    .file_close = mem_file_close,
    .pread = mem_pread,
    .pwritev = mem_pwritev,
    .truncate = mem_truncate,
    .punch = mem_punch,
    .sync = mem_sync,
    .fstat = mem_fstat,
    .flush_hint = mem_flush_hint,
    .allocate = mem_allocate,
    .map = mem_map,
    .unmap = mem_unmap,
    .map_wrote = mem_map_wrote,
    .fd = mem_fd,
};

int disk_mem_create(struct fault *f, uint64_t capacity, struct disk **ret_disk)
{
    struct mem_disk *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->base.ops = &mem_ops;
    d->fault = f;
    d->capacity = capacity;
    mutex_init(&d->lock, "disk_mem");
    LIST_INIT(&d->inodes);
    d->root = inode_create(d, true);
    *ret_disk = &d->base;
    return 0;
}

/* ---- loss of power ---- */

/* Changes that a power cycle may lose. */
static uint64_t count_changes(const struct mem_disk *d)
{
    const struct name_change *name;
    const struct change *c;
    const struct inode *n;
    uint64_t count = 0;

    LIST_FOREACH(n, &d->inodes, all)
    {
        STAILQ_FOREACH(c, &n->changes, next)
        count++;
        STAILQ_FOREACH(name, &n->name_changes, next)
        count++;
    }
    return count;
}

static void settle_all(struct mem_disk *d)
{
    struct fates f = {
        .loss = d->fault ? d->fault->loss : FAULT_LOSE_ALL,
        .state = (d->fault ? d->fault->seed : 0) ^ ++d->cycles * UINT64_C(0x9e3779b97f4a7c15),
    };
    uint64_t count = count_changes(d);
    struct inode *n;

    if (f.state == 0)
        f.state = 1;
    if (f.loss != FAULT_KEEP_ALL)
        d->lives++;
    f.chosen = UINT64_MAX;
    if (count && (f.loss == FAULT_LOSE_ONE || f.loss == FAULT_KEEP_ONE))
        f.chosen = fault_random(&f.state) % count;
    LIST_FOREACH(n, &d->inodes, all)
    {
        if (n->opens)
            abort(); /* the contract: all files closed */
        f.told = n->number;
        changes_settle(n, &f);
        name_changes_settle(n, &f);
        n->lost = f.told;
        n->reachable = false;
        n->links = 0;
    }
}

/* Directories are few levels deep: the recursion is bounded by DISK_NAME_MAX. */
static void restore(struct mem_disk *d, struct inode *n)
{
    if (n->reachable)
        return;
    n->reachable = true;
    n->write_failed = false;
    bytes_copy(&n->visible, &n->durable);
    d->used += bytes_held(&n->visible);
    names_copy(&n->visible_names, &n->durable_names);
    for (size_t i = 0; i < n->visible_names.count; i++) {
        n->visible_names.entry[i].inode->links++;
        restore(d, n->visible_names.entry[i].inode);
    }
}

void disk_mem_power_cycle(struct disk *base)
{
    struct mem_disk *d = disk_of(base);
    struct inode *n, *next;

    MUTEX_GUARD(&d->lock);
    settle_all(d);
    d->used = 0;
    d->lost = 0;
    restore(d, d->root);
    for (n = LIST_FIRST(&d->inodes); n; n = next) {
        next = LIST_NEXT(n, all);
        if (n->reachable)
            d->lost = tell(d->lost, n->lost);
        else
            inode_destroy(n);
    }
}

/* ---- for tests ---- */

uint64_t disk_mem_lost(struct disk *base)
{
    struct mem_disk *d = disk_of(base);

    MUTEX_GUARD(&d->lock);
    return d->lost;
}

int disk_mem_number(struct disk *base, const char *name, uint64_t *ret_number)
{
    struct mem_disk *d = disk_of(base);

    MUTEX_GUARD(&d->lock);
    struct inode *n = *name ? lookup(d, name) : d->root;

    if (!n)
        return -ENOENT;
    *ret_number = n->number;
    return 0;
}

int disk_mem_flip(struct disk *base, const char *name, uint64_t byte, unsigned bit)
{
    struct mem_disk *d = disk_of(base);
    uint8_t value;

    MUTEX_GUARD(&d->lock);
    struct inode *n = lookup(d, name);

    if (!n || n->is_dir || bytes_read(&n->visible, &value, 1, byte) == 0)
        return -ENOENT;
    d->used += bytes_growth(&n->visible, 1, byte);
    value = (uint8_t)(value ^ 1u << bit % 8);
    bytes_write(&n->visible, &value, 1, byte);
    if (byte < n->durable.size) /* rot is durable */
        bytes_write(&n->durable, &value, 1, byte);
    return 0;
}

void disk_mem_usage(struct disk *base, uint64_t *ret_bytes, uint64_t *ret_names)
{
    struct mem_disk *d = disk_of(base);
    uint64_t names = 0;
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    LIST_FOREACH(n, &d->inodes, all)
    names += n->is_dir ? 0 : n->links;
    *ret_bytes = d->used;
    *ret_names = names;
}
