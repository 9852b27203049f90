// SPDX-License-Identifier: Apache-2.0
/* Claims of shard.h about a place that never answers. */
#include "clock.h"
#include "shards_both.h"

#include <errno.h>
#include <pthread.h>

#define SOON (50 * NSEC_PER_MSEC)
#define LATE (3600 * NSEC_PER_SEC)
#define NAMES 700

struct two {
    struct shard_mem *place, *other;
    struct shard *shard, *second;
};

static bool is_silent(const char *url)
{
    return shard_is_silent(url, NULL);
}

static void until_it_answers(void)
{
    while (is_silent("mem:place"))
        usleep(1000);
}

static void set_up(struct two *t)
{
    shard_mem_register();
    cr_assert_eq(shard_mem_create("place", NULL, &t->place), 0);
    cr_assert_eq(shard_mem_create("other", NULL, &t->other), 0);
    t->shard = opened("mem:place", 0);
    t->second = opened("mem:other", 0);
    cr_assert_eq(PUT_TEXT(t->shard, "packs/1", "text"), 0);
    cr_assert_eq(PUT_TEXT(t->second, "packs/2", "other"), 0);
}

static void tear_down(struct two *t)
{
    shard_mem_set(t->place, SHARD_MEM_BLOCKED, false);
    until_it_answers();
    shard_close(t->shard);
    shard_close(t->second);
    shard_mem_destroy(t->place);
    shard_mem_destroy(t->other);
}

#define SILENT(claim)                                                                              \
    static void claim(struct two *t);                                                              \
    Test(shard_silent, claim)                                                                      \
    {                                                                                              \
        struct two t;                                                                              \
        set_up(&t);                                                                                \
        claim(&t);                                                                                 \
        tear_down(&t);                                                                             \
    }                                                                                              \
    static void claim(struct two *t)

static int count(const char *name, uint64_t size, void *ctx)
{
    (void)name;
    (void)size;
    return ++*(int *)ctx == NAMES - 1 ? 7 : 0;
}

/* From now on no call returns; the first one is waited for in vain. */
static void blocks(struct two *t)
{
    char buf[8];

    shard_mem_set(t->place, SHARD_MEM_BLOCKED, true);
    shard_set_patience(SOON);
    cr_assert_eq(shard_range(t->shard, "packs/1", buf, 4, 0), -EHOSTUNREACH);
    shard_set_patience(LATE);
}

SILENT(who_asks_does_not_wait_for_ever_and_then_not_at_all)
{
    char buf[8] = "", url[SHARD_URL_MAX + 1], why[SHARD_WHY] = "";
    struct shard_space space;
    struct shard *again;
    uint64_t size;
    int n = 0;

    cr_assert_not(shard_is_silent(NULL, url));
    blocks(t);
    cr_assert(shard_is_silent(NULL, url));
    cr_assert_str_eq(url, "mem:place");
    cr_assert_eq(shard_get(t->shard, "packs/1", buf, 4), -EHOSTUNREACH);
    cr_assert_eq(shard_stat(t->shard, "packs/1", &size), -EHOSTUNREACH);
    cr_assert_eq(shard_delete(t->shard, "packs/1"), -EHOSTUNREACH);
    cr_assert_eq(shard_space(t->shard, &space), -EHOSTUNREACH);
    cr_assert_eq(shard_list(t->shard, "", count, &n), -EHOSTUNREACH);
    cr_assert_eq(PUT_TEXT(t->shard, "packs/3", "text"), -EHOSTUNREACH);
    cr_assert_eq(shard_open("mem:place", 0, &again, why), -EHOSTUNREACH);
    cr_assert_str_eq(why, SHARD_SILENT);
    cr_assert_eq(shard_mem_waiting(t->place), 1, "others were sent after it");
    cr_assert_str_empty(buf);
}

SILENT(another_place_answers_meanwhile)
{
    blocks(t);
    cr_assert_not(is_silent("mem:other"));
    expect(t->second, "packs/2", "other");
}

SILENT(it_is_asked_again_when_the_call_has_come_back)
{
    blocks(t);
    shard_mem_set(t->place, SHARD_MEM_BLOCKED, false);
    until_it_answers();
    expect(t->shard, "packs/1", "text");
}

/* The patience counts at once. */
static void *range(void *s)
{
    char buf[8];

    return (void *)(intptr_t)shard_range(s, "packs/1", buf, 4, 0);
}

