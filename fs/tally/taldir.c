// SPDX-License-Identifier: Apache-2.0
/*
 * taldir: names, attributes and texts of `.tally`. Fixed entries come from one table. Everything
 * else is computed from the nodeid.
 */
#include "taldir_impl.h"

#include "clock.h"
#include "io.h"
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const struct taldir_fixed taldir_fixed[] = {
    {"control", INO_CONTROL, TALDIR_CONTROL},   {"status", INO_STATUS, TALDIR_TEXT},
    {"stats.json", INO_STATS, TALDIR_TEXT},     {"metrics", INO_METRICS, TALDIR_TEXT},
    {"refcounts", INO_REFCOUNTS, TALDIR_SPOOL}, {"objects", INO_OBJECTS, TALDIR_DIR},
    {"namespaces", INO_NAMESPACES, TALDIR_DIR}, {"jobs", INO_JOBS, TALDIR_DIR},
    {"nodes", INO_NODES, TALDIR_TEXT},          {"gc-history", INO_GC_HISTORY, TALDIR_TEXT},
    {"ghosts", INO_GHOSTS, TALDIR_SPOOL},       {"flushes", INO_FLUSHES, TALDIR_TEXT},
    {"snapshots", INO_SNAPSHOTS, TALDIR_DIR},
    {"import", INO_IMPORT, TALDIR_IMPORT},      {"export", INO_EXPORT, TALDIR_EXPORT},
};
const size_t taldir_fixed_count = sizeof(taldir_fixed) / sizeof(taldir_fixed[0]);

int taldir_create(const struct fs *fs, struct taldir **ret_t)
{
    struct taldir *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->fs = fs;
    t->gid = getegid();
    clock_gettime(CLOCK_REALTIME, &t->since);
    *ret_t = t;
    return 0;
}

void taldir_destroy(struct taldir *t)
{
    free(t);
}

enum taldir_kind taldir_kind(uint64_t nodeid)
{
    switch (vfs_node_ns(nodeid)) {
    case NS_JOB:
        return TALDIR_TEXT;
    case NS_NAMESPACE:
        return (nodeid & NS_FILE_MASK) == 0 || (nodeid & NS_FILE_MASK) >= NS_FILE_SNAPDIR
                   ? TALDIR_DIR
                   : TALDIR_TEXT;
    case NS_CONTROL:
        return TALDIR_CONTROL;
    case NS_IMPORT:
        return TALDIR_IMPORT;
    case NS_EXPORT:
        return TALDIR_EXPORT;
    case NS_OBJECT:
        return TALDIR_OBJECT;
    case NS_PREFIX:
    case NS_SNAPSHOTS:
        return TALDIR_DIR;
    default:
        for (size_t i = 0; i < taldir_fixed_count; i++)
            if (taldir_fixed[i].ino == nodeid)
                return taldir_fixed[i].kind;
        return TALDIR_DIR;
    }
}

bool taldir_is_constant(uint64_t nodeid)
{
    return nodeid == INO_OBJECTS || vfs_node_ns(nodeid) == NS_PREFIX;
}

bool taldir_has_snapshots(uint64_t nodeid, uint32_t *ret_number)
{
    const uint64_t file = nodeid & NS_FILE_MASK;
    const bool inside = vfs_node_ns(nodeid) == NS_NAMESPACE &&
                        (file == NS_FILE_SNAPDIR || file == NS_FILE_DOOR_SNAPSHOTS);
    if (vfs_node_ns(nodeid) != NS_SNAPSHOTS && !inside)
        return false;
    if (ret_number)
        *ret_number = inside ? vfs_node_ns(taldir_top_of(nodeid)) : (uint32_t)vfs_node_ino(nodeid);
    return true;
}

bool taldir_has_bases(uint64_t nodeid)
{
    return !taldir_is_snapdir(nodeid);
}

/* ---- attributes ---- */

/* Is it `.tally`, in the mount root or as a door? */
static bool is_entrance(uint64_t nodeid)
{
    return nodeid == TALDIR_ROOT || taldir_is_door(nodeid);
}

/* The mode of `.tally` itself: a group, or all users, that may use the control file must be able to
 * enter the directory. */
