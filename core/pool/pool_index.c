// SPDX-License-Identifier: Apache-2.0
/*
 * pool_index: a view has a reference count, is never changed once it is installed, and is replaced
 * as a whole. So a lookup needs the lock only to take a reference.
 */
#include "pool_index.h"
#include "lock.h"
#include "pool_marks.h"
#include "pool_report.h"
#include <errno.h>
#include <stdlib.h>

struct pool_view {
    _Atomic unsigned refs;
    struct pool_marks *marks;     /* shared by the views with the same list */
    struct pool_report **reports; /* index: node - 1; NULL: the node has none, or is this one */
    unsigned nodes;
};

struct pool_index {
    struct disk *disk;
    unsigned node;
    struct mutex lock;      /* "pool index": guards `view` */
    struct pool_view *view; /* NULL until one is installed */
};

/* ---- views ---- */

static struct pool_view *view_ref(struct pool_view *v)
{
    if (v)
        atomic_fetch_add(&v->refs, 1);
    return v;
}

/* A list of marks with a count of the views that share it. */
struct shared_marks {
    struct pool_marks list; /* first member, so that a pointer to the list is one to this struct */
    _Atomic unsigned refs;
};

/* Gives back a reference on a list; NULL is fine. */
static void marks_unref(struct pool_marks *m)
{
    struct shared_marks *s = (struct shared_marks *)m;

    if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    pool_marks_release(&s->list);
    free(s);
}

static struct pool_marks *marks_ref(struct pool_marks *m)
{
    atomic_fetch_add(&((struct shared_marks *)m)->refs, 1);
    return m;
}

/* Reads a list of marks; serial 0 gives an empty one. */
static int marks_load(struct disk *disk, uint64_t serial, struct pool_marks **ret_marks)
{
    struct shared_marks *s = calloc(1, sizeof *s);
    int err = 0;

    if (!s)
        return -ENOMEM;
    if (serial)
        err = pool_marks_read(disk, serial, &s->list);
    if (err < 0) {
        free(s);
        return err;
    }
    s->list.serial = serial;
    atomic_store(&s->refs, 1);
    *ret_marks = &s->list;
    return 0;
}

/* NULL is fine. */
static void view_unref(struct pool_view *v)
{
    if (!v || atomic_fetch_sub(&v->refs, 1) > 1)
        return;
    for (unsigned i = 0; i < v->nodes; i++)
        pool_report_close(v->reports[i]);
    free(v->reports);
    marks_unref(v->marks);
    free(v);
}

uint64_t pool_view_serial(const struct pool_view *v)
{
    return v->marks->serial;
}

static struct pool_view *current(struct pool_index *ix)
{
    MUTEX_GUARD(&ix->lock);
    return view_ref(ix->view);
}

/* Opens the reports of the other nodes. A node without a report, or with a damaged one, is left
 * out. */
static int open_reports(struct pool_index *ix, const struct pool_view *old, struct pool_view *v)
{
    unsigned count;
    int err = pool_dir_nodes(ix->disk, &count);

    if (err < 0)
        return err;
    v->reports = calloc(count + 1, sizeof *v->reports);
    if (!v->reports)
        return -ENOMEM;
    v->nodes = count;
    for (unsigned i = 0; i < count; i++) {
        const struct pool_report *like = old && i < old->nodes ? old->reports[i] : NULL;
        if (i + 1 == ix->node)
            continue;
        err = pool_report_open(ix->disk, i + 1, like, &v->reports[i]);
        if (err == -ENOMEM)
            return err;
        if (err < 0)
            v->reports[i] = NULL;
    }
    return 0;
}

/* Makes a view with these marks, and reads the reports now. It takes over the reference on the
 * marks, also after an error. */
static int make_view(struct pool_index *ix, struct pool_marks *marks, const struct pool_view *old,
                     struct pool_view **ret_view)
{
    struct pool_view *v = calloc(1, sizeof *v);
    int err;

    if (!v) {
        marks_unref(marks);
        return -ENOMEM;
    }
    atomic_store(&v->refs, 1);
    v->marks = marks;
    err = open_reports(ix, old, v);
    if (err < 0)
        view_unref(v);
    else
        *ret_view = v;
    return err;
}

int pool_index_load(struct pool_index *ix, uint64_t from, struct pool_view **ret_view)
{
    struct pool_view *old = current(ix);
    struct pool_marks *marks = NULL;
    uint64_t serial;
    int err;

    if (old && pool_view_serial(old) > from)
        from = pool_view_serial(old);
    err = pool_marks_newest(ix->disk, from, &serial);
    if (err == 0 && old && pool_view_serial(old) == serial)
        marks = marks_ref(old->marks);
    else if (err == 0)
        err = marks_load(ix->disk, serial, &marks);
    if (err == 0)
        err = make_view(ix, marks, old, ret_view);
    view_unref(old);
    return err;
}

void pool_index_install(struct pool_index *ix, struct pool_view *v)
{
    struct pool_view *old;

    {
        MUTEX_GUARD(&ix->lock);
        old = ix->view;
        if (old && pool_view_serial(old) > pool_view_serial(v)) {
            old = v;
        } else {
            ix->view = v;
        }
    }
    view_unref(old);
}

