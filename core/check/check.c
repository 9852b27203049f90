// SPDX-License-Identifier: Apache-2.0
/*
 * check: the order of the checks, the tables of pages, and settings. check_objects.c checks the
 * tables of objects, check_namespaces.c the trees, check_bytes.c the bytes. All of it reads one
 * snapshot. First comes a recount from the roots; then each table is compared with it and with the
 * other tables. A check that finds damage also offers the change by which a repair could correct it
 * (check_fix).
 */
#include "bytes.h"
#include "check_impl.h"
#include "growth_sample.h"
#include "history_entry.h"
#include "lost.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- identity and state ---- */

/* Load the identity. If it is damaged the check goes on without the secret, and verifies no ids. */
static int check_identity(struct check *c)
{
    struct identity id;
    const void *val;
    size_t len;
    int err = kv_snap_get(c->snap, TABLE_META, "identity", 8, &val, &len);

    if (err == 0)
        err = identity_decode(val, len, &id);
    if (err == -EUCLEAN) {
        check_found(c, true, "identity", "identity",
                    "it is damaged; object ids cannot be verified without its secret");
        return 0;
    }
    if (err < 0)
        return err;
    c->has_key = true;
    c->key = id.key;
    c->names = id.names;
    store_id_of(id.key.secret, id.created, c->o->pool ? c->o->pool->node : 0, c->store);
    return 0;
}

/* Load the state record, if it can be read. The recount reports a missing or damaged one, since it
 * needs the record as well. `raised` begins as a copy of it. */
