// SPDX-License-Identifier: Apache-2.0
/*
 * check_objects: the refcount table and what belongs to it: the index of ids, the dying, the pins.
 */
#include "check_impl.h"
#include "lost.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- objects ---- */

/* Offer the entry *e as the row of the object. */
static void fix_entry(struct check *c, uint64_t number, const struct entry *e, const char *where)
{
    uint8_t key[8], val[ENTRY_MAX];
    struct fix f;

    put_be64(key, number);
    f = fix_put(c, TABLE_OBJECTS, key, sizeof key, val, entry_encode(e, val));
    check_fix(c, &f, "count", where, "it is %" PRIu32, e->count);
}

/* Put the object among the dying, or (`e` NULL) take it away from there. */
static struct fix fix_dying(struct check *c, uint64_t number, const struct entry *e)
{
    uint8_t key[8], val[ENTRY_MAX];

    put_be64(key, number);
    return e ? fix_put(c, TABLE_DYING, key, sizeof key, val, entry_encode(e, val))
             : fix_del(TABLE_DYING, key, sizeof key);
}

/* A row of the index that leads from `id` to `number`; 0: the marker of a chain. */
static struct fix fix_id(struct check *c, const struct id *id, uint64_t number)
{
    uint8_t val[8];

    put_be64(val, number);
    return fix_put(c, TABLE_IDS, id->b, ID_LEN, val, sizeof val);
}

/* Offer the right count. An object whose count becomes zero is a leak, not a dying object: its
 * bytes stay until somebody asks to free them. */
static void fix_count(struct check *c, uint64_t number, const struct entry *e, uint64_t refs,
                      const char *where)
{
    struct entry now = *e;
    struct fix f;

    if (e->kind == ENTRY_NONE || refs > UINT32_MAX)
        return;
    now.count = (uint32_t)refs;
    fix_entry(c, number, &now, where);
    if (refs > 0 && e->count == 0) {
        f = fix_dying(c, number, NULL);
        check_fix_also(c, &f);
    }
}

static uint64_t first_bytes(const void *id)
{
    return get_be64(id) | 1; /* a map64 has no key 0; if two ids have the same first bytes, the
                              * next look corrects the second */
}

/* Offer the index row of an entry whose row is damaged. The damage itself is reported when the
 * index is checked. */
static int reindex(struct check *c, const struct entry *e, uint64_t number)
{
    char where[CHECK_WHERE];
    struct fix f = fix_id(c, &e->id, number);

    check_where(e, number, where);
    check_fix(c, &f, "id", where, "the index leads to object number %" PRIu64, number);
    return map64_put(&c->reindexed, first_bytes(e->id.b), 1);
}

/* Does the index lead from the entry's id to the entry? */
static int check_indexed(struct check *c, const struct entry *e, uint64_t number)
{
    const void *val;
    size_t len;
    char where[CHECK_WHERE];
    struct entry other;
    struct fix f;
    int err = kv_snap_get(c->snap, TABLE_IDS, e->id.b, ID_LEN, &val, &len);

    if (err == -EUCLEAN)
        return reindex(c, e, number);
    if (err == 0 && (len != 8 || get_be64(val) == number))
        return 0; /* check_ids reports a wrong length */
    if (err < 0 && err != -ENOENT)
        return err;
    check_where(e, number, where);
    if (err == -ENOENT)
        check_found(c, true, "id", where, "the index does not know it");
    else
        check_found(c, true, "id", where,
                    "the index leads to object number %" PRIu64 ", not to %" PRIu64, get_be64(val),
                    number);
    if (err == 0 && refs_entry_in(c->snap, TABLE_OBJECTS, get_be64(val), &other) == 0 &&
        entry_is_sealed(&other) && id_equal(&other.id, &e->id))
        return 0; /* two objects have the same id: it is unknown which is meant */
    f = fix_id(c, &e->id, number);
    check_fix(c, &f, "id", where, "the index leads to object number %" PRIu64, number);
    return 0;
}

/* An alias must lead to a sealed object. */
static int check_alias(struct check *c, const struct entry *e, uint64_t number)
{
    struct entry target;
    char where[CHECK_WHERE];
    int err = refs_entry_in(c->snap, TABLE_OBJECTS, e->where, &target);

    if (err == 0 && entry_is_sealed(&target))
        return 0;
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    check_where_number("object number", number, where);
    check_found(c, true, "object", where,
                "it is an alias of object number %" PRIu64 ", which is no sealed object", e->where);
    return 0;
}

