// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of contents that cannot be read when they are to be shipped: all else is shipped, the
 * archive says which it does not have, and it gets them when they can be read again.
 */
#include "absent.h"
#include "ship_fixture.h"

#define LATER (2 * 24 * 3600 * NSEC_PER_SEC) /* by then all was tried again */

static struct vault v;
static struct digest was; /* of main, with all its bytes */

static void up(void)
{
    vault_up(&v);
    put_file(&v.w.x, "main/sound", "sound");
    put_bytes(&v.w, "main/small", 3000, 7);
    put_bytes(&v.w, "main/large", LARGE, 8);
    settle(&v.w);
    was = digest_of(&v, "main");
}
static void down_all(void)
{
    vault_down(&v);
}

TestSuite(lost, .init = up, .fini = down_all);

/* A bit of the bytes of both files changes, or changes back. */
static void flip_both(void)
{
    static const char *const paths[] = {"main/small", "main/large"};

    for (int i = 0; i < 2; i++) {
        char name[DISK_NAME_MAX + 1];
        struct entry e;
        uint64_t number = place_of(&v.w, paths[i], &e);

        objects_file_name(&e, number, name);
        cr_assert_eq(disk_mem_flip(v.w.x.disk, name, e.offset + 200, 1), 0, "%s", name);
    }
}

/* A round after `duration`, with everything that was lost tried again. */
static void ship_after(int64_t duration)
{
    clock_manual_advance(&v.w.x.clock, duration);
    ship(&v);
}

static uint64_t lost(void)
{
    return ship_stats_of(&v).lost;
}

/* The store has nothing of main any more, and restores it as back, as it was at a change. */
static void restore_anew(uint64_t seq, const char *part)
{
    char line[100];

    agreed(&v.w.x, "drop main now", "ok");
    ship(&v);
    settle(&v.w);
    snprintf(line, sizeof line, "restore main@%llu back wait", (unsigned long long)seq);
    agreed(&v.w.x, line, part);
}

static bool is_as_it_was(const char *name)
{
    const struct digest is = digest_of(&v, name);

    return is_equal(&is, &was);
}

Test(lost, all_but_what_is_damaged_is_shipped)
{
    flip_both();
    ship(&v);
    cr_assert_eq(lost(), 2);
    agreed(&v.w.x, "archive status", " lost=2");
    agreed(&v.w.x, "archive check wait", "found=0 lost=2 ");
    put_bytes(&v.w, "main/more", 100, 9);
    ship(&v);
    cr_assert_eq(lost(), 2);
    remove_file(&v.w.x, "main/small");
    ship(&v);
    cr_assert_eq(lost(), 1);
    agreed(&v.w.x, "restore main dry-run", " lost=1");
    restore_anew(atomic_load(&v.w.x.p->seq), " lost=1 ");
    has_bytes(&v.w, "back/more", 100, 9);
    cr_assert_eq(try_bytes(&v.w, "back/large", LARGE, 8), -EREMOTE);
}

Test(lost, what_the_archive_lacks_is_taken_from_the_store_that_restores)
{
    flip_both();
    ship(&v);
    flip_both();
    agreed(&v.w.x, "restore main back wait", " lost=0 ");
    cr_assert(is_as_it_was("back"));
}

Test(lost, what_can_be_read_again_is_shipped_though_nothing_changes)
{
    flip_both();
    ship(&v);
    ship_after(LATER);
    cr_assert_eq(lost(), 2);
    cr_assert_eq(ship_stats_of(&v).segments, 1);
    flip_both();
    ship_after(LATER);
    cr_assert_eq(lost(), 0);
    restore_anew(atomic_load(&v.w.x.p->seq), " lost=0 ");
    cr_assert(is_as_it_was("back"));
}

Test(lost, it_is_not_forgotten_by_a_mount_or_a_death)
{
    flip_both();
    ship(&v);
    for (int i = 0; i < 2; i++) {
        if (i)
            fixture_reopen(&v.w.x);
        else
            world_dies(&v.w);
        ship(&v);
        cr_assert_eq(lost(), 2);
    }
    flip_both();
    ship_after(LATER);
    cr_assert_eq(lost(), 0);
}

/* ---- whose fault it is ---- */

Test(lost, nothing_is_lost_because_the_archive_fails)
{
    for (int bit = 0; bit < 2; bit++) {
        const enum shard_mem_switch how = bit ? SHARD_MEM_UNREACHABLE : SHARD_MEM_FULL;

        shard_mem_set(v.mem, how, true);
        cr_assert_lt(ship_step(v.w.x.p), 0);
        shard_mem_set(v.mem, how, false);
    }
    ship_after(LATER);
    cr_assert_eq(lost(), 0);
}