static int check_state(struct check *c)
{
    const void *val;
    size_t len;
    int err = kv_snap_get(c->snap, TABLE_META, "state", 5, &val, &len);

    c->raised = (struct store_record){
        .next_page = 1, .next_number = 1, .next_pack = 1, .next_ns = 1, .orphan_next = 1};
    if (err == 0)
        err = store_record_decode(val, len, &c->state);
    c->has_state = err == 0;
    if (err == 0)
        c->raised = c->state;
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

/* Offer one state record whose next numbers are above all in use; it replaces one that is too low
 * or lost. */
static void fix_state(struct check *c)
{
    uint8_t buf[STORE_RECORD_LEN];
    struct fix f;

    if (c->has_state && memcmp(&c->raised, &c->state, sizeof c->state) == 0)
        return;
    store_record_encode(&c->raised, buf);
    f = fix_put(c, TABLE_META, "state", 5, buf, sizeof buf);
    check_fix(c, &f, "state", "state", "%s",
              c->has_state ? "the next numbers are above all in use"
                           : "it is made anew from what the tables hold");
}

/* A namespace's record: count it, and raise the next numbers above those that it uses. */
static int count_namespace(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct ns_fields f;
    int err = ns_read(number, val, len, &f);

    if (!c->has_state && number >= c->raised.next_ns && number <= VFS_NS_MAX)
        c->raised.next_ns = number + 1; /* the number of a damaged record is not reused either */
    if (err < 0)
        return err == -EUCLEAN ? 0 : err;
    c->r.namespaces += !f.target;
    if (c->has_state && f.seq > c->state.seq) {
        char where[CHECK_WHERE];
        (void)snprintf(where, sizeof where, "%.100s", f.name);
        check_found(c, true, "namespace", where, "it changed after the last change of the store");
    }
    if (f.seq > c->raised.seq)
        c->raised.seq = f.seq;
    if (c->state.next_ino && f.ino_end > c->raised.next_ino) {
        check_found(c, true, "namespace", f.name,
                    "inodes up to %" PRIu64 " are its own, but the next run of numbers begins at "
                    "%" PRIu64,
                    f.ino_end - 1, c->state.next_ino);
        c->raised.next_ino = f.ino_end;
    }
    ns_fields_release(&f);
    return 0;
}

/* ---- the recount ---- */

/* Offer to remove a damaged chunk of the queue of drops: the pages that it named leak, and the rest
 * of the queue can be worked off. The chunks are numbered without a gap, so the last chunk takes
 * the place of the damaged one. Only one chunk per look, since a chunk that stood in two places
 * would be dropped twice. */
static void fix_drop(struct check *c, uint64_t number, const char *where)
{
    uint8_t key[8];
    struct kv_each e = {.snap = c->snap, .table = TABLE_DROPS}, last = {0};
    bool is_bad = false;
    struct fix f;

    while (kv_next(&e)) {
        if (e.klen != 8)
            continue;
        last = e;
        is_bad |= e.number == number && e.len % 8 != 0; /* KV_DAMAGED, too */
    }
    if (!is_bad || c->drop_fixed)
        return;
    if (last.number != number) {
        if (last.len == KV_DAMAGED)
            return; /* the last chunk is damaged too, and is removed first */
        put_be64(key, number);
        f = fix_put(c, TABLE_DROPS, key, 8, last.val, last.len);
        check_fix_also(c, &f);
    }
    c->drop_fixed = true;
    f = fix_del(TABLE_DROPS, last.key, 8);
    check_fix(c, &f, "drop", where, "it is left out: what it named leaks");
}

/* Rows are lost, and nobody knows which (lost.h). That is no damage that could be repaired. A
 * caller who wants leaks to be freed gives up what these rows named, unless they were lost only
 * now. */
static void note_lost_rows(struct check *c, const char *why)
{
    check_found(c, false, "note", "the tables", "%s", why);
    if (!(c->flags & REPAIR_FREE_LEAKS) || c->flags & REPAIR_ROWS_LOST)
        return;
    struct fix f = fix_del(TABLE_META, LOST_ROWS, sizeof LOST_ROWS - 1);
    check_fix(c, &f, "note", "the tables", "what lost rows named is given up");
}

/* Report damage that the recount found, with the text that names the thing. */
static void on_damage(const char *what, uint64_t number, const char *why, void *ctx)
{
    char where[CHECK_WHERE];

    if (strcmp(what, "note") == 0) {
        note_lost_rows(ctx, why);
        return;
    }
    if (strcmp(what, "page") == 0)
        check_where_number("page", number, where);
    else if (strcmp(what, "object") == 0)
        check_where_number("object number", number, where);
    else if (strcmp(what, "state") == 0)
        (void)snprintf(where, sizeof where, "state");
    else
        (void)snprintf(where, sizeof where, "%" PRIu64, number);
    check_found(ctx, true, what, where, "%s", why);
    if (strcmp(what, "drop") == 0)
        fix_drop(ctx, number, where);
}

/* Count a page that the recount has read. */
static void on_page(uint64_t no, const uint8_t *bytes, void *ctx)
{
    struct check *c = ctx;

    (void)no;
    (void)bytes;
    c->r.pages++;
    check_advance(c, PAGE_SIZE_BYTES);
}

/* Count all references from the roots; damage is reported on the way. */
static int recount(struct check *c)
{
    struct recount_options o = {.damage = on_damage, .page = on_page, .ctx = c};

    return recount_run(c->snap, &o, &c->count);
}

/* ---- pages ---- */

/* Offer the right count of a page. A count of 1 is not stored: a row exists only from 2 on. */
static void fix_page_count(struct check *c, uint64_t no, uint64_t refs)
{
    uint8_t key[8], val[4];
    char where[CHECK_WHERE];
    struct fix f;

    if (refs > UINT32_MAX)
        return;
    put_be64(key, no);
    put_le32(val, (uint32_t)refs);
    f = refs >= 2 ? fix_put(c, TABLE_PAGE_COUNTS, key, 8, val, 4)
                  : fix_del(TABLE_PAGE_COUNTS, key, 8);
    check_where_number("page", no, where);
    check_fix(c, &f, "count", where, "it is %" PRIu64, refs);
}

/* Report a page that no reference leads to as a leak, and offer to free it. */
static int check_page_entry(struct check *c, uint64_t no, const void *val, size_t len)
{
    uint64_t refs;
    uint8_t key[8];
    char where[CHECK_WHERE];
    struct fix f;

    (void)val;
    (void)len;
    if (!c->has_state) /* the record of the numbers in use is lost: this number was in use */
        check_used(c, "page", no, 0, &c->raised.next_page);
    if (map64_get(&c->count.pages, no, &refs) || c->count.damaged)
        return 0;
    check_where_number("page", no, where);
    check_found(c, false, "leak", where, "nothing names it; `rebuild` frees it");
    if (!check_may_free(c))
        return 0;
    put_be64(key, no);
    f = fix_del(TABLE_PAGES, key, 8);
    check_fix(c, &f, "leak", where, "it is freed");
    f = fix_del(TABLE_PAGE_COUNTS, key, 8);
    check_fix_also(c, &f);
    return 0;
}

/* Offer what replaces a row that is not a count. While damage hides references the count is one
 * that no recount reaches, so that it is not too low: too high a count frees nothing, and it is
 * lowered when all can be counted. A page that does not exist needs none. */
static int fix_wrong_row(struct check *c, uint64_t no, uint64_t refs)
{
    const void *page;
    size_t len;
    int err = kv_snap_get_number(c->snap, TABLE_PAGES, no, &page, &len);

    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    fix_page_count(c, no, err != -ENOENT && c->count.damaged ? refs + RESTORE_BIAS : refs);
    return 0;
}

/* Check a row of a page count: it must be at least 2, and its page must exist. */
static int check_page_count(struct check *c, uint64_t no, const void *val, size_t len)
{
    uint64_t refs = 0;
    uint8_t key[8];
    const void *page;
    bool named = map64_get(&c->count.pages, no, &refs);
    char where[CHECK_WHERE];
    int err;

    check_where_number("page", no, where);
    put_be64(key, no);
    if (len != 4 || get_le32(val) < 2) {
        check_found(c, true, "count", where, "its stored count is not a count");
        return fix_wrong_row(c, no, named ? refs : 1);
    }
    if (named) /* check_named_pages compares the count */
        return 0;
    err = kv_snap_get(c->snap, TABLE_PAGES, key, sizeof key, &page, &len);
    if (err == -ENOENT && !c->count.damaged) {
        struct fix f = fix_del(TABLE_PAGE_COUNTS, key, 8);
        check_found(c, true, "count", where, "a count is stored for a page that does not exist");
        check_fix(c, &f, "count", where, "none is stored");
    }
    return err < 0 && err != -ENOENT ? err : 0;
}

/* Compare the stored count of every named page with the recount. */
static int check_named_pages(struct check *c)
{
    uint64_t no, refs;
    size_t at = 0, len;
    const void *val;
    char where[CHECK_WHERE];

    while (map64_next(&c->count.pages, &at, &no, &refs)) {
        uint64_t stored = 1;
        check_used(c, "page", no, c->state.next_page, &c->raised.next_page);
        int err = kv_snap_get_number(c->snap, TABLE_PAGE_COUNTS, no, &val, &len);
        if (err < 0 && err != -ENOENT && err != -EUCLEAN)
            return err;
        if (err == 0 && len == 4 && get_le32(val) >= 2)
            stored = get_le32(val);
        else if (err != -ENOENT)
            stored = refs; /* a wrong row is reported by check_page_count */
        check_where_number("page", no, where);
        if (!check_count(c, where, stored, refs))
            fix_page_count(c, no, refs);
    }
    return 0;
}

/* ---- settings ---- */

/* A setting of the store has 8 bytes. Another length is damage, and a mount then uses the
 * default. */
static void check_setting(struct check *c, const void *key, size_t klen, size_t len)
{
    char name[FIX_KEY_MAX + 1];
    struct fix f;

    if (klen > FIX_KEY_MAX || len == 8) /* not one of the store's settings, or sound */
        return;
    (void)snprintf(name, sizeof name, "%.*s", (int)klen, (const char *)key);
    check_found(c, true, "setting", name, "its value is damaged: a mount uses the default");
    f = fix_del(TABLE_SETTINGS, key, klen);
    check_fix(c, &f, "setting", name, "it has its default");
}

/* Check one setting of a namespace. One that is damaged, or of no namespace, is as if it were
 * not. */
static int check_ns_setting(struct check *c, const struct kv_each *e)
{
    char where[CHECK_WHERE] = "of a namespace";
    struct ns_setting s;
    const void *val = e->len == KV_DAMAGED ? NULL : e->val;
    const char *why = "its value is damaged";
    uint32_t ns;
    struct fix f;
    size_t len;

    /* a damaged value is not read, and the key names it nevertheless */
    if (ns_setting_row(e->key, e->klen, val, val ? e->len : 0, &ns, &s) < 0) {
        why = "it is no setting";
    } else {
        (void)snprintf(where, sizeof where, "%s of namespace %" PRIu32, s.name, ns);
        int err = kv_snap_get_number(c->snap, TABLE_NAMESPACES, ns, &s.value, &len);
        if (err < 0 && err != -ENOENT)
            return err == -EUCLEAN ? 0 : err; /* the namespace is reported */
        if (err == 0 && val)
            return 0;
        why = err == 0 ? why : "there is no such namespace";
    }
    check_found(c, true, "setting", where, "%s", why);
    if (e->klen > FIX_KEY_MAX)
        return 0;
    f = fix_del(TABLE_NS_SETTINGS, e->key, e->klen);
    check_fix(c, &f, "setting", where, "it is removed");
    return 0;
}

static int check_settings(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_SETTINGS};
    struct kv_each of_ns = {.snap = c->snap, .table = TABLE_NS_SETTINGS};

    while (kv_next(&e))
        check_setting(c, e.key, e.klen, e.len);
    while (kv_next(&of_ns))
        of_ns.err = check_ns_setting(c, &of_ns);
    if (e.cut || of_ns.cut)
        check_found(c, true, "setting", "the table", "it cannot be read to its end");
    return e.err < 0 && !e.cut ? e.err : of_ns.cut ? 0 : of_ns.err;
}

