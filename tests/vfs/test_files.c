// SPDX-License-Identifier: Apache-2.0
/* Claims of vfs_file.c, vfs_read.c and vfs_write.c about what a file's bytes are. */
#include "fixture.h"

#include "store_impl.h"
#include <linux/falloc.h>

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(files, .init = up, .fini = down);

static struct vfs_file *open_file(const char *path, unsigned flags)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), flags, &f), 0, "%s", path);
    return f;
}

static void set_size(const char *path, uint64_t size)
{
    struct vfs_attr in = {.size = size}, out;

    cr_assert_eq(vfs_setattr(x.p, node_of(&x, path), VFS_SET_SIZE, &in, &out), 0);
}

Test(files, sharing_behind_a_cut_source_keeps_what_the_destination_had)
{
    struct vfs_file *in, *out;
    char buf[16];

    put_file(&x, "main/a", "0123456789");
    put_file(&x, "main/b", "0123456789");
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
    set_size("main/a", 5); /* same object, but zeros from 5 on */
    set_size("main/a", 16);
    in = open_file("main/a", 0);
    out = open_file("main/b", VFS_WRITE);
    ssize_t n = vfs_share_range(in, 10, out, 10, 6);
    cr_assert(n == -EOPNOTSUPP || n == 6);
    cr_assert_geq(vfs_read(out, buf, 10, 0), 10);
    cr_assert_eq(memcmp(buf, "0123456789", 10), 0);
    vfs_release(in);
    vfs_release(out);
}

Test(files, a_full_disk_is_freed_by_removing_what_could_not_be_written)
{
    put_file(&x, "main/a", "some bytes");
    fault_reset(&x.fault);
    x.fault.error = ENOSPC;
    x.fault.fail_at = 1; /* the record of main/a finds no place */
    cr_assert_eq(flush_now(x.p), -ENOSPC);
    remove_file(&x, "main/a");
    fault_reset(&x.fault);
    x.fault.error = ENOSPC;
    x.fault.fail_at = 2; /* the commit, which is the first write, is the only one that is needed */
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(x.fault.writes, 1);
    fault_reset(&x.fault);
}

/* The writes of a flush: of a pack, of a record in it, and the commit. Each says it, and the same
 * flush works when there is room. (A sync that says it is another thing: bytes may be gone.) */
static void flush_without_room(int error, char name)
{
    static const unsigned at[] = {1, 1, 3};

    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char path[] = {'m', 'a', 'i', 'n', '/', name, (char)('0' + i), 0};
        put_file(&x, path, path);
        fault_reset(&x.fault);
        x.fault.error = error;
        x.fault.fail_at = at[i];
        cr_assert_eq(flush_now(x.p), -error, "%s", path);
        fault_reset(&x.fault);
        cr_assert_eq(flush_now(x.p), 0, "after %s", path);
    }
}

Test(files, a_used_up_quota_is_as_a_full_disk_and_does_not_end_writing)
{
    flush_without_room(ENOSPC, 's');
    flush_without_room(EDQUOT, 'q');
}

Test(files, what_a_branch_shares_is_copied_before_it_is_written)
{
    struct vfs_file *f;
    char buf[8] = {0};

    put_file(&x, "main/a", "shared"); /* and not sealed */
    agreed(&x, "branch main b", "ok");
    f = open_file("main/a", VFS_WRITE);
    cr_assert_eq(vfs_write(f, "#", 1, 0), 1);
    vfs_release(f);
    f = open_file("b/a", 0);
    cr_assert_eq(vfs_read(f, buf, 6, 0), 6);
    cr_assert_str_eq(buf, "shared");
    vfs_release(f);
}

/* ---- truncating by an open ---- */

static uint32_t mode_after_open(uint32_t mode, unsigned flags)
{
    struct vfs_attr in = {.mode = mode}, out;

    put_file(&x, "main/f", "some bytes");
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_MODE, &in, &out), 0);
    vfs_release(open_file("main/f", flags));
    cr_assert_eq(vfs_getattr(x.p, node_of(&x, "main/f"), &out), 0);
    cr_assert_eq(out.size, flags & VFS_TRUNC ? 0 : 10);
    return out.mode & 07777;
}

Test(files, who_may_not_keep_set_id_bits_loses_them_by_truncating_with_an_open)
{
    cr_assert_eq(mode_after_open(06755, VFS_WRITE | VFS_TRUNC | VFS_OPEN_KILL_SUID), 0755);
    cr_assert_eq(mode_after_open(06745, VFS_WRITE | VFS_TRUNC | VFS_OPEN_KILL_SUID), 02745);
    cr_assert_eq(mode_after_open(06755, VFS_WRITE | VFS_TRUNC), 06755);
    cr_assert_eq(mode_after_open(06755, VFS_WRITE | VFS_OPEN_KILL_SUID), 06755);
}

static void count_rights(void *ctx, uint64_t nodeid)
{
    cr_assert_eq(nodeid, node_of(&x, "main/f"));
    ++*(unsigned *)ctx;
}

Test(files, that_set_id_bits_are_gone_is_told_once)
{
    unsigned told = 0;
    const struct state_events events = {.rights = count_rights, .ctx = &told};
    struct vfs_attr a = {.mode = 06755};

    put_file(&x, "main/f", "some bytes");
    state_set_events(x.p, &events);
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_MODE, &a, &a), 0);
    cr_assert_eq(told, 0); /* the answer shows it */
    vfs_release(open_file("main/f", VFS_WRITE | VFS_TRUNC | VFS_OPEN_KILL_SUID));
    cr_assert_eq(told, 1);
    vfs_release(open_file("main/f", VFS_WRITE | VFS_TRUNC | VFS_OPEN_KILL_SUID));
    cr_assert_eq(told, 1); /* there were none */
    state_set_events(x.p, NULL);
}

