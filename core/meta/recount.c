// SPDX-License-Identifier: Apache-2.0
/*
 * recount: see the header. The walk keeps its own stack of pages to visit. A page is pushed when
 * the first reference on it is met. So each page is read once, and the walk ends even if damaged
 * trees have cycles.
 */
#include "array.h"
#include "recount.h"
#include "bytes.h"
#include "entry.h"
#include "item.h"
#include "node.h"
#include "ns_record.h"
#include "page.h"
#include "record.h"
#include <errno.h>
#include <stdlib.h>

/* A page to visit, and what its parent says about it. */
struct visit {
    uint64_t no;
    struct key low, high; /* keys in [low, high) */
    bool bounded;         /* false: there is no upper bound */
    uint8_t level;        /* LEVEL_ANY: it is a root */
};
#define LEVEL_ANY 0xff

struct walk {
    struct kv_snap *snap;
    const struct recount_options *o;
    struct recount *r;
    struct visit *stack;
    size_t count, room;
    uint64_t pages;
    uint8_t *page; /* that is visited */
};

/* Notes that counts may be too low, and reports the damage. */
static void damage(struct walk *w, const char *what, uint64_t number, const char *why)
{
    w->r->damaged = true;
    if (w->o->damage)
        w->o->damage(what, number, why, w->o->ctx);
}

/* ---- trees ---- */

/* Counts one more reference on a page. The first reference pushes the page onto the stack. */
static int name_page(struct walk *w, const struct visit *v)
{
    uint64_t refs;
    int err = map64_add(&w->r->pages, v->no, 1, &refs);

    if (err < 0 || refs > 1 || (w->o->pages_only && v->level == 0))
        return err;
    if (ARRAY_RESERVE(w->stack, w->room, w->count + 1) < 0)
        return -ENOMEM;
    w->stack[w->count++] = *v;
    return 0;
}

static bool in_bounds(const struct visit *v, struct key k)
{
    return key_compare(k, v->low) >= 0 && (!v->bounded || key_compare(k, v->high) < 0);
}

/* Counts the children of an inner page. The key of its first slot is not used: that slot stands for
 * everything from the lower bound of the page on. */
static int visit_inner(struct walk *w, const struct visit *v, const uint8_t *p)
{
    unsigned n = page_count(p);
    int err = 0;

    for (unsigned i = 0; i < n && err == 0; i++) {
        struct visit child = {.no = page_child(p, i),
                              .low = i ? page_key(p, i) : v->low,
                              .high = i + 1 < n ? page_key(p, i + 1) : v->high,
                              .bounded = i + 1 < n || v->bounded,
                              .level = (uint8_t)(page_level(p) - 1)};
        if (i && !in_bounds(v, child.low))
            damage(w, "page", v->no, "a key lies outside of what its parent says");
        if (child.no == 0)
            damage(w, "page", v->no, "it names a child with number 0");
        else
            err = name_page(w, &child);
    }
    return err;
}

/* Counts the objects that the items of a leaf name. An item that does not decode is damage, and the
 * others still count. */
static int visit_leaf(struct walk *w, const struct visit *v, const uint8_t *p)
{
    int err = 0;

    for (unsigned i = 0; i < page_count(p) && err == 0; i++) {
        size_t len;
        const uint8_t *val = page_value(p, i, &len);
        struct key k = page_key(p, i);
        uint64_t object;

        if (!in_bounds(v, k))
            damage(w, "page", v->no, "a key lies outside of what its parent says");
        if (item_check(k, val, len) < 0) {
            damage(w, "page", v->no, "an item does not decode");
            continue;
        }
        w->r->items++;
        object = item_object(k, val, len);
        if (object)
            err = map64_add(&w->r->objects, object, 1, NULL);
    }
    return err;
}

/* Reads and checks one page, and counts what it names. A page that is missing or damaged is
 * reported and is no error; only a failing disk ends the walk (-EIO). */
static int visit_page(struct walk *w, const struct visit *v)
{
    const uint8_t *p = w->page;
    const char *why;
    int err = store_page_read(w->snap, v->no, w->page, &why);

    if (err == 0 && v->level != LEVEL_ANY && page_level(p) != v->level) {
        why = "its level does not fit its parent's";
        err = -EUCLEAN;
    }
    if (err == -EUCLEAN) {
        damage(w, "page", v->no, why);
        return 0;
    }
    if (err < 0)
        return err;
    if (w->o->page)
        w->o->page(v->no, p, w->o->ctx);
    return page_level(p) > 0 ? visit_inner(w, v, p) : visit_leaf(w, v, p);
}

/* Counts a reference on a root, and visits all pages that it reaches and that no earlier root
 * did. */
static int walk_root(struct walk *w, uint64_t root)
{
    int err = root ? name_page(w, &(struct visit){.no = root, .level = LEVEL_ANY}) : 0;

    while (err == 0 && w->count) {
        struct visit v = w->stack[--w->count];
        err = visit_page(w, &v);
        w->pages++;
        if (err == 0 && w->o->step && w->o->step(w->pages, w->o->ctx))
            err = -ECANCELED;
    }
    return err;
}

/* ---- roots, pins, aliases: every entry of a table ---- */

/* Counts one entry of a table; `number` is its key, 8 bytes big-endian. */
typedef int entry_fn(struct walk *w, uint64_t number, const void *val, size_t len);

/* Calls `fn` for every readable entry of a table. A damaged entry, or a table that breaks off, is
 * reported and is no error. */
