// SPDX-License-Identifier: Apache-2.0
/*
 * save_delta: what a difference is made of. The two trees say what differs (diff/delta.h). Then
 * each inode of the base is found that the stream will name: by one of its names, and those of the
 * directories above it.
 */
#include "save_impl.h"
#include "array.h"
#include "diff.h"
#include "vnodes.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ROUNDS 3       /* searches for names */
#define SCAN_ONCE 1000 /* items that are looked at under the lock */

/* ---- what stays ---- */

bool save_stays(const struct delta_inode *d)
{
    return d->in[DELTA_A] && d->in[DELTA_B] && d->same && !(d->items & DELTA_TARGET) &&
           !((d->at[DELTA_A].mode ^ d->at[DELTA_B].mode) & S_IFMT);
}

bool save_ino_stays(const struct save *s, uint64_t ino)
{
    const struct delta_inode *d = delta_find(&s->delta, ino);

    return !d || save_stays(d);
}

bool save_bytes_differ(struct save *s, const struct delta_inode *d)
{
    const struct inode *a = &d->at[DELTA_A], *b = &d->at[DELTA_B];

    return S_ISREG(b->mode) &&
           (d->items & DELTA_DATA || a->size != b->size || a->valid != b->valid ||
            !object_is_same(s->p->refs, a->object, b->object));
}

/* ---- inodes of the base ---- */

/* The first name of an inode. */
static int take_name(struct key at, const struct dirent_item *e, void *ctx)
{
    struct save_find *f = ctx;

    (void)e;
    f->at = at;
    f->parent = key_ino(at);
    return 1;
}

/* Finds a name of the inode f->ino. -EAGAIN: it has to be searched. */
static int name_one(struct save *s, struct save_find *f)
{
    struct inode in;
    int err;
    READ_GUARD(&s->base->lock);

    err = inode_load(&s->base->tree, f->ino, &in);
    if (err == 0)
        err = ino_names_each(&s->names, f->ino, S_ISDIR(in.mode) ? 1 : in.nlink, take_name, f);
    return err == 1 ? 0 : err == 0 ? -EUCLEAN : err;
}

static int add_find(struct save *s, const struct save_find *f)
{
    int err = diff_room_take(&s->budget, sizeof *f);

    if (err == 0)
        err = ARRAY_RESERVE(s->finds, s->finds_room, s->find_count + 1);
    if (err == 0)
        err = map64_put(&s->numbers, f->ino, IMAGE_ROOT + 1 + s->find_count);
    if (err == 0)
        s->finds[s->find_count++] = *f;
    return err;
}

/* Adds an inode of the base, behind the directories above it. -EAGAIN: a name has to be searched,
 * and nothing is added. */
static int find(struct save *s, uint64_t ino)
{
    struct save_find *way = NULL;
    size_t count = 0, room = 0;
    uint64_t number;
    int err = 0;

    while (err == 0 && ino != NS_ROOT_INO && !map64_get(&s->numbers, ino, &number)) {
        err = count < INO_NAMES_DEPTH ? ARRAY_RESERVE(way, room, count + 1) : -EUCLEAN;
        if (err < 0)
            break;
        way[count] = (struct save_find){.ino = ino};
        err = name_one(s, &way[count]);
        ino = way[count++].parent;
    }
    while (err == 0 && count > 0)
        err = add_find(s, &way[--count]);
    free(way);
    return err;
}

/* Does a record about an inode that stays come? */
static bool is_changed(struct save *s, const struct delta_inode *d)
{
    const struct inode *a = &d->at[DELTA_A], *b = &d->at[DELTA_B];

    return d->items & DELTA_XATTRS || a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
           a->rdev != b->rdev || a->mtime != b->mtime || save_bytes_differ(s, d);
}

