// SPDX-License-Identifier: Apache-2.0
/*
 * fs: one mount from its beginning to its end.
 *
 *     store_open -> mount -> notify, defer -> loop … -> interrupt waiters -> unmount
 *                  -> release what clients still hold -> drain -> store_close
 *
 * ending.h has the signals, and what is reported while the mount ends.
 */
#include "fs.h"
#include "blame.h"
#include "durability.h"
#include "mount.h"

#include "below.h"
#include "defer.h"
#include "ending.h"
#include "follow.h"
#include "handle.h"
#include "init.h"
#include "latency.h"
#include "listed.h"
#include "loop.h"
#include "notify.h"
#include "ops.h"
#include "passthrough.h"
#include "remount.h"
#include "reply.h"
#include "ring.h"
#include "serve.h"
#include "session.h"
#include "shards_thread.h"
#include "statx.h"
#include "sync.h"
#include "taldir.h"
#include "view.h"
#include "waiting.h"
#include "watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Writes a sentence into `why`, and returns `r`. */
__attribute__((format(printf, 4, 5))) static int fail(int err, char *why, size_t why_len,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, why_len, fmt, ap);
    va_end(ap);
    return err;
}

/* ---- hooks: what a lower room needs of a higher one ---- */

static void stop(const struct fs *fs)
{
    ending_ask(fs->ending);
}

/* Fills what the views of core show of the mount. The counts of requests are added by taldir.c. */
static void describe(const struct fs *fs, struct view_edge *ret)
{
    ret->transport = loop_transport(fs);
    ret->passthrough = passthrough_state(fs);
    ret->mounted = remount_state(fs->remount);
    waiting_describe(fs->waiting, ret);
    watchdog_describe(fs->watchdog, ret);
}

const struct fs_hooks fs_hooks = {
    .postpone = serve_postpone,
    .statx = statx_answer,
    .stack_depth = passthrough_wanted,
    .agreed = passthrough_begin,
    .stop = stop,
    .describe = describe,
};

/* ---- the mount ---- */

/* Serves the session, which is mounted, until it ends; then takes the mount down. The order at the
 * end matters: every request that waits must be answered while the session still exists, and the
 * threads of io_uring must have ended before the unmount. handle_free_all comes last, since it
 * gives core back what clients still had open. */
static int serve(struct fs *fs)
{
    int err = init_hook(fs);
    if (err == 0)
        err = listed_start(fs, &fs->listed);
    if (err == 0)
        err = notify_start(fs, &fs->notify);
    if (err == 0)
        err = remount_start(fs, &fs->remount);
    if (err == 0)
        err = defer_serve(fs->defer);
    if (err == 0)
        err = loop_run(fs);
    ending_left_loop(fs->ending);
    shards_hurry(fs->p);
    /* From here on no thread reads requests. Those that still wait must be answered before the
     * session is destroyed. */
    loop_hold(fs);
    notify_give_up(fs->notify);
    listed_give_up(fs->listed);
    defer_stop(fs->defer);
    sync_stop(fs->sync);
    sync_stop(fs->sync_shipped);
    loop_end(fs);
    sync_free(fs->sync);
    sync_free(fs->sync_shipped);
    fs->sync = fs->sync_shipped = NULL;
    state_set_events(fs->p, NULL);
    remount_stop(fs->remount);
    fs->remount = NULL;
    session_unmount(fs);
    ending_unmounted(fs->ending);
    if (fs->o->unmounted)
        fs->o->unmounted(fs->o->ctx);
    notify_stop(fs->notify);
    listed_stop(fs->listed);
    handle_free_all(fs);
    return err;
}

/* Makes everything durable after the unmount, so that umount(8) is followed by a store at rest.
 * `why` names the part of the store that failed. */
static int drain(struct fs *fs, char *why, size_t why_len)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int err = flush_drain(fs->p, false, -1, NULL);
    if (err < 0) {
        blame_describe(fs->p, err, &text);
        return fail(err, why, why_len, "not all could be made durable: %s",
                    strbuf_error(&text) == 0 ? text.s : strerror(fs_errno(err)));
    }
    return 0;
}

/* Closes the store. An error of this takes the place of `r`: it is about data. */
static int close_store(struct fs *fs, int err, char *why, size_t why_len)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int closed = store_close_told(fs->p, &text);
    if (closed < 0)
        err = fail(closed, why, why_len, "%s",
                   strbuf_error(&text) == 0 ? text.s : strerror(fs_errno(closed)));
    return err;
}

/* Makes the session, mounts it, starts the thread for signals, and calls serve(). Each failure
 * undoes what came before it. After the loop everything is drained, while ending.c can still report
 * progress. */
