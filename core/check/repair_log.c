// SPDX-License-Identifier: Apache-2.0
/*
 * repair_log: before a repair the log is replayed, or a damaged log up to the damage. If the repair
 * changed the tables before, the frames that still wait would not fit them any more.
 */
#include "array.h"
#include "check_impl.h"
#include "log_promise.h"
#include "repair_impl.h"
#include "report.h"
#include "strbuf.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only the report of the scan is wanted. */
static int nothing(const struct log_frame *f, void *ctx)
{
    (void)f;
    (void)ctx;
    return 0;
}

/* Load the state record. -ENOENT: there is none, or it is damaged. */
static int read_state(struct kv *kv, struct store_record *ret)
{
    uint8_t buf[STORE_RECORD_LEN];
    size_t len;
    int err = kv_get(kv, TABLE_META, "state", 5, buf, sizeof buf, &len);

    if (err == 0)
        err = store_record_decode(buf, len, ret);
    return err == -ERANGE || err == -EUCLEAN ? -ENOENT : err;
}

/* Give up the log: give its segments second names (log_keep), take back the promise that there is
 * a log, and remove the segments. The promise comes first, since a start that finds no segments of
 * a promised log takes that for damage. */
static int put_aside(struct disk *d, struct kv *kv)
{
    int err = log_keep(d);

    if (err == 0)
        err = log_promise_clear(kv);
    return err < 0 ? err : log_remove(d);
}

/* Keys of rows of the table of objects. */
struct keys {
    uint8_t (*v)[8];
    size_t count, room;
};

/* Collect the rows that do not decode. */
static int find_damaged(struct kv_snap *s, struct keys *ret)
{
    struct kv_each row = {.snap = s, .table = TABLE_OBJECTS};

    while (kv_next(&row)) {
        struct entry e;
        if (row.klen != 8 || entry_decode(row.val, row.len, &e) == 0)
            continue;
        if (ARRAY_RESERVE(ret->v, ret->room, ret->count + 1) < 0)
            return -ENOMEM;
        memcpy(ret->v[ret->count++], row.key, 8);
    }
    return row.err;
}

/* Delete these rows in one transaction. */
static int delete_rows(struct kv *kv, const struct keys *l)
{
    struct kv_txn *t;
    int err = kv_txn_begin(kv, &t);

    if (err < 0)
        return err;
    for (size_t i = 0; i < l->count && err == 0; i++)
        err = kv_del(t, TABLE_OBJECTS, l->v[i], 8);
    return kv_end(t, err);
}

/* Delete damaged rows of the table of objects: a damaged row refuses each frame that names its
 * number, a missing row does not. The object's bytes are searched for in both cases. -ENOENT: there
 * is none. */
static int lose_damaged(struct kv *kv)
{
    struct keys l = {0};
    struct kv_snap *s;
    int err = kv_snap_begin(kv, &s);

    if (err < 0)
        return err;
    err = find_damaged(s, &l);
    kv_snap_end(s);
    if (err == 0)
        err = l.count ? delete_rows(kv, &l) : -ENOENT;
    if (err == 0)
        report(REPORT_NOTE,
               "the log is replayed again without %zu damaged rows of the table of objects: what "
               "they named is looked for",
               l.count);
    free(l.v);
    return err;
}

/* Replay up to the change `until`; 0: all of them. */
static int replay_until(struct disk *disk, struct kv *kv, const struct repair_options *o,
                        repair_replay_fn *replay, uint64_t until, struct replay_limit *ret)
{
    *ret = (struct replay_limit){.until = until};
    return replay(disk, kv, o, ret);
}

/* Did the replay fail because of the log itself, and not of the disk or of memory? */
static bool is_refused(int err, const struct replay_limit *limit)
{
    return err == -EUCLEAN && limit->refused;
}

/* Replay, and repair what refuses a frame: first the counts of pages, then the damaged rows of
 * objects, which are deleted. If a table cannot be read nothing can be repaired, and the log
 * stays. */
