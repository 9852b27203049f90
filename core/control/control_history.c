// SPDX-License-Identifier: Apache-2.0
/*
 * control_history: the verbs history and growth, and how an operation is written.
 *
 *     history [NS] [last=N]     a line for each operation, the newest first
 *     growth [since=DUR]        a line for each sample of how the store has grown, oldest first,
 *                               and one for now
 */
#include "control_impl.h"
#include "flush.h"
#include "history_table.h"
#include "undo.h"
#include <errno.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* ---- one operation ---- */

static void add_word(struct strbuf *out, const char *key, const char *value)
{
    if (!*value)
        return;
    strbuf_addf(out, " %s=", key);
    command_add_word(out, value);
}

/* The key of what an entry has as `second`. */
static const char *second_key(const struct history_entry *e)
{
    switch (e->kind) {
    case HISTORY_BRANCH:
    case HISTORY_MERGE:
    case HISTORY_COMMIT:
        return "from";
    case HISTORY_EXCHANGE:
        return "with";
    case HISTORY_REMOVE:
        return "was";
    default:
        return "to";
    }
}

/* Adds what the operation did, and to what. */
static void add_operands(struct strbuf *out, const struct history_entry *e)
{
    if (e->kind == HISTORY_SNAPSHOT || e->kind == HISTORY_UNSNAPSHOT) {
        add_word(out, "ns", e->second);
        add_word(out, "snapshot", e->name);
        return;
    }
    add_word(out, "ns", e->name);
    add_word(out, second_key(e), e->second);
}

void control_add_operation(struct strbuf *out, const struct history_entry *e)
{
    if (e->of)
        strbuf_addf(out, " op=%s of=%llu did=%s", e->again ? "redo" : "undo", U(e->of),
                    history_entry_word(e));
    else
        strbuf_addf(out, " op=%s", history_entry_word(e));
    add_operands(out, e);
}

/* Adds who asked for it. */
static void add_by(struct strbuf *out, const struct history_entry *e)
{
    if (!e->itself)
        strbuf_addf(out, " uid=%u", e->uid);
    add_word(out, "by", e->itself ? "tallyfs" : e->comm);
}

/* Appends the line of an operation. What takes another one back says nothing of its own state. */
static void add_line(struct call *call, const struct history_op *op)
{
    struct strbuf *out = &call->lines;

    strbuf_addf(out, "| seq=%llu time=", U(op->entry.seq));
    strbuf_add_time(out, op->entry.time);
    add_by(out, &op->entry);
    control_add_operation(out, &op->entry);
    if (op->entry.of == 0)
        strbuf_addf(out, " state=%s",
                    op->undone                           ? "undone"
                    : undo_look(call->p, op, false) == 0 ? "done"
                                                         : "final");
    strbuf_adds(out, "\n");
}

/* ---- the list ---- */

/* Of what the list is: a namespace by its number, and by the name that it is called by. */
struct filter {
    const char *name; /* NULL: of all */
    struct history_ns ns;
};

static bool is_ns(const struct history_ns *a, const struct history_ns *b)
{
    return a->number && a->number == b->number && a->generation == b->generation;
}

/* Is the text that name, or that of something that is kept of it? */
static bool is_of(const char *text, const char *name)
{
    size_t n = strlen(name);

    return !strncmp(text, name, n) && (!text[n] || text[n] == '@');
}

static bool is_listed(const struct filter *f, const struct history_entry *e)
{
    bool snapshot = e->kind == HISTORY_SNAPSHOT || e->kind == HISTORY_UNSNAPSHOT;

    return !f->name || is_ns(&f->ns, &e->ns) || is_ns(&f->ns, &e->other) ||
           (!snapshot && is_of(e->name, f->name)) || is_of(e->second, f->name);
}

/* Which namespace has the name now? None need have it: one that is gone is in the history, too. */
static void find_filter(struct call *call, struct filter *ret)
{
    struct ns *ns;

    *ret = (struct filter){.name = call->c->nargs > 0 ? control_arg(call, 0) : NULL};
    if (!ret->name || ns_get_by_name(call->p, ret->name, &ns) < 0)
        return;
    ret->ns = (struct history_ns){ns->number, ns->generation};
    ns_put(call->p, ns);
}

/* Reads the option last=N. -EINVAL, with a sentence. */
static int read_last(struct call *call, uint64_t *ret)
{
    const char *word = command_option(call->c, "last");

    *ret = UINT64_MAX;
    return !word || command_number(word, ret) == 0
               ? 0
               : control_fail_word(call, -EINVAL, "last is a number of operations, not %s", word);
}

/* history [NS] [last=N] */
int control_history(struct call *call)
{
    struct history_op op;
    struct filter f;
    uint64_t last, at = UINT64_MAX, count = 0;
    int err = read_last(call, &last);

    if (err < 0)
        return err;
    find_filter(call, &f);
    while (count < last && history_before(&call->p->history, at, &op) == 0) {
        if (call->interrupted && atomic_load(call->interrupted))
            return -EINTR;
        at = op.entry.seq;
        if (!is_listed(&f, &op.entry))
            continue;
        add_line(call, &op);
        count++;
    }
    if (f.name && !f.ns.number && count == 0 && last)
        return control_fail_word(call, -ENOENT,
                                 "there is no namespace %s, nor anything of it in "
                                 "the history",
                                 f.name);
    strbuf_addf(&call->head, " operations=%llu", U(count));
    return 0;
}

/* ---- growth ---- */

static void add_sample(struct call *call, const struct growth_sample *s)
{
    struct strbuf *out = &call->lines;

    strbuf_adds(out, "| time=");
    strbuf_add_time(out, s->time * NSEC_PER_SEC);
    strbuf_addf(out, " inodes=%llu logical=%llu stored=%llu objects=%llu namespaces=%llu",
                U(s->inodes), U(s->logical), U(s->stored), U(s->objects), U(s->namespaces));
    if (s->disk_free != UINT64_MAX)
        strbuf_addf(out, " disk_free=%llu", U(s->disk_free));
    strbuf_adds(out, "\n");
}

/* growth [since=DUR] */
int control_growth(struct call *call)
{
    const char *word = command_option(call->c, "since");
    int64_t age = INT64_MAX, time = 0, last = 0;
    struct growth_sample s;
    uint64_t count = 0;

    if (word && command_duration(word, &age) < 0)
        return control_fail_word(call, -EINVAL, "since is a time as 30d or 12h, not %s", word);
    if (word)
        time = (now(call->p) - age) / NSEC_PER_SEC;
    while (growth_from(&call->p->growth, time, &s) == 0) {
        add_sample(call, &s);
        last = s.time;
        time = last + 1;
        count++;
    }
    flush_growth_now(call->p, &s);
    if (s.time != last) {
        add_sample(call, &s);
        count++;
    }
    strbuf_addf(&call->head, " samples=%llu", U(count));
    return 0;
}
