// SPDX-License-Identifier: Apache-2.0
/*
 * check_tree: is the content of one tree a tree of directories? Its items are scanned twice: the
 * first scan collects all inodes (struct node, 24 bytes each), and the second compares every entry
 * and every attribute with them. check_namespaces.c calls this for each tree.
 *
 * If a page is damaged, a missing item proves nothing. Then only contradictions between existing
 * items are reported, and no repair is offered.
 */
#include "array.h"
#include "check_impl.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* paths that are searched for in one tree at most: each search scans a part of it */
#define PATHS_SEARCHED 128

/* Of a directory, during `climb`: passed on the present way up; known to end at the root, or to
 * have been reported. */
enum mark { MARK_NONE, MARK_PASSED, MARK_KNOWN };

/* An inode that the first scan found. */
struct node {
    uint64_t ino : VFS_INO_BITS, type : 4, mark : 2;
    uint64_t parent; /* of a directory: first what its inode says, then where its entry was found */
    uint32_t nlink;  /* what the inode says */
    uint32_t names;  /* entries that lead to it, found so far */
};

/* What the second scan has seen of the items of one inode. */
struct group {
    uint64_t ino;
    bool has_inode;
    struct inode in;
    uint64_t items, entries, subdirs;
    uint64_t pieces, target;  /* of a symlink: items and bytes */
    bool gap;                 /* a piece is missing or too short */
    uint64_t extents, beyond; /* extents; of these at or behind the end of the file */
    uint64_t own, hides;      /* bytes of extents; bytes of the base that extents hide */
    uint64_t xattrs, lost;    /* extended attributes; of these where getting them finds nothing */
    struct key lost_at;       /* the last of those */
    struct check_names names; /* names under hashes of higher levels, and the counters of these */
    struct check_subblocks subblocks;
    struct check_holes holes;
};

/* The check of one tree. */
struct tree_check {
    struct check *c;
    struct check_tree t;
    bool orphans; /* the tree of unlinked inodes: nothing has names */
    bool hidden;  /* a part of it cannot be read */
    struct node *node;
    size_t count, room;
    unsigned searched;
    uint64_t max;   /* the highest inode number */
    uint64_t named; /* the highest that an entry leads to, where it does not exist */
    struct usage usage;
    struct group g;
    int err;
};

/* ---- the first scan ---- */

/* Add an inode. The root directory counts as named, since no entry leads to it. */
static int node_push(struct tree_check *t, uint64_t ino, const struct inode *in)
{
    if (ARRAY_RESERVE(t->node, t->room, t->count + 1) < 0)
        return -ENOMEM;
    t->node[t->count++] = (struct node){.ino = ino & KEY_INO_MAX,
                                        .type = IFTODT(in->mode),
                                        .parent = in->parent,
                                        .nlink = in->nlink,
                                        .names = ino == NS_ROOT_INO};
    return 0;
}

/* First scan: called for each item. Items are in the order of inode numbers, so the last one seen
 * is the highest. */
static int collect(struct key k, const uint8_t *val, size_t len, void *ctx)
{
    struct tree_check *t = ctx;
    struct inode in;

    t->max = key_ino(k);
    usage_add(&t->usage, item_usage(k, val, len));
    if (key_type(k) == ITEM_INODE && inode_decode(val, len, &in) == 0)
        t->err = node_push(t, key_ino(k), &in);
    return t->err < 0;
}

/* Find an inode by binary search. NULL: it does not exist. */
static struct node *node_find(struct tree_check *t, uint64_t ino)
{
    size_t low = 0, high = t->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->node[mid].ino < ino)
            low = mid + 1;
        else
            high = mid;
    }
    return low < t->count && t->node[low].ino == ino ? &t->node[low] : NULL;
}

/* ---- reporting ---- */

/* The text that names the inode in a finding. */
static void where_inode(struct tree_check *t, uint64_t ino, char out[CHECK_PATH])
{
    if (t->orphans)
        (void)snprintf(out, CHECK_PATH, "unlinked inode %" PRIu64, ino);
    else
        check_where_inode(t->c, &t->t, ino, t->searched++ < PATHS_SEARCHED, out);
}

