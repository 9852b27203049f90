// SPDX-License-Identifier: Apache-2.0
/*
 * ns_table: the namespaces of an open store and their records. They are read when the store is
 * opened, and what changed is collected for a commit.
 */
#include "bytes.h"
#include "state.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Appends a record, and takes over `bytes`, also after an error. `setting` "": of the namespace. */
static int record_push(struct ns_records *r, uint32_t number, const char *setting, size_t len,
                       uint8_t *bytes)
{
    struct ns_record *v = realloc(r->v, (r->count + 1) * sizeof *v);

    if (!v) {
        free(bytes);
        return -ENOMEM;
    }
    r->v = v;
    r->v[r->count] = (struct ns_record){.number = number, .len = len, .bytes = bytes};
    memcpy(r->v[r->count++].setting, setting, strlen(setting) + 1);
    return 0;
}

/* Does so large a number for a branch need a warning? */
static bool is_many(struct state *p, const struct ns *ns, uint64_t n)
{
    uint64_t warn = (uint64_t)settings_get(&p->settings, SET_BRANCH_FRAGMENT_WARN);

    return ns->branched && warn && n >= warn;
}

int ns_records_add_setting(struct ns_records *r, const struct ns_setting_row *row)
{
    uint8_t *copy = row->value ? malloc(row->len + 1) : NULL;

    if (row->value && !copy)
        return -ENOMEM;
    if (row->len)
        memcpy(copy, row->value, row->len);
    return record_push(r, row->ns, row->name, row->len, copy);
}

/* Counts a flush of a namespace. Each flush of a branch puts more of its pages and bytes at a new
 * place on the disk, so after very many a warning is due: once, and again if the setting was above
 * the count meanwhile. */
static void count_flush(struct state *p, struct ns *ns)
{
    uint64_t n = atomic_fetch_add(&ns->flushes, 1) + 1;
    bool many = is_many(p, ns, n);

    atomic_store(&ns->flushed, now(p));
    if (atomic_exchange(&ns->flushes_told, many) || !many)
        return;
    report(REPORT_WARN,
           "namespace %s was flushed %llu times since it was branched (branch_fragment_warn): what "
           "it has lies scattered, and reading it may be slow",
           ns->name, (unsigned long long)n);
}

void ns_count_pieces(struct state *p, struct ns *ns, const char *name, uint64_t pieces)
{
    bool many = is_many(p, ns, pieces);

    atomic_store(&ns->pieces, pieces);
    if (atomic_exchange(&ns->pieces_told, many) || !many)
        return;
    report(REPORT_WARN,
           "files of namespace %s, a branch, are in %llu pieces (branch_fragment_warn): reading "
           "them may be slow",
           name, (unsigned long long)pieces);
}

bool ns_is_scattered(struct state *p, struct ns *ns)
{
    return is_many(p, ns, atomic_load(&ns->flushes)) || is_many(p, ns, atomic_load(&ns->pieces));
}

/* Encodes the record of one namespace if it has changed. */
static int freeze_one(struct state *p, struct ns *ns, struct ns_records *ret)
{
    uint8_t record[NS_RECORD_MAX], *bytes;
    struct ns_fields f;
    size_t len;

    /* A change that failed half-way may have copied the root: the old root has lost its count then.
     * It may also have put inodes. */
    if (!ns->live || (!ns->dirty && ns->tree.root == ns->recorded_root &&
                      usage_is(ns->tree.usage, ns->recorded)))
        return 0;
    count_flush(p, ns);
    ns_get_fields(ns, &f);
    len = ns_record_encode(ns->number, &f, record);
    bytes = malloc(len); /* the records are kept until the commit: no more than they need */
    if (!bytes)
        return -ENOMEM;
    memcpy(bytes, record, len);
    return record_push(ret, ns->number, "", len, bytes);
}

int ns_tree_take(struct state *p, struct ns *ns, const struct ns *draft)
{
    struct tree t = {.pages = ns->tree.pages, .refs = ns->tree.refs};
    int err = tree_branch(&draft->tree, &t);

    if (err == 0) {
        err = drops_push(p->drops, ns->tree.root);
        if (err < 0)
            (void)drops_push(p->drops, t.root);
    }
    if (err < 0)
        return err;
    ns->tree.root = t.root;
    ns->tree.usage = t.usage;
    ns->dirty = true;
    ns_saw_ino(p, ns, draft->next_ino - 1);
    return 0;
}

