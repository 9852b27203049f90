// SPDX-License-Identifier: Apache-2.0
/*
 * check: the tables and the trees; check_bytes.c has the bytes. One snapshot; first a recount from
 * the roots, then each table is held against it and against the others.
 */
#include "bytes.h"
#include "check_impl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SENTENCE 300

void check_found(struct check *c, bool problem, const char *what, const char *where,
                 const char *fmt, ...)
{
    char sentence[SENTENCE];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    c->r.problems += problem;
    c->o->found(what, where, sentence, c->o->ctx);
}

void check_advance(struct check *c, uint64_t bytes)
{
    c->done += bytes;
    if (c->o->progress)
        c->o->progress(c->done, c->total, c->o->ctx);
}

static void where_number(const char *kind, uint64_t number, char out[CHECK_WHERE])
{
    (void)snprintf(out, CHECK_WHERE, "%s %" PRIu64, kind, number);
}

void check_where(const struct entry *e, uint64_t number, char out[CHECK_WHERE])
{
    if (e && (entry_is_sealed(e) || e->kind == ENTRY_NONE))
        id_to_hex(&e->id, out);
    else
        where_number("object number", number, out);
}

int check_each(struct check *c, unsigned table, const char *what, check_entry_fn *fn)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    int err;

    while ((err = kv_snap_seek(c->snap, table, key, klen, klen > 0, &key, &klen, &val, &len)) ==
           0) {
        if (klen != 8)
            check_found(c, true, what, "a key", "it is %zu bytes long, not 8", klen);
        else
            err = fn(c, get_be64(key), val, len);
        if (err < 0)
            return err;
    }
    if (err == -EUCLEAN) {
        check_found(c, true, what, "the table", "it cannot be read to its end");
        return 0;
    }
    return err == -ENOENT ? 0 : err;
}

int check_get_entry(struct check *c, unsigned table, uint64_t number, struct entry *ret)
{
    const void *val;
    uint8_t key[8];
    size_t len;
    int err;

    put_be64(key, number);
    err = kv_snap_get(c->snap, table, key, sizeof key, &val, &len);
    return err < 0 ? err : entry_decode(val, len, ret);
}

/* ---- identity and state ---- */

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
    memcpy(c->key.secret, id.secret, ID_SECRET_LEN);
    return 0;
}