SILENT(many_who_ask_at_once_are_all_let_go)
{
    pthread_t thread[20];
    void *err;

    shard_set_patience(LATE);
    shard_mem_set(t->place, SHARD_MEM_BLOCKED, true);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, range, t->shard), 0);
    while (shard_mem_waiting(t->place) < 20)
        usleep(1000);
    shard_set_patience(SOON);
    for (int i = 0; i < 20; i++) {
        pthread_join(thread[i], &err);
        cr_assert_eq((intptr_t)err, -EHOSTUNREACH);
    }
    shard_set_patience(LATE);
}

static int no_more(void *ctx, void *buf, size_t len, uint64_t off)
{
    (void)buf;
    (void)len;
    (void)off;
    ++*(int *)ctx;
    return 0;
}

SILENT(a_put_that_was_left_does_not_read_its_source_any_more)
{
    int reads = 0;
    struct shard_source source = {.read = no_more, .ctx = &reads, .size = 10};

    shard_mem_set(t->place, SHARD_MEM_BLOCKED, true);
    shard_set_patience(SOON);
    cr_assert_eq(shard_put_stream(t->shard, "packs/3", &source), -EHOSTUNREACH);
    shard_set_patience(LATE);
    shard_mem_set(t->place, SHARD_MEM_BLOCKED, false);
    until_it_answers();
    cr_assert_eq(reads, 0);
    cr_assert_eq(shard_stat(t->shard, "packs/3", &(uint64_t){0}), -ENOENT);
}

static int from_the_same_thread(void *ctx, void *buf, size_t len, uint64_t off)
{
    cr_assert(pthread_equal(*(pthread_t *)ctx, pthread_self()));
    memset(buf, 'a' + (int)(off % 26), len);
    return 0;
}

SILENT(a_source_is_read_by_who_puts)
{
    pthread_t self = pthread_self();
    struct shard_source source = {.read = from_the_same_thread, .ctx = &self, .size = 4};

    cr_assert_eq(shard_put_stream(t->shard, "packs/3", &source), 0);
    expect(t->shard, "packs/3", "aaaa");
}

SILENT(it_can_be_closed)
{
    blocks(t);
    shard_close(t->shard);
    cr_assert(is_silent("mem:place"));
    shard_mem_set(t->place, SHARD_MEM_BLOCKED, false);
    until_it_answers();
    t->shard = opened("mem:place", 0);
    expect(t->shard, "packs/1", "text");
}

/* As where the machine has no room for one more thread. */
static void set_threads_can_start(bool can)
{
    static size_t usual;
    pthread_attr_t attr;

    cr_assert_eq(pthread_attr_init(&attr), 0);
    if (!usual)
        cr_assert_eq(pthread_attr_getstacksize(&attr, &usual), 0);
    cr_assert_eq(pthread_attr_setstacksize(&attr, can ? usual : (size_t)1 << 47), 0);
    cr_assert_eq(pthread_setattr_default_np(&attr), 0);
    cr_assert_eq(pthread_attr_destroy(&attr), 0);
}

SILENT(it_is_closed_although_no_thread_can_be_had)
{
    struct shard *more = opened("mem:place", 0);
    pthread_t reader;
    void *err;

    shard_mem_set(t->place, SHARD_MEM_BLOCKED, true);
    cr_assert_eq(pthread_create(&reader, NULL, range, t->shard), 0);
    while (shard_mem_waiting(t->place) < 1)
        usleep(1000);
    set_threads_can_start(false);
    cr_assert_eq(shard_stat(more, "packs/1", &(uint64_t){0}), -ENOMEM);
    shard_close(more);
    set_threads_can_start(true);
    cr_assert_eq(shard_mem_opened(t->place), 1);
    shard_mem_set(t->place, SHARD_MEM_BLOCKED, false);
    pthread_join(reader, &err);
    cr_assert_eq((intptr_t)err, 4);
}

SILENT(one_that_no_thread_came_to_close_in_time_is_closed_later)
{
    struct shard *more = opened("mem:place", 0);

    shard_set_patience(0);
    shard_close(more);
    shard_set_patience(LATE);
    until_it_answers();
    cr_assert_eq(shard_mem_opened(t->place), 1);
    expect(t->shard, "packs/1", "text");
}

SILENT(long_lists_are_whole_and_can_be_stopped)
{
    char name[32];
    int n = NAMES;

    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "many/%d", i);
        cr_assert_eq(PUT_TEXT(t->second, name, "x"), 0);
    }
    cr_assert_eq(shard_list(t->second, "many", count, &n), 0);
    cr_assert_eq(n, 2 * NAMES);
    n = 0;
    cr_assert_eq(shard_list(t->second, "many", count, &n), 7);
    cr_assert_eq(n, NAMES - 1);
}
