// SPDX-License-Identifier: Apache-2.0
/* ino_names: see the header. */
#include "ino_names.h"
#include "array.h"
#include "vnodes.h"
#include "walk_live.h"
#include <stdlib.h>
#include <sys/stat.h>

/* The search looks at so many numbers below that of a file: first few, then more. */
static const uint64_t near[] = {64, 512, 1536, 4096};
/* So many files are looked for in this way in one round; for more a walk over all costs less. */
#define NEAR_FILES 1000

void ino_names_release(struct ino_names *n)
{
    map64_release(&n->first);
    map64_release(&n->wanted);
    free(n->hints);
    *n = (struct ino_names)INO_NAMES_INIT(n->tree, n->room);
}

int ino_names_hint(struct ino_names *n, uint64_t ino, struct key at)
{
    uint64_t first = 0;
    int err = diff_room_take(n->room, sizeof *n->hints + 2 * sizeof(struct map64_slot));

    (void)map64_get(&n->first, ino, &first);
    if (err == 0)
        err = ARRAY_RESERVE(n->hints, n->hints_room, n->count + 1);
    if (err == 0)
        err = map64_put(&n->first, ino, n->count + 1);
    if (err < 0)
        return err;
    n->hints[n->count++] = (struct ino_hint){at, first};
    return 0;
}

/* ---- names that are known ---- */

/* An entry as it is in the tree now. */
struct entry_now {
    uint8_t item[DIRENT_ITEM_MAX];
    struct dirent_item e; /* its name is in `item` */
};

/* Does the hint lead to the inode? 1, 0 or -errno. */
static int check_hint(const struct ino_names *n, uint64_t ino, struct key at, struct entry_now *ret)
{
    size_t len;
    int err = tree_get(n->tree, at, ret->item, sizeof ret->item, &len);

    if (err == -ENOENT)
        return 0;
    if (err == 0)
        err = dirent_decode(ret->item, len, &ret->e);
    return err < 0 ? err : ret->e.ino == ino;
}

static int compare_keys(const void *x, const void *y)
{
    return key_compare(*(const struct key *)x, *(const struct key *)y);
}

/* The keys of the names that the inode has, each once; the caller frees *ret. */
static int sound_hints(const struct ino_names *n, uint64_t ino, struct key **ret, size_t *ret_count)
{
    size_t room = 0, count = 0, kept = 0;
    struct key *v = NULL;
    uint64_t at = 0;
    int err = 0;

    (void)map64_get(&n->first, ino, &at);
    for (; at && err == 0; at = n->hints[at - 1].next) {
        struct entry_now now;
        int found = check_hint(n, ino, n->hints[at - 1].at, &now);
        err = found == 1 ? ARRAY_RESERVE(v, room, count + 1) : found;
        if (found == 1 && err == 0)
            v[count++] = n->hints[at - 1].at;
    }
    if (err < 0) {
        free(v);
        return err;
    }
    if (count)
        qsort(v, count, sizeof *v, compare_keys);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || key_compare(v[i], v[i - 1]))
            v[kept++] = v[i];
    *ret = v;
    *ret_count = kept;
    return 0;
}

/* Notes that `left` names of the inode are to be searched for. -EAGAIN, or another error. */
static int want(struct ino_names *n, uint64_t ino, uint64_t left)
{
    int err = diff_room_take(n->room, 2 * sizeof(struct map64_slot));

    if (err == 0)
        err = map64_put(&n->wanted, ino, left);
    return err < 0 ? err : -EAGAIN;
}

int ino_names_each(struct ino_names *n, uint64_t ino, uint32_t nlink, ino_name_fn *fn, void *ctx)
{
    struct entry_now now;
    struct key *v;
    size_t count;
    int err = sound_hints(n, ino, &v, &count);

    if (err < 0)
        return err;
    if (count < nlink && !n->all)
        err = want(n, ino, nlink);
    for (size_t i = 0; i < count && err == 0; i++) {
        err = check_hint(n, ino, v[i], &now);
        if (err == 1)
            err = fn(v[i], &now.e, ctx);
    }
    free(v);
    return err;
}

/* The entry of a directory. -EAGAIN; -EUCLEAN: it has none. */
static int find_dir(struct ino_names *n, uint64_t dir, struct key *ret_at, struct entry_now *ret)
{
    uint64_t at = 0;

    (void)map64_get(&n->first, dir, &at);
    for (; at; at = n->hints[at - 1].next) {
        int found = check_hint(n, dir, n->hints[at - 1].at, ret);
        if (found == 0)
            continue;
        *ret_at = n->hints[at - 1].at;
        return found < 0 ? found : 0;
    }
    return n->all ? -EUCLEAN : want(n, dir, 1);
}

int ino_names_step(struct ino_names *n, uint64_t *dir, struct path *p)
{
    struct entry_now now;
    struct key at;
    int err = find_dir(n, *dir, &at, &now);

    if (err < 0)
        return err;
    path_prepend(p, now.e.name, now.e.name_len);
    if (p->cut)
        return -ENAMETOOLONG;
    *dir = key_ino(at);
    return 0;
}

int ino_names_climb(struct ino_names *n, uint64_t dir, struct path *p)
{
    int err = 0;

    for (unsigned depth = 0; dir != VFS_TOP_INO && err == 0; depth++)
        err = depth < INO_NAMES_DEPTH ? ino_names_step(n, &dir, p) : -EUCLEAN;
    return err;
}

/* ---- the search ---- */

struct search {
    struct ino_names *n;
    struct rwlock *lock;
    const _Atomic bool *interrupted;
    bool everywhere; /* all of the tree is looked through, each entry once */
    uint64_t only;   /* only the entry of this inode is looked for, which ends the walk; 0: any */
};

