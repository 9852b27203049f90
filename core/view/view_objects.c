// SPDX-License-Identifier: Apache-2.0
/*
 * view_objects: objects with their counts, as `.tally/refcounts` and `.tally/objects` show them.
 *
 * Only the dump of the refcount table belongs to one instant: its sequence number is read, and its
 * listing begun, with the freeze lock held for writing.
 */
#include "durability.h"
#include "state.h"
#include "view.h"
#include <errno.h>
#include <stdio.h>

#define U(x) ((unsigned long long)(x))

struct dump {
    FILE *out;
    bool any; /* a count was written already */
};

/* Writes the count of one object. */
static int write_count(const struct refs_item *item, void *ctx)
{
    struct dump *d = ctx;
    char hex[ID_HEX + 1];
    const char *comma = d->any ? ", " : "";

    id_to_hex(&item->id, hex);
    d->any = true;
    return fprintf(d->out, "%s\"%s\": %llu", comma, hex, U(item->count)) < 0 ? -errno : 0;
}

/* The freeze lock is held only while the listing begins: refs keeps the counts of that instant for
 * it. */
int view_refcounts(struct state *p, FILE *out)
{
    struct dump d = {.out = out};
    struct refs_listing *l;
    uint64_t seq;
    int err;

    (void)seal_settle(p);
    {
        WRITE_GUARD(&p->freeze_lock);
        seq = atomic_load(&p->seq);
        err = refs_list_begin(p->refs, -1, NULL, &l);
    }
    if (err < 0)
        return err;
    if (fprintf(out, "{\"seq\": %llu, \"counts\": {", U(seq)) < 0)
        err = -errno;
    if (err == 0)
        err = refs_list_run(p->refs, l, write_count, &d);
    refs_list_end(l);
    if (err == 0 && (fputs("}}\n", out) < 0 || fflush(out) != 0))
        err = -errno;
    return err;
}

/* ---- objects ---- */

int view_object(struct state *p, const struct id *id, struct view_object *ret)
{
    struct entry e;
    uint64_t number;
    int err;

    (void)seal_settle(p);
    err = refs_find_logged(p->refs, id, &number, &e);
    if (err < 0)
        return err;
    refs_unhold(p->refs, number);
    if (e.count == 0)
        return -ENOENT;
    *ret = (struct view_object){.id = *id, .number = number, .refs = e.count, .size = e.size};
    return 0;
}

int view_object_numbered(struct state *p, uint64_t number, struct view_object *ret)
{
    struct entry e;
    int err = refs_entry(p->refs, number, false, NULL, &e);

    if (err < 0)
        return err;
    if (e.count == 0 || !(entry_is_sealed(&e) || e.kind == ENTRY_NONE))
        return -ENOENT;
    *ret = (struct view_object){.id = e.id, .number = number, .refs = e.count, .size = e.size};
    return 0;
}

struct view_listing {
    view_object_fn *fn;
    void *ctx;
    bool stopped;
};

static int list_one(const struct refs_item *item, void *ctx)
{
    struct view_listing *l = ctx;
    struct view_object o = {item->id, item->number, item->count, item->size};

    l->stopped = l->fn(&o, l->ctx) != 0;
    return l->stopped;
}

void view_settle(struct state *p)
{
    (void)seal_settle(p);
}

int view_objects(struct state *p, uint8_t prefix, const struct id *after, view_object_fn *fn,
                 void *ctx)
{
    struct view_listing l = {.fn = fn, .ctx = ctx};
    int err;

    err = refs_list(p->refs, prefix, after, list_one, &l);
    return l.stopped ? 0 : err;
}
