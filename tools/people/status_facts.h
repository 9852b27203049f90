// SPDX-License-Identifier: Apache-2.0
/*
 * status_facts: reads the files of `.tally` of which the status for people is made.
 */
#pragma once

#include "people.h"

/* Prints the status of the mount at `mnt` on standard output. 0, or -errno: a file cannot be read,
 * and nothing was printed. A mount that is read-only has a status, too. */
int status_facts_print(const char *mnt, const struct people_call *c);