/* Finds what the records of one name name. *missing: names have to be searched. */
static int find_of_name(struct save *s, const struct delta_name *n, bool *missing)
{
    const uint64_t a = n->ino[DELTA_A], b = n->ino[DELTA_B];
    const bool a_stays = a && save_ino_stays(s, a), b_stays = b && save_ino_stays(s, b);
    const bool parent_stays = save_ino_stays(s, n->parent);
    /* the name of what goes with its directory is not spoken of */
    const uint64_t which[] = {
        a_stays || (a && parent_stays) || (b && parent_stays) ? n->parent : 0,
        a_stays ? a : 0,
        b_stays ? b : 0,
    };

    for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
        int err = which[i] ? find(s, which[i]) : 0;

        if (err < 0 && err != -EAGAIN)
            return err;
        *missing |= err < 0;
    }
    return 0;
}

/* Finds all of which a name is known. *missing: others have to be searched. */
static int find_all(struct save *s, bool *missing)
{
    int err = 0;

    *missing = false;
    for (size_t i = 0; i < s->delta.count && err == 0; i++) {
        const struct delta_inode *d = &s->delta.inodes[i];

        err = save_look(s);
        if (err == 0 && save_stays(d) && is_changed(s, d))
            err = find(s, d->ino);
        *missing |= err == -EAGAIN;
        err = err == -EAGAIN ? 0 : err;
    }
    for (size_t i = 0; i < s->delta.name_count && err == 0; i++)
        err = find_of_name(s, &s->delta.names[i], missing);
    return err;
}

/* Calls `fn` until it finds all; in between what it misses is searched. */
static int until_found(struct save *s, int (*fn)(struct save *s, bool *missing))
{
    bool missing = true;
    int err = fn(s, &missing);

    for (int round = 0; err == 0 && missing && round < ROUNDS; round++) {
        err = ino_names_search(&s->names, &s->base->lock, s->interrupted);
        if (err == 0)
            err = fn(s, &missing);
    }
    return err == -EINTR ? -ECANCELED : err == 0 && missing ? -EUCLEAN : err;
}

/* ---- contents that the base has ---- */

/* The object of a file that has one and nothing else; 0. */
static uint64_t plain_object(struct save *s, const struct inode *in)
{
    return S_ISREG(in->mode) && in->object && !(in->flags & (INODE_EXTENTS | INODE_HOLES))
               ? refs_resolve(s->p->refs, in->object)
               : 0;
}

/* The objects of new bytes that something else names, too: so the base may have them. */
static int want_objects(struct save *s, struct map64 *wanted)
{
    int err = 0;

    for (size_t i = 0; i < s->delta.count && err == 0; i++) {
        const struct delta_inode *d = &s->delta.inodes[i];
        uint64_t object = d->in[DELTA_B] ? plain_object(s, &d->at[DELTA_B]) : 0;
        struct entry e;

        if (!object || (save_stays(d) && !save_bytes_differ(s, d)) ||
            refs_entry(s->p->refs, object, true, &object, &e) < 0 || e.count < 2)
            continue;
        err = diff_room_take(&s->budget, 2 * sizeof(struct map64_slot));
        if (err == 0)
            err = map64_put(wanted, object, 0);
    }
    return err;
}

/* Has the inode of the base other bytes in the new tree? */
static bool is_passing(struct save *s, uint64_t ino)
{
    const struct delta_inode *d = delta_find(&s->delta, ino);

    return d && save_stays(d) && save_bytes_differ(s, d);
}

/* Notes that an inode of the base has a wanted object. One that keeps it is better. */
static int note_wanted(struct save *s, struct map64 *wanted, uint64_t ino, const struct inode *in)
{
    uint64_t object = plain_object(s, in), have;

    if (!object || !map64_get(wanted, object, &have) || (have && !is_passing(s, have)))
        return 0;
    return map64_put(wanted, object, ino);
}

/* Looks at the next items of the base, from *at on. -ENOENT: there are no more. */
static int scan_some(struct save *s, struct map64 *wanted, struct key *at)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct inode in;
    int err;
    READ_GUARD(&s->base->lock);

    err = tree_seek(&s->base->tree, *at, &c);
    for (size_t i = 0; i < SCAN_ONCE && err == 0; i++) {
        size_t len;
        const void *val = tree_cursor_value(&c, &len);
        const struct key k = tree_cursor_key(&c);

        if (key_type(k) == ITEM_INODE)
            err = inode_decode(val, len, &in);
        if (err == 0 && key_type(k) == ITEM_INODE)
            err = note_wanted(s, wanted, key_ino(k), &in);
        if (err == 0)
            err = tree_next(&c);
        if (err == 0)
            *at = tree_cursor_key(&c);
    }
    tree_cursor_end(&c);
    return err;
}

