// SPDX-License-Identifier: Apache-2.0
/*
 * property_archive: random histories of a store that ships to an archive, and what is restored from
 * it.
 *
 *     property_archive [--seed S] [--rounds N] [--dir DIR]      the archive is a directory below DIR
 *
 * In each round there is random work in up to six namespaces: their trees change, also by files that
 * stay open and are written while a segment is cut; they are made, branched, dropped, taken back,
 * renamed, exchanged, merged, frozen, kept out of the archive, and moved to a shard and back. The
 * process dies, and is started again. A round of shipping may meet an archive that fails
 * (vault.h): then it fails, and a later one ships all. Before a round all namespaces
 * are listed by a naive walk; after one that succeeded that is what the archive has at that moment.
 *
 * At times the archive is pruned, with settings of some minutes to some days, by a run that may
 * die; pins are put and end. A moment stays known if a pin or the last catalogue says that it is
 * kept: those that are younger than archive_keep all do. Restored files that are only in the
 * archive are read as before.
 *
 * Of any such moment a namespace is restored, by the number of the change or by the time, listed
 * and compared. A name that was not there is refused. At times bytes of the store itself are damaged
 * while a round is made, and sound again afterwards: then this round has all else, and a later one
 * has all. An object of the archive is damaged or lost:
 * then nothing is ever read as other bytes. An old copy of the store ships: it is refused, and
 * changes nothing. An idle store asks nothing. At times, and at the end, the store is checked offline,
 * and after all was dropped nothing is left on its disk. A second store follows the archive at random
 * moments, and dies at times: what it is then was shipped last. Prints its seed. The same seed does the
 * same operations; the numbers of changes may differ by a few from run to run.
 */
#include "archive_follower.h"
#include "archive_work.h"
#include "archive_catalogue.h"
#include "archive_check.h"
#include "archive_pins.h"
#include "chain.h"
#include "check.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "ns_restore.h"
#include "packs.h"
#include "prune.h"
#include "random_tree.h"
#include "record.h"
#include "report.h"
#include "shard_mem.h"
#include "shards.h"
#include "ship.h"
#include "store.h"
#include "store_copy.h"
#include "vault.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOMENTS 150 /* that are known at once */
#define NO_TIME INT64_MAX
#define DAMAGED 30 /* bytes that are damaged at once */

/* One line of a list. */
struct mark {
    uint64_t head, content, xattrs;
};
/* A namespace at one moment. `off`: it was kept out of the archive, so it was not there. It may be
 * found by its number all the same, if it was let in later and had not changed since. */
struct known {
    bool there, off, frozen;
    struct mark *v; /* owned */
    size_t count;
};
/* After a round that has succeeded: what the archive has. */
struct moment {
    uint64_t seq;
    int64_t from, to;      /* times between which nothing more was shipped */
    bool lossy;            /* some bytes may be lost there */
    struct segment_pos at; /* the last segment then */
    struct known of[WORK_NAMES];
};

static struct {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct shard_mem *cold, *other;
    uint16_t archive;
    struct moment moment[MOMENTS];
    size_t moments, last; /* the last one of them */
    bool is_last;         /* nothing was tried since then */
    bool is_behind;       /* the last round has failed, and the next one has its work first */
    struct moment closed; /* what the store had when it was closed */
    struct {
        struct kv_mem *mem;
        struct disk *disk;
        struct segment_pos at; /* the last segment that it knows */
    } old;                     /* a copy of the store */
    uint64_t rounds, failed, restored, refused, damaged, noticed, deaths, copies, idle, lossy;
    uint64_t prunes, deleted, thinned, forgotten, pins;
    struct archive_pin pin; /* of a moment */
    size_t pinned;          /* which one */
    bool is_pinned;
    int64_t marked; /* when something was marked last */
} w;

static struct tree_lines lines;

/* ---- the store ---- */

static bool compresses; /* option --compression */

static void open_store(void)
{
    struct state_config c = {.disk = w.disk,
                             .clock = &work.clock.base,
                             .threads = 2,
                             .log_segment = 1 << 20,
                             .atime = STATE_NOATIME,
                             .compression = {.on = compresses}};

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, 0, &w.kv) == 0);
    c.kv = w.kv;
    CHECK(store_open(&c, &work.p) == 0);
    settings_put(&work.p->settings, SET_SHARD_PARALLEL, 1); /* so that a seed gives one run */
    settings_put(&work.p->settings, SET_GRACE_PERIOD, 0);
    settings_put(&work.p->settings, SET_COMPRESSION,
                 compresses ? COMPRESSION_WRITE : COMPRESSION_OFF);
    packs_set_size(work.p->packs, 200 << 10);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    if (!strcmp(what, "note"))
        return;
    fprintf(stderr, "check: %s %s: %s\n", what, where, sentence);
    ++*(unsigned *)ctx;
}

