// SPDX-License-Identifier: Apache-2.0
/*
 * source_stream: see the header. The stream is (save_for_program in core/image/save.h)
 *
 *     stream  := file* END
 *     file    := INODE XATTR* [ENTRY [CONTENT* INODE]]      the first one has no ENTRY
 *              | ENTRY                                       another name of a file
 *
 * and is read with one record of look-ahead.
 */
#include "source_stream.h"

#include "inlet.h"
#include "io.h"
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A directory in which names may follow. */
struct open_dir {
    uint64_t number;
    size_t path_len;
};

struct reader {
    struct source_walk *t;
    struct inlet *in;
    struct image_record r; /* the next record, which was not used */
    bool lent;             /* it is a piece that the visitor has */
    bool visitor_failed;
    struct source_file f; /* the present file */
    uint64_t number;      /* of its inode */
    char *path;
    size_t path_room;
    struct open_dir *dirs;
    size_t dir_count, dir_room;
    struct names *several; /* numbers of inodes with several names -> index in `seen` */
    struct stat *seen;
    size_t seen_count;
};

static int advance(struct reader *d)
{
    int err = inlet_next(d->in, &d->r);
    d->t->stream_failed = err < 0 && err != -EBADMSG && err != -ENOENT;
    return err == -ENOENT ? -EBADMSG : err; /* the walk stops at the END */
}

/* ---- attributes ---- */

static void forget(struct source_file *f)
{
    source_free_xattrs(f->xattrs);
    free(f->target);
    io_cleanup_close(&f->fd); /* the visitor may have put its data there */
    *f = (struct source_file){.fd = -1};
}

static int take_target(struct reader *d)
{
    d->f.target = strndup(d->r.data, d->r.len);
    return d->f.target ? 0 : -ENOMEM;
}

/* Begins the file that the next record describes. */
static int take_inode(struct reader *d)
{
    const struct image_record *r = &d->r;
    const int64_t second = INT64_C(1000000000), rest = r->mtime % second;
    forget(&d->f);
    d->number = r->number;
    d->f.st = (struct stat){.st_ino = r->number,
                            .st_mode = r->mode,
                            .st_nlink = r->several ? 2 : 1,
                            .st_uid = r->uid,
                            .st_gid = r->gid,
                            .st_rdev = r->rdev,
                            .st_size = (off_t)r->size};
    d->f.st.st_mtim = (struct timespec){.tv_sec = r->mtime / second - (rest < 0),
                                         .tv_nsec = rest < 0 ? rest + second : rest};
    int err = S_ISLNK(r->mode) ? take_target(d) : 0;
    return err == 0 ? advance(d) : err;
}

static int take_xattr(struct reader *d)
{
    const struct image_record *r = &d->r;
    struct source_xattr *x = calloc(1, sizeof(*x));
    if (!x) {
        return -ENOMEM;
    }
    x->next = d->f.xattrs;
    d->f.xattrs = x;
    x->name = strndup(r->name, r->name_len);
    x->value = malloc(r->len ? r->len : 1);
    if (!x->name || !x->value) {
        return -ENOMEM;
    }
    if (r->len) {
        memcpy(x->value, r->data, r->len);
    }
    x->len = r->len;
    return advance(d);
}

/* ---- names ---- */

/* Makes the path that of the ENTRY. Its directory must be one that was entered. */
static int take_path(struct reader *d)
{
    const struct image_record *r = &d->r;
    while (d->dir_count > 0 && d->dirs[d->dir_count - 1].number != r->parent) {
        d->dir_count--;
    }
    if (d->dir_count == 0) {
        return -EBADMSG;
    }
    size_t at = d->dirs[d->dir_count - 1].path_len;
    size_t need = at + 1 + r->name_len + 1;
    if (need > d->path_room) {
        char *more = realloc(d->path, 2 * need);
        if (!more) {
            return -ENOMEM;
        }
        d->path = more;
        d->path_room = 2 * need;
    }
    if (at > 0) {
        d->path[at++] = '/';
    }
    memcpy(d->path + at, r->name, r->name_len);
    d->path[at + r->name_len] = 0;
    return advance(d);
}

/* Enters the present directory: the next names may be in it. */
static int enter(struct reader *d)
{
    if (d->dir_count == d->dir_room) {
        size_t room = d->dir_room ? 2 * d->dir_room : 16;
        struct open_dir *more = reallocarray(d->dirs, room, sizeof(*more));
        if (!more) {
            return -ENOMEM;
        }
        d->dirs = more;
        d->dir_room = room;
    }
    d->dirs[d->dir_count++] = (struct open_dir){d->number, strlen(d->path)};
    return 0;
}