/* Finds the inodes that were found to have wanted objects. */
static int find_wanted(struct save *s, const struct map64 *wanted, bool *missing)
{
    uint64_t object, ino;
    size_t at = 0;
    int err = 0;

    *missing = false;
    while (err == 0 && map64_next(wanted, &at, &object, &ino)) {
        err = ino ? find(s, ino) : 0;
        *missing |= err == -EAGAIN;
        err = err == -EAGAIN ? 0 : err;
    }
    return err;
}

/* The contents of the inodes that were found are known. */
static int note_shares(struct save *s, const struct map64 *wanted)
{
    uint64_t object, ino, number = 0;
    size_t at = 0;
    struct inode in;
    int err = 0;

    while (err == 0 && map64_next(wanted, &at, &object, &ino)) {
        if (!ino || !map64_get(&s->numbers, ino, &number))
            continue;
        {
            READ_GUARD(&s->base->lock);
            err = inode_load(&s->base->tree, ino, &in);
        }
        if (err == 0)
            err = save_note_known(s, &in, number, is_passing(s, ino));
    }
    return err;
}

/* Finds files of the base with bytes that are new in other files. */
static int find_shares(struct save *s)
{
    struct map64 wanted = MAP64_INIT;
    struct key at = {0, 0};
    bool missing = true;
    int err = want_objects(s, &wanted);

    while (err == 0 && wanted.count) {
        err = save_look(s);
        if (err == 0)
            err = scan_some(s, &wanted, &at);
    }
    err = err == -ENOENT ? 0 : err;
    if (err == 0)
        err = find_wanted(s, &wanted, &missing);
    for (int round = 0; err == 0 && missing && round < ROUNDS; round++) {
        err = ino_names_search(&s->names, &s->base->lock, s->interrupted);
        if (err == 0)
            err = find_wanted(s, &wanted, &missing);
    }
    if (err == 0)
        err = missing ? -EUCLEAN : note_shares(s, &wanted);
    map64_release(&wanted);
    return err == -EINTR ? -ECANCELED : err;
}

/* ---- the whole ---- */

/* Both trees are frozen, but sealing may change numbers of objects in them. */
static int gather(struct save *s)
{
    struct ns *low = s->base->number < s->ns->number ? s->base : s->ns;
    struct ns *high = low == s->base ? s->ns : s->base;
    READ_GUARD(&low->lock);
    READ_GUARD(&high->lock);

    return delta_gather(&s->base->tree, &s->ns->tree, 0, s->interrupted, &s->delta);
}

/* What differs already leads to names. */
static int note_hints(struct save *s)
{
    int err = 0;

    for (size_t i = 0; i < s->delta.name_count && err == 0; i++)
        if (s->delta.names[i].ino[DELTA_A])
            err = ino_names_hint(&s->names, s->delta.names[i].ino[DELTA_A],
                                 s->delta.names[i].at[DELTA_A]);
    return err;
}

int save_delta_gather(struct save *s)
{
    int err;

    s->budget.left = DIFF_MEMORY;
    s->delta = (struct delta)DELTA_INIT(&s->budget);
    s->names = (struct ino_names)INO_NAMES_INIT(&s->base->tree, &s->budget);
    err = gather(s);
    if (err == 0)
        err = note_hints(s);
    if (err == 0)
        err = until_found(s, find_all);
    if (err == 0)
        err = find_shares(s);
    return err == -EINTR ? -ECANCELED
           : err == -E2BIG
               ? save_fail(s, err, "the difference is too large: send the whole namespace")
               : err;
}

void save_delta_release(struct save *s)
{
    if (!s->base)
        return;
    delta_release(&s->delta);
    ino_names_release(&s->names);
    free(s->finds);
    map64_release(&s->pending);
    map64_release(&s->attached);
}
