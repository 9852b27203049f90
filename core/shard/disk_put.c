// SPDX-License-Identifier: Apache-2.0
/*
 * disk_put: see the header. A handle is of a draft, which is a file of this process, or of a view,
 * which is a file that was put. Drafts that have a name are in a list, where an open finds them
 * before the shard is asked.
 */
#include "disk_put_impl.h"

#include "clock.h"
#include "io.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TMP "tmp."          /* the start of the last part of names that are never put */
#define COPIED (512 * 1024) /* bytes that are read at once of a file that is copied */
#define BLOCK 4096          /* bytes: the unit in which disk_space counts */

struct put_file {
    struct disk_file base;
    struct put_disk *d;
    struct draft *draft;   /* NULL: the file was put before it was opened */
    struct put_view *view; /* NULL: it is a draft */
};

static const struct disk_ops put_ops;

static struct put_disk *disk_of(struct disk *d)
{
    return (struct put_disk *)d;
}

static struct put_file *file_of(struct disk_file *f)
{
    return (struct put_file *)f;
}

/* ---- names ---- */

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? slash + 1 : name;
}

static bool is_temporary(const char *name)
{
    return strncmp(last_part(name), TMP, strlen(TMP)) == 0;
}

/* The draft of that name, or NULL. Needs the lock. */
static struct draft *find_draft(struct put_disk *d, const char *name)
{
    struct draft *w;

    mutex_held(&d->lock);
    LIST_FOREACH(w, &d->drafts, next)
    if (strcmp(w->name, name) == 0)
        return w;
    return NULL;
}

/* Takes the name of a draft away. Needs the lock. */
static void forget_name(struct draft *w)
{
    if (*w->name)
        LIST_REMOVE(w, next);
    *w->name = '\0';
}

/* Finds a draft and references it. */
static struct draft *draft_get(struct put_disk *d, const char *name)
{
    MUTEX_GUARD(&d->lock);
    struct draft *w = find_draft(d, name);

    if (w)
        w->refs++;
    return w;
}

/* Gives back a reference. A draft that was put loses its name with its last handle; one that was
 * not keeps it, and its bytes, until it is unlinked. */
static void draft_unref(struct put_disk *d, struct draft *w)
{
    {
        MUTEX_GUARD(&d->lock);
        w->refs--;
        if (w->refs == 0 && w->put)
            forget_name(w);
        if (w->refs || *w->name)
            return;
    }
    draft_free(w);
}

/* ---- the scratch disk ---- */

/* A name is used for a moment only. One that is there was left by a process that died. */
int put_disk_scratch(struct put_disk *d, struct disk_file **ret_file)
{
    char name[32];
    int err;

    {
        MUTEX_GUARD(&d->lock);
        snprintf(name, sizeof name, "put.%u", d->next++);
    }
    err = disk_open(d->scratch, name, DISK_WRITE | DISK_CREATE, ret_file);
    if (err == -EEXIST) {
        (void)disk_unlink(d->scratch, name);
        err = disk_open(d->scratch, name, DISK_WRITE | DISK_CREATE, ret_file);
    }
    if (err < 0)
        return err;
    err = disk_unlink(d->scratch, name);
    if (err < 0)
        disk_file_close(*ret_file);
    return err;
}

/* ---- putting ---- */

/* Asks how much room is left, if that was not asked for a while. After an error the room is not
 * known. */
static void look_at_space(struct put_disk *d)
{
    int64_t now = clock_ticks(clock_real());
    struct shard_space s = {0};

    {
        MUTEX_GUARD(&d->lock);
        if (d->asked && now - d->asked < DISK_PUT_SPACE)
            return;
        d->asked = now ? now : 1;
    }
    if (shard_space(d->shard, &s) < 0)
        s = (struct shard_space){0};
    MUTEX_GUARD(&d->lock);
    d->space = s;
}

