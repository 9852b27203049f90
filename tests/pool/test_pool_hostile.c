// SPDX-License-Identifier: Apache-2.0
/*
 * A member of a pool who means harm: it writes well-formed files with untrue words into the pool,
 * puts others' files back as they were, and changes packs. What the others read is right or an
 * error, and they always come to an end. Each seed is a round of forgeries, one kind after the
 * other.
 */
#include "nodes_fixture.h"

#include "check.h"
#include "packs_impl.h"
#include "pool_file.h"
#include "pool_lease.h"
#include "pool_names.h"
#include "pool_report.h"
#include "view.h"

#define SEEDS 12
#define STEPS 12
#define LARGES 4
#define SMALLS 24
#define FILE_MAX (512 * 1024)
#define NAMES 256

static uint64_t chance;

static uint64_t any(uint64_t below)
{
    return fault_random(&chance) % below;
}

/* A number that could be meant, or one at an edge. */
static uint64_t any_number(void)
{
    static const uint64_t edges[] = {
        0, 1, 2, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};

    return any(2) ? edges[any(sizeof edges / sizeof *edges)] : any(8);
}

/* ---- the pool's files ---- */

struct names {
    const char *dir;
    size_t count;
    char v[NAMES][DISK_NAME_MAX + 1];
};

static int add_name(const char *name, void *ctx)
{
    struct names *n = ctx;

    if (n->count < NAMES)
        snprintf(n->v[n->count++], sizeof *n->v, "%s%s%s", n->dir, *n->dir ? "/" : "", name);
    return 0;
}

/* One of a directory's files; false: it has none. */
static bool any_file(const char *dir, char ret[DISK_NAME_MAX + 1])
{
    static struct names n;

    n.dir = dir;
    n.count = 0;
    if (disk_list(shared, dir, add_name, &n) < 0 || n.count == 0)
        return false;
    memcpy(ret, n.v[any(n.count)], DISK_NAME_MAX + 1);
    return true;
}

static bool any_of_all(char ret[DISK_NAME_MAX + 1])
{
    static const char *const dirs[] = {"packs", "marks", "lease", "nodes/0001", "nodes/0002"};
    char objects[16];

    snprintf(objects, sizeof objects, "objects/%02x", (unsigned)any(256));
    for (int i = 0; i < 64; i++) {
        snprintf(objects, sizeof objects, "objects/%02x", (unsigned)any(256));
        if (any_file(any(2) ? objects : dirs[any(5)], ret))
            return true;
    }
    return false;
}

static uint8_t bytes[FILE_MAX];

static ssize_t read_whole(const char *name)
{
    struct disk_file *f;
    ssize_t n = disk_open(shared, name, DISK_READ, &f);

    if (n == 0) {
        n = disk_pread(f, bytes, sizeof bytes, 0);
        disk_file_close(f);
    }
    return n;
}

static void forge(const char *name, const void *data, size_t len)
{
    (void)pool_file_put(shared, 3, name, data, len, POOL_REPLACE);
}

/* ---- forgeries ---- */

static void forge_head(void)
{
    unsigned node = 1 + (unsigned)any(3);
    struct pool_head h = {.node = node, .incarnation = 1};
    uint8_t head[POOL_HEAD_LEN];
    char name[DISK_NAME_MAX + 1];

    (void)pool_head_read(shared, node, &h);
    switch (any(6)) {
    case 0:
        h.serial = any_number();
        break;
    case 1:
        h.ack = any_number();
        break;
    case 2:
        h.incarnation = (uint32_t)any_number();
        h.serial = any_number();
        break;
    case 3:
        h.base.count = h.active = any_number();
        break;
    case 4:
        h.serial = UINT64_MAX;
        h.incarnation = UINT32_MAX;
        break;
    default:
        h.base = h.delta = (struct pool_part){0};
        h.active = h.pinned = 0;
        h.serial++;
    }
    pool_head_encode(&h, head);
    pool_node_path(node, "head", name);
    forge(name, head, sizeof head);
}

