// SPDX-License-Identifier: Apache-2.0
/*
 * ring: queues, their threads, and where an answer goes.
 *
 *     kernel -> CQE -> serve -> libfuse -> op -> ring_reply in that thread --------> SQE
 *                                             `-> parked -> ring_reply elsewhere --> done list,
 *                                                             eventfd -> CQE -> that thread -> SQE
 *
 * Parked is also what would wait: another thread serves it once more (serve.h).
 *
 * Every entry that is being served is in the table of those that wait, found by its request's
 * unique; who answers takes it out. Locks: "ring waiting" and "ring done", leaves.
 *
 * A ring is made disabled and enabled by its thread, which the kernel then takes for its only
 * submitter (SINGLE_ISSUER, DEFER_TASKRUN).
 */
#include "ring.h"

#include "report.h"
#include "ring_entry.h"
#include "serve.h"
#include "thread.h"
#include "uring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define QUEUE_ENTRIES 64 /* requests at once, a CPU; and how many more when they are needed */
#define QUEUE_MAX 255    /* so that they and one read are submissions for a ring of 256 */
#define SHARDS 64

/* From the kernel's fuse.h: fuse_uring_cmd, fuse_uring_cmd_req. */
#define COMMAND_OFFSET 48 /* of a command in its submission */
#define CMD_REGISTER 1
#define CMD_COMMIT_AND_FETCH 2
struct ring_command {
    uint64_t flags, commit_id;
    uint16_t queue;
    uint8_t padding[6];
};

struct queue {
    struct ring *ring;
    unsigned number; /* of its CPU */
    struct uring uring;
    pthread_t thread;
    struct entry entry[QUEUE_MAX];
    unsigned made;   /* the first so many entries; its thread's */
    unsigned live;   /* entries the kernel has or will have; its thread's */
    unsigned parked; /* its thread's: entries served and not answered, those done included */
    int wake;        /* eventfd */
    uint64_t wakes;  /* what is read from it */
    struct mutex lock; /* "ring done" */
    struct entry *done; /* lock; answered by other threads, to be sent */
};

struct shard {
    struct mutex lock; /* "ring waiting" */
    struct entry *first;
};

struct ring {
    struct fs *fs;
    unsigned queues, threads;
    _Atomic bool held, stopping;
    struct shard waiting[SHARDS];
    struct queue queue[];
};

static _Thread_local struct entry *current;
static _Thread_local struct queue *own;

/* ---- who waits for an answer ---- */

static struct shard *shard_of(struct ring *r, uint64_t unique)
{
    return &r->waiting[unique / 2 % SHARDS]; /* the kernel counts in twos */
}

static void waiting_add(struct ring *r, struct entry *e)
{
    struct shard *s = shard_of(r, e->unique);
    MUTEX_GUARD(&s->lock);
    e->next = s->first;
    s->first = e;
}

static struct entry *waiting_take(struct ring *r, uint64_t unique)
{
    struct shard *s = shard_of(r, unique);
    MUTEX_GUARD(&s->lock);
    struct entry **at = &s->first;
    while (*at != NULL && (*at)->unique != unique)
        at = &(*at)->next;
    struct entry *e = *at;
    if (e != NULL)
        *at = e->next;
    return e;
}

/* ---- a queue's thread ---- */

static void submit(struct queue *q, struct entry *e, unsigned op)
{
    const struct ring_command c = {.commit_id = e->commit, .queue = (uint16_t)q->number};
    struct io_uring_sqe *sqe = uring_sqe(&q->uring); /* there are more than entries */
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->off = op; /* cmd_op */
    sqe->addr = op == CMD_REGISTER ? (uintptr_t)e->iov : 0;
    sqe->len = op == CMD_REGISTER ? 2 : 0;
    sqe->user_data = (uintptr_t)e;
    memcpy((char *)sqe + COMMAND_OFFSET, &c, sizeof(c));
}

/* Told when another thread has answered. */
static void listen_for_done(struct queue *q)
{
    struct io_uring_sqe *sqe = uring_sqe(&q->uring);
    sqe->opcode = IORING_OP_READ;
    sqe->fd = q->wake;
    sqe->addr = (uintptr_t)&q->wakes;
    sqe->len = sizeof(q->wakes);
}