/* Puts a draft under its own name. From then on it is never changed. */
static int put_draft(struct put_disk *d, struct draft *w)
{
    char name[DISK_NAME_MAX + 1];
    struct put_bytes b = {.draft = w, .size = draft_size(w)};
    int err;

    {
        MUTEX_GUARD(&d->lock);
        if (w->put || !*w->name || is_temporary(w->name))
            return 0;
        w->tried = true;
        memcpy(name, w->name, sizeof name);
    }
    err = put_bytes_once(d->shard, name, &b);
    if (err == 0) {
        MUTEX_GUARD(&d->lock);
        w->put = true;
    }
    look_at_space(d);
    return err;
}

/* ---- the disk ---- */

static void put_close(struct disk *base)
{
    struct put_disk *d = disk_of(base);

    while (!LIST_EMPTY(&d->drafts)) { /* those that were never put nor unlinked */
        struct draft *w = LIST_FIRST(&d->drafts);

        LIST_REMOVE(w, next);
        draft_free(w);
    }
    shard_close(d->shard);
    mutex_destroy(&d->lock);
    free(d);
}

static int put_mkdir(struct disk *base, const char *name)
{
    (void)base;
    (void)name;
    return 0;
}

static int put_sync_dir(struct disk *base, const char *name)
{
    (void)base;
    (void)name;
    return 0;
}

static struct put_file *make_handle(struct put_disk *d)
{
    struct put_file *f = calloc(1, sizeof *f);

    if (f) {
        f->base.ops = &put_ops;
        f->d = d;
    }
    return f;
}

/* Makes a draft. Whether the shard has a file of that name already is seen when it is put. */
static int create(struct put_disk *d, const char *name, struct put_file *f)
{
    struct draft *w;
    int err = draft_make(name, &w);

    if (err < 0)
        return err;
    {
        MUTEX_GUARD(&d->lock);
        if (!find_draft(d, name)) {
            LIST_INSERT_HEAD(&d->drafts, w, next);
            f->draft = w;
            return 0;
        }
    }
    draft_free(w);
    return -EEXIST;
}

/* Reads all of a file into a draft without a name. */
static int fill_copy(struct put_disk *d, const char *name, struct draft *w)
{
    CLEANUP_FREE uint8_t *piece = malloc(COPIED);
    uint64_t at = 0;
    ssize_t n = piece ? COPIED : -ENOMEM;

    while (n == COPIED) {
        n = shard_range(d->shard, name, piece, COPIED, at);
        if (n > 0) {
            const struct iovec iov = {.iov_base = piece, .iov_len = (size_t)n};
            int err = draft_write(d, w, &iov, 1, at);

            if (err < 0)
                return err;
            at += (uint64_t)n;
        }
    }
    return n == -ENOENT && at > 0 ? -ESTALE : n < 0 ? (int)n : 0;
}

static int open_copied(struct put_disk *d, const char *name, struct put_file *f)
{
    struct draft *w;
    int err = draft_make("", &w);

    if (err < 0)
        return err;
    w->put = true;
    err = fill_copy(d, name, w);
    if (err < 0)
        draft_free(w);
    else
        f->draft = w;
    return err;
}

static int open_there(struct put_disk *d, const char *name, unsigned flags, struct put_file *f)
{
    f->draft = draft_get(d, name);
    if (f->draft)
        return 0;
    if (flags & DISK_WRITE)
        return -EROFS;
    if (flags & DISK_COPIED)
        return open_copied(d, name, f);
    return put_view_open(d->shard, name, flags & DISK_LATER, &f->view);
}

static int put_open(struct disk *base, const char *name, unsigned flags,
                    struct disk_file **ret_file)
{
    struct put_disk *d = disk_of(base);
    struct put_file *f = make_handle(d);
    int err;

    if (!f)
        return -ENOMEM;
    err = flags & DISK_CREATE ? create(d, name, f) : open_there(d, name, flags, f);
    if (err < 0)
        free(f);
    else
        *ret_file = &f->base;
    return err;
}

static int put_stat(struct disk *base, const char *name, struct disk_stat *ret)
{
    struct put_disk *d = disk_of(base);
    struct draft *w = draft_get(d, name);
    uint64_t size;
    int err = 0;

    if (w) {
        size = draft_size(w);
        draft_unref(d, w);
    } else {
        err = shard_stat(d->shard, name, &size);
    }
    if (err == 0)
        *ret = (struct disk_stat){.size = size, .blocks = size};
    return err;
}

