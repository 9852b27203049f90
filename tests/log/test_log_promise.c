// SPDX-License-Identifier: Apache-2.0
/*
 * test_log_promise: what is missing of a log is noticed, however it went, and nothing else is taken
 * for a loss.
 */
#include "fixture.h"
#include "log_impl.h"
#include "log_promise.h"
#include "store_impl.h"
#include "repair_fixture.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void gone(void)
{
    fixture_teardown(&x);
}
TestSuite(log_promise, .init = up, .fini = gone);

static int open_again(bool accept)
{
    struct state_config config = {.disk = x.disk,
                                    .kv = x.kv,
                                    .clock = &x.clock.base,
                                    .threads = 1,
                                    .log_segment = 1 << 20,
                                    .accept_log_loss = accept};

    return store_open(&config, &x.p);
}

static void die(void)
{
    store_abandon(x.p);
    x.p = NULL;
}

static uint64_t segment_now(void)
{
    struct log_pos pos;

    log_position(x.p->log, &pos);
    return pos.segment;
}

static void lose_segment(uint64_t serial)
{
    char name[DISK_NAME_MAX + 1];

    log_name(serial, name);
    cr_assert_eq(disk_unlink(x.disk, name), 0, "%s", name);
}

/* All its bytes are zeros, or it has none. */
static void blank_segment(uint64_t serial, bool empty)
{
    static uint8_t zeros[1 << 20];
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    log_name(serial, name);
    cr_assert_eq(disk_open(x.disk, name, DISK_WRITE, &f), 0);
    cr_assert_eq(empty ? disk_truncate(f, 0) : disk_pwrite(f, zeros, sizeof zeros, 0), 0);
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
}

static void put_bytes(const char *path)
{
    static char text[60001];

    memset(text, 'x', sizeof text - 1);
    put_file(&x, path, text);
}

static void is_refused_then_accepted(void)
{
    cr_assert_eq(open_again(false), -EUCLEAN);
    cr_assert_eq(open_again(false), -EUCLEAN, "nothing was changed");
    cr_assert_eq(open_again(true), 0);
}

static void durable(const char *path)
{
    put_file(&x, path, "acknowledged by a sync");
    cr_assert_eq(flush_sync(x.p), 0);
}

/* ---- what is lost ---- */

Test(log_promise, a_segment_with_its_name_alone_is_lost)
{
    for (int empty = 0; empty < 2; empty++) {
        durable(empty ? "main/first" : "main/second");
        uint64_t at = segment_now();

        die();
        blank_segment(at, empty);
        is_refused_then_accepted();
        fixture_reopen(&x);
    }
}

/* It was made ahead, and has nothing yet. */
Test(log_promise, an_empty_segment_does_not_hide_that_the_one_before_it_is_lost)
{
    put_file(&x, "main/committed", "by a flush");
    cr_assert_eq(flush_now(x.p), 0);
    durable("main/durable");
    uint64_t at = segment_now();

    cr_assert_eq(log_make(x.p->log, 0), 0);
    die();
    lose_segment(at);
    is_refused_then_accepted();
}

Test(log_promise, nor_one_that_was_made_between_a_commit_and_the_next_change)
{
    put_file(&x, "main/committed", "by a flush");
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(log_make(x.p->log, 0), 0);
    uint64_t at = segment_now();

    durable("main/durable");
    die();
    lose_segment(at);
    is_refused_then_accepted();
    cr_assert_neq(node_of(&x, "main/committed"), 0);
}

/* Changes after that are in another epoch: nothing of before is ever read among them. */
Test(log_promise, a_loss_that_was_accepted_is_over)
{
    durable("main/lost");
    die();
    (void)log_remove(x.disk);
    cr_assert_eq(open_again(true), 0);
    uint64_t epoch = x.p->epoch;

    die();
    cr_assert_eq(open_again(false), 0, "no change since");
    durable("main/after");
    die();
    cr_assert_eq(open_again(false), 0);
    cr_assert_neq(node_of(&x, "main/after"), 0);
    cr_assert_gt(epoch, 1);
}

