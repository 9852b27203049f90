// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_gather: the facts for the checks of doctor.h, from a mount and from the machine.
 */
#pragma once

#include "doctor.h"

struct doctor_case {
    struct doctor_facts facts;
    json_t *stats, *jobs;
    struct strbuf why;      /* of the state */
    struct strbuf settings; /* the reply of `get` */
    char store_fs[64];
};

/* Gathers the facts of the mount at `mnt`, whose store is `store`. 0, or -errno: the mount does not
 * answer. The caller releases *ret, and it must not move. */
int doctor_gather(const char *mnt, const char *store, struct doctor_case *ret);
void doctor_case_release(struct doctor_case *c);
