// SPDX-License-Identifier: Apache-2.0
/* log_text: frames in words. */
#include "log.h"

#include "command.h"
#include "history_entry.h"
#include "ns_setting.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

#define U(x) ((unsigned long long)(x))

/* The word for a type of item. */
static const char *item_word(unsigned type)
{
    static const char *const words[] = {
        [ITEM_INODE] = "inode",        [ITEM_SYMLINK] = "link target of inode",
        [ITEM_DIRENT] = "entry",       [ITEM_EXTENT] = "extent",
        [ITEM_XATTR] = "attribute",    [ITEM_SUBBLOCK] = "subblock extent",
        [ITEM_HOLES] = "map of holes",
    };

    return type < sizeof words / sizeof *words && words[type] ? words[type] : "unknown item";
}

/* Adds the name in an item, quoted: it may have any byte but NUL and '/'. */
static void add_name(const struct op *op, struct strbuf *out)
{
    char text[ITEM_NAME_MAX + 1];
    const char *name;
    size_t len;

    if (op->len == 0 || item_name(op->key, op->data, op->len, &name, &len))
        return;
    memcpy(text, name, len);
    text[len] = '\0';
    strbuf_adds(out, " ");
    command_add_word(out, text);
}

/* Adds the namespace of an inode, unless it is that of the frame. */
static void add_place(uint32_t at, uint32_t ns, struct strbuf *out)
{
    if (at == OP_NS_ORPHANS)
        strbuf_adds(out, " among the orphans");
    else if (at != ns)
        strbuf_addf(out, " of namespace %u", at);
}

/* Describes an operation that puts or deletes one item. */
static void describe_item(const struct op *op, uint32_t ns, struct strbuf *out)
{
    unsigned type = key_type(op->key);
    bool owns = type == ITEM_INODE || type == ITEM_SYMLINK;

    strbuf_addf(out, "%s %s%s", op->kind == OP_PUT ? "put" : "delete",
                item_is_counter(op->key) ? "counter of an " : "", item_word(type));
    if (type == ITEM_DIRENT || type == ITEM_XATTR)
        add_name(op, out);
    if (type == ITEM_EXTENT || type == ITEM_SUBBLOCK || type == ITEM_HOLES)
        strbuf_addf(out, " at %llu", U(op->key.lo));
    strbuf_addf(out, owns ? " %llu" : " of inode %llu", U(key_ino(op->key)));
    add_place(op->ns, ns, out);
}

/* Describes a range by its keys. */
static void describe_range(const struct op *op, uint32_t ns, struct strbuf *out)
{
    unsigned type = op->key.hi == op->end.hi ? key_type(op->key) : 0;
    bool bytes = type == ITEM_EXTENT || type == ITEM_SUBBLOCK || type == ITEM_HOLES;

    strbuf_addf(out, "%s %s of inode %llu", op->kind == OP_RANGE_COPY ? "copy" : "delete",
                type == ITEM_EXTENT     ? "extents"
                : type == ITEM_SUBBLOCK ? "subblock extents"
                : type == ITEM_HOLES    ? "maps of holes"
                                        : "items",
                U(key_ino(op->key)));
    if (bytes)
        strbuf_addf(out, " from %llu on", U(op->key.lo));
    add_place(op->ns, ns, out);
    if (op->kind == OP_RANGE_COPY) {
        strbuf_addf(out, " to inode %llu", U(op->b));
        add_place((uint32_t)op->a, ns, out);
    }
}

/* Describes an operation on a content. */
static void describe_content(const struct op *op, struct strbuf *out)
{
    unsigned long long n = U(op->number), a = U(op->a);

    if (op->kind == OP_CONTENT_NEW)
        strbuf_addf(out, "begin content %llu", n);
    else if (op->kind == OP_CONTENT_WRITE)
        strbuf_addf(out, "write %zu bytes at %llu of content %llu", op->len, a, n);
    else if (op->kind == OP_CONTENT_TRUNCATE)
        strbuf_addf(out, "cut or extend content %llu to %llu bytes", n, a);
    else if (op->kind == OP_CONTENT_SLOT)
        strbuf_addf(out, "%llu bytes of content %llu are in its slot", a, n);
    else
        strbuf_addf(out, "give up content %llu", n);
}

