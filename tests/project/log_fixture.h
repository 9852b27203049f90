// SPDX-License-Identifier: Apache-2.0
/* log_fixture: a log on a disk in memory, with small segments, and what is read from it. */
#pragma once

#include "disk_mem.h"
#include "log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH 5
#define SIZE (64 << 10)

static struct fault fault;

__attribute__((unused)) static struct disk *make_disk(uint64_t capacity)
{
    struct disk *d;

    fault = (struct fault){0};
    cr_assert_eq(disk_mem_create(&fault, capacity, &d), 0);
    return d;
}

static struct log_config config_of(struct disk *d)
{
    return (struct log_config){
        .disk = d, .clock = clock_real(), .epoch = EPOCH, .next_segment = 1, .segment_size = SIZE};
}

static struct log *open_log(struct disk *d)
{
    struct log_config c = config_of(d);
    struct log *l;

    cr_assert_eq(log_open(&c, &l), 0);
    return l;
}

static uint64_t append(struct log *l, const void *bytes, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    uint64_t seq = 0;

    cr_assert_eq(log_room(l, len), 0);
    cr_assert_eq(log_append(l, 1, &iov, 1, &seq), 0);
    log_room_done(l, len);
    return seq;
}

__attribute__((unused)) static uint64_t append_text(struct log *l, const char *text)
{
    return append(l, text, strlen(text));
}

__attribute__((unused)) static void sync_all(struct log *l)
{
    cr_assert_eq(log_sync(l, log_seq(l), NULL, NULL), 0);
}

/* The machine loses power, or only the daemon dies. */
__attribute__((unused)) static void crash(struct disk *d, struct log *l, enum fault_loss loss)
{
    log_close(l);
    fault.loss = loss;
    disk_mem_power_cycle(d);
    fault_reset(&fault);
}

/* ---- reading ---- */

/* Frames as text: "1=one 2=two", sync frames as "[2]", what recovery would not take behind "?". */
static char seen[1 << 16];

static int note(const struct log_frame *f, void *ctx)
{
    size_t at = strlen(seen);
    const char *space = at ? " " : "", *tail = f->tail ? "?" : "";

    (void)ctx;
    if (f->sync)
        snprintf(seen + at, sizeof seen - at, "%s%s[%d]", space, tail, (int)f->seq);
    else
        snprintf(seen + at, sizeof seen - at, "%s%s%d=%.*s", space, tail, (int)f->seq, (int)f->len,
                 (const char *)f->payload);
    return 0;
}

static struct log_report report_of;

/* All there is since the beginning, as recovery would have it. */
static int read_from(struct disk *d, uint64_t seq, struct log_pos pos)
{
    struct log_scan scan = {.epoch = EPOCH, .seq = seq, .pos = pos};

    *seen = '\0';
    return log_read(d, &scan, note, NULL, &report_of);
}

__attribute__((unused)) static int read_log(struct disk *d)
{
    return read_from(d, 0, (struct log_pos){1, SEGMENT_HEAD});
}

/* ---- changing bytes behind its back ---- */

__attribute__((unused)) static void overwrite(struct disk *d, uint64_t segment, uint64_t off,
                                              const void *bytes, size_t len)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    snprintf(name, sizeof name, "log/%016llx", (unsigned long long)segment);
    cr_assert_eq(disk_open(d, name, DISK_WRITE, &f), 0);
    cr_assert_eq(disk_pwrite(f, bytes, len, off), 0);
    cr_assert_eq(disk_sync(f), 0);
    disk_file_close(f);
}

__attribute__((unused)) static void spoil(struct disk *d, struct log_pos pos)
{
    overwrite(d, pos.segment, pos.offset, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
}

__attribute__((unused)) static struct log_pos here(struct log *l)
{
    struct log_pos pos;

    log_position(l, &pos);
    return pos;
}