static void check_offline(void)
{
    unsigned findings = 0;
    const struct check_options o = {.found = found, .ctx = &findings};
    struct check_result r;

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, 0, &w.kv) == 0);
    CHECK(store_check(w.disk, w.kv, &o, &r) == 0);
    kv_close(w.kv);
    CHECK(findings == 0);
}

static struct moment look_at_all(void);
static void note_moment(struct moment *m);
static struct segment_pos last_segment(void);

/* At the end of a mount all is shipped. */
static void close_store(void)
{
    struct moment m;

    work_let_all_go();
    m = look_at_all();
    (void)vault_set_clock(now(work.p));
    CHECK(store_close(work.p) == 0);
    kv_close(w.kv);
    w.closed = m;
}

static void reopen_store(void)
{
    open_store();
    w.closed.seq = atomic_load(&work.p->seq);
    w.closed.from = now(work.p); /* time may have passed while it was closed */
    w.closed.at = last_segment();
    note_moment(&w.closed);
}

/* The store is drained, has no leaks, and is checked. */
static void inspect(void)
{
    char reply[4096];

    work_let_all_go();
    work_drain();
    CHECK(work_say("rebuild wait", reply));
    if (!strstr(reply, "changed=0"))
        fprintf(stderr, "%s", reply);
    CHECK(strstr(reply, "changed=0"));
    work_drain();
    close_store();
    check_offline();
    reopen_store();
}

static void die(void)
{
    work_let_all_go();
    store_abandon(work.p);
    kv_close(w.kv);
    open_store();
    w.deaths++;
}

/* ---- namespaces ---- */

static void list(const struct ns *ns, bool lenient)
{
    lines.lenient = lenient;
    tree_lines_read(work.p, vfs_node(ns->number, NS_ROOT_INO), &lines);
}

static uint64_t mix(uint64_t hash, uint64_t v)
{
    return (hash ^ v) * UINT64_C(0x9E3779B97F4A7C15) + (hash >> 29);
}

/* All of a line but its bytes and attributes. */
static uint64_t head_of(const struct tree_line *l)
{
    const struct vfs_attr *a = &l->attr;
    const uint64_t v[] = {a->mode, a->uid,  a->gid,   (uint64_t)a->mtime,
                          a->size, a->rdev, a->nlink, l->first};
    uint64_t hash = 1;

    for (const char *c = l->path; *c; c++)
        hash = mix(hash, (uint8_t)*c);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        hash = mix(hash, v[i]);
    return hash;
}

static struct known learn(const char *name)
{
    struct known k = {.there = false};
    struct ns *ns = work_get(name);

    if (ns) {
        list(ns, false);
        k = (struct known){.frozen = ns->frozen, .count = lines.count};
        k.off = !ship_goes_to(work.p, ns, vault_url());
        k.there = !k.off;
        k.v = calloc(k.count, sizeof *k.v);
        CHECK(k.v);
        for (size_t i = 0; i < k.count; i++)
            k.v[i] = (struct mark){head_of(&lines.v[i]), lines.v[i].hash, lines.v[i].xattrs};
    }
    ns_put(work.p, ns);
    return k;
}

static bool fits(uint64_t is, uint64_t was)
{
    return is == was || (lines.lenient && is == TREE_UNREADABLE);
}

static void print_line(const struct tree_line *l)
{
    const struct vfs_attr *a = &l->attr;

    fprintf(stderr, "mode %o, owner %u:%u, mtime %lld, size %llu, links %u, rdev %x, first %zu\n",
            a->mode, a->uid, a->gid, (long long)a->mtime, (unsigned long long)a->size, a->nlink,
            a->rdev, l->first);
}

/* Is what was listed just now what was known? */
static void compare(const struct known *k)
{
    for (size_t i = 0; i < k->count || i < lines.count; i++) {
        const struct tree_line *l = &lines.v[i];

        if (i < k->count && i < lines.count && head_of(l) == k->v[i].head &&
            fits(l->hash, k->v[i].content) && fits(l->xattrs, k->v[i].xattrs))
            continue;
        fprintf(stderr, "'%s' is not as it was: %s\n", i < lines.count ? l->path : "-",
                i >= k->count || i >= lines.count || head_of(l) != k->v[i].head ? "its attributes"
                                                                                : "its bytes");
        print_line(l);
        CHECK(false && "what was restored is another tree");
    }
}

/* ---- shipping ---- */