static int each(struct walk *w, unsigned table, const char *what, entry_fn *fn)
{
    struct kv_each e = {.snap = w->snap, .table = table};

    while (kv_next(&e))
        if (e.klen != 8)
            damage(w, what, 0, "a key is not 8 bytes");
        else if (e.len == KV_DAMAGED)
            damage(w, what, e.number, "what the table says of it is damaged");
        else
            e.err = fn(w, e.number, e.val, e.len);
    if (!e.cut)
        return e.err;
    damage(w, what, 0, "the table cannot be read to its end");
    w->r->unreadable = true;
    return 0;
}

/* Counts the root of a namespace. A symlink at the top has none. */
static int count_namespace(struct walk *w, uint64_t number, const void *val, size_t len)
{
    struct ns_fields f;
    int err = ns_read(number, val, len, &f);

    if (err == -EUCLEAN) {
        damage(w, "namespace", number, "its record is damaged");
        return 0;
    }
    if (err < 0)
        return err;
    if (!f.root && !f.target)
        damage(w, "namespace", number, "it has no root");
    ns_fields_release(&f);
    return walk_root(w, f.root);
}

/* An entry of the drop queue is a list of page numbers. */
static int count_drops(struct walk *w, uint64_t number, const void *val, size_t len)
{
    int err = 0;

    if (len % 8) {
        damage(w, "drop", number, "wrong length");
        return 0;
    }
    for (size_t i = 0; i < len && err == 0; i += 8)
        err = walk_root(w, get_le64((const uint8_t *)val + i));
    return err;
}

/* The root of the orphans stands in the record "state". */
static int count_orphans(struct walk *w)
{
    const void *val;
    struct store_record s;
    size_t len;
    int err = kv_snap_get(w->snap, TABLE_META, "state", 5, &val, &len);

    if (err == 0)
        err = store_record_decode(val, len, &s);
    if (err == -EUCLEAN || err == -ENOENT) {
        damage(w, "state", 0, err == -ENOENT ? "it does not exist" : "it is damaged");
        return 0;
    }
    return err < 0 ? err : walk_root(w, s.orphan_root);
}

/* Rows that are lost cannot be met. That some are, a repair has noted (lost_rows_note). A note that
 * is damaged says it, too. */
static int count_lost_rows(struct walk *w)
{
    const void *val;
    size_t len;
    int err = kv_snap_get(w->snap, TABLE_META, LOST_ROWS, sizeof LOST_ROWS - 1, &val, &len);

    if (err == -ENOENT)
        return 0;
    if (err < 0 && err != -EUCLEAN)
        return err;
    damage(w, "note", 0,
           "a part of the metadata was lost, and with it perhaps namespaces: what these named is "
           "not freed, until `tally check --repair --free-leaks` gives it up");
    return 0;
}

/* A pin is a reference on its number. Its row has no value. One whose row is lost is counted by its
 * entry (count_noted_pin). */
static int count_pin(struct walk *w, uint64_t number, const void *val, size_t len)
{
    (void)val;
    if (number == 0 || len != 0) {
        damage(w, "pin", number, "it does not decode");
        return 0;
    }
    return map64_add(&w->r->objects, number, 1, NULL);
}

/* Has the number a sound row among the pins? 1, 0 or -errno. An entry that is pinned and has none
 * has lost it. */
static int pin_row(struct kv_snap *snap, uint64_t number)
{
    const void *val;
    size_t len;
    int err = kv_snap_get_number(snap, TABLE_PINS, number, &val, &len);

    return err == 0 ? len == 0 : err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

/* Counts a pin whose row is lost or cannot be read, so that count_pin did not. */
static int count_noted_pin(struct walk *w, uint64_t number, const struct entry *e)
{
    int err = e->pinned ? pin_row(w->snap, number) : 1;

    return err ? err < 0 ? err : 0 : map64_add(&w->r->objects, number, 1, NULL);
}

/* Adds the references of an alias to its target. Aliases name sealed objects, never other aliases,
 * so one pass over the table is enough. */
static int count_entry(struct walk *w, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    uint64_t refs;

    if (entry_decode(val, len, &e) < 0) {
        damage(w, "object", number, "its entry does not decode");
        return 0;
    }
    int err = count_noted_pin(w, number, &e);
    if (err < 0)
        return err;
    if (e.kind != ENTRY_ALIAS || !map64_get(&w->r->objects, number, &refs))
        return 0;
    if (e.where == 0) {
        damage(w, "object", number, "it is an alias of nothing");
        return 0;
    }
    return map64_add(&w->r->objects, e.where, (int64_t)refs, NULL);
}

int recount_run(struct kv_snap *snap, const struct recount_options *o, struct recount *ret)
{
    struct walk w = {.snap = snap, .o = o, .r = ret};
    int err;

    *ret = (struct recount){0};
    w.page = malloc(PAGE_SIZE_BYTES);
    if (!w.page)
        return -ENOMEM;
    err = count_lost_rows(&w);
    if (err == 0)
        err = each(&w, TABLE_NAMESPACES, "namespace", count_namespace);
    if (err == 0)
        err = count_orphans(&w);
    if (err == 0)
        err = each(&w, TABLE_DROPS, "drop", count_drops);
    if (err == 0 && !o->pages_only)
        err = each(&w, TABLE_PINS, "pin", count_pin);
    if (err == 0 && !o->pages_only)
        err = each(&w, TABLE_OBJECTS, "object", count_entry);
    free(w.stack);
    free(w.page);
    return err;
}

void recount_release(struct recount *r)
{
    map64_release(&r->pages);
    map64_release(&r->objects);
}
