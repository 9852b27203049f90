// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_report: the report for a maintainer. It has numbers, and words of a short list; no name of
 * a file, of a namespace, of a store, of a user or of a machine, and no URL.
 */
#pragma once

#include "doctor_gather.h"

/* The report, which the caller frees; NULL: no memory. `version` is that of the program. */
json_t *doctor_report(const struct doctor_case *c, const struct doctor_finding *findings,
                      size_t count, const char *version);
