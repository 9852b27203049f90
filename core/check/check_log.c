// SPDX-License-Identifier: Apache-2.0
/*
 * check_log: the changes that the log has behind the last commit: how many wait for the next mount,
 * and whether all of them can be read. The rest of the check looks at the commit.
 */
#include "check_impl.h"
#include "log_promise.h"
#include "strbuf.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Note the slots that a frame names: these are no leaks, although no table names them yet. */
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

/* Does the table say that a log of epoch *ret_epoch must exist? */
static bool is_promised(struct check *c, uint64_t *ret_epoch)
{
    const void *val;
    size_t len;

    return kv_snap_get(c->snap, TABLE_META, "log", 3, &val, &len) == 0 &&
           log_promise_decode(val, len, ret_epoch);
}

/* The state record, which says where the log continues, is lost: no frame can be used. The store
 * continues in an epoch above all known ones, so that no old frame is taken for a new one. */
static int log_without_state(struct check *c)
{
    struct log_file *files;
    uint64_t epoch;
    size_t count;
    int err = log_files(c->disk, &files, &count);

    if (err < 0)
        return err;
    c->raised.epoch = is_promised(c, &epoch) ? epoch + 1 : 1;
    for (size_t i = 0; i < count; i++)
        if (files[i].error == 0 && files[i].head.epoch >= c->raised.epoch)
            c->raised.epoch = files[i].head.epoch + 1;
    if (count)
        check_found(c, false, "note", "log",
                    "what it has is lost with the record that says where the commit ends");
    free(files);
    return 0;
}

/* Report a damaged log, or a frame that is not a list of operations. */
static void found_damage(struct check *c, const struct log_report *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char where[CHECK_WHERE];

    check_where_log(r, where);
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

int check_log(struct check *c)
{
    struct log_scan scan = scan_behind(&c->state);
    struct log_report r;
    uint64_t epoch;
    int err;

    if (!c->has_state)
        return log_without_state(c);
    c->r.seq = c->state.seq;
    scan.must = is_promised(c, &epoch) && epoch == c->state.epoch;
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
