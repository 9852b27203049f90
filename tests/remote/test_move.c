// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of moves: what is moved is read as before and counted once, wherever the move was cut off,
 * whatever the target does, and whatever others do meanwhile.
 */
#include "move_fixture.h"

#include "archive_store.h"
#include "nowait.h"
#include <linux/falloc.h>

#define SMALL 40

static struct world w;

static void path_of(int i, char path[32])
{
    snprintf(path, 32, "main/d/f%d", i);
}

/* Small ones, and two that are files of their own. */
static void make_files(void)
{
    char path[32];

    make_dir(&w, "main/d");
    for (int i = 0; i < SMALL; i++) {
        path_of(i, path);
        put_bytes(&w, path, 2000 + (size_t)i, (uint64_t)i);
    }
    put_bytes(&w, "main/d/large", LARGE, 1000);
    put_bytes(&w, "main/d/larger", LARGE + 1, 1001);
    settle(&w);
}

static void files_are(void)
{
    char path[32];

    for (int i = 0; i < SMALL; i++) {
        path_of(i, path);
        has_bytes(&w, path, 2000 + (size_t)i, (uint64_t)i);
    }
    has_bytes(&w, "main/d/large", LARGE, 1000);
    has_bytes(&w, "main/d/larger", LARGE + 1, 1001);
}

static void up(void)
{
    world_up(&w);
    make_files();
}
static void down_all(void)
{
    world_down(&w);
}

TestSuite(move, .init = up, .fini = down_all);

/* By a commit alone it is what it was, its counts are right, and what is brought home is sound. */
static void is_sound(void)
{
    struct findings f;
    char reply[4096];

    settle(&w);
    world_dies(&w);
    files_are();
    agreed(&w.x, "rebuild wait", "changed=0");
    agreed(&w.x, "recall main/ wait", "failed=0");
    settle(&w);
    (void)say(&w.x, "gc grace=0s wait", reply); /* what was put and never named */
    (void)say(&w.x, "gc grace=0s wait", reply);
    files_are();
    down(&w.x);
    is_clean(&w.x, &f);
    fixture_open(&w.x);
}

Test(move, what_is_moved_is_there_and_is_read_as_before)
{
    uint64_t before, after, names;

    disk_use(&w.x, &before, &names);
    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    cr_assert_eq(ghosts_on(&w, 1), 42);
    cr_assert_eq(shard_of(&w, "main/d/f7"), 1);
    cr_assert_eq(names_in("mem:cold", "packs"), 1);   /* not one file each */
    cr_assert_eq(names_in("mem:cold", "objects"), 4); /* two, and their sums */
    files_are();
    settle(&w);
    disk_use(&w.x, &after, &names);
    cr_assert_lt(after + 2 * LARGE, before);
    is_sound();
}

Test(move, what_is_recalled_is_home_and_nothing_is_left_there)
{
    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    agreed(&w.x, "recall main/d wait", "objects=42 ");
    cr_assert_eq(ghosts_on(&w, 1), 0);
    files_are();
    settle(&w);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
    is_sound();
}

/* Text that becomes shorter by compression, or bytes that do not. */
static void put_to_compress(const char *path, bool noise)
{
    char text[3001];
    uint64_t random = noise ? 7 : 8;

    for (size_t k = 0; k < sizeof text - 1; k++)
        text[k] = noise ? (char)(1 + (fault_random(&random) >> 40) % 255)
                        : (char)('a' + fault_random(&random) % 16);
    text[sizeof text - 1] = 0;
    put_file(&w.x, path, text);
}

static uint32_t stored(const char *path)
{
    struct entry e;

    (void)place_of(&w, path, &e);
    return (uint32_t)e.stored;
}

Test(move, what_is_to_be_compressed_is_so_there_and_back_home)
{
    agreed(&w.x, "set ns:main.compression rest", "ok");
    put_to_compress("main/text", false);
    put_to_compress("main/noise", true);
    settle(&w);
    cr_assert_eq(stored("main/text"), ENTRY_AT_REST);
    agreed(&w.x, "move main/text main/noise 1 wait", "objects=2 ");
    cr_assert_lt(stored("main/text"), 2700);
    cr_assert_eq(stored("main/noise"), 3000, "that it does not become shorter is known there, too");
    agreed(&w.x, "recall main/text main/noise wait", "objects=2 ");
    cr_assert_lt(stored("main/text"), 2700);
    cr_assert_eq(stored("main/noise"), 3000);
    is_sound();
}

Test(move, from_one_shard_to_another)
{
    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    agreed(&w.x, "move main/d 2 wait", "objects=42 ");
    cr_assert_eq(ghosts_on(&w, 1), 0);
    cr_assert_eq(ghosts_on(&w, 2), 42);
    settle(&w);
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
    is_sound();
}

Test(move, what_is_there_is_not_moved_twice)
{
    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    uint64_t puts = shard_mem_calls(w.cold, SHARD_MEM_PUT);
    agreed(&w.x, "move main/d 1 wait", "objects=0 bytes=0 skipped=42 ");
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_PUT), puts);
    agreed(&w.x, "recall main/d/f1 main/d/f1 main/d/f1 wait", "objects=1 ");
    is_sound();
}

