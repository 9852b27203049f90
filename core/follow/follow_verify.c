// SPDX-License-Identifier: Apache-2.0
/*
 * follow_verify: see the header. One walk over what differs adds up, for each inode, what there is
 * more or less; then each of them is compared with what its inode said before and says now.
 */
#include "follow_verify.h"

#include "array.h"
#include "map64.h"
#include "restore_verify.h"
#include "state.h"
#include "tree.h"
#include "tree_item.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* An inode of which something differs. */
struct touched {
    uint64_t ino;
    bool items;               /* its attributes, or items but entries */
    uint64_t gained, lost;    /* entries that lead to it */
    int64_t entries, subdirs; /* in it: so many more, or less */
};
/* An entry that is new, or leads elsewhere. */
struct entered {
    uint64_t dir, ino;
    unsigned type;
};

struct verifying {
    struct state *p;
    const struct tree *was, *is;
    uint8_t *sum;
    struct strbuf *why;
    struct touched *v;
    size_t count, room;
    struct map64 at; /* inode -> place in `v` + 1 */
    struct entered *e;
    size_t entered, e_room;
    struct map64 below; /* directories that are known to be below the root */
    uint64_t last;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct verifying *v, uint64_t ino,
                                                        const char *fmt, ...)
{
    va_list ap;

    strbuf_addf(v->why, "inode %" PRIu64 " ", ino);
    va_start(ap, fmt);
    strbuf_vaddf(v->why, fmt, ap);
    va_end(ap);
    return -EUCLEAN;
}

/* ---- what differs ---- */

/* NULL: no memory. */
static struct touched *touch(struct verifying *v, uint64_t ino)
{
    uint64_t i;

    if (map64_get(&v->at, ino, &i))
        return &v->v[i - 1];
    if (ARRAY_RESERVE(v->v, v->room, v->count + 1) < 0 || map64_put(&v->at, ino, v->count + 1) < 0)
        return NULL;
    v->v[v->count] = (struct touched){.ino = ino};
    return &v->v[v->count++];
}

/* An entry that is there no more, or (`plus`) that is new. */
static int note_entry(struct verifying *v, uint64_t dir, const void *val, size_t len, bool plus)
{
    struct touched *in, *of;
    struct dirent_item d;
    int err = dirent_decode(val, len, &d);

    if (err < 0)
        return err;
    if (!touch(v, dir) || !(of = touch(v, d.ino)))
        return -ENOMEM;
    in = touch(v, dir); /* the array may have moved */
    in->entries += plus ? 1 : -1;
    in->subdirs += d.type != DT_DIR ? 0 : plus ? 1 : -1;
    of->gained += plus;
    of->lost += !plus;
    if (!plus)
        return 0;
    if (d.name[0] == '.' && (d.name_len == 1 || (d.name_len == 2 && d.name[1] == '.')))
        return refuse(v, dir, "has an entry with a name that no entry may have");
    if (ARRAY_RESERVE(v->e, v->e_room, v->entered + 1) < 0)
        return -ENOMEM;
    v->e[v->entered++] = (struct entered){.dir = dir, .ino = d.ino, .type = d.type};
    return 0;
}

static int note_item(struct verifying *v, struct key k, const void *a, size_t alen, const void *b,
                     size_t blen)
{
    struct touched *t;
    int err = 0;

    if (key_type(k) != ITEM_DIRENT) {
        t = touch(v, key_ino(k));
        if (!t)
            return -ENOMEM;
        t->items = true;
        return 0;
    }
    if (a)
        err = note_entry(v, key_ino(k), a, alen, false);
    if (err == 0 && b)
        err = note_entry(v, key_ino(k), b, blen, true);
    return err;
}

/* Is it the same? Numbers of objects may be aliases. */
static bool is_same(const struct tree_item *a, const struct tree_item *b)
{
    return a->item.len == b->item.len && memcmp(a->val, b->val, a->item.len) == 0 &&
           a->object == b->object;
}