/* What A and B name, at other places; or all of it at the same. */
static void forge_report(void)
{
    struct pool_head h = {.node = 3, .incarnation = nodes[2].who.incarnation, .ack = any_number()};
    struct pool_names n;
    size_t kept = 0;

    if (!nodes[0].x.p || pool_names_read(A->kv, &n) < 0)
        return;
    for (size_t i = 0; i < n.count; i++) {
        struct entry e;
        pool_record_entry(&n.v[i], &e);
        if (any(2))
            e.where = n.v[any(n.count)].where;
        if (any(4) == 0)
            e.size = any(PACK_RECORD_MAX);
        if (any(4) == 0)
            e.offset = e.kind == ENTRY_PACK ? (uint32_t)any_number() : 0;
        pool_record_make(&e, any(2), &n.v[i]);
    }
    for (size_t i = 1; i < n.count; i++) /* ascending, without those that are not */
        if (id_compare(&n.v[kept].key, &n.v[i].key) < 0)
            n.v[++kept] = n.v[i];
    (void)pool_report_write(shared, &h, n.v, n.count ? kept + 1 : 0);
    pool_names_release(&n);
}

static void forge_marks(void)
{
    struct gc_saved marks[NAMES];
    struct pool_marks list = {.v = marks};
    struct pool_names n;
    char name[DISK_NAME_MAX + 1];
    uint64_t serial = 0;

    (void)pool_marks_newest(shared, 0, &serial);
    list.serial = serial + 1;
    if (any(4) == 0) {
        pool_file_numbered("marks", any_number(), name);
        forge(name, "", 0);
        return;
    }
    if (!nodes[0].x.p || pool_names_read(A->kv, &n) < 0)
        return;
    for (size_t i = 0; i < n.count && list.count < NAMES; i++)
        marks[list.count++] = (struct gc_saved){n.v[i].key, (int64_t)any_number(),
                                                (uint32_t)(any(2) ? list.serial : 0)};
    pool_names_release(&n);
    (void)pool_marks_publish(shared, 3, &list);
}

static void forge_text(void)
{
    char text[POOL_TEXT_MAX], name[DISK_NAME_MAX + 1];
    struct pool_term term = {any_number(), 1 + (unsigned)any(3), 1, any_number(), any(2)};
    struct pool_floor floor = {any_number()};
    struct pool_who who = {1 + (unsigned)any(3), (uint32_t)any_number(), {0}, 0, "org/x"};

    switch (any(4)) {
    case 0:
    case 1:
        pool_file_numbered("lease", term.term, name);
        forge(name, text, pool_term_encode(&term, text));
        break;
    case 2:
        forge("marks/floor", text, pool_floor_encode(&floor, text));
        break;
    default:
        who.incarnation =
            any(16) ? nodes[who.node - 1].who.incarnation : who.incarnation & POOL_INCARNATION_MAX;
        if (any(16))
            memcpy(who.token, nodes[who.node - 1].who.token, sizeof who.token);
        pool_node_path(who.node, "node", name);
        forge(name, text, pool_who_encode(&who, text));
    }
}

/* The index or the dead list of a pack, sound in themselves. */
static void forge_index(void)
{
    char name[DISK_NAME_MAX + 1], pack[DISK_NAME_MAX + 1];
    struct pool_body body = {.kind = any(2) ? POOL_BODY_INDEX : POOL_BODY_DEAD};
    struct pool_writer *w;
    uint32_t at = 32;

    if (!any_file("packs", pack))
        return;
    body.owner = strtoull(pack + 6, NULL, 16);
    body.extra = body.kind == POOL_BODY_INDEX ? any_number() : 0;
    if (pool_writer_open(shared, 3, &body, &w) < 0)
        return;
    for (uint64_t i = 0; i < 20; i++) {
        uint8_t record[POOL_INDEXED_LEN];
        struct pool_indexed x = {.offset = at, .len = (uint32_t)any(100000)};
        put_le64(x.id.b, fault_random(&chance));
        pool_indexed_encode(&x, record);
        if (body.kind == POOL_BODY_DEAD)
            put_le32(record, at);
        pool_writer_add(w, record);
        at += (uint32_t)any_number() % 200000 + 48;
    }
    snprintf(name, sizeof name, "packs/%016llx.%s", (unsigned long long)body.owner,
             body.kind == POOL_BODY_DEAD ? "dead" : "index");
    (void)pool_writer_end(w, name, POOL_REPLACE, NULL);
}

/* One file's bytes under another's name, cut off, flipped, or gone. */
static void forge_bytes(void)
{
    char name[DISK_NAME_MAX + 1], other[DISK_NAME_MAX + 1];
    ssize_t n;

    if (!any_of_all(name) || !any_of_all(other) || (n = read_whole(name)) <= 0)
        return;
    switch (any(4)) {
    case 0:
        forge(other, bytes, (size_t)n);
        break;
    case 1:
        forge(name, bytes, any((uint64_t)n));
        break;
    case 2:
        bytes[any((uint64_t)n)] ^= (uint8_t)(1 + any(255));
        forge(name, bytes, (size_t)n);
        break;
    default:
        (void)disk_unlink(shared, name);
    }
}

