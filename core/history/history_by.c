// SPDX-License-Identifier: Apache-2.0
/* history_by: see the header. */
#include "history_by.h"

#include <string.h>

static _Thread_local struct history_by current;

struct history_by history_by_set(const struct history_by *by)
{
    struct history_by before = current;

    current = by ? *by : (struct history_by){.known = false};
    return before;
}

struct history_by history_by_get(void)
{
    return current;
}

void history_by_sign(struct history_entry *e)
{
    e->itself = !current.known;
    e->uid = current.known ? current.uid : 0;
    if (current.known)
        memcpy(e->comm, current.comm, sizeof e->comm);
    if (!e->of) {
        e->of = current.of;
        e->again = current.again;
    }
}
