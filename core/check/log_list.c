// SPDX-License-Identifier: Apache-2.0
/*
 * log_list: see the header. Consecutive segments of one epoch form a run and are read together.
 * Recovery reads only the last run. The segments of older runs wait to be deleted or used again.
 */
#include "log_list.h"

#include "state.h"
#include <errno.h>
#include <stdlib.h>

/* The listing of one run. */
struct log_listing {
    const struct log_list_options *o;
    const struct log_file *files; /* the segments of the run */
    size_t count, told;           /* segments; those that were given to `o` already */
};

/* Can the segment's head be read, and does it have the serial of its name? */
static bool is_sound(const struct log_file *f)
{
    return f->error == 0 && f->head.serial == f->serial;
}

/* Does segment `b` continue segment `a`? */
static bool goes_on(const struct log_file *a, const struct log_file *b)
{
    return is_sound(a) && is_sound(b) && a->serial + 1 == b->serial &&
           a->head.epoch == b->head.epoch;
}

/* Give the segments up to that serial to the caller, each before its first frame. */
static void tell_segments(struct log_listing *l, uint64_t serial)
{
    while (l->told < l->count && l->files[l->told].serial <= serial)
        l->o->segment(&l->files[l->told++], l->o->ctx);
}

static int on_frame(const struct log_frame *f, void *ctx)
{
    struct log_listing *l = ctx;

    tell_segments(l, f->pos.segment);
    return l->o->frame(f, l->o->ctx);
}

/* List one run. Damage in a run that is not the last one is not reported, since recovery does not
 * read it. */
static int list_run(struct disk *d, struct log_listing *l, bool last, struct log_report *ret)
{
    const struct log_file *first = l->files, *end = &l->files[l->count - 1];
    struct log_scan scan = {
        .epoch = first->head.epoch, .pos = {first->serial, SEGMENT_HEAD}, .all = true};
    struct log_report report = {0};

    if (!last)
        scan.end = (struct log_pos){end->serial, UINT64_MAX};
    int err = is_sound(first) ? log_read(d, &scan, on_frame, l, &report) : 0;

    tell_segments(l, UINT64_MAX);
    if (!last)
        return err == -EUCLEAN ? 0 : err;
    *ret = report;
    return err;
}

int log_list(struct disk *d, const struct log_list_options *o, struct log_report *ret)
{
    struct log_file *files = NULL;
    size_t count = 0, n;
    int err = log_files(d, &files, &count);

    *ret = (struct log_report){0};
    for (size_t i = 0; err == 0 && i < count; i += n) {
        for (n = 1; i + n < count && goes_on(&files[i + n - 1], &files[i + n]);)
            n++;
        struct log_listing l = {.o = o, .files = files + i, .count = n};

        err = list_run(d, &l, i + n == count, ret);
    }
    free(files);
    return err;
}

int log_committed(struct kv *kv, uint64_t *ret_seq)
{
    uint8_t buf[STORE_RECORD_LEN];
    struct store_record s;
    size_t len;
    int err = kv_get(kv, TABLE_META, "state", 5, buf, sizeof buf, &len);

    if (err == 0)
        err = store_record_decode(buf, len, &s);
    if (err == 0)
        *ret_seq = s.seq;
    return err;
}

int log_namespace_name(struct kv *kv, uint32_t number, char ret[VFS_NAME_MAX + 1])
{
    uint8_t buf[NS_RECORD_MAX], key[8];
    struct ns_fields f;
    size_t len;

    put_be64(key, number);
    int err = kv_get(kv, TABLE_NAMESPACES, key, sizeof key, buf, sizeof buf, &len);

    if (err == 0)
        err = ns_read(number, buf, len, &f);
    if (err)
        return err;
    ns_fields_release(&f);
    memcpy(ret, f.name, sizeof f.name);
    return 0;
}
