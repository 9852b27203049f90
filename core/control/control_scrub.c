// SPDX-License-Identifier: Apache-2.0
/* control_scrub: the verb scrub. */
#include "control_impl.h"
#include "scrub.h"
#include "scrub_record.h"
#include <errno.h>

int control_scrub(struct call *call)
{
    CLEANUP_STRBUF struct strbuf found = STRBUF_INIT;
    struct scrub_record r;
    uint64_t job = 0;
    int err = scrub_start(call->p, call->interrupted, &job);

    if (err == 0 || err == -EBUSY) /* -EBUSY: a scrub runs already, and is joined */
        err = control_started(call, job);
    if (err == 0 && call->c->wait) {
        scrub_get(call->p, &r, NULL, &found);
        control_text(call, found.s);
    }
    return err;
}