static mode_t root_mode(const struct taldir *t)
{
    mode_t mode = S_IFDIR | 0700;
    if ((t->fs->o->ctl_mode & 0060) != 0)
        mode |= 0010;
    if ((t->fs->o->ctl_mode & 0006) != 0)
        mode |= 0001;
    return mode;
}

/* Only the files that take commands, and the way to them, can be open to others (ctl_mode), and the
 * snapshots of a namespace that shows them to all. Objects
 * are readable as far as the directories above let a user come. */
static mode_t mode_of(const struct taldir *t, uint64_t nodeid)
{
    switch (taldir_kind(nodeid)) {
    case TALDIR_CONTROL:
    case TALDIR_IMPORT:
        return S_IFREG | (t->fs->o->ctl_mode & 0777);
    case TALDIR_EXPORT:
        return S_IFREG | 0600;
    case TALDIR_OBJECT:
        return S_IFREG | 0444;
    case TALDIR_TEXT:
    case TALDIR_SPOOL:
        return S_IFREG | 0400;
    case TALDIR_DIR:
        break;
    }
    if (taldir_is_snapdir(nodeid))
        return S_IFDIR | 0555;
    return is_entrance(nodeid) ? root_mode(t) : S_IFDIR | 0700;
}

void taldir_stat(const struct taldir *t, uint64_t nodeid, struct stat *ret)
{
    const mode_t mode = mode_of(t, nodeid);
    const enum taldir_kind kind = taldir_kind(nodeid);
    const bool shared =
        is_entrance(nodeid) || kind == TALDIR_CONTROL || kind == TALDIR_IMPORT;
    *ret = (struct stat){
        .st_ino = nodeid,
        .st_mode = mode,
        .st_nlink = S_ISDIR(mode) ? 2 : 1,
        .st_uid = t->fs->owner,
        .st_gid = shared && t->fs->o->has_ctl_gid ? t->fs->o->ctl_gid : t->gid,
        .st_blksize = 4096,
        .st_atim = t->since,
        .st_mtim = t->since,
        .st_ctim = t->since,
    };
}

void taldir_object_stat(const struct taldir *t, const struct view_object *o, struct stat *ret)
{
    taldir_stat(t, vfs_node(NS_OBJECT, o->number), ret);
    ret->st_nlink = o->refs < UINT32_MAX ? o->refs : UINT32_MAX;
    ret->st_size = (off_t)o->size;
    ret->st_blocks = (blkcnt_t)((o->size + 511) / 512);
}

/* Finds the object that the node is. -ESTALE: it is gone, or it was stored again under another
 * number; the kernel must look the path up again. */
static int find_object(const struct taldir *t, uint64_t nodeid, struct view_object *ret)
{
    int err = view_object_numbered(t->fs->p, vfs_node_ino(nodeid), ret);
    return err == -ENOENT ? -ESTALE : err;
}

int taldir_object(struct taldir *t, uint64_t nodeid, struct id *ret)
{
    struct view_object o;
    int err = taldir_kind(nodeid) != TALDIR_OBJECT ? -EPERM : find_object(t, nodeid, &o);
    if (err == 0)
        *ret = o.id;
    return err;
}

int taldir_getattr(struct taldir *t, uint64_t nodeid, struct stat *ret)
{
    struct view_object o;
    if (taldir_kind(nodeid) != TALDIR_OBJECT) {
        taldir_stat(t, nodeid, ret);
        return 0;
    }
    view_settle(t->fs->p);
    int err = find_object(t, nodeid, &o);
    if (err == 0)
        taldir_object_stat(t, &o, ret);
    return err;
}

/* ---- names ---- */

static const struct taldir_fixed *find_fixed(const char *name)
{
    for (size_t i = 0; i < taldir_fixed_count; i++)
        if (strcmp(taldir_fixed[i].name, name) == 0)
            return &taldir_fixed[i];
    return NULL;
}

/* Each lookup of a file that takes commands gets a node of its own, since a write that waits holds
 * the kernel's lock of the inode. */
static uint64_t node_of_fixed(struct taldir *t, const struct taldir_fixed *f)
{
    uint32_t ns = f->kind == TALDIR_CONTROL  ? NS_CONTROL
                  : f->kind == TALDIR_IMPORT ? NS_IMPORT
                  : f->kind == TALDIR_EXPORT ? NS_EXPORT
                                             : 0;
    if (!ns)
        return f->ino;
    return vfs_node(ns, atomic_fetch_add(&t->controls, 1) & INO_MASK);
}

