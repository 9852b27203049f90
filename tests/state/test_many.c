// SPDX-License-Identifier: Apache-2.0
/*
 * test_many: files with very many extents. Whatever is done to one is small in the log, is there
 * after the daemon died, and after a loss of power it was done whole or not at all; no count is
 * wrong then.
 */
#include "check_fixture.h"
#include "disk_impl.h"
#include "io.h"
#include "ns_drop.h"
#include "rebuild.h"
#include "vfs_impl.h"

#include <pthread.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#define BLOCK ((uint64_t)EXTENT_BLOCK)
#define MANY 50000u  /* as physical operations this is a frame of 1 MB and more */
#define ENOUGH 5000u /* beyond what is deleted one by one */
#define FRAME_SMALL 65536u
#define TEXT "all extents show this"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void gone(void)
{
    fixture_teardown(&x);
}

TestSuite(many, .init = up, .fini = gone);

/* ---- such a file ---- */

/* A sealed object that an item names. */
static uint64_t some_object(struct ns *ns)
{
    struct inode in;

    put_file(&x, "main/text", TEXT);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node_of(&x, "main/text")), &in), 0);
    return in.object;
}

static void plant_some(struct ns *ns, uint64_t ino, uint64_t object, unsigned from, unsigned upto)
{
    TXN(t);
    struct inode in;

    cr_assert_eq(txn_begin(x.p, 0, &t), 0);
    NS_GUARD(&t, ns);
    cr_assert_eq(inode_load(&ns->tree, ino, &in), 0);
    for (unsigned i = from; i < upto; i++) {
        uint8_t buf[EXTENT_ITEM_LEN];

        extent_encode(&(struct extent){object, sizeof TEXT - 1}, buf);
        cr_assert_eq(tree_put(&ns->tree, key_make(ino, ITEM_EXTENT, i * BLOCK), buf, sizeof buf),
                     0);
    }
    in.flags |= INODE_EXTENTS;
    in.stored = (sizeof TEXT - 1) * upto;
    in.size = upto * BLOCK;
    cr_assert_eq(inode_store(&ns->tree, ino, &in), 0);
    cr_assert_eq(state_changed(&t, ns), 0);
}

/* main/big with so many extents, main/small, and a second namespace; all of it committed. */
static void plant(unsigned extents)
{
    struct vfs_attr a;
    struct ns *ns;
    uint64_t object, ino;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    object = some_object(ns);
    put_file(&x, "main/small", "small");
    put_file(&x, "main/big", "");
    ino = vfs_node_ino(node_of(&x, "main/big"));
    for (unsigned i = 0; i < extents; i += 250)
        plant_some(ns, ino, object, i, i + 250);
    ns_put(x.p, ns);
    cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, "dev", S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

/* ---- what can be seen ---- */

static const char *const paths[] = {"main/big", "main/small", "main/copy", "dev/big", "dev"};
#define PATHS (sizeof paths / sizeof *paths)

struct shape {
    uint64_t there, size, blocks, count, first, last;
};
struct shapes {
    struct shape of[PATHS];
};

static void count_extents_of(uint64_t node, struct shape *s)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct key k = key_make(vfs_node_ino(node), ITEM_EXTENT, 0);
    struct ns *ns;

    cr_assert_eq(ns_get(x.p, vfs_node_ns(node), &ns), 0);
    for (int err = tree_seek(&ns->tree, k, &c); err == 0 && tree_cursor_key(&c).hi == k.hi;
         err = tree_next(&c)) {
        s->first = s->count++ ? s->first : tree_cursor_key(&c).lo;
        s->last = tree_cursor_key(&c).lo;
    }
    tree_cursor_end(&c);
    ns_put(x.p, ns);
}

/* The last extent shows what it must, and behind it is nothing. */
static void read_end(uint64_t node, const struct shape *s)
{
    char buf[64] = "";
    struct vfs_file *f;
    size_t len = s->size - s->last < sizeof TEXT - 1 ? s->size - s->last : sizeof TEXT - 1;

    cr_assert_eq(vfs_open(x.p, node, VFS_NOATIME, &f), 0);
    cr_assert_geq(vfs_read(f, buf, sizeof buf - 1, s->last), (ssize_t)len);
    cr_assert_eq(memcmp(buf, TEXT, len), 0);
    vfs_release(f);
}

static void look(struct shapes *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < PATHS; i++) {
        struct shape *s = &ret->of[i];
        uint64_t node = node_of(&x, paths[i]);
        struct vfs_attr a;

        if (!node)
            continue;
        cr_assert_eq(vfs_getattr(x.p, node, &a), 0);
        s->there = 1;
        s->size = a.size;
        s->blocks = a.blocks;
        count_extents_of(node, s);
        if (s->count)
            read_end(node, s);
    }
}

