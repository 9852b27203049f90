// SPDX-License-Identifier: Apache-2.0
/*
 * disk_mem: a disk in memory that can lose power.
 *
 * Everything exists twice: as programs see it, and as it would survive. Each file and each
 * directory has a list of the changes since its last sync. A sync applies the list to the durable
 * side. A power cycle applies those changes that the fault lets survive, and then makes the visible
 * side a copy of the durable one.
 *
 *     file:       visible bytes  <- writes, cuts, holes ... -> durable bytes
 *     directory:  visible names  <- name changes ...       -> durable names
 *
 * Bytes are kept in pages; a missing page is a hole. A test that runs out of memory is aborted.
 */
#include "disk_mem_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE_LIMIT (UINT64_C(1) << 36) /* bytes of one file: bounds its page array */

struct mem_file {
    struct disk_file base;
    struct mem_disk *disk;
    struct inode *inode;
};

static struct mem_file *file_of(struct disk_file *f)
{
    return (struct mem_file *)f;
}

static int power(const struct mem_disk *d)
{
    return fault_is_cut(d->fault) ? -EIO : 0;
}

/* Counts a change. 0, or the -errno with which it fails. */
static int may_change(struct mem_disk *d)
{
    int err = power(d);

    if (err)
        return err;
    return d->fault ? fault_write(d->fault) : 0;
}

/* ---- inodes ---- */

static struct inode *inode_create(struct mem_disk *d, bool is_dir)
{
    struct inode *n = mem_must(calloc(1, sizeof *n));

    n->is_dir = is_dir;
    n->number = ++d->made;
    STAILQ_INIT(&n->changes);
    STAILQ_INIT(&n->name_changes);
    LIST_INSERT_HEAD(&d->inodes, n, all);
    return n;
}

void mem_inode_destroy(struct inode *n)
{
    mem_changes_settle(n, &(struct fates){.loss = FAULT_LOSE_ALL});
    mem_name_changes_settle(n, &(struct fates){.loss = FAULT_LOSE_ALL});
    mem_bytes_release(&n->visible);
    mem_bytes_release(&n->durable);
    free(n->visible_names.entry);
    free(n->durable_names.entry);
    LIST_REMOVE(n, all);
    free(n);
}

/* If no name and no handle leads to the file any more, its space is free. A power cycle may bring
 * it back, so its durable side and the inode itself stay until the next one. */
static void inode_hide_if_unused(struct mem_disk *d, struct inode *n)
{
    if (n->links || n->opens || n->is_dir)
        return;
    d->used -= mem_bytes_held(&n->visible);
    mem_bytes_release(&n->visible);
}

/* The directory of the last part of `path`, and that part. NULL: there is no such directory. */
static struct inode *walk(struct mem_disk *d, const char *path, const char **ret_last)
{
    struct inode *dir = d->root;
    const char *slash;

    while ((slash = strchr(path, '/'))) {
        char part[DISK_NAME_MAX + 1];
        size_t len = (size_t)(slash - path);

        memcpy(part, path, len);
        part[len] = '\0';
        struct entry *e = mem_names_find(&dir->visible_names, part);

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
    struct entry *e = dir ? mem_names_find(&dir->visible_names, last) : NULL;

    return e ? e->inode : NULL;
}

static struct inode *lookup_dir(struct mem_disk *d, const char *path)
{
    struct inode *n = *path ? lookup(d, path) : d->root;

    return n && n->is_dir ? n : NULL;
}

/* Changes the visible names of `dir`, and notes the change. `remove` and `set` may be "". */
static void change_names(struct mem_disk *d, struct inode *dir, const char *remove, const char *set,
                         struct inode *n)
{
    struct name_change *c = mem_must(calloc(1, sizeof *c));
    struct entry *gone = *remove ? mem_names_find(&dir->visible_names, remove) : NULL;
    struct inode *removed = gone ? gone->inode : NULL;
    struct entry *old = *set ? mem_names_find(&dir->visible_names, set) : NULL;
    struct inode *replaced = old ? old->inode : NULL;

