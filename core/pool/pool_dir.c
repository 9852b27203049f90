// SPDX-License-Identifier: Apache-2.0
/*
 * pool_dir: see the header. What other nodes wrote is visible before it is durable. So a node that
 * builds on it syncs it first: the lower numbers, and the identity of the pool that is joined.
 */
#include "pool_dir.h"

#include "pool_file.h"
#include "shard.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define HEAD_READ_MAX 4096 /* bytes; the head of a newer version may be longer than ours */

static const char *const directories[] = {"packs", "marks", "lease", "nodes", "objects"};
#define DIRECTORIES (sizeof directories / sizeof *directories)

__attribute__((format(printf, 3, 4))) static int fail(int err, char why[POOL_WHY], const char *fmt,
                                                      ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, POOL_WHY, fmt, args);
    va_end(args);
    return err;
}

void pool_node_path(unsigned node, const char *name, char out[DISK_NAME_MAX + 1])
{
    snprintf(out, DISK_NAME_MAX + 1, "nodes/%04x%s%s", node, *name ? "/" : "", name);
}

/* ---- the pool ---- */

int pool_identity_make(struct pool_identity *ret)
{
    struct pool_identity i = {0};
    int err = id_key_make(&i.key);

    if (err == 0 && getrandom(i.id, sizeof i.id, 0) != sizeof i.id)
        err = -EIO;
    if (err == 0)
        *ret = i;
    return err;
}

int pool_dir_identity(struct disk *disk, struct pool_identity *ret, char why[POOL_WHY])
{
    char text[POOL_TEXT_MAX];
    size_t len;
    int err = pool_file_get(disk, POOL_IDENTITY_FILE, text, sizeof text, &len);

    if (err == 0)
        err = pool_identity_decode(text, len, ret);
    if (err == 0)
        return 0;
    if (err == -ENOENT)
        return fail(err, why, "it is no pool: it has no file " POOL_IDENTITY_FILE);
    if (err == -EPROTO)
        return fail(err, why, "it was made by a newer version of tally");
    if (err == -EUCLEAN)
        return fail(err, why, "its file " POOL_IDENTITY_FILE " is damaged");
    return fail(err, why, "its file " POOL_IDENTITY_FILE " cannot be read: %s", strerror(-err));
}

static int stop(const char *name, void *ctx)
{
    (void)name;
    (void)ctx;
    return 1;
}

/* Is the directory empty? 1, 0 or -errno. A missing one is empty. */
static int is_empty(struct disk *disk, const char *dir)
{
    int stopped = disk_list(disk, dir, stop, NULL);

    return stopped == 1 ? 0 : stopped == 0 || stopped == -ENOENT ? 1 : stopped;
}

/* 1 for a name that an interrupted creation does not leave. */
static int find_stranger(const char *name, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < DIRECTORIES; i++)
        if (strcmp(name, directories[i]) == 0)
            return 0;
    return strncmp(name, "tmp.", 4) != 0 && strcmp(name, "lost+found") != 0;
}

/* On a disk of whole files: 1 for all but what those leave who try the place (shard_probe). */
static int find_content(const char *name, void *ctx)
{
    (void)ctx;
    return strcmp(name, SHARD_PROBE_DIR) != 0;
}

/* Has the directory only what an interrupted creation leaves, empty directories? 1, 0 or -errno.
 * Files in them would belong to a pool whose identity was lost, and new members would take them for
 * unneeded. */
static int is_fresh(struct disk *disk)
{
    char name[DISK_NAME_MAX + 1];
    int err = disk_list(disk, "", disk_is_whole(disk) ? find_content : find_stranger, NULL),
        fresh = 1;

    if (err || disk_is_whole(disk)) /* which has no directories, so nothing at all is left there */
        return err < 0 ? err : !err;
    for (size_t i = 0; i + 1 < DIRECTORIES && fresh == 1; i++)
        fresh = is_empty(disk, directories[i]);
    for (unsigned i = 0; i < 256 && fresh == 1; i++) {
        snprintf(name, sizeof name, "objects/%02x", i);
        fresh = is_empty(disk, name);
    }
    return fresh;
}

/* Makes the directories, and makes them durable, before the identity is written. */
static int make_directories(struct disk *disk)
{
    char name[DISK_NAME_MAX + 1];
    int err = 0;

    for (size_t i = 0; i < DIRECTORIES && err == 0; i++)
        err = disk_mkdir(disk, directories[i]);
    for (unsigned i = 0; i < 256 && err == 0; i++) {
        snprintf(name, sizeof name, "objects/%02x", i);
        err = disk_mkdir(disk, name);
    }
    if (err == 0)
        err = disk_sync_dir(disk, "objects");
    return err < 0 ? err : disk_sync_dir(disk, "");
}

