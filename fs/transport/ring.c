// SPDX-License-Identifier: Apache-2.0
/*
 * ring: queues, their threads, and where an answer goes.
 *
 *     kernel -> CQE -> serve -> libfuse -> op -> ring_reply in that thread --------> SQE
 *                                             `-> parked -> ring_reply elsewhere --> done list,
 *                                                             eventfd -> CQE -> that thread -> SQE
 *
 * A request that would wait is parked, too: another thread serves it from its beginning (serve.h).
 *
 * The table `waiting` has every entry that is being served. An entry is found by the `unique` of
 * its request, and the thread that answers takes it out. Locks: "ring waiting" and "ring done",
 * leaves.
 *
 * A ring is created disabled, and its own thread enables it. The kernel then takes this thread for
 * the only one that submits (SINGLE_ISSUER, DEFER_TASKRUN).
 */
#include "ring.h"

#include "report.h"
#include "ring_entry.h"
#include "serve.h"
#include "thread.h"
#include "uring.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define QUEUE_ENTRIES 64 /* entries of a queue at first, and how many are added at a time */
#define QUEUE_MAX 255    /* with the read of `wake` they fill a ring of 256 submissions */
#define SHARDS 64        /* of the table `waiting` */

/* From linux/fuse.h: fuse_uring_cmd, fuse_uring_cmd_req. */
#define COMMAND_OFFSET 48 /* of a command in its submission entry */
#define CMD_REGISTER 1
#define CMD_COMMIT_AND_FETCH 2
struct ring_command {
    uint64_t flags, commit_id;
    uint16_t queue;
    uint8_t padding[6];
};

struct queue {
    struct ring *ring;
    unsigned number; /* of its CPU; the kernel numbers the queues so */
    struct uring uring;
    pthread_t thread;
    struct entry entry[QUEUE_MAX];
    /* Used by its thread only, once that runs: */
    unsigned made;      /* how many of `entry`, from the first on, are initialised */
    unsigned live;      /* entries that the kernel has, or will have once they are answered */
    unsigned parked;    /* entries that are being served, or wait for an answer, or are in `done` */
    int wake;           /* an eventfd: written when `done` is not empty any more */
    uint64_t wakes;     /* the buffer for reading it */
    struct mutex lock;  /* "ring done" */
    struct entry *done; /* guarded by: lock; answered by other threads, not sent yet */
};

struct shard {
    struct mutex lock;   /* "ring waiting" */
    struct entry *first; /* guarded by: lock */
};

struct ring {
    struct fs *fs;
    unsigned queues, threads;    /* how many are made */
    _Atomic bool held, stopping; /* by ring_hold, by ring_stop */
    struct shard waiting[SHARDS];
    struct queue queue[];
};

static _Thread_local struct entry *current; /* the entry that this thread serves; NULL: none */
static _Thread_local struct queue *own;     /* the queue of this thread; NULL: it has none */

/* ---- entries that wait for an answer ---- */

static struct shard *shard_of(struct ring *r, uint64_t unique)
{
    return &r->waiting[unique / 2 % SHARDS]; /* the kernel numbers requests in steps of two */
}

static void waiting_add(struct ring *r, struct entry *e)
{
    struct shard *s = shard_of(r, e->unique);
    MUTEX_GUARD(&s->lock);
    e->next = s->first;
    s->first = e;
}

/* Takes the entry out that has this request. NULL: the request came through the device, or has been
 * answered. */
static struct entry *waiting_take(struct ring *r, uint64_t unique)
{
    struct shard *s = shard_of(r, unique);
    MUTEX_GUARD(&s->lock);
    struct entry **at = &s->first;
    while (*at && (*at)->unique != unique)
        at = &(*at)->next;
    struct entry *e = *at;
    if (e)
        *at = e->next;
    return e;
}

/* ---- a queue's thread ---- */

/* Gives an entry to the kernel: for its first request (CMD_REGISTER), or with the answer in it and
 * for the next request (CMD_COMMIT_AND_FETCH). */
static void submit(struct queue *q, struct entry *e, unsigned op)
{
    const struct ring_command c = {.commit_id = e->commit, .queue = (uint16_t)q->number};
    struct io_uring_sqe *sqe = uring_sqe(&q->uring); /* the ring is larger than QUEUE_MAX */
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->off = op; /* cmd_op */
    sqe->addr = op == CMD_REGISTER ? (uintptr_t)e->iov : 0;
    sqe->len = op == CMD_REGISTER ? 2 : 0;
    sqe->user_data = (uintptr_t)e;
    memcpy((char *)sqe + COMMAND_OFFSET, &c, sizeof(c));
}