static int compare(struct key k, const void *a, size_t alen, const void *b, size_t blen, void *ctx)
{
    struct verifying *v = ctx;
    struct tree_item was, is;
    int err = 0;

    if (state_is_ending(v->p))
        return -ESHUTDOWN;
    if (item_is_counter(k))
        return 0;
    if (a)
        err = tree_item_make(v->p, k, a, alen, &was);
    if (err == 0 && b)
        err = tree_item_make(v->p, k, b, blen, &is);
    if (err < 0 || (a && b && is_same(&was, &is)))
        return err;
    err = note_item(v, k, a, alen, b, blen);
    if (err < 0)
        return err;
    if (a)
        segment_state_take(v->sum, &was.item);
    if (b)
        segment_state_add(v->sum, &is.item);
    if (b && key_ino(k) > v->last)
        v->last = key_ino(k);
    return 0;
}

/* ---- entries ---- */

static int check_entered(struct verifying *v, const struct entered *e)
{
    struct inode in;
    int err = inode_load(v->is, e->ino, &in);

    if (err == -ESTALE)
        return refuse(v, e->dir, "has an entry that leads to inode %" PRIu64 ", which is not there",
                      e->ino);
    if (err < 0)
        return err;
    if (e->ino == NS_ROOT_INO)
        return refuse(v, e->dir, "has an entry that leads to the root directory");
    if (e->type != IFTODT(in.mode))
        return refuse(v, e->dir, "has an entry with another type than its inode, %" PRIu64, e->ino);
    return S_ISDIR(in.mode) && in.parent != e->dir
               ? refuse(v, e->ino, "is a directory that is not where its inode says")
               : 0;
}

/* Goes up from a directory to one that is known to be below the root. */
static int climb(struct verifying *v, uint64_t from)
{
    struct map64 way = MAP64_INIT;
    struct inode in;
    uint64_t ino = from, none;
    int err = 0;

    while (err == 0 && ino != NS_ROOT_INO && !map64_get(&v->below, ino, &none)) {
        if (map64_get(&way, ino, &none)) {
            err = refuse(v, ino, "is a directory that is below itself");
            break;
        }
        err = map64_put(&way, ino, 1);
        if (err == 0)
            err = inode_load(v->is, ino, &in);
        if (err == -ESTALE || (err == 0 && !S_ISDIR(in.mode)))
            err = refuse(v, ino, "is the parent of a directory, and is none");
        ino = in.parent;
    }
    for (size_t at = 0; err == 0 && map64_next(&way, &at, &ino, &none);)
        err = map64_put(&v->below, ino, 1);
    map64_release(&way);
    return err;
}

/* ---- inodes ---- */

/* How an inode was, or is. */
struct side {
    bool there, dir;
    struct inode in;
    uint64_t names;            /* entries that lead to it */
    uint64_t entries, subdirs; /* of a directory */
};

static int get_side(const struct tree *t, uint64_t ino, struct side *ret)
{
    int err = t->root ? inode_load(t, ino, &ret->in) : -ESTALE;

    *ret = (struct side){.there = err == 0, .in = ret->in};
    if (err < 0)
        return err == -ESTALE ? 0 : err;
    ret->dir = S_ISDIR(ret->in.mode);
    ret->names = ino == NS_ROOT_INO ? 0 : ret->dir ? 1 : ret->in.nlink;
    if (ret->dir) {
        ret->entries = ret->in.size;
        ret->subdirs = ret->in.nlink - 2;
    }
    return 0;
}

/* An inode that is gone has no items any more. */
static int check_gone(struct verifying *v, uint64_t ino)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    bool has = false;
    int err = tree_seek(v->is, key_make(ino, 0, 0), &c);

    while (err == 0 && !has && key_ino(tree_cursor_key(&c)) == ino) {
        has = !item_is_counter(tree_cursor_key(&c));
        err = tree_next(&c);
    }
    tree_cursor_end(&c);
    if (has)
        return refuse(v, ino, "has items, and is not there");
    return err == -ENOENT ? 0 : err;
}

