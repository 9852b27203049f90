// SPDX-License-Identifier: Apache-2.0
/*
 * pool_marks: see the header. A node that has seen a list syncs the directory before it reports the
 * list. Without that, a loss of power could take away a list that a node has acknowledged, and
 * another list with other keys could then get the same serial.
 */
#include "pool_marks.h"

#include "pool_file.h"
#include <errno.h>
#include <stdlib.h>

#define DIR_NAME "marks"
#define FLOOR_NAME "marks/floor"

/* Read marks/floor. *ret_serial is 0 if there is no such file or the file is damaged; the next call
 * of pool_marks_prune writes it again. */
static int read_floor(struct disk *disk, uint64_t *ret_serial)
{
    char text[POOL_TEXT_MAX];
    struct pool_floor floor = {0};
    size_t len;
    int err = pool_file_get(disk, FLOOR_NAME, text, sizeof text, &len);

    if (err == 0)
        err = pool_floor_decode(text, len, &floor);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    *ret_serial = floor.serial;
    return 0;
}

int pool_marks_newest(struct disk *disk, uint64_t from, uint64_t *ret_serial)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t n;
    int err = read_floor(disk, &n);

    if (err == 0)
        err = pool_file_newest(disk, DIR_NAME, from > n ? from : n, &n);
    if (err == 0 && n > 0) {
        pool_file_numbered(DIR_NAME, n, name);
        int exists = pool_file_exists(disk, name);
        err = exists == 0 ? -EUCLEAN : exists == 1 ? 0 : exists;
    }
    if (err == 0)
        err = disk_sync_dir(disk, DIR_NAME);
    if (err == 0)
        *ret_serial = n;
    return err;
}

int pool_marks_goes_on(struct disk *disk, uint64_t serial)
{
    char name[DISK_NAME_MAX + 1];

    pool_file_numbered(DIR_NAME, serial + 1, name);
    return pool_file_exists(disk, name);
}

/* ---- reading ---- */

/* May that mark be the next one of the list? Keys ascend, and no mark is above the serial. */
static bool mark_ok(const struct pool_marks *m, uint64_t mark, const struct id *key)
{
    return mark <= m->serial && (m->count == 0 || id_compare(&m->v[m->count - 1].id, key) < 0);
}

/* Called by pool_body_each: add the records to the list, or refuse them with -EUCLEAN. */
static int add_marks(void *ctx, const uint8_t *records, size_t count, uint64_t first)
{
    struct pool_marks *m = ctx;

    (void)first;
    for (size_t i = 0; i < count; i++) {
        struct pool_mark mark;
        int err = pool_mark_decode(records + i * POOL_MARK_LEN, &mark);

        if (err < 0)
            return err;
        if (!mark_ok(m, mark.mark, &mark.key))
            return -EUCLEAN;
        m->v[m->count++] = (struct gc_saved){mark.key, mark.since, mark.mark};
    }
    return 0;
}

static int read_marks(struct disk_file *file, const struct pool_body *body, struct pool_marks *m)
{
    if (body->serial != m->serial)
        return -EUCLEAN;
    m->v = calloc(body->count ? body->count : 1, sizeof *m->v);
    return m->v ? pool_body_each(file, body, add_marks, m) : -ENOMEM;
}

int pool_marks_read(struct disk *disk, uint64_t serial, struct pool_marks *ret)
{
    struct pool_marks m = {.serial = serial};
    char name[DISK_NAME_MAX + 1];
    struct disk_file *file;
    struct pool_body body;

    pool_file_numbered(DIR_NAME, serial, name);
    int err = pool_body_open(disk, name, 0, POOL_BODY_MARKS, 0, &file, &body);

    if (err < 0)
        return err;
    err = read_marks(file, &body, &m);
    disk_file_close(file);
    if (err < 0)
        pool_marks_release(&m);
    else
        *ret = m;
    return err;
}

void pool_marks_release(struct pool_marks *m)
{
    free(m->v);
    *m = (struct pool_marks){0};
}

/* ---- publishing ---- */

/* May that list be published? See the -EINVAL of pool_marks_publish. */
static bool is_list(const struct pool_marks *list)
{
    if (list->serial == 0 || list->serial > UINT32_MAX)
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (list->v[i].mark > list->serial ||
            (i > 0 && id_compare(&list->v[i - 1].id, &list->v[i].id) >= 0))
            return false;
    return true;
}

/* Check that the list before `serial` exists, and make it durable, so that the chain has no gap. */
static int check_before(struct disk *disk, uint64_t serial)
{
    char name[DISK_NAME_MAX + 1];

    if (serial == 1)
        return 0;
    pool_file_numbered(DIR_NAME, serial - 1, name);
    int exists = pool_file_exists(disk, name);

    return exists < 0 ? exists : exists == 0 ? -ESTALE : disk_sync_dir(disk, DIR_NAME);
}

int pool_marks_publish(struct disk *disk, unsigned node, const struct pool_marks *list)
{
    struct pool_body body = {.kind = POOL_BODY_MARKS, .serial = list->serial};
    char name[DISK_NAME_MAX + 1];
    uint8_t bytes[POOL_MARK_LEN];
    struct pool_writer *w;
    int err = is_list(list) ? check_before(disk, list->serial) : -EINVAL;

    if (err == 0)
        err = pool_writer_open(disk, node, &body, &w);
    if (err < 0)
        return err;
    for (size_t i = 0; i < list->count; i++) {
        const struct gc_saved *s = &list->v[i];

        pool_mark_encode(&(struct pool_mark){s->id, s->since, s->mark}, bytes);
        pool_writer_add(w, bytes);
    }
    pool_file_numbered(DIR_NAME, list->serial, name);
    return pool_writer_end(w, name, POOL_PUT, NULL);
}

/* Write `serial` into marks/floor, unless the floor is that high already. The floor never sinks. */
static int raise_floor(struct disk *disk, unsigned node, uint64_t serial)
{
    char text[POOL_TEXT_MAX];
    uint64_t floor;
    int err = read_floor(disk, &floor);

    if (err < 0 || floor >= serial)
        return err;
    return pool_file_put(disk, node, FLOOR_NAME, text,
                         pool_floor_encode(&(struct pool_floor){serial}, text), POOL_REPLACE);
}

int pool_marks_prune(struct disk *disk, unsigned node, uint64_t below)
{
    uint64_t newest;
    int err = pool_marks_newest(disk, 0, &newest);

    if (below > newest)
        below = newest;
    if (err < 0 || below < 2)
        return err;
    err = raise_floor(disk, node, below);
    if (err == 0)
        pool_file_prune(disk, DIR_NAME, below);
    return err;
}
