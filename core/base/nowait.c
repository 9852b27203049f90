// SPDX-License-Identifier: Apache-2.0
#include "nowait.h"

static _Thread_local bool must_not;

bool thread_may_wait(void)
{
    return !must_not;
}

bool thread_set_may_wait(bool may)
{
    bool before = !must_not;

    must_not = !may;
    return before;
}
