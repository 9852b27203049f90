// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_report: gathers the facts for the checks of doctor.h, and makes the report for a
 * maintainer. The report has numbers, and words of a short list; no name of a file, of a namespace,
 * of a store, of a user or of a machine, and no URL.
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
/* The report, which the caller frees; NULL: no memory. `version` is that of the program. */
json_t *doctor_report(const struct doctor_case *c, const struct doctor_finding *findings,
                      size_t count, const char *version);
void doctor_case_release(struct doctor_case *c);
