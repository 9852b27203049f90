// SPDX-License-Identifier: Apache-2.0
/*
 * restore_items: see the header. Objects are looked for with no lock held, since bytes may have to
 * be compared, which asks the archive. The items are put in small steps.
 */
#include "restore_items.h"

#include "archived.h"
#include "bytes.h"
#include "entry_absent.h"
#include "flush.h"
#include "names.h"
#include "report.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE ((size_t)1 << 20) /* bytes that are compared at once */
#define PROGRESS_EVERY 4096       /* items */
/* What the row of a pack in the archive says that its file has: the most that a row may say. How
 * long the file is, is not known, and is of no use here: it is never compacted. But objects that
 * are dropped count until they are deleted, beside those that a later restore makes of the same
 * bytes, so these may be more than a pack has. */
#define PACK_BYTES (UINT64_C(1) << 32)

/* An item that waits to be put, with the object that it names. */
struct restore_waiting {
    struct segment_item item;
    uint8_t bytes[PAGE_VALUE_MAX]; /* its value, or its name if it is gone */
    uint64_t object;               /* held; 0: none, or it has to be made */
};

static int fail(struct restore_items *r, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(struct restore_items *r, int err, const char *fmt, ...)
{
    va_list ap;

    if (r->why->len)
        return err;
    va_start(ap, fmt);
    strbuf_vaddf(r->why, fmt, ap);
    va_end(ap);
    return err;
}

/* ---- contents ---- */

/* The entry of an object that is in the archive. */
static struct entry ghost_of(const struct restore_items *r, const struct segment_content *c)
{
    return (struct entry){.kind = c->in_pack ? ENTRY_PACK : ENTRY_FILE,
                          .id = c->id,
                          .size = c->size,
                          .where = c->where,
                          .offset = c->offset,
                          .shard = r->archive,
                          .created = r->time > 0 ? (uint64_t)(r->time / NSEC_PER_MSEC) : 0};
}

/* Has the archive this very object at that place? */
static bool is_at(const struct restore_items *r, uint64_t number, const struct entry *e,
                  const struct segment_content *c)
{
    struct archived_place at;

    if (e->size != c->size)
        return false;
    if (e->shard == r->archive)
        return (e->kind == ENTRY_PACK) == c->in_pack && e->where == c->where &&
               e->offset == c->offset;
    return archived_get(r->p->archived, r->archive, number, &at) == 0 && at.in_pack == c->in_pack &&
           at.where == c->where && at.offset == c->offset;
}

/* Compares the bytes of an object of this store with those of the archive, of one size. 1, 0 or
 * -errno; -ENODATA: those of this store cannot be read; -EUCLEAN: those of the archive cannot. */
static int compare(struct restore_items *r, const struct entry *here, const struct entry *there)
{
    uint8_t *buf = malloc(2 * COMPARE);
    int same = buf ? 1 : -ENOMEM;

    for (uint64_t at = 0; same == 1 && at < here->size; at += COMPARE) {
        size_t n = here->size - at < COMPARE ? (size_t)(here->size - at) : COMPARE;
        ssize_t x =
            state_is_ending(r->p) ? -ESHUTDOWN : objects_read(r->p->objects, here, buf, n, at);
        ssize_t y = x < 0 ? x : objects_read_there(r->p->objects, there, buf + COMPARE, n, at);

        if (x == -EUCLEAN)
            y = -ENODATA;
        same =
            y < 0 ? (int)y : (size_t)x == n && (size_t)y == n && memcmp(buf, buf + COMPARE, n) == 0;
    }
    free(buf);
    return same;
}

/* A content that the archive does not have: nothing can be compared, so an object of its id and
 * size is taken for it. *ret is held; 0: there is none. */
static int find_lost(struct restore_items *r, const struct segment_content *c, uint64_t *ret)
{
    struct entry e;
    bool pending;
    int err = refs_find(r->p->refs, &c->id, ret, &e, &pending);

    if (err == 0 && e.size == c->size)
        return 0;
    if (err == 0)
        refs_unhold(r->p->refs, *ret);
    *ret = 0;
    return err == -ENOENT || err == -EAGAIN ? 0 : err;
}

/* ---- a content that is at two places ----
 *
 * The writer names one place as long as it has the object. Afterwards the place may be given up,
 * and the same bytes get another one when they come back. So of two places that of the later
 * segment is the one that stays, and `created` of a ghost in an archive is the time of the segment
 * that named its place.
 */

enum verdict { OTHER_BYTES, STAYS, GOES_THERE };

static int say_unreadable(const struct entry *here)
{
    char hex[ID_HEX + 1];

    id_to_hex(&here->id, hex);
    report(REPORT_ALARM, "object %s cannot be read at any place that the archive names", hex);
    return STAYS;
}

/* The place that this store knows in the archive is given up, or damaged: nothing can be compared.
 * As sound bytes replace damaged ones of the same id (DESIGN.md, 4.1), so here. */
static int judge_alone(struct restore_items *r, const struct entry *here, const struct entry *there)
{
    int err = objects_verify_there(r->p->objects, there);

    return err == 0 ? GOES_THERE : err == -EUCLEAN ? say_unreadable(here) : err;
}

/* Which place has the object from now on? */
static int judge(struct restore_items *r, const struct entry *here, const struct entry *there)
{
    const bool ours = here->shard == r->archive;
    int same = ours ? objects_ask_closely(r->p->objects, here) : 1;

    if (same == 1)
        same = compare(r, here, there);
    else if (same == 0)
        same = -ENODATA;
    if (same == -ENODATA)
        return ours ? judge_alone(r, here, there) : -EUCLEAN;
    if (same == -EUCLEAN) /* what the archive says last is lost there, and is here */
        return STAYS;
    if (same != 1)
        return same < 0 ? same : OTHER_BYTES;
    return ours && (!r->is_kept || there->created < here->created) ? STAYS : GOES_THERE;
}

/* Counts in the place of a record, and names it. */
static int name_place(struct restore_items *r, uint64_t number, const struct entry *here,
                      const struct entry *there)
{
    int err = 0;
    READ_GUARD(&r->p->freeze_lock);

    if (there->kind == ENTRY_PACK)
        err = packs_count_in(r->p->packs, there->shard, there->where, 1, there->size, PACK_BYTES);
    if (err < 0)
        return err;
    err = refs_relocate(r->p->refs, number, here, there);
    if (err < 0) {
        (void)refs_reclaim_place(r->p->refs, there);
        return err == -ESTALE || err == -ENOENT ? -EAGAIN : err;
    }
    r->moved++;
    /* after an error the old place stays counted until a GC cycle */
    return refs_reclaim_place(r->p->refs, here);
}

/* The archive has the object at that place. What is here stays here. Then only a follower notes the
 * place: it applies segments in their order, so that it is the last one; where it is not, a second
 * copy is put when the store has taken over. */
static int take_place(struct restore_items *r, uint64_t number, const struct entry *here,
                      const struct entry *there)
{
    const struct archived_place at = {
        .in_pack = there->kind == ENTRY_PACK, .where = there->where, .offset = there->offset};

    if (here->shard == r->archive)
        return name_place(r, number, here, there);
    if (!atomic_load(&r->p->follows))
        return 0;
    READ_GUARD(&r->p->freeze_lock);

    return archived_put(r->p->archived, r->archive, number, &at);
}

/* Is the object, which is held, the content? -EAGAIN: it was moved meanwhile. */
static int settle(struct restore_items *r, uint64_t number, const struct entry *here,
                  const struct segment_content *c)
{
    const struct entry there = ghost_of(r, c);
    int verdict = here->size == c->size ? STAYS : OTHER_BYTES;

    if (is_at(r, number, here, c))
        return 0;
    if (verdict == STAYS)
        verdict = judge(r, here, &there);
    if (verdict == OTHER_BYTES)
        return fail(r, -EEXIST,
                    "an object of this store has the id of one of the archive, and other bytes");
    return verdict == GOES_THERE ? take_place(r, number, here, &there) : verdict < 0 ? verdict : 0;
}

/* Finds an object of this store that is the content. An equal id is a hint: the archive has this
 * object at that place, or the bytes are compared. *ret is held; 0: there is none. */
static int find_once(struct restore_items *r, const struct segment_content *c, uint64_t *ret)
{
    struct entry e;
    bool pending;
    int err = refs_find(r->p->refs, &c->id, ret, &e, &pending);

    if (err < 0) {
        *ret = 0; /* what had the id of a chain marker has died: the id is free */
        return err == -ENOENT || err == -EAGAIN
                   ? 0
                   : fail(r, err, "an object of this store cannot be looked up by its id");
    }
    err = settle(r, *ret, &e, c);
    if (err < 0) {
        refs_unhold(r->p->refs, *ret);
        *ret = 0;
    }
    return err;
}

static int find_here(struct restore_items *r, const struct segment_content *c, uint64_t *ret)
{
    int err;

    if (segment_content_is_lost(c))
        return find_lost(r, c, ret);
    do
        err = find_once(r, c, ret);
    while (err == -EAGAIN);
    return err;
}

/* Makes an object whose bytes are in the archive, or nowhere. *ret is held. Needs the freeze
 * lock. */
static int make_object(struct restore_items *r, const struct segment_content *c, uint64_t *ret)
{
    const bool lost = segment_content_is_lost(c);
    const struct entry e = lost ? entry_absent(&c->id, c->size) : ghost_of(r, c);
    int err = refs_new_aside(r->p->refs, ret);

    if (err < 0)
        return err;
    err = refs_seal_new(r->p->refs, *ret, &e);
    if (err == 0 && c->in_pack)
        err = packs_count_in(r->p->packs, r->archive, c->where, 1, c->size, PACK_BYTES);
    if (err < 0) {
        refs_drop_aside(r->p->refs, *ret);
        return err;
    }
    if (lost)
        return 0;
    atomic_store(&r->p->has_ghosts, true);
    r->ghosts++;
    return 0;
}

/* Reads an object in the archive, each once, if it is one of those that are to be read. */
static int read_there(struct restore_items *r, const struct segment_content *c)
{
    const struct entry there = ghost_of(r, c);
    const uint64_t part = get_le64(c->id.b) | 1; /* 0 is no key */
    uint64_t seen;
    int err;

    if (segment_content_is_lost(c) || part / 2 % 100 >= r->read ||
        map64_get(&r->looked, part, &seen))
        return 0;
    err = map64_put(&r->looked, part, 1);
    if (err == 0)
        err = objects_verify_there(r->p->objects, &there);
    r->reads += err == 0;
    return err == -EUCLEAN ? fail(r, err, "the bytes of an object in the archive are damaged")
                           : err;
}

/* The object of an item that is to be put. Two items may name one object that neither found.
 * -EAGAIN: somebody has made an object of that id since: it has to be compared, with no lock
 * held. */
static int object_of(struct restore_items *r, struct restore_waiting *w)
{
    struct entry e;
    bool pending;
    int err;

    if (!w->item.has_content || w->object)
        return 0;
    err = refs_find(r->p->refs, &w->item.content.id, &w->object, &e, &pending);
    if (err == 0 && segment_content_is_lost(&w->item.content) && e.size == w->item.content.size)
        return 0;
    if (err == 0 && is_at(r, w->object, &e, &w->item.content))
        return 0;
    if (err == 0)
        refs_unhold(r->p->refs, w->object);
    w->object = 0;
    if (err == -EAGAIN || (err == 0 && segment_content_is_lost(&w->item.content)))
        err = -ENOENT; /* a chain marker, or the id of other bytes */
    return err == -ENOENT ? make_object(r, &w->item.content, &w->object) : err == 0 ? -EAGAIN : err;
}

/* ---- items ---- */

static bool is_named(const struct segment_item *i)
{
    return i->type == ITEM_DIRENT || i->type == ITEM_XATTR;
}

/* A name with a NUL behind it. */
static void copy_name(const struct segment_item *i, char out[ITEM_NAME_MAX + 1])
{
    memcpy(out, i->name, i->name_len);
    out[i->name_len] = '\0';
}

/* What is gone may have come in between, where a section spans several: then it was not there
 * before. The state sum says whether all is right in the end. */
static int put_named(struct restore_items *r, const struct segment_item *i)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct tree *t = &r->draft->tree;
    char name[ITEM_NAME_MAX + 1];
    struct key k;
    int err;

    copy_name(i, name);
    err = name_find(r->p, t, i->ino, i->type, name, &k, &c);
    if (err == 0)
        tree_cursor_end(&c);
    if (i->gone)
        return err == 0 ? name_del(r->p, t, k, name) : err == -ENOENT ? 0 : err;
    return err == 0 || err == -ENOENT ? name_put(r->p, t, k, name, i->val, i->len) : err;
}

