// SPDX-License-Identifier: Apache-2.0
/*
 * taldir_list: listings of `.tally`. Each piece that is read is gathered anew: the names in one
 * text, and what is known of each in an array beside it. Cookies grow along a listing, and an entry
 * keeps its cookie. So the next piece goes on behind the last entry, whatever was added or removed
 * meanwhile:
 *
 *     1, 2            "." and ".."
 *     2 + n           the n-th fixed entry, the job n, the prefix n - 1
 *     2 + number      snapshots, and the namespaces that have some
 *     2 + 62 bits     objects: bits of the id behind the prefix
 *
 * Namespaces have the cookies of the mount root. Among 2^31 objects two may have the same cookie.
 * Then one of the two is left out if a piece ends between them.
 */
#include "taldir_impl.h"

#include "array.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    size_t name; /* offset in `names` */
    uint64_t nodeid, cookie;
    uint64_t size, refs; /* of an object */
};

struct taldir_list {
    struct strbuf names; /* each with its NUL */
    struct entry *entries;
    size_t count, room;
    uint64_t after; /* only entries with a greater cookie are added */
    size_t most;    /* about how many are gathered */
};

#define COOKIE_DOTS 2 /* the cookie of ".." */
#define COOKIE_BITS 62

static bool is_full(const struct taldir_list *l)
{
    return l->count >= l->most;
}

