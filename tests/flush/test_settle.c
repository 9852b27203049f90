// SPDX-License-Identifier: Apache-2.0
/* test_settle: the flush of a start fails once, and the coordinator has tried again before the
 * start looks at the failure. */
#include "fixture.h"
#include "flush.h"
#include "log.h"
#include "report.h"
#include "store_impl.h"

static struct fixture x;
static unsigned late; /* flushes that failed, and were committed before the caller knew */

int __real_flush_run(struct state *p, enum seal_what what);
int __wrap_flush_run(struct state *p, enum seal_what what);
int __wrap_flush_run(struct state *p, enum seal_what what)
{
    int err = __real_flush_run(p, what);

    if (err == 0)
        return 0;
    x.fault.fail_at = 0;
    for (int i = 0; atomic_load(&p->unsettled) && !atomic_load(&p->readonly) && i < 60000; i++) {
        clock_manual_advance(&x.clock, NSEC_PER_SEC);
        usleep(1000);
    }
    late += !atomic_load(&p->unsettled);
    return err;
}

static int open_in_background(void)
{
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_CREATE, &x.kv), 0);
    struct state_config config = {.disk = x.disk,
                                  .kv = x.kv,
                                  .clock = &x.clock.base,
                                  .threads = 1,
                                  .background = true,
                                  .log_segment = 1 << 20};
    return store_open(&config, &x.p);
}

static unsigned old_segments(void)
{
    struct log_file *v;
    size_t count;
    unsigned n = 0;

    cr_assert_eq(log_files(x.disk, &v, &count), 0);
    for (size_t i = 0; i < count; i++)
        n += v[i].error || v[i].head.epoch != x.p->epoch;
    free(v);
    return n;
}

/* Opens a store with something to recover on a disk whose change `n` fails. False: there was no
 * such change. */
static bool change_fails(uint64_t n)
{
    unsigned before = late;

    fixture_setup(&x);
    put_file(&x, "main/file", "in the log");
    store_abandon(x.p);
    kv_close(x.kv);
    fault_reset(&x.fault);
    report_reset();
    x.fault.fail_at = n;
    x.fault.error = ENOSPC;
    cr_assert_eq(open_in_background(), 0, "change %d fails", (int)n);
    bool failed = fault_fired(&x.fault);

    x.fault.fail_at = 0;
    if (late != before) {
        cr_assert_eq(report_count(REPORT_ALARM), 0, "change %d: it is committed", (int)n);
        cr_assert_eq(old_segments(), 0, "change %d", (int)n);
        put_file(&x, "main/next", "changes go on");
    }
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(try_read(&x, "main/file"), 10);
    fixture_teardown(&x);
    return failed;
}

Test(settle, what_a_second_try_has_committed_is_not_said_to_wait, .timeout = 200)
{
    for (uint64_t n = 1; change_fails(n); n++)
        ;
    cr_assert_gt(late, 0);
}
