// SPDX-License-Identifier: Apache-2.0
/* Claims of vfs_ahead.h: who reads a large object on another shard in order has it read ahead. */
#include "gate.h"
#include "move_fixture.h"
#include "vfs_ahead.h"
#include <pthread.h>
#include <unistd.h>

#define STEP ((size_t)128 * 1024)
#define MIB ((size_t)1024 * 1024)
#define SIZE (12 * MIB + 12345)

static struct world w;
static struct gate gate;
static uint8_t *want;

/* Each call of the shard takes longer than AHEAD_WORTH, and passes the gate. */
static void answer_slowly(void *ctx, int64_t duration_ns)
{
    (void)ctx;
    usleep(2 * AHEAD_WORTH / 1000);
    gate_pass(&gate, duration_ns);
}

static void up(void)
{
    gate_init(&gate);
    world_up(&w);
    put_bytes(&w, "main/large", SIZE, 7);
    settle(&w);
    agreed(&w.x, "move main/large 1 wait", "objects=1 ");
    agreed(&w.x, "set shard_patience 1h", "ok"); /* on a busy machine any call may take a while */
    agreed(&w.x, "set shard_parallel 8", "ok");
    shard_mem_set_latency(w.cold, 1, answer_slowly, NULL);
    want = malloc(SIZE);
    fill(want, SIZE, 7);
}

static void down_all(void)
{
    world_down(&w);
    free(want);
}

TestSuite(ahead, .init = up, .fini = down_all, .timeout = 120);

static struct vfs_file *opened(void)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(w.x.p, node_of(&w.x, "main/large"), 0, &f), 0);
    return f;
}

/* Reads [from, to) in steps, and compares the bytes. */
static void reads(struct vfs_file *f, size_t from, size_t to)
{
    uint8_t *buf = malloc(STEP);

    for (size_t off = from, n; off < to; off += n) {
        n = to - off < STEP ? to - off : STEP;
        cr_assert_eq(vfs_read(f, buf, n, off), (ssize_t)n, "at %zu", off);
        cr_assert_eq(memcmp(buf, want + off, n), 0, "other bytes at %zu", off);
    }
    free(buf);
}

static void *read_all(void *arg)
{
    struct vfs_file *f = opened();

    (void)arg;
    reads(f, 0, SIZE);
    cr_assert_eq(vfs_release(f), 0);
    return NULL;
}

static uint64_t ranges(void)
{
    return shard_mem_calls(w.cold, SHARD_MEM_RANGE);
}

static unsigned pieces(unsigned *ret_under_way)
{
    MUTEX_GUARD(&w.x.p->aheads->lock);
    *ret_under_way = w.x.p->aheads->under_way;
    return w.x.p->aheads->pieces;
}

static void until_quiet(void)
{
    unsigned under_way;

    while (pieces(&under_way), under_way > 0)
        usleep(1000);
}

Test(ahead, who_reads_in_order_has_several_pieces_asked_for_at_once)
{
    pthread_t reader;

    gate_shut(&gate, 12, UINT_MAX); /* some MiB were read by then */
    cr_assert_eq(pthread_create(&reader, NULL, read_all, NULL), 0);
    gate_until_held(&gate, 2); /* the one that the reader needs may be among the first of them */
    gate_open(&gate);
    pthread_join(reader, NULL);
    cr_assert_leq(gate_most(&gate), 9); /* and the request of the reader */
}

Test(ahead, and_makes_a_request_for_each_mib_and_not_for_each_read)
{
    uint64_t before = ranges();

    (void)read_all(NULL);
    cr_assert_leq(ranges() - before, 3 + SIZE / MIB + 1); /* the first two reads, and the sums */
}

Test(ahead, who_reads_here_and_there_has_nothing_read_ahead)
{
    struct vfs_file *f = opened();
    unsigned under_way;

    reads(f, 8 * MIB, 8 * MIB + STEP); /* opens it */
    uint64_t before = ranges();
    for (size_t i = 0; i < 6; i++) {
        size_t at = (const size_t[]){2, 9, 4, 11, 0, 6}[i] * MIB;
        reads(f, at, at + STEP);
        cr_assert_eq(pieces(&under_way), 0);
    }
    cr_assert_eq(ranges() - before, 6);
    cr_assert_eq(vfs_release(f), 0);
}