static bool same(const struct shapes *a, const struct shapes *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static int largest(const struct log_frame *f, void *ctx)
{
    size_t *max = ctx;

    *max = f->len > *max ? f->len : *max;
    return 0;
}

static size_t largest_frame(void)
{
    struct log_scan scan;
    struct log_report r;
    size_t max = 0;

    cr_assert_eq(log_scan_now(x.p->log, &scan), 0);
    cr_assert_eq(log_read(x.disk, &scan, largest, &max, &r), 0);
    return max;
}

/* No count is wrong, and nothing else either. */
static void is_sound(void)
{
    static struct findings f;
    uint64_t changed;

    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(rebuild_store(x.p, NULL, &changed), 0);
    cr_assert_eq(changed, 0);
    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
}

/* ---- what is done ---- */

static struct vfs_file *held; /* open while power may go */

static void let_go(void)
{
    if (held)
        vfs_release(held);
    held = NULL;
}

static int cut_it(void)
{
    struct vfs_attr in = {.size = 1000 * BLOCK + 5}, out;

    return vfs_setattr(x.p, node_of(&x, "main/big"), VFS_SET_SIZE, &in, &out);
}

static int unlink_it(void)
{
    return vfs_unlink(x.p, node_of(&x, "main"), "big");
}

static int unlink_open_it(void)
{
    uint64_t node = node_of(&x, "main/big");
    char buf[sizeof TEXT];
    int err;

    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE | VFS_NOATIME, &held), 0);
    err = unlink_it();
    if (err == 0 && !fault_is_cut(&x.fault)) {
        cr_assert_eq(vfs_read(held, buf, sizeof buf, (ENOUGH - 1) * BLOCK), sizeof buf);
        cr_assert_eq(memcmp(buf, TEXT, sizeof buf - 1), 0);
    }
    return err;
}

static int replace_it(void)
{
    uint64_t dir = node_of(&x, "main");

    return vfs_rename(x.p, dir, "small", dir, "big", 0, &fixture_cred);
}

