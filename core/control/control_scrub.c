// SPDX-License-Identifier: Apache-2.0
/* control_scrub: the verb scrub. */
#include "control_impl.h"
#include "scrub.h"
#include <errno.h>

int control_scrub(struct call *call)
{
    uint64_t job = 0;
    int err = scrub_start(call->p, call->interrupted, &job);

    /* -EBUSY: a scrub runs already, and is joined */
    return err == 0 || err == -EBUSY ? control_started(call, job) : err;
}