int pool_dir_create(struct disk *disk, const struct pool_identity *identity, char why[POOL_WHY])
{
    char text[POOL_TEXT_MAX];
    struct pool_identity there;
    int err = pool_dir_identity(disk, &there, why);

    if (err != -ENOENT)
        return err < 0 ? err : fail(-EEXIST, why, "it is a pool already");
    int fresh = is_fresh(disk);

    if (fresh == 0)
        return fail(-ENOTEMPTY, why, "it is not empty and no pool; give an empty directory");
    err = fresh < 0 ? fresh : make_directories(disk);
    if (err == 0)
        err = pool_file_put(disk, 0, POOL_IDENTITY_FILE, text, pool_identity_encode(identity, text),
                            POOL_PUT);
    if (err == -EEXIST)
        return fail(err, why, "it has just become somebody else's pool");
    return err < 0 ? fail(err, why, "cannot make the pool: %s", strerror(-err)) : 0;
}

/* ---- nodes ---- */

/* Was this number ever given out? 1, 0 or -errno. */
static int is_node(struct disk *disk, unsigned node)
{
    char name[DISK_NAME_MAX + 1];

    pool_node_path(node, "node", name);
    int exists = pool_file_exists(disk, name);

    return exists ? exists : pool_node_is_retired(disk, node);
}

struct highest {
    struct disk *disk;
    unsigned above, found; /* the highest node above that */
};

/* Finds the highest number that is a node, above h->above. */
static int find_highest(const char *name, void *ctx)
{
    struct highest *h = ctx;
    uint64_t n;

    if (pool_file_number(name, 4, &n) < 0 || n <= h->above || n <= h->found || n > POOL_NODE_MAX)
        return 0;
    int taken = is_node(h->disk, (unsigned)n);

    if (taken == 1)
        h->found = (unsigned)n;
    return taken < 0 ? taken : 0;
}

/* Raises *node as long as the next number is a node. */
static int probe(struct disk *disk, unsigned *node)
{
    int taken = 1;

    while (taken == 1 && *node < POOL_NODE_MAX) {
        taken = is_node(disk, *node + 1);
        *node += taken == 1;
    }
    return taken < 0 ? taken : 0;
}

/* A listing may leave names out, but what it has is there. A listed number above the last one that
 * was found by asking was added just now, or shows that one in between is lost. */
int pool_dir_nodes(struct disk *disk, unsigned *ret_count)
{
    struct highest h = {.disk = disk};
    unsigned n = 0;
    int err = probe(disk, &n);

    h.above = n;
    if (err == 0)
        err = disk_list(disk, "nodes", find_highest, &h);
    if (err == 0 && h.found)
        err = probe(disk, &n);
    if (err < 0)
        return err == -ENOENT ? -EUCLEAN : err;
    if (n < h.found)
        return -EUCLEAN;
    *ret_count = n;
    return 0;
}

/* Syncs what the next number builds on: the pool, and the node before it. */
static int sync_below(struct disk *disk, unsigned node)
{
    char name[DISK_NAME_MAX + 1];
    int err = disk_sync_dir(disk, "");

    pool_node_path(node - 1, "", name);
    if (err == 0 && node > 1)
        err = disk_sync_dir(disk, name);
    return err;
}

/* Is that node this very store, since an earlier attempt was done whose answer was lost? Its token
 * tells. 1, 0 or -errno. */
static int is_taken_by(struct disk *disk, const struct pool_who *who)
{
    struct pool_who there;
    int err = pool_node_read(disk, who->node, &there);

    if (err < 0)
        return err == -ENOENT || err == -EUCLEAN || err == -EPROTO ? 0 : err;
    return memcmp(there.token, who->token, sizeof there.token) == 0;
}

/* Makes the directory of node who->node, and puts its file "node". -EEXIST: another store has this
 * number. */
static int take_number(struct disk *disk, struct pool_who *who)
{
    char name[DISK_NAME_MAX + 1], text[POOL_TEXT_MAX];
    int err = sync_below(disk, who->node);

    pool_node_path(who->node, "", name);
    if (err == 0)
        err = disk_mkdir(disk, name);
    pool_node_path(who->node, "slots", name);
    if (err == 0)
        err = disk_mkdir(disk, name);
    if (err == 0)
        err = disk_sync_dir(disk, "nodes");
    pool_node_path(who->node, "node", name);
    if (err == 0)
        err = pool_file_put(disk, who->node, name, text, pool_who_encode(who, text), POOL_PUT);
    if (err != -EEXIST)
        return err;
    int taken = is_taken_by(disk, who);

    return taken == 1 ? pool_node_settle(disk, who->node) : taken < 0 ? taken : -EEXIST;
}

