// SPDX-License-Identifier: Apache-2.0
/* store_pool: see the header. pool_dir.h describes what is in a pool. */
#include "store_pool.h"
#include "beneath.h"
#include "disk_route.h"
#include "io.h"
#include "pool_dir.h"
#include "pool_file.h"
#include "shard_traffic.h"
#include "store_own.h"
#include "store_pool_place.h"
#include "strbuf.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLAIM "life."

_Static_assert(sizeof(((struct pool_member *)0)->token) == POOL_TOKEN_LEN, "a token");

__attribute__((format(printf, 3, 4))) static int fail(int err, char why[STORE_WHY], const char *fmt,
                                                      ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, STORE_WHY, fmt, args);
    va_end(args);
    return err;
}

static int make_token(uint8_t token[POOL_TOKEN_LEN])
{
    return getrandom(token, POOL_TOKEN_LEN, 0) == POOL_TOKEN_LEN ? 0 : -EIO;
}

static int write_home(int dirfd, const struct pool_home *h)
{
    char text[POOL_TEXT_MAX];
    size_t len = pool_home_encode(h, text);

    return io_write_file(dirfd, STORE_POOL_FILE, text, len, 0600);
}

/* ---- joining ---- */

/* Checks the features that the members agreed on when the pool was made. One of them says whether
 * the pool is on a shard. Its files must not be used as a directory as well, as through a mount of
 * a bucket: there they would be changed in place. */
static int check_features(const struct pool_identity *i, const struct pool_home *home, bool writes,
                          char why[STORE_WHY])
{
    bool on_shard = i->features.mask[FEATURE_INCOMPATIBLE] & FEATURE_POOL_ON_SHARD;
    char uses[FEATURES_WHY];

    if (features_check(&i->features, writes, uses) < 0)
        return fail(-EPROTO, why,
                    "the pool %s was made by a newer version of tally: it uses %s, which this one "
                    "does not know",
                    home->path, uses);
    if (i->features.mask[FEATURE_INCOMPATIBLE] & FEATURE_COMPRESSED_RECORDS)
        return fail(-EPROTO, why,
                    "the pool %s was made by a newer version of tally: its records may be "
                    "compressed, and members of this version do not read such ones",
                    home->path);
    if (on_shard == home->is_shard)
        return 0;
    return fail(-EPROTO, why,
                on_shard
                    ? "the pool %s is on a shard, and cannot be used as a directory: give the "
                      "URL by which it was made"
                    : "the pool %s is a directory, and cannot be used as a shard: give dir:PATH",
                home->path);
}

/* Reads the identity of the pool, or makes the pool. If two processes make it at the same time, the
 * slower one joins. */
static int identify_or_create(struct disk *disk, const struct pool_home *home,
                              struct pool_identity *ret, char why[STORE_WHY])
{
    char reason[POOL_WHY] = "";
    int err = pool_dir_identity(disk, ret, reason);

    if (err == -ENOENT) {
        err = pool_identity_make(ret);
        if (home->is_shard)
            store_pool_features(&ret->features);
        if (err == 0)
            err = pool_dir_create(disk, ret, reason);
        if (err == -EEXIST)
            err = pool_dir_identity(disk, ret, reason);
    }
    return err < 0 ? fail(err, why, "cannot use %s as a pool: %s", home->path,
                          *reason ? reason : strerror(-err))
                   : 0;
}

/* Takes a new number as a node, with a first token. */
static int join(struct disk *disk, const char *label, struct pool_home *home, char why[STORE_WHY])
{
    struct pool_who who = {.incarnation = 1, .when = clock_now(clock_real())};
    char reason[POOL_WHY] = "";
    int err = make_token(who.token);

    snprintf(who.label, sizeof who.label, "%s", label);
    if (err == 0)
        err = pool_dir_join(disk, &who, reason);
    if (err < 0)
        return fail(err, why, "cannot join the pool %s: %s", home->path,
                    *reason ? reason : strerror(-err));
    home->node = who.node;
    home->incarnation = who.incarnation;
    memcpy(home->token, who.token, sizeof home->token);
    memcpy(home->before, who.token, sizeof home->before);
    return 0;
}

bool store_pool_is_shard(const char *url)
{
    return strncmp(url, STORE_POOL_DIRECTORY, strlen(STORE_POOL_DIRECTORY)) != 0;
}

void store_pool_features(struct features *f)
{
    features_use(f, FEATURE_INCOMPATIBLE, FEATURE_POOL_ON_SHARD, FEATURE_POOL_ON_SHARD_NAME);
}

/* Joins the pool on that disk, and writes STORE/pool. */
static int join_on(int dirfd, struct disk *disk, const char *label, struct pool_home *home,
                   struct id_key *ret_key, char why[STORE_WHY])
{
    struct pool_identity identity;
    int err = identify_or_create(disk, home, &identity, why);