static void heal(void)
{
    vault_heal();
    work_pass(2 * NSEC_PER_SEC);
    (void)shards_look(work.p->shards);
}

static struct ship_stats stats(void)
{
    struct ship_stats s;

    CHECK(ship_next(work.p, w.archive - 1u, &s) == 0);
    return s;
}

static void forget_moment(struct moment *m)
{
    for (size_t i = 0; i < WORK_NAMES; i++)
        free(m->of[i].v);
    *m = (struct moment){.seq = 0};
}

/* The place of a new moment; an older one makes room. */
static struct moment *new_moment(void)
{
    w.last = w.moments < MOMENTS ? w.moments++ : work_pick(MOMENTS);
    if (w.is_pinned && w.last == w.pinned)
        w.last = (w.last + 1) % MOMENTS;
    forget_moment(&w.moment[w.last]);
    return &w.moment[w.last];
}

/* Of the last moment it is known until when it is the last. */
static void end_moment(void)
{
    if (w.is_last)
        w.moment[w.last].to = now(work.p);
    w.is_last = false;
    work_pass(NSEC_PER_MSEC); /* no two points are of one time */
}

/* Nothing changes: then a round makes no request. */
static void be_idle(void)
{
    const uint64_t segments = stats().segments;
    uint64_t before;

    CHECK(ship_step(work.p) == 0);
    if (stats().segments != segments)
        random_failed(__FILE__, __LINE__, "what was shipped is shipped again");
    before = vault_calls();
    CHECK(ship_step(work.p) == 0 && ship_step(work.p) == 0);
    CHECK(vault_calls() == before);
    w.idle++;
}

/* Prints what the store says of its shards. */
static void print_reports(void)
{
    char text[REPORT_KEEP][REPORT_TEXT];
    size_t n = report_recent(REPORT_NOTE, text, REPORT_KEEP);
    struct shards_info info;

    for (unsigned at = 0; shards_next(work.p->shards, at, &info) == 0; at = info.number)
        fprintf(stderr, "shard %u: state %d: %s\n", info.number, (int)info.state, info.why);
    for (size_t i = 0; i < n && i < 8; i++)
        fprintf(stderr, "reported: %s\n", text[i]);
}

/* One round. 0, or what it failed with because of the archive. */
static int try_round(void)
{
    const bool ill = work_pick(3) == 0;
    int err;

    (void)vault_set_clock(now(work.p));
    if (ill)
        vault_spoil();
    err = ship_step(work.p);
    if (err < 0 && !(ill && vault_may_fail(err))) {
        fprintf(stderr, "a round failed: %s: %s\n", strerror(-err), stats().why);
        print_reports();
    }
    CHECK(err == 0 || (ill && vault_may_fail(err)));
    heal();
    return err;
}

/* What is there just now, which the next round ships. */
static struct moment look_at_all(void)
{
    struct moment m = {.to = NO_TIME};

    end_moment();
    for (size_t i = 0; i < WORK_NAMES; i++)
        m.of[i] = learn(work_names[i]);
    m.seq = atomic_load(&work.p->seq);
    m.from = now(work.p);
    return m;
}

/* That was shipped. */
static void note_moment(struct moment *m)
{
    *new_moment() = *m;
    w.is_last = true;
}

/* A round has succeeded. */
static void note_shipped(struct moment *m)
{
    CHECK(!stats().behind && stats().seq >= m->seq);
    if (w.is_behind || work_pick(2))
        m->seq = atomic_load(&work.p->seq);
    w.is_behind = false;
    m->from = now(work.p);
    m->lossy = stats().lost > 0;
    m->at = stats().at;
    note_moment(m);
}

static void ship(void)
{
    struct moment m = look_at_all();

    w.rounds++;
    if (try_round() < 0) {
        w.failed++;
        w.is_behind = true;
        forget_moment(&m);
        if (work_pick(4) == 0)
            die();
        return;
    }
    CHECK(stats().lost == 0); /* an archive that fails loses nothing */
    note_shipped(&m);
    if (work_pick(4) == 0)
        be_idle();
}

/* ---- restoring ---- */

/* How a moment is asked for. */
static struct restore_ask ask_for(const struct moment *m, const char *name)
{
    struct restore_ask ask = {.name = name, .when = RESTORE_SEQ, .seq = m->seq};

    if (m == &w.moment[w.last] && w.is_last && work_pick(2))
        ask.when = RESTORE_LAST;
    else if (m->to != NO_TIME && work_pick(2)) {
        ask.when = RESTORE_TIME;
        ask.time = m->from + (int64_t)work_pick((uint64_t)(m->to - m->from) + 1);
    }
    return ask;
}

