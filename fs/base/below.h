// SPDX-License-Identifier: Apache-2.0
/*
 * below: puts the threads of the daemon into the scheduling class SCHED_IDLE, so that a client that
 * waits for an answer stays on its CPU.
 *
 * When a thread wakes, the kernel looks for an idle CPU for it (select_idle_sibling). A CPU that
 * runs only threads of this class counts as idle. So a client that waits for the thread of a ring
 * (ring.h) goes on where it was. Otherwise the client is moved to a CPU that sleeps, which costs
 * more than most requests: 41 us a lookup instead of 15, on two CPUs of a virtual machine.
 *
 * But beside threads of the usual class a thread of this class gets only a 340th of a CPU. Beside
 * two busy loops in the same group a lookup took 185 ms on average. With only the threads of rings
 * in this class, these waited as long for other threads of the daemon. So two things must hold:
 *
 *   - The daemon is a group of its own for the scheduler, which then divides the CPUs among groups.
 *     That is so if its session is its own and makes the group (autogroup), and no cgroup does.
 *   - All threads of the daemon are in this class, and so have equal shares. The one exception is
 *     the thread of sync.h, which hardly computes and which the disk wakes. In this class it would
 *     wait for the tick of the process that is busy on its CPU: with a busy process on each CPU an
 *     fsync took 12 ms instead of 3.7 (ext4: 3.5). That thread is made before the class is changed,
 *     since only root may leave this class again.
 *
 * Threads of this class do not preempt one another, either: see yield_cpu.h.
 *
 * The kernel would also derive the I/O priority from the class. It is set to what it was.
 */
#pragma once

#include <stdbool.h>

/* Changes the class of the calling thread. Threads that it makes afterwards inherit the class.
 * Nothing happens if the process is no group of its own. */
void below_all(void);
