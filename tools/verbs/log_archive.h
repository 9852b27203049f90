// SPDX-License-Identifier: Apache-2.0
/* log_archive: `tally log list|find|fetch --archive URL`, which read an archive, and no store. */
#pragma once

#include <stdbool.h>

/* Is the command about an archive: has it --archive, or is it `fetch`? */
bool log_archive_is_asked(int argc, char **argv);
int log_archive_run(int argc, char **argv); /* returns the exit code */
