// SPDX-License-Identifier: Apache-2.0
/* ns_settings: see the header. */
#include "ns_settings.h"

#include "array.h"
#include "bytes.h"
#include "report.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The place of the setting, or the one where it would be. "" is in front of all names. */
static size_t place(const struct ns_settings *l, uint32_t ns, const char *name)
{
    size_t from = 0, end = l->count;

    while (from < end) {
        size_t mid = from + (end - from) / 2;
        const struct ns_setting_row *row = &l->v[mid];
        if (row->ns < ns || (row->ns == ns && strcmp(row->name, name) < 0))
            from = mid + 1;
        else
            end = mid;
    }
    return from;
}

static struct ns_setting_row *find_row(const struct ns_settings *l, uint32_t ns, const char *name)
{
    size_t i = place(l, ns, name);

    return i < l->count && l->v[i].ns == ns && strcmp(l->v[i].name, name) == 0 ? &l->v[i] : NULL;
}

/* Finds the row, or puts an empty one in. NULL: no memory. */
static struct ns_setting_row *need(struct ns_settings *l, uint32_t ns, const char *name)
{
    struct ns_setting_row *row = find_row(l, ns, name);
    size_t i = place(l, ns, name);

    if (row || ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return row;
    row = &l->v[i];
    memmove(row + 1, row, (l->count - i) * sizeof *row);
    l->count++;
    *row = (struct ns_setting_row){.ns = ns};
    memcpy(row->name, name, strlen(name) + 1);
    return row;
}

/* Has the namespace as many settings as it may, and not this one? */
static bool is_full(const struct ns_settings *l, uint32_t ns, const char *name)
{
    const struct ns_setting_row *row = find_row(l, ns, name);
    unsigned n = 0;

    for (size_t i = place(l, ns, ""); i < l->count && l->v[i].ns == ns; i++)
        n += !!l->v[i].value;
    return n >= NS_SETTINGS_MAX && !(row && row->value);
}

/* Sets a value; needs "names" for writing. -ENOMEM: nothing is changed that anybody sees. */
static int put_setting(struct state *p, uint32_t ns, const struct ns_setting *s, bool dirty)
{
    uint8_t *copy = s->value ? malloc(s->len + 1) : NULL;
    struct ns_setting_row *row = s->value && !copy ? NULL : need(&p->names.settings, ns, s->name);

    if (!row) {
        free(copy);
        return -ENOMEM;
    }
    if (s->len)
        memcpy(copy, s->value, s->len);
    free(row->value);
    row->value = copy;
    row->len = s->len;
    row->dirty = dirty;
    return 0;
}

/* ---- limits ---- */

/* A limit of a namespace; 0: it has none, or one in another form. */
static uint64_t limit_of(const struct ns_settings *l, uint32_t ns, const char *name)
{
    const struct ns_setting_row *row = find_row(l, ns, name);

    return row && row->value && row->len == 8 ? get_le64(row->value) : 0;
}

/* Brings what struct ns has of the settings up to the rows. Needs "names". */
static void apply_limits(struct state *p, struct ns *ns)
{
    atomic_store(&ns->limit_bytes, limit_of(&p->names.settings, ns->number, NS_LIMIT_BYTES));
    atomic_store(&ns->limit_inodes, limit_of(&p->names.settings, ns->number, NS_LIMIT_INODES));
}

/* Notes a change of a setting for the log. */
static void capture_setting(struct txn *t, const struct ns *ns, const struct ns_setting *s)
{
    uint8_t data[NS_SETTING_OP_MAX];

    capture_op(t, &(struct op){.kind = OP_NS_SETTING,
                               .ns = ns->number,
                               .data = data,
                               .len = ns_setting_encode(s, data)});
}

/* What the limits of a branch of `from` are taken from. */
static const struct ns *limited(struct state *p, const struct ns *from)
{
    struct ns *of = from->hidden.kind ? ns_table_get(&p->names, from->hidden.of.ns) : NULL;

    if (atomic_load(&from->limit_bytes) || atomic_load(&from->limit_inodes))
        return from;
    return of && ns_is_of(&from->hidden.of, of) ? of : from;
}

int ns_settings_inherit(struct txn *t, struct ns *ns, const struct ns *from)
{
    static const char *const names[] = {NS_LIMIT_BYTES, NS_LIMIT_INODES};
    const uint32_t of = limited(t->p, from)->number;
    uint8_t value[8];
    int err = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names && err == 0; i++) {
        struct ns_setting s = {.value = value, .len = sizeof value};
        const uint64_t limit = limit_of(&t->p->names.settings, of, names[i]);

        if (!limit)
            continue;
        memcpy(s.name, names[i], strlen(names[i]) + 1);
        put_le64(value, limit);
        err = put_setting(t->p, ns->number, &s, true);
        capture_setting(t, ns, &s);
    }
    apply_limits(t->p, ns);
    return err;
}

