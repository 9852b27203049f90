// SPDX-License-Identifier: Apache-2.0
/*
 * replay: makes the changes of the log again. Each operation is checked against the present state,
 * and then made with the calls that made it the first time, so that references are counted in the
 * same way.
 */
#include "replay.h"
#include "flush_impl.h"
#include "lost.h"
#include "ns_settings.h"
#include "state.h"
#include "replay_slots.h"
#include "log_promise.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

/* The replay of one frame. */
struct replay {
    struct state *p;
    struct ns *ns; /* namespace of the last operation, referenced; NULL: none */
    struct replay_slots *slots;
    uint64_t seq; /* of the frame */
};

/* Errors that mean that the operation does not fit the present state are damage: -EUCLEAN. */
static int unless_absent(int err)
{
    return err == -ENOENT || err == -ESTALE || err == -EEXIST || err == -EINVAL ||
                   err == -EOVERFLOW || err == -ERANGE
               ? -EUCLEAN
               : err;
}

/* ---- items ---- */

/* The namespace with that number. It is kept for the next operation, which mostly has the same. */
static int find_ns(struct replay *r, uint32_t number, struct ns **ret_ns)
{
    if (!r->ns || r->ns->number != number || !r->ns->live) {
        ns_put(r->p, r->ns);
        r->ns = NULL;
        int err = ns_get(r->p, number, &r->ns);
        if (err < 0)
            return err;
    }
    *ret_ns = r->ns;
    return 0;
}

/* The tree of a namespace, or that of the orphans. Inode `ino` is used in it, so its number is not
 * given out again. */
static int find_tree(struct replay *r, uint32_t number, uint64_t ino, struct tree **ret_tree)
{
    uint64_t *next = &r->p->orphans.next_ino;
    struct ns *ns;
    int err;

    if (number == OP_NS_ORPHANS) {
        *ret_tree = &r->p->orphans.tree;
        *next = *next <= ino ? ino + 1 : *next;
        return 0;
    }
    err = find_ns(r, number, &ns);
    if (err < 0)
        return err;
    *ret_tree = &ns->tree;
    ns_saw_ino(r->p, ns, ino);
    ns->dirty = true;
    return 0;
}

static int do_put(struct replay *r, const struct op *op)
{
    struct tree *t = NULL;
    int err = item_check(op->key, op->data, op->len);

    if (err == 0)
        err = find_tree(r, op->ns, key_ino(op->key), &t);
    return err < 0 ? err : tree_put_again(t, op->key, op->data, op->len);
}

static int do_del(struct replay *r, const struct op *op)
{
    struct tree *t;
    int err = find_tree(r, op->ns, key_ino(op->key), &t);

    return err < 0 ? err : tree_del(t, op->key);
}

/* A range of items; -ENOENT if it has none, since an operation on it would not have been logged. */
static int find_range(struct replay *r, const struct op *op, struct tree **ret_tree,
                      struct key_range *ret)
{
    int err = find_tree(r, op->ns, key_ino(op->key), ret_tree);

    *ret = (struct key_range){op->key, op->end};
    return err < 0 ? err : items_any(*ret_tree, *ret) ? 0 : -ENOENT;
}

static int do_range_del(struct replay *r, const struct op *op)
{
    struct key_range range;
    struct tree *t;
    int err = find_range(r, op, &t, &range);

    return err < 0 ? err : items_cut(r->p, t, range);
}

static int do_range_copy(struct replay *r, const struct op *op)
{
    struct key_range range;
    struct tree *from, *to;
    int err = op->a > VFS_NS_MAX || !op->b || op->b > KEY_INO_MAX ? -EUCLEAN : 0;

    if (err == 0)
        err = find_range(r, op, &from, &range);
    if (err == 0)
        err = find_tree(r, (uint32_t)op->a, op->b, &to);
    if (err == 0 && from == to && op->b == key_ino(op->key))
        err = -EUCLEAN;
    return err < 0 ? err : items_copy(r->p, from, range, to, op->b);
}

/* ---- contents ---- */

