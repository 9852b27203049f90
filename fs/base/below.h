// SPDX-License-Identifier: Apache-2.0
/*
 * below: all threads of the daemon in the idle class, so that who waits for an answer stays on its
 * CPU.
 *
 * A CPU on which nothing but threads of this class run counts as idle when the kernel looks for a
 * place for a thread that wakes (select_idle_sibling). So who waits for the answer of a ring's
 * thread (ring.h) goes on where it is. Else it is moved to a CPU that sleeps, which costs more than
 * most requests: 41 us a lookup instead of 15, on two CPUs of a virtual machine.
 *
 * But next to threads of the usual class one of this class gets a 340th of a CPU: beside two busy
 * loops, in one group with them, a lookup took 185 ms on average, and the rings' threads alone in
 * this class waited as long for other threads of ours. So only
 *
 *   - where the daemon is a group of its own for the scheduler, which then divides CPUs among groups:
 *     its session is its own and makes the group (autogroup), no cgroup does;
 *   - and all its threads are, which then have equal shares; but for one that hardly computes and
 *     that the disk wakes (sync.h): in this class it waits for the tick of whoever is busy on its CPU,
 *     beside a busy process on each CPU 12 ms for an fsync instead of 3.7 (ext4: 3.5). It is made
 *     before: only root may leave this class again.
 *
 * Nor do they preempt one another: see yield_cpu.h.
 *
 * What they read and write keeps its priority, which the kernel would else take from the class.
 */
#pragma once

#include <stdbool.h>

/* The calling thread, before it makes those that are to inherit it. Where the group is not its own
 * nothing happens. */
void below_all(void);

/* Is the process a group of its own for the scheduler? */
bool below_is_group(void);