Test(ahead, of_a_shard_that_answers_at_once_nothing_is_read_ahead)
{
    struct ahead a = {.object = 0};
    uint8_t *buf = malloc(STEP);
    unsigned under_way;
    struct entry e;
    uint64_t number = place_of(&w, "main/large", &e);

    cr_assert_eq(ahead_read(w.x.p, &a, number, buf, STEP, 0), -ENOENT);
    ahead_took(w.x.p, &a, AHEAD_WORTH);
    cr_assert_eq(ahead_read(w.x.p, &a, number, buf, STEP, STEP), -ENOENT);
    cr_assert_eq(pieces(&under_way), 0);
    ahead_took(w.x.p, &a, AHEAD_WORTH + 1);
    cr_assert_eq(ahead_read(w.x.p, &a, number, buf, STEP, 2 * STEP), -ENOENT);
    cr_assert_gt(pieces(&under_way), 0);
    ahead_drop(w.x.p, &a);
    until_quiet();
    free(buf);
}

Test(ahead, with_a_limit_of_one_nothing_is_read_ahead)
{
    agreed(&w.x, "set shard_parallel 1", "ok");
    struct vfs_file *f = opened();
    unsigned under_way;

    for (size_t off = 0; off < 4 * MIB; off += STEP) {
        reads(f, off, off + STEP);
        cr_assert_eq(pieces(&under_way), 0);
    }
    cr_assert_eq(vfs_release(f), 0);
}

Test(ahead, a_close_does_not_wait_for_what_is_under_way)
{
    struct vfs_file *f = opened();
    unsigned under_way = 0;
    size_t off = 3 * MIB;

    reads(f, 0, off);
    until_quiet();
    gate_shut(&gate, 0, UINT_MAX);
    for (; under_way == 0; off += STEP) { /* from pieces that came before */
        cr_assert_lt(off, 6 * MIB);
        reads(f, off, off + STEP);
        (void)pieces(&under_way);
    }
    cr_assert_eq(vfs_release(f), 0);
    (void)pieces(&under_way);
    cr_assert_gt(under_way, 0);
    gate_open(&gate);
    while (pieces(&under_way) > 0)
        usleep(1000);
}

Test(ahead, what_is_damaged_in_a_piece_hides_nothing_else_of_it)
{
    struct vfs_file *f = opened();
    char name[DISK_NAME_MAX + 1];
    uint8_t *buf = malloc(STEP);
    struct entry e;

    (void)place_of(&w, "main/large", &e);
    objects_file_name(&e, 0, name);
    cr_assert_eq(shard_mem_flip(w.cold, name, 5 * MIB + 3 * STEP + 7, 1), 0);
    reads(f, 0, 5 * MIB + 3 * STEP);
    cr_assert_eq(vfs_read(f, buf, STEP, 5 * MIB + 3 * STEP), -EUCLEAN);
    reads(f, 5 * MIB + 4 * STEP, SIZE);
    cr_assert_eq(vfs_release(f), 0);
    free(buf);
}

Test(ahead, reads_that_overtake_one_another_are_in_order_still)
{
    struct vfs_file *f = opened();
    uint64_t before = ranges();

    for (size_t off = 0; off + 4 * MIB <= 12 * MIB; off += 2 * MIB) {
        reads(f, off + MIB, off + 2 * MIB);
        reads(f, off, off + MIB);
    }
    cr_assert_leq(ranges() - before, 30, "%llu", (unsigned long long)(ranges() - before));
    cr_assert_eq(vfs_release(f), 0);
}

Test(ahead, all_files_together_keep_so_many_pieces_and_who_read_last_keeps_its_window)
{
    struct vfs_file *f[16];
    unsigned under_way;

    for (int i = 0; i < 16; i++) {
        f[i] = opened();
        reads(f[i], 0, 6 * MIB);
        cr_assert_leq(pieces(&under_way), AHEAD_MOST);
        cr_assert_leq(under_way, 8);
    }
    cr_assert_gt(pieces(&under_way), AHEAD_MOST / 2);
    until_quiet();
    reads(f[15], 6 * MIB, 6 * MIB + STEP);
    until_quiet();
    gate_shut(&gate, 0, UINT_MAX);
    reads(f[15], 6 * MIB + STEP, 6 * MIB + 2 * STEP); /* it asks for nothing */
    gate_open(&gate);
    for (int i = 0; i < 16; i++) {
        reads(f[i], 6 * MIB + 2 * STEP, SIZE);
        cr_assert_eq(vfs_release(f[i]), 0);
    }
    while (pieces(&under_way) > 0)
        usleep(1000);
}