/* The draft of a temporary name. -EOPNOTSUPP: it is no such name; -ENOENT. */
static int take_temporary(struct put_disk *d, const char *name, struct draft **ret_draft)
{
    if (!is_temporary(name))
        return -EOPNOTSUPP;
    *ret_draft = draft_get(d, name);
    return *ret_draft ? 0 : -ENOENT;
}

/* Puts the draft of a temporary name under the name `to`, by `put`. */
static int put_temporary(struct put_disk *d, const char *from, const char *to,
                         int (*put)(struct shard *s, const char *name, struct put_bytes *b))
{
    struct draft *w;
    int err = take_temporary(d, from, &w);

    if (err < 0)
        return err;
    err = put(d->shard, to, &(struct put_bytes){.draft = w, .size = draft_size(w)});
    draft_unref(d, w);
    return err;
}

static int put_link(struct disk *base, const char *from, const char *to)
{
    return put_temporary(disk_of(base), from, to, put_bytes_first);
}

/* The bytes under the name `to` are the shard's now, so those here go with the last handle. */
static int put_rename(struct disk *base, const char *from, const char *to)
{
    int err = put_temporary(disk_of(base), from, to, put_bytes_over);

    if (err == 0)
        disk_put_forget(base, from);
    return err;
}

static int put_copy(struct disk *base, const char *to, struct disk_file *from)
{
    struct put_disk *d = disk_of(base);
    struct disk_stat st;
    int err = disk_fstat(from, &st);

    if (err < 0)
        return err;
    err = put_bytes_once(d->shard, to, &(struct put_bytes){.file = from, .size = st.size});
    look_at_space(d);
    return err;
}

/* What the removal of a draft leaves to be done. */
enum removed { REMOVED_NONE, REMOVED_HERE, REMOVED_ASK };

/* Takes the name of a draft away. REMOVED_NONE: there is no such draft; REMOVED_ASK: the shard may
 * have its bytes. */
static enum removed remove_draft(struct put_disk *d, const char *name)
{
    enum removed left;
    struct draft *w;

    {
        MUTEX_GUARD(&d->lock);
        w = find_draft(d, name);
        if (!w)
            return REMOVED_NONE;
        forget_name(w);
        left = w->tried ? REMOVED_ASK : REMOVED_HERE;
        if (w->refs)
            return left;
    }
    draft_free(w);
    return left;
}

static int put_unlink(struct disk *base, const char *name)
{
    struct put_disk *d = disk_of(base);
    enum removed removed = remove_draft(d, name);
    int err;

    if (removed == REMOVED_HERE)
        return 0;
    err = shard_delete(d->shard, name);
    return err == -ENOENT && removed == REMOVED_ASK ? 0 : err;
}

void disk_put_forget(struct disk *base, const char *name)
{
    struct put_disk *d = disk_of(base);
    struct draft *w;

    {
        MUTEX_GUARD(&d->lock);
        w = find_draft(d, name);
        if (!w)
            return;
        forget_name(w);
        if (w->refs)
            return;
    }
    draft_free(w);
}

/* ---- lists ---- */

static int put_list(struct disk *base, const char *name, disk_list_fn *fn, void *ctx)
{
    return put_names(disk_of(base)->shard, name, fn, ctx);
}

static int put_list_below(struct disk *base, const char *name, disk_list_fn *fn, void *ctx)
{
    return put_names_below(disk_of(base)->shard, name, fn, ctx);
}

static int put_space(struct disk *base, struct disk_space *ret)
{
    struct put_disk *d = disk_of(base);
    MUTEX_GUARD(&d->lock);
    uint64_t avail = d->space.avail / BLOCK;

    *ret = (struct disk_space){.block_size = BLOCK,
                               .blocks = d->space.size / BLOCK,
                               .blocks_free = avail,
                               .blocks_avail = avail,
                               .full = -ENOSPC};
    return 0;
}

/* There is no page cache here that could lose bytes: what was put is durable, and all else is gone
 * with the process. */