/* Offer a change to repair, but not for a tree with hidden parts or for unlinked inodes. */
__attribute__((format(printf, 5, 6))) static void offer(struct tree_check *t, struct fix fix,
                                                        const char *what, const char *where,
                                                        const char *fmt, ...)
{
    va_list args;

    fix.root = t->t.root;
    if (t->hidden || t->orphans)
        return;
    va_start(args, fmt);
    check_vfix(t->c, &fix, what, where, fmt, args);
    va_end(args);
}

/* ---- the second scan: entries ---- */

static bool is_dots(const struct dirent_item *d)
{
    return d->name[0] == '.' && (d->name_len == 1 || (d->name_len == 2 && d->name[1] == '.'));
}

/* Is this entry a second name of a directory? The first is the one where the directory's inode says
 * that it is. */
static bool is_second_name(struct tree_check *t, struct key k, const struct node *n)
{
    struct key other;

    return n->names > 0 || (n->parent != key_ino(k) && node_find(t, n->parent) &&
                            check_entry_key(t->c, t->t.root, n->parent, n->ino, &other));
}

/* May an entry be moved to a place where it is found? Only if its inode exists and, for a
 * directory, if it has no other name, which would be the better place. */
static bool may_move(struct tree_check *t, struct key k, const struct dirent_item *d)
{
    const struct node *n = node_find(t, d->ino);

    return n && (n->type != DT_DIR || !is_second_name(t, k, n));
}

/* Report an entry that a lookup of its name does not find: a name that no entry may have, a second
 * entry of one name, or a place that does not fit the name's hash. */
static void check_name(struct tree_check *t, struct key k, const struct dirent_item *d,
                       const struct check_place *place, const char *where)
{
    struct check *c = t->c;
    struct fix lost = {.kind = FIX_LOST, .key = k, .ino = d->ino};

    if (is_dots(d)) {
        check_found(c, true, "entry", where, "no entry may have this name");
        if (may_move(t, k, d))
            offer(t, lost, "entry", where, "it is in lost+found of its namespace, as #%" PRIu64,
                  d->ino);
    } else if (place->repeated) {
        check_found(c, true, "entry", where, "the directory has the same name twice");
        if (may_move(t, k, d))
            offer(t, lost, "entry", where,
                  "the second one is in lost+found of its namespace, as #%" PRIu64, d->ino);
    } else if (!place->found) {
        check_found(c, true, "entry", where, "it stands where a lookup does not find it");
        if (may_move(t, k, d))
            offer(t, (struct fix){.kind = FIX_REHOME, .key = k, .ino = d->ino}, "entry", where,
                  "it stands where a lookup finds it");
    }
}

/* Check an entry that leads to a directory: a directory has exactly one name, and its inode says
 * in which directory that is. */
static void check_dir_entry(struct tree_check *t, struct key k, struct node *n, const char *where)
{
    uint64_t dir = key_ino(k);

    if (is_second_name(t, k, n)) {
        check_found(t->c, true, "directory", where,
                    "inode %" PRIu64 " is a directory that has another name already",
                    (uint64_t)n->ino);
        if (t->c->flags & REPAIR_REMOVE_DANGLING)
            offer(t, (struct fix){.kind = FIX_UNLINK, .key = k, .ino = n->ino}, "directory", where,
                  "this name is removed, the other stays");
        return;
    }
    n->names = 1;
    if (n->parent == dir)
        return;
    check_found(t->c, true, "directory", where,
                "its parent is said to be inode %" PRIu64 ", but it is in inode %" PRIu64,
                n->parent, dir);
    offer(t, (struct fix){.kind = FIX_PARENT, .ino = n->ino, .value = dir}, "directory", where,
          "its parent is inode %" PRIu64, dir);
    n->parent = dir;
}

/* Check that the entry leads to an inode that exists and has the type that the entry says, and
 * count the name. */
static void check_target(struct tree_check *t, struct key k, const struct dirent_item *d,
                         const char *where)
{
    struct node *n = node_find(t, d->ino);

    if (!n) {
        if (d->ino > t->named && d->ino <= KEY_INO_MAX / 2) /* a higher number leaves no room for
                                                             * new numbers above it */
            t->named = d->ino;
        if (t->hidden)
            return;
        check_found(t->c, true, "entry", where,
                    "it leads to inode %" PRIu64 ", which does not exist", d->ino);
        if (t->c->flags & REPAIR_REMOVE_DANGLING)
            offer(t, (struct fix){.kind = FIX_UNLINK, .key = k, .ino = d->ino}, "entry", where,
                  "it is removed");
        return;
    }
    if (d->type != n->type) {
        check_found(t->c, true, "entry", where,
                    "it says that inode %" PRIu64 " is %s, but it is %s", d->ino,
                    check_type_name(d->type), check_type_name(n->type));
        offer(t, (struct fix){.kind = FIX_TYPE, .key = k, .ino = d->ino, .value = n->type}, "entry",
              where, "it says %s", check_type_name(n->type));
    }
    t->g.subdirs += n->type == DT_DIR;
    if (n->type == DT_DIR)
        check_dir_entry(t, k, n, where);
    else
        n->names++;
}