/* ---- full ---- */

/* So much is unsealed that a change starts a flush, and the disk is full for its first write. */
static void fill_memory(void)
{
    static char bytes[128 * 1024];
    char path[32];

    agreed(&x, "set buffers 1M", "");
    memset(bytes, 'x', sizeof bytes - 1);
    for (int i = 0; atomic_load(&x.p->contents.buffered) <= 512 * 1024; i++) {
        snprintf(path, sizeof path, "main/%d", i);
        put_file(&x, path, bytes);
    }
    fault_reset(&x.fault);
    x.fault.error = ENOSPC;
    x.fault.fail_at = 1;
}

Test(files, a_full_disk_is_freed_by_cutting_and_punching_what_could_not_be_written)
{
    struct vfs_file *f;

    fill_memory();
    set_size("main/0", 0);
    cr_assert_geq(x.fault.writes, 1, "it was tried");
    fill_memory();
    f = open_file("main/1", VFS_WRITE);
    cr_assert_eq(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, UINT64_C(1) << 30),
                 0);
    cr_assert_geq(x.fault.writes, 1, "it was tried");
    vfs_release(f);
    fault_reset(&x.fault);
}

Test(files, who_reads_waits_for_no_flush_to_move_an_access_time)
{
    struct vfs_file *f;
    char buf[8];

    put_file(&x, "main/f", "text");
    x.clock.now += NSEC_PER_SEC;
    fill_memory();
    f = open_file("main/f", 0);
    cr_assert(vfs_atime_due(f));
    cr_assert_eq(vfs_read(f, buf, sizeof buf, 0), 4);
    cr_assert_leq(x.fault.writes, 1, "one frame");
    vfs_release(f);
    fault_reset(&x.fault);
}

/* Does it leave something stale? */
static bool leaves_stale(struct vfs_file *f, const char *byte)
{
    struct vfs_stale *stale;

    cr_assert_eq(vfs_write_uncached(f, byte, 1, 0, &stale), 1);
    if (stale)
        vfs_stale_gone(stale);
    return stale;
}

Test(files, a_write_past_a_cache_tells_of_who_read_meanwhile_until_all_have_closed)
{
    struct vfs_file *w, *again, *r;
    char c;

    put_file(&x, "main/f", "text");
    r = open_file("main/f", 0);
    cr_assert_eq(vfs_read(r, &c, 1, 0), 1);
    w = open_file("main/f", VFS_WRITE);
    vfs_set_uncached(w);
    cr_assert_not(leaves_stale(w, "U"), "what was read before the cache forgets itself");
    cr_assert_eq(vfs_read_uncached(r, &c, 1, 2), 1);
    cr_assert_not(leaves_stale(w, "U"), "no cache has that");
    cr_assert_eq(vfs_read(r, &c, 1, 2), 1);
    cr_assert(leaves_stale(w, "V"));
    vfs_release(w);
    again = open_file("main/f", VFS_WRITE);
    vfs_set_uncached(again);
    cr_assert(leaves_stale(again, "W"));
    vfs_release(again);
    vfs_release(r);
    w = open_file("main/f", VFS_WRITE);
    vfs_set_uncached(w);
    cr_assert_not(leaves_stale(w, "X"));
    vfs_release(w);
}

Test(files, a_file_of_which_it_was_not_said_may_have_been_read_by_anybody)
{
    struct vfs_file *w;

    put_file(&x, "main/f", "text");
    w = open_file("main/f", VFS_WRITE);
    cr_assert(leaves_stale(w, "U"));
    cr_assert(leaves_stale(w, "V"));
    vfs_release(w);
}

Test(files, a_page_that_comes_back_from_a_cache_takes_nothing_of_what_was_written_past_it)
{
    struct vfs_file *w, *m;
    struct vfs_stale *one, *two;
    char page[12] = {0};

    put_file(&x, "main/f", "old-old-old");
    w = open_file("main/f", VFS_WRITE);
    vfs_set_uncached(w);
    m = open_file("main/f", VFS_WRITE);
    cr_assert_eq(vfs_read(m, page, 11, 0), 11);
    cr_assert_eq(vfs_write_uncached(w, "NEW", 3, 4, &one), 3);
    cr_assert_eq(vfs_write_uncached(w, "!", 1, 9, &two), 1);
    cr_assert(one && two);
    memcpy(page, "map", 3);
    cr_assert_eq(vfs_write_back(m, page, 11, 0), 11);
    cr_assert_eq(vfs_read(m, page, 11, 0), 11);
    cr_assert_str_eq(page, "map-NEW-o!d");
    vfs_stale_gone(one);
    cr_assert_eq(vfs_write_back(m, "map-map-map", 11, 0), 11);
    cr_assert_eq(vfs_read(m, page, 11, 0), 11);
    cr_assert_str_eq(page, "map-map-m!p");
    vfs_release(m);
    vfs_release(w);
    vfs_stale_gone(two);
}

Test(files, a_symlink_that_was_removed_is_looked_for_again)
{
    struct vfs_attr a;
    char to[PATH_MAX];
    uint64_t top = node_of(&x, "main");

    cr_assert_eq(vfs_symlink(x.p, top, "link", "to", &fixture_cred, &a), 0);
    cr_assert_eq(vfs_readlink(x.p, a.nodeid, to, sizeof to), 0);
    cr_assert_str_eq(to, "to");
    cr_assert_eq(vfs_readlink(x.p, top, to, sizeof to), -EINVAL);
    cr_assert_eq(vfs_unlink(x.p, top, "link"), 0);
    cr_assert_eq(vfs_readlink(x.p, a.nodeid, to, sizeof to), -ESTALE);
    vfs_forget(x.p, a.nodeid, 1);
}
