// SPDX-License-Identifier: Apache-2.0
/* from_directory: see the header. */
#include "from_directory.h"

#include "io.h"
#include "names.h"
#include "source_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (1u << 20)
#define TRIES 3 /* of reading a large file that changes */

struct taking {
    struct intake *in;
    const struct directory_source *source;
    struct intake_counts *counts;
    struct names *seen; /* files with several names, by device and inode number */
    uint8_t *piece;     /* PIECE bytes */
};

/* ---- contents ---- */

static int put_range(struct taking *w, const struct source_file *f, uint64_t from, uint64_t end)
{
    int err = 0;
    while (err == 0 && from < end) {
        size_t want = end - from < PIECE ? (size_t)(end - from) : PIECE;
        ssize_t n = io_pread(f->fd, w->piece, want, from);
        if (n < 0) {
            return intake_fail(w->in, (int)n, "%s/%s cannot be read: %s", f->dir->path, f->name,
                               strerror((int)-n));
        }
        memset(w->piece + n, 0, want - (size_t)n); /* it became shorter */
        err = intake_piece(w->in, from, w->piece, want);
        from += want;
        if (w->source->tick) {
            w->source->tick(w->source->ctx);
        }
    }
    return err;
}

/* Gives the data of a file and leaves out its holes. */
static int put_data(struct taking *w, const struct source_file *f, bool sparse)
{
    uint64_t size = (uint64_t)f->st.st_size;
    int err = intake_content(w->in, size, sparse);
    if (!sparse) {
        return err < 0 ? err : put_range(w, f, 0, size);
    }
    for (off_t at = 0; err == 0 && (uint64_t)at < size;) {
        off_t data = lseek(f->fd, at, SEEK_DATA);
        if (data < 0 || (uint64_t)data >= size) {
            break;
        }
        off_t hole = lseek(f->fd, data, SEEK_HOLE);
        at = hole < 0 || (uint64_t)hole > size ? (off_t)size : hole;
        err = put_range(w, f, (uint64_t)data, (uint64_t)at);
    }
    return err;
}

/* Gives a large file, or one with holes. */
static int put_large(struct taking *w, struct source_file *f)
{
    int err = 0;
    for (int i = 0; err == 0; i++) {
        err = put_data(w, f, f->st.st_blocks * 512 < f->st.st_size);
        if (err < 0 || !source_has_changed(f)) {
            return err;
        }
        f->changed = i + 1 == TRIES;
        if (f->changed) {
            return 0;
        }
        if (fstat(f->fd, &f->st) < 0) {
            err = intake_fail(w->in, -errno, "%s/%s: %m", f->dir->path, f->name);
        }
    }
    return err;
}

static int put_content(struct taking *w, struct source_file *f)
{
    if (f->st.st_size == 0) {
        return 0;
    }
    if (!f->bytes) {
        return put_large(w, f);
    }
    int err = intake_content(w->in, (uint64_t)f->st.st_size, false);
    return err < 0 ? err : intake_piece(w->in, 0, f->bytes, (size_t)f->st.st_size);
}

/* ---- files ---- */

static struct intake_attributes attributes_of(const struct taking *w, const struct source_file *f)
{
    const struct stat *st = &f->st;
    bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
    bool kept = w->source->owners || (st->st_uid == geteuid() && st->st_gid == getegid());
    return (struct intake_attributes){
        /* set-id bits of somebody else's file would give the rights of its new owner */
        .mode = kept ? st->st_mode : st->st_mode & ~(mode_t)(S_ISUID | S_ISGID),
        .uid = w->source->owners ? st->st_uid : geteuid(),
        .gid = w->source->owners ? st->st_gid : getegid(),
        .rdev = device ? (uint32_t)st->st_rdev : 0,
        .mtime = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec,
        .size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
        .target = f->target,
    };
}

static int put_xattrs(struct taking *w, const struct source_file *f, uint64_t inode)
{
    int err = 0;
    for (const struct source_xattr *x = f->xattrs; x && err == 0; x = x->next) {
        err = intake_xattr(w->in, inode, x->name, x->value, x->len);
    }
    return err;
}

/* The file as one that came before under another name. NULL: it did not. */
static struct named *find_seen(const struct taking *w, const struct source_file *f)
{
    return S_ISDIR(f->st.st_mode) || f->st.st_nlink < 2
               ? NULL
               : names_find(w->seen, f->st.st_dev, (const char *)&f->st.st_ino,
                            sizeof(f->st.st_ino));
}

/* Gives a file of its own. */
static int put_new(struct taking *w, const struct intake_place *place, struct source_file *f)
{
    uint64_t inode;
    int err = S_ISREG(f->st.st_mode) ? put_content(w, f) : 0;
    struct intake_attributes a = attributes_of(w, f);
    if (err == 0) {
        a.content = S_ISREG(f->st.st_mode) && a.size ? intake_content_end(w->in) : 0;
        err = intake_add(w->in, place, &a, &inode);
    }
    if (err == 0) {
        err = put_xattrs(w, f, inode);
    }
    if (err == 0 && !S_ISDIR(f->st.st_mode) && f->st.st_nlink > 1) {
        err = names_put(w->seen, f->st.st_dev, (const char *)&f->st.st_ino, sizeof(f->st.st_ino),
                        &(struct named){.inode = inode});
    }
    return err;
}

/* Called for each file of the tree. */
static int put_file(struct source_file *f, const char *path, void *ctx)
{
    struct taking *w = ctx;
    struct intake_place place;
    struct named *seen = find_seen(w, f);
    int err = intake_place(w->in, path, &place);
    if (err == 0) {
        err = seen ? intake_link(w->in, &place, seen->inode) : put_new(w, &place, f);
    }
    if (f->changed && w->source->changed) {
        w->source->changed(path, w->source->ctx);
    }
    w->counts->at = w->counts->bytes;
    if (w->source->tick) {
        w->source->tick(w->source->ctx);
    }
    return err;
}

int from_directory(struct intake *in, const struct directory_source *source,
                   struct intake_counts *counts)
{
    static struct source_walk t;
    struct taking w = {.in = in, .source = source, .counts = counts, .piece = malloc(PIECE)};
    int err = w.piece ? names_open(&w.seen) : -ENOMEM;
    t = (struct source_walk){.fd = source->fd, .visit = put_file, .ctx = &w};
    if (err == 0) {
        err = source_walk(&t);
        if (err < 0 && *t.why) {
            (void)intake_fail(in, err, "%s", t.why);
        }
    } else {
        (void)intake_fail(in, err, "out of memory");
    }
    names_close(w.seen);
    free(w.piece);
    return err;
}
