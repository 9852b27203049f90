// SPDX-License-Identifier: Apache-2.0
/* Claims of capture.h: what a frame has, and what comes after one that could not be appended. */
#include "fixture.h"
#include "project_impl.h"

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

static void fill(struct content **c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cr_assert_eq(content_new(x.p, 77, CONTENT_WHOLE, &c[i]), 0);
        cr_assert_eq(content_write(x.p, c[i], "bytes", 5, 0), 0);
    }
}

Test(capture, a_change_of_many_contents_is_one_frame)
{
    struct content *c[100];
    uint64_t seq = log_seq(x.p->log);
    CHANGE_ROOM(room);

    cr_assert_eq(change_room(x.p, 0, &room), 0);
    {
        CHANGE_GUARD(x.p);
        fill(c, 100);
        for (size_t i = 0; i < 100; i++) {
            content_end(x.p, c[i]);
            cr_assert_eq(c[i]->changing, 1, "it cannot be sealed before its frame is there");
        }
        cr_assert_eq(log_seq(x.p->log), seq);
        cr_assert_eq(project_changed(x.p, NULL), 0);
    }
    cr_assert_eq(log_seq(x.p->log), seq + 1);
    for (size_t i = 0; i < 100; i++) {
        cr_assert_eq(c[i]->changing, 0);
        content_unref(c[i]);
    }
}

/* ---- data that is lent ---- */

#define LEND (CAPTURE_LENT + 2) /* more than are lent */

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

static void note_piece(uint64_t number, const void *data, size_t len)
{
    capture_op_lent(x.p, &(struct op){
                             .kind = OP_CONTENT_WRITE, .number = number, .data = data, .len = len});
}

Test(capture, what_was_lent_is_in_the_frame_where_it_was_noted)
{
    static struct pieces s;
    struct log_report report;
    struct log_scan scan = {.epoch = x.p->epoch, .seq = log_seq(x.p->log)};
    CHANGE_ROOM(room);

    log_position(x.p->log, &scan.pos);
    cr_assert_eq(change_room(x.p, sizeof s.data, &room), 0);
    {
        CHANGE_GUARD(x.p);
        for (unsigned i = 0; i < LEND; i++) {
            memset(s.data[i], 'a' + (int)i, sizeof s.data[i]);
            note_piece(2 * i + 1, s.data[i], sizeof s.data[i]);
            note_piece(2 * i + 2, s.data[i], 3);
        }
        cr_assert_eq(project_changed(x.p, NULL), 0);
    }
    cr_assert_eq(log_read(x.disk, &scan, look, &s, &report), 0);
    cr_assert_eq(s.found, 2 * LEND);
}

/* ---- a frame that is lost ---- */

/* A change whose frame cannot be made: it tells its caller `err`. */
static int lose_a_frame(int err)
{
    struct op op = {.kind = OP_PIN, .number = 5};
    struct capture c;
    CHANGE_ROOM(room);

    cr_assert_eq(change_room(x.p, 0, &room), 0);
    change_enter(&c, x.p, false);
    capture_op(x.p, &op);
    c.error = err;
    err = project_changed(x.p, NULL);
    change_leave(&c);
    return err;
}

Test(capture, a_change_that_is_not_in_the_log_is_an_error_and_the_last)
{
    uint64_t seq = log_seq(x.p->log), dir = node_of(&x, "main");
    struct vfs_attr a;

    cr_assert_eq(lose_a_frame(-ENOMEM), -ENOMEM);
    cr_assert_eq(log_seq(x.p->log), seq);
    cr_assert_eq(vfs_mknod(x.p, dir, "f", S_IFREG | 0644, 0, &fixture_cred, &a), -EROFS);
    cr_assert_eq(project_sync(x.p), -EROFS);
}

Test(capture, no_frame_follows_one_that_is_missing)
{
    uint64_t seq = log_seq(x.p->log);

    cr_assert_eq(lose_a_frame(-ENOMEM), -ENOMEM);
    cr_assert_eq(lose_a_frame(0), -EROFS); /* of a change that was on its way */
    cr_assert_eq(log_seq(x.p->log), seq);
}