/* A store whose state was made anew keeps the promise, too. */
Test(log_promise, after_the_state_was_made_anew_a_log_is_missed)
{
    static struct said s;

    put_file(&x, "main/file", "closed");
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(kv_mem_flip(x.mem, TABLE_META, "state", 5, 20, 3), 0);
    repair(&x, 0, &s);
    cr_assert(strstr(s.repaired, "state|state|it is made anew"), "%s", s.repaired);
    fixture_open(&x);
    durable("main/durable");
    die();
    (void)log_remove(x.disk);
    is_refused_then_accepted();
}

/* ---- what is not ---- */

/* By hand, while it is mounted: the log goes on without it. */
Test(log_promise, a_spare_file_that_is_gone_is_not_asked_for_again)
{
    char path[32];

    for (unsigned i = 0; x.p->log->spare_size == 0 && i < 100; i++) {
        snprintf(path, sizeof path, "main/file%u", i);
        put_bytes(path);
        cr_assert_eq(flush_now(x.p), 0);
    }
    cr_assert_gt(x.p->log->spare_size, 0);
    lose_segment(x.p->log->spare);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "main/more%u", i);
        put_bytes(path);
    }
    cr_assert_eq(flush_sync(x.p), 0);
    die();
    cr_assert_eq(open_again(false), 0);
    cr_assert_neq(node_of(&x, "main/more39"), 0);
}

/* A store of before the record, and of the versions before, whose log has frames. */
Test(log_promise, a_log_without_the_record_is_read_and_none_is_missed)
{
    durable("main/durable");
    die();
    cr_assert_eq(log_promise_clear(x.kv), 0);
    cr_assert_eq(open_again(false), 0);
    cr_assert_neq(node_of(&x, "main/durable"), 0);
    durable("main/more");
    die();
    (void)log_remove(x.disk);
    is_refused_then_accepted();
}

/* The log has another spare file, as large, when it gives up its last segment. */
Test(log_promise, a_segment_that_was_given_up_keeps_its_name)
{
    unsigned hits = 0;

    for (unsigned n = 0; n < 60 && hits == 0; n++) {
        char path[32];

        snprintf(path, sizeof path, "main/file%u", n);
        put_bytes(path);
        if (n < 16)
            continue; /* until a second segment is in use */
        bool spare = x.p->log->spare_size > 0;

        cr_assert_eq(flush_now(x.p), 0);
        if (x.p->log->current || !spare)
            continue;
        hits++;
        die();
        cr_assert_eq(open_again(false), 0, "%u", n);
    }
    cr_assert_gt(hits, 0);
}

/* ---- every instant at which it may end ---- */

#define STEPS 30

static unsigned acknowledged; /* bit i: of file i a sync has said that it is durable */

static unsigned given_up;     /* how often the log went on in the file of one that was given up */

static void file_name(unsigned i, char out[16])
{
    snprintf(out, 16, "f%u", i);
}

static int try_put(unsigned i)
{
    static char text[62000];
    struct vfs_file *f;
    struct vfs_attr a;
    char name[16];

    file_name(i, name);
    int err = vfs_create(x.p, node_of(&x, "main"), name, 0644, &fixture_cred, VFS_WRITE, &a, &f);

    if (err < 0)
        return err;
    ssize_t n = vfs_write(f, text, sizeof text, 0);

    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
    return n < 0 ? (int)n : 0;
}

static int try_open(void)
{
    struct state_config config = {.disk = x.disk,
                                    .kv = x.kv,
                                    .clock = &x.clock.base,
                                    .threads = 1,
                                    .log_segment = 1 << 20};
    int err = store_open(&config, &x.p);

    x.p = err < 0 ? NULL : x.p;
    return err;
}

static int close_and_open(void)
{
    int err = store_close(x.p);

    x.p = NULL;
    return err < 0 ? err : try_open();
}