/* Would check_name and check_target find nothing? Then no path is needed. */
static bool entry_is_sound(struct tree_check *t, struct key k, const struct dirent_item *d,
                           const struct check_place *place)
{
    const struct node *n = node_find(t, d->ino);

    return !is_dots(d) && place->found && !place->repeated && n && n->type == d->type &&
           (n->type != DT_DIR || (!n->names && n->parent == key_ino(k)));
}

/* Second scan: check an entry of a directory. */
static void check_entry(struct tree_check *t, struct key k, const uint8_t *val, size_t len)
{
    struct check_place place;
    struct dirent_item d;
    char where[CHECK_PATH];

    if (dirent_decode(val, len, &d) < 0)
        return;
    t->g.entries++;
    if (!t->g.has_inode || !S_ISDIR(t->g.in.mode))
        return; /* group_end reports it once for all entries; they are not names */
    place = check_place_of(t->c, t->t.root, k, d.name, d.name_len);
    check_names_add(t->c, &t->g.names, k, d.name, d.name_len, place.level);
    where[0] = 0;
    /* Finding a path is expensive, so it is done only for an entry that is reported. */
    if (!entry_is_sound(t, k, &d, &place))
        check_where_entry(t->c, &t->t, k, &d, t->searched++ < PATHS_SEARCHED, where);
    check_name(t, k, &d, &place, where);
    check_target(t, k, &d, where);
}

/* ---- the second scan: the other items ---- */

/* Second scan: add up an extent. */
static void count_extent(struct group *g, uint64_t off, const uint8_t *val, size_t len)
{
    struct extent e;
    uint64_t base = g->in.valid > off ? g->in.valid - off : 0;

    g->extents++;
    g->beyond += off >= g->in.size;
    g->hides += base < EXTENT_BLOCK ? base : EXTENT_BLOCK;
    g->own += extent_decode(val, len, &e) == 0 ? e.valid : 0;
}

/* Second scan: add up a piece of a symlink's target. All but the last piece have full length. */
static void count_piece(struct group *g, uint64_t index, size_t len)
{
    g->gap |= index != g->pieces || g->target % ITEM_SYMLINK_PIECE;
    g->pieces++;
    g->target += len;
}

/* Compare a directory's size and link count with the entries that were seen. */
static void check_dir(struct tree_check *t, const struct group *g)
{
    char where[CHECK_PATH];

    if (t->hidden || (g->in.size == g->entries && g->in.nlink == 2 + g->subdirs))
        return;
    where_inode(t, g->ino, where);
    if (g->in.size != g->entries) {
        check_found(t->c, true, "directory", where,
                    "it is said to have %" PRIu64 " entries, but has %" PRIu64, g->in.size,
                    g->entries);
        offer(t, (struct fix){.kind = FIX_ENTRIES, .ino = g->ino, .value = g->entries}, "directory",
              where, "it is said to have %" PRIu64 " entries", g->entries);
    }
    if (g->in.nlink != 2 + g->subdirs) {
        check_found(t->c, true, "link count", where,
                    "it is %" PRIu32 ", but should be %" PRIu64
                    ": 2 and one for each directory in it",
                    g->in.nlink, 2 + g->subdirs);
        offer(t, (struct fix){.kind = FIX_LINKS, .ino = g->ino, .value = 2 + g->subdirs},
              "link count", where, "it is %" PRIu64, 2 + g->subdirs);
    }
}

/* Second scan: count an extended attribute, and note one that cannot be got by its name. */
static void count_xattr(struct tree_check *t, struct key k, const uint8_t *val, size_t len)
{
    struct check_place place;
    struct xattr_item x;

    if (xattr_decode(val, len, &x) < 0)
        return;
    t->g.xattrs++;
    place = check_place_of(t->c, t->t.root, k, x.name, x.name_len);
    check_names_add(t->c, &t->g.names, k, x.name, x.name_len, place.level);
    if (place.found)
        return;
    t->g.lost++;
    t->g.lost_at = k;
}

