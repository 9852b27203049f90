// SPDX-License-Identifier: Apache-2.0
/* check_gc: the memory of GC cycles. It is no data: if it is damaged all of it can be forgotten. */
#include "check_impl.h"
#include "gc_record.h"
#include <errno.h>

/* Offer to delete all rows of the table, as one fix of several parts. */
static int fix_all(struct check *c)
{
    struct kv_each e = {.snap = c->snap, .table = TABLE_GC, .strict = true};
    bool first = true;

    while (kv_next(&e)) {
        struct fix f;
        if (e.klen > ID_LEN)
            continue; /* too long for a key of this table, and for a fix */
        f = fix_del(TABLE_GC, e.key, e.klen);
        if (first)
            check_fix(c, &f, "gc", "the table", "it is empty: the next cycle begins anew");
        else
            check_fix_also(c, &f);
        first = false;
    }
    return e.err == -EUCLEAN ? 0 : e.err;
}

int check_gc(struct check *c)
{
    struct gc_memory m;
    char why[GC_RECORD_WHY];
    int err = gc_record_load(c->snap, &m, why);

    gc_memory_release(&m);
    if (err != -EUCLEAN)
        return err;
    check_found(c, true, "gc", "the table", "what GC cycles remembered is damaged: %s", why);
    return fix_all(c);
}