/* Notes a file that has other names. */
static int note_several(struct reader *d)
{
    const struct named is = {.inode = d->seen_count};
    struct stat *more = d->seen;
    if ((d->seen_count & (d->seen_count - 1)) == 0) {
        more = reallocarray(d->seen, d->seen_count ? 2 * d->seen_count : 1, sizeof(*more));
    }
    if (!more) {
        return -ENOMEM;
    }
    d->seen = more;
    d->seen[d->seen_count++] = d->f.st;
    return names_put(d->several, 0, (const char *)&d->number, sizeof(d->number), &is);
}

/* ---- bytes ---- */

static int next_piece(void *ctx, const void **ret_bytes, size_t *ret_len, uint64_t *ret_off)
{
    struct reader *d = ctx;
    int err = d->lent ? advance(d) : 0;
    d->lent = false;
    if (err < 0 || d->r.type != IMAGE_CONTENT) {
        return err < 0 ? err : -ENOENT;
    }
    d->lent = true;
    *ret_bytes = d->r.data;
    *ret_len = d->r.len;
    *ret_off = d->r.offset;
    return 0;
}

/* Passes over what the visitor did not read, and over the attributes that follow. */
static int end_pieces(struct reader *d)
{
    const void *bytes;
    size_t len;
    uint64_t off;
    int err;
    while ((err = next_piece(d, &bytes, &len, &off)) == 0) {
    }
    if (err != -ENOENT) {
        return err;
    }
    return d->r.type == IMAGE_INODE && d->r.number == d->number ? advance(d) : -EBADMSG;
}

/* ---- files ---- */

static int visit(struct reader *d)
{
    int err = d->t->visit(&d->f, d->path, d->t->ctx);
    d->visitor_failed = err < 0;
    return err;
}

/* A regular file whose name has come: the next record says how long it is. */
static int visit_regular(struct reader *d)
{
    const bool has_pieces = d->r.type == IMAGE_CONTENT;
    const bool has_more = d->r.type == IMAGE_INODE && d->r.number == d->number;
    uint64_t size = has_pieces ? d->r.length : has_more ? d->r.size : 0;
    d->f.st.st_size = (off_t)size;
    d->f.st.st_blocks = has_pieces && !d->r.sparse ? (blkcnt_t)((size + 511) / 512) : 0;
    d->f.next_piece = next_piece;
    d->f.piece_ctx = d;
    int err = d->f.st.st_nlink > 1 ? note_several(d) : 0;
    if (err == 0) {
        err = visit(d);
    }
    return err == 0 && (has_pieces || has_more) ? end_pieces(d) : err;
}

/* An inode that the stream has not had. */
static int take_file(struct reader *d)
{
    int err = take_inode(d);
    while (err == 0 && d->r.type == IMAGE_XATTR && d->r.number == d->number) {
        err = take_xattr(d);
    }
    if (err == 0 && d->number != IMAGE_ROOT) {
        err = d->r.type == IMAGE_ENTRY && d->r.number == d->number ? take_path(d) : -EBADMSG;
    }
    if (err == 0 && S_ISREG(d->f.st.st_mode)) {
        return visit_regular(d);
    }
    if (err == 0 && d->f.st.st_nlink > 1) {
        err = note_several(d);
    }
    if (err == 0) {
        err = visit(d);
    }
    return err == 0 && S_ISDIR(d->f.st.st_mode) ? enter(d) : err;
}

/* Another name of a file. */
static int take_link(struct reader *d)
{
    const struct named *is =
        names_find(d->several, 0, (const char *)&d->r.number, sizeof(d->r.number));
    if (!is) {
        return -EBADMSG;
    }
    forget(&d->f);
    d->f.st = d->seen[is->inode];
    int err = take_path(d);
    return err == 0 ? visit(d) : err;
}

static int take_stream(struct reader *d)
{
    int err = advance(d);
    while (err == 0 && d->r.type != IMAGE_END) {
        err = d->r.type == IMAGE_INODE && d->r.number == d->number + 1 ? take_file(d)
              : d->r.type == IMAGE_ENTRY                               ? take_link(d)
                                                                       : -EBADMSG;
    }
    return err;
}

/* Sets the sentence for an error of this side; the visitor and the mount have theirs. */
static void explain(struct reader *d, int err)
{
    if (!d->t->stream_failed && (!d->visitor_failed || err == -EBADMSG)) {
        snprintf(d->t->why, sizeof(d->t->why), "reading the stream of the mount: %s",
                 err == -EBADMSG ? "it is damaged" : strerror(-err));
    }
}

int source_stream(struct source_walk *t, int session)
{
    struct reader d = {.t = t, .f = {.fd = -1}, .path = calloc(1, 1), .path_room = 1};
    int err = d.path ? names_open(&d.several) : -ENOMEM;
    t->why[0] = 0;
    t->stream_failed = false;
    if (err == 0) {
        err = inlet_open(session, &d.in);
    }
    if (err == 0) {
        err = take_stream(&d);
    }
    if (err < 0) {
        explain(&d, err);
    }
    inlet_close(d.in);
    forget(&d.f);
    names_close(d.several);
    free(d.seen);
    free(d.dirs);
    free(d.path);
    return err;
}