static int link_it(void)
{
    struct vfs_attr a;
    int err = vfs_link(x.p, node_of(&x, "main/big"), node_of(&x, "dev"), "big", &a);

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

/* cp: as often as there is more. */
static int copy_it(void)
{
    struct vfs_attr a;
    uint64_t off = 0;
    struct vfs_file *in;
    ssize_t n;

    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/big"), VFS_NOATIME, &in), 0);
    n = vfs_create(x.p, node_of(&x, "main"), "copy", 0644, &fixture_cred, VFS_WRITE, &a, &held);
    while (n >= 0 && (n = vfs_share_range(in, off, held, off, 1u << 31)) > 0)
        off += (uint64_t)n;
    vfs_release(in);
    return (int)n;
}

static int punch_it(void)
{
    uint64_t node = node_of(&x, "main/big");

    cr_assert_eq(vfs_open(x.p, node, VFS_WRITE | VFS_NOATIME, &held), 0);
    return vfs_fallocate(held, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MANY * BLOCK);
}

/* It is in a namespace of its own, and open there. */
static int drop_it(void)
{
    struct vfs_attr a;
    uint32_t open;
    int err = vfs_link(x.p, node_of(&x, "main/big"), node_of(&x, "dev"), "big", &a);

    if (err == 0) {
        vfs_forget(x.p, a.nodeid, 1);
        err = vfs_open(x.p, a.nodeid, VFS_NOATIME, &held);
    }
    return err < 0 ? err : ns_drop(x.p, "dev", true, false, false, &open);
}

/* Those of main/big, by hand: an orphan shares nothing otherwise. */
static int give_extents(struct vnode *v)
{
    TXN(t);
    uint64_t ino = vfs_node_ino(node_of(&x, "main/big"));
    struct items to;
    struct inode s;
    int err = txn_begin(x.p, 0, &t);

    if (err < 0)
        return err;
    cr_assert_eq(items_lock(x.p, v, &t, &to), 0);
    err = inode_load(&v->ns->tree, ino, &s);
    s.nlink = 0;
    if (err == 0)
        err = items_copy(x.p, &v->ns->tree, range_of_items(ino, ITEM_EXTENT, 0), to.tree, to.ino);
    if (err == 0)
        err = inode_store(to.tree, to.ino, &s);
    err = change_done(&t, to.ns, err);
    items_unlock(x.p, &to);
    return err;
}

/* A file without a name, as large as the other, gets one. */
static int name_it(void)
{
    struct vfs_attr a;
    uint64_t dir = node_of(&x, "main"), node;
    int err = vfs_tmpfile(x.p, dir, 0644, &fixture_cred, VFS_WRITE, &a, &held);

    if (err < 0)
        return err;
    node = a.nodeid;
    err = give_extents(held->v);
    return err < 0 ? err : vfs_link(x.p, node, dir, "copy", &a);
}

/* ---- without an accident, and with one ---- */

static void done_to_many(int (*act)(void), struct shapes *ret)
{
    struct shapes after;

    plant(MANY);
    cr_assert_eq(act(), 0);
    cr_assert_lt(largest_frame(), FRAME_SMALL);
    look(&after);
    let_go();
    cr_assert_eq(atomic_load(&x.p->readonly), false);
    look(ret);
    cr_assert(same(ret, &after));
    down(&x); /* the daemon dies */
    fixture_open(&x);
    look(&after);
    cr_assert(same(ret, &after));
    is_sound();
}

/* Power goes at write number `at` of what follows. True: before the end of it. */
static bool done_with_a_cut(int (*act)(void), uint64_t at, struct shapes *before,
                            struct shapes *after)
{
    bool synced;

    gone();
    up();
    plant(ENOUGH);
    look(before);
    x.fault.fail_at = x.fault.writes + at;
    x.fault.cut = true;
    x.fault.loss = FAULT_LOSE_SOME;
    x.fault.seed = at;
    synced = act() == 0 && flush_sync(x.p) == 0;
    let_go();
    (void)flush_drain(x.p, true, -1, NULL);
    bool cut = fault_is_cut(&x.fault);
    down(&x);
    disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
    fixture_open(&x);
    look(after);
    cr_assert(!synced || !same(before, after), "write %llu", (unsigned long long)at);
    return cut;
}

/* Between nothing and all of it there is nothing, unless `between` says so. */
static void done_whole_or_not(int (*act)(void), bool (*between)(const struct shapes *))
{
    struct shapes before, after, whole;
    uint64_t step;

    gone();
    up();
    plant(ENOUGH);
    step = x.fault.writes;
    cr_assert_eq(act(), 0);
    cr_assert_eq(flush_sync(x.p), 0);
    let_go();
    look(&whole);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    step = (x.fault.writes - step) / 5 + 1;
    uint64_t at = 1;
    for (; done_with_a_cut(act, at, &before, &after); at += step) {
        cr_assert(same(&after, &before) || same(&after, &whole) || (between && between(&after)),
                  "write %llu", (unsigned long long)at);
        is_sound();
    }
    cr_assert_gt(at, 2 * step, "nothing was cut");
}

Test(many, extents_are_cut_off)
{
    struct shapes s;

    done_to_many(cut_it, &s);
    cr_assert_eq(s.of[0].size, 1000 * BLOCK + 5);
    cr_assert_eq(s.of[0].count, 1001);
    done_whole_or_not(cut_it, NULL);
}

Test(many, extents_go_with_their_file)
{
    struct shapes s;

    done_to_many(unlink_it, &s);
    cr_assert_eq(s.of[0].there, 0);
    done_whole_or_not(unlink_it, NULL);
}

Test(many, extents_of_an_open_file_go_with_its_last_close)
{
    struct shapes s;

    done_to_many(unlink_open_it, &s);
    cr_assert_eq(s.of[0].there, 0);
    done_whole_or_not(unlink_open_it, NULL);
}

Test(many, extents_go_when_another_file_takes_the_name)
{
    struct shapes s;

    done_to_many(replace_it, &s);
    cr_assert_eq(s.of[0].size, 5);
    cr_assert_eq(s.of[1].there, 0);
    done_whole_or_not(replace_it, NULL);
}

Test(many, extents_are_linked_into_another_namespace)
{
    struct shapes s;

    done_to_many(link_it, &s);
    cr_assert_eq(s.of[3].count, MANY);
    cr_assert_eq(s.of[0].count, MANY);
    done_whole_or_not(link_it, NULL);
}

static bool copy_begun(const struct shapes *s)
{
    return s->of[0].count == ENOUGH && s->of[2].count <= ENOUGH;
}

Test(many, extents_are_copied)
{
    struct shapes s;

    done_to_many(copy_it, &s);
    cr_assert_eq(s.of[2].count, MANY);
    cr_assert_eq(s.of[2].blocks, s.of[0].blocks);
    done_whole_or_not(copy_it, copy_begun);
}

static bool punched_up_to_somewhere(const struct shapes *s)
{
    return s->of[0].size == ENOUGH * BLOCK && s->of[0].last == (ENOUGH - 1) * BLOCK;
}

Test(many, extents_are_punched_out_in_turns)
{
    struct shapes s;

    done_to_many(punch_it, &s);
    cr_assert_eq(s.of[0].count, 0);
    cr_assert_eq(s.of[0].blocks, 0);
    done_whole_or_not(punch_it, punched_up_to_somewhere);
}

static bool only_linked(const struct shapes *s)
{
    return s->of[3].count == ENOUGH;
}

Test(many, extents_outlive_a_dropped_namespace_while_they_are_open)
{
    struct shapes s;

    done_to_many(drop_it, &s);
    cr_assert_eq(s.of[4].there, 0);
    done_whole_or_not(drop_it, only_linked);
}

Test(many, extents_of_a_file_without_a_name_get_one)
{
    struct shapes s;

    done_to_many(name_it, &s);
    cr_assert_eq(s.of[2].count, MANY);
    done_whole_or_not(name_it, NULL);
}

/* ---- a copy that goes on while the file is made whole ---- */

#define BLOCKS 8u

static struct vfs_file *source, *copy;
static const struct disk_ops *whole;
static struct disk_ops meddling;
static bool meddled;

static void fill_backwards(struct vfs_file *f)
{
    CLEANUP_FREE char *buf = malloc(BLOCK);

    for (unsigned i = BLOCKS; i-- > 0;) { /* each beyond the end of what is there: extents */
        memset(buf, 'a' + (int)i, BLOCK);
        cr_assert_eq(vfs_write(f, buf, BLOCK, i * BLOCK), (ssize_t)BLOCK);
    }
}

static void share_half(uint64_t from)
{
    const uint64_t half = BLOCKS / 2 * BLOCK;

    cr_assert_eq(vfs_share_range(source, from, copy, from, half), (ssize_t)half);
}

static void *share_the_rest(void *arg)
{
    share_half(BLOCKS / 2 * BLOCK);
    return arg;
}

/* The first bytes of the copy in one piece are on their way: the rest is shared meanwhile. */
static int write_and_share(struct disk_file *f, const struct iovec *iov, int count, uint64_t off)
{
    pthread_t other;

    if (!meddled) {
        meddled = true;
        cr_assert_eq(pthread_create(&other, NULL, share_the_rest, NULL), 0);
        cr_assert_eq(pthread_join(other, NULL), 0);
    }
    return whole->pwritev(f, iov, count, off);
}

static int open_meddling(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    int err = whole->open(d, name, flags, ret);

    if (err == 0 && strncmp(name, "slots/", 6) == 0)
        (*ret)->ops = &meddling;
    return err;
}

static struct vfs_file *opened(const char *path)
{
    struct vfs_file *f;

    if (!node_of(&x, path))
        put_file(&x, path, "old");
    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0);
    return f;
}

