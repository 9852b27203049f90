// SPDX-License-Identifier: Apache-2.0
/* Claims of txn.h and capture.h: what a frame has, and what comes after one that is missing. */
#include "fixture.h"
#include "log_list.h"
#include "store_impl.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void gone(void)
{
    fixture_teardown(&x);
}

TestSuite(capture, .init = up, .fini = gone);

/* ---- one frame ---- */

static void fill(struct txn *t, struct content **c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cr_assert_eq(content_new(t, 77, CONTENT_WHOLE, &c[i]), 0);
        cr_assert_eq(content_write(t, c[i], "bytes", 5, 0), 0);
    }
}

static void *seal_all(void *arg)
{

    (void)arg;
    cr_assert_eq(seal_pass(x.p, SEAL_BUFFERS, -1), 0);
    return NULL;
}

/* By another thread, while this one is in the midst of a change. */
static void let_another_seal(void)
{
    pthread_t t;

    cr_assert_eq(pthread_create(&t, NULL, seal_all, NULL), 0);
    cr_assert_eq(pthread_join(t, NULL), 0);
}

struct requests {
    uint64_t seen[8];
    size_t count;
};

static int note_request(const struct log_frame *f, void *ctx)
{
    struct requests *r = ctx;

    if (!f->sync && r->count < 8)
        r->seen[r->count++] = log_frame_request(f);
    return 0;
}

static void pass(const struct log_file *f, void *ctx)
{
    (void)f, (void)ctx;
}

Test(capture, a_frame_says_for_which_request_it_was_made)
{
    struct requests r = {.count = 0};
    const struct log_list_options o = {.segment = pass, .frame = note_request, .ctx = &r};
    struct log_report report;

    txn_set_request(UINT64_MAX - 1);
    put_file(&x, "main/f", "");
    txn_set_request(0);
    put_file(&x, "main/g", "");
    cr_assert_eq(log_list(x.disk, &o, &report), 0);
    cr_assert_geq(r.count, 2);
    cr_assert_eq(r.seen[0], UINT64_MAX - 1);
    cr_assert_eq(r.seen[r.count - 1], 0);
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x); /* and such frames are replayed */
    cr_assert(node_of(&x, "main/f") && node_of(&x, "main/g"));
}

Test(capture, a_change_of_many_contents_is_one_frame)
{
    struct content *c[100];
    uint64_t seq = log_seq(x.p->log);
    TXN(t);

    cr_assert_eq(txn_begin(x.p, 0, &t), 0);
    fill(&t, c, 100);
    for (size_t i = 0; i < 100; i++)
        content_end(&t, c[i]);
    let_another_seal();
    for (size_t i = 0; i < 100; i++)
        cr_assert(content_is_listed(c[i]), "it cannot be sealed before its frame is there");
    cr_assert_eq(log_seq(x.p->log), seq);
    cr_assert_eq(state_changed(&t, NULL), 0);
    txn_end(&t);
    cr_assert_eq(log_seq(x.p->log), seq + 1);
    for (size_t i = 0; i < 100; i++)
        cr_assert_eq(c[i]->changing, 0);
    let_another_seal();
    for (size_t i = 0; i < 100; i++) {
        cr_assert_not(content_is_listed(c[i]));
        content_unref(c[i]);
    }
}

/* ---- data that is lent ---- */

#define LEND (CAPTURE_BORROWED + 2) /* more than are lent */

struct pieces {
    uint8_t data[LEND][2000];
    unsigned found;
};

/* Each piece as it was, in the order in which they were noted, with a small one behind each. */
static int look(const struct log_frame *f, void *ctx)
{
    struct pieces *s = ctx;
    size_t at = 0;
    struct op op;

    while (op_next(f->payload, f->len, &at, &op) == 0) {
        const uint8_t *want = s->data[s->found / 2];
        cr_assert_eq(op.number, s->found + 1);
        cr_assert_eq(op.len, s->found % 2 ? 3 : sizeof s->data[0]);
        cr_assert_arr_eq(op.data, want, op.len);
        s->found++;
    }
    return 0;
}

static void note_piece(struct txn *t, uint64_t number, const void *data, size_t len)
{
    capture_op_borrowed(
        t, &(struct op){.kind = OP_CONTENT_WRITE, .number = number, .data = data, .len = len});
}

Test(capture, what_was_lent_is_in_the_frame_where_it_was_noted)
{
    static struct pieces s;
    struct log_report report;
    struct log_scan scan = {.epoch = x.p->epoch, .seq = log_seq(x.p->log)};
    TXN(t);

    log_position(x.p->log, &scan.pos);
    cr_assert_eq(txn_begin(x.p, sizeof s.data, &t), 0);
    for (unsigned i = 0; i < LEND; i++) {
        memset(s.data[i], 'a' + (int)i, sizeof s.data[i]);
        note_piece(&t, 2 * i + 1, s.data[i], sizeof s.data[i]);
        note_piece(&t, 2 * i + 2, s.data[i], 3);
    }
    cr_assert_eq(state_changed(&t, NULL), 0);
    txn_end(&t);
    cr_assert_eq(log_read(x.disk, &scan, look, &s, &report), 0);
    cr_assert_eq(s.found, 2 * LEND);
}

/* ---- a frame that is lost ---- */

/* A change whose frame cannot be made: it tells its caller `err`. */
static int lose_a_frame(int err)
{
    struct op op = {.kind = OP_PIN, .number = 5};
    TXN(t);

    cr_assert_eq(txn_begin(x.p, 0, &t), 0);
    capture_op(&t, &op);
    t.error = err;
    err = state_changed(&t, NULL);
    txn_end(&t);
    return err;
}

Test(capture, a_change_that_is_not_in_the_log_is_an_error_and_the_last)
{
    uint64_t seq = log_seq(x.p->log), dir = node_of(&x, "main");
    struct vfs_attr a;

    cr_assert_eq(lose_a_frame(-EIO), -EIO);
    cr_assert_eq(log_seq(x.p->log), seq);
    cr_assert_eq(vfs_mknod(x.p, dir, "f", S_IFREG | 0644, 0, &fixture_cred, &a), -EROFS);
    cr_assert_eq(flush_sync(x.p), -EROFS);
}

Test(capture, no_frame_follows_one_that_is_missing)
{
    uint64_t seq = log_seq(x.p->log);

    cr_assert_eq(lose_a_frame(-EIO), -EIO);
    cr_assert_eq(lose_a_frame(0), -EROFS); /* of a change that was on its way */
    cr_assert_eq(log_seq(x.p->log), seq);
}