    snprintf(c->remove, sizeof c->remove, "%s", remove);
    snprintf(c->set, sizeof c->set, "%s", set);
    c->inode = n;
    STAILQ_INSERT_TAIL(&dir->name_changes, c, next);
    mem_name_change_apply(c, &dir->visible_names);
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
    struct mem_disk *d = mem_disk_of(base);
    struct inode *n;

    while ((n = LIST_FIRST(&d->inodes)))
        mem_inode_destroy(n);
    mutex_destroy(&d->lock);
    free(d);
}

static int mem_mkdir(struct disk *base, const char *name)
{
    struct mem_disk *d = mem_disk_of(base);
    const char *last;

    MUTEX_GUARD(&d->lock);
    int err = may_change(d);

    if (err)
        return err;
    struct inode *dir = walk(d, name, &last);

    if (!dir)
        return -ENOENT;
    if (mem_names_find(&dir->visible_names, last))
        return 0;
    change_names(d, dir, "", last, inode_create(d, true));
    return 0;
}

/* Creates a file; counted as one change. */
static int create(struct mem_disk *d, const char *name, struct inode **ret_inode)
{
    const char *last;
    int err = may_change(d);

    if (err)
        return err;
    struct inode *dir = walk(d, name, &last);

    if (!dir)
        return -ENOENT;
    if (mem_names_find(&dir->visible_names, last))
        return -EEXIST;
    *ret_inode = inode_create(d, false);
    change_names(d, dir, "", last, *ret_inode);
    return 0;
}

/* Finds a file. -ENOENT, -EISDIR. */
static int find_inode(struct mem_disk *d, const char *name, struct inode **ret_inode)
{
    int err = power(d);

    if (err)
        return err;
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
    struct mem_disk *d = mem_disk_of(base);
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    int err = flags & DISK_CREATE ? create(d, name, &n) : find_inode(d, name, &n);

    if (err)
        return err == -EISDIR ? -EUCLEAN : err; /* as disk_dir does */
    struct mem_file *f = mem_must(calloc(1, sizeof *f));

    f->base.ops = &mem_ops;
    f->disk = d;
    f->inode = n;
    n->opens++;
    *ret_file = &f->base;
    return 0;
}

static int mem_link(struct disk *base, const char *from, const char *to)
{
    struct mem_disk *d = mem_disk_of(base);
    const char *last;
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    int err = may_change(d);

    if (err)
        return err;
    err = find_inode(d, from, &n);
    if (err)
        return err;
    struct inode *dir = walk(d, to, &last);

    if (!dir)
        return -ENOENT;
    if (mem_names_find(&dir->visible_names, last))
        return -EEXIST;
    change_names(d, dir, "", last, n);
    return 0;
}

static int mem_unlink(struct disk *base, const char *name)
{
    struct mem_disk *d = mem_disk_of(base);
    const char *last;
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    int err = may_change(d);

    if (err)
        return err;
    err = find_inode(d, name, &n);
    if (err)
        return err;
    change_names(d, walk(d, name, &last), strrchr(name, '/') ? strrchr(name, '/') + 1 : name, "",
                 NULL);
    return 0;
}

/* Renames within one directory as one change, and between two directories as two, which may be lost
 * or kept one by one. */
static int mem_rename(struct disk *base, const char *from, const char *to)
{
    struct mem_disk *d = mem_disk_of(base);
    const char *last_from = "", *last_to;
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    int err = may_change(d);

    if (err)
        return err;
    err = find_inode(d, from, &n);
    if (err)
        return err;
    struct inode *dir_from = walk(d, from, &last_from), *dir_to = walk(d, to, &last_to);

    if (!dir_to)
        return -ENOENT;
    struct entry *old = mem_names_find(&dir_to->visible_names, last_to);

    if (old && old->inode->is_dir)
        return -EISDIR;
    if (old && old->inode == n) /* POSIX: two names of one file stay */
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
    struct mem_disk *d = mem_disk_of(base);

    MUTEX_GUARD(&d->lock);
    int err = may_change(d);

    if (err)
        return err;
    struct inode *dir = lookup_dir(d, name);

    if (!dir)
        return -ENOENT;
    mem_name_changes_settle(dir, &(struct fates){.loss = FAULT_KEEP_ALL});
    return 0;
}

/* Lists a copy, so that `fn` may call the disk. */
static int mem_list(struct disk *base, const char *name, disk_list_fn *fn, void *ctx)
{
    struct mem_disk *d = mem_disk_of(base);
    struct names copy = {0};
    int err;

    {
        MUTEX_GUARD(&d->lock);
        err = power(d);
        if (err)
            return err;
        struct inode *dir = lookup_dir(d, name);

        if (!dir)
            return -ENOENT;
        mem_names_copy(&copy, &dir->visible_names);
    }
    for (size_t i = 0; err == 0 && i < copy.count; i++)
        err = fn(copy.entry[i].name, ctx);
    free(copy.entry);
    return err;
}

static int mem_space(struct disk *base, struct disk_space *ret)
{
    struct mem_disk *d = mem_disk_of(base);

    MUTEX_GUARD(&d->lock);
    int err = power(d);

    if (err)
        return err;
    uint64_t blocks = (d->capacity ? d->capacity : SIZE_LIMIT) / MEM_PAGE;
    uint64_t used = d->used / MEM_PAGE;
    uint64_t left = used < blocks ? blocks - used : 0;

    *ret = (struct disk_space){MEM_PAGE, blocks, left, left, UINT32_MAX, UINT32_MAX, -ENOSPC};
    return 0;
}

/* A power cycle that may have lost something gives another number. */
static int mem_incarnation(struct disk *base, bool of_mount, uint8_t out[32])
{
    struct mem_disk *d = mem_disk_of(base);

    MUTEX_GUARD(&d->lock);
    (void)of_mount;
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
    int err = power(f->disk);

    return err ? err : (ssize_t)mem_bytes_read(&f->inode->visible, buf, len, off);
}

/* Notes a write of several buffers as one change. */
static struct change *change_gather(struct inode *n, const struct iovec *iov, int count,
                                    uint64_t len, uint64_t off)
{
    struct change *c = mem_change_add(n, CHANGE_WRITE, off, len);
    size_t done = 0;

    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len)
            memcpy(c->data + done, iov[i].iov_base, iov[i].iov_len);
        done += iov[i].iov_len;
    }
    return c;
}

