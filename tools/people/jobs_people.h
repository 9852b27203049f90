// SPDX-License-Identifier: Apache-2.0
/*
 * jobs_people: the jobs of a mount as people read them. The jobs are objects as jobs.h reads them.
 */
#pragma once

#include "people.h"

#include <jansson.h>

/* Adds a table of all jobs, with a bar for each that runs. */
void jobs_people_table(const json_t *jobs, const struct people_call *c, struct strbuf *out);
/* Adds sentences about one: what it is, how far it is or how it ended, and its result. */
void jobs_people_one(const json_t *job, const struct people_call *c, struct strbuf *out);
