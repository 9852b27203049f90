// SPDX-License-Identifier: Apache-2.0
/* Claims of watchdog.h: what hangs is said once, with its cause, and nothing else is. */
#include "clock_manual.h"
#include "lock.h"
#include "report.h"
#include "waiting.h"
#include "waits.h"
#include "watchdog.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FSYNC 20
#define READ 15
#define SECOND NSEC_PER_SEC

static struct clock_manual now;
static struct waiting *requests;
static struct watchdog *w;
static struct waits of_a_file = {WAITS_FILE, "a sync of", -1, NULL};

/* ---- what was said ---- */

static char said[64][REPORT_TEXT];
static enum report_level levels[64];
static unsigned count, read_up_to;

static void sink(enum report_level level, const char *text, void *ctx)
{
    (void)ctx;
    cr_assert_lt(count, 64);
    levels[count] = level;
    (void)snprintf(said[count++], REPORT_TEXT, "%s", text);
}

/* The next message has this level and these words. */
static void says(enum report_level level, const char *first, const char *second)
{
    cr_assert_lt(read_up_to, count, "nothing was said");
    const char *text = said[read_up_to];
    cr_assert_eq(levels[read_up_to], level, "%s", text);
    cr_assert(strstr(text, first) && strstr(text, second), "%s", text);
    read_up_to++;
}

static void says_nothing(void)
{
    cr_assert_eq(read_up_to, count, "%s", said[read_up_to]);
}

/* ---- threads that hang ---- */

static struct mutex lock_a;

/* A thread that takes `held`, and then waits: for `wanted`, if there is one, else with the note
 * `waits`. */
struct hanging {
    pthread_t thread;
    _Atomic int tid;
    uint64_t request;
    bool takes;
    struct mutex *held, *wanted;
    struct waits waits;
    sem_t began, go_on;
};

static void *hang(void *arg)
{
    struct hanging *h = arg;
    waits_serve(h->request, h->takes);
    if (h->held)
        mutex_lock(h->held);
    const struct waits before = h->waits.kind ? waits_begin(h->waits) : (struct waits){0};
    h->tid = gettid();
    sem_post(&h->began);
    if (h->wanted)
        mutex_lock(h->wanted);
    while (sem_wait(&h->go_on) < 0)
        ;
    if (h->waits.kind)
        waits_end(before);
    if (h->wanted)
        mutex_unlock(h->wanted);
    if (h->held)
        mutex_unlock(h->held);
    waits_serve(0, h->takes);
    return NULL;
}

/* Is the thread in the kernel, with a lock that it waits for noted? */
static bool waits_for_lock(int tid)
{
    struct waits_seen s;
    for (unsigned i = 0; i < WAITS_THREADS; i++)
        if (waits_look(i, &s) && s.tid == tid)
            return s.kind == WAITS_LOCK;
    return false;
}

static void begin(struct hanging *h)
{
    sem_init(&h->began, 0, 0);
    sem_init(&h->go_on, 0, 0);
    cr_assert_eq(pthread_create(&h->thread, NULL, hang, h), 0);
    while (sem_wait(&h->began) < 0)
        ;
    while (h->wanted && !waits_for_lock(h->tid))
        sched_yield();
}

static void end(struct hanging *h)
{
    sem_post(&h->go_on);
    pthread_join(h->thread, NULL);
}

static void request(uint64_t unique, uint32_t opcode)
{
    waiting_add(requests, &(struct waiting_request){
                              .unique = unique, .nodeid = 5, .opcode = opcode, .tid = 7});
}

static void answered(uint64_t unique)
{
    struct waiting_request r;
    cr_assert(waiting_done(requests, unique, &r));
}

/* A look, and another one when what was there has lasted for `seconds`. */
static unsigned look_after(int64_t seconds)
{
    (void)watchdog_look(w);
    clock_manual_advance(&now, seconds * SECOND);
    return watchdog_look(w);
}