static int restore(const struct restore_ask *ask, struct restore_plan *plan, struct strbuf *why)
{
    struct restore_result r;
    int err = restore_plan(work.p, w.archive, ask, plan, why);

    if (err == 0)
        err = restore_run(work.p, plan, "back", NULL, NULL, &r, why);
    return err;
}

/* What was restored goes again, or stays as a namespace like others. */
static void put_away(bool lossy)
{
    const char *name = work_some_name();
    struct ns *there = work_get(name);
    uint32_t open;

    if (!there && !lossy && work_pick(3) == 0) {
        CHECK(ns_rename(work.p, "back", name, 0) == 0);
        if (work_pick(2))
            CHECK(work_order("recall %s/ wait", name));
    } else {
        CHECK(ns_drop(work.p, "back", true, false, false, &open) == 0);
    }
    ns_put(work.p, there);
}

static void check_restored(const struct known *k)
{
    struct ns *ns = work_get("back");

    CHECK(ns);
    list(ns, lines.lenient);
    ns_put(work.p, ns);
    compare(k);
}

static void restore_from(const struct moment *m, size_t i)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const struct restore_ask ask = ask_for(m, work_names[i]);
    struct restore_plan plan;
    int err = restore(&ask, &plan, &why);

    const bool is_right = err == (m->of[i].there ? 0 : -ENOENT) ||
                          (err == 0 && m->of[i].off && ask.when == RESTORE_SEQ);

    if (!is_right)
        fprintf(stderr, "restore of %s (%d) at change %llu: %d: %s\n", work_names[i], ask.when,
                (unsigned long long)m->seq, err, why.s ? why.s : "");
    CHECK(is_right);
    if (err < 0) {
        w.refused++;
        return;
    }
    CHECK(plan.frozen == m->of[i].frozen);
    restore_plan_release(&plan);
    lines.lenient = m->lossy;
    check_restored(&m->of[i]);
    put_away(m->lossy);
    w.restored++;
}

static void restore_some(void)
{
    if (w.moments)
        restore_from(&w.moment[work_pick(w.moments)], work_pick(WORK_NAMES));
}

static void restore_all(void)
{
    for (size_t m = 0; m < w.moments; m++)
        for (size_t i = 0; i < WORK_NAMES; i++)
            if (work_pick(4) == 0)
                restore_from(&w.moment[m], i);
}

/* ---- damage ---- */

struct choice {
    char name[DISK_NAME_MAX + 1];
    uint64_t size, seen;
};

static int choose_one(const char *name, uint64_t size, void *ctx)
{
    struct choice *c = ctx;

    if (work_pick(++c->seen) > 0)
        return 0;
    snprintf(c->name, sizeof c->name, "%s", name);
    c->size = size;
    return 0;
}

static struct shard *open_vault(void)
{
    char why[SHARD_WHY];
    struct shard *s;

    CHECK(shard_open(vault_url(), 0, &s, why) == 0);
    return s;
}

static struct choice choose(struct shard *s)
{
    struct choice c = {.seen = 0};

    CHECK(shard_list(s, "", choose_one, &c) == 0);
    CHECK(c.seen > 0);
    return c;
}

/* With a segment that is lost the history seems to end before it, so an older state may come. */
static bool may_be_older(const struct choice *c, bool lost)
{
    return lost &&
           (strstr(c->name, "/log/") || strstr(c->name, "/epoch/") || strstr(c->name, "/kept/"));
}

static bool is_damage(int err)
{
    return err == -EUCLEAN || err == -EIO || err == -ENOENT || err == -EPROTO ||
           err == -EHOSTUNREACH;
}

static void restore_damaged(const struct moment *m, size_t i, bool older)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const struct restore_ask ask = {.name = work_names[i], .when = RESTORE_SEQ, .seq = m->seq};
    struct restore_plan plan;
    int err = restore(&ask, &plan, &why);
    uint32_t open;

    if (err < 0) {
        if (!is_damage(err))
            fprintf(stderr, "%d: %s\n", err, why.s ? why.s : "");
        CHECK(is_damage(err));
        w.noticed++;
        return;
    }
    restore_plan_release(&plan);
    lines.lenient = true;
    if (!older)
        check_restored(&m->of[i]);
    w.noticed += lines.unreadable > 0;
    CHECK(ns_drop(work.p, "back", true, false, false, &open) == 0);
}