/* Has any other node reported since? True also if that cannot be read. */
static bool has_changed(struct pool_index *ix, const struct pool_view *v)
{
    unsigned count;

    if (pool_dir_nodes(ix->disk, &count) < 0 || count != v->nodes)
        return true;
    for (unsigned i = 0; i < count; i++) {
        struct pool_head head;
        int err = i + 1 == ix->node ? -ENOENT : pool_head_read(ix->disk, i + 1, &head);
        bool has = v->reports[i];
        if (i + 1 == ix->node || (err == -ENOENT && !has))
            continue;
        if (err < 0 || !has || pool_report_head(v->reports[i])->serial != head.serial)
            return true;
    }
    return false;
}

int pool_index_update(struct pool_index *ix)
{
    struct pool_view *old = current(ix), *v;
    int err = 0;

    if (old && has_changed(ix, old)) {
        err = make_view(ix, marks_ref(old->marks), old, &v);
        if (err == 0)
            pool_index_install(ix, v);
    }
    view_unref(old);
    return err;
}

/* ---- asking ---- */

/* The mark of the place in the view's list. A key with mark 0 is only unreferenced. */
static uint64_t mark_of(const struct pool_view *v, const struct entry *e)
{
    const struct pool_marks *m = v->marks;
    struct id key = pool_key(e);
    size_t at = id_lower_bound(m->v, m->count, sizeof *m->v, &key);

    return at < m->count && id_equal(&m->v[at].id, &key) ? m->v[at].mark : 0;
}

/* The nth place in the reports that is not absent. */
static int find_in(const struct pool_view *v, const struct id *id, uint64_t size, unsigned nth,
                   struct entry *ret)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < v->nodes; i++) {
        struct entry e;
        if (!v->reports[i])
            continue;
        for (unsigned n = 0; pool_report_find(v->reports[i], id, size, n, &e) == 0; n++)
            if (mark_of(v, &e) == 0 && seen++ == nth) {
                *ret = e;
                return 0;
            }
    }
    return -ENOENT;
}

int pool_index_find(void *ctx, const struct id *id, uint64_t size, unsigned nth, struct entry *ret)
{
    struct pool_view *v = current(ctx);
    int err = v ? find_in(v, id, size, nth, ret) : -ENOENT;

    view_unref(v);
    return err;
}

bool pool_index_names(struct pool_index *ix, const struct entry *e)
{
    struct pool_view *v = current(ix);
    struct id key = pool_key(e);
    bool named = false;

    for (unsigned i = 0; v && i < v->nodes && !named; i++) {
        struct pool_record r;
        named = v->reports[i] && pool_report_get(v->reports[i], &key, &r) == 0;
    }
    view_unref(v);
    return named;
}

uint64_t pool_index_mark(struct pool_index *ix, const struct entry *e)
{
    struct pool_view *v = current(ix);
    uint64_t mark = v ? mark_of(v, e) : 1;

    view_unref(v);
    return mark;
}

size_t pool_index_count_marked(struct pool_index *ix, const struct pool_record *v, size_t count)
{
    struct pool_view *view = current(ix);
    const struct pool_marks *m = view ? view->marks : NULL;
    size_t at = 0, marked = 0;

    for (size_t i = 0; m && i < count && at < m->count; i++) {
        while (at < m->count && id_compare(&m->v[at].id, &v[i].key) < 0)
            at++;
        marked += at < m->count && m->v[at].mark && id_equal(&m->v[at].id, &v[i].key);
    }
    view_unref(view);
    return marked;
}

size_t pool_index_who(struct pool_index *ix, const struct id *id, uint64_t size,
                      unsigned *ret_nodes, size_t max)
{
    struct pool_view *v = current(ix);
    size_t found = 0;

    for (unsigned i = 0; v && i < v->nodes; i++) {
        struct entry e;
        if (!v->reports[i] || pool_report_find(v->reports[i], id, size, 0, &e) < 0)
            continue;
        if (found++ < max)
            ret_nodes[found - 1] = i + 1;
    }
    view_unref(v);
    return found;
}

void pool_index_get_stats(struct pool_index *ix, struct pool_index_stats *ret)
{
    struct pool_view *v = current(ix);

    *ret = (struct pool_index_stats){.serial = v ? pool_view_serial(v) : 0};
    for (size_t i = 0; v && i < v->marks->count; i++)
        ret->absent += v->marks->v[i].mark != 0;
    for (unsigned i = 0; v && i < v->nodes; i++) {
        const struct pool_head *h = v->reports[i] ? pool_report_head(v->reports[i]) : NULL;
        ret->reports += !!h;
        ret->keys += h ? h->active + h->pinned : 0;
    }
    view_unref(v);
}

/* ---- the beginning and the end ---- */

int pool_index_create(struct disk *disk, unsigned node, struct pool_index **ret_index)
{
    struct pool_index *ix = calloc(1, sizeof *ix);

    if (!ix)
        return -ENOMEM;
    ix->disk = disk;
    ix->node = node;
    mutex_init(&ix->lock, "pool index");
    *ret_index = ix;
    return 0;
}

void pool_index_destroy(struct pool_index *ix)
{
    if (!ix)
        return;
    view_unref(ix->view);
    mutex_destroy(&ix->lock);
    free(ix);
}