static int put_plain(struct restore_items *r, const struct segment_item *i)
{
    const struct key k = key_make(i->ino, i->type, i->rest);
    int err = i->gone ? tree_del(&r->draft->tree, k) : tree_put(&r->draft->tree, k, i->val, i->len);

    return i->gone && err == -ENOENT ? 0 : err;
}

/* Puts one item. Needs the locks. */
static int put_one(struct restore_items *r, struct restore_waiting *w)
{
    struct segment_item *i = &w->item;
    int err = object_of(r, w);

    if (err < 0)
        return err;
    if (w->object)
        item_set_object(key_make(i->ino, i->type, i->rest), w->bytes, i->len, w->object);
    return is_named(i) ? put_named(r, i) : put_plain(r, i);
}

static void let_go(struct restore_items *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->v[i].object)
            refs_unhold(r->p->refs, r->v[i].object);
    r->count = 0;
}

/* Puts the items from r->next on. */
static int put_some(struct restore_items *r)
{
    int err = state_writable(r->p);

    if (err == 0)
        err = flush_throttle(r->p);
    if (err == 0)
        err = flush_room(r->p);
    if (err < 0)
        return err;
    READ_GUARD(&r->p->freeze_lock);
    WRITE_GUARD(&r->draft->lock);

    for (; r->next < r->count && err == 0; r->next += err == 0)
        err = put_one(r, &r->v[r->next]);
    return err;
}

