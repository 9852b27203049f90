// SPDX-License-Identifier: Apache-2.0
/* The verb log, on a store whose log has frames of a namespace. */
#include "fixture.h"

#include "log.h"
#include "store_impl.h"

static struct fixture x;
static char reply[4096];

#define SEGMENT 1000 /* far from what the store itself writes */
#define FIRST 5000

/* Changes 5001 … 5003 a second apart, the middle one of another namespace. */
static void up(void)
{
    fixture_setup(&x);
    struct log_config c = {.disk = x.disk,
                           .clock = &x.clock.base,
                           .epoch = 99,
                           .seq = FIRST,
                           .next_segment = SEGMENT,
                           .segment_size = 65536};
    uint8_t head[OP_HEAD_MAX];
    struct log *l;
    struct ns *ns;
    uint64_t seq;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(log_open(&c, &l), 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct op op = {.kind = OP_DEL, .ns = ns->number, .key = key_make(10 + i, ITEM_INODE, 0)};
        struct iovec iov = {head, op_encode(&op, head)};

        cr_assert_eq(log_room(l, OP_HEAD_MAX), 0);
        cr_assert_eq(log_append(l, ns->number + i % 2, &iov, 1, &seq), 0);
        log_room_done(l, OP_HEAD_MAX);
        clock_manual_advance(&x.clock, NSEC_PER_SEC);
    }
    log_close(l);
    ns_put(x.p, ns);
}
static void down(void)
{
    fixture_teardown(&x);
}
TestSuite(log_verb, .init = up, .fini = down);

/* What follows the last "seq=" of the reply. */
static int seq_in_reply(void)
{
    const char *at = NULL;

    for (const char *p = reply; (p = strstr(p, "seq=")); p++)
        at = p;
    return at ? atoi(at + 4) : -1;
}

Test(log_verb, list_has_the_changes_of_that_namespace)
{
    cr_assert_gt(say(&x, "log list main", reply), 0, "%s", reply);
    cr_assert(strstr(reply, "\n| segment=1000 offset=4096 seq=5001 time=1970-01-01T00:16:40."
                            "000000000Z delete inode 10\n"),
              "%s", reply);
    cr_assert(strstr(reply, "seq=5003") && !strstr(reply, "seq=5002"), "%s", reply);
}

Test(log_verb, list_ends_at_until)
{
    cr_assert_gt(say(&x, "log list main until=5002", reply), 0, "%s", reply);
    cr_assert(strstr(reply, "seq=5001") && !strstr(reply, "seq=5003"), "%s", reply);
}

Test(log_verb, find_gives_the_last_change_up_to_a_number)
{
    cr_assert_gt(say(&x, "log find main 5002", reply), 0, "%s", reply);
    cr_assert_eq(seq_in_reply(), 5001, "%s", reply);
    cr_assert_gt(say(&x, "log find main 9999", reply), 0, "%s", reply);
    cr_assert_eq(seq_in_reply(), 5003, "%s", reply);
    cr_assert_eq(say(&x, "log find main 0", reply), -ENOENT);
    cr_assert(strstr(reply, "no change of that namespace up to 0"), "%s", reply);
}

Test(log_verb, find_gives_the_last_change_up_to_a_time)
{
    cr_assert_gt(say(&x, "log find main 1970-01-01T00:16:41.999999999Z", reply), 0, "%s", reply);
    cr_assert_eq(seq_in_reply(), 5001, "%s", reply);
    cr_assert_gt(say(&x, "log find main 1970-01-01T00:16:42Z", reply), 0, "%s", reply);
    cr_assert_eq(seq_in_reply(), 5003, "%s", reply);
    cr_assert_eq(say(&x, "log find main 1969-01-01T00:00:00Z", reply), -ENOENT);
    cr_assert_eq(say(&x, "log find main 1500-01-01T00:00:00Z", reply), -ENOENT);
    cr_assert_gt(say(&x, "log find main 2300-01-01T00:00:00Z", reply), 0, "%s", reply);
    cr_assert_gt(say(&x, "log find main 9999-12-31T23:59:59Z", reply), 0, "%s", reply);
}

Test(log_verb, what_it_does_not_understand_it_says)
{
    static const struct {
        const char *command, *says;
        int err;
    } bad[] = {
        {"log list nobody", "there is no namespace nobody", -ENOENT},
        {"log show main", "not log show", -EINVAL},
        {"log \"list\" main", "not log list", -EINVAL},
        {"log list main 7", "usage: log list", -EINVAL},
        {"log list main until=x", "x is not a sequence number", -EINVAL},
        {"log list main since=7", "unknown option since=", -EINVAL},
        {"log list main until=7 until=8", "until", -EINVAL},
        {"log find main", "usage: log find", -EINVAL},
        {"log find main 7 until=7", "usage: log find", -EINVAL},
        {"log find main yesterday", "is not a change, a time", -EINVAL},
        {"log find main 1970-01-01T00:16:42", "is not a change, a time", -EINVAL},
        {"log", "a word is missing", -EINVAL},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(say(&x, bad[i].command, reply), bad[i].err, "%s", bad[i].command);
        cr_assert(strstr(reply, bad[i].says), "%s: %s", bad[i].command, reply);
    }
}