/* ---- what it was ---- */

static struct {
    char name[DISK_NAME_MAX + 1];
    size_t len;
    uint8_t *v;
} kept[16];

static void keep_or_replay(void)
{
    size_t i = any(16);
    ssize_t n;

    if (kept[i].v) {
        forge(kept[i].name, kept[i].v, kept[i].len);
        free(kept[i].v);
        kept[i].v = NULL;
    } else if (any_of_all(kept[i].name) && (n = read_whole(kept[i].name)) > 0) {
        kept[i].v = malloc((size_t)n);
        memcpy(kept[i].v, bytes, (size_t)n);
        kept[i].len = (size_t)n;
    }
}

static void (*const forgeries[])(void) = {forge_head,  forge_report, forge_marks,   forge_text,
                                          forge_index, forge_bytes,  keep_or_replay};

/* ---- what the others do, and read ---- */

static char large[LARGE];

static ssize_t read_file(struct fixture *x, const char *path, char *buf, size_t max)
{
    uint64_t node = node_of(x, path);
    struct vfs_file *f;
    ssize_t n = node ? vfs_open(x->p, node, 0, &f) : -ENOENT;

    if (n < 0)
        return n;
    n = vfs_read(f, buf, max, 0);
    vfs_release(f);
    return n;
}

static void reads_are_right(struct fixture *x)
{
    static char want[LARGE];
    char path[32], text[4096], got[4096];

    for (int i = 0; i < LARGES; i++) {
        snprintf(path, sizeof path, "main/large%d", i);
        ssize_t n = read_file(x, path, large, sizeof large);
        cr_assert(n < 0 || n == LARGE, "%s: %zd", path, n);
        memset(want, 'a' + i, sizeof want);
        cr_assert(n < 0 || memcmp(large, want, sizeof want) == 0, "%s", path);
    }
    for (int i = 0; i < SMALLS; i++) {
        snprintf(path, sizeof path, "main/f%d", i);
        small_content(i, text);
        ssize_t n = read_file(x, path, got, sizeof got);
        cr_assert(n < 0 || n == 3000, "%s: %zd", path, n);
        cr_assert(n < 0 || memcmp(got, text, 3000) == 0, "%s", path);
    }
}

static void goes_on(struct fixture *x, int step)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct gc_result r;
    char path[32], reply[4096];

    if (!x->p)
        return;
    snprintf(path, sizeof path, "main/new%d", step);
    if (!atomic_load(&x->p->readonly)) {
        write_large(x, path, (char)('a' + step % LARGES)); /* shared with what others say to have */
        snprintf(path, sizeof path, "main/again%d", step);
        small_content(step % SMALLS, reply);
        put_file(x, path, reply);
    }
    (void)flush_drain(x->p, true, 10 * NSEC_PER_SEC, NULL);
    (void)pool_node_report(x->p);
    wait_seconds(70);
    (void)gc_pool_observe(x->p);
    (void)try_cycle(x, 0, &r);
    cr_assert_eq(view_render(x->p, VIEW_STATUS, NULL, &out), 0);
    (void)say(x, any(2) ? "node list" : "compact wait", reply);
    (void)say(x, any(2) ? "scrub wait" : "rebuild wait", reply);
    reads_are_right(x);
}

static void fill(struct fixture *x)
{
    char path[32];

    for (int i = 0; i < LARGES; i++) {
        snprintf(path, sizeof path, "main/large%d", i);
        put_large(x, path, (char)('a' + i));
    }
    put_small(x, 0, SMALLS);
}

static void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    cr_assert(*what && *where && *sentence);
    ++*(unsigned *)ctx;
}