/* Submits a read of `wake`, which completes when another thread has answered. */
static void listen_for_done(struct queue *q)
{
    struct io_uring_sqe *sqe = uring_sqe(&q->uring);
    sqe->opcode = IORING_OP_READ;
    sqe->fd = q->wake;
    sqe->addr = (uintptr_t)&q->wakes;
    sqe->len = sizeof(q->wakes);
}

/* Sends the answers that other threads have left in `done`: only the thread of a queue may submit.
 * Of an entry beyond the usual number the memory is given back, too. */
static void send_done(struct queue *q)
{
    struct entry *e, *next;
    {
        MUTEX_GUARD(&q->lock);
        e = q->done;
        q->done = NULL;
    }
    for (; e; e = next) {
        next = e->next;
        q->parked--;
        if (e - q->entry >= QUEUE_ENTRIES)
            entry_trim(e);
        submit(q, e, CMD_COMMIT_AND_FETCH);
    }
}

/* Half of the entries are in use: adds more. Without memory the queue stays as it is. */
static void grow(struct queue *q)
{
    const unsigned want = q->made + QUEUE_ENTRIES < QUEUE_MAX ? q->made + QUEUE_ENTRIES : QUEUE_MAX;
    while (q->made < want && entry_init(&q->entry[q->made], q) == 0) {
        q->live++;
        submit(q, &q->entry[q->made++], CMD_REGISTER);
    }
}

/* Serves the request that the kernel has put into an entry. If it is not answered when the
 * operation returns, the entry stays parked until ring_reply is called for it. */
static void serve(struct queue *q, struct entry *e)
{
    struct fs *fs = q->ring->fs;
    size_t len = 0;
    char *m = entry_message(e, &len);
    if (!m) {
        const struct fuse_out_header out = {.len = sizeof(out), .error = -EIO, .unique = e->unique};
        entry_answer(e, &(struct iovec){(void *)(uintptr_t)&out, sizeof(out)}, 1);
        submit(q, e, CMD_COMMIT_AND_FETCH);
        return;
    }
    e->answered = false;
    serve_began(fs, m);
    if (++q->parked > q->made / 2)
        grow(q);
    waiting_add(q->ring, e);
    current = e;
    serve_here(fs, m, len);
    current = NULL;
    if (e->answered) {
        q->parked--;
        submit(q, e, CMD_COMMIT_AND_FETCH);
    }
}

/* The kernel has given an entry up. That is normal after the unmount (-ENOTCONN) and at the end;
 * otherwise the mount must end, since its requests would hang. */
static void ended(struct queue *q, int error)
{
    q->live--;
    if (error == -ENOTCONN || atomic_load(&q->ring->stopping))
        return;
    report(REPORT_ALARM, "requests by io_uring failed (%s): the mount ends; -o transport=threads",
           strerror(-error));
    kill(getpid(), SIGTERM);
}

/* Handles a completion. One without an entry is that of the read of `wake`. */
static void handle(struct queue *q, const struct io_uring_cqe *cqe)
{
    struct entry *e = (struct entry *)(uintptr_t)cqe->user_data;
    if (!e) {
        send_done(q);
        listen_for_done(q);
    } else if (cqe->res < 0) {
        ended(q, cqe->res);
    } else if (!atomic_load_explicit(&q->ring->held, memory_order_relaxed)) {
        serve(q, e);
    }
}

/* Pins the calling thread to the CPU of its queue. It fails for a CPU that is offline; no requests
 * come to that queue then. */
static void pin(const struct queue *q)
{
    cpu_set_t *set = CPU_ALLOC(q->number + 1);
    const size_t len = CPU_ALLOC_SIZE(q->number + 1);
    if (!set)
        return;
    CPU_ZERO_S(len, set);
    CPU_SET_S(q->number, len, set);
    (void)pthread_setaffinity_np(pthread_self(), len, set);
    CPU_FREE(set);
}

/* The thread of a queue. It enables the ring, registers the entries and serves until the kernel has
 * given all entries up. Answers that other threads have left in `done` are sent before it ends. */
