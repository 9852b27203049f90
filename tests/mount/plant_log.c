// SPDX-License-Identifier: Apache-2.0
/*
 * plant_log: frames into the log of a store that nobody has mounted, as after the death of a
 * daemon.
 *
 *     plant_log STORE [spoil]     three changes, a sync behind the second; `spoil` the first
 */
#include "log_list.h"
#include "store_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "plant_log: %s\n", #claim);                                            \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct log *log_;

static uint64_t append(uint32_t ns, const struct op *op)
{
    uint8_t head[OP_HEAD_MAX];
    struct iovec iov[2] = {{head, op_encode(op, head)}, {(void *)(uintptr_t)op->data, op->len}};
    uint64_t seq;

    MUST(log_room(log_, OP_HEAD_MAX + op->len) == 0);
    MUST(log_append(log_, ns, iov, 2, &seq) == 0);
    log_room_done(log_, OP_HEAD_MAX + op->len);
    return seq;
}

int main(int argc, char **argv)
{
    struct log_config c = {
        .clock = clock_real(), .epoch = 1, .next_segment = 1, .segment_size = 1 << 20};
    struct op write = {.kind = OP_CONTENT_WRITE, .number = 77, .data = "content", .len = 7};
    char why[STORE_WHY] = "";
    struct disk_file *file;
    struct store_dir store;

    MUST(argc > 1 && store_dir_open(argv[1], 0, "test", argv[1], &store, why) == 0);
    MUST(log_committed(store.kv, &c.seq) == 0);
    c.disk = store.disk;
    MUST(log_open(&c, &log_) == 0);
    append(1, &(struct op){.kind = OP_DEL, .ns = 1, .key = key_make(12, ITEM_INODE, 0)});
    MUST(log_sync(log_, append(1, &write), NULL, NULL) == 0);
    append(0, &(struct op){.kind = OP_PIN, .number = 5});
    MUST(log_sync(log_, log_seq(log_), NULL, NULL) == 0);
    append(99, &(struct op){.kind = OP_NS_DROP, .ns = 99});
    log_close(log_);
    if (argc > 2) {
        MUST(disk_open(store.disk, "log/0000000000000001", DISK_WRITE, &file) == 0);
        MUST(disk_pwrite(file, "spoilt", 6, SEGMENT_HEAD) == 0);
        disk_file_close(file);
    }
    store_dir_close(&store);
    return 0;
}