/* One object of the archive is damaged or lost, while something is restored. */
static void damage(const struct moment *m, size_t i)
{
    struct shard *s = open_vault();
    const struct choice c = choose(s);
    const uint64_t at = work_pick(c.size);
    const unsigned bit = (unsigned)work_pick(8);
    const bool lost = work_pick(3) == 0;
    void *was;

    CHECK(shard_range_alloc(s, c.name, c.size, 0, &was) == (ssize_t)c.size);
    if (lost)
        vault_lose(c.name);
    else
        vault_flip(c.name, at, bit);
    restore_damaged(m, i, may_be_older(&c, lost));
    if (lost)
        CHECK(shard_put(s, c.name, was, c.size) == 0);
    else
        vault_flip(c.name, at, bit);
    free(was);
    shard_close(s);
    heal();
    work_drain();
    w.damaged++;
}

static void damage_some(void)
{
    const struct moment *m = w.moments ? &w.moment[work_pick(w.moments)] : NULL;
    size_t i = work_pick(WORK_NAMES);

    if (m && m->of[i].there)
        damage(m, i);
}

/* ---- bytes of the store that are lost ---- */

static int choose_object(const char *name, uint64_t size, void *ctx)
{
    struct id id;
    uint64_t number;
    const enum objects_name kind = objects_parse_name(name, &id, &number);

    return kind == OBJECTS_PACK || kind == OBJECTS_FILE ? choose_one(name, size, ctx) : 0;
}

static int byte_at(const char *name, uint64_t at)
{
    struct disk_file *f;
    uint8_t byte;
    ssize_t n = -1;

    if (disk_open(w.disk, name, DISK_READ, &f) < 0)
        return -1;
    n = disk_pread(f, &byte, 1, at);
    disk_file_close(f);
    return n == 1 ? byte : -1;
}

/* A byte of the store that is damaged. */
struct damaged {
    char name[DISK_NAME_MAX + 1];
    uint64_t at;
    int is; /* what it is meanwhile */
};

static bool damage_byte(struct damaged *d)
{
    struct choice c = {.seen = 0};

    CHECK(objects_list(w.disk, NULL, choose_object, NULL, &c) == 0);
    d->at = 64 + work_pick(work_pick(2) ? 4096 : 256 << 10);
    snprintf(d->name, sizeof d->name, "%s", c.name);
    if (c.seen == 0 || disk_mem_flip(w.disk, c.name, d->at, 3) < 0)
        return false;
    d->is = byte_at(c.name, d->at);
    return true;
}

/* Mends it, unless it has been replaced or deleted. */
static void mend_byte(const struct damaged *d)
{
    if (byte_at(d->name, d->at) == d->is)
        CHECK(disk_mem_flip(w.disk, d->name, d->at, 3) == 0);
}

/* A round that nothing disturbs. A namespace whose lost items have other ids by now is sent whole by
 * the round after the one that notices it. */
static void must_ship(void)
{
    int err;

    (void)vault_set_clock(now(work.p));
    err = ship_step(work.p);
    if (err == -EAGAIN)
        err = ship_step(work.p);
    if (err < 0) {
        fprintf(stderr, "a round failed: %s: %s\n", strerror(-err), stats().why);
        print_reports();
    }
    CHECK(err == 0);
}

/* A round while bytes of the store are damaged: the archive gets all else. */
static void ship_damaged(void)
{
    struct damaged d[DAMAGED];
    struct moment m = look_at_all();
    size_t count = 0;

    for (size_t i = 0; i < DAMAGED; i++)
        count += damage_byte(&d[count]);
    must_ship();
    w.rounds++;
    w.lossy += stats().lost > 0;
    note_shipped(&m);
    while (count > 0)
        mend_byte(&d[--count]);
}

/* Once the bytes are sound the archive gets them, also if nothing else is shipped. */
static void ship_the_rest(void)
{
    struct moment m = look_at_all();

    for (int i = 0; i < 2; i++) { /* a mount looks after its first round */
        work_pass(2 * 60 * NSEC_PER_SEC);
        must_ship();
    }
    CHECK(stats().lost == 0);
    note_shipped(&m);
}

static void lose_some(void)
{
    work_steps();
    work_drain(); /* what was written is in packs and files */
    ship_damaged();
    if (work_pick(3) == 0)
        die();
    if (stats().lost && work_pick(2))
        restore_from(&w.moment[w.last], work_pick(WORK_NAMES));
    ship_the_rest();
}

/* ---- an old copy ---- */

static void forget_copy(void)
{
    if (!w.old.disk)
        return;
    disk_close(w.old.disk);
    kv_mem_destroy(w.old.mem);
    w.old.disk = NULL;
}

static struct segment_pos last_segment(void)
{
    struct shard *s = open_vault();
    struct segment_pos at = {0};

    CHECK(chain_last(s, 1, at, &at) == 0);
    shard_close(s);
    return at;
}