/* Report items that the type of the inode does not allow, or that contradict its size. One finding
 * per inode is enough. */
static void check_items(struct tree_check *t, const struct group *g)
{
    uint32_t type = g->in.mode & S_IFMT;
    const char *why = NULL;
    char where[CHECK_PATH];

    if (g->entries && type != S_IFDIR)
        why = "it is no directory, but has entries";
    else if (g->pieces && type != S_IFLNK)
        why = "it is no symbolic link, but has a target";
    else if (g->extents && (type != S_IFREG || !(g->in.flags & INODE_EXTENTS)))
        why = "it has extents, but is not marked as a file that has";
    else if (g->subblocks.count && (type != S_IFREG || !(g->in.flags & INODE_EXTENTS)))
        why = "it has subblock extents, but is not a file that may have";
    else if (!t->hidden && g->subblocks.why)
        why = g->subblocks.why;
    else if (g->holes.count && type != S_IFREG)
        why = "it is no regular file, but has holes";
    else if (!t->hidden && g->holes.why)
        why = g->holes.why;
    else if (g->beyond)
        why = "it has extents behind its end";
    else if (g->lost)
        why = "it has an extended attribute where getting it by name does not find it";
    else if (g->in.object && type != S_IFREG)
        why = "it is no regular file, but has contents";
    else if (type == S_IFLNK && !t->hidden && (g->gap || g->target != g->in.size))
        why = "its target is not as long as its size says";
    if (!why)
        return;
    where_inode(t, g->ino, where);
    check_found(t->c, !t->orphans, "inode", where, "%s", why);
    if (g->lost)
        offer(t, (struct fix){.kind = FIX_REHOME, .key = g->lost_at}, "inode", where,
              "an extended attribute stands where getting it by name finds it");
    else if (type == S_IFLNK && !g->gap && g->target && !g->entries && !g->extents)
        offer(t, (struct fix){.kind = FIX_ENTRIES, .ino = g->ino, .value = g->target}, "inode",
              where, "its size is that of its target, %" PRIu64, g->target);
}

/* Compare what the inode says of its items (bytes stored, flags) with the items. Readers rely on it
 * to read fewer items. */
static void check_said(struct tree_check *t, const struct group *g)
{
    uint64_t stored = g->in.valid - g->hides + g->own - g->holes.bytes;
    char where[CHECK_PATH];

    if (g->in.flags & (INODE_EXTENTS | INODE_HOLES) && S_ISREG(g->in.mode) && !t->hidden &&
        g->in.stored != stored) {
        where_inode(t, g->ino, where);
        check_found(t->c, !t->orphans, "inode", where,
                    "it is said to store %" PRIu64 " bytes, but stores %" PRIu64, g->in.stored,
                    stored);
        offer(t, (struct fix){.kind = FIX_STORED, .ino = g->ino, .value = stored}, "inode", where,
              "it is said to store %" PRIu64 " bytes", stored);
    }
    if (g->subblocks.count && (g->in.flags & (INODE_EXTENTS | INODE_SUBBLOCKS)) == INODE_EXTENTS) {
        where_inode(t, g->ino, where);
        check_found(t->c, !t->orphans, "inode", where,
                    "it has subblock extents, but is not marked as a file that has");
        offer(t, (struct fix){.kind = FIX_FLAGS, .ino = g->ino, .value = INODE_SUBBLOCKS}, "inode",
              where, "it is marked as one that has subblock extents");
    }
    if (g->holes.count && !(g->in.flags & INODE_HOLES)) {
        where_inode(t, g->ino, where);
        check_found(t->c, !t->orphans, "inode", where,
                    "it has maps of holes, but is not marked as a file that has");
        offer(t, (struct fix){.kind = FIX_FLAGS, .ino = g->ino, .value = INODE_HOLES}, "inode",
              where, "it is marked as one that has maps of holes");
    }
    if (g->xattrs && !(g->in.flags & INODE_XATTRS)) {
        where_inode(t, g->ino, where);
        check_found(t->c, !t->orphans, "inode", where,
                    "it has extended attributes, but is not marked as an inode that has");
        offer(t, (struct fix){.kind = FIX_FLAGS, .ino = g->ino, .value = INODE_XATTRS}, "inode",
              where, "it is marked as one that has extended attributes");
    }
}

