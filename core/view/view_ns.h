// SPDX-License-Identifier: Apache-2.0
/* view_ns: what stats.json and metrics show of namespaces. The views themselves are in view.h. */
#pragma once

#include "view_numbers.h"

/* Adds what namespaces with limits take, and the limits, by name. Nothing where there are none. */
void view_ns_numbers(struct state *p, struct view_numbers *n);
