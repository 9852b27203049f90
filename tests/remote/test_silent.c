// SPDX-License-Identifier: Apache-2.0
/*
 * Claims about a store one of whose shards never answers: the store is read, written and closed.
 * Its threads and jobs are those of a mount; the clock is the machine's.
 */
#include "move_fixture.h"
#include "shards_thread.h"

#define SMALL 131072u /* pack_limit */

static struct world w;

/* As a mount opens it. */
static void reopen(void)
{
    struct state_config config = {.disk = w.x.disk,
                                    .clock = clock_real(),
                                    .threads = 2,
                                    .log_segment = 1 << 20,
                                    .background = true};

    if (w.x.p) {
        cr_assert_eq(store_close(w.x.p), 0);
        kv_close(w.x.kv);
    }
    cr_assert_eq(kv_open_mem(w.x.mem, store_tables, store_table_count, KV_CREATE, &w.x.kv), 0);
    config.kv = w.x.kv;
    cr_assert_eq(store_open(&config, &w.x.p), 0);
}

static void up(void)
{
    world_up(&w);
    put_bytes(&w, "main/a", 1000, 1);
    put_bytes(&w, "main/large", LARGE, 3);
    put_bytes(&w, "main/elsewhere", LARGE, 4);
    settle(&w);
    agreed(&w.x, "move main/a 1 wait", "objects=1");
    agreed(&w.x, "move main/large 1 wait", "objects=1");
    agreed(&w.x, "move main/elsewhere 2 wait", "objects=1");
    reopen();
    agreed(&w.x, "set shard_patience 1h", "ok"); /* on a busy machine any call may take a while */
}

static void unblock(void)
{
    shard_mem_set(w.cold, SHARD_MEM_BLOCKED, false);
    while (shard_is_silent("mem:cold", NULL))
        usleep(1000);
}

static void down_all(void)
{
    unblock();
    world_down(&w);
}

TestSuite(silent, .init = up, .fini = down_all, .timeout = 60);

static void block(void)
{
    has_bytes(&w, "main/elsewhere", LARGE, 4);
    shard_mem_set(w.cold, SHARD_MEM_BLOCKED, true);
}

static _Atomic bool first_has_ended; /* the thread that a test lets wait for the shard */

/* That one waits still. The thread that looks for shards may be in the shard, too. */
static void the_first_waits_still(void)
{
    unsigned n = shard_mem_waiting(w.cold);

    cr_assert_geq(n, 1, "%u wait", n);
    cr_assert_not(atomic_load(&first_has_ended));
}

static void until_they_wait(unsigned n)
{
    while (shard_mem_waiting(w.cold) < n)
        usleep(1000);
}

static void *read_large(void *arg)
{
    (void)arg;
    cr_assert_eq(try_bytes(&w, "main/large", LARGE, 3), -EIO);
    atomic_store(&first_has_ended, true);
    return NULL;
}

/* It answers no more, and that is known. The patience is short only for who waits there already. */
static void falls_silent(void)
{
    pthread_t reader;

    block();
    cr_assert_eq(pthread_create(&reader, NULL, read_large, NULL), 0);
    until_they_wait(1);
    cr_assert_not(shard_is_silent("mem:cold", NULL), "it is waited for");
    agreed(&w.x, "set shard_patience 1s", "ok");
    pthread_join(reader, NULL);
    agreed(&w.x, "set shard_patience 1h", "ok");
    cr_assert(shard_is_silent("mem:cold", NULL));
}

Test(silent, what_is_there_is_an_error_and_all_else_is_as_ever)
{
    falls_silent();
    cr_assert_eq(try_bytes(&w, "main/large", LARGE, 3), -EIO);
    cr_assert_eq(try_bytes(&w, "main/a", 1000, 1), -EIO);
    has_bytes(&w, "main/elsewhere", LARGE, 4);
    put_bytes(&w, "main/new", LARGE, 5);
    settle(&w);
    has_bytes(&w, "main/new", LARGE, 5);
    agreed(&w.x, "shard list", "| shard=1 state=unreachable");
    agreed(&w.x, "shard list", "it does not answer");
    agreed(&w.x, "shard list", "| shard=2 state=ok");
    agreed(&w.x, "status", "it does not answer");
    unblock();
    agreed(&w.x, "shard list", "| shard=1 state=ok");
    has_bytes(&w, "main/large", LARGE, 3);
}

