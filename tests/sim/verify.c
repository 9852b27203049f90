// SPDX-License-Identifier: Apache-2.0
/*
 * verify: what must hold at every step, and what must come true once faults have stopped.
 */
#include "sim.h"
#include "pool_held.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is named ---- */

struct named {
    struct id *keys;
    size_t count, room;
};

typedef void named_fn(struct node *n, uint64_t number, const struct entry *e, void *ctx);

/* Every place that the committed tables of a node name. */
static void each_named(struct node *n, named_fn *fn, void *ctx)
{
    static const unsigned tables[] = {TABLE_OBJECTS, TABLE_DYING};
    struct kv_snap *s;

    CHECK_OK(kv_snap_begin(n->kv, &s));
    for (size_t i = 0; i < 2; i++) {
        const void *key, *val;
        size_t klen, len;
        uint8_t at[KV_KEY_MAX];
        int err = kv_snap_seek(s, tables[i], NULL, 0, false, &key, &klen, &val, &len);
        while (err == 0) {
            struct entry e;
            CHECK_OK(entry_decode(val, len, &e));
            memcpy(at, key, klen);
            if (entry_is_sealed(&e))
                fn(n, klen == 8 ? get_be64(key) : 0, &e, ctx);
            err = kv_snap_seek(s, tables[i], at, klen, true, &key, &klen, &val, &len);
        }
        CHECK(err == -ENOENT);
    }
    kv_snap_end(s);
}

static int check_file(const struct entry *e)
{
    char name[DISK_NAME_MAX + 1], hex[ID_HEX + 1];
    struct disk_file *file;
    struct disk_stat st;
    int err;

    id_to_hex(&e->id, hex);
    snprintf(name, sizeof name, "objects/%.2s/%s.%016llx", hex, hex, (unsigned long long)e->where);
    err = disk_open(sim.pool, name, DISK_READ, &file);
    if (err < 0)
        return err;
    err = disk_fstat(file, &st);
    disk_file_close(file);
    return err < 0 ? err : st.size == e->size ? 0 : -EUCLEAN;
}

static int check_record(const struct entry *e)
{
    static uint8_t buf[PACK_RECORD_MAX];
    struct pack_place place = pack_place_of(e);
    char name[DISK_NAME_MAX + 1];
    struct disk_file *file;
    int err;

    pack_name(e->where, name);
    err = disk_open(sim.pool, name, DISK_READ, &file);
    if (err < 0)
        return err;
    err = packs_check_record(file, &place, &e->id, buf, (uint32_t)e->size);
    disk_file_close(file);
    return err;
}

static void check_place(struct node *n, uint64_t number, const struct entry *e, void *ctx)
{
    int err = e->kind == ENTRY_FILE ? check_file(e) : check_record(e);
    char hex[ID_HEX + 1];

    (void)ctx;
    sim.count.checks++;
    sim.count.dedup += pool_number_node(e->where) != n->number;
    if (err == 0)
        return;
    id_to_hex(&e->id, hex);
    fail(__FILE__, __LINE__, "node %u: object %llu (%s, %s %016llx %u), count %u: its bytes: %s",
         n->number, (unsigned long long)number, hex, e->kind == ENTRY_FILE ? "file" : "pack",
         (unsigned long long)e->where, e->offset, e->count, strerror(-err));
}

void verify_named(void)
{
    for (unsigned i = 0; i < sim.nodes; i++)
        if (sim.node[i].p)
            each_named(&sim.node[i], check_place, NULL);
}

/* ---- what is garbage ---- */

static void add_key(struct node *n, uint64_t number, const struct entry *e, void *ctx)
{
    struct named *named = ctx;

    (void)n, (void)number;
    if (named->count == named->room) {
        named->room = named->room ? 2 * named->room : 64;
        named->keys = realloc(named->keys, named->room * sizeof *named->keys);
        CHECK(named->keys);
    }
    named->keys[named->count++] = pool_key(e);
}

static int by_key(const void *a, const void *b)
{
    return id_compare(a, b);
}

/* How many keys are held that nobody names. */
static size_t count_garbage(uint64_t *ret_unindexed)
{
    char why[POOL_WHY];
    struct named named = {0};
    struct pool_held held;
    size_t garbage = 0;

    for (unsigned i = 0; i < sim.nodes; i++)
        if (sim.node[i].p)
            each_named(&sim.node[i], add_key, &named);
    if (named.count)
        qsort(named.keys, named.count, sizeof *named.keys, by_key);
    CHECK_OK(pool_held_list(sim.pool, NULL, NULL, &held, why));
    for (size_t i = 0; i < held.count; i++)
        garbage += named.count == 0 ||
                   !bsearch(&held.keys[i].key, named.keys, named.count, sizeof *named.keys, by_key);
    *ret_unindexed = held.unindexed;
    pool_held_release(&held);
    free(named.keys);
    return garbage;
}

static void stop_faults(void)
{
    sim.quiet = true;
    for (unsigned i = 0; i < sim.nodes; i++) {
        struct node *n = &sim.node[i];
        n->eye.fail_in = n->eye.short_list = 0;
        n->clock.skew = 0;
        n->eye.sees = EYE_NOW;
        if (n->still)
            member_go_on(n, 0);
    }
}

/* Everybody flushes and reports; one runs a cycle. */
static void round_of_all(unsigned turn, bool retire)
{
    struct node *n;

    for (unsigned i = 0; i < sim.nodes; i++) {
        n = &sim.node[i];
        if (!n->p)
            continue;
        CHECK_OK(flush_drain(n->p, true, -1, NULL));
        member_work(n, WORK_REPORT, 0);
        CHECK_OK(n->result);
    }
    n = &sim.node[turn % sim.nodes];
    while (!n->p)
        n = &sim.node[n->number % sim.nodes];
    for (unsigned i = 0; i < sim.nodes && retire; i++)
        if (sim.node[i].gone && !sim.node[i].retired)
            (void)member_retire(n, &sim.node[i]);
    member_work(n, WORK_CYCLE, 0);
    if (n->result != -EBUSY) /* who held the lease has gone, and that takes a while to be seen */
        CHECK_OK(n->result);
}

#define ROUNDS_MAX 24

void verify_all_goes(void)
{
    uint64_t unindexed = 0;
    size_t garbage = 1;

    say("faults stop");
    stop_faults();
    for (unsigned i = 0; i < sim.nodes; i++)
        if (sim.node[i].p)
            model_compare(&sim.node[i]);
    for (unsigned round = 0; round < ROUNDS_MAX && garbage; round++) {
        sim.time += GRACE + NSEC_PER_SEC;
        round_of_all(round / 4, round > 0);
        verify_named();
        garbage = count_garbage(&unindexed);
        say("round %u: %zu held and not named, %llu packs not listed", round, garbage,
            (unsigned long long)unindexed);
    }
    for (unsigned i = 0; i < sim.nodes; i++)
        CHECK(sim.node[i].p || sim.node[i].retired);
    if (garbage)
        fail(__FILE__, __LINE__, "%zu objects that nobody names stay", garbage);
    for (unsigned i = 0; i < sim.nodes; i++)
        if (sim.node[i].p)
            model_compare(&sim.node[i]);
}
