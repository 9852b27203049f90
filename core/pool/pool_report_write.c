// SPDX-License-Identifier: Apache-2.0
/*
 * pool_report_write: compares what a node names with the base on disk, and writes what differs as
 * the delta. A delta is cumulative, so a report is never more than two files. A serial consists of
 * the incarnation and a number within it, so serials rise even if the old head is lost.
 */
#include "pool_report_impl.h"

#include "array.h"
#include "pool_dir.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELTA_SHARE 4 /* a delta has fewer records than a 4th of its base */

struct writing {
    struct disk *disk;
    struct pool_head head; /* the new head */
    const struct pool_record *records;
    size_t count;
    struct pool_report *old; /* the report on disk; NULL: there is none to build on */
    size_t next;             /* index of the first record that was not compared with the base yet */
    struct pool_record *delta;
    size_t delta_count, delta_room, delta_max;
};

/* ---- what differs ---- */

/* Adds a record to the delta. 1: the delta becomes too large, so a base is to be written. */
static int differs(struct writing *w, const struct pool_record *r, uint32_t flags)
{
    if (w->delta_count == w->delta_max)
        return 1;
    int err = ARRAY_RESERVE(w->delta, w->delta_room, w->delta_count + 1);

    if (err < 0)
        return err;
    w->delta[w->delta_count] = *r;
    w->delta[w->delta_count++].flags |= flags;
    return 0;
}

/* Adds all records below `key` (NULL: all) to the delta: the base does not have them. */
static int add_below(struct writing *w, const struct id *key)
{
    int err = 0;

    while (err == 0 && w->next < w->count &&
           (!key || id_compare(&w->records[w->next].key, key) < 0))
        err = differs(w, &w->records[w->next++], 0);
    return err;
}

/* Compares records of the base with those that are named now. What only the base has is gone. */
static int compare_block(void *ctx, const uint8_t *records, size_t count, uint64_t first)
{
    struct writing *w = ctx;
    int err = 0;

    (void)first;
    for (size_t i = 0; i < count && err == 0; i++) {
        struct pool_record old;
        const struct pool_record *now;

        err = pool_record_decode(records + i * POOL_RECORD_LEN, &old);
        if (err == 0)
            err = add_below(w, &old.key);
        if (err)
            return err;
        now = w->next < w->count ? &w->records[w->next] : NULL;
        if (!now || !id_equal(&now->key, &old.key)) {
            err = differs(w, &old, POOL_GONE);
        } else {
            w->next++;
            if (now->flags != old.flags || now->size != old.size)
                err = differs(w, now, 0);
        }
    }
    return err;
}

/* Computes the delta. 0: w->delta has it; 1: a base is to be written, because there is none, it
 * cannot be read, or too much differs. */
static int find_delta(struct writing *w)
{
    const struct report_part *base = w->old ? w->old->base : NULL;

    if (!base)
        return 1;
    w->delta_max = (size_t)((base->body.count - 1) / DELTA_SHARE);
    int err = pool_body_each(base->file, &base->body, compare_block, w);

    if (err == 0)
        err = add_below(w, NULL);
    return err == -EUCLEAN || err == -EIO ? 1 : err;
}

struct compared {
    const struct pool_record *records;
};

/* 1 if a record differs from that of the old delta. */
static int compare_delta(void *ctx, const uint8_t *records, size_t count, uint64_t first)
{
    const struct pool_record *now = ((struct compared *)ctx)->records + first;
    uint8_t bytes[POOL_RECORD_LEN];

    for (size_t i = 0; i < count; i++) {
        pool_record_encode(&now[i], bytes);
        if (memcmp(bytes, records + i * POOL_RECORD_LEN, POOL_RECORD_LEN) != 0)
            return 1;
    }
    return 0;
}

/* Is the new delta the same as the one on disk? False if that cannot be read. */
static bool delta_is_old(const struct writing *w)
{
    const struct report_part *d = w->old->delta;
    struct compared c = {w->delta};

    if (!d || w->delta_count != d->body.count)
        return !d && w->delta_count == 0;
    return pool_body_each(d->file, &d->body, compare_delta, &c) == 0;
}

/* ---- writing ---- */

/* Writes a base or delta under the new serial. A part without records is not written. */
static int write_part(struct writing *w, enum pool_body_kind kind,
                      const struct pool_record *records, size_t count, struct pool_part *ret)
{
    struct pool_body body = {.kind = kind, .owner = w->head.node, .serial = w->head.serial};
    char name[DISK_NAME_MAX + 1];
    uint8_t bytes[POOL_RECORD_LEN];
    struct pool_writer *out;

    *ret = (struct pool_part){0};
    if (count == 0)
        return 0;
    if (kind == POOL_BODY_DELTA)
        body.extra = w->head.base.serial;
    int err = pool_writer_open(w->disk, w->head.node, &body, &out);

    if (err < 0)
        return err;
    for (size_t i = 0; i < count; i++) {
        pool_record_encode(&records[i], bytes);
        pool_writer_add(out, bytes);
    }
    report_part_name(w->head.node, kind, w->head.serial, name);
    err = pool_writer_end(out, name, POOL_REPLACE, &body);
    if (err == 0)
        *ret = (struct pool_part){body.serial, body.count, body.sum};
    return err;
}

/* Writes what the new head will name, or keeps what the old one names. */
static int write_parts(struct writing *w)
{
    int whole = find_delta(w);

    if (whole < 0)
        return whole;
    if (whole == 1) {
        w->head.delta = (struct pool_part){0};
        return write_part(w, POOL_BODY_BASE, w->records, w->count, &w->head.base);
    }
    w->head.base = w->old->head.base;
    w->head.delta = w->old->head.delta;
    if (delta_is_old(w))
        return 0;
    return write_part(w, POOL_BODY_DELTA, w->delta, w->delta_count, &w->head.delta);
}