Test(silent, one_that_is_away_is_seen_as_back_although_another_does_not_answer)
{
    falls_silent();
    shard_mem_set(w.other, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(try_bytes(&w, "main/elsewhere", LARGE, 4), -EIO);
    cr_assert_eq(try_bytes(&w, "main/large", LARGE, 3), -EIO);
    shard_mem_set(w.other, SHARD_MEM_UNREACHABLE, false);
    agreed(&w.x, "shard list", "| shard=2 state=ok");
    has_bytes(&w, "main/elsewhere", LARGE, 4);
}

static void *chmod_listed(void *arg)
{
    struct vfs_attr a = {.mode = 0771};

    (void)arg;
    cr_assert_eq(vfs_setattr(w.x.p, node_of(&w.x, "main/listed"), VFS_SET_MODE, &a, &a), -EIO);
    atomic_store(&first_has_ended, true);
    return NULL;
}

/* A change whose list is there waits with nothing that others need: neither the freeze lock, which
 * a branch and a commit take, nor the namespace's lock. */
Test(silent, a_change_that_waits_for_it_holds_nobody_up)
{
    pthread_t changer;

    put_bytes(&w, "main/listed", 10, 8);
    cr_assert_eq(set_acl(&w, "main/listed", ACL_ACCESS, 4), 0);
    settle(&w);
    agreed(&w.x, "move main/listed 1 wait", "objects=2");
    block();
    cr_assert_eq(pthread_create(&changer, NULL, chmod_listed, NULL), 0);
    until_they_wait(1);
    put_bytes(&w, "main/beside", 1000, 9);
    agreed(&w.x, "branch main beside", "ok");
    cr_assert_eq(flush_now(w.x.p), 0);
    has_bytes(&w, "beside/beside", 1000, 9);
    the_first_waits_still();
    agreed(&w.x, "set shard_patience 1s", "ok");
    pthread_join(changer, NULL);
}

/* Others can change everything while one thread waits for the shard. */
static void nobody_else_waits(const char *path)
{
    struct vfs_attr a = {.size = 8u << 20};
    struct vfs_file *f;

    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, path), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "zz", 2, 4u << 20), 2); /* where the file has no bytes */
    cr_assert_eq(vfs_setattr(w.x.p, node_of(&w.x, path), VFS_SET_SIZE, &a, &a), 0);
    put_bytes(&w, "main/beside", 1000, 9);
    agreed(&w.x, "branch main beside", "ok");
    cr_assert_eq(flush_now(w.x.p), 0);
    has_bytes(&w, "beside/beside", 1000, 9);
    the_first_waits_still();
    agreed(&w.x, "set shard_patience 1s", "ok");
    vfs_release(f);
}

Test(silent, a_read_that_waits_for_it_keeps_no_writer_waiting)
{
    pthread_t reader;

    block();
    cr_assert_eq(pthread_create(&reader, NULL, read_large, NULL), 0);
    until_they_wait(1);
    nobody_else_waits("main/large");
    pthread_join(reader, NULL);
}

static void *close_file(void *file)
{
    vfs_release(file);
    atomic_store(&first_has_ended, true);
    return NULL;
}

/* Most of the file is changed, so its close copies all of it. */
static struct vfs_file *change_most(void)
{
    const size_t len = LARGE / 2 / SMALL * SMALL + SMALL;
    uint8_t *bytes = malloc(len);
    struct vfs_file *f;

    fill(bytes, len, 9);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/large"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, bytes, len, 0), (ssize_t)len);
    free(bytes);
    return f;
}

Test(silent, nor_does_a_close_that_copies_the_file)
{
    struct vfs_file *f = change_most();
    pthread_t closer;

    block();
    cr_assert_eq(pthread_create(&closer, NULL, close_file, f), 0);
    until_they_wait(1);
    nobody_else_waits("main/large");
    pthread_join(closer, NULL);
}