Test(move, a_full_target_ends_it_and_the_rest_comes_later)
{
    shard_mem_set_capacity(w.cold, shard_mem_used(w.cold) + LARGE / 2);
    refused(&w.x, "move main/d 1 wait", -ENOSPC, "shard 1 is full");
    files_are();
    shard_mem_set_capacity(w.cold, 0);
    agreed(&w.x, "move main/d 1 wait", "failed=0");
    cr_assert_eq(ghosts_on(&w, 1), 42);
    is_sound();
}

Test(move, a_target_that_is_away_ends_it)
{
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    refused(&w.x, "move main/d 1 wait", -EIO, "shard 1 is unreachable");
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC);
    shards_step(w.x.p);
    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    is_sound();
}

/* Right before the nth call to the target. */
static unsigned calls_left;
static enum shard_mem_switch to_switch;

static void count_down(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    (void)duration_ns;
    if (calls_left && --calls_left == 0)
        shard_mem_set(w.cold, to_switch, true);
}

static void in_the_middle(enum shard_mem_switch what, int err, const char *part)
{
    unsigned failed = 0;

    for (unsigned n = 1;; n += 3) {
        char reply[4096];
        calls_left = n;
        to_switch = what;
        shard_mem_set_latency(w.cold, 1, count_down, NULL);
        ssize_t r = say(&w.x, "move main/d 1 wait", reply);
        bool cut = calls_left == 0;
        calls_left = 0;
        shard_mem_set_latency(w.cold, 0, NULL, NULL);
        if (r < 0) {
            failed++;
            cr_assert_eq(r, err, "cut at %u: %zd %s", n, r, reply);
            cr_assert(strstr(reply, part), "cut at %u: %s", n, reply);
        }
        shard_mem_set(w.cold, what, false);
        clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC);
        shards_step(w.x.p);
        files_are();
        if (!cut)
            break;
        agreed(&w.x, "recall main/d wait", "failed=0");
        world_dies(&w); /* what says that it is readonly is not asked again in this life */
        files_are();
    }
    cr_assert_gt(failed, 0);
    cr_assert_eq(ghosts_on(&w, 1), 42);
    is_sound();
}

Test(move, away_in_the_middle, .timeout = 60)
{
    in_the_middle(SHARD_MEM_UNREACHABLE, -EIO, "shard 1 is unreachable");
}

Test(move, full_in_the_middle, .timeout = 60)
{
    in_the_middle(SHARD_MEM_FULL, -ENOSPC, "shard 1 is full");
}

Test(move, read_only_in_the_middle, .timeout = 60)
{
    in_the_middle(SHARD_MEM_READONLY, -EROFS, "shard 1 is readonly");
}

Test(move, a_target_that_lies_at_reading_back_gets_nothing)
{
    shard_mem_set(w.cold, SHARD_MEM_FLIPS, true);
    refused(&w.x, "move main/d 1 wait", -EIO, "42 stayed where they are");
    shard_mem_set(w.cold, SHARD_MEM_FLIPS, false);
    cr_assert_eq(ghosts_on(&w, 1), 0);
    files_are();
    is_sound();
}

Test(move, one_that_is_damaged_stays_and_the_others_go)
{
    struct entry e;
    char reply[4096];

    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    (void)place_of(&w, "main/d/large", &e);
    char name[DISK_NAME_MAX + 1];
    blob_object_name(&e.id, e.where, name);
    cr_assert_eq(shard_mem_flip(w.cold, name, 100, 1), 0);
    cr_assert_eq(say(&w.x, "recall main/d wait", reply), -EUCLEAN, "%s", reply);
    cr_assert(strstr(reply, "1 stayed where they are"), "%s", reply);
    cr_assert_eq(ghosts_on(&w, 1), 1);
    cr_assert_eq(shard_of(&w, "main/d/large"), 1);
    has_bytes(&w, "main/d/larger", LARGE + 1, 1001);
}

/* ---- others, meanwhile ---- */

static struct move *begun;

static void move_begins(uint16_t shard)
{
    cr_assert_eq(move_begin(w.x.p, NULL, shard, &begun), 0);
}

static void gathered(const char *path)
{
    struct entry e;

    cr_assert_eq(move_one(begun, place_of(&w, path, &e), NULL), 0);
}

static struct move_result ended(void)
{
    struct move_result r;

    cr_assert_eq(move_end(begun, &r), 0);
    return r;
}

Test(move, what_is_removed_while_it_is_on_its_way_is_gone)
{
    move_begins(1);
    gathered("main/d/f1");
    gathered("main/d/f2");
    remove_file(&w.x, "main/d/f1");
    cr_assert_eq(flush_now(w.x.p), 0);
    struct move_result r = ended();
    cr_assert_eq(r.failed, 0);
    has_bytes(&w, "main/d/f2", 2002, 2);
    settle(&w);
    world_dies(&w);
    cr_assert_eq(ghosts_on(&w, 1), 1);
    agreed(&w.x, "recall main/d wait", "objects=1 ");
    settle(&w);
    cr_assert_eq(names_in("mem:cold", "packs"), 0); /* also of the one that died there */
}