    if (err == 0)
        err = check_features(&identity, home, true, why);
    if (err == 0)
        err = join(disk, label, home, why);
    if (err < 0)
        return err;
    memcpy(home->id, identity.id, sizeof home->id);
    *ret_key = identity.key;
    err = write_home(dirfd, home);
    if (err == 0)
        return 0;
    store_pool_leave(disk, home);
    return fail(err, why, "cannot write the store's file " STORE_POOL_FILE ": %s", strerror(-err));
}

int store_pool_join(int dirfd, struct disk *own, const char *url, const char *label, unsigned flags,
                    char why[STORE_WHY], struct disk **ret_disk, struct pool_home *ret_home,
                    struct id_key *ret_key)
{
    CLEANUP_CLOSE int fd = -1;
    struct pool_home home = {.incarnation = 1};
    struct disk *disk = NULL;
    int err = pool_place_find(dirfd, url, &home, why);

    if (err < 0)
        return err;
    *why = '\0';
    err = pool_place_open(&home, own, flags, true, &fd, &disk, why);
    if (err < 0)
        return *why ? err
                    : fail(err, why, "cannot open the pool %s: %s", home.path, strerror(-err));
    err = join_on(dirfd, disk, label, &home, ret_key, why);
    if (err < 0) {
        disk_close(disk);
        return err;
    }
    *ret_disk = disk;
    *ret_home = home;
    return 0;
}

void store_pool_leave(struct disk *disk, const struct pool_home *home)
{
    if (pool_node_retire(disk, home->node) == 0)
        (void)pool_node_clear(disk, home->node); /* else a cycle of another node does it */
}

/* ---- is it our pool, and are we its node? ---- */

/* Reads STORE/pool, with a sentence for each error. */
static int read_home(struct store_dir *s, const char *path, struct pool_home *ret,
                     char why[STORE_WHY])
{
    CLEANUP_FREE char *text = NULL;
    size_t len;
    int err = io_read_file(s->dirfd, STORE_POOL_FILE, POOL_TEXT_MAX, &text, &len);

    if (err == 0)
        err = pool_home_decode(text, len, ret);
    if (err == -EPROTO)
        return fail(err, why, "the store %s was written by a newer version of tally", path);
    if (err == -EUCLEAN || err == -EFBIG)
        return fail(-EUCLEAN, why, "the file %s/" STORE_POOL_FILE " is damaged", path);
    return err < 0 ? fail(err, why, "cannot read %s/" STORE_POOL_FILE ": %s", path, strerror(-err))
                   : 0;
}

/* Is the pool at that path the one that the store was made with? Sets s->pool.key. */
static int check_pool(struct store_dir *s, const char *path, const struct pool_home *home,
                      bool writes, char why[STORE_WHY])
{
    struct pool_identity identity;
    char reason[POOL_WHY] = "";
    int err = pool_dir_identity(s->pool.disk, &identity, reason);

    if (err < 0)
        return fail(err, why, "the pool of the store %s is not at %s: %s", path, home->path,
                    reason);
    if (memcmp(identity.id, home->id, sizeof home->id) != 0)
        return fail(-ESTALE, why,
                    "the pool at %s is another one than that of the store %s; put back the right "
                    "one",
                    home->path, path);
    s->pool.key = identity.key;
    return check_features(&identity, home, writes, why);
}

/* Did the last opening reach step 7? */
static bool is_entered(const struct pool_home *home)
{
    return memcmp(home->token, home->before, sizeof home->token) == 0;
}

/* Says which of the two was restored from a backup, or is a copy: the store, or the pool, which has
 * the incarnation `incarnation` of the node. -ESTALE. */
static int stale(const char *path, const struct pool_home *home, uint32_t incarnation,
                 char why[STORE_WHY])
{
    if (incarnation >= home->incarnation)
        return fail(-ESTALE, why,
                    "the store %s is a copy, or was restored from a backup: in the pool %s another "
                    "one goes on as node %u; make a new store, and copy the files from there",
                    path, home->path, home->node);
    return fail(-ESTALE, why,
                "the pool %s is older than the store %s, as one that was restored from a backup%s; "
                "nothing was changed: put back the pool as it was when the store was last in use",
                home->path, path,
                is_entered(home) ? "" : ", or another copy of the store was opened since");
}

/* Step 2: is the store the node, and not retired? *ret_who is the node as the pool has it. */
static int check_node(struct store_dir *s, const char *path, const struct pool_home *home,
                      struct pool_who *ret_who, char why[STORE_WHY])
{
    int retired = pool_node_is_retired(s->pool.disk, home->node), err;

