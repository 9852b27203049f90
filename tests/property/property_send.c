// SPDX-License-Identifier: Apache-2.0
/*
 * property_send: random trees of one store, sent to another one, whole and as differences.
 *
 *     property_send [--seed S] [--rounds N]
 *
 * In each round files are made, written, renamed, exchanged, linked, copied, replaced and removed,
 * and a snapshot is made. It is sent whole, or as the difference to an earlier snapshot, in pieces
 * of any size. Both trees are then walked, all is read, and the two lists of what was found are
 * compared, without the rooms diff, digest and image. At times a stream is damaged: then nothing
 * must be there; or it is interrupted, and only the rest is written afterwards. At times a store is drained, checked offline, or abandoned and started
 * again from its log. Prints its seed; the same seed does the same.
 */
#include "clock_manual.h"
#include "check.h"
#include "disk_mem.h"
#include "drain.h"
#include "durability.h"
#include "export.h"
#include "import.h"
#include "kv_mem.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "random_tree.h"
#include "store.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define KEPT 4 /* snapshots that the sender has */
#define DAY (86400 * NSEC_PER_SEC)

/* A store. */
struct side {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct state *p;
};

static struct {
    struct clock_manual clock;
    struct side from, to;
    uint64_t rng;
    uint64_t last;  /* the number of the last snapshot */
    bool has[KEPT]; /* the receiver has that snapshot */
    uint8_t *stream;
    size_t stream_len, stream_room;
    uint64_t whole, differences, refused, resumed, bytes;
} w;

static const struct vfs_cred root = {0};
static const _Atomic bool never = false;

static uint64_t pick(uint64_t n)
{
    return fault_random(&w.rng) % n;
}

/* ---- stores ---- */

static void open_store(struct side *s)
{
    struct state_config c = {.disk = s->disk, .clock = &w.clock.base, .threads = 2};

    CHECK(kv_open_mem(s->mem, store_tables, store_table_count, KV_CREATE, &s->kv) == 0);
    c.kv = s->kv;
    CHECK(store_open(&c, &s->p) == 0);
    settings_put(&s->p->settings, SET_TRASH_KEEP, 0);
}

static void make_store(struct side *s)
{
    CHECK(kv_mem_create(NULL, &s->mem) == 0 && disk_mem_create(NULL, 0, &s->disk) == 0);
    CHECK(kv_open_mem(s->mem, store_tables, store_table_count, KV_CREATE, &s->kv) == 0);
    CHECK(store_format(s->disk, s->kv, &w.clock.base, "o/p", 0, 0, NULL) == 0);
    kv_close(s->kv);
    open_store(s);
}

static void drop_store(struct side *s)
{
    CHECK(store_close(s->p) == 0);
    kv_close(s->kv);
    disk_close(s->disk);
    kv_mem_destroy(s->mem);
}

static void drain(struct side *s)
{
    CHECK(flush_drain(s->p, true, -1, NULL) == 0);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    if (!strcmp(what, "note"))
        return;
    fprintf(stderr, "check: %s %s: %s\n", what, where, sentence);
    ++*(unsigned *)ctx;
}

/* Closes a store, and checks it offline. */
static void inspect(struct side *s)
{
    unsigned findings = 0;
    const struct check_options o = {.found = found, .ctx = &findings};
    struct check_result r;

    drain(s);
    CHECK(store_close(s->p) == 0);
    CHECK(store_check(s->disk, s->kv, &o, &r) == 0);
    CHECK(findings == 0);
    kv_close(s->kv);
    open_store(s);
}

/* The process dies, and the log has what was not committed. */
static void die(struct side *s)
{
    store_abandon(s->p);
    kv_close(s->kv);
    open_store(s);
}

/* ---- lists ---- */

static struct tree_lines sent, received;

/* Lists what NAME or NAME@SNAPSHOT has. */
static void read_tree(struct state *p, const char *spec, struct tree_lines *l)
{
    struct ns *ns;

    CHECK(ns_find(p, spec, &ns) == 0);
    tree_lines_read(p, vfs_node(ns->number, NS_ROOT_INO), l);
    ns_put(p, ns);
}

/* ---- sending ---- */