Test(move, linked_branched_and_dropped_while_it_is_on_its_way)
{
    move_begins(1);
    gathered("main/d/f1");
    gathered("main/d/f2");
    agreed(&w.x, "branch main dev", "ok");
    remove_file(&w.x, "main/d/f2");
    struct move_result r = ended();
    cr_assert_eq(r.objects, 2);
    has_bytes(&w, "dev/d/f1", 2001, 1);
    has_bytes(&w, "dev/d/f2", 2002, 2);
    cr_assert_eq(shard_of(&w, "dev/d/f2"), 1);
    agreed(&w.x, "drop dev", "ok");
    settle(&w);
    cr_assert_eq(ghosts_on(&w, 1), 1); /* f1, of main */
    cr_assert_eq(names_in("mem:cold", "packs"), 1);
    remove_file(&w.x, "main/d/f1");
    settle(&w);
    cr_assert_eq(ghosts_on(&w, 1), 0);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
}

Test(move, written_to_while_it_is_on_its_way)
{
    move_begins(1);
    gathered("main/d/f1");
    put_bytes(&w, "main/d/f1", 50, 77);
    (void)ended();
    has_bytes(&w, "main/d/f1", 50, 77);
    settle(&w);
    has_bytes(&w, "main/d/f1", 50, 77);
    cr_assert_eq(shard_of(&w, "main/d/f1"), 0);
}

Test(move, writing_to_what_is_moved_copies_up)
{
    struct vfs_file *f;

    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/f3"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "zz", 2, 0), 2);
    vfs_release(f);
    settle(&w);
    cr_assert_eq(shard_of(&w, "main/d/f3"), 0);
    cr_assert_eq(ghosts_on(&w, 1), 41);
}

static bool freeze_lock_was_held;

static void look_at_freeze_lock(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    (void)duration_ns;
    freeze_lock_was_held |= atomic_load(&w.x.p->freeze_lock.readers) > 0;
}

Test(move, writing_to_what_is_moved_does_not_wait_for_its_shard_with_the_gate)
{
    struct vfs_file *f;
    uint8_t got[9], want[LARGE];

    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    world_dies(&w);
    freeze_lock_was_held = false;
    shard_mem_set_latency(w.cold, 1, look_at_freeze_lock, NULL);
    uint64_t reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/large"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "zz", 2, 131071), 2); /* across two blocks */
    cr_assert_gt(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    cr_assert_not(freeze_lock_was_held);
    fill(want, LARGE, 1000);
    cr_assert_eq(vfs_read(f, got, 9, 131068), 9);
    cr_assert_eq(memcmp(got, want + 131068, 3), 0);
    cr_assert_eq(memcmp(got + 3, "zz", 2), 0);
    cr_assert_eq(memcmp(got + 5, want + 131073, 4), 0);
    vfs_release(f);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/f9"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "zz", 2, 100), 2);
    cr_assert_not(freeze_lock_was_held);
    shard_mem_set_latency(w.cold, 0, NULL, NULL);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    vfs_release(f);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/f11"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "zz", 2, 100), -EIO);
    vfs_release(f);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
}

Test(move, a_hole_in_what_is_moved_does_not_wait_for_its_shard_with_the_gate)
{
    const uint64_t off = 100001,
                   len = 60000; /* its edges are in two blocks, and in no whole page */
    struct vfs_file *f;
    uint8_t *got = malloc(LARGE), *want = malloc(LARGE);

    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    world_dies(&w);
    freeze_lock_was_held = false;
    shard_mem_set_latency(w.cold, 1, look_at_freeze_lock, NULL);
    uint64_t reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/large"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len), 0);
    cr_assert_gt(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    cr_assert_not(freeze_lock_was_held);
    shard_mem_set_latency(w.cold, 0, NULL, NULL);
    fill(want, LARGE, 1000);
    memset(want + off, 0, len);
    cr_assert_eq(vfs_read(f, got, LARGE, 0), LARGE);
    cr_assert_eq(memcmp(got, want, LARGE), 0);
    vfs_release(f);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/f11"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 10), -EIO);
    vfs_release(f);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC);
    has_bytes(&w, "main/d/f11", 2011, 11);
    free(got);
    free(want);
}

Test(move, nor_does_the_close_of_what_was_cut_to_a_little)
{
    struct vfs_attr a = {.size = 40000};
    struct vfs_file *f;

    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    world_dies(&w);
    freeze_lock_was_held = false;
    uint64_t reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/larger"), VFS_WRITE, &f), 0);
    shard_mem_set_latency(w.cold, 1, look_at_freeze_lock, NULL);
    cr_assert_eq(vfs_setattr(w.x.p, node_of(&w.x, "main/d/larger"), VFS_SET_SIZE, &a, &a), 0);
    vfs_release(f);
    cr_assert_gt(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads, "what is left is not copied");
    cr_assert_not(freeze_lock_was_held);
    shard_mem_set_latency(w.cold, 0, NULL, NULL);
    has_bytes(&w, "main/d/larger", 40000, 1001);
    settle(&w);
    has_bytes(&w, "main/d/larger", 40000, 1001);
}

Test(move, who_must_not_wait_asks_no_shard)
{
    struct vfs_file *f;
    char byte[2];

    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    world_dies(&w);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/large"), VFS_WRITE, &f), 0);
    uint64_t reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE), seq = state_seq(w.x.p);
    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_read(f, byte, 2, 100), -EWOULDWAIT);
    cr_assert_eq(vfs_write(f, "zz", 2, 100), -EWOULDWAIT);
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    cr_assert_eq(state_seq(w.x.p), seq);
    (void)thread_set_may_wait(true);
    cr_assert_eq(vfs_write(f, "zz", 2, 100), 2);
    (void)thread_set_may_wait(false);
    cr_assert_eq(vfs_read(f, byte, 2, 100), 2); /* it is here now */
    cr_assert_eq(byte[0], 'z');
    cr_assert_eq(vfs_read(f, byte, 2, 10000), -EWOULDWAIT);
    (void)thread_set_may_wait(true);
    vfs_release(f);
}

