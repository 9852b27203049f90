// SPDX-License-Identifier: Apache-2.0
/*
 * save_changes: the records of a difference, in stages:
 *
 *     FIND     the root, and inodes of the base that later records name
 *     NEW      inodes that the base has not, without names
 *     CHANGE   inodes that stay get other attributes and bytes
 *     UNLINK   inodes that stay lose names
 *     REMOVE   what does not stay goes, with all below it
 *     ENTRY    new names, a directory's own before those in it
 *
 * So a new file can have the bytes of a file that changes or goes, names can be exchanged, and what
 * is moved out of a directory survives it.
 */
#include "save_impl.h"
#include "vnodes.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The number in the stream. -ESTALE: the stream has none, as the numbers of the two trees are not
 * of one lineage. */
static int number_of(struct save *s, uint64_t ino, uint64_t *ret)
{
    if (ino == NS_ROOT_INO) {
        *ret = IMAGE_ROOT;
        return 0;
    }
    return map64_get(&s->numbers, ino, ret)
               ? 0
               : save_fail(s, -ESTALE,
                           "inode %llu is another file in the base: send the whole "
                           "namespace",
                           (unsigned long long)ino);
}

static int put_name_record(struct save *s, enum image_type type, const struct delta_name *n,
                           uint64_t ino)
{
    struct image_record r = {.type = type, .name = delta_text(&s->delta, n), .name_len = n->len};
    int err = number_of(s, n->parent, &r.parent);

    if (err == 0 && ino)
        err = number_of(s, ino, &r.number);
    return err < 0 ? err : save_put(s, &r);
}

/* ---- FIND ---- */

static int begin_root(struct save *s)
{
    const struct delta_inode *d = delta_find(&s->delta, NS_ROOT_INO);
    int err = save_begin_inode(s, NS_ROOT_INO, IMAGE_ROOT);

    s->now.of_base = s->now.keeps = true;
    s->now.again = d && d->items & DELTA_XATTRS;
    return err;
}

static int put_find(struct save *s, const struct save_find *f)
{
    char name[ITEM_NAME_MAX];
    uint8_t item[DIRENT_ITEM_MAX];
    struct image_record r = {.type = IMAGE_FIND, .name = name};
    struct dirent_item d;
    size_t len;
    int err;
    {
        READ_GUARD(&s->base->lock);
        err = tree_get(&s->base->tree, f->at, item, sizeof item, &len);
    }
    if (err == 0)
        err = dirent_decode(item, len, &d);
    if (err == 0)
        err = number_of(s, f->parent, &r.parent);
    if (err == 0)
        err = number_of(s, f->ino, &r.number);
    if (err < 0)
        return err == -ENOENT ? -EUCLEAN : err;
    memcpy(name, d.name, d.name_len);
    r.name_len = d.name_len;
    return save_put(s, &r);
}

/* ---- NEW and CHANGE ---- */

static int put_new(struct save *s, const struct delta_inode *d)
{
    uint64_t number = s->stream.inodes + 1, have;
    int err;

    if (!d->in[DELTA_B] || save_stays(d))
        return 0;
    if (map64_get(&s->numbers, d->ino, &have))
        return save_fail(s, -ESTALE,
                         "inode %llu is another file in the base: send the whole "
                         "namespace",
                         (unsigned long long)d->ino);
    err = map64_put(&s->numbers, d->ino, number);
    if (err == 0)
        err = save_begin_inode(s, d->ino, number);
    return err < 0 ? err : save_begin_bytes(s);
}

static int compare_offsets(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;

    return (*a > *b) - (*a < *b);
}

/* Some blocks differ, all else is as it was, and the file did not get shorter. */
static int begin_patches(struct save *s, const struct delta_inode *d)
{
    uint64_t *blocks = s->delta.blocks + d->first_block;
    size_t kept = 0;

    qsort(blocks, d->blocks, sizeof *blocks, compare_offsets);
    for (size_t i = 0; i < d->blocks; i++)
        if (kept == 0 || blocks[kept - 1] != blocks[i])
            blocks[kept++] = blocks[i];
    s->now.keeps = true;
    s->now.blocks = blocks;
    s->now.block_count = kept;
    s->now.part = SAVE_INODE;
    return save_open_bytes(s);
}

static int put_changed(struct save *s, const struct delta_inode *d)
{
    const struct inode *a = &d->at[DELTA_A], *b = &d->at[DELTA_B];
    uint64_t number;
    int err;

    if (d->ino == NS_ROOT_INO || !save_stays(d) || !map64_get(&s->numbers, d->ino, &number))
        return 0;
    err = save_begin_inode(s, d->ino, number);
    s->now.of_base = true;
    s->now.again = d->items & DELTA_XATTRS;
    s->now.keeps = !save_bytes_differ(s, d);
    if (err < 0 || s->now.keeps)
        return err;
    if (d->blocks && a->size <= b->size && a->valid == b->valid &&
        object_is_same(s->p->refs, a->object, b->object))
        return begin_patches(s, d);
    return save_begin_bytes(s);
}

