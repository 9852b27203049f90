// SPDX-License-Identifier: Apache-2.0
/*
 * control_object: the verbs about one object: refs, object, why, resolve, pin, unpin.
 *
 * An object is named by its id, or by a path to a file that has it as its content. While a verb
 * works on an object it has a hold on it, so that a count of zero does not remove it meanwhile. The
 * users of an object are found by a walk of all trees, in bounded pieces, each under the lock of
 * its namespace. A change during the walk is seen or not.
 */
#include "control_impl.h"
#include "gc_store.h"
#include "pool_node.h"
#include "shards.h"
#include "strbuf.h"
#include "sweep.h"
#include "vfs.h"
#include "view.h"
#include "walk_live.h"
#include <errno.h>
#include <stdio.h>

#define U(x) ((unsigned long long)(x))
/* inodes listed for one namespace */
#define SHOWN_INODES 20
/* namespaces listed */
#define SHOWN_NAMESPACES 1000

struct object {
    struct id id;
    uint64_t number; /* held in refs, unless `unknown` */
    struct entry entry;
    bool unknown; /* the table of objects does not have the id */
};

static void object_release(struct call *call, struct object *o)
{
    if (!o->unknown)
        refs_unhold(call->p->refs, o->number);
}

/* ---- naming one ---- */

/* Finds the id of the object that is the content of a file. The node is looked up, and forgotten
 * again, as by a call of the kernel. */
static int id_of_path(struct call *call, const char *path, struct id *ret_id)
{
    char name[VFS_XATTR_OURS_MAX + 1];
    const char *rest;
    size_t ns_len;
    uint64_t node = 0;
    ssize_t n;
    int err = command_path(path, &ns_len, &rest);

    if (err < 0)
        return control_fail_word(call, err, "%s is not a path: NAMESPACE/relative, without ..",
                                 path);
    err = vfs_lookup_path(call->p, path, ns_len, rest, &node);
    if (err < 0)
        return control_fail_word(call, err,
                                 err == -ENOENT ? "there is no %s" : "%s cannot be reached", path);
    n = vfs_getxattr(call->p, node, "user.tally.object", name, sizeof name);
    vfs_forget(call->p, node, 1);
    if (n == -EUCLEAN)
        return control_fail_word(call, -EUCLEAN,
                                 "what %s names is not in the table of objects, or damaged there; "
                                 "`tally rebuild` looks for its bytes",
                                 path);
    if (n == -ENODATA)
        return control_fail_word(call, -ENOENT,
                                 "%s is not one object: not a regular file, empty, changed in "
                                 "parts, or not sealed yet",
                                 path);
    if (n < 0)
        return (int)n;
    name[n] = 0;
    if (n != ID_HEX)
        return control_fail(call, -EREMOTE,
                            "the bytes of %s were never in this store, so they have no id here: "
                            "they are %s",
                            path, name);
    return id_from_hex(name, ret_id);
}

/* Finds the object that the first word names, and holds it; object_release gives the hold back.
 * -ENOENT for a path that names none. An id that the table does not have is no error and sets
 * `unknown`. */
static int object_find(struct call *call, struct object *ret)
{
    const char *word = control_arg(call, 0);
    bool path = strchr(word, '/');
    int err;

    *ret = (struct object){.unknown = true};
    if (!path && id_from_hex(word, &ret->id) < 0)
        return control_fail_word(
            call, -EINVAL, "%s is neither an id (32 hex digits) nor a path (NAMESPACE/…)", word);
    (void)seal_settle(call->p);
    err = path ? id_of_path(call, word, &ret->id) : 0;
    if (err < 0)
        return err;
    err = refs_find_logged(call->p->refs, &ret->id, &ret->number, &ret->entry);
    if (err == -ENOENT)
        return 0;
    ret->unknown = err < 0;
    if (err == -EUCLEAN)
        return control_fail_word(call, err,
                                 "what the index knows as %s is not in the table of objects, or "
                                 "damaged there; `tally rebuild` looks for its bytes",
                                 word);
    return err;
}

static int no_object(struct call *call)
{
    return control_fail_word(call, -ENOENT, "there is no object %s", control_arg(call, 0));
}

/* ---- who uses it ---- */

struct use {
    struct call *call;
    uint64_t number;
    bool count_only;               /* namespaces are counted: one hit in each is enough */
    uint64_t namespaces;           /* so many use the object */
    uint64_t hits;                 /* items in the tree that is walked that name the object */
    uint64_t inodes[SHOWN_INODES]; /* the first inodes with such items */
    size_t shown;
};