static int do_content_new(struct replay *r, const struct op *op)
{
    int err = op->number ? refs_new_at(r->p->refs, op->number) : -EUCLEAN;

    return err < 0 ? err : content_restore(r->p, op->number, op->a, op->b, NULL);
}

/* Restore the row of a slot. The log names a slot that had a row in the commit. If that row is
 * lost, one operation would make the whole log unusable, so a new row is made from the slot's
 * file. Its count is too high until a rebuild. */
static int regain_slot(struct replay *r, uint64_t number)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;
    struct disk_stat st;
    struct entry e;
    int err = refs_entry(r->p->refs, number, false, NULL, &e);

    if (err != -ENOENT)
        return 0;
    blob_slot_name(number, name);
    err = disk_open(r->p->config.disk, name, DISK_READ, &f);
    if (err < 0)
        return err;
    err = disk_fstat(f, &st);
    disk_file_close(f);
    e = (struct entry){.kind = ENTRY_SLOT, .count = RESTORE_BIAS, .size = st.size};
    if (err == 0)
        err = refs_restore(r->p->refs, number, &e);
    if (err == 0)
        report(REPORT_ALARM,
               "the table of objects did not have slot %llu, which the log speaks of: it is put "
               "back, and its count is too high until a `rebuild`",
               (unsigned long long)number);
    return err;
}

/* Write bytes to a content, or note that a slot has bytes in the log. If the row of a held content
 * is damaged its bytes stay lost. */
static int do_content_write(struct replay *r, const struct op *op)
{
    struct content *c = content_find(r->p, op->number);
    int err = c ? 0 : regain_slot(r, op->number);

    if (!c && held_is_damaged(r->p, op->number))
        return err;
    if (err == 0)
        err = c ? content_restore_bytes(r->p, op->number, op->data, op->len, op->a)
                : replay_slots_write(r->slots, r->p, op);
    content_unref(c);
    return err;
}

static int do_content_truncate(struct replay *r, const struct op *op)
{
    if (held_is_damaged(r->p, op->number))
        return 0;
    return content_restore_length(r->p, op->number, op->a);
}

static int do_content_slot(struct replay *r, const struct op *op)
{
    struct content *c = content_find(r->p, op->number);
    int err = c ? 0 : regain_slot(r, op->number);

    if (err == 0)
        err = refs_set_slot(r->p->refs, op->number, op->a);
    if (c && err == 0)
        content_unlist(r->p, c, CONTENT_GONE); /* the slot's file has its bytes; load_slots opens
                                                * it */
    content_unref(c);
    return err < 0 ? err : replay_slots_synced(r->slots, op->number);
}

/* Discard a content. It must not be named by an item. */
static int do_content_cancel(struct replay *r, const struct op *op)
{
    struct content *c = content_find(r->p, op->number);
    struct entry e;
    int err = refs_entry(r->p->refs, op->number, false, NULL, &e);

    if (err == 0 && (e.count > 0 || entry_is_sealed(&e)))
        err = -EUCLEAN;
    if (c && err == 0)
        content_unlist(r->p, c, CONTENT_GONE);
    content_unref(c);
    if (err == 0)
        refs_cancel(r->p->refs, op->number);
    return err;
}

/* ---- namespaces ---- */

/* A new namespace, which is not in the table yet. */
static int new_ns(struct state *p, uint32_t number, struct ns_fields *f, struct ns **ret)
{
    int err = ns_alloc(p, f->name, ret);

    if (err < 0)
        return err;
    ns_set_fields(*ret, number, f);
    (*ret)->counted = true; /* it is empty at first */
    ns_saw_ino(p, *ret, NS_ROOT_INO);
    return 0;
}

/* Put a namespace into the table. */
static void insert_ns(struct state *p, struct ns *ns)
{
    WRITE_GUARD(&p->names.lock);

    map64_del(&p->names.removed, ns->number);
    ns_settings_drop(&p->names.settings, ns->number);
    ns_table_insert(&p->names, ns);
    if (p->names.next <= ns->number)
        p->names.next = ns->number + 1;
}

