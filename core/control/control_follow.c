// SPDX-License-Identifier: Apache-2.0
/* control_follow: the verb promote. */
#include "control_impl.h"
#include "follow.h"
#include <errno.h>

#define U(x) ((unsigned long long)(x))

int control_promote(struct call *call)
{
    char why[SHARD_WHY] = "";
    struct follow_promoted r;
    int err = control_archive_rights(call);

    if (err == 0)
        err = control_may_change(call);
    if (err < 0)
        return err;
    err = follow_promote(call->p, &r, why);
    if (err < 0)
        return control_fail(call, err == -EHOSTUNREACH ? -EIO : err, "%s", why);
    strbuf_addf(&call->head,
                " archive=%u lineage=%u parent=%u segment=%llu-%llu from_seq=%llu time=", r.archive,
                r.lineage, r.parent, U(r.parent_at.epoch), U(r.parent_at.serial), U(r.parent_seq));
    strbuf_add_time(&call->head, r.time);
    return 0;
}
