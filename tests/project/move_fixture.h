// SPDX-License-Identifier: Apache-2.0
/*
 * move_fixture: a store in memory with two shards in memory, "mem:cold" (1) and "mem:other" (2), and
 * files of known contents: small ones (records of packs) and large ones (files of their own).
 */
#pragma once

#include "check_fixture.h"
#include "move.h"
#include "shard_mem.h"
#include "shard_packs.h"
#include "shards.h"

struct world {
    struct fixture x;
    struct shard_mem *cold, *other;
};

#define LARGE 300000u
#define DAYS (24 * 3600 * NSEC_PER_SEC)

/* A content of its own for each seed. */
static inline void fill(uint8_t *buf, size_t len, uint64_t seed)
{
    uint64_t random = seed * 2654435761u + 12345;

    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)fault_random(&random);
}

static inline void put_bytes(struct world *w, const char *path, size_t len, uint64_t seed)
{
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    uint8_t *buf = malloc(len + 1);
    uint64_t dir = parent_of(&w->x, path, &name);

    fill(buf, len, seed);
    cr_assert_eq(vfs_create(w->x.p, dir, name, 0644, &fixture_cred, VFS_WRITE | VFS_TRUNC, &a, &f),
                 0, "%s", path);
    for (size_t done = 0; done < len;) {
        size_t n = len - done < 100000 ? len - done : 100000;
        cr_assert_eq(vfs_write(f, buf + done, n, done), (ssize_t)n);
        done += n;
    }
    vfs_release(f);
    vfs_forget(w->x.p, a.nodeid, 1);
    free(buf);
}

/* What reading it gives: 0, or the error. The bytes must be those of the seed. */
static inline int try_bytes(struct world *w, const char *path, size_t len, uint64_t seed)
{
    uint8_t *buf = malloc(len + 1), *want = malloc(len + 1);
    uint64_t node = node_of(&w->x, path);
    struct vfs_file *f;
    ssize_t n;

    cr_assert(node, "no %s", path);
    fill(want, len, seed);
    cr_assert_eq(vfs_open(w->x.p, node, 0, &f), 0, "%s", path);
    n = vfs_read(f, buf, len + 1, 0);
    vfs_release(f);
    if (n >= 0) {
        cr_assert_eq((size_t)n, len, "%s has %zd bytes", path, n);
        cr_assert_eq(memcmp(buf, want, len), 0, "%s has other bytes", path);
    }
    free(buf);
    free(want);
    return n < 0 ? (int)n : 0;
}

static inline void has_bytes(struct world *w, const char *path, size_t len, uint64_t seed)
{
    cr_assert_eq(try_bytes(w, path, len, seed), 0, "%s", path);
}

static inline void make_dir(struct world *w, const char *path)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&w->x, path, &name);

    cr_assert_eq(vfs_mknod(w->x.p, dir, name, S_IFDIR | 0755, 0, &fixture_cred, &a), 0, "%s", path);
    vfs_forget(w->x.p, a.nodeid, 1);
}

static inline void settle(struct world *w)
{
    cr_assert_eq(project_drain(w->x.p, true, -1, NULL), 0);
}

/* The entry of the object that a file is. */
static inline uint64_t place_of(struct world *w, const char *path, struct entry *ret)
{
    char hex[ID_HEX + 1] = "";
    struct id id;
    uint64_t number;
    bool pending;

    cr_assert_eq(vfs_getxattr(w->x.p, node_of(&w->x, path), "user.tally.object", hex, sizeof hex),
                 ID_HEX, "%s", path);
    cr_assert_eq(id_from_hex(hex, &id), 0);
    cr_assert_eq(refs_find(w->x.p->refs, &id, &number, ret, &pending), 0, "%s", path);
    refs_unhold(w->x.p->refs, number);
    return number;
}

static inline unsigned shard_of(struct world *w, const char *path)
{
    struct entry e;

    (void)place_of(w, path, &e);
    return e.shard;
}

static inline uint64_t ghosts_on(struct world *w, uint16_t shard)
{
    uint64_t objects, bytes;

    cr_assert_eq(refs_ghosts_on(w->x.p->refs, shard, &objects, &bytes), 0);
    return objects;
}

/* Names below a directory of the shard, whatever state it is in. */
static inline int count_name(const char *name, uint64_t size, void *ctx)
{
    (void)name;
    (void)size;
    ++*(unsigned *)ctx;
    return 0;
}
static inline unsigned names_in(const char *url, const char *dir)
{
    char why[SHARD_WHY];
    struct shard *s;
    unsigned n = 0;

    cr_assert_eq(shard_open(url, SHARD_READONLY, &s, why), 0, "%s", why);
    cr_assert_eq(shard_list(s, dir, count_name, &n), 0);
    shard_close(s);
    return n;
}

static inline void world_up(struct world *w)
{
    fixture_setup(&w->x);
    clock_manual_advance(&w->x.clock, 20000 * DAYS);
    shard_mem_register();
    cr_assert_eq(shard_mem_create("cold", &w->x.fault, &w->cold), 0);
    cr_assert_eq(shard_mem_create("other", &w->x.fault, &w->other), 0);
    agreed(&w->x, "shard add 1 mem:cold", "ok shard=1 url=mem:cold");
    agreed(&w->x, "shard add 2 mem:other", "ok shard=2");
}

static inline void world_down(struct world *w)
{
    if (w->x.p)
        fixture_teardown(&w->x);
    shard_mem_destroy(w->cold);
    shard_mem_destroy(w->other);
}

/* The process dies, and another one opens the store. */
static inline void world_dies(struct world *w)
{
    project_abandon(w->x.p);
    kv_close(w->x.kv);
    fixture_open(&w->x);
}
