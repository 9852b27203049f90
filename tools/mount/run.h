// SPDX-License-Identifier: Apache-2.0
/*
 * run: mount(8), umount(8) and fusermount3(1), for what only they may or know to do; and what a
 * process that opens a store asks the machine for, and how it ends.
 */
#pragma once

/* Run a program to its end, silently, found along PATH. Its exit code, or -errno. */
int tally_run(char *const argv[]);
/* As many open files as the machine gives: each large file that is not sealed yet is one, and many
 * systems allow 1024 unless one asks for more. */
void tally_raise_file_limit(void);
/* Ends the process. Not exit: where a shard never answers a thread of it may be left there. */
_Noreturn void tally_end(int code);