/* It ends, and each file that cannot be read whole is found. */
static void check_says_which_are_lost(struct node *n)
{
    struct check_result result;
    unsigned found = 0;
    bool unreadable = false;
    char path[32];
    struct check_options o = {.found = on_found, .ctx = &found, .pool = &n->pool};
    struct kv *kv;

    for (int i = 0; i < LARGES; i++) {
        snprintf(path, sizeof path, "main/large%d", i);
        unreadable |= read_file(&n->x, path, large, sizeof large) < 0;
    }
    store_abandon(n->x.p);
    n->x.p = NULL;
    kv_close(n->x.kv);
    cr_assert_eq(kv_open_mem(n->x.mem, store_tables, store_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(store_check(n->x.disk, kv, &o, &result), 0);
    cr_assert(!unreadable || found);
    kv_close(kv);
    disk_close(n->x.disk);
}

static void one_round(uint64_t seed)
{
    chance = seed * 7919 + 1;
    pool_of_nodes(3);
    fill(A);
    fill(B);
    knows_all(A);
    for (int step = 0; step < STEPS; step++) {
        forgeries[any(sizeof forgeries / sizeof *forgeries)]();
        forgeries[any(sizeof forgeries / sizeof *forgeries)]();
        goes_on(A, step);
        goes_on(B, step);
    }
    for (size_t i = 0; i < 16; i++) {
        free(kept[i].v);
        kept[i].v = NULL;
    }
    check_says_which_are_lost(&nodes[0]);
    check_says_which_are_lost(&nodes[1]);
    pool_is_gone();
}

TestSuite(pool_hostile, .timeout = 200);

static void head_of_a_says(uint64_t serial, uint64_t ack)
{
    struct pool_head h;
    uint8_t head[POOL_HEAD_LEN];

    cr_assert_eq(pool_head_read(shared, 1, &h), 0);
    h.serial = serial;
    h.ack = ack;
    pool_head_encode(&h, head);
    cr_assert_eq(pool_file_put(shared, 3, "nodes/0001/head", head, sizeof head, POOL_REPLACE), 0);
}

static void a_is_heard_again(void)
{
    struct pool_report *r;

    reports(A);
    cr_assert_eq(pool_report_open(shared, 1, NULL, &r), 0);
    cr_assert_eq(pool_report_head(r)->active, 1);
    pool_report_close(r);
    has_large(A, "main/x", 'x');
}

Test(pool_hostile, a_serial_at_the_end_of_all_numbers_is_damage_and_replaced)
{
    pool_of_nodes(3);
    put_large(A, "main/x", 'x');
    head_of_a_says(UINT64_MAX, 0);
    write_large(A, "main/y", 'x');
    a_is_heard_again();
    head_of_a_says(UINT64_MAX - 1, 0);
    node_die(&nodes[0]);
    node_open(&nodes[0]);
    a_is_heard_again();
    pool_is_gone();
}

Test(pool_hostile, an_acknowledgement_that_was_never_given_does_not_silence_its_member)
{
    pool_of_nodes(3);
    put_large(A, "main/x", 'x');
    reports(A);
    head_of_a_says(((uint64_t)nodes[0].who.incarnation << 32) + 1000, UINT64_MAX);
    write_large(A, "main/y", 'x');
    a_is_heard_again();
    pool_is_gone();
}

Test(pool_hostile, what_others_read_is_right_or_an_error)
{
    const char *only = getenv("SEED");

    for (uint64_t seed = only ? strtoull(only, NULL, 10) : 1; seed <= SEEDS || only; seed++) {
        one_round(seed);
        if (only)
            break;
    }
}

/* Checksums are no secret: reading cannot tell what they fit. The ids of a scrub can. */
Test(pool_hostile, a_record_that_was_forged_with_its_checksum_is_found_by_a_scrub)
{
    static uint8_t record[PACK_FILE_HEAD + 8192];
    struct pool_names n;
    struct pack_place at;
    struct disk_file *f;
    struct entry e;
    char name[DISK_NAME_MAX + 1];

    pool_of_nodes(3);
    put_small(A, 0, 1);
    cr_assert_eq(pool_names_read(A->kv, &n), 0);
    cr_assert_eq(n.count, 1);
    pool_record_entry(&n.v[0], &e);
    at = pack_place_of(&e);
    memset(record, 'z', sizeof record);
    pack_record_encode(
        &(struct pack_record){.id = e.id, .stored = (uint32_t)e.size, .size = (uint32_t)e.size},
        record + 40, &at, record);
    pack_name(e.where, name);
    cr_assert_eq(disk_open(shared, name, DISK_WRITE, &f), 0);
    cr_assert_eq(disk_pwrite(f, record, 40 + e.size, e.offset), 0);
    disk_file_close(f);
    agreed(A, "scrub wait", " damaged=1 ");
    agreed(A, "status", "ok state=degraded ");
    pool_names_release(&n);
    pool_is_gone();
}
