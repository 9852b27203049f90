// SPDX-License-Identifier: Apache-2.0
/* Claims about the dead whose bytes go after a commit, where a change of the tables fails in
 * between: the n-th deletion of a row, for every n. */
#include "fixture.h"
#include "layer.h"
#include "packs.h"
#include "project_impl.h"

#define FILES 40
#define REMOVED 10
#define FAILURES 48 /* more than a flush deletes rows */

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
    cr_assert_eq(project_flush(x.p), 0);
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

Test(bury, no_record_of_a_pack_is_counted_out_twice_whatever_fails)
{
    struct packs_stats s;

    for (int n = 0; n < FAILURES; n++) {
        fixture_setup(&x);
        make_files();
        fail_in = n;
        (void)project_flush(x.p);
        fail_in = -1;
        cr_assert_eq(project_flush(x.p), 0);
        fixture_reopen(&x);
        cr_assert_eq(project_drain(x.p, false, -1, NULL), 0);
        packs_get_stats(x.p->packs, &s);
        cr_assert_geq(s.live_records, FILES - REMOVED, "failure %d", n);
        all_others_are_there();
        fixture_teardown(&x);
    }
}

/* The last record of a pack dies, and the pack's own row cannot be deleted: the record is counted
 * out all the same, and the pack goes at the next start. */
Test(bury, a_pack_whose_row_stays_is_no_record_that_is_kept)
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
    refs_thaw(x.p->refs, 1);
    count = refs_collected(x.p->refs, dead, FILES);
    cr_assert_eq(count, FILES);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(refs_buried(x.p->refs, &dead[i]), 0);
        fail_in = i + 1 == count ? 0 : -1;
        cr_assert_eq(objects_delete(x.p->objects, &dead[i]), 0);
    }
    cr_assert_eq(fail_in, -1, "nothing failed");
    packs_get_stats(x.p->packs, &s);
    cr_assert_eq(s.live_records, 0);
    cr_assert_eq(s.packs, 1);
    fixture_teardown(&x);
}