/* It is removed; and its bytes go with a commit that has no frame. */
static int try_drain(unsigned i)
{
    char name[16];
    int err;

    file_name(i, name);
    err = flush_drain(x.p, true, -1, NULL);
    if (err < 0)
        return err;
    acknowledged &= ~(1u << i);
    err = vfs_unlink(x.p, node_of(&x, "main"), name);
    if (err == 0)
        err = flush_drain(x.p, true, -1, NULL);
    given_up += x.p->log->current && x.p->log->current->recycled;
    return err;
}

/* Segments that are given up, taken up again, made ahead and left; clean ends and starts. */
static int step(unsigned i)
{
    int err = try_put(i);

    if (err == 0)
        err = flush_sync(x.p);
    if (err < 0)
        return err;
    acknowledged |= 1u << i;
    if (i % 4 == 3)
        err = try_drain(i);
    if (err == 0 && (i == 13 || i == 28))
        err = log_make(x.p->log, 0);
    if (err == 0 && i == 14)
        err = close_and_open();
    return err;
}

/* 0: it came to its end before. */
static int works_until(uint64_t at, bool cut)
{
    int err = 0;

    acknowledged = 0;
    die();
    cr_assert_eq(try_open(), 0);
    fault_reset(&x.fault);
    x.fault.fail_at = at;
    x.fault.cut = cut;
    for (unsigned i = 0; i < STEPS && (err == 0 || !cut) && x.p; i++) {
        int e = step(i);
        err = err < 0 ? err : e;
    }
    return atomic_load(&x.fault.writes) < at ? 0 : err < 0 ? err : -EIO;
}

static void has_all_that_was_acknowledged(uint64_t at)
{
    char path[32] = "main/";

    for (unsigned i = 0; i < STEPS; i++) {
        if (!(acknowledged >> i & 1))
            continue;
        file_name(i, path + 5);
        cr_assert_neq(node_of(&x, path), 0, "%s, write %llu, loss %d", path,
                      (unsigned long long)at, (int)x.fault.loss);
    }
}

/* The environment's EVERY, or 6: of each six writes the claims below look at one each, each at
 * another one. With EVERY=1 each looks at every write, and all of them take three minutes. */
static unsigned stride(void)
{
    const char *every = getenv("EVERY");

    return every ? (unsigned)strtoul(every, NULL, 10) : 6;
}

/* Looks at each `stride`th write, beginning with `at`. */
static void is_no_loss(enum fault_loss loss, bool cut, uint64_t at)
{
    int err = -EIO;

    for (; err < 0; at += stride()) {
        x.fault.loss = loss;
        x.fault.seed = at * 7 + 1;
        err = works_until(at, cut);
        die();
        disk_mem_power_cycle(x.disk);
        fault_reset(&x.fault);
        cr_assert_eq(try_open(), 0, "write %llu, loss %d", (unsigned long long)at, (int)loss);
        has_all_that_was_acknowledged(at);
        gone();
        up();
    }
    cr_assert_gt(at, 100);
    cr_assert_gt(given_up, 0);
}

Test(log_promise, no_end_at_any_instant_is_taken_for_a_loss, .timeout = 250)
{
    is_no_loss(FAULT_KEEP_ALL, true, 1);
}

Test(log_promise, nor_a_loss_of_power_that_keeps_nothing_unsynced, .timeout = 250)
{
    is_no_loss(FAULT_LOSE_ALL, true, 2);
}

Test(log_promise, nor_one_that_keeps_some, .timeout = 250)
{
    is_no_loss(FAULT_LOSE_SOME, true, 3);
}

Test(log_promise, nor_one_that_loses_one_thing, .timeout = 250)
{
    is_no_loss(FAULT_LOSE_ONE, true, 4);
}

Test(log_promise, nor_one_that_keeps_one_thing, .timeout = 250)
{
    is_no_loss(FAULT_KEEP_ONE, true, 5);
}

/* One write fails, and it goes on as well as it can; then it is killed. */
Test(log_promise, nor_a_write_that_fails, .timeout = 250)
{
    is_no_loss(FAULT_KEEP_ALL, false, 6);
}
