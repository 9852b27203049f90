// SPDX-License-Identifier: Apache-2.0
/*
 * away: a store with two other shards in memory, "cold" (1) and "cool" (2), and a few words to put
 * files, and leaks, there. `nth` makes something happen right before the nth call to "cold".
 */
#pragma once

#include "check_fixture.h"
#include "move.h"
#include "shard_mem.h"
#include "shard_packs.h"
#include "shards.h"

struct away {
    struct fixture store;
    struct shard_mem *cold, *cool;
    uint64_t until; /* calls; 0: nothing happens */
    void (*then)(struct away *a);
};

static inline void away_call(void *ctx, int64_t ns)
{
    struct away *a = ctx;

    (void)ns;
    if (a->until && --a->until == 0)
        a->then(a);
}

static inline void nth(struct away *a, uint64_t calls, void (*then)(struct away *a))
{
    a->until = calls;
    a->then = then;
}

static inline void away_up(struct away *a)
{
    char why[SHARD_WHY];

    *a = (struct away){.until = 0};
    fixture_setup(&a->store);
    shard_mem_register();
    cr_assert_eq(shard_mem_create("cold", NULL, &a->cold), 0);
    cr_assert_eq(shard_mem_create("cool", NULL, &a->cool), 0);
    cr_assert_eq(shards_add(a->store.p->shards, 1, "mem:cold", why), 0, "%s", why);
    cr_assert_eq(shards_add(a->store.p->shards, 2, "mem:cool", why), 0, "%s", why);
    shard_mem_set_latency(a->cold, 1, away_call, a);
}

static inline void away_down(struct away *a)
{
    a->until = 0;
    if (a->store.p)
        fixture_teardown(&a->store);
    shard_mem_destroy(a->cold);
    shard_mem_destroy(a->cool);
}

/* ---- files ---- */

static inline uint64_t object_of(struct fixture *x, const char *path)
{
    uint64_t node = node_of(x, path);
    struct inode in;
    struct ns *ns;

    cr_assert(node, "no %s", path);
    cr_assert_eq(ns_get(x->p, vfs_node_ns(node), &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node), &in), 0);
    ns_put(x->p, ns);
    return refs_resolve(x->p->refs, in.object);
}

static inline struct entry place_of(struct fixture *x, const char *path)
{
    struct entry e;

    cr_assert_eq(refs_entry(x->p->refs, object_of(x, path), true, NULL, &e), 0);
    return e;
}

/* The files main/PREFIX<from … to-1> to that shard; how many went. */
static inline uint64_t send(struct fixture *x, const char *prefix, int from, int to, uint16_t shard)
{
    struct move_result r = {0};
    struct move *m;
    char path[64];

    cr_assert_eq(move_begin(x->p, NULL, shard, &m), 0);
    for (int i = from; i < to; i++) {
        snprintf(path, sizeof path, "main/%s%d", prefix, i);
        cr_assert_eq(move_one(m, object_of(x, path), NULL), 0, "%s", path);
    }
    cr_assert_eq(move_end(m, &r), 0);
    cr_assert_eq(r.failed, 0);
    return r.objects;
}

/* `text` (4096 bytes) gets a content of its own for each. */
static inline void away_text(int i, char text[4096])
{
    size_t n = 2900 + (size_t)(i % 7) * 41;
    uint64_t random = (uint64_t)i * 2654435761u + 99;

    for (size_t k = 0; k < n; k++)
        text[k] = (char)('a' + fault_random(&random) % 26);
    text[n] = 0;
}

static inline void make_files(struct fixture *x, int count)
{
    char path[64], text[4096];

    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "main/f%d", i);
        away_text(i, text);
        put_file(x, path, text);
    }
}

static inline ssize_t read_path(struct fixture *x, const char *path, void *buf, size_t room)
{
    struct vfs_file *f;
    ssize_t n;

    cr_assert_eq(vfs_open(x->p, node_of(x, path), 0, &f), 0, "%s", path);
    n = vfs_read(f, buf, room, 0);
    vfs_release(f);
    return n;
}

static inline void file_is(struct fixture *x, int i)
{
    char path[64], text[4096], got[4096] = "";

    snprintf(path, sizeof path, "main/f%d", i);
    away_text(i, text);
    cr_assert_eq(read_path(x, path, got, sizeof got - 1), (ssize_t)strlen(text), "%s", path);
    cr_assert_str_eq(got, text, "%s", path);
}

/* ---- what is on a shard ---- */

static inline struct shard *shard_of(const char *url)
{
    char why[SHARD_WHY];
    struct shard *s;

    cr_assert_eq(shard_open(url, 0, &s, why), 0, "%s", why);
    return s;
}

static inline void plant_name(const char *url, const char *name, const char *text)
{
    struct shard *s = shard_of(url);

    cr_assert_eq(shard_put(s, name, text, strlen(text)), 0, "%s", name);
    shard_close(s);
}

static inline bool is_on(const char *url, const char *name)
{
    struct shard *s = shard_of(url);
    uint64_t size;
    int err = shard_stat(s, name, &size);

    cr_assert(err == 0 || err == -ENOENT, "%s: %s", name, strerror(-err));
    shard_close(s);
    return err == 0;
}

/* A number that was given out for that shard and is nobody's. */
static inline uint64_t burnt_on(struct fixture *x, uint16_t shard)
{
    uint64_t number;

    cr_assert_eq(shards_new_number(x->p->shards, shard, &number), 0);
    return number;
}

static inline void drained(struct fixture *x)
{
    cr_assert_eq(project_drain(x->p, true, -1, NULL), 0);
}