static void *queue_main(void *arg)
{
    struct queue *q = arg;
    const struct io_uring_cqe *cqe;
    own = q;
    pin(q);
    int err = uring_enable(&q->uring, fuse_session_fd(q->ring->fs->se));
    q->live = q->made;
    for (unsigned i = 0; err == 0 && i < q->made; i++)
        submit(q, &q->entry[i], CMD_REGISTER);
    listen_for_done(q);
    while (err == 0 && q->live > 0 && !atomic_load(&q->ring->stopping)) {
        err = uring_wait(&q->uring, 1);
        for (; (cqe = uring_cqe(&q->uring)); uring_seen(&q->uring))
            handle(q, cqe);
    }
    if (err < 0)
        ended(q, err);
    send_done(q);
    (void)uring_wait(&q->uring, 0); /* sends the last answers */
    return NULL;
}

/* ---- answering ---- */

bool ring_reply(struct ring *r, const struct iovec *iov, int count)
{
    struct fuse_out_header out;
    memcpy(&out, iov[0].iov_base, sizeof(out));
    struct entry *e = out.unique == 0 ? NULL : waiting_take(r, out.unique);
    if (!e)
        return false;
    entry_answer(e, iov, count);
    if (e == current) {
        e->answered = true;
        return true;
    }
    struct queue *q = e->queue;
    bool first;
    {
        MUTEX_GUARD(&q->lock);
        first = !q->done;
        e->next = q->done;
        q->done = e;
    }
    /* The eventfd is always written: nothing else wakes the thread of that queue for sure. */
    if (first && eventfd_write(q->wake, 1) < 0)
        report(REPORT_ALARM, "waking a ring failed: %s", strerror(errno));
    return true;
}

char *ring_answer_room(void)
{
    return !current ? NULL : current->payload;
}

bool ring_is_full(void)
{
    return own && own->parked > own->made / 2;
}

/* ---- its life ---- */

/* Makes one queue with its ring and first entries. After an error ring_free releases what was
 * made. */
static int queue_init(struct ring *r, unsigned number)
{
    struct queue *q = &r->queue[number];
    q->ring = r;
    q->number = number;
    q->uring.fd = -1;
    mutex_init(&q->lock, "ring done");
    q->wake = eventfd(0, EFD_CLOEXEC);
    int err = q->wake < 0 ? -errno : 0;
    while (err == 0 && q->made < QUEUE_ENTRIES)
        err = entry_init(&q->entry[q->made++], q);
    if (err == 0)
        err = uring_create(QUEUE_MAX + 1, 2 * (QUEUE_MAX + 1), &q->uring);
    return err;
}

int ring_create(struct fs *fs, struct ring **ret_ring)
{
    const int cpus = get_nprocs_conf(); /* all possible CPUs: the kernel needs a queue for each */
    int err = cpus > 0 ? 0 : -ENOSYS;
    struct ring *r = err < 0 ? NULL : calloc(1, sizeof(*r) + (size_t)cpus * sizeof(struct queue));
    if (!r)
        return err < 0 ? err : -ENOMEM;
    r->fs = fs;
    for (unsigned i = 0; i < SHARDS; i++)
        mutex_init(&r->waiting[i].lock, "ring waiting");
    while (err == 0 && r->queues < (unsigned)cpus)
        err = queue_init(r, r->queues++);
    if (err < 0) {
        ring_free(r);
        return err;
    }
    *ret_ring = r;
    return 0;
}

int ring_start(struct ring *r)
{
    int err = 0;
    while (err == 0 && r->threads < r->queues) {
        struct queue *q = &r->queue[r->threads];
        err = thread_start(&q->thread, queue_main, q);
        r->threads += err == 0;
    }
    return err;
}

void ring_hold(struct ring *r)
{
    atomic_store(&r->held, true);
}

void ring_stop(struct ring *r)
{
    atomic_store(&r->stopping, true);
    for (unsigned i = 0; i < r->threads; i++)
        (void)eventfd_write(r->queue[i].wake, 1);
    for (unsigned i = 0; i < r->threads; i++)
        pthread_join(r->queue[i].thread, NULL);
    r->threads = 0;
    for (unsigned i = 0; i < r->queues; i++)
        uring_destroy(&r->queue[i].uring);
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    ring_stop(r);
    for (unsigned i = 0; i < r->queues; i++) {
        struct queue *q = &r->queue[i];
        for (unsigned j = 0; j < q->made; j++)
            entry_release(&q->entry[j]);
        if (q->wake >= 0)
            close(q->wake);
        mutex_destroy(&q->lock);
    }
    for (unsigned i = 0; i < SHARDS; i++)
        mutex_destroy(&r->waiting[i].lock);
    free(r);
}