static struct view_edge described(void)
{
    struct view_edge edge = {0};
    watchdog_describe(w, &edge);
    return edge;
}

static void start(void)
{
    of_a_file.number = open("/dev/null", O_RDONLY | O_CLOEXEC);
    report_reset();
    report_set_sink(sink, NULL);
    mutex_init(&lock_a, "a");
    clock_manual_init(&now, SECOND);
    cr_assert_eq(waiting_new(&now.base, &requests), 0);
    cr_assert_eq(watchdog_new(&now.base, requests, &w), 0);
}

static void stop(void)
{
    watchdog_free(w);
    waiting_free(requests);
}

TestSuite(watchdog, .init = start, .fini = stop, .timeout = 60);

/* ---- claims ---- */

Test(watchdog, a_late_request_is_said_with_its_cause_once_and_when_it_is_over)
{
    struct hanging h = {.request = 2, .waits = of_a_file};

    begin(&h);
    request(2, READ);
    cr_assert_eq(look_after(29), 0);
    says_nothing();
    cr_assert_eq(look_after(1), 1);
    says(REPORT_ALARM,
         "READ, inode 5, is not answered for 30 seconds: waits for a sync of /dev/null", "");
    cr_assert_eq(look_after(10), 1);
    says_nothing();
    cr_assert(described().is_stuck);
    cr_assert(strstr(described().stuck, "not answered for 40 seconds"), "%s", described().stuck);
    cr_assert(described().stuck_requests == 1 && described().stuck_threads == 0);
    end(&h);
    answered(2);
    cr_assert_eq(look_after(0), 0);
    says(REPORT_NOTE, "over after 40 seconds: the wait for a sync of", "");
    cr_assert(!described().is_stuck && !*described().stuck);
    says_nothing();
}

Test(watchdog, the_chain_leads_from_a_lock_to_what_its_holder_waits_for)
{
    struct hanging holder = {.held = &lock_a, .waits = of_a_file};
    struct hanging h = {.request = 2, .wanted = &lock_a};

    begin(&holder);
    begin(&h);
    request(2, READ);
    cr_assert_eq(look_after(30), 1);
    says(REPORT_ALARM, "waits for the lock \"a\" of thread ",
         ", which waits for a sync of /dev/null");
    says_nothing(); /* the holder is the same finding */
    cr_assert_eq(described().stuck_threads, 1);
    end(&holder);
    end(&h);
}

Test(watchdog, many_requests_with_one_cause_are_one_message)
{
    struct hanging h = {.waits = of_a_file};

    begin(&h);
    for (uint64_t unique = 2; unique < 100; unique += 2) {
        request(unique, FSYNC);
        waiting_hand(requests, unique, h.tid);
    }
    cr_assert_eq(look_after(30), 1);
    says(REPORT_ALARM, "FSYNC", "(requests: 49, threads: 0)");
    says_nothing();
    cr_assert_eq(described().stuck_requests, 49);
    end(&h);
}

Test(watchdog, who_waits_for_room_or_a_shard_is_told_and_is_no_alarm)
{
    struct hanging room = {.request = 2, .waits = {WAITS_ROOM, "room in the log", 0, NULL}};
    struct hanging shard = {.request = 4, .waits = {WAITS_SHARD, "dir:/cold", 0, NULL}};
    struct hanging left = {.waits = {WAITS_SHARD, "dir:/left", 0, NULL}}; /* an asker */

    begin(&room);
    begin(&shard);
    begin(&left);
    request(2, READ);
    request(4, READ);
    cr_assert_eq(look_after(30), 2);
    says(REPORT_NOTE, "waits for ", "");
    says(REPORT_NOTE, "waits for ", "");
    says_nothing();
    cr_assert(strstr(described().stuck, "waits for room in the log"));
    cr_assert(strstr(described().stuck, "waits for the shard dir:/cold"));
    cr_assert(!described().is_stuck && described().stuck_requests == 0);
    end(&room);
    end(&shard);
    end(&left);
}

