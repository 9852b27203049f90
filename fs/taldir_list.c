// SPDX-License-Identifier: Apache-2.0
/*
 * taldir_list: directories of `.tally`, gathered at opendir: names in one text, and what is known
 * of each beside it. The largest, objects/<ab>, holds a 256th of all objects: about 70 bytes each.
 */
#include "taldir_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    size_t name; /* where in `names` */
    uint64_t nodeid;
    uint64_t size, refs; /* objects */
};

struct taldir_list {
    struct strbuf names; /* each with its NUL */
    struct entry *entries;
    size_t count, room;
};

static int add(struct taldir_list *l, const char *name, const struct entry *e)
{
    if (l->count == l->room) {
        size_t room = l->room == 0 ? 16 : l->room * 2;
        struct entry *more = reallocarray(l->entries, room, sizeof(*more));
        if (more == NULL)
            return -ENOMEM;
        l->entries = more;
        l->room = room;
    }
    l->entries[l->count] = *e;
    l->entries[l->count].name = l->names.len;
    strbuf_add(&l->names, name, strlen(name) + 1);
    l->count++;
    return strbuf_error(&l->names);
}

static int add_node(struct taldir_list *l, const char *name, uint64_t nodeid)
{
    return add(l, name, &(struct entry){.nodeid = nodeid});
}

struct gathering {
    struct taldir_list *l;
    int error;
};

static int add_object(const struct view_object *o, void *ctx)
{
    struct gathering *g = ctx;
    char hex[ID_HEX + 1];
    const struct entry e = {
        .nodeid = vfs_node(NS_OBJECT, o->number), .size = o->size, .refs = o->refs};
    id_to_hex(&o->id, hex);
    g->error = add(g->l, hex, &e);
    return g->error;
}

/* The number is only for d_ino: it comes with the lookup. */
static int add_namespace(const char *name, void *ctx)
{
    struct gathering *g = ctx;
    g->error = add_node(g->l, name, vfs_node(NS_NAMESPACE, (uint64_t)g->l->count << 4));
    return g->error;
}

static int add_job(uint64_t job, void *ctx)
{
    struct gathering *g = ctx;
    char name[24];
    snprintf(name, sizeof(name), "%" PRIu64, job);
    g->error = add_node(g->l, name, vfs_node(NS_JOB, job));
    return g->error;
}

static int list_root(struct taldir_list *l)
{
    int r = 0;
    for (size_t i = 0; i < taldir_fixed_count && r == 0; i++)
        r = add_node(l, taldir_fixed[i].name, taldir_fixed[i].ino);
    return r;
}

static int note_any(const struct view_object *o, void *ctx)
{
    (void)o;
    *(bool *)ctx = true;
    return 1;
}

/* Only those that have objects, so that a person who lists them all sees objects and not 256 empty
 * lists. A lookup finds every one. */
static int list_prefixes(struct taldir *t, struct taldir_list *l)
{
    int r = 0;
    for (unsigned i = 0; i < 256 && r == 0; i++) {
        bool any = false;
        char name[3];
        r = view_objects(t->p, (uint8_t)i, NULL, note_any, &any);
        snprintf(name, sizeof(name), "%02hhx", (unsigned char)i);
        if (r == 0 && any)
            r = add_node(l, name, vfs_node(NS_PREFIX, i));
    }
    return r;
}

static int list_ns_files(struct taldir_list *l, uint64_t dir)
{
    int r = 0;
    for (unsigned i = 0; i < view_ns_file_count && r == 0; i++)
        r = add_node(l, view_ns_files[i], dir + i + 1);
    return r;
}

static int gather(struct taldir *t, uint64_t dir, struct taldir_list *l)
{
    struct gathering g = {.l = l};
    int r = -ENOTDIR;
    if (dir == TALDIR_ROOT)
        return list_root(l);
    if (dir == INO_OBJECTS)
        return list_prefixes(t, l);
    if (vfs_node_ns(dir) == NS_NAMESPACE)
        return list_ns_files(l, dir);
    if (dir == INO_NAMESPACES)
        r = view_namespaces(t->p, NULL, add_namespace, &g);
    else if (dir == INO_JOBS)
        r = view_jobs(t->p, 0, add_job, &g);
    else if (vfs_node_ns(dir) == NS_PREFIX)
        r = view_objects(t->p, (uint8_t)vfs_node_ino(dir), NULL, add_object, &g);
    return r < 0 ? r : g.error;
}

bool taldir_list_waits(uint64_t nodeid)
{
    return vfs_node_ns(nodeid) == NS_PREFIX || nodeid == INO_OBJECTS || nodeid == INO_JOBS ||
           nodeid == INO_NAMESPACES;
}

static uint64_t parent_of(uint64_t nodeid)
{
    if (nodeid == TALDIR_ROOT)
        return VFS_ROOT;
    if (vfs_node_ns(nodeid) == NS_PREFIX)
        return INO_OBJECTS;
    return vfs_node_ns(nodeid) == NS_NAMESPACE ? INO_NAMESPACES : TALDIR_ROOT;
}

int taldir_list_new(struct taldir *t, uint64_t nodeid, struct taldir_list **ret_l)
{
    struct taldir_list *l = malloc(sizeof(*l));
    if (l == NULL)
        return -ENOMEM;
    *l = (struct taldir_list){.names = STRBUF_INIT};
    int r = add_node(l, ".", nodeid);
    if (r == 0)
        r = add_node(l, "..", parent_of(nodeid));
    if (r == 0)
        r = gather(t, nodeid, l);
    if (r < 0) {
        taldir_list_free(l);
        return r;
    }
    *ret_l = l;
    return 0;
}

void taldir_list_free(struct taldir_list *l)
{
    if (l == NULL)
        return;
    strbuf_release(&l->names);
    free(l->entries);
    free(l);
}

const char *taldir_list_at(const struct taldir *t, const struct taldir_list *l, size_t index,
                           struct stat *ret)
{
    if (index >= l->count)
        return NULL;
    const struct entry *e = &l->entries[index];
    if (vfs_node_ns(e->nodeid) == NS_OBJECT) {
        const struct view_object o = {
            .number = vfs_node_ino(e->nodeid), .refs = e->refs, .size = e->size};
        taldir_object_stat(t, &o, ret);
    } else {
        taldir_stat(t, e->nodeid, ret);
    }
    return l->names.s + e->name;
}

int taldir_list_take(struct taldir *t, const struct taldir_list *l, size_t index)
{
    struct id id;
    const struct entry *e = &l->entries[index];
    if (vfs_node_ns(e->nodeid) != NS_OBJECT || id_from_hex(l->names.s + e->name, &id) < 0)
        return -EINVAL;
    return nodes_take(t->nodes, e->nodeid, &id, sizeof(id));
}
