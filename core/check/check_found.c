// SPDX-License-Identifier: Apache-2.0
/* check_found: how a check reports what it finds, and what else all checks call: names of things,
 * entries of a table, counts, numbers in use. */
#include "check_impl.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SENTENCE 300 /* bytes of a sentence, before it is escaped */

void check_found(struct check *c, bool problem, const char *what, const char *where,
                 const char *fmt, ...)
{
    char sentence[SENTENCE], told_where[CHECK_TEXT], told[CHECK_TEXT];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    c->r.problems += problem;
    check_text(where, told_where, sizeof told_where);
    check_text(sentence, told, sizeof told);
    c->o->found(what, told_where, told, c->o->ctx);
}

void check_advance(struct check *c, uint64_t bytes)
{
    c->done += bytes;
    if (c->o->progress)
        c->o->progress(c->done, c->total, c->o->ctx);
}

void check_where_number(const char *kind, uint64_t number, char out[CHECK_WHERE])
{
    (void)snprintf(out, CHECK_WHERE, "%s %" PRIu64, kind, number);
}

void check_where(const struct entry *e, uint64_t number, char out[CHECK_WHERE])
{
    if (e && (entry_is_sealed(e) || e->kind == ENTRY_NONE))
        id_to_hex(&e->id, out);
    else
        check_where_number("object number", number, out);
}

void check_where_log(const struct log_report *r, char out[CHECK_WHERE])
{
    (void)snprintf(out, CHECK_WHERE, "segment %" PRIu64 " offset %" PRIu64, r->end.segment,
                   r->end.offset);
}

/* Report a row whose key is none. Among the counts of pages it would keep the store from being
 * mounted (store_dir.c), and no page needs it. */
static void wrong_key(struct check *c, const struct kv_each *e, const char *what)
{
    check_found(c, true, what, "a key", "it is %zu bytes long, not 8", e->klen);
    if (e->table == TABLE_PAGE_COUNTS && e->klen <= FIX_KEY_MAX) {
        struct fix f = fix_del(e->table, e->key, e->klen);
        check_fix(c, &f, what, "a key", "its row is removed");
    }
}

int check_each(struct check *c, unsigned table, const char *what, check_entry_fn *fn)
{
    struct kv_each e = {.snap = c->snap, .table = table};

    while (kv_next(&e))
        if (e.klen != 8)
            wrong_key(c, &e, what);
        else
            e.err = fn(c, e.number, e.val, e.len);
    if (!e.cut)
        return e.err;
    check_found(c, true, what, "the table", "it cannot be read to its end");
    c->unreadable = true;
    return 0;
}

void check_used(struct check *c, const char *kind, uint64_t number, uint64_t stored, uint64_t *next)
{
    char where[CHECK_WHERE];
    uint64_t max = next == &c->raised.next_number ? OBJECT_NUMBER_MAX : INT64_MAX;

    if (number >= *next && number < max) /* a number above `max` was never given out: it is
                                          * damage */
        *next = number + 1;
    if (!c->has_state || number < stored)
        return;
    check_where_number(kind, number, where);
    check_found(c, true, "state", where,
                "it is in use, but the next number to be given is %" PRIu64, stored);
}

/* While damage hides references, a recount below the stored count proves nothing. */
bool check_count(struct check *c, const char *where, uint64_t stored, uint64_t refs)
{
    if (stored == refs || (c->count.damaged && stored > refs))
        return true;
    check_found(c, true, "count", where,
                "the stored count is %" PRIu64 ", but %" PRIu64 " references exist", stored, refs);
    return false;
}

void check_release(struct check *c)
{
    disk_file_close(c->pack);
    pool_dead_release(&c->dead);
    free(c->buf);
    recount_release(&c->count);
    map64_release(&c->slots);
    map64_release(&c->logged);
    map64_release(&c->roots);
    free(c->seen);
    map64_release(&c->bad);
    map64_release(&c->reindexed);
    map64_release(&c->missing);
}
