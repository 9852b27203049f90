// SPDX-License-Identifier: Apache-2.0
#include "notify.h"

#include "ending.h"
#include "listed.h"
#include "loop.h"
#include "passthrough.h"
#include "remount.h"
#include "waiting.h"
#include "write_back.h"

#include <errno.h>
#include <stdlib.h>

struct notify {
    struct fs *fs;
    struct project_events events;
    struct write_back *write_back;
};

static void on_stale(void *ctx, uint64_t nodeid)
{
    const struct notify *n = ctx;
    /* A negative offset: attributes only. -ENOENT: the kernel does not know it. */
    (void)fuse_lowlevel_notify_inval_inode(n->fs->se, nodeid, -1, 0);
    if (nodeid != VFS_ROOT)
        listed_drop(n->fs, vfs_node_ns(nodeid));
}

static void on_rights(void *ctx, uint64_t nodeid)
{
    const struct notify *n = ctx;
    (void)fuse_lowlevel_notify_inval_inode(n->fs->se, nodeid, -1, 0);
}

static void on_write_back(void *ctx, uint64_t nodeid)
{
    const struct notify *n = ctx;
    write_back_file(n->write_back, nodeid);
}

static void on_describe(void *ctx, struct view_edge *ret)
{
    const struct notify *n = ctx;
    ret->transport = loop_transport(n->fs);
    ret->passthrough = passthrough_state(n->fs);
    ret->mounted = remount_state(n->fs->remount);
    waiting_describe(n->fs->waiting, ret);
}

static void on_stop(void *ctx)
{
    const struct notify *n = ctx;
    ending_ask(n->fs->ending);
}

int notify_start(struct fs *fs, struct notify **ret_n)
{
    struct notify *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->fs = fs;
    int r = write_back_start(fs, &n->write_back);
    if (r < 0) {
        free(n);
        return r;
    }
    *ret_n = n;
    n->events = (struct project_events){
        .stale = on_stale, .rights = on_rights, .write_back = on_write_back, .stop = on_stop,
        .describe = on_describe, .ctx = n};
    project_set_events(fs->p, &n->events);
    return 0;
}

bool notify_is_own(const struct fs *fs, fuse_req_t req)
{
    return fs->notify != NULL && write_back_asks(fs->notify->write_back, req);
}

void notify_give_up(struct notify *n)
{
    if (n != NULL)
        write_back_give_up(n->write_back);
}

void notify_stop(struct notify *n)
{
    if (n == NULL || !write_back_stop(n->write_back))
        return;
    free(n);
}