static void copy_store(void)
{
    forget_copy();
    close_store();
    w.old.at = last_segment();
    store_copy_disk(w.disk, &w.old.disk);
    store_copy_kv(w.mem, &w.old.mem);
    shard_mem_copy(w.other, w.cold);
    reopen_store();
}

struct held {
    uint64_t count, used;
};

static struct held held_by_vault(void)
{
    struct held h;

    vault_held(&h.count, &h.used);
    return h;
}

/* The copy goes on by itself, and ships. */
static void run_copy(void)
{
    const struct held before = held_by_vault();
    struct held after;
    int err = 0;

    open_store();
    for (uint64_t left = work_pick(30); left > 0; left--)
        work_steps();
    work_pass(NSEC_PER_MSEC);
    for (unsigned i = 0; i < 2; i++)
        err = ship_step(work.p);
    if (err != -EKEYREVOKED)
        fprintf(stderr, "an old copy ships: %d: %s\n", err, stats().why);
    CHECK(err == -EKEYREVOKED && stats().state == SHIP_REFUSED);
    after = held_by_vault();
    CHECK(after.count == before.count && after.used == before.used);
    store_abandon(work.p);
    kv_close(w.kv);
}

/* Exchanges the store and its copy. */
static void swap_copy(void)
{
    struct kv_mem *mem = w.mem;
    struct disk *disk = w.disk;

    w.mem = w.old.mem;
    w.disk = w.old.disk;
    w.old.mem = mem;
    w.old.disk = disk;
    shard_mem_swap(w.cold, w.other);
}

/* Does any namespace go to the archive? */
static bool any_goes(void)
{
    bool any = false;

    for (size_t i = 0; i < WORK_NAMES; i++) {
        struct ns *ns = work_get(work_names[i]);
        any = any || (ns && ship_goes_to(work.p, ns, vault_url()));
        ns_put(work.p, ns);
    }
    return any;
}

/* An archive that has no namespace any more does not tell an old copy from the store. */
static void be_old(void)
{
    if (!any_goes() || !w.old.disk)
        return;
    close_store();
    if (segment_pos_compare(last_segment(), w.old.at) != 0) {
        swap_copy();
        run_copy();
        swap_copy();
        w.copies++;
    }
    reopen_store();
    forget_copy();
}

/* All that the copy does not know of is that a namespace is gone. */
static void be_old_in_one_name(void)
{
    ship();
    if (w.is_behind)
        return;
    copy_store();
    (void)work_order("drop %s", work_some_name());
    ship();
    be_old();
}

/* ---- a follower ---- */

/* It has numbers of its own, so what the writer does is the same with it and without it. */
static uint64_t follower_pick(uint64_t n)
{
    static uint64_t rng = 4711;

    return fault_random(&rng) % n;
}

/* The follower is what was shipped last. */
static void check_follower(const struct moment *m)
{
    struct state *p = follower_state();

    for (size_t i = 0; i < WORK_NAMES; i++) {
        struct ns *ns = NULL;
        const bool there = ns_get_by_name(p, work_names[i], &ns) == 0;

        CHECK(there == m->of[i].there);
        if (!there)
            continue;
        CHECK(ns->frozen == m->of[i].frozen);
        lines.lenient = false;
        tree_lines_read(p, vfs_node(ns->number, NS_ROOT_INO), &lines);
        ns_put(p, ns);
        compare(&m->of[i]);
    }
}

static void follow(void)
{
    (void)shards_look(follower_state()->shards);
    follower_go();
    if (w.is_last)
        check_follower(&w.moment[w.last]);
    if (follower_pick(6))
        return;
    follower_die();
    if (w.is_last)
        check_follower(&w.moment[w.last]);
}

/* ---- a prune ---- */

/* Is it still what a restore of its change gives? */
static bool is_kept(const struct catalogue *c, const struct moment *m)
{
    uint32_t i = c->state_count;

    if (!c->number || m->seq >= c->begin.seq)
        return true;
    while (i > 0 && c->states[i - 1].seq > m->seq)
        i--;
    return i > 0 && segment_pos_compare(c->states[i - 1].at, m->at) == 0;
}

static struct catalogue last_catalogue(void)
{
    struct shard *s = open_vault();
    struct catalogue c;

    CHECK(archive_last_catalogue(s, 1, 0, &c) == 0);
    shard_close(s);
    return c;
}

static void drop_moment(size_t i)
{
    const size_t last = --w.moments;

    w.is_last &= i != w.last;
    forget_moment(&w.moment[i]);
    if (i == last)
        return;
    w.moment[i] = w.moment[last];
    w.moment[last] = (struct moment){.seq = 0};
    w.pinned = w.pinned == last ? i : w.pinned;
    w.last = w.last == last ? i : w.last;
}