/* A row of the history says what was done to namespaces. Nothing else depends on it. */
static void check_operation(struct check *c, const struct kv_each *e)
{
    struct history_entry entry;
    char where[CHECK_WHERE];
    const char *why = NULL;
    struct fix f;

    if (e->klen != 8 || e->len == KV_DAMAGED || history_entry_decode(e->val, e->len, &entry) < 0)
        why = "it is damaged: a mount goes on without it";
    else if (e->number == 0 || (c->has_state && e->number > c->state.seq))
        why = "it is of a change that the store has not made";
    if (!why)
        return;
    (void)snprintf(where, sizeof where, "change %" PRIu64, e->klen == 8 ? e->number : 0);
    check_found(c, true, "operation", where, "%s", why);
    if (e->klen > FIX_KEY_MAX)
        return;
    f = fix_del(TABLE_HISTORY, e->key, e->klen);
    check_fix(c, &f, "operation", where, "it is removed from the history");
}

static int check_history(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_HISTORY};

    while (kv_next(&e))
        check_operation(c, &e);
    if (e.cut)
        check_found(c, true, "operation", "the table", "it cannot be read to its end");
    return e.cut ? 0 : e.err;
}

/* A sample of how the store has grown. Nothing depends on these. */
static void check_sample(struct check *c, const struct kv_each *e)
{
    struct growth_sample sample;
    char where[CHECK_WHERE];
    struct fix f;

    if (e->klen == 8 && e->number > 0 && e->number <= GROWTH_TIME_MAX && e->len != KV_DAMAGED &&
        growth_sample_decode(e->val, e->len, &sample) == 0)
        return;
    (void)snprintf(where, sizeof where, "time %" PRIu64, e->klen == 8 ? e->number : 0);
    check_found(c, true, "sample", where, "it is damaged: a mount goes on without it");
    if (e->klen > FIX_KEY_MAX)
        return;
    f = fix_del(TABLE_GROWTH, e->key, e->klen);
    check_fix(c, &f, "sample", where, "it is removed");
}

