// SPDX-License-Identifier: Apache-2.0
/* Claims about the dead whose bytes go after a commit, where a change of the tables fails in
 * between, or at the next start: the n-th deletion of a row, for every n. */
#include "coordinator.h"
#include "fixture.h"
#include "layer.h"
#include "packs.h"
#include "store_impl.h"
#include "ticket.h"

#define FILES 40
#define REMOVED 10
#define FAILURES_MOST 200

static struct fixture x;
static int fail_in = -1; /* so many deletions from now; negative: none */

int __real_layer_del(struct layer *l, const void *key);
int __wrap_layer_del(struct layer *l, const void *key);
int __wrap_layer_del(struct layer *l, const void *key)
{
    return fail_in >= 0 && fail_in-- == 0 ? -ENOMEM : __real_layer_del(l, key);
}

static void name_of(int i, char path[32], char text[32])
{
    snprintf(path, 32, "main/f%d", i);
    snprintf(text, 32, "content number %d", i);
}

static void make_files(void)
{
    char path[32], text[32];

    for (int i = 0; i < FILES; i++) {
        name_of(i, path, text);
        put_file(&x, path, text);
    }
    cr_assert_eq(flush_now(x.p), 0);
    for (int i = 0; i < REMOVED; i++) {
        name_of(i, path, text);
        remove_file(&x, path);
    }
}

static void all_others_are_there(void)
{
    char path[32], text[32], buf[32];
    struct vfs_file *f;

    for (int i = REMOVED; i < FILES; i++) {
        name_of(i, path, text);
        cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0);
        memset(buf, 0, sizeof buf);
        cr_assert_eq(vfs_read(f, buf, sizeof buf - 1, 0), (ssize_t)strlen(text));
        cr_assert_str_eq(buf, text);
        vfs_release(f);
    }
}

Test(reclaim_dead, no_record_of_a_pack_is_counted_out_twice_whatever_fails)
{
    struct packs_stats s;
    bool failed = true;
    int n;

    for (n = 0; failed && n < FAILURES_MOST; n++) { /* until a flush deletes fewer rows */
        fixture_setup(&x);
        make_files();
        fail_in = n;
        int err = flush_now(x.p);
        failed = fail_in < 0;
        fail_in = -1;
        cr_assert(failed || err == 0, "deletion %d: %d", n, err);
        cr_assert_eq(flush_now(x.p), 0);
        fixture_reopen(&x);
        cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
        packs_get_stats(x.p->packs, &s);
        cr_assert_geq(s.live_records, FILES - REMOVED, "failure %d", n);
        all_others_are_there();
        fixture_teardown(&x);
    }
    cr_assert_gt(n, REMOVED, "only %d deletions", n);
    cr_assert_not(failed, "a flush deletes more than %d rows", n);
}

/* A commit says that they are dying, and nothing is deleted yet. */
static void commit_alone(void)
{
    struct flush_ask ask = {SEAL_READY, NULL};
    struct ticket *t;

    cr_assert_eq(coordinator_flush(x.p->flush->coordinator, &ask, false, &t), 0);
    cr_assert_eq(coordinator_run(x.p->flush->coordinator), 0);
    ticket_unref(t);
    cr_assert_eq(refs_dying(x.p->refs), REMOVED);
}

Test(reclaim_dead, nor_at_a_start)
{
    struct packs_stats s;
    bool failed = true;
    int n;

    for (n = 0; failed && n < FAILURES_MOST; n++) {
        fixture_setup(&x);
        make_files();
        commit_alone();
        store_abandon(x.p); /* the power is cut */
        kv_close(x.kv);
        fail_in = n;
        fixture_open(&x);
        failed = fail_in < 0;
        fail_in = -1;
        cr_assert_eq(flush_now(x.p), 0);
        fixture_reopen(&x);
        cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
        packs_get_stats(x.p->packs, &s);
        cr_assert_geq(s.live_records, FILES - REMOVED, "failure %d", n);
        all_others_are_there();
        fixture_teardown(&x);
    }
    cr_assert_geq(n, REMOVED, "only %d deletions", n);
    cr_assert_not(failed, "a start deletes more than %d rows", n);
}

/* One record cannot be removed: none is, so that the next start finds all of them. */
Test(reclaim_dead, records_of_the_dying_go_all_or_none)
{
    struct refs_dead dead[REMOVED];

    fixture_setup(&x);
    make_files();
    commit_alone();
    cr_assert_eq(refs_collected(x.p->refs, dead, REMOVED), REMOVED);
    fail_in = REMOVED - 1;
    cr_assert_eq(refs_reclaimed(x.p->refs, dead, REMOVED), -ENOMEM);
    for (int i = 0; i < REMOVED; i++)
        cr_assert_eq(refs_is_dying(x.p->refs, dead[i].number), 1, "%d", i);
    cr_assert_eq(refs_reclaimed(x.p->refs, dead, REMOVED), 0);
    for (int i = 0; i < REMOVED; i++)
        cr_assert_eq(refs_is_dying(x.p->refs, dead[i].number), 0, "%d", i);
    fixture_teardown(&x);
}

/* The last record of a pack dies, and the pack's own row cannot be deleted: the record is counted
 * out all the same, and the pack goes at the next start. */
Test(reclaim_dead, a_pack_whose_row_stays_is_no_record_that_is_kept)
{
    char path[32], text[32];
    struct refs_dead dead[FILES];
    struct packs_stats s;
    size_t count;

    fixture_setup(&x);
    make_files();
    for (int i = REMOVED; i < FILES; i++) {
        name_of(i, path, text);
        remove_file(&x, path);
    }
    cr_assert_eq(packs_retire_current(x.p->packs), 0);
    cr_assert_eq(refs_collect(x.p->refs, FILES, NULL, NULL), FILES);
    cr_assert_eq(refs_freeze(x.p->refs), 0);
    refs_retire(x.p->refs, 1);
    count = refs_collected(x.p->refs, dead, FILES);
    cr_assert_eq(count, FILES);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(refs_reclaimed(x.p->refs, &dead[i], 1), 0);
        fail_in = i + 1 == count ? 0 : -1;
        cr_assert_eq(objects_delete(x.p->objects, &dead[i]), 0);
    }
    cr_assert_eq(fail_in, -1, "nothing failed");
    packs_get_stats(x.p->packs, &s);
    cr_assert_eq(s.live_records, 0);
    cr_assert_eq(s.packs, 1);
    fixture_teardown(&x);
}