/* A write that does not fit is -ENOSPC and changes nothing. */
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
    int err = may_change(d);

    if (err)
        return err;
    uint64_t growth = mem_bytes_growth(&f->inode->visible, len, off);

    if (d->capacity && (growth > d->capacity || d->used > d->capacity - growth))
        return -ENOSPC;
    d->used += growth;
    mem_change_apply(change_gather(f->inode, iov, count, len, off), &f->inode->visible);
    return 0;
}

/* Does a change that only gives space back. */
static int shrink(struct mem_file *f, enum change_kind kind, uint64_t off, uint64_t len)
{
    MUTEX_GUARD(&f->disk->lock);
    struct bytes *b = &f->inode->visible;
    int err = may_change(f->disk);

    if (err)
        return err;
    uint64_t before = mem_bytes_held(b);

    mem_change_apply(mem_change_add(f->inode, kind, off, len), b);
    f->disk->used -= before - mem_bytes_held(b);
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
    int err = may_change(d);

    if (err)
        return err;
    uint64_t growth = mem_bytes_growth(&f->inode->visible, size, 0);

    if (d->capacity && (growth > d->capacity || d->used > d->capacity - growth))
        return -ENOSPC;
    d->used += growth;
    mem_change_apply(mem_change_add(f->inode, CHANGE_ALLOCATE, size, 0), &f->inode->visible);
    return 0;
}

/* Maps a file: the mapping is a copy, and map_wrote applies what changed in it. A page in front of
 * the mapping has its offset in the file. */