/* Forgets the moments that are not kept, and proves that they need not be. */
static void forget_pruned(int64_t keep)
{
    struct catalogue c = last_catalogue();

    for (size_t i = w.moments; i-- > 0;) {
        if (is_kept(&c, &w.moment[i]))
            continue;
        CHECK(w.moment[i].from <= now(work.p) - keep && !(w.is_pinned && w.pinned == i));
        drop_moment(i);
        w.forgotten++;
    }
    catalogue_release(&c);
}

static void on_found(const char *what, const char *sentence, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "archive check: %s: %s\n", what, sentence);
}

static void check_archive(void)
{
    const struct archive_check_ask ask = {.found = on_found};
    struct archive_check_result r;

    CHECK(archive_check(work.p, w.archive, &ask, &r) == 0);
    CHECK(r.found == 0);
}

/* Puts a pin for a moment, or ends it. */
static void pin_one(void)
{
    struct shard *s = open_vault();

    if (w.is_pinned) {
        CHECK(archive_pin_end(s, w.pin.token) == 0);
        w.is_pinned = false;
    } else if (w.moments) {
        w.pinned = work_pick(w.moments);
        w.pin = (struct archive_pin){.lineage = 1, .at = w.moment[w.pinned].at};
        w.is_pinned = w.pin.at.epoch > 0; /* else it would keep all */
        CHECK(!w.is_pinned || archive_pin_put(s, &w.pin) == 0);
        w.pins += w.is_pinned;
    }
    shard_close(s);
}

static int64_t choose_keep(void)
{
    struct settings *set = &work.p->settings;
    const int64_t minute = 60 * NSEC_PER_SEC, keep = minute * (1 + (int64_t)work_pick(30));

    settings_put(set, SET_ARCHIVE_KEEP, keep);
    settings_put(set, SET_ARCHIVE_KEEP_HOURLY, minute * (int64_t)work_pick(300));
    settings_put(set, SET_ARCHIVE_KEEP_DAILY, minute * (int64_t)work_pick(6000));
    settings_put(set, SET_ARCHIVE_GRACE, minute);
    return keep;
}

static void note_prune(const struct prune_result *r, uint32_t before)
{
    CHECK(r->deleted == 0 || now(work.p) - w.marked >= 60 * NSEC_PER_SEC);
    if (r->catalogue != before)
        w.marked = now(work.p);
    w.prunes++;
    w.deleted += r->deleted;
    w.thinned += r->thinned;
}

static void prune(int64_t keep)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const struct prune_ask ask = {.least = 1};
    struct catalogue c = last_catalogue();
    const bool dies = work_pick(4) == 0;
    struct prune_result r;
    bool has_clock;
    int err;

    has_clock = vault_set_clock(now(work.p));
    if (dies)
        vault_spoil();
    err = prune_run(work.p, w.archive, &ask, &r, &why);
    if (err == -EAGAIN && !has_clock) /* the ages of a directory are those of this machine */
        err = 0;
    if (err < 0 && !(dies && vault_may_fail(err)))
        fprintf(stderr, "a prune failed: %d: %s\n", err, why.s ? why.s : "");
    CHECK(err == 0 || (dies && vault_may_fail(err)));
    heal();
    note_prune(&r, c.number);
    if (err < 0 && work_pick(3) == 0)
        die();
    forget_pruned(keep);
    catalogue_release(&c);
}

static void prune_some(void)
{
    int64_t keep;

    ship();
    if (w.is_behind)
        return;
    if (work_pick(3) == 0)
        pin_one();
    end_moment();
    work_pass((int64_t)work_pick(7200) * NSEC_PER_SEC);
    keep = choose_keep();
    prune(keep);
    if (work_pick(2)) { /* what was marked is deleted */
        work_pass(61 * NSEC_PER_SEC);
        prune(keep);
    }
    if (work_pick(3) == 0)
        check_archive();
}

/* ---- all of it ---- */

static void play_round(void)
{
    for (uint64_t left = work_pick(12); left > 0; left--)
        work_one();
    if (work_pick(3))
        ship();
    if (follower_pick(3) == 0)
        follow();
    if (work_pick(4) == 0)
        restore_some();
    if (work_pick(4) == 0)
        damage_some();
    if (work_pick(6) == 0)
        lose_some();
    if (work_pick(12) == 0)
        die();
    if (work_pick(25) == 0)
        inspect();
    if (work_pick(15) == 0)
        copy_store();
    if (work_pick(15) == 0)
        be_old();
    if (work_pick(25) == 0)
        be_old_in_one_name();
    if (work_pick(6) == 0)
        prune_some();
}

