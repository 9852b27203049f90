// SPDX-License-Identifier: Apache-2.0
/* check_fix: the changes that a repair could make, collected while the check looks. */
#include "array.h"
#include "check_impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SENTENCE 300 /* bytes of a sentence, before it is escaped */

/* The three texts in one piece of memory, each with its NUL. The caller frees it; NULL: no
 * memory. */
static char *join(const char *what, const char *where, const char *sentence)
{
    size_t a = strlen(what) + 1, b = strlen(where) + 1, c = strlen(sentence) + 1;
    char *text = malloc(a + b + c);

    if (!text)
        return NULL;
    memcpy(text, what, a);
    memcpy(text + a, where, b);
    memcpy(text + a + b, sentence, c);
    return text;
}

/* Add a copy of *f, whose memory then belongs to the list. */
static int push(struct fixes *l, const struct fix *f)
{
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->v[l->count++] = *f;
    return 0;
}

/* Keep a fix, or free its memory if nobody wants to repair. `whole`: all its memory could be
 * allocated; if not, the list is marked as incomplete, and the repair fails instead of doing a
 * part. */
static void keep(struct check *c, struct fix *one, bool whole)
{
    if (c->fixes && whole && push(c->fixes, one) == 0)
        return;
    free(one->text);
    free(one->val);
    if (c->fixes)
        c->fixes->err = -ENOMEM;
}

void check_vfix(struct check *c, const struct fix *f, const char *what, const char *where,
                const char *fmt, va_list args)
{
    char sentence[SENTENCE], told_where[CHECK_TEXT], told[CHECK_TEXT];
    struct fix one = *f;

    (void)vsnprintf(sentence, sizeof sentence, fmt, args);
    check_text(where, told_where, sizeof told_where);
    check_text(sentence, told, sizeof told);
    one.text = c->fixes ? join(what, told_where, told) : NULL;
    keep(c, &one, one.text && (one.kind != FIX_PUT || one.val));
}

void check_fix(struct check *c, const struct fix *f, const char *what, const char *where,
               const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    check_vfix(c, f, what, where, fmt, args);
    va_end(args);
}

void check_fix_also(struct check *c, const struct fix *f)
{
    struct fix one = *f;

    keep(c, &one, one.kind != FIX_PUT || one.val);
}

struct fix fix_put(struct check *c, unsigned table, const void *key, size_t klen, const void *val,
                   size_t len)
{
    struct fix f = {.kind = FIX_PUT, .table = table, .klen = klen, .len = len};

    memcpy(f.k, key, klen);
    f.val = c->fixes ? malloc(len ? len : 1) : NULL;
    if (f.val)
        memcpy(f.val, val, len);
    return f;
}

struct fix fix_del(unsigned table, const void *key, size_t klen)
{
    struct fix f = {.kind = FIX_DEL, .table = table, .klen = klen};

    memcpy(f.k, key, klen);
    return f;
}

bool check_may_free(const struct check *c)
{
    return c->flags & REPAIR_FREE_LEAKS && !c->count.damaged && !c->unknown && !c->unreadable &&
           !c->missing.count;
}

void fixes_release(struct fixes *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->v[i].val);
        free(f->v[i].text);
    }
    free(f->v);
    *f = (struct fixes){.v = NULL};
}