static void send_done(struct queue *q)
{
    struct entry *e, *next;
    {
        MUTEX_GUARD(&q->lock);
        e = q->done;
        q->done = NULL;
    }
    for (; e != NULL; e = next) {
        next = e->next;
        q->parked--;
        if (e - q->entry >= QUEUE_ENTRIES)
            entry_trim(e);
        submit(q, e, CMD_COMMIT_AND_FETCH);
    }
}

/* Half of them wait: more. Where there is no memory it stays as it is. */
static void grow(struct queue *q)
{
    const unsigned want =
        q->made + QUEUE_ENTRIES < QUEUE_MAX ? q->made + QUEUE_ENTRIES : QUEUE_MAX;
    while (q->made < want && entry_init(&q->entry[q->made], q) == 0) {
        q->live++;
        submit(q, &q->entry[q->made++], CMD_REGISTER);
    }
}

static void serve(struct queue *q, struct entry *e)
{
    struct fs *fs = q->ring->fs;
    size_t len = 0;
    char *m = entry_message(e, &len);
    if (m == NULL) {
        const struct out_header out = {.len = sizeof(out), .error = -EIO, .unique = e->unique};
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

static void ended(struct queue *q, int error)
{
    q->live--;
    if (error == -ENOTCONN || atomic_load(&q->ring->stopping))
        return;
    report(REPORT_ALARM, "requests by io_uring failed (%s): the mount ends; -o transport=threads",
           strerror(-error));
    kill(getpid(), SIGTERM);
}

static void handle(struct queue *q, const struct io_uring_cqe *cqe)
{
    struct entry *e = (struct entry *)(uintptr_t)cqe->user_data;
    if (e == NULL) {
        send_done(q);
        listen_for_done(q);
    } else if (cqe->res < 0) {
        ended(q, cqe->res);
    } else if (!atomic_load_explicit(&q->ring->held, memory_order_relaxed)) {
        serve(q, e);
    }
}

static void pin(const struct queue *q)
{
    cpu_set_t *set = CPU_ALLOC(q->number + 1);
    const size_t len = CPU_ALLOC_SIZE(q->number + 1);
    if (set == NULL)
        return;
    CPU_ZERO_S(len, set);
    CPU_SET_S(q->number, len, set);
    (void)pthread_setaffinity_np(pthread_self(), len, set); /* a CPU that is not there now */
    CPU_FREE(set);
}

static void *queue_main(void *arg)
{
    struct queue *q = arg;
    const struct io_uring_cqe *cqe;
    own = q;
    pin(q);
    int r = uring_enable(&q->uring, fuse_session_fd(q->ring->fs->se));
    q->live = q->made;
    for (unsigned i = 0; r == 0 && i < q->made; i++)
        submit(q, &q->entry[i], CMD_REGISTER);
    listen_for_done(q);
    while (r == 0 && q->live > 0 && !atomic_load(&q->ring->stopping)) {
        r = uring_wait(&q->uring, 1);
        for (; (cqe = uring_cqe(&q->uring)) != NULL; uring_seen(&q->uring))
            handle(q, cqe);
    }
    if (r < 0)
        ended(q, r);
    send_done(q);
    (void)uring_wait(&q->uring, 0); /* the last answers */
    return NULL;
}

/* ---- answering ---- */

bool ring_reply(struct ring *r, const struct iovec *iov, int count)
{
    struct out_header out;
    memcpy(&out, iov[0].iov_base, sizeof(out));
    struct entry *e = out.unique == 0 ? NULL : waiting_take(r, out.unique);
    if (e == NULL)
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
        first = q->done == NULL;
        e->next = q->done;
        q->done = e;
    }
    /* An own thread that answers another's request comes by here soon, too, but not for sure. */
    if (first && eventfd_write(q->wake, 1) < 0)
        report(REPORT_ALARM, "waking a ring failed: %s", strerror(errno));
    return true;
}

char *ring_answer_room(void)
{
    return current == NULL ? NULL : current->payload;
}

bool ring_is_full(void)
{
    return own != NULL && own->parked > own->made / 2;
}

/* ---- its life ---- */

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
    const int cpus = get_nprocs_conf(); /* the possible ones: the kernel wants a queue for each */
    int err = cpus > 0 ? 0 : -ENOSYS;
    struct ring *r =
        err < 0 ? NULL : calloc(1, sizeof(*r) + (size_t)cpus * sizeof(struct queue));
    if (r == NULL)
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
    if (r == NULL)
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