/* Notes an item that names the object, or an alias of it. */
static int note_use(struct key k, const void *val, size_t len, void *ctx)
{
    struct use *u = ctx;
    uint64_t object = item_object(k, val, len), ino = key_ino(k);

    if (!object || (object != u->number && refs_resolve(u->call->p->refs, object) != u->number))
        return 0;
    u->hits++;
    if (u->shown < SHOWN_INODES && (u->shown == 0 || u->inodes[u->shown - 1] != ino))
        u->inodes[u->shown++] = ino;
    return u->count_only;
}

static int is_interrupted(void *ctx)
{
    const struct use *u = ctx;
    const _Atomic bool *stop = u->call->interrupted;

    return stop && atomic_load(stop) ? -EINTR : 0;
}

/* Appends a line about one namespace that uses the object. */
static void use_line(struct use *u, const struct live_tree *t)
{
    struct strbuf *out = &u->call->lines;

    strbuf_adds(out, "| namespace=");
    command_add_word(out, t->name);
    strbuf_addf(out, " items=%llu inodes=", U(u->hits));
    for (size_t i = 0; i < u->shown; i++)
        strbuf_addf(out, "%s%llu", i ? "," : "", U(vfs_node(t->ns, u->inodes[i])));
    strbuf_adds(out, u->hits > u->shown ? ",…\n" : "\n");
}

/* Walks one tree, counts its namespace if that uses the object, and adds a line to the reply.
 * Unlinked files that are still open use it, too: their items are in the tree of orphans. -EUCLEAN:
 * damage hid a part of the tree, so the answer would be incomplete. */
static int look_through(const struct live_tree *t, void *ctx)
{
    struct use *u = ctx;
    struct walk w = {WALK_LIVE(t->lock, t->tree), WALK_ALL,       .fn = note_use,
                     .pause = is_interrupted,     .pause_ctx = u, .ctx = u};
    int err = is_interrupted(u);

    u->hits = u->shown = 0;
    if (err == 0 && (t->ns || !u->count_only))
        err = walk_items(&w);
    if (err < 0 || (err == 0 && w.hidden))
        return err < 0 ? err : -EUCLEAN;
    u->namespaces += t->ns && u->hits;
    if (u->count_only || u->hits == 0)
        return 0;
    if (t->ns == 0)
        control_line(u->call, "%s: items=%llu", t->name, U(u->hits));
    else if (u->namespaces <= SHOWN_NAMESPACES)
        use_line(u, t);
    return 0;
}

/* ---- the verbs ---- */

int control_refs(struct call *call)
{
    struct use u = {.call = call, .count_only = true};
    struct object o;
    int err = object_find(call, &o);

    if (err < 0)
        return err;
    u.number = o.number;
    if (!o.unknown && o.entry.count)
        err = walk_live_trees(call->p, look_through, &u);
    if (err == 0)
        strbuf_addf(&call->head, " refs=%u namespaces=%llu pins=%d", o.unknown ? 0u : o.entry.count,
                    U(u.namespaces), !o.unknown && refs_is_pinned(call->p->refs, o.number));
    object_release(call, &o);
    return err;
}

/* Answers for an object that the table does not have: its bytes may have been left behind, or other
 * nodes of the pool may need them. */
static void unknown_object(struct call *call, const struct id *id)
{
    static const char *const states[] = {[GC_NONE] = "none",
                                         [GC_ACTIVE] = "active",
                                         [GC_PINNED] = "pinned",
                                         [GC_UNREFERENCED] = "unreferenced",
                                         [GC_MARKED] = "marked"};
    struct gc_object_info info;

    gc_store_get(call->p, id, &info);
    strbuf_addf(&call->head, " state=%s since=", states[info.state]);
    strbuf_add_time(&call->head, info.since);
    strbuf_addf(&call->head, " nodes=%u", info.nodes);
}

#define SHOWN_NODES 16

/* Lists the other nodes of the pool that need the object. */
static void why_nodes(struct call *call, const struct entry *e)
{
    unsigned nodes[SHOWN_NODES];
    size_t count = pool_node_who(call->p, e, nodes, SHOWN_NODES);

    for (size_t i = 0; i < count && i < SHOWN_NODES; i++)
        control_line(call, "node %u of the pool says that it needs it, too", nodes[i]);
    if (count > SHOWN_NODES)
        control_line(call, "and %zu more nodes", count - SHOWN_NODES);
}