/* Change an existing namespace. What the record says of its tree and of its making stays as it
 * is. */
static int change_ns(struct state *p, struct ns *ns, struct ns_fields *f)
{
    char *name = strdup(f->name);
    WRITE_GUARD(&p->names.lock);

    if (!name)
        return -ENOMEM;
    free(ns_table_rename(&p->names, ns, name));
    ns_table_hide(&p->names, ns, &f->hidden);
    ns->frozen = f->frozen;
    ns->verify = f->verify;
    ns->base = f->base;
    free(ns->tail);
    ns->tail = f->tail;
    f->tail = NULL;
    return 0;
}

/* Make a namespace, or change one. */
static int do_ns_put(struct replay *r, const struct op *op)
{
    struct ns_fields f;
    struct ns *ns;
    int err = ns_read(op->ns, op->data, op->len, &f);

    if (err < 0)
        return err;
    if (find_ns(r, op->ns, &ns) == 0) {
        err = change_ns(r->p, ns, &f);
    } else {
        err = new_ns(r->p, op->ns, &f, &ns);
        if (err == 0)
            insert_ns(r->p, ns);
    }
    ns_fields_release(&f);
    return err;
}

static int do_ns_branch(struct replay *r, const struct op *op)
{
    struct ns_fields f;
    struct ns *ns, *from;
    int err = ns_read(op->ns, op->data, op->len, &f);

    if (err < 0)
        return err;
    err = find_ns(r, op->ns, &ns) == 0 || op->number > VFS_NS_MAX ? -EUCLEAN : 0;
    if (err == 0)
        err = find_ns(r, (uint32_t)op->number, &from);
    if (err == 0)
        err = new_ns(r->p, op->ns, &f, &ns);
    ns_fields_release(&f);
    if (err < 0)
        return err;
    ns->counted = from->counted;
    err = tree_branch(&from->tree, &ns->tree);
    if (err < 0) {
        ns_discard(ns);
        return err;
    }
    ns_saw_ino(r->p, ns, from->next_ino - 1);
    from->dirty = true;
    insert_ns(r->p, ns);
    return 0;
}

static int do_ns_drop(struct replay *r, const struct op *op)
{
    struct ns *ns;
    int err = find_ns(r, op->ns, &ns);

    if (err < 0)
        return err;
    {
        WRITE_GUARD(&r->p->names.lock);
        err = ns_table_remove(r->p, ns);
    }
    r->ns = NULL;
    ns_put(r->p, ns);
    return err;
}

/* Give a namespace the tree of a draft. */
static int do_ns_take(struct replay *r, const struct op *op)
{
    struct ns *ns, *draft;
    int err = op->number > VFS_NS_MAX ? -EUCLEAN : ns_get(r->p, (uint32_t)op->number, &draft);

    if (err < 0)
        return err;
    err = draft->hidden.kind != NS_DRAFT || draft->number == op->ns ? -EUCLEAN
                                                                    : find_ns(r, op->ns, &ns);
    if (err == 0)
        err = ns_tree_take(r->p, ns, draft);
    if (err == 0)
        ns->seq = r->seq;
    ns_put(r->p, draft);
    return err;
}

/* ---- the rest ---- */

static int do_pin(struct replay *r, const struct op *op)
{
    return refs_pin_again(r->p->refs, op->number);
}

static int do_unpin(struct replay *r, const struct op *op)
{
    return refs_unpin(r->p->refs, op->number);
}

static int do_setting(struct replay *r, const struct op *op)
{
    return settings_restore(r->p, op->data, op->len, (int64_t)op->a);
}

/* The number of the kernel's request is only for people: the change does not depend on it. */
static int do_request(struct replay *r, const struct op *op)
{
    (void)r;
    return op->a ? 0 : -EUCLEAN;
}

/* A run of inode numbers. Which of them were given to files without a name is not known, so the
 * next one is behind the run. */
