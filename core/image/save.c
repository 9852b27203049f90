// SPDX-License-Identifier: Apache-2.0
/* save: see the header. This file has what whole trees and differences share: the buffer of bytes
 * that were made, and the parts of one inode. */
#include "save_impl.h"
#include "array.h"
#include "command_error.h"
#include "vnodes.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int save_fail(struct save *s, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strbuf_vaddf(&s->why, fmt, ap);
    va_end(ap);
    return err;
}

int save_look(const struct save *s)
{
    if (atomic_load(&s->p->closing))
        return -ESHUTDOWN;
    return s->interrupted && atomic_load(s->interrupted) ? -ECANCELED : 0;
}

/* ---- bytes that were made ---- */

int save_put(struct save *s, const struct image_record *r)
{
    int err = ARRAY_RESERVE(s->bytes, s->room, s->len + IMAGE_FIXED_MAX + r->len);

    if (err < 0)
        return err;
    s->len += image_put(&s->stream, r, s->bytes + s->len);
    if (r->len)
        memcpy(s->bytes + s->len, r->data, r->len);
    s->len += r->len;
    return 0;
}

const uint8_t *save_bytes(const struct save *s, size_t *ret_len)
{
    *ret_len = s->len - s->taken;
    return s->bytes ? s->bytes + s->taken : NULL;
}

void save_taken(struct save *s, size_t len)
{
    s->taken += len;
    if (s->taken == s->len)
        s->taken = s->len = 0;
}

/* ---- the parts of an inode ---- */

static int load_inode(struct save *s, uint64_t ino, struct inode *ret)
{
    READ_GUARD(&s->ns->lock);

    return inode_load(&s->ns->tree, ino, ret);
}

int save_begin_inode(struct save *s, uint64_t ino, uint64_t number)
{
    int err;

    s->now = (struct save_now){
        .part = s->for_program ? SAVE_INODE : SAVE_BYTES, .ino = ino, .number = number};
    err = load_inode(s, ino, &s->now.in);
    if (err == 0)
        err = vfs_getattr(s->p, vfs_node(s->ns->number, ino), &s->now.attr);
    return err;
}

int save_begin_bytes(struct save *s)
{
    struct save_now *n = &s->now;

    if (!S_ISREG(n->attr.mode) || n->attr.size == 0)
        return 0;
    if (n->attr.size > IMAGE_LENGTH_MAX)
        return s->path ? -EFBIG
                       : save_fail(s, -EFBIG, "inode %llu has more bytes than a stream can say",
                                   (unsigned long long)n->ino);
    n->share = s->for_program ? 0 : save_find_known(s);
    return n->share ? 0 : save_open_bytes(s);
}

/* The next piece; after the last one the attributes are next, perhaps again. */
static int put_bytes(struct save *s)
{
    int err = s->now.file ? save_next_piece(s) : -ENOENT;

    if (err != -ENOENT)
        return err;
    save_close_bytes(s);
    s->now.part = s->for_program ? SAVE_FILL : SAVE_INODE;
    return 0;
}

static int load_target(struct save *s, struct image_record *r)
{
    int err = vfs_readlink(s->p, s->now.attr.nodeid, (char *)s->piece, PATH_MAX);

    if (err < 0)
        return err;
    r->data = s->piece;
    r->size = r->len = strlen((const char *)s->piece);
    return 0;
}

/* A file of the base that gets other bytes, and no content, loses those that it has. */
static int put_emptied(struct save *s, const struct image_record *r)
{
    struct image_record empty = *r;

    if (!s->now.of_base || s->now.keeps || r->content || r->size == 0 || !S_ISREG(r->mode))
        return 0;
    empty.size = 0;
    return save_put(s, &empty);
}

static int list_xattrs(struct save *s)
{
    struct save_now *n = &s->now;
    ssize_t len = n->in.flags & INODE_XATTRS
                      ? vfs_listxattr(s->p, n->attr.nodeid, s->xattrs, XATTR_VALUE_MAX, true)
                      : 0;

    if (len < 0)
        return (int)len;
    n->xattr = 0;
    n->xattrs_len = (size_t)len;
    return 0;
}

/* Do the bytes of the present inode come behind its name? */
static bool is_filled_later(const struct save *s)
{
    return s->for_program && S_ISREG(s->now.attr.mode) && s->now.attr.size > 0;
}

/* The attributes of the present inode, without its target. */
static struct image_record inode_record(const struct save *s)
{
    const struct save_now *n = &s->now;
    const struct vfs_attr *a = &n->attr;

    return (struct image_record){.type = IMAGE_INODE,
                                 .number = n->number,
                                 .mode = a->mode,
                                 .several = s->for_program && !S_ISDIR(a->mode) && a->nlink > 1,
                                 .uid = a->uid,
                                 .gid = a->gid,
                                 .rdev = S_ISCHR(a->mode) || S_ISBLK(a->mode) ? a->rdev : 0,
                                 .mtime = a->mtime,
                                 .size = S_ISREG(a->mode) && !n->share ? a->size : 0,
                                 .content = n->content};
}

/* Gives a file that has its name its bytes. */
static int put_fill(struct save *s)
{
    const struct image_record r = inode_record(s);

    s->now.part = SAVE_NOTHING;
    return save_put(s, &r);
}