    if (retired == 1)
        return fail(-ESTALE, why,
                    "the store %s was retired as node %u of the pool %s: what it needs there may "
                    "be gone; make a new store",
                    path, home->node, home->path);
    err = retired < 0 ? retired : pool_node_read(s->pool.disk, home->node, ret_who);
    if (err < 0)
        return fail(err, why, "the pool %s does not know node %u, the store %s: %s", home->path,
                    home->node, path, err == -EUCLEAN ? "its file is damaged" : strerror(-err));
    if (memcmp(ret_who->token, home->token, POOL_TOKEN_LEN) != 0 &&
        memcmp(ret_who->token, home->before, POOL_TOKEN_LEN) != 0)
        return stale(path, home, ret_who->incarnation, why);
    return 0;
}

/* ---- a new incarnation ---- */

/* Step 1. If the pool's disk knows no locks, as one on a shard, the tokens alone decide. */
static int lock_node(struct store_dir *s, int poolfd, const char *path,
                     const struct pool_home *home, char why[STORE_WHY])
{
    char name[DISK_NAME_MAX + 1];

    if (home->is_shard)
        return 0;
    pool_node_path(home->node, "lock", name);
    s->nodefd = beneath_open(poolfd, name, O_RDWR | O_CREAT, 0600);
    if (s->nodefd < 0)
        return fail(s->nodefd, why, "the pool %s cannot be written: %s", home->path,
                    strerror(-s->nodefd));
    if (flock(s->nodefd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    return fail(-EBUSY, why,
                "a copy of the store %s is in use as node %u of the pool %s; only one of them can "
                "be it",
                path, home->node, home->path);
}

#define CLAIM_MAX (2 * POOL_TOKEN_LEN + 1) /* bytes: the token in hex, and a newline */

/* What a claim has in it: nothing in a directory, and the token on a shard. */
static size_t claim_text(const struct pool_home *home, char out[CLAIM_MAX + 1])
{
    size_t len = 0;

    *out = '\0';
    for (size_t i = 0; home->is_shard && i < POOL_TOKEN_LEN; i++)
        len += (size_t)snprintf(out + len, CLAIM_MAX + 1 - len, "%02x%s", home->token[i],
                                i + 1 < POOL_TOKEN_LEN ? "" : "\n");
    return len;
}

/* Is the claim of that name an attempt of this very opening, whose answer was lost? Its token
 * tells. 1, 0 or -errno. */
static int is_own_claim(struct disk *pool, const struct pool_home *home, const char *name)
{
    char want[CLAIM_MAX + 1], text[CLAIM_MAX + 2];
    size_t len, want_len = claim_text(home, want);
    int err = want_len ? pool_file_get(pool, name, text, sizeof text, &len) : -EUCLEAN;

    return err == 0 ? len == want_len && memcmp(text, want, len) == 0 : err == -EUCLEAN ? 0 : err;
}

/* Step 4. -EEXIST: another opening has claimed this incarnation. */
static int claim_incarnation(struct disk *pool, const struct pool_home *home)
{
    char claim[16], name[DISK_NAME_MAX + 1], text[CLAIM_MAX + 1];
    size_t len = claim_text(home, text);
    int err, own;

    snprintf(claim, sizeof claim, CLAIM "%05x", (unsigned)home->incarnation);
    pool_node_path(home->node, claim, name);
    err = pool_file_put(pool, home->node, name, text, len, POOL_PUT);
    if (err != -EEXIST)
        return err;
    own = is_own_claim(pool, home, name);
    return own == 1 ? 0 : own < 0 ? own : -EEXIST;
}

struct claims {
    struct disk *pool;
    const struct pool_home *home;
};

/* Removes a claim of an earlier incarnation. */
static int remove_claim(const char *name, void *ctx)
{
    const struct claims *c = ctx;
    char path[DISK_NAME_MAX + 1];
    uint64_t incarnation;

    if (strncmp(name, CLAIM, strlen(CLAIM)) != 0 ||
        pool_file_number(name + strlen(CLAIM), 5, &incarnation) < 0 ||
        incarnation >= c->home->incarnation)
        return 0;
    pool_node_path(c->home->node, name, path);
    return pool_file_unlink(c->pool, path);
}

/* Removes the claims of earlier incarnations. Errors are ignored, since the next opening removes
 * the rest. */
static void remove_claims(struct disk *pool, const struct pool_home *home)
{
    struct claims c = {pool, home};
    char dir[DISK_NAME_MAX + 1];

    pool_node_path(home->node, "", dir);
    (void)disk_list(pool, dir, remove_claim, &c);
}

/* Step 7. */
static int enter_incarnation(struct store_dir *s, struct pool_home *home)
{
    memcpy(home->before, home->token, sizeof home->before);
    return write_home(s->dirfd, home);
}

/* Steps 3 to 7, and the sync of step 2. Returns 1 if another opening is the node. */
static int begin_incarnation(struct store_dir *s, struct pool_home *home,
                             const struct pool_who *was)
{
    struct pool_who who = *was, now;
    int err = make_token(home->token);

    home->incarnation =
        (home->incarnation > was->incarnation ? home->incarnation : was->incarnation) + 1;
    memcpy(home->before, was->token, sizeof home->before);
    if (err == 0)
        err = pool_node_settle(s->pool.disk, home->node);
    if (err == 0)
        err = write_home(s->dirfd, home);
    if (err == 0)
        err = claim_incarnation(s->pool.disk, home);
    if (err == 0)
        err = pool_node_read(s->pool.disk, home->node, &now);
    if (err < 0)
        return err == -EEXIST ? 1 : err;
    if (memcmp(now.token, was->token, sizeof now.token) != 0)
        return 1;
    who.incarnation = home->incarnation;
    who.when = clock_now(clock_real());
    memcpy(who.token, home->token, sizeof who.token);
    err = pool_node_write(s->pool.disk, &who);
    if (err == 0)
        err = enter_incarnation(s, home);
    if (err == 0)
        err = pool_node_tidy(s->pool.disk, home->node);
    return err;
}

/* Locks the node and begins a new incarnation. */
static int become_node(struct store_dir *s, int poolfd, const char *path, struct pool_home *home,
                       struct pool_who *who, char why[STORE_WHY])
{
    int err = lock_node(s, poolfd, path, home, why), begun;

    if (err == 0)
        err = check_node(s, path, home, who, why); /* again, now that the lock excludes others */
    if (err < 0)
        return err;
    if (home->incarnation >= POOL_INCARNATION_MAX || who->incarnation >= POOL_INCARNATION_MAX)
        return fail(-EOVERFLOW, why,
                    "the store %s was opened %u times, which is as often as a "
                    "node of a pool can be; make a new one",
                    path, POOL_INCARNATION_MAX);
    begun = begin_incarnation(s, home, who);
    if (begun == 1)
        return stale(path, home, home->incarnation, why);
    if (begun < 0)
        return fail(begun, why, "the store %s cannot begin to use its pool %s: %s", path,
                    home->path, strerror(-begun));
    remove_claims(s->pool.disk, home);
    return 0;
}

/* ---- opening, closing ---- */

/* Checks the directories that only this node writes. Who may write to a shard is up to it. */
static int check_node_own(int poolfd, const struct pool_home *home, unsigned flags,
                          char why[STORE_WHY])
{
    char dir[DISK_NAME_MAX + 1], slots[DISK_NAME_MAX + 1];
    const char *const names[] = {dir, slots, NULL};

    if (home->is_shard)
        return 0;
    pool_node_path(home->node, "", dir);
    pool_node_path(home->node, "slots", slots);
    return store_own_check(poolfd, "pool", home->path, names, flags, why);
}

/* A reader goes as far as step 2 and writes nothing; only a writer becomes the node. */
int store_pool_open(struct store_dir *s, const char *path, unsigned flags, char why[STORE_WHY])
{
    CLEANUP_CLOSE int fd = -1;
    struct pool_home home;
    struct pool_who who;
    int err = read_home(s, path, &home, why);

    if (err < 0)
        return err;
    *why = '\0';
    err = pool_place_open(&home, s->own, flags, false, &fd, &s->pool.disk, why);
    if (err < 0 && *why)
        return err;
    if (err < 0)
        return fail(err, why, "the pool %s of the store %s %s", home.path, path,
                    err == -ENOENT ? "is missing; is its disk mounted? Where it was moved, leave a "
                                     "symlink to it"
                                   : strerror(-err));
    err = check_pool(s, path, &home, !(flags & STORE_READONLY), why);
    if (err == 0)
        err = check_node(s, path, &home, &who, why);
    if (err == 0)
        err = check_node_own(fd, &home, flags, why);
    if (err == 0 && !(flags & STORE_READONLY))
        err = become_node(s, fd, path, &home, &who, why);
    if (err < 0)
        return err;
    s->pool.node = home.node;
    s->pool.incarnation = home.incarnation;
    memcpy(s->pool.token, home.token, sizeof s->pool.token);
    if (home.is_shard)
        err = shard_meter_open(home.path, &s->pool.meter);
    if (err == 0)
        err = disk_route_open(s->own, s->pool.disk, home.node, &s->disk);
    return err < 0 ? fail(err, why, "cannot open %s: %s", path, strerror(-err)) : 0;
}

void store_pool_close(struct store_dir *s)
{
    disk_close(s->disk);
    disk_close(s->pool.disk);
    s->disk = s->pool.disk = NULL;
    shard_meter_close(s->pool.meter);
    s->pool.meter = NULL;
    if (s->nodefd >= 0)
        close(s->nodefd);
    s->nodefd = -1;
}