static int look_up(void *ctx)
{
    const struct search *s = ctx;

    return s->interrupted && atomic_load(s->interrupted) ? -EINTR : 0;
}

/* Notes an entry of which the inode is wanted. The directory of the entry is wanted next, unless
 * something is known of it. Several names of one inode are counted by the walk over all: another
 * one may come past an entry twice. */
static int take_entry(struct key k, const void *val, size_t len, void *ctx)
{
    struct search *s = ctx;
    struct ino_names *n = s->n;
    uint64_t left, known;
    uint64_t ino;
    int err;

    if (key_type(k) != ITEM_DIRENT || item_is_counter(k))
        return 0;
    ino = dirent_ino(val, len);
    if ((s->only && ino != s->only) || !map64_get(&n->wanted, ino, &left) ||
        (left > 1 && !s->everywhere))
        return 0;
    err = ino_names_hint(n, ino, k);
    if (err == 0 && left > 1)
        err = map64_put(&n->wanted, ino, left - 1);
    else if (err == 0)
        (void)map64_del(&n->wanted, ino);
    if (err == 0 && key_ino(k) != VFS_TOP_INO && !map64_get(&n->first, key_ino(k), &known))
        err = want(n, key_ino(k), 1);
    err = err == -EAGAIN ? 0 : err;
    return err == 0 && s->only ? 1 : err;
}

/* Looks at the entries of that range. */
static int look_through(struct search *s, struct key from, struct key to)
{
    const struct tree *t = s->n->tree;
    struct walk w = {WALK_LIVE(s->lock, t), .from = from,   .to = to, .fn = take_entry,
                     .pause = look_up,      .pause_ctx = s, .ctx = s};
    int err = walk_items(&w);

    return err < 0 ? err : w.hidden ? -EUCLEAN : 0;
}

/* What is wanted, by number. */
struct sought {
    uint64_t ino, parent; /* 0: it is no directory, or its parent is not known */
};

static int compare_sought(const void *x, const void *y)
{
    const struct sought *a = x, *b = y;

    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    return (a->ino > b->ino) - (a->ino < b->ino);
}

/* Copies what is wanted, with the parents of directories, in the order of parents. The caller frees
 * *ret. */
static int list_wanted(struct search *s, struct sought **ret, size_t *ret_count)
{
    const struct tree *t = s->n->tree;
    const struct walk tree = {WALK_LIVE(s->lock, t)};
    uint64_t ino, left;
    size_t at = 0, count = 0;
    struct sought *v = calloc(s->n->wanted.count + 1, sizeof *v);

    if (!v)
        return -ENOMEM;
    while (map64_next(&s->n->wanted, &at, &ino, &left)) {
        struct inode in;
        int found = path_load_inode(&tree, ino, &in);
        if (found < 0) {
            free(v);
            return found;
        }
        v[count++] = (struct sought){ino, found && S_ISDIR(in.mode) ? in.parent : 0};
    }
    qsort(v, count, sizeof *v, compare_sought);
    *ret = v;
    *ret_count = count;
    return 0;
}

/* Looks near one that is no directory, and has one name. */
static int look_near(struct search *s, uint64_t ino)
{
    uint64_t below = 0, left;
    int err = 0;

    s->only = ino;
    for (size_t i = 0; i < sizeof near / sizeof *near && err == 0; i++) {
        uint64_t from = ino > near[i] ? ino - near[i] : 0;
        if (!map64_get(&s->n->wanted, ino, &left) || left > 1)
            break;
        err = look_through(s, (struct key){from << 6, 0}, key_make(ino - below, 63, UINT64_MAX));
        below = near[i] < ino ? near[i] : ino;
    }
    s->only = 0;
    return err;
}

/* Looks where each of these is likely to be. */
static int look_at_likely(struct search *s, const struct sought *v, size_t count)
{
    uint64_t left, tried = 0, passed = 0;
    int err = 0;

    for (size_t i = 0; i < count && err == 0; i++) {
        uint64_t dir = v[i].parent;
        if (!map64_get(&s->n->wanted, v[i].ino, &left))
            continue;
        if (!dir)
            err = tried++ < NEAR_FILES ? look_near(s, v[i].ino) : 0;
        else if (dir != passed)
            err = look_through(s, key_make(dir, ITEM_DIRENT, 0),
                               key_make(dir, ITEM_DIRENT, UINT64_MAX));
        passed = dir ? dir : passed;
        if (err == 0)
            err = look_up(s);
    }
    return err;
}

/* Looks through all of the tree for what is left of these, and gives up what is not there. */
static int look_everywhere(struct search *s, const struct sought *v, size_t count)
{
    uint64_t left;
    size_t missing = 0;
    int err;

    for (size_t i = 0; i < count; i++)
        missing += map64_get(&s->n->wanted, v[i].ino, &left);
    if (missing == 0)
        return 0;
    s->everywhere = true;
    err = look_through(s, (struct key){0, 0}, (struct key){UINT64_MAX, UINT64_MAX});
    s->everywhere = false;
    for (size_t i = 0; i < count && err == 0; i++)
        (void)map64_del(&s->n->wanted, v[i].ino);
    return err;
}

int ino_names_search(struct ino_names *n, struct rwlock *lock, const _Atomic bool *interrupted)
{
    struct search s = {.n = n, .lock = lock, .interrupted = interrupted};
    int err = 0;

    while (n->wanted.count && err == 0) {
        struct sought *v;
        size_t count;
        err = list_wanted(&s, &v, &count);
        if (err < 0)
            return err;
        err = look_at_likely(&s, v, count);
        if (err == 0)
            err = look_everywhere(&s, v, count);
        free(v);
    }
    n->all = !lock && err == 0;
    return err;
}