static size_t some_size(void)
{
    static const size_t sizes[] = {1, 13, 100, 5000, 70000, 1 << 20};

    return 1 + pick(sizes[pick(sizeof sizes / sizeof *sizes)]);
}

/* Reads all of a stream. */
static void read_stream(const char *spec)
{
    struct export_session *s;
    char line[100];
    ssize_t n;

    w.stream_len = 0;
    snprintf(line, sizeof line, "send %s\n", spec);
    CHECK(export_open(w.from.p, &s) == 0);
    CHECK(export_write(s, line, strlen(line)) == (ssize_t)strlen(line));
    do {
        size_t size = some_size();
        if (w.stream_len + size > w.stream_room) {
            w.stream_room = 2 * w.stream_room + size;
            w.stream = realloc(w.stream, w.stream_room);
            CHECK(w.stream);
        }
        n = export_read(s, (char *)w.stream + w.stream_len, size, &never);
        CHECK(n >= 0 && (n == 0 || (size_t)n <= size));
        w.stream_len += (size_t)n;
    } while (n > 0);
    export_close(s);
}

/* Writes bytes of the stream. 0, or the error. */
static int write_stream(const char *line, size_t at, size_t len, char reply[500])
{
    struct import *s;
    ssize_t n = 0;

    CHECK(import_open(w.to.p, &root, true, &s) == 0);
    CHECK(import_write(s, line, strlen(line), &never) == (ssize_t)strlen(line));
    while (at < len && n >= 0) {
        size_t size = some_size();
        size = size < len - at ? size : len - at;
        n = import_write(s, (char *)w.stream + at, size, &never);
        at += size;
    }
    n = n < 0 ? n : 0;
    memset(reply, 0, 500);
    CHECK(import_read(s, reply, 499) >= 0);
    import_close(s);
    return (int)n;
}

static bool is_there(const char *name)
{
    struct ns *ns;
    int err = ns_get_by_name(w.to.p, name, &ns);

    if (err == 0)
        ns_put(w.to.p, ns);
    return err == 0;
}

/* A byte of the stream is wrong: nothing comes of it. (If it is of a length, more is waited for.) */
static void receive_damaged(const char *name)
{
    char reply[500], line[100];
    size_t at = pick(w.stream_len);
    int err;

    snprintf(line, sizeof line, "receive %s\n", name);
    w.stream[at] ^= (uint8_t)(1u << pick(8));
    err = write_stream(line, 0, w.stream_len, reply);
    CHECK(err < 0 ? !strncmp(reply, "error ", 6) : !*reply);
    CHECK(!is_there(name));
    w.refused++;
}

/* The stream is interrupted. `line` becomes that with which the rest is received, and *at where that
 * begins. */
static void interrupt_stream(const char *name, char line[100], size_t *at)
{
    unsigned long long taken, sum;
    char reply[2000] = "", *partial;
    struct import *s;

    (void)write_stream(line, 0, pick(w.stream_len), reply);
    CHECK(!is_there(name));
    CHECK(import_open(w.to.p, &root, true, &s) == 0);
    CHECK(import_write(s, "have\n", 5, &never) == 5);
    CHECK(import_read(s, reply, sizeof reply - 1) > 0);
    import_close(s);
    partial = strstr(reply, "partial ");
    if (!partial)
        return; /* its first record had not come */
    CHECK(sscanf(partial, "partial %*s %llu %llx", &taken, &sum) == 2);
    snprintf(line, 100, "receive %s resume=%llu:%llx\n", name, taken, sum);
    *at = (size_t)taken;
    w.resumed++;
}

static void receive(const char *name)
{
    char reply[500], line[100];
    size_t at = 0;
    int err;

    snprintf(line, sizeof line, "receive %s\n", name);
    for (unsigned i = 0; i < 3 && at == 0 && pick(3) == 0; i++)
        interrupt_stream(name, line, &at);
    err = write_stream(line, at, w.stream_len, reply);
    if (err < 0)
        fprintf(stderr, "%s", reply);
    CHECK(err == 0 && !strncmp(reply, "ok ", 3));
}

static void drop(struct state *p, const char *name)
{
    uint32_t open;

    CHECK(ns_drop(p, name, true, false, false, &open) == 0);
}

