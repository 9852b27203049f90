// SPDX-License-Identifier: Apache-2.0
/*
 * source_stream: see the header. The stream is (format/image.h, save_for_program)
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

/* A directory on the way. */
struct on_way {
    uint64_t number;
    size_t path_len;
};

struct feed {
    struct source_walk *t;
    struct inlet *in;
    struct image_record r; /* the next record, which was not used */
    bool used;             /* it is a piece that the visitor has */
    bool visitor_failed;
    struct source_file f; /* the present file */
    uint64_t number;      /* of its inode */
    char *path;
    size_t path_room;
    struct on_way *way;
    size_t way_count, way_room;
    struct names *several; /* numbers of inodes with several names -> index in `seen` */
    struct stat *seen;
    size_t seen_count;
};

static int advance(struct feed *d)
{
    int err = inlet_next(d->in, &d->r);
    return err == -ENOENT ? -EUCLEAN : err; /* nothing is asked for behind the END */
}

/* ---- attributes ---- */

static void forget(struct source_file *f)
{
    source_free_xattrs(f->xattrs);
    free(f->target);
    io_cleanup_close(&f->fd); /* the visitor may have put its data there */
    *f = (struct source_file){.fd = -1};
}

static int take_target(struct feed *d)
{
    d->f.target = strndup(d->r.data, d->r.len);
    return d->f.target ? 0 : -ENOMEM;
}

/* Begins the file that the next record describes. */
static int take_inode(struct feed *d)
{
    const struct image_record *r = &d->r;
    int64_t second = INT64_C(1000000000), rest = (r->mtime % second + second) % second;
    forget(&d->f);
    d->number = r->number;
    d->f.st = (struct stat){.st_ino = r->number,
                            .st_mode = r->mode,
                            .st_nlink = r->several ? 2 : 1,
                            .st_uid = r->uid,
                            .st_gid = r->gid,
                            .st_rdev = r->rdev,
                            .st_size = (off_t)r->size};
    d->f.st.st_mtim = (struct timespec){.tv_sec = (r->mtime - rest) / second, .tv_nsec = rest};
    int err = S_ISLNK(r->mode) ? take_target(d) : 0;
    return err == 0 ? advance(d) : err;
}

static int take_xattr(struct feed *d)
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

/* Makes the path that of a name in a directory on the way. */
static int take_path(struct feed *d)
{
    const struct image_record *r = &d->r;
    while (d->way_count > 0 && d->way[d->way_count - 1].number != r->parent) {
        d->way_count--;
    }
    if (d->way_count == 0) {
        return -EUCLEAN;
    }
    size_t at = d->way[d->way_count - 1].path_len;
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

/* What is in the present directory is below it. */
static int enter(struct feed *d)
{
    if (d->way_count == d->way_room) {
        size_t room = d->way_room ? 2 * d->way_room : 16;
        struct on_way *more = reallocarray(d->way, room, sizeof(*more));
        if (!more) {
            return -ENOMEM;
        }
        d->way = more;
        d->way_room = room;
    }
    d->way[d->way_count++] = (struct on_way){d->number, strlen(d->path)};
    return 0;
}

/* Notes a file that has other names. */
static int note_several(struct feed *d)
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
    struct feed *d = ctx;
    int err = d->used ? advance(d) : 0;
    d->used = false;
    if (err < 0 || d->r.type != IMAGE_CONTENT) {
        return err < 0 ? err : -ENOENT;
    }
    d->used = true;
    *ret_bytes = d->r.data;
    *ret_len = d->r.len;
    *ret_off = d->r.offset;
    return 0;
}

/* Passes over what the visitor did not read, and over the attributes that follow. */
static int end_pieces(struct feed *d)
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
    return d->r.type == IMAGE_INODE && d->r.number == d->number ? advance(d) : -EUCLEAN;
}

/* ---- files ---- */

static int visit(struct feed *d)
{
    int err = d->t->visit(&d->f, d->path, d->t->ctx);
    d->visitor_failed = err < 0;
    return err;
}

/* A regular file whose name has come: the next record says how long it is. */
static int visit_regular(struct feed *d)
{
    const bool has_pieces = d->r.type == IMAGE_CONTENT;
    const bool has_more = d->r.type == IMAGE_INODE && d->r.number == d->number;
    uint64_t size = has_pieces ? d->r.length : has_more ? d->r.size : 0;
    d->f.st.st_size = (off_t)size;
    d->f.st.st_blocks = has_pieces && !d->r.sparse ? (blkcnt_t)((size + 511) / 512) : 0;
    d->f.next_piece = next_piece;
    d->f.piece_ctx = d;
    int err = visit(d);
    return err == 0 && (has_pieces || has_more) ? end_pieces(d) : err;
}

/* An inode that the stream has not had. */
static int take_file(struct feed *d)
{
    int err = take_inode(d);
    while (err == 0 && d->r.type == IMAGE_XATTR && d->r.number == d->number) {
        err = take_xattr(d);
    }
    if (err == 0 && d->number != IMAGE_ROOT) {
        err = d->r.type == IMAGE_ENTRY && d->r.number == d->number ? take_path(d) : -EUCLEAN;
    }
    if (err == 0 && d->f.st.st_nlink > 1) {
        err = note_several(d);
    }
    if (err == 0 && S_ISREG(d->f.st.st_mode)) {
        return visit_regular(d);
    }
    if (err == 0) {
        err = visit(d);
    }
    return err == 0 && S_ISDIR(d->f.st.st_mode) ? enter(d) : err;
}

/* Another name of a file. */
static int take_link(struct feed *d)
{
    const struct named *is =
        names_find(d->several, 0, (const char *)&d->r.number, sizeof(d->r.number));
    if (!is) {
        return -EUCLEAN;
    }
    forget(&d->f);
    d->f.st = d->seen[is->inode];
    int err = take_path(d);
    return err == 0 ? visit(d) : err;
}

static int take_stream(struct feed *d)
{
    int err = advance(d);
    while (err == 0 && d->r.type != IMAGE_END) {
        err = d->r.type == IMAGE_INODE && d->r.number == d->number + 1 ? take_file(d)
              : d->r.type == IMAGE_ENTRY                               ? take_link(d)
                                                                       : -EUCLEAN;
    }
    return err;
}

/* Errors of the mount have a sentence there. */
static int fail(struct feed *d, int err)
{
    if (!d->visitor_failed && (err == -ENOMEM || err == -EUCLEAN)) {
        snprintf(d->t->why, sizeof(d->t->why), "%s",
                 err == -ENOMEM ? "out of memory" : "what the mount gives is damaged");
    }
    return err;
}

int source_stream(struct source_walk *t, int session)
{
    struct feed d = {.t = t, .f = {.fd = -1}, .path = calloc(1, 1), .path_room = 1};
    int err = d.path ? names_open(&d.several) : -ENOMEM;
    t->why[0] = 0;
    if (err == 0) {
        err = inlet_open(session, &d.in);
    }
    if (err == 0) {
        err = take_stream(&d);
    }
    if (err < 0) {
        (void)fail(&d, err);
    }
    inlet_close(d.in);
    forget(&d.f);
    names_close(d.several);
    free(d.seen);
    free(d.way);
    free(d.path);
    return err;
}
