// SPDX-License-Identifier: Apache-2.0
/* control_of_store: what the control file keeps of an open store. */
#pragma once

#include "lock.h"

struct control_of_store {
    struct mutex last_reply_lock; /* "last reply" */
    char *last_reply;             /* of the control file */
};