/* Before so many changes the file, or the object, is moved to the shard. NULL: none is. */
static unsigned moves_left;
static const char *moving_path;

/* After the move, the byte of main/d/large at this offset before each change; 0: none is read. */
static uint64_t look_at;
static uint8_t seen;
static uint8_t byte_of(const char *path, uint64_t off);

/* After the move the shard is unreachable. The look at all that a change needs, before its first
 * step, finds everything, once: as if the move came right behind it. */
static bool then_unreachable, check_is_blind;

int __real_remote_bytes_check(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                              bool write, const struct remote_bytes *remote);
int __wrap_remote_bytes_check(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                              bool write, const struct remote_bytes *remote);
int __wrap_remote_bytes_check(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                              bool write, const struct remote_bytes *remote)
{
    bool blind = check_is_blind;

    check_is_blind = false;
    return blind ? 0 : __real_remote_bytes_check(p, v, off, len, write, remote);
}

int __real_txn_begin(struct state *p, size_t bytes, struct txn *ret);
int __wrap_txn_begin(struct state *p, size_t bytes, struct txn *ret);
int __wrap_txn_begin(struct state *p, size_t bytes, struct txn *ret)
{
    const char *path = moving_path;
    char line[128];

    if (path && moves_left) {
        moves_left--;
        moving_path = NULL; /* the move makes changes, too */
        snprintf(line, sizeof line, "move %s 1 wait", path);
        agreed(&w.x, line, "objects=");
        shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, then_unreachable);
        moving_path = path;
    } else if (path && look_at) {
        moving_path = NULL; /* so does a read, of the time of access */
        seen = byte_of("main/d/large", look_at);
        moving_path = path;
    }
    return __real_txn_begin(p, bytes, ret);
}

/* The changes of what is called next find the file at home, and then on the shard. */
static void moves_before_a_change(const char *path, struct vfs_file **ret_f)
{
    freeze_lock_was_held = false;
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, path), VFS_WRITE, ret_f), 0);
    cr_assert_eq(shard_of(&w, path), 0);
    shard_mem_set_latency(w.cold, 1, look_at_freeze_lock, NULL);
    moving_path = path;
    moves_left = 1;
}

static void has_moved(uint64_t reads)
{
    cr_assert_eq(moves_left, 0);
    moving_path = NULL;
    cr_assert_gt(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    cr_assert_not(freeze_lock_was_held);
    shard_mem_set_latency(w.cold, 0, NULL, NULL);
}

Test(move, what_moves_before_a_write_is_gathered_anew)
{
    uint8_t got[2013], want[2013];
    struct vfs_file *f;
    uint64_t reads;

    settle(&w);
    world_dies(&w);
    reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    moves_before_a_change("main/d/f11", &f);
    cr_assert_eq(vfs_write(f, "zz", 2, 100), 2);
    has_moved(reads);
    fill(want, 2011, 11);
    memcpy(want + 100, "zz", 2);
    cr_assert_eq(vfs_read(f, got, sizeof got, 0), 2011);
    cr_assert_eq(memcmp(got, want, 2011), 0);
    vfs_release(f);
}

static uint8_t byte_of(const char *path, uint64_t off)
{
    struct vfs_file *f;
    uint8_t byte;

    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, &byte, 1, off), 1);
    vfs_release(f);
    return byte;
}

/* The first of the two blocks of the write is changed in place, and the bytes of the second have
 * moved since the write looked for them. */