/* Check what depends on the kind of an entry, and note what it names. */
static int check_kind(struct check *c, const struct entry *e, uint64_t number)
{
    char where[CHECK_WHERE];
    int err = 0;

    if (entry_is_sealed(e) || e->kind == ENTRY_NONE)
        err = check_indexed(c, e, number);
    if (err < 0)
        return err;
    if (entry_is_ghost(e)) {
        c->total += c->o->all_bytes ? e->size : 0;
        return check_ghost_entry(c, number, e);
    }
    switch (e->kind) {
    case ENTRY_NEW:
        check_where_number("object number", number, where);
        if (e->count > 0)
            check_found(c, true, "object", where, "its bytes were never stored");
        return 0;
    case ENTRY_SLOT:
        return map64_put(&c->slots, number, e->size);
    case ENTRY_PACK:
    case ENTRY_FILE:
        c->total += e->size;
        return check_note_place(c, e);
    case ENTRY_ALIAS:
        return check_alias(c, e, number);
    default:
        return 0;
    }
}

/* Offer the row of a pin. */
static void put_pin(struct check *c, uint64_t number)
{
    uint8_t key[8];
    char where[CHECK_WHERE];

    put_be64(key, number);
    check_where_number("object number", number, where);
    struct fix f = fix_put(c, TABLE_PINS, key, sizeof key, "", 0);
    check_fix(c, &f, "pin", where, "it is pinned");
}

/* Has an object whose entry says that it is pinned a row among the pins? check_pin looks at one
 * that is damaged. */
static int check_pinned(struct check *c, uint64_t number)
{
    const void *val;
    size_t len;
    char where[CHECK_WHERE];
    int err = kv_snap_get_number(c->snap, TABLE_PINS, number, &val, &len);

    if (err != -ENOENT)
        return err == -EUCLEAN ? 0 : err;
    check_where_number("object number", number, where);
    check_found(c, true, "pin", where, "it is pinned, but it is not among the pins");
    put_pin(c, number);
    return 0;
}

/* Compare an object's count with the recount. While an entry is lost a count that seems too high
 * proves nothing: the lost entry may have been an alias of this object. */
static void check_object_count(struct check *c, uint64_t number, const struct entry *e,
                               uint64_t refs, const char *where)
{
    if (c->missing.count && entry_is_sealed(e) && e->count > refs)
        return;
    if (!check_count(c, where, e->count, refs))
        fix_count(c, number, e, refs, where);
}

/* Check one row of the table of objects: its count, its id, its place. */
static int check_object(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct entry e, dying;
    uint64_t refs = 0;
    char where[CHECK_WHERE];
    int err;

    check_used(c, "object number", number, c->state.next_number, &c->raised.next_number);
    if (number == 0 || entry_decode(val, len, &e) < 0) {
        c->unknown++;
        return 0; /* the recount has reported it */
    }
    check_where(&e, number, where);
    (void)map64_get(&c->count.objects, number, &refs);
    check_object_count(c, number, &e, refs, where);
    c->r.objects += entry_is_sealed(&e) && e.count > 0;
    check_add_stored(c, &e);
    err = e.pinned ? check_pinned(c, number) : 0;
    if (err == 0)
        err = check_kind(c, &e, number);
    if (err < 0 || e.count > 0)
        return err;
    err = refs_entry_in(c->snap, TABLE_DYING, number, &dying);
    if (err != -ENOENT)
        return err == -EUCLEAN ? 0 : err;
    check_found(c, false, "leak", where, "its count is 0, but it is not among the dying");
    if (refs == 0 && check_may_free(c)) {
        struct fix f = fix_dying(c, number, &e);
        check_fix(c, &f, "leak", where, "it is among the dying: the next mount deletes it");
    }
    return 0;
}

/* Report the numbers that items or pins name and that have no entry with bytes, and look for their
 * bytes. */
