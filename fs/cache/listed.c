// SPDX-License-Identifier: Apache-2.0
/*
 * listed: a table of sets of LISTED_WAYS places. A place has a nodeid; 0: it is free. A message
 * that must be sent is a mark at its place, so no message needs memory and none is lost. A place
 * that is `leaving` becomes free once its message is sent.
 */
#include "listed.h"

#include "clock.h"
#include "thread.h"
#include "vfs.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define NO_PLACE SIZE_MAX
#define DUE_WORDS (LISTED_MAX / 64)
#define DROP_PATIENCE NSEC_PER_SEC /* how long listed_drop waits at most for all messages */

struct listed {
    int fd; /* the session's; not owned */
    pthread_t thread;
    struct mutex lock;
    struct cond work, sent;
    /* These two are read without the lock, and written with it held: */
    _Atomic uint64_t node[LISTED_MAX]; /* the places, by sets */
    _Atomic bool leaving[LISTED_MAX];
    /* The rest is guarded by: lock */
    uint64_t due[DUE_WORDS]; /* a bit for each place: its message must be sent */
    size_t due_count, leaving_count;
    size_t word;       /* the word of `due` in which the thread found its last message */
    unsigned turn;     /* the place of a full set that leaves next, modulo LISTED_WAYS */
    size_t sending;    /* the place of the message that is being sent, or NO_PLACE */
    int64_t sent_from; /* monotonic ns: when the thread began to send it */
    bool stopping;
};

/* The first place of the set of a nodeid. Inode numbers are given in order, so their low bits
 * spread the directories of one tree. */
static size_t set_of(uint64_t nodeid)
{
    return (size_t)(vfs_node_ino(nodeid) + vfs_node_ns(nodeid) * UINT64_C(0x9e3779b1)) %
           LISTED_SETS * LISTED_WAYS;
}

/* The place of `nodeid` in that set, or NO_PLACE. For nodeid 0: a free place. */
static size_t place_of(const struct listed *l, size_t set, uint64_t nodeid)
{
    for (size_t at = set; at < set + LISTED_WAYS; at++)
        if (atomic_load(&l->node[at]) == nodeid)
            return at;
    return NO_PLACE;
}

static bool is_due(const struct listed *l, size_t at)
{
    return (l->due[at / 64] >> at % 64 & 1) != 0;
}

/* ---- the thread ---- */

/* Has the kernel drop what it keeps of the directory. It fails if the kernel does not know the
 * inode; then there is no listing, either. */
static void send_message(const struct listed *l, uint64_t nodeid)
{
    const struct {
        struct fuse_out_header head;
        struct fuse_notify_inval_inode_out of;
    } message = {.head = {.len = sizeof(message), .error = FUSE_NOTIFY_INVAL_INODE},
                 .of = {.ino = nodeid}};
    ssize_t n = write(l->fd, &message, sizeof(message));
    (void)n;
}

/* The next place with a mark, after those that had their turn. There is one. */
static size_t next_due(struct listed *l)
{
    mutex_held(&l->lock);
    do
        l->word = (l->word + 1) % DUE_WORDS;
    while (l->due[l->word] == 0);
    return l->word * 64 + (size_t)__builtin_ctzll(l->due[l->word]);
}

/* Waits for a mark and takes it. False: the thread must end. */
static bool take_mark(struct listed *l, uint64_t *ret_nodeid)
{
    MUTEX_GUARD(&l->lock);
    while (l->due_count == 0 && !l->stopping)
        cond_wait(&l->work, &l->lock);
    if (l->stopping)
        return false;
    l->sending = next_due(l);
    l->sent_from = clock_ticks(clock_real());
    l->due[l->sending / 64] &= ~(UINT64_C(1) << l->sending % 64);
    l->due_count--;
    *ret_nodeid = atomic_load(&l->node[l->sending]);
    return true;
}

/* The message is sent: frees its place if it leaves. If it was marked again meanwhile, the next
 * message frees it. */
static void finish(struct listed *l)
{
    MUTEX_GUARD(&l->lock);
    const size_t at = l->sending;
    l->sending = NO_PLACE;
    if (atomic_load(&l->leaving[at]) && !is_due(l, at)) {
        atomic_store(&l->node[at], 0);
        atomic_store(&l->leaving[at], false);
        l->leaving_count--;
    }
    cond_broadcast(&l->sent);
}

/* The thread keeps only the connection open: if the daemon is killed while this thread hangs in the
 * kernel, it must not keep the store's lock file open. */
