// SPDX-License-Identifier: Apache-2.0
/* Claims of objects.h and packs.h about stores that share a pool: `here` and `there` put bytes on
 * one disk; what there has, here is told by a list that a test makes. */
#include "objects_batch.h"
#include "disk_route.h"
#include "pool_format.h"
#include "shard_mem.h"
#include "warehouse.h"

#include <stdio.h>
#include <stdlib.h>

#define LARGE (300 * 1024)
#define TOLD 4

static struct fault fault;
static struct disk *pool, *own[2];
static struct warehouse here, there;
static struct entry told[TOLD];
static unsigned tellings;

static int find(void *ctx, const struct id *id, uint64_t size, unsigned nth, struct entry *ret)
{
    (void)ctx;
    for (unsigned i = 0; i < tellings; i++)
        if (id_equal(&told[i].id, id) && told[i].size == size && nth-- == 0) {
            *ret = told[i];
            return 0;
        }
    return -ENOENT;
}

static void join(struct warehouse *w, unsigned node)
{
    static const struct kv_table names[] = {{.name = "objects"},
                                            {.name = "ids"},
                                            {.name = "dying"},
                                            {.name = "pins"},
                                            {.name = "packs"},
                                            {.name = "ghosts"},
                                            {.name = "shards", .checks_itself = true},
                                            {.name = "shard_packs"}};
    struct objects_pool p = {.find = find, .prefix = pool_number(node, 1, 0)};
    struct objects_config c;
    struct shards_config sc;
    char dir[DISK_NAME_MAX + 1];

    *w = (struct warehouse){.next = {1, pool_number(node, 1, 1)}};
    memset(w->key.secret, 7, sizeof w->key.secret);
    snprintf(dir, sizeof dir, "nodes/%04x", node);
    cr_assert_eq(disk_mkdir(pool, dir), 0);
    cr_assert_eq(disk_mem_create(NULL, 0, &own[node - 1]), 0);
    cr_assert_eq(disk_route_open(own[node - 1], pool, node, &w->disk), 0);
    cr_assert_eq(blob_init(w->disk), 0);
    cr_assert_eq(kv_mem_create(NULL, &w->mem), 0);
    cr_assert_eq(kv_open_mem(w->mem, names, 8, KV_CREATE, &w->kv), 0);
    cr_assert_eq(packs_open(w->disk, w->kv, 4, 7, w->next[1], NULL, NULL, &w->packs), 0);
    cr_assert_eq(refs_open(w->kv, &(struct refs_tables){0, 1, 2, 3, 5}, &w->key, 1, &w->refs), 0);
    clock_manual_init(&w->clock, 20000 * 24 * 3600 * NSEC_PER_SEC);
    sc = (struct shards_config){.kv = w->kv, .table = 6, .clock = &w->clock.base, .store = {1}};
    cr_assert_eq(shards_open(&sc, &w->shards), 0);
    c = (struct objects_config){.disk = w->disk,
                                .packs = w->packs,
                                .shards = w->shards,
                                .clock = &w->clock.base,
                                .refs = w->refs,
                                .key = &w->key,
                                .pool = &p};
    cr_assert_eq(objects_open(&c, &w->objects), 0);
}

static void setup(void)
{
    tellings = 0;
    cr_assert_eq(disk_mem_create(&fault, 0, &pool), 0);
    cr_assert_eq(disk_mkdir(pool, "nodes"), 0);
    cr_assert_eq(disk_mkdir(pool, "packs"), 0);
    join(&here, 1);
    join(&there, 2);
    report_reset();
}
static void teardown(void)
{
    warehouse_destroy(&here);
    warehouse_destroy(&there);
    disk_close(own[0]);
    disk_close(own[1]);
    disk_close(pool);
}

TestSuite(adopt, .init = setup, .fini = teardown);

static void fill(char seed, char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((size_t)seed * 31 + i * i / 7);
}

static uint64_t small(struct warehouse *w, char seed)
{
    uint64_t n = numbered(w), is;
    char bytes[500];

    fill(seed, bytes, sizeof bytes);
    cr_assert_eq(objects_seal_buffer(w->objects, n, bytes, sizeof bytes, COMPRESS_NOT, NULL, &is),
                 0);
    warehouse_commit(w);
    return is;
}

