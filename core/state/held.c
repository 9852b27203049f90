// SPDX-License-Identifier: Apache-2.0
/*
 * held: contents that found a place neither in a pack nor in a slot. A commit keeps the bytes of
 * such a content in the table `unsealed`, so that it holds up neither the commit nor other
 * contents.
 *
 * The content stays a buffer. It is read and written like any other, and each flush tries to seal
 * it again. A freeze copies its bytes if they changed since the last freeze. It removes the rows of
 * contents that have another place by now, or are gone: entry and row change in one commit.
 */
#include "array.h"
#include "io.h"
#include "lost.h"
#include "state.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_held(struct state *p, uint64_t number, int *ret_err)
{
    struct entry e;

    *ret_err = refs_entry(p->refs, number, false, NULL, &e);
    return *ret_err == 0 && e.kind == ENTRY_HELD;
}

/* ---- a freeze ---- */

static int add_row(struct held_list *l, const struct held_row *row)
{
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->v[l->count++] = *row;
    return 0;
}

void held_list_release(struct held_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        content_unref(l->v[i].c);
        free(l->v[i].data);
    }
    free(l->v);
    *l = (struct held_list){0};
}

/* Adds the removal of rows whose number is not HELD any more. If the entry cannot be read the row
 * stays: a repair needs it. */
static int drop_rows(struct state *p, struct held_list *l)
{
    uint64_t number, none;
    size_t at = 0;
    int err = 0;

    while (err == 0 && map64_next(&p->contents.held, &at, &number, &none)) {
        int held_err;
        if (!is_held(p, number, &held_err) && (held_err == 0 || held_err == -ENOENT))
            err = add_row(l, &(struct held_row){.number = number});
    }
    return err;
}

/* Copies the bytes of a content into a row, under its io. */
static int copy_bytes(struct content *c, struct held_row *ret)
{
    MUTEX_GUARD(&c->io);

    *ret = (struct held_row){.number = c->number, .len = c->len};
    ret->data = malloc(c->len ? c->len : 1);
    if (!ret->data)
        return -ENOMEM;
    if (c->len)
        memcpy(ret->data, c->data, c->len);
    return 0;
}

/* Makes the entry of a content HELD, and copies its bytes if no commit has them yet. */
static int keep(struct state *p, struct content *c, struct held_list *l)
{
    struct held_row row;
    int err = refs_set_held(p->refs, c->number, content_length(c));

    if (err == -ENOENT || err == -EUCLEAN) /* it was collected just now, or its entry is damaged */
        return 0;
    if (err < 0 || c->state == CONTENT_HELD)
        return err;
    err = copy_bytes(c, &row);
    if (err == 0)
        err = map64_put(&p->contents.held, c->number, 1);
    if (err == 0)
        err = add_row(l, &row);
    if (err < 0) {
        free(row.data);
        return err;
    }
    atomic_fetch_add(&c->refs, 1);
    l->v[l->count - 1].c = c;
    return 0;
}

/* Reports that too much would be kept, once: it is tried again and again. */
static int refuse(struct state *p, struct content *c)
{
    int err = c->seal_error ? c->seal_error : -EIO;

    if (!p->contents.held_told)
        report(REPORT_WARN,
               "content %llu of inode %llu cannot be sealed (%s), and the metadata keeps %u bytes "
               "of such contents at most: no commit without it, it is tried again",
               (unsigned long long)c->number, (unsigned long long)vfs_node_ino(c->owner),
               strerror(-err), HELD_MAX);
    p->contents.held_told = true;
    blame_note(p, BLAME_FLUSH, err, c->number, "content %llu cannot be sealed",
               (unsigned long long)c->number);
    return err;
}

static bool is_buffer(struct state *p, struct content *c, void *ctx)
{
    (void)p;
    (void)ctx;
    return !c->slot;
}

/* Keeps all contents of the list, or refuses the first one beyond HELD_MAX. */
static int keep_all(struct state *p, struct content *const *some, size_t n, struct held_list *l)
{
    size_t total = 0, room = 0;
    int err = 0;

    for (size_t i = 0; i < n && err == 0; i++) {
        total += content_length(some[i]);
        room += some[i]->room;
        err = total > HELD_MAX ? refuse(p, some[i]) : keep(p, some[i], l);
    }
    atomic_store(&p->contents.held_room, room);
    return err;
}

int held_record(struct state *p, struct held_list *ret)
{
    size_t all = atomic_load(&p->contents.count), slots = atomic_load(&p->contents.slots);
    size_t max = all > slots ? all - slots : 0, n = 0;
    struct content **some = calloc(max ? max : 1, sizeof(struct content *));
    int err = some ? drop_rows(p, ret) : -ENOMEM;

    rwlock_held_write(&p->freeze_lock);
    if (err == 0 && max)
        n = contents_pick(p, is_buffer, NULL, some, max);
    if (err == 0)
        err = keep_all(p, some, n, ret);
    for (size_t i = 0; i < n; i++)
        content_unref(some[i]);
    free(some);
    return err;
}

void held_frozen(struct state *p, const struct held_list *l)
{
    rwlock_held_write(&p->freeze_lock);
    p->contents.held_told = false;
    MUTEX_GUARD(&p->contents.lock);
    for (size_t i = 0; i < l->count; i++) {
        if (l->v[i].c)
            content_set_state(p, l->v[i].c, CONTENT_HELD);
        else
            map64_del(&p->contents.held, l->v[i].number);
    }
}