/* Replaces the head, durably. From here on the new report is in force. */
static int write_head(struct writing *w)
{
    char name[DISK_NAME_MAX + 1];
    uint8_t bytes[POOL_HEAD_LEN];

    pool_head_encode(&w->head, bytes);
    pool_node_path(w->head.node, "head", name);
    return pool_file_put(w->disk, w->head.node, name, bytes, sizeof bytes, POOL_REPLACE);
}

static bool is_part(const char *name, const char *prefix, uint64_t *ret_serial)
{
    size_t n = strlen(prefix);

    return strncmp(name, prefix, n) == 0 && pool_file_number(name + n, 16, ret_serial) == 0;
}

/* Removes a part that the new head does not name. */
static int remove_old(const char *name, void *ctx)
{
    const struct writing *w = ctx;
    char path[2 * DISK_NAME_MAX], dir[DISK_NAME_MAX + 1];
    uint64_t serial;

    if (!(is_part(name, "base.", &serial) && serial != w->head.base.serial) &&
        !(is_part(name, "delta.", &serial) && serial != w->head.delta.serial))
        return 0;
    pool_node_path(w->head.node, "", dir);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)disk_unlink(w->disk, path); /* after an error another call removes it */
    return 0;
}

/* ---- the whole ---- */

/* Checks the records before anything is written, and counts them for the head. */
static int check_records(struct writing *w)
{
    uint8_t bytes[POOL_RECORD_LEN];
    struct pool_record again;

    for (size_t i = 0; i < w->count; i++) {
        const struct pool_record *r = &w->records[i];
        int order = i ? id_compare(&r[-1].key, &r->key) : -1;

        if (order == 0)
            return -EUCLEAN;
        pool_record_encode(r, bytes);
        if (order > 0 || r->flags & POOL_GONE || pool_record_decode(bytes, &again) < 0)
            return -EINVAL;
        if (r->flags & POOL_PINNED)
            w->head.pinned++;
        else
            w->head.active++;
    }
    return 0;
}

/* -ESTALE: the node is retired, or another incarnation of it has begun, so this process may not
 * report for it. */
static int check_incarnation(struct disk *disk, const struct pool_head *head)
{
    struct pool_who who;
    int retired = pool_node_is_retired(disk, head->node), err;

    if (retired < 0)
        return retired;
    if (retired == 1)
        return -ESTALE;
    err = pool_node_read(disk, head->node, &who);
    return err < 0 ? err : who.incarnation == head->incarnation ? 0 : -ESTALE;
}

/* Opens the report on disk. A report of a later incarnation than this one is not built on, and
 * neither is one that cannot be read. */
static int open_old(struct writing *w)
{
    int err = pool_report_open(w->disk, w->head.node, NULL, &w->old);

    if (err == 0 && w->old->head.incarnation > w->head.incarnation) {
        pool_report_close(w->old);
        w->old = NULL;
    }
    return err == -ENOENT || err == -EUCLEAN || err == -EIO || err == -ESTALE ? 0 : err;
}

/* The next serial. It is above the last one of this incarnation, that of the head on disk, and all
 * of earlier incarnations. A head of a later incarnation does not count. */
static uint64_t next_serial(const struct pool_head *head, const struct pool_head *old)
{
    uint64_t n = (uint64_t)head->incarnation << 32;

    if (n < head->serial)
        n = head->serial;
    if (old && old->incarnation <= head->incarnation && n < old->serial)
        n = old->serial;
    return n + 1;
}

/* Writes the parts, then checks once more that the node is still ours, and then writes the head,
 * which makes the report the one in force. */
static int write_report(struct writing *w, uint64_t *serial)
{
    struct pool_head before;
    char dir[DISK_NAME_MAX + 1];
    int err = open_old(w);

    if (err < 0)
        return err;
    err = pool_head_read(w->disk, w->head.node, &before);
    *serial = w->head.serial = next_serial(&w->head, err == 0 ? &before : NULL);
    err = write_parts(w);
    if (err == 0)
        err = check_incarnation(w->disk, &w->head);
    if (err == 0)
        err = write_head(w);
    pool_node_path(w->head.node, "", dir);
    if (err == 0)
        (void)disk_list(w->disk, dir, remove_old, w);
    return err;
}

int pool_report_write(struct disk *disk, struct pool_head *head, const struct pool_record *records,
                      size_t count)
{
    struct writing w = {.disk = disk, .head = *head, .records = records, .count = count};

    w.head.active = w.head.pinned = 0;
    int err = check_records(&w);

    if (err == 0)
        err = check_incarnation(disk, head);
    if (err == 0)
        err = write_report(&w, &head->serial);
    if (err == 0)
        *head = w.head;
    pool_report_close(w.old);
    free(w.delta);
    return err;
}

int pool_report_again(struct disk *disk, struct pool_head *head)
{
    struct writing w = {.disk = disk, .head = *head};
    struct pool_head before;
    int err = check_incarnation(disk, head);

    if (err == 0)
        err = pool_head_read(disk, head->node, &before);
    if (err == -ENOENT || err == -EUCLEAN || (err == 0 && before.serial != head->serial))
        err = -ESTALE;
    if (err < 0)
        return err;
    head->serial = w.head.serial = next_serial(head, &before);
    err = write_head(&w);
    if (err == 0)
        *head = w.head;
    return err;
}
