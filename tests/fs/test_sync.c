// SPDX-License-Identifier: Apache-2.0
/* Claims of sync.h: who syncs together, and how long one waits for others. The store and the
 * replies are played here. */
#include "clock_manual.h"
#include "durability.h"
#include "reply.h"
#include "ship.h"
#include "sync.h"
#include "txn.h"
#include "waiting.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct clock_manual slow;
static unsigned syncs, replies, archive_waits;
static bool all_interrupted; /* the programs whose requests wait */
static int64_t last_reply;
static bool held; /* a sync that has begun waits until it is not */

static void set(unsigned *count, unsigned to)
{
    pthread_mutex_lock(&lock);
    *count = to;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void hold(bool on)
{
    pthread_mutex_lock(&lock);
    held = on;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void until(const unsigned *count, unsigned is)
{
    pthread_mutex_lock(&lock);
    while (*count < is)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

/* A disk that takes a minute for it. */
int flush_sync(struct state *p)
{
    (void)p;
    set(&syncs, syncs + 1);
    pthread_mutex_lock(&lock);
    while (held)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    clock_manual_advance(&slow, 60 * NSEC_PER_SEC);
    return 0;
}

uint64_t state_seq(struct state *p)
{
    (void)p;
    return 1;
}

void ship_kick(struct state *p)
{
    (void)p;
}

/* An archive that is out of reach once, and has everything then. */
int ship_wait_all(struct state *p, uint64_t seq, int64_t timeout, const _Atomic bool *interrupted)
{
    (void)p, (void)seq, (void)interrupted;
    clock_manual_advance(&slow, timeout);
    set(&archive_waits, archive_waits + 1);
    return archive_waits % 2 == 1 ? -ETIMEDOUT : 0;
}

uint64_t txn_request(void)
{
    return 2;
}

void waiting_hand(struct waiting *w, uint64_t unique, int worker)
{
    (void)w, (void)unique, (void)worker;
}

int fuse_req_interrupted(fuse_req_t req)
{
    (void)req;
    return all_interrupted;
}

void fs_reply_err(fuse_req_t req, int64_t r)
{
    (void)req;
    last_reply = r;
    set(&replies, replies + 1);
}

/* Eight that come while a sync is under way, and share the next. */
static void eight_share_one(struct sync *s)
{
    const unsigned before = syncs, answered = replies;

    hold(true);
    sync_request(s, NULL);
    until(&syncs, before + 1);
    for (unsigned i = 0; i < 8; i++)
        sync_request(s, NULL);
    hold(false);
    until(&replies, answered + 9);
    cr_assert_eq(syncs, before + 2);
}

/* Each of the last two took a minute, and eight came: who comes alone does not wait two minutes. */
Test(sync, after_slow_ones_who_comes_alone_is_answered_soon, .timeout = 60)
{
    struct fs_options o = {.state = {.clock = &slow.base}};
    struct fs fs = {.o = &o};
    struct sync *s;

    clock_manual_init(&slow, NSEC_PER_SEC);
    cr_assert_eq(sync_start(&fs, false, &s), 0);
    eight_share_one(s);
    sync_request(s, NULL);
    until(&replies, 10);
    cr_assert_eq(syncs, 3);
    sync_stop(s);
    sync_free(s);
}

Test(sync, the_one_of_archives_answers_when_they_have_it, .timeout = 60)
{
    struct fs_options o = {.state = {.clock = &slow.base}};
    struct fs fs = {.o = &o};
    struct sync *s;

    clock_manual_init(&slow, NSEC_PER_SEC);
    cr_assert_eq(sync_start(&fs, true, &s), 0);
    sync_request(s, NULL);
    until(&replies, 1);
    cr_assert(archive_waits == 2 && last_reply == 0);
    sync_stop(s);
    sync_free(s);
}

Test(sync, one_that_waits_for_archives_is_answered_when_its_program_is_interrupted, .timeout = 60)
{
    struct fs_options o = {.state = {.clock = &slow.base}};
    struct fs fs = {.o = &o};
    struct sync *s;

    clock_manual_init(&slow, NSEC_PER_SEC);
    all_interrupted = true;
    cr_assert_eq(sync_start(&fs, true, &s), 0);
    sync_request(s, NULL);
    until(&replies, 1);
    cr_assert(archive_waits == 1 && last_reply == -EINTR);
    sync_stop(s);
    sync_free(s);
}