int held_write(const struct held_list *l, struct kv_txn *t)
{
    uint8_t key[8];
    int err = 0;

    for (size_t i = 0; i < l->count && err == 0; i++) {
        const struct held_row *row = &l->v[i];
        put_be64(key, row->number);
        err = row->data ? kv_put(t, TABLE_UNSEALED, key, sizeof key, row->data, row->len)
                        : kv_del(t, TABLE_UNSEALED, key, sizeof key);
    }
    return err;
}

/* ---- a start ---- */

/* Makes a row a content in a buffer whose bytes a commit has. */
static int restore(struct state *p, uint64_t number, const void *val, size_t len)
{
    struct content *c;
    int err = content_restore(p, number, 0, CONTENT_WHOLE, NULL);

    if (err < 0)
        return err;
    err = content_restore_bytes(p, number, val, len, 0);
    c = content_find(p, number);
    if (err == 0) {
        MUTEX_GUARD(&p->contents.lock);
        content_set_state(p, c, CONTENT_HELD);
    } else {
        content_unlist(p, c, CONTENT_GONE);
    }
    content_unref(c);
    return err;
}

static bool is_whole(size_t len)
{
    return len != KV_DAMAGED && len <= CONTENT_BUFFER_MAX;
}

/* Gives a number that has a row and lost its entry an entry again. Otherwise what the log has for
 * these bytes would be lost, and the row would be taken for all of them. Its count is too high
 * until a rebuild. -EINVAL: that number was never given. */
static int regain(struct state *p, uint64_t number, size_t len, struct entry *ret)
{
    int err;

    *ret = (struct entry){.kind = ENTRY_HELD, .count = RESTORE_BIAS, .size = len};
    err = refs_restore(p->refs, number, ret);
    if (err == 0)
        report(REPORT_ALARM,
               "the table of objects did not have object number %llu, whose bytes the metadata "
               "keeps: it is put back, and its count is too high until a `rebuild`",
               (unsigned long long)number);
    return err;
}

/* Loads one row. A row whose entry cannot be read stays as it is: a repair needs it. */
static int load_row(struct state *p, uint64_t number, const void *val, size_t len)
{
    struct entry e;
    int err = refs_entry(p->refs, number, false, NULL, &e);

    if (err == -ENOENT && is_whole(len))
        err = regain(p, number, len, &e);
    if (err == -ENOENT || err == -EUCLEAN || err == -EINVAL)
        return 0;
    if (err == 0)
        err = map64_put(&p->contents.held, number, 1);
    if (err < 0 || e.kind != ENTRY_HELD)
        return err;
    if (is_whole(len) && len == e.size)
        return restore(p, number, val, len);
    report(REPORT_ALARM, "content %llu is damaged: what the metadata has of its bytes",
           (unsigned long long)number);
    return 0;
}

/* Copies a value of the snapshot, so that a failing disk cannot take it away meanwhile. */
static int copy_row(const void *val, size_t len, void **ret)
{
    void *copy = malloc(len && len != KV_DAMAGED ? len : 1);
    int err = !copy ? -ENOMEM : len == KV_DAMAGED ? 0 : kv_snap_copy(copy, val, len);

    if (err < 0) {
        free(copy);
        return err;
    }
    *ret = copy;
    return 0;
}

int held_load(struct state *p)
{
    struct kv_each e = {.table = TABLE_UNSEALED};
    int err = kv_snap_begin(p->config.kv, &e.snap);

    if (err < 0)
        return err;
    while (kv_next(&e)) {
        void *copy;
        if (e.number == 0)
            continue;
        e.err = copy_row(e.val, e.len, &copy);
        if (e.err < 0)
            break;
        e.err = load_row(p, e.number, copy, e.len);
        free(copy);
    }
    kv_snap_end(e.snap);
    if (e.err == -EUCLEAN)
        report(REPORT_ALARM, "the table `unsealed` cannot be read to its end: nothing is changed, "
                             "for the log may go on with bytes in it; `tally check` says more");
    return e.err;
}

bool held_is_damaged(struct state *p, uint64_t number)
{
    struct content *c = content_find(p, number);
    int err;

    content_unref(c);
    return !c && is_held(p, number, &err);
}

int held_adopt(struct state *p, uint64_t number, uint64_t size)
{
    struct content *c = content_find(p, number);
    CLEANUP_FREE uint8_t *buf = NULL;
    uint8_t key[8];
    size_t len;
    int err;

    rwlock_held_write(&p->freeze_lock);
    content_unref(c);
    if (c)
        return 0;
    buf = malloc(KV_VALUE_MAX);
    if (!buf)
        return -ENOMEM;
    put_be64(key, number);
    err = kv_get(p->config.kv, TABLE_UNSEALED, key, sizeof key, buf, KV_VALUE_MAX, &len);
    if (err == -ENOENT || err == -EUCLEAN || (err == 0 && (!is_whole(len) || len != size)))
        return -EBUSY;
    if (err == 0)
        err = map64_put(&p->contents.held, number, 1);
    if (err < 0)
        return err;
    err = restore(p, number, buf, len);
    if (err < 0)
        map64_del(&p->contents.held, number);
    return err;
}