static int do_ino_run(struct replay *r, const struct op *op)
{
    struct ns *ns;
    int err = op->a > NS_ROOT_INO && op->a < op->b && op->b <= KEY_INO_MAX + 1 ? 0 : -EUCLEAN;

    if (err == 0)
        err = find_ns(r, op->ns, &ns);
    if (err < 0)
        return err;
    ns_saw_ino(r->p, ns, op->b - 1);
    ns->dirty = true;
    return 0;
}

static int do_ns_setting(struct replay *r, const struct op *op)
{
    struct ns_setting s;
    struct ns *ns = NULL;
    int err = ns_setting_decode(op->data, op->len, &s);

    if (err == 0)
        err = find_ns(r, op->ns, &ns);
    return err < 0 ? err : ns_setting_restore(r->p, ns, &s);
}

/* The entry is that of the frame, so one that is there already is not added again. */
static int do_history(struct replay *r, const struct op *op)
{
    struct history_entry e;
    struct history_op same;
    struct history_row *row;
    int err = history_entry_decode(op->data, op->len, &e);

    if (err == 0 && history_get(&r->p->history, r->seq, &same) == 0)
        err = -EUCLEAN;
    if (err == 0)
        err = history_prepare(&r->p->history, &e, &row);
    if (err == 0)
        history_add(&r->p->history, row, r->seq);
    return err;
}

static int (*const doers[OP_KIND_END])(struct replay *, const struct op *) = {
    [OP_PUT] = do_put,
    [OP_DEL] = do_del,
    [OP_CONTENT_NEW] = do_content_new,
    [OP_CONTENT_WRITE] = do_content_write,
    [OP_RANGE_COPY] = do_range_copy,
    [OP_CONTENT_TRUNCATE] = do_content_truncate,
    [OP_CONTENT_SLOT] = do_content_slot,
    [OP_CONTENT_CANCEL] = do_content_cancel,
    [OP_NS_PUT] = do_ns_put,
    [OP_NS_BRANCH] = do_ns_branch,
    [OP_NS_DROP] = do_ns_drop,
    [OP_PIN] = do_pin,
    [OP_UNPIN] = do_unpin,
    [OP_SETTING] = do_setting,
    [OP_RANGE_DEL] = do_range_del,
    [OP_REQUEST] = do_request,
    [OP_INO_RUN] = do_ino_run,
    [OP_NS_SETTING] = do_ns_setting,
    [OP_HISTORY] = do_history,
    [OP_NS_TAKE] = do_ns_take,
};

/* ---- frames ---- */

/* Does the operation concern only a number whose row is lost? Then it is skipped, since the rest
 * of the log must not be refused because of it. */
static bool is_of_lost(struct replay *r, const struct op *op)
{
    bool of_number = op->kind == OP_CONTENT_WRITE || op->kind == OP_CONTENT_TRUNCATE ||
                     op->kind == OP_CONTENT_SLOT || op->kind == OP_CONTENT_CANCEL ||
                     op->kind == OP_UNPIN;
    struct entry e;

    return of_number && op->number && op->number < refs_next(r->p->refs) &&
           refs_entry(r->p->refs, op->number, false, NULL, &e) == -ENOENT;
}

/* Make one operation. */
static int do_op(struct replay *r, const struct op *op)
{
    int err = doers[op->kind](r, op);

    if (err != -ENOENT || !is_of_lost(r, op))
        return unless_absent(err);
    report(REPORT_ALARM,
           "log: the table of objects does not have object number %llu: %s is not replayed; "
           "`rebuild` finds what else there is of it",
           (unsigned long long)op->number, op_kind_name(op->kind));
    return 0;
}

/* Make all operations of a frame. *last: the last one that was tried. */
static int do_ops(struct replay *r, const struct log_frame *f, struct op *last)
{
    size_t at = 0;
    int err;

    while ((err = op_next(f->payload, f->len, &at, last)) == 0) {
        r->slots->op++;
        err = do_op(r, last);
        if (err < 0)
            return err;
    }
    return err == -ENOENT ? 0 : err;
}