static void *append_to_small(void *arg)
{
    struct vfs_file *f;

    (void)arg;
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/small"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "zz", 2, SMALL + 10), -EIO);
    vfs_release(f);
    atomic_store(&first_has_ended, true);
    return NULL;
}

/* A write behind a small file copies all of it, although its own block has no bytes yet. */
Test(silent, a_write_behind_a_small_file_there_holds_nobody_up)
{
    pthread_t writer;

    put_bytes(&w, "main/small", SMALL, 8);
    settle(&w);
    agreed(&w.x, "move main/small 1 wait", "objects=1");
    block();
    cr_assert_eq(pthread_create(&writer, NULL, append_to_small, NULL), 0);
    until_they_wait(1);
    cr_assert_eq(atomic_load(&w.x.p->freeze_lock.readers), 0);
    put_bytes(&w, "main/beside", 1000, 9);
    agreed(&w.x, "branch main beside", "ok");
    cr_assert_eq(flush_now(w.x.p), 0);
    has_bytes(&w, "beside/beside", 1000, 9);
    the_first_waits_still();
    agreed(&w.x, "set shard_patience 1s", "ok");
    pthread_join(writer, NULL);
    unblock();
    agreed(&w.x, "shard list", "| shard=1 state=ok");
    has_bytes(&w, "main/small", SMALL, 8);
}

/* A reader, a sweep and a move are in the shard when the store is closed. */
static void *move_there(void *arg)
{
    char reply[4096];

    (void)arg;
    cr_assert_lt(say(&w.x, "move main/b 1 wait", reply), 0);
    return NULL;
}

Test(silent, the_store_is_closed_with_everything_in_it)
{
    pthread_t reader, mover;

    put_bytes(&w, "main/b", LARGE, 6);
    settle(&w);
    block();
    cr_assert_eq(pthread_create(&reader, NULL, read_large, NULL), 0);
    cr_assert_eq(pthread_create(&mover, NULL, move_there, NULL), 0);
    agreed(&w.x, "sweep", "ok job=");
    until_they_wait(3);
    put_bytes(&w, "main/last", 1000, 7);
    shards_hurry(w.x.p); /* as who ends the mount, before it waits for requests */
    pthread_join(reader, NULL);
    pthread_join(mover, NULL);
    reopen();
    cr_assert(shard_is_silent("mem:cold", NULL));
    has_bytes(&w, "main/last", 1000, 7);
    has_bytes(&w, "main/b", LARGE, 6);
    has_bytes(&w, "main/elsewhere", LARGE, 4);
    cr_assert_eq(try_bytes(&w, "main/large", LARGE, 3), -EIO);
    unblock();
    agreed(&w.x, "shard list", "| shard=1 state=ok");
    has_bytes(&w, "main/large", LARGE, 3);
}

/* The thread that looks for shards is in it. */
Test(silent, the_store_is_closed_while_it_is_looked_for)
{
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(try_bytes(&w, "main/a", 1000, 1), -EIO);
    shard_mem_set(w.cold, SHARD_MEM_BLOCKED, true);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    shards_thread_kick(w.x.p);
    until_they_wait(1);
    put_bytes(&w, "main/last", 1000, 7);
    reopen();
    has_bytes(&w, "main/last", 1000, 7);
    unblock();
    agreed(&w.x, "shard list", "| shard=1 state=ok");
    has_bytes(&w, "main/a", 1000, 1);
}

/* ---- what somebody waits for ends, while the first call is in the shard ---- */

/* The command, in a thread of its own; `reply` is read after the join. */
struct command {
    pthread_t thread;
    const char *text;
    char reply[4096];
    ssize_t result;
};

static void *command_main(void *arg)
{
    struct command *c = arg;

    c->result = say(&w.x, c->text, c->reply);
    return NULL;
}

static void begins(struct command *c, const char *text)
{
    c->text = text;
    cr_assert_eq(pthread_create(&c->thread, NULL, command_main, c), 0);
}