Test(many, a_copy_in_two_calls_is_whole_though_the_file_was_made_one_object_between)
{
    CLEANUP_FREE char *buf = malloc(BLOCK);
    struct vfs_file *other;

    source = opened("main/source");
    fill_backwards(source);
    copy = opened("main/copy");
    other = opened("main/copy");
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/copy"), VFS_SET_SIZE, &(struct vfs_attr){0},
                             &(struct vfs_attr){0}),
                 0);
    share_half(0);
    whole = x.disk->ops;
    meddling = *whole;
    meddling.open = open_meddling;
    meddling.pwritev = write_and_share;
    x.disk->ops = &meddling;
    vfs_release(other);
    cr_assert(meddled);
    x.disk->ops = whole;
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_assert_eq(vfs_read(copy, buf, BLOCK, i * BLOCK), (ssize_t)BLOCK);
        cr_assert_eq(buf[0], 'a' + (int)i);
        cr_assert_eq(buf[BLOCK - 1], 'a' + (int)i);
    }
    vfs_release(copy);
    vfs_release(source);
}

/* ---- holes with both edges inside a block ---- */

Test(many, a_hole_between_two_parts_of_blocks_fits_into_its_room)
{
    const uint64_t blocks = 1003, size = blocks * BLOCK;
    CLEANUP_FREE char *buf = calloc(1, 1 << 20);
    struct vfs_file *f = opened("main/f");

    for (uint64_t at = 0; at < size; at += 1 << 20) {
        size_t n = size - at < 1 << 20 ? (size_t)(size - at) : 1 << 20;
        buf[0] = (char)(at >> 20);
        cr_assert_eq(vfs_write(f, buf, n, at), (ssize_t)n);
    }
    vfs_release(f);
    x.clock.now += 10 * NSEC_PER_SEC;
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    f = opened("main/f");
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, size - BLOCK - 2),
                 0);
    vfs_release(f);
}
