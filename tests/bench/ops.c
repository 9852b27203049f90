// SPDX-License-Identifier: Apache-2.0
/*
 * ops: the timed file operations of the benchmark, so that an interpreter is in none of them.
 *
 *     ops write FILE BYTES SEED          two times: until the last write returned, then until fsync
 *     ops read FILE                      one time
 *     ops create DIR DIRS FILES BYTES SEED     FILES files in DIRS directories d<i>: one time
 *     ops stat|read-all|delete DIR DIRS FILES  the same files in the same order: one time
 *     ops fsync-new DIR N BYTES SEED     create, write, fsync, close: a time for each
 *     ops fsync-append FILE N BYTES SEED append, fsync: a time for each
 *     ops fsync-new-by|fsync-append-by PATH N BYTES SEED THREADS  the same by several threads, N
 *                                        each, in PATH.<thread>: first the time of all, then each
 *     ops fsync-new-apart DIR N BYTES SEED THREADS  likewise, each thread in a directory of its own
 *     ops fill FILE BYTES SEED           write, without fsync: one time
 *     ops create-on DIR BYTES SEED       create, write, close, until standard input ends: a time
 *                                        for each, of which the first means that it has begun
 *     ops look-on DIR DIRS FILES SEED    lstat of those files all over the place, likewise, at most
 *                                        once each
 *     ops both-on DIR DIRS FILES BYTES SEED  likewise, and after each a create-on in DIR: two times
 *     ops overwrite DIR DIRS FILES BYTES SEED N  open, write the first BYTES, close, of N of those
 *                                        files: a time for each
 *     ops poke FILE OFFSET BYTES SEED    open, write there, close: one time
 *     ops map FILE normal|sequential     open, map all of it, touch every page, with that advice: one
 *                                        time
 *     ops read-at FILE N SEED            N reads of 4 KiB all over the file: one time
 *     ops write-at FILE N SEED           N writes likewise: a time for each, then that until fsync
 *                                        after them returned
 *     ops missing DIR N SEED             lstat of N names that are not there, none twice: a time for
 *                                        each
 *     ops look DIR DIRS FILES N SEED     lstat of N of those files all over the place, after one of
 *                                        each directory: a time for each
 *     ops first DIR DIRS FILES BYTES SEED  lstat of one of those files, then twice open, write the
 *                                        first BYTES, close: two times
 *     ops stat-list LIST                 lstat of the paths in LIST, a NUL after each: one time
 *     ops churn DIR RATE BYTES SEED      create, write, close, unlink, RATE times a second (0: as often
 *                                        as it goes) until standard input ends: a time for each
 *     ops spin CPU                       keeps that CPU busy until standard input ends
 *     ops sums CPU N                     N million steps of arithmetic on that CPU: how long it took,
 *                                        and how long it ran
 *     ops by PROCESSES VERB ARGUMENT…    the verb by several processes at once, in each with its number
 *                                        for every {} in its arguments: what each prints, in order
 *
 * Times are nanoseconds, a line each, without the start of this program. BYTES of `write` is a
 * multiple of 1 MiB, every other at most that. Contents are random and differ between any two files
 * of one SEED and between SEEDs, so that nothing is ever stored twice. The first error ends it with
 * a sentence and exit code 1.
 */
#include "ops.h"

#include <stdio.h>
#include <string.h>

static const struct verb *find_verb(const char *name)
{
    const struct verb *all[] = {file_verbs, sync_verbs, beside_verbs, read_verbs, name_verbs,
                                 cpu_verbs};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (const struct verb *v = all[i]; v->name; v++)
            if (strcmp(v->name, name) == 0)
                return v;
    return NULL;
}

int run_verb(int count, char **words)
{
    const struct verb *v = count > 0 ? find_verb(words[0]) : NULL;

    if (!v || (v->args >= 0 ? count - 1 != v->args : count - 1 < -v->args)) {
        fprintf(stderr, "usage: ops VERB ARGUMENT…: see the head of ops.c\n");
        return 2;
    }
    v->run(words + 1);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return run_verb(argc - 1, argv + 1);
}
