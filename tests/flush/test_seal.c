// SPDX-License-Identifier: Apache-2.0
/* test_seal: what cannot be sealed is its own file's matter: commits, and all others, go on. */
#include "picky.h"
#include "store_impl.h"
#include "report.h"
#include "thread.h"
#include "workers.h"
#include <sys/syscall.h>

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(picky_open(&x), 0);
    picky_refuse("", 0);
}
static void gone(void)
{
    picky_refuse("", 0);
    fixture_teardown(&x);
}
TestSuite(seal, .init = up, .fini = gone);

#define MANY 700u /* more than the slots that press */

static void name_of(unsigned i, char out[32])
{
    snprintf(out, 32, "main/small%u", i);
}

static void put_many(void)
{
    char name[32];

    for (unsigned i = 0; i < MANY; i++) {
        name_of(i, name);
        put_file(&x, name, name);
    }
}

static bool has_many(void)
{
    char name[32], text[32];

    for (unsigned i = 0; i < MANY; i++) {
        struct vfs_file *f;
        ssize_t n;
        name_of(i, name);
        cr_assert_eq(vfs_open(x.p, node_of(&x, name), 0, &f), 0);
        n = vfs_read(f, text, sizeof text, 0);
        vfs_release(f);
        if (n != (ssize_t)strlen(name) || memcmp(text, name, (size_t)n) != 0)
            return false;
    }
    return true;
}

/* Neither in packs nor as files of their own. */
static void no_places(int err)
{
    picky_refuse("packs/", err);
    picky.also = "objects/";
}

static uint64_t commits(void)
{
    MUTEX_GUARD(&x.p->flush->lock);
    return x.p->flush->commits;
}

static bool all_committed(void)
{
    MUTEX_GUARD(&x.p->flush->lock);
    return x.p->flush->durable_seq == atomic_load(&x.p->seq);
}

Test(seal, what_cannot_be_sealed_becomes_a_slot_however_many_there_are)
{
    put_many();
    no_places(-EIO);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert(all_committed());
    cr_assert_eq(stuck_slots(x.p), MANY);
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    cr_assert(has_many());
    picky_refuse("", 0);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(stuck_slots(x.p), 0);
    cr_assert_eq(stuck_count(x.p), 0);
    cr_assert(has_many());
}

Test(seal, so_does_one_for_which_there_is_no_memory)
{
    put_file(&x, "main/a", "a");
    no_places(-ENOMEM);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert(all_committed());
    cr_assert_eq(stuck_slots(x.p), 1);
}

Test(seal, those_that_cannot_be_sealed_slow_nobody)
{
    put_many();
    no_places(-EIO);
    cr_assert_eq(flush_now(x.p), 0);
    uint64_t before = commits();
    for (unsigned i = 0; i < 20; i++)
        put_file(&x, "main/other", "other");
    cr_assert_eq(commits(), before);
}

Test(seal, one_is_tried_again_after_a_while_and_by_every_drain)
{
    put_file(&x, "main/a", "a");
    no_places(-EIO);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(stuck_slots(x.p), 1);
    picky_refuse("", 0);
    clock_manual_advance(&x.clock, 5 * NSEC_PER_SEC);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(stuck_slots(x.p), 1, "not yet");
    clock_manual_advance(&x.clock, 3600 * NSEC_PER_SEC);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(stuck_slots(x.p), 0);
    put_file(&x, "main/b", "b");
    no_places(-EIO);
    cr_assert_eq(packs_retire_current(x.p->packs), 0);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(stuck_slots(x.p), 1);
    picky_refuse("", 0);
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    cr_assert_eq(stuck_slots(x.p), 0);
}

Test(seal, status_and_a_drain_name_the_file)
{
    put_file(&x, "main/poor", "a");
    put_file(&x, "main/well", "b");
    no_places(-EIO);
    cr_assert_eq(flush_now(x.p), 0);
    remove_file(&x, "main/well");
    agreed(&x, "status", "what cannot be sealed (Input/output error) is used by main/poor");
    agreed(&x, "status", "state=degraded");
    agreed(&x, "drain", "seq=");
    refused(&x, "drain idle", -EIO, "is used by main/poor");
    remove_file(&x, "main/poor");
    agreed(&x, "drain idle", "seq=");
    agreed(&x, "status", "state=ok");
}

Test(seal, where_the_disk_is_full_the_file_is_named_and_the_next_flush_has_it)
{
    put_file(&x, "main/poor", "a");
    picky_refuse("", -ENOSPC);
    cr_assert_eq(flush_now(x.p), -ENOSPC);
    agreed(&x, "status", "what cannot be sealed (No space left on device) is used by main/poor");
    refused(&x, "drain", -ENOSPC, "is used by main/poor");
    picky_refuse("", 0);
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert(all_committed());
    agreed(&x, "status", "state=ok");
}

/* ---- whatever fails once ---- */