/* Report a wrong counter: a lookup does not find names that are not counted. If a part of the tree
 * is hidden a count that is too high may be right. */
static void tell_counter(const struct check_counter *n, void *ctx)
{
    struct tree_check *t = ctx;
    const char *what = key_type(n->key) == ITEM_DIRENT ? "directory" : "inode";
    struct fix fix = {.kind = FIX_COUNTER, .key = n->key, .value = n->names};
    char where[CHECK_PATH];

    if (!t->c->has_key || (t->hidden && n->said > n->names))
        return;
    where_inode(t, key_ino(n->key), where);
    if (n->said == 0)
        check_found(t->c, !t->orphans, what, where,
                    "%" PRIu64 " names stand where a lookup does not find them, for their counter "
                    "is missing",
                    n->names);
    else
        check_found(t->c, !t->orphans, what, where,
                    "a counter says that %" PRIu64
                    " names have no place at their hash, but %" PRIu64 " have none",
                    n->said, n->names);
    offer(t, fix, what, where, "the counter says %" PRIu64, n->names);
}

/* All items of an inode were seen: check them together. */
static void group_end(struct tree_check *t)
{
    struct group *g = &t->g;
    int err = check_names_end(&g->names, tell_counter, t);
    char where[CHECK_PATH];

    if (err < 0 && t->err == 0)
        t->err = err;
    if (g->items == 0)
        return;
    if (g->has_inode) {
        if (S_ISDIR(g->in.mode) && !t->orphans)
            check_dir(t, g);
        check_items(t, g);
        check_said(t, g);
    } else if (!t->hidden) {
        where_inode(t, g->ino, where);
        check_found(t->c, !t->orphans, "inode", where,
                    "%" PRIu64 " items of it exist, but it does not", g->items);
        if (t->c->flags & REPAIR_FREE_LEAKS)
            offer(t, (struct fix){.kind = FIX_ITEMS, .ino = g->ino}, "inode", where,
                  "its items are removed");
    }
}

/* Second scan: called for each item. The items of one inode follow each other, its inode item
 * first. */
static int compare_item(struct key k, const uint8_t *val, size_t len, void *ctx)
{
    struct tree_check *t = ctx;
    struct group *g = &t->g;

    if (key_ino(k) != g->ino) {
        group_end(t);
        *g = (struct group){.ino = key_ino(k)};
    }
    g->items++;
    switch (key_type(k)) {
    case ITEM_INODE:
        g->has_inode = inode_decode(val, len, &g->in) == 0;
        break;
    case ITEM_SYMLINK:
        count_piece(g, k.lo, len);
        break;
    case ITEM_DIRENT:
        if (item_is_counter(k))
            check_names_counter(&g->names, k, val, len);
        else
            check_entry(t, k, val, len);
        break;
    case ITEM_EXTENT:
        count_extent(g, k.lo, val, len);
        break;
    case ITEM_XATTR:
        if (item_is_counter(k))
            check_names_counter(&g->names, k, val, len);
        else
            count_xattr(t, k, val, len);
        break;
    case ITEM_SUBBLOCK:
        check_subblock(t->c, t->t.root, &g->in, k, val, len, &g->subblocks);
        break;
    case ITEM_HOLES:
        check_holes(t->c, t->t.root, &g->in, k, val, len, &g->holes);
        break;
    default:
        break;
    }
    return t->err < 0;
}

/* ---- after both: what every inode must have ---- */

/* After both scans: an inode must have a name, and a file as many as its link count says. */
static void check_links(struct tree_check *t, const struct node *n)
{
    char where[CHECK_PATH];

    if (n->names == 0) {
        (void)snprintf(where, sizeof where, "%s inode %" PRIu64, t->t.name, (uint64_t)n->ino);
        check_found(t->c, true, "nameless", where, "it is %s that no entry leads to",
                    check_type_name(n->type));
        offer(t, (struct fix){.kind = FIX_ADOPT, .ino = n->ino, .value = n->type}, "nameless",
              where, "it is %s/lost+found/#%" PRIu64, t->t.name, (uint64_t)n->ino);
    } else if (n->type != DT_DIR && n->nlink != n->names) {
        where_inode(t, n->ino, where);
        check_found(t->c, true, "link count", where,
                    "it is %" PRIu32 ", but %" PRIu32 " names exist", n->nlink, n->names);
        offer(t, (struct fix){.kind = FIX_LINKS, .ino = n->ino, .value = n->names}, "link count",
              where, "it is %" PRIu32, n->names);
    }
}

