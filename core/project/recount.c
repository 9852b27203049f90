// SPDX-License-Identifier: Apache-2.0
/*
 * recount: see the header. The walk keeps its own stack of pages to visit; a page is pushed when
 * the first reference on it is met, so each is read once and cycles in damaged trees end.
 */
#include "array.h"
#include "recount.h"
#include "bytes.h"
#include "item.h"
#include "page.h"
#include "pool_node.h"
#include "project_impl.h"
#include "report.h"
#include "restore.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* A page to visit, and what its parent promises about it. */
struct visit {
    uint64_t no;
    struct key low, high; /* keys in [low, high) */
    bool bounded;         /* `high` holds */
    uint8_t level;        /* LEVEL_ANY: a root */
};
#define LEVEL_ANY 0xff

struct walk {
    struct kv_snap *snap;
    const struct recount_options *o;
    struct recount *r;
    struct visit *stack;
    size_t count, room;
    uint64_t pages;
    uint8_t *page; /* the one that is looked at: a copy, which the disk cannot take away */
};

static void damage(struct walk *w, const char *what, uint64_t number, const char *why)
{
    w->r->damaged = true;
    if (w->o->damage)
        w->o->damage(what, number, why, w->o->ctx);
}

/* ---- trees ---- */

/* One more reference on a page; the first one brings it onto the stack. */
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

/* The first slot of an inner page stands for everything from the page's own lower bound. */
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

static int visit_page(struct walk *w, const struct visit *v)
{
    uint8_t key[8];
    const void *p;
    const char *why;
    size_t len;
    int err;

    put_be64(key, v->no);
    err = kv_snap_get(w->snap, TABLE_PAGES, key, sizeof key, &p, &len);
    if (err == -ENOENT || err == -EUCLEAN) {
        damage(w, "page", v->no, err == -ENOENT ? "it does not exist" : "it cannot be read");
        return 0;
    }
    if (err < 0)
        return err;
    why = "wrong length";
    err = len == PAGE_SIZE_BYTES ? kv_snap_copy(w->page, p, len) : -EUCLEAN;
    if (err == -EIO)
        return err;
    p = w->page;
    if (err < 0 || page_check(p, v->no, &why) < 0) {
        damage(w, "page", v->no, why);
        return 0;
    }
    if (v->level != LEVEL_ANY && page_level(p) != v->level) {
        damage(w, "page", v->no, "its level does not fit its parent's");
        return 0;
    }
    if (w->o->page)
        w->o->page(v->no, p, w->o->ctx);
    return page_level(p) > 0 ? visit_inner(w, v, p) : visit_leaf(w, v, p);
}

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

/* `number`: the key, 8 bytes big-endian. */
typedef int entry_fn(struct walk *w, uint64_t number, const void *val, size_t len);

static int each(struct walk *w, unsigned table, const char *what, entry_fn *fn)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    int err;

    while ((err = kv_snap_walk(w->snap, table, key, klen, klen > 0, &key, &klen, &val, &len)) ==
           0) {
        if (klen != 8)
            damage(w, what, 0, "a key is not 8 bytes");
        else if (len == KV_DAMAGED)
            damage(w, what, get_be64(key), "what the table says of it is damaged");
        else
            err = fn(w, get_be64(key), val, len);
        if (err < 0)
            return err;
    }
    if (err == -EUCLEAN) {
        damage(w, what, 0, "the table cannot be read to its end");
        w->r->unreadable = true;
        return 0;
    }
    return err == -ENOENT ? 0 : err;
}

static int count_namespace(struct walk *w, uint64_t number, const void *val, size_t len)
{
    struct ns_fields f;
    int err =
        number == 0 || number > VFS_NS_MAX ? -EUCLEAN : ns_record_check((uint32_t)number, val, len);

    if (err == 0)
        err = ns_decode(val, len, &f);
    if (err == -EUCLEAN) {
        damage(w, "namespace", number, "its record is damaged");
        return 0;
    }
    if (err < 0)
        return err;
    if (!f.root && !f.target)
        damage(w, "namespace", number, "it has no root");
    free(f.target);
    return walk_root(w, f.root);
}

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