/* Puts what waits. The objects were looked for by then, with no lock held. */
static int put_waiting(struct restore_items *r)
{
    int err;

    r->next = 0;
    while ((err = put_some(r)) == -EAGAIN)
        if ((err = find_here(r, &r->v[r->next].item.content, &r->v[r->next].object)) < 0)
            break;
    r->done += r->count;
    let_go(r);
    if (err == 0 && r->done % PROGRESS_EVERY < RESTORE_AT_ONCE && r->progress)
        err = r->progress(r->done, r->of, r->ctx);
    return err;
}

/* Copies an item, which borrows from what is read, to those that wait. */
static void add_waiting(struct restore_items *r, const struct segment_item *i)
{
    struct restore_waiting *w = &r->v[r->count++];

    w->item = *i;
    w->object = 0;
    if (i->gone && i->name)
        memcpy(w->bytes, i->name, i->name_len);
    if (!i->gone)
        memcpy(w->bytes, i->val, i->len);
    if (i->name)
        w->item.name = (const char *)w->bytes + (i->gone ? 0 : i->name - (const char *)i->val);
    w->item.val = i->gone ? NULL : w->bytes;
}

static int take(struct restore_items *r, const struct segment_item *i)
{
    struct restore_waiting *w;
    int err = 0;

    if (state_is_ending(r->p))
        return -ESHUTDOWN;
    add_waiting(r, i);
    w = &r->v[r->count - 1];
    if (i->has_content)
        err = find_here(r, &i->content, &w->object);
    if (err == 0 && i->has_content && r->read)
        err = read_there(r, &i->content);
    r->shared += w->object != 0;
    return err == 0 && r->count == RESTORE_AT_ONCE ? put_waiting(r) : err;
}

static int take_item(const struct segment_item *i, void *ctx)
{
    struct restore_items *r = ctx;
    int err = take(r, i);

    r->local = err < 0; /* what was asked of the archive meanwhile has told it that by then */
    return err;
}

int restore_items_begin(struct restore_items *r)
{
    r->v = calloc(RESTORE_AT_ONCE, sizeof *r->v);
    return r->v ? 0 : -ENOMEM;
}

int restore_items_load(struct restore_items *r, struct shard *shard,
                       const struct archive_segment *g, const struct segment_section *section)
{
    int err;

    r->time = g->front.head.time;
    err = archive_items(shard, g, section, take_item, r);
    if (err == 0) {
        err = put_waiting(r);
        r->local = err < 0;
    }
    return err;
}

void restore_items_end(struct restore_items *r)
{
    if (r->v)
        let_go(r);
    free(r->v);
    r->v = NULL;
    map64_release(&r->looked);
}
