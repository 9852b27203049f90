// SPDX-License-Identifier: Apache-2.0
/*
 * property_undo: random operations on namespaces, and undo and redo of random ones of them, beside
 * a naive list of all that was done.
 *
 *     property_undo [--seed S] [--steps N]
 *
 * A namespace of the model is a name, a place (in the root, in the trash, gone) and the values of
 * five files, of which no two writes have the same. The list knows of each operation what it did.
 * After each step the root, all files and the whole history are what the model says, and so is the
 * error of the step. At times the store is closed and checked offline, or abandoned and started
 * again from its log. Prints its seed; the same seed does the same.
 */
#include "check.h"
#include "clock_manual.h"
#include "disk_mem.h"
#include "history_by.h"
#include "kept.h"
#include "kv_mem.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include "store.h"
#include "undo.h"
#include "vfs.h"
#include <errno.h>
#include <getopt.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILES 5
#define NAMES 6
#define SPACES_MAX 4000
#define OPS_MAX 8000
#define DAY (86400 * NSEC_PER_SEC)

enum where { ROOT, TRASH, GONE };

/* Where the base of a branch was, or is: the values, and the number of the change of the branch. */
struct base {
    uint64_t seq;
    unsigned v[FILES];
};
struct space {
    enum where where;
    bool snapshot, held; /* a snapshot has `of` */
    char name[16];
    struct history_ns id;
    size_t of;     /* origin of a branch or snapshot; SIZE_MAX: none */
    int64_t since; /* when it went into the trash */
    bool empty;    /* it has no files */
    unsigned v[FILES];
    struct base base;
};
/* One operation. Of a merge also what was kept. */
struct did {
    uint64_t seq, of; /* `of`: seq of the operation that it takes back, or does again */
    bool again, itself;
    enum history_kind kind;
    size_t space, other;
    char name[16], second[16];
    int64_t time;
    bool kept; /* before and after are there */
    unsigned before[FILES], after[FILES];
    size_t branch; /* whose base moved; SIZE_MAX: none */
    struct base from, to;
};

static struct {
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct state *p;
    struct space space[SPACES_MAX];
    size_t spaces;
    struct did op[OPS_MAX];
    size_t ops;
    uint64_t rng, step;
    unsigned next_value;
    uint64_t undone, redone, refused, gone; /* undos */
} w;