static int mem_map(struct disk_file *base, uint64_t off, size_t len, void **ret_map)
{
    struct mem_file *f = file_of(base);

    MUTEX_GUARD(&f->disk->lock);
    int err = power(f->disk);

    if (err)
        return err;
    uint8_t *map =
        mmap(NULL, MEM_PAGE + len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    memcpy(map, &off, sizeof off);
    map += MEM_PAGE;
    for (size_t done = 0; done < len; done += MEM_PAGE)
        if (mem_page_has_bytes(&f->inode->visible, (size_t)((off + done) / MEM_PAGE)))
            mem_bytes_read(&f->inode->visible, map + done,
                           len - done < MEM_PAGE ? len - done : MEM_PAGE, off + done);
    *ret_map = map;
    return 0;
}

static void mem_unmap(struct disk_file *f, void *map, size_t len)
{
    (void)f;
    munmap((uint8_t *)map - MEM_PAGE, MEM_PAGE + len);
}

/* Applies a change in a mapping. A store to memory cannot fail, so a fault that hits one shows in
 * the next sync. */
static void mem_map_wrote(struct disk_file *base, void *map, size_t at, size_t len)
{
    struct mem_file *f = file_of(base);
    uint64_t off;

    memcpy(&off, (uint8_t *)map - MEM_PAGE, sizeof off);
    MUTEX_GUARD(&f->disk->lock);
    if (may_change(f->disk)) {
        f->inode->write_failed = true;
        if (power(f->disk))
            return;
    }
    struct change *c = mem_change_add(f->inode, CHANGE_MAPPED, off + at, len);

    memcpy(c->data, (const uint8_t *)map + at, len);
    f->disk->used += mem_bytes_growth(&f->inode->visible, len, off + at);
    mem_change_apply(c, &f->inode->visible);
}

static int mem_sync(struct disk_file *base)
{
    struct mem_file *f = file_of(base);

    MUTEX_GUARD(&f->disk->lock);
    int err = may_change(f->disk);

    if (err)
        return err;
    if (f->inode->write_failed) { /* reported once, as by the kernel */
        f->inode->write_failed = false;
        return -EIO;
    }
    mem_changes_settle(f->inode, &(struct fates){.loss = FAULT_KEEP_ALL});
    return 0;
}

static int mem_fstat(struct disk_file *base, struct disk_stat *ret)
{
    struct mem_file *f = file_of(base);

    MUTEX_GUARD(&f->disk->lock);
    int err = power(f->disk);

    if (err)
        return err;
    ret->size = f->inode->visible.size;
    ret->blocks = mem_bytes_held(&f->inode->visible);
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

/* ---- for tests ---- */

uint64_t disk_mem_lost(struct disk *base)
{
    struct mem_disk *d = mem_disk_of(base);

    MUTEX_GUARD(&d->lock);
    return d->lost;
}

int disk_mem_number(struct disk *base, const char *name, uint64_t *ret_number)
{
    struct mem_disk *d = mem_disk_of(base);

    MUTEX_GUARD(&d->lock);
    struct inode *n = *name ? lookup(d, name) : d->root;

    if (!n)
        return -ENOENT;
    *ret_number = n->number;
    return 0;
}

int disk_mem_flip(struct disk *base, const char *name, uint64_t byte, unsigned bit)
{
    struct mem_disk *d = mem_disk_of(base);
    uint8_t value;

    MUTEX_GUARD(&d->lock);
    struct inode *n = lookup(d, name);

    if (!n || n->is_dir || mem_bytes_read(&n->visible, &value, 1, byte) == 0)
        return -ENOENT;
    d->used += mem_bytes_growth(&n->visible, 1, byte);
    value = (uint8_t)(value ^ 1u << bit % 8);
    mem_bytes_write(&n->visible, &value, 1, byte);
    if (byte < n->durable.size) /* a bit that has flipped stays so */
        mem_bytes_write(&n->durable, &value, 1, byte);
    return 0;
}

void disk_mem_usage(struct disk *base, uint64_t *ret_bytes, uint64_t *ret_names)
{
    struct mem_disk *d = mem_disk_of(base);
    uint64_t names = 0;
    struct inode *n;

    MUTEX_GUARD(&d->lock);
    LIST_FOREACH(n, &d->inodes, all)
    names += n->is_dir ? 0 : n->links;
    *ret_bytes = d->used;
    *ret_names = names;
}
