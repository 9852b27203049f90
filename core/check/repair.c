// SPDX-License-Identifier: Apache-2.0
/* repair: the rounds, and the changes of tables. repair_tree.c changes trees. */
#include "lost.h"
#include "repair_impl.h"
#include "stored_record.h"
#include <errno.h>
#include <stdlib.h>

#define ROUNDS_MAX                                                                                 \
    16 /* four are needed; more only where one repair shows what the next must do                  \
        */

struct repair {
    struct disk *disk;
    struct kv *kv;
    const struct repair_options *o;
    struct repair_result r;
    struct fixes fixes;
    struct map64 bad; /* objects whose bytes the first look found damaged; later looks read only
                       * these */
};

/* Drops a finding. */
static void say_nothing(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)what;
    (void)where;
    (void)sentence;
    (void)ctx;
}

/* ---- looking ---- */

/* The whole check, with all findings reported. Without the key, or if a table cannot be read to
 * its end, nothing may be changed: -EUCLEAN. */
static int first_look(struct repair *r)
{
    struct check c = {.disk = r->disk, .o = &r->o->check, .fixes = &r->fixes, .flags = r->o->flags};
    int err = check_run(&c, r->kv);

    if (err == 0 && (!c.has_key || c.unreadable || c.count.unreadable))
        err = -EUCLEAN;
    r->r.found = c.r;
    r->r.left = c.r.problems;
    r->bad = c.bad;
    c.bad = (struct map64)MAP64_INIT;
    check_release(&c);
    return err;
}

/* Check tables and trees again, and the bytes that were damaged. The last look reports what is
 * left. */
static int look_again(struct repair *r, bool last)
{
    struct check_options o = {.found = last ? r->o->left : say_nothing,
                              .ctx = r->o->check.ctx,
                              .pool = r->o->check.pool,
                              .all_bytes = r->o->check.all_bytes};
    struct check c = {.disk = r->disk,
                      .o = &o,
                      .fixes = last ? NULL : &r->fixes,
                      .flags = r->o->flags,
                      .only = &r->bad};
    int err = check_run(&c, r->kv);

    r->r.left = c.r.problems;
    check_release(&c);
    return err;
}

/* ---- changing ---- */

/* Report a change that was made. A fix of several parts is reported once, with its main part. */
static void report_fix(struct repair *r, const struct fix *f)
{
    const char *what = f->text, *where, *sentence;

    if (!what)
        return; /* a part of the fix before it, which was reported */
    where = what + strlen(what) + 1;
    sentence = where + strlen(where) + 1;
    r->r.repaired++;
    r->o->repaired(what, where, sentence, r->o->check.ctx);
}

static bool is_of_tables(const struct fix *f)
{
    return f->kind == FIX_PUT || f->kind == FIX_DEL;
}

static bool is_of_page_counts(const struct fix *f)
{
    return is_of_tables(f) && f->table == TABLE_PAGE_COUNTS;
}

/* Is there a fix that `want` accepts? */
static bool any(const struct fixes *l, bool (*want)(const struct fix *))
{
    for (size_t i = 0; i < l->count; i++)
        if (want(&l->v[i]))
            return true;
    return false;
}

/* Make all wanted changes of tables in one transaction, and report them after its commit. How many
 * bytes are stored then the next start counts. */
static int change_tables(struct repair *r, bool (*want)(const struct fix *))
{
    struct kv_txn *t;
    int err = kv_txn_begin(r->kv, &t);

    if (err < 0)
        return err;
    for (size_t i = 0; i < r->fixes.count && err == 0; i++) {
        const struct fix *f = &r->fixes.v[i];
        if (want(f))
            err = f->kind == FIX_PUT ? kv_put(t, f->table, f->k, f->klen, f->val, f->len)
                                     : kv_del(t, f->table, f->k, f->klen);
    }
    if (err == 0)
        err = stored_record_put(NULL, t);
    err = kv_end(t, err);
    for (size_t i = 0; i < r->fixes.count && err == 0; i++)
        if (want(&r->fixes.v[i]))
            report_fix(r, &r->fixes.v[i]);
    return err;
}

