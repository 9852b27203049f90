// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of `wait durable`: a namespace is waited for until what it has is durable, in the log or
 * by a commit, and nobody waits for changes of others. Nothing here becomes durable by itself.
 */
#include "fixture.h"

#include "store_impl.h"
#include <pthread.h>

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
    agreed(&x, "branch main dev", "ok");
    agreed(&x, "drain", "ok");
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(durable, .init = up, .fini = down, .timeout = 60);

static uint64_t change(const char *path)
{
    put_file(&x, path, path);
    return state_seq(x.p);
}

static void durable_is(const char *line, uint64_t seq, uint64_t durable)
{
    char want[80];

    snprintf(want, sizeof want, "ok seq=%llu durable=%llu\n", (unsigned long long)seq,
             (unsigned long long)durable);
    agreed(&x, line, want);
}

/* A wait here ends only if it is woken. */
static _Atomic bool somebody_waits;

int __wrap_cond_wait_for(struct cond *c, struct mutex *m, int64_t ns);
int __real_cond_wait_for(struct cond *c, struct mutex *m, int64_t ns);
int __wrap_cond_wait_for(struct cond *c, struct mutex *m, int64_t ns)
{
    if (strcmp(m->name, "durable") != 0)
        return __real_cond_wait_for(c, m, ns);
    atomic_store(&somebody_waits, true); /* with the lock */
    cond_wait(c, m);
    return 0;
}

static void *wait_without_end(void *arg)
{
    agreed(&x, "wait durable main", "ok seq=");
    return arg;
}

static void wakes(int (*make_durable)(struct state *p))
{
    pthread_t thread;

    change("main/a");
    cr_assert_eq(pthread_create(&thread, NULL, wait_without_end, NULL), 0);
    while (!atomic_load(&somebody_waits))
        sched_yield();
    cr_assert_eq(make_durable(x.p), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(durable, a_sync_of_the_log_ends_a_wait)
{
    wakes(flush_sync);
}

Test(durable, a_flush_ends_a_wait)
{
    wakes(flush_now);
}

Test(durable, a_namespace_waits_for_its_own_changes_alone)
{
    uint64_t mine = change("main/a"), theirs;
    char line[64];

    cr_assert_eq(flush_sync(x.p), 0);
    theirs = change("dev/a");
    durable_is("wait durable main", mine, mine);
    snprintf(line, sizeof line, "wait durable main %llu", (unsigned long long)theirs);
    durable_is(line, mine, mine);
    refused(&x, "wait durable dev 0ms", -ETIMEDOUT, "dev is durable up to change ");
    snprintf(line, sizeof line, "wait durable dev %llu 1h", (unsigned long long)mine);
    durable_is(line, mine, mine);
    cr_assert_eq(flush_sync(x.p), 0);
    durable_is("wait durable dev", theirs, theirs);
}

Test(durable, one_that_has_gone_on_is_durable_up_to_where_it_was)
{
    uint64_t first = change("main/a");
    char line[64];

    cr_assert_eq(flush_sync(x.p), 0);
    change("main/b");
    snprintf(line, sizeof line, "wait durable main %llu", (unsigned long long)first);
    durable_is(line, first, first);
    refused(&x, "wait durable main 0ms", -ETIMEDOUT, "and not yet up to ");
}

Test(durable, what_can_never_be_is_refused)
{
    change("main/a");
    refused(&x, "wait durable", -EINVAL, "usage: wait durable NS [SEQ] [DUR]");
    refused(&x, "wait durable nobody", -ENOENT, "there is no namespace nobody");
    refused(&x, "wait durable main soon", -EINVAL, "soon is neither the number of a change nor");
    refused(&x, "wait durable main 1 1s 2", -EINVAL, "a word too many");
    refused(&x, "wait durable main 1s 2", -EINVAL, "2 is too much");
    refused(&x, "wait durable main 1000000", -EINVAL, "there is no change 1000000 yet");
    refused(&x, "wait durable main 18446744073709551615", -EINVAL,
            "there is no change 18446744073709551615 yet");
    state_turn_readonly(x.p, "a test", EIO);
    refused(&x, "wait durable main", -EROFS, "the store is read-only");
}

Test(durable, a_name_with_a_newline_makes_no_line_of_its_own)
{
    char reply[4096];

    agreed(&x, "branch main \"a\\nok seq=9\"", "ok ns=");
    cr_assert_eq(say(&x, "wait durable \"a\\nok seq=9\" 0ms", reply), -ETIMEDOUT);
    cr_assert(strstr(reply, "\"a\\nok seq=9\" is durable up to change "), "%s", reply);
    cr_assert_eq(strchr(reply, '\n')[1], 0, "%s", reply);
    cr_assert_eq(say(&x, "shard add 1 \"x\\nok seq=9\"", reply), -EINVAL);
    cr_assert_eq(strchr(reply, '\n')[1], 0, "%s", reply);
}