static void *listed_main(void *arg)
{
    struct listed *l = arg;
    uint64_t nodeid;
    if (unshare(CLONE_FILES) == 0) {
        if (l->fd > 0)
            (void)close_range(0, (unsigned)l->fd - 1, 0);
        (void)close_range((unsigned)l->fd + 1, ~0U, 0);
    }
    while (take_mark(l, &nodeid)) {
        send_message(l, nodeid);
        finish(l);
    }
    return NULL;
}

/* ---- its users ---- */

int listed_start(struct fs *fs, struct listed **ret_l)
{
    struct listed *l = calloc(1, sizeof(*l)); /* pages that are never touched take no memory */
    if (!l)
        return -ENOMEM;
    l->fd = fuse_session_fd(fs->se);
    l->sending = NO_PLACE;
    mutex_init(&l->lock, "listed");
    cond_init(&l->work);
    cond_init(&l->sent);
    int err = thread_start(&l->thread, listed_main, l);
    if (err < 0) {
        free(l);
        return err;
    }
    *ret_l = l;
    return 0;
}

/* Marks a place, so that its message is sent. `leaves`: the place becomes free afterwards. */
static void mark(struct listed *l, size_t at, bool leaves)
{
    mutex_held(&l->lock);
    if (!is_due(l, at)) {
        l->due[at / 64] |= UINT64_C(1) << at % 64;
        l->due_count++;
        cond_signal(&l->work);
    }
    if (leaves && !atomic_exchange(&l->leaving[at], true))
        l->leaving_count++;
}

/* Waits until a message was sent. False: the time `end` has come, or the message that is being sent
 * takes too long, or the mount is ending. */
static bool await(struct listed *l, int64_t end)
{
    mutex_held(&l->lock);
    if (l->sending != NO_PLACE && l->sent_from + LISTED_PATIENCE < end)
        end = l->sent_from + LISTED_PATIENCE;
    const int64_t left = end - clock_ticks(clock_real());
    if (left <= 0 || l->stopping)
        return false;
    (void)cond_wait_for(&l->sent, &l->lock, left);
    return true;
}

void listed_again(struct fs *fs, uint64_t nodeid)
{
    struct listed *l = fs->listed;
    const size_t set = set_of(nodeid);
    if (place_of(l, set, nodeid) == NO_PLACE)
        return;
    const int64_t end = clock_ticks(clock_real()) + LISTED_PATIENCE;
    MUTEX_GUARD(&l->lock);
    const size_t at = place_of(l, set, nodeid);
    if (at == NO_PLACE)
        return;
    mark(l, at, false);
    while ((is_due(l, at) || l->sending == at) && await(l, end)) {
    }
}

bool listed_add(struct fs *fs, uint64_t nodeid)
{
    struct listed *l = fs->listed;
    const size_t set = set_of(nodeid);
    size_t at = place_of(l, set, nodeid);
    if (at != NO_PLACE && !atomic_load(&l->leaving[at]))
        return true;
    MUTEX_GUARD(&l->lock);
    at = place_of(l, set, nodeid);
    if (at != NO_PLACE)
        return !atomic_load(&l->leaving[at]);
    at = place_of(l, set, 0);
    if (at != NO_PLACE) {
        atomic_store(&l->node[at], nodeid);
        return true;
    }
    at = set + l->turn++ % LISTED_WAYS;
    if (!atomic_load(&l->leaving[at]))
        mark(l, at, true);
    return false;
}

void listed_drop(struct fs *fs, uint32_t ns)
{
    struct listed *l = fs->listed;
    bool any = false;
    for (size_t at = 0; at < LISTED_MAX; at++) {
        uint64_t nodeid = atomic_load(&l->node[at]);
        if (nodeid == 0 || vfs_node_ns(nodeid) != ns)
            continue;
        MUTEX_GUARD(&l->lock);
        if (atomic_load(&l->node[at]) == nodeid)
            mark(l, at, true);
        any = true;
    }
    if (!any)
        return;
    const int64_t end = clock_ticks(clock_real()) + DROP_PATIENCE;
    MUTEX_GUARD(&l->lock);
    while (l->leaving_count > 0 && await(l, end)) {
    }
}

void listed_give_up(struct listed *l)
{
    if (!l)
        return;
    MUTEX_GUARD(&l->lock);
    l->stopping = true;
    cond_signal(&l->work);
    cond_broadcast(&l->sent);
}

void listed_stop(struct listed *l)
{
    if (!l)
        return;
    listed_give_up(l);
    if (!thread_join_soon(l->thread))
        return;
    cond_destroy(&l->work);
    cond_destroy(&l->sent);
    mutex_destroy(&l->lock);
    free(l);
}