/* Tries one number after the other until one is free. */
static int join(struct disk *disk, struct pool_who *who)
{
    unsigned n;
    int err = pool_dir_nodes(disk, &n);

    if (err < 0)
        return err;
    do {
        if (n == POOL_NODE_MAX)
            return -ENOSPC;
        who->node = ++n;
        err = take_number(disk, who);
    } while (err == -EEXIST);
    return err;
}

int pool_dir_join(struct disk *disk, struct pool_who *who, char why[POOL_WHY])
{
    struct pool_who mine = *who;
    int err = join(disk, &mine);

    if (err == -ENOSPC && mine.node == POOL_NODE_MAX)
        return fail(err, why, "it has had %u members, which is as many as it can", POOL_NODE_MAX);
    if (err == -EUCLEAN)
        return fail(err, why, "its directory nodes is damaged");
    if (err < 0)
        return fail(err, why, "cannot join it: %s", strerror(-err));
    *who = mine;
    return 0;
}

int pool_node_read(struct disk *disk, unsigned node, struct pool_who *ret)
{
    char name[DISK_NAME_MAX + 1], text[POOL_TEXT_MAX];
    size_t len;

    pool_node_path(node, "node", name);
    int err = pool_file_get(disk, name, text, sizeof text, &len);

    return err < 0 ? err : pool_who_decode(text, len, node, ret);
}

int pool_node_settle(struct disk *disk, unsigned node)
{
    char name[DISK_NAME_MAX + 1];

    pool_node_path(node, "", name);
    return disk_sync_dir(disk, name);
}

int pool_node_write(struct disk *disk, const struct pool_who *who)
{
    char name[DISK_NAME_MAX + 1], text[POOL_TEXT_MAX];

    pool_node_path(who->node, "node", name);
    return pool_file_put(disk, who->node, name, text, pool_who_encode(who, text), POOL_REPLACE);
}

int pool_node_is_retired(struct disk *disk, unsigned node)
{
    char name[DISK_NAME_MAX + 1];

    pool_node_path(node, "retired", name);
    return pool_file_exists(disk, name);
}

int pool_head_read(struct disk *disk, unsigned node, struct pool_head *ret)
{
    char name[DISK_NAME_MAX + 1];
    uint8_t bytes[HEAD_READ_MAX];
    size_t len;

    pool_node_path(node, "head", name);
    int err = pool_file_get(disk, name, bytes, sizeof bytes, &len);

    return err < 0 ? err : pool_head_decode(bytes, len, node, ret);
}

/* ---- removing ---- */

struct cleaning {
    struct disk *disk;
    const char *dir;    /* without the last slash */
    const char *prefix; /* prefix of the names to remove; "": all */
};

/* Removes a file whose name begins with the prefix. */
static int unlink_matching(const char *name, void *ctx)
{
    const struct cleaning *c = ctx;
    char path[2 * DISK_NAME_MAX];

    if (strncmp(name, c->prefix, strlen(c->prefix)) != 0)
        return 0;
    snprintf(path, sizeof path, "%s/%s", c->dir, name);
    return pool_file_unlink(c->disk, path);
}

/* Removes the files in a directory of the node whose names begin with `prefix`. */
static int clean(struct disk *disk, unsigned node, const char *sub, const char *prefix)
{
    char dir[DISK_NAME_MAX + 1];
    struct cleaning c = {disk, dir, prefix};

    pool_node_path(node, sub, dir);
    int err = disk_list(disk, dir, unlink_matching, &c);

    return err == -ENOENT ? 0 : err;
}

int pool_node_tidy(struct disk *disk, unsigned node)
{
    return clean(disk, node, "", "tmp.");
}

int pool_node_clear(struct disk *disk, unsigned node)
{
    static const char *const parts[] = {"head", "base.", "delta.", "tmp."};
    int err = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts && err == 0; i++)
        err = clean(disk, node, "", parts[i]);
    return err < 0 ? err : clean(disk, node, "slots", "");
}

int pool_node_retire(struct disk *disk, unsigned node)
{
    static const char text[] = "tallyfs pool retired 1\n";
    char name[DISK_NAME_MAX + 1];

    pool_node_path(node, "retired", name);
    int err = pool_file_put(disk, node, name, text, sizeof text - 1, POOL_PUT);

    pool_node_path(node, "", name);
    if (err == -EEXIST) /* another process put it, perhaps not durably yet */
        err = disk_sync_dir(disk, name);
    return err;
}