static void put_large(const char *path, int fill)
{
    const size_t len = 300 * 1024; /* above pack_limit */
    char *buf = malloc(len);
    struct vfs_file *f;

    memset(buf, fill, len);
    put_file(&x, path, "");
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, buf, len, 0), (ssize_t)len);
    vfs_release(f);
    free(buf);
}

static char first_byte(const char *path)
{
    struct vfs_file *f;
    char c = 0;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, &c, 1, 0), 1, "%s", path);
    vfs_release(f);
    return c;
}

static void put_all(void)
{
    put_file(&x, "main/a", "a");
    put_file(&x, "main/b", "b");
    put_large("main/l", 'l');
    put_large("main/m", 'm');
}

static void has_all(void)
{
    static const char *const names[] = {"main/a", "main/b", "main/l", "main/m"};

    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(first_byte(names[i]), names[i][5], "%s", names[i]);
}

/* A drain where the n-th change of the disk or of the tables fails: only a failed sync or commit,
 * after which nobody knows what is on the disk, ends it. False: there are not so many. */
static bool drains_with(uint64_t n)
{
    bool failed;

    put_all();
    x.fault.fail_at = atomic_load(&x.fault.writes) + n;
    int err = flush_drain(x.p, false, -1, NULL);
    failed = fault_fired(&x.fault);
    x.fault.fail_at = 0;
    cr_assert(err == 0 || atomic_load(&x.p->readonly), "change %d: %d", (int)n, err);
    cr_assert(err != 0 || all_committed());
    has_all();
    return failed;
}

static bool any(struct state *p, struct content *c, void *ctx)
{
    (void)p;
    (void)ctx;
    return content_is_open(c);
}

/* Makes the last change of the only unsealed content so much later. Returns how many there are. */
static size_t change_later(int64_t ns)
{
    struct content *c = NULL;
    size_t n = contents_pick(x.p, any, NULL, &c, 1);

    if (n == 1) {
        MUTEX_GUARD(&x.p->contents.lock);
        c->changed += ns;
    }
    content_unref(c);
    return n;
}

static void is_left_once(void)
{
    cr_assert_eq(change_later(1), 1);
    cr_assert_eq(seal_pass(x.p, SEAL_CLOSED, -1), 0);
    cr_assert_eq(change_later(-1), 1, "it is unsealed still");
    cr_assert_eq(seal_pass(x.p, SEAL_CLOSED, -1), 0);
    cr_assert_eq(change_later(0), 0);
}

Test(seal, a_pass_leaves_what_was_changed_after_its_beginning_to_the_next_one)
{
    put_large("main/l", 'l');
    is_left_once();
    put_file(&x, "main/s", "a buffer");
    is_left_once();
}

Test(seal, the_last_of_all_is_sealed_whenever_it_was_changed)
{
    put_file(&x, "main/s", "a buffer");
    cr_assert_eq(change_later(1), 1);
    MUTEX_GUARD(&x.p->flush->seal);
    WRITE_GUARD(&x.p->freeze_lock);
    cr_assert_eq(seal_rest(x.p), 0);
    cr_assert_eq(change_later(0), 0);
}

#define OPEN 1100u /* more than are given to the workers at once */

Test(seal, files_that_are_open_keep_none_from_being_sealed_that_is_closed)
{
    static struct vfs_file *open[OPEN];
    static uint8_t bytes[5000];
    char name[32];

    x.p->flush->slots_wait = 10 * OPEN; /* else each writer flushes first */
    agreed(&x, "set pack_limit 4096", "ok");
    for (unsigned i = 0; i < OPEN; i++) {
        name_of(i, name);
        put_file(&x, name, "begins so");
        cr_assert_eq(vfs_open(x.p, node_of(&x, name), VFS_WRITE, &open[i]), 0);
        cr_assert_eq(vfs_write(open[i], bytes, sizeof bytes, 0), sizeof bytes);
    }
    put_large("main/l", 'l');
    cr_assert_eq(seal_waiting(x.p), OPEN + 1);
    cr_assert_eq(seal_pass(x.p, SEAL_CLOSED, -1), 0);
    cr_assert_eq(seal_waiting(x.p), OPEN);
    for (unsigned i = 0; i < OPEN; i++)
        vfs_release(open[i]);
    cr_assert_eq(seal_pass(x.p, SEAL_CLOSED, -1), 0);
    cr_assert_eq(seal_waiting(x.p), 0);
}

Test(seal, whatever_the_disk_refuses_once_the_rest_is_committed)
{
    uint64_t n = 1;

    for (; drains_with(n); n++) {
        gone();
        up();
    }
    cr_assert_gt(n, 20);
}

/* ---- beside writers ---- */

static unsigned writes;     /* files that are made beside each pass of a flush */
static unsigned fewer;      /* so many fewer beside each next one */
static unsigned passes;     /* beside which files were made */
static size_t left_at_last; /* buffers, when nobody may write any more */