static int mount_and_serve(struct fs *fs, char *why, size_t why_len)
{
    int err = session_new(fs, &fs_ops);
    if (err < 0)
        return fail(err, why, why_len, "the mount options were refused");
    err = session_mount(fs, why, why_len);
    if (err < 0)
        goto destroy;
    err = loop_prepare(fs, why, why_len);
    if (err < 0) {
        session_unmount(fs);
        goto destroy;
    }
    err = ending_start(fs, &fs->ending);
    if (err < 0) {
        session_unmount(fs);
        err = fail(err, why, why_len, "no thread for signals: %s", strerror(-err));
        goto destroy;
    }
    err = serve(fs);
    if (err < 0)
        fail(err, why, why_len, "the connection to the kernel broke: %s", strerror(-err));
    else
        err = drain(fs, why, why_len);
    ending_let_go(fs->ending);
destroy:
    ring_free(fs->ring);
    fuse_session_destroy(fs->se);
    return err;
}

/* Makes what belongs to one mount of an open store, and runs the mount. The generation of the nodes
 * of `.tally` is random, so that no file handle of an earlier mount is valid. */
static int run_mount(struct fs *fs, char *why, size_t why_len)
{
    if (getrandom(&fs->tal_generation, sizeof(fs->tal_generation), 0) != sizeof(fs->tal_generation))
        return fail(-EIO, why, why_len, "the kernel has no random numbers");
    fs->latency = state_latency(fs->p);
    fs->profile = state_profile(fs->p);
    latency_set_names(fs->latency, requests_names());
    int err = taldir_create(fs, &fs->tal);
    if (err < 0)
        return fail(err, why, why_len, "out of memory");
    err = defer_start(&fs->defer);
    if (err == 0)
        err = passthrough_prepare(fs);
    if (err == 0)
        err = mount_and_serve(fs, why, why_len);
    else
        fail(err, why, why_len, "out of memory");
    passthrough_free(fs->passthrough);
    defer_free(fs->defer);
    taldir_destroy(fs->tal);
    return err;
}

/* With the option follow the store must be one that follows. */
static int check_follows(struct fs *fs, char *why, size_t why_len)
{
    char reason[SHARD_WHY];
    int err = fs->o->state.follow ? follow_check(fs->p, fs->o->follow_url, reason) : 0;
    return err < 0 ? fail(err, why, why_len, "%s: %s", fs->o->store, reason) : 0;
}

/* Starts to look for what hangs, before the store is opened: a disk may hang then, too. */
static int start_watchdog(struct fs *fs)
{
    int err = waiting_new(fs->o->state.clock, &fs->waiting);
    if (err == 0)
        err = watchdog_new(fs->o->state.clock, fs->waiting, &fs->watchdog);
    return err < 0 ? err : watchdog_run(fs->watchdog);
}

static void patience_set(void *ctx, int64_t ns)
{
    watchdog_set_patience(ctx, ns);
}

int fs_main(const struct fs_options *o, char *why, size_t why_len)
{
    sigset_t ours, before;
    struct fs *fs = calloc(1, sizeof(*fs));
    if (!fs)
        return fail(-ENOMEM, why, why_len, "out of memory");
    fs->o = o;
    fs->hooks = &fs_hooks;
    fs->owner = geteuid();
    atomic_store(&fs->reads_all, (o->state.atime & STATE_STRICTATIME) != 0);
    mutex_init(&fs->handles_lock, "handles");
    /* All threads, those of core too, inherit this mask. So the signals reach only the thread of
     * ending.c. */
    ending_signals(&ours);
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    signal(SIGPIPE, SIG_IGN);
    /* before below_all: these threads keep their class */
    int started = sync_start(fs, false, &fs->sync);
    if (started == 0)
        started = sync_start(fs, true, &fs->sync_shipped);
    below_all();
    if (started == 0)
        started = start_watchdog(fs);
    signal(SIGIO, SIG_IGN); /* sent when a file is opened while a lease on it is tried */

    int err = started < 0 ? started : store_open(&o->state, &fs->p);
    if (started < 0) {
        fail(err, why, why_len, "no thread for what syncs or waits: %s", strerror(-err));
    } else if (err < 0) {
        fail(err, why, why_len, "%s cannot be opened: %s", o->store, strerror(-err));
    } else {
        state_watch_patience(fs->p, patience_set, fs->watchdog);
        err = check_follows(fs, why, why_len);
        if (err == 0)
            err = run_mount(fs, why, why_len);
        err = close_store(fs, err, why, why_len);
    }
    sync_stop(fs->sync); /* still there if serve() was not reached */
    sync_stop(fs->sync_shipped);
    sync_free(fs->sync);
    sync_free(fs->sync_shipped);
    watchdog_free(fs->watchdog);
    waiting_free(fs->waiting);
    ending_stop(fs->ending);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    mutex_destroy(&fs->handles_lock);
    free(fs);
    return err;
}