static int count_orphans(struct walk *w)
{
    const void *val;
    struct state s;
    size_t len;
    int err = kv_snap_get(w->snap, TABLE_META, "state", 5, &val, &len);

    if (err == 0)
        err = state_decode(val, len, &s);
    if (err == -EUCLEAN || err == -ENOENT) {
        damage(w, "state", 0, err == -ENOENT ? "it does not exist" : "it is damaged");
        return 0;
    }
    return err < 0 ? err : walk_root(w, s.orphan_root);
}

static int count_pin(struct walk *w, uint64_t number, const void *val, size_t len)
{
    (void)val;
    if (number == 0 || len != 0) {
        damage(w, "pin", number, "it does not decode");
        return 0;
    }
    return map64_add(&w->r->objects, number, 1, NULL);
}

/* Aliases name sealed objects, never aliases, so one pass is enough. */
static int count_alias(struct walk *w, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    uint64_t refs;

    if (entry_decode(val, len, &e) < 0) {
        damage(w, "object", number, "its entry does not decode");
        return 0;
    }
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
    err = each(&w, TABLE_NAMESPACES, "namespace", count_namespace);
    if (err == 0)
        err = count_orphans(&w);
    if (err == 0)
        err = each(&w, TABLE_DROPS, "drop", count_drops);
    if (err == 0 && !o->pages_only)
        err = each(&w, TABLE_PINS, "pin", count_pin);
    if (err == 0 && !o->pages_only)
        err = each(&w, TABLE_OBJECTS, "object", count_alias);
    free(w.stack);
    free(w.page);
    return err;
}

void recount_release(struct recount *r)
{
    map64_release(&r->pages);
    map64_release(&r->objects);
}

/* ---- rebuild ---- */

/* One count that is wrong: what to add to it. */
struct fix {
    uint64_t number;
    int64_t delta;
    bool page, unnamed; /* a page's; a page that nothing names */
    bool alias;         /* an object's that was an alias in the snapshot */
    bool sealed;        /* an object's that has bytes of its own */
};

struct rebuild {
    struct project *p;
    struct job *job;
    bool part; /* of a job whose progress is another one */
    struct kv_snap *snap;
    struct recount count;
    struct map64 lost;  /* numbers without an entry -> references */
    struct map64 fresh; /* numbers that this rebuild gave one, with a count too high */
    uint64_t total; /* pages */
    struct fix *fix;
    size_t fixes, room;
    uint64_t changed;
};

#define FIXES_AT_ONCE 256 /* under one hold of the gate */

/* What is hidden may name it, and a lost number may have been its alias. */
static bool may_lower(const struct rebuild *b, const struct fix *f)
{
    uint64_t none;

    if (b->count.damaged)
        return false;
    return f->page || !f->sealed || !b->lost.count || map64_get(&b->fresh, f->number, &none);
}

static int fix_push(struct rebuild *b, const struct fix *f)
{
    if (f->delta == 0 && !f->unnamed)
        return 0;
    if ((f->delta < 0 || f->unnamed) && !may_lower(b, f))
        return 0;
    if (ARRAY_RESERVE(b->fix, b->room, b->fixes + 1) < 0)
        return -ENOMEM;
    b->fix[b->fixes++] = *f;
    return 0;
}

static bool rebuild_step(uint64_t pages, void *ctx)
{
    struct rebuild *b = ctx;

    if (!b->job)
        return atomic_load(&b->p->closing);
    if (pages % 256 == 0 && !b->part) {
        job_progress(b->p, b->job, pages, b->total);
        job_progress_bytes(b->p, b->job, pages * PAGE_SIZE_BYTES, b->total * PAGE_SIZE_BYTES);
    }
    return atomic_load(&b->job->cancel);
}

static void rebuild_damage(const char *what, uint64_t number, const char *why, void *ctx)
{
    (void)ctx;
    report(REPORT_ALARM, "rebuild: %s %llu: %s", what, (unsigned long long)number, why);
}