Test(watchdog, a_thread_without_a_request_is_said_if_a_disk_hangs_but_not_if_a_lock_is_held)
{
    struct hanging holder = {.held = &lock_a};
    struct hanging waiter = {.wanted = &lock_a};
    struct hanging disk = {.waits = of_a_file};

    begin(&holder);
    begin(&waiter);
    cr_assert_eq(look_after(300), 0);
    begin(&disk);
    cr_assert_eq(look_after(30), 1);
    says(REPORT_ALARM, "a thread has not gone on for 30 seconds: waits for a sync of /dev/null",
         "");
    end(&disk);
    end(&holder);
    end(&waiter);
}

Test(watchdog, a_wait_that_begins_anew_is_another_one)
{
    for (int i = 0; i < 10; i++) {
        WAITS_GUARD(WAITS_FILE, "a sync of", of_a_file.number, NULL);
        cr_assert_eq(look_after(29), 0);
    }
    says_nothing();
}

Test(watchdog, a_late_request_that_does_one_thing_after_the_other_is_one_finding)
{
    request(2, READ);
    waits_serve(2, false);
    clock_manual_advance(&now, 30 * SECOND);
    for (int i = 0; i < 10; i++) {
        WAITS_GUARD(WAITS_FILE, i % 2 ? "a sync of" : "a read of", of_a_file.number, NULL);
        cr_assert_eq(look_after(1), 1);
    }
    says(REPORT_ALARM, "READ", "of /dev/null");
    says_nothing();
}

Test(watchdog, a_late_request_that_takes_one_lock_after_the_other_is_slow_and_no_alarm)
{
    request(2, READ);
    waits_serve(2, false);
    clock_manual_advance(&now, 30 * SECOND);
    for (int i = 0; i < 10; i++) {
        WAITS_GUARD(WAITS_LOCK, i % 2 ? "a" : "b", 0, NULL);
        cr_assert_eq(look_after(1), 1);
    }
    says(REPORT_NOTE, "READ", "waits for the lock");
    says_nothing();
}

Test(watchdog, a_circle_of_locks_is_an_alarm)
{
    _Atomic int other = 0;
    struct hanging h = {.waits = {WAITS_LOCK, "b", 0, &other}};

    other = gettid();
    begin(&h);
    WAITS_GUARD(WAITS_LOCK, "a", 0, &h.tid);
    cr_assert_eq(look_after(30), 1);
    says(REPORT_ALARM, "the lock \"a\" of thread", "the lock \"b\" of thread");
    cr_assert_eq(described().stuck_threads, 2);
    end(&h);
}

Test(watchdog, a_thread_that_takes_requests_and_does_not_come_back_is_said)
{
    struct hanging h = {.request = 9, .takes = true}; /* of .tally: it is not in `requests` */
    struct hanging command = {.request = 11};         /* one that may wait for long */

    begin(&h);
    begin(&command);
    cr_assert_eq(look_after(30), 1);
    says(REPORT_ALARM, "a thread that takes requests has not come back for 30 seconds",
         "which notes no wait (state ");
    says_nothing();
    end(&h);
    end(&command);
}

Test(watchdog, a_request_that_nobody_serves_is_said)
{
    request(2, READ);
    cr_assert_eq(look_after(30), 1);
    says(REPORT_ALARM, "READ", "waits for a thread that serves it");
}

Test(watchdog, the_patience_counts_at_once_and_zero_looks_for_nothing)
{
    request(2, READ);
    watchdog_set_patience(w, 5 * SECOND);
    cr_assert_eq(look_after(5), 1);
    says(REPORT_ALARM, "READ", "5 seconds");
    watchdog_set_patience(w, 0);
    cr_assert_eq(look_after(100), 0);
    says(REPORT_NOTE, "over", "");
    says_nothing();
}