/* ---- one of them ---- */

int ns_setting_set(struct state *p, struct ns *ns, const struct ns_setting *s)
{
    TXN(t);
    bool valid = ns_setting_is_name(s->name, strlen(s->name)) && s->len <= NS_SETTING_VALUE_MAX &&
                 (s->value || s->len == 0);
    int err = valid ? state_root_writable(p) : -EINVAL;

    if (err == 0)
        err = txn_begin_alone(p, 0, &t);

    if (err < 0)
        return err;
    {
        WRITE_GUARD(&p->names.lock);
        err = ns->live ? 0 : -ESTALE;
        if (err == 0 && s->value && is_full(&p->names.settings, ns->number, s->name))
            err = -ENOSPC;
        if (err == 0)
            err = put_setting(p, ns->number, s, true);
        apply_limits(p, ns);
    }
    if (err < 0)
        return err;
    capture_setting(&t, ns, s);
    return state_changed(&t, NULL);
}

int ns_setting_get(struct state *p, const struct ns *ns, const char *name, void *buf, size_t cap,
                   size_t *ret_len)
{
    READ_GUARD(&p->names.lock);
    const struct ns_setting_row *row = find_row(&p->names.settings, ns->number, name);

    if (!row || !row->value)
        return -ENOENT;
    *ret_len = row->len;
    if (row->len > cap)
        return -ERANGE;
    if (row->len)
        memcpy(buf, row->value, row->len);
    return 0;
}

int ns_setting_next(struct state *p, const char *name, uint32_t after, uint32_t *ret_ns)
{
    READ_GUARD(&p->names.lock);
    const struct ns_settings *l = &p->names.settings;

    for (size_t i = place(l, after + 1, ""); i < l->count; i++)
        if (l->v[i].value && strcmp(l->v[i].name, name) == 0) {
            *ret_ns = l->v[i].ns;
            return 0;
        }
    return -ENOENT;
}

int ns_setting_restore(struct state *p, struct ns *ns, const struct ns_setting *s)
{
    WRITE_GUARD(&p->names.lock);
    int err = put_setting(p, ns->number, s, true);

    apply_limits(p, ns);
    return err;
}

void ns_settings_drop(struct ns_settings *l, uint32_t ns)
{
    for (size_t i = place(l, ns, ""); i < l->count && l->v[i].ns == ns; i++) {
        free(l->v[i].value);
        l->v[i].value = NULL;
        l->v[i].len = 0;
        l->v[i].dirty = true;
    }
}

/* Puts a row of the table into memory. One of no namespace, which a repair or a drop may have left,
 * is removed by the next commit: its number may be given again. */
static int load_row(struct state *p, const struct kv_each *e)
{
    struct ns_setting s;
    struct ns *of;
    uint32_t ns;
    int err;

    if (e->len == KV_DAMAGED || ns_setting_row(e->key, e->klen, e->val, e->len, &ns, &s) < 0) {
        report(REPORT_WARN, "a setting of a namespace is stored damaged: it is as if it were not");
        return 0;
    }
    of = ns_table_get(&p->names, ns);
    if (!of) {
        s.value = NULL;
        s.len = 0;
    }
    err = put_setting(p, ns, &s, !of);
    if (of)
        apply_limits(p, of);
    return err;
}

int ns_settings_load(struct state *p)
{
    struct kv_each e = {.table = TABLE_NS_SETTINGS};
    int err = kv_snap_begin(p->config.kv, &e.snap);

    if (err < 0)
        return err;
    WRITE_GUARD(&p->names.lock);
    while (kv_next(&e))
        e.err = load_row(p, &e);
    kv_snap_end(e.snap);
    if (e.cut)
        report(REPORT_WARN, "the table `ns_settings` cannot be read to its end: settings of "
                            "namespaces behind that are as if they were not; `tally check` says "
                            "more");
    return e.cut ? 0 : e.err;
}

void ns_settings_release(struct state *p)
{
    struct ns_settings *l = &p->names.settings;

    for (size_t i = 0; i < l->count; i++)
        free(l->v[i].value);
    free(l->v);
    *l = (struct ns_settings){0};
}

int ns_settings_freeze(struct state *p, struct ns_records *ret)
{
    const struct ns_settings *l = &p->names.settings;
    int err = 0;

    for (size_t i = 0; i < l->count && err == 0; i++)
        if (l->v[i].dirty)
            err = ns_records_add_setting(ret, &l->v[i]);
    return err;
}

/* Also frees the rows of what was removed. */
void ns_settings_frozen(struct state *p)
{
    struct ns_settings *l = &p->names.settings;
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++) {
        l->v[i].dirty = false;
        if (l->v[i].value)
            l->v[kept++] = l->v[i];
    }
    l->count = kept;
}
