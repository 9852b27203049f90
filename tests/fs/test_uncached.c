// SPDX-License-Identifier: Apache-2.0
/* test_uncached: writes past the kernel's cache, where places or memory for the messages that must
 * follow them run out. The kernel, core and the threads of defer.h are played by the test. */
#include "defer.h"
#include "durability.h"
#include "handle.h"
#include "reply.h"
#include "ship.h"
#include "uncached.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static struct fs fs;
static struct handle handle = {.kind = HANDLE_FILE};
static struct fuse_file_info fi;
static struct call *queue[8192]; /* calls that no thread has taken yet */
static unsigned queued, writes, written, failed, dropped, gone, calls;
static int last_error, memory = -1; /* calls that there is memory for; -1: any number */

void *fuse_req_userdata(fuse_req_t req)
{
    (void)req;
    return &fs;
}
int fuse_reply_write(fuse_req_t req, size_t count)
{
    (void)req, (void)count;
    written++;
    return 0;
}
int fuse_reply_err(fuse_req_t req, int err)
{
    (void)req;
    failed++;
    last_error = err;
    return 0;
}
void fs_reply_err(fuse_req_t req, int64_t r)
{
    fuse_reply_err(req, (int)-r);
}
int fuse_lowlevel_notify_inval_inode(struct fuse_session *se, fuse_ino_t ino, off_t off, off_t len)
{
    (void)se, (void)ino, (void)off, (void)len;
    dropped++;
    return 0;
}
ssize_t vfs_getxattr(struct state *p, uint64_t node, const char *name, void *buf, size_t len)
{
    (void)p, (void)node, (void)name, (void)buf, (void)len;
    return -ENODATA;
}
int vfs_removexattr(struct state *p, uint64_t node, const char *name)
{
    (void)p, (void)node, (void)name;
    return 0;
}
void vfs_set_uncached(struct vfs_file *f)
{
    (void)f;
}
/* Each write leaves a stale range: somebody reads at the same time. */
ssize_t vfs_write_uncached(struct vfs_file *f, const void *buf, size_t len, uint64_t off,
                           struct vfs_stale **ret_stale)
{
    (void)f, (void)buf, (void)off;
    writes++;
    *ret_stale = malloc(1);
    return (ssize_t)len;
}
void vfs_stale_gone(struct vfs_stale *stale)
{
    gone++;
    free(stale);
}
bool ship_is_sync(struct state *p, uint64_t nodeid)
{
    (void)p, (void)nodeid;
    return false;
}
uint64_t state_seq(struct state *p)
{
    (void)p;
    return 1;
}

void ship_kick(struct state *p)
{
    (void)p;
}

int ship_wait_all(struct state *p, uint64_t seq, int64_t timeout, const _Atomic bool *interrupted)
{
    (void)p, (void)seq, (void)timeout, (void)interrupted;
    return 0;
}
int flush_sync(struct state *p)
{
    (void)p;
    return 0;
}
bool defer_is_ending(struct defer *d)
{
    (void)d;
    return false;
}
struct call *call_new(struct fs *of, call_fn *fn, size_t room)
{
    struct call *c = memory == 0 ? NULL : calloc(1, sizeof(*c) + room);
    memory -= memory > 0;
    if (c == NULL)
        return NULL;
    c->fs = of;
    c->fn = fn;
    return c;
}
void call_run_in(struct call *c)
{
    calls++;
    cr_assert_lt(queued, 8192);
    queue[queued++] = c;
}
void call_run(struct call *c)
{
    call_run_in(c);
}
void call_settle(struct call *c)
{
    (void)c;
}

static void one_write(int flags)
{
    static int request;
    fi = (struct fuse_file_info){.fh = (uint64_t)(uintptr_t)&handle, .flags = O_WRONLY | flags};
    uncached_write((fuse_req_t)&request, 7, "bytes", 5, 0, &fi);
}

/* The threads take what is queued, and what that queues. */
static void run_all(void)
{
    for (unsigned i = 0; i < queued; i++) {
        queue[i]->fn(queue[i]);
        free(queue[i]);
    }
    queued = 0;
}

static void all_is_well(void)
{
    run_all();
    cr_assert_eq(written, writes, "a write whose bytes changed is answered with success");
    cr_assert_eq(dropped, writes, "and the kernel drops the range");
    cr_assert_eq(gone, writes);
}

Test(uncached, a_write_that_many_messages_are_due_for_fails_before_it_changes_a_byte)
{
    for (unsigned i = 0; i < 5000; i++)
        one_write(0);
    cr_assert_eq(writes, 4096);
    cr_assert_eq(last_error, ENOMEM);
    cr_assert_eq(writes + failed, 5000);
    all_is_well();
    failed = 0;
    for (unsigned i = 0; i < 100; i++)
        one_write(0);
    cr_assert_eq(failed, 0, "their places are free again");
    all_is_well();
}

static void without_memory(int flags)
{
    for (int i = 0; i < 40; i++)
        one_write(flags); /* some wait for their pages, others are answered before */
    for (int room = 0; room < 4; room++) {
        memory = room;
        one_write(flags);
        memory = 0;
        run_all();
        memory = -1;
    }
    cr_assert_gt(failed, 0);
    cr_assert_eq(writes + failed, 44);
    all_is_well();
}

Test(uncached, one_that_there_is_no_memory_for_likewise)
{
    without_memory(0);
}

Test(uncached, and_one_that_is_synced)
{
    without_memory(O_DSYNC);
}