static int compare_object(struct rebuild *b, uint64_t number, const void *val, size_t len)
{
    uint64_t refs = 0;
    struct entry e;

    if (entry_decode(val, len, &e) < 0)
        return 0; /* told already */
    (void)map64_get(&b->count.objects, number, &refs);
    return fix_push(b, &(struct fix){.number = number,
                                     .delta = (int64_t)refs - e.count,
                                     .alias = e.kind == ENTRY_ALIAS,
                                     .sealed = entry_is_sealed(&e)});
}

static int compare_page(struct rebuild *b, uint64_t no, const void *val, size_t len)
{
    uint64_t refs = 0, stored = 1;
    uint8_t key[8];
    int err;

    (void)val;
    (void)len;
    (void)map64_get(&b->count.pages, no, &refs);
    put_be64(key, no);
    err = kv_snap_get(b->snap, TABLE_PAGE_COUNTS, key, sizeof key, &val, &len);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    if (err == 0 && len == 4)
        stored = get_le32(val);
    return fix_push(b, &(struct fix){.number = no,
                                     .delta = (int64_t)(refs - stored),
                                     .page = true,
                                     .unnamed = refs == 0});
}

static int compare_table(struct rebuild *b, unsigned table,
                         int (*fn)(struct rebuild *, uint64_t, const void *, size_t))
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    int err;

    while ((err = kv_snap_walk(b->snap, table, key, klen, klen > 0, &key, &klen, &val, &len)) ==
           0) {
        err = klen == 8 ? fn(b, get_be64(key), val, len) : 0;
        if (err < 0)
            return err;
    }
    return err == -ENOENT ? 0 : err;
}

static int add_count(struct project *p, uint64_t no, int64_t delta)
{
    int err = 0;

    while (delta != 0 && err == 0) { /* a damaged count may be off by more than an int holds */
        int64_t step = delta > INT_MAX ? INT_MAX : delta < -INT_MAX ? -INT_MAX : delta;
        err = pages_add_count(p->pages, no, (int)step, NULL);
        delta -= step;
    }
    return err;
}

/* Nothing can name such a page again, for its number is not used again. */
static int free_page(struct project *p, const struct fix *f)
{
    int err = f->delta < -1 ? add_count(p, f->number, f->delta) : 0;

    return err < 0 ? err : pages_free(p->pages, f->number);
}

/* Surplus references belong to nobody, so the live count is at least as large. The last of them is
 * given back by the dropper, which knows what to do with a page that nobody else names by now. */
static int fix_page(struct project *p, const struct fix *f)
{
    int err;

    if (f->unnamed)
        return free_page(p, f);
    if (f->delta > 0)
        return add_count(p, f->number, f->delta);
    err = add_count(p, f->number, f->delta + 1);
    return err < 0 ? err : drops_push(p->drops, f->number);
}

/* What became an alias after the snapshot took its wrong count along to its target. */
static int fix_object(struct project *p, const struct fix *f)
{
    uint64_t target = refs_resolve(p->refs, f->number);
    int err = 0;

    if (!f->alias && target != f->number)
        err = refs_correct(p->refs, target, f->delta);
    return err < 0 ? err : refs_correct(p->refs, f->number, f->delta);
}

static int apply_some(struct rebuild *b, size_t from, size_t upto)
{
    struct project *p = b->p;
    INSTANT_GUARD(p);
    int err = project_writable(p);

    for (size_t i = from; i < upto && err == 0; i++) {
        const struct fix *f = &b->fix[i];
        err = f->page ? fix_page(p, f) : fix_object(p, f);
        if (err == -ENOENT || err == -EOVERFLOW) { /* too low for too long: it is gone by now */
            report(REPORT_WARN, "rebuild: the count of %s %llu could not be corrected",
                   f->page ? "page" : "object number", (unsigned long long)f->number);
            err = 0;
            continue;
        }
        b->changed += err == 0;
    }
    return b->changed ? change_done(p, NULL, err) : err;
}

