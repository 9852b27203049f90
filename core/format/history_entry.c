// SPDX-License-Identifier: Apache-2.0
/* history_entry: see the header. */
#include "history_entry.h"

#include "bytes.h"
#include <errno.h>
#include <string.h>

#define FLAG_ITSELF 1u
#define FLAG_AGAIN 2u
#define FLAGS (FLAG_ITSELF | FLAG_AGAIN)

/* ---- encoding ---- */

static uint8_t *append_ns(uint8_t *p, const struct history_ns *ns)
{
    return append_le32(append_le32(p, ns->number), ns->generation);
}

static uint8_t *append_text(uint8_t *p, const char *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

size_t history_entry_encode(const struct history_entry *e, uint8_t out[HISTORY_ENTRY_MAX])
{
    size_t comm = strnlen(e->comm, HISTORY_COMM_MAX), name = strnlen(e->name, HISTORY_NAME_MAX);
    uint8_t *p = out;

    *p++ = (uint8_t)e->kind;
    *p++ = (uint8_t)((e->itself ? FLAG_ITSELF : 0) | (e->again ? FLAG_AGAIN : 0));
    *p++ = (uint8_t)comm;
    *p++ = 0;
    p = append_le32(p, e->uid);
    p = append_le64(p, (uint64_t)e->time);
    p = append_le64(p, e->of);
    p = append_ns(p, &e->ns);
    p = append_ns(p, &e->other);
    p = append_text(p, e->comm, comm);
    *p++ = (uint8_t)name;
    *p++ = (uint8_t)(name >> 8);
    p = append_text(p, e->name, name);
    p = append_text(p, e->second, strnlen(e->second, HISTORY_NAME_MAX));
    return (size_t)(p - out);
}

/* ---- decoding ---- */

/* Takes a text of `len` bytes, which has room for `max`. */
static void take_text(struct field_reader *r, size_t len, size_t max, char *out)
{
    const uint8_t *p = len <= max ? field_bytes(r, len) : NULL;

    if (!p || memchr(p, 0, len))
        r->over = true;
    else
        memcpy(out, p, len);
}

static unsigned take_byte(struct field_reader *r)
{
    const uint8_t *p = field_bytes(r, 1);

    return p ? *p : 0;
}

static struct history_ns take_ns(struct field_reader *r)
{
    struct history_ns ns = {.number = (uint32_t)field_number(r, 4)};

    ns.generation = (uint32_t)field_number(r, 4);
    return ns;
}

/* Can an entry say that? */
static bool is_sound(const struct history_entry *e, unsigned flags, unsigned zero)
{
    return e->kind > 0 && e->kind < HISTORY_KIND_END && !(flags & ~FLAGS) && !zero &&
           e->ns.number > 0 && e->ns.number <= VFS_NS_MAX && e->other.number <= VFS_NS_MAX &&
           (e->of || !e->again) && *e->name;
}

int history_entry_decode(const void *data, size_t len, struct history_entry *ret)
{
    struct field_reader r = {data, (const uint8_t *)data + len, false};
    struct history_entry e = {.kind = 0};
    unsigned flags, zero;
    size_t comm, name;

    if (len < HISTORY_ENTRY_HEAD)
        return -EUCLEAN;
    e.kind = (enum history_kind)take_byte(&r);
    flags = take_byte(&r);
    comm = take_byte(&r);
    zero = take_byte(&r);
    e.itself = flags & FLAG_ITSELF;
    e.again = flags & FLAG_AGAIN;
    e.uid = (uint32_t)field_number(&r, 4);
    e.time = (int64_t)field_number(&r, 8);
    e.of = field_number(&r, 8);
    e.ns = take_ns(&r);
    e.other = take_ns(&r);
    take_text(&r, comm, HISTORY_COMM_MAX, e.comm);
    name = field_number(&r, 2);
    take_text(&r, name, HISTORY_NAME_MAX, e.name);
    take_text(&r, r.over ? 0 : (size_t)(r.end - r.p), HISTORY_NAME_MAX, e.second);
    if (r.over || !is_sound(&e, flags, zero))
        return -EUCLEAN;
    *ret = e;
    return 0;
}

/* ---- words ---- */

const char *history_entry_word(const struct history_entry *e)
{
    static const char *const words[HISTORY_KIND_END] = {
        [HISTORY_CREATE] = "create",      [HISTORY_BRANCH] = "branch",
        [HISTORY_DROP] = "drop",          [HISTORY_REMOVE] = "remove",
        [HISTORY_UNDROP] = "undrop",      [HISTORY_RENAME] = "rename",
        [HISTORY_EXCHANGE] = "exchange",  [HISTORY_REPLACE] = "replace",
        [HISTORY_SNAPSHOT] = "snapshot",  [HISTORY_UNSNAPSHOT] = "unsnapshot",
        [HISTORY_MERGE] = "merge",        [HISTORY_COMMIT] = "commit",
        [HISTORY_IMPORT] = "import",      [HISTORY_DETACH] = "detach",
        [HISTORY_IMPORT_INTO] = "import",
    };

    if (e->itself && e->kind == HISTORY_DROP)
        return "expire";
    if (e->itself && e->kind == HISTORY_REMOVE)
        return *e->second ? "purge" : "expire";
    return words[e->kind];
}
