// SPDX-License-Identifier: Apache-2.0
/* control_of_store: what the control file keeps in an open store. */
#pragma once

#include "lock.h"
#include <stddef.h>

struct control_of_store {
    struct mutex last_reply_lock; /* "last reply": guards the next field */
    char *last_reply;             /* the last reply of the control file, malloc'd; NULL: none yet */
    _Atomic size_t replies;       /* bytes of the replies that all sessions keep */
};