static int replay_somehow(struct disk *disk, struct kv *kv, const struct repair_options *o,
                          repair_replay_fn *replay, struct replay_limit *ret, uint64_t *ret_done)
{
    uint64_t before = *ret_done;
    int err = replay_until(disk, kv, o, replay, 0, ret);

    if (!is_refused(err, ret))
        return err;
    err = repair_page_counts(disk, kv, o, ret_done);
    if (err < 0) {
        ret->refused = false;
        return err;
    }
    if (*ret_done != before) {
        err = replay_until(disk, kv, o, replay, 0, ret);
        if (!is_refused(err, ret))
            return err;
    }
    err = lose_damaged(kv);
    if (err < 0)
        return err == -ENOENT ? -EUCLEAN : err;
    return replay_until(disk, kv, o, replay, 0, ret);
}

/* Replay the changes before the first that cannot be made, if there are any, and put the rest of
 * the log aside. *ret_until: the number of the last change that was replayed. */
static int replay_before(struct disk *disk, struct kv *kv, const struct repair_options *o,
                         repair_replay_fn *replay, uint64_t at, uint64_t *ret_until)
{
    struct replay_limit limit;
    uint64_t committed = *ret_until;
    int err = log_keep(disk);

    if (err == 0 && at > committed + 1) {
        err = replay_until(disk, kv, o, replay, at - 1, &limit);
        if (err == 0)
            *ret_until = at - 1;
        if (!is_refused(err, &limit))
            return err;
    }
    return err < 0 && err != -EUCLEAN ? err : put_aside(disk, kv);
}

/* Replay up to the damage, or up to the first change that cannot be made; then *ret_aside.
 * *ret_until is the number of the last commit; if the log is put aside, it becomes the number of
 * the last change that was replayed. */
static int settle_log(struct disk *disk, struct kv *kv, const struct repair_options *o,
                      repair_replay_fn *replay, bool damaged, bool *ret_aside, uint64_t *ret_until,
                      uint64_t *ret_done)
{
    struct replay_limit limit = {0};

    *ret_aside = false;
    if (o->flags & REPAIR_DRY_RUN)
        return 0;
    int err = damaged ? log_keep(disk) : 0;
    if (err == 0)
        err = replay_somehow(disk, kv, o, replay, &limit, ret_done);
    if (is_refused(err, &limit)) {
        *ret_aside = true;
        err = replay_before(disk, kv, o, replay, limit.at, ret_until);
    }
    return err;
}

#define KEPT "the segments are kept as log/damaged.*"

/* Say in words what was replayed and what was lost. */
static void describe_settled(const struct log_report *r, const struct store_record *s, bool aside,
                             uint64_t until, struct strbuf *out)
{
    if (aside) {
        if (until > s->seq)
            strbuf_addf(out, "%" PRIu64 " changes are replayed, ", until - s->seq);
        strbuf_addf(out,
                    "the changes behind number %" PRIu64 " are lost, they cannot be made; " KEPT,
                    until);
        return;
    }
    strbuf_addf(out, "%" PRIu64 " changes are replayed", r->whole - s->seq);
    if (r->damaged) {
        strbuf_adds(out, ", given up are ");
        log_describe_loss(r, out);
        strbuf_adds(out, r->missing ? "; no segment was there" : "; " KEPT);
    }
}

int repair_log(struct disk *disk, struct kv *kv, const struct repair_options *o,
               repair_replay_fn *replay, uint64_t *ret_done)
{
    CLEANUP_STRBUF struct strbuf sentence = STRBUF_INIT;
    char where[CHECK_WHERE];
    struct log_report r = {0};
    struct log_scan scan;
    struct store_record s;
    uint64_t until;
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
        check_where_log(&r, where);
    else
        r.whole = r.last_seq;
    until = s.seq;
    err = settle_log(disk, kv, o, replay, r.damaged, &aside, &until, ret_done);
    if (err < 0)
        return err;
    describe_settled(&r, &s, aside, until, &sentence);
    o->repaired("log", where, sentence.s, o->check.ctx);
    ++*ret_done;
    return 0;
}