int control_object(struct call *call)
{
    char hex[ID_HEX + 1];
    unsigned nodes[SHOWN_NODES];
    struct object o;
    int err = object_find(call, &o);

    if (err < 0)
        return err;
    id_to_hex(&o.id, hex);
    if (o.unknown) {
        strbuf_addf(&call->head, " id=%s", hex);
        unknown_object(call, &o.id);
        return 0;
    }
    strbuf_addf(&call->head, " id=%s state=%s since=never nodes=%zu", hex,
                refs_is_pinned(call->p->refs, o.number) ? "pinned"
                : o.entry.count                         ? "active"
                                                        : "unreferenced",
                (o.entry.count > 0) + pool_node_who(call->p, &o.entry, nodes, SHOWN_NODES));
    if (entry_is_sealed(&o.entry))
        strbuf_addf(&call->head, " size=%llu shard=%u stored=%s%s", U(o.entry.size), o.entry.shard,
                    o.entry.kind == ENTRY_PACK ? "pack" : "file",
                    sweep_is_lost(call->p, o.number) ? " lost=1" : "");
    strbuf_addf(&call->head, " refs=%u", o.entry.count);
    object_release(call, &o);
    return 0;
}

int control_resolve(struct call *call)
{
    struct object o;
    int err = object_find(call, &o);

    if (err < 0)
        return err;
    if (o.unknown)
        return no_object(call);
    if (o.entry.count == 0)
        err = no_object(call);
    else
        strbuf_addf(&call->head, " shard=%u", o.entry.shard);
    object_release(call, &o);
    return err;
}

/* Says on which shard the bytes are, unless they are at home. */
static void why_shard(struct call *call, const struct object *o)
{
    struct shards_info info;

    if (!entry_is_ghost(&o->entry))
        return;
    if (shards_info_get(call->p->shards, o->entry.shard, &info) < 0)
        control_line(call, "its bytes are on shard %u, which there is not any more",
                     o->entry.shard);
    else
        control_line(call, "its bytes are on shard %u (%s), which is %s", o->entry.shard, info.url,
                     shards_state_name(info.state));
    if (sweep_is_lost(call->p, o->number))
        control_line(call, "lost: shard %u does not have its bytes any more", o->entry.shard);
}

int control_why(struct call *call)
{
    struct state *p = call->p;
    uint64_t holds;
    size_t drops;
    struct object o;
    int err = object_find(call, &o);

    if (err < 0)
        return err;
    if (o.unknown)
        return no_object(call);
    struct use u = {.call = call, .number = o.number};
    if (refs_is_pinned(p->refs, o.number))
        control_line(call, "pinned");
    why_shard(call, &o);
    err = walk_live_trees(p, look_through, &u);
    holds = refs_holds(p->refs, o.number) - 1; /* but for the hold of this verb */
    if (holds)
        control_line(call, "open handles, not counted: %llu", U(holds));
    why_nodes(call, &o.entry);
    drops = drops_left(p->drops);
    if (drops)
        control_line(call, "dropped trees not worked off yet may name it: pages=%zu", drops);
    if (u.namespaces > SHOWN_NAMESPACES)
        control_line(call, "and %llu more namespaces", U(u.namespaces - SHOWN_NAMESPACES));
    if (err == 0)
        strbuf_addf(&call->head, " refs=%u namespaces=%llu", o.entry.count, U(u.namespaces));
    object_release(call, &o);
    return err;
}

/* Pins or unpins an object. */
static int change_pin(struct call *call, bool pin)
{
    struct state *p = call->p;
    struct entry e;
    struct object o;
    int err = control_may_change(call);

    if (err == 0)
        err = object_find(call, &o);
    if (err < 0)
        return err;
    if (o.unknown)
        return no_object(call);
    err = state_pin(p, o.number, pin);
    if (err == 0)
        err = refs_entry(p->refs, o.number, true, NULL, &e);
    if (err == 0)
        strbuf_addf(&call->head, " refs=%u seq=%llu", e.count, U(state_seq(p)));
    object_release(call, &o);
    return err;
}

int control_pin(struct call *call)
{
    return change_pin(call, true);
}

int control_unpin(struct call *call)
{
    return change_pin(call, false);
}