/* Adds an entry, unless its cookie says that an earlier piece had it. */
static int add_entry(struct taldir_list *l, const char *name, const struct entry *e)
{
    if (e->cookie <= l->after)
        return 0;
    if (ARRAY_RESERVE(l->entries, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->entries[l->count] = *e;
    l->entries[l->count].name = l->names.len;
    strbuf_add(&l->names, name, strlen(name) + 1);
    l->count++;
    return strbuf_error(&l->names);
}

static int add_node(struct taldir_list *l, const char *name, uint64_t nodeid, uint64_t cookie)
{
    return add_entry(l, name, &(struct entry){.nodeid = nodeid, .cookie = cookie});
}

/* For callbacks of view.h and vfs.h: the list, and the error that ended it. */
struct gathering {
    struct taldir_list *l;
    int error;
    bool whole; /* of snapshots: the entries are nodes of the vfs */
};

/* ---- objects ---- */

/* The 62 bits of the id behind its first byte, the prefix. So cookies are in the order of ids. */
static uint64_t object_cookie(const struct id *id)
{
    uint64_t bits = 0;
    for (unsigned i = 1; i <= 8; i++)
        bits = bits << 8 | id->b[i];
    return COOKIE_DOTS + 1 + (bits >> (64 - COOKIE_BITS));
}

/* The greatest id that has this cookie: view_objects goes on behind it. */
static struct id object_of(uint8_t prefix, uint64_t cookie)
{
    struct id id;
    uint64_t bits =
        ((cookie - COOKIE_DOTS - 1) << (64 - COOKIE_BITS)) | ((1u << (64 - COOKIE_BITS)) - 1);
    memset(&id, 0xff, sizeof(id));
    id.b[0] = prefix;
    for (unsigned i = 8; i >= 1; i--, bits >>= 8)
        id.b[i] = (uint8_t)bits;
    return id;
}

static int add_object(const struct view_object *o, void *ctx)
{
    struct gathering *g = ctx;
    char hex[ID_HEX + 1];
    const struct entry e = {.nodeid = vfs_node(NS_OBJECT, o->number),
                            .cookie = object_cookie(&o->id),
                            .size = o->size,
                            .refs = o->refs};
    id_to_hex(&o->id, hex);
    if (taldir_has_node(o))
        g->error = add_entry(g->l, hex, &e);
    return g->error != 0 || is_full(g->l);
}

static int list_objects(struct taldir *t, uint8_t prefix, struct gathering *g)
{
    const bool from_start = g->l->after <= COOKIE_DOTS;
    const struct id after = object_of(prefix, g->l->after);
    view_settle(t->fs->p);
    return view_objects(t->fs->p, prefix, from_start ? NULL : &after, add_object, g);
}

static int note_any(const struct view_object *o, void *ctx)
{
    (void)o;
    *(bool *)ctx = true;
    return 1;
}

/* Lists only prefixes that have objects, so that a program that lists all of them finds objects and
 * not 256 empty directories. A lookup finds every prefix. */
static int list_prefixes(struct taldir *t, struct taldir_list *l)
{
    const uint64_t first = l->after <= COOKIE_DOTS ? 0 : l->after - COOKIE_DOTS;
    int err = 0;
    view_settle(t->fs->p);
    for (uint64_t i = first; i < 256 && err == 0 && !is_full(l); i++) {
        bool any = false;
        char name[3];
        err = view_objects(t->fs->p, (uint8_t)i, NULL, note_any, &any);
        snprintf(name, sizeof(name), "%02hhx", (unsigned char)i);
        if (err == 0 && any)
            err = add_node(l, name, vfs_node(NS_PREFIX, i), COOKIE_DOTS + 1 + i);
    }
    return err;
}

/* ---- namespaces, jobs, fixed ones ---- */

static bool add_namespace(const struct vfs_dirent *d, void *ctx)
{
    struct gathering *g = ctx;
    if (S_ISDIR(d->attr.mode) && d->attr.nodeid != VFS_ROOT) /* not "." and ".." */
        g->error = add_node(g->l, d->name, taldir_namespace_node(d->attr.nodeid), d->cookie);
    return g->error == 0 && !is_full(g->l);
}

/* Adds a namespace that has snapshots, or one of its snapshots. */
static bool add_snapshot(const struct vfs_dirent *d, void *ctx)
{
    struct gathering *g = ctx;
    const uint64_t node = g->whole ? d->attr.nodeid : vfs_node(NS_SNAPSHOTS, d->cookie);
    g->error = add_node(g->l, d->name, node, COOKIE_DOTS + d->cookie);
    return g->error == 0 && !is_full(g->l);
}

/* Lists the snapshots of a namespace, or if `of` is 0 the namespaces that have some. */
static int list_snapshots(struct taldir *t, uint32_t of, struct gathering *g)
{
    const uint64_t after = g->l->after <= COOKIE_DOTS ? 0 : g->l->after - COOKIE_DOTS;
    g->whole = of != 0;
    if (after > VFS_NS_MAX)
        return 0;
    return vfs_list_snapshots(t->fs->p, of, (uint32_t)after, add_snapshot, g);
}

static int add_job(uint64_t job, void *ctx)
{
    struct gathering *g = ctx;
    char name[24];
    snprintf(name, sizeof(name), "%" PRIu64, job);
    g->error = add_node(g->l, name, vfs_node(NS_JOB, job), COOKIE_DOTS + job);
    return g->error != 0 || is_full(g->l);
}

static int list_jobs(struct taldir *t, struct gathering *g)
{
    const uint64_t after = g->l->after <= COOKIE_DOTS ? 0 : g->l->after - COOKIE_DOTS;
    return view_jobs(t->fs->p, after, add_job, g);
}

static int list_root(struct taldir_list *l)
{
    int err = 0;
    for (size_t i = 0; i < taldir_fixed_count && err == 0; i++)
        err = add_node(l, taldir_fixed[i].name, taldir_fixed[i].ino, COOKIE_DOTS + 1 + i);
    return err;
}

static int list_door(struct taldir_list *l, uint64_t door)
{
    int err = 0;
    for (size_t i = 0; i < taldir_fixed_count && err == 0; i++) {
        const struct taldir_fixed *f = &taldir_fixed[i];
        const uint64_t node = f->kind == TALDIR_DIR ? taldir_door_dir(door, f) : f->ino;
        err = taldir_in_door(f) ? add_node(l, f->name, node, COOKIE_DOTS + 1 + i) : 0;
    }
    return err;
}

static int list_ns_files(struct taldir_list *l, uint64_t dir)
{
    int err = 0;
    for (unsigned i = 0; i < VIEW_NS_FILES && err == 0; i++)
        err = add_node(l, view_ns_files[i], dir + i + 1, COOKIE_DOTS + 1 + i);
    return err;
}

/* Gathers the names of one directory. A callback that stopped the listing has its error in `g`. */
static int gather_names(struct taldir *t, uint64_t dir, struct taldir_list *l)
{
    struct gathering g = {.l = l};
    uint32_t of;
    int err = -ENOTDIR;
    if (dir == TALDIR_ROOT)
        return list_root(l);
    if (dir == INO_OBJECTS)
        return list_prefixes(t, l);
    if (taldir_is_door(dir))
        return list_door(l, dir);
    if (dir == INO_NAMESPACES)
        err = vfs_readdir(t->fs->p, VFS_ROOT, l->after, false, add_namespace, &g);
    else if (dir == INO_SNAPSHOTS)
        err = list_snapshots(t, 0, &g);
    else if (taldir_has_snapshots(dir, &of))
        err = list_snapshots(t, of, &g);
    else if (dir == INO_JOBS || taldir_is_door_jobs(dir))
        err = list_jobs(t, &g);
    else if (vfs_node_ns(dir) == NS_NAMESPACE)
        err = list_ns_files(l, dir);
    else if (vfs_node_ns(dir) == NS_PREFIX)
        err = list_objects(t, (uint8_t)vfs_node_ino(dir), &g);
    return err < 0 ? err : g.error;
}

bool taldir_list_waits(uint64_t nodeid)
{
    return vfs_node_ns(nodeid) == NS_PREFIX || nodeid == INO_OBJECTS || nodeid == INO_JOBS ||
           nodeid == INO_NAMESPACES || taldir_is_door_jobs(nodeid);
}

static uint64_t parent_of(uint64_t nodeid)
{
    if (nodeid == TALDIR_ROOT)
        return VFS_ROOT;
    if (taldir_is_door(nodeid) || taldir_is_snapdir(nodeid))
        return taldir_top_of(nodeid);
    if (vfs_node_ns(nodeid) == NS_NAMESPACE)
        return (nodeid & NS_FILE_MASK) == 0 ? INO_NAMESPACES : taldir_door(taldir_top_of(nodeid));
    if (vfs_node_ns(nodeid) == NS_PREFIX)
        return INO_OBJECTS;
    return taldir_has_snapshots(nodeid, NULL) ? INO_SNAPSHOTS : TALDIR_ROOT;
}

int taldir_list_new(struct taldir *t, uint64_t nodeid, uint64_t after, size_t most,
                    struct taldir_list **ret_l)
{
    struct taldir_list *l = malloc(sizeof(*l));
    if (!l)
        return -ENOMEM;
    *l = (struct taldir_list){.names = STRBUF_INIT, .after = after, .most = most};
    int err = taldir_kind(nodeid) == TALDIR_DIR ? 0 : -ENOTDIR;
    if (err == 0)
        err = add_node(l, ".", nodeid, 1);
    if (err == 0)
        err = add_node(l, "..", parent_of(nodeid), COOKIE_DOTS);
    if (err == 0)
        err = gather_names(t, nodeid, l);
    if (err < 0) {
        taldir_list_free(l);
        return err;
    }
    *ret_l = l;
    return 0;
}

void taldir_list_free(struct taldir_list *l)
{
    if (!l)
        return;
    strbuf_release(&l->names);
    free(l->entries);
    free(l);
}

const char *taldir_list_at(const struct taldir *t, const struct taldir_list *l, size_t index,
                           struct stat *ret, uint64_t *ret_cookie)
{
    if (index >= l->count)
        return NULL;
    const struct entry *e = &l->entries[index];
    *ret_cookie = e->cookie;
    if (vfs_node_ns(e->nodeid) == NS_OBJECT) {
        const struct view_object o = {
            .number = vfs_node_ino(e->nodeid), .refs = e->refs, .size = e->size};
        taldir_object_stat(t, &o, ret);
    } else {
        taldir_stat(t, e->nodeid, ret);
    }
    return l->names.s + e->name;
}
