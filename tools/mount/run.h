// SPDX-License-Identifier: Apache-2.0
/*
 * run: runs mount(8) and fusermount3(1), for what only they may or can do. Also the mount namespace
 * and the limit of open files of this process, and how a process that opened a store ends.
 */
#pragma once

/* Runs a program, found along PATH, to its end, without input and output. Returns its exit code, or
 * -errno. */
int tally_run(char *const argv[]);
/* Enters the mount namespace that the file is of: libmount gives it to its helpers by -N, which it
 * runs in its own. The caller has one thread and no open directory. 0, or -errno, with errno. */
int tally_enter_mounts(const char *file);
/* Raises the limit of open files as far as the machine allows: each large file that is not sealed
 * yet is one, and on many systems the limit is 1024 unless a process raises it. */
void tally_raise_file_limit(void);
/* Ends the process. It does not call exit if a shard never answers: exit could wait for the thread
 * that hangs there. */
_Noreturn void tally_end(int code);