/* ---- names ---- */

static int put_unlink(struct save *s, const struct delta_name *n)
{
    const uint64_t ino = n->ino[DELTA_A];

    return ino && save_ino_stays(s, ino) ? put_name_record(s, IMAGE_UNLINK, n, ino) : 0;
}

static int put_remove(struct save *s, const struct delta_name *n)
{
    const uint64_t ino = n->ino[DELTA_A];

    return ino && !save_ino_stays(s, ino) && save_ino_stays(s, n->parent)
               ? put_name_record(s, IMAGE_REMOVE, n, 0)
               : 0;
}

static int load(struct save *s, uint64_t ino, struct inode *ret)
{
    READ_GUARD(&s->ns->lock);

    return inode_load(&s->ns->tree, ino, ret);
}

/* Notes which directories have a name to come. */
static int begin_entries(struct save *s)
{
    struct inode in;
    int err = 0;

    for (size_t i = 0; i < s->delta.name_count && err == 0; i++) {
        uint64_t ino = s->delta.names[i].ino[DELTA_B];

        if (!ino)
            continue;
        err = load(s, ino, &in);
        if (err == 0 && S_ISDIR(in.mode))
            err = map64_put(&s->pending, ino, i + 1);
    }
    return err;
}

/* The name to come of a directory above the name `i`; *ret is `i` if there is none. */
static int find_above(struct save *s, size_t i, size_t *ret)
{
    uint64_t dir = s->delta.names[i].parent, at;
    struct inode in;
    int err = 0;

    *ret = i;
    for (unsigned depth = 0; err == 0 && dir != NS_ROOT_INO; depth++) {
        if (map64_get(&s->pending, dir, &at)) {
            *ret = at - 1;
            return 0;
        }
        if (map64_get(&s->attached, dir, &at))
            break;
        err = depth < INO_NAMES_DEPTH ? load(s, dir, &in) : -EUCLEAN;
        dir = in.parent;
    }
    return err < 0 ? err : map64_put(&s->attached, s->delta.names[i].parent, 1);
}

/* Puts the name `i`, or one that has to come before it. *ret_done: it was that name. */
static int put_entry(struct save *s, size_t i, bool *ret_done)
{
    const struct delta_name *n;
    size_t above = i;
    uint64_t at;
    int err;

    do {
        i = above;
        err = find_above(s, i, &above);
    } while (err == 0 && above != i);
    n = &s->delta.names[i];
    *ret_done = i == s->next;
    if (err == 0)
        err = put_name_record(s, IMAGE_ENTRY, n, n->ino[DELTA_B]);
    if (err == 0 && map64_get(&s->pending, n->ino[DELTA_B], &at)) {
        (void)map64_del(&s->pending, n->ino[DELTA_B]);
        err = map64_put(&s->attached, n->ino[DELTA_B], 1);
    }
    return err;
}

/* The next name, unless it was put already: of a directory, before one below it. */
static int put_next_entry(struct save *s)
{
    const uint64_t ino = s->delta.names[s->next].ino[DELTA_B];
    bool done = true;
    uint64_t at;
    int err = 0;

    if (ino && (!map64_get(&s->attached, ino, &at) || map64_get(&s->pending, ino, &at)))
        err = put_entry(s, s->next, &done);
    s->next += done;
    return err;
}

/* ---- stages ---- */

/* How many steps a stage has. */
static size_t steps_of(const struct save *s)
{
    switch (s->stage) {
    case STAGE_FIND:
        return 1 + s->find_count;
    case STAGE_NEW:
    case STAGE_CHANGE:
        return s->delta.count;
    default:
        return s->delta.name_count;
    }
}

static int step(struct save *s)
{
    size_t i = s->next++;

    switch (s->stage) {
    case STAGE_FIND:
        return i == 0 ? begin_root(s) : put_find(s, &s->finds[i - 1]);
    case STAGE_NEW:
        return put_new(s, &s->delta.inodes[i]);
    case STAGE_CHANGE:
        return put_changed(s, &s->delta.inodes[i]);
    case STAGE_UNLINK:
        return put_unlink(s, &s->delta.names[i]);
    case STAGE_REMOVE:
        return put_remove(s, &s->delta.names[i]);
    default:
        s->next = i;
        return put_next_entry(s);
    }
}

int save_changes_next(struct save *s)
{
    while (s->next == steps_of(s)) {
        int err = 0;

        if (s->stage == STAGE_ENTRY)
            return -ENOENT;
        s->stage++;
        s->next = 0;
        if (s->stage == STAGE_ENTRY)
            err = begin_entries(s);
        if (err < 0)
            return err;
    }
    return step(s);
}
