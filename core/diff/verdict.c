// SPDX-License-Identifier: Apache-2.0
/* verdict: see the header. */
#include "verdict.h"
#include "acl.h"
#include "array.h"
#include "xattr_list.h"
#include <stdlib.h>
#include <sys/stat.h>

#define TARGET_MAX 4096 /* bytes of the target of a symlink */

static int add_ask(struct verdict *v, unsigned attr, struct verdict_ask **ret)
{
    int err = ARRAY_RESERVE(v->asks, v->room, v->count + 1);

    if (err < 0)
        return err;
    *ret = &v->asks[v->count++];
    **ret = (struct verdict_ask){.attr = attr};
    return 0;
}

/* ---- extended attributes ---- */

static unsigned attr_of(const char *name)
{
    return strcmp(name, ACL_ACCESS) && strcmp(name, ACL_DEFAULT) ? DIFF_XATTR : DIFF_ACL;
}

/* Compares the values of one name. Those in two objects are compared later. */
static int compare_values(const struct verdict_sides *s, const struct xattr_copy *a,
                          const struct xattr_copy *b, struct verdict *v)
{
    struct refs *r = s->tree[DELTA_A]->refs;
    struct verdict_ask *ask;
    int err;

    if (!xattr_copies_may_be_same(a, b)) {
        v->attrs |= attr_of(a->name);
        return 0;
    }
    if (object_is_same(r, a->x.object, b->x.object))
        return 0;
    err = add_ask(v, attr_of(a->name), &ask);
    if (err < 0)
        return err;
    file_image_of_object(r, a->x.object, a->x.len, &ask->pair.side[DELTA_A]);
    file_image_of_object(r, b->x.object, b->x.len, &ask->pair.side[DELTA_B]);
    return 0;
}

/* Compares two lists that are in order. */
static int compare_lists(const struct verdict_sides *s, const struct xattr_list *a,
                         const struct xattr_list *b, struct verdict *v)
{
    size_t i = 0, j = 0;
    int err = 0;

    while (err == 0 && (i < a->count || j < b->count)) {
        int order = i == a->count ? 1 : j == b->count ? -1 : strcmp(a->v[i].name, b->v[j].name);
        if (order == 0)
            err = compare_values(s, &a->v[i], &b->v[j], v);
        else
            v->attrs |= attr_of(order < 0 ? a->v[i].name : b->v[j].name);
        i += order <= 0;
        j += order >= 0;
    }
    return err;
}

static int compare_all_xattrs(const struct verdict_sides *s, struct verdict *v)
{
    struct xattr_list l[DELTA_SIDES] = {0};
    int err = 0;

    if (s->record && !(s->record->items & DELTA_XATTRS))
        return 0;
    for (int side = 0; side < DELTA_SIDES && err == 0; side++)
        err = xattr_list_load(s->tree[side], s->ino[side], &s->at[side], &l[side]);
    if (err == 0)
        err = compare_lists(s, &l[DELTA_A], &l[DELTA_B], v);
    xattr_list_release(&l[DELTA_A]);
    xattr_list_release(&l[DELTA_B]);
    return err;
}

/* ---- contents ---- */

static int load_target(const struct tree *t, uint64_t ino, char *text, size_t *ret_len)
{
    struct tree_cursor c;
    int err = tree_seek(t, key_make(ino, ITEM_SYMLINK, 0), &c);

    *ret_len = 0;
    while (err == 0) {
        size_t len;
        const void *val = tree_cursor_value(&c, &len);
        if (tree_cursor_key(&c).hi != key_make(ino, ITEM_SYMLINK, 0).hi)
            break;
        err = *ret_len + len > TARGET_MAX ? -EUCLEAN : 0;
        if (err == 0) {
            memcpy(text + *ret_len, val, len);
            *ret_len += len;
            err = tree_next(&c);
        }
    }
    tree_cursor_end(&c);
    return err == -ENOENT ? 0 : err;
}

static int compare_targets(const struct verdict_sides *s, struct verdict *v)
{
    char text[DELTA_SIDES][TARGET_MAX];
    size_t len[DELTA_SIDES];
    int err = 0;

    for (int side = 0; side < DELTA_SIDES && err == 0; side++)
        err = load_target(s->tree[side], s->ino[side], text[side], &len[side]);
    if (err == 0)
        v->modified =
            len[DELTA_A] != len[DELTA_B] || memcmp(text[DELTA_A], text[DELTA_B], len[DELTA_A]);
    return err;
}

static int compare_offsets(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

    return (a > b) - (a < b);
}