/* The attributes of the present inode, and whose content it shares. */
static int put_inode(struct save *s)
{
    struct save_now *n = &s->now;
    const struct vfs_attr *a = &n->attr;
    struct image_record r = inode_record(s);
    int err;

    if (is_filled_later(s))
        r.size = r.content = 0;
    err = S_ISLNK(a->mode) ? load_target(s, &r) : put_emptied(s, &r);
    if (err == 0)
        err = save_put(s, &r);
    if (err == 0 && n->share)
        err = save_put(s, &(struct image_record){
                              .type = IMAGE_SHARE, .number = n->number, .content = n->share});
    if (err == 0 && !s->for_program && (n->content || n->share))
        err = save_note_known(s, &n->in, n->number, false);
    if (err == 0 && n->again)
        err = save_put(s, &(struct image_record){.type = IMAGE_CLEAR, .number = n->number});
    if (err == 0 && (n->again || !n->of_base))
        err = list_xattrs(s);
    n->part = SAVE_XATTRS;
    return err;
}

/* The next extended attribute. */
static int put_xattr(struct save *s)
{
    struct save_now *n = &s->now;
    const char *name = s->xattrs + n->xattr;
    ssize_t len;

    if (n->xattr >= n->xattrs_len) {
        n->part = n->blocks ? SAVE_PATCHES : SAVE_NAME;
        return 0;
    }
    n->xattr += strlen(name) + 1;
    len = vfs_getxattr(s->p, n->attr.nodeid, name, s->piece, IMAGE_PIECE_MAX);
    if (len < 0)
        return (int)len;
    return save_put(s, &(struct image_record){.type = IMAGE_XATTR,
                                              .number = n->number,
                                              .name = name,
                                              .name_len = strlen(name),
                                              .data = len ? s->piece : NULL,
                                              .len = (size_t)len});
}

static int put_patches(struct save *s)
{
    int err = save_next_patch(s);

    if (err != -ENOENT)
        return err;
    save_close_bytes(s);
    s->now.part = SAVE_NAME;
    return 0;
}

static int put_name(struct save *s)
{
    struct save_now *n = &s->now;

    n->part = is_filled_later(s) ? SAVE_BYTES : SAVE_NOTHING;
    if (!n->name)
        return 0;
    return save_put(s, &(struct image_record){.type = IMAGE_ENTRY,
                                              .parent = n->parent,
                                              .number = n->number,
                                              .name = n->name,
                                              .name_len = strlen(n->name)});
}

/* Does the part that is next. */
static int step(struct save *s)
{
    switch (s->now.part) {
    case SAVE_BYTES:
        return put_bytes(s);
    case SAVE_INODE:
        return put_inode(s);
    case SAVE_XATTRS:
        return put_xattr(s);
    case SAVE_PATCHES:
        return put_patches(s);
    case SAVE_NAME:
        return put_name(s);
    case SAVE_FILL:
        return put_fill(s);
    default:
        return s->base ? save_changes_next(s) : save_whole_next(s);
    }
}

int save_step(struct save *s)
{
    int err = save_look(s);

    if (err == 0)
        err = step(s);
    if (err < 0 && err != -ENOENT && err != -ENOMEM && s->path && !s->why.len)
        return save_fail(s, err, "%s: %s", *s->path ? s->path : "the top directory",
                         command_usual_sentence(err));
    return err;
}

/* ---- begin and end ---- */

int save_open(struct state *p, struct ns *base, struct ns *ns, const _Atomic bool *interrupted,
              struct save **ret_s)
{
    struct save *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->p = p;
    s->base = base;
    s->ns = ns;
    s->interrupted = interrupted;
    s->top = vfs_node(ns->number, NS_ROOT_INO);
    s->why = (struct strbuf)STRBUF_INIT;
    s->piece = malloc(IMAGE_PIECE_MAX);
    s->xattrs = malloc(XATTR_VALUE_MAX);
    if (!s->piece || !s->xattrs) {
        save_close(s);
        return -ENOMEM;
    }
    *ret_s = s;
    return 0;
}

void save_for_program(struct save *s, uint64_t top)
{
    s->for_program = true;
    s->top = top;
}

int save_begin(struct save *s, const uint8_t *base_digest, const char *label)
{
    int err = ARRAY_RESERVE(s->bytes, s->room, IMAGE_HEAD);

    if (err < 0)
        return err;
    image_begin(&s->stream, s->bytes);
    s->len = IMAGE_HEAD;
    if (s->for_program)
        return 0;
    err = save_put(s, &(struct image_record){.type = IMAGE_BASE,
                                             .digest = base_digest,
                                             .data = *label ? label : NULL,
                                             .len = strlen(label)});
    return err == 0 && s->base ? save_delta_gather(s) : err;
}

int save_end(struct save *s, const uint8_t *digest)
{
    int err = s->for_program
                  ? 0
                  : save_put(s, &(struct image_record){.type = IMAGE_DIGEST, .digest = digest});

    return err < 0 ? err
                   : save_put(
                         s, &(struct image_record){.type = IMAGE_END, .number = s->stream.records});
}

const char *save_why(const struct save *s)
{
    return s->why.s;
}

void save_close(struct save *s)
{
    if (!s)
        return;
    save_close_bytes(s);
    save_whole_release(s);
    save_delta_release(s);
    map64_release(&s->numbers);
    map64_release(&s->known);
    free(s->contents);
    free(s->bytes);
    free(s->piece);
    free(s->xattrs);
    strbuf_release(&s->why);
    free(s);
}