Test(move, a_write_whose_end_has_moved_changes_nothing_before_it_is_gathered)
{
    const uint64_t off = 131071;
    uint64_t reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    char base[128] = "";
    struct vfs_file *f;

    settle(&w);
    world_dies(&w);
    cr_assert_gt(vfs_getxattr(w.x.p, node_of(&w.x, "main/d/large"), "user.tally.object", base,
                              sizeof base - 1),
                 0);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/large"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, "a", 1, off), 1);
    look_at = off;
    moving_path = base;
    moves_left = 1;
    cr_assert_eq(vfs_write(f, "zz", 2, off), 2);
    moving_path = NULL;
    cr_assert_gt(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    cr_assert_eq(seen, 'a', "the change that was begun anew finds the first block changed");
    cr_assert_eq(byte_of("main/d/large", off), 'z');
    cr_assert_eq(byte_of("main/d/large", off + 1), 'z');
    vfs_release(f);
}

/* A range written past the cache cuts the write-back in the middle of its second block, of which
 * the parts before and behind the range keep bytes. */
Test(move, a_write_back_that_is_cut_in_any_block_gathers_what_it_keeps)
{
    const uint64_t off = 150000;
    uint8_t *got = malloc(LARGE), *want = malloc(LARGE);
    struct vfs_file *past, *mapped;
    struct vfs_stale *stale;

    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    world_dies(&w);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/large"), VFS_WRITE, &past), 0);
    vfs_set_uncached(past);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/large"), VFS_WRITE, &mapped), 0);
    cr_assert_eq(vfs_read(mapped, got, LARGE, 0), LARGE);
    cr_assert_eq(vfs_write_uncached(past, "past", 4, off, &stale), 4);
    cr_assert_not_null(stale);
    memset(want, 'm', LARGE);
    cr_assert_eq(vfs_write_back(mapped, want, LARGE, 0), LARGE);
    memcpy(want + off, "past", 4);
    cr_assert_eq(vfs_read(mapped, got, LARGE, 0), LARGE);
    cr_assert_eq(memcmp(got, want, LARGE), 0);
    vfs_release(mapped);
    vfs_release(past);
    vfs_stale_gone(stale);
    free(got);
    free(want);
}

/* The first block of the write is changed, the second has moved meanwhile, and its shard cannot be
 * asked. */
Test(move, what_a_write_past_a_cache_changed_before_it_failed_is_stale)
{
    const uint64_t off = 131071;
    struct vfs_file *past, *mapped;
    struct vfs_stale *stale;
    uint8_t page[4096];
    char base[128] = "";

    settle(&w);
    world_dies(&w);
    cr_assert_gt(vfs_getxattr(w.x.p, node_of(&w.x, "main/d/large"), "user.tally.object", base,
                              sizeof base - 1),
                 0);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/large"), VFS_WRITE, &past), 0);
    vfs_set_uncached(past);
    cr_assert_eq(vfs_write(past, "a", 1, off), 1);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/large"), VFS_WRITE, &mapped), 0);
    cr_assert_eq(vfs_read(mapped, page, sizeof page, off + 1 - sizeof page), sizeof page);
    moving_path = base;
    moves_left = 1;
    then_unreachable = check_is_blind = true;
    cr_assert_eq(vfs_write_uncached(past, "zz", 2, off, &stale), 1, "so much was written");
    moving_path = NULL;
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC);
    cr_assert_not(check_is_blind);
    cr_assert_not_null(stale);
    cr_assert_eq(vfs_write_back(mapped, page, sizeof page, off + 1 - sizeof page), sizeof page);
    cr_assert_eq(byte_of("main/d/large", off), 'z');
    vfs_release(mapped);
    vfs_release(past);
    vfs_stale_gone(stale);
}

/* The first 8 MiB begin and end with blocks that are at home; the shard of the next one cannot be
 * asked. */
Test(move, a_write_back_that_is_done_in_part_is_an_error)
{
    const size_t part = 8 << 20, len = part + 100;
    uint8_t *got = calloc(1, len);
    struct vfs_file *f;

    put_bytes(&w, "main/d/huge", len + 100, 7);
    settle(&w);
    agreed(&w.x, "move main/d/huge 1 wait", "objects=1 ");
    world_dies(&w);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/d/huge"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_write(f, got, EXTENT_BLOCK, 0), EXTENT_BLOCK);
    cr_assert_eq(vfs_write(f, got, EXTENT_BLOCK, part - EXTENT_BLOCK), EXTENT_BLOCK);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(vfs_write(f, got, len, 0), (ssize_t)part, "only a write may be short");
    cr_assert_eq(vfs_write_back(f, got, len, 0), -EIO);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    vfs_release(f);
    free(got);
}

Test(move, what_moves_before_a_hole_is_gathered_anew)
{
    const uint64_t off = 100001, len = 60000;
    uint8_t *got = malloc(LARGE), *want = malloc(LARGE);
    struct vfs_file *f;
    uint64_t reads;

    settle(&w);
    world_dies(&w);
    reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    moves_before_a_change("main/d/large", &f);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len), 0);
    has_moved(reads);
    fill(want, LARGE, 1000);
    memset(want + off, 0, len);
    cr_assert_eq(vfs_read(f, got, LARGE, 0), LARGE);
    cr_assert_eq(memcmp(got, want, LARGE), 0);
    vfs_release(f);
    free(got);
    free(want);
}

/* A directory with a default list, and a file with an access list, both on a shard. */
static void move_lists(void)
{
    make_dir(&w, "main/l");
    put_bytes(&w, "main/l/f", 100, 50);
    cr_assert_eq(set_acl(&w, "main/l", ACL_DEFAULT, 5), 0);
    cr_assert_eq(set_acl(&w, "main/l/f", ACL_ACCESS, 4), 0);
    settle(&w);
    agreed(&w.x, "move main/l 1 wait", "objects=3 ");
    world_dies(&w);
}

static bool list_is(const char *path, const char *name, uint16_t others)
{
    uint8_t got[LONG_ACL], want[LONG_ACL];

    long_acl(want, others);
    return vfs_getxattr(w.x.p, node_of(&w.x, path), name, got, sizeof got) == LONG_ACL &&
           memcmp(got, want, LONG_ACL) == 0;
}

static int try_chmod(const char *path, uint32_t mode)
{
    struct vfs_attr a = {.mode = mode};

    return vfs_setattr(w.x.p, node_of(&w.x, path), VFS_SET_MODE, &a, &a);
}

