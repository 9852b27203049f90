// SPDX-License-Identifier: Apache-2.0
#include "uring.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Flags of linux/io_uring.h that older headers lack. */
#define SETUP_SUBMIT_ALL (1u << 7)
#define SETUP_SQE128 (1u << 10)
#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_DEFER_TASKRUN (1u << 13)
#define SETUP_NO_MMAP (1u << 14)
#define SETUP_NO_SQARRAY (1u << 16)

#define SQE_LEN 128u
#define RINGS_HEAD 4096u /* the kernel's struct io_rings, rounded up */

static char *page_align(char *at)
{
    return (char *)(((uintptr_t)at + 4095) & ~(uintptr_t)4095);
}

int uring_create(unsigned sq, unsigned cq, struct uring *ret)
{
    struct io_uring_params p = {
        .flags = SETUP_SQE128 | SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | SETUP_SINGLE_ISSUER |
                 SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED | SETUP_NO_MMAP | SETUP_NO_SQARRAY,
        .cq_entries = cq,
    };
    const size_t rings = RINGS_HEAD + 4096 + cq * sizeof(struct io_uring_cqe);
    struct uring u = {.fd = -1, .len = rings + 4096 + (size_t)sq * SQE_LEN};
    u.memory =
        mmap(NULL, u.len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (u.memory == MAP_FAILED)
        return -errno;
    u.sqes = page_align(u.memory + rings);
    p.cq_off.resv2 = (uintptr_t)u.memory; /* the field user_addr of newer headers */
    p.sq_off.resv2 = (uintptr_t)u.sqes;
    u.fd = (int)syscall(SYS_io_uring_setup, sq, &p);
    if (u.fd < 0) {
        int err = -errno;
        munmap(u.memory, u.len);
        return err;
    }
    u.sq_room = p.sq_entries;
    u.sq_mask = p.sq_entries - 1;
    u.cq_mask = p.cq_entries - 1;
    u.sq_head = (_Atomic uint32_t *)(void *)(u.memory + p.sq_off.head);
    u.sq_tail = (_Atomic uint32_t *)(void *)(u.memory + p.sq_off.tail);
    u.cq_head = (_Atomic uint32_t *)(void *)(u.memory + p.cq_off.head);
    u.cq_tail = (_Atomic uint32_t *)(void *)(u.memory + p.cq_off.tail);
    u.cqes = (struct io_uring_cqe *)(void *)(u.memory + p.cq_off.cqes);
    *ret = u;
    return 0;
}

int uring_enable(struct uring *u, int device)
{
    if (syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0 ||
        syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_FILES, &device, 1) < 0)
        return -errno;
    return 0;
}

struct io_uring_sqe *uring_sqe(struct uring *u)
{
    if (u->sq_next - atomic_load_explicit(u->sq_head, memory_order_acquire) >= u->sq_room)
        return NULL;
    void *sqe = u->sqes + (size_t)(u->sq_next++ & u->sq_mask) * SQE_LEN;
    memset(sqe, 0, SQE_LEN);
    return sqe;
}

int uring_wait(struct uring *u, unsigned completions)
{
    const unsigned count =
        u->sq_next - atomic_load_explicit(u->sq_head, memory_order_acquire); /* SUBMIT_ALL */
    atomic_store_explicit(u->sq_tail, u->sq_next, memory_order_release);
    long n =
        syscall(SYS_io_uring_enter, u->fd, count, completions, IORING_ENTER_GETEVENTS, NULL, 0);
    return n < 0 && errno != EINTR ? -errno : 0; /* sq_head says what was taken */
}

const struct io_uring_cqe *uring_cqe(struct uring *u)
{
    const uint32_t head = atomic_load_explicit(u->cq_head, memory_order_relaxed);
    if (head == atomic_load_explicit(u->cq_tail, memory_order_acquire))
        return NULL;
    return &u->cqes[head & u->cq_mask];
}

void uring_seen(struct uring *u)
{
    atomic_fetch_add_explicit(u->cq_head, 1, memory_order_release);
}

void uring_destroy(struct uring *u)
{
    if (u->fd < 0)
        return;
    close(u->fd);
    munmap(u->memory, u->len);
    u->fd = -1;
}