static uint64_t large(struct warehouse *w, char seed)
{
    uint64_t n = numbered(w), is;
    char *bytes = malloc(LARGE);
    struct blob *b;
    struct id id;

    cr_assert_not_null(bytes);
    fill(seed, bytes, LARGE);
    cr_assert_eq(blob_create_slot(w->disk, n, &b), 0);
    cr_assert_eq(blob_write(b, bytes, LARGE, 0), 0);
    free(bytes);
    cr_assert_eq(objects_hash_blob(w->objects, b, &id), 0);
    cr_assert_eq(objects_seal_blob(w->objects, n, b, &id, NULL, &is), 0);
    blob_unref(b);
    warehouse_commit(w);
    cr_assert_eq(blob_unlink_slot(w->disk, n), 0);
    return is;
}

static struct entry tell(struct warehouse *w, uint64_t number)
{
    told[tellings] = entry_of(w, number);
    return told[tellings++];
}

static bool at(struct warehouse *w, uint64_t number, const struct entry *place)
{
    struct entry e = entry_of(w, number);

    return e.kind == place->kind && e.where == place->where && e.offset == place->offset;
}

static bool sound(struct warehouse *w, uint64_t number)
{
    struct entry e = entry_of(w, number);

    return objects_verify(w->objects, &e) == 0;
}

static void let_go(struct warehouse *w, uint64_t number)
{
    cr_assert_eq(refs_unref(w->refs, number), 0);
    cr_assert_eq(warehouse_reclaim(w), 1);
}

static struct packs_stats packs_of(struct warehouse *w)
{
    struct packs_stats s;

    packs_get_stats(w->packs, &s);
    return s;
}

static uint64_t names(void)
{
    uint64_t bytes, n;

    disk_mem_usage(pool, &bytes, &n);
    return n;
}

/* ---- naming what others put ---- */

Test(adopt, bytes_that_another_store_has_are_not_stored_again)
{
    struct entry s = tell(&there, small(&there, 'a')), l = tell(&there, large(&there, 'b'));
    uint64_t before = names();

    cr_assert(at(&here, small(&here, 'a'), &s));
    cr_assert(at(&here, large(&here, 'b'), &l));
    cr_assert_eq(names(), before);
}

Test(adopt, numbers_of_packs_and_files_say_who_put_them)
{
    struct entry s = entry_of(&there, small(&there, 'a')), l = entry_of(&here, large(&here, 'b'));

    cr_assert_eq(s.where, pool_number(2, 1, 1));
    cr_assert_eq(l.where, pool_number(1, 1, 1));
    cr_assert_eq(entry_of(&here, large(&here, 'c')).where, pool_number(1, 1, 2));
}