Test(lost, a_shard_that_is_away_is_waited_for_and_then_its_bytes_are_lost_until_it_is_back)
{
    agreed(&v.w.x, "move main/large 1 wait", "objects=1 ");
    shard_mem_set(v.w.cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(ship_step(v.w.x.p), -EHOSTUNREACH);
    clock_manual_advance(&v.w.x.clock, SHIP_AWAY);
    cr_assert_eq(ship_step(v.w.x.p), -EHOSTUNREACH);
    ship_after(NSEC_PER_SEC);
    cr_assert_eq(lost(), 1);
    shard_mem_set(v.w.cold, SHARD_MEM_UNREACHABLE, false);
    (void)shards_look(v.w.x.p->shards);
    ship_after(LATER);
    cr_assert_eq(lost(), 0);
}

/* ---- objects that are absent, or have no id ---- */

/* The store is closed before it has shipped anything, and its tables are changed. */
static void reopen_with(int (*change)(struct kv *kv, uint64_t number))
{
    struct entry e;
    const uint64_t number = place_of(&v.w, "main/large", &e);
    struct fixture *x = &v.w.x;

    shard_mem_set(v.mem, SHARD_MEM_UNREACHABLE, true);
    down_clean(x);
    shard_mem_set(v.mem, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(kv_open_mem(x->mem, store_tables, store_table_count, 0, &x->kv), 0);
    cr_assert_eq(change(x->kv, number), 0);
    kv_close(x->kv);
    fixture_open(x);
}

static int make_absent(struct kv *kv, uint64_t number)
{
    const uint8_t sha256[SHA256_LEN] = {[0] = 0xab, [31] = 0xcd};

    return absent_plant(kv, v.w.x.disk, number, sha256);
}

static int lose_entry(struct kv *kv, uint64_t number)
{
    struct kv_txn *t;
    uint8_t key[8];
    int err = kv_txn_begin(kv, &t);

    put_be64(key, number);
    if (err == 0)
        err = kv_del(t, TABLE_OBJECTS, key, sizeof key);
    return err < 0 ? err : kv_commit(t);
}

Test(lost, what_was_never_in_the_store_is_lost_in_the_archive)
{
    reopen_with(make_absent);
    ship(&v);
    cr_assert_eq(lost(), 1);
    agreed(&v.w.x, "restore main back wait", " lost=1 ");
}

Test(lost, what_has_lost_its_entry_is_lost_until_a_rebuild_finds_it)
{
    reopen_with(lose_entry);
    ship(&v);
    cr_assert_eq(lost(), 1);
    put_file(&v.w.x, "main/more", "more");
    ship(&v);
    cr_assert_eq(lost(), 1);
    agreed(&v.w.x, "rebuild wait", "ok");
    world_dies(&v.w);
    remove_file(&v.w.x, "main/more");
    ship(&v);
    ship_after(LATER);
    cr_assert_eq(lost(), 0);
    was = digest_of(&v, "main");
    restore_anew(atomic_load(&v.w.x.p->seq), " lost=0 ");
    cr_assert(is_as_it_was("back"));
}

static uint64_t object_of(uint64_t node)
{
    struct inode in;
    struct ns *ns;

    cr_assert_eq(ns_get(v.w.x.p, vfs_node_ns(node), &ns), 0);
    cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node), &in), 0);
    ns_put(v.w.x.p, ns);
    return in.object;
}

/* main/open is written and not closed, so it is in a slot; a bit of that changes. */
static struct vfs_file *damage_slot(void)
{
    uint8_t bytes[8192];
    struct vfs_file *f;
    struct vfs_attr a;
    char name[DISK_NAME_MAX + 1];

    fill(bytes, sizeof bytes, 3);
    cr_assert_eq(vfs_create(v.w.x.p, node_of(&v.w.x, "main"), "open", 0644, &fixture_cred,
                            VFS_WRITE, &a, &f),
                 0);
    for (uint64_t at = 0; at < LARGE; at += sizeof bytes)
        cr_assert_eq(vfs_write(f, bytes, sizeof bytes, at), (ssize_t)sizeof bytes);
    cr_assert_eq(flush_now(v.w.x.p), 0);
    blob_slot_name(object_of(a.nodeid), name);
    cr_assert_eq(disk_mem_flip(v.w.x.disk, name, 70000, 1), 0, "%s", name);
    vfs_forget(v.w.x.p, a.nodeid, 1);
    return f;
}

Test(lost, what_cannot_be_sealed_is_lost)
{
    struct vfs_file *f = damage_slot();

    ship(&v);
    cr_assert_eq(lost(), 1);
    put_file(&v.w.x, "main/more", "more");
    ship(&v);
    cr_assert_eq(lost(), 1);
    vfs_release(f);
    remove_file(&v.w.x, "main/open");
    ship(&v);
    cr_assert_eq(lost(), 0);
}