/* Damage here is reported by the recount, which needs it, too. */
static int check_state(struct check *c)
{
    const void *val;
    size_t len;
    int err = kv_snap_get(c->snap, TABLE_META, "state", 5, &val, &len);

    if (err == 0)
        err = state_decode(val, len, &c->state);
    c->has_state = err == 0;
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

/* A number that may be given out again is one that two things may have. */
static void check_used(struct check *c, const char *kind, uint64_t number, uint64_t next)
{
    char where[CHECK_WHERE];

    if (!c->has_state || number < next)
        return;
    where_number(kind, number, where);
    check_found(c, true, "state", where,
                "it is in use, but the next number to be given is %" PRIu64, next);
}

static int count_namespace(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct ns_fields f;
    int err = number <= VFS_NS_MAX ? ns_record_check((uint32_t)number, val, len) : -EUCLEAN;

    if (err == 0)
        err = ns_decode(val, len, &f);
    if (err < 0)
        return err == -EUCLEAN ? 0 : err;
    c->r.namespaces += !f.target;
    if (c->has_state && f.seq > c->state.seq) {
        char where[CHECK_WHERE];
        (void)snprintf(where, sizeof where, "%.100s", f.name);
        check_found(c, true, "namespace", where, "it changed after the last change of the store");
    }
    free(f.target);
    return 0;
}

/* ---- the recount ---- */

static void on_damage(const char *what, uint64_t number, const char *why, void *ctx)
{
    char where[CHECK_WHERE];

    if (strcmp(what, "page") == 0)
        where_number("page", number, where);
    else if (strcmp(what, "object") == 0)
        where_number("object number", number, where);
    else if (strcmp(what, "state") == 0)
        (void)snprintf(where, sizeof where, "state");
    else
        (void)snprintf(where, sizeof where, "%" PRIu64, number);
    check_found(ctx, true, what, where, "%s", why);
}

static void on_page(uint64_t no, const uint8_t *bytes, void *ctx)
{
    struct check *c = ctx;

    (void)bytes;
    c->r.pages++;
    check_used(c, "page", no, c->state.next_page);
    check_advance(c, PAGE_SIZE_BYTES);
}

static int recount(struct check *c)
{
    struct recount_options o = {.damage = on_damage, .page = on_page, .ctx = c};

    return recount_run(c->snap, &o, &c->count);
}

/* Is a stored count other than the recounted one a finding? With damage a lower recount proves
 * nothing. */
static void compare_count(struct check *c, const char *where, uint64_t stored, uint64_t refs)
{
    if (stored == refs || (c->count.damaged && stored > refs))
        return;
    check_found(c, true, "count", where,
                "the stored count is %" PRIu64 ", but %" PRIu64 " references exist", stored, refs);
}

/* ---- pages ---- */

static int check_page_entry(struct check *c, uint64_t no, const void *val, size_t len)
{
    uint64_t refs;
    char where[CHECK_WHERE];

    (void)val;
    (void)len;
    if (map64_get(&c->count.pages, no, &refs) || c->count.damaged)
        return 0;
    where_number("page", no, where);
    check_found(c, false, "leak", where, "nothing names it; `rebuild` frees it");
    return 0;
}

static int check_page_count(struct check *c, uint64_t no, const void *val, size_t len)
{
    uint64_t refs = 0;
    uint8_t key[8];
    const void *page;
    char where[CHECK_WHERE];
    int err;

    where_number("page", no, where);
    put_be64(key, no);
    if (len != 4 || get_le32(val) < 2) {
        check_found(c, true, "count", where, "its stored count is not a count");
        return 0;
    }
    if (map64_get(&c->count.pages, no, &refs)) /* compared with all that are named */
        return 0;
    err = kv_snap_get(c->snap, TABLE_PAGES, key, sizeof key, &page, &len);
    if (err == -ENOENT && !c->count.damaged)
        check_found(c, true, "count", where, "a count is stored for a page that does not exist");
    return err < 0 && err != -ENOENT ? err : 0;
}

static int check_named_pages(struct check *c)
{
    uint64_t no, refs;
    size_t at = 0, len;
    const void *val;
    uint8_t key[8];
    char where[CHECK_WHERE];

    while (map64_next(&c->count.pages, &at, &no, &refs)) {
        put_be64(key, no);
        int err = kv_snap_get(c->snap, TABLE_PAGE_COUNTS, key, sizeof key, &val, &len);
        if (err < 0 && err != -ENOENT)
            return err;
        where_number("page", no, where);
        if (err == -ENOENT)
            compare_count(c, where, 1, refs);
        else if (len == 4 && get_le32(val) >= 2)
            compare_count(c, where, get_le32(val), refs);
    }
    return 0;
}

/* ---- objects ---- */

/* The index leads to the entry and to no other. */
static int check_indexed(struct check *c, const struct entry *e, uint64_t number)
{
    const void *val;
    size_t len;
    char where[CHECK_WHERE];
    int err = kv_snap_get(c->snap, TABLE_IDS, e->id.b, ID_LEN, &val, &len);

    if (err < 0 && err != -ENOENT)
        return err;
    check_where(e, number, where);
    if (err == -ENOENT)
        check_found(c, true, "id", where, "the index does not know it");
    else if (len == 8 && get_be64(val) != number)
        check_found(c, true, "id", where,
                    "the index leads to object number %" PRIu64 ", not to %" PRIu64, get_be64(val),
                    number);
    return 0;
}

static int check_alias(struct check *c, const struct entry *e, uint64_t number)
{
    struct entry target;
    char where[CHECK_WHERE];
    int err = check_get_entry(c, TABLE_OBJECTS, e->where, &target);

    if (err == 0 && entry_is_sealed(&target))
        return 0;
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    where_number("object number", number, where);
    check_found(c, true, "object", where,
                "it is an alias of object number %" PRIu64 ", which is no sealed object", e->where);
    return 0;
}

static int note_pack(struct check *c, const struct entry *e)
{
    int err = map64_add(&c->pack_records, e->where, 1, NULL);

    return err < 0 ? err : map64_add(&c->pack_bytes, e->where, (int64_t)e->size, NULL);
}

static int check_kind(struct check *c, const struct entry *e, uint64_t number)
{
    char where[CHECK_WHERE];
    int err = 0;

    if (entry_is_sealed(e) || e->kind == ENTRY_NONE)
        err = check_indexed(c, e, number);
    if (err < 0)
        return err;
    switch (e->kind) {
    case ENTRY_NEW:
        where_number("object number", number, where);
        if (e->count > 0)
            check_found(c, true, "object", where, "its bytes were never stored");
        return 0;
    case ENTRY_SLOT:
        return map64_put(&c->slots, number, e->size);
    case ENTRY_PACK:
        c->total += e->size;
        return e->where ? note_pack(c, e) : 0;
    case ENTRY_FILE:
        c->total += e->size;
        return e->where ? map64_put(&c->files, e->where, 1) : 0;
    case ENTRY_ALIAS:
        return check_alias(c, e, number);
    default:
        return 0;
    }
}

static int check_object(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct entry e, dying;
    uint64_t refs = 0;
    char where[CHECK_WHERE];
    int err;

    check_used(c, "object number", number, c->state.next_number);
    if (number == 0 || entry_decode(val, len, &e) < 0)
        return 0; /* the recount told */
    check_where(&e, number, where);
    (void)map64_get(&c->count.objects, number, &refs);
    compare_count(c, where, e.count, refs);
    c->r.objects += entry_is_sealed(&e) && e.count > 0;
    err = check_kind(c, &e, number);
    if (err < 0 || e.count > 0)
        return err;
    err = check_get_entry(c, TABLE_DYING, number, &dying);
    if (err == -ENOENT)
        check_found(c, false, "leak", where, "its count is 0, but it is not among the dying");
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

/* Numbers that items or pins name and the table does not know. */
static int check_named_objects(struct check *c)
{
    uint64_t number, refs;
    size_t at = 0;
    struct entry e;
    char where[CHECK_WHERE];

    while (map64_next(&c->count.objects, &at, &number, &refs)) {
        int err = check_get_entry(c, TABLE_OBJECTS, number, &e);
        if (err < 0 && err != -ENOENT && err != -EUCLEAN)
            return err;
        where_number("object number", number, where);
        if (err == -ENOENT)
            check_found(c, true, "count", where,
                        "%" PRIu64 " references exist, but it is not in the table", refs);
        if (err < 0)
            err = map64_put(&c->bad, number, number);
        if (err < 0)
            return err;
    }
    return 0;
}

/* ---- ids, dying, pins ---- */

static int check_id(struct check *c, const uint8_t *key, uint64_t number)
{
    struct entry e;
    struct id id;
    char where[CHECK_WHERE];
    int err;

    memcpy(id.b, key, ID_LEN);
    id_to_hex(&id, where);
    if (number == 0) /* a chain marker */
        return 0;
    err = check_get_entry(c, TABLE_OBJECTS, number, &e);
    if (err == -ENOENT)
        check_found(c, true, "id", where,
                    "the index leads to object number %" PRIu64 ", which does not exist", number);
    else if (err == 0 && (!(entry_is_sealed(&e) || e.kind == ENTRY_NONE) || !id_equal(&e.id, &id)))
        check_found(c, true, "id", where,
                    "the index leads to object number %" PRIu64 ", which has another id", number);
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

static int check_ids(struct check *c)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    int err;

    while ((err = kv_snap_seek(c->snap, TABLE_IDS, key, klen, klen > 0, &key, &klen, &val, &len)) ==
           0) {
        if (klen != ID_LEN || len != 8)
            check_found(c, true, "id", "the index", "an entry has the wrong length");
        else
            err = check_id(c, key, get_be64(val));
        if (err < 0)
            return err;
    }
    if (err == -EUCLEAN)
        check_found(c, true, "id", "the index", "it cannot be read to its end");
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

/* An entry that is still there must have count 0 and be the same thing. One that is gone has had
 * its removal committed; its bytes may or may not be gone, too. */
static int check_dying(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct entry e, now;
    char where[CHECK_WHERE];
    int err;

    where_number("object number", number, where);
    check_used(c, "object number", number, c->state.next_number);
    if (entry_decode(val, len, &e) < 0) {
        check_found(c, true, "dying", where, "its record does not decode");
        return 0;
    }
    err = check_get_entry(c, TABLE_OBJECTS, number, &now);
    if (err == 0 && now.count > 0)
        check_found(c, true, "dying", where, "it is among the dying, but its count is %" PRIu32,
                    now.count);
    else if (err == 0 && entry_is_sealed(&now) &&
             (now.kind != e.kind || now.where != e.where || now.offset != e.offset))
        check_found(c, true, "dying", where, "its record names other bytes than its entry");
    if (err != -ENOENT)
        return err == -EUCLEAN ? 0 : err;
    if (e.kind == ENTRY_PACK && e.where)
        return note_pack(c, &e);
    if (e.kind == ENTRY_FILE && e.where)
        return map64_put(&c->files, e.where, 1);
    return e.kind == ENTRY_SLOT ? map64_put(&c->slots, number, 0) : 0;
}

static int check_pin(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    char where[CHECK_WHERE];
    int err = check_get_entry(c, TABLE_OBJECTS, number, &e);

    (void)val;
    (void)len;
    if (err == -ENOENT) {
        where_number("object number", number, where);
        check_found(c, true, "pin", where, "it is pinned, but it is not in the table");
        return 0;
    }
    return err == -EUCLEAN ? 0 : err;
}

/* ---- all of it ---- */

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
        err = check_each(c, TABLE_OBJECTS, "object", check_object);
    if (err == 0)
        err = check_named_objects(c);
    if (err == 0)
        err = check_ids(c);
    if (err == 0)
        err = check_each(c, TABLE_DYING, "dying", check_dying);
    return err < 0 ? err : check_each(c, TABLE_PINS, "pin", check_pin);
}

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
        err = check_tables(c);
    if (err == 0)
        err = check_trees(c);
    if (err == 0)
        err = check_bytes(c);
    if (err == 0)
        err = check_files(c);
    return err < 0 ? err : check_users(c);
}

int project_check(struct disk *disk, struct kv *kv, const struct check_options *o,
                  struct check_result *ret)
{
    struct check c = {.disk = disk, .o = o};
    int err = kv_snap_begin(kv, &c.snap);

    if (err == 0)
        err = check_all(&c);
    if (err == 0)
        *ret = c.r;
    kv_snap_end(c.snap);
    disk_file_close(c.pack);
    free(c.buf);
    recount_release(&c.count);
    map64_release(&c.files);
    map64_release(&c.slots);
    map64_release(&c.pack_records);
    map64_release(&c.pack_bytes);
    map64_release(&c.roots);
    map64_release(&c.bad);
    return err;
}