static int check_growth(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_GROWTH};

    while (kv_next(&e))
        check_sample(c, &e);
    if (e.cut)
        check_found(c, true, "sample", "the table", "it cannot be read to its end");
    return e.cut ? 0 : e.err;
}

/* ---- all of it ---- */

/* Check all tables. The recount comes after the namespaces, whose records raise the next numbers,
 * and before everything that is compared with it. */
static int check_tables(struct check *c)
{
    int err = check_each(c, TABLE_NAMESPACES, "namespace", count_namespace);

    if (err == 0)
        err = recount(c);
    if (err == 0)
        err = check_named_pages(c);
    if (err == 0)
        err = check_each(c, TABLE_PAGE_COUNTS, "count", check_page_count);
    if (err == 0)
        err = check_each(c, TABLE_PAGES, "page", check_page_entry);
    if (err == 0)
        err = check_objects(c);
    if (err == 0)
        err = check_stored(c);
    if (err == 0)
        err = check_settings(c);
    if (err == 0)
        err = check_history(c);
    return err < 0 ? err : check_growth(c);
}

/* All checks, in an order in which each finds what it needs: the identity's key and the state
 * before the log, shards before the objects that name them, tables and trees before bytes, and
 * bytes before the files that use damaged ones. The state record is offered last, when all numbers
 * in use are known, even if a check failed. */
static int check_all(struct check *c)
{
    uint64_t pages = 0;
    int err = kv_snap_count(c->snap, TABLE_PAGES, &pages);

    c->total = pages * PAGE_SIZE_BYTES;
    if (err == 0)
        err = check_identity(c);
    if (err == 0)
        err = check_state(c);
    if (err == 0)
        err = check_log(c);
    if (err == 0)
        err = check_shards_open(c, c->kv);
    if (err == 0)
        err = check_tables(c);
    if (err == 0)
        err = check_trees(c);
    if (err == 0)
        err = check_bytes(c);
    if (err == 0)
        err = check_files(c);
    if (err == 0)
        err = check_gc(c);
    if (err == 0)
        err = check_sweep(c);
    if (err == 0)
        err = check_users(c);
    fix_state(c);
    return err < 0 ? err : c->scan_err;
}

int check_run(struct check *c, struct kv *kv)
{
    int err = kv_snap_begin(kv, &c->snap);

    c->kv = kv;
    c->from = c->disk;
    if (err == 0)
        err = check_all(c);
    kv_snap_end(c->snap);
    c->snap = NULL;
    check_shards_close(c);
    return err;
}

int store_check(struct disk *disk, struct kv *kv, const struct check_options *o,
                struct check_result *ret)
{
    struct check c = {.disk = disk, .o = o};
    int err = check_run(&c, kv);

    if (err == 0)
        *ret = c.r;
    check_release(&c);
    return err;
}