static int put_incarnation(struct disk *base, bool of_mount, uint8_t out[32])
{
    (void)base, (void)of_mount;
    memset(out, 0, 32);
    return 0;
}

/* ---- files ---- */

static void put_file_close(struct disk_file *base)
{
    struct put_file *f = file_of(base);

    if (f->draft)
        draft_unref(f->d, f->draft);
    else
        put_view_close(f->view);
    free(f);
}

static ssize_t put_pread(struct disk_file *base, void *buf, size_t len, uint64_t off)
{
    struct put_file *f = file_of(base);

    return f->draft ? draft_read(f->draft, buf, len, off) : put_view_read(f->view, buf, len, off);
}

/* -EROFS: the file was put. */
static int check_draft(struct put_file *f)
{
    MUTEX_GUARD(&f->d->lock);
    return f->draft->put ? -EROFS : 0;
}

static int put_pwritev(struct disk_file *base, const struct iovec *iov, int count, uint64_t off)
{
    struct put_file *f = file_of(base);
    int err = check_draft(f);

    return err < 0 ? err : draft_write(f->d, f->draft, iov, count, off);
}

static int put_truncate(struct disk_file *base, uint64_t size)
{
    struct put_file *f = file_of(base);
    int err = check_draft(f);

    return err < 0 ? err : draft_truncate(f->d, f->draft, size);
}

static int put_sync(struct disk_file *base)
{
    struct put_file *f = file_of(base);

    return f->draft ? put_draft(f->d, f->draft) : 0;
}

static int put_fstat(struct disk_file *base, struct disk_stat *ret)
{
    struct put_file *f = file_of(base);
    uint64_t size;
    int err = 0;

    if (f->draft)
        size = draft_size(f->draft);
    else
        err = put_view_size(f->view, &size);
    if (err == 0)
        *ret = (struct disk_stat){.size = size, .blocks = size};
    return err;
}

static int put_punch(struct disk_file *base, uint64_t off, uint64_t len)
{
    (void)base;
    (void)off;
    (void)len;
    return -EOPNOTSUPP;
}

static void put_flush_hint(struct disk_file *base, uint64_t off, uint64_t len)
{
    (void)base;
    (void)off;
    (void)len;
}

static int put_allocate(struct disk_file *base, uint64_t size)
{
    (void)base;
    (void)size;
    return -EOPNOTSUPP;
}

static int put_map(struct disk_file *base, uint64_t off, size_t len, void **ret_map)
{
    (void)base;
    (void)off;
    (void)len;
    (void)ret_map;
    return -EOPNOTSUPP;
}

static int put_fd(struct disk_file *base)
{
    (void)base;
    return -1;
}

/* No file is mapped, so nothing is unmapped or changed in a mapping. */
static const struct disk_ops put_ops = {
    .close = put_close,
    .mkdir = put_mkdir,
    .open = put_open,
    .stat = put_stat,
    .link = put_link,
    .put_copy = put_copy,
    .unlink = put_unlink,
    .rename = put_rename,
    .sync_dir = put_sync_dir,
    .list = put_list,
    .list_below = put_list_below,
    .space = put_space,
    .incarnation = put_incarnation,
    .file_close = put_file_close,
    .pread = put_pread,
    .pwritev = put_pwritev,
    .truncate = put_truncate,
    .punch = put_punch,
    .sync = put_sync,
    .fstat = put_fstat,
    .flush_hint = put_flush_hint,
    .allocate = put_allocate,
    .map = put_map,
    .fd = put_fd,
};

int disk_put_open(struct shard *shard, struct disk *scratch, unsigned flags, struct disk **ret_disk)
{
    struct put_disk *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->base.ops = &put_ops;
    d->base.readonly = flags & DISK_ONLY_READ;
    d->base.foreign = flags & DISK_FOREIGN;
    d->base.whole = true;
    d->shard = shard;
    d->scratch = scratch;
    LIST_INIT(&d->drafts);
    mutex_init(&d->lock, "disk put");
    look_at_space(d);
    *ret_disk = &d->base;
    return 0;
}