/* Sends the last snapshot, whole, or from an earlier one that the receiver has. */
static void send_last(void)
{
    char spec[100], name[50];
    uint64_t base = w.last > KEPT ? w.last - KEPT + pick(KEPT) : pick(w.last);

    if (base && base != w.last && w.has[base % KEPT] && pick(5)) {
        snprintf(spec, sizeof spec, "main@s%llu..s%llu", (unsigned long long)base,
                 (unsigned long long)w.last);
        w.differences++;
    } else {
        snprintf(spec, sizeof spec, "main@s%llu", (unsigned long long)w.last);
        w.whole++;
    }
    snprintf(name, sizeof name, "r%llu", (unsigned long long)w.last);
    read_stream(spec);
    if (pick(4) == 0) {
        receive_damaged(name);
        read_stream(spec);
    }
    receive(name);
    w.bytes += w.stream_len;
    snprintf(spec, sizeof spec, "main@s%llu", (unsigned long long)w.last);
    read_tree(w.from.p, spec, &sent);
    read_tree(w.to.p, name, &received);
    CHECK(tree_lines_same(&sent, &received));
    w.has[w.last % KEPT] = true;
}

/* Makes the next snapshot, and gives up what is too old on both sides. */
static void take_snapshot(void)
{
    char name[50];
    struct ns *ns;
    uint64_t seq, old = ++w.last > KEPT ? w.last - KEPT : 0;
    uint32_t open;

    CHECK(ns_get_by_name(w.from.p, "main", &ns) == 0);
    snprintf(name, sizeof name, "s%llu", (unsigned long long)w.last);
    CHECK(ns_snapshot(w.from.p, ns, name, &seq) == 0);
    ns_put(w.from.p, ns);
    snprintf(name, sizeof name, "main@s%llu", (unsigned long long)old);
    if (old && ns_find(w.from.p, name, &ns) == 0) {
        CHECK(ns_remove(w.from.p, ns, NS_SNAPSHOT, true, &open) == 0);
        ns_put(w.from.p, ns);
    }
    snprintf(name, sizeof name, "r%llu", (unsigned long long)old);
    if (old && is_there(name))
        drop(w.to.p, name);
    w.has[w.last % KEPT] = false;
}

/* ---- changes ---- */

static void step(void)
{
    struct random_tree t = {.p = w.from.p, .clock = &w.clock, .rng = &w.rng};
    struct vfs_attr a;

    CHECK(vfs_lookup(w.from.p, VFS_ROOT, "main", &a) == 0);
    vfs_forget(w.from.p, a.nodeid, 1);
    t.top = a.nodeid;
    random_tree_step(&t);
}

/* ---- all of it ---- */

static void play_round(void)
{
    struct side *some = pick(2) ? &w.from : &w.to;

    for (uint64_t left = pick(pick(4) ? 6 : 40); left > 0; left--)
        step();
    if (pick(3))
        drain(&w.from);
    for (uint64_t left = pick(3); left > 0; left--)
        step();
    take_snapshot();
    send_last();
    if (pick(8) == 0)
        drain(some);
    if (pick(12) == 0)
        die(some);
    if (pick(25) == 0)
        inspect(some);
}

static void play(uint64_t rounds)
{
    for (random_round = 0; random_round < rounds; random_round++)
        play_round();
    inspect(&w.from);
    inspect(&w.to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'}, {"rounds", 1, NULL, 'n'}, {0}};
    uint64_t rounds = 200;
    int o;

    w.rng = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            w.rng = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            rounds = strtoull(optarg, NULL, 0);
        else
            return 2;
    }
    w.rng = w.rng ? w.rng : 1;
    printf("property_send --seed %llu --rounds %llu\n", (unsigned long long)w.rng,
           (unsigned long long)rounds);
    fflush(stdout);
    random_tree_begin();
    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    make_store(&w.from);
    make_store(&w.to);
    play(rounds);
    drop_store(&w.from);
    drop_store(&w.to);
    free(w.stream);
    printf("%llu whole, %llu differences, %llu refused, %llu resumed, %llu bytes\n",
           (unsigned long long)w.whole, (unsigned long long)w.differences,
           (unsigned long long)w.refused, (unsigned long long)w.resumed,
           (unsigned long long)w.bytes);
    return 0;
}
