// SPDX-License-Identifier: Apache-2.0
/* Claims of contents.c and seal.c about who may change bytes, and when. */
#include "fixture.h"
#include "project_impl.h"
#include "report.h"

#include <pthread.h>

#define SLOT_SIZE (200u * 1024) /* bytes; above pack_limit */

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(contents, .init = up, .fini = down);

/* A slot with one reference, between content_begin and content_end. */
static struct content *begun_slot(void)
{
    struct content *c;
    CHANGE_ROOM(room);

    cr_assert_eq(change_room(x.p, 0, &room), 0);
    CHANGE_GUARD(x.p);
    cr_assert_eq(content_new(x.p, 0, CONTENT_WHOLE, &c), 0);
    cr_assert_eq(content_truncate(x.p, c, SLOT_SIZE), 0);
    cr_assert_eq(refs_ref(x.p->refs, c->number), 0);
    return c;
}

static void stretch(struct content *c)
{
    CHANGE_ROOM(room);

    cr_assert_eq(change_room(x.p, 0, &room), 0);
    CHANGE_GUARD(x.p);
    cr_assert_eq(content_truncate(x.p, c, 4 << 20), 0);
}

static enum entry_kind kind_of(uint64_t number)
{
    struct entry e;

    cr_assert_eq(refs_entry(x.p->refs, number, false, NULL, &e), 0);
    return e.kind;
}

static void drain(void)
{
    cr_assert_eq(project_drain(x.p, false, -1, NULL), 0);
}

Test(contents, what_is_being_written_is_not_sealed_and_what_was_written_is)
{
    struct content *c = begun_slot();

    drain();
    cr_assert_eq(kind_of(c->number), ENTRY_SLOT);
    content_end(x.p, c);
    drain();
    cr_assert_eq(kind_of(c->number), ENTRY_FILE);
    content_unref(c);
}

Test(contents, what_is_sealed_is_not_written_by_who_found_it_before)
{
    struct content *c = begun_slot();

    content_end(x.p, c);
    cr_assert(content_begin(x.p, c));
    content_end(x.p, c);
    drain();
    cr_assert_not(content_begin(x.p, c));
    content_unref(c);
}

Test(contents, a_file_cut_to_nothing_keeps_no_object)
{
    struct vfs_attr a, zero = {0};
    uint64_t bytes, names;

    put_file(&x, "main/f", "some words");
    drain();
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/f"), VFS_SET_SIZE, &zero, &a), 0);
    drain();
    disk_use(&x, &bytes, &names);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(names, 0);
}

/* ---- while somebody seals ---- */

static _Atomic bool busy;

static void *seal_all_the_time(void *arg)
{
    size_t left;

    while (atomic_load(&busy))
        (void)seal_pass(arg, SEAL_CLOSED, -1, &left);
    return NULL;
}

static void start_sealing(pthread_t *ret)
{
    report_reset();
    atomic_store(&busy, true);
    cr_assert_eq(pthread_create(ret, NULL, seal_all_the_time, x.p), 0);
}

static void stop_sealing(pthread_t thread)
{
    atomic_store(&busy, false);
    pthread_join(thread, NULL);
}

static void nothing_is_left(void)
{
    uint64_t used, names;

    drain();
    disk_use(&x, &used, &names);
    cr_assert_eq(used, 0);
    cr_assert_eq(report_count(REPORT_WARN), 0);
}

Test(contents, what_is_given_up_is_not_sealed_meanwhile_and_leaves_nothing)
{
    static const uint8_t bytes[SLOT_SIZE] = {1};
    pthread_t sealer;

    start_sealing(&sealer);
    for (int i = 0; i < 300; i++) {
        struct content *c;
        CHANGE_ROOM(room);
        cr_assert_eq(change_room(x.p, 0, &room), 0);
        CHANGE_GUARD(x.p);
        cr_assert_eq(content_new(x.p, 0, CONTENT_WHOLE, &c), 0);
        cr_assert_eq(content_write(x.p, c, bytes, sizeof bytes, 0), 0);
        content_cancel(x.p, c);
    }
    stop_sealing(sealer);
    nothing_is_left();
}

/* Comparing it with an equal one, which takes a while, is when it dies. */
Test(contents, what_dies_while_a_view_seals_it_is_no_failure_and_leaves_nothing)
{
    struct content *twin = begun_slot();
    pthread_t sealer;

    stretch(twin);
    content_end(x.p, twin);
    drain();
    start_sealing(&sealer);
    for (int i = 0; i < 100; i++) {
        struct content *c = begun_slot();
        stretch(c);
        content_end(x.p, c);
        usleep((unsigned)i * 100);
        cr_assert_eq(refs_unref(x.p->refs, c->number), 0);
        content_unref(c);
        cr_assert_eq(project_flush(x.p), 0);
    }
    stop_sealing(sealer);
    cr_assert_eq(refs_unref(x.p->refs, twin->number), 0);
    content_unref(twin);
    nothing_is_left();
}
