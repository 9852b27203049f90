// SPDX-License-Identifier: Apache-2.0
/*
 * check_log: what the log has behind the last commit: how much waits for the next mount, and
 * whether all of it can be read. The rest of check looks at the commit.
 *
 * To repair the tables of a store whose log still waits would make the frames wrong: so the log is
 * replayed first, or, damaged, put aside.
 */
#include "check_impl.h"
#include "repair_impl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- looking ---- */

static int look_at_frame(const struct log_frame *f, void *ctx)
{
    struct check *c = ctx;
    struct op op;
    size_t at = 0;
    int err;

    while ((err = op_next(f->payload, f->len, &at, &op)) == 0)
        if (op.kind == OP_CONTENT_SLOT) {
            err = map64_put(&c->logged, op.number, 1);
            if (err < 0)
                return err;
        }
    return err == -ENOENT ? 0 : err;
}

static struct log_scan scan_behind(const struct state *s)
{
    return (struct log_scan){
        .epoch = s->epoch, .seq = s->seq, .pos = {s->log_segment, s->log_offset}};
}

/* Without the record that says where the log goes on nothing of it can be used. */
static int log_without_state(struct check *c)
{
    struct log_file *files;
    size_t count;
    int err = log_files(c->disk, &files, &count);

    if (err < 0)
        return err;
    for (size_t i = 0; i < count; i++)
        if (files[i].error == 0 && files[i].head.epoch >= c->raised.epoch)
            c->raised.epoch = files[i].head.epoch + 1;
    if (count)
        check_found(c, false, "note", "log",
                    "what it has is lost with the record that says where the commit ends");
    free(files);
    return 0;
}

int check_log(struct check *c)
{
    struct log_scan scan = scan_behind(&c->state);
    struct log_report r;
    char where[CHECK_WHERE];
    int err;

    if (!c->has_state)
        return log_without_state(c);
    c->r.seq = c->state.seq;
    err = log_read(c->disk, &scan, look_at_frame, c, &r);
    (void)snprintf(where, sizeof where, "segment %" PRIu64 " offset %" PRIu64, r.end.segment,
                   r.end.offset);
    if (err == -EUCLEAN)
        check_found(c, true, "log", where,
                    "it is damaged: the changes behind the last commit, number %" PRIu64
                    ", cannot be replayed",
                    c->state.seq);
    if (err == 0)
        c->r.waiting = r.frames;
    if (err == 0 && r.frames)
        check_found(c, false, "note", "log",
                    "%" PRIu64 " changes behind the last commit wait for the next mount", r.frames);
    return err == -EUCLEAN ? 0 : err;
}

/* ---- before a repair ---- */

static int nothing(const struct log_frame *f, void *ctx)
{
    (void)f;
    (void)ctx;
    return 0;
}

/* -ENOENT: there is no state, or it is damaged. */
static int read_state(struct kv *kv, struct state *ret)
{
    uint8_t buf[STATE_LEN];
    size_t len;
    int err = kv_get(kv, TABLE_META, "state", 5, buf, sizeof buf, &len);

    if (err == 0)
        err = state_decode(buf, len, ret);
    return err == -ERANGE || err == -EUCLEAN ? -ENOENT : err;
}

static int put_aside(struct disk *d)
{
    struct log_file *files;
    size_t count;
    int err = log_files(d, &files, &count);

    if (err < 0)
        return err;
    for (size_t i = 0; i < count && err == 0; i++) {
        char from[DISK_NAME_MAX + 1], to[DISK_NAME_MAX + 1];
        (void)snprintf(from, sizeof from, "log/%016" PRIx64, files[i].serial);
        (void)snprintf(to, sizeof to, "log/damaged.%016" PRIx64, files[i].serial);
        err = disk_rename(d, from, to);
    }
    free(files);
    return err < 0 ? err : disk_sync_dir(d, "log");
}

static int replay(struct disk *disk, struct kv *kv, const struct repair_options *o)
{
    struct project_config config = {
        .disk = disk, .kv = kv, .clock = o->clock, .threads = 1, .pool = o->check.pool};
    struct project *p;
    int err = project_open(&config, &p);

    return err < 0 ? err : project_close(p);
}

/* Put aside, or replayed. */
static int settle_log(struct disk *disk, struct kv *kv, const struct repair_options *o,
                      bool damaged)
{
    if (o->flags & REPAIR_DRY_RUN)
        return 0;
    return damaged ? put_aside(disk) : replay(disk, kv, o);
}

int repair_log(struct disk *disk, struct kv *kv, const struct repair_options *o, uint64_t *ret_done)
{
    char where[CHECK_WHERE], sentence[CHECK_TEXT];
    struct log_report r = {0};
    struct log_scan scan;
    struct state s;
    int err = read_state(kv, &s);

    if (err < 0)
        return err == -ENOENT ? 0 : err;
    scan = scan_behind(&s);
    err = log_read(disk, &scan, nothing, NULL, &r);
    if ((err < 0 && err != -EUCLEAN) || (err == 0 && r.frames == 0))
        return err;
    bool damaged = err == -EUCLEAN;
    err = settle_log(disk, kv, o, damaged);
    if (damaged) {
        (void)snprintf(where, sizeof where, "segment %" PRIu64 " offset %" PRIu64, r.end.segment,
                       r.end.offset);
        (void)snprintf(sentence, sizeof sentence,
                       "all of it is put aside as log/damaged.*: the changes behind number %" PRIu64
                       " are lost",
                       s.seq);
    } else {
        (void)snprintf(where, sizeof where, "behind number %" PRIu64, s.seq);
        (void)snprintf(sentence, sizeof sentence, "%" PRIu64 " changes are replayed", r.frames);
    }
    if (err < 0)
        return err;
    o->repaired("log", where, sentence, o->check.ctx);
    ++*ret_done;
    return 0;
}
