// SPDX-License-Identifier: Apache-2.0
/*
 * check_log: what the log has behind the last commit: how much waits for the next mount, and
 * whether all of it can be read. The rest of check looks at the commit.
 *
 * To repair the tables of a store whose log still waits would make the frames wrong: so the log is
 * replayed first, or, damaged, up to the damage.
 */
#include "check_impl.h"
#include "log_promise.h"
#include "repair_impl.h"
#include "strbuf.h"
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

static void log_place(const struct log_report *r, char where[CHECK_WHERE])
{
    (void)snprintf(where, CHECK_WHERE, "segment %" PRIu64 " offset %" PRIu64, r->end.segment,
                   r->end.offset);
}

/* Damaged, or there is a frame that is no list of operations. */
static void found_damage(struct check *c, const struct log_report *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char where[CHECK_WHERE];

    log_place(r, where);
    if (r->missing) {
        log_describe_loss(r, &text);
        check_found(c, true, "log", where,
                    "no segment is there, where the log goes on: a mount would give up %s", text.s);
    } else if (r->damaged) {
        log_describe_loss(r, &text);
        check_found(c, true, "log", where, "it is damaged: a mount would give up %s", text.s);
    } else {
        check_found(c, true, "log", where, "a change in it is no list of operations");
    }
}

static bool is_promised(struct check *c)
{
    const void *val;
    uint64_t epoch;
    size_t len;

    return kv_snap_get(c->snap, TABLE_META, "log", 3, &val, &len) == 0 &&
           log_promise_decode(val, len, &epoch) && epoch == c->state.epoch;
}

int check_log(struct check *c)
{
    struct log_scan scan = scan_behind(&c->state);
    struct log_report r;
    int err;

    if (!c->has_state)
        return log_without_state(c);
    c->r.seq = c->state.seq;
    scan.must = is_promised(c);
    err = log_read(c->disk, &scan, look_at_frame, c, &r);
    if (err == -EUCLEAN)
        found_damage(c, &r);
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

/* None of it is replayed. */
static int put_aside(struct disk *d, struct kv *kv)
{
    int err = log_keep(d);

    if (err == 0)
        err = log_promise_clear(kv);
    return err < 0 ? err : log_remove(d);
}

static int replay(struct disk *disk, struct kv *kv, const struct repair_options *o,
                  bool *ret_refused)
{
    struct project_config config = {.disk = disk,
                                    .kv = kv,
                                    .clock = o->clock,
                                    .threads = 1,
                                    .pool = o->check.pool,
                                    .accept_log_loss = true,
                                    .log_refused = ret_refused};
    struct project *p;
    int err = project_open(&config, &p);

    return err < 0 ? err : project_close(p);
}

/* Replayed up to the damage; or, where not even that can be done, put aside. */
static int settle_log(struct disk *disk, struct kv *kv, const struct repair_options *o,
                      bool damaged, bool *ret_aside)
{
    bool refused = false;

    *ret_aside = false;
    if (o->flags & REPAIR_DRY_RUN)
        return 0;
    int err = damaged ? log_keep(disk) : 0;
    if (err == 0)
        err = replay(disk, kv, o, &refused);
    if (err == -EUCLEAN && refused) {
        *ret_aside = true;
        err = put_aside(disk, kv);
    }
    return err;
}

#define KEPT "the segments are kept as log/damaged.*"

static void describe_settled(const struct log_report *r, const struct state *s, bool aside,
                             struct strbuf *out)
{
    if (aside) {
        strbuf_addf(out,
                    "the changes behind number %" PRIu64 " are lost, they cannot be made; " KEPT,
                    s->seq);
        return;
    }
    strbuf_addf(out, "%" PRIu64 " changes are replayed", r->whole - s->seq);
    if (r->damaged) {
        strbuf_adds(out, ", given up are ");
        log_describe_loss(r, out);
        strbuf_adds(out, r->missing ? "; no segment was there" : "; " KEPT);
    }
}

int repair_log(struct disk *disk, struct kv *kv, const struct repair_options *o, uint64_t *ret_done)
{
    CLEANUP_STRBUF struct strbuf sentence = STRBUF_INIT;
    char where[CHECK_WHERE];
    struct log_report r = {0};
    struct log_scan scan;
    struct state s;
    bool aside;
    int err = read_state(kv, &s);

    if (err < 0)
        return err == -ENOENT ? 0 : err;
    scan = scan_behind(&s);
    err = log_promise_load(kv, s.epoch, &scan.must);
    if (err < 0)
        return err;
    err = log_read(disk, &scan, nothing, NULL, &r);
    if ((err < 0 && err != -EUCLEAN) || (err == 0 && r.frames == 0))
        return err;
    (void)snprintf(where, sizeof where, "behind number %" PRIu64, s.seq);
    if (r.damaged)
        log_place(&r, where);
    else
        r.whole = r.last_seq;
    err = settle_log(disk, kv, o, r.damaged, &aside);
    if (err < 0)
        return err;
    describe_settled(&r, &s, aside, &sentence);
    o->repaired("log", where, sentence.s, o->check.ctx);
    ++*ret_done;
    return 0;
}
