// SPDX-License-Identifier: Apache-2.0
/*
 * own_ns: the namespace that a command of `tally exec` runs in, for verbs that are called there
 * without one. Exec says it by two variables of the environment: TALLY_NS, its name, and
 * TALLY_NS_STORE, the store, so that a verb about another mount does not take the name for one
 * there.
 */
#pragma once

#include "mountinfo.h"

/* Sets both, for the processes that are begun from now on. -ENOMEM */
int own_ns_set(const struct tally_mountinfo *m, const char *ns);
/* The namespace that the verb of that name means if it is called without one; NULL: such a verb
 * needs its argument, or this is no command of exec. Borrowed from the environment. */
const char *own_ns_for(const char *verb);
/* Is that namespace one of this mount? */
bool own_ns_is_in(const struct tally_mountinfo *m);