static int apply(struct rebuild *b)
{
    int err = 0;

    for (size_t i = 0; i < b->fixes && err == 0; i += FIXES_AT_ONCE)
        err = apply_some(b, i, b->fixes - i < FIXES_AT_ONCE ? b->fixes : i + FIXES_AT_ONCE);
    if (b->fixes)
        flush_kick_drops(b->p);
    return err;
}

static int find_fixes(struct rebuild *b)
{
    struct recount_options o = {.damage = rebuild_damage, .step = rebuild_step, .ctx = b};
    int err = kv_snap_count(b->snap, TABLE_PAGES, &b->total);

    if (err == 0)
        err = recount_run(b->snap, &o, &b->count);
    if (err == 0)
        err = lost_find(b->snap, &b->count, &b->lost);
    if (err == 0)
        err = compare_table(b, TABLE_OBJECTS, compare_object);
    if (err == 0)
        err = compare_table(b, TABLE_PAGES, compare_page);
    return err;
}

/* What one look at the last commit finds. `found`: entries that were lost and have their bytes
 * again. */
static int rebuild_round(struct rebuild *b, bool last, uint64_t *found)
{
    struct project *p = b->p;
    int err = project_flush(p); /* the corrections of the one before are in the snapshot */

    if (err < 0)
        return err;
    recount_release(&b->count);
    map64_release(&b->lost);
    b->fixes = 0;
    /* Any committed state will do: it is consistent, and the live one is that plus changes. */
    err = kv_snap_begin(p->config.kv, &b->snap);
    if (err < 0)
        return err;
    err = find_fixes(b);
    if (err == 0 && b->lost.count && !last)
        err = restore_lost(p, b->snap, &b->lost, &b->fresh, found);
    else if (err == 0)
        err = restore_rows(p, b->snap, !b->count.damaged && !b->lost.count, &b->changed);
    kv_snap_end(b->snap);
    return err < 0 ? err : apply(b);
}

/* Files have lost their bytes: which, and what the job says of it. */
static int tell_lost(struct rebuild *b)
{
    char text[200];
    int err = restore_tell(b->p, &b->lost);

    snprintf(text, sizeof text,
             "changed=%llu lost=%llu why=\"the bytes of %llu objects are nowhere to be found; the "
             "journal names the files\"",
             (unsigned long long)b->changed, (unsigned long long)b->lost.count,
             (unsigned long long)b->lost.count);
    if (b->job && !b->part)
        job_result(b->p, b->job, text);
    return err < 0 ? err : -EUCLEAN;
}

/* Lost entries are put back first, and all is counted once more: only then it is known what they
 * count. */
static int rebuild_rounds(struct rebuild *b)
{
    uint64_t found = 0, mark = met_mark(b->p);
    int err = rebuild_round(b, false, &found);

    if (err == 0 && b->lost.count)
        err = rebuild_round(b, true, &found);
    if (err < 0)
        return err;
    b->changed += found;
    if (b->job && !b->part)
        job_progress(b->p, b->job, b->total, b->total);
    met_forget(b->p, mark, true);
    pool_node_mended(b->p);
    if (b->lost.count)
        return tell_lost(b);
    return b->count.damaged ? -EUCLEAN : 0;
}

static int rebuild_alone(struct project *p, struct job *j, bool part, uint64_t *ret_changed)
{
    struct rebuild b = {.p = p, .job = j, .part = part};
    int err = rebuild_rounds(&b);

    if (err == 0)
        *ret_changed = b.changed;
    recount_release(&b.count);
    map64_release(&b.lost);
    map64_release(&b.fresh);
    free(b.fix);
    return err;
}

/* Two at once would both see a count that is too high, and both lower it. */
static int rebuild(struct project *p, struct job *j, bool part, uint64_t *ret_changed)
{
    if (atomic_exchange(&p->recounting, true))
        return -EBUSY;
    int err = rebuild_alone(p, j, part, ret_changed);

    atomic_store(&p->recounting, false);
    return err;
}

int project_rebuild(struct project *p, struct job *j, uint64_t *ret_changed)
{
    return rebuild(p, j, false, ret_changed);
}

int project_recount(struct project *p, struct job *j, uint64_t *ret_changed)
{
    return rebuild(p, j, true, ret_changed);
}
