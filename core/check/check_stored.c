// SPDX-License-Identifier: Apache-2.0
/* check_stored: what the last commit says that all objects have together, compared with the table
 * of objects. A mount believes it and goes on from it, so a wrong sum stays wrong; without it a
 * mount counts. */
#include "check_impl.h"
#include "stored_record.h"
#include <errno.h>
#include <inttypes.h>

void check_add_stored(struct check *c, const struct entry *e)
{
    if (!entry_is_sealed(e) || e->count == 0)
        return;
    c->stored += e->size;
    c->saved += e->size - entry_payload(e);
}

/* Is the table of objects as the commit wrote it, as far as one can see? The sum has what is
 * lost, too. */
static bool is_whole(const struct check *c)
{
    return !c->unreadable && !c->count.unreadable && c->unknown == 0 && c->missing.count == 0;
}

int check_stored(struct check *c)
{
    struct stored_record s = {.bytes = 0};
    int err = stored_record_load_snap(c->snap, &s);
    struct fix f;

    if (err == -ENOENT ||
        (err == 0 && (!is_whole(c) || (s.bytes == c->stored && s.saved == c->saved))))
        return 0;
    if (err < 0 && err != -EUCLEAN)
        return err;
    if (err < 0)
        check_found(c, true, "sum", "stored bytes", "it is damaged: a mount counts them");
    else if (s.bytes != c->stored)
        check_found(c, true, "sum", "stored bytes",
                    "it is %" PRIu64 ", but the objects have %" PRIu64, s.bytes, c->stored);
    else
        check_found(c, true, "sum", "stored bytes",
                    "compression saves %" PRIu64 " of them, and not %" PRIu64, c->saved, s.saved);
    f = fix_del(TABLE_META, "stored", 6);
    check_fix(c, &f, "sum", "stored bytes", "it is removed: the next mount counts them");
    return 0;
}