static int try_mkdir(const char *name)
{
    struct vfs_attr a;
    int err = vfs_mknod(w.x.p, node_of(&w.x, "main/l"), name, S_IFDIR | 0777, 0, &fixture_cred, &a);

    if (err == 0)
        vfs_forget(w.x.p, a.nodeid, 1);
    return err;
}

static int try_tmpfile(void)
{
    struct vfs_file *f;
    struct vfs_attr a;
    int err = vfs_tmpfile(w.x.p, node_of(&w.x, "main/l"), 0666, &fixture_cred, VFS_WRITE, &a, &f);

    if (err == 0) {
        vfs_release(f);
        vfs_forget(w.x.p, a.nodeid, 1);
    }
    return err;
}

/* Neither the freeze lock nor that of the namespace is held while a shard is asked. */
static void look_at_locks(void *ctx, int64_t duration_ns)
{
    struct ns *ns = ctx;

    look_at_freeze_lock(NULL, duration_ns);
    freeze_lock_was_held |= atomic_load(&ns->lock.readers) > 0;
}

Test(move, lists_that_are_moved_are_not_asked_for_with_the_gate)
{
    struct ns *ns;

    move_lists();
    cr_assert_eq(ns_get(w.x.p, vfs_node_ns(node_of(&w.x, "main")), &ns), 0);
    freeze_lock_was_held = false;
    shard_mem_set_latency(w.cold, 1, look_at_locks, ns);
    uint64_t reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    cr_assert(list_is("main/l/f", ACL_ACCESS, 4));
    cr_assert_gt(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    cr_assert_eq(try_chmod("main/l/f", 0771), 0);
    cr_assert_gt(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    cr_assert_eq(try_mkdir("d"), 0);
    cr_assert_gt(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    cr_assert_eq(try_tmpfile(), 0);
    /* equal or not, it is set, and the shard is not asked by the change */
    reads = shard_mem_calls(w.cold, SHARD_MEM_RANGE);
    cr_assert_eq(set_acl(&w, "main/l", ACL_DEFAULT, 5), 0);
    cr_assert_eq(shard_mem_calls(w.cold, SHARD_MEM_RANGE), reads);
    cr_assert_not(freeze_lock_was_held);
    shard_mem_set_latency(w.cold, 0, NULL, NULL);
    ns_put(w.x.p, ns);
    cr_assert(list_is("main/l/f", ACL_ACCESS, 1));
    cr_assert(list_is("main/l/d", ACL_DEFAULT, 5));
    cr_assert(list_is("main/l/d", ACL_ACCESS, 5));
    settle(&w);
    cr_assert(list_is("main/l", ACL_DEFAULT, 5));
}

Test(move, a_change_that_needs_a_list_which_cannot_be_had_changes_nothing)
{
    uint64_t seq;

    move_lists();
    seq = state_seq(w.x.p);
    (void)thread_set_may_wait(false);
    cr_assert_eq(try_chmod("main/l/f", 0771), -EWOULDWAIT);
    cr_assert_eq(try_mkdir("d"), -EWOULDWAIT);
    cr_assert_eq(try_tmpfile(), -EWOULDWAIT);
    (void)thread_set_may_wait(true);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(try_chmod("main/l/f", 0771), -EIO);
    cr_assert_eq(try_mkdir("d"), -EIO);
    cr_assert_eq(try_tmpfile(), -EIO);
    cr_assert_eq(state_seq(w.x.p), seq);
    cr_assert_eq(set_acl(&w, "main/l", ACL_DEFAULT, 5), 0);
    cr_assert_eq(try_mkdir("d"), 0);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC);
    cr_assert(list_is("main/l/f", ACL_ACCESS, 4));
}

/* What is refused anyway needs no list. */
Test(move, a_change_that_is_refused_asks_for_no_list)
{
    struct vfs_attr a;
    struct vfs_file *f;

    move_lists();
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(try_mkdir("f"), -EEXIST);
    cr_assert_eq(
        vfs_create(w.x.p, node_of(&w.x, "main/l"), "f", 0644, &fixture_cred, VFS_EXCL, &a, &f),
        -EEXIST);
    cr_assert_eq(vfs_create(w.x.p, node_of(&w.x, "main/l"), "f", 0644, &fixture_cred, 0, &a, &f), 0,
                 "it is there, and is opened");
    vfs_release(f);
    vfs_forget(w.x.p, a.nodeid, 1);
    agreed(&w.x, "set ns:main.frozen yes", "ok");
    cr_assert_eq(try_mkdir("d"), -EROFS);
    cr_assert_eq(try_tmpfile(), -EROFS);
    cr_assert_eq(try_chmod("main/l/f", 0771), -EROFS);
}

Test(move, equal_bytes_share_what_is_moved)
{
    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    put_bytes(&w, "main/again", LARGE, 1000);
    settle(&w);
    cr_assert_eq(shard_of(&w, "main/again"), 1);
    has_bytes(&w, "main/again", LARGE, 1000);
}

Test(move, two_moves_of_the_same_objects_count_them_once)
{
    struct move *second;
    struct move_result r;
    struct entry e;

    move_begins(1);
    gathered("main/d/f1");
    cr_assert_eq(move_begin(w.x.p, NULL, 2, &second), 0);
    cr_assert_eq(move_one(second, place_of(&w, "main/d/f1", &e), NULL), 0);
    cr_assert_eq(move_end(second, &r), 0);
    cr_assert_eq(r.objects, 1);
    r = ended();
    cr_assert_eq(r.objects, 0);
    cr_assert_eq(r.skipped, 1);
    cr_assert_eq(shard_of(&w, "main/d/f1"), 2);
    settle(&w);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
    is_sound();
}

/* Another move takes a large file and a small one from shard 1 to shard 2. */
static void take_away(void *ctx, int64_t duration_ns)
{
    const char *const paths[] = {"main/d/large", "main/d/f1"};
    struct move *other;
    struct move_result r;
    struct entry e;

    (void)ctx;
    (void)duration_ns;
    if (!calls_left || --calls_left)
        return;
    cr_assert_eq(move_begin(w.x.p, NULL, 2, &other), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(move_one(other, place_of(&w, paths[i], &e), NULL), 0);
    cr_assert_eq(move_end(other, &r), 0);
    cr_assert_eq(r.failed, 0);
    settle(&w); /* what they were read from is deleted */
}

Test(move, what_another_move_takes_elsewhere_while_it_is_read_is_no_failure, .timeout = 60)
{
    unsigned cut = 0;

    cr_assert_eq(workers_set_threads(w.x.p->workers, 2, 3), 0);
    for (unsigned n = 1; n < 9; n++) {
        agreed(&w.x, "move main/d/large main/d/f1 1 wait", "objects=2 ");
        calls_left = n;
        shard_mem_set_latency(w.cold, 1, take_away, NULL);
        agreed(&w.x, "recall main/d/large main/d/f1 wait", "failed=0");
        shard_mem_set_latency(w.cold, 0, NULL, NULL);
        cut += calls_left == 0;
        calls_left = 0;
        agreed(&w.x, "recall main/d/large main/d/f1 wait", "failed=0");
        cr_assert_eq(shard_of(&w, "main/d/large"), 0);
        cr_assert_eq(shard_of(&w, "main/d/f1"), 0);
        has_bytes(&w, "main/d/large", LARGE, 1000);
        has_bytes(&w, "main/d/f1", 2001, 1);
    }
    cr_assert_geq(cut, 2);
    is_sound();
}

/* ---- interrupted ---- */

Test(move, the_process_dies_before_the_commit)
{
    agreed(&w.x, "set shard_parallel 1", "ok"); /* no thread is at work when it dies */
    move_begins(1);
    gathered("main/d/f1");
    gathered("main/d/large");
    gathered("main/d/f2");
    store_abandon(w.x.p);
    w.x.p = NULL;
    kv_close(w.x.kv);
    fixture_open(&w.x);
    files_are();
    cr_assert_eq(ghosts_on(&w, 1), 0);
    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    is_sound();
}

Test(move, the_process_dies_after_it)
{
    agreed(&w.x, "move main/d 1 wait", "objects=42 ");
    world_dies(&w);
    files_are();
    cr_assert_eq(ghosts_on(&w, 1), 42);
    agreed(&w.x, "recall main/d wait", "objects=42 ");
    world_dies(&w); /* before its bytes there were released */
    files_are();
    settle(&w);
    cr_assert_eq(names_in("mem:cold", "packs"), 0);
    cr_assert_eq(names_in("mem:cold", "objects"), 0);
    is_sound();
}

static void cancel_it(void *ctx, int64_t duration_ns)
{
    (void)duration_ns;
    if (calls_left && --calls_left == 0)
        atomic_store((_Atomic bool *)ctx, true);
}

Test(move, cancelled_what_was_moved_stays_so)
{
    struct job *j;
    struct move_result r;
    struct entry e;

    agreed(&w.x, "set shard_parallel 1", "ok"); /* each is there when the next one begins */
    cr_assert_eq(job_start(w.x.p, "move", "", &j), 0);
    cr_assert_eq(move_begin(w.x.p, j, 1, &begun), 0);
    cr_assert_eq(move_one(begun, place_of(&w, "main/d/large", &e), NULL), 0);
    gathered("main/d/f1");
    calls_left = 1;
    shard_mem_set_latency(w.cold, 1, cancel_it, &j->cancel);
    cr_assert_eq(move_one(begun, place_of(&w, "main/d/larger", &e), NULL), -ECANCELED);
    shard_mem_set_latency(w.cold, 0, NULL, NULL);
    cr_assert_eq(move_end(begun, &r), -ECANCELED);
    job_end(w.x.p, j, -ECANCELED);
    cr_assert_eq(r.objects, 1);
    cr_assert_eq(ghosts_on(&w, 1), 1);
    files_are();
    is_sound();
}

Test(move, what_is_on_its_way_is_told_to_gc_cycles)
{
    cr_assert_eq(move_in_flight(w.x.p, 1), UINT64_MAX);
    move_begins(1);
    uint64_t from = move_in_flight(w.x.p, 1);
    cr_assert_neq(from, UINT64_MAX);
    cr_assert_eq(move_in_flight(w.x.p, 2), UINT64_MAX);
    gathered("main/d/large");
    (void)ended();
    struct entry e;
    (void)place_of(&w, "main/d/large", &e);
    cr_assert_eq(e.shard, 1);
    cr_assert_geq(e.where, from);
    cr_assert_eq(move_in_flight(w.x.p, 1), UINT64_MAX);
}

/* Three cycles between two reads of a long copy home: found, marked, deleted. */
static bool in_cycle;

static void collect(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    (void)duration_ns;
    if (in_cycle || !calls_left || --calls_left)
        return;
    in_cycle = true;
    for (int i = 0; i < 3; i++)
        agreed(&w.x, "gc grace=0s wait", "collected=0");
    in_cycle = false;
}

Test(move, what_comes_home_is_no_leak_before_it_is_named, .timeout = 60)
{
    /* a recall and a cycle at once */
    cr_assert_eq(workers_set_threads(w.x.p->workers, 2, 3), 0);
    for (unsigned n = 1; n < 9; n++) {
        agreed(&w.x, "move main/d/large 1 wait", "objects=1 ");
        calls_left = n;
        shard_mem_set_latency(w.cold, 1, collect, NULL);
        agreed(&w.x, "recall main/d/large wait", "objects=1 ");
        shard_mem_set_latency(w.cold, 0, NULL, NULL);
        cr_assert_eq(shard_of(&w, "main/d/large"), 0);
        has_bytes(&w, "main/d/large", LARGE, 1000);
    }
    is_sound();
}

Test(move, others_are_read_while_a_shard_is_away)
{
    agreed(&w.x, "move main/d/f1 main/d/large 1 wait", "objects=2 ");
    world_dies(&w);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(try_bytes(&w, "main/d/f1", 2001, 1), -EIO);
    cr_assert_eq(try_bytes(&w, "main/d/large", LARGE, 1000), -EIO);
    has_bytes(&w, "main/d/f2", 2002, 2);
    shard_mem_set(w.cold, SHARD_MEM_UNREACHABLE, false);
    clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC);
    shards_step(w.x.p);
    files_are();
}

Test(move, a_target_that_is_being_drained_takes_nothing)
{
    struct move *m;

    cr_assert_eq(shards_set_draining(w.x.p->shards, 1, true), 0);
    cr_assert_eq(move_begin(w.x.p, NULL, 1, &m), -EBUSY);
    cr_assert_eq(move_begin(w.x.p, NULL, 9, &m), -ENXIO);
}

static void *begin_another(void *ctx)
{
    return (void *)(intptr_t)move_begin(w.x.p, NULL, 1, ctx);
}

Test(move, who_waited_for_a_target_that_is_being_drained_since_moves_nothing_there)
{
    struct move *second = NULL;
    pthread_t thread;
    void *err;

    move_begins(1);
    clock_manual_advance(&w.x.clock, 10 * NSEC_PER_SEC); /* so that it is asked who may write */
    uint64_t calls = shard_mem_calls(w.cold, SHARD_MEM_GET);
    cr_assert_eq(pthread_create(&thread, NULL, begin_another, &second), 0);
    while (shard_mem_calls(w.cold, SHARD_MEM_GET) == calls)
        usleep(1000);
    cr_assert_eq(shards_set_draining(w.x.p->shards, 1, true), 0);
    (void)ended();
    pthread_join(thread, &err);
    cr_assert_eq((int)(intptr_t)err, -EBUSY);
    cr_assert_eq(move_in_flight(w.x.p, 1), UINT64_MAX);
}

/* ---- archives ---- */

Test(move, nothing_is_moved_to_an_archive_also_where_it_may_be_written)
{
    struct move *m;

    becomes_archive(&w.x, 1, "mem:cold");
    cr_assert_eq(move_begin(w.x.p, NULL, 1, &m), -EINVAL);
    cr_assert_eq(shards_allow(w.x.p->shards, 1, UINT64_C(1) << 40), 0);
    cr_assert_eq(move_begin(w.x.p, NULL, 1, &m), -EINVAL);
    cr_assert_eq(move_in_flight(w.x.p, 1), UINT64_MAX);
}

/* ---- limits ---- */

#define BLOCK 131072u

Test(move, of_a_write_that_a_limit_cuts_within_a_block_of_a_ghost_is_written_what_fits)
{
    static uint8_t bytes[3 * BLOCK];
    struct vfs_file *f;
    struct ns *ns;
    char command[64];
    ssize_t n;

    put_bytes(&w, "main/file", 8 * BLOCK, 7);
    settle(&w);
    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/file"), VFS_WRITE, &f), 0);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK + 16384, 65536),
                 0);
    settle(&w);
    agreed(&w.x, "move main/file 1 wait", "ok");
    cr_assert_eq(ns_get_by_name(w.x.p, "main", &ns), 0);
    snprintf(command, sizeof command, "set ns:main.quota %llu",
             (unsigned long long)ns->tree.usage.bytes + 8192);
    ns_put(w.x.p, ns);
    agreed(&w.x, command, "ok");
    n = vfs_write(f, bytes, sizeof bytes, 0);
    cr_assert_gt(n, BLOCK);
    cr_assert_lt(n, 2 * BLOCK);
    cr_assert_eq(vfs_write(f, bytes, sizeof bytes - (size_t)n, (uint64_t)n), -EDQUOT);
    vfs_release(f);
}
