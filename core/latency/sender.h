// SPDX-License-Identifier: Apache-2.0
/*
 * sender: which program a thread belongs to, as /proc says.
 */
#pragma once

#include <stdint.h>

#define SENDER_PROGRAM 16 /* bytes of a program's name, with the 0 */

/* A thread that sends requests, and its program. */
struct sender {
    int32_t tid, pid; /* tid 0: nobody */
    int64_t since;    /* when /proc was asked, monotonic ns */
    char program[SENDER_PROGRAM];
};

/* Asks for the process of a thread, and for the name of its program; a thread may have a name of
 * its own, which says less. Where the name cannot be read the program is called by the number of
 * the process, and that of tid 0 is "(kernel)". `now` is noted in the result. Reads two files of
 * /proc; any thread. */
struct sender sender_ask(int32_t tid, int64_t now);