Test(watchdog, more_causes_than_it_can_tell_apart_are_counted_all_the_same)
{
    static struct hanging h[20];
    static char names[20][16];

    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(names[i], sizeof names[i], "lock %u", i);
        h[i].request = 2 + i;
        h[i].waits = (struct waits){WAITS_LOCK, names[i], 0, NULL};
        begin(&h[i]);
        request(2 + i, READ);
    }
    cr_assert_eq(look_after(30), 16);
    cr_assert_eq(described().stuck_requests, 20);
    cr_assert_eq(strnlen(described().stuck, 1024) < 1024, true);
    for (unsigned i = 0; i < 20; i++)
        end(&h[i]);
}

/* ---- systemd ---- */

static int server;

/* Listens as systemd does, and begins anew with that in the environment. */
static void supervised(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char name[64];
    const int len = snprintf(name, sizeof name, "@tally-watchdog-%d", getpid());

    memcpy(a.sun_path + 1, name + 1, (size_t)len - 1);
    server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(server, (const struct sockaddr *)&a,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)),
                 0);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "40000000", 1);
    watchdog_free(w);
    cr_assert_eq(watchdog_new(&now.base, requests, &w), 0);
}

/* Does a look now tell systemd that all is well? */
static bool tells(void)
{
    char text[64];
    (void)watchdog_tell_systemd(w);
    const ssize_t n = recv(server, text, sizeof text, 0);
    return n == 10 && memcmp(text, "WATCHDOG=1", 10) == 0;
}

Test(watchdog, systemd_is_told_four_times_in_its_time)
{
    supervised();
    for (int i = 0; i < 8; i++) {
        cr_assert(tells());
        cr_assert(!tells());
        clock_manual_advance(&now, 10 * SECOND - 1);
        cr_assert(!tells());
        clock_manual_advance(&now, 1);
    }
}

Test(watchdog, systemd_is_not_told_while_the_process_itself_hangs)
{
    struct hanging h = {.request = 2};

    supervised();
    begin(&h);
    request(2, READ);
    cr_assert_eq(look_after(30), 1);
    cr_assert(!tells());
    clock_manual_advance(&now, 100 * SECOND);
    cr_assert(!tells());
    end(&h);
    answered(2);
    cr_assert_eq(look_after(0), 0);
    cr_assert(tells());
}

Test(watchdog, systemd_is_told_while_a_disk_hangs_which_a_restart_does_not_mend)
{
    struct hanging disk = {.held = &lock_a, .waits = of_a_file};
    struct hanging h = {.request = 2, .wanted = &lock_a};

    supervised();
    begin(&disk);
    begin(&h);
    request(2, READ);
    request(4, READ); /* nobody serves it: all threads may hang at that disk */
    cr_assert_eq(look_after(30), 2);
    cr_assert(tells());
    end(&disk);
    end(&h);
}

Test(watchdog, the_thread_looks_and_tells_by_itself)
{
    struct hanging h = {.request = 2, .waits = of_a_file};
    char text[64];

    supervised();
    begin(&h);
    request(2, READ);
    clock_manual_advance(&now, 30 * SECOND);
    cr_assert_eq(watchdog_run(w), 0);
    while (recv(server, text, sizeof text, 0) < 0)
        usleep(1000);
    while (!described().is_stuck)
        usleep(1000);
    end(&h);
    answered(2);
    while (described().is_stuck)
        usleep(1000);
}

Test(watchdog, systemd_that_asks_another_process_or_no_one_is_told_nothing)
{
    supervised();
    setenv("WATCHDOG_PID", "1", 1);
    watchdog_free(w);
    cr_assert_eq(watchdog_new(&now.base, requests, &w), 0);
    cr_assert(!tells());
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "soon", 1);
    watchdog_free(w);
    cr_assert_eq(watchdog_new(&now.base, requests, &w), 0);
    cr_assert(!tells());
}