static int check_missing(struct check *c)
{
    uint64_t number, refs;
    size_t at = 0;
    struct entry e;
    char where[CHECK_WHERE];

    while (map64_next(&c->missing, &at, &number, &refs)) {
        check_where_number("object number", number, where);
        if (refs_entry_in(c->snap, TABLE_OBJECTS, number, &e) == -ENOENT)
            check_found(c, true, "count", where,
                        "%" PRIu64 " references exist, but it is not in the table", refs);
        check_used(c, "object number", number, c->state.next_number, &c->raised.next_number);
        int err = map64_put(&c->bad, number, number);
        if (err < 0)
            return err;
    }
    return check_adopt(c);
}

/* ---- ids, dying, pins ---- */

/* Check a row of the index: the object that it leads to must have this id. */
static int check_id(struct check *c, const uint8_t *key, uint64_t number)
{
    uint64_t refs;
    struct entry e;
    struct id id;
    char where[CHECK_WHERE];
    struct fix f;
    int err;

    memcpy(id.b, key, ID_LEN);
    id_to_hex(&id, where);
    if (number == 0) /* the marker of a chain, which leads to no object */
        return 0;
    err = refs_entry_in(c->snap, TABLE_OBJECTS, number, &e);
    if (err == -ENOENT)
        check_found(c, true, "id", where,
                    "the index leads to object number %" PRIu64 ", which does not exist", number);
    else if (err == 0 && (!(entry_is_sealed(&e) || e.kind == ENTRY_NONE) || !id_equal(&e.id, &id)))
        check_found(c, true, "id", where,
                    "the index leads to object number %" PRIu64 ", which has another id", number);
    else
        return err == -EUCLEAN ? 0 : err;
    /* The row becomes a marker, so that objects derived from this id are still found. The row of a
     * lost entry stays: adopting the object needs it. */
    if (map64_get(&c->missing, number, &refs))
        return 0;
    f = fix_id(c, &id, 0);
    check_fix(c, &f, "id", where, "the index leads to no object");
    return 0;
}

/* A damaged row becomes a marker, unless an entry says that the row is its own: reindex has offered
 * that. */
static void damaged_id(struct check *c, const uint8_t *key)
{
    struct id id;
    uint64_t none;
    char where[CHECK_WHERE];
    struct fix f;

    memcpy(id.b, key, ID_LEN);
    id_to_hex(&id, where);
    check_found(c, true, "id", where, "its place in the index is damaged");
    if (map64_get(&c->reindexed, first_bytes(key), &none))
        return;
    f = fix_id(c, &id, 0);
    check_fix(c, &f, "id", where, "the index leads to no object");
}

/* Check all rows of the index. */
static int check_ids(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_IDS};

    while (kv_next(&e))
        if (e.klen == ID_LEN && e.len == KV_DAMAGED)
            damaged_id(c, e.key);
        else if (e.klen != ID_LEN || e.len != 8)
            check_found(c, true, "id", "the index", "an entry has the wrong length");
        else
            e.err = check_id(c, e.key, get_be64(e.val));
    if (!e.cut)
        return e.err;
    check_found(c, true, "id", "the index", "it cannot be read to its end");
    c->unreadable = true;
    return 0;
}

/* Report a record of the dying that contradicts the object's entry, and offer the right one. */
static void wrong_dying(struct check *c, uint64_t number, const struct entry *now,
                        const char *sentence)
{
    char where[CHECK_WHERE];
    struct fix f = fix_dying(c, number, now && now->count == 0 ? now : NULL);

    check_where_number("object number", number, where);
    check_found(c, true, "dying", where, "%s", sentence);
    check_fix(c, &f, "dying", where, "%s",
              now && now->count == 0 ? "its record says what its entry says"
                                     : "it is not among the dying");
}

/* Offer to restore a damaged entry from its record among the dying, which is a copy of it. The
 * recount has reported the damage. */
static void restore_dying(struct check *c, uint64_t number, const struct entry *e)
{
    uint8_t key[8], val[ENTRY_MAX];
    char where[CHECK_WHERE];
    struct fix f;

    put_be64(key, number);
    check_where_number("object number", number, where);
    f = fix_put(c, TABLE_OBJECTS, key, sizeof key, val, entry_encode(e, val));
    check_fix(c, &f, "object", where, "it is what its record among the dying says");
}

/* Check a record of the dying. If the object's entry exists, it must have count 0 and name the
 * same bytes. If it does not exist, its removal was committed, and the bytes may be deleted or
 * not. */