/* Make the changes of trees (repair_tree.c), and report those that were made. */
static int change_trees(struct repair *r)
{
    bool *done = calloc(r->fixes.count, sizeof *done);
    int err = done ? repair_trees(r->kv, r->o->clock, &r->fixes, done) : -ENOMEM;

    for (size_t i = 0; i < r->fixes.count && err == 0; i++)
        if (done[i])
            report_fix(r, &r->fixes.v[i]);
    free(done);
    return err;
}

/* Delete the files that no table names. */
static int delete_files(struct repair *r)
{
    int err = 0;

    for (size_t i = 0; i < r->fixes.count && err == 0; i++) {
        const char *what = r->fixes.v[i].text;
        if (r->fixes.v[i].kind != FIX_FILE)
            continue;
        err = disk_unlink(r->disk, what + strlen(what) + 1);
        err = err == -ENOENT ? 0 : err;
        if (err == 0)
            report_fix(r, &r->fixes.v[i]);
    }
    return err;
}

/* Make one round of changes: of tables, or else of trees, or else of files. Tables come first,
 * since writing a tree relies on the counts of its pages. */
static int change(struct repair *r)
{
    uint64_t before = r->r.repaired;
    int err;

    if (any(&r->fixes, is_of_tables))
        return change_tables(r, is_of_tables);
    err = any(&r->fixes, fix_is_of_tree) ? change_trees(r) : 0;
    return err < 0 || r->r.repaired != before ? err : delete_files(r);
}

/* Change and look again, until nothing is left to do or a round could do nothing. */
static int change_until_done(struct repair *r)
{
    uint64_t before = UINT64_MAX;
    int err = 0;

    for (unsigned i = 0; i < ROUNDS_MAX && r->fixes.count && err == 0; i++) {
        if (r->r.repaired == before)
            break; /* the last round could change nothing */
        before = r->r.repaired;
        err = change(r);
        fixes_release(&r->fixes);
        if (err == 0)
            err = look_again(r, false);
        if (err == 0)
            err = r->fixes.err;
    }
    return err < 0 ? err : look_again(r, true);
}

int repair_page_counts(struct disk *disk, struct kv *kv, const struct repair_options *o,
                       uint64_t *ret_done)
{
    struct repair r = {.disk = disk, .kv = kv, .o = o};
    struct check_options quietly = {
        .found = say_nothing, .ctx = o->check.ctx, .pool = o->check.pool};
    struct map64 none = MAP64_INIT;
    struct check c = {.disk = disk, .o = &quietly, .fixes = &r.fixes, .only = &none};
    int err = check_run(&c, kv);

    if (err == 0 && (!c.has_key || c.unreadable || c.count.unreadable))
        err = -EUCLEAN;
    if (err == 0)
        err = r.fixes.err;
    check_release(&c);
    if (err == 0 && any(&r.fixes, is_of_page_counts))
        err = change_tables(&r, is_of_page_counts);
    fixes_release(&r.fixes);
    *ret_done += r.r.repaired;
    return err;
}

int repair_with(struct disk *disk, struct kv *kv, const struct repair_options *o,
                repair_replay_fn *replay, struct repair_result *ret)
{
    struct repair r = {.disk = disk, .kv = kv, .o = o};
    unsigned lost = o->flags & REPAIR_DRY_RUN ? 0 : o->flags;
    int err = lost & REPAIR_ROWS_LOST ? lost_rows_note(kv) : 0;

    if (err == 0 && lost & REPAIR_SALVAGED)
        err = repair_page_counts(disk, kv, o, &r.r.repaired);
    if (err == 0)
        err = repair_log(disk, kv, o, replay, &r.r.repaired);
    if (err == 0)
        err = first_look(&r);
    if (err == 0)
        err = r.fixes.err;
    if (err == 0 && o->flags & REPAIR_DRY_RUN)
        for (size_t i = 0; i < r.fixes.count; i++)
            report_fix(&r, &r.fixes.v[i]);
    else if (err == 0 && r.fixes.count)
        err = change_until_done(&r);
    *ret = r.r;
    fixes_release(&r.fixes);
    map64_release(&r.bad);
    return err;
}
