// SPDX-License-Identifier: Apache-2.0
/* archive_follower: see the header. */
#include "archive_follower.h"

#include "check.h"
#include "clone.h"
#include "disk_mem.h"
#include "flush.h"
#include "follow.h"
#include "kept.h"
#include "kv_mem.h"
#include "random_tree.h"
#include "record.h"
#include "restore_verify.h"
#include "state.h"
#include "store.h"
#include <stdio.h>
#include <string.h>

static struct {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    const struct clock *clock;
    struct state *p;
    unsigned long long segments, afresh; /* of openings before this one */
} f;

static void open_it(void)
{
    struct state_config c = {
        .disk = f.disk, .clock = f.clock, .threads = 2, .log_segment = 1 << 20};

    CHECK(kv_open_mem(f.mem, store_tables, store_table_count, 0, &f.kv) == 0);
    c.kv = f.kv;
    CHECK(store_open(&c, &f.p) == 0);
}

void follower_begin(const char *url, const struct clock *clock)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct clone_source source;

    f.clock = clock;
    CHECK(clone_look(url, 0, &source, &why) == 0);
    CHECK(kv_mem_create(NULL, &f.mem) == 0 && disk_mem_create(NULL, 0, &f.disk) == 0);
    CHECK(kv_open_mem(f.mem, store_tables, store_table_count, KV_CREATE, &f.kv) == 0);
    CHECK(store_format(f.disk, f.kv, clock, "o/f", 0, 0, &source.lineage.key) == 0);
    kv_close(f.kv);
    open_it();
    CHECK(follow_begin(f.p, url, &source, &why) == 0);
}

void follower_go(void)
{
    struct follow_stats s;
    int err = follow_step(f.p);

    if (err < 0 && follow_get_stats(f.p, &s) == 0)
        fprintf(stderr, "the follower: %s: %s\n", strerror(-err), s.why);
    CHECK(err == 0);
}

struct state *follower_state(void)
{
    return f.p;
}

void follower_counts(unsigned long long *ret_segments, unsigned long long *ret_afresh)
{
    struct follow_stats s = {.segments = 0};

    if (f.p)
        CHECK(follow_get_stats(f.p, &s) == 0);
    *ret_segments = f.segments + s.segments;
    *ret_afresh = f.afresh + s.afresh;
}

void follower_die(void)
{
    follower_counts(&f.segments, &f.afresh);
    store_abandon(f.p);
    kv_close(f.kv);
    open_it();
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    if (!strcmp(what, "note"))
        return;
    fprintf(stderr, "check of the follower: %s %s: %s\n", what, where, sentence);
    ++*(unsigned *)ctx;
}

/* Of its trash the archive keeps nothing. */
static void empty_trash(void)
{
    settings_put(&f.p->settings, SET_TRASH_KEEP, 0);
    kept_expire(f.p);
    CHECK(flush_drain(f.p, true, -1, NULL) == 0);
}

void follower_end(void)
{
    unsigned findings = 0;
    const struct check_options o = {.found = found, .ctx = &findings};
    struct check_result r;

    follower_counts(&f.segments, &f.afresh);
    empty_trash();
    CHECK(store_close(f.p) == 0);
    f.p = NULL;
    kv_close(f.kv);
    CHECK(kv_open_mem(f.mem, store_tables, store_table_count, 0, &f.kv) == 0);
    CHECK(store_check(f.disk, f.kv, &o, &r) == 0);
    kv_close(f.kv);
    CHECK(findings == 0);
    disk_close(f.disk);
    kv_mem_destroy(f.mem);
}
