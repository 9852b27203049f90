// SPDX-License-Identifier: Apache-2.0
/*
 * run: runs mount(8), umount(8) and fusermount3(1), for what only they may or can do. Also the
 * limit of open files of a process that opens a store, and how such a process ends.
 */
#pragma once

/* Runs a program, found along PATH, to its end, without input and output. Returns its exit code, or
 * -errno. */
int tally_run(char *const argv[]);
/* Raises the limit of open files as far as the machine allows: each large file that is not sealed
 * yet is one, and on many systems the limit is 1024 unless a process raises it. */
void tally_raise_file_limit(void);
/* Ends the process. It does not call exit if a shard never answers: exit could wait for the thread
 * that hangs there. */
_Noreturn void tally_end(int code);