int __real_seal_pass(struct state *p, enum seal_what what, int64_t since);
int __wrap_seal_pass(struct state *p, enum seal_what what, int64_t since);
int __real_seal_again(struct state *p);
int __wrap_seal_again(struct state *p);
int __real_seal_rest(struct state *p);
int __wrap_seal_rest(struct state *p);

/* Makes files as writers do that are not held, and changes them after the pass has begun. */
static void write_beside(int64_t later)
{
    for (unsigned i = 0; i < writes && !atomic_load(&x.p->flush->writers_held); i++) {
        char name[32];
        snprintf(name, sizeof name, "main/%u-%u", passes, i);
        put_file(&x, name, name);
    }
    passes += writes > 0;
    writes -= writes < fewer ? writes : fewer;
    clock_manual_advance(&x.clock, later);
}
int __wrap_seal_pass(struct state *p, enum seal_what what, int64_t since)
{
    int err = __real_seal_pass(p, what, since);
    write_beside(1);
    return err;
}
int __wrap_seal_again(struct state *p)
{
    int err = __real_seal_again(p);
    write_beside(1);
    return err;
}
int __wrap_seal_rest(struct state *p)
{
    left_at_last = seal_waiting(p);
    return __real_seal_rest(p);
}

Test(seal, passes_go_on_as_long_as_each_leaves_less_so_that_a_freeze_finds_few)
{
    writes = 460;
    fewer = 20;
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_gt(passes, 16);
    cr_assert_leq(left_at_last, 64);
}

Test(seal, writers_who_are_as_fast_as_sealing_wait_for_the_freeze)
{
    writes = 100;
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_gt(passes, 2);
    cr_assert_leq(left_at_last, 64);
    cr_assert_not(atomic_load(&x.p->flush->writers_held));
}

/* ---- views ---- */

static struct mutex stall; /* while it is held, nothing on the disk is opened */
static struct disk_ops slow;
static const struct disk_ops *quick;

static int open_slowly(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    {
        MUTEX_GUARD(&stall);
    }
    return quick->open(d, name, flags, ret);
}

static void open_with_threads(void)
{
    struct state_config config = {.disk = x.disk,
                                  .clock = &x.clock.base,
                                  .threads = 2,
                                  .log_segment = 1 << 20,
                                  .background = true};

    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_CREATE, &x.kv), 0);
    config.kv = x.kv;
    cr_assert_eq(store_open(&config, &x.p), 0);
}

/* What is not sealed in time is shown without its id. */
Test(seal, a_view_waits_no_longer_than_it_may_for_a_disk_that_stands_still, .timeout = 60)
{
    open_with_threads();
    agreed(&x, "set view_wait 0ms", "ok");
    put_file(&x, "main/f", "some");
    mutex_init(&stall, "stall");
    quick = x.disk->ops;
    slow = *quick;
    slow.open = open_slowly;
    x.disk->ops = &slow;
    mutex_lock(&stall);
    cr_assert_eq(seal_settle(x.p), 1);
    cr_assert_eq(seal_settle(x.p), 1, "nor the next one");
    mutex_unlock(&stall);
    while (seal_waiting(x.p) > 0)
        sched_yield();
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    x.disk->ops = quick;
    cr_assert_eq(picky_open(&x), 0);
}

/* ---- the thread that seals for views ---- */

#define THREAD_ITSELF 1 /* ioprio_get: the calling thread */
#define PRIORITY_CLASS 13
#define PRIORITY_IDLE 3

static bool no_threads; /* none can be made */
static bool watched;    /* the next one that is made says what its priority is */
static int priority_class;
static struct {
    void *(*fn)(void *);
    void *arg;
} begun;

static int my_class(void)
{
    return (int)syscall(SYS_ioprio_get, THREAD_ITSELF, 0) >> PRIORITY_CLASS;
}

static void *begin_watched(void *arg)
{
    (void)arg;
    priority_class = my_class();
    return begun.fn(begun.arg);
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    if (no_threads)
        return EAGAIN;
    if (!watched)
        return __real_pthread_create(t, a, fn, arg);
    watched = false;
    begun.fn = fn;
    begun.arg = arg;
    return __real_pthread_create(t, a, begin_watched, NULL);
}

Test(seal, where_no_thread_can_be_made_a_view_seals_itself, .timeout = 60)
{
    open_with_threads();
    put_file(&x, "main/f", "some");
    no_threads = true;
    cr_assert_eq(seal_settle(x.p), 0);
    no_threads = false;
}

Test(seal, a_view_of_idle_work_makes_no_idle_thread_that_others_wait_for, .timeout = 60)
{
    open_with_threads();
    put_file(&x, "main/f", "some");
    thread_io_idle(true);
    if (my_class() != PRIORITY_IDLE)
        cr_skip_test("this kernel has no such priority");
    watched = true;
    cr_assert_eq(seal_settle(x.p), 0);
    cr_assert_not(watched);
    cr_assert_neq(priority_class, PRIORITY_IDLE);
    cr_assert_eq(my_class(), PRIORITY_IDLE, "who made it works as before");
    thread_io_idle(false);
}