static void failed(int line, const char *what)
{
    fprintf(stderr, "property_undo.c:%d: step %llu: %s\n", line, (unsigned long long)w.step, what);
    abort();
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            failed(__LINE__, #cond);                                                               \
    } while (0)

static const struct vfs_cred root = {0};

static uint64_t pick(uint64_t n)
{
    return fault_random(&w.rng) % n;
}

static void open_store(void)
{
    struct state_config c = {.disk = w.disk, .clock = &w.clock.base, .threads = 2};

    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    c.kv = w.kv;
    CHECK(store_open(&c, &w.p) == 0);
    settings_put(&w.p->settings, SET_ORIGIN_KEEP, 3650 * DAY);
    settings_put(&w.p->settings, SET_TRASH_KEEP, DAY);
    settings_put(&w.p->settings, SET_HISTORY_KEEP, 3650 * DAY);
}

static struct ns *get(const struct space *s)
{
    struct ns *ns;

    CHECK(ns_get(w.p, s->id.number, &ns) == 0);
    CHECK(ns->generation == s->id.generation);
    return ns;
}

static int64_t clock_of_store(void)
{
    return now(w.p);
}

/* ---- files ---- */

static uint64_t file_node(const struct space *s, int i)
{
    char name[16];
    struct vfs_attr a;

    snprintf(name, sizeof name, "f%d", i);
    if (vfs_lookup(w.p, vfs_node(s->id.number, NS_ROOT_INO), name, &a) < 0)
        return 0;
    vfs_forget(w.p, a.nodeid, 1);
    return a.nodeid;
}

static unsigned read_value(const struct space *s, int i)
{
    struct vfs_file *f;
    unsigned v = 0;

    CHECK(vfs_open(w.p, file_node(s, i), 0, &f) == 0);
    CHECK(vfs_read(f, &v, sizeof v, 0) == sizeof v);
    vfs_release(f);
    return v;
}

static void write_value(struct space *s, int i)
{
    const unsigned v = ++w.next_value;
    struct vfs_file *f;

    CHECK(vfs_open(w.p, file_node(s, i), VFS_WRITE, &f) == 0);
    CHECK(vfs_write(f, &v, sizeof v, 0) == sizeof v);
    vfs_release(f);
    s->v[i] = v;
}

/* ---- the model ---- */

static struct space *in_root(const char *name)
{
    for (size_t i = 0; i < w.spaces; i++)
        if (w.space[i].where == ROOT && !w.space[i].snapshot && !strcmp(w.space[i].name, name))
            return &w.space[i];
    return NULL;
}

/* Some namespace that is there; NULL: none was found. */
static struct space *some(enum where where, bool snapshot)
{
    for (int tries = 0; tries < 200; tries++) {
        struct space *s = &w.space[pick(w.spaces)];
        if (s->where == where && s->snapshot == snapshot)
            return s;
    }
    return NULL;
}

static size_t index_of(const struct space *s)
{
    return s ? (size_t)(s - w.space) : SIZE_MAX;
}

static const char *some_name(void)
{
    static char name[2][16];
    static int at;

    at = !at;
    snprintf(name[at], sizeof name[at], "n%llu", (unsigned long long)pick(NAMES));
    return name[at];
}

static struct history_op newest(void)
{
    struct history_op op;

    CHECK(history_before(&w.p->history, UINT64_MAX, &op) == 0);
    return op;
}

static struct space *add_space(const char *name, size_t of)
{
    struct space *s = &w.space[w.spaces++];

    CHECK(w.spaces <= SPACES_MAX);
    *s = (struct space){.where = ROOT, .of = of, .id = newest().entry.ns};
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

/* All names here are short. */
static void copy_name(char out[16], const char *name)
{
    const size_t len = strlen(name);

    CHECK(len < 16);
    memcpy(out, name, len + 1);
}

/* Notes an operation that has succeeded just now. */
static struct did *note(enum history_kind kind, const struct space *s, const char *name,
                        const char *second)
{
    struct did *o = &w.op[w.ops++];

    CHECK(w.ops <= OPS_MAX);
    *o = (struct did){.seq = newest().entry.seq,
                      .kind = kind,
                      .space = index_of(s),
                      .other = SIZE_MAX,
                      .branch = SIZE_MAX,
                      .time = clock_of_store()};
    copy_name(o->name, name);
    copy_name(o->second, second ? second : "");
    return o;
}

static struct did *op_of(uint64_t seq)
{
    for (size_t i = 0; i < w.ops; i++)
        if (w.op[i].seq == seq)
            return &w.op[i];
    return NULL;
}

static struct did *tip_of(struct did *o)
{
    struct did *tip = o;

    for (size_t i = 0; i < w.ops; i++)
        if (w.op[i].of == o->seq)
            tip = &w.op[i];
    return tip;
}

static bool is_undone(struct did *o)
{
    const struct did *tip = tip_of(o);

    return tip != o && !tip->again;
}

static bool has_snapshots(const struct space *s, bool held)
{
    for (size_t i = 0; i < w.spaces; i++)
        if (w.space[i].snapshot && w.space[i].where != GONE && w.space[i].of == index_of(s) &&
            (w.space[i].held || !held))
            return true;
    return false;
}

/* It is deleted for good, with its snapshots. */
static void go(struct space *s)
{
    s->where = GONE;
    for (size_t i = 0; i < w.spaces; i++)
        if (w.space[i].snapshot && w.space[i].of == index_of(s))
            w.space[i].where = GONE;
    for (size_t i = 0; i < w.ops; i++)
        if (w.op[i].space == index_of(s))
            w.op[i].kept = false;
}

/* ---- comparing ---- */

static size_t count_root(void)
{
    struct ns *ns;
    char after[VFS_NAME_MAX + 1] = "";
    size_t n = 0;

    while (ns_next(w.p, *after ? after : NULL, &ns) == 0) {
        snprintf(after, sizeof after, "%s", ns->name);
        ns_put(w.p, ns);
        n++;
    }
    return n;
}

static void compare_spaces(void)
{
    size_t n = 0;

    for (size_t i = 0; i < w.spaces; i++) {
        const struct space *s = &w.space[i];
        struct ns *ns;

        if (s->where == GONE)
            continue;
        ns = get(s);
        CHECK(ns->hidden.kind == (s->snapshot         ? NS_SNAPSHOT
                                  : s->where == TRASH ? NS_TRASH
                                                      : NS_VISIBLE));
        CHECK(!strcmp(ns->name, s->name));
        ns_put(w.p, ns);
        n += s->where == ROOT && !s->snapshot;
        for (int f = 0; f < FILES; f++)
            CHECK(s->empty ? file_node(s, f) == 0 : read_value(s, f) == s->v[f]);
    }
    CHECK(n == count_root());
}

static void compare_history(void)
{
    struct history_op op = {.entry.seq = UINT64_MAX};

    for (size_t i = w.ops; i-- > 0;) {
        struct did *o = &w.op[i];

        CHECK(history_before(&w.p->history, op.entry.seq, &op) == 0);
        CHECK(op.entry.seq == o->seq && op.entry.kind == o->kind && op.entry.of == o->of);
        CHECK(op.entry.again == o->again);
        CHECK(o->of || op.undone == is_undone(o));
        CHECK(!strcmp(op.entry.name, o->name) || o->kind == HISTORY_SNAPSHOT);
    }
    CHECK(history_before(&w.p->history, op.entry.seq, &op) == -ENOENT);
}

/* ---- merges ---- */

/* A three-way merge of values. False: there is a conflict. */
static bool merge_values(const unsigned *base, const unsigned *theirs, const unsigned *ours,
                         unsigned *ret)
{
    for (int i = 0; i < FILES; i++) {
        if (theirs[i] != base[i] && ours[i] != base[i] && theirs[i] != ours[i])
            return false;
        ret[i] = theirs[i] != base[i] ? theirs[i] : ours[i];
    }
    return true;
}

static bool is_same(const unsigned *a, const unsigned *b)
{
    return !memcmp(a, b, FILES * sizeof *a);
}

static uint64_t seq_of(const struct space *s)
{
    struct ns *ns = get(s);
    uint64_t seq = ns->seq;

    ns_put(w.p, ns);
    return seq;
}

static struct base now_of(const struct space *s)
{
    struct base b = {.seq = seq_of(s)};

    memcpy(b.v, s->v, sizeof b.v);
    return b;
}

static struct did *note_merge(enum history_kind kind, struct space *ours, const unsigned *becomes)
{
    struct did *o = note(kind, ours, ours->name, NULL);

    memcpy(o->before, ours->v, sizeof o->before);
    memcpy(o->after, becomes, sizeof o->after);
    memcpy(ours->v, becomes, sizeof ours->v);
    o->kept = true;
    return o;
}

static void commit(void)
{
    struct space *b = some(ROOT, false), *a;
    struct merge_call c = {.label = "x", .kind = pick(2) ? HISTORY_COMMIT : HISTORY_MERGE};
    struct merge_result r;
    struct base to;
    unsigned becomes[FILES];
    int err;

    if (!b || b->of == SIZE_MAX || (a = &w.space[b->of])->where != ROOT || a->empty || a->snapshot)
        return;
    to = now_of(b);
    c.theirs = get(b);
    c.ours = get(a);
    err = merge_run(w.p, &c, &r);
    ns_put(w.p, c.theirs);
    ns_put(w.p, c.ours);
    if (!merge_values(b->base.v, b->v, a->v, becomes)) {
        CHECK(err == -EEXIST);
    } else {
        CHECK(err == 0 && !r.seq == is_same(becomes, a->v));
        if (r.seq) {
            struct did *o = note_merge(c.kind, a, becomes);
            o->branch = index_of(b);
            o->from = b->base;
            o->to = to;
        }
        if (!is_same(b->base.v, b->v))
            b->base = to;
    }
    merge_result_release(&r);
}

/* ---- operations ---- */

static void create(void)
{
    const char *name = some_name();
    struct vfs_attr a;
    int err = vfs_mknod(w.p, VFS_ROOT, name, S_IFDIR | 0755, 0, &root, &a);

    CHECK(err == (in_root(name) ? -EEXIST : 0));
    if (err < 0)
        return;
    vfs_forget(w.p, a.nodeid, 1);
    struct space *s = add_space(name, SIZE_MAX);
    s->empty = true;
    note(HISTORY_CREATE, s, name, NULL);
}

static void branch(void)
{
    struct space *from = some(ROOT, false), *s;
    const char *name = some_name();
    uint64_t seq;
    uint32_t number;
    struct base base;
    int err;

    if (!from)
        return;
    base = now_of(from);
    err = ns_branch(w.p, from->name, name, &seq, &number);
    CHECK(err == (in_root(name) ? -EEXIST : 0));
    if (err < 0)
        return;
    s = add_space(name, index_of(from));
    s->empty = from->empty;
    s->base = base;
    memcpy(s->v, from->v, sizeof s->v);
    note(HISTORY_BRANCH, s, name, NULL);
}

static void hide(struct space *s)
{
    s->where = TRASH;
    s->since = clock_of_store();
}

static void drop(void)
{
    struct space *s = some(ROOT, false);
    struct ns *ns;
    uint32_t open;

    if (!s || s == &w.space[0])
        return;
    ns = get(s);
    CHECK(ns_trash(w.p, ns, false, &open) == 0);
    ns_put(w.p, ns);
    hide(s);
    note(HISTORY_DROP, s, s->name, NULL);
}

static void drop_now(void)
{
    struct space *s = some(pick(2) ? ROOT : TRASH, false);
    struct ns *ns;
    uint32_t open;
    int err;

    if (!s || s == &w.space[0])
        return;
    ns = get(s);
    err = ns_remove(w.p, ns, s->where == ROOT ? NS_VISIBLE : NS_TRASH, false, &open);
    ns_put(w.p, ns);
    CHECK(err == (has_snapshots(s, true) ? -EBUSY : 0));
    if (err < 0)
        return;
    go(s);
    note(HISTORY_REMOVE, s, s->name, NULL);
}

static void undrop(void)
{
    struct space *s = some(TRASH, false);
    const char *as = some_name();
    struct ns *ns;
    int err;

    if (!s)
        return;
    ns = get(s);
    err = ns_undrop(w.p, ns, as);
    ns_put(w.p, ns);
    CHECK(err == (in_root(as) ? -EEXIST : 0));
    if (err < 0)
        return;
    s->where = ROOT;
    snprintf(s->name, sizeof s->name, "%s", as);
    note(HISTORY_UNDROP, s, as, NULL);
}

static void rename_some(void)
{
    struct space *s = some(ROOT, false), *other;
    const char *to = some_name();
    char was[16];
    int err;

    if (!s || s == (other = in_root(to)) || s == &w.space[0])
        return;
    snprintf(was, sizeof was, "%s", s->name);
    err = ns_rename(w.p, s->name, to, 0);
    CHECK(err == (!other                        ? 0
                  : !other->empty               ? -ENOTEMPTY
                  : has_snapshots(other, false) ? -EBUSY
                                                : 0));
    if (err < 0)
        return;
    if (other)
        go(other);
    snprintf(s->name, sizeof s->name, "%s", to);
    note(other ? HISTORY_REPLACE : HISTORY_RENAME, s, was, to);
}

static void swap_names(struct space *a, struct space *b)
{
    char name[16];

    memcpy(name, a->name, sizeof name);
    memcpy(a->name, b->name, sizeof name);
    memcpy(b->name, name, sizeof name);
}

static void exchange(void)
{
    struct space *s = some(ROOT, false), *other = some(ROOT, false);
    struct did *o;

    if (!s || !other || s == other)
        return;
    CHECK(ns_rename(w.p, s->name, other->name, RENAME_EXCHANGE) == 0);
    swap_names(s, other);
    o = note(HISTORY_EXCHANGE, s, other->name, s->name);
    o->other = index_of(other);
}

static void snapshot(void)
{
    struct space *s = some(ROOT, false), *snap;
    struct ns *ns;
    char name[16];
    uint64_t seq;

    if (!s)
        return;
    snprintf(name, sizeof name, "s%llu", (unsigned long long)w.step);
    ns = get(s);
    CHECK(ns_snapshot(w.p, ns, name, &seq) == 0);
    ns_put(w.p, ns);
    snap = add_space(name, index_of(s));
    snap->snapshot = true;
    snap->empty = s->empty;
    memcpy(snap->v, s->v, sizeof snap->v);
    note(HISTORY_SNAPSHOT, snap, name, NULL);
}

static void change_snapshot(void)
{
    struct space *s = some(ROOT, true);
    struct ns *ns;
    uint32_t open;
    int err;

    if (!s)
        return;
    ns = get(s);
    if (pick(2)) {
        s->held = !s->held;
        CHECK(ns_hold(w.p, ns, s->held) == 0);
    } else {
        err = ns_remove(w.p, ns, NS_SNAPSHOT, false, &open);
        CHECK(err == (s->held ? -EBUSY : 0));
        if (err == 0) {
            s->where = GONE;
            note(HISTORY_UNSNAPSHOT, s, s->name, NULL);
        }
    }
    ns_put(w.p, ns);
}

static void write_some(void)
{
    struct space *s = some(ROOT, false);

    if (s && !s->empty)
        write_value(s, (int)pick(FILES));
}

/* ---- time ---- */

static void expire(void)
{
    struct history_op op = {.entry.seq = UINT64_MAX};
    const uint64_t seq = newest().entry.seq;
    size_t purged = 0;

    clock_manual_advance(&w.clock, (int64_t)pick(12) * 3600 * NSEC_PER_SEC);
    kept_expire(w.p);
    for (size_t i = 0; i < w.ops; i++)
        if (w.op[i].time + DAY <= clock_of_store())
            w.op[i].kept = false;
    for (size_t i = 0; i < w.spaces; i++)
        if (w.space[i].where == TRASH && w.space[i].since + DAY <= clock_of_store() &&
            !has_snapshots(&w.space[i], true))
            go(&w.space[i]), purged++;
    /* in which order they go is not said */
    while (history_before(&w.p->history, op.entry.seq, &op) == 0 && op.entry.seq > seq)
        purged--;
    CHECK(purged == 0);
    op.entry.seq = seq;
    for (uint64_t s = seq + 1; s <= newest().entry.seq; s++) {
        struct did *o;
        if (history_get(&w.p->history, s, &op) < 0)
            continue;
        CHECK(op.entry.kind == HISTORY_REMOVE && op.entry.itself);
        o = note(HISTORY_REMOVE, NULL, op.entry.name, NULL);
        o->seq = s;
        o->itself = true;
    }
}

/* ---- undo ---- */

static struct did *note_reverse(struct did *of, bool redo, enum history_kind kind, struct space *s,
                                const char *name, const char *second)
{
    struct did *o = note(kind, s, name, second);

    o->of = of->seq;
    o->again = redo;
    return o;
}

/* The merge `tip` is taken back. */
static int reverse_merge(struct did *of, struct did *tip, bool redo, int got)
{
    struct space *ours = &w.space[tip->space];
    struct space *b = tip->branch == SIZE_MAX ? NULL : &w.space[tip->branch];
    struct did *o;
    unsigned becomes[FILES];

    if (!merge_values(tip->after, tip->before, ours->v, becomes))
        return -EEXIST;
    if (got < 0)
        return 0;
    if (is_same(becomes, ours->v)) /* nothing had to change, and nothing is noted */
        return -1;
    o = note_merge(HISTORY_MERGE, ours, becomes);
    o->of = of->seq;
    o->again = redo;
    tip->kept = false;
    if (b && b->where == ROOT && b->base.seq == tip->to.seq) {
        o->branch = index_of(b);
        o->from = b->base;
        o->to = tip->from;
        b->base = tip->from;
    }
    return 0;
}

static bool is_called(const struct space *s, const char *name)
{
    return s->where == ROOT && !strcmp(s->name, name);
}

/* Is all as the operation left it? */
static int fits(struct did *of, bool redo)
{
    const struct did *tip = tip_of(of);
    const struct space *s = tip->space == SIZE_MAX ? NULL : &w.space[tip->space];
    bool is;

    if (is_undone(of) != redo)
        return -EALREADY;
    switch (tip->kind) {
    case HISTORY_CREATE:
    case HISTORY_BRANCH:
    case HISTORY_UNDROP:
        is = s->where == ROOT;
        break;
    case HISTORY_DROP:
        is = s->where == TRASH;
        break;
    case HISTORY_RENAME:
        is = is_called(s, tip->second);
        break;
    case HISTORY_EXCHANGE:
        is = is_called(s, tip->second) && is_called(&w.space[tip->other], tip->name);
        break;
    case HISTORY_SNAPSHOT:
        is = s->where != GONE;
        break;
    case HISTORY_MERGE:
    case HISTORY_COMMIT:
        is = tip->kept && s->where == ROOT;
        break;
    default:
        return -EOPNOTSUPP;
    }
    return is ? 0 : -ENODATA;
}

/* The operation that is meant without a number. The first one nobody asked for. NULL: none. */
static struct did *chosen(bool redo)
{
    struct did *best = NULL;

    for (size_t i = w.ops; i-- > (redo ? 0 : 1);) {
        struct did *d = &w.op[i];
        if (d->of || (redo ? fits(d, true) < 0 : d->itself || is_undone(d)))
            continue;
        if (!redo)
            return d;
        if (!best || tip_of(d)->seq > tip_of(best)->seq)
            best = d;
    }
    return best;
}

/* What the undo of an operation gives, which the model does as well if it has succeeded. */
static int reverse(struct did *of, bool redo, int got)
{
    struct did *tip = tip_of(of);
    struct space *s = tip->space == SIZE_MAX ? NULL : &w.space[tip->space], *other;
    int err = fits(of, redo);

    if (err < 0)
        return err;
    switch (tip->kind) {
    case HISTORY_CREATE:
    case HISTORY_BRANCH:
    case HISTORY_UNDROP:
        hide(s);
        note_reverse(of, redo, HISTORY_DROP, s, s->name, NULL);
        return 0;
    case HISTORY_DROP:
        if (in_root(tip->name))
            return -EEXIST;
        s->where = ROOT;
        snprintf(s->name, sizeof s->name, "%s", tip->name);
        note_reverse(of, redo, HISTORY_UNDROP, s, s->name, NULL);
        return 0;
    case HISTORY_RENAME:
        if (in_root(tip->name))
            return -EEXIST;
        snprintf(s->name, sizeof s->name, "%s", tip->name);
        note_reverse(of, redo, HISTORY_RENAME, s, tip->second, tip->name);
        return 0;
    case HISTORY_EXCHANGE:
        other = &w.space[tip->other];
        swap_names(s, other);
        note_reverse(of, redo, HISTORY_EXCHANGE, s, tip->second, tip->name)->other = tip->other;
        return 0;
    case HISTORY_SNAPSHOT:
        if (s->held)
            return -EBUSY;
        s->where = GONE;
        note_reverse(of, redo, HISTORY_UNSNAPSHOT, s, s->name, NULL);
        return 0;
    case HISTORY_MERGE:
    case HISTORY_COMMIT:
        return reverse_merge(of, tip, redo, got);
    default:
        return -EOPNOTSUPP;
    }
}

/* Undo or redo, of a random operation, of one that is not there, or of the newest. */
static void undo_some(void)
{
    struct undo_call c = {.redo = pick(3) == 0};
    const bool by_number = pick(4) > 0;
    struct undo_result r;
    struct did *of;
    bool redo = c.redo;
    int err, must;

    if (by_number)
        c.seq = pick(12) ? w.op[w.ops - 1 - pick(w.ops < 25 ? w.ops : 25)].seq
                         : newest().entry.seq + 1 + pick(9);
    of = by_number ? op_of(c.seq) : chosen(redo);
    err = undo_run(w.p, &c, &r);
    CHECK(!of || by_number || r.op.entry.seq == of->seq);
    if (!of) {
        CHECK(err == -ENOENT);
        merge_result_release(&r.merge);
        return;
    }
    if (of->of) {
        redo = c.redo ? redo : !of->again;
        of = op_of(of->of);
    }
    must =
        !by_number && !redo && of->kind == HISTORY_SNAPSHOT ? -EOPNOTSUPP : reverse(of, redo, err);
    CHECK(must == -1 ? err == 0 && !r.merge.seq : err == must);
    if (must == -1) /* the pair is used up */
        tip_of(of)->kept = false;
    w.undone += err == 0 && !redo;
    w.redone += err == 0 && redo;
    w.refused += err < 0;
    w.gone += err == -ENODATA;
    merge_result_release(&r.merge);
}

/* ---- restarts ---- */

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "%s %s: %s\n", what, where, sentence);
}