/* The lowest inode of the circle that `n` is in. */
static const struct node *circle_lowest(struct tree_check *t, const struct node *n)
{
    const struct node *lowest = n, *at = node_find(t, n->parent);

    for (; at != n; at = node_find(t, at->parent))
        if (at->ino < lowest->ino)
            lowest = at;
    return lowest;
}

/* Report a circle of directories, and offer to move its lowest inode to lost+found. That breaks
 * the circle, and all of it can be reached again. */
static void tell_circle(struct tree_check *t, const struct node *n)
{
    char where[CHECK_PATH];
    struct key k;

    (void)snprintf(where, sizeof where, "%s inode %" PRIu64, t->t.name, (uint64_t)n->ino);
    check_found(t->c, true, "directory", where,
                "it is below itself, and no directory above leads to it");
    if (check_entry_key(t->c, t->t.root, n->parent, n->ino, &k))
        offer(t, (struct fix){.kind = FIX_LOST, .key = k, .ino = n->ino}, "directory", where,
              "it is %s/lost+found/#%" PRIu64 " instead", t->t.name, (uint64_t)n->ino);
}

/* Go up from a directory to one that is known to hang on the root; the directories on the way are
 * known afterwards. Meeting a passed directory again is a circle. A directory without a name was
 * reported already, and those below it hang on it. */
static void climb(struct tree_check *t, struct node *from)
{
    struct node *n = from;

    while (n && n->mark == MARK_NONE && n->ino != NS_ROOT_INO && n->names > 0) {
        n->mark = MARK_PASSED;
        n = node_find(t, n->parent);
    }
    if (n && n->mark == MARK_PASSED)
        tell_circle(t, circle_lowest(t, n));
    for (n = from; n && n->mark == MARK_PASSED; n = node_find(t, n->parent))
        n->mark = MARK_KNOWN;
}

/* After both scans: check the names of all inodes, and that each directory is below the root. */
static void check_nodes(struct tree_check *t)
{
    for (size_t i = 0; i < t->count; i++)
        check_links(t, &t->node[i]);
    for (size_t i = 0; i < t->count; i++)
        if (t->node[i].type == DT_DIR)
            climb(t, &t->node[i]);
}

/* ---- one tree ---- */

/* Does the tree have a root directory? Without one nothing can be looked up, so this is repaired
 * first, and the rest is checked in the next round. */
static bool has_root_directory(struct tree_check *t)
{
    const struct node *n = node_find(t, NS_ROOT_INO);

    if (t->hidden || (n && n->type == DT_DIR))
        return true;
    check_found(t->c, true, "directory", t->t.name, "it has no root directory");
    if (!n)
        offer(t, (struct fix){.kind = FIX_ROOT, .ino = NS_ROOT_INO}, "directory", t->t.name,
              "it has a root directory");
    return false;
}

/* Both scans, and what can be checked after them. */
static int scan_twice(struct tree_check *t)
{
    struct check *c = t->c;
    bool hidden;

    (void)check_scan(c, t->t.root, (struct key){0, 0}, collect, t, &t->hidden);
    if (t->err < 0)
        return t->err;
    if (t->hidden && !t->orphans)
        check_found(c, false, "note", t->t.name,
                    "a part of it cannot be read, so names were not compared with inodes");
    if (!t->orphans && !has_root_directory(t))
        return 0;
    (void)check_scan(c, t->t.root, (struct key){0, 0}, compare_item, t, &hidden);
    group_end(t);
    if (!t->hidden && !t->orphans)
        check_nodes(t);
    c->r.inodes += t->count;
    return t->err;
}

int check_tree(struct check *c, const struct check_tree *tree, bool orphans,
               struct check_numbers *ret)
{
    struct tree_check t = {.c = c, .t = *tree, .orphans = orphans};
    int err = scan_twice(&t);

    free(t.node);
    *ret = (struct check_numbers){t.max, t.named, t.usage, t.hidden};
    return err;
}