/* Looks up an entry of `.tally` itself. */
static int lookup_fixed(struct taldir *t, const char *name, struct stat *ret)
{
    const struct taldir_fixed *f = find_fixed(name);
    if (!f)
        return -ENOENT;
    taldir_stat(t, node_of_fixed(t, f), ret);
    return 0;
}

/* Looks up an entry of a door. */
static int lookup_in_door(struct taldir *t, uint64_t door, const char *name, struct stat *ret)
{
    const struct taldir_fixed *f = find_fixed(name);
    if (!f || !taldir_in_door(f))
        return -ENOENT;
    taldir_stat(t, f->kind == TALDIR_DIR ? taldir_door_dir(door, f) : node_of_fixed(t, f), ret);
    return 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int lookup_prefix(const struct taldir *t, const char *name, struct stat *ret)
{
    if (strlen(name) != 2 || hex_digit(name[0]) < 0 || hex_digit(name[1]) < 0)
        return -ENOENT;
    taldir_stat(t, vfs_node(NS_PREFIX, (unsigned)(hex_digit(name[0]) << 4 | hex_digit(name[1]))),
                ret);
    return 0;
}

/* Looks up an object by its id. Only the spelling in lower case is a name. */
static int lookup_object(struct taldir *t, uint64_t prefix, const char *name, struct stat *ret)
{
    struct view_object o;
    struct id id;
    char hex[ID_HEX + 1];
    if (id_from_hex(name, &id) < 0 || id.b[0] != prefix)
        return -ENOENT;
    id_to_hex(&id, hex);
    if (strcmp(hex, name) != 0)
        return -ENOENT;
    int err = view_object(t->fs->p, &id, &o);
    if (err == 0 && !taldir_has_node(&o))
        err = -EOVERFLOW;
    if (err == 0)
        taldir_object_stat(t, &o, ret);
    return err;
}

/* Looks up a namespace. The names in the root are namespaces and symlinks; a symlink is not found
 * here. */
static int lookup_namespace(struct taldir *t, const char *name, struct stat *ret)
{
    struct vfs_attr a;
    int err = vfs_lookup(t->fs->p, VFS_ROOT, name, &a);
    if (err < 0)
        return err;
    vfs_forget(t->fs->p, a.nodeid, 1);
    if (!S_ISDIR(a.mode))
        return -ENOENT;
    taldir_stat(t, taldir_namespace_node(a.nodeid), ret);
    return 0;
}

/* Looks up a file of a namespace's directory. */
static int lookup_ns_file(const struct taldir *t, uint64_t dir, const char *name, struct stat *ret)
{
    if ((dir & NS_FILE_MASK) != 0)
        return -ENOTDIR;
    for (unsigned i = 0; i < VIEW_NS_FILES; i++) {
        if (strcmp(view_ns_files[i], name) != 0)
            continue;
        taldir_stat(t, dir + i + 1, ret);
        return 0;
    }
    return -ENOENT;
}

/* Looks up a namespace that has snapshots. */
static int lookup_snapshots(const struct taldir *t, const char *name, struct stat *ret)
{
    uint32_t number;
    int err = vfs_snapshot_owner(t->fs->p, name, &number);
    if (err == 0)
        taldir_stat(t, vfs_node(NS_SNAPSHOTS, number), ret);
    return err;
}

/* Looks up a job by its number, which has one spelling: decimal, without leading zeros. */
static int lookup_job(const struct taldir *t, const char *name, struct stat *ret)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    uint64_t job = 0;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || (c > name && *name == '0') || job > INO_MASK / 16)
            return -ENOENT;
        job = job * 10 + (uint64_t)(*c - '0');
    }
    int err = view_job(t->fs->p, job, &text);
    if (err == 0)
        taldir_stat(t, vfs_node(NS_JOB, job), ret);
    return err;
}

/* Looks a name up below NS_NAMESPACE: in the directory of a namespace, or in its door. */
static int lookup_in_namespace(struct taldir *t, uint64_t parent, const char *name,
                               struct stat *ret)
{
    if (taldir_is_door(parent))
        return lookup_in_door(t, parent, name, ret);
    if (taldir_is_door_jobs(parent))
        return lookup_job(t, name, ret);
    return lookup_ns_file(t, parent, name, ret);
}