static int check_directory(struct verifying *v, const struct touched *t, const struct side *was,
                           const struct side *is)
{
    if (is->in.size != was->entries + (uint64_t)t->entries)
        return refuse(v, t->ino, "is a directory of %" PRIu64 " entries, and has %" PRIu64,
                      is->in.size, was->entries + (uint64_t)t->entries);
    if (is->subdirs != was->subdirs + (uint64_t)t->subdirs || is->in.nlink < 2)
        return refuse(v, t->ino, "is a directory with a wrong link count, %" PRIu32, is->in.nlink);
    if (t->ino == NS_ROOT_INO)
        return is->in.parent == NS_ROOT_INO
                   ? 0
                   : refuse(v, t->ino, "is the root directory, and has another parent");
    if (was->dir && is->in.parent != was->in.parent && t->gained == 0)
        return refuse(v, t->ino, "is a directory that is not where its inode says");
    return t->gained ? climb(v, t->ino) : 0;
}

/* As many entries lead to it as it says. */
static int check_names(struct verifying *v, const struct touched *t, const struct side *was,
                       const struct side *is)
{
    const bool other = was->there && IFTODT(was->in.mode) != IFTODT(is->in.mode);

    if (was->names + t->gained - t->lost != is->names)
        return refuse(v, t->ino,
                      "has %" PRIu64 " entries that lead to it, and should have %" PRIu64,
                      was->names + t->gained - t->lost, is->names);
    if (is->there && is->names == 0 && t->ino != NS_ROOT_INO)
        return refuse(v, t->ino, "has no entry that leads to it");
    return other && t->gained != is->names
               ? refuse(v, t->ino, "has an entry with another type than its inode")
               : 0;
}

static int check_touched(struct verifying *v, const struct touched *t)
{
    struct side was, is;
    int err = get_side(v->was, t->ino, &was);

    if (err == 0)
        err = get_side(v->is, t->ino, &is);
    if (err == 0)
        err = check_names(v, t, &was, &is);
    if (err < 0)
        return err;
    if (!is.there)
        return t->ino == NS_ROOT_INO
                   ? refuse(v, t->ino, "is not there, and should be the root directory")
                   : check_gone(v, t->ino);
    if (t->ino == NS_ROOT_INO && !is.dir)
        return refuse(v, t->ino, "should be the root directory, and is none");
    if (t->items || (t->entries && !is.dir))
        err = restore_verify_inode(v->p, v->is, t->ino, v->why);
    if (err == 0 && is.dir)
        err = check_directory(v, t, &was, &is);
    return err;
}

static int verify(struct verifying *v)
{
    struct side root;
    int err = tree_diff(v->was, v->is, compare, v);

    if (err == 0)
        err = get_side(v->is, NS_ROOT_INO, &root);
    if (err == 0 && !root.there)
        err = refuse(v, NS_ROOT_INO, "is not there, and should be the root directory");
    for (size_t i = 0; i < v->entered && err == 0; i++)
        err = check_entered(v, &v->e[i]);
    for (size_t i = 0; i < v->count && err == 0; i++)
        err = check_touched(v, &v->v[i]);
    return err;
}

int follow_verify(struct state *p, const struct tree *was, const struct tree *is,
                  uint8_t sum[SEGMENT_STATE_LEN], uint64_t *ret_last_ino, struct strbuf *why)
{
    struct verifying v = {.p = p, .was = was, .is = is, .sum = sum, .why = why};
    int err = verify(&v);

    free(v.v);
    free(v.e);
    map64_release(&v.at);
    map64_release(&v.below);
    if (err == 0)
        *ret_last_ino = v.last;
    return err;
}