/* Nothing is left of a store of which all is dropped, and which ships nowhere. */
static void drop_everything(void)
{
    uint64_t disk_bytes, count;

    work_let_all_go();
    for (size_t i = 0; i < WORK_NAMES; i++) {
        (void)work_order("set ns:%s.frozen no", work_names[i]);
        (void)work_order("drop %s now", work_names[i]);
    }
    settings_put(&work.p->settings, SET_ORIGIN_KEEP, 0);
    CHECK(work_order("trash empty"));
    do

        ship(); /* its points hold objects that are only there */
    while (w.is_behind);
    work_drain();
    CHECK(work_order("archive remove"));
    work_drain();
    CHECK(work_order("gc grace=0 wait") && work_order("gc grace=0 wait"));
    work_drain();
    close_store();
    check_offline();
    forget_moment(&w.closed);
    disk_mem_usage(w.disk, &disk_bytes, &count);
    if (disk_bytes || count)
        fprintf(stderr, "%llu bytes and %llu names are left\n", (unsigned long long)disk_bytes,
                (unsigned long long)count);
    CHECK(disk_bytes == 0 && count == 0);
}

static void play(uint64_t rounds)
{
    for (random_round = 0; random_round < rounds; random_round++)
        play_round();
    ship();
    follow();
    follower_end();
    restore_all();
    inspect();
    drop_everything();
}

static void begin(const char *dir)
{
    char why[SHARD_WHY];

    work_begin();
    shard_mem_register();
    shard_set_patience(VAULT_PATIENCE);
    clock_manual_init(&work.clock, 1700000000 * NSEC_PER_SEC);
    CHECK(kv_mem_create(NULL, &w.mem) == 0 && disk_mem_create(NULL, 0, &w.disk) == 0);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(store_format(w.disk, w.kv, &work.clock.base, "o/p", 0, 0, NULL) == 0);
    kv_close(w.kv);
    vault_begin(dir, &work.rng);
    CHECK(shard_mem_create("cold", NULL, &w.cold) == 0);
    CHECK(shard_mem_create("other", NULL, &w.other) == 0);
    open_store();
    CHECK(shards_add(work.p->shards, 1, "mem:cold", why) == 0);
    CHECK(ship_add(work.p, vault_url(), &w.archive, why) == 0);
    vault_settle();
    follower_begin(vault_url(), &work.clock.base);
}

static void end(void)
{
    for (size_t i = 0; i < w.moments; i++)
        forget_moment(&w.moment[i]);
    forget_copy();
    disk_close(w.disk);
    kv_mem_destroy(w.mem);
    vault_end();
    shard_mem_destroy(w.cold);
    shard_mem_destroy(w.other);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'},
                                            {"rounds", 1, NULL, 'n'},
                                            {"compression", 0, NULL, 'c'},
                                            {"dir", 1, NULL, 'd'},
                                            {0}};
    const char *dir = NULL;
    unsigned long long segments, afresh;
    uint64_t rounds = 200;
    int o;

    work.rng = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            work.rng = strtoull(optarg, NULL, 0);
        else if (o == 'n')
            rounds = strtoull(optarg, NULL, 0);
        else if (o == 'd')
            dir = optarg;
        else if (o == 'c')
            compresses = true;
        else
            return 2;
    }
    work.rng = work.rng ? work.rng : 1;
    random_tree_bits = compresses ? 0x0f : 0xff;
    printf("property_archive --seed %llu --rounds %llu%s%s%s\n", (unsigned long long)work.rng,
           (unsigned long long)rounds, compresses ? " --compression" : "", dir ? " --dir " : "",
           dir ? dir : "");
    fflush(stdout);
    begin(dir);
    play(rounds);
    end();
    follower_counts(&segments, &afresh);
    printf("%llu rounds of shipping (%llu failed, %llu idle), %llu restored, %llu refused, %llu "
           "damaged (%llu noticed), %llu deaths, %llu old copies, %llu rounds with lost bytes, "
           "%llu "
           "segments followed, and %llu times afresh, %llu prunes (%llu deleted, %llu thinned, "
           "%llu moments "
           "forgotten, %llu pins)\n",
           (unsigned long long)w.rounds, (unsigned long long)w.failed, (unsigned long long)w.idle,
           (unsigned long long)w.restored, (unsigned long long)w.refused,
           (unsigned long long)w.damaged, (unsigned long long)w.noticed,
           (unsigned long long)w.deaths, (unsigned long long)w.copies, (unsigned long long)w.lossy,
           segments, afresh, (unsigned long long)w.prunes, (unsigned long long)w.deleted,
           (unsigned long long)w.thinned, (unsigned long long)w.forgotten,
           (unsigned long long)w.pins);
    return 0;
}