int taldir_lookup(struct taldir *t, uint64_t parent, const char *name, struct stat *ret)
{
    if (!taldir_owns(parent)) {
        const uint64_t node = fs_is_snapdir(parent, name) ? taldir_snapdir(parent)
                              : parent == VFS_ROOT        ? TALDIR_ROOT
                                                          : taldir_door(parent);
        taldir_stat(t, node, ret);
        return 0;
    }
    switch (vfs_node_ns(parent)) {
    case NS_PREFIX:
        return lookup_object(t, vfs_node_ino(parent), name, ret);
    case NS_NAMESPACE:
        return lookup_in_namespace(t, parent, name, ret);
    default:
        break;
    }
    switch (parent) {
    case TALDIR_ROOT:
        return lookup_fixed(t, name, ret);
    case INO_OBJECTS:
        return lookup_prefix(t, name, ret);
    case INO_NAMESPACES:
        return lookup_namespace(t, name, ret);
    case INO_SNAPSHOTS:
        return lookup_snapshots(t, name, ret);
    case INO_JOBS:
        return lookup_job(t, name, ret);
    default:
        return -ENOTDIR;
    }
}

bool taldir_lookup_waits(uint64_t parent)
{
    return vfs_node_ns(parent) == NS_PREFIX || parent == INO_JOBS || taldir_is_door_jobs(parent);
}

/* ---- texts ---- */

static int ns_text(const struct taldir *t, uint64_t nodeid, struct strbuf *out)
{
    const uint64_t file = (nodeid & NS_FILE_MASK) - 1;
    const uint32_t number = (uint32_t)(vfs_node_ino(nodeid) >> NS_FILE_BITS);
    if (file >= VIEW_NS_FILES)
        return -ESTALE;
    return view_namespace(t->fs->p, number, (enum view_ns_file)file, out);
}

/* Renders a text that also shows the mount: its requests, its transport and the like. */
static int store_text(struct taldir *t, enum view_text which, struct strbuf *out)
{
    struct view_count requests[REQUESTS_KINDS];
    struct view_edge edge = {.requests = requests,
                             .request_kinds = requests_list(&t->fs->requests, requests)};
    t->fs->hooks->describe(t->fs, &edge);
    return view_render(t->fs->p, which, &edge, out);
}

int taldir_text(struct taldir *t, uint64_t nodeid, struct strbuf *out)
{
    int err = -EINVAL;
    if (vfs_node_ns(nodeid) == NS_JOB)
        err = view_job(t->fs->p, vfs_node_ino(nodeid), out);
    else if (vfs_node_ns(nodeid) == NS_NAMESPACE)
        err = ns_text(t, nodeid, out);
    else if (nodeid == INO_STATUS)
        err = store_text(t, VIEW_STATUS, out);
    else if (nodeid == INO_STATS)
        err = store_text(t, VIEW_STATS_JSON, out);
    else if (nodeid == INO_NODES)
        err = view_nodes(t->fs->p, out, NULL);
    else if (nodeid == INO_GC_HISTORY)
        err = view_gc_history(t->fs->p, out);
    else if (nodeid == INO_FLUSHES)
        err = view_flushes(t->fs->p, out);
    else if (nodeid == INO_METRICS)
        err = store_text(t, VIEW_METRICS, out);
    return err < 0 ? err : strbuf_error(out);
}

/* A temporary file for a large text. It is on the store's disk, not in memory, unless that
 * filesystem has no O_TMPFILE. */
static int temporary(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EROFS))
        fd = memfd_create("tallyfs-view", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int taldir_spool(struct taldir *t, uint64_t nodeid, int *ret_fd)
{
    if (nodeid != INO_REFCOUNTS && nodeid != INO_GHOSTS)
        return -EINVAL;
    int fd = temporary(t->fs->o->store);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out) {
        int err = fd < 0 ? fd : -errno;
        io_cleanup_close(&fd);
        return err;
    }
    int err = nodeid == INO_GHOSTS ? view_ghosts(t->fs->p, out) : view_refcounts(t->fs->p, out);
    if (err == 0)
        *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (err == 0 && *ret_fd < 0)
        err = -errno;
    fclose(out);
    return err;
}