static void ends(struct command *c, ssize_t result, const char *part)
{
    pthread_join(c->thread, NULL);
    cr_assert_eq(c->result, result, "'%s' gave %zd: %s", c->text, c->result, c->reply);
    cr_assert(strstr(c->reply, part), "'%s' said '%s', without '%s'", c->text, c->reply, part);
}

Test(silent, a_drain_of_the_shard_ends_and_goes_on_when_it_is_back)
{
    struct command drain;

    block();
    begins(&drain, "shard drain 1 wait");
    until_they_wait(2); /* one of them may be the thread that looks for shards */
    agreed(&w.x, "set shard_patience 1s", "ok");
    ends(&drain, -EIO, "2 stayed where they are, the first because of: their shard cannot be asked");
    agreed(&w.x, "set shard_patience 1h", "ok");
    unblock();
    agreed(&w.x, "shard drain 1 wait", "ok objects=2");
    has_bytes(&w, "main/large", LARGE, 3);
    has_bytes(&w, "main/a", 1000, 1);
    agreed(&w.x, "shard remove 1", "ok");
}

static void remove_large(void)
{
    const char *name;
    uint64_t dir = parent_of(&w.x, "main/large", &name);

    cr_assert_eq(vfs_unlink(w.x.p, dir, name), 0);
}

Test(silent, a_drain_of_the_store_ends_although_the_dead_there_stay)
{
    struct command drain;

    block();
    remove_large();
    put_bytes(&w, "main/new", 1000, 5);
    begins(&drain, "drain");
    until_they_wait(1);
    agreed(&w.x, "set shard_patience 1s", "ok");
    ends(&drain, (ssize_t)strlen("drain"), "ok seq=");
    agreed(&w.x, "set shard_patience 1h", "ok");
    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 1);
    unblock();
    agreed(&w.x, "shard list", "| shard=1 state=ok");
    agreed(&w.x, "drain", "ok seq=");
    cr_assert_eq(refs_dead_ghosts(w.x.p->refs), 0);
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
}

/* The number in "ok job=N". */
static unsigned job_of(const char *text)
{
    char reply[4096];

    cr_assert_eq(say(&w.x, text, reply), (ssize_t)strlen(text), "%s", reply);
    cr_assert_not_null(strstr(reply, "job="));
    return (unsigned)strtoul(strstr(reply, "job=") + 4, NULL, 10);
}

Test(silent, jobs_that_wait_for_it_can_be_cancelled)
{
    static const char *const jobs[] = {"recall main/large", "shard drain 1", "sweep"};
    struct shards_info info;
    char text[40];

    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        block();
        unsigned number = job_of(jobs[i]);

        until_they_wait(1);
        snprintf(text, sizeof text, "cancel %u", number);
        agreed(&w.x, text, "ok");
        agreed(&w.x, "set shard_patience 1s", "ok");
        snprintf(text, sizeof text, "wait %u", number);
        refused(&w.x, text, -ECANCELED, "");
        cr_assert_eq(shards_info_get(w.x.p->shards, 1, &info), 0);
        cr_assert_not(info.draining);
        agreed(&w.x, "set shard_patience 1h", "ok");
        unblock();
        agreed(&w.x, "shard list", "| shard=1 state=ok");
    }
    has_bytes(&w, "main/large", LARGE, 3);
}

Test(silent, the_store_is_closed_while_it_and_the_shard_are_drained)
{
    struct command shard, store;

    block();
    remove_large();
    put_bytes(&w, "main/last", 1000, 7);
    begins(&shard, "shard drain 1 wait");
    until_they_wait(1);
    begins(&store, "drain");
    until_they_wait(2);
    shards_hurry(w.x.p);
    pthread_join(shard.thread, NULL);
    pthread_join(store.thread, NULL);
    reopen();
    cr_assert(shard_is_silent("mem:cold", NULL));
    has_bytes(&w, "main/last", 1000, 7);
    has_bytes(&w, "main/elsewhere", LARGE, 4);
    unblock();
    agreed(&w.x, "shard list", "| shard=1 state=ok");
    agreed(&w.x, "shard drain 1 wait", "ok objects=1");
    has_bytes(&w, "main/a", 1000, 1);
    agreed(&w.x, "drain", "ok");
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
}
