// SPDX-License-Identifier: Apache-2.0
/* control_scrub: the verb scrub. */
#include "control_impl.h"
#include "scrub.h"
#include "scrub_record.h"
#include <errno.h>

/* Appends what the scrub found as lines of the reply. */
static void add_lines(struct call *call)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct scrub_record r;

    scrub_get(call->p, &r, NULL, &text);
    for (const char *at = text.s; *at;) {
        size_t n = strcspn(at, "\n");
        control_line(call, "%.*s", (int)n, at);
        at += n + (at[n] == '\n');
    }
}

int control_scrub(struct call *call)
{
    uint64_t job = 0;
    int err = scrub_start(call->p, call->interrupted, &job);

    if (err == 0 || err == -EBUSY) /* -EBUSY: a scrub runs already, and is joined */
        err = control_started(call, job);
    if (err == 0 && call->c->wait)
        add_lines(call);
    return err;
}
