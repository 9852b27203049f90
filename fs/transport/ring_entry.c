// SPDX-License-Identifier: Apache-2.0
#include "ring_entry.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/mman.h>

/* A page for the head, a page of headroom, the payload. Memory is used only for pages that are
 * touched. */
#define ENTRY_BYTES (2 * (size_t)RING_HEADROOM + FS_IO_MAX)

int entry_init(struct entry *e, struct queue *q)
{
    char *m = mmap(NULL, ENTRY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        return -errno;
    e->queue = q;
    e->head = (struct ring_head *)(void *)m;
    e->payload = m + (size_t)2 * RING_HEADROOM;
    e->iov[0] = (struct iovec){.iov_base = e->head, .iov_len = sizeof(*e->head)};
    e->iov[1] = (struct iovec){.iov_base = e->payload, .iov_len = FS_IO_MAX};
    return 0;
}

void entry_release(struct entry *e)
{
    if (e->head)
        munmap(e->head, ENTRY_BYTES);
}

void entry_trim(struct entry *e)
{
    if (e->head->entry.payload_len <= 4096)
        (void)madvise(e->payload + 4096, FS_IO_MAX - 4096, MADV_DONTNEED);
}

char *entry_message(struct entry *e, size_t *ret_len)
{
    struct fuse_in_header in;
    memcpy(&in, e->head->in_out, sizeof(in));
    const size_t payload = e->head->entry.payload_len;
    if (payload > FS_IO_MAX || in.len < sizeof(in) + payload)
        return NULL;
    const size_t op = in.len - sizeof(in) - payload;
    if (op > sizeof(e->head->op_in))
        return NULL;
    const size_t front = sizeof(in) + (op + 7) / 8 * 8; /* libfuse needs the head aligned */
    char *m = e->payload - front;
    memcpy(m, &in, sizeof(in));
    memcpy(m + sizeof(in), e->head->op_in, op);
    if (op % 8 != 0)
        memmove(m + sizeof(in) + op, e->payload, payload);
    e->unique = in.unique;
    e->commit = e->head->entry.commit_id;
    *ret_len = in.len;
    return m;
}

void entry_answer(struct entry *e, const struct iovec *iov, int count)
{
    struct fuse_out_header out;
    size_t len = 0;
    memcpy(&out, iov[0].iov_base, sizeof(out));
    for (int i = 1; i < count && out.error == 0; i++) {
        if (iov[i].iov_len > FS_IO_MAX - len) {
            out.error = -EIO;
            len = 0;
            break;
        }
        if (iov[i].iov_base != e->payload + len)
            memmove(e->payload + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    out.len = (uint32_t)(sizeof(out) + len);
    memcpy(e->head->in_out, &out, sizeof(out));
    e->head->entry.payload_len = (uint32_t)len;
}