/* Copies the blocks of the record, in order and each once. */
static int copy_blocks(const struct verdict_sides *s, struct file_pair *pair)
{
    size_t n = s->record->blocks, kept = 0;

    pair->blocks = malloc((n + 1) * sizeof *pair->blocks);
    if (!pair->blocks)
        return -ENOMEM;
    memcpy(pair->blocks, s->blocks, n * sizeof *pair->blocks);
    qsort(pair->blocks, n, sizeof *pair->blocks, compare_offsets);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || pair->blocks[i] != pair->blocks[i - 1])
            pair->blocks[kept++] = pair->blocks[i];
    pair->block_count = kept;
    return 0;
}

/* Loads the images of two files whose sizes are equal. */
static int ask_for_files(const struct verdict_sides *s, bool one_base, struct verdict *v)
{
    struct verdict_ask *ask;
    int err = add_ask(v, 0, &ask);

    if (err == 0 && one_base && s->record && s->record->blocks)
        err = copy_blocks(s, &ask->pair);
    for (int side = 0; side < DELTA_SIDES && err == 0; side++)
        err = file_image_load(s->tree[side], s->ino[side], &s->at[side], ask->pair.blocks,
                              ask->pair.block_count, s->room, &ask->pair.side[side]);
    return err;
}

static int compare_files(const struct verdict_sides *s, struct verdict *v)
{
    const struct inode *a = &s->at[DELTA_A], *b = &s->at[DELTA_B];
    bool one_base;

    if (a->size != b->size) {
        v->modified = true;
        return 0;
    }
    one_base = a->valid == b->valid &&
               object_is_same(s->tree[DELTA_A]->refs, a->object, b->object);
    if (one_base &&
        (s->record ? !(s->record->items & DELTA_DATA) : !((a->flags | b->flags) & INODE_EXTENTS)))
        return 0;
    return ask_for_files(s, one_base, v);
}

/* ---- the whole ---- */

/* Do the times of two directories follow from their entries? A directory of which an entry came or
 * went has one time of modification and change, also if the entry is gone again. */
static bool times_follow(const struct verdict_sides *s)
{
    const struct inode *a = &s->at[DELTA_A], *b = &s->at[DELTA_B];
    const struct inode *last = a->ctime > b->ctime ? a : b;

    return S_ISDIR(a->mode) &&
           (!s->record || s->record->items & DELTA_ENTRIES || last->mtime == last->ctime);
}

static unsigned compare_inodes(const struct verdict_sides *s)
{
    const struct inode *a = &s->at[DELTA_A], *b = &s->at[DELTA_B];
    bool follows = times_follow(s);

    return (a->mode != b->mode ? DIFF_MODE : 0) |
           (a->uid != b->uid || a->gid != b->gid ? DIFF_OWNER : 0) |
           (a->mtime != b->mtime && !follows ? DIFF_TIMES : 0);
}

int verdict_begin(const struct verdict_sides *s, struct verdict *ret)
{
    uint32_t type = s->at[DELTA_A].mode & S_IFMT;
    int err = compare_all_xattrs(s, ret);

    ret->attrs |= compare_inodes(s);
    if (err == 0 && type == S_IFREG)
        err = compare_files(s, ret);
    else if (err == 0 && type == S_IFLNK)
        err = compare_targets(s, ret);
    else if (type == S_IFCHR || type == S_IFBLK)
        ret->modified = s->at[DELTA_A].rdev != s->at[DELTA_B].rdev;
    return err;
}

/* Compares bytes that were asked for. Those of which some cannot be read count as different. */
static int answer(struct state *p, struct verdict *v, const struct verdict_ask *ask,
                  const _Atomic bool *interrupted)
{
    int differs = file_pair_differs(p, &ask->pair, interrupted);

    if (differs == -EINTR || differs == -ENOMEM)
        return differs;
    v->unread |= differs < 0;
    if (differs && ask->attr)
        v->attrs |= ask->attr;
    else if (differs)
        v->modified = true;
    return 0;
}

int verdict_end(struct state *p, struct verdict *v, const _Atomic bool *interrupted)
{
    int err = 0;

    for (size_t i = 0; i < v->count && err == 0; i++)
        err = answer(p, v, &v->asks[i], interrupted);
    if (v->modified)
        v->attrs &= ~(unsigned)DIFF_TIMES;
    return err;
}

void verdict_release(struct refs *r, struct verdict *v)
{
    for (size_t i = 0; i < v->count; i++)
        file_pair_release(r, &v->asks[i].pair);
    free(v->asks);
    *v = (struct verdict){0};
}