int ns_table_freeze(struct state *p, struct ns_records *ret)
{
    uint64_t number, none;
    size_t at = 0;
    int err = 0;

    rwlock_held_write(&p->freeze_lock);
    WRITE_GUARD(&p->names.lock); /* the last ns_put frees a namespace without the freeze lock */
    for (size_t i = 0; i < NS_BUCKETS && err == 0; i++)
        for (struct ns *ns = p->names.by_number[i]; ns && err == 0; ns = ns->by_number_next)
            err = freeze_one(p, ns, ret);
    while (err == 0 && map64_next(&p->names.removed, &at, &number, &none))
        err = record_push(ret, (uint32_t)number, "", 0, NULL);
    if (err == 0)
        err = ns_settings_freeze(p, ret);
    if (err < 0)
        ns_records_release(ret);
    return err;
}

void ns_table_frozen(struct state *p)
{
    rwlock_held_write(&p->freeze_lock);
    WRITE_GUARD(&p->names.lock);
    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (struct ns *ns = p->names.by_number[i]; ns; ns = ns->by_number_next) {
            ns->dirty = false;
            ns->recorded_root = ns->tree.root;
            ns->recorded = ns->tree.usage;
        }
    map64_release(&p->names.removed);
    ns_settings_frozen(p);
}

int ns_records_write(const struct ns_records *r, struct kv_txn *t)
{
    uint8_t key[NS_SETTING_KEY_MAX];
    int err = 0;

    for (size_t i = 0; i < r->count && err == 0; i++) {
        const struct ns_record *v = &r->v[i];
        unsigned table = *v->setting ? TABLE_NS_SETTINGS : TABLE_NAMESPACES;
        size_t klen = ns_setting_key(v->number, v->setting, key);

        err =
            v->bytes ? kv_put(t, table, key, klen, v->bytes, v->len) : kv_del(t, table, key, klen);
    }
    return err;
}

void ns_records_release(struct ns_records *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->v[i].bytes);
    free(r->v);
    *r = (struct ns_records){0};
}

void ns_set_fields(struct ns *ns, uint32_t number, struct ns_fields *f)
{
    ns->number = number;
    ns->generation = f->generation;
    ns->target = f->target;
    ns->tail = f->tail;
    f->target = NULL;
    f->tail = NULL;
    ns->tree.root = ns->recorded_root = f->root;
    ns->tree.usage = ns->recorded = f->usage;
    ns->counted = f->counted;
    ns->next_ino = f->next_ino;
    ns->ino_end = f->ino_end;
    ns->origin = f->origin;
    ns->base = f->base;
    ns->own_ino = f->own_ino;
    ns->hidden = f->hidden;
    ns->seq = f->seq;
    ns->time = f->time;
    ns->uid = f->uid;
    ns->gid = f->gid;
    ns->frozen = f->frozen;
    ns->verify = f->verify;
    ns->branched = f->branched;
    atomic_store(&ns->flushes, f->flushes);
    atomic_store(&ns->flushed, f->flushed);
}

void ns_get_fields(const struct ns *ns, struct ns_fields *ret)
{
    *ret = (struct ns_fields){.target = ns->target,
                              .tail = ns->tail,
                              .generation = ns->generation,
                              .uid = ns->uid,
                              .gid = ns->gid,
                              .root = ns->tree.root,
                              .usage = ns->tree.usage,
                              .next_ino = ns->next_ino,
                              .ino_end = ns->ino_end,
                              .origin = ns->origin,
                              .base = ns->base,
                              .own_ino = ns->own_ino,
                              .hidden = ns->hidden,
                              .seq = ns->seq,
                              .time = ns->time,
                              .flushed = atomic_load(&ns->flushed),
                              .flushes = atomic_load(&ns->flushes),
                              .frozen = ns->frozen,
                              .verify = ns->verify,
                              .branched = ns->branched,
                              .counted = ns->counted};
    memcpy(ret->name, ns->name, strlen(ns->name) + 1);
}

/* Loads one namespace at a start. A damaged record ends the start: its tree would be lost. */
static int load_one(struct state *p, uint64_t number, const void *val, size_t len)
{
    struct ns_fields f;
    struct ns *ns;
    int err = ns_read(number, val, len, &f);

    if (err == 0)
        err = ns_alloc(p, f.name, &ns);
    if (err < 0)
        return err;
    ns_set_fields(ns, (uint32_t)number, &f);
    atomic_store(&ns->flushes_told, is_many(p, ns, f.flushes)); /* before this start */
    ns_saw_ino(p, ns, NS_ROOT_INO);
    ns->dirty = false;
    WRITE_GUARD(&p->names.lock);
    ns_table_insert(&p->names, ns);
    return 0;
}

int ns_table_load(struct state *p)
{
    struct kv_each e = {.table = TABLE_NAMESPACES, .strict = true};
    int err = kv_snap_begin(p->config.kv, &e.snap);

    if (err < 0)
        return err;
    while (kv_next(&e))
        e.err = e.klen == 8 ? load_one(p, e.number, e.val, e.len) : -EUCLEAN;
    kv_snap_end(e.snap);
    p->names.mtime = p->created;
    return e.err < 0 ? e.err : ns_settings_load(p);
}