/* The value is foreign bytes, so only its length is shown. */
static void describe_ns_setting(const struct op *op, struct strbuf *out)
{
    struct ns_setting s;

    if (ns_setting_decode(op->data, op->len, &s) < 0)
        strbuf_addf(out, "a setting of namespace %u, damaged", op->ns);
    else if (s.value)
        strbuf_addf(out, "set %s of namespace %u to %zu bytes", s.name, op->ns, s.len);
    else
        strbuf_addf(out, "remove setting %s of namespace %u", s.name, op->ns);
}

static void describe_history(const struct op *op, struct strbuf *out)
{
    struct history_entry e;

    if (history_entry_decode(op->data, op->len, &e) < 0) {
        strbuf_adds(out, "an operation of the history, damaged");
        return;
    }
    strbuf_addf(out, "operation %s ", history_entry_word(&e));
    command_add_word(out, e.name);
}

void log_describe_op(const struct op *op, uint32_t ns, struct strbuf *out)
{
    char text[64]; /* longer than any setting's name */

    switch (op->kind) {
    case OP_PUT:
    case OP_DEL:
        describe_item(op, ns, out);
        break;
    case OP_RANGE_COPY:
    case OP_RANGE_DEL:
        describe_range(op, ns, out);
        break;
    case OP_NS_PUT:
        strbuf_addf(out, "put namespace %u", op->ns);
        break;
    case OP_NS_BRANCH:
        strbuf_addf(out, "branch namespace %llu to namespace %u", U(op->number), op->ns);
        break;
    case OP_NS_TAKE:
        strbuf_addf(out, "give the tree of namespace %llu to namespace %u", U(op->number), op->ns);
        break;
    case OP_NS_DROP:
        strbuf_addf(out, "drop namespace %u", op->ns);
        break;
    case OP_PIN:
    case OP_UNPIN:
        strbuf_addf(out, "%s object %llu", op_kind_name(op->kind), U(op->number));
        break;
    case OP_INO_RUN:
        strbuf_addf(out, "inode numbers %llu to %llu are of namespace %u", U(op->a), U(op->b - 1),
                    op->ns);
        break;
    case OP_NS_SETTING:
        describe_ns_setting(op, out);
        break;
    case OP_HISTORY:
        describe_history(op, out);
        break;
    case OP_REQUEST:
        strbuf_addf(out, "request %llu", U(op->a));
        break;
    case OP_SETTING:
        snprintf(text, sizeof text, "%.*s", (int)(op->len < sizeof text ? op->len : 0),
                 op->data ? (const char *)op->data : "");
        strbuf_adds(out, "set ");
        command_add_word(out, text);
        strbuf_addf(out, " to %lld", (long long)op->a);
        break;
    default:
        describe_content(op, out);
    }
}

uint64_t log_frame_request(const struct log_frame *f)
{
    size_t at = 0;
    struct op op;

    return op_next(f->payload, f->len, &at, &op) == 0 && op.kind == OP_REQUEST ? op.a : 0;
}

int log_describe(const struct log_frame *f, size_t max, struct strbuf *out)
{
    size_t at = 0, count = 0, more = 0;
    struct op op;
    int err;

    while ((err = op_next(f->payload, f->len, &at, &op)) == 0) {
        if (count == max) {
            more++;
            continue;
        }
        strbuf_adds(out, count++ ? ", " : "");
        log_describe_op(&op, f->ns, out);
    }
    if (more)
        strbuf_addf(out, " and %zu more", more);
    return err == -ENOENT ? 0 : err;
}

void log_describe_loss(const struct log_report *r, struct strbuf *out)
{
    if (r->behind_last > r->whole)
        strbuf_addf(out, "changes %llu to %llu (%llu of them are whole, but behind the damage)",
                    U(r->whole + 1), U(r->behind_last), U(r->behind));
    else
        strbuf_addf(out, "every change from number %llu on", U(r->whole + 1));
}

const char *log_time(int64_t time_ns, char out[LOG_TIME])
{
    int64_t rest = time_ns % NSEC_PER_SEC;
    time_t seconds = (time_t)(time_ns / NSEC_PER_SEC) - (rest < 0);
    char second[32] = "?";
    struct tm tm;

    if (gmtime_r(&seconds, &tm))
        strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, LOG_TIME, "%s.%09dZ", second, (int)(rest < 0 ? rest + NSEC_PER_SEC : rest));
    return out;
}