static void restart(void)
{
    struct check_options o = {.found = found};
    struct check_result r = {0};
    struct kv *kv;

    if (pick(2)) {
        store_abandon(w.p);
        kv_close(w.kv);
    } else {
        CHECK(store_close(w.p) == 0);
        kv_close(w.kv);
        CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_READONLY, &kv) == 0);
        CHECK(store_check(w.disk, kv, &o, &r) == 0 && r.problems == 0);
        kv_close(kv);
    }
    open_store();
}

/* ---- all of it ---- */

static void (*const steps[])(void) = {
    create,      branch,     branch,          drop,       drop_now,  undrop,    exchange,
    rename_some, snapshot,   change_snapshot, commit,     commit,    commit,    expire,
    write_some,  write_some, write_some,      write_some, undo_some, undo_some, undo_some,
    undo_some,   undo_some,  undo_some};

static void begin(void)
{
    const struct history_by me = {.known = true, .comm = "property"};
    struct vfs_attr a;
    struct space *s;

    clock_manual_init(&w.clock, 1000 * NSEC_PER_SEC);
    CHECK(disk_mem_create(NULL, 0, &w.disk) == 0 && kv_mem_create(NULL, &w.mem) == 0);
    CHECK(kv_open_mem(w.mem, store_tables, store_table_count, KV_CREATE, &w.kv) == 0);
    CHECK(store_format(w.disk, w.kv, &w.clock.base, "org/undo", 0, 0, NULL) == 0);
    kv_close(w.kv);
    open_store();
    s = add_space("main", SIZE_MAX);
    note(HISTORY_CREATE, s, "main", NULL);
    for (int i = 0; i < FILES; i++) {
        char name[16];
        struct vfs_file *f;

        snprintf(name, sizeof name, "f%d", i);
        CHECK(vfs_create(w.p, vfs_node(s->id.number, NS_ROOT_INO), name, 0644, &root, VFS_WRITE, &a,
                         &f) == 0);
        vfs_release(f);
        vfs_forget(w.p, a.nodeid, 1);
        write_value(s, i);
    }
    (void)history_by_set(&me);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"steps", required_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    uint64_t seed = 1, n = 1000;
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0)
        *(o == 's' ? &seed : &n) = strtoull(optarg, NULL, 10);
    w.rng = seed;
    printf("seed %llu, %llu steps\n", (unsigned long long)seed, (unsigned long long)n);
    begin();
    for (w.step = 1; w.step <= n && w.ops + 50 < OPS_MAX && w.spaces + 5 < SPACES_MAX; w.step++) {
        if (pick(40) == 0)
            restart();
        else
            steps[pick(sizeof steps / sizeof *steps)]();
        compare_spaces();
        compare_history();
    }
    printf("%zu operations, %zu namespaces and snapshots; undone %llu, done again %llu, refused "
           "%llu, of these gone %llu\n",
           w.ops, w.spaces, (unsigned long long)w.undone, (unsigned long long)w.redone,
           (unsigned long long)w.refused, (unsigned long long)w.gone);
    CHECK(n < 1000 || (w.undone > n / 40 && w.redone > n / 100 && w.gone > 0));
    store_abandon(w.p);
    kv_close(w.kv);
    kv_mem_destroy(w.mem);
    disk_close(w.disk);
    return 0;
}