static int check_dying(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct entry e, now;
    uint64_t refs;
    char sentence[80];
    bool decodes = entry_decode(val, len, &e) == 0;
    int err = refs_entry_in(c->snap, TABLE_OBJECTS, number, &now);

    check_used(c, "object number", number, c->state.next_number, &c->raised.next_number);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    if (err == -EUCLEAN && decodes && e.count == 0 && !map64_get(&c->missing, number, &refs))
        restore_dying(c, number, &e);
    if (!decodes) {
        wrong_dying(c, number, err == 0 ? &now : NULL, "its record does not decode");
        return 0;
    }
    if (err == 0 && now.count > 0) {
        (void)snprintf(sentence, sizeof sentence,
                       "it is among the dying, but its count is %" PRIu32, now.count);
        wrong_dying(c, number, &now, sentence);
    } else if (err == 0 && entry_is_sealed(&now) && !entry_same_place(&now, &e)) {
        wrong_dying(c, number, &now, "its record names other bytes than its entry");
    }
    if (err != -ENOENT || map64_get(&c->missing, number, &refs))
        return 0;
    if (entry_is_sealed(&e))
        return check_note_place(c, &e);
    return e.kind == ENTRY_SLOT ? map64_put(&c->slots, number, 0) : 0;
}

/* Offer what a damaged pin should be. The recount has reported it, and counted it only if the entry
 * says that it is pinned. An entry of an older version does not say it; then the count tells: one
 * above the recount it is pinned. If both are equal the row is that of another number, whose key is
 * damaged. */
static void fix_pin(struct check *c, uint64_t number, const struct entry *e)
{
    uint64_t refs = 0;
    uint8_t key[8];
    char where[CHECK_WHERE];

    (void)map64_get(&c->count.objects, number, &refs);
    if (e->pinned || e->count == refs + 1) {
        put_pin(c, number);
    } else if (e->count == refs) {
        put_be64(key, number);
        check_where_number("object number", number, where);
        struct fix f = fix_del(TABLE_PINS, key, sizeof key);
        check_fix(c, &f, "pin", where, "it is not pinned");
    }
}

/* Check a pin: its object must exist. The row of a pin has no bytes; other lengths are damage. */
static int check_pin(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    char where[CHECK_WHERE];
    uint8_t key[8];
    int err = refs_entry_in(c->snap, TABLE_OBJECTS, number, &e);

    (void)val;
    if (err == 0 && len != 0)
        fix_pin(c, number, &e);
    if (err != -ENOENT)
        return err == -EUCLEAN ? 0 : err;
    check_where_number("object number", number, where);
    check_found(c, true, "pin", where, "it is pinned, but it is not in the table");
    if (c->flags & REPAIR_REMOVE_DANGLING) {
        put_be64(key, number);
        struct fix f = fix_del(TABLE_PINS, key, sizeof key);
        check_fix(c, &f, "pin", where, "it is not pinned");
    }
    return 0;
}

/* Check a row of the table of unsealed bytes: an entry must need it. The row of a lost entry
 * stays, since adopting the object needs it. */
static int check_row(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    uint64_t refs;
    char where[CHECK_WHERE];
    uint8_t key[8];
    int err = refs_entry_in(c->snap, TABLE_OBJECTS, number, &e);

    (void)val;
    (void)len;
    if (err < 0 && err != -ENOENT)
        return err == -EUCLEAN ? 0 : err;
    if ((err == 0 && e.kind == ENTRY_HELD) || map64_get(&c->missing, number, &refs))
        return 0;
    check_where_number("object number", number, where);
    check_found(c, false, "leak", where, "the metadata keeps bytes of it that nothing needs");
    put_be64(key, number);
    struct fix f = fix_del(TABLE_UNSEALED, key, sizeof key);
    check_fix(c, &f, "leak", where, "the metadata does not keep them");
    return 0;
}

int check_objects(struct check *c)
{
    int err = lost_find(c->snap, &c->count, &c->missing);

    if (err == 0)
        err = check_each(c, TABLE_OBJECTS, "object", check_object);
    if (err == 0)
        err = check_missing(c);
    if (err == 0)
        err = check_ids(c);
    if (err == 0)
        err = check_each(c, TABLE_DYING, "dying", check_dying);
    if (err == 0)
        err = check_each(c, TABLE_PINS, "pin", check_pin);
    return err < 0 ? err : check_each(c, TABLE_UNSEALED, "held", check_row);
}
