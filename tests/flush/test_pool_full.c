// SPDX-License-Identifier: Apache-2.0
/* Claims of a store in a pool whose disk is full, while its own disk has room: commits go on. */
#include "nodes_fixture.h"

#include "flush_impl.h"

static const struct disk_ops *roomy;
static struct disk_ops full;
static unsigned refused_opens;

static int open_no_new(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    if (flags & DISK_CREATE && ++refused_opens)
        return -ENOSPC;
    return roomy->open(d, name, flags, ret);
}

static void up(void)
{
    pool_of_nodes(1);
    roomy = shared->ops;
    full = *roomy;
    full.open = open_no_new;
}
static void gone(void)
{
    shared->ops = roomy;
    pool_is_gone();
}
TestSuite(pool_full, .init = up, .fini = gone);

static bool all_committed(void)
{
    MUTEX_GUARD(&A->p->flush->lock);
    return A->p->flush->durable_seq == atomic_load(&A->p->seq);
}

static void has(const char *path, const char *text)
{
    char buf[64] = "";
    struct vfs_file *f;

    cr_assert_eq(vfs_open(A->p, node_of(A, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, buf, sizeof buf - 1, 0), (ssize_t)strlen(text));
    cr_assert_str_eq(buf, text);
    vfs_release(f);
}

Test(pool_full, names_and_other_files_are_committed_and_the_bytes_are_kept)
{
    put_file(A, "main/empty", "");
    put_file(A, "main/poor", "some bytes");
    shared->ops = &full;
    cr_assert_eq(flush_now(A->p), 0);
    cr_assert_gt(refused_opens, 0);
    cr_assert(all_committed());
    put_file(A, "main/later", "");
    agreed(A, "drain", "seq=");
    cr_assert(all_committed());
    agreed(A, "status", "what cannot be sealed (No space left on device) is used by main/poor");
    shared->ops = roomy;
    node_die(&nodes[0]);
    node_open(&nodes[0]);
    has("main/poor", "some bytes");
    has("main/later", "");
    cr_assert_eq(flush_drain(A->p, true, -1, NULL), 0);
    cr_assert_eq(stuck_count(A->p), 0);
    has("main/poor", "some bytes");
}