/* Replay one frame, and report the operation that failed. */
static int replay_one(struct state *p, struct replay_slots *slots, const struct log_frame *f)
{
    struct replay r = {.p = p, .slots = slots, .seq = f->seq};
    struct op op = {.kind = OP_KIND_END};
    struct ns *ns;
    int err = do_ops(&r, f, &op);

    if (err == 0) {
        atomic_store(&p->seq, f->seq);
        if (f->ns && find_ns(&r, f->ns, &ns) == 0) {
            ns->seq = f->seq;
            ns->dirty = true;
        }
    } else {
        const char *kind = op_kind_name(op.kind);
        report(REPORT_ALARM,
               "log: frame %llu (segment %llu, offset %llu) cannot be replayed: %s: %s",
               (unsigned long long)f->seq, (unsigned long long)f->pos.segment,
               (unsigned long long)f->pos.offset, kind ? kind : "no operation", strerror(-err));
    }
    ns_put(p, r.ns);
    return err;
}

int replay_frame(struct state *p, const struct log_frame *f)
{
    struct replay_slots slots = {0};
    int err = replay_one(p, &slots, f);

    replay_slots_release(&slots);
    return err;
}

/* The replay of the whole log. */
struct visitor {
    struct state *p;
    struct replay_slots slots;
};

/* Called for each frame that counts. */
static int apply_frame(const struct log_frame *f, void *ctx)
{
    struct visitor *v = ctx;
    struct replay_limit *limit = v->p->config.limit;
    int err;

    if (f->sync || (limit && limit->until && f->seq > limit->until))
        return 0;
    if (v->p->replayed.changes++ == 0)
        v->p->replayed.first = f->seq;
    v->p->replayed.last = f->seq;
    v->p->replayed.bytes += f->len;
    err = replay_one(v->p, &v->slots, f);
    if (err < 0 && limit)
        limit->at = f->seq;
    return err;
}

/* Report how much was replayed. */
static void report_recovered(struct state *p, int64_t start)
{
    const struct replayed *r = &p->replayed;

    if (r->changes)
        report(REPORT_NOTE,
               "recovered %llu changes from the log: numbers %llu to %llu, %llu bytes, in %lld ms",
               (unsigned long long)r->changes, (unsigned long long)r->first,
               (unsigned long long)r->last, (unsigned long long)r->bytes,
               (long long)((ticks(p) - start) / NSEC_PER_MSEC));
}

/* Report the damage for which a mount is refused. `tally check` and `tally log` have sentences of
 * their own, in check_log.c and cmd_log.c. */
static void report_damage(const struct log_report *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    log_describe_loss(r, &text);
    if (r->missing) {
        report(REPORT_ALARM,
               "the log is missing: there is no segment %llu, where it goes on; a mount would give "
               "up %s; nothing was changed; `tally check --repair` accepts this loss",
               (unsigned long long)r->end.segment, text.s);
        return;
    }
    report(
        REPORT_ALARM,
        "the log is damaged in segment %llu at offset %llu: a mount would give up %s; nothing was "
        "changed; `tally check --repair` accepts this loss and keeps the segments",
        (unsigned long long)r->end.segment, (unsigned long long)r->end.offset, text.s);
}

int replay_log(struct state *p, const struct store_record *s, struct log_report *ret)
{
    struct log_scan scan = {.epoch = s->epoch,
                            .seq = s->seq,
                            .pos = {s->log_segment, s->log_offset},
                            .accept = p->config.accept_log_loss};
    struct visitor v = {.p = p};
    int64_t start = ticks(p);
    int err = log_promise_load(p->config.kv, s->epoch, &scan.must);

    atomic_store(&p->promised, scan.must);
    if (err < 0)
        return err;
    err = log_read(p->config.disk, &scan, apply_frame, &v, ret);
    if (err == -EUCLEAN && ret->damaged)
        report_damage(ret);
    p->slots_left->slots = v.slots;
    p->slots_left->scan = scan;
    if (err == 0)
        report_recovered(p, start);
    return err;
}