Test(adopt, what_one_store_lets_go_of_the_other_reads)
{
    uint64_t s = small(&there, 'a'), l = large(&there, 'b'), mine[2];

    tell(&there, s);
    tell(&there, l);
    mine[0] = small(&here, 'a');
    mine[1] = large(&here, 'b');
    let_go(&there, s);
    let_go(&there, l);
    cr_assert(sound(&here, mine[0]) && sound(&here, mine[1]));
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(adopt, what_is_wanted_again_is_named_where_it_still_is)
{
    uint64_t keeps = small(&here, 'z'), n = small(&here, 'a');
    struct entry e = tell(&here, n);

    let_go(&here, n);
    n = small(&here, 'a');
    cr_assert(at(&here, n, &e) && sound(&here, n));
    cr_assert_eq(packs_of(&here).live_records, 2);
    let_go(&here, n);
    cr_assert_eq(packs_of(&here).live_records, 1);
    cr_assert(sound(&here, keeps));
}

static uint64_t bytes_held(void)
{
    uint64_t bytes, n;

    disk_mem_usage(pool, &bytes, &n);
    return bytes;
}

Test(adopt, what_is_let_go_of_is_not_kept_open)
{
    uint64_t n[2] = {small(&there, 'a'), large(&there, 'b')}, mine[2], before;
    struct entry s = tell(&there, n[0]), l = tell(&there, n[1]);
    char name[DISK_NAME_MAX + 1];

    mine[0] = small(&here, 'a');
    mine[1] = large(&here, 'b');
    cr_assert(sound(&here, mine[0]) && sound(&here, mine[1]));
    for (int i = 0; i < 2; i++)
        let_go(&here, mine[i]);
    objects_close(there.objects); /* so that only here could have them open */
    packs_close(there.packs);
    there.objects = NULL;
    there.packs = NULL;
    before = bytes_held();
    pack_name(s.where, name);
    cr_assert_eq(disk_unlink(pool, name), 0);
    cr_assert_leq(bytes_held(), before - 500);
    before = bytes_held();
    blob_object_name(&l.id, l.where, name);
    cr_assert_eq(disk_unlink(pool, name), 0);
    cr_assert_leq(bytes_held(), before - LARGE);
}

/* ---- passing over ---- */

Test(adopt, a_place_that_is_damaged_is_passed_over_without_an_alarm)
{
    struct entry s = tell(&there, small(&there, 'a')), l = tell(&there, large(&there, 'b'));
    char name[DISK_NAME_MAX + 1];

    pack_name(s.where, name);
    cr_assert_eq(disk_mem_flip(pool, name, s.offset + 200, 1), 0);
    blob_object_name(&l.id, l.where, name);
    cr_assert_eq(disk_mem_flip(pool, name, 200, 1), 0);
    uint64_t duration_ns = small(&here, 'a'), nl = large(&here, 'b');
    cr_assert(!at(&here, duration_ns, &s) && sound(&here, duration_ns));
    cr_assert(!at(&here, nl, &l) && sound(&here, nl));
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(adopt, a_place_that_is_gone_is_passed_over_and_the_next_one_taken)
{
    uint64_t first = large(&there, 'b');
    struct entry gone = entry_of(&there, first), next;
    char name[DISK_NAME_MAX + 1];

    let_go(&there, first);
    blob_object_name(&gone.id, gone.where, name);
    cr_assert_eq(disk_unlink(pool, name), 0);
    next = entry_of(&there, large(&there, 'b'));
    told[tellings++] = gone;
    told[tellings++] = next;
    cr_assert(next.where != gone.where && at(&here, large(&here, 'b'), &next));
}

Test(adopt, other_bytes_of_that_id_are_passed_over)
{
    struct entry lie = entry_of(&there, small(&there, 'b'));
    uint64_t n = small(&here, 'a');

    told[0] = lie;
    told[0].id = entry_of(&here, n).id;
    tellings = 1;
    let_go(&here, n);
    n = small(&here, 'a');
    cr_assert(!at(&here, n, &lie) && sound(&here, n));
}

/* ---- to another shard, and home ---- */

/* Where it was is let go of. */
static void name_copy(struct warehouse *w, uint64_t number, const struct entry *to)
{
    struct entry from = entry_of(w, number);

    cr_assert_eq(refs_relocate(w->refs, number, &from, to), 0);
    cr_assert_eq(refs_reclaim_place(w->refs, &from), 0);
    warehouse_reclaim(w);
}

static void go_out(struct warehouse *w, uint64_t number)
{
    struct entry from = entry_of(w, number), to;
    struct objects_batch *b;

    if (from.kind == ENTRY_FILE) {
        cr_assert_eq(objects_copy_file(w->objects, 1, 0, &from, NULL, &to), 0);
    } else {
        cr_assert_eq(objects_batch_begin(w->objects, &b), 0);
        cr_assert_eq(objects_batch_add(b, number, &from), 0);
        cr_assert_eq(objects_batch_load(b, NULL), 0);
        cr_assert_eq(objects_batch_put(b, 1), 0);
        to = objects_batch_get(b, 0)->to;
        objects_batch_end(b);
    }
    name_copy(w, number, &to);
}

static void go_home(struct warehouse *w, uint64_t number)
{
    struct entry from = entry_of(w, number), to;

    cr_assert_eq(warehouse_copy_home(w, &from, &to), 0);
    name_copy(w, number, &to);
}

Test(adopt, what_a_member_has_moved_elsewhere_the_others_have_in_the_pool_and_it_comes_back_beside)
{
    struct shard_mem *cold;
    char why[SHARD_WHY];
    uint64_t theirs[2] = {small(&there, 'a'), large(&there, 'b')}, mine[2];
    struct entry s = tell(&there, theirs[0]), l = tell(&there, theirs[1]);

    shard_mem_register();
    cr_assert_eq(shard_mem_create("cold", NULL, &cold), 0);
    cr_assert_eq(shards_add(here.shards, 1, "mem:cold", why), 0);
    mine[0] = small(&here, 'a');
    mine[1] = large(&here, 'b');
    for (int i = 0; i < 2; i++) {
        go_out(&here, mine[i]);
        cr_assert_eq(entry_of(&here, mine[i]).shard, 1);
        cr_assert(sound(&here, mine[i]) && sound(&there, theirs[i]));
        go_home(&here, mine[i]);
        cr_assert_eq(entry_of(&here, mine[i]).shard, 0);
        cr_assert(sound(&here, mine[i]) && sound(&there, theirs[i]));
        cr_assert(!at(&here, mine[i], i ? &l : &s));
    }
    cr_assert_eq(entry_of(&here, mine[1]).where, pool_number(1, 1, 1));
    cr_assert_eq(report_count(REPORT_ALARM), 0);
    shards_close(here.shards);
    here.shards = NULL;
    shard_mem_destroy(cold);
}
